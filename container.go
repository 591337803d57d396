package dockpod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/dockpod/dockpod/internal/lean"
)

// ContainerConfig describes a container of a pod. The fields are those of CRI
// v1's ContainerConfig. The zero value of each but Name and Image is usable.
type ContainerConfig struct {
	Name    string // unique within the pod; not "POD"
	Attempt uint32 // how often this container was made anew; counts on when the pod's sandbox is made anew
	Image   string // a reference, or the ID of an image on the engine

	Command    []string // replaces the image's entrypoint and drops its arguments; nil: the image's
	Args       []string // nil: the image's, unless Command is given
	WorkingDir string   // absolute; empty: the image's
	Envs       []EnvVar // in order; of one key the last counts

	Mounts     []Mount
	Devices    []Device
	CDIDevices []string // qualified CDI names: "vendor.com/class=name"

	Labels      map[string]string
	Annotations map[string]string

	// LogPath is where the log stands, relative to the sandbox's
	// LogDirectory. Empty: no link or file is made.
	LogPath   string
	LogConfig LogConfig // zero: the engine's default log driver

	Stdin     bool // keep standard input open for an attach
	StdinOnce bool // close it when the first attach ends; on Podman without a TTY it always is
	TTY       bool

	Resources       Resources
	SecurityContext SecurityContext

	StopSignal  string         // "SIGTERM", "TERM" or "15"; empty: the image's
	StopTimeout *time.Duration // for a stop that names no grace; nil: the engine's 10 s; whole seconds
	ShmSize     int64          // bytes of /dev/shm; 0: 64 MiB. Refused in a sandbox, whose SandboxConfig.ShmSize holds for the pod
	Ulimits     []Ulimit
	Init        *bool             // run the engine's init as PID 1; nil: the engine's default
	Platform    string            // "linux/arm64"; empty: the engine's
	Healthcheck *Healthcheck      // nil: none, even if the image has one
	ExtraHosts  map[string]string // not with a sandbox: its /etc/hosts is the pod's
}

// EnvVar is an environment variable. The value is passed on as it is: no
// $(VAR) is expanded.
type EnvVar struct{ Key, Value string }

// LogConfig chooses the engine's log driver and its options: "max-size" and
// "max-file" rotate a json-file log. Rotation is the engine's; a kubelet
// cannot do it from outside. A log file of [WithLogFiles] is another matter:
// there these options bound what the engine keeps beside it.
type LogConfig struct {
	Driver  string
	Options map[string]string
}

// Healthcheck is run by the engine inside the container.
type Healthcheck struct {
	Command     []string
	Interval    time.Duration // zero: the engine's 30 s
	Timeout     time.Duration // zero: the engine's 30 s
	StartPeriod time.Duration
	Retries     int // zero: the engine's 3
}

// Container is one entry of [Runtime.ListContainers].
type Container struct {
	ID        string // 64 hex digits
	SandboxID string
	Name      Name
	Image     string // the reference asked for at creation
	ImageID   string // the engine's ID of the image
	State     State
	// EngineState is the engine's own word: created, running, paused,
	// restarting, removing, exited or dead; Podman also says initialized,
	// stopping and stopped.
	EngineState string
	CreatedAt   time.Time // from a list to the second, from a status exact
	Labels      map[string]string
	Annotations map[string]string
}

// Filter selects containers; all conditions hold together. The zero value
// selects all of this Runtime's, in every state. Sandboxes are never
// selected.
type Filter struct {
	ID        string // full ID, or with IDPrefix a prefix that selects one container
	IDPrefix  bool   // an ID that is a prefix of several containers' is an error
	SandboxID string // full ID
	UID       string // the pod's UID; empty: any
	State     State  // empty: any
	Labels    map[string]string
	LabelKeys []string // each has to be there, with any value
	// Fast saves the inspection of each container that the engine lists as
	// created. Such a container may in fact have failed to start; then Fast
	// lists it as created where its status says exited.
	Fast bool
}

// typeKey is the label that holds a container's type: the kubelet's, or with
// an owner dockpod's own, so that a kubelet does not see it.
func (r *Runtime) typeKey() string {
	if r.opts.owner == "" {
		return LabelType
	}
	return LabelOwnedType
}

// kindOf tells whether labels mark a container of this Runtime, and its type;
// "" is somebody else's.
func (r *Runtime) kindOf(labels map[string]string) string {
	return r.kind(labels[LabelOwner], labels[r.typeKey()])
}

func (r *Runtime) kind(owner, kind string) string {
	if owner == r.opts.owner && (kind == TypeContainer || kind == TypeSandbox) {
		return kind
	}
	return ""
}

// kindOfContainer is kindOf for a container with these names and this image.
// One whose name is not ours has been renamed, or has our labels from an image
// that somebody committed from one of our containers: it is ours only if it
// is made from the image that the labels name.
func (r *Runtime) kindOfContainer(names []string, imageID string, labels map[string]string) string {
	return r.kindIfOurs(r.kindOf(labels), names, imageID, labels[labelImageID])
}

// kindIfOurs is kindOfContainer for one that the labels say is of a kind, made
// from an image; "" is none said.
func (r *Runtime) kindIfOurs(kind string, names []string, imageID, made string) string {
	if kind == "" || made == "" || imageIDOf(made) == imageIDOf(imageID) {
		return kind
	}
	if _, err := r.naming.Parse(pickName(names, r.naming)); err != nil {
		return ""
	}
	return kind
}

