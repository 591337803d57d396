package logfile

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/dockpod/dockpod/internal/logline"
)

// backward calls f with each record of src from the one that ends last before
// end to the first, and with where its line begins and ends, until f returns
// false. A line without an end is left out, and most of what is of another
// stream than only, if that is not zero.
func backward(ctx context.Context, src io.ReaderAt, end int64, only logline.Stream, f func(rec *logline.Record, start, lineEnd int64) bool) error {
	var (
		parser  logline.Parser
		rec     logline.Record
		buf     = make([]byte, MaxLine)
		step    = int64(pieceLen) // little for a short tail, more for a long one
		lineEnd = int64(-1)       // where the line ends that is being looked at; before that, the torn one
	)
	// buf[:have] stands at at and is followed by nothing of interest.
	at, have := end, 0
	var newlines []int // in it; looked for from the front, which is faster
	give := func(i int) bool {
		line := buf[i:have]
		if lineEnd < 0 || isOther(line, only) {
			return true
		}
		return parser.Parse(line, &rec) != nil || f(&rec, at+int64(i), lineEnd)
	}
	for at > 0 || have > 0 {
		if last := len(newlines) - 1; last >= 0 {
			i := newlines[last]
			newlines = newlines[:last]
			if !give(i + 1) {
				return nil
			}
			have, lineEnd = i, at+int64(i)+1
			continue
		}
		if at == 0 {
			give(0)
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if have > len(buf)/2 {
			// A line too long to be held: NULs, or one given in pieces.
			start, err := lastNewline(ctx, src, buf, at)
			if err != nil {
				return err
			}
			if lineEnd >= 0 {
				if more, err := giveLong(ctx, src, start, lineEnd, f); err != nil || !more {
					return err
				}
			}
			at, have = start, 0
			if start > 0 {
				lineEnd = start
				at-- // the newline itself
			}
			continue
		}
		n := min(step, at, int64(len(buf)-have))
		step = min(2*step, blockLen)
		copy(buf[n:], buf[:have])
		at -= n
		if err := readFull(src, buf[:n], at); err != nil {
			return err
		}
		have += int(n)
		for i := 0; ; i++ {
			next := bytes.IndexByte(buf[i:n], '\n')
			if next < 0 {
				break
			}
			i += next
			newlines = append(newlines, i)
		}
	}
	return nil
}

// readFull is ReadAt that makes a file that was cut meanwhile an error.
func readFull(src io.ReaderAt, buf []byte, at int64) error {
	n, err := src.ReadAt(buf, at)
	switch {
	case n == len(buf):
		return nil
	case err == io.EOF || err == nil:
		return io.ErrUnexpectedEOF
	}
	return err
}

// lastNewline returns the place behind the last newline before end; zero if
// there is none.
func lastNewline(ctx context.Context, src io.ReaderAt, buf []byte, end int64) (int64, error) {
	for end > 0 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n := min(int64(len(buf)), end)
		if err := readFull(src, buf[:n], end-n); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return end - n + int64(i) + 1, nil
		}
		end -= n
	}
	return 0, nil
}

// giveLong calls f for a line that is not held: one record for all its pieces.
func giveLong(ctx context.Context, src io.ReaderAt, start, lineEnd int64, f func(rec *logline.Record, start, lineEnd int64) bool) (bool, error) {
	var l reader
	l.reset(src, start, lineEnd)
	var rec logline.Record
	switch err := l.next(ctx, &rec); {
	case err == io.EOF:
		return true, nil
	case err != nil:
		return false, err
	}
	if l.long != nil {
		rec.Partial = l.long.Partial
	}
	rec.Text = nil
	return f(&rec, start, lineEnd), nil
}

