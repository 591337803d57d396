package fake_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/docker/docker/api/types/container"
	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
)

func Example() {
	ctx := context.Background()
	engine := &fake.Docker{}
	defer engine.Close()
	engine.AddImage("registry.test/app:1")
	rt := dockpod.New(engine, dockpod.WithOwner("example"))

	pod := dockpod.SandboxConfig{Name: "web", Namespace: "default", UID: "1f3a"}
	sandbox, err := rt.RunSandbox(ctx, pod)
	if err != nil {
		log.Fatal(err)
	}
	id, err := rt.CreateContainer(ctx, sandbox, dockpod.ContainerConfig{Name: "app", Image: "registry.test/app:1"}, pod)
	if err != nil {
		log.Fatal(err)
	}
	if err := rt.StartContainer(ctx, id); err != nil {
		log.Fatal(err)
	}
	engine.OOMKill(id)

	status, err := rt.ContainerStatus(ctx, id)
	fmt.Println(status.Name.Container, status.State, status.Reason, status.ExitCode, err)
	// Output: app exited OOMKilled 137 <nil>
}

// An answer that is lost: the container is there, and the caller was told of
// a timeout.
func ExampleDocker_after() {
	ctx := context.Background()
	engine := &fake.Docker{After: fake.FailOnce(fake.OpContainerCreate, context.DeadlineExceeded)}
	defer engine.Close()
	engine.AddImage("app:1")

	_, err := engine.ContainerCreate(ctx, &container.Config{Image: "app:1"}, nil, nil, nil, "web")
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	c, err := engine.ContainerInspect(ctx, "web")
	fmt.Println(c.Name, c.State.Status, err)
	// Output:
	// true
	// /web created <nil>
}

// A program is a Go function; its output is the container's log.
func ExampleDocker_HandleFunc() {
	ctx := context.Background()
	engine := &fake.Docker{}
	defer engine.Close()
	engine.AddImage("app:1")
	engine.HandleFunc("/bin/greet", func(p *fake.Process) int {
		fmt.Fprintln(p.Stdout, "hello,", p.Getenv("NAME"))
		fmt.Println("signal:", <-p.Signals)
		return 3
	})

	cfg := &container.Config{Image: "app:1", Cmd: []string{"/bin/greet"}, Env: []string{"NAME=pod"}}
	c, err := engine.ContainerCreate(ctx, cfg, nil, nil, nil, "greet")
	if err != nil {
		log.Fatal(err)
	}
	if err := engine.ContainerStart(ctx, c.ID, container.StartOptions{}); err != nil {
		log.Fatal(err)
	}
	if err := engine.ContainerStop(ctx, c.ID, container.StopOptions{}); err != nil {
		log.Fatal(err)
	}
	state, _ := engine.ContainerInspect(ctx, c.ID)
	fmt.Println("exit code:", state.State.ExitCode)
	// Output:
	// signal: SIGTERM
	// exit code: 3
}
