package dockpod

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/strslice"
	"github.com/docker/go-connections/nat"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// defaultShmSize is what a kubelet's containers get. Docker's own default is
// the same; Podman's is smaller, so it is always sent.
const defaultShmSize = 64 << 20

// createRequest is what the engine is asked to make.
type createRequest struct {
	Name     Name
	Config   *container.Config
	Host     *container.HostConfig
	Net      *network.NetworkingConfig
	Platform *ocispec.Platform
	Asked    Resources `json:"-"` // what must not be dropped of Host's
}

// createSite is what a request depends on besides the configuration: facts of
// the Runtime, the engine, the image and the sandbox.
type createSite struct {
	naming        Naming
	owner         string
	maxLabelBytes int
	features      Features
	cgroupDriver  string // needed if the sandbox has a cgroup parent
	cgroupVersion string // needed if Unified is given
	cdi           bool   // needed if CDI devices are given
	imageID       string
	imageLabels   map[string]string
	imageCommand  bool // the image brings an entrypoint or a command

	sandboxID  string // of a container; empty: none
	privileged bool   // the sandbox of a container may hold privileged ones
	seccomp    string // content of the Localhost profile
	podman     bool   // the engine is Podman; found out only where that makes a difference
	network    string // of a sandbox: the engine's network
	oomScore   *int   // of a sandbox
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
		v.env("Envs", i, e)
	}
	v.mounts(c.Mounts)
	v.devices(c.Devices)
	v.cdiDevices(c.CDIDevices)
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
	v.ulimits(c.Ulimits)
	_, err := parsePlatform(c.Platform)
	v.add(err)
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
	v.sysctls(s)
	v.cgroupPath("CgroupParent", s.CgroupParent)
	switch {
	case s.ShmSize < 0:
		v.bad("ShmSize", "%d is negative", s.ShmSize)
	case s.ShmSize > 0 && s.Namespaces.IPC == NamespaceNode:
		v.bad("ShmSize", "the node's /dev/shm has its own size")
	}
	v.text("RuntimeHandler", s.RuntimeHandler)
	v.namespaces("Namespaces", s.Namespaces, true)
	v.sandboxSecurity(s.SecurityContext)
	v.resources("Resources", s.Resources)
	v.labels(s.Labels, s.Annotations)
	return v.err()
}

// validator collects what is wrong with a configuration.
type validator struct{ errs []error }

// add takes an error, or nil for none.
func (v *validator) add(err error) {
	if err != nil {
		v.errs = append(v.errs, err)
	}
}

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
	v.textOf(func(string) string { return field }, "", s)
}

// textOf is text for one of many, whose field is spelled only if it is needed.
func (v *validator) textOf(field func(name string) string, name, s string) {
	switch {
	case strings.IndexByte(s, 0) >= 0:
		v.bad(field(name), "contains a NUL byte")
	case !utf8.ValidString(s):
		v.bad(field(name), "is not valid UTF-8")
	}
}

// isWord reports whether s is text without white space, and not empty.
func isWord(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsAny(s, " \t\r\n\x00")
}

// texts is text for a map's keys and values.
func (v *validator) texts(field string, m map[string]string) {
	for _, k := range sortedKeys(m) {
		v.text(fmt.Sprintf("%s[%q]", field, k), k+"="+m[k])
	}
}

// sortedKeys allocates nothing for an empty map, as most are.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}

