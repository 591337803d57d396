package dockpod

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
)

// defaultCapabilities is what an engine gives a container that asks for
// nothing.
var defaultCapabilities = strings.Fields(`CAP_CHOWN CAP_DAC_OVERRIDE CAP_FSETID CAP_FOWNER CAP_MKNOD CAP_NET_RAW CAP_SETGID CAP_SETUID
	CAP_SETFCAP CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_SYS_CHROOT CAP_KILL CAP_AUDIT_WRITE`)

// askedCapabilities is what CRI promises: what is dropped is not there.
func askedCapabilities(sc SecurityContext) map[string]bool {
	set := map[string]bool{}
	c := sc.Capabilities
	if c == nil {
		c = &Capabilities{}
	}
	add, drop := capabilityList(c.Add), capabilityList(c.Drop)
	if sc.Privileged {
		add, drop = []string{"ALL"}, nil
	}
	switch {
	case slices.Contains(drop, "ALL"):
	case slices.Contains(add, "ALL"):
		maps.Copy(set, linuxCapabilities)
	default:
		for _, name := range defaultCapabilities {
			set[name] = true
		}
	}
	for _, name := range add {
		set[name] = true
	}
	for _, name := range drop {
		delete(set, name)
	}
	delete(set, "ALL")
	return set
}

// givenCapabilities is what an engine makes of a request: measured on Docker.
func givenCapabilities(h *container.HostConfig) map[string]bool {
	set := map[string]bool{}
	switch {
	case h.Privileged:
		return linuxCapabilities
	case slices.Contains(h.CapAdd, "ALL"):
		for name := range linuxCapabilities {
			set[name] = !slices.Contains(h.CapDrop, name)
		}
	case slices.Contains(h.CapDrop, "ALL"):
		for _, name := range h.CapAdd {
			set[name] = true
		}
	default:
		for _, name := range defaultCapabilities {
			set[name] = !slices.Contains(h.CapDrop, name)
		}
		for _, name := range h.CapAdd {
			set[name] = true
		}
	}
	return set
}

// securityOption returns the values of an engine's security option.
func securityOption(h *container.HostConfig, key string) []string {
	var values []string
	for _, o := range h.SecurityOpt {
		if k, v, _ := strings.Cut(o, "="); k == key {
			values = append(values, v)
		}
	}
	return values
}

// privilege is what a configuration asks for, of a container or a sandbox
// alike.
type privilege struct {
	sc         SecurityContext
	namespaces NamespaceOptions // resolved
	join       string           // the sandbox, or empty
	sandbox    bool
	devices    []Device
	mounts     int
	sysctls    map[string]string
}

