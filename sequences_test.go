package dockpod_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
)

// notOurs tells why a sequence of calls that upstream's tests make is not
// played. SyncPod and KillContainerInPod are the kubelet's own loop, which an
// agent writes over dockpod: examples/agent plays these roles.
var notOurs = map[string]string{
	"sequences/008": "a removal forces unless WithoutForcedRemoval, which the contract suite holds",
	"sequences/010": "a configuration is a value; an empty one is refused field by field, as TestSequenceEmptyConfig holds",
	"sequences/013": "an image is inspected once more after a pull: engines have reported success without one",
	"sequences/015": "a container's image is inspected, for it is created by ID",
	"sequences/023": "no network plugins; and a run that fails leaves no sandbox behind",
	"sequences/024": "no network plugins; and a run that fails leaves no sandbox behind",
	"sequences/027": "no network plugins; Ready answers for the engine, and has its own tests",
}

type sequence struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Steps []struct {
		Call   string          `json:"call"`
		In     json.RawMessage `json:"in"`
		SaveAs string          `json:"saveAs"`
		Times  int             `json:"times"`
		Want   json.RawMessage `json:"want"`
	} `json:"steps"`
	Want json.RawMessage `json:"want"`
}

// TestVectorSequences plays the sequences of calls that upstream's tests make,
// as far as they are a library's.
func TestVectorSequences(t *testing.T) {
	for _, s := range loadSequences(t) {
		t.Run(strings.TrimPrefix(s.ID, "sequences/"), func(t *testing.T) {
			if reason, ok := notOurs[s.ID]; ok {
				t.Logf("decided otherwise: %s", reason)
				return
			}
			switch call := s.Steps[len(s.Steps)-1].Call; call {
			case "SyncPod", "GetPodStatus", "KillContainerInPod":
				t.Logf("the kubelet's own loop: %s", call)
				return
			}
			newPlayer(t).play(t, s)
		})
	}
}

func loadSequences(t *testing.T) []sequence {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "shared", "vectors", "sequences.json"))
	if err != nil {
		data, err = os.ReadFile(filepath.Join("testdata", "vectors", "sequences.json"))
	}
	if err != nil {
		t.Fatal(err)
	}
	var list []sequence
	if err := json.Unmarshal(data, &list); err != nil {
		var file struct {
			Cases []sequence `json:"cases"`
		}
		if err := json.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
		list = file.Cases
	}
	if len(list) == 0 {
		t.Fatal("no sequences")
	}
	return list
}

// player plays a sequence on a fake engine, in the kubelet's format.
type player struct {
	docker *fake.Docker
	rt     *dockpod.Runtime
	mu     sync.Mutex
	now    time.Time
	times  map[string]time.Time
	saved  map[string]string
}

func newPlayer(t *testing.T) *player {
	p := &player{times: map[string]time.Time{}, saved: map[string]string{}, now: time.Unix(1_500_000_000, 0).UTC()}
	p.docker = &fake.Docker{Now: func() time.Time {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.now
	}}
	t.Cleanup(func() { p.docker.Close() })
	p.docker.AddImage("iamimage")
	p.rt = dockpod.New(p.docker)
	return p
}

type playedSandbox struct {
	Name, Namespace, UID string
	Attempt              uint32
	Labels, Annotations  map[string]string
}

func (s playedSandbox) config() dockpod.SandboxConfig {
	return dockpod.SandboxConfig{
		Name: s.Name, Namespace: s.Namespace, UID: s.UID, Attempt: s.Attempt, Labels: s.Labels, Annotations: s.Annotations,
	}
}

