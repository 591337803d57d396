package dockpod

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fullContainer returns a configuration with a value in every field that a
// container can have at once.
func fullContainer() ContainerConfig {
	return ContainerConfig{
		Name: "app", Attempt: 3, Image: "registry.example/app:v1",
		Command: []string{"/bin/app", "serve"}, Args: []string{"--port", "80"}, WorkingDir: "/work",
		Envs: []EnvVar{{"B", "2"}, {"A", "1=1"}, {"B", "3"}, {"EMPTY", ""}},
		Mounts: []Mount{
			{Source: "/src", Target: "/dst", ReadOnly: true, RecursiveReadOnly: true},
			{Source: "/shared", Target: "/shared", Propagation: PropagationHostToContainer},
			{Source: "/labelled", Target: "/labelled", ReadOnly: true, SELinuxRelabel: true, SELinuxShared: true, Propagation: PropagationBidirectional},
			{Source: "/there", Target: "/there", Missing: MissingFail},
			{Type: MountVolume, Source: "vol", Target: "/vol", ReadOnly: true, SubPath: "sub"},
			{Type: MountImage, Source: "busybox:1", Target: "/img", SubPath: "bin"},
			{Type: MountTmpfs, Target: "/tmp", SizeBytes: 1 << 20, Mode: 0o1777, TmpfsOptions: []string{"uid=1000", "exec"}},
		},
		Devices:     []Device{{HostPath: "/dev/fuse", ContainerPath: "/dev/fuse1", Permissions: "rw"}},
		CDIDevices:  []string{"vendor.example/gpu=0"},
		Labels:      map[string]string{"app": "web", "tier": "front"},
		Annotations: map[string]string{"note": "text", "io.kubernetes.container.hash": "1f"},
		LogPath:     "app/3.log", LogConfig: LogConfig{Driver: "json-file", Options: map[string]string{"max-size": "10m", "max-file": "3"}},
		Stdin: true, StdinOnce: true, TTY: true,
		Resources: Resources{
			MemoryLimit: 64 << 20, MemorySwapLimit: 128 << 20, CPUShares: 512, CPUQuota: 50000, CPUPeriod: 200000,
			CpusetCpus: "0-1", CpusetMems: "0", PidsLimit: 100, OOMScoreAdj: 500,
			BlkioWeight: 300, BlkioDeviceWeights: []DeviceWeight{{"/dev/vda", 400}},
			BlkioReadBps: []DeviceRate{{"/dev/vda", 1 << 20}}, BlkioWriteBps: []DeviceRate{{"/dev/vda", 2 << 20}},
			BlkioReadIOps: []DeviceRate{{"/dev/vda", 100}}, BlkioWriteIOps: []DeviceRate{{"/dev/vda", 200}},
		},
		SecurityContext: SecurityContext{
			RunAsUser: pointerTo[int64](1000), RunAsGroup: pointerTo[int64](2000), SupplementalGroups: []int64{3000, 4000},
			ReadonlyRootfs: true,
			Namespaces:     NamespaceOptions{Network: NamespacePod, PID: NamespaceTarget, IPC: NamespacePod, TargetID: workloadID, User: &UserNamespace{Mode: NamespaceNode}},
			Capabilities:   &Capabilities{Add: []string{"NET_ADMIN"}, Drop: []string{"ALL"}},
			NoNewPrivs:     true, Seccomp: &SecurityProfile{Type: ProfileUnconfined},
			AppArmor:    &SecurityProfile{Type: ProfileLocalhost, LocalhostRef: "my-profile"},
			SELinux:     &SELinuxOptions{User: "u", Role: "r", Type: "t", Level: "s0:c1,c2"},
			MaskedPaths: []string{"/proc/kcore"}, ReadonlyPaths: []string{"/proc/sys"}, SupplementalGroupsPolicy: "Merge",
		},
		StopSignal: "SIGINT", StopTimeout: pointerTo(1500 * time.Millisecond),
		Ulimits: []Ulimit{{Name: "nofile", Soft: 1024, Hard: 2048}}, Init: pointerTo(true), Platform: "linux/arm64/v8",
		Healthcheck: &Healthcheck{Command: []string{"/check"}, Interval: time.Second, Timeout: 2 * time.Second, StartPeriod: 3 * time.Second, Retries: 4},
	}
}

// fullSandbox returns a configuration with a value in every field.
func fullSandbox() SandboxConfig {
	return SandboxConfig{
		Name: "pod", Namespace: "ns", UID: "uid", Attempt: 1,
		Hostname: "host", LogDirectory: "/var/log/pods/ns_pod_uid",
		DNS: DNSConfig{Servers: []string{"10.0.0.10", "fd00::a"}, Searches: []string{"ns.svc.example"}, Options: []string{"ndots:5"}},
		Ports: []PortMapping{
			{Protocol: TCP, ContainerPort: 80, HostPort: 8080, HostIP: "127.0.0.1"},
			{Protocol: UDP, ContainerPort: 53, HostPort: 53},
			{Protocol: SCTP, ContainerPort: 9, HostPort: 0},
		},
		Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"note": "text"},
		CgroupParent: "/kubepods/pod1", Sysctls: map[string]string{"net.core.somaxconn": "1024"},
		Namespaces: NamespaceOptions{Network: NamespacePod, PID: NamespacePod, IPC: NamespacePod, User: &UserNamespace{Mode: NamespaceNode}},
		SecurityContext: SandboxSecurityContext{
			RunAsUser: pointerTo[int64](65535), RunAsGroup: pointerTo[int64](65534), SupplementalGroups: []int64{5},
			ReadonlyRootfs: true, Privileged: true,
			Seccomp: &SecurityProfile{Type: ProfileUnconfined}, AppArmor: &SecurityProfile{Type: ProfileLocalhost, LocalhostRef: "p"},
			SELinux: &SELinuxOptions{User: "u", Role: "r", Type: "t", Level: "l"},
		},
		Resources: Resources{
			MemoryLimit: 16 << 20, MemorySwapLimit: 32 << 20, CPUShares: 10, CPUQuota: 2000, CPUPeriod: 50000,
			CpusetCpus: "1", CpusetMems: "0", PidsLimit: 9, OOMScoreAdj: -5,
			BlkioWeight: 10, BlkioDeviceWeights: []DeviceWeight{{"/dev/vdb", 1000}},
			BlkioReadBps: []DeviceRate{{"/dev/vdb", 1}}, BlkioWriteBps: []DeviceRate{{"/dev/vdb", 2}},
			BlkioReadIOps: []DeviceRate{{"/dev/vdb", 3}}, BlkioWriteIOps: []DeviceRate{{"/dev/vdb", 4}},
		},
		Overhead:       Resources{MemoryLimit: 8 << 20, CPUShares: 3},
		ShmSize:        16 << 20,
		RuntimeHandler: "runc",
	}
}

// fullSite is an engine that has everything.
func fullSite() createSite {
	return createSite{
		features: featuresOf("1.51"), privileged: true, seccomp: `{"defaultAction":"SCMP_ACT_ERRNO"}`, cgroupDriver: "cgroupfs", cgroupVersion: "2", cdi: true, imageID: idA, imageCommand: true, sandboxID: sandboxID,
		maxLabelBytes: defaultMaxLabelBytes,
	}
}

// plain returns the least that makes a container.
func plain() (ContainerConfig, SandboxConfig, createSite) {
	return ContainerConfig{Name: "app", Image: "busybox:1"}, SandboxConfig{Name: "pod", Namespace: "ns", UID: "uid"}, fullSite()
}

// checkedContainer builds what a Runtime would: nothing of a configuration that
// is refused.
func checkedContainer(c ContainerConfig, s SandboxConfig, site createSite) (createRequest, error) {
	if err := c.Validate(); err != nil {
		return createRequest{}, err
	}
	return buildContainer(c, s, site)
}

// checkedSandbox is checkedContainer for a sandbox.
func checkedSandbox(s SandboxConfig, image string, site createSite) (createRequest, error) {
	if err := s.Validate(); err != nil {
		return createRequest{}, err
	}
	return buildSandbox(s, image, site)
}

