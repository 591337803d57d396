package fake

import (
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// checkDevices looks for the devices that a container is to have, as the
// engine does at its start.
func (d *Docker) checkDevices(h *container.HostConfig) error {
	var blocks []string
	for _, w := range h.BlkioWeightDevice {
		blocks = append(blocks, w.Path)
	}
	for _, w := range slices.Concat(h.BlkioDeviceReadBps, h.BlkioDeviceWriteBps, h.BlkioDeviceReadIOps, h.BlkioDeviceWriteIOps) {
		blocks = append(blocks, w.Path)
	}
	for _, p := range blocks {
		if !d.exists(p) {
			return Internal("stat %s: no such file or directory", p)
		}
	}
	for _, dev := range h.Devices {
		gathering := "error gathering device information while adding custom device %q: "
		switch {
		case !d.exists(dev.PathOnHost):
			return Internal(gathering+"no such file or directory", dev.PathOnHost)
		case d.HostFS && isFile(dev.PathOnHost):
			return Internal(gathering+"not a device node", dev.PathOnHost)
		case dev.CgroupPermissions == "":
			return Internal("failed to create shim task: OCI runtime create failed: runc create failed: device access at 8 field cannot be empty: unknown")
		}
	}
	for _, r := range h.DeviceRequests {
		if r.Driver != "cdi" || len(d.CDIDevices) == 0 {
			return Internal("could not select device driver %q with capabilities: %v", r.Driver, r.Capabilities)
		}
		unknown := slices.DeleteFunc(slices.Clone(r.DeviceIDs), func(id string) bool { return slices.Contains(d.CDIDevices, id) })
		if len(unknown) > 0 {
			return Internal("CDI device injection failed: unresolvable CDI devices %s", strings.Join(unknown, ", "))
		}
	}
	return nil
}

// isFile tells whether a path of this process is neither a device nor a
// directory, in which there may be some.
func isFile(p string) bool {
	info, err := os.Stat(p)
	return err == nil && !info.IsDir() && info.Mode()&fs.ModeDevice == 0
}
