package dockpod

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
)

// pullScript is how an engine goes about one pull: it reports line after line,
// each so many seconds after the one before.
type pullScript struct {
	answer float64 // seconds until there is an answer at all; negative: never
	err    error   // that answer
	lines  []scriptLine
	hangs  bool // there is no end
	deaf   bool // it does not hear that it is cancelled until its body is closed
}

type scriptLine struct {
	after float64
	text  string
}

// pullAsked is a pull that an engine was asked for.
type pullAsked struct{ Ref, Platform, User string }

// scriptedEngine pulls by a script, and then has every image.
type scriptedEngine struct {
	DockerInterface
	script func(pullAsked) pullScript
	absent bool // it has none

	mu            sync.Mutex
	asked         []pullAsked
	running, most int
	looks         int
}

func (e *scriptedEngine) ImagePull(ctx context.Context, ref string, o image.PullOptions) (io.ReadCloser, error) {
	var auth struct{ Username string }
	if data, err := base64.URLEncoding.DecodeString(o.RegistryAuth); err == nil {
		json.Unmarshal(data, &auth) // an empty one is nobody's
	}
	a := pullAsked{ref, o.Platform, auth.Username}
	e.mu.Lock()
	e.asked = append(e.asked, a)
	e.running++
	e.most = max(e.most, e.running)
	e.mu.Unlock()
	ended := sync.OnceFunc(func() {
		e.mu.Lock()
		e.running--
		e.mu.Unlock()
	})
	s := e.script(a)
	if err := letPass(ctx, s.answer); err != nil || s.err != nil {
		ended()
		return nil, errors.Join(err, s.err)
	}
	r, w := io.Pipe()
	closed, markClosed := context.WithCancel(context.Background())
	if !s.deaf {
		stop := context.AfterFunc(ctx, markClosed)
		context.AfterFunc(closed, func() { stop() })
	}
	go func() {
		for _, l := range s.lines {
			if letPass(closed, l.after) != nil {
				w.CloseWithError(context.Cause(closed))
				return
			}
			io.WriteString(w, l.text+"\n")
		}
		if s.hangs {
			<-closed.Done()
		}
		w.Close()
		markClosed()
	}()
	return &scriptBody{r, func() { markClosed(); ended() }}, nil
}

type scriptBody struct {
	*io.PipeReader
	closed func()
}

func (b *scriptBody) Close() error {
	b.closed()
	return b.PipeReader.Close()
}

// letPass lets seconds pass, for ever if they are negative.
func letPass(ctx context.Context, seconds float64) error {
	var timer <-chan time.Time
	if seconds >= 0 {
		timer = time.After(time.Duration(seconds * float64(time.Second)))
	}
	select {
	case <-timer:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *scriptedEngine) ImageInspect(_ context.Context, ref string, _ ...client.ImageInspectOption) (image.InspectResponse, error) {
	e.mu.Lock()
	e.looks++
	e.mu.Unlock()
	if e.absent {
		return image.InspectResponse{}, noSuchImage(ref)
	}
	return image.InspectResponse{ID: idA, RepoTags: []string{ref}, RepoDigests: []string{"a@" + idB}}, nil
}

func (e *scriptedEngine) pulls() []pullAsked {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.asked)
}

// busy reports how many pulls are running now, and how many ever were at once.
func (e *scriptedEngine) busy() (now, most int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.running, e.most
}

// scriptFor is the script of every pull.
func scriptFor(s pullScript) func(pullAsked) pullScript {
	return func(pullAsked) pullScript { return s }
}

func layerLine(after float64, id, status string, current, total int64) scriptLine {
	return scriptLine{after, fmt.Sprintf(`{"status":%q,"progressDetail":{"current":%d,"total":%d},"id":%q}`, status, current, total, id)}
}

// download is a script with a layer of so many seconds, a byte in each.
func download(seconds int64) pullScript {
	var s pullScript
	for i := range seconds {
		s.lines = append(s.lines, layerLine(1, "a1", "Downloading", i+1, seconds))
	}
	return s
}

// ring is a Keyring with the same for all.
type ring struct {
	creds []Credential
	err   error
}

func (r ring) Credentials(context.Context, reference.Named) ([]Credential, error) {
	return r.creds, r.err
}

func users(names ...string) ring {
	var r ring
	for _, n := range names {
		r.creds = append(r.creds, Credential{Username: n, Password: "s3cret-" + n})
	}
	return r
}

