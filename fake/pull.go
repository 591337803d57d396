package fake

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/opencontainers/go-digest"
)

// Remote describes an image on a registry for [Docker.AddRemoteImageConfig].
type Remote struct {
	// Image is what a pull puts into the engine. Of its Refs the tags are
	// what can be pulled, and a digest is the manifest's; without one it is
	// made up.
	Image Image

	// User and Password are wanted from whoever pulls. Both empty: from
	// nobody.
	User, Password string

	// Pace is the time between two messages of a pull, of which a layer
	// has about a dozen; 0: none.
	Pace time.Duration

	// Err, if not nil, is what every pull answers instead, for example
	// Internal("toomanyrequests: …"), Internal("received unexpected HTTP
	// status: 503 Service Unavailable").
	Err error
	// StreamErr, if not empty, ends the stream with an error after it has
	// begun well.
	StreamErr string
	// Truncate cuts the stream in the middle of a message.
	Truncate bool
	// Stall makes the stream fall silent after it has begun, until it is
	// closed or its context ends.
	Stall bool
}

// remote is an image on a registry.
type remote struct {
	Remote
	image  *img
	digest digest.Digest
}

// AddRemoteImage puts an image on a registry, where it can be pulled by this
// name, and returns the ID it will have. It is like [Docker.AddImage]
// otherwise.
func (d *Docker) AddRemoteImage(ref string) (id string) {
	return d.AddRemoteImageConfig(Remote{Image: Image{Refs: []string{ref}, Config: container.Config{Cmd: []string{"/bin/main"}}}})
}

// AddRemoteImageConfig puts an image on a registry and returns the ID it will
// have. A name that was there before is replaced.
func (d *Docker) AddRemoteImageConfig(r Remote) (id string) {
	d.lock()
	defer d.mu.Unlock()
	it := &remote{Remote: r, image: d.makeImage(r.Image), digest: digest.Digest("sha256:" + d.newID("manifest"))}
	for _, ref := range r.Image.Refs {
		if c, ok := mustParse(ref).(reference.Canonical); ok {
			it.digest = c.Digest()
		}
	}
	for _, ref := range r.Image.Refs {
		named := normal(mustParse(ref))
		d.remote[named.String()] = it
		d.remote[it.canonical(named).String()] = it
	}
	return it.image.id
}

// canonical is the image's name by digest in the repository of a reference.
func (r *remote) canonical(named reference.Named) reference.Canonical {
	c, err := reference.WithDigest(reference.TrimNamed(named), r.digest)
	if err != nil {
		panic(fmt.Sprintf("fake: digest %q: %v", r.digest, err))
	}
	return c
}

// ImagePull fetches an image that was put on a registry, and returns Docker's
// stream of JSON messages. The image is there once the stream has been read to
// its end, with the tag asked for and a digest of its repository. A registry
// that no image was put on refuses the connection.
func (d *Docker) ImagePull(ctx context.Context, ref string, o image.PullOptions) (io.ReadCloser, error) {
	return do(ctx, d, OpImagePull, ref, func() (io.ReadCloser, error) {
		parsed, err := reference.ParseNormalizedNamed(ref)
		if err != nil {
			return nil, err
		}
		if o.All {
			return nil, notImplemented("pulling all tags of a repository")
		}
		named := normal(parsed)
		d.lock()
		defer d.mu.Unlock()
		r, ok := d.remote[named.String()]
		if !ok && !d.hasRegistry(reference.Domain(named)) {
			return nil, Internal("Get %q: dial tcp: connect: connection refused", "https://"+reference.Domain(named)+"/v2/")
		}
		if !ok {
			return nil, refuse(errdefs.ErrNotFound, "manifest for %s not found: manifest unknown: manifest unknown", reference.FamiliarString(named))
		}
		if r.User+r.Password != "" && !r.admits(o.RegistryAuth) {
			return nil, Internal("unauthorized")
		}
		if r.Err != nil {
			return nil, r.Err
		}
		return d.pull(ctx, named, r), nil
	})
}

// hasRegistry reports whether any image was put on the registry. One that
// holds nothing is not there.
func (d *Docker) hasRegistry(domain string) bool {
	for _, r := range d.remote {
		if slices.ContainsFunc(r.Image.Refs, func(ref string) bool {
			named, err := reference.ParseNormalizedNamed(ref)
			return err == nil && reference.Domain(named) == domain
		}) {
			return true
		}
	}
	return false
}

// admits checks the credentials of a pull. What cannot be read counts as none,
// as with Docker 20.10.
func (r *remote) admits(header string) bool {
	var a registry.AuthConfig
	b, err := base64.URLEncoding.DecodeString(header)
	if err != nil || json.Unmarshal(b, &a) != nil {
		return false
	}
	return a.Username == r.User && a.Password == r.Password
}

