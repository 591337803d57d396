package dockpod

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod/internal/logfile"
	"github.com/dockpod/dockpod/internal/logline"
	"github.com/dockpod/dockpod/internal/stdmux"
)

// readLogAPI reads a log through the engine. It always asks for the times: by
// them it finds its place again.
func (r *Runtime) readLogAPI(ctx context.Context, info container.InspectResponse, opts *LogOptions, sink logfile.Sink) error {
	l := &apiLog{r: r, id: info.ID, tty: info.Config != nil && info.Config.Tty, opts: opts, sink: sink}
	l.look(info)
	if opts.Tail == 0 && !opts.Follow {
		if err := l.read(ctx, l.request(), l.put); err != nil {
			return err
		}
		return sink.Flush()
	}
	if opts.Tail != 0 {
		if err := l.tail(ctx); err != nil {
			return err
		}
	}
	if !opts.Follow {
		return sink.Flush()
	}

	if err := l.follow(ctx); err != nil {
		return err
	}
	// Docker 20.10 may end the stream before the last line if that has no
	// newline. Now that nothing is written any more, look once more.
	req := l.resume()
	if !l.whole {
		req.Tail = strconv.Itoa(len(l.place.recent) + 1000)
	}
	err := l.read(ctx, req, l.putNew)
	if errors.Is(err, ErrContainerNotFound) {
		err = nil // removed meanwhile, as its owner may do
	}
	if err != nil {
		return err
	}
	return sink.Flush()
}

// apiLog is a log that is read through the engine.
type apiLog struct {
	r     *Runtime
	id    string
	tty   bool
	opts  *LogOptions
	sink  logfile.Sink
	place logPlace
	given repeats
	whole bool // the engine's tails are not to be trusted

	started time.Time // when the container was last
	sticks  bool      // the engine may get stuck in the log
}

// How long it is waited before a stream is asked for again that the engine has
// ended before its container.
const (
	followPause = 10 * time.Millisecond
	followLimit = time.Second
)

// follow gives what is written to the sink until the container does not run.
// The engine's stream may end before: engines lose their place when they rotate
// a log.
func (l *apiLog) follow(ctx context.Context) error {
	for pause := newBackoff(followPause, followLimit); ; {
		req := l.resume()
		req.Follow = true
		stuck, err := l.readWatched(ctx, req)
		if err != nil {
			return err
		}
		if !l.opts.Until.IsZero() && !stuck {
			return nil // which ends it, too
		}
		var info container.InspectResponse
		err = l.r.request(ctx, func(ctx context.Context) (err error) {
			info, err = l.r.inspectAny(ctx, l.id)
			return err
		})
		switch {
		case errors.Is(err, ErrContainerNotFound):
			return nil
		case err != nil:
			return err
		}
		l.look(info)
		if outcomeOf(info).state != StateRunning {
			return nil
		}
		if err := pause.sleep(ctx); err != nil {
			return err
		}
	}
}

// readWatched reads a followed stream until it ends, or the engine is stuck.
func (l *apiLog) readWatched(ctx context.Context, req container.LogsOptions) (stuck bool, err error) {
	if !l.sticks {
		return false, l.read(ctx, req, l.putNew)
	}
	stream, cut := context.WithCancel(ctx)
	var watch followWatch
	var watcher sync.WaitGroup
	watcher.Go(func() {
		watch.run(stream, func(ctx context.Context) (time.Time, error) {
			return l.r.lastRecordTime(ctx, l.id, l.tty, req.ShowStdout, req.ShowStderr)
		}, cut)
	})
	err = l.read(stream, req, func(rec *logline.Record) error {
		watch.saw(rec)
		return l.putNew(rec)
	})
	stuck = stream.Err() != nil && ctx.Err() == nil
	cut()
	watcher.Wait()
	if stuck && isContextError(err) {
		err = nil
	}
	return stuck, err
}

// look takes note of what an inspection tells of how the log is kept.
func (l *apiLog) look(info container.InspectResponse) {
	l.started = outcomeOf(info).started
	l.sticks = getsStuck(info, l.r.docker.ClientVersion())
}

