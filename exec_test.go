package dockpod

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod/internal/logline"
)

// execEngine is an engine with one running container and scripted execs.
type execEngine struct {
	DockerInterface
	startErr error
	out      string        // frames or a raw stream
	delay    time.Duration // before its end
	states   []container.ExecInspect
	ends     time.Time // in place of states: until then it runs, and then it ends with 5
	podman   bool
	asked    int
}

func (*execEngine) ClientVersion() string { return "1.41" }

func (e *execEngine) ServerVersion(context.Context) (types.Version, error) {
	v := types.Version{}
	if e.podman {
		v.Components = []types.ComponentVersion{{Name: "Podman Engine"}}
	}
	return v, nil
}

func (*execEngine) ContainerInspect(context.Context, string) (container.InspectResponse, error) {
	return container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{ID: workloadID, Name: "/k8s_app_pod_ns_uid_0", State: &container.State{Status: "running", Running: true}},
		Config:            &container.Config{Labels: map[string]string{LabelType: TypeContainer}},
	}, nil
}

func (*execEngine) ContainerExecCreate(context.Context, string, container.ExecOptions) (container.ExecCreateResponse, error) {
	return container.ExecCreateResponse{ID: "12345678"}, nil
}

func (e *execEngine) ContainerExecAttach(context.Context, string, container.ExecAttachOptions) (types.HijackedResponse, error) {
	if e.startErr != nil {
		return types.HijackedResponse{}, e.startErr
	}
	here, there := net.Pipe()
	go func() {
		_, _ = io.WriteString(there, e.out)
		time.Sleep(e.delay)
		there.Close()
	}()
	return types.HijackedResponse{Conn: here, Reader: bufio.NewReader(here)}, nil
}

// ContainerExecInspect tells the states in turn, and the last for ever.
func (e *execEngine) ContainerExecInspect(context.Context, string) (container.ExecInspect, error) {
	if !e.ends.IsZero() {
		if time.Now().Before(e.ends) {
			return container.ExecInspect{Pid: 7, Running: true}, nil
		}
		return container.ExecInspect{Pid: 7, ExitCode: 5}, nil
	}
	st := e.states[min(e.asked, len(e.states)-1)]
	e.asked++
	return st, nil
}

func (e *execEngine) ContainerExecKill(context.Context, string, string) error {
	return errors.New("not by this engine")
}

// frameOf is what an engine makes of output on a stream.
func frameOf(stream byte, text string) string {
	return string([]byte{stream, 0, 0, 0, 0, 0, byte(len(text) >> 8), byte(len(text))}) + text
}

func TestExecVectors(t *testing.T) {
	type input struct {
		Cmd            []string
		TTY            bool
		TimeoutSeconds int
		StartExec      *struct {
			Error, Kind  string
			DelaySeconds int
		}
		InspectExec container.ExecInspect
	}
	ours := map[string]string{
		"exec/008": "an exit code is data, not an error",
	}
	for _, c := range loadVectors(t, "exec") {
		if c.Op == "stats.container" {
			continue // TestStatsVectors has them
		}
		t.Run(c.ID, func(t *testing.T) {
			if c.Op != "exec.run" {
				t.Fatalf("operation %q is not known", c.Op)
			}
			synctest.Test(t, func(t *testing.T) {
				in := vectorIn[input](t, c)
				e := &execEngine{states: []container.ExecInspect{in.InspectExec}}
				e.states[0].Pid = 7
				if s := in.StartExec; s != nil {
					e.delay = time.Duration(s.DelaySeconds) * time.Second
					if s.Error != "" {
						e.startErr = errors.New(s.Error)
					}
					if s.Kind == "deadline" {
						e.startErr = context.DeadlineExceeded
					}
				}
				res, err := New(e).ExecSync(t.Context(), workloadID, in.Cmd, ExecSyncOptions{Timeout: time.Duration(in.TimeoutSeconds) * time.Second})
				time.Sleep(e.delay) // the engine's side ends, too
				var want struct {
					ErrorKind, ErrorEquals string
					ExitCode               int
				}
				if err := json.Unmarshal(c.Want, &want); err != nil {
					t.Fatal(err)
				}
				switch {
				case ours[c.ID] != "":
					if err != nil || res.ExitCode != want.ExitCode {
						t.Errorf("ours, because %s: %+v, %v", ours[c.ID], res, err)
					}
				case want.ErrorKind == "deadline":
					if !errdefs.IsDeadlineExceeded(err) {
						t.Errorf("error is %v; want a deadline", err)
					}
				default:
					var e *Error
					if !errors.As(err, &e) || e.Err.Error() != want.ErrorEquals {
						t.Errorf("error is %v; want %q inside", err, want.ErrorEquals)
					}
				}
			})
		})
	}
}