// tailCount looks for where the last lines begin whose records keep selects. A
// line is what ends in a record that is not partial, and what stands
// unfinished at the end of a stream. Where a line in pieces has another
// stream's line between them, the pieces before that may be left out.
type tailCount struct {
	want  int
	only  logline.Stream // zero: both are counted
	keep  func(*logline.Record) bool
	from  int64   // before this place of the file that is looked at, keep selects nothing
	begun [3]bool // by stream: a record of it was seen
	got   int

	// Of the file that was looked at last, where the lines begin that were
	// counted, the last first: those of the other stream need not be looked
	// at again. Nil if there are too many, or both streams are counted.
	places []int64
}

// maxPlaces bounds what a tailCount remembers, to a megabyte.
const maxPlaces = 128 << 10

// start looks for the place in one file, of which what comes after it was
// counted already.
func (c *tailCount) start(ctx context.Context, src io.ReaderAt, end int64) (pos int64, found bool, err error) {
	c.places = nil
	err = backward(ctx, src, end, c.only, func(rec *logline.Record, start, lineEnd int64) bool {
		if start < c.from {
			return false
		}
		if !c.keep(rec) {
			return true
		}
		if !rec.Partial || !c.begun[rec.Stream] {
			if c.got == c.want {
				pos, found = lineEnd, true
				return false
			}
			c.got++
		}
		c.begun[rec.Stream] = true
		if c.only != 0 && len(c.places) <= maxPlaces {
			c.places = append(c.places, start)
		}
		return true
	})
	if len(c.places) > maxPlaces {
		c.places = nil
	}
	return pos, found, err
}

const (
	// disorder is how far apart the times of neighbouring records may be the
	// wrong way round: each output is stamped on its own way to the file.
	disorder = 2 * time.Second

	samples  = 32       // how many places are looked at to see that times ascend
	nearness = 64 << 10 // how close a search comes
)

// timeAfter returns the time of the first record that begins behind pos, and
// where its line begins.
func timeAfter(ctx context.Context, src io.ReaderAt, l *reader, pos, end int64) (t time.Time, start int64, err error) {
	l.reset(src, pos, end)
	var rec logline.Record
	if pos > 0 {
		// The newline before it may be the byte before pos.
		l.pos--
		if err := l.skipLine(); err != nil {
			return time.Time{}, 0, err
		}
	}
	for {
		start = l.pos
		if err := l.next(ctx, &rec); err != nil {
			return time.Time{}, 0, err
		}
		if t = rec.Time(); !t.IsZero() {
			return t, start, nil
		}
	}
}

// skipLine goes on behind the next newline.
func (l *reader) skipLine() error {
	small := l.buf[:4<<10]
	for {
		n, err := readAt(l.src, small, l.pos, l.end)
		if err != nil {
			return err
		}
		if i := bytes.IndexByte(small[:n], '\n'); i >= 0 {
			l.reset(l.src, l.pos+int64(i)+1, l.end)
			return nil
		}
		l.pos += int64(n)
		small = l.buf[:pieceLen]
	}
}

// sinceStart returns a place before which no record of the time since or later
// stands. Where the clock was turned back that is the file's beginning.
func sinceStart(ctx context.Context, src io.ReaderAt, size int64, since time.Time) (int64, error) {
	since = since.Add(-disorder)
	var (
		l      = reader{buf: make([]byte, pieceLen)}
		low    int64
		high   = size
		before time.Time
	)
	// Coarse: all samples have to ascend, the ones behind the place too.
	for i := range int64(samples) {
		t, start, err := timeAfter(ctx, src, &l, size/samples*i, size)
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
		if t.Before(before.Add(-disorder)) {
			return 0, nil
		}
		before = t
		if t.Before(since) {
			low = start
		} else if high == size {
			high = start
		}
	}
	for high-low > nearness {
		middle := low + (high-low)/2
		t, start, err := timeAfter(ctx, src, &l, middle, size)
		switch {
		case err != nil && err != io.EOF:
			return 0, err
		case err == io.EOF, start >= high, !t.Before(since):
			high = middle
		default:
			low = start
		}
	}
	return low, nil
}