func (r *Runtime) kindOfInspected(info container.InspectResponse) string {
	if info.Config == nil {
		return ""
	}
	return r.kindOfContainer([]string{info.Name}, info.Image, info.Config.Labels)
}

// imageIDOf spells an image's ID in one way.
func imageIDOf(id string) string { return strings.TrimPrefix(id, "sha256:") }

// nameOf reads a container's identity from its names, or where none parses,
// after a rename for example, from its labels.
func (r *Runtime) nameOf(names []string, labels map[string]string) (Name, error) {
	n, err := r.naming.Parse(pickName(names, r.naming))
	if err == nil {
		return n, nil
	}
	n, labelErr := nameFromLabels(labels)
	if labelErr != nil {
		return Name{}, joinErrors([]error{err, labelErr})
	}
	return n, nil
}

// inspect asks for one container of this Runtime and of a type. The answer's
// ID is the full one, whatever the caller gave.
func (r *Runtime) inspect(ctx context.Context, id, kind string) (container.InspectResponse, error) {
	if r.err != nil {
		return container.InspectResponse{}, r.err
	}
	if strings.TrimSpace(id) == "" {
		return container.InspectResponse{}, &FieldError{"id", "empty"}
	}
	info, err := r.inspectAny(ctx, id)
	if err != nil {
		return container.InspectResponse{}, err
	}
	switch r.kindOfInspected(info) {
	case kind:
		return info, nil
	case TypeSandbox:
		return container.InspectResponse{}, fmt.Errorf("%w as a container: it is a sandbox", ErrNotManaged)
	case TypeContainer:
		return container.InspectResponse{}, fmt.Errorf("%w as a sandbox: it is a container", ErrNotManaged)
	}
	return container.InspectResponse{}, ErrNotManaged
}

// inspectAny asks for one container, whoever owns it.
func (r *Runtime) inspectAny(ctx context.Context, id string) (container.InspectResponse, error) {
	if !isPathElement(id) {
		return container.InspectResponse{}, &FieldError{"id", fmt.Sprintf("%q is neither an ID nor a name", bounded(id))}
	}
	info, err := r.docker.ContainerInspect(ctx, id)
	if err != nil {
		return container.InspectResponse{}, classify(verbContainer, id, err)
	}
	if info.ContainerJSONBase == nil || info.ID == "" {
		return container.InspectResponse{}, &classified{ErrBadAnswer, "the engine's inspection has no ID"}
	}
	return info, nil
}

// isPathElement tells whether an ID or name, which Docker writes with a slash
// before it, stays one element of a request's path: the docker client takes
// ".." for a way to another request.
func isPathElement(s string) bool {
	s = strings.TrimPrefix(s, "/")
	return s != "" && s != "." && s != ".." && !strings.Contains(s, "/")
}

// query is the part of a filter that the engine answers.
type query struct {
	kind, id, sandboxID string
	labels              map[string]string
	status              string
}

// args spells a query for the engine. What engines answer each in their own
// way is left out and checked by the caller: a label whose key holds "=",
// and most states.
func (r *Runtime) args(q query) filters.Args {
	a := filters.NewArgs()
	label := func(k, v string) {
		if k != "" && !strings.Contains(k, "=") {
			a.Add("label", k+"="+v)
		}
	}
	if q.kind != "" {
		label(r.typeKey(), q.kind)
	}
	if r.opts.owner != "" {
		label(LabelOwner, r.opts.owner)
	}
	if q.sandboxID != "" {
		label(LabelSandboxID, q.sandboxID)
	}
	for k, v := range q.labels {
		label(k, v)
	}
	if q.id != "" {
		a.Add("id", q.id)
	}
	if q.status != "" {
		a.Add("status", q.status)
	}
	return a
}

// listEngine lists the engine's containers.
func (r *Runtime) listEngine(ctx context.Context, opts container.ListOptions) ([]container.Summary, error) {
	list, err := listShared(ctx, &r.lists, opts, r.docker.ContainerList, func(c *container.Summary) string { return c.ID })
	return slices.Clone(list), err
}

// listShared asks for a list. Not-found is no answer to that: a container
// vanished while the engine made it, so it is asked once more. An entry without
// an ID is none either: what cannot be told apart would count as gone.
//
// Callers who come while the same list is under way share the next one, which
// is only read.
func listShared[T any](ctx context.Context, f *flights[[]T], opts container.ListOptions, ask func(context.Context, container.ListOptions) ([]T, error), id func(*T) string) ([]T, error) {
	key, err := filters.ToJSON(opts.Filters)
	if err != nil {
		return nil, fmt.Errorf("encode the list's filters: %w", err)
	}
	if opts.All {
		key = "all " + key
	}
	list, err := f.do(ctx, key, func(ctx context.Context) ([]T, error) {
		list, err := ask(ctx, opts)
		if errdefs.IsNotFound(err) {
			list, err = ask(ctx, opts)
		}
		return list, err
	})
	if err != nil {
		return nil, classify(verbOther, "", err)
	}
	for i := range list {
		if id(&list[i]) == "" {
			return nil, &classified{ErrBadAnswer, "the engine lists a container without an ID"}
		}
	}
	return list, nil
}

