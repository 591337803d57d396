package fake_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
	"github.com/google/go-cmp/cmp"
)

func TestImageInspectResolves(t *testing.T) {
	d := &fake.Docker{}
	t.Cleanup(func() { d.Close() })
	zero := strings.Repeat("0", 64)
	digest := "sha256:" + strings.Repeat("d", 64)
	id := d.AddImageConfig(fake.Image{Refs: []string{"box:1", "box", "reg.test/box@" + digest}})
	hex := strings.TrimPrefix(id, "sha256:")
	other := d.AddImage("reg.test/other:2")
	found := func(ref string) { // and its ID is id
		t.Helper()
		i, err := d.ImageInspect(t.Context(), ref)
		if err != nil || i.ID != id {
			t.Errorf("inspect %q: %q, %v", ref, i.ID, err)
		}
	}
	for _, ref := range []string{
		"box", "box:1", "box:latest", "docker.io/library/box:1", "docker.io/box:1", "index.docker.io/box:1", "library/box:1",
		id, hex, hex[:12], hex[:6], "sha256:" + hex[:8], "reg.test/box@" + digest, "reg.test/box:any@" + digest,
	} {
		found(ref)
	}
	for ref, want := range map[string][2]string{
		"box:9":             {"404", "no such image: box:9: No such image: box:9"},
		"nope":              {"404", "no such image: nope: No such image: nope:latest"},
		"reg.test/box":      {"404", "no such image: reg.test/box: No such image: reg.test/box:latest"},
		zero:                {"404", "no such image: " + zero + ": No such image: sha256:" + zero},
		"sha256:" + zero:    {"404", "no such image: sha256:" + zero + ": No such image: sha256:" + zero},
		"box@" + id:         {"404", "no such image: box@" + id + ": No such image: box@" + id},
		"box:1@" + id:       {"404", "no such image: box:1@" + id + ": No such image: box:1@" + id},
		"Box":               {"400", "no such image: Box: invalid reference format: repository name must be lowercase"},
		"box:":              {"400", "no such image: box:: invalid reference format"},
		"a b":               {"400", "no such image: a b: invalid reference format"},
		"localhost:5000/b":  {"404", "no such image: localhost:5000/b: No such image: localhost:5000/b:latest"},
		strings.ToUpper(id): {"400", "no such image: " + strings.ToUpper(id) + ": invalid reference format: repository name must be lowercase"},
	} {
		_, err := d.ImageInspect(t.Context(), ref)
		wantErr(t, ref, err, want[0], want[1])
	}
	if _, err := d.ImageInspect(t.Context(), ""); class(err) != "404" || err.Error() != "Error: No such image: " {
		t.Errorf("inspect nothing: %v", err)
	}

	i, err := d.ImageInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"box:1", "box:latest"}, i.RepoTags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"reg.test/box@" + digest}, i.RepoDigests); diff != "" {
		t.Errorf("digests (-want +got):\n%s", diff)
	}
	if i, err := d.ImageInspect(t.Context(), "reg.test/other:2"); err != nil || i.RepoDigests == nil || len(i.RepoDigests) > 0 || i.ID != other {
		t.Errorf("an image that was never pulled: %v, %v", i.RepoDigests, err)
	}
}

