package dockpod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/dockpod/dockpod/internal/pause"
)

const (
	hexA = "2208f7a29005d226d1ee33a63e33af1f47af6156c740d7d23c7948e8d282d53d"
	hexB = "940584acbbfb0347272112d2eb95574625c0c60b4e2fdadb139de5859cf754bf"
	hexC = "cafe84acbbfb0347272112d2eb95574625c0c60b4e2fdadb139de5859cf754bf"
	idA  = "sha256:" + hexA
	idB  = "sha256:" + hexB
	idC  = "sha256:" + hexC
)

func tags(tags ...string) Image       { return Image{ID: idA, RepoTags: tags} }
func digests(digests ...string) Image { return Image{ID: idA, RepoDigests: digests} }

func TestExplainMatch(t *testing.T) {
	sha512 := "sha512:" + strings.Repeat("ab", 64)
	for _, tt := range []struct {
		name string
		img  Image
		ref  string
		want MatchReason
	}{
		{"tag", tags("busybox:1.36"), "busybox:1.36", MatchByTag},
		{"other tag", tags("ubuntu:14.04"), "ubuntu:latest", MismatchTag},
		{"second tag", tags("foo:1", "bar:2"), "bar:2", MatchByTag},
		{"no names", Image{ID: idA}, "ubuntu:latest", MismatchRepository},
		{"no image at all", Image{}, "ubuntu", MismatchRepository},
		{"docker.io asked for", tags("colemickens/hyperkube-amd64:217"), "docker.io/colemickens/hyperkube-amd64:217", MatchByTag},
		{"docker.io on the image", tags("docker.io/kubernetes/pause:latest"), "kubernetes/pause:latest", MatchByTag},
		{"library left out on the image", tags("docker.io/busybox:latest"), "docker.io/library/busybox:latest", MatchByTag},
		{"library left out in the reference", tags("docker.io/library/busybox:latest"), "docker.io/busybox:latest", MatchByTag},
		{"Docker Hub's old host", tags("busybox:latest"), "index.docker.io/library/busybox:latest", MatchByTag},
		{"host with a port", tags("localhost:5000/a:1"), "localhost:5000/a:1", MatchByTag},
		{"other port", tags("localhost:5000/a:1"), "localhost:5001/a:1", MismatchRepository},

		{"end of a repository's name", tags("myrepo/foo:latest"), "o:latest", MismatchRepository},
		{"end of the reference", tags("p:v1"), "registry.example/app:v1", MismatchRepository},
		{"same path elsewhere", tags("evil.example/app:v1"), "app:v1", MismatchRepository},
		{"same path, other registry", tags("quay.io/foo/pause:3.0"), "gcr.io/foo/pause:3.0", MismatchRepository},
		{"unqualified tag", tags("pause:3.0"), "gcr.io/google_containers/pause:3.0", MismatchRepository},
		{"podman's localhost", tags("localhost/app:v1"), "app:v1", MismatchRepository},

		{"untagged, latest", tags("ubuntu:latest"), "ubuntu", MatchByRepository},
		{"untagged, any tag", tags("ubuntu:14.04"), "docker.io/library/ubuntu", MatchByRepository},
		{"untagged, a digest alone", digests("ubuntu@" + idB), "ubuntu", MatchByRepository},
		{"untagged, another repository", tags("debian:latest"), "ubuntu", MismatchRepository},
		{"untagged, beginning of the ID", Image{ID: idC, RepoTags: []string{"busybox:latest"}}, "cafe", MismatchRepository},
		{"tag asked for, digest alone", digests("ubuntu@" + idB), "ubuntu:latest", MismatchTag},

		{"digest", digests("centos/ruby@" + idB), "centos/ruby@" + idB, MatchByDigest},
		{"digest, registry spelled out", digests("docker.io/centos/ruby@" + idB), "centos/ruby@" + idB, MatchByDigest},
		{"digest, second of two", digests("a@"+idC, "b@"+idB), "b@" + idB, MatchByDigest},
		{"digest under another repository", digests("other/ruby@" + idB), "centos/ruby@" + idB, MatchByDigest},
		{"digest that is the ID", Image{ID: idA}, "myimage@" + idA, MatchByID},
		{"digest that is the ID, another RepoDigest", digests("myimage@" + idB), "myimage@" + idA, MatchByID},
		{"other digest", digests("centos/ruby@" + idB), "centos/ruby@" + idC, MismatchDigest},
		{"shortened digest", Image{ID: idA}, "myimage@sha256:2208f7a29005d226d1ee", MismatchReference},
		{"tag and digest: the digest decides", tags("foo:old"), "foo:new@" + idA, MatchByID},
		{"tag and digest: the tag does not", Image{ID: idA, RepoTags: []string{"foo:1"}}, "foo:1@" + idB, MismatchDigest},
		{"sha512", digests("a@" + sha512), "a@" + sha512, MatchByDigest},
		{"broken RepoDigest is skipped", digests("centos/ruby@sha256:unparseable", "centos/ruby@"+idB), "centos/ruby@" + idB, MatchByDigest},
		{"broken tag is skipped", tags("Broken:latest", "fine:latest"), "fine:latest", MatchByTag},
		{"a digest among the tags", tags("a@" + idB), "a:latest", MismatchTag},

		{"broken digest", Image{ID: "sha256:unparseable"}, "myimage@sha256:unparseable", MismatchReference},
		{"unknown algorithm", Image{ID: idA}, "myimage@md5:" + strings.Repeat("a", 32), MismatchReference},
		{"upper case", tags("Ubuntu:latest"), "Ubuntu:latest", MismatchReference},
		{"empty", tags("ubuntu:latest"), "", MismatchReference},
		{"ID", Image{ID: idA}, idA, MismatchRepository},
		{"bare ID", Image{ID: idA}, hexA, MismatchReference},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ok, reason := ExplainMatch(tt.img, tt.ref)
			wantOK := tt.want == MatchByTag || tt.want == MatchByRepository || tt.want == MatchByDigest || tt.want == MatchByID
			if ok != wantOK || reason != tt.want {
				t.Errorf("ExplainMatch(%v, %q) = %t, %q; want %t, %q", tt.img, tt.ref, ok, reason, wantOK, tt.want)
			}
			if got := MatchImageRef(tt.img, tt.ref); got != wantOK {
				t.Errorf("MatchImageRef(%v, %q) = %t, want %t", tt.img, tt.ref, got, wantOK)
			}
		})
	}
}

