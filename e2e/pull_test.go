package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dockpod/dockpod"
)

// engine returns a Runtime on the engine of the environment. Without one the
// test is skipped; DOCKPOD_REQUIRE_ENGINE=1 makes that an error.
func engine(t *testing.T, opts ...dockpod.Option) *dockpod.Runtime {
	t.Helper()
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docker.Close() })
	rt := dockpod.New(docker, append([]dockpod.Option{dockpod.WithOwner("e2e")}, opts...)...)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := rt.Ready(ctx); err != nil {
		if os.Getenv("DOCKPOD_REQUIRE_ENGINE") == "1" {
			t.Fatalf("no engine: %v", err)
		}
		t.Skipf("no engine, so nothing was pulled: %v", err)
	}
	return rt
}

func serve(t *testing.T, auth Auth) *Registry {
	t.Helper()
	r := NewRegistry(auth, "robot", "correct-horse")
	t.Cleanup(r.Close)
	return r
}

// push puts a new image, unlike any other, under a name of the registry.
func push(t *testing.T, r *Registry, name string, layerBytes int64) (ref string, digest v1.Hash) {
	t.Helper()
	img, err := random.Image(layerBytes, 2)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Cmd = []string{"/none"}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	if digest, err = r.Push(name, img); err != nil {
		t.Fatal(err)
	}
	return r.Host + "/" + name, digest
}

// pull pulls, and removes what was pulled when the test ends.
func pull(t *testing.T, rt *dockpod.Runtime, ref string, opts dockpod.PullOptions) (dockpod.Image, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	img, err := rt.PullImage(ctx, ref, opts)
	if err == nil {
		t.Cleanup(func() {
			if err := rt.RemoveImage(context.WithoutCancel(t.Context()), string(img.ID)); err != nil {
				t.Errorf("clean up: %v", err)
			}
		})
	}
	return img, err
}

func fails(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error is %v; want %q", err, target)
	}
	for _, word := range []string{"<html", "<svg", "correct-horse", base64.StdEncoding.EncodeToString([]byte("robot:correct-horse"))} {
		if strings.Contains(err.Error(), word) {
			t.Errorf("error contains %q: %v", word, err)
		}
	}
	if len(err.Error()) > 600 {
		t.Errorf("error has %d bytes: %v", len(err.Error()), err)
	}
}

// keyring is docker's configuration for a registry, one user after the other.
func keyring(t *testing.T, host string, passwords ...string) dockpod.Keyring {
	t.Helper()
	var rings []dockpod.Keyring
	for _, p := range passwords {
		config, err := json.Marshal(map[string]any{"auths": map[string]any{
			host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("robot:" + p))},
		}})
		if err != nil {
			t.Fatal(err)
		}
		ring, err := dockpod.SecretKeyring(dockpod.SecretDockerConfigJSON, config)
		if err != nil {
			t.Fatal(err)
		}
		rings = append(rings, ring)
	}
	return dockpod.Keyrings(rings...)
}

