package dockpod

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
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
	if s, ok := readStat(os.Getpid()); !ok || s.parent != os.Getppid() {
		t.Errorf("this process: %+v, %v", s, ok)
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

// A dead process counts as such before its parent has looked at it.
func TestAwaitDeath(t *testing.T) {
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Skip(err)
	}
	defer func() { _ = child.Wait() }()
	defer func() { _ = child.Process.Kill() }()
	s, ok := readStat(child.Process.Pid)
	if !ok {
		t.Fatal("a child has no stat")
	}
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
