package conformance

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod"
)

// patience is how long a case waits for what has to come.
var patience = 30 * time.Second

// eventually waits for what no event tells.
func (w *world) eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !happened(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come in %v", what, patience)
		}
	}
}

// must ends a case that cannot go on.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// equal compares what a case expects with what it got.
func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s mismatch (-want +got):\n%s", what, diff)
	}
}

// fails expects an error that is target.
func fails(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("error is %v; want %q", err, target)
	}
}

// refused expects an error of type E and returns it.
func refused[E error](t *testing.T, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("error is %v; want a %T", err, e)
	}
	return e
}

// together calls f n times at once, with 0 to n-1, and returns the errors.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errs
}

// ready runs a sandbox and returns it with its pod.
func (w *world) ready(t *testing.T) (sandbox string, s dockpod.SandboxConfig) {
	t.Helper()
	s = w.pod("pod")
	return w.sandbox(t, s), s
}

// made creates a container without a sandbox, which is the quickest to have.
func (w *world) made(t *testing.T, c dockpod.ContainerConfig) string {
	t.Helper()
	return w.create(t, "", c, w.pod("alone"))
}

// unmade creates such a container, which is to fail, and returns why.
func (w *world) unmade(t *testing.T, c dockpod.ContainerConfig) error {
	t.Helper()
	id, err := w.rt.CreateContainer(t.Context(), "", c, w.pod("alone"))
	switch {
	case err == nil:
		t.Fatal("the container was created")
	case id != "":
		t.Errorf("the ID is %q beside the error %v", id, err)
	}
	return err
}

// started creates and starts such a container.
func (w *world) started(t *testing.T, c dockpod.ContainerConfig) string {
	t.Helper()
	return w.start(t, "", c, w.pod("alone"))
}

// attempts keeps the names of containers apart that are made alone.
var attempts atomic.Uint32

// alone makes a container that runs a command of the suite's program.
func (w *world) alone(t *testing.T, args ...string) string {
	t.Helper()
	c := w.container("app", args...)
	c.Attempt = attempts.Add(1)
	return w.made(t, c)
}

// run starts a container.
func (w *world) run(t *testing.T, id string) {
	t.Helper()
	must(t, w.rt.StartContainer(t.Context(), id))
}

// up runs a container alone until it is ready for signals. The command is
// "sleep" or "stubborn".
func (w *world) up(t *testing.T, command string) string {
	t.Helper()
	id := w.alone(t, command)
	w.run(t, id)
	w.hears(t, id, "up")
	return id
}

// ended runs a container alone to its end.
func (w *world) ended(t *testing.T, args ...string) string {
	t.Helper()
	id := w.alone(t, args...)
	w.run(t, id)
	w.finished(t, id)
	return id
}

// failed returns a container alone whose start failed: its executable is
// missing.
func (w *world) failed(t *testing.T) string {
	t.Helper()
	c := w.container("app")
	c.Command = []string{"/missing"}
	id := w.made(t, c)
	if err := w.rt.StartContainer(t.Context(), id); err == nil {
		t.Fatal("a missing executable was started")
	}
	return id
}

// gone returns the ID of a container that was removed.
func (w *world) gone(t *testing.T) string {
	t.Helper()
	id := w.alone(t)
	must(t, w.rt.RemoveContainer(t.Context(), id))
	return id
}

// pause freezes a container.
func (w *world) pause(t *testing.T, id string) {
	t.Helper()
	w.needs(t, "pausing")
	must(t, w.docker.(dockpod.ContainerPauser).ContainerPause(t.Context(), id))
}

// unpause lets a paused container go on. Docker 20.10 hears of each pause from
// containerd once more, and takes that for another one if the container has
// gone on before.
func (w *world) unpause(t *testing.T, id string) {
	t.Helper()
	if w.has(t, "real processes") {
		time.Sleep(time.Second)
	}
	must(t, w.docker.(dockpod.ContainerPauser).ContainerUnpause(t.Context(), id))
}

// tear removes a container or sandbox behind the library's back.
func (w *world) tear(t *testing.T, id string) {
	t.Helper()
	must(t, w.docker.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true}))
}

// raw returns the engine's own inspection.
func (w *world) raw(t *testing.T, id string) container.InspectResponse {
	t.Helper()
	info, err := w.docker.ContainerInspect(t.Context(), id)
	must(t, err)
	return info
}

// foreign makes a container that is not the library's.
func (w *world) foreign(t *testing.T, name string, labels map[string]string) string {
	t.Helper()
	resp, err := w.docker.ContainerCreate(t.Context(), &container.Config{Image: w.image, Labels: labels}, nil, nil, nil, name)
	must(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		err := w.docker.ContainerRemove(ctx, resp.ID, container.RemoveOptions{Force: true})
		if err != nil && !errdefs.IsNotFound(err) {
			t.Errorf("clean up: %v", err)
		}
	})
	return resp.ID
}

// list lists the world's containers.
func (w *world) list(t *testing.T, f dockpod.Filter) []dockpod.Container {
	t.Helper()
	list, err := w.rt.ListContainers(t.Context(), f)
	must(t, err)
	return list
}

// ids lists the world's containers by their IDs, in the order of these.
func (w *world) ids(t *testing.T, f dockpod.Filter) []string {
	t.Helper()
	return sorted(idsOf(w.list(t, f))...)
}

func idsOf(list []dockpod.Container) []string {
	ids := []string{}
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids
}

// brief is what a case says of a status; a bool stands for what is not the
// same each time.
type brief struct {
	State             dockpod.State
	Reason            string
	ExitCode          int
	Started, Finished bool
	PID               bool
}

func (w *world) brief(t *testing.T, id string) brief {
	t.Helper()
	st := w.status(t, id)
	return brief{st.State, st.Reason, st.ExitCode, !st.StartedAt.IsZero(), !st.FinishedAt.IsZero(), st.PID != 0}
}

// said returns what a container has written to its standard output.
func (w *world) said(t *testing.T, id string) string {
	t.Helper()
	logs, err := w.docker.ContainerLogs(t.Context(), id, container.LogsOptions{ShowStdout: true})
	must(t, err)
	defer logs.Close()
	var out bytes.Buffer
	_, err = stdcopy.StdCopy(&out, io.Discard, logs)
	must(t, err)
	return out.String()
}

// output runs a container alone to its end and returns what it wrote.
func (w *world) output(t *testing.T, c dockpod.ContainerConfig) string {
	t.Helper()
	id := w.started(t, c)
	w.finished(t, id)
	return w.said(t, id)
}

// hears waits until a container has written a line.
func (w *world) hears(t *testing.T, id, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	logs, err := w.docker.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, Follow: true})
	must(t, err)
	defer logs.Close()
	heard := &listener{line: line}
	if _, err := stdcopy.StdCopy(heard, io.Discard, logs); !errors.Is(err, errHeard) {
		t.Fatalf("the container did not say %q but %q: %v", line, heard.text.String(), err)
	}
}

// listener is a writer that fails with errHeard when it has got a line.
type listener struct {
	line string
	text strings.Builder
}

var errHeard = errors.New("heard")

func (l *listener) Write(p []byte) (int, error) {
	l.text.Write(p)
	if strings.Contains("\n"+l.text.String(), "\n"+l.line+"\n") {
		return len(p), errHeard
	}
	return len(p), nil
}
