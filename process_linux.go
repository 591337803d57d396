package dockpod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ofContainer returns errElsewhere unless a process of this machine is in the
// cgroup of a container, by its full ID. It proves that the engine's PIDs are
// ours: an engine elsewhere, or in another PID namespace, has others.
func ofContainer(pid int, containerID string) error {
	cgroups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	if len(containerID) != 64 || !bytes.Contains(cgroups, []byte(containerID)) {
		return errElsewhere
	}
	return nil
}

// killProcess kills a process of a container, and the processes that it has
// started, unless it is gone or another's, and waits until they are dead. runs
// asks the engine whether the PID is still that process's.
func killProcess(ctx context.Context, pid int, containerID string, runs func() (bool, error)) error {
	leader, err := os.FindProcess(pid) // holds on to this process, whoever gets its number later
	if err != nil {
		return err
	}
	defer leader.Release()
	err = ofContainer(pid, containerID)
	if run, runErr := runs(); runErr != nil || !run {
		return runErr
	}
	if err != nil {
		return err
	}
	victims := map[processStat]bool{}
	if s, ok := readStat(pid); ok {
		victims[s] = true
	}
	// All are stopped before any is killed, so that none can start another, or
	// take note of a death, in between.
	if err := sendSignal(leader, syscall.SIGSTOP); err != nil {
		return err
	}
	for range killPasses {
		kin, err := descendants(pid, containerID)
		if err != nil {
			return err
		}
		grown := false
		for _, k := range kin {
			if !victims[k] {
				victims[k], grown = true, true
				if err := k.signal(containerID, syscall.SIGSTOP); err != nil {
					return err
				}
			}
		}
		if !grown {
			break
		}
	}
	err = sendSignal(leader, syscall.SIGKILL)
	for v := range victims {
		err = errors.Join(err, v.signal(containerID, syscall.SIGKILL))
	}
	if err != nil {
		return err
	}
	return awaitDeath(ctx, victims)
}

// awaitDeath waits until processes that were sent SIGKILL are dead. The kernel
// is asked: an engine with many execs learns of it many seconds later.
func awaitDeath(ctx context.Context, victims map[processStat]bool) error {
	pause := newBackoff(time.Millisecond, 100*time.Millisecond)
	for v := range victims {
		for now, ok := readStat(v.pid); ok && !now.dead && now.born == v.born; now, ok = readStat(v.pid) {
			if err := pause.sleep(ctx); err != nil {
				return errKillPending(err)
			}
		}
	}
	return nil
}

// killPasses bounds how often killProcess looks for processes that others have
// started meanwhile.
const killPasses = 10

// sendSignal sends a signal to a process that may have ended.
func sendSignal(p *os.Process, sig syscall.Signal) error {
	if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to process %d: %w", sig, p.Pid, err)
	}
	return nil
}

// processStat is a line of /proc/<pid>/stat, as far as it is needed.
type processStat struct {
	pid, parent, session int
	dead                 bool   // and not yet looked at by its parent
	born                 string // when, in the machine's own units
}

// parseStat reads such a line. The name in it may hold anything.
func parseStat(line string) (s processStat, ok bool) {
	open, shut := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || shut < open {
		return s, false
	}
	fields := strings.Fields(line[shut+1:])
	if len(fields) < 20 {
		return s, false
	}
	var errs [3]error
	s.pid, errs[0] = strconv.Atoi(strings.TrimSpace(line[:open]))
	s.parent, errs[1] = strconv.Atoi(fields[1])
	s.session, errs[2] = strconv.Atoi(fields[3])
	s.dead, s.born = fields[0] == "Z" || fields[0] == "X", fields[19]
	return s, errors.Join(errs[:]...) == nil
}

func readStat(pid int) (processStat, bool) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return processStat{}, false
	}
	return parseStat(string(line))
}

