package dockpod_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
)

// A pod of one container, from its creation to its exit.
func ExampleRuntime_CreateContainer() {
	docker := new(fake.Docker)
	defer docker.Close()
	docker.AddImage("registry.example/web:1")

	ctx := context.Background()
	rt := dockpod.New(docker, dockpod.WithOwner("my-agent"))
	pod := dockpod.SandboxConfig{Name: "web", Namespace: "default", UID: "7f3a"}
	sandbox, err := rt.RunSandbox(ctx, pod)
	if err != nil {
		fmt.Println(err)
		return
	}
	app := dockpod.ContainerConfig{Name: "app", Image: "registry.example/web:1", Args: []string{"serve"}}
	id, err := rt.CreateContainer(ctx, sandbox, app, pod)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := rt.StartContainer(ctx, id); err != nil {
		fmt.Println(err)
		return
	}
	docker.Exit(id, 3) // the world turns
	st, err := rt.Wait(ctx, id)
	fmt.Println(st.Name.Container, st.State, st.Reason, st.ExitCode, err)
	// Output: app exited Error 3 <nil>
}

// An agent that was killed finds its pods again and goes on with them.
func ExampleRuntime_SandboxStatus() {
	docker := new(fake.Docker)
	defer docker.Close()
	docker.AddImage("app:1")
	ctx := context.Background()

	before := dockpod.New(docker, dockpod.WithOwner("my-agent"))
	_, err := before.RunSandbox(ctx, dockpod.SandboxConfig{Name: "web", Namespace: "default", UID: "7f3a", Hostname: "web-0"})
	if err != nil {
		fmt.Println(err)
		return
	}

	after := dockpod.New(docker, dockpod.WithOwner("my-agent"))
	sandboxes, err := after.ListSandboxes(ctx, dockpod.SandboxFilter{State: dockpod.SandboxReady})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, sb := range sandboxes {
		st, err := after.SandboxStatus(ctx, sb.ID)
		if err != nil {
			fmt.Println(err)
			return
		}
		_, err = after.CreateContainer(ctx, sb.ID, dockpod.ContainerConfig{Name: "app", Image: "app:1", Args: []string{"run"}}, st.Config)
		fmt.Println(st.Config.Name, st.Config.Hostname, err)
	}
	// Output: web web-0 <nil>
}

// A name that is held by a running container is a conflict that says by which.
func ExampleNameConflictError() {
	docker := new(fake.Docker)
	defer docker.Close()
	ctx := context.Background()
	rt := dockpod.New(docker)
	pod := dockpod.SandboxConfig{Name: "web", Namespace: "default", UID: "7f3a"}
	first, err := rt.RunSandbox(ctx, pod)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = rt.RunSandbox(ctx, pod)
	var conflict *dockpod.NameConflictError
	if errors.As(err, &conflict) {
		fmt.Println(conflict.Name, conflict.HolderID == first, conflict.Reason)
	}
	// Output: k8s_POD_web_default_7f3a_0 true it is running
}

// Classes and sentinels answer through everything an error was wrapped in.
func ExampleError() {
	docker := new(fake.Docker)
	defer docker.Close()
	rt := dockpod.New(docker)

	_, err := rt.ContainerStatus(context.Background(), "0123456789ab")
	fmt.Println(errdefs.IsNotFound(err), errors.Is(err, dockpod.ErrContainerNotFound))
	fmt.Println(err)

	var e *dockpod.Error
	if errors.As(err, &e) {
		fmt.Println(e.Op)
	}
	// Output:
	// true true
	// container status "0123456789ab": Error response from daemon: No such container: 0123456789ab
	// container status
}

// What is wrong with a configuration is told field by field, before the engine
// is asked.
func ExampleContainerConfig_Validate() {
	err := dockpod.ContainerConfig{
		Name:       "my_app",
		Image:      "app:1",
		WorkingDir: "data",
		Envs:       []dockpod.EnvVar{{Key: "A=B", Value: "secret"}},
	}.Validate()
	fmt.Println(err)
	// Output: Name: "my_app"; want letters, digits, '.' and '-'; WorkingDir: "data" is not absolute; Envs[0].Key: '=' after "A"
}

// A field that cannot be honoured is refused, never dropped.
func ExampleUnsupportedError() {
	err := dockpod.ContainerConfig{
		Name: "app", Image: "app:1",
		Resources: dockpod.Resources{HugepageLimits: map[string]int64{"2MB": 4 << 20}},
	}.Validate()
	var u *dockpod.UnsupportedError
	if errors.As(err, &u) {
		fmt.Println(u.Field)
	}
	fmt.Println(errdefs.IsNotImplemented(err))
	// Output:
	// Resources.HugepageLimits["2MB"]
	// true
}

