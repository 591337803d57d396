package dockpod_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
)

var web = dockpod.SandboxConfig{Name: "web", Namespace: "ns", UID: "1"}

// aPod is a pod of one running container on a fake engine.
func aPod(t *testing.T, opts ...dockpod.Option) (docker *fake.Docker, rt *dockpod.Runtime, sandbox, id string) {
	t.Helper()
	docker = new(fake.Docker)
	t.Cleanup(func() { docker.Close() })
	docker.AddImage("app:1")
	rt = dockpod.New(docker, opts...)
	sandbox, err := rt.RunSandbox(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	id, err = rt.CreateContainer(t.Context(), sandbox, dockpod.ContainerConfig{Name: "app", Image: "app:1"}, web)
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return docker, rt, sandbox, id
}

// Somebody commits one of our containers and runs the image: the labels are
// inherited, the container is not ours.
func TestInheritedLabelsAreNotOurs(t *testing.T) {
	docker, rt, sandbox, id := aPod(t)
	info, err := docker.ContainerInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	docker.AddImageConfig(fake.Image{Refs: []string{"committed:1"}, Config: container.Config{Cmd: []string{"/x"}, Labels: info.Config.Labels}})
	other, err := docker.ContainerCreate(t.Context(), &container.Config{Image: "committed:1"}, nil, nil, nil, "debugging")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.ContainerStatus(t.Context(), other.ID); !errors.Is(err, dockpod.ErrNotManaged) {
		t.Errorf("status: %v", err)
	}
	if err := rt.RemoveSandbox(t.Context(), sandbox); err != nil {
		t.Fatal(err)
	}
	if _, err := docker.ContainerInspect(t.Context(), other.ID); err != nil {
		t.Errorf("a stranger's container went with the pod: %v", err)
	}
}

// A sandbox that has exited makes way together with its containers, and not
// at all while one of them runs.
func TestExitedSandboxIsReplaced(t *testing.T) {
	docker, rt, sandbox, id := aPod(t)
	docker.Exit(sandbox, 0)
	_, err := rt.RunSandbox(t.Context(), web)
	if !errors.Is(err, dockpod.ErrNameConflict) {
		t.Errorf("over a running container: %v", err)
	}
	docker.Exit(id, 0)
	again, err := rt.RunSandbox(t.Context(), web)
	if err != nil || again == sandbox {
		t.Fatalf("%q, %v; want another sandbox", again, err)
	}
	if _, err := rt.ContainerStatus(t.Context(), id); !errors.Is(err, dockpod.ErrContainerNotFound) {
		t.Errorf("the container of the old sandbox: %v", err)
	}
}

// A removal that is refused has removed nothing.
func TestRefusedRemovalLeavesThePod(t *testing.T) {
	docker, rt, sandbox, id := aPod(t, dockpod.WithoutForcedRemoval())
	docker.Exit(id, 1)
	if err := rt.RemoveSandbox(t.Context(), sandbox); !errors.Is(err, dockpod.ErrRunning) {
		t.Errorf("error is %v", err)
	}
	if _, err := rt.ContainerStatus(t.Context(), id); err != nil {
		t.Errorf("the exited container: %v", err)
	}
}

// A create that met a phantom name and is repeated finds the container that
// it made under another.
func TestRepeatedCreateUnderAPhantomName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		docker, rt, sandbox, _ := aPod(t)
		docker.PhantomName("k8s_late_web_ns_1_0")
		c := dockpod.ContainerConfig{Name: "late", Image: "app:1"}
		first, err := rt.CreateContainer(t.Context(), sandbox, c, web)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := rt.CreateContainer(t.Context(), sandbox, c, web); err != nil || again != first {
			t.Errorf("%q, %v; want %q", again, err, first)
		}
	})
}

// slowMaker holds the name of a container for as long as it makes it, and shows
// nothing of it before.
type slowMaker struct {
	*fake.Docker
	takes  time.Duration
	making sync.Map // names
}

func (e *slowMaker) ContainerCreate(ctx context.Context, c *container.Config, h *container.HostConfig, n *network.NetworkingConfig, p *ocispec.Platform, name string) (container.CreateResponse, error) {
	if _, held := e.making.LoadOrStore(name, true); held {
		return container.CreateResponse{}, fake.Conflict(`Conflict. The container name "/%s" is already in use by container "%s".`, name, strings.Repeat("0", 64))
	}
	defer e.making.Delete(name)
	time.Sleep(e.takes)
	return e.Docker.ContainerCreate(ctx, c, h, n, p, name)
}

// Agents that want one container together get it from an engine that takes its
// time, too.
func TestCreatorsOfOneThatIsMadeSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		docker, _, sandbox, _ := aPod(t)
		engine := &slowMaker{Docker: docker, takes: 4 * time.Second}
		ids := make([]string, 4)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				var err error
				if ids[i], err = dockpod.New(engine).CreateContainer(t.Context(), sandbox, dockpod.ContainerConfig{Name: "late", Image: "app:1"}, web); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if ids = slices.Compact(slices.Sorted(slices.Values(ids))); len(ids) != 1 {
			t.Errorf("%d containers were made: %q", len(ids), ids)
		}
	})
}

