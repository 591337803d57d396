package dockpod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	gocmp "github.com/google/go-cmp/cmp"
)

// gcDead is a container of a pod that ended that long before epoch.
func gcDead(id, uid, name string, age time.Duration) GCContainer {
	return GCContainer{
		ID: id, Name: Name{Container: name, Pod: "p", Namespace: "n", UID: uid}, State: StateExited,
		CreatedAt: epoch.Add(-age - time.Hour), FinishedAt: epoch.Add(-age),
	}
}

func gcSandbox(id, uid string, attempt uint32, state State, age time.Duration) GCContainer {
	c := gcDead(id, uid, SandboxContainerName, age)
	c.Sandbox, c.State, c.Name.Attempt = true, state, attempt
	return c
}

func gcWith(c GCContainer, change func(*GCContainer)) GCContainer {
	change(&c)
	return c
}

func limitOf(n int) *int { return &n }

func TestPlanGC(t *testing.T) {
	running := func(c *GCContainer) { c.State, c.FinishedAt = StateRunning, time.Time{} }
	created := func(c *GCContainer) { c.State, c.FinishedAt, c.CreatedAt = StateCreated, time.Time{}, c.FinishedAt }
	unknown := func(c *GCContainer) { c.FinishedAt = time.Time{} }
	gone := func(c *GCContainer) { c.PodGone = true }
	unidentified := func(c *GCContainer) { c.Unidentified, c.Name = true, Name{} }
	of := func(sandbox string) func(*GCContainer) { return func(c *GCContainer) { c.SandboxID = sandbox } }
	keep := func(n int) GCPolicy { return GCPolicy{MaxPerContainer: &n} }
	inAll := func(n int) GCPolicy { return GCPolicy{MaxContainers: &n} }
	for _, tt := range []struct {
		name   string
		in     []GCContainer
		policy GCPolicy
		want   string // "id reason; …"
		kept   int
	}{
		{name: "nothing", policy: KubeletGCPolicy()},
		{name: "no policy", kept: 2, in: []GCContainer{
			gcDead("a", "u", "c", time.Hour), gcDead("b", "u", "c", 100*time.Hour), gcSandbox("s", "u", 0, StateExited, time.Hour),
			gcSandbox("t", "u", 1, StateExited, time.Hour), gcWith(gcDead("x", "", "", time.Hour), unidentified),
		}},
		{name: "no limit", kept: 2, policy: GCPolicy{MaxPerContainer: limitOf(-1), MaxContainers: limitOf(-5)},
			in: []GCContainer{gcDead("a", "u", "c", time.Hour), gcDead("b", "u", "c", 2*time.Hour)}},
		{name: "the newest of each stays", policy: keep(1), kept: 2, want: "c too many dead of this container; a too many dead of this container",
			in: []GCContainer{gcDead("a", "u", "c", 2*time.Hour), gcDead("b", "u", "c", time.Hour), gcDead("c", "u", "c", 3*time.Hour), gcDead("d", "v", "c", 9*time.Hour)}},
		{name: "none stays", policy: keep(0), want: "a too many dead of this container", in: []GCContainer{gcDead("a", "u", "c", time.Minute)}},
		{name: "what ended just now is protected, and counts", policy: keep(1), kept: 2, want: "c too many dead of this container",
			in: []GCContainer{gcDead("a", "u", "c", time.Second), gcDead("b", "u", "c", time.Minute-1), gcDead("c", "u", "c", time.Minute)}},
		{name: "a protection of one's own", policy: GCPolicy{MinAge: time.Hour, MaxContainers: limitOf(0)}, kept: 1, want: "b too many dead in all",
			in: []GCContainer{gcDead("a", "u", "c", time.Hour-1), gcDead("b", "u", "c", time.Hour)}},
		{name: "no protection", policy: GCPolicy{MinAge: -1, MaxContainers: limitOf(0)}, want: "a too many dead in all", in: []GCContainer{gcDead("a", "u", "c", 0)}},
		{name: "not what is from the future", policy: GCPolicy{MinAge: -1, MaxContainers: limitOf(0)}, kept: 1, in: []GCContainer{gcDead("a", "u", "c", -time.Second)}},
		{name: "what runs does not count", policy: keep(1), kept: 1,
			in: []GCContainer{gcWith(gcDead("a", "u", "c", 0), running), gcDead("b", "u", "c", time.Hour)}},
		{name: "not what is being removed", policy: inAll(0),
			in: []GCContainer{gcWith(gcDead("a", "u", "c", time.Hour), func(c *GCContainer) { c.State = StateUnknown })}},
		{name: "not what ended who knows when", policy: GCPolicy{MinAge: -1, MaxContainers: limitOf(0)}, kept: 1, want: "b too many dead in all",
			in: []GCContainer{gcWith(gcDead("a", "u", "c", 900*time.Hour), unknown), gcDead("b", "u", "c", time.Hour)}},
		{name: "the age counts from the end", policy: inAll(0), kept: 1,
			in: []GCContainer{gcWith(gcDead("a", "u", "c", time.Second), func(c *GCContainer) { c.CreatedAt = epoch.Add(-1000 * time.Hour) })}},
		{name: "what may still be started is left alone", policy: GCPolicy{MinAge: -1, MaxContainers: limitOf(0)}, want: "b too many dead in all",
			in: []GCContainer{gcWith(gcDead("a", "u", "c", 10*time.Minute-1), created), gcWith(gcDead("b", "u", "c", 10*time.Minute), created)}},
		{name: "for ever", policy: GCPolicy{CreatedGrace: -1, MaxContainers: limitOf(0)}, in: []GCContainer{gcWith(gcDead("a", "u", "c", 999*time.Hour), created)}},
		{name: "equal shares", policy: inAll(4), kept: 4, want: "a4 too many dead in all; a3 too many dead in all",
			in: []GCContainer{gcDead("a1", "u", "a", 10*time.Hour), gcDead("a2", "u", "a", 11*time.Hour), gcDead("a3", "u", "a", 12*time.Hour), gcDead("a4", "u", "a", 13*time.Hour),
				gcDead("b1", "u", "b", 90*time.Hour), gcDead("b2", "u", "b", 91*time.Hour)}},
		{name: "at least one of each, then the oldest go", policy: inAll(2), kept: 2, want: "c too many dead in all; b2 too many dead in all",
			in: []GCContainer{gcDead("a", "u", "a", time.Hour), gcDead("b1", "u", "b", 2*time.Hour), gcDead("b2", "u", "b", 3*time.Hour), gcDead("c", "v", "c", 4*time.Hour)}},
		{name: "of a pod that is gone nothing stays but what must", policy: GCPolicy{}, kept: 1, want: "a its pod is gone; s its pod is gone",
			in: []GCContainer{gcWith(gcWith(gcDead("a", "u", "c", time.Hour), gone), of("s")), gcWith(gcSandbox("s", "u", 0, StateExited, time.Hour), gone),
				gcWith(gcWith(gcDead("young", "v", "c", 0), gone), of("t")), gcWith(gcSandbox("t", "v", 0, StateExited, time.Hour), gone),
				gcWith(gcWith(gcDead("r", "w", "c", 0), running), gone), gcWith(gcSandbox("ready", "w", 0, StateRunning, 0), gone)}},
		{name: "sandboxes", policy: GCPolicy{Sandboxes: true}, kept: 1, want: "s0 sandbox is not the newest of its pod",
			in: []GCContainer{gcSandbox("s0", "u", 0, StateExited, 9*time.Hour), gcSandbox("s1", "u", 1, StateExited, 8*time.Hour), gcSandbox("s2", "u", 2, StateExited, 7*time.Hour),
				gcWith(gcDead("a", "u", "c", 8*time.Hour), of("s1")), gcSandbox("t", "v", 0, StateExited, 9*time.Hour)}},
		{name: "a sandbox that runs is left alone, and so is a young one", policy: GCPolicy{Sandboxes: true},
			in: []GCContainer{gcSandbox("s0", "u", 0, StateRunning, 9*time.Hour), gcSandbox("s1", "u", 1, StateExited, time.Second), gcSandbox("s2", "u", 2, StateExited, -time.Hour)}},
		{name: "of sandboxes made within a second the attempt tells", policy: GCPolicy{Sandboxes: true}, want: "a sandbox is not the newest of its pod",
			in: []GCContainer{gcSandbox("b", "u", 1, StateExited, time.Hour), gcSandbox("a", "u", 0, StateExited, time.Hour)}},
		{name: "a sandbox goes with its last container", policy: GCPolicy{Sandboxes: true, MaxContainers: limitOf(0)}, want: "a too many dead in all; s0 sandbox is not the newest of its pod",
			in: []GCContainer{gcSandbox("s0", "u", 0, StateExited, 9*time.Hour), gcSandbox("s1", "u", 1, StateRunning, 8*time.Hour), gcWith(gcDead("a", "u", "c", 8*time.Hour), of("s0"))}},
		{name: "the unidentified", policy: GCPolicy{Unidentified: true}, want: "x it cannot be identified; s it cannot be identified",
			in: []GCContainer{gcWith(gcDead("x", "", "", time.Hour), unidentified), gcWith(gcDead("y", "", "", time.Second), unidentified),
				gcWith(gcWith(gcDead("z", "", "", time.Hour), unidentified), running), gcWith(gcSandbox("s", "", 0, StateExited, time.Hour), unidentified)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.in)
			plan := PlanGC(tt.in, tt.policy, epoch)
			var got []string
			for _, r := range plan.Remove {
				got = append(got, r.Container.ID+" "+string(r.Reason))
			}
			if diff := gocmp.Diff(tt.want, strings.Join(got, "; ")); diff != "" {
				t.Errorf("plan mismatch (-want +got):\n%s", diff)
			}
			if plan.Kept != tt.kept {
				t.Errorf("it keeps %d, want %d", plan.Kept, tt.kept)
			}
			if diff := gocmp.Diff(before, tt.in); diff != "" {
				t.Errorf("the plan changed its input (-before +after):\n%s", diff)
			}
		})
	}
}

