package dockpod

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dockpod/dockpod/internal/logline"
	"github.com/dockpod/dockpod/internal/stdmux"
)

// maxLinePiece is the longest text of one line in a log file: where Docker
// cuts, too.
const maxLinePiece = 16 << 10

// podmanPiece is where Podman cuts.
const podmanPiece = 8 << 10

// logRecords reads the records of an engine's log stream with timestamps. A
// line's text is valid until the next call. The error is io.EOF at the end.
type logRecords interface {
	next() (logline.Line, error)
}

// newLogRecords reads src, the raw stream of a terminal or frames. final says
// that the log will not grow any more.
func newLogRecords(src io.Reader, tty, final bool) logRecords {
	if tty {
		return &rawRecords{src: bufio.NewReaderSize(src, 4*maxLinePiece), final: final}
	}
	return &frameRecords{src: stdmux.NewReader(src)}
}

// frameRecords reads frames, each of which is one record: a time, a space, and
// a line with its newline or a piece of one without.
type frameRecords struct {
	src  *stdmux.Reader
	line logline.Line // its text is what of the frame was not given yet
	more bool         // the frame goes on in its next piece
	head bool         // the time of the frame is not read yet
	long []byte       // the text of a frame that comes in pieces
}

func (d *frameRecords) next() (logline.Line, error) {
	for {
		if l, ok := d.cut(); ok {
			return l, nil
		}
		f, err := d.src.Next()
		if err != nil {
			return logline.Line{}, err
		}
		text := f.Data
		switch {
		case d.more:
			d.long = append(append(d.long[:0], d.line.Text...), f.Data...)
			text = d.long
		case f.More:
			d.long = append(d.long[:0], f.Data...)
			text, d.head = d.long, true
		default:
			d.head = len(text) > 0
		}
		if d.head && (len(text) >= maxTimeText || !f.More) {
			d.line.Stream, d.head = f.Stream, false
			if d.line.Time, text, err = cutTime(text); err != nil {
				return logline.Line{}, err
			}
		}
		d.line.Text, d.more = text, f.More
	}
}

// cut takes a line off what is left of the frame. Where it cuts does not
// depend on the pieces in which the frame comes.
func (d *frameRecords) cut() (logline.Line, bool) {
	n, skip := cutLine(d.line.Text)
	if d.head || len(d.line.Text) == 0 || skip == 0 && d.more && len(d.line.Text) <= maxLinePiece {
		return logline.Line{}, false
	}
	l := d.line
	l.Text, l.Partial = d.line.Text[:n], skip == 0
	d.line.Text = d.line.Text[n+skip:]
	return l, true
}

// cutLine returns how much of text is one line, or one piece, and how long the
// newline after it is: 0 after a piece.
func cutLine(text []byte) (n, skip int) {
	n = bytes.IndexByte(text, '\n')
	switch {
	case n >= 0 && n <= maxLinePiece:
		return n, 1
	case len(text) > maxLinePiece:
		return maxLinePiece, 0
	}
	return len(text), 0
}

var errNoLogTime = errors.New("a record of the engine's log begins with no time")

// cutTime takes the time off a record.
func cutTime(b []byte) (time.Time, []byte, error) {
	n := bytes.IndexByte(b[:min(len(b), maxTimeText)], ' ')
	if n < 0 {
		return time.Time{}, nil, &classified{ErrBadAnswer, errNoLogTime.Error()}
	}
	at, err := time.Parse(time.RFC3339Nano, string(b[:n]))
	if err != nil {
		return time.Time{}, nil, &classified{ErrBadAnswer, fmt.Sprintf("%v: %q", errNoLogTime, b[:n])}
	}
	return at.UTC(), b[n+1:], nil
}

// maxTimeText is the longest time before a record, with its space:
// "2006-01-02T15:04:05.000000000+00:00 ".
const maxTimeText = 36

// rawRecords reads the stream of a container with a terminal. Nothing in it
// tells where a record ends but the newline, and the time before the next.
type rawRecords struct {
	src   *bufio.Reader
	final bool
	at    time.Time
	head  []byte // the last time as it was written, with its space
	text  []byte
}

func (d *rawRecords) next() (logline.Line, error) {
	d.text = d.text[:0]
	// No more is read ahead than there is: a line may be shorter than a time.
	for searching := true; ; {
		b, err := d.src.ReadByte()
		switch {
		case err == io.EOF && d.final && len(d.text) > 0:
			return d.line(true)
		case err != nil:
			// What is not whole will be there again: the engine may have been
			// interrupted.
			return logline.Line{}, err
		case b == '\n':
			return d.line(false)
		}
		d.text = append(d.text, b)
		switch {
		case searching && b == ' ':
			searching = false
			if at, _, err := cutTime(d.text); err == nil {
				d.at, d.head = at, append(d.head[:0], d.text...)
				d.text = d.text[:0]
			}
		case searching && len(d.text) == maxTimeText:
			searching = false
		case len(d.text) == maxLinePiece:
			return d.line(true) // Docker's newline of a line just as long is a record of its own
		case len(d.text) == podmanPiece:
			if head, err := d.src.Peek(len(d.head)); err == nil && bytes.Equal(head, d.head) {
				return d.line(true)
			}
		}
	}
}

func (d *rawRecords) line(partial bool) (logline.Line, error) {
	if d.at.IsZero() {
		return logline.Line{}, &classified{ErrBadAnswer, errNoLogTime.Error()}
	}
	return logline.Line{Time: d.at, Stream: logline.Stdout, Partial: partial, Text: d.text}, nil
}
