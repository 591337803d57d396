package dockpod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/system"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"
)

// decidedOtherwise names the cases that dockpod answers in another way than
// the kubelet's code of some release did, and why. Each still has to differ: a
// row that has become true goes.
var decidedOtherwise = map[string]string{
	"env/006": "Docker refuses a variable without a name with 400, so it is refused before",
	"env/013": "$(NAME) is expanded by the caller, who knows the pod; dockershim received expanded values too",

	"mounts/009": "an unknown propagation is refused",
	"mounts/014": "the engine relabels: a mount that needs it is a text, and no shim has to touch the files",
	"mounts/018": "an unknown propagation is refused instead of dropped",

	"cgroup-parent/008": "the engine refuses what is no slice, so that a path in cgroupfs's form is spelled as the kubelet does for systemd: a-b.slice",

	"resources/009": "a swap limit of 0 gives as much swap as memory; k8s 1.23 and cri-dockerd send the memory limit (010)",

	"conflict-recovery/007": "the word after \"container\" is taken as it is: the holder is looked up by its name, and a test's double may have IDs of its own",
	"conflict-recovery/008": "the word after \"container\" is taken as it is: the holder is looked up by its name, and a test's double may have IDs of its own",
	"conflict-recovery/018": "the class tells what is not found; where the words have to, an ID is not asked for",
	"conflict-recovery/021": "Podman writes it in small letters",

	"container-state/021": "status=running leaves out paused containers; the state is looked at after the list",
	"container-state/029": "a time that has not come is the zero time.Time, not 0 ns since 1970",
	"container-state/038": "a time that has not come is the zero time.Time, not 0 ns since 1970",
	"container-state/042": "a time that has not come is the zero time.Time, not 0 ns since 1970",
	"container-state/044": "a time that cannot be read is zero and listed in Problems: one bad field does not hide a container",
	"container-state/046": "a time that cannot be read is zero and listed in Problems: one bad field does not hide a container",
	"container-state/051": "an image that is gone does not make its containers unreadable, as in k8s 1.23 and cri-dockerd (050)",

	"list-filter/005": "status=running leaves out paused containers; the state is looked at after the list",
	"list-filter/006": "status=exited leaves out dead containers; the state is looked at after the list",
	"list-filter/007": "status=unknown is an error to Docker and an empty list to Podman; the state is looked at after the list",
	"list-filter/016": "a paused sandbox is ready; all are asked for and the state is looked at after the list",

	"sandbox/009": "an unknown protocol is refused instead of published as TCP",
	"sandbox/014": "our own words, which list the handlers that the engine has",
	"sandbox/015": "an OOM score of -998 is refused to a rootless engine, so WithSandboxOOMScore asks for it; the pod's own labels are written for cAdvisor, and dockpod's beside them",

	"security-context/008": "a user's ID and name together contradict each other, so they are refused",
	"security-context/013": "capabilities are spelled as the engine keeps them, with CAP_",
	"security-context/039": "a sandbox on the node's network has the node's host name, as its containers have",
	"security-context/045": "there are no network plugins: WithNetwork names the engine's network, and nothing is its default",
	"security-context/046": "there are no network plugins: WithNetwork names the engine's network, and nothing is its default",
	"security-context/047": "there are no network plugins: WithNetwork names the engine's network, and nothing is its default",
	"security-context/050": "the node's IPC namespace is named directly; by way of the sandbox it is the same",
	"security-context/055": "the node's IPC namespace is named directly; by way of the sandbox it is the same",
	"security-context/074": "the separator of API 1.22, which is not supported",

	"seccomp-apparmor/040": "a profile without a defaultAction is refused: engines run a container without seccomp for it",
	"seccomp-apparmor/043": "a profile without a defaultAction is refused: engines run a container without seccomp for it",
	"seccomp-apparmor/049": "a reference beside RuntimeDefault contradicts it",
	"seccomp-apparmor/056": "the separator of API 1.22, which is not supported",
	"seccomp-apparmor/062": "the separator of API 1.22, which is not supported",
}