// When a pull is given up, and when not.
func TestPullImageStall(t *testing.T) {
	heartbeat := func(id string, seconds int) (lines []scriptLine) {
		for i := range seconds {
			lines = append(lines, scriptLine{1, fmt.Sprintf(`{"status":"Extracting","progressDetail":{"current":%d,"units":"s"},"id":%q}`, i+1, id)})
		}
		return lines
	}
	for _, tt := range []struct {
		name   string
		script pullScript
		stall  time.Duration
		took   time.Duration
		last   *PullProgress // nil: no stall
	}{
		{name: "no answer", script: pullScript{answer: -1}, took: time.Minute, last: &PullProgress{Phase: PullWaiting}},
		{name: "an answer and no word", script: pullScript{answer: 30, hangs: true}, took: time.Minute, last: &PullProgress{Phase: PullWaiting}},
		{name: "a limit of one's own", script: pullScript{answer: -1}, stall: 7 * time.Second, took: 7 * time.Second, last: &PullProgress{Phase: PullWaiting}},
		{name: "a client that is deaf", script: pullScript{hangs: true, deaf: true}, took: time.Minute, last: &PullProgress{Phase: PullWaiting}},
		{name: "a registry that stops sending", script: pullScript{hangs: true, lines: []scriptLine{
			layerLine(1, "a1", "Pulling fs layer", 0, 0), layerLine(1, "a1", "Downloading", 5, 10),
		}}, took: 62 * time.Second, last: &PullProgress{
			Phase: PullDownloading, Layers: []LayerProgress{{ID: "a1", Phase: PullDownloading, Current: 5, Total: 10}}, Current: 5, Total: 10,
		}},
		{name: "an engine that repeats itself", script: pullScript{hangs: true, lines: slices.Repeat([]scriptLine{layerLine(1, "a1", "Downloading", 5, 10)}, 100)},
			took: 61 * time.Second, last: &PullProgress{
				Phase: PullDownloading, Layers: []LayerProgress{{ID: "a1", Phase: PullDownloading, Current: 5, Total: 10}}, Current: 5, Total: 10,
			}},
		{name: "an extraction beside a download", script: pullScript{hangs: true, lines: append([]scriptLine{layerLine(1, "b2", "Pulling fs layer", 0, 0)}, heartbeat("a1", 100)...)},
			took: 61 * time.Second, last: &PullProgress{
				Phase: PullExtracting, Layers: []LayerProgress{{ID: "b2", Phase: PullWaiting}, {ID: "a1", Phase: PullExtracting}},
			}},
		{name: "an extraction without end", script: pullScript{hangs: true, lines: heartbeat("a1", 5)}, took: 605 * time.Second, last: &PullProgress{
			Phase: PullExtracting, Layers: []LayerProgress{{ID: "a1", Phase: PullExtracting}},
		}},

		{name: "an extraction in silence", script: pullScript{lines: []scriptLine{layerLine(1, "a1", "Extracting", 10, 10), layerLine(599, "a1", "Pull complete", 0, 0)}}, took: 10 * time.Minute},
		{name: "a word now and then", script: pullScript{lines: []scriptLine{
			layerLine(59, "a1", "Pulling fs layer", 0, 0), layerLine(59, "a1", "Downloading", 1, 3), layerLine(59, "a1", "Downloading", 2, 3), {59, `{"status":"a word"}`},
		}}, took: 4 * 59 * time.Second},
		{name: "a download of hours", script: download(10000), took: 10000 * time.Second},
		{name: "no limit", script: pullScript{answer: 3600}, stall: -1, took: time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				e := &scriptedEngine{script: scriptFor(tt.script)}
				_, err := New(e).PullImage(t.Context(), "quay.io/team/app:1", PullOptions{Stall: tt.stall})
				if took := time.Since(begun); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if tt.last == nil {
					if err != nil {
						t.Error(err)
					}
					return
				}
				var stalled *PullStalledError
				if !errors.As(err, &stalled) || !errors.Is(err, ErrPullStalled) || !errdefs.IsDeadlineExceeded(err) || errors.Is(err, ErrTimeout) || errors.Is(err, context.Canceled) {
					t.Fatalf("got %v, want a *PullStalledError", err)
				}
				want := *tt.last
				want.Ref = "quay.io/team/app:1"
				got := stalled.Progress
				got.LastProgress = time.Time{}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("last progress mismatch (-want +got):\n%s", diff)
				}
				if text := err.Error(); !strings.Contains(text, "registry quay.io ") || !strings.Contains(text, `"quay.io/team/app:1"`) {
					t.Errorf("%q names no registry, or no reference", text)
				}
				synctest.Wait()
				if now, _ := e.busy(); now != 0 {
					t.Error("the engine goes on pulling")
				}
			})
		})
	}
}