func (p *player) play(t *testing.T, s sequence) {
	ctx := t.Context()
	var last any
	for _, step := range s.Steps {
		var in struct {
			ID        string
			Sandbox   playedSandbox
			Container struct {
				Name, Image         string
				Attempt             uint32
				Labels, Annotations map[string]string
			}
			Timeout int
		}
		_ = json.Unmarshal(step.In, &in) // the clock's input is a string, a list's null
		id := in.ID
		if name, ok := strings.CutPrefix(id, "$"); ok {
			id = p.saved[name]
		}
		var got any
		var err error
		switch step.Call {
		case "daemon.hasImage": // every player's engine has it
		case "clock.set":
			var name string
			if err := json.Unmarshal(step.In, &name); err != nil {
				t.Fatal(err)
			}
			p.mu.Lock()
			p.now = p.now.Add(time.Minute)
			p.times[name] = p.now
			p.mu.Unlock()
		case "RunPodSandbox", "daemon.createAndStartSandbox":
			id, err = p.rt.RunSandbox(ctx, in.Sandbox.config())
		case "CreateContainer":
			// Upstream's fake takes a sandbox that is not there; dockpod
			// refuses it, so there is one.
			sandbox, rerr := p.rt.RunSandbox(ctx, in.Sandbox.config())
			if rerr != nil {
				t.Fatal(rerr)
			}
			p.saved["sandbox"] = sandbox
			id, err = p.rt.CreateContainer(ctx, sandbox, dockpod.ContainerConfig{
				Name: in.Container.Name, Attempt: in.Container.Attempt, Image: in.Container.Image,
				Labels: in.Container.Labels, Annotations: in.Container.Annotations,
			}, in.Sandbox.config())
		case "StartContainer":
			err = p.rt.StartContainer(ctx, id)
		case "StopContainer":
			// Upstream's fake ends a stopped container with 0.
			p.docker.Exit(id, 0)
			err = p.rt.StopContainer(ctx, id, 0)
		case "RemoveContainer":
			err = p.rt.RemoveContainer(ctx, id)
		case "daemon.inspect":
			info, ierr := p.docker.ContainerInspect(ctx, id)
			err = ierr
			if err == nil {
				got = map[string]any{"labels": map[string]string{
					dockpod.LabelType: info.Config.Labels[dockpod.LabelType],
					// The sequence calls the sandbox "sandboxid".
					dockpod.LabelSandboxID: strings.Replace(info.Config.Labels[dockpod.LabelSandboxID], p.saved["sandbox"], "sandboxid", 1),
				}}
			}
		case "ContainerStatus":
			st, serr := p.rt.ContainerStatus(ctx, id)
			got, err = p.status(st), serr
		case "PodSandboxStatus":
			st, serr := p.rt.SandboxStatus(ctx, id)
			err = serr
			last = p.sandboxStatus(t, st)
		case "ListPodSandbox":
			list, lerr := p.rt.ListSandboxes(ctx, dockpod.SandboxFilter{})
			err = lerr
			last = p.sandboxes(list)
		case "concurrently":
			p.concurrently(t, step.Times)
			return
		default:
			t.Fatalf("the player has no call %q", step.Call)
		}
		if step.SaveAs != "" {
			p.saved[step.SaveAs] = id
		}
		p.check(t, step.Call, got, err, step.Want)
	}
	var want struct{ Last json.RawMessage }
	if err := json.Unmarshal(s.Want, &want); err == nil && want.Last != nil {
		p.check(t, "last", last, nil, want.Last)
	}
}

// check compares by JSON, with the saved IDs and the clock's names in place.
func (p *player) check(t *testing.T, call string, got any, err error, want json.RawMessage) {
	t.Helper()
	var failure struct{ Error bool }
	if json.Unmarshal(want, &failure) == nil && failure.Error {
		if err == nil {
			t.Errorf("%s succeeded; want an error", call)
		}
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", call, err)
	}
	if want == nil {
		return
	}
	text, merr := json.Marshal(got)
	if merr != nil {
		t.Fatal(merr)
	}
	for name, id := range p.saved {
		text = []byte(strings.ReplaceAll(string(text), id, "$"+name))
	}
	var g, w any
	if err := errors.Join(json.Unmarshal(text, &g), json.Unmarshal(want, &w)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("%s mismatch (-want +got):\n%s", call, diff)
	}
}

