package main

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"

	"github.com/dockpod/dockpod"
)

// Job is a program that runs once.
type Job struct {
	Name  string
	ID    string // tells runs of one name apart
	Image string
	Args  []string
}

// RunJob runs a job in a pod of its own, waits for its end and removes all of
// it. What the engine did not do, or may have done without saying so, is asked
// for again: a create that is repeated finds what the first one made.
func RunJob(ctx context.Context, rt *dockpod.Runtime, job Job) (end dockpod.ContainerStatus, err error) {
	pod := dockpod.SandboxConfig{Name: job.Name, Namespace: "jobs", UID: job.ID}
	if err := pod.Validate(); err != nil {
		return end, err // an empty UID would select all sandboxes below
	}
	defer func() {
		// Even if ctx has ended, and whatever of it was made.
		err = errors.Join(err, again(context.WithoutCancel(ctx), func(ctx context.Context) error { return removeJob(ctx, rt, job) }))
	}()
	var sandbox, id string
	err = again(ctx, func(ctx context.Context) (err error) {
		sandbox, err = rt.RunSandbox(ctx, pod)
		return err
	})
	if err != nil {
		return end, err
	}
	err = again(ctx, func(ctx context.Context) (err error) {
		id, err = rt.CreateContainer(ctx, sandbox, dockpod.ContainerConfig{Name: "job", Image: job.Image, Args: job.Args}, pod)
		return err
	})
	if err != nil {
		return end, err
	}
	err = again(ctx, func(ctx context.Context) error { return rt.StartContainer(ctx, id) })
	if err != nil && !errors.Is(err, dockpod.ErrAlreadyRan) { // it was started, and is through
		return end, err
	}
	err = again(ctx, func(ctx context.Context) (err error) {
		end, err = rt.Wait(ctx, id)
		return err
	})
	return end, err
}

// removeJob removes what there is of a job.
func removeJob(ctx context.Context, rt *dockpod.Runtime, job Job) error {
	list, err := rt.ListSandboxes(ctx, dockpod.SandboxFilter{UID: job.ID})
	for _, s := range list {
		err = errors.Join(err, rt.RemoveSandbox(ctx, s.ID))
	}
	return err
}

// again calls f a few times, as long as it is the engine that fails.
func again(ctx context.Context, f func(context.Context) error) error {
	const tries = 4
	pause := 100 * time.Millisecond
	for try := 1; ; try++ {
		err := f(ctx)
		passing := errdefs.IsUnavailable(err) || errdefs.IsDeadlineExceeded(err)
		if !passing || try == tries || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return err
		}
	}
}
