package dockpod

import (
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod/internal/logline"
)

func TestReadTerminal(t *testing.T) {
	const stamp, coarse = "2026-01-02T03:04:05.000000006Z", "2026-01-02T03:04:05+01:00"
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, tt := range []struct {
		name, stream string
		want         []string
	}{
		{"nothing", "", nil},
		{"lines", stamp + " a\r\n" + stamp + " \r\n" + stamp + " $ ", []string{"a\r\n", "\r\n", "$ "}},
		{"a time in a line", stamp + " " + stamp + " a\n", []string{stamp + " a\n"}},
		{"pieces", stamp + " " + x(dockerRecord) + stamp + " " + x(dockerRecord) + stamp + " yz\n" + stamp + " end\n", []string{x(dockerRecord), x(dockerRecord), "yz\n", "end\n"}},
		{"Podman's pieces", coarse + " " + x(podmanRecord) + coarse + " yz\n" + coarse + " end\n", []string{x(podmanRecord), "yz\n", "end\n"}},
		{"a full record", stamp + " " + x(dockerRecord) + "\n" + stamp + " end\n", []string{x(dockerRecord) + "\n", "end\n"}},
		{"the end at a full record", stamp + " " + x(dockerRecord), []string{x(dockerRecord)}},
		{"no times", "a\nb", []string{"a\n", "b"}},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "by bytes": iotest.OneByteReader, "by halves": iotest.HalfReader,
		} {
			var got []string
			err := readTerminal(wrap(strings.NewReader(tt.stream)), time.Time{}, func(rec *logline.Record) error {
				text := string(rec.Text)
				if !rec.Partial {
					text += "\n"
				}
				got = append(got, text)
				return nil
			})
			if err != nil {
				t.Errorf("%s, %s: %v", tt.name, how, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", tt.name, how, diff)
			}
		}
	}
}

// A record is given when it is there, not when the next one comes.
func TestReadTerminalAtOnce(t *testing.T) {
	r, w := io.Pipe()
	got := make(chan string)
	done := make(chan error)
	go func() {
		done <- readTerminal(r, time.Time{}, func(rec *logline.Record) error { got <- string(rec.Text); return nil })
	}()
	for i := range 3 {
		if _, err := fmt.Fprintf(w, "2026-01-02T03:04:05.000000006Z %d\r\n", i); err != nil {
			t.Fatal(err)
		}
		if line := <-got; line != fmt.Sprintf("%d\r", i) {
			t.Errorf("%q", line)
		}
	}
	w.CloseWithError(io.ErrUnexpectedEOF)
	if err := <-done; err != io.ErrUnexpectedEOF {
		t.Errorf("%v", err)
	}
}

func TestLogPlace(t *testing.T) {
	var p logPlace
	rec := func(s logline.Stream, second, nano int) *logline.Record {
		return &logline.Record{Stream: s, Stamp: fmt.Appendf(nil, "2026-01-02T03:04:%02d.%09dZ", second, nano)}
	}
	if !p.since().IsZero() || p.had(rec(1, 0, 0)) {
		t.Error("the beginning is not one")
	}
	for _, r := range []*logline.Record{rec(1, 1, 0), rec(1, 5, 10), rec(2, 5, 9), rec(1, 5, 11), rec(1, 5, 11)} {
		p.add(r)
	}
	if since := p.since(); since.Second() != 5 || since.Nanosecond() != 9 {
		t.Errorf("since %v", since)
	}
	for range 2 {
		p.again()
		var fresh []string
		for _, r := range []*logline.Record{rec(1, 5, 10), rec(2, 5, 9), rec(1, 5, 11), rec(1, 5, 11), rec(1, 5, 11), rec(2, 5, 11)} {
			if !p.had(r) {
				fresh = append(fresh, r.Stream.String())
			}
		}
		if diff := cmp.Diff([]string{"stdout", "stderr"}, fresh); diff != "" {
			t.Errorf("new records (-want +got):\n%s", diff)
		}
	}
	for range 2 * placeMax {
		p.add(rec(1, 7, 0))
	}
	if len(p.recent) != placeMax {
		t.Errorf("%d records are kept", len(p.recent))
	}
}

// Lines in the tail that is read through the API are those of the file's.
func TestLastRecords(t *testing.T) {
	for _, tt := range []struct {
		records string // O and E end a line of a stream, o and e do not
		want    int
		first   int
		found   bool
	}{
		{"", 1, 0, false}, {"O", 0, 1, true}, {"O", 1, 0, false}, {"OOO", 2, 1, true}, {"ooOO", 1, 3, true},
		{"OooO", 1, 1, true}, {"OEo", 1, 2, true}, {"OEoe", 2, 2, true}, {"ooo", 1, 0, false}, {"EoO", 5, 0, false},
		{"OEo", math.MaxInt, 0, false},
	} {
		k := lastRecords{want: tt.want}
		for _, c := range tt.records {
			rec := logline.Record{Stream: logline.Stdout, Partial: c == 'o' || c == 'e'}
			if c == 'E' || c == 'e' {
				rec.Stream = logline.Stderr
			}
			k.add(&rec)
		}
		gone := len(tt.records) - len(k.records)
		if first, found := k.first(); first+gone != tt.first || found != tt.found {
			t.Errorf("%d of %q: %d, %t; want %d, %t", tt.want, tt.records, first+gone, found, tt.first, tt.found)
		}
	}
}
