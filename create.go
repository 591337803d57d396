package dockpod

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/strslice"
	"github.com/docker/go-connections/nat"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Mount makes files of the node, a volume, an image or memory visible in a
// container.
type Mount struct {
	Type   MountType // empty: bind
	Source string    // bind: absolute path on the engine's host; volume: its name; image: its reference; tmpfs: empty
	Target string    // absolute path in the container

	ReadOnly          bool
	RecursiveReadOnly bool        // submounts too: needs ReadOnly, private propagation and API 1.44
	Propagation       Propagation // bind only; empty: private
	SELinuxRelabel    bool        // bind only: label the source for this container alone
	SubPath           string      // image and volume only: a directory below the source
	SizeBytes         int64       // tmpfs only; 0: the kernel's default, half of memory
	Mode              uint32      // tmpfs only: permissions; 0: 01777
}

// MountType tells what a [Mount]'s source is. The zero value is a bind mount.
type MountType string

// The kinds of mounts.
const (
	MountBind   MountType = "bind"
	MountVolume MountType = "volume"
	MountTmpfs  MountType = "tmpfs"
	MountImage  MountType = "image" // from API 1.48
)

// Propagation tells which mounts made later are seen on the other side.
type Propagation string

// The propagations of CRI v1.
const (
	PropagationPrivate         Propagation = "private"
	PropagationHostToContainer Propagation = "rslave"
	PropagationBidirectional   Propagation = "rshared"
)

// Device is a device of the node for a container.
type Device struct {
	HostPath      string // absolute
	ContainerPath string // empty: as on the host
	Permissions   string // of "rwm"; empty: all three
}

// Resources are limits of a container. Zero fields leave the engine's
// defaults, which are no limit.
type Resources struct {
	MemoryLimit int64 `json:"memoryLimit,omitempty"` // bytes; at least 6 MiB
	// MemorySwapLimit is the sum of memory and swap in bytes. Zero with a
	// MemoryLimit means no swap, as a kubelet wants it: an engine left alone
	// gives as much swap as memory. -1 is unlimited swap.
	MemorySwapLimit int64  `json:"memorySwapLimit,omitempty"`
	CPUShares       int64  `json:"cpuShares,omitempty"` // relative weight; 1024 is one CPU's worth
	CPUQuota        int64  `json:"cpuQuota,omitempty"`  // microseconds of CPU time in each CPUPeriod
	CPUPeriod       int64  `json:"cpuPeriod,omitempty"` // microseconds; 0: 100 ms
	CpusetCpus      string `json:"cpusetCpus,omitempty"`
	CpusetMems      string `json:"cpusetMems,omitempty"`
	PidsLimit       int64  `json:"pidsLimit,omitempty"`   // 0: the engine's default; -1: unlimited
	OOMScoreAdj     int    `json:"oomScoreAdj,omitempty"` // from -1000 to 1000

	HugepageLimits map[string]int64  `json:"hugepageLimits,omitempty"` // bytes by page size: "2MB". Engines have no such limit: refused
	Unified        map[string]string `json:"unified,omitempty"`        // cgroup v2 files. Engines have no such field: refused
}

// defaultShmSize is what a kubelet's containers get. Docker's own default is
// the same; Podman's is smaller, so it is always sent.
const defaultShmSize = 64 << 20

// minMemory is the smallest memory limit that an engine takes.
const minMemory = 6 << 20

// createRequest is what the engine is asked to make.
type createRequest struct {
	Name     Name
	Config   *container.Config
	Host     *container.HostConfig
	Net      *network.NetworkingConfig
	Platform *ocispec.Platform
}

// createSite is what a request depends on besides the configuration: facts of
// the Runtime, the engine, the image and the sandbox.
type createSite struct {
	naming        Naming
	owner         string
	maxLabelBytes int
	features      Features
	cgroupDriver  string // needed if the sandbox has a cgroup parent
	imageID       string
	imageLabels   map[string]string
	imageCommand  bool // the image brings an entrypoint or a command

	sandboxID string // of a container; empty: none
	network   string // of a sandbox: the engine's network
	oomScore  *int   // of a sandbox
}

