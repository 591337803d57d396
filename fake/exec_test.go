package fake_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/dockpod/dockpod/fake"
	"github.com/google/go-cmp/cmp"
)

// toolbox registers the programs of these tests.
func toolbox(d *fake.Docker) {
	d.HandleFunc("/bin/exit3", func(*fake.Process) int { return 3 })
	d.HandleFunc("/bin/print", func(p *fake.Process) int {
		fmt.Fprint(p.Stdout, "out\n")
		fmt.Fprint(p.Stderr, "err\n")
		return 0
	})
	d.HandleFunc("/bin/cat", func(p *fake.Process) int {
		n, err := io.Copy(p.Stdout, p.Stdin)
		fmt.Fprint(p.Stderr, n, " bytes, ", err)
		return 0
	})
	d.HandleFunc("/bin/lines", func(p *fake.Process) int {
		for s := bufio.NewScanner(p.Stdin); s.Scan(); {
			fmt.Fprintf(p.Stdout, "<%s>\n", s.Text())
		}
		return 0
	})
	d.HandleFunc("/bin/where", func(p *fake.Process) int {
		fmt.Fprint(p.Stdout, p.User, " ", p.Dir, " ", strings.Join(p.Env, " "))
		return 0
	})
	d.HandleFunc("/bin/wait", serve)
}

// readHijacked reads a stream to its end and closes it.
func readHijacked(t *testing.T, h types.HijackedResponse) []byte {
	t.Helper()
	defer h.Close()
	b, err := io.ReadAll(h.Reader)
	if err != nil {
		t.Errorf("read a stream: %v", err)
	}
	return b
}

