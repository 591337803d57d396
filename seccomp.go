package dockpod

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"
)

// maxSeccompProfile bounds a profile's file. Docker's own has some 20 KiB.
const maxSeccompProfile = 1 << 20

// seccompActions are what a profile's defaultAction can be.
var seccompActions = []string{
	"SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO",
	"SCMP_ACT_TRACE", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY",
}

// readSeccomp reads the profile ref, as an engine's option holds it: in one
// line. With a root no path leaves it, whether by ".." or by a symbolic link;
// without one a path has to be absolute. field is what the error names. The
// error holds the file's digest, and nothing of its content.
func readSeccomp(field, root, ref string) (string, error) {
	bad := func(format string, args ...any) error {
		return &FieldError{field, bounded(fmt.Sprintf("%q: ", ref) + fmt.Sprintf(format, args...))}
	}
	f, err := openSeccomp(root, ref)
	if err != nil {
		return "", bad("cannot load seccomp profile: %v", cause(err))
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", bad("cannot load seccomp profile: %v", cause(err))
	case !info.Mode().IsRegular():
		return "", bad("is no regular file")
	case info.Size() > maxSeccompProfile:
		return "", bad("%d bytes; want at most %d", info.Size(), maxSeccompProfile)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSeccompProfile+1))
	switch {
	case err != nil:
		return "", bad("cannot load seccomp profile: %v", cause(err))
	case len(data) > maxSeccompProfile: // it has grown
		return "", bad("more than %d bytes", maxSeccompProfile)
	}
	profile, err := compactSeccomp(data)
	if err != nil {
		return "", bad("sha256:%x: %v", sha256.Sum256(data), err)
	}
	return profile, nil
}

var (
	errNoSeccompRoot = errors.New("a relative path, and WithSeccompRoot names no directory")
	errSeccompRoot   = errors.New("outside the directory of WithSeccompRoot")
)

// openSeccomp opens a profile's file. Nothing but a regular file is opened: a
// FIFO would hang, and a device may do anything. What is put in its place in
// between is opened without waiting, and the caller looks at it again.
func openSeccomp(root, ref string) (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK
	if root == "" {
		if !filepath.IsAbs(ref) {
			return nil, errNoSeccompRoot
		}
		if err := checkRegular(os.Stat(ref)); err != nil {
			return nil, err
		}
		return os.OpenFile(ref, flags, 0)
	}
	if filepath.IsAbs(ref) {
		rel, err := filepath.Rel(root, ref)
		if err != nil || !filepath.IsLocal(rel) {
			return nil, errSeccompRoot
		}
		ref = rel
	}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := checkRegular(dir.Stat(ref)); err != nil {
		return nil, err
	}
	return dir.OpenFile(ref, flags, 0)
}

func checkRegular(info fs.FileInfo, err error) error {
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is no regular file")
	}
	return err
}

// cause is a file system's error without the path, which is quoted already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// compactSeccomp checks a profile and puts it into one line. An engine runs a
// container without any seccomp if the profile is "{}", "null", or has no
// default action. The error tells nothing of the content.
func compactSeccomp(data []byte) (string, error) {
	var profile struct{ DefaultAction string }
	switch err := json.Unmarshal(data, &profile); {
	case !utf8.Valid(data):
		return "", errors.New("is not UTF-8")
	case err != nil || !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")):
		var at *json.SyntaxError
		if errors.As(err, &at) {
			return "", fmt.Errorf("is not valid JSON at byte %d", at.Offset)
		}
		return "", errors.New("is no JSON object of a seccomp profile")
	case profile.DefaultAction == "":
		return "", errors.New("has no defaultAction: an engine would run the container without seccomp")
	case !slices.Contains(seccompActions, profile.DefaultAction):
		return "", errors.New("has a defaultAction that is none of seccomp's")
	}
	var line bytes.Buffer
	if err := json.Compact(&line, data); err != nil {
		return "", errors.New("is not valid JSON")
	}
	return line.String(), nil
}