func TestImageLoad(t *testing.T) {
	d := &fake.Docker{}
	t.Cleanup(func() { d.Close() })
	cfg := configJSON(t, `{"Entrypoint":["/bin/box"],"Cmd":["serve"],"Env":["A=1"],"User":"alice","WorkingDir":"/work","Labels":{"l":"v"},"StopSignal":"SIGINT","ExposedPorts":{"80/tcp":{}},"Healthcheck":{"Test":["CMD","x"]}}`)
	// The second layer takes a file away and makes another executable.
	second := tarOf(member{".wh.data", 0o644, ""}, member{"late", 0o755, "x"})
	b, id := archive(t, cfg, [][]byte{boxLayer(), second}, "box:1", "reg.test/box:2")

	text := load(t, d, b)
	var messages []map[string]any
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		var m map[string]any
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			t.Fatalf("%q: %v", s.Text(), err)
		}
		messages = append(messages, m)
	}
	if len(messages) != 4 || messages[0]["status"] != "Loading layer" || messages[0]["id"] != sha(boxLayer())[:12] {
		t.Errorf("messages %v", messages)
	}
	if diff := cmp.Diff("{\"stream\":\"Loaded image: box:1\\n\"}\n{\"stream\":\"Loaded image: reg.test/box:2\\n\"}\n", load(t, d, b)); diff != "" {
		t.Errorf("a second load (-want +got):\n%s", diff)
	}

	i, err := d.ImageInspect(t.Context(), "box:1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(i.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"Entrypoint":["/bin/box"]`, `"Cmd":["serve"]`, `"User":"alice"`, `"WorkingDir":"/work"`, `"Labels":{"l":"v"}`, `"StopSignal":"SIGINT"`, `"80/tcp"`, `"Healthcheck"`} {
		if !strings.Contains(string(got), part) {
			t.Errorf("the configuration lacks %s: %s", part, got)
		}
	}
	if i.ID != id || i.Architecture != "amd64" || i.Os != "linux" || i.Created != "2020-01-02T03:04:06Z" || i.Size == 0 || i.Comment != "last" {
		t.Errorf("image %+v, want ID %s", i, id)
	}
	if diff := cmp.Diff([]string{"sha256:" + sha(boxLayer()), "sha256:" + sha(second)}, i.RootFS.Layers); diff != "" {
		t.Errorf("layers (-want +got):\n%s", diff)
	}
	history, err := d.ImageHistory(t.Context(), "box:1")
	if err != nil {
		t.Fatal(err)
	}
	want := []image.HistoryResponseItem{
		{ID: id, Created: 1577934246, CreatedBy: "meta", Comment: "last", Tags: []string{"box:1", "reg.test/box:2"}},
		{ID: "<missing>", Created: 1577934245, CreatedBy: "step 1", Size: 1},
		{ID: "<missing>", Created: 1577934245, CreatedBy: "step 0", Size: i.Size - 1},
	}
	if diff := cmp.Diff(want, history); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	_, err = d.ImageHistory(t.Context(), "nope")
	wantErr(t, "history", err, "404", "No such image: nope:latest")

	for entry, code := range map[string]int{"/bin/box": 0, "/late": 0, "/data": 127, "/etc/passwd": 126} {
		id := create(t, d, "", config{Image: "box:1", Entrypoint: []string{entry}}, nil)
		err := d.ContainerStart(t.Context(), id, container.StartOptions{})
		if got := inspect(t, d, id).State.ExitCode; got != code || (err == nil) != (code == 0) {
			t.Errorf("%s: exit code %d, %v; want %d", entry, got, err, code)
		}
	}

	// A tag that another image has moves.
	b, _ = archive(t, config{Cmd: []string{"/x"}}, [][]byte{tarOf(member{"x", 0o755, "x"})}, "box:1")
	if text := load(t, d, b); !strings.Contains(text, "The image box:1 already exists, renaming the old one with ID "+id+" to empty string") {
		t.Errorf("messages %s", text)
	}
	if i, err := d.ImageInspect(t.Context(), id); err != nil || !cmp.Equal(i.RepoTags, []string{"reg.test/box:2"}) {
		t.Errorf("the old image: %v, %v", i.RepoTags, err)
	}
	b, id = archive(t, config{Cmd: []string{"/y"}}, [][]byte{tarOf(member{"y", 0o755, "y"})})
	if text := load(t, d, b); !strings.Contains(text, `"Loaded image ID: `+id+`\n"`) {
		t.Errorf("an archive without a tag: %s", text)
	}
}

func TestImageLoadDamaged(t *testing.T) {
	d := &fake.Docker{}
	t.Cleanup(func() { d.Close() })
	good, _ := archive(t, config{Cmd: []string{"/x"}}, [][]byte{tarOf(member{"x", 0o755, "x"})}, "x:1")
	wrong := bytes.Replace(good, []byte(sha(tarOf(member{"x", 0o755, "x"}))+`"]`), []byte(strings.Repeat("0", 64)+`"]`), 1)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(good); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for name, tt := range map[string]struct {
		archive []byte
		want    string
	}{
		"garbage":        {[]byte("garbage"), "Error processing tar file(exit status 1): unexpected EOF"},
		"nothing":        {nil, "/repositories: no such file or directory"},
		"no manifest":    {tarOf(member{"a", 0o644, "b"}), "/repositories: no such file or directory"},
		"no config":      {tarOf(member{"manifest.json", 0o644, `[{"Config":"c.json"}]`}), "/c.json: no such file or directory"},
		"a wrong digest": {wrong, "invalid diffID for layer 0"},
	} {
		text := load(t, d, tt.archive)
		var m struct {
			Error       string
			ErrorDetail struct{ Message string }
		}
		if err := json.Unmarshal([]byte(text), &m); err != nil || !strings.Contains(m.Error, tt.want) || m.ErrorDetail.Message != m.Error {
			t.Errorf("%s: %s, %v", name, text, err)
		}
	}
	if l, err := d.ImageList(t.Context(), image.ListOptions{}); err != nil || len(l) > 0 {
		t.Errorf("images after damaged archives: %v, %v", l, err)
	}
	if text := load(t, d, zipped.Bytes()); !strings.Contains(text, "Loaded image: x:1") {
		t.Errorf("a compressed archive: %s", text)
	}
}

