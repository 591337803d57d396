package dockpod

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
)

// The limits of Linux's file systems: of one component of a path, and of a
// path that can be opened in one call (PATH_MAX without its NUL). The engine
// host's limits count, so they hold wherever the agent runs.
const (
	maxPathComponent = 255
	maxPathBytes     = 4095
)

// errNotOurLink is what stands where a log link was looked for and is not a
// link that may be replaced or removed. Nothing was done to it.
var errNotOurLink = errors.New("not this container's log link")

// logPath joins a sandbox's LogDirectory and a container's LogPath to where
// the container's log link belongs. It is "" if either is empty: then no link
// is wanted. (The kubelet's dockershim joined them all the same, and so took
// the log directory itself for the link, or a path in its own working
// directory.)
//
// Both are paths of the engine's host, so they are read with slashes whatever
// the agent runs on.
func logPath(dir, rel string) (string, error) {
	if dir == "" || rel == "" {
		return "", nil
	}
	if err := checkLogPath(dir, rel, path.IsAbs); err != nil {
		return "", err
	}
	return path.Join(dir, rel), nil
}

// checkLogPath refuses a log path that could leave its directory or that no
// file system can hold. The error is a *FieldError.
func checkLogPath(dir, rel string, isAbs func(string) bool) error {
	if len(dir)+1+len(rel) > maxPathBytes {
		return &FieldError{"LogPath", fmt.Sprintf("has more than %d bytes with LogDirectory", maxPathBytes)}
	}
	for _, f := range []struct{ name, value string }{{"LogDirectory", dir}, {"LogPath", rel}} {
		components := strings.Split(filepath.ToSlash(f.value), "/")
		reason := ""
		switch {
		case strings.IndexByte(f.value, 0) >= 0:
			reason = "contains a NUL byte"
		case !utf8.ValidString(f.value):
			// Labels travel as JSON, which would change the path.
			reason = "is not valid UTF-8"
		case slices.ContainsFunc(components, func(c string) bool { return len(c) > maxPathComponent }):
			reason = fmt.Sprintf("has a component of more than %d bytes", maxPathComponent)
		case slices.Contains(components, ".."):
			// Even one that stays inside by its spelling: behind a symlink
			// it leads elsewhere.
			reason = fmt.Sprintf("%q contains \"..\"", f.value)
		}
		if reason != "" {
			return &FieldError{f.name, reason}
		}
	}
	switch {
	case !isAbs(dir):
		return &FieldError{"LogDirectory", fmt.Sprintf("%q is not absolute", dir)}
	case !filepath.IsLocal(filepath.FromSlash(rel)):
		return &FieldError{"LogPath", fmt.Sprintf("%q is not relative to LogDirectory", rel)}
	case path.Clean(rel) == ".":
		return &FieldError{"LogPath", fmt.Sprintf("%q is the log directory itself", rel)}
	}
	return nil
}

// splitLogPath is the reverse of logPath, for a container's labels. A
// container that the kubelet's dockershim or cri-dockerd made carries the
// joined path alone, and so does not tell its log directory; its link is then
// confined to the directory it stands in. Both results are "" where there is
// no path to a file.
func splitLogPath(full, dir string) (logDir, rel string) {
	if dir != "" {
		dir = path.Clean(dir)
		if below, ok := strings.CutPrefix(full, strings.TrimSuffix(dir, "/")+"/"); ok && below != "" {
			return dir, below
		}
	}
	// Not path.Dir and path.Base: they would resolve a "..", which
	// checkLogPath has to see.
	logDir, rel = path.Split(full)
	if rel == "" {
		return "", ""
	}
	if trimmed := strings.TrimRight(logDir, "/"); trimmed != "" {
		logDir = trimmed
	}
	return logDir, rel
}

// linkChange is what became of a log link.
type linkChange int

