package dockpod

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
)

// noDockerEnv hides the environment that Connect reads.
func noDockerEnv(t *testing.T) {
	t.Helper()
	for _, key := range []string{client.EnvOverrideHost, client.EnvTLSVerify, client.EnvOverrideCertPath, client.EnvOverrideAPIVersion} {
		t.Setenv(key, "")
	}
}

// checkAPI reports what a connected Runtime speaks, asked through the engine.
func checkAPI(t *testing.T, rt *Runtime, err error, want string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	v, err := rt.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v.API != want {
		t.Errorf("speaks API version %q, want %q", v.API, want)
	}
}

func TestConnect(t *testing.T) {
	noDockerEnv(t)
	local := newBadEngine(t, t.TempDir(), badState{})
	unix := "unix://" + local.socket
	remote := httptest.NewServer(newBadHandler(badState{}))
	defer remote.Close()
	addr := remote.Listener.Addr().String()
	based := httptest.NewServer(http.StripPrefix("/base", newBadHandler(badState{})))
	defer based.Close()

	for _, tt := range []struct {
		name     string
		endpoint string
		env      map[string]string
		opts     []Option
		want     string // API version spoken
	}{
		{name: "socket", endpoint: unix, want: "1.43"},
		{name: "tcp", endpoint: "tcp://" + addr, want: "1.43"},
		{name: "tcp with a path", endpoint: "tcp://" + based.Listener.Addr().String() + "/base", want: "1.43"},
		{name: "http", endpoint: "http://" + addr, want: "1.43"},
		{name: "http with a path", endpoint: "http://" + based.Listener.Addr().String() + "/base", want: "1.43"},
		{name: "a password is not used", endpoint: "tcp://user:hunter2@" + addr, want: "1.43"},
		{name: "version pinned", endpoint: unix, opts: []Option{WithAPIVersion("1.42")}, want: "1.42"},
		{name: "version pinned with a v", endpoint: unix, opts: []Option{WithAPIVersion("v1.42")}, want: "1.42"},
		{name: "an endpoint beats the environment", endpoint: unix, env: map[string]string{client.EnvOverrideHost: "tcp://127.0.0.1:1", client.EnvOverrideAPIVersion: "1.41"}, want: "1.43"},
		{name: "a socket has no TLS", endpoint: unix, env: map[string]string{client.EnvTLSVerify: "1", client.EnvOverrideCertPath: "/nowhere"}, want: "1.43"},
		{name: "a socket has no TLS by option", endpoint: unix, opts: []Option{WithTLS(&tls.Config{})}, want: "1.43"},
		{name: "tcp with certificates and no wish to use them", endpoint: "tcp://" + addr, env: map[string]string{client.EnvOverrideCertPath: "/nowhere"}, want: "1.43"},

		{name: "environment, socket", env: map[string]string{client.EnvOverrideHost: unix}, want: "1.43"},
		{name: "environment, tcp", env: map[string]string{client.EnvOverrideHost: "tcp://" + addr}, want: "1.43"},
		{name: "environment, version", env: map[string]string{client.EnvOverrideHost: unix, client.EnvOverrideAPIVersion: "1.42"}, want: "1.42"},
		{name: "environment, version, option", env: map[string]string{client.EnvOverrideHost: unix, client.EnvOverrideAPIVersion: "1.42"}, opts: []Option{WithAPIVersion("1.41")}, want: "1.41"},
		{name: "environment, socket, TLS meant for another", env: map[string]string{client.EnvOverrideHost: unix, client.EnvTLSVerify: "1", client.EnvOverrideCertPath: "/nowhere"}, want: "1.43"},
		{name: "environment, certificates and no wish to use them", env: map[string]string{client.EnvOverrideHost: "tcp://" + addr, client.EnvOverrideCertPath: "/nowhere"}, want: "1.43"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			rt, err := Connect(t.Context(), tt.endpoint, append(tt.opts, nil)...)
			checkAPI(t, rt, err, tt.want)
		})
	}
	t.Run("the default socket", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := Connect(ctx, "")
		var e *Error
		if !errors.As(err, &e) || e.Target != client.DefaultDockerHost || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v; want an attempt at %s", err, client.DefaultDockerHost)
		}
	})
}

func TestConnectAPIVersions(t *testing.T) {
	noDockerEnv(t)
	dir := t.TempDir()
	for _, tt := range []struct {
		engine, pinned string
		want           string // the version spoken
		wantErr        error
	}{
		{engine: "1.41", want: "1.41"},
		{engine: "1.45", want: "1.45"},
		{engine: "1.99", want: api.DefaultVersion},
		{engine: "1.40", wantErr: ErrUnsupported},
		{engine: "1.9", wantErr: ErrUnsupported},
		{engine: "", wantErr: ErrBadAnswer},
		{engine: "1.43", pinned: "1.41", want: "1.41"},
		{engine: "1.43", pinned: "1.43", want: "1.43"},
		{engine: "1.43", pinned: "1.44", wantErr: ErrUnsupported},
		{engine: "1.43", pinned: "1.40", wantErr: ErrUnsupported},
		{engine: "1.43", pinned: "newest", wantErr: ErrUnsupported},
		{engine: "", pinned: "1.43", wantErr: ErrBadAnswer},
	} {
		t.Run(tt.engine+" pinned "+tt.pinned, func(t *testing.T) {
			e := newBadEngine(t, dir, badState{})
			e.api = tt.engine
			var paths sync.Map
			e.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				paths.Store(r.URL.Path, true)
				e.ServeHTTP(w, r)
			})
			rt, err := Connect(t.Context(), "unix://"+e.socket, WithAPIVersion(tt.pinned))
			if tt.wantErr != nil {
				if rt != nil || !errors.Is(err, tt.wantErr) {
					t.Errorf("got %v, %v; want %v", rt, err, tt.wantErr)
				}
				if !e.listener.isQuiet(badPatience) {
					t.Error("a connection stays open")
				}
				return
			}
			checkAPI(t, rt, err, tt.want)
			if _, ok := paths.Load("/v" + tt.want + "/version"); !ok {
				t.Errorf("no request for API version %s", tt.want)
			}
		})
	}
}

