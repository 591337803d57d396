package dockpod

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/versions"

	"github.com/dockpod/dockpod/internal/lean"
)

// DefaultRequestTimeout is how long one operation may take unless
// [WithRequestTimeout] says otherwise. It is a second short of two minutes, so
// that it can be told from a round figure set elsewhere.
const DefaultRequestTimeout = 2*time.Minute - time.Second

// MinAPIVersion is the oldest engine API that a [Runtime] works with: Docker
// Engine 20.10 and Podman 4.
const MinAPIVersion = "1.41"

// Runtime manages the containers of pods on one engine. It holds no state
// about them: whatever it knows stands in the engine, in the names and labels
// of the containers. It is safe for concurrent use.
type Runtime struct {
	docker DockerInterface
	opts   options
	naming Naming
	err    error        // an option that cannot be; every call returns it
	close  func() error // nil after New

	version memo[Version]
	info    memo[Info]
	pause   memo[Image] // the built-in sandbox image

	hostRoot memo[hostFiles]

	names   locks[Name]   // somebody is making a container of this name
	starts  locks[string] // somebody is starting the container of this ID, or links its log
	lists   flights[[]container.Summary]
	entries flights[[]lean.Entry]
	images  imageCache
	feeds   sync.Map // of *feed: those that are under way

	logKeepers logKeepers

	pulls       pullGroup
	imageFS     memo[ImageFSInfo]
	imageLayers imageLayers // only read and written by what imageFS calls
	imageAges   imageAges

	rates cpuRates
	sizes sizeCache
}

type options struct {
	owner          string
	logger         *slog.Logger
	requestTimeout time.Duration
	sandboxImage   string
	sandboxOOM     *int
	network        string
	restart        bool
	keepRunning    bool
	maxLabelBytes  int
	skipped        func(Skipped)
	random         io.Reader
	tls            *tls.Config
	apiVersion     string
	keyring        Keyring
	pullLimit      int
	hostRoot       string
	warnings       func(Warning)
	relist         time.Duration
	seccomp        *SecurityProfile // nil: the engine's default
	seccompRoot    string
	logFiles       *LogFileOptions // nil: links to the engine's files
}

// Option changes how a [Runtime] works. An option with an impossible value
// does not panic: [Connect] returns its error, and so does every method of a
// Runtime made by [New].
type Option func(*options)

// WithOwner confines the Runtime to its own containers: names begin with
// name instead of "k8s", the label "io.dockpod.owner" marks them and is part
// of every list, and the kubelet's type label is not written, so that a
// kubelet on the same engine does not take them for its orphans. Two agents
// on one engine need two owners. The default, "", writes and reads what the
// kubelet's dockershim and cri-dockerd do.
//
// An owner consists of letters, digits, '.' and '-', begins with a letter or
// digit, has at most 63 bytes, and is not "k8s".
func WithOwner(name string) Option { return func(o *options) { o.owner = name } }

// WithLogger makes the Runtime report what it decides by itself: a container
// left out of a list, a name conflict resolved. The default is silence.
// Errors are returned, and not logged as well, but for those of single
// containers in a list that is returned without them.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }

// WithRequestTimeout bounds each operation. Zero means
// [DefaultRequestTimeout]; a negative value leaves the bound to the caller's
// context. A stop has its grace on top; streams and pulls have no bound.
func WithRequestTimeout(d time.Duration) Option {
	return func(o *options) { o.requestTimeout = d }
}

// WithSandboxImage sets the image of the sandboxes, which is pulled if it is
// not on the engine, within the time of [Runtime.RunSandbox]. The default is a
// pause program of a few hundred bytes that dockpod brings and loads on first
// use, so that no registry is needed.
func WithSandboxImage(ref string) Option { return func(o *options) { o.sandboxImage = ref } }

