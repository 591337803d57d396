// Command cmd is package prog as a process of the real world.
package main

import (
	"net"
	"os"
	"os/exec"
	"os/signal"
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
		Size:   terminalSize,
		Spawn:  spawn,
	}))
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
