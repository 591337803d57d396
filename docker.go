package dockpod

import (
	"context"
	"io"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// DockerInterface is what a [Runtime] asks of a container engine: methods of
// [client.Client] with their own signatures, so that the client fits as it is.
// A test double embeds fake.Docker, or an interface below, and overrides what
// it needs.
//
// An engine may offer more: where the value also implements
// [ContainerWaiter], [ContainerKiller], [ContainerPauser], [ContainerUpdater],
// [ContainerStatser], [ContainerSizer], [EventSource] or [ImageLoader], the
// Runtime's methods that need them work; otherwise they return
// [ErrUnsupported]. With [DiskUsager] they measure what they else add up.
// *client.Client and fake.Docker implement all of them. [ExecKiller] and
// [PodDialer] are for engines that are not processes of a machine, as
// fake.Docker.
type DockerInterface interface {
	ContainerAPI
	ExecAPI
	ImageAPI
	SystemAPI
}

// ContainerAPI is the part of [DockerInterface] about containers.
type ContainerAPI interface {
	ContainerList(ctx context.Context, options container.ListOptions) ([]container.Summary, error)
	ContainerInspect(ctx context.Context, containerID string) (container.InspectResponse, error)
	ContainerCreate(ctx context.Context, config *container.Config, hostConfig *container.HostConfig, networkingConfig *network.NetworkingConfig, platform *ocispec.Platform, containerName string) (container.CreateResponse, error)
	ContainerStart(ctx context.Context, containerID string, options container.StartOptions) error
	ContainerStop(ctx context.Context, containerID string, options container.StopOptions) error
	ContainerRemove(ctx context.Context, containerID string, options container.RemoveOptions) error
	ContainerLogs(ctx context.Context, containerID string, options container.LogsOptions) (io.ReadCloser, error)
	ContainerAttach(ctx context.Context, containerID string, options container.AttachOptions) (types.HijackedResponse, error)
	ContainerResize(ctx context.Context, containerID string, options container.ResizeOptions) error
}

// ExecAPI is the part of [DockerInterface] about processes started inside a
// running container.
type ExecAPI interface {
	ContainerExecCreate(ctx context.Context, containerID string, options container.ExecOptions) (container.ExecCreateResponse, error)
	ContainerExecStart(ctx context.Context, execID string, options container.ExecStartOptions) error
	ContainerExecAttach(ctx context.Context, execID string, options container.ExecAttachOptions) (types.HijackedResponse, error)
	ContainerExecInspect(ctx context.Context, execID string) (container.ExecInspect, error)
	ContainerExecResize(ctx context.Context, execID string, options container.ResizeOptions) error
}

// ImageAPI is the part of [DockerInterface] about images.
type ImageAPI interface {
	ImageInspect(ctx context.Context, imageID string, options ...client.ImageInspectOption) (image.InspectResponse, error)
	ImageList(ctx context.Context, options image.ListOptions) ([]image.Summary, error)
	ImagePull(ctx context.Context, ref string, options image.PullOptions) (io.ReadCloser, error)
	ImageRemove(ctx context.Context, imageID string, options image.RemoveOptions) ([]image.DeleteResponse, error)
	ImageHistory(ctx context.Context, imageID string, options ...client.ImageHistoryOption) ([]image.HistoryResponseItem, error)
}

// SystemAPI is the part of [DockerInterface] about the engine itself.
type SystemAPI interface {
	Ping(ctx context.Context) (types.Ping, error)
	Info(ctx context.Context) (system.Info, error)
	ServerVersion(ctx context.Context) (types.Version, error)
	ClientVersion() string
}

// ContainerWaiter is implemented by an engine that tells when a container
// ends. [Runtime.Wait] needs it.
type ContainerWaiter interface {
	ContainerWait(ctx context.Context, containerID string, condition container.WaitCondition) (<-chan container.WaitResponse, <-chan error)
}

// ContainerKiller is implemented by an engine that sends signals.
// [Runtime.Kill] needs it, and so does the last resort of
// [Runtime.StopContainer].
type ContainerKiller interface {
	ContainerKill(ctx context.Context, containerID, signal string) error
}

// ContainerPauser is implemented by an engine that freezes containers. Podman
// refuses to stop a paused container, so [Runtime.StopContainer] thaws it
// first where it can.
type ContainerPauser interface {
	ContainerPause(ctx context.Context, containerID string) error
	ContainerUnpause(ctx context.Context, containerID string) error
}

// ContainerUpdater is implemented by an engine that changes the resources of
// a container in place. [Runtime.UpdateContainer] needs it.
type ContainerUpdater interface {
	ContainerUpdate(ctx context.Context, containerID string, updateConfig container.UpdateConfig) (container.UpdateResponse, error)
}

// ContainerStatser is implemented by an engine that counts what its containers
// use. [Runtime.ContainerStats] and its neighbours need it.
type ContainerStatser interface {
	ContainerStatsOneShot(ctx context.Context, containerID string) (container.StatsResponseReader, error)
}

// ContainerSizer is implemented by an engine that measures a container's
// files. [Runtime.ContainerFSInfo] needs it.
type ContainerSizer interface {
	ContainerInspectWithRaw(ctx context.Context, containerID string, getSize bool) (container.InspectResponse, []byte, error)
}

// EventSource is implemented by an engine that tells what happens to its
// containers and images. [Runtime.Watch] and [Runtime.Mirror] need it.
type EventSource interface {
	Events(ctx context.Context, options events.ListOptions) (<-chan events.Message, <-chan error)
}

// ImageLoader is implemented by an engine that takes an image from an
// archive. The built-in sandbox image needs it; without it
// [WithSandboxImage] has to name one.
type ImageLoader interface {
	ImageLoad(ctx context.Context, input io.Reader, options ...client.ImageLoadOption) (image.LoadResponse, error)
}

// DiskUsager is implemented by an engine that measures what it stores.
// [Runtime.ImageFSInfo] and the watermarks of [Runtime.CollectImages] have an
// upper bound without it.
type DiskUsager interface {
	DiskUsage(ctx context.Context, options types.DiskUsageOptions) (types.DiskUsage, error)
}

// The client of docker/docker v28.5.2 satisfies every interface above.
var _ interface {
	DockerInterface
	ContainerWaiter
	ContainerKiller
	ContainerPauser
	ContainerUpdater
	ContainerStatser
	ContainerSizer
	EventSource
	ImageLoader
	DiskUsager
} = (*client.Client)(nil)
