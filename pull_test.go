package dockpod

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
)

// What engines report on a pull that succeeds.
var goodReports = map[string]string{
	"Docker 20.10": `{"status":"Pulling from library/busybox","id":"1.36"}` + "\r\n" +
		`{"status":"Pulling fs layer","progressDetail":{},"id":"5cc84ad355aa"}` + "\r\n" +
		`{"status":"Downloading","progressDetail":{"current":32768,"total":772792},"progress":"[=>  ]  32.77kB/772.8kB","id":"5cc84ad355aa"}` + "\r\n" +
		`{"status":"Verifying Checksum","progressDetail":{},"id":"5cc84ad355aa"}` + "\r\n" +
		`{"status":"Extracting","progressDetail":{"current":772792,"total":772792},"id":"5cc84ad355aa"}` + "\r\n" +
		`{"status":"Digest: ` + idB + `"}` + "\r\n" +
		`{"status":"Status: Downloaded newer image for busybox:1.36"}` + "\r\n",
	"containerd store": `{"status":"Pulling from library/busybox","id":"1.36"}` + "\n" +
		`{"status":"Extracting","progressDetail":{"current":1,"units":"s"},"id":"5cc84ad355aa"}` + "\n" +
		`{"status":"Pull complete","progressDetail":{"hidecounts":true},"id":"5cc84ad355aa"}` + "\n" +
		`{"status":"Digest: ` + idB + `"}`,
	"Podman": `{"status":"Pulling fs layer","progressDetail":{},"id":"5cc84ad355aa"}` + "\n" +
		`{"status":"Download complete","progressDetail":{},"id":"5cc84ad355aa"}` + "\n" +
		`{"status":"Download complete","progressDetail":{},"id":"66ba00ad3de8"}` + "\n",
	"nothing to do":     "",
	"white space alone": "\r\n\r\n",
	"no error in it":    `{"status":"x","error":"","errorDetail":null}`,
	"in one line":       `{"status":"a"}{"status":"b"}`,
}

func readReport(report io.Reader) error { return readPull(report, func(pullMessage) {}) }

func TestReadPull(t *testing.T) {
	for name, report := range goodReports {
		t.Run(name, func(t *testing.T) {
			if err := readReport(strings.NewReader(report)); err != nil {
				t.Error(err)
			}
			if err := readReport(iotest.OneByteReader(strings.NewReader(report))); err != nil {
				t.Errorf("byte by byte: %v", err)
			}
		})
	}
	good := goodReports["Docker 20.10"]
	for _, tt := range []struct {
		name, report string
		want         pullFailure
	}{
		{"both forms", `{"errorDetail":{"message":"manifest unknown"},"error":"manifest unknown"}`, pullFailure{0, "manifest unknown"}},
		{"after progress", good + `{"errorDetail":{"code":502,"message":"bad gateway"},"error":"bad gateway"}` + "\n" + good, pullFailure{502, "bad gateway"}},
		{"the old form alone", good + `{"error":"old style"}`, pullFailure{0, "old style"}},
		{"a code alone", `{"errorDetail":{"code":401}}`, pullFailure{401, ""}},
		{"text in the old form, code in the new", `{"errorDetail":{"code":401},"error":"who are you"}`, pullFailure{401, "who are you"}},
		{"an empty detail", `{"errorDetail":{}}`, pullFailure{0, ""}},
		{"garbage after the error is not read", `{"error":"first"} garbage`, pullFailure{0, "first"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got *pullFailure
			if err := readReport(strings.NewReader(tt.report)); !errors.As(err, &got) || *got != tt.want {
				t.Errorf("got %#v, want %#v", got, tt.want)
			}
		})
	}
	for _, tt := range []struct{ name, report string }{
		{"cut in a message", good + `{"status":"b`},
		{"cut before the brace", good + `{"status":"b"`},
		{"garbage", "garbage"},
		{"a web page", "<html><body>Oops</body></html>"},
		{"not an object", good + `[1]`},
		{"wrong type", `{"error":5}`},
		{"error in another shape", `{"errorDetail":"no"}`},
		{"one message without end", `{"status":"` + strings.Repeat("x", 2*maxPullMessage)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var failed *pullFailure
			if err := readReport(strings.NewReader(tt.report)); err == nil || errors.As(err, &failed) {
				t.Errorf("got %#v, want an error that is not the registry's", err)
			}
		})
	}
	t.Run("connection lost", func(t *testing.T) {
		lost := io.MultiReader(strings.NewReader(good), iotest.ErrReader(errors.New("connection lost")))
		if err := readReport(lost); err == nil || !strings.Contains(err.Error(), "connection lost") {
			t.Errorf("got %v, want the cause", err)
		}
	})
	t.Run("many messages", func(t *testing.T) {
		long := strings.Repeat(`{"status":"`+strings.Repeat("x", 1000)+`"}`+"\n", 3*maxPullMessage/1000)
		if err := readReport(strings.NewReader(long)); err != nil {
			t.Errorf("a report longer than the bound on one message: %v", err)
		}
	})
}

