package dockpod

import (
	"bytes"
	"cmp"
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
	if err != nil && !isGone(err) {
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
	root, err := readStat(pid)
	if isGone(err) {
		root.pid = pid // what it has started may still be there
	} else if err != nil {
		return err
	}
	return killFamily(ctx, root,
		func() ([]processStat, error) { return descendants(pid, containerID) },
		func(s processStat, sig syscall.Signal) error {
			if s == root {
				return sendSignal(leader, sig)
			}
			return s.signal(containerID, sig)
		})
}

// killFamily kills a process and those that kin finds, and waits until they
// are dead. All are stopped before any is killed, so that none can start
// another, or take note of a death, in between.
//
// Once it has stopped the first it goes on whatever fails, for what is stopped
// has to be killed. The error then tells of what may have survived.
func killFamily(ctx context.Context, root processStat, kin func() ([]processStat, error), send func(processStat, syscall.Signal) error) error {
	if err := send(root, syscall.SIGSTOP); err != nil {
		return err
	}
	victims := []processStat{root}
	failed := map[processStat]error{}
	var blind error // why the last pass may have missed some
	for range killPasses {
		var found []processStat
		found, blind = kin()
		grown := false
		for _, k := range found {
			if slices.ContainsFunc(victims, k.same) {
				continue
			}
			victims, grown = append(victims, k), true
			if err := send(k, syscall.SIGSTOP); err != nil {
				failed[k] = err
			}
		}
		if !grown {
			break
		}
	}
	killed := map[processStat]bool{} // also what could not be stopped, and may have started others
	for _, v := range victims {
		if err := send(v, syscall.SIGKILL); err != nil {
			failed[v] = err
		} else {
			killed[v] = true
		}
	}
	var errs []error
	for _, v := range victims {
		if err := failed[v]; err != nil {
			errs = append(errs, err)
		}
	}
	if blind != nil {
		errs = append(errs, blind)
	}
	err := awaitDeath(ctx, killed)
	if err == nil && killed[root] && len(errs) > 0 {
		return fmt.Errorf("it was killed, but perhaps not all that it has started: %w", joinErrors(errs))
	}
	if err != nil {
		errs = append(errs, err)
	}
	return joinErrors(errs)
}

// awaitDeath waits until processes that were sent SIGKILL are dead. The kernel
// is asked: an engine with many execs learns of it many seconds later.
func awaitDeath(ctx context.Context, victims map[processStat]bool) error {
	pause := newBackoff(time.Millisecond, 100*time.Millisecond)
	for v := range victims {
		for {
			now, err := readStat(v.pid)
			if isGone(err) || err == nil && (now.dead || !now.same(v)) {
				break
			}
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

// same reports whether both are of one process, at different moments.
func (s processStat) same(as processStat) bool { return s.pid == as.pid && s.born == as.born }

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

// readStat reads the stat of a process. If there is none, the error is one for
// isGone; others say nothing of the process.
func readStat(pid int) (processStat, error) {
	name := fmt.Sprintf("/proc/%d/stat", pid)
	line, err := os.ReadFile(name)
	if err != nil {
		return processStat{}, err
	}
	s, ok := parseStat(string(line))
	if !ok {
		return s, fmt.Errorf("read %s: unknown format", name)
	}
	return s, nil
}

// isGone reports whether a file of /proc is not there because its process is
// not, any more.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// signal sends a signal to a process, if it is the same that it was.
func (s processStat) signal(containerID string, sig syscall.Signal) error {
	p, err := os.FindProcess(s.pid)
	if err != nil {
		return err
	}
	defer p.Release()
	now, err := readStat(s.pid)
	if err == nil && now.same(s) {
		err = ofContainer(s.pid, containerID)
	}
	switch {
	case isGone(err), errors.Is(err, errElsewhere), err == nil && !now.same(s):
		return nil
	case err != nil:
		return fmt.Errorf("send %v to process %d: %w", sig, s.pid, err)
	}
	return sendSignal(p, sig)
}

// descendants returns the living processes of a container that root has
// started, itself or through others: its children's children, and whoever is
// in the session that it leads, as a runtime makes it for each exec. Beside an
// error it returns those that could be read.
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
	var (
		all    []processStat
		leads  bool
		unread error // the first of them
	)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		s, err := readStat(pid)
		switch {
		case err == nil:
			all = append(all, s)
			leads = leads || pid == root && s.session == root
		case !isGone(err) && !errors.Is(err, fs.ErrPermission): // a hidden one is another user's
			unread = cmp.Or(unread, err)
		}
	}
	kin := kinOf(root, leads, all, func(pid int) bool {
		err := ofContainer(pid, containerID)
		if err != nil && !errors.Is(err, errElsewhere) {
			unread = cmp.Or(unread, err)
		}
		return err == nil
	})
	return kin, unread
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