func TestExec(t *testing.T) {
	both := container.ExecOptions{AttachStdout: true, AttachStderr: true}
	with := func(o container.ExecOptions, cmd ...string) container.ExecOptions {
		o.Cmd = cmd
		return o
	}
	const failed = "OCI runtime exec failed: exec failed: "
	tests := []struct {
		name     string
		o        container.ExecOptions
		in       string
		out, err string
		code     int
		noPid    bool // it never ran
	}{
		{name: "code", o: with(both, "/bin/exit3"), code: 3},
		{name: "streams", o: with(both, "/bin/print"), out: "out\n", err: "err\n"},
		{name: "through PATH", o: with(both, "print"), out: "out\n", err: "err\n"},
		{name: "stdout alone", o: with(container.ExecOptions{AttachStdout: true}, "/bin/print"), out: "out\n"},
		{name: "input", o: with(container.ExecOptions{AttachStdin: true, AttachStdout: true, AttachStderr: true}, "/bin/cat"), in: "hello", out: "hello", err: "5 bytes, <nil>"},
		{name: "no input", o: with(both, "/bin/cat"), err: "0 bytes, <nil>"},
		{name: "no program", o: with(both, "/bin/box")},
		{name: "missing", o: with(both, "nope"), out: failed + "unable to start container process: exec: \"nope\": executable file not found in $PATH: unknown\r\n", code: 126, noPid: true},
		{name: "missing path", o: with(both, "/nope"), out: failed + "unable to start container process: exec: \"/nope\": stat /nope: no such file or directory: unknown\r\n", code: 126, noPid: true},
		{name: "not executable", o: with(both, "/data"), out: failed + "unable to start container process: exec: \"/data\": permission denied: unknown\r\n", code: 126, noPid: true},
		{name: "user", o: with(container.ExecOptions{AttachStdout: true, User: "alice", WorkingDir: "/etc", Env: []string{"A=2", "B=3"}}, "/bin/where"),
			out: "alice /etc PATH=/bin HOSTNAME=HOST A=2 B=3 HOME=/home/alice"},
		{name: "unknown user", o: with(container.ExecOptions{AttachStdout: true, User: "bob"}, "/bin/where"), out: "unable to find user bob: no matching entries in passwd file\r\n", code: 126, noPid: true},
		{name: "relative directory", o: with(container.ExecOptions{AttachStdout: true, WorkingDir: "rel"}, "/bin/where"), out: failed + "Cwd must be an absolute path: unknown\r\n", code: 126, noPid: true},
		{name: "missing directory", o: with(container.ExecOptions{AttachStdout: true, WorkingDir: "/no/such"}, "/bin/where"),
			out: failed + "unable to start container process: chdir to cwd (\"/no/such\") set in config.json failed: no such file or directory: unknown\r\n", code: 126, noPid: true},
		{name: "environment", o: with(container.ExecOptions{AttachStdout: true, Env: []string{"=x"}}, "/bin/where"),
			out: failed + "unable to start container process: environment variable name can't be empty: \"=x\": unknown\r\n", code: 126, noPid: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newEngine(t)
			loadBox(t, d)
			toolbox(d)
			ctx := t.Context()
			id := create(t, d, "e1", config{Image: "box:1"}, nil)
			start(t, d, id)
			r, err := d.ContainerExecCreate(ctx, id, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if i, err := d.ContainerExecInspect(ctx, r.ID); err != nil || i.Running || i.ExitCode != 0 || i.Pid != 0 {
				t.Errorf("before the start: %+v, %v", i, err)
			}
			h, err := d.ContainerExecAttach(ctx, r.ID, container.ExecAttachOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if tt.in != "" {
				if _, err := h.Conn.Write([]byte(tt.in)); err != nil {
					t.Error(err)
				}
				if err := h.CloseWrite(); err != nil {
					t.Error(err)
				}
			}
			out, errout := demux(t, readHijacked(t, h))
			if tt.out = strings.ReplaceAll(tt.out, "HOST ", id[:12]+" "); out != tt.out || errout != tt.err {
				t.Errorf("output %q and %q, want %q and %q", out, errout, tt.out, tt.err)
			}
			i, err := d.ContainerExecInspect(ctx, r.ID)
			if err != nil || i.Running || i.ExitCode != tt.code || i.ContainerID != id || (i.Pid == 0) != tt.noPid {
				t.Errorf("after the end: %+v, %v; want code %d", i, err, tt.code)
			}

			again := "Error: Exec command " + r.ID + " has already run"
			wantErr(t, "start again", d.ContainerExecStart(ctx, r.ID, container.ExecStartOptions{Detach: true}), "409", again)
			h, err = d.ContainerExecAttach(ctx, r.ID, container.ExecAttachOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if out, _ := demux(t, readHijacked(t, h)); out != again+"\r\n" {
				t.Errorf("attach again: %q", out)
			}
		})
	}
}

func TestExecStart(t *testing.T) {
	d := newEngine(t)
	loadBox(t, d)
	toolbox(d)
	ctx := t.Context()
	id := create(t, d, "e1", config{Image: "box:1"}, nil)
	start(t, d, id)
	newExec := func(o container.ExecOptions) string {
		t.Helper()
		r, err := d.ContainerExecCreate(ctx, id, o)
		if err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	long := newExec(container.ExecOptions{Cmd: []string{"/bin/wait"}})
	if err := d.ContainerExecStart(ctx, long, container.ExecStartOptions{Detach: true}); err != nil {
		t.Fatal(err)
	}
	if i, err := d.ContainerExecInspect(ctx, long); err != nil || !i.Running || i.Pid == 0 {
		t.Errorf("a detached exec: %+v, %v", i, err)
	}
	if diff := cmp.Diff([]string{long}, inspect(t, d, id).ExecIDs); diff != "" {
		t.Errorf("execs of the container (-want +got):\n%s", diff)
	}
	wantErr(t, "start twice", d.ContainerExecStart(ctx, long, container.ExecStartOptions{Detach: true}), "409", "Error: Exec command "+long+" is already running")

	// Without Detach the engine answers before it knows.
	missing := newExec(container.ExecOptions{Cmd: []string{"nope"}})
	if err := d.ContainerExecStart(ctx, missing, container.ExecStartOptions{}); err != nil {
		t.Errorf("start of a missing command: %v", err)
	}
	if i, _ := d.ContainerExecInspect(ctx, missing); i.ExitCode != 126 {
		t.Errorf("its code: %+v", i)
	}
	missing = newExec(container.ExecOptions{Cmd: []string{"nope"}})
	wantErr(t, "detached", d.ContainerExecStart(ctx, missing, container.ExecStartOptions{Detach: true}), "400",
		`OCI runtime exec failed: exec failed: unable to start container process: exec: "nope": executable file not found in $PATH: unknown`)
	short := newExec(container.ExecOptions{Cmd: []string{"/bin/exit3"}, AttachStdout: true})
	if err := d.ContainerExecStart(ctx, short, container.ExecStartOptions{}); err != nil {
		t.Error(err)
	}
	if i, _ := d.ContainerExecInspect(ctx, short); i.Running || i.ExitCode != 3 {
		t.Errorf("an exec with streams has not ended when its start returns: %+v", i)
	}

	_, err := d.ContainerExecCreate(ctx, id, container.ExecOptions{})
	wantErr(t, "no command", err, "400", "No exec command specified")
	_, err = d.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: []string{"a"}, DetachKeys: "nope"})
	wantErr(t, "detach keys", err, "500", "Invalid escape keys (nope) provided")
	_, err = d.ContainerExecInspect(ctx, "gone")
	wantErr(t, "inspect", err, "404", "No such exec instance: gone")
	_, err = d.ContainerExecAttach(ctx, "gone", container.ExecAttachOptions{})
	wantErr(t, "attach", err, "unclassified", "unable to upgrade to tcp, received 404")
	wantErr(t, "start", d.ContainerExecStart(ctx, "gone", container.ExecStartOptions{}), "404", "No such exec instance: gone")
	wantErr(t, "resize", d.ContainerExecResize(ctx, "gone", container.ResizeOptions{}), "404", "No such exec instance: gone")

	never := newExec(container.ExecOptions{Cmd: []string{"/bin/wait"}})
	if err := d.ContainerPause(ctx, id); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "start while paused", d.ContainerExecStart(ctx, never, container.ExecStartOptions{Detach: true}), "409", "Container "+id+" is paused, unpause the container before exec")
	d.Exit(id, 0)
	if i, err := d.ContainerExecInspect(ctx, long); err != nil || i.Running || i.ExitCode != 137 {
		t.Errorf("an exec whose container ended: %+v, %v", i, err)
	}
	wantErr(t, "start after the end", d.ContainerExecStart(ctx, never, container.ExecStartOptions{}), "404", "No such exec instance: "+never)
	if err := d.ContainerRemove(ctx, id, container.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = d.ContainerExecInspect(ctx, long)
	wantErr(t, "inspect after the removal", err, "404", "No such exec instance: "+long)
}

func TestResize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newEngine(t)
		toolbox(d)
		ctx := t.Context()
		signal := make(chan string, 1)
		d.HandleFunc("/bin/main", func(p *fake.Process) int {
			signal <- <-p.Signals
			<-p.Done()
			return 0
		})
		id := run(t, d, "r1", nil)
		size := container.ResizeOptions{Height: 40, Width: 100}
		if err := d.ContainerResize(ctx, id, size); err != nil {
			t.Fatal(err)
		}
		if got := d.TerminalSize(id); got != size {
			t.Errorf("size %+v", got)
		}
		if s := <-signal; s != "SIGWINCH" {
			t.Errorf("signal %q", s)
		}
		r, err := d.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: []string{"/bin/wait"}, Tty: true})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		wantErr(t, "not started", d.ContainerExecResize(ctx, r.ID, size), "500", "timeout waiting for exec session ready")
		if time.Since(begin) != 10*time.Second {
			t.Errorf("it took %v", time.Since(begin))
		}
		if err := d.ContainerExecStart(ctx, r.ID, container.ExecStartOptions{Detach: true, Tty: true, ConsoleSize: &[2]uint{1, 2}}); err != nil {
			t.Fatal(err)
		}
		if got := d.TerminalSize(r.ID); got != (container.ResizeOptions{}) {
			t.Errorf("a size at the start was kept below API 1.42: %+v", got)
		}
		if err := d.ContainerExecResize(ctx, r.ID, size); err != nil || d.TerminalSize(r.ID) != size {
			t.Errorf("resize: %+v, %v", d.TerminalSize(r.ID), err)
		}
	})
}

