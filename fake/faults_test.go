package fake_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/dockpod/dockpod/fake"
	"github.com/google/go-cmp/cmp"
)

func TestFaults(t *testing.T) {
	boom := errors.New("boom")
	other := errors.New("other")
	word := func(err error) string {
		switch err {
		case nil:
			return "ok"
		case boom:
			return "boom"
		case other:
			return "other"
		}
		return err.Error()
	}
	tests := []struct {
		name   string
		before fake.Fault
		want   []string // of four pings
	}{
		{"none", nil, []string{"ok", "ok", "ok", "ok"}},
		{"once", fake.FailOnce(fake.OpPing, boom), []string{"boom", "ok", "ok", "ok"}},
		{"twice", fake.FailTimes(2, fake.OpPing, boom), []string{"boom", "boom", "ok", "ok"}},
		{"always", fake.FailAlways(fake.OpPing, boom), []string{"boom", "boom", "boom", "boom"}},
		{"the third", fake.FailNth(3, fake.OpPing, boom), []string{"ok", "ok", "boom", "ok"}},
		{"another operation", fake.FailAlways(fake.OpInfo, boom), []string{"ok", "ok", "ok", "ok"}},
		{"another target", fake.FailFor(fake.OpPing, "x", boom), []string{"ok", "ok", "ok", "ok"}},
		{"this target", fake.FailFor(fake.OpPing, "", boom), []string{"boom", "boom", "boom", "boom"}},
		{"chain", fake.Chain(nil, fake.FailOnce(fake.OpPing, boom), fake.FailNth(2, fake.OpPing, other)), []string{"boom", "ok", "other", "ok"}},
		{"a function", func(_ context.Context, op fake.Op, _ string) error {
			if op == fake.OpPing {
				return other
			}
			return nil
		}, []string{"other", "other", "other", "other"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &fake.Docker{Before: tt.before}
			var got []string
			for range 4 {
				_, err := d.Ping(t.Context())
				got = append(got, word(err))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("pings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDelayAndBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fake.Docker{Before: fake.Chain(fake.Delay(fake.OpPing, time.Minute), fake.Block(fake.OpInfo))}
		begin := time.Now()
		if _, err := d.Ping(t.Context()); err != nil || time.Since(begin) != time.Minute {
			t.Errorf("a delayed call: %v after %v", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin = time.Now()
		if _, err := d.Ping(ctx); class(err) != "deadline" || time.Since(begin) != time.Second {
			t.Errorf("a delay longer than the context: %v after %v", err, time.Since(begin))
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begin = time.Now()
		if _, err := d.Info(ctx); class(err) != "deadline" || time.Since(begin) != time.Hour {
			t.Errorf("a blocked call: %v after %v", err, time.Since(begin))
		}
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		if _, err := d.ServerVersion(ctx); class(err) != "canceled" {
			t.Errorf("a call with a context that has ended: %v", err)
		}
	})
}

// A fault before leaves nothing behind; one after leaves what was asked for.
func TestBeforeAndAfter(t *testing.T) {
	boom := errors.New("boom")
	ctx := t.Context()
	d := newEngine(t)
	cfg := &config{Image: "app:1"}
	d.Before = fake.FailOnce(fake.OpContainerCreate, boom)
	if _, err := d.ContainerCreate(ctx, cfg, nil, nil, nil, "c1"); err != boom {
		t.Fatalf("create: %v", err)
	}
	if _, err := d.ContainerInspect(ctx, "c1"); class(err) != "404" {
		t.Errorf("a create that failed before: %v", err)
	}

	d.After = fake.Chain(
		fake.FailOnce(fake.OpContainerCreate, context.DeadlineExceeded),
		fake.FailOnce(fake.OpContainerStart, context.DeadlineExceeded),
		fake.FailOnce(fake.OpContainerStop, context.DeadlineExceeded),
		fake.FailOnce(fake.OpContainerRemove, context.DeadlineExceeded),
		fake.FailOnce(fake.OpContainerLogs, boom),
		fake.FailOnce(fake.OpContainerWait, boom),
	)
	r, err := d.ContainerCreate(ctx, cfg, nil, nil, nil, "c1")
	if class(err) != "deadline" || r.ID != "" {
		t.Errorf("create: %+v, %v", r, err)
	}
	if s := inspect(t, d, "c1").State.Status; s != "created" {
		t.Errorf("after a create that timed out: %s", s)
	}
	if err := d.ContainerStart(ctx, "c1", container.StartOptions{}); class(err) != "deadline" || inspect(t, d, "c1").State.Status != "running" {
		t.Errorf("start: %v, then %s", err, inspect(t, d, "c1").State.Status)
	}
	if _, err := d.ContainerLogs(ctx, "c1", container.LogsOptions{ShowStdout: true, Follow: true}); err != boom {
		t.Errorf("logs: %v", err)
	}
	_, errs := d.ContainerWait(ctx, "c1", container.WaitConditionNotRunning)
	if err := <-errs; err != boom {
		t.Errorf("wait: %v", err)
	}
	if err := d.ContainerStop(ctx, "c1", container.StopOptions{}); class(err) != "deadline" || inspect(t, d, "c1").State.Status != "exited" {
		t.Errorf("stop: %v, then %s", err, inspect(t, d, "c1").State.Status)
	}
	if err := d.ContainerRemove(ctx, "c1", container.RemoveOptions{}); class(err) != "deadline" {
		t.Errorf("remove: %v", err)
	}
	if _, err := d.ContainerInspect(ctx, "c1"); class(err) != "404" {
		t.Errorf("after a remove that timed out: %v", err)
	}

	// An operation that fails by itself is not followed by After.
	d.After = fake.FailAlways(fake.OpContainerStart, boom)
	wantErr(t, "start", d.ContainerStart(ctx, "gone", container.StartOptions{}), "404", "No such container: gone")
}

// Every method passes both faults, with the target that the caller wrote.
func TestEveryMethodHasItsOp(t *testing.T) {
	d := newEngine(t)
	ctx := t.Context()
	calls := map[fake.Op]struct {
		target string
		call   func() error
	}{
		fake.OpContainerList:    {"", func() error { _, err := d.ContainerList(ctx, container.ListOptions{}); return err }},
		fake.OpContainerInspect: {"c", func() error { _, err := d.ContainerInspect(ctx, "c"); return err }},
		fake.OpContainerCreate:  {"n", func() error { _, err := d.ContainerCreate(ctx, &config{}, nil, nil, nil, "n"); return err }},
		fake.OpContainerStart:   {"c", func() error { return d.ContainerStart(ctx, "c", container.StartOptions{}) }},
		fake.OpContainerStop:    {"c", func() error { return d.ContainerStop(ctx, "c", container.StopOptions{}) }},
		fake.OpContainerRemove:  {"c", func() error { return d.ContainerRemove(ctx, "c", container.RemoveOptions{}) }},
		fake.OpContainerLogs:    {"c", func() error { _, err := d.ContainerLogs(ctx, "c", container.LogsOptions{}); return err }},
		fake.OpContainerAttach:  {"c", func() error { _, err := d.ContainerAttach(ctx, "c", container.AttachOptions{}); return err }},
		fake.OpContainerResize:  {"c", func() error { return d.ContainerResize(ctx, "c", container.ResizeOptions{}) }},
		fake.OpContainerWait: {"c", func() error {
			_, errs := d.ContainerWait(ctx, "c", "")
			return <-errs
		}},
		fake.OpContainerKill:        {"c", func() error { return d.ContainerKill(ctx, "c", "") }},
		fake.OpContainerPause:       {"c", func() error { return d.ContainerPause(ctx, "c") }},
		fake.OpContainerUnpause:     {"c", func() error { return d.ContainerUnpause(ctx, "c") }},
		fake.OpContainerUpdate:      {"c", func() error { _, err := d.ContainerUpdate(ctx, "c", container.UpdateConfig{}); return err }},
		fake.OpContainerExecCreate:  {"c", func() error { _, err := d.ContainerExecCreate(ctx, "c", container.ExecOptions{}); return err }},
		fake.OpContainerExecStart:   {"x", func() error { return d.ContainerExecStart(ctx, "x", container.ExecStartOptions{}) }},
		fake.OpContainerExecAttach:  {"x", func() error { _, err := d.ContainerExecAttach(ctx, "x", container.ExecAttachOptions{}); return err }},
		fake.OpContainerExecInspect: {"x", func() error { _, err := d.ContainerExecInspect(ctx, "x"); return err }},
		fake.OpContainerExecKill:    {"x", func() error { return d.ContainerExecKill(ctx, "x", "SIGKILL") }},
		fake.OpContainerDial:        {"x", func() error { _, err := d.ContainerDial(ctx, "x", 80); return err }},
		fake.OpContainerExecResize:  {"x", func() error { return d.ContainerExecResize(ctx, "x", container.ResizeOptions{}) }},
		fake.OpImageInspect:         {"i", func() error { _, err := d.ImageInspect(ctx, "i"); return err }},
		fake.OpImageList:            {"", func() error { _, err := d.ImageList(ctx, image.ListOptions{}); return err }},
		fake.OpImagePull:            {"i", func() error { _, err := d.ImagePull(ctx, "i", image.PullOptions{}); return err }},
		fake.OpImageRemove:          {"i", func() error { _, err := d.ImageRemove(ctx, "i", image.RemoveOptions{}); return err }},
		fake.OpVolumeInspect:        {"v", func() error { _, err := d.VolumeInspect(ctx, "v"); return err }},
		fake.OpDiskUsage:            {"", func() error { _, err := d.DiskUsage(ctx, types.DiskUsageOptions{}); return err }},
		fake.OpImageHistory:         {"i", func() error { _, err := d.ImageHistory(ctx, "i"); return err }},
		fake.OpImageLoad:            {"", func() error { _, err := d.ImageLoad(ctx, nil); return err }},
		fake.OpPing:                 {"", func() error { _, err := d.Ping(ctx); return err }},
		fake.OpInfo:                 {"", func() error { _, err := d.Info(ctx); return err }},
		fake.OpServerVersion:        {"", func() error { _, err := d.ServerVersion(ctx); return err }},
	}
	boom := errors.New("boom")
	for op, tt := range calls {
		d.Before = fake.FailFor(op, tt.target, boom)
		if err := tt.call(); err != boom {
			t.Errorf("%s does not pass Before with target %q: %v", op, tt.target, err)
		}
	}
}

// A spy sees the calls, and may use the engine itself.
func TestBeforeMayUseTheEngine(t *testing.T) {
	d := newEngine(t)
	id := run(t, d, "c1", nil)
	var mu sync.Mutex
	var ops []fake.Op
	d.Before = func(ctx context.Context, op fake.Op, target string) error {
		mu.Lock()
		ops = append(ops, op)
		mu.Unlock()
		if op == fake.OpContainerStop { // it ends just before it is stopped
			d.Exit(target, 4)
		}
		return nil
	}
	if err := d.ContainerStop(t.Context(), id, container.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	if c := inspect(t, d, id); c.State.ExitCode != 4 {
		t.Errorf("state %+v", c.State)
	}
	if diff := cmp.Diff([]fake.Op{fake.OpContainerStop, fake.OpContainerInspect}, ops); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestErrorConstructors(t *testing.T) {
	for _, tt := range []struct {
		name, class, text string
		err               error
	}{
		{"container", "404", "No such container: x", fake.NotFound("container", "x")},
		{"image", "404", "No such image: x", fake.NotFound("image", "x")},
		{"exec", "404", "No such exec instance: x", fake.NotFound("exec", "x")},
		{"volume", "404", "get x: no such volume", fake.NotFound("volume", "x")},
		{"conflict", "409", "Container x is not running", fake.Conflict("Container %s is not running", "x")},
		{"invalid", "400", "Invalid signal: x", fake.Invalid("Invalid signal: %s", "x")},
		{"internal", "500", "out of space", fake.Internal("out of space")},
		{"name", "409", `Conflict. The container name "/n" is already in use by container "id". You have to remove (or rename) that container to be able to reuse that name.`, fake.NameConflict("n", "id")},
	} {
		wantErr(t, tt.name, tt.err, tt.class, tt.text)
	}
}

func TestSystem(t *testing.T) {
	d := &fake.Docker{CgroupDriver: "systemd", Runtimes: []string{"kata"}, APIVersion: "1.43"}
	t.Cleanup(func() { d.Close() })
	d.AddImage("app:1")
	run(t, d, "c1", &host{Runtime: "kata"})
	create(t, d, "c2", config{}, nil)
	ping, err := d.Ping(t.Context())
	if diff := cmp.Diff(types.Ping{APIVersion: "1.43", OSType: "linux"}, ping); diff != "" || err != nil {
		t.Errorf("ping %v (-want +got):\n%s", err, diff)
	}
	i, err := d.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if i.CgroupDriver != "systemd" || i.CgroupVersion != "1" || i.Driver != "overlay2" || i.LoggingDriver != "json-file" || i.DefaultRuntime != "runc" ||
		i.Containers != 2 || i.ContainersRunning != 1 || i.ContainersStopped != 1 || i.Images != 1 || len(i.Runtimes) != 4 || i.OSType != "linux" || i.Architecture != "x86_64" {
		t.Errorf("info %+v", i)
	}
	v, err := d.ServerVersion(t.Context())
	if err != nil || v.Version != "20.10.24" || v.APIVersion != "1.43" || v.MinAPIVersion != "1.12" || v.Os != "linux" || len(v.Components) != 4 {
		t.Errorf("version %+v, %v", v, err)
	}
	_, err = d.ContainerCreate(t.Context(), &config{Image: "app:1"}, &host{Resources: container.Resources{CgroupParent: "/kubepods"}}, nil, nil, "c3")
	wantErr(t, "cgroup parent", err, "400", `cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"`)
	create(t, d, "c3", config{}, &host{Resources: container.Resources{CgroupParent: "kubepods.slice"}})
}
