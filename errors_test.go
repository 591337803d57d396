package dockpod

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
)

// Two containers as an engine calls them.
const (
	workloadID = "b1f2a3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f80"
	sandboxID  = "5a5b5c5d5e5f50515253545556575859606162636465666768696a6b6c6d6e6f"
)

// classesOf names all classes of errdefs that err belongs to.
func classesOf(err error) string {
	var names []string
	for _, c := range []struct {
		name string
		is   func(error) bool
	}{
		{"Canceled", errdefs.IsCanceled}, {"Unknown", errdefs.IsUnknown}, {"InvalidArgument", errdefs.IsInvalidArgument},
		{"DeadlineExceeded", errdefs.IsDeadlineExceeded}, {"NotFound", errdefs.IsNotFound}, {"AlreadyExists", errdefs.IsAlreadyExists},
		{"PermissionDenied", errdefs.IsPermissionDenied}, {"ResourceExhausted", errdefs.IsResourceExhausted},
		{"FailedPrecondition", errdefs.IsFailedPrecondition}, {"Conflict", errdefs.IsConflict}, {"NotModified", errdefs.IsNotModified},
		{"Aborted", errdefs.IsAborted}, {"OutOfRange", errdefs.IsOutOfRange}, {"NotImplemented", errdefs.IsNotImplemented},
		{"Internal", errdefs.IsInternal}, {"Unavailable", errdefs.IsUnavailable}, {"DataLoss", errdefs.IsDataLoss},
		{"Unauthorized", errdefs.IsUnauthorized},
	} {
		if c.is(err) {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, " ")
}

// sentinels are all of this package's, with their classes.
var sentinels = []struct {
	err   error
	class string
}{
	{ErrContainerNotFound, "NotFound"},
	{ErrImageNotFound, "NotFound"},
	{ErrSandboxGone, "FailedPrecondition"},
	{ErrMemoryInUse, "FailedPrecondition"},
	{ErrNoNetwork, "FailedPrecondition"},
	{ErrNotManaged, "PermissionDenied"},
	{ErrNameConflict, "Conflict"},
	{ErrRemovalInProgress, "Conflict"},
	{ErrRunning, "Conflict"},
	{ErrNotRunning, "Conflict"},
	{ErrCannotRun, "InvalidArgument"},
	{ErrAlreadyRan, "Conflict"},
	{ErrPortInUse, "Conflict"},
	{ErrLogLink, ""},
	{ErrInvalidName, "InvalidArgument"},
	{ErrUnsupported, "NotImplemented"},
	{ErrTimeout, "DeadlineExceeded"},
	{ErrUnreachable, "Unavailable"},
	{ErrNotReady, "Unavailable"},
	{ErrBadAnswer, "Unavailable"},
}

// sentinelsOf names all sentinels that errors.Is finds in err.
func sentinelsOf(err error) string {
	var texts []string
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			texts = append(texts, s.err.Error())
		}
	}
	return strings.Join(texts, "; ")
}

func TestSentinelClasses(t *testing.T) {
	for _, s := range sentinels {
		if got := classesOf(s.err); got != s.class {
			t.Errorf("%v: classes %q, want %q", s.err, got, s.class)
		}
		if got := sentinelsOf(s.err); got != s.err.Error() {
			t.Errorf("%v is also %q", s.err, got)
		}
	}
	if !errors.Is(ErrTimeout, context.DeadlineExceeded) {
		t.Error("ErrTimeout is not context.DeadlineExceeded")
	}
	if errors.Is(ErrTimeout, context.Canceled) {
		t.Error("ErrTimeout is context.Canceled")
	}
}

// transport is an engine for the real client: what it answers, the client
// turns into an error as it does for a socket.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func clientFor(t *testing.T, f transport) *client.Client {
	t.Helper()
	c, err := client.NewClientWithOpts(client.WithHost("tcp://engine.invalid:2375"), client.WithVersion(MinAPIVersion), client.WithHTTPClient(&http.Client{Transport: f}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// answered returns the client's error for an answer.
func answered(t *testing.T, status int, contentType, body string) error {
	t.Helper()
	c := clientFor(t, func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), Request: r,
			Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body)),
		}, nil
	})
	err := c.ContainerStart(t.Context(), workloadID, container.StartOptions{})
	if err == nil {
		t.Fatalf("the client takes %d for a success", status)
	}
	return err
}

// refused is answered for an engine's refusal; status 0 is a refusal by the
// client itself.
func refused(t *testing.T, status int, message string) error {
	t.Helper()
	if status == 0 {
		return errors.New(message)
	}
	body, err := json.Marshal(map[string]string{"message": message})
	if err != nil {
		t.Fatal(err)
	}
	return answered(t, status, "application/json", string(body))
}

