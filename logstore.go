package dockpod

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dockpod/dockpod/internal/logfile"
	"github.com/dockpod/dockpod/internal/logline"
)

var (
	// errNotOurLog is what stands where a log file belongs and is none, or
	// not this container's. Nothing was done to it.
	errNotOurLog = errors.New("not this container's log file")
	// errLogBusy is a log file that somebody else writes.
	errLogBusy = errors.New("log file is being written by another process")
	// errLogMoved is a log file that was replaced by another.
	errLogMoved = errors.New("log file was replaced by another")
)

const (
	logFileMode = 0o640
	maxLogHead  = 4 << 10 // enough to see whether a file's first line is one of a log
	maxLogLine  = 1 << 20 // of a file that somebody else's runtime wrote
)

// logStore is a container's log file, and those it was rotated to. It is not
// safe for concurrent use.
//
// The file carries a lock as long as it is open. While none stands in its
// place, between the two steps of a rotation, the newest rotated one stands
// for it: so there is never more than one writer.
type logStore struct {
	dir, rel string // as splitLogPath returned them
	maxSize  int64  // 0: never rotated by us
	maxFiles int
	isLink   func(target string) bool // tells a link that may be replaced

	file *os.File // nil: not open
	size int64
	last time.Time // of the newest line
}

// open opens the log file, makes it if it is not there, and takes its lock. A
// line that was cut off by a crash is removed. made tells that it is new.
//
// The error is errLogBusy if somebody else writes the file, and errNotOurLog
// for what is not a log file.
func (s *logStore) open() (made bool, err error) {
	if err := checkLogPath(s.dir, s.rel, filepath.IsAbs); err != nil {
		return false, fmt.Errorf("%w: %w", errNotOurLog, err)
	}
	s.rel = path.Clean(s.rel)
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return false, fmt.Errorf("make the log directory: %w", err)
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return false, fmt.Errorf("open the log directory: %w", err)
	}
	defer root.Close()
	for range linkTries {
		if made, err = s.openOnce(root); err == nil {
			return made, nil
		}
		// Somebody rotated, made or removed it between two steps.
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errLogMoved) {
			break
		}
	}
	return false, fmt.Errorf("log file %q: %w", s.path(), err)
}

func (s *logStore) path() string { return path.Join(filepath.ToSlash(s.dir), s.rel) }

func (s *logStore) openOnce(root *os.Root) (made bool, err error) {
	info, err := root.Lstat(s.rel)
	if errors.Is(err, fs.ErrNotExist) {
		if err := root.MkdirAll(path.Dir(s.rel), 0o755); err != nil {
			return false, err
		}
		return true, s.create(root)
	}
	if err != nil {
		return false, err
	}
	switch mode := info.Mode(); {
	case mode.Type() == fs.ModeSymlink:
		target, err := root.Readlink(s.rel)
		if err != nil {
			return false, err
		}
		if !s.isLink(target) {
			return false, fmt.Errorf("%w: it is a link to %q", errNotOurLog, target)
		}
		if err := root.Remove(s.rel); err != nil {
			return false, err
		}
		return false, errLogMoved // look again
	case !mode.IsRegular():
		return false, fmt.Errorf("%w: it is %v", errNotOurLog, mode.Type())
	}
	f, err := openRegular(root, s.rel, info)
	if err != nil {
		return false, err
	}
	if err := s.adopt(root, f); err != nil {
		f.Close()
		return false, err
	}
	return false, nil
}

