package fake

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
)

// ContainerStart starts a container. It is nil for one that runs. After a
// failure the state is what Docker 20.10 leaves: the error in State.Error, exit
// code 126 or 127 for a command that cannot be run and 128 for anything else,
// and the container created, or exited if it had run before.
func (d *Docker) ContainerStart(ctx context.Context, containerID string, _ container.StartOptions) error {
	_, err := onContainer(ctx, d, OpContainerStart, containerID, func(c *ctr) (struct{}, error) {
		return struct{}{}, d.start(c)
	})
	return err
}

// startError is why a start failed: after connect the container is there for
// the network, after logging it has a log file.
type startError struct {
	code   int // 126, 127 or 128
	logged bool
	err    error
}

func (d *Docker) start(c *ctr) error {
	switch {
	case c.running && c.paused:
		return Conflict("cannot start a paused container, try unpause instead")
	case c.running:
		return nil
	case c.removing || c.dead:
		return Conflict("container is marked for removal and cannot be started")
	}
	for _, m := range c.hc.Mounts {
		if err := d.checkMount(m); err != nil {
			return err
		}
	}
	if c.hc.Runtime == "" {
		c.hc.Runtime = "runc"
		c.freeze()
	}
	t, fail := d.launch(c)
	if fail != nil {
		d.disconnect(c)
		if fail.logged {
			c.logPath = d.logPath(c)
		}
		c.err = strings.TrimPrefix(fail.err.Error(), "Error response from daemon: ")
		if fail.code != 128 || c.exitCode == 0 {
			c.exitCode = fail.code
		}
		if c.hc.AutoRemove {
			d.forget(c)
		}
		return fail.err
	}
	c.logPath = d.logPath(c)
	c.running, c.paused, c.oom, c.err, c.exitCode = true, false, false, "", 0
	c.pid = d.newPid()
	if c.started = d.now().UTC(); !c.started.After(c.finished) && c.finished.Sub(c.started) < time.Millisecond {
		c.started = d.moment().UTC()
	}
	c.health = c.cfg.Healthcheck != nil && len(c.cfg.Healthcheck.Test) > 0 && c.cfg.Healthcheck.Test[0] != "NONE"
	d.meterStart(c)
	c.healthStatus = ""
	c.main = t
	d.containerEvent(c, "start")
	d.run(t)
	return nil
}

// launch does what has to succeed before a container runs, in the engine's
// order: network, namespaces, user, devices, log, runtime.
func (d *Docker) launch(c *ctr) (*task, *startError) {
	before := func(err error) (*task, *startError) { return nil, &startError{code: 128, err: err} }
	inRuntime := func(format string, args ...any) (*task, *startError) {
		return nil, &startError{128, true, Internal("failed to create shim task: OCI runtime create failed: runc create failed: "+format+": unknown", args...)}
	}
	if err := d.connect(c); err != nil {
		return before(err)
	}
	if f := d.decreed(c); f != nil {
		return nil, f
	}
	if err := d.joinNamespaces(c); err != nil {
		return before(err)
	}
	if err := c.image.checkIDs(c.cfg.User, c.hc.GroupAdd); err != nil {
		return before(err)
	}
	if err := d.checkDevices(c.hc); err != nil {
		return before(err)
	}
	if c.hc.CPUShares < 0 {
		return before(Internal("shares: invalid argument"))
	}
	if err := sharesInKernel(c.hc.CPUShares); err != nil {
		return inRuntime("unable to start container process: error during container init: error setting cgroup config for procHooks process: %v", err)
	}
	late, early := loadSeccomp(c.hc)
	if early != nil {
		return before(early)
	}
	if err := d.makeSources(c); err != nil {
		return before(err)
	}
	if c.logs.driver == "journald" {
		return before(Internal("failed to initialize logging driver: journald is not enabled on this host"))
	}
	if reason := cmp.Or(checkSysctls(c.hc), late); reason != "" {
		return inRuntime("%s", reason)
	}
	for _, u := range c.hc.Ulimits {
		if !slices.Contains(rlimits, strings.ToLower(u.Name)) {
			return inRuntime("wrong rlimit value: RLIMIT_%s", strings.ToUpper(u.Name))
		}
	}
	t := d.newTask(c, append([]string{c.path}, c.args...), c.cfg.User, c.cfg.Tty, nil)
	if reason, code := d.resolve(t, c.cfg.WorkingDir); code != 0 {
		return nil, &startError{code, true, Invalid("failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: %s: unknown", reason)}
	}
	file := ""
	if d.Root != "" {
		file = d.logPath(c)
	}
	if err := c.logs.begin(file, c.hc.LogConfig.Config); err != nil {
		return before(Internal("failed to initialize logging driver: %v", err))
	}
	return t, nil
}

