package dockpod

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"

	"github.com/dockpod/dockpod/internal/pause"
)

// badEngine speaks as much of Docker's API as a Runtime asks for, on a unix
// socket, and turns bad when it is told to.
type badEngine struct {
	socket   string
	server   *http.Server
	mux      *http.ServeMux
	api      string // API version of the ping; empty: not told
	listener *badListener

	mu       sync.Mutex
	client   string // the name of the one that is heeded; empty: all
	state    badState
	requests []string // routes, but for pings
	fault    badFault
	from, to int // the requests that meet the fault
}

// badState is what an engine holds; it is copied through JSON.
type badState struct {
	Containers []container.InspectResponse // newest first
	Images     []image.InspectResponse
}

// badFault answers instead of the engine. good returns the engine's own
// answer; what was asked for has happened then.
type badFault func(w http.ResponseWriter, r *http.Request, good func() *httptest.ResponseRecorder)

const always = 1 << 30

// badListener counts the connections that the other side has not closed.
type badListener struct {
	net.Listener
	mu    sync.Mutex
	open  int
	quiet chan struct{} // gets a value when the last one is closed
}

func (l *badListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.open++
	l.mu.Unlock()
	return &badConn{Conn: c, closed: sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.open--; l.open == 0 {
			select {
			case l.quiet <- struct{}{}:
			default:
			}
		}
	})}, nil
}

// isQuiet waits until no connection is open.
func (l *badListener) isQuiet(patience time.Duration) bool {
	for late := time.After(patience); ; {
		l.mu.Lock()
		open := l.open
		l.mu.Unlock()
		if open == 0 {
			return true
		}
		select {
		case <-l.quiet:
		case <-late:
			return false
		}
	}
}

type badConn struct {
	net.Conn
	closed func()
}

func (c *badConn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}

// badSocket returns a listener on a new unix socket.
func badSocket(t *testing.T, dir string) *badListener {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("NOT exercised on Windows: the Docker client has no unix sockets there")
	}
	f, err := os.CreateTemp(dir, "*.sock")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	os.Remove(f.Name())
	l, err := net.Listen("unix", f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return &badListener{Listener: l, quiet: make(chan struct{}, 1)}
}

// newBadEngine returns a good engine that holds state.
func newBadEngine(t *testing.T, dir string, state badState) *badEngine {
	t.Helper()
	l := badSocket(t, dir)
	e := newBadHandler(state)
	e.listener, e.socket = l, l.Addr().String()
	e.server = &http.Server{Handler: e, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go e.server.Serve(l)
	t.Cleanup(func() { e.server.Close() })
	return e
}

func newBadHandler(state badState) *badEngine {
	e := &badEngine{api: "1.43", state: state, mux: http.NewServeMux()}
	for pattern, h := range map[string]func(*http.Request) (int, any){
		"GET /_ping":                   e.ping,
		"GET /version":                 e.version,
		"GET /info":                    e.info,
		"GET /containers/json":         e.list,
		"POST /containers/create":      e.create,
		"GET /containers/{id}/json":    e.onContainer(e.inspect),
		"GET /containers/{id}/stats":   e.onContainer(e.stats),
		"POST /containers/{id}/start":  e.onContainer(e.start),
		"POST /containers/{id}/stop":   e.onContainer(e.stop),
		"POST /containers/{id}/kill":   e.onContainer(e.stop),
		"POST /containers/{id}/wait":   e.onContainer(e.wait),
		"POST /containers/{id}/update": e.onContainer(e.update),
		"POST /containers/{id}/attach": e.onContainer(e.upgrade),
		"POST /containers/{id}/resize": e.onContainer(e.resize),
		"POST /containers/{id}/exec":   e.onContainer(e.exec),
		"POST /exec/{id}/start":        func(*http.Request) (int, any) { return e.upgrade(nil) },
		"GET /exec/{id}/json":          e.execInspect,
		"GET /containers/{id}/logs":    e.onContainer(e.logs),
		"DELETE /containers/{id}":      e.onContainer(e.remove),
		"GET /system/df":               e.diskUsage,
		"GET /images/json":             e.images,
		"GET /images/{ref...}":         e.onImage(e.imageGet),
		"DELETE /images/{ref...}":      e.onImage(e.imageRemove),
		"POST /images/create":          e.imagePull,
		"POST /images/load":            e.imageLoad,
	} {
		e.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			e.mu.Lock()
			status, body := h(r)
			if text, ok := body.(string); ok && status >= 400 {
				body = types.ErrorResponse{Message: text}
			}
			text, raw := body.([]byte)
			var err error
			if !raw {
				text, err = json.Marshal(body)
			}
			e.mu.Unlock()
			if err != nil {
				panic(err)
			}
			if e.api != "" {
				w.Header().Set("Api-Version", e.api)
			}
			w.Header().Set("Content-Type", "application/json")
			if status == http.StatusSwitchingProtocols {
				w.Header().Set("Connection", "close") // an empty stream
			}
			w.WriteHeader(status)
			if body != nil {
				w.Write(text)
			}
		})
	}
	return e
}

var badVersionPrefix = regexp.MustCompile(`^/v[0-9.]+/`)

func (e *badEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// All of it: only then does the server notice that the client has gone.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.URL.Path = badVersionPrefix.ReplaceAllString(r.URL.Path, "/")
	_, route := e.mux.Handler(r)
	if route == "GET /_ping" {
		e.mux.ServeHTTP(w, r)
		return
	}
	e.mu.Lock()
	if e.client != "" && e.client != r.Header.Get(badClientHeader) {
		e.mu.Unlock()
		return // of a call that is over: it had been cancelled while it dialled
	}
	n := len(e.requests)
	e.requests = append(e.requests, route)
	fault := e.fault
	bad := fault != nil && e.from <= n && n < e.to
	e.mu.Unlock()
	if !bad {
		e.mux.ServeHTTP(w, r)
		return
	}
	fault(w, r, func() *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		e.mux.ServeHTTP(rec, r)
		return rec
	})
}

// reset makes the engine a good one with another state. Nobody is connected.
func (e *badEngine) reset(state badState) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state, e.requests, e.fault = state, nil, nil
}

func (e *badEngine) turnsBad(from, to int, fault badFault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.from, e.to, e.fault = from, to, fault
}

// asked returns the routes of the requests so far.
func (e *badEngine) asked() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.requests)
}

// names lists the containers.
func (e *badEngine) names() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var names []string
	for _, c := range e.state.Containers {
		names = append(names, strings.TrimPrefix(c.Name, "/"))
	}
	slices.Sort(names)
	return names
}

// runtime returns a Runtime on the engine, and what closes its client. The
// engine heeds no other client from then on.
func (e *badEngine) runtime(t *testing.T, opts ...Option) (*Runtime, func() error) {
	t.Helper()
	e.mu.Lock()
	e.client = rand.Text()
	e.mu.Unlock()
	return badRuntime(t, e.socket, e.client, opts...)
}

const badClientHeader = "Dockpod-Test-Client"

func badRuntime(t *testing.T, socket, name string, opts ...Option) (*Runtime, func() error) {
	t.Helper()
	c, err := client.NewClientWithOpts(client.WithHost("unix://"+socket), client.WithVersion("1.43"),
		client.WithHTTPHeaders(map[string]string{badClientHeader: name}))
	if err != nil {
		t.Fatal(err)
	}
	return New(c, opts...), c.Close
}

func (e *badEngine) ping(*http.Request) (int, any) { return 200, "OK" }

func (e *badEngine) version(*http.Request) (int, any) {
	return 200, types.Version{
		Version: "28.5.2", APIVersion: e.api, MinAPIVersion: "1.24", Os: "linux", Arch: "amd64",
		Components: []types.ComponentVersion{{Name: "Engine", Version: "28.5.2"}},
	}
}

func (e *badEngine) info(*http.Request) (int, any) {
	return 200, map[string]any{
		"ID": "engine-1", "OSType": "linux", "Architecture": "x86_64", "CgroupDriver": "cgroupfs", "MemoryLimit": true, "SwapLimit": true,
		"Runtimes": map[string]any{"runc": map[string]any{}},
	}
}

