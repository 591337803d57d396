package dockpod

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod/internal/pause"
)

// SandboxConfig describes a pod's sandbox: the container that holds the
// namespaces which the pod's containers share. The fields are those of CRI
// v1's PodSandboxConfig. The zero value of each but Name, Namespace and UID
// is usable.
type SandboxConfig struct {
	Name      string // the pod's name
	Namespace string // the pod's namespace
	UID       string // tells pods of one name apart over time
	Attempt   uint32 // how often this pod's sandbox was made anew

	Hostname     string // empty: the engine's choice, the container's short ID; refused with the node's network
	LogDirectory string // absolute; where the pod's logs stand. Empty: no link or file is made
	DNS          DNSConfig
	Ports        []PortMapping

	Labels      map[string]string
	Annotations map[string]string

	// CgroupParent is the pod's cgroup, in which the engine puts the
	// sandbox's container and each of the pod's, every one in a cgroup of its
	// own. Empty: the engine's default. An engine makes it where it is
	// missing; to limit it, and to remove it, is the agent's. The driver
	// "systemd" takes a slice, of whose path the last element counts, and
	// "/kubepods/burstable/pod1" as "kubepods-burstable-pod1.slice"; the
	// driver "cgroupfs" takes any path as it is.
	CgroupParent string
	// Sysctls are set in the sandbox's namespaces. There are net.* of a
	// network of its own, and of an IPC namespace of its own fs.mqueue.* and
	// the kernel's shm*, msg* and sem; each other one is the node's, and
	// refused.
	Sysctls map[string]string

	// Namespaces are the pod's, and so its containers', of which each can
	// choose another for PID alone: they stand beside the SecurityContext,
	// which is that of the sandbox's own container, and not in it. Zero: the
	// pod's own network and IPC, a PID namespace for each container.
	Namespaces      NamespaceOptions
	SecurityContext SandboxSecurityContext
	// Resources are limits of the sandbox's own container, which holds a
	// process that sleeps; zero: none, and the least of CPU shares. They do
	// not bound the pod: its cgroup's limits do, see CgroupParent. CRI's
	// field of this name has the sum of the pod's containers, for a runtime
	// that makes a virtual machine of that size: leave it out here.
	Resources Resources
	// Overhead is what the pod takes besides its containers: a figure for
	// the scheduler and for the pod's cgroup. It is remembered and given
	// back by a status, and limits nothing.
	Overhead       Resources
	ShmSize        int64  // bytes of the pod's /dev/shm; 0: 64 MiB. Refused with the node's IPC
	RuntimeHandler string // the engine's runtime for all containers of the pod; empty: its default
}

func (s SandboxConfig) sandboxName() Name {
	return Name{Container: SandboxContainerName, Pod: s.Name, Namespace: s.Namespace, UID: s.UID, Attempt: s.Attempt}
}

// DNSConfig is the resolver configuration of a pod. The zero value is the
// engine's. The tags are those of a stored label, and do not change.
type DNSConfig struct {
	Servers  []string `json:"servers,omitempty"`  // IP addresses
	Searches []string `json:"searches,omitempty"` // domains; at most 32, 2048 bytes in all
	Options  []string `json:"options,omitempty"`  // as in resolv.conf: "ndots:5"
}

// Protocol of a [PortMapping]. The zero value is TCP.
type Protocol string

// The protocols that an engine publishes.
const (
	TCP  Protocol = "tcp"
	UDP  Protocol = "udp"
	SCTP Protocol = "sctp"
)

// PortMapping publishes a port of a pod on the node. The tags are those of a
// stored label, and do not change.
type PortMapping struct {
	Protocol      Protocol `json:"protocol,omitempty"`
	ContainerPort int32    `json:"containerPort,omitempty"`
	HostPort      int32    `json:"hostPort,omitempty"` // 0: the port is not published, as in a pod's spec
	HostIP        string   `json:"hostIP,omitempty"`   // empty: all addresses
}

func (p PortMapping) protocol() Protocol {
	if p.Protocol == "" {
		return TCP
	}
	return p.Protocol
}

// NamespaceMode says whose namespace a container gets. The zero value is
// NamespacePod for network and IPC, NamespaceContainer for PID.
type NamespaceMode string

