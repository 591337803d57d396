package dockpod

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/opencontainers/go-digest"

	"github.com/dockpod/dockpod/internal/testengine"
)

// testRegistry serves one image under every name, and what a test has it do
// instead.
type testRegistry struct {
	host     string
	manifest []byte
	layers   []digest.Digest
	blobs    map[digest.Digest][]byte
	bytes    int64 // of the layers

	mu    sync.Mutex
	fault http.HandlerFunc // answers, or panics with errNoFault to have the registry answer
	gets  int              // manifests that were sent
}

// errNoFault is the panic of a fault that leaves a request alone.
var errNoFault = errors.New("no fault")

// newTestRegistry starts a registry whose image has layers of random content,
// which no engine has yet.
func newTestRegistry(t *testing.T, layers, size int) *testRegistry {
	t.Helper()
	reg := &testRegistry{blobs: map[digest.Digest][]byte{}}
	type descriptor struct {
		MediaType string        `json:"mediaType"`
		Size      int           `json:"size"`
		Digest    digest.Digest `json:"digest"`
	}
	const kind = "application/vnd.docker."
	add := func(mediaType string, content []byte) descriptor {
		d := digest.FromBytes(content)
		reg.blobs[d] = content
		return descriptor{kind + mediaType, len(content), d}
	}
	var list []descriptor
	var diffs []digest.Digest
	for i := range layers {
		var plain, zipped bytes.Buffer
		content := make([]byte, size)
		rand.Read(content)
		tw := tar.NewWriter(&plain)
		tw.WriteHeader(&tar.Header{Name: fmt.Sprintf("file%d", i), Mode: 0o644, Size: int64(size)})
		tw.Write(content)
		tw.Close()
		diffs = append(diffs, digest.FromBytes(plain.Bytes()))
		zw := gzip.NewWriter(&zipped)
		zw.Write(plain.Bytes())
		zw.Close()
		l := add("image.rootfs.diff.tar.gzip", zipped.Bytes())
		list = append(list, l)
		reg.layers = append(reg.layers, l.Digest)
		reg.bytes += int64(l.Size)
	}
	config := add("container.image.v1+json", marshal(t, map[string]any{
		"os": "linux", "architecture": "amd64", "config": map[string]any{"Cmd": []string{"/file0"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	}))
	reg.manifest = marshal(t, map[string]any{
		"schemaVersion": 2, "mediaType": kind + "distribution.manifest.v2+json", "config": config, "layers": list,
	})
	srv := httptest.NewServer(reg)
	t.Cleanup(func() {
		srv.Listener.Close() // first: who is cut comes again at once
		srv.CloseClientConnections()
		srv.Close()
	})
	reg.host = srv.Listener.Addr().String()
	return reg
}

func (reg *testRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reg.mu.Lock()
	fault := reg.fault
	reg.mu.Unlock()
	if fault != nil && !passes(fault, w, r) {
		return
	}
	content, kind := reg.blobs[digest.Digest(path.Base(r.URL.Path))], "application/octet-stream"
	switch {
	case r.URL.Path == "/v2/":
		content = []byte("{}")
	case isManifest(r):
		content, kind = reg.manifest, "application/vnd.docker.distribution.manifest.v2+json"
		w.Header().Set("Docker-Content-Digest", digest.FromBytes(content).String())
		if r.Method == http.MethodGet {
			reg.mu.Lock()
			reg.gets++
			reg.mu.Unlock()
		}
	case content == nil:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	if r.Method != http.MethodHead {
		w.Write(content)
	}
}

// passes reports whether the fault left the request alone.
func passes(fault http.HandlerFunc, w http.ResponseWriter, r *http.Request) (pass bool) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case errNoFault:
			pass = true
		default:
			panic(v)
		}
	}()
	fault(w, r)
	return false
}

func isManifest(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/") }

func (reg *testRegistry) setFault(f http.HandlerFunc) {
	reg.mu.Lock()
	defer reg.mu.Unlock()
	reg.fault = f
}

// onManifest answers a request for a manifest.
func onManifest(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !isManifest(r) {
			panic(errNoFault)
		}
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// onLayer has write answer the request for the last layer.
func (reg *testRegistry) onLayer(write func(w http.ResponseWriter, r *http.Request, content []byte)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		last := reg.layers[len(reg.layers)-1]
		if digest.Digest(path.Base(r.URL.Path)) != last || r.Method != http.MethodGet {
			panic(errNoFault)
		}
		content := reg.blobs[last]
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		write(w, r, content)
	}
}

// ref is a name that no other test uses, removed from the engine in the end.
func (reg *testRegistry) ref(t *testing.T, docker client.ImageAPIClient) string {
	t.Helper()
	random := make([]byte, 6)
	rand.Read(random)
	ref := reg.host + "/dockpod/test:" + hex.EncodeToString(random)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		docker.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true}) // most often it is not there
	})
	return ref
}

