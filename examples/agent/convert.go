package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/dockpod/dockpod"
)

// graceKey is the annotation of a sandbox with its pod's grace in seconds: it
// is needed when the manifest is gone.
const graceKey = "dockpod-agent/grace-seconds"

// sandboxOf is the sandbox of a pod. Logs are linked below logs, unless that
// is empty.
func sandboxOf(pod v1.Pod, attempt uint32, logs string) dockpod.SandboxConfig {
	spec := pod.Spec
	s := dockpod.SandboxConfig{
		Name: pod.Name, Namespace: pod.Namespace, UID: string(pod.UID), Attempt: attempt,
		Hostname: spec.Hostname,
		Labels:   pod.Labels, Annotations: map[string]string{},
	}
	maps.Copy(s.Annotations, pod.Annotations)
	s.Annotations[graceKey] = strconv.FormatInt(*spec.TerminationGracePeriodSeconds, 10)
	if s.Hostname == "" && !spec.HostNetwork {
		s.Hostname = pod.Name
	}
	if logs != "" {
		s.LogDirectory = path.Join(filepath.ToSlash(logs), strings.Join([]string{pod.Namespace, pod.Name, string(pod.UID)}, "_"))
	}
	if dns := spec.DNSConfig; dns != nil {
		s.DNS.Servers, s.DNS.Searches = dns.Nameservers, dns.Searches
		for _, o := range dns.Options {
			text := o.Name
			if o.Value != nil {
				text += ":" + *o.Value
			}
			s.DNS.Options = append(s.DNS.Options, text)
		}
	}
	if spec.HostNetwork {
		s.Namespaces.Network = dockpod.NamespaceNode
	}
	switch {
	case spec.HostPID:
		s.Namespaces.PID = dockpod.NamespaceNode
	case spec.ShareProcessNamespace != nil && *spec.ShareProcessNamespace:
		s.Namespaces.PID = dockpod.NamespacePod
	}
	if spec.HostIPC {
		s.Namespaces.IPC = dockpod.NamespaceNode
	}
	for _, c := range spec.Containers {
		for _, p := range c.Ports {
			s.Ports = append(s.Ports, dockpod.PortMapping{
				Protocol: dockpod.Protocol(strings.ToLower(string(p.Protocol))), ContainerPort: p.ContainerPort, HostPort: p.HostPort, HostIP: p.HostIP,
			})
		}
		if sc := c.SecurityContext; sc != nil && sc.Privileged != nil && *sc.Privileged {
			s.SecurityContext.Privileged = true
		}
	}
	if sc := spec.SecurityContext; sc != nil {
		for _, ctl := range sc.Sysctls {
			if s.Sysctls == nil {
				s.Sysctls = map[string]string{}
			}
			s.Sysctls[ctl.Name] = ctl.Value
		}
	}
	return s
}

// containerOf is an attempt of a container of a pod. Directories for
// emptyDirs stand below volumes.
func containerOf(pod v1.Pod, c v1.Container, attempt uint32, volumes string) dockpod.ContainerConfig {
	cfg := dockpod.ContainerConfig{
		Name: c.Name, Attempt: attempt, Image: c.Image,
		Command: c.Command, Args: c.Args, WorkingDir: c.WorkingDir,
		LogPath: fmt.Sprintf("%s/%d.log", c.Name, attempt),
		Stdin:   c.Stdin, StdinOnce: c.StdinOnce, TTY: c.TTY,
		Resources:       resourcesOf(c.Resources),
		SecurityContext: securityOf(pod.Spec.SecurityContext, c.SecurityContext),
	}
	for _, e := range c.Env {
		cfg.Envs = append(cfg.Envs, dockpod.EnvVar{Key: e.Name, Value: e.Value})
	}
	for _, vm := range c.VolumeMounts {
		m := dockpod.Mount{Target: vm.MountPath, ReadOnly: vm.ReadOnly}
		v := volumeOf(pod, vm.Name)
		switch {
		case v.HostPath != nil:
			m.Source = v.HostPath.Path
		case v.EmptyDir.Medium == v1.StorageMediumMemory:
			m.Type = dockpod.MountTmpfs
			if limit := v.EmptyDir.SizeLimit; limit != nil {
				m.SizeBytes = limit.Value()
			}
		default:
			m.Source = emptyDir(volumes, pod, v)
		}
		if vm.MountPropagation != nil {
			m.Propagation = map[v1.MountPropagationMode]dockpod.Propagation{
				v1.MountPropagationHostToContainer: dockpod.PropagationHostToContainer,
				v1.MountPropagationBidirectional:   dockpod.PropagationBidirectional,
			}[*vm.MountPropagation]
		}
		cfg.Mounts = append(cfg.Mounts, m)
	}
	return cfg
}

