package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/dockpod/dockpod"
)

// logsCase reads a container's log of some 200 MB by its ID, beside the docker
// client: all of it, and the last tenth of its time.
//
// The log is written into the engine's own file of a container that has ended:
// what a container writes takes ten seconds to get there, and is the same.
func logsCase(ctx context.Context, b *bench, n *node) error {
	lines := b.count(1_100_000)
	id, since, err := n.logged(ctx, lines)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		fmt.Println("left out: the engine's log files cannot be written here:", err)
		return nil
	}
	if err != nil {
		return err
	}
	size := len(plainLine + "\n")
	all, tenth := lines*size, (lines-lines/10*9)*size
	r, err := rounds(ctx, b.roundsOr(2), n.pid,
		variant{"API + StdCopy", func(ctx context.Context) error { return n.apiLogs(ctx, id, time.Time{}, all) }},
		variant{"ours", func(ctx context.Context) error { return n.ourLogs(ctx, id, time.Time{}, all) }},
		variant{"API + StdCopy, since", func(ctx context.Context) error { return n.apiLogs(ctx, id, since, tenth) }},
		variant{"ours, since", func(ctx context.Context) error { return n.ourLogs(ctx, id, since, tenth) }},
	)
	if err != nil {
		return err
	}
	fmt.Printf("%d lines of %d bytes, and the last tenth of them\n", lines, len(plainLine))
	r.print()
	b.atLeast("logs", r.ratio("API + StdCopy", "ours", wall), 25)
	b.atLeast("logs-since", r.ratio("API + StdCopy, since", "ours, since", wall), 100)
	return nil
}

// logged makes a container that has ended and has a log. It returns the time
// at which the last tenth of the lines begins.
func (n *node) logged(ctx context.Context, lines int) (id string, since time.Time, err error) {
	if id, err = n.startOurs(ctx, 0); err != nil {
		return "", since, err
	}
	if err := n.rt.StopContainer(ctx, id, 0); err != nil {
		return "", since, err
	}
	st, err := n.rt.ContainerStatus(ctx, id)
	if err != nil {
		return "", since, err
	}
	first, err := writeLog(st.EngineLogPath, plainLine, lines)
	return id, first.Add(time.Duration(lines/10*9) * time.Millisecond), err
}

func (n *node) apiLogs(ctx context.Context, id string, since time.Time, size int) error {
	opts := container.LogsOptions{ShowStdout: true, ShowStderr: true}
	if !since.IsZero() {
		opts.Since = since.Format(time.RFC3339Nano)
	}
	stream, err := n.plain.ContainerLogs(ctx, id, opts)
	if err != nil {
		return err
	}
	defer stream.Close()
	var out counted
	_, err = stdcopy.StdCopy(&out, &out, stream)
	return out.expect(size, err)
}

func (n *node) ourLogs(ctx context.Context, id string, since time.Time, size int) error {
	var out counted
	err := n.rt.ContainerLogs(ctx, id, dockpod.LogOptions{Stdout: &out, Stderr: &out, Since: since, Source: dockpod.LogSourceFile})
	return out.expect(size, err)
}
