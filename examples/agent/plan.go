package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dockpod/dockpod"
)

// Observed is what the engine has, all of it this agent's own. The agent knows
// nothing else: not what it did a moment ago, nor that it was killed then.
type Observed struct {
	Now        time.Time
	Sandboxes  []dockpod.Sandbox
	Containers []dockpod.ContainerStatus
}

// Verb is the kind of an [Action].
type Verb string

// The verbs.
const (
	RunSandbox      Verb = "run the sandbox"
	CreateContainer Verb = "create"
	StartContainer  Verb = "start"
	RemoveContainer Verb = "remove"             // after a stop with grace, if it runs
	StopSandbox     Verb = "stop the sandbox"   // the containers and their logs stay
	RemoveSandbox   Verb = "remove the sandbox" // with its containers
	RemovePod       Verb = "remove the pod"     // after a stop with grace
	Wait            Verb = "wait"               // until At
)

// Action is one step from what there is to what is wanted.
type Action struct {
	Do        Verb
	Pod       string // namespace/name
	UID       string
	Container string // its name; empty for what concerns the sandbox
	Attempt   uint32 // of the container or sandbox, where one is made
	ID        string // the container, or the sandbox, that is acted on
	At        time.Time
	Why       string // for people; may be empty
}

// String is a line for people.
func (a Action) String() string {
	s := a.Pod + ": " + string(a.Do)
	switch {
	case a.Do == Wait:
		s = fmt.Sprintf("%s: %s waits until %s for attempt %d", a.Pod, a.Container, a.At.Local().Format(time.TimeOnly), a.Attempt)
	case a.Container != "":
		s += fmt.Sprintf(" %s, attempt %d", a.Container, a.Attempt)
	case a.Do == RunSandbox:
		s += fmt.Sprintf(", attempt %d", a.Attempt)
	}
	if a.Why != "" {
		s += " (" + a.Why + ")"
	}
	return s
}

// Backoff says how long a container that keeps ending has to wait for its next
// attempt: not at all after its first run, then First, and twice as long each
// time up to Max. A run of Reset or longer is forgiven.
type Backoff struct{ First, Max, Reset time.Duration }

// kubeletBackoff is what Kubernetes' users are used to.
var kubeletBackoff = Backoff{First: 10 * time.Second, Max: 5 * time.Minute, Reset: 10 * time.Minute}

// delay needs no memory: attempts are counted by the engine's names, and the
// engine knows when the last one ran.
func (b Backoff) delay(last dockpod.ContainerStatus) time.Duration {
	if last.Name.Attempt == 0 || last.FinishedAt.Sub(last.StartedAt) >= b.Reset {
		return 0
	}
	d := b.First
	for i := uint32(1); i < last.Name.Attempt && d < b.Max; i++ {
		d *= 2
	}
	return min(d, b.Max)
}

// plan decides what can be done now. Where one step has to be seen done before
// the next is decided, the next is left to the plan after it: so there is no
// difference between going on and starting over.
func plan(want []v1.Pod, have Observed, backoff Backoff) []Action {
	var actions []Action
	wanted := map[string]bool{}
	for _, p := range want {
		wanted[string(p.UID)] = true
	}
	exists := map[string]bool{}  // sandboxes by ID
	leaving := map[string]bool{} // pods by name, of which an old version is there
	for _, s := range sorted(have.Sandboxes, func(s dockpod.Sandbox) dockpod.Name { return s.Name }) {
		exists[s.ID] = true
		if !wanted[s.Name.UID] {
			leaving[fullName(s.Name)] = true
			actions = append(actions, Action{Do: RemovePod, Pod: fullName(s.Name), UID: s.Name.UID, ID: s.ID})
		}
	}
	containers := sorted(have.Containers, func(c dockpod.ContainerStatus) dockpod.Name { return c.Name })
	byPod := map[string][]dockpod.ContainerStatus{} // by UID
	for _, c := range containers {
		if exists[c.SandboxID] {
			byPod[c.Name.UID] = append(byPod[c.Name.UID], c)
			continue
		}
		leaving[fullName(c.Name)] = true
		actions = append(actions, removal(c, "its sandbox is gone"))
	}
	for _, pod := range want {
		if leaving[podName(pod)] {
			continue // it may hold the new one's ports
		}
		sandboxes := slices.DeleteFunc(slices.Clone(have.Sandboxes), func(s dockpod.Sandbox) bool { return s.Name.UID != string(pod.UID) })
		actions = append(actions, planPod(pod, sandboxes, byPod[string(pod.UID)], have.Now, backoff)...)
	}
	return actions
}

