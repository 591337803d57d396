package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod"
)

// errnoAll is a seccomp profile under which no program runs.
const errnoAll = `{"defaultAction":"SCMP_ACT_ERRNO"}`

// securityCases say what becomes of each field of a security context. What a
// process finds inside its container is told elsewhere.
var securityCases = []testCase{
	{"a profile of a file is what the engine is told, in one line", func(t *testing.T, w *world) {
		w.needs(t, "profiles of files")
		rt, root := w.profiles(t, map[string]string{"p.json": "{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}\n"})
		for i, ref := range []string{"p.json", filepath.Join(root, "p.json")} {
			c := w.container("app")
			c.Attempt = uint32(i)
			c.SecurityContext.Seccomp = &dockpod.SecurityProfile{Type: dockpod.ProfileLocalhost, LocalhostRef: ref}
			id, err := rt.CreateContainer(t.Context(), "", c, w.pod("alone"))
			must(t, err)
			w.told(t, id, `seccomp={"defaultAction":"SCMP_ACT_ALLOW"}`)
		}
	}},
	{"a sandbox takes a profile of a file", func(t *testing.T, w *world) {
		w.needs(t, "profiles of files")
		rt, _ := w.profiles(t, map[string]string{"p.json": `{"defaultAction":"SCMP_ACT_ALLOW"}`})
		s := w.pod("pod")
		s.SecurityContext.Seccomp = &dockpod.SecurityProfile{Type: dockpod.ProfileLocalhost, LocalhostRef: "p.json"}
		id, err := rt.RunSandbox(t.Context(), s)
		must(t, err)
		w.told(t, id, `seccomp={"defaultAction":"SCMP_ACT_ALLOW"}`)
		equal(t, "the profile read back", s.SecurityContext.Seccomp, w.sandboxStatus(t, id).Config.SecurityContext.Seccomp)
	}},
	{"what Podman would drop, or take for another thing, is refused by name", func(t *testing.T, w *world) {
		if !w.isPodman(t) {
			t.Skip("the engine is not Podman")
		}
		rt, _ := w.profiles(t, map[string]string{"p": errnoAll})
		profile := &dockpod.SecurityProfile{Type: dockpod.ProfileLocalhost, LocalhostRef: "p"}
		for field, sc := range map[string]dockpod.SecurityContext{
			"SecurityContext.Seccomp":       {Seccomp: profile},
			"SecurityContext.MaskedPaths":   {MaskedPaths: []string{}},
			"SecurityContext.ReadonlyPaths": {ReadonlyPaths: []string{"/etc"}},
		} {
			c := w.container("app")
			c.SecurityContext = sc
			_, err := rt.CreateContainer(t.Context(), "", c, w.pod("alone"))
			equal(t, "field", field, refused[*dockpod.UnsupportedError](t, err).Field)
		}
		s := w.pod("pod")
		s.SecurityContext.Seccomp = profile
		_, err := rt.RunSandbox(t.Context(), s)
		equal(t, "field of a sandbox", "SecurityContext.Seccomp", refused[*dockpod.UnsupportedError](t, err).Field)
		equal(t, "containers", 0, len(w.list(t, dockpod.Filter{})))
	}},
	{"a profile that would leave a container without seccomp is refused", func(t *testing.T, w *world) {
		w.needs(t, "profiles of files")
		rt, root := w.profiles(t, map[string]string{"object": "{}", "null": "null", "empty": "", "text": "x", "other": `{"default":"SCMP_ACT_ERRNO"}`, "../outside": errnoAll})
		must(t, os.Symlink("../outside", filepath.Join(root, "link")))
		spy := &spy{DockerInterface: w.docker}
		counted := w.on(spy)
		for _, ref := range []string{"object", "null", "empty", "text", "other", "missing", "../outside", "link", "/etc/passwd", "."} {
			c := w.container("app")
			c.SecurityContext.Seccomp = &dockpod.SecurityProfile{Type: dockpod.ProfileLocalhost, LocalhostRef: ref}
			_, err := rt.CreateContainer(t.Context(), "", c, w.pod("alone"))
			equal(t, ref, "SecurityContext.Seccomp.LocalhostRef", refused[*dockpod.FieldError](t, err).Field)
			s := w.pod("pod")
			s.SecurityContext.Seccomp = c.SecurityContext.Seccomp
			_, err = rt.RunSandbox(t.Context(), s)
			equal(t, ref, "SecurityContext.Seccomp.LocalhostRef", refused[*dockpod.FieldError](t, err).Field)
		}
		c := w.container("app")
		c.SecurityContext.Seccomp = &dockpod.SecurityProfile{Type: dockpod.ProfileLocalhost, LocalhostRef: "p"}
		_, err := counted.CreateContainer(t.Context(), "", c, w.pod("alone"))
		equal(t, "without a root", "SecurityContext.Seccomp.LocalhostRef", refused[*dockpod.FieldError](t, err).Field)
		equal(t, "containers", 0, len(w.list(t, dockpod.Filter{})))
		equal(t, "calls of the engine, which are for its name and its capabilities", 2, int(spy.calls.Load()))
	}},
	{"a container that names no profile gets the one that is set", func(t *testing.T, w *world) {
		unconfined := w.with(dockpod.WithDefaultSeccomp(dockpod.SecurityProfile{Type: dockpod.ProfileUnconfined}))
		for i, tt := range []struct {
			rt   *dockpod.Runtime
			own  *dockpod.SecurityProfile
			want string
		}{
			{w.rt, nil, ""},
			{unconfined, nil, "seccomp=unconfined"},
			{unconfined, &dockpod.SecurityProfile{Type: dockpod.ProfileRuntimeDefault}, ""},
			{w.rt, &dockpod.SecurityProfile{Type: dockpod.ProfileUnconfined}, "seccomp=unconfined"},
		} {
			c := w.container("app")
			c.Attempt, c.SecurityContext.Seccomp = uint32(i), tt.own
			id, err := tt.rt.CreateContainer(t.Context(), "", c, w.pod("alone"))
			must(t, err)
			w.told(t, id, tt.want)
		}
	}},
	{"a plain container costs no question about security", func(t *testing.T, w *world) {
		spy := &spy{DockerInterface: w.docker}
		_, err := w.on(spy).CreateContainer(t.Context(), "", w.container("app"), w.pod("alone"))
		must(t, err)
		equal(t, "calls of the engine", 2, int(spy.calls.Load())) // the image, and the create
	}},
	{"what the engine's kernel lacks is refused, not dropped", func(t *testing.T, w *world) {
		info, err := w.rt.Info(t.Context())
		must(t, err)
		for _, tt := range []struct {
			field string
			has   bool
			ask   func(*dockpod.SecurityContext, *dockpod.SandboxSecurityContext)
		}{
			{"SecurityContext.AppArmor", info.AppArmor, func(c *dockpod.SecurityContext, s *dockpod.SandboxSecurityContext) {
				c.AppArmor = &dockpod.SecurityProfile{Type: dockpod.ProfileLocalhost, LocalhostRef: "dockpod-test"}
				s.AppArmor = c.AppArmor
			}},
			{"SecurityContext.SELinux", info.SELinux, func(c *dockpod.SecurityContext, s *dockpod.SandboxSecurityContext) {
				c.SELinux = &dockpod.SELinuxOptions{Level: "s0:c1,c2"}
				s.SELinux = c.SELinux
			}},
			{"SecurityContext.Seccomp", info.Seccomp, func(c *dockpod.SecurityContext, s *dockpod.SandboxSecurityContext) {
				c.Seccomp = &dockpod.SecurityProfile{Type: dockpod.ProfileRuntimeDefault}
				s.Seccomp = c.Seccomp
			}},
		} {
			if tt.has {
				continue
			}
			c, s := w.container("app"), w.pod("pod")
			tt.ask(&c.SecurityContext, &s.SecurityContext)
			equal(t, "field", tt.field, refused[*dockpod.UnsupportedError](t, w.unmade(t, c)).Field)
			_, err := w.rt.RunSandbox(t.Context(), s)
			equal(t, "field", tt.field, refused[*dockpod.UnsupportedError](t, err).Field)
		}
	}},
	{"a privileged container needs a sandbox that was made for one", func(t *testing.T, w *world) {
		sandbox, s := w.ready(t)
		c := w.container("app")
		c.SecurityContext.Privileged = true
		for _, claim := range []bool{false, true} { // what the caller says of the sandbox changes nothing
			s.SecurityContext.Privileged = claim
			_, err := w.rt.CreateContainer(t.Context(), sandbox, c, s)
			equal(t, "field", "SecurityContext.Privileged", refused[*dockpod.FieldError](t, err).Field)
		}
		user := int64(1000) // an engine without all capabilities itself starts no privileged root
		s = w.pod("privileged")
		s.SecurityContext = dockpod.SandboxSecurityContext{Privileged: true, RunAsUser: &user}
		id := w.create(t, w.sandbox(t, s), c, s)
		equal(t, "privileged", true, w.raw(t, id).HostConfig.Privileged)
	}},
	{"a privileged container's profile is in force, or refused", func(t *testing.T, w *world) {
		rt, _ := w.profiles(t, map[string]string{"p": `{"defaultAction":"SCMP_ACT_ALLOW"}`})
		c := w.container("app")
		c.SecurityContext.Privileged = true
		c.SecurityContext.Seccomp = &dockpod.SecurityProfile{Type: dockpod.ProfileLocalhost, LocalhostRef: "p"}
		id, err := rt.CreateContainer(t.Context(), "", c, w.pod("alone"))
		if w.features(t).PrivilegedSeccomp {
			must(t, err)
			w.told(t, id, `seccomp={"defaultAction":"SCMP_ACT_ALLOW"}`)
			return
		}
		equal(t, "field", "SecurityContext.Seccomp", refused[*dockpod.UnsupportedError](t, err).Field)
	}},
	{"a container is not made for other namespaces than its sandbox has", func(t *testing.T, w *world) {
		sandbox, s := w.ready(t)
		s.Namespaces.Network = dockpod.NamespaceNode
		_, err := w.rt.CreateContainer(t.Context(), sandbox, w.container("app"), s)
		equal(t, "field", "SandboxConfig.Namespaces.Network", refused[*dockpod.FieldError](t, err).Field)
		s.Namespaces = dockpod.NamespaceOptions{IPC: dockpod.NamespaceNode}
		_, err = w.rt.CreateContainer(t.Context(), sandbox, w.container("app"), s)
		equal(t, "field", "SandboxConfig.Namespaces.IPC", refused[*dockpod.FieldError](t, err).Field)
	}},
	{"a pod may say that its users are the node's", func(t *testing.T, w *world) {
		s := w.pod("pod")
		s.Namespaces.User = &dockpod.UserNamespace{Mode: dockpod.NamespaceNode}
		sandbox := w.sandbox(t, s)
		id := w.create(t, sandbox, w.container("app"), w.sandboxStatus(t, sandbox).Config)
		if w.has(t, "exact inspections") {
			equal(t, "the sandbox's", "host", string(w.raw(t, sandbox).HostConfig.UsernsMode))
			equal(t, "the container's", "host", string(w.raw(t, id).HostConfig.UsernsMode))
		}

		s = w.pod("mapped")
		s.Namespaces.User = &dockpod.UserNamespace{Mode: dockpod.NamespacePod, UIDs: []dockpod.IDMapping{{HostID: 1 << 16, Length: 1 << 16}}}
		_, err := w.rt.RunSandbox(t.Context(), s)
		equal(t, "field", "Namespaces.User.Mode pod", refused[*dockpod.UnsupportedError](t, err).Field)
	}},
	{"paths that are not named and no paths are two things", func(t *testing.T, w *world) {
		w.needs(t, "exact inspections")
		c := w.container("app")
		host := w.raw(t, w.made(t, c)).HostConfig
		if len(host.MaskedPaths) == 0 || len(host.ReadonlyPaths) == 0 {
			t.Errorf("masked are %q, read-only %q; want the engine's own", host.MaskedPaths, host.ReadonlyPaths)
		}
		c.Attempt = 1
		c.SecurityContext.MaskedPaths, c.SecurityContext.ReadonlyPaths = []string{}, []string{}
		host = w.raw(t, w.made(t, c)).HostConfig
		equal(t, "masked and read-only", []int{0, 0}, []int{len(host.MaskedPaths), len(host.ReadonlyPaths)})
		c.Attempt = 2
		c.SecurityContext.MaskedPaths, c.SecurityContext.ReadonlyPaths = []string{"/proc/kcore"}, []string{"/proc/sys"}
		host = w.raw(t, w.made(t, c)).HostConfig
		equal(t, "masked", []string{"/proc/kcore"}, host.MaskedPaths)
		equal(t, "read-only", []string{"/proc/sys"}, host.ReadonlyPaths)
	}},
	{"sysctls of the pod's own are taken, in both spellings", func(t *testing.T, w *world) {
		s := w.pod("pod")
		s.Sysctls = map[string]string{"net.ipv4.ip_unprivileged_port_start": "0", "net/ipv4/ping_group_range": "0 0", "kernel.shm_rmid_forced": "1", "fs.mqueue.msg_max": "11"}
		id := w.sandbox(t, s)
		if w.has(t, "exact inspections") {
			equal(t, "sysctls", map[string]string{
				"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 0", "kernel.shm_rmid_forced": "1", "fs.mqueue.msg_max": "11",
			}, w.raw(t, id).HostConfig.Sysctls)
		}
		equal(t, "sysctls read back", s.Sysctls, w.sandboxStatus(t, id).Config.Sysctls)
	}},
	{"bad security is refused before the engine is asked", func(t *testing.T, w *world) {
		spy := &spy{DockerInterface: w.docker}
		rt := w.on(spy)
		id := func(n int64) *int64 { return &n }
		for field, spoil := range map[string]func(*dockpod.SecurityContext, *dockpod.SandboxConfig){
			"SecurityContext.Capabilities.Add[0]": func(c *dockpod.SecurityContext, _ *dockpod.SandboxConfig) {
				c.Capabilities = &dockpod.Capabilities{Add: []string{"NET_ADMINS"}}
			},
			"SecurityContext.Capabilities.Drop[0]": func(c *dockpod.SecurityContext, _ *dockpod.SandboxConfig) {
				c.Capabilities = &dockpod.Capabilities{Add: []string{"KILL"}, Drop: []string{"cap_kill"}}
			},
			"SecurityContext.RunAsUserName": func(c *dockpod.SecurityContext, _ *dockpod.SandboxConfig) {
				c.RunAsUser, c.RunAsUserName = id(0), "root"
			},
			"SecurityContext.RunAsGroup":            func(c *dockpod.SecurityContext, _ *dockpod.SandboxConfig) { c.RunAsGroup = id(5) },
			"SecurityContext.SupplementalGroups[0]": func(c *dockpod.SecurityContext, _ *dockpod.SandboxConfig) { c.SupplementalGroups = []int64{-1} },
			"SecurityContext.MaskedPaths[0]":        func(c *dockpod.SecurityContext, _ *dockpod.SandboxConfig) { c.MaskedPaths = []string{"proc"} },
			"SecurityContext.AppArmor.LocalhostRef": func(c *dockpod.SecurityContext, _ *dockpod.SandboxConfig) {
				c.AppArmor = &dockpod.SecurityProfile{Type: dockpod.ProfileLocalhost, LocalhostRef: "unconfined"}
			},
			"SecurityContext.Seccomp.Type": func(c *dockpod.SecurityContext, _ *dockpod.SandboxConfig) {
				c.Seccomp = &dockpod.SecurityProfile{Type: "unconfined"}
			},
			"SecurityContext.Namespaces.TargetID": func(c *dockpod.SecurityContext, _ *dockpod.SandboxConfig) { c.Namespaces.PID = dockpod.NamespaceTarget },
			`SandboxConfig.Sysctls["vm.swappiness"]`: func(_ *dockpod.SecurityContext, s *dockpod.SandboxConfig) {
				s.Sysctls = map[string]string{"vm.swappiness": "1"}
			},
			`SandboxConfig.Sysctls["kernel.shmmax"]`: func(_ *dockpod.SecurityContext, s *dockpod.SandboxConfig) {
				s.Namespaces.IPC, s.Sysctls = dockpod.NamespaceNode, map[string]string{"kernel.shmmax": "1"}
			},
			`SandboxConfig.Sysctls["net.core.optmem_max"]`: func(_ *dockpod.SecurityContext, s *dockpod.SandboxConfig) {
				s.Namespaces.Network, s.Sysctls = dockpod.NamespaceNode, map[string]string{"net.core.optmem_max": "1"}
			},
		} {
			c, s := w.container("app"), w.pod("alone")
			spoil(&c.SecurityContext, &s)
			_, err := rt.CreateContainer(t.Context(), "", c, s)
			equal(t, "field", field, refused[*dockpod.FieldError](t, err).Field)
			if of, ok := strings.CutPrefix(field, "SandboxConfig."); ok {
				_, err := rt.RunSandbox(t.Context(), s)
				equal(t, "field", of, refused[*dockpod.FieldError](t, err).Field)
			}
		}
		equal(t, "calls of the engine", 0, int(spy.calls.Load()))
	}},

	// What engines do by themselves: why the above is refused before.

	{"an engine refuses an unknown capability", func(t *testing.T, w *world) {
		for _, change := range []func(*container.HostConfig){
			func(h *container.HostConfig) { h.CapAdd = []string{"CAP_FOO"} },
			func(h *container.HostConfig) { h.CapDrop = []string{"CAP_FOO"} },
		} {
			_, err := w.ask(t, "", func(_ *container.Config, h *container.HostConfig) { change(h) })
			w.class(t, "an unknown capability", err, errdefs.IsInvalidArgument)
		}
	}},
	{"an engine takes an empty seccomp profile, and runs without any", func(t *testing.T, w *world) {
		w.needs(t, "classes")
		for _, profile := range []string{"{}", "null", `{"defaultAction":""}`} {
			w.startBare(t, w.bare(t, func(_ *container.Config, h *container.HostConfig) { h.SecurityOpt = []string{"seccomp=" + profile} }, "exit"))
		}
	}},
	{"an engine looks at a profile only when it starts a container", func(t *testing.T, w *world) {
		w.needs(t, "classes")
		for _, profile := range []string{"x", "[]", `{"defaultAction":"SCMP_ACT_FOO"}`} {
			id := w.bare(t, func(_ *container.Config, h *container.HostConfig) { h.SecurityOpt = []string{"seccomp=" + profile} }, "exit")
			w.class(t, profile, w.docker.ContainerStart(t.Context(), id, container.StartOptions{}), errdefs.IsInternal)
		}
	}},
	{"an engine refuses the node's sysctls only when it starts a container", func(t *testing.T, w *world) {
		w.needs(t, "classes")
		for _, change := range []func(*container.HostConfig){
			func(h *container.HostConfig) { h.Sysctls = map[string]string{"vm.swappiness": "1"} },
			func(h *container.HostConfig) { h.Sysctls = map[string]string{"kernel.hostname": "a"} },
			func(h *container.HostConfig) {
				h.IpcMode, h.Sysctls = "host", map[string]string{"kernel.shmmax": "1024"}
			},
			func(h *container.HostConfig) {
				h.NetworkMode, h.Sysctls = "host", map[string]string{"net.core.somaxconn": "1024"}
			},
		} {
			id := w.bare(t, func(_ *container.Config, h *container.HostConfig) { change(h) }, "exit")
			w.class(t, "a sysctl of the node", w.docker.ContainerStart(t.Context(), id, container.StartOptions{}), errdefs.IsInternal)
		}
	}},
	{"an engine refuses a security option that it does not know", func(t *testing.T, w *world) {
		w.needs(t, "classes")
		for _, o := range []string{"foo", "foo=bar", "no-new-privileges=maybe", "no-new-privileges=", "seccomp"} {
			_, err := w.ask(t, "", func(_ *container.Config, h *container.HostConfig) { h.SecurityOpt = []string{o} })
			w.class(t, o, err, errdefs.IsInternal)
		}
		for _, o := range []string{"no-new-privileges", "no-new-privileges=true", "no-new-privileges:false", "label=disable", "apparmor=unconfined"} {
			w.bare(t, func(_ *container.Config, h *container.HostConfig) { h.SecurityOpt = []string{o} })
		}
	}},
}

// profiles returns a Runtime whose seccomp profiles stand in a directory, and
// that.
func (w *world) profiles(t *testing.T, files map[string]string) (*dockpod.Runtime, string) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "seccomp")
	must(t, os.Mkdir(root, 0o700))
	for name, text := range files {
		must(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600))
	}
	return w.with(dockpod.WithSeccompRoot(root)), root
}

// told expects the engine to have been told one seccomp option, or none.
func (w *world) told(t *testing.T, id, want string) {
	t.Helper()
	opts := slices.DeleteFunc(w.raw(t, id).HostConfig.SecurityOpt, func(o string) bool { return !strings.HasPrefix(o, "seccomp") })
	if got := fmt.Sprint(strings.Join(opts, " ")); got != want {
		t.Errorf("the engine was told %q; want %q", got, want)
	}
}