// The namespace modes of CRI v1.
const (
	NamespacePod       NamespaceMode = "pod"       // shared by the pod's containers
	NamespaceContainer NamespaceMode = "container" // its own; PID only
	NamespaceNode      NamespaceMode = "node"      // the node's
	NamespaceTarget    NamespaceMode = "target"    // that of TargetID; PID only
)

// NamespaceOptions chooses the namespaces of a pod or a container. The tags are
// those of a stored label, and do not change.
type NamespaceOptions struct {
	Network  NamespaceMode `json:"network,omitempty"`
	PID      NamespaceMode `json:"pid,omitempty"`
	IPC      NamespaceMode `json:"ipc,omitempty"`
	TargetID string        `json:"targetID,omitempty"` // with PID NamespaceTarget: a running container of the same pod

	User *UserNamespace `json:"user,omitempty"` // nil: the engine's choice, for all of its containers alike
}

// UserNamespace says whose users a pod's are. Mode is NamespaceNode, for the
// node's, also on an engine that maps users by itself. NamespacePod, for a
// mapping of the pod's own, is refused with [ErrUnsupported]: engines have one
// mapping for all containers, or none. The tags are those of a stored label,
// and do not change.
type UserNamespace struct {
	Mode NamespaceMode `json:"mode,omitempty"`
	UIDs []IDMapping   `json:"uids,omitempty"` // with NamespacePod
	GIDs []IDMapping   `json:"gids,omitempty"` // with NamespacePod
}

// SandboxSecurityContext is the security context of the sandbox's own
// container, which always gets no-new-privileges as well. The tags are those of
// a stored label, and do not change.
type SandboxSecurityContext struct {
	RunAsUser          *int64  `json:"runAsUser,omitempty"`  // nil: the image's user
	RunAsGroup         *int64  `json:"runAsGroup,omitempty"` // needs RunAsUser
	SupplementalGroups []int64 `json:"supplementalGroups,omitempty"`
	ReadonlyRootfs     bool    `json:"readonlyRootfs,omitempty"`
	Privileged         bool    `json:"privileged,omitempty"` // the pod may hold privileged containers

	Seccomp  *SecurityProfile `json:"seccomp,omitempty"`  // nil: the engine's default profile
	AppArmor *SecurityProfile `json:"appArmor,omitempty"` // nil: the engine's default profile
	SELinux  *SELinuxOptions  `json:"seLinux,omitempty"`  // nil: the engine's choice
}

// SandboxState is the state of a sandbox.
type SandboxState string

// A sandbox is ready if its container runs.
const (
	SandboxReady    SandboxState = "ready"
	SandboxNotReady SandboxState = "notready"
)

// Sandbox is one entry of [Runtime.ListSandboxes].
type Sandbox struct {
	ID             string
	Name           Name
	State          SandboxState
	CreatedAt      time.Time // from a list to the second, from a status exact
	Labels         map[string]string
	Annotations    map[string]string
	RuntimeHandler string
}

// SandboxStatus is all that the engine knows of a sandbox.
type SandboxStatus struct {
	Sandbox
	// Config is the configuration as read back from the engine. An agent
	// that was started anew passes it to CreateContainer. Values that the
	// engine fills in, a hostname for example, stand in it.
	Config     SandboxConfig
	Image      string       // reference asked for; empty for the built-in image
	ImageID    string       // the engine's ID of the image
	IPs        []netip.Addr // first the primary one; none if the pod uses the node's network or is not ready
	PID        int          // on the engine's host; 0 if not running
	StartedAt  time.Time    // zero: never
	FinishedAt time.Time    // zero: not yet
	ExitCode   int
	Reason     string // why it is not ready, as for a container
	Message    string

	// Problems lists parts of the engine's answer that could not be read, as
	// for a container.
	Problems []string
}

// SandboxFilter selects sandboxes; all conditions hold together. The zero
// value selects all of this Runtime's.
type SandboxFilter struct {
	ID     string            // full ID
	State  SandboxState      // empty: any
	Labels map[string]string // each has to be there with this value
	UID    string            // the pod's UID; empty: any
}

