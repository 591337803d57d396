//go:build linux

package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/dockpod/dockpod"
)

// heard is a writer that tells when it was first written to.
type heard struct {
	once sync.Once
	some chan struct{}
}

func (h *heard) Write(p []byte) (int, error) {
	h.once.Do(func() { close(h.some) })
	return len(p), nil
}

// An engine that is killed ends the streams that it carries, each with an error
// that says so, and nothing of them is left. A log's file is no such stream: it
// is followed while the engine restarts.
func TestStreamsOfAKilledEngine(t *testing.T) {
	engine, docker := privateEngine(t)
	loadProgram(t, docker)
	setup := dockpod.New(docker, dockpod.WithOwner("streams"), dockpod.WithNetwork("none"))
	id, err := setup.CreateContainer(t.Context(), "", dockpod.ContainerConfig{Name: "app", Image: "dockpod.io/e2e:prog", Args: []string{"tick", "1000"}},
		dockpod.SandboxConfig{Name: "streams", Namespace: "e2e", UID: "u"})
	if err != nil {
		t.Fatal(err)
	}
	if err := setup.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	docker.Close()
	before := runtime.NumGoroutine()

	through, err := client.NewClientWithOpts(client.WithHost(engine.Host), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	rt := dockpod.New(through, dockpod.WithOwner("streams"), dockpod.WithRequestTimeout(time.Minute))
	endless, feed := io.Pipe()
	streams := map[string]func(ctx context.Context, out io.Writer) error{
		"logs": func(ctx context.Context, out io.Writer) error {
			return rt.ContainerLogs(ctx, id, dockpod.LogOptions{Stdout: out, Follow: true, Source: dockpod.LogSourceAPI})
		},
		"exec": func(ctx context.Context, out io.Writer) error {
			_, err := rt.Exec(ctx, id, dockpod.ExecOptions{Command: []string{"/prog", "tick", "1000"}, Stdout: out, Stdin: endless, Kill: true})
			return err
		},
		"exec on a terminal": func(ctx context.Context, out io.Writer) error {
			_, err := rt.Exec(ctx, id, dockpod.ExecOptions{Command: []string{"/prog", "tick", "1000"}, Stdout: out, Stdin: bytes.NewReader(nil), TTY: true, Kill: true})
			return err
		},
		"attach": func(ctx context.Context, out io.Writer) error {
			return rt.Attach(ctx, id, dockpod.AttachOptions{Stdout: out})
		},
	}
	var mu sync.Mutex
	ends := map[string]error{}
	var all sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for name, run := range streams {
		out := &heard{some: make(chan struct{})}
		all.Go(func() {
			err := run(ctx, out)
			mu.Lock()
			defer mu.Unlock()
			ends[name] = err
		})
		select {
		case <-out.some:
		case <-ctx.Done():
			t.Fatalf("%s: nothing came", name)
		}
	}
	if err := engine.Stop(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	feed.Close()
	through.Close()

	for name, err := range ends {
		var typed *dockpod.Error
		if !errors.As(err, &typed) || !errdefs.IsUnavailable(err) && !errors.Is(err, dockpod.ErrBadAnswer) {
			t.Errorf("%s ended with %v; want that the engine is not there", name, err)
		}
		var aborted *dockpod.ExecAbortedError
		if errors.As(err, &aborted) && !aborted.Running {
			t.Errorf("%s: the process is said to have ended: %v", name, err)
		}
		t.Logf("%s: %v", name, err)
	}
	for late := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(late) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, before %d\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
