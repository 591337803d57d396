package dockpod

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

var (
	logIDA = strings.Repeat("a", 64)
	logIDB = strings.Repeat("b", 64)
	logIDC = strings.Repeat("c", 64)
)

// goneLog is a log file, where Docker keeps it, of a container whose files
// are not there.
func goneLog(id string) string {
	return "/nonexistent/docker/containers/" + id + "/" + id + "-json.log"
}

// writeLog makes a container's log file below an engine's data directory.
func writeLog(t *testing.T, data, id string) string {
	t.Helper()
	name := filepath.Join(data, "containers", id, id+"-json.log")
	logTestFile(t, name)
	return name
}

func logTestFile(t *testing.T, name string) {
	t.Helper()
	logTestDir(t, filepath.Dir(name))
	if err := os.WriteFile(name, []byte("precious\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func logTestDir(t *testing.T, name string) {
	t.Helper()
	if err := os.MkdirAll(name, 0o755); err != nil {
		t.Fatal(err)
	}
}

func logTestLink(t *testing.T, target, name string) {
	t.Helper()
	logTestDir(t, filepath.Dir(name))
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

// logTree lists everything below dir: directories with a slash, links with
// their targets. It shows what was lost as well as what was left behind.
func logTree(t *testing.T, dir string) []string {
	t.Helper()
	tree := []string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		entry := filepath.ToSlash(rel)
		switch {
		case d.IsDir():
			entry += "/"
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			entry += " -> " + target
		}
		tree = append(tree, entry)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func checkLogTree(t *testing.T, dir string, want ...string) {
	t.Helper()
	if want == nil {
		want = []string{}
	}
	if diff := cmp.Diff(want, logTree(t, dir)); diff != "" {
		t.Errorf("log directory mismatch (-want +got):\n%s", diff)
	}
}

// badLogPaths are refused whatever is to be done with them.
var badLogPaths = []struct {
	name, dir, rel, field string
}{
	{"up and out", "/var/log", "../x.log", "LogPath"},
	{"up and out from below", "/var/log", "a/../../x.log", "LogPath"},
	{"up but inside by its spelling", "/var/log", "a/../x.log", "LogPath"},
	{"only up", "/var/log", "..", "LogPath"},
	{"absolute", "/var/log", "/etc/x.log", "LogPath"},
	{"the directory itself", "/var/log", ".", "LogPath"},
	{"the directory itself, longer", "/var/log", "./.", "LogPath"},
	{"NUL", "/var/log", "a\x00.log", "LogPath"},
	{"not UTF-8", "/var/log", "a\xff.log", "LogPath"},
	{"long name", "/var/log", strings.Repeat("n", 256), "LogPath"},
	{"long directory name", "/var/log", strings.Repeat("n", 256) + "/0.log", "LogPath"},
	{"long path", "/var/log", strings.Repeat("n/", 2043) + "n", "LogPath"},
	{"relative directory", "var/log", "x.log", "LogDirectory"},
	{"relative directory and absolute path", "log", "/x.log", "LogDirectory"},
	{"directory with up", "/var/log/../lib", "x.log", "LogDirectory"},
	{"directory with NUL", "/var/log\x00", "x.log", "LogDirectory"},
	{"directory with a long name", "/" + strings.Repeat("n", 256), "x.log", "LogDirectory"},
}

func TestLogPath(t *testing.T) {
	for _, tt := range []struct {
		name, dir, rel, want string
	}{
		{"nothing", "", "", ""},
		{"no directory", "", "x.log", ""},
		{"no path", "/var/log/pods/p", "", ""},
		{"the kubelet's", "/var/log/pods/ns_p_uid", "c/0.log", "/var/log/pods/ns_p_uid/c/0.log"},
		{"one component", "/var/log", "x.log", "/var/log/x.log"},
		{"slashes too many", "/var//log/", "a//x.log", "/var/log/a/x.log"},
		{"dot in front", "/var/log", "./x.log", "/var/log/x.log"},
		{"dots in names", "/var/..log", "..a/b../...", "/var/..log/..a/b../..."},
		{"root", "/", "x.log", "/x.log"},
		{"longest name", "/var/log", strings.Repeat("n", 255), "/var/log/" + strings.Repeat("n", 255)},
		{"longest path", "/v", strings.Repeat("n/", 2045) + "xy", "/v/" + strings.Repeat("n/", 2045) + "xy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := logPath(tt.dir, tt.rel)
			if got != tt.want || err != nil {
				t.Errorf("logPath(%q, %q) = %q, %v; want %q", tt.dir, tt.rel, got, err, tt.want)
			}
		})
	}
	for _, tt := range badLogPaths {
		t.Run(tt.name, func(t *testing.T) {
			got, err := logPath(tt.dir, tt.rel)
			var field *FieldError
			if got != "" || !errors.As(err, &field) || field.Field != tt.field || !errdefs.IsInvalidArgument(err) {
				t.Errorf("logPath(%q, %q) = %q, %v; want a FieldError for %s", tt.dir, tt.rel, got, err, tt.field)
			}
		})
	}
}

func TestSplitLogPath(t *testing.T) {
	for _, tt := range []struct {
		name, full, dir  string
		wantDir, wantRel string
	}{
		{"nothing", "", "", "", ""},
		{"no path", "", "/var/log", "", ""},
		{"directory unknown", "/var/log/pods/p/c/0.log", "", "/var/log/pods/p/c", "0.log"},
		{"directory known", "/var/log/pods/p/c/0.log", "/var/log/pods/p", "/var/log/pods/p", "c/0.log"},
		{"directory as the caller spelled it", "/var/log/pods/p/c/0.log", "/var//log/pods/p/", "/var/log/pods/p", "c/0.log"},
		{"root known", "/a/0.log", "/", "/", "a/0.log"},
		{"below the root", "/0.log", "", "/", "0.log"},
		{"labels that do not fit", "/var/log/a/0.log", "/var/log/b", "/var/log/a", "0.log"},
		{"directory is only a prefix of the name", "/var/log/ab/0.log", "/var/log/a", "/var/log/ab", "0.log"},
		{"path is the directory", "/var/log/p", "/var/log/p", "/var/log", "p"},
		{"ends in a slash", "/var/log/p/", "", "", ""},
		{"ends in a slash below nothing", "/var/log/", "/var/log", "", ""},
		{"root itself", "/", "", "", ""},
		{"relative", "0.log", "", "", "0.log"},
		{"up is kept, to be refused", "/var/log/../../etc/x", "", "/var/log/../../etc", "x"},
		{"up below the directory is kept, to be refused", "/var/log/../x", "/var/log", "/var/log", "../x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, rel := splitLogPath(tt.full, tt.dir)
			if dir != tt.wantDir || rel != tt.wantRel {
				t.Errorf("splitLogPath(%q, %q) = %q, %q; want %q, %q", tt.full, tt.dir, dir, rel, tt.wantDir, tt.wantRel)
			}
		})
	}
}

// What logPath joined, splitLogPath takes apart so that it is joined to the
// same again.
func TestSplitLogPathReversesLogPath(t *testing.T) {
	for _, dir := range []string{"/var/log", "/var//log/", "/", "/l/."} {
		for _, rel := range []string{"0.log", "c/0.log", "./c//0.log"} {
			full, err := logPath(dir, rel)
			if err != nil {
				t.Fatal(err)
			}
			d, r := splitLogPath(full, dir)
			if again, err := logPath(d, r); again != full || err != nil {
				t.Errorf("logPath(splitLogPath(%q, %q)) = %q, %v", full, dir, again, err)
			}
		}
	}
}

func TestMakeLogLink(t *testing.T) {
	target, other := goneLog(logIDA), goneLog(logIDB)
	live := writeLog(t, t.TempDir(), logIDB)
	for _, tt := range []struct {
		name   string
		setup  func(t *testing.T, dir string)
		rel    string
		target string
		want   []string // the tree afterwards
		refuse bool     // errNotOurLink
	}{
		{name: "new", rel: "0.log", target: target, want: []string{"0.log -> " + target}},
		{name: "new, parents made", rel: "a/b/0.log", target: target, want: []string{"a/", "a/b/", "a/b/0.log -> " + target}},
		{name: "slash at the end", rel: "a/0.log/", target: target, want: []string{"a/", "a/0.log -> " + target}},
		{name: "no path", rel: "", target: target},
		{name: "no log file", rel: "a/0.log", target: ""},
		{
			name:  "other container's, dangling",
			setup: func(t *testing.T, dir string) { logTestLink(t, other, filepath.Join(dir, "c/0.log")) },
			rel:   "c/0.log", target: target, want: []string{"c/", "c/0.log -> " + target},
		},
		{
			name:  "other container's, live",
			setup: func(t *testing.T, dir string) { logTestLink(t, live, filepath.Join(dir, "c/0.log")) },
			rel:   "c/0.log", target: target, want: []string{"c/", "c/0.log -> " + target},
		},
		{
			name: "to a directory, which is not entered",
			setup: func(t *testing.T, dir string) {
				logTestDir(t, filepath.Join(dir, "sub"))
				logTestLink(t, "sub", filepath.Join(dir, "0.log"))
			},
			rel: "0.log", target: target, want: []string{"0.log -> " + target, "sub/"},
		},
		{
			name:  "regular file in place",
			setup: func(t *testing.T, dir string) { logTestFile(t, filepath.Join(dir, "0.log")) },
			rel:   "0.log", target: target, want: []string{"0.log"}, refuse: true,
		},
		{
			name:  "empty directory in place",
			setup: func(t *testing.T, dir string) { logTestDir(t, filepath.Join(dir, "0.log")) },
			rel:   "0.log", target: target, want: []string{"0.log/"}, refuse: true,
		},
		{
			name: "left by a killed agent, link still the old one",
			setup: func(t *testing.T, dir string) {
				logTestLink(t, other, filepath.Join(dir, "0.log"))
				logTestLink(t, target, filepath.Join(dir, tempLink("0.log", target)))
			},
			rel: "0.log", target: target, want: []string{"0.log -> " + target},
		},
		{
			name: "left by a killed agent, link right",
			setup: func(t *testing.T, dir string) {
				logTestLink(t, target, filepath.Join(dir, "c/0.log"))
				logTestLink(t, target, filepath.Join(dir, tempLink("c/0.log", target)))
			},
			rel: "c/0.log", target: target, want: []string{"c/", "c/0.log -> " + target},
		},
		{
			name: "left by a killed agent, link gone",
			setup: func(t *testing.T, dir string) {
				logTestLink(t, target, filepath.Join(dir, tempLink("0.log", target)))
			},
			rel: "0.log", target: target, want: []string{"0.log -> " + target},
		},
		{
			name: "file in the place of the temporary link",
			setup: func(t *testing.T, dir string) {
				logTestLink(t, other, filepath.Join(dir, "0.log"))
				logTestFile(t, filepath.Join(dir, tempLink("0.log", target)))
			},
			rel: "0.log", target: target, refuse: true,
			want: []string{tempLink("0.log", target), "0.log -> " + other},
		},
		{
			name: "foreign link in the place of the temporary link",
			setup: func(t *testing.T, dir string) {
				logTestLink(t, other, filepath.Join(dir, "0.log"))
				logTestLink(t, "elsewhere", filepath.Join(dir, tempLink("0.log", target)))
			},
			rel: "0.log", target: target, refuse: true,
			want: []string{tempLink("0.log", target) + " -> elsewhere", "0.log -> " + other},
		},
		{name: "longest name, new", rel: strings.Repeat("n", 255), target: target, want: []string{strings.Repeat("n", 255) + " -> " + target}},
		{
			name:  "longest name, replaced",
			setup: func(t *testing.T, dir string) { logTestLink(t, other, filepath.Join(dir, strings.Repeat("n", 255))) },
			rel:   strings.Repeat("n", 255), target: target, want: []string{strings.Repeat("n", 255) + " -> " + target},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.setup != nil {
				tt.setup(t, dir)
			}
			err := makeLogLink(dir, tt.rel, tt.target)
			if tt.refuse != errors.Is(err, errNotOurLink) || !tt.refuse && err != nil {
				t.Errorf("error = %v, want refusal %t", err, tt.refuse)
			}
			checkLogTree(t, dir, tt.want...)
		})
	}
}

func TestMakeLogLinkRefusesPaths(t *testing.T) {
	for _, tt := range badLogPaths {
		t.Run(tt.name, func(t *testing.T) {
			top := t.TempDir()
			dir := filepath.Join(top, "log")
			if tt.field == "LogDirectory" {
				t.Chdir(top)
				dir = tt.dir
			}
			err := makeLogLink(dir, tt.rel, goneLog(logIDA))
			var field *FieldError
			if !errors.As(err, &field) || field.Field != tt.field {
				t.Errorf("error = %v, want a FieldError for %s", err, tt.field)
			}
			checkLogTree(t, top) // not even the log directory was made
		})
	}
	t.Run("relative target", func(t *testing.T) {
		top := t.TempDir()
		if err := makeLogLink(filepath.Join(top, "log"), "0.log", "containers/x-json.log"); err == nil {
			t.Error("a relative target was accepted")
		}
		checkLogTree(t, top)
	})
}

func TestMakeLogLinkMakesDirectory(t *testing.T) {
	top := t.TempDir()
	if err := makeLogLink(filepath.Join(top, "pods", "p"), "c/0.log", goneLog(logIDA)); err != nil {
		t.Fatal(err)
	}
	checkLogTree(t, top, "pods/", "pods/p/", "pods/p/c/", "pods/p/c/0.log -> "+goneLog(logIDA))
}

// The log directory itself is the caller's word: it may be a link.
func TestMakeLogLinkDirectoryIsLink(t *testing.T) {
	top := t.TempDir()
	logTestDir(t, filepath.Join(top, "disk"))
	logTestLink(t, filepath.Join(top, "disk"), filepath.Join(top, "log"))
	if err := makeLogLink(filepath.Join(top, "log"), "c/0.log", goneLog(logIDA)); err != nil {
		t.Fatal(err)
	}
	checkLogTree(t, filepath.Join(top, "disk"), "c/", "c/0.log -> "+goneLog(logIDA))
	if err := removeLogLink(filepath.Join(top, "log"), "c/0.log", goneLog(logIDA), logIDA); err != nil {
		t.Fatal(err)
	}
	checkLogTree(t, filepath.Join(top, "disk"), "c/")
}

// A symlink on the way to the link must not lead out of the log directory,
// neither for making nor for removing.
func TestLogLinkStaysInside(t *testing.T) {
	target := goneLog(logIDA)
	for _, tt := range []struct {
		name   string
		parent func(top string) string // where log/c points
		inside bool
	}{
		{"absolute, out", func(top string) string { return filepath.Join(top, "outside") }, false},
		{"relative, out", func(string) string { return "../outside" }, false},
		{"relative, out and in again", func(string) string { return "../log/real" }, false},
		{"absolute, in", func(top string) string { return filepath.Join(top, "log", "real") }, false},
		{"dangling, out", func(top string) string { return filepath.Join(top, "none") }, false},
		{"relative, in", func(string) string { return "real" }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			top := t.TempDir()
			dir := filepath.Join(top, "log")
			logTestDir(t, filepath.Join(dir, "real"))
			logTestDir(t, filepath.Join(top, "outside", "deep"))
			// A link that would be taken for the container's, were it reached.
			logTestLink(t, target, filepath.Join(top, "outside", "0.log"))
			logTestLink(t, target, filepath.Join(top, "outside", "deep", "0.log"))
			logTestLink(t, goneLog(logIDB), filepath.Join(top, "outside", "1.log"))
			logTestLink(t, tt.parent(top), filepath.Join(dir, "c"))
			before := logTree(t, top)

			if tt.inside {
				for _, rel := range []string{"c/0.log", "c/d/0.log"} {
					if err := makeLogLink(dir, rel, target); err != nil {
						t.Errorf("makeLogLink(%q): %v", rel, err)
					}
				}
				checkLogTree(t, filepath.Join(dir, "real"), "0.log -> "+target, "d/", "d/0.log -> "+target)
				for _, rel := range []string{"c/0.log", "c/d/0.log", "c/gone.log"} {
					if err := removeLogLink(dir, rel, target, logIDA); err != nil {
						t.Errorf("removeLogLink(%q): %v", rel, err)
					}
				}
				checkLogTree(t, filepath.Join(dir, "real"), "d/")
				return
			}
			for _, rel := range []string{"c/0.log", "c/1.log", "c/new.log", "c/deep/0.log", "c/new/0.log"} {
				if err := makeLogLink(dir, rel, target); err == nil {
					t.Errorf("makeLogLink(%q) followed a link out of the log directory", rel)
				}
				// A removal may also find nothing, but says no other error: the
				// container is gone, and no link of its was ever there.
				if err := removeLogLink(dir, rel, target, logIDA); err != nil && !errors.Is(err, errNotOurLink) {
					t.Errorf("removeLogLink(%q) = %v, want errNotOurLink", rel, err)
				}
			}
			if diff := cmp.Diff(before, logTree(t, top)); diff != "" {
				t.Errorf("tree changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestLogLinkParentIsFile(t *testing.T) {
	dir := t.TempDir()
	logTestFile(t, filepath.Join(dir, "c"))
	if err := makeLogLink(dir, "c/0.log", goneLog(logIDA)); err == nil {
		t.Error("makeLogLink below a file gave no error")
	}
	if err := removeLogLink(dir, "c/0.log", goneLog(logIDA), logIDA); !errors.Is(err, errNotOurLink) {
		t.Errorf("removeLogLink below a file = %v, want errNotOurLink", err)
	}
	file := filepath.Join(dir, "c")
	if err := makeLogLink(file, "0.log", goneLog(logIDA)); err == nil {
		t.Error("makeLogLink with a file for the log directory gave no error")
	}
	if err := removeLogLink(file, "0.log", goneLog(logIDA), logIDA); err == nil {
		t.Error("removeLogLink with a file for the log directory gave no error")
	}
	checkLogTree(t, dir, "c")
}

// A log directory that cannot be read is an error of its class, for making
// and for removing: nobody knows whether a link is there.
func TestLogLinkUnreadableParent(t *testing.T) {
	if os.Geteuid() <= 0 {
		t.Skip("permissions do not bind root, nor are there any on Windows")
	}
	dir := t.TempDir()
	target := goneLog(logIDA)
	logTestLink(t, target, filepath.Join(dir, "c", "0.log"))
	if err := os.Chmod(filepath.Join(dir, "c"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "c"), 0o755) })
	if err := makeLogLink(dir, "c/0.log", target); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("makeLogLink = %v, want a permission error", err)
	}
	if err := removeLogLink(dir, "c/0.log", target, logIDA); !errors.Is(err, fs.ErrPermission) || errors.Is(err, errNotOurLink) {
		t.Errorf("removeLogLink = %v, want a permission error", err)
	}
	if _, err := deadLinks(dir, func(string) bool { return false }); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("deadLinks = %v, want a permission error", err)
	}
	if err := os.Chmod(filepath.Join(dir, "c"), 0o555); err != nil {
		t.Fatal(err)
	}
	if err := makeLogLink(dir, "c/0.log", goneLog(logIDB)); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("makeLogLink in a read-only directory = %v, want a permission error", err)
	}
	if err := removeLogLink(dir, "c/0.log", target, logIDA); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("removeLogLink in a read-only directory = %v, want a permission error", err)
	}
	checkLogTree(t, dir, "c/", "c/0.log -> "+target)

	// A file that may not be looked at does not count as gone.
	data := t.TempDir()
	file := writeLog(t, data, logIDA)
	if err := os.Chmod(filepath.Join(data, "containers"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(data, "containers"), 0o755) })
	if dangles(dir, "c/0.log", file) {
		t.Error("a file behind a closed directory counts as gone")
	}
}

