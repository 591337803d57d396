package dockpod

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The callers who come during a request share the next one, and nobody gets an
// answer that was asked for before.
func TestFlightsShareTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights[int]
		var asked atomic.Int64
		ask := func(context.Context) (int, error) {
			n := asked.Add(1)
			time.Sleep(time.Second)
			return int(n), nil
		}
		var wg sync.WaitGroup
		for i := range 33 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				before := asked.Load()
				got, err := f.do(t.Context(), "list", ask)
				if err != nil || int64(got) <= before {
					t.Errorf("caller %d: answer %d, error %v; %d requests had begun", i, got, err, before)
				}
			})
		}
		wg.Wait()
		if n := asked.Load(); n != 2 {
			t.Errorf("%d requests; want 2", n)
		}
		if len(f.lines) != 0 {
			t.Errorf("%d lines are left", len(f.lines))
		}
	})
}

func TestFlightsOfOtherThingsAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights[string]
		var wg sync.WaitGroup
		for _, key := range []string{"a", "b", "a", "b"} {
			wg.Go(func() {
				got, err := f.do(t.Context(), key, func(context.Context) (string, error) {
					time.Sleep(time.Second)
					return key, nil
				})
				if err != nil || got != key {
					t.Errorf("%q: %q, error %v", key, got, err)
				}
			})
		}
		wg.Wait()
	})
}

// A caller who leaves takes nobody's answer away; the last one ends the
// request.
func TestFlightsEndWithTheirCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights[int]
		release := make(chan struct{})
		var cancelled atomic.Int64
		first := make(chan error, 1)
		go func() {
			_, err := f.do(t.Context(), "", func(context.Context) (int, error) { <-release; return 1, nil })
			first <- err
		}()
		synctest.Wait()
		ask := func(ctx context.Context) (int, error) {
			select {
			case <-ctx.Done():
				cancelled.Add(1)
				return 0, ctx.Err()
			case <-time.After(time.Minute):
				return 2, nil
			}
		}
		wait := func(d time.Duration) chan error {
			c := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), d)
				defer cancel()
				_, err := f.do(ctx, "", ask)
				c <- err
			}()
			synctest.Wait()
			return c
		}
		unbegun := wait(time.Second) // leaves before the next begins, alone
		if err := <-unbegun; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		early, late := wait(10*time.Second), wait(2*time.Minute)
		close(release)
		if err := <-first; err != nil {
			t.Error(err)
		}
		if err := <-early; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if err := <-late; err != nil {
			t.Errorf("error %v", err)
		}
		if cancelled.Load() != 0 {
			t.Error("a request was cancelled that somebody waited for")
		}
	})
}

// The last caller to leave waits until the request has ended.
func TestFlightsCancelTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights[int]
		var running atomic.Int64
		ask := func(ctx context.Context) (int, error) {
			running.Add(1)
			defer running.Add(-1)
			<-ctx.Done()
			time.Sleep(time.Second) // its own clean-up
			return 0, ctx.Err()
		}
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Minute)
				defer cancel()
				if _, err := f.do(ctx, "", ask); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v", err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if n := running.Load(); n != 0 || len(f.lines) != 0 {
			t.Errorf("%d requests run on, %d lines are left", n, len(f.lines))
		}
	})
}

// A hook of a double that ends its goroutine leaves nobody waiting.
func TestFlightsOutliveAGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights[int]
		ask := func(context.Context) (int, error) {
			time.Sleep(time.Second)
			runtime.Goexit()
			return 0, nil
		}
		go f.do(t.Context(), "", ask)
		synctest.Wait()
		if _, err := f.do(t.Context(), "", ask); !errors.Is(err, errNoAnswer) {
			t.Errorf("error %v", err)
		}
	})
}

// A request that was under way when a memo was told to forget is not its
// answer any more, for those who come later.
func TestMemoForgetsWhatIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memo[string]
		get := func(answer string, takes time.Duration) string {
			v, err := m.get(t.Context(), func(context.Context) (string, error) {
				time.Sleep(takes)
				return answer, nil
			})
			if err != nil {
				t.Error(err)
			}
			return v
		}
		var wg sync.WaitGroup
		wg.Go(func() { get("before", time.Second) })
		synctest.Wait()
		m.forget()
		if got := get("after", 2*time.Second); got != "after" {
			t.Errorf("got the answer from %s", got)
		}
		wg.Wait()
		if got := get("again", 0); got != "after" {
			t.Errorf("remembered the answer from %s", got)
		}
	})
}
