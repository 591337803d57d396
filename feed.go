package dockpod

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

// WithRelist sets how often [Runtime.Watch] and a [Mirror] list the engine's
// containers although nothing was told: a start that fails has no event, and
// an engine drops events that it cannot deliver soon. Zero means
// [DefaultRelist]. Each list also inspects a tenth of the containers anew, so
// that whatever no list shows is noticed within ten of them.
func WithRelist(every time.Duration) Option { return func(o *options) { o.relist = every } }

// DefaultRelist is how often containers are listed unless [WithRelist] says
// otherwise.
const DefaultRelist = time.Minute

const (
	// replayTime is how far back a stream is asked for at its beginning:
	// engines answer before they have subscribed the reader.
	replayTime = 2 * time.Second
	// replaySlack goes back a little more when a stream is resumed: engines
	// round the time of an event.
	replaySlack = time.Microsecond
	// quietTime is how long a difference between what was told and what an
	// inspection shows may wait for the event that explains it; once more
	// where this process itself was held up for lateTime, for then the event
	// may be in the socket still.
	quietTime, lateTime = 300 * time.Millisecond, 100 * time.Millisecond
	// slowTime is after how long an inspection counts as stuck, and others
	// no longer wait for it.
	slowTime = 500 * time.Millisecond
	// inboxLimit bounds the events that wait to be dealt with; recordLimit
	// those that wait for one container's inspection.
	inboxLimit, recordLimit = 8192, 256
	// auditParts is in how many relists every container is inspected.
	auditParts = 10
	// seenEvents is how many events are remembered to know a repeated one.
	// Docker replays 256 at most.
	seenEvents = 512
)

// happening is what is kept of an engine's event.
type happening struct {
	action string // create, start, die, oom, pause, unpause, rename, update, health, remove; image for any of an image
	id     string
	detail string // the health
	at     time.Time
	code   int // of die; unknownExit if the engine does not say
	attrs  map[string]string
}

// unknownExit is the exit code of a container whose end nobody saw.
const unknownExit = -1

// readEvent picks the events that matter. An exec's event holds its
// command, which goes no further.
func readEvent(m events.Message) (happening, bool) {
	at := time.Unix(m.Time, 0)
	if m.TimeNano != 0 {
		at = time.Unix(0, m.TimeNano)
	}
	out := happening{id: m.Actor.ID, at: at.UTC(), attrs: m.Actor.Attributes}
	if m.Type == events.ImageEventType {
		out.action = "image"
		out.detail = string(m.Action)
		return out, true
	}
	if m.Type != events.ContainerEventType || out.id == "" {
		return happening{}, false
	}
	word, detail, _ := strings.Cut(string(m.Action), ":")
	switch word {
	case "create", "start", "oom", "pause", "unpause", "rename", "update":
		out.action = word
	case "die", "died":
		out.action, out.code = "die", unknownExit
		for _, key := range []string{"containerExitCode", "exitCode"} {
			if n, err := strconv.Atoi(m.Actor.Attributes[key]); err == nil {
				out.code = n
			}
		}
	case "destroy", "remove":
		out.action = "remove"
	case "health_status":
		out.action, out.detail = "health", strings.TrimSpace(detail)
	default:
		return happening{}, false
	}
	return out, true
}

// look is what one inspection showed.
type look struct {
	gone      bool // not there, or not this Runtime's
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
	look    *look              // the last; nil: none yet
	listed  *container.Summary // what a list showed before the first look; else nil
	pending []happening        // not yet explained by a look; the oldest first
	covered int                // how many of them the look under way covers

	queued, busy, slow bool
	again              bool      // wants one more look
	settle             bool      // the next look decides what no event has told
	settling           bool      // the look under way does
	late               bool      // that look was put off, as this process was held up
	due                time.Time // when it wants a look; zero: not by time
	failures           int       // inspections in a row that failed
	launch             uint64    // number of the look that is under way, or was last
	lookedAt           time.Time
	since              time.Time // of the first thing that waits for a look; zero: none

	told account // of a Watch
}

