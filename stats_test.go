package dockpod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"
	"github.com/google/go-cmp/cmp"
)

// What Docker 20.10 said of a container with limits (cgroup v1), and what
// later engines say on cgroup v2, where names and cases differ.
const (
	statsV1 = `{"read":"2026-11-25T22:54:31.58991307Z","preread":"0001-01-01T00:00:00Z","pids_stats":{"current":3,"limit":50},
"blkio_stats":{"io_service_bytes_recursive":[
{"major":8,"minor":0,"op":"Read","value":4096},{"major":8,"minor":0,"op":"Write","value":8192},{"major":8,"minor":0,"op":"Sync","value":12288},{"major":8,"minor":0,"op":"Async","value":0},{"major":8,"minor":0,"op":"Total","value":12288},
{"major":8,"minor":16,"op":"Read","value":1000},{"major":8,"minor":16,"op":"Write","value":1}],
"io_serviced_recursive":[{"major":8,"minor":0,"op":"Read","value":1},{"major":8,"minor":0,"op":"Write","value":2},{"major":8,"minor":0,"op":"Total","value":3}]},
"num_procs":0,"storage_stats":{},"cpu_stats":{"cpu_usage":{"total_usage":75800509,"percpu_usage":[25959327,49841182],"usage_in_kernelmode":30000000,"usage_in_usermode":40000000},"system_cpu_usage":2381550000000,"online_cpus":2,"throttling_data":{"periods":3,"throttled_periods":1,"throttled_time":56991538}},
"precpu_stats":{"cpu_usage":{"total_usage":0,"usage_in_kernelmode":0,"usage_in_usermode":0},"throttling_data":{"periods":0,"throttled_periods":0,"throttled_time":0}},
"memory_stats":{"usage":335872,"max_usage":3956736,"stats":{"inactive_file":1,"pgfault":1,"pgmajfault":1,"rss":1,"total_inactive_file":4096,"total_pgfault":1147,"total_pgmajfault":2,"total_rss":8192},"limit":33554432},
"name":"/b","id":"e703","networks":{"eth1":{"rx_bytes":1},"eth0":{"rx_bytes":736,"rx_packets":8,"rx_errors":1,"rx_dropped":2,"tx_bytes":10,"tx_packets":3,"tx_errors":4,"tx_dropped":5}}}`
	statsV2 = `{"read":"2026-11-25T22:54:31Z","pids_stats":{"current":1,"limit":18446744073709551615},
"blkio_stats":{"io_service_bytes_recursive":[{"major":8,"minor":0,"op":"read","value":4096},{"major":8,"minor":0,"op":"write","value":8192}],"io_serviced_recursive":null},
"cpu_stats":{"cpu_usage":{"total_usage":1000}},
"memory_stats":{"usage":1000,"stats":{"anon":500,"file":400,"inactive_file":300,"pgfault":7,"pgmajfault":6,"swap":5},"limit":67108864}}`
)

// statsEngine answers with texts, one for each container.
type statsEngine struct {
	statsMachine
	answer  func(id string) (string, error)
	hang    string // the container whose stats never come
	list    []container.Summary
	running bool
	inspect func(id string) (container.InspectResponse, error)
	opened  atomic.Int32
	closed  atomic.Int32
}

// statsMachine has a memory of 64 MiB.
type statsMachine struct{ DockerInterface }

func (statsMachine) Info(context.Context) (system.Info, error) {
	return system.Info{MemTotal: 64 << 20}, nil
}
func (statsMachine) ClientVersion() string { return "1.41" }

func (e *statsEngine) ContainerList(context.Context, container.ListOptions) ([]container.Summary, error) {
	return slices.Clone(e.list), nil // a list belongs to who asked
}

func (e *statsEngine) ContainerInspect(_ context.Context, id string) (container.InspectResponse, error) {
	if e.inspect != nil {
		return e.inspect(id)
	}
	return statsInspect(id, e.running), nil
}

