package dockpod

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
)

// DefaultPullStall is how long a pull may go on without anything new unless
// [PullOptions].Stall says otherwise. It is the kubelet's limit.
const DefaultPullStall = time.Minute

// PullOptions changes how an image is pulled. The zero value pulls for the
// engine's own platform, with the Runtime's credentials.
type PullOptions struct {
	// Platform is the one to pull for, "linux/arm64" for example; empty: the
	// engine's. An image for one platform alone is pulled whatever it is, and
	// the reference stands for the last platform that was pulled.
	Platform string
	// Keyring has the credentials for the registry; nil: that of
	// [WithKeyring]. A registry for which it has none is asked without.
	Keyring Keyring
	// Anonymous has the registry asked without credentials after it refused
	// each of those that there are, or if the Keyring failed.
	Anonymous bool

	// Progress, if not nil, is called when the pull begins, then every
	// ProgressInterval whether anything has changed or not, and last with
	// PullDone when the image is there. All of it is in the goroutine that
	// called PullImage: never twice at a time, and never after PullImage has
	// returned. A call that takes long misses some intervals, and holds up
	// neither the engine nor other callers. With a second credential, the
	// layers begin anew.
	Progress func(PullProgress)
	// ProgressInterval is the time between two calls of Progress; zero: a
	// second.
	ProgressInterval time.Duration

	// Stall ends the pull with a [*PullStalledError] when nothing new has been
	// reported on any layer for that long, from the moment when the engine is
	// asked; zero: [DefaultPullStall], negative: never. What a pull has been
	// silent for counts for whoever joins it.
	//
	// While nothing is left to do but to extract layers, which some engines do
	// in silence, the limit is ten times that; an extraction does not excuse a
	// download beside it. Engines with the containerd store report a download
	// MiB by MiB: a slower line needs more than the default.
	Stall time.Duration
}

// PullPolicy says when [Runtime.EnsureImage] pulls. The words are those of a
// pod's spec.
type PullPolicy string

// The pull policies. The empty one is Kubernetes' default: PullAlways for the
// tag "latest", which a reference without tag and digest has, else
// PullIfNotPresent.
const (
	PullAlways       PullPolicy = "Always"
	PullIfNotPresent PullPolicy = "IfNotPresent"
	PullNever        PullPolicy = "Never"
)

// PullImage has the engine pull an image and returns it. A reference without
// tag and digest is ":latest", never all tags of the repository. The pull is a
// success once the image can be inspected, whatever the engine reported
// before.
//
// Credentials are tried one after the other while the registry refuses them;
// any other failure ends the pull. The error joins those of all that were
// tried.
//
// Callers that want the same image for the same platform with the same
// credential share one pull of the engine, whatever their other options. It
// goes on until the last of them has left, and a caller that comes late is
// shown the progress made so far.
//
// The error is [ErrRegistryUnavailable], [ErrRegistryTLS],
// [ErrPullUnauthorized], [ErrRateLimited], [ErrManifestUnknown] or
// [ErrImageCorrupt] where the registry's answer tells, [ErrPullStalled] if
// nothing new came, [ErrBadAnswer] if the engine's report broke off (the image
// may have been pulled), [ErrImageNotFound] if it reported success and the
// image is not there, and a [*FieldError] if ref is not a name.
//
// A pull takes as long as it takes: only ctx and a stall end it.
func (r *Runtime) PullImage(ctx context.Context, ref string, opts PullOptions) (img Image, err error) {
	const op = "pull image"
	target := redactRef(ref)
	ctx, end := r.beginLimit(ctx, op, target, -1)
	defer end(&err)
	if r.err != nil {
		return Image{}, r.err
	}
	t, err := parseImageTarget(ref)
	switch {
	case err != nil:
		return Image{}, err
	case t.name == nil:
		return Image{}, &FieldError{"ref", "is an image ID; an image is pulled by its name"}
	case opts.ProgressInterval < 0:
		return Image{}, &FieldError{"ProgressInterval", "negative"}
	case ctx.Err() != nil:
		return Image{}, ctx.Err()
	}
	named := engineRef(t.name)
	w := newPullWatch(opts)
	defer w.stop()
	tracker, err := r.pullWithAny(ctx, named, opts, w)
	if err != nil {
		return Image{}, err
	}
	if ctx.Err() != nil { // the success came with the caller's deadline
		var cancel context.CancelFunc
		ctx, cancel = r.detached(ctx, lateLook)
		defer cancel()
	}
	img, err = r.pulledImage(ctx, op, target, named)
	if err != nil {
		return Image{}, err
	}
	r.imageAges.touch(img.ID, time.Now())
	if w.progress != nil {
		w.progress(tracker.progress(time.Now()).finished())
	}
	return img, nil
}

