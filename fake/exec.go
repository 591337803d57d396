package fake

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
)

// execution is an exec. It is found by its ID until its container stops, if it
// was never started, or is removed.
type execution struct {
	id      string
	c       *ctr
	opts    container.ExecOptions
	started bool
	running bool
	code    int
	pid     int
	size    container.ResizeOptions
	sizes   []container.ResizeOptions // all that were set
	task    *task
	ready   chan struct{} // closed when it starts
	done    *event
}

// ContainerExecCreate prepares a process in a running container.
func (d *Docker) ContainerExecCreate(ctx context.Context, containerID string, o container.ExecOptions) (container.ExecCreateResponse, error) {
	return onContainer(ctx, d, OpContainerExecCreate, containerID, func(c *ctr) (none container.ExecCreateResponse, err error) {
		if len(o.Cmd) == 0 {
			return none, Invalid("No exec command specified")
		}
		if err := execable(c); err != nil {
			return none, err
		}
		if !keysOK(o.DetachKeys) {
			return none, Internal("Invalid escape keys (%s) provided", o.DetachKeys)
		}
		if d.has(execSince28) {
			if err := c.image.checkUser(cmp.Or(o.User, c.cfg.User)); err != nil {
				return none, Invalid("%s", err)
			}
		}
		x := &execution{id: d.newID("exec"), c: c, ready: make(chan struct{}), done: newEvent()}
		if err := recode(o, &x.opts); err != nil {
			return none, err
		}
		d.execs[x.id] = x
		c.execs[x.id] = x
		c.allExecs = append(c.allExecs, x.id)
		d.containerEvent(c, "exec_create: "+strings.Join(o.Cmd, " "), "execID", x.id)
		return container.ExecCreateResponse{ID: x.id}, nil
	})
}

// resized records the size of a terminal.
func (x *execution) resized(size container.ResizeOptions) {
	x.size = size
	x.sizes = append(x.sizes, size)
}

func execable(c *ctr) error {
	switch {
	case !c.running:
		return Conflict("Container %s is not running", c.id)
	case c.paused:
		return Conflict("Container %s is paused, unpause the container before exec", c.id)
	}
	return nil
}

// execSince28 is the API version of Docker 28.5, whose execs differ from those
// of 20.10 in two points: an unknown user is refused at the creation, and the
// exit code of a missing command is 127.
const execSince28 = "1.51"

// ContainerExecStart starts an exec. With Detach it returns what went wrong.
// Without, it returns nil even if the command could not be run, because the
// engine says so in a stream that nobody reads; it returns at once, or at the
// end of an exec that has streams.
func (d *Docker) ContainerExecStart(ctx context.Context, execID string, o container.ExecStartOptions) error {
	return do0(ctx, d, OpContainerExecStart, execID, func() error {
		d.lock()
		x, err := d.startable(execID)
		if err != nil {
			d.mu.Unlock()
			return err
		}
		err = d.execStart(x, nil, o)
		d.mu.Unlock()
		switch {
		case o.Detach:
			return err
		case err != nil, !x.opts.AttachStdin && !x.opts.AttachStdout && !x.opts.AttachStderr:
			return nil
		}
		return d.await(ctx, OpContainerExecStart, x.done)
	})
}

// ContainerExecAttach starts an exec and returns its streams: one stream if it
// has a terminal, else frames. A command that cannot be run, or an exec that
// was started before, is reported in the stream, as Docker 20.10 does.
func (d *Docker) ContainerExecAttach(ctx context.Context, execID string, o container.ExecAttachOptions) (types.HijackedResponse, error) {
	return do(ctx, d, OpContainerExecAttach, execID, func() (types.HijackedResponse, error) {
		var none types.HijackedResponse
		d.lock()
		defer d.mu.Unlock()
		x, err := d.startable(execID)
		if err != nil {
			return none, unclassified("unable to upgrade to tcp, received %d", statusOf(err))
		}
		here, there := newConn("exec " + x.id[:12])
		if err := d.execStart(x, there, o); err != nil {
			text := strings.TrimPrefix(err.Error(), "Error response from daemon: ") + "\r\n"
			out := []byte(text)
			if !o.Tty {
				out = frame(Stdout, out)
			}
			_, _ = there.Write(out)
			there.Close()
		}
		return types.NewHijackedResponse(here, ""), nil
	})
}

