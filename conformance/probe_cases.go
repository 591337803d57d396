package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/conformance/internal/prog"
)

// A probe runs a container whose process tells what it has got, and compares
// that with what was asked for. Every engine has to take the configuration;
// one that runs no processes is not asked further.
type probe struct {
	name  string
	needs string // a capability of capability.go besides real processes; empty: none
	opts  []dockpod.Option

	pod    func(w *world, s *dockpod.SandboxConfig)                 // nil: without a sandbox
	peer   func(w *world, c *dockpod.ContainerConfig)               // a container of the pod that runs already; nil: none
	with   func(t *testing.T, w *world, c *dockpod.ContainerConfig) // nil: nothing asked for
	joins  func(c *dockpod.ContainerConfig, peerID string)          // further, with the peer's ID
	ask    []string                                                 // of the report
	verify []fact
}

// A fact is one sentence about what the process found.
type fact struct {
	name  string
	needs string
	check func(t *testing.T, p *probed)
}

// probed is what a probe found.
type probed struct {
	*prog.Report
	peer    *prog.Report // nil without one
	sandbox *prog.Report // of its process, as this machine's /proc tells; nil if that is not the engine's
	node    *prog.Report // of this process; nil likewise
	status  dockpod.ContainerStatus
	raw     container.InspectResponse
	podman  bool // the engine is Podman
}

// The probes of one case are run one after the other in one world: to load its
// image takes longer than to run a container.
var probeCases = []testCase{
	{"nothing", runProbes(defaultProbes)},
	{"users", runProbes(userProbes)},
	{"capabilities", runProbes(capabilityProbes)},
	{"profiles", runProbes(profileProbes)},
	{"limits", runProbes(limitProbes)},
	{"devices", runProbes(deviceProbes)},
	{"mounts", runProbes(mountProbes)},
	{"processes", runProbes(processProbes)},
	{"pods", runProbes(podProbes)},
	{"changed limits are the running process's at once", updateProbe},
	{"a terminal is one inside", terminalProbe},
	{"a volume is kept", volumeProbe},
}

func runProbes(probes []probe) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		for i, p := range probes {
			t.Run(p.name, func(t *testing.T) { p.run(t, w, i) })
		}
	}
}

// run runs a probe in a pod of its number.
func (p probe) run(t *testing.T, w *world, number int) {
	if p.needs != "" {
		w.needs(t, p.needs)
	}
	if len(p.opts) > 0 {
		other := *w
		other.rt = w.with(p.opts...)
		w = &other
	}
	s, sandbox := w.pod(fmt.Sprintf("pod-%d", number)), ""
	if p.pod != nil {
		p.pod(w, &s)
		sandbox = w.sandbox(t, s)
		if s.CgroupParent != "" {
			t.Cleanup(func() {
				must(t, w.rt.RemoveSandbox(context.WithoutCancel(t.Context()), sandbox))
				dropCgroup(s.CgroupParent)
			})
		}
	}
	peer := ""
	if p.peer != nil {
		c := w.container("peer", "hold")
		p.peer(w, &c)
		peer = w.create(t, sandbox, c, s)
	}
	c := w.container("app", append([]string{"report"}, p.ask...)...)
	if p.with != nil {
		p.with(t, w, &c)
	}
	if p.joins != nil {
		p.joins(&c, peer)
	}
	id := w.create(t, sandbox, c, s)
	if p.joins != nil {
		// Podman wants it to be removed before the one that it joins.
		t.Cleanup(func() { must(t, w.rt.RemoveContainer(context.WithoutCancel(t.Context()), id)) })
	}
	w.needs(t, "real processes")

	found := &probed{}
	if peer != "" {
		w.run(t, peer)
		found.peer = w.reported(t, peer, 1)
	}
	w.run(t, id)
	if found.status = w.finished(t, id); found.status.ExitCode != 0 {
		t.Fatalf("the program ended with %d: %s", found.status.ExitCode, found.status.Message)
	}
	found.Report = w.reported(t, id, 1)
	found.raw, found.podman = w.raw(t, id), w.isPodman(t)
	if w.has(t, "this machine's processes") {
		found.node = prog.LookAt("self")
		if sandbox != "" {
			st, err := w.rt.SandboxStatus(t.Context(), sandbox)
			must(t, err)
			found.sandbox = prog.LookAt(strconv.Itoa(st.PID))
		}
	}
	for _, f := range p.verify {
		t.Run(f.name, func(t *testing.T) {
			if f.needs != "" {
				w.needs(t, f.needs)
			}
			f.check(t, found)
		})
	}
}

// dropCgroup removes the cgroups of a name and of the one above it, which an
// engine leaves behind. Those that are not empty stay.
func dropCgroup(parent string) {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		for _, dir := range []string{parent, filepath.Dir(parent)} {
			found, _ := filepath.Glob(root + dir)
			for _, f := range found {
				os.Remove(f)
			}
		}
	}
}

// reported waits for the n-th report of a container and returns it.
func (w *world) reported(t *testing.T, id string, n int) *prog.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	logs, err := w.docker.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, Follow: true})
	must(t, err)
	defer logs.Close()
	out, in := io.Pipe()
	defer out.Close()
	go func() {
		_, err := stdcopy.StdCopy(in, io.Discard, logs)
		in.CloseWithError(err)
	}()
	var r *prog.Report
	decoder := json.NewDecoder(out)
	for range n {
		r = new(prog.Report)
		if err := decoder.Decode(r); err != nil {
			t.Fatalf("no report %d of the container: %v", n, err)
		}
	}
	return r
}

// limit expects a limit of the cgroup, in the file of version 1 or, where that
// is not there, of 2. An empty value is any but the default of version 2.
func (p *probed) limit(t *testing.T, v1, want1, v2, want2 string) {
	t.Helper()
	if got, ok := p.Cgroups[v1]; ok {
		equal(t, v1, want1, got)
	} else if got, ok := p.Cgroups[v2]; !ok {
		t.Errorf("the container sees neither %s nor %s", v1, v2)
	} else if want2 != "" {
		equal(t, v2, want2, got)
	} else if got == "100" || got == "max" {
		t.Errorf("%s is %q, as if nothing had been asked for", v2, got)
	}
}

// path returns what was found of a path that was asked about.
func (p *probed) path(t *testing.T, path string) prog.PathReport {
	t.Helper()
	r, ok := p.Paths[path]
	if !ok {
		t.Fatalf("nobody asked about %s", path)
	}
	return r
}

// mounted returns what is mounted at a path.
func (p *probed) mounted(t *testing.T, path string) prog.MountPoint {
	t.Helper()
	m, ok := p.At(path)
	if !ok {
		t.Fatalf("nothing is mounted at %s", path)
	}
	return m
}

// has expects all of some words among others.
func has(t *testing.T, what string, words []string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !slices.Contains(words, w) {
			t.Errorf("%s are %q; want %q among them", what, words, w)
		}
	}
}

// same expects namespaces of two processes to be the same, others to differ.
func same(t *testing.T, a, b *prog.Report, names string) {
	t.Helper()
	for _, ns := range strings.Fields(names) {
		if a.Namespaces[ns] != b.Namespaces[ns] || a.Namespaces[ns] == "" {
			t.Errorf("the %s namespaces are %s and %s; want one", ns, a.Namespaces[ns], b.Namespaces[ns])
		}
	}
}

func different(t *testing.T, a, b *prog.Report, names string) {
	t.Helper()
	for _, ns := range strings.Fields(names) {
		if a.Namespaces[ns] == b.Namespaces[ns] {
			t.Errorf("both are in the %s namespace %s", ns, a.Namespaces[ns])
		}
	}
}