// listEntries asks for a list of which few of many labels are looked at, as
// the engine gives it. It may be shared, and is only read; what of it is kept
// has to be copied.
func (r *Runtime) listEntries(ctx context.Context, q query) ([]lean.Entry, error) {
	if r.err != nil {
		return nil, r.err
	}
	opts := container.ListOptions{All: true, Filters: r.args(q)}
	if c, ok := r.docker.(*lean.Client); ok { // without a detour
		return listShared(ctx, &r.entries, opts, c.Entries, func(e *lean.Entry) string { return e.ID })
	}
	list, err := r.listEngine(ctx, opts)
	return lean.EntriesOf(list), err
}

// kindOfEntry is kindOfContainer.
func (r *Runtime) kindOfEntry(e *lean.Entry) string {
	kind := r.kind(labelOf(e.Labels, LabelOwner), labelOf(e.Labels, r.typeKey()))
	return r.kindIfOurs(kind, e.Names, e.ImageID, labelOf(e.Labels, labelImageID))
}

// listRaw lists this Runtime's containers as the engine gives them.
func (r *Runtime) listRaw(ctx context.Context, q query) ([]container.Summary, error) {
	if r.err != nil {
		return nil, r.err
	}
	list, err := r.listEngine(ctx, container.ListOptions{All: true, Filters: r.args(q)})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(c container.Summary) bool {
		kind := r.kindOfContainer(c.Names, c.ImageID, c.Labels)
		return kind == "" || q.kind != "" && kind != q.kind
	}), nil
}

// ListContainers lists this Runtime's containers that f selects, newest
// first. It never lists sandboxes, and the result is not nil.
//
// A container that carries this Runtime's labels but neither a readable name
// nor labels that could stand for one is left out, and reported to the logger
// or [WithSkipped]; its status is [ErrNotManaged].
//
// The state is decided as for a status. For that, each container which the
// engine calls created is inspected, unless f.Fast: its start may have
// failed. One that vanishes meanwhile is left out; one whose inspection fails
// otherwise is StateUnknown, and an error if f.State is one that it may have.
func (r *Runtime) ListContainers(ctx context.Context, f Filter) (list []Container, err error) {
	ctx, end := r.begin(ctx, "list containers", "")
	defer end(&err)
	if err := f.check(); err != nil {
		return nil, err
	}
	q := query{kind: TypeContainer, sandboxID: f.SandboxID, labels: f.Labels}
	if !f.IDPrefix {
		q.id = f.ID // to a prefix of several an engine answers with an empty list
	}
	if f.State == StateCreated && !f.IDPrefix { // a prefix is that of any
		q.status = "created"
	}
	entries, err := r.listEntries(ctx, q)
	if err != nil {
		return nil, err
	}
	list = make([]Container, 0, len(entries))
	var texts texts
	for i := range entries {
		e := &entries[i]
		if r.kindOfEntry(e) != TypeContainer || !f.selectsID(e.ID) ||
			f.SandboxID != "" && labelOf(e.Labels, LabelSandboxID) != f.SandboxID ||
			f.looksAtLabels() && !f.selectsLabels(mapOfLabels(e.Labels)) {
			continue
		}
		c, err := r.fromEntry(e, &texts)
		if err != nil {
			r.skip(Skipped{texts.keep(e.ID), texts.keepAll(e.Names), err})
			continue
		}
		if f.UID == "" || c.Name.UID == f.UID {
			list = append(list, c)
		}
	}
	if f.IDPrefix && len(list) > 1 {
		return nil, &FieldError{"Filter.ID", fmt.Sprintf("prefix %q is that of %d containers", f.ID, len(list))}
	}
	if !f.Fast && f.State != StateRunning {
		var problems []error
		list, problems = r.settleCreated(ctx, list)
		problem := cmp.Or(problems...)
		switch {
		case problem != nil && ctx.Err() != nil && context.Cause(ctx) != errOurDeadline:
			return nil, ctx.Err() // the caller's
		case problem != nil && (f.State == StateCreated || f.State == StateExited):
			return nil, problem
		}
		for _, err := range problems {
			r.opts.logger.Warn("state of a listed container is unknown", slog.Any("err", err))
		}
	}
	if f.State != "" {
		list = slices.DeleteFunc(list, func(c Container) bool { return c.State != f.State })
	}
	return list, nil
}

func (f Filter) check() error {
	if f.IDPrefix && f.ID == "" {
		return &FieldError{"Filter.IDPrefix", "set without ID"}
	}
	switch f.State {
	case "", StateCreated, StateRunning, StateExited, StateUnknown:
		return nil
	}
	return &FieldError{"Filter.State", fmt.Sprintf("%q is no state", f.State)}
}

func (f Filter) selectsID(id string) bool {
	return f.ID == "" || id == f.ID || f.IDPrefix && strings.HasPrefix(id, f.ID)
}

func (f Filter) looksAtLabels() bool { return len(f.Labels) > 0 || len(f.LabelKeys) > 0 }

// selectsLabels checks labels once more: engines differ on keys with "=", and
// take an image's labels for the container's.
func (f Filter) selectsLabels(docker map[string]string) bool {
	if !f.looksAtLabels() {
		return true
	}
	fromImage := labelsFromImage(docker[labelFromImage])
	for k, v := range f.Labels {
		if got, ok := docker[k]; !ok || got != v || slices.Contains(fromImage, k) {
			return false
		}
	}
	for _, k := range f.LabelKeys {
		if _, ok := docker[k]; !ok || slices.Contains(fromImage, k) {
			return false
		}
	}
	return true
}

func (r *Runtime) skip(s Skipped) {
	if r.opts.skipped != nil {
		r.opts.skipped(s)
		return
	}
	r.opts.logger.Warn("container left out of a list", slog.String("id", s.ID), slog.Any("names", s.Names), slog.Any("err", s.Err))
}

