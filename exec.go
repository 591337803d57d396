package dockpod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
)

// What an exec's errors say beside those of every method.
var (
	// ErrPaused: the operation needs a container that is not paused.
	// Class Conflict.
	ErrPaused = newSentinel("container is paused", errdefs.ErrConflict)
	// ErrExecTimeout: the Timeout of an exec passed before its process
	// ended. Class DeadlineExceeded.
	ErrExecTimeout = newSentinel("exec timed out", context.DeadlineExceeded)
	// ErrDetached: the engine ended an exec's terminal, and the process goes
	// on: somebody typed the detach keys, or it gave its terminal away.
	// Class Aborted.
	ErrDetached = newSentinel("detached from a process that goes on", errdefs.ErrAborted)
)

// ExecKiller is implemented by an engine that ends the process of an exec.
// Docker and Podman have no such call: on their own host the process is found
// and killed by its ID, elsewhere it stays. fake.Docker has it.
type ExecKiller interface {
	ContainerExecKill(ctx context.Context, execID, signal string) error
}

// TerminalSize is the size of a terminal in characters.
type TerminalSize struct{ Width, Height uint16 }

func (s TerminalSize) isZero() bool { return s.Width == 0 || s.Height == 0 }

// String returns "WIDTHxHEIGHT".
func (s TerminalSize) String() string { return fmt.Sprintf("%dx%d", s.Width, s.Height) }

// ExecOptions is a process to be run in a container, and where its streams
// lead.
type ExecOptions struct {
	Command    []string // the program, found through the container's $PATH, and its arguments
	Env        []EnvVar // on top of the container's
	WorkingDir string   // empty: the container's
	User       string   // name or number, with ":" and a group; empty: the container's
	Privileged bool     // with all capabilities

	// Stdin is copied to the process, and its end is passed on, except to a
	// terminal: there it is Ctrl-D that ends. Nil: no input. A reader that
	// fails ends the call.
	//
	// A Read that is under way when the process ends cannot be interrupted,
	// unless the reader has a SetReadDeadline, which is used for it and
	// cleared: otherwise one goroutine stays until that Read returns, and
	// drops what it read. That of an SPDY stream is its whole connection's,
	// and is not used. The reader is never closed.
	Stdin io.Reader
	// Stdout and Stderr get what the process writes; nil discards. On a
	// terminal all of it goes to Stdout. A writer that fails ends the call;
	// one that blocks stops the process at its next write, and the call ends
	// with its context all the same.
	Stdout, Stderr io.Writer

	TTY bool // run it on a terminal
	// Size is the terminal's size from the start, as far as the engine can
	// ([Features].ConsoleSize), else set right after it. Zero: the engine's
	// own.
	Size TerminalSize
	// Resize brings new sizes of the terminal. It is read until the call
	// returns, also while the engine is busy: of several the last counts.
	// Sizes with a zero are dropped.
	Resize <-chan TerminalSize
	// DetachKeys is what one types on the terminal to leave the process
	// alone, "ctrl-x,x" for example. Empty: the engine's "ctrl-p,ctrl-q".
	// Docker 20.10 hangs up instead, and gives the exit code 126.
	DetachKeys string

	// Detach starts the process and does not wait for it: the call returns
	// 0 once it runs. There are no streams then, and no terminal's size.
	Detach bool
	// Kill ends the process, and what it has started, where the call ends
	// before it: at the end of the context, or of a stream, but not by
	// [ErrDetached]. See [ExecAbortedError]. Without it the process stays, as
	// it does when the docker command is interrupted.
	Kill bool
}

// validate refuses what no engine could do.
func (o ExecOptions) validate() error {
	v := &validator{}
	v.exec(o.Command, o.Env, o.WorkingDir, o.User)
	if !o.Size.isZero() && !o.TTY {
		v.bad("Size", "there is no terminal")
	}
	if o.Detach {
		for _, f := range []struct {
			name string
			set  bool
		}{
			{"Stdin", o.Stdin != nil}, {"Stdout", o.Stdout != nil}, {"Stderr", o.Stderr != nil},
			{"Size", !o.Size.isZero()}, {"Resize", o.Resize != nil}, {"DetachKeys", o.DetachKeys != ""}, {"Kill", o.Kill},
		} {
			if f.set {
				v.bad(f.name, "a detached process has none of it")
			}
		}
	}
	v.text("DetachKeys", o.DetachKeys)
	return v.err()
}