func (e *badEngine) list(*http.Request) (int, any) {
	list := []container.Summary{}
	for _, c := range e.state.Containers {
		created, _ := time.Parse(time.RFC3339Nano, c.Created)
		list = append(list, container.Summary{
			ID: c.ID, Names: []string{c.Name}, Image: c.Config.Image, ImageID: c.Image,
			Created: created.Unix(), Labels: c.Config.Labels, State: c.State.Status,
		})
	}
	return 200, list
}

func (e *badEngine) create(r *http.Request) (int, any) {
	var req container.CreateRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		return 400, err.Error()
	}
	name := "/" + r.URL.Query().Get("name")
	if c := e.find(name); c != nil {
		return 409, fmt.Sprintf("Conflict. The container name %q is already in use by container %q.", name, c.ID)
	}
	id := fmt.Sprintf("%064x", len(e.state.Containers)+1)
	e.state.Containers = slices.Insert(e.state.Containers, 0, container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: id, Name: name, Image: req.Config.Image, Created: "2026-01-02T03:04:05.000000006Z",
			State: &container.State{Status: "created", StartedAt: "0001-01-01T00:00:00Z", FinishedAt: "0001-01-01T00:00:00Z"}, HostConfig: req.HostConfig,
		},
		Config: req.Config,
	})
	return 201, container.CreateResponse{ID: id, Warnings: []string{}}
}

func (e *badEngine) find(idOrName string) *container.InspectResponse {
	for i, c := range e.state.Containers {
		if c.ID == idOrName || c.Name == idOrName || c.Name == "/"+idOrName {
			return &e.state.Containers[i]
		}
	}
	return nil
}

func (e *badEngine) onContainer(h func(*container.InspectResponse) (int, any)) func(*http.Request) (int, any) {
	return func(r *http.Request) (int, any) {
		c := e.find(r.PathValue("id"))
		if c == nil {
			return 404, "No such container: " + r.PathValue("id")
		}
		return h(c)
	}
}

func (e *badEngine) inspect(c *container.InspectResponse) (int, any) {
	size := int64(100)
	sized := *c
	base := *c.ContainerJSONBase
	sized.ContainerJSONBase, base.SizeRw, base.SizeRootFs = &base, &size, &size
	return 200, sized
}

func (e *badEngine) stats(*container.InspectResponse) (int, any) {
	return 200, container.StatsResponse{Read: time.Now(), CPUStats: container.CPUStats{OnlineCPUs: 2}}
}

func (e *badEngine) start(c *container.InspectResponse) (int, any) {
	c.State.Status, c.State.Running, c.State.Pid, c.State.StartedAt = "running", true, 4711, "2026-01-02T03:04:06Z"
	return 204, nil
}

func (e *badEngine) stop(c *container.InspectResponse) (int, any) {
	c.State.Status, c.State.Running, c.State.Pid, c.State.FinishedAt = "exited", false, 0, "2026-01-02T03:04:07Z"
	return 204, nil
}

func (e *badEngine) wait(c *container.InspectResponse) (int, any) {
	e.stop(c)
	return 200, container.WaitResponse{}
}

func (e *badEngine) update(*container.InspectResponse) (int, any) {
	return 200, container.UpdateResponse{Warnings: []string{}}
}

func (e *badEngine) upgrade(*container.InspectResponse) (int, any) {
	return http.StatusSwitchingProtocols, nil
}

func (e *badEngine) resize(*container.InspectResponse) (int, any) { return 200, nil }

func (e *badEngine) exec(c *container.InspectResponse) (int, any) {
	return 201, container.ExecCreateResponse{ID: "exec-of-" + c.ID}
}

func (e *badEngine) execInspect(*http.Request) (int, any) {
	return 200, container.ExecInspect{ExitCode: 3, Pid: 4712}
}

// logs is one line, in a frame unless the container has a terminal.
func (e *badEngine) logs(c *container.InspectResponse) (int, any) {
	line := "2026-01-02T03:04:05.000000006Z " + badLine + "\n"
	if c.Config.Tty {
		return 200, []byte(line)
	}
	return 200, append([]byte{1, 0, 0, 0, 0, 0, 0, byte(len(line))}, line...)
}

var badLine = strings.Repeat("x", 100)

func (e *badEngine) remove(c *container.InspectResponse) (int, any) {
	e.state.Containers = slices.DeleteFunc(e.state.Containers, func(o container.InspectResponse) bool { return o.ID == c.ID })
	return 204, nil
}

func (e *badEngine) diskUsage(*http.Request) (int, any) {
	return 200, types.DiskUsage{LayersSize: 1000}
}

func (e *badEngine) images(*http.Request) (int, any) {
	list := []image.Summary{}
	for _, i := range e.state.Images {
		list = append(list, image.Summary{ID: i.ID, RepoTags: i.RepoTags})
	}
	return 200, list
}

func (e *badEngine) onImage(h func(what string, i int) (int, any)) func(*http.Request) (int, any) {
	return func(r *http.Request) (int, any) {
		ref, what := r.PathValue("ref"), ""
		for _, w := range []string{"/json", "/history"} {
			if s, ok := strings.CutSuffix(ref, w); ok {
				ref, what = s, w
			}
		}
		for i, img := range e.state.Images {
			if img.ID == ref || slices.Contains(img.RepoTags, ref) {
				if what == "" {
					what = ref
				}
				return h(what, i)
			}
		}
		return 404, "No such image: " + ref
	}
}

func (e *badEngine) imageGet(what string, i int) (int, any) {
	if what == "/history" {
		return 200, []image.HistoryResponseItem{{ID: e.state.Images[i].ID, CreatedBy: "COPY"}}
	}
	return 200, e.state.Images[i]
}

func (e *badEngine) imageRemove(ref string, i int) (int, any) {
	img := &e.state.Images[i]
	img.RepoTags = slices.DeleteFunc(img.RepoTags, func(s string) bool { return s == ref })
	if len(img.RepoTags) == 0 {
		e.state.Images = slices.Delete(e.state.Images, i, i+1)
	}
	return 200, []image.DeleteResponse{{Untagged: ref}}
}

func (e *badEngine) imagePull(r *http.Request) (int, any) {
	q := r.URL.Query()
	name := strings.TrimPrefix(q.Get("fromImage"), "docker.io/library/")
	e.state.Images = append(e.state.Images, badImage(nil, "f", name+":"+q.Get("tag")))
	return 200, map[string]string{"status": "Pull complete"}
}

func (e *badEngine) imageLoad(*http.Request) (int, any) {
	_, ref, err := pause.Archive("amd64")
	if err != nil {
		return 500, err.Error()
	}
	e.state.Images = append(e.state.Images, badImage(map[string]string{pause.Label: pause.Digest("amd64")}, "e", ref))
	return 200, map[string]string{"stream": "Loaded image: " + ref}
}

// badImage returns an image through JSON: the type of its Config is not one of
// this module's dependencies.
func badImage(labels map[string]string, digit string, tags ...string) image.InspectResponse {
	text, err := json.Marshal(map[string]any{
		"Id": "sha256:" + strings.Repeat(digit, 64), "RepoTags": tags,
		"Config": map[string]any{"Labels": labels},
	})
	if err != nil {
		panic(err)
	}
	var img image.InspectResponse
	if err := json.Unmarshal(text, &img); err != nil {
		panic(err)
	}
	return img
}

// badSeed is an engine's state with a sandbox, a running container and a
// created one. Each call gets a copy of its own.
func badSeed(t *testing.T, dir string) func() badState {
	t.Helper()
	e := newBadEngine(t, dir, badState{Images: []image.InspectResponse{badImage(nil, "a", "busybox:1.36"), badImage(nil, "b", "spare:1", "spare:2")}})
	rt, closeClient := e.runtime(t)
	defer closeClient()
	sandbox, err := rt.RunSandbox(t.Context(), badPod)
	if err != nil {
		t.Fatal(err)
	}
	running, err := rt.CreateContainer(t.Context(), sandbox, ContainerConfig{Name: "running", Image: "busybox:1.36", Command: []string{"x"}, TTY: true}, badPod)
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.StartContainer(t.Context(), running); err != nil {
		t.Fatal(err)
	}
	created, err := rt.CreateContainer(t.Context(), sandbox, ContainerConfig{Name: "created", Image: "busybox:1.36", Command: []string{"x"}, LogPath: "created/0.log"}, badPod)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{badSandboxID, badRunningID, badCreatedID}, []string{sandbox, running, created}); diff != "" {
		t.Fatalf("IDs of the seed mismatch (-want +got):\n%s", diff)
	}
	closeClient()
	e.server.Close()
	text, err := json.Marshal(e.state)
	if err != nil {
		t.Fatal(err)
	}
	return func() badState {
		var s badState
		if err := json.Unmarshal(text, &s); err != nil {
			panic(err)
		}
		return s
	}
}

