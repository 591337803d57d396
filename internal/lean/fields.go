package lean

//lint:file-ignore SA1019 engines still fill the fields that the client calls deprecated

import (
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
)

// The tables below are the fields of the engine's answers in the order in
// which it writes them. A reader of other leaves the value to encoding/json.

var summaryFields = []field[container.Summary]{
	{"Id", func(d *decoder, c *container.Summary) { d.str(&c.ID) }},
	{"Names", func(d *decoder, c *container.Summary) { d.strings(&c.Names) }},
	{"Image", func(d *decoder, c *container.Summary) { d.str(&c.Image) }},
	{"ImageID", func(d *decoder, c *container.Summary) { d.str(&c.ImageID) }},
	{"ImageManifestDescriptor", func(d *decoder, _ *container.Summary) { d.skip('{') }},
	{"Command", func(d *decoder, _ *container.Summary) { d.skip('"') }},
	{"Created", func(d *decoder, c *container.Summary) { integer(d, &c.Created) }},
	{"Ports", func(d *decoder, c *container.Summary) {
		list(d, &c.Ports, func(p *container.Port) { object(d, portFields, p) })
	}},
	{"SizeRw", func(d *decoder, c *container.Summary) { integer(d, &c.SizeRw) }},
	{"SizeRootFs", func(d *decoder, c *container.Summary) { integer(d, &c.SizeRootFs) }},
	{"Labels", func(d *decoder, c *container.Summary) { d.pairs(&c.Labels) }},
	{"State", func(d *decoder, c *container.Summary) { d.str(&c.State) }},
	{"Status", func(d *decoder, c *container.Summary) { d.str(&c.Status) }},
	{"HostConfig", func(d *decoder, _ *container.Summary) { d.skip('{') }},
	{"NetworkSettings", func(d *decoder, _ *container.Summary) { d.skip('{') }},
	{"Mounts", func(d *decoder, _ *container.Summary) { d.skip('[') }},
}

// entryFields are summaryFields with another reader of labels.
var entryFields = func() []field[Entry] {
	l := make([]field[Entry], len(summaryFields))
	for i, f := range summaryFields {
		l[i] = field[Entry]{f.name, func(d *decoder, e *Entry) { f.read(d, &e.Summary) }}
		if f.name == "Labels" {
			l[i].read = func(d *decoder, e *Entry) { d.labels(&e.Labels) }
		}
	}
	return l
}()

var portFields = []field[container.Port]{
	{"IP", func(d *decoder, p *container.Port) { d.str(&p.IP) }},
	{"PrivatePort", func(d *decoder, p *container.Port) { integer(d, &p.PrivatePort) }},
	{"PublicPort", func(d *decoder, p *container.Port) { integer(d, &p.PublicPort) }},
	{"Type", func(d *decoder, p *container.Port) { d.str(&p.Type) }},
}

// base returns the part of an inspection that encoding/json makes when the
// first of its fields comes.
func base(c *container.InspectResponse) *container.ContainerJSONBase {
	if c.ContainerJSONBase == nil {
		c.ContainerJSONBase = new(container.ContainerJSONBase)
	}
	return c.ContainerJSONBase
}

type inspection = container.InspectResponse