func mustBuild(t *testing.T, c ContainerConfig, s SandboxConfig, site createSite) createRequest {
	t.Helper()
	req, err := checkedContainer(c, s, site)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What a configuration with nothing in it asks of an engine. Each line is a
// decision; fields that are not named are left to the engine.
func TestBuildContainerPlain(t *testing.T) {
	req := mustBuild(t, ContainerConfig{Name: "app", Image: "busybox:1"}, SandboxConfig{Name: "pod", Namespace: "ns", UID: "uid"}, fullSite())
	labels := req.Config.Labels
	want := createRequest{
		Name: Name{Container: "app", Pod: "pod", Namespace: "ns", UID: "uid"},
		Config: &container.Config{
			Image: idA, Labels: labels,
			Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		},
		Host: &container.HostConfig{
			RestartPolicy: container.RestartPolicy{Name: "no"},
			NetworkMode:   "container:" + sandboxID, IpcMode: "container:" + sandboxID,
		},
		Net: req.Net,
	}
	if diff := cmp.Diff(want, req); diff != "" {
		t.Errorf("mismatch (-want +got):\n%s", diff)
	}
	if text := asJSON(t, req.Net); text != "{\n  \"EndpointsConfig\": null\n}" {
		t.Errorf("networking: %s", text)
	}
	wantLabels := map[string]string{
		LabelType: TypeContainer, LabelSandboxID: sandboxID, LabelImage: "busybox:1", LabelSchema: schemaVersion, labelAttempt: "0", labelImageID: idA,
		LabelPodName: "pod", LabelPodNamespace: "ns", LabelPodUID: "uid", LabelContainerName: "app",
		labelAdded: "pod.name,pod.namespace,pod.uid,container.name", LabelSpec: labels[LabelSpec],
	}
	if diff := cmp.Diff(wantLabels, labels); diff != "" {
		t.Errorf("labels mismatch (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(labels[LabelSpec], "sha256:") || len(labels[LabelSpec]) != len("sha256:")+64 {
		t.Errorf("spec %q", labels[LabelSpec])
	}
}

func TestBuildContainerFields(t *testing.T) {
	type config = ContainerConfig
	for _, tt := range []struct {
		name   string
		change func(c *ContainerConfig, s *SandboxConfig, site *createSite)
		got    func(createRequest) any
		want   any
	}{
		{"name", func(c *config, s *SandboxConfig, _ *createSite) {
			c.Name, c.Attempt, s.Name, s.Namespace, s.UID, s.Attempt = "a.b-c", math.MaxUint32, "P", "N", "U", 7
		}, func(r createRequest) any { return r.Name }, Name{Container: "a.b-c", Pod: "P", Namespace: "N", UID: "U", Attempt: math.MaxUint32}},
		{"attempt label", func(c *config, _ *SandboxConfig, _ *createSite) { c.Attempt = 12 },
			func(r createRequest) any { return r.Config.Labels[labelAttempt] }, "12"},
		{"image by ID", func(c *config, _ *SandboxConfig, site *createSite) { c.Image, site.imageID = "app@"+idB, idC },
			func(r createRequest) any { return []string{r.Config.Image, r.Config.Labels[LabelImage]} }, []string{idC, "app@" + idB}},
		{"command alone", func(c *config, _ *SandboxConfig, _ *createSite) { c.Command = []string{"a", "$(B)"} },
			func(r createRequest) any { return [][]string{r.Config.Entrypoint, r.Config.Cmd} }, [][]string{{"a", "$(B)"}, nil}},
		{"arguments alone", func(c *config, _ *SandboxConfig, _ *createSite) { c.Args = []string{"", "b"} },
			func(r createRequest) any { return [][]string{r.Config.Entrypoint, r.Config.Cmd} }, [][]string{nil, {"", "b"}}},
		{"a command and the image without one", func(c *config, _ *SandboxConfig, site *createSite) {
			c.Command, site.imageCommand = []string{"a"}, false
		},
			func(r createRequest) any { return r.Config.Entrypoint }, []string{"a"}},
		{"arguments and the image without a command", func(c *config, _ *SandboxConfig, site *createSite) { c.Args, site.imageCommand = []string{"a"}, false },
			func(r createRequest) any { return r.Config.Cmd }, []string{"a"}},
		{"working directory", func(c *config, _ *SandboxConfig, _ *createSite) { c.WorkingDir = "/w" },
			func(r createRequest) any { return r.Config.WorkingDir }, "/w"},
		{"environment", func(c *config, _ *SandboxConfig, _ *createSite) {
			c.Envs = []EnvVar{{"B", "2"}, {"A", ""}, {"B", "x=$(A)\n"}}
		}, func(r createRequest) any { return r.Config.Env }, []string{"B=2", "A=", "B=x=$(A)\n"}},
		{"terminal", func(c *config, _ *SandboxConfig, _ *createSite) { c.Stdin, c.StdinOnce, c.TTY = true, true, true },
			func(r createRequest) any { return []bool{r.Config.OpenStdin, r.Config.StdinOnce, r.Config.Tty} }, []bool{true, true, true}},
		{"labels and annotations", func(c *config, _ *SandboxConfig, _ *createSite) {
			c.Labels, c.Annotations = map[string]string{"a": "1"}, map[string]string{"a": "2"}
		}, func(r createRequest) any { return []string{r.Config.Labels["a"], r.Config.Labels["annotation.a"]} }, []string{"1", "2"}},
		{"log path", func(c *config, s *SandboxConfig, _ *createSite) {
			c.LogPath, s.LogDirectory = "app/0.log", "/var/log/pods/x/"
		},
			func(r createRequest) any {
				return []string{r.Config.Labels[LabelLogPath], r.Config.Labels[labelLogDirectory]}
			}, []string{"/var/log/pods/x/app/0.log", "/var/log/pods/x/"}},
		{"log path without a directory", func(c *config, _ *SandboxConfig, _ *createSite) { c.LogPath = "app/0.log" },
			func(r createRequest) any { return logLabels(r) }, 0},
		{"log directory without a path", func(_ *config, s *SandboxConfig, _ *createSite) { s.LogDirectory = "/var/log/pods/x" },
			func(r createRequest) any { return logLabels(r) }, 0},
		{"log driver", func(c *config, _ *SandboxConfig, _ *createSite) {
			c.LogConfig = LogConfig{Driver: "json-file", Options: map[string]string{"max-size": "1m"}}
		}, func(r createRequest) any { return r.Host.LogConfig }, container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "1m"}}},
		{"owner", func(_ *config, _ *SandboxConfig, site *createSite) {
			site.owner, site.naming = "agent", Naming{"agent"}
		},
			func(r createRequest) any {
				_, kubelets := r.Config.Labels[LabelType]
				return []any{r.Config.Labels[LabelOwner], r.Config.Labels[LabelOwnedType], kubelets}
			}, []any{"agent", TypeContainer, false}},
		{"no sandbox", func(_ *config, _ *SandboxConfig, site *createSite) { site.sandboxID = "" },
			func(r createRequest) any {
				_, labelled := r.Config.Labels[LabelSandboxID]
				return []any{labelled, r.Host.NetworkMode, r.Host.IpcMode, r.Host.PidMode, r.Host.ShmSize}
			}, []any{false, container.NetworkMode(""), container.IpcMode(""), container.PidMode(""), int64(64 << 20)}},
		{"runtime handler of the pod", func(_ *config, s *SandboxConfig, _ *createSite) { s.RuntimeHandler = "kata" },
			func(r createRequest) any { return r.Host.Runtime }, "kata"},
		{"cgroup of the pod", func(_ *config, s *SandboxConfig, _ *createSite) { s.CgroupParent = "/kubepods/pod1" },
			func(r createRequest) any { return r.Host.CgroupParent }, "/kubepods/pod1"},
		{"cgroup of the pod, systemd", func(_ *config, s *SandboxConfig, site *createSite) {
			s.CgroupParent, site.cgroupDriver = "/kubepods.slice/kubepods-pod1.slice", "systemd"
		}, func(r createRequest) any { return r.Host.CgroupParent }, "kubepods-pod1.slice"},
		{"devices", func(c *config, _ *SandboxConfig, _ *createSite) {
			c.Devices = []Device{{HostPath: "/dev/a"}, {HostPath: "/dev/b", ContainerPath: "/dev/c", Permissions: "r"}}
		}, func(r createRequest) any { return r.Host.Devices }, []container.DeviceMapping{
			{PathOnHost: "/dev/a", PathInContainer: "/dev/a", CgroupPermissions: "rwm"}, {PathOnHost: "/dev/b", PathInContainer: "/dev/c", CgroupPermissions: "r"},
		}},
		{"CDI devices", func(c *config, _ *SandboxConfig, _ *createSite) { c.CDIDevices = []string{"v/c=a", "v/c=b"} },
			func(r createRequest) any { return r.Host.DeviceRequests }, []container.DeviceRequest{{Driver: "cdi", DeviceIDs: []string{"v/c=a", "v/c=b"}}}},
		{"OOM score", func(c *config, _ *SandboxConfig, _ *createSite) { c.Resources.OOMScoreAdj = -998 },
			func(r createRequest) any { return r.Host.OomScoreAdj }, -998},
		{"stop", func(c *config, _ *SandboxConfig, _ *createSite) {
			c.StopSignal, c.StopTimeout = "TERM", pointerTo(1001*time.Millisecond)
		},
			func(r createRequest) any { return []any{r.Config.StopSignal, *r.Config.StopTimeout} }, []any{"TERM", 2}},
		{"stop at once", func(c *config, _ *SandboxConfig, _ *createSite) { c.StopTimeout = new(time.Duration) },
			func(r createRequest) any { return *r.Config.StopTimeout }, 0},
		{"shm", func(c *config, _ *SandboxConfig, site *createSite) { c.ShmSize, site.sandboxID = 7, "" },
			func(r createRequest) any { return r.Host.ShmSize }, int64(7)},
		{"shm is the node's", func(c *config, s *SandboxConfig, site *createSite) {
			s.Namespaces.IPC, site.sandboxID = NamespaceNode, ""
		},
			func(r createRequest) any { return r.Host.ShmSize }, int64(0)},
		{"limits of the process", func(c *config, _ *SandboxConfig, _ *createSite) {
			c.Ulimits = []Ulimit{{"nofile", 1, 2}, {"core", -1, -1}, {"nproc", 5, -1}}
		}, func(r createRequest) any { return r.Host.Ulimits }, []*container.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}, {Name: "core", Soft: -1, Hard: -1}, {Name: "nproc", Soft: 5, Hard: -1}}},
		{"init", func(c *config, _ *SandboxConfig, _ *createSite) { c.Init = pointerTo(false) },
			func(r createRequest) any { return *r.Host.Init }, false},
		{"platform", func(c *config, _ *SandboxConfig, _ *createSite) { c.Platform = "linux/arm64" },
			func(r createRequest) any { return r.Platform }, &ocispec.Platform{OS: "linux", Architecture: "arm64"}},
		{"health check", func(c *config, _ *SandboxConfig, _ *createSite) {
			c.Healthcheck = &Healthcheck{Command: []string{"a", "b"}, Interval: time.Second, Timeout: 2 * time.Second, StartPeriod: 3 * time.Second, Retries: 4}
		}, func(r createRequest) any { return r.Config.Healthcheck }, &container.HealthConfig{
			Test: []string{"CMD", "a", "b"}, Interval: time.Second, Timeout: 2 * time.Second, StartPeriod: 3 * time.Second, Retries: 4,
		}},
		{"extra hosts", func(c *config, _ *SandboxConfig, site *createSite) {
			c.ExtraHosts, site.sandboxID = map[string]string{"b": "10.0.0.2", "a": "fd00::1"}, ""
		}, func(r createRequest) any { return r.Host.ExtraHosts }, []string{"a:fd00::1", "b:10.0.0.2"}},
		{"labels of the pod as given", func(c *config, _ *SandboxConfig, _ *createSite) {
			c.Labels = map[string]string{LabelPodName: "pod", LabelPodNamespace: "ns", LabelPodUID: "uid", LabelContainerName: "app"}
		}, func(r createRequest) any { l, _ := SplitLabels(r.Config.Labels); return l },
			map[string]string{LabelPodName: "pod", LabelPodNamespace: "ns", LabelPodUID: "uid", LabelContainerName: "app"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, s, site := plain()
			tt.change(&c, &s, &site)
			got := tt.got(mustBuild(t, c, s, site))
			// strslice.StrSlice is a []string of another name.
			if diff := cmp.Diff(asJSON(t, tt.want), asJSON(t, got)); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

// logLabels counts the labels about a log.
func logLabels(r createRequest) int {
	n := 0
	for _, k := range []string{LabelLogPath, labelLogDirectory} {
		if _, ok := r.Config.Labels[k]; ok {
			n++
		}
	}
	return n
}

// faults collects what an error says about fields: "Mounts[0].Target" for a
// *FieldError, "Resources.Unified!" for an *UnsupportedError.
func faults(err error) []string {
	var list []string
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) {
		case nil:
		case *FieldError:
			list = append(list, e.Field)
		case *UnsupportedError:
			list = append(list, e.Field+"!")
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(err)
			}
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		default:
			list = append(list, "? "+err.Error())
		}
	}
	walk(err)
	return list
}

// checkFaults holds an error to what it has to say.
func checkFaults(t *testing.T, err error, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, faults(err), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%v: faults mismatch (-want +got):\n%s", err, diff)
	}
	if len(want) == 0 {
		return
	}
	var classes []string
	for _, f := range want {
		class := "InvalidArgument"
		if strings.HasSuffix(f, "!") {
			class = "NotImplemented"
		}
		if !slices.Contains(classes, class) {
			classes = append(classes, class)
		}
	}
	slices.Sort(classes)
	if got := classesOf(err); got != strings.Join(classes, " ") {
		t.Errorf("%v: classes %q, want %q", err, got, classes)
	}
	for _, f := range want {
		if !strings.Contains(err.Error(), strings.TrimSuffix(f, "!")) {
			t.Errorf("%v: does not name %s", err, f)
		}
	}
}

