package fake

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// img is an image. It is not changed once it is in the store, save by
// references, which the store keeps.
type img struct {
	id      string          // "sha256:…", the digest of the configuration
	raw     json.RawMessage // the "config" part of the configuration, in Docker's spelling
	created time.Time
	comment string
	author  string
	os      string
	arch    string
	layers  []layer
	history []step
	files   files // nil: not known
	users   []account
	groups  []account

	refs map[string]reference.Named // by normalised form; tags and digests
}

type layer struct {
	diffID string
	size   int64
}

type step struct {
	Created    time.Time `json:"created"`
	CreatedBy  string    `json:"created_by"`
	Comment    string    `json:"comment"`
	EmptyLayer bool      `json:"empty_layer"`
}

func (i *img) config() *container.Config {
	c := new(container.Config)
	_ = json.Unmarshal(i.raw, c) // it was decoded once before
	return c
}

func (i *img) size() (n int64) {
	for _, l := range i.layers {
		n += l.size
	}
	return n
}

// files are the names in an image, "/bin/sh", with their modes.
type files map[string]fs.FileMode

// known returns the files of an image; nil if they are not known. A container
// without an image has no files, and that is known.
func (i *img) known() files {
	if i == nil {
		return files{}
	}
	return i.files
}

// stat returns the mode of a file; of a directory without its bits, because it
// cannot be executed.
func (f files) stat(name string) (fs.FileMode, bool) {
	mode, ok := f[path.Clean(name)]
	if mode.IsDir() {
		return 0, ok
	}
	return mode, ok
}

func (f files) isFile(name string) bool {
	mode, ok := f[path.Clean(name)]
	return ok && !mode.IsDir()
}

func (f files) isDir(name string) bool {
	name = path.Clean(name)
	mode, ok := f[name]
	return name == "/" || ok && mode.IsDir() || !ok && (name == "/etc" || name == "/proc" || name == "/dev" || name == "/sys")
}

// references lists the names of an image in the engine's order.
func (i *img) references() []reference.Named {
	out := make([]reference.Named, 0, len(i.refs))
	for _, k := range slices.Sorted(maps.Keys(i.refs)) {
		out = append(out, i.refs[k])
	}
	return out
}

// repo splits the names of an image into tags and digests, as they are shown.
func (i *img) repo() (tags, digests []string) {
	tags, digests = []string{}, []string{}
	for _, r := range i.references() {
		if _, ok := r.(reference.Canonical); ok {
			digests = append(digests, reference.FamiliarString(r))
		} else {
			tags = append(tags, reference.FamiliarString(r))
		}
	}
	return tags, digests
}

// normal is the form of a reference that the store is keyed by: the default
// registry and tag filled in, and no tag beside a digest.
func normal(r reference.Named) reference.Named {
	if c, ok := r.(reference.Canonical); ok {
		if d, err := reference.WithDigest(reference.TrimNamed(r), c.Digest()); err == nil {
			return d
		}
	}
	return reference.TagNameOnly(r)
}

// bind gives an image a name, and takes it from whichever has it.
func (d *Docker) bind(i *img, r reference.Named) {
	r = normal(r)
	k := r.String()
	if old := d.tags[k]; old != nil {
		delete(old.refs, k)
	}
	d.tags[k] = i
	i.refs[k] = r
}

func (d *Docker) unbind(r reference.Named) {
	k := normal(r).String()
	if i := d.tags[k]; i != nil {
		delete(i.refs, k)
		delete(d.tags, k)
	}
}

// lookup resolves a reference or an ID as Docker does: an ID in full, else a
// name in the store, else the beginning of one ID.
func (d *Docker) lookup(ref string) (*img, error) {
	r, err := reference.ParseAnyReference(ref)
	if err != nil {
		return nil, badReference(err)
	}
	named, ok := r.(reference.Named)
	if !ok {
		if i, ok := d.images[r.String()]; ok {
			return i, nil
		}
		return nil, noSuchImage(r)
	}
	if i, ok := d.tags[normal(named).String()]; ok {
		return i, nil
	}
	if i := d.byPrefix(ref); i != nil {
		return i, nil
	}
	return nil, noSuchImage(r)
}

// badReference is a refusal in the engine's words, which are older than those
// of the parser.
func badReference(err error) error {
	if strings.HasSuffix(err.Error(), "must be lowercase") {
		return Invalid("invalid reference format: repository name must be lowercase")
	}
	return Invalid("%s", err)
}

