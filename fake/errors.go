package fake

import (
	"fmt"

	"github.com/containerd/errdefs"
)

// answer is an engine's refusal as the Docker client hands it on: the class
// that the HTTP status stands for, and the engine's own words.
type answer struct {
	class error
	text  string
}

func (e *answer) Error() string { return e.text }
func (e *answer) Unwrap() error { return e.class }

func refuse(class error, format string, args ...any) error {
	return &answer{class, "Error response from daemon: " + fmt.Sprintf(format, args...)}
}

// NotFound returns the engine's error for an object that is not there. what is
// "container", "image", "exec" or "volume"; for anything else the text is
// "No such what: id". Its class is errdefs.ErrNotFound (404).
func NotFound(what, id string) error {
	switch what {
	case "exec":
		what = "exec instance"
	case "volume":
		return refuse(errdefs.ErrNotFound, "get %s: no such volume", id)
	}
	return refuse(errdefs.ErrNotFound, "No such %s: %s", what, id)
}

// Conflict returns an error of the class errdefs.ErrConflict (409) in the
// engine's form.
func Conflict(format string, args ...any) error {
	return refuse(errdefs.ErrConflict, format, args...)
}

// Invalid returns an error of the class errdefs.ErrInvalidArgument (400) in
// the engine's form.
func Invalid(format string, args ...any) error {
	return refuse(errdefs.ErrInvalidArgument, format, args...)
}

// Internal returns an error of the class errdefs.ErrInternal (500) in the
// engine's form: most of what goes wrong on Docker's side.
func Internal(format string, args ...any) error {
	return refuse(errdefs.ErrInternal, format, args...)
}

func notImplemented(format string, args ...any) error {
	return refuse(errdefs.ErrNotImplemented, format, args...)
}

// unclassified is an error that the client makes itself and that belongs to no
// class.
func unclassified(format string, args ...any) error {
	return fmt.Errorf(format, args...)
}

// short is an ID as it stands in messages: 12 hex digits.
func short(id string) string {
	const prefix = "sha256:"
	if len(id) > len(prefix) && id[:len(prefix)] == prefix {
		id = id[len(prefix):]
	}
	return id[:min(len(id), 12)]
}

func isNotFound(err error) bool { return errdefs.IsNotFound(err) }

// statusOf is the HTTP status that stands for an error's class.
func statusOf(err error) int {
	switch {
	case errdefs.IsNotFound(err):
		return 404
	case errdefs.IsInvalidArgument(err):
		return 400
	case errdefs.IsConflict(err):
		return 409
	case errdefs.IsNotImplemented(err):
		return 501
	}
	return 500
}
