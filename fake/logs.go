package fake

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	timetypes "github.com/docker/docker/api/types/time"
)

// Stream is an output of a process.
type Stream int

// The two outputs.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// String is the stream's name in a log file: "stdout" or "stderr".
func (s Stream) String() string {
	if s == Stderr {
		return "stderr"
	}
	return "stdout"
}

// record is one entry of a log: a line with its newline, or a piece of one
// that is longer than 16 KiB or was never finished.
type record struct {
	at     time.Time
	stream Stream
	text   string
}

// maxRecord is where the engine cuts a line.
const maxRecord = 16 << 10

// logBuffer is the log of one container, over all its runs.
type logBuffer struct {
	driver string

	mu      sync.Mutex
	records []record // those of the files that are kept
	dropped int      // how many were before them
	files   []int    // by file, the newest last: how many records it has
	size    int64    // of the newest file
	logRotation
	rest  [3][]byte    // by stream: what is not yet a line
	since [3]time.Time // by stream: time of the first piece of that line
	live  bool         // the container runs
	wake  chan struct{}
	path  string   // of the file; empty without Docker.Root and before the first run
	file  *os.File // open while the container runs
}

func newLogBuffer(driver string) *logBuffer { return &logBuffer{driver: driver, files: []int{0}} }

// logRotation is what a json-file log is bounded by. The zero value is no
// bound.
type logRotation struct {
	maxSize  int64 // of a file that is full
	maxFiles int
	compress bool
}

// parseLogRotation reads the options as the driver does when a container is
// started.
func parseLogRotation(o map[string]string) (r logRotation, err error) {
	r.maxFiles = 1
	if v, ok := o["max-size"]; ok {
		if r.maxSize, err = parseSize(v); err != nil {
			return r, err
		}
		if r.maxSize <= 0 {
			return r, errors.New("max-size must be a positive number")
		}
	}
	if v, ok := o["max-file"]; ok {
		if r.maxFiles, err = strconv.Atoi(v); err != nil {
			return r, err
		}
		if r.maxFiles < 1 {
			return r, errors.New("max-file cannot be less than 1")
		}
	}
	if v, ok := o["compress"]; ok {
		if r.compress, err = strconv.ParseBool(v); err != nil {
			return r, err
		}
		if r.compress && (r.maxFiles == 1 || r.maxSize == 0) {
			return r, errors.New("compress cannot be true when max-file is less than 2 or max-size is not set")
		}
	}
	return r, nil
}

// parseSize reads "20k": a number and a decimal unit.
func parseSize(s string) (int64, error) {
	number, unit := strings.ToLower(s), int64(1)
	number = strings.TrimSuffix(number, "b")
	for i, suffix := range "kmgtp" {
		if n, ok := strings.CutSuffix(number, string(suffix)); ok {
			number = n
			for range i + 1 {
				unit *= 1000
			}
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		return 0, fmt.Errorf("invalid size: '%s'", s)
	}
	return int64(n * float64(unit)), nil
}

// readable tells whether logs can be read back.
func (l *logBuffer) readable() bool { return l.driver != "none" }

func (l *logBuffer) change() {
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
}

// begin starts a run. path is where the file goes; empty for none.
func (l *logBuffer) begin(path string, options map[string]string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.driver == "json-file" {
		var err error
		if l.logRotation, err = parseLogRotation(options); err != nil {
			return err
		}
	}
	if path != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o710); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
		if err != nil {
			return err
		}
		l.path, l.file = path, f
	}
	l.live = true
	return nil
}

// end closes a run: what was not finished by a newline is written as it is.
func (l *logBuffer) end(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range []Stream{Stdout, Stderr} {
		if len(l.rest[s]) > 0 {
			l.add(now, s, string(l.rest[s]))
			l.rest[s] = nil
		}
		l.since[s] = time.Time{}
	}
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
	l.live = false
	l.change()
}

