//go:build linux

package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/internal/imagetar"
)

// scale is how much of the churn is played; DOCKPOD_LONG=1 is the long form.
func scale() (containers, restarts int, lasts time.Duration) {
	if os.Getenv("DOCKPOD_LONG") == "1" {
		return 200, 3, 2 * time.Minute
	}
	return 40, 2, 40 * time.Second
}

// account is what a Watch has told, applied to nothing.
type account struct {
	mu       sync.Mutex
	state    map[string]string
	last     map[string]dockpod.EventKind
	events   int
	noticed  int
	errors   []error
	doubled  []string
	failed   map[string]int // how often a start of a container failed
	unknown  int            // exits without a code
	synced   int
	finished chan struct{}
}

func follow(ctx context.Context, rt *dockpod.Runtime) *account {
	a := &account{state: map[string]string{}, last: map[string]dockpod.EventKind{}, failed: map[string]int{}, finished: make(chan struct{})}
	go func() {
		defer close(a.finished)
		for e, err := range rt.Watch(ctx, time.Time{}) {
			a.take(e, err)
		}
	}()
	return a
}

func (a *account) take(e dockpod.Event, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.errors = append(a.errors, err)
		return
	}
	a.events++
	if e.Noticed {
		a.noticed++
	}
	was, now := a.state[e.ID], ""
	switch e.Kind {
	case dockpod.EventSynced:
		a.synced++
		return
	case dockpod.EventCreated:
		now = "created"
	case dockpod.EventStarted:
		now = "running"
	case dockpod.EventExited, dockpod.EventFailed:
		now = fmt.Sprint("exited ", e.ExitCode)
		if e.ExitCode == -1 {
			a.unknown++
		}
		// An engine that was killed may come back with another account of an
		// exit that it told, which is noticed.
		amended := e.Noticed && strings.HasPrefix(was, "exited") && was != now
		if e.Kind == dockpod.EventExited && was != "running" && !amended {
			a.doubled = append(a.doubled, fmt.Sprintf("%s after %q", e.Kind, was))
		}
	case dockpod.EventRemoved:
		delete(a.state, e.ID)
		return
	default:
		return
	}
	// Starts in place may fail, and leave the code of what was before.
	if e.Kind == dockpod.EventFailed {
		a.failed[e.ID]++
	} else if was == now && a.last[e.ID] == e.Kind {
		a.doubled = append(a.doubled, fmt.Sprintf("%s after %q", e.Kind, was))
	}
	a.state[e.ID], a.last[e.ID] = now, e.Kind
}

func (a *account) now() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[string]string{}
	for id, s := range a.state {
		out[id] = s
	}
	return out
}

