package fake_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/dockpod/dockpod/fake"
	"github.com/google/go-cmp/cmp"
)

func TestMissingContainer(t *testing.T) {
	d := newEngine(t)
	ctx := t.Context()
	_, inspectErr := d.ContainerInspect(ctx, "gone")
	_, updateErr := d.ContainerUpdate(ctx, "gone", container.UpdateConfig{})
	_, execErr := d.ContainerExecCreate(ctx, "gone", container.ExecOptions{Cmd: []string{"a"}})
	_, logsErr := d.ContainerLogs(ctx, "gone", container.LogsOptions{ShowStdout: true})
	_, attachErr := d.ContainerAttach(ctx, "gone", container.AttachOptions{Stream: true, Stdout: true})
	_, waitErrs := d.ContainerWait(ctx, "gone", "")
	const text = "No such container: gone"
	for what, err := range map[string]error{
		"inspect": inspectErr, "update": updateErr, "exec": execErr, "logs": logsErr, "wait": <-waitErrs,
		"start":   d.ContainerStart(ctx, "gone", container.StartOptions{}),
		"stop":    d.ContainerStop(ctx, "gone", container.StopOptions{}),
		"pause":   d.ContainerPause(ctx, "gone"),
		"unpause": d.ContainerUnpause(ctx, "gone"),
		"remove":  d.ContainerRemove(ctx, "gone", container.RemoveOptions{Force: true}),
		"resize":  d.ContainerResize(ctx, "gone", container.ResizeOptions{}),
	} {
		wantErr(t, what, err, "404", text)
	}
	wantErr(t, "kill", d.ContainerKill(ctx, "gone", "KILL"), "404", "Cannot kill container: gone: "+text)
	wantErr(t, "attach", attachErr, "unclassified", "unable to upgrade to tcp, received 404")
	if err := d.ContainerStart(ctx, " ", container.StartOptions{}); class(err) != "400" || err.Error() != "invalid container name or ID: value is empty" {
		t.Errorf("an empty ID: %v", err)
	}
}

// What is refused in which state, in Docker 20.10's words.
func TestRefusalsByState(t *testing.T) {
	type answer struct{ class, text string }
	ok := answer{"nil", ""}
	tests := []struct {
		state                                                           string
		start, stop, kill, pause, unpause, remove, resize, exec, attach answer
	}{
		{
			state: "created", start: ok, stop: ok,
			kill:    answer{"409", "Cannot kill container: ID: Container ID is not running"},
			pause:   answer{"409", "Container ID is not running"},
			unpause: answer{"500", "Container ID is not paused"},
			remove:  ok,
			resize:  answer{"409", "Container ID is not running"},
			exec:    answer{"409", "Container ID is not running"},
			attach:  ok,
		},
		{
			state: "running", start: ok, stop: ok, kill: ok, pause: ok,
			unpause: answer{"500", "Container ID is not paused"},
			remove:  answer{"409", "You cannot remove a running container ID. Stop the container before attempting removal or force remove"},
			resize:  ok, exec: ok, attach: ok,
		},
		{
			state: "paused",
			start: answer{"409", "cannot start a paused container, try unpause instead"},
			stop:  ok, kill: ok,
			pause:   answer{"409", "Container ID is already paused"},
			unpause: ok,
			remove:  answer{"409", "You cannot remove a paused container ID. Unpause and then stop the container before attempting removal or force remove"},
			resize:  ok,
			exec:    answer{"409", "Container ID is paused, unpause the container before exec"},
			attach:  answer{"unclassified", "unable to upgrade to tcp, received 409"},
		},
		{
			state: "exited", start: ok, stop: ok,
			kill:    answer{"409", "Cannot kill container: ID: Container ID is not running"},
			pause:   answer{"409", "Container ID is not running"},
			unpause: answer{"500", "Container ID is not paused"},
			remove:  ok,
			resize:  answer{"409", "Container ID is not running"},
			exec:    answer{"409", "Container ID is not running"},
			attach:  ok,
		},
		{
			state: "removing",
			start: answer{"409", "container is marked for removal and cannot be started"},
			stop:  ok,
			kill:  answer{"409", "Cannot kill container: ID: Container ID is not running"},
			pause: answer{"409", "Container ID is not running"}, unpause: answer{"500", "Container ID is not paused"},
			remove: answer{"409", "removal of container ID is already in progress"},
			resize: answer{"409", "Container ID is not running"}, exec: answer{"409", "Container ID is not running"},
			attach: ok,
		},
		{
			state: "dead",
			start: answer{"409", "container is marked for removal and cannot be started"},
			stop:  ok,
			kill:  answer{"409", "Cannot kill container: ID: Container ID is not running"},
			pause: answer{"409", "Container ID is not running"}, unpause: answer{"500", "Container ID is not paused"},
			remove: ok,
			resize: answer{"409", "Container ID is not running"}, exec: answer{"409", "Container ID is not running"},
			attach: ok,
		},
	}
	for _, tt := range tests {
		t.Run(tt.state, func(t *testing.T) {
			d := newEngine(t)
			ctx := t.Context()
			calls := []struct {
				name string
				want answer
				call func(id string) error
			}{
				{"start", tt.start, func(id string) error { return d.ContainerStart(ctx, id, container.StartOptions{}) }},
				{"stop", tt.stop, func(id string) error { return d.ContainerStop(ctx, id, container.StopOptions{}) }},
				{"kill", tt.kill, func(id string) error { return d.ContainerKill(ctx, id, "") }},
				{"pause", tt.pause, func(id string) error { return d.ContainerPause(ctx, id) }},
				{"unpause", tt.unpause, func(id string) error { return d.ContainerUnpause(ctx, id) }},
				{"remove", tt.remove, func(id string) error { return d.ContainerRemove(ctx, id, container.RemoveOptions{}) }},
				{"resize", tt.resize, func(id string) error { return d.ContainerResize(ctx, id, container.ResizeOptions{Height: 1}) }},
				{"exec", tt.exec, func(id string) error {
					_, err := d.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: []string{"a"}})
					return err
				}},
				{"attach", tt.attach, func(id string) error {
					h, err := d.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdout: true})
					if err == nil {
						h.Close()
					}
					return err
				}},
			}
			for _, c := range calls {
				id := create(t, d, "s-"+c.name, config{}, nil)
				if tt.state != "created" && tt.state != "removing" && tt.state != "dead" {
					start(t, d, id)
				}
				switch tt.state {
				case "paused":
					if err := d.ContainerPause(ctx, id); err != nil {
						t.Fatal(err)
					}
				case "exited":
					d.Exit(id, 3)
				case "removing":
					d.Removing(id)
				case "dead":
					d.Dead(id)
				}
				if got := inspect(t, d, id).State.Status; got != tt.state {
					t.Fatalf("state %q, want %q", got, tt.state)
				}
				wantErr(t, c.name, c.call(id), c.want.class, strings.ReplaceAll(c.want.text, "ID", id))
			}
		})
	}
}

