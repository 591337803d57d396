package fake_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/dockpod/dockpod/fake"
	"github.com/google/go-cmp/cmp"
)

func TestProcessSees(t *testing.T) {
	d := newEngine(t)
	loadBox(t, d)
	type view struct {
		ID                  string
		Args, Env           []string
		Dir, User, Hostname string
		A, Missing          string
	}
	seen := make(chan view, 1)
	d.HandleFunc("/bin/box", func(p *fake.Process) int {
		seen <- view{p.ContainerID, p.Args, p.Env, p.Dir, p.User, p.Hostname, p.Getenv("A"), p.Getenv("MISSING")}
		return 0
	})
	for _, tt := range []struct {
		name string
		cfg  config
		want view
	}{
		{"the image's", config{}, view{
			Args: []string{"/bin/box", "serve"}, Env: []string{"PATH=/bin", "HOSTNAME=HOST", "A=1", "HOME=/root"}, Dir: "/", Hostname: "HOST", A: "1",
		}},
		{"its own", config{Cmd: []string{"x", "y"}, User: "alice", WorkingDir: "/w", Hostname: "hh", Env: []string{"Z=1", "A=5", "A=6", "HOME", "NOEQ", "E="}}, view{
			Args: []string{"/bin/box", "x", "y"}, Env: []string{"PATH=/bin", "HOSTNAME=hh", "Z=1", "A=6", "E=", "HOME=/home/alice"}, Dir: "/w", User: "alice", Hostname: "hh", A: "6",
		}},
		{"found through PATH, on a terminal", config{Entrypoint: []string{"box"}, Tty: true, User: "1000:1000"}, view{
			Args: []string{"box"}, Env: []string{"PATH=/bin", "HOSTNAME=HOST", "TERM=xterm", "A=1", "HOME=/home/alice"}, Dir: "/", User: "1000:1000", Hostname: "HOST", A: "1",
		}},
		{"found from the working directory", config{Entrypoint: []string{"./box"}, WorkingDir: "/bin/"}, view{
			Args: []string{"./box"}, Env: []string{"PATH=/bin", "HOSTNAME=HOST", "A=1", "HOME=/root"}, Dir: "/bin", Hostname: "HOST", A: "1",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Image = "box:1"
			id := create(t, d, "", tt.cfg, nil)
			start(t, d, id)
			tt.want.ID = id
			tt.want.Hostname = strings.Replace(tt.want.Hostname, "HOST", id[:12], 1)
			for i, e := range tt.want.Env {
				tt.want.Env[i] = strings.Replace(e, "=HOST", "="+id[:12], 1)
			}
			if diff := cmp.Diff(tt.want, <-seen); diff != "" {
				t.Errorf("process (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProcessEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newEngine(t)
		killed := make(chan error, 1)
		d.HandleFunc("/bin/main", func(p *fake.Process) int {
			<-p.Done()
			_, err := fmt.Fprintln(p.Stdout, "too late")
			if p.Context().Err() == nil {
				t.Error("the process's context goes on")
			}
			killed <- err
			return 5
		})
		id := run(t, d, "p1", nil)
		if err := d.ContainerKill(t.Context(), id, "KILL"); err != nil {
			t.Fatal(err)
		}
		if err := <-killed; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("what is killed writes: %v", err)
		}
		if c := inspect(t, d, id); c.State.ExitCode != 137 {
			t.Errorf("the code of what is killed: %+v", c.State)
		}
		if out, _ := readLogs(t, d, id, container.LogsOptions{ShowStdout: true}); out != "" {
			t.Errorf("log %q", out)
		}

		// Exit decides the code, even if the program returns another.
		start(t, d, id)
		d.Exit(id, 9)
		<-killed
		synctest.Wait()
		if c := inspect(t, d, id); c.State.ExitCode != 9 {
			t.Errorf("after Exit: %+v", c.State)
		}

		d.HandleFunc("/large", func(*fake.Process) int { return 256 + 7 })
		if code := waitExit(t, d, run(t, d, "p2", nil, "/large")); code != 7 {
			t.Errorf("an exit code has eight bits: %d", code)
		}
	})
}

func TestProcessPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newEngine(t)
		d.HandleFunc("/bin/main", func(p *fake.Process) int {
			for i := 0; ; i++ {
				if _, err := fmt.Fprintln(p.Stdout, i); err != nil {
					return 0
				}
				select {
				case <-time.After(time.Second):
				case <-p.Done():
					return 0
				}
			}
		})
		id := run(t, d, "p1", nil)
		time.Sleep(1500 * time.Millisecond)
		if err := d.ContainerPause(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		lines := func() int {
			out, _ := readLogs(t, d, id, container.LogsOptions{ShowStdout: true})
			return strings.Count(out, "\n")
		}
		before := lines()
		time.Sleep(time.Minute)
		if got := lines(); got != before {
			t.Errorf("while it was paused it wrote %d lines", got-before)
		}
		if err := d.ContainerUnpause(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if got := lines(); got < before+3 {
			t.Errorf("after it was thawed it wrote %d lines", got-before)
		}
		if err := d.ContainerPause(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // it hangs in a write now
		if err := d.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
	})
}

// Two containers of a pod talk over its localhost; others do not reach it.
func TestLoopback(t *testing.T) {
	d := newEngine(t)
	pod := run(t, d, "pod", nil, "/pause")
	d.HandleFunc("/server", func(p *fake.Process) int {
		l, err := p.Listen(8080)
		if err != nil {
			fmt.Fprintln(p.Stderr, err)
			return 1
		}
		fmt.Fprintln(p.Stdout, "listening on", l.Addr())
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "hello %s", b)
		})}
		if err := srv.Serve(l); !errors.Is(err, net.ErrClosed) {
			fmt.Fprintln(p.Stderr, err)
		}
		return 0
	})
	d.HandleFunc("/client", func(p *fake.Process) int {
		c := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return p.Dial(8080) }}}
		for range 3 { // over one connection
			r, err := c.Post("http://localhost:8080/", "text/plain", strings.NewReader(p.Args[1]))
			if err != nil {
				if errors.Is(err, syscall.ECONNREFUSED) {
					return 111
				}
				fmt.Fprintln(p.Stderr, err)
				return 1
			}
			if _, err := io.Copy(p.Stdout, r.Body); err != nil {
				return 2
			}
			r.Body.Close()
		}
		return 0
	})
	join := &host{NetworkMode: container.NetworkMode("container:" + pod)}
	server := run(t, d, "server", join, "/server")
	r, err := d.ContainerLogs(t.Context(), server, container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 8+len("listening on 127.0.0.1:8080\n"))
	if _, err := io.ReadFull(r, first); err != nil || string(first[8:]) != "listening on 127.0.0.1:8080\n" {
		t.Fatalf("%q, %v", first, err)
	}
	r.Close()

	client := run(t, d, "client", join, "/client", "you")
	if code := waitExit(t, d, client); code != 0 {
		t.Errorf("client: exit code %d", code)
	}
	if out, errout := readLogs(t, d, client, container.LogsOptions{ShowStdout: true, ShowStderr: true}); out != "hello youhello youhello you" {
		t.Errorf("client: %q %q", out, errout)
	}
	if code := waitExit(t, d, run(t, d, "second", join, "/server")); code != 1 {
		t.Errorf("a port that is taken: exit code %d", code)
	}
	if code := waitExit(t, d, run(t, d, "stranger", nil, "/client", "me")); code != 111 {
		t.Errorf("another network: exit code %d, want a refused connection", code)
	}
	d.Exit(server, 0)
	if code := waitExit(t, d, run(t, d, "late", join, "/client", "me")); code != 111 {
		t.Errorf("after the server's end: exit code %d, want a refused connection", code)
	}
}

