package fake

import (
	"context"
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"
)

// VolumeInspect tells of a volume, named or anonymous, that some container was
// made with. An anonymous one goes with the last container that has it, if
// that is removed with RemoveVolumes.
func (d *Docker) VolumeInspect(ctx context.Context, name string) (volume.Volume, error) {
	return do(ctx, d, OpVolumeInspect, name, func() (volume.Volume, error) {
		d.lock()
		defer d.mu.Unlock()
		if _, ok := d.volumes[name]; !ok {
			return volume.Volume{}, NotFound("volume", name)
		}
		return volume.Volume{Name: name, Driver: "local", Mountpoint: volumePath(name), Scope: "local"}, nil
	})
}

func volumePath(name string) string { return dockerRoot + "/volumes/" + name + "/_data" }

// dropVolumes removes the anonymous volumes that a removed container was the
// last to have.
func (d *Docker) dropVolumes(c *ctr) {
	for _, m := range c.mounts {
		if d.volumes[m.Name] && !d.mounted(m.Name) {
			delete(d.volumes, m.Name)
		}
	}
}

func (d *Docker) mounted(volume string) bool {
	for _, c := range d.containers {
		if slices.ContainsFunc(c.mounts, func(m container.MountPoint) bool { return m.Name == volume }) {
			return true
		}
	}
	return false
}
