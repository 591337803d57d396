package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod"
)

// statsCases are about what containers and pods use.
var statsCases = []testCase{
	{"a running container has stats, of the engine's time and with its identity", func(t *testing.T, w *world) {
		w.needs(t, "stats")
		id := w.up(t, "sleep")
		before := time.Now()
		st := w.stats(t, id)
		status := w.status(t, id)
		equal(t, "identity", status.Container, st.Container)
		if d := st.At.Sub(before).Abs(); d > time.Minute {
			t.Errorf("it was read %v from now", d)
		}
		if st.CPU.Total <= 0 || st.Memory.Usage <= 0 || st.Processes < 1 {
			t.Errorf("usage is %+v", st.Usage)
		}
	}},
	{"the working set is usage without the page cache that can be given up", func(t *testing.T, w *world) {
		w.needs(t, "detailed memory")
		c := w.container("app", "use", "48", "32")
		c.Resources.MemoryLimit = 256 * mib
		id := w.started(t, c)
		w.hears(t, id, "up")
		m := w.stats(t, id).Memory
		set, ok := m.WorkingSet()
		if !ok || set < 48*mib || set > 48*mib+24*mib {
			t.Errorf("working set is %d MiB, %t; want a little more than the 48 that are held", set/mib, ok)
		}
		if m.Usage-set < 24*mib || m.RSS < 48*mib || m.RSS > set+mib {
			t.Errorf("memory is %+v; want some 32 MiB more than the working set of %d", m, set)
		}
		equal(t, "limit", int64(256*mib), m.Limit)
		available, ok := m.Available()
		equal(t, "available", 256*mib-set, available)
		if !ok {
			t.Error("nothing is available")
		}
		w.asTheKernel(t, id, m)
	}},
	{"a container without limits has none in its stats", func(t *testing.T, w *world) {
		w.needs(t, "stats")
		st := w.stats(t, w.up(t, "sleep"))
		equal(t, "memory", int64(0), st.Memory.Limit)
		if _, ok := st.Memory.Available(); ok {
			t.Error("something is available of no limit")
		}
	}},
	{"a limit of processes shows in the stats", func(t *testing.T, w *world) {
		w.needs(t, "stats")
		c := w.container("app", "sleep")
		c.Resources.PidsLimit = 60
		id := w.started(t, c)
		w.hears(t, id, "up")
		limit := int64(60)
		if w.isPodman(t) {
			limit = 0 // its answer has none
		}
		equal(t, "limit", limit, w.stats(t, id).ProcessLimit)
	}},
	{"the second reading has a rate, and CPU time does not go back", func(t *testing.T, w *world) {
		w.needs(t, "stats")
		id := w.up(t, "sleep")
		first := w.stats(t, id)
		equal(t, "window of the first", time.Duration(0), first.CPU.Window)
		time.Sleep(700 * time.Millisecond)
		second := w.stats(t, id)
		if second.CPU.Window < 500*time.Millisecond || second.CPU.NanoCores < 0 || second.CPU.Total < first.CPU.Total {
			t.Errorf("CPU is %+v, and was %+v", second.CPU, first.CPU)
		}
		rate, ok := second.NanoCoresSince(first.Usage)
		if !ok || rate != second.CPU.NanoCores {
			t.Errorf("rate is %d, %t; want %d", rate, ok, second.CPU.NanoCores)
		}
	}},
	{"what does not run has no stats", func(t *testing.T, w *world) {
		w.needs(t, "stats")
		for what, id := range map[string]string{"created": w.alone(t), "ended": w.ended(t, "exit")} {
			if _, err := w.rt.ContainerStats(t.Context(), id); err == nil {
				t.Errorf("%s: no error", what)
			} else {
				fails(t, err, dockpod.ErrNotRunning)
			}
		}
		_, err := w.rt.ContainerStats(t.Context(), w.gone(t))
		fails(t, err, dockpod.ErrContainerNotFound)
		_, err = w.other(t).ContainerStats(t.Context(), w.up(t, "sleep"))
		fails(t, err, dockpod.ErrNotManaged)
	}},
	{"an engine's answer for what does not run has no time, or is empty", func(t *testing.T, w *world) {
		w.needs(t, "stats")
		for _, id := range []string{w.alone(t), w.ended(t, "exit")} {
			text := w.rawStats(t, id)
			if len(bytes.TrimSpace(text)) == 0 {
				continue
			}
			var s container.StatsResponse
			must(t, json.Unmarshal(text, &s))
			if s.Read.Year() > 1 || s.CPUStats.CPUUsage.TotalUsage != 0 || s.MemoryStats.Usage != 0 {
				t.Errorf("the answer is %s", text)
			}
		}
	}},
	{"a one-shot answer has the keys that are read, and no second sample", func(t *testing.T, w *world) {
		w.needs(t, "detailed memory")
		var s map[string]map[string]any
		text := w.rawStats(t, w.up(t, "sleep"))
		_ = json.Unmarshal(text, &s) // some values are no objects
		stats, _ := s["memory_stats"]["stats"].(map[string]any)
		usage, _ := s["cpu_stats"]["cpu_usage"].(map[string]any)
		before, _ := s["precpu_stats"]["cpu_usage"].(map[string]any)
		for what, there := range map[string]bool{
			"cpu_usage": usage["total_usage"] != nil, "usage": s["memory_stats"]["usage"] != nil, "limit": s["memory_stats"]["limit"] != nil,
			"inactive_file": stats["total_inactive_file"] != nil || stats["inactive_file"] != nil,
			"rss":           stats["total_rss"] != nil || stats["anon"] != nil, "pids": s["pids_stats"]["current"] != nil, "pgfault": stats["pgfault"] != nil,
		} {
			if !there {
				t.Errorf("no %s in %s", what, text)
			}
		}
		equal(t, "sample before", any(float64(0)), before["total_usage"])
	}},
	{"a paused container has stats", func(t *testing.T, w *world) {
		w.needs(t, "stats")
		id := w.up(t, "sleep")
		w.pause(t, id)
		if st := w.stats(t, id); st.Memory.Usage <= 0 || st.State != dockpod.StateRunning {
			t.Errorf("stats are %+v", st)
		}
	}},
	{"a pod's stats are the sum of its containers and its sandbox", func(t *testing.T, w *world) {
		w.needs(t, "stats")
		sandbox, s := w.ready(t)
		for _, name := range []string{"b", "a"} {
			c := w.container(name, "use", "8", "0")
			c.Resources.MemoryLimit = 64 * mib
			w.hears(t, w.start(t, sandbox, c, s), "up")
		}
		ended := w.start(t, sandbox, w.container("ended", "exit"), s)
		w.finished(t, ended)
		st, err := w.rt.SandboxStats(t.Context(), sandbox)
		must(t, err)
		equal(t, "sandbox", w.sandboxOf(t, sandbox), st.Sandbox)
		var names []string
		var memory int64
		var cpu time.Duration
		for _, c := range st.Containers {
			names = append(names, c.Name.Container)
			memory, cpu = memory+c.Memory.Usage, cpu+c.CPU.Total
		}
		equal(t, "containers", []string{"a", "b"}, names)
		equal(t, "limit", int64(128*mib), st.Memory.Limit)
		if st.Memory.Usage <= memory || st.Memory.Usage > memory+16*mib || st.CPU.Total <= cpu || st.Problems != nil || st.Processes < 3 {
			t.Errorf("sum is %+v; the containers have %d bytes and %v; problems %v", st.Usage, memory, cpu, st.Problems)
		}
		if w.isPodman(t) {
			return
		}
		if len(st.Networks) != 1 || st.Networks[0].Name != "eth0" {
			t.Errorf("networks are %+v", st.Networks)
		}
	}},
	{"a pod on the node's network has no interfaces in its stats", func(t *testing.T, w *world) {
		w.needs(t, "stats")
		s := w.pod("node")
		s.Namespaces.Network = dockpod.NamespaceNode
		st, err := w.rt.SandboxStats(t.Context(), w.sandbox(t, s))
		must(t, err)
		equal(t, "interfaces", 0, len(st.Networks))
	}},
	{"a sandbox that is not ready has no stats, and its list entry is left out", func(t *testing.T, w *world) {
		w.needs(t, "stats")
		sandbox, _ := w.ready(t)
		other := w.sandbox(t, w.pod("other"))
		must(t, w.rt.StopSandbox(t.Context(), sandbox, 0))
		_, err := w.rt.SandboxStats(t.Context(), sandbox)
		fails(t, err, dockpod.ErrNotRunning)
		list, err := w.rt.ListSandboxStats(t.Context(), dockpod.SandboxFilter{})
		must(t, err)
		var ids []string
		for _, st := range list {
			ids = append(ids, st.ID)
		}
		equal(t, "pods", []string{other}, ids)
		_, err = w.rt.ContainerStats(t.Context(), other)
		fails(t, err, dockpod.ErrNotManaged)
		must(t, w.rt.RemoveSandbox(t.Context(), other))
		_, err = w.rt.SandboxStats(t.Context(), other)
		fails(t, err, dockpod.ErrContainerNotFound)
	}},
	{"a list of stats has what runs and the filter selects", func(t *testing.T, w *world) {
		w.needs(t, "stats")
		sandbox, s := w.ready(t)
		in := w.start(t, sandbox, w.container("in", "sleep"), s)
		out := w.up(t, "sleep")
		w.ended(t, "exit")
		w.alone(t)
		for _, f := range []struct {
			filter dockpod.Filter
			want   []string
		}{
			{dockpod.Filter{}, []string{in, out}},
			{dockpod.Filter{State: dockpod.StateRunning}, []string{in, out}},
			{dockpod.Filter{SandboxID: sandbox}, []string{in}},
			{dockpod.Filter{ID: out}, []string{out}},
		} {
			list, err := w.rt.ListContainerStats(t.Context(), f.filter)
			must(t, err)
			ids := []string{}
			for _, st := range list {
				ids = append(ids, st.ID)
				if st.At.IsZero() || st.Memory.Usage == 0 {
					t.Errorf("an entry is %+v", st)
				}
			}
			equal(t, fmt.Sprintf("%+v", f.filter), sorted(f.want...), sorted(ids...))
		}
		_, err := w.rt.ListContainerStats(t.Context(), dockpod.Filter{State: dockpod.StateExited})
		equal(t, "field", "Filter.State", refused[*dockpod.FieldError](t, err).Field)
	}},
	{"a container's writable layer is measured on request", func(t *testing.T, w *world) {
		w.needs(t, "sizes")
		id := w.started(t, w.container("app", "use", "1", "16"))
		w.hears(t, id, "up")
		fs, err := w.rt.ContainerFSInfo(t.Context(), id)
		must(t, err)
		if fs.UsedBytes < 16*mib || fs.UsedBytes > 17*mib || fs.RootBytes < fs.UsedBytes {
			t.Errorf("it takes %+v; want 16 MiB and the image", fs)
		}
		_, err = w.rt.ContainerFSInfo(t.Context(), w.gone(t))
		fails(t, err, dockpod.ErrContainerNotFound)
		// One that does not run can be measured, too.
		_, err = w.rt.ContainerFSInfo(t.Context(), w.alone(t))
		must(t, err)
	}},
}