// at spells a time as the sequences do: by the clock's name, 0 for never.
func (p *player) at(t time.Time) any {
	for name, at := range p.times {
		if at.Equal(t) {
			return name
		}
	}
	if t.IsZero() {
		return 0
	}
	return t.String()
}

func (p *player) status(st dockpod.ContainerStatus) map[string]any {
	ref := st.ImageRef
	if strings.HasPrefix(ref, dockpod.DockerPrefix) {
		ref = dockpod.DockerPrefix + "iamimage" // upstream's fake has the name for an ID
	}
	return map[string]any{
		"metadata": map[string]any{"name": st.Name.Container, "attempt": st.Name.Attempt},
		"image":    st.Image, "imageRef": ref, "exitCode": st.ExitCode, "message": st.Message,
		"mounts": []string{}, "labels": st.Labels, "annotations": st.Annotations,
		"state": strings.ToUpper(string(st.State)), "reason": st.Reason,
		"createdAt": p.at(st.CreatedAt), "startedAt": p.at(st.StartedAt), "finishedAt": p.at(st.FinishedAt),
	}
}

func metadata(n dockpod.Name) map[string]any {
	return map[string]any{"name": n.Pod, "namespace": n.Namespace, "uid": n.UID, "attempt": n.Attempt}
}

func (p *player) sandboxes(list []dockpod.Sandbox) []map[string]any {
	var out []map[string]any
	for _, s := range list {
		out = append(out, map[string]any{
			"id": s.ID, "metadata": metadata(s.Name), "state": strings.ToUpper(string(s.State)),
			"labels": s.Labels, "annotations": s.Annotations,
		})
	}
	return out
}

func (p *player) sandboxStatus(t *testing.T, st dockpod.SandboxStatus) map[string]any {
	t.Helper()
	if len(st.IPs) != 1 || !st.IPs[0].Is4() {
		t.Errorf("IPs are %v; want the one that the engine reports", st.IPs)
	}
	return map[string]any{
		"metadata": metadata(st.Name), "state": strings.ToUpper(string(st.State)),
		"ip": "<the IP the daemon reports>", "additionalIPs": []string{},
		"createdAt": p.at(st.CreatedAt), "labels": st.Labels, "annotations": st.Annotations,
	}
}

// concurrently runs pods and removes them again, all at once.
func (p *player) concurrently(t *testing.T, n int) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			name := "pod" + string(rune('a'+i))
			s := dockpod.SandboxConfig{Name: name, Namespace: "ns", UID: name}
			sandbox, err := p.rt.RunSandbox(t.Context(), s)
			if err != nil {
				t.Error(err)
				return
			}
			id, err := p.rt.CreateContainer(t.Context(), sandbox, dockpod.ContainerConfig{Name: "c", Image: "iamimage"}, s)
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(
				p.rt.RemoveContainer(t.Context(), id),
				p.rt.StopSandbox(t.Context(), sandbox, 0),
				p.rt.RemoveSandbox(t.Context(), sandbox),
			); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if list, err := p.rt.ListManaged(t.Context(), false); err != nil || len(list) != 0 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

func TestSequenceEmptyConfig(t *testing.T) {
	p := newPlayer(t)
	_, err := p.rt.CreateContainer(t.Context(), "s", dockpod.ContainerConfig{Name: "pause"}, dockpod.SandboxConfig{})
	var field *dockpod.FieldError
	if !errors.As(err, &field) {
		t.Fatalf("got %v; want a FieldError", err)
	}
	for _, name := range []string{"Image", "SandboxConfig.Name", "SandboxConfig.Namespace", "SandboxConfig.UID"} {
		if !strings.Contains(err.Error(), name+": empty") {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}
