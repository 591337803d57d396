package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/client"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/internal/imagetar"
	"github.com/dockpod/dockpod/internal/pause"
)

const (
	engineImage = "dockpod.io/bench:1"
	plainLabel  = "io.dockpod.bench" // marks what the plain client made
)

// node is an engine with containers of two makers: dockpod's, and the docker
// client's as the seed makes them, by the image's name.
type node struct {
	sock  string
	pid   int
	rt    *dockpod.Runtime
	plain *client.Client
	raw   *rawConn
}

func openNode(ctx context.Context, b *bench) (*node, error) {
	rt, plain, err := connect(ctx, b.sock, stubOwner)
	if err != nil {
		return nil, err
	}
	raw, err := dialRaw(b.sock)
	if err != nil {
		return nil, err
	}
	n := &node{b.sock, enginePID(b.sock), rt, plain, raw}
	if err := n.loadImage(ctx); err != nil {
		return nil, err
	}
	return n, n.clean(ctx)
}

// loadImage puts an image with a configuration of usual size on the engine.
func (n *node) loadImage(ctx context.Context) error {
	info, err := n.rt.Info(ctx)
	if err != nil {
		return err
	}
	program, ok := pause.Program(info.Arch)
	if !ok {
		return fmt.Errorf("no program for %s", info.Arch)
	}
	image := imagetar.Image{
		Refs: []string{engineImage}, Arch: info.Arch, Entrypoint: []string{"/pause"},
		Files: []imagetar.File{{Name: "pause", Mode: 0o755, Data: program}},
		Env:   []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "APP_HOME=/srv/app"},
		Labels: map[string]string{
			"org.opencontainers.image.title": "bench", "org.opencontainers.image.version": "1",
			"org.opencontainers.image.description": strings.Repeat("an image of usual size ", 10),
		},
	}
	archive, err := image.Archive()
	if err != nil {
		return err
	}
	resp, err := n.plain.ImageLoad(ctx, bytes.NewReader(archive))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// close removes all that was made.
func (n *node) close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	err := n.clean(ctx)
	if e := n.rt.RemoveImage(ctx, engineImage); err == nil {
		err = e
	}
	n.rt.Close()
	n.plain.Close()
	n.raw.Close()
	return err
}

func (n *node) clean(ctx context.Context) error {
	list, err := n.rt.ListContainers(ctx, dockpod.Filter{Fast: true})
	if err != nil {
		return err
	}
	if err := parallel(len(list), func(i int) error { return n.rt.RemoveContainer(ctx, list[i].ID) }); err != nil {
		return err
	}
	plain, err := n.plainList(ctx)
	if err != nil {
		return err
	}
	return parallel(len(plain), func(i int) error {
		return n.plain.ContainerRemove(ctx, plain[i].ID, container.RemoveOptions{Force: true})
	})
}

func (n *node) plainList(ctx context.Context) ([]container.Summary, error) {
	return n.plain.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", plainLabel+"=1"))})
}

// parallel calls f for 0 to n-1, four at a time.
func parallel(n int, f func(i int) error) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		next  int
		first error
	)
	for range 4 {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				stop := i >= n || first != nil
				mu.Unlock()
				if stop {
					return
				}
				if err := f(i); err != nil {
					mu.Lock()
					first = err
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return first
}

var podLabels = map[string]string{"io.kubernetes.pod.terminationGracePeriod": "30", "app": "web", "tier": "front", "team": "infra"}

func config(i int) (dockpod.ContainerConfig, dockpod.SandboxConfig) {
	s := dockpod.SandboxConfig{Name: fmt.Sprintf("web-5d9c7b6f4-%d", i), Namespace: "production", UID: fmt.Sprintf("0b9f6c1e-7d2a-4c59-9f0e-%012d", i)}
	return dockpod.ContainerConfig{
		Name: "app", Image: engineImage,
		Envs:   []dockpod.EnvVar{{Key: "KUBERNETES_SERVICE_HOST", Value: "10.96.0.1"}, {Key: "KUBERNETES_SERVICE_PORT", Value: "443"}, {Key: "POD_NAME", Value: s.Name}, {Key: "LOG_LEVEL", Value: "info"}},
		Mounts: []dockpod.Mount{{Source: "/etc", Target: "/etc/config", ReadOnly: true}, {Source: "/tmp", Target: "/data"}},
		Labels: podLabels, Annotations: map[string]string{"io.kubernetes.container.hash": "5d41402a", "io.kubernetes.container.restartCount": "0"},
	}, s
}

// makeOurs creates containers by dockpod.
func (n *node) makeOurs(ctx context.Context, count int) error {
	return parallel(count, func(i int) error {
		c, s := config(i)
		_, err := n.rt.CreateContainer(ctx, "", c, s)
		return err
	})
}

// makePlain creates the like as the seed does: by the image's name.
func (n *node) makePlain(ctx context.Context, count int) error {
	return parallel(count, func(i int) error {
		_, err := n.createPlain(ctx, i)
		return err
	})
}

func (n *node) createPlain(ctx context.Context, i int) (string, error) {
	cfg, host, name := plainRequest(i)
	resp, err := n.plain.ContainerCreate(ctx, cfg, host, nil, nil, name)
	return resp.ID, err
}

func plainRequest(i int) (*container.Config, *container.HostConfig, string) {
	c, s := config(i)
	labels := map[string]string{
		plainLabel: "1", "io.kubernetes.container.name": c.Name, "io.kubernetes.pod.name": s.Name, "io.kubernetes.pod.namespace": s.Namespace,
		"io.kubernetes.pod.uid": s.UID, "io.kubernetes.container.logpath": "/var/log/pods/" + s.UID + "/app/0.log",
		"io.kubernetes.docker.type": "container", "io.kubernetes.sandbox.id": stubID(i),
	}
	maps.Copy(labels, c.Labels)
	for k, v := range c.Annotations {
		labels["annotation."+k] = v
	}
	cfg := &container.Config{Image: engineImage, Labels: labels}
	for _, e := range c.Envs {
		cfg.Env = append(cfg.Env, e.Key+"="+e.Value)
	}
	host := &container.HostConfig{}
	for _, m := range c.Mounts {
		host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeBind, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly})
	}
	return cfg, host, fmt.Sprintf("plain_app_%s_%s_%s_0", s.Name, s.Namespace, s.UID)
}

