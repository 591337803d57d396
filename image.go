package dockpod

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/opencontainers/go-digest"

	"github.com/dockpod/dockpod/internal/pause"
)

// Image is an image on the engine.
type Image struct {
	ID          digest.Digest // of its config, or with the containerd store of its manifest: opaque, and good for one engine only
	RepoTags    []string      // "name:tag" as the engine spells them, sorted; never with a digest
	RepoDigests []string      // "name@digest", sorted; more than one repository may be named
	Size        int64         // bytes on disk, shared layers included
	CreatedAt   time.Time     // by the builder; zero if unknown. From a list to the second
	UID         *int64        // numeric user it runs as; nil if it names one, or none. Not from a list
	Username    string        // user it runs as, if not numeric. Not from a list
	Labels      map[string]string
	Pinned      bool // used by dockpod itself: never collected
}

// MatchReason says in a few words why an image is the one that a reference
// asks for, or why it is not. It is for people: for a log line or a test's
// message.
type MatchReason string

// The reasons of [ExplainMatch].
const (
	MatchByTag         MatchReason = "tag"
	MatchByRepository  MatchReason = "repository"
	MatchByDigest      MatchReason = "repo digest"
	MatchByID          MatchReason = "image ID"
	MismatchReference  MatchReason = "not a reference"
	MismatchRepository MatchReason = "other repository"
	MismatchTag        MatchReason = "other tag"
	MismatchDigest     MatchReason = "other digest"
)

// Matches reports whether ref asks for this image. Both sides are normalised
// first ("busybox" is "docker.io/library/busybox"), and then nothing but
// equality counts:
//
//   - a reference with a digest, with a tag beside it or not, asks for that
//     content: one of the image's RepoDigests, under whatever repository, or
//     its ID;
//   - one with a tag asks for one of its RepoTags;
//   - one with neither asks for any image of its repository. To ask for
//     ":latest" as an engine would, parse with reference.ParseDockerRef.
//
// The kubelet's dockershim compared the ends of strings instead, so that
// "app:v1" was satisfied by "evil.example/app:v1", and any image satisfied a
// reference without a tag.
//
// A digest proves the content and not where it came from: a policy on
// registries has to look at the reference, not at the image.
func (i Image) Matches(ref reference.Named) bool {
	ok, _ := i.explain(ref)
	return ok
}

func (i Image) explain(ref reference.Named) (bool, MatchReason) {
	if ref == nil {
		return false, MismatchReference
	}
	ref, err := reference.ParseNormalizedNamed(ref.String())
	if err != nil {
		return false, MismatchReference
	}
	if d, ok := ref.(reference.Digested); ok {
		for _, have := range parseNames(i.RepoDigests) {
			if h, ok := have.(reference.Digested); ok && h.Digest() == d.Digest() {
				return true, MatchByDigest
			}
		}
		if i.HasID(d.Digest()) {
			return true, MatchByID
		}
		return false, MismatchDigest
	}
	want, isTagged := ref.(reference.Tagged)
	reason := MismatchRepository
	for _, have := range parseNames(i.RepoTags, i.RepoDigests) {
		if have.Name() != ref.Name() {
			continue
		}
		if !isTagged {
			return true, MatchByRepository
		}
		if h, ok := have.(reference.Tagged); ok && h.Tag() == want.Tag() {
			return true, MatchByTag
		}
		reason = MismatchTag
	}
	return false, reason
}

// parseNames normalises names that the engine gave and skips those that are
// none.
func parseNames(lists ...[]string) []reference.Named {
	var names []reference.Named
	for _, s := range slices.Concat(lists...) {
		if n, err := reference.ParseNormalizedNamed(s); err == nil {
			names = append(names, n)
		}
	}
	return names
}

// HasID reports whether id is the image's ID. A RepoDigest is not an ID.
func (i Image) HasID(id digest.Digest) bool { return id != "" && i.ID == id }

// Ref returns what the image can be asked for later on this engine: its first
// RepoDigest, or its ID if it has none. See [Image.RefFor] for an image of
// several repositories.
func (i Image) Ref() string {
	if len(i.RepoDigests) > 0 {
		return i.RepoDigests[0]
	}
	return i.ID.String()
}

