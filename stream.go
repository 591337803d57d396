package dockpod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types"

	"github.com/dockpod/dockpod/internal/stdmux"
)

// session carries the streams of a process between the engine and the caller.
type session struct {
	conn types.HijackedResponse
	tty  bool // one raw stream in place of frames

	stdin      io.Reader // nil: none
	closeStdin bool      // pass its end on
	stdinOnly  bool      // end with it

	stdout, stderr *sink

	stuck bool // after run: a writer blocks still
}

// errStreamCut: the engine's stream ended in the middle, or in its own error.
var errStreamCut = errors.New("stream was cut")

const (
	// drainTime is how long the engine may take to end a session whose input,
	// which is all of it, has ended.
	drainTime = 5 * time.Second
	// writerTime is how long a writer that blocks is waited for after the end
	// of the session.
	writerTime = time.Second
)

// run carries the streams until the engine ends them, one of the caller's
// fails, or ctx ends. Then nothing of it is left, but for a Read or Write of
// the caller's that does not return.
func (s *session) run(ctx context.Context) error {
	out := make(chan error, 1)
	go func() { out <- s.output() }()
	var in <-chan error
	var src *source
	if s.stdin != nil {
		src = &source{r: s.stdin, done: make(chan error, 1)}
		in = src.done
		go func() { src.done <- s.input(src) }()
	}
	var late <-chan time.Time
	var err error
	for waiting := true; waiting; {
		select {
		case err = <-out:
			out, waiting = nil, false
		case err = <-in:
			src, in = nil, nil
			waiting = err == nil
			if waiting && s.stdinOnly {
				t := time.NewTimer(drainTime)
				defer t.Stop()
				late = t.C
			}
		case <-late:
			waiting = false
		case <-ctx.Done():
			err, waiting = ctx.Err(), false
		}
	}
	s.conn.Close() // ends every read and write on it
	if src != nil {
		src.stop()
	}
	stuck := s.stdout.shut()
	stuck = s.stderr.shut() || stuck
	if out == nil {
		return err
	}
	if !stuck {
		<-out
		return err
	}
	t := time.NewTimer(writerTime)
	defer t.Stop()
	select {
	case <-out:
	case <-t.C:
		s.stuck = true
		err = fmt.Errorf("%w, and a writer of the output still blocks", err)
	}
	return err
}

// output copies what the process writes until the stream ends.
func (s *session) output() error {
	var err error
	if s.tty {
		_, err = io.Copy(s.stdout, s.conn.Reader)
	} else {
		_, err = stdmux.Copy(s.stdout, s.stderr, s.conn.Reader)
	}
	for _, w := range []*sink{s.stdout, s.stderr} {
		if w.err != nil {
			return fmt.Errorf("write output: %w", w.err)
		}
	}
	var said stdmux.EngineError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &said):
		return &classified{ErrBadAnswer, bounded(said.Error())}
	}
	return errStreamCut
}

// input copies the caller's input until its end.
func (s *session) input(src *source) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.read(buf)
		if n > 0 {
			if _, err := s.conn.Conn.Write(buf[:n]); err != nil {
				return nil // the process reads no more; its output tells the rest
			}
		}
		switch {
		case err == io.EOF:
			if s.closeStdin || s.stdinOnly {
				_ = s.conn.CloseWrite() // a connection that has failed shows in the output
			}
			return nil
		case err == errStopped:
			return nil
		case err != nil:
			return fmt.Errorf("read input: %w", err)
		}
	}
}

// source is the caller's input, which may block for ever.
type source struct {
	r    io.Reader
	done chan error // gets a value when nobody reads it any more

	mu      sync.Mutex
	stopped bool
	reading bool
}

var errStopped = errors.New("session has ended")

func (s *source) read(p []byte) (int, error) {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return 0, errStopped
	}
	s.reading = true
	s.mu.Unlock()
	n, err := s.r.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = false
	return n, err
}

// stop has nobody read the source any more, as far as it can be had.
func (s *source) stop() {
	s.mu.Lock()
	s.stopped = true
	reading := s.reading
	s.mu.Unlock()
	if reading {
		d, ok := s.r.(interface{ SetReadDeadline(time.Time) error })
		if !ok || isOneOfMany(s.r) || d.SetReadDeadline(time.Unix(1, 0)) != nil {
			return // it ends with its Read
		}
		defer func() { _ = d.SetReadDeadline(time.Time{}) }()
	}
	<-s.done
}

