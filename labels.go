package dockpod

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dockpod/dockpod/internal/lean"
)

// Labels that the kubelet's dockershim and cri-dockerd write for themselves.
// [SplitLabels] hides them and [JoinLabels] refuses them.
const (
	LabelType      = "io.kubernetes.docker.type"       // TypeContainer or TypeSandbox
	LabelLogPath   = "io.kubernetes.container.logpath" // where the log is linked or written
	LabelSandboxID = "io.kubernetes.sandbox.id"        // of a container: the ID of its sandbox

	TypeContainer = "container"
	TypeSandbox   = "podsandbox"
)

// Labels that tell whose a container is. The kubelet writes them as a pod's
// own, so they are labels like others here.
const (
	LabelPodName       = "io.kubernetes.pod.name"
	LabelPodNamespace  = "io.kubernetes.pod.namespace"
	LabelPodUID        = "io.kubernetes.pod.uid"
	LabelContainerName = "io.kubernetes.container.name" // of a sandbox "POD", and then hidden
)

// Labels of dockpod's own. No key that begins with "io.dockpod." goes in or
// comes out through [JoinLabels] and [SplitLabels].
const (
	LabelOwner     = "io.dockpod.owner"  // the owner that WithOwner names
	LabelOwnedType = "io.dockpod.type"   // stands for LabelType where there is an owner
	LabelImage     = "io.dockpod.image"  // the image reference as asked for
	LabelSpec      = "io.dockpod.spec"   // digest of the create request
	LabelSchema    = "io.dockpod.schema" // version of this format: "1"

	reservedPrefix = "io.dockpod."
	schemaVersion  = "1"

	// labelAdded lists which of the pod's labels the library has added by
	// itself, without "io.kubernetes.", so that SplitLabels can leave out
	// what nobody gave.
	labelAdded = "io.dockpod.added"

	// labelFromImage lists, as JSON, the labels that the engine takes over
	// from the image, so that SplitLabels can leave them out.
	labelFromImage = "io.dockpod.from-image"

	labelAttempt       = "io.dockpod.attempt"       // decimal; for a container that was renamed
	labelImageID       = "io.dockpod.image-id"      // tells it from one made of a commit of it
	labelLogDirectory  = "io.dockpod.log-directory" // the log link must not leave it
	labelSandboxMemory = "io.dockpod.sandbox"       // JSON of sandboxMemory
)

// What the kubelet notes about a container: up to 1.5 in labels, later in
// annotations. [KubeletLabels] reads them.
const (
	LabelRestartCount             = "io.kubernetes.container.restartCount"             // decimal
	LabelContainerHash            = "io.kubernetes.container.hash"                     // hex
	LabelTerminationMessagePath   = "io.kubernetes.container.terminationMessagePath"   // a path in the container
	LabelTerminationMessagePolicy = "io.kubernetes.container.terminationMessagePolicy" // "File" or "FallbackToLogsOnError"
	LabelPodDeletionGrace         = "io.kubernetes.pod.deletionGracePeriod"            // seconds
	LabelPodTerminationGrace      = "io.kubernetes.pod.terminationGracePeriod"         // seconds

	labelPreStop = "io.kubernetes.container.preStopHandler" // JSON of Kubernetes' types
	labelPorts   = "io.kubernetes.container.ports"          // likewise
)

// legacyAnnotations are the labels of a kubelet up to 1.5 that dockershim
// took for annotations. The grace periods stayed labels.
var legacyAnnotations = [...]string{
	LabelContainerHash, LabelRestartCount, LabelTerminationMessagePath, LabelTerminationMessagePolicy, labelPreStop, labelPorts,
}

// annotationPrefix marks the annotations among an engine's labels: an engine
// has labels alone.
const annotationPrefix = "annotation."

// podPrefix begins each of the pod's labels.
const podPrefix = "io.kubernetes."

// defaultMaxLabelBytes bounds the labels of one container. Engines take any
// size, and each list carries all of them. Kubernetes allows a pod 256 KiB of
// annotations; this is four times that.
const defaultMaxLabelBytes = 1 << 20