// Validate checks all that can be checked without an engine. The error is a
// [*FieldError] or an [*UnsupportedError] that names the field, or several of
// them joined.
func (c ContainerConfig) Validate() error {
	v := &validator{}
	v.component("Name", c.Name)
	if c.Name == SandboxContainerName {
		v.bad("Name", "%q is the sandbox's", c.Name)
	}
	if strings.TrimSpace(c.Image) == "" {
		v.bad("Image", "empty")
	}
	v.text("Image", c.Image)
	for i, a := range c.Command {
		v.text(fmt.Sprintf("Command[%d]", i), a)
	}
	for i, a := range c.Args {
		v.text(fmt.Sprintf("Args[%d]", i), a)
	}
	if c.WorkingDir != "" && !path.IsAbs(c.WorkingDir) {
		v.bad("WorkingDir", "%q is not absolute", c.WorkingDir)
	}
	v.text("WorkingDir", c.WorkingDir)
	for i, e := range c.Envs {
		v.env(fmt.Sprintf("Envs[%d]", i), e)
	}
	v.mounts(c.Mounts)
	v.devices(c.Devices)
	for i, d := range c.CDIDevices {
		vendor, name, ok := strings.Cut(d, "=")
		if !ok || name == "" || !strings.Contains(vendor, "/") {
			v.bad(fmt.Sprintf("CDIDevices[%d]", i), "%q; want vendor/class=name", d)
		}
		v.text(fmt.Sprintf("CDIDevices[%d]", i), d)
	}
	v.text("LogConfig.Driver", c.LogConfig.Driver)
	v.texts("LogConfig.Options", c.LogConfig.Options)
	v.texts("ExtraHosts", c.ExtraHosts)
	if c.StdinOnce && !c.Stdin {
		v.bad("StdinOnce", "needs Stdin")
	}
	v.resources("Resources", c.Resources)
	v.security(c.SecurityContext)
	v.signal("StopSignal", c.StopSignal)
	if c.StopTimeout != nil && *c.StopTimeout < 0 {
		v.bad("StopTimeout", "%v is negative", *c.StopTimeout)
	}
	if c.ShmSize < 0 {
		v.bad("ShmSize", "%d is negative", c.ShmSize)
	}
	for i, u := range c.Ulimits {
		if !isWord(u.Name) || strings.ContainsAny(u.Name, "=:") {
			v.bad(fmt.Sprintf("Ulimits[%d].Name", i), "%q", u.Name)
		}
		switch {
		case u.Soft < -1 || u.Hard < -1:
			v.bad(fmt.Sprintf("Ulimits[%d]", i), "%d:%d; want -1 for no limit", u.Soft, u.Hard)
		case u.Hard != -1 && (u.Soft > u.Hard || u.Soft == -1):
			v.bad(fmt.Sprintf("Ulimits[%d].Soft", i), "above the hard limit %d", u.Hard)
		}
	}
	if _, err := parsePlatform(c.Platform); err != nil {
		v.add(err)
	}
	if h := c.Healthcheck; h != nil {
		if len(h.Command) == 0 {
			v.bad("Healthcheck.Command", "empty")
		}
		for i, a := range h.Command {
			v.text(fmt.Sprintf("Healthcheck.Command[%d]", i), a)
		}
		for _, d := range []struct {
			field string
			d     time.Duration
		}{{"Interval", h.Interval}, {"Timeout", h.Timeout}, {"StartPeriod", h.StartPeriod}} {
			if d.d != 0 && d.d < time.Millisecond {
				v.bad("Healthcheck."+d.field, "%v; want at least 1ms", d.d)
			}
		}
		if h.Retries < 0 {
			v.bad("Healthcheck.Retries", "%d is negative", h.Retries)
		}
	}
	v.labels(c.Labels, c.Annotations)
	return v.err()
}

// Validate checks all that can be checked without an engine, as for a
// container.
func (s SandboxConfig) Validate() error {
	v := &validator{}
	v.component("Name", s.Name)
	v.component("Namespace", s.Namespace)
	v.component("UID", s.UID)
	v.hostname(s)
	if s.LogDirectory != "" {
		if !path.IsAbs(s.LogDirectory) {
			v.bad("LogDirectory", "%q is not absolute", s.LogDirectory)
		}
		v.text("LogDirectory", s.LogDirectory)
	}
	v.dns(s.DNS)
	v.ports(s)
	for _, k := range slices.Sorted(maps.Keys(s.Sysctls)) {
		if k == "" || strings.ContainsAny(k, " =\x00") {
			v.bad(fmt.Sprintf("Sysctls[%q]", k), "not a sysctl's name")
		}
		v.text(fmt.Sprintf("Sysctls[%q]", k), k+"="+s.Sysctls[k])
		if s.Namespaces.Network == NamespaceNode && strings.HasPrefix(k, "net.") {
			v.bad(fmt.Sprintf("Sysctls[%q]", k), "would change the node's network")
		}
	}
	v.text("CgroupParent", s.CgroupParent)
	v.text("RuntimeHandler", s.RuntimeHandler)
	v.namespaces("Namespaces", s.Namespaces, true)
	v.sandboxSecurity(s.SecurityContext)
	v.resources("Resources", s.Resources)
	v.labels(s.Labels, s.Annotations)
	return v.err()
}

// validator collects what is wrong with a configuration.
type validator struct{ errs []error }

func (v *validator) add(err error) { v.errs = append(v.errs, err) }

func (v *validator) bad(field, format string, args ...any) {
	v.add(&FieldError{field, bounded(fmt.Sprintf(format, args...))})
}

func (v *validator) unsupported(field, reason string) {
	v.add(&UnsupportedError{field, reason})
}

