package main

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod"
)

// listCase is ListContainers beside the docker client's list, on a stub.
func listCase(ctx context.Context, b *bench) error {
	for _, c := range []struct {
		n, rounds int
		want      float64
	}{{1000, 15, 4}, {10, 101, 1.5}} {
		if b.n != 0 && b.n != c.n {
			continue
		}
		r, err := listOnStub(ctx, c.n, b.roundsOr(c.rounds))
		if err != nil {
			return err
		}
		fmt.Printf("%d x list of %d containers\n", listCalls(c.n), c.n)
		r.print()
		b.atLeast(fmt.Sprintf("list-%d", c.n), r.ratio("client", "ours", wall), c.want)
		if c.n == 1000 {
			b.countAtMost("list-1000-allocs", r.ratio("ours", "client", allocs), 1./5)
		}
	}
	return nil
}

// listCalls is how many lists are measured together: a single small one is too
// short.
func listCalls(n int) int { return max(1, 200/n) }

func listOnStub(ctx context.Context, n, count int) (r result, err error) {
	times := repeat(listCalls(n))
	err = onStub(ctx, n, func(s stub) error {
		r, err = rounds(ctx, count, 0,
			variant{"client", times(func(ctx context.Context) error {
				l, err := s.plain.ContainerList(ctx, container.ListOptions{All: true})
				return expect(len(l), n, err)
			})},
			variant{"ours", times(func(ctx context.Context) error {
				l, err := s.rt.ListContainers(ctx, dockpod.Filter{Fast: true})
				return expect(len(l), n, err)
			})},
			variant{"limit (raw, no decoding)", times(func(context.Context) error {
				_, err := s.raw.get("/v1.41/containers/json?all=1")
				return err
			})},
		)
		return err
	})
	return r, err
}

// repeat makes n calls of one.
func repeat(n int) func(func(context.Context) error) func(context.Context) error {
	return func(f func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error {
			for range n {
				if err := f(ctx); err != nil {
					return err
				}
			}
			return nil
		}
	}
}

func expect(got, want int, err error) error {
	if err == nil && got != want {
		err = fmt.Errorf("%d containers; want %d", got, want)
	}
	return err
}