// notHere names the operations of these files that other code answers, or
// none.
var notHere = map[string]string{
	"env.depends_on_pod_ip":             "left the runtime early on: a pod's environment is its caller's",
	"runtime.cgroup_driver":             "CRI's spelling of Info.CgroupDriver: the CRI server's",
	"images.list_options":               "of images",
	"legacy.image_from_list_entry":      "of images",
	"image.user":                        "of images",
	"image.user_part":                   "of images",
	"checkpoint.data":                   "there are no checkpoints: the engine is the only store",
	"sandbox.network_namespace":         "CRI's spelling of SandboxStatus.PID: the CRI server's",
	"security.pod_container_user":       "of dockertools, before pods came as CRI's messages",
	"security.pod_host_config":          "of dockertools, before pods came as CRI's messages",
	"security.pid_override":             "for engines before API 1.26, which are not supported",
	"security.verify_non_root":          "the kubelet checks runAsNonRoot itself since CRI",
	"security.add_option":               "the separator of API 1.22, which is not supported",
	"seccomp.format_with_separator":     "the separator of API 1.22, which is not supported",
	"seccomp.separator":                 "the separator of API 1.22, which is not supported",
	"pods.status_with_network_plugin":   "there are no network plugins",
	"pod.pid_mode":                      "of dockertools; security.container_namespaces asks the same",
	"security.pid_override_with_switch": "for engines before API 1.26, which are not supported",
}

func TestCoreVectors(t *testing.T) {
	seen := map[string]bool{}
	for _, file := range []string{
		"env", "mounts", "resources", "cgroup-parent", "timestamps", "container-state", "list-filter", "conflict-recovery", "sandbox", "security-context", "seccomp-apparmor", "pods",
	} {
		for _, c := range loadVectors(t, file) {
			seen[c.ID] = true
			t.Run(c.ID, func(t *testing.T) {
				answer, ok := coreOps[c.Op]
				if !ok {
					if notHere[c.Op] == "" {
						t.Fatalf("operation %q is neither answered nor listed", c.Op)
					}
					return
				}
				diff := coreDiff(t, c, answer(t, c))
				reason := decidedOtherwise[c.ID]
				switch {
				case reason == "" && diff != "":
					t.Errorf("%s: mismatch (-want +got):\n%s", c.Name, diff)
				case reason != "" && diff == "":
					t.Errorf("%s: decided otherwise because %q, and yet the answer is the kubelet's", c.Name, reason)
				}
			})
		}
	}
	for id := range decidedOtherwise {
		if !seen[id] {
			t.Errorf("decided otherwise on %s, which is no case", id)
		}
	}
	for op := range notHere {
		if _, ok := coreOps[op]; ok {
			t.Errorf("%s is listed as another's, and answered", op)
		}
	}
}