// WithSandboxOOMScore sets the OOM score adjustment of the sandboxes. The
// kubelet used -998; a rootless engine refuses negative scores, so the
// default leaves it to the engine.
func WithSandboxOOMScore(adj int) Option { return func(o *options) { o.sandboxOOM = &adj } }

// WithNetwork sets the engine's network that sandboxes join, by name or ID,
// unless they use the node's. The default, "", is the engine's own default
// network; "none" gives a pod its loopback alone.
func WithNetwork(name string) Option { return func(o *options) { o.network = name } }

// WithDefaultSeccomp sets the seccomp profile of containers that name none and
// are not privileged; it does not concern sandboxes. The default is
// ProfileRuntimeDefault. The kubelet's dockershim ran them with
// ProfileUnconfined.
func WithDefaultSeccomp(p SecurityProfile) Option { return func(o *options) { o.seccomp = &p } }

// WithSeccompRoot sets the directory of the seccomp profiles that containers
// and sandboxes name as ProfileLocalhost, an absolute path where dockpod runs;
// the kubelet's is /var/lib/kubelet/seccomp. No path leaves it, whether by ".."
// or by a symbolic link. With the default, "", only absolute paths can be
// named, and each is read: then whoever names them has to be trusted, as CRI
// trusts the kubelet.
//
// A profile is a regular file of at most 1 MiB that holds a JSON object with
// one of seccomp's actions as its defaultAction. Everything else is refused
// with a [*FieldError], which shows the path and a digest, and nothing of the
// content.
func WithSeccompRoot(dir string) Option { return func(o *options) { o.seccompRoot = dir } }

// WithRestart lets [Runtime.StartContainer] start a container that has run
// before. The default is to refuse with [ErrAlreadyRan], as the kubelet makes
// a new attempt instead, which keeps the old one's exit code and log.
func WithRestart() Option { return func(o *options) { o.restart = true } }

// WithoutForcedRemoval makes [Runtime.RemoveContainer] refuse a running
// container with [ErrRunning]. The default kills it.
func WithoutForcedRemoval() Option { return func(o *options) { o.keepRunning = true } }

// WithMaxLabelBytes bounds the labels and annotations of one container or
// sandbox: the sum of their keys' and values' bytes. Zero means 1 MiB; a
// negative value means no bound. Engines have none, and every list carries
// every label.
func WithMaxLabelBytes(n int) Option { return func(o *options) { o.maxLabelBytes = n } }

// WithSkipped has f called for each container that a list leaves out because
// it carries this Runtime's labels and cannot be read. The list waits for f,
// which must not block nor call the Runtime. Several goroutines may call it at
// once, and each list calls it anew for the same container. The default logs
// it at Warn.
func WithSkipped(f func(Skipped)) Option { return func(o *options) { o.skipped = f } }

// WithRandom sets the source of the random suffix that a name gets when its
// plain form is held by a container that cannot be found. The default is
// crypto/rand.
func WithRandom(r io.Reader) Option { return func(o *options) { o.random = r } }

// WithTLS sets the TLS configuration for a tcp endpoint of [Connect]. It
// takes precedence over DOCKER_TLS_VERIFY and DOCKER_CERT_PATH. New ignores it.
func WithTLS(c *tls.Config) Option { return func(o *options) { o.tls = c } }

// WithAPIVersion pins the engine API version that [Connect] speaks, "1.43"
// for example. The default, "", negotiates it. New ignores it.
func WithAPIVersion(v string) Option { return func(o *options) { o.apiVersion = v } }

// WithKeyring sets where the credentials for pulls come from, unless
// [PullOptions] has a Keyring of its own. The default, nil, pulls without
// credentials; [DockerConfigKeyring] takes those of the docker command.
func WithKeyring(k Keyring) Option { return func(o *options) { o.keyring = k } }

// WithPullLimit has the engine pull at most n images at a time for this
// Runtime; the others wait for their turn, in the order in which they came.
// The default, zero, is no limit.
func WithPullLimit(n int) Option { return func(o *options) { o.pullLimit = n } }

