package fake

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
)

// networks are the engine's networks and host ports.
type networks struct {
	byName map[string]*subnet
	ports  map[hostPort]map[string]*ctr // holder by address; nil: no container
	next   int                          // where the search for a free host port begins
	host   *loopback
}

// subnet is a network with addresses. The host network and "none" have none.
type subnet struct {
	id, name string
	prefix   netip.Prefix
	used     map[netip.Addr]bool
	free     netip.Addr // no address below is free
}

// hostPort is a port on the engine's host.
type hostPort struct {
	proto string
	port  int
}

// anyAddress is the address of who listens on all of them.
const anyAddress = "0.0.0.0"

func (n *networks) hold(p hostPort, ip string, c *ctr) {
	if n.ports[p] == nil {
		n.ports[p] = map[string]*ctr{}
	}
	n.ports[p][ip] = c
}

func (n *networks) drop(p hostPort, ip string, c *ctr) {
	if holder, ok := n.ports[p][ip]; ok && holder == c {
		delete(n.ports[p], ip)
	}
	if len(n.ports[p]) == 0 {
		delete(n.ports, p)
	}
}

// Ports that are published without a number come from this range.
const (
	firstDynamicPort = 32768
	lastDynamicPort  = 60999
)

func (n *networks) init(id string) {
	n.byName = map[string]*subnet{}
	n.ports = map[hostPort]map[string]*ctr{}
	n.next = firstDynamicPort
	n.host = newLoopback()
	n.add("bridge", id, netip.MustParsePrefix("172.17.0.0/16"))
	n.add("host", id[1:]+"0", netip.Prefix{})
	n.add("none", id[2:]+"00", netip.Prefix{})
}

func (n *networks) add(name, id string, p netip.Prefix) {
	s := &subnet{id: id, name: name, prefix: p, used: map[netip.Addr]bool{}}
	if p.IsValid() {
		s.free = s.gateway().Next()
	}
	n.byName[name] = s
}

func (s *subnet) gateway() netip.Addr { return s.prefix.Addr().Next() }

// take returns the lowest free address.
func (s *subnet) take() (netip.Addr, error) {
	a := s.free
	for s.used[a] {
		a = a.Next()
	}
	if !s.prefix.Contains(a.Next()) { // the last one is the broadcast address
		return a, Internal("no available IPv4 addresses on this network's address pools: %s (%s)", s.name, s.id)
	}
	s.used[a] = true
	s.free = a.Next()
	return a, nil
}

func (s *subnet) release(a netip.Addr) {
	delete(s.used, a)
	if a.Less(s.free) {
		s.free = a
	}
}

// AddNetwork makes a network that a container's NetworkMode can name, and
// returns its ID.
func (d *Docker) AddNetwork(name string) (id string) {
	d.lock()
	defer d.mu.Unlock()
	if s, ok := d.net.byName[name]; ok {
		return s.id
	}
	id = d.newID("network")
	d.net.add(name, id, netip.MustParsePrefix(fmt.Sprintf("172.%d.0.0/16", 15+len(d.net.byName))))
	return id
}

// PortTaken makes a process that is no container hold a host port, on all
// addresses: proto is "tcp", "udp" or "sctp". The start of a container that
// publishes there fails.
func (d *Docker) PortTaken(proto string, port int) {
	d.lock()
	defer d.mu.Unlock()
	d.net.hold(hostPort{proto, port}, anyAddress, nil)
}

// PortFree undoes [Docker.PortTaken].
func (d *Docker) PortFree(proto string, port int) {
	d.lock()
	defer d.mu.Unlock()
	d.net.drop(hostPort{proto, port}, anyAddress, nil)
}

// attachment is a container's place in the network.
type attachment struct {
	mode      container.NetworkMode
	name      string // of the network; empty for a joined one
	endpoints map[string]*network.EndpointSettings
	sandbox   string // ID of the namespace; kept after the end, as the engine does
	key       string // its path
	dir       string // where resolv.conf, hostname and hosts stand
	lo        *loopback

	on        *subnet // nil while there is no address
	ip        netip.Addr
	published []published
	exposed   []string // ports that are exposed and not published, "80/tcp"
}

// published is a port of a container on the host.
type published struct {
	port   string // "80/tcp"
	inner  int
	proto  string
	hostIP string
	outer  int
	// claimed is the address that the port is held at: "0.0.0.0" of what is
	// shown for "::" too.
	claimed string
}

// networkName is the network that a mode stands for; empty for a joined one.
func networkName(m container.NetworkMode) string {
	switch {
	case m.IsContainer():
		return ""
	case m == "default" || m == "":
		return "bridge"
	}
	return string(m)
}

