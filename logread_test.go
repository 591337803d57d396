package dockpod_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
)

// aLog is a running container on a fake engine that has log files, unless they
// are hidden.
func aLog(t *testing.T, docker dockpod.DockerInterface, engine *fake.Docker, c dockpod.ContainerConfig) (*dockpod.Runtime, string) {
	t.Helper()
	t.Cleanup(func() { engine.Close() })
	engine.AddImage("app:1")
	rt := dockpod.New(docker)
	c.Name, c.Image = "app", "app:1"
	s := web
	s.LogDirectory = t.TempDir()
	id, err := rt.CreateContainer(t.Context(), "", c, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return rt, id
}

func readLog(t *testing.T, rt *dockpod.Runtime, id string, o dockpod.LogOptions) string {
	t.Helper()
	var both bytes.Buffer
	o.Stdout, o.Stderr = &both, &both
	if err := rt.ContainerLogs(t.Context(), id, o); err != nil {
		t.Fatal(err)
	}
	return both.String()
}

func ExampleRuntime_LogLines() {
	ctx := context.Background()
	docker := new(fake.Docker)
	defer docker.Close()
	docker.AddImage("app:1")
	rt := dockpod.New(docker)
	id, _ := rt.CreateContainer(ctx, "", dockpod.ContainerConfig{Name: "app", Image: "app:1"}, dockpod.SandboxConfig{Name: "web", Namespace: "ns", UID: "1"})
	_ = rt.StartContainer(ctx, id)
	docker.WriteLog(id, fake.Stdout, "listening")
	docker.WriteLog(id, fake.Stderr, "no configuration, taking defaults")

	for line, err := range rt.LogLines(ctx, id, dockpod.LogOptions{Tail: 10}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(line.Stream, line.Text)
	}
	// Output:
	// stdout listening
	// stderr no configuration, taking defaults
}

// lossy is Docker 20.10: a followed stream may end before the last record.
type lossy struct{ *fake.Docker }

func (e lossy) ContainerLogs(ctx context.Context, id string, o container.LogsOptions) (io.ReadCloser, error) {
	rc, err := e.Docker.ContainerLogs(ctx, id, o)
	if err != nil || !o.Follow {
		return rc, err
	}
	defer rc.Close()
	all, err := io.ReadAll(rc)
	if err != nil {
		return nil, err
	}
	last := 0
	for i := 0; i < len(all); i += 8 + int(binary.BigEndian.Uint32(all[i+4:])) {
		last = i
	}
	return io.NopCloser(bytes.NewReader(all[:last])), nil
}

func TestFollowLosesNoLastLine(t *testing.T) {
	engine := new(fake.Docker)
	rt, id := aLog(t, lossy{engine}, engine, dockpod.ContainerConfig{})
	engine.WriteLog(id, fake.Stdout, "one")
	engine.WriteLog(id, fake.Stderr, "two")
	engine.WriteLog(id, fake.Stdout, "three")
	engine.Exit(id, 0)
	for tail, want := range map[int]string{0: "one\ntwo\nthree\n", 1: "three\n", dockpod.TailNone: ""} {
		if got := readLog(t, rt, id, dockpod.LogOptions{Follow: true, Tail: tail}); got != want {
			t.Errorf("tail %d: %q", tail, got)
		}
	}
}

// ending is an engine that ends a followed stream where it has no more to give.
type ending struct{ *fake.Docker }

func (e ending) ContainerLogs(ctx context.Context, id string, o container.LogsOptions) (io.ReadCloser, error) {
	o.Follow = false
	return e.Docker.ContainerLogs(ctx, id, o)
}

// That the engine's stream ends is not the container's end.
func TestFollowGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := new(fake.Docker)
		rt, id := aLog(t, ending{engine}, engine, dockpod.ContainerConfig{})
		engine.WriteLog(id, fake.Stdout, "0")
		var got bytes.Buffer
		done := make(chan error)
		go func() {
			done <- rt.ContainerLogs(t.Context(), id, dockpod.LogOptions{Stdout: &got, Follow: true, Tail: 1})
		}()
		for i := 1; i < 4; i++ {
			time.Sleep(time.Minute)
			engine.WriteLog(id, fake.Stdout, fmt.Sprint(i))
		}
		time.Sleep(time.Minute)
		engine.Exit(id, 0)
		if err := <-done; err != nil || got.String() != "0\n1\n2\n3\n" {
			t.Errorf("followed %q, %v", got.String(), err)
		}
	})
}

