package dockpod

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/dockpod/dockpod/internal/pause"
)

// testID is a full ID that begins with a word in hex.
func testID(n int) digest.Digest { return digest.Digest(fmt.Sprintf("sha256:%064x", n)) }

func TestPlanImageGC(t *testing.T) {
	now := epoch
	use := func(n int, size int64, age time.Duration) ImageUse {
		return ImageUse{Image: Image{ID: testID(n), Size: size}, LastUsedAt: now.Add(-age)}
	}
	unknown := func(n int, size int64) ImageUse {
		return ImageUse{Image: Image{ID: testID(n), Size: size}}
	}
	inUse, pinned := use(8, 100, 10*time.Hour), use(9, 100, 10*time.Hour)
	inUse.InUse, pinned.Pinned = true, true
	for _, tt := range []struct {
		name   string
		images []ImageUse
		used   int64
		policy ImageGCPolicy
		remove []int
		reason ImageGCReason
		wanted int64
		bytes  int64
	}{
		{name: "nothing"},
		{name: "no policy", images: []ImageUse{use(1, 10, 1000*time.Hour)}, used: 1 << 40},
		{name: "old ones", images: []ImageUse{use(1, 10, 2*time.Hour), use(2, 20, time.Hour), use(3, 40, time.Hour-1)},
			policy: ImageGCPolicy{MaxAge: time.Hour}, remove: []int{1, 2}, reason: ImageUnusedTooLong, bytes: 30},
		{name: "not what is in use or pinned", images: []ImageUse{inUse, pinned}, used: 200,
			policy: ImageGCPolicy{MaxAge: time.Hour, HighBytes: 1}, wanted: 200},
		{name: "not what may be young", images: []ImageUse{unknown(1, 10)}, policy: ImageGCPolicy{MaxAge: time.Hour}},
		{name: "not what is from the future", images: []ImageUse{use(1, 10, -time.Hour)}, used: 10,
			policy: ImageGCPolicy{MaxAge: time.Minute, HighBytes: 5}, wanted: 10},
		{name: "below the mark", images: []ImageUse{use(1, 10, time.Hour)}, used: 99, policy: ImageGCPolicy{HighBytes: 100, LowBytes: 50}},
		{name: "at the mark", images: []ImageUse{use(1, 60, time.Hour), use(2, 60, 2*time.Hour)}, used: 100,
			policy: ImageGCPolicy{HighBytes: 100, LowBytes: 50}, remove: []int{2}, reason: ImageSpaceNeeded, wanted: 50, bytes: 60},
		{name: "the longest unused first", images: []ImageUse{use(1, 10, 3*time.Hour), use(2, 10, time.Hour), use(3, 10, 2*time.Hour)}, used: 100,
			policy: ImageGCPolicy{HighBytes: 90, LowBytes: 80}, remove: []int{1, 3}, reason: ImageSpaceNeeded, wanted: 20, bytes: 20},
		{name: "then the largest", images: []ImageUse{use(1, 10, time.Hour), use(2, 30, time.Hour), use(3, 10, time.Hour), use(4, 20, time.Hour)}, used: 100,
			policy: ImageGCPolicy{HighBytes: 90, LowBytes: 45}, remove: []int{2, 4, 1}, reason: ImageSpaceNeeded, wanted: 55, bytes: 60},
		{name: "the unknown last", images: []ImageUse{unknown(1, 90), use(2, 10, time.Hour)}, used: 100,
			policy: ImageGCPolicy{HighBytes: 90, LowBytes: 80}, remove: []int{2, 1}, reason: ImageSpaceNeeded, wanted: 20, bytes: 100},
		{name: "not the young", images: []ImageUse{use(1, 10, 2*time.Minute), use(2, 10, 2*time.Minute-1)}, used: 100,
			policy: ImageGCPolicy{HighBytes: 90}, remove: []int{1}, reason: ImageSpaceNeeded, wanted: 100, bytes: 10},
		{name: "a protection of one's own", images: []ImageUse{use(1, 10, 59*time.Minute)}, used: 100,
			policy: ImageGCPolicy{MinAge: time.Hour, MaxAge: time.Minute, HighBytes: 90}, wanted: 100},
		{name: "no protection", images: []ImageUse{use(1, 10, 0)}, used: 100,
			policy: ImageGCPolicy{MinAge: -1, HighBytes: 90}, remove: []int{1}, reason: ImageSpaceNeeded, wanted: 100, bytes: 10},
		{name: "marks the wrong way round", images: []ImageUse{use(1, 10, time.Hour), use(2, 10, 2*time.Hour)}, used: 100,
			policy: ImageGCPolicy{HighBytes: 95, LowBytes: 1000}, remove: []int{2}, reason: ImageSpaceNeeded, wanted: 5, bytes: 10},
		{name: "sizes that are not known", images: []ImageUse{use(1, -1, time.Hour), use(2, 10, time.Minute*30)}, used: 100,
			policy: ImageGCPolicy{HighBytes: 95, LowBytes: 95}, remove: []int{1, 2}, reason: ImageSpaceNeeded, wanted: 5, bytes: 10},
		{name: "sizes beyond all", images: []ImageUse{use(1, math.MaxInt64, 2*time.Hour), use(2, math.MaxInt64, time.Hour)}, used: math.MaxInt64,
			policy: ImageGCPolicy{MaxAge: time.Hour, HighBytes: 1}, remove: []int{1, 2}, reason: ImageUnusedTooLong, wanted: math.MaxInt64, bytes: math.MaxInt64},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.images)
			plan := PlanImageGC(tt.images, tt.used, tt.policy, now)
			var ids []digest.Digest
			for _, n := range tt.remove {
				ids = append(ids, testID(n))
			}
			var got []digest.Digest
			for _, r := range plan.Remove {
				got = append(got, r.Image.ID)
				if r.Reason != tt.reason {
					t.Errorf("%s: %q, want %q", r.Image.ID, r.Reason, tt.reason)
				}
			}
			if diff := cmp.Diff(ids, got); diff != "" {
				t.Errorf("removals mismatch (-want +got):\n%s", diff)
			}
			if plan.Wanted != tt.wanted || plan.Bytes != tt.bytes {
				t.Errorf("wanted %d, bytes %d; want %d, %d", plan.Wanted, plan.Bytes, tt.wanted, tt.bytes)
			}
			if diff := cmp.Diff(before, tt.images); diff != "" {
				t.Errorf("the plan changed its input (-before +after):\n%s", diff)
			}
		})
	}
	t.Run("both reasons", func(t *testing.T) {
		plan := PlanImageGC([]ImageUse{use(1, 10, time.Hour), use(2, 10, 10*time.Hour), use(3, 10, 2*time.Hour)}, 100, ImageGCPolicy{MaxAge: 5 * time.Hour, HighBytes: 90, LowBytes: 81}, now)
		want := []ImageRemoval{{Image{ID: testID(2), Size: 10}, ImageUnusedTooLong}, {Image{ID: testID(3), Size: 10}, ImageSpaceNeeded}}
		if diff := cmp.Diff(want, plan.Remove); diff != "" {
			t.Errorf("removals mismatch (-want +got):\n%s", diff)
		}
	})
}