var inspectFields = []field[inspection]{
	{"Id", func(d *decoder, c *inspection) { d.str(&base(c).ID) }},
	{"Created", func(d *decoder, c *inspection) { d.str(&base(c).Created) }},
	{"Path", func(d *decoder, c *inspection) { d.str(&base(c).Path) }},
	{"Args", func(d *decoder, c *inspection) { d.strings(&base(c).Args) }},
	{"State", func(d *decoder, c *inspection) { pointer(d, stateFields, &base(c).State) }},
	{"Image", func(d *decoder, c *inspection) { d.str(&base(c).Image) }},
	{"ResolvConfPath", func(d *decoder, c *inspection) { d.str(&base(c).ResolvConfPath) }},
	{"HostnamePath", func(d *decoder, c *inspection) { d.str(&base(c).HostnamePath) }},
	{"HostsPath", func(d *decoder, c *inspection) { d.str(&base(c).HostsPath) }},
	{"LogPath", func(d *decoder, c *inspection) { d.str(&base(c).LogPath) }},
	{"Name", func(d *decoder, c *inspection) { d.str(&base(c).Name) }},
	{"RestartCount", func(d *decoder, c *inspection) { integer(d, &base(c).RestartCount) }},
	{"Driver", func(d *decoder, c *inspection) { d.str(&base(c).Driver) }},
	{"Platform", func(d *decoder, c *inspection) { d.str(&base(c).Platform) }},
	{"MountLabel", func(d *decoder, c *inspection) { d.str(&base(c).MountLabel) }},
	{"ProcessLabel", func(d *decoder, c *inspection) { d.str(&base(c).ProcessLabel) }},
	{"AppArmorProfile", func(d *decoder, c *inspection) { d.str(&base(c).AppArmorProfile) }},
	{"ExecIDs", func(d *decoder, c *inspection) { d.strings(&base(c).ExecIDs) }},
	{"HostConfig", func(d *decoder, c *inspection) { pointer(d, hostFields, &base(c).HostConfig) }},
	{"GraphDriver", func(d *decoder, c *inspection) { base(c); d.skip('{') }},
	{"SizeRw", func(d *decoder, c *inspection) { d.other(&base(c).SizeRw) }},
	{"SizeRootFs", func(d *decoder, c *inspection) { d.other(&base(c).SizeRootFs) }},
	{"Mounts", func(d *decoder, c *inspection) {
		list(d, &c.Mounts, func(m *container.MountPoint) { object(d, mountFields, m) })
	}},
	{"Config", func(d *decoder, c *inspection) { pointer(d, configFields, &c.Config) }},
	{"NetworkSettings", func(d *decoder, c *inspection) { pointer(d, networkFields, &c.NetworkSettings) }},
	{"ImageManifestDescriptor", func(d *decoder, c *inspection) { d.other(&c.ImageManifestDescriptor) }},
}

var stateFields = []field[container.State]{
	{"Status", func(d *decoder, s *container.State) { d.str(&s.Status) }},
	{"Running", func(d *decoder, s *container.State) { d.bool(&s.Running) }},
	{"Paused", func(d *decoder, s *container.State) { d.bool(&s.Paused) }},
	{"Restarting", func(d *decoder, s *container.State) { d.bool(&s.Restarting) }},
	{"OOMKilled", func(d *decoder, s *container.State) { d.bool(&s.OOMKilled) }},
	{"Dead", func(d *decoder, s *container.State) { d.bool(&s.Dead) }},
	{"Pid", func(d *decoder, s *container.State) { integer(d, &s.Pid) }},
	{"ExitCode", func(d *decoder, s *container.State) { integer(d, &s.ExitCode) }},
	{"Error", func(d *decoder, s *container.State) { d.str(&s.Error) }},
	{"StartedAt", func(d *decoder, s *container.State) { d.str(&s.StartedAt) }},
	{"FinishedAt", func(d *decoder, s *container.State) { d.str(&s.FinishedAt) }},
	{"Health", func(d *decoder, s *container.State) { d.other(&s.Health) }},
}

type hostConfig = container.HostConfig

