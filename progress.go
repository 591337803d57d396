package dockpod

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// PullPhase is what a pull, or one layer of it, is at.
type PullPhase string

// The phases of a pull, in their order. A layer may skip some, and waits a
// second time between its download and its extraction.
const (
	PullWaiting     PullPhase = "waiting"
	PullDownloading PullPhase = "downloading"
	PullVerifying   PullPhase = "verifying" // Docker's own store alone tells
	PullExtracting  PullPhase = "extracting"
	PullDone        PullPhase = "done"
)

// PullProgress is a moment of a pull, as far as the engine tells. It shares no
// memory with any other.
type PullProgress struct {
	// Ref is the image, in full: "docker.io/library/busybox:1.36".
	Ref string
	// Phase is the earliest phase that some layer is in, waiting ones left
	// out. It is PullWaiting until a layer is known: while the pull waits for
	// its turn (see [WithPullLimit]), and for the registry.
	Phase PullPhase
	// Layers are in the order in which the engine spoke of them.
	Layers []LayerProgress
	// Current and Total are sums over the layers, of the bytes that came and
	// of those to come. Layers that the engine had already do not count, and
	// Total grows as the sizes of the others become known.
	Current, Total int64
	// BytesPerSecond is the rate of the download over the last five seconds.
	BytesPerSecond float64
	// LastProgress is when the engine last reported something new, and before
	// that when it was asked. It is zero while the pull waits for its turn.
	LastProgress time.Time
}

// LayerProgress is a moment of one layer of a pull. Some engines list other
// parts of an image among the layers.
type LayerProgress struct {
	ID    string // as the engine shortens it: the beginning of its digest
	Phase PullPhase
	// Current of Total bytes have come. Total is zero where the engine does
	// not tell it; else Current is never beyond it, and Total in the end.
	Current, Total int64
	// Extracted of Total bytes are unpacked. Engines with the containerd
	// store, and Podman, do not tell.
	Extracted int64
	Done      bool // it is on the engine: Phase is PullDone
}

// String is one line for a log: "downloading, 4.1 MB of 7.7 MB at 1.2 MB/s, 2
// of 5 layers done".
func (p PullProgress) String() string {
	s := string(p.Phase)
	if p.Total > 0 {
		s += fmt.Sprintf(", %s of %s", formatBytes(float64(p.Current)), formatBytes(float64(p.Total)))
	}
	if p.BytesPerSecond >= 1 {
		s += fmt.Sprintf(" at %s/s", formatBytes(p.BytesPerSecond))
	}
	if len(p.Layers) > 0 {
		done := 0
		for _, l := range p.Layers {
			if l.Done {
				done++
			}
		}
		s += fmt.Sprintf(", %d of %d layers done", done, len(p.Layers))
	}
	return s
}

// formatBytes writes a size as the docker command does: powers of 1000, four
// figures.
func formatBytes(n float64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	i := 0
	for ; n >= 999.95 && i < len(units)-1; i++ {
		n /= 1000
	}
	return fmt.Sprintf("%.4g %s", n, units[i])
}

// PullStalledError is a pull that was given up because nothing new came.
// errors.Is(err, ErrPullStalled) holds.
type PullStalledError struct {
	Limit    time.Duration // how long nothing came
	Progress PullProgress  // the last that was known
}

// Error names the registry and how far the pull had got.
func (e *PullStalledError) Error() string {
	host, _, _ := strings.Cut(e.Progress.Ref, "/")
	return fmt.Sprintf("%v: nothing new from registry %s for %v; %v", ErrPullStalled, host, e.Limit, e.Progress)
}

// Unwrap returns [ErrPullStalled].
func (e *PullStalledError) Unwrap() error { return ErrPullStalled }

// pullMessage is one line of an engine's report on a pull. Docker's failures
// carry both forms of the error, old engines the second alone. A failure has
// to be read; progress is for show, and what cannot be read of it is left out.
type pullMessage struct {
	ErrorDetail *pullErrorDetail `json:"errorDetail"`
	Error       string           `json:"error"`

	ID     lenient[string]     `json:"id"`
	Status lenient[string]     `json:"status"`
	Detail lenient[pullDetail] `json:"progressDetail"`
}

type pullErrorDetail struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// pullDetail has the counts of a message. With a unit they are no bytes: the
// containerd store counts the seconds of an extraction.
type pullDetail struct {
	Current int64  `json:"current"`
	Total   int64  `json:"total"`
	Units   string `json:"units"`
}

// lenient is a value that stays zero if it is not of its type.
type lenient[T any] struct{ value T }

func (l *lenient[T]) UnmarshalJSON(data []byte) error {
	var v T
	if json.Unmarshal(data, &v) == nil {
		l.value = v
	}
	return nil
}

