package fake

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod"
)

// What Docker 20.10 answered for a container with limits, on cgroup v1, that
// had read and written nothing; and for one that had been stopped.
const (
	realStats = `{"read":"2026-11-25T22:54:31.58991307Z","preread":"0001-01-01T00:00:00Z","pids_stats":{"current":1,"limit":50},"blkio_stats":{"io_service_bytes_recursive":[],"io_serviced_recursive":[],"io_queue_recursive":[],"io_service_time_recursive":[],"io_wait_time_recursive":[],"io_merged_recursive":[],"io_time_recursive":[],"sectors_recursive":[]},"num_procs":0,"storage_stats":{},"cpu_stats":{"cpu_usage":{"total_usage":75800509,"percpu_usage":[25959327,49841182],"usage_in_kernelmode":30000000,"usage_in_usermode":40000000},"system_cpu_usage":2381550000000,"online_cpus":2,"throttling_data":{"periods":3,"throttled_periods":1,"throttled_time":56991538}},"precpu_stats":{"cpu_usage":{"total_usage":0,"usage_in_kernelmode":0,"usage_in_usermode":0},"throttling_data":{"periods":0,"throttled_periods":0,"throttled_time":0}},"memory_stats":{"usage":335872,"max_usage":3956736,"stats":{"active_anon":4096,"active_file":0,"cache":4096,"dirty":0,"hierarchical_memory_limit":33554432,"hierarchical_memsw_limit":67108864,"inactive_anon":0,"inactive_file":4096,"mapped_file":4096,"pgfault":1147,"pgmajfault":0,"pgpgin":878,"pgpgout":876,"rss":4096,"rss_huge":0,"total_active_anon":4096,"total_active_file":0,"total_cache":4096,"total_dirty":0,"total_inactive_anon":0,"total_inactive_file":4096,"total_mapped_file":4096,"total_pgfault":1147,"total_pgmajfault":0,"total_pgpgin":878,"total_pgpgout":876,"total_rss":4096,"total_rss_huge":0,"total_unevictable":0,"total_writeback":0,"unevictable":0,"writeback":0},"limit":33554432},"name":"/dpst-b","id":"e7035f3185a00f6dd8be1a059320e0909edb9b65031c12c8b2d3adbd504f9763","networks":{"eth0":{"rx_bytes":736,"rx_packets":8,"rx_errors":0,"rx_dropped":0,"tx_bytes":0,"tx_packets":0,"tx_errors":0,"tx_dropped":0}}}`

	realStopped = `{"read":"0001-01-01T00:00:00Z","preread":"0001-01-01T00:00:00Z","pids_stats":{},"blkio_stats":{"io_service_bytes_recursive":null,"io_serviced_recursive":null,"io_queue_recursive":null,"io_service_time_recursive":null,"io_wait_time_recursive":null,"io_merged_recursive":null,"io_time_recursive":null,"sectors_recursive":null},"num_procs":0,"storage_stats":{},"cpu_stats":{"cpu_usage":{"total_usage":0,"usage_in_kernelmode":0,"usage_in_usermode":0},"throttling_data":{"periods":0,"throttled_periods":0,"throttled_time":0}},"precpu_stats":{"cpu_usage":{"total_usage":0,"usage_in_kernelmode":0,"usage_in_usermode":0},"throttling_data":{"periods":0,"throttled_periods":0,"throttled_time":0}},"memory_stats":{},"name":"/dpst-b","id":"e7035f3185a00f6dd8be1a059320e0909edb9b65031c12c8b2d3adbd504f9763"}`
)

// shape lists the paths of all keys in a JSON text, with the kind of value.
func shape(t *testing.T, text string) []string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	paths := map[string]bool{}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, w := range v {
				walk(at+"/"+k, w)
			}
		case []any:
			paths[at+" list"] = true
		case nil:
			paths[at+" null"] = true
		case string:
			paths[at+" text"] = true
		case float64:
			paths[at+" number"] = true
		}
	}
	walk("", v)
	return slices.Sorted(maps.Keys(paths))
}