func TestClassify(t *testing.T) {
	const (
		conflictText = `Conflict. The container name "/k8s_app_p_ns_u_0" is already in use by container "` + workloadID + `". You have to remove (or rename) that container to be able to reuse that name.`
		podmanGone   = `no container with name or ID "` + workloadID + `" found: no such container`
	)
	for _, tt := range []struct {
		name     string
		verb     verb
		status   int // 0: the client's own refusal
		text     string
		sentinel error  // nil: none
		class    string // all classes that hold
	}{
		// Create.
		{"name held, Docker", verbCreate, 409, conflictText, ErrNameConflict, "Conflict"},
		{"name held, Docker 1.12", verbCreate, 409, `Conflict. The name "/k8s_app_p_ns_u_0" is already in use by container ` + workloadID + `. You have to remove (or rename) that container to be able to reuse that name.`, ErrNameConflict, "Conflict"},
		{"name held, Podman", verbCreate, 500, `creating container storage: the container name "k8s_app_p_ns_u_0" is already in use by ` + workloadID + `. You have to remove that container to be able to reuse that name.: that name is already in use`, ErrNameConflict, "Conflict"},
		{"name held, in words nobody has seen", verbCreate, 409, "that will not do", ErrNameConflict, "Conflict"},
		{"name held, no holder named", verbCreate, 409, "name k8s_app_p_ns_u_0 already in use", ErrNameConflict, "Conflict"},
		{"no image, Docker", verbCreate, 404, "No such image: nosuch:1", ErrImageNotFound, "NotFound"},
		{"no image, Podman", verbCreate, 404, "no such image: docker.io/library/nosuch:1: image not known", ErrImageNotFound, "NotFound"},
		{"sandbox never existed, Podman", verbCreate, 500, `looking up container to share net namespace with: no container with name or ID "` + sandboxID + `" found: no such container`, ErrSandboxGone, "FailedPrecondition"},
		{"bad name, Docker", verbCreate, 400, "Invalid container name (_x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", nil, "InvalidArgument"},
		{"bad name, Podman", verbCreate, 500, "names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument", nil, "Internal"},
		{"relative working directory", verbCreate, 400, "the working directory 'a' is invalid, it needs to be an absolute path", nil, "InvalidArgument"},
		{"working directory is a file", verbCreate, 500, "Cannot mkdir: /etc/passwd is not a directory", nil, "Internal"},
		{"no command, Docker 20.10", verbCreate, 400, "No command specified", nil, "InvalidArgument"},
		{"no command, Docker 28", verbCreate, 400, "no command specified", nil, "InvalidArgument"},
		{"no command, Podman", verbCreate, 500, "no command or entrypoint provided, and no CMD or ENTRYPOINT from image", nil, "Internal"},
		{"unknown runtime", verbCreate, 400, "Unknown runtime specified nosuch", nil, "InvalidArgument"},
		{"little memory", verbCreate, 400, "Minimum memory limit allowed is 6MB", nil, "InvalidArgument"},
		{"bad stop signal", verbCreate, 400, "Invalid signal: SIGNOSUCH", nil, "InvalidArgument"},
		{"bad environment", verbCreate, 400, "invalid environment variable: =x", nil, "InvalidArgument"},
		{"bad security option", verbCreate, 500, `invalid --security-opt 2: "nosuch:x"`, nil, "Internal"},
		{"no device, Podman", verbCreate, 500, "stat /dev/nosuch: no such file or directory", nil, "Internal"},
		{"colon in a bind's source, Docker", verbCreate, 500, "invalid mode: /data", nil, "Internal"},
		{"colon in a bind's source, Podman", verbCreate, 500, `invalid option type "b"`, nil, "Internal"},
		{"no mount source", verbCreate, 400, "invalid mount config for type \"bind\": bind source path does not exist: /nosuch", nil, "InvalidArgument"},
		{"two mounts at one target, Docker", verbCreate, 400, "Duplicate mount point: /data", nil, "InvalidArgument"},
		{"two mounts at one target, Podman", verbCreate, 500, "/data: duplicate mount destination", nil, "Internal"},
		{"recursive read-only before API 1.44", verbCreate, 0, "bind-recursive=readonly requires API v1.44 or later", ErrUnsupported, "NotImplemented"},
		{"platform before API 1.41", verbCreate, 0, `"specify container image platform" requires API version 1.41, but the Docker daemon API version is 1.40`, ErrUnsupported, "NotImplemented"},
		{"image mount, Docker 20.10", verbCreate, 400, "invalid mount config for type \"image\": mount type unknown", ErrUnsupported, "NotImplemented"},
		{"unknown log driver, Docker", verbCreate, 400, "logger: no log driver named 'nosuch' is registered", nil, "InvalidArgument"},
		{"unknown log driver, Podman", verbCreate, 500, "invalid log driver: invalid argument", nil, "Internal"},
		{"words about a container that runs", verbCreate, 500, "the plugin's container is not running", nil, "Internal"},
		{"no network at create", verbCreate, 404, "network nosuch not found", ErrNoNetwork, "FailedPrecondition"},

		// Start.
		{"on its way out, Docker 20.10", verbStart, 409, "container is marked for removal and cannot be started", ErrRemovalInProgress, "Conflict"},
		{"sandbox gone, Docker 20.10", verbStart, 404, "No such container: " + sandboxID, ErrSandboxGone, "FailedPrecondition"},
		{"sandbox gone, Docker 28", verbStart, 500, "joining network namespace of container: No such container: " + sandboxID, ErrSandboxGone, "FailedPrecondition"},
		{"sandbox stopped, Docker 20.10", verbStart, 409, "cannot join network of a non running container: " + sandboxID, ErrSandboxGone, "FailedPrecondition"},
		{"sandbox stopped, Docker 28", verbStart, 409, "cannot join network namespace of a non running container: container k8s_POD_p_ns_u_0 is exited", ErrSandboxGone, "FailedPrecondition"},
		{"log of one on its way out", verbLogs, 409, "can not get logs from container which is dead or marked for removal", ErrRemovalInProgress, "Conflict"},
		{"sandbox ended that moment, Docker 20.10", verbStart, 500, "failed to create shim task: OCI runtime create failed: runc create failed: unable to create new parent process: namespace path: lstat /proc/23074/ns/ipc: no such file or directory: unknown", ErrSandboxGone, "FailedPrecondition"},
		{"container gone, Docker", verbStart, 404, "No such container: " + workloadID, ErrContainerNotFound, "NotFound"},
		{"container gone, Podman", verbStart, 404, podmanGone, ErrContainerNotFound, "NotFound"},
		{"container gone, no words", verbStart, 404, "", ErrContainerNotFound, "NotFound"},
		{"no network, Docker 20.10", verbStart, 404, "network nosuch not found", ErrNoNetwork, "FailedPrecondition"},
		{"port taken, Docker 20.10", verbStart, 500, "driver failed programming external connectivity on endpoint x (y): Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use", ErrPortInUse, "Conflict"},
		{"port taken, Docker 28", verbStart, 500, "failed to set up container networking: driver failed programming external connectivity on endpoint x (y): failed to bind host port for 0.0.0.0:8080: address already in use", ErrPortInUse, "Conflict"},
		{"port taken by another container", verbStart, 500, "driver failed programming external connectivity on endpoint x (y): Bind for 0.0.0.0:8080 failed: port is already allocated", ErrPortInUse, "Conflict"},
		{"port taken, Podman", verbStart, 500, "cannot listen on the TCP port: listen tcp4 :8080: bind: address already in use", ErrPortInUse, "Conflict"},
		{"no executable, Docker 20.10", verbStart, 400, `failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/nope": stat /nope: no such file or directory: unknown`, ErrCannotRun, "InvalidArgument"},
		{"no executable, Docker 28", verbStart, 400, `failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "nope": executable file not found in $PATH: unknown`, ErrCannotRun, "InvalidArgument"},
		{"no executable, Podman", verbStart, 500, "runc: runc create failed: unable to start container process: stat /nope: no such file or directory: OCI runtime attempted to invoke a command that was not found", ErrCannotRun, "InvalidArgument"},
		{"not executable, Docker", verbStart, 400, `failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/etc/passwd": permission denied: unknown`, ErrCannotRun, "InvalidArgument"},
		{"not executable, Podman", verbStart, 500, "runc: runc create failed: unable to start container process: permission denied: OCI permission denied", ErrCannotRun, "InvalidArgument"},
		{"a directory", verbStart, 400, `OCI runtime create failed: exec: "/etc": is a directory: unknown`, ErrCannotRun, "InvalidArgument"},
		{"another machine's", verbStart, 400, `OCI runtime create failed: exec: "/x": exec format error: unknown`, ErrCannotRun, "InvalidArgument"},
		{"unknown user", verbStart, 500, "unable to find user nosuch: no matching entries in passwd file", nil, "Internal"},
		{"no device, Docker", verbStart, 500, `error gathering device information while adding custom device "/dev/nosuch": no such file or directory`, nil, "Internal"},
		{"negative OOM score", verbStart, 500, "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: can't set oom_score_adj: write /proc/self/oom_score_adj: permission denied: unknown", nil, "Internal"},
		{"bad seccomp profile", verbStart, 500, "Decoding seccomp profile failed: invalid character 'x' looking for beginning of value", nil, "Internal"},
		{"journald absent", verbStart, 500, "failed to initialize logging driver: journald is not enabled on this host", nil, "Internal"},

		// Remove.
		{"running, Docker 20.10", verbRemove, 409, "You cannot remove a running container " + workloadID + ". Stop the container before attempting removal or force remove", ErrRunning, "Conflict"},
		{"running, Docker 28", verbRemove, 409, `cannot remove container "` + workloadID + `": container is running: stop the container before removing or force remove`, ErrRunning, "Conflict"},
		{"running, Podman", verbRemove, 500, "cannot remove container " + workloadID + " as it is running - running or paused containers cannot be removed without force: container state improper", ErrRunning, "Conflict"},
		{"paused, Docker 20.10", verbRemove, 409, "You cannot remove a paused container " + workloadID + ". Unpause and then stop the container before attempting removal or force remove", ErrRunning, "Conflict"},
		{"paused, Docker 28", verbRemove, 409, `cannot remove container "` + workloadID + `": container is paused and must be unpaused first`, ErrRunning, "Conflict"},
		{"paused, Podman", verbRemove, 500, "cannot remove container " + workloadID + " as it is paused - running or paused containers cannot be removed without force: container state improper", ErrRunning, "Conflict"},
		{"ended just before it is killed, Podman", verbRemove, 500, "cannot remove container " + workloadID + " as it could not be stopped: sending SIGKILL to container " + workloadID + ": container state improper: stopped", ErrNotRunning, "Conflict"},
		{"being removed", verbRemove, 409, "removal of container " + workloadID + " is already in progress", ErrRemovalInProgress, "Conflict"},
		{"gone, Docker", verbRemove, 404, "No such container: " + workloadID, ErrContainerNotFound, "NotFound"},
		{"gone, Podman", verbRemove, 404, podmanGone, ErrContainerNotFound, "NotFound"},
		{"gone meanwhile, Podman", verbRemove, 404, "container " + workloadID + " does not exist in database: no such container", ErrContainerNotFound, "NotFound"},
		{"dependents, Podman", verbRemove, 500, "container " + sandboxID + " has dependent containers which must be removed before it: " + workloadID + ": container already exists", nil, "Internal"},
		{"another thing in progress", verbRemove, 409, "a checkpoint is already in progress", nil, "Conflict"},
		{"a removal that failed", verbRemove, 500, "removal of container " + workloadID + " failed", nil, "Internal"},
		{"busy", verbRemove, 500, `unable to remove filesystem: unlinkat /x: device or resource busy`, nil, "Internal"},

		// Inspect, stop, kill, pause, exec, logs, stats.
		{"gone, Docker", verbContainer, 404, "No such container: " + workloadID, ErrContainerNotFound, "NotFound"},
		{"gone, Podman", verbContainer, 404, podmanGone, ErrContainerNotFound, "NotFound"},
		{"gone while inspected, Podman", verbContainer, 500, "container " + workloadID + " does not exist in database: no such container", ErrContainerNotFound, "NotFound"},
		{"gone, no words", verbContainer, 404, "", ErrContainerNotFound, "NotFound"},
		{"kill one that is stopped, Docker", verbContainer, 409, "Cannot kill container: " + workloadID + ": Container " + workloadID + " is not running", ErrNotRunning, "Conflict"},
		{"kill one that is stopped, Podman", verbContainer, 500, "can only kill running containers. " + workloadID + " is in state exited: container state improper", ErrNotRunning, "Conflict"},
		{"kill one that ends, Podman", verbContainer, 500, "container state improper: stopped", ErrNotRunning, "Conflict"},
		{"exec in one that is stopped, Docker", verbContainer, 409, "Container " + workloadID + " is not running", ErrNotRunning, "Conflict"},
		{"exec in one that is stopped, Podman", verbContainer, 500, "can only create exec sessions on running containers: container state improper", ErrNotRunning, "Conflict"},
		{"exec in one that is paused", verbContainer, 409, "Container " + workloadID + " is paused, unpause the container before exec", nil, "Conflict"},
		{"pause a paused one, Docker", verbContainer, 409, "Container " + workloadID + " is already paused", nil, "Conflict"},
		{"pause a paused one, Podman", verbContainer, 500, `"` + workloadID + `" is already paused: container state improper`, nil, "Internal"},
		{"unpause one that is not paused", verbContainer, 500, "Container " + workloadID + " is not paused", nil, "Internal"},
		{"stop a paused one, Podman", verbContainer, 500, "container " + workloadID + " is running or paused, refusing to clean up: container state improper", nil, "Internal"},
		{"negative grace, Podman", verbContainer, 400, `failed to parse parameters for /v1.41/containers/x/stop: schema: error converting value for "t"`, nil, "InvalidArgument"},
		{"rename on to a taken name", verbContainer, 409, "Error when allocating new name: " + conflictText, nil, "Conflict"},
		{"logs of driver none, Docker", verbContainer, 501, "configured logging driver does not support reading", nil, "NotImplemented"},
		{"logs of driver none, Podman", verbContainer, 500, "this container is using the 'none' log driver, cannot read logs: this container is not logging output", nil, "Internal"},
		{"logs of no stream", verbContainer, 400, "Bad parameters: you must choose at least one stream", nil, "InvalidArgument"},
		{"unknown exec user, Docker 28", verbContainer, 400, "unable to find user nosuch: no matching entries in passwd file", nil, "InvalidArgument"},
		{"unknown exec user, Podman", verbContainer, 0, "unable to upgrade to tcp, received 500", nil, ""},

		// Update.
		{"gone", verbUpdate, 404, "No such container: " + workloadID, ErrContainerNotFound, "NotFound"},
		{"no such call, Podman", verbUpdate, 404, "Not Found", ErrUnsupported, "NotImplemented"},
		{"memory in use, in runc's words", verbUpdate, 500, "Cannot update container " + workloadID + ": runc did not terminate successfully: exit status 1: unable to set memory limit to 33554432 (current usage: 63352832, peak usage: 63627264)\n: unknown", ErrMemoryInUse, "FailedPrecondition"},
		{"memory in use, in the kernel's", verbUpdate, 500, "Cannot update container " + workloadID + ": runc did not terminate successfully: exit status 1: failed to write \"33554432\": write /sys/fs/cgroup/memory/docker/x/memory.memsw.limit_in_bytes: device or resource busy\n: unknown", ErrMemoryInUse, "FailedPrecondition"},
		{"memory above swap", verbUpdate, 409, "Cannot update container " + workloadID + ": Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time", nil, "Conflict"},
		{"swap below memory", verbUpdate, 400, "Minimum memoryswap limit should be larger than memory limit, see usage", nil, "InvalidArgument"},

		// Images.
		{"gone, Docker 20.10", verbImage, 404, "no such image: nosuch: No such image: nosuch:latest", ErrImageNotFound, "NotFound"},
		{"gone, Docker 28", verbImage, 404, "No such image: nosuch:latest", ErrImageNotFound, "NotFound"},
		{"gone, Podman", verbImage, 404, "failed to find image nosuch: docker.io/library/nosuch:latest: No such image", ErrImageNotFound, "NotFound"},
		{"gone, Podman's words with 500", verbImage, 500, "nosuch: image not known", ErrImageNotFound, "NotFound"},
		{"going, Podman", verbImage, 500, "layer not known", ErrImageNotFound, "NotFound"},
		{"just gone, Podman", verbImage, 500, "normalizing image: normalizing name for compat API: parsing named reference \"" + workloadID + "\": invalid repository name (" + workloadID + "), cannot specify 64-byte hexadecimal strings", ErrImageNotFound, "NotFound"},
		{"removed meanwhile, Docker 20.10", verbImage, 404, "reference does not exist", ErrImageNotFound, "NotFound"},
		{"removed meanwhile, containerd", verbImage, 404, "NotFound: image nosuch: not found", ErrImageNotFound, "NotFound"},
		{"words about a container that runs", verbImage, 500, "the plugin's container is not running", nil, "Internal"},
		{"in use, Docker", verbImage, 409, "conflict: unable to delete 1 (cannot be forced) - image is being used by running container 2", nil, "Conflict"},
		{"in use, Podman", verbImage, 409, "image is in use by a container", nil, "Conflict"},
		{"several tags, Docker", verbImage, 409, "conflict: unable to delete 1 (must be forced) - image is referenced in multiple repositories", nil, "Conflict"},
		{"several tags, Podman", verbImage, 500, "unable to delete image \"1\" by ID with more than one tag ([a b]): please force removal", nil, "Internal"},
		{"upper case, Docker", verbImage, 400, "invalid reference format: repository name must be lowercase", nil, "InvalidArgument"},

		// The rest.
		{"unknown filter, Docker", verbOther, 400, "Invalid filter 'status=unknown'", nil, "InvalidArgument"},
		{"unknown state, Podman", verbOther, 500, "unknown container state: dead: invalid argument", nil, "Internal"},
		{"old client", verbOther, 400, "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version", ErrUnsupported, "NotImplemented"},
		{"new client", verbOther, 400, "client version 1.44 is too new. Maximum supported API version is 1.41", ErrUnsupported, "NotImplemented"},
		{"404 of a list", verbOther, 404, "No such container: " + workloadID, ErrNotReady, "Unavailable"},
		{"no such route", verbOther, 404, "page not found", ErrBadAnswer, "Unavailable"},
		{"no such route for a container", verbContainer, 404, "page not found", ErrBadAnswer, "Unavailable"},
		{"no such route for an update", verbUpdate, 404, "page not found", ErrUnsupported, "NotImplemented"},
		{"no permission", verbOther, 403, "authorization denied by plugin x", nil, "PermissionDenied"},
		{"no credentials", verbOther, 401, "unauthorized", nil, "Unauthorized"},
		{"engine that starts", verbOther, 503, "the engine is starting", ErrNotReady, "Unavailable"},
		{"too many requests", verbOther, 429, "slow down", nil, "ResourceExhausted"},
		{"no class", verbOther, 502, "bad gateway", nil, ""},
	} {
		t.Run(fmt.Sprintf("%d/%s", tt.verb, tt.name), func(t *testing.T) {
			engine := refused(t, tt.status, tt.text)
			err := classify(tt.verb, workloadID, engine)
			want := ""
			if tt.sentinel != nil {
				want = tt.sentinel.Error()
			}
			if got := sentinelsOf(err); got != want {
				t.Errorf("%v: sentinels %q, want %q", err, got, want)
			}
			if got := classesOf(err); got != tt.class {
				t.Errorf("%v: classes %q, want %q", err, got, tt.class)
			}
			var conflict *NameConflictError
			switch {
			case tt.sentinel == nil && err != engine:
				t.Errorf("an engine's error that nobody needs to read was changed into %v", err)
			case tt.sentinel == ErrNameConflict && !errors.As(err, &conflict):
				t.Errorf("%v is no *NameConflictError", err)
			case tt.sentinel == ErrCannotRun, tt.sentinel == ErrNameConflict:
			case !strings.Contains(err.Error(), tt.text):
				t.Errorf("%v: lost the engine's words", err)
			}
		})
	}
}