// err returns the one error as it is, several joined.
func (v *validator) err() error { return joinErrors(v.errs) }

// all takes over another validation's errors, with their fields' paths
// lengthened by prefix.
func (v *validator) all(err error, prefix string) {
	var list joined
	if !errors.As(err, &list) && err != nil {
		list = joined{err}
	}
	for _, err := range list {
		switch e := err.(type) {
		case *FieldError:
			err = &FieldError{prefix + e.Field, e.Reason}
		case *UnsupportedError:
			err = &UnsupportedError{prefix + e.Field, e.Reason}
		}
		v.add(err)
	}
}

// maxComponent is the longest name that Kubernetes knows, that of a pod.
const maxComponent = 253

func (v *validator) component(field, s string) {
	switch {
	case s == "":
		v.bad(field, "empty")
	case len(s) > maxComponent:
		v.bad(field, "%d bytes; want at most %d", len(s), maxComponent)
	case indexOther(s) >= 0:
		v.bad(field, "%q; want letters, digits, '.' and '-'", s)
	}
}

// text refuses what no argument, path or value can carry to a process, and
// what the engine's API, which is JSON, would change on the way.
func (v *validator) text(field, s string) {
	switch {
	case strings.IndexByte(s, 0) >= 0:
		v.bad(field, "contains a NUL byte")
	case !utf8.ValidString(s):
		v.bad(field, "is not valid UTF-8")
	}
}

// isWord reports whether s is text without white space, and not empty.
func isWord(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsAny(s, " \t\r\n\x00")
}

// texts is text for a map's keys and values.
func (v *validator) texts(field string, m map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		v.text(fmt.Sprintf("%s[%q]", field, k), k+"="+m[k])
	}
}

// env checks a variable without ever quoting its value, even where that was
// put into the key. An entry without "=" would unset the variable on Docker
// and take the engine's own value on Podman, so a key is all that is looked
// at.
func (v *validator) env(field string, e EnvVar) {
	switch name, _, isPair := strings.Cut(e.Key, "="); {
	case e.Key == "":
		v.bad(field+".Key", "empty")
	case isPair:
		v.bad(field+".Key", "'=' after %q", name)
	default:
		v.text(field+".Key", e.Key)
	}
	v.text(field+".Value", e.Value)
}

func (v *validator) mounts(ms []Mount) {
	targets := map[string]int{}
	for i, m := range ms {
		field := func(name string) string { return fmt.Sprintf("Mounts[%d].%s", i, name) }
		clean := path.Clean(m.Target)
		switch first, dup := targets[clean]; {
		case !path.IsAbs(m.Target):
			v.bad(field("Target"), "%q is not absolute", m.Target)
		case clean == "/":
			v.bad(field("Target"), "is the root")
		case dup:
			v.bad(field("Target"), "%q is the target of Mounts[%d] too", m.Target, first)
		default:
			targets[clean] = i
		}
		v.text(field("Target"), m.Target)
		v.text(field("Source"), m.Source)
		v.text(field("SubPath"), m.SubPath)
		switch m.Type {
		case "", MountBind:
			if !path.IsAbs(m.Source) {
				v.bad(field("Source"), "%q is not absolute", m.Source)
			}
			if m.SubPath != "" {
				v.bad(field("SubPath"), "a bind mount has none: put it into Source")
			}
		case MountVolume, MountImage:
			if m.Source == "" {
				v.bad(field("Source"), "empty")
			}
			if m.SubPath != "" && (path.IsAbs(m.SubPath) || slices.Contains(strings.Split(m.SubPath, "/"), "..")) {
				v.bad(field("SubPath"), "%q leaves the source", m.SubPath)
			}
		case MountTmpfs:
			if m.Source != "" {
				v.bad(field("Source"), "a tmpfs has none")
			}
			if m.SizeBytes < 0 {
				v.bad(field("SizeBytes"), "%d is negative", m.SizeBytes)
			}
		default:
			v.bad(field("Type"), "%q; want bind, volume, tmpfs or image", m.Type)
		}
		v.mountOptions(field, m)
	}
}

