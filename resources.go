package dockpod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
)

// Device is a device of the node for a container. A privileged container has
// all of them, with all permissions, whatever is asked for here.
type Device struct {
	// HostPath is absolute: a device, a link to one, or a directory, whose
	// devices are all given.
	HostPath      string
	ContainerPath string // empty: as on the host
	Permissions   string // of "rwm": read, write, make the node; empty: all three
}

// Ulimit is a resource limit of the process; -1 is unlimited.
type Ulimit struct {
	Name       string // "nofile"
	Soft, Hard int64
}

// Resources are limits of a container. Zero fields leave the engine's
// defaults, which are no limit, or in [Runtime.UpdateContainer] what the
// container has. Each other field is in force or refused by an
// [*UnsupportedError] that names it, also where the engine would discard it
// because its kernel lacks it.
//
// The tags are those of a stored label, and do not change.
type Resources struct {
	MemoryLimit int64 `json:"memoryLimit,omitempty"` // bytes; at least 6 MiB
	// MemorySwapLimit is the sum of memory and swap in bytes. Zero with a
	// MemoryLimit means no swap, as a kubelet wants it: an engine left alone
	// gives as much swap as memory. -1 is unlimited swap. Where the kernel
	// cannot limit swap, zero is no error but a [Warning].
	MemorySwapLimit int64  `json:"memorySwapLimit,omitempty"`
	CPUShares       int64  `json:"cpuShares,omitempty"`   // relative weight, 2 to 262144; 1024 is one CPU's worth
	CPUQuota        int64  `json:"cpuQuota,omitempty"`    // microseconds of CPU time in each CPUPeriod, at least 1000; -1: no limit
	CPUPeriod       int64  `json:"cpuPeriod,omitempty"`   // microseconds, 1000 to 1000000; 0: 100 ms
	CpusetCpus      string `json:"cpusetCpus,omitempty"`  // the CPUs to run on: "0-2,4"
	CpusetMems      string `json:"cpusetMems,omitempty"`  // the memory nodes to use: "0"
	PidsLimit       int64  `json:"pidsLimit,omitempty"`   // 0: the engine's default; -1: unlimited
	OOMScoreAdj     int    `json:"oomScoreAdj,omitempty"` // from -1000 to 1000

	// Block I/O: the engine sets these at creation only. Weights need a
	// kernel with a scheduler that knows them.
	BlkioWeight        uint16         `json:"blkioWeight,omitempty"` // relative weight, 10 to 1000
	BlkioDeviceWeights []DeviceWeight `json:"blkioDeviceWeights,omitempty"`
	BlkioReadBps       []DeviceRate   `json:"blkioReadBps,omitempty"` // bytes a second
	BlkioWriteBps      []DeviceRate   `json:"blkioWriteBps,omitempty"`
	BlkioReadIOps      []DeviceRate   `json:"blkioReadIOps,omitempty"` // operations a second
	BlkioWriteIOps     []DeviceRate   `json:"blkioWriteIOps,omitempty"`

	// HugepageLimits are bytes by page size: "2MB". The API of engines has no
	// such limit: refused.
	HugepageLimits map[string]int64 `json:"hugepageLimits,omitempty"`
	// Unified are values by file of cgroup v2. The API of engines has no such
	// field; memory.max, memory.swap.max, cpu.max, cpuset.cpus, cpuset.mems
	// and pids.max are exactly what fields above set, and are translated on
	// an engine with cgroup v2. Other files are refused, and so is a file
	// beside the field that sets it. A status shows the fields.
	Unified map[string]string `json:"unified,omitempty"`
}

// DeviceWeight is the weight of a container's I/O on one block device. The tags
// are those of a stored label, and do not change.
type DeviceWeight struct {
	Path   string `json:"path"`   // absolute, on the engine's host
	Weight uint16 `json:"weight"` // 10 to 1000
}

// DeviceRate bounds the I/O of a container on one block device. The tags are
// those of a stored label, and do not change.
type DeviceRate struct {
	Path string `json:"path"` // absolute, on the engine's host
	Rate uint64 `json:"rate"` // a second; not 0
}

// minMemory is the smallest memory limit that an engine takes.
const minMemory = 6 << 20

// unlimitedSwap stands for -1 in an update, of which engines pass only
// positive limits on to a running container. It is what the kernel itself
// shows for no limit.
const unlimitedSwap = math.MaxInt64 - 4095