// badName are names that no engine or parser would give back.
var badNames = map[string]string{
	"empty": "", "underscore": "a_b", "slash": "a/b", "space": "a b", "line break": "a\nb", "NUL": "a\x00b", "escape": "\x1b[31m",
	"colon": "a:b", "not ASCII": "ä", "not UTF-8": "\xff", "300 letters": strings.Repeat("a", 300), "10 MB": strings.Repeat("a", 10<<20),
}

func TestValidateNames(t *testing.T) {
	for name, bad := range badNames {
		t.Run(name, func(t *testing.T) {
			c, s, _ := plain()
			c.Name, s.Name, s.Namespace, s.UID = bad, bad, bad, bad
			checkFaults(t, c.Validate(), []string{"Name"})
			checkFaults(t, s.Validate(), []string{"Name", "Namespace", "UID"})
			if text := s.Validate().Error(); len(text) > 4<<10 || strings.ContainsAny(text, "\n\x00\x1b") {
				t.Errorf("a text of %d bytes that is not fit for a log: %.200q", len(text), text)
			}
		})
	}
	for _, good := range []string{"a", "A.b-9", "-", ".", strings.Repeat("a", 253)} {
		c, s, _ := plain()
		c.Name, s.Namespace = good, good
		checkFaults(t, c.Validate(), nil)
		checkFaults(t, s.Validate(), nil)
	}
}

func TestValidateZero(t *testing.T) {
	checkFaults(t, ContainerConfig{}.Validate(), []string{"Name", "Image"})
	checkFaults(t, SandboxConfig{}.Validate(), []string{"Name", "Namespace", "UID"})
}

func TestValidateContainer(t *testing.T) {
	big := strings.Repeat("x", 100)
	negative := -time.Second
	for _, tt := range []struct {
		name   string
		change func(*ContainerConfig)
		want   []string // none: it is good
	}{
		{"everything", func(c *ContainerConfig) { *c = fullContainer() }, nil},
		{"the sandbox's name", func(c *ContainerConfig) { c.Name = "POD" }, []string{"Name"}},
		{"white space for an image", func(c *ContainerConfig) { c.Image = " \n" }, []string{"Image"}},
		{"NUL in the image", func(c *ContainerConfig) { c.Image = "a\x00" }, []string{"Image"}},
		{"NUL in the command", func(c *ContainerConfig) { c.Command = []string{"a", "b\x00"} }, []string{"Command[1]"}},
		{"NUL in an argument", func(c *ContainerConfig) { c.Args = []string{"b\x00"} }, []string{"Args[0]"}},
		{"argument that is not UTF-8", func(c *ContainerConfig) { c.Args = []string{"\xff"} }, []string{"Args[0]"}},
		{"relative working directory", func(c *ContainerConfig) { c.WorkingDir = "a" }, []string{"WorkingDir"}},
		{"NUL in the working directory", func(c *ContainerConfig) { c.WorkingDir = "/\x00" }, []string{"WorkingDir"}},

		{"variable without a name", func(c *ContainerConfig) { c.Envs = []EnvVar{{"A", ""}, {"", "v"}} }, []string{"Envs[1].Key"}},
		{"variable with '=' in its name", func(c *ContainerConfig) { c.Envs = []EnvVar{{"A=B", "v"}} }, []string{"Envs[0].Key"}},
		{"variable with NUL in its name", func(c *ContainerConfig) { c.Envs = []EnvVar{{"A\x00", "v"}} }, []string{"Envs[0].Key"}},
		{"variable with NUL in its value", func(c *ContainerConfig) { c.Envs = []EnvVar{{"A", "v\x00"}} }, []string{"Envs[0].Value"}},
		{"variable that is not UTF-8", func(c *ContainerConfig) { c.Envs = []EnvVar{{"A\xff", "v\xff"}} }, []string{"Envs[0].Key", "Envs[0].Value"}},
		{"variable with white space", func(c *ContainerConfig) { c.Envs = []EnvVar{{"a b", " "}} }, nil},

		{"two mounts at one target", func(c *ContainerConfig) {
			c.Mounts = []Mount{{Source: "/1", Target: "/a"}, {Source: "/2", Target: "/b"}, {Source: "/3", Target: "/a"}}
		}, []string{"Mounts[2].Target"}},
		{"two mounts at one target in two spellings", func(c *ContainerConfig) {
			c.Mounts = []Mount{{Source: "/1", Target: "/a"}, {Type: MountTmpfs, Target: "/a/"}, {Source: "/2", Target: "//a/."}}
		}, []string{"Mounts[1].Target", "Mounts[2].Target"}},
		{"a mount below another", func(c *ContainerConfig) {
			c.Mounts = []Mount{{Source: "/1", Target: "/a"}, {Source: "/1", Target: "/a/b"}}
		}, nil},
		{"empty mount", func(c *ContainerConfig) { c.Mounts = []Mount{{}} }, []string{"Mounts[0].Target", "Mounts[0].Source"}},
		{"relative target", func(c *ContainerConfig) { c.Mounts = []Mount{{Source: "/a", Target: "b"}} }, []string{"Mounts[0].Target"}},
		{"relative source", func(c *ContainerConfig) { c.Mounts = []Mount{{Source: "./a", Target: "/b"}} }, []string{"Mounts[0].Source"}},
		{"root as the target", func(c *ContainerConfig) { c.Mounts = []Mount{{Source: "/a", Target: "/b/.."}} }, []string{"Mounts[0].Target"}},
		{"NUL in a mount", func(c *ContainerConfig) {
			c.Mounts = []Mount{{Source: "/a\x00", Target: "/b\x00"}, {Type: MountVolume, Source: "v", SubPath: "\x00", Target: "/c"}}
		}, []string{"Mounts[0].Target", "Mounts[0].Source", "Mounts[1].SubPath"}},
		{"unknown kind of mount", func(c *ContainerConfig) { c.Mounts = []Mount{{Type: "nfs", Source: "/a", Target: "/b"}} }, []string{"Mounts[0].Type"}},
		{"part of a bind", func(c *ContainerConfig) { c.Mounts = []Mount{{Source: "/a", Target: "/b", SubPath: "c"}} }, []string{"Mounts[0].SubPath"}},
		{"volume without a name", func(c *ContainerConfig) { c.Mounts = []Mount{{Type: MountVolume, Target: "/b"}} }, []string{"Mounts[0].Source"}},
		{"image without a name", func(c *ContainerConfig) { c.Mounts = []Mount{{Type: MountImage, Target: "/b"}} }, []string{"Mounts[0].Source"}},
		{"part above a volume", func(c *ContainerConfig) {
			c.Mounts = []Mount{{Type: MountVolume, Source: "v", Target: "/b", SubPath: "a/../../b"}, {Type: MountImage, Source: "i", Target: "/c", SubPath: "/a"}}
		}, []string{"Mounts[0].SubPath", "Mounts[1].SubPath"}},
		{"tmpfs with a source", func(c *ContainerConfig) { c.Mounts = []Mount{{Type: MountTmpfs, Source: "a", Target: "/b"}} }, []string{"Mounts[0].Source"}},
		{"tmpfs of negative size", func(c *ContainerConfig) { c.Mounts = []Mount{{Type: MountTmpfs, Target: "/b", SizeBytes: -1}} }, []string{"Mounts[0].SizeBytes"}},
		{"size of a bind", func(c *ContainerConfig) {
			c.Mounts = []Mount{{Source: "/a", Target: "/b", SizeBytes: 1}, {Source: "/a", Target: "/c", Mode: 1}}
		}, []string{"Mounts[0].SizeBytes", "Mounts[1].Mode"}},
		{"unknown propagation", func(c *ContainerConfig) { c.Mounts = []Mount{{Source: "/a", Target: "/b", Propagation: "shared"}} }, []string{"Mounts[0].Propagation"}},
		{"propagation of a volume", func(c *ContainerConfig) {
			c.Mounts = []Mount{{Type: MountVolume, Source: "v", Target: "/b", Propagation: PropagationBidirectional}}
		}, []string{"Mounts[0].Propagation"}},
		{"private volume", func(c *ContainerConfig) {
			c.Mounts = []Mount{{Type: MountVolume, Source: "v", Target: "/b", Propagation: PropagationPrivate}}
		}, nil},
		{"relabelled volume", func(c *ContainerConfig) {
			c.Mounts = []Mount{{Type: MountVolume, Source: "v", Target: "/b", SELinuxRelabel: true}}
		}, []string{"Mounts[0].SELinuxRelabel"}},
		{"relabelled path with a colon", func(c *ContainerConfig) {
			c.Mounts = []Mount{{Source: "/a:b", Target: "/b", SELinuxRelabel: true}, {Source: "/a", Target: "/c:d", SELinuxRelabel: true}}
		}, []string{"Mounts[0].SELinuxRelabel", "Mounts[1].SELinuxRelabel"}},
		{"recursively read-only and writable", func(c *ContainerConfig) { c.Mounts = []Mount{{Source: "/a", Target: "/b", RecursiveReadOnly: true}} }, []string{"Mounts[0].RecursiveReadOnly"}},
		{"recursively read-only and shared", func(c *ContainerConfig) {
			c.Mounts = []Mount{{Source: "/a", Target: "/b", ReadOnly: true, RecursiveReadOnly: true, Propagation: PropagationHostToContainer}}
		}, []string{"Mounts[0].RecursiveReadOnly"}},
		{"recursively read-only and private", func(c *ContainerConfig) {
			c.Mounts = []Mount{{Source: "/a", Target: "/b", ReadOnly: true, RecursiveReadOnly: true, Propagation: PropagationPrivate}}
		}, nil},
		{"recursively read-only volume", func(c *ContainerConfig) {
			c.Mounts = []Mount{{Type: MountVolume, Source: "v", Target: "/b", ReadOnly: true, RecursiveReadOnly: true}}
		}, []string{"Mounts[0].RecursiveReadOnly"}},
		{"recursively read-only and relabelled", func(c *ContainerConfig) {
			c.Mounts = []Mount{{Source: "/a", Target: "/b", ReadOnly: true, RecursiveReadOnly: true, SELinuxRelabel: true}}
		}, []string{"Mounts[0].RecursiveReadOnly!"}},

		{"empty device", func(c *ContainerConfig) { c.Devices = []Device{{}} }, []string{"Devices[0].HostPath"}},
		{"relative device", func(c *ContainerConfig) { c.Devices = []Device{{HostPath: "/dev/a", ContainerPath: "a"}} }, []string{"Devices[0].ContainerPath"}},
		{"NUL in a device", func(c *ContainerConfig) { c.Devices = []Device{{HostPath: "/\x00", ContainerPath: "/\x00"}} }, []string{"Devices[0].HostPath", "Devices[0].ContainerPath"}},
		{"unknown device permission", func(c *ContainerConfig) { c.Devices = []Device{{HostPath: "/dev/a", Permissions: "rx"}} }, []string{"Devices[0].Permissions"}},
		{"bad CDI devices", func(c *ContainerConfig) { c.CDIDevices = []string{"", "gpu=0", "v/c=", "v/c", "v/c=0", "v/c=\x00"} },
			[]string{"CDIDevices[0]", "CDIDevices[1]", "CDIDevices[2]", "CDIDevices[3]", "CDIDevices[5]"}},

		{"label of the runtime", func(c *ContainerConfig) { c.Labels = map[string]string{LabelSandboxID: "x"} }, []string{`labels["io.kubernetes.sandbox.id"]`}},
		{"label of the library", func(c *ContainerConfig) { c.Labels = map[string]string{LabelSpec: "x"} }, []string{`labels["io.dockpod.spec"]`}},
		{"label that would be an annotation", func(c *ContainerConfig) { c.Labels = map[string]string{"annotation.x": "x"} }, []string{`labels["annotation.x"]`}},
		{"annotation without a key", func(c *ContainerConfig) { c.Annotations = map[string]string{"": "x"} }, []string{`annotations[""]`}},
		{"log driver with NUL", func(c *ContainerConfig) {
			c.LogConfig = LogConfig{Driver: "\x00", Options: map[string]string{"b": "\x00", "a\x00": ""}}
		}, []string{"LogConfig.Driver", `LogConfig.Options["a\x00"]`, `LogConfig.Options["b"]`}},
		{"input once without input", func(c *ContainerConfig) { c.StdinOnce = true }, []string{"StdinOnce"}},

		{"negative limits", func(c *ContainerConfig) {
			c.Resources = Resources{MemoryLimit: -1, MemorySwapLimit: -2, CPUShares: -1, CPUQuota: -2, CPUPeriod: -1, PidsLimit: -2, OOMScoreAdj: -1001}
		}, []string{
			"Resources.MemoryLimit", "Resources.MemorySwapLimit", "Resources.CPUShares", "Resources.CPUQuota", "Resources.CPUPeriod", "Resources.PidsLimit", "Resources.OOMScoreAdj",
		}},
		{"little memory", func(c *ContainerConfig) { c.Resources.MemoryLimit = 6<<20 - 1 }, []string{"Resources.MemoryLimit"}},
		{"just enough memory", func(c *ContainerConfig) { c.Resources.MemoryLimit = 6 << 20 }, nil},
		{"swap below memory", func(c *ContainerConfig) { c.Resources.MemoryLimit, c.Resources.MemorySwapLimit = 64<<20, 63<<20 }, []string{"Resources.MemorySwapLimit"}},
		{"swap without memory", func(c *ContainerConfig) { c.Resources.MemorySwapLimit = 64 << 20 }, []string{"Resources.MemorySwapLimit"}},
		{"little quota", func(c *ContainerConfig) { c.Resources.CPUQuota = 999 }, []string{"Resources.CPUQuota"}},
		{"period out of range", func(c *ContainerConfig) { c.Resources.CPUPeriod = 1000001 }, []string{"Resources.CPUPeriod"}},
		{"short period", func(c *ContainerConfig) { c.Resources.CPUPeriod = 999 }, []string{"Resources.CPUPeriod"}},
		{"large OOM score", func(c *ContainerConfig) { c.Resources.OOMScoreAdj = 1001 }, []string{"Resources.OOMScoreAdj"}},
		{"bad CPU sets", func(c *ContainerConfig) { c.Resources.CpusetCpus, c.Resources.CpusetMems = "0-a", "0;1" }, []string{"Resources.CpusetCpus", "Resources.CpusetMems"}},
		{"huge pages and unified files", func(c *ContainerConfig) {
			c.Resources.HugepageLimits, c.Resources.Unified = map[string]int64{"2MB": 1}, map[string]string{"memory.high": "1"}
		}, []string{`Resources.Unified["memory.high"]!`, `Resources.HugepageLimits["2MB"]!`}},
		{"empty huge pages and unified files", func(c *ContainerConfig) {
			c.Resources.HugepageLimits, c.Resources.Unified = map[string]int64{}, map[string]string{}
		}, nil},

		{"stop signals", func(c *ContainerConfig) { c.StopSignal = "SIGRTMIN+3" }, nil},
		{"stop signal by number", func(c *ContainerConfig) { c.StopSignal = "64" }, nil},
		{"stop signal out of range", func(c *ContainerConfig) { c.StopSignal = "65" }, []string{"StopSignal"}},
		{"stop signal 0", func(c *ContainerConfig) { c.StopSignal = "0" }, []string{"StopSignal"}},
		{"stop signal of small letters", func(c *ContainerConfig) { c.StopSignal = "sigterm" }, []string{"StopSignal"}},
		{"negative grace", func(c *ContainerConfig) { c.StopTimeout = &negative }, []string{"StopTimeout"}},
		{"process limits twice", func(c *ContainerConfig) { c.Ulimits = []Ulimit{{"nofile", 1, 1}, {"NOFILE", 2, 2}} }, []string{"Ulimits[1].Name"}},
		{"unknown process limit", func(c *ContainerConfig) { c.Ulimits = []Ulimit{{"files", 1, 1}} }, []string{"Ulimits[0].Name"}},
		{"negative shm", func(c *ContainerConfig) { c.ShmSize = -1 }, []string{"ShmSize"}},
		{"bad process limits", func(c *ContainerConfig) {
			c.Ulimits = []Ulimit{{}, {"a b", 1, 1}, {"nofile", 2, 1}, {"nproc", -1, 1}, {"core", -2, 1}, {"cpu", 1, -2}, {"a=", 1, 1}, {"\xff", 1, 1}}
		}, []string{"Ulimits[0].Name", "Ulimits[1].Name", "Ulimits[2].Soft", "Ulimits[3].Soft", "Ulimits[4]", "Ulimits[5]", "Ulimits[6].Name", "Ulimits[7].Name"}},
		{"half a platform", func(c *ContainerConfig) { c.Platform = "linux" }, []string{"Platform"}},
		{"platform of four parts", func(c *ContainerConfig) { c.Platform = "a/b/c/d" }, []string{"Platform"}},
		{"platform with a hole", func(c *ContainerConfig) { c.Platform = "linux//v8" }, []string{"Platform"}},
		{"platform with white space", func(c *ContainerConfig) { c.Platform = "linux/ arm" }, []string{"Platform"}},
		{"bad health check", func(c *ContainerConfig) {
			c.Healthcheck = &Healthcheck{Interval: 1, Timeout: -1, StartPeriod: time.Microsecond, Retries: -1}
		}, []string{"Healthcheck.Command", "Healthcheck.Interval", "Healthcheck.Timeout", "Healthcheck.StartPeriod", "Healthcheck.Retries"}},
		{"NUL in a health check", func(c *ContainerConfig) { c.Healthcheck = &Healthcheck{Command: []string{"a", "\x00"}} }, []string{"Healthcheck.Command[1]"}},
		{"extra host that is not UTF-8", func(c *ContainerConfig) { c.ExtraHosts = map[string]string{"a": "\xff"} }, []string{`ExtraHosts["a"]`}},
		{"half a letter on each side", func(c *ContainerConfig) { c.ExtraHosts = map[string]string{"a\xc3": "\xa9"} }, []string{`ExtraHosts["a\xc3"]`}},

		{"several", func(c *ContainerConfig) {
			c.Name, c.Image, c.WorkingDir = "a_b", "", big
			c.Mounts = []Mount{{Source: "/a", Target: "/a"}, {Source: "b", Target: "/b"}}
			c.Resources.Unified = map[string]string{"a": "b"}
			c.Labels = map[string]string{LabelType: "x"}
		}, []string{"Name", "Image", "WorkingDir", "Mounts[1].Source", `Resources.Unified["a"]!`, `labels["io.kubernetes.docker.type"]`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, s, _ := plain()
			tt.change(&c)
			checkFaults(t, c.Validate(), tt.want)
			if len(tt.want) == 0 {
				return
			}
			_, err := New(&coreStub{}).CreateContainer(t.Context(), "", c, s) // an engine that is asked panics
			checkFaults(t, err, tt.want)
		})
	}
}

