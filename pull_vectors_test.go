package dockpod

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// pullVectors are our answers where we do not follow the kubelet.
var pullVectors = map[string]overruled{
	"pull-progress/013": {`{"errorEquals": "old style", "errorKind": "json", "errorCode": 0}`, "an engine that reports an error has not pulled"},
	"pull-progress/018": {`{"decodedHeader": {"username": "user", "password": "pass", "serveraddress": "r.example"}}`, "the server is the one that the reference names, which alone the containerd store shows a credential to"},

	"http-error-filter/007": {`{"errorEquals": "pull is not authorized: registry docker.io: msg"}`, "401 is a kind of its own"},
	"http-error-filter/008": {`{"errorEquals": "registry has no such image: registry docker.io: msg"}`, "404 is a kind of its own"},
	"http-error-filter/013": {`{"errorEquals": "RegistryUnavailable: registry docker.io: 502 Bad Gateway"}`, "Docker tells a registry's status in words alone where there is no report yet"},
	"http-error-filter/014": {`{"errorEquals": "RegistryUnavailable: registry docker.io: (a web page)"}`, "the page is left out, the registry is named"},

	"image-pull/002": {`{"calls": ["inspect_image", "pull", "inspect_image"]}`, "a pull is a success once the image is seen"},
	"image-pull/016": {`{"pulled": [{"image": "ubuntu:latest", "auth": {}}]}`, "a name alone is one tag, as by the kubelet before"},
	"image-pull/020": {`{"pulled": [{"image": "ubuntu:latest", "auth": {"username": "passed-user", "password": "passed-password"}}]}`, "as for 016; no registry asks for an email"},
	"image-pull/023": {`{"errorEquals": "the engine reported success, but: No such image: ubuntu:latest"}`, "the reason is told"},

	"image-remove/004": {`{"calls": ["inspect_image", "list_containers", {"remove_image": "example.com/foo@4444", "pruneChildren": true}, {"remove_image": "foo@4444", "pruneChildren": true}, {"remove_image": "4444", "pruneChildren": true}]}`, "an image in use keeps all its names; the order does not depend on the engine"},
	"image-remove/005": {`{"calls": ["inspect_image", {"remove_image": "foo", "pruneChildren": true}, {"remove_image": "1111", "pruneChildren": true}]}`, "as by the later versions, in 001"},
}

// errorText adds to got how err compares with what a case wants of its text.
func errorText(t *testing.T, c vectorCase, got map[string]any, text string) {
	t.Helper()
	var want struct{ ErrorContains string }
	if err := json.Unmarshal(c.Want, &want); err != nil {
		t.Fatal(err)
	}
	got["errorEquals"], got["errorContains"] = text, text
	if strings.Contains(text, want.ErrorContains) {
		got["errorContains"] = want.ErrorContains
	}
}

func TestVectorsPullStream(t *testing.T) {
	for _, c := range loadVectors(t, "pull-progress.json") {
		t.Run(c.ID, func(t *testing.T) {
			got := map[string]any{}
			switch c.Op {
			case "pull.format_progress":
				// How the docker command draws a line on a terminal. A progress
				// is values here; TestPullProgressString has what it prints.
				return
			case "pull.auth_header":
				in := vectorIn[struct{ Auth Credential }](t, c)
				auth, err := in.Auth.registryAuth(mustNamed(t, "r.example/a"))
				if err != nil {
					t.Fatal(err)
				}
				text, err := base64.URLEncoding.DecodeString(auth)
				if err != nil {
					t.Fatal(err)
				}
				got["decodedHeader"] = json.RawMessage(text)
			case "pull.stream":
				in := vectorIn[struct {
					HTTPStatus int
					Body       string
				}](t, c)
				r := engineAt(t, func(w http.ResponseWriter, req *http.Request) {
					if req.URL.Path != createPath {
						io.WriteString(w, `{"Id":"`+idA+`","RepoTags":["a:latest"]}`)
						return
					}
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(in.HTTPStatus)
					io.WriteString(w, in.Body)
				})
				_, err := r.PullImage(t.Context(), "a", PullOptions{})
				readErr := readReport(strings.NewReader(in.Body))
				var failed *pullFailure
				switch {
				case in.HTTPStatus != http.StatusOK && err != nil:
					errorText(t, c, got, err.Error())
				case (err == nil) != (readErr == nil):
					t.Fatalf("the report is read with %v, and the pull ends with %v", readErr, err)
				case errors.As(readErr, &failed):
					errorText(t, c, got, failed.text)
					got["errorKind"], got["errorCode"] = "json", failed.code
				case readErr != nil:
					got = nil
				default:
					got["ok"] = true
				}
			default:
				t.Fatalf("operation %q is not known", c.Op)
			}
			checkVector(t, c, pullVectors, got)
		})
	}
}

