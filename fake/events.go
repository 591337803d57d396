package fake

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	timetypes "github.com/docker/docker/api/types/time"
)

// eventHistory is how many events the engine remembers, as Docker does.
const eventHistory = 256

// eventLog is the engine's events: the last of them, and who listens. The
// engine's lock guards it.
type eventLog struct {
	silent      bool // a restart is under way: nobody tells
	history     []events.Message
	subscribers map[*subscriber]bool
}

// subscriber is one stream of events. What it has not read yet is kept without
// a bound: it is the reader's part to be slow.
type subscriber struct {
	wants  *eventFilter
	wake   chan struct{} // holds one value while there may be something new
	mu     sync.Mutex
	queue  []events.Message
	ended  error // why the stream ended; nil: it goes on
	over   bool  // its Until has passed: the queue is the rest
	timers map[*time.Timer]bool
}

func (s *subscriber) push(m events.Message) {
	s.mu.Lock()
	if s.ended == nil && !s.over {
		s.queue = append(s.queue, m)
	}
	s.mu.Unlock()
	s.signal()
}

func (s *subscriber) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// pushLater is push after a while, unless the stream has ended by then.
func (s *subscriber) pushLater(m events.Message, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return
	}
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		s.mu.Lock()
		delete(s.timers, t)
		s.mu.Unlock()
		s.push(m)
	})
	if s.timers == nil {
		s.timers = map[*time.Timer]bool{}
	}
	s.timers[t] = true
}

// end ends the stream; what is delayed is lost.
func (s *subscriber) end(err error) {
	s.mu.Lock()
	if s.ended == nil {
		s.ended = err
		for t := range s.timers {
			t.Stop()
		}
	}
	s.mu.Unlock()
	s.signal()
}

// first returns the next message, or why there will be no more; of a stream
// that was cut the messages on their way are lost.
func (s *subscriber) first() (m events.Message, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended != nil:
		return m, false, s.ended
	case len(s.queue) > 0:
		return s.queue[0], true, nil
	case s.over:
		return m, false, io.EOF
	}
	return m, false, nil
}

// pass ends the stream once what came until now is delivered.
func (s *subscriber) pass() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// shift drops the message that was delivered.
func (s *subscriber) shift() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = s.queue[1:]
}

// Events returns the engine's events from now on, and before them those of the
// last 256 that are not older than Since. With an Until that has passed the
// stream ends there, with io.EOF; otherwise it goes on until ctx ends, the
// stream is cut, or the engine is closed. The filters that work are container,
// event, image, label and type; others are accepted and match nothing.
//
// The events are those of containers and images: create, start, die, kill,
// stop, pause, unpause, rename, update, oom, resize, attach, exec_create: …,
// exec_start: …, exec_die, health_status: …, destroy; load, pull, tag, untag,
// delete. A start that fails has none.
func (d *Docker) Events(ctx context.Context, o events.ListOptions) (<-chan events.Message, <-chan error) {
	messages, errs := make(chan events.Message), make(chan error, 1)
	_, err := do(ctx, d, OpEvents, "", func() (struct{}, error) {
		d.lock()
		defer d.mu.Unlock()
		if d.closed { // since it was looked at: nothing would serve the stream
			return struct{}{}, errClosed
		}
		since, err := eventTime(o.Since, d.now())
		if err != nil {
			return struct{}{}, err
		}
		until, err := eventTime(o.Until, d.now())
		if err != nil {
			return struct{}{}, err
		}
		s := &subscriber{wants: newEventFilter(o.Filters), wake: make(chan struct{}, 1)}
		if o.Since != "" || o.Until != "" {
			for _, m := range d.events.history {
				at := time.Unix(0, m.TimeNano)
				if at.Before(since) || o.Until != "" && at.After(until) || !s.wants.match(m) {
					continue
				}
				s.queue = append(s.queue, copyMessage(m))
			}
		}
		var over <-chan time.Time
		switch {
		case o.Until == "":
		case until.After(d.now()):
			over = time.After(until.Sub(d.now()))
		default:
			d.spawn(func() { s.replay(ctx, messages, errs) })
			return struct{}{}, nil
		}
		if d.events.subscribers == nil {
			d.events.subscribers = map[*subscriber]bool{}
		}
		d.events.subscribers[s] = true
		s.signal()
		d.spawn(func() {
			defer d.unsubscribe(s)
			s.serve(ctx, messages, errs, over, d.down)
		})
		return struct{}{}, nil
	})
	if err != nil {
		failed := make(chan error, 1)
		failed <- err
		close(failed)
		return make(chan events.Message), failed
	}
	return messages, errs
}

