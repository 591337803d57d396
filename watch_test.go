package dockpod_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
)

// model is what a reader of events knows who knows nothing else.
type model struct {
	mu     sync.Mutex
	all    map[string]*modelled
	events []dockpod.Event
	errs   []error
	faults []string // what no account may contain
}

type modelled struct {
	sandbox bool
	state   string // created, running, exited
	paused  bool
	code    int
}

// apply takes an event, and objects to one that cannot follow the others.
func (m *model) apply(e dockpod.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
	c := m.all[e.ID]
	object := func(why string) { m.faults = append(m.faults, fmt.Sprintf("%s %.8s: %s", e.Kind, e.ID, why)) }
	if e.Kind == dockpod.EventSynced {
		return
	}
	if e.Kind == dockpod.EventCreated {
		if c != nil {
			object("it is there")
		}
		m.all[e.ID] = &modelled{sandbox: e.Sandbox, state: "created"}
		return
	}
	if c == nil {
		object("it was never created")
		return
	}
	switch e.Kind {
	case dockpod.EventStarted:
		if c.state == "running" {
			object("it runs")
		}
		c.state, c.paused = "running", false
	case dockpod.EventExited:
		if c.state != "running" {
			object("it does not run, but is " + c.state)
		}
		c.state, c.paused, c.code = "exited", false, e.ExitCode
	case dockpod.EventFailed:
		c.state, c.code = "exited", e.ExitCode
	case dockpod.EventPaused, dockpod.EventUnpaused:
		if yes := e.Kind == dockpod.EventPaused; c.paused == yes || c.state != "running" {
			object(fmt.Sprintf("paused %v, %s", c.paused, c.state))
		} else {
			c.paused = yes
		}
	case dockpod.EventRemoved:
		if c.state == "running" {
			object("it runs")
		}
		delete(m.all, e.ID)
	}
}

// follow reads a Watch into a model until ctx ends.
func follow(ctx context.Context, rt *dockpod.Runtime, since time.Time) (*model, <-chan struct{}) {
	m, done := &model{all: map[string]*modelled{}}, make(chan struct{})
	go func() {
		defer close(done)
		for e, err := range rt.Watch(ctx, since) {
			if err != nil {
				m.mu.Lock()
				m.errs = append(m.errs, err)
				m.mu.Unlock()
				continue
			}
			m.apply(e)
		}
	}()
	return m, done
}

// kinds returns the kinds of the events of one container, or of all.
func (m *model) kinds(id string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, e := range m.events {
		if id == "" || e.ID == id {
			out = append(out, string(e.Kind))
		}
	}
	return strings.Join(out, " ")
}

func (m *model) last(kind dockpod.EventKind) dockpod.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range slices.Backward(m.events) {
		if e.Kind == kind {
			return e
		}
	}
	return dockpod.Event{}
}

// pictureOfAll is what an engine holds, asked for one by one.
type pictureOfAll struct {
	Containers []dockpod.ContainerStatus
	Sandboxes  []dockpod.SandboxStatus
}

func pictureOf(t *testing.T, r dockpod.Reader) pictureOfAll {
	t.Helper()
	var p pictureOfAll
	list, err := r.ListContainers(t.Context(), dockpod.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		st, err := r.ContainerStatus(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		if st.State != c.State || st.Name != c.Name {
			t.Errorf("listed as %v %v, status %v %v", c.Name, c.State, st.Name, st.State)
		}
		p.Containers = append(p.Containers, st)
	}
	sandboxes, err := r.ListSandboxes(t.Context(), dockpod.SandboxFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sandboxes {
		st, err := r.SandboxStatus(t.Context(), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		p.Sandboxes = append(p.Sandboxes, st)
	}
	slices.SortFunc(p.Containers, func(a, b dockpod.ContainerStatus) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(p.Sandboxes, func(a, b dockpod.SandboxStatus) int { return strings.Compare(a.ID, b.ID) })
	return p
}

// model returns what a model has to be for a picture.
func (p pictureOfAll) model() map[string]modelled {
	out := map[string]modelled{}
	for _, c := range p.Containers {
		m := modelled{state: string(c.State), paused: c.EngineState == "paused"}
		if m.state == "exited" {
			m.code = c.ExitCode
		}
		out[c.ID] = m
	}
	for _, s := range p.Sandboxes {
		m := modelled{sandbox: true, state: "running"}
		if s.State != dockpod.SandboxReady {
			m.state, m.code = "exited", s.ExitCode
			if s.StartedAt.IsZero() {
				m.state = "created"
			}
		}
		out[s.ID] = m
	}
	return out
}

func (m *model) now() map[string]modelled {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]modelled{}
	for id, c := range m.all {
		v := *c
		if v.state != "exited" {
			v.code = 0
		}
		out[id] = v
	}
	return out
}

// TestProperty plays random histories with random faults. When all is quiet,
// the Mirror shows what the engine shows, and so does what Watch has told.
func TestProperty(t *testing.T) {
	seeds := uint64(3)
	if testing.Short() || raceDetector {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { playHistory(t, seed, 10000) })
		})
	}
}