func security(sc dockpod.SecurityContext) func(*testing.T, *world, *dockpod.ContainerConfig) {
	return func(_ *testing.T, _ *world, c *dockpod.ContainerConfig) { c.SecurityContext = sc }
}

func resources(r dockpod.Resources) func(*testing.T, *world, *dockpod.ContainerConfig) {
	return func(_ *testing.T, _ *world, c *dockpod.ContainerConfig) { c.Resources = r }
}

func capabilitySet(add, drop []string) dockpod.SecurityContext {
	return dockpod.SecurityContext{Capabilities: &dockpod.Capabilities{Add: add, Drop: drop}}
}

func aPod(*world, *dockpod.SandboxConfig)    {}
func aPeer(*world, *dockpod.ContainerConfig) {}

func to[T any](v T) *T { return &v }

// dockerCapabilities are what Docker gives a container that asks for none.
var dockerCapabilities = strings.Fields(`CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW
	SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP`)

func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}

// unlimited is what version 1 of cgroups says for no limit of memory.
const unlimited = "9223372036854771712"

var defaultProbes = []probe{
	{
		name: "a container that asks for nothing",
		ask: []string{
			"path=/", "path=/proc/keys", "path=/proc/sys/kernel/hostname", "path=/sys/kernel", "path=/sys/firmware", "path=/dev/shm",
			"path=/dev/null", "path=/dev/kmsg", "path=/dev/mem", "path=/proc/1/environ",
		},
		verify: []fact{
			{name: "is the image's user, root", check: func(t *testing.T, p *probed) {
				equal(t, "user and group", []int{0, 0}, []int{p.UID, p.GID})
			}},
			{name: "has the engine's default capabilities", needs: "Docker's defaults", check: func(t *testing.T, p *probed) {
				equal(t, "effective", dockerCapabilities, p.Effective.Names())
				equal(t, "permitted", dockerCapabilities, p.Permitted.Names())
				equal(t, "bounding", dockerCapabilities, p.Bounding.Names())
			}},
			{name: "has no ambient capability", check: func(t *testing.T, p *probed) {
				equal(t, "ambient", []string{}, p.Ambient.Names())
			}},
			{name: "may gain privileges by set-user-ID programs", check: func(t *testing.T, p *probed) {
				equal(t, "no_new_privs", false, p.NoNewPrivs)
			}},
			{name: "runs under a seccomp filter", needs: "seccomp", check: func(t *testing.T, p *probed) {
				equal(t, "mode", 2, p.Seccomp)
			}},
			{name: "is refused what the default profile refuses", needs: "the default seccomp profile", check: func(t *testing.T, p *probed) {
				equal(t, "keyctl and unshare", []string{"EPERM", "EPERM"}, []string{p.Calls["keyctl"], p.Calls["unshare"]})
			}},
			{name: "is refused what its capabilities do not give", check: func(t *testing.T, p *probed) {
				if p.Calls["mount"] == "" || p.Calls["reboot"] == "" {
					t.Errorf("mount and reboot are refused with %q and %q", p.Calls["mount"], p.Calls["reboot"])
				}
			}},
			{name: "is given what its capabilities give", check: func(t *testing.T, p *probed) {
				equal(t, "chroot", "", p.Calls["chroot"])
			}},
			{name: "does not see the kernel's keys", check: func(t *testing.T, p *probed) {
				equal(t, "kind", "char", p.path(t, "/proc/keys").Kind)
			}},
			{name: "finds the firmware's files masked", check: func(t *testing.T, p *probed) {
				equal(t, "entries of /sys/firmware", "", p.path(t, "/sys/firmware").Content)
			}},
			{name: "cannot write to the kernel's settings", check: func(t *testing.T, p *probed) {
				equal(t, "write", "EROFS", p.path(t, "/proc/sys/kernel/hostname").Write)
				has(t, "options of /sys", p.mounted(t, "/sys").Options, "ro")
			}},
			{name: "can write to its root", check: func(t *testing.T, p *probed) {
				equal(t, "write", "", p.path(t, "/").Write)
			}},
			{name: "has no score with the OOM killer", check: func(t *testing.T, p *probed) {
				equal(t, "score", 0, p.OOMScoreAdj)
			}},
			{name: "has as much memory as there is", check: func(t *testing.T, p *probed) {
				p.limit(t, "memory.limit_in_bytes", unlimited, "memory.max", "max")
			}},
			{name: "has as much CPU as there is", check: func(t *testing.T, p *probed) {
				p.limit(t, "cpu.cfs_quota_us", "-1", "cpu.max", "max 100000")
			}},
			{name: "may have as many processes as it wants", needs: "Docker's defaults", check: func(t *testing.T, p *probed) {
				p.limit(t, "pids.max", "max", "pids.max", "max")
			}},
			{name: "is alone in its PID namespace", check: func(t *testing.T, p *probed) {
				equal(t, "PID and processes", []int{1, 1}, []int{p.PID, p.Processes})
			}},
			{name: "has namespaces of its own but for users", needs: "this machine's processes", check: func(t *testing.T, p *probed) {
				different(t, p.Report, p.node, "net pid ipc uts mnt")
				same(t, p.Report, p.node, "user")
			}},
			{name: "has 64 MiB of shared memory that all may write to", check: func(t *testing.T, p *probed) {
				shm := p.path(t, "/dev/shm")
				equal(t, "size, permissions and write", []any{uint64(64 << 20), uint32(0o1777), ""}, []any{shm.Bytes, shm.Mode, shm.Write})
			}},
			{name: "has the device of nothing", check: func(t *testing.T, p *probed) {
				d := p.path(t, "/dev/null")
				equal(t, "device", prog.PathReport{Kind: "char", Mode: 0o666, Major: 1, Minor: 3, Bytes: d.Bytes}, d)
			}},
			{name: "has no device of the node", check: func(t *testing.T, p *probed) {
				equal(t, "/dev/kmsg and /dev/mem", []string{"", ""}, []string{p.path(t, "/dev/kmsg").Kind, p.path(t, "/dev/mem").Kind})
			}},
			{name: "works in the root", check: func(t *testing.T, p *probed) { equal(t, "directory", "/", p.Dir) }},
			{name: "has the image's variables and the engine's", check: func(t *testing.T, p *probed) {
				has(t, "variables", p.Env, "PATH=/", "FROM=image", "HOME=/", "HOSTNAME="+p.Hostname)
			}},
			{name: "has no terminal", check: func(t *testing.T, p *probed) { equal(t, "terminal", false, p.TTY) }},
			{name: "is called by its short ID", check: func(t *testing.T, p *probed) {
				equal(t, "hostname", p.raw.ID[:12], p.Hostname)
			}},
			{name: "has a network with a loopback", check: func(t *testing.T, p *probed) {
				has(t, "interfaces", p.Interfaces, "lo")
				if len(p.Interfaces) < 2 {
					t.Errorf("interfaces are %q", p.Interfaces)
				}
			}},
		},
	},
}

