package stdmux

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/docker/docker/pkg/stdcopy"

	"github.com/dockpod/dockpod/internal/logline"
)

func frame(stream byte, text string) string {
	head := [headerLen]byte{0: stream}
	binary.BigEndian.PutUint32(head[4:], uint32(len(text)))
	return string(head[:]) + text
}

func TestCopy(t *testing.T) {
	errDown := errors.New("down")
	big := strings.Repeat("x", 3*MaxWhole)
	for _, tt := range []struct {
		name     string
		in       string
		src      func(io.Reader) io.Reader
		out, err string
		fails    error
	}{
		{name: "nothing"},
		{name: "both", in: frame(1, "a\n") + frame(2, "b\n") + frame(0, "c"), out: "a\nc", err: "b\n"},
		{name: "a byte at a time", in: frame(1, "a\n") + frame(2, "b\n"), src: iotest.OneByteReader, out: "a\n", err: "b\n"},
		{name: "end with the data", in: frame(1, "a\n") + frame(2, "b\n"), src: iotest.DataErrReader, out: "a\n", err: "b\n"},
		{name: "empty frames", in: frame(1, "") + frame(2, "") + frame(1, "a"), out: "a"},
		{name: "newlines that are not counted", in: frame(1, "a") + "\n" + frame(2, "b") + "\n" + frame(1, "") + "\n", out: "a\n\n", err: "b\n"},
		{name: "newlines that are not counted, a byte at a time", in: frame(2, "b") + "\n" + frame(0, "a") + "\n", src: iotest.OneByteReader, out: "a\n", err: "b\n"},
		{name: "a long frame", in: frame(2, big) + frame(1, "a"), out: "a", err: big},
		{name: "cut in a header", in: frame(1, "a") + "\x01\x00", out: "a", fails: io.ErrUnexpectedEOF},
		{name: "cut after a header", in: frame(1, "abc")[:headerLen], fails: io.ErrUnexpectedEOF},
		{name: "cut in a payload", in: frame(1, "a") + frame(2, "bcd")[:headerLen+2], out: "a", err: "bc", fails: io.ErrUnexpectedEOF},
		{name: "a length of 4 GiB", in: "\x01\x00\x00\x00\xff\xff\xff\xffabc", out: "abc", fails: io.ErrUnexpectedEOF},
		{name: "the engine's error", in: frame(1, "a") + frame(3, "disk gone") + frame(1, "b"), out: "a", fails: EngineError("disk gone")},
		{name: "an error cut short", in: frame(3, "disk gone")[:headerLen+4], fails: EngineError("disk")},
		{name: "an error without words", in: frame(3, ""), fails: EngineError("")},
		{name: "a long error", in: frame(3, big), fails: EngineError(big[:maxErrorText])},
		{name: "source fails", in: frame(1, "a"), src: func(r io.Reader) io.Reader { return io.MultiReader(r, iotest.ErrReader(errDown)) }, out: "a", fails: errDown},
		{name: "source is stuck", src: func(io.Reader) io.Reader { return stuck{} }, fails: io.ErrNoProgress},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var src io.Reader = strings.NewReader(tt.in)
			if tt.src != nil {
				src = tt.src(src)
			}
			var out, errout bytes.Buffer
			n, err := Copy(&out, &errout, src)
			if !errors.Is(err, tt.fails) {
				t.Errorf("error %v; want %v", err, tt.fails)
			}
			if out.String() != tt.out || errout.String() != tt.err {
				t.Errorf("%.20q (%d) and %.20q (%d)", out.String(), out.Len(), errout.String(), errout.Len())
			}
			if int(n) != len(tt.out)+len(tt.err) {
				t.Errorf("written %d; want %d", n, len(tt.out)+len(tt.err))
			}
		})
	}
	if _, err := Copy(nil, nil, strings.NewReader(frame(7, "a"))); !errors.Is(err, ErrFormat) {
		t.Errorf("stream 7: %v", err)
	}
	if _, err := Copy(nil, nil, strings.NewReader("\n"+frame(1, "a"))); !errors.Is(err, ErrFormat) {
		t.Errorf("a newline first: %v", err)
	}
	if n, err := Copy(nil, nil, strings.NewReader(frame(1, "a")+frame(2, "b"))); n != 2 || err != nil {
		t.Errorf("discarded %d, %v", n, err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

type limited struct{ room int }

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.room)
	l.room -= n
	return n, nil
}

func TestCopyWriterFails(t *testing.T) {
	errFull := errors.New("full")
	in := frame(1, "abc") + frame(2, "d")
	r, w := io.Pipe()
	r.CloseWithError(errFull)
	if n, err := Copy(nil, w, strings.NewReader(in)); n != 3 || err != errFull {
		t.Errorf("%d, %v; want 3, %v", n, err, errFull)
	}
	if n, err := Copy(&limited{2}, nil, strings.NewReader(in)); n != 2 || err != io.ErrShortWrite {
		t.Errorf("%d, %v; want 2, %v", n, err, io.ErrShortWrite)
	}
}