func playHistory(t *testing.T, seed uint64, steps int) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	var trouble struct {
		sync.Mutex
		drop, repeat, late, inspect, list, image float64
		rnd                                      *rand.Rand
		skew                                     time.Duration
	}
	trouble.rnd = rand.New(rand.NewPCG(seed, 2))
	chance := func(p float64) bool { return p > 0 && trouble.rnd.Float64() < p }
	d := &fake.Docker{}
	d.Now = func() time.Time {
		trouble.Lock()
		defer trouble.Unlock()
		return time.Now().Add(trouble.skew)
	}
	d.Deliver = func(events.Message) (int, time.Duration) {
		trouble.Lock()
		defer trouble.Unlock()
		copies, delay := 1, time.Duration(0)
		switch {
		case chance(trouble.drop):
			copies = 0
		case chance(trouble.repeat):
			copies = 2
		}
		if chance(trouble.late) {
			delay = time.Duration(trouble.rnd.IntN(600)) * time.Millisecond
		}
		return copies, delay
	}
	defer d.Close()
	d.AddImage("app:1")
	rt := dockpod.New(d, dockpod.WithOwner("prop"))
	agent := dockpod.New(d, dockpod.WithOwner("prop"), dockpod.WithRestart())
	stranger := dockpod.New(d, dockpod.WithOwner("other"))

	// Faults concern the readers alone: what the history does works.
	type quiet struct{}
	d.Before = func(ctx context.Context, op fake.Op, _ string) error {
		if ctx.Value(quiet{}) != nil {
			return nil
		}
		trouble.Lock()
		var err error
		var delay time.Duration
		switch {
		case op == fake.OpContainerInspect && chance(trouble.inspect):
			if chance(0.5) {
				err = fake.Internal("inspect fails")
			} else {
				delay = time.Duration(trouble.rnd.IntN(2000)) * time.Millisecond
			}
		case op == fake.OpContainerList && chance(trouble.list):
			err = fake.Internal("list fails")
		case op == fake.OpImageInspect && chance(trouble.image):
			err = fake.Internal("image fails")
		}
		trouble.Unlock()
		if delay > 0 {
			time.Sleep(delay)
		}
		return err
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	account, done := follow(ctx, rt, time.Time{})
	acting := context.WithValue(ctx, quiet{}, true)
	mirror, err := rt.Mirror(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		mirror.Close()
		cancel()
		<-done
	}()

	var ids, sandboxes []string
	pods := map[string]dockpod.SandboxConfig{}
	pick := func(from []string) string { return from[rnd.IntN(len(from))] }
	serial := 0
	quiesce := func(step int) {
		trouble.Lock()
		trouble.drop, trouble.repeat, trouble.late, trouble.inspect, trouble.list, trouble.image = 0, 0, 0, 0, 0, 0
		trouble.Unlock()
		time.Sleep(15 * time.Minute) // more than ten lists
		synctest.Wait()
		want := pictureOf(t, rt)
		if diff := cmp.Diff(want, pictureOf(t, mirror), cmpopts.EquateComparable(dockpod.Name{}, netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("step %d: the mirror is not the engine (-engine +mirror):\n%s", step, diff)
		}
		if f := mirror.Freshness(); !f.Synced || f.Doubtful != 0 || f.Err != nil {
			t.Fatalf("step %d: freshness %+v", step, f)
		}
		if diff := cmp.Diff(want.model(), account.now(), cmp.AllowUnexported(modelled{})); diff != "" {
			for id := range want.model() {
				t.Logf("%.8s %s", id, account.kinds(id))
			}
			t.Fatalf("step %d: the account is not the engine (-engine +account):\n%s", step, diff)
		}
		if len(account.faults) > 0 {
			t.Fatalf("step %d: the account contradicts itself: %q", step, account.faults)
		}
	}
	for step := range steps {
		if step%200 == 199 {
			quiesce(step)
			trouble.Lock()
			level := func() float64 { return max(0, trouble.rnd.Float64()-0.6) }
			trouble.drop, trouble.repeat, trouble.late, trouble.inspect, trouble.list, trouble.image = level(), level(), level(), level(), level(), level()
			trouble.Unlock()
		}
		if rnd.IntN(3) > 0 {
			time.Sleep(time.Duration(rnd.IntN(300)) * time.Millisecond)
		}
		serial++
		switch n := rnd.IntN(100); {
		case n < 4 && len(sandboxes) < 8:
			s := dockpod.SandboxConfig{Name: fmt.Sprint("pod", serial), Namespace: "ns", UID: fmt.Sprint("uid", serial), Labels: map[string]string{"app": fmt.Sprint(serial % 3)}}
			id, err := agent.RunSandbox(acting, s)
			if err != nil {
				t.Fatal(err)
			}
			sandboxes, pods[id] = append(sandboxes, id), s
		case n < 6 && len(sandboxes) > 0:
			id := pick(sandboxes)
			_ = agent.RemoveSandbox(acting, id)
			sandboxes = slices.DeleteFunc(sandboxes, func(s string) bool { return s == id })
			ids = slices.DeleteFunc(ids, func(id string) bool { // its members went with it
				_, err := d.ContainerInspect(acting, id)
				return err != nil
			})
		case n < 9 && len(sandboxes) > 0:
			_ = agent.StopSandbox(acting, pick(sandboxes), 0)
		case n < 25 && len(ids) < 40:
			c := dockpod.ContainerConfig{Name: fmt.Sprint("app", serial), Image: "app:1"}
			if rnd.IntN(4) == 0 {
				c.Healthcheck = &dockpod.Healthcheck{Command: []string{"/check"}}
			}
			sandbox, s := "", dockpod.SandboxConfig{Name: "alone", Namespace: "ns", UID: "uid"}
			if len(sandboxes) > 0 && rnd.IntN(2) == 0 {
				sandbox = pick(sandboxes)
				s = pods[sandbox]
			}
			id, err := agent.CreateContainer(acting, sandbox, c, s)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
			if rnd.IntN(6) == 0 {
				d.FailStart(id, 127, "")
			}
			if rnd.IntN(2) == 0 {
				_ = agent.StartContainer(acting, id)
			}
		case n < 26:
			_, err := stranger.CreateContainer(acting, "", dockpod.ContainerConfig{Name: fmt.Sprint("foreign", serial), Image: "app:1"}, dockpod.SandboxConfig{Name: "p", Namespace: "n", UID: "u"})
			if err != nil {
				t.Fatal(err)
			}
		case n < 28:
			d.AddImage(fmt.Sprint("new:", serial))
			d.MoveTag("app:extra", []string{"app:1", fmt.Sprint("new:", serial)}[rnd.IntN(2)])
		case n < 29:
			d.CutEvents()
		case n < 30 && rnd.IntN(3) == 0:
			d.Restart()
		case n < 31 && rnd.IntN(3) == 0:
			trouble.Lock()
			trouble.skew += time.Duration(rnd.IntN(4000)-2000) * time.Millisecond
			trouble.Unlock()
		case len(ids) == 0:
		default:
			id := pick(ids)
			switch n := rnd.IntN(100); {
			case n < 35:
				_ = agent.StartContainer(acting, id)
			case n < 55:
				d.Exit(id, rnd.IntN(3))
			case n < 60:
				d.OOMKill(id)
			case n < 68:
				_ = d.ContainerPause(acting, id)
			case n < 76:
				_ = d.ContainerUnpause(acting, id)
			case n < 80:
				_ = agent.StopContainer(acting, id, 0)
			case n < 84:
				_ = d.ContainerRename(acting, id, fmt.Sprintf("prop_app%d_alone_ns_uid_%d", serial, serial))
			case n < 87:
				_, _ = d.ContainerUpdate(acting, id, container.UpdateConfig{Resources: container.Resources{CPUShares: int64(2 + rnd.IntN(50))}})
			case n < 90:
				if info, err := d.ContainerInspect(acting, id); err == nil && info.State.Running && info.State.Health != nil {
					d.SetHealth(id, []string{"healthy", "unhealthy"}[rnd.IntN(2)])
				}
			default:
				if agent.RemoveContainer(acting, id) == nil {
					ids = slices.DeleteFunc(ids, func(s string) bool { return s == id })
				}
			}
		}
	}
	quiesce(steps)
}

// faulty is a fake engine whose faults may change while it is used.
type faulty struct {
	*fake.Docker
	fault atomic.Pointer[fake.Fault]
	mute  atomic.Bool // no event is delivered
}

func newFaulty(t testing.TB) *faulty {
	d := &faulty{Docker: &fake.Docker{}}
	d.Before = func(ctx context.Context, op fake.Op, target string) error {
		if f := d.fault.Load(); f != nil && *f != nil {
			return (*f)(ctx, op, target)
		}
		return nil
	}
	d.Deliver = func(events.Message) (int, time.Duration) {
		if d.mute.Load() {
			return 0, 0
		}
		return 1, 0
	}
	d.AddImage("app:1")
	t.Cleanup(func() { d.Close() })
	return d
}

// fail makes calls fail; nil mends.
func (d *faulty) fail(f fake.Fault) { d.fault.Store(&f) }

// count counts the calls of op, or of all if it is empty.
func (d *faulty) count(op fake.Op) *atomic.Int64 {
	n := new(atomic.Int64)
	d.fail(func(_ context.Context, o fake.Op, _ string) error {
		if op == "" || o == op {
			n.Add(1)
		}
		return nil
	})
	return n
}

// watched is a fake engine with a Watch on it, in a synctest bubble.
type watched struct {
	t       *testing.T
	d       *faulty
	rt      *dockpod.Runtime
	account *model
	cancel  context.CancelFunc
	done    <-chan struct{}
}

func watchIn(t *testing.T, since time.Time, opts ...dockpod.Option) *watched {
	w := &watched{t: t, d: newFaulty(t)}
	w.rt = dockpod.New(w.d.Docker, append([]dockpod.Option{dockpod.WithOwner("w")}, opts...)...)
	w.begin(since)
	t.Cleanup(w.end)
	return w
}

func (w *watched) begin(since time.Time) {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.cancel = cancel
	w.account, w.done = follow(ctx, w.rt, since)
	w.pass(time.Second)
}

func (w *watched) end() {
	w.cancel()
	<-w.done
}

func (w *watched) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *watched) create(name string) string {
	w.t.Helper()
	id, err := w.rt.CreateContainer(w.t.Context(), "", dockpod.ContainerConfig{Name: name, Image: "app:1"}, dockpod.SandboxConfig{Name: "pod", Namespace: "ns", UID: "uid"})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *watched) start(id string) {
	w.t.Helper()
	if err := w.d.ContainerStart(w.t.Context(), id, container.StartOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) want(id, kinds string) {
	w.t.Helper()
	if got := w.account.kinds(id); got != kinds {
		w.t.Errorf("events are\n%s; want\n%s", got, kinds)
	}
	for _, f := range w.account.faults {
		w.t.Errorf("the account contradicts itself: %s", f)
	}
}

func TestWatch(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(w *watched)
	}{
		{"a life", func(w *watched) {
			id := w.create("app")
			w.start(id)
			w.d.Exit(id, 3)
			w.pass(time.Second)
			e := w.account.last(dockpod.EventExited)
			if e.ExitCode != 3 || e.Reason != dockpod.ReasonError || e.Noticed || e.Name.Container != "app" || e.Status == nil || e.Status.ExitCode != 3 {
				w.t.Errorf("exit is %+v", e)
			}
			if err := w.rt.RemoveContainer(w.t.Context(), id); err != nil {
				w.t.Fatal(err)
			}
			w.pass(time.Second)
			w.want(id, "created started exited removed")
			w.want("", "synced created started exited removed")
		}},
		{"a sandbox", func(w *watched) {
			id, err := w.rt.RunSandbox(w.t.Context(), dockpod.SandboxConfig{Name: "p", Namespace: "n", UID: "u"})
			if err != nil {
				w.t.Fatal(err)
			}
			w.pass(time.Second)
			w.want(id, "created started")
			if e := w.account.last(dockpod.EventStarted); !e.Sandbox || e.SandboxID != id || e.SandboxStatus == nil || e.Status != nil {
				w.t.Errorf("start is %+v", e)
			}
		}},
		{"killed for memory", func(w *watched) {
			id := w.create("app")
			w.start(id)
			w.d.OOMKill(id)
			w.pass(time.Second)
			if e := w.account.last(dockpod.EventExited); e.Reason != dockpod.ReasonOOMKilled || e.ExitCode != 137 {
				w.t.Errorf("exit is %+v", e)
			}
		}},
		{"a failed start is noticed by the slow list", func(w *watched) {
			id := w.create("app")
			w.pass(time.Second)
			w.d.FailStart(id, 127, "not there")
			_ = w.d.ContainerStart(w.t.Context(), id, container.StartOptions{})
			w.pass(time.Second)
			w.want(id, "created")
			w.pass(dockpod.DefaultRelist)
			w.want(id, "created failed")
			if e := w.account.last(dockpod.EventFailed); e.ExitCode != 127 || e.Reason != dockpod.ReasonContainerCannotRun || !e.Noticed {
				w.t.Errorf("failure is %+v", e)
			}
		}},
		{"what passes while the stream is cut is replayed", func(w *watched) {
			id := w.create("app")
			w.start(id)
			w.pass(time.Second)
			w.d.CutEvents()
			for range 3 {
				w.d.Exit(id, 1)
				w.pass(time.Millisecond)
				w.start(id)
				w.pass(time.Millisecond)
			}
			w.pass(10 * time.Second)
			w.want(id, "created started exited started exited started exited started")
			if len(w.account.errs) != 1 || !errors.Is(w.account.errs[0], dockpod.ErrBadAnswer) {
				w.t.Errorf("errors are %v", w.account.errs)
			}
			if e := w.account.last(dockpod.EventExited); e.ExitCode != 1 || e.Noticed {
				w.t.Errorf("exit is %+v", e)
			}
		}},
		{"a restarted engine remembers how it ended", func(w *watched) {
			id, gone := w.create("app"), w.create("gone")
			w.start(id)
			w.pass(time.Second)
			w.d.Restart()
			if err := w.rt.RemoveContainer(w.t.Context(), gone); err != nil {
				w.t.Fatal(err)
			}
			w.pass(10 * time.Second)
			w.want(id, "created started exited")
			w.want(gone, "created removed")
			if e := w.account.last(dockpod.EventExited); e.ExitCode != 255 || !e.Noticed {
				w.t.Errorf("exit is %+v", e)
			}
		}},
		{"a pause between two looks", func(w *watched) {
			id := w.create("app")
			w.start(id)
			w.pass(time.Second)
			_ = w.d.ContainerPause(w.t.Context(), id)
			_ = w.d.ContainerUnpause(w.t.Context(), id)
			w.pass(time.Second)
			w.want(id, "created started paused unpaused")
		}},
		{"a rename, and new limits", func(w *watched) {
			id := w.create("app")
			_ = w.d.ContainerRename(w.t.Context(), id, "w_app_pod_ns_uid_7")
			_, _ = w.d.ContainerUpdate(w.t.Context(), id, container.UpdateConfig{Resources: container.Resources{CPUShares: 7}})
			w.pass(time.Second)
			w.want(id, "created updated updated")
		}},
		{"others' containers, and execs, cost nothing", func(w *watched) {
			id := w.create("app")
			w.start(id)
			w.pass(time.Second)
			asked := w.d.count(fake.OpContainerInspect)
			foreign, _ := w.d.ContainerCreate(w.t.Context(), &container.Config{Image: "app:1"}, nil, nil, nil, "foreign")
			w.start(foreign.ID)
			exec, err := w.d.ContainerExecCreate(w.t.Context(), id, container.ExecOptions{Cmd: []string{"/secret"}})
			if err != nil {
				w.t.Fatal(err)
			}
			_ = w.d.ContainerExecStart(w.t.Context(), exec.ID, container.ExecStartOptions{Detach: true})
			w.pass(30 * time.Second)
			if n := asked.Load(); n != 0 {
				w.t.Errorf("%d inspections", n)
			}
			w.want("", "synced created started")
		}},
		{"ten thousand events in a second", func(w *watched) {
			id := w.create("app")
			w.start(id)
			for range 5000 {
				_ = w.d.ContainerPause(w.t.Context(), id)
				_ = w.d.ContainerUnpause(w.t.Context(), id)
			}
			w.pass(5 * time.Minute)
			if got := w.account.now()[id]; got != (modelled{state: "running"}) || len(w.account.faults) > 0 {
				w.t.Errorf("the account is %+v, %v", got, w.account.faults)
			}
		}},
		{"a stuck inspection delays its own container alone", func(w *watched) {
			stuck, free := w.create("stuck"), w.create("free")
			w.pass(time.Second)
			w.d.fail(func(ctx context.Context, op fake.Op, target string) error {
				if op == fake.OpContainerInspect && target == stuck {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			})
			w.start(stuck)
			w.start(free)
			w.pass(time.Second)
			w.want(stuck, "created")
			w.want(free, "created started")
			w.d.fail(nil)
			w.pass(time.Minute)
			w.want(stuck, "created started")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test.run(watchIn(t, time.Time{})) })
		})
	}
}

