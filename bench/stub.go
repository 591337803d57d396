package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
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

const capturedID = "0fd7e7a74b66d16941f0867b3e7d205942517b221da2b65c1852767cb8e235c2"

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
func stubMain() (isStub bool, err error) {
	sock, size, ok := strings.Cut(os.Getenv(stubVariable), "|")
	if !ok {
		return false, nil
	}
	n, err := strconv.Atoi(size)
	if err != nil {
		return true, err
	}
	l, err := net.Listen("unix", sock)
	if err != nil {
		return true, err
	}
	return true, http.Serve(l, stubHandler(listBody(n)))
}

// stubHandler answers captured bodies, and counts the lists.
func stubHandler(list []byte) http.HandlerFunc {
	var lists atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
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
	}
}

// stub is an engine that answers captured bodies.
type stub struct{ *clients }

// onStub measures with an engine that lists n containers.
func onStub(ctx context.Context, n int, measure func(stub) error) (err error) {
	sock, end, err := startStub(ctx, n)
	if err != nil {
		return err
	}
	defer end()
	c, err := dialAll(ctx, sock)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return measure(stub{c})
}

func startStub(ctx context.Context, n int) (sock string, end func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return "", nil, err
	}
	sock = filepath.Join(dir, "s")
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d", stubVariable, sock, n))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	end = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
		_ = os.RemoveAll(dir)
	}
	for range 500 {
		if c, err := net.Dial("unix", sock); err == nil {
			return sock, end, c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	end()
	return "", nil, errors.New("the stub does not answer")
}

// lists returns how many lists the stub has given.
func (s stub) lists() (int, error) {
	b, err := s.raw.get("/lists")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(b))
}
