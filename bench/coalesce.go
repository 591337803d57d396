package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod"
)

const callers = 32

// coalesceCase is 32 callers who list at the same time.
func coalesceCase(ctx context.Context, b *bench) error {
	n := b.count(1000)
	return onStub(ctx, n, func(s stub) error {
		client := func() error {
			l, err := s.plain.ContainerList(ctx, container.ListOptions{All: true})
			return expect(len(l), n, err)
		}
		ours := func() error {
			l, err := s.rt.ListContainers(ctx, dockpod.Filter{Fast: true})
			return expect(len(l), n, err)
		}
		most := 0
		r, err := rounds(ctx, b.roundsOr(5), 0,
			variant{"client", func(context.Context) error { return together(client) }},
			variant{"ours", func(context.Context) error {
				before, err := s.lists()
				if err != nil {
					return err
				}
				err = together(ours)
				after, countErr := s.lists()
				most = max(most, after-before)
				return errors.Join(err, countErr)
			}},
		)
		if err != nil {
			return err
		}
		fmt.Printf("%d callers, %d containers\n", callers, n)
		r.print()
		b.atLeast("coalesce", r.ratio("client", "ours", wall), 8)
		b.countAtMost("coalesce-lists", float64(most), 3) // the one under way, and two after it
		return nil
	})
}

// together has all callers list within a few milliseconds, so that the first
// list is under way when the last one comes.
func together(list func() error) error {
	var wg sync.WaitGroup
	errs := make([]error, callers)
	for i := range callers {
		wg.Go(func() {
			time.Sleep(time.Duration(i) * 50 * time.Microsecond)
			errs[i] = list()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
