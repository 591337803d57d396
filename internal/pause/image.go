package pause

import (
	"errors"
	"fmt"

	"github.com/dockpod/dockpod/internal/imagetar"
)

// Label is the image's label that marks it as dockpod's; its value is [Digest].
const Label = "io.dockpod.pause"

// repository is the image's name without the tag. The tag is set by loading the
// archive; nothing is ever pulled from there.
const repository = "dockpod.io/pause"

// Archive returns the image for an architecture as an archive for "docker load",
// and the reference it is tagged with once it is loaded. The same release
// returns the same bytes always. The error wraps [errors.ErrUnsupported] if there
// is no program for arch.
func Archive(arch string) (archive []byte, ref string, err error) {
	m, err := image(arch)
	if err != nil {
		return nil, "", err
	}
	archive, err = m.Archive()
	return archive, m.Refs[0], err
}

// ConfigDigest returns the digest of the image's configuration, as
// "sha256:<hex>". That is the image's ID on Podman and on a Docker Engine whose
// images are kept by a graph driver. With the containerd image store the ID is
// the digest of a manifest that the engine writes while it loads the archive:
// find the image by its reference there. The error wraps [errors.ErrUnsupported] if
// there is no program for arch.
func ConfigDigest(arch string) (string, error) {
	m, err := image(arch)
	if err != nil {
		return "", err
	}
	return m.ConfigDigest()
}

// image returns the image: the program and what starts it.
func image(arch string) (imagetar.Image, error) {
	program, ok := Program(arch)
	if !ok {
		return imagetar.Image{}, fmt.Errorf("pause image for architecture %q: %w", arch, errors.ErrUnsupported)
	}
	return imagetar.Image{
		Refs:       []string{repository + ":" + Digest(arch)[:12]},
		Arch:       goarch(arch),
		Files:      []imagetar.File{{Name: "pause", Mode: 0o755, Data: program}},
		Entrypoint: []string{"/pause"},
		StopSignal: "SIGTERM",
		Labels:     map[string]string{Label: Digest(arch)},
	}, nil
}
