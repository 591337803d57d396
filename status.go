package dockpod

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
)

// State is a container's state in CRI's four words. It prints as itself.
type State string

// The states. In a [Filter] the empty State stands for any.
const (
	StateCreated State = "created" // not started yet
	StateRunning State = "running" // includes paused and restarting
	StateExited  State = "exited"  // ended, or failed to start
	StateUnknown State = "unknown" // being removed, or a word no engine is known to use
)

// The reasons of an exited container, spelled as the kubelet shows them.
const (
	ReasonCompleted          = "Completed"          // exit code 0
	ReasonError              = "Error"              // another exit code
	ReasonOOMKilled          = "OOMKilled"          // killed by the kernel for want of memory
	ReasonContainerCannotRun = "ContainerCannotRun" // it never started
)

// ContainerStatus is all that the engine knows of a container.
type ContainerStatus struct {
	Container
	ImageRef   string    // pullable form: "docker-pullable://" and a repo digest, else "docker://" and the ID
	StartedAt  time.Time // zero: never
	FinishedAt time.Time // zero: not yet
	ExitCode   int       // 128+n: killed by signal n. See Signal
	Reason     string    // of an exited container; one of the Reason constants
	Message    string    // the engine's own explanation
	// OOMObserved: the kernel killed some process of the container, though
	// perhaps not the first, whose exit code the Reason follows.
	OOMObserved bool
	// StartError is set if the last attempt to start it failed after an
	// earlier run; Reason and ExitCode are that run's.
	StartError string

	LogPath       string // where the log's link or file is, or was to be; empty: none asked for
	EngineLogPath string // the engine's own file; empty: none, or not yet
	LogDriver     string
	Mounts        []MountStatus // sorted by target
	Resources     Resources
	PID           int // on the engine's host; 0 if not running
	RestartCount  int // how often the engine restarted it by itself
	NetworkMode   string
	Runtime       string
	TTY           bool
	Stdin         bool
	StopSignal    string
	Health        string // "", "starting", "healthy", "unhealthy"

	// Problems lists parts of the engine's answer that could not be read, a
	// malformed timestamp for example. The field concerned is zero. A log
	// that cannot be written is among them, as "LogPath: …".
	Problems []string
}

// engineState is what the engine says of a container's state, from a list
// (the word alone) or from an inspection.
type engineState struct {
	word                     string // created, running, paused, restarting, removing, exited, dead
	running, paused          bool
	restarting, dead, oom    bool
	exitCode                 int
	err                      string
	created, started, finish time.Time
}

// outcome is what an engineState means.
type outcome struct {
	state       State
	started     time.Time
	finished    time.Time
	exitCode    int
	reason      string
	message     string
	oomObserved bool
	startError  string
}

// stateOf decides what a container's state is; lists and statuses both ask it.
//
// Engines keep what belongs to an earlier moment: a running container still
// has the finish time and the error of its previous run, and one whose start
// failed is "created" for ever, told from a new one only by its exit code or
// error.
func stateOf(s engineState) outcome {
	switch s.effectiveWord() {
	case "running", "paused", "restarting", "stopping": // the last is Podman's, while the grace of a stop runs
		return outcome{state: StateRunning, started: s.started}
	case "created", "initialized": // Podman's second word is for one that is about to start
		if s.exitCode == 0 && s.err == "" {
			return outcome{state: StateCreated}
		}
		return outcome{
			state: StateExited, started: s.created, finished: s.created,
			exitCode: s.exitCode, reason: ReasonContainerCannotRun, message: s.err,
		}
	case "exited", "stopped", "dead": // Podman's "stopped" is on its way to exited
		o := outcome{
			state: StateExited, started: s.started, finished: s.finish,
			exitCode: s.exitCode, message: s.err,
		}
		o.reason, o.oomObserved = exitReason(s.exitCode, s.oom)
		switch {
		case s.finish.IsZero() && (s.exitCode != 0 || s.word == "dead" && s.started.IsZero()):
			// Never run; a dead one was created, and its removal failed.
			o.started, o.finished, o.reason = s.created, s.created, ReasonContainerCannotRun
		case s.err != "" && !s.finish.IsZero():
			o.startError = s.err
		}
		if !o.finished.IsZero() && o.finished.Before(o.started) {
			// Docker notes a start when the runtime's call returns, by which
			// time a short process has ended.
			o.started = o.finished
		}
		return o
	}
	return outcome{state: StateUnknown, started: s.started, finished: s.finish, exitCode: s.exitCode, message: s.err}
}