func TestMakeLogLinkLeavesRightLinkAlone(t *testing.T) {
	dir := t.TempDir()
	target := writeLog(t, t.TempDir(), logIDA)
	link := filepath.Join(dir, "c", "0.log")
	if err := makeLogLink(dir, "c/0.log", target); err != nil {
		t.Fatal(err)
	}
	// Any write in the directory would bring its time up to date.
	old := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, d := range []string{dir, filepath.Join(dir, "c")} {
		if err := os.Chtimes(d, old, old); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Lstat(link)
	if err != nil {
		t.Fatal(err)
	}
	change, err := placeLink(dir, "c/0.log", target, func(string) bool {
		t.Error("asked whether to replace a link that is right")
		return false
	})
	if change != linkKept || err != nil {
		t.Errorf("placeLink = %v, %v; want linkKept", change, err)
	}
	after, err := os.Lstat(link)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) {
		t.Error("the link was written again")
	}
	for _, d := range []string{dir, filepath.Join(dir, "c")} {
		info, err := os.Stat(d)
		if err != nil {
			t.Fatal(err)
		}
		if !info.ModTime().Equal(old) {
			t.Errorf("%s was written to", d)
		}
	}
}

// A rename that fails leaves no temporary link, and what stands in the way
// survives.
func TestPlaceLinkFailedRename(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "0.log")
	logTestLink(t, goneLog(logIDB), link)
	change, err := placeLink(dir, "0.log", goneLog(logIDA), func(current string) bool {
		if current != goneLog(logIDB) {
			t.Errorf("asked about a link to %q", current)
		}
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
		logTestDir(t, filepath.Join(link, "sub")) // between the look and the rename
		return true
	})
	if change != linkNone || err == nil {
		t.Errorf("placeLink = %v, %v; want an error", change, err)
	}
	checkLogTree(t, dir, "0.log/", "0.log/sub/")
}

