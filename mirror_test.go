package dockpod_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
)

// mirrored is a fake engine with n containers and a Mirror of it.
func mirrored(t testing.TB, n int) (*faulty, *dockpod.Runtime, *dockpod.Mirror) {
	d := newFaulty(t)
	rt := dockpod.New(d.Docker, dockpod.WithOwner("m"))
	for i := range n {
		_, err := rt.CreateContainer(t.Context(), "", dockpod.ContainerConfig{Name: fmt.Sprint("app", i), Image: "app:1", Labels: map[string]string{"i": fmt.Sprint(i % 10)}},
			dockpod.SandboxConfig{Name: fmt.Sprint("pod", i%4), Namespace: "ns", UID: fmt.Sprint("uid", i%4)})
		if err != nil {
			t.Fatal(err)
		}
	}
	m, err := rt.Mirror(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return d, rt, m
}

func TestMirrorReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, rt, m := mirrored(t, 40)
		// Of others' making: a key that dockpod refuses, and engines take.
		_, err := d.ContainerCreate(t.Context(), &container.Config{Image: "app:1", Labels: map[string]string{
			dockpod.LabelOwner: "m", dockpod.LabelOwnedType: dockpod.TypeContainer, "": "e",
		}}, nil, nil, nil, "m_odd_pod_ns_uid_0")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the engine repeats its last events at the beginning
		synctest.Wait()
		all := m.Statuses()
		for _, f := range []dockpod.Filter{
			{}, {Labels: map[string]string{"i": "3"}}, {UID: "uid2"}, {State: dockpod.StateRunning}, {LabelKeys: []string{"none"}},
			{ID: all[7].ID}, {ID: all[7].ID[:12], IDPrefix: true}, {ID: "none"}, {SandboxID: "none"},
			{Labels: map[string]string{"i": "3", dockpod.LabelPodName: "pod3"}}, {Labels: map[string]string{"none": ""}},
			{Labels: map[string]string{"": "e"}}, {Labels: map[string]string{"": ""}},
		} {
			want, err := rt.ListContainers(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			got, err := m.ListContainers(t.Context(), f)
			if err != nil || len(got) != len(want) {
				t.Fatalf("%+v: %d containers, %v; want %d", f, len(got), err, len(want))
			}
			for i := range got {
				if f.ID == "" && len(f.Labels) == 0 && got[i].CreatedAt.Before(got[max(i, 1)-1].CreatedAt.Add(-time.Hour)) || got[i].ID == "" {
					t.Errorf("%+v: order", f)
				}
			}
		}
		for _, f := range []dockpod.Filter{{State: "x"}, {IDPrefix: true}, {ID: "", IDPrefix: true}} {
			if _, err := m.ListContainers(t.Context(), f); err == nil {
				t.Errorf("%+v is accepted", f)
			}
		}
		asked := d.count("")
		time.Sleep(50 * time.Second)
		if _, err := m.ContainerStatus(t.Context(), "none"); !errors.Is(err, dockpod.ErrContainerNotFound) {
			t.Errorf("error is %v", err)
		}
		if _, err := m.SandboxStatus(t.Context(), all[0].ID); !errors.Is(err, dockpod.ErrNotManaged) {
			t.Errorf("error is %v", err)
		}
		if st, err := m.ContainerStatus(t.Context(), all[0].ID); err != nil || st.ID != all[0].ID || m.Status(all[0].ID) != all[0] {
			t.Errorf("%v, %v", st.ID, err)
		}
		if n := asked.Load(); n != 0 {
			t.Errorf("%d requests while nothing happened", n)
		}
	})
}

