package dockpod

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
)

func TestGetsStuck(t *testing.T) {
	for _, tt := range []struct {
		driver, compress, api string
		want                  bool
	}{
		{"json-file", "", "1.41", false},
		{"json-file", "true", "1.41", true},
		{"json-file", "true", "1.42", false},
		{"local", "", "1.41", true},
		{"local", "false", "1.41", false},
		{"local", "", "1.51", false},
		{"journald", "true", "1.41", false},
	} {
		info := container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{HostConfig: &container.HostConfig{
			LogConfig: container.LogConfig{Type: tt.driver, Config: map[string]string{"compress": tt.compress}},
		}}}
		if got := getsStuck(info, tt.api); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
	if getsStuck(container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{}}, "1.41") {
		t.Error("without a configuration")
	}
}

// A stream is ended if it stays behind, and not if it is late, or silent.
func TestFollowWatch(t *testing.T) {
	for _, tt := range []struct {
		name string
		last func(seconds int) (newest int, err error) // of the log
		hear func(seconds int) (newest int)            // of the stream; 0: nothing comes
		want int                                       // the second of the cut; 0: none
	}{
		{"silent", func(int) (int, error) { return 1, nil }, func(s int) int { return map[int]int{0: 1}[s] }, 0},
		{"stuck", func(s int) (int, error) { return s, nil }, func(s int) int { return map[int]int{0: 1, 1: 2, 2: 3}[s] }, 6},
		{"late", func(s int) (int, error) { return s + 2, nil }, func(s int) int { return s + 1 }, 0},
		{"empty", func(int) (int, error) { return 0, nil }, func(int) int { return 0 }, 0},
		{"an engine that fails", func(int) (int, error) { return 9, errors.New("away") }, func(s int) int { return map[int]int{0: 1}[s] }, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			begun := time.Now()
			at := func(s int) time.Time { return logEpoch.Add(time.Duration(s) * time.Second) }
			now := func() int { return int(time.Since(begun).Seconds()) }
			var w followWatch
			heard := make(chan struct{})
			go func() {
				defer close(heard)
				for ctx.Err() == nil {
					if s := tt.hear(now()); s > 0 {
						l := fullLine(at(s), "x")
						w.saw(&l)
					}
					time.Sleep(time.Second)
				}
			}()
			cut := 0
			w.run(ctx, func(context.Context) (time.Time, error) {
				s, err := tt.last(now())
				if s == 0 {
					return time.Time{}, err
				}
				return at(s), err
			}, func() { cut = now() })
			if (cut > 0) != (tt.want > 0) || cut > tt.want {
				t.Errorf("%s: cut after %d s, want %d", tt.name, cut, tt.want)
			}
			cancel()
			<-heard
		})
	}
}