func newAttachment(m container.NetworkMode, nc *network.NetworkingConfig) attachment {
	a := attachment{mode: m, name: networkName(m), endpoints: map[string]*network.EndpointSettings{}}
	if a.name == "" {
		return a
	}
	e := &network.EndpointSettings{}
	if nc != nil {
		// An endpoint that is given, of which there is one at most, stands
		// in the place of the mode.
		for name, given := range nc.EndpointsConfig {
			a.name = networkName(container.NetworkMode(name))
			if given != nil {
				e = given.Copy()
			}
		}
	}
	a.endpoints[a.name] = e
	return a
}

// settings is what inspect shows.
func (a *attachment) settings() *container.NetworkSettings {
	s := &container.NetworkSettings{Networks: copyEndpoints(a.endpoints)}
	s.SandboxID, s.SandboxKey = a.sandbox, a.key
	s.Ports = fresh(s.Ports)
	for _, p := range a.exposed {
		put(s.Ports, p, nil)
	}
	for _, p := range a.published {
		bindings := get(s.Ports, p.port)
		bindings, last := grow(bindings)
		last.HostIP, last.HostPort = p.hostIP, strconv.Itoa(p.outer)
		put(s.Ports, p.port, bindings)
	}
	if e := a.endpoints["bridge"]; e != nil {
		s.EndpointID, s.Gateway, s.IPAddress, s.IPPrefixLen, s.MacAddress = e.EndpointID, e.Gateway, e.IPAddress, e.IPPrefixLen, e.MacAddress
	}
	return s
}

// The engine's port map is of types in a module that is not one of ours; these
// let the compiler find their names.

func fresh[M ~map[K]V, K comparable, V any](M) M { return M{} }

func put[M ~map[K]V, K ~string, V any](m M, k string, v V) { m[K(k)] = v }

func get[M ~map[K]V, K ~string, V any](m M, k string) V { return m[K(k)] }

func grow[S ~[]E, E any](s S) (S, *E) {
	var zero E
	s = append(s, zero)
	return s, &s[len(s)-1]
}

// summary is what a list shows of the ports.
func (a *attachment) summary() []container.Port {
	out := []container.Port{}
	for _, p := range a.published {
		out = append(out, container.Port{IP: p.hostIP, PrivatePort: uint16(p.inner), PublicPort: uint16(p.outer), Type: p.proto})
	}
	for _, p := range a.exposed {
		inner, proto := splitPort(p)
		out = append(out, container.Port{PrivatePort: uint16(inner), Type: proto})
	}
	return out
}

// splitPort reads "80/tcp".
func splitPort(p string) (int, string) {
	n, proto, _ := strings.Cut(p, "/")
	port, _ := strconv.Atoi(n)
	return port, cmp.Or(proto, "tcp")
}