var (
	badSandboxID = fmt.Sprintf("%064x", 1)
	badRunningID = fmt.Sprintf("%064x", 2)
	badCreatedID = fmt.Sprintf("%064x", 3)

	badPod = SandboxConfig{Name: "web", Namespace: "default", UID: "u1", CgroupParent: "/pods", LogDirectory: "/var/log/pods/web"}
)

// badCall is a method of Runtime with arguments for the seed.
type badCall struct {
	method string
	op     string // of the error
	run    func(context.Context, *Runtime) error
	// unbounded are the requests, counted from 0, that have no deadline but
	// the caller's.
	unbounded []int
	// spared are the requests whose failure the method survives by design,
	// and sparing is what comes of it.
	spared  []int
	sparing error
	// settled are the requests after which all is done: what they would tell
	// is asked for once more when the caller has left.
	settled []int
}

// badCalls has every method of Runtime that talks to the engine.
var badCalls = []badCall{
	{method: "Version", op: "version", run: func(ctx context.Context, r *Runtime) error { _, err := r.Version(ctx); return err }},
	{method: "Info", op: "info", run: func(ctx context.Context, r *Runtime) error { _, err := r.Info(ctx); return err }},
	{method: "Ready", op: "ready", run: func(ctx context.Context, r *Runtime) error { return r.Ready(ctx) }},
	{method: "ListContainers", op: "list containers", run: func(ctx context.Context, r *Runtime) error {
		list, err := r.ListContainers(ctx, Filter{})
		return badList(list, 2, err)
	}, spared: []int{1}}, // the state of that one container is unknown then
	{method: "ListManaged", op: "list managed containers", run: func(ctx context.Context, r *Runtime) error {
		list, err := r.ListManaged(ctx, false)
		return badList(list, 3, err)
	}},
	{method: "ListOrphans", op: "list orphans", run: func(ctx context.Context, r *Runtime) error {
		list, err := r.ListOrphans(ctx)
		return badList(list, 0, err)
	}},
	{method: "CreateContainer", op: "create container", run: func(ctx context.Context, r *Runtime) error {
		id, err := r.CreateContainer(ctx, badSandboxID, ContainerConfig{Name: "new", Image: "busybox:1.36", Command: []string{"x"}}, badPod)
		return badValue(id != "", err)
	}},
	{method: "StartContainer", op: "start container", run: func(ctx context.Context, r *Runtime) error { return r.StartContainer(ctx, badCreatedID) }},
	{method: "StopContainer", op: "stop container", run: func(ctx context.Context, r *Runtime) error { return r.StopContainer(ctx, badRunningID, 0) }},
	{method: "RemoveContainer", op: "remove container", run: func(ctx context.Context, r *Runtime) error { return r.RemoveContainer(ctx, badRunningID) }},
	{method: "ContainerStatus", op: "container status", run: func(ctx context.Context, r *Runtime) error {
		st, err := r.ContainerStatus(ctx, badRunningID)
		return badStatusOf(st, err)
	}, spared: []int{1}, sparing: errBadProblems},
	{method: "ContainerStatuses", op: "container status", run: func(ctx context.Context, r *Runtime) error {
		var errs []error
		for st, err := range r.ContainerStatuses(ctx, badRunningID) {
			errs = append(errs, badStatusOf(st, err))
		}
		return errors.Join(errs...)
	}, spared: []int{1}, sparing: errBadProblems},
	{method: "Wait", op: "wait for container", run: func(ctx context.Context, r *Runtime) error {
		st, err := r.Wait(ctx, badRunningID)
		return badStatusOf(st, err)
	}, unbounded: []int{0, 1, 2, 3}, spared: []int{3}, sparing: errBadProblems},
	{method: "Kill", op: "kill container", run: func(ctx context.Context, r *Runtime) error { return r.Kill(ctx, badRunningID, "") }},
	{method: "UpdateContainer", op: "update container", run: func(ctx context.Context, r *Runtime) error {
		return r.UpdateContainer(ctx, badRunningID, Resources{MemoryLimit: 64 << 20})
	}},
	{method: "Exec", op: "exec", run: func(ctx context.Context, r *Runtime) error {
		code, err := r.Exec(ctx, badRunningID, ExecOptions{Command: []string{"x"}})
		return badValue(code == 3, err)
	}, settled: []int{3}},
	{method: "ExecSync", op: "exec", run: func(ctx context.Context, r *Runtime) error {
		res, err := r.ExecSync(ctx, badRunningID, []string{"x"}, ExecSyncOptions{})
		return badValue(res.ExitCode == 3, err)
	}, settled: []int{3}},
	{method: "Attach", op: "attach", run: func(ctx context.Context, r *Runtime) error {
		return r.Attach(ctx, badRunningID, AttachOptions{Stdout: io.Discard})
	}},
	{method: "ResizeTTY", op: "resize terminal", run: func(ctx context.Context, r *Runtime) error {
		return r.ResizeTTY(ctx, badRunningID, TerminalSize{80, 24})
	}},
	{method: "DialPod", op: "dial pod", run: func(ctx context.Context, r *Runtime) error {
		_, err := r.DialPod(ctx, badSandboxID, 80)
		return badElsewhere(err)
	}},
	{method: "PortForward", op: "forward port", run: func(ctx context.Context, r *Runtime) error {
		here, there := net.Pipe()
		defer there.Close()
		return badElsewhere(r.PortForward(ctx, badSandboxID, 80, here, PortForwardOptions{}))
	}},
	{method: "ContainerLogs", op: "read container logs", run: func(ctx context.Context, r *Runtime) error {
		var out strings.Builder
		err := r.ContainerLogs(ctx, badRunningID, LogOptions{Stdout: &out, Source: LogSourceAPI})
		return badLog(out.String() == badLine+"\n", err)
	}, unbounded: []int{1}},
	{method: "LogLines", op: "read container logs", run: func(ctx context.Context, r *Runtime) error {
		got := ""
		for line, err := range r.LogLines(ctx, badRunningID, LogOptions{Source: LogSourceAPI}) {
			if err != nil {
				return err
			}
			got += line.Text
		}
		return badLog(got == badLine, nil)
	}, unbounded: []int{1}},
	{method: "LogTail", op: "read container logs", run: func(ctx context.Context, r *Runtime) error {
		got, err := r.LogTail(ctx, badRunningID, 0, 0)
		return badLog(got == badLine+"\n", err)
	}, unbounded: []int{2}},
	{method: "RunSandbox", op: "run sandbox", run: func(ctx context.Context, r *Runtime) error {
		id, err := r.RunSandbox(ctx, SandboxConfig{
			Name: "other", Namespace: "default", UID: "u2", RuntimeHandler: "runc",
			Ports: []PortMapping{{ContainerPort: 80, HostPort: 8080}},
		})
		return badValue(id != "", err)
	}},
	{method: "StopSandbox", op: "stop sandbox", run: func(ctx context.Context, r *Runtime) error { return r.StopSandbox(ctx, badSandboxID, 0) }},
	{method: "RemoveSandbox", op: "remove sandbox", run: func(ctx context.Context, r *Runtime) error { return r.RemoveSandbox(ctx, badSandboxID) }},
	{method: "SandboxStatus", op: "sandbox status", run: func(ctx context.Context, r *Runtime) error {
		st, err := r.SandboxStatus(ctx, badSandboxID)
		return badValue(st.ID != "", err)
	}},
	{method: "ListSandboxes", op: "list sandboxes", run: func(ctx context.Context, r *Runtime) error {
		list, err := r.ListSandboxes(ctx, SandboxFilter{})
		return badList(list, 1, err)
	}},
	{method: "ReconcileLogLinks", op: "reconcile log links", run: func(ctx context.Context, r *Runtime) error {
		report, err := r.ReconcileLogLinks(ctx)
		if err == nil && report.Problems != nil {
			err = errBadProblems
		}
		return err
	}, spared: []int{1}, sparing: errBadProblems},
	{method: "ImageStatus", op: "inspect image", run: func(ctx context.Context, r *Runtime) error {
		img, err := r.ImageStatus(ctx, "busybox:1.36")
		return badValue(img.ID != "", err)
	}},
	{method: "ListImages", op: "list images", run: func(ctx context.Context, r *Runtime) error {
		list, err := r.ListImages(ctx, ImageFilter{})
		return badList(list, max(2, len(list)), err) // a sandbox image may have been loaded
	}},
	{method: "ImageHistory", op: "image history", run: func(ctx context.Context, r *Runtime) error {
		_, err := r.ImageHistory(ctx, "busybox:1.36")
		return err
	}},
	{method: "PullImage", op: "pull image", run: func(ctx context.Context, r *Runtime) error {
		img, err := r.PullImage(ctx, "new:1", PullOptions{})
		return badValue(img.ID != "", err)
	}, unbounded: []int{0}},
	{method: "EnsureImage", op: "", run: func(ctx context.Context, r *Runtime) error {
		img, err := r.EnsureImage(ctx, "new:1", PullIfNotPresent, PullOptions{})
		return badValue(img.ID != "", err)
	}, unbounded: []int{1}},
	{method: "ImageFSInfo", op: "image file system", run: func(ctx context.Context, r *Runtime) error {
		info, err := r.ImageFSInfo(ctx)
		return badValue(info.UsedBytes != 0, err)
	}},
	{method: "CollectImages", op: "collect images", run: func(ctx context.Context, r *Runtime) error {
		report, err := r.CollectImages(ctx, ImageGCOptions{ImageGCPolicy: ImageGCPolicy{HighBytes: 1, MinAge: -1}})
		if err != nil {
			return err // with a report of what was done
		}
		return badValue(len(report.Removed) == 1, err)
	}},
	{method: "ContainerStats", op: "container stats", run: func(ctx context.Context, r *Runtime) error {
		st, err := r.ContainerStats(ctx, badRunningID)
		return badValue(st.ID != "" && !st.At.IsZero(), err)
	}},
	{method: "ListContainerStats", op: "list container stats", run: func(ctx context.Context, r *Runtime) error {
		list, err := r.ListContainerStats(ctx, Filter{})
		if err != nil {
			return err // with those that could be read
		}
		return badList(list, 1, err)
	}},
	{method: "SandboxStats", op: "sandbox stats", run: func(ctx context.Context, r *Runtime) error {
		st, err := r.SandboxStats(ctx, badSandboxID)
		if st.Problems != nil {
			return &Error{"sandbox stats", badSandboxID, st.Problems[0]}
		}
		return badValue(len(st.Containers) == 1, err)
	}},
	{method: "ListSandboxStats", op: "list sandbox stats", run: func(ctx context.Context, r *Runtime) error {
		list, err := r.ListSandboxStats(ctx, SandboxFilter{})
		if len(list) == 1 && list[0].Problems != nil {
			return &Error{"list sandbox stats", "", list[0].Problems[0]}
		}
		if err != nil {
			return err // with those that could be read
		}
		return badList(list, 1, err)
	}},
	{method: "ContainerFSInfo", op: "container file system", run: func(ctx context.Context, r *Runtime) error {
		fs, err := r.ContainerFSInfo(ctx, badRunningID)
		return badValue(fs.RootBytes != 0, err)
	}},
	{method: "CollectGarbage", op: "collect garbage", run: func(ctx context.Context, r *Runtime) error {
		none := 0
		report, err := r.CollectGarbage(ctx, GCOptions{GCPolicy: GCPolicy{CreatedGrace: 1, MaxContainers: &none}})
		if err != nil {
			return err // with a report of what was done
		}
		return badValue(len(report.Removed) == 1, err)
	}},
	{method: "RemoveImage", op: "remove image", run: func(ctx context.Context, r *Runtime) error {
		return r.RemoveImage(ctx, "sha256:"+strings.Repeat("b", 64))
	}},
}