func TestPullByTagAndDigest(t *testing.T) {
	rt, r := engine(t), serve(t, Open)
	ref, digest := push(t, r, "app:1", 1000)
	byTag, err := pull(t, rt, ref, dockpod.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := r.Host + "/app@" + digest.String()
	if len(byTag.RepoDigests) != 1 || byTag.RepoDigests[0] != want {
		t.Errorf("digests are %v; want %s", byTag.RepoDigests, want)
	}
	byDigest, err := rt.PullImage(t.Context(), want, dockpod.PullOptions{})
	if err != nil || byDigest.ID != byTag.ID {
		t.Errorf("by digest: %s, %v; want %s", byDigest.ID, err, byTag.ID)
	}
}

func TestPullWithCredentials(t *testing.T) {
	for _, auth := range []Auth{Basic, Token} {
		t.Run(string(auth), func(t *testing.T) {
			rt, r := engine(t), serve(t, auth)
			ref, _ := push(t, r, "private/app:1", 1000)

			_, err := pull(t, rt, ref, dockpod.PullOptions{})
			fails(t, err, dockpod.ErrPullUnauthorized)
			_, err = pull(t, rt, ref, dockpod.PullOptions{Keyring: keyring(t, r.Host, "wrong", "wrong-too")})
			fails(t, err, dockpod.ErrPullUnauthorized)

			before := r.Requests("/blobs/")
			if _, err := pull(t, rt, ref, dockpod.PullOptions{Keyring: keyring(t, r.Host, "wrong", "correct-horse", "never-tried")}); err != nil {
				t.Fatalf("with the second of three: %v", err)
			}
			if r.Requests("/blobs/") == before {
				t.Error("no layer was fetched")
			}
		})
	}
}

func TestPullMovedAndRemovedTag(t *testing.T) {
	rt, r := engine(t), serve(t, Open)
	ref, _ := push(t, r, "app:latest", 1000)
	first, err := pull(t, rt, ref, dockpod.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	push(t, r, "app:latest", 1000)
	if kept, err := rt.EnsureImage(t.Context(), ref, dockpod.PullIfNotPresent, dockpod.PullOptions{}); err != nil || kept.ID != first.ID {
		t.Errorf("IfNotPresent: %s, %v; want %s", kept.ID, err, first.ID)
	}
	second, err := pull(t, rt, ref, dockpod.PullOptions{})
	if err != nil || second.ID == first.ID {
		t.Errorf("the moved tag: %s, %v; want another image than %s", second.ID, err, first.ID)
	}
	if err := r.Delete("app:latest"); err != nil {
		t.Fatal(err)
	}
	_, err = pull(t, rt, ref, dockpod.PullOptions{})
	fails(t, err, dockpod.ErrManifestUnknown)
	if !errdefs.IsNotFound(err) {
		t.Errorf("%v is not of the class NotFound", err)
	}
}

// page is what a proxy before a dead registry sends.
const page = "<!doctype html><html><body><h1>Service Unavailable</h1><svg>" + "padding padding padding padding" + "</svg></body></html>"

func TestPullRefusals(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"502 with HTML", 502, page, dockpod.ErrRegistryUnavailable},
		{"503 with HTML", 503, strings.Repeat(page, 100), dockpod.ErrRegistryUnavailable},
		{"504 with HTML", 504, page, dockpod.ErrRegistryUnavailable},
		{"429", 429, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`, dockpod.ErrRateLimited},
		{"403", 403, `{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}`, dockpod.ErrPullUnauthorized},
	} {
		t.Run(test.name, func(t *testing.T) {
			rt, r := engine(t), serve(t, Open)
			ref, _ := push(t, r, "app:1", 1000)
			r.SetFault(func(w http.ResponseWriter, req *http.Request) bool {
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
				return true
			})
			_, err := pull(t, rt, ref, dockpod.PullOptions{})
			fails(t, err, test.want)
			if !strings.Contains(err.Error(), r.Host) {
				t.Errorf("%v does not name the registry", err)
			}
		})
	}
}

// half answers a layer's request with half of the layer.
func half(w http.ResponseWriter, size int) {
	w.Header().Set("Content-Length", fmt.Sprint(size))
	w.WriteHeader(http.StatusOK)
	w.Write(make([]byte, size/2))
	w.(http.Flusher).Flush()
}

func TestPullStall(t *testing.T) {
	rt, r := engine(t), serve(t, Open)
	ref, _ := push(t, r, "app:1", 1<<20)
	end := make(chan struct{})
	t.Cleanup(func() { close(end) }) // before the registry is closed, which waits
	r.SetFault(func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.Contains(req.URL.Path, "/blobs/") {
			return false
		}
		half(w, 1<<20)
		select {
		case <-end:
		case <-req.Context().Done():
		}
		return true
	})
	start := time.Now()
	_, err := pull(t, rt, ref, dockpod.PullOptions{Stall: 3 * time.Second})
	fails(t, err, dockpod.ErrPullStalled)
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("the stall of 3s was noticed after %v", took)
	}
	var stalled *dockpod.PullStalledError
	if !errors.As(err, &stalled) || stalled.Progress.Ref != ref {
		t.Errorf("%v does not tell how far it got", err)
	}
}

func TestPullFromARegistryThatDies(t *testing.T) {
	rt, r := engine(t), NewRegistry(Open, "", "")
	ref, _ := push(t, r, "app:1", 1<<20)
	var once sync.Once
	r.SetFault(func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.Contains(req.URL.Path, "/blobs/") {
			return false
		}
		half(w, 1<<20)
		once.Do(func() { go r.Die() })
		<-req.Context().Done()
		return true
	})
	// The engine tries a layer five times, with pauses that grow.
	_, err := pull(t, rt, ref, dockpod.PullOptions{})
	if !errdefs.IsUnavailable(err) && !errors.Is(err, dockpod.ErrPullStalled) {
		t.Fatalf("error is %v; want one of the class Unavailable, or a stall", err)
	}
	fails(t, err, err)
	if _, err := rt.ImageStatus(t.Context(), ref); !errors.Is(err, dockpod.ErrImageNotFound) {
		t.Errorf("the image is there: %v", err)
	}
}

func TestPullIsShared(t *testing.T) {
	rt, r := engine(t), serve(t, Open)
	ref, _ := push(t, r, "alone:1", 1<<18)
	if _, err := pull(t, rt, ref, dockpod.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	one := r.Requests("/alone/manifests/1")

	ref, _ = push(t, r, "shared:1", 1<<18)
	pushed := r.Requests("/shared/manifests/1")
	hold := make(chan struct{})
	r.SetFault(func(w http.ResponseWriter, req *http.Request) bool {
		if strings.Contains(req.URL.Path, "/blobs/") {
			<-hold
		}
		return false
	})
	const callers = 32
	var wg, joined sync.WaitGroup
	joined.Add(callers)
	errs := make([]error, callers)
	for i := range callers {
		wg.Go(func() {
			var first sync.Once
			_, errs[i] = rt.PullImage(t.Context(), ref, dockpod.PullOptions{
				Progress: func(dockpod.PullProgress) { first.Do(joined.Done) },
			})
		})
	}
	joined.Wait() // each has been shown some progress, and no layer came yet
	close(hold)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { rt.RemoveImage(context.WithoutCancel(t.Context()), ref) })
	if got, want := r.Requests("/shared/manifests/1")-pushed, one-pushed; got > want {
		t.Errorf("%d callers made %d requests for the manifest; one makes %d", callers, got, want)
	}
}

func TestPullProgress(t *testing.T) {
	rt, r := engine(t), serve(t, Open)
	ref, _ := push(t, r, "app:1", 1<<20)
	var last dockpod.PullProgress
	calls := 0
	_, err := pull(t, rt, ref, dockpod.PullOptions{
		ProgressInterval: 10 * time.Millisecond,
		Progress:         func(p dockpod.PullProgress) { last, calls = p, calls+1 },
	})
	if err != nil {
		t.Fatal(err)
	}
	if last.Phase != dockpod.PullDone || len(last.Layers) != 2 || last.Current != last.Total || calls < 2 {
		t.Errorf("after %d calls the last progress is %+v", calls, last)
	}
}