// WithHostRoot says where this process has the root directory of the engine's
// host: "/" on the host itself, "/host" in a container that has it mounted
// there. Devices and sources of mounts that are not there are then refused
// before the engine is asked, which tells of a device only at the start. The
// default, "", is "/" if the engine's socket is of a process that has this
// process's own root, on Linux; else nothing is looked for.
func WithHostRoot(dir string) Option { return func(o *options) { o.hostRoot = dir } }

// WithWarnings has f called for each warning of the engine while it makes or
// changes a container or sandbox. What it says to have dropped, of that which
// was asked for, is no warning but an error. The operation waits for f, which
// must not block nor call the Runtime. Several goroutines may call it at once,
// and more than once for one container. The default logs them at Warn.
func WithWarnings(f func(Warning)) Option { return func(o *options) { o.warnings = f } }

// Skipped is a container that a list left out.
type Skipped struct {
	ID    string
	Names []string // as the engine gave them
	Err   error    // why; wraps [ErrNotManaged] or [ErrInvalidName]
}

// New returns a Runtime that works through docker. It does no I/O. It panics
// if docker is nil. Close it if it writes log files; docker stays open.
func New(docker DockerInterface, opts ...Option) *Runtime {
	if docker == nil {
		panic("dockpod: New with a nil DockerInterface")
	}
	r := newRuntime(opts)
	r.docker = docker
	return r
}

// newRuntime returns a Runtime that has no engine yet.
func newRuntime(opts []Option) *Runtime {
	r := &Runtime{}
	for _, o := range opts {
		if o != nil {
			o(&r.opts)
		}
	}
	if r.opts.logger == nil {
		r.opts.logger = slog.New(slog.DiscardHandler)
	}
	if r.opts.requestTimeout == 0 {
		r.opts.requestTimeout = DefaultRequestTimeout
	}
	if r.opts.maxLabelBytes == 0 {
		r.opts.maxLabelBytes = defaultMaxLabelBytes
	}
	if r.opts.pullLimit > 0 {
		r.pulls.slots = make(chan struct{}, r.opts.pullLimit)
	}
	r.naming = Naming{Prefix: r.opts.owner}
	r.err = checkOwner(r.opts.owner)
	if dir := r.opts.hostRoot; r.err == nil && dir != "" && !filepath.IsAbs(dir) {
		r.err = &FieldError{"WithHostRoot", fmt.Sprintf("%q is not absolute", dir)}
	}
	if n := r.opts.network; r.err == nil && (n == "host" || strings.Contains(n, ":")) {
		r.err = &FieldError{"WithNetwork", fmt.Sprintf("%q is no network; SandboxConfig.Namespaces chooses the node's", n)}
	}
	if r.err == nil {
		r.err = checkSeccompOptions(r.opts)
	}
	if r.err == nil && r.opts.logFiles != nil {
		r.err = r.opts.logFiles.check()
	}
	return r
}

// checkOwner refuses an owner that could not stand in front of a name.
func checkOwner(owner string) error {
	if owner == "k8s" {
		return &FieldError{"WithOwner", `"k8s" is the kubelet's; leave the owner out to share its containers`}
	}
	if err := (Naming{Prefix: owner}).Validate(); err != nil {
		return &FieldError{"WithOwner", err.Error()}
	}
	return nil
}

// Close ends the writing of logs (see [WithLogFiles]) and closes what [Connect]
// opened; calls that are under way go on, and so do Mirrors and Watches: end
// them first. A second Close does nothing more. After [New] the client stays
// open: it is the caller's. With log files a start after Close runs the
// container, and its error is [ErrLogFile].
func (r *Runtime) Close() error {
	r.logKeepers.close()
	if r.close == nil {
		return nil
	}
	if err := r.close(); err != nil {
		return &Error{"close", "", err}
	}
	return nil
}

