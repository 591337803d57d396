package dockpod_test

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/dockpod/dockpod"
)

// A file system that takes no more, in the middle of a line, is an error that
// is told, and costs no line when there is room again.
func TestLogFileSurvivesAFullDisk(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	w := newLogWorld(t, dockpod.LogFileOptions{}, nil)
	w.start(t)
	w.write(1, 10)
	w.reaches(t, 10)
	// No file may be longer than 1000 bytes: stands for a full disk.
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1000, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was)
	w.write(11, 100)
	w.until(t, "errors", func() bool { return len(w.told()) > 0 })
	st, err := w.rt.ContainerStatus(t.Context(), w.id)
	if err != nil || st.State != dockpod.StateRunning || len(st.Problems) != 1 {
		t.Errorf("state %v, problems %v, error %v", st.State, st.Problems, err)
	}
	if err := w.rt.StartContainer(t.Context(), w.id); !errors.Is(err, dockpod.ErrLogFile) || !errors.Is(err, syscall.EFBIG) {
		t.Errorf("the next call's error is %v", err)
	}
	w.write(101, 110)
	if info, err := os.Stat(w.path()); err != nil || info.Size() > 1000 {
		t.Errorf("the file is of %d bytes: %v", info.Size(), err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	w.reaches(t, 110)
	if st := w.finish(t); len(st.Problems) > 0 {
		t.Errorf("problems %v", st.Problems)
	}
	w.expect(t, 110)
	if told := w.told(); len(told) != 2 || told[1] != nil {
		t.Errorf("told %v", told)
	}
}