// RefFor is Ref with a preference for the repository that ref names. An engine
// with the containerd store lists a RepoDigest for each repository that the
// image was ever tagged into, so the first need not be where it can be pulled
// from. If none is of that repository, or ref is nil, it returns Ref.
func (i Image) RefFor(ref reference.Named) string {
	if ref == nil {
		return i.Ref()
	}
	asked, _ := ref.(reference.Digested)
	best := ""
	for _, s := range i.RepoDigests {
		have, err := reference.ParseNormalizedNamed(s)
		if err != nil || have.Name() != ref.Name() {
			continue
		}
		if h, ok := have.(reference.Digested); ok && asked != nil && h.Digest() == asked.Digest() {
			return s
		}
		if best == "" {
			best = s
		}
	}
	if best == "" {
		return i.Ref()
	}
	return best
}

// pullableRef returns the form of an image reference that the kubelet shows
// for a container which was created from asked.
func pullableRef(img Image, asked string) string {
	if len(img.RepoDigests) == 0 {
		return DockerPrefix + img.ID.String()
	}
	named, _ := reference.ParseNormalizedNamed(asked)
	return DockerPullablePrefix + img.RefFor(named)
}

// MatchImageRef is [Image.Matches] for a reference as a person writes it. It
// is false for what does not parse: an ID, with its algorithm or without, an
// upper-case name, a digest of an unknown algorithm. [ParseImageRef] tells
// these apart.
func MatchImageRef(img Image, ref string) bool {
	ok, _ := ExplainMatch(img, ref)
	return ok
}

// ExplainMatch is [MatchImageRef] with its reason.
func ExplainMatch(img Image, ref string) (bool, MatchReason) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return false, MismatchReference
	}
	return img.explain(named)
}

// MatchImageID reports whether ref is the image's ID: literally, as 64 hex
// digits without the algorithm, or as the digest behind a name. Names, tags
// and RepoDigests do not count, and neither does the beginning of an ID.
func MatchImageID(img Image, ref string) bool {
	if img.ID.String() == ref {
		return true
	}
	parsed, err := reference.ParseAnyReference(ref)
	if err != nil {
		return false
	}
	d, ok := parsed.(reference.Digested)
	return ok && img.HasID(d.Digest())
}

// ImageRef is an image reference in its parts. It prints itself, and what it
// prints parses to the same value.
type ImageRef struct {
	Repository string        // normalised, with the registry: "docker.io/library/busybox"
	Tag        string        // empty only beside a Digest
	Digest     digest.Digest // decides where both are given; empty: none
}

// ParseImageRef splits a reference such as "busybox:1.36" into its parts, as
// an engine understands it: without a registry it is of docker.io, and with
// neither tag nor digest it is ":latest". The error is a [*FieldError]: for an
// upper-case or over-long name, for a digest that is malformed or of an
// algorithm other than sha256, sha384 and sha512, and for an image ID, which
// is not a reference.
func ParseImageRef(s string) (ImageRef, error) {
	t, err := parseImageTarget(s)
	if err != nil {
		return ImageRef{}, err
	}
	if t.name == nil {
		return ImageRef{}, &FieldError{"ref", fmt.Sprintf("%q is an image ID, not a name", s)}
	}
	return imageRefOf(reference.TagNameOnly(t.name)), nil
}

func imageRefOf(named reference.Named) ImageRef {
	r := ImageRef{Repository: named.Name()}
	if t, ok := named.(reference.Tagged); ok {
		r.Tag = t.Tag()
	}
	if d, ok := named.(reference.Digested); ok {
		r.Digest = d.Digest()
	}
	return r
}

// String returns "repository:tag@digest" without the parts that are empty.
func (r ImageRef) String() string {
	s := r.Repository
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest.String()
	}
	return s
}

// imageTarget is what a caller's string stands for: a full ID or a name.
type imageTarget struct {
	id   digest.Digest
	name reference.Named // normalised; nil for an ID. Without a tag if none was written
}

func parseImageTarget(s string) (imageTarget, error) {
	if id := imageID(s); id.Validate() == nil {
		return imageTarget{id: id}, nil
	}
	named, err := reference.ParseNormalizedNamed(s)
	switch {
	case err == nil:
		return imageTarget{name: named}, nil
	case redactRef(s) != s:
		return imageTarget{}, &FieldError{"ref", "not an image reference; one holds no scheme, user or password"}
	case s == "":
		return imageTarget{}, &FieldError{"ref", "empty"}
	}
	return imageTarget{}, &FieldError{"ref", err.Error()}
}

// imageID gives an ID its algorithm: Podman leaves it out in some answers, and
// so do people.
func imageID(s string) digest.Digest {
	if bare := digest.NewDigestFromEncoded(digest.SHA256, s); bare.Validate() == nil {
		return bare
	}
	return digest.Digest(s)
}

// secretsInRef finds what precedes the host in a URL somebody took for a
// reference. In a reference, no slash follows the '@' of a digest.
var secretsInRef = regexp.MustCompile(`^.*@([^@]*/)`)

