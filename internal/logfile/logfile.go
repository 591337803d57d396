package logfile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dockpod/dockpod/internal/logline"
)

// Query selects records.
type Query struct {
	Tail         int  // the last lines of those that the rest selects
	All          bool // Tail is not set
	Since, Until time.Time
	Stdout       bool
	Stderr       bool

	// Ended, if it is not nil, makes Read wait for more, until it is closed
	// and nothing more comes.
	Ended <-chan struct{}
}

// wants reports whether a record's stream is asked for.
func (q *Query) wants(s logline.Stream) bool {
	if s == logline.Stderr {
		return q.Stderr
	}
	return q.Stdout
}

// only returns the one stream that is asked for; zero if both are.
func (q *Query) only() logline.Stream {
	switch {
	case q.Stdout && q.Stderr:
		return 0
	case q.Stderr:
		return logline.Stderr
	}
	return logline.Stdout
}

// keeps reports whether a record is selected, and whether none that is comes
// after it.
func (q *Query) keeps(rec *logline.Record) (keep, done bool) {
	if !q.Since.IsZero() || !q.Until.IsZero() {
		t := rec.Time()
		if !q.Until.IsZero() && t.After(q.Until) {
			return false, t.After(q.Until.Add(disorder))
		}
		if t.Before(q.Since) {
			return false, false
		}
	}
	return q.wants(rec.Stream), false
}

// A Sink takes what was read.
type Sink interface {
	// Put takes a record that is valid until it returns.
	Put(*logline.Record) error
	// Flush is called when there is no more for now.
	Flush() error
}

// How long a follower waits before it looks again. The wait grows while
// nothing happens; it is the longest time for which a rotated log has to keep
// a line.
const (
	firstPause = time.Millisecond
	longPause  = 100 * time.Millisecond
	quiet      = 50 * time.Millisecond // how long nothing may come after the end
)

// Read gives the records of the log at path to sink. An error of the sink ends
// it and is returned as it is.
func Read(ctx context.Context, path string, q Query, sink Sink) error {
	t := &tailer{path: realPath(path), q: q, sink: sink}
	if q.Ended == nil && q.Until.IsZero() { // else every record tells how far it is
		t.r.only = q.only()
	}
	defer t.close()
	pos, err := t.begin(ctx)
	if err != nil {
		return err
	}
	if err := t.open(ctx, pos); err != nil {
		return err
	}
	return t.run(ctx)
}

// realPath resolves links: the older files stand beside the file, not beside a
// link to it.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// tailer reads a log's files one after the other.
type tailer struct {
	path  string
	q     Query
	sink  Sink
	queue []*generation // queue[0] is being read; the last one is, or was, the one that is written
	r     reader
	print []byte // what stands before r.pos
	stamp []byte // of the last record that was read
	past  bool   // a record later than Until was read
}

func (t *tailer) close() { closeAll(t.queue) }

// begin opens the log's files and returns where to begin in the first that is
// of interest. If one is cut meanwhile it looks again.
func (t *tailer) begin(ctx context.Context) (pos int64, err error) {
	for range openTries {
		t.close()
		if t.queue, err = openAll(ctx, t.path); err != nil {
			return 0, err
		}
		if pos, err = t.locate(ctx); err != io.ErrUnexpectedEOF {
			break
		}
	}
	return pos, err
}

// locate drops the files that hold nothing of interest and returns where to
// begin in the first that stays.
func (t *tailer) locate(ctx context.Context) (int64, error) {
	newest := len(t.queue) - 1
	if !t.q.All && t.q.Tail <= 0 {
		t.drop(newest)
		return t.lineStart(ctx, t.queue[0])
	}
	first, pos := 0, int64(0)
	if !t.q.Since.IsZero() {
		var err error
		if first, pos, err = t.locateSince(ctx); err != nil {
			return 0, err
		}
	}
	if t.q.All {
		t.drop(first)
		return pos, nil
	}
	count := tailCount{want: t.q.Tail, only: t.q.only(), keep: func(rec *logline.Record) bool {
		keep, _ := t.q.keeps(rec)
		return keep
	}}
	for i := newest; i >= first; i-- {
		g := t.queue[i]
		if err := g.content(ctx); err != nil {
			return 0, err
		}
		if i == first {
			count.from = pos
		}
		at, found, err := count.start(ctx, g.plain, g.size)
		if err != nil {
			return 0, err
		}
		if t.q.Ended == nil {
			slices.Reverse(count.places)
			g.places = count.places
		}
		if found {
			t.drop(i)
			return at, nil
		}
	}
	t.drop(first)
	return pos, nil
}

// drop closes the n oldest files.
func (t *tailer) drop(n int) {
	closeAll(t.queue[:n])
	t.queue = t.queue[n:]
}

