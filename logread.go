package dockpod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod/internal/logfile"
	"github.com/dockpod/dockpod/internal/logline"
)

// TailNone as [LogOptions].Tail is no line of what is there: with Follow, only
// what comes from now on.
const TailNone = math.MinInt

// LogSource says where a log is read from.
type LogSource string

// The sources. Both give the same bytes; the file is read some thirty times
// faster, costs the engine nothing, and is followed while the engine restarts.
const (
	LogSourceAuto LogSource = ""     // the file if it can be read here, else the API
	LogSourceFile LogSource = "file" // the engine's own file, or the one at the container's LogPath
	LogSourceAPI  LogSource = "api"  // the engine's API
)

// LogOptions chooses what of a log is read, and where it goes. The zero value
// is all that is there; [Runtime.ContainerLogs] and [ReadLogFile] need at least
// one writer.
type LogOptions struct {
	// Stdout and Stderr take what the container wrote to its two outputs. A
	// nil one is not wanted. They may be the same writer: it gets the lines
	// in their order. A container with a terminal has all on Stdout, as the
	// terminal gave it, with carriage returns.
	//
	// They are called by one goroutine. One that blocks stops the reading, and
	// is not interrupted by the context.
	Stdout, Stderr io.Writer

	// Follow waits for more when the log is at its end, until the container
	// does not run any more and all that it wrote was read.
	Follow bool

	// Tail is how many of the last lines are read, of those that Since, Until
	// and the writers choose. Zero is all; [TailNone] is none. A line is
	// what ends in a newline, however many records it is kept in, and what is
	// unfinished at the end.
	Tail int

	// Since and Until bound the time at which the engine received a line,
	// both included. The zero time is no bound. Until ends a Follow when a
	// later line comes. Podman's API knows whole seconds only.
	Since, Until time.Time

	// Timestamps puts the time before each line, in UTC, always with nine
	// digits of the second's fraction, and a space.
	Timestamps bool

	// LimitBytes ends the reading without an error after so many bytes were
	// written to both writers together. Zero is no limit.
	LimitBytes int64

	Source LogSource
}

// check refuses what cannot be.
func (o *LogOptions) check() error {
	switch {
	case o.Tail < 0 && o.Tail != TailNone:
		return &FieldError{"Tail", fmt.Sprintf("%d is negative; 0 is all lines, TailNone is none", o.Tail)}
	case o.LimitBytes < 0:
		return &FieldError{"LimitBytes", fmt.Sprintf("%d is negative", o.LimitBytes)}
	case !o.Since.IsZero() && !o.Until.IsZero() && o.Until.Before(o.Since):
		return &FieldError{"Until", "is before Since"}
	}
	switch o.Source {
	case LogSourceAuto, LogSourceFile, LogSourceAPI:
		return nil
	}
	return &FieldError{"Source", fmt.Sprintf("%q is none", o.Source)}
}

// checkWriters is check for those who write.
func (o *LogOptions) checkWriters() error {
	if o.Stdout == nil && o.Stderr == nil {
		return &FieldError{"Stdout", "nil, and Stderr too"}
	}
	return o.check()
}

// wants reports whether a stream is asked for.
func (o *LogOptions) wants(s logline.Stream) bool {
	if s == logline.Stderr {
		return o.Stderr != nil
	}
	return o.Stdout != nil
}

// query is what the readers of files have to know.
func (o *LogOptions) query() logfile.Query {
	return logfile.Query{
		Tail: max(o.Tail, 0), All: o.Tail == 0, Since: o.Since, Until: o.Until,
		Stdout: o.Stdout != nil, Stderr: o.Stderr != nil,
	}
}

// errLimit ends a reading that has reached its limit.
var errLimit = errors.New("limit reached")

// sinkError is a failure of who takes the log, not of who gives it.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return e.err.Error() }
func (e *sinkError) Unwrap() error { return e.err }

// logResult returns what a reading's end is to its caller.
func logResult(err error) error {
	var sink *sinkError
	switch {
	case errors.As(err, &sink) && sink.err == errLimit:
		return nil
	case errors.As(err, &sink):
		return sink.err
	}
	return err
}