func TestPlaceLinkAsks(t *testing.T) {
	dir := t.TempDir()
	logTestLink(t, goneLog(logIDB), filepath.Join(dir, "0.log"))
	change, err := placeLink(dir, "0.log", goneLog(logIDA), func(string) bool { return false })
	if change != linkNone || !errors.Is(err, errNotOurLink) {
		t.Errorf("placeLink = %v, %v; want errNotOurLink", change, err)
	}
	checkLogTree(t, dir, "0.log -> "+goneLog(logIDB))
}

func TestMakeLogLinkConcurrently(t *testing.T) {
	const makers = 16
	run := func(f func(i int) error) {
		t.Helper()
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for i := range makers {
			wg.Go(func() {
				<-begin
				if err := f(i); err != nil {
					t.Errorf("maker %d: %v", i, err)
				}
			})
		}
		close(begin)
		wg.Wait()
	}
	t.Run("new link", func(t *testing.T) {
		for range 20 {
			dir := t.TempDir()
			run(func(int) error { return makeLogLink(filepath.Join(dir, "p"), "a/0.log", goneLog(logIDA)) })
			checkLogTree(t, dir, "p/", "p/a/", "p/a/0.log -> "+goneLog(logIDA))
		}
	})
	t.Run("old link, same target", func(t *testing.T) {
		for range 20 {
			dir := t.TempDir()
			logTestLink(t, goneLog(logIDB), filepath.Join(dir, "0.log"))
			run(func(int) error { return makeLogLink(dir, "0.log", goneLog(logIDA)) })
			checkLogTree(t, dir, "0.log -> "+goneLog(logIDA))
		}
	})
	t.Run("two targets, never without a link", func(t *testing.T) {
		dir := t.TempDir()
		link := filepath.Join(dir, "0.log")
		logTestLink(t, goneLog(logIDC), link)
		targets := []string{goneLog(logIDA), goneLog(logIDB)}
		run(func(i int) error {
			for range 20 {
				if err := makeLogLink(dir, "0.log", targets[i%2]); err != nil {
					return err
				}
				if _, err := os.Readlink(link); err != nil {
					return err
				}
			}
			return nil
		})
		tree := logTree(t, dir)
		if len(tree) != 1 || tree[0] != "0.log -> "+targets[0] && tree[0] != "0.log -> "+targets[1] {
			t.Errorf("log directory holds %q", tree)
		}
	})
	t.Run("with removers", func(t *testing.T) {
		dir := t.TempDir()
		run(func(i int) error {
			id := []string{logIDA, logIDB}[i/2%2]
			for range 20 {
				var err error
				if i%2 == 0 {
					err = makeLogLink(dir, "c/0.log", goneLog(id))
				} else if err = removeLogLink(dir, "c/0.log", goneLog(id), id); errors.Is(err, errNotOurLink) {
					err = nil
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		for _, id := range []string{logIDA, logIDB} {
			if err := removeLogLink(dir, "c/0.log", goneLog(id), id); err != nil && !errors.Is(err, errNotOurLink) {
				t.Error(err)
			}
		}
		checkLogTree(t, dir, "c/")
	})
}

func TestRemoveLogLink(t *testing.T) {
	data := t.TempDir()
	liveA, liveB := writeLog(t, data, logIDA), writeLog(t, data, logIDB)
	goneA, goneB := goneLog(logIDA), goneLog(logIDB)
	podmanA := "/nonexistent/overlay-containers/" + logIDA + "/userdata/ctr.log"
	stray := filepath.Join(data, "stray.txt")
	logTestFile(t, stray)
	for _, tt := range []struct {
		name   string
		link   string // where the link points
		target string // what the engine said
		id     string
		left   bool // errNotOurLink, and the link stays
	}{
		{"the container's, dangling as it does after a removal", goneA, goneA, logIDA, false},
		{"the container's, file not gone yet", liveA, liveA, logIDA, false},
		{"the container's, from before the data directory moved", goneA, "/data/containers/" + logIDA + "/" + logIDA + "-json.log", logIDA, false},
		{"the container's, target unknown", goneA, "", logIDA, false},
		{"the container's on Podman, target unknown", podmanA, "", logIDA, false},
		{"names the container but works and is not its file", liveA, goneA, logIDA, true},
		{"names the container but works, target unknown", liveA, "", logIDA, true},
		{"other container's, works", liveB, goneA, logIDA, true},
		{"other container's, dangling", goneB, goneA, logIDA, true},
		{"other container's, dangling, target unknown", goneB, "", logIDA, true},
		{"other container's, dangling, ID unknown", goneB, "", "", true},
		{"dangling and nobody's", "/nonexistent/file", goneA, logIDA, true},
		{"dangling and nobody's, target unknown", "/nonexistent/file", "", logIDA, false},
		{"dangling by a relative target, target unknown", "../none", "", logIDA, false},
		{"a loop, which is not dangling, target unknown", "0.log", "", logIDA, true},
		{"somebody's file", stray, goneA, logIDA, true},
		{"somebody's file, target unknown", stray, "", logIDA, true},
		{"somebody's file beside it, target unknown", "../beside", "", logIDA, true},
		{"ID only as part of a name", "/nonexistent/x" + logIDA + "/f", goneA, logIDA, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			logTestFile(t, filepath.Join(dir, "beside"))
			logTestLink(t, tt.link, filepath.Join(dir, "c", "0.log"))
			want := []string{"beside", "c/"}
			if tt.left {
				want = append(want, "c/0.log -> "+tt.link)
			}
			err := removeLogLink(dir, "c/0.log", tt.target, tt.id)
			if tt.left != errors.Is(err, errNotOurLink) || !tt.left && err != nil {
				t.Errorf("error = %v, want refusal %t", err, tt.left)
			}
			checkLogTree(t, dir, want...)
		})
	}
	checkLogTree(t, data, "containers/",
		"containers/"+logIDA+"/", "containers/"+logIDA+"/"+logIDA+"-json.log",
		"containers/"+logIDB+"/", "containers/"+logIDB+"/"+logIDB+"-json.log", "stray.txt")
}

func TestRemoveLogLinkNoLink(t *testing.T) {
	target := goneLog(logIDA)
	temp := tempLink("c/0.log", target)
	for _, tt := range []struct {
		name  string
		setup func(t *testing.T, dir string)
		dir   string // empty: the test's
		rel   string
		want  []string
		left  bool
	}{
		{name: "absent", rel: "0.log"},
		{name: "parents absent", rel: "a/b/0.log"},
		{name: "log directory absent", dir: "/nonexistent/log", rel: "0.log"},
		{name: "no path", rel: ""},
		{
			name:  "regular file",
			setup: func(t *testing.T, dir string) { logTestFile(t, filepath.Join(dir, "0.log")) },
			rel:   "0.log", want: []string{"0.log"}, left: true,
		},
		{
			name:  "empty directory",
			setup: func(t *testing.T, dir string) { logTestDir(t, filepath.Join(dir, "0.log")) },
			rel:   "0.log", want: []string{"0.log/"}, left: true,
		},
		{name: "out of the directory", rel: "../0.log", left: true},
		{name: "absolute", rel: "/etc/passwd", left: true},
		{name: "relative directory", dir: "log", rel: "0.log", left: true},
		{
			name:  "left by a killed agent",
			setup: func(t *testing.T, dir string) { logTestLink(t, target, filepath.Join(dir, temp)) },
			rel:   "c/0.log", want: []string{"c/"},
		},
		{
			name:  "a file in its place",
			setup: func(t *testing.T, dir string) { logTestFile(t, filepath.Join(dir, temp)) },
			rel:   "c/0.log", want: []string{"c/", temp},
		},
		{
			name:  "a foreign link in its place",
			setup: func(t *testing.T, dir string) { logTestLink(t, "elsewhere", filepath.Join(dir, temp)) },
			rel:   "c/0.log", want: []string{"c/", temp + " -> elsewhere"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.setup != nil {
				tt.setup(t, dir)
			}
			use := dir
			if tt.dir != "" {
				use = tt.dir
			}
			err := removeLogLink(use, tt.rel, target, logIDA)
			if tt.left != errors.Is(err, errNotOurLink) || !tt.left && err != nil {
				t.Errorf("error = %v, want refusal %t", err, tt.left)
			}
			checkLogTree(t, dir, tt.want...)
		})
	}
}

func TestContainersIn(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		want       []string
	}{
		{"Docker", goneLog(logIDA), []string{logIDA, logIDA}},
		{"Podman", "/run/" + logIDB + "/userdata/ctr.log", []string{logIDB}},
		{"none", "/var/log/x.log", nil},
		{"too short", "/c/" + logIDA[:63] + "/f", nil},
		{"too long", "/c/" + logIDA + "a/f", nil},
		{"upper case", "/c/" + strings.ToUpper(logIDA) + "/f", nil},
		{"empty", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, containersIn(tt.path)); diff != "" {
				t.Errorf("containersIn(%q) mismatch (-want +got):\n%s", tt.path, diff)
			}
		})
	}
}

