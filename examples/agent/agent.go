package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	v1 "k8s.io/api/core/v1"

	"github.com/dockpod/dockpod"
)

// agent keeps pods as they are wanted. What it remembers is for its log and
// for a folder that is being edited; after a restart it does without.
type agent struct {
	rt      *dockpod.Runtime
	pods    func(context.Context) ([]v1.Pod, error) // what is wanted
	logs    string                                  // where logs are linked, and nothing else is; empty: nowhere
	volumes string                                  // where the directories of emptyDirs are, and nothing else is
	backoff Backoff
	every   time.Duration // how often to look
	log     *log.Logger

	linked bool // the links to the logs were looked at

	last []v1.Pod        // wanted when that could last be read; nil: never
	said map[string]bool // what was logged at the last look
}

// run works until ctx ends. With once it returns when there is nothing more to
// do for now, or when something could not be done.
func (a *agent) run(ctx context.Context, once bool) error {
	for stuck := 0; ; {
		now, news := map[string]bool{}, false
		say := func(line string) {
			if now[line] = true; !a.said[line] {
				news = true
				a.log.Print(line)
			}
		}
		acted, wake, err := a.look(ctx, say)
		if acted && !news {
			stuck++
		} else {
			stuck = 0
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case once && (err != nil || !acted), a.last == nil:
			return err
		case once && stuck == 3:
			return errors.New("the engine does not get on with what it is asked for")
		case err != nil:
			say("error: " + err.Error())
		case acted && news:
			wake = time.Now() // what comes next shows only now
		}
		a.said = now
		select {
		case <-time.After(time.Until(wake)):
		case <-ctx.Done():
		}
	}
}

// look compares once what there is with what is wanted, and acts on it. wake
// is when to look again. A pull or a stop takes its time, and the other pods
// wait for it; a bigger agent has a goroutine for each.
func (a *agent) look(ctx context.Context, say func(string)) (acted bool, wake time.Time, err error) {
	wake = time.Now().Add(a.every)
	want, err := a.pods(ctx)
	switch {
	case err == nil:
		a.last = want
	case a.last == nil || ctx.Err() != nil:
		return false, wake, err // nobody knows what is wanted
	default:
		say("going on with the last manifests: " + err.Error())
		want = a.last
	}
	if !a.linked {
		if err := a.relink(ctx, say); err != nil {
			return false, wake, err
		}
		a.linked = true
	}
	have, err := a.observe(ctx)
	if err != nil {
		return false, wake, err
	}
	actions := plan(want, have, a.backoff)
	for _, act := range actions {
		say(act.String())
		if act.Do != Wait {
			acted = true
		} else if act.At.Before(wake) {
			wake = act.At
		}
	}
	if !acted {
		return false, wake, a.sweep(want, have)
	}
	return true, wake, a.do(ctx, want, actions)
}

// relink makes the links to the logs right again, once in the agent's life: it
// may have died between a start and its link, and links may have gone meanwhile.
func (a *agent) relink(ctx context.Context, say func(string)) error {
	report, err := a.rt.ReconcileLogLinks(ctx)
	for _, problem := range report.Problems {
		say("log link: " + problem.Error())
	}
	return err
}

// observe looks at all that the engine has of this agent. Containers come
// first: a sandbox that comes into being between the two lists has none.
func (a *agent) observe(ctx context.Context) (Observed, error) {
	list, err := a.rt.ListContainers(ctx, dockpod.Filter{Fast: true}) // the status tells more
	if err != nil {
		return Observed{}, err
	}
	ids := make([]string, len(list))
	for i, c := range list {
		ids[i] = c.ID
	}
	var have Observed
	for st, err := range a.rt.ContainerStatuses(ctx, ids...) {
		if errdefs.IsNotFound(err) {
			continue // removed since it was listed
		}
		if err != nil {
			return Observed{}, err
		}
		have.Containers = append(have.Containers, st)
	}
	if have.Sandboxes, err = a.rt.ListSandboxes(ctx, dockpod.SandboxFilter{}); err != nil {
		return Observed{}, err
	}
	have.Now = time.Now()
	return have, nil
}

