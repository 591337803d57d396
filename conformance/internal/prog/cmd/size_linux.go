package main

import (
	"os"
	"syscall"
	"unsafe"
)

// terminalSize returns the size of the terminal at standard output; 0, 0 if
// there is none.
func terminalSize() (width, height uint) {
	var size struct{ rows, cols, x, y uint16 }
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, os.Stdout.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return 0, 0
	}
	return uint(size.cols), uint(size.rows)
}