// errOurDeadline is the cause of a context that this library's deadline ended.
// The HTTP client reports the cause instead of the context's error.
var errOurDeadline = newSentinel("dockpod's own deadline", context.DeadlineExceeded)

// begin opens an operation: the context gets the default deadline, and end,
// deferred with the method's named error, closes it and wraps the error once.
func (r *Runtime) begin(ctx context.Context, op, target string) (context.Context, func(*error)) {
	return r.beginLimit(ctx, op, target, r.opts.requestTimeout)
}

func (r *Runtime) beginLimit(ctx context.Context, op, target string, limit time.Duration) (context.Context, func(*error)) {
	var cancel context.CancelFunc
	if limit > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, limit, errOurDeadline)
	} else {
		// The client leaves a connection open whose error it did not read
		// to the end, until the context ends.
		ctx, cancel = context.WithCancel(ctx)
	}
	return ctx, func(err *error) {
		*err = wrapError(ctx, op, target, limit, *err)
		cancel()
	}
}

// wrapError wraps the error of an operation, unless it is done or nil. limit is
// the deadline that ctx has of ours; none if it is not above zero.
func wrapError(ctx context.Context, op, target string, limit time.Duration, err error) error {
	var done *Error
	if err == nil || errors.As(err, &done) && done.Op == op && done.Target == target {
		return err
	}
	awaitDeadline(ctx, err)
	if cause := context.Cause(ctx); cause != nil && !isContextError(cause) && !isContextError(err) && !isOwnFinding(err) {
		// The HTTP client reports a cause of the caller's own in place of
		// the context's error, which looks like a failure of the engine.
		err = fmt.Errorf("%w: %v", ctx.Err(), err)
	}
	if limit > 0 && isContextError(err) && context.Cause(ctx) == errOurDeadline {
		err = &classified{ErrTimeout, fmt.Sprintf("no answer within %v: %v", limit, err)}
	}
	return &Error{op, target, err}
}

// awaitDeadline waits until a context has ended whose deadline is over, where
// err is what comes of that: a dial compares the deadline with the clock and may
// fail before the context knows. Whose deadline it was, the context alone tells.
func awaitDeadline(ctx context.Context, err error) {
	if at, ok := ctx.Deadline(); !ok || !isContextError(err) || time.Now().Before(at) {
		return
	}
	late := time.NewTimer(time.Second) // of a context that is not as it should be
	defer late.Stop()
	select {
	case <-ctx.Done():
	case <-late.C:
	}
}

// isOwnFinding reports whether err says of what was asked for that it cannot
// be, which no end of a context brings about.
func isOwnFinding(err error) bool {
	var field *FieldError
	var unsupported *UnsupportedError
	var conflict *NameConflictError
	return errors.As(err, &field) || errors.As(err, &unsupported) || errors.As(err, &conflict)
}

// partTimeout bounds each of many requests that are one operation: a few that
// hang must not use up the time of all.
func (r *Runtime) partTimeout() time.Duration { return r.opts.requestTimeout / 8 }

// locks keeps the calls of this Runtime that do the same thing in a row; calls
// of other processes are told apart by the engine alone. The zero value is
// ready to use.
type locks[K comparable] struct {
	mu   sync.Mutex
	held map[K]*lock
}

type lock struct {
	turn  chan struct{} // holds one value while somebody has the lock
	users int           // who have it or wait for it
}