// confine readies the site for what is asked of the engine's kernel: it reads
// the seccomp profile, and refuses what the engine has no part for. Without
// such a field the engine is not asked for anything.
func (r *Runtime) confine(ctx context.Context, sc SecurityContext, res Resources, site *createSite) error {
	if differsOnPodman(sc, res) {
		var err error
		if site.podman, err = r.isPodman(ctx); err != nil {
			return err
		}
	}
	seccomp, appArmor, seLinux := asksFor(sc.Seccomp), asksFor(sc.AppArmor), sc.SELinux != nil && *sc.SELinux != SELinuxOptions{}
	if !seccomp && !appArmor && !seLinux {
		return nil
	}
	info, err := r.info.get(ctx, r.fetchInfo)
	if err != nil {
		return err
	}
	v := &validator{}
	const field = "SecurityContext"
	if seccomp && !info.Seccomp {
		v.unsupported(field+".Seccomp", "the engine has no seccomp")
	}
	if appArmor && !info.AppArmor {
		v.unsupported(field+".AppArmor", "the engine has no AppArmor")
	}
	if seLinux && !info.SELinux {
		v.unsupported(field+".SELinux", "the engine has no SELinux")
	}
	if sc.Seccomp.isLocal() && !site.podman {
		if sc.Privileged && !info.Features.PrivilegedSeccomp {
			v.unsupported(field+".Seccomp", "the engine applies a profile to a privileged container from API 1.48 on")
		}
		if site.seccomp, err = readSeccomp(field+".Seccomp.LocalhostRef", r.opts.seccompRoot, sc.Seccomp.LocalhostRef); err != nil {
			v.add(err)
		}
	}
	return v.err()
}

// gateSecurity refuses what Podman would drop in silence or cannot take, and a
// profile of a file that was not read: an engine would take the empty one for
// its default.
func gateSecurity(v *validator, sc SecurityContext, site createSite) {
	const field = "SecurityContext"
	switch local := sc.Seccomp.isLocal(); {
	case local && site.podman:
		v.unsupported(field+".Seccomp", "Podman wants the path of a profile in place of the content that was checked")
	case local && site.seccomp == "":
		v.bad(field+".Seccomp.LocalhostRef", "was not read")
	}
	if !site.podman || sc.Privileged {
		return
	}
	if sc.MaskedPaths != nil {
		v.unsupported(field+".MaskedPaths", "Podman masks paths of its own choice")
	}
	if sc.ReadonlyPaths != nil {
		v.unsupported(field+".ReadonlyPaths", "Podman makes paths of its own choice read-only")
	}
}

// differsOnPodman tells whether something is asked for that Podman has to be
// asked for in another way, or not at all.
func differsOnPodman(sc SecurityContext, res Resources) bool {
	return sc.MaskedPaths != nil || sc.ReadonlyPaths != nil || sc.Seccomp.isLocal() || res.plain().MemorySwapLimit == -1
}

func (p *SecurityProfile) isLocal() bool { return p != nil && p.Type == ProfileLocalhost }

// asksFor reports whether a profile asks for something to be enforced.
func asksFor(p *SecurityProfile) bool { return p != nil && p.Type != ProfileUnconfined }

// seccompOf returns a container's seccomp profile, or the default one for a
// container that names none. A privileged one has none unless it names one, as
// CRI v1 has it.
func seccompOf(sc SecurityContext, otherwise *SecurityProfile) *SecurityProfile {
	if sc.Seccomp == nil && !sc.Privileged {
		return cloned(otherwise)
	}
	return sc.Seccomp
}

// checkSeccompOptions refuses a default that could not be in force, and a root
// that depends on the working directory.
func checkSeccompOptions(o options) error {
	v := &validator{}
	v.profile("WithDefaultSeccomp", o.seccomp, false)
	if d := o.seccompRoot; d != "" && !filepath.IsAbs(d) {
		v.bad("WithSeccompRoot", "%q is not absolute", d)
	}
	return v.err()
}