// exec checks what a process is.
func (v *validator) exec(command []string, envs []EnvVar, dir, user string) {
	if len(command) == 0 || command[0] == "" {
		v.bad("Command", "empty")
	}
	for i, arg := range command {
		v.text(fmt.Sprintf("Command[%d]", i), arg)
	}
	for i, e := range envs {
		v.env("Env", i, e)
	}
	if dir != "" {
		v.absolute("WorkingDir", dir)
		v.text("WorkingDir", dir)
	}
	v.text("User", user)
}

// ExecAbortedError is an exec whose call ended before its process, or without
// its exit code. errors.Is finds in it what ended the call: [ErrExecTimeout],
// [ErrDetached], the context's error, the error of a stream or of the engine.
type ExecAbortedError struct {
	ExecID  string
	Running bool   // the process may still run
	Killed  bool   // the process was killed
	Reason  string // why it may still run; empty: it does not
	Err     error
}

// Error says what became of the process.
func (e *ExecAbortedError) Error() string {
	switch {
	case e.Running:
		return fmt.Sprintf("%v; the process may still run: %s", e.Err, e.Reason)
	case e.Killed:
		return fmt.Sprintf("%v; the process was killed", e.Err)
	}
	return fmt.Sprintf("%v; the process has ended", e.Err)
}

// Unwrap returns what ended the call.
func (e *ExecAbortedError) Unwrap() error { return e.Err }

// Exec runs a process in a running container, connects its streams, waits for
// its end and returns its exit code, which beside an error is -1. A code other
// than 0 is no error. There is no deadline but the context's.
//
// The error is [ErrNotRunning] or [ErrPaused] for a container in such a state,
// and [ErrCannotRun] if the process could not be started: a missing
// executable, user or directory. What the engine says of that is in the error
// and does not reach Stdout. A call that ends before the process returns an
// [*ExecAbortedError].
func (r *Runtime) Exec(ctx context.Context, id string, o ExecOptions) (exitCode int, err error) {
	ctx, end := r.beginLimit(ctx, "exec", id, -1)
	defer end(&err)
	return r.exec(ctx, id, o)
}

// ExecSyncOptions changes what [Runtime.ExecSync] does. The zero value runs
// the command as the container's own process runs.
type ExecSyncOptions struct {
	// Timeout is how long the process may take; after it the error is
	// [ErrExecTimeout]. Zero: as long as the context lasts.
	Timeout time.Duration
	// MaxOutput is how many bytes of each stream are kept; the rest is
	// dropped and the process not held up. Zero: 16 MiB.
	MaxOutput  int
	Env        []EnvVar // on top of the container's
	WorkingDir string   // empty: the container's
	User       string   // empty: the container's
	Privileged bool     // with all capabilities
}

// ExecResult is what a process wrote, and how it ended.
type ExecResult struct {
	ExitCode       int // 128+n: killed by signal n; -1 beside an error
	Stdout, Stderr []byte
	// The stream was longer than MaxOutput.
	StdoutTruncated, StderrTruncated bool
}

// maxExecOutput is the default of ExecSyncOptions.MaxOutput, the kubelet's.
const maxExecOutput = 16 << 20