func statsInspect(id string, running bool) container.InspectResponse {
	st := &container.State{Status: "exited", FinishedAt: "2026-01-01T00:00:00Z"}
	if running {
		st = &container.State{Status: "running", Running: true}
	}
	return container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{ID: id, Name: "/k8s_" + id + "_web_ns_u1_0", State: st},
		Config:            &container.Config{Labels: map[string]string{LabelType: TypeContainer}},
	}
}

func (e *statsEngine) ContainerStatsOneShot(ctx context.Context, id string) (container.StatsResponseReader, error) {
	if id == e.hang {
		<-ctx.Done()
		return container.StatsResponseReader{}, ctx.Err()
	}
	text, err := e.answer(id)
	if err != nil {
		return container.StatsResponseReader{}, err
	}
	e.opened.Add(1)
	return container.StatsResponseReader{Body: &statsBody{strings.NewReader(text), &e.closed}}, nil
}

type statsBody struct {
	io.Reader
	closed *atomic.Int32
}

func (b *statsBody) Close() error { b.closed.Add(1); return nil }

func TestStatsVectors(t *testing.T) {
	const inspects = "an inspection, in place of a list, tells the state as well"
	ours := map[string]overruled{
		"exec/010": {`{"calls": ["inspect_container", "get_container_stats"]}`, inspects},
		"exec/012": {`{"calls": ["inspect_container"]}`, inspects},
	}
	for _, c := range loadVectors(t, "exec") {
		if c.Op != "stats.container" {
			continue // TestExecVectors has them
		}
		t.Run(c.ID, func(t *testing.T) {
			in := vectorIn[struct {
				Containers []struct{ ID, Name string }
				ID         string
			}](t, c)
			var calls []string
			e := &statsEngine{
				inspect: func(id string) (container.InspectResponse, error) {
					calls = append(calls, "inspect_container")
					for _, has := range in.Containers {
						if has.ID == id {
							info := statsInspect(id, true)
							info.Name = "/" + has.Name
							return info, nil
						}
					}
					return container.InspectResponse{}, noSuchContainer(id)
				},
				answer: func(string) (string, error) {
					calls = append(calls, "get_container_stats")
					return statsV1, nil
				},
			}
			if _, err := New(e).ContainerStats(t.Context(), in.ID); err != nil && !errors.Is(err, ErrContainerNotFound) {
				t.Fatal(err)
			}
			checkVector(t, c, ours, map[string]any{"calls": calls})
		})
	}
}