// gcRandom is some containers and a policy.
func gcRandom(r *rand.Rand) ([]GCContainer, GCPolicy) {
	ages := []time.Duration{-time.Hour, 0, time.Second, time.Minute, 9 * time.Minute, time.Hour, 50 * time.Hour}
	var list []GCContainer
	for i := range r.IntN(30) {
		c := gcDead(fmt.Sprint("id", i), fmt.Sprint("u", r.IntN(4)), fmt.Sprint("c", r.IntN(3)), ages[r.IntN(len(ages))])
		c.State = []State{StateExited, StateExited, StateExited, StateCreated, StateRunning, StateUnknown}[r.IntN(6)]
		c.PodGone = c.Name.UID == "u0" && r.IntN(2) == 0
		if c.Sandbox = r.IntN(4) == 0; c.Sandbox {
			c.Name.Container = SandboxContainerName
		} else {
			c.SandboxID = fmt.Sprint("id", r.IntN(30))
		}
		if r.IntN(6) == 0 {
			c.FinishedAt = time.Time{}
		}
		if r.IntN(10) == 0 {
			c.Unidentified, c.PodGone, c.Name = true, false, Name{}
		}
		list = append(list, c)
	}
	max := func() *int {
		if r.IntN(3) == 0 {
			return nil
		}
		return limitOf(r.IntN(6) - 1)
	}
	return list, GCPolicy{
		MinAge: ages[r.IntN(len(ages))], CreatedGrace: ages[r.IntN(len(ages))], MaxPerContainer: max(), MaxContainers: max(),
		Sandboxes: r.IntN(2) == 0, Unidentified: r.IntN(2) == 0,
	}
}

