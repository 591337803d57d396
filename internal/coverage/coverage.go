// Package coverage holds one table of all fields: those of CRI v1 and those of
// dockpod, what a field becomes on the engine, from which version of its API
// on, or why it is refused. FIELDS.md and a part of dockpod's documentation
// are written from it; dockpod's tests hold it to the code.
//
// For a new field, add a row to [Rows], give the field a value in the tests'
// full configuration, or where it cannot stand there a sample, and run go
// generate in the root.
package coverage

// A Row says what becomes of one field. Of Field and CRI one may be missing.
type Row struct {
	// Field is dockpod's, as "Type.Field".
	Field string
	// CRI is a field of CRI v1, as "Message.field"; "Message.*" stands for
	// all that no other row has. Several are separated by ", ".
	CRI string
	// See is the type of which the field is made. Its fields have rows of
	// their own.
	See string
	// Engine is where the field arrives: "HostConfig.Memory", "label KEY",
	// "name". The [] of a list stands for its entries. Several are separated
	// by ", "; the field changes each of them, and nothing else, but for the
	// labels that are there to remember a configuration.
	Engine string
	// Since is the version of the engine's API that has it. An older engine
	// is refused it.
	Since string
	// Refused is why the field is refused, whatever its value; Partly why
	// some of its values are.
	Refused, Partly string
	// Note is what else is to be known. A row that has nothing of the above
	// says here why.
	Note string
	// Const is dockpod's name of a value of an enumeration.
	Const string
}

// Words that several rows have.
const (
	asItself = "its fields stand in the configuration itself"
	windows  = "Windows containers are out of scope"
	idMap    = "the engine's API has no mapping of IDs for one container"
)

