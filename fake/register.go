package fake

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/dockpod/dockpod"
)

// Docker stands in for the client of a real engine.
var _ interface {
	dockpod.DockerInterface
	dockpod.ContainerWaiter
	dockpod.ContainerKiller
	dockpod.ContainerPauser
	dockpod.ContainerUpdater
	dockpod.ContainerStatser
	dockpod.ContainerSizer
	dockpod.EventSource
	dockpod.ImageLoader
	dockpod.DiskUsager
} = (*Docker)(nil)

func init() { dockpod.RegisterScheme("fake", dial) }

var named = struct {
	sync.Mutex
	engines map[string]*Docker
}{engines: map[string]*Docker{}}

// Named returns the engine that "fake://name" connects to, the same one for
// every caller in the process. It is made empty at the first call. Closing a
// Runtime that is connected to it leaves it as it is; [Docker.Close] ends it,
// and the next caller gets a new one.
func Named(name string) *Docker {
	named.Lock()
	defer named.Unlock()
	d, ok := named.engines[name]
	if !ok || d.isClosed() {
		d = &Docker{}
		named.engines[name] = d
	}
	return d
}

// shared keeps an engine open when one of its users closes.
type shared struct{ *Docker }

// Close does nothing: the engine is everybody's.
func (shared) Close() error { return nil }

// dial makes the engine of an endpoint: "fake://" a new one, "fake://name"
// the one of that name.
func dial(_ context.Context, endpoint string) (dockpod.DockerInterface, error) {
	name, ok := strings.CutPrefix(endpoint, "fake://")
	if !ok {
		return nil, fmt.Errorf("endpoint %q: want fake://name", endpoint)
	}
	if name == "" {
		return &Docker{}, nil
	}
	return shared{Named(name)}, nil
}

func (d *Docker) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}