func TestImageMatches(t *testing.T) {
	img := tags("busybox:1.36")
	if img.Matches(nil) {
		t.Error("an image matches no reference at all")
	}
	short, err := reference.Parse("busybox:1.36") // not normalised
	if err != nil {
		t.Fatal(err)
	}
	if !img.Matches(short.(reference.Named)) {
		t.Errorf("%v does not match %v", img, short)
	}
	untagged, err := reference.ParseNormalizedNamed("busybox")
	if err != nil {
		t.Fatal(err)
	}
	if !img.Matches(untagged) {
		t.Errorf("%v does not match %v", img, untagged)
	}
	latest, err := reference.ParseDockerRef("busybox")
	if err != nil {
		t.Fatal(err)
	}
	if img.Matches(latest) {
		t.Errorf("%v matches %v", img, latest)
	}
}

// randomName returns a legal reference with a tag.
func randomName(r *rand.Rand) string {
	part := func() string {
		b := make([]byte, 1+r.IntN(4))
		for i := range b {
			b[i] = "ab12"[r.IntN(4)]
		}
		return string(b)
	}
	name := part()
	for range r.IntN(3) {
		name += "/" + part()
	}
	name = []string{"", "docker.io/", "index.docker.io/", "a.example/", "a.example:5000/"}[r.IntN(5)] + name
	return name + ":" + part()
}

// An image with one tag matches a reference if and only if both are the same
// after normalisation, however either is spelled.
func TestMatchesIsEqualityOfNormalisedNames(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	normal := func(s string) string {
		n, err := reference.ParseNormalizedNamed(s)
		if err != nil {
			t.Fatalf("generated %q: %v", s, err)
		}
		return n.String()
	}
	equal := 0
	for range 5000 {
		a, b := randomName(r), randomName(r)
		if r.IntN(2) == 0 { // another spelling of the same, or its end
			b = []string{normal(a), strings.TrimPrefix(a, "docker.io/"), strings.TrimPrefix(a, "index."), "x" + a, a + "x"}[r.IntN(5)]
		}
		want := normal(a) == normal(b)
		if want {
			equal++
		}
		if got := MatchImageRef(tags(a), b); got != want {
			t.Fatalf("an image tagged %q matches %q: %t, want %t", a, b, got, want)
		}
		if got := MatchImageRef(tags(b), a); got != want {
			t.Fatalf("an image tagged %q matches %q: %t, want %t", b, a, got, want)
		}
	}
	if equal < 500 {
		t.Errorf("only %d pairs of equal names: the generator proves little", equal)
	}
}

func TestMatchImageID(t *testing.T) {
	for _, tt := range []struct {
		name string
		img  Image
		ref  string
		want bool
	}{
		{"ID", Image{ID: idA}, idA, true},
		{"bare ID", Image{ID: idA}, hexA, true},
		{"odd ID, literally", Image{ID: "sha256:unparseable"}, "sha256:unparseable", true},
		{"odd ID without algorithm", Image{ID: "1111"}, "1111", true},
		{"name with the ID", Image{ID: idA}, "myimage@" + idA, true},
		{"name and tag with the ID", Image{ID: idA}, "myimage:v1@" + idA, true},
		{"other ID", Image{ID: idA}, idB, false},
		{"name with another digest", Image{ID: idA}, "myimage@" + idB, false},
		{"beginning of the ID", Image{ID: idA}, hexA[:12], false},
		{"beginning with the algorithm", Image{ID: idA}, idA[:20], false},
		{"upper-case ID", Image{ID: idA}, strings.ToUpper(hexA), false},
		{"name", tags("busybox:latest"), "busybox", false},
		{"tag", tags("busybox:latest"), "busybox:latest", false},
		{"RepoDigest", digests("centos/ruby@" + idB), "centos/ruby@" + idB, false},
		{"empty", Image{ID: idA}, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := MatchImageID(tt.img, tt.ref); got != tt.want {
				t.Errorf("MatchImageID(%v, %q) = %t, want %t", tt.img, tt.ref, got, tt.want)
			}
		})
	}
}