func TestVectorsPullError(t *testing.T) {
	for _, c := range loadVectors(t, "http-error-filter.json") {
		t.Run(c.ID, func(t *testing.T) {
			if c.Op != "pull.filter_error" {
				t.Fatalf("operation %q is not known", c.Op)
			}
			in := vectorIn[struct {
				Image string
				Error struct {
					Kind    string
					Code    int
					Message string
				}
			}](t, c)
			var err error
			switch named := mustNamed(t, in.Image); in.Error.Kind {
			case "json":
				err = pullError(named, in.Error.Code, in.Error.Message, nil)
			case "plain":
				err = pullCallError(named, errors.New(in.Error.Message))
			default:
				t.Fatalf("a %q error is not known", in.Error.Kind)
			}
			got := map[string]any{}
			errorText(t, c, got, err.Error())
			checkVector(t, c, pullVectors, got)
		})
	}
}

// vectorPuller is an engine that pulls, and inspects as a case says.
type vectorPuller struct {
	DockerInterface
	inspect string // "found", "not-found" or "error"; the first time alone
	after   string // the same, once it has pulled
	calls   []string
	pulled  []map[string]any
}

func (e *vectorPuller) ImagePull(_ context.Context, ref string, o image.PullOptions) (io.ReadCloser, error) {
	auth := map[string]any{}
	if text, err := base64.URLEncoding.DecodeString(o.RegistryAuth); err == nil && len(text) > 0 {
		if err := json.Unmarshal(text, &auth); err != nil {
			return nil, err
		}
	}
	delete(auth, "serveraddress") // of the header's form; the cases have what was chosen
	e.calls = append(e.calls, "pull")
	e.pulled = append(e.pulled, map[string]any{"image": ref, "auth": auth})
	e.inspect = e.after
	return io.NopCloser(strings.NewReader("")), nil
}

func (e *vectorPuller) ImageInspect(_ context.Context, ref string, _ ...client.ImageInspectOption) (image.InspectResponse, error) {
	e.calls = append(e.calls, "inspect_image")
	switch e.inspect {
	case "not-found":
		return image.InspectResponse{}, engineError(errdefs.ErrNotFound, "No such image: "+ref)
	case "error":
		return image.InspectResponse{}, engineError(errdefs.ErrInternal, "disk on fire")
	}
	return image.InspectResponse{ID: idA, RepoTags: []string{ref}}, nil
}

