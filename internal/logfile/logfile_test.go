package logfile

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod/internal/logline"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// at is the time of the test's record n.
func at(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }

func record(n int, s logline.Stream, text string) *logline.Record {
	text, whole := strings.CutSuffix(text, "\n")
	return &logline.Record{Stream: s, Partial: !whole, Text: []byte(text), Stamp: []byte(at(n).Format(time.RFC3339Nano))}
}

func inJSON(n int, s logline.Stream, text string) string {
	return string(logline.AppendJSON(nil, record(n, s, text)))
}

func inCRI(n int, s logline.Stream, text string) string {
	return string(logline.AppendRecord(nil, record(n, s, text)))
}

// out is a sink that joins what it takes.
type out struct {
	text    strings.Builder
	flushed int
	put     func(text string) error
}

func (o *out) Put(r *logline.Record) error {
	text := string(r.Text)
	if !r.Partial {
		text += "\n"
	}
	o.text.WriteString(text)
	if o.put != nil {
		return o.put(text)
	}
	return nil
}

func (o *out) Flush() error { o.flushed++; return nil }

func write(t testing.TB, path string, text ...string) {
	t.Helper()
	var b bytes.Buffer
	if strings.HasSuffix(path, ".gz") {
		z := gzip.NewWriter(&b)
		z.Write([]byte(strings.Join(text, "")))
		z.Close()
	} else {
		b.WriteString(strings.Join(text, ""))
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// clean expects that a test leaves no descriptor and no goroutine.
func clean(t testing.TB) {
	t.Helper()
	fds := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return 0
		}
		return len(list)
	}
	files, routines := fds(), runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 1000 {
			if fds() <= files && runtime.NumGoroutine() <= routines {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%d descriptors and %d goroutines; there were %d and %d", fds(), runtime.NumGoroutine(), files, routines)
	})
}