const (
	linkNone     linkChange = iota // no link is wanted, or it could not be made
	linkKept                       // it was right and was not written again
	linkMade                       // there was none
	linkReplaced                   // there was one to something else
)

// makeLogLink makes the link rel below dir point to target, the engine's log
// file. A link that does so already is left alone, any other link is replaced,
// at once and without a moment when there is none. What is not a link is never
// replaced: the error is errNotOurLink then. Missing directories are made, dir
// included. Without rel or target no link is wanted.
//
// No part of rel is followed out of dir, whatever symlinks stand there.
func makeLogLink(dir, rel, target string) error {
	_, err := placeLink(dir, rel, target, func(string) bool { return true })
	return err
}

// linkTries bounds how often makers of one link may get in each other's way.
const linkTries = 32

// placeLink is makeLogLink that asks before it replaces a link to something
// else, and says what it did.
func placeLink(dir, rel, target string, mayReplace func(current string) bool) (linkChange, error) {
	if dir == "" || rel == "" || target == "" {
		return linkNone, nil
	}
	if err := checkLogPath(dir, rel, filepath.IsAbs); err != nil {
		return linkNone, err
	}
	rel = path.Clean(rel) // a slash at the end would follow the link
	// A relative target would be read from the link's directory, not from
	// where the engine stands.
	if !path.IsAbs(target) && !filepath.IsAbs(target) {
		return linkNone, fmt.Errorf("engine's log file %q is not absolute", target)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return linkNone, fmt.Errorf("make the log directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return linkNone, fmt.Errorf("open the log directory: %w", err)
	}
	defer root.Close()
	for range linkTries {
		var change linkChange
		if change, err = placeLinkOnce(root, rel, target, mayReplace); err == nil {
			return change, nil
		}
		// Another maker or a remover came between two steps.
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return linkNone, fmt.Errorf("link %q: %w", path.Join(filepath.ToSlash(dir), rel), err)
}

// placeLinkOnce fails with fs.ErrExist or fs.ErrNotExist if somebody else
// changed the directory meanwhile. A directory that comes to stand in the
// place of the old link just before the rename survives; a file does not, as
// there is no rename that replaces links alone.
func placeLinkOnce(root *os.Root, rel, target string, mayReplace func(current string) bool) (linkChange, error) {
	temp := tempLink(rel, target)
	current, err := readLink(root, rel)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Made in place: it fails if anything has come to stand there.
		err := root.Symlink(target, rel)
		if errors.Is(err, fs.ErrNotExist) {
			if err := root.MkdirAll(path.Dir(rel), 0o755); err != nil {
				return linkNone, err
			}
			err = root.Symlink(target, rel)
		}
		if err != nil {
			return linkNone, err
		}
		dropTemp(root, temp, target)
		return linkMade, nil
	case err != nil:
		return linkNone, err
	case current == target:
		dropTemp(root, temp, target)
		return linkKept, nil
	case !mayReplace(current):
		return linkNone, fmt.Errorf("%w: it points to %q", errNotOurLink, current)
	}

	if err := root.Symlink(target, temp); errors.Is(err, fs.ErrExist) {
		// Left by an agent that was killed, or another maker's: both serve.
		if there, err := readLink(root, temp); err != nil {
			return linkNone, err
		} else if there != target {
			return linkNone, fmt.Errorf("%w: %q points to %q", errNotOurLink, temp, there)
		}
	} else if err != nil {
		return linkNone, err
	}
	if err := root.Rename(temp, rel); err != nil {
		dropTemp(root, temp, target)
		return linkNone, err
	}
	return linkReplaced, nil
}

// tempLink names the link that is renamed over another one. The name follows
// from the link and its target, so that what a killed agent left behind is
// found, and used or removed, by whoever next makes or removes that link. It
// begins with a dot, so that log collectors' patterns miss it, and ends in
// ".log", so that deadLinks finds it if the container has gone.
func tempLink(rel, target string) string {
	sum := sha256.Sum256([]byte(rel + "\x00" + target))
	return path.Join(path.Dir(rel), fmt.Sprintf(".dockpod-%x.log", sum[:16]))
}

// dropTemp removes a temporary link. That it could not is no error of the
// link itself, and the next call tries again.
func dropTemp(root *os.Root, temp, target string) {
	if there, err := readLink(root, temp); err == nil && there == target {
		_ = root.Remove(temp)
	}
}

// readLink returns where a link points. What is not a link is errNotOurLink.
func readLink(root *os.Root, rel string) (string, error) {
	info, err := root.Lstat(rel)
	if err != nil {
		return "", err
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return "", fmt.Errorf("%w: %q is a directory", errNotOurLink, rel)
	case mode.Type() != fs.ModeSymlink:
		return "", fmt.Errorf("%w: %q is a file", errNotOurLink, rel)
	}
	return root.Readlink(rel)
}

// removeLogLink removes the link rel below dir of the container id, whose log
// file is or was target. A link that is gone is fine. The error is
// errNotOurLink for what is not a link, for a link to something else, and for
// a path that makeLogLink would have refused: nothing was done then.
//
// Call it when the engine has removed the container. A link still counts as
// the container's if the engine's data directory has moved since it was made,
// so it need not point to target, but then it must dangle.
//
// Another attempt's link, made at the same path between the look and the
// removal, is lost; ReconcileLogLinks makes it again.
func removeLogLink(dir, rel, target, id string) error {
	if dir == "" || rel == "" {
		return nil
	}
	if err := checkLogPath(dir, rel, filepath.IsAbs); err != nil {
		return fmt.Errorf("%w: %v", errNotOurLink, err)
	}
	rel = path.Clean(rel)
	full := path.Join(filepath.ToSlash(dir), rel)
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the log directory: %w", err)
	}
	defer root.Close()
	dropTemp(root, tempLink(rel, target), target)
	current, err := readLink(root, rel)
	if err == nil {
		if !ownsLink(current, target, id, func() bool { return dangles(dir, rel, current) }) {
			return fmt.Errorf("%w: %q points to %q", errNotOurLink, full, current)
		}
		err = root.Remove(rel)
	}
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return nil
	case foreignParent(root, rel):
		return fmt.Errorf("%w: %q: %v", errNotOurLink, full, err)
	}
	return fmt.Errorf("remove link %q: %w", full, err)
}

