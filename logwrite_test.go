package dockpod_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
	"github.com/dockpod/dockpod/internal/logline"
)

// logWorld is a container on the fake whose log is written.
type logWorld struct {
	docker *fake.Docker
	rt     *dockpod.Runtime
	dir    string
	id     string

	mu     sync.Mutex
	errors []error // what OnError was told
}

// path is where the container's log stands.
func (w *logWorld) path() string { return filepath.Join(w.dir, "app", "0.log") }

// newLogWorld creates a container and starts nothing. engine, if not nil,
// stands between the Runtime and the fake. OnError is called before it counts
// as told.
func newLogWorld(t *testing.T, o dockpod.LogFileOptions, engine func(*fake.Docker) dockpod.DockerInterface, opts ...dockpod.Option) *logWorld {
	t.Helper()
	w := &logWorld{docker: &fake.Docker{}, dir: t.TempDir()}
	t.Cleanup(func() { w.docker.Close() })
	w.docker.AddImage("app:1")
	told := o.OnError
	o.OnError = func(id string, err error) {
		if told != nil {
			told(id, err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.errors = append(w.errors, err)
	}
	var docker dockpod.DockerInterface = w.docker
	if engine != nil {
		docker = engine(w.docker)
	}
	w.rt = dockpod.New(docker, append(opts, dockpod.WithOwner("test"), dockpod.WithLogFiles(o))...)
	t.Cleanup(func() { w.rt.Close() })
	w.id = w.create(t, dockpod.ContainerConfig{Name: "app", Image: "app:1", LogPath: "app/0.log"})
	return w
}

func (w *logWorld) create(t *testing.T, c dockpod.ContainerConfig) string {
	t.Helper()
	id, err := w.rt.CreateContainer(t.Context(), "", c, dockpod.SandboxConfig{Name: "pod", Namespace: "ns", UID: "uid", LogDirectory: w.dir})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (w *logWorld) start(t *testing.T) {
	t.Helper()
	if err := w.rt.StartContainer(t.Context(), w.id); err != nil {
		t.Fatal(err)
	}
}

// write makes the container write the lines from first to last.
func (w *logWorld) write(first, last int) {
	for i := first; i <= last; i++ {
		w.docker.WriteLog(w.id, fake.Stdout, fmt.Sprint("line ", i))
	}
}

// finish ends the container and returns its status.
func (w *logWorld) finish(t *testing.T) dockpod.ContainerStatus {
	t.Helper()
	w.docker.Exit(w.id, 0)
	st, err := w.rt.ContainerStatus(t.Context(), w.id)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func lineNumbers(first, last int) (want []string) {
	for i := first; i <= last; i++ {
		want = append(want, fmt.Sprint("line ", i))
	}
	return want
}

// expect compares the log's files with the lines from 1 to last.
func (w *logWorld) expect(t *testing.T, last int) {
	t.Helper()
	got, _, _ := readLogFiles(t, w.path())
	if diff := firstDiff(lineNumbers(1, last), got); diff != "" {
		t.Errorf("log %s", diff)
	}
}

// reaches waits until the log has a number of lines.
func (w *logWorld) reaches(t *testing.T, lines int) {
	t.Helper()
	w.until(t, fmt.Sprintf("%d lines", lines), func() bool { return w.count() >= lines })
}

// count counts the lines of the log while it is written.
func (w *logWorld) count() (lines int) {
	all, _ := filepath.Glob(w.path() + "*")
	for _, name := range all {
		text, _ := os.ReadFile(name) // it may have been rotated since
		lines += bytes.Count(text, []byte("\n"))
	}
	return lines
}

func (w *logWorld) until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("there are not %s", what)
		}
	}
}

func (w *logWorld) told() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.errors)
}

// brokenStreams is an engine whose log streams are made into others. As it
// embeds the fake, it has its other methods.
type brokenStreams struct {
	*fake.Docker
	mu    sync.Mutex
	calls int
	make  func(call int, o container.LogsOptions, stream io.ReadCloser) io.ReadCloser
}

func (b *brokenStreams) ContainerLogs(ctx context.Context, id string, o container.LogsOptions) (io.ReadCloser, error) {
	stream, err := b.Docker.ContainerLogs(ctx, id, o)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	return b.make(b.calls, o, stream), nil
}

// through is a stream that is read through something else.
type through struct {
	io.Reader
	io.Closer
}