var hostFields = []field[hostConfig]{
	{"Binds", func(d *decoder, h *hostConfig) { d.strings(&h.Binds) }},
	{"ContainerIDFile", func(d *decoder, h *hostConfig) { d.str(&h.ContainerIDFile) }},
	{"LogConfig", func(d *decoder, h *hostConfig) { value(d, logFields, &h.LogConfig) }},
	{"NetworkMode", func(d *decoder, h *hostConfig) { d.str((*string)(&h.NetworkMode)) }},
	{"PortBindings", func(d *decoder, h *hostConfig) { mapping(d, &h.PortBindings) }},
	{"RestartPolicy", func(d *decoder, h *hostConfig) { value(d, restartFields, &h.RestartPolicy) }},
	{"AutoRemove", func(d *decoder, h *hostConfig) { d.bool(&h.AutoRemove) }},
	{"VolumeDriver", func(d *decoder, h *hostConfig) { d.str(&h.VolumeDriver) }},
	{"VolumesFrom", func(d *decoder, h *hostConfig) { d.strings(&h.VolumesFrom) }},
	{"ConsoleSize", func(d *decoder, h *hostConfig) { d.other(&h.ConsoleSize) }},
	{"Annotations", func(d *decoder, h *hostConfig) { d.pairs(&h.Annotations) }},
	{"CapAdd", func(d *decoder, h *hostConfig) { command(d, &h.CapAdd) }},
	{"CapDrop", func(d *decoder, h *hostConfig) { command(d, &h.CapDrop) }},
	{"CgroupnsMode", func(d *decoder, h *hostConfig) { d.str((*string)(&h.CgroupnsMode)) }},
	{"Dns", func(d *decoder, h *hostConfig) { d.strings(&h.DNS) }},
	{"DnsOptions", func(d *decoder, h *hostConfig) { d.strings(&h.DNSOptions) }},
	{"DnsSearch", func(d *decoder, h *hostConfig) { d.strings(&h.DNSSearch) }},
	{"ExtraHosts", func(d *decoder, h *hostConfig) { d.strings(&h.ExtraHosts) }},
	{"GroupAdd", func(d *decoder, h *hostConfig) { d.strings(&h.GroupAdd) }},
	{"IpcMode", func(d *decoder, h *hostConfig) { d.str((*string)(&h.IpcMode)) }},
	{"Cgroup", func(d *decoder, h *hostConfig) { d.str((*string)(&h.Cgroup)) }},
	{"Links", func(d *decoder, h *hostConfig) { d.strings(&h.Links) }},
	{"OomScoreAdj", func(d *decoder, h *hostConfig) { integer(d, &h.OomScoreAdj) }},
	{"PidMode", func(d *decoder, h *hostConfig) { d.str((*string)(&h.PidMode)) }},
	{"Privileged", func(d *decoder, h *hostConfig) { d.bool(&h.Privileged) }},
	{"PublishAllPorts", func(d *decoder, h *hostConfig) { d.bool(&h.PublishAllPorts) }},
	{"ReadonlyRootfs", func(d *decoder, h *hostConfig) { d.bool(&h.ReadonlyRootfs) }},
	{"SecurityOpt", func(d *decoder, h *hostConfig) { d.strings(&h.SecurityOpt) }},
	{"StorageOpt", func(d *decoder, h *hostConfig) { d.pairs(&h.StorageOpt) }},
	{"Tmpfs", func(d *decoder, h *hostConfig) { d.pairs(&h.Tmpfs) }},
	{"UTSMode", func(d *decoder, h *hostConfig) { d.str((*string)(&h.UTSMode)) }},
	{"UsernsMode", func(d *decoder, h *hostConfig) { d.str((*string)(&h.UsernsMode)) }},
	{"ShmSize", func(d *decoder, h *hostConfig) { integer(d, &h.ShmSize) }},
	{"Sysctls", func(d *decoder, h *hostConfig) { d.pairs(&h.Sysctls) }},
	{"Runtime", func(d *decoder, h *hostConfig) { d.str(&h.Runtime) }},
	{"Isolation", func(d *decoder, h *hostConfig) { d.str((*string)(&h.Isolation)) }},
	{"CpuShares", func(d *decoder, h *hostConfig) { integer(d, &h.CPUShares) }},
	{"Memory", func(d *decoder, h *hostConfig) { integer(d, &h.Memory) }},
	{"NanoCpus", func(d *decoder, h *hostConfig) { integer(d, &h.NanoCPUs) }},
	{"CgroupParent", func(d *decoder, h *hostConfig) { d.str(&h.CgroupParent) }},
	{"BlkioWeight", func(d *decoder, h *hostConfig) { integer(d, &h.BlkioWeight) }},
	{"BlkioWeightDevice", func(d *decoder, h *hostConfig) { objects(d, &h.BlkioWeightDevice) }},
	{"BlkioDeviceReadBps", func(d *decoder, h *hostConfig) { objects(d, &h.BlkioDeviceReadBps) }},
	{"BlkioDeviceWriteBps", func(d *decoder, h *hostConfig) { objects(d, &h.BlkioDeviceWriteBps) }},
	{"BlkioDeviceReadIOps", func(d *decoder, h *hostConfig) { objects(d, &h.BlkioDeviceReadIOps) }},
	{"BlkioDeviceWriteIOps", func(d *decoder, h *hostConfig) { objects(d, &h.BlkioDeviceWriteIOps) }},
	{"CpuPeriod", func(d *decoder, h *hostConfig) { integer(d, &h.CPUPeriod) }},
	{"CpuQuota", func(d *decoder, h *hostConfig) { integer(d, &h.CPUQuota) }},
	{"CpuRealtimePeriod", func(d *decoder, h *hostConfig) { integer(d, &h.CPURealtimePeriod) }},
	{"CpuRealtimeRuntime", func(d *decoder, h *hostConfig) { integer(d, &h.CPURealtimeRuntime) }},
	{"CpusetCpus", func(d *decoder, h *hostConfig) { d.str(&h.CpusetCpus) }},
	{"CpusetMems", func(d *decoder, h *hostConfig) { d.str(&h.CpusetMems) }},
	{"Devices", func(d *decoder, h *hostConfig) { objects(d, &h.Devices) }},
	{"DeviceCgroupRules", func(d *decoder, h *hostConfig) { d.strings(&h.DeviceCgroupRules) }},
	{"DeviceRequests", func(d *decoder, h *hostConfig) { objects(d, &h.DeviceRequests) }},
	{"KernelMemory", func(d *decoder, h *hostConfig) { integer(d, &h.KernelMemory) }},
	{"KernelMemoryTCP", func(d *decoder, h *hostConfig) { integer(d, &h.KernelMemoryTCP) }},
	{"MemoryReservation", func(d *decoder, h *hostConfig) { integer(d, &h.MemoryReservation) }},
	{"MemorySwap", func(d *decoder, h *hostConfig) { integer(d, &h.MemorySwap) }},
	{"MemorySwappiness", func(d *decoder, h *hostConfig) { d.other(&h.MemorySwappiness) }},
	{"OomKillDisable", func(d *decoder, h *hostConfig) { optional(d, &h.OomKillDisable, d.bool) }},
	{"PidsLimit", func(d *decoder, h *hostConfig) {
		optional(d, &h.PidsLimit, func(n *int64) { integer(d, n) })
	}},
	{"Ulimits", func(d *decoder, h *hostConfig) { objects(d, &h.Ulimits) }},
	{"CpuCount", func(d *decoder, h *hostConfig) { integer(d, &h.CPUCount) }},
	{"CpuPercent", func(d *decoder, h *hostConfig) { integer(d, &h.CPUPercent) }},
	{"IOMaximumIOps", func(d *decoder, h *hostConfig) { integer(d, &h.IOMaximumIOps) }},
	{"IOMaximumBandwidth", func(d *decoder, h *hostConfig) { integer(d, &h.IOMaximumBandwidth) }},
	{"Mounts", func(d *decoder, h *hostConfig) {
		list(d, &h.Mounts, func(m *mount.Mount) { object(d, askedFields, m) })
	}},
	{"MaskedPaths", func(d *decoder, h *hostConfig) { d.strings(&h.MaskedPaths) }},
	{"ReadonlyPaths", func(d *decoder, h *hostConfig) { d.strings(&h.ReadonlyPaths) }},
	{"Init", func(d *decoder, h *hostConfig) { optional(d, &h.Init, d.bool) }},
}