// feed follows an engine: it subscribes to its events before it lists,
// inspects what an event or a list names, and hands the looks to its user. One
// goroutine calls step; everything else posts to its inbox.
type feed struct {
	r   *Runtime
	src EventSource

	// onLook takes a look; msgs are the events that came before it. False
	// means that the look shows more than was told: it is taken once more
	// after a while, then with settle.
	onLook func(rec *record, msgs []happening, l *look, settle bool) bool
	// onListed is told what a list shows of a container whose first look
	// fails or hangs.
	onListed func(container.Summary)
	// onTrouble is told what fails; nil means that the events came back.
	onTrouble func(error)
	// onSynced is told when every container was looked at after the engine's
	// events began, or began anew. Those whose inspection hangs or fails are
	// not waited for.
	onSynced func(listed time.Time)

	since time.Time // from when on events are asked for first; zero: from now
	every time.Duration

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	inbox    []func() // what has to be dealt with, in the order it came
	messages int      // how many of them are events
	overflow bool     // an event was dropped, and the inbox says so
	wake     chan struct{}

	records map[string]*record
	removed map[string]time.Time // when, if lately: what was under way then still shows them
	oldest  []string             // of removed
	ready   []*record
	timed   map[*record]bool
	slots   int
	launch  uint64

	connected   bool
	whole       bool // there was no gap since everything was looked at
	gaps        int
	lostAt      time.Time
	listing     bool
	wantFull    bool // a list whose every container is inspected is wanted
	wantList    bool
	listDue     time.Time
	listRetry   *backoff
	listFailed  error
	rounds      []*round
	syncWaiters []chan error // that wait for the next full list to begin

	images    imageCache // by no time limit: events tell of those whose names have moved
	rechecked bool       // an image recheck is under way
	recheck   bool       // another one is wanted
}

// round is a set of records that have to be looked at.
type round struct {
	after   uint64 // looks with a higher number count
	left    map[*record]bool
	lenient bool // does not wait for what hangs or fails
	done    func()
}

// newFeed returns a feed for what is called user in an error.
func (r *Runtime) newFeed(ctx context.Context, user string) (*feed, error) {
	if r.err != nil {
		return nil, r.err
	}
	src, ok := r.docker.(EventSource)
	if !ok {
		return nil, &UnsupportedError{user, "the engine has no events"}
	}
	f := &feed{
		r: r, src: src, every: r.opts.relist,
		wake: make(chan struct{}, 1), records: map[string]*record{}, removed: map[string]time.Time{}, timed: map[*record]bool{},
		slots: inspectWorkers, listRetry: newBackoff(100*time.Millisecond, 10*time.Second),
		images: imageCache{keep: math.MaxInt64}, onListed: func(container.Summary) {},
	}
	if f.every <= 0 {
		f.every = DefaultRelist
	}
	f.ctx, f.cancel = context.WithCancel(ctx)
	return f, nil
}

// start begins to follow the engine.
func (f *feed) start() {
	f.lostAt = time.Now()
	f.listDue = time.Now().Add(f.every)
	f.wg.Go(f.subscribe)
}

// stop ends everything and waits for it.
func (f *feed) stop() {
	f.cancel()
	f.wg.Wait()
}

// post puts something into the inbox.
func (f *feed) post(do func()) {
	f.mu.Lock()
	f.inbox = append(f.inbox, do)
	f.mu.Unlock()
	f.signal()
}

func (f *feed) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// deliver posts an event. If too many wait it is dropped, which is a gap.
func (f *feed) deliver(m happening) {
	f.mu.Lock()
	if f.messages >= inboxLimit {
		if !f.overflow {
			f.overflow = true
			f.inbox = append(f.inbox, f.flooded)
		}
		f.mu.Unlock()
		f.signal()
		return
	}
	f.messages++
	f.inbox = append(f.inbox, func() { f.onMessage(m) })
	f.mu.Unlock()
	f.signal()
}

// step waits until something happened and deals with it. It returns false
// when the context has ended.
func (f *feed) step() bool {
	var timer <-chan time.Time
	if due := f.nextDue(); !due.IsZero() {
		t := time.NewTimer(time.Until(due))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-f.wake:
	case <-timer:
	case <-f.ctx.Done():
		return false
	}
	if f.ctx.Err() != nil {
		return false
	}
	f.mu.Lock()
	todo := f.inbox
	f.inbox, f.messages, f.overflow = nil, 0, false
	f.mu.Unlock()
	for _, do := range todo {
		do()
	}
	now := time.Now()
	for rec := range f.timed {
		switch {
		case rec.due.After(now):
		case rec.settle && rec.failures == 0 && !rec.late && now.Sub(rec.due) > lateTime:
			f.at(rec, quietTime)
			rec.late = true
		default:
			f.untime(rec)
			f.enqueue(rec)
		}
	}
	if !f.listing && !f.listDue.After(now) {
		f.wantList = true
	}
	f.list()
	f.dispatch()
	return true
}