// request asks for all that the options choose but the tail.
func (l *apiLog) request() container.LogsOptions {
	req := container.LogsOptions{ShowStdout: l.opts.Stdout != nil, ShowStderr: l.opts.Stderr != nil, Timestamps: true}
	if !l.opts.Since.IsZero() {
		req.Since = l.opts.Since.Format(time.RFC3339Nano)
	}
	if !l.opts.Until.IsZero() {
		req.Until = l.opts.Until.Format(time.RFC3339Nano)
	}
	return req
}

// resume asks for what comes after the place, and the last records before it:
// putNew leaves those out.
func (l *apiLog) resume() container.LogsOptions {
	req := l.request()
	if since := l.place.since(); !since.IsZero() {
		req.Since = since.Format(time.RFC3339Nano)
	}
	l.place.again()
	return req
}

// put gives a record to the sink.
func (l *apiLog) put(rec *logline.Record) error {
	if l.opts.Follow {
		l.place.add(rec)
	}
	return l.sink.Put(rec)
}

// putNew is put for a stream that begins before the place.
func (l *apiLog) putNew(rec *logline.Record) error {
	if l.place.had(rec) || l.given.again(rec) {
		return nil
	}
	return l.put(rec)
}

// tail gives the last lines to the sink. The engine counts records, before it
// looks at streams and times, so it is asked for more until they suffice. The
// lines are held in memory.
func (l *apiLog) tail(ctx context.Context) error {
	want := max(l.opts.Tail, 0)
	// Podman 4 counts lines, and leaves out all pieces of a long one but the
	// last.
	err := l.r.request(ctx, func(ctx context.Context) (err error) {
		l.whole, err = l.r.isPodman(ctx)
		return err
	})
	if err != nil {
		return err
	}
	for ask := max(want, 1); ; ask *= 8 {
		req := l.request()
		req.ShowStdout, req.ShowStderr = true, true // to see whether it has more
		if l.opts.Until.IsZero() && ask <= maxAsk && !l.whole {
			req.Tail = strconv.Itoa(ask)
		} // else the last ones may all be too late, or all are wanted
		var (
			keep   = lastRecords{want: want}
			place  logPlace
			all    int
			oldest string
		)
		err := l.read(ctx, req, func(rec *logline.Record) error {
			if all++; all == 1 {
				oldest = string(rec.Stamp)
			}
			if l.opts.wants(rec.Stream) {
				keep.add(rec)
				place.add(rec)
			}
			return nil
		})
		if err != nil {
			return err
		}
		first, found := keep.first()
		if cut := req.Tail != "" && all >= ask; cut {
			// Of the oldest time there may be more records than were seen.
			known := place.forget(oldest)
			if !found || l.opts.Follow && !known {
				continue
			}
		}
		l.place = place
		for i := range keep.records[first:] {
			if err := l.sink.Put(&keep.records[first+i]); err != nil {
				return err
			}
		}
		return nil
	}
}

// maxAsk is the longest tail that an engine is asked for: Podman makes room for
// all of it beforehand.
const maxAsk = 1 << 20

// lastRecords holds the records of the last lines, and some before them.
type lastRecords struct {
	want    int
	records []logline.Record
	ends    int // of the records, those that end a line
}

func (k *lastRecords) add(rec *logline.Record) {
	r := *rec
	r.Text, r.Stamp = bytes.Clone(rec.Text), bytes.Clone(rec.Stamp)
	k.records = append(k.records, r)
	if !r.Partial {
		k.ends++
	}
	for k.ends-1 > k.want {
		if !k.records[0].Partial {
			k.ends--
		}
		k.records = k.records[1:]
	}
}

// first returns the index of the record with which the last lines begin, and
// whether there are as many. It counts as the reader of files does.
func (k *lastRecords) first() (index int, found bool) {
	var begun [3]bool
	lines := 0
	for i := len(k.records) - 1; i >= 0; i-- {
		r := &k.records[i]
		if !r.Partial || !begun[r.Stream] {
			if lines == k.want {
				return i + 1, true
			}
			lines++
		}
		begun[r.Stream] = true
	}
	return 0, false
}

