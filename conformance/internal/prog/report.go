package prog

import (
	"slices"
	"strconv"
	"strings"
)

// Report is what a process finds out about itself and its container, from
// /proc and /sys. What a kernel does not have is left out.
type Report struct {
	UID, GID int   // the effective ones
	Groups   []int // without GID, unless it is named there too

	Inheritable, Permitted, Effective, Bounding, Ambient Caps

	NoNewPrivs     bool
	Seccomp        int // 0: none, 2: a filter
	SeccompFilters int // -1: the kernel does not say
	OOMScoreAdj    int
	Limits         map[string]Limit // as in /proc/self/limits: "Max open files"

	PID        int
	Processes  int               // how many it sees
	Namespaces map[string]string // "net": "net:[4026531840]"
	Hostname   string
	Interfaces []string // of the network

	Dir  string
	Args []string
	Env  []string // in order
	TTY  bool     // standard input is a terminal

	Mounts  []MountPoint
	Member  map[string]string // by controller the cgroup that it is in; "" of version 2
	Cgroups map[string]string // file by name: "memory.limit_in_bytes", "memory.max"
	Sysctls map[string]string // those that were asked about; a missing one is not there
	Paths   map[string]PathReport
	Calls   map[string]string // by system call the error's name; "" if the kernel did it, or would with other arguments

	Resolv, Hosts string // /etc/resolv.conf and /etc/hosts
}

// Limit is a resource limit of the process; -1 is unlimited.
type Limit struct{ Soft, Hard int64 }

// MountPoint is a line of /proc/self/mountinfo.
type MountPoint struct {
	Target      string
	Root        string // what of the file system is mounted
	Type        string
	Source      string
	Options     []string // of the mount: "ro"
	Super       []string // of the file system: "size=64k"
	Propagation []string // "shared", "master"; none: private
}

// PathReport is what a process can do with a path.
type PathReport struct {
	Kind         string // "file", "dir", "char", "block", "other"; empty: it is not there
	Mode         uint32 // permissions, with the sticky bit as 01000
	UID, GID     int
	Major, Minor uint32 // of a device
	Read, Write  string // the error's name, "" if it can be done; a directory is written to by making a file in it
	Content      string // of a file the first bytes; of a directory its entries, a line each
	Bytes        uint64 // the size of the file system
}

// Caps is a set of capabilities.
type Caps uint64

// capNames are in the order of their numbers.
var capNames = strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
	LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
	SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE
	AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)

// Names lists the set in the order of the capabilities' numbers, without
// "CAP_".
func (c Caps) Names() []string {
	names := []string{}
	for i := range 64 {
		if c>>i&1 == 0 {
			continue
		}
		if i < len(capNames) {
			names = append(names, capNames[i])
		} else {
			names = append(names, strconv.Itoa(i))
		}
	}
	return names
}

// Has tells whether a capability is in the set.
func (c Caps) Has(name string) bool {
	i := slices.Index(capNames, name)
	return i >= 0 && c>>i&1 == 1
}

// At returns what is mounted at a path, topmost.
func (r *Report) At(target string) (MountPoint, bool) {
	for _, m := range slices.Backward(r.Mounts) {
		if m.Target == target {
			return m, true
		}
	}
	return MountPoint{}, false
}

// parseMounts reads /proc/self/mountinfo.
func parseMounts(text string) []MountPoint {
	var list []MountPoint
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		sep := slices.Index(f, "-")
		if sep < 6 || len(f) < sep+4 {
			continue
		}
		m := MountPoint{
			Root: unescape(f[3]), Target: unescape(f[4]), Options: strings.Split(f[5], ","),
			Type: f[sep+1], Source: unescape(f[sep+2]), Super: strings.Split(f[sep+3], ","),
		}
		for _, tag := range f[6:sep] {
			name, _, _ := strings.Cut(tag, ":")
			m.Propagation = append(m.Propagation, name)
		}
		list = append(list, m)
	}
	return list
}

// unescape reads what the kernel writes for white space and backslashes: \040.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// parseCgroup reads /proc/self/cgroup.
func parseCgroup(text string) map[string]string {
	member := map[string]string{}
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) < 3 {
			continue
		}
		for controller := range strings.SplitSeq(f[1], ",") {
			member[controller] = f[2]
		}
	}
	return member
}

// parseLimits reads /proc/self/limits, whose columns are two spaces apart.
func parseLimits(text string) map[string]Limit {
	limits := map[string]Limit{}
	for line := range strings.Lines(text) {
		if len(line) < 26 || strings.HasPrefix(line, "Limit ") {
			continue
		}
		f := strings.Fields(line[26:])
		if len(f) < 2 {
			continue
		}
		limits[strings.TrimSpace(line[:26])] = Limit{limitOf(f[0]), limitOf(f[1])}
	}
	return limits
}

func limitOf(s string) int64 {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	return -1 // "unlimited", or more than fits
}

// fillStatus takes over what /proc/self/status says.
func (r *Report) fillStatus(text string) {
	r.SeccompFilters = -1
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		f := strings.Fields(value)
		if len(f) == 0 {
			continue
		}
		caps := func() Caps {
			n, _ := strconv.ParseUint(f[0], 16, 64)
			return Caps(n)
		}
		switch key {
		case "Uid":
			r.UID = atoi(f[min(1, len(f)-1)])
		case "Gid":
			r.GID = atoi(f[min(1, len(f)-1)])
		case "Groups":
			for _, g := range f {
				r.Groups = append(r.Groups, atoi(g))
			}
		case "CapInh":
			r.Inheritable = caps()
		case "CapPrm":
			r.Permitted = caps()
		case "CapEff":
			r.Effective = caps()
		case "CapBnd":
			r.Bounding = caps()
		case "CapAmb":
			r.Ambient = caps()
		case "NoNewPrivs":
			r.NoNewPrivs = f[0] == "1"
		case "Seccomp":
			r.Seccomp = atoi(f[0])
		case "Seccomp_filters":
			r.SeccompFilters = atoi(f[0])
		}
	}
}
