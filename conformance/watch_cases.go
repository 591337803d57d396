package conformance

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dockpod/dockpod"
)

// watchCases say what an engine tells of its containers, and what the library
// makes of it.
var watchCases = []testCase{
	{"a life is told in order", func(t *testing.T, w *world) {
		told := w.listen(t)
		id := w.alone(t, "exit", "3")
		w.run(t, id)
		w.finished(t, id)
		must(t, w.rt.RemoveContainer(t.Context(), id))
		told.until(t, id, dockpod.EventRemoved)
		equal(t, "events", "created started exited removed", told.kinds(id))
		e := told.last(id, dockpod.EventExited)
		if e.ExitCode != 3 || e.Reason != dockpod.ReasonError || e.Name.Container != "app" || e.Sandbox {
			t.Errorf("exit is %+v", e)
		}
	}},
	{"a pause and an end by a stop", func(t *testing.T, w *world) {
		told := w.listen(t)
		id := w.up(t, "sleep")
		w.pause(t, id)
		must(t, w.docker.(dockpod.ContainerPauser).ContainerUnpause(t.Context(), id))
		must(t, w.rt.StopContainer(t.Context(), id, 10*time.Second))
		told.until(t, id, dockpod.EventExited)
		equal(t, "events", "created started paused unpaused exited", told.kinds(id))
		if e := told.last(id, dockpod.EventExited); e.ExitCode != 0 || e.Reason != dockpod.ReasonCompleted {
			t.Errorf("exit is %+v", e)
		}
	}},
	{"a sandbox is told as one", func(t *testing.T, w *world) {
		told := w.listen(t)
		id, s := w.ready(t)
		inside := w.create(t, id, w.container("app", "sleep"), s)
		told.until(t, id, dockpod.EventStarted)
		told.until(t, inside, dockpod.EventCreated)
		if e := told.last(id, dockpod.EventStarted); !e.Sandbox || e.SandboxID != id || e.Name.Pod != "pod" || e.SandboxStatus == nil {
			t.Errorf("start is %+v", e)
		}
		if e := told.last(inside, dockpod.EventCreated); e.Sandbox || e.SandboxID != id {
			t.Errorf("creation is %+v", e)
		}
		must(t, w.rt.RemoveSandbox(t.Context(), id))
		told.until(t, id, dockpod.EventRemoved)
		told.until(t, inside, dockpod.EventRemoved)
	}},
	{"a failed start is told by nobody but noticed", func(t *testing.T, w *world) {
		w.needs(t, "failed starts")
		id := w.failed(t)
		told := w.listen(t)
		told.until(t, id, dockpod.EventFailed)
		equal(t, "events", "created failed", told.kinds(id))
		if e := told.last(id, dockpod.EventFailed); e.ExitCode != 127 || e.Reason != dockpod.ReasonContainerCannotRun {
			t.Errorf("failure is %+v", e)
		}
	}},
	{"others' containers are not told", func(t *testing.T, w *world) {
		told := w.listen(t)
		w.foreign(t, "foreign-"+w.owner, nil)
		other := w.other(t)
		_, err := other.CreateContainer(t.Context(), "", w.container("app", "sleep"), w.pod("alone"))
		must(t, err)
		id := w.alone(t, "sleep")
		told.until(t, id, dockpod.EventCreated)
		for _, e := range told.all {
			if e.ID != id && e.Kind != dockpod.EventSynced {
				t.Errorf("told %+v", e)
			}
		}
	}},
	{"a watch goes on where another one ended", func(t *testing.T, w *world) {
		told := w.listen(t)
		id := w.up(t, "sleep")
		told.until(t, id, dockpod.EventStarted)
		told.stop()
		last := told.last(id, dockpod.EventStarted).Time
		must(t, w.rt.StopContainer(t.Context(), id, 0))
		told = w.listenSince(t, last)
		told.until(t, id, dockpod.EventExited)
		equal(t, "events", "exited", told.kinds(id))
	}},
	{"a mirror shows what the engine shows", func(t *testing.T, w *world) {
		w.needs(t, "events")
		m, err := w.rt.Mirror(t.Context())
		must(t, err)
		defer m.Close()
		pod, s := w.ready(t)
		up := w.start(t, pod, w.container("app", "sleep"), s)
		end := w.ended(t, "exit", "2")
		made := w.alone(t, "sleep")
		gone := w.gone(t)
		must(t, m.Sync(t.Context()))
		for _, id := range []string{up, end, made} {
			got, err := m.ContainerStatus(t.Context(), id)
			must(t, err)
			equal(t, "status", w.status(t, id), got)
		}
		want, err := w.rt.SandboxStatus(t.Context(), pod)
		must(t, err)
		got, err := m.SandboxStatus(t.Context(), pod)
		must(t, err)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(want, "IPs")); diff != "" || len(want.IPs) != len(got.IPs) {
			t.Errorf("sandbox mismatch (-engine +mirror):\n%s", diff)
		}
		_, err = m.ContainerStatus(t.Context(), gone)
		fails(t, err, dockpod.ErrContainerNotFound)
		list, err := m.ListContainers(t.Context(), dockpod.Filter{})
		must(t, err)
		equal(t, "IDs", w.ids(t, dockpod.Filter{}), sorted(idsOf(list)...))

		// And by itself, without being asked to.
		must(t, w.rt.StopContainer(t.Context(), up, 0))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for v := uint64(0); m.Status(up).State != dockpod.StateExited; {
			v, err = m.Changed(ctx, v)
			must(t, err)
		}
	}},
	{"the engine's own order and attributes", func(t *testing.T, w *world) {
		w.needs(t, "exact inspections")
		w.needs(t, "events")
		src := w.docker.(dockpod.EventSource)
		id := w.up(t, "sleep")
		w.pause(t, id)
		must(t, w.docker.(dockpod.ContainerPauser).ContainerUnpause(t.Context(), id))
		exec, err := w.docker.ContainerExecCreate(t.Context(), id, container.ExecOptions{Cmd: []string{"/prog", "exit", "4"}})
		must(t, err)
		must(t, w.docker.ContainerExecStart(t.Context(), exec.ID, container.ExecStartOptions{Detach: true}))
		for {
			x, err := w.docker.ContainerExecInspect(t.Context(), exec.ID)
			must(t, err)
			if !x.Running {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		seconds := 10
		must(t, w.docker.ContainerStop(t.Context(), id, container.StopOptions{Timeout: &seconds}))
		w.tear(t, id)
		failed := w.failed(t)
		w.tear(t, failed)

		said := map[string][]string{}
		messages, errs := src.Events(t.Context(), events.ListOptions{
			Since: "1", Until: time.Now().Add(time.Second).Format(time.RFC3339Nano),
			Filters: filters.NewArgs(filters.Arg("type", "container"), filters.Arg("label", dockpod.LabelOwner+"="+w.owner)),
		})
		for open := true; open; {
			select {
			case m := <-messages:
				text := string(m.Action)
				for _, k := range []string{"exitCode", "signal"} {
					if v, ok := m.Actor.Attributes[k]; ok {
						text += " " + k + "=" + v
					}
				}
				if m.Actor.Attributes["name"] == "" || m.Actor.Attributes["image"] == "" || m.TimeNano == 0 || m.Time == 0 {
					t.Errorf("an event without name, image or time: %+v", m)
				}
				said[m.Actor.ID] = append(said[m.Actor.ID], text)
			case <-errs:
				open = false
			}
		}
		// Later engines say stop before die.
		got := strings.Replace(strings.Join(said[id], "\n"), "stop\ndie exitCode=0", "die exitCode=0\nstop", 1)
		equal(t, "events of a life", strings.Join([]string{
			"create", "start", "pause", "unpause", "exec_create: /prog exit 4", "exec_start: /prog exit 4", "exec_die exitCode=4",
			"kill signal=15", "die exitCode=0", "stop", "destroy",
		}, "\n"), got)
		equal(t, "events of a failed start", "create\ndestroy", strings.Join(said[failed], "\n"))
	}},
}

// told is what a Watch has told so far.
type told struct {
	all    []dockpod.Event
	events chan dockpod.Event
	cancel context.CancelFunc
	done   chan struct{}
}

// listen watches this world from its beginning until the case ends.
func (w *world) listen(t *testing.T) *told {
	t.Helper()
	return w.listenSince(t, time.Time{})
}

func (w *world) listenSince(t *testing.T, since time.Time) *told {
	t.Helper()
	w.needs(t, "events")
	ctx, cancel := context.WithCancel(t.Context())
	l := &told{events: make(chan dockpod.Event), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for e, err := range w.rt.Watch(ctx, since) {
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("watch: %v", err)
				}
				continue
			}
			select {
			case l.events <- e:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(l.stop)
	l.until(t, "", dockpod.EventSynced)
	return l
}

func (l *told) stop() {
	l.cancel()
	<-l.done
}

// until waits for an event of a container; it may have come.
func (l *told) until(t *testing.T, id string, kind dockpod.EventKind) {
	t.Helper()
	timeout := time.NewTimer(60 * time.Second)
	defer timeout.Stop()
	for l.last(id, kind).Kind == "" {
		select {
		case e := <-l.events:
			l.all = append(l.all, e)
		case <-timeout.C:
			t.Fatalf("%q of %q was not told, but %q", kind, id, l.kinds(id))
		}
	}
}

func (l *told) last(id string, kind dockpod.EventKind) (last dockpod.Event) {
	for _, e := range l.all {
		if e.ID == id && e.Kind == kind {
			last = e
		}
	}
	return last
}

func (l *told) kinds(id string) string {
	var out []string
	for _, e := range l.all {
		if e.ID == id {
			out = append(out, string(e.Kind))
		}
	}
	return strings.Join(out, " ")
}
