package dockpod

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

// message decodes a line of a report.
func message(t testing.TB, line string) pullMessage {
	t.Helper()
	var m pullMessage
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return m
}

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(seconds float64) time.Time {
	return epoch.Add(time.Duration(seconds * float64(time.Second)))
}

// trackerStep is a line of a report, and what is known after it.
type trackerStep struct {
	line           string
	phase          PullPhase
	layers         []LayerProgress
	current, total int64
	old            bool // the line says nothing new
}

// What the engines report, each beside what is made of it.
func TestPullTracker(t *testing.T) {
	type layers = []LayerProgress
	queued := LayerProgress{ID: "a1", Phase: PullWaiting}
	for _, tt := range []struct {
		name  string
		steps []trackerStep
	}{
		{name: "Docker's own store", steps: []trackerStep{
			{line: `{"status":"Pulling from library/busybox","id":"1.36"}`, phase: PullWaiting},
			{line: `{"status":"Pulling fs layer","progressDetail":{},"id":"a1"}`, phase: PullWaiting, layers: layers{queued}},
			{line: `{"status":"Waiting","progressDetail":{},"id":"a1"}`, phase: PullWaiting, layers: layers{queued}},
			{line: `{"status":"Already exists","progressDetail":{},"id":"b2"}`, phase: PullWaiting,
				layers: layers{queued, {ID: "b2", Phase: PullDone, Done: true}}},
			{line: `{"status":"Downloading","progressDetail":{"current":300,"total":1000},"progress":"[=>  ]","id":"a1"}`, phase: PullDownloading,
				layers: layers{{ID: "a1", Phase: PullDownloading, Current: 300, Total: 1000}, {ID: "b2", Phase: PullDone, Done: true}}, current: 300, total: 1000},
			{line: `{"status":"Downloading","progressDetail":{"current":300,"total":1000},"progress":"[=>  ]","id":"a1"}`, phase: PullDownloading,
				layers: layers{{ID: "a1", Phase: PullDownloading, Current: 300, Total: 1000}, {ID: "b2", Phase: PullDone, Done: true}}, current: 300, total: 1000, old: true},
			{line: `{"status":"Retrying in 5 seconds","progressDetail":{},"id":"a1"}`, phase: PullWaiting,
				layers: layers{{ID: "a1", Phase: PullWaiting, Current: 300, Total: 1000}, {ID: "b2", Phase: PullDone, Done: true}}, current: 300, total: 1000},
			{line: `{"status":"Downloading","progressDetail":{"current":10,"total":1000},"id":"a1"}`, phase: PullDownloading,
				layers: layers{{ID: "a1", Phase: PullDownloading, Current: 10, Total: 1000}, {ID: "b2", Phase: PullDone, Done: true}}, current: 10, total: 1000},
			{line: `{"status":"Verifying Checksum","progressDetail":{},"id":"a1"}`, phase: PullVerifying,
				layers: layers{{ID: "a1", Phase: PullVerifying, Current: 1000, Total: 1000}, {ID: "b2", Phase: PullDone, Done: true}}, current: 1000, total: 1000},
			{line: `{"status":"Download complete","progressDetail":{},"id":"a1"}`, phase: PullExtracting,
				layers: layers{{ID: "a1", Phase: PullWaiting, Current: 1000, Total: 1000}, {ID: "b2", Phase: PullDone, Done: true}}, current: 1000, total: 1000},
			{line: `{"status":"Extracting","progressDetail":{"current":400,"total":1000},"id":"a1"}`, phase: PullExtracting,
				layers: layers{{ID: "a1", Phase: PullExtracting, Current: 1000, Total: 1000, Extracted: 400}, {ID: "b2", Phase: PullDone, Done: true}}, current: 1000, total: 1000},
			{line: `{"status":"Pull complete","progressDetail":{},"id":"a1"}`, phase: PullExtracting,
				layers: layers{{ID: "a1", Phase: PullDone, Current: 1000, Total: 1000, Extracted: 1000, Done: true}, {ID: "b2", Phase: PullDone, Done: true}}, current: 1000, total: 1000},
			{line: `{"status":"Digest: ` + idB + `"}`, phase: PullExtracting,
				layers: layers{{ID: "a1", Phase: PullDone, Current: 1000, Total: 1000, Extracted: 1000, Done: true}, {ID: "b2", Phase: PullDone, Done: true}}, current: 1000, total: 1000},
		}},
		{name: "containerd store", steps: []trackerStep{
			{line: `{"status":"Pulling fs layer","progressDetail":{},"id":"a1"}`, phase: PullWaiting, layers: layers{queued}},
			{line: `{"status":"Downloading","progressDetail":{"current":1048576,"total":5001709},"id":"a1"}`, phase: PullDownloading,
				layers: layers{{ID: "a1", Phase: PullDownloading, Current: 1048576, Total: 5001709}}, current: 1048576, total: 5001709},
			{line: `{"status":"Download complete","progressDetail":{"hidecounts":true},"id":"a1"}`, phase: PullExtracting,
				layers: layers{{ID: "a1", Phase: PullWaiting, Current: 5001709, Total: 5001709}}, current: 5001709, total: 5001709},
			{line: `{"status":"Extracting","progressDetail":{"current":1,"units":"s"},"id":"a1"}`, phase: PullExtracting,
				layers: layers{{ID: "a1", Phase: PullExtracting, Current: 5001709, Total: 5001709}}, current: 5001709, total: 5001709},
			{line: `{"status":"Extracting","progressDetail":{"current":1,"units":"s"},"id":"a1"}`, phase: PullExtracting,
				layers: layers{{ID: "a1", Phase: PullExtracting, Current: 5001709, Total: 5001709}}, current: 5001709, total: 5001709, old: true},
			{line: `{"status":"Extracting","progressDetail":{"current":2,"units":"s"},"id":"a1"}`, phase: PullExtracting,
				layers: layers{{ID: "a1", Phase: PullExtracting, Current: 5001709, Total: 5001709}}, current: 5001709, total: 5001709},
			{line: `{"status":"Pull complete","progressDetail":{"hidecounts":true},"id":"a1"}`, phase: PullExtracting,
				layers: layers{{ID: "a1", Phase: PullDone, Current: 5001709, Total: 5001709, Extracted: 5001709, Done: true}}, current: 5001709, total: 5001709},
		}},
		{name: "Podman", steps: []trackerStep{
			{line: `{"status":"Pulling fs layer","progressDetail":{},"id":"a1"}`, phase: PullWaiting, layers: layers{queued}},
			{line: `{"status":"Download complete","progressDetail":{},"id":"a1"}`, phase: PullExtracting, layers: layers{queued}},
		}},
		{name: "what cannot be", steps: []trackerStep{
			{line: `{"status":"Downloading","id":"a1","progressDetail":{"current":-5,"total":-7}}`, phase: PullDownloading, layers: layers{{ID: "a1", Phase: PullDownloading}}},
			{line: `{"status":"Downloading","id":"a1","progressDetail":{"current":50,"total":20}}`, phase: PullDownloading,
				layers: layers{{ID: "a1", Phase: PullDownloading, Current: 50, Total: 50}}, current: 50, total: 50},
			{line: `{"status":"Downloading","id":"a1","progressDetail":{"current":1e99}}`, phase: PullDownloading,
				layers: layers{{ID: "a1", Phase: PullDownloading, Total: 50}}, total: 50},
			{line: `{"status":"Downloading","id":"a1","progressDetail":"none"}`, phase: PullDownloading,
				layers: layers{{ID: "a1", Phase: PullDownloading, Total: 50}}, total: 50, old: true},
			{line: `{"status":"Downloading","id":"a1","progressDetail":{"current":9223372036854775807,"total":9223372036854775807}}`, phase: PullDownloading,
				layers: layers{{ID: "a1", Phase: PullDownloading, Current: maxLayerBytes, Total: maxLayerBytes}}, current: maxLayerBytes, total: maxLayerBytes},
			{line: `{"status":["Downloading"],"id":7}`, phase: PullDownloading,
				layers: layers{{ID: "a1", Phase: PullDownloading, Current: maxLayerBytes, Total: maxLayerBytes}}, current: maxLayerBytes, total: maxLayerBytes, old: true},
			{line: `{"status":"Folding","id":"a1"}`, phase: PullDownloading,
				layers: layers{{ID: "a1", Phase: PullDownloading, Current: maxLayerBytes, Total: maxLayerBytes}}, current: maxLayerBytes, total: maxLayerBytes},
			{line: `{"status":"Folding","id":"c3"}`, phase: PullDownloading,
				layers: layers{{ID: "a1", Phase: PullDownloading, Current: maxLayerBytes, Total: maxLayerBytes}}, current: maxLayerBytes, total: maxLayerBytes},
		}},
		{name: "a size that is not told", steps: []trackerStep{
			{line: `{"status":"Downloading","id":"a1","progressDetail":{"current":50}}`, phase: PullDownloading, layers: layers{{ID: "a1", Phase: PullDownloading, Current: 50}}, current: 50, total: 50},
			{line: `{"status":"Download complete","id":"a1"}`, phase: PullExtracting, layers: layers{{ID: "a1", Phase: PullWaiting, Current: 50, Total: 50}}, current: 50, total: 50},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tracker := newPullTracker("r.example/a:1")
			tracker.begin(epoch)
			last := epoch
			for i, step := range tt.steps {
				now := at(float64(i + 1))
				tracker.observe(message(t, step.line), now)
				if !step.old {
					last = now
				}
				got := tracker.progress(now)
				got.BytesPerSecond = 0
				want := PullProgress{Ref: "r.example/a:1", Phase: step.phase, Layers: step.layers, Current: step.current, Total: step.total, LastProgress: last}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("after %s: progress mismatch (-want +got):\n%s", step.line, diff)
				}
			}
			tracker.end()
			p := tracker.progress(at(100)).finished()
			checkProgress(t, p)
			if p.Phase != PullDone || p.Current != p.Total || p.LastProgress != last || p.BytesPerSecond != 0 {
				t.Errorf("in the end: %+v", p)
			}
			for _, l := range p.Layers {
				if !l.Done || l.Phase != PullDone || l.Current != l.Total || l.Extracted != l.Total {
					t.Errorf("in the end, layer %+v", l)
				}
			}
		})
	}
}