// texts copies strings, several into one piece of memory. nil keeps them as
// they are. The zero value is ready to use.
type texts struct{ piece strings.Builder }

// textsPiece is enough for several containers, and little to keep for one.
const textsPiece = 4 << 10

func (t *texts) keep(s string) string {
	if t == nil {
		return s
	}
	if t.piece.Cap()-t.piece.Len() < len(s) {
		t.piece = strings.Builder{}
		t.piece.Grow(max(textsPiece, len(s)))
	}
	from := t.piece.Len()
	t.piece.WriteString(s)
	return t.piece.String()[from:]
}

func (t *texts) keepAll(l []string) []string {
	kept := make([]string, len(l))
	for i, s := range l {
		kept[i] = t.keep(s)
	}
	return kept
}

// fromEntry turns an entry of the engine's list into ours. The texts are what
// its strings are copied by.
func (r *Runtime) fromEntry(e *lean.Entry, texts *texts) (Container, error) {
	name, err := r.naming.Parse(texts.keep(pickName(e.Names, r.naming)))
	if err != nil { // renamed, perhaps
		names, labels := texts.keepAll(e.Names), mapOfLabels(e.Labels)
		for k, v := range labels {
			labels[k] = texts.keep(v)
		}
		if name, err = r.nameOf(names, labels); err != nil {
			return Container{}, err
		}
	}
	word := texts.keep(wordOf(e.State, e.Status))
	c := Container{
		ID: texts.keep(e.ID), SandboxID: texts.keep(labelOf(e.Labels, LabelSandboxID)), Name: name,
		Image: texts.keep(cmp.Or(labelOf(e.Labels, LabelImage), e.Image)), ImageID: texts.keep(e.ImageID),
		State: stateOf(engineState{word: word}).state, EngineState: word,
	}
	if e.Created > 0 {
		c.CreatedAt = time.Unix(e.Created, 0).UTC()
	}
	c.Labels, c.Annotations = splitEntry(e.Labels, texts)
	return c, nil
}

// fromSummary turns an entry of the engine's list into ours.
func (r *Runtime) fromSummary(s container.Summary) (Container, error) {
	return r.fromEntry(&lean.EntriesOf([]container.Summary{s})[0], nil)
}

// settleCreated finds out which of the created containers failed to start. The
// errors are those that left a state unknown.
func (r *Runtime) settleCreated(ctx context.Context, list []Container) ([]Container, []error) {
	var created []*Container
	for i := range list {
		if list[i].State == StateCreated {
			created = append(created, &list[i])
		}
	}
	var gone sync.Map
	problems := make([]error, len(created))
	each(len(created), func(i int) {
		c := created[i]
		ctx, end := r.beginLimit(ctx, "inspect container", c.ID, r.partTimeout())
		info, err := r.inspectAny(ctx, c.ID)
		if err == nil && info.State == nil {
			err = &classified{ErrBadAnswer, "the engine's inspection has no state"}
		}
		end(&err)
		switch {
		case err == nil:
			es := stateFromInspect(info, func(string) {})
			c.State, c.EngineState = stateOf(es).state, es.effectiveWord()
		case errdefs.IsNotFound(err):
			gone.Store(c.ID, true)
		default:
			c.State, problems[i] = StateUnknown, err
		}
	})
	list = slices.DeleteFunc(list, func(c Container) bool {
		_, ok := gone.Load(c.ID)
		return ok
	})
	return list, slices.DeleteFunc(problems, func(err error) bool { return err == nil })
}

// Managed is a container that [Runtime.ListManaged] found.
type Managed struct {
	ID        string
	Name      Name        // zero if Legacy is set
	Legacy    *LegacyName // a name from before sandboxes had attempts
	State     State
	Labels    map[string]string // as the engine has them
	CreatedAt time.Time         // to the second
}

// ListManaged lists every container whose name carries this Runtime's prefix,
// sandboxes and those of the old dockertools included, whatever their labels
// say: for a clean-up, or to find what ListContainers leaves out. With
// running, only those that run.
func (r *Runtime) ListManaged(ctx context.Context, running bool) (list []Managed, err error) {
	ctx, end := r.begin(ctx, "list managed containers", "")
	defer end(&err)
	if r.err != nil {
		return nil, r.err
	}
	raw, err := r.listEngine(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, err
	}
	list = []Managed{}
	for _, s := range raw {
		word := wordOf(s.State, s.Status)
		m := Managed{ID: s.ID, State: stateOf(engineState{word: word}).state, Labels: maps.Clone(s.Labels)}
		if s.Created > 0 {
			m.CreatedAt = time.Unix(s.Created, 0).UTC()
		}
		if running && m.State != StateRunning {
			continue
		}
		text := pickName(s.Names, r.naming)
		name, err := r.naming.Parse(text)
		if err == nil {
			m.Name = name
			list = append(list, m)
			continue
		}
		if r.opts.owner != "" {
			continue
		}
		if legacy, err := ParseLegacyName(text); err == nil {
			m.Legacy = &legacy
			list = append(list, m)
		}
	}
	return list, nil
}

