package fake

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
)

// validate refuses what Docker 20.10 refuses before it looks at the image.
func (d *Docker) validate(r *createRequest) error {
	for _, check := range []func(*createRequest) error{checkModes, checkConfig, d.checkHost, checkNetworking} {
		if err := check(r); err != nil {
			return err
		}
	}
	return nil
}

// checkModes refuses combinations with the network and UTS modes.
func checkModes(r *createRequest) error {
	c, h := r.cfg, r.hc
	joined := h.NetworkMode.IsContainer()
	if name, ok := strings.CutPrefix(string(h.NetworkMode), "container:"); ok && name == "" {
		return Invalid("Invalid network mode: invalid container format container:<name|id>")
	}
	switch {
	case h.UTSMode.IsHost() && c.Hostname != "":
		return Invalid("conflicting options: hostname and the UTS mode")
	case joined && c.Hostname != "":
		return Invalid("conflicting options: hostname and the network mode")
	case joined && len(h.Links) > 0:
		return Invalid("conflicting options: container type network can't be used with links. This would result in undefined behavior")
	case joined && len(h.DNS) > 0:
		return Invalid("conflicting options: dns and the network mode")
	case joined && len(h.ExtraHosts) > 0:
		return Invalid("conflicting options: custom host-to-IP mapping and the network mode")
	case joined && (len(h.PortBindings) > 0 || h.PublishAllPorts):
		return Invalid("conflicting options: port publishing and the container type network mode")
	case joined && len(c.ExposedPorts) > 0:
		return Invalid("conflicting options: port exposing and the container type network mode")
	case h.Isolation != "" && h.Isolation != "default":
		return Internal("Invalid isolation: %q - linux only supports 'default'", h.Isolation)
	}
	return nil
}

// checkConfig looks at what belongs to the process.
func checkConfig(r *createRequest) error {
	c := r.cfg
	if c.WorkingDir != "" && !path.IsAbs(c.WorkingDir) {
		return Invalid("the working directory '%s' is invalid, it needs to be an absolute path", c.WorkingDir)
	}
	if c.StopSignal != "" {
		if _, err := signalNumber(c.StopSignal); err != nil {
			return err
		}
	}
	for _, e := range c.Env {
		if key(e) == "" {
			return Invalid("%s", strings.TrimSpace("invalid environment variable: "+e))
		}
	}
	if h := c.Healthcheck; h != nil {
		for _, f := range []struct {
			name string
			d    time.Duration
		}{{"Interval", h.Interval}, {"Timeout", h.Timeout}, {"StartPeriod", h.StartPeriod}} {
			if f.d != 0 && f.d < container.MinimumDuration {
				return Invalid("%s in Healthcheck cannot be less than %s", f.name, container.MinimumDuration)
			}
		}
		if h.Retries < 0 {
			return Invalid("Retries in Healthcheck cannot be negative")
		}
	}
	return nil
}

// checkHost looks at what belongs to the host.
func (d *Docker) checkHost(r *createRequest) error {
	h := r.hc
	if h.AutoRemove && !h.RestartPolicy.IsNone() {
		return Invalid("can't create 'AutoRemove' container with restart policy")
	}
	for _, e := range h.ExtraHosts {
		if host, ip, ok := strings.Cut(e, ":"); !ok || host == "" || ip == "" {
			return Invalid("bad format for add-host: %q", e)
		}
	}
	for port, bindings := range h.PortBindings {
		if _, err := strconv.ParseUint(port.Port(), 10, 16); err != nil {
			return Invalid("invalid port specification: %q", port.Port())
		}
		for _, b := range bindings {
			if _, _, err := portRange(b.HostPort); err != nil {
				return Invalid("invalid port specification: %q", b.HostPort)
			}
		}
	}
	if err := checkPolicy(h.RestartPolicy); err != nil {
		return err
	}
	if err := checkCapabilities(h); err != nil {
		return err
	}
	r.warnings = append(r.warnings, d.discard(&h.Resources)...)
	if err := checkResources(&h.Resources, r); err != nil {
		return err
	}
	switch {
	case h.OomScoreAdj < -1000 || h.OomScoreAdj > 1000:
		return Invalid("Invalid value %d, range for oom score adj is [-1000, 1000]", h.OomScoreAdj)
	case h.ShmSize < 0:
		return Invalid("SHM size can not be less than 0")
	case h.Runtime != "" && !slices.Contains(runtimes, h.Runtime) && !slices.Contains(d.Runtimes, h.Runtime):
		return Invalid("Unknown runtime specified %s", h.Runtime)
	case d.CgroupDriver == "systemd" && h.CgroupParent != "" && !strings.HasSuffix(path.Base(h.CgroupParent), ".slice"):
		return Invalid("cgroup-parent for systemd cgroup should be a valid slice named as \"xxx.slice\"")
	case h.CgroupnsMode != "" && h.CgroupnsMode != "private" && h.CgroupnsMode != "host":
		return Invalid("invalid cgroup namespace mode: %s", h.CgroupnsMode)
	}
	for _, m := range h.Mounts {
		if err := d.checkMount(m); err != nil {
			return err
		}
	}
	return nil
}