func TestRunCycle(t *testing.T) {
	now := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	d := newEngine(t)
	d.Now = func() time.Time { return now }
	id := create(t, d, "web", config{}, nil)
	step := func(status string, want container.State) {
		t.Helper()
		now = now.Add(time.Second)
		c := inspect(t, d, id)
		if (c.State.Pid != 0) != c.State.Running {
			t.Errorf("pid %d while running is %v", c.State.Pid, c.State.Running)
		}
		c.State.Pid = 0
		if diff := cmp.Diff(&want, c.State); diff != "" {
			t.Errorf("state (-want +got):\n%s", diff)
		}
		l, err := d.ContainerList(t.Context(), container.ListOptions{All: true})
		if err != nil {
			t.Fatal(err)
		}
		if l[0].State != want.Status || l[0].Status != status {
			t.Errorf("list shows %q, %q; want %q, %q", l[0].State, l[0].Status, want.Status, status)
		}
	}
	const never = "0001-01-01T00:00:00Z"
	step("Created", container.State{Status: "created", StartedAt: never, FinishedAt: never})
	start(t, d, id)
	first := now.Format(time.RFC3339)
	step("Up 1 second", container.State{Status: "running", Running: true, StartedAt: first, FinishedAt: never})
	if err := d.ContainerPause(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	step("Up 2 seconds (Paused)", container.State{Status: "paused", Running: true, Paused: true, StartedAt: first, FinishedAt: never})
	if err := d.ContainerUnpause(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	d.Exit(id, 3)
	end := now.Format(time.RFC3339)
	step("Exited (3) 1 second ago", container.State{Status: "exited", ExitCode: 3, StartedAt: first, FinishedAt: end})
	start(t, d, id)
	second := now.Format(time.RFC3339)
	// The end of the run before stays to be seen while this one goes on.
	step("Up 1 second", container.State{Status: "running", Running: true, StartedAt: second, FinishedAt: end})
	d.OOMKill(id)
	end = now.Format(time.RFC3339)
	step("Exited (137) 1 second ago", container.State{Status: "exited", ExitCode: 137, OOMKilled: true, StartedAt: second, FinishedAt: end})
	start(t, d, id)
	third := now.Format(time.RFC3339)
	step("Up 1 second", container.State{Status: "running", Running: true, StartedAt: third, FinishedAt: end})
	now = now.Add(3 * time.Hour)
	step("Up 3 hours", container.State{Status: "running", Running: true, StartedAt: third, FinishedAt: end})
}

func TestStartFailures(t *testing.T) {
	const runtime = "failed to create shim task: OCI runtime create failed: runc create failed: "
	tests := []struct {
		name  string
		cfg   config
		host  string
		class string
		text  string
		code  int
		log   bool // a log file exists
	}{
		{name: "missing path", cfg: config{Entrypoint: []string{"/nope"}}, class: "400", code: 127, log: true,
			text: runtime + `unable to start container process: exec: "/nope": stat /nope: no such file or directory: unknown`},
		{name: "missing in PATH", cfg: config{Entrypoint: []string{"nope"}}, class: "400", code: 127, log: true,
			text: runtime + `unable to start container process: exec: "nope": executable file not found in $PATH: unknown`},
		{name: "no PATH", cfg: config{Entrypoint: []string{"box"}, Env: []string{"PATH"}}, class: "400", code: 127, log: true,
			text: runtime + `unable to start container process: exec: "box": executable file not found in $PATH: unknown`},
		{name: "not executable", cfg: config{Entrypoint: []string{"/data"}}, class: "400", code: 126, log: true,
			text: runtime + `unable to start container process: exec: "/data": permission denied: unknown`},
		{name: "directory", cfg: config{Entrypoint: []string{"/bin"}}, class: "400", code: 126, log: true,
			text: runtime + `unable to start container process: exec: "/bin": permission denied: unknown`},
		{name: "user", cfg: config{User: "bob"}, class: "500", code: 128, text: "unable to find user bob: no matching entries in passwd file"},
		{name: "group", cfg: config{User: "0:staff"}, class: "500", code: 128, text: "unable to find group staff: no matching entries in group file"},
		{name: "device", host: `{"Devices":[{"PathOnHost":"/dev/missing","PathInContainer":"/dev/x"}]}`, class: "500", code: 128,
			text: `error gathering device information while adding custom device "/dev/missing": no such file or directory`},
		{name: "device request", host: `{"DeviceRequests":[{"Driver":"cdi","DeviceIDs":["a.b/c=d"]}]}`, class: "500", code: 128,
			text: `could not select device driver "cdi" with capabilities: []`},
		{name: "seccomp", host: `{"SecurityOpt":["seccomp={bad"]}`, class: "500", code: 128,
			text: "Decoding seccomp profile failed: invalid character 'b' looking for beginning of object key string"},
		{name: "seccomp of a list", host: `{"SecurityOpt":["seccomp=[]"]}`, class: "500", code: 128,
			text: "Decoding seccomp profile failed: json: cannot unmarshal array into Go value of type seccomp.Seccomp"},
		{name: "seccomp of the newer engines", host: `{"SecurityOpt":["seccomp:builtin"]}`, class: "500", code: 128,
			text: "Decoding seccomp profile failed: invalid character 'b' looking for beginning of value"},
		{name: "seccomp without such an action", host: `{"SecurityOpt":["seccomp={\"defaultAction\":\"SCMP_ACT_FOO\"}"]}`, class: "500", code: 128, log: true,
			text: runtime + "string SCMP_ACT_FOO is not a valid action for seccomp: unknown"},
		{name: "seccomp without such an architecture", host: `{"SecurityOpt":["seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_FOO\"]}"]}`, class: "500", code: 128, log: true,
			text: runtime + "string SCMP_ARCH_FOO is not a valid arch for seccomp: unknown"},
		{name: "group of groups", host: `{"GroupAdd":["5","staff"]}`, class: "500", code: 128, text: "Unable to find group staff: no matching entries in group file"},
		{name: "group too high", host: `{"GroupAdd":["2147483648"]}`, class: "500", code: 128, text: "uids and gids must be in range 0-2147483647"},
		{name: "user too high", cfg: config{User: "2147483648"}, class: "500", code: 128, text: "uids and gids must be in range 0-2147483647"},
		{name: "sysctl of the host's IPC", host: `{"IpcMode":"host","Sysctls":{"kernel.shmmax":"1024"}}`, class: "500", code: 128, log: true,
			text: runtime + `sysctl "kernel.shmmax" is not allowed in the hosts ipc namespace: unknown`},
		{name: "sysctl of the host's name", host: `{"UTSMode":"host","Sysctls":{"kernel.domainname":"a"}}`, class: "500", code: 128, log: true,
			text: runtime + `sysctl "kernel.domainname" is not in a separate kernel namespace: unknown`},
		{name: "sysctl for the hostname", host: `{"Sysctls":{"kernel.hostname":"a"}}`, class: "500", code: 128, log: true,
			text: runtime + `sysctl "kernel.hostname" is not allowed as it conflicts with the OCI "hostname" field: unknown`},
		{name: "log driver", host: `{"LogConfig":{"Type":"journald"}}`, class: "500", code: 128, text: "failed to initialize logging driver: journald is not enabled on this host"},
		{name: "network", host: `{"NetworkMode":"nope"}`, class: "404", code: 128, text: "network nope not found"},
		{name: "joined network", host: `{"NetworkMode":"container:gone"}`, class: "404", code: 128, text: "No such container: gone"},
		{name: "sysctl", host: `{"Sysctls":{"nope":"1"}}`, class: "500", code: 128, log: true, text: runtime + `sysctl "nope" is not in a separate kernel namespace: unknown`},
		{name: "sysctl of the host's network", host: `{"NetworkMode":"host","Sysctls":{"net.ipv4.ip_forward":"1"}}`, class: "500", code: 128, log: true,
			text: runtime + `sysctl "net.ipv4.ip_forward" not allowed in host network namespace: unknown`},
		{name: "ulimit", host: `{"Ulimits":[{"Name":"nope","Soft":1,"Hard":1}]}`, class: "500", code: 128, log: true, text: runtime + "wrong rlimit value: RLIMIT_NOPE: unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newEngine(t)
			loadBox(t, d)
			d.Absent("/dev/missing")
			tt.cfg.Image = "box:1"
			var h *host
			if tt.host != "" {
				h = hostJSON(t, tt.host)
			}
			id := create(t, d, "f1", tt.cfg, h)
			for range 2 { // the second attempt fails as the first
				wantErr(t, "start", d.ContainerStart(t.Context(), id, container.StartOptions{}), tt.class, tt.text)
				c := inspect(t, d, id)
				want := &container.State{Status: "created", ExitCode: tt.code, Error: tt.text, StartedAt: "0001-01-01T00:00:00Z", FinishedAt: "0001-01-01T00:00:00Z"}
				if diff := cmp.Diff(want, c.State); diff != "" {
					t.Errorf("state (-want +got):\n%s", diff)
				}
				if (c.LogPath != "") != tt.log {
					t.Errorf("LogPath %q, want one: %v", c.LogPath, tt.log)
				}
				if c.NetworkSettings.IPAddress != "" {
					t.Errorf("an address is left: %q", c.NetworkSettings.IPAddress)
				}
			}
			if err := d.ContainerRemove(t.Context(), id, container.RemoveOptions{}); err != nil {
				t.Errorf("remove: %v", err)
			}
		})
	}
}

func TestFailStart(t *testing.T) {
	d := newEngine(t)
	d.FailStart("f127", 127, "")
	d.FailStart("f126", 126, "")
	d.FailStart("f128", 128, "no space left on device")
	const exec = `failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/bin/main": `
	tests := []struct {
		name, class, text string
		code              int
		log               bool
	}{
		{"f127", "400", exec + "stat /bin/main: no such file or directory: unknown", 127, true},
		{"f126", "400", exec + "permission denied: unknown", 126, true},
		{"f128", "500", "no space left on device", 128, false},
	}
	for _, tt := range tests {
		id := create(t, d, tt.name, config{}, nil)
		wantErr(t, tt.name, d.ContainerStart(t.Context(), id, container.StartOptions{}), tt.class, tt.text)
		c := inspect(t, d, id)
		if c.State.ExitCode != tt.code || c.State.Error != tt.text || (c.LogPath != "") != tt.log {
			t.Errorf("%s: exit code %d, error %q, log path %q", tt.name, c.State.ExitCode, c.State.Error, c.LogPath)
		}
		d.FailStart(tt.name, 0, "")
		start(t, d, id)
		if c := inspect(t, d, id); c.State.Error != "" || c.State.ExitCode != 0 || c.LogPath == "" {
			t.Errorf("%s after a good start: error %q, exit code %d, log path %q", tt.name, c.State.Error, c.State.ExitCode, c.LogPath)
		}
	}
}

// A start that fails after an earlier run leaves that run's exit code and log,
// and adds the error.
func TestFailedRestart(t *testing.T) {
	d := newEngine(t)
	ran := run(t, d, "ran", nil)
	d.Exit(ran, 5)
	clean := run(t, d, "clean", nil)
	d.Exit(clean, 0)
	for id, code := range map[string]int{ran: 5, clean: 128} {
		d.FailStart(id, 128, "out of luck")
		wantErr(t, "start", d.ContainerStart(t.Context(), id, container.StartOptions{}), "500", "out of luck")
		c := inspect(t, d, id)
		if c.State.Status != "exited" || c.State.ExitCode != code || c.State.Error != "out of luck" || c.LogPath == "" || c.State.FinishedAt < "1" {
			t.Errorf("state %+v, log %q; want exited %d with the error", c.State, c.LogPath, code)
		}
	}
}

func TestAutoRemove(t *testing.T) {
	d := newEngine(t)
	id := create(t, d, "auto", config{}, &host{AutoRemove: true})
	results, _ := d.ContainerWait(t.Context(), id, container.WaitConditionRemoved)
	start(t, d, id)
	d.Exit(id, 4)
	if r := <-results; r.StatusCode != 4 {
		t.Errorf("wait for the removal: %+v", r)
	}
	if _, err := d.ContainerInspect(t.Context(), id); class(err) != "404" {
		t.Errorf("after the end: %v", err)
	}
	d.FailStart("auto", 127, "")
	id = create(t, d, "auto", config{}, &host{AutoRemove: true})
	if err := d.ContainerStart(t.Context(), id, container.StartOptions{}); class(err) != "400" {
		t.Errorf("start: %v", err)
	}
	if _, err := d.ContainerInspect(t.Context(), id); class(err) != "404" {
		t.Errorf("after the failed start: %v", err)
	}
}

// serve is a program that knows no signal, as a PID 1 without handlers.
func serve(p *fake.Process) int {
	<-p.Done()
	return 0
}

func TestStopGrace(t *testing.T) {
	tests := []struct {
		name    string
		cfg     config
		timeout *int
		program func(*fake.Process) int
		after   time.Duration
		code    int
	}{
		{name: "default", program: serve, after: 10 * time.Second, code: 137},
		{name: "option", timeout: ptr(3), program: serve, after: 3 * time.Second, code: 137},
		{name: "zero", timeout: ptr(0), program: serve, code: 137},
		{name: "configuration", cfg: config{StopTimeout: ptr(2)}, program: serve, after: 2 * time.Second, code: 137},
		{name: "option before configuration", cfg: config{StopTimeout: ptr(2)}, timeout: ptr(1), program: serve, after: time.Second, code: 137},
		{name: "handled", program: func(p *fake.Process) int {
			if s := <-p.Signals; s != "SIGTERM" {
				t.Errorf("signal %q", s)
			}
			time.Sleep(4 * time.Second)
			return 7
		}, after: 4 * time.Second, code: 7},
		{name: "handled too late", timeout: ptr(1), program: func(p *fake.Process) int {
			<-p.Signals
			select {
			case <-time.After(time.Hour):
			case <-p.Done():
			}
			return 7
		}, after: time.Second, code: 137},
		{name: "signal of the configuration", cfg: config{StopSignal: "SIGUSR1"}, program: func(p *fake.Process) int {
			if s := <-p.Signals; s != "SIGUSR1" {
				t.Errorf("signal %q", s)
			}
			return 1
		}, code: 1},
		{name: "no program", code: 143},
		{name: "no program, SIGINT", cfg: config{StopSignal: "2"}, code: 130},
		{name: "no program, a signal it ignores", cfg: config{StopSignal: "SIGWINCH"}, after: 10 * time.Second, code: 137},
		{name: "pause", cfg: config{Cmd: []string{"/pause"}}, code: 0},
		{name: "a program that ends by itself", timeout: ptr(-1), program: func(p *fake.Process) int { time.Sleep(time.Hour); return 9 }, after: time.Hour, code: 9},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newEngine(t)
				if tt.program != nil {
					d.HandleFunc("/bin/main", tt.program)
				}
				id := create(t, d, "g1", tt.cfg, nil)
				start(t, d, id)
				begin := time.Now()
				if err := d.ContainerStop(t.Context(), id, container.StopOptions{Timeout: tt.timeout}); err != nil {
					t.Fatal(err)
				}
				if got := time.Since(begin); got != tt.after {
					t.Errorf("it took %v, want %v", got, tt.after)
				}
				if c := inspect(t, d, id); c.State.ExitCode != tt.code || c.State.Status != "exited" {
					t.Errorf("state %+v, want exit code %d", c.State, tt.code)
				}
			})
		})
	}
}

func TestStopPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newEngine(t)
		d.HandleFunc("/bin/main", serve)
		id := run(t, d, "p1", nil)
		if err := d.ContainerPause(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := d.ContainerStop(t.Context(), id, container.StopOptions{Timeout: ptr(1)}); err != nil {
			t.Fatal(err)
		}
		if c := inspect(t, d, id); c.State.ExitCode != 137 || c.State.Paused || time.Since(begin) != time.Second {
			t.Errorf("after %v: %+v", time.Since(begin), c.State)
		}

		// A signal that does not stop it waits until it is thawed.
		id = create(t, d, "p2", config{StopSignal: "SIGINT", Cmd: []string{"/quiet"}}, nil)
		start(t, d, id)
		if err := d.ContainerPause(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if err := d.ContainerKill(t.Context(), id, "SIGUSR2"); err != nil {
			t.Fatal(err)
		}
		if s := inspect(t, d, id).State.Status; s != "paused" {
			t.Errorf("after SIGUSR2 it is %s", s)
		}
		if err := d.ContainerUnpause(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if c := inspect(t, d, id); c.State.ExitCode != 128+12 {
			t.Errorf("after it was thawed: %+v", c.State)
		}
	})
}

// The engine goes on with a stop whose caller has gone.
func TestStopOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newEngine(t)
		d.HandleFunc("/bin/main", serve)
		id := run(t, d, "s1", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.ContainerStop(ctx, id, container.StopOptions{}); class(err) != "deadline" {
			t.Errorf("stop: %v", err)
		}
		if s := inspect(t, d, id).State.Status; s != "running" {
			t.Errorf("after the caller's second: %s", s)
		}
		time.Sleep(9*time.Second + time.Millisecond)
		if c := inspect(t, d, id); c.State.ExitCode != 137 || c.State.Running {
			t.Errorf("after the grace period: %+v", c.State)
		}
	})
}