// lateLook bounds the look for an image that was pulled at the last moment.
const lateLook = 5 * time.Second

// pullWithAny pulls with the first credential that the registry takes.
func (r *Runtime) pullWithAny(ctx context.Context, named reference.Named, opts PullOptions, w *pullWatch) (*pullTracker, error) {
	creds, ringErr := r.pullCredentials(ctx, named, opts)
	if len(creds) == 0 {
		return nil, ringErr
	}
	var failed []error
	for i, c := range creds {
		tracker, err := r.sharePull(ctx, named, pullKey{named.String(), opts.Platform, c}, w)
		switch {
		case err == nil:
			if ringErr != nil {
				r.opts.logger.WarnContext(ctx, "pulled an image in spite of a failing keyring", "image", named.String(), "error", ringErr)
			}
			return tracker, nil
		case ctx.Err() != nil && isContextError(err):
			return nil, err // not what the registry refused before
		case len(creds) > 1 && c != Credential{}:
			err = fmt.Errorf("credential %d of %d: %w", i+1, len(creds), err)
		case len(creds) > 1:
			err = fmt.Errorf("without credentials: %w", err)
		case c == Credential{} && ringErr == nil:
			err = hintAnonymous(named, err)
		}
		failed = append(failed, err)
		if !errors.Is(err, ErrPullUnauthorized) {
			return nil, joinErrors(failed)
		}
	}
	if ringErr != nil {
		failed = append(failed, ringErr)
	}
	return nil, joinErrors(failed)
}

// pullCredentials returns what to show the registry in turn; the zero
// Credential is nobody. There is none if the keyring failed: a registry that
// was to be asked with credentials may have another image for nobody.
func (r *Runtime) pullCredentials(ctx context.Context, named reference.Named, opts PullOptions) ([]Credential, error) {
	ring := opts.Keyring
	if ring == nil {
		ring = r.opts.keyring
	}
	if ring == nil {
		return []Credential{{}}, nil
	}
	creds, err := ring.Credentials(ctx, named)
	creds = distinct(slices.Clone(creds))
	if opts.Anonymous || len(creds) == 0 && err == nil {
		creds = append(creds, Credential{})
	}
	if err != nil {
		err = fmt.Errorf("credentials for registry %s: %w", reference.Domain(named), err)
	}
	return creds, err
}

// hintAnonymous says that no credentials were known where that may be the
// reason: a registry may deny that there is what it does not show to nobody.
func hintAnonymous(named reference.Named, err error) error {
	var c *classified
	if !errors.As(err, &c) {
		return err
	}
	host := reference.Domain(named)
	if c.kind == ErrPullUnauthorized || c.kind == ErrManifestUnknown && host != "docker.io" {
		return &classified{c.kind, fmt.Sprintf("%s; no credentials for %s are known", c.text, host)}
	}
	return err
}

// pullKey is what callers have in common that share a pull.
type pullKey struct {
	ref, platform string
	credential    Credential
}

// pullFlight is a pull by the engine, for all who wait for it.
type pullFlight struct {
	key     pullKey
	tracker *pullTracker
	cancel  context.CancelFunc
	callers int           // guarded by the group
	done    chan struct{} // closed in the end
	err     error         // what came of it, once done is closed
}

// pullGroup has the pulls that are under way.
type pullGroup struct {
	mu      sync.Mutex
	flights map[pullKey]*pullFlight
	slots   chan struct{} // holds a value for each; nil: no limit
}

