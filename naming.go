package dockpod

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math/bits"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// SandboxContainerName stands in the container part of a sandbox's name. No
// other container may be called so.
const SandboxContainerName = "POD"

// What the kubelet writes before an ID or a reference of Docker's.
const (
	DockerPrefix         = "docker://"          // a container's ID, or an image's
	DockerPullablePrefix = "docker-pullable://" // a repo digest, which can be pulled again
)

const (
	defaultPrefix = "k8s" // of the zero Naming

	// suffixLen is the length of the random part that a name gets when its
	// plain form is held by a container that cannot be found.
	suffixLen = 8

	// Engines take names of 2000 bytes and more, so the bound is ours. The
	// longest name that the kubelet can write has 442 bytes: "k8s", a
	// container and a namespace of 63 each, a pod of 253, a UID of 36, an
	// attempt of 10, a suffix of 8, and six separators. 512 holds that behind
	// a prefix of 63, the longest owner.
	maxNameLen   = 512
	maxPrefixLen = 63
	maxBodyLen   = maxNameLen - maxPrefixLen // from the '_' after the prefix on
)

// Name is what the name of a container says: which container of which pod,
// and which attempt at it. It is written
//
//	<prefix>_<container>_<pod>_<namespace>_<uid>_<attempt>[_<suffix>]
//
// as the kubelet's dockershim and cri-dockerd write it. Names are comparable
// and can be map keys. The zero value is not valid.
type Name struct {
	Container string // "POD" is the pod's sandbox
	Pod       string // the pod's name
	Namespace string // the pod's namespace
	UID       string // tells pods of one name apart over time
	Attempt   uint32 // how often the same container was made anew
	// Suffix is empty, or 8 random hex digits: the name without them was
	// taken by a container that could not be found.
	Suffix string
}

// ParseName reads a name with the prefix "k8s"; it is Naming{}.Parse. For
// each n that [Name.Validate] accepts, ParseName(n.String()) is n.
func ParseName(s string) (Name, error) { return Naming{}.Parse(s) }

// String returns the name with the prefix "k8s". It never fails; only the
// text of a name that [Name.Validate] accepts can be read back.
func (n Name) String() string { return Naming{}.Format(n) }

// IsSandbox reports whether n names a pod's sandbox.
func (n Name) IsSandbox() bool { return n.Container == SandboxContainerName }

// Validate reports whether n can be written and read back; the error wraps
// [ErrInvalidName].
//
//   - Container, Pod, Namespace and UID are not empty and consist of letters,
//     digits, '.' and '-'. Engines allow '_' too; here it separates the parts.
//   - Suffix is empty, or 8 digits of lower-case hex.
//   - What follows the prefix has at most 449 bytes, separators counted. What
//     Kubernetes allows has at most 439.
//   - A container that ends in '.' and hex digits, without suffix, has no
//     attempt from 10000000 to 99999999: that would be a [LegacyName].
func (n Name) Validate() error {
	for _, p := range [...]struct{ what, text string }{
		{"container", n.Container}, {"pod", n.Pod}, {"namespace", n.Namespace}, {"UID", n.UID},
	} {
		if p.text == "" {
			return fmt.Errorf("%w: empty %s", ErrInvalidName, p.what)
		}
		if indexOther(p.text) >= 0 {
			return fmt.Errorf("%w: %s %q: want letters, digits, '.' and '-'", ErrInvalidName, p.what, p.text)
		}
	}
	if n.Suffix != "" && !isSuffix(n.Suffix) {
		return fmt.Errorf("%w: suffix %q: want %d digits of lower-case hex", ErrInvalidName, n.Suffix, suffixLen)
	}
	if size := n.bodyLen(); size > maxBodyLen {
		return fmt.Errorf("%w: %d bytes without the prefix; want at most %d", ErrInvalidName, size, maxBodyLen)
	}
	if n.Suffix == "" && eightDigits(n.Attempt) && endsInHash(n.Container) {
		return fmt.Errorf("%w: container %q with attempt %d reads as a legacy name", ErrInvalidName, n.Container, n.Attempt)
	}
	return nil
}

