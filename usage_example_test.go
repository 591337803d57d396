package dockpod_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
)

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