// tlsFiles makes a CA, and certificates of it for a server at 127.0.0.1 and for
// a client, in a directory as DOCKER_CERT_PATH names one.
func tlsFiles(t *testing.T) (dir string, server tls.Certificate, ca *x509.CertPool) {
	t.Helper()
	dir = t.TempDir()
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	serial := int64(0)
	template := func(name string) *x509.Certificate {
		serial++
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}
	}
	write := func(name, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	caKey, caCert := newKey(), template("dockpod test CA")
	caCert.IsCA, caCert.BasicConstraintsValid, caCert.KeyUsage = true, true, x509.KeyUsageCertSign
	sign := func(cert *x509.Certificate, key *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, cert, caCert, key.Public(), caKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	caDER := sign(caCert, caKey)
	write("ca.pem", "CERTIFICATE", caDER)
	parsed, err := x509.ParseCertificate(caDER)
	if err != nil {
		t.Fatal(err)
	}
	ca = x509.NewCertPool()
	ca.AddCert(parsed)
	serverKey, clientKey := newKey(), newKey()
	server = tls.Certificate{Certificate: [][]byte{sign(template("server"), serverKey)}, PrivateKey: serverKey}
	write("cert.pem", "CERTIFICATE", sign(template("client"), clientKey))
	der, err := x509.MarshalECPrivateKey(clientKey)
	if err != nil {
		t.Fatal(err)
	}
	write("key.pem", "EC PRIVATE KEY", der)
	return dir, server, ca
}

func TestConnectTLS(t *testing.T) {
	noDockerEnv(t)
	dir, serverCert, ca := tlsFiles(t)
	otherDir, _, otherCA := tlsFiles(t)
	clientCert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	caOnly := t.TempDir()
	pemText, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(caOnly, "ca.pem"), pemText, 0o600); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir() // with the certificates where the docker command looks
	if err := os.CopyFS(filepath.Join(home, ".docker"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("USERPROFILE", os.Getenv("HOME"))

	serve := func(auth tls.ClientAuthType) string {
		srv := httptest.NewUnstartedServer(newBadHandler(badState{}))
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{serverCert}, ClientAuth: auth, ClientCAs: ca}
		srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		srv.StartTLS()
		t.Cleanup(srv.Close)
		return srv.Listener.Addr().String()
	}
	open, closed := serve(tls.NoClientCert), serve(tls.RequireAndVerifyClientCert)
	plainServer := httptest.NewServer(newBadHandler(badState{}))
	defer plainServer.Close()
	plain := plainServer.Listener.Addr().String()

	verify := func(dir string) map[string]string {
		return map[string]string{client.EnvTLSVerify: "1", client.EnvOverrideCertPath: dir}
	}
	with := func(c *tls.Config) []Option { return []Option{WithTLS(c)} }
	ours := &tls.Config{RootCAs: ca, Certificates: []tls.Certificate{clientCert}}
	for _, tt := range []struct {
		name     string
		endpoint string
		env      map[string]string
		opts     []Option
		fails    string // what the error says; empty: none
	}{
		{name: "option", endpoint: "tcp://" + closed, opts: with(ours)},
		{name: "option, https", endpoint: "https://" + closed, opts: with(ours)},
		{name: "option, no certificate asked for", endpoint: "tcp://" + open, opts: with(&tls.Config{RootCAs: ca})},
		{name: "option before the environment", endpoint: "tcp://" + closed, opts: with(ours), env: verify("/nowhere")},
		{name: "environment", endpoint: "tcp://" + closed, env: verify(dir)},
		{name: "environment, https", endpoint: "https://" + closed, env: verify(dir)},
		{name: "environment alone", env: map[string]string{client.EnvOverrideHost: "tcp://" + closed, client.EnvTLSVerify: "1", client.EnvOverrideCertPath: dir}},
		{name: "environment alone, option", env: map[string]string{client.EnvOverrideHost: "tcp://" + closed, client.EnvTLSVerify: "1", client.EnvOverrideCertPath: "/nowhere"}, opts: with(ours)},
		{name: "environment, default directory", endpoint: "tcp://" + closed, env: map[string]string{client.EnvTLSVerify: "1", "HOME": home, "USERPROFILE": home}},
		{name: "environment, the CA alone", endpoint: "tcp://" + open, env: verify(caOnly)},

		{name: "option, another CA", endpoint: "tcp://" + open, opts: with(&tls.Config{RootCAs: otherCA}), fails: "certificate"},
		{name: "option, no client certificate", endpoint: "tcp://" + closed, opts: with(&tls.Config{RootCAs: ca}), fails: " "},
		{name: "environment, another CA", endpoint: "tcp://" + closed, env: verify(otherDir), fails: "certificate"},
		{name: "environment, no client certificate", endpoint: "tcp://" + closed, env: verify(caOnly), fails: " "},
		{name: "environment, no files", endpoint: "tcp://" + closed, env: verify("/nowhere"), fails: "ca.pem"},
		{name: "https never falls back to plain text", endpoint: "https://" + plain, fails: "HTTPS"},
		{name: "https with the system's CAs", endpoint: "https://" + open, fails: "certificate"},
		{name: "plain text to TLS", endpoint: "tcp://" + open, fails: "HTTPS"},
		{name: "TLS to plain text", endpoint: "tcp://" + plain, opts: with(ours), fails: "HTTPS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			start := time.Now()
			rt, err := Connect(t.Context(), tt.endpoint, tt.opts...)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			if tt.fails == "" {
				checkAPI(t, rt, err, "1.43")
				return
			}
			var e *Error
			if rt != nil || !errors.As(err, &e) || e.Op != "connect" || !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("got %v, %v; want an *Error that says %q", rt, err, tt.fails)
			}
		})
	}
	t.Run("the option's value is copied", func(t *testing.T) {
		rt, err := Connect(t.Context(), "tcp://"+closed, with(ours)...)
		if err != nil {
			t.Fatal(err)
		}
		defer rt.Close()
		rt.Close() // the next call dials
		ours.RootCAs = otherCA
		if err := rt.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestConnectRefuses(t *testing.T) {
	noDockerEnv(t)
	withoutScheme(t, "fake")
	for _, tt := range []struct {
		endpoint string
		want     error // nil: a *FieldError
		says     string
	}{
		{"nope://x", ErrUnsupported, "unix, tcp, http, https, npipe"},
		{"ssh://host", ErrUnsupported, "scheme ssh:// is not supported"},
		{"TCP://127.0.0.1:1", ErrUnsupported, "scheme TCP://"},
		{"fake://", ErrUnsupported, "import github.com/dockpod/dockpod/fake"},
		{"fake://one", ErrUnsupported, "import github.com/dockpod/dockpod/fake"},
		{"localhost:2375", nil, "want scheme://address"},
		{"/var/run/docker.sock", nil, "want scheme://address"},
		{"tcp:/localhost", nil, "want scheme://address"},
		{"://", nil, "want scheme://address"},
		{"://localhost", nil, "want scheme://address"},
		{"tcp://", nil, "want scheme://address"},
		{"unix://", nil, "want scheme://address"},
		{"tcp:///path", nil, "want scheme://address"},
		{"tcp://host:port", nil, "want scheme://address"},
		{"tcp://[::1", nil, "want scheme://address"},
		{"tcp://a b", nil, "want scheme://address"},
		{" ", nil, "want scheme://address"},
		{"http://%zz", nil, "want scheme://address"},
	} {
		t.Run(tt.endpoint, func(t *testing.T) {
			rt, err := Connect(t.Context(), tt.endpoint)
			var (
				e     *Error
				field *FieldError
			)
			switch {
			case rt != nil || !errors.As(err, &e) || e.Op != "connect" || e.Target != tt.endpoint:
				t.Errorf("got %v, %v; want an *Error about the endpoint", rt, err)
			case tt.want != nil && !errors.Is(err, tt.want):
				t.Errorf("got %v; want %v", err, tt.want)
			case tt.want == nil && (!errors.As(err, &field) || !errdefs.IsInvalidArgument(err)):
				t.Errorf("got %v; want a *FieldError", err)
			case !strings.Contains(err.Error(), tt.says):
				t.Errorf("got %q; want it to say %q", err, tt.says)
			}
		})
	}
}

// withoutScheme undoes a registration for the length of a test: another file
// of the test binary may import the package.
func withoutScheme(t *testing.T, scheme string) {
	t.Helper()
	schemes.Lock()
	defer schemes.Unlock()
	d, ok := schemes.dial[scheme]
	delete(schemes.dial, scheme)
	if ok {
		t.Cleanup(func() {
			schemes.Lock()
			defer schemes.Unlock()
			schemes.dial[scheme] = d
		})
	}
}

// eachError calls f for err and all that it wraps.
func eachError(err error, f func(error)) {
	if err == nil {
		return
	}
	f(err)
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		eachError(u.Unwrap(), f)
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			eachError(e, f)
		}
	}
}

