package conformance

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dockpod/dockpod"
)

// logCases are about the links below a pod's log directory.
var logCases = []testCase{
	// While a container lives.
	{"a log link stands from the start on and leads to the engine's file", func(t *testing.T, w *world) {
		id := w.logged(t, "app", "app/0.log", "sleep")
		equal(t, "link before the start", "", w.link(t, "app/0.log"))
		w.run(t, id)
		st := w.status(t, id)
		equal(t, "link's place", filepath.Join(w.logs, "app/0.log"), st.LogPath)
		equal(t, "link", st.EngineLogPath, w.link(t, "app/0.log"))
		if st.EngineLogPath == "" {
			t.Error("the engine names no file")
		}
	}},
	{"a log is read through its link, when its container has ended too", func(t *testing.T, w *world) {
		w.needs(t, "json-file logs")
		id := w.logged(t, "app", "app/0.log", "args", "one", "two")
		w.run(t, id)
		w.finished(t, id)
		f, err := os.Open(filepath.Join(w.logs, "app/0.log"))
		must(t, err)
		defer f.Close()
		var got []string
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var line struct {
				Log, Stream string
				Time        time.Time
			}
			must(t, json.Unmarshal(lines.Bytes(), &line))
			got = append(got, line.Stream+" "+line.Log)
		}
		equal(t, "log", []string{"stdout one\n", "stdout two\n"}, got)
	}},
	{"starting what runs leaves its link, and makes one that was lost", func(t *testing.T, w *world) {
		id := w.logged(t, "app", "app/0.log", "sleep")
		w.run(t, id)
		want := w.link(t, "app/0.log")
		w.run(t, id)
		equal(t, "link", want, w.link(t, "app/0.log"))
		must(t, os.Remove(filepath.Join(w.logs, "app/0.log")))
		w.run(t, id)
		equal(t, "link", want, w.link(t, "app/0.log"))
	}},
	{"a container without a log path, or in a pod without a directory, has no link", func(t *testing.T, w *world) {
		w.run(t, w.logged(t, "pathless", "", "sleep"))
		s := w.pod("alone")
		s.LogDirectory = ""
		c := w.container("homeless", "sleep")
		c.LogPath = "app/0.log"
		id := w.start(t, "", c, s)
		equal(t, "log path", "", w.status(t, id).LogPath)
		equal(t, "directory", []string{}, w.dir(t))
	}},
	{"a container whose driver keeps no file has no link, and starts all the same", func(t *testing.T, w *world) {
		c := w.container("app", "sleep")
		c.LogPath, c.LogConfig.Driver = "app/0.log", "none"
		w.started(t, c)
		equal(t, "directory", []string{}, w.dir(t))
	}},
	{"directories that are not there are made", func(t *testing.T, w *world) {
		s := w.pod("alone")
		s.LogDirectory = filepath.Join(w.logs, "pods", "alone")
		c := w.container("app", "sleep")
		c.LogPath = "deep/er/0.log"
		id := w.start(t, "", c, s)
		equal(t, "link", w.raw(t, id).LogPath, w.link(t, "pods/alone/deep/er/0.log"))
	}},
	{"a log path that would leave the directory is refused, and nothing is made", func(t *testing.T, w *world) {
		for _, path := range []string{"../0.log", "app/../../0.log", "app/../0.log", "/0.log", ".", "app/.."} {
			c := w.container("app")
			c.LogPath = path
			_, err := w.rt.CreateContainer(t.Context(), "", c, w.pod("alone"))
			equal(t, "field for "+path, "LogPath", refused[*dockpod.FieldError](t, err).Field)
		}
		equal(t, "left", []string{}, w.left(t))
	}},
	{"a start that failed has a link where the engine has a file", func(t *testing.T, w *world) {
		c := w.container("app")
		c.Command, c.LogPath = []string{"/missing"}, "app/0.log"
		id := w.made(t, c)
		fails(t, w.rt.StartContainer(t.Context(), id), dockpod.ErrCannotRun)
		equal(t, "link", w.raw(t, id).LogPath, w.link(t, "app/0.log"))
	}},
	{"where both fail, the error is the start's and not the link's", func(t *testing.T, w *world) {
		c := w.container("app")
		c.Command, c.LogPath = []string{"/missing"}, "app.log"
		id := w.made(t, c)
		must(t, os.Mkdir(filepath.Join(w.logs, "app.log"), 0o755))
		err := w.rt.StartContainer(t.Context(), id)
		fails(t, err, dockpod.ErrCannotRun)
		if errors.Is(err, dockpod.ErrLogLink) {
			t.Errorf("error %v speaks of the link", err)
		}
	}},

	// What stood there before.
	{"a link to something else is replaced", func(t *testing.T, w *world) {
		id := w.logged(t, "app", "0.log", "sleep")
		w.symlink(t, "/nowhere", "0.log")
		w.run(t, id)
		equal(t, "link", w.raw(t, id).LogPath, w.link(t, "0.log"))
	}},
	{"what is not a link stays, and its container runs", func(t *testing.T, w *world) {
		file, dir := w.logged(t, "file", "file.log", "sleep"), w.logged(t, "dir", "dir.log", "sleep")
		must(t, os.WriteFile(filepath.Join(w.logs, "file.log"), []byte("precious"), 0o644))
		must(t, os.Mkdir(filepath.Join(w.logs, "dir.log"), 0o755))
		for _, id := range []string{file, dir} {
			fails(t, w.rt.StartContainer(t.Context(), id), dockpod.ErrLogLink)
			equal(t, "state", dockpod.StateRunning, w.status(t, id).State)
		}
		text, err := os.ReadFile(filepath.Join(w.logs, "file.log"))
		must(t, err)
		equal(t, "file", "precious", string(text))

		must(t, os.Remove(filepath.Join(w.logs, "file.log")))
		w.run(t, file)
		equal(t, "link when there is room", w.raw(t, file).LogPath, w.link(t, "file.log"))
	}},
	{"no link is made through another that leads out of the directory", func(t *testing.T, w *world) {
		elsewhere := t.TempDir()
		w.symlink(t, elsewhere, "out")
		id := w.logged(t, "app", "out/0.log", "sleep")
		fails(t, w.rt.StartContainer(t.Context(), id), dockpod.ErrLogLink)
		there, err := os.ReadDir(elsewhere)
		must(t, err)
		equal(t, "files elsewhere", 0, len(there))
	}},

	// When a container goes.
	{"a link goes with its container", func(t *testing.T, w *world) {
		id := w.logged(t, "app", "app/0.log", "sleep")
		w.run(t, id)
		must(t, w.rt.RemoveContainer(t.Context(), id))
		equal(t, "link", "", w.link(t, "app/0.log"))
	}},
	{"the links of a pod go with its sandbox", func(t *testing.T, w *world) {
		sb, s := w.ready(t)
		for _, name := range []string{"one", "two"} {
			c := w.container(name, "sleep")
			c.LogPath = name + ".log"
			w.start(t, sb, c, s)
		}
		equal(t, "directory", []string{"one.log", "two.log"}, w.dir(t))
		must(t, w.rt.RemoveSandbox(t.Context(), sb))
		equal(t, "directory", []string{}, w.dir(t))
	}},
	{"what stands in a link's place by then stays", func(t *testing.T, w *world) {
		file, link := w.logged(t, "file", "file.log", "sleep"), w.logged(t, "link", "link.log", "sleep")
		w.run(t, file)
		w.run(t, link)
		must(t, os.Remove(filepath.Join(w.logs, "file.log")))
		must(t, os.WriteFile(filepath.Join(w.logs, "file.log"), nil, 0o644))
		w.relink(t, w.logs, "link.log")
		must(t, w.rt.RemoveContainer(t.Context(), file))
		must(t, w.rt.RemoveContainer(t.Context(), link))
		equal(t, "directory", []string{"file.log", "link.log"}, w.dir(t))
	}},
	{"a removal that is refused keeps the link", func(t *testing.T, w *world) {
		id := w.logged(t, "app", "0.log", "sleep")
		w.run(t, id)
		want := w.link(t, "0.log")
		fails(t, w.with(dockpod.WithoutForcedRemoval()).RemoveContainer(t.Context(), id), dockpod.ErrRunning)
		equal(t, "link", want, w.link(t, "0.log"))
	}},
	{"each attempt has a link of its own", func(t *testing.T, w *world) {
		first, second := w.attempt(t, 0, "app/0.log"), w.attempt(t, 1, "app/1.log")
		equal(t, "first link", w.raw(t, first).LogPath, w.link(t, "app/0.log"))
		must(t, w.rt.RemoveContainer(t.Context(), first))
		equal(t, "first link", "", w.link(t, "app/0.log"))
		equal(t, "second link", w.raw(t, second).LogPath, w.link(t, "app/1.log"))
	}},
	{"attempts that share a path leave it to the last", func(t *testing.T, w *world) {
		first, second := w.attempt(t, 0, "app.log"), w.attempt(t, 1, "app.log")
		must(t, w.rt.RemoveContainer(t.Context(), first))
		equal(t, "link", w.raw(t, second).LogPath, w.link(t, "app.log"))
	}},

	// After the agent was away.
	{"links that were deleted, damaged or exchanged are made right", func(t *testing.T, w *world) {
		ids := map[string]string{}
		for _, name := range []string{"deleted", "dangling", "exchanged", "right"} {
			ids[name] = w.logged(t, name, name+".log", "exit")
			w.run(t, ids[name])
			w.finished(t, ids[name])
		}
		must(t, os.Remove(filepath.Join(w.logs, "deleted.log")))
		w.relink(t, "/nowhere", "dangling.log")
		w.relink(t, w.link(t, "right.log"), "exchanged.log")

		report, err := w.rt.ReconcileLogLinks(t.Context())
		must(t, err)
		equal(t, "report", dockpod.LinkReport{Made: 1, Repaired: 2, Kept: 1}, report)
		for name, id := range ids {
			equal(t, name, w.raw(t, id).LogPath, w.link(t, name+".log"))
		}
		report, err = w.rt.ReconcileLogLinks(t.Context())
		must(t, err)
		equal(t, "second report", dockpod.LinkReport{Kept: 4}, report)
	}},
	{"what somebody else put in the place of a link is reported and stays", func(t *testing.T, w *world) {
		file, link := w.logged(t, "file", "file.log", "exit"), w.logged(t, "link", "link.log", "exit")
		w.run(t, file)
		w.run(t, link)
		must(t, os.Remove(filepath.Join(w.logs, "file.log")))
		must(t, os.WriteFile(filepath.Join(w.logs, "file.log"), nil, 0o644))
		w.relink(t, w.logs, "link.log")
		report, err := w.rt.ReconcileLogLinks(t.Context())
		must(t, err)
		equal(t, "problems", 2, len(report.Problems))
		equal(t, "file", "not a link", w.link(t, "file.log"))
		equal(t, "link", w.logs, w.link(t, "link.log"))
	}},
	{"containers that want no link, or never ran, get none", func(t *testing.T, w *world) {
		w.run(t, w.logged(t, "pathless", "", "exit"))
		w.logged(t, "created", "created.log", "exit")
		report, err := w.rt.ReconcileLogLinks(t.Context())
		must(t, err)
		equal(t, "report", dockpod.LinkReport{}, report)
		equal(t, "directory", []string{}, w.dir(t))
	}},
	{"another owner's links are left alone", func(t *testing.T, w *world) {
		id := w.logged(t, "app", "0.log", "exit")
		w.run(t, id)
		must(t, os.Remove(filepath.Join(w.logs, "0.log")))
		report, err := w.other(t).ReconcileLogLinks(t.Context())
		must(t, err)
		equal(t, "report", dockpod.LinkReport{}, report)
		equal(t, "link", "", w.link(t, "0.log"))
	}},
}

