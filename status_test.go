package dockpod

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// coreStub is an engine that answers what a test sets; any other call panics.
type coreStub struct {
	DockerInterface
	containerList    func(container.ListOptions) ([]container.Summary, error)
	containerInspect func(ctx context.Context, id string) (container.InspectResponse, error)
	containerCreate  func(name string) (container.CreateResponse, error)
	containerRemove  func(id string, options container.RemoveOptions) error
	imageInspect     func(ctx context.Context, id string) (image.InspectResponse, error)
	info             func() (system.Info, error)
}

func (s *coreStub) ContainerList(_ context.Context, o container.ListOptions) ([]container.Summary, error) {
	return s.containerList(o)
}

func (s *coreStub) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	return s.containerInspect(ctx, id)
}

func (s *coreStub) ContainerCreate(_ context.Context, _ *container.Config, _ *container.HostConfig, _ *network.NetworkingConfig, _ *ocispec.Platform, name string) (container.CreateResponse, error) {
	return s.containerCreate(name)
}

func (s *coreStub) ContainerRemove(_ context.Context, id string, o container.RemoveOptions) error {
	return s.containerRemove(id, o)
}

func (s *coreStub) ImageInspect(ctx context.Context, id string, _ ...client.ImageInspectOption) (image.InspectResponse, error) {
	return s.imageInspect(ctx, id)
}

func (s *coreStub) Info(context.Context) (system.Info, error) { return s.info() }

func (s *coreStub) ServerVersion(context.Context) (types.Version, error) { return types.Version{}, nil }

func (s *coreStub) ClientVersion() string { return "1.51" }

// Four moments in order, as an engine writes them and as they are.
const (
	createdText  = "2026-01-02T03:04:05.000000001Z"
	startedText  = "2026-01-02T03:04:06.5Z"
	finishedText = "2026-01-02T03:05:00Z"
	neverText    = "0001-01-01T00:00:00Z"
)

var (
	createdAt  = time.Date(2026, 1, 2, 3, 4, 5, 1, time.UTC)
	startedAt  = time.Date(2026, 1, 2, 3, 4, 6, 5e8, time.UTC)
	finishedAt = time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC)
	againAt    = time.Date(2026, 1, 2, 4, 0, 0, 0, time.UTC)
)

// accessViolation is an exit code of Windows, whose engine counts in 32 bits
// without a sign. Where an int has 32 bits it is negative.
var accessViolation = func(code uint32) int { return int(code) }(0xC0000005)