func mustNamed(t *testing.T, ref string) reference.Named {
	t.Helper()
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		t.Fatal(err)
	}
	return named
}

const page502 = `<!doctype html>
<html class="no-js" lang="">
    <head><title>502 Bad Gateway</title></head>
    <body><h1>Oops, there was an error!</h1>
        <p>feel free to check out <a href="http://status.docker.com/">status.docker.com</a></p>
    </body>
</html>`

// The same answers of a registry, in the words and classes of the engines.
func TestPullError(t *testing.T) {
	const ref = "quay.io/team/app:v1"
	internal, none := errdefs.ErrInternal, error(nil)
	for _, tt := range []struct {
		name  string
		code  int
		text  string
		class error // of the engine's error; nil: it stood in the report
		want  error // the sentinel; nil: none
		is    func(error) bool
	}{
		{"502 by its code", 502, page502, none, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"503 by its code", 503, "sorry", none, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"504 by its code", 504, "", none, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"502 in a page", 0, "error parsing HTTP 502 response body: invalid character '<' looking for beginning of value: " + page502, internal, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"a page without a status", 0, "invalid character '<' looking for beginning of value: <html><body>hello</body></html>", internal, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"503, Docker", 0, "received unexpected HTTP status: 503 Service Unavailable", internal, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"503, newest", 0, `failed to resolve reference "quay.io/team/app:v1": unexpected status from HEAD request to https://quay.io/v2/team/app/manifests/v1: 503 Service Unavailable`, internal, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"503, Podman", 0, "initializing source docker://quay.io/team/app:v1: pinging container registry quay.io: received unexpected HTTP status: 503 Service Unavailable", none, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"504 in words", 0, "received unexpected HTTP status: 504 Gateway Time-out", internal, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"nobody listens", 0, `Get "https://quay.io/v2/": dial tcp 127.0.0.1:443: connect: connection refused`, internal, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"no such host", 0, `Get "https://quay.io/v2/": dial tcp: lookup quay.io on 127.0.0.53:53: no such host`, internal, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"time-out", 0, `Get "https://quay.io/v2/": net/http: TLS handshake timeout`, internal, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"connection closed", 0, `Get "https://quay.io/v2/": EOF`, internal, ErrRegistryUnavailable, errdefs.IsUnavailable},

		{"401 by its code", 401, "msg", none, ErrPullUnauthorized, errdefs.IsUnauthorized},
		{"403 by its code", 403, "msg", none, ErrPullUnauthorized, errdefs.IsUnauthorized},
		{"401, Docker 20.10", 0, "unauthorized: access to the requested resource is not authorized", internal, ErrPullUnauthorized, errdefs.IsUnauthorized},
		{"401, Docker 28", 0, "unauthorized: authentication required", errdefs.ErrUnauthenticated, ErrPullUnauthorized, errdefs.IsUnauthorized},
		{"401, Docker 28, class alone", 0, "go away", errdefs.ErrUnauthenticated, ErrPullUnauthorized, errdefs.IsUnauthorized},
		{"401, newest", 0, "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed", internal, ErrPullUnauthorized, errdefs.IsUnauthorized},
		{"401, newest, wrong credentials", 0, "unexpected status from HEAD request to https://quay.io/v2/team/app/manifests/v1: 401 Unauthorized", internal, ErrPullUnauthorized, errdefs.IsUnauthorized},
		{"401, Podman", 0, "reading manifest v1 in quay.io/team/app: unauthorized", none, ErrPullUnauthorized, errdefs.IsUnauthorized},
		{"Docker Hub's denial, a 404", 0, "pull access denied for team/app, repository does not exist or may require 'docker login': denied: requested access to the resource is denied", errdefs.ErrNotFound, ErrPullUnauthorized, errdefs.IsUnauthorized},
		{"403 in words", 0, "unexpected status code 403 Forbidden", internal, ErrPullUnauthorized, errdefs.IsUnauthorized},

		{"429 by its code", 429, "", none, ErrRateLimited, errdefs.IsResourceExhausted},
		{"429, Docker 20.10", 0, "toomanyrequests: You have reached your pull rate limit.", internal, ErrRateLimited, errdefs.IsResourceExhausted},
		{"429, Docker 28", 0, "toomanyrequests: You have reached your unauthenticated pull rate limit.", errdefs.ErrUnknown, ErrRateLimited, errdefs.IsResourceExhausted},
		{"429, newest", 0, "unexpected status from GET request to https://quay.io/v2/team/app/manifests/v1: 429 Too Many Requests", internal, ErrRateLimited, errdefs.IsResourceExhausted},
		{"429 that is also denied", 0, "denied: toomanyrequests", internal, ErrRateLimited, errdefs.IsResourceExhausted},

		{"404 by its code", 404, "msg", none, ErrManifestUnknown, errdefs.IsNotFound},
		{"unknown tag, Docker", 0, "manifest for quay.io/team/app:v1 not found: manifest unknown: manifest unknown", errdefs.ErrNotFound, ErrManifestUnknown, errdefs.IsNotFound},
		{"unknown tag, newest", 0, `failed to resolve reference "quay.io/team/app:v1": quay.io/team/app:v1: not found`, errdefs.ErrNotFound, ErrManifestUnknown, errdefs.IsNotFound},
		{"unknown tag, Podman", 0, "reading manifest v1 in quay.io/team/app: manifest unknown", none, ErrManifestUnknown, errdefs.IsNotFound},
		{"unknown repository", 0, "repository quay.io/team/app not found: does not exist or no pull access", errdefs.ErrNotFound, ErrManifestUnknown, errdefs.IsNotFound},
		{"other platform", 0, "no matching manifest for linux/s390x in the manifest list entries", errdefs.ErrNotFound, ErrManifestUnknown, errdefs.IsNotFound},

		{"429 on a layer, newest", 0, "error from registry: You have reached your pull rate limit", none, ErrRateLimited, errdefs.IsResourceExhausted},
		{"503 before all else, Podman", 0, "initializing source docker://quay.io/team/app:v1: pinging container registry quay.io: invalid status code from registry 503 (Service Unavailable)", none, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"503 on a layer, newest", 0, "unknown: failed to copy: httpReadSeeker: failed open: unexpected status from GET request to https://quay.io/v2/team/app/blobs/" + idA + ": 503 Service Unavailable", none, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"503 again and again, Docker", 0, "error pulling image configuration: download failed after attempts=6: received unexpected HTTP status: 503 Service Unavailable", none, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"a page with status 200, Docker", 0, "error unmarshalling content: invalid character '<' looking for beginning of value", internal, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"a page with status 200, newest", 0, "failed to copy: httpReadSeeker: failed open: could not fetch content descriptor " + idA + " (text/html) from remote: not found", errdefs.ErrNotFound, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"a manifest cut short", 0, `Head "https://quay.io/v2/team/app/manifests/v1": EOF`, internal, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"a layer cut short, newest", 0, "short read: expected 1000475 bytes but got 500237: unexpected EOF", none, ErrRegistryUnavailable, errdefs.IsUnavailable},
		{"a layer cut short, Podman", 0, `writing blob: storing blob to file "/var/tmp/storage1/2": happened during read: unexpected EOF`, none, ErrRegistryUnavailable, errdefs.IsUnavailable},

		{"401, basic, Docker 20.10", 0, `Head "http://quay.io/v2/team/app/manifests/v1": no basic auth credentials`, internal, ErrPullUnauthorized, errdefs.IsUnauthorized},
		{"401 on a layer, newest", 0, "error from registry: unauthorized\nunauthorized", none, ErrPullUnauthorized, errdefs.IsUnauthorized},
		{"401 on a layer, Docker", 0, "error pulling image configuration: download failed after attempts=6: unauthorized", none, ErrPullUnauthorized, errdefs.IsUnauthorized},
		{"401 on a layer, Podman", 0, "parsing image configuration: unable to retrieve auth token: invalid username/password: unauthorized", none, ErrPullUnauthorized, errdefs.IsUnauthorized},
		{"403, Docker 20.10", 0, "denied", internal, ErrPullUnauthorized, errdefs.IsUnauthorized},
		{"403, newest", 0, "error from registry: denied\ndenied", internal, ErrPullUnauthorized, errdefs.IsUnauthorized},
		{"403, Podman", 0, "initializing source docker://quay.io/team/app:v1: reading manifest v1 in quay.io/team/app: denied", none, ErrPullUnauthorized, errdefs.IsUnauthorized},

		{"unknown tag, Docker 20.10", 0, "manifest unknown", internal, ErrManifestUnknown, errdefs.IsNotFound},
		{"unknown name, Docker 20.10", 0, "name unknown", internal, ErrManifestUnknown, errdefs.IsNotFound},
		{"a layer that is not there, Docker", 0, "error pulling image configuration: download failed after attempts=1: unknown blob", none, ErrManifestUnknown, errdefs.IsNotFound},
		{"a layer that is not there, newest", 0, "failed to copy: httpReadSeeker: failed open: could not fetch content descriptor " + idA + " (application/vnd.docker.container.image.v1+json) from remote: not found", none, ErrManifestUnknown, errdefs.IsNotFound},
		{"a layer that is not there, Podman", 0, "parsing image configuration: Error fetching blob: invalid status code from registry 404 (Not Found)", none, ErrManifestUnknown, errdefs.IsNotFound},

		{"unknown authority, Docker", 0, `Get "https://quay.io/v2/": x509: certificate signed by unknown authority`, internal, ErrRegistryTLS, errdefs.IsFailedPrecondition},
		{"unknown authority, newest", 0, `failed to resolve reference "quay.io/team/app:v1": failed to do request: Head "https://quay.io/v2/team/app/manifests/v1": tls: failed to verify certificate: x509: certificate signed by unknown authority`, internal, ErrRegistryTLS, errdefs.IsFailedPrecondition},
		{"another name, Podman", 0, `initializing source docker://quay.io/team/app:v1: pinging container registry quay.io: Get "https://quay.io/v2/": x509: cannot validate certificate for quay.io because it doesn't contain any IP SANs`, none, ErrRegistryTLS, errdefs.IsFailedPrecondition},
		{"no TLS", 0, `Get "https://quay.io/v2/": http: server gave HTTP response to HTTPS client`, internal, ErrRegistryTLS, errdefs.IsFailedPrecondition},

		{"another layer, Docker", 0, "filesystem layer verification failed for digest " + idA, none, ErrImageCorrupt, errdefs.IsDataLoss},
		{"another layer, newest", 0, `failed commit on ref "layer-` + idA + `": commit failed: unexpected commit digest ` + idB + `, expected ` + idA + `: failed precondition`, none, ErrImageCorrupt, errdefs.IsDataLoss},
		{"a longer layer, newest", 0, `failed commit on ref "layer-` + idA + `": commit failed: "layer-` + idA + `" failed size validation: 100233 != 100223: failed precondition`, none, ErrImageCorrupt, errdefs.IsDataLoss},
		{"another layer, Podman", 0, `writing blob: storing blob to file "/var/tmp/storage1/2": happened during read: Digest did not match, expected ` + idA + `, got ` + idB, none, ErrImageCorrupt, errdefs.IsDataLoss},
		{"another manifest, Podman", 0, "determining manifest MIME type for docker://quay.io/team/app@" + idA + ": Manifest does not match provided manifest digest " + idA, none, ErrImageCorrupt, errdefs.IsDataLoss},
		{"half a manifest, Docker", 0, "unexpected end of JSON input", internal, ErrImageCorrupt, errdefs.IsDataLoss},

		{"an ordinary error keeps its words", 50, "Json error", none, nil, errdefs.IsUnknown},
		{"and its class", 0, "invalid platform", errdefs.ErrInvalidArgument, nil, errdefs.IsInvalidArgument},
		{"501 is none of these", 501, "msg", none, nil, errdefs.IsUnknown},
		{"no reason", 0, "", none, nil, errdefs.IsUnknown},
		{"figures that are no status", 0, "layer 502503504 of 429 has 401 bytes", none, nil, errdefs.IsUnknown},
		{"the engine may not write", 0, "failed to register layer: open /var/lib/docker/overlay2/x/diff/bin/su: permission denied", internal, nil, errdefs.IsInternal},
		{"disk full", 0, "write /var/lib/docker/tmp/x: no space left on device", internal, nil, errdefs.IsInternal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var cause error
			if tt.class != nil {
				cause = engineError(tt.class, tt.text)
			}
			err := pullError(mustNamed(t, ref), tt.code, tt.text, cause)
			for _, s := range []error{ErrRegistryUnavailable, ErrRegistryTLS, ErrPullUnauthorized, ErrRateLimited, ErrManifestUnknown, ErrImageCorrupt} {
				if got, want := errors.Is(err, s), s == tt.want; got != want {
					t.Errorf("errors.Is(%v, %v) = %t, want %t", err, s, got, want)
				}
			}
			if !tt.is(err) {
				t.Errorf("%v: wrong class", err)
			}
			if tt.want != nil && !strings.Contains(err.Error(), "registry quay.io: ") {
				t.Errorf("%v: the registry's host is not in it", err)
			}
			if err.Error() == "" || pageStart.MatchString(err.Error()) || strings.ContainsAny(err.Error(), ">\n") {
				t.Errorf("%q: empty, HTML, or more than a line", err)
			}
		})
	}
}

