package fake_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
)

// Close ends processes and streams, and waits for them. The bubble fails if a
// goroutine is left.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fake.Docker{RemoveTime: time.Hour}
		d.AddImage("app:1")
		var ended atomic.Int32
		d.HandleFunc("/bin/main", func(p *fake.Process) int {
			<-p.Done()
			time.Sleep(time.Second) // it needs a moment
			ended.Add(1)
			return 0
		})
		id := run(t, d, "c1", nil)
		idle := create(t, d, "c2", config{OpenStdin: true}, nil)
		ctx := context.Background()
		x, err := d.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: []string{"/bin/main"}, AttachStdin: true, AttachStdout: true})
		if err != nil {
			t.Fatal(err)
		}
		exec, err := d.ContainerExecAttach(ctx, x.ID, container.ExecAttachOptions{})
		if err != nil {
			t.Fatal(err)
		}
		attached, err := d.ContainerAttach(ctx, idle, container.AttachOptions{Stream: true, Stdin: true, Stdout: true})
		if err != nil {
			t.Fatal(err)
		}
		logs, err := d.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		_, errs := d.ContainerWait(ctx, idle, container.WaitConditionNextExit)
		go func() { _ = d.ContainerStop(ctx, id, container.StopOptions{Timeout: ptr(3600)}) }()
		go func() { _ = d.ContainerRemove(ctx, create(t, d, "c3", config{}, nil), container.RemoveOptions{}) }()
		synctest.Wait()

		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if n := ended.Load(); n != 2 {
			t.Errorf("Close waited for %d of 2 programs", n)
		}
		for what, r := range map[string]io.Reader{"exec": exec.Reader, "attach": attached.Reader, "logs": logs} {
			if _, err := io.ReadAll(r); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := <-errs; err == nil {
			t.Error("a wait ended well")
		}
		if _, err := d.Ping(ctx); err == nil {
			t.Error("a closed engine answers")
		}
		if err := d.Close(); err != nil {
			t.Errorf("the second Close: %v", err)
		}
	})
}

// A stream of events that is asked for while the engine is closed ends.
func TestEventsWhileClosing(t *testing.T) {
	for name, o := range map[string]events.ListOptions{"from now on": {}, "of the past": {Until: "1"}} {
		t.Run(name, func(t *testing.T) {
			d := &fake.Docker{}
			d.Before = func(context.Context, fake.Op, string) error { return d.Close() }
			_, errs := d.Events(t.Context(), o)
			select {
			case err := <-errs:
				if err == nil {
					t.Error("the stream ended well")
				}
			case <-time.After(5 * time.Second):
				t.Error("the stream does not end")
			}
		})
	}
}

// A stream of events that ends at a time has all that came before it, however
// late they are read.
func TestEventsUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newEngine(t)
		create(t, d, "c1", config{}, nil)
		messages, errs := d.Events(t.Context(), events.ListOptions{Since: "1", Until: time.Now().Add(time.Second).Format(time.RFC3339Nano)})
		create(t, d, "c2", config{}, nil)
		time.Sleep(2 * time.Second)
		create(t, d, "c3", config{}, nil)
		var names []string
		for range 2 {
			select {
			case m := <-messages:
				names = append(names, m.Actor.Attributes["name"])
			case err := <-errs:
				t.Fatalf("%v after %q", err, names)
			}
		}
		if want := []string{"c1", "c2"}; !slices.Equal(want, names) {
			t.Errorf("told of %q, want %q", names, want)
		}
		if err := <-errs; err != io.EOF {
			t.Errorf("in the end: %v", err)
		}
	})
}

