package fake

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// securityOpt splits "key=value" or "key:value".
func securityOpt(o string) (key, value string, ok bool) {
	if key, value, ok = strings.Cut(o, "="); !ok {
		key, value, ok = strings.Cut(o, ":")
	}
	return key, value, ok
}

// validateSecurityOpt refuses options that are not a known key with a value.
// Of the value nothing is looked at before the start, and of a label or an
// AppArmor profile never: the machine has neither SELinux nor AppArmor, and
// Docker drops them in silence then.
func validateSecurityOpt(opts []string) error {
	for _, o := range opts {
		if o == "no-new-privileges" || o == "disable" {
			continue
		}
		k, v, ok := securityOpt(o)
		if !ok {
			return Internal("invalid --security-opt 1: %q", o)
		}
		switch k {
		case "label", "apparmor", "seccomp":
		case "no-new-privileges":
			if _, err := strconv.ParseBool(v); err != nil {
				return Internal("invalid --security-opt 2: %q", o)
			}
		default:
			return Internal("invalid --security-opt 2: %q", o)
		}
	}
	return nil
}

// label puts IDs in the place of names in the modes that join another
// container, and makes an option of what follows for the SELinux label. Of a
// container that cannot be joined the start will tell, unless its label is
// needed.
func (d *Docker) label(h *container.HostConfig) error {
	ipc, noIPC := d.byID(string(h.IpcMode))
	pid, noPID := d.byID(string(h.PidMode))
	network, _ := d.byID(string(h.NetworkMode))
	h.IpcMode, h.PidMode, h.NetworkMode = container.IpcMode(ipc), container.PidMode(pid), container.NetworkMode(network)
	switch {
	case slices.ContainsFunc(h.SecurityOpt, func(o string) bool { return strings.HasPrefix(o, "label") }):
		return nil
	case h.IpcMode.IsHost() || h.PidMode.IsHost() || h.Privileged:
		h.SecurityOpt = append(h.SecurityOpt, "label=disable")
		return nil
	}
	return cmp.Or(noIPC, noPID)
}

// byID puts a container's ID in the place of its name in a mode.
func (d *Docker) byID(mode string) (string, error) {
	of, ok := strings.CutPrefix(mode, "container:")
	if !ok {
		return mode, nil
	}
	c, err := d.find(of)
	if err != nil {
		return mode, asInvalid(err)
	}
	return "container:" + c.id, nil
}

// seccompProfile is what of a seccomp profile the engine or its runtime can refuse.
type seccompProfile struct {
	DefaultAction string
	Architectures []string
}

var (
	seccompActions = strings.Fields("SCMP_ACT_KILL SCMP_ACT_KILL_PROCESS SCMP_ACT_KILL_THREAD SCMP_ACT_TRAP SCMP_ACT_ERRNO SCMP_ACT_TRACE SCMP_ACT_ALLOW SCMP_ACT_LOG SCMP_ACT_NOTIFY")
	seccompArches  = strings.Fields("SCMP_ARCH_X86 SCMP_ARCH_X86_64 SCMP_ARCH_X32 SCMP_ARCH_ARM SCMP_ARCH_AARCH64 SCMP_ARCH_MIPS SCMP_ARCH_MIPS64 SCMP_ARCH_MIPS64N32 SCMP_ARCH_MIPSEL SCMP_ARCH_MIPSEL64 SCMP_ARCH_MIPSEL64N32 SCMP_ARCH_PPC SCMP_ARCH_PPC64 SCMP_ARCH_PPC64LE SCMP_ARCH_RISCV64 SCMP_ARCH_S390 SCMP_ARCH_S390X")
)

// loadSeccomp refuses, at the start, the seccomp profile that comes last among
// the options. early is the engine's refusal, late the runtime's reason. A
// privileged container has no profile, whatever the options say; nor has one
// whose profile has no default action.
func loadSeccomp(h *container.HostConfig) (late string, early error) {
	text := ""
	for _, o := range h.SecurityOpt {
		if k, v, _ := securityOpt(o); k == "seccomp" {
			text = v
		}
	}
	if h.Privileged || text == "" || text == "unconfined" {
		return "", nil
	}
	var p seccompProfile
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		said := strings.Replace(err.Error(), "fake.seccompProfile", "seccomp.Seccomp", 1)
		return "", Internal("Decoding seccomp profile failed: %s", said)
	}
	if p.DefaultAction == "" {
		return "", nil
	}
	if !slices.Contains(seccompActions, p.DefaultAction) {
		return fmt.Sprintf("string %s is not a valid action for seccomp", p.DefaultAction), nil
	}
	for _, a := range p.Architectures {
		if !slices.Contains(seccompArches, a) {
			return fmt.Sprintf("string %s is not a valid arch for seccomp", a), nil
		}
	}
	return "", nil
}

// checkSysctls tells, at the start, why the runtime refuses a sysctl; "" if it
// takes all.
func checkSysctls(h *container.HostConfig) string {
	for name := range h.Sysctls {
		name := strings.ReplaceAll(name, "/", ".")
		ipc := strings.HasPrefix(name, "fs.mqueue.") || slices.Contains(ipcSysctls, name)
		switch {
		case name == "kernel.hostname" && !h.UTSMode.IsHost():
			return fmt.Sprintf(`sysctl %q is not allowed as it conflicts with the OCI "hostname" field`, name)
		case name == "kernel.domainname" && !h.UTSMode.IsHost():
		case ipc && h.IpcMode.IsHost():
			return fmt.Sprintf("sysctl %q is not allowed in the hosts ipc namespace", name)
		case strings.HasPrefix(name, "net.") && h.NetworkMode.IsHost():
			return fmt.Sprintf("sysctl %q not allowed in host network namespace", name)
		case !ipc && !strings.HasPrefix(name, "net."):
			return fmt.Sprintf("sysctl %q is not in a separate kernel namespace", name)
		}
	}
	return ""
}

var ipcSysctls = strings.Fields("kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax kernel.shmmni kernel.shm_rmid_forced")

// checkIDs refuses numbers that are no user's or group's, and groups that the
// image does not know.
func (i *img) checkIDs(user string, groups []string) error {
	u, g, _ := strings.Cut(user, ":")
	for _, s := range append([]string{u, g}, groups...) {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil && (n < 0 || n > 1<<31-1) {
			return Internal("uids and gids must be in range 0-2147483647")
		}
	}
	if err := i.checkUser(user); err != nil {
		return Internal("%s", err)
	}
	for _, name := range groups {
		if i.checkUser("0:"+name) != nil {
			return Internal("Unable to find group %s: no matching entries in group file", name)
		}
	}
	return nil
}

// securityOptions spells [Docker.Security] as Info has it.
func (d *Docker) securityOptions() []string {
	if d.Security == nil {
		return []string{"name=seccomp,profile=default"}
	}
	l := []string{}
	for _, name := range d.Security {
		if name == "seccomp" {
			name += ",profile=default"
		}
		l = append(l, "name="+name)
	}
	return l
}