func TestListenAnyPort(t *testing.T) {
	d := newEngine(t)
	ports := make(chan string, 2)
	d.HandleFunc("/bin/main", func(p *fake.Process) int {
		for range 2 {
			l, err := p.Listen(0)
			if err != nil {
				return 1
			}
			ports <- l.Addr().String()
		}
		_, err := p.Listen(70000)
		if err == nil {
			return 2
		}
		return 0
	})
	if code := waitExit(t, d, run(t, d, "p1", nil)); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if a, b := <-ports, <-ports; a == b || !strings.HasPrefix(a, "127.0.0.1:") {
		t.Errorf("addresses %q and %q", a, b)
	}
}

func TestExecPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newEngine(t)
		d.HandleFunc("/late", func(p *fake.Process) int {
			time.Sleep(time.Second)
			fmt.Fprint(p.Stdout, "written")
			return 0
		})
		id := run(t, d, "c1", nil)
		x, err := d.ContainerExecCreate(t.Context(), id, container.ExecOptions{Cmd: []string{"/late"}, AttachStdout: true})
		if err != nil {
			t.Fatal(err)
		}
		h, err := d.ContainerExecAttach(t.Context(), x.ID, container.ExecAttachOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.ContainerPause(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		time.AfterFunc(time.Minute, func() { _ = d.ContainerUnpause(context.Background(), id) })
		if out, _ := demux(t, readHijacked(t, h)); out != "written" || time.Since(begin) != time.Minute {
			t.Errorf("%q after %v, want it when the container is thawed", out, time.Since(begin))
		}
	})
}