// An agent that goes on where it was is told what it missed and nothing twice.
func TestWatchSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchIn(t, time.Time{})
		id, gone, idle, failed := w.create("app"), w.create("gone"), w.create("idle"), w.create("failed")
		w.start(id)
		w.pass(time.Second)
		last := w.account.last(dockpod.EventStarted).Time
		w.end()
		w.pass(time.Minute)
		w.d.Exit(id, 4)
		w.pass(time.Second)
		w.start(id)
		if err := w.rt.RemoveContainer(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		w.d.FailStart(failed, 127, "not there")
		_ = w.d.ContainerStart(t.Context(), failed, container.StartOptions{})
		w.begin(time.Unix(-3600, 0)) // no engine reads that
		if len(w.account.errs) > 0 {
			t.Errorf("errors %v", w.account.errs)
		}
		w.end()
		w.begin(last)
		if got := w.account.kinds(id); got != "exited started" {
			t.Errorf("events are %q", got)
		}
		if got := w.account.kinds(gone); got != "removed" {
			t.Errorf("events are %q", got)
		}
		if got := w.account.kinds(idle); got != "" {
			t.Errorf("events are %q", got)
		}
		if got := w.account.kinds(failed); got != "failed" {
			t.Errorf("events are %q", got)
		}
	})
}

// The removal of the last container is told to who was away.
func TestWatchSinceAllAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchIn(t, time.Time{})
		id := w.create("app")
		w.start(id)
		w.pass(time.Second)
		last := w.account.last(dockpod.EventStarted).Time
		w.end()
		w.pass(time.Minute)
		w.d.Exit(id, 4)
		if err := w.rt.RemoveContainer(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		w.begin(last)
		if got := w.account.kinds(""); got != "exited removed synced" {
			t.Errorf("events are %q", got)
		}
	})
}

// noEvents is an engine without the optional interface.
type noEvents struct{ dockpod.DockerInterface }

func TestWatchEnds(t *testing.T) {
	var got []error
	for _, err := range dockpod.New(noEvents{&fake.Docker{}}).Watch(t.Context(), time.Time{}) {
		got = append(got, err)
	}
	if len(got) != 1 || !errors.Is(got[0], dockpod.ErrUnsupported) {
		t.Errorf("errors are %v", got)
	}
	if _, err := dockpod.New(noEvents{&fake.Docker{}}).Mirror(t.Context()); !errors.Is(err, dockpod.ErrUnsupported) {
		t.Errorf("Mirror: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		d := &fake.Docker{}
		defer d.Close()
		for range dockpod.New(d).Watch(t.Context(), time.Time{}) {
			break // joins its goroutines, or the bubble complains
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var last error
		for _, err := range dockpod.New(d).Watch(ctx, time.Time{}) {
			last = err
		}
		if !errors.Is(last, context.DeadlineExceeded) || errors.Is(last, dockpod.ErrTimeout) {
			t.Errorf("the last error is %v", last)
		}
	})
}

// An engine that cannot be reached is news and no end.
func TestWatchOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchIn(t, time.Time{})
		down := fmt.Errorf("dial: %w", io.EOF)
		w.d.fail(func(context.Context, fake.Op, string) error { return down })
		w.d.CutEvents()
		w.pass(time.Minute)
		if n := len(w.account.errs); n == 0 || n > 3 {
			t.Errorf("%d errors of one outage: %v", n, w.account.errs)
		}
		w.d.fail(nil)
		id := w.create("app")
		w.pass(30 * time.Second)
		w.want(id, "created")
		w.want("", "synced created synced")
	})
}