func (w *world) stats(t *testing.T, id string) dockpod.ContainerStats {
	t.Helper()
	st, err := w.rt.ContainerStats(t.Context(), id)
	must(t, err)
	return st
}

// rawStats returns the engine's own answer.
func (w *world) rawStats(t *testing.T, id string) []byte {
	t.Helper()
	r, err := w.docker.(dockpod.ContainerStatser).ContainerStatsOneShot(t.Context(), id)
	must(t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	must(t, err)
	return text
}

// sandboxOf returns a sandbox as its status has it.
func (w *world) sandboxOf(t *testing.T, id string) dockpod.Sandbox {
	t.Helper()
	st, err := w.rt.SandboxStatus(t.Context(), id)
	must(t, err)
	return st.Sandbox
}

// asTheKernel compares memory with the files of the container's cgroup, where
// they can be read.
func (w *world) asTheKernel(t *testing.T, id string, m dockpod.MemoryUsage) {
	t.Helper()
	for _, g := range []struct{ dir, usage, inactive, anon string }{
		{"/sys/fs/cgroup/memory/docker/" + id, "memory.usage_in_bytes", "total_inactive_file", "total_rss"},
		{"/sys/fs/cgroup/system.slice/docker-" + id + ".scope", "memory.current", "inactive_file", "anon"},
		{"/sys/fs/cgroup/docker/" + id, "memory.current", "inactive_file", "anon"},
	} {
		usage, err := os.ReadFile(filepath.Join(g.dir, g.usage))
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(g.dir, "memory.stat"))
		must(t, err)
		fields := strings.Fields(string(stat))
		number := func(s string) int64 {
			n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
			must(t, err)
			return n
		}
		of := func(name string) int64 { return number(fields[slices.Index(fields, name)+1]) }
		set, _ := m.WorkingSet()
		for what, diff := range map[string]int64{
			"working set": number(string(usage)) - of(g.inactive) - set, "RSS": of(g.anon) - m.RSS,
		} {
			if max(diff, -diff) > 4*mib {
				t.Errorf("the kernel's %s differs by %d bytes", what, diff)
			}
		}
		t.Logf("compared with %s: usage %s, %s %d, working set %d", g.dir, bytes.TrimSpace(usage), g.inactive, of(g.inactive), set)
		return
	}
}