func TestConnectHidesPassword(t *testing.T) {
	noDockerEnv(t)
	const secret = "hunter2"
	for _, endpoint := range []string{
		"tcp://user:hunter2@127.0.0.1:1",
		"tcp://hunter2@127.0.0.1:1",
		"http://user:hunter2@127.0.0.1:1/path",
		"https://user:hunter2@127.0.0.1:1",
		"tcp://user:hunter2@127.0.0.1:port",
		"tcp://user:x/hunter2@127.0.0.1:1",
		"tcp://user:x@hunter2@127.0.0.1:1",
		"tcp://user:hunter2%zz@127.0.0.1:1",
		"tcp:/user:hunter2@127.0.0.1:1",
		"user:hunter2@127.0.0.1:1",
		"user:hunter2@tcp://127.0.0.1:1/@",
		"nope://user:hunter2@127.0.0.1:1",
		"fake:user:hunter2@://x@y",
	} {
		for _, env := range []bool{false, true} {
			given := endpoint
			if env {
				t.Setenv(client.EnvOverrideHost, endpoint)
				given = ""
			}
			_, err := Connect(t.Context(), given)
			if err == nil {
				t.Errorf("%s: connected", endpoint)
			}
			eachError(err, func(e error) {
				for _, text := range []string{e.Error(), fmt.Sprintf("%+v", e), fmt.Sprintf("%#v", e)} {
					if strings.Contains(text, secret) {
						t.Errorf("%s: %T shows the password: %s", endpoint, e, text)
					}
				}
			})
		}
	}
	for endpoint, want := range map[string]string{
		"tcp://user:pw@host:1":         "tcp://…@host:1",
		"unix:///run/user@1000/d.sock": "unix:///run/user@1000/d.sock",
		"tcp://host:1":                 "tcp://host:1",
		"":                             "",
	} {
		if got := redactEndpoint(endpoint); got != want {
			t.Errorf("redactEndpoint(%q) = %q, want %q", endpoint, got, want)
		}
	}
}

