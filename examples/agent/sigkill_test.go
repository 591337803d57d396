package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/examples/internal/demo"
)

// realEngine returns the engine of this machine, or skips the test.
func realEngine(t *testing.T) *demo.Engine {
	t.Helper()
	e, err := demo.Open(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	if e.Fake == nil {
		return e
	}
	if os.Getenv("DOCKPOD_REQUIRE_ENGINE") == "1" {
		t.Fatalf("DOCKPOD_REQUIRE_ENGINE=1, and the engine is %s", e.Name)
	}
	t.Skipf("needs a real engine, and the engine is %s", e.Name)
	return nil
}

// The agent is killed at 50 random moments, while manifests change and
// containers die, and in the end there is what is wanted and nothing else.
func TestSurvivesSIGKILL(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGKILL on windows")
	}
	e := realEngine(t)
	const rounds, calm = 50, 10
	seed := mathrand.Uint64()
	random := mathrand.New(mathrand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)

	suffix := make([]byte, 4)
	rand.Read(suffix)
	owner := "agent-test-" + hex.EncodeToString(suffix)
	all := func(ctx context.Context) []container.Summary {
		t.Helper()
		list, err := e.Docker.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", dockpod.LabelOwner+"="+owner))})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	t.Cleanup(func() {
		ctx := context.Background()
		for _, c := range all(ctx) {
			if err := e.Docker.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true}); err != nil {
				t.Logf("clean-up: %v", err)
			}
		}
	})
	if _, err := e.Image(t.Context()); err != nil { // so that no kill meets the compiler
		t.Fatal(err)
	}

	dir := t.TempDir()
	bin := filepath.Join(dir, "agent")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	manifests, logs, volumes := filepath.Join(dir, "pods"), filepath.Join(dir, "logs"), filepath.Join(dir, "volumes")
	if err := os.Mkdir(manifests, 0o755); err != nil {
		t.Fatal(err)
	}
	agent := func(ctx context.Context, args ...string) (*exec.Cmd, *bytes.Buffer) {
		cmd := exec.CommandContext(ctx, bin, append([]string{
			"-manifests", manifests, "-owner", owner, "-logs", logs, "-volumes", volumes, "-interval", "50ms", "-backoff", "10ms",
		}, args...)...)
		out := new(bytes.Buffer)
		cmd.Stdout, cmd.Stderr = out, out
		return cmd, out
	}

	steps := 0
	for round := range rounds {
		switch {
		case round < rounds-calm:
			generation(t, manifests, round/3, random.IntN(4) > 0, random.IntN(2) > 0, random.IntN(2) > 0)
			if list := all(t.Context()); len(list) > 0 && random.IntN(3) == 0 {
				victim := list[random.IntN(len(list))].ID
				// The engine may be removing it already.
				_ = e.Docker.ContainerRemove(t.Context(), victim, container.RemoveOptions{Force: true})
			}
		case round == rounds-calm:
			// From here on the wish stands still, but not the kills.
			generation(t, manifests, rounds, true, true, false)
		}
		cmd, out := agent(t.Context())
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(5*time.Millisecond + time.Duration(random.Int64N(int64(395*time.Millisecond))))
		if err := cmd.Process.Kill(); err != nil {
			t.Fatalf("round %d: the agent ended by itself: %v\n%s", round, err, out)
		}
		if err := cmd.Wait(); !strings.Contains(fmt.Sprint(err), "killed") {
			t.Fatalf("round %d: %v\n%s", round, err, out)
		}
		steps += strings.Count(out.String(), "default/")
	}
	t.Logf("%d steps begun in %d lives", steps, rounds)

	// The job may have to be made again; then what follows its end is left to
	// one more life.
	for range 2 {
		cmd, out := agent(t.Context(), "-once")
		if err := cmd.Run(); err != nil {
			t.Fatalf("the last life: %v\n%s", err, out)
		}
		t.Logf("the last life:\n%s", out)
		for _, c := range all(t.Context()) {
			if c.Labels[dockpod.LabelPodName] != "job" || c.Labels[dockpod.LabelContainerName] != "a" {
				continue
			}
			done, failed := e.Docker.(dockpod.ContainerWaiter).ContainerWait(t.Context(), c.ID, container.WaitConditionNotRunning)
			select {
			case <-done:
			case err := <-failed:
				t.Fatal(err)
			}
		}
	}

	pods, err := wanted(t.Context(), e, manifests)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, p := range pods {
		state := map[string]string{"stay": "running", "job": "exited"}[p.Name]
		want = append(want, fmt.Sprintf("%s %s %s %s", p.Name, p.UID, dockpod.SandboxContainerName, state))
		for _, c := range p.Spec.Containers {
			want = append(want, fmt.Sprintf("%s %s %s %s", p.Name, p.UID, c.Name, state))
		}
	}
	naming := dockpod.Naming{Prefix: owner}
	for _, c := range all(t.Context()) {
		// Not the attempt: a sandbox that was half made is made anew.
		n, err := naming.Parse(strings.TrimPrefix(c.Names[0], "/"))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s", n.Pod, n.UID, n.Container, c.State))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("containers mismatch (-want +got):\n%s", diff)
	}

	cmd, out := agent(t.Context(), "-down")
	if err := cmd.Run(); err != nil {
		t.Fatalf("the end: %v\n%s", err, out)
	}
	if left := all(t.Context()); len(left) > 0 {
		t.Errorf("%d containers are left after -down", len(left))
	}
	for _, d := range []string{logs, volumes} {
		if left, err := os.ReadDir(filepath.Join(d, owner)); err != nil || len(left) > 0 {
			t.Errorf("in %s there is left: %v, error %v", d, left, err)
		}
	}
}
