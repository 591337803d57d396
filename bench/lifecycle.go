package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/docker/docker/api/types/container"
)

// lifecycleCase creates, starts, stops and removes containers.
func lifecycleCase(ctx context.Context, b *bench, n *node) error {
	k := b.count(8)
	sequential := func(f func(context.Context, int) error) func(context.Context) error {
		return func(ctx context.Context) error {
			for i := range k {
				if err := f(ctx, i); err != nil {
					return err
				}
			}
			return nil
		}
	}
	r, err := rounds(ctx, b.roundsOr(3), n.pid,
		variant{"raw connection", sequential(n.rawLife)},
		variant{"docker client", sequential(n.plainLife)},
		variant{"ours", sequential(n.ourLife)},
		variant{"ours, 4 at once", func(ctx context.Context) error {
			return parallel(k, func(i int) error { return n.ourLife(ctx, i) })
		}},
	)
	if err != nil {
		return err
	}
	fmt.Printf("%d containers: create, start, stop, remove\n", k)
	r.print()
	b.atMost("lifecycle", r.ratio("ours", "raw connection", wall), 1.03)
	b.atLeast("lifecycle-4", r.ratio("ours", "ours, 4 at once", wall), 1.4)
	return nil
}

func (n *node) ourLife(ctx context.Context, i int) error {
	id, err := n.startOurs(ctx, i)
	if err != nil {
		return err
	}
	if err := n.rt.StopContainer(ctx, id, 0); err != nil {
		return err
	}
	return n.rt.RemoveContainer(ctx, id)
}

func (n *node) plainLife(ctx context.Context, i int) error {
	id, err := n.startPlain(ctx, i)
	if err != nil {
		return err
	}
	now := 0
	if err := n.plain.ContainerStop(ctx, id, container.StopOptions{Timeout: &now}); err != nil {
		return err
	}
	return n.removePlain(ctx, id)
}

func (n *node) rawLife(_ context.Context, i int) error {
	cfg, host, name := plainRequest(i)
	host.NetworkMode = "host"
	body, err := json.Marshal(struct {
		*container.Config
		HostConfig *container.HostConfig
	}{cfg, host})
	if err != nil {
		return err
	}
	status, answer, err := n.raw.do("POST", "/v1.41/containers/create?name="+name, string(body))
	if err != nil || status != http.StatusCreated {
		return fmt.Errorf("create: %d %s %v", status, answer, err)
	}
	var made struct{ Id string }
	if err := json.Unmarshal(answer, &made); err != nil {
		return err
	}
	for _, step := range [][2]string{{"POST", "/start"}, {"POST", "/stop?t=0"}, {"DELETE", "?force=1&v=1"}} {
		status, answer, err := n.raw.do(step[0], "/v1.41/containers/"+made.Id+step[1], "")
		if err != nil || status >= 300 && status != http.StatusNotModified {
			return fmt.Errorf("%s %s: %d %s %v", step[0], step[1], status, answer, err)
		}
	}
	return nil
}
