package dockpod

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
)

const (
	// replayTime is how far back a stream is asked for at its beginning:
	// engines answer before they have subscribed the reader.
	replayTime = 2 * time.Second
	// replaySlack goes back a little more when a stream is resumed: engines
	// round the time of an event.
	replaySlack = time.Microsecond
	// rewindSlack is how much older than the one before it an event is from
	// an engine whose clock was set back: it tells them in their order.
	rewindSlack = time.Second
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
	// onRelist is told when what a list put in doubt was looked at, all but
	// what hangs or fails.
	onRelist func(listed time.Time)
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
	syncWaiters []waiter // that wait for the next full list to begin
	last        []func() // the rest of a step: those who wait are told when its user has taken it in

	images    imageCache // by no time limit: events tell of those whose names have moved
	rechecked bool       // an image recheck is under way
	recheck   bool       // another one is wanted
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
		slots: inspectWorkers, listRetry: newRetry(),
		images: imageCache{keep: math.MaxInt64}, onListed: func(container.Summary) {}, onRelist: func(time.Time) {},
	}
	if f.every <= 0 {
		f.every = DefaultRelist
	}
	f.ctx, f.cancel = context.WithCancel(ctx)
	return f, nil
}

// newRetry is how a feed waits for an engine that fails.
func newRetry() *backoff { return newBackoff(100*time.Millisecond, 10*time.Second) }

// start begins to follow the engine.
func (f *feed) start() {
	f.lostAt = time.Now()
	f.listDue = time.Now().Add(f.every)
	f.r.feeds.Store(f, nil)
	f.wg.Go(f.subscribe)
}

// stop ends everything and waits for it.
func (f *feed) stop() {
	f.r.feeds.Delete(f)
	f.cancel()
	f.wg.Wait()
}

// lookAgain has this Runtime's feeds look at a container of which the engine
// may tell nothing.
func (r *Runtime) lookAgain(id string) {
	r.feeds.Range(func(f, _ any) bool {
		feed := f.(*feed)
		feed.post(func() {
			if rec := feed.records[id]; rec != nil {
				feed.enqueue(rec)
			}
		})
		return true
	})
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

// step waits until something happened and deals with it; its user calls end
// then. It returns false when the context has ended.
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
		case !rec.settleAt.IsZero() && rec.failures == 0 && !rec.late && now.Sub(rec.due) > lateTime:
			rec.settleAt, rec.late = now.Add(quietTime), true
			f.at(rec, quietTime)
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

// end does the rest of a step.
func (f *feed) end() {
	for _, do := range f.last {
		do()
	}
	f.last = nil
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
