package main

import (
	"context"
	"errors"

	"github.com/docker/docker/client"

	"github.com/dockpod/dockpod"
)

const owner = "bench"

// clients are three ways to talk to one engine.
type clients struct {
	sock  string
	rt    *dockpod.Runtime
	plain *client.Client
	raw   *rawConn
}

func dialAll(ctx context.Context, sock string) (c *clients, err error) {
	c = &clients{sock: sock}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.rt, err = dockpod.Connect(ctx, "unix://"+sock, dockpod.WithOwner(owner)); err != nil {
		return nil, err
	}
	if c.plain, err = client.NewClientWithOpts(client.WithHost("unix://"+sock), client.WithAPIVersionNegotiation()); err != nil {
		return nil, err
	}
	c.plain.NegotiateAPIVersion(ctx)
	c.raw, err = dialRaw(sock)
	return c, err
}

// close closes what there is.
func (c *clients) close() error {
	var errs []error
	if c.rt != nil {
		errs = append(errs, c.rt.Close())
	}
	if c.plain != nil {
		errs = append(errs, c.plain.Close())
	}
	if c.raw != nil {
		errs = append(errs, c.raw.Close())
	}
	return errors.Join(errs...)
}
