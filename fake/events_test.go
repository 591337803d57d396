package fake_test

import (
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"github.com/dockpod/dockpod/fake"
)

// No two events have one time, even if the clock stands still.
func TestEventTimes(t *testing.T) {
	at := time.Now()
	d := &fake.Docker{Now: func() time.Time { return at }}
	defer d.Close()
	d.AddImage("app:1")
	made, err := d.ContainerCreate(t.Context(), &container.Config{Image: "app:1"}, nil, nil, nil, "app")
	if err == nil {
		err = d.ContainerStart(t.Context(), made.ID, container.StartOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	d.Exit(made.ID, 0)
	if err := d.ContainerRemove(t.Context(), made.ID, container.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	messages, errs := d.Events(t.Context(), events.ListOptions{Since: "1"})
	var last int64
	for range 4 { // create, start, die and destroy
		select {
		case m := <-messages:
			if m.TimeNano <= last {
				t.Errorf("%s has the time %d; the one before it has %d", m.Action, m.TimeNano, last)
			}
			last = m.TimeNano
		case err := <-errs:
			t.Fatal(err)
		}
	}
}
