package fake_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/dockpod/dockpod/fake"
	"github.com/google/go-cmp/cmp"
)

// listed returns the names that a list shows, in its order.
func listed(t *testing.T, d *fake.Docker, o container.ListOptions) ([]string, error) {
	t.Helper()
	l, err := d.ContainerList(t.Context(), o)
	names := []string{}
	for _, c := range l {
		names = append(names, strings.TrimPrefix(c.Names[0], "/"))
	}
	return names, err
}

func args(kv ...string) filters.Args {
	f := filters.NewArgs()
	for i := 0; i < len(kv); i += 2 {
		f.Add(kv[i], kv[i+1])
	}
	return f
}

func TestContainerListFilters(t *testing.T) {
	d := newEngine(t)
	a := create(t, d, "aa", config{Labels: map[string]string{"k": "a=b", "e": "", "x=y": "z"}}, nil)
	b := create(t, d, "bb", configJSON(t, `{"Image":"app:1","ExposedPorts":{"80/tcp":{}}}`), hostJSON(t, `{"PortBindings":{"80/tcp":[{"HostPort":"8080"}]}}`))
	start(t, d, b)
	d.Exit(run(t, d, "cc", nil), 1)
	p := run(t, d, "dd", &host{Binds: []string{"vol:/v"}})
	if err := d.ContainerPause(t.Context(), p); err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name   string
		all    bool
		filter []string
		want   string
		class  string
		text   string
	}{
		{name: "all", all: true, want: "dd cc bb aa"},
		{name: "running", want: "dd bb"},
		{name: "status implies all", filter: []string{"status", "created"}, want: "aa"},
		{name: "status running excludes paused", filter: []string{"status", "running"}, want: "bb"},
		{name: "status paused", filter: []string{"status", "paused"}, want: "dd"},
		{name: "status exited", filter: []string{"status", "exited"}, want: "cc"},
		{name: "two statuses", filter: []string{"status", "exited", "status", "created"}, want: "cc aa"},
		{name: "status dead", filter: []string{"status", "dead"}, want: ""},
		{name: "status unknown", filter: []string{"status", "unknown"}, class: "400", text: "Invalid filter 'status=unknown'"},
		{name: "label", all: true, filter: []string{"label", "k"}, want: "aa"},
		{name: "label value with =", all: true, filter: []string{"label", "k=a=b"}, want: "aa"},
		{name: "part of a label value", all: true, filter: []string{"label", "k=a"}, want: ""},
		{name: "empty label value", all: true, filter: []string{"label", "e="}, want: "aa"},
		{name: "label key with =", all: true, filter: []string{"label", "x=y=z"}, want: ""},
		{name: "two labels", all: true, filter: []string{"label", "k", "label", "nope"}, want: ""},
		{name: "name", all: true, filter: []string{"name", "a"}, want: "aa"},
		{name: "name as a pattern with the slash", all: true, filter: []string{"name", "^/[ab]+$"}, want: "bb aa"},
		{name: "name as a pattern without it", all: true, filter: []string{"name", "^aa$"}, want: "aa"},
		{name: "two names", all: true, filter: []string{"name", "aa", "name", "bb"}, want: "bb aa"},
		{name: "name that is no pattern", all: true, filter: []string{"name", "("}, want: ""},
		{name: "ID", all: true, filter: []string{"id", a}, want: "aa"},
		{name: "ID that is none's", all: true, filter: []string{"id", "zz"}, want: ""},
		{name: "end of an ID", all: true, filter: []string{"id", a[5:]}, want: ""},
		{name: "two IDs", all: true, filter: []string{"id", a, "id", b}, want: "bb aa"},
		{name: "ID and name", all: true, filter: []string{"id", a, "name", "bb"}, want: ""},
		{name: "ID does not imply all", filter: []string{"id", a}, want: ""},
		{name: "exit code", filter: []string{"exited", "1"}, want: "cc"},
		{name: "exit code that is none", filter: []string{"exited", "x"}, class: "500", text: `strconv.Atoi: parsing "x": invalid syntax`},
		{name: "ancestor", all: true, filter: []string{"ancestor", "app:1"}, want: "dd cc bb aa"},
		{name: "ancestor that is not there", all: true, filter: []string{"ancestor", "nope"}, want: ""},
		{name: "before", filter: []string{"before", "cc"}, want: "bb aa"},
		{name: "since", filter: []string{"since", "bb"}, want: "dd cc"},
		{name: "since nobody", filter: []string{"since", "nope"}, class: "500", text: "no such container nope"},
		{name: "health", all: true, filter: []string{"health", "none"}, want: "dd cc bb aa"},
		{name: "health that is none", all: true, filter: []string{"health", "nope"}, class: "400", text: "Unrecognised filter value for health: nope"},
		{name: "volume", all: true, filter: []string{"volume", "/v"}, want: "dd"},
		{name: "network", all: true, filter: []string{"network", "bridge"}, want: "dd cc bb aa"},
		{name: "network that is not there", all: true, filter: []string{"network", "nope"}, want: ""},
		{name: "published", all: true, filter: []string{"publish", "8080"}, want: "bb"},
		{name: "exposed", all: true, filter: []string{"expose", "80/tcp"}, want: "bb"},
		{name: "exposed range", all: true, filter: []string{"expose", "81-90"}, want: ""},
		{name: "exposed that is none", all: true, filter: []string{"expose", "x"}, class: "500", text: `error while looking up for expose x: strconv.ParseUint: parsing "x": invalid syntax`},
		{name: "unknown", all: true, filter: []string{"nope", "1"}, class: "400", text: "Invalid filter 'nope'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := listed(t, d, container.ListOptions{All: tt.all, Filters: args(tt.filter...)})
			if tt.class != "" {
				wantErr(t, "list", err, tt.class, tt.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Fields(tt.want), got); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
}

func TestContainerListOrder(t *testing.T) {
	d := newEngine(t)
	now := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	d.Now = func() time.Time { return now }
	if l, err := d.ContainerList(t.Context(), container.ListOptions{All: true}); err != nil || l == nil || len(l) != 0 {
		t.Errorf("an empty engine lists %v, %v; want an empty list", l, err)
	}
	for i := range 5 {
		create(t, d, fmt.Sprint("c", i), config{}, nil) // all in one instant
	}
	now = now.Add(-time.Hour)
	create(t, d, "clock-set-back", config{}, nil)
	start(t, d, "c2")
	for _, tt := range []struct {
		name string
		o    container.ListOptions
		want string
	}{
		{"newest first", container.ListOptions{All: true}, "c4 c3 c2 c1 c0 clock-set-back"},
		{"a limit implies all", container.ListOptions{Limit: 2}, "c4 c3"},
		{"limit and filter", container.ListOptions{Limit: 2, Filters: args("name", "c[012]$")}, "c2 c1"},
		{"before", container.ListOptions{Filters: args("before", "c2")}, "c1 c0 clock-set-back"},
		{"since", container.ListOptions{Filters: args("since", "c2")}, "c4 c3"},
		{"options that the engine does not look at", container.ListOptions{All: true, Before: "c2", Since: "c3", Latest: true}, "c4 c3 c2 c1 c0 clock-set-back"},
	} {
		got, err := listed(t, d, tt.o)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Fields(tt.want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestFindByPrefix(t *testing.T) {
	d := newEngine(t)
	count := map[string]int{}
	var ids []string
	for i := range 17 { // two of them begin with one digit
		id := create(t, d, fmt.Sprint("c", i), config{}, nil)
		ids = append(ids, id)
		count[id[:1]]++
	}
	for digit, n := range count {
		c, err := d.ContainerInspect(t.Context(), digit)
		found, listErr := listed(t, d, container.ListOptions{All: true, Filters: args("id", digit)})
		if listErr != nil {
			t.Fatal(listErr)
		}
		if n == 1 {
			if err != nil || !strings.HasPrefix(c.ID, digit) || len(found) != 1 {
				t.Errorf("one container begins with %s: %v, list %v", digit, err, found)
			}
			continue
		}
		wantErr(t, "ambiguous", err, "500", "Multiple IDs found with provided prefix: "+digit)
		if len(found) != 0 {
			t.Errorf("an ambiguous prefix lists %v", found)
		}
	}
	named := create(t, d, ids[0][:12], config{}, nil)
	if c := inspect(t, d, ids[0][:12]); c.ID != named {
		t.Errorf("a name that is the beginning of another's ID finds %q", c.ID)
	}
	if c := inspect(t, d, "/c3"); c.ID != ids[3] {
		t.Errorf("a name with its slash finds %q", c.ID)
	}
	_, err := d.ContainerInspect(t.Context(), strings.ToUpper(ids[1]))
	if class(err) != "404" {
		t.Errorf("an ID in upper case: %v", err)
	}
}

// The name that a container was created by is shown while it denotes the
// container's image.
func TestShownImage(t *testing.T) {
	d := newEngine(t)
	old := d.AddImage("moving:1")
	create(t, d, "by-name", config{Image: "moving:1"}, nil)
	create(t, d, "by-id", config{Image: old}, nil)
	create(t, d, "by-short-id", config{Image: old[7:19]}, nil)
	shown := func() map[string]string {
		l, err := d.ContainerList(t.Context(), container.ListOptions{All: true})
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]string{}
		for _, c := range l {
			m[c.Names[0]] = c.Image
			if c.ImageID != old {
				t.Errorf("%s: image ID %q", c.Names[0], c.ImageID)
			}
		}
		return m
	}
	if diff := cmp.Diff(map[string]string{"/by-name": "moving:1", "/by-id": old, "/by-short-id": old[7:19]}, shown()); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	d.MoveTag("moving:1", "app:1")
	if diff := cmp.Diff(map[string]string{"/by-name": old, "/by-id": old, "/by-short-id": old[7:19]}, shown()); diff != "" {
		t.Errorf("after the tag moved (-want +got):\n%s", diff)
	}
	d.DropImage(old)
	if diff := cmp.Diff(map[string]string{"/by-name": old, "/by-id": old, "/by-short-id": old}, shown()); diff != "" {
		t.Errorf("after the image vanished (-want +got):\n%s", diff)
	}
	if c := inspect(t, d, "by-name"); c.Image != old || c.Config.Image != "moving:1" {
		t.Errorf("inspect shows %q and %q", c.Image, c.Config.Image)
	}
	start(t, d, "by-name")
}
