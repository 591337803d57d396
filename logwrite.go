package dockpod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/docker/docker/api/types/container"
)

// LogFileOptions says how [WithLogFiles] writes logs. The zero value is usable.
type LogFileOptions struct {
	// MaxSize is how many bytes a log file may have before it is rotated:
	// renamed to its name, a dot, and the time of its last line
	// ("0.log.20060102-150405.000000000", in UTC). A file exceeds it only by
	// a single line that is longer. Zero: dockpod rotates nothing, which is
	// right where a kubelet does, by [Runtime.ReopenContainerLog].
	MaxSize int64
	// MaxFiles is how many files a log may have, the one that is being
	// written included; the oldest are removed. Zero means 5, and 1 is
	// refused: a writer that starts again reads where it was from the file
	// before. Only files of the names above are counted and removed.
	MaxFiles int
	// OnError, if not nil, is called when the log of a container with this ID
	// cannot be written, with an [*Error] that is [ErrLogFile], and once more
	// with nil when it is written again. Until then the writer keeps trying.
	// It may be called by several goroutines at once, but for one container
	// in order, one call after the other. It may call the Runtime and must not
	// block: that log is not written meanwhile. So it must not remove the
	// container or close the Runtime, which wait for the writer. The default
	// logs it.
	OnError func(id string, err error)
}

// DefaultMaxLogFiles is how many files a log has at most if
// [LogFileOptions].MaxFiles is zero.
const DefaultMaxLogFiles = 5

// WithLogFiles makes the Runtime write the logs of its containers itself, as
// files in CRI's format, instead of links to the engine's files:
//
//	2006-01-02T15:04:05.999999999Z stdout F a line
//	2006-01-02T15:04:05.999999999Z stderr P the first 16 KiB of a long one
//
// That is what the kubelet and log collectors read. It works with every log
// driver whose logs the engine gives back, which is all but "none". The
// engine still keeps its own copy until the container is removed: bound it by
// [ContainerConfig].LogConfig, generously, since it has to hold what is
// written while the agent is away. Docker 20.10 leaves lines out, here and
// wherever its API is followed, when it rotates a log many times a second.
//
// [Runtime.StartContainer] begins to write a container's log, and
// [Runtime.ReconcileLogLinks] goes on with all of them; an agent calls that
// when it starts. Nothing is lost or written twice by being killed: the writer
// reads the end of the file, cuts off a line that is not whole, and finds its
// place in the engine's log. Lines are in the engine's order; a line that a
// container left unfinished when it ended is a P. The lines of a terminal keep
// the carriage return at their end, and all are stdout.
//
// The status of a container that has ended waits until its log is complete,
// and so do [Runtime.Wait], [Runtime.StopContainer] and who reads the file by
// [Runtime.ContainerLogs]; a list does not.
//
// Each running container has one goroutine and one stream, until it ends or
// the Runtime is closed; a second goroutine where an engine before API 1.42
// compresses the log, for its streams get stuck then. A file is locked while
// it is written: a second process with the same containers waits until the
// first has ended, and then takes over.
//
// What stands at a log's path and is no log in this format is never written to
// or removed, nor is a link followed; a link to an engine's log is replaced.
//
// The option needs locks that end with the process, which Windows lacks.
func WithLogFiles(o LogFileOptions) Option { return func(opts *options) { opts.logFiles = &o } }

// check refuses what cannot be, and fills in the defaults.
func (o *LogFileOptions) check() error {
	switch {
	case !canLock:
		return &UnsupportedError{"WithLogFiles", "this platform has no file locks that end with their process"}
	case o.MaxSize < 0:
		return &FieldError{"LogFileOptions.MaxSize", "is negative"}
	case o.MaxFiles < 0 || o.MaxFiles == 1:
		return &FieldError{"LogFileOptions.MaxFiles", fmt.Sprintf("%d; want at least 2", o.MaxFiles)}
	}
	o.MaxFiles = cmp.Or(o.MaxFiles, DefaultMaxLogFiles)
	return nil
}