// A caller's own end is told from a stall, also when both come together.
func TestPullImageEndsForCaller(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(context.Context) (context.Context, context.CancelFunc)
		want error
	}{
		{"deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 30*time.Second)
		}, context.DeadlineExceeded},
		{"cancelled", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(30*time.Second, cancel)
			return ctx, cancel
		}, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := tt.end(t.Context())
				defer cancel()
				e := &scriptedEngine{script: scriptFor(pullScript{hangs: true})}
				_, err := New(e).PullImage(ctx, "a", PullOptions{})
				if !errors.Is(err, tt.want) || errors.Is(err, ErrPullStalled) || errors.Is(err, ErrTimeout) || errors.Is(err, ErrBadAnswer) {
					t.Errorf("got %v, want %v alone", err, tt.want)
				}
				if now, _ := e.busy(); now != 0 {
					t.Error("the engine goes on pulling")
				}
			})
		})
	}
	t.Run("a success at the deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var last PullProgress
			opts := PullOptions{ProgressInterval: 2 * time.Second, Progress: func(p PullProgress) {
				if last = p; p.Current == 2 {
					time.Sleep(time.Hour) // the pull has ended when this caller looks again
					cancel()
				}
			}}
			// The pull is alone with its caller until the hour is over.
			img, err := New(&scriptedEngine{script: scriptFor(download(3))}).PullImage(ctx, "a", opts)
			if err != nil || img.ID != idA || last.Phase != PullDone {
				t.Errorf("got %v, %v, %v; want the image that was pulled", img, err, last)
			}
		})
	})
}

// Within another operation, that one's deadline ends the pull.
func TestPullImageWithinOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(&scriptedEngine{script: scriptFor(pullScript{hangs: true})}, WithRequestTimeout(30*time.Second))
		err := func() (err error) {
			ctx, end := r.begin(t.Context(), "run sandbox", "web")
			defer end(&err)
			_, err = r.PullImage(ctx, "a", PullOptions{})
			return err
		}()
		const want = `run sandbox "web": no answer within 30s: pull image "a": context deadline exceeded`
		if !errors.Is(err, ErrTimeout) || err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	})
}

func TestPullProgressRate(t *testing.T) {
	type call struct {
		at      time.Duration
		phase   PullPhase
		current int64
	}
	record := func(t *testing.T, calls *[]call) func(PullProgress) {
		begun := time.Now()
		return func(p PullProgress) {
			checkProgress(t, p)
			*calls = append(*calls, call{time.Since(begun), p.Phase, p.Current})
		}
	}
	s := time.Second
	slow := pullScript{lines: []scriptLine{
		layerLine(0.5, "a1", "Pulling fs layer", 0, 0), layerLine(1, "a1", "Downloading", 1, 4), layerLine(0.1, "a1", "Downloading", 2, 4),
		layerLine(1, "a1", "Verifying Checksum", 0, 0), layerLine(1, "a1", "Extracting", 1, 4), layerLine(2, "a1", "Pull complete", 0, 0),
	}}
	for _, tt := range []struct {
		name     string
		interval time.Duration
		want     []call
	}{
		{"every second", 0, []call{
			{0, PullWaiting, 0}, {1 * s, PullWaiting, 0}, {2 * s, PullDownloading, 2}, {3 * s, PullVerifying, 4}, {4 * s, PullExtracting, 4}, {5 * s, PullExtracting, 4},
			{5600 * time.Millisecond, PullDone, 4},
		}},
		{"every two", 2 * s, []call{{0, PullWaiting, 0}, {2 * s, PullDownloading, 2}, {4 * s, PullExtracting, 4}, {5600 * time.Millisecond, PullDone, 4}}},
		{"every hour", time.Hour, []call{{0, PullWaiting, 0}, {5600 * time.Millisecond, PullDone, 4}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls []call
				_, err := New(&scriptedEngine{script: scriptFor(slow)}).PullImage(t.Context(), "a", PullOptions{Progress: record(t, &calls), ProgressInterval: tt.interval})
				if err != nil {
					t.Error(err)
				}
				time.Sleep(time.Minute)
				if diff := cmp.Diff(tt.want, calls, cmp.AllowUnexported(call{})); diff != "" {
					t.Errorf("calls mismatch (-want +got):\n%s", diff)
				}
			})
		})
	}
	t.Run("a callback slower than the interval", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var calls []call
			note := record(t, &calls)
			_, err := New(&scriptedEngine{script: scriptFor(download(20))}).PullImage(t.Context(), "a", PullOptions{Progress: func(p PullProgress) {
				note(p)
				time.Sleep(3500 * time.Millisecond)
			}})
			if err != nil {
				t.Error(err)
			}
			for i, c := range calls {
				// Each shows its own moment and none of those that were missed.
				if want := min(int64(c.at/s), 20); c.phase != PullDone && c.current != want && c.current != want-1 {
					t.Errorf("call %d: %v, want about %d bytes", i, c, want)
				}
			}
			if n := len(calls); n < 5 || n > 8 || calls[n-1].phase != PullDone {
				t.Errorf("calls %v", calls)
			}
		})
	})
	t.Run("a failure has no last call", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var calls []call
			e := &scriptedEngine{script: scriptFor(pullScript{lines: []scriptLine{{1.5, `{"error":"manifest unknown"}`}}})}
			if _, err := New(e).PullImage(t.Context(), "a", PullOptions{Progress: record(t, &calls)}); !errors.Is(err, ErrManifestUnknown) {
				t.Errorf("got %v, want ErrManifestUnknown", err)
			}
			if diff := cmp.Diff([]call{{0, PullWaiting, 0}, {s, PullWaiting, 0}}, calls, cmp.AllowUnexported(call{})); diff != "" {
				t.Errorf("calls mismatch (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("neither has a pull without an image", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var calls []call
			e := &scriptedEngine{script: scriptFor(pullScript{}), absent: true}
			if _, err := New(e).PullImage(t.Context(), "a", PullOptions{Progress: record(t, &calls)}); !errors.Is(err, ErrImageNotFound) {
				t.Errorf("got %v, want ErrImageNotFound", err)
			}
			if diff := cmp.Diff([]call{{0, PullWaiting, 0}}, calls, cmp.AllowUnexported(call{})); diff != "" {
				t.Errorf("calls mismatch (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("a negative interval", func(t *testing.T) {
		if _, err := New(&imageStub{}).PullImage(t.Context(), "a", PullOptions{ProgressInterval: -1}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("got %v, want an invalid argument", err)
		}
	})
}

// goroutine returns the ID of the goroutine that calls it.
func goroutine() string {
	buf := make([]byte, 64)
	text, _, _ := strings.Cut(strings.TrimPrefix(string(buf[:runtime.Stack(buf, false)]), "goroutine "), " ")
	return text
}

func TestPullImageShared(t *testing.T) {
	const callers = 32
	synctest.Test(t, func(t *testing.T) {
		e := &scriptedEngine{script: scriptFor(download(10))}
		r := New(e)
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				var own string
				var calls int
				var returned bool
				ref := []string{"busybox", "docker.io/library/busybox:latest", "index.docker.io/busybox"}[i%3]
				_, err := r.PullImage(t.Context(), ref, PullOptions{Progress: func(p PullProgress) {
					if calls++; returned || p.Ref != "docker.io/library/busybox:latest" {
						t.Errorf("call %d of caller %d, returned %t: %+v", calls, i, returned, p)
					}
					if id := goroutine(); own != "" && own != id {
						t.Errorf("caller %d is called from another goroutine", i)
					} else {
						own = id
					}
				}})
				returned = true
				if err != nil || own != goroutine() || calls < 10 {
					t.Errorf("caller %d: %v, after %d calls", i, err, calls)
				}
			})
		}
		wg.Wait()
		if diff := cmp.Diff([]pullAsked{{"busybox:latest", "", ""}}, e.pulls()); diff != "" {
			t.Errorf("pulls mismatch (-want +got):\n%s", diff)
		}
		if len(r.pulls.flights) != 0 {
			t.Errorf("%d pulls are still known", len(r.pulls.flights))
		}
		if _, err := r.PullImage(t.Context(), "busybox", PullOptions{}); err != nil || len(e.pulls()) != 2 {
			t.Errorf("afterwards: %v, %v; want a pull of its own", err, e.pulls())
		}
	})
}