// What a kubelet makes of CPUs.
const (
	sharesPerCPU = 1024
	minShares    = 2       // the least that the kernel takes
	maxShares    = 1 << 18 // the most
	quotaPeriod  = 100000  // microseconds
	minQuota     = 1000    // microseconds; the least that the kernel takes
)

// MilliCPUToShares returns the [Resources].CPUShares for a request of
// thousandths of a CPU, as a kubelet sets them: 1024 for a CPU, and not less
// than 2, which also stands for no request.
func MilliCPUToShares(milli int64) int64 {
	milli = min(max(milli, 0), maxShares) // beyond this the product is too much anyway
	return min(max(milli*sharesPerCPU/1000, minShares), maxShares)
}

// MilliCPUToQuota returns the [Resources].CPUQuota and CPUPeriod for a limit
// of thousandths of a CPU, as a kubelet sets them: a period of 100 ms, and a
// quota of at least 1 ms in it. Zero or less is no limit, for which both are 0.
func MilliCPUToQuota(milli int64) (quota, period int64) {
	if milli <= 0 {
		return 0, 0
	}
	const perMilli = quotaPeriod / 1000
	return max(min(milli, math.MaxInt64/perMilli)*perMilli, minQuota), quotaPeriod
}

func (v *validator) devices(ds []Device) {
	targets := map[string]int{}
	for i, d := range ds {
		field := fmt.Sprintf("Devices[%d]", i)
		if !path.IsAbs(d.HostPath) {
			v.bad(field+".HostPath", "%q is not absolute", d.HostPath)
		}
		if d.ContainerPath != "" && !path.IsAbs(d.ContainerPath) {
			v.bad(field+".ContainerPath", "%q is not absolute", d.ContainerPath)
		}
		v.text(field+".HostPath", d.HostPath)
		v.text(field+".ContainerPath", d.ContainerPath)
		if strings.Trim(d.Permissions, "rwm") != "" {
			v.bad(field+".Permissions", "%q; want letters of \"rwm\"", d.Permissions)
		}
		// Of two at one path an engine makes the last.
		target := path.Clean(cmp.Or(d.ContainerPath, d.HostPath))
		if first, dup := targets[target]; dup {
			v.bad(field+".ContainerPath", "%q is that of Devices[%d] too", target, first)
		} else {
			targets[target] = i
		}
	}
}

func (v *validator) cdiDevices(names []string) {
	for i, d := range names {
		field := fmt.Sprintf("CDIDevices[%d]", i)
		vendor, name, ok := strings.Cut(d, "=")
		if !ok || name == "" || !strings.Contains(vendor, "/") {
			v.bad(field, "%q; want vendor/class=name", d)
		}
		v.text(field, d)
	}
}

// rlimits are the limits that Linux has.
var rlimits = strings.Fields("as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack")

func (v *validator) ulimits(us []Ulimit) {
	seen := map[string]int{}
	for i, u := range us {
		field, name := fmt.Sprintf("Ulimits[%d]", i), strings.ToLower(u.Name)
		switch first, dup := seen[name]; {
		case !slices.Contains(rlimits, name):
			v.bad(field+".Name", "%q; want one of %s", u.Name, strings.Join(rlimits, ", "))
		case dup:
			v.bad(field+".Name", "%q is that of Ulimits[%d] too", u.Name, first)
		default:
			seen[name] = i
		}
		switch {
		case u.Soft < -1 || u.Hard < -1:
			v.bad(field, "%d:%d; want -1 for no limit", u.Soft, u.Hard)
		case u.Hard != -1 && (u.Soft > u.Hard || u.Soft == -1):
			v.bad(field+".Soft", "above the hard limit %d", u.Hard)
		}
	}
}

// resources checks limits for a container that is to be made.
func (v *validator) resources(field string, r Resources) {
	r = v.limits(field, r)
	if r.MemorySwapLimit > 0 && r.MemoryLimit == 0 {
		v.bad(field+".MemorySwapLimit", "needs MemoryLimit")
	}
	if r.OOMScoreAdj < -1000 || r.OOMScoreAdj > 1000 {
		v.bad(field+".OOMScoreAdj", "%d; want -1000 to 1000", r.OOMScoreAdj)
	}
	v.weight(field+".BlkioWeight", r.BlkioWeight, true)
	seen := map[string]int{}
	for i, d := range r.BlkioDeviceWeights {
		name := fmt.Sprintf("%s.BlkioDeviceWeights[%d]", field, i)
		v.blockDevice(name, d.Path, i, seen)
		v.weight(name+".Weight", d.Weight, false)
	}
	for _, list := range r.rates() {
		seen := map[string]int{}
		for i, d := range list.rates {
			name := fmt.Sprintf("%s.%s[%d]", field, list.name, i)
			v.blockDevice(name, d.Path, i, seen)
			if d.Rate == 0 {
				v.bad(name+".Rate", "0 would be no limit")
			}
		}
	}
}

