package fake

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
)

var listFilters = map[string]bool{
	"ancestor": true, "before": true, "exited": true, "expose": true, "health": true, "id": true, "is-task": true, "isolation": true,
	"label": true, "name": true, "network": true, "publish": true, "since": true, "status": true, "volume": true,
}

var listStates = map[string]bool{
	"created": true, "dead": true, "exited": true, "paused": true, "removing": true, "restarting": true, "running": true,
}

// badFilter puts the refusal of a filter into Docker 20.10's words.
func badFilter(err error) error {
	text := err.Error()
	if i := strings.LastIndex(text, "'"); i >= 0 {
		text = text[strings.Index(text, "'"):]
	}
	return Invalid("Invalid filter %s", text)
}

// ContainerList returns containers, the newest first. The filters that work
// are ancestor, before, exited, expose, health, id, label, name, network,
// publish, since, status and volume; is-task and isolation are accepted and
// match all. Size, Latest, Since and Before of the options do nothing, as with
// Docker 20.10: the last two are filters there.
func (d *Docker) ContainerList(ctx context.Context, o container.ListOptions) ([]container.Summary, error) {
	return do(ctx, d, OpContainerList, "", func() ([]container.Summary, error) {
		f := o.Filters.Clone()
		d.lock()
		defer d.mu.Unlock()
		l, err := d.newLister(o, f)
		if err != nil {
			return nil, err
		}
		found := make([]*ctr, 0, len(l.candidates))
		for _, c := range l.candidates {
			if l.matches(c) {
				found = append(found, c)
			}
		}
		newestFirst(found)
		if limit := l.limit; limit > 0 && len(found) > limit {
			found = found[:limit]
		}
		out := make([]container.Summary, 0, len(found))
		now := d.now()
		names := map[string]string{} // image as it is shown, by reference and ID
		for _, c := range found {
			s := c.summary()
			s.Status = c.status(now)
			s.Image = d.shownImage(c, names)
			out = append(out, s)
		}
		return out, nil
	})
}

func (c *ctr) summary() container.Summary {
	s := container.Summary{
		ID: c.id, Names: []string{"/" + c.name}, Command: c.command(), Created: c.created.Unix(),
		Ports: c.net.summary(), Labels: maps.Clone(c.cfg.Labels), State: c.state(), Mounts: slices.Clone(c.mounts),
		NetworkSettings: &container.NetworkSettingsSummary{Networks: copyEndpoints(c.net.endpoints)},
	}
	if c.image != nil {
		s.ImageID = c.image.id
	}
	s.HostConfig.NetworkMode = string(c.hc.NetworkMode)
	return s
}

// shownImage is the name that a container was created by while it still
// denotes the container's image, else the image's ID.
func (d *Docker) shownImage(c *ctr, memo map[string]string) string {
	if c.image == nil {
		return c.cfg.Image
	}
	if c.cfg.Image == c.image.id {
		return c.image.id
	}
	k := c.cfg.Image + " " + c.image.id
	if name, ok := memo[k]; ok {
		return name
	}
	name := c.cfg.Image
	if i, err := d.lookup(name); err != nil || i != c.image {
		name = c.image.id
	}
	memo[k] = name
	return name
}

// lister is a list request made ready.
type lister struct {
	d          *Docker
	f          filters.Args
	candidates []*ctr
	all        bool
	limit      int
	before     *ctr
	since      *ctr
	names      []*regexp.Regexp
	exited     []int
	images     map[*img]bool
}

