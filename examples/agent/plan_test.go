package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dockpod/dockpod"
)

var noon = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// testPod is a pod "default/p" with UID uid.
func testPod(uid string, policy v1.RestartPolicy, containers ...string) v1.Pod {
	p := v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", UID: types.UID(uid)}}
	p.Spec.RestartPolicy = policy
	for _, name := range containers {
		p.Spec.Containers = append(p.Spec.Containers, v1.Container{Name: name})
	}
	return p
}

func testSandbox(id, uid string, attempt uint32, state dockpod.SandboxState) dockpod.Sandbox {
	return dockpod.Sandbox{ID: id, State: state, Name: dockpod.Name{
		Container: dockpod.SandboxContainerName, Pod: "p", Namespace: "default", UID: uid, Attempt: attempt,
	}}
}

func testContainer(id, sandbox, uid, name string, attempt uint32, state dockpod.State) dockpod.ContainerStatus {
	return dockpod.ContainerStatus{Container: dockpod.Container{ID: id, SandboxID: sandbox, State: state, EngineState: string(state), Name: dockpod.Name{
		Container: name, Pod: "p", Namespace: "default", UID: uid, Attempt: attempt,
	}}}
}

// ended is a container that ran for a second and ended so long before noon.
func ended(id, sandbox, uid, name string, attempt uint32, code int, ago time.Duration) dockpod.ContainerStatus {
	c := testContainer(id, sandbox, uid, name, attempt, dockpod.StateExited)
	c.ExitCode, c.Reason = code, dockpod.ReasonCompleted
	if code != 0 {
		c.Reason = dockpod.ReasonError
	}
	c.FinishedAt = noon.Add(-ago)
	c.StartedAt = c.FinishedAt.Add(-time.Second)
	return c
}

