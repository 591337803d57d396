package conformance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/dockpod/dockpod"
)

// engineCases speak to the engine itself, past the library: they are what the
// library takes for granted, and what a double has to do.
var engineCases = []testCase{
	// What an engine says of itself.
	{"an engine answers, with an API that the library speaks", func(t *testing.T, w *world) {
		_, err := w.docker.Ping(t.Context())
		must(t, err)
		v, err := w.docker.ServerVersion(t.Context())
		must(t, err)
		for _, api := range []string{v.APIVersion, w.docker.ClientVersion()} {
			if versions.LessThan(api, dockpod.MinAPIVersion) {
				t.Errorf("API version is %q; want %s or newer", api, dockpod.MinAPIVersion)
			}
		}
		if v.Os != "linux" || v.Arch == "" {
			t.Errorf("engine runs on %q, %q; want linux and an architecture", v.Os, v.Arch)
		}
	}},
	{"an engine names its runtimes and its cgroup driver", func(t *testing.T, w *world) {
		info, err := w.docker.Info(t.Context())
		must(t, err)
		if len(info.Runtimes) == 0 {
			t.Error("no runtime is named")
		}
		if !slices.Contains([]string{"cgroupfs", "systemd", "none"}, info.CgroupDriver) {
			t.Errorf("cgroup driver is %q", info.CgroupDriver)
		}
	}},

	// Names and IDs.
	{"a container is found by its name, its ID and the beginning of its ID", func(t *testing.T, w *world) {
		id := w.bare(t, nil)
		name := strings.TrimPrefix(w.raw(t, id).Name, "/")
		for _, by := range []string{name, id, id[:12]} {
			equal(t, by, id, w.raw(t, by).ID)
		}
	}},
	{"a name has a slash before it wherever it is shown", func(t *testing.T, w *world) {
		name := w.owner + "-named"
		id, err := w.ask(t, name, nil)
		must(t, err)
		equal(t, "inspected name", "/"+name, w.raw(t, id).Name)
		equal(t, "listed names", []string{"/" + name}, w.listing(t, true)[0].Names)
	}},
	{"a name that is held is refused with a text that names both", func(t *testing.T, w *world) {
		name := w.owner + "-held"
		id := w.foreign(t, name, nil)
		_, err := w.ask(t, name, nil)
		w.class(t, "second create", err, errdefs.IsConflict)
		if err != nil && (!strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), name)) {
			t.Errorf("the refusal %q does not name %s and its holder %s", err, name, id)
		}
	}},
	{"of several who want a name at once one gets it", func(t *testing.T, w *world) {
		name := w.owner + "-wanted"
		errs := together(4, func(int) error { _, err := w.ask(t, name, nil); return err })
		got := slices.DeleteFunc(errs, func(err error) bool { return err != nil })
		equal(t, "containers made", 1, len(got))
	}},
	{"a name is free once its container is removed", func(t *testing.T, w *world) {
		name := w.owner + "-free"
		for range 2 {
			id, err := w.ask(t, name, nil)
			must(t, err)
			w.tear(t, id)
		}
	}},
	{"a malformed name is refused", func(t *testing.T, w *world) {
		for _, name := range []string{"_first", "-first", ".first", "a b", "a/b", "a:b", "a*"} {
			_, err := w.ask(t, name, nil)
			w.class(t, fmt.Sprintf("name %q", name), err, errdefs.IsInvalidArgument)
		}
	}},
	{"a name may be longer than any that Kubernetes makes, and case counts", func(t *testing.T, w *world) {
		long := w.owner + "-" + strings.Repeat("n", 600)
		a, b := w.foreign(t, long, nil), w.foreign(t, strings.ToUpper(long), nil)
		if a == b {
			t.Error("two names are one container")
		}
	}},

	// What is refused at creation.
	{"a container of an image that is not there is not found", func(t *testing.T, w *world) {
		_, err := w.ask(t, "", func(c *container.Config, _ *container.HostConfig) { c.Image = "dockpod.io/conformance:absent" })
		if !errdefs.IsNotFound(err) || !strings.Contains(strings.ToLower(err.Error()), "no such image") {
			t.Errorf("error is %v; want a missing image", err)
		}
	}},
	{"a request that cannot be is refused, and nothing is made", func(t *testing.T, w *world) {
		w.needs(t, "classes")
		for what, change := range map[string]func(*container.Config, *container.HostConfig){
			"an unknown runtime":           func(_ *container.Config, h *container.HostConfig) { h.Runtime = "no-runtime" },
			"a relative working directory": func(c *container.Config, _ *container.HostConfig) { c.WorkingDir = "tmp" },
			"a signal that is none":        func(c *container.Config, _ *container.HostConfig) { c.StopSignal = "SIGNONE" },
			"a variable without a name":    func(c *container.Config, _ *container.HostConfig) { c.Env = []string{"=x"} },
			"too little memory":            func(_ *container.Config, h *container.HostConfig) { h.Memory = 1 << 20 },
			"one target of two mounts": func(_ *container.Config, h *container.HostConfig) {
				h.Tmpfs, h.Binds = map[string]string{"/data": ""}, []string{"/tmp:/data"}
			},
		} {
			_, err := w.ask(t, "", change)
			w.class(t, what, err, errdefs.IsInvalidArgument)
		}
		equal(t, "containers", []string{}, w.listed(t, true))
	}},

	// States.
	{"a new container has no times and no process", func(t *testing.T, w *world) {
		id := w.bare(t, nil)
		want := container.State{Status: "created", StartedAt: never, FinishedAt: never}
		equal(t, "state", want, w.state(t, id))
	}},
	{"a running container has a start and a process", func(t *testing.T, w *world) {
		id := w.bareUp(t, "sleep")
		st := w.state(t, id)
		if st.Pid <= 0 || !at(t, st.StartedAt).After(at(t, w.raw(t, id).Created)) {
			t.Errorf("running with PID %d since %q; want both", st.Pid, st.StartedAt)
		}
		want := container.State{Status: "running", Running: true, Pid: st.Pid, StartedAt: st.StartedAt, FinishedAt: never}
		equal(t, "state", want, st)
	}},
	{"an exit code is the process's own", func(t *testing.T, w *world) {
		for _, code := range []int64{0, 7, 255} {
			id := w.bare(t, nil, "exit", fmt.Sprint(code))
			equal(t, "exit code waited for", code, w.exits(t, id))
			// Podman's wait returns while a container is on its way there.
			w.eventually(t, "exited", func() bool { return w.raw(t, id).State.Status != "stopped" })
			st := w.state(t, id)
			want := container.State{Status: "exited", ExitCode: int(code), StartedAt: st.StartedAt, FinishedAt: st.FinishedAt}
			equal(t, "state", want, st)
			// Docker 20.10 notes the start of a short run a little after
			// its end.
			if at(t, st.FinishedAt).Before(at(t, st.StartedAt).Add(-time.Second)) {
				t.Errorf("finished at %s, before the start at %s", st.FinishedAt, st.StartedAt)
			}
		}
	}},
	{"a container that is started again keeps the end of its first run while it runs", func(t *testing.T, w *world) {
		id := w.bareUp(t, "sleep")
		w.stopBare(t, id, 10)
		first := w.state(t, id)
		w.startBare(t, id)
		st := w.state(t, id)
		equal(t, "finish while running", first.FinishedAt, st.FinishedAt)
		equal(t, "state", "running", st.Status)
		if !at(t, st.StartedAt).After(at(t, st.FinishedAt)) {
			t.Errorf("started at %s, not after the end at %s", st.StartedAt, st.FinishedAt)
		}
	}},
	{"starting what runs and stopping what ended change nothing", func(t *testing.T, w *world) {
		id := w.bareUp(t, "sleep")
		before := w.state(t, id)
		w.startBare(t, id)
		equal(t, "state after a second start", before, w.state(t, id))
		w.stopBare(t, id, 10)
		before = w.state(t, id)
		w.stopBare(t, id, 10)
		equal(t, "state after a second stop", before, w.state(t, id))
	}},
	{"stopping what never ran leaves it created", func(t *testing.T, w *world) {
		id := w.bare(t, nil)
		w.stopBare(t, id, 10)
		equal(t, "state", "created", w.state(t, id).Status)
	}},
	{"a paused container runs, and is listed as paused alone", func(t *testing.T, w *world) {
		id := w.bareUp(t, "sleep")
		w.pause(t, id)
		st := w.state(t, id)
		want := container.State{Status: "paused", Running: true, Paused: true, Pid: st.Pid, StartedAt: st.StartedAt, FinishedAt: never}
		equal(t, "state", want, st)
		equal(t, "listed as paused", []string{id}, w.listed(t, false, "status=paused"))
		equal(t, "listed as running", []string{}, w.listed(t, false, "status=running"))
		w.class(t, "pausing again", w.docker.(dockpod.ContainerPauser).ContainerPause(t.Context(), id), errdefs.IsConflict)
		w.unpause(t, id)
		equal(t, "state when thawed", "running", w.state(t, id).Status)
	}},

	// The end of a process.
	{"a stop is asked for by SIGTERM and enforced by SIGKILL", func(t *testing.T, w *world) {
		willing, stubborn := w.bareUp(t, "sleep"), w.bareUp(t, "stubborn")
		w.stopBare(t, willing, 30)
		w.stopBare(t, stubborn, 1)
		equal(t, "exit code after SIGTERM", 0, w.state(t, willing).ExitCode)
		equal(t, "exit code after SIGKILL", 137, w.state(t, stubborn).ExitCode)
		equal(t, "said", "up\ngot SIGTERM\n", w.said(t, stubborn))
	}},
	{"a grace of zero does not wait", func(t *testing.T, w *world) {
		id := w.bareUp(t, "stubborn")
		w.stopBare(t, id, 0)
		equal(t, "exit code", 137, w.state(t, id).ExitCode)
	}},
	{"a container's own stop signal is sent in place of SIGTERM", func(t *testing.T, w *world) {
		id := w.bare(t, func(c *container.Config, _ *container.HostConfig) { c.StopSignal = "SIGHUP" }, "stubborn")
		w.startBare(t, id)
		w.hears(t, id, "up")
		w.stopBare(t, id, 1)
		equal(t, "said", "up\ngot SIGHUP\n", w.said(t, id))
	}},
	{"a paused container can be stopped", func(t *testing.T, w *world) {
		w.needs(t, "stopping the paused")
		id := w.bareUp(t, "sleep")
		w.pause(t, id)
		w.stopBare(t, id, 1)
		equal(t, "state", "exited", w.state(t, id).Status)
	}},
	{"a signal reaches the process, and SIGKILL ends it", func(t *testing.T, w *world) {
		w.needs(t, "signals")
		kill := w.docker.(dockpod.ContainerKiller).ContainerKill
		id := w.bareUp(t, "stubborn")
		must(t, kill(t.Context(), id, "SIGHUP"))
		w.hears(t, id, "got SIGHUP")
		must(t, kill(t.Context(), id, "SIGKILL"))
		equal(t, "exit code", int64(137), w.wait(t, id, container.WaitConditionNotRunning)(t))
		w.class(t, "a signal to what has ended", kill(t.Context(), id, "SIGHUP"), errdefs.IsConflict)
	}},

	// Starts that fail.
	{"a start that fails leaves the container created, with a code and a reason", func(t *testing.T, w *world) {
		w.needs(t, "failed starts")
		for _, c := range []struct {
			what   string
			change func(*container.Config, *container.HostConfig)
			code   int
			class  func(error) bool
		}{
			{"a missing executable", func(c *container.Config, _ *container.HostConfig) { c.Entrypoint = []string{"/missing"} }, 127, errdefs.IsInvalidArgument},
			{"a file that is not executable", func(c *container.Config, _ *container.HostConfig) { c.Entrypoint = []string{"/plain"} }, 126, errdefs.IsInvalidArgument},
			{"an unknown user", func(c *container.Config, _ *container.HostConfig) { c.User = "nobody-here" }, 128, errdefs.IsInternal},
		} {
			id := w.bare(t, c.change)
			for _, try := range []string{"start", "second start"} {
				err := w.docker.ContainerStart(t.Context(), id, container.StartOptions{})
				w.class(t, c.what+", "+try, err, c.class)
				st := w.state(t, id)
				if st.Error == "" {
					t.Errorf("%s: the state gives no reason", c.what)
				}
				want := container.State{Status: "created", ExitCode: c.code, Error: st.Error, StartedAt: never, FinishedAt: never}
				equal(t, c.what+", "+try, want, st)
			}
			must(t, w.docker.ContainerRemove(t.Context(), id, container.RemoveOptions{}))
		}
	}},
	{"a container cannot join the network of one that does not run", func(t *testing.T, w *world) {
		w.needs(t, "loose sandboxes")
		target := w.bare(t, nil)
		id := w.bare(t, func(_ *container.Config, h *container.HostConfig) {
			h.NetworkMode = container.NetworkMode("container:" + target)
		})
		err := w.docker.ContainerStart(t.Context(), id, container.StartOptions{})
		if !errdefs.IsConflict(err) || !strings.Contains(err.Error(), "non running container") {
			t.Errorf("error is %v; want a conflict with a non running container", err)
		}
		w.tear(t, target)
		err = w.docker.ContainerStart(t.Context(), id, container.StartOptions{})
		if err == nil || !strings.Contains(err.Error(), "No such container: "+target) {
			t.Errorf("error is %v; want that the target is not there", err)
		}
		equal(t, "exit code", 128, w.state(t, id).ExitCode)
	}},

	// Removal.
	{"what runs is removed by force alone", func(t *testing.T, w *world) {
		id := w.bareUp(t, "sleep")
		w.class(t, "removal", w.docker.ContainerRemove(t.Context(), id, container.RemoveOptions{}), errdefs.IsConflict)
		equal(t, "state", "running", w.state(t, id).Status)
		must(t, w.docker.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true}))
		w.absent(t, id)
	}},
	{"what is paused is removed by force alone", func(t *testing.T, w *world) {
		id := w.bareUp(t, "sleep")
		w.pause(t, id)
		w.class(t, "removal", w.docker.ContainerRemove(t.Context(), id, container.RemoveOptions{}), errdefs.IsConflict)
		must(t, w.docker.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true}))
		w.absent(t, id)
	}},
	{"what never ran and what has ended are removed without force", func(t *testing.T, w *world) {
		ended := w.bare(t, nil, "exit")
		w.exits(t, ended)
		for _, id := range []string{w.bare(t, nil), ended} {
			must(t, w.docker.ContainerRemove(t.Context(), id, container.RemoveOptions{}))
			w.absent(t, id)
		}
	}},
	{"of removals at once one succeeds, and the others say that it goes or is gone", func(t *testing.T, w *world) {
		id := w.bareUp(t, "sleep")
		errs := together(4, func(int) error {
			return w.docker.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true})
		})
		if !slices.Contains(errs, nil) {
			t.Error("no removal succeeded")
		}
		for _, err := range errs {
			if err != nil && !errdefs.IsConflict(err) && !errdefs.IsNotFound(err) {
				t.Errorf("error is %v; want a conflict or not found", err)
			}
		}
		w.absent(t, id)
	}},
	{"a removal that is under way keeps out a second one", func(t *testing.T, w *world) {
		d, ok := w.docker.(interface {
			Unkillable(id string)
			Exit(id string, code int)
		})
		if !ok {
			t.Skip("no process of this engine can be told to outlive SIGKILL")
		}
		id := w.bareUp(t, "sleep")
		d.Unkillable(id)
		removed := make(chan error, 2)
		for range 2 {
			go func() {
				removed <- w.docker.ContainerRemove(until(t, patience), id, container.RemoveOptions{Force: true})
			}()
		}
		err := <-removed
		if !errdefs.IsConflict(err) || !strings.Contains(err.Error(), "already in progress") {
			t.Errorf("error is %v; want a conflict with a removal in progress", err)
		}
		d.Exit(id, 0)
		must(t, <-removed)
		w.absent(t, id)
	}},
	{"nothing can be done to a container that is not there", func(t *testing.T, w *world) {
		id := strings.Repeat("0123456789abcdef", 4)
		ctx := t.Context()
		for what, do := range map[string]func() error{
			"inspect": func() error { _, err := w.docker.ContainerInspect(ctx, id); return err },
			"start":   func() error { return w.docker.ContainerStart(ctx, id, container.StartOptions{}) },
			"stop":    func() error { return w.docker.ContainerStop(ctx, id, container.StopOptions{}) },
			"remove":  func() error { return w.docker.ContainerRemove(ctx, id, container.RemoveOptions{Force: true}) },
			"logs": func() error {
				_, err := w.docker.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true})
				return err
			},
			"wait": func() error {
				w.needs(t, "waiting")
				_, failed := w.docker.(dockpod.ContainerWaiter).ContainerWait(ctx, id, container.WaitConditionNotRunning)
				return <-failed
			},
			"resize": func() error { return w.docker.ContainerResize(ctx, id, container.ResizeOptions{Height: 24, Width: 80}) },
			"exec create": func() error {
				_, err := w.docker.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: []string{"/prog"}})
				return err
			},
			"exec": func() error { _, err := w.docker.ContainerExecInspect(ctx, id); return err },
		} {
			if err := do(); !errdefs.IsNotFound(err) {
				t.Errorf("%s: error is %v; want not found", what, err)
			}
		}
	}},
	{"an exec needs a running container", func(t *testing.T, w *world) {
		id := w.bare(t, nil)
		_, err := w.docker.ContainerExecCreate(t.Context(), id, container.ExecOptions{Cmd: []string{"/prog", "exit"}})
		w.class(t, "exec", err, errdefs.IsConflict)
	}},

	// Waiting.
	{"a wait for what does not run is over at once", func(t *testing.T, w *world) {
		id := w.bare(t, nil, "exit", "3")
		w.wait(t, id, container.WaitConditionNotRunning)(t) // the code of what never ran differs
		w.exits(t, id)
		equal(t, "code of one that has ended", int64(3), w.wait(t, id, container.WaitConditionNotRunning)(t))
	}},
	{"a wait for the next exit is not over before it", func(t *testing.T, w *world) {
		id := w.bare(t, nil, "exit", "3")
		next := w.wait(t, id, container.WaitConditionNextExit)
		w.startBare(t, id)
		equal(t, "code", int64(3), next(t))
	}},
	{"a wait for the removal ends with it", func(t *testing.T, w *world) {
		id := w.bare(t, nil, "exit", "3")
		removal := w.wait(t, id, container.WaitConditionRemoved)
		w.exits(t, id)
		w.tear(t, id)
		removal(t)
	}},

	// Lists.
	{"a list without All has what runs", func(t *testing.T, w *world) {
		w.bare(t, nil)
		id := w.bareUp(t, "sleep")
		equal(t, "list", []string{id}, w.listed(t, false))
		equal(t, "length of the list of all", 2, len(w.listed(t, true)))
	}},
	{"a list by state has all of that state", func(t *testing.T, w *world) {
		created, running, exited := w.bare(t, nil), w.bareUp(t, "sleep"), w.bare(t, nil, "exit")
		w.exits(t, exited)
		equal(t, "created", []string{created}, w.listed(t, false, "status=created"))
		equal(t, "running", []string{running}, w.listed(t, false, "status=running"))
		equal(t, "exited", []string{exited}, w.listed(t, false, "status=exited"))
		equal(t, "two states", sorted(exited, running), w.listed(t, false, "status=exited", "status=running"))
	}},
	{"a list by a state that is none is refused", func(t *testing.T, w *world) {
		w.needs(t, "classes")
		_, err := w.docker.ContainerList(t.Context(), container.ListOptions{Filters: filters.NewArgs(filters.Arg("status", "unknown"))})
		w.class(t, "list", err, errdefs.IsInvalidArgument)
	}},
	{"a list by labels has what carries them all", func(t *testing.T, w *world) {
		with := func(labels map[string]string) string {
			return w.bare(t, func(c *container.Config, _ *container.HostConfig) { maps.Copy(c.Labels, labels) })
		}
		a, ab, other := with(map[string]string{"a": "1"}), with(map[string]string{"a": "1", "b": "x=y"}), with(map[string]string{"a": "2"})
		equal(t, "a=1", sorted(a, ab), w.listed(t, true, "label=a=1"))
		equal(t, "a=1 and b=x=y", []string{ab}, w.listed(t, true, "label=a=1", "label=b=x=y"))
		equal(t, "a", sorted(a, ab, other), w.listed(t, true, "label=a"))
		equal(t, "b=x", []string{}, w.listed(t, true, "label=b=x"))
		equal(t, "none", []string{}, w.listed(t, true, "label=c"))
	}},
	{"a list by ID has the container that begins so", func(t *testing.T, w *world) {
		id := w.bare(t, nil)
		equal(t, "by the whole ID", []string{id}, w.listed(t, true, "id="+id))
		equal(t, "by its beginning", []string{id}, w.listed(t, true, "id="+id[:12]))
		equal(t, "by an unknown one", []string{}, w.listed(t, true, "id="+strings.Repeat("0", 64)))
	}},
	{"a list has the newest first", func(t *testing.T, w *world) {
		w.needs(t, "exact order")
		ids := []string{w.bare(t, nil), w.bare(t, nil), w.bare(t, nil)}
		var got []string
		for _, c := range w.listing(t, true) {
			got = append(got, c.ID)
		}
		slices.Reverse(ids)
		equal(t, "list", ids, got)
	}},
	{"a list says what an inspection says", func(t *testing.T, w *world) {
		id := w.bareUp(t, "sleep")
		info, got := w.raw(t, id), w.listing(t, true)[0]
		want := container.Summary{
			ID: id, Names: []string{info.Name}, ImageID: info.Image, State: info.State.Status,
			Created: at(t, info.Created).Unix(), Labels: info.Config.Labels,
		}
		equal(t, "entry", want, container.Summary{ID: got.ID, Names: got.Names, ImageID: got.ImageID, State: got.State, Created: got.Created, Labels: got.Labels})
	}},

	// What is kept, and what is filled in.
	{"labels come back as they were given", func(t *testing.T, w *world) {
		want := map[string]string{
			"bare": w.owner, "owner": w.owner, // the first is this case's, the second the image's
			"empty": "", "a.b/c-d": "x=y", "text": "zwei\nZeilen, \"ä\" 日本\t\\", "large": strings.Repeat("v", 64<<10),
		}
		id := w.bare(t, func(c *container.Config, _ *container.HostConfig) { c.Labels = maps.Clone(want) })
		equal(t, "inspected labels", want, w.raw(t, id).Config.Labels)
		equal(t, "listed labels", want, w.listing(t, true)[0].Labels)
	}},
	{"a container has the image's command, variables and labels unless told otherwise", func(t *testing.T, w *world) {
		info := w.raw(t, w.bare(t, func(c *container.Config, _ *container.HostConfig) { c.Cmd = nil }))
		equal(t, "path", "/prog", info.Path)
		equal(t, "arguments", []string{"sleep"}, info.Args)
		equal(t, "image's label", w.owner, info.Config.Labels["owner"])
		if !slices.Contains(info.Config.Env, "FROM=image") {
			t.Errorf("environment is %q; want the image's in it", info.Config.Env)
		}
	}},
	{"an entrypoint of one's own drops the image's arguments", func(t *testing.T, w *world) {
		id := w.bare(t, func(c *container.Config, _ *container.HostConfig) { c.Entrypoint = []string{"/prog"} })
		equal(t, "exit code, that of no command", int64(64), w.exits(t, id))
	}},
	{"memory without swap gets as much swap", func(t *testing.T, w *world) {
		w.needs(t, "swap limits")
		id := w.bare(t, func(_ *container.Config, h *container.HostConfig) { h.Memory = 64 << 20 })
		equal(t, "memory and swap", int64(128<<20), w.raw(t, id).HostConfig.MemorySwap)
	}},
	{"shared memory has the size asked for, or one of the engine's", func(t *testing.T, w *world) {
		id := w.bare(t, func(_ *container.Config, h *container.HostConfig) { h.ShmSize = 32 << 20 })
		equal(t, "size asked for", int64(32<<20), w.raw(t, id).HostConfig.ShmSize)
		if got := w.raw(t, w.bare(t, nil)).HostConfig.ShmSize; got < 60<<20 || got > 64<<20 {
			t.Errorf("the engine's own size is %d; want about 64 MiB", got)
		}
	}},
	{"a container is not restarted unless told so", func(t *testing.T, w *world) {
		if got := w.raw(t, w.bare(t, nil)).HostConfig.RestartPolicy.Name; got != "" && got != container.RestartPolicyDisabled {
			t.Errorf("restart policy is %q; want none", got)
		}
	}},
	{"a hostname is the one asked for, or the beginning of the ID", func(t *testing.T, w *world) {
		id := w.bare(t, nil, "hostname")
		equal(t, "hostname", id[:12], w.raw(t, id).Config.Hostname)
		w.exits(t, id)
		equal(t, "hostname inside", id[:12]+"\n", w.said(t, id))
		id = w.bare(t, func(c *container.Config, _ *container.HostConfig) { c.Hostname = "given" }, "hostname")
		w.exits(t, id)
		equal(t, "hostname inside", "given\n", w.said(t, id))
	}},

	// Logs.
	{"the log of a container that never ran is empty", func(t *testing.T, w *world) {
		equal(t, "log", "", w.said(t, w.bare(t, nil)))
	}},
	{"standard output and standard error can be told apart", func(t *testing.T, w *world) {
		out, diag := w.bare(t, nil, "print", "to output"), w.bare(t, nil, "eprint", "to error")
		w.exits(t, out)
		w.exits(t, diag)
		both := container.LogsOptions{ShowStdout: true, ShowStderr: true}
		equal(t, "output", [2]string{"to output\n", ""}, w.streams(t, out, both))
		equal(t, "error", [2]string{"", "to error\n"}, w.streams(t, diag, both))
		equal(t, "error, when output is asked for", [2]string{}, w.streams(t, diag, container.LogsOptions{ShowStdout: true}))
	}},
	{"the tail of a log is its last lines", func(t *testing.T, w *world) {
		id := w.bare(t, nil, "args", "one", "two", "three")
		w.exits(t, id)
		for tail, want := range map[string]string{"0": "", "1": "three\n", "2": "two\nthree\n", "9": "one\ntwo\nthree\n", "all": "one\ntwo\nthree\n"} {
			equal(t, "tail "+tail, want, w.streams(t, id, container.LogsOptions{ShowStdout: true, Tail: tail})[0])
		}
	}},
	{"who follows a log gets it to the end of the container", func(t *testing.T, w *world) {
		id := w.bareUp(t, "sleep")
		logs, err := w.docker.ContainerLogs(t.Context(), id, container.LogsOptions{ShowStdout: true, Follow: true})
		must(t, err)
		defer logs.Close()
		w.stopBare(t, id, 10)
		var out bytes.Buffer
		_, err = stdcopy.StdCopy(&out, io.Discard, logs)
		must(t, err)
		equal(t, "log", "up\n", out.String())
	}},
	{"a terminal's log is one stream, with the terminal's line ends", func(t *testing.T, w *world) {
		id := w.bare(t, func(c *container.Config, _ *container.HostConfig) { c.Tty = true }, "print", "hello")
		w.exits(t, id)
		logs, err := w.docker.ContainerLogs(t.Context(), id, container.LogsOptions{ShowStdout: true})
		must(t, err)
		defer logs.Close()
		text, err := io.ReadAll(logs)
		must(t, err)
		equal(t, "log", "hello\r\n", string(text))
	}},
	{"the log driver none keeps no file and lets nobody read", func(t *testing.T, w *world) {
		id := w.bare(t, func(_ *container.Config, h *container.HostConfig) { h.LogConfig.Type = "none" }, "print", "unheard")
		w.exits(t, id)
		equal(t, "log file", "", w.raw(t, id).LogPath)
		logs, err := w.docker.ContainerLogs(t.Context(), id, container.LogsOptions{ShowStdout: true})
		if err == nil {
			logs.Close()
		}
		w.class(t, "reading", err, errdefs.IsNotImplemented)
	}},

	// Images.
	{"an image is found by its name, its ID and the beginning of its ID", func(t *testing.T, w *world) {
		img, err := w.docker.ImageInspect(t.Context(), w.image)
		must(t, err)
		digits := strings.TrimPrefix(img.ID, "sha256:")
		for _, by := range []string{w.image, "sha256:" + digits, digits, digits[:12]} {
			got, err := w.docker.ImageInspect(t.Context(), by)
			must(t, err)
			equal(t, by, img.ID, got.ID)
		}
	}},
	{"nothing can be done to an image that is not there", func(t *testing.T, w *world) {
		for _, ref := range []string{"dockpod.io/conformance:absent", "dockpod.io/conformance@sha256:" + strings.Repeat("0", 64), "sha256:" + strings.Repeat("0", 64)} {
			_, err := w.docker.ImageInspect(t.Context(), ref)
			if !errdefs.IsNotFound(err) {
				t.Errorf("inspect %s: error is %v; want not found", ref, err)
			}
			_, err = w.docker.ImageRemove(t.Context(), ref, image.RemoveOptions{})
			if !errdefs.IsNotFound(err) {
				t.Errorf("remove %s: error is %v; want not found", ref, err)
			}
		}
	}},
	{"an image's name in upper case is refused", func(t *testing.T, w *world) {
		_, err := w.docker.ImageInspect(t.Context(), "dockpod.io/Conformance:1")
		w.class(t, "inspect", err, errdefs.IsInvalidArgument)
	}},
	{"an image in use is not removed", func(t *testing.T, w *world) {
		w.bare(t, nil)
		_, err := w.docker.ImageRemove(t.Context(), w.image, image.RemoveOptions{})
		if !errdefs.IsConflict(err) {
			t.Errorf("error is %v; want a conflict", err)
		}
		_, err = w.docker.ImageInspect(t.Context(), w.image)
		must(t, err)
	}},
}

