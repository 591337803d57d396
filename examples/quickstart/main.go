// Command quickstart shows the life of a pod: two containers that talk over
// its localhost, one that fails and is followed by its next attempt, their
// states and logs, and the end.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/examples/internal/demo"
)

const owner = "dockpod-quickstart"

func main() {
	demo.Main("quickstart shows the life of a pod: go run ./examples/quickstart", run)
}

func run(ctx context.Context, e *demo.Engine) (err error) {
	image, err := e.Image(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("Image:  %s\n", image)

	// With an owner, this sees its own containers and nobody else's.
	rt := dockpod.New(e.Docker, dockpod.WithOwner(owner))
	defer func() {
		// Also after Ctrl-C, so without the context's end.
		err = errors.Join(err, removeAll(context.WithoutCancel(ctx), rt))
	}()
	if err := removeAll(ctx, rt); err != nil { // of an earlier run that was killed
		return err
	}

	fmt.Printf("\n1. A pod: a sandbox, and two containers that talk over its localhost.\n\n")
	pod := dockpod.SandboxConfig{Name: "hello", Namespace: "default", UID: "4f3c2b1a"}
	sandbox, err := rt.RunSandbox(ctx, pod)
	if err != nil {
		return err
	}
	// start makes an attempt of a container and starts it.
	start := func(name string, attempt uint32, args ...string) (id string, err error) {
		c := dockpod.ContainerConfig{Name: name, Attempt: attempt, Image: image, Args: args}
		if id, err = rt.CreateContainer(ctx, sandbox, c, pod); err != nil {
			return "", err
		}
		return id, rt.StartContainer(ctx, id)
	}
	if _, err := start("server", 0, "serve", "8080"); err != nil {
		return err
	}
	client, err := start("client", 0, "ask", "8080", "client", "3")
	if err != nil {
		return err
	}
	if _, err := rt.Wait(ctx, client); err != nil {
		return err
	}
	if err := printStates(ctx, rt); err != nil {
		return err
	}

	fmt.Printf("\n2. A container that fails. It is not started again; its next attempt is another container.\n\n")
	worker, err := start("worker", 0, "exit", "3")
	if err != nil {
		return err
	}
	st, err := rt.Wait(ctx, worker)
	if err != nil {
		return err
	}
	fmt.Printf("   worker ended: %s, exit code %d\n\n", st.Reason, st.ExitCode)
	worker, err = start("worker", st.Name.Attempt+1, "exit", "0")
	if err != nil {
		return err
	}
	if _, err := rt.Wait(ctx, worker); err != nil {
		return err
	}
	if err := printStates(ctx, rt); err != nil {
		return err
	}

	fmt.Printf("\n3. The pod is stopped. Its containers stay, with what they said and how they ended.\n\n")
	if err := rt.StopSandbox(ctx, sandbox, 10*time.Second); err != nil {
		return err
	}
	if err := printStates(ctx, rt); err != nil {
		return err
	}
	fmt.Println()
	if err := printLogs(ctx, rt); err != nil {
		return err
	}

	fmt.Printf("\n4. The pod is removed.\n\n")
	if err := rt.RemoveSandbox(ctx, sandbox); err != nil {
		return err
	}
	left, err := rt.ListManaged(ctx, false)
	if err != nil {
		return err
	}
	fmt.Printf("   %d containers of %s are left\n", len(left), owner)
	return nil
}

// printStates prints a line for each container, the oldest first.
func printStates(ctx context.Context, rt *dockpod.Runtime) error {
	ids, err := containers(ctx, rt)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "   CONTAINER\tATTEMPT\tSTATE\tEXIT CODE\tREASON")
	for st, err := range rt.ContainerStatuses(ctx, ids...) {
		if err != nil {
			return err
		}
		code := ""
		if st.State == dockpod.StateExited {
			code = fmt.Sprint(st.ExitCode)
		}
		fmt.Fprintf(w, "   %s\t%d\t%s\t%s\t%s\n", st.Name.Container, st.Name.Attempt, st.State, code, st.Reason)
	}
	return w.Flush()
}

func printLogs(ctx context.Context, rt *dockpod.Runtime) error {
	ids, err := containers(ctx, rt)
	if err != nil {
		return err
	}
	for st, err := range rt.ContainerStatuses(ctx, ids...) {
		if err != nil {
			return err
		}
		for line, err := range rt.LogLines(ctx, st.ID, dockpod.LogOptions{}) {
			if err != nil {
				return err
			}
			fmt.Printf("   %s/%d | %s\n", st.Name.Container, st.Name.Attempt, line.Text)
		}
	}
	return nil
}

// containers returns the IDs of all containers in the order of their making.
func containers(ctx context.Context, rt *dockpod.Runtime) ([]string, error) {
	list, err := rt.ListContainers(ctx, dockpod.Filter{})
	var ids []string
	for i := range list { // newest first
		ids = append(ids, list[len(list)-1-i].ID)
	}
	return ids, err
}

// removeAll removes every pod of this owner.
func removeAll(ctx context.Context, rt *dockpod.Runtime) error {
	list, err := rt.ListSandboxes(ctx, dockpod.SandboxFilter{})
	for _, s := range list {
		err = errors.Join(err, rt.RemoveSandbox(ctx, s.ID))
	}
	return err
}