// ownsLink decides whether a link belongs to a removed container. A dangling
// one alone proves nothing: it may be another container's, whose file the
// engine is just rotating. So it has to name this container; only where the
// engine never told a log file is it enough that it names no other.
func ownsLink(current, target, id string, dangles func() bool) bool {
	if target != "" && current == target {
		return true
	}
	named := containersIn(current)
	if slices.Contains(named, id) || target == "" && len(named) == 0 {
		return dangles()
	}
	return false
}

// containersIn returns the container IDs that a path names: engines keep a
// container's log as ".../<id>/<id>-json.log" or ".../<id>/userdata/ctr.log".
func containersIn(file string) []string {
	var ids []string
	for c := range strings.SplitSeq(filepath.ToSlash(file), "/") {
		if m := containerInName.FindStringSubmatch(c); m != nil {
			ids = append(ids, m[1])
		}
	}
	return ids
}

var containerInName = regexp.MustCompile(`^([0-9a-f]{64})(?:-.*)?$`)

// dangles reports whether the target of the link rel below dir is surely not
// there. What cannot be looked at does not dangle: the engine's directory is
// closed to an agent that is not root.
func dangles(dir, rel, target string) bool {
	if !filepath.IsAbs(target) {
		target = filepath.Join(dir, filepath.Dir(filepath.FromSlash(rel)), target)
	}
	_, err := os.Stat(target)
	return errors.Is(err, fs.ErrNotExist)
}