// A Mirror refuses a prefix of several IDs where a Runtime does: whatever
// their states, but among those that are selected otherwise.
func TestMirrorOfAnIDPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rt, m := mirrored(t, 40)
		// 40 IDs have no more than 16 beginnings.
		prefix, byPrefix := "", map[string][]dockpod.Container{}
		for _, s := range m.Statuses() {
			prefix = s.ID[:1]
			if byPrefix[prefix] = append(byPrefix[prefix], s.Container); len(byPrefix[prefix]) > 1 {
				break
			}
		}
		one, other := byPrefix[prefix][0], byPrefix[prefix][1]
		if err := rt.StartContainer(t.Context(), one.ID); err != nil {
			t.Fatal(err)
		}
		if err := m.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		of := func(f dockpod.Filter) dockpod.Filter {
			f.ID, f.IDPrefix = prefix, true
			return f
		}
		for _, f := range []dockpod.Filter{
			of(dockpod.Filter{}),
			of(dockpod.Filter{State: dockpod.StateRunning}),
			of(dockpod.Filter{State: dockpod.StateExited}),
			of(dockpod.Filter{State: dockpod.StateCreated}),
			of(dockpod.Filter{State: dockpod.StateRunning, Labels: map[string]string{dockpod.LabelContainerName: one.Name.Container}}),
			of(dockpod.Filter{State: dockpod.StateRunning, Labels: map[string]string{dockpod.LabelContainerName: other.Name.Container}}),
			of(dockpod.Filter{State: dockpod.StateRunning, UID: "none"}),
			of(dockpod.Filter{State: dockpod.StateRunning, SandboxID: "none"}),
			{ID: one.ID, IDPrefix: true, State: dockpod.StateExited},
		} {
			want, wantErr := rt.ListContainers(t.Context(), f)
			got, err := m.ListContainers(t.Context(), f)
			if len(got) != len(want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Errorf("%+v: %d containers, %v; a Runtime has %d, %v", f, len(got), err, len(want), wantErr)
			}
		}
		var field *dockpod.FieldError
		if _, err := m.ListContainers(t.Context(), of(dockpod.Filter{State: dockpod.StateRunning})); !errors.As(err, &field) {
			t.Errorf("error is %v; want a *FieldError", err)
		}
	})
}

func TestMirrorFreshness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _, m := mirrored(t, 3)
		id := m.Statuses()[0].ID
		time.Sleep(time.Second) // the engine repeats its last events at the beginning
		synctest.Wait()
		if f := m.Freshness(); !f.Synced || f.Doubtful != 0 || f.Err != nil || f.Listed.IsZero() || time.Since(f.AsOf) > 0 {
			t.Errorf("freshness %+v", f)
		}

		// One inspection hangs.
		began := time.Now()
		d.fail(func(ctx context.Context, op fake.Op, target string) error {
			if op == fake.OpContainerInspect && target == id {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		_ = d.ContainerStart(t.Context(), id, container.StartOptions{})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if f := m.Freshness(); !f.Synced || f.Doubtful != 1 || !f.AsOf.Equal(began) {
			t.Errorf("freshness %+v, want the doubt since %v", f, began)
		}
		if st := m.Status(id); st.State != dockpod.StateCreated {
			t.Errorf("state is %v", st.State)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := m.Sync(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Sync beside a stuck inspection: %v", err)
		}
		cancel()
		d.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if f := m.Freshness(); f.Doubtful != 0 || f.Err != nil || m.Status(id).State != dockpod.StateRunning {
			t.Errorf("freshness %+v", f)
		}

		// The engine is lost.
		d.fail(fake.FailAlways(fake.OpEvents, fake.Internal("no events today")))
		lost := time.Now()
		d.CutEvents()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if f := m.Freshness(); f.Synced || f.Err == nil || !f.AsOf.Equal(lost) {
			t.Errorf("freshness %+v, want the loss at %v", f, lost)
		}
		if _, err := m.ContainerStatus(t.Context(), "none"); !errors.Is(err, dockpod.ErrNotReady) {
			t.Errorf("error is %v", err)
		}
		d.Exit(id, 5)
		if err := m.Sync(t.Context()); err != nil || m.Status(id).ExitCode != 5 {
			t.Errorf("Sync without events: %v, %v", err, m.Status(id).State)
		}
		d.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if f := m.Freshness(); !f.Synced || f.Err != nil {
			t.Errorf("freshness %+v", f)
		}
		m.Close()
		if f := m.Freshness(); f.Synced || f.Err == nil {
			t.Errorf("freshness of a closed mirror %+v", f)
		}
		if err := m.Sync(t.Context()); !errors.Is(err, dockpod.ErrMirrorClosed) {
			t.Errorf("Sync of a closed mirror: %v", err)
		}
		if _, err := m.ListContainers(t.Context(), dockpod.Filter{}); !errors.Is(err, dockpod.ErrMirrorClosed) {
			t.Errorf("a list of a closed mirror: %v", err)
		}
		if _, err := m.ContainerStatus(t.Context(), id); !errors.Is(err, dockpod.ErrMirrorClosed) || m.Status(id) == nil {
			t.Errorf("a status of a closed mirror: %v", err)
		}
	})
}

// While nothing happens there is a list each minute, however long that takes.
func TestMirrorIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _, m := mirrored(t, 20)
		time.Sleep(time.Second)
		synctest.Wait()
		var lists, inspections atomic.Int64
		d.fail(func(_ context.Context, op fake.Op, _ string) error {
			switch op {
			case fake.OpContainerList:
				lists.Add(1)
			case fake.OpContainerInspect:
				inspections.Add(1)
			}
			took := 13 * time.Millisecond
			if op == fake.OpContainerList {
				took = 50 * time.Millisecond // others end while it is under way
			}
			time.Sleep(took)
			return nil
		})
		go func() { // an event while the list is under way
			time.Sleep(10 * time.Millisecond)
			d.MoveTag("app:2", "app:1")
		}()
		if err := m.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		lists.Store(0)
		inspections.Store(0)
		time.Sleep(10*dockpod.DefaultRelist - time.Second)
		if n := lists.Load(); n < 8 || n > 10 {
			t.Errorf("%d lists in ten minutes", n)
		}
		// All of them are created, and may have failed to start.
		if n := inspections.Load(); n > 10*20 {
			t.Errorf("%d inspections in ten minutes", n)
		}
	})
}

func TestMirrorSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, rt, m := mirrored(t, 3)
		d.mute.Store(true)
		id := m.Statuses()[0].ID
		_ = d.ContainerStart(t.Context(), id, container.StartOptions{})
		if err := m.Sync(t.Context(), id); err != nil || m.Status(id).State != dockpod.StateRunning {
			t.Errorf("Sync of one: %v, %v", err, m.Status(id).State)
		}
		made, err := rt.CreateContainer(t.Context(), "", dockpod.ContainerConfig{Name: "new", Image: "app:1"}, dockpod.SandboxConfig{Name: "p", Namespace: "n", UID: "u"})
		if err != nil {
			t.Fatal(err)
		}
		_ = rt.RemoveContainer(t.Context(), id)
		version, err := m.Changed(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Sync(t.Context()); err != nil || m.Status(made) == nil || m.Status(id) != nil {
			t.Errorf("Sync of all: %v", err)
		}
		if next, err := m.Changed(t.Context(), version); err != nil || next <= version {
			t.Errorf("version %d after %d, %v", next, version, err)
		}
		for _, other := range []string{made[:12], "m_new_p_n_u_0"} {
			if err := m.Sync(t.Context(), other); err != nil {
				t.Errorf("Sync of %q: %v", other, err)
			}
		}
		if list, err := m.ListContainers(t.Context(), dockpod.Filter{ID: made[:12], IDPrefix: true}); err != nil || len(list) != 1 || m.Status(made[:12]) != nil {
			t.Errorf("%d containers of one ID: %v", len(list), err)
		}
		if err := m.Sync(t.Context(), made, " "); !errdefs.IsInvalidArgument(err) {
			t.Errorf("Sync of nothing: %v", err)
		}
		if f := m.Freshness(); f.Doubtful != 0 {
			t.Errorf("freshness %+v", f)
		}
		if err := m.Sync(t.Context(), "none"); err != nil || m.Status("none") != nil {
			t.Errorf("Sync of none: %v", err)
		}
	})
}

