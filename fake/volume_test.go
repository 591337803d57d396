package fake_test

import (
	"testing"

	"github.com/docker/docker/api/types/container"
)

func TestVolumesOfRemovedContainers(t *testing.T) {
	d := newEngine(t)
	one := create(t, d, "one", config{Volumes: map[string]struct{}{"/data": {}}}, &host{Binds: []string{"named:/named"}})
	anonymous := ""
	for _, m := range inspect(t, d, one).Mounts {
		if m.Destination == "/data" {
			anonymous = m.Name
		}
	}
	two := create(t, d, "two", config{}, &host{VolumesFrom: []string{one}})
	three := create(t, d, "three", config{}, &host{VolumesFrom: []string{two}})
	exists := func(when, name, class, text string) {
		t.Helper()
		_, err := d.VolumeInspect(t.Context(), name)
		wantErr(t, when, err, class, text)
	}
	for _, step := range []struct {
		when, remove string
		volumes      bool
		class, text  string
	}{
		{"others have it", one, true, "nil", ""},
		{"it is to stay", two, false, "nil", ""},
		{"the last is gone", three, true, "404", "get " + anonymous + ": no such volume"},
	} {
		if err := d.ContainerRemove(t.Context(), step.remove, container.RemoveOptions{RemoveVolumes: step.volumes}); err != nil {
			t.Fatal(err)
		}
		exists(step.when, anonymous, step.class, step.text)
		exists(step.when, "named", "nil", "")
	}
}
