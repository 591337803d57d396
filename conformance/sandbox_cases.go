package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/go-connections/nat"

	"github.com/dockpod/dockpod"
)

var sandboxCases = []testCase{
	// Its life.
	{"a sandbox is ready until it is stopped, and there until it is removed", func(t *testing.T, w *world) {
		s := w.pod("web")
		id := w.sandbox(t, s)
		st := w.sandboxStatus(t, id)
		equal(t, "name", dockpod.Name{Container: dockpod.SandboxContainerName, Pod: s.Name, Namespace: s.Namespace, UID: s.UID}, st.Name)
		equal(t, "state", dockpod.SandboxReady, st.State)
		if st.PID <= 0 || !st.StartedAt.After(st.CreatedAt) {
			t.Errorf("ready with PID %d, created %s, started %s", st.PID, st.CreatedAt, st.StartedAt)
		}
		equal(t, "end of what is ready", time.Time{}, st.FinishedAt)

		w.begun(t, st.PID)
		must(t, w.rt.StopSandbox(t.Context(), id, time.Minute))
		st = w.sandboxStatus(t, id)
		equal(t, "state when stopped", dockpod.SandboxNotReady, st.State)
		equal(t, "PID when stopped", 0, st.PID)
		equal(t, "reason when stopped", dockpod.ReasonCompleted, st.Reason)
		equal(t, "problems", []string(nil), st.Problems)
		if st.FinishedAt.Before(st.StartedAt) {
			t.Errorf("stopped at %s, started %s", st.FinishedAt, st.StartedAt)
		}

		must(t, w.rt.RemoveSandbox(t.Context(), id))
		_, err := w.rt.SandboxStatus(t.Context(), id)
		fails(t, err, dockpod.ErrContainerNotFound)
		equal(t, "left", []string{}, w.left(t))
	}},
	{"a list of sandboxes says what their status says", func(t *testing.T, w *world) {
		id := w.sandbox(t, w.pod("web"))
		for range 2 {
			want := w.sandboxStatus(t, id).Sandbox
			want.CreatedAt = want.CreatedAt.Truncate(time.Second)
			equal(t, "list", []dockpod.Sandbox{want}, w.sandboxes(t, dockpod.SandboxFilter{}))
			must(t, w.rt.StopSandbox(t.Context(), id, 0))
		}
	}},
	{"sandboxes are listed by ID, state, label and the pod's UID", func(t *testing.T, w *world) {
		a, b := w.sandbox(t, w.pod("a")), w.sandbox(t, w.pod("b"))
		must(t, w.rt.StopSandbox(t.Context(), a, 0))
		w.sandboxStatus(t, a) // Docker lists an end a moment after it is told; an inspection waits for both
		for what, c := range map[string]struct {
			filter dockpod.SandboxFilter
			want   []string
		}{
			"ID":             {dockpod.SandboxFilter{ID: a}, []string{a}},
			"not-ready":      {dockpod.SandboxFilter{State: dockpod.SandboxNotReady}, []string{a}},
			"ready":          {dockpod.SandboxFilter{State: dockpod.SandboxReady}, []string{b}},
			"label":          {dockpod.SandboxFilter{Labels: map[string]string{"app": "b"}}, []string{b}},
			"UID":            {dockpod.SandboxFilter{UID: "a-uid"}, []string{a}},
			"all conditions": {dockpod.SandboxFilter{ID: a, State: dockpod.SandboxReady}, []string{}},
			"part of an ID":  {dockpod.SandboxFilter{ID: a[:12]}, []string{}},
		} {
			got := []string{}
			for _, sb := range w.sandboxes(t, c.filter) {
				got = append(got, sb.ID)
			}
			equal(t, what, c.want, got)
		}
	}},
	{"a list of no sandboxes is empty and not nil", func(t *testing.T, w *world) {
		equal(t, "list", []dockpod.Sandbox{}, w.sandboxes(t, dockpod.SandboxFilter{}))
	}},
	{"a list of sandboxes has no containers", func(t *testing.T, w *world) {
		sb, s := w.ready(t)
		w.create(t, sb, w.container("app"), s)
		equal(t, "sandboxes", 1, len(w.sandboxes(t, dockpod.SandboxFilter{})))
	}},
	{"the attempts of a pod's sandbox are told apart, the newest first", func(t *testing.T, w *world) {
		w.needs(t, "exact order")
		s := w.pod("web")
		must(t, w.rt.StopSandbox(t.Context(), w.sandbox(t, s), 0))
		s.Attempt = 1
		w.sandbox(t, s)
		var got []uint32
		for _, sb := range w.sandboxes(t, dockpod.SandboxFilter{UID: s.UID}) {
			got = append(got, sb.Name.Attempt)
		}
		equal(t, "attempts", []uint32{1, 0}, got)
	}},

	// Its configuration.
	{"a sandbox's configuration is read back as it was given", func(t *testing.T, w *world) {
		s := w.fullPod(t)
		equal(t, "configuration", s, w.sandboxStatus(t, w.sandbox(t, s)).Config)
	}},
	{"the engine has the servers, domains and options that a sandbox looks names up with", func(t *testing.T, w *world) {
		w.needs(t, "exact inspections")
		s := w.fullPod(t)
		host := w.raw(t, w.sandbox(t, s)).HostConfig
		equal(t, "of the engine", s.DNS, dockpod.DNSConfig{Servers: host.DNS, Searches: host.DNSSearch, Options: host.DNSOptions})
	}},
	{"an agent that was started anew goes on with what it reads", func(t *testing.T, w *world) {
		s := w.fullPod(t)
		w.sandbox(t, s)

		anew := w.with()
		found, err := anew.ListSandboxes(t.Context(), dockpod.SandboxFilter{UID: s.UID})
		must(t, err)
		st, err := anew.SandboxStatus(t.Context(), found[0].ID)
		must(t, err)
		c := w.container("app", "exit")
		c.LogPath = "app/0.log"
		id, err := anew.CreateContainer(t.Context(), st.ID, c, st.Config)
		must(t, err)
		must(t, anew.StartContainer(t.Context(), id))
		got := w.finished(t, id)
		equal(t, "exit code", 0, got.ExitCode)
		equal(t, "log path", filepath.Join(w.logs, "app/0.log"), got.LogPath)
		equal(t, "cgroup parent", s.CgroupParent, w.raw(t, id).HostConfig.CgroupParent)
		equal(t, "runtime", w.raw(t, st.ID).HostConfig.Runtime, w.raw(t, id).HostConfig.Runtime)
	}},
	{"a stopped sandbox still has its configuration", func(t *testing.T, w *world) {
		s := w.fullPod(t)
		id := w.sandbox(t, s)
		must(t, w.rt.StopSandbox(t.Context(), id, 0))
		equal(t, "configuration", s, w.sandboxStatus(t, id).Config)
	}},
	{"what a sandbox was not told is not made up, but for the hostname", func(t *testing.T, w *world) {
		s := dockpod.SandboxConfig{Name: "bare", Namespace: "test", UID: "bare-uid"}
		id := w.sandbox(t, s)
		s.Hostname = id[:12]
		s.Labels, s.Annotations = map[string]string{}, map[string]string{}
		equal(t, "configuration", s, w.sandboxStatus(t, id).Config)
	}},
	{"a sandbox is guarded, shareable and never restarted", func(t *testing.T, w *world) {
		h := w.raw(t, w.sandbox(t, w.pod("web"))).HostConfig
		equal(t, "IPC mode", container.IPCModeShareable, h.IpcMode)
		if p := h.RestartPolicy.Name; p != "" && p != container.RestartPolicyDisabled {
			t.Errorf("restart policy is %q; want none", p)
		}
		if !slices.ContainsFunc(h.SecurityOpt, func(o string) bool { return strings.HasPrefix(o, "no-new-privileges") }) {
			t.Errorf("security options are %q; want no-new-privileges", h.SecurityOpt)
		}
	}},
	{"a sandbox's OOM score is the Runtime's, unless it has one of its own", func(t *testing.T, w *world) {
		rt := w.with(dockpod.WithSandboxOOMScore(300))
		for want, adj := range map[int]int{300: 0, 200: 200} {
			s := w.pod(fmt.Sprint("web", want))
			s.Resources.OOMScoreAdj = adj
			id, err := rt.RunSandbox(t.Context(), s)
			must(t, err)
			equal(t, "score", want, w.raw(t, id).HostConfig.OomScoreAdj)
		}
	}},
	{"a runtime handler that the engine lacks is refused", func(t *testing.T, w *world) {
		s := w.pod("web")
		s.RuntimeHandler = "no-such-runtime"
		_, err := w.rt.RunSandbox(t.Context(), s)
		equal(t, "field", "RuntimeHandler", refused[*dockpod.FieldError](t, err).Field)
		equal(t, "left", []string{}, w.left(t))
	}},
	{"a configuration that cannot be is refused by its field", func(t *testing.T, w *world) {
		for field, change := range map[string]func(*dockpod.SandboxConfig){
			"Name":              func(s *dockpod.SandboxConfig) { s.Name = "" },
			"Namespace":         func(s *dockpod.SandboxConfig) { s.Namespace = "a_b" },
			"UID":               func(s *dockpod.SandboxConfig) { s.UID = "a/b" },
			"LogDirectory":      func(s *dockpod.SandboxConfig) { s.LogDirectory = "logs" },
			"DNS.Servers[0]":    func(s *dockpod.SandboxConfig) { s.DNS.Servers = []string{"dns.example"} },
			"Ports[0].HostPort": func(s *dockpod.SandboxConfig) { s.Ports = []dockpod.PortMapping{{ContainerPort: 80, HostPort: 70000}} },
			"Hostname": func(s *dockpod.SandboxConfig) {
				s.Hostname, s.Namespaces.Network = "web-0", dockpod.NamespaceNode
			},
		} {
			s := w.pod("web")
			change(&s)
			_, err := w.rt.RunSandbox(t.Context(), s)
			equal(t, "field", field, refused[*dockpod.FieldError](t, err).Field)
		}
		equal(t, "left", []string{}, w.left(t))
	}},

	// Its namespaces.
	{"the containers of a pod reach each other over localhost, and no other pod's", func(t *testing.T, w *world) {
		a, b := w.pod("a"), w.pod("b")
		sa, sb := w.sandbox(t, a), w.sandbox(t, b)
		w.hears(t, w.start(t, sa, w.container("server", "serve", "8080", "hello"), a), "up")
		near := w.start(t, sa, w.container("near", "ask", "8080"), a)
		far := w.start(t, sb, w.container("far", "ask", "8080"), b)
		equal(t, "exit code near", 0, w.finished(t, near).ExitCode)
		equal(t, "heard near", "hello\n", w.said(t, near))
		equal(t, "exit code far", 1, w.finished(t, far).ExitCode)
	}},
	{"the PIDs of a pod are shared where it says so", func(t *testing.T, w *world) {
		s := w.pod("web")
		s.Namespaces.PID = dockpod.NamespacePod
		sb := w.sandbox(t, s)
		id := w.start(t, sb, w.container("app", "sleep"), s)
		w.hears(t, id, "up")
		equal(t, "PIDs of the container", "container:"+sb, string(w.raw(t, id).HostConfig.PidMode))
	}},
	{"a pod in the node's namespaces has neither hostname nor address of its own", func(t *testing.T, w *world) {
		s := w.pod("web")
		s.Namespaces = dockpod.NamespaceOptions{Network: dockpod.NamespaceNode, PID: dockpod.NamespaceNode, IPC: dockpod.NamespaceNode}
		sb := w.sandbox(t, s)
		st := w.sandboxStatus(t, sb)
		equal(t, "addresses", 0, len(st.IPs))
		equal(t, "configuration", s, st.Config)
		h := w.raw(t, sb).HostConfig
		equal(t, "network and PIDs of the sandbox", []string{"host", "host"}, []string{string(h.NetworkMode), string(h.PidMode)})
		id := w.start(t, sb, w.container("app", "sleep"), s)
		w.hears(t, id, "up")
		equal(t, "PIDs of the container", "host", string(w.raw(t, id).HostConfig.PidMode))
	}},
	{"the addresses of ready sandboxes are valid and their own, and end with them", func(t *testing.T, w *world) {
		a, b := w.sandbox(t, w.pod("a")), w.sandbox(t, w.pod("b"))
		seen := map[netip.Addr]bool{}
		for _, id := range []string{a, b} {
			ips := w.sandboxStatus(t, id).IPs
			if len(ips) == 0 {
				t.Fatal("a ready sandbox has no address")
			}
			for _, ip := range ips {
				if !ip.IsValid() || ip.IsUnspecified() || ip.IsLoopback() || seen[ip] {
					t.Errorf("address %v is not one of its own", ip)
				}
				seen[ip] = true
			}
		}
		must(t, w.rt.StopSandbox(t.Context(), a, 0))
		equal(t, "addresses when stopped", 0, len(w.sandboxStatus(t, a).IPs))
	}},
	{"a pod without a network has its localhost alone", func(t *testing.T, w *world) {
		rt := w.with(dockpod.WithNetwork("none"))
		s := w.pod("web")
		sb, err := rt.RunSandbox(t.Context(), s)
		must(t, err)
		equal(t, "addresses", 0, len(w.sandboxStatus(t, sb).IPs))
		w.hears(t, w.start(t, sb, w.container("server", "serve", "8080", "hello"), s), "up")
		id := w.start(t, sb, w.container("client", "ask", "8080"), s)
		w.finished(t, id)
		equal(t, "heard", "hello\n", w.said(t, id))
	}},
	{"a pod on a network that is not there is an error, and nothing stays", func(t *testing.T, w *world) {
		_, err := w.with(dockpod.WithNetwork(w.owner)).RunSandbox(t.Context(), w.pod("web"))
		if err == nil || errors.Is(err, dockpod.ErrContainerNotFound) || errors.Is(err, dockpod.ErrImageNotFound) {
			t.Errorf("error is %v; want one of the network", err)
		}
		equal(t, "left", []string{}, w.left(t))
	}},

	// Its ports.
	{"ports are published as they were asked for", func(t *testing.T, w *world) {
		p := w.ports(t, 4)
		s := w.pod("web")
		s.Ports = []dockpod.PortMapping{
			{ContainerPort: 80, HostPort: p[0]},
			{ContainerPort: 80, HostPort: p[1]}, // two to one
			{ContainerPort: 53, HostPort: p[2], Protocol: dockpod.UDP},
			{ContainerPort: 443, HostPort: p[3], HostIP: "127.0.0.1"},
			{ContainerPort: 9090}, // not published
		}
		id := w.sandbox(t, s)
		equal(t, "read back", s.Ports, w.sandboxStatus(t, id).Config.Ports)
		want := []string{
			fmt.Sprintf("*:%d->80/tcp", p[0]), fmt.Sprintf("*:%d->80/tcp", p[1]),
			fmt.Sprintf("*:%d->53/udp", p[2]), fmt.Sprintf("127.0.0.1:%d->443/tcp", p[3]),
		}
		slices.Sort(want)
		equal(t, "published", want, w.published(t, id))
	}},
	{"a port that another of our sandboxes has is refused by that one's name", func(t *testing.T, w *world) {
		port := w.ports(t, 1)[0]
		a, b := w.podAt("a", port), w.podAt("b", port)
		holder := w.sandbox(t, a)
		_, err := w.rt.RunSandbox(t.Context(), b)
		e := refused[*dockpod.PortConflictError](t, err)
		equal(t, "port", b.Ports[0], e.Port)
		equal(t, "holder", holder, e.HolderID)
		equal(t, "holder's pod", "a", e.Holder.Pod)
		equal(t, "sandboxes", 1, len(w.sandboxes(t, dockpod.SandboxFilter{})))
	}},
	{"a port that somebody else's container has is refused, and nothing stays", func(t *testing.T, w *world) {
		port := w.ports(t, 1)[0]
		w.startBare(t, w.bare(t, func(c *container.Config, h *container.HostConfig) {
			c.ExposedPorts = nat.PortSet{"80/tcp": {}}
			h.PortBindings = nat.PortMap{"80/tcp": {{HostPort: strconv.Itoa(int(port))}}}
		}))
		w.refusesPort(t, w.podAt("web", port))
	}},
	{"a port that a process of the host has is refused, and nothing stays", func(t *testing.T, w *world) {
		w.needs(t, "host ports")
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		w.refusesPort(t, w.podAt("web", int32(l.Addr().(*net.TCPAddr).Port)))
	}},
	{"a port is taken for its protocol and its address alone", func(t *testing.T, w *world) {
		port := w.ports(t, 1)[0]
		for i, p := range []dockpod.PortMapping{
			{HostPort: port, HostIP: "127.0.0.1"}, {HostPort: port, HostIP: "127.0.0.2"}, {HostPort: port, Protocol: dockpod.UDP},
		} {
			s := w.pod(fmt.Sprint("web", i))
			p.ContainerPort = 80
			s.Ports = []dockpod.PortMapping{p}
			w.sandbox(t, s)
		}
	}},
	{"a port is free again when its sandbox is stopped", func(t *testing.T, w *world) {
		port := w.ports(t, 1)[0]
		must(t, w.rt.StopSandbox(t.Context(), w.sandbox(t, w.podAt("a", port)), 0))
		w.sandbox(t, w.podAt("b", port))
	}},

	// All or nothing.
	{"a sandbox whose start fails is not left behind", func(t *testing.T, w *world) {
		rt := w.starting(func(context.Context, string) error { return errors.New("no start today") })
		_, err := rt.RunSandbox(t.Context(), w.pod("web"))
		if err == nil || !strings.Contains(err.Error(), "no start today") {
			t.Errorf("error is %v; want the engine's", err)
		}
		equal(t, "left", []string{}, w.left(t))
	}},
	{"a sandbox whose start happened, but was not answered, is not left behind", func(t *testing.T, w *world) {
		rt := w.starting(func(ctx context.Context, id string) error {
			must(t, w.docker.ContainerStart(ctx, id, container.StartOptions{}))
			return context.DeadlineExceeded
		})
		_, err := rt.RunSandbox(t.Context(), w.pod("web"))
		fails(t, err, context.DeadlineExceeded)
		equal(t, "left", []string{}, w.left(t))
	}},
	{"a caller who gives up while the sandbox starts leaves nothing behind", func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		rt := w.starting(func(ctx context.Context, id string) error {
			cancel()
			return w.docker.ContainerStart(ctx, id, container.StartOptions{})
		})
		_, err := rt.RunSandbox(ctx, w.pod("web"))
		fails(t, err, context.Canceled)
		equal(t, "left", []string{}, w.left(t))
	}},
	{"a caller who has given up already makes nothing", func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := w.rt.RunSandbox(ctx, w.pod("web"))
		fails(t, err, context.Canceled)
		equal(t, "left", []string{}, w.left(t))
	}},
	{"a sandbox whose creation happened, but was not answered, is found and run", func(t *testing.T, w *world) {
		rt := w.through(func(_ string, create createFunc) (container.CreateResponse, error) {
			_, err := create()
			must(t, err)
			return container.CreateResponse{}, context.DeadlineExceeded
		})
		id, err := rt.RunSandbox(t.Context(), w.pod("web"))
		must(t, err)
		equal(t, "state", dockpod.SandboxReady, w.sandboxStatus(t, id).State)
		equal(t, "left", 1, len(w.left(t)))
	}},

	// Whose name it is.
	{"a running sandbox keeps its name from another", func(t *testing.T, w *world) {
		s := w.pod("web")
		id := w.sandbox(t, s)
		_, err := w.rt.RunSandbox(t.Context(), s)
		equal(t, "holder", id, refused[*dockpod.NameConflictError](t, err).HolderID)
		equal(t, "state", dockpod.SandboxReady, w.sandboxStatus(t, id).State)
	}},
	{"a sandbox that has ended makes way for another of its name", func(t *testing.T, w *world) {
		s := w.pod("web")
		old := w.sandbox(t, s)
		must(t, w.rt.StopSandbox(t.Context(), old, 0))
		id := w.sandbox(t, s)
		if id == old {
			t.Error("the old sandbox was started again")
		}
		w.absent(t, old)
	}},
	{"a container that is not ours keeps its name from a sandbox", func(t *testing.T, w *world) {
		s := w.pod("web")
		name := fmt.Sprintf("%s_POD_%s_%s_%s_0", w.owner, s.Name, s.Namespace, s.UID)
		holder := w.foreign(t, name, nil)
		_, err := w.rt.RunSandbox(t.Context(), s)
		equal(t, "holder", holder, refused[*dockpod.NameConflictError](t, err).HolderID)
		w.raw(t, holder)
	}},
	{"of those who run one sandbox at once, all get that one or its ID", func(t *testing.T, w *world) {
		s := w.pod("web")
		ids := make([]string, 4)
		errs := together(len(ids), func(i int) (err error) {
			ids[i], err = w.rt.RunSandbox(t.Context(), s)
			return err
		})
		made := w.sandboxes(t, dockpod.SandboxFilter{})
		if len(made) != 1 || made[0].State != dockpod.SandboxReady {
			t.Fatalf("made %v; want one sandbox that is ready", made)
		}
		for i, err := range errs {
			if err != nil {
				ids[i] = refused[*dockpod.NameConflictError](t, err).HolderID
			}
			equal(t, "ID", made[0].ID, ids[i])
		}
	}},
	{"sandboxes of many owners, made at once, do not disturb each other", func(t *testing.T, w *world) {
		const owners = 8
		rts := make([]*dockpod.Runtime, owners)
		for i := range rts {
			rts[i] = w.other(t)
		}
		for _, err := range together(owners, func(i int) error {
			id, err := rts[i].RunSandbox(t.Context(), w.pod("web"))
			if err != nil {
				return err
			}
			list, err := rts[i].ListSandboxes(t.Context(), dockpod.SandboxFilter{})
			if err == nil && (len(list) != 1 || list[0].ID != id || list[0].State != dockpod.SandboxReady) {
				err = fmt.Errorf("owner %d made %s and lists %v", i, id, list)
			}
			return errors.Join(err, rts[i].RemoveSandbox(t.Context(), id))
		}) {
			if err != nil {
				t.Error(err)
			}
		}
	}},

	// Its end.
	{"a sandbox ends after its containers", func(t *testing.T, w *world) {
		sb, s := w.ready(t)
		ids := []string{w.start(t, sb, w.container("one", "sleep"), s), w.start(t, sb, w.container("two", "sleep"), s)}
		for _, id := range ids {
			w.hears(t, id, "up")
		}
		must(t, w.rt.StopSandbox(t.Context(), sb, time.Minute))
		end := at(t, w.raw(t, sb).State.FinishedAt)
		for _, id := range ids {
			st := w.status(t, id)
			equal(t, "reason", dockpod.ReasonCompleted, st.Reason)
			if !st.FinishedAt.Before(end) {
				t.Errorf("the container ended at %s, its sandbox at %s", st.FinishedAt, end)
			}
		}
	}},
	{"the containers of a sandbox that is stopped have their grace together", func(t *testing.T, w *world) {
		sb, s := w.ready(t)
		one, two := w.start(t, sb, w.container("one", "stubborn"), s), w.start(t, sb, w.container("two", "stubborn"), s)
		w.hears(t, one, "up")
		w.hears(t, two, "up")
		const grace = 4 * time.Second // of which a busy machine may take a part
		must(t, w.rt.StopSandbox(t.Context(), sb, grace))
		for _, id := range []string{one, two} {
			equal(t, "exit code", 137, w.status(t, id).ExitCode)
			equal(t, "said", "up\ngot SIGTERM\n", w.said(t, id))
		}
		if apart := w.status(t, one).FinishedAt.Sub(w.status(t, two).FinishedAt).Abs(); apart >= grace {
			t.Errorf("they ended %v apart: one after the other", apart)
		}
	}},
	{"stopping and removing a sandbox twice is stopping and removing it once", func(t *testing.T, w *world) {
		sb := w.sandbox(t, w.pod("web"))
		for range 2 {
			must(t, w.rt.StopSandbox(t.Context(), sb, time.Minute))
		}
		for range 2 {
			must(t, w.rt.RemoveSandbox(t.Context(), sb))
		}
		must(t, w.rt.StopSandbox(t.Context(), sb, time.Minute))
	}},
	{"stopping a sandbox leaves what has ended as it is", func(t *testing.T, w *world) {
		sb, s := w.ready(t)
		ended, created := w.start(t, sb, w.container("ended", "exit", "3"), s), w.create(t, sb, w.container("created"), s)
		before := w.finished(t, ended)
		must(t, w.rt.StopSandbox(t.Context(), sb, time.Minute))
		equal(t, "status", before, w.status(t, ended))
		equal(t, "state of one that never ran", dockpod.StateCreated, w.status(t, created).State)
	}},
	{"removing a sandbox removes its containers, whatever they do, and no others", func(t *testing.T, w *world) {
		s, other := w.pod("web"), w.pod("other")
		sb, stays := w.sandbox(t, s), w.sandbox(t, other)
		kept := w.create(t, stays, w.container("app"), other)
		w.hears(t, w.start(t, sb, w.container("running", "stubborn"), s), "up")
		w.finished(t, w.start(t, sb, w.container("ended", "exit"), s))
		w.create(t, sb, w.container("created"), s)
		must(t, w.rt.RemoveSandbox(t.Context(), sb))
		equal(t, "containers", []string{kept}, w.ids(t, dockpod.Filter{}))
		equal(t, "left", 2, len(w.left(t)))
	}},
	{"removing a sandbox whose containers are gone is fine", func(t *testing.T, w *world) {
		sb, s := w.ready(t)
		w.tear(t, w.create(t, sb, w.container("app"), s))
		must(t, w.rt.RemoveSandbox(t.Context(), sb))
		equal(t, "left", []string{}, w.left(t))
	}},
	{"the containers of a sandbox that is gone are removed by its ID", func(t *testing.T, w *world) {
		w.needs(t, "loose sandboxes")
		sb, s := w.ready(t)
		w.create(t, sb, w.container("app"), s)
		w.tear(t, sb)
		must(t, w.rt.StopSandbox(t.Context(), sb, 0))
		must(t, w.rt.RemoveSandbox(t.Context(), sb))
		equal(t, "left", []string{}, w.left(t))
	}},
	{"a sandbox with a running container stays where removal is not forced", func(t *testing.T, w *world) {
		sb, s := w.ready(t)
		id := w.start(t, sb, w.container("app", "sleep"), s)
		w.hears(t, id, "up")
		rt := w.with(dockpod.WithoutForcedRemoval())
		fails(t, rt.RemoveSandbox(t.Context(), sb), dockpod.ErrRunning)
		equal(t, "state", dockpod.StateRunning, w.status(t, id).State)
		equal(t, "sandbox's state", dockpod.SandboxReady, w.sandboxStatus(t, sb).State)
		must(t, rt.StopSandbox(t.Context(), sb, time.Minute))
		must(t, rt.RemoveSandbox(t.Context(), sb))
		equal(t, "left", []string{}, w.left(t))
	}},

	// Whose it is.
	{"neither a container of ours nor anybody else's is a sandbox", func(t *testing.T, w *world) {
		for _, id := range []string{w.up(t, "sleep"), w.bareUp(t, "sleep")} {
			_, err := w.rt.SandboxStatus(t.Context(), id)
			fails(t, err, dockpod.ErrNotManaged)
			fails(t, w.rt.StopSandbox(t.Context(), id, 0), dockpod.ErrNotManaged)
			fails(t, w.rt.RemoveSandbox(t.Context(), id), dockpod.ErrNotManaged)
			equal(t, "state", "running", w.raw(t, id).State.Status)
		}
	}},

	// Its image.
	{"sandboxes have one image, which is dockpod's and stays", func(t *testing.T, w *world) {
		a := w.sandboxStatus(t, w.sandbox(t, w.pod("a")))
		id, err := w.with().RunSandbox(t.Context(), w.pod("b"))
		must(t, err)
		b := w.sandboxStatus(t, id)
		equal(t, "reference asked for", "", a.Image)
		equal(t, "image", a.ImageID, b.ImageID)
		img, err := w.rt.ImageStatus(t.Context(), a.ImageID)
		must(t, err)
		equal(t, "pinned", true, img.Pinned)
		fails(t, w.rt.RemoveImage(t.Context(), a.ImageID), dockpod.ErrImageInUse)
	}},
	{"a sandbox's image that was pruned meanwhile is loaded again", func(t *testing.T, w *world) {
		var tries int
		rt := w.through(func(_ string, create createFunc) (container.CreateResponse, error) {
			if tries++; tries == 1 {
				return container.CreateResponse{}, fmt.Errorf("no such image: %w", errdefs.ErrNotFound)
			}
			return create()
		})
		id, err := rt.RunSandbox(t.Context(), w.pod("web"))
		must(t, err)
		equal(t, "state", dockpod.SandboxReady, w.sandboxStatus(t, id).State)
	}},
	{"a sandbox's image can be chosen, and stays for who chose it", func(t *testing.T, w *world) {
		rt := w.with(dockpod.WithSandboxImage(w.image))
		id, err := rt.RunSandbox(t.Context(), w.pod("web"))
		must(t, err)
		st := w.sandboxStatus(t, id)
		equal(t, "reference asked for", w.image, st.Image)
		equal(t, "image", w.img(t, w.image).ID.Encoded(), strings.TrimPrefix(st.ImageID, "sha256:"))

		must(t, rt.RemoveSandbox(t.Context(), id))
		mine, err := rt.ImageStatus(t.Context(), w.image)
		must(t, err)
		listed, err := rt.ListImages(t.Context(), dockpod.ImageFilter{Ref: w.image})
		must(t, err)
		equal(t, "pinned, listed as pinned, pinned for others", []bool{true, true, false}, []bool{mine.Pinned, listed[0].Pinned, w.img(t, w.image).Pinned})
		fails(t, rt.RemoveImage(t.Context(), w.image), dockpod.ErrImageInUse)
		must(t, w.rt.RemoveImage(t.Context(), w.image))
	}},
}