// mountOptions refuses options of one kind of mount on another, where an
// engine would drop them.
func (v *validator) mountOptions(field func(string) string, m Mount) {
	bind := m.Type == "" || m.Type == MountBind
	switch m.Propagation {
	case "", PropagationPrivate:
	case PropagationHostToContainer, PropagationBidirectional:
		if !bind {
			v.bad(field("Propagation"), "only a bind mount has one")
		}
	default:
		v.bad(field("Propagation"), "%q; want private, rslave or rshared", m.Propagation)
	}
	if m.SELinuxRelabel && !bind {
		v.bad(field("SELinuxRelabel"), "only a bind mount is relabelled")
	}
	if m.SELinuxRelabel && (strings.Contains(m.Source, ":") || strings.Contains(m.Target, ":")) {
		v.bad(field("SELinuxRelabel"), "an engine cannot relabel a path with a colon")
	}
	if m.RecursiveReadOnly {
		switch {
		case !bind:
			v.bad(field("RecursiveReadOnly"), "only a bind mount has submounts")
		case m.SELinuxRelabel:
			v.unsupported(field("RecursiveReadOnly"), "an engine cannot promise it for a mount that it relabels")
		case !m.ReadOnly:
			v.bad(field("RecursiveReadOnly"), "needs ReadOnly")
		case m.Propagation != "" && m.Propagation != PropagationPrivate:
			v.bad(field("RecursiveReadOnly"), "needs private propagation")
		}
	}
	if m.Type != MountTmpfs && (m.SizeBytes != 0 || m.Mode != 0) {
		v.bad(field("SizeBytes"), "SizeBytes and Mode are a tmpfs's")
	}
}

func (v *validator) devices(ds []Device) {
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
	}
}

func (v *validator) resources(field string, r Resources) {
	switch {
	case r.MemoryLimit < 0:
		v.bad(field+".MemoryLimit", "%d is negative", r.MemoryLimit)
	case r.MemoryLimit > 0 && r.MemoryLimit < minMemory:
		v.bad(field+".MemoryLimit", "%d bytes; engines need at least %d", r.MemoryLimit, minMemory)
	}
	switch {
	case r.MemorySwapLimit < -1:
		v.bad(field+".MemorySwapLimit", "%d; want -1 for no limit", r.MemorySwapLimit)
	case r.MemorySwapLimit > 0 && r.MemoryLimit == 0:
		v.bad(field+".MemorySwapLimit", "needs MemoryLimit")
	case r.MemorySwapLimit > 0 && r.MemorySwapLimit < r.MemoryLimit:
		v.bad(field+".MemorySwapLimit", "%d is below MemoryLimit %d", r.MemorySwapLimit, r.MemoryLimit)
	}
	for _, n := range []struct {
		name  string
		value int64
	}{{"CPUShares", r.CPUShares}, {"CPUPeriod", r.CPUPeriod}} {
		if n.value < 0 {
			v.bad(field+"."+n.name, "%d is negative", n.value)
		}
	}
	if r.CPUQuota < -1 || r.CPUQuota > 0 && r.CPUQuota < 1000 {
		v.bad(field+".CPUQuota", "%d; want at least 1000 us, or -1 for no limit", r.CPUQuota)
	}
	if r.CPUPeriod != 0 && (r.CPUPeriod < 1000 || r.CPUPeriod > 1000000) {
		v.bad(field+".CPUPeriod", "%d; want 1000 to 1000000 us", r.CPUPeriod)
	}
	if r.PidsLimit < -1 {
		v.bad(field+".PidsLimit", "%d; want -1 for no limit", r.PidsLimit)
	}
	if r.OOMScoreAdj < -1000 || r.OOMScoreAdj > 1000 {
		v.bad(field+".OOMScoreAdj", "%d; want -1000 to 1000", r.OOMScoreAdj)
	}
	for _, n := range []struct{ name, value string }{{"CpusetCpus", r.CpusetCpus}, {"CpusetMems", r.CpusetMems}} {
		if strings.Trim(n.value, "0123456789,-") != "" {
			v.bad(field+"."+n.name, "%q; want a list such as \"0-2,4\"", n.value)
		}
	}
	if len(r.HugepageLimits) > 0 {
		v.unsupported(field+".HugepageLimits", "the engine's API has no such limit")
	}
	if len(r.Unified) > 0 {
		v.unsupported(field+".Unified", "the engine's API has no such field")
	}
}

var signalName = regexp.MustCompile(`^(?:SIG)?[A-Z][A-Z0-9+-]*$`)

func (v *validator) signal(field, s string) {
	if s == "" {
		return
	}
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > 64 {
			v.bad(field, "%d is no signal", n)
		}
	} else if !signalName.MatchString(s) {
		v.bad(field, "%q is no signal", s)
	}
}

func (v *validator) labels(labels, annotations map[string]string) {
	if _, err := JoinLabels(labels, annotations); err != nil {
		v.add(err)
	}
}

