package dockpod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
)

// Mount makes files of the node, a volume, an image or memory visible in a
// container.
type Mount struct {
	Type   MountType // empty: bind
	Source string    // bind: absolute path on the engine's host; volume: its name; image: its reference or ID; tmpfs: empty
	Target string    // absolute path in the container; without ".."

	ReadOnly          bool          // an image is mounted read-only in any case
	RecursiveReadOnly bool          // submounts too: needs ReadOnly, private propagation and API 1.44
	Propagation       Propagation   // bind only; empty: private
	Missing           MissingSource // bind only: what becomes of a source that is not there; empty: it is made
	// SELinuxRelabel has the engine label the source, for this container
	// alone or with SELinuxShared for all containers. Bind only, and not for
	// a path with a colon. On a host without SELinux, see [Info], there is
	// nothing to label and nothing is done.
	SELinuxRelabel bool
	SELinuxShared  bool

	SubPath string // image and volume only: a directory below the source; of a volume from API 1.45 on

	SizeBytes int64  // tmpfs only; 0: the kernel's default, half of memory
	Mode      uint32 // tmpfs only: permissions; 0: 01777
	// TmpfsOptions are further options of a tmpfs, as mount(8) has them:
	// "uid=1000", "exec". From API 1.46 on.
	TmpfsOptions []string

	// Mappings of IDs between the source and the container. The API of
	// engines has none: refused.
	UIDMappings, GIDMappings []IDMapping
}

// IDMapping maps a range of user or group IDs.
type IDMapping struct {
	HostID, ContainerID, Length uint32
}

// MountType tells what a [Mount]'s source is. The zero value is a bind mount.
type MountType string

// The kinds of mounts.
const (
	MountBind   MountType = "bind"
	MountVolume MountType = "volume"
	MountTmpfs  MountType = "tmpfs"
	MountImage  MountType = "image" // from API 1.48; the image has to be on the engine
)

// Propagation tells which mounts made later are seen on the other side. The
// two that are not private need a source on a mount that is shared itself;
// engines find out at the start.
type Propagation string

// The propagations of CRI v1.
const (
	PropagationPrivate         Propagation = "private"
	PropagationHostToContainer Propagation = "rslave"
	PropagationBidirectional   Propagation = "rshared"
)

// MissingSource tells what becomes of a bind mount whose source is not there.
type MissingSource string

// What can become of a missing source. CRI calls it an error; cri-dockerd and
// the docker command's -v make a directory, and users of both rely on it, so
// that this is the zero value. A source that is a mistake, or a disk that is
// not mounted, is then an empty directory: MissingFail finds it.
const (
	// MissingCreate has a directory made, root's and of mode 0755: by the
	// engine, at the start.
	MissingCreate MissingSource = "create"
	// MissingFail refuses the container: a [*FieldError] names the mount's
	// Source. Where neither this process sees the engine's host, see
	// [WithHostRoot], nor the engine looks, it is an [*UnsupportedError].
	MissingFail MissingSource = "fail"
	// MissingEngine leaves it to the engine: Docker refuses the container,
	// Podman makes a directory.
	MissingEngine MissingSource = "engine"
)

// MountStatus is a mount as the engine made it.
type MountStatus struct {
	Type        MountType
	Source      string // on the engine's host
	Target      string
	Volume      string // the name of a volume
	ReadOnly    bool
	Propagation Propagation
}

func (m Mount) isBind() bool { return m.Type == "" || m.Type == MountBind }

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
		case hasDotDot(m.Target):
			v.bad(field("Target"), "%q contains \"..\"", m.Target)
		case dup:
			v.bad(field("Target"), "%q is the target of Mounts[%d] too", m.Target, first)
		default:
			targets[clean] = i
		}
		v.textOf(field, "Target", m.Target)
		v.textOf(field, "Source", m.Source)
		v.textOf(field, "SubPath", m.SubPath)
		v.mountSource(field, m)
		if m.isBind() {
			v.bindOptions(field, m)
		} else {
			v.noBindOptions(field, m)
		}
		if m.Type == MountTmpfs {
			v.tmpfsOptions(field, m)
		} else {
			v.notOf("a tmpfs's", field, []option{{"SizeBytes", m.SizeBytes != 0}, {"Mode", m.Mode != 0}, {"TmpfsOptions", len(m.TmpfsOptions) > 0}})
		}
		for _, ids := range []struct {
			name string
			list []IDMapping
		}{{"UIDMappings", m.UIDMappings}, {"GIDMappings", m.GIDMappings}} {
			if len(ids.list) > 0 {
				v.unsupported(field(ids.name), "the engine's API has no mapping of a mount's IDs")
			}
		}
	}
}