// ContainerLogs writes a container's log to the writers of opts. It returns
// when it has written what there is, or, with Follow, when the container does
// not run any more and its last line was written. A container that was never
// started has an empty log.
//
// The log itself has no deadline but the caller's. The error is [ErrContainerNotFound];
// [ErrLogsUnreadable] if the container's log driver keeps nothing that can be
// read back, or the file that was demanded is not there; a [*FieldError] for
// options that cannot be; a writer's own error. What was written until then
// stays.
//
// What stands in a log file and is not a record, such as the line that was
// being written when the power failed, is left out. A file that is rotated is
// followed if it keeps each line for 100 milliseconds at least.
func (r *Runtime) ContainerLogs(ctx context.Context, id string, opts LogOptions) (err error) {
	ctx, end := r.beginLimit(ctx, logOp, id, -1)
	defer end(&err)
	if err := opts.checkWriters(); err != nil {
		return err
	}
	return logResult(r.readLogs(ctx, id, &opts, newLogWriter(&opts)))
}

// LogLine is a line of a log.
type LogLine struct {
	Time   time.Time // when the engine received it
	Stream LogStream
	Text   string // without its newline

	// Partial is a line without a newline: the container ended in it, or it
	// has more than 1 MiB and goes on in the next LogLine of its stream.
	Partial bool
}

// LogStream is an output of a container's process.
type LogStream string

// The streams. A terminal's output is all LogStdout.
const (
	LogStdout LogStream = "stdout"
	LogStderr LogStream = "stderr"
)

// LogLines is [Runtime.ContainerLogs] for programs: it yields line by line,
// the pieces in which engines keep long ones put together. Breaking out of the
// loop ends the reading. An error is the last that is yielded, beside a zero
// LogLine.
//
// Timestamps is of no effect, and LimitBytes counts the bytes of the texts,
// each with its newline, up to the line with which it is reached. Stdout and
// Stderr are not written to: if just one of them is nil, its stream is not
// yielded.
func (r *Runtime) LogLines(ctx context.Context, id string, opts LogOptions) iter.Seq2[LogLine, error] {
	return func(yield func(LogLine, error) bool) {
		if err := r.logLines(ctx, id, opts, yield); err != nil {
			yield(LogLine{}, err)
		}
	}
}

// errBreak is a loop that was left.
var errBreak = errors.New("loop left")

// logLines returns no error if the loop was left.
func (r *Runtime) logLines(ctx context.Context, id string, opts LogOptions, yield func(LogLine, error) bool) (err error) {
	ctx, end := r.beginLimit(ctx, logOp, id, -1)
	defer end(&err)
	if err := opts.check(); err != nil {
		return err
	}
	if opts.Stdout == nil && opts.Stderr == nil {
		opts.Stdout, opts.Stderr = io.Discard, io.Discard
	}
	j := &lineJoiner{limit: opts.LimitBytes, yield: yield}
	err = logResult(r.readLogs(ctx, id, &opts, j))
	if err == nil && !j.over {
		err = logResult(j.rest())
	}
	if err == errBreak {
		return nil
	}
	return err
}

// The bounds of a termination message, as the kubelet has them.
const (
	DefaultLogTailLines = 80
	DefaultLogTailBytes = 2 << 10
)

// LogTail returns the end of a container's log, both streams in their order:
// at most maxLines lines, and of them the last maxBytes bytes, without the
// rest of a character that this cuts. Zero is [DefaultLogTailLines] and
// [DefaultLogTailBytes], which make the termination message of a container
// that left none. Errors are those of [Runtime.ContainerLogs].
func (r *Runtime) LogTail(ctx context.Context, id string, maxLines, maxBytes int) (string, error) {
	if maxLines == 0 {
		maxLines = DefaultLogTailLines
	}
	if maxBytes == 0 {
		maxBytes = DefaultLogTailBytes
	}
	if maxLines < 0 || maxBytes < 0 {
		return "", &Error{logOp, id, &FieldError{"maxLines, maxBytes", "negative"}}
	}
	var w lastBytes
	w.max = maxBytes
	if err := r.ContainerLogs(ctx, id, LogOptions{Stdout: &w, Stderr: &w, Tail: maxLines}); err != nil {
		return "", err
	}
	return w.String(), nil
}

// lastBytes is a writer that keeps the end.
type lastBytes struct {
	max int
	buf []byte
	cut bool
}