var hostnamePattern = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$`)

func (v *validator) hostname(s SandboxConfig) {
	switch {
	case s.Hostname == "":
	case s.Namespaces.Network == NamespaceNode:
		v.bad("Hostname", "a pod with the node's network has the node's hostname")
	case len(s.Hostname) > 63 || !hostnamePattern.MatchString(s.Hostname):
		v.bad("Hostname", "%q; want at most 63 letters, digits, '-' and '.'", s.Hostname)
	}
}

func (v *validator) dns(d DNSConfig) {
	for i, s := range d.Servers {
		if _, err := netip.ParseAddr(s); err != nil {
			v.bad(fmt.Sprintf("DNS.Servers[%d]", i), "%q is no IP address", s)
		}
	}
	// The limits of Kubernetes, which are those of glibc since 2.26.
	total := 0
	for i, s := range d.Searches {
		total += len(s) + 1
		if !isWord(s) {
			v.bad(fmt.Sprintf("DNS.Searches[%d]", i), "%q is no domain", s)
		}
	}
	if len(d.Searches) > 32 || total > 2049 {
		v.bad("DNS.Searches", "%d domains of %d bytes; want at most 32 of 2048", len(d.Searches), total)
	}
	for i, s := range d.Options {
		if !isWord(s) {
			v.bad(fmt.Sprintf("DNS.Options[%d]", i), "%q is no option", s)
		}
	}
}

func (v *validator) ports(s SandboxConfig) {
	seen := map[PortMapping]int{}
	for i, p := range s.Ports {
		field := fmt.Sprintf("Ports[%d]", i)
		if p.ContainerPort < 1 || p.ContainerPort > math.MaxUint16 {
			v.bad(field+".ContainerPort", "%d; want 1 to 65535", p.ContainerPort)
		}
		if p.HostPort < 0 || p.HostPort > math.MaxUint16 {
			v.bad(field+".HostPort", "%d; want 0 to 65535", p.HostPort)
		}
		switch p.protocol() {
		case TCP, UDP, SCTP:
		default:
			v.bad(field+".Protocol", "%q; want tcp, udp or sctp", p.Protocol)
		}
		if p.HostIP != "" {
			if _, err := netip.ParseAddr(p.HostIP); err != nil {
				v.bad(field+".HostIP", "%q is no IP address", p.HostIP)
			}
		}
		if p.HostPort == 0 {
			continue
		}
		key := PortMapping{Protocol: p.protocol(), HostPort: p.HostPort, HostIP: p.HostIP}
		if first, dup := seen[key]; dup {
			v.bad(field+".HostPort", "%d/%s is that of Ports[%d] too", p.HostPort, p.protocol(), first)
		}
		seen[key] = i
	}
}

// buildContainer translates a configuration into the engine's request. It is
// pure: the same input gives the same request.
func buildContainer(c ContainerConfig, s SandboxConfig, site createSite) (createRequest, error) {
	v := &validator{}
	v.all(c.Validate(), "")
	if len(c.Command) == 0 && len(c.Args) == 0 && !site.imageCommand {
		v.bad("Command", "empty, and the image brings none")
	}
	if site.sandboxID != "" && len(c.ExtraHosts) > 0 {
		v.bad("ExtraHosts", "a pod's containers share the sandbox's /etc/hosts")
	}
	gateMounts(v, c.Mounts, site.features)
	name := Name{Container: c.Name, Pod: s.Name, Namespace: s.Namespace, UID: s.UID, Attempt: c.Attempt}
	if err := name.Validate(); err != nil && len(v.errs) == 0 {
		v.add(err)
	}
	log, err := logPath(s.LogDirectory, c.LogPath)
	if err != nil {
		v.add(err)
	}
	ns, err := joinNamespaces(c.SecurityContext.Namespaces, s.Namespaces)
	if err != nil {
		v.add(err)
	}
	if err := v.err(); err != nil {
		return createRequest{}, err
	}

	labels, err := site.labels(TypeContainer, name, c.Labels, c.Annotations)
	if err != nil {
		return createRequest{}, err
	}
	labels[LabelImage] = c.Image
	if log != "" {
		labels[LabelLogPath] = log
		labels[labelLogDirectory] = s.LogDirectory
	}
	if site.sandboxID != "" {
		labels[LabelSandboxID] = site.sandboxID
	}

	platform, _ := parsePlatform(c.Platform)
	req := createRequest{
		Name:     name,
		Platform: platform,
		Config: &container.Config{
			Entrypoint:  words(c.Command),
			Cmd:         words(c.Args),
			Env:         envList(c.Envs),
			Image:       site.imageID,
			WorkingDir:  c.WorkingDir,
			Labels:      labels,
			OpenStdin:   c.Stdin,
			StdinOnce:   c.StdinOnce,
			Tty:         c.TTY,
			StopSignal:  c.StopSignal,
			Healthcheck: healthConfig(c.Healthcheck),
		},
		Host: &container.HostConfig{
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
			Runtime:       s.RuntimeHandler,
			LogConfig:     container.LogConfig{Type: c.LogConfig.Driver, Config: maps.Clone(c.LogConfig.Options)},
			Resources:     engineResources(c.Resources),
			OomScoreAdj:   c.Resources.OOMScoreAdj,
			Init:          cloned(c.Init),
			ShmSize:       c.ShmSize,
			ExtraHosts:    hostList(c.ExtraHosts),
		},
		Net: &network.NetworkingConfig{},
	}
	if c.StopTimeout != nil {
		t := wholeSeconds(*c.StopTimeout)
		req.Config.StopTimeout = &t
	}
	h := req.Host
	h.CgroupParent = cgroupParent(site.cgroupDriver, s.CgroupParent)
	h.Devices = engineDevices(c.Devices)
	if len(c.CDIDevices) > 0 {
		h.DeviceRequests = []container.DeviceRequest{{Driver: "cdi", DeviceIDs: slices.Clone(c.CDIDevices)}}
	}
	for _, u := range c.Ulimits {
		h.Ulimits = append(h.Ulimits, &container.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	h.Mounts, h.Binds = engineMounts(c.Mounts, site.features)
	applyNamespaces(h, ns, site.sandboxID)
	applySecurity(c.SecurityContext, req.Config, h)
	if h.ShmSize == 0 && !h.IpcMode.IsContainer() && !h.IpcMode.IsHost() {
		h.ShmSize = defaultShmSize
	}
	return req, req.seal(site)
}

// sandboxMemory is what a sandbox must remember and the engine has no place
// for, or no place that gives it back unchanged. It is stored as JSON in a
// label; fields are only ever added.
type sandboxMemory struct {
	Hostname     string                 `json:"hostname,omitempty"`
	LogDirectory string                 `json:"logDirectory,omitempty"`
	CgroupParent string                 `json:"cgroupParent,omitempty"`
	Ports        []PortMapping          `json:"ports,omitempty"`
	DNS          DNSConfig              `json:"dns,omitzero"`
	Sysctls      map[string]string      `json:"sysctls,omitempty"`
	Namespaces   NamespaceOptions       `json:"namespaces,omitzero"`
	Security     SandboxSecurityContext `json:"security,omitzero"`
	Resources    Resources              `json:"resources,omitzero"`
	Overhead     Resources              `json:"overhead,omitzero"`

	RuntimeHandler string `json:"runtimeHandler,omitempty"`
}

// Labels of dockpod's own besides those in labels.go.
const (
	labelAttempt       = "io.dockpod.attempt"       // decimal; for a container that was renamed
	labelImageID       = "io.dockpod.image-id"      // tells it from one made of a commit of it
	labelLogDirectory  = "io.dockpod.log-directory" // the log link must not leave it
	labelSandboxMemory = "io.dockpod.sandbox"       // JSON of sandboxMemory
)

// buildSandbox translates a sandbox's configuration, as buildContainer does a
// container's.
func buildSandbox(s SandboxConfig, image string, site createSite) (createRequest, error) {
	name := Name{Container: SandboxContainerName, Pod: s.Name, Namespace: s.Namespace, UID: s.UID, Attempt: s.Attempt}
	if err := s.Validate(); err != nil {
		return createRequest{}, err
	}
	if err := name.Validate(); err != nil {
		return createRequest{}, err
	}
	labels, err := site.labels(TypeSandbox, name, s.Labels, s.Annotations)
	if err != nil {
		return createRequest{}, err
	}
	if image != "" {
		labels[LabelImage] = image
	}
	memory := sandboxMemory{
		Hostname: s.Hostname, LogDirectory: s.LogDirectory, CgroupParent: s.CgroupParent, Ports: s.Ports,
		Namespaces: s.Namespaces, Security: s.SecurityContext, Resources: s.Resources, Overhead: s.Overhead,
		RuntimeHandler: s.RuntimeHandler, DNS: s.DNS, Sysctls: s.Sysctls,
	}
	text, err := json.Marshal(memory)
	if err != nil {
		return createRequest{}, fmt.Errorf("encode the sandbox's label: %w", err)
	}
	labels[labelSandboxMemory] = string(text)

	req := createRequest{
		Name: name,
		Config: &container.Config{
			Hostname:    s.Hostname,
			Image:       site.imageID,
			Labels:      labels,
			Healthcheck: healthConfig(nil),
			User:        userOf(s.SecurityContext.RunAsUser, "", s.SecurityContext.RunAsGroup),
		},
		Host: &container.HostConfig{
			RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
			Runtime:        s.RuntimeHandler,
			Resources:      engineResources(s.Resources),
			OomScoreAdj:    s.Resources.OOMScoreAdj,
			DNS:            slices.Clone(s.DNS.Servers),
			DNSSearch:      slices.Clone(s.DNS.Searches),
			DNSOptions:     slices.Clone(s.DNS.Options),
			Sysctls:        maps.Clone(s.Sysctls),
			Privileged:     s.SecurityContext.Privileged,
			ReadonlyRootfs: s.SecurityContext.ReadonlyRootfs,
			GroupAdd:       groupList(s.SecurityContext.SupplementalGroups),
			IpcMode:        container.IPCModeShareable,
			ShmSize:        defaultShmSize,
			NetworkMode:    container.NetworkMode(site.network),
		},
		Net: &network.NetworkingConfig{},
	}
	h := req.Host
	h.CgroupParent = cgroupParent(site.cgroupDriver, s.CgroupParent)
	if site.oomScore != nil && h.OomScoreAdj == 0 {
		h.OomScoreAdj = *site.oomScore
	}
	if h.CPUShares == 0 {
		h.CPUShares = 2 // the least there is: a sandbox sleeps, and its pod must not pay for it
	}
	if s.Namespaces.Network == NamespaceNode {
		h.NetworkMode, h.UTSMode = "host", "host"
	} else {
		req.Config.ExposedPorts, h.PortBindings = enginePorts(s.Ports)
	}
	if s.Namespaces.PID == NamespaceNode {
		h.PidMode = "host"
	}
	if s.Namespaces.IPC == NamespaceNode {
		h.IpcMode, h.ShmSize = "host", 0
	}
	h.SecurityOpt = securityOpts(s.SecurityContext.SELinux, s.SecurityContext.AppArmor, true, s.SecurityContext.Seccomp)
	return req, req.seal(site)
}

// labels returns the labels that every container of a Runtime carries, with
// the caller's.
func (site createSite) labels(kind string, name Name, labels, annotations map[string]string) (map[string]string, error) {
	m, err := JoinLabels(labels, annotations)
	if err != nil {
		return nil, err
	}
	if err := checkLabelSize(m, site.maxLabelBytes); err != nil {
		return nil, err
	}
	if site.owner == "" {
		m[LabelType] = kind
	} else {
		m[LabelOwner], m[LabelOwnedType] = site.owner, kind
	}
	// A container that was renamed is known by these labels.
	for _, l := range []struct{ key, want string }{
		{LabelPodName, name.Pod}, {LabelPodNamespace, name.Namespace}, {LabelPodUID, name.UID}, {LabelContainerName, name.Container},
	} {
		if given, ok := m[l.key]; ok && given != l.want {
			return nil, &FieldError{fmt.Sprintf("labels[%q]", l.key), fmt.Sprintf("%q; want %q, or none", given, l.want)}
		}
	}
	if err := addPodLabels(m, name); err != nil {
		return nil, err
	}
	if err := shadowImageLabels(m, site.imageLabels); err != nil {
		return nil, err
	}
	m[labelAttempt] = strconv.FormatUint(uint64(name.Attempt), 10)
	m[LabelSchema] = schemaVersion
	m[labelImageID] = site.imageID
	return m, nil
}

// seal writes the digest of the whole request into it, so that a later
// request of the same name can tell whether it would make the same container.
func (q createRequest) seal(site createSite) error {
	text, err := json.Marshal(struct {
		Name     string
		Config   *container.Config
		Host     *container.HostConfig
		Platform *ocispec.Platform
	}{site.naming.Format(q.Name), q.Config, q.Host, q.Platform})
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	sum := sha256.Sum256(text)
	q.Config.Labels[LabelSpec] = "sha256:" + hex.EncodeToString(sum[:])
	return nil
}

// cloned returns a pointer of its own to what p points to.
func cloned[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// words copies a command. An empty one is the image's, as a missing one is:
// engines take an empty list for a command that is no command.
func words(s []string) strslice.StrSlice {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}

func envList(envs []EnvVar) []string {
	var l []string
	for _, e := range envs {
		l = append(l, e.Key+"="+e.Value)
	}
	return l
}

func hostList(hosts map[string]string) []string {
	var l []string
	for _, name := range slices.Sorted(maps.Keys(hosts)) {
		l = append(l, name+":"+hosts[name])
	}
	return l
}

// healthConfig turns the image's health check off unless one is asked for: a
// kubelet probes by itself.
func healthConfig(h *Healthcheck) *container.HealthConfig {
	if h == nil {
		return &container.HealthConfig{Test: []string{"NONE"}}
	}
	return &container.HealthConfig{
		Test:     append([]string{"CMD"}, h.Command...),
		Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries,
	}
}

// engineResources translates limits. Without a word about swap an engine
// gives as much of it as of memory; a kubelet wants none.
func engineResources(r Resources) container.Resources {
	out := container.Resources{
		Memory: r.MemoryLimit, MemorySwap: r.MemorySwapLimit,
		CPUShares: r.CPUShares, CPUQuota: r.CPUQuota, CPUPeriod: r.CPUPeriod,
		CpusetCpus: r.CpusetCpus, CpusetMems: r.CpusetMems,
	}
	if r.MemorySwapLimit == 0 {
		out.MemorySwap = r.MemoryLimit
	}
	if r.PidsLimit != 0 {
		out.PidsLimit = &r.PidsLimit
	}
	return out
}

func engineDevices(ds []Device) []container.DeviceMapping {
	var l []container.DeviceMapping
	for _, d := range ds {
		m := container.DeviceMapping{PathOnHost: d.HostPath, PathInContainer: d.ContainerPath, CgroupPermissions: d.Permissions}
		if m.PathInContainer == "" {
			m.PathInContainer = d.HostPath
		}
		if m.CgroupPermissions == "" {
			m.CgroupPermissions = "rwm"
		}
		l = append(l, m)
	}
	return l
}

// gateMounts refuses what the negotiated API version would drop in silence.
func gateMounts(v *validator, ms []Mount, f Features) {
	for i, m := range ms {
		if m.RecursiveReadOnly && !f.ReadOnlyRecursive {
			v.unsupported(fmt.Sprintf("Mounts[%d].RecursiveReadOnly", i), "the engine has it from API 1.44 on")
		}
		if m.Type == MountImage && !f.ImageMounts {
			v.unsupported(fmt.Sprintf("Mounts[%d].Type image", i), "the engine has it from API 1.48 on")
		}
		if m.Type == MountVolume && m.SubPath != "" && !f.VolumeSubpath {
			v.unsupported(fmt.Sprintf("Mounts[%d].SubPath", i), "the engine has it from API 1.45 on")
		}
	}
}

// engineMounts translates mounts into the engine's objects: a bind string
// cannot hold a path with a colon. Only a relabelled mount has to be a string,
// for the objects have no such flag.
func engineMounts(ms []Mount, f Features) (objects []mount.Mount, binds []string) {
	for _, m := range ms {
		if m.SELinuxRelabel {
			binds = append(binds, bindString(m))
			continue
		}
		o := mount.Mount{Type: mount.Type(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
		switch m.Type {
		case "", MountBind:
			o.Type = mount.TypeBind
			o.BindOptions = &mount.BindOptions{
				CreateMountpoint: f.CreateMountpoint,
				// Engines from 25 on make a read-only mount recursively so.
				ReadOnlyNonRecursive:   m.ReadOnly && !m.RecursiveReadOnly && f.ReadOnlyNonRecursive,
				ReadOnlyForceRecursive: m.RecursiveReadOnly,
				Propagation:            mount.Propagation(propagationWord(m.Propagation)),
			}
			if m.RecursiveReadOnly {
				o.BindOptions.Propagation = mount.PropagationRPrivate
			}
		case MountVolume:
			if m.SubPath != "" {
				o.VolumeOptions = &mount.VolumeOptions{Subpath: m.SubPath}
			}
		case MountImage:
			o.ReadOnly = false // an image mount cannot be anything but read-only, and the engine refuses the word
			if m.SubPath != "" {
				o.ImageOptions = &mount.ImageOptions{Subpath: m.SubPath}
			}
		case MountTmpfs:
			if m.SizeBytes != 0 || m.Mode != 0 {
				o.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: m.SizeBytes, Mode: os.FileMode(m.Mode)}
			}
		}
		objects = append(objects, o)
	}
	return objects, binds
}

func bindString(m Mount) string {
	var flags []string
	if m.ReadOnly {
		flags = append(flags, "ro")
	}
	if m.SELinuxRelabel {
		flags = append(flags, "Z")
	}
	if p := propagationWord(m.Propagation); p != "" {
		flags = append(flags, p)
	}
	s := m.Source + ":" + m.Target
	if len(flags) > 0 {
		s += ":" + strings.Join(flags, ",")
	}
	return s
}

// propagationWord leaves private to the engine, whose default it is.
func propagationWord(p Propagation) string {
	if p == PropagationPrivate {
		return ""
	}
	return string(p)
}

// enginePorts translates port mappings. A host port of 0 publishes nothing.
func enginePorts(ps []PortMapping) (nat.PortSet, nat.PortMap) {
	if len(ps) == 0 {
		return nil, nil
	}
	exposed, bindings := nat.PortSet{}, nat.PortMap{}
	for _, p := range ps {
		if p.HostPort == 0 {
			continue
		}
		port := nat.Port(fmt.Sprintf("%d/%s", p.ContainerPort, p.protocol()))
		exposed[port] = struct{}{}
		bindings[port] = append(bindings[port], nat.PortBinding{HostIP: p.HostIP, HostPort: strconv.Itoa(int(p.HostPort))})
	}
	return exposed, bindings
}

// cgroupParent spells a cgroup's path for the engine's driver. The systemd
// driver wants the name of a slice alone.
func cgroupParent(driver, parent string) string {
	if parent == "" || driver != "systemd" {
		return parent
	}
	return path.Base(parent)
}

// parsePlatform reads "os/arch[/variant]"; "" is the engine's own.
func parsePlatform(s string) (*ocispec.Platform, error) {
	if s == "" {
		return nil, nil
	}
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") || !isWord(s) {
		return nil, &FieldError{"Platform", fmt.Sprintf("%q; want os/arch or os/arch/variant", s)}
	}
	p := &ocispec.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

// wholeSeconds rounds a grace period up to the engine's unit: cutting it
// short could kill a process that was promised time. A negative one counts as
// zero, for an engine would wait for ever.
func wholeSeconds(d time.Duration) int {
	if d <= 0 {
		return 0
	}
	return int(min(math.Ceil(d.Seconds()), math.MaxInt32))
}

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
