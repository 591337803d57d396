package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/internal/logline"
)

// logFileCases are about log files that dockpod writes itself.
var logFileCases = []testCase{
	// What stands in a file.
	{"a file has the lines of both streams when its container has ended", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		w.run(t, w.logged(t, "app", "app/0.log", "print", "one"))
		id := w.logged(t, "err", "err/0.log", "eprint", "two")
		w.run(t, id)
		w.finished(t, id)
		equal(t, "log", []string{"stderr F two"}, w.logText(t, "err/0.log"))
		equal(t, "path", filepath.Join(w.logs, "err/0.log"), w.status(t, id).LogPath)
	}},
	{"a container that ends at once loses no line", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		for i := range 5 {
			name := fmt.Sprintf("app-%d", i)
			id := w.logged(t, name, name+".log", "lines", "100")
			w.run(t, id)
			w.finished(t, id)
			equal(t, "lines", numbered(100), w.numbers(t, name+".log"))
		}
	}},
	{"the end of a line that was not finished is there, as a piece", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		for i := range 5 {
			name := fmt.Sprintf("app-%d", i)
			id := w.logged(t, name, name+".log", "write", `first\nrest`)
			w.run(t, id)
			w.finished(t, id)
			equal(t, "log", []string{"stdout F first", "stdout P rest"}, w.logText(t, name+".log"))
		}
	}},
	{"lines have the times that the engine gives", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		id := w.logged(t, "app", "0.log", "lines", "3")
		w.run(t, id)
		st := w.finished(t, id)
		for _, l := range w.logLines(t, "0.log") {
			// Podman's times are whole seconds.
			if at := l.Time(); at.Before(st.CreatedAt.Add(-2*time.Second)) || at.After(time.Now().Add(2*time.Second)) {
				t.Errorf("time %v; the container was created at %v", at, st.CreatedAt)
			}
		}
	}},
	{"long lines come in pieces of at most 16 KiB", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		for _, n := range []int{16<<10 - 1, 16 << 10, 16<<10 + 1, 40000, 1 << 20} {
			name := fmt.Sprintf("app-%d", n)
			id := w.logged(t, name, name+".log", "long", fmt.Sprint(n))
			w.run(t, id)
			w.finished(t, id)
			lines := w.logLines(t, name+".log")
			equal(t, "the last line", "end", string(lines[len(lines)-1].Text))
			lines = lines[:len(lines)-1]
			whole := 0
			for i, l := range lines {
				whole += len(l.Text)
				if len(l.Text) > 16<<10 {
					t.Errorf("a piece of %d bytes", len(l.Text))
				}
				equal(t, "the last one alone ends the line", i < len(lines)-1, l.Partial)
			}
			equal(t, "bytes", n, whole)
			if !w.isPodman(t) {
				// A newline that does not fit is a record of its own.
				equal(t, "pieces", n/(16<<10)+1, len(lines))
			}
		}
	}},
	{"the lines of a terminal are standard output", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		c := w.container("app", "args", "one", "two")
		c.TTY, c.LogPath = true, "0.log"
		id := w.started(t, c)
		w.finished(t, id)
		equal(t, "log", []string{"stdout F one\r", "stdout F two\r"}, w.logText(t, "0.log"))
	}},
	{"a container that says nothing has an empty file", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		id := w.logged(t, "app", "0.log", "exit")
		w.run(t, id)
		w.finished(t, id)
		equal(t, "log", []string{}, w.logText(t, "0.log"))
		must(t, w.rt.RemoveContainer(t.Context(), id))
		equal(t, "directory", []string{}, w.dir(t))
	}},
	{"a driver without a file of its own is written too", func(t *testing.T, w *world) {
		w.needs(t, "local logs")
		w.writing(t, dockpod.LogFileOptions{})
		c := w.container("app", "lines", "50")
		c.LogPath, c.LogConfig.Driver = "0.log", "local"
		id := w.started(t, c)
		w.finished(t, id)
		equal(t, "lines", numbered(50), w.numbers(t, "0.log"))
	}},
	{"a driver that cannot be read is an error, and the container runs", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		c := w.container("app", "sleep")
		c.LogPath, c.LogConfig.Driver = "0.log", "none"
		id := w.made(t, c)
		err := w.rt.StartContainer(t.Context(), id)
		fails(t, err, dockpod.ErrLogFile)
		fails(t, err, dockpod.ErrLogsUnreadable)
		st := w.status(t, id)
		equal(t, "state", dockpod.StateRunning, st.State)
		equal(t, "problems", 1, len(st.Problems))
	}},
	{"a stop returns when the log is in its file", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		id := w.logged(t, "app", "0.log", "stubborn")
		w.run(t, id)
		w.hears(t, id, "up")
		must(t, w.rt.StopContainer(t.Context(), id, time.Second))
		equal(t, "log", []string{"stdout F up", "stdout F got SIGTERM"}, w.logText(t, "0.log"))
	}},

	// Rotation.
	{"a log is rotated by size and loses its oldest files alone", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{MaxSize: 4 << 10, MaxFiles: 3})
		id := w.logged(t, "app", "0.log", "lines", "1000")
		w.run(t, id)
		w.finished(t, id)
		files := w.dir(t)
		equal(t, "files", 3, len(files))
		var got []string
		for _, f := range append(files[1:], files[0]) { // the current one sorts first
			info, err := os.Stat(filepath.Join(w.logs, f))
			must(t, err)
			if info.Size() > 4<<10 {
				t.Errorf("%s has %d bytes", f, info.Size())
			}
			got = append(got, w.numbers(t, f)...)
		}
		want := numbered(1000)
		// The engine reads each stream on a thread of its own, so that the end
		// of one may come long before that of the other.
		slices.Sort(got)
		for _, g := range got {
			if !slices.Contains(want, g) {
				t.Errorf("line %q", g)
			}
		}
		equal(t, "lines that are there twice", len(slices.Compact(slices.Clone(got))), len(got))
		equal(t, "the last line is there", true, slices.Contains(got, "line 1000") || slices.Contains(got, "line 999"))
		must(t, w.rt.RemoveContainer(t.Context(), id))
		equal(t, "directory", []string{}, w.dir(t))
	}},
	{"a log that was renamed is reopened, and no line is lost", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		id := w.logged(t, "app", "0.log", "tick", "1000")
		w.run(t, id)
		w.grows(t, "0.log", 10)
		old := filepath.Join(w.logs, "0.log.20060102-150405")
		must(t, os.Rename(filepath.Join(w.logs, "0.log"), old))
		must(t, w.rt.ReopenContainerLog(t.Context(), id))
		w.grows(t, "0.log", 10)
		must(t, w.rt.ReopenContainerLog(t.Context(), id)) // nothing was renamed
		must(t, w.rt.StopContainer(t.Context(), id, 10*time.Second))
		got := append(w.numbers(t, "0.log.20060102-150405"), w.numbers(t, "0.log")...)
		equal(t, "lines", ticks(len(got)), got)
		fails(t, w.rt.ReopenContainerLog(t.Context(), id), dockpod.ErrNotRunning)
		must(t, w.rt.RemoveContainer(t.Context(), id))
		equal(t, "directory", []string{"0.log.20060102-150405"}, w.dir(t))
	}},
	{"the engine's own file cannot be reopened", func(t *testing.T, w *world) {
		id := w.logged(t, "app", "0.log", "sleep")
		w.run(t, id)
		fails(t, w.rt.ReopenContainerLog(t.Context(), id), dockpod.ErrUnsupported)
	}},

	// After the agent was away.
	{"another agent goes on where the last one ended", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{MaxSize: 2 << 10, MaxFiles: 100})
		id := w.logged(t, "app", "0.log", "tick", "1000")
		w.run(t, id)
		w.grows(t, "0.log", 3)
		for range 3 {
			must(t, w.rt.Close())
			w.writing(t, dockpod.LogFileOptions{MaxSize: 2 << 10, MaxFiles: 100})
			report, err := w.rt.ReconcileLogLinks(t.Context())
			must(t, err)
			equal(t, "report", dockpod.LinkReport{Kept: 1, Resumed: 1}, report)
			w.grows(t, "0.log", 3)
		}
		must(t, w.rt.StopContainer(t.Context(), id, 10*time.Second))
		files := w.dir(t)
		var got []string
		for _, f := range append(files[1:], files[0]) {
			got = append(got, w.numbers(t, f)...)
		}
		equal(t, "lines", ticks(len(got)), got)
	}},
	{"the log of a container that ended meanwhile is completed", func(t *testing.T, w *world) {
		id := w.logged(t, "app", "0.log", "lines", "100")
		must(t, w.with().StartContainer(t.Context(), id)) // which makes a link
		w.finished(t, id)
		w.writing(t, dockpod.LogFileOptions{})
		report, err := w.rt.ReconcileLogLinks(t.Context())
		must(t, err)
		equal(t, "report", dockpod.LinkReport{Made: 1, Resumed: 1}, report)
		w.finished(t, id)
		equal(t, "lines", numbered(100), w.numbers(t, "0.log"))
	}},
	{"a last line that was cut off is written again", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		id := w.logged(t, "app", "0.log", "lines", "100")
		w.run(t, id)
		w.finished(t, id)
		for _, cut := range []int64{1, 7, 30, 50, 5000} {
			info, err := os.Stat(filepath.Join(w.logs, "0.log"))
			must(t, err)
			must(t, os.Truncate(filepath.Join(w.logs, "0.log"), max(0, info.Size()-cut)))
			_, err = w.rt.ReconcileLogLinks(t.Context())
			must(t, err)
			w.finished(t, id)
			equal(t, "lines", numbered(100), w.numbers(t, "0.log"))
		}
	}},
	{"what the engine rotates and compresses is written and followed whole", func(t *testing.T, w *world) {
		w.needs(t, "json-file logs")
		w.needs(t, "local logs")
		w.writing(t, dockpod.LogFileOptions{})
		ids, api := map[string]string{}, map[string]chan string{}
		for _, driver := range []string{"json-file", "local"} {
			c := w.container(driver, "count", "140", "10", "250") // a rotation takes six seconds
			c.LogPath = driver + ".log"
			c.LogConfig = dockpod.LogConfig{Driver: driver, Options: map[string]string{"max-size": "20k", "max-file": "5", "compress": "true"}}
			id, followed := w.started(t, c), make(chan string, 1)
			go func() {
				var out bytes.Buffer
				if err := w.rt.ContainerLogs(until(t, 4*patience), id, dockpod.LogOptions{Stdout: &out, Follow: true, Source: dockpod.LogSourceAPI}); err != nil {
					t.Errorf("follow the log of driver %s: %v", driver, err)
				}
				followed <- out.String()
			}()
			ids[driver], api[driver] = id, followed
		}
		for driver, id := range ids {
			counted(t, <-api[driver], 0, 140)
			w.finished(t, id)
			written := ""
			for _, l := range w.logLines(t, driver+".log") {
				written += string(l.Text) + "\n"
			}
			counted(t, written, 0, 140)
		}
	}},
	{"a container that is started in place goes on in its file", func(t *testing.T, w *world) {
		w.needs(t, "exact log times") // by which the runs of a terminal are told apart
		w.writing(t, dockpod.LogFileOptions{}, dockpod.WithRestart())
		for _, tty := range []bool{false, true} {
			name, end := fmt.Sprintf("tty-%v", tty), ""
			c := w.container(name, "write", `one\ntwo\nrest`)
			if c.TTY, c.LogPath = tty, name+".log"; tty {
				end = "\r"
			}
			id := w.started(t, c)
			w.finished(t, id)
			must(t, w.rt.StartContainer(t.Context(), id))
			w.finished(t, id)
			must(t, w.rt.Close())
			w.writing(t, dockpod.LogFileOptions{}, dockpod.WithRestart())
			_, err := w.rt.ReconcileLogLinks(t.Context())
			must(t, err)
			w.finished(t, id)
			run := []string{"stdout F one" + end, "stdout F two" + end, "stdout P rest"}
			equal(t, "log", append(run, run...), w.logText(t, name+".log"))
		}
	}},
	{"a file that was deleted is written anew", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		id := w.logged(t, "app", "0.log", "stubborn")
		w.run(t, id)
		w.hears(t, id, "up")
		must(t, os.Remove(filepath.Join(w.logs, "0.log")))
		_, err := w.rt.ReconcileLogLinks(t.Context())
		must(t, err)
		must(t, w.rt.StopContainer(t.Context(), id, time.Second))
		equal(t, "log", []string{"stdout F up", "stdout F got SIGTERM"}, w.logText(t, "0.log"))
	}},
	{"of two agents one writes, and the other takes over", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		id := w.logged(t, "app", "0.log", "tick", "1000")
		w.run(t, id)
		first := w.rt
		w.writing(t, dockpod.LogFileOptions{})
		w.run(t, id)
		w.grows(t, "0.log", 10)
		equal(t, "problems", 0, len(w.status(t, id).Problems))
		must(t, first.Close())
		w.grows(t, "0.log", 10)
		must(t, w.rt.StopContainer(t.Context(), id, 10*time.Second))
		got := w.numbers(t, "0.log")
		equal(t, "lines", ticks(len(got)), got)
	}},

	// What stood there before, and what stays.
	{"what is no log stays, and its container runs", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		file, dir := w.logged(t, "file", "file.log", "sleep"), w.logged(t, "dir", "dir.log", "sleep")
		link := w.logged(t, "link", "link.log", "sleep")
		precious := filepath.Join(t.TempDir(), "precious")
		must(t, os.WriteFile(precious, []byte("precious"), 0o644))
		must(t, os.WriteFile(filepath.Join(w.logs, "file.log"), []byte("precious"), 0o644))
		must(t, os.Mkdir(filepath.Join(w.logs, "dir.log"), 0o755))
		w.symlink(t, precious, "link.log")
		for _, id := range []string{file, dir, link} {
			fails(t, w.rt.StartContainer(t.Context(), id), dockpod.ErrLogFile)
			equal(t, "state", dockpod.StateRunning, w.status(t, id).State)
		}
		text, err := os.ReadFile(filepath.Join(w.logs, "file.log"))
		must(t, err)
		equal(t, "file", "precious", string(text))
		text, err = os.ReadFile(precious)
		must(t, err)
		equal(t, "file behind the link", "precious", string(text))

		must(t, os.Remove(filepath.Join(w.logs, "file.log")))
		w.run(t, file)
		must(t, w.rt.StopContainer(t.Context(), file, 10*time.Second))
		equal(t, "log when there is room", []string{"stdout F up"}, w.logText(t, "file.log"))
		for _, id := range []string{file, dir, link} {
			must(t, w.rt.RemoveContainer(t.Context(), id))
		}
		equal(t, "directory", []string{"dir.log", "link.log"}, w.dir(t))
	}},
	{"no file is made through a link that leads out of the directory", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		elsewhere := t.TempDir()
		w.symlink(t, elsewhere, "out")
		id := w.logged(t, "app", "out/0.log", "sleep")
		fails(t, w.rt.StartContainer(t.Context(), id), dockpod.ErrLogFile)
		there, err := os.ReadDir(elsewhere)
		must(t, err)
		equal(t, "files elsewhere", 0, len(there))
	}},
	{"a file goes with its container, and another's stays", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		one, two := w.logged(t, "one", "one.log", "print", "one"), w.logged(t, "two", "two.log", "print", "two")
		for _, id := range []string{one, two} {
			w.run(t, id)
			w.finished(t, id)
		}
		stranger := []byte("2006-01-02T15:04:05Z stdout F from another time\n")
		must(t, os.WriteFile(filepath.Join(w.logs, "two.log"), stranger, 0o644))
		must(t, os.WriteFile(filepath.Join(w.logs, "one.log.bak"), stranger, 0o644))
		must(t, w.rt.RemoveContainer(t.Context(), one))
		must(t, w.rt.RemoveContainer(t.Context(), two))
		equal(t, "directory", []string{"one.log.bak", "two.log"}, w.dir(t))
	}},
	{"the files of a pod go with its sandbox", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		sb, s := w.ready(t)
		for _, name := range []string{"one", "two"} {
			c := w.container(name, "sleep")
			c.LogPath = name + ".log"
			w.start(t, sb, c, s)
		}
		equal(t, "directory", []string{"one.log", "two.log"}, w.dir(t))
		must(t, w.rt.StopSandbox(t.Context(), sb, 10*time.Second))
		must(t, w.rt.RemoveSandbox(t.Context(), sb))
		equal(t, "directory", []string{}, w.dir(t))
	}},
	{"attempts that share a path leave it to the last", func(t *testing.T, w *world) {
		w.writing(t, dockpod.LogFileOptions{})
		first, second := w.attempt(t, 0, "app.log"), w.logged(t, "other", "app.log", "tick", "1000")
		w.run(t, second)
		w.grows(t, "app.log", 3)
		must(t, w.rt.RemoveContainer(t.Context(), first))
		must(t, w.rt.StopContainer(t.Context(), second, 10*time.Second))
		got := w.numbers(t, "app.log")
		equal(t, "lines", ticks(len(got)), got)
	}},
}