// pull makes the stream of a pull; the caller holds the lock.
func (d *Docker) pull(ctx context.Context, named reference.Named, r *remote) io.ReadCloser {
	s := &pullStream{ctx: ctx, down: d.down, closed: make(chan struct{}), pace: r.Pace}
	say := func(v any) { s.messages = append(s.messages, encodeMessage(v)) }
	id := reference.FamiliarString(named)
	if t, ok := named.(reference.Tagged); ok {
		id = t.Tag()
	}
	say(statusMessage{Status: "Pulling from " + reference.Path(named), ID: id})
	if _, known := d.images[r.image.id]; !known {
		for _, l := range r.image.layers {
			say(statusMessage{Status: "Pulling fs layer", Detail: &progress{}, ID: short(l.diffID)})
		}
		sayOf := func(l layer, status string, current int64) {
			m := statusMessage{Status: status, Detail: &progress{}, ID: short(l.diffID)}
			if current > 0 {
				m.Detail, m.Progress = &progress{current, l.size}, bar(current, l.size)
			}
			say(m)
		}
		// The layers come side by side.
		for part := int64(1); part <= downloadParts; part++ {
			for _, l := range r.image.layers {
				sayOf(l, "Downloading", l.size*part/downloadParts)
			}
			if part == downloadParts/2 {
				s.trouble(r)
			}
		}
		for _, l := range r.image.layers {
			sayOf(l, "Verifying Checksum", 0)
			sayOf(l, "Download complete", 0)
		}
		for _, l := range r.image.layers {
			say(statusMessage{Status: "Extracting", Detail: &progress{l.size, l.size}, Progress: bar(l.size, l.size), ID: short(l.diffID)})
			say(statusMessage{Status: "Pull complete", Detail: &progress{}, ID: short(l.diffID)})
		}
	} else {
		s.trouble(r)
	}
	verdict := "Status: Downloaded newer image for "
	if i := d.tags[named.String()]; i != nil && i.id == r.image.id {
		verdict = "Status: Image is up to date for "
	}
	say(statusMessage{Status: "Digest: " + r.digest.String()})
	say(statusMessage{Status: verdict + reference.FamiliarString(named)})
	s.commit = func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		i, known := d.images[r.image.id]
		if !known {
			i = r.image.clone()
			d.images[i.id] = i
		}
		d.bind(i, named)
		d.bind(i, r.canonical(named))
		d.imageEvent(i, "pull", familiar(named), reference.FamiliarName(named))
	}
	return s
}

// clone is an image without names.
func (i *img) clone() *img {
	c := *i
	c.refs = map[string]reference.Named{}
	return &c
}

// pullStream is the stream of a pull.
type pullStream struct {
	ctx      context.Context
	down     chan struct{}
	messages [][]byte
	commit   func()
	stallAt  int // index of the message that never comes; 0: none
	endAt    int // index where the stream ends early; 0: none
	endErr   error
	pace     time.Duration

	mu     sync.Mutex
	next   int
	rest   []byte
	once   sync.Once
	closed chan struct{}
}

// trouble puts into the stream what goes wrong after the messages so far.
func (s *pullStream) trouble(r *remote) {
	n := len(s.messages)
	switch {
	case r.StreamErr != "":
		s.messages = append(s.messages, encodeMessage(errorMessage(r.StreamErr)))
		s.endAt, s.endErr = n+1, io.EOF
	case r.Truncate:
		s.messages[n-1] = s.messages[n-1][:len(s.messages[n-1])/2]
		s.endAt, s.endErr = n, io.ErrUnexpectedEOF
	case r.Stall:
		s.stallAt = n
	}
}

func (s *pullStream) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if isClosed(s.closed) {
		return 0, io.ErrClosedPipe
	}
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	if len(s.rest) == 0 {
		switch {
		case s.endAt > 0 && s.next == s.endAt:
			return 0, s.endErr
		case s.stallAt > 0 && s.next == s.stallAt:
			return 0, s.wait(nil)
		case s.next == len(s.messages):
			return 0, io.EOF
		}
		if s.pace > 0 && s.next > 0 {
			t := time.NewTimer(s.pace)
			err := s.wait(t.C)
			t.Stop()
			if err != nil {
				return 0, err
			}
		}
		s.rest = s.messages[s.next]
		s.next++
		if s.next == len(s.messages) && s.endAt == 0 && s.stallAt == 0 {
			s.commit()
		}
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// wait returns nil at a tick, or why the stream is over before it.
func (s *pullStream) wait(tick <-chan time.Time) error {
	select {
	case <-tick:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	case <-s.closed:
		return io.ErrClosedPipe
	case <-s.down:
		return io.ErrUnexpectedEOF
	}
}

// downloadParts is in how many messages a layer is downloaded.
const downloadParts = 8

// Close gives a pull up that has not come to its end.
func (s *pullStream) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}
