package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/dockpod/dockpod"
)

// logReadCases are about reading logs, from the engine's files and through its
// API.
var logReadCases = []testCase{
	{"the streams of a log are told apart, and can be had alone", func(t *testing.T, w *world) {
		id := w.both(t, w.container("app"), 4)
		for _, source := range w.sources(t) {
			equal(t, "both from "+string(source), [2]string{"out 1\nout 3\n", "err 2\nerr 4\n"}, w.logs2(t, id, dockpod.LogOptions{Source: source}))
			var out bytes.Buffer
			must(t, w.rt.ContainerLogs(t.Context(), id, dockpod.LogOptions{Stderr: &out, Source: source}))
			equal(t, "stderr from "+string(source), "err 2\nerr 4\n", out.String())
		}
	}},
	{"one writer for both streams gets the lines in their order", func(t *testing.T, w *world) {
		id := w.both(t, w.container("app"), 4)
		for _, source := range w.sources(t) {
			equal(t, "log from "+string(source), "out 1\nerr 2\nout 3\nerr 4\n", w.log(t, id, dockpod.LogOptions{Source: source}))
		}
	}},
	{"times stand before lines, and the sources agree on every byte", func(t *testing.T, w *world) {
		w.needs(t, "exact log times")
		for _, command := range [][]string{{"both", "6"}, {"long", "40000"}, {"write", `a\n\nb\tc <d> & \"e\"\n\u00e9\x1b[0m`}} {
			id := w.ended(t, command...)
			first := w.log(t, id, dockpod.LogOptions{Timestamps: true, Source: dockpod.LogSourceAPI})
			for _, source := range w.sources(t) {
				equal(t, command[0]+" from "+string(source), first, w.log(t, id, dockpod.LogOptions{Timestamps: true, Source: source}))
			}
			for line := range strings.Lines(first) {
				stamp, _, _ := strings.Cut(line, " ")
				if _, err := time.Parse("2006-01-02T15:04:05.000000000Z", stamp); err != nil {
					t.Errorf("line %.60q begins with no time: %v", line, err)
				}
			}
		}
	}},
	{"a tail counts the lines of the streams that are asked for", func(t *testing.T, w *world) {
		id := w.both(t, w.container("app"), 6)
		for _, source := range w.sources(t) {
			for tail, want := range map[int]string{
				0: "out 1\nerr 2\nout 3\nerr 4\nout 5\nerr 6\n", 1: "err 6\n", 3: "err 4\nout 5\nerr 6\n",
				6: "out 1\nerr 2\nout 3\nerr 4\nout 5\nerr 6\n", 7: "out 1\nerr 2\nout 3\nerr 4\nout 5\nerr 6\n", dockpod.TailNone: "",
			} {
				equal(t, fmt.Sprintf("tail %d from %s", tail, source), want, w.log(t, id, dockpod.LogOptions{Tail: tail, Source: source}))
			}
			var out bytes.Buffer
			must(t, w.rt.ContainerLogs(t.Context(), id, dockpod.LogOptions{Stdout: &out, Tail: 2, Source: source}))
			equal(t, "tail of stdout from "+string(source), "out 3\nout 5\n", out.String())
		}
	}},
	{"a long line is one, whatever pieces it is kept in", func(t *testing.T, w *world) {
		id := w.ended(t, "long", "40000")
		long := strings.Repeat("x", 40000)
		for _, source := range w.sources(t) {
			equal(t, "log from "+string(source), long+"\nend\n", w.log(t, id, dockpod.LogOptions{Source: source}))
			equal(t, "tail 2 from "+string(source), long+"\nend\n", w.log(t, id, dockpod.LogOptions{Tail: 2, Source: source}))
			equal(t, "tail 1 from "+string(source), "end\n", w.log(t, id, dockpod.LogOptions{Tail: 1, Source: source}))
			equal(t, "tail 1 followed from "+string(source), "end\n", w.log(t, id, dockpod.LogOptions{Tail: 1, Follow: true, Source: source}))
			equal(t, "no tail followed from "+string(source), "", w.log(t, id, dockpod.LogOptions{Tail: dockpod.TailNone, Follow: true, Source: source}))
			equal(t, "lines from "+string(source), []string{long, "end"}, texts(w.lines(t, id, dockpod.LogOptions{Source: source})))
		}
	}},
	{"a line without a newline is given as it is", func(t *testing.T, w *world) {
		id := w.ended(t, "write", `one\ntwo`)
		for _, source := range w.sources(t) {
			equal(t, "log from "+string(source), "one\ntwo", w.log(t, id, dockpod.LogOptions{Source: source}))
			lines := w.lines(t, id, dockpod.LogOptions{Source: source})
			equal(t, "lines from "+string(source), []string{"one", "two"}, texts(lines))
			equal(t, "the last is partial", []bool{false, true}, []bool{lines[0].Partial, lines[1].Partial})
		}
	}},
	{"what a run left unfinished goes on with the next one", func(t *testing.T, w *world) {
		w.needs(t, "exact log times") // by which the runs of a terminal are told apart
		rt := w.with(dockpod.WithRestart())
		for _, tty := range []bool{false, true} {
			c := w.container("app", "write", `one\nrest`)
			c.Attempt, c.TTY = attempts.Add(1), tty
			id := w.started(t, c)
			w.finished(t, id)
			must(t, rt.StartContainer(t.Context(), id))
			w.finished(t, id)
			want := "one\nrestone\nrest"
			if tty {
				want = strings.ReplaceAll(want, "\n", "\r\n")
			}
			for _, source := range w.sources(t) {
				equal(t, "log from "+string(source), want, w.log(t, id, dockpod.LogOptions{Source: source}))
			}
		}
	}},
	{"bounds in time are exact to the nanosecond and included", func(t *testing.T, w *world) {
		w.needs(t, "exact log times")
		id := w.both(t, w.container("app"), 6)
		lines := w.lines(t, id, dockpod.LogOptions{})
		if len(lines) != 6 {
			t.Fatalf("%d lines", len(lines))
		}
		second, fourth := lines[1].Time, lines[3].Time
		for _, source := range w.sources(t) {
			for what, tt := range map[string]struct {
				o    dockpod.LogOptions
				want string
			}{
				"since":                   {dockpod.LogOptions{Since: fourth}, "err 4\nout 5\nerr 6\n"},
				"since a nanosecond more": {dockpod.LogOptions{Since: fourth.Add(1)}, "out 5\nerr 6\n"},
				"until":                   {dockpod.LogOptions{Until: second}, "out 1\nerr 2\n"},
				"until a nanosecond less": {dockpod.LogOptions{Until: second.Add(-1)}, "out 1\n"},
				"both":                    {dockpod.LogOptions{Since: second, Until: fourth}, "err 2\nout 3\nerr 4\n"},
				"both with a tail":        {dockpod.LogOptions{Since: second, Until: fourth, Tail: 2}, "out 3\nerr 4\n"},
				"since with a tail":       {dockpod.LogOptions{Since: fourth, Tail: 5}, "err 4\nout 5\nerr 6\n"},
				"until with a tail":       {dockpod.LogOptions{Until: fourth, Tail: 1}, "err 4\n"},
				"the future":              {dockpod.LogOptions{Since: time.Now().Add(time.Hour)}, ""},
			} {
				tt.o.Source = source
				equal(t, what+" from "+string(source), tt.want, w.log(t, id, tt.o))
			}
		}
	}},
	{"a limit is shared by the streams, exact, and no error", func(t *testing.T, w *world) {
		id := w.both(t, w.container("app"), 4)
		for _, source := range w.sources(t) {
			all := w.log(t, id, dockpod.LogOptions{Source: source}) // their order is another case's
			equal(t, "lines", []string{"err 2\n", "err 4\n", "out 1\n", "out 3\n"}, sorted(slices.Collect(strings.Lines(all))...))
			for n := 1; n <= len(all)+1; n++ {
				got := w.log(t, id, dockpod.LogOptions{LimitBytes: int64(n), Source: source})
				equal(t, fmt.Sprintf("limit %d from %s", n, source), all[:min(n, len(all))], got)
			}
			got := w.log(t, id, dockpod.LogOptions{LimitBytes: 33, Timestamps: true, Source: source})
			equal(t, "bytes with times", 33, len(got))
		}
	}},
	{"a terminal's log is on stdout, as the terminal gave it", func(t *testing.T, w *world) {
		c := w.container("app", "both", "3")
		c.TTY = true
		id := w.started(t, c)
		w.finished(t, id)
		want := "out 1\r\nerr 2\r\nout 3\r\n"
		for _, source := range w.sources(t) {
			equal(t, "log from "+string(source), [2]string{want, ""}, w.logs2(t, id, dockpod.LogOptions{Source: source}))
			equal(t, "tail from "+string(source), "out 3\r\n", w.log(t, id, dockpod.LogOptions{Tail: 1, Source: source}))
			var errout bytes.Buffer
			must(t, w.rt.ContainerLogs(t.Context(), id, dockpod.LogOptions{Stderr: &errout, Source: source}))
			equal(t, "stderr alone from "+string(source), "", errout.String())
		}
	}},
	{"a terminal's long line is one", func(t *testing.T, w *world) {
		w.needs(t, "exact log times")
		c := w.container("app", "long", "40000")
		c.TTY = true
		id := w.started(t, c)
		w.finished(t, id)
		want := strings.Repeat("x", 40000) + "\r\nend\r\n"
		for _, source := range w.sources(t) {
			equal(t, "log from "+string(source), want, w.log(t, id, dockpod.LogOptions{Source: source}))
		}
	}},
	{"following ends when the container does, with all that it wrote", func(t *testing.T, w *world) {
		for _, source := range w.sources(t) {
			c := w.container("app", "write", `one\ntwo\nthree`)
			c.Attempt = attempts.Add(1)
			id := w.started(t, c)
			equal(t, "log from "+string(source), "one\ntwo\nthree", w.log(t, id, dockpod.LogOptions{Follow: true, Source: source}))

			c = w.container("app", "count", "300", "300", "0")
			c.Attempt = attempts.Add(1)
			id = w.started(t, c)
			counted(t, w.log(t, id, dockpod.LogOptions{Follow: true, Source: source}), 0, 300)
			counted(t, w.log(t, id, dockpod.LogOptions{Follow: true, Source: source}), 0, 300)
			counted(t, w.log(t, id, dockpod.LogOptions{Follow: true, Tail: 100, Source: source}), 200, 300)
		}
	}},
	{"following goes on behind a tail without a gap", func(t *testing.T, w *world) {
		for _, source := range w.sources(t) {
			c := w.container("app", "count", "600", "600", "0")
			c.Attempt = attempts.Add(1)
			id := w.started(t, c)
			w.hears(t, id, "line 99 ")
			got := w.log(t, id, dockpod.LogOptions{Follow: true, Tail: 10, Source: source})
			var first int
			if _, err := fmt.Sscanf(got, "line %d ", &first); err != nil || first < 90 {
				t.Fatalf("log from %s begins %.20q", source, got)
			}
			counted(t, got, first, 600)
		}
	}},
	{"following from now on gives nothing of what is there", func(t *testing.T, w *world) {
		w.needs(t, "signals")
		for _, source := range w.sources(t) {
			id := w.up(t, "stubborn")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			heard := &listener{line: "got SIGHUP"}
			done := make(chan error)
			go func() {
				done <- w.rt.ContainerLogs(ctx, id, dockpod.LogOptions{Stdout: heard, Follow: true, Tail: dockpod.TailNone, Source: source})
			}()
			tick := time.NewTicker(200 * time.Millisecond)
			err := error(nil)
			for waiting := true; waiting; {
				select {
				case err = <-done:
					waiting = false
				case <-tick.C:
					must(t, w.rt.Kill(t.Context(), id, "SIGHUP"))
				}
			}
			tick.Stop()
			cancel()
			fails(t, err, errHeard)
			if strings.Contains(heard.text.String(), "up\n") {
				t.Errorf("log from %s: %q", source, heard.text.String())
			}
		}
	}},
	{"a cancelled reading ends at once", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		for _, source := range w.sources(t) {
			ctx, cancel := context.WithCancel(t.Context())
			err := w.rt.ContainerLogs(ctx, id, dockpod.LogOptions{Stdout: onWrite(cancel), Follow: true, Source: source})
			fails(t, err, context.Canceled)
			begun := time.Now()
			fails(t, w.rt.ContainerLogs(ctx, id, dockpod.LogOptions{Stdout: io.Discard, Follow: true, Source: source}), context.Canceled)
			if d := time.Since(begun); d > patience {
				t.Errorf("it took %v", d)
			}
			cancel()
		}
	}},
	{"a writer's failure ends the reading and comes back", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		errFull := errors.New("full")
		for _, source := range w.sources(t) {
			err := w.rt.ContainerLogs(t.Context(), id, dockpod.LogOptions{Stdout: failing{errFull}, Follow: true, Source: source})
			fails(t, err, errFull)
			equal(t, "operation", "read container logs", refused[*dockpod.Error](t, err).Op)
		}
	}},
	{"a loop over lines can be left", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		for _, source := range w.sources(t) {
			for line, err := range w.rt.LogLines(t.Context(), id, dockpod.LogOptions{Follow: true, Source: source}) {
				must(t, err)
				equal(t, "line", "up", line.Text)
				equal(t, "stream", dockpod.LogStdout, line.Stream)
				break
			}
		}
	}},
	{"the log of a container that was never started is empty", func(t *testing.T, w *world) {
		id := w.alone(t, "exit")
		for _, source := range w.sources(t) {
			for _, follow := range []bool{false, true} {
				equal(t, "log from "+string(source), "", w.log(t, id, dockpod.LogOptions{Follow: follow, Tail: 5, Source: source}))
			}
		}
	}},
	{"a container that is gone, or none of ours, has no log to read", func(t *testing.T, w *world) {
		read := func(id string) error {
			return w.rt.ContainerLogs(t.Context(), id, dockpod.LogOptions{Stdout: io.Discard})
		}
		fails(t, read(w.gone(t)), dockpod.ErrContainerNotFound)
		sb, _ := w.ready(t)
		fails(t, read(sb), dockpod.ErrNotManaged)
		fails(t, read(w.foreign(t, "", nil)), dockpod.ErrNotManaged)
		_, err := w.rt.LogTail(t.Context(), w.gone(t), 0, 0)
		fails(t, err, dockpod.ErrContainerNotFound)
	}},
	{"a driver that keeps nothing is an error of its own", func(t *testing.T, w *world) {
		c := w.container("app", "exit")
		c.LogConfig.Driver = "none"
		id := w.started(t, c)
		w.finished(t, id)
		for _, source := range []dockpod.LogSource{dockpod.LogSourceAuto, dockpod.LogSourceAPI, dockpod.LogSourceFile} {
			fails(t, w.rt.ContainerLogs(t.Context(), id, dockpod.LogOptions{Stdout: io.Discard, Source: source}), dockpod.ErrLogsUnreadable)
		}
	}},
	{"a driver without a file for others is read through the API", func(t *testing.T, w *world) {
		w.needs(t, "local logs")
		c := w.container("app")
		c.LogConfig.Driver = "local"
		id := w.both(t, c, 3)
		equal(t, "log", "out 1\nerr 2\nout 3\n", w.log(t, id, dockpod.LogOptions{}))
		fails(t, w.rt.ContainerLogs(t.Context(), id, dockpod.LogOptions{Stdout: io.Discard, Source: dockpod.LogSourceFile}), dockpod.ErrLogsUnreadable)
	}},
	{"the end of a log is bounded in lines and bytes", func(t *testing.T, w *world) {
		id := w.ended(t, "count", "200", "100000", "50")
		tail := func(lines, bytes int) string {
			text, err := w.rt.LogTail(t.Context(), id, lines, bytes)
			must(t, err)
			return text
		}
		equal(t, "default", 2048, len(tail(0, 0)))
		equal(t, "lines", "line 198 "+strings.Repeat(".", 41)+"\nline 199 "+strings.Repeat(".", 41)+"\n", tail(2, 0))
		equal(t, "bytes", "..\n", tail(2, 3))
		equal(t, "lines by default", 80, strings.Count(tail(0, 1<<20), "\n"))
	}},
	{"a log that was rotated is read with its older files", func(t *testing.T, w *world) {
		w.needs(t, "json-file logs")
		c := w.container("app", "count", "1000", "5000", "50")
		c.LogConfig.Options = map[string]string{"max-size": "20k", "max-file": "3"}
		id := w.started(t, c)
		w.finished(t, id)
		api := w.log(t, id, dockpod.LogOptions{Source: dockpod.LogSourceAPI})
		equal(t, "log", api, w.log(t, id, dockpod.LogOptions{}))
		lines := strings.Count(api, "\n")
		counted(t, api, 1000-lines, 1000)
		if lines < 200 {
			t.Errorf("only %d lines are left", lines)
		}
		counted(t, w.log(t, id, dockpod.LogOptions{Tail: 200}), 800, 1000)
		counted(t, w.log(t, id, dockpod.LogOptions{Tail: 200, Source: dockpod.LogSourceAPI}), 800, 1000)
	}},
	{"a log is followed while it is rotated", func(t *testing.T, w *world) {
		w.needs(t, "json-file logs")
		c := w.container("app", "count", "1500", "1000", "50")
		c.LogConfig.Options = map[string]string{"max-size": "20k", "max-file": keepsAll}
		counted(t, w.log(t, w.started(t, c), dockpod.LogOptions{Follow: true}), 0, 1500)
	}},
	{"a log is followed while it is rotated and compressed", func(t *testing.T, w *world) {
		w.needs(t, "json-file logs")
		c := w.container("app", "count", "1500", "1000", "50")
		c.LogConfig.Options = map[string]string{"max-size": "20k", "max-file": keepsAll, "compress": "true"}
		counted(t, w.log(t, w.started(t, c), dockpod.LogOptions{Follow: true}), 0, 1500)
	}},
	{"50 rotations under 10,000 lines a second lose and double none", func(t *testing.T, w *world) {
		w.needs(t, "json-file logs")
		const lines, size = 40000, 100 // 170 bytes in the file, so 68 files
		c := w.container("app", "count", strconv.Itoa(lines), "10000", strconv.Itoa(size))
		c.LogConfig.Options = map[string]string{"max-size": "100k", "max-file": keepsAll}
		id := w.started(t, c)
		counted(t, w.log(t, id, dockpod.LogOptions{Follow: true}), 0, lines)
		counted(t, w.log(t, id, dockpod.LogOptions{}), 0, lines)
		older, err := filepath.Glob(w.raw(t, id).LogPath + ".*")
		must(t, err)
		if len(older) < 50 {
			t.Errorf("it was rotated %d times", len(older))
		}
	}},
	{"options that cannot be are refused", func(t *testing.T, w *world) {
		id := w.alone(t, "exit")
		now := time.Now()
		for field, o := range map[string]dockpod.LogOptions{
			"Stdout":     {},
			"Tail":       {Stdout: io.Discard, Tail: -1},
			"LimitBytes": {Stdout: io.Discard, LimitBytes: -1},
			"Until":      {Stdout: io.Discard, Since: now, Until: now.Add(-1)},
			"Source":     {Stdout: io.Discard, Source: "tape"},
		} {
			equal(t, "field", field, refused[*dockpod.FieldError](t, w.rt.ContainerLogs(t.Context(), id, o)).Field)
		}
	}},
}

