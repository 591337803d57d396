package logfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dockpod/dockpod/internal/logline"
)

// following is a follower under a fake clock.
type following struct {
	t     *testing.T
	path  string
	ended chan struct{}
	got   out
	done  chan error
}

// follow runs f beside a follower of a log that begins with text, and expects
// what it has given when it ends.
func follow(t *testing.T, text, want string, f func(*following)) {
	t.Helper()
	clean(t)
	synctest.Test(t, func(t *testing.T) {
		w := &following{t: t, path: filepath.Join(t.TempDir(), "log"), ended: make(chan struct{}), done: make(chan error, 1)}
		write(t, w.path, text)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			w.done <- Read(ctx, w.path, Query{All: true, Stdout: true, Stderr: true, Ended: w.ended}, &w.got)
		}()
		w.pause()
		f(w)
		close(w.ended)
		if err := <-w.done; err != nil {
			t.Error(err)
		}
		if got := w.got.text.String(); got != want {
			t.Errorf("followed %q; want %q", got, want)
		}
	})
}

// pause is long enough for the follower to see everything.
func (w *following) pause() { time.Sleep(10 * time.Second); synctest.Wait() }

func (w *following) add(n int, text string) { add(w.t, w.path, inJSON(n, logline.Stdout, text)) }

// rotate renames the files as the engine does.
func (w *following) rotate(keep int) {
	w.t.Helper()
	os.Remove(fmt.Sprintf("%s.%d", w.path, keep-1))
	for i := keep - 1; i > 1; i-- {
		os.Rename(fmt.Sprintf("%s.%d", w.path, i-1), fmt.Sprintf("%s.%d", w.path, i))
	}
	if err := os.Rename(w.path, w.path+".1"); err != nil {
		w.t.Fatal(err)
	}
	write(w.t, w.path, "")
}

func TestFollow(t *testing.T) {
	a := inJSON(0, logline.Stdout, "a\n")
	for _, tt := range []struct {
		name string
		want string
		f    func(*following)
	}{
		{"nothing more", "a\n", func(w *following) {}},
		{"more", "a\nb\nc\n", func(w *following) { w.add(1, "b\n"); w.pause(); w.add(2, "c\n") }},
		{"what comes just before the end", "a\nb\n", func(w *following) { w.add(1, "b\n") }},
		{"a line written in two goes", "a\nb\nc\n", func(w *following) {
			line := inJSON(1, logline.Stdout, "b\n")
			add(w.t, w.path, line[:20])
			w.pause()
			add(w.t, w.path, line[20:]+inJSON(2, logline.Stdout, "c\n"))
		}},
		{"a rotation", "a\nb\nc\nd\n", func(w *following) { w.add(1, "b\n"); w.rotate(3); w.add(2, "c\n"); w.pause(); w.add(3, "d\n") }},
		{"a rotation that takes its time", "a\nb\nc\n", func(w *following) {
			os.Rename(w.path, w.path+".1")
			w.pause()
			add(w.t, w.path+".1", inJSON(1, logline.Stdout, "b\n"))
			w.pause()
			write(w.t, w.path, inJSON(2, logline.Stdout, "c\n"))
		}},
		{"many rotations between two looks", "a\nb\nc\nd\ne\n", func(w *following) {
			for i, s := range []string{"b\n", "c\n", "d\n", "e\n"} {
				w.add(i+1, s)
				w.rotate(10)
			}
		}},
		{"more rotations than files are kept", "a\nd\ne\n", func(w *following) {
			for i, s := range []string{"b\n", "c\n", "d\n", "e\n"} {
				w.rotate(3)
				w.add(i+1, s)
			}
			w.rotate(3)
		}},
		{"truncation", "a\nb\n", func(w *following) { os.Truncate(w.path, 0); w.pause(); w.add(1, "b\n") }},
		{"truncation and growth between two looks", "a\nb\nc\nd\n", func(w *following) {
			os.Truncate(w.path, 0)
			for i, s := range []string{"b\n", "c\n", "d\n"} {
				w.add(i+1, s)
			}
		}},
		{"a copy before the truncation", "a\nb\nc\n", func(w *following) {
			w.add(1, "b\n")
			text, _ := os.ReadFile(w.path)
			write(w.t, w.path+".1", string(text))
			os.Truncate(w.path, 0)
			w.add(2, "c\n")
		}},
		{"compression", "a\nb\nc\nd\n", func(w *following) {
			w.add(1, "b\n")
			text, _ := os.ReadFile(w.path)
			write(w.t, w.path+".1.gz", string(text))
			os.Remove(w.path)
			write(w.t, w.path, inJSON(2, logline.Stdout, "c\n"))
			w.pause()
			w.add(3, "d\n")
		}},
		{"removal and anew", "a\nb\n", func(w *following) {
			os.Remove(w.path)
			w.pause()
			write(w.t, w.path, inJSON(1, logline.Stdout, "b\n"))
		}},
		{"removal", "a\n", func(w *following) { os.Remove(w.path) }},
		{"removal of the directory", "a\n", func(w *following) { os.RemoveAll(filepath.Dir(w.path)) }},
		{"a line longer than is held, in two goes", "a\n" + strings.Repeat("x", 2*MaxLine) + "\nb\n", func(w *following) {
			line := inJSON(1, logline.Stdout, strings.Repeat("x", 2*MaxLine)+"\n")
			add(w.t, w.path, line[:MaxLine+77])
			w.pause()
			add(w.t, w.path, line[MaxLine+77:])
			w.pause()
			w.add(2, "b\n")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) { follow(t, a, tt.want, tt.f) })
	}
}

