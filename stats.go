package dockpod

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
)

// Usage is what a container, or a pod, uses of its machine. Counts are of all
// its processes, since its start.
type Usage struct {
	At      time.Time // when the counters were read, by the engine's clock
	CPU     CPUUsage
	Memory  MemoryUsage
	BlockIO BlockIOUsage
	// Processes counts threads as well, as the kernel's limit does.
	Processes    int64
	ProcessLimit int64 // 0: none, or on Podman, which tells none
}

// CPUUsage is the time that processors spent.
type CPUUsage struct {
	Total        time.Duration // of all CPUs together
	User, Kernel time.Duration // parts of it; Docker counts them in ticks of 10 ms
	// NanoCores is how fast Total grew during Window, which ends at
	// [Usage].At: a billion is one CPU. A rate takes two readings. The
	// Runtime remembers a container's last one for a few minutes, so the
	// first reading has no rate: Window is zero then.
	NanoCores int64
	Window    time.Duration
	// Of the Periods in which a quota was in force, ThrottledPeriods had some
	// process wait for the next; ThrottledTime is how long, of all CPUs.
	Periods, ThrottledPeriods int64
	ThrottledTime             time.Duration
}

// MemoryUsage is memory in bytes.
type MemoryUsage struct {
	Usage int64 // all that is accounted to the container, with its part of the page cache
	Limit int64 // 0: none, or none below what the machine has
	// Detailed: the engine tells what the memory is used for. Podman 4 does
	// not, and then the fields below are zero and mean nothing.
	Detailed        bool
	InactiveFile    int64 // page cache that can be given up at once; at most Usage
	RSS             int64 // anonymous memory
	PageFaults      int64
	MajorPageFaults int64 // those that had to wait for a disk
	// Swap counts only if SwapKnown: few engines tell it.
	Swap      int64
	SwapKnown bool
}

// WorkingSet is the memory that cannot be given up at once, as the kubelet
// counts it: the usage without inactive page cache. ok is false if the engine
// does not tell enough.
func (m MemoryUsage) WorkingSet() (bytes int64, ok bool) {
	if !m.Detailed {
		return 0, false
	}
	return max(m.Usage-m.InactiveFile, 0), true
}

// Available is how much the working set can grow until the limit. ok is false
// if there is no limit, or the working set is not known.
func (m MemoryUsage) Available() (bytes int64, ok bool) {
	set, ok := m.WorkingSet()
	if !ok || m.Limit == 0 {
		return 0, false
	}
	return max(m.Limit-set, 0), true
}

// BlockIOUsage is what went to and from block devices, all of them together.
// Writes that the page cache still holds are not among it.
type BlockIOUsage struct {
	ReadBytes, WrittenBytes int64
	Reads, Writes           int64 // operations
}

// InterfaceUsage is what went through one network interface.
type InterfaceUsage struct {
	Name                                    string
	RxBytes, RxPackets, RxErrors, RxDropped int64
	TxBytes, TxPackets, TxErrors, TxDropped int64
}

// NanoCoresSince computes how fast the CPU time grew between two readings of
// one container: a billion is one CPU. ok is false if prev is not the earlier
// one, or the container was started anew since.
func (u Usage) NanoCoresSince(prev Usage) (n int64, ok bool) {
	over, used := u.At.Sub(prev.At), u.CPU.Total-prev.CPU.Total
	if prev.At.IsZero() || over <= 0 || used < 0 {
		return 0, false
	}
	rate := float64(used) / float64(over) * 1e9
	if rate >= math.MaxInt64 {
		return 0, false // no machine has so many: the clock moved
	}
	return int64(rate), true
}

// ContainerStats is what a running container uses.
type ContainerStats struct {
	Container
	Usage
	// Networks are the interfaces that the container sees, sorted by name. In
	// a pod they are the pod's, the same for each of its containers, so that
	// one must not add them up. The node's are never among them.
	Networks []InterfaceUsage
}

// SandboxStats is what a pod uses: the sums over its running containers and
// its sandbox.
type SandboxStats struct {
	Sandbox
	// Usage is the sum. Its At is the sandbox's. Its limits are sums, too, and
	// zero unless each of the containers has one. Its CPU rate is known if
	// each of theirs is, and its window is the shortest.
	Usage
	Networks   []InterfaceUsage // the pod's, sorted by name; none if it uses the node's
	Containers []ContainerStats // those that run, sorted by name
	// Problems holds an [*Error] with the container's ID for each one that
	// could not be read. The sums are without it.
	Problems []error
}