// writing makes the world's Runtime write log files.
func (w *world) writing(t *testing.T, o dockpod.LogFileOptions, opts ...dockpod.Option) {
	t.Helper()
	w.needs(t, "local files")
	rt := w.with(append(opts, dockpod.WithLogFiles(o), dockpod.WithRequestTimeout(time.Minute))...)
	t.Cleanup(func() { must(t, rt.Close()) })
	w.rt = rt
}

// logLines reads a log file.
func (w *world) logLines(t *testing.T, rel string) []logline.Record {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.logs, rel))
	must(t, err)
	all := []logline.Record{}
	for raw := range strings.Lines(string(text)) {
		var l logline.Record
		if err := logline.ParseRecord([]byte(raw), &l); err != nil || !strings.HasSuffix(raw, "\n") {
			t.Fatalf("%s has the line %q: %v", rel, raw, err)
		}
		all = append(all, l)
	}
	return all
}

// logText reads a log file without its times.
func (w *world) logText(t *testing.T, rel string) []string {
	t.Helper()
	all := []string{}
	for _, l := range w.logLines(t, rel) {
		tag := "F"
		if l.Partial {
			tag = "P"
		}
		all = append(all, l.Stream.String()+" "+tag+" "+string(l.Text))
	}
	return all
}

// numbers reads what the program's "lines" and "tick" have written: first
// standard output, then standard error, whose order is each its own.
func (w *world) numbers(t *testing.T, rel string) []string {
	t.Helper()
	var out, err []string
	for _, l := range w.logLines(t, rel) {
		if l.Stream == logline.Stderr {
			err = append(err, string(l.Text))
		} else {
			out = append(out, string(l.Text))
		}
	}
	return append(out, err...)
}

