// Package conformance is the contract between dockpod and a container engine,
// as a test suite. It runs on package fake always, and on each engine that is
// reachable; what a case says of one has to hold for the other. A consumer
// holds a double of its own against it:
//
//	func TestDouble(t *testing.T) {
//		conformance.Run(t, func(t *testing.T) dockpod.DockerInterface { return newDouble() })
//	}
//
// The suite loads an image with one static program, compiled with the go
// command, and makes containers and sandboxes under owners of its own; it
// removes all of it. Cases that need what an engine does not have are skipped
// by name.
package conformance

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/conformance/internal/prog"
	"github.com/dockpod/dockpod/fake"
	"github.com/dockpod/dockpod/internal/imagetar"
)

// Run runs the suite. newEngine is called once for each case and returns an
// engine that the case may use alongside others; the real one can be the same
// each time. It closes what it made by t.Cleanup.
func Run(t *testing.T, newEngine func(t *testing.T) dockpod.DockerInterface) {
	t.Helper()
	for _, group := range []struct {
		name  string
		cases []testCase
	}{
		{"Container", containerCases},
		{"Create", createCases},
		{"Resource", resourceCases},
		{"Mount", mountCases},
		{"Conflict", conflictCases},
		{"Sandbox", sandboxCases},
		{"Security", securityCases},
		{"Image", imageCases},
		{"Log", logCases},
		{"Probe", probeCases},
		{"Stats", statsCases},
		{"GC", gcCases},
		{"Exec", execCases},
		{"Watch", watchCases},
		{"LogFile", logFileCases},
		{"LogRead", logReadCases},
		{"Engine", engineCases},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					defer func() {
						// A case may trip over a wrong answer; the others go on.
						if r := recover(); r != nil {
							t.Fatalf("panic: %v\n%s", r, debug.Stack())
						}
					}()
					c.run(t, newWorld(t, newEngine(t)))
				})
			}
		})
	}
}

// testCase is one sentence about an engine.
type testCase struct {
	name string
	run  func(t *testing.T, w *world)
}

// programmer is an engine that cannot run an image's binary and calls a
// function in its place: fake.Docker, and a double that embeds it.
type programmer interface {
	HandleFunc(path string, main func(*fake.Process) int)
}

// onFake runs the suite's program as a process of the fake.
func onFake(p *fake.Process) int {
	port := func(s string) int {
		n, _ := strconv.Atoi(s)
		return n
	}
	return prog.Main(prog.World{
		Args: p.Args[1:], Env: p.Env, Dir: p.Dir, Hostname: p.Hostname,
		Stdin: p.Stdin, Stdout: p.Stdout, Stderr: p.Stderr, Signals: p.Signals, Done: p.Done(),
		Listen: func(s string) (net.Listener, error) { return p.Listen(port(s)) },
		Dial:   func(s string) (net.Conn, error) { return p.Dial(port(s)) },
		Use: func(anon, file int64) (func(), error) {
			p.SetUsage(fake.Usage{Cores: 0.001, Anon: anon, InactiveFile: file, Writes: 1 << 20, WritableLayer: file})
			return func() {}, nil
		},
		Size: p.TerminalSize,
		Spawn: func(args ...string) (func() int, error) {
			child := *p
			child.Args = append([]string{p.Args[0]}, args...)
			return func() int { return onFake(&child) }, nil
		},
	})
}

// world is what a case works with: an engine, and a Runtime with an owner of
// its own.
type world struct {
	docker dockpod.DockerInterface
	rt     *dockpod.Runtime
	owner  string
	image  string // the reference of the suite's image
	logs   string // a directory for log links
}

// newWorld loads the image and arranges for everything to be removed.
func newWorld(t *testing.T, docker dockpod.DockerInterface, opts ...dockpod.Option) *world {
	t.Helper()
	owner := "dpc-" + random(t)
	w := &world{
		docker: docker,
		owner:  owner,
		rt:     dockpod.New(docker, append([]dockpod.Option{dockpod.WithOwner(owner), dockpod.WithRequestTimeout(time.Minute)}, opts...)...),
		image:  "dockpod.io/conformance:" + owner, // a name with a registry is the same on every engine
		logs:   t.TempDir(),
	}
	t.Cleanup(func() { w.clean(t) })
	w.load(t)
	return w
}

// other returns a Runtime with another owner on the same engine.
func (w *world) other(t *testing.T, opts ...dockpod.Option) *dockpod.Runtime {
	t.Helper()
	o := *w
	o.owner = "dpc-" + random(t)
	o.rt = dockpod.New(w.docker, append([]dockpod.Option{dockpod.WithOwner(o.owner)}, opts...)...)
	t.Cleanup(func() { o.removeAll(t) })
	return o.rt
}

// with returns a Runtime of the same owner with further options.
func (w *world) with(opts ...dockpod.Option) *dockpod.Runtime {
	return dockpod.New(w.docker, append([]dockpod.Option{dockpod.WithOwner(w.owner)}, opts...)...)
}

func (w *world) clean(t *testing.T) {
	w.removeAll(t)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if err := w.rt.RemoveImage(ctx, w.image); err != nil && !errors.Is(err, dockpod.ErrImageInUse) {
		t.Errorf("clean up: %v", err)
	}
}