// limits checks what can be set at creation and changed later. It returns r
// with the files of Unified in the fields that they stand for.
func (v *validator) limits(field string, r Resources) Resources {
	r = v.unified(field, r)
	switch {
	case r.MemoryLimit < 0:
		v.bad(field+".MemoryLimit", "%d is negative", r.MemoryLimit)
	case r.MemoryLimit > 0 && r.MemoryLimit < minMemory:
		v.bad(field+".MemoryLimit", "%d bytes; engines need at least %d", r.MemoryLimit, minMemory)
	}
	switch {
	case r.MemorySwapLimit < -1:
		v.bad(field+".MemorySwapLimit", "%d; want -1 for no limit", r.MemorySwapLimit)
	case r.MemorySwapLimit > 0 && r.MemorySwapLimit < r.MemoryLimit:
		v.bad(field+".MemorySwapLimit", "%d is below MemoryLimit %d", r.MemorySwapLimit, r.MemoryLimit)
	}
	if r.CPUShares != 0 && (r.CPUShares < minShares || r.CPUShares > maxShares) {
		v.bad(field+".CPUShares", "%d; want %d to %d", r.CPUShares, minShares, maxShares)
	}
	if r.CPUQuota < -1 || r.CPUQuota > 0 && r.CPUQuota < minQuota {
		v.bad(field+".CPUQuota", "%d; want at least %d us, or -1 for no limit", r.CPUQuota, minQuota)
	}
	if r.CPUPeriod != 0 && (r.CPUPeriod < 1000 || r.CPUPeriod > 1000000) {
		v.bad(field+".CPUPeriod", "%d; want 1000 to 1000000 us", r.CPUPeriod)
	}
	if r.PidsLimit < -1 {
		v.bad(field+".PidsLimit", "%d; want -1 for no limit", r.PidsLimit)
	}
	for _, n := range []struct{ name, value string }{{"CpusetCpus", r.CpusetCpus}, {"CpusetMems", r.CpusetMems}} {
		if n.value != "" && !isCPUList(n.value) {
			v.bad(field+"."+n.name, "%q; want a list such as \"0-2,4\"", n.value)
		}
	}
	for _, size := range sortedKeys(r.HugepageLimits) {
		v.unsupported(fmt.Sprintf("%s.HugepageLimits[%q]", field, size), "the engine's API has no such limit")
	}
	return r
}

func (v *validator) weight(field string, w uint16, zero bool) {
	if (w < 10 || w > 1000) && !(zero && w == 0) {
		v.bad(field, "%d; want 10 to 1000", w)
	}
}

func (v *validator) blockDevice(field, p string, i int, seen map[string]int) {
	v.text(field+".Path", p)
	clean := path.Clean(p)
	switch first, dup := seen[clean]; {
	case !path.IsAbs(p):
		v.bad(field+".Path", "%q is not absolute", p)
	case dup:
		v.bad(field+".Path", "%q is that of [%d] too", p, first)
	default:
		seen[clean] = i
	}
}

// maxCPU is one more than the largest number that engines take in a list.
const maxCPU = 8192

// isCPUList reports whether s is a list of numbers and ascending ranges.
func isCPUList(s string) bool {
	for part := range strings.SplitSeq(s, ",") {
		lo, hi, ranged := strings.Cut(part, "-")
		if !ranged {
			hi = lo
		}
		a, err := strconv.ParseUint(lo, 10, 16)
		b, err2 := strconv.ParseUint(hi, 10, 16)
		if err != nil || err2 != nil || b < a || b >= maxCPU {
			return false
		}
	}
	return true
}