// errBadProblems stands for the problems in a report.
var errBadProblems = errors.New("problems reported")

// errBadValue: a result that does not go with its error.
var errBadValue = errors.New("bad value")

// badValue returns err, if a value comes exactly when there is none.
func badValue(there bool, err error) error {
	switch {
	case there && err != nil:
		return fmt.Errorf("%w: one beside the error %v", errBadValue, err)
	case !there && err == nil:
		return fmt.Errorf("%w: none, and no error", errBadValue)
	}
	return err
}

// badElsewhere returns err but for the refusal to look for an engine's process
// that is not on this machine.
func badElsewhere(err error) error {
	if errors.Is(err, ErrUnsupported) {
		return nil
	}
	return err
}

// badLog returns err, or ErrBadAnswer for a log that is not the engine's: no
// body at all cannot be told from a log that is empty.
func badLog(right bool, err error) error {
	if err == nil && !right {
		return &Error{"read container logs", badRunningID, ErrBadAnswer}
	}
	return err
}

// badStatusOf is badValue for a status, which may have problems of its own.
func badStatusOf(st ContainerStatus, err error) error {
	if err == nil && st.ID != "" && st.Problems != nil {
		return fmt.Errorf("%w: %q", errBadProblems, st.Problems)
	}
	return badValue(st.ID != "", err)
}

// badList returns err, if a list of n comes exactly when there is none.
func badList[T any](list []T, n int, err error) error {
	if err == nil && len(list) != n {
		return fmt.Errorf("%w: a list of %d, and no error", errBadValue, len(list))
	}
	return badValue(list != nil, err)
}

// TestBadCallsAreAll holds badCalls to the methods that there are, so that none
// is forgotten.
func TestBadCallsAreAll(t *testing.T) {
	// Close asks the engine nothing, nor does ReopenContainerLog where logs are
	// links; a log that dockpod writes has tests of its own. To a Watch and a Mirror, which have tests of
	// their own, a bad answer is news and not the end.
	without := []string{"Close", "Mirror", "ReopenContainerLog", "Watch"}
	var methods []string
	for typ, i := reflect.TypeFor[*Runtime](), 0; i < typ.NumMethod(); i++ {
		methods = append(methods, typ.Method(i).Name)
	}
	want := without
	for _, c := range badCalls {
		want = append(want, c.method)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, methods); diff != "" {
		t.Errorf("methods mismatch (-badCalls +Runtime); a new method needs its line in badCalls:\n%s", diff)
	}
}

// badMode is a way to be a bad engine.
type badMode struct {
	name  string
	fault badFault
	// unread: the fault is in a body, which the client does not read of every
	// answer; then the call succeeds.
	unread bool
	want   error // errors.Is holds; for a class, one of errdefs
	heavy  bool  // once for each route is enough
	hangs  bool  // want is the caller's or the library's deadline
}

// badStatus answers with a status and a body, having done nothing.
func badStatus(status int, contentType, body string) badFault {
	return func(w http.ResponseWriter, _ *http.Request, _ func() *httptest.ResponseRecorder) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// badBody does what was asked for and spoils the answer.
func badBody(spoil func(body string) string) badFault {
	return func(w http.ResponseWriter, _ *http.Request, good func() *httptest.ResponseRecorder) {
		rec := good()
		w.WriteHeader(200)
		io.WriteString(w, spoil(rec.Body.String()))
	}
}

// badCut does what was asked for and drops the connection: after n bytes of a
// hundred of the answer's body, or before its head if n is negative.
func badCut(n int) badFault {
	return func(w http.ResponseWriter, _ *http.Request, good func() *httptest.ResponseRecorder) {
		body := good().Body.String()
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		if n >= 0 {
			fmt.Fprintf(buf, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:len(body)*n/100])
			buf.Flush()
		}
	}
}