// foreignParent reports whether the way to rel leads through something that
// is not a directory. os.Root has no error of a class for a symlink that leads
// out of it.
func foreignParent(root *os.Root, rel string) bool {
	parent := path.Dir(rel)
	for i := range len(parent) + 1 {
		if i < len(parent) && parent[i] != '/' {
			continue
		}
		info, err := root.Lstat(parent[:i])
		if err != nil {
			return false
		}
		if !info.IsDir() {
			return true
		}
	}
	return false
}

// LinkReport is what [Runtime.ReconcileLogLinks] found and did. Containers
// that want no link, or have no log file, are not counted. The zero value is
// a Runtime without log links.
type LinkReport struct {
	Made     int // links that were missing
	Repaired int // links that dangled, or pointed to another container's log
	Kept     int // links that were right, or log files that were there

	// Resumed is how many logs this call began to write, with [WithLogFiles];
	// of those, Made had no file.
	Resumed int

	// Problems holds an [*Error] with the container's ID for each link that
	// could not be made, or whose place is taken by something that is not
	// this Runtime's: a file, a directory, a working link to something else.
	// Those were left as they are.
	Problems []error
}

// linkWant is a container's log link as it should be.
type linkWant struct {
	ID     string
	dir    string // as splitLogPath returned it; empty: no link is wanted
	rel    string
	target string // the engine's log file; empty: none, or not yet

	running bool
	started time.Time // when it last was; zero: never, or its start failed
}

// ran reports whether the container has a log file even if the agent cannot
// see it.
func (w linkWant) ran() bool { return w.running || !w.started.IsZero() }

// planLinks chooses the links to be made, ordered by path: those that are
// wanted and have something to point to. Of several containers that claim one
// path, such as attempts with one LogPath, the running one gets it, then the
// one started last.
func planLinks(wants []linkWant) []linkWant {
	plan := slices.DeleteFunc(slices.Clone(wants), func(w linkWant) bool {
		return w.dir == "" || w.rel == "" || w.target == ""
	})
	at := func(w linkWant) string { return path.Join(filepath.ToSlash(w.dir), w.rel) }
	rank := func(w linkWant) int {
		if w.running {
			return 0
		}
		return 1
	}
	slices.SortFunc(plan, func(a, b linkWant) int {
		return cmp.Or(cmp.Compare(at(a), at(b)), cmp.Compare(rank(a), rank(b)), b.started.Compare(a.started), cmp.Compare(a.ID, b.ID))
	})
	return slices.CompactFunc(plan, func(a, b linkWant) bool { return at(a) == at(b) })
}

// reconcileLinks makes the links of all of a Runtime's containers right,
// after the agent or the engine was away. Unlike a start, which knows that
// the path is its container's now, it replaces a link that works only if that
// leads to the log of one of the containers in wants.
//
// The error is ctx's; the report tells what was done until then.
func reconcileLinks(ctx context.Context, wants []linkWant) (LinkReport, error) {
	known := make(map[string]bool, len(wants))
	for _, w := range wants {
		known[w.ID] = true
	}
	var report LinkReport
	for _, w := range planLinks(wants) {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		if !w.ran() {
			// Podman names a log file before there is one, Docker keeps one
			// of a start that failed late.
			if _, err := os.Stat(w.target); err != nil {
				continue
			}
		}
		change, err := placeLink(w.dir, w.rel, w.target, func(current string) bool {
			return slices.ContainsFunc(containersIn(current), func(id string) bool { return known[id] }) ||
				dangles(w.dir, w.rel, current)
		})
		if err != nil {
			report.Problems = append(report.Problems, &Error{"reconcile log link", w.ID, err})
		}
		switch change {
		case linkMade:
			report.Made++
		case linkReplaced:
			report.Repaired++
		case linkKept:
			report.Kept++
		}
	}
	return report, nil
}

