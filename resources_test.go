package dockpod

import (
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestUnlimitedSwapOfPodman(t *testing.T) {
	for _, tt := range []struct {
		in     Resources
		podman bool
		want   int64
	}{
		{Resources{MemoryLimit: 64 << 20, MemorySwapLimit: -1}, false, -1},
		{Resources{MemoryLimit: 64 << 20, MemorySwapLimit: -1}, true, unlimitedSwap},
		{Resources{MemoryLimit: 64 << 20}, true, 64 << 20},
		{Resources{MemorySwapLimit: -1}, true, -1}, // there is nothing to be twice of
	} {
		if got := (createSite{podman: tt.podman}).resources(tt.in).MemorySwap; got != tt.want {
			t.Errorf("%+v, on Podman %t: swap is %d; want %d", tt.in, tt.podman, got, tt.want)
		}
	}
}

func TestEngineResources(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   Resources
		want container.Resources
	}{
		{"none", Resources{}, container.Resources{}},
		{"memory alone is memory without swap", Resources{MemoryLimit: 64 << 20}, container.Resources{Memory: 64 << 20, MemorySwap: 64 << 20}},
		{"memory and swap", Resources{MemoryLimit: 64 << 20, MemorySwapLimit: 65 << 20}, container.Resources{Memory: 64 << 20, MemorySwap: 65 << 20}},
		{"unlimited swap", Resources{MemoryLimit: 64 << 20, MemorySwapLimit: -1}, container.Resources{Memory: 64 << 20, MemorySwap: -1}},
		{"CPU", Resources{CPUShares: 2, CPUQuota: -1, CPUPeriod: 1000, CpusetCpus: "0-3,5", CpusetMems: "1"},
			container.Resources{CPUShares: 2, CPUQuota: -1, CPUPeriod: 1000, CpusetCpus: "0-3,5", CpusetMems: "1"}},
		{"processes", Resources{PidsLimit: 5}, container.Resources{PidsLimit: pointerTo[int64](5)}},
		{"unlimited processes", Resources{PidsLimit: -1}, container.Resources{PidsLimit: pointerTo[int64](-1)}},
		{"block I/O", Resources{
			BlkioWeight: 10, BlkioDeviceWeights: []DeviceWeight{{"/dev/a", 20}},
			BlkioReadBps: []DeviceRate{{"/dev/a", 1}}, BlkioWriteBps: []DeviceRate{{"/dev/a", 2}, {"/dev/b", 3}},
			BlkioReadIOps: []DeviceRate{{"/dev/a", 4}}, BlkioWriteIOps: []DeviceRate{{"/dev/a", 5}},
		}, container.Resources{
			BlkioWeight: 10, BlkioWeightDevice: []*blkiodev.WeightDevice{{Path: "/dev/a", Weight: 20}},
			BlkioDeviceReadBps:   []*blkiodev.ThrottleDevice{{Path: "/dev/a", Rate: 1}},
			BlkioDeviceWriteBps:  []*blkiodev.ThrottleDevice{{Path: "/dev/a", Rate: 2}, {Path: "/dev/b", Rate: 3}},
			BlkioDeviceReadIOps:  []*blkiodev.ThrottleDevice{{Path: "/dev/a", Rate: 4}},
			BlkioDeviceWriteIOps: []*blkiodev.ThrottleDevice{{Path: "/dev/a", Rate: 5}},
		}},
		{"files of cgroup v2", Resources{Unified: map[string]string{"memory.max": "67108864", "memory.swap.max": "0", "cpu.max": "50000 200000", "pids.max": "max"}},
			container.Resources{Memory: 64 << 20, MemorySwap: 64 << 20, CPUQuota: 50000, CPUPeriod: 200000, PidsLimit: pointerTo[int64](-1)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, engineResources(tt.in)); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMilliCPU(t *testing.T) {
	for _, tt := range []struct{ milli, shares, quota, period int64 }{
		{math.MinInt64, 2, 0, 0}, {-1, 2, 0, 0}, {0, 2, 0, 0}, {1, 2, 1000, 100000}, {2, 2, 1000, 100000}, {3, 3, 1000, 100000},
		{9, 9, 1000, 100000}, {10, 10, 1000, 100000}, {11, 11, 1100, 100000}, {100, 102, 10000, 100000}, {500, 512, 50000, 100000},
		{1000, 1024, 100000, 100000}, {1500, 1536, 150000, 100000}, {256000, 1 << 18, 25600000, 100000},
		{256001, 1 << 18, 25600100, 100000}, {math.MaxInt64, 1 << 18, math.MaxInt64 / 100 * 100, 100000},
	} {
		if got := MilliCPUToShares(tt.milli); got != tt.shares {
			t.Errorf("shares of %d: got %d, want %d", tt.milli, got, tt.shares)
		}
		if quota, period := MilliCPUToQuota(tt.milli); quota != tt.quota || period != tt.period {
			t.Errorf("quota of %d: got %d in %d, want %d in %d", tt.milli, quota, period, tt.quota, tt.period)
		}
		quota, period := MilliCPUToQuota(tt.milli)
		if err := (&ContainerConfig{Name: "a", Image: "b", Resources: Resources{CPUShares: MilliCPUToShares(tt.milli), CPUQuota: quota, CPUPeriod: period}}).Validate(); err != nil {
			t.Errorf("%d: %v", tt.milli, err)
		}
	}
}

// A copy shares nothing with what it was made of.
func TestPlainIsACopy(t *testing.T) {
	r := fullContainer().Resources
	got := r.plain()
	scribble(reflect.ValueOf(&r).Elem(), false)
	if diff := cmp.Diff(fullContainer().Resources, got); diff != "" {
		t.Errorf("the copy changed (-before +after):\n%s", diff)
	}
}

// What is written can be read back.
func TestResourcesOf(t *testing.T) {
	for _, want := range []Resources{{}, fullContainer().Resources, fullSandbox().Resources, {MemoryLimit: 64 << 20, MemorySwapLimit: -1}} {
		got := resourcesOf(&container.HostConfig{Resources: engineResources(want), OomScoreAdj: want.OOMScoreAdj})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("mismatch (-want +got):\n%s", diff)
		}
	}
	if got := resourcesOf(&container.HostConfig{Resources: container.Resources{Memory: 64 << 20, MemorySwap: unlimitedSwap}}); got.MemorySwapLimit != -1 {
		t.Errorf("the kernel's unlimited swap is shown as %d", got.MemorySwapLimit)
	}
	holes := container.Resources{BlkioWeightDevice: []*blkiodev.WeightDevice{nil}, BlkioDeviceReadBps: []*blkiodev.ThrottleDevice{nil}}
	if diff := cmp.Diff(Resources{}, resourcesOf(&container.HostConfig{Resources: holes})); diff != "" {
		t.Errorf("of an answer with holes (-want +got):\n%s", diff)
	}
}

func TestValidateResources(t *testing.T) {
	rates := func(ds ...DeviceRate) Resources { return Resources{BlkioReadBps: ds, BlkioWriteIOps: ds} }
	for _, tt := range []struct {
		name string
		in   Resources
		want []string
	}{
		{"nothing", Resources{}, nil},
		{"all that there is", fullContainer().Resources, nil},
		{"one share", Resources{CPUShares: 1}, []string{"R.CPUShares"}},
		{"most shares", Resources{CPUShares: 1 << 18}, nil},
		{"more shares", Resources{CPUShares: 1<<18 + 1}, []string{"R.CPUShares"}},
		{"unlimited swap without memory", Resources{MemorySwapLimit: -1}, nil},
		{"light and heavy", Resources{BlkioWeight: 9, BlkioDeviceWeights: []DeviceWeight{{"/a", 0}, {"/b", 1001}, {"/c", 1000}}},
			[]string{"R.BlkioWeight", "R.BlkioDeviceWeights[0].Weight", "R.BlkioDeviceWeights[1].Weight"}},
		{"a device twice", rates(DeviceRate{"/a", 1}, DeviceRate{"//a", 1}), []string{"R.BlkioReadBps[1].Path", "R.BlkioWriteIOps[1].Path"}},
		{"a weight twice", Resources{BlkioDeviceWeights: []DeviceWeight{{"/a", 10}, {"/a/", 10}}}, []string{"R.BlkioDeviceWeights[1].Path"}},
		{"a relative device", rates(DeviceRate{"a", 1}), []string{"R.BlkioReadBps[0].Path", "R.BlkioWriteIOps[0].Path"}},
		{"NUL in a device", rates(DeviceRate{"/\x00", 1}), []string{"R.BlkioReadBps[0].Path", "R.BlkioWriteIOps[0].Path"}},
		{"no rate", rates(DeviceRate{"/a", 0}), []string{"R.BlkioReadBps[0].Rate", "R.BlkioWriteIOps[0].Rate"}},
		{"pages of several sizes", Resources{HugepageLimits: map[string]int64{"2MB": 0, "1GB": 1}}, []string{`R.HugepageLimits["1GB"]!`, `R.HugepageLimits["2MB"]!`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &validator{}
			v.resources("R", tt.in)
			checkFaults(t, v.err(), tt.want)
		})
	}
}

func TestIsCPUList(t *testing.T) {
	for _, good := range []string{"0", "00", "0-0", "0-2,4", "0,0-1", "8191"} {
		if !isCPUList(good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{"", "a", "0-", "-1", "3-1", "0,,1", "0,", ",0", " 0", "0 ", "+1", "0-1-2", "0;1", "8192", "99999999999999999999"} {
		if isCPUList(bad) {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestUnified(t *testing.T) {
	type files = map[string]string
	for _, tt := range []struct {
		name string
		in   Resources
		want Resources
		bad  []string
	}{
		{"none", Resources{}, Resources{}, nil},
		{"memory", Resources{Unified: files{"memory.max": "67108864"}}, Resources{MemoryLimit: 64 << 20}, nil},
		{"all of memory", Resources{Unified: files{"memory.max": "max"}}, Resources{}, nil},
		{"no memory", Resources{Unified: files{"memory.max": "0"}}, Resources{}, []string{`R.Unified["memory.max"]`}},
		{"memory twice", Resources{MemoryLimit: 64 << 20, Unified: files{"memory.max": "67108864"}}, Resources{MemoryLimit: 64 << 20}, []string{`R.Unified["memory.max"]`}},
		{"no swap", Resources{MemoryLimit: 64 << 20, Unified: files{"memory.swap.max": "0"}}, Resources{MemoryLimit: 64 << 20, MemorySwapLimit: 64 << 20}, nil},
		{"swap beside memory", Resources{Unified: files{"memory.max": "67108864", "memory.swap.max": "1048576"}}, Resources{MemoryLimit: 64 << 20, MemorySwapLimit: 65 << 20}, nil},
		{"unlimited swap", Resources{MemoryLimit: 64 << 20, Unified: files{"memory.swap.max": "max"}}, Resources{MemoryLimit: 64 << 20, MemorySwapLimit: -1}, nil},
		{"no swap without a limit of memory", Resources{Unified: files{"memory.swap.max": "0"}}, Resources{}, []string{`R.Unified["memory.swap.max"]!`}},
		{"swap twice", Resources{MemoryLimit: 64 << 20, MemorySwapLimit: -1, Unified: files{"memory.swap.max": "0"}}, Resources{MemoryLimit: 64 << 20, MemorySwapLimit: -1}, []string{`R.Unified["memory.swap.max"]`}},
		{"too much swap", Resources{MemoryLimit: 64 << 20, Unified: files{"memory.swap.max": "9223372036854775807"}}, Resources{MemoryLimit: 64 << 20}, []string{`R.Unified["memory.swap.max"]`}},
		{"processes", Resources{Unified: files{"pids.max": "7"}}, Resources{PidsLimit: 7}, nil},
		{"any number of processes", Resources{Unified: files{"pids.max": "max"}}, Resources{PidsLimit: -1}, nil},
		{"no processes", Resources{Unified: files{"pids.max": "0"}}, Resources{}, []string{`R.Unified["pids.max"]!`}},
		{"processes twice", Resources{PidsLimit: 1, Unified: files{"pids.max": "2"}}, Resources{PidsLimit: 1}, []string{`R.Unified["pids.max"]`}},
		{"quota", Resources{Unified: files{"cpu.max": "50000"}}, Resources{CPUQuota: 50000, CPUPeriod: 100000}, nil},
		{"quota and period", Resources{Unified: files{"cpu.max": "50000 20000\n"}}, Resources{CPUQuota: 50000, CPUPeriod: 20000}, nil},
		{"period alone", Resources{Unified: files{"cpu.max": "max 20000"}}, Resources{CPUQuota: -1, CPUPeriod: 20000}, nil},
		{"quota twice", Resources{CPUPeriod: 20000, Unified: files{"cpu.max": "max"}}, Resources{CPUPeriod: 20000}, []string{`R.Unified["cpu.max"]`}},
		{"CPUs", Resources{Unified: files{"cpuset.cpus": "0-1", "cpuset.mems": "0"}}, Resources{CpusetCpus: "0-1", CpusetMems: "0"}, nil},
		{"CPUs twice", Resources{CpusetCpus: "0", CpusetMems: "0", Unified: files{"cpuset.cpus": "0", "cpuset.mems": "0"}}, Resources{CpusetCpus: "0", CpusetMems: "0"},
			[]string{`R.Unified["cpuset.cpus"]`, `R.Unified["cpuset.mems"]`}},
		{"what no field sets exactly", Resources{Unified: files{"cpu.weight": "100", "memory.high": "1", "memory.oom.group": "1"}}, Resources{},
			[]string{`R.Unified["cpu.weight"]!`, `R.Unified["memory.high"]!`, `R.Unified["memory.oom.group"]!`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &validator{}
			given := maps.Clone(tt.in.Unified)
			got := v.unified("R", tt.in)
			checkFaults(t, v.err(), tt.bad)
			if len(tt.bad) == 0 {
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("mismatch (-want +got):\n%s", diff)
				}
			}
			if diff := cmp.Diff(given, tt.in.Unified); diff != "" {
				t.Errorf("the caller's map changed (-before +after):\n%s", diff)
			}
		})
	}
	for _, file := range []string{"memory.max", "memory.swap.max", "pids.max", "cpu.max"} {
		for _, value := range []string{"", "-1", "a", "1.5", "0x10", "max 1 2", "1 a", "1 -1"} {
			v := &validator{}
			v.unified("R", Resources{Unified: files{file: value}})
			checkFaults(t, v.err(), []string{`R.Unified["` + file + `"]`})
		}
	}
}

func TestCgroupParent(t *testing.T) {
	for _, tt := range []struct {
		driver, parent, want string
		bad                  []string
	}{
		{"cgroupfs", "/a/b", "/a/b", nil},
		{"cgroupfs", "/a.slice", "/a.slice", nil},
		{"cgroupfs", "", "", nil},
		{"", "/a/b", "/a/b", nil},
		{"none", "", "", nil},
		{"none", "/a", "", []string{"F!"}},
		{"systemd", "", "", nil},
		{"systemd", "/a.slice/a-b.slice", "a-b.slice", nil},
		{"systemd", "a-b.slice", "a-b.slice", nil},
		{"systemd", "/a.slice/a-b.slice/", "a-b.slice", nil},
		{"systemd", "/kubepods/burstable/pod1234", "kubepods-burstable-pod1234.slice", nil},
		{"systemd", "/kubepods/besteffort/pod12-34-ab", "kubepods-besteffort-pod12_34_ab.slice", nil},
		{"systemd", "kubepods", "kubepods.slice", nil},
		{"systemd", "/a/b/", "a-b.slice", nil},
		{"systemd", "//a//b", "a-b.slice", nil},
		{"systemd", "/", "", []string{"F"}},
		{"systemd", "/a.slice/b", "", []string{"F"}},
		{"systemd", "/a.slice/b.scope", "", []string{"F"}},
		{"systemd", "/.slice", "", []string{"F"}},
		{"systemd", "/-.slice", "", []string{"F"}},
		{"systemd", "/a--b.slice", "", []string{"F"}},
		{"systemd", "/a-.slice", "", []string{"F"}},
		{"systemd", "/a b", "", []string{"F"}},
		{"systemd", "a.slice:docker:b", "", []string{"F"}},
	} {
		v := &validator{}
		got := v.cgroupParent("F", tt.driver, tt.parent)
		if diff := cmp.Diff(tt.bad, faults(v.err()), cmpopts.EquateEmpty()); diff != "" || got != tt.want {
			t.Errorf("%s, %s: got %q, want %q; faults (-want +got):\n%s", tt.driver, tt.parent, got, tt.want, diff)
		}
	}
}

// The warnings of Docker 19.03 to 28.5.
func TestDiscardedField(t *testing.T) {
	for text, want := range map[string]string{
		"Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.":                          "MemoryLimit",
		"Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.":                     "MemorySwapLimit",
		"Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.":                            "PidsLimit",
		"Your kernel does not support pids limit capabilities or the cgroup is not mounted. PIDs limit discarded.":                            "PidsLimit",
		"Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.":                                             "CPUShares",
		"Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.":                                                         "CPUQuota",
		"Your kernel does not support CPU cfs quota or the cgroup is not mounted. Quota discarded.":                                           "CPUQuota",
		"Your kernel does not support CPU cfs period or the cgroup is not mounted. Period discarded.":                                         "CPUPeriod",
		"Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.":                                                 "CpusetCpus",
		"Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.":                                       "BlkioWeight",
		"Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.":                         "BlkioDeviceWeights",
		"Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.":             "BlkioReadBps",
		"Your kernel does not support BPS Block I/O write limit or the cgroup is not mounted. Block I/O BPS write limit discarded.":           "BlkioWriteBps",
		"Your kernel does not support IOPS Block read limit or the cgroup is not mounted. Block I/O IOPS read limit discarded.":               "BlkioReadIOps",
		"Your kernel does not support IOPS Block write limit or the cgroup is not mounted. Block I/O IOPS write limit discarded.":             "BlkioWriteIOps",
		"Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.":                     "",
		"Your kernel does not support OomKillDisable. OomKillDisable discarded.":                                                              "",
		"OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.":       "",
		"Published ports are discarded when using host network mode":                                                                          "",
		"IPv4 forwarding is disabled. Networking will not work.":                                                                              "",
		"The requested image's platform (linux/arm64) does not match the detected host platform (linux/amd64) and no specific platform was …": "",
		"Image mount is an experimental feature":                                                                                              "",
		"":                                                                                                                                    "",
	} {
		if got := discardedField(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// Each field that an engine may drop is looked for, in what was asked and in
// what the engine has kept.
func TestHolds(t *testing.T) {
	full := fullContainer().Resources
	for _, d := range discards {
		if !full.asks(d.field) || (Resources{}).asks(d.field) {
			t.Errorf("%s: asked for %t in everything, %t in nothing", d.field, full.asks(d.field), (Resources{}).asks(d.field))
		}
	}
	if (Resources{}).asks("") || full.asks("Other") {
		t.Error("a field that is none is asked for")
	}
	kept := &container.HostConfig{Resources: engineResources(full)}
	if !holds(full, kept) || !holds(Resources{}, nil) || holds(full, nil) {
		t.Error("what is kept is not told from what is not")
	}
	for name, drop := range map[string]func(*container.HostConfig){
		"weight": func(h *container.HostConfig) { h.BlkioWeight = 0 },
		"rates":  func(h *container.HostConfig) { h.BlkioDeviceWriteIOps = nil },
		"memory": func(h *container.HostConfig) { h.Memory, h.MemorySwap = 0, -1 },
		"swap":   func(h *container.HostConfig) { h.MemorySwap = -1 },
		"pids":   func(h *container.HostConfig) { h.PidsLimit = nil },
	} {
		h := &container.HostConfig{Resources: engineResources(full)}
		drop(h)
		if holds(full, h) {
			t.Errorf("%s: not missed", name)
		}
	}
	// Without a word about swap none was asked for that could be dropped.
	if !holds(Resources{MemoryLimit: 64 << 20}, &container.HostConfig{Resources: container.Resources{Memory: 64 << 20, MemorySwap: -1}}) {
		t.Error("a swap limit is missed that nobody asked for")
	}
}

func TestPlanUpdate(t *testing.T) {
	const mib = 1 << 20
	res := func(memory, swap int64) *container.Resources {
		return &container.Resources{Memory: memory * mib, MemorySwap: swap * mib}
	}
	free := func(memory int64) *container.Resources {
		return &container.Resources{Memory: memory * mib, MemorySwap: unlimitedSwap}
	}
	for _, tt := range []struct {
		name         string
		now          container.Resources
		want         Resources
		memory, undo *container.Resources
		rest         *container.Resources
		bad          []string
	}{
		{"nothing", *res(64, 64), Resources{}, nil, nil, nil, nil},
		{"a first limit is without swap", container.Resources{}, Resources{MemoryLimit: 64 * mib}, res(64, 64), nil, nil, nil},
		{"without swap it stays so, up", *res(64, 64), Resources{MemoryLimit: 128 * mib}, res(128, 128), res(64, 64), nil, nil},
		{"and down", *res(64, 64), Resources{MemoryLimit: 32 * mib}, res(32, 32), res(64, 64), nil, nil},
		{"another swap limit stays, up to it", *res(64, 128), Resources{MemoryLimit: 128 * mib}, res(128, 128), res(64, 128), nil, nil},
		{"and down", *res(64, 128), Resources{MemoryLimit: 32 * mib}, res(32, 128), res(64, 128), nil, nil},
		{"but not beyond it", *res(64, 128), Resources{MemoryLimit: 129 * mib}, nil, nil, nil, []string{"Resources.MemorySwapLimit"}},
		{"both", *res(64, 128), Resources{MemoryLimit: 129 * mib, MemorySwapLimit: 200 * mib}, res(129, 200), res(64, 128), nil, nil},
		{"swap alone goes with the memory there is", *res(64, 64), Resources{MemorySwapLimit: 100 * mib}, res(64, 100), res(64, 64), nil, nil},
		{"swap below the memory there is", *res(64, 64), Resources{MemorySwapLimit: 63 * mib}, nil, nil, nil, []string{"Resources.MemorySwapLimit"}},
		{"swap without memory", container.Resources{}, Resources{MemorySwapLimit: 64 * mib}, nil, nil, nil, []string{"Resources.MemorySwapLimit"}},
		{"unlimited swap", *res(64, 64), Resources{MemorySwapLimit: -1}, free(64), res(64, 64), nil, nil},
		{"unlimited swap without memory is there", container.Resources{}, Resources{MemorySwapLimit: -1}, nil, nil, nil, nil},
		{"unlimited swap stays", container.Resources{Memory: 64 * mib, MemorySwap: -1}, Resources{MemoryLimit: 128 * mib}, free(128), free(64), nil, nil},
		{"and that of an update too", *free(64), Resources{MemoryLimit: 32 * mib}, free(32), free(64), nil, nil},
		{"unlimited swap without memory stays", container.Resources{MemorySwap: -1}, Resources{MemoryLimit: 32 * mib}, free(32), nil, nil, nil},
		{"an end of unlimited swap", container.Resources{Memory: 64 * mib, MemorySwap: -1}, Resources{MemorySwapLimit: 64 * mib}, res(64, 64), free(64), nil, nil},
		{"the rest follows", *res(64, 64), Resources{MemoryLimit: 32 * mib, CPUShares: 2, PidsLimit: -1}, res(32, 32), res(64, 64),
			&container.Resources{CPUShares: 2, PidsLimit: pointerTo[int64](-1)}, nil},
		{"the rest alone", *res(64, 64), Resources{CPUPeriod: 1000, CpusetMems: "0"}, nil, nil, &container.Resources{CPUPeriod: 1000, CpusetMems: "0"}, nil},
		{"no limit of processes alone", *res(64, 64), Resources{PidsLimit: -1}, nil, nil, &container.Resources{PidsLimit: pointerTo[int64](-1)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := planUpdate(tt.now, tt.want)
			checkFaults(t, err, tt.bad)
			if diff := cmp.Diff(updatePlan{tt.memory, tt.undo, tt.rest}, got, cmp.AllowUnexported(updatePlan{})); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGates(t *testing.T) {
	v := &validator{}
	full := fullContainer().Resources
	gateLimits(v, full, Limits{})
	checkFaults(t, v.err(), []string{
		"Resources.MemoryLimit!", "Resources.MemorySwapLimit!", "Resources.CPUShares!", "Resources.CPUQuota!", "Resources.CpusetCpus!", "Resources.PidsLimit!",
	})
	v = &validator{}
	gateLimits(v, full, Limits{true, true, true, true, true, true})
	gateLimits(v, Resources{MemorySwapLimit: -1, PidsLimit: -1}, Limits{})
	checkFaults(t, v.err(), nil)

	v = &validator{}
	v.update("Resources", full)
	for _, f := range []string{"OOMScoreAdj", "BlkioWeight", "BlkioDeviceWeights", "BlkioReadBps", "BlkioWriteBps", "BlkioReadIOps", "BlkioWriteIOps"} {
		if !slices.Contains(faults(v.err()), "Resources."+f+"!") {
			t.Errorf("an update of %s is not refused", f)
		}
	}
	if n := len(faults(v.err())); n != 7 {
		t.Errorf("%d faults: %v", n, v.err())
	}
	if strings.Contains(v.err().Error(), "Unified") {
		t.Error(v.err())
	}
}