// What holds for every plan.
func TestPlanImageGCProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var images []ImageUse
		for i := range r.IntN(12) {
			u := ImageUse{Image: Image{ID: testID(i), Size: r.Int64N(100) - 1, Pinned: r.IntN(5) == 0}, InUse: r.IntN(4) == 0}
			if r.IntN(5) > 0 {
				u.LastUsedAt = epoch.Add(-time.Duration(r.IntN(600)-10) * time.Second)
			}
			images = append(images, u)
		}
		p := ImageGCPolicy{
			MinAge: time.Duration(r.IntN(300)-50) * time.Second, MaxAge: time.Duration(r.IntN(2)*r.IntN(600)) * time.Second,
			HighBytes: r.Int64N(2) * r.Int64N(600), LowBytes: r.Int64N(300),
		}
		used := r.Int64N(800)
		plan := PlanImageGC(images, used, p, epoch)
		what := fmt.Sprintf("images %+v, used %d, policy %+v: plan %+v", images, used, p, plan)
		minAge := p.MinAge
		if minAge == 0 {
			minAge = DefaultImageMinAge
		}

		removed := map[digest.Digest]bool{}
		var bytes int64
		for _, r := range plan.Remove {
			if removed[r.Image.ID] {
				t.Fatalf("%s is removed twice: %s", r.Image.ID, what)
			}
			removed[r.Image.ID] = true
			bytes += max(0, r.Image.Size)
		}
		if bytes != plan.Bytes {
			t.Fatalf("%d bytes: %s", bytes, what)
		}
		left := 0 // that could have gone as well
		for _, u := range images {
			age := epoch.Sub(u.LastUsedAt)
			may := !u.InUse && !u.Pinned && (u.LastUsedAt.IsZero() || age >= minAge)
			if removed[u.ID] && !may {
				t.Fatalf("%s may not be removed: %s", u.ID, what)
			}
			if may && !removed[u.ID] {
				left++
				if p.MaxAge > 0 && !u.LastUsedAt.IsZero() && age >= p.MaxAge {
					t.Fatalf("%s is too old to stay: %s", u.ID, what)
				}
			}
		}
		wanted := int64(0)
		if p.HighBytes > 0 && used >= p.HighBytes {
			wanted = used - min(p.LowBytes, p.HighBytes)
		}
		switch {
		case plan.Wanted != wanted:
			t.Fatalf("wanted is not %d: %s", wanted, what)
		case plan.Bytes < wanted && left > 0:
			t.Fatalf("too little is removed: %s", what)
		}
		if n := len(plan.Remove); n > 0 && plan.Remove[n-1].Reason == ImageSpaceNeeded && plan.Bytes-max(0, plan.Remove[n-1].Image.Size) >= wanted {
			t.Fatalf("too much is removed: %s", what)
		}
		again := slices.Clone(images)
		r.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		if diff := cmp.Diff(plan, PlanImageGC(again, used, p, epoch)); diff != "" {
			t.Fatalf("the order of the input matters: %s\n%s", diff, what)
		}
	}
}