func TestAttach(t *testing.T) {
	all := container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true}
	attach := func(t *testing.T, d *fake.Docker, id string, o container.AttachOptions) types.HijackedResponse {
		t.Helper()
		h, err := d.ContainerAttach(t.Context(), id, o)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	t.Run("before the start, with input", func(t *testing.T) {
		d := newEngine(t)
		toolbox(d)
		id := create(t, d, "a1", config{Cmd: []string{"/bin/cat"}, OpenStdin: true, StdinOnce: true}, nil)
		h := attach(t, d, id, all)
		start(t, d, id)
		if _, err := h.Conn.Write([]byte("hello")); err != nil {
			t.Error(err)
		}
		if err := h.CloseWrite(); err != nil {
			t.Error(err)
		}
		if out, errout := demux(t, readHijacked(t, h)); out != "hello" || errout != "5 bytes, <nil>" {
			t.Errorf("streams %q and %q", out, errout)
		}
		waitExit(t, d, id)
		if out, _ := readLogs(t, d, id, container.LogsOptions{ShowStdout: true}); out != "hello" {
			t.Errorf("log %q", out)
		}
		h = attach(t, d, id, container.AttachOptions{Stdout: true, Stderr: true, Logs: true})
		if out, errout := demux(t, readHijacked(t, h)); out != "hello" || errout != "5 bytes, <nil>" {
			t.Errorf("the log by attach: %q and %q", out, errout)
		}
		h = attach(t, d, id, container.AttachOptions{})
		if b := readHijacked(t, h); len(b) > 0 {
			t.Errorf("an attach to nothing: %q", b)
		}
	})
	t.Run("no input is open", func(t *testing.T) {
		d := newEngine(t)
		toolbox(d)
		id := run(t, d, "a1", nil, "/bin/cat")
		waitExit(t, d, id)
		if _, errout := readLogs(t, d, id, container.LogsOptions{ShowStderr: true}); errout != "0 bytes, <nil>" {
			t.Errorf("log %q", errout)
		}
	})
	t.Run("input stays open", func(t *testing.T) {
		d := newEngine(t)
		toolbox(d)
		id := create(t, d, "a1", config{Cmd: []string{"/bin/lines"}, OpenStdin: true}, nil)
		start(t, d, id)
		for _, word := range []string{"one", "two"} {
			h := attach(t, d, id, all)
			fmt.Fprintln(h.Conn, word)
			want := "\x01\x00\x00\x00\x00\x00\x00\x06<" + word + ">\n"
			buf := make([]byte, len(want))
			if _, err := io.ReadFull(h.Reader, buf); err != nil || string(buf) != want {
				t.Errorf("%q, %v; want %q", buf, err, want)
			}
			h.Close()
		}
		h := attach(t, d, id, container.AttachOptions{Stream: true, Stdin: true})
		fmt.Fprintln(h.Conn, "three")
		if err := h.CloseWrite(); err != nil {
			t.Error(err)
		}
		if b := readHijacked(t, h); len(b) > 0 {
			t.Errorf("an attach to the input alone reads %q", b)
		}
		if s := inspect(t, d, id).State.Status; s != "running" {
			t.Errorf("it is %s", s)
		}
	})
	t.Run("terminal", func(t *testing.T) {
		d := newEngine(t)
		toolbox(d)
		id := create(t, d, "a1", config{Cmd: []string{"/bin/lines"}, OpenStdin: true, Tty: true}, nil)
		start(t, d, id)
		h := attach(t, d, id, all)
		fmt.Fprint(h.Conn, "hxi\x7f\x7fi\r") // a slip of the finger, taken back
		want := "hxi\b \b\b \bi\r\n<hi>\r\n"
		buf := make([]byte, len(want))
		if _, err := io.ReadFull(h.Reader, buf); err != nil || string(buf) != want {
			t.Errorf("%q, %v; want %q", buf, err, want)
		}
		fmt.Fprint(h.Conn, "\x04")
		if b := readHijacked(t, h); len(b) > 0 {
			t.Errorf("after the end of input: %q", b)
		}
		if code := waitExit(t, d, id); code != 0 {
			t.Errorf("exit code %d", code)
		}
		id = create(t, d, "a2", config{OpenStdin: true, Tty: true}, nil) // no program: SIGINT ends it
		start(t, d, id)
		h = attach(t, d, id, all)
		fmt.Fprint(h.Conn, "\x03")
		if b := readHijacked(t, h); string(b) != "^C" {
			t.Errorf("Ctrl-C shows %q", b)
		}
		if code := waitExit(t, d, id); code != 130 {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("deadline and keys", func(t *testing.T) {
		d := newEngine(t)
		id := run(t, d, "a1", nil)
		h := attach(t, d, id, all)
		defer h.Close()
		if err := h.Conn.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Reader.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read past the deadline: %v", err)
		}
		_, err := d.ContainerAttach(t.Context(), id, container.AttachOptions{DetachKeys: "nope"})
		wantErr(t, "detach keys", err, "unclassified", "unable to upgrade to tcp, received 400")
		if _, err := d.ContainerAttach(t.Context(), id, container.AttachOptions{DetachKeys: "ctrl-p,q"}); err != nil {
			t.Errorf("detach keys: %v", err)
		}
	})
}
