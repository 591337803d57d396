package fake_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/dockpod/dockpod/fake"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// hostJSON makes a HostConfig of JSON, for fields whose types are not ours.
func hostJSON(t *testing.T, s string) *host {
	t.Helper()
	h := new(host)
	if err := json.Unmarshal([]byte(s), h); err != nil {
		t.Fatal(err)
	}
	return h
}

func configJSON(t *testing.T, s string) config {
	t.Helper()
	c := config{}
	if err := json.Unmarshal([]byte(s), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// Classes and texts were read off Docker 20.10.24.
func TestCreateRefusals(t *testing.T) {
	d := newEngine(t)
	d.AddImageConfig(fake.Image{Refs: []string{"bare:1"}})
	loadBox(t, d)
	d.Absent("/missing")
	holder := create(t, d, "held", config{}, nil)

	type mounts = []mount.Mount
	tests := []struct {
		name  string
		in    string // the name asked for; "x1" if empty
		cfg   config
		host  string // JSON
		mount mounts
		class string
		text  string
	}{
		{name: "no image", cfg: config{Image: "nope"}, class: "404", text: "No such image: nope:latest"},
		{name: "no such tag", cfg: config{Image: "app:9"}, class: "404", text: "No such image: app:9"},
		{name: "no such ID", cfg: config{Image: "sha256:" + strings.Repeat("a", 64)}, class: "404", text: "No such image: sha256:" + strings.Repeat("a", 64)},
		{name: "upper-case image", cfg: config{Image: "App"}, class: "400", text: "invalid reference format: repository name must be lowercase"},
		{name: "bad image", cfg: config{Image: ":::"}, class: "400", text: "invalid reference format"},
		{name: "one character", in: "a", class: "400", text: "Invalid container name (a), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
		{name: "underscore first", in: "_ab", class: "400", text: "Invalid container name (_ab), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
		{name: "slash inside", in: "a/b", class: "400", text: "Invalid container name (a/b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
		{name: "colon inside", in: "a:b", class: "400", text: "Invalid container name (a:b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
		{name: "taken", in: "held", class: "409", text: `Conflict. The container name "/held" is already in use by container "` + holder + `". You have to remove (or rename) that container to be able to reuse that name.`},
		{name: "taken, with its slash", in: "/held", class: "409", text: `Conflict. The container name "/held" is already in use by container "` + holder + `". You have to remove (or rename) that container to be able to reuse that name.`},
		{name: "image before name", in: "held", cfg: config{Image: "nope"}, class: "404", text: "No such image: nope:latest"},
		{name: "relative working directory", cfg: config{WorkingDir: "rel"}, class: "400", text: "the working directory 'rel' is invalid, it needs to be an absolute path"},
		{name: "working directory is a file", cfg: config{Image: "box:1", WorkingDir: "/data"}, class: "500", text: "Cannot mkdir: /data is not a directory"},
		{name: "stop signal", cfg: config{StopSignal: "SIGNOPE"}, class: "400", text: "Invalid signal: SIGNOPE"},
		{name: "environment without a name", cfg: config{Env: []string{"=x"}}, class: "400", text: "invalid environment variable: =x"},
		{name: "empty environment entry", cfg: config{Env: []string{""}}, class: "400", text: "invalid environment variable:"},
		{name: "no command", cfg: config{Image: "bare:1"}, class: "400", text: "No command specified"},
		{name: "empty entrypoint drops the image's command", cfg: config{Image: "bare:1", Entrypoint: []string{""}}, class: "400", text: "No command specified"},
		{name: "short health interval", cfg: config{Healthcheck: &container.HealthConfig{Interval: 10}}, class: "400", text: "Interval in Healthcheck cannot be less than 1ms"},
		{name: "negative health retries", cfg: config{Healthcheck: &container.HealthConfig{Retries: -1}}, class: "400", text: "Retries in Healthcheck cannot be negative"},
		{name: "little memory", host: `{"Memory":1048576}`, class: "400", text: "Minimum memory limit allowed is 6MB"},
		{name: "swap alone", host: `{"MemorySwap":1073741824}`, class: "400", text: "You should always set the Memory limit when using Memoryswap limit, see usage"},
		{name: "swap below memory", host: `{"Memory":67108864,"MemorySwap":33554432}`, class: "400", text: "Minimum memoryswap limit should be larger than memory limit, see usage"},
		{name: "reservation above memory", host: `{"Memory":67108864,"MemoryReservation":68157440}`, class: "400", text: "Minimum memory limit can not be less than memory reservation limit, see usage"},
		{name: "swappiness", host: `{"MemorySwappiness":101}`, class: "400", text: "Invalid value: 101, valid memory swappiness range is 0-100"},
		{name: "CPU period", host: `{"CpuPeriod":1}`, class: "400", text: "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"},
		{name: "CPU quota", host: `{"CpuQuota":1}`, class: "400", text: "CPU cfs quota can not be less than 1ms (i.e. 1000)"},
		{name: "cpuset that is none", host: `{"CpusetCpus":"x"}`, class: "400", text: "Invalid value x for cpuset cpus: invalid format: x"},
		{name: "cpuset beyond the machine", host: `{"CpusetCpus":"0-99"}`, class: "400", text: "Requested CPUs are not available - requested 0-99, available: 0-3"},
		{name: "memory node beyond the machine", host: `{"CpusetMems":"1"}`, class: "400", text: "Requested memory nodes are not available - requested 1, available: 0"},
		{name: "too many CPUs", host: `{"NanoCpus":99000000000}`, class: "400", text: "Range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available"},
		{name: "CPUs in two ways", host: `{"NanoCpus":1000000000,"CpuQuota":5000}`, class: "400", text: "Conflicting options: Nano CPUs and CPU Quota cannot both be set"},
		{name: "OOM score", host: `{"OomScoreAdj":1001}`, class: "400", text: "Invalid value 1001, range for oom score adj is [-1000, 1000]"},
		{name: "negative shm", host: `{"ShmSize":-1}`, class: "400", text: "SHM size can not be less than 0"},
		{name: "runtime", host: `{"Runtime":"nope"}`, class: "400", text: "Unknown runtime specified nope"},
		{name: "log driver", host: `{"LogConfig":{"Type":"nope"}}`, class: "400", text: `error looking up logging plugin nope: plugin "nope" not found`},
		{name: "log option", host: `{"LogConfig":{"Type":"json-file","Config":{"nope":"1"}}}`, class: "400", text: "unknown log opt 'nope' for json-file log driver"},
		{name: "restart policy", host: `{"RestartPolicy":{"Name":"nope"}}`, class: "400", text: "invalid restart policy 'nope'"},
		{name: "retries without on-failure", host: `{"RestartPolicy":{"Name":"always","MaximumRetryCount":1}}`, class: "400", text: "maximum retry count cannot be used with restart policy 'always'"},
		{name: "removal and restart", host: `{"AutoRemove":true,"RestartPolicy":{"Name":"always"}}`, class: "400", text: "can't create 'AutoRemove' container with restart policy"},
		{name: "security option without a value", host: `{"SecurityOpt":["nope"]}`, class: "500", text: `invalid --security-opt 1: "nope"`},
		{name: "security option", host: `{"SecurityOpt":["nope=1"]}`, class: "500", text: `invalid --security-opt 2: "nope=1"`},
		{name: "capability", host: `{"CapAdd":["nope"]}`, class: "400", text: `invalid CapAdd: unknown capability: "CAP_NOPE"`},
		{name: "extra host", host: `{"ExtraHosts":["x"]}`, class: "400", text: `bad format for add-host: "x"`},
		{name: "cgroup namespace", host: `{"CgroupnsMode":"nope"}`, class: "400", text: "invalid cgroup namespace mode: nope"},
		{name: "isolation", host: `{"Isolation":"hyperv"}`, class: "500", text: `Invalid isolation: "hyperv" - linux only supports 'default'`},
		{name: "PID namespace of nobody", host: `{"PidMode":"container:gone"}`, class: "400", text: "No such container: gone"},
		{name: "IPC namespace of nobody", host: `{"IpcMode":"container:gone"}`, class: "400", text: "No such container: gone"},
		{name: "network of nothing", host: `{"NetworkMode":"container:"}`, class: "400", text: "Invalid network mode: invalid container format container:<name|id>"},
		{name: "joined network and a hostname", cfg: config{Hostname: "h"}, host: `{"NetworkMode":"container:x"}`, class: "400", text: "conflicting options: hostname and the network mode"},
		{name: "joined network and ports", host: `{"NetworkMode":"container:x","PortBindings":{"80/tcp":[{"HostPort":"80"}]}}`, class: "400", text: "conflicting options: port publishing and the container type network mode"},
		{name: "joined network and DNS", host: `{"NetworkMode":"container:x","Dns":["1.1.1.1"]}`, class: "400", text: "conflicting options: dns and the network mode"},
		{name: "joined network and hosts", host: `{"NetworkMode":"container:x","ExtraHosts":["a:1.1.1.1"]}`, class: "400", text: "conflicting options: custom host-to-IP mapping and the network mode"},
		{name: "host UTS and a hostname", cfg: config{Hostname: "h"}, host: `{"UTSMode":"host"}`, class: "400", text: "conflicting options: hostname and the UTS mode"},
		{name: "host port", host: `{"PortBindings":{"80/tcp":[{"HostPort":"70000"}]}}`, class: "400", text: `invalid port specification: "70000"`},
		{name: "container port", host: `{"PortBindings":{"x/tcp":[{"HostPort":"80"}]}}`, class: "400", text: `invalid port specification: "x"`},
		{name: "two binds at one target", host: `{"Binds":["/a:/d","/b:/d"]}`, class: "400", text: "Duplicate mount point: /d"},
		{name: "bind and mount at one target", host: `{"Binds":["/a:/d"]}`, mount: mounts{{Type: "bind", Source: "/b", Target: "/d/"}}, class: "400", text: "Duplicate mount point: /d/"},
		{name: "colon in a bind's source", host: `{"Binds":["/a:b:/data"]}`, class: "500", text: "invalid mode: /data"},
		{name: "relative bind target", host: `{"Binds":["/a:d"]}`, class: "500", text: `invalid volume specification: '/a:d': invalid mount config for type "bind": invalid mount path: 'd' mount path must be absolute`},
		{name: "relative bind source", host: `{"Binds":["./a:/d"]}`, class: "400", text: `create ./a: "./a" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`},
		{name: "bind over everything", host: `{"Binds":["/a:/"]}`, class: "500", text: `invalid volume specification: '/a:/': invalid mount config for type "bind": invalid specification: destination can't be '/'`},
		{name: "empty bind", host: `{"Binds":[""]}`, class: "500", text: "invalid volume specification: ''"},
		{name: "missing mount source", mount: mounts{{Type: "bind", Source: "/missing", Target: "/d"}}, class: "400", text: `invalid mount config for type "bind": bind source path does not exist: /missing`},
		{name: "missing mount source to be made, API 1.41", mount: mounts{{Type: "bind", Source: "/missing", Target: "/d", BindOptions: &mount.BindOptions{CreateMountpoint: true}}}, class: "400", text: `invalid mount config for type "bind": bind source path does not exist: /missing`},
		{name: "relative mount target", mount: mounts{{Type: "bind", Source: "/a", Target: "d"}}, class: "400", text: `invalid mount config for type "bind": invalid mount path: 'd' mount path must be absolute`},
		{name: "mount without a target", mount: mounts{{Type: "bind", Source: "/a"}}, class: "400", text: `invalid mount config for type "bind": field Target must not be empty`},
		{name: "mount over everything", mount: mounts{{Type: "bind", Source: "/a", Target: "/"}}, class: "400", text: `invalid mount config for type "bind": invalid specification: destination can't be '/'`},
		{name: "mount type", mount: mounts{{Type: "nope", Target: "/d"}}, class: "400", text: `invalid mount config for type "nope": mount type unknown`},
		{name: "image mount, API 1.41", mount: mounts{{Type: "image", Source: "app:1", Target: "/d"}}, class: "400", text: `invalid mount config for type "image": mount type unknown`},
		{name: "mount propagation", mount: mounts{{Type: "bind", Source: "/a", Target: "/d", BindOptions: &mount.BindOptions{Propagation: "nope"}}}, class: "400", text: `invalid mount config for type "bind": invalid propagation mode: nope`},
		{name: "recursive read-only, API 1.41", mount: mounts{{Type: "bind", Source: "/a", Target: "/d", ReadOnly: true, BindOptions: &mount.BindOptions{ReadOnlyForceRecursive: true}}}, class: "unclassified", text: "bind-recursive=readonly requires API v1.44 or later"},
		{name: "volumes from nobody", host: `{"VolumesFrom":["gone"]}`, class: "400", text: "No such container: gone"},
		{name: "link to nobody", host: `{"Links":["gone:x"]}`, class: "400", text: "could not get container for gone: No such container: gone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.cfg.Image == "" {
				tt.cfg.Image = "app:1"
			}
			if tt.in == "" {
				tt.in = "x1"
			}
			var h *host
			if tt.host != "" || tt.mount != nil {
				h = new(host)
				if tt.host != "" {
					h = hostJSON(t, tt.host)
				}
				h.Mounts = tt.mount
			}
			r, err := d.ContainerCreate(t.Context(), &tt.cfg, h, nil, nil, tt.in)
			wantErr(t, "create", err, tt.class, tt.text)
			if r.ID != "" {
				t.Errorf("an ID came back with an error: %q", r.ID)
			}
		})
	}
	if _, err := d.ContainerInspect(t.Context(), "x1"); class(err) != "404" {
		t.Errorf("a refused create left its name behind: %v", err)
	}
	_, err := d.ContainerCreate(t.Context(), nil, nil, nil, nil, "x1")
	wantErr(t, "no configuration", err, "400", "Config cannot be empty in order to create a container")
	_, err = d.ContainerCreate(t.Context(), &config{Image: "app:1"}, nil, &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"b": {}, "a": {}}}, nil, "x1")
	wantErr(t, "two networks", err, "400", "Container cannot be connected to network endpoints: a, b")
	_, err = d.ContainerCreate(t.Context(), &config{Image: "app:1"}, nil, nil, &ocispec.Platform{OS: "linux", Architecture: "arm64"}, "x1")
	wantErr(t, "platform", err, "404", "image with reference app:1 was found but does not match the specified platform: wanted linux/arm64, actual: linux/amd64")
}

func TestCreateAccepts(t *testing.T) {
	tests := []struct {
		name     string
		in       string
		cfg      config
		host     string
		warnings []string
	}{
		{name: "a leading slash", in: "/slash"},
		{name: "no name"},
		{name: "a long name", in: strings.Repeat("n", 2000)},
		{name: "a large label", in: "x1", cfg: config{Labels: map[string]string{"l": strings.Repeat("v", 1<<20)}}},
		{name: "no image but a command", in: "x1", cfg: config{Image: "-", Cmd: []string{"/a"}}},
		{name: "a bind of a missing source", in: "x1", host: `{"Binds":["/missing:/d"]}`},
		{name: "a network that is not there", in: "x1", host: `{"NetworkMode":"nope"}`},
		{name: "a container to join that is not there", in: "x1", host: `{"NetworkMode":"container:nope"}`},
		{name: "unlimited swap", in: "x1", host: `{"Memory":67108864,"MemorySwap":-1}`},
		{name: "host network and ports", in: "x1", host: `{"NetworkMode":"host","PortBindings":{"80/tcp":[{"HostPort":"80"}]}}`, warnings: []string{"Published ports are discarded when using host network mode"}},
		{name: "no OOM killer and no limit", in: "x1", host: `{"OomKillDisable":true}`, warnings: []string{"OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources."}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newEngine(t)
			d.Absent("/missing")
			if tt.cfg.Image == "" {
				tt.cfg.Image = "app:1"
			}
			tt.cfg.Image = strings.TrimPrefix(tt.cfg.Image, "-")
			var h *host
			if tt.host != "" {
				h = hostJSON(t, tt.host)
			}
			r, err := d.ContainerCreate(t.Context(), &tt.cfg, h, nil, nil, tt.in)
			if err != nil {
				t.Fatal(err)
			}
			want := tt.warnings
			if want == nil {
				want = []string{}
			}
			if diff := cmp.Diff(want, r.Warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(r.ID) {
				t.Errorf("ID %q is not 64 hex digits", r.ID)
			}
			if tt.in != "" {
				if got, want := inspect(t, d, r.ID).Name, "/"+strings.TrimPrefix(tt.in, "/"); got != want {
					t.Errorf("name %q, want %q", got, want)
				}
			}
		})
	}
}

func TestCreatedContainer(t *testing.T) {
	now := time.Date(2024, 5, 6, 7, 8, 9, 123456000, time.UTC)
	d := newEngine(t)
	d.Now = func() time.Time { return now }
	id := create(t, d, "web", config{Labels: map[string]string{"k": "v"}}, &host{Resources: container.Resources{Memory: 64 << 20, PidsLimit: ptr(int64(-1))}, CapAdd: []string{"net_admin"}})
	c := inspect(t, d, id)

	wantState := &container.State{Status: "created", StartedAt: "0001-01-01T00:00:00Z", FinishedAt: "0001-01-01T00:00:00Z"}
	if diff := cmp.Diff(wantState, c.State); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	got := map[string]any{
		"created": c.Created, "log path": c.LogPath, "name": c.Name, "hostname": c.Config.Hostname, "path": c.Path, "resolv.conf": c.ResolvConfPath,
		"swap": c.HostConfig.MemorySwap, "shm": c.HostConfig.ShmSize, "network": string(c.HostConfig.NetworkMode), "ipc": string(c.HostConfig.IpcMode),
		"cgroupns": string(c.HostConfig.CgroupnsMode), "log driver": c.HostConfig.LogConfig.Type, "policy": string(c.HostConfig.RestartPolicy.Name),
		"pids": c.HostConfig.PidsLimit == nil, "caps": strings.Join(c.HostConfig.CapAdd, ","), "masked": len(c.HostConfig.MaskedPaths), "runtime": c.HostConfig.Runtime,
		"address": c.NetworkSettings.IPAddress, "mounts": c.Mounts != nil && len(c.Mounts) == 0, "restarts": c.RestartCount,
	}
	want := map[string]any{
		"created": "2024-05-06T07:08:09.123456Z", "log path": "", "name": "/web", "hostname": id[:12], "path": "/bin/main", "resolv.conf": "",
		"swap": int64(128 << 20), "shm": int64(64 << 20), "network": "default", "ipc": "private",
		"cgroupns": "host", "log driver": "json-file", "policy": "",
		"pids": true, "caps": "CAP_NET_ADMIN", "masked": 10, "runtime": "runc",
		"address": "", "mounts": true, "restarts": 0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("created container (-want +got):\n%s", diff)
	}
	if _, ok := c.NetworkSettings.Networks["bridge"]; !ok || len(c.NetworkSettings.Networks) != 1 {
		t.Errorf("networks of a created container: %v, want bridge alone", c.NetworkSettings.Networks)
	}
}

func TestCreateMergesImage(t *testing.T) {
	d := newEngine(t)
	image := configJSON(t, `{"Entrypoint":["/box"],"Cmd":["serve"],"Env":["A=1","B=1"],"Labels":{"l":"image","m":"image"},"User":"app","WorkingDir":"/work",
		"StopSignal":"SIGINT","ExposedPorts":{"80/tcp":{}},"Volumes":{"/vol":{}},"Healthcheck":{"Test":["CMD","x"],"Interval":1000000000}}`)
	d.AddImageConfig(fake.Image{Refs: []string{"full:1"}, Config: image})

	commands := []struct {
		name            string
		entrypoint, cmd []string
		want            []string
	}{
		{name: "neither", want: []string{"/box", "serve"}},
		{name: "arguments", cmd: []string{"a", "b"}, want: []string{"/box", "a", "b"}},
		{name: "entrypoint drops the image's arguments", entrypoint: []string{"/other"}, want: []string{"/other"}},
		{name: "both", entrypoint: []string{"/other"}, cmd: []string{"a"}, want: []string{"/other", "a"}},
		{name: "empty entrypoint", entrypoint: []string{}, cmd: []string{"a"}, want: []string{"a"}},
	}
	for i, tt := range commands {
		t.Run(tt.name, func(t *testing.T) {
			c := inspect(t, d, create(t, d, "cmd"+string(rune('a'+i)), config{Image: "full:1", Entrypoint: tt.entrypoint, Cmd: tt.cmd}, nil))
			if diff := cmp.Diff(tt.want, append([]string{c.Path}, c.Args...)); diff != "" {
				t.Errorf("command (-want +got):\n%s", diff)
			}
		})
	}

	cfg := configJSON(t, `{"Image":"full:1","Env":["B=2","B=3","C"],"Labels":{"l":"own"},"ExposedPorts":{"81/udp":{}},"Healthcheck":{"Retries":5}}`)
	c := inspect(t, d, create(t, d, "merged", cfg, nil))
	if diff := cmp.Diff([]string{"B=2", "B=3", "C", "A=1"}, c.Config.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"l": "own", "m": "image"}, c.Config.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if c.Config.User != "app" || c.Config.WorkingDir != "/work" || c.Config.StopSignal != "SIGINT" || len(c.Config.ExposedPorts) != 2 {
		t.Errorf("user %q, directory %q, signal %q, ports %v", c.Config.User, c.Config.WorkingDir, c.Config.StopSignal, c.Config.ExposedPorts)
	}
	if h := c.Config.Healthcheck; h.Retries != 5 || h.Interval != time.Second || len(h.Test) != 2 {
		t.Errorf("health check %+v", h)
	}
	if len(c.Mounts) != 1 || c.Mounts[0].Destination != "/vol" || c.Mounts[0].Type != "volume" || len(c.Mounts[0].Name) != 64 {
		t.Errorf("anonymous volume: %+v", c.Mounts)
	}
}

func TestCreateMounts(t *testing.T) {
	d := newEngine(t)
	id := create(t, d, "m1", config{}, &host{
		Binds: []string{"/src:/bind:ro", "vol:/named"},
		Mounts: []mount.Mount{
			{Type: "bind", Source: "/src/", Target: "/m/", ReadOnly: true, BindOptions: &mount.BindOptions{Propagation: "rslave", ReadOnlyNonRecursive: true}},
			{Type: "tmpfs", Target: "/tmp"},
		},
	})
	want := []container.MountPoint{
		{Type: "bind", Source: "/src", Destination: "/bind", Mode: "ro", Propagation: "rprivate"},
		{Type: "volume", Name: "vol", Source: "/var/lib/docker/volumes/vol/_data", Destination: "/named", Driver: "local", Mode: "z", RW: true},
		{Type: "bind", Source: "/src", Destination: "/m", Propagation: "rslave"},
		{Type: "tmpfs", Destination: "/tmp", RW: true},
	}
	c := inspect(t, d, id)
	if diff := cmp.Diff(want, c.Mounts); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
	if o := c.HostConfig.Mounts[0].BindOptions; o.ReadOnlyNonRecursive {
		t.Errorf("an option of API 1.44 was kept at 1.41: %+v", o)
	}
}

// What an API version lacks is dropped, or refused by the client.
func TestAPIVersion(t *testing.T) {
	h := func() *host {
		return &host{Annotations: map[string]string{"a": "b"}, Mounts: []mount.Mount{
			{Type: "bind", Source: "/missing", Target: "/m", BindOptions: &mount.BindOptions{CreateMountpoint: true, ReadOnlyNonRecursive: true}},
		}}
	}
	d := &fake.Docker{APIVersion: "1.44"}
	t.Cleanup(func() { d.Close() })
	d.AddImage("app:1")
	d.Absent("/missing")
	c := inspect(t, d, create(t, d, "c1", config{}, h()))
	if o := c.HostConfig.Mounts[0].BindOptions; !o.CreateMountpoint || !o.ReadOnlyNonRecursive || c.HostConfig.Annotations["a"] != "b" {
		t.Errorf("at API 1.44: %+v, annotations %v", o, c.HostConfig.Annotations)
	}
	if got := d.ClientVersion(); got != "1.44" {
		t.Errorf("ClientVersion() = %q", got)
	}
	if got := newEngine(t).ClientVersion(); got != "1.41" {
		t.Errorf("ClientVersion() of the zero value = %q", got)
	}
}

func TestNothingIsShared(t *testing.T) {
	d := newEngine(t)
	cfg := config{Image: "app:1", Env: []string{"A=1"}, Labels: map[string]string{"k": "v"}}
	h := &host{Binds: []string{"/a:/b"}, Resources: container.Resources{PidsLimit: ptr(int64(5))}}
	r, err := d.ContainerCreate(t.Context(), &cfg, h, nil, nil, "own")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Env[0], cfg.Labels["k"], h.Binds[0], *h.PidsLimit = "X", "X", "X", 9

	spoil := func() {
		c := inspect(t, d, r.ID)
		c.Config.Env[0], c.Config.Labels["k"], c.HostConfig.Binds[0], *c.HostConfig.PidsLimit = "Y", "Y", "Y", 8
		c.Mounts[0].Source, c.State.Status = "Y", "Y"
		c.NetworkSettings.Networks["bridge"].IPAddress = "Y"
		l, err := d.ContainerList(t.Context(), container.ListOptions{All: true})
		if err != nil {
			t.Fatal(err)
		}
		l[0].Labels["k"], l[0].Names[0], l[0].Mounts[0].Source = "Z", "Z", "Z"
		l[0].NetworkSettings.Networks["bridge"].IPAddress = "Z"
	}
	spoil()
	c := inspect(t, d, r.ID)
	if c.Config.Env[0] != "A=1" || c.Config.Labels["k"] != "v" || c.HostConfig.Binds[0] != "/a:/b" || *c.HostConfig.PidsLimit != 5 ||
		c.Mounts[0].Source != "/a" || c.State.Status != "created" || c.NetworkSettings.Networks["bridge"].IPAddress != "" {
		t.Errorf("a value outside of the engine changed it: %+v %+v %+v", c.Config, c.HostConfig.Binds, c.Mounts)
	}
}

func TestNamesAndIDs(t *testing.T) {
	d := newEngine(t)
	a := create(t, d, "one", config{}, nil)
	if _, err := d.ContainerCreate(t.Context(), &config{Image: "app:1"}, nil, nil, nil, "ONE"); err != nil {
		t.Errorf("names that differ in case: %v", err)
	}
	if err := d.ContainerRemove(t.Context(), a, container.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	b := create(t, d, "one", config{}, nil)
	if a == b {
		t.Error("an ID was given twice")
	}

	other := newEngine(t)
	if got := create(t, other, "one", config{}, nil); got != a {
		t.Errorf("the first container of an engine has ID %q here and %q there", a, got)
	}

	phantom := d.PhantomName("ghost")
	_, err := d.ContainerCreate(t.Context(), &config{Image: "app:1"}, nil, nil, nil, "ghost")
	wantErr(t, "phantom name", err, "409", `Conflict. The container name "/ghost" is already in use by container "`+phantom+`". You have to remove (or rename) that container to be able to reuse that name.`)
	if _, err := d.ContainerInspect(t.Context(), phantom); class(err) != "404" {
		t.Errorf("inspect of a phantom: %v", err)
	}
	wantErr(t, "remove a phantom", d.ContainerRemove(t.Context(), phantom, container.RemoveOptions{}), "404", "No such container: "+phantom)

	seen := map[string]bool{}
	for range 150 { // more than there are pairs of words
		name := inspect(t, d, create(t, d, "", config{}, nil)).Name
		if seen[name] {
			t.Fatalf("the name %q was made up twice", name)
		}
		seen[name] = true
	}
}
