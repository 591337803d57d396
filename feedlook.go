package dockpod

import (
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
)

// look is what one inspection showed.
type look struct {
	gone      bool // not there, or foreign
	foreign   bool // not this Runtime's, or not to be identified
	kind      string
	name      Name
	rawName   string
	labels    map[string]string // as the engine has them
	state     engineState
	out       outcome
	health    string
	imageID   string
	imageKey  string
	container *ContainerStatus
	sandbox   *SandboxStatus
}

// inRun tells whether a process runs. An engine that waits before it restarts
// a container calls it running, too.
func (l *look) inRun() bool {
	return l.out.state == StateRunning && l.state.effectiveWord() != "restarting"
}

func (l *look) failed() bool { return l.out.reason == ReasonContainerCannotRun }
func (l *look) paused() bool { return l.inRun() && l.state.effectiveWord() == "paused" }

// started is when the last run began; zero: it never ran.
func (l *look) started() time.Time {
	if l.failed() || l.out.state == StateCreated {
		return time.Time{}
	}
	return l.state.started
}

// record is what a feed knows of one container or sandbox. The feed's own
// goroutine alone uses it.
type record struct {
	id      string
	look    *look              // the last that showed it; nil: none yet
	listed  *container.Summary // what a list showed before the first look; else nil
	pending []happening        // not yet explained by a look; the oldest first
	covered int                // how many of them the look under way covers

	queued, busy, slow bool
	again              bool      // wants one more look
	settleAt           time.Time // from when on a look decides what no event has told; zero: not yet known
	settling           bool      // the look under way does
	late               bool      // settleAt was put off, as this process was held up
	due                time.Time // when it wants a look; zero: not by time
	failures           int       // inspections in a row that failed
	launch             uint64    // number of the look that is under way, or was last
	lookedAt           time.Time
	since              time.Time // of the first thing that waits for a look; zero: none

	told account // of a Watch
}

// round is a set of records that have to be looked at.
type round struct {
	after uint64 // looks with a higher number count
	left  map[*record]bool
	quit  <-chan struct{} // closed: nobody waits any more; nil: it does not wait for what hangs or fails
	done  func()
}

// dispatch begins looks while there are slots.
func (f *feed) dispatch() {
	for f.slots > 0 && len(f.ready) > 0 {
		rec := f.ready[0]
		f.ready = f.ready[1:]
		rec.queued = false
		if f.records[rec.id] != rec {
			continue
		}
		f.slots--
		f.launch++
		rec.busy, rec.slow, rec.again, rec.covered, rec.launch = true, false, false, len(rec.pending), f.launch
		rec.settling = !rec.settleAt.IsZero() && !time.Now().Before(rec.settleAt)
		f.untime(rec)
		if slices.ContainsFunc(rec.pending, func(m happening) bool { return m.action == events.ActionRemove }) {
			f.post(func() { f.looked(rec, &look{gone: true}, nil) })
			continue
		}
		f.wg.Go(func() {
			slow := time.AfterFunc(slowTime, func() { f.post(func() { f.isSlow(rec) }) })
			l, err := f.inspect(rec.id)
			slow.Stop()
			f.post(func() { f.looked(rec, l, err) })
		})
	}
}

// isSlow: an inspection hangs. The others do not wait for it.
func (f *feed) isSlow(rec *record) {
	if rec.busy && !rec.slow {
		rec.slow = true
		f.slots++
		f.excuse(rec)
	}
}

// inspect looks at one container.
func (f *feed) inspect(id string) (l *look, err error) {
	r := f.r
	ctx, end := r.beginLimit(f.ctx, "inspect container", id, r.partTimeout())
	defer end(&err)
	info, err := r.inspectAny(ctx, id)
	if errdefs.IsNotFound(err) {
		return &look{gone: true}, nil
	}
	if err != nil {
		return nil, err
	}
	l = &look{kind: r.kindOfInspected(info)}
	if l.kind == "" {
		return &look{gone: true, foreign: true}, nil
	}
	l.rawName, l.labels, l.imageID = info.Name, info.Config.Labels, info.Image
	if l.name, err = r.nameOf([]string{info.Name}, info.Config.Labels); err != nil {
		r.skip(Skipped{id, []string{info.Name}, err})
		return &look{gone: true, foreign: true}, nil
	}
	l.state = stateFromInspect(info, func(string) {})
	l.out = stateOf(l.state)
	if info.State != nil && info.State.Health != nil && info.State.Health.Status != container.NoHealthcheck {
		l.health = string(info.State.Health.Status)
	}
	if l.kind == TypeSandbox {
		st, err := r.sandboxStatusOf(info)
		l.sandbox = &st
		return l, err
	}
	st, img, err := r.fullStatus(ctx, info, &f.images)
	l.container, l.imageKey = &st, imageKey(img)
	return l, err
}

