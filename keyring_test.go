package dockpod

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"
	gocmp "github.com/google/go-cmp/cmp"
)

// secretMark is part of every secret in these tests, and of nothing else.
const secretMark = "Ж"

func parseRef(t testing.TB, s string) reference.Named {
	t.Helper()
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		t.Fatal(err)
	}
	return named
}

// base64Auth is an entry's "auth".
func base64Auth(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// auths is a config.json with an entry for each key, in their order. The
// user's name is the key.
func auths(keys ...string) string {
	var entries []string
	for _, k := range keys {
		entries = append(entries, fmt.Sprintf(`%q: {"username": %q, "password": %q}`, k, k, "p"+secretMark))
	}
	return `{"auths": {` + strings.Join(entries, ", ") + `}}`
}

func configKeyringOf(t *testing.T, config string) Keyring {
	t.Helper()
	k, err := ConfigKeyring([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// usernames looks ref up and fails on an error.
func usernames(t *testing.T, k Keyring, ref string) []string {
	t.Helper()
	creds, err := k.Credentials(t.Context(), parseRef(t, ref))
	if err != nil {
		t.Fatalf("Credentials(%q): %v", ref, err)
	}
	names := []string{}
	for _, c := range creds {
		names = append(names, c.Username)
	}
	return names
}

func TestCredentialShowsNothing(t *testing.T) {
	c := Credential{"user" + secretMark, "pass" + secretMark, "identity" + secretMark, "registry" + secretMark}
	type holder struct {
		Credential
		Field   Credential
		Pointer *Credential
		List    []Credential
		Map     map[Credential]Credential
		Any     any
	}
	h := holder{c, c, &c, []Credential{c}, map[Credential]Credential{c: c}, c}
	type plain struct { // without the methods of an embedded Credential
		Field Credential
		List  []any
	}
	k := configKeyringOf(t, auths("r.example"))
	type agent struct{ ring Keyring } // fmt does not ask what is in it
	values := []any{c, &c, h, &h, plain{c, []any{c, &c}}, &plain{Field: c}, []Credential{c}, map[string]Credential{"k": c}, [1]Credential{c},
		fmt.Errorf("wrapped: %v", c), k, Keyrings(k), Keyrings(Keyrings(k)),
		agent{k}, &agent{Keyrings(k)}, []agent{{k}}, []Keyring{k}}

	wrong := strings.Join([]string{"%d", "and one too many"}, " ") // not for vet to see
	var texts []string
	for _, v := range values {
		for verb := 'A'; verb <= 'z'; verb++ {
			if strings.ContainsRune("pwT", verb) {
				continue // vet refuses %p and %w; %T is the type
			}
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "12.3"} {
				texts = append(texts, fmt.Sprintf("%"+flags+string(verb), v))
			}
		}
		texts = append(texts, fmt.Sprint(v), fmt.Sprintln(v), fmt.Sprintf(wrong, v, v))
		for _, handler := range []func(io.Writer) slog.Handler{
			func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
			func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
		} {
			var b bytes.Buffer
			log := slog.New(handler(&b))
			log.With("with", v).Info(fmt.Sprint(v), "value", v, slog.Group("group", "value", v))
			texts = append(texts, b.String())
		}
		for _, marshal := range []func(any) ([]byte, error){json.Marshal, xml.Marshal} {
			if text, err := marshal(v); err == nil {
				texts = append(texts, string(text))
			} else {
				texts = append(texts, err.Error())
			}
		}
	}
	texts = append(texts, c.String(), c.GoString(), c.LogValue().String())
	for _, text := range texts {
		for _, form := range []string{secretMark, "\\u0416", "70617373", "70 61 73 73"} {
			if strings.Contains(text, form) {
				t.Fatalf("a secret shows in %q", text)
			}
		}
	}
	if got, want := fmt.Sprintf("%v", c), "Credential(Username Password IdentityToken RegistryToken)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := (Credential{}).String(), "Credential()"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRegistryAuth(t *testing.T) {
	tests := []struct {
		name string
		cred Credential
		ref  string
		want registry.AuthConfig
	}{
		{"docker hub by its index", Credential{Username: "u", Password: "p"}, "ubuntu",
			registry.AuthConfig{Username: "u", Password: "p", ServerAddress: "https://index.docker.io/v1/"}},
		{"registry with a port", Credential{Username: "u", IdentityToken: "i"}, "r.example:5000/team/app:v1",
			registry.AuthConfig{Username: "u", IdentityToken: "i", ServerAddress: "r.example:5000"}},
		{"registry token", Credential{RegistryToken: "r"}, "r.example/app@sha256:" + strings.Repeat("0", 64),
			registry.AuthConfig{RegistryToken: "r", ServerAddress: "r.example"}},
		{"characters that differ between the alphabets", Credential{Username: "u", Password: "\xf0\x9f\x94\x91???>>>"}, "r.example/app",
			registry.AuthConfig{Username: "u", Password: "\xf0\x9f\x94\x91???>>>", ServerAddress: "r.example"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			header, err := test.cred.registryAuth(parseRef(t, test.ref))
			if err != nil {
				t.Fatal(err)
			}
			got, err := registry.DecodeAuthConfig(header)
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(test.want, *got); diff != "" {
				t.Errorf("header mismatch (-want +got):\n%s", diff)
			}
		})
	}
	if header, err := (Credential{}).registryAuth(parseRef(t, "ubuntu")); header != "" || err != nil {
		t.Errorf("nobody is %q, %v, want no header", header, err)
	}
}

func TestConfigKeyringMatches(t *testing.T) {
	tests := []struct {
		name string
		keys []string
		ref  string
		want []string
	}{
		{"same host", []string{"r.example"}, "r.example/app", []string{"r.example"}},
		{"other host", []string{"r.example"}, "s.example/app", nil},
		{"host that ends so", []string{"r.example"}, "evil-r.example/app", nil},
		{"host that begins so", []string{"r.example"}, "r.example.evil/app", nil},
		{"tag does not matter", []string{"r.example"}, "r.example/app:v1", []string{"r.example"}},
		{"digest does not matter", []string{"r.example/app"}, "r.example/app:v1@sha256:" + strings.Repeat("0", 64), []string{"r.example/app"}},
		{"upper case", []string{"R.Example"}, "r.eXample/app", []string{"R.Example"}},
		{"https", []string{"https://r.example"}, "r.example/app", []string{"https://r.example"}},
		{"http in upper case", []string{"HTTP://r.example/"}, "r.example/app", []string{"HTTP://r.example/"}},
		{"other scheme", []string{"ftp://r.example"}, "r.example/app", nil},
		{"v1", []string{"https://r.example/v1/"}, "r.example/app", []string{"https://r.example/v1/"}},
		{"v2 without slash", []string{"https://r.example/v2"}, "r.example/app", []string{"https://r.example/v2"}},
		{"v1 before a path", []string{"r.example/v1/team"}, "r.example/team/app", []string{"r.example/v1/team"}},
		{"v10 is a path", []string{"r.example/v10"}, "r.example/app", nil},

		{"same port", []string{"r.example:5000"}, "r.example:5000/app", []string{"r.example:5000"}},
		{"other port", []string{"r.example:5000"}, "r.example:5001/app", nil},
		{"port only in the key", []string{"r.example:443"}, "r.example/app", nil},
		{"port only in the reference", []string{"r.example"}, "r.example:443/app", nil},
		{"localhost", []string{"localhost:5000"}, "localhost:5000/app", []string{"localhost:5000"}},
		{"IPv6", []string{"[::1]:5000"}, "[::1]:5000/app", []string{"[::1]:5000"}},

		{"path", []string{"r.example/team"}, "r.example/team/app", []string{"r.example/team"}},
		{"path with a slash", []string{"r.example/team/"}, "r.example/team/app", []string{"r.example/team/"}},
		{"path is the repository", []string{"r.example/team/app"}, "r.example/team/app", []string{"r.example/team/app"}},
		{"path ends inside a part", []string{"r.example/team/ap"}, "r.example/team/app", nil},
		{"path is longer", []string{"r.example/team/app/x"}, "r.example/team/app", nil},
		{"no wildcard in a path", []string{"r.example/*"}, "r.example/app", nil},
		{"no tag in a path", []string{"r.example/app:v1"}, "r.example/app:v1", nil},
		{"longest path first", []string{"r.example", "r.example/a/b", "r.example/a", "r.example/c"}, "r.example/a/b/app",
			[]string{"r.example/a/b", "r.example/a", "r.example"}},
		{"order of the file", []string{"https://r.example/v1/", "r.example", "http://r.example"}, "r.example/app",
			[]string{"https://r.example/v1/", "r.example", "http://r.example"}},

		{"name before patterns", []string{"*.*.example", "*.b.example", "a*.b.example", "a.b.example"}, "a.b.example/app",
			[]string{"a.b.example", "a*.b.example", "*.b.example", "*.*.example"}},
		{"path before name", []string{"a.example", "*.example/team"}, "a.example/team/app", []string{"*.example/team", "a.example"}},
		{"wildcard that stands for nothing", []string{"a*.example", "a.example"}, "a.example/app", []string{"a.example", "a*.example"}},
		{"user in the key", []string{"user@r.example", "r.example"}, "r.example/app", []string{"r.example"}},

		{"docker hub", []string{"https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io", "index.docker.io/v1/"}, "ubuntu",
			[]string{"https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io", "index.docker.io/v1/"}},
		{"docker hub by another name", []string{"docker.io"}, "registry-1.docker.io/library/ubuntu", []string{"docker.io"}},
		{"docker hub by its index", []string{"docker.io"}, "index.docker.io/library/ubuntu", []string{"docker.io"}},
		{"repository of docker hub", []string{"docker.io/team", "docker.io/library"}, "ubuntu", []string{"docker.io/library"}},
		{"not docker hub", []string{"https://index.docker.io/v1/"}, "r.example/app", nil},
		{"host that looks like docker hub", []string{"https://index.docker.io/v1/"}, "mydocker.io/app", nil},
		{"no pattern for the aliases", []string{"*.docker.io"}, "ubuntu", nil},
		{"a name without dot is no registry", []string{"ubuntu", "library"}, "ubuntu", nil},
		{"keys that are nothing", []string{"", "/", "https://", "*", "://", "r.example", "@", "[", "*[.example", "?.example"}, "r.example/app", []string{"r.example"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := usernames(t, configKeyringOf(t, auths(test.keys...)), test.ref)
			if diff := gocmp.Diff(append([]string{}, test.want...), got); diff != "" {
				t.Errorf("keys mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

// The patterns are those of the kubelet's tests and of Kubernetes'
// documentation of config.json.
func TestMatchHost(t *testing.T) {
	tests := []struct {
		pattern, host string
		want          bool
	}{
		{"*.kubernetes.io", "prefix.kubernetes.io", true},
		{"prefix.*.io", "prefix.kubernetes.io", true},
		{"prefix.kubernetes.*", "prefix.kubernetes.io", true},
		{"*-good.kubernetes.io", "prefix-good.kubernetes.io", true},
		{"*.*.kubernetes.io", "abc.def.kubernetes.io", true},
		{"*.kubernetes.io:1111", "prefix.kubernetes.io:1111", true},
		{"*.kubernetes.io", "kubernetes.io", false},
		{"*.*.kubernetes.io", "prefix.kubernetes.io", false},
		{"*.kubernetes.io", "abc.def.kubernetes.io", false},
		{"*kubernetes.io", "abc.kubernetes.io", false},
		{"kubernetes.io", "kubernetes.com", false},
		{"k*.io", "quay.io", false},
		{"*-good.kubernetes.io", "prefix.kubernetes.io", false},
		{"*.kubernetes.io:1234", "prefix.kubernetes.io:1111", false},
		{"*.kubernetes.io", "prefix.kubernetes.io:1111", false},
		{"*.kubernetes.io:*", "prefix.kubernetes.io:1111", false},
		{"*.kubernetes.io:", "prefix.kubernetes.io", true},
		{"*.kubernetes.?o", "prefix.kubernetes.io", false},
		{"*.kubernetes.[i]o", "prefix.kubernetes.io", false},
	}
	for _, test := range tests {
		if got := matchHost(test.pattern, test.host); got != test.want {
			t.Errorf("matchHost(%q, %q) = %v", test.pattern, test.host, got)
		}
	}
}

// A reference that nobody normalised is normalised here.
func TestConfigKeyringNormalises(t *testing.T) {
	named, err := reference.WithName("ubuntu")
	if err != nil {
		t.Fatal(err)
	}
	creds, err := configKeyringOf(t, auths("docker.io")).Credentials(t.Context(), named)
	if err != nil || len(creds) != 1 {
		t.Errorf("got %v, %v, want one credential", creds, err)
	}
	if _, err := configKeyringOf(t, auths("docker.io")).Credentials(t.Context(), nil); !errdefs.IsInvalidArgument(err) {
		t.Errorf("nil reference: %v, want an invalid argument", err)
	}
}

func TestKeyringVectors(t *testing.T) {
	ours := map[string]overruled{
		"image-pull/043": {`{"found": true, "usernames": ["ada"]}`, "pongz is not below pong"},
	}
	tested := 0
	for _, c := range loadVectors(t, "image-pull") {
		if c.Op != "keyring.lookup" {
			continue
		}
		tested++
		t.Run(c.ID, func(t *testing.T) {
			in := vectorIn[struct {
				Keyring json.RawMessage
				Image   string
			}](t, c)
			k, err := SecretKeyring(SecretDockercfg, in.Keyring)
			if err != nil {
				t.Fatal(err)
			}
			names := usernames(t, k, in.Image)
			checkVector(t, c, ours, map[string]any{"found": len(names) > 0, "usernames": names})
		})
	}
	if tested == 0 {
		t.Error("no case of a lookup")
	}
}

func TestParseAuth(t *testing.T) {
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	tests := []struct {
		name, entry string
		want        Credential
		reason      string
	}{
		{"auth", `{"auth": "` + encode("user:pass") + `"}`, Credential{Username: "user", Password: "pass"}, ""},
		{"colons in the password", `{"auth": "` + encode("user:p:a:ss:") + `"}`, Credential{Username: "user", Password: "p:a:ss:"}, ""},
		{"filled up with NUL", `{"auth": "` + encode("user:pass\x00\x00") + `"}`, Credential{Username: "user", Password: "pass"}, ""},
		{"no padding", `{"auth": "` + strings.TrimRight(encode("user:passw"), "=") + `"}`, Credential{Username: "user", Password: "passw"}, ""},
		{"spaces around", `{"auth": " ` + encode("user:passw") + `\n"}`, Credential{Username: "user", Password: "passw"}, ""},
		{"empty password", `{"auth": "` + encode("user:") + `"}`, Credential{Username: "user"}, ""},
		{"no user", `{"auth": "` + encode(":pass") + `"}`, Credential{Password: "pass"}, ""},
		{"neither", `{"auth": "` + encode(":") + `"}`, Credential{}, ""},
		{"fields", `{"username": "user", "password": "pa:ss"}`, Credential{Username: "user", Password: "pa:ss"}, ""},
		{"auth before fields", `{"username": "x", "password": "y", "auth": "` + encode("user:pass") + `"}`, Credential{Username: "user", Password: "pass"}, ""},
		{"identity token", `{"identitytoken": "it"}`, Credential{IdentityToken: "it"}, ""},
		{"identity token of Azure", `{"auth": "` + encode("0000:") + `", "identitytoken": "it"}`, Credential{Username: "0000", IdentityToken: "it"}, ""},
		{"registry token", `{"registrytoken": "rt"}`, Credential{RegistryToken: "rt"}, ""},
		{"empty", `{}`, Credential{}, ""},
		{"null", `null`, Credential{}, ""},
		{"empty auth", `{"auth": ""}`, Credential{}, ""},
		{"other fields of any type", `{"email": 5, "x": [{}], "username": "user"}`, Credential{Username: "user"}, ""},
		{"not base64", `{"auth": "user:pass"}`, Credential{}, "auth is not base64"},
		{"no colon", `{"auth": "` + encode("userpass") + `"}`, Credential{}, "auth is not the base64 of user:password"},
		{"number", `{"password": 12345678}`, Credential{}, "not an object of strings"},
		{"string", `"pass"`, Credential{}, "not an object of strings"},
		{"list", `[]`, Credential{}, "not an object of strings"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, reason := parseAuth([]byte(test.entry))
			if got != test.want || reason != test.reason {
				t.Errorf("got %+v (%q), want %+v (%q)", [4]string{got.Username, got.Password, got.IdentityToken, got.RegistryToken}, reason,
					[4]string{test.want.Username, test.want.Password, test.want.IdentityToken, test.want.RegistryToken}, test.reason)
			}
		})
	}
}

func TestConfigKeyringErrors(t *testing.T) {
	secret := "s3cret" + secretMark
	tests := []struct{ name, config, want string }{
		{"empty", "", "content: empty"},
		{"blank", " \n\t", "content: empty"},
		{"huge", `{"auths": {}}` + strings.Repeat(" ", maxConfigSize), "content: larger than 1048576 bytes"},
		{"cut short", `{"auths": {"r.example": {"password": "` + secret, "content: not JSON, or cut short"},
		{"binary", "\x7fELF\x02\x01\x01\x00" + secret, "content: not JSON, at byte 1"},
		{"text", `password = ` + secret, "content: not JSON, at byte 1"},
		{"something behind", `{"auths": {}} ` + secret, "content: not JSON, at byte 15"},
		{"deep", `{"auths": ` + strings.Repeat("[", 20000), "content: not JSON, at byte 10010"},
		{"a string", `"` + secret + `"`, "content: not an object"},
		{"a list", `["` + secret + `"]`, "content: not an object"},
		{"auths a string", `{"auths": "` + secret + `"}`, "auths: not an object"},
		{"auths a list", `{"auths": ["` + secret + `"]}`, "auths: not an object"},
		{"credHelpers a string", `{"credHelpers": "` + secret + `"}`, "credHelpers: not an object of strings"},
		{"credHelpers of numbers", `{"credHelpers": {"r.example": 12345678}}`, "credHelpers: not an object of strings"},
		{"credsStore a list", `{"credsStore": ["` + secret + `"]}`, "credsStore: not a string"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(path, []byte(test.config), 0o600); err != nil {
				t.Fatal(err)
			}
			_, config := ConfigKeyring([]byte(test.config))
			_, secret := SecretKeyring(SecretDockerConfigJSON, []byte(test.config))
			_, file := FileKeyring(path).Credentials(t.Context(), parseRef(t, "r.example/app"))
			for _, e := range []struct {
				source string
				err    error
			}{{"docker config", config}, {"pull secret", secret}, {fmt.Sprintf("docker config %q", path), file}} {
				if e.err == nil {
					t.Fatalf("%s: no error", e.source)
				}
				if diff := gocmp.Diff(e.source+": "+test.want, e.err.Error()); diff != "" {
					t.Errorf("error mismatch (-want +got):\n%s", diff)
				}
				var field *FieldError
				if !errors.As(e.err, &field) || !errdefs.IsInvalidArgument(e.err) {
					t.Errorf("%v is no FieldError", e.err)
				}
			}
		})
	}
}

// An entry that is no good is no reason to leave another out.
func TestConfigKeyringBadEntry(t *testing.T) {
	k := configKeyringOf(t, `{"auths": {
		"r.example/team": {"auth": "s3cret`+secretMark+`"},
		"r.example": {"auth": "`+base64Auth("good", "p")+`"},
		"s.example": "s3cret`+secretMark+`"}}`)
	if diff := gocmp.Diff([]string{"good"}, usernames(t, k, "r.example/other/app")); diff != "" {
		t.Errorf("other repository: mismatch (-want +got):\n%s", diff)
	}
	creds, err := k.Credentials(t.Context(), parseRef(t, "r.example/team/app"))
	if want := `docker config: auths["r.example/team"]: auth is not base64`; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
	if len(creds) != 1 || creds[0] != (Credential{Username: "good", Password: "p"}) {
		t.Errorf("got %v beside the error, want the good one", creds)
	}
	creds, err = k.Credentials(t.Context(), parseRef(t, "s.example/app"))
	if want := `docker config: auths["s.example"]: not an object of strings`; err == nil || err.Error() != want || creds != nil {
		t.Errorf("got %v, %v, want %s", creds, err, want)
	}
}

// Whoever writes a secret decides neither how long a lookup takes nor how
// long its error is.
func TestConfigKeyringManyEntries(t *testing.T) {
	var good, bad strings.Builder
	good.WriteString(`{"auths": {"r.example": {}`)
	bad.WriteString(`{"auths": {"r.example": {}`)
	n := 0
	for ; bad.Len() < maxConfigSize/8; n++ {
		fmt.Fprintf(&good, `,"r.example":{"username":"%d"}`, n)
		fmt.Fprintf(&bad, `,"r.example":{"auth":"%012d"}`, n)
	}
	good.WriteString(`}}`)
	bad.WriteString(`}}`)
	if got := usernames(t, configKeyringOf(t, good.String()), "r.example/app"); len(got) != n {
		t.Errorf("got %d credentials, want %d", len(got), n)
	}
	_, err := configKeyringOf(t, bad.String()).Credentials(t.Context(), parseRef(t, "r.example/app"))
	if err == nil || len(err.Error()) > 1000 {
		t.Errorf("got an error of %d bytes", len(fmt.Sprint(err)))
	}
}

func TestConfigForms(t *testing.T) {
	entry := `{"auth": "` + base64Auth("user", "p") + `"}`
	tests := []struct {
		name, config string
		want         []string
	}{
		{"config.json", `{"auths": {"r.example": ` + entry + `}, "HttpHeaders": {"X": "y"}, "detachKeys": "ctrl-e,e"}`, []string{"user"}},
		{"other case", `{"Auths": {"r.example": ` + entry + `}}`, []string{"user"}},
		{".dockercfg", `{"r.example": ` + entry + `}`, []string{"user"}},
		{".dockercfg with a scheme", `{"https://r.example/v1/": ` + entry + `}`, []string{"user"}},
		{"config.json without logins", `{"HttpHeaders": {"X": "y"}, "psFormat": "table {{.ID}}"}`, nil},
		{"null auths", `{"auths": null, "credHelpers": null, "credsStore": null}`, nil},
		{"null", `null`, nil},
		{"nothing", `{}`, nil},
		{"empty entries", `{"auths": {"r.example": {}, "https://r.example": {"email": "a@b"}}}`, nil},
		{"equal entries", `{"auths": {"r.example": ` + entry + `, "https://r.example": ` + entry + `}}`, []string{"user"}},
		{"a key twice", `{"auths": {"r.example": ` + entry + `, "r.example": {"username": "other"}}}`, []string{"user", "other"}},
		{"a registry beside auths", `{"auths": {}, "r.example": ` + entry + `}`, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, kind := range []string{SecretDockerConfigJSON, SecretDockercfg} {
				k, err := SecretKeyring(kind, []byte(test.config))
				if err != nil {
					t.Fatal(err)
				}
				if diff := gocmp.Diff(append([]string{}, test.want...), usernames(t, k, "r.example/app")); diff != "" {
					t.Errorf("%s: users mismatch (-want +got):\n%s", kind, diff)
				}
			}
			if diff := gocmp.Diff(append([]string{}, test.want...), usernames(t, configKeyringOf(t, test.config), "r.example/app")); diff != "" {
				t.Errorf("config: users mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSecretKeyring(t *testing.T) {
	if _, err := SecretKeyring("Opaque", []byte(`{}`)); !errdefs.IsInvalidArgument(err) {
		t.Errorf("other type: %v, want an invalid argument", err)
	}

	installHelpers(t, "good")
	config := `{"credsStore": "good", "credHelpers": {"h.example": "good"},
		"auths": {"r.example": {}, "h.example": {}, "s.example": {"auth": "` + base64Auth("user", "p") + `"}}}`
	k, err := SecretKeyring(SecretDockerConfigJSON, []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{"user"}, usernames(t, k, "s.example/app")); diff != "" {
		t.Errorf("full entry: mismatch (-want +got):\n%s", diff)
	}
	if got := usernames(t, k, "t.example/app"); len(got) > 0 {
		t.Errorf("no entry: got %q, so the helper was run", got)
	}
	for _, host := range []string{"r.example", "h.example"} {
		creds, err := k.Credentials(t.Context(), parseRef(t, host+"/app"))
		want := `pull secret: auths["` + host + `"]: empty: a credential helper has what belongs here, and a secret's is not run`
		if err == nil || err.Error() != want || creds != nil {
			t.Errorf("empty entry: got %v, %v, want %s", creds, err, want)
		}
	}
}

func TestFileKeyringReloads(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	k := FileKeyring(path)
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(step string, want ...string) {
		t.Helper()
		if diff := gocmp.Diff(append([]string{}, want...), usernames(t, k, "r.example/app")); diff != "" {
			t.Errorf("%s: mismatch (-want +got):\n%s", step, diff)
		}
	}
	user := func(name string) string { return `{"auths": {"r.example": {"username": "` + name + `"}}}` }

	check("no file")
	write(user("one"))
	check("file made", "one")

	// The same size and the same time: what a look at the file's dates misses.
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	write(user("two"))
	if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil {
		t.Fatal(err)
	}
	check("changed in place", "two")

	write(user("three")[:20])
	if creds, err := k.Credentials(t.Context(), parseRef(t, "r.example/app")); err == nil || creds != nil || !strings.Contains(err.Error(), path) {
		t.Errorf("half written: got %v, %v, want an error with the path", creds, err)
	}
	other := filepath.Join(dir, "new")
	if err := os.WriteFile(other, []byte(user("four")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	check("replaced", "four")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check("removed")
}

// Kubernetes mounts a secret as a link through a link to a directory, and
// turns the latter to change the secret.
func TestFileKeyringLinks(t *testing.T) {
	dir := t.TempDir()
	turn := func(name, user string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, ".dockerconfigjson"), []byte(`{"auths": {"r.example": {"username": "`+user+`"}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(name, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, ".dockerconfigjson")
	if err := os.Symlink(filepath.Join("..data", ".dockerconfigjson"), path); err != nil {
		t.Fatal(err)
	}
	k := FileKeyring(path)
	if got := usernames(t, k, "r.example/app"); len(got) > 0 {
		t.Errorf("link to nowhere: got %q", got)
	}
	for _, user := range []string{"one", "two"} {
		turn("..2025_"+user, user)
		if diff := gocmp.Diff([]string{user}, usernames(t, k, "r.example/app")); diff != "" {
			t.Errorf("mismatch (-want +got):\n%s", diff)
		}
	}
}

func TestFileKeyringUnreadable(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	huge := filepath.Join(dir, "huge")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	size := int64(1) << 40 // of nothing but holes
	if runtime.GOOS == "windows" {
		size = 1 << 26 // there are none
	}
	if err := os.Truncate(huge, size); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path, want string }{
		{"directory", dir, "not a regular file"},
		{"device", os.DevNull, "not a regular file"},
		{"no path", "", "path: empty"},
		{"huge", huge, "content: larger than 1048576 bytes"},
		{"path with NUL", "a\x00b", "invalid argument"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			creds, err := FileKeyring(test.path).Credentials(t.Context(), parseRef(t, "r.example/app"))
			if err == nil || creds != nil || !strings.Contains(err.Error(), fmt.Sprintf("docker config %q: %s", test.path, test.want)) {
				t.Errorf("got %v, %v, want %q", creds, err, test.want)
			}
		})
	}
}

func TestDockerConfigKeyring(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".docker"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, user := range map[string]string{filepath.Join(home, ".docker"): "home", dir: "variable"} {
		if err := os.WriteFile(filepath.Join(path, "config.json"), []byte(`{"auths": {"r.example": {"username": "`+user+`"}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("DOCKER_CONFIG", "")
	if diff := gocmp.Diff([]string{"home"}, usernames(t, DockerConfigKeyring(), "r.example/app")); diff != "" {
		t.Errorf("home: mismatch (-want +got):\n%s", diff)
	}
	t.Setenv("DOCKER_CONFIG", dir)
	if diff := gocmp.Diff([]string{"variable"}, usernames(t, DockerConfigKeyring(), "r.example/app")); diff != "" {
		t.Errorf("DOCKER_CONFIG: mismatch (-want +got):\n%s", diff)
	}
	t.Setenv("DOCKER_CONFIG", "")
	t.Setenv("HOME", "")
	t.Setenv("USERPROFILE", "")
	if k := DockerConfigKeyring().(*fileKeyring); k.path != "" && !filepath.IsAbs(k.path) {
		t.Errorf("without HOME the config is %q", k.path)
	}
}

func ExampleKeyrings() {
	// The value of the secret's key ".dockerconfigjson".
	secret, err := SecretKeyring(SecretDockerConfigJSON, []byte(`{"auths": {"r.example/team": {"auth": "dXNlcjpwYXNzd29yZA=="}}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	ring := Keyrings(secret, FileKeyring("testdata/no-such-config.json"))
	ref, err := reference.ParseDockerRef("r.example/team/app")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ring.Credentials(context.Background(), ref))
	// Output: [Credential(Username Password)] <nil>
}

// ringOf is a Keyring with a fixed answer.
type ringOf struct {
	creds []Credential
	err   error
}

func (r ringOf) Credentials(context.Context, reference.Named) ([]Credential, error) {
	return r.creds, r.err
}

func TestKeyrings(t *testing.T) {
	a, b, c := Credential{Username: "a"}, Credential{Username: "b"}, Credential{Username: "c"}
	broken, other := errors.New("broken"), errors.New("other")
	tests := []struct {
		name    string
		rings   []Keyring
		want    []Credential
		wantErr string
	}{
		{"none", nil, nil, ""},
		{"nil", []Keyring{nil, ringOf{creds: []Credential{a}}, nil}, []Credential{a}, ""},
		{"in order, once", []Keyring{ringOf{creds: []Credential{b, a}}, ringOf{creds: []Credential{a, c, b}}}, []Credential{b, a, c}, ""},
		{"nobody", []Keyring{ringOf{creds: []Credential{{}, a, {}}}}, []Credential{a}, ""},
		{"one fails", []Keyring{ringOf{err: broken}, ringOf{creds: []Credential{a}}}, []Credential{a}, "broken"},
		{"one fails in part", []Keyring{ringOf{[]Credential{a}, broken}, ringOf{creds: []Credential{b}}}, []Credential{a, b}, "broken"},
		{"all fail", []Keyring{ringOf{err: broken}, ringOf{err: other}}, nil, "broken; other"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Keyrings(test.rings...).Credentials(t.Context(), parseRef(t, "r.example/app"))
			if !slices.Equal(got, test.want) {
				t.Errorf("got %d credentials, want %d", len(got), len(test.want))
			}
			switch {
			case test.wantErr == "" && err != nil, test.wantErr != "" && (err == nil || err.Error() != test.wantErr):
				t.Errorf("got error %v, want %q", err, test.wantErr)
			}
			if test.wantErr != "" && !errors.Is(err, broken) {
				t.Errorf("%v does not hold the keyring's error", err)
			}
		})
	}

	// What a caller does with its slice later does not matter.
	rings := []Keyring{ringOf{creds: []Credential{a}}}
	k := Keyrings(rings...)
	rings[0] = nil
	if got, err := k.Credentials(t.Context(), parseRef(t, "r.example/app")); err != nil || len(got) != 1 {
		t.Errorf("after the change: got %d credentials, %v", len(got), err)
	}
}

// A ring's own slice is not changed by what Keyrings leaves out.
func TestKeyringsCopies(t *testing.T) {
	a, b := Credential{Username: "a"}, Credential{Username: "b"}
	list := []Credential{a, a, b}
	if _, err := Keyrings(ringOf{creds: list}).Credentials(t.Context(), parseRef(t, "r.example/app")); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(list, []Credential{a, a, b}) {
		t.Error("the ring's slice was changed")
	}
}

func TestConfigKeyringHelpers(t *testing.T) {
	installHelpers(t, "good", "token", "none", "nothing")
	auth := func(user string) string { return `{"auth": "` + base64Auth(user, "p") + `"}` }
	tests := []struct {
		name, config, ref string
		want              []string // the helper "good" answers with the server that it was asked for
	}{
		{"store", `{"credsStore": "good"}`, "r.example/app", []string{"r.example"}},
		{"store, with a port", `{"credsStore": "good"}`, "r.example:5000/app", []string{"r.example:5000"}},
		{"store, docker hub", `{"credsStore": "good"}`, "ubuntu", []string{"https://index.docker.io/v1/"}},
		{"helper of the host", `{"credsStore": "none", "credHelpers": {"r.example": "good"}}`, "r.example/app", []string{"r.example"}},
		{"helper of another host", `{"credsStore": "none", "credHelpers": {"r.example": "good"}}`, "s.example/app", nil},
		{"helper of another port", `{"credHelpers": {"r.example": "good"}}`, "r.example:5000/app", nil},
		{"no pattern for helpers", `{"credHelpers": {"*.example": "good", "https://r.example": "good", "r.example/app": "good"}}`, "r.example/app", nil},
		{"helper of docker hub", `{"credHelpers": {"https://index.docker.io/v1/": "good", "docker.io": "none"}}`, "ubuntu", []string{"https://index.docker.io/v1/"}},
		{"helper of docker hub by its name", `{"credHelpers": {"docker.io": "good"}}`, "ubuntu", []string{"https://index.docker.io/v1/"}},
		{"no helper for this host", `{"credsStore": "good", "credHelpers": {"r.example": ""}, "auths": {"r.example": ` + auth("file") + `}}`, "r.example/app", []string{"file"}},
		{"helper knows nothing", `{"credsStore": "none", "auths": {"r.example": ` + auth("file") + `}}`, "r.example/app", []string{"file"}},
		{"helper says nothing", `{"credsStore": "nothing"}`, "r.example/app", nil},
		{"empty entry", `{"credsStore": "good", "auths": {"r.example": {}}}`, "r.example/app", []string{"r.example"}},
		{"between path and host", `{"credsStore": "good", "auths": {"r.example": ` + auth("host") + `, "*.example": ` + auth("pattern") + `, "r.example/team": ` + auth("path") + `}}`,
			"r.example/team/app", []string{"path", "r.example", "host", "pattern"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := usernames(t, configKeyringOf(t, test.config), test.ref)
			if diff := gocmp.Diff(append([]string{}, test.want...), got); diff != "" {
				t.Errorf("users mismatch (-want +got):\n%s", diff)
			}
		})
	}

	creds, err := configKeyringOf(t, `{"credsStore": "token"}`).Credentials(t.Context(), parseRef(t, "r.example/app"))
	if err != nil || len(creds) != 1 || creds[0] != (Credential{IdentityToken: "token" + secretMark}) {
		t.Errorf("got %v, %v, want an identity token", creds, err)
	}
	creds, err = configKeyringOf(t, `{"credsStore": "good"}`).Credentials(t.Context(), parseRef(t, "r.example/app"))
	if err != nil || len(creds) != 1 || creds[0] != (Credential{Username: "r.example", Password: "pass" + secretMark}) {
		t.Errorf("got %v, %v, want name and password", creds, err)
	}
}

func TestConfigKeyringHelperErrors(t *testing.T) {
	installHelpers(t, "fails", "garbage", "cut", "flood", "wrong")
	const prefix = `docker config: credential helper `
	tests := []struct{ name, helper, want string }{
		{"fails", "fails", prefix + `"fails": exit status 3`},
		{"prints no JSON", "garbage", prefix + `"garbage": printed no credential`},
		{"prints half a credential", "cut", prefix + `"cut": printed no credential`},
		{"prints a number", "wrong", prefix + `"wrong": printed no credential`},
		{"prints without end", "flood", prefix + `"flood": printed more than 65536 bytes`},
		{"is not there", "absent", prefix + `"absent": exec: "docker-credential-absent": executable file not found in `},
		{"is a path", "../../bin/sh", `docker config: credential helper: its name is not one of letters, digits, '.', '_' and '-'`},
		{"has a long name", strings.Repeat("x", 65), `docker config: credential helper: its name is not one of letters, digits, '.', '_' and '-'`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := configKeyringOf(t, `{"credsStore": "`+test.helper+`", "auths": {"r.example": {"username": "file"}}}`)
			creds, err := k.Credentials(t.Context(), parseRef(t, "r.example/app"))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), secretMark) {
				t.Errorf("got error %v, want %s", err, test.want)
			}
			if len(creds) != 1 || creds[0].Username != "file" {
				t.Errorf("got %v beside the error, want that of the file", creds)
			}
		})
	}
}

// A helper that prints too much is not left to its deadline.
func TestHelperFloods(t *testing.T) {
	installHelpers(t, "flood")
	listenForHelpers(t)
	if _, err := runHelperFor(t.Context(), time.Hour, "flood", "r.example"); err == nil {
		t.Error("no error")
	}
}

// A helper that hangs is killed with all that it started, in the time that it
// has and when the caller has enough.
func TestHelperHangs(t *testing.T) {
	for _, test := range []struct {
		helper    string
		processes int
	}{{"hang", 1}, {"family", 2}} {
		if test.processes > 1 && runtime.GOOS == "windows" {
			continue // only the helper itself can be killed there
		}
		t.Run(test.helper, func(t *testing.T) {
			installHelpers(t, test.helper)
			listener := listenForHelpers(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := configKeyringOf(t, `{"credsStore": "`+test.helper+`"}`).Credentials(ctx, parseRef(t, "r.example/app"))
				done <- err
			}()
			var conns []net.Conn
			for range test.processes {
				conns = append(conns, acceptHelper(t, listener))
			}
			cancel()
			err := <-done
			if !errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) {
				t.Errorf("got %v, want the caller's end", err)
			}
			for _, c := range conns {
				if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("a process is still there: %d bytes, %v", n, err)
				}
			}
		})
	}

	installHelpers(t, "hang")
	listenForHelpers(t)
	_, err := runHelperFor(t.Context(), 50*time.Millisecond, "hang", "r.example")
	if want := `credential helper "hang": request timed out: no answer in 50ms`; err == nil || err.Error() != want || !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v, want %s", err, want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := runHelper(ctx, "hang", "r.example"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrTimeout) {
		t.Errorf("got %v, want the caller's deadline", err)
	}
	// A goroutine that has told its result may not have returned yet.
	for late := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if !bytes.Contains(stacks, []byte("os/exec.")) {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("a goroutine is still there:\n%s", stacks)
		}
	}
}

// A helper that is done has answered, even if a child of it keeps its output
// open: gpg-agent does so when it is started by "pass".
func TestHelperLeavesChild(t *testing.T) {
	installHelpers(t, "orphan")
	listener := listenForHelpers(t)
	got, err := runHelper(t.Context(), "orphan", "r.example")
	if err != nil || got != (Credential{Username: "r.example", Password: "pass" + secretMark}) {
		t.Errorf("got %v, %v, want the answer", got, err)
	}
	acceptHelper(t, listener) // and its end is the child's
}

// helperAddress is where the helpers that hang say that they run.
const helperAddress = "DOCKPOD_TEST_HELPER_ADDRESS"

// listenForHelpers waits for the helpers that hang. They end with their
// connection.
func listenForHelpers(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	t.Setenv(helperAddress, l.Addr().String())
	return l
}

func acceptHelper(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// installHelpers puts credential helpers first in PATH: this test's own
// binary, which looks at the name that it was called by.
func installHelpers(t *testing.T, names ...string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, helperPrefix+name)
		link := os.Symlink
		if runtime.GOOS == "windows" {
			path, link = path+".exe", os.Link
		}
		if err := link(self, path); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GORACE", "atexit_sleep_ms=0") // with the race detector a program takes a second to end
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

const helperPrefix = "docker-credential-"

// TestMain makes this binary a credential helper where it has the name of one.
func TestMain(m *testing.M) {
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	if name, ok := strings.CutPrefix(name, helperPrefix); ok {
		os.Exit(helperMain(name))
	}
	os.Exit(m.Run())
}

// helperMain is a credential helper, of a good or a bad kind.
func helperMain(name string) int {
	if len(os.Args) != 2 || os.Args[1] != "get" {
		return 9
	}
	if name == "hang" || name == "family" || name == "orphan" {
		return hangingHelper(name)
	}
	server, err := io.ReadAll(os.Stdin)
	if err != nil {
		return 8
	}
	secret := "pass" + secretMark
	switch name {
	case "good":
		fmt.Printf(`{"ServerURL": %q, "Username": %q, "Secret": %q}`, server, server, secret)
	case "token":
		fmt.Printf(`{"Username": "<token>", "Secret": %q}`, "token"+secretMark)
	case "none":
		fmt.Println("credentials not found in native keychain")
		return 1
	case "nothing":
		fmt.Println(`{"ServerURL": "", "Username": "", "Secret": ""}`)
	case "fails":
		fmt.Println(secret)
		fmt.Fprintln(os.Stderr, secret)
		return 3
	case "garbage":
		fmt.Println(secret)
	case "cut":
		fmt.Printf(`{"Username": "user", "Secret": "%s`, secret)
	case "wrong":
		fmt.Printf(`{"Username": "user", "Secret": 12345678}`)
	case "flood":
		signal.Ignore(syscall.SIGPIPE) // or it would end with its reader
		for err == nil {
			_, err = fmt.Print(secret)
		}
		return hang()
	}
	return 0
}

func hangingHelper(name string) int {
	if name != "hang" {
		// The child is told by its name, and has this one's output.
		child := exec.Cmd{Path: os.Args[0], Args: []string{helperPrefix + "hang", "get"}, Stdout: os.Stdout}
		if self, err := os.Executable(); err == nil {
			child.Path = self
		}
		if err := child.Start(); err != nil {
			return 7
		}
		if name == "orphan" {
			fmt.Printf(`{"Username": "r.example", "Secret": %q}`, "pass"+secretMark)
			return 0
		}
	}
	return hang()
}

// hang ends with the test, if nobody kills it before.
func hang() int {
	c, err := net.Dial("tcp", os.Getenv(helperAddress))
	if err != nil {
		return 6
	}
	_, _ = io.Copy(io.Discard, c)
	return 5
}

// errorForm is what an error of a keyring may look like.
var errorForm = regexp.MustCompile(`^(docker config|pull secret): ` +
	`(content: (empty|larger than \d+ bytes|not JSON, at byte \d+|not JSON, or cut short|not an object)` +
	`|auths: not an object|credHelpers: not an object of strings|credsStore: not a string` +
	`|(auths)?\[KEY\]: (auth is not base64|auth is not the base64 of user:password|not an object of strings` +
	`|empty: a credential helper has what belongs here, and a secret's is not run))$`)

// keyForm is a key that fuzzedRefs can match, in quotes.
var keyForm = regexp.MustCompile(`\["(?i:https?://)?(?i:[redxamplockingtsy*0-9.:-]*)/*(v[12]/?)*[a-z/]*"\]`)

var fuzzedRefs = []string{"r.example/team/app", "ubuntu", "r.example:5000/app"}

// FuzzDockerConfig: whatever the bytes are, nothing panics, and an error is
// one of a few sentences with nothing of the bytes in it but a key that
// matched the reference.
func FuzzDockerConfig(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "null", `{"auths": {"r.example": {"auth": "dXNlcjpwYXNz"}}}`, `{"r.example": {"auth": "dXNlcjpwYXNz"}}`,
		`{"auths": {"*.example": {"auth": "s3cret"}, "https://index.docker.io/v1/": "s3cret"}}`,
		`{"auths": {"r.example/v1//team": {"password": 12345678}, "R.EXAMPLE:5000": {"identitytoken": "t"}}}`,
		`{"auths": {"r.example": {}}, "credsStore": "desktop", "credHelpers": {"r.example": "x"}}`,
		`{"auths": {"r.example": {"password": "s3cr`, "\xff\xfe{\x00", `{"auths": ["s3cret"]}`, `{"credHelpers": {"r.example": 1}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		check := func(err error) {
			for _, line := range strings.Split(err.Error(), "; ") {
				line = keyForm.ReplaceAllString(line, "[KEY]")
				if !errorForm.MatchString(line) {
					t.Errorf("error %q", line)
				}
			}
		}
		for _, ref := range fuzzedRefs {
			config, err := ConfigKeyring(data)
			if err != nil {
				check(err)
			} else {
				// No program is run for a fuzzer.
				config.(*configKeyring).run = func(context.Context, string, string) (Credential, error) { return Credential{}, nil }
				creds, err := config.Credentials(t.Context(), parseRef(t, ref))
				if err != nil {
					check(err)
				}
				if again, _ := config.Credentials(t.Context(), parseRef(t, ref)); !slices.Equal(creds, again) {
					t.Error("two answers differ")
				}
				if !slices.Equal(distinct(slices.Clone(creds)), creds) {
					t.Error("a credential is there twice")
				}
			}
			secret, err := SecretKeyring(SecretDockerConfigJSON, data)
			if err != nil {
				check(err)
			} else if _, err := secret.Credentials(t.Context(), parseRef(t, ref)); err != nil {
				check(err)
			}
		}
	})
}

// FuzzDockerConfigSecrets damages configs around given secrets: none of them
// shows in an error.
func FuzzDockerConfigSecrets(f *testing.F) {
	f.Add("user", "password", "token", 40, byte('x'))
	f.Add("u", "p:\x00", "\"}", 61, byte('"'))
	f.Fuzz(func(t *testing.T, user, password, token string, at int, damage byte) {
		// A mark in each makes a secret unlike all words of an error.
		mark := func(s string) string { return secretMark + strings.Join(strings.Split(s, ""), secretMark) + secretMark }
		user, password, token = mark(user), mark(password), mark(token)
		entry, err := json.Marshal(map[string]string{"username": user, "password": password, "identitytoken": token, "auth": user + ":" + password})
		if err != nil {
			t.Fatal(err)
		}
		auth := base64Auth(user, password)
		data := []byte(fmt.Sprintf(`{"auths": {"r.example": {"auth": %q}, "ubuntu": %s, "r.example/team": %s, "docker.io": {"auth": %q}}}`, auth, entry, entry, auth))
		i := ((at % len(data)) + len(data)) % len(data)
		damaged := slices.Clone(data)
		damaged[i] = damage
		for _, data := range [][]byte{data, data[:i], data[i:], damaged, []byte(auth)} {
			for _, ref := range fuzzedRefs {
				k, err := SecretKeyring(SecretDockerConfigJSON, data)
				if err == nil {
					_, err = k.Credentials(t.Context(), parseRef(t, ref))
				}
				if err == nil {
					continue
				}
				for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", cmp.Or(errors.Unwrap(err), err))} {
					if strings.Contains(text, secretMark) || strings.Contains(text, auth) {
						t.Errorf("a secret shows in %q", text)
					}
				}
			}
		}
	})
}
