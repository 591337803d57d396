package dockpod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
)

// Reader is what can be asked about containers and sandboxes. A [*Runtime]
// asks the engine each time; a [*Mirror] answers from memory. Code that reads
// through it uses full IDs, takes what it gets as read only, for a Mirror
// shares the maps and slices inside, and does not mind some milliseconds: a
// Mirror's lists are as fresh as [Mirror.Freshness] says, with no error for
// age, and its statuses wait for no log file to be complete.
type Reader interface {
	ListContainers(ctx context.Context, f Filter) ([]Container, error)
	ContainerStatus(ctx context.Context, id string) (ContainerStatus, error)
	ListSandboxes(ctx context.Context, f SandboxFilter) ([]Sandbox, error)
	SandboxStatus(ctx context.Context, id string) (SandboxStatus, error)
}

var (
	_ Reader = (*Runtime)(nil)
	_ Reader = (*Mirror)(nil)
)

// Mirror is a picture in memory of a Runtime's containers and sandboxes, which
// follows the engine's events. While nothing changes it asks the engine, each
// [WithRelist], for a list and an inspection of a tenth of the containers and
// of each image in use; a read of it asks for nothing at all.
// It is safe for concurrent use.
//
// The picture is as fresh as the last event: some milliseconds behind the
// engine. [Mirror.Freshness] tells when it may be older, because the engine
// cannot be reached or an inspection hangs; what it then holds is the last
// that was known. Where a read has to include what happened before it, call
// [Mirror.Sync] first, or ask the Runtime.
//
// What the reading methods return shares its maps and slices with the picture
// and with other callers: read only. They never change once they are returned.
type Mirror struct {
	feed *feed
	done chan struct{} // closed when the feed's goroutine has ended

	mu      sync.RWMutex
	byID    map[string]*entry
	index   map[indexKey][]*entry // sorted as lists are
	version uint64
	changed chan struct{} // closed at the next version
	fresh   Freshness
	doubts  map[string]bool // what waits for a look, by ID; replaced, not changed
	oldest  time.Time       // since when the first of them waits
	closed  bool
}

// entry is one container or sandbox. It never changes.
type entry struct {
	id        string
	created   time.Time
	labels    map[string]string // as the engine has them
	container *ContainerStatus  // nil: it is a sandbox
	sandbox   *SandboxStatus
	listed    bool // a list shows it, and no inspection yet: its status is not known
}

// indexKey names a part of the picture: all of a kind, or those of it that
// have a label.
type indexKey struct{ kind, label, value string }

// Freshness tells how far a [Mirror] is to be believed.
type Freshness struct {
	// Synced: the engine's events are flowing, and since they began every
	// container was looked at.
	Synced bool
	// AsOf is up to when the picture holds everything that engines tell: now,
	// if there is no doubt; else when the doubt began. They do not tell of a
	// start that fails: it shows at once if it was this Runtime's, and else
	// with the next list (see [WithRelist]).
	AsOf time.Time
	// Listed is when the last list of all containers was asked for that
	// succeeded and whose inspections are done.
	Listed time.Time
	// Doubtful is how many containers have changed, or may have, and were
	// not inspected yet: for a moment after each event, longer where an
	// inspection hangs or fails.
	Doubtful int
	// Err is the last failure while there is a doubt; else nil.
	Err error
}

// Mirror makes a picture of this Runtime's containers and keeps it until
// [Mirror.Close]. ctx bounds the time until the first picture is complete; a
// container whose inspection hangs or fails then is not waited for. The error
// is [ErrUnsupported] if the engine has no events.
func (r *Runtime) Mirror(ctx context.Context) (_ *Mirror, err error) {
	ctx, end := r.begin(ctx, "mirror", "")
	defer end(&err)
	f, err := r.newFeed(context.WithoutCancel(ctx), "Mirror")
	if err != nil {
		return nil, err
	}
	m := &Mirror{
		feed: f, done: make(chan struct{}), byID: map[string]*entry{}, index: map[indexKey][]*entry{},
		changed: make(chan struct{}),
	}
	m.fresh.AsOf = time.Now()
	first, failed := make(chan struct{}), make(chan error, 1)
	ready := sync.OnceFunc(func() { close(first) })
	f.onLook, f.onListed, f.onRelist = m.look, m.listed, m.relisted
	f.onSynced = func(time.Time) {
		m.synced()
		f.last = append(f.last, ready)
	}
	f.onTrouble = func(err error) {
		m.trouble(err)
		var inspect *Error
		if err != nil && !(errors.As(err, &inspect) && inspect.Op == "inspect container") {
			select {
			case failed <- err:
			default:
			}
		}
	}
	f.start()
	go func() {
		defer close(m.done)
		for f.step() {
			m.publish()
			f.end()
		}
	}()
	select {
	case <-first:
		return m, nil
	case err = <-failed:
	case <-ctx.Done():
		err = ctx.Err()
	}
	m.Close()
	return nil, err
}

