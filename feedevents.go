package dockpod

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

// happening is what is kept of an engine's event.
type happening struct {
	// One of ActionCreate, Start, Die, OOM, Pause, UnPause, Rename, Update,
	// HealthStatus, Remove, and actionImage.
	action events.Action
	id     string
	detail string // the health; of an image what happened to it
	at     time.Time
	code   int // of die; unknownExit if the engine does not say
	// rewound: the engine's clock was set back, so that its times say nothing
	// of the order.
	rewound bool
	attrs   map[string]string
}

// actionImage is anything that happens to an image.
const actionImage events.Action = "image"

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
		out.action = actionImage
		out.detail = string(m.Action)
		return out, true
	}
	if m.Type != events.ContainerEventType || out.id == "" {
		return happening{}, false
	}
	word, detail, _ := strings.Cut(string(m.Action), ":")
	switch action := events.Action(word); action {
	case events.ActionCreate, events.ActionStart, events.ActionOOM, events.ActionPause, events.ActionUnPause, events.ActionRename, events.ActionUpdate:
		out.action = action
	case events.ActionDie, "died": // Podman's
		out.action, out.code = events.ActionDie, unknownExit
		for _, key := range []string{"containerExitCode", "exitCode"} {
			if n, err := strconv.Atoi(m.Actor.Attributes[key]); err == nil {
				out.code = n
			}
		}
	case events.ActionDestroy, events.ActionRemove:
		out.action = events.ActionRemove
	case events.ActionHealthStatus:
		out.action, out.detail = action, strings.TrimSpace(detail)
	default:
		return happening{}, false
	}
	return out, true
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

// subscribe keeps a stream of events until the feed ends.
func (f *feed) subscribe() {
	since := f.since
	if since.IsZero() {
		since = time.Now().Add(-replayTime)
	}
	if since.Unix() < 0 {
		since = time.Unix(0, 0) // engines read no other
	}
	retry := newRetry()
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
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		err = classify(verbOther, "", err)
		f.post(func() { f.lost(err) })
		if time.Since(began) > 10*time.Second {
			retry = newRetry()
		}
		if retry.sleep(f.ctx) != nil {
			return
		}
	}
}

// follow reads one stream to its end and returns the time of its last event.
func (f *feed) follow(since time.Time, seen *seenMessages) (last time.Time, err error) {
	ctx, cancel := context.WithCancelCause(f.ctx)
	defer cancel(nil)
	// The client waits for the beginning of the answer.
	late := func() bool { return false }
	if limit := f.r.opts.requestTimeout; limit > 0 {
		t := time.AfterFunc(limit, func() { cancel(errOurDeadline) })
		late = func() bool { return !t.Stop() }
	}
	messages, errs := f.src.Events(ctx, events.ListOptions{
		Since:   fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond()),
		Filters: filters.NewArgs(filters.Arg("type", "container"), filters.Arg("type", "image")),
	})
	if late() {
		return last, &classified{ErrTimeout, fmt.Sprintf("the engine did not begin to tell events within %v", f.r.opts.requestTimeout)}
	}
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
			msg.rewound = seen.rewound(msg.at)
			if !seen.add(msg) {
				f.deliver(msg)
			}
		case err, ok := <-errs:
			if !ok || err == nil {
				err = io.ErrUnexpectedEOF
			}
			return last, err
		case <-ctx.Done():
			return last, ctx.Err()
		}
	}
}

// seenMessages knows the last events again. Engines round their times, so
// two that are closer than replaySlack are one.
type seenMessages struct {
	ring [seenEvents]struct {
		at         int64
		id, detail string
		action     events.Action
	}
	next   int
	newest time.Time
}

// rewound tells whether the clock of an event's time was set back.
func (s *seenMessages) rewound(at time.Time) bool {
	if s.newest.Before(at) {
		s.newest = at
	}
	return s.newest.Sub(at) >= rewindSlack
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
	if !f.since.IsZero() {
		f.listDue = f.listDue.Add(quietTime) // what is replayed comes before
	}
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

// onMessage deals with an event.
func (f *feed) onMessage(m happening) {
	if m.action == actionImage {
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
	rec.settleAt = time.Time{}
	rec.pending = append(rec.pending, m)
	if rec.failures == 0 {
		f.untime(rec) // a difference may be explained now
	}
	f.enqueue(rec)
}