func TestClassifyPassesThrough(t *testing.T) {
	c := clientFor(t, func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	late, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	_, byClient := c.ContainerInspect(late, workloadID)
	if !errors.Is(byClient, context.DeadlineExceeded) {
		t.Fatalf("the client's error at a deadline: %v", byClient)
	}
	for v := verbOther; v <= verbImage; v++ {
		if err := classify(v, workloadID, nil); err != nil {
			t.Errorf("verb %d makes of no error %v", v, err)
		}
		for _, in := range []error{context.Canceled, fmt.Errorf("get: %w", context.DeadlineExceeded), ErrTimeout, byClient} {
			if err := classify(v, workloadID, in); err != in {
				t.Errorf("verb %d makes of %v %v", v, in, err)
			}
		}
	}
}

func TestClassifyNamesTheHolder(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		text   string
		want   NameConflictError
	}{
		{"Docker", 409, `Conflict. The container name "/n" is already in use by container "` + sandboxID + `". You have to remove`, NameConflictError{Name: "n", HolderID: sandboxID}},
		{"Podman", 500, `creating container storage: the container name "n" is already in use by ` + sandboxID + `. You have to remove`, NameConflictError{Name: "n", HolderID: sandboxID}},
		{"words nobody has seen", 409, "taken", NameConflictError{Name: "asked-for"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got *NameConflictError
			if err := classify(verbCreate, "asked-for", refused(t, tt.status, tt.text)); !errors.As(err, &got) {
				t.Fatalf("%v is no *NameConflictError", err)
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestClassifyCannotRun(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"runc", `failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "nope": executable file not found in $PATH: unknown`,
			`executable cannot be run: "nope": executable file not found in $PATH`},
		{"two execs", `exec: "runc": x: exec: "/y": permission denied`, `executable cannot be run: "/y": permission denied`},
		{"no exec in it", `stat /nope: no such file or directory: OCI runtime attempted to invoke a command that was not found`,
			`executable cannot be run: Error response from daemon: stat /nope: no such file or directory: OCI runtime attempted to invoke a command that was not found`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := classify(verbStart, workloadID, refused(t, 400, tt.text)).Error(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestParseConflict(t *testing.T) {
	for _, tt := range []struct {
		name, text     string
		holder, holdee string
		ok             bool
	}{
		{"Docker 1.12", `Conflict. The name "/a_b" is already in use by container 24666ab8. You have to remove`, "24666ab8", "a_b", true},
		{"Docker 20.10", `Conflict. The container name "/a_b" is already in use by container "24666ab8". You have to remove`, "24666ab8", "a_b", true},
		{"Podman", `creating container storage: the container name "a_b" is already in use by 24666ab8. You have to remove`, "24666ab8", "a_b", true},
		{"upper case", `THE CONTAINER NAME "/a_b" IS ALREADY IN USE BY CONTAINER "24666ab8".`, "24666ab8", "a_b", true},
		{"at the end of the text", `The container name "/a" is already in use by container "1"`, "1", "a", true},
		{"a name with dots", `The container name "/a.b" is already in use by container "1"`, "1", "a.b", true},
		{"no holder", `The container name "/a" is already in use`, "", "", false},
		{"another conflict", "removal of container x is already in progress", "", "", false},
		{"nothing", "", "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name, holder, ok := parseConflict(tt.text)
			if name != tt.holdee || holder != tt.holder || ok != tt.ok {
				t.Errorf("got %q, %q, %v; want %q, %q, %v", name, holder, ok, tt.holdee, tt.holder, tt.ok)
			}
		})
	}
}

func TestConcise(t *testing.T) {
	const page = "<html>\n<head><title>Oops</title></head>\n<body>nothing here</body></html>"
	for _, tt := range []struct {
		name     string
		err      error
		sentinel error
		class    string
		text     string // "": the error as it was
	}{
		{"short", refused(t, 409, "no"), nil, "Conflict", ""},
		{"page with 500", answered(t, 500, "text/html", page), ErrNotReady, "Unavailable", "the endpoint answered with a web page (engine is not ready): is this a Docker engine?"},
		{"page with 502", answered(t, 502, "text/html", page), ErrNotReady, "Unavailable", "the endpoint answered with a web page (engine is not ready): is this a Docker engine?"},
		{"page with 503", answered(t, 503, "text/html", "<!DOCTYPE html><p>"+page), ErrNotReady, "Unavailable", "the endpoint answered with a web page (engine is not ready): is this a Docker engine?"},
		{"page with 404", answered(t, 404, "text/html", page), ErrNotReady, "Unavailable", "the endpoint answered with a web page (engine is not ready): is this a Docker engine?"},
		{"page with 403", answered(t, 403, "text/html", page), nil, "PermissionDenied", "the endpoint answered with a web page (permission denied): is this a Docker engine?"},
		{"page with 401", answered(t, 401, "text/html", page), nil, "Unauthorized", "the endpoint answered with a web page (unauthorized): is this a Docker engine?"},
		{"page with 400", answered(t, 400, "text/html", page), nil, "InvalidArgument", "the endpoint answered with a web page (invalid argument): is this a Docker engine?"},
		{"page with 429", answered(t, 429, "text/html", page), nil, "ResourceExhausted", "the endpoint answered with a web page (resource exhausted): is this a Docker engine?"},
		{"page with 412", answered(t, 412, "text/html", page), nil, "FailedPrecondition", "the endpoint answered with a web page (failed precondition): is this a Docker engine?"},
		{"page of 900 kB", answered(t, 500, "text/html", page+strings.Repeat("<br>", 225<<10)), ErrNotReady, "Unavailable", "the endpoint answered with a web page (engine is not ready): is this a Docker engine?"},
		// The client itself stops at 1 MiB, and a double has no bound.
		{"2 MiB by the client", answered(t, 409, "text/plain", strings.Repeat("x", 2<<20)), nil, "Conflict", ""},
		{"2 MiB", fmt.Errorf("%s%w", strings.Repeat("x", 2<<20), errdefs.ErrConflict), nil, "Conflict", strings.Repeat("x", maxErrorText) + "…"},
		{"just short enough", errors.New(strings.Repeat("x", maxErrorText)), nil, "", ""},
		{"no class", errors.New(strings.Repeat("x", maxErrorText+1)), nil, "Unknown", strings.Repeat("x", maxErrorText) + "…"},
		{"cut inside a rune", errors.New("x" + strings.Repeat("é", maxErrorText)), nil, "Unknown", "x" + strings.Repeat("é", maxErrorText/2-1) + "…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := concise(tt.err)
			text, want := tt.text, ""
			if text == "" {
				text = tt.err.Error()
				if got != tt.err {
					t.Errorf("changed into %v", got)
				}
			}
			if tt.sentinel != nil {
				want = tt.sentinel.Error()
			}
			if got.Error() != text {
				t.Errorf("text %q, want %q", got, text)
			}
			if s := sentinelsOf(got); s != want {
				t.Errorf("sentinels %q, want %q", s, want)
			}
			if c := classesOf(got); c != tt.class {
				t.Errorf("classes %q, want %q", c, tt.class)
			}
		})
	}
}

// A proxy before an engine says nothing about containers, whatever words its
// page has.
func TestClassifyWebPage(t *testing.T) {
	for v := verbOther; v <= verbImage; v++ {
		err := classify(v, workloadID, answered(t, 404, "text/html", "<html>No such container, no such image, is not running"))
		if got := sentinelsOf(err); got != ErrNotReady.Error() {
			t.Errorf("verb %d: %v is %q", v, err, got)
		}
	}
}

// Whatever an engine says, the error is one, has a bounded text in UTF-8, and
// is at most one sentinel's.
func TestClassifyAnything(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	words := []string{
		"No such container", "no such image", workloadID, sandboxID, ": ", " is not running", `exec: "`, "permission denied", "<html>", "network ",
		"is already in use by container", `The container name "/`, `"`, "address already in use", "removal of container", "already in progress",
		"requires API version", strings.Repeat("long ", 300), "é", "\xff", "\n", "does not exist in database", "non running container",
	}
	for range 3000 {
		var text strings.Builder
		for range r.IntN(8) {
			text.WriteString(words[r.IntN(len(words))])
		}
		v := verb(r.IntN(int(verbImage) + 1))
		status := []int{0, 400, 401, 403, 404, 409, 412, 429, 500, 501, 502, 503}[r.IntN(12)]
		err := classify(v, workloadID, refused(t, status, text.String()))
		switch {
		case err == nil:
			t.Fatalf("verb %d, %d, %q: no error", v, status, text.String())
		case len(err.Error()) > maxErrorText+200 || !utf8.ValidString(err.Error()) && utf8.ValidString(text.String()):
			t.Fatalf("verb %d, %d, %q: text %q", v, status, text.String(), err)
		case strings.Contains(sentinelsOf(err), ";"):
			t.Fatalf("verb %d, %d, %q: %v is %q", v, status, text.String(), err, sentinelsOf(err))
		}
	}
}

func TestTransportKind(t *testing.T) {
	inspect := func(t *testing.T, f transport) error {
		_, err := clientFor(t, f).ContainerInspect(t.Context(), workloadID)
		return err
	}
	body := func(text string) func(*testing.T) error {
		return func(t *testing.T) error {
			return inspect(t, func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Request: r, Body: io.NopCloser(strings.NewReader(text))}, nil
			})
		}
	}
	failed := func(cause error) func(*testing.T) error {
		return func(t *testing.T) error {
			return inspect(t, func(*http.Request) (*http.Response, error) { return nil, cause })
		}
	}
	dial := func(network, address string) error {
		return &net.OpError{Op: "dial", Net: network, Err: errors.New(address)}
	}
	for _, tt := range []struct {
		name string
		err  func(*testing.T) error
		want error
	}{
		{"an answer that is no JSON", body("<p>hello"), ErrBadAnswer},
		{"an answer of another type", body(`{"Id": 7}`), ErrBadAnswer},
		{"an answer with a bad time", func(t *testing.T) error {
			var at time.Time
			return fmt.Errorf("decode: %w", json.Unmarshal([]byte(`"yesterday"`), &at))
		}, ErrBadAnswer},
		{"an answer cut short", body(`{"Id": "7`), ErrBadAnswer},
		{"an empty answer", body(""), ErrBadAnswer},
		{"a refusal that is no JSON", func(t *testing.T) error { return answered(t, 500, "application/json", "{") }, ErrBadAnswer},
		{"connection closed after the request", failed(io.EOF), ErrBadAnswer},
		{"connection cut in the answer", failed(io.ErrUnexpectedEOF), ErrBadAnswer},
		{"connection reset", failed(&net.OpError{Op: "read", Net: "unix", Err: os.NewSyscallError("read", syscall.ECONNRESET)}), ErrBadAnswer},
		{"broken pipe", failed(&net.OpError{Op: "write", Net: "unix", Err: os.NewSyscallError("write", syscall.EPIPE)}), ErrBadAnswer},
		{"connection refused", failed(&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}), ErrUnreachable},
		{"no host", failed(dial("tcp", "lookup engine.invalid: no such host")), ErrUnreachable},
		{"no permission", failed(&net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)}), ErrUnreachable},
		{"something else before the engine", failed(errors.New("net/http: HTTP/1.x transport connection broken: malformed HTTP response")), ErrUnreachable},
		{"no socket", func(t *testing.T) error {
			dir, err := os.MkdirTemp("", "") // a socket's path is short
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			c, err := client.NewClientWithOpts(client.WithHost("unix://" + filepath.ToSlash(filepath.Join(dir, "s"))))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, err = c.ContainerInspect(t.Context(), workloadID)
			return err
		}, ErrUnreachable},
		{"an engine's refusal", func(t *testing.T) error { return refused(t, 500, "unexpected EOF") }, nil},
		{"a file that is not there", func(*testing.T) error { return fs.ErrNotExist }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.err(t)
			if err == nil {
				t.Fatal("no error")
			}
			if got := transportKind(err); got != tt.want {
				t.Fatalf("%v: got %v, want %v", err, got, tt.want)
			}
			if tt.want == nil {
				return
			}
			// The way to the engine matters more than what was asked.
			for v := verbOther; v <= verbImage; v++ {
				got := classify(v, workloadID, err)
				if sentinelsOf(got) != tt.want.Error() || classesOf(got) != "Unavailable" || got.Error() != err.Error() {
					t.Errorf("verb %d: %v: %q, class %q", v, got, sentinelsOf(got), classesOf(got))
				}
			}
		})
	}
}