// coreDiff compares the keys that a case names; "" if they are equal.
func coreDiff(t *testing.T, c vectorCase, got map[string]any) string {
	t.Helper()
	var want map[string]any
	if err := json.Unmarshal(c.Want, &want); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var given map[string]any
	if err := json.Unmarshal(text, &given); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(given, func(k string, _ any) bool {
		_, named := want[k]
		return !named && k != "error"
	})
	for k := range want {
		if strings.HasPrefix(k, "error") && k != "error" { // errorEquals, errorContains: its text
			text, _ := given["error"].(string)
			if k == "errorEquals" && text == want[k] || k == "errorContains" && strings.Contains(text, want[k].(string)) {
				return ""
			}
			return fmt.Sprintf("error %q, want %s %q", text, k, want[k])
		}
	}
	if want["error"] == true && given["error"] != nil {
		given["error"] = true
	}
	var opts []cmp.Option
	switch c.Compare {
	case "":
	case "set", "unordered":
		opts = append(opts, cmp.FilterValues(func(a, b any) bool { return isEmpty(a) && isEmpty(b) }, cmp.Ignore()), cmpopts.SortSlices(func(a, b any) bool { return fmt.Sprint(a) < fmt.Sprint(b) }))
	case "subset": // of an error's text, above
	case "null-or-empty":
		opts = append(opts, cmpopts.EquateEmpty(), cmp.FilterValues(func(a, b any) bool { return isEmpty(a) && isEmpty(b) }, cmp.Ignore()))
		for k, w := range want {
			if _, ok := given[k]; !ok && isEmpty(w) {
				given[k] = w
			}
		}
	case "exposed-as-set": // "exposed" is sorted below in any case
	default:
		t.Fatalf("comparison %q is not known", c.Compare)
	}
	return cmp.Diff(want, given, opts...)
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// failed is the answer of a call that failed.
func failed(err error) map[string]any { return map[string]any{"error": err.Error()} }

// coreOps answer the operations by the code that an agent would reach.
var coreOps = map[string]func(*testing.T, vectorCase) map[string]any{
	"env.list": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct{ Envs []EnvVar }](t, c)
		cfg, s, site := plain()
		cfg.Envs = in.Envs
		req, err := checkedContainer(cfg, s, site)
		if err != nil {
			return failed(err)
		}
		return map[string]any{"env": req.Config.Env}
	},
	"command.entrypoint_and_cmd": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct {
			Command, Args []string
			Envs          []struct{ Name, Value string }
		}](t, c)
		cfg, s, site := plain()
		cfg.Command, cfg.Args = in.Command, in.Args
		for _, e := range in.Envs {
			cfg.Envs = append(cfg.Envs, EnvVar{e.Name, e.Value})
		}
		req := mustBuild(t, cfg, s, site)
		return map[string]any{"entrypoint": req.Config.Entrypoint, "cmd": req.Config.Cmd}
	},
	"mounts.binds": func(t *testing.T, c vectorCase) map[string]any {
		cfg, s, site := plain()
		cfg.Mounts, site.features = vectorMounts(t, c), featuresOf("1.41") // texts are of APIs that have no other word
		req, err := checkedContainer(cfg, s, site)
		if err != nil {
			return failed(err)
		}
		return map[string]any{"binds": req.Host.Binds}
	},
	"mounts.objects": func(t *testing.T, c vectorCase) map[string]any {
		cfg, s, site := plain()
		cfg.Mounts, site.features = vectorMounts(t, c), featuresOf("1.44")
		req, err := checkedContainer(cfg, s, site)
		if err != nil {
			return failed(err)
		}
		objects := []map[string]any{}
		for _, m := range req.Host.Mounts {
			o := m.BindOptions
			if o == nil {
				o = &mount.BindOptions{}
			}
			objects = append(objects, map[string]any{
				"type": m.Type, "source": m.Source, "target": m.Target, "readOnly": m.ReadOnly,
				"bindOptions": map[string]any{"createMountpoint": o.CreateMountpoint, "readOnlyNonRecursive": o.ReadOnlyNonRecursive, "propagation": o.Propagation},
			})
		}
		return map[string]any{"mounts": objects}
	},
	"container.resources": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct {
			Resources struct {
				CPUPeriod, CPUQuota, CPUShares, MemoryLimitInBytes int64
				OOMScoreAdj                                        int
			}
		}](t, c).Resources
		cfg, s, site := plain()
		cfg.Resources = Resources{
			MemoryLimit: in.MemoryLimitInBytes, CPUShares: in.CPUShares, CPUQuota: in.CPUQuota, CPUPeriod: in.CPUPeriod, OOMScoreAdj: in.OOMScoreAdj,
		}
		h := mustBuild(t, cfg, s, site).Host
		return map[string]any{
			"memory": h.Memory, "memorySwap": h.MemorySwap, "cpuShares": h.CPUShares, "cpuQuota": h.CPUQuota, "cpuPeriod": h.CPUPeriod, "oomScoreAdj": h.OomScoreAdj,
		}
	},
	"container.devices": func(t *testing.T, c vectorCase) map[string]any {
		cfg, s, site := plain()
		cfg.Devices = vectorIn[struct{ Devices []Device }](t, c).Devices
		devices := []map[string]any{}
		for _, d := range mustBuild(t, cfg, s, site).Host.Devices {
			devices = append(devices, map[string]any{"pathOnHost": d.PathOnHost, "pathInContainer": d.PathInContainer, "cgroupPermissions": d.CgroupPermissions})
		}
		return map[string]any{"devices": devices}
	},
	"cpu.milli_to_quota": func(t *testing.T, c vectorCase) map[string]any {
		quota, period := MilliCPUToQuota(vectorIn[struct{ MilliCPU int64 }](t, c).MilliCPU)
		return map[string]any{"quota": quota, "period": period}
	},
	"cgroup.parent": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct{ Driver, CgroupParent string }](t, c)
		cfg, s, site := plain()
		s.CgroupParent, site.cgroupDriver = in.CgroupParent, in.Driver
		sandbox, err := checkedSandbox(s, "", site)
		if err != nil {
			t.Fatal(err)
		}
		parent := mustBuild(t, cfg, s, site).Host.CgroupParent
		if parent != sandbox.Host.CgroupParent {
			t.Errorf("a container in %q, its sandbox in %q", parent, sandbox.Host.CgroupParent)
		}
		return map[string]any{"cgroupParent": parent}
	},
	"timestamp.parse": func(t *testing.T, c vectorCase) map[string]any {
		at, err := parseTime(vectorIn[struct{ Text string }](t, c).Text)
		if err != nil {
			return failed(err)
		}
		return map[string]any{"unixNano": at.UnixNano(), "isZero": at.IsZero()}
	},

	"container.state_from_status_text": stateFromText,
	"legacy.state_from_status_text":    stateFromText,
	"sandbox.state_from_status_text": func(t *testing.T, c vectorCase) map[string]any {
		r := New(&coreStub{})
		sb, err := r.sandboxFromSummary(container.Summary{ID: "1", Names: []string{"/k8s_POD_p_ns_u_0"}, Status: vectorIn[struct{ Status string }](t, c).Status})
		if err != nil {
			t.Fatal(err)
		}
		return map[string]any{"state": strings.ToUpper(string(sb.State))}
	},
	"container.status_filter_from_state": func(t *testing.T, c vectorCase) map[string]any {
		state := vectorIn[struct{ State string }](t, c).State
		asked, _ := listed(t, Filter{State: State(strings.ToLower(state))})
		return map[string]any{"status": strings.Join(asked.Filters.Get("status"), " ")}
	},
	"container.status_from_inspect": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct {
			Created string
			State   container.State
		}](t, c)
		st := vectorStatus(t, func(i *container.InspectResponse) { i.Created, i.State = in.Created, &in.State }, nil)
		return map[string]any{
			"state": strings.ToUpper(string(st.State)), "reason": st.Reason, "message": st.Message, "exitCode": st.ExitCode,
			"createdAt": st.CreatedAt.UnixNano(), "startedAt": st.StartedAt.UnixNano(), "finishedAt": st.FinishedAt.UnixNano(),
		}
	},
	"container.status_image": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct {
			InspectImage, ConfigImage string
			Image                     *struct {
				ID                    string
				RepoTags, RepoDigests []string
			}
		}](t, c)
		var img *Image
		if in.Image != nil {
			img = &Image{ID: digest.Digest(in.Image.ID), RepoTags: in.Image.RepoTags, RepoDigests: in.Image.RepoDigests}
		}
		st := vectorStatus(t, func(i *container.InspectResponse) {
			i.Image, i.Config.Image = in.InspectImage, in.ConfigImage
			delete(i.Config.Labels, LabelImage)
		}, img)
		return map[string]any{"imageRef": st.ImageRef, "imageName": st.Image}
	},
	"container.status_mounts": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct{ Mounts []container.MountPoint }](t, c)
		return map[string]any{"mounts": vectorStatus(t, func(i *container.InspectResponse) { i.Mounts = in.Mounts }, nil).Mounts}
	},
	"container.from_list_entry": func(t *testing.T, c vectorCase) map[string]any {
		got, err := New(&coreStub{}).fromSummary(vectorIn[struct{ Entry vectorEntry }](t, c).Entry.summary())
		if err != nil {
			return failed(err)
		}
		return map[string]any{
			"id": got.ID, "podSandboxID": got.SandboxID, "metadata": map[string]any{"name": got.Name.Container, "attempt": got.Name.Attempt},
			"image": got.Image, "imageRef": got.ImageID, "state": strings.ToUpper(string(got.State)), "createdAt": got.CreatedAt.UnixNano(),
			"labels": got.Labels, "annotations": got.Annotations,
		}
	},

	"containers.list_options": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct{ Filter vectorFilter }](t, c).Filter
		asked, _ := listed(t, Filter{ID: in.ID, SandboxID: in.PodSandboxID, State: State(strings.ToLower(in.State)), Labels: in.LabelSelector})
		return map[string]any{"all": asked.All, "filters": filterMap(asked)}
	},
	"sandboxes.list_options": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct{ Filter vectorFilter }](t, c).Filter
		var asked container.ListOptions
		r := New(&coreStub{containerList: func(o container.ListOptions) ([]container.Summary, error) { asked = o; return nil, nil }})
		if _, err := r.ListSandboxes(t.Context(), SandboxFilter{ID: in.ID, State: SandboxState(strings.ToLower(in.State)), Labels: in.LabelSelector}); err != nil {
			t.Fatal(err)
		}
		// There are no checkpoints to consult.
		return map[string]any{"all": asked.All, "filters": filterMap(asked), "checkpointsConsulted": false}
	},
	"containers.list_result": func(t *testing.T, c vectorCase) map[string]any {
		var entries []container.Summary
		for _, e := range vectorIn[struct{ DaemonReturns []vectorEntry }](t, c).DaemonReturns {
			entries = append(entries, e.summary())
		}
		_, list := listed(t, Filter{}, entries...)
		ids := []string{}
		for _, c := range list {
			ids = append(ids, c.ID)
		}
		return map[string]any{"ids": ids}
	},

	"conflict.parse": func(t *testing.T, c vectorCase) map[string]any {
		_, holder, ok := parseConflict(vectorIn[struct{ Message string }](t, c).Message)
		if !ok {
			return map[string]any{"containerID": nil}
		}
		return map[string]any{"containerID": holder}
	},
	"conflict.remove_options": func(t *testing.T, c vectorCase) map[string]any {
		message := vectorIn[struct{ Message string }](t, c).Message
		name, holder, ok := parseConflict(message)
		if !ok {
			t.Fatal("no conflict in the message")
		}
		got, held := map[string]any{}, true
		stub := &coreStub{
			containerCreate: func(string) (container.CreateResponse, error) {
				if held {
					return container.CreateResponse{}, errors.New(message)
				}
				return container.CreateResponse{ID: workloadID}, nil
			},
			containerInspect: func(_ context.Context, id string) (container.InspectResponse, error) {
				if id != name {
					t.Errorf("asked for %q", id)
				}
				return inspected(func(i *container.InspectResponse) {
					i.ID, i.Name, i.Config.Labels[LabelLogPath] = holder, "/"+name, ""
					i.State = &container.State{Status: "exited", StartedAt: startedText, FinishedAt: finishedText}
				}), nil
			},
			containerRemove: func(id string, o container.RemoveOptions) error {
				held = false
				got["removed"], got["removeVolumes"], got["force"] = id, o.RemoveVolumes, o.Force
				return nil
			},
		}
		cfg, s, site := plain()
		cfg.Name, s.Name, s.Namespace, s.UID = "pause", "foo", "bar", "1"
		if id, err := New(stub).create(t.Context(), mustBuild(t, cfg, s, site)); err != nil || id != workloadID {
			t.Fatalf("created %q, error %v", id, err)
		}
		return got
	},
	"error.is_container_not_found": func(t *testing.T, c vectorCase) map[string]any {
		// The client's error without its class: the words have to do.
		err := classify(verbContainer, workloadID, errors.New(vectorIn[struct{ Message string }](t, c).Message))
		return map[string]any{"notFound": errors.Is(err, ErrContainerNotFound)}
	},

	"sandbox.ports": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct {
			PortMappings []struct {
				Protocol                any
				ContainerPort, HostPort int32
				HostIP                  string
			}
		}](t, c)
		_, s, site := plain()
		for _, p := range in.PortMappings {
			s.Ports = append(s.Ports, PortMapping{Protocol(strings.ToLower(fmt.Sprint(p.Protocol))), p.ContainerPort, p.HostPort, p.HostIP})
		}
		req, err := checkedSandbox(s, "", site)
		if err != nil {
			return failed(err)
		}
		bindings := map[string]any{}
		for port, list := range req.Host.PortBindings {
			var l []map[string]any
			for _, b := range list {
				l = append(l, map[string]any{"hostIP": b.HostIP, "hostPort": b.HostPort})
			}
			bindings[string(port)] = l
		}
		return map[string]any{"exposed": slices.Sorted(maps.Keys(req.Config.ExposedPorts)), "bindings": bindings}
	},
	"sandbox.runtime_handler": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct {
			Handler    string
			Configured []string
		}](t, c)
		info := system.Info{Runtimes: map[string]system.RuntimeWithStatus{}}
		for _, name := range in.Configured {
			info.Runtimes[name] = system.RuntimeWithStatus{}
		}
		if err := New(&coreStub{info: func() (system.Info, error) { return info, nil }}).checkHandler(t.Context(), in.Handler); err != nil {
			return failed(err)
		}
		cfg, s, site := plain()
		s.RuntimeHandler = in.Handler
		return map[string]any{"runtime": mustBuild(t, cfg, s, site).Host.Runtime}
	},
	"sandbox.docker_config": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct {
			Config struct {
				Metadata struct {
					Name, Namespace, UID string
					Attempt              uint32
				}
				Hostname string
			}
			Image string
		}](t, c)
		m := in.Config.Metadata
		_, _, site := plain()
		site.imageID = in.Image
		req, err := checkedSandbox(SandboxConfig{Name: m.Name, Namespace: m.Namespace, UID: m.UID, Attempt: m.Attempt, Hostname: in.Config.Hostname}, in.Image, site)
		if err != nil {
			t.Fatal(err)
		}
		h := req.Host
		return map[string]any{
			"name": req.Name.String(), "image": req.Config.Image, "hostname": req.Config.Hostname, "labels": req.Config.Labels,
			"cpuShares": h.CPUShares, "memorySwap": h.MemorySwap, "oomScoreAdj": h.OomScoreAdj, "ipcMode": h.IpcMode, "securityOpt": h.SecurityOpt,
			"cgroupParent": h.CgroupParent, "networkMode": h.NetworkMode,
		}
	},
	"sandbox.namespace_mode": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct {
			Which      string
			HostConfig struct{ NetworkMode, PIDMode, IpcMode string }
		}](t, c)
		host := &container.HostConfig{
			NetworkMode: container.NetworkMode(in.HostConfig.NetworkMode), PidMode: container.PidMode(in.HostConfig.PIDMode), IpcMode: container.IpcMode(in.HostConfig.IpcMode),
		}
		info := inspected(func(i *container.InspectResponse) { i.HostConfig = host })
		n := New(&coreStub{}).sandboxConfigOf(info, host, Sandbox{}).Namespaces
		mode := map[string]NamespaceMode{"network": n.Network, "pid": n.PID, "ipc": n.IPC}[in.Which]
		if mode == "" {
			mode = map[string]NamespaceMode{"network": NamespacePod, "pid": NamespaceContainer, "ipc": NamespacePod}[in.Which]
		}
		return map[string]any{"mode": strings.ToUpper(string(mode))}
	},

	"seccomp.container_opts_from_annotations": vectorAnnotations,
	"seccomp.sandbox_opts_from_annotations":   vectorAnnotations,
	"seccomp.created_container_has_opt": func(t *testing.T, c vectorCase) map[string]any {
		opt := strings.Replace(vectorIn[struct{ Opt string }](t, c).Opt, ":", "=", 1)
		opts := vectorAnnotations(t, c)["opts"].([]string)
		return map[string]any{"present": slices.Contains(opts, opt)}
	},
	"seccomp.localhost_from_root": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct {
			Annotation       string
			ProfileRootFiles map[string]string
		}](t, c)
		p, err := ParseSeccompProfile(in.Annotation)
		if err != nil {
			return failed(err)
		}
		return vectorSeccomp(t, p, writeFiles(t, t.TempDir(), in.ProfileRootFiles))
	},
	"seccomp.opts_from_path": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct {
			ProfilePath string
			Files       map[string]string
		}](t, c)
		dir := writeFiles(t, t.TempDir(), in.Files)
		p, err := ParseSeccompProfile(strings.ReplaceAll(in.ProfilePath, "$DIR", dir))
		if err != nil {
			return failed(err)
		}
		return vectorSeccomp(t, p, dir)
	},
	"seccomp.opts": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct {
			Profile *SecurityProfile
			Files   map[string]string
		}](t, c)
		dir := writeFiles(t, t.TempDir(), in.Files)
		p := in.Profile
		if p == nil {
			p = seccompOf(SecurityContext{}, &SecurityProfile{Type: ProfileUnconfined})
		} else if p.Type == ProfileLocalhost { // the kubelet's word stands before the path
			p.LocalhostRef = strings.ReplaceAll(strings.TrimPrefix(p.LocalhostRef, "localhost/"), "$DIR", dir)
		}
		return vectorSeccomp(t, p, "")
	},
	"apparmor.opts": func(t *testing.T, c vectorCase) map[string]any {
		p, err := ParseAppArmorProfile(vectorIn[struct{ Profile string }](t, c).Profile)
		if err != nil {
			return failed(err)
		}
		return map[string]any{"opts": securityOpts(nil, p, false, nil, "")}
	},
	"sysctls.from_annotations": func(t *testing.T, c vectorCase) map[string]any {
		m, err := SysctlsFromAnnotations(vectorIn[struct{ Annotations map[string]string }](t, c).Annotations)
		if err != nil {
			return failed(err)
		}
		return map[string]any{"sysctls": m}
	},
	"sandbox.security_opts": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct {
			Sandbox struct{ Name, Namespace, UID string }
		}](t, c).Sandbox
		req, err := checkedSandbox(SandboxConfig{Name: in.Name, Namespace: in.Namespace, UID: in.UID}, "", fullSite())
		if err != nil {
			t.Fatal(err)
		}
		return map[string]any{"opts": req.Host.SecurityOpt}
	},
	"pods.list": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct {
			All             bool
			Running, Exited []struct{ ID, Name string }
		}](t, c)
		ours := map[string]string{LabelType: TypeContainer}
		var entries []container.Summary
		for _, e := range in.Running {
			entries = append(entries, container.Summary{ID: e.ID, Names: []string{e.Name}, State: "running", Labels: ours})
		}
		for _, e := range in.Exited {
			entries = append(entries, container.Summary{ID: e.ID, Names: []string{e.Name}, State: "exited", Labels: ours})
		}
		f := Filter{State: StateRunning}
		if in.All {
			f.State = ""
		}
		_, list := listed(t, f, entries...)
		pods := map[string]map[string]any{}
		for _, entry := range list {
			n := entry.Name
			if pods[n.UID] == nil {
				pods[n.UID] = map[string]any{"uid": n.UID, "name": n.Pod, "namespace": n.Namespace, "containers": []any{}}
			}
			got := map[string]any{"id": entry.ID, "name": n.Container}
			for _, e := range entries {
				if old, err := ParseLegacyName(e.Names[0]); e.ID == entry.ID && err == nil && old.Hash != 0 {
					got["name"], got["hash"] = old.Container, old.Hash
				}
			}
			pods[n.UID]["containers"] = append(pods[n.UID]["containers"].([]any), got)
		}
		return map[string]any{"pods": slices.Collect(maps.Values(pods))}
	},
	"containers.running_of": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct {
			Containers map[string]bool
			IDs        []string
		}](t, c)
		var entries []container.Summary
		for _, id := range in.IDs {
			state := map[bool]string{true: "running", false: "exited"}[in.Containers[id]]
			entries = append(entries, container.Summary{ID: id, Names: []string{"/k8s_a_p_ns_u_0"}, State: state, Labels: map[string]string{LabelType: TypeContainer}})
		}
		_, list := listed(t, Filter{State: StateRunning}, entries...)
		ids := []string{}
		for _, entry := range list {
			ids = append(ids, entry.ID)
		}
		return map[string]any{"ids": ids}
	},

	"security.container_user":                       vectorSecurity,
	"security.host_config":                          vectorSecurity,
	"security.container_host_config_and_namespaces": vectorSecurity,
	"security.container_namespaces":                 vectorSecurity,
	"security.sandbox_namespaces": func(t *testing.T, c vectorCase) map[string]any {
		in := vectorIn[struct {
			NamespaceOptions vectorNamespaces
			NetworkPlugin    string
		}](t, c)
		_, s, site := plain()
		s.Namespaces = in.NamespaceOptions.options()
		req, err := checkedSandbox(s, "", site)
		if err != nil {
			t.Fatal(err)
		}
		return modes(req.Host)
	},
}