var rlimits = strings.Fields("as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack")

// joinNamespaces looks at the containers whose IPC and PID namespaces are to
// be shared.
func (d *Docker) joinNamespaces(c *ctr) error {
	if of, ok := strings.CutPrefix(string(c.hc.IpcMode), "container:"); ok {
		other, err := d.find(of)
		const prefix = "can't join IPC of container "
		switch {
		case err != nil:
			return Internal(prefix+"%s: No such container: %s", of, of)
		case !other.running:
			return Internal(prefix+"%s: container %s is not running", of, of)
		case !other.hc.IpcMode.IsShareable() && !other.hc.IpcMode.IsHost():
			return Internal(prefix+"%s: non-shareable IPC (hint: use IpcMode:shareable for the donor container)", other.id)
		}
	}
	if of, ok := strings.CutPrefix(string(c.hc.PidMode), "container:"); ok {
		other, err := d.find(of)
		switch {
		case err != nil:
			return Internal("cannot join PID of a non running container: %s: No such container: %s", of, of)
		case !other.running:
			return Internal("container %s is not running", other.id)
		}
	}
	return nil
}

// logPath is where a container's log is, if its driver has a file.
func (d *Docker) logPath(c *ctr) string {
	if c.logs.driver != "json-file" {
		return ""
	}
	if d.Root != "" {
		return filepath.Join(d.Root, "containers", c.id, c.id+"-json.log")
	}
	return path.Join(dockerRoot, "containers", c.id, c.id+"-json.log")
}

func (d *Docker) newPid() int {
	d.seq++
	return 1000 + int(d.seq)
}

// exited records the end of a container's process. The caller holds the lock.
func (d *Docker) exited(c *ctr, code int) {
	if !c.running {
		return
	}
	t := c.main
	c.running, c.paused, c.main, c.pid, c.exitCode = false, false, nil, 0, code
	if c.finished = d.now().UTC(); c.finished.Before(c.started) && c.started.Sub(c.finished) < time.Millisecond {
		c.finished = c.started // the clock stands still
	}
	t.end()
	for _, x := range c.execs {
		d.execEnded(x, 128+sigKILL)
	}
	d.disconnect(c)
	if c.oom {
		d.containerEvent(c, "oom")
	}
	d.containerEvent(c, "die", "exitCode", decimal(code))
	c.logs.end(d.now())
	c.console.end()
	if c.stdin != nil {
		c.stdin.abandon()
		c.stdin = new(pipe) // for the next run
	}
	event := c.exit
	c.exit = newEvent()
	event.happen(code)
	if c.hc.AutoRemove && !c.removing {
		d.forget(c)
	}
}

// kill ends a container's process as SIGKILL does, at once.
func (d *Docker) kill(c *ctr) {
	if c.running {
		d.exited(c, 128+sigKILL)
	}
}

// signal delivers a signal other than SIGKILL.
func (d *Docker) signal(c *ctr, n int) {
	if !c.running {
		return
	}
	if c.paused {
		c.main.pending = append(c.main.pending, n)
		return
	}
	if code, ends := c.main.receive(n); ends {
		d.exited(c, code)
	}
}

// freezeOutput stops or resumes what the processes of a container write.
func (c *ctr) freezeOutput(yes bool) {
	c.console.freeze(yes)
	for _, x := range c.execs {
		if x.task != nil {
			x.task.console.freeze(yes)
		}
	}
}

// thaw lets a paused container go on.
func (d *Docker) thaw(c *ctr) {
	d.countOn(c, d.now())
	c.paused = false
	d.containerEvent(c, "unpause")
	c.freezeOutput(false)
	t := c.main
	pending := t.pending
	t.pending = nil
	for _, n := range pending {
		d.signal(c, n)
	}
}

// send is a kill request: the signal that stops a container thaws it too.
func (d *Docker) send(c *ctr, n int) {
	if c.running {
		d.containerEvent(c, "kill", "signal", decimal(n))
	}
	if n == sigKILL {
		if c.main != nil && c.main.unkillable {
			return
		}
		d.kill(c)
		return
	}
	d.signal(c, n)
	if !c.paused {
		return
	}
	stop := n
	if c.cfg.StopSignal != "" {
		stop, _ = signalNumber(c.cfg.StopSignal)
	}
	if stop == n {
		d.thaw(c)
	}
}

