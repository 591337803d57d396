// Package e2e tests dockpod against real registries on the loopback, and
// engines that it starts and kills.
package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Auth is how a [Registry] asks for credentials.
type Auth string

// The ways of registries in the field: none, a password with each request, or
// a token from a service beside the registry.
const (
	Open  Auth = ""
	Basic Auth = "basic"
	Token Auth = "token"
)

// Registry is a real registry on 127.0.0.1, in memory, with what goes wrong in
// front of real ones.
type Registry struct {
	// Host is "127.0.0.1:port".
	Host string

	auth           Auth
	user, password string
	server         *httptest.Server
	content        http.Handler

	// Fault, if set, sees each authorised request first and reports whether
	// it has answered.
	Fault atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]

	mu       sync.Mutex
	requests []string // "GET /v2/…"
}

// NewRegistry starts a registry. The caller closes it.
func NewRegistry(auth Auth, user, password string) *Registry {
	r := &Registry{
		auth: auth, user: user, password: password,
		content: registry.New(registry.Logger(log.New(io.Discard, "", 0))),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err) // the loopback has no port left
	}
	r.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: r}}
	r.server.Start()
	r.Host = l.Addr().String()
	return r
}

// Close ends the registry and cuts its connections.
func (r *Registry) Close() {
	r.server.Listener.Close() // first: who is cut comes again at once
	r.server.CloseClientConnections()
	r.server.Close()
}

// Die cuts every connection and refuses new ones.
func (r *Registry) Die() { r.Close() }

// Requests counts the requests so far whose line contains text.
func (r *Registry) Requests(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, line := range r.requests {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// SetFault sets or, with nil, clears the fault.
func (r *Registry) SetFault(f func(w http.ResponseWriter, r *http.Request) bool) {
	if f == nil {
		r.Fault.Store(nil)
		return
	}
	r.Fault.Store(&f)
}

// Push writes an image under a name of this registry and returns its digest.
func (r *Registry) Push(ref string, img v1.Image) (v1.Hash, error) {
	tag, err := name.ParseReference(r.Host + "/" + ref)
	if err != nil {
		return v1.Hash{}, err
	}
	opt := remote.WithAuth(authn.Anonymous)
	if r.auth != Open {
		opt = remote.WithAuth(&authn.Basic{Username: r.user, Password: r.password})
	}
	if err := remote.Write(tag, img, opt); err != nil {
		return v1.Hash{}, err
	}
	return img.Digest()
}

// Delete removes a tag.
func (r *Registry) Delete(ref string) error {
	tag, err := name.ParseReference(r.Host + "/" + ref)
	if err != nil {
		return err
	}
	return remote.Delete(tag, remote.WithAuth(&authn.Basic{Username: r.user, Password: r.password}))
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.requests = append(r.requests, req.Method+" "+req.URL.Path)
	r.mu.Unlock()
	if req.URL.Path == "/token" {
		r.token(w, req)
		return
	}
	if !r.allowed(req) {
		challenge := `Basic realm="registry"`
		if r.auth == Token {
			challenge = fmt.Sprintf(`Bearer realm="http://%s/token",service="registry"`, r.Host)
			if repo, ok := repository(req.URL.Path); ok {
				challenge += fmt.Sprintf(`,scope="repository:%s:pull,push"`, repo)
			}
		}
		w.Header().Set("WWW-Authenticate", challenge)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
		return
	}
	if f := r.Fault.Load(); f != nil && (*f)(w, req) {
		return
	}
	r.content.ServeHTTP(w, req)
}

func repository(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, "/v2/")
	for _, kind := range []string{"/manifests/", "/blobs/", "/tags/"} {
		if repo, _, found := strings.Cut(rest, kind); ok && found {
			return repo, true
		}
	}
	return "", false
}

// bearer is the token that the service hands out. It proves that its bearer
// knew the password.
const bearer = "e2e-token"

func (r *Registry) allowed(req *http.Request) bool {
	switch r.auth {
	case Basic:
		user, password, ok := req.BasicAuth()
		return ok && user == r.user && password == r.password
	case Token:
		return req.Header.Get("Authorization") == "Bearer "+bearer+base64.RawURLEncoding.EncodeToString([]byte(r.user))
	}
	return true
}

// token is the token service: GET with a password, or POST with an identity
// token in the manner of OAuth 2.
func (r *Registry) token(w http.ResponseWriter, req *http.Request) {
	user, password, ok := req.BasicAuth()
	if req.Method == http.MethodPost {
		user, password, ok = req.FormValue("username"), req.FormValue("password"), true
		if req.FormValue("grant_type") == "refresh_token" {
			user, password = r.user, req.FormValue("refresh_token")
		}
	}
	if !ok || user != r.user || password != r.password {
		http.Error(w, `{"details":"incorrect username or password"}`, http.StatusUnauthorized)
		return
	}
	t := bearer + base64.RawURLEncoding.EncodeToString([]byte(r.user))
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"token": t, "access_token": t, "expires_in": 300})
}