func (l *locks[K]) take(ctx context.Context, key K) (unlock func(), err error) {
	l.mu.Lock()
	k := l.held[key]
	if k == nil {
		k = &lock{turn: make(chan struct{}, 1)}
		if l.held == nil {
			l.held = map[K]*lock{}
		}
		l.held[key] = k
	}
	k.users++
	l.mu.Unlock()

	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.users--; k.users == 0 {
			delete(l.held, key)
		}
	}
	select {
	case k.turn <- struct{}{}:
		return func() { <-k.turn; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// detached returns a context that outlives the caller's, for the few calls
// that have to be made after it ended: undoing what was half done.
func (r *Runtime) detached(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if r.opts.requestTimeout > 0 {
		limit = min(limit, r.opts.requestTimeout)
	}
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}

// Version tells what the engine is. It is cached for a minute.
type Version struct {
	Engine     string // "20.10.24"
	API        string // the version spoken, negotiated between both sides
	MaxAPI     string // the newest that the engine speaks
	MinAPI     string // the oldest that the engine speaks; empty if it does not say
	OS, Arch   string // GOOS and GOARCH of the engine
	Kernel     string
	Components map[string]string // version by component: "containerd", "runc", "Podman Engine"
}

// Version asks the engine for its version.
func (r *Runtime) Version(ctx context.Context) (v Version, err error) {
	ctx, end := r.begin(ctx, "version", "")
	defer end(&err)
	if r.err != nil {
		return Version{}, r.err
	}
	v, err = r.engineVersion(ctx)
	v.Components = maps.Clone(v.Components)
	return v, err
}

// engineVersion is Version, to be left unchanged, as part of another operation.
func (r *Runtime) engineVersion(ctx context.Context) (Version, error) {
	return r.version.get(ctx, func(ctx context.Context) (Version, error) {
		s, err := r.docker.ServerVersion(ctx)
		if err != nil {
			return Version{}, classify(verbOther, "", err)
		}
		v := Version{
			Engine: s.Version, API: r.docker.ClientVersion(), MaxAPI: s.APIVersion, MinAPI: s.MinAPIVersion,
			OS: s.Os, Arch: s.Arch, Kernel: s.KernelVersion, Components: map[string]string{},
		}
		for _, c := range s.Components {
			v.Components[c.Name] = c.Version
		}
		return v, nil
	})
}

// Info reports the engine's capabilities. It is cached for a minute.
type Info struct {
	ID, Name        string
	API             string // the API version spoken
	OS, Arch        string
	CPUs            int
	MemoryBytes     int64
	CgroupDriver    string // "cgroupfs" or "systemd"
	CgroupVersion   string // "1" or "2"
	StorageDriver   string
	ContainerdStore bool // image IDs are digests of manifests, not of configs
	LogDriver       string
	Rootless        bool
	SELinux         bool
	AppArmor        bool
	Seccomp         bool
	LiveRestore     bool
	DefaultRuntime  string
	Runtimes        []string // names, sorted; the runtime handlers of a sandbox
	CDI             bool     // it has a driver for CDI devices
	Limits          Limits
	Features        Features
}

// Limits tells which limits the kernel of the engine's host has. An engine
// drops others; dockpod refuses them. Of block I/O engines do not tell.
type Limits struct {
	Memory    bool
	Swap      bool
	CPUShares bool
	CPUQuota  bool // and the period
	Cpuset    bool
	Pids      bool
}

// Features tells what the negotiated API version has.
type Features struct {
	CreateMountpoint     bool // from API 1.42: a missing bind source is made
	ConsoleSize          bool // from API 1.42: an exec's terminal has a size from its start
	ReadOnlyNonRecursive bool // from API 1.44
	ReadOnlyRecursive    bool // from API 1.44
	VolumeSubpath        bool // from API 1.45
	TmpfsOptions         bool // from API 1.46
	ImageMounts          bool // from API 1.48
	PrivilegedSeccomp    bool // from API 1.48: a privileged container can have a seccomp profile
}

// featuresOf gates by the negotiated version alone.
func featuresOf(api string) Features {
	from := func(v string) bool { return api != "" && versions.GreaterThanOrEqualTo(api, v) }
	return Features{
		CreateMountpoint:     from("1.42"),
		ConsoleSize:          from("1.42"),
		ReadOnlyNonRecursive: from("1.44"),
		ReadOnlyRecursive:    from("1.44"),
		VolumeSubpath:        from("1.45"),
		TmpfsOptions:         from("1.46"),
		ImageMounts:          from("1.48"),
		PrivilegedSeccomp:    from("1.48"),
	}
}

// Info asks the engine what it can do.
func (r *Runtime) Info(ctx context.Context) (i Info, err error) {
	ctx, end := r.begin(ctx, "info", "")
	defer end(&err)
	if r.err != nil {
		return Info{}, r.err
	}
	i, err = r.info.get(ctx, r.fetchInfo)
	i.Runtimes = slices.Clone(i.Runtimes)
	return i, err
}

func (r *Runtime) fetchInfo(ctx context.Context) (Info, error) {
	s, err := r.docker.Info(ctx)
	if err != nil {
		return Info{}, lostBody(ctx, err)
	}
	api := r.docker.ClientVersion()
	i := Info{
		ID: s.ID, Name: s.Name, API: api, OS: s.OSType, Arch: goarch(s.Architecture), CPUs: s.NCPU, MemoryBytes: s.MemTotal,
		CgroupDriver: s.CgroupDriver, CgroupVersion: s.CgroupVersion,
		StorageDriver: s.Driver, LogDriver: s.LoggingDriver, LiveRestore: s.LiveRestoreEnabled,
		DefaultRuntime: s.DefaultRuntime, Runtimes: slices.Sorted(maps.Keys(s.Runtimes)),
		CDI: len(s.CDISpecDirs) > 0,
		Limits: Limits{
			Memory: s.MemoryLimit, Swap: s.SwapLimit, CPUShares: s.CPUShares, CPUQuota: s.CPUCfsQuota && s.CPUCfsPeriod, Cpuset: s.CPUSet, Pids: s.PidsLimit,
		},
		Features: featuresOf(api),
	}
	for _, row := range s.DriverStatus {
		if row[0] == "driver-type" && strings.HasPrefix(row[1], "io.containerd.snapshotter") {
			i.ContainerdStore = true
		}
	}
	for _, o := range s.SecurityOptions {
		name, _, _ := strings.Cut(strings.TrimPrefix(o, "name="), ",")
		switch name {
		case "seccomp":
			i.Seccomp = true
		case "apparmor":
			i.AppArmor = true
		case "selinux":
			i.SELinux = true
		case "rootless":
			i.Rootless = true
		}
	}
	return i, nil
}

// goarch turns an engine's word for an architecture into Go's.
func goarch(s string) string {
	switch s {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "armv7l", "armv6l":
		return "arm"
	case "i386", "i686":
		return "386"
	}
	return s
}

// Ready asks the engine whether it can be used now: it answers, and with an
// API version that dockpod speaks. The error is [ErrUnreachable],
// [ErrNotReady], [ErrBadAnswer], [ErrTimeout] or [ErrUnsupported].
func (r *Runtime) Ready(ctx context.Context) (err error) {
	ctx, end := r.begin(ctx, "ready", "")
	defer end(&err)
	if r.err != nil {
		return r.err
	}
	// A ping is answered by a proxy or a starting engine too; version is not.
	if _, err := r.docker.ServerVersion(ctx); err != nil {
		return readiness(err)
	}
	return checkAPIVersion(r.docker.ClientVersion())
}

// checkAPIVersion refuses a version that was negotiated too low.
func checkAPIVersion(v string) error {
	if v != "" && versions.LessThan(v, MinAPIVersion) {
		return &UnsupportedError{"API version " + v, "dockpod needs " + MinAPIVersion + " (Docker Engine 20.10)"}
	}
	return nil
}

// readiness classifies the failure of an engine that was asked whether it is
// there: what went wrong inside it is its own matter.
func readiness(err error) error {
	err = classify(verbOther, "", err)
	if isContextError(err) {
		return err
	}
	switch classOf(err) {
	case errdefs.ErrInternal, errdefs.ErrUnknown:
		return &classified{ErrNotReady, err.Error()}
	}
	return err
}
