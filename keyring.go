package dockpod

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"
	"github.com/docker/docker/api/types/registry"
)

// Credential is what a registry is shown for a pull: a name and a password,
// or a token. The zero value is nobody. Two that are equal by == are the same.
//
// A Credential prints, logs and marshals as the names of the fields that are
// set, never as their values. There are two ways around that, as fmt does not
// ask the value how it prints: the verbs %p and %w, which go vet refuses for
// it, and an unexported field of another struct that is printed.
type Credential struct {
	Username      string
	Password      string
	IdentityToken string // buys access tokens from the registry's token server
	RegistryToken string // is sent to the registry as it is
}

// String returns the names of the fields that are set.
func (c Credential) String() string {
	var set []string
	for _, f := range []struct{ name, value string }{
		{"Username", c.Username}, {"Password", c.Password},
		{"IdentityToken", c.IdentityToken}, {"RegistryToken", c.RegistryToken},
	} {
		if f.value != "" {
			set = append(set, f.name)
		}
	}
	return "Credential(" + strings.Join(set, " ") + ")"
}

// GoString is String.
func (c Credential) GoString() string { return c.String() }

// Format prints String for every verb.
func (c Credential) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) }

// LogValue is String for log/slog.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText is String for encoding/json and whatever else knows text.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// registryAuth encodes c for the header X-Registry-Auth of a pull of named;
// "" for nobody. An engine with the containerd store shows a credential only
// to the host of its server address.
func (c Credential) registryAuth(named reference.Named) (string, error) {
	if c == (Credential{}) {
		return "", nil
	}
	server := reference.Domain(named)
	if server == hubDomain {
		server = hubServer
	}
	return registry.EncodeAuthConfig(registry.AuthConfig{
		Username:      c.Username,
		Password:      c.Password,
		IdentityToken: c.IdentityToken,
		RegistryToken: c.RegistryToken,
		ServerAddress: server,
	})
}

// Keyring knows credentials for registries.
//
// Credentials returns those for pulling ref, the best first, each once; none
// means that the pull is anonymous. Tag and digest of ref do not matter. It
// may return credentials and an error together: then what it returns is good,
// and the error tells what else there might have been. No error holds a
// secret.
//
// A Keyring is safe for concurrent use.
type Keyring interface {
	Credentials(ctx context.Context, ref reference.Named) ([]Credential, error)
}

// ConfigKeyring reads the content of docker's config.json, or of the
// .dockercfg that docker had before 1.7. The credentials are those of "auths",
// and of the programs that "credHelpers" and "credsStore" name; a config of
// unknown origin should rather go to [SecretKeyring], which runs no program.
//
// A key of "auths" is a registry, with a scheme or without: "r.example",
// "https://r.example:5000/v1/", "r.example/team". It is matched as the kubelet
// matches it, except that a path ends where a part of the repository does:
//
//   - a port must be the same, or absent on both sides;
//   - "*" in a part of the host's name stands for anything within that part:
//     "*.r.example" is a.r.example and not a.b.r.example;
//   - a path is that repository, and all below it. "/v1/" and "/v2/" are no
//     path, but of the registry's API;
//   - docker.io, index.docker.io and registry-1.docker.io are the same.
//
// The longest path comes first, then a name before a pattern, then the order
// of the file. A key that cannot be a registry matches nothing.
//
// A helper is asked as docker asks it: that of "credHelpers" for exactly this
// host, otherwise "credsStore"; the empty helper is none. Docker Hub is
// https://index.docker.io/v1/ to a helper. Its answer ranks as an entry for the
// host; docker would leave "auths" alone beside it. A helper that takes longer
// than 30 seconds is killed, except on Windows with all that it started.
//
// The error is a [*FieldError] for what is not JSON, not an object, empty, or
// larger than 1 MiB. An entry that cannot be used is an error only for the
// images of its registry.
func ConfigKeyring(data []byte) (Keyring, error) {
	config, err := parseDockerConfig(data)
	if err != nil {
		return nil, fmt.Errorf("docker config: %w", err)
	}
	return newConfigKeyring("docker config", config, runHelper), nil
}

// The types of Kubernetes secrets that [SecretKeyring] reads.
const (
	SecretDockerConfigJSON = "kubernetes.io/dockerconfigjson"
	SecretDockercfg        = "kubernetes.io/dockercfg"
)