// RunSandbox makes and starts the sandbox of a pod and returns its ID. If
// anything fails after the engine has made it, it is removed again: the call
// leaves a running sandbox or none. Only an engine that finishes the making
// long after the deadline leaves one that never ran; the next call for the
// same name takes it over.
//
// A name that is held is settled as for [Runtime.CreateContainer]. A running
// sandbox of the same name and attempt is a [*NameConflictError] that carries
// its ID; an agent that was started anew lists before it runs. A host port
// that is taken is a [*PortConflictError], which names the sandbox that holds
// it where that is this Runtime's.
func (r *Runtime) RunSandbox(ctx context.Context, s SandboxConfig) (id string, err error) {
	ctx, end := r.begin(ctx, "run sandbox", s.Namespace+"/"+s.Name)
	defer end(&err)
	if r.err != nil {
		return "", r.err
	}
	if err := s.Validate(); err != nil {
		return "", err
	}
	if err := r.checkHandler(ctx, s.RuntimeHandler); err != nil {
		return "", err
	}
	if err := r.checkPorts(ctx, s); err != nil {
		return "", err
	}
	if err := r.checkDevices(ctx, "Resources", nil, s.Resources); err != nil {
		return "", err
	}
	site, err := r.site(ctx, s, s.Resources, nil)
	if err != nil {
		return "", err
	}
	sc := s.SecurityContext
	if err := r.confine(ctx, SecurityContext{Seccomp: sc.Seccomp, AppArmor: sc.AppArmor, SELinux: sc.SELinux, Privileged: sc.Privileged}, s.Resources, &site); err != nil {
		return "", err
	}
	// Two calls for one sandbox must not undo each other's.
	unlock, err := r.names.take(ctx, s.sandboxName())
	if err != nil {
		return "", err
	}
	defer unlock()
	id, err = r.createSandbox(ctx, s, site)
	if err != nil {
		return "", err
	}
	if err := r.startSandbox(ctx, id, s); err != nil {
		undo, cancel := r.detached(ctx, undoTime)
		defer cancel()
		if rmErr := r.remove(undo, id, true); rmErr != nil {
			err = joinErrors([]error{err, fmt.Errorf("remove the sandbox %q that did not start: %w", id, rmErr)})
		}
		return "", err
	}
	return id, nil
}

// createSandbox makes the container of a sandbox. The built-in image may have
// been pruned since it was last looked at; then it is loaded once more.
func (r *Runtime) createSandbox(ctx context.Context, s SandboxConfig, site createSite) (string, error) {
	for try := 0; ; try++ {
		img, err := r.sandboxImage(ctx)
		if err != nil {
			return "", fmt.Errorf("sandbox image: %w", err)
		}
		site.imageID, site.imageLabels = string(img.ID), img.Labels
		req, err := buildSandbox(s, r.opts.sandboxImage, site)
		if err != nil {
			return "", err
		}
		id, err := r.create(ctx, req)
		if errors.Is(err, ErrImageNotFound) && try == 0 {
			r.pause.forget()
			continue
		}
		return id, err
	}
}

func (r *Runtime) startSandbox(ctx context.Context, id string, s SandboxConfig) error {
	err := classify(verbStart, id, r.docker.ContainerStart(ctx, id, container.StartOptions{}))
	if err == nil || !errors.Is(err, ErrPortInUse) {
		return err
	}
	// Taken between the check and the start, or by somebody else.
	if ours := r.checkPorts(ctx, s); errors.Is(ours, ErrPortInUse) {
		return ours
	}
	return &PortConflictError{Port: portInText(s.Ports, err.Error()), Err: err}
}

// portInText returns the mapping that an engine's message speaks of, or the
// first.
func portInText(ports []PortMapping, text string) PortMapping {
	var first PortMapping
	for _, p := range ports {
		if p.HostPort == 0 {
			continue
		}
		_, after, ok := strings.Cut(text, ":"+strconv.Itoa(int(p.HostPort)))
		if ok && (after == "" || after[0] < '0' || after[0] > '9') {
			return p
		}
		if first.HostPort == 0 {
			first = p
		}
	}
	return first
}

// checkHandler refuses a runtime handler that the engine does not have.
// Docker says so itself; Podman takes any name and runs its default.
func (r *Runtime) checkHandler(ctx context.Context, handler string) error {
	if handler == "" {
		return nil
	}
	info, err := r.info.get(ctx, r.fetchInfo)
	if err != nil {
		return err
	}
	if !slices.Contains(info.Runtimes, handler) {
		return &FieldError{"RuntimeHandler", fmt.Sprintf("%q; the engine has %q", handler, info.Runtimes)}
	}
	return nil
}