// join returns the pull of key for one caller more, having started it if there
// is none. A pull that has stalled for this caller will do for others only.
func (g *pullGroup) join(key pullKey, stall time.Duration, start func(*pullFlight)) *pullFlight {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.flights[key]
	if f != nil {
		if at, _, _ := f.tracker.stallsAt(stall); !at.IsZero() && !time.Now().Before(at) {
			f = nil
		}
	}
	if f == nil {
		f = &pullFlight{key: key, tracker: newPullTracker(key.ref), done: make(chan struct{})}
		if g.flights == nil {
			g.flights = map[pullKey]*pullFlight{}
		}
		g.flights[key] = f
		start(f)
	}
	f.callers++
	return f
}

// leave takes one caller off f, and reports whether it was the last; then f is
// cancelled.
func (g *pullGroup) leave(f *pullFlight) (last bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f.callers--
	if f.callers > 0 {
		return false
	}
	g.forget(f)
	f.cancel()
	return true
}

// finish tells the callers of f that it is over.
func (g *pullGroup) finish(f *pullFlight) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(f)
	close(f.done)
}

func (g *pullGroup) forget(f *pullFlight) {
	if g.flights[f.key] == f {
		delete(g.flights, f.key)
	}
}

// leaveTime is how long the last caller waits for the end of a pull that it
// has cancelled, so that nothing of it is left. A client that heeds its
// context takes no time.
const leaveTime = time.Second

// sharePull waits for the pull of key as long as this caller does.
func (r *Runtime) sharePull(ctx context.Context, named reference.Named, key pullKey, w *pullWatch) (*pullTracker, error) {
	f := r.pulls.join(key, w.stall, func(f *pullFlight) {
		var pullCtx context.Context
		pullCtx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
		go r.runPull(pullCtx, f, named)
	})
	leave := sync.OnceValue(func() bool { return r.pulls.leave(f) })
	// Also while this caller's Progress does not return.
	stop := context.AfterFunc(ctx, func() { leave() })
	defer func() {
		stop()
		if !leave() {
			return
		}
		late := time.NewTimer(leaveTime)
		defer late.Stop()
		select {
		case <-f.done:
		case <-late.C:
		}
	}()
	return f.tracker, w.watch(ctx, f)
}

// errPullAbandoned is what comes of a pull whose goroutine ended in between: a
// test's double called FailNow.
var errPullAbandoned = fmt.Errorf("%w: the client abandoned the pull", ErrBadAnswer)

// runPull has the engine pull for all callers of f.
func (r *Runtime) runPull(ctx context.Context, f *pullFlight, named reference.Named) {
	f.err = errPullAbandoned
	defer func() {
		f.cancel()
		f.tracker.end()
		r.pulls.finish(f)
	}()
	auth, err := f.key.credential.registryAuth(named)
	if err != nil {
		f.err = err
		return
	}
	if r.pulls.slots != nil {
		select {
		case r.pulls.slots <- struct{}{}:
			defer func() { <-r.pulls.slots }()
		case <-ctx.Done():
			f.err = ctx.Err()
			return
		}
	}
	f.tracker.begin(time.Now())
	err = r.pull(ctx, named, image.PullOptions{Platform: f.key.platform, RegistryAuth: auth}, f.tracker)
	f.err = scrub(err, pullSecrets(f.key.credential, auth))
}

// pullSecrets is what no error may repeat of a credential.
func pullSecrets(c Credential, auth string) []EnvVar {
	basic := base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + c.Password))
	return []EnvVar{{Value: c.Password}, {Value: c.IdentityToken}, {Value: c.RegistryToken}, {Value: auth}, {Value: basic}}
}

