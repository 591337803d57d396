package fake

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// imageConfig is the configuration of an image as it stands in an archive.
type imageConfig struct {
	Architecture string          `json:"architecture"`
	OS           string          `json:"os"`
	Created      time.Time       `json:"created"`
	Author       string          `json:"author,omitempty"`
	Comment      string          `json:"comment,omitempty"`
	Config       json.RawMessage `json:"config,omitempty"`
	RootFS       struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []step `json:"history,omitempty"`
}

// newImage makes an image of its configuration; its ID is the digest of these
// very bytes.
func newImage(config []byte) (*img, error) {
	var c imageConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, err
	}
	i := &img{
		id: digestOf(config), raw: c.Config, created: c.Created.UTC(), author: c.Author, comment: c.Comment,
		os: cmp.Or(c.OS, "linux"), arch: cmp.Or(c.Architecture, "amd64"), history: c.History, refs: map[string]reference.Named{},
	}
	if len(i.raw) == 0 || string(i.raw) == "null" {
		i.raw = json.RawMessage("{}")
	}
	if n := len(c.History); n > 0 {
		i.comment = cmp.Or(i.comment, c.History[n-1].Comment)
	}
	for _, d := range c.RootFS.DiffIDs {
		i.layers = append(i.layers, layer{diffID: d})
	}
	return i, nil
}

// ImageLoad reads an archive as "docker save" writes it. An image's ID is the
// digest of its configuration, and the names of its files are remembered, so
// that a container whose command is not among them fails to start. The answer
// is Docker's stream of JSON messages; what is wrong with the archive stands
// in it as an error.
func (d *Docker) ImageLoad(ctx context.Context, input io.Reader, _ ...client.ImageLoadOption) (image.LoadResponse, error) {
	body, err := do(ctx, d, OpImageLoad, "", func() (io.ReadCloser, error) {
		images, err := readArchive(input)
		if err != nil {
			return messages(errorMessage(err.Error())), nil
		}
		d.lock()
		defer d.mu.Unlock()
		var out []any
		for _, a := range images {
			i, known := d.images[a.image.id]
			if !known {
				i = a.image
				for _, l := range i.layers {
					out = append(out, layerMessage(l))
				}
				d.images[i.id] = i
			}
			for _, tag := range a.tags {
				name := reference.FamiliarString(tag)
				if old := d.tags[normal(tag).String()]; old != nil && old != i {
					out = append(out, streamMessage{fmt.Sprintf("The image %s already exists, renaming the old one with ID %s to empty string\n", name, old.id)})
				}
				d.bind(i, tag)
				out = append(out, streamMessage{"Loaded image: " + name + "\n"})
			}
			d.imageEvent(i, "load", i.id, i.id)
			if len(a.tags) == 0 {
				out = append(out, streamMessage{"Loaded image ID: " + i.id + "\n"})
			}
		}
		return messages(out...), nil
	})
	if err != nil {
		return image.LoadResponse{}, err
	}
	return image.LoadResponse{Body: body, JSON: true}, nil
}

type streamMessage struct {
	Stream string `json:"stream"`
}

type failure struct {
	Detail struct {
		Message string `json:"message"`
	} `json:"errorDetail"`
	Error string `json:"error"`
}

func errorMessage(text string) failure {
	f := failure{Error: text}
	f.Detail.Message = text
	return f
}

type progress struct {
	Current int64 `json:"current,omitempty"`
	Total   int64 `json:"total,omitempty"`
}

type statusMessage struct {
	Status   string    `json:"status"`
	Detail   *progress `json:"progressDetail,omitempty"`
	Progress string    `json:"progress,omitempty"`
	ID       string    `json:"id,omitempty"`
}

func layerMessage(l layer) statusMessage {
	return statusMessage{Status: "Loading layer", Detail: &progress{l.size, l.size}, Progress: bar(l.size, l.size), ID: short(l.diffID)}
}

// bar draws progress as the engine does for those who print the stream.
func bar(current, total int64) string {
	const width = 50
	filled := width
	if total > 0 {
		filled = int(width * current / total)
	}
	return fmt.Sprintf("[%s>%s]  %s/%s", strings.Repeat("=", filled), strings.Repeat(" ", width-filled), units(current), units(total))
}

// units writes a size with four digits.
func units(n int64) string {
	v, unit := float64(n), 0
	names := []string{"B", "kB", "MB", "GB", "TB"}
	for v >= 1000 && unit < len(names)-1 {
		v /= 1000
		unit++
	}
	return fmt.Sprintf("%.4g%s", v, names[unit])
}

// messages is a stream of JSON values.
func messages(values ...any) io.ReadCloser {
	var b bytes.Buffer
	for _, v := range values {
		b.Write(encodeMessage(v))
	}
	return io.NopCloser(&b)
}

func encodeMessage(v any) []byte {
	line, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return append(line, '\r', '\n')
}

// archived is an image of an archive.
type archived struct {
	image *img
	tags  []reference.NamedTagged
}