// vectorMounts reads mounts as CRI has them.
func vectorMounts(t *testing.T, c vectorCase) []Mount {
	in := vectorIn[struct {
		Mounts []struct {
			HostPath, ContainerPath  string
			Readonly, SELinuxRelabel bool
			Propagation              any
		}
	}](t, c)
	var ms []Mount
	for _, m := range in.Mounts {
		p, known := map[any]Propagation{
			"PRIVATE": PropagationPrivate, "HOST_TO_CONTAINER": PropagationHostToContainer, "BIDIRECTIONAL": PropagationBidirectional,
		}[m.Propagation]
		if !known {
			p = Propagation(fmt.Sprint(m.Propagation))
		}
		ms = append(ms, Mount{Source: m.HostPath, Target: m.ContainerPath, ReadOnly: m.Readonly, SELinuxRelabel: m.SELinuxRelabel, Propagation: p})
	}
	return ms
}

func stateFromText(t *testing.T, c vectorCase) map[string]any {
	got, err := New(&coreStub{}).fromSummary(container.Summary{ID: "1", Names: []string{"/k8s_a_p_ns_u_0"}, Status: vectorIn[struct{ Status string }](t, c).Status})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"state": strings.ToUpper(string(got.State))}
}

// vectorStatus is the status of a container whose inspection f has changed.
// The cases have no word for the state, as inspections had none.
func vectorStatus(t *testing.T, f func(*container.InspectResponse), img *Image) ContainerStatus {
	t.Helper()
	st, err := New(&coreStub{}).statusOf(inspected(f), img)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// vectorEntry is an entry of an engine's list.
type vectorEntry struct {
	ID, Image, ImageID, Status string
	Names                      []string
	Created                    int64
	Labels                     map[string]string
}

func (e vectorEntry) summary() container.Summary {
	return container.Summary{ID: e.ID, Names: e.Names, Image: e.Image, ImageID: e.ImageID, Created: e.Created, Status: e.Status, Labels: e.Labels}
}

type vectorFilter struct {
	ID, PodSandboxID, State string
	LabelSelector           map[string]string
}

// listed lists entries, and returns what the engine was asked for too.
func listed(t *testing.T, f Filter, entries ...container.Summary) (asked container.ListOptions, list []Container) {
	t.Helper()
	r := New(&coreStub{containerList: func(o container.ListOptions) ([]container.Summary, error) { asked = o; return entries, nil }})
	list, err := r.ListContainers(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if list == nil {
		t.Error("no list at all")
	}
	return asked, list
}

// filterMap is a query's filters by key, each sorted.
func filterMap(o container.ListOptions) map[string][]string {
	m := map[string][]string{}
	for _, k := range o.Filters.Keys() {
		m[k] = slices.Sorted(slices.Values(o.Filters.Get(k)))
	}
	return m
}

type vectorNamespaces struct{ Network, PID, IPC, TargetID string }

func (v vectorNamespaces) options() NamespaceOptions {
	mode := func(s string) NamespaceMode { return NamespaceMode(strings.ToLower(s)) }
	return NamespaceOptions{Network: mode(v.Network), PID: mode(v.PID), IPC: mode(v.IPC), TargetID: v.TargetID}
}

func modes(h *container.HostConfig) map[string]any {
	ipc := h.IpcMode
	if ipc == container.IPCModeShareable {
		ipc = "" // of the sandbox: what its containers join
	}
	return map[string]any{"networkMode": h.NetworkMode, "ipcMode": ipc, "pidMode": h.PidMode, "utsMode": h.UTSMode}
}

// vectorAnnotations builds a container of a pod with these annotations, as an
// agent did that left containers without one unconfined; or the sandbox, where
// there is no container.
func vectorAnnotations(t *testing.T, c vectorCase) map[string]any {
	in := vectorIn[struct {
		ContainerName string
		Annotations   map[string]string
	}](t, c)
	seccomp, err := SeccompFromAnnotations(in.Annotations, in.ContainerName)
	if err != nil {
		return failed(err)
	}
	appArmor, err := AppArmorFromAnnotations(in.Annotations, in.ContainerName)
	if err != nil {
		return failed(err)
	}
	seccomp = seccompOf(SecurityContext{Seccomp: seccomp}, &SecurityProfile{Type: ProfileUnconfined})
	return map[string]any{"opts": securityOpts(nil, appArmor, false, seccomp, "")}
}

// vectorSeccomp is what an engine is told of a seccomp profile.
func vectorSeccomp(t *testing.T, p *SecurityProfile, root string) map[string]any {
	t.Helper()
	v := &validator{}
	if v.profile("Seccomp", p, false); v.err() != nil {
		return failed(v.err())
	}
	content := ""
	if p != nil && p.Type == ProfileLocalhost {
		var err error
		if content, err = readSeccomp("Seccomp.LocalhostRef", root, p.LocalhostRef); err != nil {
			return failed(err)
		}
	}
	return map[string]any{"opts": securityOpts(nil, nil, false, p, content)}
}

// writeFiles writes files, with $DIR in a name for dir, and returns dir.
func writeFiles(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, strings.TrimPrefix(name, "$DIR"))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// vectorSecurity builds a container of a pod that has the namespaces which the
// container asks for, as a kubelet does it.
func vectorSecurity(t *testing.T, c vectorCase) map[string]any {
	in := vectorIn[struct {
		SecurityContext struct {
			RunAsUser, RunAsGroup *int64
			RunAsUsername         string
			Privileged            bool
			NoNewPrivs            bool
			SupplementalGroups    []int64
			Capabilities          *Capabilities
			SELinuxOptions        *SELinuxOptions
			MaskedPaths           []string
			ReadonlyPaths         []string
		}
		NamespaceOptions vectorNamespaces
		PodSandboxID     string
	}](t, c)
	sc := in.SecurityContext
	cfg, s, site := plain()
	site.sandboxID = in.PodSandboxID
	if in.NamespaceOptions.PID == "" && slices.Contains(c.Profiles, "k8s-1.23") {
		in.NamespaceOptions.PID = "POD" // CRI's zero value since there is one
	}
	s.Namespaces = in.NamespaceOptions.options()
	cfg.SecurityContext = SecurityContext{
		RunAsUser: sc.RunAsUser, RunAsUserName: sc.RunAsUsername, RunAsGroup: sc.RunAsGroup, SupplementalGroups: sc.SupplementalGroups,
		Privileged: sc.Privileged, NoNewPrivs: sc.NoNewPrivs, Capabilities: sc.Capabilities, SELinux: sc.SELinuxOptions,
		MaskedPaths: sc.MaskedPaths, ReadonlyPaths: sc.ReadonlyPaths, Namespaces: in.NamespaceOptions.options(),
	}
	req, err := checkedContainer(cfg, s, site)
	if err != nil {
		return failed(err)
	}
	h := req.Host
	got := map[string]any{
		"user": req.Config.User, "privileged": h.Privileged, "capAdd": h.CapAdd, "capDrop": h.CapDrop, "securityOpt": h.SecurityOpt,
		"groupAdd": h.GroupAdd, "maskedPaths": h.MaskedPaths, "readonlyPaths": h.ReadonlyPaths,
	}
	maps.Copy(got, modes(h))
	return got
}
