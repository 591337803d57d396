package dockpod

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// hostFiles is what this process sees of the files of the engine's host.
type hostFiles struct {
	root string // where they are here; empty: not to be seen
}

// hostFiles finds out whether this process sees the files of the engine's
// host. An agent in a container does not, though it talks to a socket: then
// a path that is not here may well be there, and the engine has to tell.
func (r *Runtime) hostFiles(ctx context.Context) (hostFiles, error) {
	if r.opts.hostRoot != "" {
		return hostFiles{r.opts.hostRoot}, nil
	}
	return r.hostRoot.get(ctx, func(ctx context.Context) (hostFiles, error) {
		c, ok := r.docker.(interface{ DaemonHost() string })
		if !ok {
			return hostFiles{}, nil
		}
		socket, ok := strings.CutPrefix(c.DaemonHost(), "unix://")
		if !ok {
			return hostFiles{}, nil
		}
		info, err := r.info.get(ctx, r.fetchInfo)
		if err != nil {
			return hostFiles{}, err
		}
		// A forwarded socket has its other end here, and the engine elsewhere.
		if name, err := os.Hostname(); err != nil || name != info.Name || !sharesRoot(ctx, socket) {
			return hostFiles{}, nil
		}
		return hostFiles{"/"}, nil
	})
}

// stat looks for a file of the engine's host. It is known whether the file is
// there if the host can be seen, and err is nil or [fs.ErrNotExist].
func (h hostFiles) stat(p string) (info fs.FileInfo, known bool, err error) {
	if h.root == "" {
		return nil, false, nil
	}
	here, err := h.resolve(p)
	if err == nil {
		info, err = os.Stat(here)
	}
	return info, err == nil || os.IsNotExist(err), err
}

func (h hostFiles) mkdir(p string) error {
	here, err := h.resolve(p)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.MkdirAll(here, 0o755)
}

// maxLinks is how many symbolic links a path may lead over, as in the kernel.
const maxLinks = 40

// resolve returns where a path of the host is here: its symbolic links lead
// from the host's root. If something on the way is missing, the rest of the
// path is as it was, beside the error.
func (h hostFiles) resolve(p string) (string, error) {
	if h.root == "/" {
		return filepath.FromSlash(p), nil
	}
	todo, done := strings.Split(path.Clean("/"+p), "/"), "/"
	for links := 0; len(todo) > 0; {
		next := todo[0]
		todo = todo[1:]
		if next == "" || next == "." {
			continue
		}
		if next == ".." {
			done = path.Dir(done)
			continue
		}
		at := path.Join(done, next)
		info, err := os.Lstat(filepath.Join(h.root, filepath.FromSlash(at)))
		if err != nil {
			return filepath.Join(h.root, filepath.FromSlash(path.Join(at, path.Join(todo...)))), err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = at
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s: too many symbolic links", p)
		}
		link, err := os.Readlink(filepath.Join(h.root, filepath.FromSlash(at)))
		if err != nil {
			return "", err
		}
		if path.IsAbs(link) {
			done = "/"
		}
		todo = slices.Concat(strings.Split(link, "/"), todo)
	}
	return filepath.Join(h.root, filepath.FromSlash(done)), nil
}

// checkDevices refuses devices that are not on the engine's host, which an
// engine finds out only at the start.
func (r *Runtime) checkDevices(ctx context.Context, field string, ds []Device, res Resources) error {
	blocks := res.blockDevices(field)
	if len(ds) == 0 && len(blocks) == 0 {
		return nil
	}
	host, err := r.hostFiles(ctx)
	if err != nil {
		return err
	}
	v := &validator{}
	for i, d := range ds {
		v.hostDevice(fmt.Sprintf("Devices[%d].HostPath", i), d.HostPath, host, false)
	}
	for _, b := range blocks {
		v.hostDevice(b.field, b.path, host, true)
	}
	return v.err()
}

type namedPath struct{ field, path string }

// blockDevices lists the devices that limits name.
func (r Resources) blockDevices(field string) []namedPath {
	var l []namedPath
	for i, d := range r.BlkioDeviceWeights {
		l = append(l, namedPath{fmt.Sprintf("%s.BlkioDeviceWeights[%d].Path", field, i), d.Path})
	}
	for _, list := range r.rates() {
		for i, d := range list.rates {
			l = append(l, namedPath{fmt.Sprintf("%s.%s[%d].Path", field, list.name, i), d.Path})
		}
	}
	return l
}

// hostDevice checks one path. Of what cannot be seen the engine tells.
func (v *validator) hostDevice(field, p string, host hostFiles, block bool) {
	info, known, err := host.stat(p)
	switch {
	case !known:
	case err != nil:
		v.bad(field, "%q does not exist on the engine's host", p)
	case block && (info.Mode()&fs.ModeDevice == 0 || info.Mode()&fs.ModeCharDevice != 0):
		v.bad(field, "%q is no block device", p)
	case !block && info.IsDir() && !host.holdsDevice(p):
		v.bad(field, "%q is a directory without devices", p)
	case !block && !info.IsDir() && info.Mode()&fs.ModeDevice == 0:
		v.bad(field, "%q is no device", p)
	}
}

// notDevices are the directories that engines pass over in one of devices.
var notDevices = []string{"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"}

// holdsDevice reports whether there is a device in or below a directory. What
// cannot be read may hold one.
func (h hostFiles) holdsDevice(dir string) bool {
	here, err := h.resolve(dir)
	if err != nil {
		return true
	}
	found := false
	err = filepath.WalkDir(here, func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && p != here && slices.Contains(notDevices, e.Name()):
			return fs.SkipDir
		case e.Type()&fs.ModeDevice != 0:
			found = true
			return fs.SkipAll
		}
		return nil
	})
	return found || err != nil
}