func (f *feed) nextDue() time.Time {
	var due time.Time
	if !f.listing {
		due = f.listDue
	}
	for rec := range f.timed {
		if due.IsZero() || rec.due.Before(due) {
			due = rec.due
		}
	}
	return due
}

// subscribe keeps a stream of events until the feed ends.
func (f *feed) subscribe() {
	since := f.since
	if since.IsZero() {
		since = time.Now().Add(-replayTime)
	}
	retry := newBackoff(100*time.Millisecond, 10*time.Second)
	var seen seenMessages
	for f.ctx.Err() == nil {
		began := time.Now()
		last, err := f.follow(since, &seen)
		if !last.IsZero() {
			since = last.Add(-replaySlack)
		}
		if f.ctx.Err() != nil {
			return
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		err = classify(verbOther, "", err)
		f.post(func() { f.lost(err) })
		if time.Since(began) > 10*time.Second {
			retry = newBackoff(100*time.Millisecond, 10*time.Second)
		}
		if retry.sleep(f.ctx) != nil {
			return
		}
	}
}

// follow reads one stream to its end and returns the time of its last event.
func (f *feed) follow(since time.Time, seen *seenMessages) (last time.Time, err error) {
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	messages, errs := f.src.Events(ctx, events.ListOptions{
		Since:   fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond()),
		Filters: filters.NewArgs(filters.Arg("type", "container"), filters.Arg("type", "image")),
	})
	select {
	case err := <-errs: // there is none
		return last, err
	default:
	}
	f.post(f.began)
	for {
		select {
		case m, ok := <-messages:
			if !ok {
				return last, io.ErrUnexpectedEOF
			}
			msg, ok := readEvent(m)
			if !ok {
				continue
			}
			last = msg.at
			if !seen.add(msg) {
				f.deliver(msg)
			}
		case err, ok := <-errs:
			if !ok || err == nil {
				err = io.ErrUnexpectedEOF
			}
			return last, err
		}
	}
}

// seenMessages knows the last events again. Engines round their times, so
// two that are closer than replaySlack are one.
type seenMessages struct {
	ring [seenEvents]struct {
		at                 int64
		id, action, detail string
	}
	next int
}

// add reports whether m was there, and remembers it.
func (s *seenMessages) add(m happening) bool {
	at := m.at.UnixNano()
	for i := range s.ring {
		e := &s.ring[i]
		if d := e.at - at; d < int64(replaySlack) && -d < int64(replaySlack) && e.id == m.id && e.action == m.action && e.detail == m.detail {
			return true
		}
	}
	e := &s.ring[s.next%len(s.ring)]
	e.at, e.id, e.action, e.detail = at, m.id, m.action, m.detail
	s.next++
	return false
}

// began: a stream is there. What happened before it has to be asked for.
func (f *feed) began() {
	f.connected = true
	f.onTrouble(nil)
	f.want(true)
}

func (f *feed) lost(err error) {
	f.gap()
	f.connected = false
	f.onTrouble(err)
}

// flooded: events were dropped, as nobody dealt with them in time.
func (f *feed) flooded() {
	f.gap()
	f.onTrouble(&classified{ErrNotReady, "more events than could be dealt with: listing anew"})
	f.want(true)
}

// gap: what happens from now on is not told.
func (f *feed) gap() {
	if f.whole {
		f.lostAt = time.Now()
	}
	f.whole = false
	f.gaps++
}

// want asks for a list.
func (f *feed) want(full bool) {
	f.wantList = true
	f.wantFull = f.wantFull || full
	f.listDue = time.Now()
}

// onMessage deals with an event.
func (f *feed) onMessage(m happening) {
	if m.action == "image" {
		f.recheckImages()
		return
	}
	rec := f.records[m.id]
	if rec == nil {
		if _, gone := f.removed[m.id]; gone || f.r.kindOf(m.attrs) == "" {
			return // told already, or somebody else's
		}
		rec = f.newRecord(m.id)
	}
	if len(rec.pending)-rec.covered >= recordLimit {
		// The look will have to make up for it.
		rec.pending = slices.Delete(rec.pending, rec.covered, rec.covered+1)
	}
	rec.settle = false
	rec.pending = append(rec.pending, m)
	if rec.failures == 0 {
		f.untime(rec) // a difference may be explained now
	}
	f.enqueue(rec)
}