// read asks the engine and calls f with each record. A failure of f comes
// back as it is.
func (l *apiLog) read(ctx context.Context, req container.LogsOptions, f func(*logline.Record) error) error {
	stream, err := l.r.docker.ContainerLogs(ctx, l.id, req)
	if err != nil {
		return classify(verbLogs, l.id, err)
	}
	defer stream.Close()
	read := readFrames
	if l.tty {
		read = func(src io.Reader, f func(*logline.Record) error) error { return readTerminal(src, l.started, f) }
	}
	if req.Follow {
		f = l.flushed(f)
	}
	err = read(stream, f)
	var sink *sinkError
	if err == nil || errors.As(err, &sink) {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, stdmux.ErrFormat) {
		return &classified{ErrBadAnswer, err.Error()}
	}
	return classify(verbLogs, l.id, err)
}

// flushed makes each record go out at once.
func (l *apiLog) flushed(f func(*logline.Record) error) func(*logline.Record) error {
	return func(rec *logline.Record) error {
		if err := f(rec); err != nil {
			return err
		}
		return l.sink.Flush()
	}
}

// readFrames calls f with the records of a multiplexed stream with times.
func readFrames(src io.Reader, f func(*logline.Record) error) error {
	frames := stdmux.NewReader(src)
	var (
		stamp []byte
		going bool // the frame before was not whole
	)
	for {
		frame, err := frames.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		text := frame.Data
		if !going {
			at, rest, ok := cutStamp(text)
			if ok {
				text = rest
			}
			stamp = append(stamp[:0], at...)
		}
		going = frame.More
		rec := logline.Record{Stream: frame.Stream, Stamp: stamp}
		rec.Text, rec.Partial = cutNewline(text)
		if frame.More {
			rec.Text, rec.Partial = text, true
		}
		if err := f(&rec); err != nil {
			return err
		}
	}
}

// cutNewline cuts a record's newline off.
func cutNewline(text []byte) (line []byte, partial bool) {
	line, ok := bytes.CutSuffix(text, []byte{'\n'})
	return line, !ok
}

// maxStampLen is that of the longest time before a record.
const maxStampLen = len("2006-01-02T15:04:05.000000000+00:00")

// cutStamp cuts the time off that the engine puts before a record.
func cutStamp(text []byte) (stamp, rest []byte, ok bool) {
	i := bytes.IndexByte(text[:min(len(text), maxStampLen+1)], ' ')
	if i < len("2006-01-02T15:04:05Z") || text[4] != '-' || text[10] != 'T' {
		return nil, text, false
	}
	if rec := (logline.Record{Stamp: text[:i]}); rec.Time().IsZero() {
		return nil, text, false
	}
	return text[:i], text[i+1:], true
}

