package fake

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"
)

// Docker is an engine in memory. The zero value is an engine that holds
// nothing and is ready to use. It is safe for concurrent use; its exported
// fields are changed only while no call is under way.
//
// What goes in and what comes out is copied: changing a value afterwards
// changes nothing in the engine.
type Docker struct {
	// Now is the engine's clock; nil is time.Now, so that a
	// testing/synctest bubble has its own. It is called from several
	// goroutines, and must not use the engine.
	Now func() time.Time

	// Before is called before an operation; its error is the result, and
	// nothing has happened. See [FailOnce] and its neighbours. It may as
	// well return nil and be a spy.
	Before Fault

	// After is called after an operation that succeeded; its error is all
	// that the caller sees, but what was asked for has happened. With
	// FailOnce(OpContainerCreate, context.DeadlineExceeded) a container is
	// made, and the answer is lost.
	After Fault

	// Deliver, if set, is asked how often and how late an event reaches a
	// reader: (1, 0) is once and at once, (0, 0) never. Later ones overtake
	// those that are late. It must not use the engine. The history keeps
	// every event once.
	Deliver func(events.Message) (copies int, delay time.Duration)

	// Root, if not empty, is a directory where the engine keeps
	// containers/<id>/<id>-json.log in Docker's json-file format, so that
	// LogPath can be linked to and read. Without it LogPath names a file
	// below /var/lib/docker that is not there, and logs are in memory only.
	Root string

	// APIVersion is what ClientVersion reports and what decides which
	// fields are accepted; empty is "1.41". The words of the engine stay
	// those of Docker 20.10.
	APIVersion string

	// HostFS makes the engine look for the sources of bind mounts and for
	// devices in the file system of this process. Without it each of them
	// is there, unless [Docker.Absent] was told otherwise.
	HostFS bool

	// RemoveTime is how long the removal of a container takes. For that
	// time the container is in the state "removing", and others who want it
	// removed are told so (409).
	RemoveTime time.Duration

	// CgroupDriver is what Info reports: "cgroupfs" if empty, or "systemd",
	// where a cgroup parent has to be a slice.
	CgroupDriver string

	// CgroupVersion is what Info reports and how statistics are shaped: "1" if
	// empty, or "2".
	CgroupVersion string

	// Security is what Info reports of the kernel's: "seccomp", "apparmor",
	// "selinux", "rootless", "userns". Nil is seccomp alone. It changes
	// nothing in what is done.
	Security []string

	// Runtimes are names that HostConfig.Runtime may have besides runc and
	// the two that Docker 20.10 brings with it.
	Runtimes []string

	// Lacks names limits that the kernel of the engine's host has not:
	// "memory", "swap", "cpu shares", "cpu quota", "cpuset", "pids",
	// "blkio weight", "blkio rates". Info says so of the first six, and a
	// setting is dropped with a warning.
	Lacks []string

	// CDIDevices are the qualified names of the CDI devices that the engine
	// knows. Without any it has no driver for them, as Docker before 25.
	CDIDevices []string

	mu     sync.Mutex
	closed bool
	seq    uint64

	containers map[string]*ctr   // by ID
	names      map[string]string // ID by name, without the slash
	ids        []string          // sorted, for prefixes
	phantoms   map[string]string // ID that a name is said to be held by

	images        map[string]*img    // by ID
	tags          map[string]*img    // by normalised reference
	remote        map[string]*remote // by normalised reference
	execs         map[string]*execution
	net           networks
	volumes       map[string]bool // by name; true: anonymous
	absent        map[string]bool
	startFailures []startFailure
	programs      map[string]Program
	events        eventLog

	running sync.WaitGroup // goroutines of processes and streams
	down    chan struct{}  // closed by Close
}

// init makes the maps of a zero value; the caller holds the lock.
func (d *Docker) init() {
	if d.containers != nil {
		return
	}
	d.containers = map[string]*ctr{}
	d.names = map[string]string{}
	d.phantoms = map[string]string{}
	d.images = map[string]*img{}
	d.tags = map[string]*img{}
	d.remote = map[string]*remote{}
	d.execs = map[string]*execution{}
	d.volumes = map[string]bool{}
	d.absent = map[string]bool{}
	if d.programs == nil {
		d.programs = map[string]Program{}
	}
	d.net.init(d.newID("network"))
	d.down = make(chan struct{})
}