func TestImageHasID(t *testing.T) {
	img := digests("a@" + idB)
	for id, want := range map[digest.Digest]bool{idA: true, idB: false, hexA: false, "": false} {
		if got := img.HasID(id); got != want {
			t.Errorf("HasID(%q) = %t, want %t", id, got, want)
		}
	}
	if (Image{}).HasID("") {
		t.Error("an image without an ID has the empty one")
	}
}

func TestImageRefFor(t *testing.T) {
	img := Image{ID: idA, RepoDigests: []string{"a.example/x@" + idB, "b.example/x@" + idB, "b.example/x@" + idC, "busybox@" + idB}}
	for _, tt := range []struct {
		name, asked, want, pullable string
		img                         Image
	}{
		{name: "first", img: img, asked: "c.example/x:1", want: "a.example/x@" + idB},
		{name: "of the repository asked for", img: img, asked: "b.example/x:1", want: "b.example/x@" + idB},
		{name: "of the digest asked for", img: img, asked: "b.example/x@" + idC, want: "b.example/x@" + idC},
		{name: "other spelling", img: img, asked: "docker.io/library/busybox", want: "busybox@" + idB},
		{name: "asked for by ID", img: img, asked: idA, want: "a.example/x@" + idB},
		{name: "no digest", img: Image{ID: idA, RepoTags: []string{"x:1"}}, asked: "x:1", want: idA},
		{name: "digest without a name", img: Image{ID: idA, RepoDigests: []string{"digest-1"}}, asked: "x:1", want: "digest-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			named, _ := reference.ParseNormalizedNamed(tt.asked)
			if got := tt.img.RefFor(named); got != tt.want {
				t.Errorf("RefFor(%q) = %q, want %q", tt.asked, got, tt.want)
			}
			prefix := "docker-pullable://"
			if len(tt.img.RepoDigests) == 0 {
				prefix = "docker://"
			}
			if got := pullableRef(tt.img, tt.asked); got != prefix+tt.want {
				t.Errorf("pullableRef(%q) = %q, want %q", tt.asked, got, prefix+tt.want)
			}
		})
	}
	if got, want := img.Ref(), "a.example/x@"+idB; got != want {
		t.Errorf("Ref() = %q, want %q", got, want)
	}
	if got, want := (Image{ID: idA}).Ref(), idA; got != want {
		t.Errorf("Ref() = %q, want %q", got, want)
	}
	if got, want := img.RefFor(nil), img.Ref(); got != want {
		t.Errorf("RefFor(nil) = %q, want %q", got, want)
	}
}

func TestParseImageRef(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want ImageRef
	}{
		{"busybox", ImageRef{"docker.io/library/busybox", "latest", ""}},
		{"busybox:1.36", ImageRef{"docker.io/library/busybox", "1.36", ""}},
		{"docker.io/busybox", ImageRef{"docker.io/library/busybox", "latest", ""}},
		{"gcr.io/test/image", ImageRef{"gcr.io/test/image", "latest", ""}},
		{"registry.example.com:5000/foobar:5342", ImageRef{"registry.example.com:5000/foobar", "5342", ""}},
		{"root@" + idA, ImageRef{"docker.io/library/root", "", idA}},
		{"root:1@" + idA, ImageRef{"docker.io/library/root", "1", idA}},
		{"lowercase:Uppercase", ImageRef{"docker.io/library/lowercase", "Uppercase", ""}},
		{"Asdf.com/foo/bar", ImageRef{"Asdf.com/foo/bar", "latest", ""}},
		{"localhost/a", ImageRef{"localhost/a", "latest", ""}},
		{"cafe", ImageRef{"docker.io/library/cafe", "latest", ""}},
		{"sha256:cafe", ImageRef{"docker.io/library/sha256", "cafe", ""}},
		{"a@sha384:" + strings.Repeat("ab", 48), ImageRef{"docker.io/library/a", "", digest.Digest("sha384:" + strings.Repeat("ab", 48))}},
		{"a@sha512:" + strings.Repeat("ab", 64), ImageRef{"docker.io/library/a", "", digest.Digest("sha512:" + strings.Repeat("ab", 64))}},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got, err := ParseImageRef(tt.in)
			if err != nil || got != tt.want {
				t.Fatalf("ParseImageRef(%q) = %+v, %v; want %+v", tt.in, got, err, tt.want)
			}
			again, err := ParseImageRef(got.String())
			if err != nil || again != got {
				t.Errorf("ParseImageRef(%q) = %+v, %v; want %+v", got.String(), again, err, got)
			}
		})
	}
}