// lineStart returns where the line begins that is being written.
func (t *tailer) lineStart(ctx context.Context, g *generation) (int64, error) {
	return lastNewline(ctx, g.plain, make([]byte, pieceLen), g.size)
}

// locateSince finds the file and the place in it from which on all records
// have to be looked at.
func (t *tailer) locateSince(ctx context.Context) (index int, pos int64, err error) {
	starts := make([]time.Time, len(t.queue))
	for i, g := range t.queue {
		if starts[i], err = g.begins(ctx); err != nil {
			return 0, 0, err
		}
	}
	from := t.q.Since.Add(-disorder)
	var before time.Time
	for i, at := range starts {
		if at.IsZero() {
			continue // an empty file
		}
		if at.Before(before.Add(-disorder)) {
			return 0, 0, nil // the clock was turned back
		}
		before = at
		if at.Before(from) {
			index = i
		}
	}
	g := t.queue[index]
	if err := g.content(ctx); err != nil {
		return 0, 0, err
	}
	pos, err = sinceStart(ctx, g.plain, g.size, t.q.Since)
	return index, pos, err
}

// begins returns the time of a file's first record, or zero if it has none.
func (g *generation) begins(ctx context.Context) (time.Time, error) {
	if err := g.content(ctx); err != nil {
		return time.Time{}, err
	}
	at, _, err := timeAfter(ctx, g.plain, &reader{buf: make([]byte, pieceLen)}, 0, g.size)
	if err == io.EOF {
		err = nil
	}
	return at, err
}

// open begins to read queue[0] at pos.
func (t *tailer) open(ctx context.Context, pos int64) error {
	g := t.queue[0]
	if err := g.content(ctx); err != nil {
		return err
	}
	end := int64(-1)
	if t.q.Ended == nil {
		end = g.size
	}
	before, _ := slices.BinarySearch(g.places, pos)
	t.r.places = g.places[before:]
	t.r.reset(g.plain, pos, end)
	t.remember()
	return nil
}

// run reads until the log's end, and on if it is followed.
func (t *tailer) run(ctx context.Context) error {
	err := t.read(ctx)
	if err == errDone {
		err = nil
	}
	if err != nil && ctx.Err() == nil {
		return err
	}
	if flushed := t.sink.Flush(); err == nil {
		err = flushed
	}
	return err
}

func (t *tailer) read(ctx context.Context) error {
	pause := firstPause
	var still time.Duration // for how long nothing came after the end
	for fresh := true; ; {
		if t.q.Ended != nil && !fresh && len(t.queue) == 1 {
			// Before it is read: what stands there may be another log.
			moved, err := t.look(ctx)
			if err != nil {
				return err
			}
			if moved {
				pause, still = firstPause, 0
			}
		}
		some, err := t.drain(ctx)
		if err != nil {
			return err
		}
		if some {
			pause, still = firstPause, 0
		}
		if fresh = len(t.queue) > 1; fresh {
			t.drop(1)
			if err := t.open(ctx, 0); err != nil {
				return err
			}
			continue
		}
		if t.q.Ended == nil {
			return nil
		}
		if err := t.sink.Flush(); err != nil {
			return err
		}
		if ended := isClosed(t.q.Ended); ended || t.past {
			if still >= disorder || ended && still >= quiet {
				return nil
			}
			still += pause
		}
		if err := t.wait(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, longPause)
	}
}

// errDone is what the last record asked for comes back as.
var errDone = errors.New("read enough")

// drain reads what there is of the current file, and tells whether it is
// anything.
func (t *tailer) drain(ctx context.Context) (some bool, err error) {
	var rec logline.Record
	for {
		err := t.r.next(ctx, &rec)
		if err == io.EOF {
			break
		}
		if err != nil {
			return some, err
		}
		some = true
		keep, done := t.q.keeps(&rec)
		if done {
			return some, errDone
		}
		if t.q.Ended != nil {
			t.stamp = append(t.stamp[:0], rec.Stamp...)
			t.past = t.past || !t.q.Until.IsZero() && rec.Time().After(t.q.Until)
		}
		if keep {
			if err := t.sink.Put(&rec); err != nil {
				return some, err
			}
		}
	}
	if some {
		t.remember()
	}
	return some, nil
}

// printLen is how much of a file tells it from another: the end of a record,
// with its time to the nanosecond.
const printLen = 96

// remember keeps what stands before the place that was reached.
func (t *tailer) remember() {
	if t.q.Ended == nil {
		return
	}
	n := min(printLen, t.r.pos)
	t.print = slices.Grow(t.print[:0], printLen)[:n]
	if got, err := t.r.src.ReadAt(t.print, t.r.pos-n); int64(got) < n && err != nil {
		t.print = t.print[:0]
	}
}