// Close ends the mirror and waits until nothing of it is under way. From then
// on what asks of it fails with [ErrMirrorClosed]; Status and Statuses go on
// to show the last picture. A second Close does nothing more.
func (m *Mirror) Close() error {
	m.feed.cancel()
	<-m.done // nothing more is begun
	m.feed.stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		m.fresh.Synced, m.fresh.AsOf = false, m.asOf()
		m.fresh.Err = ErrMirrorClosed
	}
	return nil
}

// look puts what an inspection showed into the picture.
func (m *Mirror) look(rec *record, _ []happening, l *look, _ bool) bool {
	if l.gone {
		m.replace(rec.id, nil)
	} else {
		m.replace(rec.id, &entry{id: rec.id, created: l.state.created, labels: l.labels, container: l.container, sandbox: l.sandbox})
	}
	return true
}

// listed puts into the picture what a list shows of a container that cannot be
// inspected: lists lack nothing that the engine's have.
func (m *Mirror) listed(s container.Summary) {
	r := m.feed.r
	e := &entry{id: s.ID, labels: s.Labels, listed: true}
	if r.kindOfContainer(s.Names, s.ImageID, s.Labels) == TypeSandbox {
		sb, err := r.sandboxFromSummary(s)
		if err != nil {
			return // an inspection will tell of it
		}
		e.created, e.sandbox = sb.CreatedAt, &SandboxStatus{Sandbox: sb}
	} else {
		c, err := r.fromSummary(s)
		if err != nil {
			return
		}
		e.created, e.container = c.CreatedAt, &ContainerStatus{Container: c}
	}
	m.replace(s.ID, e)
}

// replace makes the next version of the picture. A nil entry is none.
func (m *Mirror) replace(id string, e *entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(m.byID[id])
	if e != nil {
		m.add(e)
	}
	m.version++
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *Mirror) trouble(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.feed.whole && m.fresh.Synced {
		m.fresh.Synced, m.fresh.AsOf = false, m.feed.lostAt
	}
	if err != nil {
		m.fresh.Err = err
	}
}

func (m *Mirror) relisted(began time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if began.After(m.fresh.Listed) {
		m.fresh.Listed = began
	}
}

func (m *Mirror) synced() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fresh.Synced = true
}

