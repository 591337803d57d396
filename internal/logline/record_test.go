package logline

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParse(t *testing.T) {
	const at = "2026-01-02T03:04:05.6Z"
	for _, tt := range []struct {
		line string
		want Record
	}{
		{`{"log":"a\n","stream":"stdout","time":"` + at + `"}`, Record{Stdout, false, []byte("a"), []byte(at)}},
		{`{"log":"a","stream":"stderr","time":"` + at + `"}`, Record{Stderr, true, []byte("a"), []byte(at)}},
		{`{"log":"\n","stream":"stdout","time":"` + at + `"}`, Record{Stdout, false, []byte{}, []byte(at)}},
		{`{"log":"","stream":"stdout","time":"` + at + `"}`, Record{Stdout, true, []byte{}, []byte(at)}},
		{`{"log":"\\n","stream":"stdout","time":"` + at + `"}`, Record{Stdout, true, []byte(`\n`), []byte(at)}},
		{`{"log":"q\"\t\u003c\u001b[0m\ud83d\ude00\/\n","stream":"stdout","time":"` + at + `"}`, Record{Stdout, false, []byte("q\"\t<\x1b[0m😀/"), []byte(at)}},
		{`{"log":"\ud83dx\udc00\n","stream":"stdout","time":"` + at + `"}`, Record{Stdout, false, []byte("\ufffdx\ufffd"), []byte(at)}},
		{`{"log":"a\n","stream":"stdout","attrs":{"k":"v"},"time":"` + at + `"}`, Record{Stdout, false, []byte("a"), []byte(at)}},
		{`{"time":"` + at + `", "stream":"stderr","log":"a\n"}`, Record{Stderr, false, []byte("a"), []byte(at)}},
		{`{"log":"a","x":"b","stream":"stdout","time":"` + at + `"}`, Record{Stdout, true, []byte("a"), []byte(at)}},
		{"\x00\x00\x00" + `{"log":"a\n","stream":"stdout","time":"` + at + `"}`, Record{Stdout, false, []byte("a"), []byte(at)}},
		{`{"log":"torn{"log":"a\n","stream":"stdout","time":"` + at + `"}`, Record{Stdout, false, []byte("a"), []byte(at)}},
		{`2026-01-02T03:04{"log":"a\n","stream":"stdout","time":"` + at + `"}`, Record{Stdout, false, []byte("a"), []byte(at)}},
		{at + " stdout F a b ", Record{Stdout, false, []byte("a b "), []byte(at)}},
		{at + " stderr P:x a", Record{Stderr, true, []byte("a"), []byte(at)}},
		{at + " stdout F", Record{Stdout, false, nil, []byte(at)}},
		{"2026-01-02T03:04:05.6+02:00 stdout F {\"log\":\"x\"}", Record{Stdout, false, []byte(`{"log":"x"}`), []byte("2026-01-02T03:04:05.6+02:00")}},
	} {
		var p Parser
		var got Record
		if err := p.Parse([]byte(tt.line), &got); err != nil {
			t.Errorf("%s: %v", tt.line, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s mismatch (-want +got):\n%s", tt.line, diff)
		}
		if got.Time().IsZero() {
			t.Errorf("%s: no time", tt.line)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, line := range []string{
		"", "\x00\x00", "text", "{", `{"log":"a"`, `{"log":"a","stream":"stdin","time":"2026-01-02T03:04:05Z"}`, `{}`, `null`,
		`{"log":"a\q","stream":"stdout","time":"2026-01-02T03:04:05Z"}`, `{"log":"a\u12","stream":"stdout","time":"2026-01-02T03:04:05Z"}`,
		"2026-01-02T03:04:05Z stdin F x", "2026-01-02T03:04:05Z stdout Fx", "2026-01-02T03:04:05Z stdout ",
	} {
		var p Parser
		var r Record
		if err := p.Parse([]byte(line), &r); err == nil {
			t.Errorf("%q is read as %+v", line, r)
		}
	}
}

// What encoding/json takes for a record is the same one here.
func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`a\n`, `\\`, `\ud83d\ude00`, `\ud83d`, `\ud83d\n`, `a","x":"b`, `\u00e9\"\/`, `\udc00\ud83d\ude00`} {
		f.Add(`{"log":"` + s + `","stream":"stdout","time":"2026-01-02T03:04:05Z"}`)
	}
	f.Add(`{"log":"a","stream":"stderr","attrs":{"stream":"stdout"},"time":"2026-01-02T03:04:05Z"}`)
	f.Add(`{"stream":"stderr","log":"a","stream":"stdout","time":"2026-01-02T03:04:05Z"}`)
	f.Fuzz(func(t *testing.T, line string) {
		var want struct{ Log, Stream, Time string }
		if json.Unmarshal([]byte(line), &want) != nil || !utf8.ValidString(line) || line[0] != '{' {
			return
		}
		if want.Stream != "stdout" && want.Stream != "stderr" {
			return
		}
		var p Parser
		var got Record
		if err := p.Parse([]byte(line), &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		text := string(got.Text)
		if !got.Partial {
			text += "\n"
		}
		if text != want.Log || got.Stream.String() != want.Stream || string(got.Stamp) != want.Time {
			t.Errorf("%s: %q %v %q; want %+v", line, text, got.Stream, got.Stamp, want)
		}
	})
}

// The stream is that of the record, wherever there is one.
func FuzzStreamOf(f *testing.F) {
	const tail = `","stream":"stderr","time":"2026-01-02T03:04:05Z"}`
	for _, line := range []string{
		`{"log":"a` + tail,
		`{"log":"a","stream":"stdout","time":"1"}{"log":"b` + tail,
		`{"log":"a","stream":"stdout","x":"` + tail,
		`{"log":"a","stream":"stdout","attrs":{"a":"b` + tail + `}`,
		`{"log":"a","Stream":"stdout","x":"y` + tail,
		`2026-01-02T03:04:05Z stdout F {"log":"a` + tail,
		"\x00" + `{"log":"a` + tail,
		`{"log":"a\` + tail,
		`{"log":"` + "\n" + tail,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s, ok := StreamOf([]byte(line))
		var p Parser
		var r Record
		if ok && p.Parse([]byte(line), &r) == nil && r.Stream != s {
			t.Errorf("%s: %v; the record says %v", line, s, r.Stream)
		}
	})
}

// What is written is spelled as encoding/json spells it, and is read back.
func FuzzAppendJSON(f *testing.F) {
	f.Add("a <b> & \"c\"\\ \x1b\u2028\u2029 \xff\xc3", true)
	f.Add("", false)
	f.Fuzz(func(t *testing.T, text string, partial bool) {
		r := Record{Stream: Stderr, Partial: partial, Text: []byte(text), Stamp: []byte("2026-01-02T03:04:05Z")}
		got := AppendJSON(nil, &r)
		line := text
		if !partial {
			line += "\n"
		}
		want, _ := json.Marshal(struct {
			Log    string `json:"log"`
			Stream string `json:"stream"`
			Time   string `json:"time"`
		}{line, "stderr", "2026-01-02T03:04:05Z"})
		if string(got) != string(want)+"\n" {
			t.Errorf("%s; want %s", got, want)
		}
		if !utf8.ValidString(text) || strings.HasSuffix(text, "\n") {
			return
		}
		var p Parser
		var back Record
		if err := p.Parse(bytes.TrimSuffix(got, []byte("\n")), &back); err != nil || string(back.Text) != text || back.Partial != partial {
			t.Errorf("%s is read as %q, %v", got, back.Text, err)
		}
	})
}

func TestOutline(t *testing.T) {
	text := "h\"\U0001f600\n\\" + strings.Repeat("é<", 50) + "\u20ac end"
	record := Record{Stream: Stderr, Text: []byte(text), Stamp: []byte("2026-01-02T03:04:05.06Z")}
	escaped, _ := json.Marshal(text)
	withPairs := strings.ReplaceAll(string(escaped[1:len(escaped)-1]), "😀", `\ud83d\ude00`)
	for name, line := range map[string]string{
		"json": `{"log":"` + withPairs + `\n","stream":"stderr","time":"2026-01-02T03:04:05.06Z"}`,
		"cri":  strings.TrimSuffix(string(AppendRecord(nil, &record)), "\n"),
	} {
		for size := 1; size < 20; size++ {
			l, ok := Outline([]byte(line[:100]), []byte(line[len(line)-100:]))
			if !ok {
				t.Fatalf("%s has no outline", name)
			}
			raw := line[l.Start : len(line)-l.Tail]
			var got []byte
			for len(raw) > 0 {
				n := min(size, len(raw))
				r := l.Piece([]byte(raw[:n]), n == len(raw))
				if r.Partial != (n < len(raw)) || r.Stream != Stderr || !r.Time().Equal(time.Date(2026, 1, 2, 3, 4, 5, 6e7, time.UTC)) {
					t.Fatalf("%s: piece %+v", name, r)
				}
				got = append(got, r.Text...)
				raw = raw[n:]
			}
			if string(got) != text {
				t.Fatalf("%s in pieces of %d: %q; want %q", name, size, got, text)
			}
		}
	}
	if _, ok := Outline([]byte("text"), []byte("more")); ok {
		t.Error("text has an outline")
	}
}

func BenchmarkParse(b *testing.B) {
	line := []byte(`{"log":"` + strings.Repeat("l", 110) + `\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}`)
	b.SetBytes(int64(len(line)))
	var p Parser
	var r Record
	for b.Loop() {
		if p.Parse(line, &r) != nil {
			b.Fatal("refused")
		}
	}
}
