package logfile

import (
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrNotFile is a path that leads to something other than a file.
var ErrNotFile = errors.New("is not a regular file")

// generation is one file of a log: the one that is written, or an older one.
type generation struct {
	file  *os.File
	info  fs.FileInfo
	size  int64 // when it was opened; of the content, not of a compressed file
	plain io.ReaderAt
	temp  *os.File // holds the content of a compressed file
	gz    bool

	places []int64 // where the lines begin that are wanted, if that is known
}

func (g *generation) close() {
	g.file.Close()
	if g.temp != nil {
		g.temp.Close()
		os.Remove(g.temp.Name())
	}
}

func closeAll(gens []*generation) {
	for _, g := range gens {
		g.close()
	}
}

// content makes the content of a compressed file available, in a temporary
// file.
func (g *generation) content(ctx context.Context) error {
	if g.plain != nil {
		return nil
	}
	zip, err := gzip.NewReader(io.NewSectionReader(g.file, 0, g.info.Size()))
	if err != nil {
		return fmt.Errorf("%s: %w", g.file.Name(), err)
	}
	temp, err := os.CreateTemp("", "dockpod-log-")
	if err != nil {
		return err
	}
	g.temp = temp
	os.Remove(temp.Name()) // where that cannot be done to an open file, close does it
	for err == nil {
		if err = ctx.Err(); err == nil {
			var n int64
			n, err = io.CopyN(temp, zip, MaxLine)
			g.size += n
		}
	}
	if err != io.EOF {
		return fmt.Errorf("%s: %w", g.file.Name(), err)
	}
	g.plain = temp
	return nil
}

// openFile opens what may be read as a log. A FIFO would block.
func openFile(path string) (*generation, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read log", Path: path, Err: ErrNotFile}
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read log", Path: path, Err: ErrNotFile}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	g := &generation{file: f, info: info}
	if g.gz = strings.HasSuffix(path, ".gz"); !g.gz {
		g.size, g.plain = info.Size(), f
	}
	return g, nil
}

// RotatedLayout is the time in the name of a file that dockpod rotated, in
// UTC. The kubelet's ends at the second, and is in its own zone.
const RotatedLayout = "20060102-150405.000000000"

// Rotated is what comes after the name of a log in the name of an older file
// of it.
type Rotated struct {
	Number int    // the engine's, if Time is empty
	Time   string // as the kubelet or dockpod wrote it
	Gzip   bool   // it is compressed
}

// Ours reports whether dockpod gave the name.
func (r Rotated) Ours() bool { return len(r.Time) == len(RotatedLayout) && !r.Gzip }

var rotatedName = regexp.MustCompile(`^\.(?:([0-9]{1,6})|([0-9]{8}-[0-9]{6}(?:\.[0-9]{9})?))(\.gz)?$`)

// ParseRotated reads the rest of a file's name, after the log's own.
func ParseRotated(rest string) (r Rotated, ok bool) {
	m := rotatedName.FindStringSubmatch(rest)
	if m == nil {
		return Rotated{}, false
	}
	n, _ := strconv.Atoi(m[1]) // digits, or none
	return Rotated{n, m[2], m[3] != ""}, true
}

// older lists the names of the older files beside path, the newest first.
func older(path string) ([]string, error) {
	dir, base := filepath.Split(path)
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	d.Close()
	if err != nil {
		return nil, err
	}
	type sibling struct {
		Rotated
		name string
	}
	var found []sibling
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, base)
		if !ok {
			continue
		}
		if r, ok := ParseRotated(rest); ok {
			found = append(found, sibling{r, dir + name})
		}
	}
	slices.SortFunc(found, func(a, b sibling) int {
		return cmp.Or(
			a.Number-b.Number,
			strings.Compare(b.Time, a.Time),
			strings.Compare(a.name, b.name), // what is just being compressed after its source
		)
	})
	found = slices.CompactFunc(found, func(a, b sibling) bool { return a.Number == b.Number && a.Time == b.Time })
	list := make([]string, len(found))
	for i, s := range found {
		list[i] = s.name
	}
	return list, nil
}

const openTries = 50

// openAll opens a log's files, the oldest first. While they are renamed it
// looks again, so that none is missing and none is there twice.
func openAll(ctx context.Context, path string) ([]*generation, error) {
	var err error
	for try := range openTries {
		if try > 0 {
			if err := sleep(ctx, min(time.Duration(try)*100*time.Microsecond, 2*time.Millisecond)); err != nil {
				return nil, err
			}
		}
		var gens []*generation
		if gens, err = openOnce(path); err == nil {
			return gens, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && err != errMoved {
			break
		}
	}
	return nil, err
}

// errMoved is a rotation that came between two looks.
var errMoved = errors.New("log is rotated faster than its files can be opened")

func openOnce(path string) (gens []*generation, err error) {
	defer func() {
		if err != nil {
			closeAll(gens)
			gens = nil
		}
	}()
	names, err := older(path)
	if err != nil {
		return gens, err
	}
	for _, name := range append([]string{path}, names...) {
		g, err := openFile(name)
		if name != path && (errors.Is(err, ErrNotFile) || err != nil && isLink(name)) {
			continue
		}
		if err != nil {
			return gens, err
		}
		gens = append(gens, g)
		for _, other := range gens[:len(gens)-1] {
			if os.SameFile(other.info, g.info) {
				return gens, errMoved
			}
		}
	}
	again, err := older(path)
	if err != nil {
		return gens, err
	}
	now, err := os.Stat(path)
	if err != nil {
		return gens, err
	}
	if !slices.Equal(names, again) || !os.SameFile(now, gens[0].info) {
		return gens, errMoved
	}
	slices.Reverse(gens)
	return gens, nil
}

// isLink reports whether a symbolic link stands at path.
func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().Type() == fs.ModeSymlink
}

// sleep waits, or returns the context's error if that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