// What callers do not have in common keeps their pulls apart.
func TestPullImageNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &scriptedEngine{script: scriptFor(download(10))}
		r := New(e)
		var wg sync.WaitGroup
		for _, p := range []struct {
			ref  string
			opts PullOptions
		}{
			{"a:1", PullOptions{}},
			{"a:2", PullOptions{}},
			{"b:1", PullOptions{}},
			{"a:1", PullOptions{Platform: "linux/arm64"}},
			{"a:1", PullOptions{Keyring: users("ada")}},
			{"a:1", PullOptions{Keyring: users("bob")}},
			{"a:1", PullOptions{Keyring: ring{creds: []Credential{{Username: "ada", Password: "another"}}}}},
		} {
			wg.Go(func() {
				if _, err := r.PullImage(t.Context(), p.ref, p.opts); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got := e.pulls()
		slices.SortFunc(got, func(a, b pullAsked) int {
			return slices.Compare([]string{a.Ref, a.User, a.Platform}, []string{b.Ref, b.User, b.Platform})
		})
		want := []pullAsked{{"a:1", "", ""}, {"a:1", "linux/arm64", ""}, {"a:1", "", "ada"}, {"a:1", "", "ada"}, {"a:1", "", "bob"}, {"a:2", "", ""}, {"b:1", "", ""}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pulls mismatch (-want +got):\n%s", diff)
		}
	})
}

func TestPullImageSharedFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &scriptedEngine{script: scriptFor(pullScript{lines: []scriptLine{{5, `{"error":"toomanyrequests: slow down"}`}}})}
		r := New(e)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if _, err := r.PullImage(t.Context(), "a", PullOptions{}); !errors.Is(err, ErrRateLimited) {
					t.Errorf("got %v, want ErrRateLimited", err)
				}
			})
		}
		wg.Wait()
		if n := len(e.pulls()); n != 1 {
			t.Errorf("%d pulls, want one", n)
		}
	})
}

