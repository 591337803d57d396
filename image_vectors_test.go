package dockpod

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	"github.com/opencontainers/go-digest"
)

// imageVectors are our answers where we do not follow the kubelet.
var imageVectors = map[string]overruled{
	"image-match-tag-or-sha/013": {`{"match": true}`, "the seeds compared raw strings; like the later versions, in 012, we normalise both sides"},
	"image-match-tag-or-sha/023": {`{"match": false}`, "myubuntu is not ubuntu, though it ends so"},
	"image-match-tag-or-sha/024": {`{"match": false}`, "pause:3.0 is docker.io's, not gcr.io/google_containers'"},
	"image-match-id-only/012":    {`{"match": true}`, "64 bare hex digits are an ID, as they are for an engine"},
	"image-status/009":           {`{"image": null, "calls": ["inspect_image_by_ref"]}`, "foo:1 cannot be an ID: asked once, as by the seeds in 010"},
	"image-status/016":           {`{"image": {"id": "x", "repoTags": ["foo:1"], "repoDigests": ["foo@sha256:d1"], "size": 1234}}`, "from API 1.44 there is no virtual size"},
	"digest-parse/007":           {`{"error": "digest-invalid-length"}`, "go-digest looks at the length first"},
}

// vectorImage is an image as the cases write it.
type vectorImage struct {
	ID          string   `json:"id"`
	RepoTags    []string `json:"repoTags"`
	RepoDigests []string `json:"repoDigests"`
	Size        int64    `json:"size"`
	VirtualSize int64    `json:"virtualSize"`
	User        string   `json:"user"`
}

// as decodes the image as an engine's answer, an inspection or a list's entry:
// through JSON, which alone still has the virtual size.
func as[T any](t *testing.T, v vectorImage, labels map[string]string) T {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"Id": v.ID, "RepoTags": v.RepoTags, "RepoDigests": v.RepoDigests, "Size": v.Size, "VirtualSize": v.VirtualSize,
		"Config": map[string]any{"User": v.User, "Labels": labels},
	})
	if err != nil {
		t.Fatal(err)
	}
	var answer T
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestVectorsImageMatch(t *testing.T) {
	for _, file := range []string{"image-match-tag-or-sha.json", "image-match-id-only.json"} {
		for _, c := range loadVectors(t, file) {
			t.Run(c.ID, func(t *testing.T) {
				in := vectorIn[struct {
					Inspected vectorImage
					Image     string
				}](t, c)
				img := Image{ID: digest.Digest(in.Inspected.ID), RepoTags: in.Inspected.RepoTags, RepoDigests: in.Inspected.RepoDigests}
				var match bool
				switch c.Op {
				case "image.match_tag_or_sha":
					match = MatchImageRef(img, in.Image)
				case "image.match_id_only":
					match = MatchImageID(img, in.Image)
				default:
					t.Fatalf("operation %q is not known", c.Op)
				}
				checkVector(t, c, imageVectors, map[string]any{"match": match})
			})
		}
	}
}

// vectorImages answers an inspection by name and one by ID as a case says, and
// notes what it was asked.
type vectorImages struct {
	DockerInterface
	t           *testing.T
	byRef, byID json.RawMessage
	calls       []string
	asked       []string
}

func (e *vectorImages) ImageInspect(_ context.Context, ref string, _ ...client.ImageInspectOption) (image.InspectResponse, error) {
	answer, call := e.byRef, "inspect_image_by_ref"
	if digest.Digest(ref).Validate() == nil {
		answer, call = e.byID, "inspect_image_by_id"
	}
	e.calls = append(e.calls, call)
	e.asked = append(e.asked, ref)
	var word string
	if json.Unmarshal(answer, &word) != nil {
		var img vectorImage
		if err := json.Unmarshal(answer, &img); err != nil {
			e.t.Fatal(err)
		}
		return as[image.InspectResponse](e.t, img, nil), nil
	}
	switch word {
	case "not-found":
		return image.InspectResponse{}, noSuchImage(ref)
	case "error":
		return image.InspectResponse{}, engineError(errdefs.ErrInternal, "disk on fire")
	}
	e.t.Fatalf("%s of %q, which the case answers with %q", call, ref, word)
	return image.InspectResponse{}, nil
}