func TestValidateSandbox(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*SandboxConfig)
		want   []string
	}{
		{"everything", func(s *SandboxConfig) { *s = fullSandbox() }, nil},
		{"bad host names", func(s *SandboxConfig) { s.Hostname = "a_b" }, []string{"Hostname"}},
		{"host name that begins with a dash", func(s *SandboxConfig) { s.Hostname = "-a" }, []string{"Hostname"}},
		{"host name that ends with a dash", func(s *SandboxConfig) { s.Hostname = "a-" }, []string{"Hostname"}},
		{"host name of 63 letters", func(s *SandboxConfig) { s.Hostname = strings.Repeat("a", 63) }, nil},
		{"host name of 64 letters", func(s *SandboxConfig) { s.Hostname = strings.Repeat("a", 64) }, []string{"Hostname"}},
		{"host name on the node's network", func(s *SandboxConfig) { s.Hostname, s.Namespaces.Network = "a", NamespaceNode }, []string{"Hostname"}},
		{"relative log directory", func(s *SandboxConfig) { s.LogDirectory = "logs" }, []string{"LogDirectory"}},
		{"NUL in the log directory", func(s *SandboxConfig) { s.LogDirectory = "/\x00" }, []string{"LogDirectory"}},

		{"DNS server by name", func(s *SandboxConfig) { s.DNS.Servers = []string{"10.0.0.1", "dns.example", ""} }, []string{"DNS.Servers[1]", "DNS.Servers[2]"}},
		{"bad domains", func(s *SandboxConfig) {
			s.DNS.Searches = []string{"", "a b", "ok.example", "a\nnameserver 1.2.3.4", "\xff"}
		},
			[]string{"DNS.Searches[0]", "DNS.Searches[1]", "DNS.Searches[3]", "DNS.Searches[4]"}},
		{"32 domains", func(s *SandboxConfig) { s.DNS.Searches = slices.Repeat([]string{"a"}, 32) }, nil},
		{"33 domains", func(s *SandboxConfig) { s.DNS.Searches = slices.Repeat([]string{"a"}, 33) }, []string{"DNS.Searches"}},
		{"2048 bytes of domains", func(s *SandboxConfig) {
			s.DNS.Searches = []string{strings.Repeat("a", 1024), strings.Repeat("b", 1023)}
		}, nil},
		{"2049 bytes of domains", func(s *SandboxConfig) {
			s.DNS.Searches = []string{strings.Repeat("a", 1024), strings.Repeat("b", 1024)}
		}, []string{"DNS.Searches"}},
		{"bad DNS options", func(s *SandboxConfig) { s.DNS.Options = []string{"ndots:5", "", "a b"} }, []string{"DNS.Options[1]", "DNS.Options[2]"}},

		{"ports out of range", func(s *SandboxConfig) {
			s.Ports = []PortMapping{{ContainerPort: 0, HostPort: 1}, {ContainerPort: 65536, HostPort: 2}, {ContainerPort: -1, HostPort: -1}, {ContainerPort: 1, HostPort: 65536}}
		}, []string{"Ports[0].ContainerPort", "Ports[1].ContainerPort", "Ports[2].ContainerPort", "Ports[2].HostPort", "Ports[3].HostPort"}},
		{"unknown protocol", func(s *SandboxConfig) { s.Ports = []PortMapping{{Protocol: "icmp", ContainerPort: 1}} }, []string{"Ports[0].Protocol"}},
		{"protocol in capitals", func(s *SandboxConfig) { s.Ports = []PortMapping{{Protocol: "TCP", ContainerPort: 1}} }, []string{"Ports[0].Protocol"}},
		{"address by name", func(s *SandboxConfig) { s.Ports = []PortMapping{{ContainerPort: 1, HostPort: 1, HostIP: "localhost"}} }, []string{"Ports[0].HostIP"}},
		{"one host port twice", func(s *SandboxConfig) {
			s.Ports = []PortMapping{{ContainerPort: 1, HostPort: 80}, {Protocol: TCP, ContainerPort: 2, HostPort: 80}}
		}, []string{"Ports[1].HostPort"}},
		{"one host port for two protocols and addresses", func(s *SandboxConfig) {
			s.Ports = []PortMapping{{ContainerPort: 1, HostPort: 80, HostIP: "10.0.0.1"}, {ContainerPort: 1, HostPort: 80, HostIP: "10.0.0.2"}, {Protocol: UDP, ContainerPort: 1, HostPort: 80, HostIP: "10.0.0.1"}}
		}, nil},
		{"several ports that are not published", func(s *SandboxConfig) { s.Ports = []PortMapping{{ContainerPort: 1}, {ContainerPort: 1}} }, nil},

		{"bad sysctls", func(s *SandboxConfig) {
			s.Sysctls = map[string]string{"": "1", "a=b": "1", "c d": "1", "net.x": "\x00", "net.e\xff": "1", "net.f\xc3": "\xa9"}
		}, []string{`Sysctls[""]`, `Sysctls["a=b"]`, `Sysctls["c d"]`, `Sysctls["net.e\xff"]`, `Sysctls["net.f\xc3"]`, `Sysctls["net.x"]`}},
		{"sysctl of the node's network", func(s *SandboxConfig) {
			s.Sysctls, s.Namespaces.Network = map[string]string{"net.x": "1", "kernel.sem": "1"}, NamespaceNode
		},
			[]string{`Sysctls["net.x"]`}},
		{"cgroup above itself", func(s *SandboxConfig) { s.CgroupParent = "/a/../../b" }, []string{"CgroupParent"}},
		{"negative shm", func(s *SandboxConfig) { s.ShmSize = -1 }, []string{"ShmSize"}},
		{"shm and the node's IPC", func(s *SandboxConfig) { s.ShmSize, s.Namespaces.IPC = 1, NamespaceNode }, []string{"ShmSize"}},
		{"NUL in the cgroup", func(s *SandboxConfig) { s.CgroupParent = "\x00" }, []string{"CgroupParent"}},
		{"NUL in the runtime handler", func(s *SandboxConfig) { s.RuntimeHandler = "\x00" }, []string{"RuntimeHandler"}},
		{"resources", func(s *SandboxConfig) { s.Resources = Resources{MemoryLimit: 1, Unified: map[string]string{"a": "b"}} },
			[]string{`Resources.Unified["a"]!`, "Resources.MemoryLimit"}},
		{"label of the runtime", func(s *SandboxConfig) { s.Labels = map[string]string{LabelLogPath: "x"} }, []string{`labels["io.kubernetes.container.logpath"]`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, s, _ := plain()
			tt.change(&s)
			for range 5 { // the order does not depend on a map's
				checkFaults(t, s.Validate(), tt.want)
			}
			if len(tt.want) == 0 {
				return
			}
			_, err := New(&coreStub{}).RunSandbox(t.Context(), s) // an engine that is asked panics
			checkFaults(t, err, tt.want)
		})
	}
}

