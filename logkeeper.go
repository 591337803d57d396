package dockpod

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod/internal/logline"
)

// logKeeper writes the log file of one container on one goroutine, from the
// engine's stream. What it has to remember stands in the file: after whatever
// failure it closes the file and the stream, and begins again at the file's
// last line.
type logKeeper struct {
	r      *Runtime
	id     string
	tty    bool
	last   time.Time // when the container was last started; only run's goroutine knows
	sticks bool      // the engine may get stuck in the log; likewise
	watch  followWatch
	cancel context.CancelFunc
	begun  chan struct{} // closed when it is known how the first try went
	done   chan struct{} // closed when the goroutine has ended

	mu        sync.Mutex
	store     logStore
	cut       context.CancelFunc // ends the stream that is being read
	batch     []byte             // whole lines that are not in the file yet
	batchLast time.Time          // of the newest of them
	err       error              // why lines are missing from the file; nil: none are
	writeErr  bool               // err is the file's, not the engine's
	elsewhere bool               // another process writes the file
	made      bool               // there was no file
	wrote     bool               // since progressed was called
	news      []error            // noted, and not told yet
	telling   bool               // a goroutine is telling them, and will tell what comes meanwhile
	failed    error              // of the file that is open: its end is not known, and nothing more goes into it
	wanted    bool               // since it was last looked whether the container runs
	over      error              // why nothing opens the file any more; nil: the next try will
}

// maxLogBatch is how many bytes of lines go into the file at once.
const maxLogBatch = 32 << 10

// The pauses between tries to write a log.
const (
	logRetryFirst = 50 * time.Millisecond
	logRetryLimit = 5 * time.Second
	logBusyLimit  = time.Second
)

// run writes until the container has ended and its log is in the file, the
// container is gone, or the log cannot be read at all.
func (w *logKeeper) run(ctx context.Context) {
	defer w.started()
	defer w.end()
	wait := newBackoff(logRetryFirst, logRetryLimit)
	for ctx.Err() == nil {
		ended, err := w.try(ctx)
		if ctx.Err() != nil || ended && w.finished() {
			return
		}
		if ended {
			continue // it was started in place meanwhile
		}
		w.close()
		busy := errors.Is(err, errLogBusy)
		w.tried(err, busy)
		if isFinal(err) {
			return
		}
		if w.progressed() {
			wait = newBackoff(logRetryFirst, logRetryLimit)
		}
		if busy {
			wait.next = min(wait.next, logBusyLimit)
		}
		if wait.sleep(ctx) != nil {
			return
		}
	}
}

// goOn makes the writer look once more whether the container runs before it
// ends, and reports whether it will: it may have ended already.
func (w *logKeeper) goOn() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wanted = true
	return w.over != ErrNotRunning
}

// finished ends the writing of a container that has ended, unless somebody
// wants more of it.
func (w *logKeeper) finished() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wanted {
		return false
	}
	w.closeLocked()
	w.over = ErrNotRunning
	return true
}

// tried remembers how a try went.
func (w *logKeeper) tried(err error, busy bool) {
	w.mu.Lock()
	defer w.unlock()
	w.elsewhere = busy
	if err != nil && !busy && err != errLogShrank {
		w.noteLocked(err)
	}
	if isFinal(err) {
		w.over = &logFileError{err}
	}
	w.startedLocked()
}

// isFinal reports whether another try to write a log is of no use by itself.
// A caller who has changed something asks for it: a start, a reconciliation.
func isFinal(err error) bool {
	return errors.Is(err, ErrLogsUnreadable) || errors.Is(err, errNotOurLog)
}

// try writes for as long as it goes well. ended is set when there is nothing
// more to write, ever; err is nil if the engine ended the stream.
func (w *logKeeper) try(ctx context.Context) (ended bool, err error) {
	running, gone, err := w.look(ctx)
	if gone || err != nil {
		return gone, err
	}
	if err := w.open(); err != nil {
		return false, err
	}
	for {
		if !running {
			if err = w.copy(ctx, false); err == nil {
				w.note(nil)
			}
			return err == nil, err
		}
		if err = w.follow(ctx); err != nil {
			return false, err
		}
		// Docker 20.10 may end a stream without the last line of a container
		// that has ended, if it has no newline: what was read is read again.
		if running, gone, err = w.look(ctx); gone || err != nil || running {
			return gone, err
		}
	}
}