// Who asked for new lines alone gets no old ones because the log is cut.
func TestFollowNewFromTruncation(t *testing.T) {
	clean(t)
	synctest.Test(t, func(t *testing.T) {
		w := &following{t: t, path: filepath.Join(t.TempDir(), "log"), ended: make(chan struct{}), done: make(chan error, 1)}
		write(t, w.path+".1", inJSON(0, logline.Stdout, "older\n"))
		write(t, w.path, inJSON(1, logline.Stdout, "old\n"))
		go func() { w.done <- Read(t.Context(), w.path, Query{Stdout: true, Ended: w.ended}, &w.got) }()
		w.pause()
		os.Truncate(w.path, 0)
		w.pause()
		w.add(2, "new\n")
		w.pause()
		close(w.ended)
		if err := <-w.done; err != nil || w.got.text.String() != "new\n" {
			t.Errorf("followed %q, %v", w.got.text.String(), err)
		}
	})
}

// A tail is found in a log that is cut while it is looked for.
func TestReadRace(t *testing.T) {
	clean(t)
	path := filepath.Join(t.TempDir(), "log")
	text := strings.Repeat(inJSON(0, logline.Stdout, "a\n"), 20000)
	write(t, path, text)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for !isClosed(end) {
			os.Truncate(path, 0)
			add(t, path, text)
		}
	}()
	for range 200 {
		if err := Read(t.Context(), path, Query{Tail: 15000, Stdout: true}, &out{}); err != nil {
			t.Error(err)
			break
		}
	}
	close(end)
	<-ended
}

func TestFollowEnds(t *testing.T) {
	clean(t)
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "log")
		write(t, path, inJSON(0, logline.Stdout, "old\n"))
		never := make(chan struct{})

		// By the context, at once.
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begun := time.Now()
		if err := Read(ctx, path, Query{All: true, Stdout: true, Ended: never}, &out{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if d := time.Since(begun); d != time.Hour {
			t.Errorf("ended after %v", d)
		}

		// By a time, when a record after it comes.
		var got out
		done := make(chan error)
		go func() { done <- Read(t.Context(), path, Query{Stdout: true, Until: at(5), Ended: never}, &got) }()
		time.Sleep(time.Second)
		add(t, path, inJSON(5, logline.Stdout, "in\n")+inJSON(9, logline.Stdout, "out\n"))
		if err := <-done; err != nil || got.text.String() != "in\n" || got.flushed == 0 {
			t.Errorf("%q, %v", got.text.String(), err)
		}

		// By a time that is hardly over, when nothing earlier comes any more.
		var last out
		go func() { done <- Read(t.Context(), path, Query{Stdout: true, Until: at(10), Ended: never}, &last) }()
		time.Sleep(time.Second)
		add(t, path, inJSON(11, logline.Stdout, "out\n"))
		time.Sleep(time.Second)
		add(t, path, inJSON(10, logline.Stdout, "in\n"))
		if err := <-done; err != nil || last.text.String() != "in\n" {
			t.Errorf("%q, %v", last.text.String(), err)
		}

		// By the sink.
		errFull := errors.New("full")
		go func() {
			done <- Read(t.Context(), path, Query{Stdout: true, Ended: never}, &out{put: func(string) error { return errFull }})
		}()
		time.Sleep(time.Second)
		add(t, path, inJSON(12, logline.Stdout, "more\n"))
		if err := <-done; err != errFull {
			t.Errorf("%v", err)
		}
	})
}

// A writer that rotates and compresses as fast as it can loses no line to a
// follower that keeps up, whatever moment it looks at.
func TestFollowRace(t *testing.T) {
	clean(t)
	w := &following{t: t, path: filepath.Join(t.TempDir(), "log"), ended: make(chan struct{})}
	write(t, w.path, "")
	const lines, each = 6000, 50
	var seen atomic.Int64
	want := 0
	w.got.put = func(text string) error {
		if text != fmt.Sprintf("line %d\n", want) {
			return fmt.Errorf("%q in the place of line %d", text, want)
		}
		want++
		seen.Store(int64(want))
		return nil
	}
	done := make(chan error, 1)
	go func() {
		done <- Read(t.Context(), w.path, Query{All: true, Stdout: true, Ended: w.ended}, &w.got)
	}()
	failed := func() bool { return len(done) > 0 }
	for i := range lines {
		w.add(i, fmt.Sprintf("line %d\n", i))
		if i%each == each-1 {
			w.rotate(6)
		}
		for int64(i)-seen.Load() > 4*each && !failed() { // else the oldest file goes
			time.Sleep(100 * time.Microsecond)
		}
	}
	close(w.ended)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if want != lines {
		t.Errorf("%d lines; want %d", want, lines)
	}
}
