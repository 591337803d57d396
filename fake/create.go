package fake

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ContainerCreate makes a container in the state "created". The checks and
// their order are Docker 20.10's: the configuration, then the image (404),
// then the name (400, 409), then what belongs to the security options and the
// mounts.
func (d *Docker) ContainerCreate(ctx context.Context, config *container.Config, hostConfig *container.HostConfig, networkingConfig *network.NetworkingConfig, platform *ocispec.Platform, containerName string) (container.CreateResponse, error) {
	return do(ctx, d, OpContainerCreate, containerName, func() (container.CreateResponse, error) {
		req, err := d.request(config, hostConfig, networkingConfig, platform, containerName)
		if err != nil {
			return container.CreateResponse{}, err
		}
		d.lock()
		defer d.mu.Unlock()
		return d.create(req)
	})
}

// createRequest is a create call as it arrives at the engine.
type createRequest struct {
	name     string
	cfg      *container.Config
	hc       *container.HostConfig
	noHC     bool // no HostConfig was sent
	net      *network.NetworkingConfig
	platform *ocispec.Platform
	warnings []string
}

// request is what the client does: it copies by encoding, and leaves out what
// the API version does not know.
func (d *Docker) request(cfg *container.Config, hc *container.HostConfig, nc *network.NetworkingConfig, p *ocispec.Platform, name string) (*createRequest, error) {
	r := &createRequest{name: name, noHC: hc == nil, hc: &container.HostConfig{}, platform: p}
	if hc != nil && !d.has("1.44") {
		for _, m := range hc.Mounts {
			if m.BindOptions != nil && m.BindOptions.ReadOnlyForceRecursive {
				return nil, unclassified("bind-recursive=readonly requires API v1.44 or later")
			}
		}
	}
	if cfg == nil {
		return nil, Invalid("Config cannot be empty in order to create a container")
	}
	r.cfg = new(container.Config)
	if err := recode(cfg, r.cfg); err != nil {
		return nil, err
	}
	if hc != nil {
		if err := recode(hc, r.hc); err != nil {
			return nil, err
		}
	}
	if nc != nil {
		r.net = new(network.NetworkingConfig)
		if err := recode(nc, r.net); err != nil {
			return nil, err
		}
	}
	h := r.hc
	h.CapAdd, h.CapDrop = capabilities(h.CapAdd), capabilities(h.CapDrop)
	if !d.has("1.43") {
		h.Annotations = nil
	}
	for i := range h.Mounts {
		if b := h.Mounts[i].BindOptions; b != nil {
			if !d.has("1.42") {
				b.CreateMountpoint = false
			}
			if !d.has("1.44") {
				b.ReadOnlyNonRecursive = false
			}
		}
		if o := h.Mounts[i].TmpfsOptions; o != nil && !d.has("1.46") {
			o.Options = nil
		}
	}
	return r, nil
}

// recode copies by way of JSON, as the wire does.
func recode(from, to any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}

