// Command bench measures what dockpod costs beside the floor and beside the
// docker client used in the plain way, in one run, and says whether each goal is
// met:
//
//	go run ./bench -check              # all that this machine can run
//	go run ./bench -check -stub        # without an engine
//	go run ./bench -case list -n 1000  # one case
//
// Each case runs its variants in turn, round by round, so that a busy machine
// slows all of them. A ratio is the median of the rounds' ratios.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// bcase is something to measure. Its run prints what it finds by b.
type bcase struct {
	name   string
	engine bool // needs an engine
	run    func(ctx context.Context, b *bench) error
}

var cases = []bcase{
	{"list", false, listCase},
	{"status", false, statusCase},
	{"coalesce", false, coalesceCase},
	{"logfile", false, logfileCase},
	{"demux", false, demuxCase},
	{"fake", false, fakeCase},
	{"byid", true, onNode(byIDCase)},
	{"sync", true, onNode(syncCase)},
	{"window", true, onNode(windowCase)},
	{"exit", true, onNode(exitCase)},
	{"logs", true, onNode(logsCase)},
	{"lifecycle", true, onNode(lifecycleCase)},
}

// bench is one run's settings, and what the goals came to.
type bench struct {
	n, rounds int // zero: the case's own
	sock      string
	goals     []goal
}

func main() {
	isStub, err := stubMain()
	if !isStub {
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	var (
		b      bench
		only   = flag.String("case", "", "run one case: "+names())
		stub   = flag.Bool("stub", false, "only the cases that need no engine")
		check  = flag.Bool("check", false, "fail if a goal is missed")
		steady = flag.Bool("steady", false, "with -check, only for a goal that does not depend on how busy the machine is")
		table  = flag.Bool("md", false, "print the goals as a Markdown table in the end")
		chart  = flag.String("svg", "", "write a chart of cost against number of containers to `file`, and run no case")
	)
	flag.IntVar(&b.n, "n", 0, "containers, or lines of a log; 0: the case's own number")
	flag.IntVar(&b.rounds, "rounds", 0, "rounds; 0: the case's own number")
	flag.StringVar(&b.sock, "sock", "/var/run/docker.sock", "the engine's `socket`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *chart != "" {
		return b.chart(ctx, *chart)
	}
	if err := b.all(ctx, *only, *stub); err != nil {
		return err
	}
	if *table {
		b.printTable()
	}
	if missed := b.missed(*steady); *check && len(missed) > 0 {
		return fmt.Errorf("missed: %s", strings.Join(missed, ", "))
	}
	return nil
}

func names() string {
	var l []string
	for _, c := range cases {
		l = append(l, c.name)
	}
	return strings.Join(l, ", ")
}

// all runs the cases, or only one of them.
func (b *bench) all(ctx context.Context, only string, stub bool) error {
	if only != "" && !slices.ContainsFunc(cases, func(c bcase) bool { return c.name == only }) {
		return fmt.Errorf("no case is called %q; there are %s", only, names())
	}
	fmt.Println(conditions())
	for _, c := range cases {
		if only != "" && c.name != only || stub && c.engine {
			continue
		}
		fmt.Printf("== %s\n", c.name)
		if err := c.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

func (b *bench) count(n int) int    { return cmp.Or(b.n, n) }
func (b *bench) roundsOr(n int) int { return cmp.Or(b.rounds, n) }