// ContainerStats reads what a container uses. The error is [ErrNotRunning] for
// one that does not run, [ErrContainerNotFound] if it is gone, and
// [ErrUnsupported] if the engine is no [ContainerStatser].
func (r *Runtime) ContainerStats(ctx context.Context, id string) (st ContainerStats, err error) {
	ctx, end := r.begin(ctx, "container stats", id)
	defer end(&err)
	info, err := r.inspect(ctx, id, TypeContainer)
	if err != nil {
		return ContainerStats{}, err
	}
	status, err := r.statusOf(info, nil)
	if err != nil {
		return ContainerStats{}, err
	}
	if status.State != StateRunning {
		return ContainerStats{}, noStatsIn(status.EngineState)
	}
	st.Container = status.Container
	st.Usage, st.Networks, err = r.readUsage(ctx, info.ID)
	if err != nil {
		return ContainerStats{}, err
	}
	return st, nil
}

// noStatsIn takes the engine's word: a container that restarts is StateRunning.
func noStatsIn(word string) error { return fmt.Errorf("%w: it is %s", ErrNotRunning, word) }

// ListContainerStats reads what the running containers that f selects use, a
// few at a time, each with a deadline of its own, so that one that hangs does
// not keep the others'. Containers that do not run, or end or vanish
// meanwhile, are left out.
//
// What could be read is returned beside the error, which joins an [*Error]
// with the container's ID for each that could not.
func (r *Runtime) ListContainerStats(ctx context.Context, f Filter) (list []ContainerStats, err error) {
	const op = "list container stats"
	ctx, end := r.beginLimit(ctx, op, "", -1)
	defer end(&err)
	if f.State != "" && f.State != StateRunning {
		return nil, &FieldError{"Filter.State", fmt.Sprintf("%q containers have no stats", f.State)}
	}
	if _, err := r.statser(); err != nil {
		return nil, err
	}
	f.State = StateRunning
	containers, err := r.ListContainers(ctx, f)
	if err != nil {
		return nil, err
	}
	list = make([]ContainerStats, 0, len(containers))
	var failed []error
	for _, res := range r.readAll(ctx, containers) {
		switch {
		case res.err == nil:
			list = append(list, res.ContainerStats)
		case !isEnded(res.err):
			failed = append(failed, res.err)
		}
	}
	return list, joinErrors(failed)
}

// isEnded reports whether a container has no stats because it is not there, or
// does not run, any more.
func isEnded(err error) bool {
	return errors.Is(err, ErrNotRunning) || errors.Is(err, ErrContainerNotFound)
}

// statsResult is the stats of a container, or why there are none.
type statsResult struct {
	ContainerStats
	err error
}

// readAll reads the stats of containers that run, in their order.
func (r *Runtime) readAll(ctx context.Context, containers []Container) []statsResult {
	results := make([]statsResult, len(containers))
	each(len(containers), func(i int) {
		res := &results[i]
		res.Container = containers[i]
		op := "container stats"
		if res.Name.IsSandbox() {
			op = "sandbox stats"
		}
		ctx, end := r.beginLimit(ctx, op, res.ID, r.partTimeout())
		res.Usage, res.Networks, res.err = r.readUsage(ctx, res.ID)
		end(&res.err)
	})
	return results
}

// SandboxStats reads what a pod uses. The error is [ErrNotRunning] if its
// sandbox is not ready, [ErrContainerNotFound] if that is gone, and
// [ErrUnsupported] if the engine is no [ContainerStatser]. A container of the
// pod that cannot be read is among the Problems of the result.
func (r *Runtime) SandboxStats(ctx context.Context, id string) (st SandboxStats, err error) {
	ctx, end := r.begin(ctx, "sandbox stats", id)
	defer end(&err)
	info, err := r.inspect(ctx, id, TypeSandbox)
	if err != nil {
		return SandboxStats{}, err
	}
	status, err := r.sandboxStatusOf(info)
	if err != nil {
		return SandboxStats{}, err
	}
	members, err := r.members(ctx, info.ID)
	if err != nil {
		return SandboxStats{}, err
	}
	list, failed := r.podStats(ctx, []Sandbox{status.Sandbox}, r.fromSummaries(members))
	if len(failed) > 0 {
		return SandboxStats{}, failed[0]
	}
	return list[0], nil
}