// mute is an engine that answers all but a request for events.
type mute struct{ *fake.Docker }

func (mute) Events(ctx context.Context, _ events.ListOptions) (<-chan events.Message, <-chan error) {
	<-ctx.Done()
	errs := make(chan error, 1)
	errs <- ctx.Err()
	return nil, errs
}

// An engine that leaves a request for events without an answer is news too.
func TestWatchWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fake.Docker{}
		defer d.Close()
		start := time.Now()
		for _, err := range dockpod.New(mute{d}, dockpod.WithRequestTimeout(time.Second)).Watch(t.Context(), time.Time{}) {
			if !errors.Is(err, dockpod.ErrTimeout) || time.Since(start) != time.Second {
				t.Errorf("after %v: %v; want %v after a second", time.Since(start), err, dockpod.ErrTimeout)
			}
			break
		}
	})
}

// amnesiac is an engine that was killed after it told an exit and before it
// noted it.
type amnesiac struct {
	*fake.Docker
	forgot atomic.Bool
}

func (d *amnesiac) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	info, err := d.Docker.ContainerInspect(ctx, id)
	if err == nil && d.forgot.Load() {
		info.State.ExitCode, info.State.FinishedAt = 0, "0001-01-01T00:00:00Z"
	}
	return info, err
}

// What an engine shows of an exit that it told otherwise is told once more.
func TestWatchAmendedExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &amnesiac{Docker: newFaulty(t).Docker}
		w := &watched{t: t, d: &faulty{Docker: d.Docker}, rt: dockpod.New(d, dockpod.WithOwner("w"))}
		w.begin(time.Time{})
		defer w.end()
		id := w.create("app")
		w.start(id)
		w.pass(time.Second)
		d.Exit(id, 137)
		w.pass(time.Second)
		d.forgot.Store(true)
		d.CutEvents()
		w.pass(time.Minute)
		if got := w.account.kinds(id); got != "created started exited exited" {
			t.Fatalf("events are %q", got)
		}
		e := w.account.last(dockpod.EventExited)
		if !e.Noticed || e.ExitCode != 0 || e.Reason != dockpod.ReasonCompleted || e.Time.IsZero() {
			t.Errorf("the second exit is %+v", e)
		}
		w.pass(30 * time.Minute) // once is enough
		if got := w.account.kinds(id); got != "created started exited exited" {
			t.Errorf("events are %q", got)
		}
	})
}

