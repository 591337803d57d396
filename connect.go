package dockpod

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"github.com/dockpod/dockpod/internal/lean"
)

// A Dialer makes an engine for an endpoint of a registered scheme.
type Dialer func(ctx context.Context, endpoint string) (DockerInterface, error)

var schemes = struct {
	sync.RWMutex
	dial map[string]Dialer
}{dial: map[string]Dialer{}}

// RegisterScheme makes [Connect] take endpoints that begin with
// scheme + "://". A package calls it from init, as a database driver registers
// itself; dockpod/fake registers "fake". It panics if the scheme is built in
// or registered twice.
func RegisterScheme(scheme string, dial Dialer) {
	schemes.Lock()
	defer schemes.Unlock()
	if _, ok := schemes.dial[scheme]; ok || slices.Contains(builtinSchemes, scheme) || scheme == "" || dial == nil {
		panic(fmt.Sprintf("dockpod: RegisterScheme(%q): taken, empty, or without a dialer", scheme))
	}
	schemes.dial[scheme] = dial
}

var builtinSchemes = []string{"unix", "tcp", "http", "https", "npipe"}

// Connect makes a Runtime for the engine at endpoint, negotiates the API
// version and asks the engine whether it is there.
//
//   - "" takes DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH and
//     DOCKER_API_VERSION as the docker command does, else the default socket;
//   - "unix:///path" and "npipe:////./pipe/name" are local sockets, without TLS;
//   - "tcp://host:port" uses TLS if [WithTLS] is given or DOCKER_TLS_VERIFY is
//     set, with the certificates in DOCKER_CERT_PATH, else plain HTTP;
//   - "https://host:port" uses TLS in any case, and by itself the system's CAs;
//     "http://host:port" only if WithTLS is given;
//   - other schemes come from [RegisterScheme]: "fake://" needs the import of
//     github.com/dockpod/dockpod/fake.
//
// A user and password in the endpoint are not used, as the docker command does
// not use them, and are not shown.
//
// The error is [ErrUnreachable] if nothing answers, [ErrTimeout], [ErrNotReady]
// or [ErrBadAnswer] as for [Runtime.Ready], [ErrUnsupported] if the engine is
// older than [MinAPIVersion] or than the version pinned, or the scheme is not
// known, and a [*FieldError] for an endpoint that is none. It never ends the
// process. The caller closes the Runtime.
func Connect(ctx context.Context, endpoint string, opts ...Option) (rt *Runtime, err error) {
	r := newRuntime(opts)
	if endpoint == "" {
		endpoint = cmp.Or(os.Getenv(client.EnvOverrideHost), client.DefaultDockerHost)
		r.opts.apiVersion = cmp.Or(r.opts.apiVersion, os.Getenv(client.EnvOverrideAPIVersion))
	}
	ctx, end := r.begin(ctx, "connect", redactEndpoint(endpoint))
	defer end(&err)
	if r.err != nil {
		return nil, r.err
	}
	if err := r.connect(ctx, endpoint); err != nil {
		if closeErr := r.Close(); closeErr != nil {
			err = joinErrors([]error{err, closeErr})
		}
		return nil, err
	}
	return r, nil
}

// connect dials, and asks whether what answers is an engine that will do.
func (r *Runtime) connect(ctx context.Context, endpoint string) error {
	docker, err := dial(ctx, endpoint, r.opts)
	if err != nil {
		return err
	}
	if docker == nil {
		return &UnsupportedError{"endpoint", "its registered dialer returned no engine"}
	}
	r.docker = docker
	if c, ok := docker.(io.Closer); ok {
		r.close = sync.OnceValue(c.Close)
	}
	ping, err := docker.Ping(ctx)
	if err != nil {
		return readiness(err)
	}
	if c, ok := docker.(*lean.Client); ok {
		if ping.APIVersion == "" {
			return &classified{ErrBadAnswer, "the answer to a ping names no API version: is this a Docker engine?"}
		}
		if r.opts.apiVersion == "" {
			c.NegotiateAPIVersionPing(ping)
		} else if versions.LessThan(ping.APIVersion, c.ClientVersion()) {
			return &UnsupportedError{"API version " + c.ClientVersion(), "the engine speaks " + ping.APIVersion + " at most"}
		}
	}
	return checkAPIVersion(docker.ClientVersion())
}

