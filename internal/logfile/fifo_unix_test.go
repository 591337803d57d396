//go:build unix

package logfile

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// A FIFO would block whoever opens it.
func TestReadFIFO(t *testing.T) {
	clean(t)
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Read(t.Context(), path, Query{All: true, Stdout: true}, &out{}); !errors.Is(err, ErrNotFile) {
		t.Errorf("%v; want %v", err, ErrNotFile)
	}
}
