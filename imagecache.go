package dockpod

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// An image's inspection costs an engine more than a container's, and a node's
// containers have few images. All but the tags and digests of an image with an
// ID never changes, so those of a status may be imageMemo old; what this
// Runtime does to images, and what a Watch hears of them, is seen at once.
const (
	imageMemo = 10 * time.Second
	maxImages = 512 // some kilobytes each
)

// imageCache remembers images by their immutable IDs. Callers who come
// together share one request; errors are not kept. The zero value is empty.
type imageCache struct {
	keep time.Duration // zero: imageMemo
	mu   sync.Mutex
	byID map[string]*memo[*Image]
}

// get returns the image, asking for it by fetch if it is not known. The image
// is shared and only read.
func (c *imageCache) get(ctx context.Context, id string, fetch func(context.Context, string) (*Image, error)) (*Image, error) {
	c.mu.Lock()
	m := c.byID[id]
	if m == nil {
		if c.byID == nil {
			c.byID = map[string]*memo[*Image]{}
		}
		for old := range c.byID { // any: a node with so many has no favourites
			if len(c.byID) < maxImages {
				break
			}
			delete(c.byID, old)
		}
		m = &memo[*Image]{keep: cmp.Or(c.keep, imageMemo)}
		c.byID[id] = m
	}
	c.mu.Unlock()
	if img, ok := m.known(); ok {
		return img, nil
	}
	return m.get(ctx, func(ctx context.Context) (*Image, error) { return fetch(ctx, id) })
}

// forget drops everything: images have changed. What is being asked for just
// now is not kept either.
func (c *imageCache) forget() {
	c.mu.Lock()
	clear(c.byID)
	c.mu.Unlock()
}
