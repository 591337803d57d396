// Package imagetar writes small images as archives for "docker load": the
// built-in pause image, and those that tests and examples bring along so that
// they need no registry.
package imagetar

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// File is a regular file of an image, owned by root.
type File struct {
	Name string // without a leading slash
	Mode int64  // permissions
	Data []byte
}

// Image is an image of one layer. The same Image gives the same bytes always.
type Image struct {
	Refs  []string // "name:tag"; what the loaded image is called
	Arch  string   // GOARCH
	Files []File

	Entrypoint []string
	Cmd        []string
	Env        []string
	User       string
	WorkingDir string
	StopSignal string
	Labels     map[string]string
	Volumes    map[string]struct{} // targets of anonymous volumes
}

// Epoch is the time on everything in an archive, which is to say none.
var Epoch = time.Unix(0, 0).UTC()

// Archive returns the image in the form of Docker's own "docker save" before
// version 25: a manifest.json that names the configuration and the layers.
// Docker from 20.10 on reads it with either image store, and so does Podman.
func (m Image) Archive() ([]byte, error) {
	layer, config, err := m.parts()
	if err != nil {
		return nil, err
	}
	type manifest struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	entry := manifest{hexDigest(config) + ".json", m.Refs, []string{hexDigest(layer) + ".tar"}}
	list, err := json.Marshal([]manifest{entry})
	if err != nil {
		return nil, err
	}
	return tarOf(
		File{"manifest.json", 0o644, list},
		File{entry.Config, 0o644, config},
		File{entry.Layers[0], 0o644, layer},
	)
}

// ConfigDigest returns "sha256:" and the digest of the image's configuration:
// its ID, unless the engine has the containerd image store, where the ID is
// the digest of a manifest that the engine writes.
func (m Image) ConfigDigest() (string, error) {
	_, config, err := m.parts()
	if err != nil {
		return "", err
	}
	return "sha256:" + hexDigest(config), nil
}

// parts returns the layer, an uncompressed tar, and the configuration in the
// terms of the OCI image specification.
func (m Image) parts() (layer, config []byte, err error) {
	layer, err = tarOf(m.Files...)
	if err != nil {
		return nil, nil, err
	}
	type (
		run struct {
			User       string              `json:",omitempty"`
			Env        []string            `json:",omitempty"`
			Entrypoint []string            `json:",omitempty"`
			Cmd        []string            `json:",omitempty"`
			WorkingDir string              `json:",omitempty"`
			Labels     map[string]string   `json:",omitempty"`
			StopSignal string              `json:",omitempty"`
			Volumes    map[string]struct{} `json:",omitempty"`
		}
		rootFS struct {
			Type    string   `json:"type"`
			DiffIDs []string `json:"diff_ids"`
		}
		step struct {
			Created   time.Time `json:"created"`
			CreatedBy string    `json:"created_by"`
		}
	)
	config, err = json.Marshal(struct {
		Architecture string    `json:"architecture"`
		OS           string    `json:"os"`
		Created      time.Time `json:"created"`
		Config       run       `json:"config"`
		RootFS       rootFS    `json:"rootfs"`
		History      []step    `json:"history"`
	}{
		Architecture: m.Arch,
		OS:           "linux",
		Created:      Epoch,
		Config:       run{m.User, m.Env, m.Entrypoint, m.Cmd, m.WorkingDir, m.Labels, m.StopSignal, m.Volumes},
		RootFS:       rootFS{"layers", []string{"sha256:" + hexDigest(layer)}},
		History:      []step{{Epoch, "dockpod"}},
	})
	return layer, config, err
}

func hexDigest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func tarOf(files ...File) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		err := w.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg,
			Name:     f.Name,
			Mode:     f.Mode,
			Size:     int64(len(f.Data)),
			ModTime:  Epoch,
			Format:   tar.FormatUSTAR,
		})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
