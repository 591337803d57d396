package dockpod

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod/internal/lean"
)

// What a list returns keeps nothing of the engine's answer, which may be
// megabytes.
func TestFromEntryCopies(t *testing.T) {
	rt := New(struct{ DockerInterface }{}, WithOwner("o"))
	for _, name := range []string{"/k8s_app_web_default_u-1_2", "/renamed"} {
		var answer []byte
		part := func(s string) string {
			answer = append(answer, s...)
			return unsafe.String(&answer[len(answer)-len(s)], len(s))
		}
		answer = make([]byte, 0, 64<<10) // never moves
		var labels []lean.Label
		for _, kv := range [][2]string{
			{LabelOwner, "o"}, {LabelType, TypeContainer}, {LabelSandboxID, "sandbox"}, {LabelImage, "app:1"},
			{LabelContainerName, "app"}, {LabelPodName, "web"}, {LabelPodNamespace, "default"}, {LabelPodUID, "u-1"},
			{labelAttempt, "2"}, {"mine", "x"}, {annotationPrefix + "note", "y"},
		} {
			labels = append(labels, lean.Label{Key: part(kv[0]), Value: part(kv[1])})
		}
		e := lean.Entry{Labels: labels, Summary: container.Summary{
			ID: part("id"), Names: []string{part(name)}, Image: part("app"), ImageID: part("sha256:1"),
			State: part("odd"), Status: part("Odd"),
		}}
		c, err := rt.fromEntry(&e, new(texts))
		if err != nil {
			t.Fatal(err)
		}
		if c.Name.Pod != "web" || c.Labels["mine"] != "x" || c.Annotations["note"] != "y" || c.SandboxID != "sandbox" || c.Image != "app:1" {
			t.Errorf("%s: %+v", name, c)
		}
		first := uintptr(unsafe.Pointer(unsafe.SliceData(answer)))
		eachString(reflect.ValueOf(c), func(s string) {
			if at := uintptr(unsafe.Pointer(unsafe.StringData(s))); first <= at && at < first+uintptr(cap(answer)) {
				t.Errorf("%s: %q is a part of the answer", name, s)
			}
		})
	}
}

func eachString(v reflect.Value, f func(string)) {
	switch v.Kind() {
	case reflect.String:
		f(v.String())
	case reflect.Struct:
		for i := range v.NumField() {
			eachString(v.Field(i), f)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			eachString(it.Key(), f)
			eachString(it.Value(), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachString(v.Index(i), f)
		}
	}
}

// An engine that is stopping a container, and says no more, has not stopped it.
func TestStopIsNotOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := New(stoppingEngine{}, WithRequestTimeout(time.Second))
		if err := rt.StopContainer(t.Context(), workloadID, 0); !errors.Is(err, ErrTimeout) {
			t.Errorf("error is %v; want %v", err, ErrTimeout)
		}
	})
}

// stoppingEngine is Podman that waits for a process which does not end.
type stoppingEngine struct{ DockerInterface }

func (stoppingEngine) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	info, err := (&execEngine{}).ContainerInspect(ctx, id)
	info.State = &container.State{Status: "stopping"}
	return info, err
}

func (stoppingEngine) ContainerStop(ctx context.Context, _ string, _ container.StopOptions) error {
	<-ctx.Done()
	return ctx.Err()
}

func (stoppingEngine) ClientVersion() string { return "1.41" }

// Podman fails to kill a container that ends at that moment. It is removed by
// the next request.
func TestRemoveWhatEnds(t *testing.T) {
	const text = "cannot remove container " + workloadID + " as it could not be stopped: sending SIGKILL to container " + workloadID + ": container state improper: stopped"
	for _, tt := range []struct {
		name  string
		fails int
		asked int
		want  error
	}{
		{"at that moment", 2, 3, nil},
		{"for ever", 1000, busyTries + 1, ErrNotRunning},
	} {
		asked := 0
		r := New(&coreStub{containerRemove: func(_ string, o container.RemoveOptions) error {
			if asked++; asked <= tt.fails {
				return engineError(errdefs.ErrInternal, text)
			}
			return nil
		}})
		if err := r.remove(t.Context(), workloadID, true); !errors.Is(err, tt.want) || asked != tt.asked {
			t.Errorf("%s: got %v after %d requests; want %v after %d", tt.name, err, asked, tt.want, tt.asked)
		}
	}
}