func TestLimitedWriterVectors(t *testing.T) {
	for _, c := range loadVectors(t, "limited-writer") {
		t.Run(c.ID, func(t *testing.T) {
			switch c.Op {
			case "limited_writer.shared_sequence":
				// Of an exec's streams neither starves the other; a log's share a limit.
				checkVector(t, c, nil, sharedLimit(t, c))
				return
			case "limited_writer.write":
			default:
				t.Fatalf("operation %q is not known", c.Op)
			}
			in := vectorIn[struct {
				Limit int
				Write string
			}](t, c)
			w := capped{limit: in.Limit}
			n, err := io.WriteString(&w, in.Write)
			if n != len(in.Write) || err != nil { // the process is not held up
				t.Errorf("wrote %d, %v", n, err)
			}
			checkVector(t, c, nil, map[string]any{"written": string(w.kept), "limitExceeded": w.cut})
		})
	}
}

// sharedLimit writes the pieces of a case to a log's writers until these want no
// more.
func sharedLimit(t *testing.T, c vectorCase) map[string]any {
	in := vectorIn[struct {
		Limit  int64
		Writes [][2]string
	}](t, c)
	var stdout, stderr strings.Builder
	w := newLogWriter(&LogOptions{Stdout: &stdout, Stderr: &stderr, LimitBytes: in.Limit})
	exceeded := make([]bool, len(in.Writes))
	over := false
	for i, write := range in.Writes {
		stream := logline.Stdout
		if write[0] == "stderr" {
			stream = logline.Stderr
		}
		over = over || w.Put(&logline.Record{Stream: stream, Text: []byte(write[1]), Partial: true}) != nil
		exceeded[i] = over
	}
	return map[string]any{"stdout": stdout.String(), "stderr": stderr.String(), "exceeded": exceeded}
}

