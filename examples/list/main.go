// Command list prints the containers of all pods on an engine.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"

	"github.com/dockpod/dockpod"
	_ "github.com/dockpod/dockpod/fake" // for -engine fake://
)

func main() {
	engine := flag.String("engine", "", "`endpoint`; without it DOCKER_HOST, or the default socket")
	owner := flag.String("owner", "", "whose pods; without it those in the kubelet's format")
	flag.Parse()
	ctx := context.Background()
	rt, err := dockpod.Connect(ctx, *engine, dockpod.WithOwner(*owner))
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	containers, err := rt.ListContainers(ctx, dockpod.Filter{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d containers\n", len(containers))
	for _, c := range containers {
		st, err := rt.ContainerStatus(ctx, c.ID)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s/%s %s, attempt %d: %s %s\n", c.Name.Namespace, c.Name.Pod, c.Name.Container, c.Name.Attempt, st.State, st.Reason)
	}
}
