package dockpod

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dockpod/dockpod/internal/logline"
)

var logEpoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func fullLine(at time.Time, text string) logline.Record {
	return logline.Record{Stamp: stampOf(at), Stream: logline.Stdout, Text: []byte(text)}
}

func stampOf(at time.Time) []byte { return at.AppendFormat(nil, time.RFC3339Nano) }

// tailOf is the tail of a file with these lines.
func tailOf(lines []logline.Record) logTail {
	var scan tailScan
	for _, l := range slices.Backward(lines) {
		if !scan.add(&l, 50) {
			break
		}
	}
	return scan.tail(logEpoch.Add(time.Hour))
}

// haveOf searches a tail among an engine's records.
func haveOf(tail logTail, records []logline.Record) int {
	search := newTailSearch(tail.sums)
	for _, l := range records {
		if !l.Time().Before(tail.since) && search.feed(lineSum(&l)) {
			break
		}
	}
	return search.have()
}

// since filters records as the engine does.
func since(records []logline.Record, at time.Time) (later []logline.Record) {
	for _, l := range records {
		if !l.Time().Before(at) {
			later = append(later, l)
		}
	}
	return later
}

// A file that holds any part of a log is gone on with at its end, on an engine
// whose clock ticks in nanoseconds or in seconds, with two streams that are
// out of order, long lines, and texts that repeat.
func TestResumeAtAnyLine(t *testing.T) {
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 1))
		coarse := seed%2 == 1
		var log []logline.Record
		at := logEpoch
		open := map[logline.Stream][]byte{}
		for range 200 {
			at = at.Add(time.Duration(random.Int64N(int64(60 * time.Millisecond))))
			l := fullLine(at.Add(-time.Duration(random.Int64N(int64(5*time.Millisecond)))), "tick")
			if random.IntN(3) == 0 {
				l.Stream = logline.Stderr
			}
			if !coarse && random.IntN(2) == 0 {
				l.Text = fmt.Append(nil, "line ", random.IntN(3))
			}
			// The pieces of a long line have the time of the first.
			if first, ok := open[l.Stream]; ok {
				l.Stamp = first
			}
			if l.Partial = random.IntN(4) == 0; !l.Partial {
				delete(open, l.Stream)
			} else if _, ok := open[l.Stream]; !ok {
				open[l.Stream] = l.Stamp
			}
			if coarse {
				l.Stamp = stampOf(l.Time().Truncate(time.Second))
			}
			log = append(log, l)
		}
		for range 20 {
			n := 1 + random.IntN(len(log))
			tail := tailOf(log[:n])
			got := since(log, tail.since)[haveOf(tail, log):]
			same := func(a, b logline.Record) bool { return lineSum(&a) == lineSum(&b) }
			if !slices.EqualFunc(log[n:], got, same) {
				t.Fatalf("seed %d: after %d lines mismatch (-want +got):\n%s", seed, n, cmp.Diff(log[n:], got))
			}
		}
	}
}