// redactRef drops a user and password, so that no error carries them.
func redactRef(s string) string { return secretsInRef.ReplaceAllString(s, "…@$1") }

// engineRef returns the name that the engine is asked for: always with a tag
// or a digest, so that it cannot take a name such as "cafe" for the beginning
// of an ID. A tag beside a digest is left out.
func engineRef(named reference.Named) reference.Named {
	if d, ok := named.(reference.Digested); ok {
		if digested, err := reference.WithDigest(reference.TrimNamed(named), d.Digest()); err == nil {
			return digested
		}
	}
	return reference.TagNameOnly(named)
}

// engineSpelling spells a name as the docker command does. "sha256:1234" is
// the one name that an engine would take for an ID.
func engineSpelling(named reference.Named) string {
	if reference.FamiliarName(named) == digest.SHA256.String() {
		return named.String()
	}
	return reference.FamiliarString(named)
}

// resolvedImage is an image and what decides whether a container can be
// created from it.
type resolvedImage struct {
	Image
	hasCommand bool // it has an entrypoint or a command of its own
}

// resolveImage finds the one image that ref asks for: by name, or by its full
// ID. What the engine answers is checked against ref, because it also takes
// the beginning of an ID for an image.
func (r *Runtime) resolveImage(ctx context.Context, ref string) (resolvedImage, error) {
	t, err := parseImageTarget(ref)
	if err != nil {
		return resolvedImage{}, err
	}
	if t.name != nil {
		named := engineRef(t.name)
		img, err := r.inspectImage(ctx, engineSpelling(named))
		digested, hasDigest := named.(reference.Digested)
		if err == nil {
			ok, reason := img.explain(named)
			if ok {
				return img, nil
			}
			err = wrongImage(img.Image, reason)
		}
		if !hasDigest || !errors.Is(err, ErrImageNotFound) {
			return resolvedImage{}, err
		}
		t.id = digested.Digest() // name@ID: no engine finds it by that name
	}
	img, err := r.inspectImage(ctx, t.id.String())
	if err == nil && !img.HasID(t.id) {
		err = wrongImage(img.Image, MismatchDigest)
	}
	if err != nil {
		return resolvedImage{}, err
	}
	return img, nil
}

// wrongImage is the error for an answer of the engine that is not what was
// asked for.
func wrongImage(got Image, reason MatchReason) error {
	return &classified{ErrImageNotFound, fmt.Sprintf("%v: the engine answers with %s (%s)", ErrImageNotFound, got.ID, reason)}
}

func (r *Runtime) inspectImage(ctx context.Context, ref string) (resolvedImage, error) {
	got, err := r.docker.ImageInspect(ctx, ref)
	if err != nil {
		return resolvedImage{}, classify(verbImage, ref, err)
	}
	img, err := imageOfInspect(got)
	img.Pinned = r.pinned(img.Image)
	return img, err
}

func imageOfInspect(s image.InspectResponse) (resolvedImage, error) {
	if s.ID == "" {
		return resolvedImage{}, errNoImageID
	}
	img := resolvedImage{Image: Image{
		ID:          imageID(s.ID),
		RepoTags:    imageNames(s.RepoTags, false),
		RepoDigests: imageNames(s.RepoDigests, true),
		Size:        s.Size,
	}}
	if t, err := time.Parse(time.RFC3339Nano, s.Created); err == nil {
		img.CreatedAt = imageTime(t)
	}
	if c := s.Config; c != nil {
		img.UID, img.Username = splitUser(c.User)
		img.Labels = maps.Clone(c.Labels)
		img.hasCommand = len(c.Entrypoint) > 0 || len(c.Cmd) > 0
	}
	return img, nil
}

func imageOfSummary(s image.Summary) (Image, error) {
	if s.ID == "" {
		return Image{}, errNoImageID
	}
	return Image{
		ID:          imageID(s.ID),
		RepoTags:    imageNames(s.RepoTags, false),
		RepoDigests: imageNames(s.RepoDigests, true),
		Size:        s.Size,
		CreatedAt:   imageTime(time.Unix(s.Created, 0)),
		Labels:      maps.Clone(s.Labels),
	}, nil
}

var errNoImageID = fmt.Errorf("%w: an image without an ID", ErrBadAnswer)

// imageTime makes "unknown" the zero time: engines write year 1 for it.
func imageTime(t time.Time) time.Time {
	if t = t.UTC(); t.Year() <= 1 {
		return time.Time{}
	}
	return t
}

