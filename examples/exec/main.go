// Command exec runs a command in a container, as kubectl exec does: on a
// terminal if it has one itself, whose size the container's follows, and else
// with its input and outputs as they are. It ends with the command's exit
// code.
//
//	go run ./examples/exec [-engine ENDPOINT] [-owner OWNER] CONTAINER COMMAND...
//	go run ./examples/exec [-engine ENDPOINT] [-owner OWNER] POD/CONTAINER COMMAND...
//
// Without arguments it makes a pod, runs a few commands in it, and removes it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/examples/internal/demo"
)

func main() {
	endpoint := flag.String("engine", "", "`endpoint` of the engine; without it the docker command's, or the fake if that does not answer")
	owner := flag.String("owner", "", "`owner` of the pods; without it the kubelet's")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "exec runs a command in a container:\n\n\tgo run ./examples/exec [FLAGS] [[POD/]CONTAINER COMMAND...]\n\nFlags:")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, *endpoint, *owner, flag.Args())
	stop()
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "interrupted:", err)
		code = 130 // as a shell has it for SIGINT
	case err != nil:
		fmt.Fprintln(os.Stderr, "error:", err)
		code = 1
	}
	os.Exit(code)
}

func run(ctx context.Context, endpoint, owner string, args []string) (code int, err error) {
	e, err := demo.Open(ctx, endpoint)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if len(args) == 0 {
		fmt.Printf("Engine: %s\n", e.Name)
		return 0, show(ctx, e)
	}
	rt := dockpod.New(e.Docker, dockpod.WithOwner(owner))
	id, err := find(ctx, rt, args[0])
	if err != nil {
		return 1, err
	}
	return execHere(ctx, rt, id, args[1:])
}

// find returns the ID of a container that somebody names by its ID, or by its
// pod's name and its own.
func find(ctx context.Context, rt *dockpod.Runtime, what string) (id string, err error) {
	pod, name, ok := strings.Cut(what, "/")
	if !ok {
		return what, nil
	}
	list, err := rt.ListContainers(ctx, dockpod.Filter{State: dockpod.StateRunning})
	if err != nil {
		return "", err
	}
	for _, c := range list {
		if c.Name.Pod == pod && c.Name.Container == name {
			return c.ID, nil
		}
	}
	return "", fmt.Errorf("no running container %s in a pod %s", name, pod)
}

// execHere runs a command on this process's own streams.
func execHere(ctx context.Context, rt *dockpod.Runtime, id string, command []string) (code int, err error) {
	o := dockpod.ExecOptions{Command: command, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Kill: true}
	in, out := int(os.Stdin.Fd()), int(os.Stdout.Fd())
	if !term.IsTerminal(in) || !term.IsTerminal(out) {
		return rt.Exec(ctx, id, o)
	}
	before, err := term.MakeRaw(in)
	if err != nil {
		return 1, err
	}
	defer term.Restore(in, before) // also in a panic
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o.TTY, o.Size, o.Resize = true, size(out), sizes(ctx, out)
	return rt.Exec(ctx, id, o)
}

func size(fd int) dockpod.TerminalSize {
	width, height, err := term.GetSize(fd)
	if err != nil {
		return dockpod.TerminalSize{}
	}
	return dockpod.TerminalSize{Width: uint16(width), Height: uint16(height)}
}

// show runs some commands in a pod made for it.
func show(ctx context.Context, e *demo.Engine) (err error) {
	image, err := e.Image(ctx)
	if err != nil {
		return err
	}
	rt := dockpod.New(e.Docker, dockpod.WithOwner("dockpod-exec"))
	old, err := rt.ListSandboxes(ctx, dockpod.SandboxFilter{}) // of an earlier run that was killed
	if err != nil {
		return err
	}
	for _, s := range old {
		if err := rt.RemoveSandbox(ctx, s.ID); err != nil {
			return err
		}
	}
	pod := dockpod.SandboxConfig{Name: "shell", Namespace: "default", UID: "7d1f0c9e"}
	sandbox, err := rt.RunSandbox(ctx, pod)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.RemoveSandbox(context.WithoutCancel(ctx), sandbox)) }()
	id, err := rt.CreateContainer(ctx, sandbox, dockpod.ContainerConfig{Name: "server", Image: image, Args: []string{"serve", "8080"}}, pod)
	if err != nil {
		return err
	}
	if err := rt.StartContainer(ctx, id); err != nil {
		return err
	}

	fmt.Println("\nA command that ends:")
	res, err := rt.ExecSync(ctx, id, []string{"/app", "ask", "8080", "exec", "2"}, dockpod.ExecSyncOptions{Timeout: time.Minute})
	if err != nil {
		return err
	}
	fmt.Printf("  exit code %d, output %q\n", res.ExitCode, res.Stdout)

	fmt.Println("One that fails:")
	res, err = rt.ExecSync(ctx, id, []string{"/app", "exit", "3"}, dockpod.ExecSyncOptions{Timeout: time.Minute})
	if err != nil {
		return err
	}
	fmt.Printf("  exit code %d, standard error %q\n", res.ExitCode, res.Stderr)

	fmt.Println("One that is not there:")
	_, err = rt.ExecSync(ctx, id, []string{"/nothing"}, dockpod.ExecSyncOptions{})
	fmt.Printf("  cannot be run: %v\n", errors.Is(err, dockpod.ErrCannotRun))

	fmt.Println("One that takes too long:")
	_, err = rt.ExecSync(ctx, id, []string{"/app", "wait"}, dockpod.ExecSyncOptions{Timeout: 2 * time.Second})
	var aborted *dockpod.ExecAbortedError
	if !errors.As(err, &aborted) {
		return fmt.Errorf("want a timeout: %w", err)
	}
	fmt.Printf("  timed out: %v; killed: %v; may still run: %v\n", errors.Is(err, dockpod.ErrExecTimeout), aborted.Killed, aborted.Running)
	return nil
}