// ListSandboxStats reads what the pods use whose sandboxes f selects and are
// ready, as [Runtime.ListContainerStats] does. What could be read is returned
// beside the error, which joins an [*Error] for each sandbox that could not;
// a container that could not be read is among the Problems of its pod.
func (r *Runtime) ListSandboxStats(ctx context.Context, f SandboxFilter) (list []SandboxStats, err error) {
	ctx, end := r.beginLimit(ctx, "list sandbox stats", "", -1)
	defer end(&err)
	if f.State == SandboxNotReady {
		return nil, &FieldError{"SandboxFilter.State", "sandboxes that are not ready have no stats"}
	}
	if _, err := r.statser(); err != nil {
		return nil, err
	}
	f.State = SandboxReady
	// The containers last: their pods' sandboxes are known then.
	sandboxes, err := r.ListSandboxes(ctx, f)
	if err != nil {
		return nil, err
	}
	var containers []Container
	if len(sandboxes) > 0 {
		if containers, err = r.ListContainers(ctx, Filter{State: StateRunning, SandboxID: f.ID, UID: f.UID}); err != nil {
			return nil, err
		}
	}
	list, failed := r.podStats(ctx, sandboxes, containers)
	return list, joinErrors(slices.DeleteFunc(failed, isEnded))
}

// fromSummaries turns the engine's list into ours, without what cannot be
// read.
func (r *Runtime) fromSummaries(raw []container.Summary) []Container {
	var list []Container
	for _, s := range raw {
		c, err := r.fromSummary(s)
		if err != nil {
			r.skip(Skipped{s.ID, s.Names, err})
			continue
		}
		list = append(list, c)
	}
	return list
}

// podStats reads the stats of pods, and why a sandbox has none, be it that it
// has ended. containers may hold those of others.
func (r *Runtime) podStats(ctx context.Context, sandboxes []Sandbox, containers []Container) (list []SandboxStats, failed []error) {
	list = []SandboxStats{}
	running := make([]Container, 0, len(sandboxes)+len(containers))
	at := map[string]int{}
	for i, s := range sandboxes {
		at[s.ID] = i
		running = append(running, Container{ID: s.ID, Name: s.Name}) // read as a container is
	}
	for _, c := range containers {
		if _, ok := at[c.SandboxID]; ok && c.State == StateRunning {
			running = append(running, c)
		}
	}
	results := r.readAll(ctx, running)
	pods := make([]SandboxStats, len(sandboxes))
	for _, res := range results[len(sandboxes):] {
		pod := &pods[at[res.SandboxID]]
		switch {
		case res.err == nil:
			pod.Containers = append(pod.Containers, res.ContainerStats)
		case !isEnded(res.err):
			pod.Problems = append(pod.Problems, res.err)
		}
	}
	for i, own := range results[:len(sandboxes)] {
		if own.err != nil {
			failed = append(failed, own.err)
			continue
		}
		pod := pods[i]
		pod.Sandbox, pod.Networks = sandboxes[i], own.Networks
		slices.SortFunc(pod.Containers, func(a, b ContainerStats) int {
			return cmp.Or(strings.Compare(a.Name.Container, b.Name.Container), strings.Compare(a.ID, b.ID))
		})
		pod.Usage = sumUsage(own.Usage, pod.Containers)
		list = append(list, pod)
	}
	return list, failed
}

// sumUsage adds the usage of a pod's containers to that of its sandbox, which
// has no limits of interest.
func sumUsage(sandbox Usage, containers []ContainerStats) Usage {
	sum := sandbox
	sum.Memory.Limit, sum.ProcessLimit = 0, 0
	memoryLimits, processLimits := len(containers) > 0, len(containers) > 0
	for _, c := range containers {
		cpu, mem, io := &sum.CPU, &sum.Memory, &sum.BlockIO
		cpu.Total += c.CPU.Total
		cpu.User += c.CPU.User
		cpu.Kernel += c.CPU.Kernel
		cpu.NanoCores += c.CPU.NanoCores
		cpu.Window = min(cpu.Window, c.CPU.Window)
		cpu.Periods += c.CPU.Periods
		cpu.ThrottledPeriods += c.CPU.ThrottledPeriods
		cpu.ThrottledTime += c.CPU.ThrottledTime

		mem.Usage = addBytes(mem.Usage, c.Memory.Usage)
		mem.Limit = addBytes(mem.Limit, c.Memory.Limit)
		mem.Detailed = mem.Detailed && c.Memory.Detailed
		mem.InactiveFile += c.Memory.InactiveFile
		mem.RSS += c.Memory.RSS
		mem.PageFaults += c.Memory.PageFaults
		mem.MajorPageFaults += c.Memory.MajorPageFaults
		mem.Swap += c.Memory.Swap
		mem.SwapKnown = mem.SwapKnown && c.Memory.SwapKnown

		io.ReadBytes += c.BlockIO.ReadBytes
		io.WrittenBytes += c.BlockIO.WrittenBytes
		io.Reads += c.BlockIO.Reads
		io.Writes += c.BlockIO.Writes
		sum.Processes += c.Processes
		sum.ProcessLimit += c.ProcessLimit
		memoryLimits = memoryLimits && c.Memory.Limit > 0
		processLimits = processLimits && c.ProcessLimit > 0
	}
	if sum.CPU.Window == 0 {
		sum.CPU.NanoCores = 0
	}
	if !memoryLimits {
		sum.Memory.Limit = 0
	}
	if !processLimits {
		sum.ProcessLimit = 0
	}
	return sum
}