// ExecSync runs a command in a running container without input, waits for its
// end and returns what it wrote. An exit code other than 0 is no error.
//
// If the timeout passes, or the context ends, the process and what it has
// started are killed as far as they can be reached: by an engine that is an
// [ExecKiller], or on the engine's own host, a Linux machine, with the right
// to. The [*ExecAbortedError] says whether the process may still run; what it
// wrote until then comes beside the error. The other errors are those of
// [Runtime.Exec].
func (r *Runtime) ExecSync(ctx context.Context, id string, command []string, o ExecSyncOptions) (res ExecResult, err error) {
	ctx, end := r.beginLimit(ctx, "exec", id, -1)
	defer end(&err)
	v := &validator{}
	if o.Timeout < 0 {
		v.bad("Timeout", "%v; want none or more", o.Timeout)
	}
	if o.MaxOutput < 0 {
		v.bad("MaxOutput", "%d; want none or more", o.MaxOutput)
	}
	if err := v.err(); err != nil {
		return ExecResult{ExitCode: -1}, err
	}
	if o.MaxOutput == 0 {
		o.MaxOutput = maxExecOutput
	}
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.Timeout, ErrExecTimeout)
		defer cancel()
	}
	stdout, stderr := capped{limit: o.MaxOutput}, capped{limit: o.MaxOutput}
	code, err := r.exec(ctx, id, ExecOptions{
		Command: command, Env: o.Env, WorkingDir: o.WorkingDir, User: o.User, Privileged: o.Privileged,
		Stdout: &stdout, Stderr: &stderr, Kill: true,
	})
	return ExecResult{
		ExitCode: code, Stdout: stdout.kept, Stderr: stderr.kept,
		StdoutTruncated: stdout.cut, StderrTruncated: stderr.cut,
	}, err
}

// capped keeps the beginning of what is written.
type capped struct {
	limit int
	kept  []byte
	cut   bool // more came than was kept
}

func (c *capped) Write(p []byte) (int, error) {
	room := c.limit - len(c.kept)
	if len(p) > room {
		c.cut = true
	}
	c.kept = append(c.kept, p[:min(len(p), room)]...)
	return len(p), nil
}

// exec is Exec without the wrapping of its error.
func (r *Runtime) exec(ctx context.Context, id string, o ExecOptions) (int, error) {
	if err := o.validate(); err != nil {
		return -1, err
	}
	var target container.InspectResponse
	err := r.request(ctx, func(ctx context.Context) (err error) {
		target, err = r.running(ctx, id)
		return err
	})
	if err != nil {
		return -1, endOf(ctx, err)
	}
	x := &execRun{r: r, o: o, container: target.ID}
	if err := x.create(ctx); err != nil {
		return -1, endOf(ctx, x.explain(ctx, err))
	}
	if o.Detach {
		err := r.request(ctx, func(ctx context.Context) error {
			return r.docker.ContainerExecStart(ctx, x.id, container.ExecStartOptions{Detach: true, Tty: o.TTY})
		})
		if err == nil {
			return 0, nil
		}
		explained := endOf(ctx, x.explain(ctx, err))
		if isUnanswered(err) {
			return -1, &ExecAbortedError{ExecID: x.id, Running: true, Reason: "the engine did not say whether it was started", Err: explained}
		}
		return -1, explained
	}
	return x.run(ctx)
}

// isUnanswered reports whether a request to start an exec failed in such a way
// that it may have been heeded.
func isUnanswered(err error) bool {
	return isContextError(err) || errors.Is(err, ErrTimeout) || err != nil && transportKind(err) == ErrBadAnswer
}

// running asks for a container of this Runtime that has to be running.
func (r *Runtime) running(ctx context.Context, id string) (container.InspectResponse, error) {
	info, err := r.inspect(ctx, id, TypeContainer)
	if err != nil {
		return container.InspectResponse{}, err
	}
	return info, notRunning(info)
}

// notRunning is the error of an operation that needs a running process, or
// nil if there is one.
func notRunning(info container.InspectResponse) error {
	o := outcomeOf(info)
	switch {
	case o.state != StateRunning:
		return fmt.Errorf("%w: it is %s", ErrNotRunning, o.state)
	case info.State != nil && info.State.Paused:
		return ErrPaused
	}
	return nil
}

// request makes one call of an operation that has no deadline as a whole.
func (r *Runtime) request(ctx context.Context, call func(context.Context) error) error {
	limit := r.opts.requestTimeout
	asking, cancel := ctx, context.CancelFunc(func() {})
	if limit > 0 {
		asking, cancel = context.WithTimeoutCause(ctx, limit, errOurDeadline)
	}
	defer cancel()
	err := call(asking)
	awaitDeadline(ctx, err)
	if isContextError(err) && ctx.Err() == nil {
		return &classified{ErrTimeout, fmt.Sprintf("no answer within %v: %v", limit, err)}
	}
	return err
}

