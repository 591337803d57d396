// Command top shows what each pod uses, and keeps the table up to date. On a
// terminal it takes the whole screen: q or Ctrl-C ends it, s changes the order,
// c shows the containers. Elsewhere it prints a line for each pod.
//
//	go run ./examples/top
//	go run ./examples/top -engine fake:// -once
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/dockpod/dockpod"
)

func main() {
	engine := flag.String("engine", "", "`endpoint`; without it DOCKER_HOST, or the default socket; fake:// has some pods")
	owner := flag.String("owner", "", "whose pods; without it those in the kubelet's format")
	every := flag.Duration("interval", 2*time.Second, "how often to look")
	once := flag.Bool("once", false, "print the table once, after one interval, and end")
	containers := flag.Bool("containers", false, "show the containers, too")
	flag.Parse()
	if flag.NArg() > 0 || *every < 500*time.Millisecond {
		fmt.Fprintln(os.Stderr, "top takes flags alone, and an interval of 500ms or more")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, *engine, *owner, *once, view{every: *every, containers: *containers, order: byCPU})
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, engine, owner string, once bool, v view) error {
	engine, owner, wobble, err := demoPods(ctx, engine, owner)
	if err != nil {
		return err
	}
	rt, err := dockpod.Connect(ctx, engine, dockpod.WithOwner(owner))
	if err != nil {
		return err
	}
	defer rt.Close()
	version, err := rt.Version(ctx)
	if err != nil {
		return err
	}
	v.engine = "Docker " + version.Engine
	if podman := version.Components["Podman Engine"]; podman != "" {
		v.engine = "Podman " + podman
	}
	t := &top{rt: rt, view: v, wobble: wobble}
	switch {
	case once:
		return t.once(ctx)
	case term.IsTerminal(int(os.Stdout.Fd())):
		return t.screen(ctx)
	}
	return t.lines(ctx)
}

// top looks at the pods again and again.
type top struct {
	rt     *dockpod.Runtime
	view   view
	wobble func() // of the fake's pods
	before map[string]dockpod.SandboxStats
}

// look reads the stats once more. Those that could be read are shown even if
// there is an error.
func (t *top) look(ctx context.Context) {
	t.wobble()
	// A hung engine shows as an error, and is asked again.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	list, err := t.rt.ListSandboxStats(ctx, dockpod.SandboxFilter{})
	for _, pod := range list {
		err = cmp.Or(err, errors.Join(pod.Problems...))
	}
	t.view.at, t.view.err = time.Now(), err
	if list == nil && err != nil {
		return // the last ones stay on the screen
	}
	t.view.pods = nil
	now := map[string]dockpod.SandboxStats{}
	for _, pod := range list {
		t.view.pods = append(t.view.pods, rowsOf(pod, t.before[pod.ID]))
		now[pod.ID] = pod
	}
	t.before = now
}

// wait waits for the next look, and reports whether there is one.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// once prints one table. A rate takes two readings, between which the fake's
// pods keep still: it would depend on when they change.
func (t *top) once(ctx context.Context) error {
	t.look(ctx)
	t.wobble = func() {}
	if !wait(ctx, t.view.every) {
		return ctx.Err()
	}
	t.look(ctx)
	for _, line := range t.view.table(120) {
		fmt.Println(line)
	}
	return t.view.err
}

// lines prints what a program would read.
func (t *top) lines(ctx context.Context) error {
	for {
		t.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if t.view.err != nil {
			fmt.Fprintln(os.Stderr, "error:", t.view.err)
		}
		for _, line := range t.view.records() {
			fmt.Println(line)
		}
		if !wait(ctx, t.view.every) {
			return nil
		}
	}
}

// screen takes the terminal until q or Ctrl-C, and gives it back as it was.
func (t *top) screen(ctx context.Context) error {
	in, out := int(os.Stdin.Fd()), int(os.Stdout.Fd())
	keys := make(chan byte)
	if term.IsTerminal(in) {
		before, err := term.MakeRaw(in)
		if err != nil {
			return err
		}
		defer term.Restore(in, before)
		go readKeys(keys)
	}
	fmt.Print("\x1b[?1049h\x1b[?25l") // the other screen, no cursor
	defer fmt.Print("\x1b[?25h\x1b[?1049l")
	looked := make(chan view, 1)
	look := func() {
		go func() { t.look(ctx); looked <- t.view }() // the keys work meanwhile
	}
	shown := t.view
	look()
	var next <-chan time.Time
	for {
		draw(out, shown)
		select {
		case <-ctx.Done():
			return nil
		case <-next:
			look()
		case v := <-looked:
			v.order, v.containers = shown.order, shown.containers
			shown, next = v, time.After(v.every)
		case k := <-keys:
			switch k {
			case 'q', 'Q', 3, 4: // Ctrl-C, Ctrl-D
				return nil
			case 's':
				shown.order = (shown.order + 1) % orders
			case 'c':
				shown.containers = !shown.containers
			}
		}
	}
}

func readKeys(keys chan<- byte) {
	r := bufio.NewReader(os.Stdin)
	for {
		b, err := r.ReadByte()
		if err != nil {
			return
		}
		keys <- b
	}
}

// draw writes over what is on the screen, line by line and at once, so that
// nothing flickers.
func draw(fd int, v view) {
	width, height, err := term.GetSize(fd)
	if err != nil || width < 1 || height < 1 {
		width, height = 80, 24
	}
	out := []byte("\x1b[H")
	for i, line := range v.screen(width, height) {
		if i > 0 {
			out = append(out, "\r\n"...)
		}
		out = append(out, line...)
		out = append(out, "\x1b[K"...)
	}
	out = append(out, "\x1b[J"...)
	os.Stdout.Write(out)
}
