package logline

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Record is one record of a log. Its time is read when it is asked for: most
// readers don't, and it is the dearest part.
type Record struct {
	Stream  Stream
	Partial bool   // the line goes on in the next record of its stream
	Text    []byte // without the newline
	Stamp   []byte // the time as written
}

// Time reads the time. It is zero if the stamp is none.
func (r *Record) Time() time.Time {
	var t time.Time
	if t.UnmarshalText(r.Stamp) != nil {
		// Strict about what time.Parse lets through.
		t, _ = time.Parse(time.RFC3339Nano, string(r.Stamp))
	}
	return t
}

// Parser reads records in both formats, each line by its own look: Podman
// calls a file of CRI's lines json-file. The zero value is ready.
type Parser struct{ scratch []byte }

// errRecord is a line in neither format.
var errRecord = errors.New("not a record of a log")

// Parse reads a line, without its newline, into r. What r holds is valid until
// the next call and while line is not changed.
//
// A run of NULs before the record, which a crash of the machine leaves, is
// skipped. So is what was torn off before it: a writer that was killed in a
// line does not end it.
func (p *Parser) Parse(line []byte, r *Record) error {
	if len(line) > 0 && line[0] == 0 {
		line = bytes.TrimLeft(line, "\x00")
	}
	if len(line) == 0 {
		return errRecord
	}
	if line[0] != '{' {
		if parseCRI(line, r) == nil {
			return nil
		}
	} else if p.parseJSON(line, r) == nil {
		return nil
	}
	if i := bytes.LastIndex(line, []byte(jsonHead)); i > 0 && p.parseJSON(line[i:], r) == nil {
		return nil
	}
	return errRecord
}

const (
	jsonHead   = `{"log":"`
	jsonStdout = `","stream":"stdout","time":"`
	jsonStderr = `","stream":"stderr","time":"`
	jsonTail   = `"}`
	maxStamp   = len("2006-01-02T15:04:05.999999999+07:00")
)

// parseJSON takes a line of the engine's usual shape apart from both ends, and
// leaves every other to encoding/json.
func (p *Parser) parseJSON(line []byte, r *Record) error {
	if bytes.HasPrefix(line, []byte(jsonHead)) {
		if end, ok := parseTail(line, r); ok && end >= len(jsonHead) {
			body := line[len(jsonHead):end]
			if plain, ok := bytes.CutSuffix(body, []byte(`\n`)); ok && bytes.IndexByte(plain, '\\') < 0 && bytes.IndexByte(plain, '"') < 0 {
				r.Text, r.Partial = plain, false
				return nil
			}
			if text, ok := p.unquote(body); ok {
				setText(r, text)
				return nil
			}
		}
	}
	var l struct {
		Log    string `json:"log"`
		Stream string `json:"stream"`
		Time   string `json:"time"`
	}
	if err := json.Unmarshal(line, &l); err != nil {
		return err
	}
	switch l.Stream {
	case "stdout":
		r.Stream = Stdout
	case "stderr":
		r.Stream = Stderr
	default:
		return errRecord
	}
	r.Stamp = []byte(l.Time)
	setText(r, []byte(l.Log))
	return nil
}

// StreamOf tells the stream of a line of the engine's usual shape from its end
// alone. If ok is false, [Parser.Parse] has to tell; else that gives a record
// of this stream, or none.
func StreamOf(line []byte) (s Stream, ok bool) {
	if !bytes.HasPrefix(line, []byte(jsonHead)) {
		return 0, false // one of CRI may end like that
	}
	if s, _, ok = usualTail(line); ok {
		return s, true
	}
	var r Record
	_, ok = parseTail(line, &r)
	return r.Stream, ok
}

func setText(r *Record, text []byte) {
	n := len(text)
	r.Partial = n == 0 || text[n-1] != '\n'
	if !r.Partial {
		text = text[:n-1]
	}
	r.Text = text
}