func TestConnectBadEngine(t *testing.T) {
	noDockerEnv(t)
	dir := t.TempDir()
	before := badResources(t)
	const page = "<!DOCTYPE html><html><title>502</title></html>"
	answer := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { badStatus(status, contentType, body)(w, r, nil) }
	}
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc // nil: nobody listens
		want    error
	}{
		{"nobody", nil, ErrUnreachable},
		{"hung", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, ErrTimeout},
		{"500", answer(500, "application/json", `{"message":"boom"}`), ErrNotReady},
		{"503", answer(503, "application/json", `{"message":"boom"}`), ErrNotReady},
		{"502, a web page", answer(502, "text/html", page), ErrNotReady},
		{"404, a web page", answer(404, "text/html", page), ErrNotReady},
		{"404", answer(404, "text/plain", "404 page not found\n"), ErrBadAnswer},
		{"200, a web page", answer(200, "text/html", page), ErrBadAnswer},
		{"403", answer(403, "text/plain", "no"), errdefs.ErrPermissionDenied},
		{"reset", func(w http.ResponseWriter, r *http.Request) {
			badCut(-1)(w, r, httptest.NewRecorder)
		}, ErrBadAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := badSocket(t, dir)
			srv := &http.Server{Handler: tt.handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
			defer srv.Close()
			if tt.handler == nil {
				l.Close()
			} else {
				go srv.Serve(l)
			}
			endpoint := "unix://" + l.Addr().String()
			opts := []Option{}
			if tt.want == ErrTimeout {
				opts = append(opts, WithRequestTimeout(badDeadline))
			}
			start := time.Now()
			rt, err := Connect(t.Context(), endpoint, opts...)
			if took := time.Since(start); took > badDeadline+badPatience {
				t.Errorf("took %v", took)
			}
			var e *Error
			if rt != nil || !errors.Is(err, tt.want) || !errors.As(err, &e) || e.Op != "connect" || e.Target != endpoint {
				t.Errorf("got %v, %v; want %v", rt, err, tt.want)
			}
			if len(err.Error()) > 2<<10 || strings.Contains(err.Error(), "<html") {
				t.Errorf("says %q", err)
			}
			if !l.isQuiet(badPatience) {
				t.Error("a connection stays open")
			}
		})
	}

	t.Run("the caller ends it", func(t *testing.T) {
		for _, want := range []error{context.Canceled, context.DeadlineExceeded} {
			l := badSocket(t, dir)
			limit := badDeadline
			if want == context.Canceled {
				limit = badPatience // the cancellation comes before it
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			srv := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if want == context.Canceled {
					cancel()
				}
				<-r.Context().Done()
			})}
			go srv.Serve(l)
			_, err := Connect(ctx, "unix://"+l.Addr().String())
			if !errors.Is(err, want) || errors.Is(err, ErrTimeout) {
				t.Errorf("got %v; want %v", err, want)
			}
			srv.Close()
		}
	})
	settle(t, before)
}

func TestClose(t *testing.T) {
	noDockerEnv(t)
	e := newBadEngine(t, t.TempDir(), badState{})
	rt, err := Connect(t.Context(), "unix://"+e.socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := rt.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if !e.listener.isQuiet(badPatience) {
			t.Error("a connection stays open")
		}
	}

	mine, closeClient := e.runtime(t)
	if err := mine.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := mine.Close(); err != nil {
		t.Errorf("Close after New: %v", err)
	}
	e.listener.mu.Lock()
	open := e.listener.open
	e.listener.mu.Unlock()
	if open != 1 {
		t.Errorf("%d connections of the caller's client after Close, want its 1", open)
	}
	closeClient()
}

// pingEngine is an engine that counts what it is asked.
type pingEngine struct {
	DockerInterface // nil: anything else panics
	api             string
	pingErr         error
	version         func(context.Context) (types.Version, error)
	info            func(context.Context) (system.Info, error)
	asked           atomic.Int32
	closed          atomic.Int32
	closeErr        error
}

func (e *pingEngine) ClientVersion() string { return e.api }

func (e *pingEngine) Ping(context.Context) (types.Ping, error) {
	e.asked.Add(1)
	return types.Ping{}, e.pingErr
}

func (e *pingEngine) ServerVersion(ctx context.Context) (types.Version, error) {
	e.asked.Add(1)
	if e.version == nil {
		return types.Version{}, nil
	}
	return e.version(ctx)
}

func (e *pingEngine) Info(ctx context.Context) (system.Info, error) {
	e.asked.Add(1)
	return e.info(ctx)
}

func (e *pingEngine) Close() error {
	e.closed.Add(1)
	return e.closeErr
}

// testScheme registers a scheme for one test.
func testScheme(t *testing.T, dial Dialer) string {
	t.Helper()
	scheme := fmt.Sprintf("test-%x", time.Now().UnixNano())
	RegisterScheme(scheme, dial)
	t.Cleanup(func() {
		schemes.Lock()
		defer schemes.Unlock()
		delete(schemes.dial, scheme)
	})
	return scheme
}

func TestRegisterScheme(t *testing.T) {
	engine := &pingEngine{api: "1.44"}
	var got string
	scheme := testScheme(t, func(_ context.Context, endpoint string) (DockerInterface, error) {
		got = endpoint
		return engine, nil
	})
	rt, err := Connect(t.Context(), scheme+"://user:pw@place?x=1", WithOwner("me"))
	if err != nil {
		t.Fatal(err)
	}
	if want := scheme + "://user:pw@place?x=1"; got != want {
		t.Errorf("the dialer got %q, want %q", got, want)
	}
	if rt.docker != DockerInterface(engine) || rt.naming.Prefix != "me" {
		t.Errorf("engine %v, prefix %q", rt.docker, rt.naming.Prefix)
	}
	rt.Close()
	rt.Close()
	if n := engine.closed.Load(); n != 1 {
		t.Errorf("closed %d times", n)
	}

	_, err = Connect(t.Context(), "nope://")
	if !strings.Contains(err.Error(), scheme) {
		t.Errorf("%v does not name %s", err, scheme)
	}

	for name, register := range map[string]func(){
		"twice": func() {
			RegisterScheme(scheme, func(context.Context, string) (DockerInterface, error) { return nil, nil })
		},
		"built in": func() {
			RegisterScheme("unix", func(context.Context, string) (DockerInterface, error) { return nil, nil })
		},
		"empty":            func() { RegisterScheme("", func(context.Context, string) (DockerInterface, error) { return nil, nil }) },
		"without a dialer": func() { RegisterScheme(scheme+"x", nil) },
	} {
		if !panics(register) {
			t.Errorf("registering %s: no panic", name)
		}
	}
}

func panics(f func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	f()
	return false
}

func TestConnectDialer(t *testing.T) {
	boom := errors.New("boom")
	stuck := errors.New("stuck")
	for _, tt := range []struct {
		name   string
		dial   Dialer
		want   []error
		closed *pingEngine
	}{
		{name: "fails", dial: func(context.Context, string) (DockerInterface, error) { return nil, boom }, want: []error{boom}},
		{name: "returns nothing", dial: func(context.Context, string) (DockerInterface, error) { return nil, nil }, want: []error{ErrUnsupported}},
		{name: "hangs", dial: func(ctx context.Context, _ string) (DockerInterface, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, want: []error{ErrTimeout}},
		{name: "too old", closed: &pingEngine{api: "1.40"}, want: []error{ErrUnsupported}},
		{name: "does not answer", closed: &pingEngine{pingErr: boom}, want: []error{ErrNotReady}},
		{name: "does not close either", closed: &pingEngine{pingErr: boom, closeErr: stuck}, want: []error{ErrNotReady, stuck}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dial := tt.dial
				if dial == nil {
					dial = func(context.Context, string) (DockerInterface, error) { return tt.closed, nil }
				}
				scheme := testScheme(t, dial)
				start := time.Now()
				rt, err := Connect(t.Context(), scheme+"://")
				if took := time.Since(start); took > DefaultRequestTimeout {
					t.Errorf("took %v", took)
				}
				for _, want := range tt.want {
					if rt != nil || !errors.Is(err, want) {
						t.Errorf("got %v, %v; want %v", rt, err, want)
					}
				}
				if tt.closed != nil && tt.closed.closed.Load() != 1 {
					t.Errorf("closed %d times, want once", tt.closed.closed.Load())
				}
			})
		})
	}
}

