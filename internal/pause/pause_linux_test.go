//go:build amd64 || arm64

package pause_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/dockpod/dockpod/internal/pause"
)

// sigtimedwait is the number of the call in which the program waits.
var sigtimedwait = map[string]uint32{"amd64": 128, "arm64": 137}[runtime.GOARCH]

// In a test that wants more than a plain start, the test binary is run again,
// prepares its own process as asked for by this variable, and then becomes the
// program that its arguments name.
const prelude = "PAUSE_TEST_PRELUDE"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(prelude) {
	case "":
		os.Exit(m.Run())
	case "orphans":
		err = beginOrphans()
	case "deny":
		err = denySigtimedwait()
	}
	if err == nil {
		err = syscall.Exec(os.Args[1], os.Args[1:], nil)
	}
	fmt.Fprintf(os.Stderr, "prelude %s: %v\n", os.Getenv(prelude), err)
	os.Exit(125)
}

func TestSignals(t *testing.T) {
	eachArch(t, func(t *testing.T, argv []string) {
		for _, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			t.Run(end.String(), func(t *testing.T) {
				p := start(t, exec.Command(argv[0], argv[1:]...))
				p.waits()

				for s := syscall.Signal(1); s <= 64; s++ {
					switch s {
					case syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL, syscall.SIGSTOP:
						continue
					case syscall.SIGILL, syscall.SIGFPE, syscall.SIGSEGV, 32, 33:
						if len(argv) > 1 {
							continue // QEMU and its C library take these for their own
						}
					}
					p.signal(s)
				}
				p.until("all signals are taken", func() bool {
					return p.status("SigPnd") == "0000000000000000" && p.status("ShdPnd") == "0000000000000000"
				})
				p.waits()

				p.signal(syscall.SIGSTOP)
				p.until("it is stopped", func() bool { return strings.HasPrefix(p.status("State"), "T") })
				p.signal(syscall.SIGCONT)
				p.waits()

				p.signal(end)
				p.exits(0)
			})
		}
	})
}

// As PID 1 the program gets children that it never started: two are dead before
// it begins, one dies later, and one signals it from inside the namespace.
func TestPID1(t *testing.T) {
	eachArch(t, func(t *testing.T, argv []string) {
		cmd := again(t, "orphans", argv)
		cmd.SysProcAttr = newPIDNamespace()
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var gates [3]io.Closer // closing one lets the orphans behind it go on
		for i := range gates {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			cmd.ExtraFiles = append(cmd.ExtraFiles, r)
			gates[i] = w
		}
		p := start(t, cmd)
		if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
			t.Fatalf("prelude said %q, %v", line, err)
		}
		p.until("four orphans sleep", func() bool { return p.children() == "SSSS" })

		gates[0].Close()
		p.until("two orphans are zombies", func() bool { return p.children() == "SSZZ" })
		stdin.Close()
		p.waits()
		p.until("the zombies from before are gone", func() bool { return p.children() == "SS" })

		gates[1].Close()
		p.until("the next orphan is gone", func() bool { return p.children() == "S" })

		p.signal(syscall.SIGHUP)
		p.signal(syscall.SIGUSR1)
		p.waits()

		gates[2].Close()
		p.exits(0)
	})
}

// SIGKILL from outside the namespace ends PID 1 too.
func TestPID1Killed(t *testing.T) {
	eachArch(t, func(t *testing.T, argv []string) {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.SysProcAttr = newPIDNamespace()
		p := start(t, cmd)
		p.waits()
		p.signal(syscall.SIGKILL)
		p.exits(-1)
	})
}

// Where the kernel refuses the call it lives in, the program ends with the
// errno instead of asking again for ever.
func TestRefused(t *testing.T) {
	eachArch(t, func(t *testing.T, argv []string) {
		start(t, again(t, "deny", argv)).exits(int(syscall.ENOSYS))
	})
}

// eachArch runs f with the command that starts the program of each
// architecture, through QEMU where it is not this machine's.
func eachArch(t *testing.T, f func(t *testing.T, argv []string)) {
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			program, ok := pause.Program(arch)
			if !ok {
				t.Fatalf("no program for %s", arch)
			}
			path := filepath.Join(t.TempDir(), "pause")
			if err := os.WriteFile(path, program, 0o755); err != nil {
				t.Fatal(err)
			}
			if arch == runtime.GOARCH {
				f(t, []string{path})
				return
			}
			name := map[string]string{"amd64": "qemu-x86_64", "arm64": "qemu-aarch64"}[arch]
			qemu, err := exec.LookPath(name)
			if err != nil {
				t.Skipf("not exercised: pause-%s does not run on this machine: %v", arch, err)
			}
			// QEMU does not pass the program's signal mask on to the kernel, which
			// then discards SIGCHLD before the program sees it. What is blocked when
			// QEMU starts stays blocked.
			env, err := exec.LookPath("env")
			if err != nil {
				t.Fatal(err)
			}
			f(t, []string{env, "--block-signal=CHLD", qemu, path})
		})
	}
}