func TestPullTrackerBeforeItBegins(t *testing.T) {
	tracker := newPullTracker("r.example/a:1")
	if diff := cmp.Diff(PullProgress{Ref: "r.example/a:1", Phase: PullWaiting}, tracker.progress(epoch)); diff != "" {
		t.Errorf("progress mismatch (-want +got):\n%s", diff)
	}
	if at, _, _ := tracker.stallsAt(time.Nanosecond); !at.IsZero() {
		t.Errorf("stalls at %v, though it has not begun", at)
	}
	tracker.end()
	if p := tracker.progress(epoch); p.Phase != PullWaiting {
		t.Errorf("a pull that failed before it began: %+v", p)
	}
}

func TestPullProgressIsNotShared(t *testing.T) {
	tracker := newPullTracker("a")
	tracker.begin(epoch)
	tracker.observe(message(t, `{"status":"Downloading","id":"a1","progressDetail":{"current":1,"total":2}}`), at(1))
	before := tracker.progress(at(1))
	before.Layers[0].ID = "mine"
	_ = append(before.Layers, LayerProgress{ID: "more"})
	tracker.observe(message(t, `{"status":"Downloading","id":"a1","progressDetail":{"current":2,"total":2}}`), at(2))
	if before.Layers[0].Current != 1 {
		t.Error("a progress changed under its owner")
	}
	before.finished()
	if before.Layers[0].Done {
		t.Error("a progress is finished by its copy")
	}
	if after := tracker.progress(at(2)); len(after.Layers) != 1 || after.Layers[0].ID != "a1" {
		t.Errorf("got %+v; a caller changed it", after)
	}
}

