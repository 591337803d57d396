package conformance

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
)

// mutants are engines that are wrong in one thing, each with a case that is
// there to notice.
var mutants = []struct {
	name  string
	group string
	noted string // the case
	of    func(*fake.Docker) dockpod.DockerInterface
}{
	{"a stop drops the grace", "Container", "the grace of a stop is the caller's, not the container's", func(d *fake.Docker) dockpod.DockerInterface { return graceless{d} }},
	{"a removal keeps volumes", "Container", "a removal takes the anonymous volumes with it", func(d *fake.Docker) dockpod.DockerInterface { return hoarding{d} }},
	{"a removal does nothing", "Container", "a removal kills what runs", func(d *fake.Docker) dockpod.DockerInterface { return lazy{d} }},
	{"a removal under way is no conflict", "Engine", "a removal that is under way keeps out a second one", func(d *fake.Docker) dockpod.DockerInterface { return confused{d} }},
	{"OOM kills are lost", "Container", "a process that the kernel killed for want of memory is said to be", inspecting(func(i *container.InspectResponse) { i.State.OOMKilled = false })},
	{"health is lost", "Container", "the outcome of a health check is in the status", inspecting(func(i *container.InspectResponse) { i.State.Health = nil })},
	{"health is not told", "Watch", "the engine tells of health, new limits and a new name", silent("health_status")},
	{"updates are not told", "Watch", "the engine tells of health, new limits and a new name", silent("update")},
	{"renames are not told", "Watch", "the engine tells of health, new limits and a new name", silent("rename")},
	{"removals are not told", "Watch", "the engine's own order and attributes", silent("destroy")},
	{"images are not told", "Watch", "the engine tells of images that come and go", telling(func(m *events.Message) bool { return m.Type != events.ImageEventType })},
	{"IDs are told by their beginning", "Watch", "a life is told in order", telling(func(m *events.Message) bool {
		m.Actor.ID = m.Actor.ID[:12]
		return true
	})},
	{"the past is not told", "Watch", "the engine tells first what has happened since a time", func(d *fake.Docker) dockpod.DockerInterface { return forgetful{d} }},
	{"a sandbox has no DNS servers", "Sandbox", "the engine has the servers, domains and options that a sandbox looks names up with", func(d *fake.Docker) dockpod.DockerInterface { return nameless{d} }},
	{"lists of images have no digests", "Image", "a list of images has their repository digests", func(d *fake.Docker) dockpod.DockerInterface { return undigested{d} }},
	{"an exec never ends", "Exec", "an exec's streams come apart, and its code is data", func(d *fake.Docker) dockpod.DockerInterface { return restless{d} }},
	{"a terminal keeps its size", "Exec", "a terminal follows new sizes, and no zeros", func(d *fake.Docker) dockpod.DockerInterface { return rigid{d} }},
}

// TestMutants holds the suite to fail on each mutant, by a case that ends with
// a message. A failing case is a failing test, so it runs in another process.
func TestMutants(t *testing.T) {
	for i, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			path := []string{"TestMutant", m.name, m.group, m.noted}
			for i, name := range path {
				path[i] = "^" + regexp.QuoteMeta(strings.ReplaceAll(name, " ", "_")) + "$"
			}
			cmd := exec.Command(os.Args[0], "-test.run", strings.Join(path, "/"), "-test.timeout=5m")
			cmd.Env = append(os.Environ(), mutantEnv+"=1")
			out, err := cmd.CombinedOutput()
			noted := strings.ReplaceAll("--- FAIL: TestMutant/"+mutants[i].name+"/"+m.group+"/"+m.noted+" ", " ", "_")
			if err == nil || !strings.Contains(strings.ReplaceAll(string(out), " ", "_"), noted) {
				t.Errorf("%q did not fail: %v\n%s", m.noted, err, out)
			}
		})
	}
}

const mutantEnv = "DOCKPOD_MUTANT"