// cutAfter ends a stream after n bytes with an error.
func cutAfter(stream io.ReadCloser, n int64, err error) io.ReadCloser {
	return through{io.MultiReader(io.LimitReader(stream, n), iotest.ErrReader(err)), stream}
}

// A stream that breaks or ends anywhere is gone on with, without a line lost or
// doubled.
func TestLogFileSurvivesBrokenStreams(t *testing.T) {
	for name, end := range map[string]error{"cut": io.ErrUnexpectedEOF, "ended": io.EOF, "refused": errors.New("read: connection reset by peer")} {
		for _, size := range []int64{0, 300} {
			t.Run(fmt.Sprintf("%s, files of %d bytes", name, size), func(t *testing.T) {
				t.Parallel()
				w := newLogWorld(t, dockpod.LogFileOptions{MaxSize: size, MaxFiles: 1000}, func(d *fake.Docker) dockpod.DockerInterface {
					return &brokenStreams{Docker: d, make: func(call int, o container.LogsOptions, stream io.ReadCloser) io.ReadCloser {
						if o.Follow && call < 12 {
							return cutAfter(stream, int64(call*97), end)
						}
						return through{iotest.HalfReader(stream), stream}
					}}
				})
				w.start(t)
				w.write(1, 100)
				w.until(t, "all lines", func() bool { return w.count() >= 100 })
				w.write(101, 120)
				if st := w.finish(t); len(st.Problems) > 0 {
					t.Errorf("problems %v", st.Problems)
				}
				w.expect(t, 120)
			})
		}
	}
}

// Podman counts in seconds, so that many lines have one time.
func TestLogFileOfCoarseTimes(t *testing.T) {
	coarse := func(d *fake.Docker) dockpod.DockerInterface {
		return &brokenStreams{Docker: d, make: func(call int, o container.LogsOptions, stream io.ReadCloser) io.ReadCloser {
			out, in := io.Pipe()
			go func() {
				defer stream.Close()
				for {
					var head [8]byte
					if _, err := io.ReadFull(stream, head[:]); err != nil {
						in.CloseWithError(err)
						return
					}
					text := make([]byte, binary.BigEndian.Uint32(head[4:]))
					if _, err := io.ReadFull(stream, text); err != nil {
						in.CloseWithError(err)
						return
					}
					_, rest, _ := bytes.Cut(text, []byte{' '})
					text = append([]byte("2026-01-02T03:04:05Z "), rest...)
					binary.BigEndian.PutUint32(head[4:], uint32(len(text)))
					if _, err := in.Write(append(head[:], text...)); err != nil {
						return
					}
				}
			}()
			if o.Follow && call < 20 {
				return cutAfter(through{out, out}, int64(call*41), io.ErrUnexpectedEOF)
			}
			return through{out, out}
		}}
	}
	w := newLogWorld(t, dockpod.LogFileOptions{MaxSize: 500, MaxFiles: 1000}, func(d *fake.Docker) dockpod.DockerInterface {
		d.Now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
		return coarse(d)
	})
	w.start(t)
	for range 50 {
		w.docker.WriteLog(w.id, fake.Stdout, "tick")
	}
	w.docker.WriteLog(w.id, fake.Stdout, "tock")
	w.until(t, "all lines", func() bool { return w.count() >= 51 })
	w.finish(t)
	got, _, _ := readLogFiles(t, w.path())
	if want := append(slices.Repeat([]string{"tick"}, 50), "tock"); !slices.Equal(want, got) {
		t.Errorf("log mismatch (-want +got):\n%s", cmp.Diff(want, got))
	}
}

