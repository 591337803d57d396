//go:build !unix

package main

import (
	"context"

	"github.com/dockpod/dockpod"
)

// sizes tells nothing: this platform has no signal for it.
func sizes(context.Context, int) <-chan dockpod.TerminalSize { return nil }
