package dockpod_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
)

// limitsEngine returns an engine with an image, and a pod.
func limitsEngine(t *testing.T, change func(*fake.Docker)) (*fake.Docker, dockpod.ContainerConfig, dockpod.SandboxConfig) {
	t.Helper()
	docker := &fake.Docker{}
	if change != nil {
		change(docker)
	}
	t.Cleanup(func() { docker.Close() })
	docker.AddImage("app:1")
	return docker, dockpod.ContainerConfig{Name: "app", Image: "app:1", Command: []string{"/app"}}, dockpod.SandboxConfig{Name: "pod", Namespace: "ns", UID: "uid"}
}

// fieldsOf lists the fields that an error names, "!" marking what is not
// supported.
func fieldsOf(err error) []string {
	var fields []string
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) {
		case *dockpod.FieldError:
			fields = append(fields, e.Field)
		case *dockpod.UnsupportedError:
			fields = append(fields, e.Field+"!")
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(err)
			}
		}
	}
	walk(err)
	return fields
}

func wantFields(t *testing.T, err error, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, fieldsOf(err)); diff != "" {
		t.Errorf("error %v names other fields (-want +got):\n%s", err, diff)
	}
}

func noContainers(t *testing.T, rt *dockpod.Runtime) {
	t.Helper()
	list, err := rt.ListManaged(t.Context(), false)
	if err != nil || len(list) > 0 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

var allLimits = dockpod.Resources{
	MemoryLimit: 64 << 20, MemorySwapLimit: 96 << 20, CPUShares: 10, CPUQuota: 2000, CPUPeriod: 50000, CpusetCpus: "1", CpusetMems: "0", PidsLimit: 9,
	BlkioWeight: 10, BlkioDeviceWeights: []dockpod.DeviceWeight{{Path: "/dev/vda", Weight: 20}},
	BlkioReadBps:   []dockpod.DeviceRate{{Path: "/dev/vda", Rate: 1}},
	BlkioWriteBps:  []dockpod.DeviceRate{{Path: "/dev/vda", Rate: 2}},
	BlkioReadIOps:  []dockpod.DeviceRate{{Path: "/dev/vda", Rate: 3}},
	BlkioWriteIOps: []dockpod.DeviceRate{{Path: "/dev/vda", Rate: 4}},
}

// What the engine's kernel lacks, the engine drops with a warning: that is an
// error, and the container is gone again.
func TestDroppedLimitsAreRefused(t *testing.T) {
	for lack, want := range map[string][]string{
		"memory":       {"Resources.MemoryLimit!"}, // swap goes with it, without a word
		"swap":         {"Resources.MemorySwapLimit!"},
		"cpu shares":   {"Resources.CPUShares!"},
		"cpu quota":    {"Resources.CPUQuota!"},
		"cpuset":       {"Resources.CpusetCpus!"},
		"pids":         {"Resources.PidsLimit!"},
		"blkio weight": {"Resources.BlkioWeight!", "Resources.BlkioDeviceWeights!"},
		"blkio rates":  {"Resources.BlkioReadBps!", "Resources.BlkioWriteBps!", "Resources.BlkioReadIOps!", "Resources.BlkioWriteIOps!"},
	} {
		t.Run(lack, func(t *testing.T) {
			docker, c, s := limitsEngine(t, func(d *fake.Docker) { d.Lacks = []string{lack} })
			rt := dockpod.New(docker, dockpod.WithWarnings(func(w dockpod.Warning) { t.Errorf("warning %+v", w) }))
			c.Resources = allLimits
			for range 2 { // the second does not find the first's
				_, err := rt.CreateContainer(t.Context(), "", c, s)
				wantFields(t, err, want...)
				if !errors.Is(err, dockpod.ErrUnsupported) {
					t.Errorf("error is %v", err)
				}
				noContainers(t, rt)
			}
			s.Resources = allLimits
			_, err := rt.RunSandbox(t.Context(), s)
			wantFields(t, err, want...)
			noContainers(t, rt)
		})
	}
}

// A container whose limits were dropped while its creator did not hear of it
// is not taken over.
func TestDroppedLimitsAreNotAdopted(t *testing.T) {
	docker, c, s := limitsEngine(t, func(d *fake.Docker) { d.Lacks = []string{"pids"} })
	docker.After = fake.FailOnce(fake.OpContainerCreate, context.DeadlineExceeded)
	rt := dockpod.New(docker)
	c.Resources.PidsLimit = 5
	if _, err := rt.CreateContainer(t.Context(), "", c, s); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v; want the lost answer", err)
	}
	_, err := rt.CreateContainer(t.Context(), "", c, s)
	wantFields(t, err, "Resources.PidsLimit!")
	noContainers(t, rt)
}