// The head of the file may be gone by rotation, and the head of the engine's
// log too.
func TestResumeWithoutHeads(t *testing.T) {
	var log []logline.Record
	for i := range 100 {
		log = append(log, fullLine(logEpoch.Add(time.Duration(i)*10*time.Millisecond), fmt.Sprint("line ", i)))
	}
	for _, c := range []struct {
		name               string
		from, to           int // of the file
		engine, wantNumber int // the engine's first line, and the first that is new
	}{
		{"both whole", 0, 50, 0, 50},
		{"file without head", 49, 50, 0, 50},
		{"engine without head", 0, 50, 30, 50},
		{"engine begins with the file's last line", 0, 50, 49, 50},
		{"engine begins after the file", 0, 50, 50, 50},
		{"a gap that is lost", 0, 50, 60, 60},
		{"nothing new", 0, 100, 0, 100},
		{"nothing new and the engine without head", 20, 100, 90, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			tail := tailOf(log[c.from:c.to])
			records := since(log[c.engine:], tail.since)
			got := records[haveOf(tail, log[c.engine:]):]
			if diff := cmp.Diff(log[c.wantNumber:], got); diff != "" {
				t.Errorf("new lines mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

// Lines that came after the clock was turned back are earlier than the file's
// end, and new all the same.
func TestResumeAfterTheClockWasTurnedBack(t *testing.T) {
	var log []logline.Record
	for i := range 200 {
		at := logEpoch.Add(time.Duration(i) * 50 * time.Millisecond)
		if i >= 100 {
			at = at.Add(-time.Hour)
		}
		log = append(log, fullLine(at, fmt.Sprint("line ", i)))
	}
	for _, n := range []int{1, 99, 100, 101, 110, 199, 200} {
		var scan tailScan
		for _, l := range slices.Backward(log[:n]) {
			if !scan.add(&l, 50) {
				break
			}
		}
		tail := scan.tail(log[199].Time())
		got := since(log, tail.since)[haveOf(tail, log):]
		if diff := cmp.Diff(log[n:], got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("after %d lines mismatch (-want +got):\n%s", n, diff)
		}
	}
}

// What is given again is recognised, and nothing else.
func TestRepeats(t *testing.T) {
	const sec, early, at, later = "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.2Z", "2026-01-02T03:04:05.3Z"
	for _, tt := range []struct{ name, given, again string }{
		{"nothing", early + " stdout F a\n" + at + " stdout F a\n" + later + " stderr F a\n", ""},
		{"the last line", at + " stdout F a\n" + at + " stdout F a\n" + at + " stdout F b\n", "01"},
		{"a file", early + " stdout F a\n" + at + " stdout F b\n" + early + " stdout F a\n" + at + " stdout F b\n" + later + " stdout F c\n", "0011"},
		{"streams that are out of order", at + " stdout F a\n" + early + " stderr F a\n", ""},
		{"pieces of one look", at + " stdout P a\n" + at + " stdout P a\n" + at + " stdout F a\n" + at + " stdout P a\n" + at + " stdout P a\n" + at + " stdout F a\n", "000111"},
		{"whole seconds", sec + " stdout F a\n" + sec + " stdout F a\n", ""},
		{"a clock that was turned back", later + " stdout F a\n" + early + " stdout F a\n" + at + " stdout F a\n", ""},
	} {
		var s repeats
		got := ""
		for line := range strings.Lines(tt.given) {
			var l logline.Record
			if err := logline.ParseRecord([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			got += map[bool]string{false: "0", true: "1"}[s.again(&l)]
		}
		if want := tt.again + strings.Repeat("0", len(got)-len(tt.again)); got != want {
			t.Errorf("%s: %s, want %s", tt.name, got, want)
		}
	}
	var s repeats
	line := func(i int) *logline.Record {
		l := fullLine(logEpoch.Add(time.Duration(i)*time.Millisecond), "x")
		return &l
	}
	for i := range 3 * maxRepeats {
		if s.again(line(i)) {
			t.Fatalf("line %d is new", i)
		}
	}
	for i := 2 * maxRepeats; i < 3*maxRepeats; i++ {
		if !s.again(line(i)) {
			t.Fatalf("line %d was given", i)
		}
	}
}

// A tail of a great many lines is searched for as far as it is kept.
func TestResumeBounded(t *testing.T) {
	log := make([]logline.Record, 2*maxTailLines)
	for i := range log {
		log[i] = fullLine(logEpoch.Add(time.Duration(i)), fmt.Sprint(i))
	}
	tail := tailOf(log)
	if len(tail.sums) > maxTailLines {
		t.Errorf("%d lines are kept", len(tail.sums))
	}
	log = append(log, fullLine(logEpoch.Add(time.Second/2), "new"))
	if got := since(log, tail.since)[haveOf(tail, log):]; len(got) != 1 || string(got[0].Text) != "new" {
		t.Errorf("%d lines are new", len(got))
	}
}

// recordFrame is a record as the engine sends it.
func recordFrame(s logline.Stream, text string) []byte {
	b := make([]byte, 8, 8+len(text))
	b[0] = byte(s)
	binary.BigEndian.PutUint32(b[4:], uint32(len(text)))
	return append(b, text...)
}

func allRecords(r logRecords) (lines []string, err error) {
	for {
		l, err := r.next()
		if err == io.EOF {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		lines = append(lines, strings.TrimSuffix(string(logline.AppendRecord(nil, &l)), "\n"))
	}
}

func TestLogRecords(t *testing.T) {
	const at = "2026-01-02T03:04:05.000000006Z "
	const out = "2026-01-02T03:04:05.000000006Z stdout "
	x := strings.Repeat("x", maxLinePiece)
	y := strings.Repeat("y", podmanPiece)
	for _, c := range []struct {
		name       string
		tty, final bool
		in         string
		want       []string
		err        error
	}{
		{"frames", false, false, string(recordFrame(1, at+"a b\n")) + string(recordFrame(2, at+"\n")) + string(recordFrame(1, at+"rest")),
			[]string{out + "F a b", strings.Replace(out, "stdout", "stderr", 1) + "F ", out + "P rest"}, nil},
		{"a time of another zone", false, false, string(recordFrame(1, "2026-01-02T04:04:05.120000000+01:00 a\n")), []string{"2026-01-02T03:04:05.12Z stdout F a"}, nil},
		{"a long line in pieces", false, false, string(recordFrame(1, at+x)) + string(recordFrame(1, at+x)) + string(recordFrame(1, at+"z\n")),
			[]string{out + "P " + x, out + "P " + x, out + "F z"}, nil},
		{"a long line in one frame", false, false, string(recordFrame(1, at+x+x+x+x+"z\n")),
			[]string{out + "P " + x, out + "P " + x, out + "P " + x, out + "P " + x, out + "F z"}, nil},
		{"a line of 16 KiB in one frame", false, false, string(recordFrame(1, at+x+"\n")), []string{out + "F " + x}, nil},
		{"two lines in one frame", false, false, string(recordFrame(1, at+"a\nb\n")), []string{out + "F a", out + "F b"}, nil},
		{"a frame of nothing", false, false, string(recordFrame(1, "")) + string(recordFrame(1, at)) + string(recordFrame(1, at+"a\n")), []string{out + "F a"}, nil},
		{"a frame that is cut off", false, false, string(recordFrame(1, at+"a\n")) + string(recordFrame(1, at+"b\n")[:20]), []string{out + "F a"}, io.ErrUnexpectedEOF},
		{"a frame without a time", false, false, string(recordFrame(1, "no time here\n")), nil, ErrBadAnswer},

		{"a terminal", true, false, at + "a\r\n" + at + "\r\n" + at + "two words \r\n", []string{out + "F a\r", out + "F \r", out + "F two words \r"}, nil},
		{"a terminal's prompt, while it runs", true, false, at + "a\r\n" + at + "$ ", []string{out + "F a\r"}, nil},
		{"a terminal's prompt, at the end", true, true, at + "a\r\n" + at + "$ ", []string{out + "F a\r", out + "P $ "}, nil},
		{"a terminal's long line", true, false, at + x + at + x + at + "z\r\n", []string{out + "P " + x, out + "P " + x, out + "F z\r"}, nil},
		{"a terminal's long line, of Podman", true, false, at + y + at + y + at + "z\r\n", []string{out + "P " + y, out + "P " + y, out + "F z\r"}, nil},
		{"a terminal without a time", true, false, "no time here\r\n", nil, ErrBadAnswer},
	} {
		for chunks, chunked := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "with the end": iotest.DataErrReader,
		} {
			t.Run(c.name+", "+chunks, func(t *testing.T) {
				got, err := allRecords(newLogRecords(chunked(strings.NewReader(c.in)), c.tty, c.final, time.Time{}))
				if !errors.Is(err, c.err) {
					t.Errorf("error %v, want %v", err, c.err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("lines mismatch (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// What an earlier run of a terminal left unfinished ends where the next one
// begins.
func TestLogRecordsOfRuns(t *testing.T) {
	const one, two, three = "2026-01-02T03:04:05.000000006Z ", "2026-01-02T03:04:06.100000000Z ", "2026-01-02T03:04:07.000000000Z "
	const in = one + "a b\r\n" + one + "p $ " + two + "p $ " + three + "c " + two + "d\r\n" + three + two + "\r\n"
	const f, p = " stdout F ", " stdout P "
	stamp := func(text string) string {
		return strings.Replace(strings.Replace(strings.TrimSuffix(text, " "), ".100000000", ".1", 1), ".000000000", "", 1)
	}
	last := []string{stamp(three) + f + "c " + two + "d\r", stamp(three) + f + two + "\r"}
	for started, want := range map[string][]string{
		three: append([]string{stamp(one) + f + "a b\r", stamp(one) + p + "p $ ", stamp(two) + p + "p $ "}, last...),
		one:   {stamp(one) + f + "a b\r", stamp(one) + f + "p $ " + two + "p $ " + three + "c " + two + "d\r", last[1]},
	} {
		at, err := time.Parse(time.RFC3339Nano, strings.TrimSuffix(started, " "))
		if err != nil {
			t.Fatal(err)
		}
		got, err := allRecords(newLogRecords(iotest.OneByteReader(strings.NewReader(in)), true, false, at))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("started at %s: %v, records mismatch (-want +got):\n%s", started, err, diff)
		}
		got = nil
		err = readTerminal(strings.NewReader(in), at, func(rec *logline.Record) error {
			r := *rec
			r.Stamp = []byte(stamp(string(r.Stamp)))
			got = append(got, strings.TrimSuffix(string(logline.AppendRecord(nil, &r)), "\n"))
			return nil
		})
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("started at %s, through the API: %v, records mismatch (-want +got):\n%s", started, err, diff)
		}
		// Nothing is added to it any more, also if the next run is silent yet.
		want = nil
		if started == three {
			want = []string{stamp(one) + p + "$ "}
		}
		got, err = allRecords(newLogRecords(strings.NewReader(one+"$ "), true, false, at))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("started at %s: %v, the end mismatch (-want +got):\n%s", started, err, diff)
		}
	}
}

func TestIsLogHead(t *testing.T) {
	for head, want := range map[string]bool{
		"":                                      true,
		"2026-01-02T0":                          true,
		"2026-01-02T03:04:05.123Z stdout F x\n": true,
		"2026-01-02T03:04:05.123Z stderr P ":    true,
		"2026-01-02T03:04:05.123Z stdo":         true,
		"2026-01-02T0\n":                        false,
		"2026-01-02 a diary\n":                  false,
		"precious":                              false,
		`{"log":"x\n","stream":"stdout","time":"2026-01`: false,
		"\x00\x00\x00\x00": false,
		"2026-01-02T03:04:05.123Z stdout F x\nand so on\n": true,
	} {
		if got := isLogHead([]byte(head)); got != want {
			t.Errorf("isLogHead(%q) = %v", head, got)
		}
	}
}

func TestLinesBack(t *testing.T) {
	for _, n := range []int{0, 1, 100, 65535, 65536, 65537, 200000} {
		text := "first\n\n" + strings.Repeat("x", n) + "\nlast, without a newline"
		lines := newLinesBack(strings.NewReader(text), int64(len(text)))
		var got []string
		for {
			line, err := lines.prev()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append([]string{string(line)}, got...)
		}
		if diff := cmp.Diff(slices.Collect(strings.Lines(text)), got); diff != "" {
			t.Errorf("n=%d mismatch (-want +got):\n%s", n, diff)
		}
	}
	lines := newLinesBack(bytes.NewReader(make([]byte, 2*maxLogLine)), 2*maxLogLine)
	if _, err := lines.prev(); !errors.Is(err, errNotOurLog) {
		t.Errorf("an endless line: error %v", err)
	}
}

func openStore(t *testing.T, s *logStore) {
	t.Helper()
	if _, err := s.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
}

func storeIn(dir string) *logStore {
	return &logStore{dir: dir, rel: "0.log", maxSize: 100, maxFiles: 3, isLink: func(string) bool { return false }}
}

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestLogStoreRotates(t *testing.T) {
	dir := t.TempDir()
	s := storeIn(dir)
	openStore(t, s)
	line := func(i int) []byte {
		l := fullLine(logEpoch, fmt.Sprintf("line %040d", i)) // of one time
		return logline.AppendRecord(nil, &l)
	}
	for _, name := range []string{"0.log.bak", "0.log.20060102-150405.gz", "1.log", "0.log.20060102-150405.0000000001"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		if err := s.append(line(i), logEpoch); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"0.log", "0.log.20060102-150405.0000000001", "0.log.20060102-150405.gz",
		"0.log.20260102-030405.000000002", "0.log.20260102-030405.000000003", "0.log.bak", "1.log",
	}
	if diff := cmp.Diff(want, namesIn(t, dir)); diff != "" {
		t.Errorf("files mismatch (-want +got):\n%s", diff)
	}
	// Killed between the steps of a rotation.
	s.close()
	if err := os.Rename(filepath.Join(dir, "0.log"), filepath.Join(dir, "0.log.20260102-030405.000000004")); err != nil {
		t.Fatal(err)
	}
	s = storeIn(dir)
	openStore(t, s)
	tail, err := s.tail()
	if err != nil {
		t.Fatal(err)
	}
	var sums []uint64
	for i := 2; i < 5; i++ {
		l := fullLine(logEpoch, fmt.Sprintf("line %040d", i))
		sums = append(sums, lineSum(&l))
	}
	if diff := cmp.Diff(sums, tail.sums); diff != "" {
		t.Errorf("tail mismatch (-want +got):\n%s", diff)
	}
}

// A log that somebody cut while it was open is gone on with at its new end.
func TestLogStoreThatWasCut(t *testing.T) {
	dir := t.TempDir()
	s := storeIn(dir)
	s.maxSize = 0
	openStore(t, s)
	l := fullLine(logEpoch, strings.Repeat("x", 1000))
	line := logline.AppendRecord(nil, &l)
	if err := s.append(bytes.Repeat(line, 2*maxLogLine/len(line)), logEpoch); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "0.log"), int64(len(line))); err != nil {
		t.Fatal(err)
	}
	tail, err := s.tail()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint64{lineSum(&l)}, tail.sums); diff != "" {
		t.Errorf("tail mismatch (-want +got):\n%s", diff)
	}
}

// Whoever looks between the steps of a rotation finds the log locked all the
// same.
func TestLogStoreHasOneWriter(t *testing.T) {
	dir := t.TempDir()
	s := storeIn(dir)
	openStore(t, s)
	if _, err := storeIn(dir).open(); !errors.Is(err, errLogBusy) {
		t.Errorf("a second writer: error %v", err)
	}
	if err := s.append([]byte("2026-01-02T03:04:05Z stdout F x\n"), logEpoch); err != nil {
		t.Fatal(err)
	}
	for _, stamp := range []string{"20260102-030405.000000004", "20260102-030405"} { // ours, the kubelet's
		aside := filepath.Join(dir, "0.log."+stamp)
		if err := os.Rename(filepath.Join(dir, "0.log"), aside); err != nil {
			t.Fatal(err)
		}
		if _, err := storeIn(dir).open(); !errors.Is(err, errLogBusy) {
			t.Errorf("a second writer beside %s: error %v", stamp, err)
		}
		if err := os.Rename(aside, filepath.Join(dir, "0.log")); err != nil {
			t.Fatal(err)
		}
	}
	s.close()
	openStore(t, storeIn(dir))
}

func TestRepairEnd(t *testing.T) {
	const line = "2026-01-02T03:04:05Z stdout F x\n"
	for _, c := range []struct{ name, in, want string }{
		{"whole", line + line, line + line},
		{"torn", line + line[:10], line},
		{"torn before its newline", line + line[:len(line)-1], line},
		{"torn first line", line[:12], ""},
		{"zeros of a crashed machine", line + strings.Repeat("\x00", 5000), line},
		{"zeros and a newline", line + "\x00\x00\n", line},
		{"a record that lost its time", line + "0001-01-01T00:00:00Z stdout F x\n", line + "0001-01-01T00:00:00Z stdout F x\n"},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "0.log"), []byte(c.in), 0o600); err != nil {
				t.Fatal(err)
			}
			openStore(t, storeIn(dir))
			got, err := os.ReadFile(filepath.Join(dir, "0.log"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Errorf("file mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLogStoreRemovesItsOwn(t *testing.T) {
	l := life{created: logEpoch, finished: logEpoch.Add(time.Hour)}
	at := func(d time.Duration) string {
		l := fullLine(logEpoch.Add(d), "x")
		return string(logline.AppendRecord(nil, &l))
	}
	for _, c := range []struct {
		name, text string
		stays      bool
	}{
		{"of its time", at(time.Minute), false},
		{"torn", at(time.Minute) + "2026", false},
		{"of the second in which it ended", at(time.Hour + time.Second), false},
		{"of a later container", at(time.Minute) + at(2*time.Hour), true},
		{"of an earlier one", at(-time.Hour), true},
		{"no log", "precious\n", true},
		{"empty", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range []string{"0.log", "0.log.20260102-030405.000000004", "0.log.old"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := storeIn(dir).remove(l)
			if c.stays != errors.Is(err, errNotOurLog) {
				t.Errorf("error %v", err)
			}
			want := []string{"0.log.old"}
			if c.stays {
				want = []string{"0.log", "0.log.20260102-030405.000000004", "0.log.old"}
			}
			if diff := cmp.Diff(want, namesIn(t, dir)); diff != "" {
				t.Errorf("files mismatch (-want +got):\n%s", diff)
			}
		})
	}
}