// never is the time of what has not happened.
const never = "0001-01-01T00:00:00Z"

// at reads an engine's time.
func at(t *testing.T, s string) time.Time {
	t.Helper()
	tm, err := time.Parse(time.RFC3339Nano, s)
	must(t, err)
	return tm
}

// class expects an error, and one of a class where the engine's classes tell.
func (w *world) class(t *testing.T, what string, err error, is func(error) bool) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("%s: no error", what)
	case w.has(t, "classes") && !is(err):
		t.Errorf("%s: error %v is of another class", what, err)
	}
}

// ask asks the engine for a container that runs a command of the suite's
// program, past the library. An empty name is left to the engine.
func (w *world) ask(t *testing.T, name string, change func(*container.Config, *container.HostConfig), args ...string) (string, error) {
	t.Helper()
	cfg, host := &container.Config{Image: w.image, Cmd: args, Labels: map[string]string{"bare": w.owner}}, &container.HostConfig{}
	if change != nil {
		change(cfg, host)
	}
	resp, err := w.docker.ContainerCreate(t.Context(), cfg, host, nil, nil, name)
	if err != nil {
		return "", err
	}
	t.Cleanup(func() {
		err := w.docker.ContainerRemove(context.WithoutCancel(t.Context()), resp.ID, container.RemoveOptions{Force: true})
		if err != nil && !errdefs.IsNotFound(err) {
			t.Errorf("clean up: %v", err)
		}
	})
	return resp.ID, nil
}

