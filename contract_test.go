package dockpod_test

import (
	"testing"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/conformance"
	"github.com/dockpod/dockpod/fake"
)

// TestContract runs the contract suite on the fake with this package's tests,
// so that a change here is told at once where it breaks what a caller relies
// on. On an engine the suite runs in package conformance.
func TestContract(t *testing.T) {
	conformance.Run(t, func(t *testing.T) dockpod.DockerInterface {
		docker := &fake.Docker{Root: t.TempDir(), HostFS: true}
		t.Cleanup(func() { docker.Close() })
		return docker
	})
}