// write cuts output into records.
func (l *logBuffer) write(now time.Time, s Stream, b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := append(l.rest[s], b...)
	for len(rest) > 0 {
		n := bytes.IndexByte(rest, '\n') + 1
		piece := n == 0 || n > maxRecord // a newline that does not fit is a record of its own
		if piece && len(rest) < maxRecord {
			break
		}
		if piece {
			n = min(maxRecord, len(rest))
		}
		l.add(now, s, string(rest[:n]))
		if piece && l.since[s].IsZero() {
			l.since[s] = now
		} else if !piece {
			l.since[s] = time.Time{}
		}
		rest = rest[n:]
	}
	l.rest[s] = bytes.Clone(rest)
	l.change()
}

// add appends a record; the pieces of one line carry the time of the first.
func (l *logBuffer) add(now time.Time, s Stream, text string) {
	if !l.since[s].IsZero() {
		now = l.since[s]
	}
	r := record{now.UTC(), s, text}
	line, err := json.Marshal(struct {
		Log    string    `json:"log"`
		Stream string    `json:"stream"`
		Time   time.Time `json:"time"`
	}{r.text, s.String(), r.at})
	if err != nil {
		return
	}
	if l.maxSize > 0 && l.size >= l.maxSize {
		l.rotate()
	}
	l.size += int64(len(line)) + 1
	if l.readable() {
		l.records = append(l.records, r)
		l.files[len(l.files)-1]++
	}
	if l.path == "" {
		return
	}
	f := l.file
	if f == nil {
		if f, err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640); err != nil {
			return
		}
		defer f.Close()
	}
	// A full disk loses log lines and stops nothing, as in the engine.
	_, _ = f.Write(append(line, '\n'))
}