func TestExecOutcomes(t *testing.T) {
	const words = `OCI runtime exec failed: exec failed: unable to start container process: exec: "x": executable file not found in $PATH: unknown`
	ended := func(pid, code int) []container.ExecInspect {
		return []container.ExecInspect{{Pid: pid, ExitCode: code}}
	}
	running := container.ExecInspect{Pid: 7, Running: true}
	for _, tt := range []struct {
		name   string
		engine execEngine
		want   error
		code   int
		stdout string
		text   string // in the error
	}{
		{name: "it ends", engine: execEngine{out: frameOf(1, "hi"), states: ended(7, 3)}, code: 3, stdout: "hi"},
		{name: "it runs on after its streams", engine: execEngine{states: []container.ExecInspect{running, running, running, {Pid: 7, ExitCode: 4}}}, code: 4},
		{name: "never started", engine: execEngine{states: ended(0, 0)}, want: ErrBadAnswer, text: "did not run"},
		{name: "never started, Podman forgets", engine: execEngine{states: ended(0, 0), podman: true}},
		{name: "missing, Docker 20.10", engine: execEngine{out: frameOf(1, words+"\r\n"), states: ended(0, 126)}, want: ErrCannotRun, text: "executable file not found"},
		{name: "missing, Docker 28", engine: execEngine{out: frameOf(1, words+"\r\n"), states: ended(0, 127)}, want: ErrCannotRun, text: "code 127"},
		{name: "missing, Podman", engine: execEngine{out: frameOf(2, "Error: crun: executable file `x` not found: OCI runtime attempted to invoke a command that was not found\n"), states: ended(0, 127), podman: true}, want: ErrCannotRun},
		{name: "a program that ends with 127, Podman", engine: execEngine{out: frameOf(2, "sh: x: not found\n"), states: ended(0, 127), podman: true}, code: 127},
		{name: "a program that says so, and ran", engine: execEngine{out: frameOf(1, words), states: ended(7, 126)}, code: 126, stdout: words},
		{name: "a program that goes on after such words", engine: execEngine{out: frameOf(1, "OCI run") + frameOf(1, "s"), states: ended(7, 0)}, stdout: "OCI runs"},
		{name: "cut in a frame", engine: execEngine{out: frameOf(1, "hi")[:9], states: ended(7, 0)}, want: ErrBadAnswer, stdout: "h"},
		{name: "the engine fails", engine: execEngine{out: frameOf(3, "no space"), states: ended(7, 0)}, want: ErrBadAnswer, text: "no space"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				res, err := New(&tt.engine).ExecSync(t.Context(), workloadID, []string{"x"}, ExecSyncOptions{})
				switch {
				case !errors.Is(err, tt.want):
					t.Fatalf("error is %v; want %v", err, tt.want)
				case err != nil && !strings.Contains(err.Error(), tt.text):
					t.Errorf("error is %v; want %q in it", err, tt.text)
				case err == nil && res.ExitCode != tt.code:
					t.Errorf("code %d, want %d", res.ExitCode, tt.code)
				}
				if string(res.Stdout) != tt.stdout {
					t.Errorf("output %q, want %q", res.Stdout, tt.stdout)
				}
			})
		})
	}
}

// On a terminal Podman has one stream for its own words, too.
func TestExecOnPodmansTerminal(t *testing.T) {
	for _, tt := range []struct {
		out  string
		want error
	}{
		{"Error: runc: exec failed: exec: \"/x\": stat /x: no such file or directory: OCI runtime attempted to invoke a command that was not found\n", ErrCannotRun},
		{"sh: x: not found\r\n", nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := &execEngine{out: tt.out, states: []container.ExecInspect{{ExitCode: 127}}, podman: true}
			code, err := New(e).Exec(t.Context(), workloadID, ExecOptions{Command: []string{"x"}, TTY: true, Stdout: io.Discard})
			if !errors.Is(err, tt.want) || tt.want == nil && code != 127 {
				t.Errorf("%q: code %d, error is %v; want %v", tt.out, code, err, tt.want)
			}
		})
	}
}

// A process that closed its streams and goes on is not a success: the call
// lasts as long as it may, and says what is known.
func TestExecStillRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &execEngine{states: []container.ExecInspect{{Pid: 7, Running: true}}}
		start := time.Now()
		_, err := New(e).ExecSync(t.Context(), workloadID, []string{"x"}, ExecSyncOptions{Timeout: time.Minute})
		var aborted *ExecAbortedError
		if !errors.Is(err, ErrExecTimeout) || !errors.As(err, &aborted) || !aborted.Running || aborted.Reason != "not by this engine" {
			t.Errorf("error is %v", err)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

// A success that arrives with the deadline is a success.
func TestExecEndsWithDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &execEngine{ends: time.Now().Add(time.Second)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		res, err := New(e).ExecSync(ctx, workloadID, []string{"x"}, ExecSyncOptions{})
		if err != nil || res.ExitCode != 5 {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

// Podman tells of a process that has ended well what it tells of one that has
// not begun: but that one has written nothing.
func TestExecWhoseWriterFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &execEngine{out: frameOf(1, "hi"), states: []container.ExecInspect{{}}, podman: true}
		r, w := io.Pipe()
		r.CloseWithError(io.ErrClosedPipe)
		start := time.Now()
		_, err := New(e).Exec(t.Context(), workloadID, ExecOptions{Command: []string{"x"}, Stdout: w, Kill: true})
		var aborted *ExecAbortedError
		if !errors.As(err, &aborted) || aborted.Running || time.Since(start) > time.Second {
			t.Errorf("after %v: %+v", time.Since(start), err)
		}
	})
}