// unified moves what Unified sets into the fields that set the same, and
// refuses the rest.
func (v *validator) unified(field string, r Resources) Resources {
	for _, file := range sortedKeys(r.Unified) { // memory.max before memory.swap.max
		name, value := fmt.Sprintf("%s.Unified[%q]", field, file), r.Unified[file]
		number := func(none int64) int64 {
			n, err := strconv.ParseInt(value, 10, 64)
			switch {
			case value == "max":
				return none
			case err != nil || n < 0:
				v.bad(name, "%q; want a number or \"max\"", value)
				return none
			}
			return n
		}
		beside := func(fieldName string, is bool) bool {
			if is {
				v.bad(name, "is %s, which is given too", fieldName)
			}
			return is
		}
		switch file {
		case "memory.max":
			if n := number(0); !beside("MemoryLimit", r.MemoryLimit != 0) {
				if r.MemoryLimit = n; n == 0 && value == "0" {
					v.bad(name, "0 is no memory")
				}
			}
		case "memory.swap.max":
			switch n := number(-1); {
			case beside("MemorySwapLimit", r.MemorySwapLimit != 0):
			case n == -1:
				r.MemorySwapLimit = -1
			case r.MemoryLimit == 0:
				v.unsupported(name, "an engine limits swap only together with memory")
			case n > math.MaxInt64-r.MemoryLimit:
				v.bad(name, "%q is too much", value)
			default:
				r.MemorySwapLimit = r.MemoryLimit + n
			}
		case "pids.max":
			n := number(-1)
			if n == 0 {
				v.unsupported(name, "an engine takes 0 for no limit")
			}
			if !beside("PidsLimit", r.PidsLimit != 0) {
				r.PidsLimit = n
			}
		case "cpu.max":
			quota, period, ok := cpuMax(value)
			if !ok {
				v.bad(name, "%q; want a quota or \"max\", and a period", value)
			}
			if !beside("CPUQuota and CPUPeriod", r.CPUQuota != 0 || r.CPUPeriod != 0) {
				r.CPUQuota, r.CPUPeriod = quota, period
			}
		case "cpuset.cpus":
			if !beside("CpusetCpus", r.CpusetCpus != "") {
				r.CpusetCpus = value
			}
		case "cpuset.mems":
			if !beside("CpusetMems", r.CpusetMems != "") {
				r.CpusetMems = value
			}
		default:
			v.unsupported(name, "the engine's API has nothing that sets exactly this")
		}
	}
	r.Unified = nil
	return r
}

// cpuMax reads a value of cpu.max: "50000 100000", "50000", "max 100000".
func cpuMax(s string) (quota, period int64, ok bool) {
	words := strings.Fields(s)
	if len(words) < 1 || len(words) > 2 {
		return 0, 0, false
	}
	var err, err2 error
	if quota = -1; words[0] != "max" {
		quota, err = strconv.ParseInt(words[0], 10, 64)
	}
	if period = quotaPeriod; len(words) == 2 {
		period, err2 = strconv.ParseInt(words[1], 10, 64)
	}
	return quota, period, err == nil && err2 == nil && (quota > 0 || words[0] == "max") && period > 0
}

// plain returns a copy of r without Unified: what it sets stands in the other
// fields. r has been checked.
func (r Resources) plain() Resources {
	r = new(validator).unified("", r)
	r.HugepageLimits = nil
	r.BlkioDeviceWeights = slices.Clone(r.BlkioDeviceWeights)
	r.BlkioReadBps, r.BlkioWriteBps = slices.Clone(r.BlkioReadBps), slices.Clone(r.BlkioWriteBps)
	r.BlkioReadIOps, r.BlkioWriteIOps = slices.Clone(r.BlkioReadIOps), slices.Clone(r.BlkioWriteIOps)
	return r
}

// gateResources refuses what this engine lacks.
func gateResources(v *validator, field string, r Resources, site createSite) {
	if site.cgroupVersion == "2" {
		return
	}
	for _, file := range sortedKeys(r.Unified) {
		v.unsupported(fmt.Sprintf("%s.Unified[%q]", field, file), "the engine's host has no cgroup v2")
	}
}

// gateCDI refuses CDI devices that the engine would take for another driver's.
func gateCDI(v *validator, names []string, cdi bool) {
	if len(names) > 0 && !cdi {
		v.unsupported("CDIDevices", "the engine has no CDI driver: Docker has one from release 25 on, by itself from 28.3")
	}
}

type namedRates struct {
	name  string
	rates []DeviceRate
}

func (r Resources) rates() []namedRates {
	return []namedRates{
		{"BlkioReadBps", r.BlkioReadBps}, {"BlkioWriteBps", r.BlkioWriteBps},
		{"BlkioReadIOps", r.BlkioReadIOps}, {"BlkioWriteIOps", r.BlkioWriteIOps},
	}
}