// readTerminal calls f with the records of a terminal's stream with times.
// Nothing but the times tells them apart: one stands behind each newline, where
// a line that is too long for one record goes on in the next, and where an
// earlier run than that which began when the container was last started ended
// in the middle of a line.
func readTerminal(src io.Reader, started time.Time, f func(*logline.Record) error) error {
	lines := bufio.NewReaderSize(src, dockerRecord+2*maxStampLen)
	var stamp []byte
	for {
		if _, err := lines.Peek(1); err != nil {
			if err == io.EOF {
				err = nil
			}
			return err
		}
		if at := stampAt(lines, 0); at != nil {
			stamp = append(stamp[:0], at...)
			if _, err := lines.Discard(len(at) + 1); err != nil {
				return err
			}
		}
		text, err := terminalText(lines)
		for rest := text; len(rest) > 0; {
			rec := logline.Record{Stream: logline.Stdout, Stamp: stamp}
			n, next := cutRun(rest, &rec, started)
			rec.Text, rec.Partial = cutNewline(rest[:n])
			if err := f(&rec); err != nil {
				return err
			}
			if rest = rest[n:]; next > 0 {
				stamp = append(stamp[:0], rest[:next-1]...)
				rest = rest[next:]
			}
		}
		if _, err := lines.Discard(len(text)); err != nil {
			return err
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
}

// cutRun returns how much of text belongs to the record rec, and how long the
// time is, with its space, that follows; zero: none does.
func cutRun(text []byte, rec *logline.Record, started time.Time) (n, next int) {
	size := len(rec.Stamp)
	if at := rec.Time(); at.Before(started) {
		for end := size + 2; end <= len(text); end++ {
			if text[end-1] == ' ' && isNextTime(text[:end], size, at) {
				return end - size - 1, size + 1
			}
		}
	}
	return len(text), 0
}

// stampAt returns the time that stands behind n bytes, or nil. It waits for no
// more than that takes.
func stampAt(lines *bufio.Reader, n int) []byte {
	const shortest = len("2006-01-02T15:04:05Z ")
	for size := shortest; size <= maxStampLen+1; size++ {
		b, err := lines.Peek(n + size)
		if err != nil || b[n+4] != '-' || b[n+10] != 'T' {
			return nil
		}
		if stamp, _, ok := cutStamp(b[n:]); ok {
			return stamp
		}
	}
	return nil
}

// How much of a line's text engines put into one record.
const (
	dockerRecord = 16 << 10
	podmanRecord = 8 << 10
)

// terminalText returns the text up to a newline, up to where the next record
// begins, or what is there when the stream ends.
func terminalText(lines *bufio.Reader) ([]byte, error) {
	have := 0
	for {
		b, err := lines.Peek(have + 1)
		b, _ = lines.Peek(max(len(b), lines.Buffered()))
		if i := bytes.IndexByte(b[have:], '\n'); i >= 0 {
			b, err = b[:have+i+1], nil
		}
		for _, n := range [...]int{podmanRecord, dockerRecord} {
			if have <= n && len(b) > n && stampAt(lines, n) != nil {
				b, _ = lines.Peek(n)
				return b, nil
			}
		}
		b, _ = lines.Peek(len(b)) // looking ahead may have moved it
		if bytes.HasSuffix(b, []byte{'\n'}) || err != nil {
			if err == bufio.ErrBufferFull {
				err = nil
			}
			return b, err
		}
		have = len(b)
	}
}

// logPlace is a place in a log: what was given last. A stream that begins a
// little earlier tells by it what is new. A single time would not do: the two
// outputs' records may be the wrong way round by some microseconds, and
// Podman's times are whole seconds.
type logPlace struct {
	recent []placed
	newest time.Time
	left   map[placeKey]int // of recent, what a stream did not repeat yet
}

type placeKey struct {
	stamp  string
	stream logline.Stream
}

type placed struct {
	placeKey
	at time.Time
}

const (
	placeSpan = 100 * time.Millisecond // of the records that are kept
	placeMax  = 64 << 10               // how many are kept at most
)

// add moves the place on by a record.
func (p *logPlace) add(rec *logline.Record) {
	at := rec.Time()
	if at.After(p.newest) {
		p.newest = at
	}
	p.recent = append(p.recent, placed{placeKey{string(rec.Stamp), rec.Stream}, at})
	old := 0
	for old < len(p.recent)-1 && (p.recent[old].at.Before(p.newest.Add(-placeSpan)) || len(p.recent)-old > placeMax) {
		old++
	}
	p.recent = p.recent[old:]
}

// forget drops the records of a time, and reports whether any are left.
func (p *logPlace) forget(stamp string) bool {
	p.recent = slices.DeleteFunc(p.recent, func(r placed) bool { return r.stamp == stamp })
	return len(p.recent) > 0
}

// since is the time from which on a stream has to begin.
func (p *logPlace) since() (t time.Time) {
	for _, r := range p.recent {
		if t.IsZero() || r.at.Before(t) {
			t = r.at
		}
	}
	return t
}

// again begins with a stream that repeats the recent records.
func (p *logPlace) again() {
	p.left = make(map[placeKey]int, len(p.recent))
	for _, r := range p.recent {
		p.left[r.placeKey]++
	}
}

// had reports whether a stream's record is one of those.
func (p *logPlace) had(rec *logline.Record) bool {
	k := placeKey{string(rec.Stamp), rec.Stream}
	if p.left[k] == 0 {
		return false
	}
	p.left[k]--
	return true
}