// parseTail reads `","stream":"stdout","time":"…"}` from the end of a line, and
// returns where it begins.
func parseTail(line []byte, r *Record) (int, bool) {
	if !bytes.HasSuffix(line, []byte(jsonTail)) {
		return 0, false
	}
	rest := line[:len(line)-len(jsonTail)]
	var at int // where the time begins
	var ok bool
	if r.Stream, at, ok = usualTail(line); !ok {
		from := max(0, len(rest)-maxStamp-1)
		if at = from + bytes.LastIndexByte(rest[from:], '"') + 1; at == from {
			return 0, false
		}
		if r.Stream, ok = streamBefore(line, at); !ok {
			return 0, false
		}
	}
	r.Stamp = rest[at:]
	return at - len(jsonStdout), bytes.IndexByte(r.Stamp, '\\') < 0
}

// usualTail is parseTail where the time has all its digits, as nine times of
// ten: it returns where that begins.
func usualTail(line []byte) (s Stream, at int, ok bool) {
	const size = len("2006-01-02T15:04:05.999999999Z" + jsonTail)
	at = len(line) - size
	if at < len(jsonStdout) || line[len(line)-1] != '}' || bytes.IndexByte(line[at:], '"') != size-len(jsonTail) {
		return 0, 0, false
	}
	s, ok = streamBefore(line, at)
	return s, at, ok
}

// streamBefore reads `","stream":"stdout","time":"` that ends at a place in a
// line.
func streamBefore(line []byte, at int) (Stream, bool) {
	switch head := line[:at]; {
	case bytes.HasSuffix(head, []byte(jsonStdout)):
		return Stdout, true
	case bytes.HasSuffix(head, []byte(jsonStderr)):
		return Stderr, true
	}
	return 0, false
}

// unquote undoes the escapes of the inside of a JSON string. It fails at what
// cannot stand there: the tail that was found is not the line's, then.
func (p *Parser) unquote(s []byte) ([]byte, bool) {
	out, n, ok := appendUnquoted(p.scratch[:0], s)
	p.scratch = out
	return out, ok && n == len(s)
}

// appendUnquoted undoes the escapes of s up to one that is not all there, and
// returns how much of s it used.
func appendUnquoted(dst, s []byte) (out []byte, used int, ok bool) {
	// What comes out is never longer than what goes in.
	dst = slices.Grow(dst, len(s))
	i := 0
	for i < len(s) {
		c := s[i]
		if c != '\\' {
			if c == '"' {
				return dst, i, false
			}
			dst = append(dst, c)
			i++
			continue
		}
		if i+1 == len(s) {
			break
		}
		switch c := s[i+1]; c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'n':
			dst = append(dst, '\n')
		case 't':
			dst = append(dst, '\t')
		case 'r':
			dst = append(dst, '\r')
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'u':
			if len(s)-i < 6 {
				return dst, i, true
			}
			r, good := hex4(s[i+2:])
			if !good {
				return dst, i, false
			}
			i += 6
			if utf16.IsSurrogate(r) {
				rest := s[i:]
				if len(rest) < 6 && (len(rest) == 0 || rest[0] == '\\' && (len(rest) == 1 || rest[1] == 'u')) {
					// Its other half may be still to come.
					if len(rest) > 0 || r < 0xdc00 {
						return dst, i - 6, true
					}
				}
				pair := rune(utf8.RuneError)
				if len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' {
					if low, good := hex4(rest[2:]); good {
						pair = utf16.DecodeRune(r, low)
					}
				}
				if r = pair; r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		default:
			return dst, i, false
		}
		i += 2
	}
	return dst, i, true
}

