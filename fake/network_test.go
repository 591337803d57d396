package fake_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/google/go-cmp/cmp"
)

func TestAddresses(t *testing.T) {
	d := newEngine(t)
	var ids []string
	for i := range 300 {
		ids = append(ids, run(t, d, fmt.Sprint("n", i), nil))
	}
	seen := map[string]bool{}
	for _, id := range ids {
		s := inspect(t, d, id).NetworkSettings
		e := s.Networks["bridge"]
		if s.IPAddress == "" || s.IPAddress != e.IPAddress || seen[s.IPAddress] || !strings.HasPrefix(s.IPAddress, "172.17.") || s.IPAddress == e.Gateway {
			t.Fatalf("address %q, on the network %q, seen before: %v", s.IPAddress, e.IPAddress, seen[s.IPAddress])
		}
		seen[s.IPAddress] = true
		if e.Gateway != "172.17.0.1" || e.IPPrefixLen != 16 || len(e.NetworkID) != 64 || len(e.EndpointID) != 64 || e.MacAddress == "" ||
			s.SandboxKey != "/var/run/docker/netns/"+s.SandboxID[:12] {
			t.Fatalf("settings %+v, endpoint %+v", s, e)
		}
	}
	if inspect(t, d, ids[0]).NetworkSettings.IPAddress != "172.17.0.2" {
		t.Errorf("the first address is %q", inspect(t, d, ids[0]).NetworkSettings.IPAddress)
	}
	d.Exit(ids[0], 0)
	s := inspect(t, d, ids[0]).NetworkSettings
	if s.IPAddress != "" || s.Networks["bridge"].IPAddress != "" || s.Networks["bridge"].NetworkID == "" || s.SandboxID == "" {
		t.Errorf("after the end: %+v, %+v", s, s.Networks["bridge"])
	}
	if got := inspect(t, d, run(t, d, "again", nil)).NetworkSettings.IPAddress; got != "172.17.0.2" {
		t.Errorf("the address that was given back is not given again: %q", got)
	}
}

func TestNetworkModes(t *testing.T) {
	d := newEngine(t)
	d.AddNetwork("mine")
	tests := []struct {
		mode                    container.NetworkMode
		created                 string
		address, key, hostnamed bool
	}{
		{mode: "", created: "bridge", address: true, key: true},
		{mode: "bridge", created: "bridge", address: true, key: true},
		{mode: "host", created: "host"},
		{mode: "none", created: "none", key: true},
		{mode: "mine", created: "mine", address: true, key: true},
	}
	for i, tt := range tests {
		id := create(t, d, fmt.Sprint("m", i), config{}, &host{NetworkMode: tt.mode})
		start(t, d, id)
		c := inspect(t, d, id)
		s := c.NetworkSettings
		e := s.Networks[tt.created]
		if len(s.Networks) != 1 || e == nil {
			t.Fatalf("mode %q: networks %v", tt.mode, s.Networks)
		}
		if (e.IPAddress != "") != tt.address || (s.SandboxKey == "/var/run/docker/netns/"+s.SandboxID[:12]) != tt.key {
			t.Errorf("mode %q: address %q, key %q", tt.mode, e.IPAddress, s.SandboxKey)
		}
		if tt.mode == "mine" && (s.IPAddress != "" || !cmp.Equal([]string(e.Aliases), []string{id[:12]})) {
			t.Errorf("a network of our own: top-level address %q, aliases %v", s.IPAddress, e.Aliases)
		}
	}
	// An endpoint at creation is the network, whatever the mode says.
	r, err := d.ContainerCreate(t.Context(), &config{Image: "app:1"}, nil, &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"mine": nil}}, nil, "ep")
	if err != nil {
		t.Fatal(err)
	}
	if n := inspect(t, d, r.ID).NetworkSettings.Networks; n["mine"] == nil || len(n) != 1 {
		t.Errorf("networks %v", n)
	}
	r, err = d.ContainerCreate(t.Context(), &config{Image: "app:1"}, nil, &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"bridge": {Aliases: []string{"x"}}}}, nil, "ep2")
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, "alias on the bridge", d.ContainerStart(t.Context(), r.ID, container.StartOptions{}), "400", "network-scoped alias is supported only for containers in user defined networks")
}