func TestParseImageRefErrors(t *testing.T) {
	for _, tt := range []struct{ name, in, says string }{
		{"empty", "", "empty"},
		{"blank", " ", "invalid reference format"},
		{"upper case", "Busybox", "lowercase"},
		{"ID", idA, "image ID"},
		{"bare ID", hexA, "image ID"},
		{"too long", "domain/" + strings.Repeat("a", 256), "255"},
		{"bad characters", "aa/asdf$$^/aa", "invalid reference format"},
		{"unsupported algorithm", "a@md5:" + strings.Repeat("a", 32), "unsupported digest algorithm"},
		{"digest too short", "a@sha256:abcdef", "invalid reference format"},
		{"digest of the wrong length", "a@sha256:" + strings.Repeat("a", 63), "digest length"},
		{"upper-case digest", "a@sha256:" + strings.ToUpper(hexA), "digest"},
		{"user and password", "https://user:s3cret@quay.io/a", "no scheme, user or password"},
		{"control characters", "a\nb", "invalid reference format"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseImageRef(tt.in)
			var field *FieldError
			if !errors.As(err, &field) || !errdefs.IsInvalidArgument(err) || got != (ImageRef{}) {
				t.Fatalf("ParseImageRef(%q) = %+v, %v; want a *FieldError", tt.in, got, err)
			}
			if !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("ParseImageRef(%q): %v; want %q in it, and no secret", tt.in, err, tt.says)
			}
		})
	}
}

func FuzzParseImageRef(f *testing.F) {
	for _, s := range []string{"", "busybox", "a.example:5000/b/c:1", "a@" + idA, "a:1@" + idA, hexA, "A", "sha256:cafe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseImageRef(s)
		if err != nil {
			if !errdefs.IsInvalidArgument(err) {
				t.Fatalf("ParseImageRef(%q): %v, which is not an invalid argument", s, err)
			}
			return
		}
		if got.Tag == "" && got.Digest == "" {
			t.Fatalf("ParseImageRef(%q) = %+v: neither tag nor digest", s, got)
		}
		if again, err := ParseImageRef(got.String()); err != nil || again != got {
			t.Fatalf("ParseImageRef(%q) = %+v, whose text gives %+v, %v", s, got, again, err)
		}
		if want := (Image{ID: idA, RepoTags: []string{got.Repository + ":" + got.Tag}}); got.Digest == "" && !MatchImageRef(want, s) {
			t.Fatalf("%q does not match an image tagged %q", s, want.RepoTags)
		}
	})
}