func TestUsageOfAnAnswer(t *testing.T) {
	for _, tt := range []struct {
		name     string
		text     string
		want     Usage
		networks []InterfaceUsage
	}{
		{"cgroup v1", statsV1, Usage{
			At:      time.Date(2026, 11, 25, 22, 54, 31, 589913070, time.UTC),
			CPU:     CPUUsage{Total: 75800509, User: 40e6, Kernel: 30e6, Periods: 3, ThrottledPeriods: 1, ThrottledTime: 56991538},
			Memory:  MemoryUsage{Usage: 335872, Limit: 32 << 20, Detailed: true, InactiveFile: 4096, RSS: 8192, PageFaults: 1147, MajorPageFaults: 2},
			BlockIO: BlockIOUsage{ReadBytes: 5096, WrittenBytes: 8193, Reads: 1, Writes: 2}, Processes: 3, ProcessLimit: 50,
		}, []InterfaceUsage{
			{Name: "eth0", RxBytes: 736, RxPackets: 8, RxErrors: 1, RxDropped: 2, TxBytes: 10, TxPackets: 3, TxErrors: 4, TxDropped: 5},
			{Name: "eth1", RxBytes: 1},
		}},
		{"cgroup v2", statsV2, Usage{
			At: time.Date(2026, 11, 25, 22, 54, 31, 0, time.UTC), CPU: CPUUsage{Total: 1000},
			Memory:  MemoryUsage{Usage: 1000, Detailed: true, InactiveFile: 300, RSS: 500, PageFaults: 7, MajorPageFaults: 6, Swap: 5, SwapKnown: true},
			BlockIO: BlockIOUsage{ReadBytes: 4096, WrittenBytes: 8192}, Processes: 1,
		}, nil},
		{"Podman", `{"read":"2026-11-25T22:54:31+02:00","cpu_stats":{"cpu_usage":{"total_usage":9}},"memory_stats":{"usage":77,"limit":999999},"networks":{"eth0":{"rx_bytes":1}}}`, Usage{
			At: time.Date(2026, 11, 25, 20, 54, 31, 0, time.UTC), CPU: CPUUsage{Total: 9}, Memory: MemoryUsage{Usage: 77, Limit: 999_999},
		}, []InterfaceUsage{{Name: "eth0", RxBytes: 1}}},
		{"Podman, without a network of its own", `{"read":"2026-11-25T22:54:31Z","cpu_stats":{"cpu_usage":{"total_usage":9}},"networks":{"network":{"rx_bytes":0}}}`, Usage{
			At: time.Date(2026, 11, 25, 22, 54, 31, 0, time.UTC), CPU: CPUUsage{Total: 9},
		}, nil},
		{"numbers beyond all", `{"read":"2026-11-25T22:54:31Z","cpu_stats":{"cpu_usage":{"total_usage":18446744073709551615}},
"memory_stats":{"usage":10,"stats":{"inactive_file":20},"limit":18446744073709551615},
"blkio_stats":{"io_service_bytes_recursive":[{"op":"read","value":18446744073709551615},{"op":"read","value":5}]}}`, Usage{
			At: time.Date(2026, 11, 25, 22, 54, 31, 0, time.UTC), CPU: CPUUsage{Total: math.MaxInt64},
			Memory: MemoryUsage{Usage: 10, Detailed: true, InactiveFile: 10}, BlockIO: BlockIOUsage{ReadBytes: math.MaxInt64},
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &statsEngine{running: true, answer: func(string) (string, error) { return tt.text, nil }}
			st, err := New(e).ContainerStats(t.Context(), "app")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, st.Usage); diff != "" {
				t.Errorf("usage mismatch (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.networks, st.Networks); diff != "" {
				t.Errorf("networks mismatch (-want +got):\n%s", diff)
			}
			if st.ID != "app" || st.Name.Container != "app" || st.State != StateRunning {
				t.Errorf("it is %+v", st.Container)
			}
		})
	}
}

func TestWorkingSet(t *testing.T) {
	for _, tt := range []struct {
		name           string
		m              MemoryUsage
		set, available int64
		setOK, availOK bool
	}{
		{name: "nothing"},
		{name: "no detail", m: MemoryUsage{Usage: 10, Limit: 20}},
		{name: "no limit", m: MemoryUsage{Usage: 10, InactiveFile: 3, Detailed: true}, set: 7, setOK: true},
		{name: "all", m: MemoryUsage{Usage: 10, InactiveFile: 3, Detailed: true, Limit: 20}, set: 7, setOK: true, available: 13, availOK: true},
		{name: "floors", m: MemoryUsage{Usage: 10, InactiveFile: 30, Detailed: true, Limit: 20}, setOK: true, available: 20, availOK: true},
		{name: "above the limit", m: MemoryUsage{Usage: 30, Detailed: true, Limit: 20}, set: 30, setOK: true, availOK: true},
	} {
		set, setOK := tt.m.WorkingSet()
		available, availOK := tt.m.Available()
		if set != tt.set || setOK != tt.setOK || available != tt.available || availOK != tt.availOK {
			t.Errorf("%s: working set %d %t, available %d %t", tt.name, set, setOK, available, availOK)
		}
	}
}