func TestVectorsImagePull(t *testing.T) {
	for _, c := range loadVectors(t, "image-pull.json") {
		t.Run(c.ID, func(t *testing.T) {
			in := vectorIn[struct {
				Image, Inspect, AfterPullInspect string
				Keyring                          map[string]struct{ Username, Password string }
				Secrets                          []struct {
					Type string
					Data map[string]json.RawMessage
				}
			}](t, c)
			engine := &vectorPuller{inspect: in.Inspect, after: in.AfterPullInspect}
			got := map[string]any{}
			switch c.Op {
			case "keyring.lookup":
				return // TestKeyringVectors
			case "sandbox_image.ensure":
				if _, err := New(engine).EnsureImage(t.Context(), in.Image, PullIfNotPresent, PullOptions{}); err != nil {
					got = nil
				} else {
					got["calls"] = engine.calls
				}
			case "puller.pull":
				node, err := ConfigKeyring(marshal(t, map[string]any{"auths": in.Keyring}))
				if err != nil {
					t.Fatal(err)
				}
				var rings []Keyring
				for _, s := range in.Secrets {
					for _, data := range s.Data {
						k, err := SecretKeyring(s.Type, data)
						if err != nil {
							t.Fatal(err)
						}
						rings = append(rings, k)
					}
				}
				_, err = New(engine).PullImage(t.Context(), in.Image, PullOptions{Keyring: Keyrings(append(rings, node)...)})
				got["pulled"] = engine.pulled
				var failed *Error
				if errors.As(err, &failed) {
					errorText(t, c, got, failed.Err.Error())
				}
			case "image.split_name_tag":
				named, err := reference.ParseNormalizedNamed(in.Image)
				if err != nil {
					t.Fatal(err)
				}
				got["name"], got["tag"] = reference.FamiliarName(named), imageRefOf(named).Tag
			case "image.apply_default_tag":
				target, err := parseImageTarget(in.Image)
				if err != nil {
					t.Fatal(err)
				}
				got["image"] = reference.FamiliarString(engineRef(target.name))
			case "image.repo_to_pull":
				ref, err := ParseImageRef(in.Image)
				if err != nil {
					t.Fatal(err)
				}
				got["repo"], got["tag"], got["digest"] = ref.Repository, ref.Tag, ref.Digest
			default:
				t.Fatalf("operation %q is not known", c.Op)
			}
			checkVector(t, c, pullVectors, got)
		})
	}
}

// vectorRemover is an engine that has one image.
type vectorRemover struct {
	DockerInterface
	image image.InspectResponse // without an ID: none
	errs  map[string]error
	calls []any
}

func (e *vectorRemover) ImageInspect(_ context.Context, ref string, _ ...client.ImageInspectOption) (image.InspectResponse, error) {
	e.calls = append(e.calls, "inspect_image")
	if e.image.ID == "" {
		return image.InspectResponse{}, noSuchImage(ref)
	}
	return e.image, nil
}

func (e *vectorRemover) ContainerList(context.Context, container.ListOptions) ([]container.Summary, error) {
	e.calls = append(e.calls, "list_containers")
	return nil, nil
}

func (e *vectorRemover) ImageRemove(_ context.Context, ref string, o image.RemoveOptions) ([]image.DeleteResponse, error) {
	// A case's IDs are four digits, and what it calls "1111" is that ID.
	for _, d := range []string{"1", "4"} {
		ref = strings.ReplaceAll(ref, "sha256:"+strings.Repeat(d, 64), strings.Repeat(d, 4))
	}
	e.calls = append(e.calls, map[string]any{"remove_image": ref, "pruneChildren": o.PruneChildren})
	return nil, e.errs[ref]
}

// fullID makes an ID of a case's four digits.
func fullID(s string) string {
	for _, d := range []string{"1", "4"} {
		s = strings.ReplaceAll(s, strings.Repeat(d, 4), "sha256:"+strings.Repeat(d, 64))
	}
	return s
}

func TestVectorsImageRemove(t *testing.T) {
	for _, c := range loadVectors(t, "image-remove.json") {
		t.Run(c.ID, func(t *testing.T) {
			if c.Op != "image.remove" {
				t.Fatalf("operation %q is not known", c.Op)
			}
			in := vectorIn[struct {
				Image        string
				Inspected    vectorImage
				RemoveErrors map[string]string
			}](t, c)
			engine := &vectorRemover{errs: map[string]error{}}
			if in.Inspected.ID != "" {
				in.Inspected.ID = fullID(in.Inspected.ID)
				for i, s := range in.Inspected.RepoDigests {
					in.Inspected.RepoDigests[i] = fullID(s)
				}
				engine.image = as[image.InspectResponse](t, in.Inspected, nil)
			}
			for ref := range maps.Keys(in.RemoveErrors) {
				engine.errs[ref] = engineError(errdefs.ErrInternal, "disk on fire")
			}
			err := New(engine).RemoveImage(t.Context(), fullID(in.Image))
			got := map[string]any{"calls": engine.calls}
			if err != nil {
				got = nil
				if len(engine.calls) != 2 {
					t.Errorf("calls %v; want none after the failure", engine.calls)
				}
			}
			checkVector(t, c, pullVectors, got)
		})
	}
}
