// Command agent keeps the pods of a folder running on one machine, as a
// kubelet keeps its static pods: it reads manifests of Kubernetes' v1 Pod,
// makes what is missing, restarts what ended, and removes what is no longer
// there. It keeps no state: kill it with kill -9 at any moment, start it
// again, and it goes on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/examples/internal/demo"
)

func main() {
	var (
		manifests = flag.String("manifests", "examples/agent/pods", "`directory` of the pods' manifests")
		owner     = flag.String("owner", "dockpod-agent", "whose the pods are: two agents on one engine need two owners")
		logs      = flag.String("logs", "", "`directory` where the containers' logs are linked; without it nowhere")
		volumes   = flag.String("volumes", "", "`directory` for emptyDir volumes; without it one in the user's cache directory")
		every     = flag.Duration("interval", 2*time.Second, "how often to look at the folder and the engine")
		backoff   = flag.Duration("backoff", kubeletBackoff.First, "wait before a container's second restart; it doubles")
		once      = flag.Bool("once", false, "do what can be done now, print the state and leave; the pods stay")
		down      = flag.Bool("down", false, "remove all pods of this owner and leave")
	)
	demo.Main("agent keeps the pods of a folder running: go run ./examples/agent", func(ctx context.Context, e *demo.Engine) error {
		if *owner == "" {
			return errors.New("-owner is empty: every pod of a kubelet on this engine would be removed")
		}
		a := &agent{
			rt:      dockpod.New(e.Docker, dockpod.WithOwner(*owner)),
			every:   *every,
			backoff: Backoff{First: *backoff, Max: kubeletBackoff.Max, Reset: kubeletBackoff.Reset},
			log:     log.New(os.Stdout, "", log.Ltime),
		}
		a.pods = func(ctx context.Context) ([]v1.Pod, error) { return wanted(ctx, e, *manifests) }
		if *down {
			a.pods = func(context.Context) ([]v1.Pod, error) { return []v1.Pod{}, nil }
		}
		if *once || *down {
			a.log.SetFlags(0)
		}
		if err := a.directories(*logs, *volumes, *owner); err != nil {
			return err
		}
		if err := a.run(ctx, *once || *down); err != nil {
			return err
		}
		switch {
		case ctx.Err() == nil:
			return a.print(ctx)
		case e.Fake == nil:
			fmt.Println("The pods go on. Start the agent again to look after them, or with -down to remove them.")
		}
		return nil
	})
}

// directories settles where logs and volumes go. Each owner has its own, as
// it removes there what it does not know.
func (a *agent) directories(logs, volumes, owner string) (err error) {
	if volumes == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("find a directory for volumes, or give one with -volumes: %w", err)
		}
		volumes = cache
	}
	if a.volumes, err = filepath.Abs(filepath.Join(volumes, owner)); err != nil || logs == "" {
		return err
	}
	a.logs, err = filepath.Abs(filepath.Join(logs, owner))
	return err
}

// wanted reads the folder. The image "dockpod-demo" stands for the one that
// the examples bring along.
func wanted(ctx context.Context, e *demo.Engine, dir string) ([]v1.Pod, error) {
	pods, err := readPods(dir)
	if err != nil {
		return nil, err
	}
	for i := range pods {
		for j := range pods[i].Spec.Containers {
			c := &pods[i].Spec.Containers[j]
			if c.Image != demo.Repository {
				continue
			}
			if c.Image, err = e.Image(ctx); err != nil {
				return nil, err
			}
		}
		if err := setUID(&pods[i]); err != nil {
			return nil, err
		}
	}
	return pods, nil
}

// print prints a table of all that the agent has.
func (a *agent) print(ctx context.Context) error {
	have, err := a.observe(ctx)
	if err != nil {
		return err
	}
	if len(have.Sandboxes) == 0 {
		fmt.Println("There are no pods.")
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "POD\tCONTAINER\tATTEMPT\tSTATE\tREASON")
	for _, s := range sorted(have.Sandboxes, func(s dockpod.Sandbox) dockpod.Name { return s.Name }) {
		fmt.Fprintf(w, "%s\t(sandbox)\t%d\t%s\t\n", fullName(s.Name), s.Name.Attempt, s.State)
		for _, c := range sorted(have.Containers, func(c dockpod.ContainerStatus) dockpod.Name { return c.Name }) {
			if c.SandboxID == s.ID {
				fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", fullName(c.Name), c.Name.Container, c.Name.Attempt, c.State, c.Reason)
			}
		}
	}
	return w.Flush()
}