// What only the whole tells: the sandbox, the image, the engine.
func TestBuildContainerRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(c *ContainerConfig, s *SandboxConfig, site *createSite)
		want   []string
	}{
		{"no command anywhere", func(c *ContainerConfig, s *SandboxConfig, site *createSite) { site.imageCommand = false }, []string{"Command"}},
		{"shm of its own in a sandbox", func(c *ContainerConfig, s *SandboxConfig, site *createSite) { c.ShmSize = 1 }, []string{"ShmSize"}},
		{"shm of its own, and it is the node's", func(c *ContainerConfig, s *SandboxConfig, site *createSite) {
			c.ShmSize, site.sandboxID = 1, ""
			s.Namespaces.IPC, c.SecurityContext.Namespaces.IPC = NamespaceNode, NamespaceNode
		}, []string{"ShmSize"}},
		{"no CDI driver", func(c *ContainerConfig, s *SandboxConfig, site *createSite) {
			c.CDIDevices, site.cdi = []string{"v/c=a"}, false
		}, []string{"CDIDevices!"}},
		{"unified files with cgroup v1", func(c *ContainerConfig, s *SandboxConfig, site *createSite) {
			c.Resources.Unified, site.cgroupVersion = map[string]string{"pids.max": "5", "cpu.max": "max"}, "1"
		}, []string{`Resources.Unified["cpu.max"]!`, `Resources.Unified["pids.max"]!`}},
		{"cgroup parent that is no slice", func(c *ContainerConfig, s *SandboxConfig, site *createSite) {
			s.CgroupParent, site.cgroupDriver = "/kubepods.slice/pod1", "systemd"
		}, []string{"SandboxConfig.CgroupParent"}},
		{"cgroup parent without a driver", func(c *ContainerConfig, s *SandboxConfig, site *createSite) {
			s.CgroupParent, site.cgroupDriver = "/kubepods", "none"
		}, []string{"SandboxConfig.CgroupParent!"}},
		{"extra hosts in a sandbox", func(c *ContainerConfig, s *SandboxConfig, site *createSite) {
			c.ExtraHosts = map[string]string{"a": "10.0.0.1"}
		}, []string{"ExtraHosts"}},
		{"log path that leaves its directory", func(c *ContainerConfig, s *SandboxConfig, site *createSite) {
			c.LogPath, s.LogDirectory = "../../etc/passwd", "/var/log"
		}, []string{"LogPath"}},
		{"mounts of newer engines", func(c *ContainerConfig, s *SandboxConfig, site *createSite) {
			site.features = featuresOf("1.41")
			c.Mounts = []Mount{
				{Source: "/a", Target: "/a", ReadOnly: true, RecursiveReadOnly: true}, {Type: MountImage, Source: "i", Target: "/b"},
				{Type: MountVolume, Source: "v", Target: "/c", SubPath: "d"}, {Type: MountVolume, Source: "v", Target: "/e"},
			}
			c.Mounts = append(c.Mounts, Mount{Type: MountTmpfs, Target: "/f", TmpfsOptions: []string{"exec"}})
		}, []string{"Mounts[0].RecursiveReadOnly!", "Mounts[1].Type image!", "Mounts[2].SubPath!", "Mounts[4].TmpfsOptions!"}},
		{"the node's network in a pod of its own", func(c *ContainerConfig, s *SandboxConfig, site *createSite) {
			c.SecurityContext.Namespaces.Network = NamespaceNode
		},
			[]string{"SecurityContext.Namespaces.Network"}},
		{"another pod's label", func(c *ContainerConfig, s *SandboxConfig, site *createSite) {
			c.Labels = map[string]string{LabelPodUID: "other", LabelPodName: "other", LabelPodNamespace: "other"}
		}, []string{`labels["io.kubernetes.pod.name"]`}},
		{"1 MiB of labels", func(c *ContainerConfig, s *SandboxConfig, site *createSite) {
			c.Labels = map[string]string{"a": strings.Repeat("x", 1<<20)}
		}, []string{"Labels"}},
		{"10 MB of annotations", func(c *ContainerConfig, s *SandboxConfig, site *createSite) {
			c.Annotations = map[string]string{"a": strings.Repeat("x", 10<<20)}
		}, []string{"Labels"}},
		{"several faults", func(c *ContainerConfig, s *SandboxConfig, site *createSite) {
			c.CDIDevices, site.cdi, site.imageCommand = []string{"v/c=a"}, false, false
		}, []string{"Command", "CDIDevices!"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, s, site := plain()
			tt.change(&c, &s, &site)
			for range 5 {
				req, err := checkedContainer(c, s, site)
				checkFaults(t, err, tt.want)
				if !cmp.Equal(req, createRequest{}) {
					t.Errorf("a request beside an error: %+v", req)
				}
			}
		})
	}
}

// Labels are bounded as far as the Runtime says.
func TestLabelBound(t *testing.T) {
	c, s, site := plain()
	c.Labels = map[string]string{"a": strings.Repeat("x", 10<<20)}
	site.maxLabelBytes = -1
	if _, err := checkedContainer(c, s, site); err != nil {
		t.Errorf("no bound: %v", err)
	}
	s.Labels = map[string]string{"b": strings.Repeat("x", 99)}
	site.maxLabelBytes = 99
	if _, err := checkedSandbox(s, "", site); !slices.Equal(faults(err), []string{"Labels"}) {
		t.Errorf("a sandbox's label of 100 bytes where 99 may be: %v", err)
	}
	site.maxLabelBytes = 100
	if _, err := checkedSandbox(s, "", site); err != nil {
		t.Errorf("a sandbox's label of 100 bytes where they may be: %v", err)
	}
}

// A name of good parts can be too long as a whole, or read as another name.
func TestBuildRefusesNames(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*ContainerConfig, *SandboxConfig)
	}{
		{"too long", func(c *ContainerConfig, s *SandboxConfig) {
			c.Name, s.Name = strings.Repeat("a", 253), strings.Repeat("b", 253)
		}},
		{"a legacy name", func(c *ContainerConfig, _ *SandboxConfig) { c.Name, c.Attempt = "app.beef", 12345678 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, s, site := plain()
			tt.change(&c, &s)
			if _, err := checkedContainer(c, s, site); !errors.Is(err, ErrInvalidName) || classesOf(err) != "InvalidArgument" {
				t.Errorf("got %v", err)
			}
		})
	}
	_, s, site := plain()
	s.Name, s.Namespace = strings.Repeat("b", 253), strings.Repeat("b", 253)
	if _, err := checkedSandbox(s, "", site); !errors.Is(err, ErrInvalidName) {
		t.Errorf("a sandbox's: %v", err)
	}
}

// Several faults are one error in which each can be found.
func TestValidateJoins(t *testing.T) {
	c := ContainerConfig{Name: "a", Image: "", Resources: Resources{HugepageLimits: map[string]int64{"2MB": 1}}, Labels: map[string]string{"": ""}}
	err := fmt.Errorf("wrapped: %w", c.Validate())
	var field *FieldError
	var unsupported *UnsupportedError
	if !errors.As(err, &field) || field.Field != "Image" {
		t.Errorf("%v: field %v", err, field)
	}
	if !errors.As(err, &unsupported) || unsupported.Field != `Resources.HugepageLimits["2MB"]` || !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v: unsupported %v", err, unsupported)
	}
	if want := `wrapped: Image: empty; Resources.HugepageLimits["2MB"] is not supported: the engine's API has no such limit; labels[""]: empty key`; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

// A fault of a part is named by its way from the whole.
func TestValidatorAll(t *testing.T) {
	v := &validator{}
	v.all(nil, "S.")
	v.all(&FieldError{"A", "1"}, "S.")
	v.all(joinErrors([]error{&FieldError{"B", "2"}, &UnsupportedError{"C", "3"}, ErrInvalidName}), "S.")
	want := "S.A: 1; S.B: 2; S.C is not supported: 3; invalid name"
	if err := v.err(); err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if err := new(validator).err(); err != nil {
		t.Errorf("no faults are %v", err)
	}
}