func TestPlanLinks(t *testing.T) {
	early, late := time.Unix(1000, 0), time.Unix(2000, 0)
	want := func(id, rel string) linkWant { return linkWant{ID: id, dir: "/l", rel: rel, target: "/t/" + id} }
	ran := func(w linkWant, at time.Time) linkWant { w.started = at; return w }
	running := func(w linkWant, at time.Time) linkWant { w.started, w.running = at, true; return w }
	for _, tt := range []struct {
		name  string
		wants []linkWant
		ids   []string // in order
	}{
		{"none", nil, nil},
		{"ordered by path", []linkWant{want("1", "b"), want("2", "a/c"), want("3", "a")}, []string{"3", "2", "1"}},
		{"none wanted", []linkWant{{ID: "1", target: "/t"}, {ID: "2", dir: "/l", target: "/t"}, {ID: "3", dir: "/l", rel: "a"}}, nil},
		{"running before one started later", []linkWant{ran(want("1", "a"), late), running(want("2", "a"), early)}, []string{"2"}},
		{"started last", []linkWant{ran(want("1", "a"), early), ran(want("2", "a"), late), want("3", "a")}, []string{"2"}},
		{"same path spelled otherwise", []linkWant{ran(want("1", "a//b"), early), ran(want("2", "a/b"), late)}, []string{"2"}},
		{"same path, other split", []linkWant{want("2", "a/b"), {ID: "1", dir: "/l/a", rel: "b", target: "/t/1"}}, []string{"1"}},
		{"nothing tells them apart: the first ID", []linkWant{want("2", "a"), want("1", "a")}, []string{"1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			given := append([]linkWant(nil), tt.wants...)
			var ids []string
			for _, w := range planLinks(tt.wants) {
				ids = append(ids, w.ID)
			}
			if diff := cmp.Diff(tt.ids, ids); diff != "" {
				t.Errorf("plan mismatch (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(given, tt.wants, cmp.AllowUnexported(linkWant{})); diff != "" {
				t.Errorf("the caller's slice changed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReconcileLinks(t *testing.T) {
	data := t.TempDir()
	liveA, liveB, liveC := writeLog(t, data, logIDA), writeLog(t, data, logIDB), writeLog(t, data, logIDC)
	stray := filepath.Join(data, "stray.txt")
	logTestFile(t, stray)
	started := time.Unix(1000, 0)
	link := func(target string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { logTestLink(t, target, filepath.Join(dir, "a.log")) }
	}
	a := linkWant{ID: logIDA, rel: "a.log", target: liveA, started: started}
	neverRan := func(target string) linkWant {
		return linkWant{ID: logIDA, rel: "a.log", target: target}
	}
	for _, tt := range []struct {
		name     string
		setup    func(t *testing.T, dir string)
		wants    []linkWant // dir is filled in
		report   LinkReport // without Problems
		problems []string   // the IDs of those whose place is taken
		want     []string
	}{
		{name: "no containers"},
		{name: "missing", wants: []linkWant{a}, report: LinkReport{Made: 1}, want: []string{"a.log -> " + liveA}},
		{name: "right", setup: link(liveA), wants: []linkWant{a}, report: LinkReport{Kept: 1}, want: []string{"a.log -> " + liveA}},
		{name: "dangling", setup: link(goneLog(logIDA)), wants: []linkWant{a}, report: LinkReport{Repaired: 1}, want: []string{"a.log -> " + liveA}},
		{name: "dangling, of a container that is gone", setup: link(goneLog(logIDC)), wants: []linkWant{a}, report: LinkReport{Repaired: 1}, want: []string{"a.log -> " + liveA}},
		{
			name: "stale: the other attempt's", setup: link(liveB), report: LinkReport{Repaired: 1},
			wants: []linkWant{{ID: logIDB, rel: "a.log", target: liveB}, a}, want: []string{"a.log -> " + liveA},
		},
		{name: "works, container not ours", setup: link(liveC), wants: []linkWant{a}, problems: []string{logIDA}, want: []string{"a.log -> " + liveC}},
		{name: "works, somebody's file", setup: link(stray), wants: []linkWant{a}, problems: []string{logIDA}, want: []string{"a.log -> " + stray}},
		{
			name: "regular file", wants: []linkWant{a}, problems: []string{logIDA}, want: []string{"a.log"},
			setup: func(t *testing.T, dir string) { logTestFile(t, filepath.Join(dir, "a.log")) },
		},
		{
			name: "directory", wants: []linkWant{a}, problems: []string{logIDA}, want: []string{"a.log/"},
			setup: func(t *testing.T, dir string) { logTestDir(t, filepath.Join(dir, "a.log")) },
		},
		{
			name: "left by a killed agent", wants: []linkWant{a}, report: LinkReport{Kept: 1}, want: []string{"a.log -> " + liveA},
			setup: func(t *testing.T, dir string) {
				link(liveA)(t, dir)
				logTestLink(t, liveA, filepath.Join(dir, tempLink("a.log", liveA)))
			},
		},
		{
			name:  "no log file, no path",
			wants: []linkWant{{ID: logIDA, rel: "a.log", started: started}, {ID: logIDB, target: liveB, started: started}},
		},
		{name: "never ran, no file", wants: []linkWant{neverRan(goneLog(logIDA))}},
		{name: "start failed late, file", wants: []linkWant{neverRan(liveA)}, report: LinkReport{Made: 1}, want: []string{"a.log -> " + liveA}},
		{
			name: "ran, file out of the agent's sight", report: LinkReport{Made: 1}, want: []string{"a.log -> " + goneLog(logIDA)},
			wants: []linkWant{{ID: logIDA, rel: "a.log", target: goneLog(logIDA), running: true}},
		},
		{
			name: "one problem does not stop the others",
			setup: func(t *testing.T, dir string) {
				logTestFile(t, filepath.Join(dir, "a.log"))
				logTestLink(t, liveC, filepath.Join(dir, "c.log"))
				logTestLink(t, "unrelated", filepath.Join(dir, "d.log"))
			},
			wants: []linkWant{
				{ID: logIDC, rel: "c.log", target: liveC, started: started}, a,
				{ID: logIDB, rel: "b/0.log", target: liveB, started: started},
			},
			report:   LinkReport{Made: 1, Kept: 1},
			problems: []string{logIDA},
			want:     []string{"a.log", "b/", "b/0.log -> " + liveB, "c.log -> " + liveC, "d.log -> unrelated"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.setup != nil {
				tt.setup(t, dir)
			}
			var wants []linkWant
			for _, w := range tt.wants {
				if w.rel != "" {
					w.dir = dir
				}
				wants = append(wants, w)
			}
			report, err := reconcileLinks(t.Context(), wants)
			if err != nil {
				t.Fatal(err)
			}
			var problems []string
			for _, p := range report.Problems {
				var e *Error
				if !errors.As(p, &e) || !errors.Is(p, errNotOurLink) {
					t.Fatalf("problem %v is not an *Error about a link that is not ours", p)
				}
				problems = append(problems, e.Target)
			}
			report.Problems = nil
			if diff := cmp.Diff(tt.report, report); diff != "" {
				t.Errorf("report mismatch (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.problems, problems); diff != "" {
				t.Errorf("problems mismatch (-want +got):\n%s", diff)
			}
			checkLogTree(t, dir, tt.want...)

			// Once more: nothing is left to make or repair.
			again, err := reconcileLinks(t.Context(), wants)
			if err != nil {
				t.Fatal(err)
			}
			wantAgain := LinkReport{Kept: report.Made + report.Repaired + report.Kept}
			problemsAgain := len(again.Problems)
			again.Problems = nil
			if diff := cmp.Diff(wantAgain, again); diff != "" || problemsAgain != len(problems) {
				t.Errorf("second run: %d problems, want %d; report mismatch (-want +got):\n%s", problemsAgain, len(problems), diff)
			}
			checkLogTree(t, dir, tt.want...)
		})
	}
}

func TestReconcileLinksBadPath(t *testing.T) {
	dir := t.TempDir()
	report, err := reconcileLinks(t.Context(), []linkWant{{ID: logIDA, dir: filepath.Join(dir, "log"), rel: "../a.log", target: goneLog(logIDA), running: true}})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Problems) != 1 || !errdefs.IsInvalidArgument(report.Problems[0]) {
		t.Errorf("problems = %v, want one of class InvalidArgument", report.Problems)
	}
	checkLogTree(t, dir)
}

func TestReconcileLinksCanceled(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report, err := reconcileLinks(ctx, []linkWant{{ID: logIDA, dir: dir, rel: "a.log", target: goneLog(logIDA), running: true}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
	if diff := cmp.Diff(LinkReport{}, report); diff != "" {
		t.Errorf("report mismatch (-want +got):\n%s", diff)
	}
	checkLogTree(t, dir)
}

func TestDeadLinks(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "log")
	live := writeLog(t, filepath.Join(top, "docker"), logIDA)
	temp := tempLink("left/0.log", goneLog(logIDA))
	for name, target := range map[string]string{
		"dead.log":            goneLog(logIDA),
		"pods/p/c/0.log":      goneLog(logIDA),
		temp:                  goneLog(logIDA), // left by a killed agent
		"live.log":            live,            // the file is there, whatever exists says
		"rotating.log":        goneLog(logIDB), // dangles, but the container exists
		"dead.txt":            goneLog(logIDA),
		"dead.log.1":          goneLog(logIDA),
		"podman.log":          "/nonexistent/" + logIDA + "/userdata/ctr.log",
		"two-ids.log":         "/nonexistent/containers/" + logIDA + "/" + logIDC + "-json.log",
		"relative.log":        "containers/" + logIDA + "/" + logIDA + "-json.log",
		"rotated-file.log":    goneLog(logIDA) + ".1",
		"nobody.log":          "/nonexistent/file",
		"out":                 filepath.Join(top, "outside"),
		"chain.log":           "nobody.log",
		"not-containers.log":  "/nonexistent/volumes/" + logIDA + "/" + logIDA + "-json.log",
		"../outside/dead.log": goneLog(logIDA), // only reachable through "out"
	} {
		logTestLink(t, target, filepath.Join(dir, filepath.FromSlash(name)))
	}
	logTestFile(t, filepath.Join(dir, "file.log"))
	logTestDir(t, filepath.Join(dir, "dir.log"))
	before := logTree(t, top)

	asked := map[string]bool{}
	exists := func(id string) bool { asked[id] = true; return id == logIDB }
	got, err := deadLinks(dir, exists)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"dead.log", temp, "pods/p/c/0.log"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dead links mismatch (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]bool{logIDA: true, logIDB: true}, asked); diff != "" {
		t.Errorf("IDs asked for (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, logTree(t, top)); diff != "" {
		t.Errorf("finding changed something (-before +after):\n%s", diff)
	}

	// Removing looks again: only what is dead goes.
	names := append([]string{"live.log", "rotating.log", "nobody.log", "file.log", "dir.log", "absent.log", "out/dead.log", "../outside/dead.log"}, got...)
	for _, name := range names {
		if err := removeDeadLink(dir, name, exists); err != nil {
			t.Errorf("removeDeadLink(%q): %v", name, err)
		}
	}
	var wantTree []string
	for _, entry := range before {
		dead := false
		for _, name := range want {
			dead = dead || entry == "log/"+name+" -> "+goneLog(logIDA)
		}
		if !dead {
			wantTree = append(wantTree, entry)
		}
	}
	if len(wantTree) != len(before)-len(want) {
		t.Fatalf("tree before does not hold each of %q", want)
	}
	checkLogTree(t, top, wantTree...)
}

func TestDeadLinksNoDirectory(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	exists := func(string) bool { return false }
	if got, err := deadLinks(none, exists); got != nil || err != nil {
		t.Errorf("deadLinks = %q, %v; want nothing", got, err)
	}
	if err := removeDeadLink(none, "0.log", exists); err != nil {
		t.Errorf("removeDeadLink = %v, want nil", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	logTestFile(t, file)
	if _, err := deadLinks(file, exists); err == nil {
		t.Error("deadLinks of a file gave no error")
	}
	if err := removeDeadLink(file, "0.log", exists); err == nil {
		t.Error("removeDeadLink below a file gave no error")
	}
}

// Two links of one directory, or two targets of one link, must not share a
// temporary name; the same link spelled otherwise must.
func TestTempLink(t *testing.T) {
	seen := map[string]string{}
	for _, rel := range []string{"0.log", "a/0.log", "b/0.log", "b/1.log"} {
		for _, id := range []string{logIDA, logIDB} {
			name, what := tempLink(rel, goneLog(id)), fmt.Sprint(rel, id[:1])
			if other, dup := seen[name]; dup {
				t.Errorf("%s and %s share %q", what, other, name)
			}
			seen[name] = what
			if filepath.Dir(filepath.FromSlash(name)) != filepath.Dir(filepath.FromSlash(rel)) {
				t.Errorf("tempLink(%q) = %q is in another directory", rel, name)
			}
		}
	}
}
