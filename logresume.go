package dockpod

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"time"

	"github.com/dockpod/dockpod/internal/logline"
)

// A log file that dockpod writes holds a run of the engine's records without a
// gap. To go on, the file's last lines are looked for among the engine's
// records: what comes after them is new. Times alone do not tell. Podman gives
// them to the second, the pieces of one long line have the time of the first
// for as long as it goes on, and records of the two streams may stand a little
// out of order.

const (
	// logSlack is how far out of order the engine's records are believed to
	// be: it stamps each stream on a thread of its own.
	logSlack = time.Second
	// maxTailLines bounds the lines of a file that are looked for.
	maxTailLines = 1 << 16
	// maxTailBytes bounds how much of a file is read for the last line of
	// each stream. A container that writes to one alone has no other.
	maxTailBytes = 4 << 20
)

var logSeed = maphash.MakeSeed()

// lineSum tells lines apart in eight bytes each.
func lineSum(l *logline.Record) uint64 {
	var h maphash.Hash
	h.SetSeed(logSeed)
	var head [10]byte
	binary.LittleEndian.PutUint64(head[:], uint64(l.Time().UnixNano()))
	head[8] = byte(l.Stream)
	if l.Partial {
		head[9] = 1
	}
	h.Write(head[:])
	h.Write(l.Text)
	return h.Sum64()
}

// logTail is the end of a log: since when the engine has to be asked, and the
// lines from then on, oldest first, as many as are kept.
type logTail struct {
	since time.Time // zero: all of it
	sums  []uint64
}

// tailScan makes a logTail from a log's lines, which it is given from the last
// one backwards.
type tailScan struct {
	since time.Time
	seen  [3]bool // by stream
	bytes int
	lines []scannedLine
	over  bool // no more lines are needed for the tail itself
}

type scannedLine struct {
	at  time.Time
	sum uint64
}

// add takes a line and reports whether it wants the one before.
func (s *tailScan) add(l *logline.Record, size int) bool {
	at := l.Time()
	if s.since.IsZero() {
		s.since = sinceFor(at)
	}
	if !s.seen[l.Stream] {
		s.seen[l.Stream] = true
		// The pieces still to come of a line that is not finished have the
		// time of its first one.
		if since := sinceFor(at); l.Partial && since.Before(s.since) {
			s.since, s.over = since, false
		}
	}
	if s.bytes += size; at.Before(s.since.Add(-logSlack)) {
		s.over = true
	}
	if len(s.lines) < maxTailLines {
		s.lines = append(s.lines, scannedLine{at, lineSum(l)})
	} else {
		s.over = true
	}
	both := s.seen[logline.Stdout] && s.seen[logline.Stderr]
	return !s.over || !both && s.bytes < maxTailBytes
}

// sinceFor is where to begin so that a line of this time, and what may stand
// out of order around it, is among the records on an engine that counts in
// whole seconds.
func sinceFor(at time.Time) time.Time { return at.Add(-logSlack).Truncate(time.Second) }

// tail returns what was scanned. Where the last line is later than now, the
// clock was turned back: what came after it has earlier times, and nothing but
// the whole of the engine's log is sure to hold that.
func (s *tailScan) tail(now time.Time) logTail {
	t := logTail{since: s.since}
	if s.since.After(now) {
		t.since = time.Time{}
	}
	for _, l := range slices.Backward(s.lines) {
		if !l.at.Before(t.since) {
			t.sums = append(t.sums, l.sum)
		}
	}
	return t
}

// tailSearch finds a log's tail among the engine's records.
type tailSearch struct {
	tail  []uint64
	fall  []int32  // the failure function of Knuth, Morris and Pratt
	state int      // how many lines of the tail the last records are
	count int      // records so far
	head  []uint64 // the first records, as many as the tail has lines
}

func newTailSearch(tail []uint64) *tailSearch {
	s := &tailSearch{tail: tail, fall: make([]int32, len(tail))}
	for i := 1; i < len(tail); i++ {
		s.fall[i] = int32(s.step(int(s.fall[i-1]), tail[i]))
	}
	return s
}

// step is how many lines of the tail match if n did before sum.
func (s *tailSearch) step(n int, sum uint64) int {
	for n > 0 && (n == len(s.tail) || s.tail[n] != sum) {
		n = int(s.fall[n-1])
	}
	if s.tail[n] == sum {
		n++
	}
	return n
}

// feed takes the next record and reports whether the whole tail was found.
func (s *tailSearch) feed(sum uint64) bool {
	if len(s.tail) == 0 {
		return true
	}
	s.count++
	if len(s.head) < len(s.tail) {
		s.head = append(s.head, sum)
	}
	s.state = s.step(s.state, sum)
	return s.state == len(s.tail)
}

// have is how many of the records stand in the file already. If the whole tail
// was not among them, the engine has dropped its oldest ones: then they begin
// somewhere in the tail, or after it, and what lay between is lost.
func (s *tailSearch) have() int {
	if len(s.tail) == 0 {
		return 0
	}
	if s.state == len(s.tail) {
		return s.count
	}
	if len(s.head) == 0 {
		return 0
	}
	// The longest end of the tail that the records begin with.
	begin := newTailSearch(s.head)
	n := 0
	for _, sum := range s.tail {
		n = begin.step(n, sum)
	}
	return n
}

// repeats recognises what an engine's followed stream gives a second time:
// Docker 20.10 may begin twice with the file that follows a rotation.
type repeats struct {
	last [3]lastRecord // by stream
	sums []uint64      // of the last records, a ring
	next int           // its oldest, once it is full
}

type lastRecord struct {
	at      time.Time
	partial bool
}

// maxRepeats is how many records are remembered. The second beginning comes a
// few milliseconds after the first.
const maxRepeats = 8 << 10

// again takes a record and reports whether it was given before.
//
// Only what is not later than the record before it is looked for. The pieces of
// a line have one time, and so have all lines of a second on an engine that
// counts in those.
func (s *repeats) again(l *logline.Record) bool {
	at, sum, last := l.Time(), lineSum(l), &s.last[l.Stream]
	exact := bytes.IndexByte(l.Stamp, '.') >= 0
	if at.Before(last.at) || at.Equal(last.at) && exact && !last.partial {
		if slices.Contains(s.sums, sum) {
			return true
		}
	}
	*last = lastRecord{at, l.Partial}
	if len(s.sums) < maxRepeats {
		s.sums = append(s.sums, sum)
		return false
	}
	s.sums[s.next] = sum
	s.next = (s.next + 1) % maxRepeats
	return false
}
