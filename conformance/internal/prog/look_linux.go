package prog

import (
	"cmp"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"unsafe"
)

// Look makes the report of the process that calls it. Each question asks for
// something that is not in every report: "sysctl=NAME", or "path=FILE".
func Look(questions []string) *Report {
	r := LookAt("self")
	r.PID, r.Args, r.Env, r.TTY = os.Getpid(), os.Args, os.Environ(), isTerminal(0)
	r.Resolv, r.Hosts = content("/etc/resolv.conf"), content("/etc/hosts")
	r.Cgroups, r.Sysctls, r.Paths = map[string]string{}, map[string]string{}, map[string]PathReport{}
	r.Calls = calls()
	r.Dir, _ = os.Getwd()
	r.Hostname, _ = os.Hostname()
	if entries, err := os.ReadDir("/proc"); err == nil {
		for _, e := range entries {
			if strings.Trim(e.Name(), "0123456789") == "" {
				r.Processes++
			}
		}
	}
	if links, err := net.Interfaces(); err == nil {
		for _, l := range links {
			r.Interfaces = append(r.Interfaces, l.Name)
		}
	}
	for _, file := range cgroupFiles {
		// Of version 1, each controller has a directory; version 2 has one for all.
		controller, _, _ := strings.Cut(file, ".")
		for _, dir := range []string{controller, "."} {
			if b, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", dir, file)); err == nil {
				r.Cgroups[file] = strings.TrimSpace(string(b))
				break
			}
		}
	}
	for _, q := range questions {
		switch kind, what, _ := strings.Cut(q, "="); kind {
		case "sysctl":
			if b, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(what, ".", "/")); err == nil {
				r.Sysctls[what] = strings.TrimSpace(string(b))
			}
		case "path":
			r.Paths[what] = lookAt(what)
		}
	}
	return r
}

// LookAt makes the part of the report that a process's directory in /proc has,
// for any process of this machine.
func LookAt(pid string) *Report {
	dir := "/proc/" + pid + "/"
	r := &Report{
		Limits: parseLimits(content(dir + "limits")), Mounts: parseMounts(content(dir + "mountinfo")),
		Member: parseCgroup(content(dir + "cgroup")), Namespaces: map[string]string{},
	}
	r.fillStatus(content(dir + "status"))
	r.OOMScoreAdj = atoi(strings.TrimSpace(content(dir + "oom_score_adj")))
	for _, ns := range []string{"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"} {
		if link, err := os.Readlink(dir + "ns/" + ns); err == nil {
			r.Namespaces[ns] = link
		}
	}
	return r
}

// cgroupFiles are the limits of either version of cgroups.
var cgroupFiles = []string{
	"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.swappiness", "memory.oom_control",
	"cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.rt_runtime_us", "cpu.rt_period_us", "cpuset.cpus", "cpuset.mems", "pids.max",
	"blkio.weight", "blkio.bfq.weight", "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device",
	"blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device", "devices.list",
	"memory.max", "memory.swap.max", "memory.low", "cpu.weight", "cpu.max", "io.weight", "io.bfq.weight", "io.max",
}

func content(file string) string {
	b, _ := os.ReadFile(file)
	return string(b)
}

