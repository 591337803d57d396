// Package testengine gives tests the engines that they run on: the one at the
// default endpoint, and those that the environment variable DOCKPOD_ENGINES
// lists, separated by commas. Where the default one does not answer a test is
// skipped, and says so; DOCKPOD_REQUIRE_ENGINE=1 makes that an error. One that
// is listed has to answer.
package testengine

import (
	"cmp"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"
)

// answerTime is how long an engine may take to say that it is there.
const answerTime = 30 * time.Second

// Engine is a client of an engine that has answered.
type Engine struct {
	*client.Client
	Required bool // what cannot be tested on it is an error, not skipped
}

// Each runs f on each engine, as a subtest.
func Each(t *testing.T, f func(t *testing.T, e Engine)) {
	hosts := []string{""}
	if list := os.Getenv("DOCKPOD_ENGINES"); list != "" {
		hosts = append(hosts, strings.Split(list, ",")...)
	}
	for _, host := range hosts {
		t.Run(cmp.Or(host, "default"), func(t *testing.T) {
			if host == "" {
				f(t, Engine{Default(t), required()})
			} else {
				f(t, Engine{At(t, host), false})
			}
		})
	}
}

// Default returns a client of the engine at the default endpoint, which the
// test closes.
func Default(t *testing.T) *client.Client {
	t.Helper()
	docker, err := dial(t, client.FromEnv)
	switch {
	case err != nil && required():
		t.Fatalf("no engine: %v", err)
	case err != nil:
		t.Skipf("NOT run, for there is no engine: %v", err)
	}
	return docker
}

// At is Default for an endpoint where an engine has to answer.
func At(t *testing.T, host string) *client.Client {
	t.Helper()
	docker, err := dial(t, client.FromEnv, client.WithHost(host))
	if err != nil {
		t.Fatalf("no engine at %s: %v", host, err)
	}
	return docker
}

func dial(t *testing.T, opts ...client.Opt) (*client.Client, error) {
	t.Helper()
	docker, err := client.NewClientWithOpts(append(opts, client.WithAPIVersionNegotiation())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docker.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), answerTime)
	defer cancel()
	_, err = docker.ServerVersion(ctx) // a ping is answered by a proxy too
	return docker, err
}

func required() bool { return os.Getenv("DOCKPOD_REQUIRE_ENGINE") == "1" }