// open opens the file, unless somebody has meanwhile.
func (w *logKeeper) open() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.store.file != nil {
		return nil
	}
	if err := w.openLocked(); err != nil {
		return &logWriteError{err}
	}
	return nil
}

func (w *logKeeper) openLocked() error {
	made, err := w.store.open()
	w.made = w.made || made
	if err == nil {
		w.elsewhere = false
	}
	return err
}

// follow writes as long as the stream lasts, or until restart is called.
func (w *logKeeper) follow(ctx context.Context) error {
	stream, cut := context.WithCancel(ctx)
	defer cut()
	w.mu.Lock()
	w.cut = cut
	w.mu.Unlock()
	var watcher sync.WaitGroup
	if w.sticks {
		w.watch.newest.Store(0)
		watcher.Go(func() {
			w.watch.run(stream, func(ctx context.Context) (time.Time, error) {
				return w.r.lastRecordTime(ctx, w.id, w.tty, true, true)
			}, cut)
		})
	}
	err := w.copy(stream, true)
	w.mu.Lock()
	w.cut = nil
	w.mu.Unlock()
	stuck := stream.Err() != nil
	cut()
	watcher.Wait()
	if stuck && ctx.Err() == nil {
		return nil
	}
	return err
}

// reopen begins a new file where the old one was moved aside. Between two
// tries that is the file of the next one.
func (w *logKeeper) reopen() error {
	w.mu.Lock()
	defer w.unlock()
	if w.over != nil {
		return w.over
	}
	var err error
	if len(w.batch) > 0 { // else a flush tells nothing of the engine
		if err = w.flushLocked(); err != nil {
			w.noteLocked(err)
			if w.cut != nil {
				w.cut() // the lines come again with the next try
			}
		}
	}
	switch {
	case err != nil:
	case w.failed != nil:
		err = w.failed
	case w.store.file == nil:
		err = w.openLocked()
	default:
		err = w.store.reopen()
	}
	if err != nil {
		return &logFileError{err}
	}
	return nil
}

// look asks whether the container runs, and whether it is gone.
func (w *logKeeper) look(ctx context.Context) (running, gone bool, err error) {
	w.mu.Lock()
	w.wanted = false
	w.mu.Unlock()
	ctx, end := w.r.begin(ctx, "inspect container", w.id)
	defer end(&err)
	info, err := w.r.inspectAny(ctx, w.id)
	if errors.Is(err, ErrContainerNotFound) {
		return false, true, nil
	}
	if err != nil {
		return false, false, err
	}
	o := outcomeOf(info)
	w.last, w.sticks = o.started, getsStuck(info, w.r.docker.ClientVersion())
	return o.state == StateRunning, false, nil
}

// copy writes the engine's records that are not in the file yet, until the
// stream ends.
func (w *logKeeper) copy(ctx context.Context, follow bool) error {
	w.mu.Lock()
	tail, err := w.store.tail()
	w.mu.Unlock()
	if err != nil {
		return &logWriteError{err}
	}
	have, last, err := w.have(ctx, tail, !follow)
	if err != nil {
		return err
	}
	stream, err := w.stream(ctx, tail.since, follow)
	if err != nil {
		return err
	}
	defer stream.Close()
	w.started()
	records := newLogRecords(&flushBefore{stream, w}, w.tty, !follow, w.last)
	var given repeats
	for n := 0; ; {
		l, err := records.next()
		if err == io.EOF {
			if n < have {
				return errLogShrank
			}
			return w.flush()
		}
		if err != nil {
			return w.broken(err)
		}
		if follow && w.sticks {
			w.watch.saw(&l)
		}
		if l.Time().Before(tail.since) || follow && given.again(&l) {
			continue
		}
		if n++; n < have {
			continue
		} else if n == have {
			if lineSum(&l) != last {
				return errLogShrank
			}
			continue
		}
		if err := w.add(&l); err != nil {
			return err
		}
	}
}