// isOneOfMany reports whether a reader is a stream of SPDY, in which the
// kubelet's clients bring input: its deadline is that of the connection, and
// ends every other stream on it.
func isOneOfMany(r io.Reader) bool {
	_, is := r.(interface {
		Identifier() uint32
		Headers() http.Header
	})
	return is
}

// sink is a writer of the caller's, which may block for ever.
type sink struct {
	w io.Writer // nil discards

	mu      sync.Mutex
	closed  bool
	writing bool
	err     error // the writer's first; read it when the output has ended
}

func newSink(w io.Writer) *sink { return &sink{w: w} }

func (s *sink) Write(p []byte) (int, error) {
	if s.w == nil {
		return len(p), nil
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return 0, errStopped
	}
	s.writing = true
	s.mu.Unlock()
	n, err := s.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
	if s.err == nil {
		s.err = err
	}
	return min(n, len(p)), err // some count what they made of it
}

// shut has nothing written any more, and tells whether a write is under way.
func (s *sink) shut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.writing
}

// said passes output on and remembers its beginning, where an engine says that
// it could not run the process. It may hold back what looks like such words:
// the caller's writer is no place for them.
type said struct {
	w     io.Writer // nil discards
	holds bool

	head []byte
	any  atomic.Bool // something was written
}

// maxSaid is how much is remembered; no engine's words are longer.
const maxSaid = 4 << 10

// failedExecWords are the beginnings of what Docker writes to the standard output
// of a process that it could not run.
var failedExecWords = []string{"OCI runtime exec failed: ", "unable to find user ", "unable to find group "}

func newSaid(w io.Writer) *said { return &said{w: w} }

func (s *said) Write(p []byte) (int, error) {
	s.any.Store(true)
	if room := maxSaid - len(s.head); room > 0 {
		s.head = append(s.head, p[:min(room, len(p))]...)
		if s.holds && len(s.head) < maxSaid && mayBegin(string(s.head), failedExecWords) {
			return len(p), nil
		}
		if s.holds {
			// What is held back came before p.
			before := s.head[:len(s.head)-min(room, len(p))]
			s.holds = false
			if err := s.pass(before); err != nil {
				return 0, err
			}
		}
	}
	if err := s.pass(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *said) pass(p []byte) error {
	if s.w == nil || len(p) == 0 {
		return nil
	}
	n, err := s.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// beginning returns what was written first.
func (s *said) beginning() string { return string(s.head) }

// held tells how much is held back.
func (s *said) held() int {
	if !s.holds {
		return 0
	}
	return len(s.head)
}

// release passes on what is held back.
func (s *said) release() error {
	s.holds = false
	return s.pass(s.head)
}

// mayBegin reports whether text begins with one of these, or will if it goes
// on.
func mayBegin(text string, with []string) bool {
	for _, w := range with {
		if strings.HasPrefix(text, w) || strings.HasPrefix(w, text) {
			return true
		}
	}
	return false
}

// followSizes sets the sizes of a terminal, first and those that come, until
// stop is called, which waits for it. While one is being set, only the last of
// those that come is kept. What cannot be set is tried a few times: right
// after its start a process may have no terminal yet.
func followSizes(ctx context.Context, first TerminalSize, sizes <-chan TerminalSize, set func(context.Context, TerminalSize) error) (stop func()) {
	if first.isZero() && sizes == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		next := first
		var busy chan struct{} // nil: idle
		for {
			if busy == nil && !next.isZero() {
				size, done := next, make(chan struct{})
				next, busy = TerminalSize{}, done
				go func() {
					defer close(done)
					trySize(ctx, size, set)
				}()
			}
			if busy == nil && sizes == nil {
				return
			}
			select {
			case size, ok := <-sizes:
				switch {
				case !ok:
					sizes = nil
				case !size.isZero():
					next = size
				}
			case <-busy:
				busy = nil
			case <-ctx.Done():
				if busy != nil {
					<-busy
				}
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// sizeTries is how often the setting of a size is tried.
const sizeTries = 6

func trySize(ctx context.Context, size TerminalSize, set func(context.Context, TerminalSize) error) {
	pause := newBackoff(10*time.Millisecond, 160*time.Millisecond)
	for range sizeTries {
		if set(ctx, size) == nil || pause.sleep(ctx) != nil {
			return
		}
	}
}