// endOf tells the end of an exec's own timeout from that of the context.
func endOf(ctx context.Context, err error) error {
	if isContextError(err) && context.Cause(ctx) == ErrExecTimeout {
		return ErrExecTimeout
	}
	return err
}

// execRun is one exec under way.
type execRun struct {
	r         *Runtime
	o         ExecOptions
	container string // full ID
	id        string

	stdout, stderr *said
	stuck          bool // a writer blocks still
}

func (x *execRun) create(ctx context.Context) error {
	req := container.ExecOptions{
		Cmd: append([]string(nil), x.o.Command...), Env: envList(x.o.Env), WorkingDir: x.o.WorkingDir, User: x.o.User, Privileged: x.o.Privileged,
		Tty: x.o.TTY, ConsoleSize: x.consoleSize(), DetachKeys: x.o.DetachKeys,
		// Without streams the engine would not tell the end.
		AttachStdin: x.o.Stdin != nil, AttachStdout: !x.o.Detach, AttachStderr: !x.o.Detach,
	}
	return x.r.request(ctx, func(ctx context.Context) error {
		resp, err := x.r.docker.ContainerExecCreate(ctx, x.container, req)
		if err == nil && resp.ID == "" {
			err = &classified{ErrBadAnswer, "the engine's answer has no exec ID"}
		}
		x.id = resp.ID
		return err
	})
}

// consoleSize is the terminal's first size for an engine that takes it.
func (x *execRun) consoleSize() *[2]uint {
	if !x.sizedAtStart() {
		return nil
	}
	return &[2]uint{uint(x.o.Size.Height), uint(x.o.Size.Width)}
}

func (x *execRun) sizedAtStart() bool {
	return !x.o.Size.isZero() && featuresOf(x.r.docker.ClientVersion()).ConsoleSize
}

// run starts the process and carries its streams until its end.
func (x *execRun) run(ctx context.Context) (int, error) {
	x.stdout, x.stderr = newSaid(x.o.Stdout), newSaid(x.o.Stderr)
	x.stdout.holds = true
	s := &session{tty: x.o.TTY, stdin: x.o.Stdin, closeStdin: !x.o.TTY, stdout: newSink(x.stdout), stderr: newSink(x.stderr)}
	err := x.r.request(ctx, func(ctx context.Context) (err error) {
		s.conn, err = x.r.execAttach(ctx, x.id, container.ExecAttachOptions{Tty: x.o.TTY, ConsoleSize: x.consoleSize()})
		return err
	})
	switch {
	case isUnanswered(err):
		return x.abort(ctx, false, x.explain(ctx, err))
	case err != nil:
		return -1, x.explain(ctx, err)
	}
	first := x.o.Size
	if x.sizedAtStart() {
		first = TerminalSize{}
	}
	stopSizes := followSizes(ctx, first, x.o.Resize, func(ctx context.Context, size TerminalSize) error {
		return x.r.request(ctx, func(ctx context.Context) error {
			return x.r.docker.ContainerExecResize(ctx, x.id, container.ResizeOptions{Height: uint(size.Height), Width: uint(size.Width)})
		})
	})
	defer stopSizes()
	if err := s.run(ctx); err != nil {
		if err == errStreamCut {
			err = &classified{ErrBadAnswer, "the engine cut the streams of the exec"}
		}
		x.stuck = s.stuck
		return x.abort(ctx, false, err)
	}
	st, err := x.wait(ctx)
	if err != nil {
		return x.abort(ctx, true, err)
	}
	return x.finish(ctx, st)
}

// detachTime is how long an exec may go on after the engine has ended its
// terminal.
const detachTime = 2 * time.Second

// wait waits for the end of a process whose streams have ended. It may have
// closed them long before.
func (x *execRun) wait(ctx context.Context) (container.ExecInspect, error) {
	pause := newBackoff(time.Millisecond, 500*time.Millisecond)
	start := time.Now()
	for {
		st, err := x.inspect(ctx)
		if err != nil || !st.Running {
			return st, err
		}
		if x.o.TTY && x.o.Stdin != nil && time.Since(start) > detachTime {
			return st, ErrDetached
		}
		if err := pause.sleep(ctx); err != nil {
			return st, err
		}
	}
}

