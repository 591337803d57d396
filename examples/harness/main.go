// Command harness is a runner of jobs (runner.go) and shows how one tests such
// a program without an engine. That is in harness_test.go:
//
//	go test ./examples/harness
//
// The command itself runs a few jobs and prints how they ended. On the fake
// some of them meet an engine that fails.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"text/tabwriter"

	"github.com/containerd/errdefs"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/examples/internal/demo"
	"github.com/dockpod/dockpod/fake"
)

func main() {
	demo.Main("harness runs jobs, on the fake also with faults: go run ./examples/harness -engine fake://", run)
}

func run(ctx context.Context, e *demo.Engine) error {
	image, err := e.Image(ctx)
	if err != nil {
		return err
	}
	rt := dockpod.New(e.Docker, dockpod.WithOwner("dockpod-harness"))
	old, err := rt.ListSandboxes(ctx, dockpod.SandboxFilter{}) // of an earlier run that was killed
	if err != nil {
		return err
	}
	for _, s := range old {
		if err := rt.RemoveSandbox(ctx, s.ID); err != nil {
			return err
		}
	}
	scenarios := []struct {
		what          string
		args          []string
		before, after fake.Fault // of what only the fake can do
	}{
		{what: "a job that succeeds", args: []string{"exit", "0"}},
		{what: "a job that fails", args: []string{"exit", "3"}},
		{
			what: "the engine is away when the job is started", args: []string{"exit", "0"},
			before: fake.FailNth(2, fake.OpContainerStart, errdefs.ErrUnavailable), // the first is the sandbox
		},
		{
			what: "the job is created, and the answer is lost", args: []string{"exit", "0"},
			after: fake.FailNth(2, fake.OpContainerCreate, context.DeadlineExceeded),
		},
		{
			what: "the kernel kills the job for want of memory", args: []string{"wait"},
			after: oomKillSecond(e.Fake),
		},
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "\nWHAT HAPPENS\tHOW THE JOB ENDS")
	for i, s := range scenarios {
		if s.before != nil || s.after != nil {
			if e.Fake == nil {
				continue
			}
			e.Fake.Before, e.Fake.After = s.before, s.after
		}
		end, err := RunJob(ctx, rt, Job{Name: "job", ID: strconv.Itoa(i), Image: image, Args: s.args})
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s, exit code %d\n", s.what, end.Reason, end.ExitCode)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	left, err := rt.ListManaged(ctx, false)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d containers are left.\n", len(left))
	if e.Fake == nil {
		fmt.Println("Faults can be had on the fake: go run ./examples/harness -engine fake://")
	}
	fmt.Println("The test of this program: go test ./examples/harness")
	return nil
}

// oomKillSecond kills the second container that is started.
func oomKillSecond(engine *fake.Docker) fake.Fault {
	var started atomic.Int32
	return func(_ context.Context, op fake.Op, id string) error {
		if op == fake.OpContainerStart && started.Add(1) == 2 {
			engine.OOMKill(id)
		}
		return nil
	}
}