func (w *lastBytes) Write(p []byte) (int, error) {
	n := len(p)
	w.buf = append(w.buf, p...)
	if over := len(w.buf) - w.max; over > 0 {
		w.buf = append(w.buf[:0], w.buf[over:]...)
		w.cut = true
	}
	return n, nil
}

func (w *lastBytes) String() string {
	b := w.buf
	for i := 0; w.cut && i < utf8.UTFMax-1 && len(b) > 0 && !utf8.RuneStart(b[0]); i++ {
		b = b[1:]
	}
	return string(b)
}

// readLogs finds the log's source and reads it.
func (r *Runtime) readLogs(ctx context.Context, id string, opts *LogOptions, sink logfile.Sink) error {
	info, err := r.inspectForLogs(ctx, id)
	if err != nil {
		return err
	}
	if opts.Source != LogSourceAPI {
		path, err := readableLog(info)
		if err == nil && path != "" {
			if path != info.LogPath && outcomeOf(info).state != StateRunning {
				r.drainLog(ctx, info.ID)
			}
			return r.readLogFile(ctx, info, path, opts, sink)
		}
		if opts.Source == LogSourceFile {
			if err != nil {
				return err
			}
			return sink.Flush() // there is no log yet
		}
	}
	return r.readLogAPI(ctx, info, opts, sink)
}

// logOp is what reading logs is called in errors.
const logOp = "read container logs"

// inspectForLogs has the deadline that the stream has not.
func (r *Runtime) inspectForLogs(ctx context.Context, id string) (info container.InspectResponse, err error) {
	ctx, end := r.begin(ctx, logOp, id)
	defer end(&err)
	return r.inspect(ctx, id, TypeContainer)
}

// readableLog returns the path of the container's log file, "" if there is
// none yet. The type that the engine gives to the driver says nothing: Podman's
// json-file is another format, and the file of the driver "local" has no path.
func readableLog(info container.InspectResponse) (string, error) {
	paths := []string{info.LogPath}
	if info.Config != nil {
		// A log that was written instead of a link.
		paths = append(paths, info.Config.Labels[LabelLogPath])
	}
	failed := fmt.Errorf("%w: the engine keeps no file", ErrLogsUnreadable)
	for _, path := range paths {
		if path == "" {
			continue
		}
		err := logfile.Readable(path)
		if err == nil {
			return path, nil
		}
		failed = fmt.Errorf("%w: %w", ErrLogsUnreadable, err)
	}
	if s := outcomeOf(info); s.state == StateCreated {
		return "", nil
	}
	return "", failed
}