func (x *execRun) inspect(ctx context.Context) (st container.ExecInspect, err error) {
	err = x.r.request(ctx, func(ctx context.Context) (err error) {
		st, err = x.r.docker.ContainerExecInspect(ctx, x.id)
		return err
	})
	return st, classify(verbExec, x.container, err)
}

// finish reads the outcome of a process that does not run any more.
//
// Docker says by a PID of 0 that there never was one, and has written why to
// the process's standard output. Podman forgets every PID, and its message is
// on standard error, or on the terminal: there only the words tell.
func (x *execRun) finish(ctx context.Context, st container.ExecInspect) (int, error) {
	if st.Pid == 0 {
		v, err := x.r.Version(ctx)
		if err != nil {
			return -1, err
		}
		_, podman := v.Components["Podman Engine"]
		message := x.stdout.beginning()
		if podman && !x.o.TTY {
			message = x.stderr.beginning()
		}
		switch {
		case podman && (st.ExitCode < 125 || st.ExitCode > 127 || !cannotRun(message)):
		case st.ExitCode == 0:
			return -1, &classified{ErrBadAnswer, "the engine did not run the process"}
		default:
			return -1, x.explain(ctx, &classified{ErrCannotRun, fmt.Sprintf("%v (exit code %d): %s", ErrCannotRun, st.ExitCode, bounded(execText(strings.TrimSpace(message))))})
		}
	}
	if err := x.release(ctx); err != nil {
		return -1, fmt.Errorf("write output: %w", err)
	}
	return st.ExitCode, nil
}

// release writes what was held back of a process that ran.
func (x *execRun) release(ctx context.Context) error {
	if x.stdout.held() == 0 {
		return nil
	}
	_, err := unlessEnded(ctx, func() (struct{}, error) { return struct{}{}, x.stdout.release() }, func(struct{}) {})
	return err
}

// explain turns a failure to run a process into this package's vocabulary. An
// engine that lost the exec, or refused it without a word, has often lost its
// container: so that is looked at.
func (x *execRun) explain(ctx context.Context, err error) error {
	switch upgradeStatus(err) {
	case 400:
		err = &classified{ErrCannotRun, err.Error()}
	case 404, 409, 500:
		err = &classified{ErrBadAnswer, err.Error()}
	}
	err = scrub(classify(verbExec, x.container, err), x.o.Env)
	if ctx.Err() != nil || isContextError(err) || errdefs.IsUnavailable(err) && !errors.Is(err, ErrBadAnswer) {
		return err
	}
	var info container.InspectResponse
	lookErr := x.r.request(ctx, func(ctx context.Context) (err error) {
		info, err = x.r.inspectAny(ctx, x.container)
		return err
	})
	if lookErr == nil {
		lookErr = notRunning(info)
	}
	switch {
	case errors.Is(lookErr, ErrContainerNotFound), errors.Is(lookErr, ErrNotRunning), errors.Is(lookErr, ErrPaused):
		return lookErr
	}
	return err
}

