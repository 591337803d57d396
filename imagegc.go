package dockpod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/opencontainers/go-digest"
)

// DefaultImageMinAge is how long an image that nobody uses is left alone
// unless [ImageGCPolicy].MinAge says otherwise. It is the kubelet's default:
// between a pull and the container, an image is unused.
const DefaultImageMinAge = 2 * time.Minute

// ImageGCPolicy says which images [PlanImageGC] removes. The zero value
// removes none.
type ImageGCPolicy struct {
	// MinAge protects an image that was last in use less than that ago; zero:
	// [DefaultImageMinAge], negative: no protection.
	MinAge time.Duration
	// MaxAge removes an image that was last in use that long ago, however
	// much space there is; zero: never.
	MaxAge time.Duration
	// When the images use HighBytes or more, they are removed until they use
	// LowBytes or less, beginning with the one that was in use the longest
	// ago, and of several such ones with the largest. HighBytes zero: never.
	HighBytes, LowBytes int64
}

// ImageUse is an image and what is known of its use.
type ImageUse struct {
	Image                // its Pinned, ID and Size count
	InUse      bool      // a container was made from it, whether that runs or not
	LastUsedAt time.Time // when it was in use, or first seen; zero: not known
}

// ImageGCReason is why an image is removed. It is for people.
type ImageGCReason string

// The reasons of [PlanImageGC].
const (
	ImageUnusedTooLong ImageGCReason = "unused for too long"
	ImageSpaceNeeded   ImageGCReason = "space is needed"
)

// ImageRemoval is an image to be removed, or that was.
type ImageRemoval struct {
	Image  Image
	Reason ImageGCReason
}

// ImageGCPlan is what [PlanImageGC] decided.
type ImageGCPlan struct {
	Remove []ImageRemoval // in this order
	// Wanted is how much has to be freed for the watermark. If Bytes is less,
	// there is no more to remove.
	Wanted int64
	// Bytes is the size of what is removed. A layer that stays, because
	// another image has it, too, is counted as well.
	Bytes int64
}

// PlanImageGC decides which images to remove when all of them use so many
// bytes. It has no side effects. An image that is in use or pinned is never
// among them, and neither is one that is younger than the policy's MinAge. One
// whose age is not known is not removed because of its age, and after all
// others when space is needed.
func PlanImageGC(images []ImageUse, used int64, p ImageGCPolicy, now time.Time) ImageGCPlan {
	minAge := p.MinAge
	if minAge == 0 {
		minAge = DefaultImageMinAge
	}
	var unused []ImageUse
	for _, u := range images {
		if !u.Pinned && !u.InUse && (u.LastUsedAt.IsZero() || now.Sub(u.LastUsedAt) >= minAge) {
			unused = append(unused, u)
		}
	}
	slices.SortFunc(unused, func(a, b ImageUse) int {
		switch {
		case a.LastUsedAt.Equal(b.LastUsedAt):
			return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.ID, b.ID))
		case a.LastUsedAt.IsZero():
			return 1
		case b.LastUsedAt.IsZero():
			return -1
		}
		return a.LastUsedAt.Compare(b.LastUsedAt)
	})
	var plan ImageGCPlan
	if p.HighBytes > 0 && used >= p.HighBytes {
		plan.Wanted = used - min(max(p.LowBytes, 0), p.HighBytes)
	}
	for _, u := range unused {
		var reason ImageGCReason
		switch {
		case p.MaxAge > 0 && !u.LastUsedAt.IsZero() && now.Sub(u.LastUsedAt) >= p.MaxAge:
			reason = ImageUnusedTooLong
		case plan.Bytes < plan.Wanted:
			reason = ImageSpaceNeeded
		default:
			continue
		}
		plan.Remove = append(plan.Remove, ImageRemoval{u.Image, reason})
		plan.Bytes = addBytes(plan.Bytes, u.Size)
	}
	return plan
}

// addBytes adds a size to a sum. Some engines have sizes of -1 for "not
// known".
func addBytes(sum, size int64) int64 {
	if size = max(size, 0); sum > math.MaxInt64-size {
		return math.MaxInt64
	}
	return sum + size
}

