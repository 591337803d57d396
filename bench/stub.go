package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/docker/docker/client"

	"github.com/dockpod/dockpod"
)

// Answers of Docker 20.10 about a container that dockpod made, with the
// kubelet's labels, two mounts and six variables.
var (
	//go:embed testdata/entry.json
	entryBody []byte
	//go:embed testdata/inspect.json
	inspectBody []byte
	//go:embed testdata/image.json
	imageBody []byte
)

const (
	capturedID = "0fd7e7a74b66d16941f0867b3e7d205942517b221da2b65c1852767cb8e235c2"
	stubOwner  = "bench"
)

func stubID(i int) string { return fmt.Sprintf("%064x", i+1) }

// listBody is the list of n containers.
func listBody(n int) []byte {
	entries := make([][]byte, n)
	for i := range entries {
		e := bytes.ReplaceAll(entryBody, []byte(capturedID), []byte(stubID(i)))
		entries[i] = bytes.Replace(e, []byte("bench_app_web"), fmt.Appendf(nil, "bench_app%d_web", i), 1)
	}
	return append(append([]byte("["), bytes.Join(entries, []byte(","))...), ']')
}

const stubVariable = "DOCKPOD_BENCH_STUB"

// stubMain is the engine's side of a stub, in a process of its own, so that
// what it allocates is not counted. It reports whether this process is one.
func stubMain() bool {
	sock, size, ok := strings.Cut(os.Getenv(stubVariable), "|")
	if !ok {
		return false
	}
	n := must(strconv.Atoi(size))
	list := listBody(n)
	var lists atomic.Int64
	l := must(net.Listen("unix", sock))
	check(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Ostype", "linux")
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/_ping":
		case r.URL.Path == "/lists":
			fmt.Fprint(w, lists.Load())
		case strings.HasSuffix(r.URL.Path, "/containers/json"):
			lists.Add(1)
			w.Write(list)
		case strings.Contains(r.URL.Path, "/containers/"):
			w.Write(inspectBody)
		case strings.Contains(r.URL.Path, "/images/"):
			w.Write(imageBody)
		default:
			http.NotFound(w, r)
		}
	})))
	return true
}

// stub is an engine that answers captured bodies.
type stub struct {
	sock string
	end  func()
}

func startStub(ctx context.Context, n int) (*stub, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	sock := filepath.Join(dir, "s")
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d", stubVariable, sock, n))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &stub{sock, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}}
	for range 500 {
		if c, err := net.Dial("unix", sock); err == nil {
			return s, c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.end()
	return nil, fmt.Errorf("the stub does not answer")
}

// lists returns how many lists the stub has given.
func (s *stub) lists(ctx context.Context) (int, error) {
	raw, err := dialRaw(s.sock)
	if err != nil {
		return 0, err
	}
	defer raw.Close()
	b, err := raw.get("/lists")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(b))
}

// connect returns dockpod's Runtime and the plain client on a socket.
func connect(ctx context.Context, sock, owner string) (*dockpod.Runtime, *client.Client, error) {
	rt, err := dockpod.Connect(ctx, "unix://"+sock, dockpod.WithOwner(owner))
	if err != nil {
		return nil, nil, err
	}
	c, err := client.NewClientWithOpts(client.WithHost("unix://"+sock), client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, nil, err
	}
	c.NegotiateAPIVersion(ctx)
	return rt, c, nil
}