// bodyLen is the length of the text after the prefix.
func (n Name) bodyLen() int {
	digits := 1
	for a := n.Attempt; a >= 10; a /= 10 {
		digits++
	}
	size := len("_____") + len(n.Container) + len(n.Pod) + len(n.Namespace) + len(n.UID) + digits
	if n.Suffix != "" {
		size += len("_") + len(n.Suffix)
	}
	return size
}

// Naming reads and writes names with a prefix of their own, so that several
// agents tell their containers apart on one engine. The zero value is the
// kubelet's prefix "k8s".
type Naming struct {
	Prefix string // empty: "k8s"
}

// Validate reports whether the prefix can stand before a name: a letter or
// digit, then letters, digits, '.' and '-', at most 63 bytes. The error wraps
// [ErrInvalidName].
func (g Naming) Validate() error {
	p := g.prefix()
	switch {
	case len(p) > maxPrefixLen:
		return fmt.Errorf("%w: prefix of %d bytes; want at most %d", ErrInvalidName, len(p), maxPrefixLen)
	case p[0] == '.' || p[0] == '-' || indexOther(p) >= 0:
		return fmt.Errorf("%w: prefix %q: want letters, digits, '.' and '-', a letter or digit first", ErrInvalidName, p)
	}
	return nil
}

func (g Naming) prefix() string {
	if g.Prefix == "" {
		return defaultPrefix
	}
	return g.Prefix
}

// Parse reads a name as engines give it: one leading '/' is dropped. What
// comes back passes [Name.Validate].
//
// The error wraps [ErrNotManaged] if the name does not begin with the prefix
// and '_', and [ErrInvalidName] if it does and the rest does not follow the
// grammar. A name in the form of [LegacyName] is of the second kind.
func (g Naming) Parse(s string) (n Name, err error) {
	body, ok := g.after(s)
	if !ok || g.Prefix != "" && g.Validate() != nil {
		return Name{}, g.refuse(s)
	}
	var end [6]int
	count := cutParts(body, &end)
	if count < 5 || len(body) >= maxBodyLen {
		return Name{}, complain(s, body)
	}
	n.Container = body[:end[0]]
	n.Pod = body[end[0]+1 : end[1]]
	n.Namespace = body[end[1]+1 : end[2]]
	n.UID = body[end[2]+1 : end[3]]
	tail := body[end[3]+1 : end[4]]
	n.Attempt, ok = parseAttempt(tail)
	ok = ok && n.Container != "" && n.Pod != "" && n.Namespace != "" && n.UID != ""
	if count == 6 {
		n.Suffix = body[end[4]+1:]
		ok = ok && isSuffix(n.Suffix)
	} else if len(tail) == suffixLen || eightDigits(n.Attempt) {
		ok = ok && !endsInHash(n.Container)
	}
	if !ok {
		return Name{}, complain(s, body)
	}
	return n, nil
}

// complain says why Parse refused body.
func complain(s, body string) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("parse name %q: %w: "+format, append([]any{s, ErrInvalidName}, args...)...)
	}
	if len(body) >= maxBodyLen {
		// Quoting it would make a long line of no use.
		return fmt.Errorf("parse name of %d bytes: %w: want at most %d after the prefix", len(s), ErrInvalidName, maxBodyLen)
	}
	parts := strings.Split(body, "_")
	for _, p := range parts {
		if indexOther(p) >= 0 {
			return fail("%q: want letters, digits, '.' and '-'", p)
		}
	}
	if len(parts) != 5 && len(parts) != 6 {
		return fail("want 6 or 7 parts, have %d", len(parts)+1)
	}
	for i, what := range [...]string{"container", "pod", "namespace", "UID"} {
		if parts[i] == "" {
			return fail("empty %s", what)
		}
	}
	if len(parts) == 5 && endsInHash(parts[0]) && len(parts[4]) == suffixLen {
		return fail("it has the form of a legacy name")
	}
	if _, ok := parseAttempt(parts[4]); !ok {
		return fail("attempt %q: want a decimal number of 32 bits", parts[4])
	}
	if len(parts) == 6 && !isSuffix(parts[5]) {
		return fail("suffix %q: want %d digits of lower-case hex", parts[5], suffixLen)
	}
	return fail("the attempt has the form of a legacy name's suffix")
}

