package dockpod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
)

// How long [PlanGC] leaves a container alone, unless its [GCPolicy] says
// otherwise.
const (
	DefaultGCMinAge       = time.Minute
	DefaultGCCreatedGrace = 10 * time.Minute
)

// GCPolicy says which dead containers and sandboxes [PlanGC] removes. The zero
// value removes none but those of pods that are gone, and [KubeletGCPolicy] is
// what a kubelet does.
//
// A container is dead when it has ended, failed to start, or was created and
// not started within CreatedGrace.
type GCPolicy struct {
	// MinAge protects what ended less than that ago; zero: [DefaultGCMinAge],
	// negative: no protection.
	MinAge time.Duration
	// CreatedGrace protects what was created less than that ago and has not
	// been started; zero: [DefaultGCCreatedGrace], negative: for ever.
	CreatedGrace time.Duration
	// MaxPerContainer is how many dead ones, attempts, are kept of each
	// container of a pod; nil or negative: all. Those that are protected
	// count, too.
	MaxPerContainer *int
	// MaxContainers is how many dead ones are kept in all; nil or negative:
	// all. Where there are more, each container of a pod first gets an equal
	// share of at least one; then the oldest go.
	MaxContainers *int
	// Sandboxes removes the sandboxes of a pod that are not ready and have no
	// containers, except the newest: the next attempt counts on from it.
	Sandboxes bool
	// Unidentified removes what is dead and carries the Runtime's labels, but
	// no name and no labels that say what it is.
	Unidentified bool
}

// KubeletGCPolicy returns the kubelet's defaults: one dead container is kept
// of each, however many that are.
func KubeletGCPolicy() GCPolicy {
	one := 1
	return GCPolicy{MaxPerContainer: &one, Sandboxes: true, Unidentified: true}
}

// GCContainer is a container or a sandbox, as [PlanGC] looks at it.
type GCContainer struct {
	ID         string
	Name       Name // zero if it is Unidentified
	Sandbox    bool
	SandboxID  string // of a container: where it belongs
	State      State
	CreatedAt  time.Time // to the second; zero: not known
	FinishedAt time.Time // zero: not known, or not yet
	// PodGone: nobody wants its pod any more.
	PodGone      bool
	Unidentified bool
}

// GCReason is why a container is removed. It is for people.
type GCReason string

// The reasons of [PlanGC].
const (
	GCPodGone        GCReason = "its pod is gone"
	GCUnidentified   GCReason = "it cannot be identified"
	GCContainerLimit GCReason = "too many dead of this container"
	GCTotalLimit     GCReason = "too many dead in all"
	GCSandboxOld     GCReason = "sandbox is not the newest of its pod"
)

// GCRemoval is a container or sandbox to be removed, or that was.
type GCRemoval struct {
	Container GCContainer
	Reason    GCReason
}

// GCPlan is what [PlanGC] decided.
type GCPlan struct {
	Remove []GCRemoval // in this order: sandboxes last
	Kept   int         // dead containers that stay, without sandboxes
}

// PlanGC decides which containers and sandboxes to remove. It has no side
// effects, and the order of containers does not matter. What runs, or is in a
// state that is not known, is never among them; nor is what the policy
// protects by its age, or what ended at a time that is not known.
//
// A pod that is gone loses all that is dead of it. A sandbox goes only if no
// container of it stays.
func PlanGC(containers []GCContainer, p GCPolicy, now time.Time) GCPlan {
	g := gcPlanner{policy: p, now: now, units: map[gcUnit][]GCContainer{}, gone: map[string]bool{}}
	// Not the caller's order: a plan is the same for the same containers.
	containers = slices.SortedFunc(slices.Values(containers), g.newestFirst)
	for _, c := range containers {
		switch {
		case c.Sandbox || !g.dead(c):
		case c.Unidentified:
			if p.Unidentified && g.removable(c) {
				g.remove(c, GCUnidentified)
			}
		case c.PodGone && g.removable(c):
			g.remove(c, GCPodGone)
		default:
			u := gcUnit{c.Name.UID, c.Name.Container}
			g.units[u] = append(g.units[u], c)
			g.plan.Kept++
		}
	}
	if n := p.MaxPerContainer; n != nil && *n >= 0 {
		g.limitUnits(*n, GCContainerLimit)
	}
	if n := p.MaxContainers; n != nil && *n >= 0 && g.plan.Kept > *n {
		g.limitUnits(max(*n/len(g.units), 1), GCTotalLimit)
		g.limitTotal(*n)
	}
	g.sandboxes(containers)
	slices.SortStableFunc(g.plan.Remove, func(a, b GCRemoval) int {
		if a.Container.Sandbox != b.Container.Sandbox {
			if b.Container.Sandbox {
				return -1
			}
			return 1
		}
		return g.newestFirst(b.Container, a.Container)
	})
	return g.plan
}

