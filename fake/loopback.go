package fake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// loopback is the localhost of a network namespace: the containers of a pod
// share one.
type loopback struct {
	mu     sync.Mutex
	listen map[int]*listener
	next   int
}

func newLoopback() *loopback { return &loopback{listen: map[int]*listener{}, next: 32768} }

// listener is a net.Listener on a loopback.
type listener struct {
	lo    *loopback
	port  int
	queue chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *loopback) open(port int) (*listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if port == 0 {
		for l.listen[l.next] != nil {
			l.next++
		}
		port = l.next
		l.next++
	}
	if port < 0 || port > 65535 {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: errors.New("invalid port")}
	}
	if l.listen[port] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: localAddr(port), Err: syscall.EADDRINUSE}
	}
	n := &listener{lo: l, port: port, queue: make(chan net.Conn, 128), done: make(chan struct{})}
	l.listen[port] = n
	return n, nil
}

func (l *loopback) dial(ctx context.Context, port int, stop <-chan struct{}) (net.Conn, error) {
	l.mu.Lock()
	n := l.listen[port]
	l.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: localAddr(port), Err: syscall.ECONNREFUSED}
	if n == nil {
		return nil, refused
	}
	here, there := newConn(fmt.Sprintf("127.0.0.1:%d", port))
	select {
	case n.queue <- there:
		if isClosed(n.done) { // nobody accepts it, if the queue was drained before
			here.Close()
			there.Close()
			return nil, refused
		}
		return here, nil
	case <-n.done:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-stop:
		return nil, net.ErrClosed
	}
}

func localAddr(port int) net.Addr { return addr("127.0.0.1:" + strconv.Itoa(port)) }

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
}

func (l *listener) Addr() net.Addr { return localAddr(l.port) }

func (l *listener) Close() error {
	l.once.Do(func() {
		l.lo.mu.Lock()
		defer l.lo.mu.Unlock()
		delete(l.lo.listen, l.port)
		close(l.done)
		for {
			select {
			case c := <-l.queue:
				c.Close()
			default:
				return
			}
		}
	})
	return nil
}