// coarse is Podman: times are whole seconds, in lists and in bounds.
type coarse struct{ *fake.Docker }

func (e coarse) ContainerLogs(ctx context.Context, id string, o container.LogsOptions) (io.ReadCloser, error) {
	if at, err := time.Parse(time.RFC3339Nano, o.Since); err == nil {
		o.Since = at.Truncate(time.Second).Format(time.RFC3339Nano)
	}
	rc, err := e.Docker.ContainerLogs(ctx, id, o)
	if err != nil {
		return rc, err
	}
	r, w := io.Pipe()
	go func() {
		defer rc.Close()
		for head := make([]byte, 8); ; {
			if _, err := io.ReadFull(rc, head); err != nil {
				w.CloseWithError(err)
				return
			}
			text := make([]byte, binary.BigEndian.Uint32(head[4:]))
			if _, err := io.ReadFull(rc, text); err != nil {
				w.CloseWithError(err)
				return
			}
			if o.Timestamps { // 2006-01-02T15:04:05.000000000Z
				text = append(append(append([]byte{}, text[:19]...), "+00:00"...), text[30:]...)
			}
			binary.BigEndian.PutUint32(head[4:], uint32(len(text)))
			if _, err := w.Write(append(append([]byte{}, head...), text...)); err != nil {
				return
			}
		}
	}()
	return struct {
		io.Reader
		io.Closer
	}{r, closers{r, rc}}, nil
}

type closers []io.Closer

func (c closers) Close() error {
	for _, c := range c {
		c.Close()
	}
	return nil
}

func TestFollowWithCoarseTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := new(fake.Docker)
		rt, id := aLog(t, coarse{engine}, engine, dockpod.ContainerConfig{})
		write := func(from, to int) {
			for i := from; i < to; i++ {
				time.Sleep(10 * time.Millisecond)
				engine.WriteLog(id, fake.Stream(1+i%2), fmt.Sprint(i))
			}
		}
		write(0, 330)
		var got bytes.Buffer
		done := make(chan error)
		go func() {
			done <- rt.ContainerLogs(t.Context(), id, dockpod.LogOptions{Stdout: &got, Stderr: &got, Tail: 20, Follow: true})
		}()
		write(330, 500)
		engine.Exit(id, 0)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		lines := strings.Fields(got.String())
		var first int
		fmt.Sscan(lines[0], &first)
		for i, line := range lines {
			if line != fmt.Sprint(first+i) {
				t.Fatalf("%s stands in the place of %d", line, first+i)
			}
		}
		if first < 310 || first > 330 || first+len(lines) != 500 {
			t.Errorf("lines from %d on, %d", first, len(lines))
		}
		if got := readLog(t, rt, id, dockpod.LogOptions{Tail: 1, Timestamps: true}); !strings.HasPrefix(got, "2000-01-01T00:00:04.000000000Z ") && !strings.HasPrefix(got, "2000-01-01T00:00:05.000000000Z ") {
			t.Errorf("line %q", got)
		}
	})
}

// badLogs answers with a stream of its own.
type badLogs struct {
	*fake.Docker
	stream io.Reader
}

func (e badLogs) ContainerLogs(context.Context, string, container.LogsOptions) (io.ReadCloser, error) {
	return io.NopCloser(e.stream), nil
}

