package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod"
)

// exitCase is the time from the death of a container's first process, which
// is killed behind the engine's back, until it is known.
func exitCase(ctx context.Context, b *bench, n *node) error {
	if os.Geteuid() != 0 {
		fmt.Println("left out: only root can kill a container's process")
		return nil
	}
	count := b.count(100)
	if err := n.fill(ctx, count); err != nil {
		return err
	}
	const ours, wait, poll = "Watch", "ContainerWait", "list each second"
	r := result{variants: []variant{{name: poll}, {name: wait}, {name: ours}}, samples: map[string][]sample{}}
	trials := b.roundsOr(20)
	for trial := range trials {
		// One after the other: polling makes the engine slow for those who wait.
		watched, waited, err := n.pushTrial(ctx, count)
		if err != nil {
			return err
		}
		polled, err := n.pollTrial(ctx, count, lookEvery*time.Duration(2*trial+1)/time.Duration(2*trials))
		if err != nil {
			return err
		}
		for name, d := range map[string]time.Duration{ours: watched, wait: waited, poll: polled} {
			r.samples[name] = append(r.samples[name], sample{wall: d})
		}
	}
	fmt.Printf("%d containers of each kind; only the wall time is measured\n", count)
	r.print()
	b.atMost("exit-poll", r.median(ours, wall)/r.median(poll, wall), 1./8)
	b.atMost("exit-wait", r.ratio(ours, wait, wall), 1.1)
	return nil
}

// pushTrial kills a container whose end the engine tells, to a Watch and to a
// ContainerWait at the same time.
func (n *node) pushTrial(ctx context.Context, i int) (watched, waited time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	id, err := n.startOurs(ctx, i)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, n.rt.RemoveContainer(context.WithoutCancel(ctx), id)) }()

	synced, exited, gone := make(chan struct{}), make(chan time.Time, 1), make(chan error, 1)
	go func() { gone <- n.awaitExit(ctx, id, synced, exited) }()
	select {
	case <-synced:
	case err := <-gone:
		return 0, 0, err
	}
	done, failed := n.plain.ContainerWait(ctx, id, container.WaitConditionNotRunning)
	time.Sleep(100 * time.Millisecond) // the engine does not tell when it has begun to wait
	killed, err := n.killInit(ctx, id)
	if err != nil {
		return 0, 0, err
	}
	for watched == 0 || waited == 0 {
		select {
		case at := <-exited:
			watched = at.Sub(killed)
		case <-done:
			waited = time.Since(killed)
		case err := <-failed:
			return 0, 0, err
		case err := <-gone:
			return 0, 0, err
		}
	}
	cancel()
	<-gone
	return watched, waited, nil
}

// awaitExit reads a Watch. It closes synced when it has begun, and notes the
// time when the container has exited.
func (n *node) awaitExit(ctx context.Context, id string, synced chan<- struct{}, exited chan<- time.Time) error {
	for event, err := range n.rt.Watch(ctx, time.Time{}) {
		switch {
		case err != nil:
			return err
		case event.Kind == dockpod.EventSynced && synced != nil:
			close(synced)
			synced = nil
		case event.Kind == dockpod.EventExited && event.ID == id:
			exited <- time.Now()
		}
	}
	return nil
}

// pollTrial kills a container some time before the next list.
func (n *node) pollTrial(ctx context.Context, i int, before time.Duration) (polled time.Duration, err error) {
	id, err := n.startPlain(ctx, i)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, n.removePlain(context.WithoutCancel(ctx), id)) }()
	killed, err := n.killInit(ctx, id)
	if err != nil {
		return 0, err
	}
	for next := killed.Add(before); ; next = next.Add(lookEvery) {
		time.Sleep(time.Until(next))
		l, err := n.plainList(ctx)
		if err != nil {
			return 0, err
		}
		for _, c := range l {
			if c.ID == id && c.State == container.StateExited {
				return time.Since(killed), nil
			}
		}
	}
}

// killInit kills a container's first process and returns when.
func (n *node) killInit(ctx context.Context, id string) (time.Time, error) {
	c, err := n.plain.ContainerInspect(ctx, id)
	if err != nil {
		return time.Time{}, err
	}
	if c.State.Pid == 0 {
		return time.Time{}, errors.New("the container does not run")
	}
	at := time.Now()
	return at, syscall.Kill(c.State.Pid, syscall.SIGKILL)
}
