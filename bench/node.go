package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"

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
	*clients
	pid int // of the engine; 0 if it cannot be told
}

// onNode measures with an engine that has the image, and of the benchmark's
// own no containers. What was made is removed in the end, also after an
// interrupt, and what an earlier run left behind in the beginning.
func onNode(measure func(context.Context, *bench, *node) error) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) (err error) {
		unlock, err := lockEngine(ctx)
		if err != nil {
			return err
		}
		defer unlock()
		c, err := dialAll(ctx, b.sock)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.close()) }()
		n := &node{c, enginePID(b.sock)}
		defer func() {
			if ctx.Err() != nil {
				time.Sleep(time.Second) // what the engine was asked to make is there by then
			}
			err = errors.Join(err, n.clean(context.WithoutCancel(ctx)))
		}()
		if err := n.clean(ctx); err != nil {
			return err
		}
		if err := n.loadImage(ctx); err != nil {
			return err
		}
		return measure(ctx, b, n)
	}
}

// lockEngine waits until no other benchmark uses this machine's engines: they
// have the same owner, and would measure each other.
func lockEngine(ctx context.Context) (unlock func() error, err error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "dockpod-bench.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f.Close, nil
		}
		if err != syscall.EWOULDBLOCK {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		}
	}
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

// clean removes what was made.
func (n *node) clean(ctx context.Context) error {
	ours, err := n.rt.ListContainers(ctx, dockpod.Filter{Fast: true})
	if err != nil {
		return err
	}
	plain, err := n.plainList(ctx)
	if err != nil {
		return err
	}
	return errors.Join(
		parallel(len(ours), func(i int) error { return n.rt.RemoveContainer(ctx, ours[i].ID) }),
		parallel(len(plain), func(i int) error { return n.removePlain(ctx, plain[i].ID) }),
		n.rt.RemoveImage(ctx, engineImage),
	)
}

func (n *node) removePlain(ctx context.Context, id string) error {
	return n.plain.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
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

// fill makes count containers of each kind.
func (n *node) fill(ctx context.Context, count int) error {
	return parallel(count, func(i int) error {
		if _, err := n.createOurs(ctx, i); err != nil {
			return err
		}
		_, err := n.createPlain(ctx, i)
		return err
	})
}

func (n *node) createOurs(ctx context.Context, i int) (string, error) {
	c, s := config(i)
	return n.rt.CreateContainer(ctx, "", c, s)
}

// createPlain creates the like as the seed does: by the image's name.
func (n *node) createPlain(ctx context.Context, i int) (string, error) {
	cfg, host, name := plainRequest(i)
	resp, err := n.plain.ContainerCreate(ctx, cfg, host, nil, nil, name)
	return resp.ID, err
}

// startOurs creates and starts a container without a network of its own.
func (n *node) startOurs(ctx context.Context, i int) (id string, err error) {
	c, s := config(i)
	s.Namespaces.Network = dockpod.NamespaceNode
	if id, err = n.rt.CreateContainer(ctx, "", c, s); err != nil {
		return "", err
	}
	return id, n.rt.StartContainer(ctx, id)
}

// startPlain does so by the docker client.
func (n *node) startPlain(ctx context.Context, i int) (id string, err error) {
	cfg, host, name := plainRequest(i)
	host.NetworkMode = "host"
	resp, err := n.plain.ContainerCreate(ctx, cfg, host, nil, nil, name)
	if err != nil {
		return "", err
	}
	return resp.ID, n.plain.ContainerStart(ctx, resp.ID, container.StartOptions{})
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