func hasDotDot(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

func (v *validator) mountSource(field func(string) string, m Mount) {
	switch m.Type {
	case "", MountBind:
		switch {
		case !path.IsAbs(m.Source):
			v.bad(field("Source"), "%q is not absolute", m.Source)
		case hasDotDot(m.Source):
			v.bad(field("Source"), "%q contains \"..\"", m.Source)
		}
		if m.SubPath != "" {
			v.bad(field("SubPath"), "a bind mount has none: put it into Source")
		}
	case MountVolume, MountImage:
		if m.Source == "" {
			v.bad(field("Source"), "empty")
		}
		if m.SubPath != "" && (path.IsAbs(m.SubPath) || hasDotDot(m.SubPath)) {
			v.bad(field("SubPath"), "%q leaves the source", m.SubPath)
		}
	case MountTmpfs:
		if m.Source != "" {
			v.bad(field("Source"), "a tmpfs has none")
		}
		if m.SubPath != "" {
			v.bad(field("SubPath"), "a tmpfs has none")
		}
	default:
		v.bad(field("Type"), "%q; want bind, volume, tmpfs or image", m.Type)
	}
}

func (v *validator) bindOptions(field func(string) string, m Mount) {
	private := m.Propagation == "" || m.Propagation == PropagationPrivate
	if !private && m.Propagation != PropagationHostToContainer && m.Propagation != PropagationBidirectional {
		v.bad(field("Propagation"), "%q; want private, rslave or rshared", m.Propagation)
	}
	switch m.Missing {
	case "", MissingCreate, MissingFail, MissingEngine:
	default:
		v.bad(field("Missing"), "%q; want create, fail or engine", m.Missing)
	}
	if m.SELinuxRelabel && m.hasColon() {
		v.bad(field("SELinuxRelabel"), "an engine cannot relabel a path with a colon")
	}
	if m.SELinuxShared && !m.SELinuxRelabel {
		v.bad(field("SELinuxShared"), "needs SELinuxRelabel")
	}
	if !m.RecursiveReadOnly {
		return
	}
	switch {
	case m.SELinuxRelabel:
		v.unsupported(field("RecursiveReadOnly"), "an engine cannot promise it for a mount that it relabels")
	case !m.ReadOnly:
		v.bad(field("RecursiveReadOnly"), "needs ReadOnly")
	case !private:
		v.bad(field("RecursiveReadOnly"), "needs private propagation")
	}
}

// noBindOptions refuses a bind's options on another kind of mount, where an
// engine would drop them.
func (v *validator) noBindOptions(field func(string) string, m Mount) {
	v.notOf("a bind mount's", field, []option{
		{"Propagation", m.Propagation != "" && m.Propagation != PropagationPrivate},
		{"Missing", m.Missing != ""},
		{"SELinuxRelabel", m.SELinuxRelabel},
		{"SELinuxShared", m.SELinuxShared},
		{"RecursiveReadOnly", m.RecursiveReadOnly},
	})
}

// option is a field of a mount that has a value.
type option struct {
	name  string
	given bool
}

// notOf refuses options that are of another kind of mount.
func (v *validator) notOf(whose string, field func(string) string, options []option) {
	for _, o := range options {
		if o.given {
			v.bad(field(o.name), "is %s", whose)
		}
	}
}

func (v *validator) tmpfsOptions(field func(string) string, m Mount) {
	if m.SizeBytes < 0 {
		v.bad(field("SizeBytes"), "%d is negative", m.SizeBytes)
	}
	if m.Mode > 0o7777 {
		v.bad(field("Mode"), "%#o; want at most 07777", m.Mode)
	}
	for i, o := range m.TmpfsOptions {
		name := fmt.Sprintf("%s[%d]", field("TmpfsOptions"), i)
		switch key, _, _ := strings.Cut(o, "="); {
		case !isWord(o) || key == "" || strings.Contains(o, ","):
			v.bad(name, "%q is not one option", o)
		case key == "size" || key == "mode" || key == "ro" || key == "rw":
			v.bad(name, "%q is SizeBytes, Mode or ReadOnly", key)
		}
	}
}

func (m Mount) hasColon() bool { return strings.Contains(m.Source+m.Target, ":") }

// gateMounts refuses what the negotiated API version would drop in silence.
func gateMounts(v *validator, ms []Mount, f Features) {
	for i, m := range ms {
		for _, g := range []struct {
			asked, has bool
			field      string
			from       string
		}{
			{m.RecursiveReadOnly, f.ReadOnlyRecursive, "RecursiveReadOnly", "1.44"},
			{m.Type == MountImage, f.ImageMounts, "Type image", "1.48"},
			{m.Type == MountVolume && m.SubPath != "", f.VolumeSubpath, "SubPath", "1.45"},
			{len(m.TmpfsOptions) > 0, f.TmpfsOptions, "TmpfsOptions", "1.46"},
		} {
			if g.asked && !g.has {
				v.unsupported(fmt.Sprintf("Mounts[%d].%s", i, g.field), "the engine has it from API "+g.from+" on")
			}
		}
	}
}

// engineMounts translates mounts into the engine's objects: a bind string
// cannot hold a path with a colon. A mount is a string where the objects have
// no word for what is asked: a label, or below API 1.42 a source to be made.
func engineMounts(ms []Mount, f Features) (objects []mount.Mount, binds []string) {
	for _, m := range ms {
		if m.isBind() && (m.SELinuxRelabel || m.makes() && !f.CreateMountpoint && !m.hasColon()) {
			binds = append(binds, bindString(m))
		} else {
			objects = append(objects, mountObject(m, f))
		}
	}
	return objects, binds
}

// makes reports whether a missing source is to be made.
func (m Mount) makes() bool { return m.isBind() && (m.Missing == "" || m.Missing == MissingCreate) }

func mountObject(m Mount, f Features) mount.Mount {
	o := mount.Mount{Type: mount.Type(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
	switch m.Type {
	case "", MountBind:
		o.Type = mount.TypeBind
		o.BindOptions = &mount.BindOptions{
			CreateMountpoint: m.makes() && f.CreateMountpoint,
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
		if m.SizeBytes != 0 || m.Mode != 0 || len(m.TmpfsOptions) > 0 {
			o.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: m.SizeBytes, Mode: os.FileMode(m.Mode)}
		}
		for _, opt := range m.TmpfsOptions {
			o.TmpfsOptions.Options = append(o.TmpfsOptions.Options, strings.SplitN(opt, "=", 2))
		}
	}
	return o
}

func bindString(m Mount) string {
	var flags []string
	if m.ReadOnly {
		flags = append(flags, "ro")
	}
	switch {
	case m.SELinuxShared:
		flags = append(flags, "z")
	case m.SELinuxRelabel:
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

// mountStatuses sorts an engine's mounts: Docker lists them in the order of a
// map, and Podman gives an image mount twice.
func mountStatuses(points []container.MountPoint) []MountStatus {
	ms := make([]MountStatus, 0, len(points))
	for _, p := range points {
		ms = append(ms, MountStatus{
			Type: MountType(p.Type), Source: p.Source, Target: p.Destination, Volume: p.Name,
			ReadOnly: !p.RW, Propagation: propagationOf(string(p.Propagation)),
		})
	}
	slices.SortFunc(ms, func(a, b MountStatus) int {
		return cmp.Or(strings.Compare(a.Target, b.Target), -strings.Compare(string(a.Type), string(b.Type)))
	})
	return slices.CompactFunc(ms, func(a, b MountStatus) bool { return a.Target == b.Target })
}

// propagationOf is the inverse of propagationWord: engines say which kind of
// private their default is.
func propagationOf(word string) Propagation {
	if word == "rprivate" {
		return PropagationPrivate
	}
	return Propagation(word)
}

// resolveMounts puts the IDs of images in the place of their references, as
// is done for the container's own image: a tag that moves changes nothing.
func (r *Runtime) resolveMounts(ctx context.Context, ms []Mount) ([]Mount, error) {
	ms = slices.Clone(ms)
	for i, m := range ms {
		if m.Type != MountImage {
			continue
		}
		img, err := r.resolveImage(ctx, m.Source)
		if err != nil {
			return nil, fmt.Errorf("Mounts[%d].Source: image %q: %w", i, m.Source, err)
		}
		ms[i].Source = string(img.ID)
	}
	return ms, nil
}

// checkSources settles the bind mounts whose source may be missing, before
// the engine is asked.
func (r *Runtime) checkSources(ctx context.Context, ms []Mount) error {
	f := featuresOf(r.docker.ClientVersion())
	v := &validator{}
	for i, m := range ms {
		fails := m.isBind() && m.Missing == MissingFail
		makes := m.makes() && !f.CreateMountpoint && m.hasColon() // an engine has no word for it
		if !fails && !makes {
			continue
		}
		host, err := r.hostFiles(ctx)
		if err != nil {
			return err
		}
		_, known, err := host.stat(m.Source)
		missing := errors.Is(err, fs.ErrNotExist)
		switch {
		case known && missing && fails:
			v.bad(fmt.Sprintf("Mounts[%d].Source", i), "%q does not exist on the engine's host", m.Source)
		case known && missing:
			if err := host.mkdir(m.Source); err != nil {
				return fmt.Errorf("Mounts[%d].Source: %w", i, err)
			}
		case fails && !known && m.SELinuxRelabel:
			v.unsupported(fmt.Sprintf("Mounts[%d].Missing", i), "an engine makes the source of a mount that it relabels")
		case fails && !known:
			podman, err := r.isPodman(ctx)
			if err != nil {
				return err
			}
			if podman {
				v.unsupported(fmt.Sprintf("Mounts[%d].Missing", i), "Podman makes the source of a mount")
			}
		}
	}
	return v.err()
}

// isPodman asks what the engine is: its API version does not tell.
func (r *Runtime) isPodman(ctx context.Context) (bool, error) {
	v, err := r.engineVersion(ctx)
	_, is := v.Components["Podman Engine"]
	return is, err
}

// sourceError names the mount whose source an engine has missed: its refusal
// has no class of its own, only the path.
func sourceError(err error, ms []Mount) error {
	if err == nil {
		return nil
	}
	_, source, ok := strings.Cut(err.Error(), "bind source path does not exist: ")
	if !ok {
		return err
	}
	for i, m := range ms {
		if m.isBind() && m.Source == source {
			return &FieldError{fmt.Sprintf("Mounts[%d].Source", i), fmt.Sprintf("%q does not exist on the engine's host", source)}
		}
	}
	return err
}