// No value of a variable is in an error, even one that somebody put into the
// key.
func TestErrorsHoldNoEnvironment(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	spoil := []func(*ContainerConfig){
		func(c *ContainerConfig) { c.Name = "a_b" },
		func(c *ContainerConfig) { c.Image = "" },
		func(c *ContainerConfig) { c.WorkingDir = "rel" },
		func(c *ContainerConfig) {
			c.Mounts = []Mount{{Type: "x"}, {Source: "/a", Target: "/a"}, {Source: "/a", Target: "/a"}}
		},
		func(c *ContainerConfig) {
			c.Resources = Resources{MemoryLimit: -1, Unified: map[string]string{"a": "b"}}
		},
		func(c *ContainerConfig) { c.StopSignal = "x" },
		func(c *ContainerConfig) { c.Labels = map[string]string{LabelType: "x"} },
		func(c *ContainerConfig) { c.Command = []string{"\x00"} },
		func(c *ContainerConfig) { c.Healthcheck = &Healthcheck{} },
		func(c *ContainerConfig) { c.SecurityContext.RunAsUser = pointerTo[int64](-1) },
	}
	for n := range 2000 {
		c, s, site := plain()
		for range r.IntN(4) {
			spoil[r.IntN(len(spoil))](&c)
		}
		secret := fmt.Sprintf("s3cr3t%08x", r.Uint32())
		for range 1 + r.IntN(3) {
			c.Envs = append(c.Envs, []EnvVar{
				{"", secret}, {"KEY=" + secret, ""}, {"KEY=" + secret + "\x00", secret}, {"KEY", secret + "\x00"}, {"KEY", secret + "\xff"},
				{"A\x00", secret}, {"A\xff", secret}, {"=" + secret, secret}, {"GOOD", secret},
			}[r.IntN(9)])
		}
		if n%2 == 0 {
			s.Name = "a_b"
		}
		for _, err := range []error{c.Validate(), s.Validate(), buildError(c, s, site)} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Fatalf("%+v: %v", c.Envs, err)
			}
		}
	}
}

func buildError(c ContainerConfig, s SandboxConfig, site createSite) error {
	_, err := checkedContainer(c, s, site)
	return err
}

// One input gives one request, and another input another.
func TestBuildIsDeterministic(t *testing.T) {
	c, s, site := fullContainer(), fullSandbox(), fullSite()
	for i := range 20 {
		key := fmt.Sprintf("k%d", i)
		c.Labels[key], c.Annotations[key], c.LogConfig.Options[key], s.Sysctls["net."+key] = "v", "v", "v", "1"
	}
	request := mustBuild(t, c, s, site)
	sandbox, err := checkedSandbox(s, "pause:1", site)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		again := mustBuild(t, c, s, site)
		if diff := cmp.Diff(asJSON(t, request), asJSON(t, again)); diff != "" {
			t.Fatalf("mismatch (-first +then):\n%s", diff)
		}
		sandboxAgain, err := checkedSandbox(s, "pause:1", site)
		if diff := cmp.Diff(asJSON(t, sandbox), asJSON(t, sandboxAgain)); diff != "" || err != nil {
			t.Fatalf("sandbox, error %v, mismatch (-first +then):\n%s", err, diff)
		}
	}
	c.Envs[0], c.Envs[1] = c.Envs[1], c.Envs[0]
	if other := mustBuild(t, c, s, site); other.Config.Labels[LabelSpec] == request.Config.Labels[LabelSpec] {
		t.Error("variables in another order are the same request")
	}
}

// Facts of the Runtime and the engine are in the digest as far as they are in
// the request.
func TestSpecOfSites(t *testing.T) {
	c, s, site := plain()
	spec := func(change func(*createSite)) string {
		other := site
		change(&other)
		return mustBuild(t, c, s, other).Config.Labels[LabelSpec]
	}
	same := spec(func(*createSite) {})
	for name, change := range map[string]func(*createSite){
		"image":   func(s *createSite) { s.imageID = idB },
		"sandbox": func(s *createSite) { s.sandboxID = workloadID },
		"prefix":  func(s *createSite) { s.naming.Prefix = "x" },
		"owner":   func(s *createSite) { s.owner = "x" },
	} {
		if spec(change) == same {
			t.Errorf("another %s is the same request", name)
		}
	}
	for name, change := range map[string]func(*createSite){
		"label bound": func(s *createSite) { s.maxLabelBytes = 1 },
		"API version": func(s *createSite) { s.features = Features{} },
	} {
		if spec(change) != same {
			t.Errorf("another %s is another request", name)
		}
	}
}

// eachLeaf calls f for every value that is no struct, slice, map or pointer
// below v, and for every slice, map and pointer itself. The path is in Go's
// spelling.
func eachLeaf(v reflect.Value, path string, f func(path string, v reflect.Value)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			eachLeaf(v.Field(i), path+"."+v.Type().Field(i).Name, f)
		}
	case reflect.Pointer:
		f(path, v)
		if !v.IsNil() {
			eachLeaf(v.Elem(), path, f)
		}
	case reflect.Slice:
		f(path, v)
		for i := range v.Len() {
			eachLeaf(v.Index(i), fmt.Sprintf("%s[%d]", path, i), f)
		}
	default:
		f(path, v)
	}
}

// Each field of a configuration does something, or is refused: without it, the
// request is another one. The exceptions are spelled out.
func TestNoFieldIsDropped(t *testing.T) {
	same := map[string]string{
		".SecurityContext.SupplementalGroupsPolicy": "Merge is what engines do",
		".SecurityContext.Namespaces.Network":       "the zero value means the same",
		".SecurityContext.Namespaces.IPC":           "the zero value means the same",
		".SecurityContext.Namespaces.User":          "the zero value means the same",
	}
	absent := map[string]string{
		".Mounts[0].Type":                          "a bind",
		".Resources.HugepageLimits":                "refused",
		".Resources.Unified":                       "refused, or in the other fields",
		".ShmSize":                                 "not with a sandbox",
		".SecurityContext.RunAsUserName":           "not with RunAsUser",
		".SecurityContext.Privileged":              "not with MaskedPaths",
		".SecurityContext.Capabilities.AddAmbient": "refused",
		".SecurityContext.Seccomp.LocalhostRef":    "of Localhost: its file is read before",
		".SecurityContext.Namespaces.User.UIDs":    "with a mapping of the pod's own, which is refused",
		".SecurityContext.Namespaces.User.GIDs":    "with a mapping of the pod's own, which is refused",
		".Namespaces.User.UIDs":                    "with a mapping of the pod's own, which is refused",
		".Namespaces.User.GIDs":                    "with a mapping of the pod's own, which is refused",
		".ExtraHosts":                              "not with a sandbox",
		".Overhead.":                               "as of Resources",
		".Namespaces.TargetID":                     "not of a sandbox",
	}
	skip := func(m map[string]string, path string) bool {
		for p := range m {
			if path == p || strings.HasSuffix(p, ".") && strings.HasPrefix(path, p) {
				return true
			}
		}
		return false
	}
	checkLeaves := func(t *testing.T, fresh func() reflect.Value, build func(reflect.Value) (createRequest, error)) {
		full, err := build(fresh())
		if err != nil {
			t.Fatal(err)
		}
		want := asJSON(t, full)
		var paths []string
		eachLeaf(fresh(), "", func(path string, v reflect.Value) {
			// Of several mounts or ports, each has some of the fields.
			inList := strings.Contains(path, "Mounts[") || strings.Contains(path, "Ports[") || strings.Contains(path, "Envs[")
			if v.IsZero() {
				if !inList && !skip(absent, path) {
					t.Errorf("%s is not set", path)
				}
				return
			}
			paths = append(paths, path)
		})
		for i, zeroed := range paths {
			c, n := fresh(), 0
			eachLeaf(c, "", func(path string, v reflect.Value) {
				if !v.IsZero() {
					if n == i {
						if path != zeroed {
							t.Fatalf("%s, want %s", path, zeroed)
						}
						v.SetZero()
					}
					n++
				}
			})
			req, err := build(c)
			_, isSame := same[zeroed]
			switch {
			case err != nil && len(faults(err)) > 0:
			case err != nil:
				t.Errorf("without %s: %v", zeroed, err)
			case (asJSON(t, req) == want) != isSame:
				t.Errorf("without %s: the same request: %v", zeroed, !isSame)
			case !isSame && req.Config.Labels[LabelSpec] == full.Config.Labels[LabelSpec]:
				t.Errorf("without %s: another request, and the same digest", zeroed)
			}
		}
	}
	t.Run("container", func(t *testing.T) {
		checkLeaves(t, func() reflect.Value { c := fullContainer(); return reflect.ValueOf(&c).Elem() }, func(v reflect.Value) (createRequest, error) {
			return checkedContainer(v.Interface().(ContainerConfig), fullSandbox(), fullSite())
		})
	})
	t.Run("sandbox", func(t *testing.T) {
		checkLeaves(t, func() reflect.Value { s := fullSandbox(); return reflect.ValueOf(&s).Elem() }, func(v reflect.Value) (createRequest, error) {
			return checkedSandbox(v.Interface().(SandboxConfig), "", fullSite())
		})
	})
}

// scribble writes over everything that v shares with copies of itself: what
// pointers, slices and maps hold.
func scribble(v reflect.Value, shared bool) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			scribble(v.Field(i), shared)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			scribble(v.Elem(), true)
		}
	case reflect.Slice:
		for i := range v.Len() {
			scribble(v.Index(i), true)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			v.SetMapIndex(k, reflect.Zero(v.Type().Elem()))
		}
		if v.Len() > 0 {
			v.SetMapIndex(reflect.ValueOf("scribble").Convert(v.Type().Key()), reflect.Zero(v.Type().Elem()))
		}
	default:
		if shared {
			v.SetZero()
		}
	}
}

// What the caller does with its maps and slices afterwards, or what others do
// with the request, does not reach across. Under the race detector, a memory
// shared by both would be a race.
func TestRequestsShareNothing(t *testing.T) {
	c, s := fullContainer(), fullSandbox()
	c2, _, _ := plain()
	c2.ExtraHosts = map[string]string{"a": "10.0.0.1"}
	alone := fullSite()
	alone.sandboxID = ""
	oom := -1
	site := fullSite()
	site.oomScore = &oom
	sandbox, err := checkedSandbox(s, "pause:1", site)
	if err != nil {
		t.Fatal(err)
	}
	requests := []createRequest{mustBuild(t, c, s, fullSite()), mustBuild(t, c2, s, alone), sandbox}
	var before []string
	for _, r := range requests {
		before = append(before, asJSON(t, r))
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, r := range requests {
			if _, err := json.Marshal(r); err != nil {
				t.Error(err)
			}
		}
	})
	scribble(reflect.ValueOf(&c), true)
	scribble(reflect.ValueOf(&c2), true)
	scribble(reflect.ValueOf(&s), true)
	oom = 77
	wg.Wait()
	for i, r := range requests {
		if diff := cmp.Diff(before[i], asJSON(t, r)); diff != "" {
			t.Errorf("request %d changed with the configuration (-before +after):\n%s", i, diff)
		}
	}

	// And the other way round.
	c, s = fullContainer(), fullSandbox()
	req := mustBuild(t, c, s, fullSite())
	if sandbox, err = checkedSandbox(s, "pause:1", fullSite()); err != nil {
		t.Fatal(err)
	}
	for _, r := range []createRequest{req, sandbox} {
		scribble(reflect.ValueOf(r.Config), true)
		scribble(reflect.ValueOf(r.Host), true)
	}
	if diff := cmp.Diff(fullContainer(), c); diff != "" {
		t.Errorf("the configuration changed with the request (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(fullSandbox(), s); diff != "" {
		t.Errorf("the sandbox's configuration changed with the request (-before +after):\n%s", diff)
	}
}

