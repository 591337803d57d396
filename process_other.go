//go:build !linux

package dockpod

import (
	"context"
	"net"
)

// killProcess has no processes of an engine to kill on this platform.
func killProcess(context.Context, int, string, func() (bool, error)) error { return errElsewhere }

// dialNamespace has no network namespaces to enter on this platform.
func dialNamespace(context.Context, int, string, int, func() error) (net.Conn, error) {
	return nil, errElsewhere
}