// ListOrphans lists this Runtime's containers whose sandbox no longer exists.
// They cannot be started again; an agent removes them.
func (r *Runtime) ListOrphans(ctx context.Context) (list []Container, err error) {
	ctx, end := r.begin(ctx, "list orphans", "")
	defer end(&err)
	// Containers first: a sandbox that comes into being between the two
	// lists has none of them.
	all, err := r.ListContainers(ctx, Filter{Fast: true})
	if err != nil {
		return nil, err
	}
	sandboxes, err := r.listRaw(ctx, query{kind: TypeSandbox})
	if err != nil {
		return nil, err
	}
	there := map[string]bool{"": true}
	for _, s := range sandboxes {
		there[s.ID] = true
	}
	return slices.DeleteFunc(all, func(c Container) bool { return there[c.SandboxID] }), nil
}

// CreateContainer makes a container of the pod s in the sandbox with
// sandboxID and returns its ID. It does not start it. s is the sandbox's
// configuration, from the caller or from [SandboxStatus].Config. Without a
// sandboxID the container stands alone, in namespaces that the engine
// chooses.
//
// The image has to be on the engine ([ErrImageNotFound] otherwise, naming
// it); the container is created by its ID, and the reference is kept in a
// label. A configuration is checked before the engine is asked; see
// [ContainerConfig.Validate], and [WithHostRoot] for the files that it names.
// A limit that the engine drops because its kernel lacks it is an
// [*UnsupportedError] that names it, and the container is removed again; other
// warnings of the engine go to [WithWarnings].
//
// A name that is held: a container of the same request that never started is
// returned as if it had just been made, so that a create whose answer was lost
// can be repeated. One that has exited, failed to start, or never started and
// differs is removed, and the create repeated. One that runs, or is not this
// Runtime's, is left alone: a [*NameConflictError] names it.
func (r *Runtime) CreateContainer(ctx context.Context, sandboxID string, c ContainerConfig, s SandboxConfig) (id string, err error) {
	ctx, end := r.begin(ctx, "create container", s.Namespace+"/"+s.Name+"/"+c.Name)
	defer end(&err)
	if r.err != nil {
		return "", r.err
	}
	v := &validator{}
	v.all(c.Validate(), "")
	v.all(s.Validate(), "SandboxConfig.")
	if err := v.err(); err != nil {
		return "", err
	}
	req, err := r.containerRequest(ctx, sandboxID, c, s)
	if err != nil {
		return "", scrub(err, c.Envs)
	}
	unlock, err := r.names.take(ctx, req.Name)
	if err != nil {
		return "", err
	}
	defer unlock()
	id, err = r.create(ctx, req)
	if errors.Is(err, ErrImageNotFound) {
		err = fmt.Errorf("image %q: %w", c.Image, err)
	}
	return id, scrub(sourceError(err, c.Mounts), c.Envs)
}

// containerRequest completes a valid configuration with what the engine, the
// sandbox and the image say, and translates it.
func (r *Runtime) containerRequest(ctx context.Context, sandboxID string, c ContainerConfig, s SandboxConfig) (createRequest, error) {
	if err := r.checkDevices(ctx, "Resources", c.Devices, c.Resources); err != nil {
		return createRequest{}, err
	}
	if err := r.checkSources(ctx, c.Mounts); err != nil {
		return createRequest{}, err
	}
	site, err := r.site(ctx, s, c.Resources, c.CDIDevices)
	if err != nil {
		return createRequest{}, err
	}
	sc := &c.SecurityContext
	sc.Seccomp = seccompOf(*sc, r.opts.seccomp)
	if err := r.confine(ctx, *sc, c.Resources, &site); err != nil {
		return createRequest{}, err
	}
	if sandboxID != "" {
		if err := r.enterSandbox(ctx, sandboxID, &c, &s, &site); err != nil {
			return createRequest{}, err
		}
	}
	img, err := r.resolveImage(ctx, c.Image)
	if err != nil {
		return createRequest{}, fmt.Errorf("image %q: %w", c.Image, err)
	}
	site.imageID, site.imageLabels, site.imageCommand = string(img.ID), img.Labels, img.hasCommand
	if site.features.ImageMounts { // else buildContainer refuses them
		if c.Mounts, err = r.resolveMounts(ctx, c.Mounts); err != nil {
			return createRequest{}, err
		}
	}
	return buildContainer(c, s, site)
}

// enterSandbox has a container made in a sandbox of the pod s. What the caller
// left to the sandbox is filled in, and a target gets its full ID.
func (r *Runtime) enterSandbox(ctx context.Context, id string, c *ContainerConfig, s *SandboxConfig, site *createSite) error {
	info, err := r.inspect(ctx, id, TypeSandbox)
	if errdefs.IsNotFound(err) {
		err = ErrSandboxGone
	}
	if err != nil {
		return fmt.Errorf("sandbox %q: %w", id, err)
	}
	if err := r.samePod(info, *s); err != nil {
		return err
	}
	if err := sameNamespaces(info, s.Namespaces); err != nil {
		return err
	}
	site.sandboxID, site.privileged = info.ID, mayPrivilege(info)
	if s.RuntimeHandler == "" && info.HostConfig != nil {
		s.RuntimeHandler = r.handlerOf(info.HostConfig.Runtime, info.Config.Labels)
	}
	if target := &c.SecurityContext.Namespaces.TargetID; *target != "" {
		*target, err = r.sameSandbox(ctx, *target, info.ID)
	}
	return err
}

