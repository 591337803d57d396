package logline

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCRIRoundTrip(t *testing.T) {
	at := []byte("2026-01-02T03:04:05.00000006Z")
	for _, want := range []Record{
		{Stamp: at, Stream: Stdout, Text: []byte("hello")},
		{Stamp: at, Stream: Stderr, Partial: true, Text: []byte("a b  c ")},
		{Stamp: at, Stream: Stdout, Text: []byte{}},
	} {
		line := AppendRecord(nil, &want)
		var got Record
		if err := ParseRecord(line, &got); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		if got.Time() != time.Date(2026, 1, 2, 3, 4, 5, 60, time.UTC) {
			t.Errorf("%q: time %v", line, got.Time())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q mismatch (-want +got):\n%s", line, diff)
		}
	}
}

func TestParseRecordRefuses(t *testing.T) {
	for _, line := range []string{
		"", "\n", "x", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z stdout", "2026-01-02T03:04:05Z stdin F x",
		"2026-01-02T03:04:05Z stdout Q x", "yesterday stdout F x", "2026-13-02T03:04:05Z stdout F x", `{"log":"x\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}`,
	} {
		var r Record
		if err := ParseRecord([]byte(line), &r); err == nil {
			t.Errorf("%q is read as %+v", line, r)
		}
	}
}