// openRegular opens what was looked at: no link that took its place meanwhile.
func openRegular(root *os.Root, rel string, looked fs.FileInfo) (*os.File, error) {
	f, err := root.OpenFile(rel, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	if is, err := f.Stat(); err != nil || !os.SameFile(is, looked) {
		f.Close()
		return nil, cmp.Or(err, errLogMoved)
	}
	return f, nil
}

// adopt locks an open file, makes sure that it still stands in its place and
// is a log, and repairs its end.
func (s *logStore) adopt(root *os.Root, f *os.File) error {
	if err := lockFile(f); err != nil {
		return err
	}
	if !inPlace(root, s.rel, f) {
		return errLogMoved
	}
	if err := checkLogHead(f); err != nil {
		return err
	}
	size, last, err := repairEnd(f)
	if err != nil {
		return err
	}
	s.file, s.size, s.last = f, size, last
	return nil
}

// inPlace reports whether an open file is the one at rel.
func inPlace(root *os.Root, rel string, f *os.File) bool {
	at, err := root.Lstat(rel)
	if err != nil {
		return false
	}
	is, err := f.Stat()
	return err == nil && os.SameFile(at, is)
}

// create makes the log file where there is none.
func (s *logStore) create(root *os.Root) error {
	// Whoever is between the two steps of a rotation has the lock of the file
	// that was the log until now.
	if older := s.siblings(root); len(older) > 0 && s.file == nil {
		f, err := root.Open(older[0].rel)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := lockFile(f); err != nil {
			return err
		}
	}
	f, err := root.OpenFile(s.rel, os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, logFileMode)
	if err != nil {
		return err
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return err
	}
	s.close()
	s.file, s.size = f, 0
	return nil
}

func (s *logStore) close() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// checkLogHead makes sure that a file is empty or a log.
func checkLogHead(f *os.File) error {
	head := make([]byte, maxLogHead)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return err
	}
	if !isLogHead(head[:n]) {
		return fmt.Errorf("%w: its first line is not one of CRI's format", errNotOurLog)
	}
	return nil
}

// isLogHead decides it by the first bytes of a file. The first line may have
// been cut off by a crash.
func isLogHead(head []byte) bool {
	line, _, whole := bytes.Cut(head, []byte{'\n'})
	var l logline.Record
	if logline.ParseRecord(line, &l) == nil {
		return true
	}
	const sample = "2006-01-02T15:04:05.000000000Z stdout F "
	return !whole && len(line) < len(sample) && strings.Trim(string(line[:min(len(line), len("2006-01-02T15:04:05"))]), "0123456789-:T") == ""
}

// repairEnd cuts off what follows a log's last whole line, and returns its
// size and the time of that line.
func repairEnd(f *os.File) (size int64, last time.Time, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, time.Time{}, err
	}
	size = info.Size()
	lines := newLinesBack(f, size)
	for {
		line, err := lines.prev()
		if err == io.EOF {
			size = 0
			break
		}
		if err != nil {
			return 0, time.Time{}, err
		}
		var l logline.Record
		if line[len(line)-1] == '\n' && logline.ParseRecord(line, &l) == nil {
			last = l.Time()
			break
		}
		size -= int64(len(line))
	}
	if size < info.Size() {
		if err := f.Truncate(size); err != nil {
			return 0, time.Time{}, err
		}
	}
	return size, last, nil
}

// append adds whole lines, the newest of which has the time last. After an
// error the end of the file is not known: close the store and open it again.
func (s *logStore) append(lines []byte, last time.Time) error {
	if s.maxSize > 0 && s.size > 0 && s.size+int64(len(lines)) > s.maxSize {
		if err := s.rotate(); err != nil {
			return fmt.Errorf("rotate log file %q: %w", s.path(), err)
		}
	}
	n, err := s.file.Write(lines)
	s.size += int64(n)
	if err != nil {
		return err
	}
	if last.After(s.last) {
		s.last = last
	}
	return nil
}

// rotate moves the log file aside, begins a new one and removes the oldest.
func (s *logStore) rotate() error {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	_, err = root.Lstat(s.rel)
	switch {
	case errors.Is(err, fs.ErrNotExist): // somebody has moved it
	case err != nil:
		return err
	case !inPlace(root, s.rel, s.file):
		return errLogMoved
	default:
		if err := root.Rename(s.rel, s.rel+"."+s.stamp(root)); err != nil {
			return err
		}
	}
	if err := s.create(root); err != nil {
		return err
	}
	s.prune(root)
	return nil
}

// stamp names the file to be moved aside: by the time of its last line, later
// than those that are there.
func (s *logStore) stamp(root *os.Root) string {
	at := s.last.UTC()
	for _, o := range s.siblings(root) {
		if newest, err := time.Parse(logfile.RotatedLayout, o.name.Time); err == nil && !at.After(newest) {
			at = newest.Add(1)
		}
	}
	return at.Format(logfile.RotatedLayout)
}

