package main

import (
	"context"
	"fmt"
)

// statusCase is ContainerStatus of a known image beside the seed's way, which
// inspects container and image each time.
func statusCase(ctx context.Context, b *bench) error {
	const calls = 100
	times := repeat(calls)
	return onStub(ctx, 1, func(s stub) error {
		r, err := rounds(ctx, b.roundsOr(15), 0,
			variant{"seed (2 inspects)", times(func(ctx context.Context) error {
				c, err := s.plain.ContainerInspect(ctx, capturedID)
				if err != nil {
					return err
				}
				_, err = s.plain.ImageInspect(ctx, c.Image)
				return err
			})},
			variant{"ours", times(func(ctx context.Context) error {
				st, err := s.rt.ContainerStatus(ctx, capturedID)
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
		b.atLeast("status", r.ratio("seed (2 inspects)", "ours", wall), 2.5)
		b.countAtMost("status-allocs", r.ratio("ours", "seed (2 inspects)", allocs), 1./3)
		return nil
	})
}
