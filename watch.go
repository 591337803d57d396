package dockpod

import (
	"context"
	"iter"
	"slices"
	"time"
)

// EventKind says what happened to a container or sandbox.
type EventKind string

// The kinds of events. A container is created, started, exited and removed in
// this order; the second and third come again where it is started in place.
const (
	EventCreated  EventKind = "created"
	EventStarted  EventKind = "started"
	EventExited   EventKind = "exited"
	EventFailed   EventKind = "failed" // its start failed; no engine tells, so it is noticed late
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
// what happens. With another since it leaves out what happened until then, so
// that an agent goes on where it was with the Time of the last event it has
// seen.
//
// The loop lasts until it is left, ctx ends, or the engine turns out to have
// no events ([ErrUnsupported]). Any other error is news, not the end: the
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
// Events that name nothing of this Runtime's cost no request. Each other one
// costs an inspection, shared by those that come together; a container whose
// inspection hangs holds up its own events alone. A loop that is slow holds up
// nobody: if more than some thousand events wait, it is a gap like others.
func (r *Runtime) Watch(ctx context.Context, since time.Time) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		fail := func(err error) error {
			_, end := r.beginLimit(ctx, "watch", "", -1)
			end(&err)
			return err
		}
		f, err := r.newFeed(ctx)
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
	w.out = append(w.out, news{event: Event{Kind: EventSynced, Time: listed, Noticed: true}})
}