func TestPullTrackerKeepsLittle(t *testing.T) {
	tracker := newPullTracker("a")
	tracker.begin(epoch)
	id := func(i int) string { return strings.Repeat("x", i) }
	for i := range 3 * maxLayers {
		var m pullMessage
		m.ID.value, m.Status.value = id(i%90+1)+time.Duration(i).String(), "Downloading"
		m.Detail.value = pullDetail{Current: int64(i)}
		tracker.observe(m, at(float64(i)))
	}
	var m pullMessage
	m.ID.value, m.Status.value = id(1<<20), "Waiting"
	tracker.observe(m, at(1))
	m.ID.value, m.Status.value = id(2)+time.Duration(1).String(), "Waiting "+id(1<<20)
	tracker.observe(m, at(2))
	if n := len(tracker.progress(at(3)).Layers); n != maxLayers || len(tracker.index) != maxLayers {
		t.Errorf("%d layers and %d IDs, want %d", n, len(tracker.index), maxLayers)
	}
	if n := len(tracker.samples); n > int(rateWindow/rateSample)+2 {
		t.Errorf("%d samples are kept", n)
	}
	if n := len(tracker.layers[1].last.status); n > maxStatusText {
		t.Errorf("a status of %d bytes is kept", n)
	}
}

func TestPullRate(t *testing.T) {
	tracker := newPullTracker("a")
	tracker.begin(epoch)
	download := func(id string, current int64, now time.Time) {
		var m pullMessage
		m.ID.value, m.Status.value, m.Detail.value = id, "Downloading", pullDetail{Current: current, Total: 1 << 30}
		tracker.observe(m, now)
	}
	rate := func(want float64, now time.Time) {
		t.Helper()
		if got := tracker.progress(now).BytesPerSecond; math.Abs(got-want) > want/10 {
			t.Errorf("after %v: %.0f bytes a second, want about %.0f", now.Sub(epoch), got, want)
		}
	}
	rate(0, epoch)
	rate(0, at(60)) // the registry takes its time
	s := 60.0
	for ; s < 70; s += 0.1 {
		download("a1", int64((s-60)*1000), at(s))
		download("b2", int64((s-60)*2000), at(s))
	}
	rate(3000, at(s))
	for ; s < 80; s += 0.1 {
		download("a1", int64(10000+(s-70)*100), at(s))
	}
	rate(100, at(s))
	rate(0, at(s+rateWindow.Seconds()+1)) // nothing more comes
	rate(0, at(s+3600))
	download("a1", 0, at(s+3601)) // from the start again
	download("a1", 5000, at(s+3602))
	rate(1000, at(s+3602))
	tracker.end()
	rate(0, at(s+3602))
}