// abort ends a call before its process, or without knowing of its end, for
// the reason why: it looks at the exec once more, and kills the process if
// that is wanted. all tells that the streams had ended: then a process that
// has ended, too, succeeded after all.
func (x *execRun) abort(ctx context.Context, all bool, why error) (int, error) {
	e := &ExecAbortedError{ExecID: x.id, Running: true, Err: endOf(ctx, why)}
	limit, cancel := x.r.detached(ctx, undoTime)
	defer cancel()
	pause := newBackoff(5*time.Millisecond, 200*time.Millisecond)
	for {
		st, err := x.inspect(limit)
		if err != nil {
			err = x.explain(limit, err)
			if errors.Is(err, ErrContainerNotFound) || errors.Is(err, ErrNotRunning) {
				e.Running = false // it ended with its container
				if errors.Is(why, ErrBadAnswer) {
					e.Err = err
				}
				return -1, e
			}
			e.Reason = fmt.Sprintf("it cannot be looked at: %v", err)
			return -1, e
		}
		if st.Pid != 0 && !x.stuck { // it ran: no words of the engine's
			late, cancel := x.r.detached(ctx, writerTime)
			_ = x.release(late) // the call has failed already
			cancel()
		}
		switch {
		case !st.Running && all && (isContextError(why) || ctx.Err() != nil):
			return x.finish(limit, st)
		case !st.Running && (all || st.Pid != 0 || st.ExitCode != 0 || x.stdout.any.Load() || x.stderr.any.Load()):
			e.Running = false
			return -1, e
		case !x.o.Kill:
			e.Reason = "nobody asked to kill it"
			return -1, e
		case why == ErrDetached:
			e.Reason = "it was left alone"
			return -1, e
		case st.Running && st.Pid != 0:
			if err := x.kill(limit, st); err != nil {
				e.Reason = err.Error()
			} else {
				e.Running, e.Killed = false, true
			}
			return -1, e
		}
		// It is about to start.
		if pause.sleep(limit) != nil {
			e.Reason = "the engine has not started it yet"
			return -1, e
		}
	}
}

// kill kills a process that ran just now, and waits until it is dead.
func (x *execRun) kill(ctx context.Context, st container.ExecInspect) error {
	runs := func() (bool, error) {
		now, err := x.inspect(ctx)
		return now.Running && now.Pid == st.Pid, err
	}
	k, ok := x.r.docker.(ExecKiller)
	if !ok {
		return killProcess(ctx, st.Pid, x.container, runs)
	}
	if err := x.r.request(ctx, func(ctx context.Context) error { return k.ContainerExecKill(ctx, x.id, "SIGKILL") }); err != nil {
		return err
	}
	pause := newBackoff(time.Millisecond, 200*time.Millisecond)
	for {
		if run, err := runs(); err != nil || !run {
			return err
		}
		if err := pause.sleep(ctx); err != nil {
			return errKillPending(err)
		}
	}
}

// errKillPending is a process that outlives its SIGKILL by as long as anybody
// waits.
func errKillPending(err error) error {
	return fmt.Errorf("it was sent SIGKILL and is still there: %w", err)
}