// rotate begins a new file, and drops the oldest if there are too many.
func (l *logBuffer) rotate() {
	l.size = 0
	l.files = append(l.files, 0)
	for len(l.files) > l.maxFiles {
		n := l.files[0]
		l.records, l.dropped, l.files = l.records[n:], l.dropped+n, l.files[1:]
	}
	if l.path == "" {
		return
	}
	open := l.file != nil
	if open {
		l.file.Close()
		l.file = nil
	}
	suffix := ""
	if l.compress {
		suffix = ".gz"
	}
	name := func(i int) string { return fmt.Sprintf("%s.%d%s", l.path, i, suffix) }
	if l.maxFiles == 1 {
		_ = os.Truncate(l.path, 0)
	} else {
		_ = os.Remove(name(l.maxFiles - 1))
		for i := l.maxFiles - 1; i > 1; i-- {
			_ = os.Rename(name(i-1), name(i))
		}
		_ = os.Rename(l.path, l.path+".1")
		if l.compress {
			compressFile(l.path + ".1")
		}
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	switch {
	case err != nil:
	case open:
		l.file = f
	default:
		f.Close()
	}
}

// compressFile puts name.gz in the place of a file. What fails leaves it.
func compressFile(name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		return
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(text) // to memory
	_ = z.Close()
	if os.WriteFile(name+".gz", b.Bytes(), 0o640) == nil {
		_ = os.Remove(name)
	}
}

// from returns the records from the i-th on, of those that are kept, the index
// of the one after them, whether more may come, and a channel that tells when
// to look again.
func (l *logBuffer) from(i int) (records []record, next int, live bool, wake <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wake == nil {
		l.wake = make(chan struct{})
	}
	i = max(0, i-l.dropped)
	return l.records[min(i, len(l.records)):], l.dropped + len(l.records), l.live, l.wake
}

// ContainerLogs returns the log as a stream: as it is if the container has a
// terminal, else in frames that name the stream.
func (d *Docker) ContainerLogs(ctx context.Context, containerID string, o container.LogsOptions) (io.ReadCloser, error) {
	return do(ctx, d, OpContainerLogs, containerID, func() (io.ReadCloser, error) {
		id, err := clientID(containerID)
		if err != nil {
			return nil, err
		}
		since, err := d.clientTime("since", o.Since)
		if err != nil {
			return nil, err
		}
		until, err := d.clientTime("until", o.Until)
		if err != nil {
			return nil, err
		}
		d.lock()
		defer d.mu.Unlock()
		if !o.ShowStdout && !o.ShowStderr {
			return nil, Invalid("Bad parameters: you must choose at least one stream")
		}
		c, err := d.find(id)
		if err != nil {
			return nil, err
		}
		if !c.logs.readable() {
			return nil, notImplemented("configured logging driver does not support reading")
		}
		if c.logs.driver == "journald" {
			return nil, Internal("journald is not enabled on this host")
		}
		q := logQuery{
			log: c.logs, raw: c.cfg.Tty, since: since, until: until,
			stdout: o.ShowStdout, stderr: o.ShowStderr, stamps: o.Timestamps, details: o.Details,
			tail: -1, follow: o.Follow, ctx: ctx, down: d.down, closed: make(chan struct{}),
		}
		if n, err := strconv.Atoi(o.Tail); err == nil && n >= 0 {
			q.tail = n
		}
		if _, end, _, _ := c.logs.from(0); q.tail >= 0 {
			q.next = max(0, end-q.tail)
		}
		return &q, nil
	})
}

// clientTime reads a point in time as the client and the engine do together.
func (d *Docker) clientTime(name, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	text, err := timetypes.GetTimestamp(value, d.now())
	if err != nil {
		return time.Time{}, fmt.Errorf("invalid value for %q: %w", name, err)
	}
	s, n, err := timetypes.ParseTimestamps(text, 0)
	if err != nil || s == 0 && n == 0 {
		return time.Time{}, err
	}
	return time.Unix(s, n), nil
}

// logQuery is a log being read.
type logQuery struct {
	log             *logBuffer
	raw             bool
	stdout, stderr  bool
	stamps, details bool
	since, until    time.Time
	tail            int
	follow          bool
	ctx             context.Context
	down            chan struct{}

	next   int // index of the next record
	buf    bytes.Buffer
	done   bool
	mu     sync.Mutex // one reader at a time
	closed chan struct{}
	once   sync.Once
}

// Close ends the stream; a Read that waits returns.
func (q *logQuery) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

func (q *logQuery) Read(b []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.buf.Len() == 0 && !q.done {
		if isClosed(q.closed) {
			return 0, io.ErrClosedPipe
		}
		if err := q.ctx.Err(); err != nil {
			return 0, err
		}
		records, next, live, wake := q.log.from(q.next)
		q.next = max(q.next, next)
		for _, r := range records {
			q.put(r)
		}
		switch {
		case q.buf.Len() > 0:
		case !q.follow || !live:
			q.done = true
		default:
			select {
			case <-wake:
			case <-q.closed:
			case <-q.down:
				q.done = true
			case <-q.ctx.Done():
			}
		}
	}
	if q.buf.Len() == 0 {
		return 0, io.EOF
	}
	return q.buf.Read(b)
}

// put writes a record that was asked for.
func (q *logQuery) put(r record) {
	switch {
	case !q.since.IsZero() && r.at.Before(q.since):
		return
	case !q.until.IsZero() && r.at.After(q.until):
		q.done = true
		return
	case q.done, r.stream == Stdout && !q.stdout, r.stream == Stderr && !q.stderr:
		return
	}
	text := r.text
	if q.details {
		text = " " + text
	}
	if q.stamps {
		text = r.at.Format("2006-01-02T15:04:05.000000000Z07:00") + " " + text
	}
	if q.raw {
		q.buf.WriteString(text)
		return
	}
	q.buf.Write(frame(r.stream, []byte(text)))
}

// frame puts Docker's eight-byte header before a piece of a stream.
func frame(s Stream, b []byte) []byte {
	out := make([]byte, 8, 8+len(b))
	out[0] = byte(s)
	binary.BigEndian.PutUint32(out[4:], uint32(len(b)))
	return append(out, b...)
}
