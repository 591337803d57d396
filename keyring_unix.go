//go:build unix

package dockpod

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// killChildrenToo has the end of cmd's context kill what cmd has started as
// well: a helper is often a script. They are in a process group of their own.
func killChildrenToo(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
}