// publish counts what waits for a look.
func (m *Mirror) publish() {
	var doubts map[string]bool
	var oldest time.Time
	for _, rec := range m.feed.records {
		if rec.since.IsZero() {
			continue
		}
		if doubts == nil {
			doubts = map[string]bool{}
		}
		doubts[rec.id] = true
		if oldest.IsZero() || rec.since.Before(oldest) {
			oldest = rec.since
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.doubts, m.oldest = doubts, oldest
	if len(doubts) == 0 && m.fresh.Synced && m.feed.listFailed == nil {
		m.fresh.Err = nil
	}
}

func (m *Mirror) asOf() time.Time {
	at := m.fresh.AsOf
	if m.fresh.Synced {
		at = time.Now()
	}
	if len(m.doubts) > 0 && m.oldest.Before(at) {
		at = m.oldest
	}
	return at
}

// Freshness tells how far the picture is to be believed now.
func (m *Mirror) Freshness() Freshness {
	m.mu.RLock()
	defer m.mu.RUnlock()
	f := m.fresh
	f.AsOf, f.Doubtful = m.asOf(), len(m.doubts)
	return f
}

// Sync waits until everything that happened before the call is in the
// picture. With IDs, which may be names or prefixes, too, it is so for these
// containers and sandboxes, each at the cost of one inspection; without, for
// all, at the cost of a list and an inspection of each. The error tells that
// the engine could not be asked; a container whose inspection hangs is waited
// for until ctx, or the request timeout, ends.
func (m *Mirror) Sync(ctx context.Context, ids ...string) (err error) {
	target := ""
	if len(ids) == 1 {
		target = ids[0]
	}
	ctx, end := m.feed.r.begin(ctx, "sync mirror", target)
	defer end(&err)
	known, err := m.resolve(ctx, ids)
	if err != nil || len(known) == 0 && len(ids) > 0 {
		return err
	}
	w := waiter{make(chan error, 1), ctx.Done()}
	m.feed.post(func() { m.feed.sync(known, w) })
	select {
	case err := <-w.result:
		return err
	case <-m.done:
		return ErrMirrorClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resolve returns the full IDs of ids, without what exists nowhere.
func (m *Mirror) resolve(ctx context.Context, ids []string) (full []string, err error) {
	for _, id := range ids {
		if strings.TrimSpace(id) == "" {
			return nil, &FieldError{"ids", "one is empty"}
		}
		there, err := m.has(id)
		if err != nil {
			return nil, err
		}
		if !there {
			info, err := m.feed.r.inspectAny(ctx, id)
			if errors.Is(err, ErrContainerNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			id = info.ID
		}
		full = append(full, id)
	}
	return full, nil
}

func (m *Mirror) has(id string) (bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return false, ErrMirrorClosed
	}
	return m.byID[id] != nil, nil
}

// Changed waits until the picture is newer than version and returns its
// version. The first one is above zero, so that a loop begins with zero:
//
//	for version, err := m.Changed(ctx, 0); err == nil; version, err = m.Changed(ctx, version) {
//		…
//	}
func (m *Mirror) Changed(ctx context.Context, version uint64) (uint64, error) {
	for {
		m.mu.RLock()
		// The empty picture is one as well.
		now, changed := m.version+1, m.changed
		m.mu.RUnlock()
		if now > version {
			return now, nil
		}
		select {
		case <-changed:
		case <-m.done:
			return now, &Error{"watch mirror", "", ErrMirrorClosed}
		case <-ctx.Done():
			return now, &Error{"watch mirror", "", ctx.Err()}
		}
	}
}

// Statuses returns all containers, newest first: a copy of pointers, at the
// cost of some microseconds for a thousand. They are read only.
func (m *Mirror) Statuses() []*ContainerStatus {
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := m.index[indexKey{kind: TypeContainer}]
	out := make([]*ContainerStatus, 0, len(list))
	for _, e := range list {
		if !e.listed {
			out = append(out, e.container)
		}
	}
	return out
}

// Status returns a container by its full ID, or nil if the picture has no
// such container, or only knows it from a list. It is read only.
func (m *Mirror) Status(id string) *ContainerStatus {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if e := m.byID[id]; e != nil && !e.listed {
		return e.container
	}
	return nil
}

// ContainerStatus returns the status of a container by its full ID, as
// [Runtime.ContainerStatus] does. The error is [ErrNotReady] where the
// picture has no such container and is not fresh enough to be sure, or where
// the container's first inspection still fails or hangs. Others' containers
// are not found.
func (m *Mirror) ContainerStatus(ctx context.Context, id string) (ContainerStatus, error) {
	e, err := m.find(ctx, id)
	if err == nil && e.container == nil {
		err = fmt.Errorf("%w as a container: it is a sandbox", ErrNotManaged)
	}
	if err != nil {
		return ContainerStatus{}, &Error{"container status", id, err}
	}
	return *e.container, nil
}

// SandboxStatus returns the status of a sandbox by its full ID, as
// [Runtime.SandboxStatus] does, with the errors of [Mirror.ContainerStatus].
func (m *Mirror) SandboxStatus(ctx context.Context, id string) (SandboxStatus, error) {
	e, err := m.find(ctx, id)
	if err == nil && e.sandbox == nil {
		err = fmt.Errorf("%w as a sandbox: it is a container", ErrNotManaged)
	}
	if err != nil {
		return SandboxStatus{}, &Error{"sandbox status", id, err}
	}
	return *e.sandbox, nil
}

func (m *Mirror) find(ctx context.Context, id string) (*entry, error) {
	if strings.TrimSpace(id) == "" {
		return nil, &FieldError{"id", "empty"}
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.readable(ctx); err != nil {
		return nil, err
	}
	switch e := m.byID[id]; {
	case e != nil && e.listed:
		return nil, &classified{ErrNotReady, "not inspected yet"}
	case e != nil:
		return e, nil
	case !m.fresh.Synced || m.doubts[id]:
		return nil, &classified{ErrNotReady, "not in the mirror, which is not up to date"}
	}
	return nil, ErrContainerNotFound
}

// readable tells why nothing can be read. The caller holds the lock.
func (m *Mirror) readable(ctx context.Context) error {
	if m.closed {
		return ErrMirrorClosed
	}
	return ctx.Err()
}

// ListContainers lists the containers that f selects, newest first, as
// [Runtime.ListContainers] does. CreatedAt is exact, Image is what a status
// says, and f.Fast changes nothing; only where a container's first inspection
// fails or hangs it is as a fast list shows it.
func (m *Mirror) ListContainers(ctx context.Context, f Filter) ([]Container, error) {
	return listMirror(ctx, m, "list containers", f.check(), f, TypeContainer, func(e *entry) (_ Container, selected, inState bool) {
		c := &e.container.Container
		return *c, (f.SandboxID == "" || c.SandboxID == f.SandboxID) && (f.UID == "" || c.Name.UID == f.UID), f.State == "" || c.State == f.State
	})
}

// ListSandboxes lists the sandboxes that f selects, newest first, as
// [Runtime.ListSandboxes] does.
func (m *Mirror) ListSandboxes(ctx context.Context, f SandboxFilter) ([]Sandbox, error) {
	match := Filter{ID: f.ID, Labels: f.Labels}
	return listMirror(ctx, m, "list sandboxes", f.check(), match, TypeSandbox, func(e *entry) (_ Sandbox, selected, inState bool) {
		sb := &e.sandbox.Sandbox
		return *sb, f.UID == "" || sb.Name.UID == f.UID, f.State == "" || sb.State == f.State
	})
}

// listMirror returns what pick takes of the entries of a kind that match by
// their ID and labels. Those in another state are not listed, but an ID prefix
// of theirs is taken. invalid, if not nil, is what is wrong with the filter.
func listMirror[T any](ctx context.Context, m *Mirror, op string, invalid error, match Filter, kind string, pick func(*entry) (item T, selected, inState bool)) ([]T, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := cmp.Or(m.readable(ctx), invalid); err != nil {
		return nil, &Error{op, "", err}
	}
	from := m.narrow(kind, match)
	list, n := make([]T, 0, len(from)), 0
	for _, e := range from {
		if !match.selectsID(e.id) || !match.selectsLabels(e.labels) {
			continue
		}
		item, selected, inState := pick(e)
		if selected {
			n++
		}
		if selected && inState {
			list = append(list, item)
		}
	}
	if match.IDPrefix && n > 1 {
		return nil, &Error{op, "", &FieldError{"Filter.ID", fmt.Sprintf("prefix %q is that of %d containers", match.ID, n)}}
	}
	return list, nil
}

// narrow returns the smallest part of the picture that holds all a filter
// selects.
func (m *Mirror) narrow(kind string, f Filter) []*entry {
	if f.ID != "" && !f.IDPrefix {
		if e := m.byID[f.ID]; e != nil && (e.container != nil) == (kind == TypeContainer) {
			return []*entry{e}
		}
		return nil
	}
	best := m.index[indexKey{kind: kind}]
	try := func(k, v string) {
		if part := m.index[indexKey{kind, k, v}]; len(part) < len(best) {
			best = part
		}
	}
	if f.SandboxID != "" {
		try(LabelSandboxID, f.SandboxID)
	}
	for k, v := range f.Labels {
		if k != "" && !strings.HasPrefix(k, annotationPrefix) { // as in keys
			try(k, v)
		}
	}
	return best
}

// keys are the parts of the picture that an entry belongs to.
func (e *entry) keys(yield func(indexKey) bool) {
	kind := TypeContainer
	if e.sandbox != nil {
		kind = TypeSandbox
	}
	if !yield(indexKey{kind: kind}) {
		return
	}
	for k, v := range e.labels {
		if !strings.HasPrefix(k, annotationPrefix) && k != "" && !yield(indexKey{kind, k, v}) {
			return
		}
	}
}

// compareEntries sorts the newest first.
func compareEntries(a, b *entry) int {
	return cmp.Or(b.created.Compare(a.created), strings.Compare(a.id, b.id))
}

func (m *Mirror) add(e *entry) {
	m.byID[e.id] = e
	for k := range e.keys {
		list := m.index[k]
		i, _ := slices.BinarySearchFunc(list, e, compareEntries)
		m.index[k] = slices.Insert(list, i, e)
	}
}

func (m *Mirror) remove(e *entry) {
	if e == nil {
		return
	}
	delete(m.byID, e.id)
	for k := range e.keys {
		list := m.index[k]
		if i, ok := slices.BinarySearchFunc(list, e, compareEntries); ok {
			list = slices.Delete(list, i, i+1)
		}
		if len(list) == 0 {
			delete(m.index, k)
		} else {
			m.index[k] = list
		}
	}
}