// eventTime reads what the client writes for a time; empty is the zero time.
func eventTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	text, err := timetypes.GetTimestamp(s, now)
	if err != nil {
		return time.Time{}, err
	}
	sec, nsec, err := timetypes.ParseTimestamps(text, 0)
	if err != nil {
		return time.Time{}, Invalid("%s", err)
	}
	return time.Unix(sec, nsec), nil
}

func (d *Docker) unsubscribe(s *subscriber) {
	s.end(context.Canceled)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.events.subscribers, s)
}

// replay hands out what is remembered, and then the end.
func (s *subscriber) replay(ctx context.Context, out chan<- events.Message, errs chan<- error) {
	defer close(errs)
	for _, m := range s.queue {
		select {
		case out <- m:
		case <-ctx.Done():
			errs <- ctx.Err()
			return
		}
	}
	errs <- io.EOF
}

// serve hands out what comes, until something ends it.
func (s *subscriber) serve(ctx context.Context, out chan<- events.Message, errs chan<- error, over <-chan time.Time, down <-chan struct{}) {
	defer close(errs)
	for {
		m, ok, err := s.first()
		if err != nil {
			errs <- err
			return
		}
		to := out
		if !ok {
			to = nil
		}
		select {
		case to <- m:
			s.shift()
		case <-s.wake:
		case <-over:
			s.pass()
		case <-ctx.Done():
			errs <- ctx.Err()
			return
		case <-down:
			errs <- io.EOF
			return
		}
	}
}

// CutEvents cuts every stream of events, as a proxy does, or an engine that
// ends: what was on its way is lost to the reader, whose error is
// io.ErrUnexpectedEOF. The history stays.
func (d *Docker) CutEvents() {
	d.lock()
	defer d.mu.Unlock()
	d.cutEvents()
}

func (d *Docker) cutEvents() {
	for s := range d.events.subscribers {
		s.end(io.ErrUnexpectedEOF)
		delete(d.events.subscribers, s)
	}
}

// Restart is what a killed engine leaves that is started again without live
// restore: streams are cut, running containers have ended with exit code 255
// and no event tells it, the history of events is empty, unfinished removals
// are dead containers, and containers that remove themselves are gone.
func (d *Docker) Restart() {
	d.lock()
	defer d.mu.Unlock()
	d.cutEvents()
	d.events.silent = true
	for _, c := range d.sorted() {
		if c.running {
			d.exited(c, 255)
		}
		if c.removing {
			c.removing, c.dead = false, true
		}
	}
	d.events.silent = false
	d.events.history = nil
}

// sorted returns the containers in the order of their making.
func (d *Docker) sorted() []*ctr {
	list := slices.Collect(maps.Values(d.containers))
	slices.SortFunc(list, func(a, b *ctr) int { return int(a.seq) - int(b.seq) })
	return list
}

// containerEvent tells of a container. The caller holds the lock.
func (d *Docker) containerEvent(c *ctr, action string, attributes ...string) {
	a := maps.Clone(c.cfg.Labels)
	if a == nil {
		a = map[string]string{}
	}
	a["image"], a["name"] = c.cfg.Image, c.name
	for i := 0; i+1 < len(attributes); i += 2 {
		a[attributes[i]] = attributes[i+1]
	}
	d.emit(events.Message{
		Status: action, ID: c.id, From: c.cfg.Image,
		Type: events.ContainerEventType, Action: events.Action(action), Actor: events.Actor{ID: c.id, Attributes: a},
	})
}

// imageEvent tells of an image: by its ID, or of a pull by its reference.
func (d *Docker) imageEvent(i *img, action, id, name string) {
	a := map[string]string{}
	if i != nil {
		a = maps.Clone(i.config().Labels)
		if a == nil {
			a = map[string]string{}
		}
	}
	a["name"] = name
	d.emit(events.Message{
		Status: action, ID: id,
		Type: events.ImageEventType, Action: events.Action(action), Actor: events.Actor{ID: id, Attributes: a},
	})
}

