package dockpod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/containerd/errdefs"
)

// ErrConnectionRefused: nothing listens on a pod's port.
// errors.Is(err, syscall.ECONNREFUSED) holds where that was the answer. Class
// Unavailable.
var ErrConnectionRefused = newSentinel("connection refused", errdefs.ErrUnavailable)

// PodDialer is implemented by an engine that can connect to a port of the
// localhost in a container's network namespace. Docker and Podman have no such
// call: on their own host the namespace is entered. fake.Docker has it.
type PodDialer interface {
	ContainerDial(ctx context.Context, containerID string, port int) (net.Conn, error)
}

// refusedPort is a refused connection, with the system's own error inside.
type refusedPort struct {
	port int
	err  error
}

func (e *refusedPort) Error() string {
	return fmt.Sprintf("nothing listens on port %d of the pod: %v", e.port, e.err)
}

func (e *refusedPort) Unwrap() []error { return []error{ErrConnectionRefused, e.err} }

// errElsewhere: a process cannot be reached from here: it is another
// machine's, another user's, or this is no Linux.
var errElsewhere = errors.New("the engine's processes cannot be reached from here")

// DialPod connects to a TCP port of a pod's localhost, 127.0.0.1 first and
// then ::1, whatever the pod publishes. The connection is a *net.TCPConn
// unless the engine is a [PodDialer]; it does not end with ctx.
//
// The error is [ErrConnectionRefused] if nothing listens, [ErrNotRunning] if
// the sandbox does not run, and [ErrUnsupported] unless this process is on
// the engine's host, a Linux machine, and may enter the pod's network
// namespace, as root may.
func (r *Runtime) DialPod(ctx context.Context, sandboxID string, port int) (conn net.Conn, err error) {
	ctx, end := r.begin(ctx, "dial pod", sandboxID)
	defer end(&err)
	return r.dialPod(ctx, sandboxID, port)
}

func (r *Runtime) dialPod(ctx context.Context, sandboxID string, port int) (net.Conn, error) {
	if port < 1 || port > 65535 {
		return nil, &FieldError{"port", fmt.Sprintf("%d; want 1 to 65535", port)}
	}
	info, err := r.inspect(ctx, sandboxID, TypeSandbox)
	if err != nil {
		return nil, err
	}
	if err := notRunning(info); err != nil && !errors.Is(err, ErrPaused) {
		return nil, err
	}
	var conn net.Conn
	if d, ok := r.docker.(PodDialer); ok {
		conn, err = d.ContainerDial(ctx, info.ID, port)
	} else {
		conn, err = dialNamespace(ctx, info.State.Pid, info.ID, port, func() error {
			// Its PID may have become another's since the inspection.
			now, err := r.inspectAny(ctx, info.ID)
			switch {
			case err != nil:
				return err
			case now.State == nil || notRunning(now) != nil && !now.State.Paused || now.State.Pid != info.State.Pid:
				return ErrNotRunning
			}
			return nil
		})
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, &refusedPort{port, err}
	case errors.Is(err, errElsewhere), errors.Is(err, fs.ErrPermission):
		return nil, &UnsupportedError{"a connection into the pod", fmt.Sprintf("it takes a process on the engine's host that may enter the pod's network namespace: %v", err)}
	}
	return conn, err
}

// PortForwardOptions changes what [Runtime.PortForward] does.
type PortForwardOptions struct {
	// Helper is a command that connects its standard streams to a port of
	// its localhost, "{port}" in its words, and is run in the container
	// ContainerID of the pod where the pod's network cannot be entered:
	// {"socat", "-", "TCP4:localhost:{port}"} for example. Nil: none.
	Helper      []string
	ContainerID string
}

