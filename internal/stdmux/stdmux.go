// Package stdmux takes apart the stream in which an engine sends a process's
// two outputs over one connection. Each frame has a header of eight bytes: the
// stream, three zeros, and the payload's length with the highest byte first.
// That of a line of the log before the output of an attach is one too short on
// Podman, whose newlines come after the frames.
package stdmux

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/dockpod/dockpod/internal/logline"
)

const (
	headerLen = 8
	bufferLen = 33 << 10 // a longest whole frame; more would not stay in a core's nearest cache

	// MaxWhole is the longest payload that a Reader gives in one piece.
	// Engines send up to 32 KiB.
	MaxWhole = 32 << 10

	maxErrorText = 1 << 10
	systemErr    = 3 // the stream of the engine's own errors
)

// ErrFormat is a stream that has no frames.
var ErrFormat = errors.New("not a stream of frames")

// EngineError is a failure that the engine reports in the middle of a stream.
type EngineError string

// Error returns the engine's words.
func (e EngineError) Error() string { return "error from daemon in stream: " + string(e) }

// Frame is what a process wrote, or a piece of it.
type Frame struct {
	Stream logline.Stream
	Data   []byte // valid until the next call of Next; may be empty
	More   bool   // the frame goes on in the next piece
}

// Reader reads a stream frame by frame, in memory that does not depend on the
// lengths that the headers name.
type Reader struct {
	src    io.Reader
	buf    []byte
	r, w   int // buf[r:w] was read and not yet given
	stream logline.Stream
	left   uint32 // of the current frame, what was not yet given; more than an int may hold
	err    error
}

// NewReader returns a Reader of src. It reads ahead.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src, buf: make([]byte, bufferLen)}
}

// Next returns the next frame, or the next piece of one that is longer than
// [MaxWhole]. The error is io.EOF after the last frame, io.ErrUnexpectedEOF if
// the stream ends inside one, whose bytes so far are given before it, an
// [EngineError], [ErrFormat], or that of the source.
func (d *Reader) Next() (Frame, error) {
	if d.left == 0 {
		if d.w == d.r {
			if err := d.fill(1); err != nil {
				return Frame{}, err
			}
		}
		if d.buf[d.r] == '\n' && d.stream != 0 {
			// No header begins with it: it is Podman's.
			d.r++
			return Frame{Stream: d.stream, Data: d.buf[d.r-1 : d.r : d.r]}, nil
		}
		if d.w-d.r < headerLen {
			if err := d.fill(headerLen); err != nil {
				return Frame{}, err
			}
		}
		head := d.buf[d.r : d.r+headerLen]
		size := binary.BigEndian.Uint32(head[4:])
		switch head[0] {
		case 0, byte(logline.Stdout):
			d.stream = logline.Stdout // engines echo standard input as output
		case byte(logline.Stderr):
			d.stream = logline.Stderr
		case systemErr:
			return Frame{}, d.engineError(size)
		default:
			return Frame{}, fmt.Errorf("%w: stream %d is unknown", ErrFormat, head[0])
		}
		d.r += headerLen
		if size == 0 {
			return Frame{Stream: d.stream}, nil
		}
		d.left = size
	}
	want := 1
	if d.left <= MaxWhole {
		want = int(d.left)
	}
	if d.w-d.r < want {
		if err := d.fill(want); err != nil && d.w == d.r {
			return Frame{}, err
		}
	}
	n := int(min(uint64(d.left), uint64(d.w-d.r)))
	data := d.buf[d.r : d.r+n : d.r+n]
	d.r += n
	d.left -= uint32(n)
	return Frame{Stream: d.stream, Data: data, More: d.left > 0}, nil
}

// whole returns the frame that b begins with and its stream, if all of it is
// there, it is not empty, and the stream is one of a process's.
func whole(b []byte) (stream byte, data []byte) {
	if len(b) <= headerLen || b[0] > byte(logline.Stderr) {
		return 0, nil
	}
	end := headerLen + uint64(binary.BigEndian.Uint32(b[4:]))
	if end == headerLen || end > uint64(len(b)) {
		return 0, nil
	}
	return b[0], b[headerLen:end:end]
}

// fill reads until n bytes are there. At the source's end it is io.EOF between
// frames and io.ErrUnexpectedEOF inside one.
func (d *Reader) fill(n int) error {
	if d.r > 0 && len(d.buf)-d.r < n || d.r == d.w {
		d.w = copy(d.buf, d.buf[d.r:d.w])
		d.r = 0
	}
	for idle := 0; d.w-d.r < n; {
		if d.err != nil {
			if d.err == io.EOF && (d.left > 0 || d.w > d.r) {
				return io.ErrUnexpectedEOF
			}
			return d.err
		}
		var got int
		got, d.err = d.src.Read(d.buf[d.w:])
		d.w += got
		if errors.Is(d.err, io.EOF) {
			d.err = io.EOF
		}
		if idle++; got > 0 {
			idle = 0
		} else if idle == 100 && d.err == nil {
			d.err = io.ErrNoProgress
		}
	}
	return nil
}

// engineError reads the frame of an error as far as there is any.
func (d *Reader) engineError(size uint32) error {
	d.r += headerLen
	d.left = size
	want := int(min(size, maxErrorText))
	_ = d.fill(want) // the beginning of its words is better than why the rest is missing
	text := EngineError(d.buf[d.r:min(d.r+want, d.w)])
	d.r, d.left, d.err = d.w, 0, text // nothing after it means anything
	return text
}

var buffers = sync.Pool{New: func() any { return new([bufferLen]byte) }}

// Copy writes each frame of src to the writer of its stream, at once, until
// src ends. A nil writer discards. It is stdcopy.StdCopy with one buffer that
// is not moved after each frame, and two differences: a stream that ends
// inside a frame is io.ErrUnexpectedEOF, after the bytes that came, and
// written is right beside an error too, unless a writer counts wrongly. A
// writer's error is returned as it is.
func Copy(stdout, stderr io.Writer, src io.Reader) (written int64, err error) {
	if stdout == nil {
		stdout = io.Discard
	}
	if stderr == nil {
		stderr = io.Discard
	}
	outs := [...]io.Writer{0: stdout, logline.Stdout: stdout, logline.Stderr: stderr}
	buf := buffers.Get().(*[bufferLen]byte)
	defer buffers.Put(buf)
	d := &Reader{src: src, buf: buf[:]}
	for {
		if d.left == 0 { // most frames are here as a whole, and cost a third without Next
			rest, last := d.buf[d.r:d.w], byte(d.stream)
			for stream, data := whole(rest); data != nil; stream, data = whole(rest) {
				if n, err := outs[stream].Write(data); err != nil || n != len(data) {
					return written + int64(n), cmp.Or(err, io.ErrShortWrite)
				}
				written += int64(len(data))
				last = max(stream, byte(logline.Stdout))
				rest = rest[headerLen+len(data):]
			}
			d.r = d.w - len(rest)
			d.stream = logline.Stream(last)
		}
		f, err := d.Next()
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, err
		}
		if f.Data == nil {
			continue
		}
		if n, err := outs[f.Stream].Write(f.Data); err != nil || n != len(f.Data) {
			return written + int64(n), cmp.Or(err, io.ErrShortWrite)
		}
		written += int64(len(f.Data))
	}
}