func TestImageList(t *testing.T) {
	d := &fake.Docker{}
	t.Cleanup(func() { d.Close() })
	day := func(n int) time.Time { return time.Date(2024, 1, n, 0, 0, 0, 0, time.UTC) }
	digest := "sha256:" + strings.Repeat("d", 64)
	d.AddImageConfig(fake.Image{Refs: []string{"box:1", "box:2"}, Created: day(1), Config: config{Labels: map[string]string{"l": "v"}}, Size: 77})
	d.AddImageConfig(fake.Image{Refs: []string{"reg.test/a/b:1", "reg.test/a/b@" + digest}, Created: day(2)})
	d.AddImageConfig(fake.Image{Created: day(3)})
	names := func(kv ...string) (string, error) {
		l, err := d.ImageList(t.Context(), image.ListOptions{Filters: args(kv...)})
		var out []string
		for _, i := range l {
			out = append(out, strings.Join(slices.Concat(i.RepoTags, i.RepoDigests), ","))
		}
		return strings.Join(out, " "), err
	}
	for _, tt := range []struct {
		name   string
		filter []string
		want   string
		class  string
		text   string
	}{
		{name: "all", want: "<none>:<none>,<none>@<none> reg.test/a/b:1,reg.test/a/b@" + digest + " box:1,box:2"},
		{name: "dangling", filter: []string{"dangling", "true"}, want: "<none>:<none>,<none>@<none>"},
		{name: "not dangling", filter: []string{"dangling", "false"}, want: "reg.test/a/b:1,reg.test/a/b@" + digest + " box:1,box:2"},
		{name: "dangling 1", filter: []string{"dangling", "1"}, class: "400", text: "Invalid filter 'dangling=[1]'"},
		{name: "reference", filter: []string{"reference", "box"}, want: "box:1,box:2"},
		{name: "reference with a tag shows that alone", filter: []string{"reference", "box:2"}, want: "box:2"},
		{name: "reference pattern", filter: []string{"reference", "b*:*1"}, want: "box:1"},
		{name: "reference in full", filter: []string{"reference", "docker.io/library/box:1"}},
		{name: "reference over parts", filter: []string{"reference", "*/*/*"}, want: "reg.test/a/b:1,reg.test/a/b@" + digest},
		{name: "reference that is no pattern", filter: []string{"reference", "["}, class: "500", text: "syntax error in pattern"},
		{name: "label", filter: []string{"label", "l=v"}, want: "box:1,box:2"},
		{name: "label value", filter: []string{"label", "l=w"}},
		{name: "before", filter: []string{"before", "reg.test/a/b:1"}, want: "box:1,box:2"},
		{name: "since", filter: []string{"since", "reg.test/a/b:1"}, want: "<none>:<none>,<none>@<none>"},
		{name: "since nothing", filter: []string{"since", "nope"}, class: "404", text: "No such image: nope:latest"},
		{name: "unknown", filter: []string{"nope", "x"}, class: "400", text: "Invalid filter 'nope'"},
	} {
		got, err := names(tt.filter...)
		if tt.class != "" {
			wantErr(t, tt.name, err, tt.class, tt.text)
		} else if err != nil || got != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
	l, err := d.ImageList(t.Context(), image.ListOptions{Filters: args("reference", "box")})
	if err != nil {
		t.Fatal(err)
	}
	want := image.Summary{ID: l[0].ID, Created: day(1).Unix(), Size: 77, VirtualSize: 77, SharedSize: -1, Containers: -1, Labels: map[string]string{"l": "v"}, RepoTags: []string{"box:1", "box:2"}}
	if diff := cmp.Diff(want, l[0]); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

func TestImageRemove(t *testing.T) {
	d := &fake.Docker{}
	t.Cleanup(func() { d.Close() })
	d.AddImage("app:1")
	remove := func(ref string, force bool) (string, error) {
		r, err := d.ImageRemove(t.Context(), ref, image.RemoveOptions{Force: force, PruneChildren: true})
		var out []string
		for _, x := range r {
			out = append(out, strings.TrimSpace(x.Untagged+" "+x.Deleted))
		}
		return strings.Join(out, "; "), err
	}
	gone := func(ref string) bool {
		_, err := d.ImageInspect(t.Context(), ref)
		return class(err) == "404"
	}
	_, err := remove("nope", true)
	wantErr(t, "unknown", err, "404", "No such image: nope:latest")
	_, err = remove("NOPE", false)
	wantErr(t, "upper case", err, "400", "invalid reference format: repository name must be lowercase")

	two := d.AddImageConfig(fake.Image{Refs: []string{"two:1", "two:2"}})
	_, err = remove(two, false)
	wantErr(t, "two names by ID", err, "409", "conflict: unable to delete "+two[7:19]+" (must be forced) - image is referenced in multiple repositories")
	if got, err := remove("two:1", false); err != nil || got != "two:1" || gone(two) {
		t.Errorf("one name of two: %q, %v", got, err)
	}
	if got, err := remove(two[7:19], false); err != nil || !strings.HasPrefix(got, "two:2; "+two+"; sha256:") || !gone(two) {
		t.Errorf("the last name, by a prefix of the ID: %q, %v", got, err)
	}
	two = d.AddImageConfig(fake.Image{Refs: []string{"two:1", "other/two:1"}})
	if got, err := remove(two, true); err != nil || !strings.HasPrefix(got, "two:1; other/two:1; "+two) {
		t.Errorf("two names by ID, forced: %q, %v", got, err)
	}

	// Digests of a repository go with its last tag.
	digest := "sha256:" + strings.Repeat("d", 64)
	pulled := d.AddImageConfig(fake.Image{Refs: []string{"reg.test/p:1", "reg.test/p@" + digest}})
	if got, err := remove("reg.test/p:1", false); err != nil || !strings.HasPrefix(got, "reg.test/p:1; reg.test/p@"+digest+"; "+pulled) {
		t.Errorf("the tag of a pulled image: %q, %v", got, err)
	}

	id := d.AddImage("used:1")
	c := create(t, d, "user", config{Image: "used:1"}, nil)
	inUse := `conflict: unable to remove repository reference "used:1" (must force) - container ` + c[:12] + " is using its referenced image " + id[7:19]
	_, err = remove("used:1", false)
	wantErr(t, "used by a created container", err, "409", inUse)
	_, err = remove(id, false)
	wantErr(t, "the same by ID", err, "409", "conflict: unable to delete "+id[7:19]+" (must be forced) - image is being used by stopped container "+c[:12])
	start(t, d, c)
	_, err = remove("used:1", false)
	wantErr(t, "used by a running container", err, "409", inUse)
	_, err = remove(id, true)
	wantErr(t, "the same by ID, forced", err, "409", "conflict: unable to delete "+id[7:19]+" (cannot be forced) - image is being used by running container "+c[:12])
	if got, err := remove("used:1", true); err != nil || got != "used:1" || gone(id) {
		t.Errorf("forced, by name, while it runs: %q, %v; only the name goes", got, err)
	}
	d.Exit(c, 0)
	if got, err := remove(id, true); err != nil || got != id || !gone(id) {
		t.Errorf("forced, by ID, after the end: %q, %v; the layers stay for the container", got, err)
	}
	if s := inspect(t, d, c); s.Image != id {
		t.Errorf("the container's image is %q", s.Image)
	}
	start(t, d, c)
}

// pulledText pulls and returns the stream.
func pulledText(t *testing.T, d *fake.Docker, ref string, o image.PullOptions) (string, error) {
	t.Helper()
	r, err := d.ImagePull(t.Context(), ref, o)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestImagePull(t *testing.T) {
	d := &fake.Docker{}
	t.Cleanup(func() { d.Close() })
	id := d.AddRemoteImage("reg.test/app:1")
	if _, err := d.ImageInspect(t.Context(), "reg.test/app:1"); class(err) != "404" {
		t.Fatalf("a remote image before its pull: %v", err)
	}

	text, err := pulledText(t, d, "reg.test/app:1", image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i, err := d.ImageInspect(t.Context(), "reg.test/app:1")
	if err != nil || i.ID != id || len(i.RepoDigests) != 1 || !strings.HasPrefix(i.RepoDigests[0], "reg.test/app@sha256:") {
		t.Fatalf("after the pull: %v %v, %v", i.ID, i.RepoDigests, err)
	}
	digest := strings.TrimPrefix(i.RepoDigests[0], "reg.test/app@")
	if digest == id {
		t.Error("the digest of the manifest is the ID")
	}
	lines := strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n")
	var statuses []string
	for _, l := range lines {
		var m struct{ Status, ID string }
		if err := json.Unmarshal([]byte(l), &m); err != nil {
			t.Fatalf("%q: %v", l, err)
		}
		statuses = append(statuses, m.Status)
	}
	statuses = slices.Compact(statuses) // a download comes in parts
	want := []string{
		"Pulling from app", "Pulling fs layer", "Downloading", "Verifying Checksum", "Download complete", "Extracting", "Pull complete",
		"Digest: " + digest, "Status: Downloaded newer image for reg.test/app:1",
	}
	if diff := cmp.Diff(want, statuses); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if lines[0] != `{"status":"Pulling from app","id":"1"}` {
		t.Errorf("the first message: %s", lines[0])
	}

	upToDate := fmt.Sprintf("{\"status\":\"Pulling from app\",\"id\":\"1\"}\r\n{\"status\":\"Digest: %s\"}\r\n{\"status\":\"Status: Image is up to date for reg.test/app:1\"}\r\n", digest)
	if text, err := pulledText(t, d, "reg.test/app:1", image.PullOptions{}); err != nil || text != upToDate {
		t.Errorf("a second pull: %q, %v", text, err)
	}
	if text, err := pulledText(t, d, "reg.test/app@"+digest, image.PullOptions{}); err != nil || !strings.Contains(text, "Status: Image is up to date for reg.test/app@"+digest) {
		t.Errorf("by digest: %q, %v", text, err)
	}
	_, err = pulledText(t, d, "reg.test/app:2", image.PullOptions{})
	wantErr(t, "unknown tag", err, "404", "manifest for reg.test/app:2 not found: manifest unknown: manifest unknown")
	_, err = pulledText(t, d, "elsewhere.test/app:1", image.PullOptions{})
	wantErr(t, "a registry that holds nothing", err, "500", `Get "https://elsewhere.test/v2/": dial tcp: connect: connection refused`)
	if _, err = pulledText(t, d, "APP", image.PullOptions{}); class(err) != "unclassified" || !strings.Contains(err.Error(), "must be lowercase") {
		t.Errorf("upper case: %v", err)
	}

	// A stream that is not read to its end pulls nothing.
	d.AddRemoteImage("reg.test/half:1")
	r, err := d.ImagePull(t.Context(), "reg.test/half:1", image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := r.Read(make([]byte, 10)); err == nil {
		t.Error("a closed stream can be read")
	}
	if _, err := d.ImageInspect(t.Context(), "reg.test/half:1"); class(err) != "404" {
		t.Errorf("after half a pull: %v", err)
	}

	// A new image under an old name takes it.
	newer := d.AddRemoteImage("reg.test/app:1")
	if _, err := pulledText(t, d, "reg.test/app:1", image.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if i, err := d.ImageInspect(t.Context(), "reg.test/app:1"); err != nil || i.ID != newer || newer == id {
		t.Errorf("the newer image: %v, %v", i.ID, err)
	}
	if i, err := d.ImageInspect(t.Context(), id); err != nil || len(i.RepoTags) > 0 {
		t.Errorf("the older image keeps %v, %v", i.RepoTags, err)
	}
}

func TestImagePullTrouble(t *testing.T) {
	auth := func(user, password string) string {
		b, err := json.Marshal(registry.AuthConfig{Username: user, Password: password})
		if err != nil {
			t.Fatal(err)
		}
		return base64.URLEncoding.EncodeToString(b)
	}
	synctest.Test(t, func(t *testing.T) {
		d := &fake.Docker{}
		t.Cleanup(func() { d.Close() })
		add := func(ref string, r fake.Remote) {
			r.Image.Refs = []string{ref}
			d.AddRemoteImageConfig(r)
		}
		add("r.test/private:1", fake.Remote{User: "me", Password: "secret"})
		add("r.test/busy:1", fake.Remote{Err: fake.Internal("toomanyrequests: slow down")})
		add("r.test/broken:1", fake.Remote{StreamErr: "unknown blob"})
		add("r.test/cut:1", fake.Remote{Truncate: true})
		add("r.test/stalled:1", fake.Remote{Stall: true})

		for _, header := range []string{"", auth("me", "wrong"), "%%%"} {
			_, err := pulledText(t, d, "r.test/private:1", image.PullOptions{RegistryAuth: header})
			wantErr(t, "credentials "+header, err, "500", "unauthorized")
		}
		if _, err := pulledText(t, d, "r.test/private:1", image.PullOptions{RegistryAuth: auth("me", "secret")}); err != nil {
			t.Errorf("good credentials: %v", err)
		}
		_, err := pulledText(t, d, "r.test/busy:1", image.PullOptions{})
		wantErr(t, "busy", err, "500", "toomanyrequests: slow down")

		text, err := pulledText(t, d, "r.test/broken:1", image.PullOptions{})
		if err != nil || !strings.HasSuffix(text, `{"errorDetail":{"message":"unknown blob"},"error":"unknown blob"}`+"\r\n") {
			t.Errorf("an error in the stream: %q, %v", text, err)
		}
		text, err = pulledText(t, d, "r.test/cut:1", image.PullOptions{})
		if !errors.Is(err, io.ErrUnexpectedEOF) || strings.HasSuffix(text, "}\r\n") {
			t.Errorf("a stream that is cut: %q, %v", text, err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := d.ImagePull(ctx, "r.test/stalled:1", image.PullOptions{})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if b, err := io.ReadAll(r); class(err) != "deadline" || len(b) == 0 || time.Since(begin) != time.Minute {
			t.Errorf("a stalled pull: %d bytes, %v after %v", len(b), err, time.Since(begin))
		}
		for _, ref := range []string{"r.test/broken:1", "r.test/cut:1", "r.test/stalled:1"} {
			if _, err := d.ImageInspect(t.Context(), ref); class(err) != "404" {
				t.Errorf("%s is there after a pull that failed: %v", ref, err)
			}
		}
	})
}

func TestImageFiles(t *testing.T) {
	d := &fake.Docker{}
	t.Cleanup(func() { d.Close() })
	d.AddImageConfig(fake.Image{Refs: []string{"f:1"}, Files: map[string]fs.FileMode{"/bin/app": 0o755, "notes": 0o644}})
	d.HandleFunc("/bin/extra", serve)
	for cmd, code := range map[string]int{"/bin/app": 0, "app": 0, "/notes": 126, "/bin": 126, "/gone": 127, "gone": 127, "/bin/extra": 0} {
		id := create(t, d, "", config{Image: "f:1", Cmd: []string{cmd}}, nil)
		_ = d.ContainerStart(t.Context(), id, container.StartOptions{})
		if got := inspect(t, d, id).State; got.ExitCode != code || got.Running != (code == 0) {
			t.Errorf("%s: %+v, want code %d", cmd, got, code)
		}
	}
}

// TestDiskUsage holds that a layer which images share is counted once.
func TestDiskUsage(t *testing.T) {
	d := new(fake.Docker)
	defer d.Close()
	d.AddImageConfig(fake.Image{Refs: []string{"app:1"}, Layers: []int64{1000, 200}})
	d.AddImageConfig(fake.Image{Refs: []string{"app:2"}, Size: 30})
	u, err := d.DiskUsage(t.Context(), types.DiskUsageOptions{})
	if err != nil || len(u.Images) != 2 || u.LayersSize != 1230 {
		t.Errorf("%d images of %d bytes, %v; want 2 of 1230", len(u.Images), u.LayersSize, err)
	}
	info, err := dockpod.New(d).ImageFSInfo(t.Context())
	if err != nil || info.Images != 2 || info.UsedBytes != 1230 || info.UpperBound {
		t.Errorf("%+v, %v; want 2 images of 1230 bytes", info, err)
	}
}