// exceeds tells in what a request gives more than was asked for. It is the
// order of privileges, written down apart from the translation: a request is
// less than or equal to what was asked if nothing is told.
func (p privilege) exceeds(seccomp string, cfg *container.Config, h *container.HostConfig) []string {
	var more []string
	check := func(ok bool, format string, args ...any) {
		if !ok {
			more = append(more, fmt.Sprintf(format, args...))
		}
	}
	sc, n := p.sc, p.namespaces
	check(!h.Privileged || sc.Privileged, "privileged")
	asked := askedCapabilities(sc)
	for name, given := range givenCapabilities(h) {
		check(!given || asked[name], "capability %s", name)
	}
	check(h.ReadonlyRootfs || !sc.ReadonlyRootfs, "a root that can be written")
	check(slices.Contains(h.SecurityOpt, "no-new-privileges") || !sc.NoNewPrivs && !p.sandbox, "new privileges")
	for _, kind := range []struct {
		name    string
		profile *SecurityProfile
		content string
	}{{"seccomp", sc.Seccomp, seccomp}, {"apparmor", sc.AppArmor, localhostRef(sc.AppArmor)}} {
		given := securityOption(h, kind.name)
		switch {
		case kind.profile != nil && kind.profile.Type == ProfileUnconfined:
		case kind.profile != nil && kind.profile.Type == ProfileLocalhost:
			check(slices.Equal(given, []string{kind.content}) && kind.content != "" && kind.content != "unconfined", "%s %q", kind.name, given)
		default:
			check(len(given) == 0, "%s %q", kind.name, given)
		}
	}
	var labels []string
	if o := sc.SELinux; o != nil {
		for k, v := range map[string]string{"user": o.User, "role": o.Role, "type": o.Type, "level": o.Level} {
			if v != "" {
				labels = append(labels, k+":"+v)
			}
		}
	}
	check(slices.Equal(sorted(labels), sorted(securityOption(h, "label"))), "SELinux label %q", securityOption(h, "label"))
	for _, paths := range []struct {
		name         string
		asked, given []string
	}{{"masked", sc.MaskedPaths, h.MaskedPaths}, {"read-only", sc.ReadonlyPaths, h.ReadonlyPaths}} {
		switch {
		case sc.Privileged:
		case paths.asked == nil:
			check(paths.given == nil, "other %s paths than the engine's", paths.name)
		default:
			for _, path := range paths.asked {
				check(slices.Contains(paths.given, path), "%q is not %s", path, paths.name)
			}
		}
	}

	mode := func(name, given string, node bool, shared ...string) {
		of, joins := strings.CutPrefix(given, "container:")
		switch {
		case given == "host":
			check(node, "the node's %s", name)
		case joins:
			check(of != "" && slices.Contains(shared, of), "the %s of %q", name, of)
		default:
			check(given == "" || given == "shareable", "%s %q", name, given)
		}
	}
	mode("network", string(h.NetworkMode), n.Network == NamespaceNode, p.join)
	mode("IPC", string(h.IpcMode), n.IPC == NamespaceNode, p.join)
	mode("users", string(h.UsernsMode), n.userMode() == NamespaceNode)
	mode("host name", string(h.UTSMode), n.Network == NamespaceNode)
	mode("cgroups", string(h.CgroupnsMode), false)
	switch n.PID {
	case NamespacePod:
		mode("processes", string(h.PidMode), false, p.join)
	case NamespaceTarget:
		mode("processes", string(h.PidMode), false, n.TargetID)
	default:
		mode("processes", string(h.PidMode), n.PID == NamespaceNode)
	}

	user := sc.RunAsUserName
	if sc.RunAsUser != nil {
		user = fmt.Sprint(*sc.RunAsUser)
	}
	if sc.RunAsGroup != nil {
		user += fmt.Sprint(":", *sc.RunAsGroup)
	}
	check(cfg.User == user, "user %q, asked was %q", cfg.User, user)
	check(fmt.Sprint(h.GroupAdd) == fmt.Sprint(sc.SupplementalGroups), "groups %q", h.GroupAdd)
	for _, d := range h.Devices {
		check(slices.ContainsFunc(p.devices, func(a Device) bool {
			return a.HostPath == d.PathOnHost && (a.Permissions == d.CgroupPermissions || a.Permissions == "" && d.CgroupPermissions == "rwm")
		}), "device %v", d)
	}
	check(len(h.DeviceCgroupRules)+len(h.DeviceRequests)+len(h.VolumesFrom)+len(h.Links) == 0, "devices, volumes or links that nobody named")
	check(len(h.Mounts)+len(h.Binds) == p.mounts, "%d mounts", len(h.Mounts)+len(h.Binds))
	for k, v := range h.Sysctls {
		check(p.sysctls[k] == v, "sysctl %s", k)
	}
	return more
}

func localhostRef(p *SecurityProfile) string {
	if p == nil {
		return ""
	}
	return p.LocalhostRef
}

func sorted(l []string) []string { return slices.Sorted(slices.Values(l)) }

// dice throw a random configuration: good values, and some that have to be
// refused.
type dice struct{ *rand.Rand }

func (d dice) one(n int) bool { return d.IntN(n) == 0 }

func of[T any](d dice, from ...T) T { return from[d.IntN(len(from))] }

func some[T any](d dice, from ...T) []T {
	if d.one(3) {
		return nil
	}
	l := []T{}
	for d.one(2) {
		l = append(l, of(d, from...))
	}
	return l
}