func rawStats(t *testing.T, d *Docker, id string) string {
	t.Helper()
	r, err := d.ContainerStatsOneShot(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func stats(t *testing.T, d *Docker, id string) (s container.StatsResponse) {
	t.Helper()
	if err := json.Unmarshal([]byte(rawStats(t, d, id)), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// metered returns a running container with limits.
func metered(t *testing.T, d *Docker, name, network string) string {
	t.Helper()
	d.AddImage("app:1")
	pids := int64(50)
	resp, err := d.ContainerCreate(t.Context(), &container.Config{Image: "app:1"}, &container.HostConfig{
		NetworkMode: container.NetworkMode(network),
		Resources:   container.Resources{Memory: 32 << 20, PidsLimit: &pids},
	}, nil, nil, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.ContainerStart(t.Context(), resp.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	return resp.ID
}

func TestStatsHaveDockersShape(t *testing.T) {
	d := &Docker{}
	defer d.Close()
	id := metered(t, d, "app", "")
	if diff := cmp.Diff(shape(t, realStats), shape(t, rawStats(t, d, id))); diff != "" {
		t.Errorf("shape mismatch (-Docker +fake):\n%s", diff)
	}
	d.Exit(id, 0)
	if diff := cmp.Diff(shape(t, realStopped), shape(t, rawStats(t, d, id))); diff != "" {
		t.Errorf("shape of a stopped container mismatch (-Docker +fake):\n%s", diff)
	}
}

func TestStatsMoveWithTheClock(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := &Docker{Now: func() time.Time { return now }}
	defer d.Close()
	id := metered(t, d, "sandbox", "")
	member := metered(t, d, "member", "container:"+id)
	host := metered(t, d, "host", "host")

	d.SetUsage(id, Usage{Cores: 0.5, Anon: 10 << 20, ActiveFile: 1 << 20, InactiveFile: 2 << 20, Processes: 7, Receives: 1000, Sends: 10, Reads: 4096, Writes: 1, WritableLayer: 99})
	first := stats(t, d, id)
	now = now.Add(10 * time.Second)
	s := stats(t, d, id)
	if got := s.CPUStats.CPUUsage.TotalUsage - first.CPUStats.CPUUsage.TotalUsage; got != 5e9 || !s.Read.Equal(now) {
		t.Errorf("CPU grew by %d at %v", got, s.Read)
	}
	if m := s.MemoryStats; m.Usage != 13<<20 || m.MaxUsage != 13<<20 || m.Limit != 32<<20 || m.Stats["total_inactive_file"] != 2<<20 || m.Stats["total_rss"] != 10<<20 {
		t.Errorf("memory is %+v", m)
	}
	if s.PidsStats.Current != 7 || s.PidsStats.Limit != 50 || s.Networks["eth0"].RxBytes != 10000 || s.Networks["eth0"].TxBytes != 100 {
		t.Errorf("pids %+v, network %+v", s.PidsStats, s.Networks)
	}
	if b := s.BlkioStats.IoServiceBytesRecursive; len(b) != 6 || b[0].Op != "Read" || b[0].Value != 40960 {
		t.Errorf("block I/O is %+v", b)
	}
	if diff := cmp.Diff(s.Networks, stats(t, d, member).Networks); diff != "" {
		t.Errorf("a container in a pod's network has another (-sandbox +container):\n%s", diff)
	}
	if n := stats(t, d, host).Networks; n != nil {
		t.Errorf("the host's network is %+v", n)
	}

	if err := d.ContainerPause(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	now = now.Add(10 * time.Second)
	if got := stats(t, d, id); got.CPUStats.CPUUsage.TotalUsage != s.CPUStats.CPUUsage.TotalUsage || !got.Read.Equal(now) {
		t.Error("a paused container goes on")
	}
	if err := d.ContainerUnpause(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	now = now.Add(10 * time.Second)
	if got := stats(t, d, id).CPUStats.CPUUsage.TotalUsage - s.CPUStats.CPUUsage.TotalUsage; got != 5e9 {
		t.Errorf("after the pause it grew by %d", got)
	}

	info, raw, err := d.ContainerInspectWithRaw(t.Context(), id, true)
	if err != nil || *info.SizeRw != 99 || *info.SizeRootFs != 99+1<<20 || !json.Valid(raw) {
		t.Errorf("sizes %v, %v, %v", info.SizeRw, info.SizeRootFs, err)
	}
	if info, _, err = d.ContainerInspectWithRaw(t.Context(), id, false); err != nil || info.SizeRw != nil {
		t.Errorf("a size that nobody asked for: %v, %v", info.SizeRw, err)
	}

	d.Exit(id, 0)
	if err := d.ContainerStart(t.Context(), id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	if s := stats(t, d, id); s.CPUStats.CPUUsage.TotalUsage != 40e6 || s.MemoryStats.Usage != 13<<20 || s.Networks["eth0"].RxBytes != 0 {
		t.Errorf("a new run begins with %+v", s)
	}
}

func TestStatsOnCgroupV2(t *testing.T) {
	d := &Docker{CgroupVersion: "2"}
	defer d.Close()
	id := metered(t, d, "app", "")
	d.SetUsage(id, Usage{Anon: 5, ActiveFile: 3, InactiveFile: 2})
	m := stats(t, d, id).MemoryStats
	if m.Usage != 10 || m.MaxUsage != 0 || m.Stats["anon"] != 5 || m.Stats["inactive_file"] != 2 || m.Stats["file"] != 5 {
		t.Errorf("memory is %+v", m)
	}
	if _, ok := m.Stats["total_rss"]; ok {
		t.Error("it has a name of version 1")
	}
	info, err := d.Info(t.Context())
	if err != nil || info.CgroupVersion != "2" {
		t.Errorf("version %q, %v", info.CgroupVersion, err)
	}
}

func TestStatsOfAProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Docker{}
		defer d.Close()
		d.HandleFunc("/bin/main", func(p *Process) int {
			p.SetUsage(Usage{Anon: 77})
			<-p.Done()
			return 0
		})
		id := metered(t, d, "app", "")
		synctest.Wait()
		if got := stats(t, d, id).MemoryStats.Usage; got != 77 {
			t.Errorf("it uses %d", got)
		}
	})
}

// What a user of the library sees, with the rate.
func TestStatsOfThePod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Docker{}
		defer d.Close()
		d.AddImage("app:1")
		rt := dockpod.New(d)
		pod := dockpod.SandboxConfig{Name: "web", Namespace: "ns", UID: "u1"}
		sandbox, err := rt.RunSandbox(t.Context(), pod)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"b", "a", "ended"} {
			id, err := rt.CreateContainer(t.Context(), sandbox, dockpod.ContainerConfig{Name: name, Image: "app:1"}, pod)
			if err != nil {
				t.Fatal(err)
			}
			if err := rt.StartContainer(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			d.SetUsage(id, Usage{Cores: 0.25, Anon: 100, InactiveFile: 10, Processes: 2})
			if name == "ended" {
				d.Exit(id, 1)
			}
		}
		d.SetUsage(sandbox, Usage{Cores: 0.125, Anon: 1, Receives: 100})
		read := func() dockpod.SandboxStats {
			t.Helper()
			st, err := rt.SandboxStats(t.Context(), sandbox)
			if err != nil {
				t.Fatal(err)
			}
			return st
		}
		if st := read(); st.CPU.Window != 0 || st.CPU.NanoCores != 0 {
			t.Errorf("the first reading has a rate: %+v", st.CPU)
		}
		time.Sleep(4 * time.Second)
		st := read()
		set, ok := st.Memory.WorkingSet()
		if st.CPU.NanoCores != 625e6 || st.CPU.Window != 4*time.Second || set != 201 || !ok || st.Processes != 5 || st.Networks[0].RxBytes != 400 {
			t.Errorf("it uses %+v, %+v", st.Usage, st.Networks)
		}
		if len(st.Containers) != 2 || st.Containers[0].Name.Container != "a" || st.Containers[1].CPU.NanoCores != 25e7 || st.Problems != nil {
			t.Errorf("containers %+v", st.Containers)
		}
		list, err := rt.ListSandboxStats(t.Context(), dockpod.SandboxFilter{})
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		if diff := cmp.Diff(st.Usage, list[0].Usage); diff != "" {
			t.Errorf("list and single reading differ (-single +list):\n%s", diff)
		}
	})
}