// prune removes the oldest of our rotated files. That it could not is no
// error of the log: the next rotation tries again.
func (s *logStore) prune(root *os.Root) {
	ours := slices.DeleteFunc(s.siblings(root), func(o sibling) bool { return !o.name.Ours() })
	for _, o := range ours[min(len(ours), max(s.maxFiles-1, 1)):] {
		removeLog(root, o.rel)
	}
}

// removeLog removes a file if it is a log.
func removeLog(root *os.Root, rel string) {
	info, err := root.Lstat(rel)
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	f, err := root.Open(rel)
	if err != nil {
		return
	}
	defer f.Close()
	if checkLogHead(f) == nil {
		_ = root.Remove(rel)
	}
}

// reopen begins a new file if the log was moved aside. The old one stays open
// if that fails.
func (s *logStore) reopen() error {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return fmt.Errorf("open the log directory: %w", err)
	}
	defer root.Close()
	if inPlace(root, s.rel, s.file) {
		return nil
	}
	info, err := root.Lstat(s.rel)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err = root.MkdirAll(path.Dir(s.rel), 0o755); err == nil {
			err = s.create(root)
		}
	case err == nil && info.Mode().IsRegular() && info.Size() == 0:
		// Made by whoever moved the log aside.
		var f *os.File
		if f, err = openRegular(root, s.rel, info); err == nil {
			if err = lockFile(f); err != nil {
				f.Close()
				break
			}
			s.close()
			s.file, s.size = f, 0
		}
	case err == nil:
		err = errNotOurLog
	}
	if err != nil {
		return fmt.Errorf("log file %q: %w", s.path(), err)
	}
	return nil
}

// moved reports whether the open file is no longer the one in its place.
func (s *logStore) moved() bool {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return true
	}
	defer root.Close()
	return !inPlace(root, s.rel, s.file)
}

// sibling is a file that a log was rotated to.
type sibling struct {
	rel      string
	name     logfile.Rotated
	modified time.Time
}

// siblings lists the rotated files that can be read, the newest first. Those
// of the kubelet are, until it compresses them; they are never removed.
func (s *logStore) siblings(root *os.Root) []sibling {
	entries, err := fs.ReadDir(root.FS(), path.Dir(s.rel))
	if err != nil {
		return nil
	}
	var list []sibling
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), path.Base(s.rel))
		if !ok || !e.Type().IsRegular() {
			continue
		}
		name, ok := logfile.ParseRotated(rest)
		if !ok || name.Time == "" || name.Gzip {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue
		}
		list = append(list, sibling{path.Join(path.Dir(s.rel), e.Name()), name, info.ModTime()})
	}
	slices.SortFunc(list, func(a, b sibling) int {
		if a.name.Ours() && b.name.Ours() {
			return strings.Compare(b.name.Time, a.name.Time)
		}
		return cmp.Or(b.modified.Compare(a.modified), strings.Compare(b.name.Time, a.name.Time)) // the kubelet's clock has a zone
	})
	return list
}

// tail reads the end of the log, through its rotated files if need be.
func (s *logStore) tail() (logTail, error) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return logTail{}, fmt.Errorf("open the log directory: %w", err)
	}
	defer root.Close()
	at, err := s.file.Stat()
	if err != nil {
		return logTail{}, err
	}
	s.size = at.Size() // somebody may have cut it
	var scan tailScan
	more, err := scanBack(&scan, s.file, s.size)
	for _, o := range s.siblings(root) {
		if !more || err != nil {
			break
		}
		var f *os.File
		if f, err = root.Open(o.rel); errors.Is(err, fs.ErrNotExist) {
			err = nil
			continue // compressed or removed meanwhile
		} else if err != nil {
			break
		}
		info, statErr := f.Stat()
		if err = statErr; err == nil {
			more, err = scanBack(&scan, f, info.Size())
		}
		f.Close()
	}
	if err != nil {
		return logTail{}, fmt.Errorf("read log file %q: %w", s.path(), err)
	}
	return scan.tail(time.Now()), nil
}

// scanBack gives a file's lines to scan, the last one first. more tells
// whether it wants older ones.
func scanBack(scan *tailScan, f io.ReaderAt, size int64) (more bool, err error) {
	lines := newLinesBack(f, size)
	for {
		line, err := lines.prev()
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		var l logline.Record
		if logline.ParseRecord(line, &l) != nil {
			continue
		}
		if !scan.add(&l, len(line)) {
			return false, nil
		}
	}
}