// The engine's error about a port is found in ours, and none is no error.
func TestPortConflictKeepsTheEnginesError(t *testing.T) {
	taken := errors.New("bind: taken")
	for _, err := range []error{nil, taken} {
		conflict := fmt.Errorf("wrapped: %w", &PortConflictError{Port: PortMapping{HostPort: 53}, Err: err})
		if !errors.Is(conflict, ErrPortInUse) || errors.Is(conflict, taken) != (err == taken) {
			t.Errorf("Err %v: ErrPortInUse %t, the engine's %t", err, errors.Is(conflict, ErrPortInUse), errors.Is(conflict, taken))
		}
	}
}

func TestErrorTexts(t *testing.T) {
	port := PortMapping{ContainerPort: 80, HostPort: 8080}
	for _, tt := range []struct {
		name  string
		err   error
		text  string
		is    error // nil: no sentinel
		class string
	}{
		{"with a target", &Error{"start container", "abc", ErrSandboxGone}, `start container "abc": sandbox is gone or not running`, ErrSandboxGone, "FailedPrecondition"},
		{"without a target", &Error{"version", "", ErrUnreachable}, "version: engine is not reachable", ErrUnreachable, "Unavailable"},
		{"odd target", &Error{"remove container", "a\nb", ErrRunning}, `remove container "a\nb": container is running`, ErrRunning, "Conflict"},
		{"engine's own class", &Error{"list", "", refused(t, 403, "no")}, "list: Error response from daemon: no", nil, "PermissionDenied"},
		{"field", &FieldError{"Mounts[1].Source", "empty"}, "Mounts[1].Source: empty", nil, "InvalidArgument"},
		{"unsupported", &UnsupportedError{"Wait", "the engine has no wait call"}, "Wait is not supported: the engine has no wait call", ErrUnsupported, "NotImplemented"},
		{"name conflict", &NameConflictError{Name: "n", HolderID: "1"}, `name "n" is in use by container "1"`, ErrNameConflict, "Conflict"},
		{"name conflict with a reason", &NameConflictError{"n", "1", "it is running"}, `name "n" is in use by container "1": it is running`, ErrNameConflict, "Conflict"},
		{"port conflict", &PortConflictError{Port: port}, "host port 8080/tcp is in use", ErrPortInUse, "Conflict"},
		{"port conflict with a holder", &PortConflictError{Port: port, HolderID: "1", Holder: Name{Namespace: "ns", Pod: "p"}}, `host port 8080/tcp is in use by sandbox "1" of pod ns/p`, ErrPortInUse, "Conflict"},
		{"port conflict in the engine's words", &PortConflictError{Port: PortMapping{Protocol: UDP, HostPort: 53}, Err: errors.New("bind: taken")}, "host port 53/udp is in use: bind: taken", ErrPortInUse, "Conflict"},
		{"classified", &classified{ErrNotRunning, "is not running"}, "is not running", ErrNotRunning, "Conflict"},
		{"log link", &Error{"start container", "1", &logLinkError{fs.ErrPermission}}, `start container "1": log link failed after a good start: permission denied`, ErrLogLink, ""},
		{"joined", joinErrors([]error{&FieldError{"A", "empty"}, ErrRunning}), "A: empty; container is running", ErrRunning, "InvalidArgument Conflict"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.text {
				t.Errorf("text %q, want %q", got, tt.text)
			}
			want := ""
			if tt.is != nil {
				want = tt.is.Error()
			}
			for _, err := range []error{tt.err, &Error{"outer", "", tt.err}, fmt.Errorf("wrapped: %w", tt.err)} {
				if got := sentinelsOf(err); got != want {
					t.Errorf("%v: sentinels %q, want %q", err, got, want)
				}
				if got := classesOf(err); got != tt.class {
					t.Errorf("%v: classes %q, want %q", err, got, tt.class)
				}
			}
		})
	}
}

