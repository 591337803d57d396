// Command list prints the containers of all pods on an engine.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"

	"github.com/containerd/errdefs"

	"github.com/dockpod/dockpod"
	_ "github.com/dockpod/dockpod/fake" // for -engine fake://
)

func main() {
	engine := flag.String("engine", "", "`endpoint`; without it DOCKER_HOST, or the default socket")
	owner := flag.String("owner", "", "whose pods; without it those in the kubelet's format")
	flag.Parse()
	if err := list(context.Background(), *engine, *owner); err != nil {
		log.Fatal(err)
	}
}

func list(ctx context.Context, engine, owner string) error {
	rt, err := dockpod.Connect(ctx, engine, dockpod.WithOwner(owner))
	if err != nil {
		return err
	}
	defer rt.Close()
	containers, err := rt.ListContainers(ctx, dockpod.Filter{})
	if err != nil {
		return err
	}
	fmt.Printf("%d containers\n", len(containers))
	for _, c := range containers {
		st, err := rt.ContainerStatus(ctx, c.ID)
		if errdefs.IsNotFound(err) {
			continue // removed since it was listed
		}
		if err != nil {
			return err
		}
		fmt.Printf("%s/%s %s, attempt %d: %s %s\n", c.Name.Namespace, c.Name.Pod, c.Name.Container, c.Name.Attempt, st.State, st.Reason)
	}
	return nil
}