// pull ends when the engine has reported the end of the pull.
func (r *Runtime) pull(ctx context.Context, named reference.Named, opts image.PullOptions, tracker *pullTracker) error {
	defer r.images.forget() // a tag may have moved
	body, err := r.docker.ImagePull(ctx, reference.FamiliarString(named), opts)
	if err != nil {
		return pullCallError(named, err)
	}
	// A body that does not watch ctx by itself is closed under its reader.
	stop := context.AfterFunc(ctx, func() { body.Close() })
	defer func() {
		stop()
		body.Close()
	}()
	err = readPull(body, func(m pullMessage) { tracker.observe(m, time.Now()) })
	var failed *pullFailure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failed):
		return pullError(named, failed.code, failed.text, nil)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return &classified{ErrBadAnswer, fmt.Sprintf("%v: report on the pull from registry %s: %v", ErrBadAnswer, reference.Domain(named), err)}
}

// pullWatch is what one caller sees of a pull, over all its credentials.
type pullWatch struct {
	progress func(PullProgress)
	begun    bool
	ticker   *time.Ticker
	ticks    <-chan time.Time // nil without progress
	stall    time.Duration    // 0: no limit
}

func newPullWatch(opts PullOptions) *pullWatch {
	w := &pullWatch{progress: opts.Progress, stall: cmp.Or(max(opts.Stall, -1), DefaultPullStall)}
	if w.progress != nil {
		w.ticker = time.NewTicker(cmp.Or(opts.ProgressInterval, time.Second))
		w.ticks = w.ticker.C
	}
	return w
}

func (w *pullWatch) stop() {
	if w.ticker != nil {
		w.ticker.Stop()
	}
}

// show calls the caller's function with what is known now.
func (w *pullWatch) show(t *pullTracker) {
	if w.progress != nil {
		w.progress(t.progress(time.Now()))
	}
}

// watch waits for the end of f, of ctx, or of the patience.
func (w *pullWatch) watch(ctx context.Context, f *pullFlight) error {
	if !w.begun {
		w.begun = true
		w.show(f.tracker)
	}
	late := time.NewTimer(time.Hour)
	defer late.Stop()
	for {
		select {
		case <-f.done: // before all else: a success that comes with a deadline is one
			if f.err == nil || ctx.Err() == nil {
				return f.err
			}
		default:
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		at, silence, changed := f.tracker.stallsAt(w.stall)
		late.Stop()
		if !at.IsZero() {
			now := time.Now()
			if !now.Before(at) {
				return &PullStalledError{silence, f.tracker.progress(now)}
			}
			late.Reset(at.Sub(now))
		}
		select {
		case <-f.done:
		case <-ctx.Done():
		case <-w.ticks:
			w.show(f.tracker)
		case <-changed:
		case <-late.C:
		}
	}
}

// pulledImage looks for the image after a pull. Engines have reported success
// without one. The look has its own deadline, which a pull has not.
func (r *Runtime) pulledImage(ctx context.Context, op, target string, named reference.Named) (_ Image, err error) {
	ctx, end := r.begin(ctx, op, target)
	defer end(&err)
	img, err := r.resolveImage(ctx, named.String())
	if err != nil {
		return Image{}, fmt.Errorf("the engine reported success, but: %w", err)
	}
	return img.Image, nil
}

// EnsureImage makes sure that the image is on the engine, and returns it.
// With [PullNever], and for an image ID, which cannot be pulled, an absent
// image is [ErrImageNotFound]. Otherwise the errors are those of
// [Runtime.PullImage]. An image that is there is taken for whatever platform
// it is.
func (r *Runtime) EnsureImage(ctx context.Context, ref string, policy PullPolicy, opts PullOptions) (Image, error) {
	policy, err := pullPolicyFor(ref, policy)
	if err != nil {
		return Image{}, &Error{"ensure image", redactRef(ref), err}
	}
	if policy != PullAlways {
		img, err := r.ImageStatus(ctx, ref)
		switch {
		case err == nil:
			r.imageAges.touch(img.ID, time.Now())
			return img, nil
		case policy == PullNever || !errors.Is(err, ErrImageNotFound):
			return Image{}, err
		}
	}
	return r.PullImage(ctx, ref, opts)
}

// pullPolicyFor fills in the default.
func pullPolicyFor(ref string, policy PullPolicy) (PullPolicy, error) {
	t, err := parseImageTarget(ref)
	if err != nil {
		return "", err
	}
	switch policy {
	case "", PullAlways, PullIfNotPresent, PullNever:
	default:
		return "", &FieldError{"policy", fmt.Sprintf("%q; want %s, %s, %s or none", string(policy), PullAlways, PullIfNotPresent, PullNever)}
	}
	switch {
	case t.name == nil:
		return PullNever, nil
	case policy != "":
		return policy, nil
	}
	if tag, ok := engineRef(t.name).(reference.Tagged); ok && tag.Tag() == "latest" {
		return PullAlways, nil
	}
	return PullIfNotPresent, nil
}

// pullFailure is an error that stands in an engine's report.
type pullFailure struct {
	code int // HTTP status of the registry; 0: not told, and most often it is not
	text string
}

func (f *pullFailure) Error() string { return f.text }

// maxPullMessage bounds one message of the report.
const maxPullMessage = 1 << 20

// readPull reads an engine's report on a pull to its end, and has observe see
// each message. Podman's has neither a digest nor a closing status in it, so
// that an end without an error is all that success looks like. The error is a
// *pullFailure, or another one if the report breaks off or is none.
func readPull(report io.Reader, observe func(pullMessage)) error {
	limited := &io.LimitedReader{R: report}
	dec := json.NewDecoder(limited)
	for {
		limited.N = maxPullMessage
		var m pullMessage
		switch err := dec.Decode(&m); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case m.ErrorDetail != nil:
			text := m.ErrorDetail.Message
			if text == "" {
				text = m.Error
			}
			return &pullFailure{m.ErrorDetail.Code, text}
		case m.Error != "":
			return &pullFailure{0, m.Error}
		}
		observe(m)
	}
}