// holdsPlace reports whether src has what was read up to pos.
func (t *tailer) holdsPlace(src io.ReaderAt, pos int64) bool {
	have := make([]byte, len(t.print))
	n, _ := src.ReadAt(have, pos-int64(len(have)))
	return n == len(t.print) && bytes.Equal(have, t.print)
}

// look finds out whether the file that is read is still the one that is
// written, and goes on in others if it is not.
func (t *tailer) look(ctx context.Context) (moved bool, err error) {
	info, err := os.Stat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // in the middle of a rotation, or removed
	}
	if err != nil {
		return false, err
	}
	current := t.queue[0]
	if os.SameFile(info, current.info) {
		if info.Size() >= t.r.pos && t.holdsPlace(current.plain, t.r.pos) {
			return false, nil
		}
		// It was cut, and may have grown again. If somebody made a copy
		// before, what was not read stands there.
		return t.reopen(ctx, nil)
	}
	// Renamed: the writer has gone on to another, and what it wrote to this
	// one is there.
	if _, err := t.drain(ctx); err != nil {
		return false, err
	}
	return t.reopen(ctx, current.info)
}

// reopen opens the log's files again and goes on behind what was read. That
// file is known by its identity, or, if it was copied or compressed, by what
// stands at the place that was reached.
func (t *tailer) reopen(ctx context.Context, read fs.FileInfo) (bool, error) {
	gens, err := openAll(ctx, t.path)
	if errors.Is(err, fs.ErrNotExist) || err == errMoved {
		return false, nil // look again later
	}
	if err != nil {
		return false, err
	}
	next, pos := t.place(ctx, gens, read)
	if next == len(gens) {
		closeAll(gens) // renamed back
		return false, nil
	}
	closeAll(gens[:next])
	t.drop(len(t.queue))
	t.queue = gens[next:]
	return true, t.open(ctx, pos)
}

// place returns in which of the files to go on, and where.
func (t *tailer) place(ctx context.Context, gens []*generation, read fs.FileInfo) (index int, pos int64) {
	for i, g := range gens {
		if read != nil && os.SameFile(g.info, read) {
			return i + 1, 0
		}
	}
	if len(t.print) > 0 {
		for i, g := range gens {
			if g.content(ctx) == nil && g.size >= t.r.pos && t.holdsPlace(g.plain, t.r.pos) {
				return i, t.r.pos
			}
		}
	}
	if len(t.stamp) == 0 && !t.q.All && t.q.Tail <= 0 {
		return len(gens) - 1, 0 // the older ones were not asked for
	}
	// It is gone. What is left was written later, unless it does not look so.
	last := (&logline.Record{Stamp: t.stamp}).Time()
	for i, g := range gens[:len(gens)-1] {
		if at, err := g.begins(ctx); err == nil && !at.Before(last) {
			return i, 0
		}
	}
	return len(gens) - 1, 0
}

// wait pauses before the next look.
func (t *tailer) wait(ctx context.Context, d time.Duration) error {
	ended := t.q.Ended
	if isClosed(ended) {
		ended = nil // a grace for the last lines
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Readable tells why the log at path cannot be opened, or its older files not
// be found: an engine's directory may be open to a group that may not list it.
func Readable(path string) error {
	g, err := openFile(path)
	if err != nil {
		return err
	}
	g.close()
	_, err = older(realPath(path))
	return err
}

// ErrTooLong is a line of JSON of more than [MaxLine] bytes in a stream: which
// output it is of stands at its end.
var ErrTooLong = errors.New("line of more than 1 MiB")

// Scan gives the records of a stream to sink, which it does not flush. A line
// that is not finished at the end counts.
func Scan(src io.Reader, sink Sink) error {
	var (
		parser logline.Parser
		rec    logline.Record
		long   *logline.Long // the line that is being given in pieces
		lines  = bufio.NewReaderSize(src, MaxLine)
	)
	for {
		line, err := lines.ReadSlice('\n')
		more := err == bufio.ErrBufferFull
		if err != nil && err != io.EOF && !more {
			return err
		}
		if !more {
			line = bytes.TrimSuffix(line, []byte{'\n'})
		}
		switch {
		case long != nil:
			rec = long.Piece(line, !more)
			if err := sink.Put(&rec); err != nil {
				return err
			}
		case !more:
			if parser.Parse(line, &rec) == nil {
				if err := sink.Put(&rec); err != nil {
					return err
				}
			}
		case leadingNULs(line) == len(line):
			continue
		default:
			l, ok := logline.Outline(line[:outlineLen], nil)
			if !ok {
				return ErrTooLong
			}
			long = &l
			rec = long.Piece(line[l.Start:], false)
			if err := sink.Put(&rec); err != nil {
				return err
			}
		}
		if !more {
			long = nil
		}
		if err == io.EOF {
			return nil
		}
	}
}