var logFields = []field[container.LogConfig]{
	{"Type", func(d *decoder, c *container.LogConfig) { d.str(&c.Type) }},
	{"Config", func(d *decoder, c *container.LogConfig) { d.pairs(&c.Config) }},
}

var restartFields = []field[container.RestartPolicy]{
	{"Name", func(d *decoder, p *container.RestartPolicy) { d.str((*string)(&p.Name)) }},
	{"MaximumRetryCount", func(d *decoder, p *container.RestartPolicy) { integer(d, &p.MaximumRetryCount) }},
}

// askedFields are those of a mount as it was asked for.
var askedFields = []field[mount.Mount]{
	{"Type", func(d *decoder, m *mount.Mount) { d.str((*string)(&m.Type)) }},
	{"Source", func(d *decoder, m *mount.Mount) { d.str(&m.Source) }},
	{"Target", func(d *decoder, m *mount.Mount) { d.str(&m.Target) }},
	{"ReadOnly", func(d *decoder, m *mount.Mount) { d.bool(&m.ReadOnly) }},
	{"Consistency", func(d *decoder, m *mount.Mount) { d.str((*string)(&m.Consistency)) }},
	{"BindOptions", func(d *decoder, m *mount.Mount) { pointer(d, bindFields, &m.BindOptions) }},
	{"VolumeOptions", func(d *decoder, m *mount.Mount) { d.other(&m.VolumeOptions) }},
	{"ImageOptions", func(d *decoder, m *mount.Mount) { d.other(&m.ImageOptions) }},
	{"TmpfsOptions", func(d *decoder, m *mount.Mount) { d.other(&m.TmpfsOptions) }},
	{"ClusterOptions", func(d *decoder, m *mount.Mount) { d.other(&m.ClusterOptions) }},
}