var userProbes = []probe{
	{
		name: "a user by number", with: security(dockpod.SecurityContext{RunAsUser: to[int64](1000)}), ask: []string{"path=/", "path=/dev/shm"},
		verify: []fact{
			{name: "has the group that the image gives it", check: func(t *testing.T, p *probed) {
				equal(t, "user and group", []int{1000, 1000}, []int{p.UID, p.GID})
			}},
			{name: "has no capability", check: func(t *testing.T, p *probed) {
				equal(t, "effective", []string{}, p.Effective.Names())
				equal(t, "permitted", []string{}, p.Permitted.Names())
			}},
			{name: "could not get more than the default ones", needs: "Docker's defaults", check: func(t *testing.T, p *probed) {
				equal(t, "bounding", dockerCapabilities, p.Bounding.Names())
			}},
			{name: "cannot write to what is root's", check: func(t *testing.T, p *probed) {
				equal(t, "write to / and /dev/shm", []string{"EACCES", ""}, []string{p.path(t, "/").Write, p.path(t, "/dev/shm").Write})
			}},
		},
	},
	{
		name: "a user, a group and further groups",
		with: security(dockpod.SecurityContext{RunAsUser: to[int64](1000), RunAsGroup: to[int64](2000), SupplementalGroups: []int64{3000, 4000}}),
		verify: []fact{
			{name: "are the process's", check: func(t *testing.T, p *probed) {
				equal(t, "user and group", []int{1000, 2000}, []int{p.UID, p.GID})
			}},
			{name: "are added to", check: func(t *testing.T, p *probed) {
				for _, g := range []int{3000, 4000} {
					if !slices.Contains(p.Groups, g) {
						t.Errorf("groups are %v; want %d among them", p.Groups, g)
					}
				}
			}},
			{name: "leave out the groups of another user", check: func(t *testing.T, p *probed) {
				if slices.Contains(p.Groups, 0) {
					t.Errorf("groups are %v, root's among them", p.Groups)
				}
			}},
		},
	},
	{
		name: "a user by name", with: security(dockpod.SecurityContext{RunAsUserName: "user"}),
		verify: []fact{{name: "is looked up in the image", check: func(t *testing.T, p *probed) {
			equal(t, "user and group", []int{1000, 1000}, []int{p.UID, p.GID})
		}}},
	},
	{
		name: "a user by name with another group", with: security(dockpod.SecurityContext{RunAsUserName: "user", RunAsGroup: to[int64](7)}),
		verify: []fact{{name: "is both", check: func(t *testing.T, p *probed) {
			equal(t, "user and group", []int{1000, 7}, []int{p.UID, p.GID})
		}}},
	},
	{
		name: "a user that the image does not know", with: security(dockpod.SecurityContext{RunAsUser: to[int64](4242)}),
		verify: []fact{
			{name: "is in root's group", check: func(t *testing.T, p *probed) {
				equal(t, "user and group", []int{4242, 0}, []int{p.UID, p.GID})
			}},
			{name: "lives in the root", check: func(t *testing.T, p *probed) { has(t, "variables", p.Env, "HOME=/") }},
		},
	},
}

var capabilityProbes = []probe{
	{
		name: "a container that drops all capabilities", with: security(capabilitySet(nil, []string{"ALL"})),
		verify: []fact{
			{name: "has none", check: func(t *testing.T, p *probed) {
				equal(t, "effective", []string{}, p.Effective.Names())
				equal(t, "bounding", []string{}, p.Bounding.Names())
			}},
			{name: "is root all the same", check: func(t *testing.T, p *probed) { equal(t, "user", 0, p.UID) }},
			{name: "is refused what they gave", check: func(t *testing.T, p *probed) { equal(t, "chroot", "EPERM", p.Calls["chroot"]) }},
		},
	},
	{
		name: "a container that drops all capabilities but one", with: security(capabilitySet([]string{"NET_BIND_SERVICE"}, []string{"ALL"})),
		verify: []fact{{name: "has that one", check: func(t *testing.T, p *probed) {
			equal(t, "effective", []string{"NET_BIND_SERVICE"}, p.Effective.Names())
			equal(t, "bounding", []string{"NET_BIND_SERVICE"}, p.Bounding.Names())
		}}},
	},
	{
		name: "a container that drops a capability", with: security(capabilitySet(nil, []string{"cap_sys_chroot"})),
		verify: []fact{
			{name: "keeps the others", needs: "Docker's defaults", check: func(t *testing.T, p *probed) {
				equal(t, "effective", without(dockerCapabilities, "SYS_CHROOT"), p.Effective.Names())
			}},
			{name: "is refused what it gave", check: func(t *testing.T, p *probed) { equal(t, "chroot", "EPERM", p.Calls["chroot"]) }},
		},
	},
	{
		name: "a container that adds a capability, spelled in any way", with: security(capabilitySet([]string{"sys_boot", "CAP_SYSLOG"}, nil)),
		verify: []fact{
			{name: "has it beside the default ones", needs: "Docker's defaults", check: func(t *testing.T, p *probed) {
				want := append(slices.Clone(dockerCapabilities), "SYS_BOOT", "SYSLOG")
				equal(t, "effective", sorted(want...), sorted(p.Effective.Names()...))
			}},
			{name: "has it for the default seccomp profile too", check: func(t *testing.T, p *probed) {
				equal(t, "reboot", "", p.Calls["reboot"])
			}},
		},
	},
	{
		name: "a container that adds all capabilities but two", with: security(capabilitySet([]string{"ALL"}, []string{"SYS_TIME", "SYS_RESOURCE"})),
		verify: []fact{
			{name: "has the greatest", check: func(t *testing.T, p *probed) {
				has(t, "effective", p.Effective.Names(), "SYS_ADMIN", "NET_ADMIN", "SYS_MODULE", "SYS_BOOT")
			}},
			{name: "has not those two", check: func(t *testing.T, p *probed) {
				if both := p.Bounding | p.Effective; both.Has("SYS_TIME") || both.Has("SYS_RESOURCE") {
					t.Errorf("effective are %q", p.Effective.Names())
				}
			}},
			{name: "is under the seccomp filter still", needs: "seccomp", check: func(t *testing.T, p *probed) { equal(t, "mode", 2, p.Seccomp) }},
			{name: "has masked paths still", check: func(t *testing.T, p *probed) {
				has(t, "options of /proc/sys", p.mounted(t, "/proc/sys").Options, "ro")
			}},
		},
	},
}

