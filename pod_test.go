package dockpod_test

import (
	"errors"
	"testing"

	"github.com/docker/docker/api/types/container"

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
