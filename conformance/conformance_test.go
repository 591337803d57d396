package conformance_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/conformance"
	"github.com/dockpod/dockpod/fake"
	"github.com/dockpod/dockpod/internal/lean"
)

func TestFake(t *testing.T) {
	conformance.Run(t, func(t *testing.T) dockpod.DockerInterface {
		docker := &fake.Docker{Root: t.TempDir(), HostFS: true}
		t.Cleanup(func() { docker.Close() })
		return docker
	})
}

// TestEngine runs the suite on the engine at the default endpoint, and on
// those that DOCKPOD_ENGINES lists, separated by commas. Without an engine it
// is skipped; DOCKPOD_REQUIRE_ENGINE=1 makes that an error.
func TestEngine(t *testing.T) {
	hosts := []string{""}
	if list := os.Getenv("DOCKPOD_ENGINES"); list != "" {
		hosts = append(hosts, strings.Split(list, ",")...)
	}
	for _, host := range hosts {
		name := host
		if name == "" {
			name = "default"
		}
		t.Run(name, func(t *testing.T) {
			docker := dial(t, host)
			conformance.Run(t, func(*testing.T) dockpod.DockerInterface { return docker })
		})
	}
}

// dial returns the client that dockpod.Connect works with.
func dial(t *testing.T, host string) *lean.Client {
	t.Helper()
	opts := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if host != "" {
		opts = append(opts, client.WithHost(host))
	}
	docker, err := client.NewClientWithOpts(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docker.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := dockpod.New(docker).Ready(ctx); err != nil {
		if os.Getenv("DOCKPOD_REQUIRE_ENGINE") == "1" || host != "" {
			t.Fatalf("no engine: %v", err)
		}
		t.Skipf("no engine, so the suite did not run on one: %v", err)
	}
	return lean.Wrap(docker)
}