func TestWithOwner(t *testing.T) {
	dir := t.TempDir()
	e := newBadEngine(t, dir, badState{})
	for _, tt := range []struct {
		owner string
		ok    bool
	}{
		{"", true}, {"a", true}, {"9", true}, {"edge-1", true}, {"A.b-9", true}, {"k8s-edge", true}, {"K8S", true}, {strings.Repeat("a", 63), true},
		{"k8s", false}, {"a_b", false}, {strings.Repeat("a", 64), false}, {"-a", false}, {".a", false}, {"ü", false}, {"aü", false}, {"aüb", false},
		{"a b", false}, {" ", false}, {"a/b", false}, {"a\n", false}, {"a\x00b", false}, {"_", false},
	} {
		t.Run(tt.owner, func(t *testing.T) {
			if err := checkOwner(tt.owner); (err == nil) != tt.ok {
				t.Fatalf("checkOwner(%q) = %v, want ok %t", tt.owner, err, tt.ok)
			}
			if tt.ok {
				return
			}
			rt, closeClient := e.runtime(t, WithOwner(tt.owner))
			defer closeClient()
			check := func(what string, err error) {
				t.Helper()
				var (
					lib   *Error
					field *FieldError
				)
				if !errors.As(err, &lib) || !errors.As(err, &field) || field.Field != "WithOwner" || !errdefs.IsInvalidArgument(err) {
					t.Errorf("%s: got %v; want a *FieldError about WithOwner", what, err)
				}
			}
			for _, call := range badCalls {
				check(call.method, call.run(t.Context(), rt))
			}
			dialled := false
			scheme := testScheme(t, func(context.Context, string) (DockerInterface, error) {
				dialled = true
				return nil, errors.New("dialled")
			})
			for _, endpoint := range []string{scheme + "://", "unix://" + e.socket} {
				got, err := Connect(t.Context(), endpoint, WithOwner(tt.owner))
				if got != nil {
					t.Errorf("Connect to %s returned a Runtime", endpoint)
				}
				check("Connect to "+endpoint, err)
			}
			if asked := e.asked(); dialled || len(asked) > 0 {
				t.Errorf("dialled %t, asked %q; want nothing", dialled, asked)
			}
		})
	}
}

func TestNew(t *testing.T) {
	if !panics(func() { New(nil) }) {
		t.Error("New(nil) does not panic")
	}
	rt := New(&pingEngine{}, nil, WithLogger(nil), WithRequestTimeout(0), WithMaxLabelBytes(0))
	if rt.opts.logger == nil || rt.opts.requestTimeout != DefaultRequestTimeout || rt.opts.maxLabelBytes != defaultMaxLabelBytes {
		t.Errorf("defaults are %+v", rt.opts)
	}
	if DefaultRequestTimeout != 119*time.Second {
		t.Errorf("DefaultRequestTimeout = %v", DefaultRequestTimeout)
	}
}

