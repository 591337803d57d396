package conformance_test

import (
	"testing"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/conformance"
	"github.com/dockpod/dockpod/fake"
	"github.com/dockpod/dockpod/internal/lean"
	"github.com/dockpod/dockpod/internal/testengine"
)

func TestFake(t *testing.T) {
	conformance.Run(t, func(t *testing.T) dockpod.DockerInterface {
		docker := &fake.Docker{Root: t.TempDir(), HostFS: true}
		t.Cleanup(func() { docker.Close() })
		return docker
	})
}

// TestEngine runs the suite on the engines of testengine, by the client that
// dockpod.Connect works with.
func TestEngine(t *testing.T) {
	testengine.Each(t, func(t *testing.T, e testengine.Engine) {
		docker := lean.Wrap(e.Client)
		conformance.Run(t, func(*testing.T) dockpod.DockerInterface { return docker })
	})
}
