package fake

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// pipe is one direction of a connection: bytes that wait to be read. Writing
// never blocks; the engine has buffers of its own in between.
type pipe struct {
	mu     sync.Mutex
	buf    []byte
	eof    bool          // the writer is done
	broken bool          // the reader is gone
	wake   chan struct{} // closed at the next change, if somebody waits
	roomy  chan struct{} // closed once little is buffered, if somebody waits
}

// pipeSize is how much a writer that waits for room leaves unread.
const pipeSize = 1 << 20

// room waits until less than pipeSize is buffered, the reader is gone, or stop
// closes.
func (p *pipe) room(stop <-chan struct{}) {
	p.mu.Lock()
	if p.broken || len(p.buf) < pipeSize {
		p.mu.Unlock()
		return
	}
	if p.roomy == nil {
		p.roomy = make(chan struct{})
	}
	roomy := p.roomy
	p.mu.Unlock()
	select {
	case <-roomy:
	case <-stop:
	}
}

// change tells the reader to look again; the caller holds the lock.
func (p *pipe) change() {
	if p.wake != nil {
		close(p.wake)
		p.wake = nil
	}
}

func (p *pipe) write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.eof {
		return 0, io.ErrClosedPipe
	}
	if p.broken {
		return 0, syscall.EPIPE
	}
	p.buf = append(p.buf, b...)
	p.change()
	return len(b), nil
}

// finish makes the reader see the end after what is buffered.
func (p *pipe) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.eof = true
	p.change()
}

// abandon drops what is buffered and fails whoever still writes.
func (p *pipe) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken, p.buf = true, nil
	p.change()
	if p.roomy != nil {
		close(p.roomy)
		p.roomy = nil
	}
}

// read waits for bytes, the end, or one of the channels.
func (p *pipe) read(b []byte, timeout, stop <-chan struct{}) (int, error) {
	for {
		if isClosed(timeout) {
			return 0, os.ErrDeadlineExceeded
		}
		p.mu.Lock()
		switch {
		case p.broken:
			p.mu.Unlock()
			return 0, io.ErrClosedPipe
		case len(p.buf) > 0:
			n := copy(b, p.buf)
			if p.buf = p.buf[n:]; len(p.buf) == 0 {
				p.buf = nil
			}
			if p.roomy != nil && len(p.buf) < pipeSize {
				close(p.roomy)
				p.roomy = nil
			}
			p.mu.Unlock()
			return n, nil
		case p.eof:
			p.mu.Unlock()
			return 0, io.EOF
		case len(b) == 0:
			p.mu.Unlock()
			return 0, nil
		}
		if p.wake == nil {
			p.wake = make(chan struct{})
		}
		wake := p.wake
		p.mu.Unlock()
		select {
		case <-wake:
		case <-timeout:
		case <-stop:
			return 0, io.EOF
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// deadline is a channel that closes at a time that can be moved.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer // nil, or it closes c
	c     chan struct{}
}

func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.c == nil {
		d.c = make(chan struct{})
	}
	return d.c
}

// set moves the deadline. Whoever waits keeps the channel while it is open, so
// that a deadline in the past wakes them.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.c // it is being closed, or was: not to be mistaken for the new time
	}
	d.timer = nil
	if d.c == nil || isClosed(d.c) {
		d.c = make(chan struct{})
	}
	c := d.c
	switch wait := time.Until(t); {
	case t.IsZero():
	case wait > 0:
		d.timer = time.AfterFunc(wait, func() { close(c) })
	default:
		close(c)
	}
}

// conn is a connection in memory with buffers, deadlines and half-close.
type conn struct {
	in, out *pipe
	rd, wd  deadline
	name    string
	once    sync.Once
	onClose func() // may be nil
}

// newConn returns both ends of a connection.
func newConn(name string) (a, b *conn) {
	x, y := new(pipe), new(pipe)
	return &conn{in: x, out: y, name: name}, &conn{in: y, out: x, name: name}
}

func (c *conn) Read(b []byte) (int, error) { return c.in.read(b, c.rd.wait(), nil) }

func (c *conn) Write(b []byte) (int, error) {
	if isClosed(c.wd.wait()) {
		return 0, os.ErrDeadlineExceeded
	}
	return c.out.write(b)
}

// CloseWrite ends the stream to the other side; reading goes on.
func (c *conn) CloseWrite() error {
	c.out.finish()
	return nil
}

func (c *conn) Close() error {
	c.once.Do(func() {
		c.out.finish()
		c.in.abandon()
		if c.onClose != nil {
			c.onClose()
		}
	})
	return nil
}

func (c *conn) LocalAddr() net.Addr                { return addr(c.name) }
func (c *conn) RemoteAddr() net.Addr               { return addr(c.name) }
func (c *conn) SetReadDeadline(t time.Time) error  { c.rd.set(t); return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { c.wd.set(t); return nil }
func (c *conn) SetDeadline(t time.Time) error {
	c.rd.set(t)
	c.wd.set(t)
	return nil
}

// addr is the address of a connection that never left the process.
type addr string

func (addr) Network() string  { return "fake" }
func (a addr) String() string { return string(a) }
