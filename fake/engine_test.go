package fake_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/dockpod/dockpod/fake"
)

type (
	config = container.Config
	host   = container.HostConfig
)

// newEngine returns an engine with the image "app:1", whose files are not
// known.
func newEngine(t *testing.T) *fake.Docker {
	t.Helper()
	d := &fake.Docker{}
	t.Cleanup(func() { d.Close() })
	d.AddImage("app:1")
	return d
}

// create makes a container of "app:1" unless cfg says otherwise.
func create(t *testing.T, d *fake.Docker, name string, cfg config, h *host) string {
	t.Helper()
	if cfg.Image == "" {
		cfg.Image = "app:1"
	}
	r, err := d.ContainerCreate(t.Context(), &cfg, h, nil, nil, name)
	if err != nil {
		t.Fatalf("create %q: %v", name, err)
	}
	return r.ID
}

func start(t *testing.T, d *fake.Docker, id string) {
	t.Helper()
	if err := d.ContainerStart(t.Context(), id, container.StartOptions{}); err != nil {
		t.Fatalf("start %q: %v", id, err)
	}
}

// run creates and starts a container that runs until it is stopped.
func run(t *testing.T, d *fake.Docker, name string, h *host, cmd ...string) string {
	t.Helper()
	id := create(t, d, name, config{Cmd: cmd}, h)
	start(t, d, id)
	return id
}

func inspect(t *testing.T, d *fake.Docker, id string) container.InspectResponse {
	t.Helper()
	c, err := d.ContainerInspect(t.Context(), id)
	if err != nil {
		t.Fatalf("inspect %q: %v", id, err)
	}
	return c
}

// waitExit waits for a container that runs and returns its exit code.
func waitExit(t *testing.T, d *fake.Docker, id string) int {
	t.Helper()
	results, errs := d.ContainerWait(t.Context(), id, container.WaitConditionNotRunning)
	select {
	case r := <-results:
		return int(r.StatusCode)
	case err := <-errs:
		t.Fatalf("wait for %q: %v", id, err)
	}
	return 0
}

// readLogs returns the text of a log by stream.
func readLogs(t *testing.T, d *fake.Docker, id string, o container.LogsOptions) (stdout, stderr string) {
	t.Helper()
	r, err := d.ContainerLogs(t.Context(), id, o)
	if err != nil {
		t.Fatalf("logs of %q: %v", id, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read logs of %q: %v", id, err)
	}
	return demux(t, b)
}

// demux takes Docker's frames apart.
func demux(t *testing.T, b []byte) (stdout, stderr string) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 8 {
			t.Fatalf("a frame is cut short: %q", b)
		}
		n := int(b[4])<<24 | int(b[5])<<16 | int(b[6])<<8 | int(b[7])
		switch b[0] {
		case 1:
			stdout += string(b[8 : 8+n])
		case 2:
			stderr += string(b[8 : 8+n])
		default:
			t.Fatalf("frame of stream %d", b[0])
		}
		b = b[8+n:]
	}
	return stdout, stderr
}

// class is the class of an error in one word, as errdefs sees it.
func class(err error) string {
	switch {
	case err == nil:
		return "nil"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errdefs.IsNotFound(err):
		return "404"
	case errdefs.IsInvalidArgument(err):
		return "400"
	case errdefs.IsConflict(err):
		return "409"
	case errdefs.IsInternal(err):
		return "500"
	case errdefs.IsNotImplemented(err):
		return "501"
	}
	return "unclassified"
}

// wantErr checks class and text. The engine's prefix is added to text, save
// for errors that the client makes, which have class "unclassified".
func wantErr(t *testing.T, what string, err error, wantClass, text string) {
	t.Helper()
	if wantClass == "nil" {
		if err != nil {
			t.Errorf("%s: %v, want nil", what, err)
		}
		return
	}
	if err == nil {
		t.Errorf("%s: nil, want %s %q", what, wantClass, text)
		return
	}
	if wantClass != "unclassified" {
		text = "Error response from daemon: " + text
	}
	if got := class(err); got != wantClass || err.Error() != text {
		t.Errorf("%s:\n got %s %q\nwant %s %q", what, got, err, wantClass, text)
	}
}

func ptr[T any](v T) *T { return &v }

// member is a file of an archive.
type member struct {
	name string
	mode int64
	body string
}

func tarOf(members ...member) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: m.name, Mode: m.mode, Size: int64(len(m.body))})
		_, _ = w.Write([]byte(m.body))
	}
	w.Close()
	return b.Bytes()
}

func sha(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// archive is an image as "docker save" writes it, and its ID.
func archive(t *testing.T, cfg config, layers [][]byte, tags ...string) (_ []byte, id string) {
	t.Helper()
	var diffs, names []string
	var history []map[string]any
	var members []member
	for i, l := range layers {
		diffs = append(diffs, "sha256:"+sha(l))
		names = append(names, sha(l)+"/layer.tar")
		history = append(history, map[string]any{"created": "2020-01-02T03:04:05Z", "created_by": fmt.Sprint("step ", i)})
		members = append(members, member{names[i], 0o644, string(l)})
	}
	history = append(history, map[string]any{"created": "2020-01-02T03:04:06Z", "created_by": "meta", "empty_layer": true, "comment": "last"})
	raw, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "created": "2020-01-02T03:04:06Z", "config": cfg,
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs}, "history": history,
	})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": sha(raw) + ".json", "RepoTags": tags, "Layers": names}})
	if err != nil {
		t.Fatal(err)
	}
	members = append(members, member{sha(raw) + ".json", 0o644, string(raw)}, member{"manifest.json", 0o644, string(manifest)})
	return tarOf(members...), "sha256:" + sha(raw)
}

// boxLayer has a program, a file that is none, and two accounts.
func boxLayer() []byte {
	return tarOf(
		member{"bin/box", 0o755, "program"},
		member{"data", 0o644, "no program"},
		member{"etc/passwd", 0o644, "root:x:0:0::/root:/bin/box\nalice:x:1000:1000::/home/alice:/bin/box\n"},
	)
}

// load loads an archive and returns the text of the answer.
func load(t *testing.T, d *fake.Docker, b []byte) string {
	t.Helper()
	r, err := d.ImageLoad(t.Context(), bytes.NewReader(b))
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || !r.JSON {
		t.Fatalf("read the answer of a load: %v, JSON %v", err, r.JSON)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// loadBox loads an image with boxLayer as "box:1".
func loadBox(t *testing.T, d *fake.Docker) (id string) {
	t.Helper()
	b, id := archive(t, config{Entrypoint: []string{"/bin/box"}, Cmd: []string{"serve"}, Env: []string{"PATH=/bin", "A=1"}}, [][]byte{boxLayer()}, "box:1")
	load(t, d, b)
	return id
}

func num(n int64) string { return fmt.Sprint(n) }
