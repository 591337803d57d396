package dockpod

import (
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"
)

// What of a sandbox's state cannot be read is said, and zero.
func TestSandboxStatusOf(t *testing.T) {
	type times struct{ Created, Started, Finished time.Time }
	for _, tt := range []struct {
		name     string
		change   func(*container.InspectResponse)
		want     times
		problems []string
	}{
		{"running", func(i *container.InspectResponse) { i.State.Status = "running" }, times{createdAt, startedAt, time.Time{}}, nil},
		{"exited", func(*container.InspectResponse) {}, times{createdAt, startedAt, finishedAt}, nil},
		{"times that cannot be read", func(i *container.InspectResponse) {
			i.Created, i.State.FinishedAt = "yesterday", "tomorrow"
		}, times{Started: startedAt}, []string{`Created: unreadable time "yesterday"`, `State.FinishedAt: unreadable time "tomorrow"`}},
		{"no State", func(i *container.InspectResponse) { i.State = nil }, times{Created: createdAt}, []string{"State: missing"}},
		{"no HostConfig", func(i *container.InspectResponse) { i.HostConfig = nil }, times{createdAt, startedAt, finishedAt}, []string{"HostConfig: missing"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			info := inspected(func(i *container.InspectResponse) {
				i.Name = "/k8s_POD_pod_ns_uid_0"
				i.State = &container.State{Status: "exited", StartedAt: startedText, FinishedAt: finishedText}
				tt.change(i)
			})
			st, err := New(&coreStub{}).sandboxStatusOf(info)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, times{st.CreatedAt, st.StartedAt, st.FinishedAt}); diff != "" {
				t.Errorf("times mismatch (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.problems, st.Problems); diff != "" {
				t.Errorf("problems mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

// A port is told from one whose digits begin with its own.
func TestPortInText(t *testing.T) {
	ports := []PortMapping{{ContainerPort: 1}, {ContainerPort: 2, HostPort: 80}, {ContainerPort: 3, HostPort: 8080}}
	for text, want := range map[string]int32{
		"listen tcp4 0.0.0.0:8080: bind: address already in use": 8080,
		"listen tcp4 0.0.0.0:80: bind: address already in use":   80,
		"Bind for 0.0.0.0:8080 failed":                           8080,
		"ends in :80":                                            80,
		"names no port":                                          80, // the first that is published
	} {
		if got := portInText(ports, text).HostPort; got != want {
			t.Errorf("%q: port %d, want %d", text, got, want)
		}
	}
}