// engineResources translates limits. Without a word about swap an engine
// gives as much of it as of memory; a kubelet wants none.
func engineResources(r Resources) container.Resources {
	r = r.plain()
	out := container.Resources{
		Memory: r.MemoryLimit, MemorySwap: r.MemorySwapLimit,
		CPUShares: r.CPUShares, CPUQuota: r.CPUQuota, CPUPeriod: r.CPUPeriod,
		CpusetCpus: r.CpusetCpus, CpusetMems: r.CpusetMems,
		BlkioWeight:        r.BlkioWeight,
		BlkioDeviceReadBps: engineRates(r.BlkioReadBps), BlkioDeviceWriteBps: engineRates(r.BlkioWriteBps),
		BlkioDeviceReadIOps: engineRates(r.BlkioReadIOps), BlkioDeviceWriteIOps: engineRates(r.BlkioWriteIOps),
	}
	if r.MemorySwapLimit == 0 {
		out.MemorySwap = r.MemoryLimit
	}
	if r.PidsLimit != 0 {
		out.PidsLimit = &r.PidsLimit
	}
	for _, d := range r.BlkioDeviceWeights {
		out.BlkioWeightDevice = append(out.BlkioWeightDevice, &blkiodev.WeightDevice{Path: d.Path, Weight: d.Weight})
	}
	return out
}

// resources translates limits for the engine at hand. Podman drops the -1 of
// unlimited swap, and gives as much of it as of memory.
func (site createSite) resources(r Resources) container.Resources {
	out := engineResources(r)
	if site.podman && out.Memory > 0 {
		out.MemorySwap = engineSwap(out.MemorySwap)
	}
	return out
}

func engineRates(ds []DeviceRate) []*blkiodev.ThrottleDevice {
	var l []*blkiodev.ThrottleDevice
	for _, d := range ds {
		l = append(l, &blkiodev.ThrottleDevice{Path: d.Path, Rate: d.Rate})
	}
	return l
}

// resourcesOf reads back what engineResources wrote.
func resourcesOf(h *container.HostConfig) Resources {
	r := Resources{
		MemoryLimit: h.Memory, MemorySwapLimit: h.MemorySwap, CPUShares: h.CPUShares,
		CPUQuota: h.CPUQuota, CPUPeriod: h.CPUPeriod, CpusetCpus: h.CpusetCpus, CpusetMems: h.CpusetMems,
		OOMScoreAdj: h.OomScoreAdj, BlkioWeight: h.BlkioWeight,
		BlkioReadBps: ratesOf(h.BlkioDeviceReadBps), BlkioWriteBps: ratesOf(h.BlkioDeviceWriteBps),
		BlkioReadIOps: ratesOf(h.BlkioDeviceReadIOps), BlkioWriteIOps: ratesOf(h.BlkioDeviceWriteIOps),
	}
	if r.MemorySwapLimit >= unlimitedSwap {
		r.MemorySwapLimit = -1
	}
	if h.PidsLimit != nil {
		r.PidsLimit = *h.PidsLimit
	}
	for _, d := range h.BlkioWeightDevice {
		if d != nil {
			r.BlkioDeviceWeights = append(r.BlkioDeviceWeights, DeviceWeight{d.Path, d.Weight})
		}
	}
	return r
}

func ratesOf(ds []*blkiodev.ThrottleDevice) []DeviceRate {
	var l []DeviceRate
	for _, d := range ds {
		if d != nil {
			l = append(l, DeviceRate{d.Path, d.Rate})
		}
	}
	return l
}

func engineDevices(ds []Device) []container.DeviceMapping {
	var l []container.DeviceMapping
	for _, d := range ds {
		l = append(l, container.DeviceMapping{
			PathOnHost: d.HostPath, PathInContainer: cmp.Or(d.ContainerPath, d.HostPath), CgroupPermissions: cmp.Or(d.Permissions, "rwm"),
		})
	}
	return l
}