// ContainerKill sends a signal, SIGKILL if it is empty. A killed container has
// ended when the call returns.
func (d *Docker) ContainerKill(ctx context.Context, containerID, signal string) error {
	return do0(ctx, d, OpContainerKill, containerID, func() error {
		id, err := clientID(containerID)
		if err != nil {
			return err
		}
		n := sigKILL
		if signal != "" {
			if n, err = signalNumber(signal); err != nil {
				return err
			}
		}
		d.lock()
		c, err := d.find(id)
		if err != nil {
			d.mu.Unlock()
			return refuse(errdefs.ErrNotFound, "Cannot kill container: %s: No such container: %s", id, id)
		}
		if n < 0 || n > 64 {
			d.mu.Unlock()
			return Internal("Cannot kill container: %s: The linux daemon does not support signal %d", id, uint64(n))
		}
		if !c.running {
			d.mu.Unlock()
			return Conflict("Cannot kill container: %s: Container %s is not running", id, c.id)
		}
		event := c.exit
		d.send(c, n)
		d.mu.Unlock()
		if n != sigKILL {
			return nil
		}
		return d.await(ctx, OpContainerKill, event)
	})
}

// await waits for an event. One that has happened counts, even if the context
// has ended meanwhile.
func (d *Docker) await(ctx context.Context, op Op, e *event) error {
	select {
	case <-e.done:
	case <-ctx.Done():
		if !isClosed(e.done) {
			return ended(ctx, op)
		}
	case <-d.down:
		if !isClosed(e.done) {
			return errClosed
		}
	}
	return nil
}

// defaultGrace is how long the engine waits between the stop signal and
// SIGKILL.
const defaultGrace = 10 * time.Second

// ContainerStop sends the stop signal, waits for the grace period and kills.
// It is nil for a container that does not run. If ctx ends, the engine goes on
// with it.
func (d *Docker) ContainerStop(ctx context.Context, containerID string, o container.StopOptions) error {
	return do0(ctx, d, OpContainerStop, containerID, func() error {
		id, err := clientID(containerID)
		if err != nil {
			return err
		}
		d.lock()
		c, err := d.find(id)
		if err != nil || !c.running {
			d.mu.Unlock()
			return err
		}
		signal := sigTERM
		if c.cfg.StopSignal != "" {
			signal, _ = signalNumber(c.cfg.StopSignal)
		}
		if o.Signal != "" && d.has("1.42") {
			if signal, err = signalNumber(o.Signal); err != nil {
				d.mu.Unlock()
				return err
			}
		}
		grace := defaultGrace
		if c.cfg.StopTimeout != nil {
			grace = time.Duration(*c.cfg.StopTimeout) * time.Second
		}
		if o.Timeout != nil {
			grace = time.Duration(*o.Timeout) * time.Second
		}
		event := c.exit
		d.send(c, signal)
		if c.running && grace == 0 {
			d.send(c, sigKILL)
		}
		if c.running && grace > 0 {
			d.spawn(func() { d.killAfter(c, event, grace) })
		}
		if !c.running {
			d.containerEvent(c, "stop")
			d.mu.Unlock()
			return nil
		}
		stopped := newEvent()
		d.spawn(func() { d.tellStop(c, event, stopped) })
		d.mu.Unlock()
		return d.await(ctx, OpContainerStop, stopped)
	})
}

// tellStop tells that a stop is done, after its container has ended.
func (d *Docker) tellStop(c *ctr, e, stopped *event) {
	select {
	case <-e.done:
		d.mu.Lock()
		defer d.mu.Unlock()
		d.containerEvent(c, "stop")
		stopped.happen(e.code)
	case <-d.down:
	}
}

// killAfter kills a container that has not ended by then.
func (d *Docker) killAfter(c *ctr, e *event, grace time.Duration) {
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-t.C:
		d.mu.Lock()
		defer d.mu.Unlock()
		if c.exit == e && c.running {
			d.send(c, sigKILL)
		}
	case <-e.done:
	case <-d.down:
	}
}

// ContainerPause freezes a container: its signals wait, its output stands
// still.
func (d *Docker) ContainerPause(ctx context.Context, containerID string) error {
	_, err := onContainer(ctx, d, OpContainerPause, containerID, func(c *ctr) (none struct{}, err error) {
		switch {
		case !c.running:
			return none, Conflict("Container %s is not running", c.id)
		case c.paused:
			return none, Conflict("Container %s is already paused", c.id)
		}
		d.countOn(c, d.now())
		c.paused = true
		d.containerEvent(c, "pause")
		c.freezeOutput(true)
		return none, nil
	})
	return err
}

