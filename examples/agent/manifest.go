package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// supported lists the fields of a pod that this agent honours. "[]" is each
// element of a list, "*" everything below.
var supported = fieldSet(`
	apiVersion kind
	metadata.name metadata.namespace metadata.labels.* metadata.annotations.*
	spec.restartPolicy spec.terminationGracePeriodSeconds
	spec.hostname spec.hostNetwork spec.hostPID spec.hostIPC spec.shareProcessNamespace
	spec.dnsPolicy spec.dnsConfig.*
	spec.securityContext.runAsUser spec.securityContext.runAsGroup spec.securityContext.runAsNonRoot
	spec.securityContext.supplementalGroups.* spec.securityContext.sysctls.* spec.securityContext.seccompProfile.*
	spec.volumes[].name spec.volumes[].hostPath.* spec.volumes[].emptyDir.*
	spec.containers[].name spec.containers[].image spec.containers[].imagePullPolicy
	spec.containers[].command.* spec.containers[].args.* spec.containers[].workingDir
	spec.containers[].env[].name spec.containers[].env[].value
	spec.containers[].ports.*
	spec.containers[].resources.limits.cpu spec.containers[].resources.limits.memory
	spec.containers[].resources.requests.cpu spec.containers[].resources.requests.memory
	spec.containers[].volumeMounts[].name spec.containers[].volumeMounts[].mountPath
	spec.containers[].volumeMounts[].readOnly spec.containers[].volumeMounts[].mountPropagation
	spec.containers[].stdin spec.containers[].stdinOnce spec.containers[].tty
	spec.containers[].securityContext.runAsUser spec.containers[].securityContext.runAsGroup
	spec.containers[].securityContext.runAsNonRoot spec.containers[].securityContext.privileged
	spec.containers[].securityContext.readOnlyRootFilesystem
	spec.containers[].securityContext.allowPrivilegeEscalation
	spec.containers[].securityContext.capabilities.* spec.containers[].securityContext.seccompProfile.*
`)

// readPods reads all manifests of a folder, sorted by namespace and name. If
// any of them cannot be read, or asks for what this agent cannot do, the error
// names each such field and there are no pods: half a folder must not pass for
// a whole one, as pods that are not in it are removed.
func readPods(dir string) ([]v1.Pod, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	var files []string
	for _, pattern := range []string{"*.yaml", "*.yml", "*.json"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	pods := []v1.Pod{}
	var errs []error
	from := map[string]string{} // file by pod
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, doc := range documents(text) {
			pod, err := parsePod(doc)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", file, err))
				continue
			}
			if other, ok := from[podName(pod)]; ok {
				errs = append(errs, fmt.Errorf("%s: pod %s is in %s already", file, podName(pod), other))
			}
			from[podName(pod)] = file
			pods = append(pods, pod)
		}
	}
	slices.SortFunc(pods, func(a, b v1.Pod) int { return strings.Compare(podName(a), podName(b)) })
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return pods, nil
}

var separator = regexp.MustCompile(`(?m)^---\s*$`)

// documents splits a YAML file.
func documents(text []byte) [][]byte {
	var docs [][]byte
	for _, doc := range separator.Split(string(text), -1) {
		if content, err := yaml.YAMLToJSON([]byte(doc)); err != nil || !bytes.Equal(bytes.TrimSpace(content), []byte("null")) {
			docs = append(docs, []byte(doc))
		}
	}
	return docs
}

// parsePod reads one manifest strictly: a field that Kubernetes does not know
// is an error, and so is one that this agent does not honour.
func parsePod(doc []byte) (v1.Pod, error) {
	var head struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal(doc, &head); err != nil {
		return v1.Pod{}, err
	}
	if head.APIVersion != "v1" || head.Kind != "Pod" {
		return v1.Pod{}, fmt.Errorf("apiVersion %q, kind %q: want v1, Pod", head.APIVersion, head.Kind)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(doc, &tree); err != nil {
		return v1.Pod{}, err
	}
	var p problems
	p.unsupported("", "", tree)
	var pod v1.Pod
	if err := yaml.UnmarshalStrict(doc, &pod); err != nil {
		return v1.Pod{}, errors.Join(p.err(), err)
	}
	if len(pod.Spec.Containers) == 0 {
		p.add("spec.containers", "there is none")
	}
	setDefaults(&pod)
	checkPod(&p, pod)
	return pod, p.err()
}

// setDefaults fills in what an API server would, as far as it matters here.
func setDefaults(pod *v1.Pod) {
	setDefault(&pod.Namespace, "default")
	setDefault(&pod.Spec.RestartPolicy, v1.RestartPolicyAlways)
	setDefault(&pod.Spec.DNSPolicy, v1.DNSDefault)
	if pod.Spec.TerminationGracePeriodSeconds == nil {
		pod.Spec.TerminationGracePeriodSeconds = new(int64)
		*pod.Spec.TerminationGracePeriodSeconds = v1.DefaultTerminationGracePeriodSeconds
	}
	for i := range pod.Spec.Containers {
		for j := range pod.Spec.Containers[i].Ports {
			setDefault(&pod.Spec.Containers[i].Ports[j].Protocol, v1.ProtocolTCP)
		}
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// setUID gives a pod an identity that follows from its manifest, as the
// kubelet does for static pods. One that was changed is another pod: the old
// one is removed, and then the new one is made. (So it is after an upgrade of
// this agent to types of Kubernetes that spell a manifest in another way.)
func setUID(pod *v1.Pod) error {
	pod.UID = ""
	text, err := json.Marshal(pod)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	pod.UID = types.UID(hex.EncodeToString(sum[:16]))
	return nil
}

func podName(pod v1.Pod) string { return pod.Namespace + "/" + pod.Name }

// problems collects what is wrong with a manifest, by field.
type problems []error

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
}

func (p *problems) err() error { return errors.Join(*p...) }

// unsupported reports every field that is set and not in the list. pattern is
// the field's path with "[]" for each index.
func (p *problems) unsupported(path, pattern string, value any) {
	switch {
	case value == nil || supported[pattern+".*"]:
		return
	case path != "" && !supported[pattern]:
		p.add(path, "this agent does not support it")
		return
	}
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			p.unsupported(strings.TrimPrefix(path+"."+key, "."), strings.TrimPrefix(pattern+"."+key, "."), value[key])
		}
	case []any:
		for i, v := range value {
			p.unsupported(fmt.Sprintf("%s[%d]", path, i), pattern+"[]", v)
		}
	}
}

// fieldSet returns the fields of a list and all that contain them.
func fieldSet(list string) map[string]bool {
	set := map[string]bool{}
	for _, field := range strings.Fields(list) {
		set[field] = true
		for i, c := range field {
			if c == '.' || c == '[' {
				set[field[:i]] = true
			}
			if c == ']' {
				set[field[:i+1]] = true
			}
		}
	}
	return set
}
