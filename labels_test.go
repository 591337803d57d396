package dockpod

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

type labelMap = map[string]string

func TestJoinSplitLabels(t *testing.T) {
	for _, tt := range []struct {
		name                string
		labels, annotations labelMap
		docker              labelMap
	}{
		{"nil", nil, nil, labelMap{}},
		{"empty", labelMap{}, labelMap{}, labelMap{}},
		{"both", labelMap{"foo.123.abc": "baz"}, labelMap{"uio.ert": "dfs"}, labelMap{"foo.123.abc": "baz", "annotation.uio.ert": "dfs"}},
		{"one key twice", labelMap{"a": "label"}, labelMap{"a": "annotation"}, labelMap{"a": "label", "annotation.a": "annotation"}},
		{"empty values", labelMap{"a": ""}, labelMap{"b": ""}, labelMap{"a": "", "annotation.b": ""}},
		{"values with '=', NUL and newline", labelMap{"a": "x=y=z"}, labelMap{"b": "\x00\n"}, labelMap{"a": "x=y=z", "annotation.b": "\x00\n"}},
		{"annotation with the prefix", nil, labelMap{"annotation.a": "x"}, labelMap{"annotation.annotation.a": "x"}},
		{"annotation with an internal key", nil, labelMap{"io.kubernetes.sandbox.id": "x"}, labelMap{"annotation.io.kubernetes.sandbox.id": "x"}},
		{"keys near the internal ones", labelMap{"io.kubernetes.sandbox.id2": "x", "annotation": "y", "annotations.a": "z", "io.dockpodder": "w"}, nil,
			labelMap{"io.kubernetes.sandbox.id2": "x", "annotation": "y", "annotations.a": "z", "io.dockpodder": "w"}},
		{"what the kubelet gives", labelMap{"io.kubernetes.pod.name": "p", "io.kubernetes.container.name": "c"}, labelMap{"io.kubernetes.container.restartCount": "3", "kubernetes.io/config.seen": "x"},
			labelMap{"io.kubernetes.pod.name": "p", "io.kubernetes.container.name": "c", "annotation.io.kubernetes.container.restartCount": "3", "annotation.kubernetes.io/config.seen": "x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			labels, annotations := maps.Clone(tt.labels), maps.Clone(tt.annotations)
			docker, err := JoinLabels(labels, annotations)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.docker, docker); diff != "" {
				t.Errorf("JoinLabels mismatch (-want +got):\n%s", diff)
			}
			docker["io.kubernetes.docker.type"] = "container"
			docker["io.dockpod.schema"] = "1"
			if diff := cmp.Diff([]labelMap{tt.labels, tt.annotations}, []labelMap{labels, annotations}); diff != "" {
				t.Errorf("the caller's maps changed (-before +after):\n%s", diff)
			}
			gotLabels, gotAnnotations := SplitLabels(docker)
			if gotLabels == nil || gotAnnotations == nil {
				t.Fatalf("SplitLabels = %v, %v; want no nil map", gotLabels, gotAnnotations)
			}
			if !maps.Equal(gotLabels, tt.labels) || !maps.Equal(gotAnnotations, tt.annotations) {
				t.Errorf("SplitLabels = %v, %v; want %v, %v", gotLabels, gotAnnotations, tt.labels, tt.annotations)
			}
			gotLabels["new"] = "x"
			if _, ok := docker["new"]; ok {
				t.Error("SplitLabels returns the engine's own map")
			}
		})
	}
}

