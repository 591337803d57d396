package main

import (
	"context"
	"fmt"
	"sync"
	"time"

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
		fmt.Printf("list of %d containers\n", c.n)
		r.print()
		b.goal(fmt.Sprintf("list-%d", c.n), r.ratio("client", "ours", wall), c.want, false)
		if c.n == 1000 {
			b.goal("list-1000-allocs", r.ratio("ours", "client", allocs), 1./5, true)
		}
	}
	return nil
}

func listOnStub(ctx context.Context, n, count int) (result, error) {
	s, err := startStub(ctx, n)
	if err != nil {
		return result{}, err
	}
	defer s.end()
	rt, plain, err := connect(ctx, s.sock, stubOwner)
	if err != nil {
		return result{}, err
	}
	defer rt.Close()
	defer plain.Close()
	raw, err := dialRaw(s.sock)
	if err != nil {
		return result{}, err
	}
	defer raw.Close()
	times := repeat(max(1, 200/n)) // a single small list is too short to measure
	return rounds(ctx, count, 0,
		variant{"client", times(func(ctx context.Context) error {
			l, err := plain.ContainerList(ctx, container.ListOptions{All: true})
			return expect(len(l), n, err)
		})},
		variant{"ours", times(func(ctx context.Context) error {
			l, err := rt.ListContainers(ctx, dockpod.Filter{Fast: true})
			return expect(len(l), n, err)
		})},
		variant{"limit (raw, no decoding)", times(func(context.Context) error {
			_, err := raw.get("/v1.41/containers/json?all=1")
			return err
		})},
	)
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

// statusCase is ContainerStatus of a known image beside the seed's way, which
// inspects container and image each time.
func statusCase(ctx context.Context, b *bench) error {
	s, err := startStub(ctx, 1)
	if err != nil {
		return err
	}
	defer s.end()
	rt, plain, err := connect(ctx, s.sock, stubOwner)
	if err != nil {
		return err
	}
	defer rt.Close()
	defer plain.Close()
	const calls = 100
	times := repeat(calls)
	r, err := rounds(ctx, b.roundsOr(15), 0,
		variant{"seed (2 inspects)", times(func(ctx context.Context) error {
			c, err := plain.ContainerInspect(ctx, capturedID)
			if err != nil {
				return err
			}
			_, err = plain.ImageInspect(ctx, c.Image)
			return err
		})},
		variant{"ours", times(func(ctx context.Context) error {
			st, err := rt.ContainerStatus(ctx, capturedID)
			if err == nil && st.Name.Container != "app" {
				err = fmt.Errorf("status of %+v", st.Name)
			}
			return err
		})},
	)
	if err != nil {
		return err
	}
	fmt.Printf("%d statuses\n", calls)
	r.print()
	b.goal("status", r.ratio("seed (2 inspects)", "ours", wall), 2.5, false)
	b.goal("status-allocs", r.ratio("ours", "seed (2 inspects)", allocs), 1./3, true)
	return nil
}

// coalesceCase is 32 callers who list at the same time.
func coalesceCase(ctx context.Context, b *bench) error {
	const callers = 32
	n := b.count(1000)
	s, err := startStub(ctx, n)
	if err != nil {
		return err
	}
	defer s.end()
	rt, plain, err := connect(ctx, s.sock, stubOwner)
	if err != nil {
		return err
	}
	defer rt.Close()
	defer plain.Close()
	together := func(list func() (int, error)) error {
		var wg sync.WaitGroup
		errs := make([]error, callers)
		for i := range callers {
			wg.Go(func() {
				// Within a few milliseconds, so that the first list is under way.
				time.Sleep(time.Duration(i) * 50 * time.Microsecond)
				got, err := list()
				errs[i] = expect(got, n, err)
			})
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	}
	most := 0
	r, err := rounds(ctx, b.roundsOr(5), 0,
		variant{"client", func(ctx context.Context) error {
			return together(func() (int, error) {
				l, err := plain.ContainerList(ctx, container.ListOptions{All: true})
				return len(l), err
			})
		}},
		variant{"ours", func(ctx context.Context) error {
			before, err := s.lists(ctx)
			if err != nil {
				return err
			}
			if err := together(func() (int, error) {
				l, err := rt.ListContainers(ctx, dockpod.Filter{Fast: true})
				return len(l), err
			}); err != nil {
				return err
			}
			after, err := s.lists(ctx)
			most = max(most, after-before)
			return err
		}},
	)
	if err != nil {
		return err
	}
	fmt.Printf("%d callers, %d containers\n", callers, n)
	r.print()
	b.goal("coalesce", r.ratio("client", "ours", wall), 8, false)
	b.goal("coalesce-lists", float64(most), 3, true) // the one under way, and two after it
	return nil
}