// An image may be called anything that a registry may answer.
func TestPullErrorNamesProveNothing(t *testing.T) {
	for _, name := range []string{"unauthorized", "denied", "x/denied", "503", "toomany/requests", "status/503", "tls", "x/x509", "eof"} {
		ref := "quay.io/" + name + ":429"
		text := fmt.Sprintf("manifest for %s not found: manifest unknown", ref)
		if err := pullError(mustNamed(t, ref), 0, text, nil); !errors.Is(err, ErrManifestUnknown) {
			t.Errorf("%q: %v, want ErrManifestUnknown", text, err)
		}
		text = "reading manifest 429 in quay.io/" + name + ": manifest unknown"
		if err := pullError(mustNamed(t, ref), 0, text, nil); !errors.Is(err, ErrManifestUnknown) {
			t.Errorf("%q: %v, want ErrManifestUnknown", text, err)
		}
		text = "cannot unpack " + name + ":429"
		if err := pullError(mustNamed(t, ref), 0, text, nil); !errdefs.IsUnknown(err) {
			t.Errorf("%q: %v, want no class", text, err)
		}
	}
}

func TestTidyPullText(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"nothing to do", "manifest unknown", "manifest unknown"},
		{"several lines", "a\r\n\tb  c\n", "a b c"},
		{"a page with a title", "received: " + page502, `received (a web page, "502 Bad Gateway")`},
		{"a page without one", "received: <HTML><body>x", "received (a web page)"},
		{"a page alone", "<html></html>", "(a web page)"},
		{"a title with tags in it", "x <html><title><b>y</b></title>", "x (a web page)"},
		{"a signed URL", `Get "https://bucket.example/blob?X-Amz-Signature=s3cret&x=y": EOF`, `Get "https://bucket.example/blob": EOF`},
		{"a password in a URL", `Get "http://user:s3cret@proxy.example:3128/v2/": EOF`, `Get "http://proxy.example:3128/v2/": EOF`},
		{"a header", "bad header Authorization: Bearer s3cret.s3cret", "bad header Authorization: Bearer …"},
		{"a digest is no password", "https://quay.io/v2/a/manifests/" + idA, "https://quay.io/v2/a/manifests/" + idA},
		{"invalid UTF-8", "a\xffb", "ab"},
		{"too long", strings.Repeat("é", maxPullText), strings.Repeat("é", maxPullText/2) + "…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tidyPullText(tt.in); got != tt.want {
				t.Errorf("tidyPullText(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func FuzzPullStream(f *testing.F) {
	for _, report := range goodReports {
		f.Add([]byte(report))
	}
	f.Add([]byte(`{"errorDetail":{"code":502,"message":"<html>bad gateway"},"error":"x"}`))
	f.Add([]byte(`{"error":"https://u:p@h/?q"}{`))
	f.Add([]byte(`{"status":"a"}` + "\n" + `{"status":"b`))
	f.Add([]byte(`{"status":"Downloading","id":"a","progressDetail":{"current":9223372036854775807,"total":-1}}` +
		`{"status":"Extracting","id":"a","progressDetail":{"current":5,"total":3}}{"status":"Downloading","id":"a","progressDetail":{"current":1}}`))
	f.Fuzz(func(t *testing.T, report []byte) {
		tracker, now := newPullTracker("a"), epoch
		tracker.begin(now)
		wasStalled := time.Time{}
		err := readPull(bytes.NewReader(report), func(m pullMessage) {
			now = now.Add(time.Duration(len(m.Status.value)) * 100 * time.Millisecond)
			tracker.observe(m, now)
			p := tracker.progress(now)
			checkProgress(t, p)
			at, silence, _ := tracker.stallsAt(time.Minute)
			if at.After(now.Add(10*time.Minute)) || p.LastProgress.After(now) || at.Before(p.LastProgress) && !at.Before(now) || silence < time.Minute {
				t.Fatalf("at %v with progress at %v it stalls at %v", now, p.LastProgress, at)
			}
			if p.LastProgress.Before(now) && !wasStalled.IsZero() && !at.Equal(wasStalled) {
				t.Fatalf("nothing new moves the stall from %v to %v", wasStalled, at)
			}
			wasStalled = at
		})
		tracker.end()
		checkProgress(t, tracker.progress(now))
		checkProgress(t, tracker.progress(now).finished())
		var failed *pullFailure
		switch {
		case err == nil:
			// Then it is a sequence of whole JSON values, none with an error.
			dec := json.NewDecoder(bytes.NewReader(report))
			for {
				var m struct{ Error string }
				if err := dec.Decode(&m); err == io.EOF {
					return
				} else if err != nil || m.Error != "" {
					t.Fatalf("read as a success: %q (%v)", report, err)
				}
			}
		case errors.As(err, &failed):
			text := pullError(mustNamed(t, "a"), failed.code, failed.text, nil).Error()
			if text == "" || strings.Contains(text, "\n") || !utf8.ValidString(text) || len(text) > 2*maxPullText {
				t.Fatalf("report %q gives the error text %q", report, text)
			}
		}
	})
}

// engineAt returns a Runtime that speaks to handler through the real client.
func engineAt(t *testing.T, handler http.HandlerFunc) *Runtime {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	c, err := client.NewClientWithOpts(client.WithHost("tcp://"+srv.Listener.Addr().String()), client.WithVersion(MinAPIVersion))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return New(c)
}

const (
	createPath  = "/v" + MinAPIVersion + "/images/create"
	inspectPath = "/v" + MinAPIVersion + "/images/"
)

func TestPullImage(t *testing.T) {
	inspected := `{"Id":"` + idA + `","RepoTags":["quay.io/team/app:v1","quay.io/team/app:latest"],"RepoDigests":["quay.io/team/app@` + idB + `"]}`
	for _, tt := range []struct {
		name     string
		ref      string
		opts     PullOptions
		status   int // 0: 200
		report   string
		cut      bool // the connection breaks after the report
		absent   bool // there is no image afterwards
		query    string
		want     error // nil: success
		mustSay  string
		mustHide string
	}{
		{name: "by tag", ref: "quay.io/team/app:v1", report: goodReports["Docker 20.10"], query: "fromImage=quay.io%2Fteam%2Fapp&tag=v1"},
		{name: "the default tag, not all of them", ref: "quay.io/team/app", report: goodReports["Podman"], query: "fromImage=quay.io%2Fteam%2Fapp&tag=latest"},
		{name: "by digest; a tag beside it is left out", ref: "quay.io/team/app:v7@" + idB, query: "fromImage=quay.io%2Fteam%2Fapp&tag=sha256%3A" + hexB},
		{name: "platform", ref: "quay.io/team/app:v1", opts: PullOptions{Platform: "linux/arm64"}, query: "fromImage=quay.io%2Fteam%2Fapp&platform=linux%2Farm64&tag=v1"},
		{name: "success without an image", ref: "quay.io/team/app:v1", absent: true, want: ErrImageNotFound, mustSay: "No such image"},
		{name: "success with another image", ref: "quay.io/team/app:v2", want: ErrImageNotFound, mustSay: "other tag"},
		{name: "refused", ref: "quay.io/team/app:v1", status: 404, report: `{"message":"manifest for quay.io/team/app:v1 not found: manifest unknown"}`, want: ErrManifestUnknown},
		{name: "refused, Docker 20.10", ref: "quay.io/team/app:v1", status: 500, report: `{"message":"unauthorized: access to the requested resource is not authorized"}`, want: ErrPullUnauthorized},
		{name: "refused, a page", ref: "quay.io/team/app:v1", status: 500, report: `{"message":"error parsing HTTP 503 response body: \u003chtml\u003e\u003c/html\u003e"}`, want: ErrRegistryUnavailable, mustHide: "<html"},
		{name: "a proxy before the engine", ref: "quay.io/team/app:v1", status: 503, report: page502, want: ErrNotReady, mustHide: "<html"},
		{name: "in the report", ref: "quay.io/team/app:v1", report: goodReports["Podman"] + `{"error":"reading manifest v1 in quay.io/team/app: unauthorized"}`, want: ErrPullUnauthorized, mustSay: "registry quay.io"},
		{name: "in the report with a secret", ref: "quay.io/team/app:v1", report: `{"error":"Get \"https://cdn.example/x?sig=s3cret\": 503 Service Unavailable"}`, want: ErrRegistryUnavailable, mustHide: "s3cret"},
		{name: "cut", ref: "quay.io/team/app:v1", report: `{"status":"Downl`, want: ErrBadAnswer, mustSay: "from registry quay.io: "},
		{name: "cut between messages", ref: "quay.io/team/app:v1", report: `{"status":"Downloading"}` + "\n", cut: true, want: ErrBadAnswer},
		{name: "garbage", ref: "quay.io/team/app:v1", report: `garbage`, want: ErrBadAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var query string
			r := engineAt(t, func(w http.ResponseWriter, req *http.Request) {
				switch {
				case req.URL.Path == createPath:
					query = req.URL.RawQuery
					if tt.status != 0 && strings.HasPrefix(tt.report, "{") {
						w.Header().Set("Content-Type", "application/json")
					}
					if tt.status != 0 {
						w.WriteHeader(tt.status)
					}
					io.WriteString(w, tt.report)
					if tt.cut {
						w.(http.Flusher).Flush()
						panic(http.ErrAbortHandler)
					}
				case strings.HasPrefix(req.URL.Path, inspectPath) && !tt.absent:
					io.WriteString(w, inspected)
				default:
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(http.StatusNotFound)
					io.WriteString(w, `{"message":"No such image: quay.io/team/app:v1"}`)
				}
			})
			img, err := r.PullImage(t.Context(), tt.ref, tt.opts)
			if tt.query != "" && query != tt.query {
				t.Errorf("query %q, want %q", query, tt.query)
			}
			if tt.want == nil {
				if err != nil || img.ID != idA {
					t.Errorf("got %v, %v; want %s", img, err, idA)
				}
				return
			}
			var e *Error
			if !errors.Is(err, tt.want) || !errors.As(err, &e) || e.Op != "pull image" || e.Target != tt.ref || img.ID != "" {
				t.Errorf("got %v, %v; want an *Error with %v", img, err, tt.want)
			}
			if strings.Count(err.Error(), "pull image") != 1 || !strings.Contains(err.Error(), tt.mustSay) || tt.mustHide != "" && strings.Contains(err.Error(), tt.mustHide) {
				t.Errorf("error %q; want %q in it, %q not", err, tt.mustSay, tt.mustHide)
			}
		})
	}
}

