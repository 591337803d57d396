//go:build linux

package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/dockpod/dockpod"
)

// privateEngine starts an engine of the test's own, which Close may end before
// the test does.
func privateEngine(t *testing.T) (*Dockerd, *client.Client) {
	t.Helper()
	dir, err := os.MkdirTemp("", "dpe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	begin, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	engine, err := NewDockerd(begin, dir)
	if errors.Is(err, ErrNoDockerd) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	docker, err := client.NewClientWithOpts(client.WithHost(engine.Host), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docker.Close() })
	return engine, docker
}

// An engine that was killed leaves a shim and a container, and its Close does
// not.
func TestDockerdClose(t *testing.T) {
	engine, docker := privateEngine(t)
	loadProgram(t, docker)
	rt := dockpod.New(docker, dockpod.WithOwner("left"), dockpod.WithNetwork("none"))
	id, err := rt.CreateContainer(t.Context(), "", dockpod.ContainerConfig{Name: "app", Image: "dockpod.io/e2e:prog", Args: []string{"sleep"}},
		dockpod.SandboxConfig{Name: "left", Namespace: "e2e", UID: "u"})
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := engine.Stop(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if n := len(engine.processes()); n < 2 {
		t.Errorf("%d processes go on without the engine; want a shim and a container at least", n)
	}
	if err := engine.Close(); err != nil {
		t.Error(err)
	}
	if left := engine.processes(); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/docker/" + id)
	if len(groups) > 0 {
		t.Errorf("cgroups are left: %q", groups)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), engine.dir+"/") {
		t.Errorf("mounts are left, or %v:\n%s", err, mounts)
	}
}