// Format returns the text of n. It never fails; only if [Naming.Validate] and
// [Name.Validate] accept both does [Naming.Parse] read n back. Then the text
// is a name that engines take, of at most 512 bytes.
func (g Naming) Format(n Name) string {
	suffix := n.Suffix
	if suffix != "" {
		suffix = "_" + suffix
	}
	return g.prefix() + "_" + n.Container + "_" + n.Pod + "_" + n.Namespace + "_" + n.UID + "_" +
		strconv.FormatUint(uint64(n.Attempt), 10) + suffix
}

// after returns what follows the prefix and its '_' in s, behind one '/' at
// most. It is false if s begins with something else.
func (g Naming) after(s string) (body string, ok bool) {
	if s != "" && s[0] == '/' {
		s = s[1:]
	}
	p := g.prefix()
	if len(s) <= len(p) || s[len(p)] != '_' || s[:len(p)] != p {
		return "", false
	}
	return s[len(p)+1:], true
}

// refuse says why s has nothing after the prefix.
func (g Naming) refuse(s string) error {
	if err := g.Validate(); err != nil {
		return fmt.Errorf("parse name %q: %w", s, err)
	}
	return fmt.Errorf("parse name %q: %w: want the prefix %q", s, ErrNotManaged, g.prefix()+"_")
}

// pickName returns a container's own name out of the engine's list, without
// the leading '/'. In such a list "/parent/alias" is what a linked container
// calls it. A name of naming's goes first; "" if there is none at all.
func pickName(names []string, naming Naming) string {
	pick := ""
	for _, s := range names {
		s = strings.TrimPrefix(s, "/")
		if s == "" || strings.Contains(s, "/") {
			continue
		}
		if _, ok := naming.after(s); ok {
			return s
		}
		if pick == "" {
			pick = s
		}
	}
	return pick
}

