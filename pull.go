package dockpod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
)

// The sentinels of a failed pull. What the registry said stands in the error's
// text, without the page of HTML that a proxy may have sent.
var (
	// ErrRegistryUnavailable: the registry did not answer, or with 502, 503
	// or 504. Try again later. Class Unavailable. "RegistryUnavailable" is
	// the reason that the kubelet shows.
	ErrRegistryUnavailable = newSentinel("RegistryUnavailable", errdefs.ErrUnavailable)
	// ErrPullUnauthorized: the registry wants credentials, or others. Docker
	// Hub says so too of a repository that does not exist. Class
	// Unauthenticated.
	ErrPullUnauthorized = newSentinel("pull is not authorized", errdefs.ErrUnauthenticated)
	// ErrRateLimited: the registry answered 429. Class ResourceExhausted.
	ErrRateLimited = newSentinel("pull is rate limited", errdefs.ErrResourceExhausted)
	// ErrManifestUnknown: the registry has no such repository, tag, digest or
	// platform. Class NotFound.
	ErrManifestUnknown = newSentinel("registry has no such image", errdefs.ErrNotFound)
)

// PullOptions changes how an image is pulled. The zero value pulls for the
// engine's own platform.
type PullOptions struct {
	Platform string // "linux/arm64"; empty: the engine's
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
// The error is [ErrRegistryUnavailable], [ErrPullUnauthorized],
// [ErrRateLimited] or [ErrManifestUnknown] where the registry's answer tells,
// [ErrBadAnswer] if the engine's report broke off (the image may have been
// pulled), [ErrImageNotFound] if it reported success and the image is not
// there, and a [*FieldError] if ref is not a name.
//
// A pull takes as long as it takes: only ctx ends it.
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
	}
	named := engineRef(t.name)
	if err := r.pull(ctx, named, opts); err != nil {
		return Image{}, err
	}
	return r.pulledImage(ctx, op, target, named)
}

// pull ends when the engine has reported the end of the pull.
func (r *Runtime) pull(ctx context.Context, named reference.Named, opts PullOptions) error {
	body, err := r.docker.ImagePull(ctx, reference.FamiliarString(named), image.PullOptions{Platform: opts.Platform})
	if err != nil {
		return pullCallError(named, err)
	}
	// A body that does not watch ctx by itself is closed under its reader.
	stop := context.AfterFunc(ctx, func() { body.Close() })
	defer func() {
		stop()
		body.Close()
	}()
	err = readPull(body)
	var failed *pullFailure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failed):
		return pullError(named, failed.code, failed.text, nil)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return err
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
// [Runtime.PullImage].
func (r *Runtime) EnsureImage(ctx context.Context, ref string, policy PullPolicy, opts PullOptions) (Image, error) {
	policy, err := pullPolicyFor(ref, policy)
	if err != nil {
		return Image{}, &Error{"ensure image", redactRef(ref), err}
	}
	if policy != PullAlways {
		img, err := r.ImageStatus(ctx, ref)
		if err == nil || policy == PullNever || !errors.Is(err, ErrImageNotFound) {
			return img, err
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

// pullMessage is one line of an engine's report on a pull, as far as it is
// read. Docker's failures carry both forms of the error, old engines the
// second alone.
type pullMessage struct {
	ErrorDetail *pullErrorDetail `json:"errorDetail"`
	Error       string           `json:"error"`
}

type pullErrorDetail struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// pullFailure is an error that stands in an engine's report.
type pullFailure struct {
	code int // HTTP status of the registry; 0: not told, and most often it is not
	text string
}

func (f *pullFailure) Error() string { return f.text }

// maxPullMessage bounds one message of the report.
const maxPullMessage = 1 << 20

// readPull reads an engine's report on a pull to its end. Podman's has neither
// a digest nor a closing status in it, so that an end without an error is all
// that success looks like. The error is a *pullFailure, or [ErrBadAnswer] if
// the report breaks off or is none.
func readPull(report io.Reader) error {
	limited := &io.LimitedReader{R: report}
	dec := json.NewDecoder(limited)
	for {
		limited.N = maxPullMessage
		var m pullMessage
		switch err := dec.Decode(&m); {
		case err == io.EOF:
			return nil
		case err != nil:
			return &classified{ErrBadAnswer, fmt.Sprintf("%v: report on the pull: %v", ErrBadAnswer, err)}
		case m.ErrorDetail != nil:
			text := m.ErrorDetail.Message
			if text == "" {
				text = m.Error
			}
			return &pullFailure{m.ErrorDetail.Code, text}
		case m.Error != "":
			return &pullFailure{0, m.Error}
		}
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
	{ErrRateLimited, regexp.MustCompile(`toomanyrequests|\b429 too many requests|\bhttp 429\b|status(?: code)?:? 429\b`)},
	{ErrRegistryUnavailable, regexp.MustCompile(`\b502 bad gateway|\b503 service (?:temporarily )?unavailable|\b504 gateway time-?out|\bhttp 50[234]\b|status(?: code)?:? 50[234]\b`)},
	{ErrRegistryUnavailable, regexp.MustCompile(`connect: (?:connection refused|no route to host|network is unreachable|connection timed out)|: no such host|i/o timeout|tls handshake timeout|server misbehaving|temporary failure in name resolution|connection reset by peer|request canceled while waiting for connection|timeout exceeded while awaiting headers|\beof$`)},
	{ErrPullUnauthorized, regexp.MustCompile(`(?:^|[\s"(])(?:unauthorized|denied)(?:: |[\s",.)]|$)|\b401 unauthorized|\b403 forbidden|\bhttp 40[13]\b|status(?: code)?:? 40[13]\b|authentication required|insufficient_scope|no basic auth credentials`)},
	{ErrManifestUnknown, regexp.MustCompile(`manifest unknown|name unknown|manifest for .* not found|failed to resolve reference .* not found|no matching manifest|no match for platform`)},
}

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
	text = strings.ToLower(text)
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