// badHang does what was asked for and says nothing until the client leaves.
func badHang(_ http.ResponseWriter, r *http.Request, good func() *httptest.ResponseRecorder) {
	good()
	<-r.Context().Done()
}

// badStall answers a status and half a body, and then nothing.
func badStall(status int) badFault {
	return func(w http.ResponseWriter, r *http.Request, good func() *httptest.ResponseRecorder) {
		body := good().Body.String()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body[:len(body)/2])
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

const badPage = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>\n"

var badModes = []badMode{
	{name: "slow", fault: func(w http.ResponseWriter, r *http.Request, good func() *httptest.ResponseRecorder) {
		<-time.After(3 * time.Millisecond)
		rec := good()
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		io.Copy(w, rec.Body)
	}},
	{name: "500", fault: badStatus(500, "application/json", `{"message":"boom"}`), want: errdefs.ErrInternal},
	{name: "500 in plain text", fault: badStatus(500, "text/plain", "boom\n"), want: errdefs.ErrInternal},
	{name: "500 without a word", fault: badStatus(500, "text/plain", ""), want: errdefs.ErrInternal},
	{name: "500 in 20 kB", fault: badStatus(500, "application/json", `{"message":"`+strings.Repeat("boom ", 4<<10)+`"}`), want: errdefs.ErrInternal},
	{name: "500 in 2 MB", fault: badStatus(500, "application/json", `{"message":"`+strings.Repeat("boom ", 400<<10)+`"}`), want: errdefs.ErrInternal, heavy: true},
	{name: "500 in broken JSON", fault: badStatus(500, "application/json", `{"message":`), want: ErrBadAnswer},
	{name: "503", fault: badStatus(503, "application/json", `{"message":"starting"}`), want: ErrNotReady},
	{name: "403", fault: badStatus(403, "text/plain", "forbidden by an authorization plugin"), want: errdefs.ErrPermissionDenied},
	{name: "502, a web page", fault: badStatus(502, "text/html", badPage), want: ErrNotReady},
	{name: "404, a web page", fault: badStatus(404, "text/html", badPage), want: ErrNotReady},
	{name: "404, no such route", fault: badStatus(404, "text/plain", "404 page not found\n"), want: ErrBadAnswer},
	{name: "200, a web page", fault: badStatus(200, "text/html", badPage), unread: true, want: ErrBadAnswer},
	{name: "a redirect", fault: func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) {
		http.Redirect(w, r, "http://elsewhere.example/", http.StatusTemporaryRedirect)
	}, want: errdefs.ErrUnavailable},
	{name: "not HTTP", fault: func(w http.ResponseWriter, _ *http.Request, _ func() *httptest.ResponseRecorder) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(conn, "SSH-2.0-OpenSSH_9.9\r\n")
		conn.Close()
	}, want: errdefs.ErrUnavailable},
	{name: "reset", fault: badCut(-1), want: ErrBadAnswer},
	{name: "cut in the body", fault: badCut(50), unread: true, want: ErrBadAnswer},
	{name: "cut before the body", fault: badCut(0), unread: true, want: ErrBadAnswer},
	{name: "half a body", fault: badBody(func(s string) string { return s[:len(s)/2] }), unread: true, want: ErrBadAnswer},
	{name: "broken JSON", fault: badBody(func(string) string { return `{"Id":"x",]` }), unread: true, want: ErrBadAnswer},
	{name: "no body", fault: badBody(func(string) string { return "" }), unread: true, want: ErrBadAnswer},
	{name: "wrong types", fault: badBody(func(s string) string {
		if strings.HasPrefix(s, "[") {
			return "[7]"
		}
		return `{"Id":7,"Version":7,"StatusCode":"x","Warnings":7,"LayersSize":"x","error":7}`
	}), unread: true, want: ErrBadAnswer},
	{name: "hung", fault: badHang, want: ErrTimeout, hangs: true},
	{name: "stalls in the body", fault: badStall(200), unread: true, want: ErrTimeout, hangs: true},
	{name: "stalls in an error", fault: badStall(500), want: ErrTimeout, hangs: true},
}

// bodyless are the routes whose answer is its status.
var bodyless = []string{
	"POST /containers/{id}/start", "POST /containers/{id}/stop", "POST /containers/{id}/kill", "DELETE /containers/{id}",
	"POST /containers/{id}/resize",
}

const (
	// badDeadline is the deadline of calls on an engine that hangs.
	badDeadline = 150 * time.Millisecond
	// badPatience is how long a call may take beyond it: one more deadline,
	// to undo what was half done, and what a busy machine adds. It is much less
	// than the deadline of a call that nobody bounds.
	badPatience = 30 * time.Second
)

// TestBadEngine has each method meet each bad engine at each of its requests,
// from that one on: every call ends in time, with an error of the right kind,
// and leaves no goroutine and no descriptor.
func TestBadEngine(t *testing.T) {
	dir := t.TempDir()
	seed := badSeed(t, dir)
	before := badResources(t)

	// How often each method asks, and what, while the engine is good.
	routes := map[string][]string{}
	for _, c := range badCalls {
		e := newBadEngine(t, dir, seed())
		rt, closeClient := e.runtime(t)
		if err := c.run(t.Context(), rt); err != nil {
			t.Fatalf("%s on a good engine: %v", c.method, err)
		}
		closeClient()
		e.server.Close()
		if routes[c.method] = e.asked(); len(routes[c.method]) == 0 {
			t.Fatalf("%s asks nothing", c.method)
		}
	}

	engines := func(n int) chan *badEngine {
		c := make(chan *badEngine, n)
		for range n {
			c <- newBadEngine(t, dir, badState{})
		}
		return c
	}
	working, waiting := engines(8), engines(64)
	var wg sync.WaitGroup
	meet := func(pool chan *badEngine, hangs bool) {
		met := map[string]bool{}
		for _, mode := range badModes {
			if mode.hangs != hangs {
				continue
			}
			for _, call := range badCalls {
				for n, route := range routes[call.method] {
					if mode.heavy && met[mode.name+route] {
						continue
					}
					met[mode.name+route] = true
					e := <-pool
					wg.Go(func() {
						defer func() { pool <- e }()
						e.reset(seed())
						testBadCall(t, e, mode, call, n, routes[call.method])
					})
				}
			}
		}
	}
	wg.Go(func() { meet(waiting, true) })
	wg.Go(func() { meet(working, false) })
	wg.Wait()
	for _, pool := range []chan *badEngine{working, waiting} {
		for range cap(pool) {
			(<-pool).server.Close()
		}
	}
	settle(t, before)
}

func testBadCall(t *testing.T, e *badEngine, mode badMode, call badCall, n int, routes []string) {
	what := fmt.Sprintf("%s, %s from request %d (%s) on", call.method, mode.name, n, routes[n])
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // rather than to wait for the test's own
	defer cancel()
	opts := []Option{}
	want := mode.want
	if mode.hangs {
		opts = append(opts, WithRequestTimeout(badDeadline))
		if slices.Contains(call.unbounded, n) {
			ctx, cancel = context.WithTimeout(ctx, badDeadline)
			defer cancel()
			want = context.DeadlineExceeded
		}
	}
	rt, closeClient := e.runtime(t, opts...)
	e.turnsBad(n, always, mode.fault)
	start := time.Now()
	err := call.run(ctx, rt)
	took := time.Since(start)
	closeClient()
	if !e.listener.isQuiet(badPatience) {
		t.Errorf("%s: a connection stays open", what)
	}
	if mode.hangs && took > badDeadline+badPatience {
		t.Errorf("%s: took %v", what, took)
	}

	at := n
	asked := e.asked()
	for mode.unread && at < len(asked) && slices.Contains(bodyless, asked[at]) {
		at++ // no harm done yet
	}
	switch {
	case want == nil:
	case n >= len(asked) && mode.hangs: // a busy machine: the deadline came before the fault
		if err == nil && slices.Contains(call.spared, n) {
			want = nil
		}
	case n >= len(asked):
		t.Errorf("%s: the request was not made: %q, %v", what, asked, err)
		return
	case at >= len(asked):
		want = nil
	case slices.Contains(call.spared, at) && !(mode.hangs && call.sparing != nil):
		want = call.sparing
	case call.method == "Ready" && want == errdefs.ErrInternal:
		want = ErrNotReady
	case asked[at] == "POST /images/create" && want == ErrNotReady:
		want = errdefs.ErrUnavailable // also of the registry
	case asked[at] == "POST /containers/{id}/wait" && mode.name == "200, a web page":
		want = ErrNotReady // the client makes it an error of no class, as it does with a 502
	case asked[at] == "POST /containers/{id}/update" && mode.name == "404, no such route":
		want = ErrUnsupported
	}
	if mode.hangs && at > n && n < len(asked) {
		// The client waits for the body that it does not read; what is left
		// to do after a success finds no time.
		if err != nil {
			want = mode.want
		} else {
			want = nil
		}
	}
	switch {
	case want == nil && err != nil:
		t.Errorf("%s: got %v", what, err)
		return
	case !errors.Is(err, want):
		t.Errorf("%s: got %v; want %v", what, err, want)
		return
	case want == nil, want == errBadProblems:
		return
	}
	if want == context.DeadlineExceeded && errors.Is(err, ErrTimeout) {
		t.Errorf("%s: the caller's deadline is called the library's: %v", what, err)
	}
	checkBadError(t, what, call, err)
}

