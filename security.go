package dockpod

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/docker/docker/api/types/container"
)

// SecurityContext is what a container may do. The zero value is the image's
// user, unprivileged, with the engine's default profiles. What a field asks
// for is in force in the container, or the container is refused.
type SecurityContext struct {
	RunAsUser          *int64  // nil: the image's user; 0 is root
	RunAsUserName      string  // a name in the container's /etc/passwd; not with RunAsUser
	RunAsGroup         *int64  // needs RunAsUser or RunAsUserName
	SupplementalGroups []int64 // the groups that the image gives the user are added
	// Privileged gives all capabilities and devices, whatever Capabilities
	// says, masks no path and applies no profile but one of Localhost: so CRI
	// v1 has it. The sandbox has to be privileged too. A seccomp profile of
	// Localhost needs API 1.48 then: older engines drop it.
	Privileged     bool
	ReadonlyRootfs bool

	// Namespaces overrides the sandbox's; a zero field takes the sandbox's.
	Namespaces NamespaceOptions

	Capabilities             *Capabilities    // nil: the engine's default set
	NoNewPrivs               bool             // set no_new_privs on the process
	Seccomp                  *SecurityProfile // nil: that of WithDefaultSeccomp
	AppArmor                 *SecurityProfile // nil: the engine's default profile
	SELinux                  *SELinuxOptions  // nil: the engine's choice
	MaskedPaths              []string         // nil: the engine's; empty: none, as always if Privileged; Podman: nil alone
	ReadonlyPaths            []string         // nil: the engine's; empty: none, as always if Privileged; Podman: nil alone
	SupplementalGroupsPolicy string           // "" or "Merge"
}

// Capabilities changes the engine's default set. Names are spelled with or
// without "CAP_", in any case; "ALL" stands for all. With ALL in Drop there are
// those of Add alone, with ALL in Add all but those of Drop. What stands in
// both is refused: an engine would add it, where other runtimes drop it. They
// bound the process; a user who is not root starts with none, as in Kubernetes.
type Capabilities struct {
	Add, Drop  []string
	AddAmbient []string // refused: engines have none
}

// ProfileType is the kind of a [SecurityProfile].
type ProfileType string

// The profile types of CRI v1. A profile that the engine cannot enforce, as
// its kernel has no seccomp or AppArmor, is refused with [ErrUnsupported].
const (
	ProfileRuntimeDefault ProfileType = "RuntimeDefault" // the engine's default
	ProfileUnconfined     ProfileType = "Unconfined"     // none
	ProfileLocalhost      ProfileType = "Localhost"      // that of LocalhostRef; for seccomp not on Podman
)

// SecurityProfile is a seccomp or AppArmor profile. The tags are those of a
// stored label, and do not change.
type SecurityProfile struct {
	Type ProfileType `json:"type,omitempty"`
	// LocalhostRef goes with ProfileLocalhost. For AppArmor it is the name of
	// a profile that the node's kernel has loaded. For seccomp it is a file
	// where dockpod runs: a path relative to the directory of
	// [WithSeccompRoot], or an absolute one, which has to be below it. See
	// [WithSeccompRoot] for what a file has to hold.
	LocalhostRef string `json:"localhostRef,omitempty"`
}

// SELinuxOptions is an SELinux label; empty parts are the engine's. An engine
// without SELinux refuses it with [ErrUnsupported]. The tags are those of a
// stored label, and do not change.
type SELinuxOptions struct {
	User  string `json:"user,omitempty"`
	Role  string `json:"role,omitempty"`
	Type  string `json:"type,omitempty"`
	Level string `json:"level,omitempty"`
}