func noSuchImage(r reference.Reference) error {
	if named, ok := r.(reference.Named); ok {
		r = reference.TagNameOnly(named)
		return NotFound("image", reference.FamiliarString(r.(reference.Named)))
	}
	return NotFound("image", r.String())
}

// byPrefix finds the one image whose ID begins so.
func (d *Docker) byPrefix(prefix string) *img {
	prefix = strings.TrimPrefix(prefix, "sha256:")
	if prefix == "" || strings.Trim(prefix, "0123456789abcdef") != "" {
		return nil
	}
	var found *img
	for id, i := range d.images {
		if strings.HasPrefix(id, "sha256:"+prefix) {
			if found != nil {
				return nil
			}
			found = i
		}
	}
	return found
}

// imageFor finds the image of a container. There may be none.
func (d *Docker) imageFor(ref string, p *ocispec.Platform) (*img, error) {
	if ref == "" {
		return nil, nil
	}
	i, err := d.lookup(ref)
	if err != nil {
		return nil, err
	}
	if p != nil {
		os, arch := cmp.Or(p.OS, i.os), cmp.Or(p.Architecture, i.arch)
		if os != i.os || arch != i.arch {
			return nil, refuse(errdefs.ErrNotFound, "image with reference %s was found but does not match the specified platform: wanted %s/%s, actual: %s/%s", ref, os, arch, i.os, i.arch)
		}
	}
	return i, nil
}

// ImageInspect returns all about an image: by name, digest, ID, or a prefix
// that only one ID has.
func (d *Docker) ImageInspect(ctx context.Context, imageID string, _ ...client.ImageInspectOption) (image.InspectResponse, error) {
	return do(ctx, d, OpImageInspect, imageID, func() (image.InspectResponse, error) {
		var r image.InspectResponse
		if imageID == "" {
			return r, &answer{errdefs.ErrNotFound, "Error: No such image: "}
		}
		d.lock()
		defer d.mu.Unlock()
		i, err := d.lookup(imageID)
		if err != nil {
			return r, inspectError(imageID, err)
		}
		r = image.InspectResponse{
			ID: i.id, Comment: i.comment, Author: i.author, Created: stamp(i.created),
			Architecture: i.arch, Os: i.os, Size: i.size(), VirtualSize: i.size(), GraphDriver: graph(strings.TrimPrefix(i.id, "sha256:")),
			ContainerConfig: new(container.Config),
		}
		r.RepoTags, r.RepoDigests = i.repo()
		r.RootFS.Type = "layers"
		for _, l := range i.layers {
			r.RootFS.Layers = append(r.RootFS.Layers, l.diffID)
		}
		err = json.Unmarshal(i.raw, &r.Config)
		return r, err
	})
}

// inspectError is how an image that is not found is reported by inspect: once
// more in front.
func inspectError(ref string, err error) error {
	text := strings.TrimPrefix(err.Error(), "Error response from daemon: ")
	class := error(errdefs.ErrNotFound)
	if !isNotFound(err) {
		class = errdefs.ErrInvalidArgument
	}
	return refuse(class, "no such image: %s: %s", ref, text)
}

// ImageHistory returns the steps an image was made by, the last first.
func (d *Docker) ImageHistory(ctx context.Context, imageID string, _ ...client.ImageHistoryOption) ([]image.HistoryResponseItem, error) {
	return do(ctx, d, OpImageHistory, imageID, func() ([]image.HistoryResponseItem, error) {
		d.lock()
		defer d.mu.Unlock()
		i, err := d.lookup(imageID)
		if err != nil {
			return nil, err
		}
		out := make([]image.HistoryResponseItem, len(i.history))
		next := 0
		for n, s := range i.history {
			item := image.HistoryResponseItem{ID: "<missing>", Created: s.Created.Unix(), CreatedBy: s.CreatedBy, Comment: s.Comment}
			if !s.EmptyLayer && next < len(i.layers) {
				item.Size = i.layers[next].size
				next++
			}
			out[len(out)-1-n] = item
		}
		if len(out) > 0 {
			out[0].ID = i.id
			for _, r := range i.references() {
				if _, ok := r.(reference.NamedTagged); ok {
					out[0].Tags = append(out[0].Tags, reference.FamiliarString(r))
				}
			}
		}
		return out, nil
	})
}