// capabilities spells them as the client does: upper case, with CAP_, sorted,
// each once.
func capabilities(in []string) []string {
	if len(in) == 0 {
		return nil
	}
	out := make([]string, 0, len(in))
	for _, c := range in {
		c = strings.ToUpper(c)
		if c != "ALL" && !strings.HasPrefix(c, "CAP_") {
			c = "CAP_" + c
		}
		out = append(out, c)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

var nameRule = regexp.MustCompile(`^/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// create is the engine's part; the caller holds the lock.
func (d *Docker) create(r *createRequest) (container.CreateResponse, error) {
	var none container.CreateResponse
	cfg, hc := r.cfg, r.hc
	if hc.NetworkMode == "" {
		hc.NetworkMode = "default"
	}
	if err := d.validate(r); err != nil {
		return none, err
	}
	image, err := d.imageFor(cfg.Image, r.platform)
	if err != nil {
		return none, err
	}
	if image != nil {
		merge(cfg, image.config())
	}
	if len(cfg.Entrypoint) == 1 && cfg.Entrypoint[0] == "" {
		cfg.Entrypoint = nil
	}
	if len(cfg.Entrypoint) == 0 && len(cfg.Cmd) == 0 {
		return none, Invalid("No command specified")
	}
	if err := validateLogConfig(&hc.LogConfig); err != nil {
		return none, err
	}

	c := &ctr{
		id: d.newID("container"), created: d.now().UTC(),
		cfg: cfg, hc: hc, image: image,
		execs: map[string]*execution{},
		exit:  newEvent(), removed: newEvent(),
	}
	c.seq = d.seq
	if err := d.reserve(c, r.name); err != nil {
		return none, err
	}
	if err := d.settle(c, r); err != nil {
		return none, err
	}
	c.logs = newLogBuffer(hc.LogConfig.Type)
	c.console = newConsole(d, cfg.Tty, c.logs)
	if cfg.OpenStdin {
		c.stdin = new(pipe)
	}
	c.freeze()
	d.addContainer(c)
	d.containerEvent(c, "create")
	if r.warnings == nil {
		r.warnings = []string{}
	}
	return container.CreateResponse{ID: c.id, Warnings: r.warnings}, nil
}

// reserve checks the name and gives one to who has none.
func (d *Docker) reserve(c *ctr, name string) error {
	if name == "" {
		c.name = madeUpName(c.seq)
		return nil
	}
	if !nameRule.MatchString(name) {
		return Invalid("Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name)
	}
	c.name = strings.TrimPrefix(name, "/")
	holder, ok := d.names[c.name]
	if !ok {
		holder, ok = d.phantoms[c.name]
	}
	if ok {
		return NameConflict(c.name, holder)
	}
	return nil
}

// NameConflict returns the engine's refusal of a name that is taken.
func NameConflict(name, holderID string) error {
	return Conflict("Conflict. The container name %q is already in use by container %q. You have to remove (or rename) that container to be able to reuse that name.", "/"+strings.TrimPrefix(name, "/"), holderID)
}

// settle fills in what a container has from its creation on, and refuses what
// is found out only now.
func (d *Docker) settle(c *ctr, r *createRequest) error {
	cfg, hc := c.cfg, c.hc
	if cfg.Hostname == "" {
		cfg.Hostname = c.id[:12]
		if hc.NetworkMode.IsHost() || hc.UTSMode.IsHost() {
			cfg.Hostname = hostname
		}
	}
	c.hostname = cfg.Hostname
	if len(cfg.Entrypoint) > 0 {
		c.path, c.args = cfg.Entrypoint[0], slices.Concat(cfg.Entrypoint[1:], cfg.Cmd)
	} else {
		c.path, c.args = cfg.Cmd[0], slices.Clone(cfg.Cmd[1:])
	}

	if !r.noHC && hc.Runtime == "" {
		hc.Runtime = "runc"
	}
	if hc.Memory > 0 && hc.MemorySwap == 0 {
		hc.MemorySwap = 2 * hc.Memory
	}
	if hc.ShmSize == 0 {
		hc.ShmSize = 64 << 20
	}
	if hc.PidsLimit != nil && *hc.PidsLimit <= 0 {
		hc.PidsLimit = nil
	}
	if hc.OomKillDisable == nil {
		hc.OomKillDisable = new(bool)
	}
	hc.IpcMode = cmp.Or(hc.IpcMode, "private")
	hc.CgroupnsMode = cmp.Or(hc.CgroupnsMode, "host")
	if hc.MaskedPaths == nil && !hc.Privileged {
		hc.MaskedPaths = slices.Clone(maskedPaths)
	}
	if hc.ReadonlyPaths == nil && !hc.Privileged {
		hc.ReadonlyPaths = slices.Clone(readonlyPaths)
	}
	if *hc.OomKillDisable && hc.Memory == 0 {
		r.warnings = append(r.warnings, "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.")
	}
	if hc.NetworkMode.IsHost() && len(hc.PortBindings) > 0 {
		r.warnings = append(r.warnings, "Published ports are discarded when using host network mode")
	}

	if err := d.label(hc); err != nil {
		return err
	}
	if err := validateSecurityOpt(hc.SecurityOpt); err != nil {
		return err
	}
	if len(hc.StorageOpt) > 0 {
		return Internal("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")
	}
	mounts, err := d.mountsOf(c)
	if err != nil {
		return err
	}
	c.mounts = mounts
	for _, link := range hc.Links {
		of, _, _ := strings.Cut(link, ":")
		if _, err := d.find(of); err != nil {
			return Invalid("could not get container for %s: No such container: %s", of, of)
		}
	}
	if cfg.WorkingDir != "" {
		cfg.WorkingDir = path.Clean(cfg.WorkingDir)
		if c.image != nil && c.image.files.isFile(cfg.WorkingDir) {
			return Internal("Cannot mkdir: %s is not a directory", cfg.WorkingDir)
		}
	}
	c.health = false
	c.net = newAttachment(hc.NetworkMode, r.net)
	return nil
}

// asInvalid gives an error's words the class of a bad request.
func asInvalid(err error) error {
	var a *answer
	if errors.As(err, &a) {
		return &answer{errdefs.ErrInvalidArgument, a.text}
	}
	return err
}

// merge fills a container's configuration from its image's.
func merge(c, image *container.Config) {
	c.User = cmp.Or(c.User, image.User)
	c.WorkingDir = cmp.Or(c.WorkingDir, image.WorkingDir)
	c.StopSignal = cmp.Or(c.StopSignal, image.StopSignal)
	if len(c.Entrypoint) == 0 {
		if len(c.Cmd) == 0 {
			c.Cmd = slices.Clone(image.Cmd)
			c.ArgsEscaped = image.ArgsEscaped
		}
		if c.Entrypoint == nil {
			c.Entrypoint = slices.Clone(image.Entrypoint)
		}
	}
	own := map[string]bool{}
	for _, e := range c.Env {
		own[key(e)] = true
	}
	for _, e := range image.Env {
		if !own[key(e)] {
			c.Env = append(c.Env, e)
		}
	}
	if c.Labels = under(c.Labels, image.Labels); c.Labels == nil {
		c.Labels = map[string]string{}
	}
	c.ExposedPorts = under(c.ExposedPorts, image.ExposedPorts)
	c.Volumes = under(c.Volumes, image.Volumes)
	if h := image.Healthcheck; h != nil {
		if c.Healthcheck == nil {
			c.Healthcheck = h
		} else {
			if len(c.Healthcheck.Test) == 0 {
				c.Healthcheck.Test = h.Test
			}
			c.Healthcheck.Interval = cmp.Or(c.Healthcheck.Interval, h.Interval)
			c.Healthcheck.Timeout = cmp.Or(c.Healthcheck.Timeout, h.Timeout)
			c.Healthcheck.StartPeriod = cmp.Or(c.Healthcheck.StartPeriod, h.StartPeriod)
			c.Healthcheck.Retries = cmp.Or(c.Healthcheck.Retries, h.Retries)
		}
	}
}

// under adds to m what only base has.
func under[M ~map[K]V, K comparable, V any](m, base M) M {
	if len(base) == 0 {
		return m
	}
	out := maps.Clone(base)
	maps.Copy(out, m)
	return out
}

// key is the name of an environment entry.
func key(entry string) string {
	k, _, _ := strings.Cut(entry, "=")
	return k
}

// environ is the environment of a process: what the engine gives each one,
// then the container's entries, where the last of a name wins and one without
// "=" takes the variable away.
func environ(c *ctr, user string, tty bool, more []string) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=" + c.hostname}
	if tty {
		env = append(env, "TERM=xterm")
	}
	at := map[string]int{}
	for i, e := range env {
		at[key(e)] = i
	}
	for _, e := range slices.Concat(c.cfg.Env, more) {
		k := key(e)
		i, ok := at[k]
		switch {
		case !strings.Contains(e, "="):
			if ok {
				env[i] = ""
				delete(at, k)
			}
		case ok:
			env[i] = e
		default:
			at[k] = len(env)
			env = append(env, e)
		}
	}
	if _, ok := at["HOME"]; !ok {
		env = append(env, "HOME="+c.image.home(user))
	}
	return slices.DeleteFunc(env, func(e string) bool { return e == "" })
}

var (
	maskedPaths = []string{
		"/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}

	left  = []string{"admiring", "brave", "clever", "eager", "gifted", "happy", "keen", "lucid", "modest", "quiet", "stoic", "vivid"}
	right = []string{"curie", "darwin", "euler", "fermi", "galileo", "hopper", "kepler", "lovelace", "noether", "pascal", "turing", "wing"}
)

// madeUpName names a container that was given no name.
func madeUpName(n uint64) string {
	name := left[n%uint64(len(left))] + "_" + right[n/uint64(len(left))%uint64(len(right))]
	if again := n / uint64(len(left)*len(right)); again > 0 {
		name += "_" + itoa(again)
	}
	return name
}