func TestJoinLabelsRefuses(t *testing.T) {
	for _, tt := range []struct {
		name                string
		labels, annotations labelMap
		want                string
	}{
		{"annotation among labels", labelMap{"annotation.a": "x"}, nil, `labels["annotation.a"]: keys that begin with "annotation." are annotations`},
		{"the prefix alone", labelMap{"annotation.": "x"}, nil, `labels["annotation."]: keys that begin with "annotation." are annotations`},
		{"type", labelMap{LabelType: "x"}, nil, `labels["io.kubernetes.docker.type"]: the key is the runtime's own`},
		{"log path", labelMap{LabelLogPath: "x"}, nil, `labels["io.kubernetes.container.logpath"]: the key is the runtime's own`},
		{"sandbox ID", labelMap{LabelSandboxID: "x"}, nil, `labels["io.kubernetes.sandbox.id"]: the key is the runtime's own`},
		{"reserved label", labelMap{"io.dockpod.x": "x"}, nil, `labels["io.dockpod.x"]: keys that begin with "io.dockpod." are the library's own`},
		{"reserved annotation", nil, labelMap{LabelOwner: "x"}, `annotations["io.dockpod.owner"]: keys that begin with "io.dockpod." are the library's own`},
		{"empty label", labelMap{"": "x"}, nil, `labels[""]: empty key`},
		{"empty annotation", nil, labelMap{"": "x"}, `annotations[""]: empty key`},
		{"'=' in a label", labelMap{"a=b": "x"}, nil, `labels["a=b"]: '=' in the key`},
		{"'=' in an annotation", nil, labelMap{"a=b": "x"}, `annotations["a=b"]: '=' in the key`},
		{"NUL in a label", labelMap{"a\x00": "x"}, nil, `labels["a\x00"]: NUL in the key`},
		{"NUL in an annotation", nil, labelMap{"a\x00": "x"}, `annotations["a\x00"]: NUL in the key`},
		{"label no UTF-8", labelMap{"a\xff": "x"}, nil, `labels["a\xff"]: the key is not UTF-8`},
		{"annotation no UTF-8", nil, labelMap{"a\xff": "x"}, `annotations["a\xff"]: the key is not UTF-8`},
		{"label's value no UTF-8", labelMap{"a": "secret\xff"}, nil, `labels["a"]: the value is not UTF-8`},
		{"annotation's value no UTF-8", nil, labelMap{"a": "secret\xff"}, `annotations["a"]: the value is not UTF-8`},
		{"the first of many", labelMap{"z=": "", "m=": "", "n": "", "b=": ""}, labelMap{"a=": ""}, `labels["b="]: '=' in the key`},
		{"labels before annotations", labelMap{"z=": ""}, labelMap{"a=": ""}, `labels["z="]: '=' in the key`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 5 { // the order of a map must not show
				docker, err := JoinLabels(tt.labels, tt.annotations)
				var field *FieldError
				if !errors.As(err, &field) || !errdefs.IsInvalidArgument(err) {
					t.Fatalf("error %v, want a FieldError of class InvalidArgument", err)
				}
				if err.Error() != tt.want {
					t.Fatalf("error %q, want %q", err, tt.want)
				}
				if docker != nil {
					t.Errorf("a map beside the error: %v", docker)
				}
			}
		})
	}
}