// broken ends a stream that failed: the whole records before that count.
func (w *logKeeper) broken(err error) error {
	var write *logWriteError
	if errors.As(err, &write) {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	return classify(verbLogs, w.id, err)
}

// errLogShrank is an engine that dropped old records between two requests.
var errLogShrank = &classified{ErrBadAnswer, "the engine's log has changed while it was read"}

// have asks how many of the records since tail.since stand in the file, and
// for the sum of the last of them. final says that the log will not grow.
func (w *logKeeper) have(ctx context.Context, tail logTail, final bool) (n int, last uint64, err error) {
	if len(tail.sums) == 0 {
		return 0, 0, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.stream(ctx, tail.since, false)
	if err != nil {
		return 0, 0, err
	}
	defer stream.Close()
	records := newLogRecords(stream, w.tty, final, w.last)
	search := newTailSearch(tail.sums)
	for {
		l, err := records.next()
		if err == io.EOF {
			n := search.have()
			if n > 0 {
				last = search.head[n-1]
			} else {
				w.r.opts.logger.Warn("the engine has dropped lines before they were in the log file", slog.String("id", w.id))
			}
			return n, last, nil
		}
		if err != nil {
			return 0, 0, classify(verbLogs, w.id, err)
		}
		if l.Time().Before(tail.since) {
			continue
		}
		if sum := lineSum(&l); search.feed(sum) {
			return search.have(), sum, nil
		}
	}
}

// stream asks for the container's log.
func (w *logKeeper) stream(ctx context.Context, since time.Time, follow bool) (io.ReadCloser, error) {
	opts := container.LogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: follow}
	if !since.IsZero() {
		opts.Since = since.Format(time.RFC3339Nano)
	}
	stream, err := w.r.docker.ContainerLogs(ctx, w.id, opts)
	if err != nil {
		return nil, classify(verbLogs, w.id, err)
	}
	// A client of the engine need not notice the context's end while a stream
	// is read.
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	return &stoppingStream{stream, stop}, nil
}

// stoppingStream is closed by its context, or by its reader.
type stoppingStream struct {
	io.ReadCloser
	stop func() bool
}

func (s *stoppingStream) Close() error {
	s.stop()
	return s.ReadCloser.Close()
}

// flushBefore writes what there is before it waits for more of the stream.
type flushBefore struct {
	src io.Reader
	w   *logKeeper
}

func (f *flushBefore) Read(b []byte) (int, error) {
	if err := f.w.flush(); err != nil {
		return 0, err
	}
	return f.src.Read(b)
}

// add puts a line into the batch.
func (w *logKeeper) add(l *logline.Record) error {
	w.mu.Lock()
	defer w.unlock()
	before := len(w.batch)
	w.batch = logline.AppendRecord(w.batch, l)
	if limit := w.batchLimit(); len(w.batch) > limit && before > 0 {
		// The line goes into the next batch, and perhaps the next file.
		line := w.batch[before:]
		w.batch = w.batch[:before]
		if err := w.flushLocked(); err != nil {
			return err
		}
		w.batch = append(w.batch[:0], line...)
	}
	if at := l.Time(); at.After(w.batchLast) {
		w.batchLast = at
	}
	return nil
}

func (w *logKeeper) batchLimit() int {
	if w.store.maxSize > 0 {
		return int(min(maxLogBatch, w.store.maxSize))
	}
	return maxLogBatch
}

func (w *logKeeper) flush() error {
	w.mu.Lock()
	defer w.unlock()
	return w.flushLocked()
}

func (w *logKeeper) flushLocked() error {
	wrote := len(w.batch) > 0
	if wrote && w.failed == nil {
		w.failed = w.store.append(w.batch, w.batchLast)
	}
	w.batch, w.batchLast = w.batch[:0], time.Time{}
	if w.failed != nil {
		return &logWriteError{w.failed}
	}
	w.wrote = w.wrote || wrote
	if w.err != nil && (wrote || !w.writeErr) {
		w.noteLocked(nil)
	}
	return nil
}

// logWriteError is a failure of the file and not of the engine.
type logWriteError struct{ err error }

func (e *logWriteError) Error() string { return e.err.Error() }
func (e *logWriteError) Unwrap() error { return e.err }

// note remembers why lines are missing, or that none are, and tells it once.
func (w *logKeeper) note(err error) {
	w.mu.Lock()
	defer w.unlock()
	w.noteLocked(err)
}

func (w *logKeeper) noteLocked(err error) {
	if err == nil && w.err == nil {
		return
	}
	first := w.err == nil
	var write *logWriteError
	w.err, w.writeErr = err, errors.As(err, &write)
	if err == nil || first {
		w.news = append(w.news, err)
	}
}

// unlock releases mu after something may have been noted, and tells it. The
// lock is not held meanwhile: who is told may call the Runtime, or be slow.
func (w *logKeeper) unlock() {
	if !w.telling {
		w.telling = true
		for len(w.news) > 0 {
			err := w.news[0]
			w.news = w.news[1:]
			w.mu.Unlock()
			w.tell(err)
			w.mu.Lock()
		}
		w.telling = false
	}
	w.mu.Unlock()
}

// tell says why lines are missing, or that none are any more.
func (w *logKeeper) tell(err error) {
	if err == nil {
		w.r.opts.logger.Info("log file is written again", slog.String("id", w.id))
	}
	if f := w.r.opts.logFiles.OnError; f != nil {
		if err != nil {
			err = &Error{"write log of container", w.id, &logFileError{err}}
		}
		f(w.id, err)
	} else if err != nil {
		w.r.opts.logger.Warn("log file cannot be written", slog.String("id", w.id), slog.Any("err", err))
	}
}

// started tells those who wait for the first try.
func (w *logKeeper) started() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.startedLocked()
}