// Callers come and go; the pull stays until the last has left.
func TestPullImageLastCallerCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &scriptedEngine{script: scriptFor(download(1000))}
		r := New(e)
		var wg sync.WaitGroup
		stay := func(seconds int) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
			wg.Go(func() {
				defer cancel()
				if _, err := r.PullImage(ctx, "a", PullOptions{}); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the caller of %d seconds: %v, want its deadline", seconds, err)
				}
			})
			synctest.Wait()
		}
		stay(10) // the one that began it leaves before the others
		stay(20)
		stay(30)
		time.Sleep(5 * time.Second)
		stay(40)
		time.Sleep(39 * time.Second)
		if now, _ := e.busy(); now != 1 || len(e.pulls()) != 1 {
			t.Errorf("%d of %d pulls are running; want one of one", now, len(e.pulls()))
		}
		wg.Wait()
		// Nothing has to be waited for: it had ended when the last returned.
		if now, _ := e.busy(); now != 0 || len(r.pulls.flights) != 0 {
			t.Errorf("%d pulls are running, %d known; want none", now, len(r.pulls.flights))
		}
		stay(1)
		wg.Wait()
		if n := len(e.pulls()); n != 2 {
			t.Errorf("%d pulls, want a new one", n)
		}
	})
}

func TestPullImageLeavesNothing(t *testing.T) {
	e := &scriptedEngine{script: scriptFor(pullScript{answer: -1})}
	r := New(e, WithPullLimit(1))
	before := runtime.NumGoroutine()
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		opts := PullOptions{Progress: func(PullProgress) { cancel() }, ProgressInterval: time.Hour}
		if _, err := r.PullImage(ctx, "a", opts); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	// A goroutine that has done its last may take a moment to be gone.
	for late := time.After(5 * time.Second); runtime.NumGoroutine() > before; {
		select {
		case <-time.After(time.Millisecond):
		case <-late:
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, before %d\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// A client that does not heed its context holds the caller up by a second.
func TestPullImageClientIgnoresContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &scriptedEngine{}
		e.script = func(pullAsked) pullScript {
			time.Sleep(time.Hour)
			return pullScript{}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute/2)
		defer cancel()
		begun := time.Now()
		_, err := New(e).PullImage(ctx, "a", PullOptions{})
		if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took != time.Minute/2+leaveTime {
			t.Errorf("got %v after %v", err, took)
		}
		time.Sleep(time.Hour) // the goroutine ends with the client's call
	})
}

func TestPullImageJoinsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &scriptedEngine{script: scriptFor(download(100))}
		r := New(e)
		var wg sync.WaitGroup
		wg.Go(func() { r.PullImage(t.Context(), "a", PullOptions{}) })
		time.Sleep(50*time.Second + time.Millisecond)
		var first *PullProgress
		begun := time.Now()
		_, err := r.PullImage(t.Context(), "a", PullOptions{Progress: func(p PullProgress) {
			if first == nil {
				first = &p
			}
		}})
		if took := time.Since(begun); err != nil || took > 50*time.Second {
			t.Errorf("%v after %v; want what was left", err, took)
		}
		if first.Current != 50 || first.Total != 100 || first.BytesPerSecond < 0.5 {
			t.Errorf("at first: %v; want half of it", first)
		}
		wg.Wait()
	})
}

// A callback that does not return keeps the pull from nobody else, and not the
// engine from hearing that its caller has left.
func TestPullImageCallbackBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &scriptedEngine{script: scriptFor(download(100))}
		r := New(e)
		release := make(chan struct{})
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		block := func(want error) {
			wg.Go(func() {
				blocked := false
				_, err := r.PullImage(ctx, "a", PullOptions{Progress: func(PullProgress) {
					if !blocked {
						blocked = true
						<-release
					}
				}})
				if !errors.Is(err, want) {
					t.Errorf("the caller whose callback blocks: %v; want %v", err, want)
				}
			})
			synctest.Wait()
		}
		block(nil)
		begun := time.Now()
		if _, err := r.PullImage(t.Context(), "a", PullOptions{}); err != nil || time.Since(begun) != 100*time.Second {
			t.Errorf("another caller: %v after %v", err, time.Since(begun))
		}
		close(release)
		wg.Wait()

		release = make(chan struct{})
		block(context.Canceled)
		cancel()
		synctest.Wait()
		if now, _ := e.busy(); now != 0 {
			t.Error("the engine goes on pulling for a caller that has left")
		}
		close(release)
		wg.Wait()
	})
}

// A callback that ends its goroutine, as a test's FailNow does, leaves the pull
// like any caller.
func TestPullImageCallbackExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &scriptedEngine{script: scriptFor(download(100))}
		r := New(e)
		var wg sync.WaitGroup
		wg.Go(func() {
			r.PullImage(t.Context(), "a", PullOptions{Progress: func(PullProgress) { runtime.Goexit() }})
		})
		wg.Go(func() {
			defer func() {
				if recover() == nil {
					t.Error("a panic was lost")
				}
			}()
			r.PullImage(t.Context(), "b", PullOptions{Progress: func(PullProgress) { panic("no") }})
		})
		wg.Wait()
		synctest.Wait()
		if now, _ := e.busy(); now != 0 || len(r.pulls.flights) != 0 {
			t.Errorf("%d pulls go on, %d are known", now, len(r.pulls.flights))
		}
	})
}

func TestPullImageClientExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &scriptedEngine{script: func(pullAsked) pullScript {
			runtime.Goexit()
			return pullScript{}
		}}
		r := New(e, WithPullLimit(1))
		for range 2 {
			if _, err := r.PullImage(t.Context(), "a", PullOptions{}); !errors.Is(err, ErrBadAnswer) {
				t.Errorf("got %v, want ErrBadAnswer", err)
			}
		}
	})
}

// Callers with other limits than each other share a pull, and each keeps to
// its own.
func TestPullImageSharedStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &scriptedEngine{script: scriptFor(pullScript{hangs: true})}
		r := New(e)
		begun := time.Now()
		var wg sync.WaitGroup
		pull := func(stall, want time.Duration) {
			wg.Go(func() {
				_, err := r.PullImage(t.Context(), "a", PullOptions{Stall: stall})
				if took := time.Since(begun); !errors.Is(err, ErrPullStalled) || took != want {
					t.Errorf("with a limit of %v: %v after %v; want a stall after %v", stall, err, took, want)
				}
			})
			synctest.Wait()
		}
		pull(10*time.Minute, 10*time.Minute)
		pull(time.Minute, time.Minute)
		time.Sleep(30 * time.Second)
		pull(time.Minute, time.Minute) // the silence is the pull's, not the caller's
		if n := len(e.pulls()); n != 1 {
			t.Errorf("%d pulls, want one", n)
		}
		time.Sleep(time.Minute)
		pull(time.Minute, 90*time.Second+time.Minute) // a stalled pull will not do
		if n := len(e.pulls()); n != 2 {
			t.Errorf("%d pulls, want a second", n)
		}
		wg.Wait()
		if now, _ := e.busy(); now != 0 || len(r.pulls.flights) != 0 {
			t.Errorf("%d pulls go on, %d are known", now, len(r.pulls.flights))
		}
	})
}

func TestWithPullLimit(t *testing.T) {
	for _, tt := range []struct{ limit, most int }{{0, 6}, {-1, 6}, {1, 1}, {2, 2}, {100, 6}} {
		t.Run(fmt.Sprint(tt.limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &scriptedEngine{script: scriptFor(download(100))} // longer than a stall
				r := New(e, WithPullLimit(tt.limit))
				var wg sync.WaitGroup
				for i := range 6 {
					wg.Go(func() {
						waited := time.Duration(0)
						begun := time.Now()
						_, err := r.PullImage(t.Context(), fmt.Sprintf("a:%d", i), PullOptions{Progress: func(p PullProgress) {
							if p.LastProgress.IsZero() {
								waited = time.Since(begun)
								if p.Phase != PullWaiting || p.Layers != nil {
									t.Errorf("while it waits for its turn: %+v", p)
								}
							}
						}})
						if err != nil {
							t.Error(err)
						}
						if want := time.Duration(i/tt.most) * 100 * time.Second; waited > want || waited < want-time.Second {
							t.Errorf("pull %d waited %v for its turn, want %v", i, waited, want)
						}
					})
					synctest.Wait() // in this order
				}
				wg.Wait()
				if _, most := e.busy(); most != tt.most {
					t.Errorf("%d pulls at a time, want %d", most, tt.most)
				}
			})
		})
	}
	t.Run("leaving while waiting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := &scriptedEngine{script: scriptFor(download(10))}
			r := New(e, WithPullLimit(1))
			var wg sync.WaitGroup
			wg.Go(func() { r.PullImage(t.Context(), "a:1", PullOptions{}) })
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := r.PullImage(ctx, "a:2", PullOptions{}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want its deadline", err)
			}
			begun := time.Now()
			if _, err := r.PullImage(t.Context(), "a:3", PullOptions{}); err != nil || time.Since(begun) != 19*time.Second {
				t.Errorf("the next: %v after %v", err, time.Since(begun))
			}
			wg.Wait()
			if diff := cmp.Diff([]pullAsked{{"a:1", "", ""}, {"a:3", "", ""}}, e.pulls()); diff != "" {
				t.Errorf("pulls mismatch (-want +got):\n%s", diff)
			}
		})
	})
}

