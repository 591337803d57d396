package fake

import (
	"os"
	"path"
	"regexp"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
)

// Absent says that a path is not there on the engine's host: a mount of it is
// refused, a device of that name fails the start. It overrides HostFS.
func (d *Docker) Absent(path string) {
	d.lock()
	defer d.mu.Unlock()
	d.absent[path] = true
}

// exists tells whether a path is there on the engine's host.
func (d *Docker) exists(p string) bool {
	if d.absent[p] {
		return false
	}
	if !d.HostFS {
		return true
	}
	_, err := os.Stat(p)
	return err == nil
}

var volumeName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// checkMount is the first look at a mount, before anything else is known.
func (d *Docker) checkMount(m mount.Mount) error {
	wrong := func(format string, args ...any) error {
		return Invalid("invalid mount config for type %q: "+format, append([]any{m.Type}, args...)...)
	}
	if m.Target == "" {
		return wrong("field Target must not be empty")
	}
	if clean := path.Clean(m.Target); clean == "/" {
		return wrong("invalid specification: destination can't be '/'")
	}
	if !path.IsAbs(m.Target) {
		return wrong("invalid mount path: '%s' mount path must be absolute", m.Target)
	}
	switch m.Type {
	case mount.TypeBind:
		switch {
		case m.Source == "":
			return wrong("field Source must not be empty")
		case m.BindOptions != nil && m.BindOptions.Propagation != "" && !propagations[string(m.BindOptions.Propagation)]:
			return wrong("invalid propagation mode: %s", m.BindOptions.Propagation)
		case m.VolumeOptions != nil:
			return wrong("field VolumeOptions must not be specified")
		case !path.IsAbs(m.Source):
			return wrong("invalid mount path: '%s' mount path must be absolute", m.Source)
		}
		if made := m.BindOptions != nil && m.BindOptions.CreateMountpoint; !made && !d.exists(m.Source) {
			return wrong("bind source path does not exist: %s", m.Source)
		}
	case mount.TypeVolume:
		if m.BindOptions != nil {
			return wrong("field BindOptions must not be specified")
		}
		if m.Source == "" && m.ReadOnly {
			return wrong("must not set ReadOnly mode when using anonymous volumes")
		}
	case mount.TypeTmpfs:
		if m.BindOptions != nil {
			return wrong("field BindOptions must not be specified")
		}
		if m.Source != "" {
			return wrong("field Source must not be specified")
		}
	case mount.TypeImage:
		if !d.has("1.48") {
			return wrong("mount type unknown")
		}
		if m.Source == "" {
			return wrong("field Source must not be empty")
		}
	default:
		return wrong("mount type unknown")
	}
	return nil
}

var (
	propagations = map[string]bool{"private": true, "rprivate": true, "shared": true, "rshared": true, "slave": true, "rslave": true}
	bindModes    = map[string]string{
		"ro": "rw", "rw": "rw", "z": "label", "Z": "label", "nocopy": "copy",
		"consistent": "consistency", "cached": "consistency", "delegated": "consistency",
	}
)

// modeOK tells whether the third part of a bind is a list of options, one of
// each kind at most.
func modeOK(mode string) bool {
	if mode == "" {
		return true
	}
	seen := map[string]bool{}
	for o := range strings.SplitSeq(mode, ",") {
		kind, ok := bindModes[o]
		if propagations[o] {
			kind, ok = "propagation", true
		}
		if !ok || seen[kind] {
			return false
		}
		seen[kind] = true
	}
	return true
}

