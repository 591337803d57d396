// Package logline reads and writes lines of container logs in the two formats
// that stand on a node: the engine's json-file and CRI's text.
package logline

import (
	"bytes"
	"errors"
	"time"
)

// Stream is one of a process's two outputs.
type Stream uint8

// The streams, numbered as the engine's frames number them.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// String returns CRI's word, which is the engine's too.
func (s Stream) String() string {
	if s == Stderr {
		return "stderr"
	}
	return "stdout"
}

// Line is one record of a log.
type Line struct {
	Time    time.Time
	Stream  Stream
	Partial bool   // the line goes on in the next record of its stream
	Text    []byte // without the newline
}

// AppendCRI appends a line in CRI's format, with its newline:
//
//	2006-01-02T15:04:05.999999999Z stdout F text
func AppendCRI(dst []byte, l Line) []byte {
	dst = l.Time.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, ' ')
	dst = append(dst, l.Stream.String()...)
	if l.Partial {
		dst = append(dst, " P "...)
	} else {
		dst = append(dst, " F "...)
	}
	dst = append(dst, l.Text...)
	return append(dst, '\n')
}

var errCRI = errors.New("not a line of CRI's log format")

// ParseCRI reads a line in CRI's format, with or without its newline, into l.
// Of several tags, which the format joins by colons, the first tells whether
// the line is partial. The text is a part of line.
func ParseCRI(line []byte, l *Line) error {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	at, rest, ok1 := bytes.Cut(line, []byte{' '})
	stream, rest, ok2 := bytes.Cut(rest, []byte{' '})
	tags, text, ok3 := bytes.Cut(rest, []byte{' '})
	if !ok1 || !ok2 {
		return errCRI
	}
	if !ok3 {
		text = nil // an empty line, written without the last space
	}
	t, err := time.Parse(time.RFC3339Nano, string(at))
	if err != nil {
		return errCRI
	}
	s := Stdout
	switch string(stream) {
	case "stdout":
	case "stderr":
		s = Stderr
	default:
		return errCRI
	}
	tag, _, _ := bytes.Cut(tags, []byte{':'})
	switch string(tag) {
	case "F", "P":
	default:
		return errCRI
	}
	*l = Line{Time: t, Stream: s, Partial: tag[0] == 'P', Text: text}
	return nil
}