// A life that is over before it is looked at is told whole, as the events come.
func TestWatchShortLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchIn(t, time.Time{})
		w.d.fail(fake.Delay(fake.OpContainerInspect, 10*time.Millisecond))
		w.d.Deliver = func(m events.Message) (int, time.Duration) {
			switch m.Action {
			case events.ActionDie:
				return 1, 30 * time.Millisecond
			case events.ActionDestroy:
				return 1, 31 * time.Millisecond
			}
			return 1, 0
		}
		id := w.create("app")
		w.start(id)
		w.d.Exit(id, 3)
		if err := w.d.ContainerRemove(t.Context(), id, container.RemoveOptions{}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		w.want(id, "created started exited removed")
		if e := w.account.last(dockpod.EventExited); e.ExitCode != 3 || e.Noticed {
			t.Errorf("exit is %+v", e)
		}
	})
}

// What is told in order by a clock that is set back is told in order.
func TestWatchClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchIn(t, time.Time{})
		id := w.create("app")
		w.start(id)
		w.pass(time.Second)
		w.d.Now = func() time.Time { return time.Now().Add(-time.Hour) }
		w.d.Exit(id, 3)
		time.Sleep(time.Millisecond)
		w.start(id)
		time.Sleep(time.Millisecond)
		w.d.Exit(id, 4)
		if err := w.d.ContainerRemove(t.Context(), id, container.RemoveOptions{}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		w.want(id, "created started exited started exited removed")
		if e := w.account.last(dockpod.EventExited); e.ExitCode != 4 {
			t.Errorf("exit is %+v", e)
		}
	})
}