// SecretKeyring reads a Kubernetes pull secret: the value of its key
// ".dockerconfigjson" or ".dockercfg", no longer in base64. It is
// [ConfigKeyring] but for credential helpers: whoever may write a secret may
// not choose a program for the node to run. An empty entry beside a helper,
// as "docker login" writes it, is an error for the images of its registry.
func SecretKeyring(kind string, data []byte) (Keyring, error) {
	if kind != SecretDockerConfigJSON && kind != SecretDockercfg {
		return nil, &FieldError{"kind", fmt.Sprintf("%q is not a type of pull secret", bounded(kind))}
	}
	config, err := parseDockerConfig(data)
	if err != nil {
		return nil, fmt.Errorf("pull secret: %w", err)
	}
	return newConfigKeyring("pull secret", config, nil), nil
}

// FileKeyring is [ConfigKeyring] of a file, which is read each time it is
// asked for credentials: a change counts at once, and no secret is kept.
// Without the file there are no credentials. A file that cannot be read, that
// is not a regular one or that is half written is an error; what it held
// before is not used any more.
func FileKeyring(path string) Keyring { return &fileKeyring{path} }

// DockerConfigKeyring is [FileKeyring] of the file that the docker command
// keeps its logins in: config.json in the directory DOCKER_CONFIG, else in
// .docker in the user's home directory. The environment is read now, and
// DOCKER_AUTH_CONFIG is not.
func DockerConfigKeyring() Keyring {
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil { // a service without HOME
			if u, err := user.Current(); err == nil {
				home = u.HomeDir
			}
		}
		if home == "" {
			return FileKeyring("")
		}
		dir = filepath.Join(home, ".docker")
	}
	return FileKeyring(filepath.Join(dir, "config.json"))
}

// Keyrings asks each of rings, nil ones left out: a pod's pull secrets in
// their order and then the node's config, as the kubelet has it. Equal
// credentials are returned once. If some rings fail, the error is theirs, and
// the credentials of the others are returned beside it.
func Keyrings(rings ...Keyring) Keyring {
	return &unionKeyring{slices.DeleteFunc(slices.Clone(rings), func(k Keyring) bool { return k == nil })}
}

type unionKeyring struct{ rings []Keyring }

