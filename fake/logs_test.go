package fake_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/dockpod/dockpod/fake"
	"github.com/google/go-cmp/cmp"
)

// printing is a container whose program wrote "one", to stderr "two", and
// "three" without a newline, a second apart.
func printing(t *testing.T, d *fake.Docker, cfg config) string {
	t.Helper()
	d.HandleFunc("/print", func(p *fake.Process) int {
		fmt.Fprintln(p.Stdout, "one")
		time.Sleep(time.Second)
		fmt.Fprintln(p.Stderr, "two")
		time.Sleep(time.Second)
		fmt.Fprint(p.Stdout, "three")
		return 0
	})
	cfg.Cmd = []string{"/print"}
	id := create(t, d, "", cfg, nil)
	start(t, d, id)
	waitExit(t, d, id)
	return id
}

func TestLogsOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newEngine(t)
		id := printing(t, d, config{})
		second := time.Date(2000, 1, 1, 0, 0, 1, 0, time.UTC) // when "two" was written
		at := func(d time.Duration) string { return second.Add(d).Format(time.RFC3339Nano) }
		tests := []struct {
			name     string
			o        container.LogsOptions
			out, err string
		}{
			{name: "both", o: container.LogsOptions{ShowStdout: true, ShowStderr: true}, out: "one\nthree", err: "two\n"},
			{name: "stdout", o: container.LogsOptions{ShowStdout: true}, out: "one\nthree"},
			{name: "stderr", o: container.LogsOptions{ShowStderr: true}, err: "two\n"},
			{name: "tail 0", o: container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "0"}},
			{name: "tail 1", o: container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "1"}, out: "three"},
			{name: "tail 2", o: container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "2"}, out: "three", err: "two\n"},
			{name: "tail is counted before the stream is chosen", o: container.LogsOptions{ShowStderr: true, Tail: "1"}},
			{name: "tail 99", o: container.LogsOptions{ShowStdout: true, Tail: "99"}, out: "one\nthree"},
			{name: "tail all", o: container.LogsOptions{ShowStdout: true, Tail: "all"}, out: "one\nthree"},
			{name: "tail -1", o: container.LogsOptions{ShowStdout: true, Tail: "-1"}, out: "one\nthree"},
			{name: "tail that is no number", o: container.LogsOptions{ShowStdout: true, Tail: "abc"}, out: "one\nthree"},
			{name: "since includes its instant", o: container.LogsOptions{ShowStdout: true, ShowStderr: true, Since: at(0)}, out: "three", err: "two\n"},
			{name: "since a nanosecond later", o: container.LogsOptions{ShowStdout: true, ShowStderr: true, Since: at(1)}, out: "three"},
			{name: "since the future", o: container.LogsOptions{ShowStdout: true, Since: "2030-01-01T00:00:00Z"}},
			{name: "since a while ago", o: container.LogsOptions{ShowStdout: true, ShowStderr: true, Since: "1s"}, out: "three", err: "two\n"},
			{name: "until includes its instant", o: container.LogsOptions{ShowStdout: true, ShowStderr: true, Until: at(0)}, out: "one\n", err: "two\n"},
			{name: "until a nanosecond before", o: container.LogsOptions{ShowStdout: true, ShowStderr: true, Until: at(-1)}, out: "one\n"},
			{name: "until the past", o: container.LogsOptions{ShowStdout: true, Until: "1h"}},
			{name: "until 0 is no limit", o: container.LogsOptions{ShowStdout: true, Until: "0"}, out: "one\nthree"},
			{name: "since and tail", o: container.LogsOptions{ShowStdout: true, ShowStderr: true, Since: at(0), Tail: "1"}, out: "three"},
			{name: "timestamps", o: container.LogsOptions{ShowStderr: true, Timestamps: true}, err: "2000-01-01T00:00:01.000000000Z two\n"},
			{name: "timestamps and details", o: container.LogsOptions{ShowStderr: true, Timestamps: true, Details: true}, err: "2000-01-01T00:00:01.000000000Z  two\n"},
			{name: "follow what has ended", o: container.LogsOptions{ShowStdout: true, Follow: true, Tail: "1"}, out: "three"},
		}
		for _, tt := range tests {
			out, errout := readLogs(t, d, id, tt.o)
			if out != tt.out || errout != tt.err {
				t.Errorf("%s: %q and %q, want %q and %q", tt.name, out, errout, tt.out, tt.err)
			}
		}
		_, err := d.ContainerLogs(t.Context(), id, container.LogsOptions{})
		wantErr(t, "no stream", err, "400", "Bad parameters: you must choose at least one stream")
		_, err = d.ContainerLogs(t.Context(), id, container.LogsOptions{ShowStdout: true, Since: "bad"})
		wantErr(t, "since", err, "unclassified", `invalid value for "since": failed to parse value as time or duration: "bad"`)
	})
}