// gcUnit is a container of a pod, of which there are attempts.
type gcUnit struct{ uid, container string }

type gcPlanner struct {
	policy GCPolicy
	now    time.Time
	units  map[gcUnit][]GCContainer // the dead that stay, newest first
	gone   map[string]bool          // IDs in the plan
	plan   GCPlan
}

func (g *gcPlanner) remove(c GCContainer, why GCReason) {
	g.gone[c.ID] = true
	g.plan.Remove = append(g.plan.Remove, GCRemoval{c, why})
}

// dead reports whether a container is one that a policy counts.
func (g *gcPlanner) dead(c GCContainer) bool {
	return c.State == StateExited || c.State == StateCreated && g.removable(c)
}

// removable reports whether a container may be removed at all.
func (g *gcPlanner) removable(c GCContainer) bool {
	since, protected := c.FinishedAt, cmp.Or(g.policy.MinAge, DefaultGCMinAge)
	switch c.State {
	case StateCreated:
		since, protected = c.CreatedAt, cmp.Or(g.policy.CreatedGrace, DefaultGCCreatedGrace)
		if protected < 0 {
			return false
		}
	case StateExited:
	default:
		return false
	}
	// Nothing is from the future: then a clock is wrong, and the age unknown.
	age := g.now.Sub(since)
	return !since.IsZero() && age >= max(protected, 0)
}

// newestFirst orders by when containers ended; those that have not come first,
// and so do those of which it is not known.
func (g *gcPlanner) newestFirst(a, b GCContainer) int {
	end := func(c GCContainer) time.Time {
		if c.State == StateCreated {
			return c.CreatedAt
		}
		return c.FinishedAt
	}
	x, y := end(a), end(b)
	if x.IsZero() != y.IsZero() {
		if x.IsZero() {
			return -1
		}
		return 1
	}
	return cmp.Or(y.Compare(x), b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.Name.Attempt, a.Name.Attempt), cmp.Compare(a.ID, b.ID))
}

// limitUnits keeps n of each unit, the newest. What must not be removed may
// make it more.
func (g *gcPlanner) limitUnits(n int, why GCReason) {
	for u, list := range g.units {
		g.units[u] = g.shorten(list, len(list)-n, why)
	}
}

// limitTotal keeps n of all units.
func (g *gcPlanner) limitTotal(n int) {
	var all []GCContainer
	for _, list := range g.units {
		all = append(all, list...)
	}
	slices.SortFunc(all, g.newestFirst)
	g.shorten(all, len(all)-n, GCTotalLimit)
}

// shorten removes n of a list, the oldest that may be, and returns the rest.
func (g *gcPlanner) shorten(list []GCContainer, n int, why GCReason) []GCContainer {
	var kept []GCContainer
	for _, c := range slices.Backward(list) {
		if n > 0 && g.removable(c) {
			g.remove(c, why)
			g.plan.Kept--
			n--
			continue
		}
		kept = append(kept, c)
	}
	slices.Reverse(kept)
	return kept
}

// sandboxes chooses among the sandboxes when it is known which containers
// stay.
func (g *gcPlanner) sandboxes(containers []GCContainer) {
	members := map[string]bool{}
	newest := map[string]GCContainer{} // by the pod's UID
	for _, c := range containers {
		switch {
		case !c.Sandbox:
			members[c.SandboxID] = members[c.SandboxID] || !g.gone[c.ID]
		case !c.Unidentified:
			if n, ok := newest[c.Name.UID]; !ok || madeAfter(c, n) {
				newest[c.Name.UID] = c
			}
		}
	}
	for _, c := range containers {
		if !c.Sandbox || members[c.ID] || !g.removable(c) {
			continue
		}
		switch {
		case c.Unidentified:
			if g.policy.Unidentified {
				g.remove(c, GCUnidentified)
			}
		case c.PodGone:
			g.remove(c, GCPodGone)
		case g.policy.Sandboxes && newest[c.Name.UID].ID != c.ID:
			g.remove(c, GCSandboxOld)
		}
	}
}

// madeAfter compares two sandboxes of a pod. What engines list is exact to a
// second.
func madeAfter(a, b GCContainer) bool {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Name.Attempt, b.Name.Attempt), cmp.Compare(b.ID, a.ID)) > 0
}

// GCOptions is the policy of a collection, and what surrounds it.
type GCOptions struct {
	GCPolicy
	// Wanted tells by its UID whether somebody still wants a pod. Of one that
	// nobody wants, all that is dead is removed. Nil: every pod is wanted; an
	// agent passes nil until it has heard from all that tell it what to run.
	// It is asked again right before a removal.
	Wanted func(uid string) bool
	// LogDirs are directories below which logs of pods are linked, such as
	// "/var/log/pods". Links there to logs of containers that the engine no
	// longer has are removed, and then the directories which that, or the
	// removal of a container, has emptied, unless they are a pod's that is
	// there. Nothing else is touched.
	LogDirs []string
	// DryRun removes nothing, and reports what would be, but for directories.
	DryRun bool
}