var profileProbes = []probe{
	{
		name: "a privileged container", needs: "all capabilities", with: security(dockpod.SecurityContext{
			Privileged: true, MaskedPaths: []string{"/proc/keys"}, ReadonlyPaths: []string{"/proc/sys"}, // as a kubelet asks always
		}),
		ask: []string{"path=/dev/kmsg", "path=/proc/keys", "path=/proc/sys/kernel/hostname", "path=/sys/fs/cgroup"},
		verify: []fact{
			{name: "has the greatest capabilities", check: func(t *testing.T, p *probed) {
				has(t, "effective", p.Effective.Names(), "SYS_ADMIN", "NET_ADMIN", "SYS_MODULE", "SYS_RAWIO", "SYS_PTRACE")
			}},
			{name: "has no seccomp filter", check: func(t *testing.T, p *probed) {
				equal(t, "mode", 0, p.Seccomp)
				equal(t, "keyctl", "", p.Calls["keyctl"])
			}},
			{name: "may mount", check: func(t *testing.T, p *probed) { equal(t, "mount", "", p.Calls["mount"]) }},
			{name: "has the node's devices", check: func(t *testing.T, p *probed) {
				d := p.path(t, "/dev/kmsg")
				equal(t, "kind, numbers and write", []any{"char", uint32(1), uint32(11), ""}, []any{d.Kind, d.Major, d.Minor, d.Write})
			}},
			{name: "has no path masked or read-only, whatever was asked for", check: func(t *testing.T, p *probed) {
				equal(t, "/proc/keys", "file", p.path(t, "/proc/keys").Kind)
				equal(t, "write to a setting", "", p.path(t, "/proc/sys/kernel/hostname").Write)
				has(t, "options of /sys", p.mounted(t, "/sys").Options, "rw")
			}},
		},
	},
	{
		name: "a read-only root", with: func(_ *testing.T, _ *world, c *dockpod.ContainerConfig) {
			c.SecurityContext.ReadonlyRootfs = true
			c.Mounts = []dockpod.Mount{{Type: dockpod.MountTmpfs, Target: "/run"}}
		},
		ask: []string{"path=/", "path=/run", "path=/dev/shm", "path=/dev/null"},
		verify: []fact{
			{name: "is not written to", check: func(t *testing.T, p *probed) {
				equal(t, "write", "EROFS", p.path(t, "/").Write)
				has(t, "options of /", p.mounted(t, "/").Options, "ro")
			}},
			{name: "leaves memory mounted below it writable", check: func(t *testing.T, p *probed) { equal(t, "write", "", p.path(t, "/run").Write) }},
			{name: "leaves shared memory and devices writable", check: func(t *testing.T, p *probed) {
				equal(t, "write", []string{"", ""}, []string{p.path(t, "/dev/shm").Write, p.path(t, "/dev/null").Write})
			}},
		},
	},
	{
		name: "no new privileges", with: security(dockpod.SecurityContext{NoNewPrivs: true, RunAsUser: to[int64](1000)}),
		verify: []fact{
			{name: "are promised to the kernel", check: func(t *testing.T, p *probed) { equal(t, "no_new_privs", true, p.NoNewPrivs) }},
			{name: "leave the seccomp filter", needs: "seccomp", check: func(t *testing.T, p *probed) { equal(t, "mode", 2, p.Seccomp) }},
		},
	},
	{
		name: "an unconfined seccomp profile", with: security(dockpod.SecurityContext{Seccomp: &dockpod.SecurityProfile{Type: dockpod.ProfileUnconfined}}),
		verify: []fact{
			{name: "is no filter", check: func(t *testing.T, p *probed) { equal(t, "mode", 0, p.Seccomp) }},
			{name: "refuses nothing by itself", check: func(t *testing.T, p *probed) { equal(t, "keyctl", "", p.Calls["keyctl"]) }},
			{name: "gives no capability", check: func(t *testing.T, p *probed) { equal(t, "reboot", "EPERM", p.Calls["reboot"]) }},
		},
	},
	{
		name: "the default seccomp profile by name", needs: "seccomp",
		with:   security(dockpod.SecurityContext{Seccomp: &dockpod.SecurityProfile{Type: dockpod.ProfileRuntimeDefault}}),
		verify: []fact{{name: "is a filter", check: func(t *testing.T, p *probed) { equal(t, "mode", 2, p.Seccomp) }}},
	},
	{
		name: "no masked and no read-only paths", needs: "paths of a container's own", with: security(dockpod.SecurityContext{MaskedPaths: []string{}, ReadonlyPaths: []string{}}),
		ask: []string{"path=/proc/keys", "path=/proc/sys/kernel/hostname"},
		verify: []fact{
			{name: "leave the kernel's keys in sight", check: func(t *testing.T, p *probed) {
				equal(t, "/proc/keys", "file", p.path(t, "/proc/keys").Kind)
			}},
			{name: "leave the kernel's settings to their owners", check: func(t *testing.T, p *probed) {
				equal(t, "write", "", p.path(t, "/proc/sys/kernel/hostname").Write)
			}},
			{name: "leave the container unprivileged", check: func(t *testing.T, p *probed) {
				equal(t, "SYS_ADMIN", false, p.Effective.Has("SYS_ADMIN"))
			}},
		},
	},
	{
		name: "masked and read-only paths of one's own", needs: "paths of a container's own",
		with: security(dockpod.SecurityContext{MaskedPaths: []string{"/etc/passwd", "/proc/driver", "/no/such"}, ReadonlyPaths: []string{"/etc"}}),
		ask:  []string{"path=/etc/passwd", "path=/etc", "path=/proc/keys", "path=/proc/driver", "path=/proc/sys/kernel/hostname"},
		verify: []fact{
			{name: "mask a file by nothing", check: func(t *testing.T, p *probed) {
				d := p.path(t, "/etc/passwd")
				equal(t, "kind and numbers", []any{"char", uint32(1), uint32(3)}, []any{d.Kind, d.Major, d.Minor})
			}},
			{name: "mask a directory by an empty one", check: func(t *testing.T, p *probed) {
				equal(t, "file system and entries", []string{"tmpfs", ""}, []string{p.mounted(t, "/proc/driver").Type, p.path(t, "/proc/driver").Content})
			}},
			{name: "keep a directory from being written to", check: func(t *testing.T, p *probed) { equal(t, "write", "EROFS", p.path(t, "/etc").Write) }},
			{name: "replace the engine's", check: func(t *testing.T, p *probed) {
				equal(t, "/proc/keys", "file", p.path(t, "/proc/keys").Kind)
				equal(t, "write to a setting", "", p.path(t, "/proc/sys/kernel/hostname").Write)
			}},
		},
	},
}

