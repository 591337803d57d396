package dockpod_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
)

// startWorld is a container of a sandbox that was not started yet.
func startWorld(t *testing.T, dir string) (d *fake.Docker, rt *dockpod.Runtime, id string) {
	d = &fake.Docker{}
	t.Cleanup(func() { d.Close() })
	d.AddImage("app:1")
	d.HandleFunc("/end", func(*fake.Process) int { return 3 })
	rt = dockpod.New(d, dockpod.WithOwner("o"))
	pod := dockpod.SandboxConfig{Name: "web", Namespace: "default", UID: "u-1", LogDirectory: dir}
	sandbox, err := rt.RunSandbox(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	c := dockpod.ContainerConfig{Name: "app", Image: "app:1", Command: []string{"/end"}}
	if dir != "" {
		c.LogPath = "app.log"
	}
	if id, err = rt.CreateContainer(t.Context(), sandbox, c, pod); err != nil {
		t.Fatal(err)
	}
	return d, rt, id
}

// Two callers who start a container that ends at once run it once, however
// they name it.
func TestStartTwice(t *testing.T) {
	for _, short := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d, rt, id := startWorld(t, "")
			var starts atomic.Int32
			d.Before = func(_ context.Context, op fake.Op, _ string) error {
				if op == fake.OpContainerStart {
					starts.Add(1)
					time.Sleep(time.Second) // the other one has looked meanwhile
				}
				return nil
			}
			names := []string{id, id}
			if short {
				names[1] = id[:12]
			}
			errs := make([]error, len(names))
			var wg sync.WaitGroup
			for i, name := range names {
				wg.Go(func() {
					time.Sleep(time.Duration(i) * time.Millisecond)
					if errs[i] = rt.StartContainer(t.Context(), name); i == 0 {
						_, _ = rt.Wait(t.Context(), id)
					}
				})
			}
			wg.Wait()
			if errs[0] != nil || errs[1] != nil && !errors.Is(errs[1], dockpod.ErrAlreadyRan) || starts.Load() != 1 {
				t.Errorf("%d starts; errors %v", starts.Load(), errs)
			}
		})
	}
}

// A start waits for another one no longer than its context lasts.
func TestStartWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, rt, id := startWorld(t, "")
		d.Before = fake.Delay(fake.OpContainerStart, time.Minute)
		go func() { _ = rt.StartContainer(t.Context(), id) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := rt.StartContainer(ctx, id); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("after %v the error is %v", time.Since(start), err)
		}
		time.Sleep(time.Minute)
	})
}

// A removal in the middle of a start leaves no link behind.
func TestRemoveWhileStarting(t *testing.T) {
	dir := t.TempDir()
	d, rt, id := startWorld(t, dir)
	var removed sync.WaitGroup
	var looks atomic.Int32
	d.After = func(_ context.Context, op fake.Op, _ string) error {
		if op != fake.OpContainerInspect || looks.Add(1) != 2 {
			return nil
		}
		// It was started and looked at for its link.
		done := make(chan struct{})
		removed.Go(func() {
			defer close(done)
			if err := rt.RemoveContainer(t.Context(), id); err != nil {
				t.Error(err)
			}
		})
		select {
		case <-done:
		case <-time.After(200 * time.Millisecond):
		}
		return nil
	}
	if err := rt.StartContainer(t.Context(), id); err != nil {
		t.Error(err)
	}
	removed.Wait()
	if link, err := os.Readlink(filepath.Join(dir, "app.log")); err == nil {
		t.Errorf("a link to %q was left", link)
	}
}