// If the container cannot be removed again, the error says so too, and the
// next create does not take it over.
func TestDroppedLimitsAndNoRemoval(t *testing.T) {
	docker, c, s := limitsEngine(t, func(d *fake.Docker) { d.Lacks = []string{"pids"} })
	docker.Before = fake.FailOnce(fake.OpContainerRemove, errors.New("stuck"))
	rt := dockpod.New(docker)
	c.Resources.PidsLimit = 5
	_, err := rt.CreateContainer(t.Context(), "", c, s)
	wantFields(t, err, "Resources.PidsLimit!")
	if err == nil || !strings.Contains(err.Error(), "stuck") {
		t.Errorf("error is %v", err)
	}
	_, err = rt.CreateContainer(t.Context(), "", c, s)
	wantFields(t, err, "Resources.PidsLimit!")
	noContainers(t, rt)
}

// A swap limit that nobody asked for, but the library, is no error.
func TestWarnings(t *testing.T) {
	docker, c, s := limitsEngine(t, func(d *fake.Docker) { d.Lacks = []string{"swap"} })
	var got []dockpod.Warning
	rt := dockpod.New(docker, dockpod.WithWarnings(func(w dockpod.Warning) { got = append(got, w) }))
	c.Resources.MemoryLimit = 64 << 20
	id, err := rt.CreateContainer(t.Context(), "", c, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.UpdateContainer(t.Context(), id, dockpod.Resources{MemoryLimit: 32 << 20}); err != nil {
		t.Fatal(err)
	}
	name := dockpod.Name{Container: "app", Pod: "pod", Namespace: "ns", UID: "uid"}
	text := "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap."
	if diff := cmp.Diff([]dockpod.Warning{{"create", name, id, text}, {"update", name, id, text}}, got); diff != "" {
		t.Errorf("warnings mismatch (-want +got):\n%s", diff)
	}
	err = rt.UpdateContainer(t.Context(), id, dockpod.Resources{MemorySwapLimit: 64 << 20})
	wantFields(t, err, "Resources.MemorySwapLimit!")
}

// updates records the updates that an engine is asked for, and fails some.
type updates struct {
	*fake.Docker
	asked []container.Resources
	fail  func(n int) error
}

func (u *updates) ContainerUpdate(ctx context.Context, id string, c container.UpdateConfig) (container.UpdateResponse, error) {
	u.asked = append(u.asked, c.Resources)
	if u.fail != nil {
		if err := u.fail(len(u.asked)); err != nil {
			return container.UpdateResponse{}, err
		}
	}
	return u.Docker.ContainerUpdate(ctx, id, c)
}

// Memory goes first; if the engine fails, what it may have written of it is
// written back.
func TestUpdateIsUndone(t *testing.T) {
	inUse := fake.Internal("Cannot update container x: runc did not terminate successfully: exit status 1: unable to set memory limit to 33554432 (current usage: 63352832, peak usage: 63627264)\n: unknown")
	memory := func(m, s int64) container.Resources { return container.Resources{Memory: m << 20, MemorySwap: s << 20} }
	shares := container.Resources{CPUShares: 20}
	for _, tt := range []struct {
		name  string
		fail  func(n int) error
		want  []container.Resources
		is    error
		after dockpod.Resources
	}{
		{"all is well", nil, []container.Resources{memory(32, 32), shares}, nil, dockpod.Resources{MemoryLimit: 32 << 20, MemorySwapLimit: 32 << 20, CPUShares: 20}},
		{"memory in use", func(n int) error { return errOf(n == 1, inUse) }, []container.Resources{memory(32, 32), memory(64, 64)}, dockpod.ErrMemoryInUse,
			dockpod.Resources{MemoryLimit: 64 << 20, MemorySwapLimit: 64 << 20, CPUShares: 10}},
		{"the rest fails", func(n int) error { return errOf(n == 2, fake.Internal("no")) }, []container.Resources{memory(32, 32), shares, memory(64, 64)}, errdefs.ErrInternal,
			dockpod.Resources{MemoryLimit: 64 << 20, MemorySwapLimit: 64 << 20, CPUShares: 10}},
		{"and the undoing", func(n int) error { return errOf(n >= 2, fake.Internal("no")) }, []container.Resources{memory(32, 32), shares, memory(64, 64)}, errdefs.ErrInternal,
			dockpod.Resources{MemoryLimit: 32 << 20, MemorySwapLimit: 32 << 20, CPUShares: 10}},
		{"refused as a whole", func(n int) error { return errOf(n == 1, fake.Conflict("no")) }, []container.Resources{memory(32, 32)}, errdefs.ErrConflict,
			dockpod.Resources{MemoryLimit: 64 << 20, MemorySwapLimit: 64 << 20, CPUShares: 10}},
		{"the rest is refused", func(n int) error {
			return errOf(n == 2, fake.Invalid("Requested CPUs are not available - requested 99, available: 0-1"))
		},
			[]container.Resources{memory(32, 32), shares, memory(64, 64)}, errdefs.ErrInvalidArgument, dockpod.Resources{MemoryLimit: 64 << 20, MemorySwapLimit: 64 << 20, CPUShares: 10}},
		{"the rest conflicts", func(n int) error { return errOf(n == 2, fake.Conflict("no")) }, []container.Resources{memory(32, 32), shares, memory(64, 64)}, errdefs.ErrConflict,
			dockpod.Resources{MemoryLimit: 64 << 20, MemorySwapLimit: 64 << 20, CPUShares: 10}},
		{"the answer to the rest is lost", func(n int) error { return errOf(n == 2, io.ErrUnexpectedEOF) }, []container.Resources{memory(32, 32), shares}, dockpod.ErrBadAnswer,
			dockpod.Resources{MemoryLimit: 32 << 20, MemorySwapLimit: 32 << 20, CPUShares: 10}},
		{"the answer to the rest is late", func(n int) error { return errOf(n == 2, context.DeadlineExceeded) }, []container.Resources{memory(32, 32), shares}, context.DeadlineExceeded,
			dockpod.Resources{MemoryLimit: 32 << 20, MemorySwapLimit: 32 << 20, CPUShares: 10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			docker, c, s := limitsEngine(t, nil)
			u := &updates{Docker: docker, fail: tt.fail}
			rt := dockpod.New(u)
			c.Resources = dockpod.Resources{MemoryLimit: 64 << 20, CPUShares: 10}
			id, err := rt.CreateContainer(t.Context(), "", c, s)
			if err != nil {
				t.Fatal(err)
			}
			err = rt.UpdateContainer(t.Context(), id, dockpod.Resources{MemoryLimit: 32 << 20, CPUShares: 20})
			if !errors.Is(err, tt.is) {
				t.Errorf("error is %v; want %v", err, tt.is)
			}
			if diff := cmp.Diff(tt.want, u.asked); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
			st, err := rt.ContainerStatus(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.after, st.Resources); diff != "" {
				t.Errorf("afterwards (-want +got):\n%s", diff)
			}
		})
	}
}

// A first limit cannot be taken away again, which is said.
func TestUpdateOfAFirstLimitIsTold(t *testing.T) {
	docker, c, s := limitsEngine(t, nil)
	u := &updates{Docker: docker, fail: func(n int) error { return errOf(n == 2, fake.Invalid("no such CPU")) }}
	rt := dockpod.New(u)
	id, err := rt.CreateContainer(t.Context(), "", c, s)
	if err != nil {
		t.Fatal(err)
	}
	err = rt.UpdateContainer(t.Context(), id, dockpod.Resources{MemoryLimit: 32 << 20, CpusetCpus: "99"})
	if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "memory limit was written") {
		t.Errorf("error %v says nothing of the memory limit", err)
	}
	if len(u.asked) != 2 {
		t.Errorf("asked for %v", u.asked)
	}
}

