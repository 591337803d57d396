package conformance

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/conformance/internal/prog"
	"github.com/dockpod/dockpod/internal/imagetar"
)

var containerCases = []testCase{
	// From create to exit.

	{"a container is created, runs and exits", func(t *testing.T, w *world) {
		id := w.alone(t, "sleep")
		equal(t, "created", brief{State: dockpod.StateCreated}, w.brief(t, id))
		w.run(t, id)
		w.hears(t, id, "up")
		equal(t, "running", brief{State: dockpod.StateRunning, Started: true, PID: true}, w.brief(t, id))
		must(t, w.rt.StopContainer(t.Context(), id, time.Minute))
		equal(t, "exited", brief{State: dockpod.StateExited, Reason: dockpod.ReasonCompleted, Started: true, Finished: true}, w.brief(t, id))
	}},
	{"the times of a container follow each other", func(t *testing.T, w *world) {
		st := w.status(t, w.ended(t, "exit", "0"))
		if times := []time.Time{st.CreatedAt, st.StartedAt, st.FinishedAt}; !slices.IsSortedFunc(times, time.Time.Compare) {
			t.Errorf("created, started and finished at %v", times)
		}
	}},
	{"the exit code is the process's", func(t *testing.T, w *world) {
		for code, reason := range map[string]string{"0": dockpod.ReasonCompleted, "3": dockpod.ReasonError, "126": dockpod.ReasonError, "127": dockpod.ReasonError} {
			st := w.status(t, w.ended(t, "exit", code))
			equal(t, "reason of exit "+code, reason, st.Reason)
			equal(t, "exit code", code, strconv.Itoa(st.ExitCode))
		}
	}},
	{"a missing executable cannot be run", func(t *testing.T, w *world) {
		c := w.container("app")
		c.Command = []string{"/missing"}
		err := w.rt.StartContainer(t.Context(), w.made(t, c))
		fails(t, err, dockpod.ErrCannotRun)
		if !errdefs.IsInvalidArgument(err) {
			t.Errorf("the class of %v is not InvalidArgument", err)
		}
	}},
	{"a file without the right to execute it cannot be run", func(t *testing.T, w *world) {
		c := w.container("app")
		c.Command = []string{"/plain"}
		fails(t, w.rt.StartContainer(t.Context(), w.made(t, c)), dockpod.ErrCannotRun)
	}},
	{"a user that the image does not know fails the start", func(t *testing.T, w *world) {
		c := w.container("app", "sleep")
		c.SecurityContext.RunAsUserName = "unknown"
		err := w.rt.StartContainer(t.Context(), w.made(t, c))
		if err == nil || errors.Is(err, dockpod.ErrCannotRun) || errors.Is(err, dockpod.ErrContainerNotFound) {
			t.Errorf("error is %v; want one of the engine's own", err)
		}
	}},
	{"a container that failed to start has exited", func(t *testing.T, w *world) {
		w.needs(t, "failed starts")
		for _, failure := range []struct {
			of     string
			code   int
			spoilt func(c *dockpod.ContainerConfig)
		}{
			{"a missing executable", 127, func(c *dockpod.ContainerConfig) { c.Command = []string{"/missing"} }},
			{"a plain file", 126, func(c *dockpod.ContainerConfig) { c.Command = []string{"/plain"} }},
			{"an unknown user", 128, func(c *dockpod.ContainerConfig) { c.SecurityContext.RunAsUserName = "unknown" }},
		} {
			c := w.container("app", "sleep")
			failure.spoilt(&c)
			id := w.made(t, c)
			if err := w.rt.StartContainer(t.Context(), id); err == nil {
				t.Errorf("%s was started", failure.of)
			}
			want := brief{State: dockpod.StateExited, Reason: dockpod.ReasonContainerCannotRun, ExitCode: failure.code, Started: true, Finished: true}
			equal(t, failure.of, want, w.brief(t, id))
			if w.status(t, id).Message == "" {
				t.Errorf("%s left no message", failure.of)
			}
		}
	}},
	{"starting what runs is no error", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		before := w.status(t, id)
		w.run(t, id)
		equal(t, "status", before, w.status(t, id))
	}},
	{"starting what is not there is an error", func(t *testing.T, w *world) {
		fails(t, w.rt.StartContainer(t.Context(), w.gone(t)), dockpod.ErrContainerNotFound)
	}},
	{"what has exited is not started again", func(t *testing.T, w *world) {
		id := w.ended(t, "exit", "3")
		before := w.status(t, id)
		fails(t, w.rt.StartContainer(t.Context(), id), dockpod.ErrAlreadyRan)
		equal(t, "status", before, w.status(t, id))
	}},
	{"what failed to start is not started again", func(t *testing.T, w *world) {
		w.needs(t, "failed starts")
		fails(t, w.rt.StartContainer(t.Context(), w.failed(t)), dockpod.ErrAlreadyRan)
	}},
	{"WithRestart starts again what has exited", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		must(t, w.rt.StopContainer(t.Context(), id, time.Minute))
		first := w.status(t, id)
		must(t, w.with(dockpod.WithRestart()).StartContainer(t.Context(), id))
		again := w.status(t, id)
		equal(t, "running again", brief{State: dockpod.StateRunning, Started: true, PID: true}, w.brief(t, id))
		equal(t, "name with its attempt", first.Name, again.Name)
		if !again.StartedAt.After(first.FinishedAt) {
			t.Errorf("started again at %v, after the first run's end at %v", again.StartedAt, first.FinishedAt)
		}
	}},
	{"a start and a stop at once both succeed", func(t *testing.T, w *world) {
		id := w.alone(t, "sleep")
		must(t, errors.Join(together(2, func(i int) error {
			if i == 0 {
				return w.rt.StartContainer(t.Context(), id)
			}
			return w.rt.StopContainer(t.Context(), id, 0)
		})...))
		must(t, w.rt.StopContainer(t.Context(), id, 0))
		equal(t, "state", dockpod.StateExited, w.status(t, id).State)
	}},

	// A sandbox that goes before its containers.

	{"a start without the sandbox is ErrSandboxGone, not a container that is not found", func(t *testing.T, w *world) {
		w.needs(t, "loose sandboxes")
		sandbox, s := w.ready(t)
		id := w.create(t, sandbox, w.container("app", "sleep"), s)
		w.tear(t, sandbox)
		err := w.rt.StartContainer(t.Context(), id)
		fails(t, err, dockpod.ErrSandboxGone)
		if errdefs.IsNotFound(err) {
			t.Errorf("the class of %v is NotFound, and the container is there", err)
		}
	}},
	{"a start in a sandbox that was stopped is ErrSandboxGone", func(t *testing.T, w *world) {
		w.needs(t, "loose sandboxes")
		sandbox, s := w.ready(t)
		id := w.create(t, sandbox, w.container("app", "sleep"), s)
		must(t, w.rt.StopSandbox(t.Context(), sandbox, 0))
		fails(t, w.rt.StartContainer(t.Context(), id), dockpod.ErrSandboxGone)
	}},
	{"a restart that fails leaves the outcome of the run before", func(t *testing.T, w *world) {
		w.needs(t, "loose sandboxes")
		sandbox, s := w.ready(t)
		id := w.start(t, sandbox, w.container("app", "exit", "3"), s)
		before := w.finished(t, id)
		w.tear(t, sandbox)
		fails(t, w.with(dockpod.WithRestart()).StartContainer(t.Context(), id), dockpod.ErrSandboxGone)
		after := w.status(t, id)
		equal(t, "exit code", before.ExitCode, after.ExitCode)
		equal(t, "reason", before.Reason, after.Reason)
		equal(t, "end", before.FinishedAt, after.FinishedAt)
		if after.StartError == "" {
			t.Error("the status does not tell of the failed start")
		}
	}},
	{"containers without their sandbox are orphans", func(t *testing.T, w *world) {
		w.needs(t, "loose sandboxes")
		sandbox, s := w.ready(t)
		id := w.create(t, sandbox, w.container("app"), s)
		w.alone(t) // never had one
		orphans := func() []string {
			list, err := w.rt.ListOrphans(t.Context())
			must(t, err)
			return idsOf(list)
		}
		equal(t, "orphans", []string{}, orphans())
		w.tear(t, sandbox)
		equal(t, "orphans", []string{id}, orphans())
	}},

	// Stop.

	{"a stop sends the signal and lets the process end", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		must(t, w.rt.StopContainer(t.Context(), id, time.Minute))
		equal(t, "exit code", 0, w.status(t, id).ExitCode)
	}},
	{"a stop kills what outlives the grace", func(t *testing.T, w *world) {
		id := w.up(t, "stubborn")
		must(t, w.rt.StopContainer(t.Context(), id, time.Second))
		st := w.status(t, id)
		equal(t, "reason", dockpod.ReasonError, st.Reason)
		if n, ok := st.Signal(); n != 9 || !ok {
			t.Errorf("ended by signal %d, %t; want 9", n, ok)
		}
		equal(t, "said", "up\ngot SIGTERM\n", w.said(t, id))
	}},
	{"the grace of a stop is the caller's, not the container's", func(t *testing.T, w *world) {
		c, none := w.container("app", "linger"), time.Duration(0)
		c.StopTimeout = &none
		id := w.started(t, c)
		w.hears(t, id, "up")
		must(t, w.rt.StopContainer(t.Context(), id, time.Minute))
		equal(t, "exit code", 0, w.status(t, id).ExitCode)
	}},
	{"a grace of less than nothing is none", func(t *testing.T, w *world) {
		id := w.up(t, "stubborn")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel() // some engine would wait for ever
		must(t, w.rt.StopContainer(ctx, id, -time.Minute))
		equal(t, "exit code", 137, w.status(t, id).ExitCode)
	}},
	{"a stop ends what is paused", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		w.pause(t, id)
		must(t, w.rt.StopContainer(t.Context(), id, time.Second))
		equal(t, "state", dockpod.StateExited, w.status(t, id).State)
	}},
	{"stopping what does not run is no error and changes nothing", func(t *testing.T, w *world) {
		for _, id := range []string{w.alone(t), w.ended(t, "exit", "3")} {
			before := w.status(t, id)
			must(t, w.rt.StopContainer(t.Context(), id, time.Minute))
			equal(t, "status", before, w.status(t, id))
		}
		must(t, w.rt.StopContainer(t.Context(), w.gone(t), time.Minute))
	}},
	{"a stop that its caller gives up is carried out all the same", func(t *testing.T, w *world) {
		id := w.up(t, "stubborn")
		ctx, giveUp := context.WithCancel(t.Context())
		defer giveUp()
		stopped := make(chan error, 1)
		go func() { stopped <- w.rt.StopContainer(ctx, id, 2*time.Second) }()
		w.hears(t, id, "got SIGTERM")
		giveUp()
		fails(t, <-stopped, context.Canceled)
		equal(t, "exit code", 137, w.finished(t, id).ExitCode)
	}},

	// Remove.

	{"a removal kills what runs", func(t *testing.T, w *world) {
		id := w.up(t, "stubborn")
		must(t, w.rt.RemoveContainer(t.Context(), id))
		_, err := w.rt.ContainerStatus(t.Context(), id)
		fails(t, err, dockpod.ErrContainerNotFound)
	}},
	{"WithoutForcedRemoval keeps what runs", func(t *testing.T, w *world) {
		gentle := w.with(dockpod.WithoutForcedRemoval())
		id := w.up(t, "sleep")
		fails(t, gentle.RemoveContainer(t.Context(), id), dockpod.ErrRunning)
		equal(t, "state", dockpod.StateRunning, w.status(t, id).State)
		must(t, gentle.StopContainer(t.Context(), id, time.Minute))
		must(t, gentle.RemoveContainer(t.Context(), id))
	}},
	{"WithoutForcedRemoval keeps what is paused", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		w.pause(t, id)
		fails(t, w.with(dockpod.WithoutForcedRemoval()).RemoveContainer(t.Context(), id), dockpod.ErrRunning)
		equal(t, "state of the engine", "paused", w.status(t, id).EngineState)
	}},
	{"a removal takes the anonymous volumes with it", func(t *testing.T, w *world) {
		volumes := w.volumes(t)
		ref := w.name("volumes:1")
		w.moreOf(t, imagetar.Image{Refs: []string{ref}, Volumes: map[string]struct{}{"/data": {}}})
		id := w.made(t, dockpod.ContainerConfig{Name: "app", Image: ref, Command: []string{"/x"}})
		volume := w.status(t, id).Mounts[0].Volume
		_, err := volumes.VolumeInspect(t.Context(), volume)
		must(t, err)
		must(t, w.rt.RemoveContainer(t.Context(), id))
		if _, err := volumes.VolumeInspect(t.Context(), volume); !errdefs.IsNotFound(err) {
			t.Errorf("volume %s after the removal: error is %v; want not found", volume, err)
		}
	}},
	{"removing what is gone is no error", func(t *testing.T, w *world) {
		must(t, w.rt.RemoveContainer(t.Context(), w.gone(t)))
	}},
	{"eight removers of one container all succeed", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		must(t, errors.Join(together(8, func(int) error { return w.rt.RemoveContainer(t.Context(), id) })...))
		equal(t, "list", []string{}, w.ids(t, dockpod.Filter{}))
	}},

	// Wait.

	{"a wait for what does not run returns at once", func(t *testing.T, w *world) {
		equal(t, "created", dockpod.StateCreated, w.finished(t, w.alone(t)).State)
		equal(t, "exited", 3, w.finished(t, w.ended(t, "exit", "3")).ExitCode)
	}},
	{"a wait lasts until the container ends and brings its status", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		var waited dockpod.ContainerStatus
		must(t, errors.Join(together(2, func(i int) (err error) {
			if i == 0 {
				waited, err = w.rt.Wait(until(t, patience), id)
				return err
			}
			return w.rt.StopContainer(t.Context(), id, time.Minute)
		})...))
		equal(t, "status", w.status(t, id), waited)
	}},
	{"a wait ends when the container is removed", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		errs := together(2, func(i int) error {
			if i == 0 {
				_, err := w.rt.Wait(until(t, patience), id)
				return err
			}
			return w.rt.RemoveContainer(t.Context(), id)
		})
		must(t, errs[1])
		if errs[0] != nil { // else it saw the exit before the removal
			fails(t, errs[0], dockpod.ErrContainerNotFound)
		}
	}},
	{"a wait ends with its caller's context", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := w.rt.Wait(ctx, id)
		fails(t, err, context.DeadlineExceeded)
		if errors.Is(err, dockpod.ErrTimeout) {
			t.Errorf("%v speaks of the library's own deadline", err)
		}
	}},

	// Signals.

	{"a signal has three spellings", func(t *testing.T, w *world) {
		w.needs(t, "signals")
		id := w.up(t, "stubborn")
		for _, signal := range []struct{ spelling, name string }{{"SIGHUP", "SIGHUP"}, {"TERM", "SIGTERM"}, {"2", "SIGINT"}} {
			must(t, w.rt.Kill(t.Context(), id, signal.spelling))
			w.hears(t, id, "got "+signal.name)
		}
	}},
	{"the signal of a kill that names none is SIGKILL", func(t *testing.T, w *world) {
		w.needs(t, "signals")
		id := w.up(t, "stubborn")
		must(t, w.rt.Kill(t.Context(), id, ""))
		if n, ok := w.finished(t, id).Signal(); n != 9 || !ok {
			t.Errorf("ended by signal %d, %t; want 9", n, ok)
		}
	}},
	{"only what runs gets a signal", func(t *testing.T, w *world) {
		w.needs(t, "signals")
		fails(t, w.rt.Kill(t.Context(), w.alone(t), "TERM"), dockpod.ErrNotRunning)
		fails(t, w.rt.Kill(t.Context(), w.ended(t, "exit", "0"), "TERM"), dockpod.ErrNotRunning)
		fails(t, w.rt.Kill(t.Context(), w.gone(t), "TERM"), dockpod.ErrContainerNotFound)
	}},

	// Update.

	{"an update changes the limits that it names", func(t *testing.T, w *world) {
		w.needs(t, "updates")
		w.needs(t, "swap limits")
		c := w.container("app", "sleep")
		c.Resources = dockpod.Resources{MemoryLimit: 64 << 20, CPUShares: 256, CPUQuota: 20000, CPUPeriod: 100000}
		id := w.started(t, c)
		must(t, w.rt.UpdateContainer(t.Context(), id, dockpod.Resources{MemoryLimit: 128 << 20, CPUQuota: 50000}))
		want := dockpod.Resources{MemoryLimit: 128 << 20, MemorySwapLimit: 128 << 20, CPUShares: 256, CPUQuota: 50000, CPUPeriod: 100000}
		equal(t, "resources", want, w.status(t, id).Resources)
	}},
	{"an update of what engines set at creation only is refused", func(t *testing.T, w *world) {
		err := w.rt.UpdateContainer(t.Context(), w.alone(t), dockpod.Resources{OOMScoreAdj: 100})
		equal(t, "field", "Resources.OOMScoreAdj", refused[*dockpod.UnsupportedError](t, err).Field)
	}},
	{"an update of what is not there is an error", func(t *testing.T, w *world) {
		w.needs(t, "updates")
		fails(t, w.rt.UpdateContainer(t.Context(), w.gone(t), dockpod.Resources{CPUShares: 2}), dockpod.ErrContainerNotFound)
	}},

	// Status.

	{"the status of what is not there is an error of the class NotFound", func(t *testing.T, w *world) {
		_, err := w.rt.ContainerStatus(t.Context(), w.gone(t))
		fails(t, err, dockpod.ErrContainerNotFound)
		if !errdefs.IsNotFound(err) {
			t.Errorf("the class of %v is not NotFound", err)
		}
	}},
	{"a status has the full ID, whatever was asked for", func(t *testing.T, w *world) {
		id := w.alone(t)
		equal(t, "ID", id, w.status(t, id[:12]).ID)
		equal(t, "length", 64, len(id))
	}},
	{"a sandbox is no container", func(t *testing.T, w *world) {
		id, _ := w.ready(t)
		_, err := w.rt.ContainerStatus(t.Context(), id)
		fails(t, err, dockpod.ErrNotManaged)
		fails(t, w.rt.StartContainer(t.Context(), id), dockpod.ErrNotManaged)
		fails(t, w.rt.StopContainer(t.Context(), id, 0), dockpod.ErrNotManaged)
		fails(t, w.rt.RemoveContainer(t.Context(), id), dockpod.ErrNotManaged)
	}},
	{"a process that the kernel killed for want of memory is said to be", func(t *testing.T, w *world) {
		w.needs(t, "OOM kills")
		c := w.container("app", "use", "256", "0")
		c.Resources.MemoryLimit = 32 << 20
		var got []any
		// A busy engine may hear of the kill behind the end, and has lost it
		// then.
		for try := 0; try < 5 && !slices.Contains(got, any(true)); try++ {
			c.Attempt = attempts.Add(1)
			id := w.started(t, c)
			if d, ok := w.docker.(interface{ OOMKill(id string) }); ok {
				d.OOMKill(id)
			}
			st := w.finished(t, id)
			got = []any{st.Reason, st.ExitCode, st.OOMObserved}
		}
		equal(t, "reason and exit code", []any{dockpod.ReasonOOMKilled, 137, true}, got)
	}},
	{"the outcome of a health check is in the status", func(t *testing.T, w *world) {
		told := w.listen(t)
		equal(t, "without one", "", w.status(t, w.up(t, "sleep")).Health)
		id := w.healthy(t)
		told.until(t, id, dockpod.EventHealth)
		equal(t, "health", "healthy", w.status(t, id).Health)
	}},
	{"a status tells how often the engine restarted the container", func(t *testing.T, w *world) {
		w.needs(t, "restarts")
		labels := w.raw(t, w.alone(t)).Config.Labels
		id := w.bare(t, func(c *container.Config, h *container.HostConfig) {
			c.Labels = labels
			h.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: 1}
		}, "exit", "3")
		w.startBare(t, id)
		w.eventually(t, "an end after one restart", func() bool { st := w.status(t, id); return st.RestartCount == 1 && st.State == dockpod.StateExited })
	}},
	{"statuses come in the order asked for, each with an error of its own", func(t *testing.T, w *world) {
		first := w.made(t, w.container("first"))
		second := w.made(t, w.container("second"))
		ids := []string{second, w.gone(t), first, second}
		var got []string
		for st, err := range w.rt.ContainerStatuses(t.Context(), ids...) {
			if err != nil {
				fails(t, err, dockpod.ErrContainerNotFound)
				st.Name.Container = "error"
			}
			got = append(got, st.Name.Container)
		}
		equal(t, "statuses", []string{"second", "error", "first", "second"}, got)
	}},
	{"statuses can be broken off", func(t *testing.T, w *world) {
		id := w.alone(t)
		for st, err := range w.rt.ContainerStatuses(t.Context(), slices.Repeat([]string{id}, 20)...) {
			must(t, err)
			equal(t, "ID", id, st.ID)
			break
		}
	}},

	// Lists.

	{"a list of nothing is not nil", func(t *testing.T, w *world) {
		if list := w.list(t, dockpod.Filter{}); list == nil || len(list) > 0 {
			t.Errorf("list is %#v; want an empty one", list)
		}
	}},
	{"a list has the containers and not the sandboxes", func(t *testing.T, w *world) {
		sandbox, s := w.ready(t)
		id := w.create(t, sandbox, w.container("app"), s)
		equal(t, "list", []string{id}, w.ids(t, dockpod.Filter{}))
	}},
	{"a list has the newest first", func(t *testing.T, w *world) {
		w.needs(t, "exact order")
		var want []string
		for _, name := range []string{"b", "c", "a"} {
			want = slices.Insert(want, 0, w.made(t, w.container(name)))
		}
		equal(t, "list", want, idsOf(w.list(t, dockpod.Filter{})))
	}},
	{"the conditions of a filter hold together", func(t *testing.T, w *world) {
		sandbox, s := w.ready(t)
		labelled := func(name, tier string) dockpod.ContainerConfig {
			c := w.container(name, "sleep")
			c.Labels = map[string]string{"tier": tier, "of": "shop"}
			return c
		}
		db := w.create(t, sandbox, labelled("db", "back"), s)
		web := w.start(t, sandbox, labelled("web", "front"), s)
		job := w.ended(t, "exit", "3")
		type labels = map[string]string
		for _, f := range []struct {
			name string
			dockpod.Filter
			want []string
		}{
			{"all", dockpod.Filter{}, []string{job, web, db}},
			{"an ID", dockpod.Filter{ID: web}, []string{web}},
			{"a sandbox", dockpod.Filter{SandboxID: sandbox}, []string{web, db}},
			{"what is created", dockpod.Filter{State: dockpod.StateCreated}, []string{db}},
			{"what runs", dockpod.Filter{State: dockpod.StateRunning}, []string{web}},
			{"what has exited", dockpod.Filter{State: dockpod.StateExited}, []string{job}},
			{"what is unknown", dockpod.Filter{State: dockpod.StateUnknown}, []string{}},
			{"a label", dockpod.Filter{Labels: labels{"of": "shop"}}, []string{web, db}},
			{"two labels", dockpod.Filter{Labels: labels{"of": "shop", "tier": "back"}}, []string{db}},
			{"a label's key", dockpod.Filter{LabelKeys: []string{"tier"}}, []string{web, db}},
			{"another value", dockpod.Filter{Labels: labels{"tier": ""}}, []string{}},
			{"an annotation, which is no label", dockpod.Filter{LabelKeys: []string{"note"}}, []string{}},
			{"all of one", dockpod.Filter{ID: web, SandboxID: sandbox, State: dockpod.StateRunning, Labels: labels{"tier": "front"}, LabelKeys: []string{"of"}}, []string{web}},
			{"an ID in another state", dockpod.Filter{ID: web, State: dockpod.StateExited}, []string{}},
			{"an ID in no sandbox", dockpod.Filter{ID: job, SandboxID: sandbox}, []string{}},
			{"a sandbox that is none", dockpod.Filter{SandboxID: web}, []string{}},
		} {
			equal(t, f.name, sorted(f.want...), w.ids(t, f.Filter))
		}
	}},
	{"a label's value may be empty or hold an equals sign", func(t *testing.T, w *world) {
		c := w.container("app")
		c.Labels = map[string]string{"empty": "", "sum": "a=b=c"}
		id := w.made(t, c)
		for _, f := range []struct {
			key, value string
			want       []string
		}{
			{"empty", "", []string{id}},
			{"sum", "a=b=c", []string{id}},
			{"sum", "a", []string{}},
			{"sum=a", "b=c", []string{}},
			{"absent", "", []string{}},
		} {
			equal(t, f.key+" is "+f.value, f.want, w.ids(t, dockpod.Filter{Labels: map[string]string{f.key: f.value}}))
		}
	}},
	{"an ID in a filter is a full one unless it is called a prefix", func(t *testing.T, w *world) {
		id := w.alone(t)
		equal(t, "full", []string{id}, w.ids(t, dockpod.Filter{ID: id}))
		equal(t, "cut short", []string{}, w.ids(t, dockpod.Filter{ID: id[:12]}))
		equal(t, "prefix", []string{id}, w.ids(t, dockpod.Filter{ID: id[:12], IDPrefix: true}))
		equal(t, "from the middle", []string{}, w.ids(t, dockpod.Filter{ID: id[20:40], IDPrefix: true}))
		equal(t, "of nothing", []string{}, w.ids(t, dockpod.Filter{ID: w.gone(t)}))
	}},
	{"a prefix of several containers is an error", func(t *testing.T, w *world) {
		used := map[string]bool{}
		for c := w.container("app"); ; c.Attempt++ { // 17 have two of one first digit
			digit := w.made(t, c)[:1]
			if used[digit] {
				_, err := w.rt.ListContainers(t.Context(), dockpod.Filter{ID: digit, IDPrefix: true})
				equal(t, "field", "Filter.ID", refused[*dockpod.FieldError](t, err).Field)
				return
			}
			used[digit] = true
		}
	}},
	{"what is paused runs", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		w.pause(t, id)
		equal(t, "list", []string{id}, w.ids(t, dockpod.Filter{State: dockpod.StateRunning}))
		equal(t, "status", brief{State: dockpod.StateRunning, Started: true, PID: true}, w.brief(t, id))
		equal(t, "state of the engine", "paused", w.status(t, id).EngineState)
	}},
	{"what failed to start is listed as exited, and by a fast list as created", func(t *testing.T, w *world) {
		w.needs(t, "failed starts")
		id, fresh := w.failed(t), w.made(t, w.container("fresh"))
		equal(t, "exited", []string{id}, w.ids(t, dockpod.Filter{State: dockpod.StateExited}))
		equal(t, "created", []string{fresh}, w.ids(t, dockpod.Filter{State: dockpod.StateCreated}))
		equal(t, "fast", sorted(fresh, id), w.ids(t, dockpod.Filter{State: dockpod.StateCreated, Fast: true}))
	}},
	{"list and status agree on what is created", func(t *testing.T, w *world) { w.agrees(t, w.alone(t)) }},
	{"list and status agree on what runs", func(t *testing.T, w *world) { w.agrees(t, w.up(t, "sleep")) }},
	{"list and status agree on what is paused", func(t *testing.T, w *world) {
		id := w.up(t, "sleep")
		w.pause(t, id)
		w.agrees(t, id)
	}},
	{"list and status agree on what has exited", func(t *testing.T, w *world) { w.agrees(t, w.ended(t, "exit", "3")) }},
	{"list and status agree on what failed to start", func(t *testing.T, w *world) { w.agrees(t, w.failed(t)) }},
	{"list and status agree on all that a caller gave", func(t *testing.T, w *world) {
		sandbox, s := w.ready(t)
		c := w.container("app")
		c.Attempt = 7
		c.Labels, c.Annotations = map[string]string{"l": "1"}, map[string]string{"a": "2"}
		w.agrees(t, w.create(t, sandbox, c, s))
	}},

	// What names and labels tell.

	{"labels and annotations come back as they were given", func(t *testing.T, w *world) {
		c := w.container("app")
		c.Labels = map[string]string{"empty": "", "sum": "a=b", "größe ✓": "日本 \n\t", dockpod.LabelPodName: "alone"}
		c.Annotations = map[string]string{"empty": "", "json": `{"a": ["x", 1]}`, "empty/größe": "✓", dockpod.LabelRestartCount: "3"}
		id := w.made(t, c)
		st, entry := w.status(t, id), w.list(t, dockpod.Filter{ID: id})[0]
		equal(t, "labels of the status", c.Labels, st.Labels)
		equal(t, "annotations of the status", c.Annotations, st.Annotations)
		equal(t, "labels of the list", c.Labels, entry.Labels)
		equal(t, "annotations of the list", c.Annotations, entry.Annotations)
	}},
	{"a container without labels has empty ones, though the engine has the pod's", func(t *testing.T, w *world) {
		id := w.alone(t)
		equal(t, "labels", map[string]string{}, w.status(t, id).Labels)
		equal(t, "annotations", map[string]string{}, w.status(t, id).Annotations)
		on := w.raw(t, id).Config.Labels
		equal(t, "the engine's", []string{"app", "alone", "test", "alone-uid"},
			[]string{on[dockpod.LabelContainerName], on[dockpod.LabelPodName], on[dockpod.LabelPodNamespace], on[dockpod.LabelPodUID]})
	}},
	{"a name has the pod and the attempt", func(t *testing.T, w *world) {
		c := w.container("app")
		c.Attempt = 4294967295
		id := w.made(t, c)
		want := dockpod.Name{Container: "app", Pod: "alone", Namespace: "test", UID: "alone-uid", Attempt: 4294967295}
		equal(t, "name", want, w.status(t, id).Name)
		equal(t, "the engine's", "/"+w.owner+"_app_alone_test_alone-uid_4294967295", "/"+strings.TrimPrefix(w.raw(t, id).Name, "/"))
	}},
	{"a container that was renamed is known by its labels", func(t *testing.T, w *world) {
		c := w.container("app")
		c.Attempt = 3
		id := w.made(t, c)
		name, labels := w.status(t, id).Name, w.raw(t, id).Config.Labels
		must(t, w.rt.RemoveContainer(t.Context(), id))
		renamed := w.foreign(t, "renamed-"+w.owner, labels)
		equal(t, "list", []string{renamed}, w.ids(t, dockpod.Filter{}))
		equal(t, "name", name, w.status(t, renamed).Name)
	}},
	{"what can be read neither by name nor by labels is left out and reported", func(t *testing.T, w *world) {
		labels := map[string]string{dockpod.LabelOwner: w.owner, dockpod.LabelOwnedType: dockpod.TypeContainer}
		unreadable, id := w.foreign(t, "unreadable-"+w.owner, labels), w.alone(t)
		var skipped []string
		rt := w.with(dockpod.WithSkipped(func(s dockpod.Skipped) {
			fails(t, s.Err, dockpod.ErrNotManaged)
			skipped = append(skipped, s.ID)
		}))
		list, err := rt.ListContainers(t.Context(), dockpod.Filter{})
		must(t, err)
		equal(t, "list", []string{id}, idsOf(list))
		equal(t, "skipped", []string{unreadable}, skipped)
		_, err = rt.ContainerStatus(t.Context(), unreadable)
		fails(t, err, dockpod.ErrNotManaged)
	}},
	{"ListManaged goes by names alone", func(t *testing.T, w *world) {
		unlabelled := w.foreign(t, w.owner+"_app_pod_ns_uid_0", nil)
		w.foreign(t, "other-"+w.owner, nil)
		sandbox, s := w.ready(t)
		id := w.create(t, sandbox, w.container("app"), s)
		for _, managed := range []struct {
			running bool
			want    []string
		}{{false, []string{unlabelled, sandbox, id}}, {true, []string{sandbox}}} {
			list, err := w.rt.ListManaged(t.Context(), managed.running)
			must(t, err)
			got := []string{}
			for _, m := range list {
				got = append(got, m.ID)
			}
			equal(t, "managed", sorted(managed.want...), sorted(got...))
		}
	}},
	{"ListManaged finds what the old dockertools made", func(t *testing.T, w *world) {
		name := dockpod.LegacyName{Container: "app", Hash: 0x1a2b, Pod: "pod", Namespace: "ns", UID: w.owner, Suffix: "0badcafe"}
		id := w.foreign(t, name.String(), nil)
		list, err := dockpod.New(w.docker).ListManaged(t.Context(), false)
		must(t, err)
		i := slices.IndexFunc(list, func(m dockpod.Managed) bool { return m.ID == id })
		if i < 0 {
			t.Fatalf("%q is not in the list", name)
		}
		equal(t, "name", &name, list[i].Legacy)
	}},
}