// lock locks the engine for an operation.
func (d *Docker) lock() {
	d.mu.Lock()
	d.init()
}

func (d *Docker) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// newID returns 64 hex digits. They look random, as the engine's do, and are
// the same in every run: the nth ID of an engine is always the same.
func (d *Docker) newID(kind string) string {
	d.seq++
	sum := sha256.Sum256([]byte("dockpod fake " + kind + " " + strconv.FormatUint(d.seq, 10)))
	return hex.EncodeToString(sum[:])
}

func (d *Docker) apiVersion() string { return cmp.Or(d.APIVersion, "1.41") }

// has tells whether the API version spoken is at least v.
func (d *Docker) has(v string) bool { return versions.GreaterThanOrEqualTo(d.apiVersion(), v) }

// Close ends all processes and streams and waits for them. The engine answers
// no call after that. It is safe to call more than once.
func (d *Docker) Close() error {
	d.lock()
	if !d.closed {
		d.closed = true
		close(d.down)
		for _, c := range d.containers {
			d.kill(c)
			c.console.end()
		}
	}
	d.mu.Unlock()
	d.running.Wait()
	return nil
}

// spawn runs f on a goroutine that Close waits for. The caller holds the lock.
func (d *Docker) spawn(f func()) {
	if !d.closed {
		d.running.Go(f)
	}
}

var errClosed = errors.New("fake engine is closed")

// do runs an operation between the two faults. It is the only way into the
// engine from its interface.
func do[T any](ctx context.Context, d *Docker, op Op, target string, f func() (T, error)) (T, error) {
	var zero T
	if err := ended(ctx, op); err != nil {
		return zero, err
	}
	d.mu.Lock()
	before, after, closed := d.Before, d.After, d.closed
	d.mu.Unlock()
	if closed {
		return zero, errClosed
	}
	if before != nil {
		if err := before(ctx, op, target); err != nil {
			return zero, err
		}
		if err := ended(ctx, op); err != nil {
			return zero, err
		}
	}
	v, err := f()
	if err != nil {
		return zero, err
	}
	if after != nil {
		if err := after(ctx, op, target); err != nil {
			discard(v)
			return zero, err
		}
	}
	return v, nil
}

// discard closes what nobody will get.
func discard(v any) {
	switch v := v.(type) {
	case interface{ Close() error }:
		v.Close()
	case types.HijackedResponse:
		v.Close()
	}
}

// do0 is do for operations that return nothing but an error.
func do0(ctx context.Context, d *Docker, op Op, target string, f func() error) error {
	_, err := do(ctx, d, op, target, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

// ended wraps the context's error as a client does, which shows the request.
func ended(ctx context.Context, op Op) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("fake engine: %s: %w", op, err)
	}
	return nil
}

// ClientVersion returns APIVersion.
func (d *Docker) ClientVersion() string { return d.apiVersion() }

// Ping says that the engine is there.
func (d *Docker) Ping(ctx context.Context) (types.Ping, error) {
	return do(ctx, d, OpPing, "", func() (types.Ping, error) {
		return types.Ping{APIVersion: d.apiVersion(), OSType: "linux"}, nil
	})
}

// engineVersion is the release whose behaviour this is.
const engineVersion = "20.10.24"