func TestNodesNetworkIsNoNetwork(t *testing.T) {
	for _, name := range []string{"host", "container:x"} {
		_, err := dockpod.New(new(fake.Docker), dockpod.WithNetwork(name)).ListSandboxes(t.Context(), dockpod.SandboxFilter{})
		var field *dockpod.FieldError
		if !errors.As(err, &field) || field.Field != "WithNetwork" {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// lateEngine makes a container a little after its caller has gone.
type lateEngine struct {
	*fake.Docker
	late time.Duration
}

func (e *lateEngine) ContainerCreate(ctx context.Context, c *container.Config, h *container.HostConfig, n *network.NetworkingConfig, p *ocispec.Platform, name string) (container.CreateResponse, error) {
	<-ctx.Done()
	go func() {
		time.Sleep(e.late)
		_, _ = e.Docker.ContainerCreate(context.WithoutCancel(ctx), c, h, n, p, name)
	}()
	return container.CreateResponse{}, ctx.Err()
}

// A sandbox that the engine makes after the end of the call is taken away.
func TestSandboxMadeLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		docker := &lateEngine{&fake.Docker{}, 200 * time.Millisecond}
		defer docker.Close()
		rt := dockpod.New(docker)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := rt.RunSandbox(ctx, web); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		time.Sleep(time.Second)
		if list, err := rt.ListSandboxes(t.Context(), dockpod.SandboxFilter{}); err != nil || len(list) > 0 {
			t.Errorf("%d sandboxes are left, %v", len(list), err)
		}
	})
}

// A sandbox without the pod's labels is found by the UID in its name.
func TestSandboxByUIDInItsName(t *testing.T) {
	docker := &fake.Docker{}
	defer docker.Close()
	docker.AddImage("pause:1")
	if _, err := docker.ContainerCreate(t.Context(), &container.Config{Image: "pause:1", Labels: map[string]string{dockpod.LabelType: dockpod.TypeSandbox}},
		nil, nil, nil, "k8s_POD_web_ns_the-uid_0"); err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[string]int{"the-uid": 1, "other": 0, "": 1} {
		list, err := dockpod.New(docker).ListSandboxes(t.Context(), dockpod.SandboxFilter{UID: uid})
		if err != nil || len(list) != want {
			t.Errorf("UID %q: %d sandboxes, %v; want %d", uid, len(list), err, want)
		}
	}
}

// An ID that would lead a request elsewhere is refused.
func TestIDIsNoPath(t *testing.T) {
	_, rt, _, id := aPod(t)
	for _, bad := range []string{".", "..", "/", "../../info", id + "/json", "a/../" + id} {
		if _, err := rt.ContainerStatus(t.Context(), bad); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if st, err := rt.ContainerStatus(t.Context(), "/k8s_app_web_ns_1_0"); err != nil || st.ID != id {
		t.Errorf("by name: %q, %v", st.ID, err)
	}
}

// A double whose hook ends its goroutine leaves nobody waiting.
func TestNobodyWaitsForADeadRequest(t *testing.T) {
	docker := &fake.Docker{}
	defer docker.Close()
	docker.Before = func(context.Context, fake.Op, string) error {
		runtime.Goexit()
		return nil
	}
	rt := dockpod.New(docker)
	done := make(chan bool)
	go func() {
		defer close(done)
		_, _ = rt.Version(t.Context())
	}()
	<-done
	docker.Before = nil
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := rt.Version(ctx); err != nil {
		t.Error(err)
	}
}

// forgetful is Podman, which does not tell that an input is to end with the
// first attach.
type forgetful struct{ podman }

func (d forgetful) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	info, err := d.podman.ContainerInspect(ctx, id)
	if err == nil {
		info.Config.StdinOnce = false
	}
	return info, err
}

func TestAttachedInputEndsOnPodman(t *testing.T) {
	docker, _, sandbox, _ := aPod(t)
	docker.HandleFunc("/cat", func(p *fake.Process) int {
		io.Copy(p.Stdout, p.Stdin)
		return 0
	})
	rt := dockpod.New(forgetful{podman{docker}})
	id, err := rt.CreateContainer(t.Context(), sandbox, dockpod.ContainerConfig{Name: "cat", Image: "app:1", Command: []string{"/cat"}, Stdin: true, StdinOnce: true}, web)
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := rt.Attach(ctx, id, dockpod.AttachOptions{Stdin: strings.NewReader("hello\n"), Stdout: &out}); err != nil || out.String() != "hello\n" {
		t.Errorf("attach: %v, output %q", err, out.String())
	}
}

// shortened is Podman, whose tails lack the first pieces of long lines.
type shortened struct {
	podman
	tails []string
}

func (d *shortened) ContainerLogs(ctx context.Context, id string, o container.LogsOptions) (io.ReadCloser, error) {
	if o.Tail != "" {
		d.tails = append(d.tails, o.Tail)
	}
	return d.podman.ContainerLogs(ctx, id, o)
}

func TestTailOfPodman(t *testing.T) {
	docker, _, sandbox, _ := aPod(t)
	docker.HandleFunc("/print", func(p *fake.Process) int {
		io.WriteString(p.Stdout, strings.Repeat("x", 40000)+"\nend\n")
		return 0
	})
	engine := &shortened{podman: podman{docker}}
	rt := dockpod.New(engine)
	id, err := rt.CreateContainer(t.Context(), sandbox, dockpod.ContainerConfig{Name: "print", Image: "app:1", Command: []string{"/print"}}, web)
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Wait(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = rt.ContainerLogs(t.Context(), id, dockpod.LogOptions{Stdout: &out, Tail: 1, Follow: true, Source: dockpod.LogSourceAPI})
	if err != nil || out.String() != "end\n" || engine.tails != nil {
		t.Errorf("%q, %v; the engine was asked for tails of %q", out.String(), err, engine.tails)
	}
}