// imageNames sorts the tags, or the digests, of an image, each once. Engines
// put "<none>:<none>" where there is nothing, and with the containerd store an
// image that was pulled by its digest has that among its tags.
func imageNames(list []string, digests bool) []string {
	var names []string
	for _, s := range list {
		if strings.Contains(s, "<none>") || !digests && strings.Contains(s, "@") {
			continue
		}
		names = append(names, s)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// splitUser takes an image's "user:group" apart. The group is not reported.
func splitUser(user string) (uid *int64, name string) {
	user, _, _ = strings.Cut(user, ":")
	if n, err := strconv.ParseInt(user, 10, 64); err == nil {
		return &n, ""
	}
	return nil, user
}

// pinned reports whether sandboxes are made from img.
func (r *Runtime) pinned(img Image) bool {
	if r.opts.sandboxImage == "" {
		_, ok := img.Labels[pause.Label]
		return ok
	}
	t, err := parseImageTarget(r.opts.sandboxImage)
	switch {
	case err != nil:
		return false
	case t.name == nil:
		return img.HasID(t.id)
	}
	return img.Matches(engineRef(t.name))
}

// ImageFilter selects images. The zero value selects all.
type ImageFilter struct {
	// Ref is a name, as for [Image.Matches]: without a tag it selects all
	// images of the repository. A full ID selects that image.
	Ref string
}

// ListImages returns the images of the engine that f selects, in the engine's
// order, whoever pulled them. The slice is never nil. UID and Username are
// not known from a list; [Runtime.ImageStatus] has them.
func (r *Runtime) ListImages(ctx context.Context, f ImageFilter) (list []Image, err error) {
	ctx, end := r.begin(ctx, "list images", redactRef(f.Ref))
	defer end(&err)
	if r.err != nil {
		return nil, r.err
	}
	var want imageTarget
	if f.Ref != "" {
		if want, err = parseImageTarget(f.Ref); err != nil {
			return nil, err
		}
	}
	all, err := r.docker.ImageList(ctx, image.ListOptions{})
	for try := 1; try < listTries && errors.Is(classify(verbImage, "", err), ErrImageNotFound); try++ {
		all, err = r.docker.ImageList(ctx, image.ListOptions{})
	}
	if err != nil {
		return nil, classify(verbOther, "", err)
	}
	list = make([]Image, 0, len(all))
	for _, s := range all {
		img, err := imageOfSummary(s)
		if err != nil {
			return nil, err
		}
		if want.name != nil && !img.Matches(want.name) || want.id != "" && !img.HasID(want.id) {
			continue
		}
		img.Pinned = r.pinned(img)
		list = append(list, img)
	}
	return list, nil
}

// listTries is how often Podman is asked for the list of images: it answers
// that one is not known which was removed while the list was made.
const listTries = 3

// ImageStatus returns the image that ref asks for: a name, for which the rules
// of [Image.Matches] hold and ":latest" is the default tag, or a full ID, with
// "sha256:" or without. The beginning of an ID is not accepted, and neither is
// a name such as "cafe" that the engine could take for one.
//
// The error is [ErrImageNotFound] if there is no such image. CRI's ImageStatus
// answers nothing and no error then: its server tests for that sentinel. It is
// a [*FieldError] if ref is not an image reference.
func (r *Runtime) ImageStatus(ctx context.Context, ref string) (img Image, err error) {
	ctx, end := r.begin(ctx, "inspect image", redactRef(ref))
	defer end(&err)
	if r.err != nil {
		return Image{}, r.err
	}
	got, err := r.resolveImage(ctx, ref)
	return got.Image, err
}

// ImageLayer is one step in the making of an image.
type ImageLayer struct {
	ID        digest.Digest // of the image after this step; empty unless that is on the engine too
	CreatedAt time.Time     // zero if unknown
	CreatedBy string        // the builder's command
	Comment   string
	Size      int64 // bytes it added
	Tags      []string
}

// ImageHistory returns how the image was made, the last step first. ref and
// the errors are as for [Runtime.ImageStatus].
func (r *Runtime) ImageHistory(ctx context.Context, ref string) (layers []ImageLayer, err error) {
	ctx, end := r.begin(ctx, "image history", redactRef(ref))
	defer end(&err)
	if r.err != nil {
		return nil, r.err
	}
	img, err := r.resolveImage(ctx, ref)
	if err != nil {
		return nil, err
	}
	items, err := r.docker.ImageHistory(ctx, img.ID.String())
	if err != nil {
		return nil, classify(verbImage, ref, err)
	}
	layers = make([]ImageLayer, 0, len(items))
	for _, h := range items {
		l := ImageLayer{
			CreatedAt: imageTime(time.Unix(h.Created, 0)), CreatedBy: h.CreatedBy,
			Comment: h.Comment, Size: h.Size, Tags: imageNames(h.Tags, false),
		}
		if id := imageID(h.ID); id.Validate() == nil { // else "<missing>"
			l.ID = id
		}
		layers = append(layers, l)
	}
	return layers, nil
}

// RemoveImage removes an image, or one of its names.
//
//   - A name with a tag loses that tag, and the engine deletes the image if it
//     was the last. A name with a digest likewise; with the containerd store it
//     stands for all tags of its repository on that image. A name that the
//     image does not bear itself removes nothing.
//   - An ID takes all tags and digests away and then the image.
//
// An image that is not there, or that somebody else removes meanwhile, is
// success. One that a container uses, running or not, and one that is Pinned
// stays: the error is [ErrImageInUse]. Removal is never forced: Podman would
// delete the containers with the image. If only some names could be removed,
// the error joins what kept the others.
func (r *Runtime) RemoveImage(ctx context.Context, ref string) (err error) {
	ctx, end := r.begin(ctx, "remove image", redactRef(ref))
	defer end(&err)
	if r.err != nil {
		return r.err
	}
	t, err := parseImageTarget(ref)
	if err != nil {
		return err
	}
	img, err := r.resolveImage(ctx, ref)
	switch {
	case errors.Is(err, ErrImageNotFound):
		return nil
	case err != nil:
		return err
	case img.Pinned:
		return &classified{ErrImageInUse, fmt.Sprintf("%v: sandboxes are made from it", ErrImageInUse)}
	case t.name != nil:
		if own := img.spelling(engineRef(t.name)); own != "" {
			return r.removeImageRef(ctx, own)
		}
		return nil
	}
	return r.removeWholeImage(ctx, img.Image)
}

// spelling returns the name of the image that equals named, as the engine
// spells it.
func (i Image) spelling(named reference.Named) string {
	for _, s := range slices.Concat(i.RepoTags, i.RepoDigests) {
		if have, err := reference.ParseNormalizedNamed(s); err == nil && have.String() == named.String() {
			return s
		}
	}
	return ""
}

func (r *Runtime) removeWholeImage(ctx context.Context, img Image) error {
	names := slices.Concat(img.RepoTags, img.RepoDigests)
	// An engine refuses to take the last name from an image in use, not the
	// ones before it.
	if len(names) > 1 {
		if err := r.checkImageUnused(ctx, img.ID); err != nil {
			return err
		}
	}
	var failed []error
	for _, name := range names {
		err := r.removeImageRef(ctx, name)
		if err == nil {
			continue
		}
		failed = append(failed, fmt.Errorf("%q: %w", name, err))
		if isContextError(err) || errors.Is(err, ErrImageInUse) {
			break
		}
	}
	if failed != nil {
		return errors.Join(failed...)
	}
	// Most often it went with its last name, and is not found any more.
	return r.removeImageRef(ctx, img.ID.String())
}

// checkImageUnused looks through all containers. Podman's filter by image
// finds none.
func (r *Runtime) checkImageUnused(ctx context.Context, id digest.Digest) error {
	list, err := r.listEngine(ctx, container.ListOptions{All: true})
	if err != nil {
		return err
	}
	for _, c := range list {
		if imageID(c.ImageID) == id {
			return &classified{ErrImageInUse, fmt.Sprintf("%v by container %s", ErrImageInUse, c.ID)}
		}
	}
	return nil
}

// removeImageRef removes one name, or an image by its ID. That it is not there
// is no error.
func (r *Runtime) removeImageRef(ctx context.Context, ref string) error {
	defer r.images.forget()
	_, err := r.docker.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
	return removeImageError(ref, err)
}

// removeImageError tells the answers to an image's removal apart, whose
// classes do not: a conflict may also be a second name of the image.
func removeImageError(ref string, err error) error {
	if err == nil {
		return nil
	}
	text := strings.ToLower(err.Error())
	for _, used := range []string{
		"is using its referenced image", // Docker, asked by name
		"image is being used by",        // Docker, asked by ID
		"image is in use by",            // Podman
	} {
		if strings.Contains(text, used) {
			return &classified{ErrImageInUse, err.Error()}
		}
	}
	// Docker 20.10 tells the loser of simultaneous removals the second.
	err = classify(verbImage, ref, err)
	if errors.Is(err, ErrImageNotFound) || strings.Contains(text, "reference does not exist") {
		return nil
	}
	return err
}
