// Command logs follows the logs of all containers of a pod, each in a colour of
// its own, until they have ended:
//
//	go run ./examples/logs                               # a pod of its own, for a try
//	go run ./examples/logs -owner my-agent -pod web -tail 10
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/term"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/examples/internal/demo"
)

var (
	owner = flag.String("owner", "", "whose pods; without it those in the kubelet's format")
	pod   = flag.String("pod", "", "follow the pod of this `name`; without it one that is made for a try")
	tail  = flag.Int("tail", 0, "begin with the last `n` lines of each container; 0: all")
)

func main() {
	demo.Main("logs follows the logs of a pod: go run ./examples/logs -owner OWNER -pod NAME", run)
}

func run(ctx context.Context, e *demo.Engine) (err error) {
	if *pod == "" {
		remove, tryErr := tryPod(ctx, e)
		defer func() { err = errors.Join(err, remove(context.WithoutCancel(ctx))) }()
		if tryErr != nil {
			return tryErr
		}
	}
	rt := dockpod.New(e.Docker, dockpod.WithOwner(*owner))
	all, err := rt.ListContainers(ctx, dockpod.Filter{})
	if err != nil {
		return err
	}
	containers := slices.DeleteFunc(all, func(c dockpod.Container) bool { return c.Name.Pod != *pod })
	if len(containers) == 0 {
		return fmt.Errorf("no container of a pod %q", *pod)
	}
	slices.Reverse(containers) // the oldest first
	return follow(ctx, rt, containers)
}

// follow prints the lines of several containers as they come.
func follow(ctx context.Context, rt *dockpod.Runtime, containers []dockpod.Container) error {
	width := 0
	for _, c := range containers {
		width = max(width, len(c.Name.Container))
	}
	colours := term.IsTerminal(int(os.Stdout.Fd()))
	var (
		wg   sync.WaitGroup
		out  sync.Mutex // a line is printed as a whole
		errs = make([]error, len(containers))
	)
	for i, c := range containers {
		name := fmt.Sprintf("%-*s", width, c.Name.Container)
		if colours {
			name = fmt.Sprintf("\x1b[%dm%s\x1b[0m", 32+i%5, name)
		}
		wg.Go(func() {
			for line, err := range rt.LogLines(ctx, c.ID, dockpod.LogOptions{Follow: true, Tail: *tail}) {
				if err != nil {
					errs[i] = err
					return
				}
				out.Lock()
				fmt.Printf("%s | %s\n", name, line.Text)
				out.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// tryPod makes a pod with a server and two clients that ask it, and has -pod
// and -owner name it.
func tryPod(ctx context.Context, e *demo.Engine) (remove func(context.Context) error, err error) {
	*owner, *pod = "dockpod-logs", "try"
	rt := dockpod.New(e.Docker, dockpod.WithOwner(*owner))
	remove = func(ctx context.Context) error {
		list, err := rt.ListSandboxes(ctx, dockpod.SandboxFilter{})
		for _, s := range list {
			err = errors.Join(err, rt.RemoveSandbox(ctx, s.ID))
		}
		return err
	}
	if err := remove(ctx); err != nil { // of an earlier run that was killed
		return remove, err
	}
	image, err := e.Image(ctx)
	if err != nil {
		return remove, err
	}
	s := dockpod.SandboxConfig{Name: *pod, Namespace: "default", UID: "5d41402a"}
	sandbox, err := rt.RunSandbox(ctx, s)
	if err != nil {
		return remove, err
	}
	for _, c := range []dockpod.ContainerConfig{
		{Name: "server", Args: []string{"serve", "8080"}},
		{Name: "first", Args: []string{"ask", "8080", "first", "3"}},
		{Name: "second", Args: []string{"ask", "8080", "second", "3"}},
	} {
		c.Image = image
		id, err := rt.CreateContainer(ctx, sandbox, c, s)
		if err != nil {
			return remove, err
		}
		if err := rt.StartContainer(ctx, id); err != nil {
			return remove, err
		}
		if c.Name == "server" {
			// It would serve for ever, and the try ends when the clients have.
			defer func() {
				go func() { _ = stopAfterClients(ctx, rt, id) }()
			}()
		}
	}
	return remove, nil
}

// stopAfterClients stops the server when nobody else runs.
func stopAfterClients(ctx context.Context, rt *dockpod.Runtime, server string) error {
	list, err := rt.ListContainers(ctx, dockpod.Filter{})
	if err != nil {
		return err
	}
	for _, c := range list {
		if c.ID == server {
			continue
		}
		if _, err := rt.Wait(ctx, c.ID); err != nil {
			return err
		}
	}
	return rt.StopContainer(ctx, server, 0)
}