func TestPullImageRefusesWhatIsNoName(t *testing.T) {
	r := New(&imageStub{}) // panics if it is asked to pull
	for _, ref := range []string{"", "Busybox", idA, hexA, "a@md5:" + strings.Repeat("a", 32), "https://user:s3cret@quay.io/a"} {
		_, err := r.PullImage(t.Context(), ref, PullOptions{})
		if !errdefs.IsInvalidArgument(err) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("PullImage(%q): %v; want an invalid argument, and no secret in it", ref, err)
		}
	}
}

func TestPullImageNoEngine(t *testing.T) {
	c, err := client.NewClientWithOpts(client.WithHost("unix://"+t.TempDir()+"/none.sock"), client.WithVersion(MinAPIVersion))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(c).PullImage(t.Context(), "busybox", PullOptions{}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
}

func TestPullImageCancelled(t *testing.T) {
	started, gone := make(chan struct{}), make(chan struct{})
	r := engineAt(t, func(w http.ResponseWriter, req *http.Request) {
		io.WriteString(w, `{"status":"Downloading"}`+"\n")
		w.(http.Flusher).Flush()
		close(started)
		<-req.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-started
		cancel()
	}()
	_, err := r.PullImage(ctx, "busybox", PullOptions{})
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrBadAnswer) || errors.Is(err, ErrTimeout) {
		t.Errorf("got %v, want the caller's cancellation", err)
	}
	<-gone // the engine sees it too
}

// pullStub is an engine whose pull gives report.
type pullStub struct {
	imageStub
	report  func(ctx context.Context) (io.ReadCloser, error)
	hang    bool // inspect does not answer
	onPull  func(s *pullStub)
	pullErr error
}

func (s *pullStub) ImagePull(ctx context.Context, ref string, o image.PullOptions) (io.ReadCloser, error) {
	call := "pull " + ref
	if o.All {
		call += " with all tags"
	}
	s.calls = append(s.calls, call)
	if s.pullErr != nil {
		return nil, s.pullErr
	}
	if s.onPull != nil {
		s.onPull(s)
	}
	if s.report == nil {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return s.report(ctx)
}

func (s *pullStub) ImageInspect(ctx context.Context, ref string, o ...client.ImageInspectOption) (image.InspectResponse, error) {
	if s.hang {
		<-ctx.Done()
		return image.InspectResponse{}, ctx.Err()
	}
	return s.imageStub.ImageInspect(ctx, ref, o...)
}

// slowReport says one thing after a while, and then is at its end.
func slowReport(d time.Duration) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) {
		r, w := io.Pipe()
		time.AfterFunc(d, func() {
			io.WriteString(w, `{"status":"Downloading"}`)
			w.Close()
		})
		return r, nil
	}
}

