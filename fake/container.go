package fake

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/storage"
)

// ctr is a container. Everything in it is guarded by the engine's lock, save
// the logs, which have their own.
type ctr struct {
	id      string
	name    string // without the slash
	seq     uint64 // order of creation
	created time.Time

	cfg      *container.Config     // merged with the image's; never handed out
	hc       *container.HostConfig // with defaults filled in; never handed out
	cfgJSON  []byte                // what inspect copies from
	hcJSON   []byte
	hostname string // of the process: its own, or that of the container it joined
	image    *img   // nil for a container without an image
	path     string
	args     []string
	mounts   []container.MountPoint

	running  bool // also while paused
	paused   bool
	removing bool
	stripped bool // its anonymous volumes go with it
	dead     bool
	oom      bool
	pid      int
	exitCode int
	err      string
	started  time.Time // zero: never
	finished time.Time
	health   bool // a check is configured

	healthStatus string // what SetHealth said in this run; empty: starting

	net      attachment
	logPath  string
	logs     *logBuffer
	console  *console              // output of all runs
	stdin    *pipe                 // nil unless OpenStdin
	main     *task                 // nil while not running
	execs    map[string]*execution // that have not ended
	allExecs []string              // IDs of all that were made
	size     container.ResizeOptions
	meter    meter
	metered  bool // a test said what it uses

	exit    *event // the next exit; replaced at each
	removed *event
}

// event is something that happens once, with the state it leaves behind.
type event struct {
	done chan struct{}
	code int
}

func newEvent() *event { return &event{done: make(chan struct{})} }

func (e *event) happen(code int) {
	e.code = code
	close(e.done)
}

// state is the word for a container's state, in the engine's order of
// precedence.
func (c *ctr) state() container.ContainerState {
	switch {
	case c.running && c.paused:
		return container.StatePaused
	case c.running:
		return container.StateRunning
	case c.removing:
		return container.StateRemoving
	case c.dead:
		return container.StateDead
	case c.started.IsZero():
		return container.StateCreated
	}
	return container.StateExited
}

// find resolves a full ID, a name, or the beginning of one ID, in this order.
// The caller holds the lock.
func (d *Docker) find(ref string) (*ctr, error) {
	trimmed := strings.TrimPrefix(ref, "/")
	if c, ok := d.containers[trimmed]; ok {
		return c, nil
	}
	if id, ok := d.names[trimmed]; ok {
		return d.containers[id], nil
	}
	switch ids := d.withPrefix(trimmed, 2); len(ids) {
	case 1:
		return d.containers[ids[0]], nil
	case 0:
		return nil, NotFound("container", trimmed)
	}
	return nil, Internal("Multiple IDs found with provided prefix: %s", trimmed)
}

// withPrefix returns up to limit IDs that begin with prefix.
func (d *Docker) withPrefix(prefix string, limit int) []string {
	if prefix == "" {
		return nil
	}
	i, _ := slices.BinarySearch(d.ids, prefix)
	j := i
	for j < len(d.ids) && j-i < limit && strings.HasPrefix(d.ids[j], prefix) {
		j++
	}
	return d.ids[i:j]
}

func (d *Docker) addContainer(c *ctr) {
	d.containers[c.id] = c
	d.names[c.name] = c.id
	i, _ := slices.BinarySearch(d.ids, c.id)
	d.ids = slices.Insert(d.ids, i, c.id)
}

func (d *Docker) dropContainer(c *ctr) {
	delete(d.containers, c.id)
	delete(d.names, c.name)
	if i, ok := slices.BinarySearch(d.ids, c.id); ok {
		d.ids = slices.Delete(d.ids, i, i+1)
	}
}

// clientID is what the client does with an ID before it asks the engine.
func clientID(id string) (string, error) {
	id = strings.TrimSpace(id)
	if id == "" {
		return "", &answer{errdefs.ErrInvalidArgument, "invalid container name or ID: value is empty"}
	}
	return id, nil
}

// onContainer runs an operation on an existing container under the lock.
func onContainer[T any](ctx context.Context, d *Docker, op Op, id string, f func(c *ctr) (T, error)) (T, error) {
	return do(ctx, d, op, id, func() (T, error) {
		var zero T
		id, err := clientID(id)
		if err != nil {
			return zero, err
		}
		d.lock()
		defer d.mu.Unlock()
		c, err := d.find(id)
		if err != nil {
			return zero, err
		}
		return f(c)
	})
}

// ContainerInspect returns all about a container: by ID, by name with or
// without its slash, or by a prefix that only one ID has.
func (d *Docker) ContainerInspect(ctx context.Context, containerID string) (container.InspectResponse, error) {
	return onContainer(ctx, d, OpContainerInspect, containerID, func(c *ctr) (container.InspectResponse, error) {
		return d.inspect(c), nil
	})
}