// site gathers what building a request needs to know of the engine, which is
// asked only for the sake of fields that depend on it.
func (r *Runtime) site(ctx context.Context, s SandboxConfig, res Resources, cdi []string) (createSite, error) {
	site := createSite{
		naming: r.naming, owner: r.opts.owner, maxLabelBytes: r.opts.maxLabelBytes,
		features: featuresOf(r.docker.ClientVersion()),
		network:  r.opts.network, oomScore: r.opts.sandboxOOM,
	}
	if s.CgroupParent != "" || len(res.Unified) > 0 || len(cdi) > 0 {
		info, err := r.info.get(ctx, r.fetchInfo)
		if err != nil {
			return createSite{}, err
		}
		site.cgroupDriver, site.cgroupVersion, site.cdi = info.CgroupDriver, info.CgroupVersion, info.CDI
	}
	return site, nil
}

// samePod refuses to put a container of one pod into another's sandbox.
func (r *Runtime) samePod(sandbox container.InspectResponse, s SandboxConfig) error {
	n, err := r.nameOf([]string{sandbox.Name}, sandbox.Config.Labels)
	if err != nil {
		return fmt.Errorf("sandbox %q: %w", sandbox.ID, err)
	}
	if n.Pod != s.Name || n.Namespace != s.Namespace || n.UID != s.UID {
		return &FieldError{"sandboxID", fmt.Sprintf("is the sandbox of pod %s/%s (%s), not of %s/%s (%s)", n.Namespace, n.Pod, n.UID, s.Namespace, s.Name, s.UID)}
	}
	return nil
}

// mayPrivilege reports whether a sandbox was made for privileged containers.
func mayPrivilege(sandbox container.InspectResponse) bool {
	if m, ok := memoryOf(sandbox.Config.Labels); ok {
		return m.Security.Privileged
	}
	return sandbox.HostConfig != nil && sandbox.HostConfig.Privileged
}

// sameNamespaces refuses to make a container for another network, IPC or users
// than its sandbox has: on what a caller says of it depends whose host name a
// container can change.
func sameNamespaces(sandbox container.InspectResponse, s NamespaceOptions) error {
	m, ok := memoryOf(sandbox.Config.Labels)
	if !ok {
		return nil
	}
	for _, ns := range []struct {
		name     string
		say, has NamespaceMode
	}{
		{"Network", cmp.Or(s.Network, NamespacePod), cmp.Or(m.Namespaces.Network, NamespacePod)},
		{"IPC", cmp.Or(s.IPC, NamespacePod), cmp.Or(m.Namespaces.IPC, NamespacePod)},
		{"User", s.userMode(), m.Namespaces.userMode()},
	} {
		if ns.say != ns.has {
			return &FieldError{"SandboxConfig.Namespaces." + ns.name, fmt.Sprintf("%q; the sandbox was made with %q", ns.say, ns.has)}
		}
	}
	return nil
}

// sameSandbox returns the full ID of a container whose PID namespace is to be
// joined, if it is of the same sandbox.
func (r *Runtime) sameSandbox(ctx context.Context, target, sandboxID string) (string, error) {
	info, err := r.inspect(ctx, target, TypeContainer)
	if err != nil {
		return "", fmt.Errorf("SecurityContext.Namespaces.TargetID %q: %w", target, err)
	}
	if info.Config.Labels[LabelSandboxID] != sandboxID {
		return "", &FieldError{"SecurityContext.Namespaces.TargetID", fmt.Sprintf("%q is not of this sandbox", target)}
	}
	return info.ID, nil
}

