package lean

import (
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// maxDepth is how deep a value may be nested before it is left to
// encoding/json, which has a limit of its own. Engines' answers have 6 levels.
const maxDepth = 32

// end returns the index behind the JSON value that begins at b[i], white space
// before it allowed, or -1 if it is not valid or deeper than maxDepth.
func end(b []byte, i, depth int) int {
	i = space(b, i)
	if i == len(b) {
		return -1
	}
	switch c := b[i]; {
	case c == '"':
		return stringEnd(b, i)
	case c == '{':
		return groupEnd(b, i, depth, true)
	case c == '[':
		return groupEnd(b, i, depth, false)
	case c == 't':
		return word(b, i, "true")
	case c == 'f':
		return word(b, i, "false")
	case c == 'n':
		return word(b, i, "null")
	case c == '-' || isDigit(c):
		return numberEnd(b, i)
	}
	return -1
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

func word(b []byte, i int, w string) int {
	if len(b)-i < len(w) || string(b[i:i+len(w)]) != w {
		return -1
	}
	return i + len(w)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func numberEnd(b []byte, i int) int {
	digits := func() bool {
		first := i
		for i < len(b) && isDigit(b[i]) {
			i++
		}
		return i > first
	}
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if !digits() {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i++; !digits() {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return -1
		}
	}
	return i
}

// stringEnd is end for a string. Eight bytes at a time are looked at for one
// that ends the plain part: a quote, a backslash or a control character.
func stringEnd(b []byte, i int) int {
	i++
	for {
		for len(b)-i >= 8 {
			stop := stops(binary.LittleEndian.Uint64(b[i:]))
			if stop != 0 {
				i += bits.TrailingZeros64(stop) / 8
				break
			}
			i += 8
		}
		if i >= len(b) {
			return -1
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < 0x20:
			return -1
		case c != '\\':
			i++
			continue
		}
		if i++; i >= len(b) {
			return -1
		}
		switch b[i] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			i++
		case 'u':
			if len(b)-i < 5 || !isHex(b[i+1]) || !isHex(b[i+2]) || !isHex(b[i+3]) || !isHex(b[i+4]) {
				return -1
			}
			i += 5
		default:
			return -1
		}
	}
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

const ones, highs = 0x0101010101010101, 0x8080808080808080

// stops marks, by their highest bit, the bytes of x that are a quote, a
// backslash or a control character. Only the lowest mark is sure to be one.
func stops(x uint64) uint64 {
	quote, slash := x^ones*'"', x^ones*'\\'
	return ((quote-ones)&^quote | (slash-ones)&^slash | (x-ones*0x20)&^x) & highs
}

// groupEnd is end for an object or an array.
func groupEnd(b []byte, i, depth int, object bool) int {
	if depth >= maxDepth {
		return -1
	}
	closing := byte(']')
	if object {
		closing = '}'
	}
	if i = space(b, i+1); i < len(b) && b[i] == closing {
		return i + 1
	}
	for {
		if object {
			if i = space(b, i); i == len(b) || b[i] != '"' {
				return -1
			}
			if i = stringEnd(b, i); i < 0 {
				return -1
			}
			if i = space(b, i); i == len(b) || b[i] != ':' {
				return -1
			}
			i++
		}
		if i = end(b, i, depth+1); i < 0 {
			return -1
		}
		if i = space(b, i); i == len(b) {
			return -1
		}
		switch b[i] {
		case closing:
			return i + 1
		case ',':
			i++
		default:
			return -1
		}
	}
}

// decoder reads one value. What is not valid JSON, and what it does not know
// how to read as encoding/json would, sets odd: then the whole answer is left
// to encoding/json. Strings that it returns are parts of s.
type decoder struct {
	s   string
	i   int
	odd bool

	room        int // how many strings to make memory for at once
	freeLabels  []Label
	freeStrings []string
}

// bytes returns the text, to be read only.
func (d *decoder) bytes() []byte { return unsafe.Slice(unsafe.StringData(d.s), len(d.s)) }

// peek returns the first byte that is no white space, 0 at the end.
func (d *decoder) peek() byte {
	if d.i < len(d.s) && d.s[d.i] > ' ' {
		return d.s[d.i]
	}
	if d.i = space(d.bytes(), d.i); d.i < len(d.s) {
		return d.s[d.i]
	}
	return 0
}

// takes passes over a byte, if it comes next.
func (d *decoder) takes(c byte) bool {
	if d.peek() != c {
		return false
	}
	d.i++
	return true
}

// more goes on to the next element of an object or an array, behind one that
// was read or the opening. It returns false at the end, which it passes.
func (d *decoder) more(first *bool, closing byte) bool {
	if d.odd {
		return false
	}
	if d.takes(closing) {
		return false
	}
	if *first {
		*first = false
		return true
	}
	if d.takes(',') && d.peek() != closing {
		return true
	}
	d.odd = true
	return false
}

// literal passes over a word.
func (d *decoder) literal(w string) bool {
	if !strings.HasPrefix(d.s[d.i:], w) {
		d.odd = true
		return false
	}
	d.i += len(w)
	return true
}

// null passes over a null, which leaves any field as it is.
func (d *decoder) null() bool { return d.peek() == 'n' && d.literal("null") }

// raw passes over a value and returns its text.
func (d *decoder) raw() string {
	d.peek()
	first := d.i
	last := end(d.bytes(), first, 0)
	if last < 0 {
		d.odd, d.i = true, len(d.s)
		return "null"
	}
	d.i = last
	return d.s[first:last]
}

// skip passes over the value of a field that is left out, if it has the kind
// that the field has: c is its first byte.
func (d *decoder) skip(c byte) {
	got := d.peek()
	d.odd = d.odd || got != c && got != 'n'
	d.raw()
}

// text reads a string.
func (d *decoder) text() string {
	if !d.takes('"') {
		d.odd = true
		return ""
	}
	first := d.i
	if i := plainEnd(d.bytes(), first); i < len(d.s) && d.s[i] == '"' {
		d.i = i + 1
		return d.s[first:i]
	}
	d.i = first - 1
	raw := d.raw()
	if t, ok := unescape(raw); ok {
		return t
	}
	var s string
	if json.Unmarshal([]byte(raw), &s) != nil {
		d.odd = true
	}
	return s
}

// plainEnd returns the index of the first byte from i on that is a quote, a
// backslash, a control character or none of ASCII.
func plainEnd(b []byte, i int) int {
	for len(b)-i >= 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		if stop := stops(x) | x&highs; stop != 0 {
			return i + bits.TrailingZeros64(stop)/8
		}
		i += 8
	}
	for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= 0x20 && b[i] < utf8.RuneSelf {
		i++
	}
	return i
}

// unescape reads a quoted string that has none but the usual escapes, which
// are those of JSON inside JSON.
func unescape(quoted string) (string, bool) {
	if len(quoted) < 2 || !utf8.ValidString(quoted) {
		return "", false
	}
	rest := quoted[1 : len(quoted)-1]
	var b strings.Builder
	b.Grow(len(rest))
	for {
		i := strings.IndexByte(rest, '\\')
		if i < 0 {
			b.WriteString(rest)
			return b.String(), true
		}
		b.WriteString(rest[:i])
		switch rest[i+1] { // end has seen that there is one
		case '"', '\\', '/':
			b.WriteByte(rest[i+1])
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'u':
			r, err := strconv.ParseUint(rest[i+2:i+6], 16, 32)
			if err != nil || utf16.IsSurrogate(rune(r)) {
				return "", false
			}
			b.WriteRune(rune(r))
			i += 4
		default:
			return "", false
		}
		rest = rest[i+2:]
	}
}

func (d *decoder) str(p *string) {
	if !d.null() {
		*p = d.text()
	}
}

func (d *decoder) bool(p *bool) {
	switch d.peek() {
	case 't':
		*p = d.literal("true")
	case 'f':
		if d.literal("false") {
			*p = false
		}
	case 'n':
		d.literal("null")
	default:
		d.odd = true
	}
}

// integer reads a number that has no fraction, exponent or more than 18 digits.
func integer[T ~int | ~int64 | ~uint16 | ~uint64](d *decoder, p *T) {
	if d.null() {
		return
	}
	negative := d.takes('-')
	first := d.i
	var n int64
	for d.i < len(d.s) && isDigit(d.s[d.i]) && d.i-first < 19 {
		n = 10*n + int64(d.s[d.i]-'0')
		d.i++
	}
	digits := d.i - first
	if digits == 0 || digits > 18 || digits > 1 && d.s[first] == '0' || negative && n == 0 {
		d.odd = true
		return
	}
	if negative {
		n = -n
	}
	v := T(n) // what follows is no fraction: more does not take it
	if int64(v) != n || n < 0 && v > 0 {
		d.odd = true
		return
	}
	*p = v
}

// list reads an array by calling each for its elements.
func list[T any](d *decoder, p *[]T, each func(*T)) {
	if d.null() {
		return
	}
	if !d.takes('[') {
		d.odd = true
		return
	}
	l := []T{}
	for first := true; d.more(&first, ']'); {
		if cap(l) == 0 {
			l = make([]T, 0, 4)
		}
		var v T
		l = append(l, v)
		each(&l[len(l)-1])
	}
	*p = l
}

// strings reads a list of strings.
func (d *decoder) strings(p *[]string) {
	if d.null() {
		return
	}
	if !d.takes('[') {
		d.odd = true
		return
	}
	var few [16]string
	l := few[:0]
	for first := true; d.more(&first, ']'); {
		s := ""
		d.str(&s)
		l = append(l, s)
	}
	*p = carve(&d.freeStrings, l, d.room)
}

// carve copies l into free memory, of which it makes at least room elements
// if there is too little.
func carve[T any](free *[]T, l []T, room int) []T {
	n := len(l)
	if n > len(*free) || *free == nil {
		*free = make([]T, max(n, room))
	}
	part := (*free)[:n:n]
	*free = (*free)[n:]
	copy(part, l)
	return part
}

// pairs reads an object of strings.
func (d *decoder) pairs(p *map[string]string) {
	if d.null() {
		return
	}
	if !d.takes('{') {
		d.odd = true
		return
	}
	var few [24][2]string
	l := few[:0]
	for first := true; d.more(&first, '}'); {
		kv := [2]string{d.key(), ""}
		d.str(&kv[1])
		l = append(l, kv)
	}
	m := make(map[string]string, len(l))
	for _, kv := range l {
		m[kv[0]] = kv[1]
	}
	*p = m
}

// labels reads an object of strings without a map. Engines write a map's keys
// in order; keys that are not may come twice, and are odd.
func (d *decoder) labels(p *[]Label) {
	if d.null() {
		return
	}
	if !d.takes('{') {
		d.odd = true
		return
	}
	var few [24]Label
	l := few[:0]
	for first := true; d.more(&first, '}'); {
		n := Label{Key: d.key()}
		d.str(&n.Value)
		d.odd = d.odd || len(l) > 0 && n.Key <= l[len(l)-1].Key
		l = append(l, n)
	}
	*p = carve(&d.freeLabels, l, 20*d.room)
}

func (d *decoder) key() string {
	k := d.text()
	if !d.takes(':') {
		d.odd = true
	}
	return k
}

// takesKey passes over a key, if it comes next and stands as engines write it.
func (d *decoder) takesKey(name string) bool {
	rest := d.s[d.i:]
	n := len(name)
	if len(rest) < n+3 || rest[0] != '"' || rest[n+1] != '"' || rest[n+2] != ':' || rest[1:n+1] != name {
		return false
	}
	d.i += n + 3
	return true
}

// other leaves a value to encoding/json: one that is rarely there.
func (d *decoder) other(p any) {
	if d.null() {
		return
	}
	if json.Unmarshal([]byte(d.raw()), p) != nil {
		d.odd = true
	}
}

// field is how a key of an object is read into a T.
type field[T any] struct {
	name string
	read func(d *decoder, v *T)
}

// object reads an object. Engines write the fields of their answers in one
// order, which that of fields follows, so each key is looked for behind the
// last one first. A key that is there twice, or differs from a field's name in
// case only, is odd: encoding/json takes it for the same field.
func object[T any](d *decoder, fields []field[T], v *T) {
	if !d.takes('{') {
		d.odd = true
		return
	}
	var seen [2]uint64
	next := 0
	for first := true; d.more(&first, '}'); {
		n := next
		if n >= len(fields) || !d.takesKey(fields[n].name) {
			n = fieldIndex(d, fields, d.key())
		}
		if n < 0 {
			d.raw()
			continue
		}
		bit := uint64(1) << (n % 64)
		d.odd = d.odd || seen[n/64]&bit != 0
		seen[n/64] |= bit
		fields[n].read(d, v)
		next = n + 1
	}
}

func fieldIndex[T any](d *decoder, fields []field[T], key string) int {
	for n := range fields {
		if fields[n].name == key {
			return n
		}
	}
	for n := range fields {
		d.odd = d.odd || strings.EqualFold(fields[n].name, key)
	}
	return -1
}

// pointer reads an object into a value of its own; null leaves the pointer.
func pointer[T any](d *decoder, fields []field[T], p **T) {
	if d.null() {
		return
	}
	if *p == nil {
		*p = new(T)
	}
	object(d, fields, *p)
}

// value reads an object into a field that is no pointer.
func value[T any](d *decoder, fields []field[T], p *T) {
	if !d.null() {
		object(d, fields, p)
	}
}

// optional reads a value into a pointer; null leaves it.
func optional[T any](d *decoder, p **T, read func(*T)) {
	if d.null() {
		return
	}
	if *p == nil {
		*p = new(T)
	}
	read(*p)
}

// objects reads a list that nearly always is empty.
func objects[L ~[]E, E any](d *decoder, p *L) {
	if strings.HasPrefix(d.s[d.i:], "[]") {
		*p = L{}
		d.i += len("[]")
		return
	}
	d.other(p)
}

// mapping reads an object of objects that nearly always is empty.
func mapping[M ~map[K]V, K comparable, V any](d *decoder, p *M) {
	if strings.HasPrefix(d.s[d.i:], "{}") {
		*p = M{}
		d.i += len("{}")
		return
	}
	d.other(p)
}

// command reads a list of strings; a lone string in its place is odd.
func command[L ~[]string](d *decoder, p *L) {
	var l []string
	if d.strings(&l); l != nil {
		*p = l
	}
}