// sandboxStatus returns a sandbox's status.
func (w *world) sandboxStatus(t *testing.T, id string) dockpod.SandboxStatus {
	t.Helper()
	st, err := w.rt.SandboxStatus(t.Context(), id)
	must(t, err)
	return st
}

// begun waits until a sandbox's process is the pause program, where that can
// be seen. A start is answered while it may be the OCI runtime's own, which has
// its own way with signals: runc ends with status 2.
func (w *world) begun(t *testing.T, pid int) {
	t.Helper()
	if !w.has(t, "real processes") || !w.has(t, "this machine's processes") {
		return
	}
	w.eventually(t, "the pause program", func() bool {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return err != nil || string(name) == "pause\n"
	})
}

// sandboxes lists the world's sandboxes.
func (w *world) sandboxes(t *testing.T, f dockpod.SandboxFilter) []dockpod.Sandbox {
	t.Helper()
	list, err := w.rt.ListSandboxes(t.Context(), f)
	must(t, err)
	return list
}

// left names whatever the engine has of the world's owner.
func (w *world) left(t *testing.T) []string {
	t.Helper()
	list, err := w.docker.ContainerList(t.Context(), container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", dockpod.LabelOwner+"="+w.owner)),
	})
	must(t, err)
	names := []string{}
	for _, c := range list {
		names = append(names, c.Names...)
	}
	return names
}