// layerStep is a layer's state in an engine's words.
type layerStep int

const (
	stepQueued layerStep = iota // for its download, or for another try
	stepDownloading
	stepVerifying
	stepDownloaded // and queued for its extraction
	stepExtracting
	stepDone
)

// phases are those of the steps.
var phases = [...]PullPhase{PullWaiting, PullDownloading, PullVerifying, PullWaiting, PullExtracting, PullDone}

// stepOf reads the status of a layer. The words are those of Docker 20.10 to
// the newest; Podman has some of them.
func stepOf(status string) (_ layerStep, ok bool) {
	switch status {
	case "Pulling fs layer", "Waiting":
		return stepQueued, true
	case "Downloading":
		return stepDownloading, true
	case "Verifying Checksum":
		return stepVerifying, true
	case "Download complete":
		return stepDownloaded, true
	case "Extracting":
		return stepExtracting, true
	case "Pull complete", "Already exists":
		return stepDone, true
	}
	return stepQueued, strings.HasPrefix(status, "Retrying in ")
}

const (
	// maxLayerBytes and maxLayers keep the sums far from an overflow.
	maxLayerBytes = 1 << 50
	maxLayers     = 1 << 10
	// maxStatusText bounds what is kept of a message.
	maxStatusText = 1 << 7

	rateWindow = 5 * time.Second
	rateSample = 250 * time.Millisecond
)

// pullTracker follows the report on a pull. Its times are the caller's, so
// that it needs no clock. It is safe for concurrent use.
type pullTracker struct {
	ref string

	mu      sync.Mutex
	sent    time.Time // when the engine was asked; zero: not yet
	news    time.Time // when something new was last reported
	fetched time.Time // the same without what is about an extraction
	layers  []trackedLayer
	index   map[string]int // of a layer, by its ID
	last    layerNews      // the last message about no layer
	lastID  string         // and its ID
	over    bool           // the report has ended

	received float64 // bytes, those of a second try counted again
	samples  []rateAt

	kind    stallKind
	changed chan struct{} // closed when kind changes
}

type trackedLayer struct {
	LayerProgress
	step layerStep
	last layerNews
}

// layerNews is what makes a message a new one. The containerd store repeats
// its messages ten times a second, whether anything moves or not.
type layerNews struct {
	status string
	detail pullDetail
}

type rateAt struct {
	at       time.Time
	received float64
}

// stallKind says what a silence means.
type stallKind int

const (
	stallNever    stallKind = iota // the engine was not asked yet, or has ended
	stallFetching                  // something is still to come from the registry
	stallUnpacking
)

func newPullTracker(ref string) *pullTracker {
	return &pullTracker{ref: ref, index: map[string]int{}, changed: make(chan struct{})}
}

// begin notes that the engine is asked now.
func (t *pullTracker) begin(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent, t.news, t.fetched = now, now, now
	t.samples = []rateAt{{now, 0}}
	t.setKind()
}

// end notes that the engine's report is over.
func (t *pullTracker) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	t.setKind()
}

// observe takes in a message that is no failure.
func (t *pullTracker) observe(m pullMessage, now time.Time) {
	id, status, detail := cutStatus(m.ID.value), cutStatus(m.Status.value), m.Detail.value
	detail.Units = cutStatus(detail.Units)
	news := layerNews{status, detail}
	step, ok := stepOf(status)
	t.mu.Lock()
	defer t.mu.Unlock()
	i, known := t.index[id]
	if !known && ok && id != "" && len(t.layers) < maxLayers {
		i, known = len(t.layers), true
		t.index[id] = i
		t.layers = append(t.layers, trackedLayer{LayerProgress: LayerProgress{ID: id, Phase: PullWaiting}})
	}
	switch {
	case !known && id == t.lastID && news == t.last, known && news == t.layers[i].last:
		return
	case !known:
		t.lastID, t.last = id, news
		t.news, t.fetched = now, now
		return
	}
	l := &t.layers[i]
	unpacked := step == stepExtracting || step == stepDone && l.step >= stepDownloaded
	l.last = news
	t.news = now
	if !ok || !unpacked {
		t.fetched = now
	}
	if !ok {
		return
	}
	before := l.Current
	l.advance(step)
	if detail.Units == "" {
		l.count(detail)
	}
	if step <= stepDownloaded {
		t.received += float64(max(0, l.Current-before))
		t.sample(now)
	}
	t.setKind()
}

// cutStatus shortens what no engine makes that long.
func cutStatus(s string) string {
	if len(s) > maxStatusText {
		return strings.Clone(s[:maxStatusText])
	}
	return s
}