// While the engine is away the log is an error that is told once; afterwards
// nothing is missing.
func TestLogFileSurvivesAnEngineThatIsAway(t *testing.T) {
	var mu sync.Mutex
	away := false
	w := newLogWorld(t, dockpod.LogFileOptions{}, func(d *fake.Docker) dockpod.DockerInterface {
		d.Before = func(_ context.Context, op fake.Op, _ string) error {
			mu.Lock()
			defer mu.Unlock()
			if away && op == fake.OpContainerLogs {
				return fake.Internal("the engine is restarting")
			}
			return nil
		}
		return &brokenStreams{Docker: d, make: func(call int, o container.LogsOptions, stream io.ReadCloser) io.ReadCloser {
			if call == 1 {
				mu.Lock()
				defer mu.Unlock()
				away = true
				return cutAfter(stream, 60, io.ErrUnexpectedEOF)
			}
			return stream
		}}
	})
	w.start(t)
	w.write(1, 10)
	w.until(t, "errors", func() bool { return len(w.told()) > 0 })
	w.until(t, "problems", func() bool {
		st, err := w.rt.ContainerStatus(t.Context(), w.id)
		return err == nil && len(st.Problems) == 1 && strings.HasPrefix(st.Problems[0], "LogPath: ")
	})
	if err := w.rt.StartContainer(t.Context(), w.id); !errors.Is(err, dockpod.ErrLogFile) {
		t.Errorf("the next call's error is %v", err)
	}
	mu.Lock()
	away = false
	mu.Unlock()
	w.reaches(t, 10)
	w.finish(t)
	w.expect(t, 10)
	told := w.told()
	if len(told) != 2 || !errors.Is(told[0], dockpod.ErrLogFile) || told[1] != nil {
		t.Errorf("told %v", told)
	}
}

// Who is told of a log's failure may call the Runtime, and holds up nobody
// else while it is slow; what happens meanwhile is told after it, in order.
func TestLogFileErrorIsToldUnlocked(t *testing.T) {
	var (
		refuse     atomic.Bool
		w          *logWorld
		begun, end = make(chan struct{}), make(chan struct{})
		status     dockpod.ContainerStatus
		failed     []error
	)
	told := func(id string, err error) {
		if err == nil {
			return
		}
		st, statusErr := w.rt.ContainerStatus(t.Context(), id)
		_, reconcileErr := w.rt.ReconcileLogLinks(t.Context())
		status, failed = st, []error{statusErr, reconcileErr}
		close(begun)
		<-end
	}
	w = newLogWorld(t, dockpod.LogFileOptions{OnError: told}, func(d *fake.Docker) dockpod.DockerInterface {
		d.Before = func(_ context.Context, op fake.Op, _ string) error {
			if op == fake.OpContainerLogs && refuse.Load() {
				return fake.Internal("the engine is restarting")
			}
			return nil
		}
		return d
	})
	refuse.Store(true)
	if err := w.rt.StartContainer(t.Context(), w.id); !errors.Is(err, dockpod.ErrLogFile) {
		t.Errorf("start: %v", err)
	}
	<-begun
	w.write(1, 3)
	if err := w.rt.StopContainer(t.Context(), w.id, time.Second); err != nil {
		t.Errorf("stop: %v", err)
	}
	if told := w.told(); len(told) > 0 {
		t.Errorf("told %v before the callback has ended", told)
	}
	refuse.Store(false)
	close(end)
	w.until(t, "two calls", func() bool { return len(w.told()) == 2 })
	if told := w.told(); !errors.Is(told[0], dockpod.ErrLogFile) || told[1] != nil {
		t.Errorf("told %v", told)
	}
	if failed[0] != nil || len(status.Problems) != 1 {
		t.Errorf("status: problems %v, %v", status.Problems, failed[0])
	}
	if failed[1] != nil {
		t.Errorf("reconcile: %v", failed[1])
	}
	w.reaches(t, 3) // the engine is there again, which is told before its lines come
	w.expect(t, 3)
}

// What the engine has dropped is lost, and nothing else.
func TestLogFileOfAnEngineThatDropsLines(t *testing.T) {
	w := newLogWorld(t, dockpod.LogFileOptions{}, nil)
	w.start(t)
	w.write(1, 10)
	w.reaches(t, 10)
	w.rt.Close()
	w.write(11, 20)
	docker := &brokenStreams{Docker: w.docker, make: func(call int, o container.LogsOptions, stream io.ReadCloser) io.ReadCloser {
		return dropped(stream, 15)
	}}
	rt := dockpod.New(docker, dockpod.WithOwner("test"), dockpod.WithLogFiles(dockpod.LogFileOptions{}))
	defer rt.Close()
	if _, err := rt.ReconcileLogLinks(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.docker.Exit(w.id, 0)
	if _, err := rt.ContainerStatus(t.Context(), w.id); err != nil {
		t.Fatal(err)
	}
	got, _, _ := readLogFiles(t, w.path())
	if diff := firstDiff(append(lineNumbers(1, 10), lineNumbers(16, 20)...), got); diff != "" {
		t.Errorf("log %s", diff)
	}
}

// dropped is a stream without its first n records.
func dropped(stream io.ReadCloser, n int) io.ReadCloser {
	for range n {
		var head [8]byte
		if _, err := io.ReadFull(stream, head[:]); err != nil {
			break
		}
		if _, err := io.CopyN(io.Discard, stream, int64(binary.BigEndian.Uint32(head[4:]))); err != nil {
			break
		}
	}
	return stream
}

// An engine that does not answer costs a start its deadline; Close ends what
// hangs.
func TestLogFileOfAHangingEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLogWorld(t, dockpod.LogFileOptions{}, nil, dockpod.WithRequestTimeout(100*time.Millisecond))
		w.docker.Before = fake.Block(fake.OpContainerLogs)
		err := w.rt.StartContainer(t.Context(), w.id)
		if !errors.Is(err, dockpod.ErrTimeout) {
			t.Errorf("error %v", err)
		}
		if err := w.rt.Close(); err != nil {
			t.Error(err)
		}
		if err := w.rt.Close(); err != nil {
			t.Error(err)
		}
		if err := w.rt.StartContainer(t.Context(), w.id); !errors.Is(err, dockpod.ErrLogFile) {
			t.Errorf("after Close: error %v", err)
		}
	})
}

