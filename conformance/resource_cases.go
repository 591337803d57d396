package conformance

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod"
)

const mib = 1 << 20

var resourceCases = []testCase{
	// In force.

	{"limits are the kernel's", func(t *testing.T, w *world) {
		w.needs(t, "cgroup files")
		w.needs(t, "swap limits")
		c := w.container("app", "sleep")
		c.Resources = dockpod.Resources{
			MemoryLimit: 64 * mib, MemorySwapLimit: 96 * mib, CPUShares: 256, CPUQuota: 50000, CPUPeriod: 200000, CpusetCpus: "0", CpusetMems: "0", PidsLimit: 20,
		}
		id := w.started(t, c)
		w.inForce(t, id, "memory", 64*mib)
		w.inForce(t, id, "swap", 96*mib)
		w.inForce(t, id, "shares", 256)
		w.inForce(t, id, "quota", "50000 200000")
		w.inForce(t, id, "cpus", 0)
		w.inForce(t, id, "mems", 0)
		w.inForce(t, id, "pids", 20)
	}},
	{"without a word of swap the kernel allows none, and with -1 any", func(t *testing.T, w *world) {
		w.needs(t, "cgroup files")
		w.needs(t, "swap limits")
		c := w.container("none", "sleep")
		c.Resources.MemoryLimit = 64 * mib
		w.inForce(t, w.started(t, c), "swap", 64*mib)
		c.Name, c.Resources.MemorySwapLimit = "any", -1
		id := w.started(t, c)
		w.inForce(t, id, "swap", "max")
		equal(t, "in the status", int64(-1), w.status(t, id).Resources.MemorySwapLimit)
	}},
	{"the pod's cgroup holds its containers", func(t *testing.T, w *world) {
		w.needs(t, "cgroup files")
		info, err := w.rt.Info(t.Context())
		must(t, err)
		s, want := w.pod("pod"), "/"+w.owner+"/burstable/pod"
		s.CgroupParent = want
		if info.CgroupDriver == "systemd" {
			want = strings.ReplaceAll(w.owner, "-", "_") + "-burstable-pod.slice"
		}
		t.Cleanup(func() { w.removeAll(t); dropCgroups(w.owner) })
		sandbox := w.sandbox(t, s)
		id := w.start(t, sandbox, w.container("app", "sleep"), s)
		st, err := w.rt.SandboxStatus(t.Context(), sandbox)
		must(t, err)
		for _, pid := range []int{st.PID, w.status(t, id).PID} {
			if dir, _ := cgroupDir(pid, "memory"); !strings.Contains(dir, want+"/") {
				t.Errorf("process %d is in %s; want it in %s", pid, dir, want)
			}
		}
		equal(t, "as it is remembered", s.CgroupParent, st.Config.CgroupParent)
	}},
	{"the rates of a block device are in force", func(t *testing.T, w *world) {
		w.needs(t, "cgroup files")
		w.needs(t, "classes")
		disk := blockDevice(t)
		c := w.container("app", "sleep")
		c.Resources = dockpod.Resources{
			BlkioReadBps: []dockpod.DeviceRate{{Path: disk, Rate: 1 << 20}}, BlkioWriteBps: []dockpod.DeviceRate{{Path: disk, Rate: 2 << 20}},
			BlkioReadIOps: []dockpod.DeviceRate{{Path: disk, Rate: 100}}, BlkioWriteIOps: []dockpod.DeviceRate{{Path: disk, Rate: 200}},
		}
		id := w.started(t, c)
		equal(t, "in the status", c.Resources, w.status(t, id).Resources)
		w.inForce(t, id, "rates", "1048576 2097152 100 200")
	}},
	{"a weight of block I/O is in force, or refused by name", func(t *testing.T, w *world) {
		w.needs(t, "exact inspections")
		c := w.container("app")
		c.Resources.BlkioWeight = 300
		id, err := w.rt.CreateContainer(t.Context(), "", c, w.pod("alone"))
		if err == nil {
			equal(t, "weight", 300, int(w.raw(t, id).HostConfig.BlkioWeight))
			return
		}
		equal(t, "field", "Resources.BlkioWeight", refused[*dockpod.UnsupportedError](t, err).Field)
		equal(t, "left behind", []string{}, w.ids(t, dockpod.Filter{}))
	}},
	{"a file of cgroup v2 is in force, or refused by name", func(t *testing.T, w *world) {
		info, err := w.rt.Info(t.Context())
		must(t, err)
		c := w.container("app")
		c.Resources.Unified = map[string]string{"pids.max": "25", "cpu.max": "50000 200000"}
		if info.CgroupVersion == "2" {
			want := dockpod.Resources{PidsLimit: 25, CPUQuota: 50000, CPUPeriod: 200000}
			equal(t, "in the status", want, w.status(t, w.made(t, c)).Resources)
			return
		}
		equal(t, "field", `Resources.Unified["cpu.max"]`, refused[*dockpod.UnsupportedError](t, w.unmade(t, c)).Field)
	}},
	{"CDI devices are refused where there is no driver for them", func(t *testing.T, w *world) {
		info, err := w.rt.Info(t.Context())
		must(t, err)
		if info.CDI {
			t.Skip("the engine has a driver for CDI devices, and this machine none that is known")
		}
		c := w.container("app")
		c.CDIDevices = []string{"vendor.test/gpu=0"}
		equal(t, "field", "CDIDevices", refused[*dockpod.UnsupportedError](t, w.unmade(t, c)).Field)
	}},
	{"shared memory is the pod's, of the size that the pod asks for", func(t *testing.T, w *world) {
		s := w.pod("pod")
		s.ShmSize = 8 * mib
		sandbox := w.sandbox(t, s)
		equal(t, "of the sandbox", 8*mib, int(w.raw(t, sandbox).HostConfig.ShmSize))
		st, err := w.rt.SandboxStatus(t.Context(), sandbox)
		must(t, err)
		equal(t, "as it is remembered", 8*mib, int(st.Config.ShmSize))
		c := w.container("app")
		c.ShmSize = 16 * mib
		_, err = w.rt.CreateContainer(t.Context(), sandbox, c, s)
		equal(t, "field", "ShmSize", refused[*dockpod.FieldError](t, err).Field)
	}},

	// Devices.

	{"a device that is not there is refused before the engine is asked", func(t *testing.T, w *world) {
		w.needs(t, "local files")
		c := w.container("app")
		c.Devices = []dockpod.Device{{HostPath: "/dev/null"}, {HostPath: "/dev/dockpod-none"}}
		_, err := w.with(dockpod.WithHostRoot("/")).CreateContainer(t.Context(), "", c, w.pod("alone"))
		equal(t, "field", "Devices[1].HostPath", refused[*dockpod.FieldError](t, err).Field)
		equal(t, "left behind", []string{}, w.ids(t, dockpod.Filter{}))
	}},
	{"an agent beside the engine need not be told that it sees its host", func(t *testing.T, w *world) {
		w.needs(t, "cgroup files")
		c := w.container("app")
		c.Devices = []dockpod.Device{{HostPath: "/dev/dockpod-none"}}
		equal(t, "field", "Devices[0].HostPath", refused[*dockpod.FieldError](t, w.unmade(t, c)).Field)
	}},
	{"a directory of devices is given with what is in it, and one without any is refused", func(t *testing.T, w *world) {
		w.needs(t, "local files")
		if _, err := os.Stat("/dev/net/tun"); err != nil {
			t.Skip("this machine has no /dev/net/tun, the directory with one device that most have")
		}
		rt := w.with(dockpod.WithHostRoot("/"))
		c := w.container("app", "print", "fine")
		c.Devices = []dockpod.Device{{HostPath: "/dev/net"}}
		id, err := rt.CreateContainer(t.Context(), "", c, w.pod("alone"))
		must(t, err)
		w.run(t, id)
		equal(t, "exit code", 0, w.finished(t, id).ExitCode)
		c.Name, c.Devices[0].HostPath = "other", t.TempDir()
		_, err = rt.CreateContainer(t.Context(), "", c, w.pod("alone"))
		equal(t, "field", "Devices[0].HostPath", refused[*dockpod.FieldError](t, err).Field)
	}},

	// Changed in place.

	{"memory and swap go up and down in any order", func(t *testing.T, w *world) {
		w.needs(t, "updates")
		w.needs(t, "swap limits")
		files := w.has(t, "cgroup files")
		id := w.up(t, "sleep")
		type limits struct{ memory, swap int64 }
		for _, step := range []struct{ give, want limits }{
			{limits{64 * mib, 0}, limits{64 * mib, 64 * mib}},            // from none at all
			{limits{128 * mib, 0}, limits{128 * mib, 128 * mib}},         // up, and no swap stays none
			{limits{0, 512 * mib}, limits{128 * mib, 512 * mib}},         // swap alone
			{limits{32 * mib, 256 * mib}, limits{32 * mib, 256 * mib}},   // down, both
			{limits{64 * mib, 0}, limits{64 * mib, 256 * mib}},           // a swap limit stays
			{limits{512 * mib, 512 * mib}, limits{512 * mib, 512 * mib}}, // up beyond the old swap
			{limits{64 * mib, 1024 * mib}, limits{64 * mib, 1024 * mib}}, // crosswise
			{limits{512 * mib, 512 * mib}, limits{512 * mib, 512 * mib}}, // and back
			{limits{0, -1}, limits{512 * mib, -1}},                       // unlimited
			{limits{1024 * mib, 0}, limits{1024 * mib, -1}},              // and stays so
			{limits{64 * mib, 64 * mib}, limits{64 * mib, 64 * mib}},     // an end of that
			{limits{32 * mib, -1}, limits{32 * mib, -1}},
		} {
			must(t, w.rt.UpdateContainer(t.Context(), id, dockpod.Resources{MemoryLimit: step.give.memory, MemorySwapLimit: step.give.swap}))
			res := w.status(t, id).Resources
			equal(t, fmt.Sprintf("after %v", step.give), []int64{step.want.memory, step.want.swap}, []int64{res.MemoryLimit, res.MemorySwapLimit})
			if !files {
				continue
			}
			w.inForce(t, id, "memory", step.want.memory)
			if step.want.swap == -1 {
				w.inForce(t, id, "swap", "max")
			} else {
				w.inForce(t, id, "swap", step.want.swap)
			}
		}
		err := w.rt.UpdateContainer(t.Context(), id, dockpod.Resources{MemorySwapLimit: 16 * mib})
		equal(t, "field", "Resources.MemorySwapLimit", refused[*dockpod.FieldError](t, err).Field)
	}},
	{"the other limits are changed too, and unsaid ones stay", func(t *testing.T, w *world) {
		w.needs(t, "updates")
		c := w.container("app", "sleep")
		c.Resources = dockpod.Resources{CPUShares: 256, CPUQuota: 20000, CPUPeriod: 100000, CpusetCpus: "0", PidsLimit: 20}
		id := w.started(t, c)
		must(t, w.rt.UpdateContainer(t.Context(), id, dockpod.Resources{CPUShares: 2, CPUQuota: -1, PidsLimit: 30}))
		want := dockpod.Resources{CPUShares: 2, CPUQuota: -1, CPUPeriod: 100000, CpusetCpus: "0", PidsLimit: 30}
		equal(t, "in the status", want, w.status(t, id).Resources)
		files := w.has(t, "cgroup files")
		if files {
			w.inForce(t, id, "shares", 2)
			w.inForce(t, id, "quota", "max 100000")
			w.inForce(t, id, "pids", 30)
		}
		must(t, w.rt.UpdateContainer(t.Context(), id, dockpod.Resources{PidsLimit: -1, CPUQuota: 30000, CPUPeriod: 50000}))
		if files {
			w.inForce(t, id, "pids", "max")
			w.inForce(t, id, "quota", "30000 50000")
			w.inForce(t, id, "shares", 2)
			w.inForce(t, id, "cpus", 0)
		}
	}},
	{"a container that does not run yet runs with the new limits", func(t *testing.T, w *world) {
		w.needs(t, "updates")
		w.needs(t, "swap limits")
		c := w.container("app", "sleep")
		c.Resources.MemoryLimit = 64 * mib
		id := w.made(t, c)
		must(t, w.rt.UpdateContainer(t.Context(), id, dockpod.Resources{MemoryLimit: 128 * mib, MemorySwapLimit: -1}))
		w.run(t, id)
		res := w.status(t, id).Resources
		equal(t, "in the status", []int64{128 * mib, -1}, []int64{res.MemoryLimit, res.MemorySwapLimit})
		if w.has(t, "cgroup files") {
			w.inForce(t, id, "memory", 128*mib)
			w.inForce(t, id, "swap", "max")
		}
	}},
	{"memory that is in use is not taken away, and nothing else is changed", func(t *testing.T, w *world) {
		w.needs(t, "updates")
		w.needs(t, "swap limits")
		w.needs(t, "cgroup files")
		if !onCgroupV1() {
			t.Skip("with cgroup v2 the kernel takes the memory back")
		}
		c := w.container("app", "sleep")
		c.Resources = dockpod.Resources{MemoryLimit: 128 * mib, MemorySwapLimit: 128 * mib, CPUShares: 512, CpusetCpus: "0", PidsLimit: 100}
		id := w.started(t, c)
		before := w.status(t, id).Resources
		fill(t, w.status(t, id).PID)
		for _, swap := range []int64{0, 48 * mib, 512 * mib} { // the second and third are written in another order
			err := w.rt.UpdateContainer(t.Context(), id, dockpod.Resources{MemoryLimit: 32 * mib, MemorySwapLimit: swap, CPUShares: 2, PidsLimit: 50})
			fails(t, err, dockpod.ErrMemoryInUse)
			if !errdefs.IsFailedPrecondition(err) {
				t.Errorf("the class of %v is another one", err)
			}
			equal(t, "in the status", before, w.status(t, id).Resources)
			w.inForce(t, id, "memory", 128*mib)
			w.inForce(t, id, "swap", 128*mib)
			w.inForce(t, id, "shares", 512)
			w.inForce(t, id, "pids", 100)
		}
	}},
	{"what an engine cannot change is refused by name", func(t *testing.T, w *world) {
		w.needs(t, "updates")
		id := w.alone(t)
		for field, res := range map[string]dockpod.Resources{
			"Resources.OOMScoreAdj":           {OOMScoreAdj: 5},
			"Resources.BlkioWeight":           {BlkioWeight: 500},
			"Resources.BlkioReadBps":          {BlkioReadBps: []dockpod.DeviceRate{{Path: "/dev/vda", Rate: 1}}},
			`Resources.HugepageLimits["2MB"]`: {HugepageLimits: map[string]int64{"2MB": 0}},
		} {
			equal(t, "field", field, refused[*dockpod.UnsupportedError](t, w.rt.UpdateContainer(t.Context(), id, res)).Field)
		}
	}},

	// The engine by itself, which a double has to repeat.

	{"the engine refuses limits that cannot be", func(t *testing.T, w *world) {
		w.needs(t, "classes")
		for _, res := range []container.Resources{
			{Memory: 6*mib - 1}, {Memory: 64 * mib, MemorySwap: 63 * mib}, {MemorySwap: 64 * mib},
			{CPUQuota: 999}, {CPUPeriod: 999}, {CPUPeriod: 1000001}, {CPUPeriod: -1},
			{CpusetCpus: "0-"}, {CpusetCpus: "3-1"}, {CpusetCpus: "0,,1"}, {CpusetCpus: "0,"}, {CpusetCpus: " 0"}, {CpusetCpus: "4095"}, {CpusetCpus: "99999"}, {CpusetMems: "63"},
		} {
			if err := w.engineMakes(t, res, false); !errdefs.IsInvalidArgument(err) {
				t.Errorf("%+v: error is %v", res, err)
			}
		}
	}},
	{"the engine's runtime refuses limits at the start", func(t *testing.T, w *world) {
		w.needs(t, "classes")
		none := "/dev/dockpod-none"
		for _, res := range []container.Resources{
			{CPUShares: 1}, {CPUShares: -1}, {CPUShares: 1<<18 + 1},
			{BlkioDeviceReadBps: []*blkiodev.ThrottleDevice{{Path: none, Rate: 1}}},
			{Devices: []container.DeviceMapping{{PathOnHost: none, PathInContainer: "/dev/x", CgroupPermissions: "rwm"}}},
			{Devices: []container.DeviceMapping{{PathOnHost: "/dev/null", PathInContainer: "/dev/x"}}},
			{DeviceRequests: []container.DeviceRequest{{Driver: "dockpod-none", DeviceIDs: []string{"a/b=c"}}}},
			{Ulimits: []*container.Ulimit{{Name: "none", Soft: 1, Hard: 1}}},
		} {
			if err := w.engineMakes(t, res, true); !errdefs.IsInternal(err) {
				t.Errorf("%+v: error is %v", res, err)
			}
		}
	}},
	{"the engine takes limits that look odd", func(t *testing.T, w *world) {
		w.needs(t, "classes")
		zero, minus := int64(0), int64(-1)
		for _, res := range []container.Resources{
			{MemorySwap: -1}, {CPUQuota: -1}, {CPUQuota: 400000, CPUPeriod: 1000}, {PidsLimit: &zero}, {PidsLimit: &minus}, {CpusetCpus: "00"}, {CpusetCpus: "0,0"},
			{Devices: []container.DeviceMapping{{PathOnHost: "/dev/null", PathInContainer: "/dev/x", CgroupPermissions: "rr"}}},
		} {
			must(t, w.engineMakes(t, res, true))
		}
	}},
}