func TestJoinedNamespaces(t *testing.T) {
	d := newEngine(t)
	ctx := t.Context()
	pod := create(t, d, "pod", config{}, &host{IpcMode: "shareable"})
	join := container.NetworkMode("container:" + pod)
	a := create(t, d, "a1", config{}, &host{NetworkMode: join})
	wantErr(t, "start before the pod's", d.ContainerStart(ctx, a, container.StartOptions{}), "409", "cannot join network of a non running container: "+pod)
	if c := inspect(t, d, a); c.State.ExitCode != 128 || c.LogPath != "" {
		t.Errorf("after that: %+v, log %q", c.State, c.LogPath)
	}
	start(t, d, pod)
	start(t, d, a)
	c := inspect(t, d, a)
	if c.Config.Hostname != pod[:12] || len(c.NetworkSettings.Networks) != 0 || c.NetworkSettings.SandboxID != "" ||
		c.ResolvConfPath != inspect(t, d, pod).ResolvConfPath || c.ResolvConfPath == "" {
		t.Errorf("joined: hostname %q, settings %+v, resolv.conf %q", c.Config.Hostname, c.NetworkSettings, c.ResolvConfPath)
	}
	d.Exit(pod, 0)
	if s := inspect(t, d, a).State.Status; s != "running" {
		t.Errorf("the end of the pod's container ended another: %s", s)
	}
	d.Exit(a, 3)
	wantErr(t, "start after the pod's end", d.ContainerStart(ctx, a, container.StartOptions{}), "409", "cannot join network of a non running container: "+pod)
	if err := d.ContainerRemove(ctx, pod, container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "start after the pod is gone", d.ContainerStart(ctx, a, container.StartOptions{}), "404", "No such container: "+pod)
	if c := inspect(t, d, a); c.State.Status != "exited" || c.State.ExitCode != 3 || c.State.Error != "No such container: "+pod {
		t.Errorf("after that: %+v", c.State)
	}

	// By name, the mode is kept by ID.
	pod = run(t, d, "pod", &host{IpcMode: "shareable"})
	b := create(t, d, "b1", config{}, &host{NetworkMode: "container:pod", IpcMode: "container:pod", PidMode: "container:" + container.PidMode(pod[:9])})
	if h := inspect(t, d, b).HostConfig; string(h.NetworkMode) != "container:"+pod || string(h.IpcMode) != "container:"+pod || string(h.PidMode) != "container:"+pod {
		t.Errorf("modes %q %q %q", h.NetworkMode, h.IpcMode, h.PidMode)
	}
	start(t, d, b)
	self := create(t, d, "self", config{}, &host{NetworkMode: "container:self"})
	wantErr(t, "join itself", d.ContainerStart(ctx, self, container.StartOptions{}), "500", "cannot join own network")

	private := run(t, d, "private", nil)
	stopped := create(t, d, "stopped", config{}, nil)
	for _, tt := range []struct {
		name string
		h    host
		text string
	}{
		{"ipc-private", host{IpcMode: container.IpcMode("container:" + private)}, "can't join IPC of container " + private + ": non-shareable IPC (hint: use IpcMode:shareable for the donor container)"},
		{"ipc-stopped", host{IpcMode: container.IpcMode("container:" + stopped)}, "can't join IPC of container " + stopped + ": container " + stopped + " is not running"},
		{"pid-stopped", host{PidMode: container.PidMode("container:" + stopped)}, "container " + stopped + " is not running"},
	} {
		id := create(t, d, tt.name, config{}, &tt.h)
		wantErr(t, tt.name, d.ContainerStart(ctx, id, container.StartOptions{}), "500", tt.text)
	}
	ipc := create(t, d, "ipc-gone", config{}, &host{IpcMode: container.IpcMode("container:" + stopped)})
	pid := create(t, d, "pid-gone", config{}, &host{PidMode: container.PidMode("container:" + stopped)})
	if err := d.ContainerRemove(ctx, stopped, container.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "ipc-gone", d.ContainerStart(ctx, ipc, container.StartOptions{}), "500", "can't join IPC of container "+stopped+": No such container: "+stopped)
	wantErr(t, "pid-gone", d.ContainerStart(ctx, pid, container.StartOptions{}), "500", "cannot join PID of a non running container: "+stopped+": No such container: "+stopped)
}

var endpointID = regexp.MustCompile(`[0-9a-f]{64}`)