// planPod is the plan for a pod whose sandboxes and containers are these, the
// containers by name and attempt.
func planPod(pod v1.Pod, sandboxes []dockpod.Sandbox, containers []dockpod.ContainerStatus, now time.Time, backoff Backoff) []Action {
	// Of two sandboxes that are ready, the newer one counts.
	slices.SortFunc(sandboxes, func(a, b dockpod.Sandbox) int { return cmp.Compare(b.Name.Attempt, a.Name.Attempt) })
	ready := ""
	attempt := uint32(0) // of the next sandbox
	for _, s := range sandboxes {
		attempt = max(attempt, s.Name.Attempt+1)
		if s.State == dockpod.SandboxReady && ready == "" {
			ready = s.ID
		}
	}
	var actions []Action
	finished, create := true, false
	for _, c := range pod.Spec.Containers {
		attempts := slices.DeleteFunc(slices.Clone(containers), func(s dockpod.ContainerStatus) bool { return s.Name.Container != c.Name })
		steps, done := planContainer(pod, c.Name, attempts, ready, now, backoff)
		finished = finished && done
		for _, a := range steps {
			if a.Do == CreateContainer && ready == "" {
				create = true
				continue // the sandbox first
			}
			actions = append(actions, a)
		}
	}
	about := Action{Pod: podName(pod), UID: string(pod.UID)}
	for _, s := range sandboxes {
		empty := !slices.ContainsFunc(containers, func(c dockpod.ContainerStatus) bool { return c.SandboxID == s.ID })
		a := about
		a.ID = s.ID
		switch {
		case s.ID == ready && finished:
			a.Do, a.Why = StopSandbox, "the pod has ended"
		case s.ID == ready:
			continue
		case s.State == dockpod.SandboxReady:
			a.Do, a.Why = RemoveSandbox, "there is a newer one"
		case empty:
			// It ended, or the agent did before it was started.
			a.Do, a.Why = RemoveSandbox, "it does not run"
		default:
			continue // it is remembered for what its containers did
		}
		actions = append(actions, a)
	}
	if create {
		a := about
		a.Do, a.Attempt = RunSandbox, attempt
		actions = append(actions, a)
	}
	return actions
}

// planContainer is the plan for the attempts, in their order, of one
// container. ready is the sandbox that it belongs into, if there is one. done
// tells that it has ended and its policy lets it rest.
func planContainer(pod v1.Pod, name string, attempts []dockpod.ContainerStatus, ready string, now time.Time, backoff Backoff) (actions []Action, done bool) {
	next := Action{Do: CreateContainer, Pod: podName(pod), UID: string(pod.UID), Container: name, ID: ready}
	if len(attempts) == 0 {
		return []Action{next}, false
	}
	last := attempts[len(attempts)-1]
	next.Attempt = last.Name.Attempt + 1
	old := attempts[:len(attempts)-1]
	if len(old) > 0 && last.State != dockpod.StateExited {
		old = old[:len(old)-1] // the end of one attempt is kept, for its reason and log
	}
	for _, c := range old {
		actions = append(actions, removal(c, "there are newer attempts"))
	}
	switch {
	case last.EngineState == "removing":
		actions = append(actions, removal(last, "its removal has begun"))
	case last.State == dockpod.StateUnknown:
		// Better not touched.
	case last.State != dockpod.StateExited && last.SandboxID != ready:
		actions = append(actions, removal(last, "its sandbox does not run"))
	case last.State == dockpod.StateRunning:
	case last.State == dockpod.StateCreated:
		actions = append(actions, Action{Do: StartContainer, Pod: next.Pod, UID: next.UID, Container: name, Attempt: last.Name.Attempt, ID: last.ID})
	case pod.Spec.RestartPolicy == v1.RestartPolicyNever,
		pod.Spec.RestartPolicy == v1.RestartPolicyOnFailure && last.Reason == dockpod.ReasonCompleted:
		return actions, true
	default:
		next.Why = fmt.Sprintf("the last one: %s, exit code %d", last.Reason, last.ExitCode)
		if at := last.FinishedAt.Add(backoff.delay(last)); now.Before(at) {
			next.Do, next.At = Wait, at
		}
		actions = append(actions, next)
	}
	return actions, false
}

func removal(c dockpod.ContainerStatus, why string) Action {
	return Action{
		Do: RemoveContainer, Pod: fullName(c.Name), UID: c.Name.UID,
		Container: c.Name.Container, Attempt: c.Name.Attempt, ID: c.ID, Why: why,
	}
}

func fullName(n dockpod.Name) string { return n.Namespace + "/" + n.Pod }

// sorted sorts by pod, container and attempt.
func sorted[T any](list []T, name func(T) dockpod.Name) []T {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b T) int {
		x, y := name(a), name(b)
		return cmp.Or(
			cmp.Compare(fullName(x), fullName(y)), cmp.Compare(x.UID, y.UID),
			cmp.Compare(x.Container, y.Container), cmp.Compare(x.Attempt, y.Attempt))
	})
	return list
}