func TestVectorsImageStatus(t *testing.T) {
	asMap := func(i Image) map[string]any {
		return map[string]any{"id": i.ID, "repoTags": i.RepoTags, "repoDigests": i.RepoDigests, "size": i.Size}
	}
	for _, c := range loadVectors(t, "image-status.json") {
		t.Run(c.ID, func(t *testing.T) {
			in := vectorIn[struct {
				Image                              string
				ConfigLabels                       map[string]string
				Inspect, InspectByRef, InspectByID json.RawMessage
				Entry                              vectorImage
				DaemonReturns                      []vectorImage
			}](t, c)
			engine := &vectorImages{t: t, byRef: in.InspectByRef, byID: in.InspectByID}
			if in.Inspect != nil {
				engine.byRef, engine.byID = in.Inspect, in.Inspect
			}
			got := map[string]any{}
			switch c.Op {
			case "image.labels_from_inspect":
				img, err := imageOfInspect(as[image.InspectResponse](t, vectorImage{ID: idA}, in.ConfigLabels))
				if err != nil {
					t.Fatal(err)
				}
				got["imageLabels"] = img.Labels
			case "image.status":
				img, err := New(engine).ImageStatus(t.Context(), in.Image)
				got["calls"] = engine.calls
				switch {
				case errors.Is(err, ErrImageNotFound): // CRI's "no image, no error"
				case err != nil:
					got = nil
				default:
					m := asMap(img)
					m["uid"], m["username"] = img.UID, img.Username
					got["image"] = m
				}
			case "image.from_list_entry":
				img, err := imageOfSummary(as[image.Summary](t, in.Entry, nil))
				if err != nil {
					t.Fatal(err)
				}
				got["image"] = asMap(img)
			case "images.list":
				stub := &imageStub{}
				for _, v := range in.DaemonReturns {
					stub.list = append(stub.list, image.Summary{ID: v.ID})
				}
				list, err := New(stub).ListImages(t.Context(), ImageFilter{})
				if err != nil {
					t.Fatal(err)
				}
				var ids []string
				for _, img := range list {
					ids = append(ids, img.ID.String())
				}
				got["ids"] = ids
			case "image.ref":
				img, err := New(engine).ImageStatus(t.Context(), in.Image)
				if err != nil {
					got = nil
				} else {
					got["ref"] = img.Ref()
				}
			case "puller.is_image_present":
				engine.byRef = json.RawMessage(`"not-found"`)
				if _, err := New(engine).ImageStatus(t.Context(), in.Image); !errors.Is(err, ErrImageNotFound) {
					t.Fatal(err)
				}
				if len(engine.asked) != 1 {
					t.Fatalf("asked for %q", engine.asked)
				}
				got["inspected"] = engine.asked[0]
			default:
				t.Fatalf("operation %q is not known", c.Op)
			}
			checkVector(t, c, imageVectors, got)
		})
	}
}