// maxArchived bounds what is kept of an archive in memory while it is read.
const maxArchived = 1 << 30

func readArchive(input io.Reader) ([]archived, error) {
	input, err := unzip(input)
	if err != nil {
		return nil, errors.New("Error processing tar file(exit status 1): unexpected EOF")
	}
	members := map[string][]byte{}
	r := tar.NewReader(io.LimitReader(input, maxArchived))
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("Error processing tar file(exit status 1): %v", unexpected(err))
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return nil, fmt.Errorf("Error processing tar file(exit status 1): %v", unexpected(err))
		}
		members[path.Clean(h.Name)] = b
	}
	manifest, ok := members["manifest.json"]
	if !ok {
		return nil, errors.New("open /var/lib/docker/tmp/docker-import-000000000/repositories: no such file or directory")
	}
	var list []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(manifest, &list); err != nil {
		return nil, err
	}
	var out []archived
	for _, m := range list {
		config, ok := members[path.Clean(m.Config)]
		if !ok {
			return nil, fmt.Errorf("open /var/lib/docker/tmp/docker-import-000000000/%s: no such file or directory", m.Config)
		}
		i, err := newImage(config)
		if err != nil {
			return nil, err
		}
		if len(i.layers) != len(m.Layers) {
			return nil, fmt.Errorf("invalid manifest, layers length mismatch: expected %d, got %d", len(m.Layers), len(i.layers))
		}
		if err := readLayers(i, m.Layers, members); err != nil {
			return nil, err
		}
		a := archived{image: i}
		for _, t := range m.RepoTags {
			named, err := reference.ParseNormalizedNamed(t)
			if err != nil {
				return nil, err
			}
			tagged, ok := named.(reference.NamedTagged)
			if !ok {
				return nil, fmt.Errorf("invalid tag %q", t)
			}
			a.tags = append(a.tags, tagged)
		}
		out = append(out, a)
	}
	return out, nil
}

func unexpected(err error) error {
	if errors.Is(err, tar.ErrHeader) || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// unzip takes compression off, if there is any.
func unzip(r io.Reader) (io.Reader, error) {
	var head [2]byte
	n, err := io.ReadFull(r, head[:])
	r = io.MultiReader(bytes.NewReader(head[:n]), r)
	if err != nil || head != [2]byte{0x1f, 0x8b} {
		return r, nil
	}
	return gzip.NewReader(r)
}

// readLayers checks the layers of an archive and collects the names of their
// files.
func readLayers(i *img, names []string, members map[string][]byte) error {
	i.files = files{}
	for n, name := range names {
		b, ok := members[path.Clean(name)]
		if !ok {
			return fmt.Errorf("open /var/lib/docker/tmp/docker-import-000000000/%s: no such file or directory", name)
		}
		plain, err := unzip(bytes.NewReader(b))
		if err != nil {
			return err
		}
		if b, err = io.ReadAll(plain); err != nil {
			return err
		}
		if got := digestOf(b); got != i.layers[n].diffID {
			return fmt.Errorf("invalid diffID for layer %d: expected %q, got %q", n, i.layers[n].diffID, got)
		}
		if err := i.addLayer(n, b); err != nil {
			return err
		}
	}
	return nil
}

// addLayer puts the files of a layer over those below it.
func (i *img) addLayer(n int, b []byte) error {
	links := map[string]string{}
	r := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("Error processing tar file(exit status 1): %v", unexpected(err))
		}
		name := path.Join("/", h.Name)
		if base := path.Base(name); strings.HasPrefix(base, ".wh.") {
			i.whiteout(path.Dir(name), strings.TrimPrefix(base, ".wh."))
			continue
		}
		for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
			if _, ok := i.files[dir]; !ok {
				i.files[dir] = fs.ModeDir | 0o755
			}
		}
		i.files[name] = h.FileInfo().Mode()
		i.layers[n].size += h.Size
		switch {
		case h.Typeflag == tar.TypeLink:
			links[name] = path.Join("/", h.Linkname)
		case h.Typeflag == tar.TypeSymlink && path.IsAbs(h.Linkname):
			links[name] = h.Linkname
		case h.Typeflag == tar.TypeSymlink:
			links[name] = path.Join(path.Dir(name), h.Linkname)
		case name == "/etc/passwd":
			if i.users, err = readAccounts(r); err != nil {
				return err
			}
		case name == "/etc/group":
			if i.groups, err = readAccounts(r); err != nil {
				return err
			}
		}
	}
	// A link has the mode of what it leads to, over a few steps.
	for range 8 {
		for name, to := range links {
			if mode, ok := i.files[to]; ok {
				i.files[name] = mode
			}
		}
	}
	return nil
}

// whiteout removes what a layer deletes.
func (i *img) whiteout(dir, name string) {
	gone := path.Join(dir, name)
	if name == ".wh..opq" {
		gone = dir
	}
	maps.DeleteFunc(i.files, func(f string, _ fs.FileMode) bool {
		return f == gone && name != ".wh..opq" || strings.HasPrefix(f, gone+"/")
	})
}