// What holds for every plan.
func TestPlanGCProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		in, p := gcRandom(r)
		plan := PlanGC(in, p, epoch)
		shuffled := slices.Clone(in)
		r.Shuffle(len(in), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if diff := gocmp.Diff(plan, PlanGC(shuffled, p, epoch)); diff != "" {
			t.Fatalf("not deterministic (-one +other):\n%s", diff)
		}
		minAge, grace := max(cmp.Or(p.MinAge, DefaultGCMinAge), 0), cmp.Or(p.CreatedGrace, DefaultGCCreatedGrace)
		old := func(c GCContainer) bool { // may be removed
			switch c.State {
			case StateExited:
				return !c.FinishedAt.IsZero() && epoch.Sub(c.FinishedAt) >= minAge
			case StateCreated:
				return grace >= 0 && epoch.Sub(c.CreatedAt) >= grace
			}
			return false
		}
		gone, sandboxGone := map[string]bool{}, map[string]bool{}
		for _, x := range plan.Remove {
			if gone[x.Container.ID] || !old(x.Container) || x.Container.Unidentified && !p.Unidentified {
				t.Fatalf("%+v is removed twice, or must not be (%+v)", x, p)
			}
			gone[x.Container.ID] = true
			sandboxGone[x.Container.ID] = x.Container.Sandbox
		}
		left := slices.DeleteFunc(slices.Clone(in), func(c GCContainer) bool { return gone[c.ID] })
		units, removable, kept := map[gcUnit]int{}, map[gcUnit]int{}, 0
		canGo := 0
		for _, c := range left {
			if c.Sandbox || c.Unidentified || c.State != StateExited && !(c.State == StateCreated && old(c)) {
				continue
			}
			u := gcUnit{c.Name.UID, c.Name.Container}
			units[u]++
			kept++
			if old(c) {
				removable[u]++
				canGo++
				if c.PodGone {
					t.Fatalf("%+v stays, and its pod is gone", c)
				}
			}
		}
		if kept != plan.Kept {
			t.Fatalf("%d stay, and the plan says %d", kept, plan.Kept)
		}
		for u, n := range units {
			if m := p.MaxPerContainer; m != nil && *m >= 0 && n > *m && removable[u] > 0 {
				t.Fatalf("%d of %v stay; want %d", n, u, *m)
			}
		}
		if m := p.MaxContainers; m != nil && *m >= 0 && kept > *m && canGo > 0 {
			t.Fatalf("%d stay; want %d", kept, *m)
		}
		for _, c := range left {
			if sandboxGone[c.SandboxID] && !c.Sandbox {
				t.Fatalf("%+v has lost its sandbox", c)
			}
		}
		if again := PlanGC(left, p, epoch); len(again.Remove) > 0 {
			t.Fatalf("after the plan there is more to remove: %+v", again.Remove)
		}
	}
}

