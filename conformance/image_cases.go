package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/opencontainers/go-digest"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/internal/imagetar"
)

var imageCases = []testCase{
	// Finding one.
	{"an image is found by its tag", func(t *testing.T, w *world) {
		img := w.img(t, w.image)
		equal(t, "tags", []string{w.image}, img.RepoTags)
		equal(t, "answers to its own tag", true, dockpod.MatchImageRef(img, w.image))
	}},
	{"an image of the default registry is found however that is spelled", func(t *testing.T, w *world) {
		short := "dockpod-" + w.owner + ":1"
		id := w.more(t, "official", "docker.io/library/"+short)
		for _, ref := range []string{short, "docker.io/" + short, "docker.io/library/" + short, "index.docker.io/library/" + short} {
			equal(t, ref, id, w.img(t, ref).ID)
		}
	}},
	{"a name without a tag is the latest", func(t *testing.T, w *world) {
		w.more(t, "old", w.name("app:1"))
		id := w.more(t, "new", w.name("app:latest"))
		equal(t, "ID", id, w.img(t, w.name("app")).ID)
	}},
	{"a name without a tag is nothing where there is no latest", func(t *testing.T, w *world) {
		w.more(t, "old", w.name("app:1"))
		w.noImage(t, w.name("app"))
	}},
	{"an image is found by its whole ID, with its algorithm or without", func(t *testing.T, w *world) {
		want := w.img(t, w.image)
		for _, ref := range []string{want.ID.String(), want.ID.Encoded()} {
			equal(t, ref, want, w.img(t, ref))
		}
	}},
	{"an image is found by any name with its ID as digest", func(t *testing.T, w *world) {
		want := w.img(t, w.image)
		name, tag, _ := strings.Cut(w.image, ":")
		for _, ref := range []string{name + "@" + want.ID.String(), name + ":" + tag + "@" + want.ID.String()} {
			equal(t, ref, want, w.img(t, ref))
		}
	}},
	{"an image is found by its repository digests", func(t *testing.T, w *world) {
		w.needs(t, "repository digests")
		want := w.img(t, w.image)
		for _, ref := range want.RepoDigests {
			equal(t, ref, want, w.img(t, ref))
		}
	}},
	{"a name that begins like an image's ID is not that image", func(t *testing.T, w *world) {
		digits := w.img(t, w.image).ID.Encoded()
		for n := 4; n <= 12; n += 4 {
			w.noImage(t, digits[:n])
			fails(t, w.unmade(t, dockpod.ContainerConfig{Name: "app", Image: digits[:n]}), dockpod.ErrImageNotFound)
		}
	}},
	{"an image that is not there is not found", func(t *testing.T, w *world) {
		none := digest.FromString("no image")
		for _, ref := range []string{w.name("absent"), w.name("absent:1"), "registry.invalid/conformance:" + w.owner, none.String(), none.Encoded(), w.name("absent@") + none.String(), w.image + "@" + none.String()} {
			w.noImage(t, ref)
		}
	}},
	{"what is no image reference is refused", func(t *testing.T, w *world) {
		for _, ref := range []string{"", "Upper:1", "a b", "name:", "name:two:tags", "name@sha256:1234", "https://user:secret@registry.invalid/a", "-a", strings.Repeat("a", 256)} {
			_, err := w.rt.ImageStatus(t.Context(), ref)
			_, listErr := w.rt.ListImages(t.Context(), dockpod.ImageFilter{Ref: ref})
			_, pullErr := w.rt.PullImage(t.Context(), ref, dockpod.PullOptions{})
			for what, err := range map[string]error{"status": err, "list": listErr, "pull": pullErr, "remove": w.rt.RemoveImage(t.Context(), ref)} {
				if what == "list" && ref == "" {
					continue // the filter that selects all
				}
				if !errdefs.IsInvalidArgument(err) {
					t.Errorf("%s of %q: error is %v; want an invalid argument", what, ref, err)
				}
				if err != nil && strings.Contains(err.Error(), "secret") {
					t.Errorf("%s of %q: the error shows the password: %v", what, ref, err)
				}
			}
		}
	}},

	// What is told of one.
	{"an image tells its tags, its labels and its user", func(t *testing.T, w *world) {
		a, b := w.name("app:1"), w.name("other:2")
		w.moreOf(t, imagetar.Image{Refs: []string{a, b}, User: "1000:1001", Labels: map[string]string{"kind": "both"}})
		img := w.img(t, a)
		equal(t, "tags", []string{a, b}, img.RepoTags)
		equal(t, "labels", "both", img.Labels["kind"])
		if img.UID == nil || *img.UID != 1000 || img.Username != "" {
			t.Errorf("user is %v and %q; want the number 1000", img.UID, img.Username)
		}
		if img.Size <= 0 {
			t.Errorf("size is %d", img.Size)
		}
		w.moreOf(t, imagetar.Image{Refs: []string{w.name("named:1")}, User: "user:group"})
		img = w.img(t, w.name("named:1"))
		if img.UID != nil || img.Username != "user" {
			t.Errorf("user is %v and %q; want the name", img.UID, img.Username)
		}
	}},
	{"a list of images says what their status says", func(t *testing.T, w *world) {
		want := w.img(t, w.image)
		want.CreatedAt = want.CreatedAt.Truncate(time.Second)
		list, err := w.rt.ListImages(t.Context(), dockpod.ImageFilter{})
		must(t, err)
		i := slices.IndexFunc(list, func(i dockpod.Image) bool { return i.ID == want.ID })
		if i < 0 {
			t.Fatal("the list lacks the image")
		}
		equal(t, "entry", want, list[i])
	}},
	{"a list of images has their repository digests", func(t *testing.T, w *world) {
		ref := w.image
		if d, ok := w.docker.(interface{ AddRemoteImage(ref string) string }); ok {
			ref = w.name("pulled:1")
			d.AddRemoteImage(ref)
			_, err := w.rt.PullImage(t.Context(), ref, dockpod.PullOptions{})
			must(t, err)
		} else {
			w.needs(t, "repository digests")
		}
		list, err := w.rt.ListImages(t.Context(), dockpod.ImageFilter{Ref: ref})
		must(t, err)
		want := w.img(t, ref).RepoDigests
		equal(t, "one at least", true, len(want) > 0)
		equal(t, "digests", want, list[0].RepoDigests)
	}},
	{"images are listed by tag, repository or ID", func(t *testing.T, w *world) {
		one, two := w.more(t, "one", w.name("app:1")), w.more(t, "two", w.name("app:2"))
		for ref, want := range map[string][]digest.Digest{
			w.name("app:1"): {one}, w.name("app"): {one, two}, two.String(): {two}, one.Encoded(): {one},
			w.name("app:3"): {}, w.name("ap"): {}, "registry.invalid/" + w.owner + "/app:1": {},
		} {
			list, err := w.rt.ListImages(t.Context(), dockpod.ImageFilter{Ref: ref})
			must(t, err)
			got := []digest.Digest{}
			for _, i := range list {
				got = append(got, i.ID)
			}
			slices.Sort(got)
			slices.Sort(want)
			equal(t, ref, want, got)
		}
	}},
	{"an image that vanishes while the list is made does not spoil it", func(t *testing.T, w *world) {
		list, err := w.on(&vanishing{DockerInterface: w.docker}).ListImages(t.Context(), dockpod.ImageFilter{Ref: w.image})
		must(t, err)
		equal(t, "images", 1, len(list))
	}},
	{"an image has a history", func(t *testing.T, w *world) {
		layers, err := w.rt.ImageHistory(t.Context(), w.image)
		must(t, err)
		if len(layers) == 0 {
			t.Fatal("no step is known")
		}
		equal(t, "the step", "dockpod", layers[0].CreatedBy)
		_, err = w.rt.ImageHistory(t.Context(), w.name("absent"))
		fails(t, err, dockpod.ErrImageNotFound)
	}},
	{"what images take has an upper bound where the engine is not asked to measure", func(t *testing.T, w *world) {
		info, err := w.on(struct{ dockpod.DockerInterface }{w.docker}).ImageFSInfo(t.Context())
		must(t, err)
		if size := w.img(t, w.image).Size; !info.UpperBound || info.Images == 0 || info.UsedBytes < size {
			t.Errorf("%+v; want at least the %d bytes of one image", info, size)
		}
	}},

	// Removing one.
	{"removing a tag leaves the other tags and the image", func(t *testing.T, w *world) {
		a, b := w.name("app:1"), w.name("app:2")
		id := w.more(t, "both", a, b)
		must(t, w.rt.RemoveImage(t.Context(), a))
		w.noImage(t, a)
		equal(t, "tags", []string{b}, w.img(t, id.String()).RepoTags)
	}},
	{"removing the last tag removes the image", func(t *testing.T, w *world) {
		ref := w.name("app:1")
		id := w.more(t, "only", ref)
		must(t, w.rt.RemoveImage(t.Context(), ref))
		w.noImage(t, id.String())
	}},
	{"removing an ID removes the image with all its tags", func(t *testing.T, w *world) {
		a, b, c := w.name("app:1"), w.name("app:2"), w.name("other:1")
		id := w.more(t, "all", a, b, c)
		must(t, w.rt.RemoveImage(t.Context(), id.String()))
		for _, ref := range []string{a, b, c, id.String()} {
			w.noImage(t, ref)
		}
	}},
	{"removing what is not there is fine", func(t *testing.T, w *world) {
		none := digest.FromString("no image")
		for _, ref := range []string{w.name("absent:1"), none.String(), none.Encoded(), w.name("absent@") + none.String()} {
			must(t, w.rt.RemoveImage(t.Context(), ref))
		}
	}},
	{"removing a name that only begins like an ID removes nothing", func(t *testing.T, w *world) {
		id := w.img(t, w.image).ID
		must(t, w.rt.RemoveImage(t.Context(), id.Encoded()[:12]))
		w.img(t, w.image)
	}},
	{"an image that a container was made from stays, whatever that does", func(t *testing.T, w *world) {
		for what, id := range map[string]string{"created": w.alone(t), "running": w.up(t, "sleep"), "ended": w.ended(t, "exit")} {
			for _, ref := range []string{w.image, w.img(t, w.image).ID.String()} {
				if err := w.rt.RemoveImage(t.Context(), ref); !errors.Is(err, dockpod.ErrImageInUse) {
					t.Errorf("%s, %s: error is %v; want %q", what, ref, err, dockpod.ErrImageInUse)
				}
			}
			must(t, w.rt.RemoveContainer(t.Context(), id))
		}
		must(t, w.rt.RemoveImage(t.Context(), w.image))
	}},
	{"an image in use loses no tag when it is to be removed by its ID", func(t *testing.T, w *world) {
		a, b := w.name("app:1"), w.name("other:1")
		id := w.more(t, "used", a, b)
		w.made(t, dockpod.ContainerConfig{Name: "app", Image: a, Command: []string{"/x"}})
		fails(t, w.rt.RemoveImage(t.Context(), id.String()), dockpod.ErrImageInUse)
		equal(t, "tags", []string{a, b}, w.img(t, id.String()).RepoTags)
	}},
	{"a tag of an image in use can go, the last cannot", func(t *testing.T, w *world) {
		a, b := w.name("app:1"), w.name("app:2")
		w.more(t, "used", a, b)
		w.made(t, dockpod.ContainerConfig{Name: "app", Image: a, Command: []string{"/x"}})
		must(t, w.rt.RemoveImage(t.Context(), a))
		fails(t, w.rt.RemoveImage(t.Context(), b), dockpod.ErrImageInUse)
		w.img(t, b)
	}},
	{"all who remove an image at once succeed", func(t *testing.T, w *world) {
		a, b := w.name("app:1"), w.name("app:2")
		id := w.more(t, "wanted", a, b)
		for _, err := range together(8, func(int) error { return w.rt.RemoveImage(t.Context(), id.String()) }) {
			must(t, err)
		}
		w.noImage(t, id.String())
	}},

	// Pulling one.
	{"a pull from where nothing listens fails soon, and says so", func(t *testing.T, w *world) {
		start := time.Now()
		_, err := w.rt.PullImage(t.Context(), "127.0.0.1:1/app:1", dockpod.PullOptions{})
		fails(t, err, dockpod.ErrRegistryUnavailable)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
	}},
	{"an image that is there is not pulled where that is the policy", func(t *testing.T, w *world) {
		want := w.img(t, w.image)
		for _, policy := range []dockpod.PullPolicy{dockpod.PullIfNotPresent, dockpod.PullNever, ""} {
			got, err := w.rt.EnsureImage(t.Context(), w.image, policy, dockpod.PullOptions{})
			must(t, err)
			equal(t, "image", want, got)
		}
		_, err := w.rt.EnsureImage(t.Context(), w.name("absent:1"), dockpod.PullNever, dockpod.PullOptions{})
		fails(t, err, dockpod.ErrImageNotFound)
	}},
}