// bare makes a container past the library.
func (w *world) bare(t *testing.T, change func(*container.Config, *container.HostConfig), args ...string) string {
	t.Helper()
	id, err := w.ask(t, "", change, args...)
	must(t, err)
	return id
}

// bareUp makes a container past the library and starts it until it is ready
// for signals. The command is "sleep" or "stubborn".
func (w *world) bareUp(t *testing.T, command string) string {
	t.Helper()
	id := w.bare(t, nil, command)
	w.startBare(t, id)
	w.hears(t, id, "up")
	return id
}

func (w *world) startBare(t *testing.T, id string) {
	t.Helper()
	must(t, w.docker.ContainerStart(t.Context(), id, container.StartOptions{}))
}

func (w *world) stopBare(t *testing.T, id string, grace int) {
	t.Helper()
	must(t, w.docker.ContainerStop(t.Context(), id, container.StopOptions{Timeout: &grace}))
}

// exits starts a container, waits for its end and returns its exit code.
func (w *world) exits(t *testing.T, id string) int64 {
	t.Helper()
	next := w.wait(t, id, container.WaitConditionNextExit)
	w.startBare(t, id)
	code := next(t)
	w.raw(t, id) // Docker lists the end a moment after it is waited for; an inspection waits for both
	return code
}

// wait begins to wait; what it returns ends the wait and returns the code.
func (w *world) wait(t *testing.T, id string, until container.WaitCondition) func(*testing.T) int64 {
	t.Helper()
	w.needs(t, "waiting")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	done, failed := w.docker.(dockpod.ContainerWaiter).ContainerWait(ctx, id, until)
	return func(t *testing.T) int64 {
		t.Helper()
		select {
		case r := <-done:
			return r.StatusCode
		case err := <-failed:
			t.Fatal(err)
			return 0
		}
	}
}