func (d *Docker) newLister(o container.ListOptions, f filters.Args) (*lister, error) {
	if err := f.Validate(listFilters); err != nil {
		return nil, badFilter(err)
	}
	l := &lister{d: d, f: f, limit: o.Limit}
	for _, s := range f.Get("status") {
		if !listStates[s] {
			return nil, Invalid("Invalid filter 'status=%s'", s)
		}
	}
	for _, h := range f.Get("health") {
		if container.ValidateHealthStatus(h) != nil {
			return nil, Invalid("Unrecognised filter value for health: %s", h)
		}
	}
	for _, s := range f.Get("exited") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, Internal("%s", err)
		}
		l.exited = append(l.exited, n)
	}
	for _, key := range []string{"expose", "publish"} {
		for _, p := range f.Get(key) {
			port, _, _ := strings.Cut(p, "/")
			if _, _, err := portRange(port); err != nil {
				return nil, Internal("error while looking up for %s %s: %s", key, p, err)
			}
		}
	}
	for key, to := range map[string]**ctr{"before": &l.before, "since": &l.since} {
		for _, ref := range f.Get(key) {
			c, err := d.find(ref)
			if err != nil {
				return nil, Internal("no such container %s", ref)
			}
			*to = c
		}
	}
	for _, n := range f.Get("name") {
		if re, err := regexp.Compile(n); err == nil {
			l.names = append(l.names, re)
		} else {
			l.names = append(l.names, nil)
		}
	}
	if f.Contains("ancestor") {
		l.images = map[*img]bool{}
		for _, ref := range f.Get("ancestor") {
			if i, err := d.lookup(ref); err == nil {
				l.images[i] = true
			}
		}
	}
	l.all = o.All || l.limit > 0 || len(l.exited) > 0 || f.Contains("status") || l.before != nil || l.since != nil

	if ids := f.Get("id"); len(ids) > 0 {
		// A prefix that is not one container's selects none, in silence.
		for _, prefix := range ids {
			if found := d.withPrefix(prefix, 2); len(found) == 1 {
				l.candidates = append(l.candidates, d.containers[found[0]])
			}
		}
		slices.SortFunc(l.candidates, func(a, b *ctr) int { return strings.Compare(a.id, b.id) })
		l.candidates = slices.Compact(l.candidates)
		return l, nil
	}
	l.candidates = slices.Collect(maps.Values(d.containers))
	return l, nil
}

func (l *lister) matches(c *ctr) bool {
	f := l.f
	switch {
	case !l.all && !c.running,
		f.Contains("status") && !slices.Contains(f.Get("status"), c.state()),
		f.Contains("label") && !f.MatchKVList("label", c.cfg.Labels),
		l.before != nil && !older(c, l.before),
		l.since != nil && !older(l.since, c),
		l.images != nil && !l.images[c.image],
		len(l.exited) > 0 && (c.running || c.started.IsZero() || !slices.Contains(l.exited, c.exitCode)),
		f.Contains("health") && !slices.Contains(f.Get("health"), c.healthState()):
		return false
	}
	if len(l.names) > 0 && !slices.ContainsFunc(l.names, func(re *regexp.Regexp) bool {
		return re != nil && (re.MatchString(c.name) || re.MatchString("/"+c.name))
	}) {
		return false
	}
	if want := f.Get("volume"); len(want) > 0 && !slices.ContainsFunc(c.mounts, func(m container.MountPoint) bool {
		return slices.Contains(want, m.Destination) || slices.Contains(want, m.Name) || slices.Contains(want, m.Source)
	}) {
		return false
	}
	if want := f.Get("network"); len(want) > 0 && !slices.ContainsFunc(want, func(n string) bool {
		for name, e := range c.net.endpoints {
			if n == name || e.NetworkID != "" && strings.HasPrefix(e.NetworkID, n) {
				return true
			}
		}
		return false
	}) {
		return false
	}
	return l.portsMatch(c)
}

// portsMatch looks at the published and exposed ports.
func (l *lister) portsMatch(c *ctr) bool {
	for _, key := range []string{"publish", "expose"} {
		want := l.f.Get(key)
		if len(want) == 0 {
			continue
		}
		ok := false
		for _, p := range c.net.summary() {
			port := p.PrivatePort
			if key == "publish" {
				port = p.PublicPort
			}
			for _, w := range want {
				number, proto, _ := strings.Cut(w, "/")
				lo, hi, _ := portRange(number)
				if port != 0 && int(port) >= lo && int(port) <= hi && (proto == "" && p.Type == "tcp" || proto == p.Type) {
					ok = true
				}
			}
		}
		if !ok {
			return false
		}
	}
	return true
}

func older(a, b *ctr) bool {
	if !a.created.Equal(b.created) {
		return a.created.Before(b.created)
	}
	return a.seq < b.seq
}

func (c *ctr) healthState() string {
	switch {
	case !c.health:
		return container.NoHealthcheck
	case !c.running:
		return container.Unhealthy
	case c.healthStatus != "":
		return c.healthStatus
	}
	return container.Starting
}

// healthText is what a list says of the health of what runs.
func (c *ctr) healthText() string {
	if c.healthStatus == "" {
		return "health: starting"
	}
	return c.healthStatus
}