// TestMutant is TestMutants' other process.
func TestMutant(t *testing.T) {
	if os.Getenv(mutantEnv) == "" {
		t.Skip("TestMutants runs it")
	}
	patience = 3 * time.Second
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			Run(t, func(t *testing.T) dockpod.DockerInterface {
				d := &fake.Docker{}
				t.Cleanup(func() { d.Close() })
				return m.of(d)
			})
		})
	}
}

type graceless struct{ *fake.Docker }

func (d graceless) ContainerStop(ctx context.Context, id string, o container.StopOptions) error {
	o.Timeout = nil
	return d.Docker.ContainerStop(ctx, id, o)
}

type hoarding struct{ *fake.Docker }

func (d hoarding) ContainerRemove(ctx context.Context, id string, o container.RemoveOptions) error {
	o.RemoveVolumes = false
	return d.Docker.ContainerRemove(ctx, id, o)
}

type lazy struct{ *fake.Docker }

func (lazy) ContainerRemove(context.Context, string, container.RemoveOptions) error { return nil }

type confused struct{ *fake.Docker }

func (d confused) ContainerRemove(ctx context.Context, id string, o container.RemoveOptions) error {
	err := d.Docker.ContainerRemove(ctx, id, o)
	if err != nil && strings.Contains(err.Error(), "in progress") {
		return fake.Internal("busy")
	}
	return err
}

type forgetful struct{ *fake.Docker }

func (d forgetful) Events(ctx context.Context, o events.ListOptions) (<-chan events.Message, <-chan error) {
	o.Since = ""
	return d.Docker.Events(ctx, o)
}

type nameless struct{ *fake.Docker }

func (d nameless) ContainerCreate(ctx context.Context, c *container.Config, h *container.HostConfig, n *network.NetworkingConfig, p *ocispec.Platform, name string) (container.CreateResponse, error) {
	other := *h
	other.DNS = nil
	return d.Docker.ContainerCreate(ctx, c, &other, n, p, name)
}

type undigested struct{ *fake.Docker }

func (d undigested) ImageList(ctx context.Context, o image.ListOptions) ([]image.Summary, error) {
	list, err := d.Docker.ImageList(ctx, o)
	for i := range list {
		list[i].RepoDigests = nil
	}
	return list, err
}

type restless struct{ *fake.Docker }

func (d restless) ContainerExecInspect(ctx context.Context, id string) (container.ExecInspect, error) {
	x, err := d.Docker.ContainerExecInspect(ctx, id)
	x.Running = true
	return x, err
}

type rigid struct{ *fake.Docker }

func (rigid) ContainerExecResize(context.Context, string, container.ResizeOptions) error { return nil }

// inspecting is an engine whose inspections are changed.
func inspecting(change func(*container.InspectResponse)) func(*fake.Docker) dockpod.DockerInterface {
	return func(d *fake.Docker) dockpod.DockerInterface { return inspector{d, change} }
}

type inspector struct {
	*fake.Docker
	change func(*container.InspectResponse)
}

func (d inspector) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	i, err := d.Docker.ContainerInspect(ctx, id)
	if err == nil {
		d.change(&i)
	}
	return i, err
}

// silent is an engine that does not tell of an action.
func silent(action string) func(*fake.Docker) dockpod.DockerInterface {
	return telling(func(m *events.Message) bool { return !strings.HasPrefix(string(m.Action), action) })
}

// telling is an engine that tells those events that pass.
func telling(pass func(*events.Message) bool) func(*fake.Docker) dockpod.DockerInterface {
	return func(d *fake.Docker) dockpod.DockerInterface { return teller{d, pass} }
}

type teller struct {
	*fake.Docker
	pass func(*events.Message) bool
}

func (d teller) Events(ctx context.Context, o events.ListOptions) (<-chan events.Message, <-chan error) {
	all, errs := d.Docker.Events(ctx, o)
	passed := make(chan events.Message)
	go func() {
		for {
			select {
			case m := <-all:
				if !d.pass(&m) {
					continue
				}
				select {
				case passed <- m:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return passed, errs
}
