//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package dockpod

import (
	"errors"
	"os"
)

const canLock = false

func lockFile(*os.File) error { return errors.ErrUnsupported }