// looked takes the result of an inspection.
func (f *feed) looked(rec *record, l *look, err error) {
	rec.busy = false
	if !rec.slow {
		f.slots++
	}
	if f.records[rec.id] != rec {
		return
	}
	if err != nil {
		rec.failures++
		rec.covered = 0
		if rec.failures == 1 {
			f.onTrouble(err)
		}
		f.excuse(rec)
		f.at(rec, min(100*time.Millisecond<<min(rec.failures, 10), 10*time.Second))
		return
	}
	rec.failures, rec.lookedAt, rec.listed = 0, time.Now(), nil
	msgs := rec.pending[:rec.covered:rec.covered]
	rec.pending = slices.Clone(rec.pending[rec.covered:])
	rec.covered = 0
	settled := f.onLook(rec, msgs, l, rec.settling && len(rec.pending) == 0)
	switch {
	case !l.gone:
		rec.look = l
	case settled:
		f.drop(rec)
		return
	}
	rec.since = time.Time{}
	if settled {
		rec.settleAt = time.Time{}
	} else {
		rec.since = rec.lookedAt
	}
	switch {
	case len(rec.pending) > 0 || rec.again:
		f.enqueue(rec) // and nothing is decided before the events that came meanwhile
	case !settled:
		if rec.settleAt.IsZero() {
			rec.settleAt, rec.late = time.Now().Add(quietTime), false
		}
		f.at(rec, time.Until(rec.settleAt))
	}
	if settled {
		f.answered(rec)
	}
}

// drop forgets a container that is gone.
func (f *feed) drop(rec *record) {
	delete(f.records, rec.id)
	f.untime(rec)
	f.removed[rec.id] = time.Now()
	f.oldest = append(f.oldest, rec.id)
	if len(f.oldest) > 2*seenEvents {
		delete(f.removed, f.oldest[0])
		f.oldest = f.oldest[1:]
	}
	for _, rd := range f.rounds {
		delete(rd.left, rec)
	}
	f.endRounds()
}

// answered takes a record out of the rounds that its last look counts for.
func (f *feed) answered(rec *record) {
	for _, rd := range f.rounds {
		if rec.launch > rd.after {
			delete(rd.left, rec)
		}
	}
	f.endRounds()
}

// excuse takes a record out of the rounds that do not wait for it.
func (f *feed) excuse(rec *record) {
	if rec.listed != nil {
		f.onListed(*rec.listed)
	}
	for _, rd := range f.rounds {
		if rd.quit == nil {
			delete(rd.left, rec)
		}
	}
	f.endRounds()
}

func (f *feed) endRounds() {
	var ended []*round
	f.rounds = slices.DeleteFunc(f.rounds, func(rd *round) bool {
		if len(rd.left) == 0 {
			ended = append(ended, rd)
			return true
		}
		select {
		case <-rd.quit:
			return true
		default:
			return false
		}
	})
	for _, rd := range ended {
		rd.done()
	}
}

// addRound has records looked at, and done called when all of them were, unless
// quit is closed before. With a nil quit it does not wait for what hangs or
// fails.
func (f *feed) addRound(recs []*record, quit <-chan struct{}, done func()) {
	rd := &round{after: f.launch, left: map[*record]bool{}, quit: quit, done: done}
	for _, rec := range recs {
		rd.left[rec] = true
		f.enqueue(rec)
	}
	f.rounds = append(f.rounds, rd)
	for _, rec := range recs {
		if quit == nil && rec.busy && rec.slow {
			delete(rd.left, rec)
		}
	}
	f.endRounds()
}
