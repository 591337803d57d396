package demo

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"

	"github.com/containerd/errdefs"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/examples/internal/demo/app"
	"github.com/dockpod/dockpod/fake"
)

// Repository is where the demo image is; its tag tells its content.
const Repository = "dockpod-demo"

// program is the source of the demo image's only file. It travels inside the
// example, so that it can be compiled wherever that is run.
//
//go:embed app/app.go app/cmd/main.go
var program embed.FS

// Image makes sure that the engine has the demo image and returns its
// reference. The first time the program is compiled for the engine's platform
// and imported; that needs the go command and no registry. On the fake the
// program is a function of this process.
func (e *Engine) Image(ctx context.Context) (ref string, err error) {
	v, err := e.Docker.ServerVersion(ctx)
	if err != nil {
		return "", err
	}
	if v.Os != "linux" {
		return "", fmt.Errorf("demo image: it is for linux; the engine runs %s", v.Os)
	}
	if ref, err = reference(v.Arch); err != nil {
		return "", err
	}
	_, err = e.Docker.ImageInspect(ctx, ref)
	if !errdefs.IsNotFound(err) {
		return ref, err
	}
	binary := []byte("a function of this process")
	if e.Fake != nil {
		e.Fake.HandleFunc("/app", runHere)
	} else if binary, err = compile(ctx, v.Arch); err != nil {
		return "", fmt.Errorf("compile the demo image's program: %w", err)
	}
	archive, err := dockerArchive(ref, v.Arch, binary)
	if err != nil {
		return "", err
	}
	loader, ok := e.Docker.(dockpod.ImageLoader)
	if !ok {
		return "", fmt.Errorf("demo image: the engine takes no archives: %w", dockpod.ErrUnsupported)
	}
	resp, err := loader.ImageLoad(ctx, bytes.NewReader(archive))
	if err != nil {
		return "", fmt.Errorf("import the demo image: %w", err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return ref, errors.Join(err, resp.Body.Close())
}

// runHere runs the program as a process of the fake.
func runHere(p *fake.Process) int {
	stop, cancel := context.WithCancel(p.Context())
	defer cancel()
	go func() {
		for {
			select {
			case s := <-p.Signals:
				if s == "SIGTERM" || s == "SIGINT" {
					cancel()
				}
			case <-stop.Done():
				return
			}
		}
	}()
	return app.Main(app.World{Args: p.Args[1:], Stop: stop, Stdout: p.Stdout, Stderr: p.Stderr, Listen: p.Listen, Dial: p.Dial})
}

// reference names the image by all that goes into it, so that it is known
// before it is made.
func reference(arch string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, arch, runtime.Version(), "layout 1")
	err := eachSource(func(name string, text []byte) error {
		fmt.Fprintf(h, "%s %d\n%s", name, len(text), text)
		return nil
	})
	return Repository + ":" + hex.EncodeToString(h.Sum(nil))[:12], err
}

func eachSource(f func(name string, text []byte) error) error {
	return fs.WalkDir(program, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := program.ReadFile(name)
		if err != nil {
			return err
		}
		return f(name, text)
	})
}

// compile builds the program, statically, outside of any module but its own.
func compile(ctx context.Context, arch string) (binary []byte, err error) {
	dir, err := os.MkdirTemp("", "dockpod-demo-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	err = eachSource(func(name string, text []byte) error {
		file := filepath.Join(dir, "internal", "demo", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return os.WriteFile(file, text, 0o644)
	})
	if err != nil {
		return nil, err
	}
	mod := []byte("module github.com/dockpod/dockpod/examples\n\ngo 1.25.0\n")
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), mod, 0o644); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", "program", "./internal/demo/app/cmd")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, "program"))
}

// dockerArchive packs an image of one layer with one file, in the format of
// "docker save". The same input gives the same bytes.
func dockerArchive(ref, arch string, binary []byte) ([]byte, error) {
	layer, err := tarOf(file{"app", 0o755, binary})
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": arch, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/app"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + sum(layer)}},
	})
	if err != nil {
		return nil, err
	}
	configName, layerName := sum(config)+".json", path.Join(sum(layer), "layer.tar")
	manifest, err := json.Marshal([]map[string]any{{"Config": configName, "RepoTags": []string{ref}, "Layers": []string{layerName}}})
	if err != nil {
		return nil, err
	}
	return tarOf(file{configName, 0o644, config}, file{layerName, 0o644, layer}, file{"manifest.json", 0o644, manifest})
}

type file struct {
	name string
	mode int64
	data []byte
}

func tarOf(files ...file) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), Format: tar.FormatUSTAR})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return buf.Bytes(), err
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