// startable finds an exec whose container is in a state to start it.
func (d *Docker) startable(id string) (*execution, error) {
	x, ok := d.execs[id]
	if !ok {
		return nil, NotFound("exec", id)
	}
	if !x.started {
		if err := execable(x.c); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// execStart starts an exec with its streams at to, which may be nil.
func (d *Docker) execStart(x *execution, to *conn, o container.ExecStartOptions) error {
	switch {
	case x.running:
		return Conflict("Error: Exec command %s is already running", x.id)
	case x.started:
		return Conflict("Error: Exec command %s has already run", x.id)
	}
	x.started = true
	close(x.ready)
	c := x.c
	d.containerEvent(c, "exec_start: "+strings.Join(x.opts.Cmd, " "), "execID", x.id)
	t := d.newTask(c, x.opts.Cmd, cmp.Or(x.opts.User, c.cfg.User), x.opts.Tty, x.opts.Env)
	t.exec, t.stdin = x, nil
	t.console = newConsole(d, x.opts.Tty, nil)
	x.task = t
	if d.has("1.42") {
		for _, size := range []*[2]uint{x.opts.ConsoleSize, o.ConsoleSize} {
			if size != nil {
				x.resized(container.ResizeOptions{Height: size[0], Width: size[1]})
			}
		}
	}
	fail := func(code int, err error) error {
		d.execEnded(x, code)
		return err
	}
	if err := c.image.checkUser(t.user); err != nil {
		return fail(126, Internal("%s", err))
	}
	if dir := x.opts.WorkingDir; dir != "" {
		if !path.IsAbs(dir) {
			return fail(126, Internal("OCI runtime exec failed: exec failed: Cwd must be an absolute path: unknown"))
		}
		if files := c.image.known(); files != nil && !files.isDir(dir) {
			return fail(126, Internal("OCI runtime exec failed: exec failed: unable to start container process: chdir to cwd (%q) set in config.json failed: no such file or directory: unknown", dir))
		}
		t.dir = dir
	}
	for _, e := range x.opts.Env {
		if key(e) == "" {
			return fail(126, Internal("OCI runtime exec failed: exec failed: unable to start container process: environment variable name can't be empty: %q: unknown", e))
		}
	}
	if reason, code := d.resolve(t, t.dir); code != 0 {
		if !d.has(execSince28) {
			code = 126
		}
		return fail(code, Invalid("OCI runtime exec failed: exec failed: unable to start container process: %s: unknown", reason))
	}
	x.running, x.pid = true, d.newPid()
	if to != nil {
		t.console.listen(to, listening{x.opts.AttachStdout || x.opts.Tty, x.opts.AttachStderr})
		if x.opts.AttachStdin {
			t.stdin = new(pipe)
			d.spawn(func() { copyInput(t.stdin, to, x.opts.Tty, t.console, t.interrupt, true) })
		}
	}
	if t.main == nil {
		// Nobody said what it does: it does nothing, and has done it.
		d.execEnded(x, 0)
		return nil
	}
	d.run(t)
	return nil
}

// interrupt is what Ctrl-C does to the process on a terminal.
func (t *task) interrupt() {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	code, ends := t.receive(sigINT)
	switch {
	case !ends:
	case t.exec != nil:
		t.d.execEnded(t.exec, code)
	case t.c.main == t:
		t.d.exited(t.c, code)
	}
}

// execEnded records the end of an exec; the caller holds the lock.
func (d *Docker) execEnded(x *execution, code int) {
	delete(x.c.execs, x.id)
	if !x.started {
		delete(d.execs, x.id) // its container stopped
		return
	}
	if isClosed(x.done.done) {
		return
	}
	x.running, x.code = false, code
	if x.pid != 0 {
		d.containerEvent(x.c, "exec_die", "execID", x.id, "exitCode", decimal(code))
	}
	x.task.end()
	x.task.console.end()
	if x.task.stdin != nil {
		x.task.stdin.abandon()
	}
	x.done.happen(code)
}

// ContainerExecInspect returns the state of an exec.
func (d *Docker) ContainerExecInspect(ctx context.Context, execID string) (container.ExecInspect, error) {
	return do(ctx, d, OpContainerExecInspect, execID, func() (container.ExecInspect, error) {
		d.lock()
		defer d.mu.Unlock()
		x, ok := d.execs[execID]
		if !ok {
			return container.ExecInspect{}, NotFound("exec", execID)
		}
		return container.ExecInspect{ExecID: x.id, ContainerID: x.c.id, Running: x.running, ExitCode: x.code, Pid: x.pid}, nil
	})
}

// execReady is how long the engine waits for an exec to start before it
// refuses to resize it.
const execReady = 10 * time.Second

// ContainerExecResize records the size of an exec's terminal, see
// [Docker.TerminalSize].
func (d *Docker) ContainerExecResize(ctx context.Context, execID string, o container.ResizeOptions) error {
	return do0(ctx, d, OpContainerExecResize, execID, func() error {
		d.lock()
		x, ok := d.execs[execID]
		d.mu.Unlock()
		if !ok {
			return NotFound("exec", execID)
		}
		timer := time.NewTimer(execReady)
		defer timer.Stop()
		select {
		case <-x.ready:
		case <-ctx.Done():
			return ended(ctx, OpContainerExecResize)
		case <-timer.C:
			return Internal("timeout waiting for exec session ready")
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if x.running {
			x.resized(o)
			x.task.receive(signals["WINCH"])
		}
		return nil
	})
}

// ContainerAttach returns the streams of a container from now on; with Logs,
// what it has written before comes first. A container that does not run is
// attached to its next run.
func (d *Docker) ContainerAttach(ctx context.Context, containerID string, o container.AttachOptions) (types.HijackedResponse, error) {
	return do(ctx, d, OpContainerAttach, containerID, func() (types.HijackedResponse, error) {
		var none types.HijackedResponse
		id, err := clientID(containerID)
		if err != nil {
			return none, err
		}
		d.lock()
		defer d.mu.Unlock()
		c, err := d.find(id)
		switch {
		case !keysOK(o.DetachKeys):
			err = Invalid("Invalid detach keys (%s) provided", o.DetachKeys)
		case err == nil && c.paused:
			err = Conflict("container %s is paused, unpause the container before attach", c.id)
		}
		if err != nil {
			return none, unclassified("unable to upgrade to tcp, received %d", statusOf(err))
		}
		here, there := newConn("attach " + c.id[:12])
		d.containerEvent(c, "attach")
		d.attach(c, there, o)
		return types.NewHijackedResponse(here, ""), nil
	})
}

func (d *Docker) attach(c *ctr, to *conn, o container.AttachOptions) {
	if o.Logs && c.logs.readable() {
		records, _, _, _ := c.logs.from(0)
		for _, r := range records {
			if r.stream == Stdout && !o.Stdout || r.stream == Stderr && !o.Stderr {
				continue
			}
			b := []byte(r.text)
			if !c.cfg.Tty {
				b = frame(r.stream, b)
			}
			_, _ = to.Write(b)
		}
	}
	input := o.Stdin && c.stdin != nil
	if !o.Stream || !o.Stdout && !o.Stderr && !input {
		to.Close()
		return
	}
	if o.Stdout || o.Stderr {
		c.console.listen(to, listening{o.Stdout, o.Stderr})
	} else {
		c.console.listen(to, listening{})
	}
	if !input {
		return
	}
	stdin, once, tty, alone := c.stdin, c.cfg.StdinOnce, c.cfg.Tty, !o.Stdout && !o.Stderr
	d.spawn(func() {
		copyInput(stdin, to, tty, c.console, func() { d.interruptMain(c) }, once)
		if alone {
			c.console.leave(to)
			to.Close()
		}
	})
}

func (d *Docker) interruptMain(c *ctr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.signal(c, sigINT)
}

// copyInput carries what an attached client writes to a process. The end of it
// is the end of the process's input if closeAtEnd says so.
func copyInput(stdin *pipe, from *conn, tty bool, out *console, interrupt func(), closeAtEnd bool) {
	var line []byte
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if tty {
			line = typed(line, buf[:n], stdin, out, interrupt)
		} else if n > 0 {
			if _, err := stdin.write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if closeAtEnd && err == io.EOF {
				stdin.finish()
			}
			return
		}
	}
}

// typed is a terminal in its usual mode: it echoes, hands over whole lines,
// takes Enter for a newline, Ctrl-D for the end and Ctrl-C for a signal. It
// returns the line that was begun.
func typed(line, b []byte, stdin *pipe, out *console, interrupt func()) []byte {
	const (
		ctrlC     = 0x03
		ctrlD     = 0x04
		backspace = 0x7f
	)
	echo := func(b ...byte) { _ = out.write(nil, Stdout, b) }
	for _, x := range b {
		switch x {
		case '\r', '\n':
			echo('\n')
			_, _ = stdin.write(append(line, '\n'))
			line = nil
		case ctrlC:
			echo('^', 'C')
			line = nil
			interrupt()
		case ctrlD:
			if len(line) == 0 {
				stdin.finish()
				continue
			}
			_, _ = stdin.write(line)
			line = nil
		case backspace:
			if len(line) > 0 {
				line = line[:len(line)-1]
				echo('\b', ' ', '\b')
			}
		default:
			line = append(line, x)
			echo(x)
		}
	}
	return line
}

var detachKey = regexp.MustCompile(`^([a-zA-Z]|ctrl-[a-zA-Z@\[\\\]^_])$`)

// keysOK tells whether detach keys are a list of single letters and "ctrl-x".
func keysOK(keys string) bool {
	if keys == "" {
		return true
	}
	for k := range strings.SplitSeq(keys, ",") {
		if !detachKey.MatchString(k) {
			return false
		}
	}
	return true
}

func quote(s string) string { return fmt.Sprintf("%q", s) }

// ContainerExecKill sends a signal to the process of an exec, which Docker
// has no call for. It is how a Runtime kills one that took too long.
func (d *Docker) ContainerExecKill(ctx context.Context, execID, signal string) error {
	return do0(ctx, d, OpContainerExecKill, execID, func() error {
		n, err := signalNumber(signal)
		if err != nil {
			return err
		}
		d.lock()
		defer d.mu.Unlock()
		x, ok := d.execs[execID]
		switch {
		case !ok:
			return NotFound("exec", execID)
		case !x.running:
			return Conflict("Exec %s is not running", execID)
		case n == sigKILL:
			d.execEnded(x, 128+sigKILL)
			return nil
		}
		if code, ends := x.task.receive(n); ends {
			d.execEnded(x, code)
		}
		return nil
	})
}

// ContainerDial connects to a port of the localhost in a container's network
// namespace, where a [Process] listens. Docker has no such call. Without a
// listener the error is syscall.ECONNREFUSED.
func (d *Docker) ContainerDial(ctx context.Context, containerID string, port int) (net.Conn, error) {
	return do(ctx, d, OpContainerDial, containerID, func() (net.Conn, error) {
		d.lock()
		c, err := d.find(containerID)
		var lo *loopback
		if err == nil {
			lo = c.net.lo
			if !c.running {
				err = Conflict("Container %s is not running", c.id)
			}
		}
		d.mu.Unlock()
		if err != nil {
			return nil, err
		}
		return lo.dial(ctx, port, d.down)
	})
}
