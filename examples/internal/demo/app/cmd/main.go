// Command cmd is the demo program as it runs in a container.
package main

import (
	"context"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/dockpod/dockpod/examples/internal/demo/app"
)

func main() {
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	os.Exit(app.Main(app.World{
		Args: os.Args[1:], Stop: stop, Stdout: os.Stdout, Stderr: os.Stderr,
		Listen: func(port int) (net.Listener, error) { return net.Listen("tcp", localhost(port)) },
		Dial:   func(port int) (net.Conn, error) { return net.Dial("tcp", localhost(port)) },
	}))
}

func localhost(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