// A registry that takes some users and has its own answer for others.
func TestPullImageCredentials(t *testing.T) {
	refused := engineError(errdefs.ErrInternal, "Error response from daemon: unauthorized: s3cret-ada is not s3cret-bob")
	limited := engineError(errdefs.ErrInternal, "Error response from daemon: toomanyrequests: slow down")
	unknown := engineError(errdefs.ErrNotFound, "Error response from daemon: manifest unknown")
	noHelper := errors.New("helper is not installed")
	for _, tt := range []struct {
		name    string
		ref     string // empty: quay.io/a:1
		node    Keyring
		opts    PullOptions
		answers map[string]error // by user; none: success
		asked   []string         // users
		want    []error          // nil: success
		not     []error
		say     string
	}{
		{name: "no keyring", asked: []string{""}},
		{name: "an empty one", node: users(), asked: []string{""}},
		{name: "the first will do", node: users("ada", "bob"), asked: []string{"ada"}},
		{name: "the second will do", node: users("ada", "bob"), answers: map[string]error{"ada": refused}, asked: []string{"ada", "bob"}},
		{name: "the call's own keyring", node: users("ada"), opts: PullOptions{Keyring: users("bob")}, asked: []string{"bob"}},
		{name: "each once", node: users("ada", "ada", "bob"), answers: map[string]error{"ada": refused}, asked: []string{"ada", "bob"}},
		{name: "none will do", node: users("ada", "bob"), answers: map[string]error{"ada": refused, "bob": refused}, asked: []string{"ada", "bob"},
			want: []error{ErrPullUnauthorized}, say: "credential 1 of 2: pull is not authorized: registry quay.io: unauthorized: … is not s3cret-bob; credential 2 of 2: pull is not authorized: registry quay.io: unauthorized: s3cret-ada is not …"},
		{name: "nobody last", node: users("ada"), opts: PullOptions{Anonymous: true}, answers: map[string]error{"ada": refused}, asked: []string{"ada", ""}},
		{name: "nobody last, in vain", node: users("ada"), opts: PullOptions{Anonymous: true}, answers: map[string]error{"ada": refused, "": refused}, asked: []string{"ada", ""},
			want: []error{ErrPullUnauthorized}, say: "; without credentials: "},
		{name: "nobody once", opts: PullOptions{Anonymous: true, Keyring: users()}, answers: map[string]error{"": refused}, asked: []string{""}, want: []error{ErrPullUnauthorized}},
		{name: "a limit ends it", node: users("ada", "bob", "eve"), opts: PullOptions{Anonymous: true}, answers: map[string]error{"ada": refused, "bob": limited}, asked: []string{"ada", "bob"},
			want: []error{ErrPullUnauthorized, ErrRateLimited}},
		{name: "an absent image ends it", node: users("ada", "bob"), answers: map[string]error{"ada": unknown}, asked: []string{"ada"},
			want: []error{ErrManifestUnknown}, not: []error{ErrPullUnauthorized}, say: "credential 1 of 2: "},
		{name: "an engine that is gone ends it", node: users("ada", "bob"), answers: map[string]error{"ada": io.ErrUnexpectedEOF}, asked: []string{"ada"}, want: []error{ErrBadAnswer}},
		{name: "one credential needs no number", node: users("ada"), answers: map[string]error{"ada": refused}, asked: []string{"ada"},
			want: []error{ErrPullUnauthorized}, say: `pull image "quay.io/a:1": pull is not authorized: registry quay.io: unauthorized: … is not s3cret-bob`},

		{name: "a keyring that fails", node: ring{err: noHelper}, want: []error{noHelper}, say: "credentials for registry quay.io: helper is not installed"},
		{name: "but nobody may ask", node: ring{err: noHelper}, opts: PullOptions{Anonymous: true}, asked: []string{""}},
		{name: "and is refused", node: ring{err: noHelper}, opts: PullOptions{Anonymous: true}, answers: map[string]error{"": refused}, asked: []string{""}, want: []error{ErrPullUnauthorized, noHelper}},
		{name: "a keyring that fails in part", node: ring{creds: users("ada").creds, err: noHelper}, asked: []string{"ada"}},
		{name: "in vain", node: ring{creds: users("ada").creds, err: noHelper}, answers: map[string]error{"ada": refused}, asked: []string{"ada"}, want: []error{ErrPullUnauthorized, noHelper}},
		{name: "a limit is no matter of the keyring", node: ring{creds: users("ada").creds, err: noHelper}, answers: map[string]error{"ada": limited}, asked: []string{"ada"},
			want: []error{ErrRateLimited}, not: []error{noHelper}},

		{name: "a hint for nobody", answers: map[string]error{"": refused}, asked: []string{""}, want: []error{ErrPullUnauthorized}, say: "; no credentials for quay.io are known"},
		{name: "on Docker Hub as well", ref: "team/a:1", answers: map[string]error{"": refused}, asked: []string{""}, want: []error{ErrPullUnauthorized}, say: "; no credentials for docker.io are known"},
		{name: "a registry may hide what there is", ref: "localhost:5000/a/b/c:1", answers: map[string]error{"": unknown}, asked: []string{""}, want: []error{ErrManifestUnknown}, say: "; no credentials for localhost:5000 are known"},
		{name: "Docker Hub does not", ref: "team/a:1", answers: map[string]error{"": unknown}, asked: []string{""}, want: []error{ErrManifestUnknown}, say: "manifest unknown"},
		{name: "no hint where it is not the reason", answers: map[string]error{"": limited}, asked: []string{""}, want: []error{ErrRateLimited}, say: "toomanyrequests: slow down"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &scriptedEngine{script: func(a pullAsked) pullScript { return pullScript{err: tt.answers[a.User]} }}
			if tt.ref == "" {
				tt.ref = "quay.io/a:1"
			}
			img, err := New(e, WithKeyring(tt.node)).PullImage(t.Context(), tt.ref, tt.opts)
			var asked []string
			for _, a := range e.pulls() {
				asked = append(asked, a.User)
			}
			if diff := cmp.Diff(tt.asked, asked); diff != "" {
				t.Errorf("users mismatch (-want +got):\n%s", diff)
			}
			if (err == nil) != (tt.want == nil) || (img.ID == idA) != (err == nil) {
				t.Fatalf("got %v, %v; want %v", img, err, tt.want)
			}
			for _, want := range tt.want {
				if !errors.Is(err, want) {
					t.Errorf("%v is not %v", err, want)
				}
			}
			for _, not := range tt.not {
				if errors.Is(err, not) {
					t.Errorf("%v is also %v", err, not)
				}
			}
			if err == nil {
				return
			}
			text := err.Error()
			if !strings.Contains(text, tt.say) || strings.Contains(text, "\n") {
				t.Errorf("got %q, want %q in it", text, tt.say)
			}
			if hint := "are known"; strings.Contains(text, hint) && !strings.Contains(tt.say, hint) && (len(tt.asked) > 1 || tt.node != nil) {
				t.Errorf("%q has a hint that is not true", text)
			}
			for _, user := range asked {
				if user != "" && len(asked) == 1 && strings.Contains(text, "s3cret-"+user) {
					t.Errorf("%q has a secret in it", text)
				}
			}
		})
	}
}

