package logline

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCRIRoundTrip(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 60, time.UTC)
	for _, want := range []Line{
		{Time: at, Stream: Stdout, Text: []byte("hello")},
		{Time: at, Stream: Stderr, Partial: true, Text: []byte("a b  c ")},
		{Time: at, Stream: Stdout, Text: []byte{}},
	} {
		line := AppendCRI(nil, want)
		var got Line
		if err := ParseCRI(line, &got); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q mismatch (-want +got):\n%s", line, diff)
		}
	}
}

func TestParseCRIRefuses(t *testing.T) {
	for _, line := range []string{
		"", "\n", "x", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z stdout", "2026-01-02T03:04:05Z stdin F x",
		"2026-01-02T03:04:05Z stdout Q x", "yesterday stdout F x", `{"log":"x\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}`,
	} {
		var l Line
		if err := ParseCRI([]byte(line), &l); err == nil {
			t.Errorf("%q is read as %+v", line, l)
		}
	}
}