var bindFields = []field[mount.BindOptions]{
	{"Propagation", func(d *decoder, b *mount.BindOptions) { d.str((*string)(&b.Propagation)) }},
	{"NonRecursive", func(d *decoder, b *mount.BindOptions) { d.bool(&b.NonRecursive) }},
	{"CreateMountpoint", func(d *decoder, b *mount.BindOptions) { d.bool(&b.CreateMountpoint) }},
	{"ReadOnlyNonRecursive", func(d *decoder, b *mount.BindOptions) { d.bool(&b.ReadOnlyNonRecursive) }},
	{"ReadOnlyForceRecursive", func(d *decoder, b *mount.BindOptions) { d.bool(&b.ReadOnlyForceRecursive) }},
}

// mountFields are those of a mount as the engine made it.
var mountFields = []field[container.MountPoint]{
	{"Type", func(d *decoder, m *container.MountPoint) { d.str((*string)(&m.Type)) }},
	{"Name", func(d *decoder, m *container.MountPoint) { d.str(&m.Name) }},
	{"Source", func(d *decoder, m *container.MountPoint) { d.str(&m.Source) }},
	{"Destination", func(d *decoder, m *container.MountPoint) { d.str(&m.Destination) }},
	{"Driver", func(d *decoder, m *container.MountPoint) { d.str(&m.Driver) }},
	{"Mode", func(d *decoder, m *container.MountPoint) { d.str(&m.Mode) }},
	{"RW", func(d *decoder, m *container.MountPoint) { d.bool(&m.RW) }},
	{"Propagation", func(d *decoder, m *container.MountPoint) { d.str((*string)(&m.Propagation)) }},
}

var configFields = []field[container.Config]{
	{"Hostname", func(d *decoder, c *container.Config) { d.str(&c.Hostname) }},
	{"Domainname", func(d *decoder, c *container.Config) { d.str(&c.Domainname) }},
	{"User", func(d *decoder, c *container.Config) { d.str(&c.User) }},
	{"AttachStdin", func(d *decoder, c *container.Config) { d.bool(&c.AttachStdin) }},
	{"AttachStdout", func(d *decoder, c *container.Config) { d.bool(&c.AttachStdout) }},
	{"AttachStderr", func(d *decoder, c *container.Config) { d.bool(&c.AttachStderr) }},
	{"ExposedPorts", func(d *decoder, c *container.Config) { mapping(d, &c.ExposedPorts) }},
	{"Tty", func(d *decoder, c *container.Config) { d.bool(&c.Tty) }},
	{"OpenStdin", func(d *decoder, c *container.Config) { d.bool(&c.OpenStdin) }},
	{"StdinOnce", func(d *decoder, c *container.Config) { d.bool(&c.StdinOnce) }},
	{"Env", func(d *decoder, c *container.Config) { d.strings(&c.Env) }},
	{"Cmd", func(d *decoder, c *container.Config) { command(d, &c.Cmd) }},
	{"Healthcheck", func(d *decoder, c *container.Config) { pointer(d, healthFields, &c.Healthcheck) }},
	{"ArgsEscaped", func(d *decoder, c *container.Config) { d.bool(&c.ArgsEscaped) }},
	{"Image", func(d *decoder, c *container.Config) { d.str(&c.Image) }},
	{"Volumes", func(d *decoder, c *container.Config) { mapping(d, &c.Volumes) }},
	{"WorkingDir", func(d *decoder, c *container.Config) { d.str(&c.WorkingDir) }},
	{"Entrypoint", func(d *decoder, c *container.Config) { command(d, &c.Entrypoint) }},
	{"NetworkDisabled", func(d *decoder, c *container.Config) { d.bool(&c.NetworkDisabled) }},
	{"MacAddress", func(d *decoder, c *container.Config) { d.str(&c.MacAddress) }},
	{"OnBuild", func(d *decoder, c *container.Config) { d.strings(&c.OnBuild) }},
	{"Labels", func(d *decoder, c *container.Config) { d.pairs(&c.Labels) }},
	{"StopSignal", func(d *decoder, c *container.Config) { d.str(&c.StopSignal) }},
	{"StopTimeout", func(d *decoder, c *container.Config) {
		optional(d, &c.StopTimeout, func(n *int) { integer(d, n) })
	}},
	{"Shell", func(d *decoder, c *container.Config) { command(d, &c.Shell) }},
}

