// Command watch shows the pods of an engine as they are, and what happens to
// them as it happens: on a terminal a board, in a pipe a line for each event.
// On the fake it plays a demo.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/examples/internal/demo"
)

func main() {
	owner := flag.String("owner", "", "whose pods; without it those in the kubelet's format")
	last := flag.Duration("for", 0, "end after this `time`; without it after the demo, or never")
	demo.Main("watch shows pods and what happens to them.", func(ctx context.Context, e *demo.Engine) error {
		if e.Fake != nil {
			*owner = cmp.Or(*owner, "demo")
		}
		rt := dockpod.New(e.Docker, dockpod.WithOwner(*owner))
		ended := errors.New("the time is over")
		ctx, end := context.WithCancelCause(ctx)
		defer end(nil)
		if *last > 0 {
			defer time.AfterFunc(*last, func() { end(ended) }).Stop()
		}
		if e.Fake != nil {
			go func() {
				err := play(ctx, rt, e)
				if err == nil && *last == 0 {
					err = ended
				}
				if err != nil {
					end(err)
				}
			}()
		}
		var err error
		if terminal() {
			err = board(ctx, rt)
		} else {
			err = lines(ctx, rt)
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause // what ended ctx, not that it did
		}
		if errors.Is(err, ended) {
			return nil
		}
		return err
	})
}

func terminal() bool {
	info, err := os.Stdout.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// lines prints a line for each event.
func lines(ctx context.Context, rt *dockpod.Runtime) error {
	for event, err := range rt.Watch(ctx, time.Time{}) {
		switch {
		case errors.Is(err, dockpod.ErrUnsupported), ctx.Err() != nil:
			return err
		case err != nil: // news, not the end
			fmt.Println("trouble:", err)
		default:
			fmt.Println(sentence(event))
		}
	}
	return nil
}

// sentence tells of an event.
func sentence(e dockpod.Event) string {
	if e.Kind == dockpod.EventSynced {
		return "-- this is all there is; now what happens --"
	}
	text := fmt.Sprintf("%-22s %s", podOf(e.Name)+" "+e.Name.Container, e.Kind)
	switch e.Kind {
	case dockpod.EventExited, dockpod.EventFailed:
		text += fmt.Sprintf(": %s, exit code %d", cmp.Or(e.Reason, "nobody knows why"), e.ExitCode)
	case dockpod.EventHealth:
		text += ": " + e.Health
	}
	return text
}

func podOf(n dockpod.Name) string { return n.Namespace + "/" + n.Pod }

// board draws all pods anew whenever something changes, from memory.
func board(ctx context.Context, rt *dockpod.Runtime) error {
	mirror, err := rt.Mirror(ctx)
	if err != nil {
		return err
	}
	defer mirror.Close()
	fmt.Print("\x1b[?25l\x1b[2J")  // hide the cursor, clear
	defer fmt.Print("\x1b[?25h\n") // show it again
	tick := time.Second            // ages and the freshness change without an event
	for version := uint64(0); ; {
		text, err := draw(ctx, mirror)
		if err != nil {
			return err
		}
		// From the top; clear what is left of each line, and below.
		fmt.Print("\x1b[H" + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J")
		wait, cancel := context.WithTimeout(ctx, tick)
		version, err = mirror.Changed(wait, version)
		cancel()
		if err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			return err
		}
	}
}

func draw(ctx context.Context, mirror *dockpod.Mirror) (string, error) {
	var out strings.Builder
	sandboxes, err := mirror.ListSandboxes(ctx, dockpod.SandboxFilter{})
	if err != nil {
		return "", err
	}
	slices.SortFunc(sandboxes, func(a, b dockpod.Sandbox) int {
		return cmp.Or(strings.Compare(podOf(a.Name), podOf(b.Name)), cmp.Compare(a.Name.Attempt, b.Name.Attempt))
	})
	fresh := mirror.Freshness()
	state := "Live."
	if !fresh.Synced {
		state = fmt.Sprintf("As of %s: %v", fresh.AsOf.Format(time.TimeOnly), fresh.Err)
	}
	fmt.Fprintf(&out, "Pods: %d. Containers: %d. %s\n\n", len(sandboxes), len(mirror.Statuses()), state)
	for _, s := range sandboxes {
		fmt.Fprintf(&out, "%-28s %s\n", podOf(s.Name), s.State)
		list, err := mirror.ListContainers(ctx, dockpod.Filter{SandboxID: s.ID})
		if err != nil {
			return "", err
		}
		for _, c := range slices.Backward(list) { // the oldest first
			st := mirror.Status(c.ID)
			if st == nil {
				continue // removed meanwhile
			}
			fmt.Fprintf(&out, "  %-16s %-9s %-8s %s\n", c.Name.Container, fmt.Sprint("#", c.Name.Attempt), mark(st), about(st))
		}
	}
	return out.String(), nil
}

func mark(st *dockpod.ContainerStatus) string {
	if st.EngineState == "paused" {
		return "paused"
	}
	return string(st.State)
}

func about(st *dockpod.ContainerStatus) string {
	switch st.State {
	case dockpod.StateRunning:
		return "for " + time.Since(st.StartedAt).Truncate(time.Second).String()
	case dockpod.StateExited:
		return fmt.Sprintf("%s, exit code %d", st.Reason, st.ExitCode)
	}
	return ""
}

// play is the demo: two pods that live for a few seconds.
func play(ctx context.Context, rt *dockpod.Runtime, e *demo.Engine) error {
	e.Fake.AddImage("app:1")
	pause := func() {
		select {
		case <-time.After(400 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	steps := []func() error{}
	var web, api, job, retry string
	pod := func(name string) dockpod.SandboxConfig {
		return dockpod.SandboxConfig{Name: name, Namespace: "demo", UID: name + "-uid"}
	}
	var front, batch string
	run := func(id *string, sandbox *string, pod dockpod.SandboxConfig, name string, attempt uint32) func() error {
		return func() (err error) {
			if *id, err = rt.CreateContainer(ctx, *sandbox, dockpod.ContainerConfig{Name: name, Attempt: attempt, Image: "app:1"}, pod); err != nil {
				return err
			}
			return rt.StartContainer(ctx, *id)
		}
	}
	steps = append(steps,
		func() (err error) { front, err = rt.RunSandbox(ctx, pod("front")); return err },
		run(&web, &front, pod("front"), "web", 0),
		run(&api, &front, pod("front"), "api", 0),
		func() (err error) { batch, err = rt.RunSandbox(ctx, pod("batch")); return err },
		run(&job, &batch, pod("batch"), "job", 0),
		func() error { e.Fake.OOMKill(job); return nil },
		run(&retry, &batch, pod("batch"), "job", 1),
		func() error { return e.Fake.ContainerPause(ctx, api) },
		func() error { return e.Fake.ContainerUnpause(ctx, api) },
		func() error { e.Fake.Exit(retry, 0); return nil },
		func() error { return rt.RemoveSandbox(ctx, batch) },
		func() error { return rt.StopSandbox(ctx, front, time.Second) },
	)
	for _, step := range steps {
		pause()
		if err := step(); err != nil {
			return err
		}
	}
	for range 5 { // what came last is told before the end, also where the machine is busy
		pause()
	}
	return nil
}
