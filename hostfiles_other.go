//go:build !linux

package dockpod

import "context"

// sharesRoot is not found out on this platform, where engines run in a virtual
// machine.
func sharesRoot(context.Context, string) bool { return false }