// readLogFile reads the log's file. Following ends when the container does.
func (r *Runtime) readLogFile(ctx context.Context, info container.InspectResponse, path string, opts *LogOptions, sink logfile.Sink) error {
	q := opts.query()
	if !opts.Follow {
		return logfile.Read(ctx, path, q, sink)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	q.Ended = ended
	var watcher sync.WaitGroup
	watcher.Go(func() {
		if err := r.awaitEnd(ctx, info); err != nil {
			cancel(&endError{err})
			return
		}
		if path != info.LogPath {
			r.drainLog(ctx, info.ID) // the engine had the last lines before the file has
		}
		close(ended)
	})
	err := logfile.Read(ctx, path, q, sink)
	var lost *endError
	if cause := context.Cause(ctx); errors.As(cause, &lost) && errors.Is(err, context.Canceled) {
		err = lost.err
	}
	cancel(nil)
	watcher.Wait()
	return err
}

// endError is an engine that does not tell whether a container runs.
type endError struct{ err error }

func (e *endError) Error() string { return e.err.Error() }

// How long an engine that does not answer is asked for a container's end, and
// how often. An engine that is restarted is back by then.
const (
	endPatience = time.Minute
	endPause    = time.Second
)

// awaitEnd returns when a container does not run, or is gone.
func (r *Runtime) awaitEnd(ctx context.Context, info container.InspectResponse) error {
	waiter, canWait := r.docker.(ContainerWaiter)
	var failing time.Time
	for {
		err := error(nil)
		if outcomeOf(info).state != StateRunning {
			return nil
		}
		if canWait {
			waitCtx, cancel := context.WithCancel(ctx)
			done, failed := waiter.ContainerWait(waitCtx, info.ID, container.WaitConditionNotRunning)
			select { // the context ends the wait by an error
			case <-done:
			case err = <-failed:
			}
			cancel()
			if err == nil {
				return nil
			}
		}
		if sleepErr := newBackoff(endPause, endPause).sleep(ctx); sleepErr != nil {
			return sleepErr
		}
		again, inspectErr := r.inspectAny(ctx, info.ID)
		switch {
		case errors.Is(inspectErr, ErrContainerNotFound):
			return nil
		case inspectErr == nil:
			info, failing = again, time.Time{}
		case failing.IsZero():
			failing = time.Now()
		case time.Since(failing) > endPatience:
			return inspectErr
		}
	}
}

// ReadLogFile is [Runtime.ContainerLogs] for a log file without an engine, in
// the format of the engine's json-file or in CRI's, line by line whichever it
// is. Older files that rotation left beside it are read as well: those whose
// names go on with a number, as the engine's do, or a time, as the kubelet's
// and those of [WithLogFiles], with ".gz" or without. Follow ends with the
// context. Source is of no effect.
func ReadLogFile(ctx context.Context, path string, opts LogOptions) error {
	fail := func(err error) error {
		if err = logResult(err); err != nil {
			return &Error{"read log file", path, err}
		}
		return nil
	}
	if err := opts.checkWriters(); err != nil {
		return fail(err)
	}
	q := opts.query()
	if opts.Follow {
		q.Ended = make(chan struct{})
	}
	return fail(logfile.Read(ctx, path, q, newLogWriter(&opts)))
}

// logWriter is the sink that writes to the writers of LogOptions.
type logWriter struct {
	out     [3]io.Writer // by stream
	stamps  bool
	limited bool
	left    int64   // of the limit
	begun   [3]bool // by stream: a line is not finished

	buf    []byte // not yet written, all of one stream
	stream logline.Stream
}

const logWriterBuffer = 64 << 10

func newLogWriter(opts *LogOptions) *logWriter {
	w := &logWriter{stamps: opts.Timestamps, limited: opts.LimitBytes > 0, left: opts.LimitBytes, stream: logline.Stdout}
	w.out[logline.Stdout], w.out[logline.Stderr] = opts.Stdout, opts.Stderr
	w.buf = make([]byte, 0, logWriterBuffer+32<<10)
	return w
}

// Put takes a record.
func (w *logWriter) Put(rec *logline.Record) error {
	s := rec.Stream
	if w.out[s] == nil {
		return nil
	}
	if s != w.stream {
		if err := w.Flush(); err != nil {
			return err
		}
		w.stream = s
	}
	before := len(w.buf)
	if w.stamps && !w.begun[s] {
		w.buf = append(appendStamp(w.buf, rec), ' ')
	}
	w.buf = append(w.buf, rec.Text...)
	if !rec.Partial {
		w.buf = append(w.buf, '\n')
	}
	w.begun[s] = rec.Partial
	if w.limited {
		added := int64(len(w.buf) - before)
		if added >= w.left {
			w.buf = w.buf[:before+int(w.left)]
			if err := w.Flush(); err != nil {
				return err
			}
			return &sinkError{errLimit}
		}
		w.left -= added
	}
	if len(w.buf) >= logWriterBuffer {
		return w.Flush()
	}
	return nil
}

// Flush writes what was put.
func (w *logWriter) Flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	n, err := w.out[w.stream].Write(w.buf)
	if err == nil && n < len(w.buf) {
		err = io.ErrShortWrite
	}
	w.buf = w.buf[:0]
	if err != nil {
		return &sinkError{err}
	}
	return nil
}

// stampLayout is the engine's: a fixed number of digits.
const stampLayout = "2006-01-02T15:04:05.000000000Z07:00"

// appendStamp appends a record's time in stampLayout.
func appendStamp(dst []byte, rec *logline.Record) []byte {
	const end = len("2006-01-02T15:04:05.")
	s := rec.Stamp
	if n := len(s); n > end && n <= end+10 && s[n-1] == 'Z' && s[end-1] == '.' {
		dst = append(dst, s[:n-1]...)
		for range end + 10 - n {
			dst = append(dst, '0')
		}
		return append(dst, 'Z')
	}
	return rec.Time().UTC().AppendFormat(dst, stampLayout)
}