func TestNanoCoresSince(t *testing.T) {
	at := func(sec float64, cpu time.Duration) Usage {
		return Usage{At: epoch.Add(time.Duration(sec * float64(time.Second))), CPU: CPUUsage{Total: cpu}}
	}
	for _, tt := range []struct {
		name      string
		prev, now Usage
		want      int64
		ok        bool
	}{
		{"half a CPU", at(0, time.Second), at(2, 2*time.Second), 5e8, true},
		{"four CPUs", at(0, 0), at(0.5, 2*time.Second), 4e9, true},
		{"idle", at(0, time.Second), at(2, time.Second), 0, true},
		{"nothing before", Usage{}, at(2, time.Second), 0, false},
		{"the same", at(2, time.Second), at(2, time.Second), 0, false},
		{"the wrong way round", at(2, time.Second), at(1, 2*time.Second), 0, false},
		{"started anew", at(0, time.Second), at(2, time.Millisecond), 0, false},
		{"a clock that moved", at(0, 0), Usage{At: epoch.Add(1), CPU: CPUUsage{Total: math.MaxInt64}}, 0, false},
	} {
		if n, ok := tt.now.NanoCoresSince(tt.prev); n != tt.want || ok != tt.ok {
			t.Errorf("%s: %d, %t; want %d, %t", tt.name, n, ok, tt.want, tt.ok)
		}
	}
}

func TestCPURates(t *testing.T) {
	var c cpuRates
	type step struct {
		after  time.Duration // by both clocks
		cpu    time.Duration
		want   int64
		window time.Duration
	}
	now := epoch
	for i, s := range []step{
		{0, time.Second, 0, 0},
		{100 * time.Millisecond, 2 * time.Second, 0, 0}, // too soon
		{900 * time.Millisecond, 3 * time.Second, 2e9, time.Second},
		{time.Millisecond, 3 * time.Second, 2e9, time.Second},                                    // another caller
		{-2 * time.Millisecond, 3 * time.Second, 2e9, time.Second},                               // that came late
		{2*time.Second + time.Millisecond, 4 * time.Second, 5e8, 2 * time.Second},                // since the third
		{time.Second, time.Millisecond, 0, 0},                                                    // started anew
		{time.Second, 2 * time.Millisecond, 1e6, time.Second},                                    // and goes on
		{-time.Hour, 3 * time.Millisecond, 0, 0},                                                 // the clock was set
		{maxRateWindow + time.Hour, time.Hour, 0, 0},                                             // forgotten
		{maxRateWindow - 1, time.Hour + maxRateWindow - 1, 1e9, maxRateWindow - time.Nanosecond}, // just not
	} {
		now = now.Add(s.after)
		u := Usage{At: now, CPU: CPUUsage{Total: s.cpu}}
		c.note("a", &u, now)
		if u.CPU.NanoCores != s.want || u.CPU.Window != s.window {
			t.Errorf("step %d: %d over %v; want %d over %v", i, u.CPU.NanoCores, u.CPU.Window, s.want, s.window)
		}
	}
	// Bounded: those that are gone go.
	for i := range 1000 {
		now = now.Add(maxRateWindow / 100)
		c.note(fmt.Sprint("x", i), &Usage{At: now}, now)
	}
	if len(c.last) > 210 {
		t.Errorf("it remembers %d readings", len(c.last))
	}
}

