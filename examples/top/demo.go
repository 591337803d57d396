package main

import (
	"context"
	"math"
	"strings"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
)

// demoPods fills the fake with pods that use something. wobble changes that a
// little each time.
func demoPods(ctx context.Context, engine, owner string) (endpoint, whose string, wobble func(), err error) {
	if !strings.HasPrefix(engine, "fake://") {
		return engine, owner, func() {}, nil
	}
	const name = "top"
	docker := fake.Named(name)
	docker.AddImage("app:1")
	rt := dockpod.New(docker, dockpod.WithOwner(name))
	usage := map[string]fake.Usage{}
	for _, c := range []struct {
		pod, name string
		limit     int64
		usage     fake.Usage
	}{
		{"shop/web-7d4b9c", "server", 256 << 20, fake.Usage{Cores: 0.42, Anon: 90 << 20, ActiveFile: 10 << 20, InactiveFile: 60 << 20, Processes: 12}},
		{"shop/web-7d4b9c", "proxy", 64 << 20, fake.Usage{Cores: 0.05, Anon: 18 << 20, Processes: 4}},
		{"shop/db-0", "postgres", 0, fake.Usage{Cores: 0.9, Anon: 700 << 20, InactiveFile: 2 << 30, Processes: 31, Writes: 3 << 20}},
		{"kube-system/collector-of-metrics-x8w2k", "agent", 128 << 20, fake.Usage{Cores: 0.015, Anon: 40 << 20, Processes: 7}},
	} {
		namespace, pod, _ := strings.Cut(c.pod, "/")
		s := dockpod.SandboxConfig{Name: pod, Namespace: namespace, UID: pod}
		list, err := rt.ListSandboxes(ctx, dockpod.SandboxFilter{UID: pod})
		if err != nil {
			return "", "", nil, err
		}
		var sandbox string
		if len(list) > 0 {
			sandbox = list[0].ID
		} else if sandbox, err = rt.RunSandbox(ctx, s); err != nil {
			return "", "", nil, err
		}
		docker.SetUsage(sandbox, fake.Usage{Anon: 300 << 10, Receives: int64(c.usage.Cores * 1e6), Sends: int64(c.usage.Cores * 3e6)})
		id, err := rt.CreateContainer(ctx, sandbox, dockpod.ContainerConfig{
			Name: c.name, Image: "app:1", Resources: dockpod.Resources{MemoryLimit: c.limit},
		}, s)
		if err != nil {
			return "", "", nil, err
		}
		if err := rt.StartContainer(ctx, id); err != nil {
			return "", "", nil, err
		}
		usage[id] = c.usage
	}
	n := 0
	return "fake://" + name, name, func() {
		for id, u := range usage {
			swing := 1 + math.Sin(float64(n)/3)/4
			u.Cores, u.Anon = u.Cores*swing, int64(float64(u.Anon)*(1+(swing-1)/4))
			docker.SetUsage(id, u)
		}
		n++
	}, nil
}
