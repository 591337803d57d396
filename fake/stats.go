package fake

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"math"
	"time"

	"github.com/docker/docker/api/types/container"
)

// The operations of the optional interfaces for statistics and sizes.
const (
	OpContainerStatsOneShot   Op = "ContainerStatsOneShot"
	OpContainerInspectWithRaw Op = "ContainerInspectWithRaw"
)

// Usage is what a running container uses, for [Docker.SetUsage]. The rates
// hold from then on, and its counters move with the engine's clock; the rest
// is as it is. The zero value is a container that does nothing at all.
type Usage struct {
	Cores float64 // CPUs that it keeps busy: 0.5 is half of one

	Anon         int64 // bytes of anonymous memory
	ActiveFile   int64 // bytes of page cache in use
	InactiveFile int64 // bytes of page cache that could be given up

	Processes int64 // 0: one

	// Bytes per second. What comes and goes on the network of a pod is that of
	// its sandbox.
	Receives, Sends int64
	Reads, Writes   int64 // of block devices

	WritableLayer int64 // bytes that it wrote into its own layer
}

// meter is the counters of a container's current run.
type meter struct {
	usage Usage
	at    time.Time // until when they are settled
	peak  int64     // of its memory
	cpu   float64   // nanoseconds
	rx    float64
	tx    float64
	read  float64
	wrote float64
}

// idle is what a container uses of which a test says nothing.
var idle = Usage{Cores: 0.001, Anon: 512 << 10, InactiveFile: 4 << 10}

// settle counts on until now. A paused container does nothing, but its network
// goes on.
func (m *meter) settle(now time.Time, paused bool) {
	d := now.Sub(m.at)
	if d < 0 {
		return
	}
	m.at = now
	s := d.Seconds()
	m.rx += s * float64(m.usage.Receives)
	if paused {
		return
	}
	m.cpu += float64(d) * m.usage.Cores
	m.tx += s * float64(m.usage.Sends)
	m.read += s * float64(m.usage.Reads)
	m.wrote += s * float64(m.usage.Writes)
}

func (m *meter) use(u Usage) {
	m.usage = u
	m.peak = max(m.peak, u.memory())
}

func (u Usage) memory() int64 { return u.Anon + u.ActiveFile + u.InactiveFile }

// SetUsage makes a container use so much from now on, in this and in later
// runs. CPU time, network and block I/O are counted from each start anew.
func (d *Docker) SetUsage(id string, u Usage) {
	d.lock()
	defer d.mu.Unlock()
	d.setUsage(d.must(id), u)
}

// SetUsage makes the process's container use so much, as [Docker.SetUsage]
// does.
func (p *Process) SetUsage(u Usage) {
	d := p.task.d
	d.lock()
	defer d.mu.Unlock()
	d.setUsage(p.task.c, u)
}

func (d *Docker) setUsage(c *ctr, u Usage) {
	d.countOn(c, d.now())
	c.meter.use(u)
	c.metered = true
}

// countOn brings a container's counters up to date.
func (d *Docker) countOn(c *ctr, now time.Time) {
	if c.running {
		c.meter.settle(now, c.paused)
	}
}

// meterStart begins the counters of a run. The start itself takes some time.
func (d *Docker) meterStart(c *ctr) {
	u := idle
	if c.metered {
		u = c.meter.usage
	}
	c.meter = meter{at: c.started, cpu: 40e6}
	c.meter.use(u)
}

// ContainerStatsOneShot returns one reading of a container's counters, as JSON
// in the shape of Docker 20.10. Of a container that does not run it is one
// without a time.
func (d *Docker) ContainerStatsOneShot(ctx context.Context, containerID string) (container.StatsResponseReader, error) {
	return onContainer(ctx, d, OpContainerStatsOneShot, containerID, func(c *ctr) (container.StatsResponseReader, error) {
		s := container.StatsResponse{ID: c.id, Name: "/" + c.name}
		if c.running {
			d.measure(c, &s)
		}
		text, err := json.Marshal(s)
		return container.StatsResponseReader{Body: io.NopCloser(bytes.NewReader(append(text, '\n'))), OSType: "linux"}, err
	})
}

// noLimit is what version 1 of cgroups has for no limit.
const noLimit = math.MaxInt64 &^ 4095