// cgroupParent spells a cgroup's path for the engine's driver. The systemd
// driver wants the name of a slice alone; a path in the other driver's form
// becomes the slice that a kubelet makes of it.
func (v *validator) cgroupParent(field, driver, parent string) string {
	switch {
	case parent == "":
		return ""
	case driver == "none":
		v.unsupported(field, "the engine has no cgroup driver")
		return ""
	case driver != "systemd":
		return parent
	}
	elements := strings.Split(strings.Trim(path.Clean(parent), "/"), "/")
	hasSlice := slices.ContainsFunc(elements, func(e string) bool { return strings.HasSuffix(e, ".slice") })
	name := elements[len(elements)-1]
	switch {
	case !hasSlice && elements[0] != "":
		for i, e := range elements {
			elements[i] = strings.ReplaceAll(e, "-", "_")
		}
		name = strings.Join(elements, "-") + ".slice"
	case !strings.HasSuffix(name, ".slice"):
		v.bad(field, "%q; want a slice of systemd, or a path without any", parent)
		return ""
	}
	stem := strings.TrimSuffix(name, ".slice")
	if stem == "" || strings.Contains(stem, "--") || strings.HasPrefix(stem, "-") || strings.HasSuffix(stem, "-") || !isWord(stem) || strings.Contains(stem, ":") {
		v.bad(field, "%q is no name of a slice", name)
		return ""
	}
	return name
}

// cgroupPath checks a cgroup parent without knowing the driver.
func (v *validator) cgroupPath(field, parent string) {
	v.text(field, parent)
	if slices.Contains(strings.Split(parent, "/"), "..") {
		v.bad(field, "%q leads out of itself", parent)
	}
}

// Warning is something that an engine said of a container or sandbox while it
// did what was asked.
type Warning struct {
	Op   string // "create" or "update"
	Name Name
	ID   string
	Text string // the engine's words
}

// warn passes an engine's warning on.
func (r *Runtime) warn(w Warning) {
	if r.opts.warnings != nil {
		r.opts.warnings(w)
		return
	}
	r.opts.logger.Warn("engine's warning", slog.String("op", w.Op), slog.String("name", r.naming.Format(w.Name)), slog.String("id", w.ID), slog.String("warning", w.Text))
}

// discards are how engines say that they drop a setting which their kernel
// lacks, with the field of Resources that is concerned. All words of a row
// have to be in the text, in small letters; the first row that fits counts.
var discards = []struct {
	words []string
	field string
}{
	{[]string{"limited without swap"}, "MemorySwapLimit"},
	{[]string{"memory limit", "limitation discarded"}, "MemoryLimit"},
	{[]string{"pids limit discarded"}, "PidsLimit"},
	{[]string{"cpu shares", "shares discarded"}, "CPUShares"},
	{[]string{"cpu cfs quota", "quota discarded"}, "CPUQuota"},
	{[]string{"cpu cfs period", "period discarded"}, "CPUPeriod"},
	{[]string{"cpu period/quota discarded"}, "CPUQuota"},
	{[]string{"cpuset discarded"}, "CpusetCpus"},
	{[]string{"weight-device discarded"}, "BlkioDeviceWeights"},
	{[]string{"weight_device"}, "BlkioDeviceWeights"},
	{[]string{"weight discarded"}, "BlkioWeight"},
	{[]string{"bps read limit discarded"}, "BlkioReadBps"},
	{[]string{"bps write limit discarded"}, "BlkioWriteBps"},
	{[]string{"iops read limit discarded"}, "BlkioReadIOps"},
	{[]string{"iops write limit discarded"}, "BlkioWriteIOps"},
}

// discardedField reads an engine's warning: the field of Resources that it
// says to have dropped, "" if it speaks of something else.
func discardedField(warning string) string {
	text := strings.ToLower(warning)
	for _, d := range discards {
		if !slices.ContainsFunc(d.words, func(w string) bool { return !strings.Contains(text, w) }) {
			return d.field
		}
	}
	return ""
}

// asks reports whether r sets the field that an engine calls one: a quota and
// its period are discarded together, and so are the two kinds of cpusets.
func (r Resources) asks(field string) bool {
	switch field {
	case "MemoryLimit":
		return r.MemoryLimit != 0
	case "MemorySwapLimit":
		return r.MemorySwapLimit > 0
	case "PidsLimit":
		return r.PidsLimit > 0
	case "CPUShares":
		return r.CPUShares != 0
	case "CPUQuota", "CPUPeriod":
		return r.CPUQuota != 0 || r.CPUPeriod != 0
	case "CpusetCpus":
		return r.CpusetCpus != "" || r.CpusetMems != ""
	case "BlkioWeight":
		return r.BlkioWeight != 0
	case "BlkioDeviceWeights":
		return len(r.BlkioDeviceWeights) > 0
	}
	for _, list := range r.rates() {
		if list.name == field {
			return len(list.rates) > 0
		}
	}
	return false
}