func TestErrorsAs(t *testing.T) {
	err := &Error{"create container", "app", joinErrors([]error{
		&FieldError{"A", "empty"}, &UnsupportedError{"B", "no"}, &NameConflictError{Name: "n"}, &PortConflictError{Port: PortMapping{HostPort: 1}},
	})}
	var (
		outer       *Error
		field       *FieldError
		unsupported *UnsupportedError
		name        *NameConflictError
		port        *PortConflictError
	)
	switch {
	case !errors.As(err, &outer) || outer.Op != "create container" || outer.Target != "app":
		t.Errorf("*Error: %v", outer)
	case !errors.As(err, &field) || field.Field != "A":
		t.Errorf("*FieldError: %v", field)
	case !errors.As(err, &unsupported) || unsupported.Field != "B":
		t.Errorf("*UnsupportedError: %v", unsupported)
	case !errors.As(err, &name) || name.Name != "n":
		t.Errorf("*NameConflictError: %v", name)
	case !errors.As(err, &port) || port.Port.HostPort != 1:
		t.Errorf("*PortConflictError: %v", port)
	}
}

func TestJoinErrors(t *testing.T) {
	one := errors.New("one")
	if err := joinErrors(nil); err != nil {
		t.Errorf("nothing joined is %v", err)
	}
	if err := joinErrors([]error{one}); err != one {
		t.Errorf("one joined is %v", err)
	}
	err := joinErrors([]error{one, fs.ErrExist})
	if !errors.Is(err, one) || !errors.Is(err, fs.ErrExist) || err.Error() != "one; file already exists" {
		t.Errorf("two joined are %v", err)
	}
}