func TestStateOf(t *testing.T) {
	const noUser = "unable to find user nosuch: no matching entries in passwd file"
	for _, tt := range []struct {
		name string
		in   engineState
		want outcome
	}{
		// What each word of an engine means.
		{"created", engineState{word: "created", created: createdAt}, outcome{state: StateCreated}},
		{"running", engineState{word: "running", running: true, created: createdAt, started: startedAt}, outcome{state: StateRunning, started: startedAt}},
		{"paused", engineState{word: "paused", running: true, paused: true, created: createdAt, started: startedAt}, outcome{state: StateRunning, started: startedAt}},
		{"restarting", engineState{word: "restarting", running: true, restarting: true, exitCode: 1, started: startedAt, finish: finishedAt}, outcome{state: StateRunning, started: startedAt}},
		{"stopping, Podman's", engineState{word: "stopping", started: startedAt}, outcome{state: StateRunning, started: startedAt}},
		{"exited", engineState{word: "exited", created: createdAt, started: startedAt, finish: finishedAt},
			outcome{state: StateExited, started: startedAt, finished: finishedAt, reason: ReasonCompleted}},
		{"dead", engineState{word: "dead", dead: true, exitCode: 137, started: startedAt, finish: finishedAt},
			outcome{state: StateExited, started: startedAt, finished: finishedAt, exitCode: 137, reason: ReasonError}},
		{"removing", engineState{word: "removing", exitCode: 3, err: "e", started: startedAt, finish: finishedAt},
			outcome{state: StateUnknown, started: startedAt, finished: finishedAt, exitCode: 3, message: "e"}},
		{"a word from the future", engineState{word: "levitating", started: startedAt}, outcome{state: StateUnknown, started: startedAt}},

		// Starts that failed: the engine goes on to call the container created.
		{"no executable", engineState{word: "created", created: createdAt, exitCode: 127, err: "no such file"},
			outcome{state: StateExited, started: createdAt, finished: createdAt, exitCode: 127, reason: ReasonContainerCannotRun, message: "no such file"}},
		{"not executable", engineState{word: "created", created: createdAt, exitCode: 126, err: "permission denied"},
			outcome{state: StateExited, started: createdAt, finished: createdAt, exitCode: 126, reason: ReasonContainerCannotRun, message: "permission denied"}},
		{"no user", engineState{word: "created", created: createdAt, exitCode: 128, err: noUser},
			outcome{state: StateExited, started: createdAt, finished: createdAt, exitCode: 128, reason: ReasonContainerCannotRun, message: noUser}},
		{"failed without words", engineState{word: "created", created: createdAt, exitCode: 128},
			outcome{state: StateExited, started: createdAt, finished: createdAt, exitCode: 128, reason: ReasonContainerCannotRun}},
		{"failed without a code", engineState{word: "created", created: createdAt, err: "e"},
			outcome{state: StateExited, started: createdAt, finished: createdAt, reason: ReasonContainerCannotRun, message: "e"}},
		{"failed and called exited", engineState{word: "exited", created: createdAt, exitCode: 127, err: "e"},
			outcome{state: StateExited, started: createdAt, finished: createdAt, exitCode: 127, reason: ReasonContainerCannotRun, message: "e"}},

		// What belongs to an earlier moment.
		{"running again", engineState{word: "running", running: true, exitCode: 0, started: againAt, finish: finishedAt}, outcome{state: StateRunning, started: againAt}},
		{"running after a start that failed", engineState{word: "running", running: true, err: "e", exitCode: 128, started: againAt, finish: finishedAt}, outcome{state: StateRunning, started: againAt}},
		{"ran, and could not be started again", engineState{word: "exited", exitCode: 3, err: "no sandbox", started: startedAt, finish: finishedAt},
			outcome{state: StateExited, started: startedAt, finished: finishedAt, exitCode: 3, reason: ReasonError, message: "no sandbox", startError: "no sandbox"}},
		{"ran well, and could not be started again", engineState{word: "exited", err: "no sandbox", started: startedAt, finish: finishedAt},
			outcome{state: StateExited, started: startedAt, finished: finishedAt, reason: ReasonCompleted, message: "no sandbox", startError: "no sandbox"}},
		{"ended before its start was noted", engineState{word: "exited", exitCode: 1, started: againAt, finish: finishedAt},
			outcome{state: StateExited, started: finishedAt, finished: finishedAt, exitCode: 1, reason: ReasonError}},
		{"exited, and nobody knows when", engineState{word: "exited", started: startedAt}, outcome{state: StateExited, started: startedAt, reason: ReasonCompleted}},

		// Memory.
		{"out of memory", engineState{word: "exited", oom: true, exitCode: 137, started: startedAt, finish: finishedAt},
			outcome{state: StateExited, started: startedAt, finished: finishedAt, exitCode: 137, reason: ReasonOOMKilled, oomObserved: true}},
		{"killed, with memory to spare", engineState{word: "exited", exitCode: 137, started: startedAt, finish: finishedAt},
			outcome{state: StateExited, started: startedAt, finished: finishedAt, exitCode: 137, reason: ReasonError}},
		{"a child out of memory", engineState{word: "exited", oom: true, exitCode: 0, started: startedAt, finish: finishedAt},
			outcome{state: StateExited, started: startedAt, finished: finishedAt, reason: ReasonCompleted, oomObserved: true}},
		{"a child out of memory, and an error", engineState{word: "exited", oom: true, exitCode: 1, started: startedAt, finish: finishedAt},
			outcome{state: StateExited, started: startedAt, finished: finishedAt, exitCode: 1, reason: ReasonError, oomObserved: true}},
		{"running after a child out of memory", engineState{word: "running", oom: true, started: startedAt}, outcome{state: StateRunning, started: startedAt}},

		// Flags without a word.
		{"flags: running", engineState{running: true, started: startedAt}, outcome{state: StateRunning, started: startedAt}},
		{"flags: paused", engineState{paused: true, started: startedAt}, outcome{state: StateRunning, started: startedAt}},
		{"flags: restarting", engineState{restarting: true, started: startedAt, finish: finishedAt}, outcome{state: StateRunning, started: startedAt}},
		{"flags: dead", engineState{dead: true, running: true, exitCode: 1, started: startedAt, finish: finishedAt},
			outcome{state: StateExited, started: startedAt, finished: finishedAt, exitCode: 1, reason: ReasonError}},
		{"flags: exited", engineState{exitCode: 2, started: startedAt, finish: finishedAt},
			outcome{state: StateExited, started: startedAt, finished: finishedAt, exitCode: 2, reason: ReasonError}},
		{"flags: created", engineState{created: createdAt}, outcome{state: StateCreated}},
		{"flags: failed to start", engineState{created: createdAt, exitCode: 127, err: "e"},
			outcome{state: StateExited, started: createdAt, finished: createdAt, exitCode: 127, reason: ReasonContainerCannotRun, message: "e"}},
		{"nothing at all", engineState{}, outcome{state: StateCreated}},

		{"large exit code", engineState{word: "exited", exitCode: accessViolation, started: startedAt, finish: finishedAt},
			outcome{state: StateExited, started: startedAt, finished: finishedAt, exitCode: accessViolation, reason: ReasonError}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, stateOf(tt.in), cmp.AllowUnexported(outcome{})); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEffectiveWord(t *testing.T) {
	for _, tt := range []struct {
		in   engineState
		want string
	}{
		{engineState{word: "paused", dead: true}, "paused"},
		{engineState{dead: true, running: true}, "dead"},
		{engineState{running: true}, "running"},
		{engineState{paused: true}, "running"},
		{engineState{restarting: true}, "running"},
		{engineState{finish: finishedAt}, "exited"},
		{engineState{exitCode: 127}, "created"},
		{engineState{}, "created"},
	} {
		if got := tt.in.effectiveWord(); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

// engineWords are all that an engine says, and more.
var engineWords = []string{"", "created", "running", "paused", "restarting", "removing", "exited", "dead", "stopping", "unknown", "RUNNING", "\x00"}

// checkOutcome holds what is true of every outcome.
func checkOutcome(s engineState) error {
	o := stateOf(s)
	ran := o.state == StateExited
	switch {
	case !slices.Contains([]State{StateCreated, StateRunning, StateExited, StateUnknown}, o.state):
		return fmt.Errorf("state %q", o.state)
	case o.state == StateRunning && (!o.finished.IsZero() || o.reason != "" || o.exitCode != 0 || o.message != "" || o.startError != ""):
		return fmt.Errorf("a running container has ended: %+v", o)
	case o.state == StateCreated && o != outcome{state: StateCreated}:
		return fmt.Errorf("a created container has done something: %+v", o)
	case ran != (o.reason != ""):
		return fmt.Errorf("state %q with reason %q", o.state, o.reason)
	case o.reason == ReasonCompleted && o.exitCode != 0, o.reason == ReasonOOMKilled && (o.exitCode != 137 || !s.oom):
		return fmt.Errorf("reason %q with exit code %d", o.reason, o.exitCode)
	case o.reason == ReasonContainerCannotRun && (o.started != s.created || o.finished != s.created || o.startError != ""):
		return fmt.Errorf("a container that never started has times: %+v", o)
	case ran && o.exitCode != s.exitCode:
		return fmt.Errorf("exit code %d became %d", s.exitCode, o.exitCode)
	case o != stateOf(s):
		return errors.New("asked twice, it says two things")
	}
	return nil
}

func TestStateOfAnything(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	times := []time.Time{{}, createdAt, startedAt, finishedAt, againAt}
	flip := func() bool { return r.IntN(2) == 0 }
	for range 20000 {
		s := engineState{
			word: engineWords[r.IntN(len(engineWords))], running: flip(), paused: flip(), restarting: flip(), dead: flip(), oom: flip(),
			exitCode: []int{0, 1, 126, 127, 128, 137, 143, 255, -1, math.MaxInt}[r.IntN(10)], err: []string{"", "e"}[r.IntN(2)],
			created: times[r.IntN(5)], started: times[r.IntN(5)], finish: times[r.IntN(5)],
		}
		if err := checkOutcome(s); err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
	}
}

func FuzzStateOf(f *testing.F) {
	f.Add("running", byte(1), 0, "", int64(1), int64(2), int64(3))
	f.Add("exited", byte(16), 137, "e", int64(1), int64(3), int64(2))
	f.Add("", byte(8), 1, "", int64(0), int64(0), int64(0))
	f.Fuzz(func(t *testing.T, word string, flags byte, exitCode int, text string, created, started, finish int64) {
		at := func(n int64) time.Time {
			if n == 0 {
				return time.Time{}
			}
			return time.Unix(n, 0)
		}
		s := engineState{
			word: word, running: flags&1 != 0, paused: flags&2 != 0, restarting: flags&4 != 0, dead: flags&8 != 0, oom: flags&16 != 0,
			exitCode: exitCode, err: text, created: at(created), started: at(started), finish: at(finish),
		}
		if err := checkOutcome(s); err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
	})
}

func TestWordOfStatusText(t *testing.T) {
	for text, want := range map[string]string{
		"Up 5 hours": "running", "Up": "running", "Up 2 seconds (Paused)": "running", "Up 3 minutes (healthy)": "running",
		"Exited (0) 2 hours ago": "exited", "Exited (137) 3 seconds ago": "exited", "Created": "created",
		"up": "unknown", "Dead": "unknown", "Removal In Progress": "unknown", "": "unknown", " Up": "unknown",
	} {
		if got := wordOfStatusText(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestContainerStatusSignal(t *testing.T) {
	for _, tt := range []struct {
		name   string
		st     ContainerStatus
		signal int
		ok     bool
	}{
		{"killed", exitedWith(137, ReasonError), 9, true},
		{"out of memory", exitedWith(137, ReasonOOMKilled), 9, true},
		{"terminated", exitedWith(143, ReasonError), 15, true},
		{"hung up", exitedWith(129, ReasonError), 1, true},
		{"the last signal", exitedWith(192, ReasonError), 64, true},
		{"beyond it", exitedWith(193, ReasonError), 0, false},
		{"128 itself", exitedWith(128, ReasonError), 0, false},
		{"an exit code", exitedWith(1, ReasonError), 0, false},
		{"completed", exitedWith(0, ReasonCompleted), 0, false},
		{"an exit code of Windows", exitedWith(accessViolation, ReasonError), 0, false},
		{"never ran", exitedWith(137, ReasonContainerCannotRun), 0, false},
		{"running", ContainerStatus{Container: Container{State: StateRunning}, ExitCode: 137}, 0, false},
		{"zero", ContainerStatus{}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if n, ok := tt.st.Signal(); n != tt.signal || ok != tt.ok {
				t.Errorf("got %d, %v; want %d, %v", n, ok, tt.signal, tt.ok)
			}
		})
	}
}

func exitedWith(code int, reason string) ContainerStatus {
	return ContainerStatus{Container: Container{State: StateExited}, ExitCode: code, Reason: reason}
}

func TestParseTime(t *testing.T) {
	for _, tt := range []struct {
		text string
		want time.Time
	}{
		{"", time.Time{}},
		{neverText, time.Time{}},
		{"0001-01-01T00:00:00.000000000Z", time.Time{}},
		{"0001-01-01T00:00:00+09:00", time.Time{}},
		{"0001-01-01T00:00:00-08:00", time.Time{}},
		{"0001-01-01T08:05:43+08:05", time.Time{}},
		{"0000-12-31T16:07:02-07:52", time.Time{}},
		{createdText, createdAt},
		{"2026-01-02T03:04:06.5Z", startedAt},
		{"2026-01-02T12:04:06.5+09:00", startedAt},
		{"2026-01-01T19:04:06.5-08:00", startedAt},
		{"1970-01-01T00:00:00Z", time.Unix(0, 0).UTC()},
		{"2026-01-02T03:04:05.123456789Z", time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC)},
	} {
		got, err := parseTime(tt.text)
		if err != nil || got != tt.want || got.Location() != time.UTC {
			t.Errorf("%q: got %v in %v, error %v; want %v", tt.text, got, got.Location(), err, tt.want)
		}
	}
	for _, text := range []string{
		"yesterday", "never", "2026-01-02", "2026-01-02 03:04:05 +0000 UTC", "1767323045", "2026-01-02T25:00:00Z", "2026-02-30T00:00:00Z",
		"2026-01-02T03:04:05", " " + createdText, createdText + "\n", "\x00",
	} {
		if got, err := parseTime(text); err == nil || !got.IsZero() || !strings.Contains(err.Error(), fmt.Sprintf("%q", text)) {
			t.Errorf("%q: got %v, error %v", text, got, err)
		}
	}
}

// inspected returns an inspection of a container, changed by f.
func inspected(f func(*container.InspectResponse)) container.InspectResponse {
	info := container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: workloadID, Name: "/k8s_app_pod_ns_uid_2", Image: idA, Created: createdText, LogPath: "/var/lib/engine/x-json.log", RestartCount: 4,
			State: &container.State{Status: "running", Running: true, Pid: 4711, StartedAt: startedText, FinishedAt: neverText},
			HostConfig: &container.HostConfig{
				NetworkMode: "container:" + sandboxID, Runtime: "runc", LogConfig: container.LogConfig{Type: "json-file"}, OomScoreAdj: 5,
				Resources: container.Resources{
					Memory: 64 << 20, MemorySwap: 64 << 20, CPUShares: 2, CPUQuota: 3000, CPUPeriod: 100000, CpusetCpus: "0", CpusetMems: "1",
					PidsLimit: pointerTo[int64](6),
				},
			},
		},
		Config: &container.Config{
			Image: "busybox:1", Tty: true, OpenStdin: true, StopSignal: "SIGINT",
			Labels: map[string]string{
				LabelType: TypeContainer, LabelSandboxID: sandboxID, LabelLogPath: "/var/log/pods/app/2.log", LabelImage: "docker.io/library/busybox:1",
				"app": "web", "annotation.note": "text",
			},
		},
		Mounts: []container.MountPoint{{Type: "bind", Source: "/src", Destination: "/dst", RW: true, Propagation: "rprivate"}},
	}
	if f != nil {
		f(&info)
	}
	return info
}

func pointerTo[T any](v T) *T { return &v }

func TestStatusOf(t *testing.T) {
	img := &Image{ID: idA, RepoTags: []string{"busybox:1"}, RepoDigests: []string{"busybox@" + idB}}
	want := ContainerStatus{
		Container: Container{
			ID: workloadID, SandboxID: sandboxID, Name: Name{Container: "app", Pod: "pod", Namespace: "ns", UID: "uid", Attempt: 2},
			Image: "docker.io/library/busybox:1", ImageID: idA, State: StateRunning, EngineState: "running", CreatedAt: createdAt,
			Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"note": "text"},
		},
		ImageRef: DockerPullablePrefix + "busybox@" + idB, StartedAt: startedAt,
		LogPath: "/var/log/pods/app/2.log", EngineLogPath: "/var/lib/engine/x-json.log", LogDriver: "json-file",
		Mounts: []MountStatus{{Type: MountBind, Source: "/src", Target: "/dst", Propagation: PropagationPrivate}},
		Resources: Resources{
			MemoryLimit: 64 << 20, MemorySwapLimit: 64 << 20, CPUShares: 2, CPUQuota: 3000, CPUPeriod: 100000,
			CpusetCpus: "0", CpusetMems: "1", PidsLimit: 6, OOMScoreAdj: 5,
		},
		PID: 4711, RestartCount: 4, NetworkMode: "container:" + sandboxID, Runtime: "runc", TTY: true, Stdin: true, StopSignal: "SIGINT",
	}
	none := []MountStatus{}
	for _, tt := range []struct {
		name   string
		img    *Image
		change func(*container.InspectResponse)
		want   func(*ContainerStatus)
	}{
		{"as it is", img, nil, func(*ContainerStatus) {}},
		{"image gone", nil, nil, func(st *ContainerStatus) { st.ImageRef = DockerPrefix + idA }},
		{"image without repositories", &Image{ID: idA}, nil, func(st *ContainerStatus) { st.ImageRef = DockerPrefix + idA }},
		{"not ours by label", img, func(i *container.InspectResponse) { delete(i.Config.Labels, LabelImage) },
			func(st *ContainerStatus) { st.Image = "busybox:1" }},
		{"exited", img, func(i *container.InspectResponse) {
			i.State = &container.State{Status: "exited", Pid: 4711, ExitCode: 137, OOMKilled: true, StartedAt: startedText, FinishedAt: finishedText}
		}, func(st *ContainerStatus) {
			st.State, st.EngineState, st.FinishedAt, st.ExitCode, st.Reason, st.OOMObserved, st.PID = StateExited, "exited", finishedAt, 137, ReasonOOMKilled, true, 0
		}},
		{"restarted", img, func(i *container.InspectResponse) { i.State.FinishedAt, i.State.Error = finishedText, "old" }, func(*ContainerStatus) {}},
		{"ran, and could not be started again", img, func(i *container.InspectResponse) {
			i.State = &container.State{Status: "exited", StartedAt: startedText, FinishedAt: finishedText, Error: "no sandbox"}
		}, func(st *ContainerStatus) {
			st.State, st.EngineState, st.FinishedAt, st.Reason, st.Message, st.StartError, st.PID = StateExited, "exited", finishedAt, ReasonCompleted, "no sandbox", "no sandbox", 0
		}},
		{"healthy", img, func(i *container.InspectResponse) { i.State.Health = &container.Health{Status: container.Healthy} },
			func(st *ContainerStatus) { st.Health = "healthy" }},
		{"no health check", img, func(i *container.InspectResponse) {
			i.State.Health = &container.Health{Status: container.NoHealthcheck}
		},
			func(*ContainerStatus) {}},
		{"times that cannot be read", img, func(i *container.InspectResponse) {
			i.Created, i.State.StartedAt, i.State.FinishedAt = "yesterday", "now", "tomorrow"
		}, func(st *ContainerStatus) {
			st.CreatedAt, st.StartedAt = time.Time{}, time.Time{}
			st.Problems = []string{`Created: unreadable time "yesterday"`, `State.StartedAt: unreadable time "now"`, `State.FinishedAt: unreadable time "tomorrow"`}
		}},
		{"no State", img, func(i *container.InspectResponse) { i.State = nil }, func(st *ContainerStatus) {
			st.State, st.EngineState, st.StartedAt, st.PID, st.Problems = StateUnknown, "unknown", time.Time{}, 0, []string{"State: missing"}
		}},
		{"no Config", img, func(i *container.InspectResponse) { i.Config = nil }, func(st *ContainerStatus) {
			st.SandboxID, st.Image, st.LogPath, st.TTY, st.Stdin, st.StopSignal = "", "busybox:1", "", false, false, ""
			st.Labels, st.Annotations, st.Problems = map[string]string{}, map[string]string{}, []string{"Config: missing"}
		}},
		{"no HostConfig", img, func(i *container.InspectResponse) { i.HostConfig = nil }, func(st *ContainerStatus) {
			st.LogDriver, st.Resources, st.NetworkMode, st.Runtime, st.Problems = "", Resources{}, "", "", []string{"HostConfig: missing"}
		}},
		{"no process limit", img, func(i *container.InspectResponse) { i.HostConfig.PidsLimit = nil }, func(st *ContainerStatus) { st.Resources.PidsLimit = 0 }},
		{"no NetworkSettings, no mounts, no labels", img, func(i *container.InspectResponse) {
			i.NetworkSettings, i.Mounts, i.Config.Labels = nil, nil, nil
		}, func(st *ContainerStatus) {
			st.SandboxID, st.Image, st.LogPath, st.Mounts = "", "busybox:1", "", none
			st.Labels, st.Annotations = map[string]string{}, map[string]string{}
		}},
		{"nothing but a name", nil, func(i *container.InspectResponse) {
			*i = container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{ID: workloadID, Name: "/k8s_app_pod_ns_uid_2"}}
		}, func(st *ContainerStatus) {
			*st = ContainerStatus{
				Container: Container{ID: workloadID, Name: st.Name, State: StateUnknown, EngineState: "unknown", Labels: map[string]string{}, Annotations: map[string]string{}},
				ImageRef:  DockerPrefix, Mounts: none, Problems: []string{"State: missing", "Config: missing", "HostConfig: missing"},
			}
		}},
		{"renamed", img, func(i *container.InspectResponse) {
			i.Name = "/web"
			for k, v := range map[string]string{LabelContainerName: "app", LabelPodName: "pod", LabelPodNamespace: "ns", LabelPodUID: "uid", labelAttempt: "2"} {
				i.Config.Labels[k] = v
			}
		}, func(st *ContainerStatus) {
			st.Labels = map[string]string{"app": "web", LabelContainerName: "app", LabelPodName: "pod", LabelPodNamespace: "ns", LabelPodUID: "uid"}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			info := inspected(tt.change)
			got, err := New(&coreStub{}).statusOf(info, tt.img)
			if err != nil {
				t.Fatal(err)
			}
			w := want
			tt.want(&w)
			if diff := cmp.Diff(w, got); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatusOfUnreadableName(t *testing.T) {
	info := inspected(func(i *container.InspectResponse) { i.Name = "/web" })
	if st, err := New(&coreStub{}).statusOf(info, nil); !errors.Is(err, ErrNotManaged) || !cmp.Equal(st, ContainerStatus{}) {
		t.Errorf("got %+v, error %v", st, err)
	}
}

// A status shares no memory with the engine's answer.
func TestStatusOfIsACopy(t *testing.T) {
	info := inspected(nil)
	st, err := New(&coreStub{}).statusOf(info, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprintf("%+v", st)
	info.Config.Labels["app"], info.Mounts[0].Source, *info.HostConfig.PidsLimit = "other", "/other", 99
	if after := fmt.Sprintf("%+v", st); after != before {
		t.Errorf("the status changed with the answer:\n%s\n%s", before, after)
	}
}

func TestImageNameOf(t *testing.T) {
	tagged := &Image{ID: idA, RepoTags: []string{"app:v2", "app:v1"}}
	for _, tt := range []struct {
		name, asked, configured string
		img                     *Image
		want                    string
	}{
		{"as asked for", "app:v0", "app:v1", tagged, "app:v0"},
		{"as asked for, image gone", "app:v0", idA, nil, "app:v0"},
		{"configured, and still that image", "", "app:v1", tagged, "app:v1"},
		{"configured in another spelling", "", "docker.io/library/app:v1", tagged, "docker.io/library/app:v1"},
		{"the tag has moved", "", "app:v3", tagged, "app:v2"},
		{"configured by ID", "", idA, tagged, "app:v2"},
		{"configured by a short ID", "", hexA[:12], tagged, "app:v2"},
		{"configured by nothing", "", "", tagged, "app:v2"},
		{"the image has no tags", "", "app:v1", &Image{ID: idA}, "app:v1"},
		{"the image has no tags, configured by ID", "", idA, &Image{ID: idA}, idA},
		{"image gone", "", "app:v1", nil, "app:v1"},
		{"nothing known", "", "", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := imageNameOf(tt.asked, tt.configured, tt.img); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPropagationOf(t *testing.T) {
	for _, p := range []Propagation{PropagationHostToContainer, PropagationBidirectional, ""} {
		if got := propagationOf(propagationWord(p)); got != p {
			t.Errorf("%q comes back as %q", p, got)
		}
	}
	if got := propagationOf(string(mount.PropagationRPrivate)); got != PropagationPrivate {
		t.Errorf("the engine's default is %q", got)
	}
	if got := propagationOf("slave"); got != "slave" {
		t.Errorf("a kind that CRI does not have is %q", got)
	}
}

// What engineResources wrote comes back, but for the swap limit, which an
// engine cannot be left alone with.
func TestResourcesRoundTrip(t *testing.T) {
	for _, r := range []Resources{
		{},
		{MemoryLimit: 64 << 20, MemorySwapLimit: 128 << 20, CPUShares: 2, CPUQuota: 1000, CPUPeriod: 2000, CpusetCpus: "0", CpusetMems: "1", PidsLimit: 7},
		{MemoryLimit: 64 << 20, MemorySwapLimit: -1, PidsLimit: -1},
	} {
		if diff := cmp.Diff(r, resourcesOf(&container.HostConfig{Resources: engineResources(r)})); diff != "" {
			t.Errorf("mismatch (-want +got):\n%s", diff)
		}
	}
	got := resourcesOf(&container.HostConfig{Resources: engineResources(Resources{MemoryLimit: 64 << 20})})
	if diff := cmp.Diff(Resources{MemoryLimit: 64 << 20, MemorySwapLimit: 64 << 20}, got); diff != "" {
		t.Errorf("a limit without a word about swap, mismatch (-want +got):\n%s", diff)
	}
}

func noSuchContainer(id string) error {
	return engineError(errdefs.ErrNotFound, "Error response from daemon: No such container: "+id)
}

func TestContainerStatus(t *testing.T) {
	here := image.InspectResponse{ID: idA, RepoTags: []string{"busybox:1"}, RepoDigests: []string{"busybox@" + idB}}
	for _, tt := range []struct {
		name     string
		id       string
		info     container.InspectResponse
		infoErr  error
		imageErr error
		want     error // nil: none
		ref      string
	}{
		{name: "as it is", info: inspected(nil), ref: DockerPullablePrefix + "busybox@" + idB},
		{name: "image gone", info: inspected(nil), imageErr: noSuchImage(idA), ref: DockerPrefix + idA},
		{name: "container of no image", info: inspected(func(i *container.InspectResponse) { i.Image = "" }), ref: DockerPrefix},
		{name: "image cannot be inspected", info: inspected(nil), imageErr: engineError(errdefs.ErrUnavailable, "starting"), ref: DockerPrefix + idA},
		{name: "gone", infoErr: noSuchContainer(workloadID), want: ErrContainerNotFound},
		{name: "nothing in the answer", info: container.InspectResponse{}, want: ErrBadAnswer},
		{name: "no ID in the answer", info: inspected(func(i *container.InspectResponse) { i.ID = "" }), want: ErrBadAnswer},
		{name: "no Config in the answer", info: inspected(func(i *container.InspectResponse) { i.Config = nil }), want: ErrNotManaged},
		{name: "somebody else's", info: inspected(func(i *container.InspectResponse) { i.Config.Labels = nil }), want: ErrNotManaged},
		{name: "a sandbox", info: inspected(func(i *container.InspectResponse) { i.Config.Labels[LabelType] = TypeSandbox }), want: ErrNotManaged},
		{name: "another owner's", info: inspected(func(i *container.InspectResponse) { i.Config.Labels[LabelOwner] = "x" }), want: ErrNotManaged},
		{name: "a name and labels that say nothing", info: inspected(func(i *container.InspectResponse) { i.Name = "/web" }), want: ErrNotManaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := New(&coreStub{
				containerInspect: func(context.Context, string) (container.InspectResponse, error) { return tt.info, tt.infoErr },
				imageInspect: func(context.Context, string) (image.InspectResponse, error) {
					if tt.imageErr != nil {
						return image.InspectResponse{}, tt.imageErr
					}
					return here, nil
				},
			})
			st, err := r.ContainerStatus(t.Context(), workloadID)
			var outer *Error
			switch {
			case !errors.Is(err, tt.want):
				t.Errorf("error %v, want %v", err, tt.want)
			case err != nil && (!errors.As(err, &outer) || outer.Op != "container status" || outer.Target != workloadID):
				t.Errorf("error %v does not say what was done", err)
			case err != nil && !cmp.Equal(st, ContainerStatus{}):
				t.Errorf("a status beside an error: %+v", st)
			case err == nil && st.ImageRef != tt.ref:
				t.Errorf("image reference %q, want %q", st.ImageRef, tt.ref)
			}
		})
	}
	var field *FieldError
	if _, err := New(&coreStub{}).ContainerStatus(t.Context(), " "); !errors.As(err, &field) || field.Field != "id" {
		t.Errorf("no ID: %v", err)
	}
}

// A container is never said to have ended while it runs, whatever else the
// engine has written down.
func TestRunningHasNotFinished(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	texts := []string{neverText, createdText, startedText, finishedText, "", "garbage"}
	rt := New(&coreStub{})
	for range 2000 {
		flip := func() bool { return r.IntN(2) == 0 }
		info := inspected(func(i *container.InspectResponse) {
			i.State = &container.State{
				Status:  container.ContainerState(engineWords[r.IntN(len(engineWords))]),
				Running: flip(), Paused: flip(), Restarting: flip(), Dead: flip(), OOMKilled: flip(), Pid: r.IntN(3), ExitCode: r.IntN(3) * 127,
				StartedAt: texts[r.IntN(len(texts))], FinishedAt: texts[r.IntN(len(texts))], Error: []string{"", "e"}[r.IntN(2)],
			}
		})
		st, err := rt.statusOf(info, nil)
		switch {
		case err != nil:
			t.Fatal(err)
		case st.State == StateRunning && !st.FinishedAt.IsZero():
			t.Fatalf("%+v: running, and finished at %v", info.State, st.FinishedAt)
		case st.State != StateRunning && st.PID != 0:
			t.Fatalf("%+v: %s, and has a process", info.State, st.State)
		}
		// A list that is told the word alone agrees, but for a failed start.
		listed := stateOf(engineState{word: st.EngineState}).state
		if listed != st.State && st.Reason != ReasonContainerCannotRun {
			t.Fatalf("%+v: %s in a status, %s in a list", info.State, st.State, listed)
		}
	}
}

func TestContainerStatuses(t *testing.T) {
	ids := []string{"c0", "c1", "gone", "c3", "broken", "c5", "c6", "c1", "c8", "c9"}
	var mu sync.Mutex
	active, most, images := 0, 0, map[string]int{}
	stub := &coreStub{
		containerInspect: func(ctx context.Context, id string) (container.InspectResponse, error) {
			mu.Lock()
			active++
			most = max(most, active)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			active--
			mu.Unlock()
			switch id {
			case "gone":
				return container.InspectResponse{}, noSuchContainer(id)
			case "broken":
				<-ctx.Done()
				return container.InspectResponse{}, ctx.Err()
			}
			return inspected(func(i *container.InspectResponse) {
				i.ID = id
				if id >= "c5" {
					i.Image = idB
				}
			}), nil
		},
		imageInspect: func(_ context.Context, id string) (image.InspectResponse, error) {
			mu.Lock()
			images[id]++
			mu.Unlock()
			return image.InspectResponse{ID: id}, nil
		},
	}
	synctest.Test(t, func(t *testing.T) {
		var got []string
		begin := time.Now()
		for st, err := range New(stub, WithRequestTimeout(20*time.Second)).ContainerStatuses(t.Context(), ids...) {
			switch {
			case err != nil:
				got = append(got, sentinelsOf(err))
				if !cmp.Equal(st, ContainerStatus{}) {
					t.Errorf("a status beside an error: %+v", st)
				}
			default:
				got = append(got, st.ID)
			}
		}
		want := []string{"c0", "c1", ErrContainerNotFound.Error(), "c3", ErrTimeout.Error(), "c5", "c6", "c1", "c8", "c9"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("mismatch (-want +got):\n%s", diff)
		}
		if took := time.Since(begin); took != 21*time.Second {
			t.Errorf("one that hangs costs one deadline, not %v", took)
		}
	})
	if most != inspectWorkers {
		t.Errorf("%d inspections under way at once, want %d", most, inspectWorkers)
	}
	if diff := cmp.Diff(map[string]int{idA: 1, idB: 1}, images); diff != "" {
		t.Errorf("images inspected, mismatch (-want +got):\n%s", diff)
	}
}

func TestContainerStatusesOfNone(t *testing.T) {
	for range New(&coreStub{}).ContainerStatuses(t.Context()) {
		t.Error("a status of nothing")
	}
}

// Breaking off ends what is under way, and leaves no goroutine behind: a
// synctest bubble would not end with one.
func TestContainerStatusesBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stub := &coreStub{containerInspect: func(ctx context.Context, id string) (container.InspectResponse, error) {
			if id == "0" {
				return container.InspectResponse{}, noSuchContainer(id)
			}
			<-ctx.Done()
			return container.InspectResponse{}, ctx.Err()
		}}
		begin, n := time.Now(), 0
		ids := []string{"0", "1", "2", "3", "4", "5", "6", "7"}
		for _, err := range New(stub).ContainerStatuses(t.Context(), ids...) {
			if n++; !errors.Is(err, ErrContainerNotFound) {
				t.Errorf("%v", err)
			}
			ids[1] = "0" // the caller's slice is the caller's
			break
		}
		if took := time.Since(begin); n != 1 || took != 0 {
			t.Errorf("%d results after %v", n, took)
		}
	})
}

func TestContainerStatusesCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stub := &coreStub{containerInspect: func(ctx context.Context, id string) (container.InspectResponse, error) {
		return container.InspectResponse{}, ctx.Err()
	}}
	cancel()
	n := 0
	for _, err := range New(stub).ContainerStatuses(ctx, "1", "2", "3", "4", "5", "6") {
		if n++; !errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) {
			t.Errorf("%v", err)
		}
	}
	if n != 6 {
		t.Errorf("%d results for 6 IDs", n)
	}
}

// What a list says of a container, its status says too.
func TestListAndStatusAgree(t *testing.T) {
	info := inspected(nil)
	r := New(&coreStub{})
	st, err := r.statusOf(info, nil)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := r.fromSummary(container.Summary{
		ID: info.ID, Names: []string{info.Name}, Image: "busybox:1", ImageID: info.Image, State: info.State.Status, Created: createdAt.Unix(), Labels: info.Config.Labels,
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(listed, st.Container, cmpopts.EquateApproxTime(time.Second)); diff != "" {
		t.Errorf("mismatch (-list +status):\n%s", diff)
	}
}