// ImageList returns images, the newest first. The filters are "reference",
// "dangling", "label", "before" and "since".
func (d *Docker) ImageList(ctx context.Context, o image.ListOptions) ([]image.Summary, error) {
	return do(ctx, d, OpImageList, "", func() ([]image.Summary, error) {
		f := o.Filters.Clone()
		d.lock()
		defer d.mu.Unlock()
		if err := f.Validate(map[string]bool{"dangling": true, "label": true, "label!": true, "before": true, "since": true, "reference": true, "until": true}); err != nil {
			return nil, badFilter(err)
		}
		dangling, hasDangling := false, false
		if v := f.Get("dangling"); len(v) > 0 {
			if len(v) > 1 || v[0] != "true" && v[0] != "false" {
				return nil, Invalid("Invalid filter 'dangling=%v'", v)
			}
			dangling, hasDangling = v[0] == "true", true
		}
		var before, since *img
		for key, to := range map[string]**img{"before": &before, "since": &since} {
			for _, ref := range f.Get(key) {
				i, err := d.lookup(ref)
				if err != nil {
					return nil, err
				}
				*to = i
			}
		}
		out := []image.Summary{}
		for _, i := range d.images {
			if before != nil && !i.created.Before(before.created) || since != nil && !i.created.After(since.created) {
				continue
			}
			var labels map[string]string
			if f.Contains("label") || f.Contains("label!") {
				labels = i.config().Labels
				if !f.MatchKVList("label", labels) || f.Contains("label!") && f.MatchKVList("label!", labels) {
					continue
				}
			}
			s := image.Summary{ID: i.id, Created: i.created.Unix(), Size: i.size(), VirtualSize: i.size(), SharedSize: -1, Containers: -1}
			for _, r := range i.references() {
				if f.Contains("reference") {
					ok, err := matchesAny(f.Get("reference"), r)
					if err != nil {
						return nil, err
					}
					if !ok {
						continue
					}
				}
				if _, ok := r.(reference.Canonical); ok {
					s.RepoDigests = append(s.RepoDigests, reference.FamiliarString(r))
				} else {
					s.RepoTags = append(s.RepoTags, reference.FamiliarString(r))
				}
			}
			if len(s.RepoTags) == 0 && len(s.RepoDigests) == 0 {
				if f.Contains("reference") && !f.Contains("dangling") || hasDangling && !dangling {
					continue
				}
				s.RepoTags, s.RepoDigests = []string{"<none>:<none>"}, []string{"<none>@<none>"}
			} else if dangling {
				continue
			}
			s.Labels = i.config().Labels
			out = append(out, s)
		}
		slices.SortFunc(out, func(a, b image.Summary) int {
			return cmp.Or(cmp.Compare(b.Created, a.Created), cmp.Compare(a.ID, b.ID))
		})
		return out, nil
	})
}

func matchesAny(patterns []string, r reference.Named) (bool, error) {
	for _, p := range patterns {
		ok, err := reference.FamiliarMatch(p, r)
		if err != nil {
			return false, Internal("%s", err)
		}
		if ok {
			return true, nil
		}
	}
	return false, nil
}

// ImageRemove takes a name away, and with the last one the image. The refusals
// are Docker 20.10's: an image that a container uses, or that has several
// names and is removed by its ID.
func (d *Docker) ImageRemove(ctx context.Context, imageID string, o image.RemoveOptions) ([]image.DeleteResponse, error) {
	return do(ctx, d, OpImageRemove, imageID, func() ([]image.DeleteResponse, error) {
		d.lock()
		defer d.mu.Unlock()
		i, err := d.lookup(imageID)
		if err != nil {
			return nil, err
		}
		return d.removeImage(i, imageID, o.Force)
	})
}