// maxStatsBytes bounds an engine's answer. That of a machine of a thousand
// CPUs is some thirty kilobytes long.
const maxStatsBytes = 4 << 20

// readUsage asks for the usage of a container that runs. The ID is the full
// one.
//
// Only one-shot readings are asked for: with two, an engine keeps the caller
// for a second or two, and the rate is had from the reading before.
func (r *Runtime) readUsage(ctx context.Context, id string) (Usage, []InterfaceUsage, error) {
	engine, err := r.statser()
	if err != nil {
		return Usage{}, nil, err
	}
	info, err := r.info.get(ctx, r.fetchInfo)
	if err != nil {
		return Usage{}, nil, err
	}
	s, err := fetchStats(ctx, engine, id)
	if err != nil {
		return Usage{}, nil, err
	}
	if s.Read.Year() <= 1 {
		return Usage{}, nil, r.whyNoStats(ctx, id)
	}
	u := usageOf(s, info.MemoryBytes)
	r.rates.note(id, &u, time.Now())
	return u, interfacesOf(s.Networks), nil
}

func (r *Runtime) statser() (ContainerStatser, error) {
	if r.err != nil {
		return nil, r.err
	}
	engine, ok := r.docker.(ContainerStatser)
	if !ok {
		return nil, &UnsupportedError{"stats", "the engine has no call for them"}
	}
	return engine, nil
}

// fetchStats reads one answer. That of a container which does not run has no
// time, or no content at all.
func fetchStats(ctx context.Context, engine ContainerStatser, id string) (s container.StatsResponse, err error) {
	resp, err := engine.ContainerStatsOneShot(ctx, id)
	if err != nil {
		return s, classify(verbContainer, id, err)
	}
	if resp.Body == nil {
		return s, nil
	}
	defer resp.Body.Close()
	err = json.NewDecoder(io.LimitReader(resp.Body, maxStatsBytes)).Decode(&s)
	switch {
	case err == nil, err == io.EOF: // Podman's answer is empty
		return s, nil
	case ctx.Err() != nil:
		return s, ctx.Err()
	}
	return s, &classified{ErrBadAnswer, bounded("statistics: " + err.Error())}
}

// whyNoStats looks at a container whose stats are empty: that it ended is not
// to be taken from an answer that was lost.
func (r *Runtime) whyNoStats(ctx context.Context, id string) error {
	info, err := r.inspectAny(ctx, id)
	if err != nil {
		return err
	}
	if st := info.State; st != nil && st.Running && !st.Restarting {
		return &classified{ErrBadAnswer, "the engine has no statistics of a container that runs"}
	}
	es := stateFromInspect(info, func(string) {})
	if es.restarting {
		es.word = "restarting" // also where the engine's word is that it runs
	}
	return noStatsIn(es.effectiveWord())
}

// usageOf reads an engine's answer. machine is the memory of its machine, as
// an engine says that for no limit; zero: not known.
func usageOf(s container.StatsResponse, machine int64) Usage {
	cpu := s.CPUStats
	return Usage{
		At: s.Read.UTC(),
		CPU: CPUUsage{
			Total:            time.Duration(count(cpu.CPUUsage.TotalUsage)),
			User:             time.Duration(count(cpu.CPUUsage.UsageInUsermode)),
			Kernel:           time.Duration(count(cpu.CPUUsage.UsageInKernelmode)),
			Periods:          count(cpu.ThrottlingData.Periods),
			ThrottledPeriods: count(cpu.ThrottlingData.ThrottledPeriods),
			ThrottledTime:    time.Duration(count(cpu.ThrottlingData.ThrottledTime)),
		},
		Memory: memoryUsageOf(s.MemoryStats, machine),
		BlockIO: BlockIOUsage{
			ReadBytes:    sumOp(s.BlkioStats.IoServiceBytesRecursive, "read"),
			WrittenBytes: sumOp(s.BlkioStats.IoServiceBytesRecursive, "write"),
			Reads:        sumOp(s.BlkioStats.IoServicedRecursive, "read"),
			Writes:       sumOp(s.BlkioStats.IoServicedRecursive, "write"),
		},
		Processes:    count(s.PidsStats.Current),
		ProcessLimit: limit(s.PidsStats.Limit, 0),
	}
}