// gcEngine has images whose layers it shares, and containers.
type gcEngine struct {
	DockerInterface
	layers     map[string]int64
	images     []gcImage
	containers []container.Summary
	removeErr  map[digest.Digest]error
	onRemove   func(e *gcEngine, id digest.Digest) // before it happens
	removed    []digest.Digest
	measured   int
	noUsage    error
	podman     bool // does not tell what is shared

	mu         sync.Mutex // of the histories, which are asked for at once
	histories  int
	historyErr map[digest.Digest]error
}

type gcImage struct {
	id     digest.Digest
	tags   []string
	layers []string
	labels map[string]string
}

func (e *gcEngine) size(i gcImage) (n int64) {
	for _, l := range i.layers {
		n += e.layers[l]
	}
	return n
}

func (e *gcEngine) ImageList(context.Context, image.ListOptions) (list []image.Summary, _ error) {
	for _, i := range e.images {
		list = append(list, image.Summary{ID: i.id.String(), RepoTags: i.tags, Labels: i.labels, Size: e.size(i)})
	}
	return list, nil
}

func (e *gcEngine) ImageInspect(_ context.Context, ref string, _ ...client.ImageInspectOption) (image.InspectResponse, error) {
	for _, i := range e.images {
		if i.id.String() == ref {
			return image.InspectResponse{ID: ref, RepoTags: i.tags, Size: e.size(i)}, nil
		}
	}
	return image.InspectResponse{}, noSuchImage(ref)
}

func (e *gcEngine) ContainerList(context.Context, container.ListOptions) ([]container.Summary, error) {
	return e.containers, nil
}

func (e *gcEngine) ImageRemove(_ context.Context, ref string, o image.RemoveOptions) ([]image.DeleteResponse, error) {
	if o.Force {
		panic("removed by force")
	}
	at := slices.IndexFunc(e.images, func(i gcImage) bool { return i.id.String() == ref || slices.Contains(i.tags, ref) })
	if at < 0 {
		return nil, noSuchImage(ref)
	}
	id := e.images[at].id
	if e.onRemove != nil {
		e.onRemove(e, id)
	}
	if err := e.removeErr[id]; err != nil {
		return nil, err
	}
	for _, c := range e.containers {
		if c.ImageID == id.String() {
			return nil, engineError(errdefs.ErrConflict, "conflict: unable to remove: container "+c.ID+" is using its referenced image")
		}
	}
	i := &e.images[at]
	i.tags = slices.DeleteFunc(slices.Clone(i.tags), func(s string) bool { return s == ref })
	if len(i.tags) == 0 {
		e.images = slices.Delete(e.images, at, at+1)
		e.removed = append(e.removed, id)
	}
	return nil, nil
}