func TestReady(t *testing.T) {
	status := func(class error) error { return fmt.Errorf("Error response from daemon: boom: %w", class) }
	for _, tt := range []struct {
		name string
		api  string
		err  error
		want error
	}{
		{"ready", "1.41", nil, nil},
		{"version not known", "", nil, nil},
		{"too old", "1.40", nil, ErrUnsupported},
		{"failing", "1.43", status(errdefs.ErrInternal), ErrNotReady},
		{"starting", "1.43", status(errdefs.ErrUnavailable), ErrNotReady},
		{"of no class", "1.43", errors.New("boom"), ErrNotReady},
		{"without such a call", "1.43", status(errdefs.ErrNotFound), ErrNotReady},
		{"guarded", "1.43", status(errdefs.ErrPermissionDenied), errdefs.ErrPermissionDenied},
		{"exchanged for an older one", "1.43", fmt.Errorf("Error response from daemon: client version 1.43 is too new. Maximum supported API version is 1.41: %w", errdefs.ErrInvalidArgument), ErrUnsupported},
		{"exchanged for a newer one", "1.43", fmt.Errorf("Error response from daemon: client version 1.43 is too old. Minimum supported API version is 1.44, please upgrade your client to a newer version: %w", errdefs.ErrInvalidArgument), ErrUnsupported},
		{"cut", "1.43", io.ErrUnexpectedEOF, ErrBadAnswer},
		{"a web page", "1.43", &json.SyntaxError{}, ErrBadAnswer},
		{"the caller's deadline", "1.43", context.DeadlineExceeded, context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rt := New(&pingEngine{api: tt.api, version: func(context.Context) (types.Version, error) { return types.Version{}, tt.err }})
			err := rt.Ready(t.Context())
			var e *Error
			if !errors.Is(err, tt.want) || err != nil && (!errors.As(err, &e) || e.Op != "ready") {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// waitingEngine answers nothing until the context ends, and then with what the
// HTTP client would say.
type waitingEngine struct {
	DockerInterface
	after  time.Duration // answers then; 0: never
	ends   time.Duration // of the last call's context; 0: none
	inside container.InspectResponse
}

func (e *waitingEngine) wait(ctx context.Context) error {
	if d, ok := ctx.Deadline(); ok {
		e.ends = time.Until(d)
	}
	var answer <-chan time.Time
	if e.after > 0 {
		answer = time.After(e.after)
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("Get /version: %w", context.Cause(ctx))
	case <-answer:
		return nil
	}
}

func (e *waitingEngine) ClientVersion() string { return "1.43" }

func (e *waitingEngine) ServerVersion(ctx context.Context) (types.Version, error) {
	return types.Version{}, e.wait(ctx)
}

func (e *waitingEngine) ContainerInspect(context.Context, string) (container.InspectResponse, error) {
	return e.inside, nil
}

func (e *waitingEngine) ContainerStop(ctx context.Context, _ string, _ container.StopOptions) error {
	return e.wait(ctx)
}

func TestDeadlines(t *testing.T) {
	ready := func(ctx context.Context, rt *Runtime) error { return rt.Ready(ctx) }
	stop := func(grace time.Duration) func(context.Context, *Runtime) error {
		return func(ctx context.Context, rt *Runtime) error { return rt.StopContainer(ctx, badRunningID, grace) }
	}
	mine := errors.New("the agent's own cause")
	for _, tt := range []struct {
		name   string
		opt    Option
		after  time.Duration // the engine answers
		caller time.Duration // the caller's deadline
		cancel time.Duration // the caller cancels
		cause  error         // with this
		run    func(context.Context, *Runtime) error
		takes  time.Duration
		want   error
	}{
		{name: "default", run: ready, takes: DefaultRequestTimeout, want: ErrTimeout},
		{name: "option", opt: WithRequestTimeout(3 * time.Second), run: ready, takes: 3 * time.Second, want: ErrTimeout},
		{name: "none, the caller's", opt: WithRequestTimeout(-1), caller: time.Hour, run: ready, takes: time.Hour, want: context.DeadlineExceeded},
		{name: "the caller's is earlier", caller: time.Second, run: ready, takes: time.Second, want: context.DeadlineExceeded},
		{name: "the caller's is later", opt: WithRequestTimeout(time.Second), caller: time.Minute, run: ready, takes: time.Second, want: ErrTimeout},
		{name: "the caller cancels", cancel: time.Second, run: ready, takes: time.Second, want: context.Canceled},
		{name: "the caller cancels with a cause", cancel: time.Second, cause: mine, run: ready, takes: time.Second, want: context.Canceled},
		{name: "an answer just in time", opt: WithRequestTimeout(time.Minute), after: time.Minute - 1, run: ready, takes: time.Minute - 1},
		{name: "a stop has its grace on top", opt: WithRequestTimeout(time.Minute), after: 89 * time.Second, run: stop(30 * time.Second), takes: 89 * time.Second},
		{name: "a stop's grace is rounded up", opt: WithRequestTimeout(time.Minute), after: time.Minute + 900*time.Millisecond, run: stop(time.Millisecond), takes: time.Minute + 900*time.Millisecond},
		{name: "a stop without a deadline", opt: WithRequestTimeout(-1), after: time.Hour, run: stop(time.Second), takes: time.Hour},
		{name: "a stop that is not answered", opt: WithRequestTimeout(time.Minute), run: stop(30 * time.Second), takes: 90 * time.Second, want: ErrTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &waitingEngine{after: tt.after, inside: container.InspectResponse{
					ContainerJSONBase: &container.ContainerJSONBase{ID: badRunningID, State: &container.State{Status: "running", Running: true}},
					Config:            &container.Config{Labels: map[string]string{LabelType: TypeContainer}},
				}}
				rt := New(e, tt.opt)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if tt.caller > 0 {
					var stop context.CancelFunc
					ctx, stop = context.WithTimeout(ctx, tt.caller)
					defer stop()
				}
				if tt.cancel > 0 {
					time.AfterFunc(tt.cancel, func() { cancel(tt.cause) })
				}
				start := time.Now()
				err := tt.run(ctx, rt)
				if took := time.Since(start); took != tt.takes {
					t.Errorf("took %v, want %v", took, tt.takes)
				}
				if !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if errors.Is(err, ErrTimeout) != (tt.want == ErrTimeout) || errors.Is(err, ErrUnreachable) || errors.Is(err, ErrNotReady) {
					t.Errorf("%v is more than %v", err, tt.want)
				}
				if tt.want == ErrTimeout && !errdefs.IsDeadlineExceeded(err) {
					t.Errorf("%v is not of the class DeadlineExceeded", err)
				}
			})
		})
	}
}

// tardy is a context that ends a little after its deadline, as those do whose
// timer the machine is too busy for.
type tardy struct {
	context.Context
	deadline time.Time
}

func (c tardy) Deadline() (time.Time, bool) { return c.deadline, true }

// An engine's client may notice a deadline before the context does: it is the
// deadline of whom it is all the same.
func TestDeadlineBeforeItsContext(t *testing.T) {
	late := errors.New("late") // the cause of the end
	for _, tt := range []struct {
		name  string
		cause error
		call  func(context.Context, *Runtime) error
		want  error
	}{
		{"of the caller, in one of several requests", context.DeadlineExceeded, func(ctx context.Context, r *Runtime) error {
			return r.request(ctx, func(context.Context) error { return context.DeadlineExceeded })
		}, context.DeadlineExceeded},
		{"of the library", errOurDeadline, func(ctx context.Context, _ *Runtime) error {
			return wrapError(ctx, "test", "", time.Minute, context.DeadlineExceeded)
		}, ErrTimeout},
		{"of the caller", late, func(ctx context.Context, _ *Runtime) error {
			return wrapError(ctx, "test", "", time.Minute, context.DeadlineExceeded)
		}, context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Millisecond, func() { cancel(tt.cause) })
				err := tt.call(tardy{ctx, time.Now()}, New(&pingEngine{}))
				if !errors.Is(err, tt.want) || errors.Is(err, ErrTimeout) != (tt.want == ErrTimeout) {
					t.Errorf("error is %v; want %v", err, tt.want)
				}
			})
		})
	}
}