// engineMakes has the engine itself make a container with limits, and start
// it; the error is the create's, or the start's.
func (w *world) engineMakes(t *testing.T, res container.Resources, start bool) error {
	t.Helper()
	ctx := t.Context()
	resp, err := w.docker.ContainerCreate(ctx, &container.Config{Image: w.image}, &container.HostConfig{Resources: res}, nil, nil, "")
	if err != nil {
		if start {
			t.Errorf("%+v: not even created: %v", res, err)
		}
		return err
	}
	defer func() {
		must(t, w.docker.ContainerRemove(context.WithoutCancel(ctx), resp.ID, container.RemoveOptions{Force: true}))
	}()
	if !start {
		return nil
	}
	return w.docker.ContainerStart(ctx, resp.ID, container.StartOptions{})
}

// onCgroupV1 tells whether this machine limits memory by cgroup v1.
func onCgroupV1() bool {
	_, err := os.Stat("/sys/fs/cgroup/memory/cgroup.procs")
	return err == nil
}

// cgroupDir finds the directory of a process's cgroup: with v1 that of a
// controller.
func cgroupDir(pid int, controller string) (dir string, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		dir = filepath.Join("/sys/fs/cgroup", parts[2])
		if parts[1] != "" {
			dir = filepath.Join("/sys/fs/cgroup", controller, parts[2])
		}
		for _, c := range strings.Split(parts[1], ",") {
			if _, err := os.Stat(dir); err == nil && (c == controller || c == "" && !onCgroupV1()) {
				return dir, true
			}
		}
	}
	return "", false
}