func dial(ctx context.Context, endpoint string, o options) (DockerInterface, error) {
	malformed := &FieldError{"endpoint", fmt.Sprintf("%q; want scheme://address, for example %q", redactEndpoint(endpoint), client.DefaultDockerHost)}
	scheme, rest, ok := strings.Cut(endpoint, "://")
	if !ok || !isScheme(scheme) || rest == "" && slices.Contains(builtinSchemes, scheme) {
		return nil, malformed
	}
	if !slices.Contains(builtinSchemes, scheme) {
		schemes.RLock()
		d, known := schemes.dial[scheme]
		names := slices.Sorted(maps.Keys(schemes.dial))
		schemes.RUnlock()
		if known {
			return d(ctx, endpoint)
		}
		hint := ""
		if scheme == "fake" {
			hint = "; import github.com/dockpod/dockpod/fake to register it"
		}
		return nil, &UnsupportedError{"scheme " + scheme + "://", fmt.Sprintf("known are %s%s", strings.Join(append(names, builtinSchemes...), ", "), hint)}
	}

	local := scheme == "unix" || scheme == "npipe"
	if !local {
		u, err := url.Parse("tcp://" + rest)
		if err != nil || u.Host == "" {
			return nil, malformed // the error would quote a password
		}
		u.User = nil // no engine asks for one, and the client would show it
		endpoint = u.String()
	}
	opts := []client.Opt{client.WithUserAgent("dockpod"), client.WithHost(endpoint), withReads}
	switch {
	case local:
	case o.tls != nil:
		opts = append(opts, withTLS(o.tls))
	case scheme != "http" && os.Getenv(client.EnvTLSVerify) != "":
		opts = append(opts, tlsFromEnv)
	case scheme == "https":
		opts = append(opts, withTLS(&tls.Config{MinVersion: tls.VersionTLS12}))
	}
	if o.apiVersion != "" {
		opts = append(opts, client.WithVersion(o.apiVersion))
	} else {
		opts = append(opts, client.WithAPIVersionNegotiation())
	}
	c, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, err // not the nil *client.Client: it would not be a nil interface
	}
	return lean.Wrap(c), nil
}

// isScheme reports whether s can stand before "://": in a mistyped endpoint a
// password may.
func isScheme(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.") == ""
}

// withReads lets one read take an inspection as a whole.
func withReads(cli *client.Client) error {
	if t, ok := cli.HTTPClient().Transport.(*http.Transport); ok {
		t.ReadBufferSize = 16 << 10
	}
	return nil
}

// withTLS puts c into the client's own transport.
func withTLS(c *tls.Config) client.Opt {
	return func(cli *client.Client) error {
		t, ok := cli.HTTPClient().Transport.(*http.Transport)
		if !ok {
			return fmt.Errorf("apply TLS configuration to a %T", cli.HTTPClient().Transport)
		}
		t.TLSClientConfig = c.Clone()
		return nil
	}
}

// tlsFromEnv does what the docker command does with DOCKER_TLS_VERIFY: the
// certificates are in DOCKER_CERT_PATH, by default ~/.docker, and the client's
// own may be left out.
func tlsFromEnv(cli *client.Client) error {
	dir := os.Getenv(client.EnvOverrideCertPath)
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return fmt.Errorf("find certificates: %w", err)
		}
		dir = filepath.Join(home, ".docker")
	}
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if !exists(cert) && !exists(key) {
		cert, key = "", ""
	}
	return client.WithTLSClientConfig(filepath.Join(dir, "ca.pem"), cert, key)(cli)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// redactEndpoint drops a user and password that somebody put into an endpoint,
// also into one that does not parse.
func redactEndpoint(endpoint string) string {
	scheme, rest, ok := strings.Cut(endpoint, "://")
	if ok && (scheme == "unix" || scheme == "npipe") {
		return endpoint // an '@' is part of the path
	}
	at := strings.LastIndexByte(endpoint, '@')
	switch {
	case at < 0:
		return endpoint
	case ok && isScheme(scheme) && strings.Contains(rest, "@"):
		return scheme + "://…" + endpoint[at:]
	}
	return "…" + endpoint[at:]
}