// The start that this Runtime sees fail is told without waiting for a list.
func TestWatchOwnFailedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchIn(t, time.Time{})
		m, err := w.rt.Mirror(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		id := w.create("app")
		w.pass(time.Second)
		w.d.FailStart(id, 127, "not there")
		if err := w.rt.StartContainer(t.Context(), id); err == nil {
			t.Fatal("the start did not fail")
		}
		w.pass(time.Second)
		w.want(id, "created failed")
		if st := m.Status(id); st.State != dockpod.StateExited || st.Reason != dockpod.ReasonContainerCannotRun {
			t.Errorf("the mirror shows %v %v", st.State, st.Reason)
		}
	})
}

// A removal that no event told says whose it was, and so does the end before
// it.
func TestWatchNoticedRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchIn(t, time.Time{})
		pod := dockpod.SandboxConfig{Name: "pod", Namespace: "ns", UID: "uid"}
		sandbox, err := w.rt.RunSandbox(t.Context(), pod)
		if err != nil {
			t.Fatal(err)
		}
		id, err := w.rt.CreateContainer(t.Context(), sandbox, dockpod.ContainerConfig{Name: "app", Image: "app:1"}, pod)
		if err != nil {
			t.Fatal(err)
		}
		w.start(id)
		w.pass(time.Second)
		w.d.mute.Store(true)
		if err := w.rt.RemoveSandbox(t.Context(), sandbox); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * dockpod.DefaultRelist)
		w.want(id, "created started exited removed")
		w.want(sandbox, "created started exited removed")
		for _, e := range w.account.events {
			if e.Time.Location() != time.UTC {
				t.Errorf("%s at %v", e.Kind, e.Time)
			}
			switch e.ID {
			case id:
				if e.Sandbox || e.SandboxID != sandbox || e.Name.Container != "app" {
					t.Errorf("of the container: %+v", e)
				}
			case sandbox:
				if !e.Sandbox || e.SandboxID != sandbox || e.Name.Pod != "pod" {
					t.Errorf("of the sandbox: %+v", e)
				}
			}
		}
	})
}

// What lists leave out although its labels are this Runtime's is not told
// either: one that cannot be identified, and one from an image that was
// committed from a container.
func TestWatchOfTheUnidentified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchIn(t, time.Time{})
		w.d.AddImage("committed:1")
		labels := w.labels(w.create("app"))
		w.pass(time.Second)
		told := w.account.kinds("")
		for name, config := range map[string]container.Config{
			"strange": {Image: "app:1", Labels: map[string]string{dockpod.LabelOwner: "w", dockpod.LabelOwnedType: dockpod.TypeContainer}},
			"copy":    {Image: "committed:1", Labels: labels},
			"passing": {Image: "committed:1", Labels: labels},
		} {
			made, err := w.d.ContainerCreate(t.Context(), &config, nil, nil, nil, name)
			if err != nil {
				t.Fatal(err)
			}
			w.start(made.ID)
			if name == "passing" {
				if err := w.d.ContainerRemove(t.Context(), made.ID, container.RemoveOptions{Force: true}); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.pass(2 * dockpod.DefaultRelist)
		w.want("", told)
	})
}

