package dockpod

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/google/go-cmp/cmp"
)

func TestEngineMounts(t *testing.T) {
	all, none := featuresOf("1.51"), featuresOf("1.41")
	for _, tt := range []struct {
		name     string
		in       Mount
		features Features
		object   mount.Mount
		bind     string // in place of an object
	}{
		{"bind", Mount{Source: "/a", Target: "/b"}, all, mount.Mount{Type: "bind", Source: "/a", Target: "/b", BindOptions: &mount.BindOptions{CreateMountpoint: true}}, ""},
		{"bind, old API", Mount{Source: "/a", Target: "/b", ReadOnly: true}, none, mount.Mount{}, "/a:/b:ro"},
		{"bind, old API, with a colon", Mount{Source: "/a:b", Target: "/b", ReadOnly: true}, none,
			mount.Mount{Type: "bind", Source: "/a:b", Target: "/b", ReadOnly: true, BindOptions: &mount.BindOptions{}}, ""},
		{"bind, old API, seen on both sides", Mount{Source: "/a", Target: "/b", Propagation: PropagationBidirectional, Missing: MissingCreate}, none, mount.Mount{}, "/a:/b:rshared"},
		{"source that has to be there", Mount{Source: "/a", Target: "/b", Missing: MissingFail}, all, mount.Mount{Type: "bind", Source: "/a", Target: "/b", BindOptions: &mount.BindOptions{}}, ""},
		{"source that has to be there, old API", Mount{Source: "/a", Target: "/b", Missing: MissingFail}, none, mount.Mount{Type: "bind", Source: "/a", Target: "/b", BindOptions: &mount.BindOptions{}}, ""},
		{"source that the engine sees to", Mount{Source: "/a", Target: "/b", Missing: MissingEngine}, all, mount.Mount{Type: "bind", Source: "/a", Target: "/b", BindOptions: &mount.BindOptions{}}, ""},
		{"source that is made", Mount{Source: "/a", Target: "/b", Missing: MissingCreate}, all, mount.Mount{Type: "bind", Source: "/a", Target: "/b", BindOptions: &mount.BindOptions{CreateMountpoint: true}}, ""},
		{"bind, by its word, with a colon", Mount{Type: MountBind, Source: "/a:b", Target: "/c:d"}, all,
			mount.Mount{Type: "bind", Source: "/a:b", Target: "/c:d", BindOptions: &mount.BindOptions{CreateMountpoint: true}}, ""},
		{"read-only is not recursive", Mount{Source: "/a", Target: "/b", ReadOnly: true}, all,
			mount.Mount{Type: "bind", Source: "/a", Target: "/b", ReadOnly: true, BindOptions: &mount.BindOptions{CreateMountpoint: true, ReadOnlyNonRecursive: true}}, ""},
		{"recursively read-only", Mount{Source: "/a", Target: "/b", ReadOnly: true, RecursiveReadOnly: true}, all,
			mount.Mount{Type: "bind", Source: "/a", Target: "/b", ReadOnly: true, BindOptions: &mount.BindOptions{CreateMountpoint: true, ReadOnlyForceRecursive: true, Propagation: "rprivate"}}, ""},
		{"private", Mount{Source: "/a", Target: "/b", Propagation: PropagationPrivate}, all,
			mount.Mount{Type: "bind", Source: "/a", Target: "/b", BindOptions: &mount.BindOptions{CreateMountpoint: true}}, ""},
		{"rslave", Mount{Source: "/a", Target: "/b", Propagation: PropagationHostToContainer}, all,
			mount.Mount{Type: "bind", Source: "/a", Target: "/b", BindOptions: &mount.BindOptions{CreateMountpoint: true, Propagation: "rslave"}}, ""},
		{"rshared", Mount{Source: "/a", Target: "/b", Propagation: PropagationBidirectional}, all,
			mount.Mount{Type: "bind", Source: "/a", Target: "/b", BindOptions: &mount.BindOptions{CreateMountpoint: true, Propagation: "rshared"}}, ""},
		{"relabelled", Mount{Source: "/a", Target: "/b", SELinuxRelabel: true}, all, mount.Mount{}, "/a:/b:Z"},
		{"relabelled with everything", Mount{Source: "/a", Target: "/b", ReadOnly: true, SELinuxRelabel: true, Propagation: PropagationBidirectional}, all, mount.Mount{}, "/a:/b:ro,Z,rshared"},
		{"relabelled for all", Mount{Source: "/a", Target: "/b", SELinuxRelabel: true, SELinuxShared: true}, all, mount.Mount{}, "/a:/b:z"},
		{"tmpfs with options", Mount{Type: MountTmpfs, Target: "/b", ReadOnly: true, TmpfsOptions: []string{"exec", "uid=5"}}, all,
			mount.Mount{Type: "tmpfs", Target: "/b", ReadOnly: true, TmpfsOptions: &mount.TmpfsOptions{Options: [][]string{{"exec"}, {"uid", "5"}}}}, ""},
		{"volume", Mount{Type: MountVolume, Source: "v", Target: "/b", ReadOnly: true}, all, mount.Mount{Type: "volume", Source: "v", Target: "/b", ReadOnly: true}, ""},
		{"part of a volume", Mount{Type: MountVolume, Source: "v", Target: "/b", SubPath: "s/t"}, all,
			mount.Mount{Type: "volume", Source: "v", Target: "/b", VolumeOptions: &mount.VolumeOptions{Subpath: "s/t"}}, ""},
		{"image", Mount{Type: MountImage, Source: "i", Target: "/b", ReadOnly: true}, all, mount.Mount{Type: "image", Source: "i", Target: "/b"}, ""},
		{"part of an image", Mount{Type: MountImage, Source: "i", Target: "/b", SubPath: "s"}, all,
			mount.Mount{Type: "image", Source: "i", Target: "/b", ImageOptions: &mount.ImageOptions{Subpath: "s"}}, ""},
		{"tmpfs", Mount{Type: MountTmpfs, Target: "/b"}, all, mount.Mount{Type: "tmpfs", Target: "/b"}, ""},
		{"small tmpfs", Mount{Type: MountTmpfs, Target: "/b", SizeBytes: 9, Mode: 0o1700}, all,
			mount.Mount{Type: "tmpfs", Target: "/b", TmpfsOptions: &mount.TmpfsOptions{SizeBytes: 9, Mode: 0o1700}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			objects, binds := engineMounts([]Mount{tt.in}, tt.features)
			var wantObjects []mount.Mount
			var wantBinds []string
			if tt.bind != "" {
				wantBinds = []string{tt.bind}
			} else {
				wantObjects = []mount.Mount{tt.object}
			}
			if diff := cmp.Diff(wantObjects, objects); diff != "" {
				t.Errorf("objects mismatch (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(wantBinds, binds); diff != "" {
				t.Errorf("binds mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMountStatuses(t *testing.T) {
	points := []container.MountPoint{
		{Type: "volume", Name: "vol", Source: "/var/lib/volumes/vol/_data", Destination: "/z", RW: true},
		{Type: "bind", Source: "/b", Destination: "/b", RW: false, Propagation: "rprivate"},
		{Type: "bind", Source: "/a", Destination: "/a", RW: true, Propagation: "rslave"},
		{Type: "tmpfs", Destination: "/run", RW: true},
		// Podman's image mount, which it lists twice.
		{Type: "bind", Source: "/var/lib/overlay/x", Destination: "/img", RW: true},
		{Type: "image", Source: "busybox:1", Destination: "/img"},
	}
	want := []MountStatus{
		{Type: MountBind, Source: "/a", Target: "/a", Propagation: PropagationHostToContainer},
		{Type: MountBind, Source: "/b", Target: "/b", ReadOnly: true, Propagation: PropagationPrivate},
		{Type: MountImage, Source: "busybox:1", Target: "/img", ReadOnly: true},
		{Type: MountTmpfs, Target: "/run"},
		{Type: MountVolume, Source: "/var/lib/volumes/vol/_data", Target: "/z", Volume: "vol"},
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		r.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		if diff := cmp.Diff(want, mountStatuses(points)); diff != "" {
			t.Fatalf("mismatch (-want +got):\n%s", diff)
		}
	}
	if got := mountStatuses(nil); got == nil || len(got) != 0 {
		t.Errorf("no mounts give %#v", got)
	}
}

func TestValidateMounts(t *testing.T) {
	bind := func(f func(*Mount)) []Mount { m := Mount{Source: "/a", Target: "/b"}; f(&m); return []Mount{m} }
	tmpfs := func(f func(*Mount)) []Mount {
		m := Mount{Type: MountTmpfs, Target: "/b"}
		f(&m)
		return []Mount{m}
	}
	for _, tt := range []struct {
		name string
		in   []Mount
		want []string
	}{
		{"source with '..'", bind(func(m *Mount) { m.Source = "/a/../b" }), []string{"Mounts[0].Source"}},
		{"target with '..'", bind(func(m *Mount) { m.Target = "/a/../b" }), []string{"Mounts[0].Target"}},
		{"target above the root", bind(func(m *Mount) { m.Target = "/../etc" }), []string{"Mounts[0].Target"}},
		{"dots in names", bind(func(m *Mount) { m.Source, m.Target = "/a..b/...", "/..b/./c" }), nil},
		{"unknown policy", bind(func(m *Mount) { m.Missing = "ignore" }), []string{"Mounts[0].Missing"}},
		{"label for all without a label", bind(func(m *Mount) { m.SELinuxShared = true }), []string{"Mounts[0].SELinuxShared"}},
		{"mappings", bind(func(m *Mount) { m.UIDMappings, m.GIDMappings = []IDMapping{{0, 1000, 1}}, []IDMapping{{0, 1000, 1}} }),
			[]string{"Mounts[0].UIDMappings!", "Mounts[0].GIDMappings!"}},
		{"tmpfs of a bind's kind", tmpfs(func(m *Mount) {
			m.Propagation, m.Missing, m.SELinuxRelabel, m.SELinuxShared, m.ReadOnly, m.RecursiveReadOnly = PropagationBidirectional, MissingFail, true, true, true, true
		}), []string{"Mounts[0].Propagation", "Mounts[0].Missing", "Mounts[0].SELinuxRelabel", "Mounts[0].SELinuxShared", "Mounts[0].RecursiveReadOnly"}},
		{"part of a tmpfs", tmpfs(func(m *Mount) { m.SubPath = "a" }), []string{"Mounts[0].SubPath"}},
		{"mode of a tmpfs", tmpfs(func(m *Mount) { m.Mode = 0o10000 }), []string{"Mounts[0].Mode"}},
		{"options of a tmpfs", tmpfs(func(m *Mount) { m.TmpfsOptions = []string{"exec", "uid=0", "nr_inodes=5"} }), nil},
		{"bad options of a tmpfs", tmpfs(func(m *Mount) {
			m.TmpfsOptions = []string{"", "=1", "a,b", "a b", "size=1", "mode=7", "ro", "rw"}
		}), []string{
			"Mounts[0].TmpfsOptions[0]", "Mounts[0].TmpfsOptions[1]", "Mounts[0].TmpfsOptions[2]", "Mounts[0].TmpfsOptions[3]",
			"Mounts[0].TmpfsOptions[4]", "Mounts[0].TmpfsOptions[5]", "Mounts[0].TmpfsOptions[6]", "Mounts[0].TmpfsOptions[7]",
		}},
		{"options of a tmpfs on a bind", bind(func(m *Mount) { m.TmpfsOptions = []string{"exec"} }), []string{"Mounts[0].TmpfsOptions"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &validator{}
			v.mounts(tt.in)
			checkFaults(t, v.err(), tt.want)
		})
	}
}

func TestSourceError(t *testing.T) {
	ms := []Mount{{Source: "/a"}, {Source: "/a b"}, {Type: MountVolume, Source: "/v"}}
	refusal := func(p string) error {
		return fmt.Errorf("Error response from daemon: invalid mount config for type \"bind\": bind source path does not exist: %s", p)
	}
	checkFaults(t, sourceError(refusal("/a"), ms), []string{"Mounts[0].Source"})
	checkFaults(t, sourceError(refusal("/a b"), ms), []string{"Mounts[1].Source"})
	for _, err := range []error{nil, refusal("/c"), refusal("/v"), errors.New("something else")} {
		if got := sourceError(err, ms); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}

// In a container the host's links lead from the host's root.
func TestHostFiles(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"real/dir", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "real/dir/file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{
		"absolute": "/real/dir", "relative": "real/../real/dir", "chain": "/absolute", "out": "../../../../../../../real", "loop": "/loop", "dangling": "/nowhere/at/all",
	} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Skipf("no symbolic links here: %v", err)
		}
	}
	h := hostFiles{root}
	for _, p := range []string{"/", "/real/dir/file", "/absolute/file", "/relative/file", "/chain/file", "/out/dir/file", "/real/../etc"} {
		if _, known, err := h.stat(p); !known || err != nil {
			t.Errorf("%s: known %t, error %v", p, known, err)
		}
	}
	for _, p := range []string{"/none", "/absolute/none", "/dangling", "/out/none/x", "/etc/passwd"} {
		if _, known, err := h.stat(p); !known || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: known %t, error %v", p, known, err)
		}
	}
	if _, known, err := h.stat("/loop"); known || err == nil {
		t.Errorf("a loop: known %t, error %v", known, err)
	}
	if err := h.mkdir("/absolute/new/dir"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(root, "real/dir/new/dir")); err != nil || !info.IsDir() {
		t.Errorf("made: %v, %v", info, err)
	}
	if _, known, _ := (hostFiles{}).stat("/"); known {
		t.Error("a host that is not seen is known")
	}
}

func TestHostDevice(t *testing.T) {
	if _, err := os.Stat("/dev/null"); err != nil {
		t.Skip("no device files here")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/dev/null", link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path  string
		block bool
		want  string // part of the reason; empty: fine
	}{
		{"/dev/null", false, ""}, {link, false, ""}, {"/dev", false, ""},
		{"/dev/nosuch", false, "does not exist"}, {file, false, "is no device"}, {dir, false, "without devices"},
		{"/dev/null", true, "no block device"}, {file, true, "no block device"}, {"/dev", true, "no block device"}, {"/dev/nosuch", true, "does not exist"},
	} {
		v := &validator{}
		v.hostDevice("F", tt.path, hostFiles{"/"}, tt.block)
		switch err := v.err(); {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v; want %q", tt.path, err, tt.want)
		}
		v = &validator{}
		if v.hostDevice("F", tt.path, hostFiles{}, tt.block); v.err() != nil {
			t.Errorf("%s, out of sight: %v", tt.path, v.err())
		}
	}
}