// byIDCase lists containers that dockpod made, by image ID, and such as the
// seed makes.
func byIDCase(ctx context.Context, b *bench) (err error) {
	n, err := openNode(ctx, b)
	if err != nil {
		return err
	}
	defer func() { err = firstOf(err, n.close(ctx)) }()
	count := b.count(1000)
	if err := n.makeOurs(ctx, count); err != nil {
		return err
	}
	if err := n.makePlain(ctx, count); err != nil {
		return err
	}
	r, err := rounds(ctx, b.roundsOr(15), n.pid,
		variant{"by name, client (the seed)", func(ctx context.Context) error {
			l, err := n.plainList(ctx)
			return expect(len(l), count, err)
		}},
		variant{"by ID, ours", func(ctx context.Context) error {
			l, err := n.rt.ListContainers(ctx, dockpod.Filter{Fast: true})
			return expect(len(l), count, err)
		}},
	)
	if err != nil {
		return err
	}
	fmt.Printf("%d containers of each kind\n", count)
	r.print()
	b.goal("byid", r.ratio("by name, client (the seed)", "by ID, ours", wall), 2, false)
	b.goal("byid-engine-cpu", r.ratio("by ID, ours", "by name, client (the seed)", engine), 0.55, true)
	return nil
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// syncCase asks for the list and every status: cold, as an agent that begins.
func syncCase(ctx context.Context, b *bench) (err error) {
	n, err := openNode(ctx, b)
	if err != nil {
		return err
	}
	defer func() { err = firstOf(err, n.close(ctx)) }()
	count := b.count(1000)
	if err := n.makeOurs(ctx, count); err != nil {
		return err
	}
	if err := n.makePlain(ctx, count); err != nil {
		return err
	}
	r, err := rounds(ctx, b.roundsOr(3), n.pid, n.seedSync(count), n.ourSync(b.sock, count))
	if err != nil {
		return err
	}
	fmt.Printf("%d containers of each kind\n", count)
	r.print()
	b.goal("sync", r.ratio("seed", "ours", wall), 2.5, false)
	b.goal("sync-engine-cpu", r.ratio("ours", "seed", engine), 0.55, true)
	return nil
}

// seedSync lists, and inspects each container and its image, one by one.
func (n *node) seedSync(count int) variant {
	return variant{"seed", func(ctx context.Context) error {
		l, err := n.plainList(ctx)
		if err := expect(len(l), count, err); err != nil {
			return err
		}
		for _, c := range l {
			info, err := n.plain.ContainerInspect(ctx, c.ID)
			if err != nil {
				return err
			}
			if _, err := n.plain.ImageInspect(ctx, info.Image); err != nil {
				return err
			}
		}
		return nil
	}}
}

// ourSync does so with a Runtime that knows nothing yet.
func (n *node) ourSync(sock string, count int) variant {
	return variant{"ours", func(ctx context.Context) error {
		rt, err := dockpod.Connect(ctx, "unix://"+sock, dockpod.WithOwner(stubOwner))
		if err != nil {
			return err
		}
		defer rt.Close()
		l, err := rt.ListContainers(ctx, dockpod.Filter{Fast: true})
		if err := expect(len(l), count, err); err != nil {
			return err
		}
		ids := make([]string, len(l))
		for i, c := range l {
			ids[i] = c.ID
		}
		for _, err := range rt.ContainerStatuses(ctx, ids...) {
			if err != nil {
				return err
			}
		}
		return nil
	}}
}
