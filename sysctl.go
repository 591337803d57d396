package dockpod

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// sysctls refuses what is not a pod's own: a value of the node that a pod
// could change would be one for all pods.
func (v *validator) sysctls(s SandboxConfig) {
	seen := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(s.Sysctls)) {
		field := fmt.Sprintf("Sysctls[%q]", k)
		name := sysctlName(k)
		if k == "" || strings.ContainsAny(k, " =\x00") || strings.Contains(name, "/") || strings.Contains(name, "..") {
			v.bad(field, "not a sysctl's name")
			continue
		}
		v.text(field, k+"="+s.Sysctls[k])
		if first, twice := seen[name]; twice {
			v.bad(field, "is %q too", first)
		}
		seen[name] = k
		if reason := notOfPod(name, s.Namespaces); reason != "" {
			v.bad(field, "%s", reason)
		}
	}
}

// sysctlName spells a name with dots, as engines do. The kernel's own spelling
// is with slashes, for a name begun so.
func sysctlName(k string) string {
	if i := strings.IndexAny(k, "./"); i >= 0 && k[i] == '/' && !strings.Contains(k, ".") {
		return strings.ReplaceAll(k, "/", ".")
	}
	return k
}

// ipcSysctls are the kernel's that belong to an IPC namespace, besides those
// of fs.mqueue.
var ipcSysctls = []string{
	"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
	"kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
}

// notOfPod tells why a sysctl is not a pod's with these namespaces; "" if it
// is.
func notOfPod(name string, n NamespaceOptions) string {
	switch {
	case strings.HasPrefix(name, "net."):
		if n.Network == NamespaceNode {
			return "would change the node's network"
		}
	case slices.Contains(ipcSysctls, name), strings.HasPrefix(name, "fs.mqueue."):
		if n.IPC == NamespaceNode {
			return "would change the node's IPC"
		}
	case name == "kernel.domainname":
		if n.Network == NamespaceNode {
			return "would change the node's name"
		}
	case name == "kernel.hostname":
		return "is set by Hostname"
	default:
		return "is the node's: no namespace of a pod has its own"
	}
	return ""
}

// engineSysctls spells the names as engines do.
func engineSysctls(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, value := range m {
		out[sysctlName(k)] = value
	}
	return out
}
