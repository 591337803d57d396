package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// goal is a ratio, or a count, and what it should be.
type goal struct {
	name      string
	got, want float64
	most      bool // it should be at most want, else at least
	steady    bool // it does not depend on how busy the machine is
}

func (g goal) met() bool {
	if g.most {
		return g.got <= g.want
	}
	return g.got >= g.want
}

func (g goal) verdict() string {
	if g.met() {
		return "PASS"
	}
	return "FAIL"
}

func (g goal) wanted() string {
	if g.most {
		return "<=" + figure(g.want)
	}
	return ">=" + figure(g.want)
}

func figure(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// atLeast and atMost hold a ratio of times, which are a little different in
// each run.
func (b *bench) atLeast(name string, ratio, want float64) {
	b.hold(goal{name: name, got: ratio, want: want})
}

func (b *bench) atMost(name string, ratio, want float64) {
	b.hold(goal{name: name, got: ratio, want: want, most: true})
}

// countAtMost holds what is counted, and is the same on a busy machine.
func (b *bench) countAtMost(name string, count, want float64) {
	b.hold(goal{name: name, got: count, want: want, most: true, steady: true})
}

func (b *bench) hold(g goal) {
	b.goals = append(b.goals, g)
	fmt.Printf("GOAL name=%s ratio=%s want=%s %s\n", g.name, figure(g.got), g.wanted(), g.verdict())
}

// missed returns the names of the goals that were not met, all or the steady
// ones.
func (b *bench) missed(steady bool) (names []string) {
	for _, g := range b.goals {
		if !g.met() && (g.steady || !steady) {
			names = append(names, g.name)
		}
	}
	return names
}

// printTable prints the goals in Markdown.
func (b *bench) printTable() {
	fmt.Printf("\n%s\n\n| goal | measured | wanted | |\n|---|---:|---:|---|\n", conditions())
	for _, g := range b.goals {
		fmt.Printf("| %s | %s | %s | %s |\n", g.name, figure(g.got), g.wanted(), g.verdict())
	}
}

// conditions tells on what the figures depend.
func conditions() string {
	load := "unknown"
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ = strings.Cut(string(b), " ")
	}
	return fmt.Sprintf("%s %s/%s, %d CPUs, load %s", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), load)
}