func (f *feed) newRecord(id string) *record {
	rec := &record{id: id}
	f.records[id] = rec
	return rec
}

func (f *feed) untime(rec *record) {
	rec.due = time.Time{}
	delete(f.timed, rec)
}

// at has a record looked at after a while.
func (f *feed) at(rec *record, d time.Duration) {
	rec.due = time.Now().Add(d)
	f.timed[rec] = true
}

// enqueue has a record looked at as soon as it can be.
func (f *feed) enqueue(rec *record) {
	if rec.since.IsZero() {
		rec.since = time.Now()
	}
	switch {
	case rec.busy:
		rec.again = true
	case !rec.queued:
		rec.queued = true
		f.ready = append(f.ready, rec)
	}
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
		rec.settling, rec.settle = rec.settle, false
		f.untime(rec)
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
	ctx, end := r.beginLimit(f.ctx, "inspect container", id, r.opts.requestTimeout/8)
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
		return &look{gone: true}, nil
	}
	l.rawName, l.labels, l.imageID = info.Name, info.Config.Labels, info.Image
	if l.name, err = r.nameOf([]string{info.Name}, info.Config.Labels); err != nil {
		r.skip(Skipped{id, []string{info.Name}, err})
		return &look{gone: true}, nil
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
	img, err := f.images.get(ctx, info.Image, r.inspectImageByID)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	st, stErr := r.statusOf(info, img)
	if err != nil && !errdefs.IsNotFound(err) {
		st.Problems = append(st.Problems, "ImageRef: "+err.Error())
	}
	if problem := r.logProblem(id); problem != nil {
		st.Problems = append(st.Problems, "LogPath: "+problem.Error())
	}
	l.container, l.imageKey = &st, imageKey(img)
	return l, stErr
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
		rec.settle = rec.settle || rec.settling
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
	settled := f.onLook(rec, msgs, l, rec.settling)
	rec.look = l
	if l.gone && settled {
		f.drop(rec)
		return
	}
	rec.since = time.Time{}
	if !settled {
		rec.settle = true
		rec.since = rec.lookedAt
	}
	if len(rec.pending) > 0 || rec.again {
		f.enqueue(rec)
	} else if !settled {
		f.at(rec, quietTime)
		rec.late = false
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
		if rd.lenient {
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
		return false
	})
	for _, rd := range ended {
		rd.done()
	}
}

// addRound has records looked at, and done called when all of them were.
func (f *feed) addRound(recs []*record, lenient bool, done func()) {
	rd := &round{after: f.launch, left: map[*record]bool{}, lenient: lenient, done: done}
	for _, rec := range recs {
		rd.left[rec] = true
		f.enqueue(rec)
	}
	f.rounds = append(f.rounds, rd)
	for _, rec := range recs {
		if lenient && rec.busy && rec.slow {
			delete(rd.left, rec)
		}
	}
	f.endRounds()
}

// list asks for a list, if one is wanted and none is under way.
func (f *feed) list() {
	if !f.wantList || f.listing || f.listDue.After(time.Now()) {
		return
	}
	full := f.wantFull
	waiters := f.syncWaiters
	f.wantList, f.wantFull, f.listing, f.syncWaiters = false, false, true, nil
	if full {
		f.images.forget()
		f.r.images.forget()
	}
	began, gaps := time.Now(), f.gaps
	f.wg.Go(func() {
		var list []container.Summary
		err := func() (err error) {
			ctx, end := f.r.begin(f.ctx, "list containers", "")
			defer end(&err)
			list, err = f.r.listRaw(ctx, query{})
			return err
		}()
		f.post(func() { f.listed(list, err, full, gaps, began, waiters) })
	})
}