// connect gives a starting container its network. On an error it has none.
func (d *Docker) connect(c *ctr) error {
	a := &c.net
	if of, ok := strings.CutPrefix(string(a.mode), "container:"); ok {
		return d.join(c, of)
	}
	e := a.endpoints[a.name]
	s := d.network(a.name)
	if s == nil {
		return refuse(errdefs.ErrNotFound, "network %s not found", a.name)
	}
	if a.name == "bridge" && len(e.Aliases) > 0 {
		return Invalid("network-scoped alias is supported only for containers in user defined networks")
	}
	a.sandbox = d.newID("sandbox")
	a.key = "/var/run/docker/netns/" + a.sandbox[:12]
	a.dir = d.root() + "/containers/" + c.id
	e.NetworkID, e.EndpointID = s.id, d.newID("endpoint")
	if s.name == "host" {
		a.key, a.lo = "/var/run/docker/netns/default", d.net.host
		return nil
	}
	a.lo = newLoopback()
	if s.name == "none" {
		return nil
	}
	ip, err := s.take()
	if err != nil {
		return err
	}
	a.on, a.ip = s, ip
	b := ip.As4()
	e.IPAddress, e.IPPrefixLen, e.Gateway = ip.String(), s.prefix.Bits(), s.gateway().String()
	e.MacAddress = fmt.Sprintf("02:42:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3])
	if s.name != "bridge" && !slices.Contains(e.Aliases, c.id[:12]) {
		e.Aliases = append(e.Aliases, c.id[:12])
	}
	if err := d.publish(c, e.EndpointID); err != nil {
		d.disconnect(c)
		return err
	}
	return nil
}

// network finds a network by name or ID.
func (d *Docker) network(ref string) *subnet {
	if s, ok := d.net.byName[ref]; ok {
		return s
	}
	for _, s := range d.net.byName {
		if s.id == ref {
			return s
		}
	}
	return nil
}

// join puts a container into another's namespace.
func (d *Docker) join(c *ctr, of string) error {
	other, err := d.find(of)
	switch {
	case err != nil:
		return err
	case other == c:
		return Internal("cannot join own network")
	case !other.running:
		return Conflict("cannot join network of a non running container: %s", other.id)
	}
	c.net.lo, c.net.dir = other.net.lo, other.net.dir
	c.hostname = other.hostname
	c.cfg.Hostname, c.cfg.Domainname = other.cfg.Hostname, other.cfg.Domainname
	c.freeze()
	return nil
}

// disconnect takes back what connect gave; the namespace's ID stays to be
// seen, as with the engine.
func (d *Docker) disconnect(c *ctr) {
	a := &c.net
	for _, p := range a.published {
		d.net.drop(hostPort{p.proto, p.outer}, p.claimed, c)
	}
	a.published, a.exposed = nil, nil
	if a.on != nil {
		a.on.release(a.ip)
		a.on = nil
	}
	for _, e := range a.endpoints {
		e.EndpointID, e.IPAddress, e.IPPrefixLen, e.Gateway, e.MacAddress = "", "", 0, "", ""
	}
}

// publish takes the host ports of a container. Only ports that are exposed are
// published, as in Docker 20.10: the docker command exposes them by itself,
// the API does not.
func (d *Docker) publish(c *ctr, endpoint string) error {
	fail := func(format string, args ...any) error {
		return Internal("driver failed programming external connectivity on endpoint %s (%s): %s", c.name, endpoint, fmt.Sprintf(format, args...))
	}
	for _, port := range slices.Sorted(maps.Keys(c.cfg.ExposedPorts)) {
		key := string(port)
		inner, proto := splitPort(key)
		key = strconv.Itoa(inner) + "/" + proto
		bindings := slices.Clone(get(c.hc.PortBindings, string(port)))
		if len(bindings) == 0 && c.hc.PublishAllPorts {
			bindings, _ = grow(bindings)
		}
		if len(bindings) == 0 {
			c.net.exposed = append(c.net.exposed, key)
			continue
		}
		for _, b := range slices.Backward(bindings) {
			ip, err := netip.ParseAddr(b.HostIP)
			if err != nil {
				ip = netip.IPv4Unspecified()
			}
			lo, hi, _ := portRange(b.HostPort)
			p := published{port: key, inner: inner, proto: proto, hostIP: ip.String(), claimed: ip.String()}
			p.outer, err = d.claim(proto, p.claimed, lo, hi)
			if err != nil {
				return fail("%s", err)
			}
			d.net.hold(hostPort{proto, p.outer}, p.claimed, c)
			c.net.published = append(c.net.published, p)
			if ip == netip.IPv4Unspecified() {
				p.hostIP = "::"
				c.net.published = append(c.net.published, p)
			}
		}
	}
	return nil
}

// claim looks for a free port of the range; 0 means any.
func (d *Docker) claim(proto, ip string, lo, hi int) (int, error) {
	if lo == 0 {
		for range lastDynamicPort - firstDynamicPort + 1 {
			port := d.net.next
			if d.net.next++; d.net.next > lastDynamicPort {
				d.net.next = firstDynamicPort
			}
			if d.portError(proto, ip, port) == nil {
				return port, nil
			}
		}
		return 0, errors.New("all ports are allocated")
	}
	var err error
	for port := lo; port <= hi; port++ {
		if err = d.portError(proto, ip, port); err == nil {
			return port, nil
		}
	}
	if hi > lo {
		err = errors.New("all ports are allocated")
	}
	return 0, err
}

// portError tells in the engine's words why a port cannot be had: its own
// book-keeping is by address, and what slips through it meets the kernel.
func (d *Docker) portError(proto, ip string, port int) error {
	holders := d.net.ports[hostPort{proto, port}]
	if holder := holders[ip]; holder != nil {
		return fmt.Errorf("Bind for %s:%d failed: port is already allocated", ip, port)
	}
	_, taken := holders[anyAddress]
	if !taken && (ip != anyAddress || len(holders) == 0) {
		return nil
	}
	family := "4"
	if strings.Contains(ip, ":") {
		family = "6"
	}
	return fmt.Errorf("Error starting userland proxy: listen %s%s %s: bind: address already in use", proto, family, netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(port)))
}