// parseBind reads "source:target:mode".
func (d *Docker) parseBind(raw string) (container.MountPoint, error) {
	var none container.MountPoint
	parts := strings.SplitN(raw, ":", 4)
	bad := Internal("invalid volume specification: '%s'", raw)
	if parts[0] == "" || len(parts) > 3 {
		return none, bad
	}
	m := mount.Mount{Type: mount.TypeVolume, Target: parts[0]}
	mode := ""
	if len(parts) > 1 {
		if len(parts) == 2 && modeOK(parts[1]) {
			return none, bad
		}
		m.Source, m.Target = parts[0], parts[1]
	}
	if len(parts) == 3 {
		mode = parts[2]
	}
	if !modeOK(mode) {
		return none, Internal("invalid mode: %s", mode)
	}
	if path.IsAbs(m.Source) {
		m.Type = mount.TypeBind
		m.BindOptions = &mount.BindOptions{CreateMountpoint: true}
	}
	for o := range strings.SplitSeq(mode, ",") {
		if o == "ro" {
			m.ReadOnly = true
		}
		if propagations[o] && m.BindOptions != nil {
			m.BindOptions.Propagation = mount.Propagation(o)
		}
	}
	if err := d.checkMount(m); err != nil {
		return none, Internal("invalid volume specification: '%s': %s", raw, strings.TrimPrefix(err.Error(), "Error response from daemon: "))
	}
	p, err := d.mountPoint(m)
	if err != nil {
		return none, err
	}
	if mode != "" {
		p.Mode = mode
	}
	return p, nil
}

// mountPoint is what inspect shows of a mount.
func (d *Docker) mountPoint(m mount.Mount) (container.MountPoint, error) {
	p := container.MountPoint{Type: m.Type, Destination: path.Clean(m.Target), RW: !m.ReadOnly}
	switch m.Type {
	case mount.TypeBind:
		p.Source = path.Clean(m.Source)
		p.Propagation = mount.PropagationRPrivate
		if m.BindOptions != nil && m.BindOptions.Propagation != "" {
			p.Propagation = m.BindOptions.Propagation
		}
	case mount.TypeImage:
		p.Source, p.Propagation = m.Source, mount.PropagationRPrivate
	case mount.TypeVolume:
		p.Driver, p.Mode = "local", "z"
		if p.Name = m.Source; p.Name == "" {
			p.Name, p.Mode = d.newID("volume"), ""
		}
		if !volumeName.MatchString(p.Name) {
			return p, Invalid(`create %s: %q includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`, p.Name, p.Name)
		}
		if _, known := d.volumes[p.Name]; !known {
			d.volumes[p.Name] = m.Source == ""
		}
		p.Source = volumePath(p.Name)
	}
	return p, nil
}

// mountsOf collects the mounts of a container from the four places where they
// may stand, and refuses two at one target.
func (d *Docker) mountsOf(c *ctr) ([]container.MountPoint, error) {
	out := []container.MountPoint{}
	taken := map[string]bool{}
	for target := range c.hc.Tmpfs {
		taken[path.Clean(target)] = true
	}
	add := func(p container.MountPoint, target string) error {
		if taken[p.Destination] {
			return Invalid("Duplicate mount point: %s", target)
		}
		taken[p.Destination] = true
		out = append(out, p)
		return nil
	}
	for _, from := range c.hc.VolumesFrom {
		id, _, _ := strings.Cut(from, ":")
		other, err := d.find(id)
		if err != nil {
			return nil, asInvalid(err)
		}
		out = append(out, other.mounts...)
	}
	for _, raw := range c.hc.Binds {
		p, err := d.parseBind(raw)
		if err != nil {
			return nil, err
		}
		if err := add(p, p.Destination); err != nil {
			return nil, err
		}
	}
	for _, m := range c.hc.Mounts {
		p, err := d.mountPoint(m)
		if err != nil {
			return nil, err
		}
		if err := add(p, m.Target); err != nil {
			return nil, err
		}
	}
	for target := range c.cfg.Volumes {
		if target = path.Clean(target); taken[target] {
			continue
		}
		p, err := d.mountPoint(mount.Mount{Type: mount.TypeVolume, Target: target})
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// makeSources makes the directories that binds ask for and that are missing;
// the engine does so at the start.
func (d *Docker) makeSources(c *ctr) error {
	if !d.HostFS {
		return nil
	}
	var dirs []string
	for _, raw := range c.hc.Binds {
		if source, _, ok := strings.Cut(raw, ":"); ok && path.IsAbs(source) {
			dirs = append(dirs, source)
		}
	}
	for _, m := range c.hc.Mounts {
		if m.BindOptions != nil && m.BindOptions.CreateMountpoint {
			dirs = append(dirs, m.Source)
		}
	}
	for _, dir := range dirs {
		if d.exists(dir) {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return Internal("error while creating mount source path '%s': %v", dir, err)
		}
	}
	return nil
}