// listed takes the result of a list.
func (f *feed) listed(list []container.Summary, err error, full bool, gaps int, began time.Time, waiters []chan error) {
	f.listing = false
	f.listFailed = err
	if err != nil {
		f.onTrouble(err)
		f.wantList, f.wantFull = true, f.wantFull || full
		f.listDue = time.Now().Add(f.listRetry.next)
		f.listRetry.next = min(2*f.listRetry.next, f.listRetry.limit)
		for _, w := range waiters {
			w <- err
		}
		return
	}
	f.listRetry = newBackoff(100*time.Millisecond, 10*time.Second)
	if !f.wantList {
		f.listDue = time.Now().Add(f.every)
	}
	there := make(map[string]bool, len(list))
	var check []*record
	for i, s := range list {
		there[s.ID] = true
		if at, gone := f.removed[s.ID]; gone && !began.After(at) {
			continue
		}
		rec := f.records[s.ID]
		if rec == nil {
			rec = f.newRecord(s.ID)
		}
		if rec.look == nil {
			rec.listed = &list[i]
		}
		if full || differs(rec, s) {
			check = append(check, rec)
		}
	}
	var rest []*record
	for _, rec := range f.records {
		switch {
		case !there[rec.id]:
			check = append(check, rec)
		case !full:
			rest = append(rest, rec)
		}
	}
	if !full {
		check = append(check, auditOf(rest)...)
		f.recheckImages()
	}
	f.addRound(check, true, func() {
		if full && f.connected && f.gaps == gaps {
			f.whole = true
			f.onSynced(began)
		}
	})
	for _, w := range waiters {
		f.addRound(check, false, func() { w <- nil })
	}
}

// differs tells whether a list shows something else than the last look. One
// that is created may have failed to start, which no list shows.
func differs(rec *record, s container.Summary) bool {
	l := rec.look
	if l == nil || l.gone {
		return true
	}
	word := string(s.State)
	if word == "" {
		word = wordOfStatusText(s.Status)
	}
	return word != l.state.effectiveWord() || word == "created" || !slices.Contains(s.Names, l.rawName) ||
		(l.health != "") != strings.Contains(s.Status, "health") || l.health != "" && !strings.Contains(s.Status, l.health)
}

// auditOf returns the tenth of the records that were not looked at for the
// longest time.
func auditOf(recs []*record) []*record {
	slices.SortFunc(recs, func(a, b *record) int { return a.lookedAt.Compare(b.lookedAt) })
	return recs[:(len(recs)+auditParts-1)/auditParts]
}

// sync has everything looked at, or only some containers, and sends the
// result to done.
func (f *feed) sync(ids []string, done chan error) {
	if len(ids) == 0 {
		f.syncWaiters = append(f.syncWaiters, done)
		f.want(true)
		return
	}
	recs := make([]*record, 0, len(ids))
	for _, id := range ids {
		rec := f.records[id]
		if _, gone := f.removed[id]; rec == nil && !gone {
			rec = f.newRecord(id)
		}
		if rec != nil {
			recs = append(recs, rec)
		}
	}
	f.addRound(recs, false, func() { done <- nil })
}

// recheckImages finds out which images have other names now, and has their
// containers looked at: a status shows an image by its name.
func (f *feed) recheckImages() {
	f.recheck = true
	if f.rechecked {
		return
	}
	f.rechecked, f.recheck = true, false
	f.images.forget()
	f.r.images.forget()
	ids := map[string]bool{}
	for _, rec := range f.records {
		if l := rec.look; l != nil && l.container != nil {
			ids[l.imageID] = true
		}
	}
	f.wg.Go(func() {
		keys := map[string]string{}
		for id := range ids {
			func() {
				var err error
				ctx, end := f.r.beginLimit(f.ctx, "inspect image", id, f.r.opts.requestTimeout/8)
				defer end(&err)
				var img *Image
				if img, err = f.images.get(ctx, id, f.r.inspectImageByID); err == nil || errdefs.IsNotFound(err) {
					keys[id] = imageKey(img)
				}
			}()
		}
		f.post(func() {
			f.rechecked = false
			for _, rec := range f.records {
				if l := rec.look; l != nil && l.container != nil {
					if key, ok := keys[l.imageID]; ok && key != l.imageKey {
						f.enqueue(rec)
					}
				}
			}
			if f.recheck {
				f.recheckImages()
			}
		})
	})
}

// imageKey is what a status shows of its image.
func imageKey(img *Image) string {
	if img == nil {
		return "gone"
	}
	return fmt.Sprintf("%q %q", img.RepoTags, img.RepoDigests)
}