// logged creates a container alone that wants a log link.
func (w *world) logged(t *testing.T, name, logPath string, args ...string) string {
	t.Helper()
	c := w.container(name, args...)
	c.LogPath = logPath
	return w.made(t, c)
}

// attempt runs an attempt of a container that wants a log link.
func (w *world) attempt(t *testing.T, n uint32, logPath string) string {
	t.Helper()
	c := w.container("app", "exit")
	c.Attempt, c.LogPath = n, logPath
	id := w.started(t, c)
	w.finished(t, id)
	return id
}

// link returns where a link below the log directory leads; "" is where nothing
// stands.
func (w *world) link(t *testing.T, rel string) string {
	t.Helper()
	at := filepath.Join(w.logs, rel)
	info, err := os.Lstat(at)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	must(t, err)
	if info.Mode().Type() != fs.ModeSymlink {
		return "not a link"
	}
	to, err := os.Readlink(at)
	must(t, err)
	return to
}

// symlink puts a link to something into the log directory.
func (w *world) symlink(t *testing.T, to, rel string) {
	t.Helper()
	must(t, os.Symlink(to, filepath.Join(w.logs, rel)))
}

// relink makes a link lead to something else.
func (w *world) relink(t *testing.T, to, rel string) {
	t.Helper()
	must(t, os.Remove(filepath.Join(w.logs, rel)))
	w.symlink(t, to, rel)
}

// dir lists the log directory.
func (w *world) dir(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(w.logs)
	must(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
