package dockpod

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
)

// logEngine is an engine of one container with a terminal.
type logEngine struct {
	DockerInterface
	inspect func() (running bool, err error)
	logs    func(o container.LogsOptions) (io.ReadCloser, error)
}

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