var limitProbes = []probe{
	{
		name: "limits", with: resources(dockpod.Resources{
			MemoryLimit: 64 << 20, CPUShares: 256, CPUQuota: 50000, CPUPeriod: 80000, CpusetCpus: "0", CpusetMems: "0", PidsLimit: 50, OOMScoreAdj: 500,
		}),
		verify: []fact{
			{name: "of memory are the cgroup's", check: func(t *testing.T, p *probed) {
				p.limit(t, "memory.limit_in_bytes", "67108864", "memory.max", "67108864")
			}},
			{name: "of memory leave no swap", needs: "swap limits", check: func(t *testing.T, p *probed) {
				p.limit(t, "memory.memsw.limit_in_bytes", "67108864", "memory.swap.max", "0")
			}},
			{name: "of CPU by weight are the cgroup's", check: func(t *testing.T, p *probed) { p.limit(t, "cpu.shares", "256", "cpu.weight", "") }},
			{name: "of CPU by time are the cgroup's", check: func(t *testing.T, p *probed) {
				p.limit(t, "cpu.cfs_quota_us", "50000", "cpu.max", "50000 80000")
				p.limit(t, "cpu.cfs_period_us", "80000", "cpu.max", "50000 80000")
			}},
			{name: "of CPU by number are the cgroup's", check: func(t *testing.T, p *probed) { p.limit(t, "cpuset.cpus", "0", "cpuset.cpus", "0") }},
			{name: "of memory by node are the cgroup's", check: func(t *testing.T, p *probed) { p.limit(t, "cpuset.mems", "0", "cpuset.mems", "0") }},
			{name: "of processes are the cgroup's", check: func(t *testing.T, p *probed) { p.limit(t, "pids.max", "50", "pids.max", "50") }},
			{name: "of the OOM killer's mercy are the process's", check: func(t *testing.T, p *probed) { equal(t, "score", 500, p.OOMScoreAdj) }},
		},
	},
	{
		name: "swap beside memory", needs: "swap limits", with: resources(dockpod.Resources{MemoryLimit: 64 << 20, MemorySwapLimit: 96 << 20}),
		verify: []fact{{name: "is the sum", check: func(t *testing.T, p *probed) {
			p.limit(t, "memory.memsw.limit_in_bytes", "100663296", "memory.swap.max", "33554432")
		}}},
	},
	{
		name: "swap without limit", needs: "swap limits", with: resources(dockpod.Resources{MemoryLimit: 64 << 20, MemorySwapLimit: -1, PidsLimit: -1}),
		verify: []fact{
			{name: "is none", check: func(t *testing.T, p *probed) {
				p.limit(t, "memory.memsw.limit_in_bytes", unlimited, "memory.swap.max", "max")
			}},
			{name: "leaves that of memory", check: func(t *testing.T, p *probed) {
				p.limit(t, "memory.limit_in_bytes", "67108864", "memory.max", "67108864")
			}},
			{name: "goes with processes without limit", check: func(t *testing.T, p *probed) { p.limit(t, "pids.max", "max", "pids.max", "max") }},
		},
	},
	{
		name: "what a kubelet makes of half a CPU", with: func(_ *testing.T, _ *world, c *dockpod.ContainerConfig) {
			c.Resources.CPUShares = dockpod.MilliCPUToShares(500)
			c.Resources.CPUQuota, c.Resources.CPUPeriod = dockpod.MilliCPUToQuota(500)
		},
		verify: []fact{{name: "is half a CPU", check: func(t *testing.T, p *probed) {
			p.limit(t, "cpu.shares", "512", "cpu.weight", "")
			p.limit(t, "cpu.cfs_quota_us", "50000", "cpu.max", "50000 100000")
		}}},
	},
	{
		name: "limits of the process", with: func(_ *testing.T, _ *world, c *dockpod.ContainerConfig) {
			c.Ulimits = []dockpod.Ulimit{
				{Name: "nofile", Soft: 256, Hard: 512}, {Name: "nproc", Soft: 100, Hard: 200}, {Name: "core"}, {Name: "fsize", Soft: 1 << 20, Hard: -1},
			}
		},
		verify: []fact{
			// Go raises the soft limit of files to the hard one.
			{name: "of files are the kernel's", check: func(t *testing.T, p *probed) {
				equal(t, "hard", int64(512), p.Limits["Max open files"].Hard)
			}},
			{name: "of processes are the kernel's, soft and hard", check: func(t *testing.T, p *probed) {
				equal(t, "limit", prog.Limit{Soft: 100, Hard: 200}, p.Limits["Max processes"])
			}},
			{name: "of cores may be nothing", check: func(t *testing.T, p *probed) {
				equal(t, "limit", prog.Limit{}, p.Limits["Max core file size"])
			}},
			{name: "may have no end above", check: func(t *testing.T, p *probed) {
				equal(t, "limit", prog.Limit{Soft: 1 << 20, Hard: -1}, p.Limits["Max file size"])
			}},
		},
	},
	{
		name: "shared memory of another size", with: func(_ *testing.T, _ *world, c *dockpod.ContainerConfig) { c.ShmSize = 8 << 20 },
		ask: []string{"path=/dev/shm"},
		verify: []fact{{name: "is of that size", check: func(t *testing.T, p *probed) {
			equal(t, "bytes", uint64(8<<20), p.path(t, "/dev/shm").Bytes)
		}}},
	},
	{
		name: "a cgroup's parent", needs: "cgroupfs", pod: func(w *world, s *dockpod.SandboxConfig) { s.CgroupParent = "/dockpod-" + w.owner + "/pod" },
		verify: []fact{
			{name: "holds the container", needs: "this machine's processes", check: func(t *testing.T, p *probed) {
				for _, controller := range []string{"memory", ""} {
					if in, ok := p.Member[controller]; ok {
						name := p.raw.ID
						if p.podman {
							name = "libpod-" + name
						}
						equal(t, "cgroup", p.raw.HostConfig.CgroupParent+"/"+name, in)
						return
					}
				}
			}},
			{name: "holds the sandbox", needs: "this machine's processes", check: func(t *testing.T, p *probed) {
				for _, controller := range []string{"memory", ""} {
					if in, ok := p.sandbox.Member[controller]; ok {
						equal(t, "cgroup's parent", p.raw.HostConfig.CgroupParent, filepath.Dir(in))
						return
					}
				}
			}},
		},
	},
}

var deviceProbes = []probe{
	{
		name: "devices", with: func(_ *testing.T, _ *world, c *dockpod.ContainerConfig) {
			c.Devices = []dockpod.Device{{HostPath: "/dev/kmsg", ContainerPath: "/dev/all"}}
			c.SecurityContext = capabilitySet([]string{"SYSLOG"}, nil)
		},
		ask: []string{"path=/dev/all", "path=/dev/kmsg"},
		verify: []fact{
			{name: "are the node's, by number", check: func(t *testing.T, p *probed) {
				d := p.path(t, "/dev/all")
				equal(t, "kind and numbers", []any{"char", uint32(1), uint32(11)}, []any{d.Kind, d.Major, d.Minor})
			}},
			{name: "stand where they are wanted alone", check: func(t *testing.T, p *probed) { equal(t, "/dev/kmsg", "", p.path(t, "/dev/kmsg").Kind) }},
			{name: "are read and written to unless said otherwise", check: func(t *testing.T, p *probed) {
				equal(t, "read and write", []string{"", ""}, []string{p.path(t, "/dev/all").Read, p.path(t, "/dev/all").Write})
			}},
		},
	},
	{
		name: "a device to read", with: func(_ *testing.T, _ *world, c *dockpod.ContainerConfig) {
			c.Devices = []dockpod.Device{{HostPath: "/dev/kmsg", Permissions: "r"}}
			c.SecurityContext = capabilitySet([]string{"SYSLOG"}, nil)
		},
		ask: []string{"path=/dev/kmsg"},
		verify: []fact{{name: "is not written to", check: func(t *testing.T, p *probed) {
			equal(t, "read and write", []string{"", "EPERM"}, []string{p.path(t, "/dev/kmsg").Read, p.path(t, "/dev/kmsg").Write})
		}}},
	},
	{
		name: "a device to write to", with: func(_ *testing.T, _ *world, c *dockpod.ContainerConfig) {
			c.Devices = []dockpod.Device{{HostPath: "/dev/kmsg", Permissions: "w"}}
			c.SecurityContext = capabilitySet([]string{"SYSLOG"}, nil)
		},
		ask: []string{"path=/dev/kmsg"},
		verify: []fact{{name: "is not read", check: func(t *testing.T, p *probed) {
			equal(t, "read and write", []string{"EPERM", ""}, []string{p.path(t, "/dev/kmsg").Read, p.path(t, "/dev/kmsg").Write})
		}}},
	},
	{
		name: "a device to make and no more", with: func(_ *testing.T, _ *world, c *dockpod.ContainerConfig) {
			c.Devices = []dockpod.Device{{HostPath: "/dev/kmsg", Permissions: "m"}}
			c.SecurityContext = capabilitySet([]string{"SYSLOG"}, nil)
		},
		ask: []string{"path=/dev/kmsg"},
		verify: []fact{{name: "is neither read nor written to", check: func(t *testing.T, p *probed) {
			equal(t, "read and write", []string{"EPERM", "EPERM"}, []string{p.path(t, "/dev/kmsg").Read, p.path(t, "/dev/kmsg").Write})
		}}},
	},
}

