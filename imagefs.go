package dockpod

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/image"
)

// ImageFSInfo is what the images of an engine take.
type ImageFSInfo struct {
	At        time.Time // when the engine was asked
	Path      string    // the engine's directory, on its machine: "/var/lib/docker"
	Images    int
	UsedBytes int64 // on disk, a layer that images share counted once
	// UpperBound: the engine does not tell all that its images share. Podman
	// tells nothing of it, and UsedBytes counts a layer with each image then.
	// Of an engine that does not measure, the images' histories are summed up,
	// where a layer may look like two.
	UpperBound bool
}

// ImageFSInfo measures what all images take on the engine, whoever pulled
// them. Engines look at every layer for that, so that the answer is kept for a
// minute. For an engine that is no [DiskUsager], or whose disk usage may not
// be asked for, it is an [ImageFSInfo].UpperBound from the images' histories.
func (r *Runtime) ImageFSInfo(ctx context.Context) (info ImageFSInfo, err error) {
	ctx, end := r.begin(ctx, "image file system", "")
	defer end(&err)
	if r.err != nil {
		return ImageFSInfo{}, r.err
	}
	return r.imageFS.get(ctx, r.fetchImageFS)
}

func (r *Runtime) fetchImageFS(ctx context.Context) (ImageFSInfo, error) {
	at := time.Now()
	info, err := r.measureImages(ctx)
	// A proxy before the engine refuses what is not on its list.
	if errdefs.IsNotImplemented(err) || errdefs.IsPermissionDenied(err) {
		info, err = r.sumHistories(ctx)
	}
	if err != nil {
		return ImageFSInfo{}, err
	}
	system, err := r.docker.Info(ctx)
	if err != nil {
		return ImageFSInfo{}, lostBody(ctx, err)
	}
	info.At, info.Path = at, system.DockerRootDir
	return info, nil
}

// measureImages has the engine look at its disk.
func (r *Runtime) measureImages(ctx context.Context) (ImageFSInfo, error) {
	engine, ok := r.docker.(DiskUsager)
	if !ok {
		return ImageFSInfo{}, ErrUnsupported
	}
	// An engine before API 1.42 does not know the filter, and measures all.
	usage, err := engine.DiskUsage(ctx, types.DiskUsageOptions{Types: []types.DiskUsageObject{types.ImageObject}})
	if err != nil {
		return ImageFSInfo{}, lostBody(ctx, err)
	}
	return imageFSOf(usage), nil
}

// lostBody classifies an error of two methods of the client that keep of what
// went wrong in a body the text alone.
func lostBody(ctx context.Context, err error) error {
	for _, prefix := range []string{"Error retrieving disk usage: ", "Error reading remote info: "} {
		if strings.HasPrefix(err.Error(), prefix) {
			return cmp.Or(ctx.Err(), error(&classified{ErrBadAnswer, bounded(err.Error())}))
		}
	}
	return classify(verbOther, "", err)
}

// imageFSOf sums up what an engine measured.
func imageFSOf(u types.DiskUsage) ImageFSInfo {
	info := ImageFSInfo{UsedBytes: max(u.LayersSize, 0)}
	var sizes int64
	for _, s := range u.Images {
		if s != nil {
			info.Images++
			sizes = addBytes(sizes, s.Size)
		}
	}
	if info.UsedBytes == 0 && sizes > 0 {
		info.UsedBytes, info.UpperBound = sizes, true
	}
	return info
}

// historyLayer is what a step of an image's history added to the disk.
type historyLayer struct {
	id            string // of the image after this step; empty unless that is on the engine
	command       string
	created, size int64
}

// key is what two layers that are one have in common. Of those that were
// pulled most have no ID.
func (l historyLayer) key() historyLayer {
	if l.id != "" {
		return historyLayer{id: l.id}
	}
	return l
}

// imageLayers is the layers of images, by image ID. An image never changes, so
// that its history is asked for once.
type imageLayers map[string][]historyLayer

// bytes sums up the layers, each once, whichever images have it.
func (images imageLayers) bytes() (sum int64) {
	seen := map[historyLayer]bool{}
	for _, layers := range images {
		for _, l := range layers {
			if !seen[l.key()] {
				seen[l.key()] = true
				sum = addBytes(sum, l.size)
			}
		}
	}
	return sum
}

// sumHistories adds up what the images' layers take by their histories. It
// remembers those of the images that there are; one call runs at a time.
func (r *Runtime) sumHistories(ctx context.Context) (ImageFSInfo, error) {
	list, err := r.docker.ImageList(ctx, image.ListOptions{})
	if err != nil {
		return ImageFSInfo{}, classify(verbOther, "", err)
	}
	layers, errs := make([][]historyLayer, len(list)), make([]error, len(list))
	each(len(list), func(i int) {
		layers[i] = r.imageLayers[list[i].ID]
		if layers[i] == nil {
			layers[i], errs[i] = r.historyLayers(ctx, list[i].ID)
		}
	})
	images := imageLayers{}
	for i, s := range list {
		switch {
		case errs[i] == nil:
			images[s.ID] = layers[i]
		case !errors.Is(errs[i], ErrImageNotFound): // else it was removed since
			err = cmp.Or(err, errs[i])
		}
	}
	r.imageLayers = images
	return ImageFSInfo{Images: len(images), UsedBytes: images.bytes(), UpperBound: len(images) > 0}, err
}

func (r *Runtime) historyLayers(ctx context.Context, id string) ([]historyLayer, error) {
	history, err := r.docker.ImageHistory(ctx, id)
	if err != nil {
		return nil, classify(verbImage, id, err)
	}
	layers := make([]historyLayer, len(history))
	for i, h := range history {
		layers[i] = historyLayer{strings.TrimPrefix(h.ID, "<missing>"), h.CreatedBy, h.Created, h.Size}
	}
	return layers, nil
}
