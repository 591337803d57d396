package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dockpod/dockpod"
)

const (
	windowTime    = 5 * time.Second
	lookEvery     = time.Second
	changeEvery   = 200 * time.Millisecond
	windowChanges = 24 // in windowTime; even, so that the container is as before
)

// windowCase is what it costs to know the state of all containers each second,
// while nothing changes, and while one is paused and unpaused again and again.
func windowCase(ctx context.Context, b *bench, n *node) error {
	count := b.count(100)
	w, err := n.newWindow(ctx, count)
	if err != nil {
		return err
	}
	r, err := w.rounds(ctx, b.roundsOr(2))
	if err != nil {
		return err
	}
	fmt.Printf("%d containers of each kind, looked at each %v for %v\n", count, lookEvery, windowTime)
	r.print()
	fmt.Printf("Watch told %d of %d changes\n", w.told.Load(), w.made.Load())
	b.atMost("window-idle", r.share("idle, ours (Mirror)", "idle, seed", "idle, nobody"), 0.01)
	b.atMost("window-changes", r.share("changes, ours (Mirror)", "changes, seed", "changes, nobody"), 0.1)
	b.countAtMost("window-missed", float64(w.made.Load()-w.told.Load()), 0)
	return nil
}

// window is a node on which one container of each kind runs.
type window struct {
	*node
	size        int          // containers of each kind
	ours, plain string       // the running containers' IDs
	made, told  atomic.Int64 // changes while somebody watches
}

func (n *node) newWindow(ctx context.Context, count int) (w *window, err error) {
	if err := n.fill(ctx, count-1); err != nil {
		return nil, err
	}
	w = &window{node: n, size: count}
	if w.ours, err = n.startOurs(ctx, count); err != nil {
		return nil, err
	}
	w.plain, err = n.startPlain(ctx, count)
	return w, err
}

// watcher is somebody who wants to know. Its begin is not measured.
type watcher struct {
	name    string
	changed string // the ID of the container that changes; empty: none
	begin   func(context.Context) (look func(context.Context) error, end func() error, err error)
}

// rounds gives each watcher a window in turn.
func (w *window) rounds(ctx context.Context, n int) (result, error) {
	watchers := []watcher{
		{"idle, nobody", "", w.nobody},
		{"idle, seed", "", w.seed},
		{"idle, ours (Mirror)", "", w.mirror},
		{"changes, nobody", w.ours, w.nobody},
		{"changes, seed", w.plain, w.seed},
		{"changes, ours (Mirror)", w.ours, w.mirror},
		{"changes, ours (Watch)", w.ours, w.watch},
	}
	r := result{samples: map[string][]sample{}}
	for _, a := range watchers {
		r.variants = append(r.variants, variant{name: a.name})
	}
	for round := range n {
		for i := range watchers {
			a := watchers[(i+round)%len(watchers)]
			s, err := w.one(ctx, a)
			if err != nil {
				return r, fmt.Errorf("%s: %w", a.name, err)
			}
			r.samples[a.name] = append(r.samples[a.name], s)
		}
	}
	return r, nil
}

// one is a watcher's window.
func (w *window) one(ctx context.Context, a watcher) (s sample, err error) {
	look, end, err := a.begin(ctx)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, end()) }()
	return measure(ctx, w.pid, func(ctx context.Context) error {
		changes := make(chan error, 1)
		go func() { changes <- w.change(ctx, a.changed) }()
		err := each(ctx, windowTime, lookEvery, look)
		return errors.Join(err, <-changes)
	})
}

// change pauses and unpauses a container.
func (w *window) change(ctx context.Context, id string) error {
	if id == "" {
		return nil
	}
	paused := false
	return each(ctx, windowChanges*changeEvery, changeEvery, func(ctx context.Context) error {
		paused = !paused
		if paused {
			return w.node.plain.ContainerPause(ctx, id)
		}
		return w.node.plain.ContainerUnpause(ctx, id)
	})
}

// each calls f at once and at each tick until d is over.
func each(ctx context.Context, d, every time.Duration, f func(context.Context) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for range d / every {
		if err := f(ctx); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func nothing(context.Context) error { return nil }

func noEnd() error { return nil }

func (w *window) nobody(context.Context) (func(context.Context) error, func() error, error) {
	return nothing, noEnd, nil
}

func (w *window) seed(context.Context) (func(context.Context) error, func() error, error) {
	return func(ctx context.Context) error { return w.seedSync(ctx, w.size) }, noEnd, nil
}

func (w *window) mirror(ctx context.Context) (func(context.Context) error, func() error, error) {
	m, err := w.rt.Mirror(ctx)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) error { return readAll(ctx, m, w.size) }, m.Close, nil
}

// watch counts what a Watch tells of the changes. Its end waits for the last.
func (w *window) watch(ctx context.Context) (func(context.Context) error, func() error, error) {
	ctx, cancel := context.WithCancel(ctx)
	synced, all, gone := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { gone <- w.count(ctx, synced, all) }()
	select {
	case <-synced:
	case err := <-gone:
		cancel()
		return nil, nil, err
	}
	return nothing, func() error {
		w.made.Add(windowChanges)
		select {
		case <-all:
		case <-time.After(lookEvery): // the others are missed
		case err := <-gone:
			cancel()
			return err
		}
		cancel()
		<-gone
		return nil
	}, nil
}

// count reads a Watch until it fails, or ctx ends. It closes synced when what
// was before is told, and all when a window's changes are.
func (w *window) count(ctx context.Context, synced, all chan<- struct{}) error {
	begun, told := false, 0
	for event, err := range w.rt.Watch(ctx, time.Time{}) {
		if err != nil {
			return err
		}
		switch event.Kind {
		case dockpod.EventSynced:
			if !begun {
				begun = true
				close(synced)
			}
		case dockpod.EventPaused, dockpod.EventUnpaused:
			if !begun {
				continue
			}
			w.told.Add(1)
			if told++; told == windowChanges {
				close(all)
			}
		}
	}
	return nil
}

// share is how much more CPU of both sides somebody takes than nobody, beside
// what another takes more.
func (r result) share(of, other, nobody string) float64 {
	var l []float64
	for i, base := range r.samples[nobody] {
		more := func(name string) float64 {
			s := r.samples[name][i]
			return max(0, float64(s.cpu+s.engine-base.cpu-base.engine))
		}
		if d := more(other); d > 0 {
			l = append(l, more(of)/d)
		}
	}
	return median(l)
}
