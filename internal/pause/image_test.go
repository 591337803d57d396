package pause_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod/internal/pause"
)

// Engines hold images under these names. A change here is a new image on every
// node: right if the program or the configuration was meant to change.
func TestArchiveNames(t *testing.T) {
	for _, tt := range []struct{ arch, ref, config string }{
		{"amd64", "dockpod.io/pause:9249ffafc9cf", "sha256:effcb1b84f89990d7257171adc1905e2c3360f4fa123cce1b4640abae63ea3c7"},
		{"arm64", "dockpod.io/pause:a534fdbae3cd", "sha256:45878a9af24debcf1c0b4c6d4cbb185a0ade358c1ebb897faf06bdde4ba8ce95"},
	} {
		t.Run(tt.arch, func(t *testing.T) {
			_, ref, err := pause.Archive(tt.arch)
			if err != nil {
				t.Fatal(err)
			}
			if ref != tt.ref {
				t.Errorf("reference = %q, want %q", ref, tt.ref)
			}
			config, err := pause.ConfigDigest(tt.arch)
			if err != nil {
				t.Fatal(err)
			}
			if config != tt.config {
				t.Errorf("ConfigDigest = %q, want %q", config, tt.config)
			}
		})
	}
}

// The archive, read as an engine reads it: from manifest.json to the
// configuration and the layer, each digest checked.
func TestArchive(t *testing.T) {
	for _, tt := range []struct{ arch, goarch string }{
		{"amd64", "amd64"}, {"x86_64", "amd64"}, {"arm64", "arm64"}, {"aarch64", "arm64"},
	} {
		t.Run(tt.arch, func(t *testing.T) {
			archive, ref, err := pause.Archive(tt.arch)
			if err != nil {
				t.Fatal(err)
			}
			files := untar(t, archive)

			var manifests []struct {
				Config           string
				RepoTags, Layers []string
			}
			unmarshal(t, files["manifest.json"].data, &manifests)
			if len(manifests) != 1 || len(manifests[0].Layers) != 1 || len(files) != 3 {
				t.Fatalf("%d files, manifest %+v; want one image of one layer", len(files), manifests)
			}
			m := manifests[0]
			if diff := cmp.Diff([]string{ref}, m.RepoTags); diff != "" {
				t.Errorf("RepoTags mismatch (-want +got):\n%s", diff)
			}
			if got, _ := pause.ConfigDigest(tt.arch); got != sha(files[m.Config].data) {
				t.Errorf("ConfigDigest = %q, the archive has %q", got, sha(files[m.Config].data))
			}

			var config any
			unmarshal(t, files[m.Config].data, &config)
			want := map[string]any{
				"architecture": tt.goarch,
				"os":           "linux",
				"created":      "1970-01-01T00:00:00Z",
				"config": map[string]any{
					"Entrypoint": []any{"/pause"},
					"Labels":     map[string]any{"io.dockpod.pause": pause.Digest(tt.goarch)},
					"StopSignal": "SIGTERM",
				},
				"rootfs": map[string]any{
					"type":     "layers",
					"diff_ids": []any{sha(files[m.Layers[0]].data)},
				},
				"history": []any{
					map[string]any{"created": "1970-01-01T00:00:00Z", "created_by": "dockpod"},
				},
			}
			if diff := cmp.Diff(want, config); diff != "" {
				t.Errorf("configuration mismatch (-want +got):\n%s", diff)
			}

			layer := untar(t, files[m.Layers[0]].data)
			program, _ := pause.Program(tt.arch)
			if f := layer["pause"]; len(layer) != 1 || f.mode != 0o755 || !bytes.Equal(f.data, program) {
				t.Errorf("layer has %d files and pause with mode %#o and %d bytes; want it alone, 0755, the program", len(layer), f.mode, len(f.data))
			}
		})
	}
}

func TestArchiveIsTheSameTwice(t *testing.T) {
	first, _, err := pause.Archive("arm64")
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := pause.Archive("aarch64")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("two archives of one image differ")
	}
}

func TestArchiveUnsupported(t *testing.T) {
	if archive, ref, err := pause.Archive("s390x"); !errors.Is(err, errors.ErrUnsupported) || archive != nil || ref != "" {
		t.Errorf("Archive = %d bytes, %q, %v; want ErrUnsupported alone", len(archive), ref, err)
	}
	if digest, err := pause.ConfigDigest("s390x"); !errors.Is(err, errors.ErrUnsupported) || digest != "" {
		t.Errorf("ConfigDigest = %q, %v; want ErrUnsupported alone", digest, err)
	}
}

type tarFile struct {
	mode int64
	data []byte
}

// untar returns the files of an archive, and fails the test for one that is not
// root's own plain file from the epoch.
func untar(t *testing.T, archive []byte) map[string]tarFile {
	t.Helper()
	files := map[string]tarFile{}
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg || h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s has type %q, owner %d:%d, time %v", h.Name, h.Typeflag, h.Uid, h.Gid, h.ModTime)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = tarFile{h.Mode, data}
	}
}

func unmarshal(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
}

func sha(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }
