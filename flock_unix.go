//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package dockpod

import (
	"errors"
	"os"
	"syscall"
)

// canLock tells whether this platform has locks that end with their process.
const canLock = true

// lockFile takes the lock of an open file without waiting. It follows the file
// through renames and ends when f is closed, by the kernel if need be. The
// error is errLogBusy if somebody else, in this process or another, has it.
func lockFile(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	if err := conn.Control(func(fd uintptr) {
		for {
			lockErr = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB)
			if lockErr != syscall.EINTR {
				return
			}
		}
	}); err != nil {
		return err
	}
	if errors.Is(lockErr, syscall.EWOULDBLOCK) {
		return errLogBusy
	}
	return lockErr
}