// numbered is what numbers returns of "lines n".
func numbered(n int) []string {
	var out, err []string
	for i := 1; i <= n; i++ {
		if line := fmt.Sprint("line ", i); i%10 == 0 {
			err = append(err, line)
		} else {
			out = append(out, line)
		}
	}
	return append(out, err...)
}

// ticks is what numbers returns of n lines of "tick".
func ticks(n int) []string {
	var lines []string
	for i := 1; i <= n; i++ {
		lines = append(lines, fmt.Sprint("line ", i))
	}
	return lines
}

// grows waits until a log file has n lines more than now, or is another one
// that has n.
func (w *world) grows(t *testing.T, rel string, n int) {
	t.Helper()
	at := filepath.Join(w.logs, rel)
	count := func() (lines int, info os.FileInfo) {
		info, err := os.Stat(at)
		if errors.Is(err, os.ErrNotExist) {
			return 0, nil // between the steps of a rotation
		}
		must(t, err)
		text, err := os.ReadFile(at)
		if err != nil {
			return 0, nil
		}
		return strings.Count(string(text), "\n"), info
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for had, first := count(); ; {
		lines, info := count()
		if info != nil && first != nil && !os.SameFile(info, first) {
			had = 0
		}
		if lines >= had+n {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%s does not grow: it has %d lines and had %d", rel, lines, had)
		}
	}
}