// TestMemo: callers that come together share one request; what it brought is
// kept for a minute, an error not at all.
func TestMemo(t *testing.T) {
	answer := types.Version{Version: "28", Components: []types.ComponentVersion{{Name: "runc", Version: "1.2"}}}
	slow := func(ctx context.Context) (types.Version, error) {
		select {
		case <-time.After(time.Second):
			return answer, nil
		case <-ctx.Done():
			return types.Version{}, ctx.Err()
		}
	}
	run := func(name string, version func(context.Context) (types.Version, error), test func(*testing.T, *Runtime, *pingEngine)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &pingEngine{api: "1.43", version: version, info: func(ctx context.Context) (system.Info, error) {
					_, err := version(ctx)
					return system.Info{ID: "x", Runtimes: map[string]system.RuntimeWithStatus{"runc": {}, "crun": {}}}, err
				}}
				test(t, New(e), e)
			})
		})
	}
	checkAsked := func(t *testing.T, e *pingEngine, want int32) {
		t.Helper()
		if n := e.asked.Load(); n != want {
			t.Errorf("the engine was asked %d times, want %d", n, want)
		}
	}

	run("32 callers, one request", slow, func(t *testing.T, rt *Runtime, e *pingEngine) {
		start := time.Now()
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				if v, err := rt.Version(t.Context()); err != nil || v.Engine != "28" {
					t.Errorf("got %+v, %v", v, err)
				}
			})
			wg.Go(func() {
				if i, err := rt.Info(t.Context()); err != nil || i.ID != "x" {
					t.Errorf("got %+v, %v", i, err)
				}
			})
		}
		wg.Wait()
		checkAsked(t, e, 2)
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v", took)
		}
	})

	run("a minute", slow, func(t *testing.T, rt *Runtime, e *pingEngine) {
		ask := func() {
			t.Helper()
			if _, err := rt.Version(t.Context()); err != nil {
				t.Error(err)
			}
		}
		ask()
		time.Sleep(memoTime - time.Nanosecond)
		ask()
		checkAsked(t, e, 1)
		time.Sleep(time.Nanosecond)
		ask()
		checkAsked(t, e, 2)
		rt.version.forget()
		ask()
		checkAsked(t, e, 3)
	})

	fail := true
	run("errors are not kept", func(context.Context) (types.Version, error) {
		if fail {
			return types.Version{}, errors.New("boom")
		}
		return answer, nil
	}, func(t *testing.T, rt *Runtime, e *pingEngine) {
		if v, err := rt.Version(t.Context()); err == nil || v.Engine != "" {
			t.Errorf("got %+v, %v; want an error", v, err)
		}
		fail = false
		if v, err := rt.Version(t.Context()); err != nil || v.Engine != "28" {
			t.Errorf("got %+v, %v", v, err)
		}
		checkAsked(t, e, 2)
	})

	run("what was known is not lost to an error", func(context.Context) (types.Version, error) {
		if fail {
			return types.Version{}, errors.New("boom")
		}
		return answer, nil
	}, func(t *testing.T, rt *Runtime, e *pingEngine) {
		fail = false
		if _, err := rt.Version(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(memoTime)
		fail = true
		if v, err := rt.Version(t.Context()); err == nil || v.Engine != "" {
			t.Errorf("after it expired: got %+v, %v; want an error", v, err)
		}
	})

	run("a waiter that is cancelled leaves", slow, func(t *testing.T, rt *Runtime, e *pingEngine) {
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := rt.Version(t.Context()); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := rt.Version(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrTimeout) {
			t.Errorf("got %v; want the caller's deadline", err)
		}
		if took := time.Since(start); took != time.Millisecond {
			t.Errorf("left after %v", took)
		}
		wg.Wait()
		checkAsked(t, e, 1)
	})

	run("a waiter takes over from a cancelled caller", slow, func(t *testing.T, rt *Runtime, e *pingEngine) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := rt.Version(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v; want the caller's deadline", err)
			}
		})
		synctest.Wait()
		if v, err := rt.Version(t.Context()); err != nil || v.Engine != "28" {
			t.Errorf("the other: got %+v, %v", v, err)
		}
		wg.Wait()
		checkAsked(t, e, 2)
	})

	run("a hung engine costs everyone one deadline", func(ctx context.Context) (types.Version, error) {
		<-ctx.Done()
		return types.Version{}, context.Cause(ctx)
	}, func(t *testing.T, rt *Runtime, e *pingEngine) {
		start := time.Now()
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				if _, err := rt.Version(t.Context()); !errors.Is(err, ErrTimeout) {
					t.Errorf("got %v; want ErrTimeout", err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took != DefaultRequestTimeout {
			t.Errorf("took %v", took)
		}
	})

	run("values are the caller's own", slow, func(t *testing.T, rt *Runtime, e *pingEngine) {
		for range 3 {
			v, err := rt.Version(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]string{"runc": "1.2"}, v.Components); diff != "" {
				t.Errorf("components mismatch (-want +got):\n%s", diff)
			}
			v.Components["runc"] = "changed"
			i, err := rt.Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"crun", "runc"}, i.Runtimes); diff != "" {
				t.Errorf("runtimes mismatch (-want +got):\n%s", diff)
			}
			i.Runtimes[0] = "changed"
		}
		checkAsked(t, e, 2)
	})
}

