package dockpod

import (
	"context"
	"maps"
	"sync"
	"time"
)

// ContainerFSInfo is what a container takes on its engine's disk.
type ContainerFSInfo struct {
	At time.Time // when it was measured
	// UsedBytes is the container's own layer: what it wrote outside of mounts.
	// Its log is not in it.
	UsedBytes int64
	RootBytes int64 // that and its image
}

// ContainerFSInfo measures the writable layer of a container, whether it runs
// or not. Engines walk through its files for that, which costs their disk, so
// that the Runtime has one measured at a time, and keeps the answer for a
// minute, or ten times as long as it took. An engine that is no
// [ContainerSizer], or has no answer, is [ErrUnsupported]. No engine tells how
// many inodes there are.
func (r *Runtime) ContainerFSInfo(ctx context.Context, id string) (fs ContainerFSInfo, err error) {
	ctx, end := r.begin(ctx, "container file system", id)
	defer end(&err)
	info, err := r.inspect(ctx, id, TypeContainer)
	if err != nil {
		return ContainerFSInfo{}, err
	}
	return r.sizes.get(ctx, info.ID, func() (ContainerFSInfo, error) { return r.fetchSize(ctx, info.ID) })
}

func (r *Runtime) fetchSize(ctx context.Context, id string) (ContainerFSInfo, error) {
	engine, ok := r.docker.(ContainerSizer)
	if !ok {
		return ContainerFSInfo{}, &UnsupportedError{"container size", "the engine does not measure it"}
	}
	at := time.Now()
	info, _, err := engine.ContainerInspectWithRaw(ctx, id, true)
	switch {
	case err != nil:
		return ContainerFSInfo{}, classify(verbContainer, id, err)
	case info.ContainerJSONBase == nil || info.ID == "":
		return ContainerFSInfo{}, &classified{ErrBadAnswer, "the engine's inspection has no ID"}
	case info.SizeRw == nil || *info.SizeRw < 0:
		return ContainerFSInfo{}, &UnsupportedError{"container size", "the engine did not measure it"}
	}
	fs := ContainerFSInfo{At: at, UsedBytes: *info.SizeRw, RootBytes: *info.SizeRw}
	if info.SizeRootFs != nil {
		fs.RootBytes = max(*info.SizeRootFs, fs.RootBytes)
	}
	return fs, nil
}

// sizeCache keeps what was measured, and lets one caller at a time measure.
type sizeCache struct {
	mu   sync.Mutex
	turn chan struct{} // holds one value while somebody measures
	kept map[string]keptSize
}

type keptSize struct {
	ContainerFSInfo
	until time.Time
}

func (c *sizeCache) get(ctx context.Context, id string, measure func() (ContainerFSInfo, error)) (ContainerFSInfo, error) {
	fs, ok, turn := c.look(id)
	if ok {
		return fs, nil
	}
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return ContainerFSInfo{}, ctx.Err()
	}
	if fs, ok, _ := c.look(id); ok { // measured while we waited
		return fs, nil
	}
	fs, err := measure()
	if err != nil {
		return ContainerFSInfo{}, err
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.kept, func(_ string, k keptSize) bool { return !now.Before(k.until) })
	c.kept[id] = keptSize{fs, now.Add(max(memoTime, 10*now.Sub(fs.At)))}
	return fs, nil
}

// look returns what is kept of a container, and where one queues to measure.
func (c *sizeCache) look(id string) (fs ContainerFSInfo, ok bool, turn chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil {
		c.kept, c.turn = map[string]keptSize{}, make(chan struct{}, 1)
	}
	k, ok := c.kept[id]
	return k.ContainerFSInfo, ok && time.Now().Before(k.until), c.turn
}