func (d *Docker) removeImage(i *img, ref string, force bool) ([]image.DeleteResponse, error) {
	var out []image.DeleteResponse
	untag := func(r reference.Named) {
		d.unbind(r)
		d.imageEvent(i, "untag", i.id, i.id)
		out = append(out, image.DeleteResponse{Untagged: reference.FamiliarString(normal(r))})
	}
	user := func(running bool) (first *ctr) {
		for _, c := range d.containers {
			if c.image == i && c.running == running && (first == nil || c.seq < first.seq) {
				first = c
			}
		}
		return first
	}
	cannot := func(forced, format string, args ...any) error {
		return Conflict("conflict: unable to delete %s (%s be forced) - %s", short(i.id), forced, fmt.Sprintf(format, args...))
	}
	lastName := false
	if byID := strings.HasPrefix(i.id, "sha256:"+strings.TrimPrefix(ref, "sha256:")); !byID {
		named, err := reference.ParseNormalizedNamed(ref)
		if err != nil {
			return nil, Invalid("%s", err)
		}
		if !force && oneName(i.references()) {
			if c := cmp.Or(user(true), user(false)); c != nil {
				return nil, Conflict("conflict: unable to remove repository reference %q (must force) - container %s is using its referenced image %s", ref, short(c.id), short(i.id))
			}
		}
		untag(named)
		if !slices.ContainsFunc(i.references(), func(r reference.Named) bool {
			_, digest := r.(reference.Canonical)
			return !digest && r.Name() == named.Name()
		}) {
			// Digests of a repository go with its last tag.
			for _, r := range i.references() {
				if _, digest := r.(reference.Canonical); digest && r.Name() == named.Name() {
					untag(r)
				}
			}
		}
		if len(i.refs) > 0 {
			return out, nil
		}
		lastName = true
	} else if oneName(i.references()) {
		if c := user(true); c != nil {
			return nil, cannot("cannot", "image is being used by running container %s", short(c.id))
		}
		if c := user(false); c != nil && !force {
			return nil, cannot("must", "image is being used by stopped container %s", short(c.id))
		}
		for _, r := range i.references() {
			untag(r)
		}
	}
	if c := user(true); c != nil {
		if lastName {
			return out, nil
		}
		return nil, cannot("cannot", "image is being used by running container %s", short(c.id))
	}
	if !force {
		if len(i.refs) > 0 {
			return nil, cannot("must", "image is referenced in multiple repositories")
		}
		if c := user(false); c != nil {
			return nil, cannot("must", "image is being used by stopped container %s", short(c.id))
		}
	}
	for _, r := range i.references() {
		untag(r)
	}
	delete(d.images, i.id)
	d.imageEvent(i, "delete", i.id, i.id)
	out = append(out, image.DeleteResponse{Deleted: i.id})
	used := d.usedLayers()
	for _, chain := range slices.Backward(i.chain()) {
		if !used[chain] {
			out = append(out, image.DeleteResponse{Deleted: chain})
		}
	}
	return out, nil
}

// oneName tells whether an image has one tag at most, and digests of its
// repository alone.
func oneName(refs []reference.Named) bool {
	if len(refs) <= 1 {
		return true
	}
	var tag reference.Named
	repos := map[string]bool{}
	for _, r := range refs {
		if _, ok := r.(reference.Canonical); ok {
			repos[r.Name()] = true
			continue
		}
		if tag != nil {
			return false
		}
		tag = r
	}
	return len(repos) == 1 && (tag == nil || repos[tag.Name()])
}

// chain returns the IDs of an image's layers as the engine stores them: each
// depends on those below.
func (i *img) chain() []string {
	out := make([]string, 0, len(i.layers))
	for n, l := range i.layers {
		id := l.diffID
		if n > 0 {
			id = digestOf([]byte(out[n-1] + " " + id))
		}
		out = append(out, id)
	}
	return out
}

// DiskUsage measures the images, a layer that they share counted once. It says
// nothing of containers, volumes and the build cache.
func (d *Docker) DiskUsage(ctx context.Context, _ types.DiskUsageOptions) (types.DiskUsage, error) {
	return do(ctx, d, OpDiskUsage, "", func() (types.DiskUsage, error) {
		d.lock()
		defer d.mu.Unlock()
		var u types.DiskUsage
		counted := map[string]bool{}
		for _, id := range slices.Sorted(maps.Keys(d.images)) {
			i := d.images[id]
			u.Images = append(u.Images, &image.Summary{ID: i.id, Size: i.size(), SharedSize: -1, Containers: -1})
			for n, layer := range i.chain() {
				if !counted[layer] {
					counted[layer] = true
					u.LayersSize += i.layers[n].size
				}
			}
		}
		return u, nil
	})
}

// usedLayers are the layers that an image or a container needs.
func (d *Docker) usedLayers() map[string]bool {
	images := map[*img]bool{}
	for _, i := range d.images {
		images[i] = true
	}
	for _, c := range d.containers {
		if c.image != nil {
			images[c.image] = true
		}
	}
	used := map[string]bool{}
	for i := range images {
		for _, chain := range i.chain() {
			used[chain] = true
		}
	}
	return used
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