// ContainerUnpause thaws a container.
func (d *Docker) ContainerUnpause(ctx context.Context, containerID string) error {
	_, err := onContainer(ctx, d, OpContainerUnpause, containerID, func(c *ctr) (none struct{}, err error) {
		if !c.paused {
			return none, Internal("Container %s is not paused", c.id)
		}
		d.thaw(c)
		return none, nil
	})
	return err
}

// ContainerRemove removes a container and its log. A running one needs
// Force. Of several callers one gets nil; the others learn that the removal is
// under way (409) or that there is no such container (404).
func (d *Docker) ContainerRemove(ctx context.Context, containerID string, o container.RemoveOptions) error {
	return do0(ctx, d, OpContainerRemove, containerID, func() error {
		id, err := clientID(containerID)
		if err != nil {
			return err
		}
		d.lock()
		c, err := d.find(id)
		if err == nil {
			err = removable(c, o)
		}
		if err != nil {
			d.mu.Unlock()
			return err
		}
		c.removing, c.stripped = true, o.RemoveVolumes
		stopped := c.exit
		wait := c.running
		if wait {
			d.send(c, sigKILL)
			wait = c.running
		}
		if !wait && d.RemoveTime <= 0 {
			d.forget(c)
			d.mu.Unlock()
			return nil
		}
		d.spawn(func() { d.finishRemoval(c, wait, stopped) })
		d.mu.Unlock()
		return d.await(ctx, OpContainerRemove, c.removed)
	})
}

func removable(c *ctr, o container.RemoveOptions) error {
	switch {
	case o.RemoveLinks:
		return Internal("Conflict, cannot remove the default link name of the container")
	case c.removing:
		return Conflict("removal of container %s is already in progress", c.id)
	case o.Force:
		return nil
	case c.paused:
		return Conflict("You cannot remove a paused container %s. Unpause and then stop the container before attempting removal or force remove", c.id)
	case c.running:
		return Conflict("You cannot remove a running container %s. Stop the container before attempting removal or force remove", c.id)
	}
	return nil
}

