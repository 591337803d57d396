package main

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
)

// The engine makes a container, and its answer is lost on the way.
func TestLostAnswer(t *testing.T) {
	engine := &fake.Docker{After: fake.FailNth(2, fake.OpContainerCreate, context.DeadlineExceeded)}
	defer engine.Close()
	engine.AddImage("builder:1")
	engine.HandleFunc("/bin/main", func(*fake.Process) int { return 3 })
	rt := dockpod.New(engine, dockpod.WithOwner("runner"))

	end, err := RunJob(t.Context(), rt, Job{Name: "build", ID: "1", Image: "builder:1"})
	if err != nil || end.Reason != dockpod.ReasonError || end.ExitCode != 3 {
		t.Errorf("job ended with %q %d, error %v; want Error 3", end.Reason, end.ExitCode, err)
	}
	if left, err := rt.ListManaged(t.Context(), false); err != nil || len(left) > 0 {
		t.Errorf("%d containers are left, error %v", len(left), err)
	}
}

func TestRunJob(t *testing.T) {
	unavailable := errdefs.ErrUnavailable
	lost := context.DeadlineExceeded // of the request, not of the caller
	succeed := func(*fake.Process) int { return 0 }
	// The sandbox is the first container that is made and started.
	for _, test := range []struct {
		name          string
		before, after fake.Fault
		program       func(*fake.Process) int
		wantReason    string
		wantCode      int
		wantErr       func(error) bool
	}{
		{name: "it succeeds", program: succeed, wantReason: dockpod.ReasonCompleted},
		{name: "it fails", program: func(*fake.Process) int { return 7 }, wantReason: dockpod.ReasonError, wantCode: 7},
		{name: "no start of the sandbox", before: fake.FailOnce(fake.OpContainerStart, unavailable), program: succeed, wantReason: dockpod.ReasonCompleted},
		{name: "no start of the job", before: fake.FailNth(2, fake.OpContainerStart, unavailable), program: succeed, wantReason: dockpod.ReasonCompleted},
		{name: "sandbox made, answer lost", after: fake.FailOnce(fake.OpContainerCreate, lost), program: succeed, wantReason: dockpod.ReasonCompleted},
		{name: "sandbox started, answer lost", after: fake.FailOnce(fake.OpContainerStart, lost), program: succeed, wantReason: dockpod.ReasonCompleted},
		{name: "job started, answer lost", after: fake.FailNth(2, fake.OpContainerStart, lost), program: succeed, wantReason: dockpod.ReasonCompleted},
		{name: "no removal", before: fake.FailOnce(fake.OpContainerRemove, unavailable), program: succeed, wantReason: dockpod.ReasonCompleted},
		{name: "no engine for a while", before: fake.FailTimes(3, fake.OpContainerCreate, unavailable), program: succeed, wantReason: dockpod.ReasonCompleted},
		{name: "no start at all", before: fake.FailAlways(fake.OpContainerStart, unavailable), program: succeed, wantErr: errdefs.IsUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the pauses between tries take no time
				engine := &fake.Docker{Before: test.before, After: test.after}
				defer engine.Close()
				engine.AddImage("builder:1")
				engine.HandleFunc("/bin/main", test.program)
				end, err := RunJob(t.Context(), dockpod.New(engine, dockpod.WithOwner("runner")), Job{Name: "build", ID: "1", Image: "builder:1"})
				if test.wantErr == nil {
					test.wantErr = func(err error) bool { return err == nil }
				}
				if !test.wantErr(err) || end.Reason != test.wantReason || end.ExitCode != test.wantCode {
					t.Errorf("job ended with %q %d, error %v; want %q %d", end.Reason, end.ExitCode, err, test.wantReason, test.wantCode)
				}
				noneLeft(t, engine)
			})
		})
	}
}

func TestOOMKill(t *testing.T) {
	engine := new(fake.Docker)
	defer engine.Close()
	engine.AddImage("builder:1")
	engine.HandleFunc("/bin/main", func(p *fake.Process) int {
		engine.OOMKill(p.ContainerID)
		return 0 // too late
	})
	end, err := RunJob(t.Context(), dockpod.New(engine), Job{Name: "build", ID: "1", Image: "builder:1"})
	if err != nil || end.Reason != dockpod.ReasonOOMKilled || end.ExitCode != 137 {
		t.Errorf("job ended with %q %d, error %v; want OOMKilled 137", end.Reason, end.ExitCode, err)
	}
	noneLeft(t, engine)
}

// A job that is no longer wanted is removed, though its context has ended.
func TestCancelledJob(t *testing.T) {
	engine := new(fake.Docker)
	defer engine.Close()
	engine.AddImage("builder:1")
	ctx, cancel := context.WithCancel(t.Context())
	engine.HandleFunc("/bin/main", func(p *fake.Process) int {
		cancel()
		<-p.Done()
		return 0
	})
	_, err := RunJob(ctx, dockpod.New(engine), Job{Name: "build", ID: "1", Image: "builder:1"})
	if !errdefs.IsCanceled(err) {
		t.Errorf("error %v, want the caller's cancellation", err)
	}
	noneLeft(t, engine)
}

func noneLeft(t *testing.T, engine *fake.Docker) {
	t.Helper()
	left, err := engine.ContainerList(t.Context(), container.ListOptions{All: true})
	if err != nil || len(left) > 0 {
		t.Errorf("%d containers are left, error %v", len(left), err)
	}
}