var mountProbes = []probe{
	{
		name: "memory", with: func(_ *testing.T, _ *world, c *dockpod.ContainerConfig) {
			c.Mounts = []dockpod.Mount{
				{Type: dockpod.MountTmpfs, Target: "/small", SizeBytes: 1 << 20, Mode: 0o750},
				{Type: dockpod.MountTmpfs, Target: "/free"},
				{Type: dockpod.MountTmpfs, Target: "/fixed", ReadOnly: true},
			}
		},
		ask: []string{"path=/small", "path=/free", "path=/fixed"},
		verify: []fact{
			{name: "is mounted", check: func(t *testing.T, p *probed) { equal(t, "file system", "tmpfs", p.mounted(t, "/small").Type) }},
			{name: "is as big as was asked for", check: func(t *testing.T, p *probed) {
				equal(t, "bytes", uint64(1<<20), p.path(t, "/small").Bytes)
			}},
			{name: "has the permissions asked for", check: func(t *testing.T, p *probed) {
				equal(t, "permissions", uint32(0o750), p.path(t, "/small").Mode)
			}},
			{name: "is everybody's unless said otherwise", check: func(t *testing.T, p *probed) {
				equal(t, "permissions", uint32(0o1777), p.path(t, "/free").Mode)
			}},
			{name: "may be read-only", check: func(t *testing.T, p *probed) {
				equal(t, "write", []string{"", "EROFS"}, []string{p.path(t, "/free").Write, p.path(t, "/fixed").Write})
			}},
		},
	},
	{
		name: "directories and files of the node", needs: "local files", with: func(t *testing.T, _ *world, c *dockpod.ContainerConfig) {
			dir := t.TempDir()
			must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("of the node"), 0o644))
			must(t, os.Mkdir(filepath.Join(dir, "with:colon"), 0o755))
			must(t, os.Mkdir(filepath.Join(dir, "with space"), 0o755))
			c.Mounts = []dockpod.Mount{
				{Source: dir, Target: "/rw"},
				{Source: dir, Target: "/ro", ReadOnly: true},
				{Source: filepath.Join(dir, "file"), Target: "/made/file", ReadOnly: true},
				{Source: filepath.Join(dir, "with:colon"), Target: "/a:b"},
				{Source: filepath.Join(dir, "with space"), Target: "/a b", Propagation: dockpod.PropagationPrivate},
				{Source: filepath.Join(dir, "..", "new", "deep"), Target: "/new"},
				{Source: t.TempDir(), Target: "/etc"}, // the engine puts files of its own there
			}
		},
		ask: []string{"path=/rw", "path=/ro", "path=/made/file", "path=/a:b", "path=/a b", "path=/etc", "path=/new"},
		verify: []fact{
			{name: "are there", check: func(t *testing.T, p *probed) {
				equal(t, "entries", "file\nwith space\nwith:colon\n", p.path(t, "/rw").Content)
			}},
			{name: "are written to unless they are read-only", check: func(t *testing.T, p *probed) {
				equal(t, "write", []string{"", "EROFS"}, []string{p.path(t, "/rw").Write, p.path(t, "/ro").Write})
			}},
			{name: "may be single", check: func(t *testing.T, p *probed) {
				f := p.path(t, "/made/file")
				equal(t, "kind, content and write", []string{"file", "of the node", "EROFS"}, []string{f.Kind, f.Content, f.Write})
			}},
			{name: "may have a colon in their names", check: func(t *testing.T, p *probed) { equal(t, "kind", "dir", p.path(t, "/a:b").Kind) }},
			{name: "may have a space in their names", check: func(t *testing.T, p *probed) { equal(t, "kind", "dir", p.path(t, "/a b").Kind) }},
			{name: "are made where they are missing, for root", check: func(t *testing.T, p *probed) {
				d := p.path(t, "/new")
				equal(t, "kind, permissions, owner", []any{"dir", uint32(0o755), 0}, []any{d.Kind, d.Mode, d.UID})
			}},
			{name: "hide what the image has there", check: func(t *testing.T, p *probed) {
				if strings.Contains(p.path(t, "/etc").Content, "passwd") {
					t.Errorf("/etc has %q", p.path(t, "/etc").Content)
				}
			}},
			{name: "are told nothing of mounts made later", check: func(t *testing.T, p *probed) {
				for _, target := range []string{"/rw", "/a b"} {
					if got := p.mounted(t, target).Propagation; slices.Contains(got, "shared") || slices.Contains(got, "master") {
						t.Errorf("%s is %q", target, got)
					}
				}
			}},
		},
	},
	{
		name: "propagation", needs: "mounting", with: func(t *testing.T, w *world, c *dockpod.ContainerConfig) {
			dir := t.TempDir()
			if w.has(t, "real processes") {
				shareMount(t, dir)
			}
			c.Mounts = []dockpod.Mount{
				{Source: dir, Target: "/private", Propagation: dockpod.PropagationPrivate},
				{Source: dir, Target: "/rslave", Propagation: dockpod.PropagationHostToContainer},
				{Source: dir, Target: "/rshared", Propagation: dockpod.PropagationBidirectional},
			}
		},
		verify: []fact{
			{name: "may be none", check: func(t *testing.T, p *probed) {
				if got := p.mounted(t, "/private").Propagation; slices.Contains(got, "shared") || slices.Contains(got, "master") {
					t.Errorf("it is %q", got)
				}
			}},
			{name: "may be from the node to the container", check: func(t *testing.T, p *probed) {
				equal(t, "propagation", []string{"master"}, p.mounted(t, "/rslave").Propagation)
			}},
			{name: "may be both ways", check: func(t *testing.T, p *probed) {
				has(t, "propagations", p.mounted(t, "/rshared").Propagation, "shared")
			}},
		},
	},
}

var processProbes = []probe{
	{
		name: "a process's surroundings", with: func(_ *testing.T, w *world, c *dockpod.ContainerConfig) {
			c.WorkingDir = "/made/for/it"
			c.Envs = []dockpod.EnvVar{{Key: "B", Value: "2"}, {Key: "A", Value: "x=$(B) y"}, {Key: "B", Value: "3"}, {Key: "EMPTY"}, {Key: "FROM", Value: "caller"}}
			c.ExtraHosts = map[string]string{"db.test": "192.0.2.1"}
			c.Init = to(true)
		},
		ask: []string{"path=/made/for/it"},
		verify: []fact{
			{name: "are a directory that is made for it", check: func(t *testing.T, p *probed) {
				equal(t, "directory and kind", []string{"/made/for/it", "dir"}, []string{p.Dir, p.path(t, "/made/for/it").Kind})
			}},
			{name: "are variables, of which the last counts", check: func(t *testing.T, p *probed) {
				has(t, "variables", p.Env, "B=3")
				if slices.Contains(p.Env, "B=2") {
					t.Errorf("variables are %q", p.Env)
				}
			}},
			{name: "are variables that go before the image's", check: func(t *testing.T, p *probed) {
				has(t, "variables", p.Env, "FROM=caller", "PATH=/")
				if slices.Contains(p.Env, "FROM=image") {
					t.Errorf("variables are %q", p.Env)
				}
			}},
			{name: "are values as they were given", check: func(t *testing.T, p *probed) { has(t, "variables", p.Env, "A=x=$(B) y", "EMPTY=") }},
			{name: "are variables in the order that they were given in", needs: "Docker's defaults", check: func(t *testing.T, p *probed) {
				var keys []string
				for _, e := range p.Env {
					if k, _, _ := strings.Cut(e, "="); slices.Contains([]string{"A", "B", "EMPTY"}, k) {
						keys = append(keys, k)
					}
				}
				equal(t, "keys", []string{"B", "A", "EMPTY"}, keys)
			}},
			{name: "are hosts that it can name", check: func(t *testing.T, p *probed) {
				if !strings.Contains(strings.ReplaceAll(p.Hosts, "\t", " "), "192.0.2.1 db.test") {
					t.Errorf("/etc/hosts is %q", p.Hosts)
				}
			}},
			{name: "are an init before it", check: func(t *testing.T, p *probed) {
				if p.PID == 1 || p.Processes != 2 {
					t.Errorf("its PID is %d of %d processes", p.PID, p.Processes)
				}
			}},
		},
	},
}

