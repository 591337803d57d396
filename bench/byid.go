package main

import (
	"context"
	"fmt"

	"github.com/dockpod/dockpod"
)

// byIDCase lists containers that dockpod made, by image ID, and such as the
// seed makes.
func byIDCase(ctx context.Context, b *bench, n *node) error {
	count := b.count(1000)
	if err := n.fill(ctx, count); err != nil {
		return err
	}
	const seed, ours = "by name, client (the seed)", "by ID, ours"
	r, err := rounds(ctx, b.roundsOr(15), n.pid,
		variant{seed, func(ctx context.Context) error {
			l, err := n.plainList(ctx)
			return expect(len(l), count, err)
		}},
		variant{ours, func(ctx context.Context) error {
			l, err := n.rt.ListContainers(ctx, dockpod.Filter{Fast: true})
			return expect(len(l), count, err)
		}},
	)
	if err != nil {
		return err
	}
	fmt.Printf("%d containers of each kind\n", count)
	r.print()
	b.atLeast("byid", r.ratio(seed, ours, wall), 2)
	b.atMost("byid-engine-cpu", r.ratio(ours, seed, engineCPU), 0.55)
	return nil
}