// The caller's end is the answer, whatever a registry refused before.
func TestPullImageCancelledBetweenCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &scriptedEngine{script: func(a pullAsked) pullScript {
			if a.User == "ada" {
				return pullScript{err: engineError(errdefs.ErrInternal, "unauthorized")}
			}
			return pullScript{hangs: true}
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := New(e, WithKeyring(users("ada", "bob"))).PullImage(ctx, "a", PullOptions{})
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrPullUnauthorized) {
			t.Errorf("got %v, want the deadline alone", err)
		}
	})
}

// No part of a credential comes back in an error, in whatever form an engine
// repeats it, nor in the log.
func TestPullImageHidesCredentials(t *testing.T) {
	c := Credential{Username: "ada", Password: `pass"word`, IdentityToken: "identity-token", RegistryToken: "registry-token"}
	auth, err := c.registryAuth(mustNamed(t, "quay.io/a:1"))
	if err != nil {
		t.Fatal(err)
	}
	basic := base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + c.Password))
	for _, said := range []string{c.Password, fmt.Sprintf("%q", c.Password), c.IdentityToken, c.RegistryToken, auth, basic} {
		for _, script := range []pullScript{
			{err: engineError(errdefs.ErrInternal, "unauthorized: "+said)},
			{err: engineError(errdefs.ErrInternal, "boom: "+said)},
			{lines: []scriptLine{{0, string(marshal(t, map[string]string{"error": "denied: " + said}))}}},
		} {
			var log strings.Builder
			logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			_, err := New(&scriptedEngine{script: scriptFor(script)}, WithLogger(logger), WithKeyring(ring{creds: []Credential{c}})).PullImage(t.Context(), "quay.io/a:1", PullOptions{})
			if err == nil {
				t.Fatal("no error")
			}
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), log.String()} {
				for _, secret := range []string{"word", "identity-token", "registry-token", auth, basic} {
					if strings.Contains(text, secret) {
						t.Errorf("%q in %q", secret, text)
					}
				}
			}
		}
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestPullImageCrowd has callers of several images come and go at random
// moments, for the race detector.
func TestPullImageCrowd(t *testing.T) {
	var pulls atomic.Int64
	e := &scriptedEngine{script: func(pullAsked) pullScript {
		if pulls.Add(1)%5 == 0 {
			return pullScript{lines: []scriptLine{{0.001, `{"error":"denied"}`}}}
		}
		return pullScript{lines: []scriptLine{layerLine(0, "a1", "Downloading", 1, 2), layerLine(0.001, "a1", "Downloading", 2, 2), layerLine(0.001, "a1", "Pull complete", 0, 0)}}
	}}
	r := New(e, WithPullLimit(3))
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%7)*time.Millisecond)
			defer cancel()
			_, err := r.PullImage(ctx, fmt.Sprintf("a:%d", i%5), PullOptions{
				ProgressInterval: time.Duration(1 + i%3), Progress: func(p PullProgress) { checkProgress(t, p) },
			})
			if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrPullUnauthorized) {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if _, most := e.busy(); most > 3 {
		t.Errorf("%d pulls at a time, want 3", most)
	}
	// The last caller waits for the end of its pull, but not for ever.
	known := func() int {
		r.pulls.mu.Lock()
		defer r.pulls.mu.Unlock()
		return len(r.pulls.flights)
	}
	for late := time.Now().Add(10 * time.Second); known() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("%d pulls are still known", known())
		}
	}
}