// GCReport is what [Runtime.CollectGarbage] did.
type GCReport struct {
	Removed []GCRemoval
	Links   []string // dead log links that were removed; those of containers in Removed went with them
	Dirs    []string // directories that were removed, as they had become empty
}

// CollectGarbage removes the containers and sandboxes of this Runtime that
// [PlanGC] chooses, with their log links, and dead log links. It kills
// nothing: the containers of a pod that nobody wants are the agent's to stop.
// Each container that does not run is inspected, a few at a time.
//
// One that has been started, removed or otherwise changed by then stays, and
// so does a sandbox that has containers; that is no error. Other failures are
// joined, with the report of what was done, and what failed does not count as
// removed. A container whose end cannot be read is such a failure, and stays.
func (r *Runtime) CollectGarbage(ctx context.Context, opts GCOptions) (report GCReport, err error) {
	const op = "collect garbage"
	ctx, end := r.beginLimit(ctx, op, "", -1)
	defer end(&err)
	for i, dir := range opts.LogDirs {
		if !filepath.IsAbs(dir) {
			return GCReport{}, &FieldError{fmt.Sprintf("LogDirs[%d]", i), fmt.Sprintf("%q is not absolute", dir)}
		}
	}
	containers, failed, err := r.gcContainers(ctx, op, opts.Wanted)
	if err != nil {
		return GCReport{}, err
	}
	var emptied []string
	for _, removal := range PlanGC(containers, opts.GCPolicy, time.Now()).Remove {
		if opts.DryRun {
			report.Removed = append(report.Removed, removal)
			continue
		}
		removed, dir, err := r.collect(ctx, removal, opts.Wanted)
		if removed {
			report.Removed = append(report.Removed, removal)
			emptied = append(emptied, dir)
		}
		if err != nil {
			failed = append(failed, err)
			if ctx.Err() != nil {
				return report, failed.err()
			}
		}
	}
	if len(opts.LogDirs) > 0 {
		err := r.collectLinks(ctx, op, opts, emptied, &report)
		if err != nil {
			failed = append(failed, err)
		}
	}
	return report, failed.err()
}

// gcContainers lists all of this Runtime's, with what a plan needs to know.
// Those that could not be inspected stay: failed tells why.
func (r *Runtime) gcContainers(ctx context.Context, op string, wanted func(string) bool) (list []GCContainer, failed removalErrors, err error) {
	listing, end := r.begin(ctx, op, "")
	raw, err := r.listRaw(listing, query{})
	end(&err)
	if err != nil {
		return nil, nil, err
	}
	list = make([]GCContainer, len(raw))
	errs := make([]error, len(raw))
	each(len(raw), func(i int) { list[i], errs[i] = r.gcContainer(ctx, raw[i]) })
	for i, err := range errs {
		if err != nil {
			failed = append(failed, err)
		}
		list[i].PodGone = wanted != nil && list[i].ID != "" && !list[i].Unidentified && !wanted(list[i].Name.UID)
	}
	return slices.DeleteFunc(list, func(c GCContainer) bool { return c.ID == "" }), failed, nil
}

// gcContainer looks at one container of a list. It has no ID if the container
// is gone.
func (r *Runtime) gcContainer(ctx context.Context, s container.Summary) (c GCContainer, err error) {
	c = GCContainer{
		ID: s.ID, SandboxID: s.Labels[LabelSandboxID],
		Sandbox: r.kindOfContainer(s.Names, s.ImageID, s.Labels) == TypeSandbox,
	}
	if entry, err := r.fromSummary(s); err == nil {
		c.Name, c.State, c.CreatedAt = entry.Name, entry.State, entry.CreatedAt
	} else {
		c.Unidentified = true
		c.State = stateOf(engineState{word: wordOf(s.State, s.Status)}).state
		if s.Created > 0 {
			c.CreatedAt = time.Unix(s.Created, 0).UTC()
		}
	}
	if c.State != StateExited && c.State != StateCreated {
		return c, nil
	}
	ctx, end := r.begin(ctx, "inspect container", s.ID)
	defer end(&err)
	info, err := r.inspectAny(ctx, s.ID)
	switch {
	case errors.Is(err, ErrContainerNotFound):
		return GCContainer{}, nil
	case err != nil:
		return c, err // and its end is not known
	}
	c.State, c.FinishedAt, err = finishOf(info)
	return c, err
}

