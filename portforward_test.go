package dockpod

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
)

// forgetful is an engine that tells a sandbox's state once.
type forgetful struct {
	DockerInterface
	asked bool
}

func (e *forgetful) ContainerInspect(context.Context, string) (container.InspectResponse, error) {
	info := container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{ID: workloadID, Name: "/k8s_POD_pod_ns_uid_0"},
		Config:            &container.Config{Labels: map[string]string{LabelType: TypeSandbox}},
	}
	if !e.asked {
		info.State = &container.State{Status: "running", Running: true, Pid: os.Getpid()}
	}
	e.asked = true
	return info, nil
}

// A sandbox without a state does not run.
func TestDialPodOfAnEngineThatForgets(t *testing.T) {
	if _, err := New(&forgetful{}).DialPod(t.Context(), workloadID, 80); !errors.Is(err, ErrNotRunning) && !errors.Is(err, ErrUnsupported) {
		t.Errorf("error %v", err)
	}
}

// deadStream is a caller's stream that fails, or was closed, and takes what is
// written to it.
type deadStream struct{ err error }

func (s deadStream) Read([]byte) (int, error)    { return 0, s.err }
func (s deadStream) Write(p []byte) (int, error) { return len(p), nil }
func (s deadStream) Close() error                { return nil }

// halfStream can be closed in one direction.
type halfStream struct{ deadStream }

func (s halfStream) CloseWrite() error { return nil }

// A pod that says nothing does not keep a forwarding whose caller is gone.
func TestForwardOfAStreamThatFails(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	errGone := errors.New("gone")
	for _, tt := range []struct {
		name   string
		stream io.ReadWriteCloser
		want   error
	}{
		{"it fails", deadStream{errGone}, errGone},
		{"it fails, and has two directions", halfStream{deadStream{errGone}}, errGone},
		{"it is closed", deadStream{io.ErrClosedPipe}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			pod, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer pod.Close()
			done := make(chan error, 1)
			go func() { done <- forward(t.Context(), conn, tt.stream, sync.OnceValue(tt.stream.Close)) }()
			select {
			case err := <-done:
				if !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
			case <-time.After(10 * time.Second):
				t.Error("it goes on")
			}
		})
	}
}
