package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// variant is one way to do a thing.
type variant struct {
	name string
	run  func(ctx context.Context) error
}

// sample is what one run of a variant cost.
type sample struct {
	wall   time.Duration
	cpu    time.Duration // of this process
	engine time.Duration // of the engine's; 0 where it is not known
	allocs uint64
	bytes  uint64
}

// result is what the rounds of a case came to.
type result struct {
	variants []variant
	samples  map[string][]sample
}

// rounds runs the variants in turn. Each round begins with another one. The
// first round warms up and does not count.
func rounds(ctx context.Context, n, engine int, variants ...variant) (result, error) {
	r := result{variants, map[string][]sample{}}
	for round := range n + 1 {
		for i := range variants {
			if err := ctx.Err(); err != nil {
				return r, err
			}
			v := variants[(i+round)%len(variants)]
			awaitIdle(ctx)
			s, err := measure(ctx, engine, v.run)
			if err != nil {
				return r, fmt.Errorf("%s: %w", v.name, err)
			}
			if round > 0 {
				r.samples[v.name] = append(r.samples[v.name], s)
			}
		}
	}
	return r, nil
}

func measure(ctx context.Context, engine int, f func(context.Context) error) (sample, error) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, spent := cpuTime(), engineTime(engine)
	start := time.Now()
	err := f(ctx)
	wall := time.Since(start)
	s := sample{wall: wall, cpu: cpuTime() - cpu, engine: engineTime(engine) - spent}
	runtime.ReadMemStats(&after)
	s.allocs, s.bytes = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	return s, err
}

// awaitIdle waits, two seconds at most, until the machine has done next to
// nothing for a moment: what was measured before leaves an engine busy.
func awaitIdle(ctx context.Context) {
	const moment = 50 * time.Millisecond
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end) && ctx.Err() == nil; {
		busy, all := machineTicks()
		time.Sleep(moment)
		nowBusy, nowAll := machineTicks()
		if 8*(nowBusy-busy) <= nowAll-all {
			return
		}
	}
}

// machineTicks returns how much time all processors were busy, and all of
// their time, in ticks of the kernel; zeros where it is not told.
func machineTicks() (busy, all int64) {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line) {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil || i > 8 {
			continue // the name; what guests took is counted already
		}
		all += n
		if i != 4 && i != 5 { // idle, and idle while a disk works
			busy += n
		}
	}
	return busy, all
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// enginePID returns the process behind a socket, 0 if it cannot be told.
func enginePID(sock string) int {
	c, err := net.Dial("unix", sock)
	if err != nil {
		return 0
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}

// engineTime is the CPU time of a process's threads.
func engineTime(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	var sum int64
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		first, _, _ := strings.Cut(string(b), " ")
		ns, _ := strconv.ParseInt(first, 10, 64)
		sum += ns
	}
	return time.Duration(sum)
}

// ratio is the median over the rounds of what a costs for each that b costs.
func (r result) ratio(a, b string, of func(sample) float64) float64 {
	var l []float64
	for i, s := range r.samples[a] {
		if d := of(r.samples[b][i]); d > 0 {
			l = append(l, of(s)/d)
		}
	}
	return median(l)
}

// What can be compared of samples.
func wall(s sample) float64      { return float64(s.wall) }
func engineCPU(s sample) float64 { return float64(s.engine) }
func allocs(s sample) float64    { return float64(s.allocs) }
func wallMS(s sample) float64    { return ms(s.wall) }

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// median returns a variant's median of something.
func (r result) median(name string, of func(sample) float64) float64 {
	var l []float64
	for _, s := range r.samples[name] {
		l = append(l, of(s))
	}
	return median(l)
}

// median of nothing is no number, and meets no goal.
func median(l []float64) float64 {
	if len(l) == 0 {
		return math.NaN()
	}
	l = slices.Sorted(slices.Values(l))
	return (l[len(l)/2] + l[(len(l)-1)/2]) / 2
}

// print writes a table of the medians, and of the first variant's cost as a
// multiple of each one's.
func (r result) print() {
	base := r.variants[0].name
	fmt.Printf("%-28s %12s %8s %12s %12s %10s %10s\n", "", "wall ms", "x", "client ms", "engine ms", "allocs", "KB")
	for _, v := range r.variants {
		of := func(f func(sample) float64) float64 { return r.median(v.name, f) }
		fmt.Printf("%-28s %12.3f %8.2f %12.3f %12.3f %10.0f %10.0f\n", v.name,
			of(wallMS), r.ratio(base, v.name, wall),
			of(func(s sample) float64 { return ms(s.cpu) }), of(func(s sample) float64 { return ms(s.engine) }),
			of(allocs), of(func(s sample) float64 { return float64(s.bytes) / 1024 }))
	}
}