// Rows is the table. Of each type the fields stand in its own order.
var Rows = []Row{
	{Field: "ContainerConfig.Name", CRI: "ContainerMetadata.name", Engine: "name, label io.kubernetes.container.name"},
	{Field: "ContainerConfig.Attempt", CRI: "ContainerMetadata.attempt", Engine: "name, label io.dockpod.attempt"},
	{Field: "ContainerConfig.Image", CRI: "ContainerConfig.image, ImageSpec.image", Engine: "label io.dockpod.image", Note: "Config.Image is the ID that it stands for at the time"},
	{Field: "ContainerConfig.Command", CRI: "ContainerConfig.command", Engine: "Config.Entrypoint"},
	{Field: "ContainerConfig.Args", CRI: "ContainerConfig.args", Engine: "Config.Cmd"},
	{Field: "ContainerConfig.WorkingDir", CRI: "ContainerConfig.working_dir", Engine: "Config.WorkingDir"},
	{Field: "ContainerConfig.Envs", CRI: "ContainerConfig.envs", See: "EnvVar"},
	{Field: "ContainerConfig.Mounts", CRI: "ContainerConfig.mounts", See: "Mount"},
	{Field: "ContainerConfig.Devices", CRI: "ContainerConfig.devices", See: "Device"},
	{Field: "ContainerConfig.CDIDevices", CRI: "ContainerConfig.CDI_devices, CDIDevice.name", Engine: "HostConfig.DeviceRequests", Partly: "an engine without a CDI driver does not know them"},
	{Field: "ContainerConfig.Labels", CRI: "ContainerConfig.labels", Engine: "label KEY"},
	{Field: "ContainerConfig.Annotations", CRI: "ContainerConfig.annotations", Engine: "label annotation.KEY"},
	{Field: "ContainerConfig.LogPath", CRI: "ContainerConfig.log_path", Engine: "label io.kubernetes.container.logpath, label io.dockpod.log-directory", Note: "a link to the engine's log file, or a file with WithLogFiles"},
	{Field: "ContainerConfig.LogConfig", See: "LogConfig"},
	{Field: "ContainerConfig.Stdin", CRI: "ContainerConfig.stdin", Engine: "Config.OpenStdin"},
	{Field: "ContainerConfig.StdinOnce", CRI: "ContainerConfig.stdin_once", Engine: "Config.StdinOnce"},
	{Field: "ContainerConfig.TTY", CRI: "ContainerConfig.tty", Engine: "Config.Tty"},
	{Field: "ContainerConfig.Resources", CRI: "LinuxContainerConfig.resources, UpdateContainerResourcesRequest.linux", See: "Resources"},
	{Field: "ContainerConfig.SecurityContext", CRI: "LinuxContainerConfig.security_context", See: "SecurityContext"},
	{Field: "ContainerConfig.StopSignal", CRI: "ContainerConfig.stop_signal, Signal.*", Engine: "Config.StopSignal", Note: "by name or number; SIGNAL_RUNTIME_DEFAULT is the empty string"},
	{Field: "ContainerConfig.StopTimeout", Engine: "Config.StopTimeout"},
	{Field: "ContainerConfig.ShmSize", Engine: "HostConfig.ShmSize", Partly: "in a sandbox /dev/shm is the pod's"},
	{Field: "ContainerConfig.Ulimits", See: "Ulimit"},
	{Field: "ContainerConfig.Init", Engine: "HostConfig.Init"},
	{Field: "ContainerConfig.Platform", Engine: "platform"},
	{Field: "ContainerConfig.Healthcheck", See: "Healthcheck", Note: "none turns the image's off"},
	{Field: "ContainerConfig.ExtraHosts", Engine: "HostConfig.ExtraHosts", Partly: "in a sandbox /etc/hosts is the pod's"},

	{Field: "EnvVar.Key", CRI: "KeyValue.key", Engine: "Config.Env"},
	{Field: "EnvVar.Value", CRI: "KeyValue.value", Engine: "Config.Env"},

	{Field: "Mount.Type", Engine: "HostConfig.Mounts[].Type, HostConfig.Mounts[].Source, HostConfig.Mounts[].BindOptions.CreateMountpoint", Partly: "MountImage is there from API 1.48 on"},
	{Field: "Mount.Source", CRI: "Mount.host_path, Mount.image", Engine: "HostConfig.Mounts[].Source, HostConfig.Binds"},
	{Field: "Mount.Target", CRI: "Mount.container_path", Engine: "HostConfig.Mounts[].Target, HostConfig.Binds"},
	{Field: "Mount.ReadOnly", CRI: "Mount.readonly", Engine: "HostConfig.Mounts[].ReadOnly, HostConfig.Binds", Note: "from API 1.44 on also BindOptions.ReadOnlyNonRecursive, as an older engine mounts by itself"},
	{Field: "Mount.RecursiveReadOnly", CRI: "Mount.recursive_read_only", Engine: "HostConfig.Mounts[].BindOptions.ReadOnlyForceRecursive, HostConfig.Mounts[].BindOptions.ReadOnlyNonRecursive, HostConfig.Mounts[].BindOptions.Propagation", Since: "1.44"},
	{Field: "Mount.Propagation", CRI: "Mount.propagation", Engine: "HostConfig.Mounts[].BindOptions.Propagation, HostConfig.Binds"},
	{Field: "Mount.Missing", Engine: "HostConfig.Mounts[].BindOptions.CreateMountpoint", Note: "before API 1.42 a bind whose source is missing goes by HostConfig.Binds, or the host's files are looked at"},
	{Field: "Mount.SELinuxRelabel", CRI: "Mount.selinux_relabel", Engine: "HostConfig.Binds, HostConfig.Mounts", Note: "only a bind as a string can be relabelled"},
	{Field: "Mount.SELinuxShared", Engine: "HostConfig.Binds"},
	{Field: "Mount.SubPath", CRI: "Mount.image_sub_path", Engine: "HostConfig.Mounts[].VolumeOptions.Subpath, HostConfig.Mounts[].ImageOptions.Subpath", Since: "1.45", Note: "an image's from API 1.48 on"},
	{Field: "Mount.SizeBytes", Engine: "HostConfig.Mounts[].TmpfsOptions.SizeBytes"},
	{Field: "Mount.Mode", Engine: "HostConfig.Mounts[].TmpfsOptions.Mode"},
	{Field: "Mount.TmpfsOptions", Engine: "HostConfig.Mounts[].TmpfsOptions.Options", Since: "1.46"},
	{Field: "Mount.UIDMappings", CRI: "Mount.uidMappings", See: "IDMapping", Refused: idMap},
	{Field: "Mount.GIDMappings", CRI: "Mount.gidMappings", See: "IDMapping", Refused: idMap},

	{Field: "IDMapping.HostID", CRI: "IDMapping.host_id", Note: "refused with the mount"},
	{Field: "IDMapping.ContainerID", CRI: "IDMapping.container_id", Note: "refused with the mount"},
	{Field: "IDMapping.Length", CRI: "IDMapping.length", Note: "refused with the mount"},

	{Field: "Device.HostPath", CRI: "Device.host_path", Engine: "HostConfig.Devices[].PathOnHost"},
	{Field: "Device.ContainerPath", CRI: "Device.container_path", Engine: "HostConfig.Devices[].PathInContainer"},
	{Field: "Device.Permissions", CRI: "Device.permissions", Engine: "HostConfig.Devices[].CgroupPermissions", Note: "none are all three"},

	{Field: "LogConfig.Driver", Engine: "HostConfig.LogConfig.Type"},
	{Field: "LogConfig.Options", Engine: "HostConfig.LogConfig.Config"},

	{Field: "Ulimit.Name", Engine: "HostConfig.Ulimits[].Name"},
	{Field: "Ulimit.Soft", Engine: "HostConfig.Ulimits[].Soft"},
	{Field: "Ulimit.Hard", Engine: "HostConfig.Ulimits[].Hard"},

	{Field: "Healthcheck.Command", Engine: "Config.Healthcheck.Test"},
	{Field: "Healthcheck.Interval", Engine: "Config.Healthcheck.Interval"},
	{Field: "Healthcheck.Timeout", Engine: "Config.Healthcheck.Timeout"},
	{Field: "Healthcheck.StartPeriod", Engine: "Config.Healthcheck.StartPeriod"},
	{Field: "Healthcheck.Retries", Engine: "Config.Healthcheck.Retries"},

	{Field: "Resources.MemoryLimit", CRI: "LinuxContainerResources.memory_limit_in_bytes", Engine: "HostConfig.Memory", Note: "without MemorySwapLimit also HostConfig.MemorySwap, which allows no swap"},
	{Field: "Resources.MemorySwapLimit", CRI: "LinuxContainerResources.memory_swap_limit_in_bytes", Engine: "HostConfig.MemorySwap", Note: "the sum of memory and swap"},
	{Field: "Resources.CPUShares", CRI: "LinuxContainerResources.cpu_shares", Engine: "HostConfig.CPUShares", Note: "a sandbox has 2 unless it asks for more"},
	{Field: "Resources.CPUQuota", CRI: "LinuxContainerResources.cpu_quota", Engine: "HostConfig.CPUQuota"},
	{Field: "Resources.CPUPeriod", CRI: "LinuxContainerResources.cpu_period", Engine: "HostConfig.CPUPeriod"},
	{Field: "Resources.CpusetCpus", CRI: "LinuxContainerResources.cpuset_cpus", Engine: "HostConfig.CpusetCpus"},
	{Field: "Resources.CpusetMems", CRI: "LinuxContainerResources.cpuset_mems", Engine: "HostConfig.CpusetMems"},
	{Field: "Resources.PidsLimit", Engine: "HostConfig.PidsLimit"},
	{Field: "Resources.OOMScoreAdj", CRI: "LinuxContainerResources.oom_score_adj", Engine: "HostConfig.OomScoreAdj", Note: "not changed by an update: refused there"},
	{Field: "Resources.BlkioWeight", Engine: "HostConfig.BlkioWeight"},
	{Field: "Resources.BlkioDeviceWeights", See: "DeviceWeight"},
	{Field: "Resources.BlkioReadBps", See: "DeviceRate"},
	{Field: "Resources.BlkioWriteBps", See: "DeviceRate"},
	{Field: "Resources.BlkioReadIOps", See: "DeviceRate"},
	{Field: "Resources.BlkioWriteIOps", See: "DeviceRate"},
	{Field: "Resources.HugepageLimits", CRI: "LinuxContainerResources.hugepage_limits, HugepageLimit.page_size, HugepageLimit.limit", Refused: "the engine's API has no such limit"},
	{Field: "Resources.Unified", CRI: "LinuxContainerResources.unified", Engine: "HostConfig.Memory, HostConfig.MemorySwap, HostConfig.CPUQuota, HostConfig.CPUPeriod, HostConfig.CpusetCpus, HostConfig.CpusetMems, HostConfig.PidsLimit", Partly: "a file that none of these sets exactly, and all files where the host has cgroup v1"},

	{Field: "DeviceWeight.Path", Engine: "HostConfig.BlkioWeightDevice[].Path"},
	{Field: "DeviceWeight.Weight", Engine: "HostConfig.BlkioWeightDevice[].Weight"},

	{Field: "DeviceRate.Path", Engine: "HostConfig.BlkioDeviceReadBps[].Path, HostConfig.BlkioDeviceWriteBps[].Path, HostConfig.BlkioDeviceReadIOps[].Path, HostConfig.BlkioDeviceWriteIOps[].Path", Note: "of the list that it stands in"},
	{Field: "DeviceRate.Rate", Engine: "HostConfig.BlkioDeviceReadBps[].Rate, HostConfig.BlkioDeviceWriteBps[].Rate, HostConfig.BlkioDeviceReadIOps[].Rate, HostConfig.BlkioDeviceWriteIOps[].Rate", Note: "of the list that it stands in"},

	{Field: "SecurityContext.RunAsUser", CRI: "LinuxContainerSecurityContext.run_as_user, Int64Value.value", Engine: "Config.User"},
	{Field: "SecurityContext.RunAsUserName", CRI: "LinuxContainerSecurityContext.run_as_username", Engine: "Config.User"},
	{Field: "SecurityContext.RunAsGroup", CRI: "LinuxContainerSecurityContext.run_as_group", Engine: "Config.User"},
	{Field: "SecurityContext.SupplementalGroups", CRI: "LinuxContainerSecurityContext.supplemental_groups", Engine: "HostConfig.GroupAdd"},
	{Field: "SecurityContext.Privileged", CRI: "LinuxContainerSecurityContext.privileged", Engine: "HostConfig.Privileged"},
	{Field: "SecurityContext.ReadonlyRootfs", CRI: "LinuxContainerSecurityContext.readonly_rootfs", Engine: "HostConfig.ReadonlyRootfs"},
	{Field: "SecurityContext.Namespaces", CRI: "LinuxContainerSecurityContext.namespace_options", See: "NamespaceOptions"},
	{Field: "SecurityContext.Capabilities", CRI: "LinuxContainerSecurityContext.capabilities", See: "Capabilities"},
	{Field: "SecurityContext.NoNewPrivs", CRI: "LinuxContainerSecurityContext.no_new_privs", Engine: "HostConfig.SecurityOpt"},
	{Field: "SecurityContext.Seccomp", CRI: "LinuxContainerSecurityContext.seccomp", See: "SecurityProfile"},
	{Field: "SecurityContext.AppArmor", CRI: "LinuxContainerSecurityContext.apparmor", See: "SecurityProfile"},
	{Field: "SecurityContext.SELinux", CRI: "LinuxContainerSecurityContext.selinux_options", See: "SELinuxOptions"},
	{Field: "SecurityContext.MaskedPaths", CRI: "LinuxContainerSecurityContext.masked_paths", Engine: "HostConfig.MaskedPaths", Note: "not for a privileged container, which has none", Partly: "on Podman, which has paths of its own"},
	{Field: "SecurityContext.ReadonlyPaths", CRI: "LinuxContainerSecurityContext.readonly_paths", Engine: "HostConfig.ReadonlyPaths", Note: "not for a privileged container, which has none", Partly: "on Podman, which has paths of its own"},
	{Field: "SecurityContext.SupplementalGroupsPolicy", CRI: "LinuxContainerSecurityContext.supplemental_groups_policy", Partly: "Strict: the engine always adds the groups that the image gives the user", Note: "Merge is what the engine does"},

	{Field: "Capabilities.Add", CRI: "Capability.add_capabilities", Engine: "HostConfig.CapAdd"},
	{Field: "Capabilities.Drop", CRI: "Capability.drop_capabilities", Engine: "HostConfig.CapDrop"},
	{Field: "Capabilities.AddAmbient", CRI: "Capability.add_ambient_capabilities", Refused: "the engine's API has no ambient capabilities"},

	{Field: "SecurityProfile.Type", CRI: "SecurityProfile.profile_type", Engine: "HostConfig.SecurityOpt", Note: "AppArmor and seccomp are refused where the engine has none, a Localhost seccomp profile of a privileged container before API 1.48"},
	{Field: "SecurityProfile.LocalhostRef", CRI: "SecurityProfile.localhost_ref", Engine: "HostConfig.SecurityOpt", Partly: "for seccomp a file that cannot be read, or is no profile, and on Podman, which takes no content"},

	{Field: "SELinuxOptions.User", CRI: "SELinuxOption.user", Engine: "HostConfig.SecurityOpt"},
	{Field: "SELinuxOptions.Role", CRI: "SELinuxOption.role", Engine: "HostConfig.SecurityOpt"},
	{Field: "SELinuxOptions.Type", CRI: "SELinuxOption.type", Engine: "HostConfig.SecurityOpt"},
	{Field: "SELinuxOptions.Level", CRI: "SELinuxOption.level", Engine: "HostConfig.SecurityOpt"},

	{Field: "NamespaceOptions.Network", CRI: "NamespaceOption.network", Engine: "HostConfig.NetworkMode, HostConfig.UTSMode"},
	{Field: "NamespaceOptions.PID", CRI: "NamespaceOption.pid", Engine: "HostConfig.PidMode"},
	{Field: "NamespaceOptions.IPC", CRI: "NamespaceOption.ipc", Engine: "HostConfig.IpcMode, HostConfig.ShmSize"},
	{Field: "NamespaceOptions.TargetID", CRI: "NamespaceOption.target_id", Engine: "HostConfig.PidMode", Partly: "of a sandbox, which is there before any container"},
	{Field: "NamespaceOptions.User", CRI: "NamespaceOption.userns_options", See: "UserNamespace"},

	{Field: "UserNamespace.Mode", CRI: "UserNamespace.mode", Engine: "HostConfig.UsernsMode", Partly: "pod: an engine maps users for all of its containers or for none"},
	{Field: "UserNamespace.UIDs", CRI: "UserNamespace.uids", See: "IDMapping", Refused: idMap},
	{Field: "UserNamespace.GIDs", CRI: "UserNamespace.gids", See: "IDMapping", Refused: idMap},

	{Field: "SandboxConfig.Name", CRI: "PodSandboxMetadata.name", Engine: "name, label io.kubernetes.pod.name"},
	{Field: "SandboxConfig.Namespace", CRI: "PodSandboxMetadata.namespace", Engine: "name, label io.kubernetes.pod.namespace"},
	{Field: "SandboxConfig.UID", CRI: "PodSandboxMetadata.uid", Engine: "name, label io.kubernetes.pod.uid"},
	{Field: "SandboxConfig.Attempt", CRI: "PodSandboxMetadata.attempt", Engine: "name, label io.dockpod.attempt"},
	{Field: "SandboxConfig.Hostname", CRI: "PodSandboxConfig.hostname", Engine: "Config.Hostname"},
	{Field: "SandboxConfig.LogDirectory", CRI: "PodSandboxConfig.log_directory", Engine: "label io.kubernetes.container.logpath, label io.dockpod.log-directory", Note: "of the pod's containers"},
	{Field: "SandboxConfig.DNS", CRI: "PodSandboxConfig.dns_config", See: "DNSConfig"},
	{Field: "SandboxConfig.Ports", CRI: "PodSandboxConfig.port_mappings", See: "PortMapping"},
	{Field: "SandboxConfig.Labels", CRI: "PodSandboxConfig.labels", Engine: "label KEY"},
	{Field: "SandboxConfig.Annotations", CRI: "PodSandboxConfig.annotations", Engine: "label annotation.KEY"},
	{Field: "SandboxConfig.CgroupParent", CRI: "LinuxPodSandboxConfig.cgroup_parent", Engine: "HostConfig.CgroupParent", Note: "of the pod's containers too"},
	{Field: "SandboxConfig.Sysctls", CRI: "LinuxPodSandboxConfig.sysctls", Engine: "HostConfig.Sysctls"},
	{Field: "SandboxConfig.Namespaces", CRI: "LinuxSandboxSecurityContext.namespace_options", See: "NamespaceOptions"},
	{Field: "SandboxConfig.SecurityContext", CRI: "LinuxPodSandboxConfig.security_context", See: "SandboxSecurityContext"},
	{Field: "SandboxConfig.Resources", CRI: "LinuxPodSandboxConfig.resources", See: "Resources"},
	{Field: "SandboxConfig.Overhead", CRI: "LinuxPodSandboxConfig.overhead", See: "Resources", Note: "only remembered, in the label io.dockpod.sandbox: it is the scheduler's figure"},
	{Field: "SandboxConfig.ShmSize", Engine: "HostConfig.ShmSize"},
	{Field: "SandboxConfig.RuntimeHandler", CRI: "RunPodSandboxRequest.runtime_handler", Engine: "HostConfig.Runtime", Note: "of the pod's containers too"},

	{Field: "DNSConfig.Servers", CRI: "DNSConfig.servers", Engine: "HostConfig.DNS"},
	{Field: "DNSConfig.Searches", CRI: "DNSConfig.searches", Engine: "HostConfig.DNSSearch"},
	{Field: "DNSConfig.Options", CRI: "DNSConfig.options", Engine: "HostConfig.DNSOptions"},

	{Field: "PortMapping.Protocol", CRI: "PortMapping.protocol", Engine: "HostConfig.PortBindings, Config.ExposedPorts"},
	{Field: "PortMapping.ContainerPort", CRI: "PortMapping.container_port", Engine: "HostConfig.PortBindings, Config.ExposedPorts"},
	{Field: "PortMapping.HostPort", CRI: "PortMapping.host_port", Engine: "HostConfig.PortBindings, Config.ExposedPorts", Note: "0 publishes nothing"},
	{Field: "PortMapping.HostIP", CRI: "PortMapping.host_ip", Engine: "HostConfig.PortBindings"},

	{Field: "SandboxSecurityContext.RunAsUser", CRI: "LinuxSandboxSecurityContext.run_as_user", Engine: "Config.User"},
	{Field: "SandboxSecurityContext.RunAsGroup", CRI: "LinuxSandboxSecurityContext.run_as_group", Engine: "Config.User"},
	{Field: "SandboxSecurityContext.SupplementalGroups", CRI: "LinuxSandboxSecurityContext.supplemental_groups", Engine: "HostConfig.GroupAdd"},
	{Field: "SandboxSecurityContext.ReadonlyRootfs", CRI: "LinuxSandboxSecurityContext.readonly_rootfs", Engine: "HostConfig.ReadonlyRootfs"},
	{Field: "SandboxSecurityContext.Privileged", CRI: "LinuxSandboxSecurityContext.privileged", Engine: "HostConfig.Privileged"},
	{Field: "SandboxSecurityContext.Seccomp", CRI: "LinuxSandboxSecurityContext.seccomp", See: "SecurityProfile"},
	{Field: "SandboxSecurityContext.AppArmor", CRI: "LinuxSandboxSecurityContext.apparmor", See: "SecurityProfile"},
	{Field: "SandboxSecurityContext.SELinux", CRI: "LinuxSandboxSecurityContext.selinux_options", See: "SELinuxOptions"},

	// CRI's values.

	{CRI: "NamespaceMode.POD", Const: "NamespacePod"},
	{CRI: "NamespaceMode.CONTAINER", Const: "NamespaceContainer"},
	{CRI: "NamespaceMode.NODE", Const: "NamespaceNode"},
	{CRI: "NamespaceMode.TARGET", Const: "NamespaceTarget"},
	{CRI: "ProfileType.RuntimeDefault", Const: "ProfileRuntimeDefault"},
	{CRI: "ProfileType.Unconfined", Const: "ProfileUnconfined"},
	{CRI: "ProfileType.Localhost", Const: "ProfileLocalhost"},
	{CRI: "MountPropagation.PROPAGATION_PRIVATE", Const: "PropagationPrivate"},
	{CRI: "MountPropagation.PROPAGATION_HOST_TO_CONTAINER", Const: "PropagationHostToContainer"},
	{CRI: "MountPropagation.PROPAGATION_BIDIRECTIONAL", Const: "PropagationBidirectional"},
	{CRI: "Protocol.TCP", Const: "TCP"},
	{CRI: "Protocol.UDP", Const: "UDP"},
	{CRI: "Protocol.SCTP", Const: "SCTP"},
	{CRI: "SupplementalGroupsPolicy.Merge, SupplementalGroupsPolicy.Strict", Note: "by these names"},

	// CRI's messages that are none here.

	{CRI: "ContainerConfig.metadata, ContainerConfig.linux, PodSandboxConfig.metadata, PodSandboxConfig.linux", Note: asItself},
	{CRI: "CreateContainerRequest.pod_sandbox_id, CreateContainerRequest.config, CreateContainerRequest.sandbox_config", Note: "the arguments of Runtime.CreateContainer"},
	{CRI: "RunPodSandboxRequest.config", Note: "the argument of Runtime.RunSandbox"},
	{CRI: "UpdateContainerResourcesRequest.container_id", Note: "the argument of Runtime.UpdateContainer"},

	// CRI's fields that are missing here.

	{CRI: "UpdateContainerResourcesRequest.annotations", Note: "missing: an engine cannot change labels, where annotations stand"},
	{CRI: "ImageSpec.annotations, ImageSpec.runtime_handler", Note: "missing: an engine has one image for all handlers"},
	{CRI: "ImageSpec.user_specified_image", Note: "missing: Image itself is remembered as it was asked for"},
	{CRI: "ImageSpec.image_ref", Note: "missing: the image of a mount is resolved when the container is made"},
	{CRI: "Mount.mount_options", Note: "missing: the engine's API has no such flags for a bind mount; a tmpfs has TmpfsOptions"},
	{CRI: "LinuxSandboxSecurityContext.supplemental_groups_policy", Note: "missing: the engine always merges"},
	{CRI: "LinuxContainerSecurityContext.apparmor_profile", Note: "missing: deprecated for apparmor"},
	{CRI: "LinuxContainerSecurityContext.seccomp_profile_path, LinuxSandboxSecurityContext.seccomp_profile_path", Note: "missing: deprecated for seccomp"},
	{CRI: "ContainerConfig.windows, PodSandboxConfig.windows, UpdateContainerResourcesRequest.windows, WindowsContainerConfig.*, WindowsContainerResources.*, WindowsContainerSecurityContext.*, WindowsCpuGroupAffinity.*, WindowsNamespaceOption.*, WindowsPodSandboxConfig.*, WindowsSandboxSecurityContext.*", Note: "missing: " + windows},
}