func TestKill(t *testing.T) {
	d := newEngine(t)
	id := run(t, d, "k1", nil)
	ctx := t.Context()
	wantErr(t, "unknown signal", d.ContainerKill(ctx, id, "SIGNOPE"), "400", "Invalid signal: SIGNOPE")
	wantErr(t, "signal 0", d.ContainerKill(ctx, id, "0"), "400", "Invalid signal: 0")
	wantErr(t, "signal 999", d.ContainerKill(ctx, id, "999"), "500", "Cannot kill container: "+id+": The linux daemon does not support signal 999")
	wantErr(t, "unknown signal, nobody there", d.ContainerKill(ctx, "gone", "SIGNOPE"), "400", "Invalid signal: SIGNOPE")
	for _, s := range []string{"SIGWINCH", "CHLD", "18"} {
		if err := d.ContainerKill(ctx, id, s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	if s := inspect(t, d, id).State.Status; s != "running" {
		t.Fatalf("signals that are ignored by default ended it: %s", s)
	}
	if err := d.ContainerKill(ctx, id, "hup"); err != nil {
		t.Error(err)
	}
	if c := inspect(t, d, id).State.ExitCode; c != 129 {
		t.Errorf("exit code after SIGHUP: %d", c)
	}
	start(t, d, id)
	if err := d.ContainerKill(ctx, id, ""); err != nil {
		t.Error(err)
	}
	if c := inspect(t, d, id).State; c.ExitCode != 137 || c.OOMKilled {
		t.Errorf("after SIGKILL: %+v", c)
	}
}

func TestWait(t *testing.T) {
	d := newEngine(t)
	id := create(t, d, "w1", config{}, nil)
	wait := func(c container.WaitCondition) (<-chan container.WaitResponse, <-chan error) {
		return d.ContainerWait(t.Context(), id, c)
	}
	if r, _ := wait(container.WaitConditionNotRunning); (<-r).StatusCode != 0 {
		t.Error("a created container is not running, with code 0")
	}
	next, _ := wait(container.WaitConditionNextExit)
	gone, _ := wait(container.WaitConditionRemoved)
	start(t, d, id)
	not, _ := wait(container.WaitConditionNotRunning)
	select {
	case r := <-next:
		t.Fatalf("next exit before any: %+v", r)
	case r := <-not:
		t.Fatalf("not running while it runs: %+v", r)
	default:
	}
	d.Exit(id, 6)
	if n, m := (<-next).StatusCode, (<-not).StatusCode; n != 6 || m != 6 {
		t.Errorf("codes %d and %d, want 6", n, m)
	}
	next, _ = wait(container.WaitConditionNextExit)
	if err := d.ContainerRemove(t.Context(), id, container.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	if c := (<-gone).StatusCode; c != 6 {
		t.Errorf("code at the removal: %d", c)
	}
	if c := (<-next).StatusCode; c != 6 {
		t.Errorf("the next exit of what is removed: %d", c)
	}

	id = run(t, d, "w2", nil)
	ctx, cancel := context.WithCancel(t.Context())
	_, errs := d.ContainerWait(ctx, id, container.WaitConditionNotRunning)
	cancel()
	if err := <-errs; class(err) != "canceled" {
		t.Errorf("a wait that was cancelled: %v", err)
	}
}

func TestRemove(t *testing.T) {
	d := newEngine(t)
	ctx := t.Context()
	id := run(t, d, "r1", nil)
	if err := d.ContainerPause(ctx, id); err != nil {
		t.Fatal(err)
	}
	wait, _ := d.ContainerWait(ctx, id, container.WaitConditionNotRunning)
	if err := d.ContainerRemove(ctx, "r1", container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if c := (<-wait).StatusCode; c != 137 {
		t.Errorf("exit code of what was removed: %d", c)
	}
	wantErr(t, "again", d.ContainerRemove(ctx, id, container.RemoveOptions{Force: true}), "404", "No such container: "+id)
	wantErr(t, "links", d.ContainerRemove(ctx, create(t, d, "r1", config{}, nil), container.RemoveOptions{RemoveLinks: true}), "500", "Conflict, cannot remove the default link name of the container")
}

func TestConcurrentRemoval(t *testing.T) {
	removers := func(d *fake.Docker, id string) []string {
		const n = 4
		answers := make(chan string, n)
		for range n {
			go func() {
				answers <- class(d.ContainerRemove(context.Background(), id, container.RemoveOptions{Force: true}))
			}()
		}
		var got []string
		for range n {
			got = append(got, <-answers)
		}
		slices.Sort(got)
		return got
	}
	t.Run("at once", func(t *testing.T) {
		d := newEngine(t)
		got := removers(d, run(t, d, "r1", nil))
		if diff := cmp.Diff([]string{"404", "404", "404", "nil"}, got); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
	})
	t.Run("takes time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newEngine(t)
			d.RemoveTime = time.Second
			id := run(t, d, "r1", nil)
			done := make(chan []string)
			go func() { done <- removers(d, id) }()
			synctest.Wait()
			if s := inspect(t, d, id).State.Status; s != "removing" {
				t.Errorf("while it is removed it is %q", s)
			}
			_, err := d.ContainerCreate(t.Context(), &config{Image: "app:1"}, nil, nil, nil, "r1")
			if class(err) != "409" {
				t.Errorf("its name is free before it is gone: %v", err)
			}
			if diff := cmp.Diff([]string{"409", "409", "409", "nil"}, <-done); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			create(t, d, "r1", config{}, nil)
		})
	})
	t.Run("its caller goes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newEngine(t)
			d.RemoveTime = time.Minute
			id := create(t, d, "r1", config{}, nil)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := d.ContainerRemove(ctx, id, container.RemoveOptions{}); class(err) != "deadline" {
				t.Errorf("remove: %v", err)
			}
			time.Sleep(time.Minute)
			if _, err := d.ContainerInspect(t.Context(), id); class(err) != "404" {
				t.Errorf("the engine did not go on: %v", err)
			}
		})
	})
}