func TestLogStreamErrors(t *testing.T) {
	const head = "\x01\x00\x00\x00\x00\x00\x00\x22"
	const line = "2026-01-02T03:04:05.000000006Z one\n"
	for _, tt := range []struct {
		name, stream string
		want         error
		text         string
	}{
		{"cut in a frame", head + line[:33], dockpod.ErrBadAnswer, ""},
		{"cut in a header", "\x01\x00", dockpod.ErrBadAnswer, ""},
		{"the engine's error", "\x03\x00\x00\x00\x00\x00\x00\x09disk gone", nil, "disk gone"},
		{"another stream", "\x09\x00\x00\x00\x00\x00\x00\x01x", dockpod.ErrBadAnswer, "stream 9 is unknown"},
	} {
		engine := new(fake.Docker)
		rt, id := aLog(t, badLogs{engine, strings.NewReader(tt.stream)}, engine, dockpod.ContainerConfig{})
		err := rt.ContainerLogs(t.Context(), id, dockpod.LogOptions{Stdout: io.Discard})
		var e *dockpod.Error
		if !errors.As(err, &e) || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	// A frame without a time is not refused.
	engine := new(fake.Docker)
	rt, id := aLog(t, badLogs{engine, strings.NewReader("\x01\x00\x00\x00\x00\x00\x00\x02x\n")}, engine, dockpod.ContainerConfig{})
	if got := readLog(t, rt, id, dockpod.LogOptions{}); got != "x\n" {
		t.Errorf("%q", got)
	}
}

// A file that cannot be read is no obstacle, unless it was demanded.
func TestLogSources(t *testing.T) {
	engine := &fake.Docker{Root: t.TempDir()}
	rt, id := aLog(t, engine, engine, dockpod.ContainerConfig{LogPath: "0.log"})
	engine.WriteLog(id, fake.Stdout, "one")
	st, err := rt.ContainerStatus(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	// What the file says shows which one is read.
	text := `{"log":"from the file\n","stream":"stdout","time":"2026-01-02T03:04:05.000000006Z"}` + "\n"
	if err := os.WriteFile(st.EngineLogPath, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for source, want := range map[dockpod.LogSource]string{dockpod.LogSourceAuto: "from the file\n", dockpod.LogSourceFile: "from the file\n", dockpod.LogSourceAPI: "one\n"} {
		if got := readLog(t, rt, id, dockpod.LogOptions{Source: source}); got != want {
			t.Errorf("source %q: %q", source, got)
		}
	}

	// The link leads nowhere now.
	if err := os.Remove(st.EngineLogPath); err != nil {
		t.Fatal(err)
	}
	if got := readLog(t, rt, id, dockpod.LogOptions{}); got != "one\n" {
		t.Errorf("without a file: %q", got)
	}
	err = rt.ContainerLogs(t.Context(), id, dockpod.LogOptions{Stdout: io.Discard, Source: dockpod.LogSourceFile})
	if !errors.Is(err, dockpod.ErrLogsUnreadable) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a file that was demanded: %v", err)
	}

	// A file in CRI's format in the place of the link.
	if err := os.Remove(st.LogPath); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(st.LogPath, []byte("2026-01-02T03:04:05.000000006Z stdout F in place\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := readLog(t, rt, id, dockpod.LogOptions{}); got != "in place\n" {
		t.Errorf("with a file in the link's place: %q", got)
	}
}

// restless is an engine that is restarted: its waits end with an error, and
// for a while it answers nothing.
type restless struct {
	*fake.Docker
	down atomic.Bool
	mu   sync.Mutex
	cut  chan struct{}
}

// restart cuts what waits, and leaves the engine down.
func (e *restless) restart() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down.Store(true)
	close(e.cut)
	e.cut = make(chan struct{})
}

var errRestarted = errors.New("connection reset")

func (e *restless) ContainerWait(ctx context.Context, id string, c container.WaitCondition) (<-chan container.WaitResponse, <-chan error) {
	failed := make(chan error, 1)
	if e.down.Load() {
		failed <- errRestarted
		return nil, failed
	}
	e.mu.Lock()
	cut := e.cut
	e.mu.Unlock()
	done, inner := e.Docker.ContainerWait(ctx, id, c)
	go func() {
		select {
		case <-cut:
			failed <- errRestarted
		case err := <-inner:
			failed <- err
		case <-ctx.Done():
			failed <- ctx.Err()
		}
	}()
	return done, failed
}

func (e *restless) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	if e.down.Load() {
		return container.InspectResponse{}, errRestarted
	}
	return e.Docker.ContainerInspect(ctx, id)
}

// A file is followed on while the engine is restarted, until the container
// ends; not for ever if the engine does not come back.
func TestFollowWhileEngineRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &restless{Docker: &fake.Docker{Root: t.TempDir()}, cut: make(chan struct{})}
		rt, id := aLog(t, engine, engine.Docker, dockpod.ContainerConfig{})
		var got bytes.Buffer
		var mu sync.Mutex
		done := make(chan error)
		follow := func() {
			done <- rt.ContainerLogs(t.Context(), id, dockpod.LogOptions{Stdout: lockedWriter{&mu, &got}, Follow: true})
		}
		go follow()
		time.Sleep(time.Second)
		engine.restart()
		engine.WriteLog(id, fake.Stdout, "while it is down")
		time.Sleep(10 * time.Second)
		mu.Lock()
		if got.String() != "while it is down\n" {
			t.Errorf("%q", got.String())
		}
		mu.Unlock()
		engine.down.Store(false)
		time.Sleep(10 * time.Second)
		engine.WriteLog(id, fake.Stdout, "again")
		engine.Exit(id, 0)
		if err := <-done; err != nil || got.String() != "while it is down\nagain\n" {
			t.Errorf("%q, %v", got.String(), err)
		}

		rt = dockpod.New(engine, dockpod.WithRestart())
		if err := rt.StartContainer(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		go follow()
		time.Sleep(time.Second)
		engine.restart()
		begun := time.Now()
		if err := <-done; !errors.Is(err, errRestarted) {
			t.Errorf("the engine does not come back: %v", err)
		}
		if took := time.Since(begun); took < 30*time.Second || took > 2*time.Minute {
			t.Errorf("it took %v", took)
		}
		engine.down.Store(false)
		engine.Exit(id, 0)
	})
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// A container that is removed while it is followed ends the following well.
func TestFollowRemoved(t *testing.T) {
	for _, root := range []string{"", t.TempDir()} {
		synctest.Test(t, func(t *testing.T) {
			engine := &fake.Docker{Root: root}
			rt, id := aLog(t, engine, engine, dockpod.ContainerConfig{})
			engine.WriteLog(id, fake.Stdout, "one")
			var got bytes.Buffer
			done := make(chan error)
			go func() { done <- rt.ContainerLogs(t.Context(), id, dockpod.LogOptions{Stdout: &got, Follow: true}) }()
			time.Sleep(time.Second)
			engine.WriteLog(id, fake.Stdout, "two")
			if err := rt.RemoveContainer(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil || got.String() != "one\ntwo\n" {
				t.Errorf("root %q: %q, %v", root, got.String(), err)
			}
		})
	}
}

func TestLogLinesPieces(t *testing.T) {
	engine := &fake.Docker{Root: t.TempDir()}
	rt, id := aLog(t, engine, engine, dockpod.ContainerConfig{})
	engine.WriteLog(id, fake.Stdout, strings.Repeat("x", 1<<20+100))
	engine.WriteLog(id, fake.Stderr, "end")
	var sizes []string
	for line, err := range rt.LogLines(t.Context(), id, dockpod.LogOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, fmt.Sprintf("%s %d %t", line.Stream, len(line.Text), line.Partial))
	}
	if diff := cmp.Diff([]string{"stdout 1048576 true", "stdout 100 false", "stderr 3 false"}, sizes); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	var got []string
	for line, err := range rt.LogLines(t.Context(), id, dockpod.LogOptions{Stderr: io.Discard, LimitBytes: 4}) {
		got = append(got, fmt.Sprint(line.Text, err))
	}
	if diff := cmp.Diff([]string{"end<nil>"}, got); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
	for line, err := range rt.LogLines(t.Context(), id, dockpod.LogOptions{Tail: -3}) {
		var field *dockpod.FieldError
		if !errors.As(err, &field) || line != (dockpod.LogLine{}) {
			t.Errorf("%+v, %v", line, err)
		}
	}
}

