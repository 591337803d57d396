package dockpod

import (
	"testing"
	"testing/synctest"
	"time"
)

// idleFeed is a feed of an engine that is never asked.
func idleFeed(t *testing.T) *feed {
	t.Helper()
	f, err := New(struct {
		DockerInterface
		EventSource
	}{}).newFeed(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Callers of Sync who have left are forgotten, though the inspection that they
// waited for hangs on.
func TestFeedForgetsWhoHasLeft(t *testing.T) {
	f := idleFeed(t)
	defer f.stop()
	f.newRecord("id").busy = true
	quit := make(chan struct{})
	for range 100 {
		f.sync([]string{"id"}, waiter{make(chan error, 1), quit})
	}
	close(quit)
	f.sync([]string{"id"}, waiter{make(chan error, 1), t.Context().Done()})
	if n := len(f.rounds); n != 1 {
		t.Errorf("%d are waited for; want 1", n)
	}
}

// The end of a Mirror waits for what its last step has begun, too.
func TestMirrorCloseWaitsForTheLastStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &Mirror{feed: idleFeed(t), done: make(chan struct{})}
		closed := make(chan struct{})
		go func() {
			m.Close()
			close(closed)
		}()
		synctest.Wait() // in the middle of a step
		ended := false
		m.feed.wg.Go(func() {
			time.Sleep(time.Second)
			ended = true
		})
		close(m.done)
		<-closed
		if !ended {
			t.Error("an inspection goes on")
		}
	})
}
