package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod"
)

// command is a command line of the suite's program.
func command(args ...string) []string { return append([]string{"/prog"}, args...) }

// sync runs a command in a container to its end.
func (w *world) sync(t *testing.T, id string, args ...string) dockpod.ExecResult {
	t.Helper()
	res, err := w.rt.ExecSync(until(t, patience), id, command(args...), dockpod.ExecSyncOptions{})
	must(t, err)
	return res
}

// until is a context that ends with a case that hangs.
func until(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// signal is a writer that tells that something was written.
type signal struct {
	bytes.Buffer
	said chan struct{} // gets a value at the first write
}

func newSignal() *signal { return &signal{said: make(chan struct{}, 1)} }

func (s *signal) Write(p []byte) (int, error) {
	select {
	case s.said <- struct{}{}:
	default:
	}
	return s.Buffer.Write(p)
}

// endless is an input that never ends and has nothing to give.
type endless struct{ end chan struct{} }

func newEndless(t *testing.T) endless {
	e := endless{make(chan struct{})}
	t.Cleanup(func() { close(e.end) })
	return e
}

func (e endless) Read([]byte) (int, error) {
	<-e.end
	return 0, io.EOF
}

var execCases = []testCase{
	// Outcomes.
	{"an exec's streams come apart, and its code is data", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		res := w.sync(t, id, "print", "hello", "3")
		equal(t, "result", dockpod.ExecResult{ExitCode: 3, Stdout: []byte("hello\n")}, res)
		res = w.sync(t, id, "eprint", "oops")
		equal(t, "result", dockpod.ExecResult{Stderr: []byte("oops\n")}, res)
		equal(t, "without output", dockpod.ExecResult{ExitCode: 7}, w.sync(t, id, "exit", "7"))
	}},
	{"a program that ends with 126 or 127 did run", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		for _, code := range []string{"125", "126", "127"} {
			equal(t, "code", code, fmt.Sprint(w.sync(t, id, "exit", code).ExitCode))
		}
		words := "OCI runtime exec failed: so it seems"
		equal(t, "its words", words+"\n", string(w.sync(t, id, "print", words, "126").Stdout))
	}},
	{"an exec has its own environment, directory and user", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		res, err := w.rt.ExecSync(until(t, patience), id, command("env"), dockpod.ExecSyncOptions{Env: []dockpod.EnvVar{{Key: "FROM", Value: "exec=1"}, {Key: "EMPTY"}}, User: "user"})
		must(t, err)
		lines := "\n" + string(res.Stdout)
		for _, want := range []string{"\nFROM=exec=1\n", "\nEMPTY=\n", "\nPATH=/\n"} {
			if !strings.Contains(lines, want) {
				t.Errorf("environment %q lacks %q", lines, want)
			}
		}
		res, err = w.rt.ExecSync(until(t, patience), id, command("dir"), dockpod.ExecSyncOptions{WorkingDir: "/etc", User: "1000:1000"})
		must(t, err)
		equal(t, "directory", "/etc\n", string(res.Stdout))
	}},
	{"what is no program cannot be run", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		const secret = "c0rrect-horse"
		for name, o := range map[string]dockpod.ExecOptions{
			"missing":           {Command: []string{"/missing"}},
			"missing in $PATH":  {Command: []string{"missing"}},
			"not executable":    {Command: []string{"/plain"}},
			"unknown user":      {Command: command("exit"), User: "nobody-knows"},
			"missing, terminal": {Command: []string{"/missing"}, TTY: true},
			"missing, detached": {Command: []string{"/missing"}, Detach: true},
		} {
			var stdout bytes.Buffer
			if !o.Detach {
				o.Stdout = &stdout
			}
			o.Env = []dockpod.EnvVar{{Key: "SECRET", Value: secret}}
			code, err := w.rt.Exec(until(t, patience), id, o)
			if !errors.Is(err, dockpod.ErrCannotRun) || code != -1 {
				t.Errorf("%s: code %d, error is %v; want ErrCannotRun", name, code, err)
				continue
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error tells a variable's value: %v", name, err)
			}
			if !w.isPodman(t) && stdout.Len() > 0 {
				t.Errorf("%s: the engine's words reach the output: %q", name, stdout.String())
			}
		}
	}},
	{"an exec without a command, or with one that cannot be, is refused", func(t *testing.T, w *world) {
		id := w.alone(t, "sleep") // which is looked at later
		for _, o := range []dockpod.ExecOptions{
			{},
			{Command: []string{""}},
			{Command: []string{"a\x00b"}},
			{Command: command(), Env: []dockpod.EnvVar{{Value: "x"}}},
			{Command: command(), WorkingDir: "relative"},
			{Command: command(), Size: dockpod.TerminalSize{Width: 1, Height: 1}},
			{Command: command(), Detach: true, Stdout: io.Discard},
		} {
			_, err := w.rt.Exec(until(t, patience), id, o)
			refused[*dockpod.FieldError](t, err)
		}
	}},
	{"an exec needs a container that runs", func(t *testing.T, w *world) {
		for what, id := range map[string]string{"created": w.alone(t, "sleep"), "ended": w.ended(t, "exit")} {
			_, err := w.rt.ExecSync(until(t, patience), id, command("exit"), dockpod.ExecSyncOptions{})
			if !errors.Is(err, dockpod.ErrNotRunning) {
				t.Errorf("%s: error is %v; want ErrNotRunning", what, err)
			}
		}
		_, err := w.rt.ExecSync(until(t, patience), w.gone(t), command("exit"), dockpod.ExecSyncOptions{})
		fails(t, err, dockpod.ErrContainerNotFound)
		sandbox, _ := w.ready(t)
		_, err = w.rt.ExecSync(until(t, patience), sandbox, command("exit"), dockpod.ExecSyncOptions{})
		fails(t, err, dockpod.ErrNotManaged)
	}},
	{"an exec needs a container that is not paused", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		w.pause(t, id)
		_, err := w.rt.ExecSync(until(t, patience), id, command("exit"), dockpod.ExecSyncOptions{})
		fails(t, err, dockpod.ErrPaused)
		w.unpause(t, id)
		w.sync(t, id, "exit")
	}},
	{"output beyond the limit is dropped, and said to be", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		res, err := w.rt.ExecSync(until(t, patience), id, command("zeros", "300000"), dockpod.ExecSyncOptions{MaxOutput: 1000})
		must(t, err)
		equal(t, "kept", 1000, len(res.Stdout))
		equal(t, "cut", []bool{true, false}, []bool{res.StdoutTruncated, res.StderrTruncated})
		equal(t, "code", 0, res.ExitCode)
	}},

	// Ends before the process's.
	{"a timeout kills the process and what it has started", func(t *testing.T, w *world) {
		w.needs(t, "killing execs")
		id := w.up(t, "sleep")
		commands := []string{"sleep", "stubborn", "spawn"}
		results := make([]dockpod.ExecResult, len(commands))
		// The time has to be enough for a busy engine to start them.
		for i, err := range together(len(commands), func(i int) (err error) {
			results[i], err = w.rt.ExecSync(until(t, 4*patience), id, command(commands[i]), dockpod.ExecSyncOptions{Timeout: 10 * time.Second})
			return err
		}) {
			fails(t, err, dockpod.ErrExecTimeout)
			if !errdefs.IsDeadlineExceeded(err) {
				t.Errorf("%s: class of %v", commands[i], err)
			}
			aborted := refused[*dockpod.ExecAbortedError](t, err)
			if !aborted.Killed || aborted.Running {
				t.Errorf("%s: %+v; want it killed", commands[i], aborted)
			}
			equal(t, commands[i]+" until then", "up\n", string(results[i].Stdout))
			var x container.ExecInspect
			w.eventually(t, "the engine says so, after the kernel", func() bool {
				x, err = w.docker.ContainerExecInspect(t.Context(), aborted.ExecID)
				return err != nil || !x.Running
			})
			must(t, err)
			equal(t, commands[i]+" afterwards", 137, x.ExitCode)
			if isHost(t, w) {
				if _, err := os.Stat(fmt.Sprintf("/proc/%d", x.Pid)); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s: process %d is still there: %v", commands[i], x.Pid, err)
				}
			}
		}
		if isHost(t, w) {
			equal(t, "processes of the container", []int{w.raw(t, id).State.Pid}, processesOf(t, id))
		}
	}},
	{"a cancelled exec says that its process goes on", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		ctx, cancel := context.WithCancel(t.Context())
		out := newSignal()
		go func() { <-out.said; cancel() }()
		_, err := w.rt.Exec(ctx, id, dockpod.ExecOptions{Command: command("sleep"), Stdout: out})
		fails(t, err, context.Canceled)
		aborted := refused[*dockpod.ExecAbortedError](t, err)
		if aborted.Killed || !aborted.Running {
			t.Errorf("%+v; want it running", aborted)
		}
		x, err := w.docker.ContainerExecInspect(t.Context(), aborted.ExecID)
		must(t, err)
		equal(t, "running", true, x.Running)
	}},
	{"a process whose container is killed ends with 137", func(t *testing.T, w *world) {
		w.needs(t, "signals")
		id := w.up(t, "sleep")
		out := newSignal()
		go func() { <-out.said; _ = w.rt.Kill(context.WithoutCancel(t.Context()), id, "") }()
		code, err := w.rt.Exec(until(t, patience), id, dockpod.ExecOptions{Command: command("sleep"), Stdout: out})
		must(t, err)
		equal(t, "code", 137, code)
	}},
	{"a writer that fails ends the exec", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		full := errors.New("disk full")
		_, err := w.rt.Exec(until(t, patience), id, dockpod.ExecOptions{Command: command("sleep"), Stdout: failing{full}, Kill: true})
		fails(t, err, full)
		refused[*dockpod.ExecAbortedError](t, err)
	}},
	{"a writer that blocks does not outlast the context", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		block := newEndless(t)
		ctx, cancel := context.WithCancel(t.Context())
		out := blocking{block, make(chan struct{}, 1)}
		go func() { <-out.said; cancel() }()
		_, err := w.rt.Exec(ctx, id, dockpod.ExecOptions{Command: command("zeros", "100000000"), Stdout: out, Kill: true})
		fails(t, err, context.Canceled)
		refused[*dockpod.ExecAbortedError](t, err)
	}},
	{"a detached process goes on without the call", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		code, err := w.rt.Exec(until(t, patience), id, dockpod.ExecOptions{Command: command("sleep"), Detach: true})
		must(t, err)
		equal(t, "code", 0, code)
		equal(t, "execs", 1, len(w.raw(t, id).ExecIDs))
	}},

	// Streams.
	{"an input and its end reach the process", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		text := strings.Repeat("line\n", 40000)
		var out bytes.Buffer
		code, err := w.rt.Exec(until(t, patience), id, dockpod.ExecOptions{Command: command("cat"), Stdin: strings.NewReader(text), Stdout: &out})
		must(t, err)
		equal(t, "code", 0, code)
		if out.String() != text {
			t.Errorf("%d bytes came back of %d", out.Len(), len(text))
		}
	}},
	{"an input that never ends does not keep the exec", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		code, err := w.rt.Exec(until(t, patience), id, dockpod.ExecOptions{Command: command("exit", "4"), Stdin: newEndless(t)})
		must(t, err)
		equal(t, "code", 4, code)
	}},
	{"an input that fails ends the exec", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		torn := errors.New("torn")
		_, err := w.rt.Exec(until(t, patience), id, dockpod.ExecOptions{Command: command("cat"), Stdin: io.MultiReader(strings.NewReader("x"), failing{torn}), Kill: true})
		fails(t, err, torn)
	}},
	{"a terminal has a size from the start, and one stream", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		var out, none bytes.Buffer
		code, err := w.rt.Exec(until(t, patience), id, dockpod.ExecOptions{
			Command: command("size", "101", "33"), TTY: true, Size: dockpod.TerminalSize{Width: 101, Height: 33}, Stdout: &out, Stderr: &none,
		})
		must(t, err)
		equal(t, "code", 0, code)
		equal(t, "output", []string{"ok\r\n", ""}, []string{out.String(), none.String()})
	}},
	{"a terminal follows new sizes, and no zeros", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		sizes := make(chan dockpod.TerminalSize)
		go func() {
			for _, s := range []dockpod.TerminalSize{{}, {Width: 7}, {Width: 80, Height: 24}, {Height: 3}, {Width: 90, Height: 25}} {
				sizes <- s
			}
		}()
		var out bytes.Buffer
		code, err := w.rt.Exec(until(t, patience), id, dockpod.ExecOptions{Command: command("size", "90", "25"), TTY: true, Resize: sizes, Stdout: &out})
		must(t, err)
		equal(t, "code and output", "0 ok\r\n", fmt.Sprint(code, " ", out.String()))
	}},
	{"a terminal's input may end before its output", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		var out bytes.Buffer
		code, err := w.rt.Exec(until(t, patience), id, dockpod.ExecOptions{
			Command: command("size", "50", "20"), TTY: true, Stdin: strings.NewReader(""), Stdout: &out, Size: dockpod.TerminalSize{Width: 50, Height: 20},
		})
		must(t, err)
		equal(t, "code and output", "0 ok\r\n", fmt.Sprint(code, " ", out.String()))
	}},
	{"many execs at once, half of them cancelled, all end", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		for i, err := range together(24, func(i int) error {
			if i%2 == 0 {
				res, err := w.rt.ExecSync(until(t, 4*patience), id, command("print", fmt.Sprint(i)), dockpod.ExecSyncOptions{})
				if err == nil && string(res.Stdout) != fmt.Sprintln(i) {
					err = fmt.Errorf("output %q", res.Stdout)
				}
				return err
			}
			ctx, cancel := context.WithCancel(t.Context())
			out := newSignal()
			go func() { <-out.said; cancel() }()
			_, err := w.rt.Exec(ctx, id, dockpod.ExecOptions{Command: command("sleep"), Stdout: out, Kill: true})
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return fmt.Errorf("of a cancelled one: %w", err)
		}) {
			if err != nil {
				t.Errorf("exec %d: %v", i, err)
			}
		}
	}},

	// Attach.
	{"an attached input ends with the container that takes it once", func(t *testing.T, w *world) {
		c := w.container("app", "cat")
		c.Stdin, c.StdinOnce = true, true
		id := w.made(t, c)
		var out bytes.Buffer
		err := w.rt.Attach(until(t, patience), id, dockpod.AttachOptions{
			Stdin: strings.NewReader("hello\n"), Stdout: &out, Attached: func() { go w.rt.StartContainer(context.WithoutCancel(t.Context()), id) },
		})
		must(t, err)
		equal(t, "output", "hello\n", out.String())
		equal(t, "code", 0, w.finished(t, id).ExitCode)
	}},
	{"an attach of an input alone ends with it", func(t *testing.T, w *world) {
		c := w.container("app", "cat")
		c.Stdin = true
		id := w.started(t, c)
		must(t, w.rt.Attach(until(t, patience), id, dockpod.AttachOptions{Stdin: strings.NewReader("one\n")}))
		w.hears(t, id, "one")
		if w.isPodman(t) {
			// The process's input ends with the connection.
			equal(t, "code", 0, w.finished(t, id).ExitCode)
			return
		}
		must(t, w.rt.Attach(until(t, patience), id, dockpod.AttachOptions{Stdin: strings.NewReader("two\n")}))
		w.hears(t, id, "two")
	}},
	{"an attach outlasts an input that others may have next", func(t *testing.T, w *world) {
		c := w.container("app", "cat")
		c.Stdin = true
		id := w.started(t, c)
		ctx, cancel := context.WithCancel(until(t, patience))
		defer cancel()
		out := newSignal()
		if w.isPodman(t) {
			// None have it next: it ends, and the process with it.
			must(t, w.rt.Attach(ctx, id, dockpod.AttachOptions{Stdin: strings.NewReader("hello\n"), Stdout: out}))
			equal(t, "output", "hello\n", out.String())
			return
		}
		go func() { <-out.said; cancel() }()
		err := w.rt.Attach(ctx, id, dockpod.AttachOptions{Stdin: strings.NewReader("hello\n"), Stdout: out})
		fails(t, err, context.Canceled)
		equal(t, "output", "hello\n", out.String())
	}},
	{"an attach ends with the container, and begins with its log", func(t *testing.T, w *world) {
		w.needs(t, "signals")
		id := w.up(t, "sleep")
		var out bytes.Buffer
		err := w.rt.Attach(until(t, patience), id, dockpod.AttachOptions{Stdout: &out, Logs: true, Attached: func() { _ = w.rt.Kill(t.Context(), id, "SIGKILL") }})
		must(t, err)
		equal(t, "output", "up\n", out.String())
		fails(t, w.rt.Attach(until(t, patience), id, dockpod.AttachOptions{Stdout: &out}), dockpod.ErrNotRunning)
		fails(t, w.rt.Attach(until(t, patience), w.gone(t), dockpod.AttachOptions{Stdout: &out}), dockpod.ErrContainerNotFound)
	}},
	{"a terminal is resized while it runs", func(t *testing.T, w *world) {
		c := w.container("app", "size", "99", "44")
		c.TTY = true
		id := w.made(t, c)
		size := dockpod.TerminalSize{Width: 99, Height: 44}
		fails(t, w.rt.ResizeTTY(t.Context(), id, size), dockpod.ErrNotRunning)
		w.run(t, id)
		refused[*dockpod.FieldError](t, w.rt.ResizeTTY(t.Context(), id, dockpod.TerminalSize{Width: 99}))
		must(t, w.rt.ResizeTTY(t.Context(), id, size))
		equal(t, "code", 0, w.finished(t, id).ExitCode)
		fails(t, w.rt.ResizeTTY(t.Context(), id, size), dockpod.ErrNotRunning)
		refused[*dockpod.FieldError](t, w.rt.ResizeTTY(t.Context(), w.up(t, "sleep"), size))
	}},

	// Ports.
	{"a pod's localhost is reached, whatever it publishes", func(t *testing.T, w *world) {
		w.needs(t, "pods' localhost")
		sandbox, s := w.ready(t)
		id := w.start(t, sandbox, w.container("app", "serve", "8080", "hello"), s)
		w.hears(t, id, "up")
		conn, err := w.rt.DialPod(t.Context(), sandbox, 8080)
		must(t, err)
		defer conn.Close()
		text, err := io.ReadAll(conn)
		must(t, err)
		equal(t, "answer", "hello\n", string(text))

		_, err = w.rt.DialPod(t.Context(), sandbox, 8081)
		fails(t, err, dockpod.ErrConnectionRefused)
		fails(t, err, syscall.ECONNREFUSED)
		_, err = w.rt.DialPod(t.Context(), sandbox, 70000)
		refused[*dockpod.FieldError](t, err)
		_, err = w.rt.DialPod(t.Context(), id, 8080)
		fails(t, err, dockpod.ErrNotManaged)
		must(t, w.rt.StopSandbox(t.Context(), sandbox, 0))
		_, err = w.rt.DialPod(t.Context(), sandbox, 8080)
		fails(t, err, dockpod.ErrNotRunning)
	}},
	{"a forwarded port closes one way at a time", func(t *testing.T, w *world) {
		w.needs(t, "pods' localhost")
		sandbox, s := w.ready(t)
		id := w.start(t, sandbox, w.container("app", "echo", "8080"), s)
		w.hears(t, id, "up")
		stream := &script{in: strings.NewReader("hello ")}
		must(t, w.rt.PortForward(until(t, patience), sandbox, 8080, stream, dockpod.PortForwardOptions{}))
		equal(t, "answer", "hello bye", stream.out.String())
		equal(t, "closed", []bool{true, true}, []bool{stream.half, stream.closed})
		equal(t, "code", 0, w.finished(t, id).ExitCode)
	}},
	{"a forwarded port nobody listens on is refused", func(t *testing.T, w *world) {
		w.needs(t, "pods' localhost")
		sandbox, _ := w.ready(t)
		stream := &script{in: strings.NewReader("")}
		err := w.rt.PortForward(t.Context(), sandbox, 8080, stream, dockpod.PortForwardOptions{})
		fails(t, err, dockpod.ErrConnectionRefused)
		equal(t, "closed", true, stream.closed)
	}},
	{"a forwarded port goes through a helper where the pod's network cannot be entered", func(t *testing.T, w *world) {
		rt := w.on(farAway{w.docker})
		sandbox, s := w.ready(t)
		id, helper := w.start(t, sandbox, w.container("app", "echo", "8080"), s), w.start(t, sandbox, w.container("helper", "sleep"), s)
		w.hears(t, id, "up")
		forward := func(port int, o dockpod.PortForwardOptions) (string, error) {
			stream := &script{in: strings.NewReader("hello ")}
			err := rt.PortForward(until(t, time.Minute), sandbox[:12], port, stream, o)
			equal(t, "closed", true, stream.closed)
			return stream.out.String(), err
		}
		_, err := forward(8080, dockpod.PortForwardOptions{})
		fails(t, err, dockpod.ErrUnsupported)

		_, err = forward(8081, dockpod.PortForwardOptions{Helper: command("pipe", "{port}"), ContainerID: helper})
		fails(t, err, dockpod.ErrConnectionRefused)
		_, err = forward(8080, dockpod.PortForwardOptions{Helper: command("exit", "3"), ContainerID: helper})
		if err == nil || !strings.Contains(err.Error(), "ended with code 3") {
			t.Errorf("of a helper that fails: %v", err)
		}
		_, err = forward(8080, dockpod.PortForwardOptions{Helper: []string{"/missing"}, ContainerID: helper})
		fails(t, err, dockpod.ErrCannotRun)
		other := w.up(t, "sleep")
		_, err = forward(8080, dockpod.PortForwardOptions{Helper: command("pipe", "{port}"), ContainerID: other})
		equal(t, "the field", "ContainerID", refused[*dockpod.FieldError](t, err).Field)

		answer, err := forward(8080, dockpod.PortForwardOptions{Helper: command("pipe", "{port}"), ContainerID: helper})
		must(t, err)
		equal(t, "answer", "hello bye", answer)
		equal(t, "code", 0, w.finished(t, id).ExitCode)
	}},
	{"a forwarded port that a helper serves ends with the context", func(t *testing.T, w *world) {
		rt := w.on(farAway{w.docker})
		sandbox, s := w.ready(t)
		id, helper := w.start(t, sandbox, w.container("app", "echo", "8080"), s), w.start(t, sandbox, w.container("helper", "sleep"), s)
		w.hears(t, id, "up")
		here, there := net.Pipe()
		ctx, cancel := context.WithCancel(until(t, time.Minute))
		go func() {
			_, _ = io.WriteString(there, "hello")
			_, _ = io.ReadFull(there, make([]byte, len("hello"))) // it goes both ways by now
			cancel()
		}()
		fails(t, rt.PortForward(ctx, sandbox, 8080, here, dockpod.PortForwardOptions{Helper: command("pipe", "{port}"), ContainerID: helper}), context.Canceled)
		_, err := there.Read(make([]byte, 1))
		fails(t, err, io.EOF)
	}},
}