// pullCallError classifies a refusal that came before any report.
func pullCallError(named reference.Named, err error) error {
	if isContextError(err) {
		return err
	}
	if kind := transportKind(err); kind != nil {
		return &classified{kind, tidyPullText(err.Error())}
	}
	text := strings.TrimPrefix(err.Error(), "Error response from daemon: ")
	if at := pageStart.FindStringIndex(text); at != nil && at[0] == 0 {
		return concise(err) // not a registry's page: that of a proxy before the engine
	}
	if strings.HasSuffix(text, "page not found") {
		return &classified{ErrBadAnswer, tidyPullText(text)} // the route is missing, not the image
	}
	return pullError(named, 0, text, err)
}

// pullError turns a registry's answer, as the engine tells it, into this
// package's vocabulary. cause is the engine's own error; nil if the answer
// stood in the report.
//
// Engines agree on the words more than on the classes: without credentials
// Docker 20.10 answers 500, Docker 28 answers 401, and the newest 500 again.
func pullError(named reference.Named, code int, text string, cause error) error {
	kind := pullKind(code, text)
	if kind == nil && cause != nil && errdefs.IsNotFound(cause) {
		kind = ErrManifestUnknown
	}
	if kind == nil && cause != nil && errdefs.IsUnauthorized(cause) {
		kind = ErrPullUnauthorized
	}
	if kind == nil && pageStart.MatchString(text) {
		kind = ErrRegistryUnavailable
	}
	host := reference.Domain(named)
	tidy := tidyPullText(text)
	if tidy == "" {
		tidy = "no reason given"
		if code != 0 {
			tidy = strings.TrimSpace(fmt.Sprintf("%d %s", code, http.StatusText(code)))
		}
	}
	switch {
	case kind != nil:
		return &classified{kind, fmt.Sprintf("%v: registry %s: %s", kind, host, tidy)}
	case cause != nil:
		return &classified{classOf(cause), tidy}
	}
	return &classified{errdefs.ErrUnknown, tidy}
}

