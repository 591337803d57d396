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
// line's text and stamp are valid until the next call. The error is io.EOF at the end.
type logRecords interface {
	next() (logline.Record, error)
}

// newLogRecords reads src, the raw stream of a terminal or frames. final says
// that the log will not grow any more, started when the container was last.
func newLogRecords(src io.Reader, tty, final bool, started time.Time) logRecords {
	if tty {
		return &rawRecords{src: bufio.NewReaderSize(src, 4*maxLinePiece), final: final, started: started}
	}
	return &frameRecords{src: stdmux.NewReader(src)}
}

// frameRecords reads frames, each of which is one record: a time, a space, and
// a line with its newline or a piece of one without.
type frameRecords struct {
	src  *stdmux.Reader
	line logline.Record // its text is what of the frame was not given yet
	more bool           // the frame goes on in its next piece
	head bool           // the time of the frame is not read yet
	long []byte         // the text of a frame that comes in pieces
}

func (d *frameRecords) next() (logline.Record, error) {
	for {
		if l, ok := d.cut(); ok {
			return l, nil
		}
		f, err := d.src.Next()
		if err != nil {
			return logline.Record{}, err
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
			if d.line.Stamp, text, err = cutTime(d.line.Stamp[:0], text); err != nil {
				return logline.Record{}, err
			}
		}
		d.line.Text, d.more = text, f.More
	}
}

// cut takes a line off what is left of the frame. Where it cuts does not
// depend on the pieces in which the frame comes.
func (d *frameRecords) cut() (logline.Record, bool) {
	n, skip := cutLine(d.line.Text)
	if d.head || len(d.line.Text) == 0 || skip == 0 && d.more && len(d.line.Text) <= maxLinePiece {
		return logline.Record{}, false
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

// cutTime takes the time off a record, and appends it to dst as it stands in a
// log file: in UTC, without the zeros at its end.
func cutTime(dst, b []byte) (stamp, rest []byte, err error) {
	n := bytes.IndexByte(b[:min(len(b), maxTimeText)], ' ')
	if n < 0 {
		return dst, nil, &classified{ErrBadAnswer, errNoLogTime.Error()}
	}
	at, err := time.Parse(time.RFC3339Nano, string(b[:n]))
	if err != nil {
		return dst, nil, &classified{ErrBadAnswer, fmt.Sprintf("%v: %q", errNoLogTime, b[:n])}
	}
	return at.UTC().AppendFormat(dst, time.RFC3339Nano), b[n+1:], nil
}

// maxTimeText is the longest time before a record, with its space:
// "2006-01-02T15:04:05.000000000+00:00 ".
const maxTimeText = 36

// rawRecords reads the stream of a container with a terminal. Nothing in it
// tells where a record ends but the newline, and the time before the next.
type rawRecords struct {
	src     *bufio.Reader
	final   bool
	started time.Time
	stamp   []byte    // of the record, empty before the first
	at      time.Time // the same
	head    []byte    // the last time as it was written, with its space
	text    []byte
	ahead   bool // head is the time of the next record
}

func (d *rawRecords) next() (logline.Record, error) {
	d.text = d.text[:0]
	searching := !d.ahead
	if d.ahead {
		d.begin(d.head)
		d.ahead = false
	}
	// No more is read ahead than there is: a line may be shorter than a time.
	for {
		b, err := d.src.ReadByte()
		switch {
		case err == io.EOF && (d.final || d.at.Before(d.started)) && len(d.text) > 0:
			return d.line(true)
		case err != nil:
			// What is not whole will be there again: the engine may have been
			// interrupted.
			return logline.Record{}, err
		case b == '\n':
			return d.line(false)
		}
		d.text = append(d.text, b)
		switch {
		case searching && b == ' ':
			d.begin(d.text)
			searching = false
		case searching && len(d.text) == maxTimeText:
			searching = false
		case b == ' ' && d.at.Before(d.started) && isNextTime(d.text, len(d.head)-1, d.at):
			n := len(d.text) - len(d.head)
			d.head, d.ahead = append(d.head[:0], d.text[n:]...), true
			d.text = d.text[:n]
			return d.line(true)
		case len(d.text) == maxLinePiece:
			return d.line(true) // Docker's newline of a line just as long is a record of its own
		case len(d.text) == podmanPiece:
			if head, err := d.src.Peek(len(d.head)); err == nil && bytes.Equal(head, d.head) {
				return d.line(true)
			}
		}
	}
}

// begin takes a time that stands before a record, if it is one.
func (d *rawRecords) begin(head []byte) {
	if stamp, _, err := cutTime(d.stamp[:0], head); err == nil {
		d.stamp, d.head = stamp, append(d.head[:0], head...)
		d.at = (&logline.Record{Stamp: d.stamp}).Time()
		d.text = d.text[:0]
	}
}

// isNextTime reports whether text ends with a time of so many bytes that is
// later than at, and a space. In a record of a terminal's earlier run that is
// the time of the next record: it ended in the middle of a line.
func isNextTime(text []byte, size int, at time.Time) bool {
	n := len(text) - size - 1
	if n <= 0 || size < len("2006-01-02T15:04:05Z") || text[n+4] != '-' || text[n+10] != 'T' {
		return false
	}
	rec := logline.Record{Stamp: text[n : len(text)-1]}
	return text[len(text)-1] == ' ' && rec.Time().After(at)
}

func (d *rawRecords) line(partial bool) (logline.Record, error) {
	if len(d.stamp) == 0 {
		return logline.Record{}, &classified{ErrBadAnswer, errNoLogTime.Error()}
	}
	return logline.Record{Stamp: d.stamp, Stream: logline.Stdout, Partial: partial, Text: d.text}, nil
}