// checkPorts finds a running sandbox of this Runtime that holds a host port
// of s. One that has the very name of s is left to the conflict of names,
// which says more.
func (r *Runtime) checkPorts(ctx context.Context, s SandboxConfig) error {
	if s.Namespaces.Network == NamespaceNode || !slices.ContainsFunc(s.Ports, func(p PortMapping) bool { return p.HostPort != 0 }) {
		return nil
	}
	list, err := r.listRaw(ctx, query{kind: TypeSandbox, status: "running"})
	if err != nil {
		return err
	}
	for _, c := range list {
		name, err := r.nameOf(c.Names, c.Labels)
		if name.Suffix = ""; err == nil && name == s.sandboxName() {
			continue
		}
		for _, held := range c.Ports {
			for _, p := range s.Ports {
				if p.HostPort == 0 || held.PublicPort != uint16(p.HostPort) || Protocol(held.Type) != p.protocol() || !addressesOverlap(held.IP, p.HostIP) {
					continue
				}
				return &PortConflictError{Port: p, HolderID: c.ID, Holder: name}
			}
		}
	}
	return nil
}

// addressesOverlap reports whether two listeners on these addresses meet; an
// unspecified address is all of them.
func addressesOverlap(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	if errX != nil || errY != nil || x.IsUnspecified() || y.IsUnspecified() {
		return true
	}
	return x.Unmap() == y.Unmap()
}

// sandboxImage returns the sandboxes' image: the one of [WithSandboxImage],
// which is pulled if it is not there, or the pause program, which is loaded.
func (r *Runtime) sandboxImage(ctx context.Context) (Image, error) {
	if r.opts.sandboxImage != "" {
		return r.EnsureImage(ctx, r.opts.sandboxImage, PullIfNotPresent, PullOptions{})
	}
	return r.pause.get(ctx, r.loadPause)
}