// heed sorts an engine's warnings: those about a setting that was asked for
// and dropped are an error, the others are passed on.
func (r *Runtime) heed(asked Resources, w Warning, texts []string) error {
	v := &validator{}
	for _, text := range texts {
		w.Text = bounded(text)
		if field := discardedField(text); field != "" && asked.asks(field) {
			v.unsupported("Resources."+field, "the engine has dropped it: "+w.Text)
			continue
		}
		r.warn(w)
	}
	return v.err()
}

// holds reports whether an engine's configuration still has the limits that
// were asked for: it drops what its kernel lacks.
func holds(asked Resources, h *container.HostConfig) bool {
	if h == nil {
		h = &container.HostConfig{}
	}
	has := resourcesOf(h)
	for _, d := range discards {
		if asked.asks(d.field) && !has.asks(d.field) {
			return false
		}
	}
	return true
}

// UpdateContainer changes the limits of a container in place, running or not.
// Zero fields of res stay as they are, and a status shows the new values. A
// memory limit takes the swap limit with it where that was the same, which is
// no swap; another one stays, and has to be given anew where it would be below
// the memory limit.
//
// Memory is written first, because an engine with cgroup v1 refuses a limit
// below what is in use: that is [ErrMemoryInUse], and nothing has changed.
// With cgroup v2 the kernel takes the memory back, and kills the container if
// it cannot. If the engine then refuses the rest, the old limit is written
// again; where there was none, the new one stays, as the error says. Nothing
// is undone where the engine's answer is lost or late.
//
// What an engine cannot change, OOMScoreAdj and block I/O, is refused by an
// [*UnsupportedError], as is what its kernel lacks. Podman before release 5
// has no such call: [ErrUnsupported].
func (r *Runtime) UpdateContainer(ctx context.Context, id string, res Resources) (err error) {
	ctx, end := r.begin(ctx, "update container", id)
	defer end(&err)
	if r.err != nil {
		return r.err
	}
	v := &validator{}
	v.update("Resources", res)
	if err := v.err(); err != nil {
		return err
	}
	u, ok := r.docker.(ContainerUpdater)
	if !ok {
		return &UnsupportedError{"UpdateContainer", "the engine has no update call"}
	}
	info, err := r.inspect(ctx, id, TypeContainer)
	if err != nil {
		return err
	}
	engine, err := r.info.get(ctx, r.fetchInfo)
	if err != nil {
		return err
	}
	gateResources(v, "Resources", res, createSite{cgroupVersion: engine.CgroupVersion})
	res = res.plain()
	gateLimits(v, res, engine.Limits)
	if err := v.err(); err != nil {
		return err
	}
	var now container.Resources
	if info.HostConfig != nil {
		now = info.HostConfig.Resources
	}
	plan, err := planUpdate(now, res)
	if err != nil {
		return err
	}
	name, err := r.nameOf([]string{info.Name}, info.Config.Labels)
	if err != nil {
		return err
	}
	return r.applyUpdate(ctx, u, plan, res, Warning{Op: "update", Name: name, ID: info.ID})
}

// update checks limits for a container that exists.
func (v *validator) update(field string, r Resources) {
	v.limits(field, r)
	if r.OOMScoreAdj != 0 {
		v.unsupported(field+".OOMScoreAdj", "engines set it at creation only")
	}
	for _, name := range []string{"BlkioWeight", "BlkioDeviceWeights", "BlkioReadBps", "BlkioWriteBps", "BlkioReadIOps", "BlkioWriteIOps"} {
		if r.asks(name) {
			v.unsupported(field+"."+name, "it is set at creation only")
		}
	}
}

// gateLimits refuses what the engine's kernel lacks: told afterwards, it would
// be too late.
func gateLimits(v *validator, r Resources, l Limits) {
	for _, g := range []struct {
		field string
		has   bool
	}{
		{"MemoryLimit", l.Memory}, {"MemorySwapLimit", l.Swap}, {"CPUShares", l.CPUShares},
		{"CPUQuota", l.CPUQuota}, {"CpusetCpus", l.Cpuset}, {"PidsLimit", l.Pids},
	} {
		if !g.has && r.asks(g.field) {
			v.unsupported("Resources."+g.field, "the kernel of the engine's host has no such limit")
		}
	}
}

// updatePlan is what an update writes, in this order.
type updatePlan struct {
	memory *container.Resources // nil: stays
	undo   *container.Resources // what memory was; nil: no limit, which cannot be written
	rest   *container.Resources // nil: stays
}