func TestRead(t *testing.T) {
	o, e := logline.Stdout, logline.Stderr
	json := inJSON(1, o, "a\n") + inJSON(2, e, "b\n") + inJSON(3, o, "c\n") + inJSON(4, e, "d\n")
	long := inJSON(1, o, "x\n") + inJSON(2, o, "1") + inJSON(2, o, "2") + inJSON(2, o, "3\n") + inJSON(3, o, "y\n")
	both := Query{All: true, Stdout: true, Stderr: true}
	with := func(f func(*Query)) Query { q := both; f(&q); return q }
	tail := func(n int) Query { return with(func(q *Query) { q.All, q.Tail = false, n }) }
	for _, tt := range []struct {
		name  string
		files map[string]string
		q     Query
		want  string
	}{
		{"nothing", map[string]string{"": ""}, both, ""},
		{"json", map[string]string{"": json}, both, "a\nb\nc\nd\n"},
		{"cri", map[string]string{"": inCRI(1, o, "a\n") + inCRI(2, e, "b") + inCRI(2, e, "c\n")}, both, "a\nbc\n"},
		{"mixed", map[string]string{"": inCRI(1, o, "a\n") + inJSON(2, e, "b\n") + inCRI(3, o, "c\n")}, both, "a\nb\nc\n"},
		{"stdout", map[string]string{"": json}, Query{All: true, Stdout: true}, "a\nc\n"},
		{"torn at the end", map[string]string{"": json + `{"log":"e`}, both, "a\nb\nc\nd\n"},
		{"torn and tail", map[string]string{"": json + `{"log":"e`}, tail(1), "d\n"},
		{"torn in the middle", map[string]string{"": `{"log":"e` + json + "junk\n" + inCRI(9, o, "z\n")}, both, "a\nb\nc\nd\nz\n"},
		{"NULs", map[string]string{"": strings.Repeat("\x00", 3*MaxLine+7) + json + "\x00\x00"}, both, "a\nb\nc\nd\n"},
		{"NULs and tail", map[string]string{"": inCRI(0, o, "z\n") + strings.Repeat("\x00", 3*MaxLine+7) + json}, tail(9), "z\na\nb\nc\nd\n"},
		{"tail 0", map[string]string{"": json}, tail(0), ""},
		{"tail 1", map[string]string{"": json}, tail(1), "d\n"},
		{"tail 3", map[string]string{"": json}, tail(3), "b\nc\nd\n"},
		{"tail 4", map[string]string{"": json}, tail(4), "a\nb\nc\nd\n"},
		{"tail 9", map[string]string{"": json}, tail(9), "a\nb\nc\nd\n"},
		{"tail of one stream", map[string]string{"": json}, Query{Tail: 1, Stdout: true}, "c\n"},
		{"tail of one stream, more than there is", map[string]string{"": json, ".1": inJSON(-1, o, "1\n") + inJSON(0, e, "2\n")}, Query{Tail: 9, Stderr: true}, "2\nb\nd\n"},
		{"tail of a stream that has none", map[string]string{"": inJSON(1, o, "a\n"), ".1": inJSON(0, o, "0\n")}, Query{Tail: 9, Stderr: true}, ""},
		{"tail of one stream since", map[string]string{"": json}, Query{Tail: 9, Stdout: true, Since: at(3)}, "c\n"},
		{"tail of one stream until", map[string]string{"": json}, Query{Tail: 1, Stdout: true, Until: at(2)}, "a\n"},
		{"tail of one stream in pieces", map[string]string{"": inJSON(1, o, "1") + inJSON(1, e, "x\n") + inJSON(2, o, "2\n") + inJSON(3, e, "y\n")}, Query{Tail: 2, Stdout: true}, "12\n"},
		{"tail of one stream with other shapes between", map[string]string{"": `{"log":"a\n","stream":"stderr","attrs":{"stream":"stdout"},"time":"2026-01-02T03:04:05Z"}` + "\n" +
			inCRI(2, o, "b\n") + inCRI(3, e, `{"log":"c","stream":"stdout","time":"2026-01-02T03:04:05.999999999Z"}`+"\n") + "junk\n" + inJSON(4, o, "d\n")}, Query{Tail: 9, Stderr: true},
			"a\n" + `{"log":"c","stream":"stdout","time":"2026-01-02T03:04:05.999999999Z"}` + "\n"},
		{"tail of one stream among long lines", map[string]string{"": inJSON(1, e, strings.Repeat("x", 2*MaxLine)+"\n") + inJSON(2, o, "a\n") + strings.Repeat("\x00", 2*MaxLine) + inJSON(3, o, "b\n") +
			inJSON(4, o, strings.Repeat("y", 2*MaxLine)+"\n") + inJSON(5, e, "z\n")}, Query{Tail: 9, Stdout: true}, "a\nb\n" + strings.Repeat("y", 2*MaxLine) + "\n"},
		{"tail counts lines in pieces once", map[string]string{"": long}, tail(2), "123\ny\n"},
		{"tail 1 of pieces", map[string]string{"": long}, tail(1), "y\n"},
		{"tail counts what is unfinished", map[string]string{"": long + inJSON(4, o, "z")}, tail(2), "y\nz"},
		{"since", map[string]string{"": json}, with(func(q *Query) { q.Since = at(3) }), "c\nd\n"},
		{"since a nanosecond later", map[string]string{"": json}, with(func(q *Query) { q.Since = at(3).Add(1) }), "d\n"},
		{"since the future", map[string]string{"": json}, with(func(q *Query) { q.Since = at(9) }), ""},
		{"until", map[string]string{"": json}, with(func(q *Query) { q.Until = at(3) }), "a\nb\nc\n"},
		{"until a nanosecond before", map[string]string{"": json}, with(func(q *Query) { q.Until = at(3).Add(-1) }), "a\nb\n"},
		{"since, until and tail", map[string]string{"": json}, with(func(q *Query) { q.All, q.Tail, q.Since, q.Until = false, 1, at(2), at(3) }), "c\n"},
		{"tail and since", map[string]string{"": json}, with(func(q *Query) { q.All, q.Tail, q.Since = false, 9, at(3) }), "c\nd\n"},
		{"tail and since, where the clock was turned back", map[string]string{"": inJSON(9, o, "a\n") + inJSON(1, o, "b\n") + inJSON(10, o, "c\n")}, with(func(q *Query) { q.All, q.Tail, q.Since = false, 2, at(9) }), "a\nc\n"},
		{"older files", map[string]string{"": json, ".1": inJSON(0, o, "1\n"), ".2.gz": inJSON(-1, o, "2\n"), ".10": inJSON(-9, o, "10\n"), ".x": "junk", ".1.bak": "junk"}, both, "10\n2\n1\na\nb\nc\nd\n"},
		{"what is being compressed", map[string]string{"": json, ".1": inJSON(0, o, "1\n"), ".1.gz": inJSON(0, o, "1\n")}, both, "1\na\nb\nc\nd\n"},
		{"older files of the kubelet", map[string]string{"": inCRI(3, o, "c\n"), ".20260102-030405": inCRI(2, o, "b\n"), ".20260101-000000.gz": inCRI(1, o, "a\n")}, both, "a\nb\nc\n"},
		{"tail across files", map[string]string{"": json, ".1": inJSON(0, o, "1\n"), ".2.gz": inJSON(-2, o, "3\n") + inJSON(-1, o, "2\n")}, tail(6), "2\n1\na\nb\nc\nd\n"},
		{"a line across files", map[string]string{"": inJSON(1, o, "b\n"), ".1": inJSON(1, o, "a")}, tail(1), "ab\n"},
		{"since across files", map[string]string{"": json, ".1": inJSON(-10, o, "1\n") + inJSON(0, o, "0\n"), ".2.gz": inJSON(-20, o, "3\n")}, with(func(q *Query) { q.Since = at(0) }), "0\na\nb\nc\nd\n"},
		{"a clock turned back between files", map[string]string{"": json, ".1": inJSON(100, o, "1\n")}, with(func(q *Query) { q.Since = at(4) }), "1\nd\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clean(t)
			path := filepath.Join(t.TempDir(), "log")
			for suffix, text := range tt.files {
				write(t, path+suffix, text)
			}
			var got out
			if err := Read(t.Context(), path, tt.q, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.text.String()); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
			// The same through a link elsewhere.
			link := filepath.Join(t.TempDir(), "0.log")
			if err := os.Symlink(path, link); err != nil {
				t.Fatal(err)
			}
			var again out
			if err := Read(t.Context(), link, tt.q, &again); err != nil || again.text.String() != tt.want {
				t.Errorf("through a link: %q, %v", again.text.String(), err)
			}
		})
	}
}