// Which error it is, checkVector does not compare: here it is an answer like
// any other, so that the kinds of the digest's errors are held, too.
func TestVectorsDigestParse(t *testing.T) {
	for _, c := range loadVectors(t, "digest-parse.json") {
		t.Run(c.ID, func(t *testing.T) {
			if c.Op != "digest.parse" {
				t.Fatalf("operation %q is not known", c.Op)
			}
			in := vectorIn[struct{ Digest string }](t, c)
			want := c.Want
			if o, ok := imageVectors[c.ID]; ok {
				want = json.RawMessage(o.want)
			}
			var w struct{ Algorithm, Encoded, Error string }
			if err := json.Unmarshal(want, &w); err != nil {
				t.Fatal(err)
			}
			kinds := map[string]error{
				"":                      nil,
				"digest-invalid-format": digest.ErrDigestInvalidFormat,
				"digest-invalid-length": digest.ErrDigestInvalidLength,
				"digest-unsupported":    digest.ErrDigestUnsupported,
			}
			wantErr, known := kinds[w.Error]
			if !known {
				t.Fatalf("error %q is not known", w.Error)
			}
			d, err := digest.Parse(in.Digest)
			if !errors.Is(err, wantErr) {
				t.Errorf("digest.Parse(%q): %v, want %v", in.Digest, err, wantErr)
			}
			// A reference takes the same digests, and no others.
			ref, refErr := ParseImageRef("busybox@" + in.Digest)
			if wantErr == nil {
				if refErr != nil || ref.Digest != d || d.Algorithm().String() != w.Algorithm || d.Encoded() != w.Encoded {
					t.Errorf("digest %q; ParseImageRef of it: %+v, %v; want %+v", d, ref, refErr, w)
				}
			} else if !errdefs.IsInvalidArgument(refErr) {
				t.Errorf("ParseImageRef: %+v, %v; want an invalid argument", ref, refErr)
			}
		})
	}
}

// historyEngine has images whose history it tells, and does not measure them.
type historyEngine struct {
	DockerInterface
	images  []image.Summary
	history map[string][]image.HistoryResponseItem

	mu    sync.Mutex
	calls []string
}

func (e *historyEngine) note(call string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, call)
}

func (e *historyEngine) ImageList(context.Context, image.ListOptions) ([]image.Summary, error) {
	e.note("list_images")
	return e.images, nil
}

func (e *historyEngine) ImageHistory(_ context.Context, id string, _ ...client.ImageHistoryOption) ([]image.HistoryResponseItem, error) {
	e.note("image_history")
	history, ok := e.history[id]
	if !ok {
		return nil, noSuchImage(id)
	}
	return history, nil
}

func (e *historyEngine) Info(context.Context) (system.Info, error) { return system.Info{}, nil }

func TestVectorsImageStats(t *testing.T) {
	for _, c := range loadVectors(t, "image-stats.json") {
		t.Run(c.ID, func(t *testing.T) {
			if c.Op != "image_stats.total" {
				t.Fatalf("operation %q is not known", c.Op)
			}
			in := vectorIn[struct {
				Images  []string
				History map[string][]struct {
					ID, CreatedBy string
					Size          int64
				}
				CachedLayers      map[string]int64
				CachedImageLayers map[string][]string
			}](t, c)
			engine := &historyEngine{history: map[string][]image.HistoryResponseItem{}}
			for _, id := range in.Images {
				engine.images = append(engine.images, image.Summary{ID: id})
			}
			for id, steps := range in.History {
				engine.history[id] = []image.HistoryResponseItem{}
				for _, s := range steps {
					engine.history[id] = append(engine.history[id], image.HistoryResponseItem{ID: s.ID, CreatedBy: s.CreatedBy, Size: s.Size})
				}
			}
			r := New(engine)
			r.imageLayers = imageLayers{}
			for id, keys := range in.CachedImageLayers {
				for _, key := range keys {
					l := historyLayer{id: key, size: in.CachedLayers[key]}
					if command, ok := strings.CutPrefix(key, "<missing>"); ok {
						l.id, l.command = "", command
					}
					r.imageLayers[id] = append(r.imageLayers[id], l)
				}
			}
			info, err := r.ImageFSInfo(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			layers, ofImages := map[string]int64{}, map[string][]string{}
			for id, list := range r.imageLayers {
				for _, l := range list {
					key := l.id
					if key == "" {
						key = "<missing>" + l.command
					}
					layers[key] = l.size
					ofImages[id] = append(ofImages[id], key)
				}
			}
			checkVector(t, c, nil, map[string]any{"totalBytes": info.UsedBytes, "calls": engine.calls, "layers": layers, "imageLayers": ofImages})
		})
	}
}
