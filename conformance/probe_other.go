//go:build !linux

package conformance

import "testing"

func canMount() bool { return false }

func shareMount(*testing.T, string) {}
