package dockpod_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/internal/imagetar"
	"github.com/dockpod/dockpod/internal/logline"
)

// agentOwner is the environment variable that makes this test binary an agent.
const agentOwner = "DOCKPOD_TEST_LOG_AGENT"

// agentLogs are small files, so that kills meet rotations.
var agentLogs = dockpod.WithLogFiles(dockpod.LogFileOptions{MaxSize: 32 << 10, MaxFiles: 10000})

func init() {
	if owner := os.Getenv(agentOwner); owner != "" {
		fmt.Fprintln(os.Stderr, logAgent(owner))
		os.Exit(1)
	}
}

// logAgent starts what there is, writes its logs, and ends by being killed.
func logAgent(owner string) error {
	ctx := context.Background()
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	rt := dockpod.New(docker, dockpod.WithOwner(owner), agentLogs)
	report, err := rt.ReconcileLogLinks(ctx)
	if err != nil || len(report.Problems) > 0 {
		return fmt.Errorf("reconcile: %v, %v", report.Problems, err)
	}
	created, err := rt.ListContainers(ctx, dockpod.Filter{State: dockpod.StateCreated})
	if err != nil {
		return err
	}
	for _, c := range created {
		if err := rt.StartContainer(ctx, c.ID); err != nil {
			return err
		}
	}
	select {}
}

// engineForLogs returns the engine of the environment, or skips the test.
func engineForLogs(t *testing.T) *client.Client {
	t.Helper()
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docker.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := dockpod.New(docker).Ready(ctx); err != nil {
		if os.Getenv("DOCKPOD_REQUIRE_ENGINE") == "1" {
			t.Fatalf("no engine: %v", err)
		}
		t.Skipf("no engine to kill an agent of: %v", err)
	}
	return docker
}