// JoinLabels returns the one map in which an engine holds labels and
// annotations: an annotation's key gets the prefix "annotation.", as the
// kubelet's dockershim does it. [SplitLabels] is the inverse. The result is
// new and never nil; nil maps are empty ones.
//
// Refused, with a [*FieldError] that names the first such key in order, is
// what would not come back as it was given:
//
//   - an empty key, or one with '=', by which engines cannot filter, or NUL;
//   - text that is not UTF-8, key or value: an engine stores something else;
//   - a key that begins with "io.dockpod.";
//   - a label that begins with "annotation.", which would come back as an
//     annotation;
//   - a label that is [LabelType], [LabelLogPath] or [LabelSandboxID].
//
// dockershim let the last two pass, and overwrote or changed them in silence.
func JoinLabels(labels, annotations map[string]string) (map[string]string, error) {
	docker := make(map[string]string, len(labels)+len(annotations))
	for k, v := range labels {
		if labelFault(k, v) != "" {
			return nil, firstFault(labels, annotations)
		}
		docker[k] = v
	}
	for k, v := range annotations {
		if keyFault(k, v) != "" {
			return nil, firstFault(labels, annotations)
		}
		docker[annotationPrefix+k] = v
	}
	return docker, nil
}

// firstFault makes the error the same each time, whatever the map's order.
func firstFault(labels, annotations map[string]string) error {
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		if reason := labelFault(k, labels[k]); reason != "" {
			return &FieldError{Field: fmt.Sprintf("labels[%q]", k), Reason: reason}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(annotations)) {
		if reason := keyFault(k, annotations[k]); reason != "" {
			return &FieldError{Field: fmt.Sprintf("annotations[%q]", k), Reason: reason}
		}
	}
	return nil
}

// labelFault says why a label is refused, "" if it is not.
func labelFault(k, v string) string {
	switch {
	case strings.HasPrefix(k, annotationPrefix):
		return `keys that begin with "annotation." are annotations`
	case isInternal(k):
		return "the key is the runtime's own"
	}
	return keyFault(k, v)
}

// keyFault says why a label or an annotation is refused, "" if it is not. The
// value may be a secret and is not quoted.
func keyFault(k, v string) string {
	switch {
	case k == "":
		return "empty key"
	case strings.IndexByte(k, '=') >= 0:
		return "'=' in the key"
	case strings.IndexByte(k, 0) >= 0:
		return "NUL in the key"
	case !utf8.ValidString(k):
		return "the key is not UTF-8"
	case strings.HasPrefix(k, reservedPrefix):
		return `keys that begin with "io.dockpod." are the library's own`
	case !utf8.ValidString(v):
		return "the value is not UTF-8"
	}
	return ""
}

// isInternal reports whether k is one of dockershim's own labels.
func isInternal(k string) bool {
	return k == LabelType || k == LabelLogPath || k == LabelSandboxID
}

// SplitLabels returns the labels and the annotations that an engine's labels
// hold. Both maps are new and never nil. What the runtime wrote for itself
// does not come out: [LabelType], [LabelLogPath], [LabelSandboxID], every key
// under "io.dockpod.", [LabelContainerName] of a sandbox, and of a container
// that dockpod made those of the pod's labels that nobody gave, and the
// labels of its image, which engines mix in.
func SplitLabels(docker map[string]string) (labels, annotations map[string]string) {
	s := splitter{
		labels: map[string]string{}, annotations: map[string]string{},
		added: docker[labelAdded], sandbox: isSandboxLabels(docker), fromImage: labelsFromImage(docker[labelFromImage]),
	}
	for k, v := range docker {
		s.put(k, v)
	}
	return s.labels, s.annotations
}

// splitEntry is SplitLabels for labels of a list.
func splitEntry(docker []lean.Label, texts *texts) (labels, annotations map[string]string) {
	s := splitter{
		labels: map[string]string{}, annotations: map[string]string{}, added: labelOf(docker, labelAdded),
		sandbox:   labelOf(docker, LabelType) == TypeSandbox || labelOf(docker, LabelOwnedType) == TypeSandbox,
		fromImage: labelsFromImage(labelOf(docker, labelFromImage)), texts: texts,
	}
	for _, l := range docker {
		s.put(l.Key, l.Value)
	}
	return s.labels, s.annotations
}