// linesBack reads a file's lines from the last one backwards.
type linesBack struct {
	src io.ReaderAt
	off int64  // where buf begins in the file
	buf []byte // the part that was read and not yet given
}

func newLinesBack(src io.ReaderAt, size int64) *linesBack { return &linesBack{src: src, off: size} }

// prev returns the line before, with its newline if it has one. It is valid
// until the next call. The error is io.EOF at the file's beginning.
func (b *linesBack) prev() ([]byte, error) {
	const block = 64 << 10
	for {
		end := len(b.buf)
		if end > 0 {
			if i := bytes.LastIndexByte(b.buf[:end-1], '\n'); i >= 0 || b.off == 0 {
				line := b.buf[i+1:]
				b.buf = b.buf[:i+1]
				return line, nil
			}
		}
		if b.off == 0 {
			return nil, io.EOF
		}
		if end > maxLogLine {
			return nil, fmt.Errorf("%w: a line of more than %d bytes", errNotOurLog, maxLogLine)
		}
		n := min(block, b.off)
		grown := make([]byte, int(n)+end)
		if _, err := b.src.ReadAt(grown[:n], b.off-n); err != nil && err != io.EOF {
			return nil, err
		}
		copy(grown[n:], b.buf)
		b.buf, b.off = grown, b.off-n
	}
}

// life is when a container could write: from its creation to its end.
type life struct {
	created  time.Time
	finished time.Time // zero: it still ran when it was removed
}

// covers reports whether a line of this time is the container's. Podman's
// times are whole seconds.
func (l life) covers(at time.Time) bool {
	const slack = 2 * time.Second
	return !at.Before(l.created.Add(-slack)) && (l.finished.IsZero() || !at.After(l.finished.Add(slack)))
}

// remove removes the log file of a container that is gone, and what it was
// rotated to by us. A file is the container's if its last line was written in
// the container's life and nobody writes it; an empty one if it was made since
// its creation. Anything else stays; the error is errNotOurLog if that is all
// that was wrong.
func (s *logStore) remove(l life) error {
	if err := checkLogPath(s.dir, s.rel, filepath.IsAbs); err != nil {
		return fmt.Errorf("%w: %v", errNotOurLog, err)
	}
	s.rel = path.Clean(s.rel)
	root, err := os.OpenRoot(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the log directory: %w", err)
	}
	defer root.Close()
	var failed, foreign []error
	remove := func(rel string) {
		switch err := removeOurs(root, rel, l); {
		case errors.Is(err, errNotOurLog):
			foreign = append(foreign, err)
		case err != nil:
			failed = append(failed, err)
		}
	}
	for _, o := range s.siblings(root) {
		if o.name.Ours() {
			remove(o.rel)
		}
	}
	remove(s.rel)
	if len(failed) > 0 {
		return joinErrors(failed)
	}
	return joinErrors(foreign)
}

func removeOurs(root *os.Root, rel string, l life) error {
	foreign := func(why string) error { return fmt.Errorf("%w: %q %s", errNotOurLog, rel, why) }
	info, err := root.Lstat(rel)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("remove log file %q: %w", rel, err)
	case !info.Mode().IsRegular():
		return foreign("is not a file")
	}
	f, err := openRegular(root, rel, info)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return foreign(err.Error())
	}
	defer f.Close()
	if err := lockFile(f); err != nil {
		return foreign(err.Error())
	}
	if err := checkLogHead(f); err != nil {
		return fmt.Errorf("%w: %q", err, rel)
	}
	at := info.ModTime()
	if info.Size() > 0 {
		lines := newLinesBack(f, info.Size())
		for {
			line, err := lines.prev()
			if err != nil {
				break
			}
			var parsed logline.Record
			if logline.ParseRecord(line, &parsed) == nil {
				at = parsed.Time()
				break
			}
		}
	}
	if info.Size() == 0 {
		l.finished = time.Time{} // it may have been made when the agent came back
	}
	if !l.covers(at) {
		return foreign("is not from its time")
	}
	if err := root.Remove(rel); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove log file %q: %w", rel, err)
	}
	return nil
}