func (d dice) profile() *SecurityProfile {
	if d.one(3) {
		return nil
	}
	p := &SecurityProfile{Type: of(d, ProfileRuntimeDefault, ProfileUnconfined, ProfileLocalhost)}
	if p.Type == ProfileLocalhost {
		p.LocalhostRef = of(d, "p", "a b", "name", "/abs/p")
	}
	if d.one(20) {
		*p = SecurityProfile{of(d, "", "x", ProfileLocalhost, ProfileUnconfined), of(d, "", "unconfined", "\n", " unconfined")}
	}
	return p
}

func (d dice) seLinux() *SELinuxOptions {
	if d.one(2) {
		return nil
	}
	return &SELinuxOptions{User: of(d, "", "", "u", "disable"), Role: of(d, "", "r"), Type: of(d, "", "t"), Level: of(d, "", "s0:c1,c2", "s0:c1,c2", "s0 c1")}
}

func (d dice) id() *int64 {
	return of(d, nil, nil, pointerTo[int64](0), pointerTo[int64](1000), pointerTo[int64](1000), pointerTo[int64](1<<31-1), pointerTo[int64](-1))
}

func (d dice) namespaces() NamespaceOptions {
	n := NamespaceOptions{
		Network: of(d, "", NamespacePod, NamespacePod, NamespaceNode), IPC: of(d, "", NamespacePod, NamespaceNode),
		PID: of(d, "", NamespacePod, NamespaceContainer, NamespaceNode),
	}
	if d.one(4) {
		n.User = &UserNamespace{Mode: of(d, NamespaceNode, NamespaceNode, NamespaceNode, NamespacePod, "")}
	}
	if d.one(20) {
		n.Network, n.IPC = of(d, "x", NamespaceTarget), of(d, "host", NamespaceContainer)
	}
	return n
}

// secured returns a container and a sandbox with random security.
func (d dice) secured() (ContainerConfig, SandboxConfig) {
	c, s, _ := plain()
	sc := &c.SecurityContext
	*sc = SecurityContext{
		RunAsUser: d.id(), SupplementalGroups: some(d, int64(0), 5, 5, 1000), Privileged: d.one(5), ReadonlyRootfs: d.one(2), NoNewPrivs: d.one(2),
		Seccomp: d.profile(), AppArmor: d.profile(), SELinux: d.seLinux(),
		MaskedPaths: some(d, "/proc/kcore", "/sys", "/proc/keys"), ReadonlyPaths: some(d, "/proc/sys", "/etc"),
	}
	if d.one(3) {
		sc.RunAsUser, sc.RunAsUserName = of(d, nil, nil, nil, sc.RunAsUser), of(d, "", "www", "user", "0", "a:b", "root")
	}
	if sc.RunAsUser != nil || sc.RunAsUserName != "" || d.one(10) {
		sc.RunAsGroup = d.id()
	}
	if d.one(2) {
		names := []string{"ALL", "all", "CHOWN", "cap_chown", "NET_ADMIN", "CAP_SYS_ADMIN", "KILL", "kill", "BPF", "SETPCAP"}
		sc.Capabilities = &Capabilities{Add: some(d, names...), Drop: some(d, names...)}
		if d.one(10) {
			sc.Capabilities.Add = append(sc.Capabilities.Add, of(d, "", "FOO", "CAP_", "ALL\x00"))
		}
	}
	s.Namespaces = d.namespaces()
	sc.Namespaces = of(d, s.Namespaces, NamespaceOptions{}, d.namespaces())
	if d.one(6) {
		sc.Namespaces.PID, sc.Namespaces.TargetID = NamespaceTarget, of(d, workloadID, workloadID, "")
	}
	c.Devices = some(d, Device{HostPath: "/dev/null"}, Device{HostPath: "/dev/fuse", Permissions: "r"})
	if d.one(3) {
		c.Mounts = []Mount{{Source: "/a", Target: "/b", ReadOnly: d.one(2)}}
	}
	s.SecurityContext = SandboxSecurityContext{
		RunAsUser: d.id(), SupplementalGroups: some(d, int64(0), 7), ReadonlyRootfs: d.one(2), Privileged: d.one(3),
		Seccomp: d.profile(), AppArmor: d.profile(), SELinux: d.seLinux(),
	}
	if d.one(2) {
		s.Sysctls = map[string]string{of(d, "net.core.somaxconn", "kernel.sem", "kernel.domainname", "net/ipv4/ip_forward", "vm.swappiness", "kernel.hostname"): "1"}
	}
	return c, s
}