// finishOf reads a container's state and when it ended. A time that cannot be
// read is an error, and zero.
func finishOf(info container.InspectResponse) (State, time.Time, error) {
	var unread []string
	o := stateOf(stateFromInspect(info, func(s string) {
		if !strings.HasPrefix(s, "State.StartedAt") {
			unread = append(unread, s)
		}
	}))
	switch {
	case o.state != StateExited && o.state != StateCreated:
		return o.state, time.Time{}, nil
	case len(unread) > 0:
		return o.state, time.Time{}, &classified{ErrBadAnswer, bounded(strings.Join(unread, "; "))}
	}
	return o.state, o.finished, nil
}

// collect removes a container or sandbox, unless it is not any more what the
// plan saw. dir is the directory where its log was linked.
func (r *Runtime) collect(ctx context.Context, removal GCRemoval, wanted func(string) bool) (removed bool, dir string, err error) {
	c := removal.Container
	op, kind := "remove container", TypeContainer
	if c.Sandbox {
		op, kind = "remove sandbox", TypeSandbox
	}
	ctx, end := r.begin(ctx, op, c.ID)
	defer end(&err)
	info, err := r.inspectAny(ctx, c.ID)
	switch {
	case errors.Is(err, ErrContainerNotFound):
		return false, "", nil
	case err != nil:
		return false, "", err
	}
	state, finished, err := finishOf(info)
	if err != nil {
		return false, "", err
	}
	if state != c.State || !finished.Equal(c.FinishedAt) || r.kindOfInspected(info) != kind ||
		removal.Reason == GCPodGone && wanted(c.Name.UID) {
		return false, "", nil
	}
	if c.Sandbox {
		members, err := r.members(ctx, c.ID)
		if err != nil || len(members) > 0 {
			return false, "", err
		}
		err = r.remove(ctx, c.ID, false)
		if errors.Is(err, ErrRunning) {
			return false, "", nil
		}
		return err == nil, "", err
	}
	if file := info.Config.Labels[LabelLogPath]; file != "" {
		dir = path.Dir(filepath.ToSlash(file))
	}
	err = r.removeContainer(ctx, info, false)
	switch {
	case err == nil:
		return true, dir, nil
	case errors.Is(err, ErrRunning):
		return false, "", nil
	}
	// It may have been its link alone.
	_, look := r.inspectAny(ctx, c.ID)
	return errors.Is(look, ErrContainerNotFound), "", err
}

// collectLinks removes dead log links and emptied directories, and notes them
// in the report.
func (r *Runtime) collectLinks(ctx context.Context, op string, opts GCOptions, emptied []string, report *GCReport) (err error) {
	ctx, end := r.begin(ctx, op, "")
	defer end(&err)
	// Whoever's they are: the link may be another owner's.
	all, err := r.listEngine(ctx, container.ListOptions{All: true})
	if err != nil {
		return err
	}
	there := map[string]bool{}
	inUse := map[string]bool{} // log directories
	for _, c := range all {
		there[c.ID] = true
		dir, _ := splitLogPath(c.Labels[LabelLogPath], c.Labels[labelLogDirectory])
		inUse[path.Clean(dir)] = true
		if m, ok := memoryOf(c.Labels); ok {
			inUse[path.Clean(m.LogDirectory)] = true
		}
	}
	var errs []error
	for _, dir := range opts.LogDirs {
		dead, err := deadLinks(dir, func(id string) bool { return there[id] })
		if err != nil {
			errs = append(errs, err)
		}
		for _, rel := range dead {
			file := path.Join(filepath.ToSlash(dir), rel)
			if opts.DryRun {
				report.Links = append(report.Links, file)
				continue
			}
			err := removeDeadLink(dir, rel, func(id string) bool {
				_, err := r.inspectAny(ctx, id)
				return !errors.Is(err, ErrContainerNotFound)
			})
			if err != nil {
				errs = append(errs, err)
			} else if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
				report.Links = append(report.Links, file)
				emptied = append(emptied, path.Dir(file))
			}
		}
		for _, d := range emptied {
			report.Dirs = append(report.Dirs, removeEmptied(filepath.ToSlash(dir), d, inUse)...)
		}
	}
	return joinErrors(errs)
}

// removeEmptied removes the directory of a link that is gone, and those above
// it as far as top, as long as they are empty and nobody's. It returns what it
// removed. That a directory is not empty, or cannot be removed, is no error.
func removeEmptied(top, dir string, inUse map[string]bool) (removed []string) {
	rel, below := strings.CutPrefix(path.Clean(dir), strings.TrimSuffix(path.Clean(top), "/")+"/")
	if !below {
		return nil
	}
	root, err := os.OpenRoot(top)
	if err != nil {
		return nil
	}
	defer root.Close()
	for ; rel != "."; rel = path.Dir(rel) {
		full := path.Join(top, rel)
		info, err := root.Lstat(rel)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil, !info.IsDir(), inUse[full], root.Remove(rel) != nil:
			return removed
		}
		removed = append(removed, full)
	}
	return removed
}
