// Package logfile reads the files that container logs are kept in: the
// engine's json-file and CRI's text, with the older files that rotation left
// beside them, and while they are written.
package logfile

import (
	"bytes"
	"context"
	"io"

	"github.com/dockpod/dockpod/internal/logline"
)

// MaxLine is the longest line of a file that is held in memory. A longer one
// is given in pieces. Engines write at most 16 KiB of text a line, which are
// 96 KiB if each byte is escaped.
const MaxLine = 1 << 20

const (
	pieceLen   = 64 << 10
	outlineLen = 512
	blockLen   = 256 << 10 // of one read: what stays in a processor's cache
)

// reader gives the records of one file in order.
type reader struct {
	src io.ReaderAt
	pos int64 // where the next line begins
	end int64 // where to stop; negative: where the file ends

	only   logline.Stream // zero: both are wanted
	places []int64        // where the lines begin that may be; nil: not known

	parser logline.Parser
	buf    []byte
	r, w   int // buf[r:w] stands at pos
	seen   int // how much of it holds no newline

	long     *logline.Long // a line that is given in pieces
	longText int64         // where the text of the next piece begins
	longStop int64         // where the text ends
	longEnd  int64         // where the line ends
	scanned  int64         // up to where a long line's end was looked for
}

// reset goes on at pos of src.
func (l *reader) reset(src io.ReaderAt, pos, end int64) {
	if l.buf == nil {
		l.buf = make([]byte, MaxLine)
	}
	*l = reader{src: src, pos: pos, end: end, buf: l.buf, parser: l.parser, only: l.only, places: l.places}
}

// next reads the next record, which is valid until the next call. What is no
// record is left out, and most of what is of another stream than only. At the
// end of what there is the error is io.EOF, and a line that is not finished
// stays to be read when it is: call again.
func (l *reader) next(ctx context.Context, rec *logline.Record) error {
	if l.places != nil && l.long == nil {
		if len(l.places) == 0 {
			return io.EOF
		}
		l.skipTo(l.places[0])
		l.places = l.places[1:]
	}
	for {
		if l.long != nil {
			return l.piece(rec)
		}
		if i := bytes.IndexByte(l.buf[l.r+l.seen:l.w], '\n'); i >= 0 {
			n := l.seen + i
			line := l.buf[l.r : l.r+n]
			l.advance(n + 1)
			if !isOther(line, l.only) && l.parser.Parse(line, rec) == nil {
				return nil
			}
			continue
		}
		l.seen = l.w - l.r
		if err := l.fill(ctx); err != nil {
			return err
		}
	}
}

// isOther reports whether a line can be left unread because of its stream.
// Records of other streams may come all the same.
func isOther(line []byte, only logline.Stream) bool {
	if only == 0 {
		return false
	}
	s, ok := logline.StreamOf(line)
	return ok && s != only
}

// skipTo goes on at another place in the file. It is a later one, unless
// somebody has written the file anew since.
func (l *reader) skipTo(pos int64) {
	if n := pos - l.pos; 0 <= n && n <= int64(l.w-l.r) {
		l.advance(int(n))
		return
	}
	l.reset(l.src, pos, l.end)
}

func (l *reader) advance(n int) {
	l.r += n
	l.pos += int64(n)
	l.seen = 0
}

// fill reads on in the file. It is io.EOF if there is no more for now.
func (l *reader) fill(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.r > 0 {
		l.w = copy(l.buf, l.buf[l.r:l.w])
		l.r = 0
	}
	if l.w == len(l.buf) {
		return l.tooLong(ctx)
	}
	n, err := readAt(l.src, l.buf[l.w:min(len(l.buf), l.w+blockLen)], l.pos+int64(l.w), l.end)
	l.w += n
	return err
}

// readAt reads what there is before end. Some bytes are no error; none is
// io.EOF.
func readAt(src io.ReaderAt, buf []byte, at, end int64) (int, error) {
	if end >= 0 {
		buf = buf[:max(0, min(int64(len(buf)), end-at))]
	}
	if len(buf) == 0 {
		return 0, io.EOF
	}
	n, err := src.ReadAt(buf, at)
	if n > 0 {
		return n, nil
	}
	if err == nil {
		err = io.EOF
	}
	return 0, err
}

// tooLong deals with a buffer that is full without a newline.
func (l *reader) tooLong(ctx context.Context) error {
	if nuls := leadingNULs(l.buf); nuls > 0 {
		l.advance(nuls)
		return nil
	}
	// Look for the line's end, keeping only its last bytes.
	at := max(l.scanned, l.pos+int64(l.w))
	chunk := make([]byte, pieceLen)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := readAt(l.src, chunk, at, l.end)
		if err != nil {
			l.scanned = at
			return err // not finished yet
		}
		if i := bytes.IndexByte(chunk[:n], '\n'); i >= 0 {
			l.longEnd = at + int64(i)
			break
		}
		at += int64(n)
	}
	tail := make([]byte, min(outlineLen, l.longEnd-l.pos))
	if _, err := l.src.ReadAt(tail, l.longEnd-int64(len(tail))); err != nil && err != io.EOF {
		return err
	}
	outline, ok := logline.Outline(l.buf[:outlineLen], tail)
	if !ok {
		l.reset(l.src, l.longEnd+1, l.end)
		return nil
	}
	l.long = &outline
	l.longText = l.pos + int64(outline.Start)
	l.longStop = l.longEnd - int64(outline.Tail)
	l.w, l.seen = 0, 0
	return nil
}

// leadingNULs counts the NULs that b begins with. There may be gigabytes of
// them: a hole in a file that a crash left.
func leadingNULs(b []byte) (n int) {
	for len(b)-n >= len(zeros) && [len(zeros)]byte(b[n:]) == zeros {
		n += len(zeros)
	}
	for n < len(b) && b[n] == 0 {
		n++
	}
	return n
}

var zeros [4 << 10]byte

// piece gives the next piece of a long line.
func (l *reader) piece(rec *logline.Record) error {
	n := min(pieceLen, l.longStop-l.longText)
	got, err := l.src.ReadAt(l.buf[:n], l.longText)
	if int64(got) < n {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // the file was cut meanwhile
		}
		l.reset(l.src, l.longEnd+1, l.end)
		return err
	}
	l.longText += n
	last := l.longText == l.longStop
	*rec = l.long.Piece(l.buf[:n], last)
	if last {
		l.reset(l.src, l.longEnd+1, l.end)
	}
	return nil
}