// fullPod returns a configuration with something in each field that does not
// exclude another.
func (w *world) fullPod(t *testing.T) dockpod.SandboxConfig {
	t.Helper()
	info, err := w.rt.Info(t.Context())
	must(t, err)
	s := w.pod("full")
	s.Hostname = "web-0"
	s.DNS = dockpod.DNSConfig{Servers: []string{"192.0.2.53", "2001:db8::53"}, Searches: []string{"a.example", "b.example"}, Options: []string{"ndots:5"}}
	s.Ports = []dockpod.PortMapping{{ContainerPort: 80, HostPort: w.ports(t, 1)[0]}, {ContainerPort: 53, Protocol: dockpod.UDP}}
	s.CgroupParent = map[string]string{"systemd": "system.slice"}[info.CgroupDriver]
	if s.CgroupParent == "" {
		s.CgroupParent = "/docker" // one that is there, for nobody removes it
	}
	s.Sysctls = map[string]string{"net.ipv4.ip_local_port_range": "20000 40000"}
	s.Namespaces = dockpod.NamespaceOptions{Network: dockpod.NamespacePod, PID: dockpod.NamespacePod, IPC: dockpod.NamespacePod}
	user, group := int64(1000), int64(1001)
	s.SecurityContext = dockpod.SandboxSecurityContext{
		RunAsUser: &user, RunAsGroup: &group, SupplementalGroups: []int64{1002}, ReadonlyRootfs: true,
		Seccomp:  &dockpod.SecurityProfile{Type: dockpod.ProfileRuntimeDefault},
		AppArmor: &dockpod.SecurityProfile{Type: dockpod.ProfileUnconfined},
	}
	if info.SELinux {
		s.SecurityContext.SELinux = &dockpod.SELinuxOptions{Level: "s0:c1,c2"}
	}
	s.Resources = dockpod.Resources{MemoryLimit: 64 << 20, CPUShares: 64, PidsLimit: 32, OOMScoreAdj: 100}
	s.Overhead = dockpod.Resources{MemoryLimit: 32 << 20}
	if slices.Contains(info.Runtimes, "runc") {
		s.RuntimeHandler = "runc"
	}
	return s
}

