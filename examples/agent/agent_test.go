package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/examples/internal/demo"
	"github.com/dockpod/dockpod/fake"
)

// generation writes the manifests of one generation of three pods: one with
// two containers that stay, one that does its work once, and one that keeps
// failing.
func generation(t *testing.T, dir string, n int, stay, job, failing bool) {
	t.Helper()
	const pod = `
apiVersion: v1
kind: Pod
metadata: {name: %s, annotations: {generation: "%d"}}
spec:
  restartPolicy: %s
  terminationGracePeriodSeconds: 1
  volumes: [{name: v, emptyDir: {}}]
  containers:
`
	const c = "  - {name: %s, image: dockpod-demo, imagePullPolicy: Never, args: [%s], volumeMounts: [{name: v, mountPath: /v}]}\n"
	write := func(wanted bool, name, policy string, containers ...string) {
		file := filepath.Join(dir, name+".yaml")
		if !wanted {
			if err := os.RemoveAll(file); err != nil {
				t.Fatal(err)
			}
			return
		}
		text := fmt.Sprintf(pod, name, n, policy)
		for i, args := range containers {
			text += fmt.Sprintf(c, string(rune('a'+i)), args)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(stay, "stay", "Always", `serve, "8080"`, "wait")
	write(job, "job", "Never", `exit, "0"`)
	write(failing, "failing", "OnFailure", `exit, "1"`)
}

// newAgent makes an agent for the folder dir/pods, with its other directories
// beside that.
func newAgent(e *demo.Engine, dir string) *agent {
	return &agent{
		rt:      dockpod.New(e.Docker, dockpod.WithOwner("agent-test")),
		pods:    func(ctx context.Context) ([]v1.Pod, error) { return wanted(ctx, e, filepath.Join(dir, "pods")) },
		logs:    filepath.Join(dir, "logs"),
		volumes: filepath.Join(dir, "volumes"),
		backoff: kubeletBackoff,
		every:   time.Second,
		log:     log.New(io.Discard, "", 0),
	}
}

func openFake(t *testing.T) *demo.Engine {
	t.Helper()
	e, err := demo.Open(t.Context(), "fake://")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// testDir makes a directory with an empty folder for manifests.
func testDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "pods"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// states describes all containers of an engine, "pod container state", sorted.
func states(t *testing.T, e *demo.Engine) []string {
	t.Helper()
	list, err := e.Docker.ContainerList(context.Background(), container.ListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for _, c := range list {
		all = append(all, fmt.Sprintf("%s %s %s", c.Labels[dockpod.LabelPodName], c.Labels[dockpod.LabelContainerName], c.State))
	}
	slices.Sort(all)
	return all
}

// The agent dies at each call that changes something on the engine while it
// goes from one generation of pods to the next: just before the call, or after
// it and before the answer. Its next life ends where one without a death would
// have.
func TestDiesAtEveryCall(t *testing.T) {
	errDead := errors.New("the agent is dead")
	changes := map[fake.Op]bool{
		fake.OpContainerCreate: true, fake.OpContainerStart: true, fake.OpContainerStop: true, fake.OpContainerRemove: true, fake.OpImageLoad: true,
	}
	want := []string{"job POD exited", "job a exited", "stay POD running", "stay a running", "stay b running"}
	for _, when := range []string{"before", "after"} {
		for n := int32(1); ; n++ {
			died := false
			t.Run(fmt.Sprintf("%s call %d", when, n), func(t *testing.T) {
				dir := testDir(t)
				synctest.Test(t, func(t *testing.T) {
					e := openFake(t)
					defer e.Close()
					generation(t, filepath.Join(dir, "pods"), 1, true, false, true)
					if err := newAgent(e, dir).run(t.Context(), true); err != nil {
						t.Fatalf("first generation: %v", err)
					}

					generation(t, filepath.Join(dir, "pods"), 2, true, true, false)
					var calls atomic.Int32
					var dead atomic.Bool
					die := func(_ context.Context, op fake.Op, _ string) error {
						if changes[op] && calls.Add(1) == n {
							dead.Store(true)
						}
						if dead.Load() {
							return errDead
						}
						return nil
					}
					afterlife := func(context.Context, fake.Op, string) error {
						if dead.Load() {
							return errDead
						}
						return nil
					}
					e.Fake.Before, e.Fake.After = die, afterlife
					if when == "after" {
						e.Fake.Before, e.Fake.After = afterlife, die
					}
					err := newAgent(e, dir).run(t.Context(), true)
					if died = dead.Load(); died != (err != nil) {
						t.Fatalf("dead: %t, error: %v", died, err)
					}
					e.Fake.Before, e.Fake.After = nil, nil

					// What a container does by itself takes a moment.
					for range 2 {
						if err := newAgent(e, dir).run(t.Context(), true); err != nil {
							t.Fatalf("the next life: %v", err)
						}
						synctest.Wait()
					}
					if diff := cmp.Diff(want, states(t, e)); diff != "" {
						t.Errorf("containers mismatch (-want +got):\n%s", diff)
					}
				})
			})
			if !died {
				if n <= 15 {
					t.Errorf("only %d calls that change something", n-1)
				}
				break
			}
		}
	}
}

// A container that keeps failing is restarted later each time. The clock is
// the test's own.
func TestBackoffOfAFailingContainer(t *testing.T) {
	dir := testDir(t)
	const manifest = head + "spec: {containers: [{name: worker, image: 'worker:1'}]}\n"
	if err := os.WriteFile(filepath.Join(dir, "pods", "p.yaml"), []byte(manifest), 0o644); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		e := openFake(t)
		defer e.Close()
		e.Fake.AddImage("worker:1")
		began := time.Now()
		var starts []time.Duration
		e.Fake.HandleFunc("/bin/main", func(*fake.Process) int {
			starts = append(starts, time.Since(began))
			time.Sleep(2500 * time.Millisecond)
			return 1
		})
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Second)
		defer stop()
		if err := newAgent(e, dir).run(ctx, false); err != nil {
			t.Fatal(err)
		}
		// The first end is seen at the next look, each second. From then on
		// the agent knows when to look: 10, 20 and 40 seconds after an end.
		want := []time.Duration{0, 3 * time.Second, 15500 * time.Millisecond, 38 * time.Second, 80500 * time.Millisecond}
		if diff := cmp.Diff(want, starts); diff != "" {
			t.Errorf("starts mismatch (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"p POD running", "p worker exited"}, states(t, e)); diff != "" {
			t.Errorf("containers mismatch (-want +got):\n%s", diff)
		}
	})
}

func TestManifestThatCannotBeRead(t *testing.T) {
	dir := testDir(t)
	e := openFake(t)
	defer e.Close()
	generation(t, filepath.Join(dir, "pods"), 1, true, false, false)
	a := newAgent(e, dir)
	if err := a.run(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	before := states(t, e)
	if err := os.WriteFile(filepath.Join(dir, "pods", "stay.yaml"), []byte("apiVersion: v1\nkind: Po"), 0o644); err != nil {
		t.Fatal(err)
	}
	var said []string
	acted, _, err := a.look(t.Context(), func(line string) { said = append(said, line) })
	if err != nil || acted {
		t.Errorf("acted: %t, error: %v; the last manifests should count", acted, err)
	}
	if len(said) != 1 || !strings.Contains(said[0], "stay.yaml") {
		t.Errorf("said %q, want a line about stay.yaml", said)
	}
	// One that knows no last manifests does nothing.
	if err := newAgent(e, dir).run(t.Context(), false); err == nil || !strings.Contains(err.Error(), "stay.yaml") {
		t.Errorf("error %v, want one about stay.yaml", err)
	}
	if diff := cmp.Diff(before, states(t, e)); diff != "" {
		t.Errorf("containers changed (-before +after):\n%s", diff)
	}
}

func TestPodThatLeaves(t *testing.T) {
	dir := testDir(t)
	e := openFake(t)
	defer e.Close()
	for _, name := range []string{"logs/somebody-else", "volumes/somebody-else"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	generation(t, filepath.Join(dir, "pods"), 1, true, false, false)
	if err := newAgent(e, dir).run(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if n := entries(t, dir, "logs", "volumes"); n != 4 {
		t.Errorf("%d directories beside a running pod, want its two and somebody else's two", n)
	}
	generation(t, filepath.Join(dir, "pods"), 2, false, false, false)
	if err := newAgent(e, dir).run(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{}, states(t, e)); diff != "" {
		t.Errorf("containers mismatch (-want +got):\n%s", diff)
	}
	if n := entries(t, dir, "logs", "volumes"); n != 2 {
		t.Errorf("%d directories are left, want somebody else's two", n)
	}
}

// A link to a log that went while there was no agent is there again after the
// next one's start.
func TestLinksAtTheStart(t *testing.T) {
	dir := testDir(t)
	docker := &fake.Docker{Root: t.TempDir()}
	defer docker.Close()
	e := &demo.Engine{Docker: docker, Fake: docker}
	generation(t, filepath.Join(dir, "pods"), 1, true, false, false)
	if err := newAgent(e, dir).run(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	links, err := filepath.Glob(filepath.Join(dir, "logs", "*", "*", "*.log"))
	if err != nil || len(links) != 2 {
		t.Fatalf("links %q, error %v; want those of two containers", links, err)
	}
	if err := os.Remove(links[0]); err != nil {
		t.Fatal(err)
	}
	if err := newAgent(e, dir).run(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(links[0]); err != nil {
		t.Error(err)
	}
}

// entries counts what stands in some directories.
func entries(t *testing.T, dir string, names ...string) (n int) {
	t.Helper()
	for _, name := range names {
		list, err := os.ReadDir(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		n += len(list)
	}
	return n
}
