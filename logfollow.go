package dockpod

import (
	"context"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/versions"

	"github.com/dockpod/dockpod/internal/logline"
)

// followWatch ends a followed stream in which the engine is stuck. Docker 20.10
// waits there for the next rotation when it has compressed a rotated file, and
// goes on behind all that was written until then. Who asks anew in time loses
// nothing.
type followWatch struct {
	heard  atomic.Int64 // records of the stream
	newest atomic.Int64 // the latest of their times, in nanoseconds
}

// How often it is looked whether a silent stream is stuck, and how long a
// record may be on its way.
const (
	stuckFirst = time.Second
	stuckLimit = 5 * time.Second
	stuckGrace = time.Second
)

// getsStuck reports whether an engine of this API version gets stuck in a log.
func getsStuck(info container.InspectResponse, apiVersion string) bool {
	if info.HostConfig == nil || !versions.LessThan(apiVersion, "1.42") {
		return false
	}
	log := info.HostConfig.LogConfig
	switch compress := log.Config["compress"]; log.Type {
	case "json-file":
		return compress == "true"
	case "local":
		return compress != "false"
	}
	return false
}

// saw takes note of a record of the stream.
func (f *followWatch) saw(rec *logline.Record) {
	if at := rec.Time().UnixNano(); at > f.newest.Load() {
		f.newest.Store(at)
	}
	f.heard.Add(1)
}

// run calls cut, once, if the log has a last record that the stream lacks. last
// asks for its time.
func (f *followWatch) run(ctx context.Context, last func(context.Context) (time.Time, error), cut func()) {
	for wait := newBackoff(stuckFirst, stuckLimit); ; {
		heard := f.heard.Load()
		if wait.sleep(ctx) != nil {
			return
		}
		if f.heard.Load() != heard {
			wait = newBackoff(stuckFirst, stuckLimit)
			continue
		}
		newest := f.newest.Load()
		if newest == 0 { // a log without a record is not rotated
			continue
		}
		at, err := last(ctx)
		if err != nil || !at.After(time.Unix(0, newest)) {
			continue
		}
		if newBackoff(stuckGrace, stuckGrace).sleep(ctx) != nil {
			return
		}
		if f.heard.Load() == heard {
			cut()
			return
		}
	}
}

// lastLooked is how many records of a log's end are looked at. An engine counts
// those of both streams.
const lastLooked = 100

// lastRecordTime asks for the latest time at a log's end, of the streams that
// are wanted. The zero time is that of none.
func (r *Runtime) lastRecordTime(ctx context.Context, id string, tty, stdout, stderr bool) (at time.Time, err error) {
	ctx, end := r.begin(ctx, logOp, id)
	defer end(&err)
	stream, err := r.docker.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: stdout, ShowStderr: stderr, Timestamps: true, Tail: strconv.Itoa(lastLooked)})
	if err != nil {
		return at, classify(verbLogs, id, err)
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, func() { stream.Close() })()
	for records := newLogRecords(stream, tty, false, time.Time{}); ; {
		rec, err := records.next()
		if err == io.EOF {
			return at, nil
		}
		if err != nil {
			return at, classify(verbLogs, id, err)
		}
		if t := rec.Time(); t.After(at) {
			at = t
		}
	}
}