// advance puts the layer into a step.
func (l *trackedLayer) advance(step layerStep) {
	l.step, l.Phase, l.Done = step, phases[step], step == stepDone
	if step >= stepVerifying {
		l.Total = max(l.Current, l.Total)
		l.Current = l.Total
	}
	if step == stepDone {
		l.Extracted = l.Total
	}
}

// count takes in bytes of the step that the layer is in.
func (l *trackedLayer) count(d pullDetail) {
	current, total := clampBytes(d.Current), clampBytes(d.Total)
	switch l.step {
	case stepDownloading:
		l.Current = current
		l.Total = cmp.Or(total, l.Total)
		if l.Total > 0 {
			l.Total = max(l.Total, current)
		}
	case stepExtracting:
		l.Total = cmp.Or(l.Total, total)
		l.Current = l.Total
		l.Extracted = min(current, l.Total)
	}
}

func clampBytes(n int64) int64 { return min(max(n, 0), maxLayerBytes) }

// sample notes how much has come. The first sample that stays is the newest
// from before the window, or that of the beginning.
func (t *pullTracker) sample(now time.Time) {
	if n := len(t.samples); n == 0 || now.Sub(t.samples[n-1].at) >= rateSample {
		t.samples = append(t.samples, rateAt{now, t.received})
	}
	for len(t.samples) > 1 && now.Sub(t.samples[1].at) >= rateWindow {
		t.samples = t.samples[1:]
	}
}

func (t *pullTracker) rate(now time.Time) float64 {
	if t.sent.IsZero() || t.over {
		return 0
	}
	t.sample(now)
	base := t.samples[0]
	elapsed := min(now.Sub(base.at), rateWindow).Seconds()
	if elapsed <= 0 {
		return 0
	}
	return (t.received - base.received) / elapsed
}

// setKind says what a silence from now on means.
func (t *pullTracker) setKind() {
	kind := stallFetching
	switch {
	case t.sent.IsZero() || t.over:
		kind = stallNever
	case t.unpacking():
		kind = stallUnpacking
	}
	if kind != t.kind {
		if t.kind == stallUnpacking {
			t.fetched = t.news
		}
		t.kind = kind
		close(t.changed)
		t.changed = make(chan struct{})
	}
}

// unpacking reports whether all that is left to do is to extract layers.
func (t *pullTracker) unpacking() bool {
	left := false
	for _, l := range t.layers {
		if l.step < stepDownloaded {
			return false
		}
		left = left || l.step != stepDone
	}
	return left
}

// unpackPatience is how many times longer an engine may be silent while it
// only extracts. Podman says nothing then, and Docker nothing while it waits
// for a slow disk.
const unpackPatience = 10

// stallsAt returns when the pull is stalled if nothing new is reported, and
// how long nothing will have come by then; the zero time means never. changed
// is closed when that moment may come sooner.
func (t *pullTracker) stallsAt(limit time.Duration) (at time.Time, silence time.Duration, changed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case limit <= 0 || t.kind == stallNever:
		return time.Time{}, 0, t.changed
	case t.kind == stallFetching:
		return t.fetched.Add(limit), limit, t.changed
	}
	if limit > math.MaxInt64/unpackPatience {
		return time.Time{}, 0, t.changed
	}
	limit *= unpackPatience
	return t.news.Add(limit), limit, t.changed
}

// progress returns what is known now.
func (t *pullTracker) progress(now time.Time) PullProgress {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := PullProgress{Ref: t.ref, Phase: t.phase(), BytesPerSecond: t.rate(now), LastProgress: t.news}
	for _, l := range t.layers {
		p.Layers = append(p.Layers, l.LayerProgress)
		p.Current += l.Current
		p.Total += max(l.Current, l.Total)
	}
	return p
}

// finished returns p as it is once the image is there.
func (p PullProgress) finished() PullProgress {
	p.Phase, p.Current, p.BytesPerSecond = PullDone, p.Total, 0
	p.Layers = slices.Clone(p.Layers)
	for i, l := range p.Layers {
		all := max(l.Current, l.Total)
		p.Layers[i] = LayerProgress{ID: l.ID, Phase: PullDone, Current: all, Total: all, Extracted: all, Done: true}
	}
	return p
}

func (t *pullTracker) phase() PullPhase {
	first, queued := stepDone, len(t.layers) == 0
	for _, l := range t.layers {
		switch l.step {
		case stepQueued:
			queued = true
		case stepDownloading, stepVerifying, stepExtracting:
			first = min(first, l.step)
		}
	}
	switch {
	case first != stepDone:
		return phases[first]
	case queued:
		return PullWaiting
	}
	return PullExtracting // between two layers, and on Podman
}
