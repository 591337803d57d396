package fake

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
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
	records []record
	rest    [3][]byte    // by stream: what is not yet a line
	since   [3]time.Time // by stream: time of the first piece of that line
	live    bool         // the container runs
	wake    chan struct{}
	path    string   // of the file; empty without Docker.Root and before the first run
	file    *os.File // open while the container runs
}

func newLogBuffer(driver string) *logBuffer { return &logBuffer{driver: driver} }

// readable tells whether logs can be read back.
func (l *logBuffer) readable() bool { return l.driver != "none" }

func (l *logBuffer) change() {
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
}

// begin starts a run. path is where the file goes; empty for none.
func (l *logBuffer) begin(path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
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
	if l.readable() {
		l.records = append(l.records, r)
	}
	if l.path == "" {
		return
	}
	f := l.file
	if f == nil {
		var err error
		if f, err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640); err != nil {
			return
		}
		defer f.Close()
	}
	line, err := json.Marshal(struct {
		Log    string    `json:"log"`
		Stream string    `json:"stream"`
		Time   time.Time `json:"time"`
	}{r.text, s.String(), r.at})
	if err == nil {
		// A full disk loses log lines and stops nothing, as in the engine.
		_, _ = f.Write(append(line, '\n'))
	}
}

// from returns the records from index i on, whether more may come, and a
// channel that tells when to look again.
func (l *logBuffer) from(i int) (records []record, live bool, wake <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wake == nil {
		l.wake = make(chan struct{})
	}
	return l.records[min(i, len(l.records)):], l.live, l.wake
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
		records, _, _ := c.logs.from(0)
		if q.tail >= 0 {
			q.next = max(0, len(records)-q.tail)
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
		records, live, wake := q.log.from(q.next)
		q.next += len(records)
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