// keepsAll is as many files as any of the logs that are followed comes to. Of
// fewer the oldest goes when a reader is late by a part of a second, as it may
// be where the machine is busy.
const keepsAll = "100"

// sources are those that the engine has here.
func (w *world) sources(t *testing.T) []dockpod.LogSource {
	t.Helper()
	if w.has(t, "log files") {
		return []dockpod.LogSource{dockpod.LogSourceAPI, dockpod.LogSourceFile}
	}
	return []dockpod.LogSource{dockpod.LogSourceAPI}
}

// both runs the program's "both" to its end in a container of its own, again
// until the engine has kept the order of the lines: it reads each output on a
// thread, and a busy one may be late with either.
func (w *world) both(t *testing.T, c dockpod.ContainerConfig, n int) string {
	t.Helper()
	c.Args = []string{"both", strconv.Itoa(n)}
	var want, kept bytes.Buffer
	for i := range n {
		fmt.Fprintln(&want, []string{"out", "err"}[i%2], i+1)
	}
	for range 20 {
		c.Attempt = attempts.Add(1)
		id := w.started(t, c)
		w.finished(t, id)
		logs, err := w.docker.ContainerLogs(t.Context(), id, container.LogsOptions{ShowStdout: true, ShowStderr: true})
		must(t, err)
		kept.Reset()
		_, err = stdcopy.StdCopy(&kept, &kept, logs)
		logs.Close()
		must(t, err)
		if kept.String() == want.String() {
			return id
		}
		must(t, w.rt.RemoveContainer(t.Context(), id))
	}
	t.Fatalf("the engine keeps %q in the place of %q", kept.String(), want.String())
	return ""
}