// StartContainer starts a container and makes the link to its log. A
// container that runs already is fine. One that has run before, or whose
// start failed, is refused with [ErrAlreadyRan]: make its next attempt, or
// allow it by [WithRestart].
//
// A start that had no answer may have happened: a repeated call returns nil
// while the container runs, and [ErrAlreadyRan] if it has ended meanwhile,
// which [Runtime.Wait] tells from a start that failed.
//
// The error is [ErrSandboxGone] if its sandbox is gone or not running, and
// [ErrLogLink] if the container runs but its log could not be linked; then a
// second call tries the link again. With [WithLogFiles] the log is written
// instead, and the error is [ErrLogFile]; it is written later if that becomes
// possible by itself, and a second call tries at once.
func (r *Runtime) StartContainer(ctx context.Context, id string) (err error) {
	ctx, end := r.begin(ctx, "start container", id)
	defer end(&err)
	info, unlock, err := r.inspectToStart(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	o := outcomeOf(info)
	switch {
	case o.state == StateRunning:
		return r.provideLog(ctx, info)
	case o.state == StateExited && !r.opts.restart:
		return fmt.Errorf("%w: %s, exit code %d", ErrAlreadyRan, o.reason, o.exitCode)
	}
	startErr := classify(verbStart, info.ID, r.docker.ContainerStart(ctx, info.ID, container.StartOptions{}))
	if startErr != nil {
		r.lookAgain(info.ID) // no event tells
	}
	if info.Config.Labels[LabelLogPath] == "" {
		return startErr
	}
	if r.opts.logFiles != nil {
		err := r.provideLog(ctx, info)
		return cmp.Or(startErr, err)
	}
	// Only a started container has a log file, and so has one whose start
	// failed late: what the runtime wrote there is worth finding.
	after, err := r.inspectAny(ctx, info.ID)
	if err == nil {
		err = r.linkLog(after)
	} else {
		err = &logLinkError{err}
	}
	if startErr != nil {
		return startErr
	}
	return err
}

// inspectToStart is inspect in turn: nobody else of this Runtime starts the
// container or takes its log away until unlock. Two calls for a container that
// ends at once would run it twice.
func (r *Runtime) inspectToStart(ctx context.Context, id string) (info container.InspectResponse, unlock func(), err error) {
	if unlock, err = r.starts.take(ctx, id); err != nil {
		return info, nil, err
	}
	info, err = r.inspect(ctx, id, TypeContainer)
	if err == nil && info.ID != id { // it was named in another way, as others may not name it
		unlock()
		if unlock, err = r.starts.take(ctx, info.ID); err != nil {
			return info, nil, err
		}
		info, err = r.inspect(ctx, info.ID, TypeContainer)
	}
	if err != nil {
		unlock()
	}
	return info, unlock, err
}

// provideLog makes a container's log stand at its path: as a link, or as a file
// that the Runtime writes.
func (r *Runtime) provideLog(ctx context.Context, info container.InspectResponse) error {
	if r.opts.logFiles == nil {
		return r.linkLog(info)
	}
	_, _, err := r.writeLog(ctx, info, true)
	return err
}

// logLinkError is a failed link after a good start.
type logLinkError struct{ err error }

func (e *logLinkError) Error() string { return ErrLogLink.Error() + ": " + e.err.Error() }

// Unwrap keeps the file system's error reachable.
func (e *logLinkError) Unwrap() []error { return []error{ErrLogLink, e.err} }

// linkLog makes the log link of a container, if it wants one and there is a
// file to link to.
func (r *Runtime) linkLog(info container.InspectResponse) error {
	w := linkOf(info)
	if w.dir == "" {
		return nil
	}
	if w.target == "" {
		driver := ""
		if info.HostConfig != nil {
			driver = info.HostConfig.LogConfig.Type
		}
		level := slog.LevelDebug
		if driver == "json-file" {
			level = slog.LevelWarn
		}
		r.opts.logger.Log(context.Background(), level, "no log file to link to", slog.String("id", info.ID), slog.String("driver", driver))
		return nil
	}
	if err := makeLogLink(w.dir, w.rel, w.target); err != nil {
		return &logLinkError{err}
	}
	return nil
}

// linkOf tells where a container's log link belongs and what it points to. A
// container that the kubelet made says only the whole path.
func linkOf(info container.InspectResponse) linkWant {
	o := outcomeOf(info)
	w := linkWant{ID: info.ID, target: info.LogPath, running: o.state == StateRunning, started: o.started}
	if o.reason == ReasonContainerCannotRun {
		w.started = time.Time{}
	}
	if info.Config == nil || info.Config.Labels[LabelLogPath] == "" {
		return w
	}
	w.dir, w.rel = splitLogPath(info.Config.Labels[LabelLogPath], info.Config.Labels[labelLogDirectory])
	return w
}

// StopContainer stops a container: the engine sends the stop signal, and
// after grace SIGKILL. The engine counts in whole seconds, so grace is
// rounded up; zero or less kills at once. The call may take grace and the
// request timeout together. A container that is gone or does not run is fine.
//
// If the caller's context ends first, the engine still carries the stop out.
// If the engine does not answer in time, the container is killed and looked
// at once more: the error is [ErrTimeout] if it still runs. With
// [WithLogFiles] the call returns when the log is in its file, as
// [Runtime.ContainerStatus] does.
func (r *Runtime) StopContainer(ctx context.Context, id string, grace time.Duration) (err error) {
	seconds := wholeSeconds(grace)
	ctx, end := r.beginLimit(ctx, "stop container", id, r.graceLimit(seconds))
	defer end(&err)
	info, err := r.inspect(ctx, id, TypeContainer)
	if errors.Is(err, ErrContainerNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.stop(ctx, info, seconds); err != nil {
		return err
	}
	r.drainLog(ctx, info.ID)
	return nil
}

// graceLimit is the deadline of a stop: the engine answers only after the
// grace, so that comes on top.
func (r *Runtime) graceLimit(seconds int) time.Duration {
	if r.opts.requestTimeout < 0 {
		return r.opts.requestTimeout
	}
	return r.opts.requestTimeout + time.Duration(seconds)*time.Second
}

// stop ends a container that was inspected just now.
func (r *Runtime) stop(ctx context.Context, info container.InspectResponse, seconds int) error {
	if st := outcomeOf(info).state; st != StateRunning && st != StateUnknown {
		return nil
	}
	opts := container.StopOptions{Timeout: &seconds}
	err := classify(verbContainer, info.ID, r.docker.ContainerStop(ctx, info.ID, opts))
	if err != nil && info.State != nil && info.State.Paused {
		// Podman refuses to stop what is paused.
		if p, ok := r.docker.(ContainerPauser); ok && p.ContainerUnpause(ctx, info.ID) == nil {
			err = classify(verbContainer, info.ID, r.docker.ContainerStop(ctx, info.ID, opts))
		}
	}
	switch {
	case err == nil, errors.Is(err, ErrContainerNotFound), errors.Is(err, ErrNotRunning):
		return nil
	case isContextError(err) && context.Cause(ctx) == errOurDeadline:
		return r.lastResort(ctx, info.ID, err)
	}
	return err
}

// lastResort kills a container whose stop the engine did not answer, and
// reports the timeout only if it is still there.
func (r *Runtime) lastResort(ctx context.Context, id string, timeout error) error {
	if k, ok := r.docker.(ContainerKiller); ok {
		kill, cancel := r.detached(ctx, undoTime/2)
		_ = k.ContainerKill(kill, id, "SIGKILL") // the inspection tells whether it helped
		cancel()
	}
	look, cancel := r.detached(ctx, undoTime/2)
	defer cancel()
	info, err := r.inspectAny(look, id)
	switch {
	case errors.Is(err, ErrContainerNotFound):
		return nil
	case err != nil:
		return timeout
	case outcomeOf(info).state == StateRunning: // or stopping still
		return fmt.Errorf("still running with PID %d: %w", info.State.Pid, timeout)
	}
	return nil
}

// undoTime bounds the calls made after an operation has failed, to undo or
// finish it.
const undoTime = 10 * time.Second

// RemoveContainer removes a container, its anonymous volumes and its log
// link, in this order, so that a removal that is refused loses no log. With
// [WithLogFiles] it removes the log file and those that it was rotated to. A
// running container is killed, unless [WithoutForcedRemoval]. A container
// that is gone is fine; if somebody else is removing it, the call waits until
// it is.
func (r *Runtime) RemoveContainer(ctx context.Context, id string) (err error) {
	ctx, end := r.begin(ctx, "remove container", id)
	defer end(&err)
	info, err := r.inspect(ctx, id, TypeContainer)
	if errors.Is(err, ErrContainerNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.removeContainer(ctx, info, !r.opts.keepRunning)
}

func (r *Runtime) removeContainer(ctx context.Context, info container.InspectResponse, force bool) error {
	if err := r.remove(ctx, info.ID, force); err != nil {
		return err
	}
	w := linkOf(info)
	if w.dir == "" {
		return nil
	}
	// A start that is under way may make the link yet. What is gone ends it.
	if unlock, err := r.starts.take(ctx, info.ID); err == nil {
		defer unlock()
	}
	err := removeLogLink(w.dir, w.rel, w.target, w.ID)
	if errors.Is(err, errNotOurLink) {
		r.opts.logger.Debug("log path is not this container's link", slog.String("id", info.ID), slog.Any("err", err))
		err = nil
	}
	return cmp.Or(err, r.removeLogFile(info, w))
}

// remove removes a container and waits until it is gone. The caller has made
// sure that it is ours.
//
// A removal that somebody else began is asked for again and again: Docker
// refuses it until it is done, and takes it where the other one failed half
// way and left the container dead.
func (r *Runtime) remove(ctx context.Context, id string, force bool) error {
	opts := container.RemoveOptions{RemoveVolumes: true, Force: force}
	wait := newBackoff(10*time.Millisecond, 500*time.Millisecond)
	for busy := 0; ; {
		err := classify(verbRemove, id, r.docker.ContainerRemove(ctx, id, opts))
		switch {
		case err == nil, errors.Is(err, ErrContainerNotFound):
			return nil
		case errors.Is(err, ErrRemovalInProgress):
		case busy < busyTries && (isBusy(err) || errors.Is(err, ErrNotRunning)):
			// A mount that another process still holds goes. Podman fails to
			// kill what ends at that moment, and takes the next request.
			busy++
		default:
			return err
		}
		if werr := wait.sleep(ctx); werr != nil {
			return joinErrors([]error{err, werr})
		}
	}
}

// busyTries is how often a removal is repeated that failed for what passes: for
// some five seconds.
const busyTries = 12

// isBusy recognises a removal that failed on a mount still in use.
func isBusy(err error) bool {
	text := err.Error()
	return strings.Contains(text, "device or resource busy") || strings.Contains(text, "directory not empty")
}

// Wait waits until a container does not run and returns its status then. For
// one that does not run it returns at once, even if it was never started. It
// has no deadline but the caller's. The error is [ErrContainerNotFound] if the
// container is removed meanwhile.
func (r *Runtime) Wait(ctx context.Context, id string) (st ContainerStatus, err error) {
	ctx, end := r.beginLimit(ctx, "wait for container", id, -1)
	defer end(&err)
	w, ok := r.docker.(ContainerWaiter)
	if !ok {
		return ContainerStatus{}, &UnsupportedError{"Wait", "the engine has no wait call"}
	}
	info, err := r.inspect(ctx, id, TypeContainer)
	if err != nil {
		return ContainerStatus{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the client's goroutine
	done, failed := w.ContainerWait(ctx, info.ID, container.WaitConditionNotRunning)
	select { // the context ends the wait by an error
	case <-done:
	case err := <-failed:
		if err != nil {
			err = classify(verbContainer, info.ID, err)
			if !isContextError(err) && classOf(err) == errdefs.ErrUnknown {
				// The client makes an answer that is not JSON an error
				// of no class.
				err = &classified{ErrBadAnswer, err.Error()}
			}
			return ContainerStatus{}, err
		}
	}
	return r.containerStatus(ctx, info.ID)
}

// Kill sends a signal to a container's first process: "SIGTERM", "TERM" or
// "15"; "" is SIGKILL. The error is [ErrNotRunning] if it does not run.
func (r *Runtime) Kill(ctx context.Context, id, signal string) (err error) {
	ctx, end := r.begin(ctx, "kill container", id)
	defer end(&err)
	v := &validator{}
	v.signal("signal", signal)
	if err := v.err(); err != nil {
		return err
	}
	if signal == "" {
		signal = "SIGKILL"
	}
	k, ok := r.docker.(ContainerKiller)
	if !ok {
		return &UnsupportedError{"Kill", "the engine has no kill call"}
	}
	info, err := r.inspect(ctx, id, TypeContainer)
	if err != nil {
		return err
	}
	return classify(verbContainer, info.ID, k.ContainerKill(ctx, info.ID, signal))
}