// pullWords finds what a registry answered in the words of Docker 20.10 to the
// newest and of Podman. The first that matches decides: a limit on pulls is
// also called "denied", and a token server's failure "unauthorized". Words that
// may be part of an image's name have to stand alone.
var pullWords = []struct {
	kind  error
	words *regexp.Regexp
}{
	{ErrRateLimited, regexp.MustCompile(`toomanyrequests|\bpull rate limit\b|\b429 too many requests|\bhttp 429\b|` + httpStatus + `429\b`)},
	{ErrRegistryUnavailable, regexp.MustCompile(`\b502 bad gateway|\b503 service (?:temporarily )?unavailable|\b504 gateway time-?out|\bhttp 50[234]\b|` + httpStatus + `50[234]\b`)},
	{ErrRegistryTLS, regexp.MustCompile(`(?:^|[\s"])(?:x509|tls): |server gave http response to https client`)},
	{ErrRegistryUnavailable, regexp.MustCompile(`connect: (?:connection refused|no route to host|network is unreachable|connection timed out)|: no such host|i/o timeout|tls handshake timeout|server misbehaving|temporary failure in name resolution|connection reset by peer|request canceled while waiting for connection|timeout exceeded while awaiting headers|\beof$`)},
	// A web page whose text is left out, of a proxy or of a hotel's network.
	{ErrRegistryUnavailable, regexp.MustCompile(`invalid character '<' looking for beginning of value|\(text/html\) from remote`)},
	{ErrPullUnauthorized, regexp.MustCompile(`(?:^|[\s"(])(?:unauthorized|denied)(?:: |[\s",.)]|$)|\b401 unauthorized|\b403 forbidden|\bhttp 40[13]\b|` + httpStatus + `40[13]\b|authentication required|insufficient_scope|no basic auth credentials`)},
	{ErrManifestUnknown, regexp.MustCompile(`manifest unknown|name unknown|manifest for .* not found|failed to resolve reference .* not found|no matching manifest|no match for platform|unknown blob|could not fetch content descriptor .* not found|` + httpStatus + `404\b`)},
	{ErrImageCorrupt, regexp.MustCompile(`filesystem layer verification failed|unexpected commit digest|failed size validation|digest did not match|manifest does not match provided manifest digest|unexpected end of json input`)},
}

// httpStatus precedes a status: "unexpected HTTP status: 503", "invalid status
// code from registry 503".
const httpStatus = `status(?: code)?(?: from registry)?:? `

// pullKind returns the sentinel for a registry's answer, nil if it does not
// tell.
func pullKind(code int, text string) error {
	switch code {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return ErrRegistryUnavailable
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrPullUnauthorized
	case http.StatusTooManyRequests:
		return ErrRateLimited
	case http.StatusNotFound:
		return ErrManifestUnknown
	}
	// The kernel's words are no registry's.
	text = strings.ReplaceAll(strings.ToLower(text), "permission denied", "")
	for _, w := range pullWords {
		if w.words.MatchString(text) {
			return w.kind
		}
	}
	return nil
}

var (
	pageStart  = regexp.MustCompile(`(?i)<(?:!doctype|html|head|body)\b`)
	pageTitle  = regexp.MustCompile(`(?is)<title>\s*(.*?)\s*</title>`)
	urlSecrets = regexp.MustCompile(`(https?://)(?:[^\s"/@]*@)?([^\s"?]*)(\?[^\s"]*)?`)
	authHeader = regexp.MustCompile(`(?i)(authorization:\s*\w+\s+)\S+`)
)

// maxPullText bounds what is repeated of a registry's answer.
const maxPullText = 512

// tidyPullText makes one short line of what an engine tells of a registry: of
// a web page it keeps the title, of a URL neither password nor query, where
// storage services put their signatures.
func tidyPullText(text string) string {
	if at := pageStart.FindStringIndex(text); at != nil {
		title := "a web page"
		if m := pageTitle.FindStringSubmatch(text[at[0]:]); m != nil && m[1] != "" && !strings.Contains(m[1], "<") {
			title = fmt.Sprintf("a web page, %q", m[1])
		}
		text = strings.TrimRight(text[:at[0]], ": \r\n\t") + " (" + title + ")"
	}
	text = urlSecrets.ReplaceAllString(text, "$1$2")
	text = authHeader.ReplaceAllString(text, "${1}…")
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	if len(text) > maxPullText {
		text = strings.ToValidUTF8(text[:maxPullText], "") + "…"
	}
	return text
}
