package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dockpod/dockpod"
)

var conflictCases = []testCase{
	// A name that is held.

	{"sixteen creators of one container make one", func(t *testing.T, w *world) {
		ids := make([]string, 16)
		must(t, errors.Join(together(len(ids), func(i int) (err error) {
			ids[i], err = w.rt.CreateContainer(t.Context(), "", w.container("app"), w.pod("alone"))
			return err
		})...))
		slices.Sort(ids)
		equal(t, "IDs", w.ids(t, dockpod.Filter{}), slices.Compact(ids))
	}},
	{"sixteen creators of different containers do not meet", func(t *testing.T, w *world) {
		must(t, errors.Join(together(16, func(i int) error {
			c := w.container("app")
			c.Attempt = uint32(i)
			_, err := w.rt.CreateContainer(t.Context(), "", c, w.pod("alone"))
			return err
		})...))
		equal(t, "containers", 16, len(w.list(t, dockpod.Filter{})))
	}},
	{"a create that is repeated returns what the first one made", func(t *testing.T, w *world) {
		id := w.made(t, w.container("app"))
		equal(t, "ID", id, w.made(t, w.container("app")))
	}},
	{"a holder that never started and differs is replaced", func(t *testing.T, w *world) {
		first := w.made(t, w.container("app", "exit", "1"))
		second := w.made(t, w.container("app", "exit", "2"))
		if first == second {
			t.Error("a container of other arguments was returned")
		}
		equal(t, "list", []string{second}, w.ids(t, dockpod.Filter{}))
	}},
	{"a holder that has exited is replaced", func(t *testing.T, w *world) {
		c := w.container("app", "exit", "3")
		first := w.started(t, c)
		w.finished(t, first)
		second := w.made(t, c)
		equal(t, "list", []string{second}, w.ids(t, dockpod.Filter{}))
		equal(t, "state", dockpod.StateCreated, w.status(t, second).State)
	}},
	{"a holder that failed to start is replaced", func(t *testing.T, w *world) {
		w.needs(t, "failed starts")
		c := w.container("app")
		c.Command = []string{"/missing"}
		first := w.made(t, c)
		fails(t, w.rt.StartContainer(t.Context(), first), dockpod.ErrCannotRun)
		second := w.made(t, c)
		equal(t, "list", []string{second}, w.ids(t, dockpod.Filter{}))
	}},
	{"a holder that runs is left alone and named", func(t *testing.T, w *world) {
		c := w.container("app", "sleep")
		id := w.started(t, c)
		err := w.unmade(t, c)
		fails(t, err, dockpod.ErrNameConflict)
		equal(t, "holder", id, refused[*dockpod.NameConflictError](t, err).HolderID)
		if !errdefs.IsConflict(err) {
			t.Errorf("the class of %v is not Conflict", err)
		}
		equal(t, "state", dockpod.StateRunning, w.status(t, id).State)
	}},
	{"a holder that is paused is left alone", func(t *testing.T, w *world) {
		c := w.container("app", "sleep")
		id := w.started(t, c)
		w.pause(t, id)
		equal(t, "holder", id, refused[*dockpod.NameConflictError](t, w.unmade(t, c)).HolderID)
		equal(t, "state of the engine", "paused", w.status(t, id).EngineState)
	}},
	{"a holder that is being removed gives way", func(t *testing.T, w *world) {
		c := w.container("app", "sleep")
		first := w.started(t, c)
		must(t, w.rt.StopContainer(t.Context(), first, 0))
		var second string
		must(t, errors.Join(together(2, func(i int) (err error) {
			if i == 0 {
				return w.rt.RemoveContainer(t.Context(), first)
			}
			second, err = w.rt.CreateContainer(t.Context(), "", c, w.pod("alone"))
			return err
		})...))
		equal(t, "list", []string{second}, w.ids(t, dockpod.Filter{}))
	}},
	{"a foreign holder is left alone and named", func(t *testing.T, w *world) {
		id := w.foreign(t, w.owner+"_app_alone_test_alone-uid_0", map[string]string{"foreign": "yes"})
		equal(t, "holder", id, refused[*dockpod.NameConflictError](t, w.unmade(t, w.container("app"))).HolderID)
		w.raw(t, id) // still there
	}},
	{"a holder with the labels of another owner is left alone", func(t *testing.T, w *world) {
		labels := map[string]string{dockpod.LabelOwner: "another", dockpod.LabelOwnedType: dockpod.TypeContainer}
		id := w.foreign(t, w.owner+"_app_alone_test_alone-uid_0", labels)
		equal(t, "holder", id, refused[*dockpod.NameConflictError](t, w.unmade(t, w.container("app"))).HolderID)
		w.raw(t, id)
	}},
	{"a name held by a container that cannot be found gets a suffix", func(t *testing.T, w *world) {
		plain := w.owner + "_app_alone_test_alone-uid_0"
		rt := w.through(func(name string, create createFunc) (container.CreateResponse, error) {
			if name == plain {
				text := `Conflict. The container name "/%s" is already in use by container "%s". You have to remove (or rename) that container to be able to reuse that name.`
				return container.CreateResponse{}, fmt.Errorf(text+"%w", name, strings.Repeat("0", 64), errdefs.ErrConflict)
			}
			return create()
		})
		id, err := rt.CreateContainer(t.Context(), "", w.container("app"), w.pod("alone"))
		must(t, err)
		name := w.status(t, id).Name
		equal(t, "length of the suffix", 8, len(name.Suffix))
		name.Suffix = ""
		equal(t, "name", dockpod.Name{Container: "app", Pod: "alone", Namespace: "test", UID: "alone-uid"}, name)
		equal(t, "list", []string{id}, w.ids(t, dockpod.Filter{}))
	}},

	// An answer that is lost.

	{"a container whose answer was lost is found", func(t *testing.T, w *world) {
		for i, loss := range []error{io.ErrUnexpectedEOF, context.DeadlineExceeded} {
			var made string
			rt := w.through(func(_ string, create createFunc) (container.CreateResponse, error) {
				resp, err := create()
				must(t, err)
				made = resp.ID
				return container.CreateResponse{}, loss
			})
			c := w.container("app")
			c.Attempt = uint32(i)
			id, err := rt.CreateContainer(t.Context(), "", c, w.pod("alone"))
			must(t, err)
			equal(t, "ID", made, id)
		}
	}},
	{"a create that was lost on the way is an error", func(t *testing.T, w *world) {
		rt := w.through(func(string, createFunc) (container.CreateResponse, error) {
			return container.CreateResponse{}, context.DeadlineExceeded
		})
		id, err := rt.CreateContainer(t.Context(), "", w.container("app"), w.pod("alone"))
		fails(t, err, context.DeadlineExceeded)
		equal(t, "ID", "", id)
	}},
	{"what another made under the name is not taken for the lost answer", func(t *testing.T, w *world) {
		other := w.made(t, w.container("app", "exit", "1"))
		rt := w.through(func(string, createFunc) (container.CreateResponse, error) {
			return container.CreateResponse{}, io.ErrUnexpectedEOF
		})
		_, err := rt.CreateContainer(t.Context(), "", w.container("app", "exit", "2"), w.pod("alone"))
		fails(t, err, dockpod.ErrBadAnswer)
		equal(t, "list", []string{other}, w.ids(t, dockpod.Filter{}))
	}},

	// Whose a container is.

	{"two owners and a kubelet make the same pod and see nothing of each other", func(t *testing.T, w *world) {
		runtimes := []*dockpod.Runtime{w.rt, w.other(t), w.kubelet()}
		var ids []string
		for _, rt := range runtimes {
			ids = append(ids, w.madeBy(t, rt))
		}
		for i, rt := range runtimes {
			list, err := rt.ListContainers(t.Context(), dockpod.Filter{Fast: true})
			must(t, err)
			for j, id := range ids {
				if seen := slices.Contains(idsOf(list), id); seen != (i == j) {
					t.Errorf("runtime %d sees the container of runtime %d: %t", i, j, seen)
				}
			}
		}
	}},
	{"another owner's container is not touched", func(t *testing.T, w *world) {
		w.untouched(t, w.rt, w.other(t))
	}},
	{"a kubelet's container is not touched", func(t *testing.T, w *world) {
		w.untouched(t, w.rt, w.kubelet())
	}},
	{"a kubelet does not touch an owner's container", func(t *testing.T, w *world) {
		w.untouched(t, w.kubelet(), w.rt)
	}},
	{"a container that nobody labelled is not touched", func(t *testing.T, w *world) {
		w.leaves(t, w.rt, w.foreign(t, w.owner+"-foreign", nil))
	}},
	{"another owner's sandbox is not touched", func(t *testing.T, w *world) {
		o := *w
		o.rt = w.other(t)
		id := o.sandbox(t, w.pod("pod"))
		_, err := w.rt.SandboxStatus(t.Context(), id)
		fails(t, err, dockpod.ErrNotManaged)
		fails(t, w.rt.StopSandbox(t.Context(), id, 0), dockpod.ErrNotManaged)
		fails(t, w.rt.RemoveSandbox(t.Context(), id), dockpod.ErrNotManaged)
		_, err = w.rt.CreateContainer(t.Context(), id, w.container("app"), w.pod("pod"))
		fails(t, err, dockpod.ErrNotManaged)
		st, err := o.rt.SandboxStatus(t.Context(), id)
		must(t, err)
		equal(t, "state", dockpod.SandboxReady, st.State)
	}},
	{"an owner that cannot be is refused at every call", func(t *testing.T, w *world) {
		rt := dockpod.New(w.docker, dockpod.WithOwner("k8s"))
		_, err := rt.ListContainers(t.Context(), dockpod.Filter{})
		equal(t, "field", "WithOwner", refused[*dockpod.FieldError](t, err).Field)
		_, err = rt.CreateContainer(t.Context(), "", w.container("app"), w.pod("alone"))
		equal(t, "field", "WithOwner", refused[*dockpod.FieldError](t, err).Field)
		equal(t, "field", "WithOwner", refused[*dockpod.FieldError](t, rt.RemoveContainer(t.Context(), w.gone(t))).Field)
	}},
}

