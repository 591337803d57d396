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
	"time"

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

func run(ctx context.Context, e *demo.Engine) error {
	if *pod != "" {
		return followPod(ctx, dockpod.New(e.Docker, dockpod.WithOwner(*owner)), *pod)
	}
	return try(ctx, e)
}

// followPod prints the logs of a pod's containers until they have ended.
func followPod(ctx context.Context, rt *dockpod.Runtime, pod string) error {
	all, err := rt.ListContainers(ctx, dockpod.Filter{})
	if err != nil {
		return err
	}
	containers := slices.DeleteFunc(all, func(c dockpod.Container) bool { return c.Name.Pod != pod })
	if len(containers) == 0 {
		return fmt.Errorf("no container of a pod %q", pod)
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

// try follows a pod of its own, and removes it.
func try(ctx context.Context, e *demo.Engine) (err error) {
	rt := dockpod.New(e.Docker, dockpod.WithOwner("dockpod-logs"))
	if err := removeAll(ctx, rt); err != nil { // of an earlier run that was killed
		return err
	}
	defer func() { err = errors.Join(err, removeAll(context.WithoutCancel(ctx), rt)) }()
	image, err := e.Image(ctx)
	if err != nil {
		return err
	}
	server, err := runPod(ctx, rt, image)
	if err != nil {
		return err
	}
	// The server would serve for ever, and the try ends when its clients have.
	ctx, cancel := context.WithCancelCause(ctx)
	var stopping sync.WaitGroup
	stopping.Go(func() {
		if err := stopAfterClients(ctx, rt, server); err != nil {
			cancel(err)
		}
	})
	err = followPod(ctx, rt, "try")
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	cancel(nil)
	stopping.Wait()
	return err
}

func removeAll(ctx context.Context, rt *dockpod.Runtime) error {
	list, err := rt.ListSandboxes(ctx, dockpod.SandboxFilter{})
	for _, s := range list {
		err = errors.Join(err, rt.RemoveSandbox(ctx, s.ID))
	}
	return err
}

// runPod runs a pod with a server and two clients that ask it.
func runPod(ctx context.Context, rt *dockpod.Runtime, image string) (server string, err error) {
	s := dockpod.SandboxConfig{Name: "try", Namespace: "default", UID: "5d41402a"}
	sandbox, err := rt.RunSandbox(ctx, s)
	if err != nil {
		return "", err
	}
	for _, c := range []dockpod.ContainerConfig{
		{Name: "server", Args: []string{"serve", "8080"}},
		{Name: "first", Args: []string{"ask", "8080", "first", "3"}},
		{Name: "second", Args: []string{"ask", "8080", "second", "3"}},
	} {
		c.Image = image
		id, err := rt.CreateContainer(ctx, sandbox, c, s)
		if err != nil {
			return "", err
		}
		if err := rt.StartContainer(ctx, id); err != nil {
			return "", err
		}
		if c.Name == "server" {
			server = id
		}
	}
	return server, nil
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
	return rt.StopContainer(ctx, server, 5*time.Second)
}
