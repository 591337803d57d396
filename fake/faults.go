package fake

import (
	"context"
	"sync"
	"time"
)

// Op names a method of the engine's interface.
type Op string

// One Op for each method of dockpod.DockerInterface and of the optional
// interfaces beside it, save ClientVersion, which cannot fail.
const (
	OpContainerList        Op = "ContainerList"
	OpContainerInspect     Op = "ContainerInspect"
	OpContainerCreate      Op = "ContainerCreate"
	OpContainerStart       Op = "ContainerStart"
	OpContainerStop        Op = "ContainerStop"
	OpContainerRemove      Op = "ContainerRemove"
	OpContainerLogs        Op = "ContainerLogs"
	OpContainerAttach      Op = "ContainerAttach"
	OpContainerResize      Op = "ContainerResize"
	OpContainerWait        Op = "ContainerWait"
	OpContainerKill        Op = "ContainerKill"
	OpContainerPause       Op = "ContainerPause"
	OpContainerUnpause     Op = "ContainerUnpause"
	OpContainerUpdate      Op = "ContainerUpdate"
	OpContainerRename      Op = "ContainerRename"
	OpContainerExecCreate  Op = "ContainerExecCreate"
	OpContainerExecStart   Op = "ContainerExecStart"
	OpContainerExecAttach  Op = "ContainerExecAttach"
	OpContainerExecInspect Op = "ContainerExecInspect"
	OpContainerExecResize  Op = "ContainerExecResize"
	OpContainerExecKill    Op = "ContainerExecKill"
	OpContainerDial        Op = "ContainerDial"
	OpImageInspect         Op = "ImageInspect"
	OpImageList            Op = "ImageList"
	OpImagePull            Op = "ImagePull"
	OpImageRemove          Op = "ImageRemove"
	OpImageHistory         Op = "ImageHistory"
	OpVolumeInspect        Op = "VolumeInspect"
	OpDiskUsage            Op = "DiskUsage"
	OpImageLoad            Op = "ImageLoad"
	OpPing                 Op = "Ping"
	OpInfo                 Op = "Info"
	OpServerVersion        Op = "ServerVersion"
	OpEvents               Op = "Events"
)

// Fault is what [Docker] calls around an operation. A non-nil error becomes
// the operation's result. target is the container, exec or image as the caller
// wrote it; for ContainerCreate it is the name asked for, and it is empty for
// lists, loads and the engine itself.
//
// A Fault is called with no lock held: it may use the engine, and it may
// record what it sees.
type Fault func(ctx context.Context, op Op, target string) error

// FailOnce fails the first call of op.
func FailOnce(op Op, err error) Fault { return FailTimes(1, op, err) }

// FailTimes fails the first n calls of op.
func FailTimes(n int, op Op, err error) Fault {
	count := counter(op)
	return func(_ context.Context, o Op, _ string) error {
		if i, ok := count(o); ok && i <= n {
			return err
		}
		return nil
	}
}

// FailNth fails the nth call of op alone; the first is 1.
func FailNth(n int, op Op, err error) Fault {
	count := counter(op)
	return func(_ context.Context, o Op, _ string) error {
		if i, ok := count(o); ok && i == n {
			return err
		}
		return nil
	}
}

// FailAlways fails every call of op.
func FailAlways(op Op, err error) Fault {
	return func(_ context.Context, o Op, _ string) error {
		if o == op {
			return err
		}
		return nil
	}
}

// FailFor fails every call of op that has this target.
func FailFor(op Op, target string, err error) Fault {
	return func(_ context.Context, o Op, t string) error {
		if o == op && t == target {
			return err
		}
		return nil
	}
}

// Delay makes every call of op take d longer. It ends early, with the
// context's error, if the context does.
func Delay(op Op, d time.Duration) Fault {
	return func(ctx context.Context, o Op, _ string) error {
		if o != op {
			return nil
		}
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Block makes every call of op hang until its context ends, and return the
// context's error. In [Docker.After] the operation has happened by then.
func Block(op Op) Fault {
	return func(ctx context.Context, o Op, _ string) error {
		if o != op {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

// Chain calls faults in order; the first error is the result. Each is called
// only if those before it returned nil.
func Chain(faults ...Fault) Fault {
	return func(ctx context.Context, op Op, target string) error {
		for _, f := range faults {
			if f == nil {
				continue
			}
			if err := f(ctx, op, target); err != nil {
				return err
			}
		}
		return nil
	}
}

// counter numbers the calls of op from 1.
func counter(op Op) func(Op) (int, bool) {
	var mu sync.Mutex
	var n int
	return func(o Op) (int, bool) {
		if o != op {
			return 0, false
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		return n, true
	}
}
