package dockpod

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseStat(t *testing.T) {
	tail := strings.Repeat(" 0", 15) + " 4242 0 0"
	for _, tt := range []struct {
		line string
		want processStat
		ok   bool
	}{
		{"17 (sh) S 1 17 17" + tail, processStat{pid: 17, parent: 1, session: 17, born: "4242"}, true},
		{"18 (a) b) (c) Z 17 17 9" + tail, processStat{pid: 18, parent: 17, session: 9, dead: true, born: "4242"}, true},
		{"18 (sh) S 1", processStat{}, false},
		{"", processStat{}, false},
		{")(", processStat{}, false},
	} {
		got, ok := parseStat(tt.line)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q: %+v, %v; want %+v, %v", tt.line, got, ok, tt.want, tt.ok)
		}
	}
	if s, err := readStat(os.Getpid()); err != nil || s.parent != os.Getppid() {
		t.Errorf("this process: %+v, %v", s, err)
	}
}

func TestKinOf(t *testing.T) {
	all := []processStat{
		{pid: 1, parent: 0, session: 1},
		{pid: 20, parent: 10, session: 20}, // a grandchild that left the session
		{pid: 10, parent: 5, session: 5},
		{pid: 5, parent: 1, session: 5},
		{pid: 11, parent: 1, session: 5}, // an orphan in the session
		{pid: 12, parent: 5, session: 5, dead: true},
		{pid: 13, parent: 5, session: 5}, // of another container
		{pid: 30, parent: 1, session: 1},
	}
	pids := func(leads bool) []int {
		var pids []int
		for _, s := range kinOf(5, leads, all, func(pid int) bool { return pid != 13 }) {
			pids = append(pids, s.pid)
		}
		slices.Sort(pids)
		return pids
	}
	if diff := cmp.Diff([]int{10, 11, 20}, pids(true)); diff != "" {
		t.Errorf("kin mismatch (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{10, 20}, pids(false)); diff != "" {
		t.Errorf("kin of one that leads no session mismatch (-want +got):\n%s", diff)
	}
}

// startChild starts a process that runs until the test ends.
func startChild(t *testing.T) (*exec.Cmd, processStat) {
	t.Helper()
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	})
	s, err := readStat(child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return child, s
}

