//go:build linux || darwin

package dockpod

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A pipe that nobody writes to keeps nobody waiting.
func TestFileKeyringPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := FileKeyring(path).Credentials(t.Context(), parseRef(t, "r.example/app"))
	if want := fmt.Sprintf("docker config %q: not a regular file", path); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A path that cannot be looked up is not one where nothing is.
func TestFileKeyringPathErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink("loop", loop); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		filepath.Join(file, "config.json"): syscall.ENOTDIR,
		loop:                               syscall.ELOOP,
		filepath.Join(dir, strings.Repeat("x", 300)): syscall.ENAMETOOLONG,
	} {
		creds, err := FileKeyring(path).Credentials(t.Context(), parseRef(t, "r.example/app"))
		if !errors.Is(err, want) || creds != nil {
			t.Errorf("%q: got %v, %v, want %v", path, creds, err, want)
		}
	}
}