func hex4(s []byte) (r rune, ok bool) {
	for _, c := range s[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

var errCRI = errors.New("not a line of CRI's log format")

// ParseRecord reads a line in CRI's format, with or without its newline, into
// r, whose text is a part of line. Of several tags, which the format joins by
// colons, the first tells whether the line is partial. A line whose time
// cannot be read is refused.
func ParseRecord(line []byte, r *Record) error {
	if err := parseCRI(bytes.TrimSuffix(line, []byte{'\n'}), r); err != nil {
		return err
	}
	if _, err := time.Parse(time.RFC3339Nano, string(r.Stamp)); err != nil {
		return errCRI // the year 1 is a time, too: that of a record that lost its own
	}
	return nil
}

// parseCRI is ParseRecord that leaves the time alone.
func parseCRI(line []byte, r *Record) error {
	i := bytes.IndexByte(line, ' ')
	if i < len("2006-01-02T15:04:05Z") || line[4] != '-' || line[10] != 'T' {
		return errCRI
	}
	rest := line[i+1:]
	switch {
	case bytes.HasPrefix(rest, []byte("stdout ")):
		r.Stream = Stdout
	case bytes.HasPrefix(rest, []byte("stderr ")):
		r.Stream = Stderr
	default:
		return errCRI
	}
	rest = rest[len("stdout "):]
	if len(rest) == 0 || rest[0] != 'F' && rest[0] != 'P' || len(rest) > 1 && rest[1] != ' ' && rest[1] != ':' {
		return errCRI
	}
	r.Stamp, r.Partial, r.Text = line[:i], rest[0] == 'P', nil
	if j := bytes.IndexByte(rest, ' '); j >= 0 {
		r.Text = rest[j+1:]
	}
	return nil
}

// Long is the outline of a line that is too long to be held.
type Long struct {
	Record        // Text is not set; Partial is that of the last piece
	Start  int    // where the text begins, from the line's beginning
	Tail   int    // how many bytes follow the text
	json   bool   // the text has escapes
	rest   []byte // of the last piece, an escape that is not all there
	text   []byte
}

// Outline reads the record's frame from the beginning and the end of a line
// without the middle. Both are at most a few hundred bytes.
func Outline(head, tail []byte) (Long, bool) {
	var l Long
	if bytes.HasPrefix(head, []byte(jsonHead)) {
		end, ok := parseTail(tail, &l.Record)
		if !ok {
			return l, false
		}
		l.Stamp = bytes.Clone(l.Stamp)
		l.Start, l.Tail, l.json = len(jsonHead), len(tail)-end, true
		return l, true
	}
	if parseCRI(head, &l.Record) != nil {
		return l, false
	}
	l.Start = len(head) - len(l.Text)
	l.Stamp, l.Text = bytes.Clone(l.Stamp), nil
	return l, true
}

// Piece turns a part of the text as it stands in the file into a record. The
// parts come in order; last says that it is the last one. The record is valid
// until the next call.
func (l *Long) Piece(raw []byte, last bool) Record {
	r := l.Record
	if !l.json {
		r.Text, r.Partial = raw, l.Partial || !last
		return r
	}
	raw = append(l.rest, raw...)
	text, n, ok := appendUnquoted(l.text[:0], raw)
	if !ok || last {
		text = append(text, raw[n:]...) // as it is, rather than not at all
		n = len(raw)
	}
	l.rest = bytes.Clone(raw[n:])
	l.text = text
	setText(&r, text)
	if !last {
		r.Text, r.Partial = text, true // a newline here is one in the middle
	}
	return r
}

// AppendJSON appends a record as a line of the engine's json-file, with its
// newline, spelled as the engine spells it.
func AppendJSON(dst []byte, r *Record) []byte {
	dst = append(dst, jsonHead...)
	dst = appendQuoted(dst, r.Text)
	if !r.Partial {
		dst = append(dst, `\n`...)
	}
	if r.Stream == Stderr {
		dst = append(dst, jsonStderr...)
	} else {
		dst = append(dst, jsonStdout...)
	}
	dst = append(dst, r.Stamp...)
	return append(dst, `"}`+"\n"...)
}

// appendQuoted escapes what encoding/json does.
func appendQuoted(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, `\n`...)
			case '\r':
				dst = append(dst, `\r`...)
			case '\t':
				dst = append(dst, `\t`...)
			case '\b':
				dst = append(dst, `\b`...)
			case '\f':
				dst = append(dst, `\f`...)
			default:
				dst = append(dst, `\u00`...)
				dst = append(dst, hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(append(dst, s[start:i]...), `\ufffd`...)
			start = i + 1
		case r == '\u2028' || r == '\u2029':
			dst = append(append(dst, s[start:i]...), `\u202`...)
			dst = append(dst, hex[r&15])
			start = i + n
		}
		i += n
	}
	return append(dst, s[start:]...)
}

// AppendRecord appends a record as a line in CRI's format, with its newline:
//
//	2006-01-02T15:04:05.999999999Z stdout F text
func AppendRecord(dst []byte, r *Record) []byte {
	dst = append(dst, r.Stamp...)
	dst = append(dst, ' ')
	dst = append(dst, r.Stream.String()...)
	if r.Partial {
		dst = append(dst, " P "...)
	} else {
		dst = append(dst, " F "...)
	}
	return append(append(dst, r.Text...), '\n')
}