func TestInfo(t *testing.T) {
	for _, tt := range []struct {
		name string
		api  string
		info system.Info
		want Info
	}{
		{name: "nothing known", want: Info{}},
		{
			name: "Docker 20.10", api: "1.41",
			info: system.Info{
				ID: "AB:CD", Name: "node-1", OSType: "linux", Architecture: "x86_64", NCPU: 2, MemTotal: 1 << 30,
				CgroupDriver: "cgroupfs", CgroupVersion: "1", Driver: "overlay2", LoggingDriver: "json-file", LiveRestoreEnabled: true,
				DefaultRuntime: "runc", Runtimes: map[string]system.RuntimeWithStatus{"runc": {}, "io.containerd.runc.v2": {}},
				DriverStatus:    [][2]string{{"Backing Filesystem", "extfs"}, {"Supports d_type", "true"}},
				SecurityOptions: []string{"name=apparmor", "name=seccomp,profile=default"},
				MemoryLimit:     true, SwapLimit: true, CPUShares: true, CPUCfsPeriod: true, CPUCfsQuota: true, CPUSet: true, PidsLimit: true,
			},
			want: Info{
				ID: "AB:CD", Name: "node-1", API: "1.41", OS: "linux", Arch: "amd64", CPUs: 2, MemoryBytes: 1 << 30,
				CgroupDriver: "cgroupfs", CgroupVersion: "1", StorageDriver: "overlay2", LogDriver: "json-file", LiveRestore: true,
				DefaultRuntime: "runc", Runtimes: []string{"io.containerd.runc.v2", "runc"},
				AppArmor: true, Seccomp: true,
				Limits: Limits{Memory: true, Swap: true, CPUShares: true, CPUQuota: true, Cpuset: true, Pids: true},
			},
		},
		{
			name: "containerd store, rootless, SELinux", api: "1.48",
			info: system.Info{
				Architecture: "aarch64", Driver: "overlayfs",
				DriverStatus:    [][2]string{{"driver-type", "io.containerd.snapshotter.v1"}},
				SecurityOptions: []string{"name=rootless", "name=selinux", "name=cgroupns", "seccomp"},
				MemoryLimit:     true, CPUCfsPeriod: true, CDISpecDirs: []string{"/etc/cdi"},
			},
			want: Info{
				API: "1.48", Arch: "arm64", StorageDriver: "overlayfs", ContainerdStore: true, Rootless: true, SELinux: true, Seccomp: true, CDI: true, Limits: Limits{Memory: true},
				Features: Features{CreateMountpoint: true, ConsoleSize: true, ReadOnlyNonRecursive: true, ReadOnlyRecursive: true, VolumeSubpath: true, TmpfsOptions: true, PrivilegedSeccomp: true, ImageMounts: true},
			},
		},
		{name: "between", api: "1.44", want: Info{API: "1.44", Features: Features{CreateMountpoint: true, ConsoleSize: true, ReadOnlyNonRecursive: true, ReadOnlyRecursive: true}}},
		{name: "armv7l", info: system.Info{Architecture: "armv7l"}, want: Info{Arch: "arm"}},
		{name: "i686", info: system.Info{Architecture: "i686"}, want: Info{Arch: "386"}},
		{name: "riscv64", info: system.Info{Architecture: "riscv64"}, want: Info{Arch: "riscv64"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rt := New(&pingEngine{api: tt.api, info: func(context.Context) (system.Info, error) { return tt.info, nil }})
			got, err := rt.Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("information mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNoEnvInErrors: an engine refuses a create and repeats what it was sent.
func TestNoEnvInErrors(t *testing.T) {
	dir := t.TempDir()
	seed := badSeed(t, dir)
	const secret = "hunter2 and a \"quote\""
	quote := func(r *http.Request) string {
		body, _ := io.ReadAll(r.Body)
		return string(body)
	}
	message := func(text string) string {
		s, _ := json.Marshal(map[string]string{"message": text})
		return string(s)
	}
	for _, tt := range []struct {
		name    string
		fault   badFault
		is      func(error) bool // nil: with or without an error
		timeout time.Duration    // 0: the default
	}{
		{"400 with the value", badStatus(400, "application/json", message("invalid environment variable: SECRET="+secret)), errdefs.IsInvalidArgument, 0},
		{"400 with the request", func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) {
			badStatus(400, "application/json", message("cannot read "+quote(r)))(w, r, nil)
		}, errdefs.IsInvalidArgument, 0},
		{"500 with the request, in plain text", func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) {
			badStatus(500, "text/plain", quote(r))(w, r, nil)
		}, errdefs.IsInternal, 0},
		{"500, quoted", badStatus(500, "application/json", message(fmt.Sprintf("bad environment %q", []string{"SECRET=" + secret}))), errdefs.IsInternal, 0},
		{"404 with the value", badStatus(404, "application/json", message("No such image: x, for SECRET="+secret)), errdefs.IsNotFound, 0},
		{"500 cut in the value", badStatus(500, "text/plain", strings.Repeat("x", maxErrorText-len("Error response from daemon: ")-7)+secret), errdefs.IsInternal, 0},
		{"reset", badCut(-1), nil, 0},
		{"hung", badHang, nil, 2 * badDeadline},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log strings.Builder
			e := newBadEngine(t, dir, seed())
			e.turnsBad(0, always, func(w http.ResponseWriter, r *http.Request, good func() *httptest.ResponseRecorder) {
				if _, route := e.mux.Handler(r); route == "POST /containers/create" {
					tt.fault(w, r, good)
					return
				}
				e.mux.ServeHTTP(w, r)
			})
			rt, closeClient := e.runtime(t,
				WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))), WithRequestTimeout(tt.timeout))
			defer closeClient()
			id, err := rt.CreateContainer(t.Context(), badSandboxID, ContainerConfig{
				Name: "new", Image: "busybox:1.36", Command: []string{"x"}, Envs: []EnvVar{{"SECRET", secret}, {"PATH", "/bin"}},
			}, badPod)
			if tt.is != nil && !tt.is(err) || (err == nil) != (id != "") {
				t.Errorf("got %q, %v", id, err)
			}
			shows := func(text string) bool { return strings.Contains(text, "hunt") }
			eachError(err, func(e error) {
				if shows(fmt.Sprintf("%v %+v %#v", e, e, e)) {
					t.Errorf("%T shows the value: %v", e, e)
				}
			})
			if shows(log.String()) {
				t.Errorf("the log shows the value: %s", &log)
			}
			e.mu.Lock() // a request may be on its way still
			defer e.mu.Unlock()
			for _, c := range e.state.Containers {
				for k, v := range c.Config.Labels {
					if shows(k + v) {
						t.Errorf("label %s shows the value: %s", k, v)
					}
				}
			}
		})
	}
}

// An error that is about what was asked for stays what it is under a context
// that the caller ended with a cause of his own.
func TestErrorsUnderACause(t *testing.T) {
	cause := errors.New("the agent leaves")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	aborted := &ExecAbortedError{ExecID: "1", Running: true, Err: context.Canceled}
	for _, err := range []error{&FieldError{"Image", "empty"}, &UnsupportedError{"CDI", "too old"}, &NameConflictError{}, aborted} {
		if got := wrapError(ctx, "op", "x", 0, err); !errors.Is(got, err) {
			t.Errorf("%T became %v", err, got)
		}
	}
	if got := wrapError(ctx, "op", "x", 0, cause); !errors.Is(got, context.Canceled) {
		t.Errorf("the client's error became %v", got)
	}
}
