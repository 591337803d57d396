// Command cmd is package prog as a process of the real world.
package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/dockpod/dockpod/conformance/internal/prog"
)

func main() {
	got := make(chan os.Signal, 16)
	signal.Notify(got, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	names := map[os.Signal]string{syscall.SIGTERM: "SIGTERM", syscall.SIGINT: "SIGINT", syscall.SIGHUP: "SIGHUP"}
	signals := make(chan string)
	go func() {
		for s := range got {
			signals <- names[s]
		}
	}()
	dir, _ := os.Getwd()
	host, _ := os.Hostname()
	os.Exit(prog.Main(prog.World{
		Args: os.Args[1:], Env: os.Environ(), Dir: dir, Hostname: host,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Signals: signals, Done: make(chan struct{}),
		Listen: func(port string) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:"+port) },
		Dial:   func(port string) (net.Conn, error) { return net.Dial("tcp", "127.0.0.1:"+port) },
		Look:   prog.Look,
		Use:    use,
		Size:   terminalSize,
		Spawn:  spawn,
	}))
}

// use touches every page of some memory, and leaves a file in the page cache.
func use(anon, file int64) (release func(), err error) {
	memory := bytes.Repeat([]byte{1}, int(anon))
	f, err := os.Create("/held")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	chunk := bytes.Repeat([]byte{2}, 64<<10)
	for n := int64(0); n < file; n += int64(len(chunk)) {
		if _, err := f.Write(chunk); err != nil {
			return nil, err
		}
	}
	return func() { runtime.KeepAlive(memory) }, f.Sync()
}

// spawn runs this program as a child.
func spawn(args ...string) (wait func() int, err error) {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() int { _ = cmd.Wait(); return cmd.ProcessState.ExitCode() }, nil
}
