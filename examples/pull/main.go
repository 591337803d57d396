// Command pull pulls an image, with the credentials of the docker command, and
// shows how each layer comes: as bars on a terminal, as lines elsewhere.
//
//	go run ./examples/pull registry.example/app:1
//	go run ./examples/pull -engine fake:// app:1
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
)

func main() {
	engine := flag.String("engine", "", "`endpoint`; without it DOCKER_HOST, or the default socket; fake:// has any image")
	stall := flag.Duration("stall", dockpod.DefaultPullStall, "give up when nothing new has come for this long")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: pull [flags] REF\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *engine, flag.Arg(0), *stall); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, engine, ref string, stall time.Duration) error {
	if name, ok := strings.CutPrefix(engine, "fake://"); ok {
		if name == "" {
			engine, name = "fake://pull", "pull"
		}
		fake.Named(name).AddRemoteImageConfig(fake.Remote{
			Image: fake.Image{Refs: []string{ref}, Layers: []int64{31 << 20, 7 << 20, 12 << 10}},
			Pace:  60 * time.Millisecond,
		})
	}
	rt, err := dockpod.Connect(ctx, engine, dockpod.WithKeyring(dockpod.DockerConfigKeyring()))
	if err != nil {
		return err
	}
	defer rt.Close()

	opts := dockpod.PullOptions{Stall: stall}
	if term.IsTerminal(int(os.Stdout.Fd())) {
		b := &bars{}
		opts.Progress, opts.ProgressInterval = b.show, 100*time.Millisecond
	} else {
		opts.Progress = func(p dockpod.PullProgress) { fmt.Println(p) }
	}
	img, err := rt.PullImage(ctx, ref, opts)
	if err != nil {
		return err
	}
	fmt.Println(img.Ref())
	return nil
}

// bars draws a line for each layer and one for the whole, over the lines that
// it drew before.
type bars struct{ drawn int }

func (b *bars) show(p dockpod.PullProgress) {
	width, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil || width < 60 {
		width = 60
	}
	var out strings.Builder
	if b.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", b.drawn) // up
	}
	for _, l := range p.Layers {
		current, total := l.Current, l.Total
		if l.Phase == dockpod.PullExtracting && l.Extracted > 0 {
			current = l.Extracted
		}
		if l.Done {
			current, total = 1, 1
		}
		fmt.Fprintf(&out, "\x1b[2K%-12.12s %-11s %s\n", l.ID, l.Phase, bar(current, total, width-28))
	}
	fmt.Fprintf(&out, "\x1b[2K%.*s\n", width-1, p)
	fmt.Print(out.String())
	b.drawn = len(p.Layers) + 1
}

// bar is n characters wide.
func bar(current, total int64, n int) string {
	full := 0
	if total > 0 {
		full = int(int64(n) * current / total)
	}
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", n-full) + "]"
}
