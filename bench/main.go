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
	"time"
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
	{"byid", true, byIDCase},
	{"sync", true, syncCase},
	{"lifecycle", true, lifecycleCase},
}

// bench is one run's settings, and what the goals came to.
type bench struct {
	n, rounds int // zero: the case's own
	sock      string
	check     bool
	failed    []string
	points    []point
}

func main() {
	if stubMain() {
		return
	}
	var (
		b     bench
		only  = flag.String("case", "", "run one case: "+names())
		stub  = flag.Bool("stub", false, "only the cases that need no engine")
		chart = flag.String("svg", "", "write a chart of cost against number of containers to `file`")
	)
	flag.IntVar(&b.n, "n", 0, "containers; 0: the case's own number")
	flag.IntVar(&b.rounds, "rounds", 0, "rounds; 0: the case's own number")
	flag.StringVar(&b.sock, "sock", "/var/run/docker.sock", "the engine's `socket`")
	flag.BoolVar(&b.check, "check", false, "exit 1 if a goal is missed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := b.all(ctx, *only, *stub, *chart); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if b.check && len(b.failed) > 0 {
		fmt.Println("missed:", strings.Join(b.failed, ", "))
		os.Exit(1)
	}
}

func names() string {
	var l []string
	for _, c := range cases {
		l = append(l, c.name)
	}
	return strings.Join(l, ", ")
}

func (b *bench) all(ctx context.Context, only string, stub bool, chart string) error {
	if chart != "" {
		return b.chart(ctx, chart)
	}
	if only != "" && !slices.ContainsFunc(cases, func(c bcase) bool { return c.name == only }) {
		return fmt.Errorf("no case is called %q; there are %s", only, names())
	}
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

// goal prints whether a ratio is what it should be: at least want, or with
// most at most.
func (b *bench) goal(name string, ratio, want float64, most bool) {
	verdict, sign := "PASS", ">="
	if most {
		sign = "<="
	}
	if most && ratio > want || !most && ratio < want {
		verdict = "FAIL"
		b.failed = append(b.failed, name)
	}
	fmt.Printf("GOAL name=%s ratio=%.3g want=%s%.3g %s\n", name, ratio, sign, want, verdict)
}

func (b *bench) count(n int) int    { return cmp.Or(b.n, n) }
func (b *bench) roundsOr(n int) int { return cmp.Or(b.rounds, n) }
func ms(d time.Duration) float64    { return float64(d) / float64(time.Millisecond) }
func must[T any](v T, err error) T  { check(err); return v }
func check(err error) {
	if err != nil {
		panic(err)
	}
}
