package pause_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod/internal/pause"
)

// The image on the engine that is there: it loads, also a second time, it is
// what [pause.ConfigDigest] says, it runs, and it stops at once with status 0.
// The image stays on the engine, as it does when a pod has used it.
func TestEngine(t *testing.T) {
	e := dial(t)

	var version struct {
		Arch       string
		Components []struct{ Name string }
	}
	e.call("GET", "/version", nil, &version)
	archive, ref, err := pause.Archive(version.Arch)
	if err != nil {
		t.Skipf("not exercised: loading and running the image: %v", err)
	}
	for range 2 {
		if answer := e.call("POST", "/images/load", archive, nil); bytes.Contains(answer, []byte(`"error`)) {
			t.Fatalf("load: %s", answer)
		}
	}

	type config struct {
		Entrypoint []string
		Labels     map[string]string
		StopSignal string
	}
	var image struct {
		ID               string
		RepoTags         []string
		Architecture, OS string
		Created          time.Time
		Config           config
		Descriptor       *struct{} // present with the containerd image store
	}
	e.call("GET", "/images/"+ref+"/json", nil, &image)
	want := config{
		Entrypoint: []string{"/pause"},
		Labels:     map[string]string{pause.Label: pause.Digest(version.Arch)},
		StopSignal: "SIGTERM",
	}
	if diff := cmp.Diff(want, image.Config); diff != "" {
		t.Errorf("config mismatch (-want +got):\n%s", diff)
	}
	if image.Architecture != version.Arch || image.OS != "linux" || !image.Created.Equal(time.Unix(0, 0)) || !slices.Contains(image.RepoTags, ref) {
		t.Errorf("image is %s/%s, created %v, with tags %q", image.OS, image.Architecture, image.Created, image.RepoTags)
	}
	id, err := pause.ConfigDigest(version.Arch)
	if err != nil {
		t.Fatal(err)
	}
	if image.Descriptor == nil && strings.TrimPrefix(image.ID, "sha256:") != strings.TrimPrefix(id, "sha256:") {
		t.Errorf("image ID = %q, want %q", image.ID, id)
	}

	var container struct{ ID string }
	e.call("POST", "/containers/create", []byte(`{"Image":"`+ref+`","HostConfig":{"NetworkMode":"none"}}`), &container)
	path := "/containers/" + container.ID
	t.Cleanup(func() { e.call("DELETE", path+"?force=true", nil, nil) })
	e.call("POST", path+"/start", nil, nil)
	// A start is answered while the process may still be the OCI runtime's own,
	// which has its own way with signals: runc ends with status 2. Docker asks
	// the host's ps for the name of the process, Podman reads /proc.
	top := path + "/top?ps_args=-eo+pid,comm"
	if len(version.Components) > 0 && version.Components[0].Name == "Podman Engine" {
		top = path + "/top?ps_args=pid,comm"
	}
	begin := time.Now()
	for !bytes.Contains(e.call("GET", top, nil, nil), []byte(`"pause"`)) {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("the program does not run 10 s after its start")
		}
	}
	begin = time.Now()
	e.call("POST", path+"/stop?t=30", nil, nil)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("stop took %v: the program did not end on SIGTERM", took)
	}
	type state struct {
		Status   string
		ExitCode int
	}
	var stopped struct{ State state }
	e.call("GET", path+"/json", nil, &stopped)
	if diff := cmp.Diff(state{"exited", 0}, stopped.State); diff != "" {
		t.Errorf("state mismatch (-want +got):\n%s", diff)
	}
}

// An engine behind a Unix socket, spoken to in plain HTTP: the package depends
// on nothing but the standard library.
type engine struct {
	t    *testing.T
	http http.Client
}

// dial returns the engine of DOCKER_HOST or of the default socket, and skips the
// test if it does not answer, unless DOCKPOD_REQUIRE_ENGINE=1.
func dial(t *testing.T) *engine {
	t.Helper()
	socket := "/var/run/docker.sock"
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		u, err := url.Parse(host)
		if err != nil || u.Scheme != "unix" {
			t.Skipf("not exercised: loading and running the image: DOCKER_HOST is no unix:// address")
		}
		socket = u.Path
	}
	e := &engine{t, http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			},
		},
	}}
	t.Cleanup(e.http.CloseIdleConnections)
	resp, err := e.http.Get("http://engine/_ping")
	if err != nil {
		if os.Getenv("DOCKPOD_REQUIRE_ENGINE") == "1" {
			t.Fatal(err)
		}
		t.Skipf("not exercised: loading and running the image: %v", err)
	}
	resp.Body.Close()
	return e
}

// call sends a request and returns the answer, decoded into a value if there is
// one; any status but success fails the test.
func (e *engine) call(method, path string, body []byte, into any) []byte {
	e.t.Helper()
	req, err := http.NewRequest(method, "http://engine"+path, bytes.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if path == "/images/load" {
		req.Header.Set("Content-Type", "application/x-tar")
	}
	resp, err := e.http.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	if resp.StatusCode >= 300 {
		e.t.Fatalf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			e.t.Fatalf("%s %s: %v in %s", method, path, err, answer)
		}
	}
	return answer
}