// A dead process counts as such before its parent has looked at it.
func TestAwaitDeath(t *testing.T) {
	child, s := startChild(t)
	victims := map[processStat]bool{s: true}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := awaitDeath(ended, victims); !errors.Is(err, context.Canceled) {
		t.Errorf("of one that lives: %v; want %v", err, context.Canceled)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := awaitDeath(t.Context(), victims); err != nil {
		t.Errorf("of one that was killed: %v", err)
	}
	s.born += "1"
	if err := awaitDeath(ended, map[processStat]bool{s: true}); err != nil {
		t.Errorf("of one whose PID is another's: %v", err)
	}
}

// A PID that is not the container's is left alone, whatever the engine says.
func TestKillProcessOfAnother(t *testing.T) {
	err := killProcess(t.Context(), os.Getpid(), workloadID, func() (bool, error) { return true, nil })
	if !errors.Is(err, errElsewhere) {
		t.Errorf("error is %v; want %v", err, errElsewhere)
	}
}

// What was stopped is killed, whatever fails meanwhile, and the error tells of
// the others.
func TestKillFamily(t *testing.T) {
	const child, setuid, other = 1, 2, 3 // root is 0
	for _, tt := range []struct {
		name  string
		finds [][]int // pass by pass; one that is nil fails
		deny  map[int][]syscall.Signal
		alive []int
		want  error
		text  string
	}{
		{name: "all is well", finds: [][]int{{child, other}, {child, other, setuid}, {child, other, setuid}}},
		{name: "none can be found", finds: [][]int{nil}, alive: []int{child, setuid, other}, want: syscall.EMFILE, text: "it was killed, but perhaps not all"},
		{name: "no more can be found", finds: [][]int{{child, other}, nil}, alive: []int{setuid}, want: syscall.EMFILE, text: "it was killed, but perhaps not all"},
		{
			name: "one of another user", finds: [][]int{{setuid, child, other}, {setuid, child, other}},
			deny:  map[int][]syscall.Signal{setuid: {syscall.SIGSTOP, syscall.SIGKILL}},
			alive: []int{setuid}, want: syscall.EPERM, text: "it was killed, but perhaps not all",
		},
		{
			name: "one that could not be stopped", finds: [][]int{{child, setuid, other}, {child, setuid, other}},
			deny: map[int][]syscall.Signal{setuid: {syscall.SIGSTOP}}, want: syscall.EPERM, text: "it was killed, but perhaps not all",
		},
		{
			name: "itself of another user", finds: [][]int{{child}, {child}}, deny: map[int][]syscall.Signal{0: {syscall.SIGSTOP}},
			alive: []int{0, child, setuid, other}, want: syscall.EPERM,
		},
		{
			name: "itself since it was stopped", finds: [][]int{{child, setuid, other}, {child, setuid, other}},
			deny: map[int][]syscall.Signal{0: {syscall.SIGKILL}}, alive: []int{0}, want: syscall.EPERM, text: "operation not permitted",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var all []processStat
			for range 4 {
				_, s := startChild(t)
				all = append(all, s)
			}
			pass := 0
			err := killFamily(t.Context(), all[0], func() (found []processStat, err error) {
				if pass == len(tt.finds) {
					t.Fatal("it looks on")
				}
				for _, i := range tt.finds[pass] {
					found = append(found, all[i])
				}
				if pass++; found == nil {
					return nil, syscall.EMFILE
				}
				return found, nil
			}, func(s processStat, sig syscall.Signal) error {
				if slices.Contains(tt.deny[slices.Index(all, s)], sig) {
					return fmt.Errorf("send %v to process %d: %w", sig, s.pid, syscall.EPERM)
				}
				return syscall.Kill(s.pid, sig)
			})
			if !errors.Is(err, tt.want) || err != nil && !strings.HasPrefix(err.Error(), tt.text) && !strings.HasSuffix(err.Error(), tt.text) {
				t.Errorf("error is %v; want %v with %q", err, tt.want, tt.text)
			}
			var alive []int
			for i, s := range all {
				now, err := readStat(s.pid)
				if err != nil {
					t.Fatal(err)
				}
				if !now.dead {
					alive = append(alive, i)
				}
			}
			if diff := cmp.Diff(tt.alive, alive); diff != "" {
				t.Errorf("living mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

// A process that cannot be looked at is not taken for one that is gone.
func TestProcessesWithoutFiles(t *testing.T) {
	_, s := startChild(t)
	// without leaves n files to be opened while f runs.
	without := func(n uint64, f func()) {
		dir, err := os.Open("/proc") // also the poller's files are open then
		if err != nil {
			t.Fatal(err)
		}
		next := uint64(dir.Fd())
		dir.Close()
		var old syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
			t.Skip(err)
		}
		few := old
		few.Cur = next + n
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
			t.Skip(err)
		}
		defer func() {
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
				t.Error(err)
			}
		}()
		f()
	}
	var found, signal, await error
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	without(1, func() { _, found = descendants(os.Getpid(), workloadID) })
	without(0, func() {
		signal = s.signal(workloadID, syscall.SIGKILL)
		await = awaitDeath(ended, map[processStat]bool{s: true})
	})
	if !errors.Is(found, syscall.EMFILE) {
		t.Errorf("descendants: %v; want %v", found, syscall.EMFILE)
	}
	if !errors.Is(signal, syscall.EMFILE) {
		t.Errorf("signal: %v; want %v", signal, syscall.EMFILE)
	}
	if !errors.Is(await, context.Canceled) {
		t.Errorf("death: %v; want %v", await, context.Canceled)
	}
}