func errOf(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

func TestUpdateRefuses(t *testing.T) {
	docker, c, s := limitsEngine(t, func(d *fake.Docker) { d.Lacks = []string{"pids"} })
	u := &updates{Docker: docker}
	rt := dockpod.New(u)
	id, err := rt.CreateContainer(t.Context(), "", c, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		in   dockpod.Resources
		want []string
	}{
		{dockpod.Resources{PidsLimit: 5, CPUShares: 7}, []string{"Resources.PidsLimit!"}},
		{dockpod.Resources{BlkioWeight: 500}, []string{"Resources.BlkioWeight!"}},
		{dockpod.Resources{CPUShares: 1}, []string{"Resources.CPUShares"}},
		{dockpod.Resources{MemorySwapLimit: 64 << 20}, []string{"Resources.MemorySwapLimit"}},
		{dockpod.Resources{Unified: map[string]string{"cpu.max": "max"}}, []string{`Resources.Unified["cpu.max"]!`}},
		{dockpod.Resources{HugepageLimits: map[string]int64{"2MB": 0}, MemoryLimit: 64 << 20}, []string{`Resources.HugepageLimits["2MB"]!`}},
		{dockpod.Resources{OOMScoreAdj: -1, CpusetCpus: "3-1"}, []string{"Resources.CpusetCpus", "Resources.OOMScoreAdj!"}},
	} {
		wantFields(t, rt.UpdateContainer(t.Context(), id, tt.in), tt.want...)
	}
	if err := rt.UpdateContainer(t.Context(), id, dockpod.Resources{}); err != nil {
		t.Errorf("nothing: %v", err)
	}
	if len(u.asked) > 0 {
		t.Errorf("the engine was asked for %v", u.asked)
	}
}

// Devices and sources are looked for where the engine's host can be seen.
func TestHostPaths(t *testing.T) {
	host := t.TempDir()
	for _, dir := range []string{"dev", "data", "run"} {
		if err := os.Mkdir(filepath.Join(host, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	docker, plain, s := limitsEngine(t, nil)
	asked := 0
	docker.Before = func(_ context.Context, op fake.Op, _ string) error {
		if op == fake.OpContainerCreate {
			asked++
		}
		return nil
	}
	seeing, blind := dockpod.New(docker, dockpod.WithHostRoot(host)), dockpod.New(docker)
	for _, tt := range []struct {
		name string
		f    func(*dockpod.ContainerConfig)
		want []string // of the one that sees the host
	}{
		{"devices", func(c *dockpod.ContainerConfig) {
			c.Devices = []dockpod.Device{{HostPath: "/dev/nosuch"}, {HostPath: "/dev"}, {HostPath: "/data", ContainerPath: "/x"}}
		}, []string{"Devices[0].HostPath", "Devices[1].HostPath", "Devices[2].HostPath"}},
		{"devices of limits", func(c *dockpod.ContainerConfig) {
			c.Resources.BlkioDeviceWeights = []dockpod.DeviceWeight{{Path: "/dev/nosuch", Weight: 10}}
			c.Resources.BlkioReadBps = []dockpod.DeviceRate{{Path: "/data", Rate: 1}}
		}, []string{"Resources.BlkioDeviceWeights[0].Path", "Resources.BlkioReadBps[0].Path"}},
		{"a source that is missing", func(c *dockpod.ContainerConfig) {
			c.Mounts = []dockpod.Mount{{Source: "/data", Target: "/a", Missing: dockpod.MissingFail}, {Source: "/none", Target: "/b", Missing: dockpod.MissingFail}, {Source: "/none2", Target: "/c"}}
		}, []string{"Mounts[1].Source"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := plain
			tt.f(&c)
			asked = 0
			_, err := seeing.CreateContainer(t.Context(), "", c, s)
			wantFields(t, err, tt.want...)
			if !errdefs.IsInvalidArgument(err) || asked > 0 {
				t.Errorf("error %v after %d creates", err, asked)
			}
			// To one that sees nothing, the engine tells.
			id, err := blind.CreateContainer(t.Context(), "", c, s)
			if err != nil {
				t.Fatal(err)
			}
			if err := blind.RemoveContainer(t.Context(), id); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("a source with a colon that is to be made", func(t *testing.T) {
		c := plain
		c.Mounts = []dockpod.Mount{{Source: "/run/a:b", Target: "/a"}}
		if _, err := seeing.CreateContainer(t.Context(), "", c, s); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(filepath.Join(host, "run/a:b")); err != nil || !info.IsDir() {
			t.Errorf("not made: %v", err)
		}
	})
	t.Run("impossible root", func(t *testing.T) {
		_, err := dockpod.New(docker, dockpod.WithHostRoot("host")).CreateContainer(t.Context(), "", plain, s)
		wantFields(t, err, "WithHostRoot")
	})
}

// Without a sight of the host the engine looks for a source, except where it
// makes it.
func TestMissingSourceOutOfSight(t *testing.T) {
	docker, c, s := limitsEngine(t, nil)
	docker.Absent("/none")
	rt := dockpod.New(docker)
	c.Mounts = []dockpod.Mount{{Source: "/there", Target: "/a"}, {Source: "/none", Target: "/b", Missing: dockpod.MissingFail}}
	_, err := rt.CreateContainer(t.Context(), "", c, s)
	wantFields(t, err, "Mounts[1].Source")
	noContainers(t, rt)

	c.Mounts[1].SELinuxRelabel = true
	_, err = rt.CreateContainer(t.Context(), "", c, s)
	wantFields(t, err, "Mounts[1].Missing!")
	noContainers(t, rt)

	// Podman does not look.
	c.Mounts[1].SELinuxRelabel = false
	rt = dockpod.New(podman{docker})
	_, err = rt.CreateContainer(t.Context(), "", c, s)
	wantFields(t, err, "Mounts[1].Missing!")
	noContainers(t, rt)
}

// podman says that it is one.
type podman struct{ *fake.Docker }

func (podman) ServerVersion(context.Context) (types.Version, error) {
	return types.Version{Version: "4.3.1", APIVersion: "1.41", Components: []types.ComponentVersion{{Name: "Podman Engine", Version: "4.3.1"}}}, nil
}

// An image that is mounted goes by its ID, and its absence is not taken for
// that of the container's.
func TestImageMounts(t *testing.T) {
	docker, c, s := limitsEngine(t, func(d *fake.Docker) { d.APIVersion = "1.48" })
	data := docker.AddImage("data:1")
	rt := dockpod.New(docker)
	c.Mounts = []dockpod.Mount{{Type: dockpod.MountImage, Source: "data:1", Target: "/a", SubPath: "b"}}
	id, err := rt.CreateContainer(t.Context(), "", c, s)
	if err != nil {
		t.Fatal(err)
	}
	info, err := docker.ContainerInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if m := info.HostConfig.Mounts[0]; m.Source != data || m.ImageOptions == nil || m.ImageOptions.Subpath != "b" {
		t.Errorf("the engine was asked for %+v", m)
	}
	if c.Mounts[0].Source != "data:1" {
		t.Error("the caller's mounts were changed")
	}
	c.Name, c.Mounts[0].Source = "other", "absent:1"
	_, err = rt.CreateContainer(t.Context(), "", c, s)
	if !errors.Is(err, dockpod.ErrImageNotFound) || !strings.Contains(err.Error(), "Mounts[0].Source") || !strings.Contains(err.Error(), "absent:1") {
		t.Errorf("error is %v", err)
	}
}

func TestCDIDevices(t *testing.T) {
	docker, c, s := limitsEngine(t, func(d *fake.Docker) { d.APIVersion, d.CDIDevices = "1.47", []string{"vendor.test/gpu=0"} })
	rt := dockpod.New(docker)
	c.CDIDevices = []string{"vendor.test/gpu=0"}
	id, err := rt.CreateContainer(t.Context(), "", c, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.StartContainer(t.Context(), id); err != nil {
		t.Error(err)
	}
	c.Name, c.CDIDevices = "other", []string{"vendor.test/gpu=1"}
	if id, err = rt.CreateContainer(t.Context(), "", c, s); err != nil {
		t.Fatal(err)
	}
	if err := rt.StartContainer(t.Context(), id); err == nil || !strings.Contains(err.Error(), "vendor.test/gpu=1") {
		t.Errorf("error of an unknown device is %v", err)
	}

	for name, change := range map[string]func(*fake.Docker){
		"no driver": func(d *fake.Docker) { d.APIVersion = "1.47" },
		"old API":   func(d *fake.Docker) { d.CDIDevices = []string{"vendor.test/gpu=0"} },
	} {
		docker, c, s := limitsEngine(t, change)
		c.CDIDevices = []string{"vendor.test/gpu=0"}
		_, err := dockpod.New(docker).CreateContainer(t.Context(), "", c, s)
		t.Log(name)
		wantFields(t, err, "CDIDevices!")
	}
}

// The size of the shared memory is the pod's, and comes back.
func TestShmSize(t *testing.T) {
	docker, c, s := limitsEngine(t, nil)
	rt := dockpod.New(docker)
	s.ShmSize = 8 << 20
	id, err := rt.RunSandbox(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	info, err := docker.ContainerInspect(t.Context(), id)
	if err != nil || info.HostConfig.ShmSize != 8<<20 {
		t.Errorf("the engine gives %d bytes, %v", info.HostConfig.ShmSize, err)
	}
	st, err := rt.SandboxStatus(t.Context(), id)
	if err != nil || st.Config.ShmSize != 8<<20 {
		t.Errorf("the status has %d bytes, %v", st.Config.ShmSize, err)
	}
	c.ShmSize = 8 << 20
	_, err = rt.CreateContainer(t.Context(), id, c, st.Config)
	wantFields(t, err, "ShmSize")
	if list, err := rt.ListContainers(t.Context(), dockpod.Filter{}); err != nil || slices.ContainsFunc(list, func(c dockpod.Container) bool { return c.Name.Container == "app" }) {
		t.Errorf("%v, %v", list, err)
	}
}

// A path in cgroupfs's form is a slice for the engine's systemd driver.
func TestCgroupParentOfSystemd(t *testing.T) {
	docker, c, s := limitsEngine(t, func(d *fake.Docker) { d.CgroupDriver = "systemd" })
	rt := dockpod.New(docker)
	s.CgroupParent = "/kubepods/burstable/pod1-2"
	id, err := rt.RunSandbox(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	st, err := rt.SandboxStatus(t.Context(), id)
	if err != nil || st.Config.CgroupParent != s.CgroupParent {
		t.Errorf("the status has %q, %v", st.Config.CgroupParent, err)
	}
	app, err := rt.CreateContainer(t.Context(), id, c, st.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{id, app} {
		info, err := docker.ContainerInspect(t.Context(), id)
		if err != nil || info.HostConfig.CgroupParent != "kubepods-burstable-pod1_2.slice" {
			t.Errorf("the engine has %q, %v", info.HostConfig.CgroupParent, err)
		}
	}
	s.Name, s.CgroupParent = "other", "/kubepods.slice/pod"
	_, err = rt.RunSandbox(t.Context(), s)
	wantFields(t, err, "CgroupParent")
}