// splitter decides of each of a container's labels what it is.
type splitter struct {
	labels, annotations map[string]string
	added               string
	sandbox             bool
	fromImage           []string
	texts               *texts // what copies the strings
}

func (s *splitter) put(k, v string) {
	switch bare, annotation := strings.CutPrefix(k, annotationPrefix); {
	case strings.HasPrefix(k, reservedPrefix), len(s.fromImage) > 0 && slices.Contains(s.fromImage, k):
	case annotation:
		if !strings.HasPrefix(bare, reservedPrefix) {
			s.annotations[s.texts.keep(bare)] = s.texts.keep(v)
		}
	case isInternal(k), s.sandbox && k == LabelContainerName, s.added != "" && wasAdded(s.added, k):
	default:
		s.labels[s.texts.keep(k)] = s.texts.keep(v)
	}
}

// labelOf returns the value of a label of a list, "" if it is not there.
func labelOf(docker []lean.Label, key string) string {
	for i := range docker {
		if docker[i].Key == key {
			return docker[i].Value
		}
	}
	return ""
}

// mapOfLabels is for those who look at many labels, or seldom.
func mapOfLabels(docker []lean.Label) map[string]string {
	m := make(map[string]string, len(docker))
	for _, l := range docker {
		m[l.Key] = l.Value
	}
	return m
}

// isSandboxLabels reports whether an engine's labels are a sandbox's.
func isSandboxLabels(docker map[string]string) bool {
	return docker[LabelType] == TypeSandbox || docker[LabelOwnedType] == TypeSandbox
}

// addPodLabels writes into an engine's labels what tells whose container n
// is, for cAdvisor and others who read the kubelet's labels. What the caller
// gave stays as it is; the rest is noted, so that SplitLabels returns the
// caller's labels and no more. The container label of a sandbox is always
// "POD", and hidden; what the caller gave for it would be lost, so it is
// refused.
func addPodLabels(docker map[string]string, n Name) error {
	if _, ok := docker[LabelContainerName]; ok && n.IsSandbox() {
		return &FieldError{Field: fmt.Sprintf("labels[%q]", LabelContainerName), Reason: "the key is the runtime's own in a sandbox"}
	}
	var added []string
	for _, p := range [...]struct{ key, value string }{
		{LabelPodName, n.Pod}, {LabelPodNamespace, n.Namespace}, {LabelPodUID, n.UID}, {LabelContainerName, n.Container},
	} {
		if _, ok := docker[p.key]; !ok {
			docker[p.key] = p.value
			added = append(added, strings.TrimPrefix(p.key, podPrefix))
		}
	}
	if added != nil {
		docker[labelAdded] = strings.Join(added, ",")
	}
	return nil
}

// shadowImageLabels keeps an image's labels, which an engine gives to each
// container made from it, from passing as the container's own: it notes them,
// and empties those that dockpod itself would read. What docker has already
// goes over the image's.
func shadowImageLabels(docker, image map[string]string) error {
	var mixed []string
	for k := range image {
		if _, ok := docker[k]; ok {
			continue
		}
		if isInternal(k) || strings.HasPrefix(k, reservedPrefix) {
			docker[k] = ""
			continue
		}
		mixed = append(mixed, k)
	}
	if mixed == nil {
		return nil
	}
	slices.Sort(mixed)
	text, err := json.Marshal(mixed)
	if err != nil {
		return fmt.Errorf("encode the label %q: %w", labelFromImage, err)
	}
	docker[labelFromImage] = string(text)
	return nil
}

// labelsFromImage returns the keys that shadowImageLabels noted.
func labelsFromImage(text string) (keys []string) {
	if text != "" {
		_ = json.Unmarshal([]byte(text), &keys) // what cannot be read hides nothing
	}
	return keys
}