// farAway is an engine whose processes are another machine's.
type farAway struct{ dockpod.DockerInterface }

func (e farAway) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	info, err := e.DockerInterface.ContainerInspect(ctx, id)
	if err == nil && info.State.Pid != 0 {
		base, state := *info.ContainerJSONBase, *info.State
		state.Pid = math.MaxInt32 // no kernel gives it
		base.State = &state
		info.ContainerJSONBase = &base
	}
	return info, err
}

// script is a stream with an input written beforehand.
type script struct {
	in           io.Reader
	out          bytes.Buffer
	half, closed bool
}

func (s *script) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s *script) Write(p []byte) (int, error) { return s.out.Write(p) }
func (s *script) CloseWrite() error           { s.half = true; return nil }
func (s *script) Close() error                { s.closed = true; return nil }

// failing is a stream that does nothing but fail.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

// blocking is a writer that does not return.
type blocking struct {
	endless
	said chan struct{}
}

func (b blocking) Write(p []byte) (int, error) {
	b.said <- struct{}{}
	_, err := b.Read(nil)
	return 0, err
}

// processesOf returns the PIDs of a container's living processes on this
// machine. A dead one stays in the table if the first process, whose child it
// became, does not look at it.
func processesOf(t *testing.T, id string) []int {
	t.Helper()
	names, err := os.ReadDir("/proc")
	must(t, err)
	pids := []int{}
	for _, name := range names {
		var pid int
		if _, err := fmt.Sscan(name.Name(), &pid); err != nil {
			continue
		}
		cgroup, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid)) // it may have ended
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if len(cmdline) > 0 && strings.Contains(string(cgroup), id) {
			pids = append(pids, pid)
		}
	}
	return pids
}
