//go:build !unix

package dockpod

import "os/exec"

// killChildrenToo does nothing: without process groups the end of cmd's
// context kills cmd alone. What it started loses its output.
func killChildrenToo(*exec.Cmd) {}