// logFileError is a log that cannot be written.
type logFileError struct{ err error }

func (e *logFileError) Error() string { return ErrLogFile.Error() + ": " + e.err.Error() }

// Unwrap keeps the file system's or the engine's error reachable.
func (e *logFileError) Unwrap() []error { return []error{ErrLogFile, e.err} }

// logKeepers are the writers of a Runtime, by container.
type logKeepers struct {
	mu     sync.Mutex
	closed bool
	byID   map[string]*logKeeper
}

var errRuntimeClosed = errors.New("the runtime is closed")

// ensure returns the writer of a container's log and whether it was begun just
// now. One that has given up begins again. runs says that the container does:
// it may have been started in place while its writer is about to end.
func (l *logKeepers) ensure(r *Runtime, info container.InspectResponse, want linkWant, runs bool) (w *logKeeper, begun bool, err error) {
	for {
		w, begun, err = l.get(r, info, want)
		if err != nil || begun || !runs || w.goOn() {
			return w, begun, err
		}
		l.forget(w)
	}
}

// get returns the writer that there is, or begins one.
func (l *logKeepers) get(r *Runtime, info container.InspectResponse, want linkWant) (w *logKeeper, begun bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, false, &logFileError{errRuntimeClosed}
	}
	if w := l.byID[info.ID]; w != nil && !isDone(w.done) {
		return w, false, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	w = &logKeeper{
		r: r, id: info.ID, tty: info.Config.Tty, cancel: cancel,
		begun: make(chan struct{}), done: make(chan struct{}),
		store: logStore{
			dir: want.dir, rel: want.rel, maxSize: r.opts.logFiles.MaxSize, maxFiles: r.opts.logFiles.MaxFiles,
			isLink: func(target string) bool {
				return len(containersIn(target)) > 0 || dangles(want.dir, want.rel, target)
			},
		},
	}
	if l.byID == nil {
		l.byID = map[string]*logKeeper{}
	}
	l.byID[info.ID] = w
	go func() {
		defer cancel()
		w.run(ctx)
		l.leave(w)
	}()
	return w, true, nil
}

// leave forgets a writer that has ended well. Another one stays, to tell what
// was wrong.
func (l *logKeepers) leave(w *logKeeper) {
	if w.problem() == nil {
		l.forget(w)
	}
	close(w.done)
}

func (l *logKeepers) forget(w *logKeeper) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID[w.id] == w {
		delete(l.byID, w.id)
	}
}

func (l *logKeepers) of(id string) *logKeeper {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id]
}

// end ends the writer of a container that is gone.
func (l *logKeepers) end(id string) {
	l.mu.Lock()
	w := l.byID[id]
	delete(l.byID, id)
	l.mu.Unlock()
	if w != nil {
		w.cancel()
		<-w.done
	}
}

// prune forgets the failures of containers that are not among ids.
func (l *logKeepers) prune(ids map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, w := range l.byID {
		if !ids[id] && isDone(w.done) {
			delete(l.byID, id)
		}
	}
}

