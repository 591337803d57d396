package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod"
)

var sample = view{
	engine: "Docker 20.10.24", at: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), containers: true,
	pods: []podRows{
		{row: row{name: "ns/idle", milli: 0, memory: 900, rx: 0, tx: 10, processes: 1}},
		{
			row:        row{name: "ns/new", milli: -1, memory: 5 << 20, limit: 10 << 20, rx: -1, tx: -1, processes: 2},
			containers: []row{{name: "  app", milli: -1, memory: 4 << 20, limit: 10 << 20, rx: -1, tx: -1, processes: 1}},
		},
		{row: row{name: "ns/busy", milli: 1500, memory: 3 << 30, rx: 1 << 20, tx: 2000, processes: 40}},
	},
}

func TestTable(t *testing.T) {
	for _, tt := range []struct {
		width int
		want  string
	}{
		{80, `
POD        CPU   MEMORY    LIMIT    %     RX/s     TX/s PIDS
ns/busy  1500m    3.0Gi        -    -    1.0Mi    2.0Ki   40
ns/idle     0m     900B        -    -       0B      10B    1
ns/new       -    5.0Mi     10Mi  50%        -        -    2
  app        -    4.0Mi     10Mi  40%        -        -    1
`},
		{45, `
POD        CPU   MEMORY    LIMIT    % PIDS
ns/busy  1500m    3.0Gi        -    -   40
ns/idle     0m     900B        -    -    1
ns/new       -    5.0Mi     10Mi  50%    2
  app        -    4.0Mi     10Mi  40%    1
`},
		{24, `
POD        CPU   MEMORY
ns/busy  1500m    3.0Gi
ns/idle     0m     900B
ns/new       -    5.0Mi
  app        -    4.0Mi
`},
		{10, `
POD    CPU
ns…  1500m
ns…     0m
ns…      -
  …      -
`},
	} {
		if diff := cmp.Diff(strings.TrimSpace(tt.want), strings.Join(sample.table(tt.width), "\n")); diff != "" {
			t.Errorf("%d wide mismatch (-want +got):\n%s", tt.width, diff)
		}
	}
}

// Whatever the terminal, nothing goes beyond it.
func TestScreenFits(t *testing.T) {
	failed := sample
	failed.err = errors.New("first line\nsecond\x1b[2J")
	for width := 1; width < 90; width++ {
		for height := 1; height < 12; height++ {
			for _, v := range []view{{}, {at: sample.at}, sample, failed} {
				lines := v.screen(width, height)
				if len(lines) > height {
					t.Fatalf("%d lines on %d", len(lines), height)
				}
				for _, l := range lines {
					if n := len([]rune(l)); n > width || strings.ContainsAny(l, "\n\x1b") {
						t.Fatalf("%q is %d wide on %d", l, n, width)
					}
				}
			}
		}
	}
	lines := failed.screen(80, 6)
	if got := lines[len(lines)-1]; got != "error: first line second [2J" {
		t.Errorf("the last line is %q", got)
	}
}

func TestOrders(t *testing.T) {
	for o, want := range map[order]string{byCPU: "ns/busy ns/idle ns/new", byMemory: "ns/busy ns/new ns/idle", byName: "ns/busy ns/idle ns/new"} {
		v := sample
		v.order = o
		var got []string
		for _, p := range v.sorted() {
			got = append(got, p.name)
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("by %v mismatch (-want +got):\n%s", o, diff)
		}
	}
}

func TestRows(t *testing.T) {
	at := time.Unix(1e9, 0)
	pod := func(sec int, rx int64) dockpod.SandboxStats {
		p := dockpod.SandboxStats{
			Sandbox:  dockpod.Sandbox{Name: dockpod.Name{Namespace: "ns", Pod: "p"}},
			Networks: []dockpod.InterfaceUsage{{RxBytes: rx}, {RxBytes: 1, TxBytes: rx}},
		}
		p.At = at.Add(time.Duration(sec) * time.Second)
		p.Memory.Usage = 100
		return p
	}
	first := rowsOf(pod(0, 1000), dockpod.SandboxStats{})
	if first.milli != -1 || first.rx != -1 || first.memory != 100 || first.name != "ns/p" {
		t.Errorf("the first look: %+v", first)
	}
	now := pod(2, 3000)
	now.CPU.NanoCores, now.CPU.Window = 1_500_000, time.Second
	now.Memory.Detailed, now.Memory.InactiveFile = true, 30
	if got := rowsOf(now, pod(0, 1000)); got.milli != 2 || got.rx != 1000 || got.tx != 1000 || got.memory != 70 {
		t.Errorf("the second look: %+v", got)
	}
	if got := rowsOf(pod(2, 5), pod(0, 1000)); got.rx != 0 {
		t.Errorf("counters that went back: %+v", got)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1024: "1.0Ki", 10 << 10: "10Ki", 999 << 10: "999Ki", 1000 << 10: "1.0Mi", 1 << 40: "1.0Ti", 1<<63 - 1: "8.0Ei"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
}
