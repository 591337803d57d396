package dockpod

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/docker/docker/api/types/events"
)

// EventKind says what happened to a container or sandbox.
type EventKind string

// The kinds of events. A container is created, started, exited and removed in
// this order; the second and third come again where it is started in place.
const (
	EventCreated  EventKind = "created"
	EventStarted  EventKind = "started"
	EventExited   EventKind = "exited"
	EventFailed   EventKind = "failed" // its start failed; no engine tells: noticed at once if it was this Runtime's, else with the next list
	EventRemoved  EventKind = "removed"
	EventPaused   EventKind = "paused"
	EventUnpaused EventKind = "unpaused"
	EventHealth   EventKind = "health"  // the outcome of its health check has changed
	EventUpdated  EventKind = "updated" // its limits or its name have changed

	// EventSynced belongs to no container: what was told so far is all there
	// was at its Time. It comes after the account of what a Watch found at its
	// beginning, and after each gap in the engine's events.
	EventSynced EventKind = "synced"
)

// Event is what [Runtime.Watch] tells.
type Event struct {
	Kind EventKind
	// Time is when it happened by the engine's clock, as far as anybody
	// knows: for a removal that was noticed by looking, when that was.
	Time      time.Time
	ID        string
	Sandbox   bool   // it happened to a sandbox
	SandboxID string // of a container; of a sandbox its own ID
	Name      Name   // zero if only a removal was seen, and the name cannot be read

	ExitCode int    // of EventExited and EventFailed; -1: the engine does not know any more
	Reason   string // as in a [ContainerStatus]; empty if the exit code is not known
	Health   string // of EventHealth

	// Status, or for a sandbox SandboxStatus, is what an inspection after
	// the event showed, which may be later things, too. Both are nil if the
	// container was gone by then. They are shared: read only.
	Status        *ContainerStatus
	SandboxStatus *SandboxStatus

	// Noticed is set where no event of the engine told: the difference
	// between two looks did.
	Noticed bool
}

// Watch tells what happens to this Runtime's containers and sandboxes. With a
// zero since it begins with all that exist: each is created, started, exited
// as far as the engine remembers, then comes [EventSynced], and from then on
// what happens. With another since it leaves out what happened until then. Of
// what no engine notes the time of, failed starts, pauses and health, it tells
// how it is.
//
// So an agent goes on where it was with the latest Time of the events that it
// has seen, if EventSynced was among them: what comes before that is in no
// order of time. Later an event may still come before an earlier one of another
// container, whose inspection takes longer; an agent that must not miss it
// takes a since some seconds before, and what it knows already once more.
//
// The loop lasts until it is left, ctx ends, whose error is then the last, or
// the engine turns out to have no events ([ErrUnsupported]). Any other error is news, not the end: the
// engine cannot be reached, the stream was cut, a container cannot be
// inspected. Watch subscribes anew, asks for what it missed, lists, tells what
// the difference shows, and closes the gap with EventSynced:
//
//	for event, err := range rt.Watch(ctx, time.Time{}) {
//		if err != nil {
//			log.Print(err) // and go on
//			continue
//		}
//		…
//	}
//
// Of one container everything comes in order, no transition twice: an event
// that repeats what was told is dropped. What was missed is completed from the
// engine's memory, which is the beginning of the last run, its end, its exit
// code, and whether it is there at all. Runs before the last one, and pauses,
// that passed in a gap that the engine does not replay are lost; the exit code
// of such a run is -1. Docker replays up to 256 events, and none from before
// its own restart; Podman replays none. A container that was made and removed
// in such a gap is never told.
//
// An engine that is killed between telling an exit and noting it comes back
// with another exit code for that run: Docker 20.10 with 0. Then the exit is
// told once more, Noticed, with what every [ContainerStatus] shows from now on;
// what was told first was the truth.
//
// Events of containers that are not this Runtime's cost no request. Each other
// one costs an inspection, shared by those that come together, and one of an
// image, whoever uses it, that of each image in use; a container whose
// inspection hangs holds up its own events alone. A loop that is slow holds up
// nobody: if more than some thousand events wait, it is a gap like others.
func (r *Runtime) Watch(ctx context.Context, since time.Time) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		fail := func(err error) error { return wrapError(ctx, "watch", "", 0, err) }
		f, err := r.newFeed(ctx, "Watch")
		if err != nil {
			yield(Event{}, fail(err))
			return
		}
		defer f.stop()
		w := watcher{feed: f, floor: since}
		f.since = since
		f.onLook, f.onTrouble, f.onSynced = w.look, w.trouble, w.synced
		f.start()
		for f.step() {
			for _, n := range w.out {
				if n.err != nil {
					n.err = fail(n.err)
				}
				if !yield(n.event, n.err) {
					return
				}
			}
			w.out = w.out[:0]
			f.end()
		}
		yield(Event{}, fail(ctx.Err()))
	}
}