func TestPullImageTimes(t *testing.T) {
	busybox := imageStub{images: map[string]image.InspectResponse{"busybox:latest": {ID: idA, RepoTags: []string{"busybox:latest"}}}}
	t.Run("no limit on the pull", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := New(&pullStub{imageStub: busybox, report: slowReport(10 * time.Hour)}, WithRequestTimeout(time.Second))
			if _, err := r.PullImage(t.Context(), "busybox", PullOptions{Stall: -1}); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("a limit on the look afterwards", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := New(&pullStub{hang: true, report: slowReport(time.Hour)}, WithRequestTimeout(time.Second))
			_, err := r.PullImage(t.Context(), "busybox", PullOptions{Stall: -1})
			if !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || strings.Count(err.Error(), "pull image") != 1 {
				t.Errorf("got %v, want ErrTimeout, told once", err)
			}
		})
	})
	t.Run("the caller's deadline, and a report that does not watch it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			begun := time.Now()
			_, err := New(&pullStub{imageStub: busybox, report: slowReport(time.Hour)}).PullImage(ctx, "busybox", PullOptions{Stall: -1})
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrTimeout) || errors.Is(err, ErrBadAnswer) {
				t.Errorf("got %v, want the caller's deadline", err)
			}
			if took := time.Since(begun); took != time.Minute {
				t.Errorf("took %v, want a minute", took)
			}
		})
	})
}