// checkBadError checks what holds for every error.
func checkBadError(t *testing.T, what string, call badCall, err error) {
	var e *Error
	switch {
	case !errors.As(err, &e):
		t.Errorf("%s: %T is no *Error", what, err)
	case e.Op != call.op && call.op != "":
		t.Errorf("%s: op is %q, want %q", what, e.Op, call.op)
	}
	// An engine's text is cut at maxErrorText; a few may be joined.
	if text := err.Error(); len(text) > 3<<10 || strings.Contains(text, "<html") {
		t.Errorf("%s: a message of %d bytes: %.200q", what, len(text), text)
	}
	for _, sentinel := range []error{ErrContainerNotFound, ErrImageNotFound, ErrManifestUnknown, ErrNotManaged, ErrSandboxGone} {
		if errors.Is(err, sentinel) {
			t.Errorf("%s: %v is taken for %v", what, err, sentinel)
		}
	}
	if errdefs.IsNotFound(err) {
		t.Errorf("%s: %v is of the class NotFound", what, err)
	}
}

// resources counts what a call may leave behind.
type resources struct{ goroutines, files int }

func badResources(t *testing.T) resources {
	t.Helper()
	// The first pipe of a process brings the poller's descriptors, which stay.
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	out.Close()
	r := resources{goroutines: runtime.NumGoroutine()}
	if runtime.GOOS == "linux" {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		r.files = len(files)
	}
	return r
}

// settle waits until no more is in use than before.
func settle(t *testing.T, before resources) {
	t.Helper()
	for late := time.After(badPatience); ; {
		now := badResources(t)
		if now.goroutines <= before.goroutines && now.files <= before.files {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-late:
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			t.Fatalf("in use: %+v, before: %+v\n%s", now, before, stacks)
		}
	}
}

// TestNoEngine has each method meet a socket behind which nobody speaks.
func TestNoEngine(t *testing.T) {
	dir := t.TempDir()
	before := badResources(t)
	absent := badSocket(t, dir)
	absent.Close() // removes the file
	refusing := badSocket(t, dir)
	refusing.Listener.(*net.UnixListener).SetUnlinkOnClose(false)
	refusing.Close()
	mute := badSocket(t, dir)
	defer mute.Close()
	go func() {
		for {
			conn, err := mute.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(io.Discard, conn)
			}()
		}
	}()

	var wg sync.WaitGroup
	for _, tt := range []struct {
		name   string
		socket *badListener
		want   error
	}{
		{"an absent socket", absent, ErrUnreachable},
		{"a refusing socket", refusing, ErrUnreachable},
		{"a mute socket", mute, ErrTimeout},
	} {
		for _, call := range badCalls {
			wg.Go(func() {
				what := call.method + ", " + tt.name
				opts := []Option{}
				if tt.want == ErrTimeout {
					opts = append(opts, WithRequestTimeout(badDeadline))
				}
				rt, closeClient := badRuntime(t, tt.socket.Addr().String(), "", opts...)
				defer closeClient()
				ctx, want := t.Context(), tt.want
				if want == ErrTimeout && slices.Contains(call.unbounded, 0) {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, badDeadline)
					defer cancel()
					want = context.DeadlineExceeded
				}
				start := time.Now()
				err := call.run(ctx, rt)
				if took := time.Since(start); took > badDeadline+badPatience {
					t.Errorf("%s: took %v", what, took)
				}
				if !errors.Is(err, want) {
					t.Errorf("%s: got %v; want %v", what, err, want)
					return
				}
				checkBadError(t, what, call, err)
			})
		}
	}
	wg.Wait()
	if !mute.isQuiet(badPatience) {
		t.Error("a connection stays open")
	}
	mute.Close()
	settle(t, before)
}

// TestCallerEndsCall has the caller's context end each call at each of its
// requests, on an engine that does not answer that one.
func TestCallerEndsCall(t *testing.T) {
	dir := t.TempDir()
	seed := badSeed(t, dir)
	before := badResources(t)
	var wg sync.WaitGroup
	run := func(call badCall, n int, kind string) {
		e := newBadEngine(t, dir, seed())
		defer e.server.Close()
		what := fmt.Sprintf("%s, %s at request %d", call.method, kind, n)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		want := context.Canceled
		limit := badPatience / 2 // of the library: the caller's end comes first
		onRequest := func() {}
		switch kind {
		case "cancelled":
			onRequest = func() { cancel(nil) }
		case "cancelled with a cause":
			onRequest = func() { cancel(errors.New("the agent leaves")) }
		case "out of time":
			var stop context.CancelFunc
			ctx, stop = context.WithTimeout(ctx, badDeadline)
			defer stop()
			want = context.DeadlineExceeded
			// On a busy machine the deadline ends a call before request n, which
			// then is one that undoes.
			limit = 10 * badDeadline
		}
		e.turnsBad(n, n+1, func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) {
			onRequest()
			badHang(w, r, httptest.NewRecorder) // nothing happens
		})
		rt, closeClient := e.runtime(t, WithRequestTimeout(limit))
		start := time.Now()
		err := call.run(ctx, rt)
		if took := time.Since(start); took > badDeadline+badPatience {
			t.Errorf("%s: took %v", what, took)
		}
		closeClient()
		if !e.listener.isQuiet(badPatience) {
			t.Errorf("%s: a connection stays open", what)
		}
		if err == nil && slices.Contains(call.settled, n) {
			return
		}
		if !errors.Is(err, want) || errors.Is(err, ErrTimeout) {
			t.Errorf("%s: got %v; want %v", what, err, want)
			return
		}
		checkBadError(t, what, call, err)
	}
	for _, call := range badCalls {
		e := newBadEngine(t, dir, seed())
		rt, closeClient := e.runtime(t)
		if err := call.run(t.Context(), rt); err != nil {
			t.Fatalf("%s on a good engine: %v", call.method, err)
		}
		closeClient()
		e.server.Close()
		for n := range e.asked() {
			for _, kind := range []string{"cancelled", "cancelled with a cause", "out of time"} {
				wg.Go(func() { run(call, n, kind) })
			}
		}
	}
	wg.Wait()
	settle(t, before)
}

// TestContextEndedBefore: a call whose context has ended asks the engine
// nothing it would have to undo.
func TestContextEndedBefore(t *testing.T) {
	dir := t.TempDir()
	seed := badSeed(t, dir)
	e := newBadEngine(t, dir, seed())
	rt, closeClient := e.runtime(t)
	defer closeClient()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, call := range badCalls {
		if err := call.run(ctx, rt); !errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) {
			t.Errorf("%s: got %v; want context.Canceled", call.method, err)
		}
	}
	if asked := e.asked(); len(asked) > 0 {
		t.Errorf("the engine was asked %q", asked)
	}
}

