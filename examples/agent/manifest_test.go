package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod"
)

const head = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"

func TestParsePodRefusals(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string // each has to be in the error
	}{
		{"not a pod", "apiVersion: apps/v1\nkind: Deployment\n", []string{`kind "Deployment"`}},
		{"a misspelt field", head + "spec: {contaners: [{name: a, image: i}]}\n", []string{"spec.contaners: this agent", "unknown field"}},
		{"a key twice", head + "spec: {restartPolicy: Never, restartPolicy: Always, containers: [{name: a, image: i}]}\n", []string{"restartPolicy"}},
		{"no containers", head + "spec: {}\n", []string{"spec.containers: there is none"}},
		{
			"what this agent does not do",
			head + `
spec:
  nodeSelector: {disk: ssd}
  initContainers: [{name: i, image: i}]
  containers:
    - name: a
      image: i
      livenessProbe: {exec: {command: ["true"]}}
      env: [{name: E, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
      resources: {limits: {example.com/gpu: 1}}
`,
			[]string{
				"spec.nodeSelector: this agent", "spec.initContainers: this agent", "spec.containers[0].livenessProbe: this agent",
				"spec.containers[0].env[0].valueFrom: this agent", "spec.containers[0].resources.limits.example.com/gpu: this agent",
			},
		},
		{
			"values that it does not take",
			head + `
spec:
  restartPolicy: Sometimes
  dnsPolicy: ClusterFirst
  terminationGracePeriodSeconds: -1
  volumes:
    - {name: v, hostPath: {path: /v, type: Socket}}
    - {name: m, emptyDir: {medium: Memory}}
    - {name: e, emptyDir: {sizeLimit: 1Gi}}
  containers:
    - name: a
      image: i
      imagePullPolicy: Maybe
      args: [$(HOME)]
      volumeMounts: [{name: m, mountPath: /m}, {name: x, mountPath: /x}]
    - {name: a, image: i, volumeMounts: [{name: m, mountPath: /m}]}
`,
			[]string{
				`spec.restartPolicy: "Sometimes"`, `spec.dnsPolicy: "ClusterFirst"`, "spec.terminationGracePeriodSeconds: -1",
				`spec.volumes[0].hostPath.type: "Socket"`, "spec.volumes[1].emptyDir.medium: Memory for a volume that is mounted 2 times",
				"spec.volumes[2].emptyDir.sizeLimit", `spec.containers[0].imagePullPolicy: "Maybe"`, "spec.containers[0].args[0]: this agent does not expand",
				`spec.containers[0].volumeMounts[1].name: "x"`, `spec.containers[1].name: "a" is another`,
			},
		},
		{
			"what dockpod refuses", head + "spec: {containers: [{name: a_b, image: i, workingDir: relative}]}\n",
			[]string{"spec.containers[0]: Name", "WorkingDir"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parsePod([]byte(test.text))
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestConvert(t *testing.T) {
	pod, err := parsePod([]byte(`
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: prod
  creationTimestamp: null
  labels: {app: web}
  annotations: {team: infra}
spec:
  hostname: www
  terminationGracePeriodSeconds: 7
  shareProcessNamespace: true
  dnsPolicy: None
  dnsConfig: {nameservers: [10.0.0.1], searches: [example.com], options: [{name: ndots, value: "2"}, {name: rotate}]}
  securityContext: {runAsUser: 1000, runAsGroup: 1000, supplementalGroups: [5], sysctls: [{name: net.core.somaxconn, value: "9"}]}
  volumes:
    - {name: data, hostPath: {path: /data}}
    - {name: fast, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
    - {name: work, emptyDir: {}}
  containers:
    - name: app
      image: registry.example/app:1
      command: [/app]
      args: [-v]
      workingDir: /work
      env: [{name: A, value: "1"}, {name: B}]
      ports: [{containerPort: 80, hostPort: 8080}, {containerPort: 53, protocol: UDP}]
      resources: {limits: {cpu: 500m, memory: 64Mi}, requests: {cpu: 250m, memory: 32Mi}}
      volumeMounts:
        - {name: data, mountPath: /data, readOnly: true, mountPropagation: HostToContainer}
        - {name: fast, mountPath: /fast}
        - {name: work, mountPath: /work}
      securityContext:
        runAsUser: 2000
        readOnlyRootFilesystem: true
        allowPrivilegeEscalation: false
        capabilities: {add: [NET_ADMIN], drop: [ALL]}
        seccompProfile: {type: Unconfined}
`))
	if err != nil {
		t.Fatal(err)
	}
	pod.UID = "u"
	wantSandbox := dockpod.SandboxConfig{
		Name: "web", Namespace: "prod", UID: "u", Attempt: 2, Hostname: "www", LogDirectory: "/logs/prod_web_u",
		DNS: dockpod.DNSConfig{Servers: []string{"10.0.0.1"}, Searches: []string{"example.com"}, Options: []string{"ndots:2", "rotate"}},
		Ports: []dockpod.PortMapping{
			{Protocol: dockpod.TCP, ContainerPort: 80, HostPort: 8080},
			{Protocol: dockpod.UDP, ContainerPort: 53},
		},
		Labels:      map[string]string{"app": "web"},
		Annotations: map[string]string{"team": "infra", graceKey: "7"},
		Sysctls:     map[string]string{"net.core.somaxconn": "9"},
		Namespaces:  dockpod.NamespaceOptions{PID: dockpod.NamespacePod},
	}
	if diff := cmp.Diff(wantSandbox, sandboxOf(pod, 2, "/logs")); diff != "" {
		t.Errorf("sandbox mismatch (-want +got):\n%s", diff)
	}
	wantContainer := dockpod.ContainerConfig{
		Name: "app", Attempt: 3, Image: "registry.example/app:1", Command: []string{"/app"}, Args: []string{"-v"}, WorkingDir: "/work",
		Envs: []dockpod.EnvVar{{Key: "A", Value: "1"}, {Key: "B"}},
		Mounts: []dockpod.Mount{
			{Source: "/data", Target: "/data", ReadOnly: true, Propagation: dockpod.PropagationHostToContainer},
			{Type: dockpod.MountTmpfs, Target: "/fast", SizeBytes: 1 << 20},
			{Source: filepath.Join("/volumes", "u", "work"), Target: "/work"},
		},
		LogPath:   "app/3.log",
		Resources: dockpod.Resources{MemoryLimit: 64 << 20, CPUShares: 256, CPUQuota: 50_000, CPUPeriod: 100_000},
		SecurityContext: dockpod.SecurityContext{
			RunAsUser: new(int64), RunAsGroup: new(int64), SupplementalGroups: []int64{5},
			ReadonlyRootfs: true, NoNewPrivs: true,
			Capabilities: &dockpod.Capabilities{Add: []string{"NET_ADMIN"}, Drop: []string{"ALL"}},
			Seccomp:      &dockpod.SecurityProfile{Type: dockpod.ProfileUnconfined},
		},
	}
	*wantContainer.SecurityContext.RunAsUser, *wantContainer.SecurityContext.RunAsGroup = 2000, 1000
	if diff := cmp.Diff(wantContainer, containerOf(pod, pod.Spec.Containers[0], 3, "/volumes")); diff != "" {
		t.Errorf("container mismatch (-want +got):\n%s", diff)
	}
}

func TestCheckNonRoot(t *testing.T) {
	zero, some := int64(0), int64(1000)
	const nonRoot = "securityContext: {runAsNonRoot: true}"
	for _, test := range []struct {
		name, pod, container string
		image                dockpod.Image
		wantErr              bool
	}{
		{"not asked for", "", "", dockpod.Image{}, false},
		{"the image says nothing", nonRoot, "", dockpod.Image{}, true},
		{"the image says root", nonRoot, "", dockpod.Image{UID: &zero}, true},
		{"the image says a name", nonRoot, "", dockpod.Image{Username: "www"}, true},
		{"the image says a number", nonRoot, "", dockpod.Image{UID: &some}, false},
		{"the manifest says a number", nonRoot, "securityContext: {runAsUser: 5}", dockpod.Image{}, false},
		{"the manifest says root", nonRoot, "securityContext: {runAsUser: 0}", dockpod.Image{UID: &some}, true},
		{"the container may", nonRoot, "securityContext: {runAsNonRoot: false}", dockpod.Image{}, false},
		{"the container must not", "", nonRoot, dockpod.Image{}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod, err := parsePod([]byte(head + "spec:\n  " + test.pod + "\n  containers:\n  - name: a\n    image: i\n    " + test.container + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			if err := checkNonRoot(pod, pod.Spec.Containers[0], test.image); (err != nil) != test.wantErr {
				t.Errorf("error %v, want one: %t", err, test.wantErr)
			}
		})
	}
}

func TestReadPods(t *testing.T) {
	const spec = "spec: {containers: [{name: a, image: i}]}\n"
	manifest := func(name string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\n" + spec
	}
	for _, test := range []struct {
		name    string
		files   map[string]string
		want    []string
		wantErr string
	}{
		{"an empty folder", nil, []string{}, ""},
		{
			"two files, one with two documents",
			map[string]string{"1.yaml": manifest("b"), "2.yml": "---\n" + manifest("c") + "---\n" + manifest("a") + "---\n", "README": "no manifest"},
			[]string{"default/a", "default/b", "default/c"}, "",
		},
		{"one bad file is no half folder", map[string]string{"1.yaml": manifest("a"), "2.yaml": "apiVersion: v2\n"}, nil, "2.yaml: apiVersion"},
		{"one pod twice", map[string]string{"1.yaml": manifest("a"), "2.json": `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"a","image":"i"}]}}`}, nil, "pod default/a is in"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range test.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			pods, err := readPods(dir)
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Fatalf("error %v, want one with %q", err, test.wantErr)
				}
				if pods != nil {
					t.Errorf("%d pods beside the error", len(pods))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			names := []string{}
			for _, p := range pods {
				names = append(names, podName(p))
			}
			if diff := cmp.Diff(test.want, names); diff != "" {
				t.Errorf("pods mismatch (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := readPods(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there was read")
	}
}

func TestUIDFollowsContent(t *testing.T) {
	uid := func(text string) string {
		t.Helper()
		pod, err := parsePod([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := setUID(&pod); err != nil {
			t.Fatal(err)
		}
		return string(pod.UID)
	}
	one := uid(head + "spec: {containers: [{name: a, image: i}]}\n")
	if same := uid("# a comment\n" + head + "spec:\n  restartPolicy: Always\n  containers:\n  - {image: i, name: a}\n"); same != one {
		t.Errorf("the same pod spelled differently: %s and %s", one, same)
	}
	if other := uid(head + "spec: {containers: [{name: a, image: j}]}\n"); other == one {
		t.Error("another image, and the same UID")
	}
}

// The manifests that come with the example.
func TestPods(t *testing.T) {
	pods, err := readPods("pods")
	if err != nil || len(pods) == 0 {
		t.Fatalf("%d pods, error %v", len(pods), err)
	}
}