// holdsPrivileges builds what seed stands for and fails if that is not
// deterministic, names no field in a refusal, or gives more than was asked
// for. It tells what was accepted.
func holdsPrivileges(t *testing.T, seed uint64) (container, sandbox bool) {
	d := dice{rand.New(rand.NewPCG(seed, 7))}
	c, s := d.secured()
	site := fullSite()
	site.privileged = s.SecurityContext.Privileged
	if d.one(4) {
		site.sandboxID = ""
	}
	ns, _ := joinNamespaces(c.SecurityContext.Namespaces, s.Namespaces)
	sandboxed := s.SecurityContext
	for _, b := range []struct {
		build func() (createRequest, error)
		asked privilege
		ok    *bool
	}{
		{func() (createRequest, error) { return checkedContainer(c, s, site) },
			privilege{sc: c.SecurityContext, namespaces: ns, join: site.sandboxID, devices: c.Devices, mounts: len(c.Mounts)}, &container},
		{func() (createRequest, error) { return checkedSandbox(s, "", site) },
			privilege{sc: SecurityContext{
				RunAsUser: sandboxed.RunAsUser, RunAsGroup: sandboxed.RunAsGroup, SupplementalGroups: sandboxed.SupplementalGroups, Privileged: sandboxed.Privileged,
				ReadonlyRootfs: sandboxed.ReadonlyRootfs, Seccomp: sandboxed.Seccomp, AppArmor: sandboxed.AppArmor, SELinux: sandboxed.SELinux,
			}, namespaces: s.Namespaces, sandbox: true, sysctls: engineSysctls(s.Sysctls)}, &sandbox},
	} {
		req, err := b.build()
		again, errAgain := b.build()
		if fmt.Sprint(err) != fmt.Sprint(errAgain) || asJSON(t, req) != asJSON(t, again) {
			t.Fatalf("seed %d: two answers: %v, %v", seed, err, errAgain)
		}
		if err != nil {
			if got := faults(err); len(got) == 0 || strings.HasPrefix(got[0], "?") {
				t.Fatalf("seed %d: an error that names no field: %v", seed, err)
			}
			continue
		}
		*b.ok = true
		if more := b.asked.exceeds(site.seccomp, req.Config, req.Host); more != nil {
			t.Fatalf("seed %d: more than was asked for: %q\nasked: %s\nrequest: %s", seed, more, asJSON(t, b.asked.sc), asJSON(t, req.Host))
		}
		if b.asked.sc.Privileged && !b.asked.sandbox && site.sandboxID != "" && !sandboxed.Privileged {
			t.Fatalf("seed %d: a privileged container in a sandbox that is not", seed)
		}
	}
	return container, sandbox
}

// A request never gives more privilege than was asked for, and enough random
// configurations are accepted for that to mean something.
func TestPrivileges(t *testing.T) {
	const n = 4000
	containers, sandboxes := 0, 0
	for seed := range uint64(n) {
		c, s := holdsPrivileges(t, seed)
		if c {
			containers++
		}
		if s {
			sandboxes++
		}
	}
	if containers < n/10 || sandboxes < n/10 {
		t.Errorf("of %d, %d containers and %d sandboxes were accepted", n, containers, sandboxes)
	}
	t.Logf("of %d, %d containers and %d sandboxes were accepted", n, containers, sandboxes)
}

func FuzzPrivileges(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { holdsPrivileges(t, seed) })
}