// kubelet returns a Runtime that writes and reads the kubelet's own format.
func (w *world) kubelet() *dockpod.Runtime { return dockpod.New(w.docker) }

// madeBy has a Runtime make a container, and remove it in the end. A kubelet's
// is one among others on the engine, so the pod's UID tells whose it is.
func (w *world) madeBy(t *testing.T, rt *dockpod.Runtime) string {
	t.Helper()
	s := w.pod("pod")
	s.UID = w.owner
	id, err := rt.CreateContainer(t.Context(), "", w.container("app", "sleep"), s)
	must(t, err)
	t.Cleanup(func() {
		if err := rt.RemoveContainer(context.WithoutCancel(t.Context()), id); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return id
}

// untouched has a container run by owner, which rt is to leave alone.
func (w *world) untouched(t *testing.T, rt, owner *dockpod.Runtime) {
	t.Helper()
	id := w.madeBy(t, owner)
	must(t, owner.StartContainer(t.Context(), id))
	w.leaves(t, rt, id)
	st, err := owner.ContainerStatus(t.Context(), id)
	must(t, err)
	equal(t, "state", dockpod.StateRunning, st.State)
}

// leaves has every method of rt refuse a container by its ID.
func (w *world) leaves(t *testing.T, rt *dockpod.Runtime, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel() // should it wait for a container that runs
	_, err := rt.ContainerStatus(ctx, id)
	fails(t, err, dockpod.ErrNotManaged)
	for _, err := range rt.ContainerStatuses(ctx, id) {
		fails(t, err, dockpod.ErrNotManaged)
	}
	_, err = rt.Wait(ctx, id)
	fails(t, err, dockpod.ErrNotManaged)
	fails(t, rt.StartContainer(ctx, id), dockpod.ErrNotManaged)
	fails(t, rt.StopContainer(ctx, id, 0), dockpod.ErrNotManaged)
	fails(t, rt.RemoveContainer(ctx, id), dockpod.ErrNotManaged)
	if w.has(t, "signals") {
		fails(t, rt.Kill(ctx, id, ""), dockpod.ErrNotManaged)
	}
	if w.has(t, "updates") {
		fails(t, rt.UpdateContainer(ctx, id, dockpod.Resources{CPUShares: 2}), dockpod.ErrNotManaged)
	}
	_, err = rt.CreateContainer(ctx, id, w.container("other"), w.pod("pod"))
	fails(t, err, dockpod.ErrNotManaged)
	list, err := rt.ListContainers(ctx, dockpod.Filter{ID: id})
	must(t, err)
	equal(t, "list", []string{}, idsOf(list))
	w.raw(t, id) // still there
}

// createFunc carries a create through to the engine.
type createFunc func() (container.CreateResponse, error)

// through returns a Runtime of the world's owner whose creates pass through f.
func (w *world) through(f func(name string, create createFunc) (container.CreateResponse, error)) *dockpod.Runtime {
	return dockpod.New(&middleman{w.docker, w.docker.(dockpod.ImageLoader), f}, dockpod.WithOwner(w.owner), dockpod.WithRequestTimeout(time.Minute))
}

type middleman struct {
	dockpod.DockerInterface
	dockpod.ImageLoader
	create func(name string, create createFunc) (container.CreateResponse, error)
}

func (m *middleman) ContainerCreate(ctx context.Context, c *container.Config, h *container.HostConfig, n *network.NetworkingConfig, p *ocispec.Platform, name string) (container.CreateResponse, error) {
	return m.create(name, func() (container.CreateResponse, error) {
		return m.DockerInterface.ContainerCreate(ctx, c, h, n, p, name)
	})
}