// As many lines and bytes as a number can say are all of them.
func TestLogLimitsWithoutEnd(t *testing.T) {
	engine := &fake.Docker{Root: t.TempDir()}
	rt, id := aLog(t, engine, engine, dockpod.ContainerConfig{})
	engine.WriteLog(id, fake.Stdout, "one")
	engine.WriteLog(id, fake.Stdout, "two")
	engine.Exit(id, 0)
	for _, source := range []dockpod.LogSource{dockpod.LogSourceFile, dockpod.LogSourceAPI} {
		for _, follow := range []bool{false, true} {
			var got bytes.Buffer
			opts := dockpod.LogOptions{Stdout: &got, Tail: math.MaxInt, LimitBytes: math.MaxInt64, Follow: follow, Source: source}
			if err := rt.ContainerLogs(t.Context(), id, opts); err != nil || got.String() != "one\ntwo\n" {
				t.Errorf("source %q, follow %t: %q, %v", source, follow, got.String(), err)
			}
			lines := 0
			for _, err := range rt.LogLines(t.Context(), id, opts) {
				if err != nil {
					t.Error(err)
				}
				lines++
			}
			if lines != 2 {
				t.Errorf("source %q, follow %t: %d lines", source, follow, lines)
			}
		}
	}
	for _, root := range []string{"", t.TempDir()} { // without a file, by the API
		engine := &fake.Docker{Root: root}
		rt, id := aLog(t, engine, engine, dockpod.ContainerConfig{})
		engine.WriteLog(id, fake.Stdout, "one")
		if got, err := rt.LogTail(t.Context(), id, math.MaxInt, math.MaxInt); err != nil || got != "one\n" {
			t.Errorf("tail: %q, %v", got, err)
		}
	}
}