func TestLogsByDriver(t *testing.T) {
	d := newEngine(t)
	for _, tt := range []struct {
		driver, out, class, text string
		file                     bool
	}{
		{driver: "json-file", out: "line\n", file: true},
		{driver: "local", out: "line\n"},
		{driver: "none", class: "501", text: "configured logging driver does not support reading"},
	} {
		id := run(t, d, "l-"+tt.driver, &host{LogConfig: container.LogConfig{Type: tt.driver}})
		d.WriteLog(id, fake.Stdout, "line")
		if p := inspect(t, d, id).LogPath; (p == "/var/lib/docker/containers/"+id+"/"+id+"-json.log") != tt.file || (p == "") == tt.file {
			t.Errorf("%s: log path %q", tt.driver, p)
		}
		if tt.class != "" {
			_, err := d.ContainerLogs(t.Context(), id, container.LogsOptions{ShowStdout: true})
			wantErr(t, tt.driver, err, tt.class, tt.text)
			continue
		}
		if out, _ := readLogs(t, d, id, container.LogsOptions{ShowStdout: true}); out != tt.out {
			t.Errorf("%s: %q, want %q", tt.driver, out, tt.out)
		}
	}
	id := create(t, d, "created", config{}, nil)
	if out, _ := readLogs(t, d, id, container.LogsOptions{ShowStdout: true, Follow: true}); out != "" {
		t.Errorf("the log of a created container: %q", out)
	}
}

func TestLogsTTY(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newEngine(t)
		id := printing(t, d, config{Tty: true})
		for o, want := range map[container.LogsOptions]string{
			{ShowStdout: true, ShowStderr: true}: "one\r\ntwo\r\nthree",
			{ShowStderr: true}:                   "",
		} {
			r, err := d.ContainerLogs(t.Context(), id, o)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(r); err != nil || string(b) != want {
				t.Errorf("%q, %v; want %q", b, err, want)
			}
		}
	})
}

func TestLogsLongLine(t *testing.T) {
	d := newEngine(t)
	d.HandleFunc("/long", func(p *fake.Process) int {
		fmt.Fprintln(p.Stdout, strings.Repeat("x", 40000))
		fmt.Fprintln(p.Stdout, "end")
		return 0
	})
	id := run(t, d, "l1", nil, "/long")
	waitExit(t, d, id)
	r, err := d.ContainerLogs(t.Context(), id, container.LogsOptions{ShowStdout: true, Timestamps: true})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int
	var stamps []string
	for len(b) > 0 {
		n := int(b[6])<<8 | int(b[7])
		sizes, stamps = append(sizes, n-31), append(stamps, string(b[8:38]))
		b = b[8+n:]
	}
	// 16 KiB at a time, all with the time of the first piece.
	if diff := cmp.Diff([]int{16384, 16384, 7233, 4}, sizes); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
	if stamps[0] != stamps[1] || stamps[1] != stamps[2] {
		t.Errorf("times of one line's pieces: %v", stamps[:3])
	}
	if out, _ := readLogs(t, d, id, container.LogsOptions{ShowStdout: true, Tail: "2"}); len(out) != 7233+4 {
		t.Errorf("the last two records have %d bytes", len(out))
	}
}

func TestLogsFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newEngine(t)
		id := run(t, d, "f1", nil)
		d.WriteLog(id, fake.Stdout, "before")
		r, err := d.ContainerLogs(t.Context(), id, container.LogsOptions{ShowStdout: true, Follow: true, Tail: "0"})
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan string)
		go func() {
			b, err := io.ReadAll(r)
			if err != nil {
				t.Errorf("follow: %v", err)
			}
			got <- string(b)
		}()
		d.WriteLog(id, fake.Stdout, "a")
		synctest.Wait()
		d.WriteLog(id, fake.Stdout, "b")
		d.Exit(id, 0)
		if out, _ := demux(t, []byte(<-got)); out != "a\nb\n" {
			t.Errorf("followed %q", out)
		}

		// A context ends it with its error, Close with another.
		start(t, d, id)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err = d.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, Follow: true, Tail: "0"})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); class(err) != "deadline" || len(b) > 0 {
			t.Errorf("a follow that timed out: %q, %v", b, err)
		}
		r, err = d.ContainerLogs(t.Context(), id, container.LogsOptions{ShowStdout: true, Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { r.Close() })
		if _, err := io.ReadAll(r); err == nil {
			t.Error("a follow that was closed ended well")
		}
	})
}