func (e *gcEngine) DiskUsage(_ context.Context, o types.DiskUsageOptions) (types.DiskUsage, error) {
	e.measured++
	if len(o.Types) != 1 || o.Types[0] != types.ImageObject {
		return types.DiskUsage{}, fmt.Errorf("asked for %v", o.Types)
	}
	if e.noUsage != nil {
		return types.DiskUsage{}, e.noUsage
	}
	var u types.DiskUsage
	seen := map[string]bool{}
	for _, i := range e.images {
		u.Images = append(u.Images, &image.Summary{ID: i.id.String(), Size: e.size(i)})
		for _, l := range i.layers {
			if !seen[l] && !e.podman {
				u.LayersSize += e.layers[l]
			}
			seen[l] = true
		}
	}
	return u, nil
}

// ImageHistory has IDs for layers, as a builder's cache has.
func (e *gcEngine) ImageHistory(_ context.Context, id string, _ ...client.ImageHistoryOption) (history []image.HistoryResponseItem, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.histories++
	for _, i := range e.images {
		for _, l := range i.layers {
			if i.id.String() == id {
				history = append(history, image.HistoryResponseItem{ID: l, Size: e.layers[l]})
			}
		}
	}
	return history, e.historyErr[digest.Digest(id)]
}

func (e *gcEngine) Info(context.Context) (system.Info, error) {
	return system.Info{DockerRootDir: "/var/lib/docker"}, nil
}

// usage is what the images take.
func (e *gcEngine) usage() int64 {
	u, _ := e.DiskUsage(context.Background(), types.DiskUsageOptions{Types: []types.DiskUsageObject{types.ImageObject}})
	e.measured--
	return u.LayersSize
}

// newGCEngine has five images of a layer of their own of 10 bytes and one of
// 100 that they share.
func newGCEngine() *gcEngine {
	e := &gcEngine{layers: map[string]int64{"base": 100}, removeErr: map[digest.Digest]error{}}
	for n := 1; n <= 5; n++ {
		own := fmt.Sprint("own", n)
		e.layers[own] = 10
		e.images = append(e.images, gcImage{id: testID(n), tags: []string{fmt.Sprintf("a:%d", n)}, layers: []string{"base", own}})
	}
	return e
}

func gcIDs(ns ...int) (ids []digest.Digest) {
	for _, n := range ns {
		ids = append(ids, testID(n))
	}
	return ids
}