// env checks a variable without ever quoting its value, even where that was
// put into the key. An entry without "=" would unset the variable on Docker
// and take the engine's own value on Podman, so a key is all that is looked
// at.
func (v *validator) env(list string, i int, e EnvVar) {
	field := func(name string) string { return fmt.Sprintf("%s[%d].%s", list, i, name) }
	switch name, _, isPair := strings.Cut(e.Key, "="); {
	case e.Key == "":
		v.bad(field("Key"), "empty")
	case isPair:
		v.bad(field("Key"), "'=' after %q", name)
	default:
		v.textOf(field, "Key", e.Key)
	}
	v.textOf(field, "Value", e.Value)
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
	_, err := JoinLabels(labels, annotations)
	v.add(err)
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

// buildContainer translates a valid configuration into the engine's request.
// It is pure: the same input gives the same request.
func buildContainer(c ContainerConfig, s SandboxConfig, site createSite) (createRequest, error) {
	v := &validator{}
	p := placeOf(v, c, s, site)
	checkInPlace(v, c, p, site)
	if err := v.err(); err != nil {
		return createRequest{}, err
	}
	labels, err := containerLabels(c, s, p, site)
	if err != nil {
		return createRequest{}, err
	}
	platform, _ := parsePlatform(c.Platform) // it is valid
	req := createRequest{
		Name:     p.name,
		Config:   containerConfig(c, labels, site),
		Host:     containerHost(c, s, p, site),
		Net:      &network.NetworkingConfig{},
		Platform: platform,
		Asked:    c.Resources.plain(),
	}
	return req, req.seal(site)
}

// place is where a container stands in its pod.
type place struct {
	name         Name
	logPath      string // empty: no log is asked for
	cgroupParent string // as the engine's driver spells it
	namespaces   NamespaceOptions
}

func placeOf(v *validator, c ContainerConfig, s SandboxConfig, site createSite) (p place) {
	p.name = Name{Container: c.Name, Pod: s.Name, Namespace: s.Namespace, UID: s.UID, Attempt: c.Attempt}
	p.cgroupParent = v.cgroupParent("SandboxConfig.CgroupParent", site.cgroupDriver, s.CgroupParent)
	v.add(p.name.Validate()) // good parts can make a name that is too long, or reads as another
	var err error
	p.logPath, err = logPath(s.LogDirectory, c.LogPath)
	v.add(err)
	p.namespaces, err = joinNamespaces(c.SecurityContext.Namespaces, s.Namespaces)
	v.add(err)
	return p
}

// checkInPlace refuses what only the engine, the image or the sandbox makes
// wrong.
func checkInPlace(v *validator, c ContainerConfig, p place, site createSite) {
	if len(c.Command) == 0 && len(c.Args) == 0 && !site.imageCommand {
		v.bad("Command", "empty, and the image brings none")
	}
	if site.sandboxID != "" && len(c.ExtraHosts) > 0 {
		v.bad("ExtraHosts", "a pod's containers share the sandbox's /etc/hosts")
	}
	gateMounts(v, c.Mounts, site.features)
	gateResources(v, "Resources", c.Resources, site)
	gateCDI(v, c.CDIDevices, site.cdi)
	if c.SecurityContext.Privileged && site.sandboxID != "" && !site.privileged {
		v.bad("SecurityContext.Privileged", "the sandbox was not made for privileged containers")
	}
	if p.namespaces.PID == NamespaceTarget && site.sandboxID == "" {
		v.bad("SecurityContext.Namespaces.PID", "%q: a container without a sandbox is of no pod", NamespaceTarget)
	}
	gateSecurity(v, c.SecurityContext, site)
	if c.ShmSize > 0 && (p.namespaces.IPC == NamespaceNode || site.sandboxID != "") {
		v.bad("ShmSize", "/dev/shm is the pod's, or the node's: SandboxConfig.ShmSize sets the pod's")
	}
}

func containerLabels(c ContainerConfig, s SandboxConfig, p place, site createSite) (map[string]string, error) {
	labels, err := site.labels(TypeContainer, p.name, c.Labels, c.Annotations)
	if err != nil {
		return nil, err
	}
	labels[LabelImage] = c.Image
	if p.logPath != "" {
		labels[LabelLogPath] = p.logPath
		labels[labelLogDirectory] = s.LogDirectory
	}
	if site.sandboxID != "" {
		labels[LabelSandboxID] = site.sandboxID
	}
	return labels, nil
}

func containerConfig(c ContainerConfig, labels map[string]string, site createSite) *container.Config {
	cfg := &container.Config{
		Entrypoint:  words(c.Command),
		Cmd:         words(c.Args),
		Env:         envList(c.Envs),
		Image:       site.imageID,
		User:        userOf(c.SecurityContext.RunAsUser, c.SecurityContext.RunAsUserName, c.SecurityContext.RunAsGroup),
		WorkingDir:  c.WorkingDir,
		Labels:      labels,
		OpenStdin:   c.Stdin,
		StdinOnce:   c.StdinOnce,
		Tty:         c.TTY,
		StopSignal:  c.StopSignal,
		Healthcheck: healthConfig(c.Healthcheck),
	}
	if c.StopTimeout != nil {
		t := wholeSeconds(*c.StopTimeout)
		cfg.StopTimeout = &t
	}
	return cfg
}

func containerHost(c ContainerConfig, s SandboxConfig, p place, site createSite) *container.HostConfig {
	h := &container.HostConfig{
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		Runtime:       s.RuntimeHandler,
		LogConfig:     container.LogConfig{Type: c.LogConfig.Driver, Config: maps.Clone(c.LogConfig.Options)},
		Resources:     site.resources(c.Resources),
		OomScoreAdj:   c.Resources.OOMScoreAdj,
		Init:          cloned(c.Init),
		ShmSize:       c.ShmSize,
		ExtraHosts:    hostList(c.ExtraHosts),
	}
	h.CgroupParent = p.cgroupParent
	h.Devices = engineDevices(c.Devices)
	if len(c.CDIDevices) > 0 {
		h.DeviceRequests = []container.DeviceRequest{{Driver: "cdi", DeviceIDs: slices.Clone(c.CDIDevices)}}
	}
	for _, u := range c.Ulimits {
		h.Ulimits = append(h.Ulimits, &container.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	h.Mounts, h.Binds = engineMounts(c.Mounts, site.features)
	applyNamespaces(h, p.namespaces, site.sandboxID)
	applySecurity(h, c.SecurityContext, site.seccomp)
	if h.ShmSize == 0 && !h.IpcMode.IsContainer() && !h.IpcMode.IsHost() {
		h.ShmSize = defaultShmSize
	}
	return h
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
	ShmSize        int64  `json:"shmSize,omitempty"`
}

// buildSandbox translates a sandbox's configuration, as buildContainer does a
// container's. image is the reference of its image; empty: the built-in one.
func buildSandbox(s SandboxConfig, image string, site createSite) (createRequest, error) {
	name := s.sandboxName()
	if err := name.Validate(); err != nil {
		return createRequest{}, err
	}
	v := &validator{}
	gateResources(v, "Resources", s.Resources, site)
	parent := v.cgroupParent("CgroupParent", site.cgroupDriver, s.CgroupParent)
	gateSecurity(v, SecurityContext{Seccomp: s.SecurityContext.Seccomp}, site)
	if err := v.err(); err != nil {
		return createRequest{}, err
	}
	labels, err := sandboxLabels(s, name, image, site)
	if err != nil {
		return createRequest{}, err
	}
	req := createRequest{
		Name:   name,
		Config: sandboxContainer(s, labels, site),
		Host:   sandboxHost(s, parent, site),
		Net:    &network.NetworkingConfig{},
		Asked:  s.Resources.plain(),
	}
	return req, req.seal(site)
}

func sandboxLabels(s SandboxConfig, name Name, image string, site createSite) (map[string]string, error) {
	labels, err := site.labels(TypeSandbox, name, s.Labels, s.Annotations)
	if err != nil {
		return nil, err
	}
	if image != "" {
		labels[LabelImage] = image
	}
	text, err := json.Marshal(sandboxMemory{
		Hostname: s.Hostname, LogDirectory: s.LogDirectory, CgroupParent: s.CgroupParent, Ports: s.Ports,
		Namespaces: s.Namespaces, Security: s.SecurityContext, Resources: s.Resources, Overhead: s.Overhead,
		RuntimeHandler: s.RuntimeHandler, DNS: s.DNS, Sysctls: s.Sysctls, ShmSize: s.ShmSize,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the sandbox's label: %w", err)
	}
	labels[labelSandboxMemory] = string(text)
	return labels, nil
}

func sandboxContainer(s SandboxConfig, labels map[string]string, site createSite) *container.Config {
	cfg := &container.Config{
		Hostname:    s.Hostname,
		Image:       site.imageID,
		Labels:      labels,
		Healthcheck: healthConfig(nil),
		User:        userOf(s.SecurityContext.RunAsUser, "", s.SecurityContext.RunAsGroup),
	}
	if s.Namespaces.Network != NamespaceNode {
		cfg.ExposedPorts, _ = enginePorts(s.Ports)
	}
	return cfg
}

func sandboxHost(s SandboxConfig, cgroupParent string, site createSite) *container.HostConfig {
	sc := s.SecurityContext
	h := &container.HostConfig{
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		Runtime:        s.RuntimeHandler,
		Resources:      site.resources(s.Resources),
		OomScoreAdj:    s.Resources.OOMScoreAdj,
		DNS:            slices.Clone(s.DNS.Servers),
		DNSSearch:      slices.Clone(s.DNS.Searches),
		DNSOptions:     slices.Clone(s.DNS.Options),
		Sysctls:        engineSysctls(s.Sysctls),
		Privileged:     sc.Privileged,
		ReadonlyRootfs: sc.ReadonlyRootfs,
		GroupAdd:       groupList(sc.SupplementalGroups),
		SecurityOpt:    securityOpts(sc.SELinux, sc.AppArmor, true, sc.Seccomp, site.seccomp),
		IpcMode:        container.IPCModeShareable,
		ShmSize:        cmp.Or(s.ShmSize, defaultShmSize),
		NetworkMode:    container.NetworkMode(site.network),
	}
	h.CgroupParent = cgroupParent
	if site.oomScore != nil && h.OomScoreAdj == 0 {
		h.OomScoreAdj = *site.oomScore
	}
	if h.CPUShares == 0 {
		h.CPUShares = 2 // the least there is: a sandbox sleeps, and its pod must not pay for it
	}
	sandboxNamespaces(h, s)
	return h
}

// sandboxNamespaces gives a sandbox the node's namespaces where it asks for
// them. Only in a network of its own are there ports to publish.
func sandboxNamespaces(h *container.HostConfig, s SandboxConfig) {
	if s.Namespaces.Network == NamespaceNode {
		h.NetworkMode, h.UTSMode = "host", "host"
	} else {
		_, h.PortBindings = enginePorts(s.Ports)
	}
	if s.Namespaces.PID == NamespaceNode {
		h.PidMode = "host"
	}
	if s.Namespaces.IPC == NamespaceNode {
		h.IpcMode, h.ShmSize = "host", 0
	}
	if s.Namespaces.userMode() == NamespaceNode {
		h.UsernsMode = "host"
	}
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
	for _, name := range sortedKeys(hosts) {
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
