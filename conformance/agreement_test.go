package conformance_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
	"github.com/dockpod/dockpod/internal/imagetar"
	"github.com/dockpod/dockpod/internal/lean"
	"github.com/dockpod/dockpod/internal/testengine"
)

// TestSecurityAgreement asks the fake and an engine for the same containers
// with random security, and holds the fake to the engine's answers. Nothing is
// started. The words are Docker 20.10's; a newer engine's classes are compared
// alone.
func TestSecurityAgreement(t *testing.T) {
	const configs = 200
	engine := lean.Wrap(testengine.Default(t))
	version, err := engine.ServerVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(version.Platform.Name, "Podman") || len(version.Components) > 0 && version.Components[0].Name == "Podman Engine" {
		t.Skip("Podman refuses other configurations, and with other classes")
	}
	double := &fake.Docker{}
	defer double.Close()
	var b [6]byte
	if _, err := rand.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	owner := hex.EncodeToString(b[:])
	image := "dockpod.io/agreement:" + owner
	archive, err := imagetar.Image{Refs: []string{image}, Arch: "amd64", Files: []imagetar.File{{Name: "owner", Mode: 0o644, Data: []byte(owner)}}, Cmd: []string{"/owner"}}.Archive()
	if err != nil {
		t.Fatal(err)
	}
	for _, docker := range []dockpod.ImageLoader{engine, double} {
		resp, err := docker.ImageLoad(t.Context(), strings.NewReader(string(archive)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body) // the end of it is the end of the load
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := dockpod.New(engine).RemoveImage(ctx, image); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})

	// The seed is fixed: what fails once fails again.
	var hosts []*container.HostConfig
	var users []string
	random := mathrand.New(mathrand.NewPCG(20, 10))
	for range configs {
		hosts = append(hosts, randomHost(random))
		users = append(users, pick(random, "", "", "0", "1000:5", "nobody", ":5", "-1", "4294967296"))
	}
	ask := func(docker dockpod.DockerInterface, i int) (answer, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		name := fmt.Sprintf("dpa-%s-%d", owner, i)
		resp, err := docker.ContainerCreate(ctx, &container.Config{Image: image, User: users[i]}, hosts[i], nil, nil, name)
		if err != nil {
			return answer{class: classOf(err), text: err.Error()}, nil
		}
		defer func() {
			if err := docker.ContainerRemove(context.WithoutCancel(ctx), resp.ID, container.RemoveOptions{Force: true}); err != nil && !errdefs.IsNotFound(err) {
				t.Errorf("clean up: %v", err)
			}
		}()
		info, err := docker.ContainerInspect(ctx, resp.ID)
		if err != nil {
			return answer{}, err
		}
		return answer{text: fmt.Sprintf("user %q, %s, warnings %q", info.Config.User, facts(info.HostConfig), resp.Warnings)}, nil
	}
	accepted := 0
	var mu sync.Mutex
	var wg sync.WaitGroup
	turns := make(chan struct{}, 4)
	for i := range configs {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			said, err := ask(engine, i)
			if err != nil {
				t.Error(err)
				return
			}
			doubled, err := ask(double, i)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if said.class == "" {
				accepted++
			}
			same := said == doubled
			if !strings.HasPrefix(version.Version, "20.10.") {
				same = said.class == doubled.class
			}
			if !same {
				t.Errorf("configuration %d, user %q, %s:\nengine %s %s\nfake   %s %s", i, users[i], facts(hosts[i]), said.class, said.text, doubled.class, doubled.text)
			}
		})
	}
	wg.Wait()
	if accepted < configs/4 || accepted > configs*9/10 {
		t.Errorf("%d of %d were accepted: too few or too many to tell", accepted, configs)
	}
	t.Logf("%d of %d were accepted", accepted, configs)
}

// answer is what an engine makes of a request: a container with these facts,
// or a refusal of a class.
type answer struct{ class, text string }

// facts is what of a host configuration is compared.
func facts(h *container.HostConfig) string {
	return fmt.Sprintf("security options %q, added %q, dropped %q, groups %q, privileged %v, read-only root %v, masked %v/%q, read-only %v/%q, network %q, IPC %q, PID %q, UTS %q, users %q, sysctls %v",
		h.SecurityOpt, h.CapAdd, h.CapDrop, h.GroupAdd, h.Privileged, h.ReadonlyRootfs, h.MaskedPaths == nil, h.MaskedPaths, h.ReadonlyPaths == nil, h.ReadonlyPaths,
		h.NetworkMode, h.IpcMode, h.PidMode, h.UTSMode, h.UsernsMode, h.Sysctls)
}

func classOf(err error) string {
	for name, is := range map[string]func(error) bool{
		"400": errdefs.IsInvalidArgument, "404": errdefs.IsNotFound, "409": errdefs.IsConflict, "500": errdefs.IsInternal,
	} {
		if is(err) {
			return name
		}
	}
	return "another"
}

func pick[T any](r *mathrand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func randomHost(r *mathrand.Rand) *container.HostConfig {
	some := func(n int, from ...string) []string {
		var l []string
		for len(l) < 3 && r.IntN(n) == 0 {
			l = append(l, pick(r, from...))
		}
		return l
	}
	paths := func() []string {
		return pick(r, nil, nil, []string{}, []string{"/proc/kcore"}, []string{"relative", "/etc"})
	}
	// Of the newest capabilities it depends on the engine's build whether it
	// knows them.
	capabilities := []string{"ALL", "all", "CHOWN", "cap_chown", "NET_ADMIN", "CAP_SYS_ADMIN", "KILL", "AUDIT_READ", "SYS_RESOURCE"}
	if r.IntN(8) == 0 {
		capabilities = append(capabilities, "FOO", "", "CAP_ALL")
	}
	options := []string{
		"no-new-privileges", "no-new-privileges=true", "no-new-privileges:false", "label=disable", "label=user:u", "label=level:s0:c1,c2", "label=", "disable",
		"apparmor=unconfined", "apparmor=x", "apparmor=", "seccomp=unconfined", "seccomp={}", "seccomp=x", `seccomp={"defaultAction":"SCMP_ACT_ALLOW"}`, "seccomp:unconfined", "seccomp=",
	}
	if r.IntN(6) == 0 {
		options = append(options, "foo", "foo=bar", "no-new-privileges=maybe", "no-new-privileges=", "seccomp", "label", "apparmor", "systempaths=unconfined", "", "=")
	}
	h := &container.HostConfig{
		CapAdd: some(2, capabilities...), CapDrop: some(3, capabilities...), SecurityOpt: some(2, options...), GroupAdd: some(4, "5", "staff", "-1", ""),
		Privileged: r.IntN(5) == 0, ReadonlyRootfs: r.IntN(2) == 0, MaskedPaths: paths(), ReadonlyPaths: paths(),
		PidMode:    container.PidMode(pick(r, "", "", "", "host", "container:none", "private")),
		IpcMode:    container.IpcMode(pick(r, "", "", "", "host", "private", "shareable", "none", "container:none")),
		UTSMode:    container.UTSMode(pick(r, "", "", "", "host")),
		UsernsMode: container.UsernsMode(pick(r, "", "", "", "host", "private", "x")),
	}
	if r.IntN(4) == 0 {
		h.Sysctls = map[string]string{pick(r, "net.core.somaxconn", "vm.swappiness", "", "kernel.shmmax", "net/ipv4/ip_forward"): "1"}
	}
	if r.IntN(8) == 0 {
		h.NetworkMode = container.NetworkMode(pick(r, "host", "none"))
	}
	return h
}
