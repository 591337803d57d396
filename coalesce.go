package dockpod

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// flights lets callers who want the same answer at the same time share one
// request. Nobody is given an answer that was asked for before the call: while
// a request is under way, those who come join the next one, which begins when
// it ends. The zero value is ready to use.
type flights[T any] struct {
	mu    sync.Mutex
	lines map[string]*line[T] // by what is asked for, while a request is under way
}

type line[T any] struct{ next *flight[T] } // nil: nobody waits

type flight[T any] struct {
	ask     func(context.Context) (T, error)
	ctx     context.Context // that of the first who waits, without its end
	cancel  context.CancelFunc
	waiting int // who has not left
	done    chan struct{}
	value   T
	err     error
}

// do returns what ask returns, or what it returned to somebody who asked for
// the same thing later than this call began. A value that is shared comes to
// several callers.
func (f *flights[T]) do(ctx context.Context, key string, ask func(context.Context) (T, error)) (T, error) {
	f.mu.Lock()
	l := f.lines[key]
	if l == nil {
		l = &line[T]{}
		if f.lines == nil {
			f.lines = map[string]*line[T]{}
		}
		f.lines[key] = l
		f.mu.Unlock()
		defer f.follow(key, l)
		return ask(ctx)
	}
	n := l.next
	if n == nil {
		n = &flight[T]{ask: ask, done: make(chan struct{})}
		n.ctx, n.cancel = context.WithCancel(context.WithoutCancel(ctx))
		l.next = n
	}
	n.waiting++
	f.mu.Unlock()

	select {
	case <-n.done:
		return n.value, n.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	n.waiting--
	last := n.waiting == 0
	if last && l.next == n {
		l.next = nil // it has not begun, and need not
		f.mu.Unlock()
		n.cancel()
		var none T
		return none, ctx.Err()
	}
	f.mu.Unlock()
	if last {
		n.cancel()
		<-n.done // no request outlives those who wait for it
	}
	select {
	case <-n.done: // an answer that came with the end is one
		if n.err == nil {
			return n.value, nil
		}
	default:
	}
	var none T
	return none, ctx.Err()
}

// errNoAnswer is what those who wait get if the one who asked for them never
// returned: a double's hook that ends its goroutine.
var errNoAnswer = errors.New("the request ended without an answer")

// follow ends a request: it begins the next one, if anybody waits for it.
func (f *flights[T]) follow(key string, l *line[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := l.next
	l.next = nil
	if n == nil {
		delete(f.lines, key)
		return
	}
	n.err = errNoAnswer
	go func() {
		defer n.cancel()
		defer close(n.done)
		defer f.follow(key, l)
		n.value, n.err = n.ask(n.ctx)
	}()
}

// memoTime is how long an engine's version and capabilities are believed. An
// engine that was upgraded under the agent is noticed within it.
const memoTime = time.Minute

// memo remembers one answer of the engine for a while. Callers that come
// together share one request; errors are not kept.
type memo[T any] struct {
	keep   time.Duration // zero: memoTime
	mu     sync.Mutex
	flight chan struct{} // closed when the request that is under way ends; nil if that began before a forget
	at     time.Time
	value  T
}

// known returns what is remembered, if it is not too old.
func (m *memo[T]) known() (v T, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ok = !m.at.IsZero() && time.Since(m.at) < cmp.Or(m.keep, memoTime)
	return m.value, ok
}

func (m *memo[T]) get(ctx context.Context, fetch func(context.Context) (T, error)) (T, error) {
	for {
		m.mu.Lock()
		if !m.at.IsZero() && time.Since(m.at) < cmp.Or(m.keep, memoTime) {
			defer m.mu.Unlock()
			return m.value, nil
		}
		wait := m.flight
		if wait == nil {
			mine := make(chan struct{})
			m.flight = mine
			m.mu.Unlock()
			return m.ask(ctx, mine, fetch)
		}
		m.mu.Unlock()
		select {
		case <-wait: // answered, or failed for its own caller: look again
		case <-ctx.Done():
			var zero T
			return zero, ctx.Err()
		}
	}
}

// ask makes the request that others wait for.
func (m *memo[T]) ask(ctx context.Context, mine chan struct{}, fetch func(context.Context) (T, error)) (v T, err error) {
	err = errNoAnswer
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		close(mine)
		if m.flight != mine {
			return // what it was told may have changed since
		}
		m.flight = nil
		if err == nil {
			m.value, m.at = v, time.Now()
		}
	}()
	return fetch(ctx)
}

// forget drops what is remembered. What is being asked for just now is not
// kept either, and those who come from now on ask anew.
func (m *memo[T]) forget() {
	m.mu.Lock()
	m.at, m.flight = time.Time{}, nil
	m.mu.Unlock()
}

// inspectWorkers is how many inspections are under way at once: the engine
// gains nothing from more.
const inspectWorkers = 4

// each calls f for 0 to n-1, a few at a time, and returns when all are done.
func each(n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(inspectWorkers, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}
