package dockpod

import (
	"fmt"
	"strings"
	"testing"
)

// What a container of usual size costs in functions that ask no engine. Those
// for names are BenchmarkParseName and TestParseNameAllocs.

var (
	usualLabels = map[string]string{
		LabelContainerName: "app", LabelPodName: "web-5d9c7b6f4-abcde", LabelPodNamespace: "production", LabelPodUID: "0b9f6c1e-7d2a-4c59-9f0e-000000000001",
	}
	usualAnnotations = map[string]string{
		LabelContainerHash: "5d41402a", LabelRestartCount: "0", LabelTerminationMessagePath: "/dev/termination-log",
		LabelTerminationMessagePolicy: "File", LabelPodTerminationGrace: "30", labelPorts: `[{"containerPort":80}]`,
	}
)

func usualContainer() (ContainerConfig, SandboxConfig, createSite) {
	c := ContainerConfig{
		Name: "app", Image: "registry.example/team/web:1.2", LogPath: "app/0.log",
		Envs: []EnvVar{
			{Key: "KUBERNETES_SERVICE_HOST", Value: "10.96.0.1"}, {Key: "KUBERNETES_SERVICE_PORT", Value: "443"},
			{Key: "POD_NAME", Value: "web-5d9c7b6f4-abcde"}, {Key: "LOG_LEVEL", Value: "info"},
		},
		Mounts: []Mount{{Source: "/etc/config", Target: "/etc/config", ReadOnly: true}, {Source: "/srv/data", Target: "/data"}},
		Labels: usualLabels, Annotations: usualAnnotations,
	}
	s := SandboxConfig{
		Name: usualLabels[LabelPodName], Namespace: usualLabels[LabelPodNamespace], UID: usualLabels[LabelPodUID],
		LogDirectory: "/var/log/pods/production_web-5d9c7b6f4-abcde",
	}
	return c, s, createSite{imageID: "sha256:" + strings.Repeat("0", 64), imageCommand: true}
}

// mergeLabels is JoinLabels as cri-dockerd has it, without a look at the keys.
func mergeLabels(labels, annotations map[string]string) map[string]string {
	merged := map[string]string{}
	for k, v := range labels {
		merged[k] = v
	}
	for k, v := range annotations {
		merged[fmt.Sprintf("%s%s", annotationPrefix, k)] = v
	}
	return merged
}

// BenchmarkTranslate makes the request for a container, with its digest.
func BenchmarkTranslate(b *testing.B) {
	c, s, site := usualContainer()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := buildContainer(c, s, site); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkJoinLabels compares it with the plain form.
func BenchmarkJoinLabels(b *testing.B) {
	b.Run("join", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := JoinLabels(usualLabels, usualAnnotations); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("merge", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mergeLabels(usualLabels, usualAnnotations)
		}
	})
}

// TestAllocations holds what does not depend on how busy the machine is.
func TestAllocations(t *testing.T) {
	c, s, site := usualContainer()
	merge := testing.AllocsPerRun(100, func() { mergeLabels(usualLabels, usualAnnotations) })
	for _, tt := range []struct {
		name string
		most float64
		f    func() error
	}{
		{"buildContainer", 120, func() error { _, err := buildContainer(c, s, site); return err }},
		{"JoinLabels", 0.6 * merge, func() error { _, err := JoinLabels(usualLabels, usualAnnotations); return err }},
	} {
		var err error
		got := testing.AllocsPerRun(100, func() { err = tt.f() })
		if err != nil || got > tt.most {
			t.Errorf("%s: %v allocations, want at most %v; error %v", tt.name, got, tt.most, err)
		}
		t.Logf("%s: %v allocations", tt.name, got)
	}
}