// The deadline of the library is told from the caller's, and an error is
// wrapped once.
func TestBeginWrapsOnce(t *testing.T) {
	r := New(struct{ DockerInterface }{}, WithRequestTimeout(time.Nanosecond))
	ctx, end := r.begin(t.Context(), "op", "target")
	<-ctx.Done()
	err := fmt.Errorf("get: %w", ctx.Err())
	end(&err)
	if sentinelsOf(err) != ErrTimeout.Error() || classesOf(err) != "DeadlineExceeded" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("our deadline gives %v: %q", err, sentinelsOf(err))
	}
	once := err.Error()
	end(&err)
	if err.Error() != once {
		t.Errorf("wrapped twice: %v", err)
	}

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, end = New(struct{ DockerInterface }{}).begin(canceled, "op", "")
	err = canceled.Err()
	end(&err)
	if !errors.Is(err, context.Canceled) || sentinelsOf(err) != "" {
		t.Errorf("the caller's cancellation gives %v: %q", err, sentinelsOf(err))
	}
}

// An error is safe to log: no megabytes, no half letters.
func TestBounded(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("x", maxErrorText)} {
		if got := bounded(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	long := bytes.Repeat([]byte("ü"), 2<<20)
	if got := bounded(string(long)); len(got) > maxErrorText+len("…") || !utf8.ValidString(got) || !strings.HasSuffix(got, "ü…") {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-8:])
	}
}