// lookAt tries what can be done with a path. It leaves nothing behind.
func lookAt(path string) PathReport {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return PathReport{Read: errnoName(err), Write: errnoName(err)}
	}
	r := PathReport{Mode: st.Mode & 0o7777, UID: int(st.Uid), GID: int(st.Gid)}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err == nil {
		r.Bytes = fs.Blocks * uint64(fs.Bsize)
	}
	openTo := func(flag int) string {
		f, err := os.OpenFile(path, flag|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
		if err == nil {
			f.Close()
		}
		return errnoName(err)
	}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		r.Kind = "dir"
		entries, err := os.ReadDir(path)
		r.Read = errnoName(err)
		for _, e := range entries {
			r.Content += e.Name() + "\n"
		}
		f, err := os.CreateTemp(path, "look")
		r.Write = errnoName(err)
		if err == nil {
			f.Close()
			os.Remove(f.Name())
		}
		return r
	case syscall.S_IFREG:
		r.Kind = "file"
		r.Content = head(path)
	case syscall.S_IFCHR:
		r.Kind = "char"
	case syscall.S_IFBLK:
		r.Kind = "block"
	default:
		r.Kind = "other"
		return r
	}
	if r.Kind == "char" || r.Kind == "block" {
		// As <sys/sysmacros.h> cuts them.
		d := uint64(st.Rdev)
		r.Major = uint32(d>>8&0xfff | d>>32&^0xfff)
		r.Minor = uint32(d&0xff | d>>12&^0xff)
	}
	r.Read, r.Write = openTo(syscall.O_RDONLY), openTo(syscall.O_WRONLY)
	return r
}

// head returns the start of a file.
func head(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b := make([]byte, 4096)
	n, _ := f.Read(b)
	return string(b[:n])
}

// calls tries system calls in a way that changes nothing. Each is refused
// with EPERM by a seccomp profile or for want of a capability; if it is not,
// the kernel answers with the error that is given here, which counts as done.
func calls() map[string]string {
	try := func(harmless syscall.Errno, number uintptr, args ...uintptr) string {
		var a [5]uintptr
		copy(a[:], args)
		_, _, errno := syscall.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], 0)
		if errno == 0 || errno == harmless {
			return ""
		}
		return errnoName(errno)
	}
	root, _ := syscall.BytePtrFromString("/")
	none, _ := syscall.BytePtrFromString("nosuchfs")
	const newUser = 0x10000000 // CLONE_NEWUSER
	const noPID = 1 << 30
	m := map[string]string{
		"unshare": try(syscall.EINVAL, syscall.SYS_UNSHARE, newUser), // a process of several threads cannot
		"keyctl":  try(syscall.ENOKEY, syscall.SYS_KEYCTL, 0, ^uintptr(2), 0),
		"ptrace":  try(syscall.ESRCH, syscall.SYS_PTRACE, syscall.PTRACE_ATTACH, noPID),
		"mount":   try(syscall.ENODEV, syscall.SYS_MOUNT, ptr(none), ptr(root), ptr(none)), // the place is looked up before the right
		"chroot":  try(0, syscall.SYS_CHROOT, ptr(root)),
		"reboot":  try(syscall.EINVAL, syscall.SYS_REBOOT, 0, 0, 0), // no magic numbers
	}
	runtime.KeepAlive([]*byte{root, none})
	return m
}

func ptr(p *byte) uintptr { return uintptr(unsafe.Pointer(p)) }

func isTerminal(fd uintptr) bool {
	var t syscall.Termios
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TCGETS, uintptr(unsafe.Pointer(&t)))
	return errno == 0
}

// errnoName spells an error as errno(3) does.
func errnoName(err error) string {
	if err == nil {
		return ""
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	return cmp.Or(errnoNames[errno], errno.Error())
}

var errnoNames = map[syscall.Errno]string{
	syscall.EACCES: "EACCES", syscall.EPERM: "EPERM", syscall.ENOENT: "ENOENT", syscall.EROFS: "EROFS", syscall.EINVAL: "EINVAL",
	syscall.ENOSYS: "ENOSYS", syscall.ENXIO: "ENXIO", syscall.ENODEV: "ENODEV", syscall.EIO: "EIO", syscall.ENOTDIR: "ENOTDIR",
	syscall.EISDIR: "EISDIR", syscall.EBUSY: "EBUSY", syscall.ESRCH: "ESRCH", syscall.ENOKEY: "ENOKEY", syscall.ENOTTY: "ENOTTY",
	syscall.ENOTSUP: "ENOTSUP", syscall.EDOM: "EDOM", syscall.E2BIG: "E2BIG",
}