// removeAll removes whatever carries the world's owner.
func (w *world) removeAll(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	rt := dockpod.New(w.docker, dockpod.WithOwner(w.owner))
	containers, err := rt.ListContainers(ctx, dockpod.Filter{Fast: true})
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
	for _, c := range containers {
		if err := rt.RemoveContainer(ctx, c.ID); err != nil {
			t.Errorf("clean up: %v", err)
		}
	}
	sandboxes, err := rt.ListSandboxes(ctx, dockpod.SandboxFilter{})
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
	for _, s := range sandboxes {
		if err := rt.RemoveSandbox(ctx, s.ID); err != nil {
			t.Errorf("clean up: %v", err)
		}
	}
}

func random(t *testing.T) string {
	t.Helper()
	var b [6]byte
	if _, err := rand.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b[:])
}

// load puts the suite's image on the engine. The owner in its labels makes the
// image of each world one of its own, so that none removes another's.
func (w *world) load(t *testing.T) {
	t.Helper()
	loader, ok := w.docker.(dockpod.ImageLoader)
	if !ok {
		t.Fatalf("the suite needs an engine that implements dockpod.ImageLoader; %T does not", w.docker)
	}
	version, err := w.rt.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	arch := map[string]string{"x86_64": "amd64", "aarch64": "arm64"}[version.Arch]
	if arch == "" {
		arch = version.Arch
	}
	var program []byte
	if p, ok := w.docker.(programmer); ok {
		p.HandleFunc(prog.Path, onFake)
		program = []byte("runs as a function")
	} else {
		program = compile(t, arch)
	}
	w.loadImage(t, loader, imagetar.Image{
		Refs: []string{w.image}, Arch: arch,
		Files: []imagetar.File{
			{Name: strings.TrimPrefix(prog.Path, "/"), Mode: 0o755, Data: program},
			{Name: "plain", Mode: 0o644, Data: []byte("not executable\n")},
			{Name: "owner", Mode: 0o644, Data: []byte(w.owner)}, // a layer of its own: Podman looks at images of the same
			{Name: "etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0::/:/prog\nuser:x:1000:1000::/:/prog\n")},
			{Name: "etc/group", Mode: 0o644, Data: []byte("root:x:0:\nuser:x:1000:\n")},
		},
		Entrypoint: []string{prog.Path},
		Cmd:        []string{"sleep"},
		Env:        []string{"PATH=/", "FROM=image"},
		Labels:     map[string]string{"owner": w.owner},
	})
}

func (w *world) loadImage(t *testing.T, loader dockpod.ImageLoader, m imagetar.Image) {
	t.Helper()
	archive, err := m.Archive()
	if err != nil {
		t.Fatal(err)
	}
	resp, err := loader.ImageLoad(t.Context(), strings.NewReader(string(archive)))
	if err != nil {
		t.Fatalf("load the suite's image: %v", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("load the suite's image: %v", err)
	}
	if _, err := w.docker.ImageInspect(t.Context(), m.Refs[0]); err != nil {
		t.Fatalf("load the suite's image: %v; the engine said %s", err, said)
	}
}

var compiled = struct {
	sync.Mutex
	byArch map[string][]byte
}{byArch: map[string][]byte{}}

// compile builds the program once for each architecture.
func compile(t *testing.T, arch string) []byte {
	t.Helper()
	compiled.Lock()
	defer compiled.Unlock()
	if b := compiled.byArch[arch]; b != nil {
		return b
	}
	out := filepath.Join(t.TempDir(), "prog")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "github.com/dockpod/dockpod/conformance/internal/prog/cmd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the suite's program: %v\n%s", err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	compiled.byArch[arch] = b
	return b
}

// pod returns the configuration of a sandbox of this case.
func (w *world) pod(name string) dockpod.SandboxConfig {
	return dockpod.SandboxConfig{
		Name: name, Namespace: "test", UID: name + "-uid", LogDirectory: w.logs,
		Labels: map[string]string{"app": name}, Annotations: map[string]string{"note": "of " + name},
	}
}

// container returns the configuration of a container that runs a command of
// the suite's program.
func (w *world) container(name string, args ...string) dockpod.ContainerConfig {
	return dockpod.ContainerConfig{Name: name, Image: w.image, Args: args}
}

// sandbox runs a sandbox.
func (w *world) sandbox(t *testing.T, s dockpod.SandboxConfig) string {
	t.Helper()
	id, err := w.rt.RunSandbox(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// create creates a container in a sandbox.
func (w *world) create(t *testing.T, sandboxID string, c dockpod.ContainerConfig, s dockpod.SandboxConfig) string {
	t.Helper()
	id, err := w.rt.CreateContainer(t.Context(), sandboxID, c, s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// start creates and starts a container.
func (w *world) start(t *testing.T, sandboxID string, c dockpod.ContainerConfig, s dockpod.SandboxConfig) string {
	t.Helper()
	id := w.create(t, sandboxID, c, s)
	if err := w.rt.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return id
}

// finished waits until a container has exited and returns its status.
func (w *world) finished(t *testing.T, id string) dockpod.ContainerStatus {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	st, err := w.rt.Wait(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// status returns a container's status.
func (w *world) status(t *testing.T, id string) dockpod.ContainerStatus {
	t.Helper()
	st, err := w.rt.ContainerStatus(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return st
}