// The dockertools counted the infrastructure container as any other, so these
// cases take a sandbox for a container. What it calls MinAge counts from the
// end here; they have it from the creation.
func TestGCVectors(t *testing.T) {
	type vector struct {
		Containers []struct {
			ID, Name       string
			Running        bool
			CreatedSeconds any
		}
		ID                 string
		Pods               []string
		MinAgeSeconds      int
		MaxPerPodContainer int
		MaxContainers      int
	}
	ours := map[string]overruled{
		"gc/001": {`{"removed": []}`, "a plan leaves out what runs, which is no error"},
	}
	for _, c := range loadVectors(t, "gc") {
		t.Run(c.ID, func(t *testing.T) {
			in := vectorIn[vector](t, c)
			p := GCPolicy{MinAge: time.Duration(in.MinAgeSeconds) * time.Second, MaxPerContainer: &in.MaxPerPodContainer, MaxContainers: &in.MaxContainers}
			if c.Op == "gc.delete" {
				p = GCPolicy{MinAge: -1, MaxContainers: limitOf(0)}
			}
			var list []GCContainer
			for _, v := range in.Containers {
				n, err := ParseName(strings.TrimPrefix(v.Name, "/"))
				if err != nil {
					t.Fatal(err)
				}
				e := GCContainer{ID: v.ID, Name: n, State: StateExited, CreatedAt: epoch, PodGone: !slices.Contains(in.Pods, n.UID)}
				if s, ok := v.CreatedSeconds.(float64); ok {
					e.CreatedAt = epoch.Add(-1000*time.Hour + time.Duration(s)*time.Second)
				}
				if e.FinishedAt = e.CreatedAt; v.Running {
					e.State, e.FinishedAt = StateRunning, time.Time{}
				}
				list = append(list, e)
			}
			removed := []string{}
			for _, r := range PlanGC(list, p, epoch).Remove {
				removed = append(removed, r.Container.ID)
			}
			// The engine takes a container's network with it.
			checkVector(t, c, ours, map[string]any{"removed": removed, "removedCount": len(removed)}, "networkTornDown")
		})
	}
}

// The cleanup manager removed what was created and not started for an hour.
func TestCleanupManagerVectors(t *testing.T) {
	type vector struct {
		Inserts           [][2]any
		Ticks             []int
		StaleAfterSeconds int
	}
	for _, c := range loadVectors(t, "cleanup-manager") {
		t.Run(c.ID, func(t *testing.T) {
			in := vectorIn[vector](t, c)
			at := func(s float64) time.Time { return epoch.Add(time.Duration(s) * time.Second) }
			var list []GCContainer
			for _, i := range in.Inserts {
				list = append(list, GCContainer{ID: i[1].(string), State: StateCreated, CreatedAt: at(i[0].(float64))})
			}
			p := GCPolicy{CreatedGrace: time.Duration(in.StaleAfterSeconds) * time.Second, MaxContainers: limitOf(0)}
			cleaned := [][]string{}
			for _, tick := range in.Ticks {
				ids := []string{}
				for _, r := range PlanGC(list, p, at(float64(tick))).Remove {
					ids = append(ids, r.Container.ID)
				}
				cleaned = append(cleaned, ids)
				list = slices.DeleteFunc(list, func(c GCContainer) bool { return slices.Contains(ids, c.ID) })
			}
			checkVector(t, c, nil, map[string]any{"cleaned": cleaned})
		})
	}
}

