package examples_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/examples/internal/demo"
)

var update = flag.Bool("update", false, "write testdata/*.golden anew")

// bin is where the examples are compiled to, as "go run" does it.
var bin string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		var err error
		if bin, err = os.MkdirTemp("", "dockpod-examples-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(bin)
		cmd := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "./list", "./quickstart", "./harness", "./agent", "./top", "./watch", "./exec", "./logs")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// example is a command that runs an example in the repository's root.
func example(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, name), args...)
	cmd.Dir = ".."
	return cmd
}

// run runs an example and returns what it prints, without what differs from
// run to run.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := example(t, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return normal(string(out))
}

var (
	imageTag = regexp.MustCompile(demo.Repository + `:[0-9a-f]{12}`)
	ending   = regexp.MustCompile(`(?m)[ \t]+$`) // of an empty last column
)

func normal(out string) string {
	out = imageTag.ReplaceAllString(out, demo.Repository+":TAG")
	return ending.ReplaceAllString(out, "")
}

// golden compares with testdata/name.golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), got); diff != "" {
		t.Errorf("output mismatch (-%s +got):\n%s", file, diff)
	}
}

func TestOnTheFake(t *testing.T) {
	for _, test := range []struct {
		example string
		args    []string
	}{
		{"list", nil},
		{"quickstart", nil},
		{"harness", nil},
		{"agent", []string{"-once"}},
		{"top", []string{"-once", "-interval", "500ms", "-containers"}},
		{"exec", nil},
	} {
		t.Run(test.example, func(t *testing.T) {
			golden(t, test.example, run(t, test.example, append(test.args, "-engine", "fake://")...))
		})
	}
}

// What these tell of their demos is the same each time; of two containers that
// do something together either may be the first.
func TestInAnyOrderOnTheFake(t *testing.T) {
	for _, name := range []string{"watch", "logs"} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, sorted(visitor.ReplaceAllString(run(t, name, "-engine", "fake://"), "visitor N")))
		})
	}
}

// visitor is which of a server's clients came when.
var visitor = regexp.MustCompile(`visitor [0-9]+`)

func sorted(text string) string {
	lines := strings.SplitAfter(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// Without an engine and without -engine, an example takes the fake and says so.
func TestNoEngine(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "none.sock"))
	first, rest, _ := strings.Cut(run(t, "quickstart"), "\n")
	if !strings.HasPrefix(first, "Engine: the fake, in memory; no Docker here (") {
		t.Errorf("it says %q", first)
	}
	golden(t, "quickstart", "Engine: the fake, in memory\n"+rest)
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name    string
		example string
		args    []string
		want    int
	}{
		{"the engine that was asked for does not answer", "quickstart", []string{"-engine", "unix://" + filepath.Join(t.TempDir(), "none.sock")}, 1},
		{"no engine's endpoint", "quickstart", []string{"-engine", "docker"}, 1},
		{"an argument", "quickstart", []string{"now"}, 2},
		{"an interval that costs more than it tells", "top", []string{"-engine", "fake://", "-interval", "1ms"}, 2},
		{"no engine to look at", "top", []string{"-engine", "unix://" + filepath.Join(t.TempDir(), "none.sock")}, 1},
		{"no such folder", "agent", []string{"-engine", "fake://", "-manifests", filepath.Join(t.TempDir(), "none")}, 1},
		{"an agent that would take a kubelet's pods for its own", "agent", []string{"-engine", "fake://", "-owner", ""}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stderr strings.Builder
			cmd := example(t, test.example, test.args...)
			cmd.Stderr = &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != test.want || stderr.Len() == 0 {
				t.Errorf("%v, want exit code %d; it says:\n%s", err, test.want, stderr.String())
			}
		})
	}
}

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

// noneLeft fails if the engine has a container of an owner, and removes it.
func noneLeft(t *testing.T, e *demo.Engine, owner string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	list, err := e.Docker.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", dockpod.LabelOwner+"="+owner))})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		t.Errorf("%q is left", c.Names)
		if err := e.Docker.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	}
}

// On a real engine the examples print what they print on the fake.
func TestOnTheEngine(t *testing.T) {
	e := realEngine(t)
	defer noneLeft(t, e, "dockpod-quickstart")
	defer noneLeft(t, e, "dockpod-harness")
	defer noneLeft(t, e, "dockpod-exec")
	defer noneLeft(t, e, "dockpod-logs")
	first, rest, _ := strings.Cut(run(t, "quickstart"), "\n")
	if first != "Engine: "+e.Name {
		t.Errorf("it says %q, want engine %q", first, e.Name)
	}
	golden(t, "quickstart", "Engine: the fake, in memory\n"+rest)
	_, rest, _ = strings.Cut(run(t, "exec"), "\n")
	golden(t, "exec", "Engine: the fake, in memory\n"+rest)
	_, rest, _ = strings.Cut(run(t, "logs"), "\n")
	golden(t, "logs", sorted("Engine: the fake, in memory\n"+visitor.ReplaceAllString(rest, "visitor N")))
	out := run(t, "harness")
	for _, want := range []string{"a job that succeeds   Completed, exit code 0\n", "a job that fails      Error, exit code 3\n", "0 containers are left"} {
		if !strings.Contains(out, want) {
			t.Errorf("harness does not print %q:\n%s", want, out)
		}
	}
}

func TestAgentOnTheEngine(t *testing.T) {
	e := realEngine(t)
	const owner = "dockpod-agent-examples"
	defer noneLeft(t, e, owner)
	_, rest, _ := strings.Cut(run(t, "agent", "-once", "-owner", owner), "\n")
	golden(t, "agent", "Engine: the fake, in memory\n"+rest)
	if list := run(t, "list", "-owner", owner); !strings.HasPrefix(list, "3 containers\n") {
		t.Errorf("list prints\n%s", list)
	}
	if out := run(t, "agent", "-down", "-owner", owner); !strings.HasSuffix(out, "There are no pods.\n") {
		t.Errorf("agent -down prints\n%s", out)
	}
}

// Ctrl-C in the middle leaves nothing; after kill -9 the next run clears away
// what the last one left.
func TestInterrupted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("os.Interrupt cannot be sent on windows")
	}
	e := realEngine(t)
	defer noneLeft(t, e, "dockpod-quickstart")
	for _, signal := range []os.Signal{os.Interrupt, os.Kill} {
		cmd := example(t, "quickstart")
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(stdout)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("it ended before it could be interrupted: %v", err)
			}
			if strings.Contains(line, "server      0         running") {
				break
			}
		}
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
		err = cmd.Wait()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || signal == os.Interrupt && exit.ExitCode() != 130 {
			t.Errorf("after %v it ended with %v, want exit code 130 after an interrupt", signal, err)
		}
		if signal == os.Interrupt {
			noneLeft(t, e, "dockpod-quickstart")
		}
	}
	_, rest, _ := strings.Cut(run(t, "quickstart"), "\n")
	golden(t, "quickstart", "Engine: the fake, in memory\n"+rest)
}