// randomSuffix returns 8 digits of lower-case hex read from r, from
// crypto/rand if r is nil.
func randomSuffix(r io.Reader) (string, error) {
	if r == nil {
		r = rand.Reader
	}
	var b [suffixLen / 2]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return "", fmt.Errorf("read random suffix: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// nameFromLabels returns the name that a container's labels tell, for one
// that was renamed. The attempt is what dockpod has noted, else the restart
// count that the kubelet notes, else 0; the suffix is lost. The error wraps
// [ErrNotManaged] if a label is missing.
func nameFromLabels(docker map[string]string) (Name, error) {
	n := Name{
		Container: docker[LabelContainerName],
		Pod:       docker[LabelPodName],
		Namespace: docker[LabelPodNamespace],
		UID:       docker[LabelPodUID],
	}
	if isSandboxLabels(docker) {
		n.Container = SandboxContainerName
	}
	for _, p := range [...]struct{ key, value string }{
		{LabelContainerName, n.Container}, {LabelPodName, n.Pod}, {LabelPodNamespace, n.Namespace}, {LabelPodUID, n.UID},
	} {
		if p.value == "" {
			return Name{}, fmt.Errorf("read name from labels: %w: no %q", ErrNotManaged, p.key)
		}
	}
	var err error
	if text, ok := docker[labelAttempt]; !ok {
		n.Attempt, _, err = KubeletLabels(docker).RestartCount()
	} else if n.Attempt, ok = parseAttempt(text); !ok {
		err = malformed(labelAttempt, text, "a decimal number of 32 bits")
	}
	if err == nil {
		err = n.Validate()
	}
	if err != nil {
		return Name{}, fmt.Errorf("read name from labels: %w", err)
	}
	return n, nil
}

// LegacyName is what the name of a container made by a kubelet up to 1.5
// says. It is written
//
//	k8s_<container>.<hash>_<pod>_<namespace>_<uid>_<suffix>
//
// and read so that such containers are seen and can be removed; dockpod makes
// none.
type LegacyName struct {
	Container string // "POD" is the pod's sandbox
	Hash      uint64 // of the container's specification, 32 bits; 0: none, or not readable
	Pod       string
	Namespace string
	UID       string
	Suffix    string // random, 8 digits of lower-case hex as the kubelet wrote it
}

// ParseLegacyName reads a name with the prefix "k8s" and exactly six parts.
// One leading '/' is dropped. The hash stands behind the last dot of its part,
// so that a container may have dots in its name; one that is missing, not hex
// or wider than 32 bits gives 0. The container alone may be empty, and the
// suffix may be any text.
//
// Without a hash nothing tells a legacy name from a present one: ask
// [ParseName] first. It refuses a legacy name even where the random suffix
// has decimal digits alone.
//
// The error wraps [ErrNotManaged] or [ErrInvalidName] as that of
// [Naming.Parse].
func ParseLegacyName(s string) (LegacyName, error) { return Naming{}.parseLegacy(s) }

func (g Naming) parseLegacy(s string) (LegacyName, error) {
	body, ok := g.after(s)
	if !ok || g.Prefix != "" && g.Validate() != nil {
		return LegacyName{}, g.refuse(s)
	}
	var end [6]int
	if cutParts(body, &end) != 5 {
		if indexOther(strings.ReplaceAll(body, "_", "")) >= 0 {
			return LegacyName{}, fmt.Errorf("parse legacy name %q: %w: want letters, digits, '.', '-' and '_'", s, ErrInvalidName)
		}
		return LegacyName{}, fmt.Errorf("parse legacy name %q: %w: want 6 parts, have %d", s, ErrInvalidName, strings.Count(body, "_")+2)
	}
	first := body[:end[0]]
	l := LegacyName{
		Container: first,
		Pod:       body[end[0]+1 : end[1]],
		Namespace: body[end[1]+1 : end[2]],
		UID:       body[end[2]+1 : end[3]],
		Suffix:    body[end[3]+1:],
	}
	if l.Pod == "" || l.Namespace == "" || l.UID == "" || l.Suffix == "" {
		return LegacyName{}, fmt.Errorf("parse legacy name %q: %w: a part is empty", s, ErrInvalidName)
	}
	if i := strings.LastIndexByte(first, '.'); i >= 0 {
		l.Container = first[:i]
		if h, err := strconv.ParseUint(first[i+1:], 16, 32); err == nil {
			l.Hash = h // on a range error h would be the maximum
		}
	}
	return l, nil
}

// String returns the unique name: [LegacyName.Stable], '_' and the suffix.
func (l LegacyName) String() string { return l.Stable() + "_" + l.Suffix }

// Stable returns the name without the suffix, which each container made from
// one specification has in common.
func (l LegacyName) Stable() string {
	return defaultPrefix + "_" + l.Container + "." + strconv.FormatUint(l.Hash, 16) + "_" + l.Pod + "_" + l.Namespace + "_" + l.UID
}

// IsSandbox reports whether l names a pod's sandbox.
func (l LegacyName) IsSandbox() bool { return l.Container == SandboxContainerName }

// Convert returns the name and the engine labels that the kubelet's
// dockershim would have given the container: the attempt is the restart
// count, which the kubelet did not note for each sandbox and which is then 0;
// what it kept in labels and keeps in annotations now moves there; the type
// label is added. docker holds the labels as the engine gives them and is not
// changed. [SplitLabels] takes the result.
//
// The error wraps [ErrInvalidName], or is a [*FieldError] for a restart count
// that is no number.
func (l LegacyName) Convert(docker map[string]string) (Name, map[string]string, error) {
	attempt, _, err := KubeletLabels(docker).RestartCount()
	if err != nil {
		return Name{}, nil, fmt.Errorf("convert legacy name %q: %w", l, err)
	}
	n := Name{Container: l.Container, Pod: l.Pod, Namespace: l.Namespace, UID: l.UID, Attempt: attempt}
	if err := n.Validate(); err != nil {
		return Name{}, nil, fmt.Errorf("convert legacy name %q: %w", l, err)
	}
	labels := maps.Clone(docker)
	if labels == nil {
		labels = map[string]string{}
	}
	for _, k := range legacyAnnotations {
		if v, ok := docker[k]; ok {
			delete(labels, k)
			labels[annotationPrefix+k] = v
		}
	}
	labels[LabelType] = TypeContainer
	if l.IsSandbox() {
		labels[LabelType] = TypeSandbox
	}
	return n, labels, nil
}

// ContainerID is a container's ID together with the kind of runtime that
// knows it, as the status of a Kubernetes pod shows it. The zero value is not
// valid.
type ContainerID struct {
	Runtime string // "docker"
	ID      string // 64 hex digits with Docker
}

// ParseContainerID reads "<runtime>://<id>", also between double quotes. Both
// parts are needed, and "://" occurs once. The error is a [*FieldError].
func ParseContainerID(s string) (ContainerID, error) {
	text := s
	if len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' {
		text = text[1 : len(text)-1]
	}
	kind, id, _ := strings.Cut(text, "://")
	if kind == "" || id == "" || strings.Contains(id, "://") || strings.Contains(text, `"`) {
		return ContainerID{}, &FieldError{Field: "ContainerID", Reason: fmt.Sprintf(`%q; want "<runtime>://<id>"`, s)}
	}
	return ContainerID{Runtime: kind, ID: id}, nil
}

// String returns "<runtime>://<id>".
func (c ContainerID) String() string { return c.Runtime + "://" + c.ID }

// A file name has at most 255 bytes on the file systems that hold logs.
const (
	maxFileName = 255
	logSuffix   = ".log"
)

// LogSymlink returns the path of the link to a container's log that kubelets
// up to 1.6 made: dir and "<podFullName>_<container>-<dockerID>.log", where
// podFullName is "<pod>_<namespace>". What is longer than a file name may be
// is cut before ".log", be it the ID or half a rune, byte for byte as the
// kubelet did: two long names can give one path. For links of one's own there
// is [LogSymlinkUnique]. The arguments are not checked.
func LogSymlink(dir, podFullName, container, dockerID string) string {
	base := podFullName + "_" + container + "-" + dockerID
	if limit := maxFileName - len(logSuffix); len(base) > limit {
		base = base[:limit]
	}
	return path.Join(dir, base+logSuffix)
}

// LogSymlinkUnique is [LogSymlink] for names of any length: if the file name
// would be too long, the pod's name is shortened at the end of a rune, and
// the namespace, the container and "-<dockerID>.log" stay whole, so that two
// containers never share a path. With names that Kubernetes allows, 58 bytes
// of the pod's name are left, less any '-' and '.' at their end. Only where
// that does not suffice are namespace and container shortened too, in this
// order; an ID never is.
func LogSymlinkUnique(dir, podFullName, container, dockerID string) string {
	tail := "-" + dockerID + logSuffix
	pod, namespace := podFullName, ""
	if i := strings.LastIndexByte(podFullName, '_'); i >= 0 {
		pod, namespace = podFullName[:i], podFullName[i:]
	}
	over := func() int { return len(pod) + len(namespace) + len("_") + len(container) + len(tail) - maxFileName }
	if over() > 0 {
		// A name that ends in '-' or '.' is none to Kubernetes, nor to the
		// patterns by which log collectors read these links.
		pod = strings.TrimRight(shorten(pod, over()), "-.")
		namespace = shorten(namespace, over())
		container = shorten(container, over())
	}
	return path.Join(dir, pod+namespace+"_"+container+tail)
}

// shorten drops at least n bytes from the end of s, and no part of a rune.
func shorten(s string, n int) string {
	if n <= 0 {
		return s
	}
	end := max(len(s)-n, 0)
	for i := 0; i < utf8.UTFMax-1 && end > 0 && !utf8.RuneStart(s[end]); i++ {
		end--
	}
	return s[:end]
}

// ParseLogSymlink reads the base name of a link that [LogSymlink] or
// [LogSymlinkUnique] named: the ID follows the last '-', the container the
// last '_' before it. Of a base name not much shorter than 255 bytes the pod's
// name may be a shortened one.
//
// The error wraps [ErrInvalidName]. It is also returned for a base name as
// long as a file name may be without an ID of 64 hex digits: LogSymlink has
// cut it, and what looks like an ID is none.
func ParseLogSymlink(base string) (podFullName, container, dockerID string, err error) {
	fail := func(reason string) (string, string, string, error) {
		return "", "", "", fmt.Errorf("parse log link %q: %w: %s", base, ErrInvalidName, reason)
	}
	rest, ok := strings.CutSuffix(base, logSuffix)
	dash := strings.LastIndexByte(rest, '-')
	if !ok || dash < 0 || strings.Contains(base, "/") {
		return fail("want <pod>_<namespace>_<container>-<id>.log")
	}
	rest, dockerID = rest[:dash], rest[dash+1:]
	if !isLowerHex(dockerID) {
		return fail("the ID is not hex")
	}
	if len(base) >= maxFileName && len(dockerID) != 64 {
		return fail("the ID is cut off")
	}
	under := strings.LastIndexByte(rest, '_')
	if under <= 0 || under == len(rest)-1 {
		return fail("want <pod>_<namespace>_<container>-<id>.log")
	}
	return rest[:under], rest[under+1:], dockerID, nil
}

// partBytes holds true for what a part of a name consists of.
var partBytes = func() (set [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") {
		set[c] = true
	}
	return set
}()

// indexOther returns the index of the first byte that no part of a name may
// hold, or -1.
func indexOther(s string) int {
	for i := range len(s) {
		if !partBytes[s[i]] {
			return i
		}
	}
	return -1
}

// cutParts cuts s at each '_', sets where each part ends, and returns how many
// there are: 0 if they are more than six, or hold bytes that no part may hold.
//
// Parsing each name of a list is the one thing here that is done often, so it
// takes eight bytes at a time, the first in the lowest byte of a word. A
// finding is the top bit of the byte it is about: adding 0x80-c sets it where
// the byte is at least c. A byte beyond ASCII carries into the next one and
// makes the findings worthless, but then it is refused in the end.
func cutParts(s string, ends *[6]int) (count int) {
	const (
		each = 0x0101010101010101
		top  = 0x80 * each
	)
	all, legal := uint64(0), ^uint64(0)
	i := 0
	for ; i <= len(s)-8; i += 8 {
		w := load8(s, i)
		all |= w
		lower := w | 0x20*each
		letter := (lower + (0x80-'a')*each) &^ (lower + (0x7f-'z')*each)
		// From '-' to '9' there are '-', '.', '/' and the digits.
		digit := (w + (0x80-'-')*each) &^ (w + (0x7f-'9')*each) & ((w ^ '/'*each) + 0x7f*each)
		under := ^((w ^ '_'*each) + 0x7f*each)
		legal &= letter | digit | under
		for under &= top; under != 0; under &= under - 1 {
			if count == len(ends)-1 {
				return 0
			}
			ends[count] = i + bits.TrailingZeros64(under)/8
			count++
		}
	}
	if all&top != 0 || legal&top != top {
		return 0
	}
	for ; i < len(s); i++ {
		if partBytes[s[i]] {
			continue
		}
		if s[i] != '_' || count == len(ends)-1 {
			return 0
		}
		ends[count] = i
		count++
	}
	ends[count] = len(s)
	return count + 1
}

// load8 returns eight bytes of s from i on. The compiler makes it one load.
func load8(s string, i int) uint64 {
	b := s[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// parseAttempt reads a decimal number of 32 bits. Leading zeros do not
// matter, as with the kubelet's dockershim.
func parseAttempt(s string) (uint32, bool) {
	var n uint64
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		if n = n*10 + uint64(d); n > 1<<32-1 {
			return 0, false
		}
	}
	return uint32(n), s != ""
}

func isSuffix(s string) bool { return len(s) == suffixLen && isLowerHex(s) }

// eightDigits reports whether an attempt looks like the eight random hex
// digits at the end of a legacy name.
func eightDigits(attempt uint32) bool { return 10_000_000 <= attempt && attempt <= 99_999_999 }

// endsInHash reports whether a container part ends as a legacy name's does.
func endsInHash(s string) bool {
	i := strings.LastIndexByte(s, '.')
	return i >= 0 && isLowerHex(s[i+1:])
}

func isLowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}