func TestLogTailKeepsCharacters(t *testing.T) {
	engine := new(fake.Docker)
	rt, id := aLog(t, engine, engine, dockpod.ContainerConfig{})
	engine.WriteLog(id, fake.Stderr, "aé😀b")
	for n, want := range map[int]string{0: "aé😀b\n", 9: "aé😀b\n", 8: "é😀b\n", 7: "😀b\n", 6: "😀b\n", 5: "b\n", 3: "b\n", 2: "b\n", 1: "\n"} {
		if got, err := rt.LogTail(t.Context(), id, 0, n); err != nil || got != want {
			t.Errorf("%d bytes: %q, %v; want %q", n, got, err, want)
		}
	}
	if _, err := rt.LogTail(t.Context(), id, -1, 0); err == nil {
		t.Error("-1 lines are no error")
	}
}

const jsonLog = `{"log":"one \u003c1\u003e\n","stream":"stdout","time":"2026-01-02T03:04:05.06Z"}
{"log":"tw","stream":"stderr","time":"2026-01-02T03:04:05.07Z"}
{"log":"o\n","stream":"stderr","time":"2026-01-02T03:04:05.07Z"}
`

const criLog = `2026-01-02T03:04:05.06Z stdout F one <1>
2026-01-02T03:04:05.07Z stderr P tw
2026-01-02T03:04:05.07Z stderr F o
`

func TestReadLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, text := range []string{jsonLog, criLog} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errout bytes.Buffer
		if err := dockpod.ReadLogFile(t.Context(), path, dockpod.LogOptions{Stdout: &out, Stderr: &errout, Timestamps: true}); err != nil {
			t.Fatal(err)
		}
		if out.String() != "2026-01-02T03:04:05.060000000Z one <1>\n" || errout.String() != "2026-01-02T03:04:05.070000000Z two\n" {
			t.Errorf("%q and %q", out.String(), errout.String())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := dockpod.ReadLogFile(ctx, path, dockpod.LogOptions{Stdout: writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil }), Follow: true})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("following ended with %v", err)
	}
	var e *dockpod.Error
	if err := dockpod.ReadLogFile(t.Context(), path+".none", dockpod.LogOptions{Stdout: io.Discard}); !errors.As(err, &e) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := dockpod.ReadLogFile(t.Context(), path, dockpod.LogOptions{}); err == nil {
		t.Error("no writer is no error")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestConvertLog(t *testing.T) {
	long := strings.Repeat("y", 3<<20)
	for _, tt := range []struct {
		name, from, want string
		to               dockpod.LogFormat
	}{
		{"JSON to CRI", jsonLog, criLog, dockpod.LogFormatCRI},
		{"CRI to JSON", criLog, jsonLog, dockpod.LogFormatJSON},
		{"JSON to JSON", jsonLog, jsonLog, dockpod.LogFormatJSON},
		{"both to CRI, and junk", jsonLog + "junk\n\n" + criLog, criLog + criLog, dockpod.LogFormatCRI},
		{"an end without a newline", strings.TrimSuffix(jsonLog, "\n"), criLog, dockpod.LogFormatCRI},
		{"NULs", strings.Repeat("\x00", 3<<20) + jsonLog, criLog, dockpod.LogFormatCRI},
		{"a long line", "2026-01-02T03:04:05.06Z stdout F " + long + "\n" + criLog, "", dockpod.LogFormatJSON},
		{"nothing", "", "", dockpod.LogFormatCRI},
		{"newlines in a text", `{"log":"a\nb\n\n","stream":"stderr","time":"2026-01-02T03:04:05Z"}` + "\n" + `{"log":"c\nd","stream":"stdout","time":"2026-01-02T03:04:06Z"}`,
			"2026-01-02T03:04:05Z stderr F a\n2026-01-02T03:04:05Z stderr F b\n2026-01-02T03:04:05Z stderr F \n" +
				"2026-01-02T03:04:06Z stdout F c\n2026-01-02T03:04:06Z stdout P d\n", dockpod.LogFormatCRI},
	} {
		var got bytes.Buffer
		if err := dockpod.ConvertLog(&got, strings.NewReader(tt.from), tt.to); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if tt.want != "" || tt.from == "" {
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
			continue
		}
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := dockpod.ReadLogFile(t.Context(), path, dockpod.LogOptions{Stdout: &out}); err != nil || out.String() != long+"\none <1>\n" {
			t.Errorf("%s: %d bytes, %v", tt.name, out.Len(), err)
		}
	}
	errFull := errors.New("full")
	full := writerFunc(func([]byte) (int, error) { return 0, errFull })
	if err := dockpod.ConvertLog(full, strings.NewReader(jsonLog), dockpod.LogFormatCRI); !errors.Is(err, errFull) {
		t.Errorf("a full disk: %v", err)
	}
	if err := dockpod.ConvertLog(io.Discard, strings.NewReader(jsonLog), "xml"); err == nil {
		t.Error("a format xml is no error")
	}
	if err := dockpod.ConvertLog(io.Discard, strings.NewReader(`{"log":"`+long), dockpod.LogFormatCRI); err == nil {
		t.Error("a line of 3 MiB in JSON is no error")
	}
}