func TestLogFile(t *testing.T) {
	d := &fake.Docker{Root: t.TempDir(), Now: func() time.Time { return time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC) }}
	t.Cleanup(func() { d.Close() })
	d.AddImage("app:1")
	id := create(t, d, "w1", config{}, nil)
	start(t, d, id)
	path := inspect(t, d, id).LogPath
	if !strings.HasPrefix(path, d.Root) || !strings.HasSuffix(path, id+"-json.log") {
		t.Fatalf("log path %q", path)
	}
	d.WriteLog(id, fake.Stdout, "one <1>")
	d.Exit(id, 0)
	d.WriteLog(id, fake.Stderr, "two") // after the end, as if before
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	type line struct{ Log, Stream, Time string }
	var got []line
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		var l line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		got = append(got, l)
	}
	want := []line{{"one <1>\n", "stdout", "2024-01-02T03:04:05.000000006Z"}, {"two\n", "stderr", "2024-01-02T03:04:05.000000006Z"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log file (-want +got):\n%s", diff)
	}
	if err := d.ContainerRemove(t.Context(), id, container.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the log outlives its container: %v", err)
	}
}

func TestLogRotation(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options map[string]string
		files   []string // by suffix, what of each is left
		api     string
	}{
		{"no bound", nil, []string{"", "0 1 2 3 4 5 6 7 8 9"}, "0 1 2 3 4 5 6 7 8 9"},
		{"one file", map[string]string{"max-size": "200"}, []string{"", "9"}, "9"},
		{"three files", map[string]string{"max-size": "0.2k", "max-file": "3"}, []string{"", "9", ".1", "6 7 8", ".2", "3 4 5"}, "3 4 5 6 7 8 9"},
		{"compressed", map[string]string{"max-size": "200b", "max-file": "2", "compress": "true"}, []string{"", "9", ".1.gz", "6 7 8"}, "6 7 8 9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &fake.Docker{Root: t.TempDir(), Now: func() time.Time { return time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC) }}
			t.Cleanup(func() { d.Close() })
			d.AddImage("app:1")
			id := create(t, d, "w1", config{}, &host{LogConfig: container.LogConfig{Type: "json-file", Config: tt.options}})
			start(t, d, id)
			for i := range 10 { // 73 bytes each
				d.WriteLog(id, fake.Stdout, fmt.Sprint(i))
			}
			path := inspect(t, d, id).LogPath
			left, err := os.ReadDir(filepath.Dir(path))
			if err != nil {
				t.Fatal(err)
			}
			if len(left) != len(tt.files)/2 {
				t.Errorf("%d files: %v", len(left), left)
			}
			for i := 0; i < len(tt.files); i += 2 {
				f, err := os.Open(path + tt.files[i])
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				var src io.Reader = f
				if strings.HasSuffix(tt.files[i], ".gz") {
					if src, err = gzip.NewReader(f); err != nil {
						t.Fatal(err)
					}
				}
				var got []string
				for dec := json.NewDecoder(src); ; {
					var l struct{ Log string }
					if dec.Decode(&l) != nil {
						break
					}
					got = append(got, strings.TrimSpace(l.Log))
				}
				if s := strings.Join(got, " "); s != tt.files[i+1] {
					t.Errorf("file %q has %q", tt.files[i], s)
				}
			}
			if out, _ := readLogs(t, d, id, container.LogsOptions{ShowStdout: true}); strings.Join(strings.Fields(out), " ") != tt.api {
				t.Errorf("the API gives %q", out)
			}
		})
	}
	d := newEngine(t)
	for text, options := range map[string]map[string]string{
		"invalid size: 'x'":                  {"max-size": "x"},
		"max-size must be a positive number": {"max-size": "0"},
		"max-file cannot be less than 1":     {"max-file": "0"},
		"compress cannot be true when max-file is less than 2 or max-size is not set": {"compress": "true"},
	} {
		id := create(t, d, "", config{}, &host{LogConfig: container.LogConfig{Type: "json-file", Config: options}})
		err := d.ContainerStart(t.Context(), id, container.StartOptions{})
		wantErr(t, text, err, "500", "failed to initialize logging driver: "+text)
	}
}