// img returns an image's status.
func (w *world) img(t *testing.T, ref string) dockpod.Image {
	t.Helper()
	img, err := w.rt.ImageStatus(t.Context(), ref)
	must(t, err)
	return img
}

// noImage expects that an image is not there.
func (w *world) noImage(t *testing.T, ref string) {
	t.Helper()
	img, err := w.rt.ImageStatus(t.Context(), ref)
	if !errors.Is(err, dockpod.ErrImageNotFound) {
		t.Errorf("image %q is %v, error %v; want %q", ref, img.ID, err, dockpod.ErrImageNotFound)
	}
}

// name makes a name of an image the case's own.
func (w *world) name(s string) string { return "dockpod.io/" + w.owner + "/" + s }

// more loads an image of the case's own, which is another for each content.
func (w *world) more(t *testing.T, content string, refs ...string) digest.Digest {
	t.Helper()
	return w.moreOf(t, imagetar.Image{Refs: refs, Labels: map[string]string{"content": content}})
}

// moreOf completes and loads an image, which is removed at the end, and
// returns its ID.
func (w *world) moreOf(t *testing.T, m imagetar.Image) digest.Digest {
	t.Helper()
	v, err := w.rt.Version(t.Context())
	must(t, err)
	m.Arch = v.Arch
	m.Files = []imagetar.File{{Name: "owner", Mode: 0o644, Data: []byte(w.owner)}}
	w.loadImage(t, w.docker.(dockpod.ImageLoader), m)
	id := w.img(t, m.Refs[0]).ID
	t.Cleanup(func() {
		w.removeAll(t) // a container of the case may use it
		if err := w.rt.RemoveImage(context.WithoutCancel(t.Context()), id.String()); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return id
}

// vanishing is an engine that loses an image while it makes the first list, in
// Podman's words.
type vanishing struct {
	dockpod.DockerInterface
	asked bool
}

func (d *vanishing) ImageList(ctx context.Context, o image.ListOptions) ([]image.Summary, error) {
	if !d.asked {
		d.asked = true
		return nil, fmt.Errorf("retrieving label for image %q: locating image: image not known: %w", "1234", errdefs.ErrInternal)
	}
	return d.DockerInterface.ImageList(ctx, o)
}