// ImageGCOptions is the policy of a collection, and what surrounds it.
type ImageGCOptions struct {
	ImageGCPolicy
	// Keep names images that stay, as for [Image.Matches]: a repository
	// without a tag keeps all its images. A full ID keeps that image.
	Keep []string
	// Usage returns the bytes that the watermarks are compared with; nil: what
	// the images use, of [Runtime.ImageFSInfo]. An agent that watches the file
	// system of the engine returns what is used of that.
	Usage func(context.Context) (int64, error)
}

// ImageGCReport is what [Runtime.CollectImages] did.
type ImageGCReport struct {
	Removed []ImageRemoval
	Bytes   int64 // the size of what was removed; see [ImageGCPlan]
	Wanted  int64 // how much had to be freed for the watermark
	// UsedBytes is what was in use in the end. It is measured only where there
	// is a watermark.
	UsedBytes int64
}

// CollectImages removes images that [PlanImageGC] chooses. It chooses among
// all images of the engine, whoever pulled them: what another program needs
// has to be in Keep, or in use.
//
// No engine tells when an image was in use. The Runtime remembers it, from the
// first CollectImages on: an image counts as in use when it is first seen,
// while a container is there that was made from it, and when
// [Runtime.PullImage] or [Runtime.EnsureImage] returns it. An agent that was
// started anew begins anew, and so keeps images longer than it had to. It
// should call CollectImages every few minutes.
//
// Images share layers, so that less may come free than their sizes promise:
// the usage is measured again and, if it is still above LowBytes, more is
// removed.
//
// An image that is in use or pinned by then stays, and so does one that is
// removed by somebody else; that is no error. Other failures are joined, with
// the report of what was done, and what failed counts as neither removed nor
// freed.
func (r *Runtime) CollectImages(ctx context.Context, opts ImageGCOptions) (report ImageGCReport, err error) {
	const op = "collect images"
	ctx, end := r.beginLimit(ctx, op, "", -1)
	defer end(&err)
	if r.err != nil {
		return ImageGCReport{}, r.err
	}
	keep, err := parseKeep(opts)
	if err != nil {
		return ImageGCReport{}, err
	}
	policy := opts.ImageGCPolicy
	var failed removalErrors
	left := map[digest.Digest]bool{} // not tried again
	r.imageFS.forget()
	for {
		images, err := r.imageUses(ctx, op, keep)
		if err != nil {
			return report, append(failed, err).err()
		}
		if policy.HighBytes > 0 {
			if report.UsedBytes, err = r.usedBytes(ctx, opts.Usage); err != nil {
				return report, append(failed, err).err()
			}
		}
		for i := range images {
			images[i].InUse = images[i].InUse || left[images[i].ID]
		}
		plan := PlanImageGC(images, report.UsedBytes, policy, time.Now())
		report.Wanted = max(report.Wanted, plan.Wanted)
		removed := 0
		for _, removal := range plan.Remove {
			left[removal.Image.ID] = true
			ok, err := r.collectImage(ctx, removal.Image, keep)
			switch {
			case ctx.Err() != nil && err != nil:
				return report, append(failed, err).err()
			case err != nil:
				failed = append(failed, err)
			case ok:
				removed++
				report.Removed = append(report.Removed, removal)
				report.Bytes = addBytes(report.Bytes, removal.Image.Size)
			}
		}
		if removed > 0 {
			r.imageFS.forget()
		}
		if plan.Wanted == 0 || len(plan.Remove) == 0 {
			return report, failed.err()
		}
		// From here on the aim is the low mark.
		policy.HighBytes = min(max(policy.LowBytes, 0), policy.HighBytes) + 1
	}
}

// removalErrors is what went wrong in a collection. Its text is that of the
// first, however many there are.
type removalErrors []error

func (e removalErrors) Error() string {
	return fmt.Sprintf("%v (and %d more)", e[0], len(e)-1)
}

func (e removalErrors) Unwrap() []error { return e }

func (e removalErrors) err() error {
	if len(e) > 1 {
		return e
	}
	return joinErrors(e)
}