func TestUnkillable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newEngine(t)
		d.HandleFunc("/bin/main", serve)
		id := run(t, d, "u1", nil)
		d.Unkillable(id)
		for what, call := range map[string]func(context.Context) error{
			"stop": func(ctx context.Context) error {
				return d.ContainerStop(ctx, id, container.StopOptions{Timeout: ptr(1)})
			},
			"kill": func(ctx context.Context) error { return d.ContainerKill(ctx, id, "KILL") },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := call(ctx); class(err) != "deadline" {
				t.Errorf("%s: %v", what, err)
			}
			cancel()
		}
		if s := inspect(t, d, id).State.Status; s != "running" {
			t.Errorf("it is %s", s)
		}
		d.Exit(id, 0)
		if s := inspect(t, d, id).State.Status; s != "exited" {
			t.Errorf("after Exit it is %s", s)
		}
	})
}

func TestUpdate(t *testing.T) {
	d := newEngine(t)
	id := create(t, d, "u1", config{}, &host{Resources: container.Resources{Memory: 64 << 20}})
	type res = container.Resources
	tests := []struct {
		name        string
		update      container.UpdateConfig
		class, text string
		want        string
	}{
		{name: "nothing", want: "64/128/0/0/0//"},
		{name: "shares", update: container.UpdateConfig{Resources: res{CPUShares: 200}}, want: "64/128/200/0/0//"},
		{name: "memory within swap", update: container.UpdateConfig{Resources: res{Memory: 96 << 20}}, want: "96/128/200/0/0//"},
		{name: "memory beyond swap", update: container.UpdateConfig{Resources: res{Memory: 256 << 20}}, class: "409",
			text: "Cannot update container " + id + ": Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time", want: "96/128/200/0/0//"},
		{name: "both", update: container.UpdateConfig{Resources: res{Memory: 256 << 20, MemorySwap: 256 << 20}}, want: "256/256/200/0/0//"},
		{name: "quota", update: container.UpdateConfig{Resources: res{CPUQuota: 50000, CPUPeriod: 100000}}, want: "256/256/200/50000/100000//"},
		{name: "CPUs against a quota", update: container.UpdateConfig{Resources: res{NanoCPUs: 1e9}}, class: "409",
			text: "Cannot update container " + id + ": Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set", want: "256/256/200/50000/100000//"},
		{name: "little memory", update: container.UpdateConfig{Resources: res{Memory: 1}}, class: "400", text: "Minimum memory limit allowed is 6MB", want: "256/256/200/50000/100000//"},
		{name: "cpuset", update: container.UpdateConfig{Resources: res{CpusetCpus: "0-1"}}, want: "256/256/200/50000/100000/0-1/"},
		{name: "policy", update: container.UpdateConfig{RestartPolicy: container.RestartPolicy{Name: "no"}}, want: "256/256/200/50000/100000/0-1/no"},
		{name: "bad policy", update: container.UpdateConfig{RestartPolicy: container.RestartPolicy{Name: "nope"}}, class: "400", text: "invalid restart policy 'nope'", want: "256/256/200/50000/100000/0-1/no"},
	}
	for _, tt := range tests {
		_, err := d.ContainerUpdate(t.Context(), id, tt.update)
		if tt.class == "" {
			tt.class = "nil"
		}
		wantErr(t, tt.name, err, tt.class, tt.text)
		h := inspect(t, d, id).HostConfig
		got := strings.Join([]string{
			num(h.Memory >> 20), num(h.MemorySwap >> 20), num(h.CPUShares), num(h.CPUQuota), num(h.CPUPeriod), h.CpusetCpus, string(h.RestartPolicy.Name),
		}, "/")
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestHostFS(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the engine takes paths of Linux, and this host has none")
	}
	dir := t.TempDir()
	d := &fake.Docker{HostFS: true}
	t.Cleanup(func() { d.Close() })
	d.AddImage("app:1")
	there, made := filepath.Join(dir, "there"), filepath.Join(dir, "made", "deep")
	if err := os.Mkdir(there, 0o755); err != nil {
		t.Fatal(err)
	}
	bind := func(source string) *host {
		return &host{Mounts: []mount.Mount{{Type: "bind", Source: filepath.ToSlash(source), Target: "/d"}}}
	}
	_, err := d.ContainerCreate(t.Context(), &config{Image: "app:1"}, bind(made), nil, nil, "h1")
	wantErr(t, "missing source", err, "400", `invalid mount config for type "bind": bind source path does not exist: `+made)

	// A source that goes between create and start is missed at the start, and
	// nothing else has happened.
	id := create(t, d, "h2", config{}, bind(there))
	if err := os.Remove(there); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "start", d.ContainerStart(t.Context(), id, container.StartOptions{}), "400", `invalid mount config for type "bind": bind source path does not exist: `+there)
	if c := inspect(t, d, id); c.State.Error != "" || c.State.ExitCode != 0 {
		t.Errorf("state %+v", c.State)
	}

	id = create(t, d, "h3", config{}, &host{Binds: []string{made + ":/d"}})
	if _, err := os.Stat(made); err == nil {
		t.Error("the source of a bind was made at create")
	}
	start(t, d, id)
	if _, err := os.Stat(made); err != nil {
		t.Errorf("the source of a bind was not made at start: %v", err)
	}
}