func (k *unionKeyring) Credentials(ctx context.Context, ref reference.Named) ([]Credential, error) {
	var found []Credential
	var errs []error
	for _, ring := range k.rings {
		creds, err := ring.Credentials(ctx, ref)
		found = append(found, creds...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	return distinct(found), joinErrors(errs)
}

// distinct leaves each credential once, and nobody out.
func distinct(creds []Credential) []Credential {
	seen := map[Credential]bool{{}: true}
	return slices.DeleteFunc(creds, func(c Credential) bool {
		again := seen[c]
		seen[c] = true
		return again
	})
}

type fileKeyring struct{ path string }

func (k *fileKeyring) Credentials(ctx context.Context, ref reference.Named) ([]Credential, error) {
	source := fmt.Sprintf("docker config %q", k.path)
	data, err := readConfigFile(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var config dockerConfig
	if err == nil {
		config, err = parseDockerConfig(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return newConfigKeyring(source, config, runHelper).Credentials(ctx, ref)
}

// maxConfigSize bounds a config. A Kubernetes secret cannot be larger.
const maxConfigSize = 1 << 20

// readConfigFile reads at most a byte more than maxConfigSize. The errors do
// not name the file.
func readConfigFile(path string) ([]byte, error) {
	if path == "" {
		return nil, &FieldError{"path", "empty: there is no DOCKER_CONFIG and no home directory"}
	}
	// Opening a named pipe would wait for its writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfigSize+1))
	return data, withoutPath(err)
}

// withoutPath returns the cause of a file system's error.
func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// configKeyring answers from a config that was read.
type configKeyring struct {
	source string              // where the config is from, for errors
	config func() dockerConfig // out of fmt's reach, which follows pointers when a verb is wrong
	run    helperFunc          // nil: helpers are not run
}

func newConfigKeyring(source string, config dockerConfig, run helperFunc) *configKeyring {
	return &configKeyring{source, func() dockerConfig { return config }, run}
}

// maxEntryErrors bounds an error's text: a secret may hold a hundred thousand
// bad entries.
const maxEntryErrors = 8

// helperFunc asks a credential helper about a registry; the zero Credential
// is its answer that it knows none.
type helperFunc func(ctx context.Context, helper, server string) (Credential, error)

func (k *configKeyring) Credentials(ctx context.Context, ref reference.Named) ([]Credential, error) {
	host, repo, err := registryOf(ref)
	if err != nil {
		return nil, err
	}
	config := k.config()
	helper, server := config.helperFor(host)
	entries := config.matching(host, repo)
	if helper != "" && k.run != nil {
		asked := configEntry{pattern: registryPattern{host: host}, helper: helper}
		entries = slices.Insert(entries, 0, asked)
	}
	slices.SortStableFunc(entries, func(a, b configEntry) int { return a.pattern.compare(b.pattern) })

	var found []Credential
	var errs []error
	for _, e := range entries {
		cred, err := e.cred, e.err
		switch {
		case e.helper != "":
			cred, err = k.run(ctx, e.helper, server)
		case err == nil && cred == Credential{} && helper != "" && k.run == nil:
			err = &FieldError{e.field, "empty: a credential helper has what belongs here, and a secret's is not run"}
		}
		if err == nil {
			found = append(found, cred)
		} else if len(errs) < maxEntryErrors {
			errs = append(errs, fmt.Errorf("%s: %w", k.source, err))
		}
	}
	return distinct(found), joinErrors(errs)
}

// Docker Hub.
const (
	hubDomain = "docker.io"                   // in references
	hubServer = "https://index.docker.io/v1/" // for credentials
)

// hubHosts are the names by which Docker Hub goes.
var hubHosts = []string{hubDomain, "index.docker.io", "registry-1.docker.io"}

// registryOf returns the registry that ref is pulled from, and the repository
// there.
func registryOf(ref reference.Named) (host, repo string, err error) {
	if ref == nil {
		return "", "", &FieldError{"ref", "nil"}
	}
	named, err := reference.ParseNormalizedNamed(ref.Name())
	if err != nil {
		return "", "", &FieldError{"ref", err.Error()}
	}
	return canonicalHost(reference.Domain(named)), reference.Path(named), nil
}

func canonicalHost(host string) string {
	host = strings.ToLower(host)
	if slices.Contains(hubHosts, host) {
		return hubDomain
	}
	return host
}

// registryPattern is what a key of a config stands for.
type registryPattern struct {
	host string // with its port, in lower case; "*" in it is a wildcard
	path string // of a repository or of the directory it is in; empty: all
}

func parseRegistryPattern(key string) registryPattern {
	for _, scheme := range []string{"https://", "http://"} {
		if len(key) >= len(scheme) && strings.EqualFold(key[:len(scheme)], scheme) {
			key = key[len(scheme):]
			break
		}
	}
	host, repo, _ := strings.Cut(key, "/")
	repo = strings.Trim(repo, "/")
	if first, rest, _ := strings.Cut(repo, "/"); first == "v1" || first == "v2" {
		repo = rest
	}
	return registryPattern{canonicalHost(host), repo}
}

func (p registryPattern) matches(host, repo string) bool {
	if p.path != "" && repo != p.path && !strings.HasPrefix(repo, p.path+"/") {
		return false
	}
	return matchHost(p.host, host)
}

// matchHost compares a name part by part, and the port as it is.
func matchHost(pattern, host string) bool {
	if !strings.Contains(pattern, "*") {
		return pattern == host
	}
	if strings.ContainsAny(pattern, `?[\`) {
		return false // special to path.Match, and in no host's name
	}
	pattern, wantPort, _ := strings.Cut(pattern, ":")
	host, port, _ := strings.Cut(host, ":")
	want, have := strings.Split(pattern, "."), strings.Split(host, ".")
	if port != wantPort || len(want) != len(have) {
		return false
	}
	for i := range want {
		if ok, err := path.Match(want[i], have[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

// compare orders patterns that match the same image, the best first: the
// longest path, then the host with the least left open.
func (p registryPattern) compare(q registryPattern) int {
	stars := func(p registryPattern) int { return strings.Count(p.host, "*") }
	return cmp.Or(
		len(q.path)-len(p.path),
		(len(q.host)-stars(q))-(len(p.host)-stars(p)),
		stars(p)-stars(q),
	)
}

// dockerConfig is what a config.json or .dockercfg says about credentials.
type dockerConfig struct {
	entries []configEntry     // in the order of the file, empty ones too
	helpers map[string]string // credHelpers: the helper by host
	store   string            // credsStore: the helper for other hosts
}

// configEntry is a credential, or why there is none, or whom to ask for it.
type configEntry struct {
	pattern registryPattern
	field   string // its place in the config
	cred    Credential
	err     error
	helper  string
}

// matching returns the entries for a repository, in the order of the file.
func (c dockerConfig) matching(host, repo string) []configEntry {
	var list []configEntry
	for _, e := range c.entries {
		if e.pattern.matches(host, repo) {
			list = append(list, e)
		}
	}
	return list
}

// helperFor returns the helper that docker would ask about a registry, and
// the name that it knows the registry by; "" if there is none to ask.
func (c dockerConfig) helperFor(host string) (helper, server string) {
	server = host
	names := []string{host}
	if host == hubDomain {
		server = hubServer
		names = append([]string{hubServer}, hubHosts...)
	}
	for _, n := range names {
		if h, ok := c.helpers[n]; ok {
			return h, server
		}
	}
	return c.store, server
}

// parseDockerConfig reads a config. Its errors say where and what is wrong,
// and never what stands there: in a damaged file that may be anything.
func parseDockerConfig(data []byte) (dockerConfig, error) {
	switch {
	case len(data) > maxConfigSize:
		return dockerConfig{}, &FieldError{"content", fmt.Sprintf("larger than %d bytes", maxConfigSize)}
	case len(bytes.TrimSpace(data)) == 0:
		return dockerConfig{}, &FieldError{"content", "empty"}
	}
	var syntax *json.SyntaxError
	switch err := json.Unmarshal(data, new(json.RawMessage)); {
	case errors.As(err, &syntax) && syntax.Offset < int64(len(data)):
		return dockerConfig{}, &FieldError{"content", fmt.Sprintf("not JSON, at byte %d", syntax.Offset)}
	case err != nil:
		return dockerConfig{}, &FieldError{"content", "not JSON, or cut short"}
	}
	top, err := jsonMembers(data)
	if err != nil {
		return dockerConfig{}, &FieldError{"content", err.Error()}
	}
	if isDockercfg(top) {
		return dockerConfig{entries: parseAuths("", top)}, nil
	}

	var c dockerConfig
	for _, m := range top {
		switch strings.ToLower(m.name) { // as encoding/json has it
		case "auths":
			auths, err := jsonMembers(m.value)
			if err != nil {
				return dockerConfig{}, &FieldError{"auths", err.Error()}
			}
			c.entries = parseAuths("auths", auths)
		case "credhelpers":
			if json.Unmarshal(m.value, &c.helpers) != nil {
				return dockerConfig{}, &FieldError{"credHelpers", "not an object of strings"}
			}
		case "credsstore":
			if json.Unmarshal(m.value, &c.store) != nil {
				return dockerConfig{}, &FieldError{"credsStore", "not a string"}
			}
		}
	}
	return c, nil
}

// isDockercfg tells a .dockercfg, whose members are registries, from a
// config.json, none of whose members has such a name.
func isDockercfg(top []jsonMember) bool {
	found := false
	for _, m := range top {
		switch strings.ToLower(m.name) {
		case "auths", "credhelpers", "credsstore":
			return false
		}
		found = found || m.name == "localhost" || strings.ContainsAny(m.name, ".:/")
	}
	return found
}

func parseAuths(field string, auths []jsonMember) []configEntry {
	entries := make([]configEntry, len(auths))
	for i, m := range auths {
		e := configEntry{pattern: parseRegistryPattern(m.name)}
		// The name appears in an error only if it matched a reference.
		e.field = fmt.Sprintf("%s[%q]", field, bounded(m.name))
		var reason string
		if e.cred, reason = parseAuth(m.value); reason != "" {
			e.err = &FieldError{e.field, reason}
		}
		entries[i] = e
	}
	return entries
}

// parseAuth reads an entry; reason is why it cannot be used.
func parseAuth(value []byte) (_ Credential, reason string) {
	var v struct {
		Auth          string `json:"auth"`
		Username      string `json:"username"`
		Password      string `json:"password"`
		IdentityToken string `json:"identitytoken"`
		RegistryToken string `json:"registrytoken"`
	}
	if json.Unmarshal(value, &v) != nil {
		return Credential{}, "not an object of strings"
	}
	c := Credential{v.Username, v.Password, v.IdentityToken, v.RegistryToken}
	if v.Auth == "" {
		return c, ""
	}
	// Padding is optional to the kubelet.
	auth := strings.TrimRight(strings.TrimSpace(v.Auth), "=")
	decoded, err := base64.RawStdEncoding.DecodeString(auth)
	if err != nil {
		return Credential{}, "auth is not base64"
	}
	name, password, ok := strings.Cut(string(decoded), ":")
	if !ok {
		return Credential{}, "auth is not the base64 of user:password"
	}
	// Docker filled up with NUL at times, and still takes it away.
	c.Username, c.Password = name, strings.Trim(password, "\x00")
	return c, ""
}

// jsonMember is a name and a value of a JSON object.
type jsonMember struct {
	name  string
	value json.RawMessage
}

var errNoObject = errors.New("not an object")

// jsonMembers returns the members of an object, in its order; none of null.
// data is known to be JSON.
func jsonMembers(data []byte) ([]jsonMember, error) {
	if string(bytes.TrimSpace(data)) == "null" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errNoObject
	}
	var list []jsonMember
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		m := jsonMember{name: name}
		if err != nil || !ok || d.Decode(&m.value) != nil {
			return nil, errNoObject
		}
		list = append(list, m)
	}
	return list, nil
}

const (
	helperTimeout   = 30 * time.Second // some log in to a cloud first
	helperWaitDelay = time.Second      // for a helper's children to let go of its output
	maxHelperOutput = 1 << 16
)

// helperTokenUser is the name by which a helper marks an identity token.
const helperTokenUser = "<token>"

// runHelper asks the program docker-credential-NAME about a registry.
func runHelper(ctx context.Context, name, server string) (Credential, error) {
	return runHelperFor(ctx, helperTimeout, name, server)
}

// runHelperFor gives the helper a time. What the helper prints is in no error:
// it may be what it was asked for.
func runHelperFor(ctx context.Context, timeout time.Duration, name, server string) (Credential, error) {
	if !isHelperName(name) {
		return Credential{}, &FieldError{"credential helper", "its name is not one of letters, digits, '.', '_' and '-'"}
	}
	own, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	program := helperProgram{output: cappedBuffer{full: cancel}}
	got, err := client.Get(func(args ...string) client.Program {
		program.cmd = exec.CommandContext(own, "docker-credential-"+name, args...)
		return &program
	}, server)
	switch {
	case err == nil && got.Secret == "", credentials.IsErrCredentialsNotFound(err):
		return Credential{}, nil
	case err == nil && got.Username == helperTokenUser:
		return Credential{IdentityToken: got.Secret}, nil
	case err == nil:
		return Credential{Username: got.Username, Password: got.Secret}, nil
	case program.output.overflow:
		err = fmt.Errorf("printed more than %d bytes", maxHelperOutput)
	case program.err == nil:
		err = errors.New("printed no credential")
	case ctx.Err() != nil:
		err = ctx.Err()
	case own.Err() != nil:
		err = fmt.Errorf("%w: no answer in %v", ErrTimeout, timeout)
	default:
		err = program.err // it did not start, or failed
	}
	return Credential{}, fmt.Errorf("credential helper %q: %w", name, err)
}

// isHelperName keeps a config from naming a program outside of PATH.
func isHelperName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	return name != "" && len(name) <= 64 && strings.Trim(name, letters) == ""
}

// helperProgram is a client.Program that ends, and keeps its output to itself.
type helperProgram struct {
	cmd    *exec.Cmd
	output cappedBuffer
	err    error // of the run
}

func (p *helperProgram) Input(in io.Reader) { p.cmd.Stdin = in }

func (p *helperProgram) Output() ([]byte, error) {
	p.cmd.Stdout = &p.output
	p.cmd.WaitDelay = helperWaitDelay
	killChildrenToo(p.cmd)
	p.err = p.cmd.Run()
	if errors.Is(p.err, exec.ErrWaitDelay) {
		p.err = nil // it succeeded, and left a child behind that has its output open
	}
	return p.output.data, p.err
}

// cappedBuffer takes maxHelperOutput bytes and then calls full.
type cappedBuffer struct {
	data     []byte
	overflow bool
	full     func()
}

func (b *cappedBuffer) Write(p []byte) (int, error) {
	if len(b.data)+len(p) > maxHelperOutput {
		b.overflow = true
		b.full()
		return 0, io.ErrShortWrite
	}
	b.data = append(b.data, p...)
	return len(p), nil
}