// absent expects that a container is not there.
func (w *world) absent(t *testing.T, id string) {
	t.Helper()
	if _, err := w.docker.ContainerInspect(t.Context(), id); !errdefs.IsNotFound(err) {
		t.Errorf("inspection of %s: error is %v; want not found", id, err)
	}
}

// state returns what an inspection says of a state, but for the health, which
// engines give or do not where there is none.
func (w *world) state(t *testing.T, id string) container.State {
	t.Helper()
	st := *w.raw(t, id).State
	st.Health = nil
	return st
}

// listing lists the containers that the case made past the library. A filter
// is written "key=value".
func (w *world) listing(t *testing.T, all bool, filter ...string) []container.Summary {
	t.Helper()
	args := filters.NewArgs(filters.Arg("label", "bare="+w.owner))
	for _, f := range filter {
		key, value, _ := strings.Cut(f, "=")
		args.Add(key, value)
	}
	list, err := w.docker.ContainerList(t.Context(), container.ListOptions{All: all, Filters: args})
	must(t, err)
	return list
}

// listed is listing, by IDs, sorted.
func (w *world) listed(t *testing.T, all bool, filter ...string) []string {
	t.Helper()
	ids := []string{}
	for _, c := range w.listing(t, all, filter...) {
		ids = append(ids, c.ID)
	}
	return sorted(ids...)
}

func sorted(s ...string) []string {
	slices.Sort(s)
	return s
}

// streams reads a log: standard output and standard error.
func (w *world) streams(t *testing.T, id string, opts container.LogsOptions) [2]string {
	t.Helper()
	logs, err := w.docker.ContainerLogs(t.Context(), id, opts)
	must(t, err)
	defer logs.Close()
	var out, diag bytes.Buffer
	_, err = stdcopy.StdCopy(&out, &diag, logs)
	must(t, err)
	return [2]string{out.String(), diag.String()}
}