func checkPolicy(p container.RestartPolicy) error {
	switch p.Name {
	case "", container.RestartPolicyDisabled, container.RestartPolicyAlways, container.RestartPolicyUnlessStopped:
		if p.MaximumRetryCount != 0 {
			return Invalid("maximum retry count cannot be used with restart policy '%s'", p.Name)
		}
	case container.RestartPolicyOnFailure:
		if p.MaximumRetryCount < 0 {
			return Invalid("maximum retry count cannot be negative")
		}
	default:
		return Invalid("invalid restart policy '%s'", p.Name)
	}
	return nil
}

const minMemory = 6 << 20

func (d *Docker) lacks(limit string) bool { return slices.Contains(d.Lacks, limit) }

// discard drops the limits that the kernel lacks, and says so in Docker's
// words.
func (d *Docker) discard(r *container.Resources) (warnings []string) {
	const unmounted = " or the cgroup is not mounted. "
	drop := func(limit string, given bool, what, said string, f func()) {
		if given && d.lacks(limit) {
			warnings = append(warnings, "Your kernel does not support "+what+unmounted+said)
			f()
		}
	}
	drop("memory", r.Memory > 0, "memory limit capabilities", "Limitation discarded.", func() { r.Memory, r.MemorySwap = 0, -1 })
	drop("swap", r.Memory > 0 && r.MemorySwap != -1, "swap limit capabilities", "Memory limited without swap.", func() { r.MemorySwap = -1 })
	if r.PidsLimit != nil && d.lacks("pids") {
		drop("pids", *r.PidsLimit > 0, "PIDs limit capabilities", "PIDs limit discarded.", func() {})
		r.PidsLimit = nil
	}
	drop("cpu shares", r.CPUShares > 0, "CPU shares", "Shares discarded.", func() { r.CPUShares = 0 })
	if (r.CPUPeriod != 0 || r.CPUQuota != 0) && d.lacks("cpu quota") {
		warnings = append(warnings, "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.")
		r.CPUPeriod, r.CPUQuota = 0, 0
	}
	drop("cpuset", r.CpusetCpus != "" || r.CpusetMems != "", "cpuset", "Cpuset discarded.", func() { r.CpusetCpus, r.CpusetMems = "", "" })
	drop("blkio weight", r.BlkioWeight > 0, "Block I/O weight", "Weight discarded.", func() { r.BlkioWeight = 0 })
	drop("blkio weight", len(r.BlkioWeightDevice) > 0, "Block I/O weight_device", "Weight-device discarded.", func() { r.BlkioWeightDevice = nil })
	drop("blkio rates", len(r.BlkioDeviceReadBps) > 0, "BPS Block I/O read limit", "Block I/O BPS read limit discarded.", func() { r.BlkioDeviceReadBps = nil })
	drop("blkio rates", len(r.BlkioDeviceWriteBps) > 0, "BPS Block I/O write limit", "Block I/O BPS write limit discarded.", func() { r.BlkioDeviceWriteBps = nil })
	drop("blkio rates", len(r.BlkioDeviceReadIOps) > 0, "IOPS Block read limit", "Block I/O IOPS read limit discarded.", func() { r.BlkioDeviceReadIOps = nil })
	drop("blkio rates", len(r.BlkioDeviceWriteIOps) > 0, "IOPS Block write limit", "Block I/O IOPS write limit discarded.", func() { r.BlkioDeviceWriteIOps = nil })
	return warnings
}

// checkResources refuses limits that Docker 20.10 refuses, on a machine with
// four CPUs and one memory node.
func checkResources(r *container.Resources, req *createRequest) error {
	switch {
	case r.Memory != 0 && r.Memory < minMemory:
		return Invalid("Minimum memory limit allowed is 6MB")
	case r.Memory > 0 && r.MemorySwap > 0 && r.MemorySwap < r.Memory:
		return Invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
	case r.Memory == 0 && r.MemorySwap > 0 && req != nil:
		return Invalid("You should always set the Memory limit when using Memoryswap limit, see usage")
	case r.MemorySwappiness != nil && (*r.MemorySwappiness < -1 || *r.MemorySwappiness > 100):
		return Invalid("Invalid value: %d, valid memory swappiness range is 0-100", *r.MemorySwappiness)
	case r.MemoryReservation > 0 && r.MemoryReservation < minMemory:
		return Invalid("Minimum memory reservation allowed is 6MB")
	case r.Memory > 0 && r.MemoryReservation > 0 && r.Memory < r.MemoryReservation:
		return Invalid("Minimum memory limit can not be less than memory reservation limit, see usage")
	case r.NanoCPUs > 0 && r.CPUPeriod > 0:
		return Invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set")
	case r.NanoCPUs > 0 && r.CPUQuota > 0:
		return Invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
	case r.NanoCPUs < 0 || r.NanoCPUs > cpus*1e9:
		return Invalid("Range of CPUs is from 0.01 to %d.00, as there are only %d CPUs available", cpus, cpus)
	case r.CPUPeriod != 0 && (r.CPUPeriod < 1000 || r.CPUPeriod > 1000000):
		return Invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
	case r.CPUQuota > 0 && r.CPUQuota < 1000:
		return Invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)")
	case r.BlkioWeight > 0 && (r.BlkioWeight < 10 || r.BlkioWeight > 1000):
		return Invalid("Range of blkio weight is from 10 to 1000")
	}
	for _, set := range []struct {
		name, list, lacking string
		n                   int
	}{
		{"cpus", r.CpusetCpus, fmt.Sprintf("Requested CPUs are not available - requested %s, available: 0-%d", r.CpusetCpus, cpus-1), cpus},
		{"mems", r.CpusetMems, fmt.Sprintf("Requested memory nodes are not available - requested %s, available: 0", r.CpusetMems), 1},
	} {
		switch {
		case !inSet(set.list, -1):
			return Invalid("Invalid value %s for cpuset %s: invalid format: %s", set.list, set.name, set.list)
		case !inSet(set.list, 8192):
			return Invalid("Invalid value %s for cpuset %s: value of out range, maximum is 8192", set.list, set.name)
		case !inSet(set.list, set.n):
			return Invalid("%s", set.lacking)
		}
	}
	return nil
}