func TestCollectImages(t *testing.T) {
	disk := errors.New("disk on fire")
	for _, tt := range []struct {
		name    string
		prepare func(*gcEngine)
		opts    ImageGCOptions
		removed []digest.Digest
		bytes   int64 // of the report
		used    int64 // of the report: 0 without marks
		wanted  int64
		want    error
	}{
		{name: "no policy"},
		{name: "all that is old", opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{MaxAge: time.Minute}}, removed: gcIDs(1, 2, 3, 4, 5), bytes: 550},
		{name: "what is young stays", opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{MinAge: 2 * time.Hour, MaxAge: time.Minute, HighBytes: 1}}, used: 150, wanted: 150},
		{name: "used by ID", prepare: func(e *gcEngine) {
			e.containers = []container.Summary{{ID: "c", ImageID: testID(2).String(), Image: "whatever"}, {ID: "d", Image: testID(4).Encoded()}}
		}, opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{MaxAge: time.Minute}}, removed: gcIDs(1, 3, 5), bytes: 330},
		{name: "used by name", prepare: func(e *gcEngine) {
			e.containers = []container.Summary{{ID: "c", Image: "docker.io/library/a:3"}}
		}, opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{MaxAge: time.Minute}}, removed: gcIDs(1, 2, 4, 5), bytes: 440},
		{name: "kept", opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{MaxAge: time.Minute}, Keep: []string{"a:1", testID(2).Encoded(), "other"}}, removed: gcIDs(3, 4, 5), bytes: 330},
		{name: "a repository kept", opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{MaxAge: time.Minute}, Keep: []string{"a"}}},
		{name: "the sandboxes' own", prepare: func(e *gcEngine) { e.images[0].labels = map[string]string{pause.Label: "x"} },
			opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{MaxAge: time.Minute}}, removed: gcIDs(2, 3, 4, 5), bytes: 440},
		{name: "below the mark", opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{HighBytes: 151}}, used: 150},
		{name: "until it is low, though layers are shared", opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{HighBytes: 150, LowBytes: 130}},
			removed: gcIDs(1, 2), bytes: 220, used: 130, wanted: 20},
		{name: "the shared layer last", opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{HighBytes: 150, LowBytes: 109}}, removed: gcIDs(1, 2, 3, 4, 5), bytes: 550, wanted: 41},
		{name: "nothing more to remove", prepare: func(e *gcEngine) { e.containers = []container.Summary{{ID: "c", ImageID: testID(5).String()}} },
			opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{HighBytes: 150}}, removed: gcIDs(1, 2, 3, 4), bytes: 440, used: 110, wanted: 150},
		{name: "a failure does not count, and others make up for it", prepare: func(e *gcEngine) { e.removeErr[testID(1)] = disk },
			opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{HighBytes: 150, LowBytes: 130}}, removed: gcIDs(2, 3), bytes: 220, used: 130, wanted: 20, want: disk},
		{name: "all fail", prepare: func(e *gcEngine) {
			for n := range 6 {
				e.removeErr[testID(n)] = disk
			}
		}, opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{HighBytes: 150}}, used: 150, wanted: 150, want: disk},
		{name: "one comes into use", prepare: func(e *gcEngine) {
			e.onRemove = func(e *gcEngine, id digest.Digest) {
				if id == testID(2) {
					e.containers = append(e.containers, container.Summary{ID: "c", ImageID: id.String()})
				}
			}
		}, opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{MaxAge: time.Minute}}, removed: gcIDs(1, 3, 4, 5), bytes: 440},
		{name: "one is removed by somebody else", prepare: func(e *gcEngine) {
			e.onRemove = func(e *gcEngine, id digest.Digest) {
				if id == testID(1) {
					e.images = slices.DeleteFunc(e.images, func(i gcImage) bool { return i.id == testID(2) })
				}
			}
		}, opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{MaxAge: time.Minute}}, removed: gcIDs(1, 3, 4, 5), bytes: 440},
		{name: "one gets the name that is kept", prepare: func(e *gcEngine) {
			e.onRemove = func(e *gcEngine, id digest.Digest) {
				if id == testID(1) {
					e.images[2].tags = []string{"keep:me"}
				}
			}
		}, opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{MaxAge: time.Minute}, Keep: []string{"keep:me"}}, removed: gcIDs(1, 2, 4, 5), bytes: 440},
		{name: "a usage of one's own", opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{HighBytes: 1000, LowBytes: 900}, Usage: func(context.Context) (int64, error) { return 950, nil }}, used: 950},
		{name: "no usage", prepare: func(e *gcEngine) { e.noUsage = disk }, opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{HighBytes: 1}}, want: disk},
		{name: "marks the wrong way round", opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{HighBytes: 1, LowBytes: 2}}, want: errdefs.ErrInvalidArgument},
		{name: "a negative mark", opts: ImageGCOptions{ImageGCPolicy: ImageGCPolicy{HighBytes: -1}}, want: errdefs.ErrInvalidArgument},
		{name: "a name that is none", opts: ImageGCOptions{Keep: []string{"Busybox"}}, want: errdefs.ErrInvalidArgument},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newGCEngine()
				r := New(e)
				if report, err := r.CollectImages(t.Context(), ImageGCOptions{}); err != nil || report.Removed != nil {
					t.Fatal(report, err)
				}
				time.Sleep(time.Hour)
				if tt.prepare != nil {
					tt.prepare(e)
				}
				report, err := r.CollectImages(t.Context(), tt.opts)
				switch {
				case tt.want == nil && err != nil,
					tt.want == errdefs.ErrInvalidArgument && !errdefs.IsInvalidArgument(err),
					tt.want == disk && !errors.Is(err, disk):
					t.Errorf("got %v, want %v", err, tt.want)
				}
				var wrapped *Error
				if err != nil && (!errors.As(err, &wrapped) || !strings.HasPrefix(err.Error(), "collect images: ") || strings.Count(err.Error(), "collect images") != 1) {
					t.Errorf("got %v, want an *Error that names the operation once", err)
				}
				var ids []digest.Digest
				for _, r := range report.Removed {
					ids = append(ids, r.Image.ID)
				}
				if diff := cmp.Diff(tt.removed, ids); diff != "" {
					t.Errorf("removed images mismatch (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.removed, e.removed); diff != "" {
					t.Errorf("the report does not tell what the engine removed (-want +engine):\n%s", diff)
				}
				if report.Bytes != tt.bytes || report.UsedBytes != tt.used || report.Wanted != tt.wanted {
					t.Errorf("%d bytes of %d wanted, %d in use; want %d of %d, %d", report.Bytes, report.Wanted, report.UsedBytes, tt.bytes, tt.wanted, tt.used)
				}
				if tt.opts.HighBytes > 0 && tt.opts.Usage == nil && tt.want == nil && report.UsedBytes != e.usage() {
					t.Errorf("%d bytes are said to be in use, and it is %d", report.UsedBytes, e.usage())
				}
			})
		})
	}
}

