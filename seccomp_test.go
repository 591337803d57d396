package dockpod

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/system"
	"github.com/google/go-cmp/cmp"
)

const allowAll = `{"defaultAction":"SCMP_ACT_ALLOW"}`

func TestReadSeccomp(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	writeFiles(t, dir, map[string]string{
		"outside.json": allowAll, "root/ok.json": "{\n \"defaultAction\": \"SCMP_ACT_ERRNO\",\n \"syscalls\": [ {\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\"} ]\n}\n",
		"root/sub/ok": allowAll, "root/..odd": allowAll, "root-2/ok": allowAll,
		"root/empty": "", "root/object": "{}", "root/null": "null", "root/list": "[]", "root/text": `"secret-content"`, "root/other": `{"foo":"bar"}`,
		"root/number": `{"defaultAction":1}`, "root/blank": `{"defaultAction":""}`, "root/action": `{"defaultAction":"secret-content"}`,
		"root/broken": `{"defaultAction":"SCMP_ACT_ALLOW",secret-content}`, "root/tail": allowAll + " secret-content", "root/latin1": "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"c\":\"\xff\"}",
		"root/twice": `{"defaultAction":"SCMP_ACT_ALLOW","defaultAction":""}`,
		"root/big":   allowAll + strings.Repeat(" ", maxSeccompProfile-len(allowAll)), "root/bigger": allowAll + strings.Repeat(" ", maxSeccompProfile-len(allowAll)+1),
	})
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("ok.json", "inner")
	link("../outside.json", "outer")
	link(filepath.Join(dir, "outside.json"), "absolute")
	link("..", "up")
	link("loop", "loop")
	huge, err := os.Create(filepath.Join(root, "huge"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(huge.Truncate(100<<20), huge.Close()); err != nil {
		t.Fatal(err)
	}

	const compact = `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}`
	for _, tt := range []struct {
		root, ref string
		want      string // the profile, or a part of the error
	}{
		{root, "ok.json", compact}, {root, "./sub/../ok.json", compact}, {root, "sub/ok", allowAll}, {root, "..odd", allowAll},
		{root, "inner", compact}, {root, filepath.Join(root, "ok.json"), compact}, {root, "big", allowAll},
		{"", filepath.Join(root, "ok.json"), compact}, {"", filepath.Join(root, "outer"), allowAll},

		{root, "missing", "no such file"}, {"", "ok.json", "WithSeccompRoot names no directory"}, {filepath.Join(dir, "gone"), "ok.json", "no such file"},
		{root, "../outside.json", "escapes"}, {root, "sub/../../outside.json", "escapes"}, {root, "outer", "escapes"}, {root, "absolute", "escapes"},
		{root, "up/outside.json", "escapes"}, {root, "loop", "too many"},
		{root, filepath.Join(dir, "outside.json"), "outside the directory"}, {root, root + "/../outside.json", "outside the directory"},
		{root, root + "-2/ok", "outside the directory"}, {root, root, "regular file"}, {root, "/dev/zero", "outside the directory"},
		{root, "sub", "regular file"}, {"", "/dev/zero", "regular file"}, {"", "/dev/null", "regular file"},
		{root, "huge", "104857600 bytes; want at most 1048576"}, {root, "bigger", "1048577 bytes"},
		{root, "empty", "not valid JSON at byte 0"}, {root, "object", "no defaultAction"}, {root, "null", "no JSON object"}, {root, "list", "no JSON object"},
		{root, "text", "no JSON object"}, {root, "other", "no defaultAction"}, {root, "number", "no JSON object"}, {root, "blank", "no defaultAction"},
		{root, "twice", "no defaultAction"}, {root, "action", "none of seccomp's"}, {root, "broken", "not valid JSON at byte"}, {root, "tail", "not valid JSON at byte"},
		{root, "latin1", "not UTF-8"},
	} {
		t.Run(strings.TrimPrefix(tt.ref, dir), func(t *testing.T) {
			got, err := readSeccomp("Field", tt.root, tt.ref)
			if strings.HasPrefix(tt.want, "{") {
				if err != nil || got != tt.want {
					t.Errorf("got %q, %v; want %q", got, err, tt.want)
				}
				return
			}
			if got != "" || classesOf(err) != "InvalidArgument" || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %q, error %v; want %q in one of a field", got, err, tt.want)
			}
			if text := err.Error(); strings.Contains(text, "secret-content") || !strings.Contains(text, tt.ref) {
				t.Errorf("the error names the content, or not the path: %v", err)
			}
			read := slices.ContainsFunc([]string{"JSON", "UTF-8", "defaultAction", "none of"}, func(s string) bool { return strings.Contains(tt.want, s) })
			if read && !strings.Contains(err.Error(), ": sha256:") {
				t.Errorf("the error has no digest: %v", err)
			}
		})
	}
}

// A profile of 100 MB is refused by its size, and not read.
func TestHugeSeccompIsNotRead(t *testing.T) {
	root := t.TempDir()
	f, err := os.Create(filepath.Join(root, "huge"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(100<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := readSeccomp("Field", root, "huge"); err == nil {
		t.Error("100 MB were taken")
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
}

// securedEngine is an engine whose kernel has these, which counts what it is
// asked for.
func securedEngine(asked *int, has ...string) *coreStub {
	return &coreStub{info: func() (system.Info, error) {
		*asked++
		var i system.Info
		for _, name := range has {
			i.SecurityOptions = append(i.SecurityOptions, "name="+name)
		}
		return i, nil
	}}
}

// spoken is an engine whose API version is another.
type spoken struct {
	*coreStub
	api string
}

func (s spoken) ClientVersion() string { return s.api }

func TestConfine(t *testing.T) {
	root := writeFiles(t, t.TempDir(), map[string]string{"p": allowAll})
	local, none, standard := &SecurityProfile{ProfileLocalhost, "p"}, &SecurityProfile{Type: ProfileUnconfined}, &SecurityProfile{Type: ProfileRuntimeDefault}
	const f = "SecurityContext."
	for _, tt := range []struct {
		name  string
		in    SecurityContext
		has   []string
		want  []string
		asked int
		api   string
	}{
		{name: "nothing"},
		{name: "no confinement", in: SecurityContext{Seccomp: none, AppArmor: none, SELinux: &SELinuxOptions{}}},
		{name: "all, of an engine with all", in: SecurityContext{Seccomp: local, AppArmor: local, SELinux: &SELinuxOptions{Type: "t"}}, has: []string{"seccomp", "apparmor", "selinux"}, asked: 1},
		{name: "all, of an engine with none", in: SecurityContext{Seccomp: standard, AppArmor: local, SELinux: &SELinuxOptions{Type: "t"}},
			want: []string{f + "Seccomp!", f + "AppArmor!", f + "SELinux!"}, asked: 1},
		{name: "the engine's AppArmor, where there is none", in: SecurityContext{AppArmor: standard}, has: []string{"seccomp"}, want: []string{f + "AppArmor!"}, asked: 1},
		{name: "a profile for a privileged container", in: SecurityContext{Seccomp: local, Privileged: true}, has: []string{"seccomp"}, want: []string{f + "Seccomp!"}, asked: 1, api: "1.47"},
		{name: "the same, of a newer engine", in: SecurityContext{Seccomp: local, Privileged: true}, has: []string{"seccomp"}, asked: 1, api: "1.48"},
		{name: "the engine's for a privileged container", in: SecurityContext{Seccomp: standard, Privileged: true}, has: []string{"seccomp"}, asked: 1},
		{name: "a missing file", in: SecurityContext{Seccomp: &SecurityProfile{ProfileLocalhost, "q"}}, has: []string{"seccomp"}, want: []string{f + "Seccomp.LocalhostRef"}, asked: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			r := New(spoken{securedEngine(&asked, tt.has...), tt.api}, WithSeccompRoot(root))
			var site createSite
			err := r.confine(t.Context(), tt.in, Resources{}, &site)
			checkFaults(t, err, tt.want)
			if asked != tt.asked {
				t.Errorf("the engine was asked %d times; want %d", asked, tt.asked)
			}
			if err == nil && tt.in.Seccomp == local && site.seccomp != allowAll {
				t.Errorf("the profile is %q", site.seccomp)
			}
			if err := r.confine(t.Context(), tt.in, Resources{}, &site); asked > tt.asked {
				t.Errorf("the engine was asked again: %v", err)
			}
		})
	}
	broken := errors.New("broken")
	r := New(&coreStub{info: func() (system.Info, error) { return system.Info{}, broken }})
	if err := r.confine(context.Background(), SecurityContext{Seccomp: standard}, Resources{}, &createSite{}); err == nil {
		t.Error("an engine that does not answer has seccomp")
	}
}

// podmanStub says that it is one.
type podmanStub struct{ *coreStub }

func (podmanStub) ServerVersion(context.Context) (types.Version, error) {
	return types.Version{Components: []types.ComponentVersion{{Name: "Podman Engine", Version: "4.3.1"}}}, nil
}

// The engine is asked whether it is Podman that takes a field in another
// way, and not otherwise; a profile's file is not read in vain.
func TestPodmanIsFoundOutWhereItMatters(t *testing.T) {
	local := &SecurityProfile{ProfileLocalhost, "missing"}
	const f = "SecurityContext."
	for _, tt := range []struct {
		name   string
		sc     SecurityContext
		res    Resources
		podman bool
		want   []string
	}{
		{name: "nothing", sc: SecurityContext{NoNewPrivs: true}, res: Resources{MemoryLimit: 64 << 20}},
		{name: "a profile of a file", sc: SecurityContext{Seccomp: local}, podman: true, want: []string{f + "Seccomp!"}},
		{name: "a profile for a privileged container", sc: SecurityContext{Seccomp: local, Privileged: true}, podman: true, want: []string{f + "Seccomp!"}},
		{name: "masked paths", sc: SecurityContext{MaskedPaths: []string{"/a"}}, podman: true, want: []string{f + "MaskedPaths!"}},
		{name: "no masked and no read-only paths", sc: SecurityContext{MaskedPaths: []string{}, ReadonlyPaths: []string{}}, podman: true, want: []string{f + "MaskedPaths!", f + "ReadonlyPaths!"}},
		{name: "paths of a privileged container", sc: SecurityContext{MaskedPaths: []string{"/a"}, Privileged: true}, podman: true},
		{name: "swap without limit", res: Resources{MemoryLimit: 64 << 20, MemorySwapLimit: -1}, podman: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			var site createSite
			r := New(podmanStub{securedEngine(&asked, "seccomp")}, WithSeccompRoot(t.TempDir()))
			if err := r.confine(t.Context(), tt.sc, tt.res, &site); err != nil {
				t.Fatal(err)
			}
			if site.podman != tt.podman {
				t.Errorf("the engine is Podman: %t; want %t", site.podman, tt.podman)
			}
			v := &validator{}
			gateSecurity(v, tt.sc, site)
			checkFaults(t, v.err(), tt.want)
		})
	}
}

// A profile that nobody read is no profile: an engine takes "seccomp=" for its
// default.
func TestSeccompHasToBeRead(t *testing.T) {
	c, s, site := plain()
	site.seccomp = ""
	c.SecurityContext.Seccomp = &SecurityProfile{ProfileLocalhost, "p"}
	_, err := checkedContainer(c, s, site)
	checkFaults(t, err, []string{"SecurityContext.Seccomp.LocalhostRef"})
	s.SecurityContext.Seccomp = c.SecurityContext.Seccomp
	_, err = checkedSandbox(s, "", site)
	checkFaults(t, err, []string{"SecurityContext.Seccomp.LocalhostRef"})
}

// Another content of a profile is another container.
func TestSeccompIsInTheSpec(t *testing.T) {
	c, s, site := plain()
	c.SecurityContext.Seccomp = &SecurityProfile{ProfileLocalhost, "p"}
	first := mustBuild(t, c, s, site)
	site.seccomp = allowAll
	if then := mustBuild(t, c, s, site); then.Config.Labels[LabelSpec] == first.Config.Labels[LabelSpec] {
		t.Error("a profile that has changed makes the same request")
	}
}

func TestSeccompOf(t *testing.T) {
	own, option := &SecurityProfile{Type: ProfileRuntimeDefault}, &SecurityProfile{Type: ProfileUnconfined}
	for _, tt := range []struct {
		in        SecurityContext
		otherwise *SecurityProfile
		want      *SecurityProfile
	}{
		{SecurityContext{}, nil, nil},
		{SecurityContext{}, option, option},
		{SecurityContext{Seccomp: own}, option, own},
		{SecurityContext{Privileged: true}, option, nil},
		{SecurityContext{Privileged: true, Seccomp: own}, option, own},
	} {
		got := seccompOf(tt.in, tt.otherwise)
		if diff := cmp.Diff(tt.want, got); diff != "" || got == option && got != nil {
			t.Errorf("%+v: mismatch, or the option itself (-want +got):\n%s", tt.in, diff)
		}
	}
}

func TestSeccompOptions(t *testing.T) {
	for name, tt := range map[string]struct {
		opts []Option
		want []string
	}{
		"none":              {},
		"unconfined":        {opts: []Option{WithDefaultSeccomp(SecurityProfile{Type: ProfileUnconfined})}},
		"a file":            {opts: []Option{WithDefaultSeccomp(SecurityProfile{ProfileLocalhost, "p"}), WithSeccompRoot("/p")}},
		"no type":           {opts: []Option{WithDefaultSeccomp(SecurityProfile{})}, want: []string{"WithDefaultSeccomp.Type"}},
		"no file":           {opts: []Option{WithDefaultSeccomp(SecurityProfile{Type: ProfileLocalhost})}, want: []string{"WithDefaultSeccomp.LocalhostRef"}},
		"a relative root":   {opts: []Option{WithSeccompRoot("p")}, want: []string{"WithSeccompRoot"}},
		"an option unasked": {opts: []Option{WithSeccompRoot("")}},
	} {
		t.Run(name, func(t *testing.T) {
			checkFaults(t, New(&coreStub{}, tt.opts...).err, tt.want)
		})
	}
}

func TestParseProfiles(t *testing.T) {
	for _, tt := range []struct {
		in                string
		seccomp, appArmor string // "!" is an error
	}{
		{"", "", ""}, {"unconfined", "Unconfined", "Unconfined"}, {"runtime/default", "RuntimeDefault", "RuntimeDefault"}, {"docker/default", "RuntimeDefault", "!"},
		{"localhost/a/b", "Localhost a/b", "Localhost a/b"}, {"localhost//a", "Localhost /a", "Localhost /a"}, {"localhost/localhost/a", "Localhost localhost/a", "Localhost localhost/a"},
		{"localhost/", "!", "!"}, {"localhost", "!", "!"}, {"Unconfined", "!", "!"}, {" unconfined", "!", "!"}, {"default", "!", "!"},
	} {
		text := func(p *SecurityProfile, err error) string {
			switch {
			case err != nil && classesOf(err) == "InvalidArgument" && p == nil:
				return "!"
			case p == nil:
				return ""
			}
			return strings.TrimSpace(string(p.Type) + " " + p.LocalhostRef)
		}
		if got := text(ParseSeccompProfile(tt.in)); got != tt.seccomp {
			t.Errorf("seccomp %q: %q; want %q", tt.in, got, tt.seccomp)
		}
		if got := text(ParseAppArmorProfile(tt.in)); got != tt.appArmor {
			t.Errorf("AppArmor %q: %q; want %q", tt.in, got, tt.appArmor)
		}
	}
}

// A container's annotation beats its pod's, even an empty one.
func TestProfilesFromAnnotations(t *testing.T) {
	pod := map[string]string{
		annotationSeccompPod: "unconfined", annotationSeccompContainer + "a": "localhost/a", annotationSeccompContainer + "e": "", annotationSeccompContainer + "x": "bad",
		annotationAppArmor + "a": "localhost/b",
	}
	for name, want := range map[string]*SecurityProfile{
		"a": {ProfileLocalhost, "a"}, "b": {Type: ProfileUnconfined}, "": {Type: ProfileUnconfined}, "e": nil,
	} {
		got, err := SeccompFromAnnotations(pod, name)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("seccomp of %q: %v (-want +got):\n%s", name, err, diff)
		}
	}
	if _, err := SeccompFromAnnotations(pod, "x"); classesOf(err) != "InvalidArgument" || !strings.Contains(err.Error(), annotationSeccompContainer+"x") {
		t.Errorf("a bad annotation: %v", err)
	}
	if got, err := AppArmorFromAnnotations(pod, "a"); err != nil || *got != (SecurityProfile{ProfileLocalhost, "b"}) {
		t.Errorf("AppArmor: %v, %v", got, err)
	}
	if got, err := AppArmorFromAnnotations(nil, "a"); err != nil || got != nil {
		t.Errorf("no AppArmor: %v, %v", got, err)
	}
}

func TestSysctlsFromAnnotations(t *testing.T) {
	got, err := SysctlsFromAnnotations(map[string]string{annotationSysctls: "a=1=2,b=", annotationUnsafeSysctls: "c=3"})
	if diff := cmp.Diff(map[string]string{"a": "1=2", "b": "", "c": "3"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, pod := range []map[string]string{
		{annotationSysctls: "a"}, {annotationSysctls: "a=1,"}, {annotationSysctls: "=1"}, {annotationSysctls: "a=1", annotationUnsafeSysctls: "a=2"},
	} {
		if _, err := SysctlsFromAnnotations(pod); classesOf(err) != "InvalidArgument" {
			t.Errorf("%v: %v", pod, err)
		}
	}
}

func TestSysctls(t *testing.T) {
	own, network, ipc := NamespaceOptions{}, NamespaceOptions{Network: NamespaceNode}, NamespaceOptions{IPC: NamespaceNode}
	for _, tt := range []struct {
		name   string
		n      NamespaceOptions
		reason string
	}{
		{"net.core.somaxconn", own, ""}, {"net.core.somaxconn", network, "node's network"}, {"net.core.somaxconn", ipc, ""}, {"net/core/somaxconn", network, "node's network"},
		{"net/core/somaxconn", own, ""}, {"kernel.shmmax", own, ""}, {"kernel.shmmax", network, ""}, {"kernel.shmmax", ipc, "node's IPC"}, {"kernel/sem", ipc, "node's IPC"},
		{"kernel.shm_rmid_forced", own, ""}, {"kernel.msgmni", own, ""}, {"fs.mqueue.msg_max", own, ""}, {"fs.mqueue.msg_max", ipc, "node's IPC"},
		{"kernel.domainname", own, ""}, {"kernel.domainname", network, "node's name"}, {"kernel.hostname", own, "set by Hostname"},
		{"kernel.shmfoo", own, "is the node's"}, {"kernel.shm_next_id", own, "is the node's"}, {"kernel.panic", own, "is the node's"}, {"vm.swappiness", own, "is the node's"},
		{"fs.file-max", own, "is the node's"}, {"net", own, "is the node's"}, {"fs.mqueue", own, "is the node's"}, {"user.max_user_namespaces", own, "is the node's"},
		{"NET.core.somaxconn", own, "is the node's"}, {"net./../../kernel/panic", own, "not a sysctl's name"}, {"net..kernel", own, "not a sysctl's name"}, {"net/../kernel/panic", own, "not a sysctl's name"},
		{"net.ipv4/conf", own, "not a sysctl's name"},
	} {
		_, s, site := plain()
		s.Sysctls, s.Namespaces = map[string]string{tt.name: "1"}, tt.n
		req, err := checkedSandbox(s, "", site)
		switch {
		case tt.reason == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.reason == "":
			if want := map[string]string{strings.ReplaceAll(tt.name, "/", "."): "1"}; !cmp.Equal(want, req.Host.Sysctls) {
				t.Errorf("%s: %v", tt.name, req.Host.Sysctls)
			}
		default:
			checkFaults(t, err, []string{`Sysctls["` + tt.name + `"]`})
			if !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("%s: %v; want %q", tt.name, err, tt.reason)
			}
		}
	}
	_, s, _ := plain()
	s.Sysctls = map[string]string{"net.a": "1", "net/a": "2"}
	checkFaults(t, s.Validate(), []string{`Sysctls["net/a"]`})
}