func TestEnsureImage(t *testing.T) {
	refused := engineError(errdefs.ErrInternal, "toomanyrequests: slow down")
	for _, tt := range []struct {
		name    string
		ref     string
		policy  PullPolicy
		present bool
		pullErr error
		want    error // nil: success
		calls   []string
	}{
		{"always, present", "busybox:1", PullAlways, true, nil, nil, []string{"pull busybox:1", "inspect busybox:1"}},
		{"always, refused", "busybox:1", PullAlways, true, refused, ErrRateLimited, []string{"pull busybox:1"}},
		{"if not present, present", "busybox:1", PullIfNotPresent, true, nil, nil, []string{"inspect busybox:1"}},
		{"if not present, absent", "busybox:1", PullIfNotPresent, false, nil, nil, []string{"inspect busybox:1", "pull busybox:1", "inspect busybox:1"}},
		{"if not present, absent, refused", "busybox:1", PullIfNotPresent, false, refused, ErrRateLimited, []string{"inspect busybox:1", "pull busybox:1"}},
		{"never, present", "busybox:latest", PullNever, true, nil, nil, []string{"inspect busybox:latest"}},
		{"never, absent", "busybox:latest", PullNever, false, nil, ErrImageNotFound, []string{"inspect busybox:latest"}},
		{"default, latest", "busybox:latest", "", true, nil, nil, []string{"pull busybox:latest", "inspect busybox:latest"}},
		{"default, no tag", "busybox", "", true, nil, nil, []string{"pull busybox:latest", "inspect busybox:latest"}},
		{"default, a tag", "busybox:1", "", true, nil, nil, []string{"inspect busybox:1"}},
		{"default, a digest", "busybox:latest@" + idB, "", true, nil, nil, []string{"inspect busybox@" + idB}},
		{"an ID that is there", idA, PullAlways, true, nil, nil, []string{"inspect " + idA}},
		{"an ID that is not", idA, PullAlways, false, nil, ErrImageNotFound, []string{"inspect " + idA}},
		{"unknown policy", "busybox", "Sometimes", true, nil, errdefs.ErrInvalidArgument, nil},
		{"not a reference", "Busybox", PullAlways, true, nil, errdefs.ErrInvalidArgument, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			there := map[string]image.InspectResponse{}
			for _, ref := range []string{"busybox:1", "busybox:latest", "busybox@" + idB, idA} {
				there[ref] = image.InspectResponse{ID: idA, RepoTags: []string{"busybox:1", "busybox:latest"}, RepoDigests: []string{"busybox@" + idB}}
			}
			stub := &pullStub{pullErr: tt.pullErr, onPull: func(s *pullStub) { s.images = there }}
			if tt.present {
				stub.images = there
			}
			img, err := New(stub).EnsureImage(t.Context(), tt.ref, tt.policy, PullOptions{})
			switch {
			case tt.want == nil && (err != nil || img.ID != idA):
				t.Errorf("got %v, %v; want %s", img, err, idA)
			case tt.want == errdefs.ErrInvalidArgument && !errdefs.IsInvalidArgument(err):
				t.Errorf("got %v, want an invalid argument", err)
			case tt.want != nil && tt.want != errdefs.ErrInvalidArgument && !errors.Is(err, tt.want):
				t.Errorf("got %v, want %v", err, tt.want)
			}
			var e *Error
			if tt.want != nil && !errors.As(err, &e) {
				t.Errorf("got %T, want an *Error", err)
			}
			if diff := cmp.Diff(tt.calls, stub.calls); diff != "" {
				t.Errorf("calls mismatch (-want +got):\n%s", diff)
			}
		})
	}
}
