package dockpod_test

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/internal/logline"
)

// benchLog is a json-file log of some 200 MB: lines of 110 bytes, one in
// eleven on stderr, a millisecond apart.
func benchLog(b *testing.B, text string) (path string, size int64, last time.Time) {
	b.Helper()
	path = filepath.Join(b.TempDir(), "log")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	at := time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC)
	var buf []byte
	for i := range 1_100_000 {
		at = at.Add(time.Millisecond)
		rec := logline.Record{Stream: logline.Stdout, Text: []byte(text), Stamp: at.AppendFormat(nil, time.RFC3339Nano)}
		if i%11 == 0 {
			rec.Stream = logline.Stderr
		}
		if buf = logline.AppendJSON(buf, &rec); len(buf) > 1<<20 || i == 1_099_999 {
			if _, err := f.Write(buf); err != nil {
				b.Fatal(err)
			}
			buf = buf[:0]
		}
	}
	size, err = f.Seek(0, io.SeekCurrent)
	if err != nil {
		b.Fatal(err)
	}
	return path, size, at
}

// rawRead reads a file in blocks of 1 MiB, which is the limit.
func rawRead(b *testing.B, path string) {
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for buf := make([]byte, 1<<20); ; {
		if _, err := f.Read(buf); err == io.EOF {
			return
		} else if err != nil {
			b.Fatal(err)
		}
	}
}

// decodeAll reads a log as the engine does.
func decodeAll(b *testing.B, path string) {
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for dec := json.NewDecoder(f); ; {
		var l struct {
			Log    string    `json:"log"`
			Stream string    `json:"stream"`
			Time   time.Time `json:"time"`
		}
		if err := dec.Decode(&l); err == io.EOF {
			return
		} else if err != nil {
			b.Fatal(err)
		}
		if _, err := io.WriteString(io.Discard, l.Log); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLogs reads a log of 200 MB in several ways. Beside MB/s of the
// file, raw/op is how many times longer it takes than reading the blocks alone
// in the same run, and decoder/op how many times shorter than a json.Decoder.
func BenchmarkLogs(b *testing.B) {
	plain := strings.Repeat("l", 110)
	for _, bb := range []struct {
		name, text string
		opts       func(last time.Time) dockpod.LogOptions
	}{
		{"plain", plain, func(time.Time) dockpod.LogOptions {
			return dockpod.LogOptions{Stdout: io.Discard, Stderr: io.Discard}
		}},
		{"json", `{"level":"info","msg":"request","path":"/a/b","status":200,"took":"1.2ms","id":"0123456789"}`, func(time.Time) dockpod.LogOptions {
			return dockpod.LogOptions{Stdout: io.Discard, Stderr: io.Discard}
		}},
		{"timestamps", plain, func(time.Time) dockpod.LogOptions {
			return dockpod.LogOptions{Stdout: io.Discard, Stderr: io.Discard, Timestamps: true}
		}},
		{"tail=100000 of stderr", plain, func(time.Time) dockpod.LogOptions {
			return dockpod.LogOptions{Stderr: io.Discard, Tail: 100_000}
		}},
		{"tail=100000 of stdout", plain, func(time.Time) dockpod.LogOptions {
			return dockpod.LogOptions{Stdout: io.Discard, Tail: 100_000}
		}},
		{"tail=100", plain, func(time.Time) dockpod.LogOptions {
			return dockpod.LogOptions{Stdout: io.Discard, Tail: 100}
		}},
		{"since the last tenth", plain, func(last time.Time) dockpod.LogOptions {
			return dockpod.LogOptions{Stdout: io.Discard, Since: last.Add(-110 * time.Second)}
		}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			path, size, last := benchLog(b, bb.text)
			clock := func(f func()) time.Duration {
				begun := time.Now()
				f()
				return time.Since(begun)
			}
			rawRead(b, path)
			decoder := clock(func() { decodeAll(b, path) })
			var raw, ours time.Duration
			b.SetBytes(size)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				raw += clock(func() { rawRead(b, path) })
				b.StartTimer()
				ours += clock(func() {
					if err := dockpod.ReadLogFile(b.Context(), path, bb.opts(last)); err != nil {
						b.Fatal(err)
					}
				})
			}
			b.ReportMetric(float64(ours)/float64(raw), "raw/op")
			b.ReportMetric(float64(decoder)*float64(b.N)/float64(ours), "decoder/op")
		})
	}
}