func TestPlan(t *testing.T) {
	const (
		ready    = dockpod.SandboxReady
		notReady = dockpod.SandboxNotReady
		created  = dockpod.StateCreated
		running  = dockpod.StateRunning
	)
	sandboxes := func(s ...dockpod.Sandbox) []dockpod.Sandbox { return s }
	containers := func(c ...dockpod.ContainerStatus) []dockpod.ContainerStatus { return c }
	always := testPod("u", v1.RestartPolicyAlways, "a")
	onFailure := testPod("u", v1.RestartPolicyOnFailure, "a")
	never := testPod("u", v1.RestartPolicyNever, "a")
	removing := testContainer("c0", "s0", "u", "a", 0, dockpod.StateUnknown)
	removing.EngineState = "removing"

	for _, test := range []struct {
		name       string
		pod        v1.Pod // zero: none is wanted
		sandboxes  []dockpod.Sandbox
		containers []dockpod.ContainerStatus
		want       []Action // Pod and UID are filled in, "default/p" and "u"
	}{
		{
			name: "nothing wanted, nothing there",
		},
		{
			name: "a new pod", pod: always,
			want: []Action{{Do: RunSandbox}},
		},
		{
			name: "killed after the sandbox", pod: testPod("u", v1.RestartPolicyAlways, "a", "b"),
			sandboxes: sandboxes(testSandbox("s0", "u", 0, ready)),
			want:      []Action{{Do: CreateContainer, Container: "a", ID: "s0"}, {Do: CreateContainer, Container: "b", ID: "s0"}},
		},
		{
			name: "killed between a sandbox's creation and its start", pod: always,
			sandboxes: sandboxes(testSandbox("s0", "u", 0, notReady)),
			want: []Action{
				{Do: RemoveSandbox, ID: "s0", Why: "it does not run"},
				{Do: RunSandbox, Attempt: 1},
			},
		},
		{
			name: "killed between a container's creation and its start", pod: always,
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, ready)),
			containers: containers(testContainer("c0", "s0", "u", "a", 0, created)),
			want:       []Action{{Do: StartContainer, Container: "a", ID: "c0"}},
		},
		{
			name: "all is well", pod: always,
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, ready)),
			containers: containers(testContainer("c0", "s0", "u", "a", 0, running)),
		},
		{
			name: "killed between the stop and the removal of a container", pod: always,
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, ready)),
			containers: containers(removing),
			want:       []Action{{Do: RemoveContainer, Container: "a", ID: "c0", Why: "its removal has begun"}},
		},
		{
			name: "a first end is followed at once", pod: always,
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, ready)),
			containers: containers(ended("c0", "s0", "u", "a", 0, 0, 0)),
			want:       []Action{{Do: CreateContainer, Container: "a", Attempt: 1, ID: "s0", Why: "the last one: Completed, exit code 0"}},
		},
		{
			name: "a second end waits", pod: always,
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, ready)),
			containers: containers(ended("c1", "s0", "u", "a", 1, 7, 9*time.Second)),
			want: []Action{{
				Do: Wait, Container: "a", Attempt: 2, ID: "s0", At: noon.Add(time.Second),
				Why: "the last one: Error, exit code 7",
			}},
		},
		{
			name: "until it has waited enough", pod: always,
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, ready)),
			containers: containers(ended("c1", "s0", "u", "a", 1, 7, 10*time.Second)),
			want:       []Action{{Do: CreateContainer, Container: "a", Attempt: 2, ID: "s0", Why: "the last one: Error, exit code 7"}},
		},
		{
			name: "one ended attempt is kept beside the running one", pod: always,
			sandboxes: sandboxes(testSandbox("s0", "u", 0, ready)),
			containers: containers(
				testContainer("c2", "s0", "u", "a", 2, running),
				ended("c1", "s0", "u", "a", 1, 7, time.Minute),
				ended("c0", "s0", "u", "a", 0, 7, time.Hour)),
			want: []Action{{Do: RemoveContainer, Container: "a", ID: "c0", Why: "there are newer attempts"}},
		},
		{
			name: "a failure is repeated with OnFailure", pod: onFailure,
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, ready)),
			containers: containers(ended("c0", "s0", "u", "a", 0, 1, 0)),
			want:       []Action{{Do: CreateContainer, Container: "a", Attempt: 1, ID: "s0", Why: "the last one: Error, exit code 1"}},
		},
		{
			name: "a success is not, and ends the pod", pod: onFailure,
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, ready)),
			containers: containers(ended("c0", "s0", "u", "a", 0, 0, 0)),
			want:       []Action{{Do: StopSandbox, ID: "s0", Why: "the pod has ended"}},
		},
		{
			name: "an ended pod is left as it is", pod: never,
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, notReady)),
			containers: containers(ended("c0", "s0", "u", "a", 0, 1, 0)),
		},
		{
			name: "a pod has not ended as long as one container runs", pod: testPod("u", v1.RestartPolicyNever, "a", "b"),
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, ready)),
			containers: containers(ended("c0", "s0", "u", "a", 0, 1, 0), testContainer("c1", "s0", "u", "b", 0, running)),
		},
		{
			name: "the sandbox died under a running container", pod: always,
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, notReady)),
			containers: containers(testContainer("c0", "s0", "u", "a", 0, running)),
			want:       []Action{{Do: RemoveContainer, Container: "a", ID: "c0", Why: "its sandbox does not run"}},
		},
		{
			name: "the sandbox died and its container with it", pod: always,
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, notReady)),
			containers: containers(ended("c4", "s0", "u", "a", 4, 137, time.Hour)),
			want:       []Action{{Do: RunSandbox, Attempt: 1}},
		},
		{
			name: "attempts go on in the next sandbox", pod: always,
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, notReady), testSandbox("s1", "u", 1, ready)),
			containers: containers(ended("c4", "s0", "u", "a", 4, 137, time.Hour)),
			want:       []Action{{Do: CreateContainer, Container: "a", Attempt: 5, ID: "s1", Why: "the last one: Error, exit code 137"}},
		},
		{
			name: "an old sandbox goes with the last container that tells of it", pod: always,
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, notReady), testSandbox("s1", "u", 1, ready)),
			containers: containers(testContainer("c5", "s1", "u", "a", 5, running)),
			want:       []Action{{Do: RemoveSandbox, ID: "s0", Why: "it does not run"}},
		},
		{
			name: "of two sandboxes that run the older goes", pod: always,
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, ready), testSandbox("s1", "u", 1, ready)),
			containers: containers(testContainer("c0", "s1", "u", "a", 0, running)),
			want:       []Action{{Do: RemoveSandbox, ID: "s0", Why: "there is a newer one"}},
		},
		{
			name: "work that was done is not repeated for a dead sandbox", pod: testPod("u", v1.RestartPolicyOnFailure, "a", "b"),
			sandboxes: sandboxes(testSandbox("s0", "u", 0, notReady), testSandbox("s1", "u", 1, ready)),
			containers: containers(
				ended("c0", "s0", "u", "a", 0, 0, time.Hour),
				ended("c1", "s0", "u", "b", 0, 137, time.Hour)),
			want: []Action{{Do: CreateContainer, Container: "b", Attempt: 1, ID: "s1", Why: "the last one: Error, exit code 137"}},
		},
		{
			name:       "a pod that is not wanted leaves",
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, ready), testSandbox("s1", "u", 1, notReady)),
			containers: containers(testContainer("c0", "s0", "u", "a", 0, running)),
			want:       []Action{{Do: RemovePod, ID: "s0"}, {Do: RemovePod, ID: "s1"}},
		},
		{
			name: "a container without its sandbox goes, and the pod waits for that", pod: always,
			containers: containers(testContainer("c0", "s0", "u", "a", 0, running)),
			want:       []Action{{Do: RemoveContainer, Container: "a", ID: "c0", Why: "its sandbox is gone"}},
		},
		{
			name: "a changed pod waits until its old self is gone", pod: testPod("new", v1.RestartPolicyAlways, "a"),
			sandboxes: sandboxes(testSandbox("s0", "u", 0, ready)),
			want:      []Action{{Do: RemovePod, ID: "s0"}},
		},
		{
			name: "what nobody understands is not touched", pod: always,
			sandboxes:  sandboxes(testSandbox("s0", "u", 0, ready)),
			containers: containers(testContainer("c0", "s0", "u", "a", 0, dockpod.StateUnknown)),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var want []v1.Pod
			if test.pod.Name != "" {
				want = append(want, test.pod)
			}
			have := Observed{Now: noon, Sandboxes: test.sandboxes, Containers: test.containers}
			for i := range test.want {
				test.want[i].Pod, test.want[i].UID = "default/p", "u"
			}
			if diff := cmp.Diff(test.want, plan(want, have, kubeletBackoff)); diff != "" {
				t.Errorf("plan mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlanOfSeveralPods(t *testing.T) {
	b := testPod("ub", v1.RestartPolicyAlways, "x")
	b.Name = "b"
	a := testPod("ua", v1.RestartPolicyAlways, "x")
	a.Name = "a"
	gone := testSandbox("s9", "uc", 0, dockpod.SandboxReady)
	want := []Action{
		{Do: RemovePod, Pod: "default/p", UID: "uc", ID: "s9"},
		{Do: RunSandbox, Pod: "default/a", UID: "ua"},
		{Do: RunSandbox, Pod: "default/b", UID: "ub"},
	}
	got := plan([]v1.Pod{a, b}, Observed{Now: noon, Sandboxes: []dockpod.Sandbox{gone}}, kubeletBackoff)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plan mismatch (-want +got):\n%s", diff)
	}
}

func TestBackoff(t *testing.T) {
	for _, test := range []struct {
		name    string
		attempt uint32
		ran     time.Duration
		want    time.Duration
	}{
		{"first end", 0, time.Second, 0},
		{"second", 1, time.Second, 10 * time.Second},
		{"third", 2, time.Second, 20 * time.Second},
		{"sixth", 5, time.Second, 160 * time.Second},
		{"no more than that", 6, time.Second, 5 * time.Minute},
		{"ever", 4_000_000_000, time.Second, 5 * time.Minute},
		{"a long run is forgiven", 6, 10 * time.Minute, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			st := dockpod.ContainerStatus{StartedAt: noon, FinishedAt: noon.Add(test.ran)}
			st.Name.Attempt = test.attempt
			if got := kubeletBackoff.delay(st); got != test.want {
				t.Errorf("delay after attempt %d = %v, want %v", test.attempt, got, test.want)
			}
		})
	}
}