// agrees holds the entry of a list against the status. A list has the time of
// creation to the second.
func (w *world) agrees(t *testing.T, id string) {
	t.Helper()
	want := w.status(t, id).Container
	want.CreatedAt = want.CreatedAt.Truncate(time.Second)
	equal(t, "list", []dockpod.Container{want}, w.list(t, dockpod.Filter{ID: id}))
}

// volumes is the engine as it tells of volumes, which the library does not ask.
func (w *world) volumes(t *testing.T) volumeInspector {
	t.Helper()
	w.needs(t, "volumes")
	return w.docker.(volumeInspector)
}

type volumeInspector interface {
	VolumeInspect(ctx context.Context, name string) (volume.Volume, error)
}

// healthy runs a container with a health check that succeeds. On a double that
// runs no checks the outcome is decreed.
func (w *world) healthy(t *testing.T) string {
	t.Helper()
	w.needs(t, "health checks")
	c := w.container("app", "sleep")
	c.Attempt = attempts.Add(1)
	c.Healthcheck = &dockpod.Healthcheck{Command: []string{prog.Path, "exit", "0"}, Interval: 100 * time.Millisecond}
	id := w.started(t, c)
	if d, ok := w.docker.(interface{ SetHealth(id, status string) }); ok {
		d.SetHealth(id, "healthy")
	}
	return id
}