// watcher turns a feed's looks into events.
type watcher struct {
	feed  *feed
	floor time.Time // what happened until then is not told at the beginning
	up    bool      // the beginning is over
	out   []news
	said  string // the last error of an outage
}

type news struct {
	event Event
	err   error
}

// trouble passes an error on, unless it repeats the last one.
func (w *watcher) trouble(err error) {
	switch {
	case err == nil:
		w.said = ""
	case err.Error() != w.said:
		w.said = err.Error()
		w.out = append(w.out, news{err: err})
	}
}

func (w *watcher) synced(listed time.Time) {
	w.up, w.said = true, ""
	w.out = append(w.out, news{event: Event{Kind: EventSynced, Time: listed.UTC(), Noticed: true}})
}

func (w *watcher) look(rec *record, msgs []happening, l *look, settle bool) bool {
	if l.foreign && rec.told.phase == phaseNone {
		return true // lists leave it out, too
	}
	if l.gone && rec.told.phase == phaseNone && (w.up || w.floor.IsZero()) {
		i := slices.IndexFunc(msgs, func(m happening) bool { return m.action == events.ActionCreate })
		if i < 0 || !w.wasOurs(msgs[i].attrs) {
			return true // it came and went in a gap, and somebody saw half of it; or it was foreign
		}
		msgs = slices.Concat(msgs[i:i+1], msgs[:i], msgs[i+1:])
	}
	// What is found at the very beginning has no event to wait for, unless
	// the engine was asked to replay some.
	first := !w.up && rec.look == nil && len(msgs) == 0 && w.floor.IsZero()
	told, settled := rec.told.advance(msgs, l, settle || first, time.Now().UTC())
	for _, e := range told {
		// When a start failed nobody knows.
		if !w.up && !w.floor.IsZero() && !e.Time.After(w.floor) && e.Kind != EventFailed {
			continue
		}
		e.ID = rec.id
		w.describe(&e, rec, l, msgs)
		w.out = append(w.out, news{event: e})
	}
	return settled
}

// wasOurs tells from the event of a container's creation whether it was this
// Runtime's, in doubt not: its image cannot be asked for any more.
func (w *watcher) wasOurs(attrs map[string]string) bool {
	names := []string{attrs["name"]}
	_, err := w.feed.r.nameOf(names, attrs)
	return err == nil && w.feed.r.kindOfContainer(names, "", attrs) != ""
}

// describe fills in whose event it is.
func (w *watcher) describe(e *Event, rec *record, l *look, msgs []happening) {
	if l.gone {
		l = rec.look
	} else {
		e.Status, e.SandboxStatus = l.container, l.sandbox
	}
	var kind string
	switch {
	case l != nil:
		kind, e.Name, e.SandboxID = l.kind, l.name, l.labels[LabelSandboxID]
	case len(msgs) > 0:
		attrs := msgs[0].attrs
		kind, e.SandboxID = w.feed.r.kindOf(attrs), attrs[LabelSandboxID]
		e.Name, _ = w.feed.r.nameOf([]string{attrs["name"]}, attrs)
	}
	if kind == TypeSandbox {
		e.Sandbox, e.SandboxID = true, e.ID
	}
}