// close ends all writers, and lets no more begin.
func (l *logKeepers) close() {
	l.mu.Lock()
	l.closed = true
	all := l.byID
	l.byID = nil
	l.mu.Unlock()
	for _, w := range all {
		w.cancel()
	}
	for _, w := range all {
		<-w.done
	}
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// writeLog makes sure that a container's log is being written, if it wants
// one, and returns why it cannot be. runs says that the container does, which
// info may not know yet.
func (r *Runtime) writeLog(ctx context.Context, info container.InspectResponse, runs bool) (w *logKeeper, begun bool, err error) {
	want := linkOf(info)
	if want.dir == "" || want.rel == "" {
		return nil, false, nil
	}
	w, begun, err = r.logKeepers.ensure(r, info, want, runs)
	if err != nil {
		return nil, false, err
	}
	if !begun && w.moved() {
		w.restart() // somebody has removed the file, or put another in its place
	}
	select {
	case <-w.begun:
		return w, begun, w.problem()
	case <-ctx.Done():
		return w, begun, ctx.Err() // it goes on by itself
	}
}

// drainLog waits, for a bounded time, until the log of a container that has
// ended is in its file.
func (r *Runtime) drainLog(ctx context.Context, id string) {
	if r.opts.logFiles == nil {
		return
	}
	if w := r.logKeepers.of(id); w != nil {
		w.drain(ctx)
	}
}

// logProblem tells why the log of a container is not being written.
func (r *Runtime) logProblem(id string) error {
	if r.opts.logFiles == nil {
		return nil
	}
	if w := r.logKeepers.of(id); w != nil {
		return w.problem()
	}
	return nil
}

// removeLogFile removes the log file of a container that is gone.
func (r *Runtime) removeLogFile(info container.InspectResponse, want linkWant) error {
	if r.opts.logFiles == nil {
		return nil
	}
	r.logKeepers.end(info.ID)
	s := stateFromInspect(info, func(string) {})
	l := life{created: s.created, finished: stateOf(s).finished}
	err := (&logStore{dir: want.dir, rel: want.rel}).remove(l)
	if errors.Is(err, errNotOurLog) {
		r.opts.logger.Debug("log path is not this container's file", slog.String("id", info.ID), slog.Any("err", err))
		return nil
	}
	return err
}

// ReopenContainerLog begins a new log file of a running container: its caller,
// the kubelet for example, has renamed the one at its LogPath. What was
// written until then is in the renamed file, and later lines go into the new
// one. If nothing was renamed it does nothing.
//
// The error is [ErrUnsupported] without [WithLogFiles], and for a container
// without a log path, [ErrNotRunning] if the container does not run, and
// [ErrLogFile] if there is no new file; then the renamed one is written on.
func (r *Runtime) ReopenContainerLog(ctx context.Context, id string) (err error) {
	ctx, end := r.begin(ctx, "reopen container log", id)
	defer end(&err)
	if r.err == nil && r.opts.logFiles == nil {
		return &UnsupportedError{"ReopenContainerLog", "the engine writes and rotates its own file, to which the log path is a link; see WithLogFiles"}
	}
	info, err := r.inspect(ctx, id, TypeContainer)
	if err != nil {
		return err
	}
	if outcomeOf(info).state != StateRunning {
		return ErrNotRunning
	}
	want := linkOf(info)
	if want.dir == "" || want.rel == "" {
		return &UnsupportedError{"ReopenContainerLog", "the container has no log path"}
	}
	w, _, err := r.logKeepers.ensure(r, info, want, true)
	if err != nil {
		return err
	}
	select {
	case <-w.begun:
	case <-ctx.Done():
		return ctx.Err()
	}
	return w.reopen()
}

// reconcileLogFiles goes on writing the logs of all containers in wants, of
// those that claim one path the one that planLinks chooses.
func (r *Runtime) reconcileLogFiles(ctx context.Context, infos []container.InspectResponse, wants []linkWant) LinkReport {
	ids := make(map[string]bool, len(wants))
	candidates := slices.Clone(wants)
	for i, w := range wants {
		ids[w.ID] = true
		candidates[i].target = "" // no file is wanted
		if w.ran() {
			candidates[i].target = w.rel
		}
	}
	r.logKeepers.prune(ids)
	plan := planLinks(candidates)
	var (
		mu     sync.Mutex
		report LinkReport
	)
	each(len(plan), func(i int) {
		at := slices.IndexFunc(wants, func(w linkWant) bool { return w.ID == plan[i].ID })
		w, begun, err := r.writeLog(ctx, infos[at], wants[at].running)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			report.Problems = append(report.Problems, &Error{"reconcile log file", plan[i].ID, err})
		case begun && w.isNew():
			report.Made++
		default:
			report.Kept++
		}
		if begun && err == nil {
			report.Resumed++
		}
	})
	return report
}