func (w *logKeeper) startedLocked() {
	select {
	case <-w.begun:
	default:
		close(w.begun)
	}
}

// close drops what could not be written, which the engine still has, and
// releases the file.
func (w *logKeeper) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closeLocked()
}

func (w *logKeeper) closeLocked() {
	w.batch, w.batchLast, w.failed = nil, time.Time{}, nil
	w.store.close()
}

// errLogKeeperEnded is a writer that was ended by the Runtime: with it, or
// because the container was removed.
var errLogKeeperEnded = errors.New("nothing writes it any more")

// end is the last close.
func (w *logKeeper) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closeLocked()
	if w.over == nil {
		w.over = &logFileError{errLogKeeperEnded}
	}
}

// restart ends the stream: the writer looks again whether the container runs,
// and goes on at the file's end.
func (w *logKeeper) restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut != nil {
		w.cut()
	}
}

// moved reports whether the file that is being written is not the one at the
// log's path any more.
func (w *logKeeper) moved() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.store.file != nil && w.store.moved()
}

// progressed reports whether lines were written since the last call.
func (w *logKeeper) progressed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	wrote := w.wrote
	w.wrote = false
	return wrote
}

// isNew reports whether there was no file.
func (w *logKeeper) isNew() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.made
}

// problem returns why lines are missing from the file.
func (w *logKeeper) problem() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		return nil
	}
	return &logFileError{w.err}
}

// drain waits until the log of a container that has ended is in the file, at
// most for logDrainTime. It does not wait for what is failing, or is written
// by another process.
func (w *logKeeper) drain(ctx context.Context) {
	limit := time.NewTimer(logDrainTime)
	defer limit.Stop()
	late := time.NewTimer(logDrainTime / 5)
	defer late.Stop()
	for {
		w.mu.Lock()
		hopeless := w.err != nil || w.elsewhere
		w.mu.Unlock()
		if hopeless {
			return
		}
		select {
		case <-w.done:
			return
		case <-late.C:
			w.restart() // the engine holds the stream although it ends with the container
		case <-limit.C:
			w.r.opts.logger.Warn("log of an ended container is not in its file yet", slog.String("id", w.id))
			return
		case <-ctx.Done():
			return
		}
	}
}

// logDrainTime is how long a status waits for the log of a container that has
// ended.
const logDrainTime = 5 * time.Second