// moment is the time, or, where the clock stands still, one that is later than
// the last event by more than times are rounded by: no two events have one, and
// a run that begins with the clock at the end of the one before is a later one.
func (d *Docker) moment() time.Time {
	const gap, still = 2 * time.Microsecond, 10 * time.Millisecond
	now := d.now()
	if n := len(d.events.history); n > 0 {
		last := time.Unix(0, d.events.history[n-1].TimeNano)
		if next := last.Add(gap); now.Before(next) && last.Sub(now) < still {
			return next
		}
	}
	return now
}

func familiar(r reference.Named) string { return reference.FamiliarString(normal(r)) }

// emit puts an event into the history and hands it to all who listen.
func (d *Docker) emit(m events.Message) {
	if d.events.silent || d.closed {
		return
	}
	m.Scope = "local"
	m.TimeNano = d.moment().UnixNano()
	m.Time = m.TimeNano / int64(time.Second)
	if len(d.events.history) == eventHistory {
		d.events.history = slices.Delete(d.events.history, 0, 1)
	}
	d.events.history = append(d.events.history, m)
	for s := range d.events.subscribers {
		if !s.wants.match(m) {
			continue
		}
		copies, delay := 1, time.Duration(0)
		if d.Deliver != nil {
			copies, delay = d.Deliver(copyMessage(m))
		}
		for range copies {
			if delay > 0 {
				s.pushLater(copyMessage(m), delay)
			} else {
				s.push(copyMessage(m))
			}
		}
	}
}

func copyMessage(m events.Message) events.Message {
	m.Actor.Attributes = maps.Clone(m.Actor.Attributes)
	return m
}

// eventFilter is the filter of one stream.
type eventFilter struct{ args filters.Args }

func newEventFilter(a filters.Args) *eventFilter { return &eventFilter{a.Clone()} }

var eventFilters = map[string]bool{"container": true, "event": true, "image": true, "label": true, "type": true}

func (f *eventFilter) match(m events.Message) bool {
	for _, k := range f.args.Keys() {
		if !eventFilters[k] {
			return false
		}
	}
	a := m.Actor.Attributes
	action := string(m.Action)
	// A filter that names a kind of these means all of them.
	byAction := f.args.ExactMatch("event", action)
	for _, kind := range []string{"health_status", "exec_create", "exec_start"} {
		if slices.Contains(f.args.Get("event"), kind) {
			byAction = byAction || strings.HasPrefix(action, kind)
		}
	}
	object := func(kind events.Type, names ...string) bool {
		want := f.args.Get(string(kind))
		return len(want) == 0 || m.Type == kind && slices.ContainsFunc(want, func(w string) bool { return slices.Contains(names, w) })
	}
	return byAction && f.args.ExactMatch("type", string(m.Type)) &&
		(!f.args.Contains("label") || f.args.MatchKVList("label", a)) &&
		object(events.ContainerEventType, m.Actor.ID, short(m.Actor.ID), a["name"]) &&
		object(events.ImageEventType, m.Actor.ID, a["name"])
}

// SetHealth makes the health check of a running container come out: "healthy"
// or "unhealthy". It panics if the container has no check, or does not run.
func (d *Docker) SetHealth(id, status string) {
	d.lock()
	defer d.mu.Unlock()
	c := d.must(id)
	if !c.health || !c.running {
		panic(fmt.Sprintf("fake: SetHealth of %s, which has no health check or does not run", short(c.id)))
	}
	if c.healthStatus == status {
		return
	}
	c.healthStatus = status
	d.containerEvent(c, "health_status: "+status)
}

// ContainerRename gives a container another name, which must not be held.
func (d *Docker) ContainerRename(ctx context.Context, containerID, newName string) error {
	_, err := onContainer(ctx, d, OpContainerRename, containerID, func(c *ctr) (none struct{}, err error) {
		name := strings.TrimPrefix(newName, "/")
		if !nameRule.MatchString(newName) {
			return none, Invalid("Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", newName)
		}
		old := c.name
		if name == old {
			return none, Invalid("Renaming a container with the same name as its current name")
		}
		if holder, taken := d.names[name]; taken {
			return none, Conflict("Error when allocating new name: Conflict. The container name %q is already in use by container %q. You have to remove (or rename) that container to be able to reuse that name.", "/"+name, holder)
		}
		delete(d.names, old)
		d.names[name] = c.id
		c.name = name
		d.containerEvent(c, "rename", "oldName", "/"+old)
		return none, nil
	})
	return err
}

func decimal(n int) string { return strconv.Itoa(n) }