// finishRemoval is a removal that takes time.
func (d *Docker) finishRemoval(c *ctr, wait bool, stopped *event) {
	if wait {
		select {
		case <-stopped.done:
		case <-d.down:
			return
		}
	}
	if d.RemoveTime > 0 {
		t := time.NewTimer(d.RemoveTime)
		defer t.Stop()
		select {
		case <-t.C:
		case <-d.down:
			return
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(c)
}

// forget makes a container vanish.
func (d *Docker) forget(c *ctr) {
	if d.containers[c.id] != c {
		return
	}
	d.dropContainer(c)
	if c.stripped || c.hc.AutoRemove {
		d.dropVolumes(c)
	}
	for _, id := range c.allExecs {
		delete(d.execs, id)
	}
	c.console.end()
	d.containerEvent(c, "destroy")
	if d.Root != "" {
		_ = os.RemoveAll(filepath.Join(d.Root, "containers", c.id))
	}
	c.removed.happen(c.exitCode)
	c.exit.happen(c.exitCode) // whoever waits for the next exit waits in vain
	c.exit = newEvent()
}

// ContainerWait tells when a container ends. The condition "" is the same as
// WaitConditionNotRunning, and so is any that is not known.
func (d *Docker) ContainerWait(ctx context.Context, containerID string, condition container.WaitCondition) (<-chan container.WaitResponse, <-chan error) {
	results, errs := make(chan container.WaitResponse, 1), make(chan error, 1)
	_, err := onContainer(ctx, d, OpContainerWait, containerID, func(c *ctr) (none struct{}, err error) {
		event := c.exit
		switch {
		case condition == container.WaitConditionRemoved:
			event = c.removed
		case condition != container.WaitConditionNextExit && !c.running:
			results <- container.WaitResponse{StatusCode: int64(c.exitCode)}
			return none, nil
		}
		d.spawn(func() {
			select {
			case <-event.done:
				results <- container.WaitResponse{StatusCode: int64(event.code)}
			case <-ctx.Done():
				errs <- ctx.Err()
			case <-d.down:
				errs <- errClosed
			}
		})
		return none, nil
	})
	if err != nil {
		// A wait that was begun and whose answer a fault has lost goes on
		// with its own channels.
		failed := make(chan error, 1)
		failed <- err
		return make(chan container.WaitResponse), failed
	}
	return results, errs
}

// ContainerResize records the size of a container's terminal, see
// [Docker.TerminalSize], and tells the process by SIGWINCH.
func (d *Docker) ContainerResize(ctx context.Context, containerID string, o container.ResizeOptions) error {
	_, err := onContainer(ctx, d, OpContainerResize, containerID, func(c *ctr) (none struct{}, err error) {
		if !c.running {
			return none, Conflict("Container %s is not running", c.id)
		}
		c.size = o
		d.containerEvent(c, "resize", "height", decimal(int(o.Height)), "width", decimal(int(o.Width)))
		d.signal(c, signals["WINCH"])
		return none, nil
	})
	return err
}

// ContainerUpdate changes resources and the restart policy; zero fields stay
// as they are.
func (d *Docker) ContainerUpdate(ctx context.Context, containerID string, u container.UpdateConfig) (container.UpdateResponse, error) {
	return onContainer(ctx, d, OpContainerUpdate, containerID, func(c *ctr) (none container.UpdateResponse, err error) {
		if err := checkPolicy(u.RestartPolicy); err != nil {
			return none, err
		}
		warnings := d.discard(&u.Resources)
		if err := checkResources(&u.Resources, nil); err != nil {
			return none, err
		}
		was := *c.hc
		if err := c.update(u); err != nil {
			return none, Conflict("Cannot update container %s: %s", c.id, err)
		}
		if err := sharesInKernel(c.hc.CPUShares); err != nil && c.running {
			*c.hc = was
			return none, Internal("Cannot update container %s: runc did not terminate successfully: exit status 1: %v\n: unknown", c.id, err)
		}
		c.freeze()
		d.containerEvent(c, "update")
		return container.UpdateResponse{Warnings: warnings}, nil
	})
}

// sharesInKernel refuses shares that a kernel does not take.
func sharesInKernel(shares int64) error {
	switch {
	case shares == 1:
		return errors.New("the minimum allowed cpu-shares is 2")
	case shares < 0 || shares > 1<<18:
		return errors.New("the maximum allowed cpu-shares is 262144")
	}
	return nil
}

func (c *ctr) update(u container.UpdateConfig) error {
	now, want := &c.hc.Resources, &u.Resources
	switch {
	case c.removing || c.dead:
		return errors.New("container is marked for removal and cannot be \"update\"")
	case want.Memory != 0 && want.Memory > now.MemorySwap && want.MemorySwap == 0:
		return errors.New("Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time")
	case c.hc.AutoRemove && u.RestartPolicy.Name != "" && !u.RestartPolicy.IsNone():
		return errors.New("Restart policy cannot be updated because AutoRemove is enabled for the container")
	case want.NanoCPUs > 0 && now.CPUPeriod > 0:
		return errors.New("Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set")
	case want.NanoCPUs > 0 && now.CPUQuota > 0:
		return errors.New("Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set")
	case want.CPUPeriod > 0 && now.NanoCPUs > 0:
		return errors.New("Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set")
	case want.CPUQuota > 0 && now.NanoCPUs > 0:
		return errors.New("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set")
	}
	set := func(to *int64, v int64) {
		if v != 0 {
			*to = v
		}
	}
	set(&now.CPUShares, want.CPUShares)
	set(&now.CPUPeriod, want.CPUPeriod)
	set(&now.CPUQuota, want.CPUQuota)
	set(&now.NanoCPUs, want.NanoCPUs)
	set(&now.CPURealtimePeriod, want.CPURealtimePeriod)
	set(&now.CPURealtimeRuntime, want.CPURealtimeRuntime)
	set(&now.Memory, want.Memory)
	set(&now.MemorySwap, want.MemorySwap)
	set(&now.MemoryReservation, want.MemoryReservation)
	if want.BlkioWeight != 0 {
		now.BlkioWeight = want.BlkioWeight
	}
	if want.CpusetCpus != "" {
		now.CpusetCpus = want.CpusetCpus
	}
	if want.CpusetMems != "" {
		now.CpusetMems = want.CpusetMems
	}
	if want.PidsLimit != nil {
		limit := max(*want.PidsLimit, 0)
		now.PidsLimit = &limit
	}
	if u.RestartPolicy.Name != "" {
		c.hc.RestartPolicy = u.RestartPolicy
	}
	return nil
}