// What the Runtime knows of when an image was in use.
func TestCollectImagesAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newGCEngine()
		e.images = e.images[:3]
		r := New(e)
		collect := func(want ...int) {
			t.Helper()
			e.removed = nil
			if _, err := r.CollectImages(t.Context(), ImageGCOptions{ImageGCPolicy: ImageGCPolicy{MaxAge: time.Hour}}); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(gcIDs(want...), e.removed); diff != "" {
				t.Errorf("removed images mismatch (-want +got):\n%s", diff)
			}
		}
		time.Sleep(10 * time.Hour)
		collect() // they are first seen
		e.containers = []container.Summary{{ID: "c", ImageID: testID(1).String()}}
		time.Sleep(59 * time.Minute)
		collect() // one is in use
		if _, err := r.EnsureImage(t.Context(), testID(2).String(), PullIfNotPresent, PullOptions{}); err != nil {
			t.Fatal(err)
		}
		e.images = append(e.images, gcImage{id: testID(4), tags: []string{"a:4"}, layers: []string{"base"}})
		e.containers = nil
		time.Sleep(time.Minute)
		collect(3) // not used, and never asked for
		time.Sleep(58 * time.Minute)
		collect()
		time.Sleep(time.Minute)
		collect(1, 2)
		time.Sleep(time.Minute)
		collect(4)
		if n := len(r.imageAges.last); n != 1 {
			t.Errorf("%d images are remembered, though there is none but the last removed", n)
		}
		collect()
		if n := len(r.imageAges.last); n != 0 {
			t.Errorf("%d images are remembered, though there is none", n)
		}
	})
	t.Run("not before the first collection", func(t *testing.T) {
		r := New(newGCEngine())
		if _, err := r.EnsureImage(t.Context(), testID(2).String(), PullNever, PullOptions{}); err != nil {
			t.Fatal(err)
		}
		if r.imageAges.last != nil {
			t.Error("an agent that does not collect pays for it")
		}
	})
}

