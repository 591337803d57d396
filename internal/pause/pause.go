// Package pause is the program that holds a pod's namespaces, and the image it
// runs from. Both are part of dockpod, so that a pod can start on a machine
// that reaches no registry, and the image is the same wherever it starts.
//
// # The program
//
// A sandbox container exists for its namespaces: they live as long as a process
// is in them, and the pod's containers join them. Where the pod shares its PID
// namespace, that process is PID 1 for all of them. This asks of it:
//
//   - It ends on SIGTERM and SIGINT at once, with exit status 0, so that
//     stopping a pod does not wait for the grace period. The kernel drops a
//     signal to PID 1 that PID 1 neither handles nor blocks, so the default
//     action is no help. The program blocks every signal and takes them one by
//     one from rt_sigtimedwait: what is blocked is queued, for PID 1 too, and
//     without a handler there is nothing to race with. Only before its first
//     system call is a signal lost, as with every PID 1.
//   - It reaps. A process whose parent is gone becomes a child of PID 1, and
//     counts as a zombie against the pod's PID limit until PID 1 waits for it.
//     Children that die together may cause a single SIGCHLD, so each one means
//     "wait4 until nothing is left". The program does so once before the first
//     SIGCHLD as well, for a child that died before signals were blocked.
//   - It ignores every other signal. A wait that a stop and continue broke off
//     (EINTR) is taken up again.
//   - It ends rather than spins. Should the kernel refuse the calls it lives in,
//     as under a seccomp profile that forbids them, its exit status is the errno.
//   - It is small, for every pod of a node has one: 16 KiB resident, one thread,
//     nothing allocated, no file opened, no argument or variable read.
//
// Written in Go it would be over a megabyte with several threads; written in C
// it would ask for a compiler per architecture. What it takes is four system
// calls, so the command in gen assembles it with nothing but Go: its tables.go
// is the source of the program, some forty lines for each architecture. The
// results are committed as pause-amd64 and pause-arm64, and a test holds them
// against the source.
//
// # The image
//
// [Archive] packs the program into an image that "docker load" takes: one layer
// with one file, /pause. Its tag contains the digest of the program, so that
// another release's program never takes this one's name, and its label [Label]
// tells that it is dockpod's.
package pause

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
)

//go:generate go run ./gen

var (
	//go:embed pause-amd64
	amd64 string
	//go:embed pause-arm64
	arm64 string
)

// Program returns the executable for an architecture, named as Go does ("amd64",
// "arm64") or as engines do in their information ("x86_64", "aarch64"); false
// if there is none for it. The bytes are the caller's own.
func Program(arch string) ([]byte, bool) {
	switch goarch(arch) {
	case "amd64":
		return []byte(amd64), true
	case "arm64":
		return []byte(arm64), true
	}
	return nil, false
}

// Digest returns the SHA-256 of [Program] in hexadecimal, the value of [Label]
// on the image; "" if there is no program for arch.
func Digest(arch string) string {
	program, ok := Program(arch)
	if !ok {
		return ""
	}
	return hexDigest(program)
}

// goarch turns the kernel's name of a machine, which engines report, into Go's.
func goarch(arch string) string {
	switch arch {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return arch
}

func hexDigest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