// security checks a container's security context.
func (v *validator) security(sc SecurityContext) {
	const field = "SecurityContext"
	v.user(field, sc.RunAsUser, sc.RunAsUserName, sc.RunAsGroup, sc.SupplementalGroups)
	v.namespaces(field+".Namespaces", sc.Namespaces, false)
	if c := sc.Capabilities; c != nil {
		v.capabilities(field+".Capabilities", c)
		if len(c.AddAmbient) > 0 {
			v.unsupported(field+".Capabilities.AddAmbient", "the engine's API has no ambient capabilities")
		}
	}
	v.profile(field+".Seccomp", sc.Seccomp, false)
	v.profile(field+".AppArmor", sc.AppArmor, true)
	v.selinux(field+".SELinux", sc.SELinux)
	for i, p := range sc.MaskedPaths {
		v.absolute(fmt.Sprintf("%s.MaskedPaths[%d]", field, i), p)
	}
	for i, p := range sc.ReadonlyPaths {
		v.absolute(fmt.Sprintf("%s.ReadonlyPaths[%d]", field, i), p)
	}
	if p := sc.SupplementalGroupsPolicy; p != "" && p != "Merge" {
		v.unsupported(field+".SupplementalGroupsPolicy", "the engine always adds the groups that the image gives the user")
	}
}

func (v *validator) sandboxSecurity(sc SandboxSecurityContext) {
	const field = "SecurityContext"
	v.user(field, sc.RunAsUser, "", sc.RunAsGroup, sc.SupplementalGroups)
	v.profile(field+".Seccomp", sc.Seccomp, false)
	v.profile(field+".AppArmor", sc.AppArmor, true)
	v.selinux(field+".SELinux", sc.SELinux)
}

func (v *validator) absolute(field, p string) {
	if !strings.HasPrefix(p, "/") {
		v.bad(field, "%q is not absolute", p)
	}
	v.text(field, p)
}

func (v *validator) user(field string, uid *int64, name string, gid *int64, groups []int64) {
	const maxID = 1<<31 - 1 // what engines take
	id := func(f string, n int64) {
		if n < 0 || n > maxID {
			v.bad(f, "%d; want 0 to %d", n, maxID)
		}
	}
	if uid != nil {
		id(field+".RunAsUser", *uid)
		if name != "" {
			v.bad(field+".RunAsUserName", "RunAsUser is set too")
		}
	}
	switch {
	case name == "":
	case !isWord(name) || strings.Contains(name, ":"):
		v.bad(field+".RunAsUserName", "%q is no user's name", name)
	case strings.Trim(name, "+-0123456789") == "": // an engine that finds no such name takes it for an ID
		v.bad(field+".RunAsUserName", "%q is a number, which RunAsUser takes", name)
	}
	if gid != nil {
		id(field+".RunAsGroup", *gid)
		if uid == nil && name == "" {
			v.bad(field+".RunAsGroup", "needs RunAsUser or RunAsUserName")
		}
	}
	for i, g := range groups {
		id(fmt.Sprintf("%s.SupplementalGroups[%d]", field, i), g)
	}
}

// namespaces checks modes that stand alone. A sandbox cannot be given a
// target: it is there before any container.
func (v *validator) namespaces(field string, n NamespaceOptions, sandbox bool) {
	oneOf := func(f string, m NamespaceMode, legal ...NamespaceMode) {
		if m != "" && !slices.Contains(legal, m) {
			v.bad(field+"."+f, "%q; want one of %q", m, legal)
		}
	}
	oneOf("Network", n.Network, NamespacePod, NamespaceNode)
	oneOf("IPC", n.IPC, NamespacePod, NamespaceNode)
	if sandbox {
		oneOf("PID", n.PID, NamespacePod, NamespaceContainer, NamespaceNode)
	} else {
		oneOf("PID", n.PID, NamespacePod, NamespaceContainer, NamespaceNode, NamespaceTarget)
	}
	switch {
	case n.PID == NamespaceTarget && n.TargetID == "" && !sandbox:
		v.bad(field+".TargetID", "empty; PID %q needs it", n.PID)
	case n.PID != NamespaceTarget && n.TargetID != "":
		v.bad(field+".TargetID", "set without PID %q", NamespaceTarget)
	}
	v.userNamespace(field+".User", n.User)
}

// userNamespace takes the node's. An engine maps users for all of its
// containers or for none, so a pod cannot have a mapping of its own.
func (v *validator) userNamespace(field string, u *UserNamespace) {
	if u == nil {
		return
	}
	switch u.Mode {
	case NamespaceNode:
		for _, m := range []struct {
			name string
			ids  []IDMapping
		}{{"UIDs", u.UIDs}, {"GIDs", u.GIDs}} {
			if len(m.ids) > 0 {
				v.bad(field+"."+m.name, "the node's users have no mapping")
			}
		}
	case NamespacePod:
		v.unsupported(field+".Mode pod", "an engine maps users for all of its containers or for none")
	default:
		v.bad(field+".Mode", "%q; want %q or %q", u.Mode, NamespacePod, NamespaceNode)
	}
}

