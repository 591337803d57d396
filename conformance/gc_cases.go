package conformance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockpod/dockpod"
)

// gcCases are about the collection of what is dead.
var gcCases = []testCase{
	{"a collection without a policy removes nothing", func(t *testing.T, w *world) {
		sandbox, s := w.ready(t)
		id := w.start(t, sandbox, w.container("app", "exit"), s)
		w.finished(t, id)
		must(t, w.rt.StopSandbox(t.Context(), sandbox, 0))
		report, err := w.rt.CollectGarbage(t.Context(), dockpod.GCOptions{GCPolicy: dockpod.GCPolicy{MinAge: -1}, LogDirs: []string{w.logs}})
		must(t, err)
		equal(t, "report", dockpod.GCReport{}, report)
		equal(t, "containers", []string{id}, w.ids(t, dockpod.Filter{}))
	}},
	{"of each container the newest dead one is kept, and what runs", func(t *testing.T, w *world) {
		s := w.pod("alone")
		var ids []string
		for attempt := range 3 {
			c := w.linked("app", "app/"+string(rune('0'+attempt))+".log", "exit")
			c.Attempt = uint32(attempt)
			ids = append(ids, w.start(t, "", c, s))
			w.finished(t, ids[attempt])
		}
		c := w.container("app", "sleep")
		c.Attempt = 3
		runs := w.start(t, "", c, s)
		other := w.start(t, "", w.container("other", "exit"), s)
		w.finished(t, other)
		policy := dockpod.KubeletGCPolicy()

		report, err := w.rt.CollectGarbage(t.Context(), dockpod.GCOptions{GCPolicy: policy})
		must(t, err)
		equal(t, "removed too soon", 0, len(report.Removed))

		policy.MinAge = -1
		opts := dockpod.GCOptions{GCPolicy: policy, LogDirs: []string{w.logs}, DryRun: true}
		report, err = w.rt.CollectGarbage(t.Context(), opts)
		must(t, err)
		equal(t, "would be removed", ids[:2], removedIDs(report))
		equal(t, "containers", 5, len(w.ids(t, dockpod.Filter{})))

		opts.DryRun = false
		report, err = w.rt.CollectGarbage(t.Context(), opts)
		must(t, err)
		equal(t, "removed, the oldest first", ids[:2], removedIDs(report))
		equal(t, "containers", sorted(ids[2], runs, other), w.ids(t, dockpod.Filter{}))
		for attempt, want := range []bool{false, false, true} {
			_, err := os.Lstat(filepath.Join(w.logs, "app", string(rune('0'+attempt))+".log"))
			equal(t, "a link is there", want, err == nil)
		}
		report, err = w.rt.CollectGarbage(t.Context(), opts)
		must(t, err)
		equal(t, "a second collection", dockpod.GCReport{}, report)
	}},
	{"a pod that nobody wants loses all that is dead, and nothing is killed", func(t *testing.T, w *world) {
		w.needs(t, "loose sandboxes")
		make := func(name string) (sandbox string, dead string) {
			s := w.pod(name)
			s.LogDirectory = filepath.Join(w.logs, name)
			sandbox = w.sandbox(t, s)
			c := w.container("app", "exit")
			c.LogPath = "app/0.log"
			dead = w.start(t, sandbox, c, s)
			w.finished(t, dead)
			return sandbox, dead
		}
		gone, goneApp := make("gone")
		must(t, w.rt.StopSandbox(t.Context(), gone, 0))
		up, upApp := make("up")
		wanted, wantedApp := make("wanted")
		must(t, w.rt.StopSandbox(t.Context(), wanted, 0))
		report, err := w.rt.CollectGarbage(t.Context(), dockpod.GCOptions{
			GCPolicy: dockpod.GCPolicy{MinAge: -1},
			Wanted:   func(uid string) bool { return uid == "wanted-uid" },
			LogDirs:  []string{w.logs},
		})
		must(t, err)
		equal(t, "removed", sorted(goneApp, upApp, gone), sorted(removedIDs(report)...))
		equal(t, "sandboxes last", gone, removedIDs(report)[2])
		equal(t, "containers", []string{wantedApp}, w.ids(t, dockpod.Filter{}))
		st, err := w.rt.SandboxStatus(t.Context(), up)
		must(t, err)
		equal(t, "sandbox that runs", dockpod.SandboxReady, st.State)
		// The directory of a pod that is there stays, empty or not.
		equal(t, "directories", []string{"up", "wanted"}, w.dir(t))
		equal(t, "directories that were removed", sorted(filepath.Join(w.logs, "gone"), filepath.Join(w.logs, "gone/app"), filepath.Join(w.logs, "up/app")), sorted(report.Dirs...))
	}},
	{"of a pod's sandboxes the newest stays, and those with containers", func(t *testing.T, w *world) {
		var ids []string
		var s dockpod.SandboxConfig
		for attempt := range 3 {
			s = w.pod("pod")
			s.Attempt = uint32(attempt)
			ids = append(ids, w.sandbox(t, s))
			must(t, w.rt.StopSandbox(t.Context(), ids[attempt], 0))
		}
		s.Attempt = 1
		kept := w.create(t, ids[1], w.container("app"), s)
		report, err := w.rt.CollectGarbage(t.Context(), dockpod.GCOptions{GCPolicy: dockpod.GCPolicy{MinAge: -1, Sandboxes: true}})
		must(t, err)
		equal(t, "removed", ids[:1], removedIDs(report))
		equal(t, "containers", []string{kept}, w.ids(t, dockpod.Filter{}))
	}},
	{"what was created and not started has a grace of its own", func(t *testing.T, w *world) {
		none := 0
		id := w.alone(t)
		policy := dockpod.GCPolicy{MinAge: -1, MaxContainers: &none}
		report, err := w.rt.CollectGarbage(t.Context(), dockpod.GCOptions{GCPolicy: policy})
		must(t, err)
		equal(t, "removed within it", 0, len(report.Removed))
		policy.CreatedGrace = 1
		report, err = w.rt.CollectGarbage(t.Context(), dockpod.GCOptions{GCPolicy: policy})
		must(t, err)
		equal(t, "removed after it", []string{id}, removedIDs(report))
	}},
	{"a container whose start failed is dead", func(t *testing.T, w *world) {
		w.needs(t, "failed starts")
		none := 0
		id := w.failed(t)
		report, err := w.rt.CollectGarbage(t.Context(), dockpod.GCOptions{GCPolicy: dockpod.GCPolicy{MinAge: -1, MaxPerContainer: &none}})
		must(t, err)
		equal(t, "removed", []string{id}, removedIDs(report))
	}},
	{"nothing of another owner is collected", func(t *testing.T, w *world) {
		none := 0
		id := w.ended(t, "exit")
		stranger := w.foreign(t, "dpc-"+random(t), map[string]string{dockpod.LabelContainerName: "app"})
		report, err := w.other(t).CollectGarbage(t.Context(), dockpod.GCOptions{
			GCPolicy: dockpod.GCPolicy{MinAge: -1, CreatedGrace: 1, MaxContainers: &none, MaxPerContainer: &none, Sandboxes: true, Unidentified: true},
			Wanted:   func(string) bool { return false },
		})
		must(t, err)
		equal(t, "removed", 0, len(report.Removed))
		w.raw(t, id)
		w.raw(t, stranger)
	}},
	{"what cannot be identified is removed if that is asked for", func(t *testing.T, w *world) {
		labels := map[string]string{dockpod.LabelOwner: w.owner, dockpod.LabelOwnedType: dockpod.TypeContainer}
		id := w.foreign(t, w.owner+"-strange", labels)
		policy := dockpod.KubeletGCPolicy()
		policy.CreatedGrace, policy.Unidentified = 1, false
		report, err := w.rt.CollectGarbage(t.Context(), dockpod.GCOptions{GCPolicy: policy, Wanted: func(string) bool { return false }})
		must(t, err)
		equal(t, "removed", 0, len(report.Removed))
		policy.Unidentified = true
		report, err = w.rt.CollectGarbage(t.Context(), dockpod.GCOptions{GCPolicy: policy})
		must(t, err)
		equal(t, "removed", []string{id}, removedIDs(report))
	}},
	{"a dead link goes only with its container, and nothing else does", func(t *testing.T, w *world) {
		w.needs(t, "json-file logs")
		c := w.container("app", "sleep")
		c.LogPath = "pod/app/0.log"
		id := w.started(t, c)
		file := func(id string) string { return "/var/lib/docker/containers/" + id + "/" + id + "-json.log" }
		gone := strings.Repeat("f0", 32)
		for _, dir := range []string{"old/app", "old/other", "mine"} {
			must(t, os.MkdirAll(filepath.Join(w.logs, dir), 0o755))
		}
		w.symlink(t, file(gone), "old/app/0.log")
		w.symlink(t, "/nowhere/precious", "mine/0.log")
		w.symlink(t, file(gone), "mine/notes.txt")
		w.symlink(t, file(id)+"x", "old/other/0.log")
		// The engine's file is away for a moment, as while it rotates.
		stray := filepath.Join("/gone", "containers", id, id+"-json.log")
		w.symlink(t, stray, "mine/1.log")
		must(t, os.WriteFile(filepath.Join(w.logs, "old", "file.log"), []byte("precious"), 0o644))

		opts := dockpod.GCOptions{LogDirs: []string{w.logs, filepath.Join(w.logs, "none")}, DryRun: true}
		dead := []string{filepath.Join(w.logs, "old/app/0.log")}
		report, err := w.rt.CollectGarbage(t.Context(), opts)
		must(t, err)
		equal(t, "would be removed", dockpod.GCReport{Links: dead}, report)
		opts.DryRun = false
		report, err = w.rt.CollectGarbage(t.Context(), opts)
		must(t, err)
		equal(t, "report", dockpod.GCReport{Links: dead, Dirs: []string{filepath.Join(w.logs, "old/app")}}, report)
		equal(t, "link of the one that runs", w.raw(t, id).LogPath, w.link(t, "pod/app/0.log"))
		for _, there := range []string{"mine/0.log", "mine/notes.txt", "mine/1.log", "old/other/0.log", "old/file.log"} {
			_, err := os.Lstat(filepath.Join(w.logs, there))
			must(t, err)
		}
	}},
}

func removedIDs(r dockpod.GCReport) []string {
	ids := []string{}
	for _, x := range r.Removed {
		ids = append(ids, x.Container.ID)
	}
	return ids
}

// linked is a container with a log link.
func (w *world) linked(name, path string, args ...string) dockpod.ContainerConfig {
	c := w.container(name, args...)
	c.LogPath = path
	return c
}