func TestExecDetached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &execEngine{states: []container.ExecInspect{{Pid: 7, Running: true}}}
		_, err := New(e).Exec(t.Context(), workloadID, ExecOptions{Command: []string{"sh"}, TTY: true, Stdin: strings.NewReader(""), Kill: true})
		var aborted *ExecAbortedError
		if !errors.Is(err, ErrDetached) || !errors.As(err, &aborted) || !aborted.Running || aborted.Killed || !strings.HasSuffix(aborted.Reason, "left alone") {
			t.Errorf("error is %v; want ErrDetached, and that nobody tried to kill it", err)
		}
	})
}

// hangingStart is an engine that does not answer who starts an exec.
type hangingStart struct{ execEngine }

func (*hangingStart) ContainerExecStart(ctx context.Context, _ string, _ container.ExecStartOptions) error {
	<-ctx.Done()
	return ctx.Err()
}

// What was left alone, and perhaps started, can be looked for by its ID.
func TestExecDetachedWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, limit := range map[string]time.Duration{"the context's end": time.Second, "our deadline": time.Hour} {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			code, err := New(&hangingStart{}).Exec(ctx, workloadID, ExecOptions{Command: []string{"x"}, Detach: true})
			var aborted *ExecAbortedError
			if code != -1 || !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &aborted) || !aborted.Running || aborted.ExecID != "12345678" {
				t.Errorf("%s: code %d, error %v", name, code, err)
			}
		}
	})
}

// The sender of sizes is never kept waiting by an engine that is.
func TestFollowSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sizes := make(chan TerminalSize)
		var set []TerminalSize
		stop := followSizes(t.Context(), TerminalSize{1, 1}, sizes, func(ctx context.Context, s TerminalSize) error {
			set = append(set, s)
			time.Sleep(time.Second)
			return nil
		})
		synctest.Wait()
		start := time.Now()
		for i := range uint16(100) {
			sizes <- TerminalSize{i, 24}
		}
		if time.Since(start) != 0 {
			t.Errorf("the sender waited for %v", time.Since(start))
		}
		time.Sleep(5 * time.Second)
		stop()
		if diff := cmp.Diff([]TerminalSize{{1, 1}, {99, 24}}, set); diff != "" {
			t.Errorf("sizes mismatch (-want +got):\n%s", diff)
		}
	})
}

// A reader with a deadline is let go of at once, and can be read again.
func TestSessionReturnsInput(t *testing.T) {
	mine, theirs := net.Pipe()
	defer mine.Close()
	defer theirs.Close()
	e := &execEngine{states: []container.ExecInspect{{Pid: 7}}}
	before := badResources(t)
	if _, err := New(e).Exec(t.Context(), workloadID, ExecOptions{Command: []string{"x"}, Stdin: mine}); err != nil {
		t.Fatal(err)
	}
	settle(t, before)
	go io.WriteString(theirs, "next")
	buf := make([]byte, 4)
	if n, err := io.ReadFull(mine, buf); err != nil || string(buf) != "next" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
}

// spdyStream is an input whose deadline is that of the connection.
type spdyStream struct {
	net.Conn
	cut bool
}

func (*spdyStream) Identifier() uint32   { return 1 }
func (*spdyStream) Headers() http.Header { return nil }

func (s *spdyStream) SetReadDeadline(time.Time) error {
	s.cut = true
	return s.Conn.Close()
}

// A stream among others on one connection is left to end by itself.
func TestSessionSparesOtherStreams(t *testing.T) {
	mine, theirs := net.Pipe()
	defer mine.Close()
	defer theirs.Close()
	in := &spdyStream{Conn: mine}
	e := &execEngine{delay: 50 * time.Millisecond, states: []container.ExecInspect{{Pid: 7}}}
	if _, err := New(e).Exec(t.Context(), workloadID, ExecOptions{Command: []string{"x"}, Stdin: in}); err != nil {
		t.Fatal(err)
	}
	if in.cut {
		t.Error("the connection has got a deadline")
	}
}