// planUpdate decides what is written to bring a container from what the
// engine has stored to want. Memory and swap always go together: Docker
// refuses memory above the stored sum, and with cgroup v2 swap can only be
// told from both.
func planUpdate(now container.Resources, want Resources) (updatePlan, error) {
	var p updatePlan
	memory, swap, err := memoryTarget(now, want)
	if err != nil {
		return p, err
	}
	if memory != 0 {
		p.memory = &container.Resources{Memory: memory, MemorySwap: engineSwap(swap)}
		if now.Memory != 0 {
			p.undo = &container.Resources{Memory: now.Memory, MemorySwap: engineSwap(now.MemorySwap)}
		}
	}
	want.MemoryLimit, want.MemorySwapLimit = 0, 0
	if slices.ContainsFunc([]string{"CPUShares", "CPUQuota", "CpusetCpus"}, want.asks) || want.PidsLimit != 0 {
		rest := engineResources(want)
		p.rest = &rest
	}
	return p, nil
}

// memoryTarget returns the limits that an update comes to; 0: memory stays as
// it is.
func memoryTarget(now container.Resources, want Resources) (memory, swap int64, err error) {
	if want.MemoryLimit == 0 && want.MemorySwapLimit == 0 {
		return 0, 0, nil
	}
	const field = "Resources.MemorySwapLimit"
	memory, swap = cmp.Or(want.MemoryLimit, now.Memory), want.MemorySwapLimit
	unlimited := now.MemorySwap == -1 || now.MemorySwap >= unlimitedSwap
	switch {
	case swap == 0 && unlimited:
		swap = -1
	case swap == 0 && (now.Memory == 0 || now.MemorySwap == now.Memory):
		swap = memory
	case swap == 0:
		if swap = now.MemorySwap; swap < memory {
			return 0, 0, &FieldError{field, fmt.Sprintf("the container's, %d, is below the new MemoryLimit %d; give both", swap, memory)}
		}
	case swap > 0 && memory == 0:
		return 0, 0, &FieldError{field, "needs MemoryLimit, which the container has not"}
	case swap > 0 && swap < memory:
		return 0, 0, &FieldError{field, fmt.Sprintf("%d is below the container's memory limit %d", swap, memory)}
	}
	return memory, swap, nil // without memory there is no swap to limit either
}

func engineSwap(swap int64) int64 {
	if swap == -1 {
		return unlimitedSwap
	}
	return swap
}

// applyUpdate writes a plan. If the second step is refused, the first is
// undone. So is one that failed in the runtime, which may have written some of
// it: memory and swap are two files, and the engine forgets the new values,
// not the kernel.
func (r *Runtime) applyUpdate(ctx context.Context, u ContainerUpdater, p updatePlan, res Resources, w Warning) error {
	for i, step := range []*container.Resources{p.memory, p.rest} {
		if step == nil {
			continue
		}
		resp, err := u.ContainerUpdate(ctx, w.ID, container.UpdateConfig{Resources: *step})
		if err == nil {
			if err := r.heed(res, w, resp.Warnings); err != nil {
				return err
			}
			continue
		}
		failed := classify(verbUpdate, w.ID, err)
		written := i > 0 && p.memory != nil
		switch {
		case !written && !errdefs.IsInternal(err), !isRefusal(failed):
			return failed // refused as a whole, or nobody knows
		case p.undo == nil && written:
			return fmt.Errorf("%w (the memory limit was written before, and there was none to write again)", failed)
		case p.undo == nil:
			return failed
		}
		undo, cancel := r.detached(ctx, undoTime)
		defer cancel()
		if _, err := u.ContainerUpdate(undo, w.ID, container.UpdateConfig{Resources: *p.undo}); err != nil {
			return joinErrors([]error{failed, fmt.Errorf("write the old memory limit again: %w", classify(verbUpdate, w.ID, err))})
		}
		return failed
	}
	return nil
}

// isRefusal reports whether an engine has answered that it did not update a
// container which is there. Whether it did is not known from an answer that
// was lost or late, or is not the engine's.
func isRefusal(failed error) bool {
	if isContextError(failed) || errors.Is(failed, ErrBadAnswer) {
		return false
	}
	switch classOf(failed) {
	case errdefs.ErrNotFound, errdefs.ErrUnavailable, errdefs.ErrUnknown:
		return false
	}
	return true
}
