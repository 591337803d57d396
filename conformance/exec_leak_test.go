package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/fake"
	"github.com/dockpod/dockpod/internal/testengine"
)

// eachEngine runs a test on the fake and on the engine at the default
// endpoint, one after the other: what a call leaves behind can be counted then.
func eachEngine(t *testing.T, f func(t *testing.T, docker dockpod.DockerInterface)) {
	t.Run("fake", func(t *testing.T) {
		docker := &fake.Docker{}
		t.Cleanup(func() { docker.Close() })
		f(t, docker)
	})
	t.Run("engine", func(t *testing.T) { f(t, testengine.Default(t)) })
}

// inUse counts what a call may leave behind. Connections that the client keeps
// for later are closed first.
func inUse(t *testing.T, docker dockpod.DockerInterface) (goroutines, files int) {
	t.Helper()
	if c, ok := docker.(*client.Client); ok {
		c.Close() // of what is idle: it can be used again
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		files = len(fds)
	}
	return runtime.NumGoroutine(), files
}

// leavesNothing expects that no more is in use after f than before.
func leavesNothing(t *testing.T, docker dockpod.DockerInterface, f func()) {
	t.Helper()
	goroutines, files := inUse(t, docker)
	f()
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		g, n := inUse(t, docker)
		if g <= goroutines && n <= files {
			return
		}
		if time.Now().After(late) {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			t.Fatalf("in use: %d goroutines and %d descriptors, before %d and %d\n%s", g, n, goroutines, files, stacks)
		}
	}
}

func TestManyExecs(t *testing.T) {
	eachEngine(t, func(t *testing.T, docker dockpod.DockerInterface) {
		w := newWorld(t, docker)
		id := w.up(t, "sleep")
		n := 200
		var mu sync.Mutex
		counts := map[string]int{}
		count := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			counts[what]++
		}
		leavesNothing(t, docker, func() {
			for i, err := range together(n, func(i int) error {
				if i%2 == 0 {
					res, err := w.rt.ExecSync(t.Context(), id, command("print", fmt.Sprint(i)), dockpod.ExecSyncOptions{})
					if err == nil && string(res.Stdout) != fmt.Sprintln(i) {
						err = fmt.Errorf("output %q", res.Stdout)
					}
					return err
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				out := newSignal()
				go func() { <-out.said; cancel() }()
				_, err := w.rt.Exec(ctx, id, dockpod.ExecOptions{Command: command("sleep"), Stdout: out, Kill: true})
				var aborted *dockpod.ExecAbortedError
				if !errors.Is(err, context.Canceled) || !errors.As(err, &aborted) {
					return fmt.Errorf("of a cancelled one: %w", err)
				}
				switch {
				case aborted.Killed:
					count("killed")
				case aborted.Running:
					count("said to survive: " + aborted.Reason)
				default:
					count("ended")
				}
				return nil
			}) {
				if err != nil {
					t.Errorf("exec %d: %v", i, err)
				}
			}
		})
		t.Logf("of %d cancelled: %v", n/2, counts)
		if isHost(t, w) {
			survivors := len(processesOf(t, id)) - 1
			said := 0
			for what, c := range counts {
				if strings.HasPrefix(what, "said to survive") {
					said += c
				}
				if strings.Contains(what, "SIGKILL") {
					t.Errorf("%d were killed, and nobody knew: %s", c, what)
				}
			}
			if survivors > said {
				t.Errorf("%d processes survive, %d were said to", survivors, said)
			}
		}
	})
}

