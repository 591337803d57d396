package dockpod

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestApplySecurity(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   SecurityContext
		user string
		want container.HostConfig
	}{
		{"nothing", SecurityContext{}, "", container.HostConfig{}},
		{"root is a user", SecurityContext{RunAsUser: new(int64)}, "0", container.HostConfig{}},
		{"user and group", SecurityContext{RunAsUser: pointerTo[int64](1000), RunAsGroup: new(int64)}, "1000:0", container.HostConfig{}},
		{"user by name", SecurityContext{RunAsUserName: "www"}, "www", container.HostConfig{}},
		{"user by name and group", SecurityContext{RunAsUserName: "www", RunAsGroup: pointerTo[int64](5)}, "www:5", container.HostConfig{}},
		{"groups", SecurityContext{SupplementalGroups: []int64{3, 0, 3}}, "", container.HostConfig{GroupAdd: []string{"3", "0", "3"}}},
		{"rights", SecurityContext{Privileged: true, ReadonlyRootfs: true}, "", container.HostConfig{Privileged: true, ReadonlyRootfs: true}},
		{"capabilities", SecurityContext{Capabilities: &Capabilities{Add: []string{"net_admin", "CAP_SYS_TIME", "cap_kill"}, Drop: []string{"all"}}}, "",
			container.HostConfig{CapAdd: []string{"CAP_NET_ADMIN", "CAP_SYS_TIME", "CAP_KILL"}, CapDrop: []string{"ALL"}}},
		{"no capabilities named", SecurityContext{Capabilities: &Capabilities{}}, "", container.HostConfig{}},
		{"no paths masked", SecurityContext{MaskedPaths: []string{}, ReadonlyPaths: []string{}}, "",
			container.HostConfig{MaskedPaths: []string{}, ReadonlyPaths: []string{}}},
		{"paths masked", SecurityContext{MaskedPaths: []string{"/a"}, ReadonlyPaths: []string{"/b"}}, "",
			container.HostConfig{MaskedPaths: []string{"/a"}, ReadonlyPaths: []string{"/b"}}},
		{"paths masked with all rights", SecurityContext{Privileged: true, MaskedPaths: []string{"/a"}, ReadonlyPaths: []string{"/b"}}, "",
			container.HostConfig{Privileged: true}},
		{"no new privileges", SecurityContext{NoNewPrivs: true}, "", container.HostConfig{SecurityOpt: []string{"no-new-privileges"}}},
		{"no seccomp", SecurityContext{Seccomp: &SecurityProfile{Type: ProfileUnconfined}}, "", container.HostConfig{SecurityOpt: []string{"seccomp=unconfined"}}},
		{"the engine's seccomp", SecurityContext{Seccomp: &SecurityProfile{Type: ProfileRuntimeDefault}}, "", container.HostConfig{}},
		{"a seccomp of its own", SecurityContext{Seccomp: &SecurityProfile{Type: ProfileLocalhost, LocalhostRef: "p"}}, "",
			container.HostConfig{SecurityOpt: []string{`seccomp={"defaultAction":"SCMP_ACT_ERRNO"}`}}},
		{"no AppArmor", SecurityContext{AppArmor: &SecurityProfile{Type: ProfileUnconfined}}, "", container.HostConfig{SecurityOpt: []string{"apparmor=unconfined"}}},
		{"the engine's AppArmor", SecurityContext{AppArmor: &SecurityProfile{Type: ProfileRuntimeDefault}}, "", container.HostConfig{}},
		{"an AppArmor of its own", SecurityContext{AppArmor: &SecurityProfile{Type: ProfileLocalhost, LocalhostRef: "p"}}, "", container.HostConfig{SecurityOpt: []string{"apparmor=p"}}},
		{"part of an SELinux label", SecurityContext{SELinux: &SELinuxOptions{User: "u", Level: "s0:c1,c2"}}, "",
			container.HostConfig{SecurityOpt: []string{"label=user:u", "label=level:s0:c1,c2"}}},
		{"no part of an SELinux label", SecurityContext{SELinux: &SELinuxOptions{}}, "", container.HostConfig{}},
		{"all options, in order", SecurityContext{
			NoNewPrivs: true, Seccomp: &SecurityProfile{Type: ProfileUnconfined}, AppArmor: &SecurityProfile{Type: ProfileUnconfined},
			SELinux: &SELinuxOptions{User: "u", Role: "r", Type: "t", Level: "l"},
		}, "", container.HostConfig{SecurityOpt: []string{
			"label=user:u", "label=role:r", "label=type:t", "label=level:l", "apparmor=unconfined", "no-new-privileges", "seccomp=unconfined",
		}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if cfg := containerConfig(ContainerConfig{SecurityContext: tt.in}, nil, createSite{}); cfg.User != tt.user {
				t.Errorf("user %q; want %q", cfg.User, tt.user)
			}
			var host container.HostConfig
			applySecurity(&host, tt.in, `{"defaultAction":"SCMP_ACT_ERRNO"}`)
			// nil and empty paths are two things.
			if diff := cmp.Diff(tt.want, host); diff != "" {
				t.Errorf("host mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNamespaces(t *testing.T) {
	const join = "container:" + sandboxID
	for _, tt := range []struct {
		name      string
		own       NamespaceOptions
		pod       NamespaceOptions
		alone     bool // without a sandbox
		want      container.HostConfig
		wantFault string
	}{
		{name: "nothing said", want: container.HostConfig{NetworkMode: join, IpcMode: join}},
		{name: "nothing said, alone", alone: true, want: container.HostConfig{}},
		{name: "processes shared by the pod", pod: NamespaceOptions{PID: NamespacePod}, want: container.HostConfig{NetworkMode: join, IpcMode: join, PidMode: join}},
		{name: "processes of its own in such a pod", own: NamespaceOptions{PID: NamespaceContainer}, pod: NamespaceOptions{PID: NamespacePod},
			want: container.HostConfig{NetworkMode: join, IpcMode: join}},
		{name: "the pod's processes for one container", own: NamespaceOptions{PID: NamespacePod}, want: container.HostConfig{NetworkMode: join, IpcMode: join, PidMode: join}},
		{name: "the node's processes", pod: NamespaceOptions{PID: NamespaceNode}, want: container.HostConfig{NetworkMode: join, IpcMode: join, PidMode: "host"}},
		{name: "the node's processes for one container", own: NamespaceOptions{PID: NamespaceNode}, want: container.HostConfig{NetworkMode: join, IpcMode: join, PidMode: "host"}},
		{name: "the node's processes, alone", own: NamespaceOptions{PID: NamespaceNode}, alone: true, want: container.HostConfig{PidMode: "host"}},
		{name: "the processes of another container", own: NamespaceOptions{PID: NamespaceTarget, TargetID: workloadID},
			want: container.HostConfig{NetworkMode: join, IpcMode: join, PidMode: "container:" + workloadID}},
		{name: "the pod's processes, alone", own: NamespaceOptions{PID: NamespacePod}, alone: true, want: container.HostConfig{}},
		{name: "the node's network", pod: NamespaceOptions{Network: NamespaceNode}, want: container.HostConfig{NetworkMode: join, IpcMode: join, UTSMode: "host"}},
		{name: "the node's network, said twice", own: NamespaceOptions{Network: NamespaceNode}, pod: NamespaceOptions{Network: NamespaceNode},
			want: container.HostConfig{NetworkMode: join, IpcMode: join, UTSMode: "host"}},
		{name: "the node's network, alone", pod: NamespaceOptions{Network: NamespaceNode}, alone: true, want: container.HostConfig{NetworkMode: "host", UTSMode: "host"}},
		{name: "the node's network against the pod's", own: NamespaceOptions{Network: NamespaceNode}, wantFault: "SecurityContext.Namespaces.Network"},
		{name: "a network of its own on the node's", own: NamespaceOptions{Network: NamespacePod}, pod: NamespaceOptions{Network: NamespaceNode}, wantFault: "SecurityContext.Namespaces.Network"},
		{name: "the node's IPC", pod: NamespaceOptions{IPC: NamespaceNode}, want: container.HostConfig{NetworkMode: join, IpcMode: "host"}},
		{name: "the node's IPC against the pod's", own: NamespaceOptions{IPC: NamespaceNode}, wantFault: "SecurityContext.Namespaces.IPC"},
		{name: "the node's users", pod: NamespaceOptions{User: &UserNamespace{Mode: NamespaceNode}}, want: container.HostConfig{NetworkMode: join, IpcMode: join, UsernsMode: "host"}},
		{name: "the node's users against the engine's", own: NamespaceOptions{User: &UserNamespace{Mode: NamespaceNode}}, wantFault: "SecurityContext.Namespaces.User"},
		{name: "everything said as it is", own: NamespaceOptions{Network: NamespacePod, PID: NamespaceContainer, IPC: NamespacePod}, want: container.HostConfig{NetworkMode: join, IpcMode: join}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := joinNamespaces(tt.own, tt.pod)
			if tt.wantFault != "" {
				if got := faults(err); !slices.Equal(got, []string{tt.wantFault}) || classesOf(err) != "InvalidArgument" {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			id := sandboxID
			if tt.alone {
				id = ""
			}
			var got container.HostConfig
			applyNamespaces(&got, n, id)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidateSecurity(t *testing.T) {
	const f = "SecurityContext."
	for _, tt := range []struct {
		name string
		in   SecurityContext
		want []string
	}{
		{"nothing", SecurityContext{}, nil},
		{"highest IDs", SecurityContext{RunAsUser: pointerTo[int64](1<<31 - 1), RunAsGroup: pointerTo[int64](1<<31 - 1), SupplementalGroups: []int64{1<<31 - 1}}, nil},
		{"negative IDs", SecurityContext{RunAsUser: pointerTo[int64](-1), RunAsGroup: pointerTo[int64](-1), SupplementalGroups: []int64{0, -1}},
			[]string{f + "RunAsUser", f + "RunAsGroup", f + "SupplementalGroups[1]"}},
		{"IDs too high", SecurityContext{RunAsUser: pointerTo[int64](1 << 31), RunAsGroup: pointerTo[int64](math.MaxInt64), SupplementalGroups: []int64{1 << 31}},
			[]string{f + "RunAsUser", f + "RunAsGroup", f + "SupplementalGroups[0]"}},
		{"user twice", SecurityContext{RunAsUser: new(int64), RunAsUserName: "root"}, []string{f + "RunAsUserName"}},
		{"user with a group in the name", SecurityContext{RunAsUserName: "a:b"}, []string{f + "RunAsUserName"}},
		{"a number for a user's name", SecurityContext{RunAsUserName: "0"}, []string{f + "RunAsUserName"}},
		{"user with white space", SecurityContext{RunAsUserName: "a b"}, []string{f + "RunAsUserName"}},
		{"user that is not UTF-8", SecurityContext{RunAsUserName: "\xff"}, []string{f + "RunAsUserName"}},
		{"group without a user", SecurityContext{RunAsGroup: new(int64)}, []string{f + "RunAsGroup"}},

		{"unknown namespaces", SecurityContext{Namespaces: NamespaceOptions{Network: "x", PID: "y", IPC: "z"}},
			[]string{f + "Namespaces.Network", f + "Namespaces.IPC", f + "Namespaces.PID"}},
		{"namespaces that only processes have", SecurityContext{Namespaces: NamespaceOptions{Network: NamespaceContainer, IPC: NamespaceTarget}},
			[]string{f + "Namespaces.Network", f + "Namespaces.IPC"}},
		{"target without an ID", SecurityContext{Namespaces: NamespaceOptions{PID: NamespaceTarget}}, []string{f + "Namespaces.TargetID"}},
		{"ID without a target", SecurityContext{Namespaces: NamespaceOptions{PID: NamespacePod, TargetID: "x"}}, []string{f + "Namespaces.TargetID"}},

		{"bad capabilities", SecurityContext{Capabilities: &Capabilities{Add: []string{"", "NET_ADMIN", "A-B", "CAP_"}, Drop: []string{"a b", "1", "CAP_CAP_KILL", "NET_ADMINS"}}},
			[]string{f + "Capabilities.Add[0]", f + "Capabilities.Add[2]", f + "Capabilities.Add[3]",
				f + "Capabilities.Drop[0]", f + "Capabilities.Drop[1]", f + "Capabilities.Drop[2]", f + "Capabilities.Drop[3]"}},
		{"all but one, and one alone", SecurityContext{Capabilities: &Capabilities{Add: []string{"all", "KILL"}, Drop: []string{"CHOWN"}}}, nil},
		{"nothing but one", SecurityContext{Capabilities: &Capabilities{Add: []string{"checkpoint_restore"}, Drop: []string{"ALL"}}}, nil},
		{"added and dropped", SecurityContext{Capabilities: &Capabilities{Add: []string{"ALL", "KILL"}, Drop: []string{"cap_kill", "CAP_ALL", "CHOWN"}}},
			[]string{f + "Capabilities.Drop[0]", f + "Capabilities.Drop[1]"}},
		{"the node's users", SecurityContext{Namespaces: NamespaceOptions{User: &UserNamespace{Mode: NamespacePod, UIDs: []IDMapping{{Length: 1}}}}},
			[]string{f + "Namespaces.User.Mode pod!"}},
		{"mapped users of the node", SecurityContext{Namespaces: NamespaceOptions{User: &UserNamespace{Mode: NamespaceNode, GIDs: []IDMapping{{Length: 1}}}}},
			[]string{f + "Namespaces.User.GIDs"}},
		{"unknown users", SecurityContext{Namespaces: NamespaceOptions{User: &UserNamespace{Mode: NamespaceTarget}}}, []string{f + "Namespaces.User.Mode"}},
		{"ambient capabilities", SecurityContext{Capabilities: &Capabilities{AddAmbient: []string{"KILL"}}}, []string{f + "Capabilities.AddAmbient!"}},
		{"seccomp from a file", SecurityContext{Seccomp: &SecurityProfile{Type: ProfileLocalhost, LocalhostRef: "/p.json"}}, nil},
		{"seccomp without a file", SecurityContext{Seccomp: &SecurityProfile{Type: ProfileLocalhost}}, []string{f + "Seccomp.LocalhostRef"}},
		{"profiles without a type", SecurityContext{Seccomp: &SecurityProfile{}, AppArmor: &SecurityProfile{}}, []string{f + "Seccomp.Type", f + "AppArmor.Type"}},
		{"profiles with a name too many", SecurityContext{
			Seccomp: &SecurityProfile{Type: ProfileUnconfined, LocalhostRef: "x"}, AppArmor: &SecurityProfile{Type: ProfileRuntimeDefault, LocalhostRef: "x"},
		}, []string{f + "Seccomp.LocalhostRef", f + "AppArmor.LocalhostRef"}},
		{"AppArmor without a name", SecurityContext{AppArmor: &SecurityProfile{Type: ProfileLocalhost}}, []string{f + "AppArmor.LocalhostRef"}},
		{"AppArmor by the word for none", SecurityContext{AppArmor: &SecurityProfile{Type: ProfileLocalhost, LocalhostRef: "unconfined"}}, []string{f + "AppArmor.LocalhostRef"}},
		{"AppArmor with white space around", SecurityContext{AppArmor: &SecurityProfile{Type: ProfileLocalhost, LocalhostRef: " unconfined"}}, []string{f + "AppArmor.LocalhostRef"}},
		{"AppArmor of two lines", SecurityContext{AppArmor: &SecurityProfile{Type: ProfileLocalhost, LocalhostRef: "a\nb"}}, []string{f + "AppArmor.LocalhostRef"}},
		{"AppArmor that is not UTF-8", SecurityContext{AppArmor: &SecurityProfile{Type: ProfileLocalhost, LocalhostRef: "\xff"}}, []string{f + "AppArmor.LocalhostRef"}},
		{"SELinux with white space", SecurityContext{SELinux: &SELinuxOptions{User: "a b", Role: "a\n", Type: "\x00", Level: "\xff"}},
			[]string{f + "SELinux.User", f + "SELinux.Role", f + "SELinux.Type", f + "SELinux.Level"}},
		{"relative paths", SecurityContext{MaskedPaths: []string{"/a", "b"}, ReadonlyPaths: []string{"", "/\x00"}},
			[]string{f + "MaskedPaths[1]", f + "ReadonlyPaths[0]", f + "ReadonlyPaths[1]"}},
		{"merged groups", SecurityContext{SupplementalGroupsPolicy: "Merge"}, nil},
		{"strict groups", SecurityContext{SupplementalGroupsPolicy: "Strict"}, []string{f + "SupplementalGroupsPolicy!"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _, _ := plain()
			c.SecurityContext = tt.in
			checkFaults(t, c.Validate(), tt.want)
		})
	}
}

func TestValidateSandboxSecurity(t *testing.T) {
	const f = "SecurityContext."
	for _, tt := range []struct {
		name       string
		in         SandboxSecurityContext
		namespaces NamespaceOptions
		want       []string
	}{
		{name: "nothing"},
		{name: "negative IDs", in: SandboxSecurityContext{RunAsUser: pointerTo[int64](-1), RunAsGroup: pointerTo[int64](-1), SupplementalGroups: []int64{-1}},
			want: []string{f + "RunAsUser", f + "RunAsGroup", f + "SupplementalGroups[0]"}},
		{name: "group without a user", in: SandboxSecurityContext{RunAsGroup: new(int64)}, want: []string{f + "RunAsGroup"}},
		{name: "profiles", in: SandboxSecurityContext{Seccomp: &SecurityProfile{Type: ProfileLocalhost}, AppArmor: &SecurityProfile{}, SELinux: &SELinuxOptions{Type: " "}},
			want: []string{f + "Seccomp.LocalhostRef", f + "AppArmor.Type", f + "SELinux.Type"}},
		{name: "all namespaces", namespaces: NamespaceOptions{Network: NamespaceNode, PID: NamespaceContainer, IPC: NamespaceNode}},
		{name: "a target's processes", namespaces: NamespaceOptions{PID: NamespaceTarget, TargetID: "x"}, want: []string{"Namespaces.PID"}},
		{name: "a target without an ID", namespaces: NamespaceOptions{PID: NamespaceTarget}, want: []string{"Namespaces.PID"}},
		{name: "an ID alone", namespaces: NamespaceOptions{TargetID: "x"}, want: []string{"Namespaces.TargetID"}},
		{name: "a container's network", namespaces: NamespaceOptions{Network: NamespaceContainer, IPC: "x"}, want: []string{"Namespaces.Network", "Namespaces.IPC"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, s, _ := plain()
			s.SecurityContext, s.Namespaces = tt.in, tt.namespaces
			err := s.Validate()
			got := faults(err)
			slices.Sort(got)
			slices.Sort(tt.want)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%v: mismatch (-want +got):\n%s", err, diff)
			}
		})
	}
}

// The words of a refusal help without the source at hand.
func TestSecurityErrorTexts(t *testing.T) {
	for _, tt := range []struct {
		in   SecurityContext
		want string
	}{
		{SecurityContext{RunAsUser: pointerTo[int64](-1)}, "SecurityContext.RunAsUser: -1; want 0 to 2147483647"},
		{SecurityContext{Namespaces: NamespaceOptions{IPC: "x"}}, `SecurityContext.Namespaces.IPC: "x"; want one of ["pod" "node"]`},
		{SecurityContext{SupplementalGroupsPolicy: "Strict"}, "SecurityContext.SupplementalGroupsPolicy is not supported: the engine always adds the groups that the image gives the user"},
	} {
		c, _, _ := plain()
		c.SecurityContext = tt.in
		if err := c.Validate(); err == nil || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
}

func TestCapabilityList(t *testing.T) {
	for in, want := range map[string]string{
		"NET_ADMIN": "CAP_NET_ADMIN", "net_admin": "CAP_NET_ADMIN", "CAP_NET_ADMIN": "CAP_NET_ADMIN", "cap_kill": "CAP_KILL", "ALL": "ALL", "all": "ALL",
	} {
		if got := strings.Join(capabilityList([]string{in}), " "); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
	if got := capabilityList(nil); got != nil {
		t.Errorf("none: got %q", got)
	}
}

// What only the site of a container can tell.
func TestSecurityOfSites(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   SecurityContext
		site func(*createSite)
		want []string
	}{
		{"privileged", SecurityContext{Privileged: true}, func(*createSite) {}, nil},
		{"privileged in another sandbox", SecurityContext{Privileged: true}, func(s *createSite) { s.privileged = false }, []string{"SecurityContext.Privileged"}},
		{"privileged alone", SecurityContext{Privileged: true}, func(s *createSite) { s.privileged, s.sandboxID = false, "" }, nil},
		{"a target's processes, alone", SecurityContext{Namespaces: NamespaceOptions{PID: NamespaceTarget, TargetID: workloadID}}, func(s *createSite) { s.sandboxID = "" },
			[]string{"SecurityContext.Namespaces.PID"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, s, site := plain()
			c.SecurityContext = tt.in
			tt.site(&site)
			_, err := checkedContainer(c, s, site)
			checkFaults(t, err, tt.want)
		})
	}
}

// A sandbox of the kubelet remembers nothing: the engine tells whether it is
// privileged, and its namespaces are believed.
func TestSandboxesThatRememberNothing(t *testing.T) {
	info := inspected(func(i *container.InspectResponse) { i.HostConfig = &container.HostConfig{Privileged: true} })
	if !mayPrivilege(info) {
		t.Error("a privileged sandbox does not take privileged containers")
	}
	if err := sameNamespaces(info, NamespaceOptions{Network: NamespaceNode}); err != nil {
		t.Error(err)
	}
	info.HostConfig = nil
	if mayPrivilege(info) {
		t.Error("a sandbox of which nothing is known takes privileged containers")
	}
}
