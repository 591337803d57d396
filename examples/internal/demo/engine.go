// Package demo holds what the examples share: the choice of an engine, and an
// image that needs no registry. An agent of your own has neither.
package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/client"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
)

// Engine is what an example works on.
type Engine struct {
	Docker dockpod.DockerInterface
	Fake   *fake.Docker // the same, if it is the fake; else nil
	Name   string       // for people
	close  func() error
}

// Close lets go of the engine; the fake ends with all that it holds.
func (e *Engine) Close() error { return e.close() }

// Main runs an example on the engine that -engine names, and ends the process
// if it fails. ctx ends on Ctrl-C.
func Main(about string, run func(ctx context.Context, e *Engine) error) {
	endpoint := flag.String("engine", "", "`endpoint` of the engine, for example unix:///run/docker.sock or fake://;\n"+
		"without it the one that the docker command would use, or the fake if that does not answer")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "%s\n\nFlags:\n", about)
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "unexpected argument %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := func() error {
		e, err := Open(ctx, *endpoint)
		if err != nil {
			return err
		}
		fmt.Printf("Engine: %s\n", e.Name)
		return errors.Join(run(ctx, e), e.Close())
	}()
	stop()
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "interrupted:", err)
		os.Exit(130) // as a shell has it for SIGINT
	case err != nil:
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// Open connects to an endpoint. Without one it takes the engine that the
// docker command would talk to, if it answers soon, and else the fake.
func Open(ctx context.Context, endpoint string) (*Engine, error) {
	if strings.HasPrefix(endpoint, "fake://") {
		return openFake("the fake, in memory"), nil
	}
	e, err := openDocker(ctx, endpoint)
	if err == nil || endpoint != "" || ctx.Err() != nil {
		return e, err
	}
	var why *dockpod.Error
	if errors.As(err, &why) {
		err = why.Err
	}
	return openFake(fmt.Sprintf("the fake, in memory; no Docker here (%v)", err)), nil
}

func openFake(name string) *Engine {
	d := new(fake.Docker)
	return &Engine{Docker: d, Fake: d, Name: name, close: d.Close}
}

// openDocker makes the client by itself, where others call dockpod.Connect:
// the examples also load an image, which is not dockpod's business.
func openDocker(ctx context.Context, endpoint string) (*Engine, error) {
	opts := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if endpoint != "" {
		opts = append(opts, client.WithHost(endpoint))
	}
	docker, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, err
	}
	rt := dockpod.New(docker)
	// Where there is no engine it is known at once; a busy one takes its time.
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := rt.Ready(ctx); err != nil {
		docker.Close()
		return nil, err
	}
	v, err := rt.Version(ctx)
	if err != nil {
		docker.Close()
		return nil, err
	}
	name := "Docker " + v.Engine
	if podman := v.Components["Podman Engine"]; podman != "" {
		name = "Podman " + podman
	}
	return &Engine{Docker: docker, Name: name + " at " + docker.DaemonHost(), close: docker.Close}, nil
}