func (d *Docker) inspect(c *ctr) container.InspectResponse {
	r := container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID:      c.id,
			Created: stamp(c.created),
			Path:    c.path,
			Args:    slices.Clone(c.args),
			State: &container.State{
				Status: c.state(), Running: c.running, Paused: c.paused, OOMKilled: c.oom, Dead: c.dead,
				Pid: c.pid, ExitCode: c.exitCode, Error: c.err, StartedAt: stamp(c.started), FinishedAt: stamp(c.finished),
			},
			LogPath:     c.logPath,
			Name:        "/" + c.name,
			Driver:      "overlay2",
			Platform:    "linux",
			HostConfig:  new(container.HostConfig),
			GraphDriver: graph(c.id),
			ExecIDs:     c.execIDs(),
		},
		Mounts:          slices.Clone(c.mounts),
		Config:          new(container.Config),
		NetworkSettings: c.net.settings(),
	}
	if c.image != nil {
		r.Image = c.image.id
	}
	if r.Args == nil {
		r.Args = []string{}
	}
	if dir := c.net.dir; dir != "" {
		r.ResolvConfPath, r.HostnamePath, r.HostsPath = dir+"/resolv.conf", dir+"/hostname", dir+"/hosts"
	}
	if c.health {
		r.State.Health = &container.Health{Status: c.healthState(), Log: []*container.HealthcheckResult{}}
	}
	// Both are our own encoding of these very types.
	_ = json.Unmarshal(c.cfgJSON, r.Config)
	_ = json.Unmarshal(c.hcJSON, r.HostConfig)
	return r
}

func graph(id string) storage.DriverData {
	dir := dockerRoot + "/overlay2/" + id
	return storage.DriverData{Name: "overlay2", Data: map[string]string{
		"LowerDir": dir + "-init/diff", "MergedDir": dir + "/merged", "UpperDir": dir + "/diff", "WorkDir": dir + "/work",
	}}
}

func (c *ctr) execIDs() []string {
	if len(c.execs) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(c.execs))
}

// freeze encodes what inspect hands out.
func (c *ctr) freeze() {
	c.cfgJSON, _ = json.Marshal(c.cfg)
	c.hcJSON, _ = json.Marshal(c.hc)
}

// stamp writes a time as the engine does; the zero time is year 1.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// command is a container's command as a list shows it.
func (c *ctr) command() string {
	if len(c.args) == 0 {
		return c.path
	}
	words := make([]string, 0, len(c.args))
	for _, a := range c.args {
		if strings.Contains(a, " ") {
			a = "'" + a + "'"
		}
		words = append(words, a)
	}
	return c.path + " " + strings.Join(words, " ")
}

// status is the sentence of a list.
func (c *ctr) status(now time.Time) string {
	switch {
	case c.running && c.paused:
		return "Up " + age(now.Sub(c.started)) + " (Paused)"
	case c.running && c.health:
		return "Up " + age(now.Sub(c.started)) + " (" + c.healthText() + ")"
	case c.running:
		return "Up " + age(now.Sub(c.started))
	case c.removing:
		return "Removal In Progress"
	case c.dead:
		return "Dead"
	case c.started.IsZero():
		return "Created"
	}
	return fmt.Sprintf("Exited (%d) %s ago", c.exitCode, age(now.Sub(c.finished)))
}

// age puts a duration into words.
func age(t time.Duration) string {
	s, m, h := int(t.Seconds()), int(t.Minutes()), int(t.Hours()+0.5)
	switch {
	case s < 1:
		return "Less than a second"
	case s == 1:
		return "1 second"
	case s < 60:
		return fmt.Sprintf("%d seconds", s)
	case m == 1:
		return "About a minute"
	case m < 60:
		return fmt.Sprintf("%d minutes", m)
	case h == 1:
		return "About an hour"
	case h < 48:
		return fmt.Sprintf("%d hours", h)
	case h < 24*7*2:
		return fmt.Sprintf("%d days", h/24)
	case h < 24*30*2:
		return fmt.Sprintf("%d weeks", h/24/7)
	case h < 24*365*2:
		return fmt.Sprintf("%d months", h/24/30)
	}
	return fmt.Sprintf("%d years", int(t.Hours()/24/365))
}

// newestFirst sorts as a list does.
func newestFirst(cs []*ctr) {
	sort.Slice(cs, func(i, j int) bool {
		if !cs[i].created.Equal(cs[j].created) {
			return cs[i].created.After(cs[j].created)
		}
		return cs[i].seq > cs[j].seq
	})
}

// copyEndpoints is a deep copy.
func copyEndpoints(m map[string]*network.EndpointSettings) map[string]*network.EndpointSettings {
	out := make(map[string]*network.EndpointSettings, len(m))
	for k, v := range m {
		out[k] = v.Copy()
	}
	return out
}