// An answer without a time, or none at all, is that of a container that does
// not run, if an inspection says so.
func TestEmptyStats(t *testing.T) {
	stopped := `{"read":"0001-01-01T00:00:00Z","memory_stats":{},"name":"/b","id":"x"}`
	for _, tt := range []struct {
		name, text string
		after      func() (container.InspectResponse, error)
		want       error
	}{
		{"no time, ended", stopped, func() (container.InspectResponse, error) { return statsInspect("app", false), nil }, ErrNotRunning},
		{"nothing, ended", "", func() (container.InspectResponse, error) { return statsInspect("app", false), nil }, ErrNotRunning},
		{"no time, gone", stopped, func() (container.InspectResponse, error) {
			return container.InspectResponse{}, notFoundText("no such container")
		}, ErrContainerNotFound},
		{"no time, runs", stopped, func() (container.InspectResponse, error) { return statsInspect("app", true), nil }, ErrBadAnswer},
		{"nothing, runs", "", func() (container.InspectResponse, error) { return statsInspect("app", true), nil }, ErrBadAnswer},
		{"null, runs", "null", func() (container.InspectResponse, error) { return statsInspect("app", true), nil }, ErrBadAnswer},
		{"restarting", stopped, func() (container.InspectResponse, error) {
			info := statsInspect("app", true)
			info.State.Restarting = true
			return info, nil
		}, ErrNotRunning},
		{"half", stopped[:30], nil, ErrBadAnswer},
		{"no JSON", "<html>", nil, ErrBadAnswer},
		{"endless", `{"name":"` + strings.Repeat("x", maxStatsBytes), nil, ErrBadAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &statsEngine{answer: func(string) (string, error) { return tt.text, nil }}
			asked := 0
			e.inspect = func(string) (container.InspectResponse, error) {
				if asked++; asked == 1 {
					return statsInspect("app", true), nil
				}
				return tt.after()
			}
			st, err := New(e).ContainerStats(t.Context(), "app")
			if !errors.Is(err, tt.want) || st.ID != "" {
				t.Errorf("%v, %q; want %v", err, st.ID, tt.want)
			}
			if errors.Is(err, ErrNotRunning) && strings.HasSuffix(err.Error(), "it is running") {
				t.Errorf("error %q contradicts itself", err)
			}
			if e.opened.Load() != e.closed.Load() {
				t.Error("the body was not closed")
			}
		})
	}
	t.Run("one that has ended is not asked for", func(t *testing.T) {
		e := &statsEngine{}
		if _, err := New(e).ContainerStats(t.Context(), "app"); !errors.Is(err, ErrNotRunning) {
			t.Error(err)
		}
	})
	t.Run("an engine without them", func(t *testing.T) {
		type plain struct{ DockerInterface }
		r := New(plain{&statsEngine{running: true}})
		_, one := r.ContainerStats(t.Context(), "app")
		_, all := r.ListContainerStats(t.Context(), Filter{})
		_, pods := r.ListSandboxStats(t.Context(), SandboxFilter{})
		_, size := r.ContainerFSInfo(t.Context(), "app")
		for _, err := range []error{one, all, pods, size} {
			if !errors.Is(err, ErrUnsupported) {
				t.Error(err)
			}
		}
	})
}

// A sandbox that goes after it was looked at is told by what the engine said
// then, and a list is without it.
func TestStatsOfASandboxThatGoes(t *testing.T) {
	gone := func() (container.InspectResponse, error) {
		return container.InspectResponse{}, notFoundText("No such container: sb")
	}
	in := func(word string) func() (container.InspectResponse, error) {
		return func() (container.InspectResponse, error) {
			info := statsInspect("sb", word == "restarting")
			info.State.Status, info.State.Restarting = word, word == "restarting"
			return info, nil
		}
	}
	for _, tt := range []struct {
		name   string
		answer error // of the statistics; nil: empty
		after  func() (container.InspectResponse, error)
		want   error
		text   string
	}{
		{"removed", notFoundText("No such container: sb"), nil, ErrContainerNotFound, "No such container"},
		{"removed, after an empty answer", nil, gone, ErrContainerNotFound, "No such container"},
		{"ended", nil, in("exited"), ErrNotRunning, "it is exited"},
		{"restarts", nil, in("restarting"), ErrNotRunning, "it is restarting"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &statsEngine{answer: func(string) (string, error) { return "", tt.answer }}
			asked := 0
			e.inspect = func(string) (container.InspectResponse, error) {
				if asked++; asked > 1 {
					return tt.after()
				}
				info := statsInspect("sb", true)
				info.Name, info.Config.Labels = "/k8s_POD_web_ns_u1_0", map[string]string{LabelType: TypeSandbox}
				return info, nil
			}
			r := New(e)
			_, err := r.SandboxStats(t.Context(), "sb")
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v; want %v with %q", err, tt.want, tt.text)
			}
			e.list = []container.Summary{statsListed("sb", TypeSandbox, "")}
			if list, err := r.ListSandboxStats(t.Context(), SandboxFilter{}); err != nil || len(list) != 0 {
				t.Errorf("list %v, %v; want none", list, err)
			}
		})
	}
}