var podProbes = []probe{
	{
		name: "a pod", opts: []dockpod.Option{dockpod.WithSandboxOOMScore(7)},
		pod: func(w *world, s *dockpod.SandboxConfig) {
			s.Hostname = "web-0"
			s.DNS = dockpod.DNSConfig{Servers: []string{"192.0.2.53"}, Searches: []string{"ns.svc.test", "svc.test"}, Options: []string{"ndots:5"}}
			s.Sysctls = map[string]string{"net.core.somaxconn": "321", "net.ipv4.ip_unprivileged_port_start": "80", "kernel.shm_rmid_forced": "1", "kernel.msgmax": "4321"}
		},
		peer: aPeer,
		ask: []string{
			"sysctl=net.core.somaxconn", "sysctl=net.ipv4.ip_unprivileged_port_start", "sysctl=kernel.shm_rmid_forced", "sysctl=kernel.msgmax", "path=/dev/shm",
		},
		verify: []fact{
			{name: "gives its containers one network and one IPC", check: func(t *testing.T, p *probed) { same(t, p.Report, p.peer, "net ipc user") }},
			{name: "leaves each its own processes and mounts", check: func(t *testing.T, p *probed) {
				different(t, p.Report, p.peer, "pid mnt")
				equal(t, "PIDs", []int{1, 1}, []int{p.PID, p.peer.PID})
			}},
			{name: "holds its network and IPC in the sandbox", needs: "this machine's processes", check: func(t *testing.T, p *probed) {
				same(t, p.Report, p.sandbox, "net ipc")
				different(t, p.Report, p.sandbox, "pid mnt")
				different(t, p.sandbox, p.node, "net pid ipc uts mnt")
			}},
			{name: "has one hostname", needs: "shared hostnames", check: func(t *testing.T, p *probed) {
				equal(t, "hostnames", []string{"web-0", "web-0"}, []string{p.Hostname, p.peer.Hostname})
			}},
			{name: "has its name in /etc/hosts", needs: "shared hostnames", check: func(t *testing.T, p *probed) {
				if !strings.Contains(p.Hosts, "web-0") {
					t.Errorf("/etc/hosts is %q", p.Hosts)
				}
			}},
			{name: "asks its own name servers", check: func(t *testing.T, p *probed) {
				var lines []string
				for line := range strings.Lines(p.Resolv) {
					if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
						lines = append(lines, line)
					}
				}
				equal(t, "lines", sorted("nameserver 192.0.2.53", "search ns.svc.test svc.test", "options ndots:5"), sorted(lines...))
			}},
			{name: "has its settings of the network", check: func(t *testing.T, p *probed) {
				equal(t, "settings", []string{"321", "80"}, []string{p.Sysctls["net.core.somaxconn"], p.Sysctls["net.ipv4.ip_unprivileged_port_start"]})
			}},
			{name: "has its settings of IPC", check: func(t *testing.T, p *probed) {
				equal(t, "settings", []string{"1", "4321"}, []string{p.Sysctls["kernel.shm_rmid_forced"], p.Sysctls["kernel.msgmax"]})
			}},
			{name: "has 64 MiB of shared memory", check: func(t *testing.T, p *probed) {
				equal(t, "bytes", uint64(64<<20), p.path(t, "/dev/shm").Bytes)
			}},
			{name: "keeps its sandbox from new privileges", needs: "this machine's processes", check: func(t *testing.T, p *probed) {
				equal(t, "no_new_privs", true, p.sandbox.NoNewPrivs)
			}},
			{name: "keeps its sandbox under a seccomp filter", needs: "this machine's processes", check: func(t *testing.T, p *probed) {
				equal(t, "mode", 2, p.sandbox.Seccomp)
			}},
			{name: "gives its sandbox the score of the Runtime, and a container none", needs: "this machine's processes", check: func(t *testing.T, p *probed) {
				equal(t, "scores", []int{7, 0}, []int{p.sandbox.OOMScoreAdj, p.OOMScoreAdj})
			}},
		},
	},
	{
		name: "a pod of one PID namespace", pod: func(w *world, s *dockpod.SandboxConfig) { s.Namespaces.PID = dockpod.NamespacePod },
		peer: aPeer, ask: []string{"path=/proc/1/status"},
		verify: []fact{
			{name: "lets its containers see each other", check: func(t *testing.T, p *probed) {
				same(t, p.Report, p.peer, "pid net ipc")
				if p.Processes < 3 {
					t.Errorf("%d processes are in sight; want the sandbox's, the other's and its own", p.Processes)
				}
			}},
			{name: "has the sandbox's process as its first", check: func(t *testing.T, p *probed) {
				if p.PID == 1 || !strings.HasPrefix(p.path(t, "/proc/1/status").Content, "Name:\tpause") {
					t.Errorf("its PID is %d, and the first is %.20q", p.PID, p.path(t, "/proc/1/status").Content)
				}
			}},
			{name: "leaves each its own mounts", check: func(t *testing.T, p *probed) { different(t, p.Report, p.peer, "mnt") }},
		},
	},
	{
		name: "a container with processes of its own in a pod that shares them",
		pod:  func(w *world, s *dockpod.SandboxConfig) { s.Namespaces.PID = dockpod.NamespacePod },
		peer: aPeer, with: security(dockpod.SecurityContext{Namespaces: dockpod.NamespaceOptions{PID: dockpod.NamespaceContainer}}),
		verify: []fact{{name: "is alone", check: func(t *testing.T, p *probed) {
			different(t, p.Report, p.peer, "pid")
			equal(t, "PID and processes", []int{1, 1}, []int{p.PID, p.Processes})
		}}},
	},
	{
		name: "a container that joins another's processes", pod: aPod, peer: aPeer,
		joins: func(c *dockpod.ContainerConfig, peerID string) {
			c.SecurityContext.Namespaces = dockpod.NamespaceOptions{PID: dockpod.NamespaceTarget, TargetID: peerID}
		},
		ask: []string{"path=/proc/1/cmdline"},
		verify: []fact{
			{name: "sees them", check: func(t *testing.T, p *probed) {
				same(t, p.Report, p.peer, "pid net ipc")
				equal(t, "processes", 2, p.Processes)
			}},
			{name: "has the other's as the first", check: func(t *testing.T, p *probed) {
				equal(t, "command line", prog.Path+"\x00hold\x00", p.path(t, "/proc/1/cmdline").Content)
			}},
		},
	},
	{
		name: "a pod in the node's namespaces", pod: func(w *world, s *dockpod.SandboxConfig) {
			s.Namespaces = dockpod.NamespaceOptions{Network: dockpod.NamespaceNode, PID: dockpod.NamespaceNode, IPC: dockpod.NamespaceNode}
		},
		verify: []fact{
			{name: "has the node's network, processes and IPC", needs: "this machine's processes", check: func(t *testing.T, p *probed) {
				same(t, p.Report, p.node, "net pid ipc uts user")
				same(t, p.sandbox, p.node, "net pid ipc uts user")
			}},
			{name: "has its own mounts", needs: "this machine's processes", check: func(t *testing.T, p *probed) { different(t, p.Report, p.node, "mnt") }},
			{name: "has the node's name", needs: "this machine's processes", check: func(t *testing.T, p *probed) {
				name, err := os.Hostname()
				must(t, err)
				equal(t, "hostname", name, p.Hostname)
			}},
			{name: "sees the node's processes", check: func(t *testing.T, p *probed) {
				if p.PID == 1 || p.Processes < 3 {
					t.Errorf("its PID is %d of %d processes", p.PID, p.Processes)
				}
			}},
		},
	},
	{
		name: "a pod in the node's network alone", pod: func(w *world, s *dockpod.SandboxConfig) {
			s.Namespaces.Network, s.ShmSize = dockpod.NamespaceNode, 16<<20
		},
		ask: []string{"path=/dev/shm"},
		verify: []fact{
			{name: "has the node's network and name", needs: "this machine's processes", check: func(t *testing.T, p *probed) {
				same(t, p.Report, p.node, "net uts")
			}},
			{name: "has as much shared memory as it asks for", check: func(t *testing.T, p *probed) {
				equal(t, "bytes", uint64(16<<20), p.path(t, "/dev/shm").Bytes)
			}},
			{name: "has its own processes and IPC", needs: "this machine's processes", check: func(t *testing.T, p *probed) {
				different(t, p.Report, p.node, "pid ipc")
				same(t, p.Report, p.sandbox, "ipc")
			}},
		},
	},
	{
		name: "a sandbox with a security context", needs: "this machine's processes", pod: func(w *world, s *dockpod.SandboxConfig) {
			s.SecurityContext = dockpod.SandboxSecurityContext{
				RunAsUser: to[int64](65535), RunAsGroup: to[int64](65534), SupplementalGroups: []int64{5}, ReadonlyRootfs: true,
				Seccomp: &dockpod.SecurityProfile{Type: dockpod.ProfileUnconfined},
			}
			s.Resources = dockpod.Resources{OOMScoreAdj: 9}
		},
		verify: []fact{
			{name: "is that user", check: func(t *testing.T, p *probed) {
				equal(t, "user and group", []int{65535, 65534}, []int{p.sandbox.UID, p.sandbox.GID})
			}},
			{name: "is in those groups", check: func(t *testing.T, p *probed) {
				if !slices.Contains(p.sandbox.Groups, 5) {
					t.Errorf("groups are %v", p.sandbox.Groups)
				}
			}},
			{name: "has that root", check: func(t *testing.T, p *probed) {
				root, _ := p.sandbox.At("/")
				has(t, "options of /", root.Options, "ro")
			}},
			{name: "has that profile", check: func(t *testing.T, p *probed) { equal(t, "seccomp", 0, p.sandbox.Seccomp) }},
			{name: "has that score", check: func(t *testing.T, p *probed) { equal(t, "score", 9, p.sandbox.OOMScoreAdj) }},
			{name: "does not give its user to the containers", check: func(t *testing.T, p *probed) {
				equal(t, "user, groups and seccomp", []any{0, 0, 2}, []any{p.UID, p.GID, p.Seccomp})
				root, _ := p.At("/")
				has(t, "options of /", root.Options, "rw")
			}},
		},
	},
	{
		name: "a privileged sandbox", needs: "all capabilities",
		pod: func(w *world, s *dockpod.SandboxConfig) { s.SecurityContext.Privileged = true },
		verify: []fact{
			{name: "is privileged", needs: "this machine's processes", check: func(t *testing.T, p *probed) {
				has(t, "effective", p.sandbox.Effective.Names(), "SYS_ADMIN", "NET_ADMIN")
			}},
			{name: "makes no container privileged", check: func(t *testing.T, p *probed) {
				equal(t, "SYS_ADMIN", false, p.Effective.Has("SYS_ADMIN"))
			}},
		},
	},
}