// measure fills in what a running container uses.
func (d *Docker) measure(c *ctr, s *container.StatsResponse) {
	now := d.now() // one for all: rates are made of differences
	d.countOn(c, now)
	m, u := &c.meter, c.meter.usage
	s.Read = now.UTC()

	s.PidsStats.Current = uint64(max(u.Processes, 1))
	if n := c.hc.PidsLimit; n != nil && *n > 0 {
		s.PidsStats.Limit = uint64(*n)
	}

	total := uint64(m.cpu)
	s.CPUStats = container.CPUStats{
		CPUUsage: container.CPUUsage{
			TotalUsage: total,
			// In ticks.
			UsageInUsermode: total * 3 / 4 / 1e7 * 1e7, UsageInKernelmode: total / 4 / 1e7 * 1e7,
		},
		SystemUsage: uint64(max(now.Sub(systemStart), 0)) * cpus, OnlineCPUs: cpus,
	}
	for i := range uint64(cpus) {
		s.CPUStats.CPUUsage.PercpuUsage = append(s.CPUStats.CPUUsage.PercpuUsage, (total+i)/cpus)
	}

	s.MemoryStats.Usage = uint64(u.memory())
	s.MemoryStats.Limit = uint64(cmp.Or(c.hc.Memory, memory))
	anon, active, inactive := uint64(u.Anon), uint64(u.ActiveFile), uint64(u.InactiveFile)
	if d.CgroupVersion == "2" {
		s.CPUStats.CPUUsage.PercpuUsage = nil
		s.MemoryStats.Stats = map[string]uint64{
			"anon": anon, "file": active + inactive, "inactive_file": inactive, "active_file": active,
			"active_anon": anon, "inactive_anon": 0, "unevictable": 0, "pgfault": anon / 4096, "pgmajfault": 0,
			"file_mapped": active, "file_dirty": 0, "file_writeback": 0, "shmem": 0, "slab": 0, "sock": 0, "kernel_stack": 16384,
		}
	} else {
		s.MemoryStats.MaxUsage = uint64(m.peak)
		s.MemoryStats.Stats = map[string]uint64{
			"hierarchical_memory_limit": uint64(cmp.Or(c.hc.Memory, noLimit)), "hierarchical_memsw_limit": uint64(cmp.Or(max(c.hc.MemorySwap, 0), noLimit)),
		}
		for name, v := range map[string]uint64{
			"rss": anon, "cache": active + inactive, "active_anon": anon, "inactive_anon": 0, "active_file": active, "inactive_file": inactive,
			"mapped_file": active, "dirty": 0, "writeback": 0, "rss_huge": 0, "unevictable": 0,
			"pgfault": anon / 4096, "pgmajfault": 0, "pgpgin": uint64(u.memory()) / 4096, "pgpgout": 0,
		} {
			s.MemoryStats.Stats[name], s.MemoryStats.Stats["total_"+name] = v, v
		}
	}

	s.BlkioStats = blockIO(d.CgroupVersion, uint64(m.read), uint64(m.wrote))
	if n := d.networkOf(c); n != nil {
		d.countOn(n, now)
		rx, tx := uint64(n.meter.rx), uint64(n.meter.tx)
		s.Networks = map[string]container.NetworkStats{
			"eth0": {RxBytes: rx, RxPackets: (rx + 1499) / 1500, TxBytes: tx, TxPackets: (tx + 1499) / 1500},
		}
	}
}

const memory = 8 << 30 // of the machine

// systemStart is when the machine began to count.
var systemStart = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)

// blockIO spells what went to a device as either version of cgroups does.
// There is no entry before the first byte.
func blockIO(cgroup string, read, wrote uint64) container.BlkioStats {
	none := []container.BlkioStatEntry{}
	s := container.BlkioStats{
		IoServiceBytesRecursive: none, IoServicedRecursive: none, IoQueuedRecursive: none, IoServiceTimeRecursive: none,
		IoWaitTimeRecursive: none, IoMergedRecursive: none, IoTimeRecursive: none, SectorsRecursive: none,
	}
	if cgroup == "2" {
		s = container.BlkioStats{}
	}
	if read+wrote == 0 {
		return s
	}
	entries := func(read, wrote uint64) []container.BlkioStatEntry {
		const major = 8
		if cgroup == "2" {
			return []container.BlkioStatEntry{{Major: major, Op: "read", Value: read}, {Major: major, Op: "write", Value: wrote}}
		}
		return []container.BlkioStatEntry{
			{Major: major, Op: "Read", Value: read}, {Major: major, Op: "Write", Value: wrote}, {Major: major, Op: "Sync", Value: read + wrote},
			{Major: major, Op: "Async"}, {Major: major, Op: "Discard"}, {Major: major, Op: "Total", Value: read + wrote},
		}
	}
	s.IoServiceBytesRecursive = entries(read, wrote)
	if cgroup != "2" {
		s.IoServicedRecursive = entries((read+4095)/4096, (wrote+4095)/4096)
	}
	return s
}

// networkOf returns the container whose network c has; nil if that is the
// host's, or none.
func (d *Docker) networkOf(c *ctr) *ctr {
	for c != nil && c.hc.NetworkMode.IsContainer() {
		next, err := d.find(c.hc.NetworkMode.ConnectedContainer())
		if err != nil {
			return nil
		}
		c = next
	}
	if c == nil || c.hc.NetworkMode.IsHost() || c.hc.NetworkMode.IsNone() {
		return nil
	}
	return c
}

// ContainerInspectWithRaw returns all about a container, with getSize also
// the size of its files: what [Usage].WritableLayer says, and its image.
func (d *Docker) ContainerInspectWithRaw(ctx context.Context, containerID string, getSize bool) (container.InspectResponse, []byte, error) {
	r, err := onContainer(ctx, d, OpContainerInspectWithRaw, containerID, func(c *ctr) (container.InspectResponse, error) {
		r := d.inspect(c)
		if getSize {
			rw := c.meter.usage.WritableLayer
			whole := rw
			if c.image != nil {
				whole += c.image.size()
			}
			r.SizeRw, r.SizeRootFs = &rw, &whole
		}
		return r, nil
	})
	if err != nil {
		return container.InspectResponse{}, nil, err
	}
	raw, err := json.Marshal(r)
	return r, raw, err
}