// What says nothing of a profile, or has no default action, is no refusal:
// Docker runs such a container, without seccomp or with its default.
func TestStartTakesSecurity(t *testing.T) {
	for _, host := range []string{
		`{"SecurityOpt":["seccomp={}"]}`, `{"SecurityOpt":["seccomp=null"]}`, `{"SecurityOpt":["seccomp="]}`, `{"SecurityOpt":["seccomp=unconfined"]}`,
		`{"SecurityOpt":["seccomp={bad","seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}"]}`,
		`{"Privileged":true,"SecurityOpt":["seccomp={bad"]}`,
		`{"SecurityOpt":["label=user:u","apparmor=x","no-new-privileges:true","disable"]}`,
		`{"UsernsMode":"anything","PidMode":"anything","UTSMode":"anything"}`,
		`{"Sysctls":{"net.core.somaxconn":"1","net/ipv4/ip_forward":"1","kernel.sem":"1 2 3 4","fs.mqueue.msg_max":"10","kernel.domainname":"a"}}`,
		`{"NetworkMode":"none","Sysctls":{"net.core.somaxconn":"1"}}`, `{"GroupAdd":["5","2147483647"]}`,
	} {
		d := newEngine(t)
		loadBox(t, d)
		resp, err := d.ContainerCreate(t.Context(), &config{Image: "box:1"}, hostJSON(t, host), nil, nil, "")
		if err != nil {
			t.Errorf("%s: create: %v", host, err)
			continue
		}
		if err := d.ContainerStart(t.Context(), resp.ID, container.StartOptions{}); err != nil {
			t.Errorf("%s: start: %v", host, err)
		}
	}
}
