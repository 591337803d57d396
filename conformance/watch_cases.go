package conformance

import (
	"context"
	"slices"
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
		w.unpause(t, id)
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
	{"what cannot be identified is not told", func(t *testing.T, w *world) {
		told := w.listen(t)
		strange := w.foreign(t, w.owner+"-strange", map[string]string{dockpod.LabelOwner: w.owner, dockpod.LabelOwnedType: dockpod.TypeContainer})
		id := w.alone(t, "sleep")
		told.until(t, id, dockpod.EventCreated)
		w.tear(t, strange)
		must(t, w.rt.RemoveContainer(t.Context(), id))
		told.until(t, id, dockpod.EventRemoved)
		equal(t, "events", "", told.kinds(strange))
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
	{"a watch that goes on is told that the last container has gone", func(t *testing.T, w *world) {
		w.needs(t, "past events")
		told := w.listen(t)
		id := w.up(t, "sleep")
		told.until(t, id, dockpod.EventStarted)
		told.stop()
		must(t, w.rt.RemoveContainer(t.Context(), id))
		told = w.listenSince(t, told.last(id, dockpod.EventStarted).Time)
		equal(t, "events until it is in step", "exited removed", told.kinds(id))
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
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for v := uint64(0); m.Status(up).State != dockpod.StateExited; {
			v, err = m.Changed(ctx, v)
			must(t, err)
		}
	}},
	{"the engine tells of health, new limits and a new name", func(t *testing.T, w *world) {
		renamer, ok := w.docker.(interface {
			ContainerRename(ctx context.Context, id, name string) error
		})
		if !ok {
			t.Skip("the engine renames nothing")
		}
		w.needs(t, "updates")
		tells := w.overhear(t, events.ListOptions{})
		id := w.healthy(t)
		w.eventually(t, "health", func() bool { return w.status(t, id).Health == "healthy" })
		must(t, w.rt.UpdateContainer(t.Context(), id, dockpod.Resources{CPUShares: 256}))
		must(t, renamer.ContainerRename(t.Context(), id, "renamed-"+w.owner))
		w.tear(t, id)
		tells.until(t, id, "destroy")
		for _, action := range []string{"health_status: healthy", "update", "rename"} {
			if !slices.Contains(tells.actions(id), action) {
				t.Errorf("%q is not among %q", action, tells.actions(id))
			}
		}
	}},
	{"the engine tells first what has happened since a time", func(t *testing.T, w *world) {
		w.needs(t, "past events")
		id := w.alone(t)
		since := at(t, w.raw(t, id).Created).Add(-time.Microsecond)
		tells := w.overhear(t, events.ListOptions{Since: since.Format(time.RFC3339Nano)})
		tells.until(t, w.alone(t), "create")
		equal(t, "of the first", []string{"create"}, tells.actions(id))
	}},
	{"the engine tells of images that come and go", func(t *testing.T, w *world) {
		w.needs(t, "exact inspections")
		tells := w.overhear(t, events.ListOptions{})
		id := w.more(t, "passing", w.name("app:1"))
		must(t, w.rt.RemoveImage(t.Context(), id.String()))
		tells.until(t, w.alone(t), "create")
		got := tells.actions(id.String())
		if len(got) == 0 || got[0] != "load" || got[len(got)-1] != "delete" {
			t.Errorf("%q is told; want a load first and a delete last", got)
		}
	}},
	{"the engine's own order and attributes", func(t *testing.T, w *world) {
		w.needs(t, "exact inspections")
		w.needs(t, "events")
		src := w.docker.(dockpod.EventSource)
		tells := w.overhear(t, events.ListOptions{})
		id := w.up(t, "sleep")
		w.pause(t, id)
		w.unpause(t, id)
		exec, err := w.docker.ContainerExecCreate(t.Context(), id, container.ExecOptions{Cmd: []string{"/prog", "exit", "4"}})
		must(t, err)
		must(t, w.docker.ContainerExecStart(t.Context(), exec.ID, container.ExecStartOptions{Detach: true}))
		tells.until(t, id, "exec_die") // of which an inspection tells a little before
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
	timeout := time.NewTimer(patience)
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

// overheard is what the engine itself has told so far.
type overheard struct {
	messages <-chan events.Message
	errs     <-chan error
	all      []events.Message
}

// overhear listens to the engine, past the library, until the case ends.
func (w *world) overhear(t *testing.T, o events.ListOptions) *overheard {
	t.Helper()
	w.needs(t, "events")
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	h := &overheard{}
	h.messages, h.errs = w.docker.(dockpod.EventSource).Events(ctx, o)
	return h
}

// until waits until the engine tells an action of a container.
func (h *overheard) until(t *testing.T, id, action string) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for !slices.Contains(h.actions(id), action) {
		select {
		case m := <-h.messages:
			h.all = append(h.all, m)
		case err := <-h.errs:
			t.Fatalf("the events have ended: %v", err)
		case <-timeout.C:
			t.Fatalf("%q of %s was not told in %v, but %q", action, id, patience, h.actions(id))
		}
	}
}

// actions returns what was told of a container or an image.
func (h *overheard) actions(id string) []string {
	var out []string
	for _, m := range h.all {
		if m.Actor.ID == id {
			out = append(out, string(m.Action))
		}
	}
	return out
}
