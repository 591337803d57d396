package dockpod

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
)

// Error is what every method of a [Runtime] returns when it fails: what was
// being done, to what, and why. Err keeps the class that the predicates of
// github.com/containerd/errdefs look for (IsNotFound, IsConflict,
// IsInvalidArgument, IsUnavailable, IsDeadlineExceeded, IsPermissionDenied,
// IsNotImplemented), and one of the sentinels of this package where that
// vocabulary is too coarse.
type Error struct {
	Op     string // what was being done, in words: "start container"
	Target string // the ID, name or reference it was done to; may be empty
	Err    error
}

// Error returns `op "target": cause`, or "op: cause" without a target.
func (e *Error) Error() string {
	if e.Target == "" {
		return e.Op + ": " + e.Err.Error()
	}
	return fmt.Sprintf("%s %q: %v", e.Op, e.Target, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// The sentinels say what the classes of errdefs cannot. Test for them with
// [errors.Is]; each belongs to the class named beside it.
var (
	// ErrContainerNotFound: no container has this ID. Class NotFound.
	ErrContainerNotFound = newSentinel("container not found", errdefs.ErrNotFound)
	// ErrImageNotFound: the engine has no such image. Pull it and try again.
	// Class NotFound.
	ErrImageNotFound = newSentinel("image not found", errdefs.ErrNotFound)
	// ErrImageInUse: the image was not removed, because a container uses it or
	// because it is the sandboxes' own. Class Conflict.
	ErrImageInUse = newSentinel("image is in use", errdefs.ErrConflict)
	// ErrSandboxGone: the sandbox, or another container whose namespaces
	// were to be joined, is not there or not running. The container itself
	// still exists. Class FailedPrecondition.
	ErrSandboxGone = newSentinel("sandbox is gone or not running", errdefs.ErrFailedPrecondition)
	// ErrNoNetwork: the engine has no network of the name that [WithNetwork]
	// gave. Class FailedPrecondition.
	ErrNoNetwork = newSentinel("no such network", errdefs.ErrFailedPrecondition)
	// ErrNotManaged: the object exists and is not this Runtime's. Nothing
	// was done to it. Class PermissionDenied.
	ErrNotManaged = newSentinel("not managed by this runtime", errdefs.ErrPermissionDenied)
	// ErrNameConflict: the name is held by another container, which a
	// [*NameConflictError] identifies. Class Conflict.
	ErrNameConflict = newSentinel("name is in use", errdefs.ErrConflict)
	// ErrRemovalInProgress: the engine is removing the container and has
	// not finished. Class Conflict.
	ErrRemovalInProgress = newSentinel("removal in progress", errdefs.ErrConflict)
	// ErrRunning: the operation needs a container that does not run.
	// Class Conflict.
	ErrRunning = newSentinel("container is running", errdefs.ErrConflict)
	// ErrNotRunning: the operation needs a running container. Class Conflict.
	ErrNotRunning = newSentinel("container is not running", errdefs.ErrConflict)
	// ErrMemoryInUse: a running container uses more memory than the limit
	// that an update would give it. Class FailedPrecondition.
	ErrMemoryInUse = newSentinel("more memory is in use", errdefs.ErrFailedPrecondition)
	// ErrCannotRun: the executable of a container or an exec is missing, is
	// not one, or may not be executed; or the user or directory of an exec is
	// not there. Class InvalidArgument.
	ErrCannotRun = newSentinel("executable cannot be run", errdefs.ErrInvalidArgument)
	// ErrAlreadyRan: the container has run before, or failed to start. A
	// kubelet never starts one again in place but creates the next attempt;
	// [WithRestart] allows it. Class Conflict.
	ErrAlreadyRan = newSentinel("container has run, or failed to start, before", errdefs.ErrConflict)
	// ErrPortInUse: a host port of the sandbox is taken; a
	// [*PortConflictError] names the holder where it is ours. Class Conflict.
	ErrPortInUse = newSentinel("host port is in use", errdefs.ErrConflict)
	// ErrLogLink: the container was started and runs, but the link to its
	// log could not be made. No class: the file system's error is inside.
	ErrLogLink = errors.New("log link failed after a good start")
	// ErrLogFile: the container's log cannot be written to its file (see
	// [WithLogFiles]); the container itself is as it was. No class of its own:
	// the file system's or the engine's error is inside.
	ErrLogFile = errors.New("log file cannot be written")
	// ErrLogsUnreadable: the container's log driver keeps nothing that can be
	// read back, such as "none", or the log file that was demanded is not
	// there. Class NotImplemented.
	ErrLogsUnreadable = newSentinel("logs cannot be read", errdefs.ErrNotImplemented)
	// ErrInvalidName: a container name that does not follow the grammar.
	// Class InvalidArgument.
	ErrInvalidName = newSentinel("invalid name", errdefs.ErrInvalidArgument)
	// ErrUnsupported: the engine, its API version or this platform cannot do
	// it; an [*UnsupportedError] names the field. Class NotImplemented.
	ErrUnsupported = newSentinel("unsupported", errdefs.ErrNotImplemented)
	// ErrTimeout: this library's own deadline passed, not the caller's.
	// Class DeadlineExceeded; errors.Is(err, context.DeadlineExceeded) holds.
	ErrTimeout = newSentinel("request timed out", context.DeadlineExceeded)
	// ErrUnreachable: no engine answers at the endpoint. Class Unavailable.
	ErrUnreachable = newSentinel("engine is not reachable", errdefs.ErrUnavailable)
	// ErrNotReady: an engine answers, but with a failure of its own; or a
	// [Mirror] is not up to date enough to tell. Class Unavailable.
	ErrNotReady = newSentinel("engine is not ready", errdefs.ErrUnavailable)
	// ErrMirrorClosed: a [Mirror] was read after its end. Class
	// FailedPrecondition.
	ErrMirrorClosed = newSentinel("mirror is closed", errdefs.ErrFailedPrecondition)
	// ErrBadAnswer: the engine's answer was cut short or is not what its
	// API promises. Whether the request was carried out is not known.
	// Class Unavailable.
	ErrBadAnswer = newSentinel("engine's answer cannot be read", errdefs.ErrUnavailable)
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
	// platform, or not all of the image. Class NotFound.
	ErrManifestUnknown = newSentinel("registry has no such image", errdefs.ErrNotFound)
	// ErrRegistryTLS: the registry's certificate is not to be trusted, or it
	// speaks no TLS. It takes somebody who configures the engine or the
	// registry. Class FailedPrecondition.
	ErrRegistryTLS = newSentinel("no TLS connection to the registry", errdefs.ErrFailedPrecondition)
	// ErrImageCorrupt: what the registry sent is not what the image's digests
	// say. Class DataLoss.
	ErrImageCorrupt = newSentinel("registry sent a corrupt image", errdefs.ErrDataLoss)
	// ErrPullStalled: the engine reported nothing new on a pull for as long as
	// [PullOptions].Stall allows; a [*PullStalledError] has the last that it
	// did report. Class DeadlineExceeded; a caller's own deadline is not
	// ErrPullStalled.
	ErrPullStalled = newSentinel("pull stalled", context.DeadlineExceeded)
)

// sentinel is an error of a class: errors.Is finds both.
type sentinel struct {
	text  string
	class error
}

func newSentinel(text string, class error) error { return &sentinel{text, class} }

func (s *sentinel) Error() string { return s.text }
func (s *sentinel) Unwrap() error { return s.class }

// FieldError is a value that was refused before the engine was asked. Its
// class is InvalidArgument.
type FieldError struct {
	Field  string // path of the field in Go's spelling: `Mounts[1].Source`
	Reason string // what is wrong, without the value where it may be secret
}

// Error returns "field: reason".
func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// InvalidParameter marks the class for errdefs.IsInvalidArgument.
func (e *FieldError) InvalidParameter() {}

// UnsupportedError is a field or feature that is refused instead of being
// dropped in silence. errors.Is(err, ErrUnsupported) holds, and its class is
// NotImplemented.
type UnsupportedError struct {
	Field  string // the field or feature
	Reason string // who lacks it, and from which API version it is there
}

// Error returns "field is not supported: reason".
func (e *UnsupportedError) Error() string { return e.Field + " is not supported: " + e.Reason }

// Unwrap returns [ErrUnsupported].
func (e *UnsupportedError) Unwrap() error { return ErrUnsupported }

// NameConflictError is a name that another container holds.
// errors.Is(err, ErrNameConflict) holds.
type NameConflictError struct {
	Name     string
	HolderID string // empty if the engine did not say and the holder could not be looked up
	Reason   string // why the holder was neither adopted nor removed; may be empty
}

// Error names the holder.
func (e *NameConflictError) Error() string {
	s := fmt.Sprintf("name %q is in use by container %q", e.Name, e.HolderID)
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

// Unwrap returns [ErrNameConflict].
func (e *NameConflictError) Unwrap() error { return ErrNameConflict }

// PortConflictError is a host port that is taken. errors.Is(err, ErrPortInUse)
// holds.
type PortConflictError struct {
	Port     PortMapping
	HolderID string // the sandbox of this Runtime that holds the port; empty: somebody else
	Holder   Name   // that sandbox's name
	Err      error  // the engine's own error, if it was asked
}

// Error names the port and its holder.
func (e *PortConflictError) Error() string {
	s := fmt.Sprintf("host port %d/%s is in use", e.Port.HostPort, e.Port.protocol())
	if e.HolderID != "" {
		s += fmt.Sprintf(" by sandbox %q of pod %s/%s", e.HolderID, e.Holder.Namespace, e.Holder.Pod)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns [ErrPortInUse], and the engine's error if there is one.
func (e *PortConflictError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrPortInUse}
	}
	return []error{ErrPortInUse, e.Err}
}

// classified is an engine's error in its own words under a kind of ours. The
// engine's error is no longer in the chain: its class may contradict the kind
// (Docker answers a start whose sandbox is gone with 404, Podman a taken name
// with 500).
type classified struct {
	kind error
	text string
}

func (e *classified) Error() string { return e.text }
func (e *classified) Unwrap() error { return e.kind }

// verb is what the engine was asked; the same answer means different things
// to different verbs.
type verb int

const (
	verbOther     verb = iota // lists, and questions about the engine itself
	verbContainer             // inspect, stop, kill, wait: the target is a container
	verbLogs                  // read a container's log
	verbCreate                // create a container
	verbStart                 // start a container
	verbRemove                // remove a container
	verbUpdate                // update a container
	verbImage                 // inspect, remove, history: the target is an image
	verbExec                  // create, start, attach, inspect an exec: the target is its container
)

// conflictText finds the holder of a name in an engine's refusal. Docker up
// to 1.12 wrote the ID bare, later ones quote it; Podman quotes the name
// alone and says "creating container storage" before it.
var conflictText = regexp.MustCompile(`(?i)the (?:container )?name "?/?([^"\s]+)"? is already in use by (?:container )?"?([^"\s.]+)`)

// parseConflict returns the name and the holder that a refusal speaks of.
func parseConflict(text string) (name, holder string, ok bool) {
	m := conflictText.FindStringSubmatch(text)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// classify turns an engine's answer to v about target into this package's
// vocabulary. An engine's words are read only where its classes do not tell,
// and every wording was seen on an engine.
// Context errors, what is classified already, and nil pass through.
func classify(v verb, target string, err error) error {
	var done *classified
	if err == nil || isContextError(err) || errors.As(err, &done) {
		return err
	}
	if kind := transportKind(err); kind != nil {
		return &classified{kind, bounded(err.Error())}
	}
	if isWebPage(err.Error()) {
		return concise(err) // not the engine's words, whatever they are
	}
	text := strings.ToLower(err.Error())
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	as := func(kind error) error { return &classified{kind, bounded(err.Error())} }
	if v != verbUpdate && errdefs.IsNotFound(err) && strings.HasSuffix(text, "page not found") {
		return as(ErrBadAnswer) // the route is missing, not what was asked for
	}

	switch v {
	case verbCreate:
		if name, holder, ok := parseConflict(bounded(err.Error())); ok {
			return &NameConflictError{Name: name, HolderID: holder}
		}
		switch {
		case has("to share net namespace with", "no such container"):
			return as(ErrSandboxGone)
		case has("no such image", "image not known"), errdefs.IsNotFound(err) && !has("network "):
			return as(ErrImageNotFound)
		case errdefs.IsNotFound(err):
			return as(ErrNoNetwork)
		case errdefs.IsConflict(err):
			// Whatever the words: the holder can be asked for by its name.
			return &NameConflictError{Name: target}
		}
	case verbStart:
		switch {
		case has("marked for removal"):
			return as(ErrRemovalInProgress)
		case has("address already in use", "port is already allocated"):
			return as(ErrPortInUse)
		case has("non running container", "non-running container", "namespace of container", "namespace path: "):
			return as(ErrSandboxGone) // the last is runc's, of one that ended that moment
		case has("no such container") && !has(strings.ToLower(target)):
			return as(ErrSandboxGone)
		case errdefs.IsNotFound(err) && has("network ") && !has("no such container"):
			return as(ErrNoNetwork) // the container is there
		case has("exec: ") && has("no such file or directory", "executable file not found", "permission denied", "exec format error", "is a directory"),
			has("attempted to invoke a command that was not found", "container process: permission denied"):
			return &classified{ErrCannotRun, ErrCannotRun.Error() + ": " + bounded(execText(err.Error()))}
		}
	case verbRemove:
		switch {
		case has("removal of container") && has("already in progress"):
			return as(ErrRemovalInProgress)
		case has("cannot remove a running container", "container is running", "as it is running",
			"cannot remove a paused container", "container is paused", "as it is paused"):
			return as(ErrRunning)
		}
	case verbLogs:
		if errdefs.IsNotImplemented(err) || has("does not support reading", "using the 'none' log driver") {
			return as(ErrLogsUnreadable)
		}
		if has("dead or marked for removal") {
			return as(ErrRemovalInProgress)
		}
	case verbUpdate:
		// Podman has no such call: a 404 that names no container.
		if errdefs.IsNotFound(err) && !has("no such container") {
			return as(ErrUnsupported)
		}
		// In runc's words and in the kernel's.
		if has("unable to set memory limit to") && has("usage") || has("limit_in_bytes: device or resource busy") {
			return as(ErrMemoryInUse)
		}
	case verbExec:
		switch {
		case has("no such exec", "exec session"):
			return as(ErrBadAnswer) // the engine has lost it, most often with its container
		case has("is paused"):
			return as(ErrPaused)
		case cannotRun(text):
			return &classified{ErrCannotRun, ErrCannotRun.Error() + ": " + bounded(execText(err.Error()))}
		}
	case verbImage:
		// The last two are Podman's about an image that goes at that moment.
		if errdefs.IsNotFound(err) || has("no such image", "image not known", "unrecognized image id", "layer not known", "cannot specify 64-byte hexadecimal strings") {
			return as(ErrImageNotFound)
		}
	}
	switch {
	case v == verbOther && errdefs.IsNotFound(err):
		return as(ErrNotReady) // nothing was asked for that could be absent
	case v == verbOther || v == verbImage || v == verbCreate:
	case errdefs.IsNotFound(err), has("no such container", "does not exist in database"):
		return as(ErrContainerNotFound)
	case has("is not running", "only kill running containers", "only create exec sessions on running", "state improper: stopped"):
		return as(ErrNotRunning)
	}
	// The client refuses by itself what the negotiated API version lacks.
	if has("requires api v", "mount type unknown") {
		return as(ErrUnsupported)
	}
	if has("client version") && has("is too old", "is too new") {
		return as(ErrUnsupported) // a pinned version, or an engine that was exchanged
	}
	if errdefs.IsUnavailable(err) {
		return as(ErrNotReady)
	}
	return concise(err)
}

// execText cuts a runtime's message down to the part about the executable:
// the layers before it each add their own words.
func execText(text string) string {
	if i := strings.LastIndex(text, `exec: "`); i >= 0 {
		text = text[i+len("exec: "):]
	}
	return strings.TrimSuffix(text, ": unknown")
}

// isContextError reports whether a context ended the call.
func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// transportKind tells a failure on the way to the engine or back. The client
// reports a connection that was cut after the request as a failed connect, so
// the cut is looked for first: then the request may have been carried out.
func transportKind(err error) error {
	var (
		syntax    *json.SyntaxError
		wrongType *json.UnmarshalTypeError
		noTime    *time.ParseError
	)
	switch {
	case errors.As(err, &syntax), errors.As(err, &wrongType), errors.As(err, &noTime),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ErrBadAnswer
	case client.IsErrConnectionFailed(err):
		return ErrUnreachable
	}
	return nil
}

// maxErrorText bounds an engine's message: a proxy before it may answer with
// a page of HTML.
const maxErrorText = 768

// concise shortens an engine's message that is a web page or longer than
// anyone reads, keeping its class.
func concise(err error) error {
	text, kind := err.Error(), classOf(err)
	switch {
	case isWebPage(text):
		switch kind {
		case errdefs.ErrNotFound, errdefs.ErrInternal, errdefs.ErrUnavailable, errdefs.ErrUnknown:
			// A proxy's 404 says nothing about a container, and its 502 has
			// no class.
			kind = ErrNotReady
		}
		return &classified{kind, fmt.Sprintf("the endpoint answered with a web page (%v): is this a Docker engine?", kind)}
	case len(text) > maxErrorText:
		return &classified{kind, bounded(text)}
	}
	return err
}

// bounded cuts a text to maxErrorText and says so.
func bounded(text string) string {
	if len(text) <= maxErrorText {
		return text
	}
	return strings.ToValidUTF8(text[:maxErrorText], "") + "…"
}

// isWebPage recognises the answer of something that is no engine.
func isWebPage(text string) bool {
	lower := strings.ToLower(text)
	return strings.Contains(lower, "<html") || strings.Contains(lower, "<!doctype")
}

// classOf returns the class of err among those of errdefs.
func classOf(err error) error {
	for _, c := range []struct {
		is    func(error) bool
		class error
	}{
		{errdefs.IsNotFound, errdefs.ErrNotFound},
		{errdefs.IsInvalidArgument, errdefs.ErrInvalidArgument},
		{errdefs.IsConflict, errdefs.ErrConflict},
		{errdefs.IsUnauthorized, errdefs.ErrUnauthenticated},
		{errdefs.IsPermissionDenied, errdefs.ErrPermissionDenied},
		{errdefs.IsUnavailable, errdefs.ErrUnavailable},
		{errdefs.IsNotImplemented, errdefs.ErrNotImplemented},
		{errdefs.IsFailedPrecondition, errdefs.ErrFailedPrecondition},
		{errdefs.IsResourceExhausted, errdefs.ErrResourceExhausted},
		{errdefs.IsInternal, errdefs.ErrInternal},
	} {
		if c.is(err) {
			return c.class
		}
	}
	return errdefs.ErrUnknown
}

// scrub takes the values of environment variables out of an engine's refusal:
// some engines repeat what they were sent. The kind of err stays; what it
// wraps does not, where that holds a value.
//
// A name conflict is left alone: nothing in it is the engine's wording. Values
// of fewer than 4 bytes are, too: they would be found everywhere.
func scrub(err error, envs []EnvVar) error {
	var conflict *NameConflictError
	if err == nil || errors.As(err, &conflict) {
		return err
	}
	var secrets []string
	for _, e := range envs {
		for _, v := range []string{e.Value, strings.TrimSpace(e.Value)} {
			quoted := strconv.Quote(v)
			inJSON, _ := json.Marshal(v) // a string always has a form
			secrets = append(secrets, v, quoted[1:len(quoted)-1], string(inJSON[1:len(inJSON)-1]))
		}
	}
	secrets = slices.DeleteFunc(secrets, func(s string) bool { return len(s) < minSecret })
	// Of two values the longer first: it may contain the other.
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	secrets = slices.Compact(secrets)

	clean := func(text string) string {
		for _, s := range secrets {
			text = strings.ReplaceAll(text, s, "…")
		}
		if head, cut := strings.CutSuffix(text, "…"); cut {
			text = cutSecretStart(head, secrets) + "…" // bounded may have cut one in two
		}
		return text
	}
	text := err.Error()
	if clean(text) == text {
		return err
	}
	var field *FieldError
	var unsupported *UnsupportedError
	switch {
	case errors.As(err, &field):
		return &FieldError{field.Field, clean(field.Reason)}
	case errors.As(err, &unsupported):
		return &UnsupportedError{unsupported.Field, clean(unsupported.Reason)}
	}
	return &classified{kindOf(err), clean(text)}
}

// minSecret is the least length of a value that scrub looks for.
const minSecret = 4

// cutSecretStart drops the beginning of a secret from the end of a text.
func cutSecretStart(text string, secrets []string) string {
	for _, s := range secrets {
		for n := min(len(s), len(text)); n >= minSecret; n-- {
			if strings.HasSuffix(text, s[:n]) {
				return text[:len(text)-n]
			}
		}
	}
	return text
}

// kindOf returns what of err has to outlive its text: the sentinel, the
// context's error, or the class.
func kindOf(err error) error {
	var c *classified
	switch {
	case errors.As(err, &c):
		return c.kind
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	}
	return classOf(err)
}

// joined is several errors in one line.
type joined []error

// joinErrors is errors.Join with a message fit for one line of a log.
func joinErrors(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return joined(errs)
}

func (e joined) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e joined) Unwrap() []error { return e }
