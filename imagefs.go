package dockpod

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
)

// ImageFSInfo is what the images of an engine take.
type ImageFSInfo struct {
	At        time.Time // when the engine was asked
	Path      string    // the engine's directory, on its machine: "/var/lib/docker"
	Images    int
	UsedBytes int64 // on disk, a layer that images share counted once
	// UpperBound: the engine does not tell what its images share, as Podman
	// does not. UsedBytes counts a layer with each image then.
	UpperBound bool
}

// ImageFSInfo measures what all images take on the engine, whoever pulled
// them. Engines look at every layer for that, so that the answer is kept for a
// minute. An engine that is no [DiskUsager] is [ErrUnsupported].
func (r *Runtime) ImageFSInfo(ctx context.Context) (info ImageFSInfo, err error) {
	ctx, end := r.begin(ctx, "image file system", "")
	defer end(&err)
	if r.err != nil {
		return ImageFSInfo{}, r.err
	}
	return r.imageFS.get(ctx, r.fetchImageFS)
}

func (r *Runtime) fetchImageFS(ctx context.Context) (ImageFSInfo, error) {
	engine, ok := r.docker.(DiskUsager)
	if !ok {
		return ImageFSInfo{}, &UnsupportedError{"disk usage", "the engine does not measure it"}
	}
	at := time.Now()
	// An engine before API 1.42 does not know the filter, and measures all.
	usage, err := engine.DiskUsage(ctx, types.DiskUsageOptions{Types: []types.DiskUsageObject{types.ImageObject}})
	if err != nil {
		return ImageFSInfo{}, lostBody(ctx, err)
	}
	system, err := r.docker.Info(ctx)
	if err != nil {
		return ImageFSInfo{}, lostBody(ctx, err)
	}
	info := imageFSOf(usage)
	info.At, info.Path = at, system.DockerRootDir
	return info, nil
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