// notFoundText is an engine's 404.
type notFoundText string

func (e notFoundText) Error() string { return string(e) }
func (notFoundText) NotFound()       {}

func statsListed(id, kind, sandbox string) container.Summary {
	name := id
	if kind == TypeSandbox {
		name = "POD"
	}
	return container.Summary{
		ID: id, Names: []string{"/k8s_" + name + "_web_ns_u1_0"}, State: "running",
		Labels: map[string]string{LabelType: kind, LabelSandboxID: sandbox},
	}
}

// One that hangs spoils its own entry alone, and not the others' time.
func TestStatsOfManyWhereOneHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &statsEngine{hang: "c3", running: true, answer: func(id string) (string, error) {
			if id == "c4" {
				return "", notFoundText("No such container: c4")
			}
			return statsV2, nil
		}}
		for i := range 12 {
			e.list = append(e.list, statsListed(fmt.Sprint("c", i), TypeContainer, "sb"))
		}
		r := New(e)
		start := time.Now()
		list, err := r.ListContainerStats(t.Context(), Filter{})
		if took := time.Since(start); took != DefaultRequestTimeout/8 {
			t.Errorf("it took %v", took)
		}
		var ids []string
		for _, s := range list {
			ids = append(ids, s.ID)
		}
		if diff := cmp.Diff([]string{"c0", "c1", "c2", "c5", "c6", "c7", "c8", "c9", "c10", "c11"}, ids); diff != "" {
			t.Errorf("containers mismatch (-want +got):\n%s", diff)
		}
		if !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), `container stats "c3"`) || strings.Contains(err.Error(), "c4") {
			t.Errorf("error %v", err)
		}
		if e.opened.Load() != e.closed.Load() {
			t.Error("a body was not closed")
		}

		// In a pod, too.
		e.list = append(e.list[:5:5], statsListed("sb", TypeSandbox, ""))
		pods, err := r.ListSandboxStats(t.Context(), SandboxFilter{})
		if err != nil || len(pods) != 1 || len(pods[0].Containers) != 3 || len(pods[0].Problems) != 1 || !errors.Is(pods[0].Problems[0], ErrTimeout) {
			t.Errorf("pods %+v, %v", pods, err)
		}
		if got := pods[0].Memory; got.Usage != 4000 || got.InactiveFile != 1200 {
			t.Errorf("sum is %+v", got)
		}
		e.hang = "sb"
		pods, err = r.ListSandboxStats(t.Context(), SandboxFilter{})
		if len(pods) != 0 || !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), `sandbox stats "sb"`) {
			t.Errorf("pods %+v, %v", pods, err)
		}

		// The caller's own end is told from it.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		e.hang = "c0"
		list, err = r.ListContainerStats(ctx, Filter{})
		if len(list) != 3 || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrTimeout) {
			t.Errorf("%d, %v", len(list), err)
		}
	})
}