// log reads both streams of a log into one.
func (w *world) log(t *testing.T, id string, o dockpod.LogOptions) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var both bytes.Buffer
	o.Stdout, o.Stderr = &both, &both
	must(t, w.rt.ContainerLogs(ctx, id, o))
	return both.String()
}

// logs2 reads the streams of a log apart.
func (w *world) logs2(t *testing.T, id string, o dockpod.LogOptions) [2]string {
	t.Helper()
	var out, errout bytes.Buffer
	o.Stdout, o.Stderr = &out, &errout
	must(t, w.rt.ContainerLogs(t.Context(), id, o))
	return [2]string{out.String(), errout.String()}
}

func (w *world) lines(t *testing.T, id string, o dockpod.LogOptions) (lines []dockpod.LogLine) {
	t.Helper()
	for line, err := range w.rt.LogLines(t.Context(), id, o) {
		must(t, err)
		lines = append(lines, line)
	}
	return lines
}

func texts(lines []dockpod.LogLine) (list []string) {
	for _, l := range lines {
		list = append(list, l.Text)
	}
	return list
}

// counted expects the lines of "count" from one number up to before another.
func counted(t *testing.T, log string, from, to int) {
	t.Helper()
	next := from
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, fmt.Sprintf("line %d ", next)) || !strings.HasSuffix(line, "\n") {
			t.Errorf("%.40q stands in the place of line %d", line, next)
			return
		}
		next++
	}
	if next != to {
		t.Errorf("the log ends before line %d; want %d", next, to)
	}
}

// onWrite is a writer that calls a function.
type onWrite func()

func (f onWrite) Write(p []byte) (int, error) { f(); return len(p), nil }