// A status does not wait long for a stream that the engine forgets to end.
func TestLogFileOfAStreamThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLogWorld(t, dockpod.LogFileOptions{}, func(d *fake.Docker) dockpod.DockerInterface {
			return &brokenStreams{Docker: d, make: func(call int, o container.LogsOptions, stream io.ReadCloser) io.ReadCloser {
				if !o.Follow {
					return stream
				}
				return &stays{stream, make(chan struct{}), sync.Once{}}
			}}
		})
		w.start(t)
		w.write(1, 10)
		began := time.Now()
		w.finish(t)
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("the status took %v", took)
		}
		w.expect(t, 10)
	})
}

// stays is a stream that never ends by itself.
type stays struct {
	io.ReadCloser
	closed chan struct{}
	once   sync.Once
}

func (s *stays) Read(b []byte) (int, error) {
	n, err := s.ReadCloser.Read(b)
	if err == io.EOF {
		<-s.closed
	}
	return n, err
}

func (s *stays) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.ReadCloser.Close()
}

// A container that is started in place while the writer of its log is about to
// end is written on.
func TestLogFileOfAStartInPlace(t *testing.T) {
	var once sync.Once
	ending, end := make(chan struct{}), make(chan struct{})
	w := newLogWorld(t, dockpod.LogFileOptions{}, func(d *fake.Docker) dockpod.DockerInterface {
		return &brokenStreams{Docker: d, make: func(_ int, o container.LogsOptions, stream io.ReadCloser) io.ReadCloser {
			if o.Follow {
				return stream
			}
			return &beforeEOF{stream, func() { once.Do(func() { close(ending); <-end }) }}
		}}
	}, dockpod.WithRestart())
	w.start(t)
	w.write(1, 3)
	w.docker.Exit(w.id, 0)
	<-ending // it has all that there is
	w.start(t)
	w.write(4, 6)
	close(end)
	w.reaches(t, 6)
	if st := w.finish(t); len(st.Problems) > 0 {
		t.Errorf("problems %v", st.Problems)
	}
	w.expect(t, 6)
}

// beforeEOF is a stream that calls f before it ends.
type beforeEOF struct {
	io.ReadCloser
	f func()
}

func (s *beforeEOF) Read(b []byte) (int, error) {
	n, err := s.ReadCloser.Read(b)
	if err == io.EOF {
		s.f()
	}
	return n, err
}