// What a sandbox with nothing in it asks of an engine.
func TestBuildSandboxPlain(t *testing.T) {
	req, err := checkedSandbox(SandboxConfig{Name: "pod", Namespace: "ns", UID: "uid"}, "", createSite{imageID: idA})
	if err != nil {
		t.Fatal(err)
	}
	want := createRequest{
		Name:   Name{Container: "POD", Pod: "pod", Namespace: "ns", UID: "uid"},
		Config: &container.Config{Image: idA, Labels: req.Config.Labels, Healthcheck: &container.HealthConfig{Test: []string{"NONE"}}},
		Host: &container.HostConfig{
			RestartPolicy: container.RestartPolicy{Name: "no"}, IpcMode: "shareable", ShmSize: 64 << 20,
			SecurityOpt: []string{"no-new-privileges"}, Resources: container.Resources{CPUShares: 2},
		},
		Net: req.Net,
	}
	if diff := cmp.Diff(want, req); diff != "" {
		t.Errorf("mismatch (-want +got):\n%s", diff)
	}
	wantLabels := map[string]string{
		LabelType: TypeSandbox, LabelSchema: schemaVersion, labelAttempt: "0", labelImageID: idA, labelSandboxMemory: "{}",
		LabelPodName: "pod", LabelPodNamespace: "ns", LabelPodUID: "uid", LabelContainerName: "POD",
		labelAdded: "pod.name,pod.namespace,pod.uid,container.name", LabelSpec: req.Config.Labels[LabelSpec],
	}
	if diff := cmp.Diff(wantLabels, req.Config.Labels); diff != "" {
		t.Errorf("labels mismatch (-want +got):\n%s", diff)
	}
}

func TestBuildSandboxFields(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*SandboxConfig, *createSite)
		got    func(createRequest) any
		want   any
	}{
		{"host name", func(s *SandboxConfig, _ *createSite) { s.Hostname = "h" }, func(r createRequest) any { return r.Config.Hostname }, "h"},
		{"image as asked for", func(*SandboxConfig, *createSite) {}, func(r createRequest) any { return r.Config.Labels[LabelImage] }, "pause:1"},
		{"owner", func(_ *SandboxConfig, site *createSite) { site.owner = "agent" }, func(r createRequest) any {
			_, kubelets := r.Config.Labels[LabelType]
			return []any{r.Config.Labels[LabelOwner], r.Config.Labels[LabelOwnedType], kubelets}
		}, []any{"agent", TypeSandbox, false}},
		{"DNS", func(s *SandboxConfig, _ *createSite) {
			s.DNS = DNSConfig{Servers: []string{"10.0.0.1"}, Searches: []string{"a.example"}, Options: []string{"ndots:2"}}
		}, func(r createRequest) any { return [][]string{r.Host.DNS, r.Host.DNSSearch, r.Host.DNSOptions} }, [][]string{{"10.0.0.1"}, {"a.example"}, {"ndots:2"}}},
		{"sysctls", func(s *SandboxConfig, _ *createSite) { s.Sysctls = map[string]string{"net.a": "1"} },
			func(r createRequest) any { return r.Host.Sysctls }, map[string]string{"net.a": "1"}},
		{"network", func(_ *SandboxConfig, site *createSite) { site.network = "pods" },
			func(r createRequest) any { return r.Host.NetworkMode }, "pods"},
		{"ports", func(s *SandboxConfig, _ *createSite) {
			s.Ports = []PortMapping{{ContainerPort: 80, HostPort: 8080}, {ContainerPort: 80, HostPort: 8081, HostIP: "10.0.0.1"}, {Protocol: UDP, ContainerPort: 53, HostPort: 53}, {ContainerPort: 9}}
		}, func(r createRequest) any { return []any{r.Config.ExposedPorts, r.Host.PortBindings} }, []any{
			map[string]struct{}{"80/tcp": {}, "53/udp": {}},
			map[string][]map[string]string{
				"80/tcp": {{"HostIp": "", "HostPort": "8080"}, {"HostIp": "10.0.0.1", "HostPort": "8081"}}, "53/udp": {{"HostIp": "", "HostPort": "53"}},
			},
		}},
		{"the node's network publishes nothing", func(s *SandboxConfig, site *createSite) {
			s.Namespaces.Network, site.network = NamespaceNode, "pods"
			s.Ports = []PortMapping{{ContainerPort: 80, HostPort: 80}}
		}, func(r createRequest) any {
			return []any{r.Host.NetworkMode, r.Host.UTSMode, r.Config.ExposedPorts, r.Host.PortBindings}
		}, []any{"host", "host", nil, nil}},
		{"the node's processes", func(s *SandboxConfig, _ *createSite) { s.Namespaces.PID = NamespaceNode },
			func(r createRequest) any { return r.Host.PidMode }, "host"},
		{"the pod's processes", func(s *SandboxConfig, _ *createSite) { s.Namespaces.PID = NamespacePod },
			func(r createRequest) any { return r.Host.PidMode }, ""},
		{"the node's IPC", func(s *SandboxConfig, _ *createSite) { s.Namespaces.IPC = NamespaceNode },
			func(r createRequest) any { return []any{r.Host.IpcMode, r.Host.ShmSize} }, []any{"host", 0}},
		{"cgroup, systemd", func(s *SandboxConfig, site *createSite) {
			s.CgroupParent, site.cgroupDriver = "/a.slice/b.slice", "systemd"
		},
			func(r createRequest) any { return r.Host.CgroupParent }, "b.slice"},
		{"OOM score of the Runtime", func(_ *SandboxConfig, site *createSite) { site.oomScore = pointerTo(-998) },
			func(r createRequest) any { return r.Host.OomScoreAdj }, -998},
		{"OOM score of its own", func(s *SandboxConfig, site *createSite) { s.Resources.OOMScoreAdj, site.oomScore = 5, pointerTo(-998) },
			func(r createRequest) any { return r.Host.OomScoreAdj }, 5},
		{"resources", func(s *SandboxConfig, _ *createSite) { s.Resources = Resources{MemoryLimit: 8 << 20, CPUShares: 7} },
			func(r createRequest) any { return []any{r.Host.Memory, r.Host.MemorySwap, r.Host.CPUShares} }, []any{8 << 20, 8 << 20, 7}},
		{"overhead is no limit", func(s *SandboxConfig, _ *createSite) { s.Overhead = Resources{MemoryLimit: 8 << 20, CPUShares: 7} },
			func(r createRequest) any {
				return []any{r.Host.Memory, r.Host.CPUShares, r.Config.Labels[labelSandboxMemory]}
			}, []any{0, 2, `{"overhead":{"memoryLimit":8388608,"cpuShares":7}}`}},
		{"runtime handler", func(s *SandboxConfig, _ *createSite) { s.RuntimeHandler = "kata" },
			func(r createRequest) any { return r.Host.Runtime }, "kata"},
		{"user", func(s *SandboxConfig, _ *createSite) {
			s.SecurityContext = SandboxSecurityContext{RunAsUser: new(int64), RunAsGroup: pointerTo[int64](7), SupplementalGroups: []int64{8, 9}}
		}, func(r createRequest) any { return []any{r.Config.User, r.Host.GroupAdd} }, []any{"0:7", []string{"8", "9"}}},
		{"rights", func(s *SandboxConfig, _ *createSite) {
			s.SecurityContext = SandboxSecurityContext{Privileged: true, ReadonlyRootfs: true}
		}, func(r createRequest) any { return []bool{r.Host.Privileged, r.Host.ReadonlyRootfs} }, []bool{true, true}},
		{"profiles", func(s *SandboxConfig, _ *createSite) {
			s.SecurityContext = SandboxSecurityContext{
				Seccomp: &SecurityProfile{Type: ProfileUnconfined}, AppArmor: &SecurityProfile{Type: ProfileUnconfined}, SELinux: &SELinuxOptions{Level: "s0"},
			}
		}, func(r createRequest) any { return r.Host.SecurityOpt }, []string{"label=level:s0", "apparmor=unconfined", "no-new-privileges", "seccomp=unconfined"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, s, site := plain()
			tt.change(&s, &site)
			req, err := checkedSandbox(s, "pause:1", site)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(asJSON(t, tt.want), asJSON(t, tt.got(req))); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSandboxLabelsOfAnotherPod(t *testing.T) {
	_, s, site := plain()
	s.Labels = map[string]string{LabelPodUID: "other"}
	if _, err := checkedSandbox(s, "", site); !slices.Equal(faults(err), []string{`labels["io.kubernetes.pod.uid"]`}) {
		t.Errorf("got %v", err)
	}
	s.Labels = map[string]string{LabelContainerName: "app"}
	if _, err := checkedSandbox(s, "", site); !slices.Equal(faults(err), []string{`labels["io.kubernetes.container.name"]`}) {
		t.Errorf("got %v", err)
	}
}

// asInspected is what an engine says of a container that was just made.
func asInspected(req createRequest, naming Naming) container.InspectResponse {
	return container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: workloadID, Name: "/" + naming.Format(req.Name), Image: idA, HostConfig: req.Host,
			State: &container.State{Status: "created", StartedAt: neverText, FinishedAt: neverText},
		},
		Config: req.Config,
	}
}

// An agent that was started anew goes on with the configuration that it reads
// back.
func TestSandboxConfigComesBack(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts []Option
		s    SandboxConfig
	}{
		{"everything", nil, fullSandbox()},
		{"with an owner", []Option{WithOwner("agent")}, fullSandbox()},
		{"the node's namespaces", nil, SandboxConfig{
			Name: "pod", Namespace: "ns", UID: "uid", Namespaces: NamespaceOptions{Network: NamespaceNode, PID: NamespaceNode, IPC: NamespaceNode},
		}},
		{"nothing", nil, SandboxConfig{Name: "pod", Namespace: "ns", UID: "uid"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := New(&coreStub{}, tt.opts...)
			site := fullSite()
			site.owner, site.naming = r.opts.owner, r.naming
			req, err := checkedSandbox(tt.s, "", site)
			if err != nil {
				t.Fatal(err)
			}
			st, err := r.sandboxStatusOf(asInspected(req, r.naming))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.s, st.Config, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

// A container's labels and name say all that a list needs.
func TestContainerComesBack(t *testing.T) {
	c, s := fullContainer(), fullSandbox()
	r := New(&coreStub{})
	info := asInspected(mustBuild(t, c, s, fullSite()), r.naming)
	for _, name := range []string{info.Name, "/renamed"} {
		info.Name = name
		st, err := r.statusOf(info, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := Container{
			ID: workloadID, SandboxID: sandboxID, Name: Name{Container: "app", Pod: "pod", Namespace: "ns", UID: "uid", Attempt: 3},
			Image: c.Image, ImageID: idA, State: StateCreated, EngineState: "created", Labels: c.Labels, Annotations: c.Annotations,
		}
		if diff := cmp.Diff(want, st.Container); diff != "" {
			t.Errorf("named %s, mismatch (-want +got):\n%s", name, diff)
		}
		if st.LogPath != "/var/log/pods/ns_pod_uid/app/3.log" || st.Resources.MemorySwapLimit != 128<<20 || st.StopSignal != "SIGINT" {
			t.Errorf("named %s: %+v", name, st)
		}
	}
}

// golden compares text with a file of testdata/golden. A difference there is
// a change to what stands in engines, or goes to them.
func golden(t *testing.T, name, text string) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("testdata", "golden", name))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(bytes.TrimSpace(want)), strings.TrimSpace(text)); diff != "" {
		t.Errorf("%s mismatch (-want +got):\n%s", name, diff)
	}
}

// The label in which a sandbox remembers its configuration is a stored
// format: what one release wrote, the next ones read.
func TestSandboxMemoryIsAFormat(t *testing.T) {
	req, err := checkedSandbox(fullSandbox(), "", fullSite())
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(req.Config.Labels[labelSandboxMemory]), "", "  "); err != nil {
		t.Fatal(err)
	}
	golden(t, "sandbox-memory.json", indented.String())

	stored, err := os.ReadFile(filepath.Join("testdata", "golden", "sandbox-memory.json"))
	if err != nil {
		t.Fatal(err)
	}
	m, ok := memoryOf(map[string]string{labelSandboxMemory: string(stored)})
	s := fullSandbox()
	want := sandboxMemory{
		Hostname: s.Hostname, LogDirectory: s.LogDirectory, CgroupParent: s.CgroupParent, Ports: s.Ports, Namespaces: s.Namespaces,
		Security: s.SecurityContext, Resources: s.Resources, Overhead: s.Overhead, RuntimeHandler: s.RuntimeHandler, DNS: s.DNS, Sysctls: s.Sysctls, ShmSize: s.ShmSize,
	}
	if diff := cmp.Diff(want, m); diff != "" || !ok {
		t.Errorf("read %v, mismatch (-want +got):\n%s", ok, diff)
	}
}

func TestMemoryOf(t *testing.T) {
	for name, labels := range map[string]map[string]string{
		"none": nil, "empty": {labelSandboxMemory: ""}, "cut": {labelSandboxMemory: `{"hostname":"a`}, "a list": {labelSandboxMemory: "[]"},
	} {
		if m, ok := memoryOf(labels); ok || !cmp.Equal(m, sandboxMemory{}) {
			t.Errorf("%s: %+v", name, m)
		}
	}
	m, ok := memoryOf(map[string]string{labelSandboxMemory: `{"hostname":"a","ofALaterRelease":{"x":1}}`})
	if !ok || m.Hostname != "a" {
		t.Errorf("of a later release: %v, %+v", ok, m)
	}
}

// The whole request for a container with everything.
func TestContainerRequestIsAFormat(t *testing.T) {
	req := mustBuild(t, fullContainer(), fullSandbox(), fullSite())
	golden(t, "container-request.json", asJSON(t, map[string]any{
		"name": fullSite().naming.Format(req.Name), "config": req.Config, "hostConfig": req.Host, "networkingConfig": req.Net, "platform": req.Platform,
	}))
}

func TestWholeSeconds(t *testing.T) {
	for d, want := range map[time.Duration]int{
		math.MinInt64: 0, -time.Second: 0, -1: 0, 0: 0, 1: 1, time.Millisecond: 1, time.Second: 1, time.Second + 1: 2, 90 * time.Second: 90,
		time.Hour: 3600, math.MaxInt64: math.MaxInt32,
	} {
		if got := wholeSeconds(d); got != want {
			t.Errorf("%v: got %d, want %d", d, got, want)
		}
	}
}

func TestParsePlatform(t *testing.T) {
	for text, want := range map[string]*ocispec.Platform{
		"": nil, "linux/amd64": {OS: "linux", Architecture: "amd64"}, "linux/arm/v7": {OS: "linux", Architecture: "arm", Variant: "v7"},
	} {
		got, err := parsePlatform(text)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: error %v, mismatch (-want +got):\n%s", text, err, diff)
		}
	}
	for _, text := range []string{"linux", "/", "/amd64", "linux/", "linux/arm/", "linux/arm/v7/x", "linux/arm\n", "\xff/a", " /a"} {
		if got, err := parsePlatform(text); got != nil || !slices.Equal(faults(err), []string{"Platform"}) {
			t.Errorf("%q: got %v, error %v", text, got, err)
		}
	}
}

