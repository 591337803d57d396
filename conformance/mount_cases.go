package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/dockpod/dockpod"
)

var mountCases = []testCase{
	// A source that is missing.

	{"a missing source is made, unless said otherwise", func(t *testing.T, w *world) {
		w.needs(t, "local files")
		for i, policy := range []dockpod.MissingSource{"", dockpod.MissingCreate} {
			source := filepath.Join(t.TempDir(), "new", "dir")
			c := w.container("app", "print", "fine")
			c.Attempt = uint32(i)
			c.Mounts = []dockpod.Mount{{Source: source, Target: "/a", ReadOnly: true, Missing: policy}}
			id := w.started(t, c)
			equal(t, "exit code", 0, w.finished(t, id).ExitCode)
			if info, err := os.Stat(source); err != nil || !info.IsDir() {
				t.Errorf("policy %q: %v", policy, err)
			}
			want := []dockpod.MountStatus{{Type: dockpod.MountBind, Source: source, Target: "/a", ReadOnly: true, Propagation: dockpod.PropagationPrivate}}
			equal(t, "mounts", want, w.status(t, id).Mounts)
		}
	}},
	{"a missing source with a colon is made too", func(t *testing.T, w *world) {
		w.needs(t, "local files")
		source := filepath.Join(t.TempDir(), "a:b")
		c := w.container("app", "print", "fine")
		c.Mounts = []dockpod.Mount{{Source: source, Target: "/a"}}
		id, err := w.with(dockpod.WithHostRoot("/")).CreateContainer(t.Context(), "", c, w.pod("alone"))
		must(t, err)
		w.run(t, id)
		equal(t, "exit code", 0, w.finished(t, id).ExitCode)
		if info, err := os.Stat(source); err != nil || !info.IsDir() {
			t.Error(err)
		}
	}},
	{"a source that has to be there is looked for", func(t *testing.T, w *world) {
		w.needs(t, "local files")
		dir := t.TempDir()
		c := w.container("app")
		c.Mounts = []dockpod.Mount{{Source: dir, Target: "/a", Missing: dockpod.MissingFail}, {Source: filepath.Join(dir, "none"), Target: "/b", Missing: dockpod.MissingFail}}
		for _, rt := range []*dockpod.Runtime{w.rt, w.with(dockpod.WithHostRoot("/"))} {
			_, err := rt.CreateContainer(t.Context(), "", c, w.pod("alone"))
			if w.isPodman(t) && rt == w.rt {
				continue // it makes the directory: refused where its host cannot be seen
			}
			equal(t, "field", "Mounts[1].Source", refused[*dockpod.FieldError](t, err).Field)
			equal(t, "left behind", []string{}, w.ids(t, dockpod.Filter{}))
		}
		if _, err := os.Stat(c.Mounts[1].Source); err == nil {
			t.Error("it was made")
		}
		c.Mounts = c.Mounts[:1]
		w.made(t, c)
	}},
	{"a missing source may be left to the engine, which refuses it", func(t *testing.T, w *world) {
		w.needs(t, "local files")
		w.needs(t, "classes")
		c := w.container("app")
		c.Mounts = []dockpod.Mount{{Source: filepath.Join(t.TempDir(), "none"), Target: "/a", Missing: dockpod.MissingEngine}}
		if err := w.unmade(t, c); !errdefs.IsInvalidArgument(err) {
			t.Errorf("error is %v", err)
		}
	}},

	// What is mounted, and how.

	{"a file is mounted as well as a directory", func(t *testing.T, w *world) {
		w.needs(t, "local files")
		file := filepath.Join(t.TempDir(), "file")
		must(t, os.WriteFile(file, []byte("x"), 0o644))
		c := w.container("app", "print", "fine")
		c.Mounts = []dockpod.Mount{{Source: file, Target: "/etc/file", Missing: dockpod.MissingFail}}
		id := w.started(t, c)
		equal(t, "exit code", 0, w.finished(t, id).ExitCode)
		want := []dockpod.MountStatus{{Type: dockpod.MountBind, Source: file, Target: "/etc/file", Propagation: dockpod.PropagationPrivate}}
		equal(t, "mounts", want, w.status(t, id).Mounts)
	}},
	{"a relabelled mount carries its label's flag, and its other options", func(t *testing.T, w *world) {
		w.needs(t, "local files")
		w.needs(t, "exact inspections")
		dir := t.TempDir()
		c := w.container("app", "print", "fine")
		c.Mounts = []dockpod.Mount{
			{Source: dir, Target: "/own", SELinuxRelabel: true},
			{Source: dir, Target: "/shared", ReadOnly: true, SELinuxRelabel: true, SELinuxShared: true},
		}
		id := w.started(t, c)
		equal(t, "exit code", 0, w.finished(t, id).ExitCode)
		binds := w.raw(t, id).HostConfig.Binds
		slices.Sort(binds)
		equal(t, "binds", []string{dir + ":/own:Z", dir + ":/shared:ro,z"}, binds)
		want := []dockpod.MountStatus{
			{Type: dockpod.MountBind, Source: dir, Target: "/own", Propagation: dockpod.PropagationPrivate},
			{Type: dockpod.MountBind, Source: dir, Target: "/shared", ReadOnly: true, Propagation: dockpod.PropagationPrivate},
		}
		equal(t, "mounts", want, w.status(t, id).Mounts)
	}},
	{"a relabelled mount has the propagation that is asked for", func(t *testing.T, w *world) {
		w.needs(t, "local files")
		dir := t.TempDir()
		want := []dockpod.Propagation{dockpod.PropagationPrivate, dockpod.PropagationHostToContainer, dockpod.PropagationBidirectional}
		c := w.container("app")
		for i, p := range want {
			c.Mounts = append(c.Mounts, dockpod.Mount{Source: dir, Target: "/" + string(rune('a'+i)), Propagation: p, SELinuxRelabel: true})
		}
		var got []dockpod.Propagation
		for _, m := range w.status(t, w.made(t, c)).Mounts {
			got = append(got, m.Propagation)
		}
		equal(t, "propagations", want, got)
	}},
	{"memory may be mounted read-only", func(t *testing.T, w *world) {
		w.needs(t, "exact inspections")
		c := w.container("app", "print", "fine")
		c.Mounts = []dockpod.Mount{{Type: dockpod.MountTmpfs, Target: "/t", ReadOnly: true}}
		id := w.started(t, c)
		equal(t, "exit code", 0, w.finished(t, id).ExitCode)
		equal(t, "mounts", []dockpod.MountStatus{{Type: dockpod.MountTmpfs, Target: "/t", ReadOnly: true}}, w.status(t, id).Mounts)
	}},
	{"options of mounted memory are kept, or refused by name", func(t *testing.T, w *world) {
		c := w.container("app")
		c.Mounts = []dockpod.Mount{{Type: dockpod.MountTmpfs, Target: "/t", TmpfsOptions: []string{"exec", "uid=5"}}}
		if !w.features(t).TmpfsOptions {
			equal(t, "field", "Mounts[0].TmpfsOptions", refused[*dockpod.UnsupportedError](t, w.unmade(t, c)).Field)
			return
		}
		w.needs(t, "exact inspections")
		equal(t, "options", [][]string{{"exec"}, {"uid", "5"}}, w.raw(t, w.made(t, c)).HostConfig.Mounts[0].TmpfsOptions.Options)
	}},
	{"an image is mounted read-only, or refused by name", func(t *testing.T, w *world) {
		c := w.container("app", "print", "fine")
		c.Mounts = []dockpod.Mount{{Type: dockpod.MountImage, Source: w.image, Target: "/image"}}
		if !w.features(t).ImageMounts {
			equal(t, "field", "Mounts[0].Type image", refused[*dockpod.UnsupportedError](t, w.unmade(t, c)).Field)
			return
		}
		id := w.started(t, c)
		equal(t, "exit code", 0, w.finished(t, id).ExitCode)
		if ms := w.status(t, id).Mounts; len(ms) != 1 || ms[0].Target != "/image" || !ms[0].ReadOnly {
			t.Errorf("mounts are %+v", ms)
		}
		c.Name, c.Mounts[0].Source = "other", "dockpod.io/conformance:absent"
		fails(t, w.unmade(t, c), dockpod.ErrImageNotFound)
	}},
	{"what no engine has is refused by name", func(t *testing.T, w *world) {
		c := w.container("app")
		c.Mounts = []dockpod.Mount{{Source: "/a", Target: "/a", UIDMappings: []dockpod.IDMapping{{HostID: 1000, Length: 1}}}}
		equal(t, "field", "Mounts[0].UIDMappings", refused[*dockpod.UnsupportedError](t, w.unmade(t, c)).Field)
	}},

	// The engine by itself, which a double has to repeat.

	{"the engine refuses mounts that cannot be", func(t *testing.T, w *world) {
		w.needs(t, "classes")
		dir := t.TempDir()
		for _, ms := range [][]mount.Mount{
			{{Type: "bind", Source: filepath.Join(dir, "none"), Target: "/a"}},
			{{Type: "bind", Source: "relative", Target: "/a"}},
			{{Type: "bind", Source: dir, Target: "a"}},
			{{Type: "bind", Source: dir, Target: "/"}},
			{{Type: "bind", Source: dir, Target: "/a/.."}},
			{{Type: "bind", Source: dir, Target: "/a"}, {Type: "tmpfs", Target: "/a/"}},
			{{Type: "bind", Source: dir, Target: "/a", BindOptions: &mount.BindOptions{Propagation: "none"}}},
			{{Type: "bind", Source: dir, Target: "/a", VolumeOptions: &mount.VolumeOptions{NoCopy: true}}},
			{{Type: "tmpfs", Target: "/a", BindOptions: &mount.BindOptions{}}},
			{{Type: "tmpfs", Source: dir, Target: "/a"}},
			{{Type: "volume", Source: "bad/name", Target: "/a"}},
			{{Type: "none", Source: dir, Target: "/a"}},
		} {
			_, err := w.docker.ContainerCreate(t.Context(), &container.Config{Image: w.image}, &container.HostConfig{Mounts: ms}, nil, nil, "")
			if !errdefs.IsInvalidArgument(err) {
				t.Errorf("%+v: error is %v", ms, err)
			}
		}
	}},
	{"the engine cleans the paths of mounts", func(t *testing.T, w *world) {
		w.needs(t, "classes")
		dir := t.TempDir()
		resp, err := w.docker.ContainerCreate(t.Context(), &container.Config{Image: w.image}, &container.HostConfig{Mounts: []mount.Mount{
			{Type: "bind", Source: dir + "/../" + filepath.Base(dir) + "/", Target: "/x/../../y/"},
		}}, nil, nil, "")
		must(t, err)
		defer w.tear(t, resp.ID)
		point := w.raw(t, resp.ID).Mounts[0]
		equal(t, "source and target", []string{dir, "/y"}, []string{point.Source, point.Destination})
	}},
}