func TestPublishedPorts(t *testing.T) {
	d := newEngine(t)
	d.PortTaken("tcp", 9000)
	publish := func(name, exposed, bindings string) (string, error) {
		id := create(t, d, name, configJSON(t, `{"Image":"app:1","ExposedPorts":`+exposed+`}`), hostJSON(t, `{"PortBindings":`+bindings+`}`))
		return id, d.ContainerStart(t.Context(), id, container.StartOptions{})
	}
	shown := func(id string) string {
		b, err := json.Marshal(inspect(t, d, id).NetworkSettings.Ports)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	want := func(what string, err error, text string) {
		t.Helper()
		if err == nil || class(err) != "500" {
			t.Errorf("%s: %v, want class 500", what, err)
			return
		}
		if got := endpointID.ReplaceAllString(err.Error(), "ID"); got != "Error response from daemon: "+text {
			t.Errorf("%s:\n got %s\nwant %s", what, got, text)
		}
	}

	id, err := publish("p1", `{"80/tcp":{},"81/udp":{},"82/tcp":{}}`, `{"80/tcp":[{"HostPort":"8080"},{"HostIp":"127.0.0.1","HostPort":"8081"}],"81/udp":[{"HostPort":"8080"}],"90/tcp":[{"HostPort":"8090"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	// Port 90 is bound and not exposed: it is not published.
	wantPorts := `{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8081"},{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}],` +
		`"81/udp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}],"82/tcp":null}`
	if got := shown(id); got != wantPorts {
		t.Errorf("ports %s,\nwant  %s", got, wantPorts)
	}
	l, err := d.ContainerList(t.Context(), container.ListOptions{})
	if err != nil || len(l[0].Ports) != 6 {
		t.Errorf("list shows %d ports, want 6: %+v, %v", len(l[0].Ports), l[0].Ports, err)
	}

	conflict, err := publish("p2", `{"80/tcp":{}}`, `{"80/tcp":[{"HostPort":"8080"}]}`)
	want("same address", err, "driver failed programming external connectivity on endpoint p2 (ID): Bind for 0.0.0.0:8080 failed: port is already allocated")
	if c := inspect(t, d, conflict); c.State.ExitCode != 128 || c.LogPath != "" || c.NetworkSettings.IPAddress != "" {
		t.Errorf("after a conflict: %+v, log %q, address %q", c.State, c.LogPath, c.NetworkSettings.IPAddress)
	}
	_, err = publish("p3", `{"80/tcp":{}}`, `{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]}`)
	want("one address of all", err, "driver failed programming external connectivity on endpoint p3 (ID): Error starting userland proxy: listen tcp4 127.0.0.1:8080: bind: address already in use")
	_, err = publish("p4", `{"80/tcp":{}}`, `{"80/tcp":[{"HostPort":"8081"}]}`)
	want("all addresses, one taken", err, "driver failed programming external connectivity on endpoint p4 (ID): Error starting userland proxy: listen tcp4 0.0.0.0:8081: bind: address already in use")
	_, err = publish("p5", `{"80/tcp":{}}`, `{"80/tcp":[{"HostPort":"9000"}]}`)
	want("a process that is no container", err, "driver failed programming external connectivity on endpoint p5 (ID): Error starting userland proxy: listen tcp4 0.0.0.0:9000: bind: address already in use")
	if _, err := publish("p6", `{"80/udp":{}}`, `{"80/udp":[{"HostPort":"9000"}]}`); err != nil {
		t.Errorf("another protocol: %v", err)
	}
	if _, err := publish("p7", `{"80/tcp":{}}`, `{"80/tcp":[{"HostIp":"127.0.0.2","HostPort":"8081"}]}`); err != nil {
		t.Errorf("another address: %v", err)
	}

	d.Exit(id, 0)
	if got := shown(id); got != "{}" {
		t.Errorf("ports of a container that has ended: %s", got)
	}
	start(t, d, conflict)
	if c := inspect(t, d, conflict); c.State.Error != "" {
		t.Errorf("an error stays after a good start: %q", c.State.Error)
	}
	d.PortFree("tcp", 9000)
	if _, err := publish("p8", `{"80/tcp":{}}`, `{"80/tcp":[{"HostPort":"9000"}]}`); err != nil {
		t.Errorf("a port that is free again: %v", err)
	}

	id, err = publish("p9", `{"80/tcp":{}}`, `{"80/tcp":[{"HostPort":"9000-9002"}]}`)
	if err != nil || !strings.Contains(shown(id), `"9001"`) {
		t.Errorf("a range: %s, %v", shown(id), err)
	}
	id, err = publish("p10", `{"80/tcp":{}}`, `{"80/tcp":[{}]}`)
	if err != nil || !regexp.MustCompile(`"HostPort":"[3-6][0-9]{4}"`).MatchString(shown(id)) {
		t.Errorf("any port: %s, %v", shown(id), err)
	}
	id = create(t, d, "p11", configJSON(t, `{"Image":"app:1","ExposedPorts":{"80/tcp":{}}}`), &host{PublishAllPorts: true})
	start(t, d, id)
	if got := len(inspect(t, d, id).NetworkSettings.Ports["80/tcp"]); got != 2 {
		t.Errorf("all ports published: %d bindings, want 2", got)
	}
}