// A gibibyte goes through a call, or is dropped by one, in a few megabytes.
func TestHugeOutput(t *testing.T) {
	eachEngine(t, func(t *testing.T, docker dockpod.DockerInterface) {
		w := newWorld(t, docker)
		id := w.up(t, "sleep")
		var before, after runtime.MemStats
		peak := watchHeap(t)
		runtime.GC()
		runtime.ReadMemStats(&before)
		leavesNothing(t, docker, func() {
			const size = 1 << 30
			var got counter
			code, err := w.rt.Exec(t.Context(), id, dockpod.ExecOptions{Command: command("zeros", fmt.Sprint(size)), Stdout: &got})
			if err != nil || code != 0 || got != size {
				t.Errorf("code %d, %d bytes, %v", code, got, err)
			}
			res, err := w.rt.ExecSync(t.Context(), id, command("zeros", "67108864"), dockpod.ExecSyncOptions{})
			if err != nil || len(res.Stdout) != 16<<20 || !res.StdoutTruncated {
				t.Errorf("kept %d bytes, truncated %v, %v", len(res.Stdout), res.StdoutTruncated, err)
			}
		})
		runtime.ReadMemStats(&after)
		if most := peak(); most > before.HeapAlloc+128<<20 {
			t.Errorf("the heap grew from %d to %d bytes", before.HeapAlloc, most)
		}
	})
}

type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

// watchHeap looks at the heap until the result is called, which returns the
// most that was seen.
func watchHeap(t *testing.T) func() uint64 {
	stop, most := make(chan struct{}), make(chan uint64, 1)
	go func() {
		var top uint64
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			top = max(top, m.HeapAlloc)
			select {
			case <-stop:
				most <- top
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	done := sync.OnceValue(func() uint64 { close(stop); return <-most })
	t.Cleanup(func() { done() })
	return done
}

// A connection that is cut in the middle of a stream ends the call, which says
// that the process may go on.
func TestExecCut(t *testing.T) {
	direct := testengine.Default(t)
	path, ok := strings.CutPrefix(direct.DaemonHost(), "unix://")
	if !ok {
		t.Skip("the engine is not at a socket of this machine")
	}
	w := newWorld(t, direct)
	id := w.up(t, "sleep")
	p := newProxy(t, path)
	docker := testengine.At(t, "unix://"+p.socket)
	rt := dockpod.New(docker, dockpod.WithOwner(w.owner), dockpod.WithRequestTimeout(time.Minute))
	for name, run := range map[string]func(out io.Writer) error{
		"exec": func(out io.Writer) error {
			_, err := rt.Exec(t.Context(), id, dockpod.ExecOptions{Command: command("sleep"), Stdout: out, Stdin: newEndless(t), Kill: true})
			return err
		},
		"attach": func(out io.Writer) error {
			return rt.Attach(t.Context(), id, dockpod.AttachOptions{Stdout: out, Logs: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			p.serve(t)
			leavesNothing(t, docker, func() {
				out := newSignal()
				go func() { <-out.said; p.cut() }()
				err := run(out)
				var aborted *dockpod.ExecAbortedError
				if name == "exec" && (!errors.As(err, &aborted) || !aborted.Running) {
					t.Errorf("error is %v; want that the process may run", err)
				}
			})
		})
	}
}

// proxy stands before an engine's socket.
type proxy struct {
	socket, engine string

	mu    sync.Mutex
	l     net.Listener
	conns []net.Conn
}

func newProxy(t *testing.T, engine string) *proxy {
	p := &proxy{socket: filepath.Join(t.TempDir(), "p.sock"), engine: engine}
	p.serve(t)
	t.Cleanup(p.cut)
	return p
}

// serve lets connections through.
func (p *proxy) serve(t *testing.T) {
	p.cut()
	l, err := net.Listen("unix", p.socket)
	must(t, err)
	p.mu.Lock()
	p.l = l
	p.mu.Unlock()
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("unix", p.engine)
			if err != nil {
				a.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, a, b)
			p.mu.Unlock()
			for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
				go func() {
					_, _ = io.Copy(way[0], way[1])
					_ = way[0].(*net.UnixConn).CloseWrite()
				}()
			}
		}
	}()
}

// cut ends all connections and takes no more.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.l != nil {
		p.l.Close()
		p.l = nil
	}
	for _, c := range slices.Clone(p.conns) {
		c.Close()
	}
	p.conns = nil
}
