package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/conformance/internal/prog"
	"github.com/dockpod/dockpod/internal/imagetar"
)

var createCases = []testCase{
	// The process.

	{"of a variable given twice the process sees the last, and the image's beside it", func(t *testing.T, w *world) {
		c := w.container("app", "env")
		c.Envs = []dockpod.EnvVar{{Key: "A", Value: "1"}, {Key: "SUM", Value: "x=y z"}, {Key: "A", Value: "2"}, {Key: "EMPTY"}, {Key: "DOLLAR", Value: "$(A)"}}
		seen := map[string]string{}
		for line := range strings.Lines(w.output(t, c)) {
			k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			seen[k] = v
		}
		for k, v := range map[string]string{"A": "2", "SUM": "x=y z", "EMPTY": "", "DOLLAR": "$(A)", "FROM": "image", "PATH": "/"} {
			if got, ok := seen[k]; !ok || got != v {
				t.Errorf("%s is %q, %t; want %q", k, got, ok, v)
			}
		}
	}},
	{"a caller's variable goes before the image's", func(t *testing.T, w *world) {
		c := w.container("app", "env")
		c.Envs = []dockpod.EnvVar{{Key: "FROM", Value: "caller"}}
		if out := w.output(t, c); !strings.Contains(out, "FROM=caller\n") || strings.Contains(out, "FROM=image\n") {
			t.Errorf("the process saw %q", out)
		}
	}},
	{"without command and arguments the image's are run", func(t *testing.T, w *world) {
		id := w.alone(t)
		w.run(t, id)
		w.hears(t, id, "up")
	}},
	{"arguments alone are those of the image's command", func(t *testing.T, w *world) {
		equal(t, "output", "one\ntwo\n", w.output(t, w.container("app", "args", "one", "two")))
	}},
	{"a command replaces the image's and drops its arguments", func(t *testing.T, w *world) {
		c := w.container("app")
		c.Command = []string{prog.Path, "args", "one"}
		equal(t, "output", "one\n", w.output(t, c))
	}},
	{"a command and arguments follow each other, and no shell reads them", func(t *testing.T, w *world) {
		c := w.container("app", "", "two words", `"$HOME" \ *`, "größe")
		c.Command = []string{prog.Path, "args", "one"}
		equal(t, "output", "one\n\ntwo words\n\"$HOME\" \\ *\ngröße\n", w.output(t, c))
	}},
	{"the working directory is the one asked for", func(t *testing.T, w *world) {
		c := w.container("app", "dir")
		c.WorkingDir = "/etc"
		equal(t, "output", "/etc\n", w.output(t, c))
	}},
	{"the hostname is the sandbox's", func(t *testing.T, w *world) {
		w.needs(t, "shared hostnames")
		s := w.pod("pod")
		s.Hostname = "web-0"
		id := w.start(t, w.sandbox(t, s), w.container("app", "hostname"), s)
		w.finished(t, id)
		equal(t, "output", "web-0\n", w.said(t, id))
	}},
	{"a stop sends the stop signal of the configuration", func(t *testing.T, w *world) {
		c := w.container("app", "stubborn")
		c.StopSignal = "SIGHUP"
		id := w.started(t, c)
		w.hears(t, id, "up")
		must(t, w.rt.StopContainer(t.Context(), id, time.Second))
		equal(t, "output", "up\ngot SIGHUP\n", w.said(t, id))
	}},
	{"a terminal and an open input are the container's", func(t *testing.T, w *world) {
		c := w.container("app")
		c.TTY, c.Stdin = true, true
		st := w.status(t, w.made(t, c))
		equal(t, "TTY and Stdin", []bool{true, true}, []bool{st.TTY, st.Stdin})
		st = w.status(t, w.alone(t))
		equal(t, "without", []bool{false, false}, []bool{st.TTY, st.Stdin})
	}},
	{"an input can be closed with the first attach", func(t *testing.T, w *world) {
		w.needs(t, "exact inspections")
		c := w.container("app")
		c.Stdin, c.StdinOnce = true, true
		equal(t, "StdinOnce", true, w.raw(t, w.made(t, c)).Config.StdinOnce)
	}},
	{"an image's health check is turned off unless one is asked for", func(t *testing.T, w *world) {
		equal(t, "without", []string{"NONE"}, w.raw(t, w.alone(t)).Config.Healthcheck.Test)
		c := w.container("app")
		c.Healthcheck = &dockpod.Healthcheck{Command: []string{prog.Path, "exit", "0"}}
		id := w.made(t, c)
		equal(t, "with", []string{"CMD", prog.Path, "exit", "0"}, w.raw(t, id).Config.Healthcheck.Test)
	}},
	{"no engine restarts a container by itself", func(t *testing.T, w *world) {
		if p := w.raw(t, w.alone(t)).HostConfig.RestartPolicy; !p.IsNone() {
			t.Errorf("the restart policy is %q", p.Name)
		}
	}},

	// What it may do.

	{"a user goes by number or by name", func(t *testing.T, w *world) {
		uid, gid := int64(1000), int64(1000)
		for i, user := range []struct {
			dockpod.SecurityContext
			want string
		}{
			{dockpod.SecurityContext{}, ""},
			{dockpod.SecurityContext{RunAsUser: new(int64)}, "0"},
			{dockpod.SecurityContext{RunAsUser: &uid, RunAsGroup: &gid}, "1000:1000"},
			{dockpod.SecurityContext{RunAsUserName: "user", RunAsGroup: &gid}, "user:1000"},
		} {
			c := w.container("app")
			c.Attempt, c.SecurityContext = uint32(i), user.SecurityContext
			equal(t, "user", user.want, w.raw(t, w.made(t, c)).Config.User)
		}
	}},
	{"a container has no privilege that was not asked for", func(t *testing.T, w *world) {
		host := w.raw(t, w.alone(t)).HostConfig
		equal(t, "privileged, read-only root", []bool{false, false}, []bool{host.Privileged, host.ReadonlyRootfs})
		equal(t, "groups, added and dropped capabilities", []int{0, 0, 0}, []int{len(host.GroupAdd), len(host.CapAdd), len(host.CapDrop)})
	}},
	{"a container has the privileges asked for", func(t *testing.T, w *world) {
		c := w.container("app")
		c.SecurityContext = dockpod.SecurityContext{Privileged: true, ReadonlyRootfs: true, SupplementalGroups: []int64{5, 6}}
		host := w.raw(t, w.made(t, c)).HostConfig
		equal(t, "privileged, read-only root", []bool{true, true}, []bool{host.Privileged, host.ReadonlyRootfs})
		equal(t, "groups", []string{"5", "6"}, host.GroupAdd)
	}},
	{"a capability is spelled as engines spell it", func(t *testing.T, w *world) {
		w.needs(t, "exact inspections")
		c := w.container("app")
		c.SecurityContext.Capabilities = &dockpod.Capabilities{Add: []string{"net_admin"}, Drop: []string{"CAP_CHOWN"}}
		host := w.raw(t, w.made(t, c)).HostConfig
		equal(t, "added", []string{"CAP_NET_ADMIN"}, []string(host.CapAdd))
		equal(t, "dropped", []string{"CAP_CHOWN"}, []string(host.CapDrop))
	}},
	{"a process may be kept from new privileges", func(t *testing.T, w *world) {
		c := w.container("app")
		c.SecurityContext.NoNewPrivs = true
		if opts := w.raw(t, w.made(t, c)).HostConfig.SecurityOpt; !slices.Contains(opts, "no-new-privileges") {
			t.Errorf("security options are %q", opts)
		}
	}},

	// The pod's namespaces.

	{"a container joins its sandbox's network and IPC", func(t *testing.T, w *world) {
		sandbox, s := w.ready(t)
		id := w.create(t, sandbox, w.container("app"), s)
		host := w.raw(t, id).HostConfig
		equal(t, "network and IPC", []string{"container:" + sandbox, "container:" + sandbox}, []string{string(host.NetworkMode), string(host.IpcMode)})
		st := w.status(t, id)
		equal(t, "sandbox and network of the status", []string{sandbox, "container:" + sandbox}, []string{st.SandboxID, st.NetworkMode})
	}},
	{"a container without a sandbox joins nobody", func(t *testing.T, w *world) {
		id := w.alone(t)
		equal(t, "sandbox", "", w.status(t, id).SandboxID)
		host := w.raw(t, id).HostConfig
		equal(t, "joins", []bool{false, false, false}, []bool{host.NetworkMode.IsContainer(), host.IpcMode.IsContainer(), host.PidMode.IsContainer()})
	}},
	{"a container joins the processes of another of its pod", func(t *testing.T, w *world) {
		sandbox, s := w.ready(t)
		target := w.create(t, sandbox, w.container("target"), s)
		c := w.container("app")
		c.SecurityContext.Namespaces = dockpod.NamespaceOptions{PID: dockpod.NamespaceTarget, TargetID: target[:12]}
		id := w.create(t, sandbox, c, s)
		equal(t, "PID mode", "container:"+target, string(w.raw(t, id).HostConfig.PidMode))
		must(t, w.rt.RemoveContainer(t.Context(), id)) // before the target, as Podman wants it
	}},
	{"a container does not join the processes of another pod", func(t *testing.T, w *world) {
		sandbox, s := w.ready(t)
		c := w.container("app")
		c.SecurityContext.Namespaces = dockpod.NamespaceOptions{PID: dockpod.NamespaceTarget, TargetID: w.alone(t)}
		_, err := w.rt.CreateContainer(t.Context(), sandbox, c, s)
		equal(t, "field", "SecurityContext.Namespaces.TargetID", refused[*dockpod.FieldError](t, err).Field)
	}},
	{"a container cannot have another network than its sandbox", func(t *testing.T, w *world) {
		sandbox, s := w.ready(t)
		c := w.container("app")
		c.SecurityContext.Namespaces.Network = dockpod.NamespaceNode
		_, err := w.rt.CreateContainer(t.Context(), sandbox, c, s)
		equal(t, "field", "SecurityContext.Namespaces.Network", refused[*dockpod.FieldError](t, err).Field)
	}},
	{"a container goes into its own pod's sandbox only", func(t *testing.T, w *world) {
		sandbox, _ := w.ready(t)
		_, err := w.rt.CreateContainer(t.Context(), sandbox, w.container("app"), w.pod("other"))
		equal(t, "field", "sandboxID", refused[*dockpod.FieldError](t, err).Field)
		equal(t, "list", []string{}, w.ids(t, dockpod.Filter{}))
	}},
	{"a create without the sandbox is ErrSandboxGone", func(t *testing.T, w *world) {
		sandbox, s := w.ready(t)
		must(t, w.rt.RemoveSandbox(t.Context(), sandbox))
		_, err := w.rt.CreateContainer(t.Context(), sandbox, w.container("app"), s)
		fails(t, err, dockpod.ErrSandboxGone)
		if errdefs.IsNotFound(err) {
			t.Errorf("the class of %v is NotFound, as if it were the image's", err)
		}
	}},
	{"a container is no sandbox", func(t *testing.T, w *world) {
		_, err := w.rt.CreateContainer(t.Context(), w.alone(t), w.container("app"), w.pod("alone"))
		fails(t, err, dockpod.ErrNotManaged)
	}},
	{"an agent that was started anew creates by what the sandbox remembers", func(t *testing.T, w *world) {
		sandbox, s := w.ready(t)
		st, err := w.with().SandboxStatus(t.Context(), sandbox)
		must(t, err)
		c := w.container("app")
		c.LogPath = "app/0.log"
		id := w.create(t, sandbox, c, s)
		equal(t, "the same container", id, w.create(t, sandbox, c, st.Config))
	}},

	// Limits.

	{"limits are read back as they were given", func(t *testing.T, w *world) {
		w.needs(t, "swap limits")
		c := w.container("app")
		c.Resources = dockpod.Resources{
			MemoryLimit: 64 << 20, MemorySwapLimit: 96 << 20, CPUShares: 256, CPUQuota: 50000, CPUPeriod: 100000,
			CpusetCpus: "0", CpusetMems: "0", PidsLimit: 20, OOMScoreAdj: 500,
		}
		equal(t, "resources", c.Resources, w.status(t, w.made(t, c)).Resources)
	}},
	{"a memory limit without a word of swap allows none", func(t *testing.T, w *world) {
		w.needs(t, "swap limits")
		c := w.container("app")
		c.Resources.MemoryLimit = 64 << 20
		res := w.status(t, w.made(t, c)).Resources
		equal(t, "memory and swap", []int64{64 << 20, 64 << 20}, []int64{res.MemoryLimit, res.MemorySwapLimit})
	}},
	{"a container that was given limits runs", func(t *testing.T, w *world) {
		c := w.container("app", "print", "fine")
		c.Resources = dockpod.Resources{MemoryLimit: 64 << 20, CPUShares: 256, CPUQuota: 50000, CPUPeriod: 100000, PidsLimit: 50, OOMScoreAdj: 500}
		equal(t, "output", "fine\n", w.output(t, c))
	}},
	{"shared memory is 64 MiB unless said otherwise", func(t *testing.T, w *world) {
		equal(t, "unsaid", 64<<20, int(w.raw(t, w.alone(t)).HostConfig.ShmSize))
		c := w.container("app")
		c.ShmSize = 8 << 20
		equal(t, "said", 8<<20, int(w.raw(t, w.made(t, c)).HostConfig.ShmSize))
	}},
	{"limits of the process are the container's", func(t *testing.T, w *world) {
		c := w.container("app")
		c.Ulimits = []dockpod.Ulimit{{Name: "nofile", Soft: 256, Hard: 512}}
		host := w.raw(t, w.made(t, c)).HostConfig
		i := slices.IndexFunc(host.Ulimits, func(u *container.Ulimit) bool { return strings.HasSuffix(strings.ToLower(u.Name), "nofile") })
		if i < 0 || host.Ulimits[i].Soft != 256 || host.Ulimits[i].Hard != 512 {
			t.Errorf("limits are %v", host.Ulimits)
		}
	}},
	{"an init, a grace and further hosts are the engine's to give", func(t *testing.T, w *world) {
		w.needs(t, "exact inspections")
		grace, yes := 1500*time.Millisecond, true
		c := w.container("app")
		c.Init, c.StopTimeout, c.ExtraHosts = &yes, &grace, map[string]string{"db": "192.0.2.1"}
		info := w.raw(t, w.made(t, c))
		equal(t, "init", &yes, info.HostConfig.Init)
		equal(t, "whole seconds of grace", 2, *info.Config.StopTimeout)
		equal(t, "hosts", []string{"db:192.0.2.1"}, info.HostConfig.ExtraHosts)
	}},
	{"the pod's cgroup is spelled for the engine's driver", func(t *testing.T, w *world) {
		info, err := w.rt.Info(t.Context())
		must(t, err)
		s, want := w.pod("alone"), "/dockpod/conformance"
		s.CgroupParent = want
		if info.CgroupDriver == "systemd" {
			s.CgroupParent, want = "/dockpod.slice/dockpod-conformance.slice", "dockpod-conformance.slice"
		}
		id := w.create(t, "", w.container("app"), s)
		equal(t, "cgroup parent", want, w.raw(t, id).HostConfig.CgroupParent)
	}},
	{"a device is given with all rights unless said otherwise", func(t *testing.T, w *world) {
		w.needs(t, "exact inspections")
		c := w.container("app")
		c.Devices = []dockpod.Device{{HostPath: "/dev/null", ContainerPath: "/dev/nothing"}, {HostPath: "/dev/zero", Permissions: "r"}}
		id := w.made(t, c)
		want := []container.DeviceMapping{
			{PathOnHost: "/dev/null", PathInContainer: "/dev/nothing", CgroupPermissions: "rwm"},
			{PathOnHost: "/dev/zero", PathInContainer: "/dev/zero", CgroupPermissions: "r"},
		}
		equal(t, "devices", want, w.raw(t, id).HostConfig.Devices)
	}},

	// Mounts.

	{"memory is mounted", func(t *testing.T, w *world) {
		w.needs(t, "exact inspections")
		c := w.container("app", "print", "fine")
		c.Mounts = []dockpod.Mount{{Type: dockpod.MountTmpfs, Target: "/t", SizeBytes: 1 << 20, Mode: 0o700}}
		id := w.started(t, c)
		equal(t, "exit code", 0, w.finished(t, id).ExitCode)
		equal(t, "mounts", []dockpod.MountStatus{{Type: dockpod.MountTmpfs, Target: "/t"}}, w.status(t, id).Mounts)
		options := w.raw(t, id).HostConfig.Mounts[0].TmpfsOptions
		equal(t, "size and mode", []int{1 << 20, 0o700}, []int{int(options.SizeBytes), int(options.Mode)})
	}},
	{"a volume is mounted", func(t *testing.T, w *world) {
		volume := "volume-" + w.owner
		t.Cleanup(func() {
			w.removeAll(t)
			w.dropVolume(t, volume)
		})
		c := w.container("app", "print", "fine")
		c.Mounts = []dockpod.Mount{{Type: dockpod.MountVolume, Source: volume, Target: "/v", ReadOnly: true}}
		id := w.started(t, c)
		equal(t, "exit code", 0, w.finished(t, id).ExitCode)
		mounts := w.status(t, id).Mounts
		for i := range mounts { // where the engine keeps it
			mounts[i].Source, mounts[i].Propagation = "", ""
		}
		equal(t, "mounts", []dockpod.MountStatus{{Type: dockpod.MountVolume, Target: "/v", Volume: volume, ReadOnly: true}}, mounts)
	}},
	{"directories are mounted, whatever their names, and listed by target", func(t *testing.T, w *world) {
		w.needs(t, "local files")
		dir := t.TempDir()
		plain, colon := filepath.Join(dir, "plain"), filepath.Join(dir, "with:colon")
		must(t, os.Mkdir(plain, 0o755))
		must(t, os.Mkdir(colon, 0o755))
		c := w.container("app", "print", "fine")
		c.Mounts = []dockpod.Mount{{Source: plain, Target: "/b", ReadOnly: true}, {Source: colon, Target: "/a"}}
		id := w.started(t, c)
		want := []dockpod.MountStatus{
			{Type: dockpod.MountBind, Source: colon, Target: "/a", Propagation: dockpod.PropagationPrivate},
			{Type: dockpod.MountBind, Source: plain, Target: "/b", Propagation: dockpod.PropagationPrivate, ReadOnly: true},
		}
		equal(t, "mounts", want, w.status(t, id).Mounts)
		equal(t, "exit code", 0, w.finished(t, id).ExitCode)
	}},
	{"a mount's propagation is the one asked for", func(t *testing.T, w *world) {
		w.needs(t, "local files")
		dir := t.TempDir()
		want := []dockpod.Propagation{dockpod.PropagationPrivate, dockpod.PropagationHostToContainer, dockpod.PropagationBidirectional}
		c := w.container("app")
		for i, p := range want {
			c.Mounts = append(c.Mounts, dockpod.Mount{Source: dir, Target: fmt.Sprintf("/%d", i), Propagation: p})
		}
		var got []dockpod.Propagation
		for _, m := range w.status(t, w.made(t, c)).Mounts {
			got = append(got, m.Propagation)
		}
		equal(t, "propagations", want, got)
	}},
	{"a read-only mount leaves what is mounted below it alone", func(t *testing.T, w *world) {
		w.needs(t, "shallow read-only mounts")
		c := w.container("app")
		c.Mounts = []dockpod.Mount{{Source: t.TempDir(), Target: "/a", ReadOnly: true}}
		equal(t, "non-recursive", true, w.raw(t, w.made(t, c)).HostConfig.Mounts[0].BindOptions.ReadOnlyNonRecursive)
	}},
	{"what the engine's API version would drop in silence is refused by name", func(t *testing.T, w *world) {
		w.needs(t, "an old API")
		c := w.container("app")
		c.Mounts = []dockpod.Mount{{Source: "/a", Target: "/a", ReadOnly: true, RecursiveReadOnly: true}, {Type: dockpod.MountImage, Source: w.image, Target: "/b"}}
		err := w.unmade(t, c)
		fails(t, err, dockpod.ErrUnsupported)
		equal(t, "field", "Mounts[0].RecursiveReadOnly", refused[*dockpod.UnsupportedError](t, err).Field)
	}},

	// Logs.

	{"the log's place is remembered before there is a log", func(t *testing.T, w *world) {
		c := w.container("app")
		c.LogPath = "app/0.log"
		id := w.made(t, c)
		equal(t, "log path", filepath.ToSlash(w.logs)+"/app/0.log", w.status(t, id).LogPath)
		equal(t, "without", "", w.status(t, w.alone(t)).LogPath)
	}},
	{"a log driver is the engine's to run, with its options", func(t *testing.T, w *world) {
		w.needs(t, "exact inspections")
		c := w.container("app")
		c.LogConfig = dockpod.LogConfig{Driver: "json-file", Options: map[string]string{"max-size": "1m"}}
		id := w.made(t, c)
		equal(t, "driver", "json-file", w.status(t, id).LogDriver)
		equal(t, "max-size", "1m", w.raw(t, id).HostConfig.LogConfig.Config["max-size"])
	}},

	// The image.

	{"the image is shown as it was asked for", func(t *testing.T, w *world) {
		img, err := w.rt.ImageStatus(t.Context(), w.image)
		must(t, err)
		repository, _, _ := strings.Cut(w.image, ":")
		for _, ref := range []string{w.image, string(img.ID), strings.TrimPrefix(string(img.ID), "sha256:"), repository + "@" + string(img.ID)} {
			c := w.container("app", "print", "fine")
			c.Image = ref
			id := w.made(t, c)
			st := w.status(t, id)
			equal(t, "image", ref, st.Image)
			equal(t, "image ID", string(img.ID), st.ImageID)
			must(t, w.rt.RemoveContainer(t.Context(), id))
		}
	}},
	{"a container made by its image's ID runs", func(t *testing.T, w *world) {
		img, err := w.rt.ImageStatus(t.Context(), w.image)
		must(t, err)
		c := w.container("app", "print", "fine")
		c.Image = string(img.ID)
		equal(t, "output", "fine\n", w.output(t, c))
	}},
	{"an image that is not there is an error that names it", func(t *testing.T, w *world) {
		for _, ref := range []string{"dockpod.io/conformance:absent", "sha256:" + strings.Repeat("0", 64)} {
			c := w.container("app")
			c.Image = ref
			err := w.unmade(t, c)
			fails(t, err, dockpod.ErrImageNotFound)
			if !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), ref) {
				t.Errorf("%v is not of the class NotFound or does not name %q", err, ref)
			}
		}
		equal(t, "list", []string{}, w.ids(t, dockpod.Filter{}))
	}},
	{"a container keeps its image when the tag moves on", func(t *testing.T, w *world) {
		id := w.alone(t, "sleep")
		before := w.status(t, id)
		w.loadImage(t, w.docker.(dockpod.ImageLoader), imagetar.Image{
			Refs: []string{w.image}, Arch: "amd64", Cmd: []string{"/other"}, Labels: map[string]string{"moved": w.owner},
			Files: []imagetar.File{{Name: "other", Mode: 0o644}},
		})
		w.run(t, id)
		w.hears(t, id, "up")
		after := w.status(t, id)
		equal(t, "image", []string{w.image, before.ImageID}, []string{after.Image, after.ImageID})
		w.agrees(t, id)
		must(t, w.rt.RemoveContainer(t.Context(), id))
		must(t, w.rt.RemoveImage(t.Context(), before.ImageID))
	}},
	{"a container is still read when its image is gone", func(t *testing.T, w *world) {
		w.needs(t, "loose images")
		id := w.ended(t, "exit", "3")
		before := w.status(t, id)
		_, err := w.docker.ImageRemove(t.Context(), w.image, image.RemoveOptions{Force: true})
		must(t, err)
		after := w.status(t, id)
		equal(t, "image", []string{w.image, before.ImageID, dockpod.DockerPrefix + before.ImageID}, []string{after.Image, after.ImageID, after.ImageRef})
		equal(t, "exit code", 3, after.ExitCode)
		w.agrees(t, id)
		must(t, w.rt.RemoveContainer(t.Context(), id))
		must(t, w.rt.RemoveImage(t.Context(), before.ImageID))
	}},
	{"the image's labels are not the container's", func(t *testing.T, w *world) {
		c := w.container("app")
		c.Labels = map[string]string{"mine": "1"}
		equal(t, "labels", c.Labels, w.status(t, w.made(t, c)).Labels) // the suite's image has one too
	}},

	// What is refused.

	{"what cannot be is refused, by the field's name, before the engine is asked", func(t *testing.T, w *world) {
		spy := &spy{DockerInterface: w.docker}
		rt := dockpod.New(spy, dockpod.WithOwner(w.owner))
		type (
			C = *dockpod.ContainerConfig
			S = *dockpod.SandboxConfig
		)
		for _, wrong := range []struct {
			field string
			spoil func(C, S)
		}{
			{"Name", func(c C, _ S) { c.Name = "" }},
			{"Name", func(c C, _ S) { c.Name = "POD" }},
			{"Name", func(c C, _ S) { c.Name = "a_b" }},
			{"Image", func(c C, _ S) { c.Image = "" }},
			{"WorkingDir", func(c C, _ S) { c.WorkingDir = "etc" }},
			{"Envs[1].Key", func(c C, _ S) { c.Envs = []dockpod.EnvVar{{Key: "A"}, {Key: "A=B"}} }},
			{"Mounts[0].Target", func(c C, _ S) { c.Mounts = []dockpod.Mount{{Source: "/a", Target: "b"}} }},
			{"Mounts[1].Target", func(c C, _ S) {
				c.Mounts = []dockpod.Mount{{Source: "/a", Target: "/b"}, {Source: "/c", Target: "/b/"}}
			}},
			{"StdinOnce", func(c C, _ S) { c.StdinOnce = true }},
			{"StopSignal", func(c C, _ S) { c.StopSignal = "65" }},
			{"Resources.MemoryLimit", func(c C, _ S) { c.Resources.MemoryLimit = 1 }},
			{"SecurityContext.RunAsGroup", func(c C, _ S) { c.SecurityContext.RunAsGroup = new(int64) }},
			{`labels["io.dockpod.mine"]`, func(c C, _ S) { c.Labels = map[string]string{"io.dockpod.mine": ""} }},
			{"SandboxConfig.UID", func(_ C, s S) { s.UID = "" }},
			{"SandboxConfig.LogDirectory", func(_ C, s S) { s.LogDirectory = "logs" }},
		} {
			c, s := w.container("app"), w.pod("alone")
			wrong.spoil(&c, &s)
			_, err := rt.CreateContainer(t.Context(), "", c, s)
			equal(t, "field", wrong.field, refused[*dockpod.FieldError](t, err).Field)
		}
		equal(t, "calls of the engine", 0, int(spy.calls.Load()))
	}},
	{"a label that contradicts the pod is refused", func(t *testing.T, w *world) {
		c := w.container("app")
		c.Labels = map[string]string{dockpod.LabelPodUID: "another"}
		equal(t, "field", `labels["io.kubernetes.pod.uid"]`, refused[*dockpod.FieldError](t, w.unmade(t, c)).Field)
	}},
	{"a log cannot leave the pod's directory", func(t *testing.T, w *world) {
		c := w.container("app")
		c.LogPath = "../0.log"
		equal(t, "field", "LogPath", refused[*dockpod.FieldError](t, w.unmade(t, c)).Field)
	}},
	{"what no engine can do is refused, not dropped", func(t *testing.T, w *world) {
		c := w.container("app")
		c.Resources.HugepageLimits = map[string]int64{"2MB": 4 << 20}
		err := w.unmade(t, c)
		fails(t, err, dockpod.ErrUnsupported)
		equal(t, "field", `Resources.HugepageLimits["2MB"]`, refused[*dockpod.UnsupportedError](t, err).Field)
	}},
	{"an empty ID is refused", func(t *testing.T, w *world) {
		_, err := w.rt.ContainerStatus(t.Context(), "")
		refused[*dockpod.FieldError](t, err)
		refused[*dockpod.FieldError](t, w.rt.StartContainer(t.Context(), " "))
		refused[*dockpod.FieldError](t, w.rt.RemoveContainer(t.Context(), ""))
	}},
}