// PortForward connects stream and a TCP port of a pod's localhost, until both
// directions have ended or the context ends, and closes stream. A side that
// ends is half-closed on the other; a stream without CloseWrite is closed as
// soon as the pod's side has ended. Closing stream has to end its Read and
// Write.
//
// The errors are those of [Runtime.DialPod], of stream, and of the helper:
// [ErrConnectionRefused] if that says so, or its exit code.
func (r *Runtime) PortForward(ctx context.Context, sandboxID string, port int, stream io.ReadWriteCloser, o PortForwardOptions) (err error) {
	ctx, end := r.beginLimit(ctx, "forward port", sandboxID, -1)
	defer end(&err)
	closeStream := sync.OnceValue(stream.Close)
	defer closeStream()
	var conn net.Conn
	err = r.request(ctx, func(ctx context.Context) (err error) {
		conn, err = r.dialPod(ctx, sandboxID, port)
		return err
	})
	switch {
	case err == nil:
		return forward(ctx, conn, stream, closeStream)
	case errors.Is(err, ErrUnsupported) && len(o.Helper) > 0:
		return r.forwardByHelper(ctx, sandboxID, port, stream, closeStream, o)
	}
	return err
}

// closeWriter is a connection that can be closed in one direction.
type closeWriter interface{ CloseWrite() error }

// forward copies both ways between a pod and a caller.
func forward(ctx context.Context, conn net.Conn, stream io.ReadWriter, closeStream func() error) error {
	cut := func() {
		conn.Close()
		_ = closeStream() // the copies show what went wrong
	}
	defer cut()
	stop := context.AfterFunc(ctx, cut)
	defer stop()
	type ending struct {
		err    error
		failed bool // the stream did, and not the pod
	}
	in := make(chan ending, 1)
	go func() {
		src := &noted{Reader: stream}
		_, err := io.Copy(conn, src)
		if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || isClosedErr(err) {
			err = nil // the pod does not want to hear more
		}
		if src.err != nil {
			err = src.err
			cut() // nobody is there any more for the pod to answer
		}
		if c, ok := conn.(closeWriter); ok {
			_ = c.CloseWrite()
		}
		in <- ending{err, src.err != nil}
	}()
	_, err := io.Copy(stream, conn)
	half, ok := stream.(closeWriter)
	switch {
	case err != nil:
		cut()
	case !ok:
		_ = closeStream()
	default:
		err = half.CloseWrite()
	}
	toPod := <-in
	switch {
	case ctx.Err() != nil && !stop():
		return ctx.Err()
	case err != nil && !(toPod.failed && isClosedErr(err)):
		return fmt.Errorf("copy from the pod: %w", err)
	case isClosedErr(toPod.err):
		return nil // by the caller
	case toPod.err != nil && (ok || err != nil): // otherwise it was closed under the copy
		return fmt.Errorf("copy to the pod: %w", toPod.err)
	}
	return nil
}

// isClosedErr reports whether a connection was closed on this side.
func isClosedErr(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}

// noted is a reader that remembers why it failed.
type noted struct {
	io.Reader
	err error
}

func (n *noted) Read(p []byte) (int, error) {
	got, err := n.Reader.Read(p)
	if err != nil && err != io.EOF {
		n.err = err
	}
	return got, err
}

// forwardByHelper has a command in a container of the pod carry the bytes.
func (r *Runtime) forwardByHelper(ctx context.Context, sandboxID string, port int, stream io.ReadWriter, closeStream func() error, o PortForwardOptions) error {
	var command []string
	for _, word := range o.Helper {
		command = append(command, strings.ReplaceAll(word, "{port}", strconv.Itoa(port)))
	}
	err := r.request(ctx, func(ctx context.Context) error {
		sandbox, err := r.inspect(ctx, sandboxID, TypeSandbox)
		if err != nil {
			return err
		}
		info, err := r.running(ctx, o.ContainerID)
		if err == nil && info.Config.Labels[LabelSandboxID] != sandbox.ID {
			err = &FieldError{"ContainerID", "it is not of this pod"}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("helper's container %q: %w", o.ContainerID, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = closeStream() })
	defer stop()
	stderr := capped{limit: maxErrorText}
	code, err := r.exec(ctx, o.ContainerID, ExecOptions{Command: command, Stdin: stream, Stdout: stream, Stderr: &stderr, Kill: true})
	if err != nil {
		return fmt.Errorf("helper %q: %w", command[0], err)
	}
	if code == 0 {
		return nil
	}
	text := strings.TrimSpace(string(stderr.kept))
	if strings.Contains(strings.ToLower(text), "connection refused") {
		return &refusedPort{port, errors.New(text)}
	}
	return fmt.Errorf("helper %q ended with code %d: %s", command[0], code, text)
}