// The order tells each way in which a request can be too much.
func TestPrivilegeOrder(t *testing.T) {
	asked := privilege{
		sc: SecurityContext{
			RunAsUser: pointerTo[int64](1000), Capabilities: &Capabilities{Add: []string{"NET_ADMIN"}, Drop: []string{"KILL"}}, ReadonlyRootfs: true, NoNewPrivs: true,
			Seccomp: &SecurityProfile{ProfileLocalhost, "p"}, AppArmor: &SecurityProfile{ProfileLocalhost, "a"}, SELinux: &SELinuxOptions{Type: "t"},
			MaskedPaths: []string{"/m"}, SupplementalGroups: []int64{5},
		},
		namespaces: NamespaceOptions{PID: NamespaceContainer}, join: sandboxID,
	}
	for name, change := range map[string]func(*container.Config, *container.HostConfig){
		"":                     func(*container.Config, *container.HostConfig) {},
		"privileged":           func(_ *container.Config, h *container.HostConfig) { h.Privileged = true },
		"another capability":   func(_ *container.Config, h *container.HostConfig) { h.CapAdd = append(h.CapAdd, "CAP_BPF") },
		"a capability dropped": func(_ *container.Config, h *container.HostConfig) { h.CapDrop = nil },
		"all capabilities": func(_ *container.Config, h *container.HostConfig) {
			h.CapAdd, h.CapDrop = []string{"ALL"}, []string{"ALL"}
		},
		"a root to write": func(_ *container.Config, h *container.HostConfig) { h.ReadonlyRootfs = false },
		"new privileges": func(_ *container.Config, h *container.HostConfig) {
			h.SecurityOpt = slices.DeleteFunc(h.SecurityOpt, func(o string) bool { return o == "no-new-privileges" })
		},
		"no seccomp": func(_ *container.Config, h *container.HostConfig) {
			h.SecurityOpt = append(h.SecurityOpt, "seccomp=unconfined")
		},
		"no AppArmor": func(_ *container.Config, h *container.HostConfig) {
			h.SecurityOpt = append(h.SecurityOpt, "apparmor=unconfined")
		},
		"no SELinux": func(_ *container.Config, h *container.HostConfig) {
			h.SecurityOpt = append(h.SecurityOpt, "label=disable")
		},
		"nothing masked":         func(_ *container.Config, h *container.HostConfig) { h.MaskedPaths = []string{} },
		"everything writable":    func(_ *container.Config, h *container.HostConfig) { h.ReadonlyPaths = []string{} },
		"the node's network":     func(_ *container.Config, h *container.HostConfig) { h.NetworkMode = "host" },
		"another's network":      func(_ *container.Config, h *container.HostConfig) { h.NetworkMode = "container:" + workloadID },
		"the node's processes":   func(_ *container.Config, h *container.HostConfig) { h.PidMode = "host" },
		"the sandbox' processes": func(_ *container.Config, h *container.HostConfig) { h.PidMode = "container:" + sandboxID },
		"the node's IPC":         func(_ *container.Config, h *container.HostConfig) { h.IpcMode = "host" },
		"the node's name":        func(_ *container.Config, h *container.HostConfig) { h.UTSMode = "host" },
		"the node's users":       func(_ *container.Config, h *container.HostConfig) { h.UsernsMode = "host" },
		"the node's cgroups":     func(_ *container.Config, h *container.HostConfig) { h.CgroupnsMode = "host" },
		"root":                   func(c *container.Config, _ *container.HostConfig) { c.User = "" },
		"another group":          func(_ *container.Config, h *container.HostConfig) { h.GroupAdd = []string{"5", "0"} },
		"a device": func(_ *container.Config, h *container.HostConfig) {
			h.Devices = []container.DeviceMapping{{PathOnHost: "/dev/mem"}}
		},
		"devices by rule": func(_ *container.Config, h *container.HostConfig) { h.DeviceCgroupRules = []string{"a *:* rwm"} },
		"a mount":         func(_ *container.Config, h *container.HostConfig) { h.Binds = []string{"/:/host"} },
		"a sysctl":        func(_ *container.Config, h *container.HostConfig) { h.Sysctls = map[string]string{"net.a": "1"} },
	} {
		c, s, site := plain()
		c.SecurityContext = asked.sc
		req := mustBuild(t, c, s, site)
		change(req.Config, req.Host)
		if more := asked.exceeds(site.seccomp, req.Config, req.Host); (name == "") != (more == nil) {
			t.Errorf("%q: told is %q", name, more)
		}
	}
}