// inSet tells whether a list like "0-2,5" is one, and with n >= 0 whether all
// its members are below n.
func inSet(list string, n int) bool {
	if list == "" {
		return true
	}
	for part := range strings.SplitSeq(list, ",") {
		lo, hi, ranged := strings.Cut(part, "-")
		if !ranged {
			hi = lo
		}
		a, err := strconv.Atoi(lo)
		b, err2 := strconv.Atoi(hi)
		if err != nil || err2 != nil || a < 0 || b < a {
			return false
		}
		if n >= 0 && b >= n {
			return false
		}
	}
	return true
}

// checkNetworking refuses more than one network at creation.
func checkNetworking(r *createRequest) error {
	if r.net == nil || len(r.net.EndpointsConfig) < 2 {
		return nil
	}
	names := slices.Sorted(maps.Keys(r.net.EndpointsConfig))
	return Invalid("Container cannot be connected to network endpoints: %s", strings.Join(names, ", "))
}

var logOptions = map[string][]string{
	"json-file": {"max-file", "max-size", "compress", "labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size", "cache-disabled", "cache-max-file", "cache-max-size", "cache-compress"},
	"local":     {"max-file", "max-size", "compress", "mode", "max-buffer-size"},
}

func logDrivers() []string {
	return []string{"awslogs", "fluentd", "gcplogs", "gelf", "journald", "json-file", "local", "logentries", "splunk", "syslog"}
}

// validateLogConfig fills in the default and refuses unknown drivers and
// options.
func validateLogConfig(l *container.LogConfig) error {
	if l.Type == "" {
		l.Type = "json-file"
	}
	if l.Config == nil {
		l.Config = map[string]string{}
	}
	if l.Type == "none" {
		return nil
	}
	if !slices.Contains(logDrivers(), l.Type) {
		return Invalid("error looking up logging plugin %s: plugin %q not found", l.Type, l.Type)
	}
	if known, ok := logOptions[l.Type]; ok {
		for o := range l.Config {
			if !slices.Contains(known, o) {
				return Invalid("unknown log opt '%s' for %s log driver", o, l.Type)
			}
		}
	}
	return nil
}

var knownCapabilities = strings.Fields(`CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_AUDIT_WRITE CAP_BLOCK_SUSPEND CAP_BPF CAP_CHECKPOINT_RESTORE
	CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_IPC_LOCK CAP_IPC_OWNER CAP_KILL CAP_LEASE
	CAP_LINUX_IMMUTABLE CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_MKNOD CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_RAW
	CAP_PERFMON CAP_SETFCAP CAP_SETGID CAP_SETPCAP CAP_SETUID CAP_SYSLOG CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_CHROOT CAP_SYS_MODULE
	CAP_SYS_NICE CAP_SYS_PACCT CAP_SYS_PTRACE CAP_SYS_RAWIO CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_WAKE_ALARM ALL`)

func checkCapabilities(h *container.HostConfig) error {
	for _, list := range []struct {
		field string
		caps  []string
	}{{"CapAdd", h.CapAdd}, {"CapDrop", h.CapDrop}} {
		for _, c := range list.caps {
			if !slices.Contains(knownCapabilities, c) {
				return Invalid("invalid %s: unknown capability: %q", list.field, c)
			}
		}
	}
	return nil
}

// portRange reads "", "8080" or "8080-8090". Nothing is 0 to 0.
func portRange(s string) (lo, hi int, err error) {
	if s == "" {
		return 0, 0, nil
	}
	a, b, ranged := strings.Cut(s, "-")
	if !ranged {
		b = a
	}
	x, err := strconv.ParseUint(a, 10, 16)
	if err != nil {
		return 0, 0, err
	}
	y, err := strconv.ParseUint(b, 10, 16)
	if err != nil {
		return 0, 0, err
	}
	if y < x {
		return 0, 0, fmt.Errorf("invalid range %q", s)
	}
	return int(x), int(y), nil
}

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }
