package fake

import (
	"context"
	"io"
	"net"
	"path"
	"slices"
	"strings"
	"sync"
)

// Program is what a container runs: a function that is called when a container
// or an exec with its command starts, on a goroutine of its own, and whose
// result is the exit code. It has to return soon after [Process.Done] is
// closed.
type Program func(*Process) int

// HandleFunc makes main the program of every command whose first word is
// path, as it stands in the command or found through $PATH. It may be called
// before or after images and containers that use it are made.
//
// A container whose command has no Program runs until it is stopped: "/pause"
// ends on SIGTERM and SIGINT with exit code 0, any other on a signal n that
// ends an ordinary program with 128+n, so SIGTERM gives 143. An exec whose
// command has no Program ends at once with exit code 0.
func (d *Docker) HandleFunc(path string, main func(*Process) int) {
	d.lock()
	defer d.mu.Unlock()
	d.programs[path] = main
}

// Process is a running program's view of its container.
type Process struct {
	ContainerID string
	Args        []string // the whole command: Args[0] is the program
	Env         []string // "KEY=value", each key once
	Dir         string   // the working directory
	User        string
	Hostname    string

	Stdin          io.Reader
	Stdout, Stderr io.Writer // what is written is logged

	// Signals delivers "SIGTERM" and the like. A Program that does not read
	// it ignores them as PID 1 does, and is killed when the grace period of
	// a stop is over.
	Signals <-chan string

	task *task
}

// Done is closed when the process is killed. What it writes afterwards is
// dropped, and its exit code does not count.
func (p *Process) Done() <-chan struct{} { return p.task.ctx.Done() }

// Context ends when Done is closed.
func (p *Process) Context() context.Context { return p.task.ctx }

// Getenv returns the value of an environment variable, or "".
func (p *Process) Getenv(name string) string {
	for _, e := range p.Env {
		if k, v, _ := strings.Cut(e, "="); k == name {
			return v
		}
	}
	return ""
}

// TerminalSize returns the size of the process's terminal, both 0 if it has
// none or was given no size. SIGWINCH tells of a new one.
func (p *Process) TerminalSize() (width, height uint) {
	t := p.task
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	size := t.c.size
	if t.exec != nil {
		size = t.exec.size
	}
	return size.Width, size.Height
}

// Listen listens on a port of the localhost of the container's network
// namespace, which containers with NetworkMode "container:ID" share. Port 0
// takes a free one. The listener closes when the process ends. Nothing is
// opened on the machine the test runs on.
func (p *Process) Listen(port int) (net.Listener, error) {
	l, err := p.task.lo.open(port)
	if err != nil {
		return nil, err
	}
	p.task.own(l)
	return l, nil
}

// Dial connects to a port of that localhost. Without a listener the error is
// "connection refused".
func (p *Process) Dial(port int) (net.Conn, error) {
	c, err := p.task.lo.dial(p.task.ctx, port, nil)
	if err != nil {
		return nil, err
	}
	p.task.own(c)
	return c, nil
}

// task is a process as the engine has it: the main process of a container, or
// an exec.
type task struct {
	d       *Docker
	c       *ctr
	exec    *execution // nil for the main process
	console *console
	lo      *loopback

	argv  []string
	env   []string
	dir   string
	user  string
	stdin *pipe // nil: at its end
	main  Program

	ctx        context.Context
	cancel     context.CancelFunc
	signals    chan string
	pending    []int // signals while paused
	unkillable bool

	mu     sync.Mutex
	ended  bool
	closer []io.Closer // listeners and connections
}

func (d *Docker) newTask(c *ctr, argv []string, user string, tty bool, env []string) *task {
	t := &task{
		d: d, c: c, console: c.console, lo: c.net.lo, argv: argv, env: environ(c, user, tty, env),
		dir: c.cfg.WorkingDir, user: user, stdin: c.stdin, signals: make(chan string, 64),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if t.dir == "" {
		t.dir = "/"
	}
	return t
}

// resolve finds the program of a task. code is 126 or 127 if there is none,
// and reason is the runtime's.
func (d *Docker) resolve(t *task, dir string) (reason string, code int) {
	arg := t.argv[0]
	candidates := []string{arg}
	files := t.c.image.known()
	switch {
	case arg == "":
		candidates = nil
	case !strings.Contains(arg, "/"):
		for p := range strings.SplitSeq(getenv(t.env, "PATH"), ":") {
			candidates = append(candidates, path.Join("/", p, arg))
		}
	case !path.IsAbs(arg):
		candidates = append(candidates, path.Join("/", dir, arg))
	}
	denied := false
	for _, p := range candidates {
		main := d.programs[p]
		mode, there := files.stat(p)
		switch {
		case there && mode&0o111 == 0:
			denied = true
			continue
		case there, main != nil && t.c.image != nil:
		case files != nil:
			continue
		}
		t.main = main
		if main == nil {
			// Another spelling of the same command may be registered.
			for _, q := range candidates {
				if t.main == nil {
					t.main = d.programs[q]
				}
			}
		}
		return "", 0
	}
	quoted := quote(arg)
	switch {
	case denied:
		return "exec: " + quoted + ": permission denied", 126
	case strings.Contains(arg, "/"):
		return "exec: " + quoted + ": stat " + arg + ": no such file or directory", 127
	}
	return "exec: " + quoted + ": executable file not found in $PATH", 127
}

func getenv(env []string, name string) string {
	for _, e := range env {
		if k, v, _ := strings.Cut(e, "="); k == name {
			return v
		}
	}
	return ""
}

// run starts a task's program; one without a Program needs no goroutine.
func (d *Docker) run(t *task) {
	if t.main == nil {
		return
	}
	p := &Process{
		ContainerID: t.c.id, Args: slices.Clone(t.argv), Env: slices.Clone(t.env), Dir: t.dir, User: t.user, Hostname: t.c.hostname,
		Stdin: &inputReader{t}, Stdout: &output{t, Stdout}, Stderr: &output{t, Stderr},
		Signals: t.signals, task: t,
	}
	d.spawn(func() {
		code := 2 // of a program that panics or calls runtime.Goexit
		defer func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.returned(t, code)
		}()
		code = t.main(p)
	})
}