// linuxCapabilities are all that Linux has, up to the last, of 5.9.
var linuxCapabilities = map[string]bool{}

func init() {
	for name := range strings.FieldsSeq(`
		CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
		NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
		SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
		MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`) {
		linuxCapabilities["CAP_"+name] = true
	}
}

// capabilities refuses a name that Linux does not have, and one that is both
// added and dropped.
func (v *validator) capabilities(field string, c *Capabilities) {
	check := func(field string, names []string) []string {
		spelled := capabilityList(names)
		for i, name := range spelled {
			if name != "ALL" && !linuxCapabilities[name] {
				v.bad(fmt.Sprintf("%s[%d]", field, i), "%q is no capability", names[i])
			}
		}
		return spelled
	}
	added := check(field+".Add", c.Add)
	for i, name := range check(field+".Drop", c.Drop) {
		if slices.Contains(added, name) {
			v.bad(fmt.Sprintf("%s.Drop[%d]", field, i), "%q is added too", c.Drop[i])
		}
	}
}

func (v *validator) profile(field string, p *SecurityProfile, appArmor bool) {
	if p == nil {
		return
	}
	switch p.Type {
	case ProfileRuntimeDefault, ProfileUnconfined:
		if p.LocalhostRef != "" {
			v.bad(field+".LocalhostRef", "set without type %q", ProfileLocalhost)
		}
	case ProfileLocalhost:
		switch ref := p.LocalhostRef; {
		case ref == "" || strings.ContainsAny(ref, "\x00\n") || !utf8.ValidString(ref):
			v.bad(field+".LocalhostRef", "%q is no profile's name", ref)
		case appArmor && strings.TrimSpace(ref) != ref:
			v.bad(field+".LocalhostRef", "%q: white space around a name", ref)
		case appArmor && ref == "unconfined": // an engine would take it for the word
			v.bad(field+".LocalhostRef", "%q is no profile: Type Unconfined means none", ref)
		}
	default:
		v.bad(field+".Type", "%q; want RuntimeDefault, Unconfined or Localhost", p.Type)
	}
}

func (v *validator) selinux(field string, o *SELinuxOptions) {
	if o == nil {
		return
	}
	for _, part := range []struct{ name, value string }{{"User", o.User}, {"Role", o.Role}, {"Type", o.Type}, {"Level", o.Level}} {
		if part.value != "" && !isWord(part.value) {
			v.bad(field+"."+part.name, "%q is no part of a label", part.value)
		}
	}
}

// userMode is whose users a pod has; "" is the engine's choice.
func (n NamespaceOptions) userMode() NamespaceMode {
	if n.User == nil {
		return ""
	}
	return n.User.Mode
}

// joinNamespaces resolves a container's namespaces against its sandbox's.
// Network, IPC and users belong to the sandbox: a container cannot have others
// than its pod.
func joinNamespaces(c, s NamespaceOptions) (NamespaceOptions, error) {
	n := NamespaceOptions{
		Network:  cmp.Or(c.Network, s.Network, NamespacePod),
		PID:      cmp.Or(c.PID, s.PID, NamespaceContainer),
		IPC:      cmp.Or(c.IPC, s.IPC, NamespacePod),
		TargetID: c.TargetID,
		User:     s.User,
	}
	for _, ns := range []struct {
		name                      string
		own, ofSandbox, otherwise NamespaceMode
	}{
		{"Network", n.Network, s.Network, NamespacePod},
		{"IPC", n.IPC, s.IPC, NamespacePod},
		{"User", cmp.Or(c.userMode(), s.userMode()), s.userMode(), ""},
	} {
		if pod := cmp.Or(ns.ofSandbox, ns.otherwise); ns.own != pod {
			return n, &FieldError{"SecurityContext.Namespaces." + ns.name, fmt.Sprintf("%q, where the sandbox has %q", ns.own, pod)}
		}
	}
	return n, nil
}