// inForce compares a limit of a running container with the kernel's. Swap is
// the sum with memory; a quota is followed by its period.
func (w *world) inForce(t *testing.T, id, limit string, want any) {
	t.Helper()
	pid := w.status(t, id).PID
	read := func(controller, v1, v2 string) string {
		dir, ok := cgroupDir(pid, controller)
		if !ok {
			t.Fatalf("no cgroup of %s for process %d", controller, pid)
		}
		name := v2
		if onCgroupV1() {
			name = v1
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		return strings.TrimSpace(string(text))
	}
	var got string
	switch limit {
	case "memory":
		got = read("memory", "memory.limit_in_bytes", "memory.max")
	case "swap":
		got = read("memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
		if got == "9223372036854771712" {
			got = "max"
		}
		if !onCgroupV1() && got != "max" {
			var memory, swap int64
			fmt.Sscan(read("memory", "", "memory.max"), &memory)
			fmt.Sscan(got, &swap)
			if got = fmt.Sprint(memory + swap); memory+swap > 1<<62 {
				got = "max"
			}
		}
	case "shares":
		if !onCgroupV1() {
			return // the runtime has a formula of its own
		}
		got = read("cpu", "cpu.shares", "")
	case "quota":
		got = read("cpu", "cpu.cfs_quota_us", "cpu.max")
		if onCgroupV1() {
			got = strings.Replace(got, "-1", "max", 1) + " " + read("cpu", "cpu.cfs_period_us", "")
		}
	case "cpus":
		got = read("cpuset", "cpuset.cpus", "cpuset.cpus")
	case "mems":
		got = read("cpuset", "cpuset.mems", "cpuset.mems")
	case "pids":
		got = read("pids", "pids.max", "pids.max")
	case "rates":
		if !onCgroupV1() {
			var rates []string
			for _, f := range strings.Fields(read("io", "", "io.max"))[1:] {
				_, n, _ := strings.Cut(f, "=")
				rates = append(rates, n)
			}
			got = strings.Join(rates, " ")
			break
		}
		var rates []string
		for _, f := range []string{"read_bps", "write_bps", "read_iops", "write_iops"} {
			_, n, _ := strings.Cut(read("blkio", "blkio.throttle."+f+"_device", ""), " ")
			rates = append(rates, n)
		}
		got = strings.Join(rates, " ")
	default:
		t.Fatalf("no limit is called %q", limit)
	}
	if got != fmt.Sprint(want) {
		t.Errorf("the kernel's %s is %q; want %v", limit, got, want)
	}
}

// blockDevice returns a disk of this machine.
func blockDevice(t *testing.T) string {
	t.Helper()
	disks, _ := filepath.Glob("/sys/block/*")
	for _, d := range disks {
		dev := "/dev/" + filepath.Base(d)
		size, _ := os.ReadFile(filepath.Join(d, "size"))
		if info, err := os.Stat(dev); err == nil && info.Mode()&os.ModeDevice != 0 && strings.TrimSpace(string(size)) != "0" {
			return dev
		}
	}
	t.Skip("this machine has no disk")
	return ""
}

// dropCgroups removes the cgroups that an engine has made for a parent and
// left behind.
func dropCgroups(owner string) {
	var dirs []string
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		for _, below := range []string{"/burstable/pod", "/burstable", ""} {
			found, _ := filepath.Glob(pattern + owner + below)
			dirs = append(dirs, found...)
		}
	}
	for _, d := range dirs {
		os.Remove(d) // a directory that is held in use stays for its engine
	}
}

// fill has a process hold 50 MB within the cgroup of another for the rest of
// the test.
func fill(t *testing.T, pid int) {
	t.Helper()
	dir, ok := cgroupDir(pid, "memory")
	if !ok {
		t.Fatalf("no cgroup of memory for process %d", pid)
	}
	const script = `echo $$ > "$1" || exit; x=$(head -c 50000000 /dev/zero | tr '\0' a); echo up; read y`
	cmd := exec.Command("sh", "-c", script, "sh", filepath.Join(dir, "cgroup.procs"))
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "up\n" {
		t.Fatalf("the process that fills memory said %q, %v", line, err)
	}
}