// A search finds exactly what reading everything finds, on a file of many
// blocks, also where the clock was turned back.
func TestReadLarge(t *testing.T) {
	clean(t)
	path := filepath.Join(t.TempDir(), "log")
	write := func(times func(i int) int) (lines int) {
		var b []byte
		for i := range 20000 {
			b = logline.AppendJSON(b, record(times(i), logline.Stream(1+i%2), fmt.Sprintf("line %d %s\n", i, strings.Repeat("x", i%300))))
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return 20000
	}
	read := func(q Query) string {
		t.Helper()
		var got out
		if err := Read(t.Context(), path, q, &got); err != nil {
			t.Fatal(err)
		}
		return got.text.String()
	}
	lines := write(func(i int) int { return i })
	all := strings.SplitAfter(read(Query{All: true, Stdout: true, Stderr: true}), "\n")
	if len(all)-1 != lines {
		t.Fatalf("%d lines", len(all)-1)
	}
	odd := strings.SplitAfter(read(Query{All: true, Stderr: true}), "\n")
	for _, n := range []int{1, 2, 63, 1000, 9999, 19999, 20000, 20001} {
		if got := read(Query{Tail: n, Stdout: true, Stderr: true}); got != strings.Join(all[max(0, lines-n):], "") {
			t.Errorf("tail %d has %d bytes", n, len(got))
		}
		if got := read(Query{Tail: n, Stderr: true}); got != strings.Join(odd[max(0, lines/2-n):], "") {
			t.Errorf("tail %d of one stream has %d lines", n, strings.Count(got, "\n"))
		}
		if got := read(Query{All: true, Since: at(n), Stdout: true, Stderr: true}); got != strings.Join(all[min(n, lines):], "") {
			t.Errorf("since %d begins with %.20q", n, got)
		}
	}
	// From 0 to 9999, and once more from 5000 on.
	write(func(i int) int { return i%10000 + i/10000*5000 })
	if got := read(Query{All: true, Since: at(9000), Stdout: true, Stderr: true}); strings.Count(got, "\n") != 1000+6000 {
		t.Errorf("since has %d lines where the clock was turned back", strings.Count(got, "\n"))
	}
}

// More lines of one stream than places are remembered.
func TestReadTailOfMany(t *testing.T) {
	clean(t)
	path := filepath.Join(t.TempDir(), "log")
	var b []byte
	for i := range maxPlaces + 10 {
		b = logline.AppendJSON(b, record(i, logline.Stdout, "o\n"))
		b = logline.AppendJSON(b, record(i, logline.Stderr, fmt.Sprintln(i)))
	}
	write(t, path, string(b))
	for _, n := range []int{maxPlaces, maxPlaces + 1, maxPlaces + 5} {
		var got out
		if err := Read(t.Context(), path, Query{Tail: n, Stderr: true}, &got); err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(got.text.String(), "\n")
		if lines := strings.Count(got.text.String(), "\n"); lines != n || first != strconv.Itoa(maxPlaces+10-n) {
			t.Errorf("tail %d has %d lines and begins with %q", n, lines, first)
		}
	}
}

func TestReadLongLine(t *testing.T) {
	clean(t)
	text := strings.Repeat("é\"<x> ", 3*MaxLine/7)
	for name, line := range map[string]string{
		"json": inJSON(2, logline.Stderr, text+"\n"), "cri": inCRI(2, logline.Stderr, text+"\n"),
		"junk": strings.Repeat("j", 3*MaxLine) + "\n",
	} {
		path := filepath.Join(t.TempDir(), "log")
		write(t, path, inJSON(1, logline.Stdout, "a\n"), line, inJSON(3, logline.Stdout, "b\n"), strings.Repeat("torn", MaxLine))
		want := text + "\n"
		if name == "junk" {
			want = ""
		}
		for tail, want := range map[int]string{-1: "a\n" + want + "b\n", 3: "a\n" + want + "b\n", 2: map[bool]string{true: "a\nb\n", false: want + "b\n"}[name == "junk"], 1: "b\n"} {
			var got out
			if err := Read(t.Context(), path, Query{All: tail < 0, Tail: tail, Stdout: true, Stderr: true}, &got); err != nil {
				t.Fatal(err)
			}
			if got.text.String() != want {
				t.Errorf("%s, tail %d: %d bytes; want %d", name, tail, got.text.Len(), len(want))
			}
		}
	}
}

func TestReadErrors(t *testing.T) {
	clean(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	write(t, path, inJSON(1, logline.Stdout, "a\n"), inJSON(2, logline.Stdout, "b\n"))
	errFull := errors.New("full")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	q := Query{All: true, Stdout: true}
	for _, tt := range []struct {
		name string
		ctx  context.Context
		path string
		put  func(string) error
		want error
	}{
		{"a directory", t.Context(), dir, nil, ErrNotFile},
		{"nothing", t.Context(), filepath.Join(dir, "none"), nil, os.ErrNotExist},
		{"a sink that fails", t.Context(), path, func(string) error { return errFull }, errFull},
		{"cancelled", cancelled, path, nil, context.Canceled},
	} {
		if err := Read(tt.ctx, tt.path, q, &out{put: tt.put}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v; want %v", tt.name, err, tt.want)
		}
	}
	// What stands beside the log and is none of its files is no obstacle.
	for suffix, target := range map[string]string{".3": "nowhere", ".4": "log.4", ".5": "."} {
		if err := os.Symlink(target, path+suffix); err != nil {
			t.Fatal(err)
		}
	}
	var got out
	if err := Read(t.Context(), path, q, &got); err != nil || got.text.String() != "a\nb\n" {
		t.Errorf("links beside the log: %q, %v", got.text.String(), err)
	}
	write(t, path+".1.gz", "x")
	if err := os.WriteFile(path+".1.gz", []byte("no archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Read(t.Context(), path, q, &out{}); !errors.Is(err, gzip.ErrHeader) {
		t.Errorf("a damaged archive: %v", err)
	}
	if err := Read(t.Context(), path, Query{Tail: 1, Stdout: true}, &out{}); err != nil {
		t.Errorf("a damaged archive that is not needed: %v", err)
	}
}

// A large file that is one hole costs time and no memory.
func TestReadSparse(t *testing.T) {
	clean(t)
	path := filepath.Join(t.TempDir(), "log")
	write(t, path, inJSON(1, logline.Stdout, "a\n"))
	size := int64(1 << 30)
	if gib, err := strconv.Atoi(os.Getenv("DOCKPOD_SPARSE_GIB")); err == nil {
		size = int64(gib) << 30
	}
	if err := os.Truncate(path, size); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	add(t, path, inJSON(2, logline.Stdout, "b\n"))
	var got out
	if err := Read(t.Context(), path, Query{Tail: 1, Stdout: true}, &got); err != nil || got.text.String() != "b\n" {
		t.Errorf("%q, %v", got.text.String(), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	begun := time.Now()
	err := Read(ctx, path, Query{All: true, Stdout: true}, &out{})
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("a cancelled read went on for %v: %v", took, err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got = out{}
	if err := Read(t.Context(), path, Query{All: true, Stdout: true}, &got); err != nil || got.text.String() != "a\nb\n" {
		t.Errorf("%q, %v", got.text.String(), err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("allocated %d MiB", grown>>20)
	}
}

// What was written anew since its places were looked for is read as it is.
func TestReaderPlaces(t *testing.T) {
	junk := strings.Repeat("-", 30) + "\n"
	text := junk + junk + inJSON(1, logline.Stdout, "a\n") + inJSON(2, logline.Stdout, "b\n")
	l := reader{places: []int64{0, int64(len(junk)), int64(len(text)), int64(len(text)) + 9}}
	l.reset(strings.NewReader(text), 0, int64(len(text)))
	var rec logline.Record
	for i, want := range []string{"a", "a"} {
		if err := l.next(t.Context(), &rec); err != nil || string(rec.Text) != want {
			t.Errorf("record %d: %q, %v; want %q", i, rec.Text, err, want)
		}
	}
	for range 3 {
		if err := l.next(t.Context(), &rec); err != io.EOF {
			t.Errorf("behind the end: %v; want %v", err, io.EOF)
		}
	}
}

func TestParseRotated(t *testing.T) {
	for rest, want := range map[string]Rotated{
		".1":                            {Number: 1},
		".12.gz":                        {Number: 12, Gzip: true},
		".20060102-150405":              {Time: "20060102-150405"},
		".20060102-150405.gz":           {Time: "20060102-150405", Gzip: true},
		".20060102-150405.000000007":    {Time: "20060102-150405.000000007"},
		".20060102-150405.000000007.gz": {Time: "20060102-150405.000000007", Gzip: true},
	} {
		got, ok := ParseRotated(rest)
		if !ok || got != want {
			t.Errorf("%q: %+v, %t; want %+v", rest, got, ok, want)
		}
		if got.Ours() != (rest == ".20060102-150405.000000007") {
			t.Errorf("%q: ours %t", rest, got.Ours())
		}
	}
	for _, rest := range []string{"", ".", "1", ".x", ".1.bz2", ".1234567", ".20060102", ".20060102-150405.0000000001", ".20060102-150405.tmp"} {
		if got, ok := ParseRotated(rest); ok {
			t.Errorf("%q is read as %+v", rest, got)
		}
	}
}