// Who reads the file of a container that has ended gets all that it wrote, also
// if the last of it is still on its way there.
func TestLogFileIsReadWhole(t *testing.T) {
	for _, follow := range []bool{false, true} {
		t.Run(fmt.Sprintf("follow %v", follow), func(t *testing.T) {
			t.Parallel()
			var hold sync.RWMutex // of what the writer reads
			w := newLogWorld(t, dockpod.LogFileOptions{}, func(d *fake.Docker) dockpod.DockerInterface {
				return &brokenStreams{Docker: d, make: func(_ int, _ container.LogsOptions, stream io.ReadCloser) io.ReadCloser {
					return &slow{stream, &hold}
				}}
			})
			w.start(t)
			w.write(1, 3)
			w.reaches(t, 3)
			hold.Lock()
			w.write(4, 6)
			w.docker.Exit(w.id, 0)
			time.AfterFunc(500*time.Millisecond, hold.Unlock)
			got := readLog(t, w.rt, w.id, dockpod.LogOptions{Follow: follow, Source: dockpod.LogSourceFile})
			if diff := cmp.Diff(lineNumbers(1, 6), strings.Split(strings.TrimSpace(got), "\n")); diff != "" {
				t.Errorf("lines mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

// slow is a stream whose reads wait.
type slow struct {
	io.ReadCloser
	hold *sync.RWMutex
}

func (s *slow) Read(b []byte) (int, error) {
	n, err := s.ReadCloser.Read(b)
	s.hold.RLock()
	defer s.hold.RUnlock()
	return n, err
}

func TestReopenContainerLogFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLogWorld(t, dockpod.LogFileOptions{}, nil, dockpod.WithRequestTimeout(200*time.Millisecond))
		pathless := w.create(t, dockpod.ContainerConfig{Name: "pathless", Image: "app:1"})
		if err := w.rt.StartContainer(t.Context(), pathless); err != nil {
			t.Fatal(err)
		}
		reopen := func(what, id string, want error) {
			t.Helper()
			err := w.rt.ReopenContainerLog(t.Context(), id)
			var e *dockpod.Error
			if !errors.Is(err, want) || !errors.As(err, &e) || e.Op != "reopen container log" || e.Target != id {
				t.Errorf("%s: error %v, want %v", what, err, want)
			}
		}
		reopen("created", w.id, dockpod.ErrNotRunning)
		reopen("without a path", pathless, dockpod.ErrUnsupported)
		reopen("absent", strings.Repeat("0", 64), dockpod.ErrContainerNotFound)
		links := dockpod.New(w.docker, dockpod.WithOwner("test"))
		if err := links.ReopenContainerLog(t.Context(), w.id); !errors.Is(err, dockpod.ErrUnsupported) {
			t.Errorf("a Runtime with links: error %v", err)
		}
		if err := dockpod.New(w.docker, dockpod.WithLogFiles(dockpod.LogFileOptions{})).ReopenContainerLog(t.Context(), w.id); !errors.Is(err, dockpod.ErrNotManaged) {
			t.Errorf("another owner's: error %v", err)
		}

		w.start(t)
		w.write(1, 3)
		w.reaches(t, 3)
		if err := os.Rename(w.path(), w.path()+".20060102-150405"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(w.path(), 0o755); err != nil {
			t.Fatal(err)
		}
		reopen("what stands there is a directory", w.id, dockpod.ErrLogFile)
		w.write(4, 6)
		w.until(t, "lines in the old file", func() bool {
			text, _ := os.ReadFile(w.path() + ".20060102-150405")
			return bytes.Contains(text, []byte("line 6\n"))
		})
		if err := os.Remove(w.path()); err != nil {
			t.Fatal(err)
		}
		if err := w.rt.ReopenContainerLog(t.Context(), w.id); err != nil {
			t.Fatal(err)
		}
		w.write(7, 9)
		w.finish(t)
		w.expect(t, 9)
		w.docker.Before = fake.Block(fake.OpContainerInspect)
		reopen("an engine that hangs", w.id, dockpod.ErrTimeout)
	})
}

// A log that the engine does not give back has no new file either: the error
// stays, and nothing holds the old file.
func TestReopenContainerLogThatCannotBeRead(t *testing.T) {
	w := newLogWorld(t, dockpod.LogFileOptions{}, nil)
	id := w.create(t, dockpod.ContainerConfig{Name: "none", Image: "app:1", LogPath: "none/0.log", LogConfig: dockpod.LogConfig{Driver: "none"}})
	// The agent before has started it.
	if err := w.docker.ContainerStart(t.Context(), id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		err := w.rt.ReopenContainerLog(t.Context(), id)
		if !errors.Is(err, dockpod.ErrLogFile) || !errors.Is(err, dockpod.ErrLogsUnreadable) {
			t.Fatalf("error %v", err)
		}
	}
	if told := w.told(); slices.Contains(told, nil) {
		t.Errorf("told %v", told)
	}
	st, err := w.rt.ContainerStatus(t.Context(), id)
	if err != nil || len(st.Problems) != 1 {
		t.Errorf("problems %v, error %v", st.Problems, err)
	}
	if err := w.rt.RemoveContainer(t.Context(), id); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(w.dir, "none")); err != nil || len(left) > 0 {
		t.Errorf("%d files are left: %v", len(left), err)
	}
}

// While the engine is away a log can be reopened, which does not tell that it
// is written again.
func TestReopenContainerLogOfAnEngineThatIsAway(t *testing.T) {
	var away atomic.Bool
	w := newLogWorld(t, dockpod.LogFileOptions{}, func(d *fake.Docker) dockpod.DockerInterface {
		d.Before = func(_ context.Context, op fake.Op, _ string) error {
			if away.Load() && op == fake.OpContainerLogs {
				return fake.Internal("the engine is restarting")
			}
			return nil
		}
		return d
	})
	away.Store(true)
	if err := w.rt.StartContainer(t.Context(), w.id); !errors.Is(err, dockpod.ErrLogFile) {
		t.Fatalf("start: %v", err)
	}
	if err := os.Rename(w.path(), w.path()+".20060102-150405"); err != nil {
		t.Fatal(err)
	}
	if err := w.rt.ReopenContainerLog(t.Context(), w.id); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(w.path()); err != nil {
		t.Error(err)
	}
	if st, err := w.rt.ContainerStatus(t.Context(), w.id); err != nil || len(st.Problems) != 1 {
		t.Errorf("problems %v, error %v", st.Problems, err)
	}
	w.until(t, "errors", func() bool { return len(w.told()) > 0 })
	if told := w.told(); len(told) != 1 || told[0] == nil {
		t.Errorf("told %v", told)
	}
	away.Store(false)
	w.write(1, 3)
	w.reaches(t, 3)
	w.finish(t)
	w.expect(t, 3)
}

func TestLogFileOptions(t *testing.T) {
	for _, o := range []dockpod.LogFileOptions{{MaxSize: -1}, {MaxFiles: -1}, {MaxFiles: 1}} {
		rt := dockpod.New(&fake.Docker{}, dockpod.WithLogFiles(o))
		var field *dockpod.FieldError
		if _, err := rt.ListContainers(t.Context(), dockpod.Filter{}); !errors.As(err, &field) {
			t.Errorf("%+v: error %v", o, err)
		}
	}
}

// Many containers write at once, and are removed while they do.
func TestLogFilesTogether(t *testing.T) {
	w := newLogWorld(t, dockpod.LogFileOptions{MaxSize: 1 << 10, MaxFiles: 3}, nil)
	var wg sync.WaitGroup
	for i := range 20 {
		name := fmt.Sprintf("app-%d", i)
		id := w.create(t, dockpod.ContainerConfig{Name: name, Image: "app:1", LogPath: name + "/0.log"})
		wg.Go(func() {
			if err := w.rt.StartContainer(t.Context(), id); err != nil {
				t.Error(err)
			}
			for j := range 100 {
				w.docker.WriteLog(id, fake.Stream(1+j%2), strings.Repeat("x", j))
				if j == 50 && i%2 == 0 {
					if err := w.rt.ReopenContainerLog(t.Context(), id); err != nil {
						t.Error(err)
					}
				}
			}
			if i%3 == 0 {
				if err := w.rt.StopContainer(t.Context(), id, 0); err != nil {
					t.Error(err)
				}
			}
			if err := w.rt.RemoveContainer(t.Context(), id); err != nil {
				t.Error(err)
			}
			left, err := os.ReadDir(filepath.Join(w.dir, name))
			if err != nil || len(left) > 0 {
				t.Errorf("%s: %d files are left: %v", name, len(left), err)
			}
		})
	}
	wg.Wait()
}

// A line that is far longer than memory ought to be goes through in pieces.
func TestLogFileOfALongLine(t *testing.T) {
	w := newLogWorld(t, dockpod.LogFileOptions{}, nil)
	w.start(t)
	const n = 2<<20 + 5
	w.docker.WriteLog(w.id, fake.Stderr, strings.Repeat("x", n))
	w.finish(t)
	text, err := os.ReadFile(w.path())
	if err != nil {
		t.Fatal(err)
	}
	whole, pieces := 0, 0
	for raw := range bytes.Lines(text) {
		var l logline.Record
		if err := logline.ParseRecord(raw, &l); err != nil {
			t.Fatal(err)
		}
		whole += len(l.Text)
		if pieces++; l.Partial == (whole == n) {
			t.Errorf("piece %d: partial is %v", pieces, l.Partial)
		}
	}
	if whole != n || pieces != n/(16<<10)+1 {
		t.Errorf("%d bytes in %d pieces", whole, pieces)
	}
}