// An agent that writes log files is killed at 20 random moments; the files
// hold each line once, and in order.
func TestLogFilesSurviveSIGKILL(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a quarter of a minute")
	}
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGKILL on windows")
	}
	docker := engineForLogs(t)
	const kills = 20
	seed := mathrand.Uint64()
	random := mathrand.New(mathrand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)

	suffix := make([]byte, 4)
	rand.Read(suffix)
	owner := "logs-test-" + hex.EncodeToString(suffix)
	rt := dockpod.New(docker, dockpod.WithOwner(owner), agentLogs)
	t.Cleanup(func() {
		ctx := context.Background()
		list, err := rt.ListContainers(ctx, dockpod.Filter{Fast: true})
		if err != nil {
			t.Errorf("clean up: %v", err)
		}
		for _, c := range list {
			if err := rt.RemoveContainer(ctx, c.ID); err != nil {
				t.Errorf("clean up: %v", err)
			}
		}
		if err := rt.RemoveImage(ctx, "dockpod.io/logs:"+owner); err != nil {
			t.Errorf("clean up: %v", err)
		}
		rt.Close()
	})
	loadProgram(t, docker, "dockpod.io/logs:"+owner)

	dir := t.TempDir()
	pod := dockpod.SandboxConfig{Name: "logs", Namespace: "test", UID: "uid", LogDirectory: dir}
	create := func(name string, tty bool, args ...string) (id string) {
		t.Helper()
		id, err := rt.CreateContainer(t.Context(), "", dockpod.ContainerConfig{
			Name: name, Image: "dockpod.io/logs:" + owner, Args: args, LogPath: name + "/0.log", TTY: tty,
		}, pod)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	for _, n := range []string{"0", "1"} {
		create("steady-"+n, n == "1", "tick", "500")
	}

	for round := range kills {
		if round%5 == 0 {
			// It ends in one of the next lives, or between two.
			create(fmt.Sprintf("burst-%d", round), false, "lines", "20000")
		}
		agent := exec.Command(os.Args[0])
		agent.Env = append(os.Environ(), agentOwner+"="+owner)
		var said strings.Builder
		agent.Stderr = &said
		if err := agent.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20*time.Millisecond + time.Duration(random.Int64N(int64(600*time.Millisecond))))
		if err := agent.Process.Kill(); err != nil {
			t.Fatalf("round %d: the agent ended by itself: %v\n%s", round, err, &said)
		}
		if err := agent.Wait(); !strings.Contains(fmt.Sprint(err), "killed") {
			t.Fatalf("round %d: %v\n%s", round, err, &said)
		}
	}

	if _, err := rt.ReconcileLogLinks(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := rt.ListContainers(t.Context(), dockpod.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	total, files := 0, 0
	for _, c := range list {
		if c.State == dockpod.StateCreated { // no life was long enough
			if err := rt.StartContainer(t.Context(), c.ID); err != nil {
				t.Fatal(err)
			}
		}
		if strings.HasPrefix(c.Name.Container, "steady") {
			if err := rt.StopContainer(t.Context(), c.ID, 10*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		st, err := rt.Wait(t.Context(), c.ID)
		if err != nil || len(st.Problems) > 0 {
			t.Fatalf("%v, problems %v", err, st.Problems)
		}
		stdout, stderr, n := readLogFiles(t, st.LogPath)
		var want, wantErr []string
		if strings.HasPrefix(c.Name.Container, "steady") {
			for i := range stdout {
				end := ""
				if st.TTY {
					end = "\r"
				}
				want = append(want, fmt.Sprintf("line %d%s", i+1, end))
			}
			if whole := engineLines(t, docker, c.ID); whole != len(stdout) {
				t.Errorf("%s: the files have %d lines, the engine %d", c.Name.Container, len(stdout), whole)
			}
		} else {
			for i := 1; i <= 20000; i++ {
				if line := fmt.Sprint("line ", i); i%10 == 0 {
					wantErr = append(wantErr, line)
				} else {
					want = append(want, line)
				}
			}
		}
		if diff := firstDiff(want, stdout); diff != "" {
			t.Errorf("%s: stdout %s", c.Name.Container, diff)
		}
		if diff := firstDiff(wantErr, stderr); diff != "" {
			t.Errorf("%s: stderr %s", c.Name.Container, diff)
		}
		total += len(stdout) + len(stderr)
		files += n
	}
	t.Logf("%d lines in %d files of %d containers", total, files, len(list))
	for _, c := range list {
		if err := rt.RemoveContainer(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
		left, err := os.ReadDir(filepath.Join(dir, c.Name.Container))
		if err != nil || len(left) > 0 {
			t.Errorf("%s: %d files are left: %v", c.Name.Container, len(left), err)
		}
	}
}

// firstDiff compares long lists in few words.
func firstDiff(want, got []string) string {
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			return fmt.Sprintf("differs from line %d on:\n%s", i, cmp.Diff(want[i:min(i+3, len(want))], got[i:min(i+3, len(got))]))
		}
	}
	if len(want) != len(got) {
		return fmt.Sprintf("has %d lines, want %d", len(got), len(want))
	}
	return ""
}

// readLogFiles reads a log with its rotated files, by stream.
func readLogFiles(t *testing.T, path string) (stdout, stderr []string, files int) {
	t.Helper()
	all, err := filepath.Glob(path + ".*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	for _, name := range append(all, path) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files++
		for raw := range strings.Lines(string(text)) {
			var l logline.Record
			if err := logline.ParseRecord([]byte(raw), &l); err != nil || l.Partial {
				t.Fatalf("%s: line %q: %v", name, raw, err)
			}
			if l.Stream == logline.Stderr {
				stderr = append(stderr, string(l.Text))
			} else {
				stdout = append(stdout, string(l.Text))
			}
		}
	}
	return stdout, stderr, files
}

// engineLines counts the lines that the engine has.
func engineLines(t *testing.T, docker *client.Client, id string) int {
	t.Helper()
	info, err := docker.ContainerInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(info.LogPath)
	if err != nil {
		t.Logf("the engine's own file cannot be read here: %v", err)
		stdout, _, _ := readLogFiles(t, info.Config.Labels[dockpod.LabelLogPath])
		return len(stdout)
	}
	return strings.Count(string(text), "\n")
}

// loadProgram puts an image with the conformance suite's program on an engine.
func loadProgram(t *testing.T, docker *client.Client, ref string) {
	t.Helper()
	v, err := dockpod.New(docker).Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "prog")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "github.com/dockpod/dockpod/conformance/internal/prog/cmd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+v.Arch, "GOFLAGS=")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, text)
	}
	program, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := imagetar.Image{
		Refs: []string{ref}, Arch: v.Arch, Entrypoint: []string{"/prog"}, Env: []string{"PATH=/"},
		Files: []imagetar.File{
			{Name: "prog", Mode: 0o755, Data: program},
			{Name: "owner", Mode: 0o644, Data: []byte(ref)},
		},
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