// Frames up to MaxWhole come whole however the source is cut.
func TestNextWhole(t *testing.T) {
	long := strings.Repeat("y", MaxWhole)
	in := frame(1, "a") + frame(2, long) + frame(1, long) + frame(1, long+"z") + frame(2, "b")
	d := NewReader(iotest.HalfReader(strings.NewReader(in)))
	for _, want := range []string{"a", long, long} {
		if f, err := d.Next(); err != nil || string(f.Data) != want || f.More {
			t.Fatalf("%d bytes, more %t, %v; want %d", len(f.Data), f.More, err, len(want))
		}
	}
	var got []byte
	for {
		f, err := d.Next()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, f.Data...)
		if !f.More {
			break
		}
	}
	if string(got) != long+"z" {
		t.Errorf("pieces have %d bytes", len(got))
	}
	if f, err := d.Next(); err != nil || f.Stream != logline.Stderr || string(f.Data) != "b" {
		t.Errorf("%+v, %v", f, err)
	}
	for range 2 {
		if _, err := d.Next(); err != io.EOF {
			t.Errorf("%v after the end", err)
		}
	}
}

func FuzzCopy(f *testing.F) {
	f.Add([]byte(frame(1, "a\n")+frame(2, "b\n")), uint8(1))
	f.Add([]byte(frame(3, "disk gone")), uint8(3))
	f.Add([]byte(frame(3, strings.Repeat("e", maxErrorText+9))[:headerLen+maxErrorText+1]), uint8(200))
	f.Add([]byte(frame(1, "a")+frame(3, strings.Repeat("e", maxErrorText+9))), uint8(200))
	f.Add([]byte(frame(0, "a")+frame(1, "")+"\x02\x00\x00\x00\x00"), uint8(9))
	f.Fuzz(func(t *testing.T, in []byte, chunk uint8) {
		for i := 0; i < len(in); { // stdcopy allocates what a header names
			if i > 0 && in[i] == '\n' {
				return // Podman's, which stdcopy does not take
			}
			if i+headerLen > len(in) {
				break
			}
			n := int(binary.BigEndian.Uint32(in[i+4:]))
			if n > 1<<20 {
				return
			}
			i += headerLen + n
		}
		var out, errout, wantOut, wantErr bytes.Buffer
		n, err := Copy(&out, &errout, &chunked{in, int(chunk) + 1})
		wantN, stdErr := stdcopy.StdCopy(&wantOut, &wantErr, bytes.NewReader(in))
		if errors.Is(err, io.ErrUnexpectedEOF) {
			// stdcopy says nothing, and drops the frame that was cut.
			if stdErr != nil || !bytes.HasPrefix(out.Bytes(), wantOut.Bytes()) || !bytes.HasPrefix(errout.Bytes(), wantErr.Bytes()) {
				t.Errorf("%q: %q and %q, %v", in, out.Bytes(), errout.Bytes(), stdErr)
			}
			return
		}
		var engine EngineError
		if errors.As(err, &engine) {
			words, whole := engineWords(in)
			if engine != EngineError(words[:min(len(words), maxErrorText)]) {
				t.Errorf("%q: %v; want %q", in, err, words)
			}
			// stdcopy is silent about an error that was cut.
			if whole != (stdErr != nil) || whole && stdErr.Error() != EngineError(words).Error() {
				t.Errorf("%q: stdcopy says %v; want %q, whole %t", in, stdErr, words, whole)
			}
			return
		}
		if (err == nil) != (stdErr == nil) || out.String() != wantOut.String() || errout.String() != wantErr.String() {
			t.Errorf("%q: %q and %q, %v; want %q and %q, %v", in, out.Bytes(), errout.Bytes(), err, wantOut.Bytes(), wantErr.Bytes(), stdErr)
		}
		if err == nil && n != wantN {
			t.Errorf("%q: written %d; want %d", in, n, wantN)
		}
	})
}

// engineWords returns what the first frame of an error in holds, and whether
// that is all that its header names.
func engineWords(in []byte) (words []byte, whole bool) {
	for len(in) >= headerLen {
		stream, n := in[0], int(binary.BigEndian.Uint32(in[4:]))
		in = in[headerLen:]
		if stream == systemErr {
			return in[:min(n, len(in))], n <= len(in)
		}
		in = in[min(n, len(in)):]
	}
	return nil, false
}

// chunked gives at most n bytes a Read.
type chunked struct {
	rest []byte
	n    int
}

func (c *chunked) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.rest[:min(c.n, len(c.rest))])
	c.rest = c.rest[n:]
	return n, nil
}

// BenchmarkCopy compares the two on frames of 118 bytes, a log's usual line.
func BenchmarkCopy(b *testing.B) {
	stream := []byte(strings.Repeat(frame(1, strings.Repeat("l", 117)+"\n"), 20000))
	for _, bb := range []struct {
		name string
		copy func(out, err io.Writer, src io.Reader) (int64, error)
	}{{"ours", Copy}, {"stdcopy", stdcopy.StdCopy}} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bb.copy(io.Discard, io.Discard, bytes.NewReader(stream)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