// FuzzBuildContainer builds containers and sandboxes of any text and numbers.
// Nothing may panic, one input gives one answer, no value of a variable gets
// into an error, and what is accepted reaches the engine as it was given:
// nothing is lost in JSON.
func FuzzBuildContainer(f *testing.F) {
	f.Add("app", "busybox:1", "KEY", "value", "/src", "/dst", "label", int64(64<<20), uint16(0))
	f.Add("a_b", "", "K=V", "\xff", "rel", "/", "io.dockpod.x", int64(-1), uint16(0xffff))
	f.Add("POD", "i", "", "\x00", "/a:b", "/a/../b", "annotation.x", int64(1), uint16(0x0f0f))
	// Flags with which everything is accepted: a bind, then a volume of a container alone.
	f.Add("app", "busybox:1", "KEY", "val\nue", "/s:r c", "/dst", "label", int64(64<<20), uint16(1<<5|1<<8|1<<11|1<<12))
	f.Add("app", "busybox:1", "KEY", "välue", "/src", "/dst", "label", int64(64<<20), uint16(1<<5|1<<6|1<<8|1<<10|1<<11|1<<12|1<<13))
	f.Fuzz(func(t *testing.T, name, imageRef, key, value, source, target, label string, n int64, flags uint16) {
		flag := func(i int) bool { return flags&(1<<i) != 0 }
		c := ContainerConfig{
			Name: name, Attempt: uint32(n), Image: imageRef, Command: []string{source}, Args: []string{value}, WorkingDir: target,
			Envs:   []EnvVar{{key, value}, {"K", value}},
			Mounts: []Mount{{Type: MountType(label), Source: source, Target: target, ReadOnly: flag(0), RecursiveReadOnly: flag(1), SELinuxRelabel: flag(2), SubPath: label}},
			Labels: map[string]string{label: value, key: name}, Annotations: map[string]string{label: value},
			LogPath: source, Stdin: flag(3), StdinOnce: flag(4), Resources: Resources{MemoryLimit: n, CPUQuota: n, PidsLimit: n, CpusetCpus: key},
			StopSignal: key, ShmSize: n, Platform: source,
		}
		if flag(5) {
			c.Mounts[0].Type = []MountType{MountBind, MountVolume, MountTmpfs, MountImage}[flags>>6&3]
			c.Mounts[0].SubPath = ""
		}
		if flag(8) { // most texts make no signal and no platform
			c.StopSignal, c.Platform, c.Resources.CpusetCpus, c.WorkingDir, c.LogPath = "", "", "", "", ""
		}
		if flag(9) {
			c.Mounts, c.Resources, c.ShmSize = nil, Resources{}, 0
		}
		if flag(10) {
			c.Devices, c.SecurityContext.RunAsUserName = []Device{{HostPath: source, ContainerPath: target}}, key
			c.SecurityContext.AppArmor = &SecurityProfile{Type: ProfileLocalhost, LocalhostRef: value}
			c.SecurityContext.SELinux = &SELinuxOptions{User: key, Level: value}
			c.Ulimits, c.Healthcheck = []Ulimit{{key, n, n}}, &Healthcheck{Command: []string{value}}
			c.LogConfig, c.ExtraHosts = LogConfig{Driver: key, Options: map[string]string{label: value}}, map[string]string{key: value}
		}
		s := SandboxConfig{
			Name: key, Namespace: name, UID: label, Hostname: key, LogDirectory: target, Labels: map[string]string{label: value},
			DNS:     DNSConfig{Servers: []string{source}, Searches: []string{value}, Options: []string{key}},
			Ports:   []PortMapping{{Protocol: Protocol(label), ContainerPort: int32(n), HostPort: int32(n), HostIP: source}},
			Sysctls: map[string]string{key: value}, CgroupParent: source, RuntimeHandler: value,
		}
		if flag(11) {
			s = SandboxConfig{Name: "pod", Namespace: "ns", UID: "uid", LogDirectory: s.LogDirectory, CgroupParent: s.CgroupParent, RuntimeHandler: s.RuntimeHandler}
		}
		if flag(12) {
			s.DNS.Servers, s.Ports, s.Hostname = nil, nil, ""
		}
		site := fullSite()
		if flag(13) {
			site.sandboxID = ""
		}
		for _, build := range []func() (createRequest, error){
			func() (createRequest, error) { return checkedContainer(c, s, site) },
			func() (createRequest, error) { return checkedSandbox(s, "pause:1", site) },
		} {
			req, err := build()
			again, errAgain := build()
			if fmt.Sprint(err) != fmt.Sprint(errAgain) {
				t.Fatalf("two answers: %v, %v", err, errAgain)
			}
			if err != nil {
				if got := faults(err); !errors.Is(err, ErrInvalidName) && (len(got) == 0 || strings.HasPrefix(got[0], "?")) {
					t.Fatalf("an error that names no field: %#v", err)
				}
				continue
			}
			first, then := asJSON(t, req), asJSON(t, again)
			if first != then {
				t.Fatalf("two requests:\n%s\n%s", first, then)
			}
			var config container.Config
			var host container.HostConfig
			if err := json.Unmarshal([]byte(asJSON(t, req.Config)), &config); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(asJSON(t, req.Host)), &host); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(req.Config, &config, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("lost on the way (-request +received):\n%s", diff)
			}
			if diff := cmp.Diff(req.Host, &host, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("lost on the way (-request +received):\n%s", diff)
			}
			labels, annotations := SplitLabels(req.Config.Labels)
			if req.Name.Container != SandboxContainerName && (!maps.Equal(labels, c.Labels) || !maps.Equal(annotations, c.Annotations)) {
				t.Fatalf("labels %q, annotations %q became %q, %q", c.Labels, c.Annotations, labels, annotations)
			}
		}
		if secret := "s3cr3t"; flag(14) {
			c.Envs = []EnvVar{{key, secret + value}, {key + "=" + secret, ""}}
			for _, err := range []error{c.Validate(), buildError(c, s, site)} {
				if err == nil || strings.Contains(err.Error(), secret) && !strings.Contains(name+imageRef+key+value+source+target+label, secret) {
					t.Fatalf("a variable with '=' in its key: %v", err)
				}
			}
		}
	})
}