// do carries out a plan: what concerns one pod in order, the pods beside each
// other. A step that fails does not keep the others: none needs the one before.
func (a *agent) do(ctx context.Context, want []v1.Pod, actions []Action) error {
	byPod := map[string][]Action{}
	for _, act := range actions {
		byPod[act.UID] = append(byPod[act.UID], act)
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for uid, actions := range byPod {
		var pod v1.Pod // zero if it is to leave
		if i := slices.IndexFunc(want, func(p v1.Pod) bool { return string(p.UID) == uid }); i >= 0 {
			pod = want[i]
		}
		wg.Go(func() {
			for _, act := range actions {
				if err := a.step(ctx, pod, act); err != nil {
					mu.Lock()
					errs = append(errs, fmt.Errorf("%s: %w", act.Pod, err))
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (a *agent) step(ctx context.Context, pod v1.Pod, act Action) error {
	switch act.Do {
	case RunSandbox:
		_, err := a.rt.RunSandbox(ctx, sandboxOf(pod, act.Attempt, a.logs))
		return err
	case CreateContainer:
		return a.create(ctx, pod, act)
	case StartContainer:
		return a.rt.StartContainer(ctx, act.ID)
	case StopSandbox:
		return a.rt.StopSandbox(ctx, act.ID, 0) // its containers have ended
	case RemoveSandbox:
		return a.rt.RemoveSandbox(ctx, act.ID)
	case RemoveContainer:
		if err := a.rt.StopContainer(ctx, act.ID, graceOf(pod)); err != nil {
			return err
		}
		return a.rt.RemoveContainer(ctx, act.ID)
	case RemovePod:
		return a.removePod(ctx, act)
	}
	return nil
}

func (a *agent) create(ctx context.Context, pod v1.Pod, act Action) error {
	c := pod.Spec.Containers[slices.IndexFunc(pod.Spec.Containers, func(c v1.Container) bool { return c.Name == act.Container })]
	image, err := a.rt.EnsureImage(ctx, c.Image, dockpod.PullPolicy(c.ImagePullPolicy), dockpod.PullOptions{})
	if err != nil {
		return err
	}
	if err := checkNonRoot(pod, c, image); err != nil {
		return err
	}
	if err := makeVolumes(pod, a.volumes); err != nil {
		return err
	}
	// The sandbox's own configuration, as the engine remembers it: this
	// agent may have been started with other flags since.
	sandbox, err := a.rt.SandboxStatus(ctx, act.ID)
	if err != nil {
		return err
	}
	_, err = a.rt.CreateContainer(ctx, act.ID, containerOf(pod, c, act.Attempt, a.volumes), sandbox.Config)
	return err
}

// removePod asks the sandbox for the pod's grace: the manifest is gone.
func (a *agent) removePod(ctx context.Context, act Action) error {
	sandbox, err := a.rt.SandboxStatus(ctx, act.ID)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := a.rt.StopSandbox(ctx, act.ID, storedGrace(sandbox.Annotations)); err != nil {
		return err
	}
	return a.rt.RemoveSandbox(ctx, act.ID)
}

// sweep removes the directories of pods that are gone. Their names end in the
// pod's UID.
func (a *agent) sweep(want []v1.Pod, have Observed) error {
	there := map[string]bool{}
	for _, p := range want {
		there[string(p.UID)] = true
	}
	for _, s := range have.Sandboxes {
		there[s.Name.UID] = true
	}
	for _, dir := range []string{a.logs, a.volumes} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if m := podDirectory.FindStringSubmatch(e.Name()); m == nil || there[m[1]] {
				continue
			}
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

var podDirectory = regexp.MustCompile(`^(?:.*_)?([0-9a-f]{32})$`)
