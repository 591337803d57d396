//go:build unix

package dockpod

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Nobody writes to the FIFO: who opened it in the usual way would wait for
// ever.
func TestSeccompOfFIFO(t *testing.T) {
	root := t.TempDir()
	fifo := filepath.Join(root, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, at := range []struct{ root, ref string }{{root, "fifo"}, {"", fifo}} {
		if _, err := readSeccomp("Field", at.root, at.ref); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%q: %v", at.ref, err)
		}
	}
}