// signal sends a signal to a process, if it is the same that it was.
func (s processStat) signal(containerID string, sig syscall.Signal) error {
	p, err := os.FindProcess(s.pid)
	if err != nil {
		return err
	}
	defer p.Release()
	if now, ok := readStat(s.pid); !ok || now.born != s.born || ofContainer(s.pid, containerID) != nil {
		return nil
	}
	return sendSignal(p, sig)
}

// descendants returns the living processes of a container that root has
// started, itself or through others: its children's children, and whoever is
// in the session that it leads, as a runtime makes it for each exec.
func descendants(root int, containerID string) ([]processStat, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []processStat
	leads := false
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if s, ok := readStat(pid); ok {
			all = append(all, s)
			leads = leads || pid == root && s.session == root
		}
	}
	return kinOf(root, leads, all, func(pid int) bool { return ofContainer(pid, containerID) == nil }), nil
}

// kinOf is descendants among the processes of a moment.
func kinOf(root int, leads bool, all []processStat, inContainer func(pid int) bool) []processStat {
	family := map[int]bool{root: true}
	for grown := true; grown; {
		grown = false
		for _, s := range all {
			if !family[s.pid] && (family[s.parent] || leads && s.session == root) {
				family[s.pid] = true
				grown = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(s processStat) bool {
		return s.pid == root || !family[s.pid] || s.dead || !inContainer(s.pid)
	})
}

// dialNamespace connects to a port of the localhost of a container's network
// namespace. still asks the engine whether the PID is the container's.
func dialNamespace(ctx context.Context, pid int, containerID string, port int, still func() error) (net.Conn, error) {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if errors.Is(err, fs.ErrNotExist) {
		err = errElsewhere
	}
	if err == nil {
		defer ns.Close()
		err = ofContainer(pid, containerID)
	}
	if stillErr := still(); stillErr != nil {
		return nil, stillErr // whatever was opened was not its
	}
	if err != nil {
		return nil, err
	}
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		var res result
		err := inNamespace(ns, func() { res.conn, res.err = dialLocalhost(ctx, port) })
		if err != nil {
			res.err = err
		}
		done <- res
	}()
	res := <-done // it ends with ctx
	return res.conn, res.err
}

// inNamespace calls f on a thread that is in a network namespace. The caller
// has a goroutine of its own for it: if the thread cannot be brought back, it
// ends with that goroutine.
func inNamespace(ns *os.File, f func()) error {
	runtime.LockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer own.Close()
	here, err := own.Stat()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	there, err := ns.Stat()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	if os.SameFile(here, there) { // the node's
		runtime.UnlockOSThread()
		f()
		return nil
	}
	if err := setns(ns); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter the network namespace: %w", err)
	}
	f()
	if setns(own) == nil {
		runtime.UnlockOSThread()
	}
	return nil
}

// setns moves the thread to a network namespace.
func setns(ns *os.File) error {
	trap, ok := setnsTrap[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("%w: setns is not known on %s", errElsewhere, runtime.GOARCH)
	}
	_, _, errno := syscall.RawSyscall(trap, ns.Fd(), syscall.CLONE_NEWNET, 0)
	runtime.KeepAlive(ns)
	if errno != 0 {
		return errno
	}
	return nil
}

// setnsTrap is the number of the system call; package syscall, which is
// frozen, lacks it on some architectures.
var setnsTrap = map[string]uintptr{
	"386": 346, "amd64": 308, "arm": 375, "arm64": 268, "loong64": 268, "mips": 4344, "mips64": 5303, "mips64le": 5303, "mipsle": 4344,
	"ppc64": 350, "ppc64le": 350, "riscv64": 268, "s390x": 339,
}

// dialLocalhost tries IPv4 and then IPv6. The addresses are literal, so that
// the sockets are made on the calling thread.
func dialLocalhost(ctx context.Context, port int) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err == nil || ctx.Err() != nil {
		return conn, err
	}
	if conn, err := d.DialContext(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(port))); err == nil {
		return conn, nil
	}
	return nil, err
}
