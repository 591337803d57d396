package logfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/dockpod/dockpod/internal/logline"
)

// A log may be readable in a directory that is not, as Docker's are for the
// group of root.
func TestReadableInAClosedDirectory(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	write(t, path, inJSON(1, logline.Stdout, "a\n"))
	for name, mode := range map[string]fs.FileMode{filepath.Dir(dir): 0o711, dir: 0o711, path: 0o644} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0)
		done <- Readable(path)
	}()
	if err := <-done; !errors.Is(err, fs.ErrPermission) {
		t.Errorf("somebody else: %v; want %v", err, fs.ErrPermission)
	}
	if err := Readable(path); err != nil {
		t.Errorf("root: %v", err)
	}
}