// ServerVersion describes Docker 20.10.24 on linux/amd64.
func (d *Docker) ServerVersion(ctx context.Context) (types.Version, error) {
	return do(ctx, d, OpServerVersion, "", func() (types.Version, error) {
		v := types.Version{
			Version: engineVersion, APIVersion: d.apiVersion(), MinAPIVersion: "1.12",
			GitCommit: "5d6db84", GoVersion: "go1.19.7", Os: "linux", Arch: "amd64",
			KernelVersion: kernel, BuildTime: "2023-04-04T18:18:48.000000000+00:00",
		}
		v.Components = []types.ComponentVersion{
			{Name: "Engine", Version: engineVersion, Details: map[string]string{
				"ApiVersion": v.APIVersion, "Arch": v.Arch, "BuildTime": v.BuildTime, "Experimental": "false", "GitCommit": v.GitCommit,
				"GoVersion": v.GoVersion, "KernelVersion": v.KernelVersion, "MinAPIVersion": v.MinAPIVersion, "Os": v.Os,
			}},
			{Name: "containerd", Version: "1.6.20", Details: map[string]string{"GitCommit": "2806fc1057397dbaeefbea0e4e17bddfbd388f38"}},
			{Name: "runc", Version: "1.1.5", Details: map[string]string{"GitCommit": "v1.1.5-0-gf19387a"}},
			{Name: "docker-init", Version: "0.19.0", Details: map[string]string{"GitCommit": "de40ad0"}},
		}
		return v, nil
	})
}

const (
	kernel     = "5.10.0-21-amd64"
	cpus       = 4
	hostname   = "fake"
	dockerRoot = "/var/lib/docker"
)

func (d *Docker) root() string { return cmp.Or(d.Root, dockerRoot) }

// Info describes a machine with four CPUs and 8 GiB, cgroup v1, the cgroupfs
// driver, overlay2 and json-file.
func (d *Docker) Info(ctx context.Context) (system.Info, error) {
	return do(ctx, d, OpInfo, "", func() (system.Info, error) {
		d.lock()
		defer d.mu.Unlock()
		i := system.Info{
			ID: "FAKE:DOCK:POD2:ENGI:NE20:1024:AAAA:BBBB:CCCC:DDDD:EEEE:FFFF", Name: hostname,
			Images: len(d.images), Driver: "overlay2",
			DriverStatus: [][2]string{{"Backing Filesystem", "extfs"}, {"Supports d_type", "true"}, {"Native Overlay Diff", "true"}, {"userxattr", "false"}},
			Plugins: system.PluginsInfo{
				Volume: []string{"local"}, Network: []string{"bridge", "host", "ipvlan", "macvlan", "null", "overlay"}, Log: logDrivers(),
			},
			MemoryLimit: !d.lacks("memory"), SwapLimit: !d.lacks("swap"), KernelMemory: true, KernelMemoryTCP: true,
			CPUCfsPeriod: !d.lacks("cpu quota"), CPUCfsQuota: !d.lacks("cpu quota"),
			CPUShares: !d.lacks("cpu shares"), CPUSet: !d.lacks("cpuset"), PidsLimit: !d.lacks("pids"), IPv4Forwarding: true, OomKillDisable: true,
			SystemTime: d.now().Format(time.RFC3339Nano), LoggingDriver: "json-file", CgroupDriver: cmp.Or(d.CgroupDriver, "cgroupfs"), CgroupVersion: cmp.Or(d.CgroupVersion, "1"),
			KernelVersion: kernel, OperatingSystem: "Debian GNU/Linux 11 (bullseye)", OSVersion: "11", OSType: "linux", Architecture: "x86_64",
			IndexServerAddress: "https://index.docker.io/v1/", NCPU: cpus, MemTotal: memory, DockerRootDir: d.root(), Labels: []string{},
			ServerVersion: engineVersion, DefaultRuntime: "runc", InitBinary: "docker-init",
			Runtimes:        map[string]system.RuntimeWithStatus{},
			SecurityOptions: d.securityOptions(),
		}
		for _, name := range slices.Concat(runtimes, d.Runtimes) {
			i.Runtimes[name] = system.RuntimeWithStatus{Runtime: system.Runtime{Path: "runc"}}
		}
		if len(d.CDIDevices) > 0 && d.has("1.44") {
			i.CDISpecDirs = []string{"/etc/cdi", "/var/run/cdi"}
		}
		i.Swarm.LocalNodeState = "inactive"
		i.Containers = len(d.containers)
		for _, c := range d.containers {
			switch {
			case c.paused:
				i.ContainersPaused++
			case c.running:
				i.ContainersRunning++
			default:
				i.ContainersStopped++
			}
		}
		return i, nil
	})
}

// runtimes are the names that HostConfig.Runtime may always have.
var runtimes = []string{"runc", "io.containerd.runc.v2", "io.containerd.runtime.v1.linux"}
