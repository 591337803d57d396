//go:build linux

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/docker/docker/client"

	"github.com/dockpod/dockpod"
)

// Dockerd is a Docker engine of its own beside that of the machine, with a
// state, a socket and a bridge of its own. It can be killed.
type Dockerd struct {
	// Host is its endpoint.
	Host string

	dir, bridge string
	closed      bool
	cmd         *exec.Cmd
	exited      chan struct{}
	log         lockedBuffer
}

// lockedBuffer is what a process writes while somebody may read it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// ErrNoDockerd: this machine cannot run an engine of its own.
var ErrNoDockerd = errors.New("a private engine needs root, dockerd and ip")

// NewDockerd starts an engine below dir, which should have a short path: it
// holds sockets. The caller closes it.
func NewDockerd(ctx context.Context, dir string) (*Dockerd, error) {
	for _, program := range []string{"dockerd", "ip"} {
		if _, err := exec.LookPath(program); err != nil || os.Getuid() != 0 {
			return nil, ErrNoDockerd
		}
	}
	d := &Dockerd{dir: dir, Host: "unix://" + filepath.Join(dir, "s"), bridge: fmt.Sprintf("dpe%d", os.Getpid())}
	// The engine must not touch the machine's own bridge, nor its firewall.
	if out, err := exec.CommandContext(ctx, "ip", "link", "add", d.bridge, "type", "bridge").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrNoDockerd, out)
	}
	if err := d.Start(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Start starts the engine, and waits until it answers.
func (d *Dockerd) Start(ctx context.Context) error {
	path := func(name string) string { return filepath.Join(d.dir, name) }
	d.cmd = exec.Command("dockerd", "--data-root", path("data"), "--exec-root", path("exec"), "--pidfile", path("pid"), "-H", d.Host,
		"--bridge", d.bridge, "--iptables=false", "--ip6tables=false", "--userland-proxy=false", "--config-file", path("none.json"))
	if err := os.WriteFile(path("none.json"), []byte("{}"), 0o600); err != nil {
		return err
	}
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	if err := d.cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	d.exited = exited
	cmd := d.cmd
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	cli, err := client.NewClientWithOpts(client.WithHost(d.Host), client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer cli.Close()
	for {
		if err = dockpod.New(cli).Ready(ctx); err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("dockerd ended: %s", d.tail())
		case <-ctx.Done():
			return fmt.Errorf("dockerd does not answer: %w: %s", err, d.tail())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d *Dockerd) tail() string {
	text := d.log.String()
	return text[max(0, len(text)-2000):]
}

// Stop sends a signal and waits until the engine has ended. Containers go on
// without an engine that was killed, as they do where one has crashed: the next
// Start finds them, or Close ends them.
func (d *Dockerd) Stop(signal os.Signal) error {
	if err := d.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-d.exited:
		return d.bury()
	case <-time.After(2 * time.Minute):
		return fmt.Errorf("dockerd does not end on %v", signal)
	}
}

// bury removes the note of a containerd that died with a killed engine. Where
// nobody reaps what is left of it, the next engine would take it for alive.
func (d *Dockerd) bury() error {
	file := filepath.Join(d.dir, "exec", "containerd", "containerd.pid")
	text, err := os.ReadFile(file)
	if err != nil {
		return nil // a good end removes it
	}
	stat := filepath.Join("/proc", strings.TrimSpace(string(text)), "stat")
	for range 100 {
		state, err := os.ReadFile(stat)
		if err != nil || strings.Contains(string(state), ") Z ") {
			return os.Remove(file)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil // it lives, and the next engine takes it over
}

// Close ends the engine and what it has left. A second Close does nothing.
func (d *Dockerd) Close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	var errs []error
	if d.cmd != nil && d.cmd.Process != nil {
		errs = append(errs, d.Stop(syscall.SIGTERM))
	}
	errs = append(errs, d.sweep())
	// Mounts that are left would keep the directory.
	if mounts, err := os.ReadFile("/proc/self/mounts"); err == nil {
		for line := range strings.Lines(string(mounts)) {
			if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], d.dir+"/") {
				_ = syscall.Unmount(f[1], syscall.MNT_DETACH)
			}
		}
	}
	if out, err := exec.Command("ip", "link", "del", d.bridge).CombinedOutput(); err != nil {
		errs = append(errs, fmt.Errorf("remove the bridge: %s", out))
	}
	return errors.Join(errs...)
}

// sweep kills what a killed engine has left to the next one, and removes the
// containers' cgroups, which stand among those of the machine's engine.
func (d *Dockerd) sweep() error {
	for range 500 {
		left := d.processes()
		if len(left) == 0 {
			break
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(20 * time.Millisecond)
	}
	containers, _ := filepath.Glob(filepath.Join(d.dir, "data", "containers", "*"))
	for _, c := range containers {
		for _, root := range []string{"/sys/fs/cgroup/docker", "/sys/fs/cgroup/*/docker"} {
			groups, _ := filepath.Glob(filepath.Join(root, filepath.Base(c)))
			for _, g := range groups {
				_ = os.Remove(g) // one of several names of it
			}
		}
	}
	if left := d.processes(); len(left) > 0 {
		return fmt.Errorf("processes %v are left", left)
	}
	return nil
}

// processes returns the living processes of the engine: those that have its
// directory in their command lines, which are dockerd, containerd and the
// shims, and what these have started, which are the containers.
func (d *Dockerd) processes() []int {
	children := map[int][]int{}
	var found []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, _ := os.ReadFile(path) // whoever has ended is none of them
		var pid, parent int
		var state string
		name := bytes.LastIndexByte(stat, ')')
		if n, _ := fmt.Sscan(string(stat), &pid); n != 1 || name < 0 {
			continue
		}
		if n, _ := fmt.Sscan(string(stat[name+1:]), &state, &parent); n != 2 || state == "Z" || state == "X" {
			continue
		}
		children[parent] = append(children[parent], pid)
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if pid != os.Getpid() && bytes.Contains(line, []byte(d.dir+"/")) {
			found = append(found, pid)
		}
	}
	for i := 0; i < len(found); i++ {
		for _, pid := range children[found[i]] {
			if !slices.Contains(found, pid) {
				found = append(found, pid)
			}
		}
	}
	return found
}