// TestCreateAnswerLost: the container was made and the answer did not arrive
// whole. It is found by its name.
func TestCreateAnswerLost(t *testing.T) {
	dir := t.TempDir()
	seed := badSeed(t, dir)
	before := badResources(t)
	const leaves = "the caller leaves"
	faults := map[string]badFault{
		"without an ID": badBody(func(string) string { return "{}" }),
		leaves:          badHang,
	}
	for _, name := range []string{"reset", "cut in the body", "cut before the body", "half a body", "broken JSON", "no body", "wrong types", "hung", "stalls in the body"} {
		i := slices.IndexFunc(badModes, func(m badMode) bool { return m.name == name })
		faults[name] = badModes[i].fault
	}
	var wg sync.WaitGroup
	for name, fault := range faults {
		ends := name == leaves || name == "hung" || name == "stalls in the body"
		for _, call := range badCalls {
			// A sandbox whose create took all the time is not started any more.
			if call.method != "CreateContainer" && (call.method != "RunSandbox" || ends) {
				continue
			}
			wg.Go(func() {
				e := newBadEngine(t, dir, seed())
				defer e.server.Close()
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				e.turnsBad(0, always, func(w http.ResponseWriter, r *http.Request, good func() *httptest.ResponseRecorder) {
					if _, route := e.mux.Handler(r); route != "POST /containers/create" {
						e.mux.ServeHTTP(w, r)
						return
					}
					if name == leaves {
						cancel(errors.New("the agent leaves"))
					}
					fault(w, r, good)
				})
				opts := []Option{}
				if ends {
					opts = append(opts, WithRequestTimeout(20*badDeadline)) // time for what precedes the create
				}
				rt, closeClient := e.runtime(t, opts...)
				defer closeClient()
				if err := call.run(ctx, rt); err != nil {
					t.Errorf("%s, create %s: %v", call.method, name, err)
				}
				if names := e.names(); len(names) != 4 {
					t.Errorf("%s, create %s: the engine holds %q", call.method, name, names)
				}
			})
		}
	}
	wg.Wait()
	settle(t, before)
}

// TestCreateNotDone: the connection breaks before anything was made, and what
// has the name is somebody else's.
func TestCreateNotDone(t *testing.T) {
	dir := t.TempDir()
	e := newBadEngine(t, dir, badSeed(t, dir)())
	rt, closeClient := e.runtime(t)
	defer closeClient()
	config := ContainerConfig{Name: "new", Image: "busybox:1.36", Command: []string{"x"}}
	reset := func(w http.ResponseWriter, r *http.Request, good func() *httptest.ResponseRecorder) {
		if _, route := e.mux.Handler(r); route != "POST /containers/create" {
			e.mux.ServeHTTP(w, r)
			return
		}
		badCut(-1)(w, r, httptest.NewRecorder)
	}
	e.turnsBad(0, always, reset)
	id, err := rt.CreateContainer(t.Context(), badSandboxID, config, badPod)
	if id != "" || !errors.Is(err, ErrBadAnswer) {
		t.Errorf("nothing made: got %q, %v; want ErrBadAnswer", id, err)
	}
	e.turnsBad(0, 0, nil)
	other := config
	other.Args = []string{"other"}
	if _, err := rt.CreateContainer(t.Context(), badSandboxID, other, badPod); err != nil {
		t.Fatal(err)
	}
	e.turnsBad(0, always, reset)
	id, err = rt.CreateContainer(t.Context(), badSandboxID, config, badPod)
	if id != "" || !errors.Is(err, ErrBadAnswer) {
		t.Errorf("another of the name: got %q, %v; want ErrBadAnswer", id, err)
	}
}

// TestStartHangs: a sandbox whose start hangs is taken away again, in bounded
// time, also where the start had happened.
func TestStartHangs(t *testing.T) {
	dir := t.TempDir()
	seed := badSeed(t, dir)
	before := badResources(t)
	test := func(happened bool) {
		e := newBadEngine(t, dir, seed())
		names := e.names()
		e.turnsBad(0, always, func(w http.ResponseWriter, r *http.Request, good func() *httptest.ResponseRecorder) {
			if _, route := e.mux.Handler(r); route != "POST /containers/{id}/start" {
				e.mux.ServeHTTP(w, r)
				return
			}
			if !happened {
				good = httptest.NewRecorder
			}
			badHang(w, r, good)
		})
		rt, closeClient := e.runtime(t, WithRequestTimeout(2*badDeadline))
		start := time.Now()
		id, err := rt.RunSandbox(t.Context(), SandboxConfig{Name: "other", Namespace: "default", UID: "u2"})
		if id != "" || !errors.Is(err, ErrTimeout) || !errdefs.IsDeadlineExceeded(err) {
			t.Errorf("start that hangs, happened %t: got %q, %v; want ErrTimeout", happened, id, err)
		}
		if took := time.Since(start); took > 2*badDeadline+badPatience {
			t.Errorf("start that hangs, happened %t: took %v", happened, took)
		}
		if diff := cmp.Diff(names, e.names()); diff != "" {
			t.Errorf("containers mismatch (-before +after):\n%s", diff)
		}
		closeClient()
		e.server.Close()
	}
	var wg sync.WaitGroup
	wg.Go(func() { test(false) })
	wg.Go(func() { test(true) })
	wg.Wait()
	settle(t, before)
}

// TestStopHangs: the engine does not answer a stop; then the container is
// killed, and the stop is a success if that helped.
func TestStopHangs(t *testing.T) {
	dir := t.TempDir()
	seed := badSeed(t, dir)
	var wg sync.WaitGroup
	for _, tt := range []struct {
		name  string
		hangs []string
		want  error
	}{
		{"the kill helps", []string{"POST /containers/{id}/stop"}, nil},
		{"the kill hangs too", []string{"POST /containers/{id}/stop", "POST /containers/{id}/kill"}, ErrTimeout},
	} {
		wg.Go(func() {
			e := newBadEngine(t, dir, seed())
			e.turnsBad(0, always, func(w http.ResponseWriter, r *http.Request, good func() *httptest.ResponseRecorder) {
				if _, route := e.mux.Handler(r); !slices.Contains(tt.hangs, route) {
					e.mux.ServeHTTP(w, r)
					return
				}
				badHang(w, r, httptest.NewRecorder)
			})
			rt, closeClient := e.runtime(t, WithRequestTimeout(10*badDeadline)) // time for what follows the stop
			err := rt.StopContainer(t.Context(), badRunningID, 0)
			if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
			}
			closeClient()
			e.server.Close()
		})
	}
	wg.Wait()
}

// TestListNotFound: not-found is no answer to a list. A container that vanished
// while the engine listed makes it say so; it is asked once more.
func TestListNotFound(t *testing.T) {
	dir := t.TempDir()
	seed := badSeed(t, dir)
	for _, call := range badCalls {
		t.Run(call.method, func(t *testing.T) {
			for _, times := range []int{0, 1, 2} {
				e := newBadEngine(t, dir, seed())
				left := times
				e.turnsBad(0, always, func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) {
					_, route := e.mux.Handler(r)
					if route != "GET /containers/json" || left == 0 {
						e.mux.ServeHTTP(w, r)
						return
					}
					left--
					badStatus(404, "application/json", `{"message":"No such container: `+badRunningID+`"}`)(w, r, nil)
				})
				rt, closeClient := e.runtime(t)
				err := call.run(t.Context(), rt)
				closeClient()
				e.server.Close()
				switch {
				case times == 0 && !slices.Contains(e.asked(), "GET /containers/json"):
					return // lists nothing
				case times < 2 && err != nil:
					t.Errorf("after %d not-founds: %v", times, err)
				case times == 2 && !errors.Is(err, ErrNotReady):
					t.Errorf("after %d not-founds: got %v; want ErrNotReady", times, err)
				case times == 2:
					checkBadError(t, "not found twice", call, err)
				}
			}
		})
	}
}

