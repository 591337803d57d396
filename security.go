package dockpod

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/docker/docker/api/types/container"
)

// SecurityContext is what a container may do. The zero value is the image's
// user, unprivileged, with the engine's default profiles.
type SecurityContext struct {
	RunAsUser          *int64 // nil: the image's user; 0 is root
	RunAsUserName      string // a name in the container's /etc/passwd; not with RunAsUser
	RunAsGroup         *int64 // needs RunAsUser or RunAsUserName
	SupplementalGroups []int64
	Privileged         bool
	ReadonlyRootfs     bool

	// Namespaces overrides the sandbox's; a zero field takes the sandbox's.
	Namespaces NamespaceOptions

	Capabilities             *Capabilities    // nil: the engine's default set
	NoNewPrivs               bool             // set no_new_privs on the process
	Seccomp                  *SecurityProfile // nil: the engine's default profile
	AppArmor                 *SecurityProfile // nil: the engine's default profile
	SELinux                  *SELinuxOptions  // nil: the engine's choice
	MaskedPaths              []string         // nil: the engine's; empty: none, as always if Privileged
	ReadonlyPaths            []string         // nil: the engine's; empty: none, as always if Privileged
	SupplementalGroupsPolicy string           // "" or "Merge"
}

// Capabilities changes the engine's default set. Names are spelled with or
// without "CAP_"; "ALL" stands for all.
type Capabilities struct {
	Add, Drop, AddAmbient []string
}

// ProfileType is the kind of a [SecurityProfile].
type ProfileType string

// The profile types of CRI v1.
const (
	ProfileRuntimeDefault ProfileType = "RuntimeDefault"
	ProfileUnconfined     ProfileType = "Unconfined"
	ProfileLocalhost      ProfileType = "Localhost"
)

// SecurityProfile is a seccomp or AppArmor profile.
type SecurityProfile struct {
	Type         ProfileType `json:"type,omitempty"`
	LocalhostRef string      `json:"localhostRef,omitempty"` // with ProfileLocalhost: a file for seccomp, a loaded profile's name for AppArmor
}

// SELinuxOptions is an SELinux label; empty parts are the engine's.
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
		v.capabilities(field+".Capabilities.Add", c.Add)
		v.capabilities(field+".Capabilities.Drop", c.Drop)
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
	if name != "" && !isWord(name) || strings.Contains(name, ":") {
		v.bad(field+".RunAsUserName", "%q is no user's name", name)
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
}

func (v *validator) capabilities(field string, names []string) {
	for i, c := range names {
		if c == "" || strings.Trim(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_") != "" {
			v.bad(fmt.Sprintf("%s[%d]", field, i), "%q is no capability", c)
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
		switch {
		case !appArmor:
			v.unsupported(field+".Type Localhost", "this release does not load profiles from files")
		case p.LocalhostRef == "" || strings.ContainsAny(p.LocalhostRef, "\x00\n") || !utf8.ValidString(p.LocalhostRef):
			v.bad(field+".LocalhostRef", "%q is no profile's name", p.LocalhostRef)
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

// joinNamespaces resolves a container's namespaces against its sandbox's.
// Network and IPC belong to the sandbox: a container cannot have others than
// its pod.
func joinNamespaces(c, s NamespaceOptions) (NamespaceOptions, error) {
	pick := func(own, pod, otherwise NamespaceMode) NamespaceMode {
		switch {
		case own != "":
			return own
		case pod != "":
			return pod
		}
		return otherwise
	}
	n := NamespaceOptions{
		Network:  pick(c.Network, s.Network, NamespacePod),
		PID:      pick(c.PID, s.PID, NamespaceContainer),
		IPC:      pick(c.IPC, s.IPC, NamespacePod),
		TargetID: c.TargetID,
	}
	for _, ns := range []struct {
		name           string
		own, ofSandbox NamespaceMode
	}{{"Network", n.Network, s.Network}, {"IPC", n.IPC, s.IPC}} {
		if pod := pick("", ns.ofSandbox, NamespacePod); ns.own != pod {
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

// applySecurity translates the rest of a security context.
func applySecurity(sc SecurityContext, cfg *container.Config, h *container.HostConfig) {
	cfg.User = userOf(sc.RunAsUser, sc.RunAsUserName, sc.RunAsGroup)
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
	h.SecurityOpt = securityOpts(sc.SELinux, sc.AppArmor, sc.NoNewPrivs, sc.Seccomp)
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
func securityOpts(se *SELinuxOptions, apparmor *SecurityProfile, noNewPrivs bool, seccomp *SecurityProfile) []string {
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
	if seccomp != nil && seccomp.Type == ProfileUnconfined {
		l = append(l, "seccomp=unconfined")
	}
	return l
}