// wasAdded reports whether addPodLabels noted k in added.
func wasAdded(added, k string) bool {
	switch k {
	case LabelPodName, LabelPodNamespace, LabelPodUID, LabelContainerName:
		for name := range strings.SplitSeq(added, ",") {
			if name == k[len(podPrefix):] {
				return true
			}
		}
	}
	return false
}

// checkLabelSize refuses labels whose keys and values together have more than
// max bytes; zero means defaultMaxLabelBytes, a negative max no bound.
func checkLabelSize(m map[string]string, max int) error {
	if max < 0 {
		return nil
	}
	if max == 0 {
		max = defaultMaxLabelBytes
	}
	size := 0
	for k, v := range m {
		size += len(k) + len(v)
	}
	if size > max {
		return &FieldError{Field: "Labels", Reason: fmt.Sprintf("%d bytes with the annotations; want at most %d", size, max)}
	}
	return nil
}

// KubeletLabels reads what the kubelet notes about a container. It is a view
// of a container's annotations, of its labels, or of an engine's own labels:
//
//	count, ok, err := dockpod.KubeletLabels(c.Annotations).RestartCount()
//
// ok is false if the key is absent, which is no error. A malformed value is a
// [*FieldError] that names the key. Nil is a view of nothing.
type KubeletLabels map[string]string

// RestartCount returns how often the kubelet had made the container anew: the
// attempt in its name.
func (l KubeletLabels) RestartCount() (count uint32, ok bool, err error) {
	s, ok := l.value(LabelRestartCount)
	if !ok {
		return 0, false, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, false, malformed(LabelRestartCount, s, "a decimal number of 32 bits")
	}
	return uint32(n), true, nil
}

// ContainerHash returns the kubelet's hash of the container's specification.
func (l KubeletLabels) ContainerHash() (hash uint64, ok bool, err error) {
	s, ok := l.value(LabelContainerHash)
	if !ok {
		return 0, false, nil
	}
	hash, err = strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0, false, malformed(LabelContainerHash, s, "a hexadecimal number of 64 bits")
	}
	return hash, true, nil
}

// TerminationMessagePath returns the path in the container of the file that
// holds its last words. It may be empty. Every text is a path.
func (l KubeletLabels) TerminationMessagePath() (file string, ok bool) {
	return l.value(LabelTerminationMessagePath)
}

// TerminationMessagePolicy returns "File" or "FallbackToLogsOnError", or ""
// where the pod was silent.
func (l KubeletLabels) TerminationMessagePolicy() (policy string, ok bool, err error) {
	s, ok := l.value(LabelTerminationMessagePolicy)
	switch s {
	case "", "File", "FallbackToLogsOnError":
		return s, ok, nil
	}
	return "", false, malformed(LabelTerminationMessagePolicy, s, `"File" or "FallbackToLogsOnError"`)
}

// PodDeletionGrace returns the grace that came with the request to delete the
// pod. It is whole seconds, and negative if the kubelet wrote so.
func (l KubeletLabels) PodDeletionGrace() (grace time.Duration, ok bool, err error) {
	return l.seconds(LabelPodDeletionGrace)
}

// PodTerminationGrace returns the grace of the pod's specification. It is
// whole seconds, and negative if the kubelet wrote so.
func (l KubeletLabels) PodTerminationGrace() (grace time.Duration, ok bool, err error) {
	return l.seconds(LabelPodTerminationGrace)
}

func (l KubeletLabels) seconds(key string) (time.Duration, bool, error) {
	s, ok := l.value(key)
	if !ok {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if d := time.Duration(n) * time.Second; err == nil && d/time.Second == time.Duration(n) {
		return d, true, nil
	}
	return 0, false, malformed(key, s, "a number of seconds")
}

// value looks for key as a label first, then as an annotation among an
// engine's labels.
func (l KubeletLabels) value(key string) (string, bool) {
	if s, ok := l[key]; ok {
		return s, true
	}
	s, ok := l[annotationPrefix+key]
	return s, ok
}

func malformed(key, value, want string) error {
	return &FieldError{Field: fmt.Sprintf("labels[%q]", key), Reason: fmt.Sprintf("%q; want %s", value, want)}
}