// When a pull is given up, told by what was reported at what second.
func TestPullStallsAt(t *testing.T) {
	const limit = time.Minute
	type line struct {
		at     float64
		id     string
		status string
		detail pullDetail
	}
	for _, tt := range []struct {
		name  string
		lines []line
		want  float64
		after time.Duration // 0: limit
	}{
		{name: "no answer", want: 60},
		{name: "no layer", lines: []line{{at: 10, id: "1.36", status: "Pulling from library/busybox"}}, want: 70},
		{name: "a layer that does not begin", lines: []line{{10, "a", "Pulling fs layer", pullDetail{}}}, want: 70},
		{name: "bytes", lines: []line{{10, "a", "Downloading", pullDetail{1, 9, ""}}, {50, "a", "Downloading", pullDetail{2, 9, ""}}}, want: 110},
		{name: "the same bytes", lines: []line{{10, "a", "Downloading", pullDetail{1, 9, ""}}, {50, "a", "Downloading", pullDetail{1, 9, ""}}}, want: 70},
		{name: "the same bytes of two layers in turn", lines: []line{
			{10, "a", "Downloading", pullDetail{1, 9, ""}}, {11, "b", "Downloading", pullDetail{1, 9, ""}},
			{20, "a", "Downloading", pullDetail{1, 9, ""}}, {21, "b", "Downloading", pullDetail{1, 9, ""}},
		}, want: 71},
		{name: "any layer will do", lines: []line{
			{10, "a", "Downloading", pullDetail{1, 9, ""}}, {11, "b", "Downloading", pullDetail{1, 9, ""}}, {50, "b", "Downloading", pullDetail{2, 9, ""}},
		}, want: 110},
		{name: "an unknown status is new", lines: []line{{10, "a", "Pulling fs layer", pullDetail{}}, {50, "a", "Folding", pullDetail{}}}, want: 110},
		{name: "a retry is new", lines: []line{{10, "a", "Retrying in 5 seconds", pullDetail{}}, {11, "a", "Retrying in 4 seconds", pullDetail{}}}, want: 71},
		{name: "a message about no layer is new", lines: []line{{10, "a", "Pulling fs layer", pullDetail{}}, {50, "", "Wait for it", pullDetail{}}}, want: 110},
		{name: "an extraction does not excuse a download", lines: []line{
			{10, "a", "Downloading", pullDetail{1, 9, ""}}, {11, "b", "Extracting", pullDetail{1, 0, "s"}},
			{30, "b", "Extracting", pullDetail{20, 0, "s"}}, {60, "b", "Extracting", pullDetail{50, 0, "s"}}, {69, "b", "Pull complete", pullDetail{}},
		}, want: 70},
		{name: "nor one that has not begun", lines: []line{
			{10, "a", "Pulling fs layer", pullDetail{}}, {11, "b", "Download complete", pullDetail{}}, {30, "b", "Extracting", pullDetail{1, 5, ""}},
		}, want: 71},
		{name: "an extraction alone has more time", lines: []line{{10, "a", "Extracting", pullDetail{1, 5, ""}}}, want: 610, after: 10 * limit},
		{name: "Podman, which is silent then", lines: []line{{9, "a", "Pulling fs layer", pullDetail{}}, {10, "a", "Download complete", pullDetail{}}}, want: 610, after: 10 * limit},
		{name: "and begins anew with what is new", lines: []line{{10, "a", "Extracting", pullDetail{1, 0, "s"}}, {500, "a", "Extracting", pullDetail{2, 0, "s"}}}, want: 1100, after: 10 * limit},
		{name: "until a layer is announced", lines: []line{{10, "a", "Extracting", pullDetail{1, 5, ""}}, {300, "b", "Pulling fs layer", pullDetail{}}}, want: 360},
		{name: "or the last one is complete", lines: []line{{10, "a", "Extracting", pullDetail{1, 5, ""}}, {300, "a", "Pull complete", pullDetail{}}}, want: 360},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tracker := newPullTracker("a")
			tracker.begin(epoch)
			for _, l := range tt.lines {
				var m pullMessage
				m.ID.value, m.Status.value, m.Detail.value = l.id, l.status, l.detail
				tracker.observe(m, at(l.at))
			}
			after := tt.after
			if after == 0 {
				after = limit
			}
			if got, silence, _ := tracker.stallsAt(limit); !got.Equal(at(tt.want)) || silence != after {
				t.Errorf("stalls at %v after %v of silence; want %v, %v", got.Sub(epoch), silence, at(tt.want).Sub(epoch), after)
			}
			for _, never := range []time.Duration{0, -1, math.MinInt64} {
				if got, _, _ := tracker.stallsAt(never); !got.IsZero() {
					t.Errorf("with the limit %v it stalls at %v", never, got)
				}
			}
			if got, _, _ := tracker.stallsAt(math.MaxInt64); !got.IsZero() && got.Before(at(1000)) {
				t.Errorf("with the longest limit it stalls at %v", got)
			}
			_, _, changed := tracker.stallsAt(limit)
			tracker.end()
			select {
			case <-changed:
			default:
				t.Error("nobody is told that it is over")
			}
			if got, _, _ := tracker.stallsAt(limit); !got.IsZero() {
				t.Errorf("it stalls at %v, though it is over", got)
			}
		})
	}
}