// pullEngines runs f on the engines of testengine, as far as they pull from a
// registry on the loopback without TLS.
func pullEngines(t *testing.T, f func(t *testing.T, docker *client.Client)) {
	testengine.Each(t, func(t *testing.T, e testengine.Engine) {
		reg := newTestRegistry(t, 1, 1000)
		rt := New(e.Client, WithRequestTimeout(10*time.Second))
		_, err := rt.PullImage(t.Context(), reg.ref(t, e.Client), PullOptions{})
		switch {
		case err != nil && e.Required:
			t.Fatal(err)
		case err != nil:
			t.Skipf("NOT run, for the engine does not pull from this machine's loopback: %v", err)
		}
		f(t, e.Client)
	})
}

func TestEnginePull(t *testing.T) {
	pullEngines(t, func(t *testing.T, docker *client.Client) {
		reg := newTestRegistry(t, 3, 3<<20)
		ref := reg.ref(t, docker)
		rt := New(docker)
		// Slowly, and no faster than all callers have come.
		const callers = 8
		var wg, coming sync.WaitGroup
		coming.Add(callers)
		come := make(chan struct{})
		go func() { coming.Wait(); close(come) }()
		reg.setFault(reg.onLayer(func(w http.ResponseWriter, r *http.Request, content []byte) {
			for part := range slices.Chunk(content, len(content)/10) {
				w.Write(part)
				w.(http.Flusher).Flush()
				select {
				case <-time.After(20 * time.Millisecond):
				case <-r.Context().Done():
				}
				select {
				case <-come:
				case <-r.Context().Done():
				}
			}
		}))
		for range callers {
			wg.Go(func() {
				var seen []PullProgress
				came := sync.OnceFunc(coming.Done)
				defer came() // should it fail
				img, err := rt.PullImage(t.Context(), ref, PullOptions{ProgressInterval: 20 * time.Millisecond, Progress: func(p PullProgress) {
					came()
					checkProgress(t, p)
					seen = append(seen, p)
				}})
				if err != nil {
					t.Error(err)
					return
				}
				if !MatchImageRef(img, ref) || img.Size == 0 {
					t.Errorf("got %+v", img)
				}
				last := seen[len(seen)-1]
				if last.Phase != PullDone || len(last.Layers) < 3 || last.Current != last.Total || last.Total > reg.bytes {
					t.Errorf("in the end: %+v; want 3 layers of %d bytes at most", last, reg.bytes)
				}
				for i, p := range seen {
					if (p.Phase == PullDone) != (i == len(seen)-1) || p.Ref != ref {
						t.Errorf("progress %d of %d: %v", i+1, len(seen), p)
					}
				}
			})
		}
		wg.Wait()
		reg.mu.Lock()
		defer reg.mu.Unlock()
		if reg.gets != 1 {
			t.Errorf("the manifest was fetched %d times, want once for all callers", reg.gets)
		}
	})
}

// A registry that stops in the middle of a layer, or before any answer. The
// engine is left in order: the next try succeeds. That Docker 20.10 keeps its
// connection to the registry for minutes is its own matter.
func TestEnginePullStalls(t *testing.T) {
	pullEngines(t, func(t *testing.T, docker *client.Client) {
		for _, tt := range []struct {
			name  string
			fault func(*testRegistry) http.HandlerFunc
			last  func(PullProgress) bool
		}{
			{"in a layer", func(reg *testRegistry) http.HandlerFunc {
				return reg.onLayer(func(w http.ResponseWriter, r *http.Request, content []byte) {
					w.Write(content[:len(content)/2])
					w.(http.Flusher).Flush()
					<-r.Context().Done()
				})
			}, func(p PullProgress) bool { return len(p.Layers) >= 2 && p.Phase != PullDone }},
			{"before any answer", func(*testRegistry) http.HandlerFunc {
				return func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
			}, func(p PullProgress) bool { return p.Layers == nil && p.Phase == PullWaiting }},
		} {
			t.Run(tt.name, func(t *testing.T) {
				reg := newTestRegistry(t, 2, 4<<20)
				ref := reg.ref(t, docker)
				reg.setFault(tt.fault(reg))
				rt := New(docker)
				begun := time.Now()
				const stall = 3 * time.Second
				_, err := rt.PullImage(t.Context(), ref, PullOptions{Stall: stall})
				var stalled *PullStalledError
				if !errors.As(err, &stalled) || !tt.last(stalled.Progress) {
					t.Fatalf("got %v, want a *PullStalledError with the last progress", err)
				}
				if took := time.Since(begun); took < stall || took > 10*stall {
					t.Errorf("took %v, with a limit of %v", took, stall)
				}
				reg.setFault(nil)
				if _, err := rt.PullImage(t.Context(), ref, PullOptions{}); err != nil {
					t.Errorf("the next try: %v", err)
				}
			})
		}
	})
}

