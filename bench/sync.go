package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dockpod/dockpod"
)

// syncCase asks for the list and every status: cold, as an agent that begins,
// and warm, when nothing has changed.
func syncCase(ctx context.Context, b *bench, n *node) error {
	count := b.count(1000)
	if err := n.fill(ctx, count); err != nil {
		return err
	}
	w, err := n.newWarm(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	r, err := rounds(ctx, b.roundsOr(3), n.pid,
		variant{"seed", func(ctx context.Context) error { return n.seedSync(ctx, count) }},
		variant{"ours, cold", func(ctx context.Context) error { return n.coldSync(ctx, count) }},
		variant{"ours, warm", func(ctx context.Context) error { return w.read(ctx, count) }},
	)
	if err != nil {
		return err
	}
	fmt.Printf("%d containers of each kind\n", count)
	r.print()
	b.atLeast("sync", r.ratio("seed", "ours, cold", wall), 2.5)
	b.atMost("sync-engine-cpu", r.ratio("ours, cold", "seed", engineCPU), 0.55)
	b.atLeast("sync-warm", r.ratio("seed", "ours, warm", wall), 1000)
	b.countAtMost("sync-warm-requests", float64(w.asked), 0)
	return nil
}

// seedSync lists, and inspects each container and its image, one by one.
func (n *node) seedSync(ctx context.Context, count int) error {
	l, err := n.plainList(ctx)
	if err := expect(len(l), count, err); err != nil {
		return err
	}
	for _, c := range l {
		info, err := n.plain.ContainerInspect(ctx, c.ID)
		if err != nil {
			return err
		}
		if _, err := n.plain.ImageInspect(ctx, info.Image); err != nil {
			return err
		}
	}
	return nil
}

// coldSync does so with a Runtime that knows nothing yet.
func (n *node) coldSync(ctx context.Context, count int) error {
	rt, err := dockpod.Connect(ctx, "unix://"+n.sock, dockpod.WithOwner(owner))
	if err != nil {
		return err
	}
	defer rt.Close()
	l, err := rt.ListContainers(ctx, dockpod.Filter{Fast: true})
	if err := expect(len(l), count, err); err != nil {
		return err
	}
	ids := make([]string, len(l))
	for i, c := range l {
		ids[i] = c.ID
	}
	for _, err := range rt.ContainerStatuses(ctx, ids...) {
		if err != nil {
			return err
		}
	}
	return nil
}

// readAll does so from a mirror.
func readAll(ctx context.Context, m *dockpod.Mirror, count int) error {
	l, err := m.ListContainers(ctx, dockpod.Filter{})
	if err := expect(len(l), count, err); err != nil {
		return err
	}
	for i := range l {
		if _, err := m.ContainerStatus(ctx, l[i].ID); err != nil {
			return err
		}
	}
	return nil
}

// warm is a mirror whose requests are counted.
type warm struct {
	*counter
	rt     *dockpod.Runtime
	mirror *dockpod.Mirror
	asked  int64 // requests while it was read
}

// read counts the requests meanwhile. Between two of them there may be some:
// what others do to images is looked at.
func (w *warm) read(ctx context.Context, count int) error {
	before := w.requests.Load()
	err := readAll(ctx, w.mirror, count)
	w.asked += w.requests.Load() - before
	return err
}

// newWarm makes a mirror that lists by itself too seldom to be counted.
func (n *node) newWarm(ctx context.Context) (w *warm, err error) {
	w = &warm{}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.counter, err = countRequests(n.sock); err != nil {
		return nil, err
	}
	if w.rt, err = dockpod.Connect(ctx, "unix://"+w.sock, dockpod.WithOwner(owner), dockpod.WithRelist(time.Hour)); err != nil {
		return nil, err
	}
	w.mirror, err = w.rt.Mirror(ctx)
	return w, err
}

func (w *warm) close() {
	if w.mirror != nil {
		_ = w.mirror.Close() // it has no errors
	}
	if w.rt != nil {
		_ = w.rt.Close() // nothing is under way
	}
	if w.counter != nil {
		w.end()
	}
}