func TestSplitLabels(t *testing.T) {
	for _, tt := range []struct {
		name                string
		docker              labelMap
		labels, annotations labelMap
	}{
		{"nil", nil, labelMap{}, labelMap{}},
		{"internal", labelMap{"io.kubernetes.docker.type": "container", "io.kubernetes.container.logpath": "/l", "io.kubernetes.sandbox.id": "s", "app": "x"},
			labelMap{"app": "x"}, labelMap{}},
		{"ours", labelMap{"io.dockpod.owner": "ci", "io.dockpod.type": "container", "io.dockpod.a.later.one": "x", "io.dockpod.": "y"}, labelMap{}, labelMap{}},
		{"ours as annotation", labelMap{"annotation.io.dockpod.owner": "ci"}, labelMap{}, labelMap{}},
		{"internal as annotation", labelMap{"annotation.io.kubernetes.docker.type": "x"}, labelMap{}, labelMap{"io.kubernetes.docker.type": "x"}},
		{"container label of a container", labelMap{"io.kubernetes.docker.type": "container", "io.kubernetes.container.name": "c"},
			labelMap{"io.kubernetes.container.name": "c"}, labelMap{}},
		{"container label of a sandbox", labelMap{"io.kubernetes.docker.type": "podsandbox", "io.kubernetes.container.name": "POD", "io.kubernetes.pod.name": "p"},
			labelMap{"io.kubernetes.pod.name": "p"}, labelMap{}},
		{"container label of an owned sandbox", labelMap{"io.dockpod.type": "podsandbox", "io.kubernetes.container.name": "POD"}, labelMap{}, labelMap{}},
		{"container label without a type", labelMap{"io.kubernetes.container.name": "POD"}, labelMap{"io.kubernetes.container.name": "POD"}, labelMap{}},
		{"added", labelMap{"io.dockpod.added": "pod.uid,container.name", "io.kubernetes.pod.name": "p", "io.kubernetes.pod.uid": "u", "io.kubernetes.container.name": "c"},
			labelMap{"io.kubernetes.pod.name": "p"}, labelMap{}},
		{"added names nothing else", labelMap{"io.dockpod.added": "app,container.hash,", "app": "x", "io.kubernetes.container.hash": "1f"},
			labelMap{"app": "x", "io.kubernetes.container.hash": "1f"}, labelMap{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			labels, annotations := SplitLabels(tt.docker)
			if diff := cmp.Diff(tt.labels, labels); diff != "" {
				t.Errorf("labels mismatch (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.annotations, annotations); diff != "" {
				t.Errorf("annotations mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAddPodLabels(t *testing.T) {
	container := Name{Container: "c", Pod: "p", Namespace: "n", UID: "u"}
	sandbox := Name{Container: "POD", Pod: "p", Namespace: "n", UID: "u"}
	for _, tt := range []struct {
		name  string
		of    Name
		given labelMap
		added string // empty: nothing
	}{
		{"nothing given", container, nil, "pod.name,pod.namespace,pod.uid,container.name"},
		{"others given", container, labelMap{"app": "x"}, "pod.name,pod.namespace,pod.uid,container.name"},
		{"some given", container, labelMap{LabelPodName: "p", LabelContainerName: "c"}, "pod.namespace,pod.uid"},
		{"another value given", container, labelMap{LabelPodName: "other"}, "pod.namespace,pod.uid,container.name"},
		{"all given", container, labelMap{LabelPodName: "p", LabelPodNamespace: "n", LabelPodUID: "u", LabelContainerName: "c"}, ""},
		{"sandbox", sandbox, labelMap{LabelPodName: "p", LabelPodNamespace: "n", LabelPodUID: "u"}, "container.name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			docker, err := JoinLabels(tt.given, labelMap{"note": "x"})
			if err != nil {
				t.Fatal(err)
			}
			if err := addPodLabels(docker, tt.of); err != nil {
				t.Fatal(err)
			}
			if docker[labelAdded] != tt.added {
				t.Errorf("noted as added: %q, want %q", docker[labelAdded], tt.added)
			}
			if tt.given[LabelPodName] != "other" {
				if n, err := nameFromLabels(docker); err != nil || n != tt.of {
					t.Errorf("nameFromLabels = %+v, %v; want %+v", n, err, tt.of)
				}
			}
			labels, annotations := SplitLabels(docker)
			if !maps.Equal(labels, tt.given) || !maps.Equal(annotations, labelMap{"note": "x"}) {
				t.Errorf("SplitLabels = %v, %v; want what was given: %v", labels, annotations, tt.given)
			}
		})
	}
	for _, value := range []string{"c", "POD"} {
		docker := labelMap{LabelContainerName: value}
		if err := addPodLabels(docker, sandbox); !errdefs.IsInvalidArgument(err) {
			t.Errorf("a sandbox with the container label %q: error %v, want class InvalidArgument", value, err)
		}
		if diff := cmp.Diff(labelMap{LabelContainerName: value}, docker); diff != "" {
			t.Errorf("labels changed beside the error (-before +after):\n%s", diff)
		}
	}
}

func TestCheckLabelSize(t *testing.T) {
	big := labelMap{"k": strings.Repeat("v", defaultMaxLabelBytes)}
	for _, tt := range []struct {
		name string
		m    labelMap
		max  int
		want string
	}{
		{"nil", nil, 1, ""},
		{"fits", labelMap{"ab": "cd", "e": "f"}, 6, ""},
		{"one byte over", labelMap{"ab": "cd", "e": "f"}, 5, "Labels: 6 bytes with the annotations; want at most 5"},
		{"the default", big, 0, "Labels: 1048577 bytes with the annotations; want at most 1048576"},
		{"just the default", labelMap{"k": strings.Repeat("v", defaultMaxLabelBytes-1)}, 0, ""},
		{"no bound", big, -1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := checkLabelSize(tt.m, tt.max)
			if (tt.want == "") != (err == nil) || (err != nil && (err.Error() != tt.want || !errdefs.IsInvalidArgument(err))) {
				t.Errorf("checkLabelSize = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestKubeletLabels(t *testing.T) {
	type answer struct {
		Value any
		OK    bool
		Err   string
	}
	getters := []struct {
		key string
		get func(KubeletLabels) answer
	}{
		{"io.kubernetes.container.restartCount", func(l KubeletLabels) answer { v, ok, err := l.RestartCount(); return answer{v, ok, errText(err)} }},
		{"io.kubernetes.container.hash", func(l KubeletLabels) answer { v, ok, err := l.ContainerHash(); return answer{v, ok, errText(err)} }},
		{"io.kubernetes.container.terminationMessagePath", func(l KubeletLabels) answer { v, ok := l.TerminationMessagePath(); return answer{v, ok, ""} }},
		{"io.kubernetes.container.terminationMessagePolicy", func(l KubeletLabels) answer {
			v, ok, err := l.TerminationMessagePolicy()
			return answer{v, ok, errText(err)}
		}},
		{"io.kubernetes.pod.deletionGracePeriod", func(l KubeletLabels) answer { v, ok, err := l.PodDeletionGrace(); return answer{v, ok, errText(err)} }},
		{"io.kubernetes.pod.terminationGracePeriod", func(l KubeletLabels) answer {
			v, ok, err := l.PodTerminationGrace()
			return answer{v, ok, errText(err)}
		}},
	}
	absent := []any{uint32(0), uint64(0), "", "", time.Duration(0), time.Duration(0)}
	for i, g := range getters {
		for _, l := range []KubeletLabels{nil, {}, {"other": "x"}} {
			if diff := cmp.Diff(answer{Value: absent[i]}, g.get(l)); diff != "" {
				t.Errorf("%s absent mismatch (-want +got):\n%s", g.key, diff)
			}
		}
	}
	for _, tt := range []struct {
		getter int
		text   string
		want   any // nil: malformed
	}{
		{0, "0", uint32(0)}, {0, "5", uint32(5)}, {0, "4294967295", uint32(1<<32 - 1)},
		{0, "4294967296", nil}, {0, "-1", nil}, {0, "", nil}, {0, "5 ", nil}, {0, "1e3", nil},
		{1, "0", uint64(0)}, {1, "cafe", uint64(0xcafe)}, {1, "ffffffffffffffff", uint64(1<<64 - 1)},
		{1, "10000000000000000", nil}, {1, "hash1", nil}, {1, "0x1f", nil}, {1, "", nil},
		{2, "/dev/termination-log", "/dev/termination-log"}, {2, "", ""},
		{3, "File", "File"}, {3, "FallbackToLogsOnError", "FallbackToLogsOnError"}, {3, "", ""}, {3, "file", nil},
		{4, "30", 30 * time.Second}, {4, "0", time.Duration(0)}, {4, "-1", -time.Second}, {4, "9223372036", 9223372036 * time.Second},
		{4, "9223372037", nil}, {4, "9223372036854775808", nil}, {4, "-9223372036854775808", nil}, {4, "30s", nil}, {4, "", nil},
		{5, "10", 10 * time.Second}, {5, "ten", nil},
	} {
		g := getters[tt.getter]
		want := answer{Value: tt.want, OK: true}
		for _, key := range []string{g.key, "annotation." + g.key} {
			got := g.get(KubeletLabels{key: tt.text})
			if tt.want != nil {
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s = %q mismatch (-want +got):\n%s", key, tt.text, diff)
				}
				continue
			}
			if got.OK || got.Value != absent[tt.getter] || !strings.HasPrefix(got.Err, fmt.Sprintf("labels[%q]: %q; want ", g.key, tt.text)) {
				t.Errorf("%s = %q: %+v, want an error that names the key", key, tt.text, got)
			}
		}
	}
	both := KubeletLabels{"io.kubernetes.container.restartCount": "1", "annotation.io.kubernetes.container.restartCount": "2"}
	if n, _, _ := both.RestartCount(); n != 1 {
		t.Errorf("label and annotation: %d, want the label's 1", n)
	}
	if _, _, err := (KubeletLabels{"io.kubernetes.container.hash": "x"}).ContainerHash(); !errdefs.IsInvalidArgument(err) {
		t.Errorf("class of %v is not InvalidArgument", err)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// labelVectors tells where we do not answer as the kubelet did.
var labelVectors = map[string]overruled{
	"labels/005": {`{"error":true}`,
		"a label that begins with \"annotation.\" would be overwritten in silence, or come back as an annotation"},
	"labels/015": {`{"dockerLabels":{"io.kubernetes.docker.type":"container","io.kubernetes.sandbox.id":"s"}}`,
		"without a log path there is no log label: an empty one says the same and costs each list 32 bytes"},
	"labels/024": {`{"podName":"test_pod","podNamespace":"test_pod_namespace","podUID":"test_pod_uid","name":"test_container",` +
		`"hash":"cafe","restartCount":5,"terminationMessagePath":"/somepath","podDeletionGracePeriod":null,"podTerminationGracePeriod":null,"preStopHandler":null}`,
		"the whole pod in one label is a format of kubelets up to 1.1, which wrote an API version long gone; what it alone holds counts as absent"},
}

func TestLabelVectors(t *testing.T) {
	type input struct {
		Labels, Annotations, DockerLabels labelMap
		PodSandboxID                      string
		LogDirectory, LogPath, Label      string
		Pod                               struct {
			Name, Namespace, UID                                      string
			DeletionGracePeriodSeconds, TerminationGracePeriodSeconds *int64
		}
		Container struct {
			Name, TerminationMessagePath string
			Ports                        []any
		}
		RestartCount int
		Inspect      struct{ Config struct{ Labels labelMap } }
	}
	const hash = "cafe"

	// kubeletWrites is the map of labels as kubelets up to 1.5 made it. The
	// library makes no such labels; it has to know the keys and read them.
	kubeletWrites := func(in input) labelMap {
		m := labelMap{
			LabelPodName: in.Pod.Name, LabelPodNamespace: in.Pod.Namespace, LabelPodUID: in.Pod.UID,
			LabelContainerName: in.Container.Name, LabelContainerHash: hash, LabelRestartCount: strconv.Itoa(in.RestartCount),
			LabelTerminationMessagePath: in.Container.TerminationMessagePath,
		}
		if s := in.Pod.DeletionGracePeriodSeconds; s != nil {
			m[LabelPodDeletionGrace] = strconv.FormatInt(*s, 10)
		}
		if s := in.Pod.TerminationGracePeriodSeconds; s != nil {
			m[LabelPodTerminationGrace] = strconv.FormatInt(*s, 10)
		}
		if in.Container.Ports != nil {
			data, err := json.Marshal(in.Container.Ports)
			if err != nil {
				t.Fatal(err)
			}
			m[labelPorts] = string(data)
		}
		return m
	}
	read := func(t *testing.T, m labelMap) map[string]any {
		l := KubeletLabels(m)
		count, _, err1 := l.RestartCount()
		sum, _, err2 := l.ContainerHash()
		deletion, okDeletion, err3 := l.PodDeletionGrace()
		termination, okTermination, err4 := l.PodTerminationGrace()
		file, _ := l.TerminationMessagePath()
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatal(err)
		}
		got := map[string]any{
			"podName": m[LabelPodName], "podNamespace": m[LabelPodNamespace], "podUID": m[LabelPodUID], "name": m[LabelContainerName],
			"hash": strconv.FormatUint(sum, 16), "restartCount": count, "terminationMessagePath": file,
			"podDeletionGracePeriod": nil, "podTerminationGracePeriod": nil, "preStopHandler": nil,
		}
		if okDeletion {
			got["podDeletionGracePeriod"] = deletion.Seconds()
		}
		if okTermination {
			got["podTerminationGracePeriod"] = termination.Seconds()
		}
		if p, ok := m[labelPorts]; ok {
			got["ports"] = json.RawMessage(p)
		}
		return got
	}

	for _, c := range loadVectors(t, "labels.json") {
		t.Run(c.ID, func(t *testing.T) {
			c.In = bytes.ReplaceAll(c.In, []byte("$HASH"), []byte(hash))
			c.Want = bytes.ReplaceAll(c.Want, []byte("$HASH"), []byte(hash))
			in := vectorIn[input](t, c)
			var got map[string]any
			switch c.Op {
			case "labels.make":
				if docker, err := JoinLabels(in.Labels, in.Annotations); err == nil {
					got = map[string]any{"dockerLabels": docker}
				}
			case "labels.extract":
				labels, annotations := SplitLabels(in.DockerLabels)
				got = map[string]any{"labels": labels, "annotations": annotations}
			case "container.create_labels":
				docker, err := JoinLabels(in.Labels, in.Annotations)
				if err != nil {
					t.Fatal(err)
				}
				docker[LabelType] = TypeContainer
				docker[LabelSandboxID] = in.PodSandboxID
				if in.LogPath != "" {
					docker[LabelLogPath] = path.Join(in.LogDirectory, in.LogPath)
				}
				got = map[string]any{"dockerLabels": docker}
			case "container.create_label_value":
				got = map[string]any{"value": labelMap{LabelLogPath: path.Join(in.LogDirectory, in.LogPath)}[in.Label]}
			case "sandbox.create_label_value":
				got = map[string]any{"value": labelMap{LabelContainerName: SandboxContainerName, LabelType: TypeSandbox}[in.Label]}
			case "pod_labels.roundtrip":
				got = read(t, kubeletWrites(in))
			case "pod_labels.parse_with_pod_data":
				got = read(t, in.Labels)
			case "pod_labels.make":
				docker := kubeletWrites(in)
				absent := []string{}
				for _, k := range []string{LabelPodDeletionGrace, LabelPodTerminationGrace, labelPreStop} {
					if _, ok := docker[k]; !ok {
						absent = append(absent, k)
					}
				}
				got = map[string]any{"labels": docker, "absent": absent}
			case "pod_labels.pod_and_container":
				if n, err := nameFromLabels(in.Inspect.Config.Labels); err == nil {
					got = map[string]any{"pod": n.Pod, "container": n.Container}
				}
			default:
				t.Fatalf("operation %q is not known", c.Op)
			}
			checkVector(t, c, labelVectors, got)
		})
	}
}

func FuzzLabels(f *testing.F) {
	f.Add("app", "x", "io.kubernetes.pod.name", "p", "note", "y", "kubernetes.io/config.seen", "z")
	f.Add("annotation.a", "x", "a=b", "", "io.dockpod.owner", "y", "", "z")
	f.Add("io.kubernetes.docker.type", "podsandbox", "io.kubernetes.container.name", "POD", "io.kubernetes.docker.type", "x", "annotation.a", "y")
	f.Add("io.dockpod.added", "pod.name", "io.dockpod.type", "podsandbox", "io.dockpod.added", "pod.uid", "a\x00", "\xff")
	f.Add("\xff", "\x00", "é", "\u2028", "a", "<>&", "annotation.io.dockpod.x", "=")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2, a1, w1, a2, w2 string) {
		labels, annotations := labelMap{k1: v1, k2: v2}, labelMap{a1: w1, a2: w2}
		docker, err := JoinLabels(labels, annotations)
		if err != nil {
			var field *FieldError
			if !errors.As(err, &field) || docker != nil {
				t.Fatalf("JoinLabels = %v, %v; want a FieldError", docker, err)
			}
		} else {
			for _, n := range []Name{
				{Container: "c", Pod: "p", Namespace: "n", UID: "u"},
				{Container: SandboxContainerName, Pod: "p", Namespace: "n", UID: "u"},
			} {
				full := maps.Clone(docker)
				full[LabelType], full[LabelLogPath], full[LabelSandboxID] = TypeContainer, "/l", "s"
				if n.IsSandbox() {
					full[LabelType] = TypeSandbox
				}
				full[LabelSchema] = schemaVersion
				_, given := labels[LabelContainerName]
				if err := addPodLabels(full, n); (err != nil) != (given && n.IsSandbox()) {
					t.Fatalf("addPodLabels of %+v to %q: %v", n, docker, err)
				} else if err != nil {
					continue
				}
				// An engine keeps labels as JSON.
				data, err := json.Marshal(full)
				if err != nil {
					t.Fatal(err)
				}
				var back labelMap
				if err := json.Unmarshal(data, &back); err != nil {
					t.Fatal(err)
				}
				gotLabels, gotAnnotations := SplitLabels(back)
				if !maps.Equal(gotLabels, labels) || !maps.Equal(gotAnnotations, annotations) {
					t.Errorf("SplitLabels = %q, %q; want %q, %q", gotLabels, gotAnnotations, labels, annotations)
				}
			}
		}

		// Whatever an engine holds, nothing of the runtime's own comes out.
		foreign := labelMap{k1: v1, k2: v2, a1: w1, a2: w2, "annotation." + a1: w1, "io.dockpod." + k1: v1}
		gotLabels, gotAnnotations := SplitLabels(foreign)
		for k := range gotLabels {
			if isInternal(k) || strings.HasPrefix(k, reservedPrefix) || strings.HasPrefix(k, annotationPrefix) {
				t.Errorf("label %q leaks from %q", k, foreign)
			}
		}
		for k := range gotAnnotations {
			if strings.HasPrefix(k, reservedPrefix) {
				t.Errorf("annotation %q leaks from %q", k, foreign)
			}
		}
	})
}

// goldenReleased is the length and the digest of the part of names.txt that a
// release was made with. It grows when lines are appended; a line that stands
// in it is on somebody's engine and must not change.
const (
	goldenReleased = 15184
	goldenDigest   = "2473497abcd6b783e17a1222b081e48f0e2ebe5803698d707fc47ad55337c37f"
)

// TestGoldenNames reads what other programs and earlier releases have written.
func TestGoldenNames(t *testing.T) {
	data, err := os.ReadFile("testdata/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")) // as git may check it out
	if !utf8.Valid(data) || !bytes.HasSuffix(data, []byte("\n")) {
		t.Error("names.txt is not UTF-8 or does not end in a newline")
	}
	if len(data) < goldenReleased {
		t.Fatalf("names.txt has %d bytes; %d were released", len(data), goldenReleased)
	}
	if sum := sha256.Sum256(data[:goldenReleased]); hex.EncodeToString(sum[:]) != goldenDigest {
		t.Errorf("the first %d bytes of names.txt have changed (SHA-256 %x); it is only ever appended to", goldenReleased, sum)
	}

	seen := map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 4 {
			t.Errorf("line %d has %d fields, want 4", n, len(f))
			continue
		}
		kind, text, want := f[0], f[2], f[3]
		seen[kind+" of "+f[1]]++
		t.Run(fmt.Sprintf("line %d", n), func(t *testing.T) {
			into := func(text string, v any) {
				d := json.NewDecoder(strings.NewReader(text))
				d.DisallowUnknownFields()
				if err := d.Decode(v); err != nil {
					t.Fatal(err)
				}
			}
			switch kind {
			case "name":
				var w struct {
					Prefix string
					Name
				}
				into(want, &w)
				g := Naming{Prefix: w.Prefix}
				for _, s := range []string{text, "/" + text} {
					got, err := g.Parse(s)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(w.Name, got); diff != "" {
						t.Errorf("%q mismatch (-want +got):\n%s", s, diff)
					}
				}
				if s := g.Format(w.Name); s != text {
					t.Errorf("written as %q, want %q", s, text)
				}
			case "legacy":
				var w LegacyName
				into(want, &w)
				got, err := ParseLegacyName(text)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(w, got); diff != "" {
					t.Errorf("%q mismatch (-want +got):\n%s", text, diff)
				}
				if s := w.String(); s != text {
					t.Errorf("written as %q, want %q", s, text)
				}
				if n, err := ParseName(text); err == nil {
					t.Errorf("also reads as %+v", n)
				}
			case "labels":
				var docker labelMap
				type split struct {
					Sandbox             bool
					Labels, Annotations labelMap
					Name                *Name // as the labels alone tell it
				}
				var w split
				into(text, &docker)
				into(want, &w)
				got := split{Sandbox: isSandboxLabels(docker)}
				got.Labels, got.Annotations = SplitLabels(docker)
				if n, err := nameFromLabels(docker); err == nil {
					got.Name = &n
				}
				if diff := cmp.Diff(w, got); diff != "" {
					t.Errorf("mismatch (-want +got):\n%s", diff)
				}
			default:
				t.Errorf("kind %q is not known", kind)
			}
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"name of dockershim", "labels of dockershim", "name of cri-dockerd", "labels of cri-dockerd",
		"legacy of dockertools", "labels of dockertools", "name of dockpod", "labels of dockpod",
	} {
		if seen[want] == 0 {
			t.Errorf("names.txt has no %s; it has %v", want, slices.Sorted(maps.Keys(seen)))
		}
	}
}

func BenchmarkSplitLabels(b *testing.B) {
	docker := labelMap{
		LabelPodName: "p", LabelPodNamespace: "n", LabelPodUID: "u", LabelContainerName: "c",
		"annotation." + LabelContainerHash: "cafe", "annotation." + LabelRestartCount: "0", "annotation." + LabelTerminationMessagePath: "/dev/termination-log",
		"annotation." + LabelTerminationMessagePolicy: "File", "annotation." + LabelPodTerminationGrace: "30",
		LabelType: TypeContainer, LabelLogPath: "/l", LabelSandboxID: "s", LabelSchema: "1", LabelImage: "busybox",
	}
	b.ReportAllocs()
	for b.Loop() {
		if labels, _ := SplitLabels(docker); len(labels) != 4 {
			b.Fatal(labels)
		}
	}
}