// The annotations that held profiles and sysctls before pods had fields.
const (
	annotationSeccompPod       = "seccomp.security.alpha.kubernetes.io/pod"
	annotationSeccompContainer = "container.seccomp.security.alpha.kubernetes.io/" // and the container's name
	annotationAppArmor         = "container.apparmor.security.beta.kubernetes.io/" // and the container's name
	annotationSysctls          = "security.alpha.kubernetes.io/sysctls"
	annotationUnsafeSysctls    = "security.alpha.kubernetes.io/unsafe-sysctls"
)

// ParseSeccompProfile reads the words that a kubelet had for a seccomp
// profile before it was a structure: "runtime/default", "docker/default",
// "unconfined" and "localhost/<file>". For "" the profile is nil.
func ParseSeccompProfile(s string) (*SecurityProfile, error) {
	if s == "docker/default" {
		s = "runtime/default"
	}
	return parseProfile("seccomp profile", s)
}

// ParseAppArmorProfile reads the words that a kubelet had for an AppArmor
// profile before it was a structure: "runtime/default", "unconfined" and
// "localhost/<name>". For "" the profile is nil.
func ParseAppArmorProfile(s string) (*SecurityProfile, error) {
	return parseProfile("AppArmor profile", s)
}

func parseProfile(what, s string) (*SecurityProfile, error) {
	ref, local := strings.CutPrefix(s, "localhost/")
	switch {
	case s == "":
		return nil, nil
	case s == "runtime/default":
		return &SecurityProfile{Type: ProfileRuntimeDefault}, nil
	case s == "unconfined":
		return &SecurityProfile{Type: ProfileUnconfined}, nil
	case local && ref != "":
		return &SecurityProfile{Type: ProfileLocalhost, LocalhostRef: ref}, nil
	}
	return nil, &FieldError{what, bounded(fmt.Sprintf("%q; want runtime/default, unconfined or localhost/<name>", s))}
}

// SeccompFromAnnotations reads the seccomp profile of a container from the
// annotations of a pod: its own beats the pod's. An empty name gives the
// pod's, for its sandbox. It is nil where there is none.
func SeccompFromAnnotations(pod map[string]string, container string) (*SecurityProfile, error) {
	key := annotationSeccompContainer + container
	if _, own := pod[key]; container == "" || !own {
		key = annotationSeccompPod
	}
	return fromAnnotation(ParseSeccompProfile, pod, key)
}

// AppArmorFromAnnotations reads the AppArmor profile of a container from the
// annotations of a pod. It is nil where there is none.
func AppArmorFromAnnotations(pod map[string]string, container string) (*SecurityProfile, error) {
	return fromAnnotation(ParseAppArmorProfile, pod, annotationAppArmor+container)
}

func fromAnnotation(parse func(string) (*SecurityProfile, error), pod map[string]string, key string) (*SecurityProfile, error) {
	p, err := parse(pod[key])
	if err != nil {
		return nil, fmt.Errorf("annotation %q: %w", key, err)
	}
	return p, nil
}

// SysctlsFromAnnotations reads the sysctls of a pod, safe and unsafe ones,
// from its annotations: "name=value,name=value". [SandboxConfig.Validate] says
// whether a pod can have them.
func SysctlsFromAnnotations(pod map[string]string) (map[string]string, error) {
	m := map[string]string{}
	for _, key := range []string{annotationSysctls, annotationUnsafeSysctls} {
		if pod[key] == "" {
			continue
		}
		for pair := range strings.SplitSeq(pod[key], ",") {
			name, value, ok := strings.Cut(pair, "=")
			if _, twice := m[name]; !ok || name == "" || twice {
				return nil, fmt.Errorf("annotation %q: %w", key, &FieldError{"sysctl", bounded(fmt.Sprintf("%q; want name=value, each once", pair))})
			}
			m[name] = value
		}
	}
	return m, nil
}