// applyNamespaces puts a container into its namespaces. Without a sandbox the
// engine chooses.
func applyNamespaces(h *container.HostConfig, n NamespaceOptions, sandboxID string) {
	if n.PID == NamespaceNode {
		h.PidMode = "host"
	}
	if n.PID == NamespaceTarget {
		h.PidMode = container.PidMode("container:" + n.TargetID)
	}
	if n.IPC == NamespaceNode {
		h.IpcMode = "host"
	}
	if n.Network == NamespaceNode {
		h.UTSMode = "host"
	}
	if n.userMode() == NamespaceNode {
		h.UsernsMode = "host"
	}
	if sandboxID == "" {
		if n.Network == NamespaceNode {
			h.NetworkMode = "host"
		}
		return
	}
	join := "container:" + sandboxID
	h.NetworkMode = container.NetworkMode(join)
	if n.IPC == NamespacePod {
		h.IpcMode = container.IpcMode(join)
	}
	if n.PID == NamespacePod {
		h.PidMode = container.PidMode(join)
	}
}

// applySecurity translates the rest of a security context. seccomp is the
// content of the profile's file, if it is of the type Localhost.
func applySecurity(h *container.HostConfig, sc SecurityContext, seccomp string) {
	h.GroupAdd = groupList(sc.SupplementalGroups)
	h.Privileged = sc.Privileged
	h.ReadonlyRootfs = sc.ReadonlyRootfs
	if c := sc.Capabilities; c != nil {
		h.CapAdd, h.CapDrop = capabilityList(c.Add), capabilityList(c.Drop)
	}
	if !sc.Privileged {
		// A kubelet asks for the usual paths whether it gives all rights or not.
		h.MaskedPaths, h.ReadonlyPaths = slices.Clone(sc.MaskedPaths), slices.Clone(sc.ReadonlyPaths)
	}
	h.SecurityOpt = securityOpts(sc.SELinux, sc.AppArmor, sc.NoNewPrivs, sc.Seccomp, seccomp)
}

// userOf spells a user as engines want it: "uid", "name", "uid:gid"; "" is
// the image's.
func userOf(uid *int64, name string, gid *int64) string {
	user := name
	if uid != nil {
		user = strconv.FormatInt(*uid, 10)
	}
	if gid != nil {
		user += ":" + strconv.FormatInt(*gid, 10)
	}
	return user
}

func groupList(groups []int64) []string {
	var l []string
	for _, g := range groups {
		l = append(l, strconv.FormatInt(g, 10))
	}
	return l
}

// capabilityList spells names as the newest engines do and older ones take.
func capabilityList(names []string) []string {
	var l []string
	for _, c := range names {
		c = strings.ToUpper(c)
		if c == "CAP_ALL" {
			c = "ALL"
		}
		if c != "ALL" && !strings.HasPrefix(c, "CAP_") {
			c = "CAP_" + c
		}
		l = append(l, c)
	}
	return l
}

// securityOpts lists the engine's options in a fixed order: SELinux,
// AppArmor, no-new-privileges, seccomp. The separator is that of API 1.23 and
// later.
func securityOpts(se *SELinuxOptions, apparmor *SecurityProfile, noNewPrivs bool, seccomp *SecurityProfile, content string) []string {
	var l []string
	if se != nil {
		for _, p := range []struct{ key, value string }{{"user", se.User}, {"role", se.Role}, {"type", se.Type}, {"level", se.Level}} {
			if p.value != "" {
				l = append(l, "label="+p.key+":"+p.value)
			}
		}
	}
	if apparmor != nil {
		switch apparmor.Type {
		case ProfileUnconfined:
			l = append(l, "apparmor=unconfined")
		case ProfileLocalhost:
			l = append(l, "apparmor="+apparmor.LocalhostRef)
		}
	}
	if noNewPrivs {
		l = append(l, "no-new-privileges")
	}
	if seccomp != nil {
		switch seccomp.Type {
		case ProfileUnconfined:
			l = append(l, "seccomp=unconfined")
		case ProfileLocalhost:
			l = append(l, "seccomp="+content)
		}
	}
	return l
}