// Some engines repeat what they were sent; what a variable holds stays here.
func TestScrub(t *testing.T) {
	const secret, other = `p"ass` + "\n" + `word`, "hunter22hunter"
	envs := []EnvVar{{"A", secret}, {"B", other}, {"C", "hunter22"}, {"D", "x"}, {"E", ""}, {"F", " padded "}}
	conflict := &NameConflictError{Name: other}
	for _, tt := range []struct {
		name string
		err  error
		want string // "": the error as it was
	}{
		{"nothing of ours", refused(t, 400, "no"), ""},
		{"as it is", refused(t, 400, "bad "+secret+" there"), "Error response from daemon: bad … there"},
		{"quoted", refused(t, 400, fmt.Sprintf("bad %q there", secret)), `Error response from daemon: bad "…" there`},
		{"in JSON", refused(t, 400, `bad "p\"ass\nword" there`), `Error response from daemon: bad "…" there`},
		{"several times", refused(t, 400, other+" "+other), "Error response from daemon: … …"},
		{"the longer of two first", refused(t, 400, "="+other+"="), "Error response from daemon: =…="},
		{"the shorter alone", refused(t, 400, "=hunter22="), "Error response from daemon: =…="},
		{"trimmed by the engine", refused(t, 400, "=padded="), "Error response from daemon: =…="},
		{"too short to look for", refused(t, 400, "x is there"), ""},
		{"cut in two", errors.New("bad " + secret[:7] + "…"), "bad …"},
		{"cut before it", errors.New("bad hun…"), ""},
		{"a name conflict", conflict, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := scrub(tt.err, envs)
			if tt.want == "" {
				if got != tt.err {
					t.Errorf("changed into %v", got)
				}
				return
			}
			if got.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			for err := got; err != nil; err = errors.Unwrap(err) {
				if strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), "ass") {
					t.Errorf("still in the chain: %v", err)
				}
			}
		})
	}
	if err := scrub(nil, envs); err != nil {
		t.Errorf("no error became %v", err)
	}
}