// deadLinks returns the links below a log directory that lead to the log of a
// Docker container which is gone, relative to dir and sorted. What somebody
// other than this package may have put there is never among them: each ends in
// ".log", points to "…/containers/<id>/<id>-json.log", and dangles. Dangling
// alone is not enough, since a log file is absent for a moment while Docker
// rotates it.
//
// exists is asked by full ID and has to know all containers of the engine, not
// only this Runtime's; in doubt it has to say true. No directory, no links. A
// part that cannot be read is an error, which comes with the rest.
func deadLinks(dir string, exists func(id string) bool) ([]string, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the log directory: %w", err)
	}
	defer root.Close()
	var (
		dead []string
		errs []error
	)
	// WalkDir does not follow links, and root would not follow one out of dir.
	_ = fs.WalkDir(root.FS(), ".", func(rel string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed since its parent was read
		case err != nil:
			errs = append(errs, err)
		case entry.Type() == fs.ModeSymlink:
			if isDeadLink(root, dir, rel, exists) {
				dead = append(dead, rel)
			}
		}
		return nil
	})
	return dead, joinErrors(errs)
}

// removeDeadLink removes a link that deadLinks found, if it is still dead.
func removeDeadLink(dir, rel string, exists func(id string) bool) error {
	root, err := os.OpenRoot(dir)
	if err == nil {
		defer root.Close()
		if !isDeadLink(root, dir, rel, exists) {
			return nil
		}
		err = root.Remove(rel)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("remove dead link %q: %w", path.Join(filepath.ToSlash(dir), rel), err)
}

func isDeadLink(root *os.Root, dir, rel string, exists func(id string) bool) bool {
	if path.Ext(rel) != ".log" {
		return false
	}
	target, err := readLink(root, rel)
	if err != nil {
		return false
	}
	m := dockerLogFile.FindStringSubmatch(target)
	return m != nil && m[1] == m[2] && dangles(dir, rel, target) && !exists(m[1])
}

var dockerLogFile = regexp.MustCompile(`^/(?:.*/)?containers/([0-9a-f]{64})/([0-9a-f]{64})-json\.log$`)

// ReconcileLogLinks makes the log links of all of this Runtime's containers
// right again: after the agent, the engine or the log directory was away, or
// somebody deleted a link. It replaces a link that dangles or leads to another
// of this Runtime's containers, and leaves alone whatever else it finds.
//
// With [WithLogFiles] it goes on writing the logs of all containers instead,
// also of those that ended while the agent was away, to the end of what the
// engine has. It does not wait for that; their status does. A file that
// somebody deleted is written anew. An agent calls it when it starts.
//
// Each container is inspected. One that vanishes meanwhile is left out; one
// that cannot be inspected is among the report's Problems.
func (r *Runtime) ReconcileLogLinks(ctx context.Context) (report LinkReport, err error) {
	ctx, end := r.begin(ctx, "reconcile log links", "")
	defer end(&err)
	list, err := r.listRaw(ctx, query{kind: TypeContainer})
	if err != nil {
		return LinkReport{}, err
	}
	list = slices.DeleteFunc(list, func(c container.Summary) bool { return c.Labels[LabelLogPath] == "" })
	wants := make([]linkWant, len(list))
	infos := make([]container.InspectResponse, len(list))
	problems := make([]error, len(list))
	each(len(list), func(i int) {
		ctx, end := r.begin(ctx, "inspect container", list[i].ID)
		info, err := r.inspectAny(ctx, list[i].ID)
		end(&err)
		switch {
		case err == nil:
			wants[i], infos[i] = linkOf(info), info
		case !errdefs.IsNotFound(err):
			problems[i] = err
		}
	})
	if r.opts.logFiles == nil {
		report, err = reconcileLinks(ctx, wants)
	} else {
		report = r.reconcileLogFiles(ctx, infos, wants)
	}
	for _, p := range problems {
		if p != nil {
			report.Problems = append(report.Problems, p)
		}
	}
	if err == nil {
		err = ctx.Err()
	}
	return report, err
}