func TestCollectImagesCancelled(t *testing.T) {
	e := newGCEngine()
	r := New(e)
	if _, err := r.CollectImages(t.Context(), ImageGCOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	e.onRemove = func(e *gcEngine, id digest.Digest) {
		if id == testID(3) {
			cancel()
			e.removeErr[id] = ctx.Err()
		}
	}
	report, err := r.CollectImages(ctx, ImageGCOptions{ImageGCPolicy: ImageGCPolicy{MinAge: -1, MaxAge: 1}})
	if !errors.Is(err, context.Canceled) || len(report.Removed) != 2 || len(e.removed) != 2 || report.Bytes != 220 {
		t.Errorf("got %+v, %v; want the two that were removed", report, err)
	}
}

func TestImageFSInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newGCEngine()
		r := New(e)
		want := ImageFSInfo{At: time.Now(), Path: "/var/lib/docker", Images: 5, UsedBytes: 150}
		for range 3 {
			got, err := r.ImageFSInfo(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("info mismatch (-want +got):\n%s", diff)
			}
			time.Sleep(15 * time.Second)
		}
		if e.measured != 1 {
			t.Errorf("measured %d times within half a minute", e.measured)
		}
		e.images = e.images[:1]
		time.Sleep(time.Minute)
		if got, err := r.ImageFSInfo(t.Context()); err != nil || got.UsedBytes != 110 || got.Images != 1 || got.At == want.At {
			t.Errorf("after a while: %+v, %v", got, err)
		}
		// A collection measures what there is now, and what it left.
		e.images = newGCEngine().images
		time.Sleep(time.Second)
		if _, err := r.CollectImages(t.Context(), ImageGCOptions{ImageGCPolicy: ImageGCPolicy{MinAge: -1, HighBytes: 150, LowBytes: 140}}); err != nil {
			t.Fatal(err)
		}
		if got, err := r.ImageFSInfo(t.Context()); err != nil || got.UsedBytes != 140 {
			t.Errorf("after a collection: %+v, %v", got, err)
		}
	})
	t.Run("an engine that does not tell what is shared", func(t *testing.T) {
		e := newGCEngine()
		e.podman = true
		got, err := New(e).ImageFSInfo(t.Context())
		if err != nil || got.UsedBytes != 550 || !got.UpperBound {
			t.Errorf("got %+v, %v; want an upper bound of 550", got, err)
		}
	})
	t.Run("no images", func(t *testing.T) {
		if got := imageFSOf(types.DiskUsage{Images: []*image.Summary{nil}, LayersSize: -1}); got != (ImageFSInfo{}) {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("an engine that may not be asked", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := newGCEngine()
			e.noUsage = engineError(errdefs.ErrPermissionDenied, "request forbidden by administrative rules")
			r := New(e)
			want := ImageFSInfo{At: time.Now(), Path: "/var/lib/docker", Images: 5, UsedBytes: 150, UpperBound: true}
			got, err := r.ImageFSInfo(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("info mismatch (-want +got):\n%s", diff)
			}
			if _, err := r.CollectImages(t.Context(), ImageGCOptions{ImageGCPolicy: ImageGCPolicy{MinAge: -1, HighBytes: 150, LowBytes: 140}}); err != nil {
				t.Fatal(err)
			}
			if got, err := r.ImageFSInfo(t.Context()); err != nil || got.UsedBytes != 140 || e.histories != 5 || len(r.imageLayers) != got.Images {
				t.Errorf("after a collection: %+v, %v, %d histories asked for, %d kept", got, err, e.histories, len(r.imageLayers))
			}
		})
	})
	t.Run("histories that fail", func(t *testing.T) {
		e := newGCEngine()
		e.noUsage = engineError(errdefs.ErrNotImplemented, "no")
		r := New(e)
		e.historyErr = map[digest.Digest]error{testID(1): engineError(errdefs.ErrInternal, "disk on fire")}
		if got, err := r.ImageFSInfo(t.Context()); !errdefs.IsInternal(err) || got != (ImageFSInfo{}) {
			t.Errorf("got %+v, %v; want an internal error", got, err)
		}
		e.historyErr = map[digest.Digest]error{testID(1): noSuchImage(testID(1).String())}
		if got, err := r.ImageFSInfo(t.Context()); err != nil || got.Images != 4 || e.histories != 6 {
			t.Errorf("without one that vanished: %+v, %v, %d histories asked for; want 4 images, 6 histories", got, err, e.histories)
		}
	})
	t.Run("failures", func(t *testing.T) {
		e := newGCEngine()
		r := New(e)
		e.noUsage = engineError(errdefs.ErrInternal, "disk on fire")
		if _, err := r.ImageFSInfo(t.Context()); !errdefs.IsInternal(err) {
			t.Errorf("got %v, want an internal error", err)
		}
		e.noUsage = errors.New("Error retrieving disk usage: unexpected EOF")
		if _, err := r.ImageFSInfo(t.Context()); !errors.Is(err, ErrBadAnswer) {
			t.Errorf("got %v, want ErrBadAnswer", err)
		}
		e.noUsage = nil
		if got, err := r.ImageFSInfo(t.Context()); err != nil || got.UsedBytes != 150 {
			t.Errorf("got %+v, %v; an error was kept", got, err)
		}
	})
}