// Without the engine's words, an error is still of its kind.
func TestScrubKeepsTheKind(t *testing.T) {
	envs := []EnvVar{{"A", "hunter22"}}
	for _, in := range []error{
		&classified{ErrImageNotFound, "no hunter22"}, fmt.Errorf("look: %w", &classified{ErrBadAnswer, "hunter22"}),
		refused(t, 400, "hunter22"), refused(t, 409, "hunter22"), refused(t, 500, "hunter22"), refused(t, 503, "hunter22"),
		fmt.Errorf("hunter22: %w", context.Canceled), fmt.Errorf("hunter22: %w", context.DeadlineExceeded),
		&FieldError{"Mounts[0].Source", `"/hunter22" does not exist`}, &UnsupportedError{"Resources", "hunter22 is missing"},
	} {
		out := scrub(in, envs)
		var field, sameField *FieldError
		if errors.As(in, &field) && (!errors.As(out, &sameField) || sameField.Field != field.Field) {
			t.Errorf("%v became a %T", in, out)
		}
		if strings.Contains(out.Error(), "hunter") || sentinelsOf(out) != sentinelsOf(in) || classesOf(out) != classesOf(in) {
			t.Errorf("%v: %v: sentinels %q, classes %q; want %q, %q", in, out, sentinelsOf(out), classesOf(out), sentinelsOf(in), classesOf(in))
		}
	}
	if out := scrub(errors.New("hunter22"), envs); classesOf(out) != "Unknown" {
		t.Errorf("an error of no class: %v, classes %q", out, classesOf(out))
	}
}

// The mark of a field's error is for errdefs alone.
func TestFieldErrorIsMarked(t *testing.T) {
	var marked interface{ InvalidParameter() }
	if err := fmt.Errorf("wrapped: %w", &FieldError{"A", "empty"}); !errors.As(err, &marked) || !errdefs.IsInvalidArgument(err) {
		t.Errorf("%v carries no mark", err)
	}
}