// lineJoiner is the sink that yields lines.
type lineJoiner struct {
	yield func(LogLine, error) bool
	limit int64
	used  int64
	over  bool
	lines [3]pendingLine // by stream
}

type pendingLine struct {
	text []byte
	at   time.Time // of the first piece
	some bool
}

// Put takes a record.
func (j *lineJoiner) Put(rec *logline.Record) error {
	p := &j.lines[rec.Stream]
	if !p.some {
		p.at = rec.Time()
		if !rec.Partial {
			return j.give(rec.Stream, p.at, rec.Text, false)
		}
	}
	p.some = true
	p.text = append(p.text, rec.Text...)
	if rec.Partial && len(p.text) < logfile.MaxLine {
		return nil
	}
	text := p.text
	p.text, p.some = p.text[:0], false
	return j.give(rec.Stream, p.at, text, rec.Partial)
}

// Flush does nothing: a line that is not finished waits.
func (j *lineJoiner) Flush() error { return nil }

// rest yields what was not finished.
func (j *lineJoiner) rest() error {
	for _, s := range []logline.Stream{logline.Stdout, logline.Stderr} {
		if p := &j.lines[s]; p.some {
			if err := j.give(s, p.at, p.text, true); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *lineJoiner) give(s logline.Stream, at time.Time, text []byte, partial bool) error {
	stream := LogStdout
	if s == logline.Stderr {
		stream = LogStderr
	}
	if !j.yield(LogLine{at, stream, string(text), partial}, nil) {
		j.over = true
		return &sinkError{errBreak}
	}
	j.used += int64(len(text)) + 1
	if j.limit > 0 && j.used >= j.limit {
		j.over = true
		return &sinkError{errLimit}
	}
	return nil
}

// LogFormat is a format of log files.
type LogFormat string

// The formats. Both keep lines with their times and streams.
const (
	LogFormatJSON LogFormat = "json-file" // {"log":"text\n","stream":"stdout","time":"2006-01-02T15:04:05.9Z"}
	LogFormatCRI  LogFormat = "cri"       // 2006-01-02T15:04:05.9Z stdout F text
)

// ConvertLog copies a log from src to dst in a format, record by record; the
// one that src has is told from each line. Nothing is lost on the way but
// what is no record, and a json-file's attributes, for which CRI's format has
// no place. In JSON, bytes that are not UTF-8 become U+FFFD, as with the
// engine.
func ConvertLog(dst io.Writer, src io.Reader, to LogFormat) error {
	var add func([]byte, *logline.Record) []byte
	switch to {
	case LogFormatJSON:
		add = logline.AppendJSON
	case LogFormatCRI:
		add = appendCRI
	default:
		return &Error{"convert log", "", &FieldError{"to", fmt.Sprintf("%q is no format", to)}}
	}
	w := &recordWriter{dst: dst, add: add}
	err := logfile.Scan(src, w)
	if err == nil {
		err = w.Flush()
	}
	if err = logResult(err); err != nil {
		return &Error{"convert log", "", err}
	}
	return nil
}

// appendCRI appends a record in CRI's format, where a newline in the middle of
// its text, which JSON can hold, ends a line.
func appendCRI(dst []byte, rec *logline.Record) []byte {
	rest := *rec
	for {
		i := bytes.IndexByte(rest.Text, '\n')
		if i < 0 {
			return logline.AppendRecord(dst, &rest)
		}
		line := rest
		line.Text, line.Partial = rest.Text[:i], false
		dst = logline.AppendRecord(dst, &line)
		rest.Text = rest.Text[i+1:]
	}
}

// recordWriter is the sink that writes records in a format.
type recordWriter struct {
	dst io.Writer
	add func([]byte, *logline.Record) []byte
	buf []byte
}

func (w *recordWriter) Put(rec *logline.Record) error {
	w.buf = w.add(w.buf, rec)
	if len(w.buf) < logWriterBuffer {
		return nil
	}
	return w.Flush()
}

func (w *recordWriter) Flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	n, err := w.dst.Write(w.buf)
	if err == nil && n < len(w.buf) {
		err = io.ErrShortWrite
	}
	w.buf = w.buf[:0]
	if err != nil {
		return &sinkError{err}
	}
	return nil
}