// volumeOf finds a volume that checkPod has made sure of.
func volumeOf(pod v1.Pod, name string) v1.Volume {
	i := slices.IndexFunc(pod.Spec.Volumes, func(v v1.Volume) bool { return v.Name == name })
	return pod.Spec.Volumes[i]
}

// emptyDir is the directory of an emptyDir volume.
func emptyDir(volumes string, pod v1.Pod, v v1.Volume) string {
	return filepath.Join(volumes, string(pod.UID), v.Name)
}

// makeVolumes makes the directories that the pod's volumes want. Any user of
// a container may write to an emptyDir; on the node only this agent's gets
// that far.
func makeVolumes(pod v1.Pod, volumes string) error {
	for _, v := range pod.Spec.Volumes {
		var err error
		switch {
		case v.EmptyDir != nil && v.EmptyDir.Medium == "":
			dir := emptyDir(volumes, pod, v)
			if err = os.MkdirAll(dir, 0o700); err == nil {
				err = os.Chmod(dir, 0o777) // not less the umask
			}
		case v.HostPath != nil && v.HostPath.Type != nil && *v.HostPath.Type == v1.HostPathDirectoryOrCreate:
			err = os.MkdirAll(v.HostPath.Path, 0o755)
		}
		if err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	return nil
}

// resourcesOf translates as the kubelet does: a limit is a quota of each tenth
// of a second, a request a weight.
func resourcesOf(r v1.ResourceRequirements) dockpod.Resources {
	var res dockpod.Resources
	if cpu, ok := r.Limits[v1.ResourceCPU]; ok {
		res.CPUPeriod = 100_000
		res.CPUQuota = max(cpu.MilliValue()*res.CPUPeriod/1000, 1000)
	}
	if cpu, ok := r.Requests[v1.ResourceCPU]; ok {
		res.CPUShares = max(cpu.MilliValue()*1024/1000, 2)
	}
	if memory, ok := r.Limits[v1.ResourceMemory]; ok {
		res.MemoryLimit = memory.Value()
	}
	return res
}

// securityOf merges a container's security context over its pod's.
func securityOf(p *v1.PodSecurityContext, c *v1.SecurityContext) dockpod.SecurityContext {
	var sc dockpod.SecurityContext
	if p != nil {
		sc.RunAsUser, sc.RunAsGroup, sc.SupplementalGroups = p.RunAsUser, p.RunAsGroup, p.SupplementalGroups
		sc.Seccomp = profileOf(p.SeccompProfile)
	}
	if c == nil {
		return sc
	}
	if c.RunAsUser != nil {
		sc.RunAsUser = c.RunAsUser
	}
	if c.RunAsGroup != nil {
		sc.RunAsGroup = c.RunAsGroup
	}
	if c.SeccompProfile != nil {
		sc.Seccomp = profileOf(c.SeccompProfile)
	}
	sc.Privileged = isTrue(c.Privileged)
	sc.ReadonlyRootfs = isTrue(c.ReadOnlyRootFilesystem)
	sc.NoNewPrivs = c.AllowPrivilegeEscalation != nil && !*c.AllowPrivilegeEscalation
	if caps := c.Capabilities; caps != nil {
		sc.Capabilities = &dockpod.Capabilities{}
		for _, name := range caps.Add {
			sc.Capabilities.Add = append(sc.Capabilities.Add, string(name))
		}
		for _, name := range caps.Drop {
			sc.Capabilities.Drop = append(sc.Capabilities.Drop, string(name))
		}
	}
	return sc
}

func profileOf(p *v1.SeccompProfile) *dockpod.SecurityProfile {
	if p == nil {
		return nil
	}
	profile := &dockpod.SecurityProfile{Type: dockpod.ProfileType(p.Type)}
	if p.LocalhostProfile != nil {
		profile.LocalhostRef = *p.LocalhostProfile
	}
	return profile
}

func isTrue(b *bool) bool { return b != nil && *b }

// checkNonRoot holds runAsNonRoot against the user that a container will have.
func checkNonRoot(pod v1.Pod, c v1.Container, image dockpod.Image) error {
	var want *bool
	if p := pod.Spec.SecurityContext; p != nil {
		want = p.RunAsNonRoot
	}
	if c.SecurityContext != nil && c.SecurityContext.RunAsNonRoot != nil {
		want = c.SecurityContext.RunAsNonRoot
	}
	if !isTrue(want) {
		return nil
	}
	uid := securityOf(pod.Spec.SecurityContext, c.SecurityContext).RunAsUser
	if uid == nil {
		uid = image.UID
	}
	switch {
	case uid != nil && *uid != 0:
		return nil
	case uid == nil && image.Username != "":
		return fmt.Errorf("runAsNonRoot: the image's user %q may be root; set runAsUser", image.Username)
	}
	return errors.New("runAsNonRoot: the container would run as root")
}

// checkPod reports values that this agent does not take, and what dockpod
// itself would refuse.
func checkPod(p *problems, pod v1.Pod) {
	spec := pod.Spec
	switch spec.RestartPolicy {
	case v1.RestartPolicyAlways, v1.RestartPolicyOnFailure, v1.RestartPolicyNever:
	default:
		p.add("spec.restartPolicy", "%q; want Always, OnFailure or Never", spec.RestartPolicy)
	}
	if spec.DNSPolicy != v1.DNSDefault && spec.DNSPolicy != v1.DNSNone {
		p.add("spec.dnsPolicy", "%q; want Default or None: there is no cluster", spec.DNSPolicy)
	}
	if *spec.TerminationGracePeriodSeconds < 0 {
		p.add("spec.terminationGracePeriodSeconds", "%d is negative", *spec.TerminationGracePeriodSeconds)
	}
	for i, v := range spec.Volumes {
		checkVolume(p, fmt.Sprintf("spec.volumes[%d]", i), v, spec)
	}
	names := map[string]bool{}
	for i, c := range spec.Containers {
		field := fmt.Sprintf("spec.containers[%d]", i)
		if names[c.Name] {
			p.add(field+".name", "%q is another container's too", c.Name)
		}
		names[c.Name] = true
		checkContainer(p, field, c, spec)
	}
	if len(*p) > 0 {
		return // a conversion needs a pod that holds together
	}
	pod.UID = "unknown"
	if err := sandboxOf(pod, 0, "").Validate(); err != nil {
		p.add("spec", "%v", err)
	}
	for i, c := range spec.Containers {
		if err := containerOf(pod, c, 0, "/").Validate(); err != nil {
			p.add(fmt.Sprintf("spec.containers[%d]", i), "%v", err)
		}
	}
}

func checkVolume(p *problems, field string, v v1.Volume, spec v1.PodSpec) {
	switch {
	case v.HostPath != nil:
		if t := v.HostPath.Type; t != nil && *t != v1.HostPathUnset && *t != v1.HostPathDirectoryOrCreate {
			p.add(field+".hostPath.type", "%q; want none or DirectoryOrCreate", *t)
		}
	case v.EmptyDir != nil && v.EmptyDir.Medium == v1.StorageMediumMemory:
		// The engine makes a tmpfs for each container that wants one.
		users := 0
		for _, c := range spec.Containers {
			for _, vm := range c.VolumeMounts {
				if vm.Name == v.Name {
					users++
				}
			}
		}
		if users > 1 {
			p.add(field+".emptyDir.medium", "Memory for a volume that is mounted %d times: it cannot be shared", users)
		}
	case v.EmptyDir != nil:
		if v.EmptyDir.Medium != "" {
			p.add(field+".emptyDir.medium", "%q; want none or Memory", v.EmptyDir.Medium)
		}
		if v.EmptyDir.SizeLimit != nil {
			p.add(field+".emptyDir.sizeLimit", "needs medium Memory")
		}
	default:
		p.add(field, "want a hostPath or an emptyDir")
	}
}

func checkContainer(p *problems, field string, c v1.Container, spec v1.PodSpec) {
	literal := func(field, value string) {
		if strings.Contains(value, "$(") {
			p.add(field, "this agent does not expand $(NAME)")
		}
	}
	for i, s := range c.Command {
		literal(fmt.Sprintf("%s.command[%d]", field, i), s)
	}
	for i, s := range c.Args {
		literal(fmt.Sprintf("%s.args[%d]", field, i), s)
	}
	for i, e := range c.Env {
		literal(fmt.Sprintf("%s.env[%d].value", field, i), e.Value)
	}
	switch c.ImagePullPolicy {
	case "", v1.PullAlways, v1.PullIfNotPresent, v1.PullNever:
	default:
		p.add(field+".imagePullPolicy", "%q", c.ImagePullPolicy)
	}
	for i, vm := range c.VolumeMounts {
		if !slices.ContainsFunc(spec.Volumes, func(v v1.Volume) bool { return v.Name == vm.Name }) {
			p.add(fmt.Sprintf("%s.volumeMounts[%d].name", field, i), "%q is no volume of the pod", vm.Name)
		}
	}
}

// graceOf is how long a pod's containers get to end. A container without a pod
// gets what Kubernetes gives a pod that does not say.
func graceOf(pod v1.Pod) time.Duration {
	seconds := int64(v1.DefaultTerminationGracePeriodSeconds)
	if s := pod.Spec.TerminationGracePeriodSeconds; s != nil {
		seconds = *s
	}
	return time.Duration(seconds) * time.Second
}

// storedGrace reads that back from a sandbox.
func storedGrace(annotations map[string]string) time.Duration {
	var pod v1.Pod
	if seconds, err := strconv.ParseInt(annotations[graceKey], 10, 32); err == nil {
		pod.Spec.TerminationGracePeriodSeconds = &seconds
	}
	return graceOf(pod)
}