// deadEngine has dead containers, some of which are in the way of a collection.
type deadEngine struct {
	DockerInterface
	mu         sync.Mutex
	containers []container.InspectResponse
	onInspect  func(n int, id string) (container.InspectResponse, error) // n counts the inspections of one, from 1
	onRemove   func(id string) error
	inspected  map[string]int
	removed    []string
}

func (e *deadEngine) ContainerList(context.Context, container.ListOptions) (list []container.Summary, _ error) {
	for _, c := range e.containers {
		list = append(list, container.Summary{ID: c.ID, Names: []string{c.Name}, State: c.State.Status, Created: epoch.Unix(), Labels: c.Config.Labels})
	}
	return list, nil
}

func (e *deadEngine) ContainerInspect(_ context.Context, id string) (container.InspectResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inspected[id]++
	if e.onInspect != nil {
		if c, err := e.onInspect(e.inspected[id], id); c.ContainerJSONBase != nil || err != nil {
			return c, err
		}
	}
	for _, c := range e.containers {
		if c.ID == id {
			return c, nil
		}
	}
	return container.InspectResponse{}, notFoundText("No such container: " + id)
}

func (e *deadEngine) ContainerRemove(_ context.Context, id string, o container.RemoveOptions) error {
	if o.Force {
		return errors.New("by force")
	}
	if e.onRemove != nil {
		if err := e.onRemove(id); err != nil {
			return err
		}
	}
	e.removed = append(e.removed, id)
	e.containers = slices.DeleteFunc(e.containers, func(c container.InspectResponse) bool { return c.ID == id })
	return nil
}

// gcEntry is an attempt of container "c" of pod "u" that has ended.
func gcEntry(id string, finished string) container.InspectResponse {
	return container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: id, Name: "/k8s_c_p_n_u_" + id[len(id)-1:], Created: "2026-01-01T00:00:00Z",
			State: &container.State{Status: "exited", StartedAt: "2026-01-01T00:00:00Z", FinishedAt: finished},
		},
		Config: &container.Config{Labels: map[string]string{LabelType: TypeContainer}},
	}
}

type gcConflict string

func (e gcConflict) Error() string { return string(e) }
func (gcConflict) Conflict()       {}

