package dockpod

import (
	"time"

	"github.com/docker/docker/api/types/events"
)

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
	phase    phase
	started  time.Time // the beginning of the last run that was told
	exact    bool      // started is the engine's own, not an event's time, which is a little later
	exitCode int       // of phaseExited and phaseFailed
	oom      bool      // the kernel killed a process in this run
	paused   bool
	health   string
	name     string
	failure  string // of the last start
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
	t := telling{account: a, look: l, now: now}
	if !l.gone {
		t.began = l.started()
	}
	if !a.exact && !t.began.IsZero() && !a.started.IsZero() && notAfter(t.began, a.started) {
		a.started, a.exact = t.began, true
	}
	if a.phase == phaseNone && !l.gone && len(msgs) > 0 {
		t.catchUp(msgs[0])
	}
	for _, m := range msgs {
		if t.take(m); m.action == events.ActionRemove && a.phase == phaseNone && l.gone {
			return t.told, true
		}
	}
	if l.gone {
		return t.told, t.goneIs(settle)
	}
	t.failedStart(settle)
	if settle {
		t.settle()
	}
	return t.told, settle || a.agrees(l)
}

// agrees tells whether all that a look shows was told.
func (a *account) agrees(l *look) bool {
	began := l.started()
	return a.phase != phaseNone && (began.IsZero() || began.Equal(a.started)) &&
		(a.phase == phaseRunning) == l.inRun() && !a.isAmended(l) && a.paused == l.paused() &&
		(a.phase != phaseRunning || a.health == l.health) && a.name == l.rawName &&
		(l.failed() || l.out.state != StateExited || l.out.startError == a.failure)
}

// isAmended tells whether the engine shows another exit code than it told for
// the same run. A later start that failed has a code of its own.
func (a *account) isAmended(l *look) bool {
	return a.phase == phaseExited && l.out.state == StateExited && l.started().Equal(a.started) && !a.started.IsZero() &&
		l.out.startError == "" && l.out.exitCode != a.exitCode
}

// telling is one step of an account.
type telling struct {
	*account
	look  *look
	began time.Time // of the run that the look shows; zero: it shows none
	now   time.Time
	told  []Event
}

func (t *telling) tell(kind EventKind, at time.Time, noticed bool) *Event {
	t.told = append(t.told, Event{Kind: kind, Time: at, Noticed: noticed})
	return &t.told[len(t.told)-1]
}

// create tells of the creation, if nothing was told yet.
func (t *telling) create(at time.Time, noticed bool) {
	if t.phase != phaseNone {
		return
	}
	t.tell(EventCreated, at, noticed)
	t.phase = phaseCreated
	if !t.look.gone {
		t.name = t.look.rawName
	}
}

// run tells of the beginning of a run, and of the end of one before it.
func (t *telling) run(at, began time.Time, exact, noticed bool) {
	if !t.look.gone {
		t.create(t.look.state.created, true)
	}
	if t.phase == phaseRunning {
		t.exit(at, unknownExit, true)
	}
	t.tell(EventStarted, at, noticed)
	t.phase, t.started, t.exact, t.paused, t.oom, t.failure = phaseRunning, began, exact, false, false, ""
	t.health = "" // starts anew
	if !t.look.gone && t.look.health != "" {
		t.health = "starting"
	}
}

// exit tells of a run's end.
func (t *telling) exit(at time.Time, code int, noticed bool) {
	sameRun := !t.look.gone && !t.look.inRun() && t.began.Equal(t.started)
	if code == unknownExit && sameRun {
		code = t.look.out.exitCode
	}
	if at.IsZero() {
		at = t.now // an engine that was killed may not know
	}
	e := t.tell(EventExited, at, noticed)
	e.ExitCode = code
	if code != unknownExit {
		e.Reason, _ = exitReason(code, t.oom || sameRun && t.look.state.oom)
	}
	t.phase, t.exitCode, t.paused, t.oom = phaseExited, code, false, false
}

// setPaused tells of a pause, or of its end.
func (t *telling) setPaused(paused bool, at time.Time, noticed bool) {
	if t.paused == paused {
		return
	}
	t.paused = paused
	if paused {
		t.tell(EventPaused, at, noticed)
	} else {
		t.tell(EventUnpaused, at, noticed)
	}
}

func (t *telling) rename(name string, at time.Time, noticed bool) {
	if t.name != name {
		t.name = name
		t.tell(EventUpdated, at, noticed)
	}
}

// remove ends the account.
func (t *telling) remove(at time.Time, noticed bool) {
	if t.phase == phaseRunning {
		t.exit(at, unknownExit, true)
	}
	t.tell(EventRemoved, at, noticed)
	*t.account = account{}
}