// parseKeep checks the options and reads the names that are kept.
func parseKeep(o ImageGCOptions) ([]imageTarget, error) {
	if o.HighBytes < 0 || o.LowBytes < 0 || o.HighBytes > 0 && o.LowBytes > o.HighBytes {
		return nil, &FieldError{"LowBytes", "LowBytes and HighBytes are not negative, and the low mark is not above the high one"}
	}
	var keep []imageTarget
	for _, ref := range o.Keep {
		t, err := parseImageTarget(ref)
		if err != nil {
			return nil, err
		}
		keep = append(keep, t)
	}
	return keep, nil
}

// keeps reports whether img is one of those.
func keeps(keep []imageTarget, img Image) bool {
	return slices.ContainsFunc(keep, func(t imageTarget) bool {
		return img.HasID(t.id) || t.name != nil && img.Matches(t.name)
	})
}

func (r *Runtime) usedBytes(ctx context.Context, usage func(context.Context) (int64, error)) (int64, error) {
	if usage != nil {
		return usage(ctx)
	}
	info, err := r.ImageFSInfo(ctx)
	return info.UsedBytes, err
}

// imageUses lists all images with their use, and remembers that.
func (r *Runtime) imageUses(ctx context.Context, op string, keep []imageTarget) (uses []ImageUse, err error) {
	ctx, end := r.begin(ctx, op, "")
	defer end(&err)
	// The containers last: one that is made in between is seen.
	list, err := r.docker.ImageList(ctx, image.ListOptions{})
	if err != nil {
		return nil, classify(verbOther, "", err)
	}
	containers, err := r.listEngine(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, err
	}
	used := usedImages(containers)
	for _, s := range list {
		img, err := imageOfSummary(s)
		if err != nil {
			return nil, err
		}
		img.Pinned = r.pinned(img) || keeps(keep, img)
		uses = append(uses, ImageUse{Image: img, InUse: used.has(img)})
	}
	r.imageAges.note(uses, time.Now())
	return uses, nil
}

// imageSet is the images that containers were made from: by their IDs, and by
// their names, as an engine may list a container with either.
type imageSet struct {
	ids   map[digest.Digest]bool
	names map[string]bool
}

func usedImages(containers []container.Summary) imageSet {
	s := imageSet{map[digest.Digest]bool{}, map[string]bool{}}
	for _, c := range containers {
		for _, ref := range []string{c.ImageID, c.Image} {
			if t, err := parseImageTarget(ref); err != nil {
				continue
			} else if t.name != nil {
				s.names[engineRef(t.name).String()] = true
			} else {
				s.ids[t.id] = true
			}
		}
	}
	return s
}

func (s imageSet) has(img Image) bool {
	return s.ids[img.ID] || slices.ContainsFunc(parseNames(img.RepoTags, img.RepoDigests), func(n reference.Named) bool {
		return s.names[n.String()]
	})
}

// collectImage removes an image unless it is gone, in use, or pinned by now.
func (r *Runtime) collectImage(ctx context.Context, img Image, keep []imageTarget) (removed bool, err error) {
	ctx, end := r.begin(ctx, "remove image", img.ID.String())
	defer end(&err)
	now, err := r.resolveImage(ctx, img.ID.String())
	switch {
	case errors.Is(err, ErrImageNotFound):
		return false, nil
	case err != nil:
		return false, err
	case now.Pinned || keeps(keep, now.Image):
		return false, nil
	}
	err = r.removeWholeImage(ctx, now.Image)
	if errors.Is(err, ErrImageInUse) {
		r.imageAges.touch(img.ID, time.Now())
		return false, nil
	}
	return err == nil, err
}

// imageAges remembers when images were in use. It remembers nothing before the
// first note, so that an agent which never collects pays nothing.
type imageAges struct {
	mu   sync.Mutex
	last map[digest.Digest]time.Time
}

// note takes in a list of all images, and fills in when each was in use.
func (a *imageAges) note(uses []ImageUse, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := make(map[digest.Digest]time.Time, len(uses))
	for i, u := range uses {
		last, seen := a.last[u.ID]
		if u.InUse || !seen {
			last = now
		}
		next[u.ID], uses[i].LastUsedAt = last, last
	}
	a.last = next
}

// touch notes that an image is in use.
func (a *imageAges) touch(id digest.Digest, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last != nil {
		a.last[id] = now
	}
}