func TestCollectGarbageOfAnUneasyEngine(t *testing.T) {
	const old = "2026-01-01T01:00:00Z"
	boom := errors.New("boom")
	for _, tt := range []struct {
		name    string
		onInsp  func(n int, id string) (container.InspectResponse, error)
		remove  func(id string) error
		opts    GCOptions
		removed []string
		want    error
	}{
		{name: "all", removed: []string{"c1", "c2", "c3"}},
		{name: "dry", opts: GCOptions{DryRun: true}},
		{name: "one that vanished before it was looked at", removed: []string{"c1", "c3"},
			onInsp: func(_ int, id string) (container.InspectResponse, error) {
				if id == "c2" {
					return container.InspectResponse{}, notFoundText("No such container: c2")
				}
				return container.InspectResponse{}, nil
			}},
		{name: "one that was started meanwhile", removed: []string{"c1", "c3"},
			onInsp: func(n int, id string) (container.InspectResponse, error) {
				if id != "c2" || n == 1 {
					return container.InspectResponse{}, nil
				}
				c := gcEntry("c2", old)
				c.State.Status, c.State.Running = "running", true
				return c, nil
			}},
		{name: "one that ran again meanwhile", removed: []string{"c1", "c3"},
			onInsp: func(n int, id string) (container.InspectResponse, error) {
				if id != "c2" || n == 1 {
					return container.InspectResponse{}, nil
				}
				return gcEntry("c2", "2026-01-01T02:00:00Z"), nil
			}},
		{name: "one that cannot be looked at", removed: []string{"c1", "c3"}, want: boom,
			onInsp: func(_ int, id string) (container.InspectResponse, error) {
				if id == "c2" {
					return container.InspectResponse{}, boom
				}
				return container.InspectResponse{}, nil
			}},
		{name: "one whose end cannot be read", removed: []string{"c1", "c3"}, want: ErrBadAnswer,
			onInsp: func(_ int, id string) (container.InspectResponse, error) {
				if id == "c2" {
					return gcEntry("c2", "yesterday"), nil
				}
				return container.InspectResponse{}, nil
			}},
		{name: "one that cannot be removed", removed: []string{"c1", "c3"}, want: boom, remove: func(id string) error {
			if id == "c2" {
				return boom
			}
			return nil
		}},
		{name: "one that runs when it is to be removed", removed: []string{"c1", "c3"}, remove: func(id string) error {
			if id == "c2" {
				return gcConflict("You cannot remove a running container c2")
			}
			return nil
		}},
		{name: "nobody wants the pod", opts: GCOptions{Wanted: func(string) bool { return false }}, removed: []string{"c1", "c2", "c3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &deadEngine{inspected: map[string]int{}, onRemove: tt.remove, containers: []container.InspectResponse{gcEntry("c1", old), gcEntry("c2", old), gcEntry("c3", old)}}
			if tt.onInsp != nil {
				e.onInspect = tt.onInsp
			}
			if tt.opts.Wanted == nil {
				tt.opts.MaxPerContainer = limitOf(0)
			}
			report, err := New(e).CollectGarbage(t.Context(), tt.opts)
			if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if diff := gocmp.Diff(tt.removed, e.removed); diff != "" {
				t.Errorf("removed mismatch (-want +got):\n%s", diff)
			}
			reported := len(tt.removed)
			if tt.opts.DryRun {
				reported = 3
			}
			if len(report.Removed) != reported {
				t.Errorf("the report has %+v", report.Removed)
			}
		})
	}
	t.Run("nobody is asked about one that vanished", func(t *testing.T) {
		e := &deadEngine{inspected: map[string]int{}, containers: []container.InspectResponse{gcEntry("c1", old), gcEntry("c2", old)}}
		e.onInspect = func(_ int, id string) (container.InspectResponse, error) {
			if id == "c2" {
				return container.InspectResponse{}, notFoundText("No such container: c2")
			}
			return container.InspectResponse{}, nil
		}
		var asked []string
		_, err := New(e).CollectGarbage(t.Context(), GCOptions{Wanted: func(uid string) bool { asked = append(asked, uid); return true }})
		if err != nil || !slices.Equal(asked, []string{"u"}) {
			t.Errorf("asked of %q, %v", asked, err)
		}
	})
	t.Run("a pod that is wanted again", func(t *testing.T) {
		e := &deadEngine{inspected: map[string]int{}, containers: []container.InspectResponse{gcEntry("c1", old)}}
		asked := 0
		report, err := New(e).CollectGarbage(t.Context(), GCOptions{Wanted: func(uid string) bool { asked++; return uid == "u" && asked > 1 }})
		if err != nil || report.Removed != nil || e.removed != nil {
			t.Errorf("%+v, %v", report, err)
		}
	})
	t.Run("a log directory that is none", func(t *testing.T) {
		var field *FieldError
		if _, err := New(&deadEngine{}).CollectGarbage(t.Context(), GCOptions{LogDirs: []string{"/x", "logs"}}); !errors.As(err, &field) || field.Field != "LogDirs[1]" {
			t.Error(err)
		}
	})
}

func TestRemoveEmptied(t *testing.T) {
	top := filepath.ToSlash(t.TempDir())
	dir := func(rel string) string {
		d := filepath.Join(top, rel)
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		return filepath.ToSlash(d)
	}
	a, used := dir("pod/a"), dir("used/c")
	dir("full/c")
	file := filepath.Join(top, "full", "precious")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	outside := filepath.ToSlash(t.TempDir())
	for _, tt := range []struct {
		dir  string
		want []string
	}{
		{a, []string{top + "/pod/a", top + "/pod"}},
		{a, nil},
		{top + "/gone/deep/er", nil},
		{top + "/full/c", []string{top + "/full/c"}},
		{file, nil},
		{used, []string{top + "/used/c"}},
		{top, nil},
		{outside, nil},
		{top + "/../" + filepath.Base(outside), nil},
		{"", nil},
	} {
		if diff := gocmp.Diff(tt.want, removeEmptied(top, tt.dir, map[string]bool{top + "/used": true})); diff != "" {
			t.Errorf("%s mismatch (-want +got):\n%s", tt.dir, diff)
		}
	}
	for _, there := range []string{top, outside, file, top + "/used"} {
		if _, err := os.Lstat(there); err != nil {
			t.Error(err)
		}
	}
	if removeEmptied(top+"/none", top+"/none/x", nil) != nil {
		t.Error("a directory that is not there lost something")
	}
}