// again returns a command that runs this test binary with a prelude, to become
// argv.
func again(t *testing.T, what string, argv []string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, argv...)
	cmd.Env = append(os.Environ(), prelude+"="+what)
	return cmd
}

// beginOrphans leaves four processes behind whose parent is gone, waiting for
// the end of one of the files 3 to 5. Then it waits for the end of stdin.
func beginOrphans() error {
	sh := exec.Command("sh", "-c", `
		(read line <&3 &)
		(read line <&3 &)
		(read line <&4 &)
		({ read line <&5; kill -KILL 1; kill -HUP 1; kill -TERM 1; } &)`)
	for fd := uintptr(3); fd <= 5; fd++ {
		sh.ExtraFiles = append(sh.ExtraFiles, os.NewFile(fd, "orphan"))
	}
	if err := sh.Run(); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// denySigtimedwait has the kernel answer that call with ENOSYS from here on, on
// this thread and in what it becomes.
func denySigtimedwait() error {
	const (
		prSetSeccomp    = 22
		prSetNoNewPrivs = 38
		modeFilter      = 2
		retErrno        = 0x00050000
		retAllow        = 0x7fff0000
	)
	filter := []syscall.SockFilter{
		{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: 0}, // the number of the call
		{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, K: sigtimedwait, Jf: 1},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: retErrno | uint32(syscall.ENOSYS)},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: retAllow},
	}
	prog := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	if _, _, errno := syscall.Syscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_PRCTL, prSetSeccomp, modeFilter, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return errno
	}
	return nil
}

// newPIDNamespace makes a command PID 1 of its own namespace. Root may do that
// as it is; everybody else needs a user namespace around it.
func newPIDNamespace() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Getuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	return attr
}

// A process is a started command under test.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan error // the answer of Wait
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Start()
	if cmd.SysProcAttr != nil && (errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC)) {
		t.Skipf("not exercised: reaping and signals as PID 1, for want of a new PID namespace: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t, cmd, make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		p.done <- cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if stderr.Len() > 0 {
			t.Logf("stderr: %s", &stderr)
		}
	})
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signal %d (%v): %v", s, s, err)
	}
}

// until fails the test unless the condition comes true soon.
func (p *process) until(what string, condition func() bool) {
	p.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !condition() {
		select {
		case <-tick.C:
		case err := <-p.done:
			p.done <- err
			p.t.Fatalf("the program ended (%v) before %s", err, what)
		case <-deadline:
			p.t.Fatalf("not within 10 s: %s; children %q", what, p.children())
		}
	}
}

// waits waits until the program is in rt_sigtimedwait.
func (p *process) waits() {
	p.t.Helper()
	p.until("it waits for signals", func() bool {
		call, err := os.ReadFile(p.proc("syscall"))
		if errors.Is(err, os.ErrPermission) {
			p.t.Skipf("not exercised: cannot see when the program is ready: %v", err)
		}
		return strings.HasPrefix(string(call), fmt.Sprint(sigtimedwait, " "))
	})
}

// exits waits until the program has ended, and compares its exit status; -1
// means SIGKILL.
func (p *process) exits(want int) {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.t.Fatal("still there after 10 s")
	}
	state := p.cmd.ProcessState
	ws := state.Sys().(syscall.WaitStatus)
	if state.ExitCode() != want || want == -1 && ws.Signal() != syscall.SIGKILL {
		p.t.Errorf("ended with %v, want exit status %d", state, want)
	}
}

func (p *process) proc(file string) string {
	return filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), file)
}

// status returns a field of /proc/PID/status.
func (p *process) status(field string) string {
	text, _ := os.ReadFile(p.proc("status")) // no process, no field
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// children returns the states of the process's children, in order: S sleeps, Z
// is a zombie.
func (p *process) children() string {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		p.t.Fatal(err)
	}
	var states []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // ended since
		}
		// "PID (name) state parent …"; the name may hold anything.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if fields[1] == strconv.Itoa(p.cmd.Process.Pid) {
			states = append(states, fields[0])
		}
	}
	slices.Sort(states)
	return strings.Join(states, "")
}