// ports returns ports of the host that nothing has.
func (w *world) ports(t *testing.T, n int) []int32 {
	t.Helper()
	var free []int32
	for len(free) < n {
		port := firstPort + int32(nextPort.Add(1)%portCount)
		if unheld(port) {
			free = append(free, port)
		}
	}
	return free
}

// The ports that cases publish lie below those that kernels hand out, and no
// two cases get the same.
const firstPort, portCount = 20000, 10000

var nextPort atomic.Uint32

func init() { nextPort.Store(rand.Uint32N(portCount)) }

// unheld tells whether this machine has nothing at a port.
func unheld(port int32) bool {
	tcp, err := net.Listen("tcp", fmt.Sprint(":", port))
	if err != nil {
		return false
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", fmt.Sprint(":", port))
	if err != nil {
		return false
	}
	udp.Close()
	return true
}

// podAt returns the configuration of a sandbox that publishes its port 80.
func (w *world) podAt(name string, port int32) dockpod.SandboxConfig {
	s := w.pod(name)
	s.Ports = []dockpod.PortMapping{{ContainerPort: 80, HostPort: port}}
	return s
}

// refusesPort expects that a sandbox's port is held by somebody else.
func (w *world) refusesPort(t *testing.T, s dockpod.SandboxConfig) {
	t.Helper()
	_, err := w.rt.RunSandbox(t.Context(), s)
	fails(t, err, dockpod.ErrPortInUse)
	e := refused[*dockpod.PortConflictError](t, err)
	equal(t, "port", s.Ports[0], e.Port)
	equal(t, "holder", "", e.HolderID)
	equal(t, "left", []string{}, w.left(t))
}

// published lists the ports that the engine publishes for a sandbox, sorted;
// "*" is all addresses, which some engines list as two.
func (w *world) published(t *testing.T, id string) []string {
	t.Helper()
	list, err := w.docker.ContainerList(t.Context(), container.ListOptions{Filters: filters.NewArgs(filters.Arg("id", id))})
	must(t, err)
	var ports []string
	for _, c := range list {
		for _, p := range c.Ports {
			if p.PublicPort == 0 {
				continue
			}
			from := p.IP
			if ip, err := netip.ParseAddr(from); err != nil || ip.IsUnspecified() {
				from = "*"
			}
			ports = append(ports, fmt.Sprintf("%s:%d->%d/%s", from, p.PublicPort, p.PrivatePort, p.Type))
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// starting returns a Runtime on an engine that starts a container by calling
// start.
func (w *world) starting(start func(ctx context.Context, id string) error) *dockpod.Runtime {
	return w.on(startedBy{w.docker, w.docker.(dockpod.ImageLoader), start})
}

// on returns a Runtime of the same owner on another engine.
func (w *world) on(docker dockpod.DockerInterface) *dockpod.Runtime {
	return dockpod.New(docker, dockpod.WithOwner(w.owner))
}

type startedBy struct {
	dockpod.DockerInterface
	dockpod.ImageLoader
	start func(ctx context.Context, id string) error
}

func (d startedBy) ContainerStart(ctx context.Context, id string, _ container.StartOptions) error {
	return d.start(ctx, id)
}