func (r *Runtime) loadPause(ctx context.Context) (Image, error) {
	version, err := r.docker.ServerVersion(ctx)
	if err != nil {
		return Image{}, classify(verbOther, "", err)
	}
	arch := goarch(version.Arch)
	archive, ref, err := pause.Archive(arch)
	if err != nil {
		return Image{}, &UnsupportedError{"built-in sandbox image", fmt.Sprintf("it is not made for %q; WithSandboxImage names another", version.Arch)}
	}
	// The tag alone proves nothing: anybody can move it.
	look := func() (Image, error) {
		img, err := r.inspectImage(ctx, ref)
		if err == nil && img.Labels[pause.Label] != pause.Digest(arch) {
			err = ErrImageNotFound
		}
		return img.Image, err
	}
	if img, err := look(); !errors.Is(err, ErrImageNotFound) {
		return img, err
	}
	loader, ok := r.docker.(ImageLoader)
	if !ok {
		return Image{}, &UnsupportedError{"built-in sandbox image", "the engine takes no archives; WithSandboxImage names another"}
	}
	resp, err := loader.ImageLoad(ctx, bytes.NewReader(archive))
	if err != nil {
		return Image{}, classify(verbOther, ref, err)
	}
	if resp.JSON {
		err = readPull(resp.Body, func(pullMessage) {}) // a load reports as a pull does
	} else {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	resp.Body.Close()
	var failed *pullFailure
	switch {
	case errors.As(err, &failed):
		return Image{}, &classified{errdefs.ErrUnknown, "the engine did not load it: " + bounded(failed.text)}
	case err != nil && ctx.Err() != nil:
		return Image{}, ctx.Err()
	case err != nil:
		return Image{}, classify(verbOther, ref, err)
	}
	return look()
}

// StopSandbox stops the containers of a pod together, each with grace, and
// then its sandbox, which takes the pod's network with it. What is gone or
// stopped already is fine: the containers of a sandbox that is gone are found
// by its full ID. The call may take grace and twice the request timeout.
//
// A program that has not set up its handler yet ignores the stop signal, as
// the kernel does for every first process: a stop right after a start may
// cost the whole grace.
func (r *Runtime) StopSandbox(ctx context.Context, id string, grace time.Duration) (err error) {
	seconds := wholeSeconds(grace)
	limit := r.graceLimit(seconds)
	if limit > 0 {
		limit += r.opts.requestTimeout
	}
	ctx, end := r.beginLimit(ctx, "stop sandbox", id, limit)
	defer end(&err)
	info, full, gone, err := r.inspectSandbox(ctx, id)
	if err != nil {
		return err
	}
	if err := r.stopMembers(ctx, full, seconds); err != nil || gone {
		// A sandbox without its network would cut off what still runs.
		return err
	}
	if err := r.stop(ctx, info, sandboxGrace); err != nil {
		return err
	}
	// One may have been started since they were listed; from now on none can.
	return r.stopMembers(ctx, full, seconds)
}

// inspectSandbox asks for a sandbox that may be gone. Then its members can
// still be found by its full ID, and by no other.
func (r *Runtime) inspectSandbox(ctx context.Context, id string) (info container.InspectResponse, full string, gone bool, err error) {
	info, err = r.inspect(ctx, id, TypeSandbox)
	switch {
	case err == nil:
		return info, info.ID, false, nil
	case errors.Is(err, ErrContainerNotFound):
		return info, id, true, nil
	}
	return info, "", false, err
}

// members lists the containers of a sandbox.
func (r *Runtime) members(ctx context.Context, sandboxID string) ([]container.Summary, error) {
	list, err := r.listRaw(ctx, query{kind: TypeContainer, sandboxID: sandboxID})
	return slices.DeleteFunc(list, func(c container.Summary) bool { return c.Labels[LabelSandboxID] != sandboxID }), err
}

// stopMembers stops the containers of a sandbox together.
func (r *Runtime) stopMembers(ctx context.Context, sandboxID string, seconds int) error {
	members, err := r.members(ctx, sandboxID)
	if err != nil {
		return err
	}
	return r.eachMember(members, func(c container.Summary) error {
		ctx, end := r.beginLimit(ctx, "stop container", c.ID, r.graceLimit(seconds))
		info, err := r.inspectAny(ctx, c.ID)
		if err == nil {
			if err = r.stop(ctx, info, seconds); err == nil {
				r.drainLog(ctx, info.ID)
			}
		}
		if errors.Is(err, ErrContainerNotFound) {
			err = nil
		}
		end(&err)
		return err
	})
}

// sandboxGrace is how many seconds a sandbox gets to end. The pause program
// ends at once; another image's may not.
const sandboxGrace = 10

// eachMember calls f for all members of a pod together, and joins the errors.
func (r *Runtime) eachMember(members []container.Summary, f func(container.Summary) error) error {
	errs := make([]error, len(members))
	var wg sync.WaitGroup
	for i, c := range members {
		wg.Go(func() { errs[i] = f(c) })
	}
	wg.Wait()
	return joinErrors(slices.DeleteFunc(errs, func(err error) bool { return err == nil }))
}

// RemoveSandbox removes the containers of a pod, their log links, and then
// its sandbox. What runs is killed, unless [WithoutForcedRemoval]: then the
// error is [ErrRunning], and nothing was removed. What is gone already is
// fine: the containers of a sandbox that is gone are found by its full ID.
func (r *Runtime) RemoveSandbox(ctx context.Context, id string) (err error) {
	ctx, end := r.begin(ctx, "remove sandbox", id)
	defer end(&err)
	_, full, gone, err := r.inspectSandbox(ctx, id)
	if err != nil {
		return err
	}
	return r.removePod(ctx, full, gone, !r.opts.keepRunning)
}

// removePod removes a sandbox, or what is left of it, with its members.
// Without force it first makes sure that none of them runs.
func (r *Runtime) removePod(ctx context.Context, sandboxID string, gone, force bool) error {
	if !force {
		if err := r.checkStopped(ctx, sandboxID, gone); err != nil {
			return err
		}
	}
	// A container may be created into the sandbox while its siblings are
	// being removed; after the sandbox is gone it cannot start any more.
	for pass := 0; ; pass++ {
		members, err := r.members(ctx, sandboxID)
		if err != nil {
			return err
		}
		if pass > 0 && len(members) == 0 {
			return nil
		}
		if pass == removePasses {
			return &classified{ErrRemovalInProgress, fmt.Sprintf("%d containers keep appearing in the sandbox", len(members))}
		}
		err = r.eachMember(members, func(c container.Summary) error {
			info, err := r.inspectAny(ctx, c.ID)
			if err == nil {
				err = r.removeContainer(ctx, info, force)
			}
			if errors.Is(err, ErrContainerNotFound) {
				return nil
			}
			if err != nil {
				return &Error{"remove container", c.ID, err}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if pass == 0 && !gone {
			if err := r.remove(ctx, sandboxID, force); err != nil {
				return err
			}
		}
	}
}

// checkStopped returns ErrRunning if a sandbox or one of its members runs.
func (r *Runtime) checkStopped(ctx context.Context, sandboxID string, gone bool) error {
	list, err := r.members(ctx, sandboxID)
	if err != nil {
		return err
	}
	if !gone {
		sandbox, err := r.listRaw(ctx, query{kind: TypeSandbox, id: sandboxID})
		if err != nil {
			return err
		}
		list = append(list, sandbox...)
	}
	for _, c := range list {
		if entry, err := r.fromSummary(c); err == nil && entry.State == StateRunning {
			return fmt.Errorf("%q: %w", c.ID, ErrRunning)
		}
	}
	return nil
}

// removePasses bounds how often RemoveSandbox looks for members.
const removePasses = 5

// SandboxStatus asks the engine for one sandbox. The error is
// [ErrContainerNotFound] if it is gone and [ErrNotManaged] if it is not this
// Runtime's or not a sandbox.
func (r *Runtime) SandboxStatus(ctx context.Context, id string) (st SandboxStatus, err error) {
	ctx, end := r.begin(ctx, "sandbox status", id)
	defer end(&err)
	info, err := r.inspect(ctx, id, TypeSandbox)
	if err != nil {
		return SandboxStatus{}, err
	}
	return r.sandboxStatusOf(info)
}

func (r *Runtime) sandboxStatusOf(info container.InspectResponse) (SandboxStatus, error) {
	name, err := r.nameOf([]string{info.Name}, info.Config.Labels)
	if err != nil {
		return SandboxStatus{}, err
	}
	var st SandboxStatus
	problem := func(s string) { st.Problems = append(st.Problems, s) }
	es := stateFromInspect(info, problem)
	o := stateOf(es)
	host := info.HostConfig
	if host == nil {
		host = &container.HostConfig{}
		problem("HostConfig: missing")
	}
	st.Sandbox = Sandbox{
		ID: info.ID, Name: name, State: sandboxState(o.state), CreatedAt: es.created,
		RuntimeHandler: r.handlerOf(host.Runtime, info.Config.Labels),
	}
	st.Image, st.ImageID = info.Config.Labels[LabelImage], info.Image
	st.StartedAt, st.FinishedAt, st.ExitCode = o.started, o.finished, o.exitCode
	st.Reason, st.Message = o.reason, o.message
	st.Labels, st.Annotations = SplitLabels(info.Config.Labels)
	if o.state == StateRunning {
		st.IPs = addressesOf(info.NetworkSettings)
		if info.State != nil {
			st.PID = info.State.Pid
		}
	}
	st.Config = r.sandboxConfigOf(info, host, st.Sandbox)
	return st, nil
}

func sandboxState(s State) SandboxState {
	if s == StateRunning {
		return SandboxReady
	}
	return SandboxNotReady
}

// sandboxConfigOf reads a sandbox's configuration back: from dockpod's own
// label, and what that lacks, or all of it for a sandbox that the kubelet
// made, from the engine.
func (r *Runtime) sandboxConfigOf(info container.InspectResponse, host *container.HostConfig, sb Sandbox) SandboxConfig {
	s := SandboxConfig{
		Name: sb.Name.Pod, Namespace: sb.Name.Namespace, UID: sb.Name.UID, Attempt: sb.Name.Attempt,
		Labels: maps.Clone(sb.Labels), Annotations: maps.Clone(sb.Annotations),
		RuntimeHandler: sb.RuntimeHandler,
	}
	if m, ok := memoryOf(info.Config.Labels); ok {
		s.Hostname, s.LogDirectory, s.CgroupParent, s.Ports = m.Hostname, m.LogDirectory, m.CgroupParent, m.Ports
		s.Namespaces, s.SecurityContext, s.Resources, s.Overhead = m.Namespaces, m.Security, m.Resources, m.Overhead
		s.DNS, s.Sysctls, s.ShmSize = m.DNS, m.Sysctls, m.ShmSize
	} else {
		s.CgroupParent = host.CgroupParent
		s.Ports = portsOf(host)
		s.DNS = DNSConfig{Servers: slices.Clone(host.DNS), Searches: slices.Clone(host.DNSSearch), Options: slices.Clone(host.DNSOptions)}
		s.Sysctls = maps.Clone(host.Sysctls)
		s.Resources = resourcesOf(host)
		if host.ShmSize != defaultShmSize && !host.IpcMode.IsHost() {
			s.ShmSize = host.ShmSize
		}
		s.SecurityContext = SandboxSecurityContext{Privileged: host.Privileged, ReadonlyRootfs: host.ReadonlyRootfs}
		if host.NetworkMode.IsHost() {
			s.Namespaces.Network = NamespaceNode
		}
		if host.PidMode.IsHost() {
			s.Namespaces.PID = NamespaceNode
		}
		if host.IpcMode.IsHost() {
			s.Namespaces.IPC = NamespaceNode
		}
	}
	if s.Hostname == "" && !host.NetworkMode.IsHost() {
		s.Hostname = info.Config.Hostname
	}
	return s
}

// memoryOf reads what a sandbox of dockpod remembers of its configuration.
func memoryOf(labels map[string]string) (m sandboxMemory, ok bool) {
	text, ok := labels[labelSandboxMemory]
	if !ok || json.Unmarshal([]byte(text), &m) != nil {
		return sandboxMemory{}, false
	}
	return m, true
}

// handlerOf returns a sandbox's runtime handler. The engine fills its default
// in where none was asked for, so the label knows better.
func (r *Runtime) handlerOf(engine string, labels map[string]string) string {
	if m, ok := memoryOf(labels); ok {
		return m.RuntimeHandler
	}
	return engine
}

// portsOf reads port mappings back from an engine's bindings, sorted.
func portsOf(host *container.HostConfig) []PortMapping {
	var ps []PortMapping
	for _, port := range slices.Sorted(maps.Keys(host.PortBindings)) {
		for _, b := range host.PortBindings[port] {
			hostPort, err := strconv.ParseUint(b.HostPort, 10, 16)
			if err != nil {
				continue // "" asks for any free port; the engine alone knows which
			}
			ps = append(ps, PortMapping{
				Protocol: Protocol(port.Proto()), ContainerPort: int32(port.Int()), HostPort: int32(hostPort), HostIP: b.HostIP,
			})
		}
	}
	return ps
}

// addressesOf lists a sandbox's addresses: of each network in the order of
// their names, version 4 before 6.
func addressesOf(n *container.NetworkSettings) []netip.Addr {
	if n == nil {
		return nil
	}
	var ips []netip.Addr
	add := func(s string) {
		if a, err := netip.ParseAddr(s); err == nil && !slices.Contains(ips, a) {
			ips = append(ips, a)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.Networks)) {
		if e := n.Networks[name]; e != nil {
			add(e.IPAddress)
			add(e.GlobalIPv6Address)
		}
	}
	return ips
}

// ListSandboxes lists this Runtime's sandboxes that f selects, newest first.
// The result is not nil.
func (r *Runtime) ListSandboxes(ctx context.Context, f SandboxFilter) (list []Sandbox, err error) {
	ctx, end := r.begin(ctx, "list sandboxes", "")
	defer end(&err)
	if err := f.check(); err != nil {
		return nil, err
	}
	// Not by UID: old containers tell it by their names alone.
	q := query{kind: TypeSandbox, id: f.ID, labels: f.Labels}
	raw, err := r.listRaw(ctx, q)
	if err != nil {
		return nil, err
	}
	list = make([]Sandbox, 0, len(raw))
	match := Filter{ID: f.ID, Labels: f.Labels}
	for _, c := range raw {
		if !match.selectsID(c.ID) || !match.selectsLabels(c.Labels) {
			continue
		}
		sb, err := r.sandboxFromSummary(c)
		if err != nil {
			r.skip(Skipped{c.ID, c.Names, err})
			continue
		}
		if f.State != "" && sb.State != f.State || f.UID != "" && sb.Name.UID != f.UID {
			continue
		}
		list = append(list, sb)
	}
	return list, nil
}

func (f SandboxFilter) check() error {
	switch f.State {
	case "", SandboxReady, SandboxNotReady:
		return nil
	}
	return &FieldError{"SandboxFilter.State", fmt.Sprintf("%q is no state", f.State)}
}

func (r *Runtime) sandboxFromSummary(s container.Summary) (Sandbox, error) {
	c, err := r.fromSummary(s)
	if err != nil {
		return Sandbox{}, err
	}
	return Sandbox{
		ID: c.ID, Name: c.Name, State: sandboxState(c.State), CreatedAt: c.CreatedAt,
		Labels: c.Labels, Annotations: c.Annotations, RuntimeHandler: r.handlerOf("", s.Labels),
	}, nil
}
