package conformance

import (
	"os"
	"syscall"
	"testing"
)

// canMount tells whether this process may mount.
func canMount() bool {
	dir, err := os.MkdirTemp("", "mount")
	if err != nil {
		return false
	}
	defer os.Remove(dir)
	if syscall.Mount("dockpod", dir, "tmpfs", 0, "size=4k") != nil {
		return false
	}
	return syscall.Unmount(dir, syscall.MNT_DETACH) == nil
}

// shareMount mounts memory on a directory, so that mounts below it propagate.
// Where the root is private, as in many virtual machines, they do not.
func shareMount(t *testing.T, dir string) {
	t.Helper()
	must(t, syscall.Mount("dockpod", dir, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	must(t, syscall.Mount("", dir, "", syscall.MS_SHARED, ""))
}