// effectiveWord is the engine's word, or what the flags amount to where an
// engine or a double gives none.
func (s engineState) effectiveWord() string {
	switch {
	case s.word != "":
		return s.word
	case s.dead:
		return "dead"
	case s.running, s.paused, s.restarting:
		return "running"
	case !s.finish.IsZero():
		return "exited"
	}
	return "created" // told from a failed start by its exit code
}

// exitReason names the reason of an exit. The kernel's flag alone does not
// make a container OOM-killed: it may have killed a child that the first
// process outlived.
func exitReason(exitCode int, oom bool) (reason string, observed bool) {
	switch {
	case oom && exitCode == 137:
		return ReasonOOMKilled, true
	case exitCode == 0:
		return ReasonCompleted, oom
	}
	return ReasonError, oom
}

// wordOf is the engine's word in a list.
func wordOf(state, status string) string {
	return cmp.Or(state, wordOfStatusText(status))
}

// wordOfStatusText reads the text for humans in a list ("Up 5 hours"), for
// the doubles and old engines that leave the State field empty.
func wordOfStatusText(text string) string {
	switch {
	case strings.HasPrefix(text, "Up"):
		return "running"
	case strings.HasPrefix(text, "Exited"):
		return "exited"
	case strings.HasPrefix(text, "Created"):
		return "created"
	}
	return "unknown"
}

// Signal returns the signal that ended the container, if its exit code is
// that of a shell for one: 128+n.
func (s ContainerStatus) Signal() (n int, ok bool) {
	if s.State != StateExited || s.Reason == ReasonContainerCannotRun || s.ExitCode <= 128 || s.ExitCode > 128+64 {
		return 0, false
	}
	return s.ExitCode - 128, true
}

// parseTime reads an engine's timestamp. Engines write the zero time, in some
// zone's year 1, for what has not happened yet; that and "" are the zero
// Time.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("unreadable time %q", s)
	}
	if t.Year() <= 1 {
		return time.Time{}, nil
	}
	return t.UTC(), nil
}

// stateFromInspect collects an inspection's state, noting what cannot be read.
func stateFromInspect(info container.InspectResponse, problem func(string)) engineState {
	at := func(field, s string) time.Time {
		t, err := parseTime(s)
		if err != nil {
			problem(field + ": " + err.Error())
		}
		return t
	}
	s := engineState{created: at("Created", info.Created)}
	if info.State == nil {
		s.word = "unknown"
		problem("State: missing")
		return s
	}
	st := info.State
	s.word = st.Status
	s.running, s.paused, s.restarting, s.dead, s.oom = st.Running, st.Paused, st.Restarting, st.Dead, st.OOMKilled
	s.exitCode, s.err = st.ExitCode, st.Error
	s.started, s.finish = at("State.StartedAt", st.StartedAt), at("State.FinishedAt", st.FinishedAt)
	return s
}

// outcomeOf is what an inspection's state means. Times that cannot be read are
// zero.
func outcomeOf(info container.InspectResponse) outcome {
	return stateOf(stateFromInspect(info, func(string) {}))
}

// statusOf turns an inspection into a status. img is the container's image,
// nil if it is gone.
func (r *Runtime) statusOf(info container.InspectResponse, img *Image) (ContainerStatus, error) {
	var st ContainerStatus
	problem := func(s string) { st.Problems = append(st.Problems, s) }
	es := stateFromInspect(info, problem)
	o := stateOf(es)

	cfg, host := info.Config, info.HostConfig
	if cfg == nil {
		cfg = &container.Config{}
		problem("Config: missing")
	}
	if host == nil {
		host = &container.HostConfig{}
		problem("HostConfig: missing")
	}
	name, err := r.nameOf([]string{info.Name}, cfg.Labels)
	if err != nil {
		return ContainerStatus{}, err
	}
	st.Container = Container{
		ID: info.ID, SandboxID: cfg.Labels[LabelSandboxID], Name: name,
		Image: imageNameOf(cfg.Labels[LabelImage], cfg.Image, img), ImageID: info.Image,
		State: o.state, EngineState: es.effectiveWord(), CreatedAt: es.created,
	}
	st.Labels, st.Annotations = SplitLabels(cfg.Labels)

	if img != nil {
		st.ImageRef = pullableRef(*img, st.Image)
	} else {
		st.ImageRef = DockerPrefix + info.Image
	}
	st.StartedAt, st.FinishedAt, st.ExitCode = o.started, o.finished, o.exitCode
	st.Reason, st.Message, st.OOMObserved, st.StartError = o.reason, o.message, o.oomObserved, o.startError
	st.LogPath, st.EngineLogPath = cfg.Labels[LabelLogPath], info.LogPath
	st.LogDriver = host.LogConfig.Type
	st.Mounts = mountStatuses(info.Mounts)
	st.Resources = resourcesOf(host)
	if info.State != nil && o.state == StateRunning {
		st.PID = info.State.Pid
	}
	if info.State != nil && info.State.Health != nil && info.State.Health.Status != container.NoHealthcheck {
		st.Health = string(info.State.Health.Status)
	}
	st.RestartCount = info.RestartCount
	st.NetworkMode, st.Runtime = string(host.NetworkMode), host.Runtime
	st.TTY, st.Stdin, st.StopSignal = cfg.Tty, cfg.OpenStdin, cfg.StopSignal
	return st, nil
}