// engineNow is what the engine itself says.
func engineNow(ctx context.Context, rt *dockpod.Runtime) (map[string]string, error) {
	list, err := rt.ListContainers(ctx, dockpod.Filter{})
	out := map[string]string{}
	for _, c := range list {
		st, err := rt.ContainerStatus(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		out[c.ID] = string(st.State)
		if st.State == dockpod.StateExited {
			out[c.ID] += fmt.Sprint(" ", st.ExitCode)
		}
	}
	return out, err
}

// TestWatchThroughRestarts lets containers start and end at random while their
// engine is killed and restarted: what Watch has told, and what a Mirror
// shows, is then what the engine says.
func TestWatchThroughRestarts(t *testing.T) {
	n, restarts, lasts := scale()
	engine, docker := privateEngine(t)
	loadProgram(t, docker)
	rt := dockpod.New(docker, dockpod.WithOwner("churn"), dockpod.WithRestart(), dockpod.WithNetwork("none"))
	ids := make([]string, n)
	for i := range ids {
		var err error
		ids[i], err = rt.CreateContainer(t.Context(), "", dockpod.ContainerConfig{Name: fmt.Sprint("app", i), Image: "dockpod.io/e2e:prog", Args: []string{"sleep"}, LogConfig: dockpod.LogConfig{Driver: "none"}},
			dockpod.SandboxConfig{Name: "churn", Namespace: "e2e", UID: "u"})
		if err != nil {
			t.Fatal(err)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	told := follow(ctx, rt)
	defer func() { cancel(); <-told.finished }()
	mirror, err := rt.Mirror(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer mirror.Close()

	churn, stop := context.WithTimeout(ctx, lasts)
	defer stop()
	var workers sync.WaitGroup
	var acts, failures int
	failed := map[string]int{} // starts, of a container
	var mu sync.Mutex
	for w := range 4 {
		rnd := rand.New(rand.NewPCG(uint64(w), 7))
		workers.Go(func() {
			for churn.Err() == nil {
				id := ids[rnd.IntN(n/4)*4+w]
				var err error
				start := rnd.IntN(3) < 2
				if start {
					err = docker.ContainerStart(churn, id, container.StartOptions{})
				} else {
					err = docker.ContainerKill(churn, id, []string{"SIGKILL", "SIGTERM"}[rnd.IntN(2)])
				}
				mu.Lock()
				if acts++; err != nil {
					failures++
					if start {
						failed[id]++
					}
				}
				mu.Unlock()
				time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond)
			}
		})
	}
	for i := range restarts {
		select {
		case <-time.After(lasts / time.Duration(restarts+1)):
		case <-churn.Done():
		}
		signal := []os.Signal{syscall.SIGKILL, syscall.SIGTERM}[i%2]
		if err := engine.Stop(signal); err != nil {
			t.Fatal(err)
		}
		again, cancel := context.WithTimeout(ctx, 3*time.Minute)
		err := engine.Start(again)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
	<-churn.Done()
	workers.Wait()

	deadline := time.Now().Add(3 * time.Minute)
	for {
		want, err := engineNow(ctx, rt)
		if err != nil {
			t.Fatal(err)
		}
		diff := cmp.Diff(want, told.now())
		if diff == "" && len(want) == n {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the account is not the engine, of %d (-engine +account):\n%s", len(want), diff)
		}
		time.Sleep(500 * time.Millisecond)
	}
	for _, id := range ids {
		want, err := rt.ContainerStatus(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if want.StartError != "" {
			// A start that fails once more has no event and shows in no list.
			if err := mirror.Sync(ctx, id); err != nil {
				t.Error(err)
			}
		}
		// It listens by itself, and may learn later than the account.
		for {
			diff := cmp.Diff(&want, mirror.Status(id), cmpopts.EquateComparable(dockpod.Name{}))
			if diff == "" {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("the mirror is not the engine (-engine +mirror):\n%s", diff)
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	told.mu.Lock()
	defer told.mu.Unlock()
	if len(told.doubled) > 0 {
		t.Errorf("told what cannot be: %q", told.doubled)
	}
	for id, times := range told.failed {
		if times > failed[id] {
			t.Errorf("%.12s: told %d failed starts of %d", id, times, failed[id])
		}
	}
	t.Logf("%d containers, %d restarts, %v: %d calls (%d failed), %d events (%d noticed, %d exits without a code), %d errors told, %d times synced",
		n, restarts, lasts, acts, failures, told.events, told.noticed, told.unknown, len(told.errors), told.synced)
}

// loadProgram loads the conformance suite's program as an image.
func loadProgram(t *testing.T, docker *client.Client) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "prog")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", out, "github.com/dockpod/dockpod/conformance/internal/prog/cmd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, text)
	}
	program, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	version, err := dockpod.New(docker).Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	archive, err := imagetar.Image{
		Refs: []string{"dockpod.io/e2e:prog"}, Arch: version.Arch,
		Files: []imagetar.File{{Name: "prog", Mode: 0o755, Data: program}}, Entrypoint: []string{"/prog"},
	}.Archive()
	if err != nil {
		t.Fatal(err)
	}
	resp, err := docker.ImageLoad(t.Context(), strings.NewReader(string(archive)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
}

// cutter is a proxy to the machine's engine whose connections can be cut, also
// in the middle of a message.
type cutter struct {
	l  net.Listener
	to string
	wg sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newCutter(t *testing.T, to string) *cutter {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "c"))
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{l: l, to: to, conns: map[net.Conn]bool{}}
	c.wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", to)
			if err != nil {
				in.Close()
				continue
			}
			c.mu.Lock()
			c.conns[in], c.conns[out] = true, true
			c.mu.Unlock()
			pump := func(a, b net.Conn) {
				_, _ = io.Copy(a, b)
				a.Close()
				b.Close()
			}
			c.wg.Go(func() { pump(in, out) })
			c.wg.Go(func() { pump(out, in) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		c.cut()
		c.wg.Wait()
	})
	return c
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		conn.Close()
	}
	clear(c.conns)
}

// begun waits until a sandbox's process is the pause program. A start is
// answered while it may be the OCI runtime's own, which has its own way with
// signals: runc ends with status 2.
func begun(t *testing.T, rt *dockpod.Runtime, sandbox string) {
	t.Helper()
	st, err := rt.SandboxStatus(t.Context(), sandbox)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", st.PID))
		if err != nil || string(name) == "pause\n" { // or it is not this machine's
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the process of a sandbox is %q", name)
		}
	}
}

// TestWatchThroughCuts cuts the connections of a Watch again and again, on the
// machine's own engine.
func TestWatchThroughCuts(t *testing.T) {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	defer docker.Close()
	socket, ok := strings.CutPrefix(docker.DaemonHost(), "unix://")
	if err := dockpod.New(docker).Ready(t.Context()); err != nil || !ok {
		if os.Getenv("DOCKPOD_REQUIRE_ENGINE") == "1" {
			t.Fatalf("no engine at a socket: %v", err)
		}
		t.Skipf("no engine at a socket: %v", err)
	}
	owner := fmt.Sprint("cuts-", os.Getpid())
	rt := dockpod.New(docker, dockpod.WithOwner(owner), dockpod.WithNetwork("none"))
	proxy := newCutter(t, socket)
	through, err := client.NewClientWithOpts(client.WithHost("unix://"+proxy.l.Addr().String()), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	defer through.Close()
	ctx, cancel := context.WithCancel(t.Context())
	told := follow(ctx, dockpod.New(through, dockpod.WithOwner(owner)))
	defer func() { cancel(); <-told.finished }()

	want := map[string]string{}
	for i := range 6 {
		id, err := rt.RunSandbox(t.Context(), dockpod.SandboxConfig{Name: fmt.Sprint("pod", i), Namespace: "e2e", UID: fmt.Sprint("u", i)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := rt.RemoveSandbox(context.WithoutCancel(t.Context()), id); err != nil {
				t.Error(err)
			}
		})
		want[id] = "running"
		begun(t, rt, id)
		proxy.cut()
		if i%2 == 0 {
			if err := rt.StopSandbox(t.Context(), id, 0); err != nil {
				t.Fatal(err)
			}
			want[id] = "exited 0"
		}
		if i == 5 {
			if err := rt.RemoveSandbox(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			delete(want, id)
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		diff := cmp.Diff(want, told.now())
		if diff == "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the account is not what happened (-happened +account):\n%s", diff)
		}
	}
	told.mu.Lock()
	defer told.mu.Unlock()
	if len(told.doubled) > 0 {
		t.Errorf("told what cannot be: %q", told.doubled)
	}
}