// TestListInDoubt: where a state decides what is listed, a state that cannot be
// told is an error.
func TestListInDoubt(t *testing.T) {
	dir := t.TempDir()
	e := newBadEngine(t, dir, badSeed(t, dir)())
	e.turnsBad(0, always, func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) {
		if _, route := e.mux.Handler(r); route == "GET /containers/{id}/json" {
			badStatus(500, "text/plain", "boom")(w, r, nil)
			return
		}
		e.mux.ServeHTTP(w, r)
	})
	rt, closeClient := e.runtime(t, WithLogger(nil))
	defer closeClient()
	for _, tt := range []struct {
		state State
		fast  bool
		want  map[string]State // nil: an error
	}{
		{"", false, map[string]State{"created": StateUnknown, "running": StateRunning}},
		{"", true, map[string]State{"created": StateCreated, "running": StateRunning}},
		{StateRunning, false, map[string]State{"running": StateRunning}},
		{StateUnknown, false, map[string]State{"created": StateUnknown}},
		{StateCreated, false, nil},
		{StateExited, false, nil},
		{StateCreated, true, map[string]State{"created": StateCreated}},
	} {
		list, err := rt.ListContainers(t.Context(), Filter{State: tt.state, Fast: tt.fast})
		if tt.want == nil {
			if list != nil || !errdefs.IsInternal(err) {
				t.Errorf("state %q: got %v, %v; want the engine's error", tt.state, list, err)
			}
			continue
		}
		got := map[string]State{}
		for _, c := range list {
			got[c.Name.Container] = c.State
		}
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("state %q, fast %t: %v, mismatch (-want +got):\n%s", tt.state, tt.fast, err, diff)
		}
	}
}

// TestOnlyMembers: the engine answers a list with containers that were not
// asked for. Those of another pod are left alone.
func TestOnlyMembers(t *testing.T) {
	dir := t.TempDir()
	seed := badSeed(t, dir)
	for _, method := range []string{"StopSandbox", "RemoveSandbox", "StopContainer", "RemoveContainer"} {
		e := newBadEngine(t, dir, seed()) // it knows no filters
		rt, closeClient := e.runtime(t)
		pod := SandboxConfig{Name: "other", Namespace: "default", UID: "u2"}
		sandbox, err := rt.RunSandbox(t.Context(), pod)
		if err != nil {
			t.Fatal(err)
		}
		id, err := rt.CreateContainer(t.Context(), sandbox, ContainerConfig{Name: "app", Image: "busybox:1.36", Command: []string{"x"}}, pod)
		if err != nil {
			t.Fatal(err)
		}
		if err := rt.StartContainer(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(badCalls, func(c badCall) bool { return c.method == method })
		if err := badCalls[i].run(t.Context(), rt); err != nil {
			t.Errorf("%s: %v", method, err)
		}
		for _, id := range []string{sandbox, id} {
			if c := e.find(id); c == nil || !c.State.Running {
				t.Errorf("%s: container %s of another pod does not run any more", method, id)
			}
		}
		closeClient()
		e.server.Close()
	}
}

// TestLoadFails: the engine reports in the body that it could not load the
// sandbox image.
func TestLoadFails(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name  string
		fault badFault
		says  string
	}{
		{"in the report", badStatus(200, "application/json", `{"stream":"Loading"}`+"\n"+`{"errorDetail":{"message":"no space left on device"},"error":"no space left on device"}`), "no space left on device"},
		{"by its status", badStatus(500, "application/json", `{"message":"no space left on device"}`), "no space left on device"},
		{"without a word", badStatus(200, "text/plain", "Loaded"), "sandbox image"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newBadEngine(t, dir, badState{})
			e.turnsBad(0, always, func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) {
				if _, route := e.mux.Handler(r); route == "POST /images/load" {
					tt.fault(w, r, nil)
					return
				}
				e.mux.ServeHTTP(w, r)
			})
			rt, closeClient := e.runtime(t)
			defer closeClient()
			id, err := rt.RunSandbox(t.Context(), badPod)
			if id != "" || err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %q, %v; want an error that says %q", id, err, tt.says)
			}
		})
	}
}

// TestSparseAnswers: the engine's JSON is well formed and lacks what the API
// promises. No call panics, and none makes a value out of nothing.
func TestSparseAnswers(t *testing.T) {
	dir := t.TempDir()
	seed := badSeed(t, dir)
	object := func(keep ...string) func(string) string {
		return func(body string) string {
			var m map[string]json.RawMessage
			if json.Unmarshal([]byte(body), &m) != nil {
				return body
			}
			for k := range m {
				if !slices.Contains(keep, k) {
					delete(m, k)
				}
			}
			text, _ := json.Marshal(m)
			return string(text)
		}
	}
	list := func(f func(string) string) func(string) string {
		return func(body string) string {
			var l []json.RawMessage
			if json.Unmarshal([]byte(body), &l) != nil {
				return body
			}
			for i := range l {
				l[i] = json.RawMessage(f(string(l[i])))
			}
			text, _ := json.Marshal(l)
			return string(text)
		}
	}
	const anything = "GET /images/{ref...}" // an image, or its history
	for _, tt := range []struct {
		name  string
		route string
		spoil func(string) string
		want  error // nil: whatever comes, without a panic
	}{
		{"inspection without anything", "GET /containers/{id}/json", object(), ErrBadAnswer},
		{"inspection without an ID", "GET /containers/{id}/json", object("Name", "Config", "State", "HostConfig"), ErrBadAnswer},
		{"inspection without a configuration", "GET /containers/{id}/json", object("Id", "Name", "State"), nil},
		{"inspection with an ID and labels", "GET /containers/{id}/json", object("Id", "Config"), nil},
		{"inspection with an empty state", "GET /containers/{id}/json", func(string) string { return `{"Id":"x","State":{},"Config":{"Labels":null},"HostConfig":{}}` }, nil},
		{"inspection of null", "GET /containers/{id}/json", func(string) string { return "null" }, ErrBadAnswer},
		{"list of nothing with fields", "GET /containers/json", func(string) string { return "[{}]" }, ErrBadAnswer},
		{"list of null", "GET /containers/json", func(string) string { return "[null]" }, ErrBadAnswer},
		{"list without IDs", "GET /containers/json", list(object("Names", "Labels", "State")), ErrBadAnswer},
		{"list with labels alone", "GET /containers/json", list(object("Labels")), ErrBadAnswer},
		{"list with IDs and labels", "GET /containers/json", list(object("Id", "Labels")), nil},
		{"list without labels", "GET /containers/json", list(object("Id", "Names")), nil},
		{"images without IDs", "GET /images/json", list(object("RepoTags")), ErrBadAnswer},
		{"images of null", "GET /images/json", func(string) string { return "[null]" }, ErrBadAnswer},
		{"image without an ID", anything, object("RepoTags"), ErrBadAnswer},
		{"image with an ID", anything, object("Id"), nil},
		{"history of nothing", anything, func(body string) string {
			if strings.HasPrefix(body, "[") {
				return "[{}]"
			}
			return body
		}, nil},
		{"creation without anything", "POST /containers/create", object(), nil},
		{"version without anything", "GET /version", object(), nil},
		{"information without anything", "GET /info", object(), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			met := 0
			for _, call := range badCalls {
				e := newBadEngine(t, dir, seed())
				var asked atomic.Bool
				e.turnsBad(0, always, func(w http.ResponseWriter, r *http.Request, good func() *httptest.ResponseRecorder) {
					rec := good()
					body := rec.Body.String()
					if _, route := e.mux.Handler(r); route == tt.route && rec.Code < 300 {
						body = tt.spoil(body)
						asked.Store(true)
					}
					maps.Copy(w.Header(), rec.Header())
					w.WriteHeader(rec.Code)
					io.WriteString(w, body)
				})
				rt, closeClient := e.runtime(t)
				err := call.run(t.Context(), rt)
				closeClient()
				e.server.Close()
				if !asked.Load() {
					continue
				}
				met++
				t.Logf("%s: %v", call.method, err)
				var lib *Error
				switch {
				case call.spared != nil && errors.Is(err, call.sparing):
				case tt.want != nil && !errors.Is(err, tt.want):
					t.Errorf("%s: got %v; want %v", call.method, err, tt.want)
				case err != nil && !errors.As(err, &lib) && !errors.Is(err, errBadValue) && !errors.Is(err, errBadProblems):
					t.Errorf("%s: %v is no *Error", call.method, err)
				}
			}
			if met == 0 {
				t.Errorf("no method asks %s", tt.route)
			}
		})
	}
}