// updateProbe changes the limits of a running container.
func updateProbe(t *testing.T, w *world) {
	w.needs(t, "updates")
	c := w.container("app", "hold")
	c.Resources = dockpod.Resources{MemoryLimit: 64 << 20, CPUShares: 256, CPUQuota: 50000, CPUPeriod: 100000}
	id := w.create(t, "", c, w.pod("alone"))
	w.needs(t, "real processes")
	w.needs(t, "signals")
	w.run(t, id)
	before := &probed{Report: w.reported(t, id, 1)}
	before.limit(t, "memory.limit_in_bytes", "67108864", "memory.max", "67108864")
	must(t, w.rt.UpdateContainer(t.Context(), id, dockpod.Resources{
		MemoryLimit: 128 << 20, CPUShares: 512, CPUQuota: 20000, CPUPeriod: 100000, CpusetCpus: "0",
	}))
	must(t, w.rt.Kill(t.Context(), id, "SIGHUP"))
	after := &probed{Report: w.reported(t, id, 2)}
	t.Run("memory", func(t *testing.T) { after.limit(t, "memory.limit_in_bytes", "134217728", "memory.max", "134217728") })
	t.Run("CPU by weight", func(t *testing.T) { after.limit(t, "cpu.shares", "512", "cpu.weight", "") })
	t.Run("CPU by time", func(t *testing.T) { after.limit(t, "cpu.cfs_quota_us", "20000", "cpu.max", "20000 100000") })
	t.Run("CPU by number", func(t *testing.T) { after.limit(t, "cpuset.cpus", "0", "cpuset.cpus", "0") })
}

// terminalProbe runs a container with a terminal, whose output is raw.
func terminalProbe(t *testing.T, w *world) {
	c := w.container("app", "report")
	c.TTY, c.Stdin = true, true
	id := w.create(t, "", c, w.pod("alone"))
	w.needs(t, "real processes")
	w.run(t, id)
	w.finished(t, id)
	logs, err := w.docker.ContainerLogs(t.Context(), id, container.LogsOptions{ShowStdout: true})
	must(t, err)
	defer logs.Close()
	text, err := io.ReadAll(logs)
	must(t, err)
	var r prog.Report
	if err := json.Unmarshal(bytes.TrimSpace(text), &r); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	equal(t, "terminal", true, r.TTY)
}

// volumeProbe mounts a volume in one container after the other.
func volumeProbe(t *testing.T, w *world) {
	volume := "probe-" + w.owner
	t.Cleanup(func() {
		w.removeAll(t)
		w.dropVolume(t, volume)
	})
	mounted := func(attempt uint32, m dockpod.Mount) string {
		m.Type, m.Source = dockpod.MountVolume, volume
		c := w.container("app", "report", "path="+m.Target)
		c.Attempt, c.Mounts = attempt, []dockpod.Mount{m}
		return w.create(t, "", c, w.pod("alone"))
	}
	ids := []string{mounted(0, dockpod.Mount{Target: "/etc"}), mounted(1, dockpod.Mount{Target: "/v", ReadOnly: true})}
	w.needs(t, "real processes")
	var found []prog.PathReport
	for i, target := range []string{"/etc", "/v"} {
		w.run(t, ids[i])
		w.finished(t, ids[i])
		r := w.reported(t, ids[i], 1)
		if _, ok := r.At(target); !ok {
			t.Errorf("nothing is mounted at %s", target)
		}
		found = append(found, r.Paths[target])
	}
	t.Run("starts with what the image has there", func(t *testing.T) {
		has(t, "entries", strings.Fields(found[0].Content), "passwd", "group")
	})
	t.Run("has it for the next container", func(t *testing.T) {
		has(t, "entries", strings.Fields(found[1].Content), "passwd", "group")
	})
	t.Run("is written to unless it is read-only", func(t *testing.T) {
		equal(t, "write", []string{"", "EROFS"}, []string{found[0].Write, found[1].Write})
	})
}