func (w *watcher) look(rec *record, msgs []happening, l *look, settle bool) bool {
	// What is found at the very beginning has no event to wait for, unless
	// the engine was asked to replay some.
	if l.gone && rec.told.phase == phaseNone && (w.up || w.floor.IsZero()) {
		i := slices.IndexFunc(msgs, func(m happening) bool { return m.action == "create" })
		if i < 0 {
			return true // it came and went in a gap, and somebody saw half of it
		}
		msgs = slices.Concat(msgs[i:i+1], msgs[:i], msgs[i+1:])
	}
	first := !w.up && rec.look == nil && len(msgs) == 0 && w.floor.IsZero()
	told, settled := rec.told.advance(msgs, l, settle || first, time.Now())
	for _, e := range told {
		if !w.up && !e.Time.After(w.floor) {
			continue
		}
		e.ID = rec.id
		w.describe(&e, rec, l, msgs)
		w.out = append(w.out, news{event: e})
	}
	return settled
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
	case l != nil && !l.gone:
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

// phase is what was told last of a container's life.
type phase int

const (
	phaseNone phase = iota // nothing
	phaseCreated
	phaseRunning
	phaseExited
	phaseFailed // it never ran
)

// account is what was told of a container. advance is all that changes it.
type account struct {
	phase   phase
	started time.Time // the beginning of the last run that was told
	exact   bool      // started is the engine's own, not an event's time, which is a little later
	oom     bool      // the kernel killed a process in this run
	paused  bool
	health  string
	name    string
	failure string // of the last start
}

// notAfter allows for the rounding of an event's time.
func notAfter(a, b time.Time) bool { return !a.After(b.Add(replaySlack)) }

// advance tells what msgs and then a look say, beyond what was told. The
// engine's events lead, as only they know what passed in between; a look that
// shows more is answered with false, for the events that explain it may be
// under way. With settle none are waited for.
//
// A run is known by its beginning: the look's, which is a little before the
// time of the event that tells it.
func (a *account) advance(msgs []happening, l *look, settle bool, now time.Time) (told []Event, settled bool) {
	tell := func(kind EventKind, at time.Time, noticed bool) *Event {
		told = append(told, Event{Kind: kind, Time: at, Noticed: noticed})
		return &told[len(told)-1]
	}
	var began time.Time // of the run that the look shows
	if !l.gone {
		began = l.started()
	}
	if !a.exact && !began.IsZero() && !a.started.IsZero() && notAfter(began, a.started) {
		a.started, a.exact = began, true
	}
	create := func(at time.Time, noticed bool) {
		if a.phase == phaseNone {
			tell(EventCreated, at, noticed)
			a.phase = phaseCreated
			if !l.gone {
				a.name = l.rawName
			}
		}
	}
	exit := func(at time.Time, code int, noticed bool) {
		e := tell(EventExited, at, noticed)
		e.ExitCode = code
		sameRun := !l.gone && !l.inRun() && began.Equal(a.started)
		oom := a.oom || sameRun && l.state.oom
		if code == unknownExit && sameRun {
			e.ExitCode = l.out.exitCode
		}
		if e.ExitCode != unknownExit {
			e.Reason, _ = exitReason(e.ExitCode, oom)
		}
		a.phase, a.paused, a.oom = phaseExited, false, false
	}
	run := func(at, began time.Time, exact, noticed bool) {
		if !l.gone {
			create(l.state.created, true)
		}
		if a.phase == phaseRunning {
			exit(at, unknownExit, true)
		}
		tell(EventStarted, at, noticed)
		a.phase, a.started, a.exact, a.paused, a.oom, a.failure = phaseRunning, began, exact, false, false, ""
		a.health = "" // starts anew
		if !l.gone && l.health != "" {
			a.health = "starting"
		}
	}
	if a.phase == phaseNone && !l.gone && len(msgs) > 0 && msgs[0].action != "create" {
		// It was there before the first event of it.
		create(l.state.created, true)
		if !began.IsZero() && notAfter(began, msgs[0].at) && msgs[0].action != "start" {
			run(began, began, true, true)
		}
	}
	for _, m := range msgs {
		switch m.action {
		case "create":
			if a.phase == phaseNone {
				create(m.at, false)
				a.name = "/" + m.attrs["name"] // the look shows a later one, perhaps
			}
		case "start":
			switch {
			case !a.started.IsZero() && began.Equal(a.started), // told
				a.started.After(m.at.Add(replaySlack)), // of an earlier run
				l.gone && a.phase == phaseRunning:
			case !began.IsZero() && notAfter(began, m.at):
				run(m.at, began, true, false)
			default:
				run(m.at, m.at, false, false) // the look shows a later run
			}
		case "die":
			if a.started.After(m.at.Add(replaySlack)) {
				continue
			}
			if a.phase != phaseRunning && !began.IsZero() && !began.Equal(a.started) && notAfter(began, m.at) {
				run(began, began, true, true) // its start was not told
			}
			if a.phase == phaseCreated {
				run(m.at, m.at, false, true) // likewise, and when is not known
			}
			if a.phase == phaseRunning || a.phase == phaseNone && l.gone {
				exit(m.at, m.code, false)
			}
		case "oom":
			a.oom = a.phase == phaseRunning
		case "pause", "unpause":
			yes := m.action == "pause"
			if a.phase != phaseRunning || a.paused == yes || a.started.After(m.at.Add(replaySlack)) {
				continue
			}
			a.paused = yes
			tell(map[bool]EventKind{true: EventPaused, false: EventUnpaused}[yes], m.at, false)
		case "health":
			if a.phase == phaseRunning && a.health != m.detail && !a.started.After(m.at.Add(replaySlack)) {
				a.health = m.detail
				tell(EventHealth, m.at, false).Health = m.detail
			}
		case "update":
			if a.phase != phaseNone {
				tell(EventUpdated, m.at, false)
			}
		case "rename":
			if name := "/" + m.attrs["name"]; a.phase != phaseNone && name != a.name {
				a.name = name
				tell(EventUpdated, m.at, false)
			}
		case "remove":
			if a.phase == phaseRunning {
				exit(m.at, unknownExit, true)
			}
			if a.phase != phaseNone || l.gone {
				tell(EventRemoved, m.at, false)
				*a = account{}
				if l.gone {
					return told, true
				}
			}
		}
	}
	if l.gone {
		switch {
		case a.phase == phaseNone:
			return told, true
		case !settle:
			return told, false
		case a.phase == phaseRunning:
			exit(now, unknownExit, true)
		}
		tell(EventRemoved, now, true)
		*a = account{}
		return told, true
	}
	if l.failed() && (a.phase == phaseCreated || settle && a.phase == phaseNone) {
		at := now // the engine notes no time
		if a.phase == phaseNone {
			at = l.state.created
		}
		create(l.state.created, true)
		e := tell(EventFailed, at, true)
		e.ExitCode, e.Reason = l.out.exitCode, l.out.reason
		a.phase, a.failure = phaseFailed, l.out.message
	}
	if !settle {
		return told, a.agrees(l)
	}
	create(l.state.created, true)
	if !began.IsZero() && !began.Equal(a.started) {
		run(began, began, true, true)
	}
	if a.phase == phaseRunning && !l.inRun() && !began.IsZero() {
		exit(l.out.finished, l.out.exitCode, true)
	}
	if l.inRun() && a.phase != phaseRunning {
		run(began, began, true, true)
	}
	if a.paused != l.paused() {
		a.paused = l.paused()
		tell(map[bool]EventKind{true: EventPaused, false: EventUnpaused}[a.paused], now, true)
	}
	if a.phase == phaseRunning && a.health != l.health {
		a.health = l.health
		if l.health != "starting" {
			tell(EventHealth, now, true).Health = l.health
		}
	}
	if a.name != l.rawName {
		a.name = l.rawName
		tell(EventUpdated, now, true)
	}
	if l.out.startError != a.failure && l.out.state == StateExited && !l.failed() {
		if a.failure = l.out.startError; a.failure != "" {
			e := tell(EventFailed, now, true)
			e.ExitCode, e.Reason = l.out.exitCode, ReasonContainerCannotRun
		}
	}
	return told, true
}

// agrees tells whether all that a look shows was told.
func (a *account) agrees(l *look) bool {
	began := l.started()
	return a.phase != phaseNone && (began.IsZero() || began.Equal(a.started)) &&
		(a.phase == phaseRunning) == l.inRun() && a.paused == l.paused() &&
		(a.phase != phaseRunning || a.health == l.health) && a.name == l.rawName &&
		(l.failed() || l.out.state != StateExited || l.out.startError == a.failure)
}