// catchUp tells of what was there before the first event that was seen.
func (t *telling) catchUp(first happening) {
	if first.action == events.ActionCreate {
		return
	}
	t.create(t.look.state.created, true)
	if first.action != events.ActionStart && !t.began.IsZero() && notAfter(t.began, first.at) {
		t.run(t.began, t.began, true, true)
	}
}

// take tells of an event.
func (t *telling) take(m happening) {
	current := t.phase == phaseRunning && !t.outdates(m)
	switch m.action {
	case events.ActionCreate:
		if t.phase == phaseNone {
			t.create(m.at, false)
			t.name = "/" + m.attrs["name"] // the look shows a later one, perhaps
		}
	case events.ActionStart:
		t.takeStart(m)
	case events.ActionDie:
		t.takeExit(m)
	case events.ActionOOM:
		t.oom = t.phase == phaseRunning
	case events.ActionPause, events.ActionUnPause:
		if current {
			t.setPaused(m.action == events.ActionPause, m.at, false)
		}
	case events.ActionHealthStatus:
		if current && t.health != m.detail {
			t.health = m.detail
			t.tell(EventHealth, m.at, false).Health = m.detail
		}
	case events.ActionUpdate:
		if t.phase != phaseNone {
			t.tell(EventUpdated, m.at, false)
		}
	case events.ActionRename:
		if t.phase != phaseNone {
			t.rename("/"+m.attrs["name"], m.at, false)
		}
	case events.ActionRemove:
		if t.phase != phaseNone || t.look.gone {
			t.remove(m.at, false)
		}
	}
}

// outdates tells whether an event belongs to a run before the one that was
// told last.
func (t *telling) outdates(m happening) bool {
	return !m.rewound && t.started.After(m.at.Add(replaySlack))
}

func (t *telling) takeStart(m happening) {
	told := !t.started.IsZero() && t.began.Equal(t.started)
	switch {
	case told, t.outdates(m), t.look.gone && t.phase == phaseRunning:
	case !t.began.IsZero() && notAfter(t.began, m.at):
		t.run(m.at, t.began, true, false)
	default:
		t.run(m.at, m.at, false, false) // the look shows a later run
	}
}

func (t *telling) takeExit(m happening) {
	if t.outdates(m) {
		return
	}
	if t.phase != phaseRunning && !t.began.IsZero() && !t.began.Equal(t.started) && notAfter(t.began, m.at) {
		t.run(t.began, t.began, true, true) // its start was not told
	}
	if t.phase == phaseCreated {
		t.run(m.at, m.at, false, true) // likewise, and when is not known
	}
	if t.phase == phaseRunning || t.phase == phaseNone && t.look.gone {
		t.exit(m.at, m.code, false)
	}
}

// goneIs tells that the container is not there any more, unless its events may
// be under way.
func (t *telling) goneIs(settle bool) (settled bool) {
	if t.phase == phaseNone {
		return true
	}
	if settle {
		t.remove(t.now, true)
	}
	return settle
}

// failedStart tells of a start that failed, of which no event tells.
func (t *telling) failedStart(settle bool) {
	l := t.look
	otherwise := t.phase == phaseFailed && (l.out.message != t.failure || l.out.exitCode != t.exitCode)
	if !l.failed() || t.phase != phaseCreated && !otherwise && !(settle && t.phase == phaseNone) {
		return
	}
	at := t.now // the engine notes no time
	if t.phase == phaseNone {
		at = l.state.created
	}
	t.create(l.state.created, true)
	e := t.tell(EventFailed, at, true)
	e.ExitCode, e.Reason = l.out.exitCode, l.out.reason
	t.phase, t.failure, t.exitCode = phaseFailed, l.out.message, l.out.exitCode
}

// settle tells of all that the look shows beyond what was told.
func (t *telling) settle() {
	l := t.look
	t.create(l.state.created, true)
	if !t.began.IsZero() && !t.began.Equal(t.started) || l.inRun() && t.phase != phaseRunning {
		t.run(t.began, t.began, true, true)
	}
	ended := t.phase == phaseRunning && !l.inRun() && !t.began.IsZero()
	if ended || t.isAmended(l) {
		t.exit(l.out.finished, l.out.exitCode, true)
	}
	t.setPaused(l.paused(), t.now, true)
	if t.phase == phaseRunning && t.health != l.health {
		t.health = l.health
		if l.health != "starting" {
			t.tell(EventHealth, t.now, true).Health = l.health
		}
	}
	t.rename(l.rawName, t.now, true)
	if l.out.state == StateExited && !l.failed() && l.out.startError != t.failure {
		if t.failure = l.out.startError; t.failure != "" {
			e := t.tell(EventFailed, t.now, true)
			e.ExitCode, e.Reason = l.out.exitCode, ReasonContainerCannotRun
		}
	}
}