func TestRedactRef(t *testing.T) {
	for in, want := range map[string]string{
		"busybox":                      "busybox",
		"a@" + idA:                     "a@" + idA,
		"https://user:pw@quay.io/a:1":  "…@quay.io/a:1",
		"user:p@w@quay.io/a@" + idA:    "…@quay.io/a@" + idA,
		"myimage@sha256:unparseable":   "myimage@sha256:unparseable",
		"https://quay.io/a":            "https://quay.io/a",
		"docker.io/library/busybox:@/": "…@/",
	} {
		if got := redactRef(in); got != want {
			t.Errorf("redactRef(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSplitUser(t *testing.T) {
	id := func(n int64) *int64 { return &n }
	for _, tt := range []struct {
		in   string
		uid  *int64
		name string
	}{
		{"", nil, ""},
		{"0", id(0), ""},
		{"1000:2000", id(1000), ""},
		{"1:2:3", id(1), ""},
		{"root:root", nil, "root"},
		{"nobody", nil, "nobody"},
		{":group", nil, ""},
		{"1x", nil, "1x"},
	} {
		uid, name := splitUser(tt.in)
		if diff := cmp.Diff(tt.uid, uid); diff != "" || name != tt.name {
			t.Errorf("splitUser(%q): name %q, want %q; UID (-want +got):\n%s", tt.in, name, tt.name, diff)
		}
	}
}

// The list and the status of one image agree in all that a list tells.
func TestImageOfInspectAndSummaryAgree(t *testing.T) {
	names := []string{"z:1", "a:1", "<none>:<none>", "a:1", "a@" + idB}
	digests := []string{"z@" + idB, "a@" + idB, "<none>@<none>"}
	labels := map[string]string{"k": "v"}
	inspect := image.InspectResponse{ID: hexA, RepoTags: names, RepoDigests: digests, Size: 12, Created: "2026-01-02T03:04:05.6+01:00"}
	if err := json.Unmarshal([]byte(`{"User": "1:2:3", "Cmd": ["sh"]}`), &inspect.Config); err != nil {
		t.Fatal(err)
	}
	inspect.Config.Labels = labels
	summary := image.Summary{ID: idA, RepoTags: names, RepoDigests: digests, Size: 12, Labels: labels,
		Created: time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC).Unix()}

	one := int64(1)
	want := resolvedImage{hasCommand: true, Image: Image{
		ID: idA, RepoTags: []string{"a:1", "z:1"}, RepoDigests: []string{"a@" + idB, "z@" + idB}, Size: 12,
		CreatedAt: time.Date(2026, 1, 2, 2, 4, 5, 6e8, time.UTC), UID: &one, Labels: labels,
	}}
	got, err := imageOfInspect(inspect)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(resolvedImage{})); diff != "" || err != nil {
		t.Errorf("imageOfInspect: error %v, mismatch (-want +got):\n%s", err, diff)
	}
	got.Labels["k"] = "changed"
	if labels["k"] != "v" {
		t.Error("the image shares its labels with the engine's answer")
	}

	want.UID, want.CreatedAt = nil, want.CreatedAt.Truncate(time.Second)
	listed, err := imageOfSummary(summary)
	if diff := cmp.Diff(want.Image, listed); diff != "" || err != nil {
		t.Errorf("imageOfSummary: error %v, mismatch (-want +got):\n%s", err, diff)
	}
}

func TestImageWithLittleInIt(t *testing.T) {
	for _, created := range []string{"", "0001-01-01T00:00:00Z", "yesterday"} {
		got, err := imageOfInspect(image.InspectResponse{ID: idA, Created: created})
		if diff := cmp.Diff(resolvedImage{Image: Image{ID: idA}}, got, cmp.AllowUnexported(resolvedImage{})); diff != "" || err != nil {
			t.Errorf("created %q: error %v, mismatch (-want +got):\n%s", created, err, diff)
		}
	}
	got, err := imageOfSummary(image.Summary{ID: idA, Created: time.Time{}.Unix()})
	if diff := cmp.Diff(Image{ID: idA}, got); diff != "" || err != nil {
		t.Errorf("error %v, mismatch (-want +got):\n%s", err, diff)
	}
	if _, err := imageOfInspect(image.InspectResponse{}); !errors.Is(err, ErrBadAnswer) {
		t.Errorf("an answer without an ID: %v, want ErrBadAnswer", err)
	}
	if _, err := imageOfSummary(image.Summary{}); !errors.Is(err, ErrBadAnswer) {
		t.Errorf("an entry without an ID: %v, want ErrBadAnswer", err)
	}
}

// engineError is an error as an engine gives it: a class and its own words.
func engineError(class error, text string) error { return fmt.Errorf("%s%w", text, silent{class}) }

// silent is a class without words.
type silent struct{ class error }

func (s silent) Error() string { return "" }
func (s silent) Unwrap() error { return s.class }

func noSuchImage(ref string) error {
	return engineError(errdefs.ErrNotFound, "Error response from daemon: No such image: "+ref)
}

// imageStub is an engine that has images and nothing else. What a test does
// not set is absent; a call that it did not expect panics.
type imageStub struct {
	DockerInterface
	images     map[string]image.InspectResponse // by what the engine is asked for
	inspectErr error
	list       []image.Summary
	listErr    error
	removeErrs map[string]error
	containers []container.Summary
	history    []image.HistoryResponseItem
	calls      []string
}

func (s *imageStub) ImageInspect(ctx context.Context, ref string, _ ...client.ImageInspectOption) (image.InspectResponse, error) {
	s.calls = append(s.calls, "inspect "+ref)
	if s.inspectErr != nil {
		return image.InspectResponse{}, s.inspectErr
	}
	if img, ok := s.images[ref]; ok {
		return img, nil
	}
	return image.InspectResponse{}, noSuchImage(ref)
}

func (s *imageStub) ImageList(context.Context, image.ListOptions) ([]image.Summary, error) {
	return s.list, s.listErr
}

func (s *imageStub) ImageRemove(_ context.Context, ref string, o image.RemoveOptions) ([]image.DeleteResponse, error) {
	call := "remove " + ref
	if o.Force {
		call += " by force"
	}
	if !o.PruneChildren {
		call += " without its parents"
	}
	s.calls = append(s.calls, call)
	return nil, s.removeErrs[ref]
}

func (s *imageStub) ImageHistory(_ context.Context, id string, _ ...client.ImageHistoryOption) ([]image.HistoryResponseItem, error) {
	s.calls = append(s.calls, "history "+id)
	return s.history, nil
}

func (s *imageStub) ContainerList(_ context.Context, o container.ListOptions) ([]container.Summary, error) {
	if !o.All {
		return nil, nil
	}
	s.calls = append(s.calls, "list containers")
	return s.containers, nil
}

func TestImageStatus(t *testing.T) {
	busybox := image.InspectResponse{ID: idA, RepoTags: []string{"busybox:latest"}, RepoDigests: []string{"busybox@" + idB}}
	podman := image.InspectResponse{ID: hexC, RepoTags: []string{"docker.io/library/busybox:latest"}}
	for _, tt := range []struct {
		name   string
		ref    string
		images map[string]image.InspectResponse
		id     digest.Digest // empty: not found
		calls  []string
	}{
		{"name", "busybox", map[string]image.InspectResponse{"busybox:latest": busybox}, idA, []string{"inspect busybox:latest"}},
		{"name spelled out", "docker.io/library/busybox:latest", map[string]image.InspectResponse{"busybox:latest": busybox}, idA, []string{"inspect busybox:latest"}},
		{"Podman's spelling", "busybox", map[string]image.InspectResponse{"busybox:latest": podman}, idC, []string{"inspect busybox:latest"}},
		{"absent", "foo:1", nil, "", []string{"inspect foo:1"}},
		{"digest", "busybox@" + idB, map[string]image.InspectResponse{"busybox@" + idB: busybox}, idA, []string{"inspect busybox@" + idB}},
		{"a tag beside the digest is not sent", "busybox:old@" + idB, map[string]image.InspectResponse{"busybox@" + idB: busybox}, idA, []string{"inspect busybox@" + idB}},
		{"name with the ID", "busybox@" + idA, map[string]image.InspectResponse{idA: busybox}, idA, []string{"inspect busybox@" + idA, "inspect " + idA}},
		{"digest that is nowhere", "busybox@" + idC, nil, "", []string{"inspect busybox@" + idC, "inspect " + idC}},
		{"ID", idA, map[string]image.InspectResponse{idA: busybox}, idA, []string{"inspect " + idA}},
		{"bare ID", hexA, map[string]image.InspectResponse{idA: busybox}, idA, []string{"inspect " + idA}},
		{"Podman's bare ID", idC, map[string]image.InspectResponse{idC: podman}, idC, []string{"inspect " + idC}},
		{"absent ID", idB, nil, "", []string{"inspect " + idB}},
		{"RepoDigest's digest as an ID", idB, map[string]image.InspectResponse{idB: busybox}, "", []string{"inspect " + idB}},
		{"name that is the beginning of an ID", "cafe", map[string]image.InspectResponse{"cafe": podman, "cafe:latest": podman}, "", []string{"inspect cafe:latest"}},
		{"beginning of an ID", hexA[:12], map[string]image.InspectResponse{hexA[:12]: busybox}, "", []string{"inspect " + hexA[:12] + ":latest"}},
		{"beginning of an ID with its algorithm", "sha256:cafe84ac", map[string]image.InspectResponse{"sha256:cafe84ac": podman}, "", []string{"inspect docker.io/library/sha256:cafe84ac"}},
		{"another tag than the one asked for", "busybox:1", map[string]image.InspectResponse{"busybox:1": busybox}, "", []string{"inspect busybox:1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stub := &imageStub{images: tt.images}
			got, err := New(stub).ImageStatus(t.Context(), tt.ref)
			if tt.id == "" {
				if !errors.Is(err, ErrImageNotFound) || !errdefs.IsNotFound(err) || got.ID != "" {
					t.Errorf("ImageStatus(%q) = %v, %v; want ErrImageNotFound", tt.ref, got, err)
				}
			} else if err != nil || got.ID != tt.id {
				t.Errorf("ImageStatus(%q) = %v, %v; want ID %s", tt.ref, got, err, tt.id)
			}
			if diff := cmp.Diff(tt.calls, stub.calls); diff != "" {
				t.Errorf("calls mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestImageStatusErrors(t *testing.T) {
	broken := engineError(errdefs.ErrInternal, "Error response from daemon: disk on fire")
	stub := &imageStub{inspectErr: broken}
	_, err := New(stub).ImageStatus(t.Context(), "busybox")
	var e *Error
	if !errors.As(err, &e) || e.Op != "inspect image" || e.Target != "busybox" || !errdefs.IsInternal(err) {
		t.Errorf("got %#v, want an internal *Error about busybox", err)
	}
	if diff := cmp.Diff([]string{"inspect busybox:latest"}, stub.calls); diff != "" {
		t.Errorf("calls mismatch (-want +got):\n%s", diff)
	}

	stub = &imageStub{}
	for _, ref := range []string{"Busybox", "", "a@md5:" + strings.Repeat("a", 32), "https://user:s3cret@quay.io/a"} {
		_, err := New(stub).ImageStatus(t.Context(), ref)
		if !errdefs.IsInvalidArgument(err) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("ImageStatus(%q): %v; want an invalid argument, and no secret in it", ref, err)
		}
	}
	if stub.calls != nil {
		t.Errorf("the engine was asked: %v", stub.calls)
	}

	stub = &imageStub{images: map[string]image.InspectResponse{"busybox:latest": {}}}
	if _, err := New(stub).ImageStatus(t.Context(), "busybox"); !errors.Is(err, ErrBadAnswer) {
		t.Errorf("an empty answer: %v, want ErrBadAnswer", err)
	}
	if _, err := New(&imageStub{}, WithOwner("k8s")).ImageStatus(t.Context(), "busybox"); !errdefs.IsInvalidArgument(err) {
		t.Errorf("with an impossible option: %v, want an invalid argument", err)
	}
}

func TestListImages(t *testing.T) {
	stub := &imageStub{list: []image.Summary{
		{ID: idC, RepoTags: []string{"<none>:<none>"}, RepoDigests: []string{"busybox@" + idB}},
		{ID: idA, RepoTags: []string{"busybox:2", "busybox:1"}},
		{ID: idB},
	}}
	r := New(stub)
	for _, tt := range []struct {
		ref  string
		want []digest.Digest
	}{
		{"", []digest.Digest{idC, idA, idB}},
		{"busybox", []digest.Digest{idC, idA}},
		{"docker.io/library/busybox:1", []digest.Digest{idA}},
		{"busybox:3", []digest.Digest{}},
		{"busybox@" + idB, []digest.Digest{idC, idB}},
		{idB, []digest.Digest{idB}},
		{hexB, []digest.Digest{idB}},
		{hexB[:12], []digest.Digest{}},
	} {
		list, err := r.ListImages(t.Context(), ImageFilter{Ref: tt.ref})
		got := make([]digest.Digest, 0, len(list))
		for _, img := range list {
			got = append(got, img.ID)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("ListImages(%q): error %v, mismatch (-want +got):\n%s", tt.ref, err, diff)
		}
		if list == nil {
			t.Errorf("ListImages(%q) = nil, want an empty slice", tt.ref)
		}
	}
	if _, err := r.ListImages(t.Context(), ImageFilter{Ref: "Busybox"}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("an upper-case filter: %v, want an invalid argument", err)
	}

	// Doubt is an error, never an empty list.
	stub = &imageStub{listErr: noSuchImage("x")}
	if list, err := New(stub).ListImages(t.Context(), ImageFilter{}); err == nil || list != nil {
		t.Errorf("an engine that does not find anything: %v, %v; want an error", list, err)
	}
	stub = &imageStub{list: []image.Summary{{ID: idA}, {}}}
	if list, err := New(stub).ListImages(t.Context(), ImageFilter{}); !errors.Is(err, ErrBadAnswer) || list != nil {
		t.Errorf("an entry without ID: %v, %v; want ErrBadAnswer", list, err)
	}
}

func TestPinned(t *testing.T) {
	own := image.Summary{ID: idA, RepoTags: []string{"dockpod.io/pause:1"}, Labels: map[string]string{pause.Label: "x"}}
	other := image.Summary{ID: idB, RepoTags: []string{"registry.k8s.io/pause:3.9"}}
	for _, tt := range []struct {
		name    string
		sandbox string
		want    []bool
	}{
		{"the built-in image", "", []bool{true, false}},
		{"an image by name", "registry.k8s.io/pause:3.9", []bool{false, true}},
		{"another tag", "registry.k8s.io/pause:3.10", []bool{false, false}},
		{"an image by ID", hexB, []bool{false, true}},
		{"not a reference", "Pause", []bool{false, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stub := &imageStub{list: []image.Summary{own, other}}
			list, err := New(stub, WithSandboxImage(tt.sandbox)).ListImages(t.Context(), ImageFilter{})
			if err != nil {
				t.Fatal(err)
			}
			var got []bool
			for _, img := range list {
				got = append(got, img.Pinned)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestImageHistory(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	stub := &imageStub{
		images: map[string]image.InspectResponse{"busybox:latest": {ID: idA, RepoTags: []string{"busybox:latest"}}},
		history: []image.HistoryResponseItem{
			{ID: hexA, Created: at.Unix(), CreatedBy: "CMD sh", Comment: "c", Tags: []string{"busybox:latest"}},
			{ID: "<missing>", Created: time.Time{}.Unix(), Size: 7},
		},
	}
	got, err := New(stub).ImageHistory(t.Context(), "busybox")
	want := []ImageLayer{
		{ID: idA, CreatedAt: at, CreatedBy: "CMD sh", Comment: "c", Tags: []string{"busybox:latest"}},
		{Size: 7},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, mismatch (-want +got):\n%s", err, diff)
	}
	if want := []string{"inspect busybox:latest", "history " + idA}; !slices.Equal(stub.calls, want) {
		t.Errorf("calls %q, want %q", stub.calls, want)
	}
	if _, err := New(stub).ImageHistory(t.Context(), "absent"); !errors.Is(err, ErrImageNotFound) {
		t.Errorf("history of an absent image: %v, want ErrImageNotFound", err)
	}
}

// The words with which engines refuse to remove an image that is in use, and
// those with which they tell that it is not there.
func TestRemoveImageError(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want error // nil: success
	}{
		{"success", nil, nil},
		{"Docker, running, by ID", engineError(errdefs.ErrConflict, "conflict: unable to delete 2208f7a29005 (cannot be forced) - image is being used by running container 2f1e0c1c2d3e"), ErrImageInUse},
		{"Docker, stopped, by ID", engineError(errdefs.ErrConflict, "conflict: unable to delete 2208f7a29005 (must be forced) - image is being used by stopped container 2f1e0c1c2d3e"), ErrImageInUse},
		{"Docker, by name", engineError(errdefs.ErrConflict, `conflict: unable to remove repository reference "a:1" (must force) - container 2f1e0c1c2d3e is using its referenced image 2208f7a29005`), ErrImageInUse},
		{"containerd store, by name", engineError(errdefs.ErrConflict, "conflict: unable to delete a:1 (must be forced) - container 2f1e0c1c2d3e is using its referenced image 2208f7a29005"), ErrImageInUse},
		{"Podman", engineError(errdefs.ErrConflict, "image used by 2f1e0c1c2d3e: image is in use by a container"), ErrImageInUse},
		{"not there", noSuchImage("a:1"), nil},
		{"Docker 20.10, simultaneous", engineError(errdefs.ErrNotFound, "reference does not exist"), nil},
		{"the same with another class", engineError(errdefs.ErrInternal, "reference does not exist"), nil},
		{"Docker, gone between two steps", engineError(errdefs.ErrInternal, "unrecognized image ID sha256:2208"), nil},
		{"Podman, not there", engineError(errdefs.ErrNotFound, "failed to find image a:1: a:1: No such image"), nil},
		{"containerd store, simultaneous", engineError(errdefs.ErrNotFound, `NotFound: image "docker.io/library/a:1": not found`), nil},
		{"several repositories", engineError(errdefs.ErrConflict, "conflict: unable to delete 2208f7a29005 (must be forced) - image is referenced in multiple repositories"), errdefs.ErrConflict},
		{"child images", engineError(errdefs.ErrConflict, "conflict: unable to delete 2208f7a29005 (cannot be forced) - image has dependent child images"), errdefs.ErrConflict},
		{"cancelled", context.Canceled, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := removeImageError("a:1", tt.err)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if tt.want != ErrImageInUse && errors.Is(err, ErrImageInUse) {
				t.Errorf("got %v, which is ErrImageInUse", err)
			}
			if tt.want == ErrImageInUse && !errdefs.IsConflict(err) {
				t.Errorf("got %v, which is not a conflict", err)
			}
		})
	}
}

func TestRemoveImage(t *testing.T) {
	two := image.InspectResponse{ID: idA, RepoTags: []string{"a:2", "a:1"}, RepoDigests: []string{"a@" + idB, "b@" + idB}}
	one := image.InspectResponse{ID: idA, RepoTags: []string{"a:1"}}
	bare := image.InspectResponse{ID: idA}
	conflict := engineError(errdefs.ErrConflict, "image is being used by stopped container 2f1e")
	broken := engineError(errdefs.ErrInternal, "disk on fire")
	for _, tt := range []struct {
		name       string
		ref        string
		image      image.InspectResponse
		removeErrs map[string]error
		containers []container.Summary
		opts       []Option
		want       []error // all of them; none: success
		calls      []string
	}{
		{name: "a tag", ref: "docker.io/library/a:1", image: two, calls: []string{"inspect a:1", "remove a:1"}},
		{name: "the default tag is not there", ref: "a", image: two, calls: []string{"inspect a:latest"}},
		{name: "a digest", ref: "b@" + idB, image: two, calls: []string{"inspect b@" + idB, "remove b@" + idB}},
		{name: "a digest under a name it does not bear", ref: "c@" + idA, image: two, calls: []string{"inspect c@" + idA, "inspect " + idA}},
		{name: "an ID", ref: hexA, image: two, calls: []string{"inspect " + idA, "list containers", "remove a:1", "remove a:2", "remove a@" + idB, "remove b@" + idB, "remove " + idA}},
		{name: "an ID with one tag", ref: idA, image: one, calls: []string{"inspect " + idA, "remove a:1", "remove " + idA}},
		{name: "an ID without names", ref: idA, image: bare, calls: []string{"inspect " + idA, "remove " + idA}},
		{name: "absent", ref: idB, image: one, calls: []string{"inspect " + idB}},
		{
			name: "gone with its last tag", ref: idA, image: one,
			removeErrs: map[string]error{idA: noSuchImage(idA)},
			calls:      []string{"inspect " + idA, "remove a:1", "remove " + idA},
		},
		{
			name: "removed by somebody else", ref: idA, image: one,
			removeErrs: map[string]error{"a:1": engineError(errdefs.ErrNotFound, "reference does not exist"), idA: noSuchImage(idA)},
			calls:      []string{"inspect " + idA, "remove a:1", "remove " + idA},
		},
		{
			name: "in use: no name is lost", ref: idA, image: two,
			containers: []container.Summary{{ID: "c1", ImageID: idB}, {ID: "c2", ImageID: hexA}},
			want:       []error{ErrImageInUse, errdefs.ErrConflict},
			calls:      []string{"inspect " + idA, "list containers"},
		},
		{
			name: "in use, says the engine", ref: "a:1", image: one,
			removeErrs: map[string]error{"a:1": conflict}, want: []error{ErrImageInUse},
			calls: []string{"inspect a:1", "remove a:1"},
		},
		{
			name: "in use since we looked", ref: idA, image: two,
			removeErrs: map[string]error{"a:2": conflict}, want: []error{ErrImageInUse},
			calls: []string{"inspect " + idA, "list containers", "remove a:1", "remove a:2"},
		},
		{
			name: "partial failures are joined", ref: idA, image: two,
			removeErrs: map[string]error{"a:1": broken, "b@" + idB: engineError(errdefs.ErrUnavailable, "out to lunch")},
			want:       []error{errdefs.ErrInternal, errdefs.ErrUnavailable},
			calls:      []string{"inspect " + idA, "list containers", "remove a:1", "remove a:2", "remove a@" + idB, "remove b@" + idB},
		},
		{
			name: "the sandboxes' image, by ID", ref: idA, image: one, opts: []Option{WithSandboxImage("a:1")},
			want: []error{ErrImageInUse}, calls: []string{"inspect " + idA},
		},
		{
			name: "the sandboxes' image, by another tag", ref: "a:2", image: two, opts: []Option{WithSandboxImage("a:1")},
			want: []error{ErrImageInUse}, calls: []string{"inspect a:2"},
		},
		{name: "not a reference", ref: "A", want: []error{errdefs.ErrInvalidArgument}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			images := map[string]image.InspectResponse{}
			for _, ref := range slices.Concat(tt.image.RepoTags, tt.image.RepoDigests, []string{tt.image.ID}) {
				images[ref] = tt.image
			}
			stub := &imageStub{images: images, removeErrs: tt.removeErrs, containers: tt.containers}
			err := New(stub, tt.opts...).RemoveImage(t.Context(), tt.ref)
			if len(tt.want) == 0 && err != nil {
				t.Errorf("RemoveImage(%q): %v", tt.ref, err)
			}
			for _, want := range tt.want {
				if !errors.Is(err, want) && !(want == errdefs.ErrInvalidArgument && errdefs.IsInvalidArgument(err)) {
					t.Errorf("RemoveImage(%q): %v, want %v", tt.ref, err, want)
				}
			}
			if diff := cmp.Diff(tt.calls, stub.calls); diff != "" {
				t.Errorf("calls mismatch (-want +got):\n%s", diff)
			}
		})
	}
}
