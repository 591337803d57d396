package main

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod/fake"
)

// fakeCase is whether the engine in memory takes longer for a container the
// more it holds: 5000 in one, beside as many in engines of 100.
func fakeCase(ctx context.Context, b *bench) error {
	const few, many = 100, 5000
	r, err := rounds(ctx, b.roundsOr(5), 0,
		variant{"5000 x 1", func(ctx context.Context) error { return fakeLives(ctx, many) }},
		variant{"100 x 50", repeat(many / few)(func(ctx context.Context) error { return fakeLives(ctx, few) })},
	)
	if err != nil {
		return err
	}
	fmt.Println("create, start, list, stop, remove")
	r.print()
	b.atMost("fake-growth", r.ratio("5000 x 1", "100 x 50", wall), 2)
	return nil
}

// fakeLives makes n containers, lists them, and removes them.
func fakeLives(ctx context.Context, n int) error {
	var d fake.Docker
	defer d.Close()
	d.AddImage(engineImage)
	ids := make([]string, n)
	for i := range ids {
		cfg, host, name := plainRequest(i)
		made, err := d.ContainerCreate(ctx, cfg, host, nil, nil, name)
		if err != nil {
			return err
		}
		ids[i] = made.ID
		if err := d.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
			return err
		}
	}
	l, err := d.ContainerList(ctx, container.ListOptions{})
	if err := expect(len(l), n, err); err != nil {
		return err
	}
	for _, id := range ids {
		if err := d.ContainerStop(ctx, id, container.StopOptions{}); err != nil {
			return err
		}
		if err := d.ContainerRemove(ctx, id, container.RemoveOptions{}); err != nil {
			return err
		}
	}
	return nil
}