// A container that cannot be inspected is in the lists all the same.
func TestMirrorListsWhatCannotBeInspected(t *testing.T) {
	for name, fault := range map[string]fake.Fault{
		"fails": fake.FailAlways(fake.OpContainerInspect, fake.Internal("no inspection")),
		"hangs": fake.Block(fake.OpContainerInspect),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFaulty(t)
				rt := dockpod.New(d.Docker, dockpod.WithOwner("m"))
				pod := dockpod.SandboxConfig{Name: "pod", Namespace: "ns", UID: "u", Labels: map[string]string{"a": "b"}}
				sandbox, err := rt.RunSandbox(t.Context(), pod)
				if err != nil {
					t.Fatal(err)
				}
				id, err := rt.CreateContainer(t.Context(), sandbox, dockpod.ContainerConfig{Name: "app", Image: "app:1", Labels: map[string]string{"a": "b"}}, pod)
				if err != nil {
					t.Fatal(err)
				}
				d.fail(fault)
				m, err := rt.Mirror(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				containers, err := m.ListContainers(t.Context(), dockpod.Filter{SandboxID: sandbox, Labels: map[string]string{"a": "b"}})
				if err != nil || len(containers) != 1 || containers[0].ID != id || containers[0].Name.Container != "app" {
					t.Errorf("containers are %+v, %v", containers, err)
				}
				sandboxes, err := m.ListSandboxes(t.Context(), dockpod.SandboxFilter{State: dockpod.SandboxReady})
				if err != nil || len(sandboxes) != 1 || sandboxes[0].ID != sandbox {
					t.Errorf("sandboxes are %+v, %v", sandboxes, err)
				}
				if _, err := m.ContainerStatus(t.Context(), id); !errors.Is(err, dockpod.ErrNotReady) {
					t.Errorf("the status that nobody knows: %v", err)
				}
				if m.Status(id) != nil || len(m.Statuses()) != 0 {
					t.Error("a status that nobody knows")
				}
				d.fail(nil)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if st, err := m.ContainerStatus(t.Context(), id); err != nil || st.ID != id || len(m.Statuses()) != 1 {
					t.Errorf("when the inspection works again: %v, %v", st.ID, err)
				}
			})
		})
	}
}

// A Mirror fails to begin on an engine that does not answer.
func TestMirrorBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFaulty(t)
		d.fail(fake.FailAlways(fake.OpContainerList, fake.Internal("no list")))
		if _, err := dockpod.New(d.Docker).Mirror(t.Context()); err == nil {
			t.Error("no error")
		}
		d.fail(fake.Block(fake.OpContainerList))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := dockpod.New(d.Docker).Mirror(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
	})
}

func BenchmarkMirror(b *testing.B) {
	_, _, m := mirrored(b, 1000)
	time.Sleep(time.Second) // the engine repeats its last events at the beginning
	if err := m.Sync(b.Context()); err != nil {
		b.Fatal(err)
	}
	id := m.Statuses()[500].ID
	b.Run("Statuses", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = m.Statuses()
		}
	})
	b.Run("Status", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = m.Status(id)
		}
	})
	b.Run("ContainerStatus", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = m.ContainerStatus(b.Context(), id)
		}
	})
	b.Run("ListContainers", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = m.ListContainers(b.Context(), dockpod.Filter{})
		}
	})
	b.Run("ByLabel", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = m.ListContainers(b.Context(), dockpod.Filter{Labels: map[string]string{"i": "3"}})
		}
	})
}

// The time of the last list goes on while nothing happens, and while there are
// no events.
func TestMirrorListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _, m := mirrored(t, 3)
		listedLately := func(when string) {
			t.Helper()
			time.Sleep(10*dockpod.DefaultRelist + time.Second)
			synctest.Wait()
			if f := m.Freshness(); time.Since(f.Listed) > dockpod.DefaultRelist+time.Second {
				t.Errorf("%s: the last list is %v old", when, time.Since(f.Listed))
			}
		}
		listedLately("idle")
		d.fail(fake.FailAlways(fake.OpEvents, fake.Internal("no events today")))
		d.CutEvents()
		listedLately("without events")
		d.fail(fake.FailAlways(fake.OpContainerList, fake.Internal("no lists today")))
		listed := m.Freshness().Listed
		time.Sleep(10 * dockpod.DefaultRelist)
		synctest.Wait()
		if f := m.Freshness(); time.Since(f.Listed) < 9*dockpod.DefaultRelist || f.Listed.Before(listed) {
			t.Errorf("without lists: the last list is %v old", time.Since(f.Listed))
		}
	})
}