func TestPullProgressString(t *testing.T) {
	for _, tt := range []struct {
		want string
		p    PullProgress
	}{
		{"waiting", PullProgress{Phase: PullWaiting}},
		{"waiting, 0 of 1 layers done", PullProgress{Phase: PullWaiting, Layers: make([]LayerProgress, 1)}},
		{"downloading, 512 kB of 1.024 MB at 1 B/s, 1 of 2 layers done",
			PullProgress{Phase: PullDownloading, Layers: []LayerProgress{{Done: true}, {}}, Current: 512000, Total: 1024000, BytesPerSecond: 1}},
		{"extracting, 999 B of 1 kB", PullProgress{Phase: PullExtracting, Current: 999, Total: 1000, BytesPerSecond: 0.5}},
		{"done, 1 MB of 1.126 EB", PullProgress{Phase: PullDone, Current: 999999, Total: maxLayers * maxLayerBytes * 1000 / 1024}},
	} {
		if got := tt.p.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestPullStalledError(t *testing.T) {
	err := error(&Error{"pull image", "quay.io/team/app:1", &PullStalledError{time.Minute, PullProgress{Ref: "quay.io/team/app:1", Phase: PullDownloading, Current: 1, Total: 2}}})
	if !errors.Is(err, ErrPullStalled) || !errdefs.IsDeadlineExceeded(err) || errors.Is(err, ErrTimeout) || errdefs.IsCanceled(err) {
		t.Errorf("%v: wrong class", err)
	}
	var stalled *PullStalledError
	if !errors.As(err, &stalled) || stalled.Progress.Current != 1 {
		t.Errorf("%#v has no last progress", err)
	}
	const want = `pull image "quay.io/team/app:1": pull stalled: nothing new from registry quay.io for 1m0s; downloading, 1 B of 2 B`
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// checkProgress holds what is true of every progress.
func checkProgress(t *testing.T, p PullProgress) {
	t.Helper()
	var current, total int64
	for _, l := range p.Layers {
		if l.Current < 0 || l.Total < 0 || l.Extracted < 0 || l.Total > 0 && l.Current > l.Total || l.Extracted > l.Total || l.Done != (l.Phase == PullDone) {
			t.Fatalf("layer %+v", l)
		}
		current += l.Current
		total += max(l.Current, l.Total)
	}
	switch {
	case p.Current != current || p.Total != total || current > total || total < 0:
		t.Fatalf("sums %d and %d, want %d and %d", p.Current, p.Total, current, total)
	case !(p.BytesPerSecond >= 0) || math.IsInf(p.BytesPerSecond, 0):
		t.Fatalf("%v bytes a second", p.BytesPerSecond)
	case len(p.Layers) > maxLayers:
		t.Fatalf("%d layers", len(p.Layers))
	case p.String() == "":
		t.Fatal("it prints nothing")
	}
	switch p.Phase {
	case PullWaiting, PullDownloading, PullVerifying, PullExtracting, PullDone:
	default:
		t.Fatalf("phase %q", p.Phase)
	}
}