// returned is called when a program has returned by itself.
func (d *Docker) returned(t *task, code int) {
	switch {
	case t.exec != nil:
		d.execEnded(t.exec, code)
	case t.c.main == t:
		d.exited(t.c, code&0xff)
	}
}

// receive delivers a signal. A task without a Program ends by most of them.
func (t *task) receive(n int) (code int, ends bool) {
	if t.main != nil {
		select {
		case t.signals <- signalName(n):
		default: // nobody has read 64 of them: it does not care
		}
		return 0, false
	}
	if path.Base(t.argv[0]) == "pause" {
		return 0, n == sigTERM || n == sigINT
	}
	return 128 + n, !ignoredByDefault(n)
}

// end stops what a task still does and takes away what it has open.
func (t *task) end() {
	t.cancel()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	for _, c := range t.closer {
		c.Close()
	}
	t.closer = nil
}

// own closes c when the task ends.
func (t *task) own(c io.Closer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		c.Close()
		return
	}
	t.closer = append(t.closer, c)
}

// output is a process's standard output or error.
type output struct {
	t      *task
	stream Stream
}

func (o *output) Write(b []byte) (int, error) {
	if err := o.t.console.write(o.t.ctx.Done(), o.stream, b); err != nil {
		return 0, err
	}
	if o.t.exec != nil {
		o.t.console.settle(o.t.ctx.Done())
	}
	return len(b), nil
}

// inputReader is a process's standard input.
type inputReader struct{ t *task }

func (i *inputReader) Read(b []byte) (int, error) {
	if i.t.stdin == nil {
		return 0, io.EOF
	}
	return i.t.stdin.read(b, nil, i.t.ctx.Done())
}

// console is where the output of a container or an exec goes: to its log and
// to whoever is attached.
type console struct {
	d   *Docker
	tty bool
	log *logBuffer // nil for an exec

	mu        sync.Mutex
	listeners map[*conn]*listening
	frozen    chan struct{} // not nil while the container is paused
}

// listening is what one who is attached wants to see.
type listening struct{ stdout, stderr bool }

func newConsole(d *Docker, tty bool, log *logBuffer) *console {
	return &console{d: d, tty: tty, log: log, listeners: map[*conn]*listening{}}
}

// write hands output on. A process that is killed writes nothing more, and one
// that is paused waits; killed is nil for what is not a process's own output.
func (c *console) write(killed <-chan struct{}, s Stream, b []byte) error {
	for {
		if isClosed(killed) {
			return io.ErrClosedPipe
		}
		c.mu.Lock()
		frozen := c.frozen
		if frozen == nil || killed == nil {
			break
		}
		c.mu.Unlock()
		select {
		case <-frozen:
		case <-killed:
		}
	}
	defer c.mu.Unlock()
	if c.tty {
		s, b = Stdout, crlf(b)
	}
	if c.log != nil {
		c.log.write(c.d.now(), s, b)
	}
	for to, want := range c.listeners {
		if s == Stdout && !want.stdout || s == Stderr && !want.stderr {
			continue
		}
		out := b
		if !c.tty {
			out = frame(s, b)
		}
		if _, err := to.Write(out); err != nil {
			delete(c.listeners, to)
		}
	}
	return nil
}

// settle waits until those who are attached have read most of what there is: a
// process that nobody listens to is held up by its pipe.
func (c *console) settle(killed <-chan struct{}) {
	c.mu.Lock()
	var all []*conn
	for to := range c.listeners {
		all = append(all, to)
	}
	c.mu.Unlock()
	for _, to := range all {
		to.out.room(killed)
	}
}

// crlf is what a terminal makes of output.
func crlf(b []byte) []byte {
	out := make([]byte, 0, len(b)+8)
	for i, x := range b {
		if x == '\n' && (i == 0 || b[i-1] != '\r') {
			out = append(out, '\r')
		}
		out = append(out, x)
	}
	return out
}

func (c *console) freeze(yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case yes && c.frozen == nil:
		c.frozen = make(chan struct{})
	case !yes && c.frozen != nil:
		close(c.frozen)
		c.frozen = nil
	}
}

func (c *console) listen(to *conn, want listening) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners[to] = &want
}

func (c *console) leave(to *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.listeners, to)
}

// end closes the streams of all who are attached.
func (c *console) end() {
	c.freeze(false)
	c.mu.Lock()
	all := c.listeners
	c.listeners = map[*conn]*listening{}
	c.mu.Unlock()
	for to := range all {
		to.out.finish()
		to.in.abandon()
	}
}