func TestEnginePullCredentials(t *testing.T) {
	pullEngines(t, func(t *testing.T, docker *client.Client) {
		reg := newTestRegistry(t, 1, 1000)
		reg.setFault(func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user == "user-bob" && password == "s3cret-user-bob" {
				panic(errNoFault)
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
		})
		ref := reg.ref(t, docker)
		for _, tt := range []struct {
			name  string
			users []string
			want  error
			say   string
		}{
			{"none", nil, ErrPullUnauthorized, "no credentials for " + reg.host + " are known"},
			{"wrong ones", []string{"user-ada", "user-eve"}, ErrPullUnauthorized, "credential 2 of 2: "},
			{"the right one last", []string{"user-ada", "user-bob"}, nil, ""},
		} {
			_, err := New(docker, WithKeyring(users(tt.users...))).PullImage(t.Context(), ref, PullOptions{})
			if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.say) || strings.Contains(err.Error(), "s3cret")) {
				t.Errorf("%s: %q; want %q in it, and no secret", tt.name, err, tt.say)
			}
		}
	})
}

// What goes wrong at a registry, as each engine tells it.
func TestEnginePullErrors(t *testing.T) {
	const page = "<!doctype html><html><head><title>Oops</title></head><body>no</body></html>"
	refused := func(code, message string) string {
		text, _ := json.Marshal(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
		return string(text)
	}
	pullEngines(t, func(t *testing.T, docker *client.Client) {
		version, err := New(docker).Version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, isPodman := version.Components["Podman Engine"]
		for _, tt := range []struct {
			name  string
			fault func(*testRegistry) http.HandlerFunc
			want  error
		}{
			{"403", func(*testRegistry) http.HandlerFunc {
				return onManifest(403, "application/json", refused("DENIED", "requested access to the resource is denied"))
			}, ErrPullUnauthorized},
			{"404, manifest", func(*testRegistry) http.HandlerFunc {
				return onManifest(404, "application/json", refused("MANIFEST_UNKNOWN", "manifest unknown"))
			}, ErrManifestUnknown},
			{"404, name", func(*testRegistry) http.HandlerFunc {
				return onManifest(404, "application/json", refused("NAME_UNKNOWN", "repository name not known to registry"))
			}, ErrManifestUnknown},
			{"429", func(*testRegistry) http.HandlerFunc {
				return onManifest(429, "application/json", refused("TOOMANYREQUESTS", "you have reached your pull rate limit"))
			}, ErrRateLimited},
			{"502", func(*testRegistry) http.HandlerFunc { return onManifest(502, "text/html", page) }, ErrRegistryUnavailable},
			{"503", func(*testRegistry) http.HandlerFunc { return onManifest(503, "text/html", page) }, ErrRegistryUnavailable},
			{"504", func(*testRegistry) http.HandlerFunc { return onManifest(504, "text/html", page) }, ErrRegistryUnavailable},
			{"200, a page", func(*testRegistry) http.HandlerFunc { return onManifest(200, "text/html", page) }, ErrRegistryUnavailable},
			{"a manifest cut short", func(*testRegistry) http.HandlerFunc {
				return func(_ http.ResponseWriter, r *http.Request) {
					if isManifest(r) {
						panic(http.ErrAbortHandler)
					}
					panic(errNoFault)
				}
			}, ErrRegistryUnavailable},
			{"another layer", func(reg *testRegistry) http.HandlerFunc {
				return reg.onLayer(func(w http.ResponseWriter, _ *http.Request, content []byte) {
					w.Write(bytes.Repeat([]byte{'x'}, len(content)))
				})
			}, ErrImageCorrupt},
		} {
			t.Run(tt.name, func(t *testing.T) {
				reg := newTestRegistry(t, 2, 1000)
				reg.setFault(tt.fault(reg))
				ref := reg.ref(t, docker)
				want := tt.want
				if isPodman && want == ErrRateLimited {
					want = ErrPullStalled // it tries again and again in silence
				}
				_, err := New(docker).PullImage(t.Context(), ref, PullOptions{Stall: 10 * time.Second})
				var e *Error
				if !errors.Is(err, want) || !errors.As(err, &e) || e.Target != ref {
					t.Fatalf("got %v, want %v", err, want)
				}
				if text := e.Err.Error(); !strings.Contains(text, "registry "+reg.host) || len(text) > 1000 || pageStart.MatchString(text) {
					t.Errorf("%q; want a short text with the registry in it", text)
				}
			})
		}
		t.Run("nobody listens", func(t *testing.T) {
			reg := newTestRegistry(t, 1, 1)
			srv := httptest.NewServer(nil)
			reg.host = srv.Listener.Addr().String()
			srv.Close()
			_, err := New(docker).PullImage(t.Context(), reg.ref(t, docker), PullOptions{})
			if !errors.Is(err, ErrRegistryUnavailable) || !strings.Contains(err.Error(), "registry "+reg.host+": ") {
				t.Errorf("got %v, want ErrRegistryUnavailable", err)
			}
		})
		t.Run("no such host", func(t *testing.T) {
			_, err := New(docker).PullImage(t.Context(), "dockpod.invalid/a:1", PullOptions{})
			if !errors.Is(err, ErrRegistryUnavailable) || !strings.Contains(err.Error(), "registry dockpod.invalid: ") {
				t.Errorf("got %v, want ErrRegistryUnavailable", err)
			}
		})
	})
}