// memoryUsageOf reads the statistics of either version of cgroups. Version 1
// has each twice: "total_" is that with the cgroups below.
func memoryUsageOf(m container.MemoryStats, machine int64) MemoryUsage {
	u := MemoryUsage{Usage: count(m.Usage), Limit: limit(m.Limit, machine)}
	of := func(names ...string) (n int64, ok bool) {
		for _, name := range names {
			if v, ok := m.Stats[name]; ok {
				return count(v), true
			}
		}
		return 0, false
	}
	u.InactiveFile, u.Detailed = of("total_inactive_file", "inactive_file")
	u.InactiveFile = min(u.InactiveFile, u.Usage) // the kernel counts the two at different times
	u.RSS, _ = of("total_rss", "rss", "anon")
	u.PageFaults, _ = of("total_pgfault", "pgfault")
	u.MajorPageFaults, _ = of("total_pgmajfault", "pgmajfault")
	u.Swap, u.SwapKnown = of("total_swap", "swap")
	return u
}

// count is a counter of the kernel's as far as it has a sign.
func count(v uint64) int64 { return int64(min(v, math.MaxInt64)) }

// limit is a limit of the kernel's; zero for none. An engine says that as
// zero, as the largest number there is, or as all of the machine's memory.
func limit(v uint64, machine int64) int64 {
	if v > math.MaxInt64 || machine > 0 && v >= uint64(machine) {
		return 0
	}
	return int64(v)
}

// sumOp adds up what an operation did on all devices. Version 1 of cgroups
// spells it "Read" and has sums beside it ("Total", "Sync").
func sumOp(entries []container.BlkioStatEntry, op string) (sum int64) {
	for _, e := range entries {
		if strings.EqualFold(e.Op, op) {
			sum = addBytes(sum, count(e.Value))
		}
	}
	return sum
}

func interfacesOf(networks map[string]container.NetworkStats) []InterfaceUsage {
	var list []InterfaceUsage
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		n := networks[name]
		if name == "network" && n == (container.NetworkStats{}) {
			continue // Podman's sum of no interfaces, as on the node's network
		}
		list = append(list, InterfaceUsage{
			Name:    name,
			RxBytes: count(n.RxBytes), RxPackets: count(n.RxPackets), RxErrors: count(n.RxErrors), RxDropped: count(n.RxDropped),
			TxBytes: count(n.TxBytes), TxPackets: count(n.TxPackets), TxErrors: count(n.TxErrors), TxDropped: count(n.TxDropped),
		})
	}
	return list
}

// cpuRates remembers the last reading of each container, which a rate needs.
type cpuRates struct {
	mu    sync.Mutex
	last  map[string]cpuReading // by full ID
	swept time.Time
}

type cpuReading struct {
	Usage           // with the rate that was reported
	noted time.Time // by our clock
}

const (
	// minRateWindow is the shortest time that a rate is taken over. Two
	// callers who read one after the other get the same.
	minRateWindow = 500 * time.Millisecond
	// maxRateWindow is how long a reading is remembered.
	maxRateWindow = 5 * time.Minute
)

// note fills in the rate of a reading that was made now, and remembers it.
func (c *cpuRates) note(id string, u *Usage, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.swept) >= maxRateWindow {
		// Old entries go here alone: those of containers that are gone.
		maps.DeleteFunc(c.last, func(_ string, r cpuReading) bool { return now.Sub(r.noted) >= maxRateWindow })
		c.swept = now
	}
	if c.last == nil {
		c.last = map[string]cpuReading{}
	}
	prev, ok := c.last[id]
	if ok && now.Sub(prev.noted) < maxRateWindow {
		if over := u.At.Sub(prev.At); over > -minRateWindow && over < minRateWindow {
			u.CPU.NanoCores, u.CPU.Window = prev.CPU.NanoCores, prev.CPU.Window
			return
		}
		if n, ok := u.NanoCoresSince(prev.Usage); ok {
			u.CPU.NanoCores, u.CPU.Window = n, u.At.Sub(prev.At)
		}
	}
	c.last[id] = cpuReading{*u, now}
}
