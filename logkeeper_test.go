package dockpod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
)

// logEngine is an engine of one container with a terminal.
type logEngine struct {
	DockerInterface
	inspect func() (running bool, err error)
	logs    func(o container.LogsOptions) (io.ReadCloser, error)
}

func (*logEngine) ClientVersion() string { return "1.51" }

func (e *logEngine) ContainerInspect(_ context.Context, id string) (container.InspectResponse, error) {
	running, err := e.inspect()
	state := &container.State{Status: "exited"}
	if running {
		state = &container.State{Status: "running", Running: true, Pid: 1}
	}
	return container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{ID: id, State: state}}, err
}

func (e *logEngine) ContainerLogs(_ context.Context, _ string, o container.LogsOptions) (io.ReadCloser, error) {
	return e.logs(o)
}

// newTestKeeper returns a writer that does not run yet.
func newTestKeeper(t *testing.T, docker DockerInterface, o LogFileOptions) *logKeeper {
	t.Helper()
	r := New(docker, WithLogFiles(o))
	t.Cleanup(func() { r.Close() })
	return &logKeeper{
		r: r, id: strings.Repeat("1", 64), tty: true, begun: make(chan struct{}), done: make(chan struct{}),
		store: logStore{dir: t.TempDir(), rel: "0.log", isLink: func(string) bool { return false }},
	}
}

// A writer that has ended, for whatever reason, opens no file: nobody would
// close it.
func TestReopenAfterTheEnd(t *testing.T) {
	running := func() (bool, error) { return true, nil }
	for _, tt := range []struct {
		name    string
		inspect func() (bool, error)
		logs    error
		cancel  bool
		want    error
	}{
		{"ended", func() (bool, error) { return false, nil }, nil, false, ErrNotRunning},
		{"gone", func() (bool, error) { return false, errdefs.ErrNotFound }, nil, false, ErrNotRunning},
		{"unreadable", running, errdefs.ErrNotImplemented, false, ErrLogsUnreadable},
		{"stopped", running, nil, true, errLogKeeperEnded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var told []error
			w := newTestKeeper(t, &logEngine{
				inspect: tt.inspect,
				logs: func(container.LogsOptions) (io.ReadCloser, error) {
					return io.NopCloser(strings.NewReader("")), tt.logs
				},
			}, LogFileOptions{OnError: func(_ string, err error) { told = append(told, err) }})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.cancel {
				cancel()
			}
			w.run(ctx)
			was := w.problem()
			if err := w.reopen(); !errors.Is(err, tt.want) || errors.Is(err, ErrLogFile) != (tt.want != ErrNotRunning) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if w.store.file != nil {
				t.Error("the file is open")
			}
			if now := w.problem(); (now == nil) != (was == nil) {
				t.Errorf("the problem was %v, and is %v", was, now)
			}
			for _, err := range told {
				if err == nil {
					t.Error("told that it is written again")
				}
			}
		})
	}
}

// Lines that a reopening could not write are in the file once it can be
// written again, each once and in order, and none of what was written of them.
func TestReopenThatCannotWrite(t *testing.T) {
	t.Run("the stream is silent", func(t *testing.T) { testReopenThatCannotWrite(t, false) })
	t.Run("the stream goes on", func(t *testing.T) { testReopenThatCannotWrite(t, true) })
}

func testReopenThatCannotWrite(t *testing.T, goesOn bool) {
	var lines []string
	for i := range 30 {
		lines = append(lines, fmt.Sprintf("%s line %d\n", stampOf(logEpoch.Add(time.Duration(i)*time.Second)), i))
	}
	var (
		begun   = make(chan *io.PipeWriter, 1)
		streams int
		told    []error
	)
	w := newTestKeeper(t, &logEngine{
		inspect: func() (bool, error) { return true, nil },
		logs: func(o container.LogsOptions) (io.ReadCloser, error) {
			if !o.Follow {
				return io.NopCloser(strings.NewReader(strings.Join(lines[:20], ""))), nil
			}
			r, stream := io.Pipe()
			n := 10
			if streams++; streams > 1 {
				n = 20
			}
			go func() {
				_, _ = io.WriteString(stream, strings.Join(lines[:n], ""))
				begun <- stream
			}()
			return r, nil
		},
	}, LogFileOptions{OnError: func(_ string, err error) { told = append(told, err) }})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer close(w.done)
		w.run(ctx)
	}()
	has := func(n int) {
		t.Helper()
		want := strings.ReplaceAll(strings.Join(lines[:n], ""), " line", " stdout F line")
		var got []byte
		for range 5000 {
			if got, _ = os.ReadFile(w.store.path()); string(got) == want {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Fatalf("the file has\n%swant\n%s", got, want)
	}
	stream := <-begun
	has(10)

	// The lines up to the 20th were read, and only a part of them can be written.
	w.mu.Lock()
	if _, err := w.store.file.WriteString(strings.Replace(lines[10], " line", " stdout F line", 1)[:30]); err != nil {
		t.Error(err)
	}
	w.store.file.Close()
	w.store.file, _ = os.Open(w.store.path()) // cannot be written
	w.batch = append(w.batch, strings.ReplaceAll(strings.Join(lines[10:20], ""), " line", " stdout F line")...)
	if goesOn {
		w.cut = nil // it is slow to end
	}
	w.mu.Unlock()
	if err := w.reopen(); !errors.Is(err, ErrLogFile) {
		t.Errorf("error %v", err)
	}
	if goesOn {
		if err := w.reopen(); !errors.Is(err, ErrLogFile) {
			t.Errorf("the next error %v", err)
		}
		_, _ = io.WriteString(stream, strings.Join(lines[20:], ""))
	}
	var next *io.PipeWriter
	select {
	case next = <-begun:
	case <-time.After(5 * time.Second):
		t.Fatal("the writer does not begin again")
	}
	has(20)
	if err := w.reopen(); err != nil {
		t.Error(err)
	}
	_, _ = io.WriteString(next, strings.Join(lines[20:], ""))
	has(30)
	cancel()
	<-w.done
	if len(told) != 2 || told[0] == nil || told[1] != nil {
		t.Errorf("told %v", told)
	}
}
