//go:build unix

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/dockpod/dockpod"
)

// sizes tells each new size of a terminal until ctx ends.
func sizes(ctx context.Context, fd int) <-chan dockpod.TerminalSize {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	out := make(chan dockpod.TerminalSize)
	go func() {
		defer signal.Stop(changed)
		for {
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
			select {
			case out <- size(fd):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