func TestConnect(t *testing.T) {
	ctx := t.Context()
	rt, err := dockpod.Connect(ctx, "fake://")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := rt.Version(ctx); err != nil || v.Engine != "20.10.24" || v.API != "1.41" {
		t.Errorf("version %+v, %v", v, err)
	}
	if err := rt.Close(); err != nil {
		t.Error(err)
	}

	d := fake.Named("TestConnect")
	if fake.Named("TestConnect") != d || fake.Named("another") == d {
		t.Error("Named does not tell engines by their names")
	}
	d.AddImage("reg.test/app:1")
	for range 2 { // closing one Runtime leaves the engine to the others
		rt, err := dockpod.Connect(ctx, "fake://TestConnect")
		if err != nil {
			t.Fatal(err)
		}
		if img, err := rt.ImageStatus(ctx, "reg.test/app:1"); err != nil || len(img.RepoTags) != 1 {
			t.Errorf("image %+v, %v", img, err)
		}
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if fake.Named("TestConnect") == d {
		t.Error("a closed engine is given out")
	}
	for _, name := range []string{"TestConnect", "another"} {
		if err := fake.Named(name).Close(); err != nil {
			t.Error(err)
		}
	}
}

// Many callers at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	d := newEngine(t)
	d.HandleFunc("/bin/main", func(p *fake.Process) int {
		for i := 0; ; i++ {
			fmt.Fprintln(p.Stdout, i)
			select {
			case <-p.Signals:
				return 0
			case <-p.Done():
				return 0
			case <-time.After(time.Millisecond):
			}
		}
	})
	ctx := t.Context()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 10 {
				r, err := d.ContainerCreate(ctx, &config{Image: "app:1"}, nil, nil, nil, fmt.Sprintf("w%d-%d", w, i))
				if err != nil {
					t.Error(err)
					return
				}
				if err := d.ContainerStart(ctx, r.ID, container.StartOptions{}); err != nil {
					t.Error(err)
				}
				if _, err := d.ContainerList(ctx, container.ListOptions{All: true, Filters: args("name", "w")}); err != nil {
					t.Error(err)
				}
				logs, err := d.ContainerLogs(ctx, r.ID, container.LogsOptions{ShowStdout: true, Follow: true})
				if err != nil {
					t.Error(err)
					return
				}
				d.WriteLog(r.ID, fake.Stderr, "note")
				_ = d.ContainerPause(ctx, r.ID)
				_ = d.ContainerUnpause(ctx, r.ID)
				if err := d.ContainerStop(ctx, r.ID, container.StopOptions{}); err != nil {
					t.Error(err)
				}
				if _, err := io.ReadAll(logs); err != nil {
					t.Error(err)
				}
				if _, err := d.ContainerInspect(ctx, r.ID); err != nil {
					t.Error(err)
				}
				if err := d.ContainerRemove(ctx, r.ID, container.RemoveOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if l, err := d.ContainerList(ctx, container.ListOptions{All: true}); err != nil || len(l) > 0 {
		t.Errorf("%d containers are left, %v", len(l), err)
	}
}

func TestVerbsPanic(t *testing.T) {
	for name, verb := range map[string]func(*fake.Docker){
		"Exit":      func(d *fake.Docker) { d.Exit("gone", 0) },
		"WriteLog":  func(d *fake.Docker) { d.WriteLog("gone", fake.Stdout, "") },
		"DropImage": func(d *fake.Docker) { d.DropImage("gone") },
		"AddImage":  func(d *fake.Docker) { d.AddImage("NOT A REFERENCE") },
		"FailStart": func(d *fake.Docker) { d.FailStart("c", 1, "") },
	} {
		t.Run(name, func(t *testing.T) {
			d := newEngine(t)
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
				// The lock is free again.
				if _, err := d.Ping(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			verb(d)
		})
	}
}

// A life of one container in an engine that holds n others, all running.
func BenchmarkLife(b *testing.B) {
	for _, n := range []int{100, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := &fake.Docker{}
			defer d.Close()
			d.AddImage("app:1")
			ctx := b.Context()
			life := func(name string, end bool) {
				r, err := d.ContainerCreate(ctx, &config{Image: "app:1", Labels: map[string]string{"k": "v"}}, &host{}, nil, nil, name)
				if err != nil {
					b.Fatal(err)
				}
				if err := d.ContainerStart(ctx, r.ID, container.StartOptions{}); err != nil {
					b.Fatal(err)
				}
				if !end {
					return
				}
				if err := d.ContainerStop(ctx, r.ID, container.StopOptions{}); err != nil {
					b.Fatal(err)
				}
				if err := d.ContainerRemove(ctx, r.ID, container.RemoveOptions{}); err != nil {
					b.Fatal(err)
				}
			}
			for i := range n {
				life(fmt.Sprint("c", i), false)
			}
			for b.Loop() {
				life("one", true)
			}
		})
	}
}

func BenchmarkList(b *testing.B) {
	d := &fake.Docker{}
	defer d.Close()
	d.AddImage("app:1")
	for i := range 1000 {
		if _, err := d.ContainerCreate(b.Context(), &config{Image: "app:1", Labels: map[string]string{"a": "1", "b": "2"}}, nil, nil, nil, fmt.Sprint("c", i)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if l, err := d.ContainerList(b.Context(), container.ListOptions{All: true, Filters: args("label", "a=1")}); err != nil || len(l) != 1000 {
			b.Fatal(len(l), err)
		}
	}
}