var healthFields = []field[container.HealthConfig]{
	{"Test", func(d *decoder, h *container.HealthConfig) { d.strings(&h.Test) }},
	{"Interval", func(d *decoder, h *container.HealthConfig) { integer(d, &h.Interval) }},
	{"Timeout", func(d *decoder, h *container.HealthConfig) { integer(d, &h.Timeout) }},
	{"StartPeriod", func(d *decoder, h *container.HealthConfig) { integer(d, &h.StartPeriod) }},
	{"StartInterval", func(d *decoder, h *container.HealthConfig) { integer(d, &h.StartInterval) }},
	{"Retries", func(d *decoder, h *container.HealthConfig) { integer(d, &h.Retries) }},
}

type networkSettings = container.NetworkSettings

// The fields of networkSettings that engines have deprecated are those that
// older ones still fill.
var networkFields = []field[networkSettings]{
	{"Bridge", func(d *decoder, n *networkSettings) { d.str(&n.Bridge) }},
	{"SandboxID", func(d *decoder, n *networkSettings) { d.str(&n.SandboxID) }},
	{"HairpinMode", func(d *decoder, n *networkSettings) { d.bool(&n.HairpinMode) }},
	{"LinkLocalIPv6Address", func(d *decoder, n *networkSettings) { d.str(&n.LinkLocalIPv6Address) }},
	{"LinkLocalIPv6PrefixLen", func(d *decoder, n *networkSettings) { integer(d, &n.LinkLocalIPv6PrefixLen) }},
	{"Ports", func(d *decoder, n *networkSettings) { mapping(d, &n.Ports) }},
	{"SandboxKey", func(d *decoder, n *networkSettings) { d.str(&n.SandboxKey) }},
	{"SecondaryIPAddresses", func(d *decoder, n *networkSettings) { d.other(&n.SecondaryIPAddresses) }},
	{"SecondaryIPv6Addresses", func(d *decoder, n *networkSettings) { d.other(&n.SecondaryIPv6Addresses) }},
	{"EndpointID", func(d *decoder, n *networkSettings) { d.str(&n.EndpointID) }},
	{"Gateway", func(d *decoder, n *networkSettings) { d.str(&n.Gateway) }},
	{"GlobalIPv6Address", func(d *decoder, n *networkSettings) { d.str(&n.GlobalIPv6Address) }},
	{"GlobalIPv6PrefixLen", func(d *decoder, n *networkSettings) { integer(d, &n.GlobalIPv6PrefixLen) }},
	{"IPAddress", func(d *decoder, n *networkSettings) { d.str(&n.IPAddress) }},
	{"IPPrefixLen", func(d *decoder, n *networkSettings) { integer(d, &n.IPPrefixLen) }},
	{"IPv6Gateway", func(d *decoder, n *networkSettings) { d.str(&n.IPv6Gateway) }},
	{"MacAddress", func(d *decoder, n *networkSettings) { d.str(&n.MacAddress) }},
	{"Networks", func(d *decoder, n *networkSettings) { mapping(d, &n.Networks) }},
}