// Containers whose inspections hang do not keep others from being looked at in
// their turn.
func TestMirrorAuditBesideTheStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, rt, m := mirrored(t, 10)
		all := m.Statuses()
		for _, st := range all {
			if err := rt.StartContainer(t.Context(), st.ID); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.mute.Store(true)
		stuck, other := all[0].ID, all[9].ID
		for _, st := range all[1:] { // the stuck one's turn is the first
			time.Sleep(time.Millisecond)
			if err := m.Sync(t.Context(), st.ID); err != nil {
				t.Fatal(err)
			}
		}
		d.fail(func(ctx context.Context, op fake.Op, target string) error {
			if op == fake.OpContainerInspect && target == stuck {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		if _, err := d.ContainerUpdate(t.Context(), other, container.UpdateConfig{Resources: container.Resources{CPUShares: 77}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * dockpod.DefaultRelist)
		synctest.Wait()
		if got := m.Status(other).Resources.CPUShares; got != 77 {
			t.Errorf("after eleven lists the shares are %d", got)
		}
	})
}

// A list tells that a container is not healthy any more, and nothing of the
// health of one that has ended.
func TestMirrorHealthByList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 20
		d, rt, m := mirrored(t, 0)
		for i := range n {
			id, err := rt.CreateContainer(t.Context(), "", dockpod.ContainerConfig{Name: fmt.Sprint("app", i), Image: "app:1", Healthcheck: &dockpod.Healthcheck{Command: []string{"/check"}}},
				dockpod.SandboxConfig{Name: "pod", Namespace: "ns", UID: "uid"})
			if err == nil {
				err = rt.StartContainer(t.Context(), id)
			}
			if err != nil {
				t.Fatal(err)
			}
			d.SetHealth(id, "healthy")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		d.mute.Store(true)
		for _, st := range m.Statuses() {
			if st.Health != "healthy" {
				t.Errorf("health is %q", st.Health)
			}
			d.SetHealth(st.ID, "unhealthy")
		}
		time.Sleep(dockpod.DefaultRelist + time.Second)
		synctest.Wait()
		for _, st := range m.Statuses() {
			if st.Health != "unhealthy" {
				t.Errorf("health is %q", st.Health)
			}
		}
		for _, st := range m.Statuses() {
			d.Exit(st.ID, 0)
		}
		if err := m.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		asked := d.count(fake.OpContainerInspect)
		time.Sleep(10 * dockpod.DefaultRelist)
		if got := asked.Load(); got > 10*n/10 {
			t.Errorf("%d inspections in ten lists of %d containers", got, n)
		}
	})
}

// An image that gets other names while a container is looked at.
func TestMirrorImageRenamedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _, m := mirrored(t, 1)
		d.AddImage("app:2")
		d.MoveTag("extra:2", "app:2")
		time.Sleep(time.Second)
		synctest.Wait()
		var slow atomic.Bool
		d.After = func(ctx context.Context, op fake.Op, _ string) error {
			if op == fake.OpImageInspect && slow.Load() {
				time.Sleep(100 * time.Millisecond) // the answer is on its way
			}
			return nil
		}
		slow.Store(true)
		made, err := d.ContainerCreate(t.Context(), &container.Config{Image: "app:2", Labels: map[string]string{
			dockpod.LabelOwner: "m", dockpod.LabelOwnedType: dockpod.TypeContainer,
		}}, nil, nil, nil, "m_app_pod_ns_uid_0")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		d.MoveTag("app:2", "app:1")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if st := m.Status(made.ID); st == nil || st.Image != "extra:2" {
			t.Errorf("the status is %+v", st)
		}
	})
}