func (w *watched) labels(id string) map[string]string {
	w.t.Helper()
	info, err := w.d.ContainerInspect(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return info.Config.Labels
}

// undated is an engine whose inspections do not say when a container was made.
type undated struct{ *fake.Docker }

func (d undated) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	info, err := d.Docker.ContainerInspect(ctx, id)
	if err == nil {
		info.Created = ""
	}
	return info, err
}

// A container is created even if nobody knows when.
func TestWatchOfTheUndated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFaulty(t)
		w := &watched{t: t, d: d, rt: dockpod.New(undated{d.Docker}, dockpod.WithOwner("w"))}
		id := w.create("app")
		w.start(id)
		w.pass(time.Minute)
		w.begin(time.Time{})
		defer w.end()
		w.want(id, "created started")
	})
}

// deaf is an engine whose streams of events end at once without an error.
type deaf struct{ *fake.Docker }

func (deaf) Events(context.Context, events.ListOptions) (<-chan events.Message, <-chan error) {
	errs := make(chan error)
	close(errs)
	return nil, errs
}

// A stream that ends without saying why is a loss as others are.
func TestWatchOfTheDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fake.Docker{}
		defer d.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, err := range dockpod.New(deaf{d}).Watch(ctx, time.Time{}) {
			if !errors.Is(err, dockpod.ErrBadAnswer) {
				t.Errorf("the first news is %v", err)
			}
			break
		}
	})
}

// A start that fails in another way than the one before it is told as well.
func TestWatchFailedOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watchIn(t, time.Time{}, dockpod.WithRestart())
		id := w.create("app")
		for _, code := range []int{127, 126} {
			w.d.FailStart(id, code, "cannot run")
			if err := w.rt.StartContainer(t.Context(), id); err == nil {
				t.Fatal("the start did not fail")
			}
			w.pass(time.Second)
			if e := w.account.last(dockpod.EventFailed); e.ExitCode != code {
				t.Errorf("failure is %+v; want the code %d", e, code)
			}
		}
		w.want(id, "created failed failed")
		w.pass(30 * time.Minute) // once is enough
		w.want(id, "created failed failed")
	})
}

// An agent that stops reading now and then, and goes on after the latest time
// that it has seen since EventSynced, misses nothing.
func TestWatchGoesOn(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			d, rnd := newFaulty(t), rand.New(rand.NewPCG(seed, 3))
			w := &watched{t: t, d: d, rt: dockpod.New(d.Docker, dockpod.WithOwner("w"))}
			account, over := &model{all: map[string]*modelled{}}, make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() { readInPieces(t, w.rt, account, rand.New(rand.NewPCG(seed, 4)), over) })
			var ids []string
			for i := range 150 {
				time.Sleep(time.Duration(1000+rnd.IntN(1500)) * time.Millisecond)
				if len(ids) == 0 || rnd.IntN(6) == 0 && len(ids) < 8 {
					id := w.create(fmt.Sprint("app", i))
					if ids = append(ids, id); rnd.IntN(5) == 0 {
						d.FailStart(id, 127, "")
					}
					continue
				}
				k := rnd.IntN(len(ids))
				switch rnd.IntN(6) {
				case 0, 1, 2:
					_ = d.ContainerStart(t.Context(), ids[k], container.StartOptions{})
				case 3, 4:
					d.Exit(ids[k], rnd.IntN(3))
				case 5:
					_ = d.ContainerRemove(t.Context(), ids[k], container.RemoveOptions{Force: true})
					ids = slices.Delete(ids, k, k+1)
				}
			}
			time.Sleep(10 * time.Minute)
			close(over)
			wg.Wait()
			if diff := cmp.Diff(pictureOf(t, w.rt).model(), account.now(), cmp.AllowUnexported(modelled{})); diff != "" {
				t.Errorf("seed %d: the account is not the engine (-engine +account):\n%s", seed, diff)
			}
		})
	}
}

// readInPieces is such an agent. What it knows already is no news.
func readInPieces(t *testing.T, rt *dockpod.Runtime, account *model, rnd *rand.Rand, over <-chan struct{}) {
	var since time.Time
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rnd.IntN(40))*time.Second)
		if since.IsZero() { // it begins anew
			account.mu.Lock()
			clear(account.all)
			account.mu.Unlock()
		}
		synced := false
		for e, err := range rt.Watch(ctx, since) {
			if err != nil {
				continue
			}
			synced = synced || e.Kind == dockpod.EventSynced
			if synced && e.Time.After(since) {
				since = e.Time
			}
			if c := account.now()[e.ID]; c.state != "created" || e.Kind != dockpod.EventCreated {
				account.apply(e)
			}
			if rnd.IntN(40) == 0 {
				break
			}
		}
		cancel()
		select {
		case <-over:
			return
		case <-time.After(time.Duration(rnd.IntN(20)) * time.Second):
		}
	}
}