// dropVolume removes a named volume, which goes with no container.
func (w *world) dropVolume(t *testing.T, name string) {
	if v, ok := w.docker.(interface {
		VolumeRemove(ctx context.Context, name string, force bool) error
	}); ok {
		if err := v.VolumeRemove(context.WithoutCancel(t.Context()), name, false); err != nil {
			t.Errorf("clean up: %v", err)
		}
	}
}

// spy counts what a create could ask of an engine.
type spy struct {
	dockpod.DockerInterface
	calls atomic.Int32
}

func (s *spy) ContainerList(ctx context.Context, o container.ListOptions) ([]container.Summary, error) {
	s.calls.Add(1)
	return s.DockerInterface.ContainerList(ctx, o)
}

func (s *spy) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	s.calls.Add(1)
	return s.DockerInterface.ContainerInspect(ctx, id)
}

func (s *spy) ContainerCreate(ctx context.Context, c *container.Config, h *container.HostConfig, n *network.NetworkingConfig, p *ocispec.Platform, name string) (container.CreateResponse, error) {
	s.calls.Add(1)
	return s.DockerInterface.ContainerCreate(ctx, c, h, n, p, name)
}

func (s *spy) ImageInspect(ctx context.Context, ref string, o ...client.ImageInspectOption) (image.InspectResponse, error) {
	s.calls.Add(1)
	return s.DockerInterface.ImageInspect(ctx, ref, o...)
}

func (s *spy) Info(ctx context.Context) (system.Info, error) {
	s.calls.Add(1)
	return s.DockerInterface.Info(ctx)
}

func (s *spy) ServerVersion(ctx context.Context) (types.Version, error) {
	s.calls.Add(1)
	return s.DockerInterface.ServerVersion(ctx)
}