// cannotRun recognises the words in which engines and their runtimes say that
// a process was not started.
func cannotRun(text string) bool {
	text = strings.ToLower(text)
	for _, words := range []string{
		"oci runtime exec failed", "oci runtime attempted to invoke a command that was not found", "oci permission denied",
		"unable to find user", "unable to find group", "no matching entries in passwd", "no matching entries in group",
	} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// AttachOptions says where the streams of a container's first process lead.
type AttachOptions struct {
	// Stdin is copied to the process, which has to have been created with
	// Stdin. Its end is passed on if the container has StdinOnce and no
	// terminal; otherwise the process's input stays open for the next who
	// attaches. With neither Stdout nor Stderr the call returns at its end.
	// What ExecOptions says of a Read that does not return holds here.
	Stdin io.Reader
	// Stdout and Stderr get what the process writes; nil discards. All that
	// a terminal shows goes to Stdout.
	Stdout, Stderr io.Writer
	Logs           bool // first what it has written before
	// Resize brings sizes of the container's terminal, as ExecOptions.Resize
	// does.
	Resize     <-chan TerminalSize
	DetachKeys string // empty: the engine's "ctrl-p,ctrl-q"
	// Attached is called once the streams are connected: then a container
	// that was only created can be started. It must not block.
	Attached func()
}

// Attach connects to the streams of a container's first process, until that
// ends, the detach keys are typed, or the context ends. A container that was
// created and not started is attached to from its start on; one that has ended
// is [ErrNotRunning]. An engine that ends meanwhile is [ErrUnreachable] or
// [ErrBadAnswer].
func (r *Runtime) Attach(ctx context.Context, id string, o AttachOptions) (err error) {
	ctx, end := r.beginLimit(ctx, "attach", id, -1)
	defer end(&err)
	info, err := r.attachable(ctx, id, o)
	if err != nil {
		return err
	}
	tty, once := info.Config.Tty, info.Config.StdinOnce
	if o.Stdin != nil && !tty && !once {
		// Podman ends the input with the connection, and has forgotten what
		// the container was created with.
		err := r.request(ctx, func(ctx context.Context) (err error) {
			once, err = r.isPodman(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	x := &execRun{r: r, container: info.ID}
	s := &session{
		tty: tty, stdin: o.Stdin, closeStdin: once && !tty,
		stdout: newSink(o.Stdout), stderr: newSink(o.Stderr), stdinOnly: o.Stdout == nil && o.Stderr == nil,
	}
	err = r.request(ctx, func(ctx context.Context) (err error) {
		s.conn, err = r.containerAttach(ctx, info.ID, container.AttachOptions{
			Stream: true, Stdin: o.Stdin != nil, Stdout: o.Stdout != nil, Stderr: o.Stderr != nil && !tty, Logs: o.Logs, DetachKeys: o.DetachKeys,
		})
		return err
	})
	if err != nil {
		return x.explain(ctx, err)
	}
	stopSizes := followSizes(ctx, TerminalSize{}, o.Resize, func(ctx context.Context, size TerminalSize) error {
		return r.request(ctx, func(ctx context.Context) error { return r.resize(ctx, info.ID, size) })
	})
	defer stopSizes()
	if o.Attached != nil {
		o.Attached()
	}
	return r.attachEnd(ctx, info.ID, s.run(ctx))
}

// attachable returns the container if what o asks of it can be had.
func (r *Runtime) attachable(ctx context.Context, id string, o AttachOptions) (info container.InspectResponse, err error) {
	v := &validator{}
	v.text("DetachKeys", o.DetachKeys)
	if o.Stdin == nil && o.Stdout == nil && o.Stderr == nil {
		v.bad("Stdin", "there is no stream to attach")
	}
	if err := v.err(); err != nil {
		return info, err
	}
	err = r.request(ctx, func(ctx context.Context) (err error) {
		info, err = r.inspect(ctx, id, TypeContainer)
		return err
	})
	if err == nil && outcomeOf(info).state != StateCreated {
		err = notRunning(info)
	}
	switch {
	case err != nil:
		return info, err
	case o.Stdin != nil && !info.Config.OpenStdin:
		return info, &FieldError{"Stdin", "the container was created without"}
	case o.Resize != nil && !info.Config.Tty:
		return info, &FieldError{"Resize", "the container has no terminal"}
	}
	return info, nil
}

// attachEnd says what the end of the streams means.
func (r *Runtime) attachEnd(ctx context.Context, id string, err error) error {
	if err == errStreamCut {
		return &classified{ErrBadAnswer, "the engine cut the streams of the container"}
	}
	if err == nil {
		// Streams end in the same way with an engine that is killed.
		err = r.request(ctx, func(ctx context.Context) error {
			_, err := r.inspectAny(ctx, id)
			return err
		})
	}
	if errors.Is(err, ErrContainerNotFound) {
		return nil // it was removed at its end
	}
	return err
}

// ResizeTTY sets the size of a running container's terminal. The error is
// [ErrNotRunning] if it does not run.
func (r *Runtime) ResizeTTY(ctx context.Context, id string, size TerminalSize) (err error) {
	ctx, end := r.begin(ctx, "resize terminal", id)
	defer end(&err)
	if size.isZero() {
		return &FieldError{"size", fmt.Sprintf("%s; want a width and a height", size)}
	}
	info, err := r.inspect(ctx, id, TypeContainer)
	if err != nil {
		return err
	}
	if err := notRunning(info); err != nil && !errors.Is(err, ErrPaused) {
		return err
	}
	if !info.Config.Tty {
		return &FieldError{"size", "the container has no terminal"}
	}
	return r.resize(ctx, info.ID, size)
}

func (r *Runtime) resize(ctx context.Context, id string, size TerminalSize) error {
	return classify(verbContainer, id, r.docker.ContainerResize(ctx, id, container.ResizeOptions{Height: uint(size.Height), Width: uint(size.Width)}))
}