// imageNameOf chooses what to show as a container's image: what was asked
// for where dockpod wrote it down, else the configured name as long as it
// still denotes the container's image, else a tag of that image.
func imageNameOf(asked, configured string, img *Image) string {
	if asked != "" {
		return asked
	}
	if img == nil || len(img.RepoTags) == 0 {
		return configured
	}
	if MatchImageRef(*img, configured) {
		return configured
	}
	return img.RepoTags[0]
}

// ContainerStatus asks the engine for one container. The error is
// [ErrContainerNotFound] if it is gone and [ErrNotManaged] if it is not this
// Runtime's, a sandbox, or carries a name and labels that say nothing. An
// image that was removed meanwhile is no error; what somebody else did to its
// tags and digests shows within ten seconds.
//
// With [WithLogFiles], the status of a container that has ended waits until
// its log is in the file, for 5 seconds at most, if this Runtime writes it.
// Why a log is not being written is among the Problems.
func (r *Runtime) ContainerStatus(ctx context.Context, id string) (st ContainerStatus, err error) {
	ctx, end := r.begin(ctx, "container status", id)
	defer end(&err)
	return r.containerStatus(ctx, id)
}

func (r *Runtime) containerStatus(ctx context.Context, id string) (ContainerStatus, error) {
	info, err := r.inspect(ctx, id, TypeContainer)
	if err != nil {
		return ContainerStatus{}, err
	}
	if outcomeOf(info).state != StateRunning {
		r.drainLog(ctx, info.ID)
	}
	st, _, err := r.fullStatus(ctx, info, &r.images)
	return st, err
}

// fullStatus is statusOf with what the container's image and the writer of its
// log tell, and that image; nil if it cannot be had.
func (r *Runtime) fullStatus(ctx context.Context, info container.InspectResponse, images *imageCache) (ContainerStatus, *Image, error) {
	// The image may be gone, or damaged: the container is what was asked for.
	img, imgErr := images.get(ctx, info.Image, r.inspectImageByID)
	if imgErr != nil && ctx.Err() != nil {
		return ContainerStatus{}, nil, imgErr
	}
	st, err := r.statusOf(info, img)
	if err != nil {
		return st, img, err
	}
	if imgErr != nil && !errdefs.IsNotFound(imgErr) {
		st.Problems = append(st.Problems, "ImageRef: "+imgErr.Error())
	}
	if problem := r.logProblem(info.ID); problem != nil {
		st.Problems = append(st.Problems, "LogPath: "+problem.Error())
	}
	return st, img, nil
}

// inspectImageByID returns the image with this ID, or an error of the class
// NotFound.
func (r *Runtime) inspectImageByID(ctx context.Context, id string) (*Image, error) {
	if id == "" {
		return nil, ErrImageNotFound
	}
	img, err := r.inspectImage(ctx, id)
	if err != nil {
		return nil, err
	}
	return &img.Image, nil
}

// ContainerStatuses asks for several containers, a few at a time, each with a
// deadline of its own, so that one that hangs does not keep the others'. It
// yields a result for each ID, in their order; an error belongs to its ID
// alone. Breaking off the loop cancels what is under way.
func (r *Runtime) ContainerStatuses(ctx context.Context, ids ...string) iter.Seq2[ContainerStatus, error] {
	ids = slices.Clone(ids)
	return func(yield func(ContainerStatus, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		defer func() { cancel(); <-done }()

		type result struct {
			st  ContainerStatus
			err error
		}
		results := make([]chan result, len(ids))
		for i := range results {
			results[i] = make(chan result, 1)
		}
		go func() {
			defer close(done)
			each(len(ids), func(i int) {
				var res result
				ctx, end := r.begin(ctx, "container status", ids[i])
				res.st, res.err = r.containerStatus(ctx, ids[i])
				end(&res.err)
				results[i] <- res
			})
		}()
		for _, c := range results {
			res := <-c
			if !yield(res.st, res.err) {
				return
			}
		}
	}
}