func TestSaid(t *testing.T) {
	for _, tt := range []struct {
		writes []string
		passed string
		held   int
	}{
		{[]string{"hello"}, "hello", 0},
		{[]string{"O"}, "", 1},
		{[]string{"O", "K"}, "OK", 0},
		{[]string{"OCI runtime exec failed: x"}, "", 26},
		{[]string{"OCI runtime exec failed: ", strings.Repeat("x", maxSaid)}, "OCI runtime exec failed: " + strings.Repeat("x", maxSaid), 0},
		{[]string{strings.Repeat("y", maxSaid+5), "z"}, strings.Repeat("y", maxSaid+5) + "z", 0},
	} {
		var got bytes.Buffer
		s := newSaid(&got)
		s.holds = true
		for _, w := range tt.writes {
			if n, err := io.WriteString(s, w); n != len(w) || err != nil {
				t.Errorf("wrote %d, %v", n, err)
			}
		}
		if got.String() != tt.passed || s.held() != tt.held {
			t.Errorf("%.40q: passed on %.40q, held %d; want %.40q, %d", tt.writes, got.String(), s.held(), tt.passed, tt.held)
		}
	}
}

// What a process wrote until its call ended is there, also what could have
// become the engine's words; those of an engine are not.
func TestExecAbortReleases(t *testing.T) {
	for _, tt := range []struct {
		out  string
		pid  int
		want string
	}{
		{"u", 7, "u"},
		{"OCI runtime exec failed: so it seems", 7, "OCI runtime exec failed: so it seems"},
		{"OCI runtime exec failed: ", 0, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := &execEngine{out: frameOf(1, tt.out), delay: time.Hour, states: []container.ExecInspect{{Pid: tt.pid, Running: tt.pid != 0, ExitCode: 126}}}
			res, err := New(e).ExecSync(t.Context(), workloadID, []string{"x"}, ExecSyncOptions{Timeout: time.Minute})
			if !errors.Is(err, ErrExecTimeout) || string(res.Stdout) != tt.want {
				t.Errorf("%q: output %q, error %v", tt.out, res.Stdout, err)
			}
			time.Sleep(time.Hour)
		})
	}
}

// A writer that blocks keeps what is held back, too.
func TestExecAbortBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &execEngine{out: frameOf(2, "x") + frameOf(1, "u"), delay: time.Hour, states: []container.ExecInspect{{Pid: 7, Running: true}}}
		r, w := io.Pipe()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if _, err := New(e).Exec(ctx, workloadID, ExecOptions{Command: []string{"x"}, Stdout: w, Stderr: w}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > time.Minute+2*writerTime {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		r.Close()
		time.Sleep(time.Hour)
	})
}

// lostExec is an engine that removes the container under its exec.
type lostExec struct{ execEngine }

func (e *lostExec) ContainerExecInspect(context.Context, string) (container.ExecInspect, error) {
	e.asked++
	return container.ExecInspect{}, notFoundText("No such exec instance: 12345678")
}

func (e *lostExec) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	if e.asked > 0 {
		return container.InspectResponse{}, notFoundText("No such container: " + id)
	}
	return e.execEngine.ContainerInspect(ctx, id)
}

// A process that was lost with its container does not run.
func TestExecLostWithContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := New(&lostExec{}).ExecSync(t.Context(), workloadID, []string{"x"}, ExecSyncOptions{})
		var aborted *ExecAbortedError
		if !errors.Is(err, ErrContainerNotFound) || !errors.As(err, &aborted) || aborted.Running {
			t.Errorf("error is %v; want ErrContainerNotFound, and that nothing runs", err)
		}
	})
}

// A writer that counts more than it was given has not failed.
func TestSinkCounts(t *testing.T) {
	if n, err := newSink(overcounting{}).Write([]byte("ab")); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

type overcounting struct{}

func (overcounting) Write(p []byte) (int, error) { return len(p) + 1, nil }