func TestSumUsage(t *testing.T) {
	one := Usage{
		At: epoch, CPU: CPUUsage{Total: 1, User: 2, Kernel: 3, NanoCores: 4, Window: 5, Periods: 6, ThrottledPeriods: 7, ThrottledTime: 8},
		Memory:  MemoryUsage{Usage: 9, Limit: 10, Detailed: true, InactiveFile: 8, RSS: 12, PageFaults: 13, MajorPageFaults: 14, Swap: 15, SwapKnown: true},
		BlockIO: BlockIOUsage{ReadBytes: 16, WrittenBytes: 17, Reads: 18, Writes: 19}, Processes: 20, ProcessLimit: 21,
	}
	two := one
	two.CPU.Window = 3
	want := Usage{
		At: epoch, CPU: CPUUsage{Total: 3, User: 6, Kernel: 9, NanoCores: 12, Window: 3, Periods: 18, ThrottledPeriods: 21, ThrottledTime: 24},
		Memory:  MemoryUsage{Usage: 27, Limit: 20, Detailed: true, InactiveFile: 24, RSS: 36, PageFaults: 39, MajorPageFaults: 42, Swap: 45, SwapKnown: true},
		BlockIO: BlockIOUsage{ReadBytes: 48, WrittenBytes: 51, Reads: 54, Writes: 57}, Processes: 60, ProcessLimit: 42,
	}
	if diff := cmp.Diff(want, sumUsage(one, []ContainerStats{{Usage: one}, {Usage: two}})); diff != "" {
		t.Errorf("sum mismatch (-want +got):\n%s", diff)
	}
	two.Memory.Limit, two.ProcessLimit, two.CPU.Window, two.Memory.Detailed, two.Memory.SwapKnown = 0, 0, 0, false, false
	got := sumUsage(one, []ContainerStats{{Usage: one}, {Usage: two}})
	if got.Memory.Limit != 0 || got.ProcessLimit != 0 || got.CPU.Window != 0 || got.CPU.NanoCores != 0 || got.Memory.Detailed || got.Memory.SwapKnown {
		t.Errorf("what is not known of one is known of all: %+v", got)
	}
	if got := sumUsage(one, nil); got.Memory.Limit != 0 || got.ProcessLimit != 0 {
		t.Errorf("a pod without containers has limits: %+v", got)
	}
}

// sizeEngine takes a while to measure.
type sizeEngine struct {
	statsEngine
	takes          time.Duration
	size           *int64
	asked, at, max atomic.Int32
}

func (e *sizeEngine) ContainerInspectWithRaw(_ context.Context, id string, size bool) (container.InspectResponse, []byte, error) {
	e.asked.Add(1)
	e.max.Store(max(e.max.Load(), e.at.Add(1)))
	time.Sleep(e.takes)
	e.at.Add(-1)
	info := statsInspect(id, true)
	if size {
		info.SizeRw = e.size
	}
	return info, nil, nil
}

func TestContainerFSInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := int64(7)
		e := &sizeEngine{takes: 30 * time.Second, size: &n}
		r := New(e)
		ask := func(id string) ContainerFSInfo {
			fs, err := r.ContainerFSInfo(t.Context(), id)
			if err != nil {
				t.Error(err)
			}
			return fs
		}
		start := time.Now()
		done := make(chan ContainerFSInfo)
		for _, id := range []string{"a", "a", "b"} {
			go func() { done <- ask(id) }()
		}
		for range 3 {
			if fs := <-done; fs.UsedBytes != 7 || fs.RootBytes != 7 || fs.At.Before(start) {
				t.Errorf("%+v", fs)
			}
		}
		if e.asked.Load() != 2 || e.max.Load() != 1 {
			t.Errorf("it was asked %d times, %d at once; want 2, 1", e.asked.Load(), e.max.Load())
		}
		time.Sleep(4 * time.Minute) // ten times as long as it takes
		ask("a")
		ask("b")
		if e.asked.Load() != 2 {
			t.Error("it was measured anew too soon")
		}
		time.Sleep(2 * time.Minute)
		ask("a")
		if e.asked.Load() != 3 || len(r.sizes.kept) != 1 {
			t.Errorf("it was asked %d times, and %d answers are kept", e.asked.Load(), len(r.sizes.kept))
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() { done <- ask("c") }()
		synctest.Wait()
		if _, err := r.ContainerFSInfo(ctx, "d"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller who waits for the turn: %v", err)
		}
		<-done
		e.size = nil
		if _, err := r.ContainerFSInfo(t.Context(), "e"); !errors.Is(err, ErrUnsupported) {
			t.Errorf("no size: %v", err)
		}
	})
}