func ExampleConnect() {
	// "" is the engine of the environment; "fake://" needs the import of
	// github.com/dockpod/dockpod/fake.
	ctx := context.Background()
	rt, err := dockpod.Connect(ctx, "fake://", dockpod.WithOwner("my-agent"), dockpod.WithRequestTimeout(30*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close()
	v, err := rt.Version(ctx)
	fmt.Println(v.Engine, v.API, err)
	// Output: 20.10.24 1.41 <nil>
}

func ExampleParseName() {
	n, err := dockpod.ParseName("/k8s_app_web_default_7f3a_2")
	fmt.Println(n.Container, n.Pod, n.Namespace, n.UID, n.Attempt, err)
	_, err = dockpod.ParseName("postgres")
	fmt.Println(errors.Is(err, dockpod.ErrNotManaged))
	// Output:
	// app web default 7f3a 2 <nil>
	// true
}

// An owner's names begin with the owner.
func ExampleNaming() {
	agent := dockpod.Naming{Prefix: "my-agent"}
	text := agent.Format(dockpod.Name{Container: "POD", Pod: "web", Namespace: "default", UID: "7f3a"})
	fmt.Println(text)
	n, err := agent.Parse(text)
	fmt.Println(n.IsSandbox(), err)
	// Output:
	// my-agent_POD_web_default_7f3a_0
	// true <nil>
}

func ExampleParseLegacyName() {
	n, err := dockpod.ParseLegacyName("k8s_app.c8c2f1d4_web_default_7f3a_0a1b2c3d")
	fmt.Printf("%s %x %s %v\n", n.Container, n.Hash, n.Suffix, err)
	fmt.Println(n.Stable())
	// Output:
	// app c8c2f1d4 0a1b2c3d <nil>
	// k8s_app.c8c2f1d4_web_default_7f3a
}

func ExampleSplitLabels() {
	docker, err := dockpod.JoinLabels(map[string]string{"app": "web"}, map[string]string{"team": "infra"})
	fmt.Println(slices.Sorted(maps.Keys(docker)), err)
	docker[dockpod.LabelType] = dockpod.TypeContainer // what the runtime adds
	labels, annotations := dockpod.SplitLabels(docker)
	fmt.Println(labels, annotations)
	// Output:
	// [annotation.team app] <nil>
	// map[app:web] map[team:infra]
}

func ExampleLogSymlink() {
	fmt.Println(dockpod.LogSymlink("/var/log/containers", "web_default", "app", "4f1c"))
	// Output: /var/log/containers/web_default_app-4f1c.log
}

// References are compared after normalisation, never by their ends.
func ExampleImage_Matches() {
	img := dockpod.Image{
		ID:       digest.FromString("config"),
		RepoTags: []string{"busybox:1.36"},
	}
	for _, s := range []string{"docker.io/library/busybox:1.36", "busybox:1.35", "evil.example/busybox:1.36"} {
		ref, err := reference.ParseDockerRef(s)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(s, img.Matches(ref))
	}
	// Output:
	// docker.io/library/busybox:1.36 true
	// busybox:1.35 false
	// evil.example/busybox:1.36 false
}

func ExampleRuntime_EnsureImage() {
	docker := new(fake.Docker)
	defer docker.Close()
	docker.AddRemoteImage("registry.example/web:1")
	rt := dockpod.New(docker)

	ctx := context.Background()
	_, err := rt.EnsureImage(ctx, "registry.example/web:1", dockpod.PullNever, dockpod.PullOptions{})
	fmt.Println(errors.Is(err, dockpod.ErrImageNotFound))
	img, err := rt.EnsureImage(ctx, "registry.example/web:1", dockpod.PullIfNotPresent, dockpod.PullOptions{})
	fmt.Println(img.RepoTags, err)
	// Output:
	// true
	// [registry.example/web:1] <nil>
}

func ExampleRuntime_ContainerStatuses() {
	docker := new(fake.Docker)
	defer docker.Close()
	docker.AddImage("app:1")
	ctx := context.Background()
	rt := dockpod.New(docker)
	id, err := rt.CreateContainer(ctx, "", dockpod.ContainerConfig{Name: "app", Image: "app:1", Args: []string{"run"}},
		dockpod.SandboxConfig{Name: "alone", Namespace: "default", UID: "1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for st, err := range rt.ContainerStatuses(ctx, id, "0123456789ab") {
		fmt.Println(st.State, errdefs.IsNotFound(err))
	}
	// Output:
	// created false
	//  true
}

// A memory limit takes the swap limit with it, as long as that is no swap.
func ExampleRuntime_UpdateContainer() {
	engine := &fake.Docker{}
	defer engine.Close()
	engine.AddImage("app:1")
	ctx := context.Background()
	rt := dockpod.New(engine, dockpod.WithOwner("agent"))
	pod := dockpod.SandboxConfig{Name: "web", Namespace: "default", UID: "1"}
	id, err := rt.CreateContainer(ctx, "", dockpod.ContainerConfig{
		Name: "app", Image: "app:1", Command: []string{"/app"},
		Resources: dockpod.Resources{MemoryLimit: 64 << 20, CPUShares: dockpod.MilliCPUToShares(250)},
	}, pod)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := rt.UpdateContainer(ctx, id, dockpod.Resources{MemoryLimit: 128 << 20}); err != nil {
		fmt.Println(err)
		return
	}
	st, err := rt.ContainerStatus(ctx, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(st.Resources.MemoryLimit>>20, st.Resources.MemorySwapLimit>>20, st.Resources.CPUShares)
	err = rt.UpdateContainer(ctx, id, dockpod.Resources{MemorySwapLimit: 96 << 20})
	var field *dockpod.FieldError
	if errors.As(err, &field) {
		fmt.Println(field)
	}
	// Output:
	// 128 128 256
	// Resources.MemorySwapLimit: 100663296 is below the container's memory limit 134217728
}

func ExampleRuntime_SandboxStats() {
	ctx := context.Background()
	clock := time.Unix(0, 0)
	engine := &fake.Docker{Now: func() time.Time { return clock }}
	defer engine.Close()
	engine.AddImage("app:1")
	rt := dockpod.New(engine)
	pod := dockpod.SandboxConfig{Name: "web", Namespace: "shop", UID: "1"}
	sandbox, err := rt.RunSandbox(ctx, pod)
	if err != nil {
		log.Fatal(err)
	}
	id, err := rt.CreateContainer(ctx, sandbox, dockpod.ContainerConfig{Name: "app", Image: "app:1"}, pod)
	if err != nil {
		log.Fatal(err)
	}
	if err := rt.StartContainer(ctx, id); err != nil {
		log.Fatal(err)
	}
	engine.SetUsage(id, fake.Usage{Cores: 0.25, Anon: 48 << 20, InactiveFile: 16 << 20})

	for range 2 { // the second reading has a rate
		stats, err := rt.ContainerStats(ctx, id)
		if err != nil {
			log.Fatal(err)
		}
		set, _ := stats.Memory.WorkingSet()
		fmt.Printf("%d MiB of %d in the working set, %dm CPU over %v\n", set>>20, stats.Memory.Usage>>20, stats.CPU.NanoCores/1e6, stats.CPU.Window)
		clock = clock.Add(10 * time.Second)
	}
	stats, err := rt.SandboxStats(ctx, sandbox)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stats.Name.Pod, "has", len(stats.Containers), "container and", stats.Processes, "processes")
	// Output:
	// 48 MiB of 64 in the working set, 0m CPU over 0s
	// 48 MiB of 64 in the working set, 250m CPU over 10s
	// web has 1 container and 2 processes
}

func ExamplePlanGC() {
	now := time.Now()
	ended := func(id string, ago time.Duration) dockpod.GCContainer {
		return dockpod.GCContainer{
			ID: id, Name: dockpod.Name{Container: "app", Pod: "web", Namespace: "shop", UID: "1"},
			State: dockpod.StateExited, FinishedAt: now.Add(-ago),
		}
	}
	plan := dockpod.PlanGC([]dockpod.GCContainer{
		ended("third", 5*time.Minute), ended("second", time.Hour), ended("first", 2*time.Hour),
	}, dockpod.KubeletGCPolicy(), now)
	for _, r := range plan.Remove {
		fmt.Printf("remove %s: %s\n", r.Container.ID, r.Reason)
	}
	// Output:
	// remove first: too many dead of this container
	// remove second: too many dead of this container
}

func ExampleRuntime_CollectGarbage() {
	ctx := context.Background()
	rt, err := dockpod.Connect(ctx, "fake://")
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	opts := dockpod.GCOptions{GCPolicy: dockpod.KubeletGCPolicy(), LogDirs: []string{"/var/log/pods"}}
	opts.Wanted = func(uid string) bool { return uid == "1" } // once all pods to run are known
	opts.DryRun = true
	report, err := rt.CollectGarbage(ctx, opts)
	fmt.Println(len(report.Removed), err)
	// Output: 0 <nil>
}
