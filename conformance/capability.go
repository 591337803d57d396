package conformance

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/conformance/internal/prog"
)

// needs skips a case that the engine cannot carry, by the name of what it
// lacks.
func (w *world) needs(t *testing.T, capability string) {
	t.Helper()
	if !w.has(t, capability) {
		t.Skipf("the engine lacks %q", capability)
	}
}

// has tells whether the engine has a capability of this list.
func (w *world) has(t *testing.T, capability string) bool {
	t.Helper()
	has, ok := capabilities[capability]
	if !ok {
		t.Fatalf("no capability is called %q", capability)
	}
	return has(t, w)
}

var capabilities = map[string]func(*testing.T, *world) bool{
	// The engine tells when a container ends.
	"waiting": implements[dockpod.ContainerWaiter],
	// The engine tells what happens.
	"events": implements[dockpod.EventSource],
	// The engine sends signals.
	"signals": implements[dockpod.ContainerKiller],
	// The engine freezes containers.
	"pausing": implements[dockpod.ContainerPauser],
	// A paused container can be stopped as it is. Podman wants it thawed first.
	"stopping the paused": notPodman,
	// Lists tell what was made within one second apart. Podman's do not.
	"exact order": notPodman,
	// An inspection repeats what a create said. Podman's leaves out some of it
	// and spells other in its own way.
	"exact inspections": notPodman,
	// A refusal's class tells its kind, and it comes as early as Docker's.
	// Podman answers 500 to most, and some only at the start.
	"classes": notPodman,
	// The engine changes limits in place. Podman has that call from release 5.
	"updates": func(t *testing.T, w *world) bool {
		return implements[dockpod.ContainerUpdater](t, w) && !w.isPodman(t)
	},
	// A container has the hostname of the sandbox whose network it joins.
	// Podman's has its own ID.
	"shared hostnames": notPodman,
	// A container whose start failed can be told from a new one. Podman notes
	// nothing.
	"failed starts": notPodman,
	// A sandbox can be removed, or stopped, under its containers. Podman
	// refuses the one and starts the sandbox again after the other.
	"loose sandboxes": notPodman,
	// An image can be removed by force under its containers. Podman removes
	// the containers with it.
	"loose images": notPodman,
	// A mount can be read-only without what is mounted below it.
	"shallow read-only mounts": func(t *testing.T, w *world) bool {
		return w.features(t).ReadOnlyNonRecursive && localFiles(t, w)
	},
	// The engine's API is too old for some of what dockpod takes.
	"an old API": func(t *testing.T, w *world) bool { return !w.features(t).ReadOnlyRecursive },
	// The kernel limits swap.
	"swap limits": func(t *testing.T, w *world) bool {
		info, err := w.docker.Info(t.Context())
		must(t, err)
		return info.SwapLimit
	},
	// What the kernel limits can be read here: the engine's containers are in
	// the cgroups of this machine.
	"cgroup files": func(t *testing.T, w *world) bool {
		if implements[programmer](t, w) {
			return false // the number of its process is some other process's here
		}
		id := w.alone(t, "sleep")
		w.run(t, id)
		_, ok := cgroupDir(w.status(t, id).PID, "memory")
		must(t, w.rt.RemoveContainer(t.Context(), id))
		return ok
	},
	// The engine gives an image that was not pulled a repository digest.
	"repository digests": func(t *testing.T, w *world) bool { return len(w.img(t, w.image).RepoDigests) > 0 },
	// The engine's log files can be read here, as one line of JSON for each of
	// the log. Podman's are of another format.
	"json-file logs": func(t *testing.T, w *world) bool {
		id := w.ended(t, "exit")
		_, err := os.ReadFile(w.raw(t, id).LogPath)
		must(t, w.rt.RemoveContainer(t.Context(), id))
		return err == nil && !w.isPodman(t)
	},
	// The engine's log files can be read here, whatever their format.
	"log files": func(t *testing.T, w *world) bool {
		id := w.ended(t, "exit")
		_, err := os.ReadFile(w.raw(t, id).LogPath)
		must(t, w.rt.RemoveContainer(t.Context(), id))
		return err == nil
	},
	// The engine's API tells the times of log lines to the nanosecond, and
	// takes bounds as exact. Podman's does so by the second.
	"exact log times": notPodman,
	// The engine has the log driver "local". Podman has not.
	"local logs": notPodman,
	// The ports that the engine publishes are this machine's.
	"host ports": func(t *testing.T, w *world) bool {
		port := w.ports(t, 1)[0]
		id := w.sandbox(t, w.podAt("probe", port))
		held := !unheld(port)
		must(t, w.rt.RemoveSandbox(t.Context(), id))
		return held
	},
	// Containers are processes of a kernel. The fake's are functions.
	"real processes": func(t *testing.T, w *world) bool { return !implements[programmer](t, w) },
	// The engine's processes are in this machine's /proc. It runs what this
	// process sees of itself, if its containers have the same user namespace.
	"this machine's processes": func(t *testing.T, w *world) bool {
		return localFiles(t, w) && prog.LookAt("self") != nil && !w.info(t).Rootless
	},
	// The engine has all capabilities to give: it may run privileged containers.
	// One in a container or a virtual machine may lack some.
	"all capabilities": func(t *testing.T, w *world) bool {
		resp, err := w.docker.ContainerCreate(t.Context(), &container.Config{Image: w.image, Cmd: []string{"exit"}},
			&container.HostConfig{Privileged: true, NetworkMode: "none"}, nil, nil, "privileged-"+w.owner+"-"+random(t))
		must(t, err)
		defer w.tear(t, resp.ID)
		if err := w.docker.ContainerStart(t.Context(), resp.ID, container.StartOptions{}); err != nil {
			return false
		}
		// Podman fails to kill what is about to end.
		w.eventually(t, "the end of a privileged container", func() bool { return !w.raw(t, resp.ID).State.Running })
		return true
	},
	// What a container gets without asking is what Docker gives it. Podman
	// gives fewer capabilities and a limit of processes.
	"Docker's defaults": notPodman,
	// The engine confines processes by seccomp.
	"seccomp": func(t *testing.T, w *world) bool { return w.info(t).Seccomp },
	// The seccomp profile is Docker's. Podman's lets more through.
	"the default seccomp profile": func(t *testing.T, w *world) bool { return w.info(t).Seccomp && !w.isPodman(t) },
	// The engine takes the content of a seccomp profile. Podman wants a path.
	"profiles of files": notPodman,
	// A container may choose its masked and read-only paths. Podman drops them.
	"paths of a container's own": notPodman,
	// A cgroup is a path. The systemd driver's is a slice.
	"cgroupfs": func(t *testing.T, w *world) bool { return w.info(t).CgroupDriver == "cgroupfs" },
	// This process can mount where the engine sees it.
	"mounting": func(t *testing.T, w *world) bool {
		return localFiles(t, w) && (implements[programmer](t, w) || canMount())
	},
	// The engine counts what containers use.
	"stats": implements[dockpod.ContainerStatser],
	// It tells what their memory is used for. Podman does not.
	"detailed memory": func(t *testing.T, w *world) bool {
		return implements[dockpod.ContainerStatser](t, w) && !w.isPodman(t)
	},
	// The engine tells whom the kernel killed for want of memory. Podman does so
	// with cgroup v2 alone.
	"OOM kills": notPodman,
	// The engine carries out health checks. Podman leaves that to systemd.
	"health checks": notPodman,
	// The engine follows restart policies. The fake keeps them.
	"restarts": func(t *testing.T, w *world) bool { return !implements[programmer](t, w) },
	// The engine tells of volumes.
	"volumes": implements[volumeInspector],
	// The engine tells what happened before somebody listened. Podman does so
	// from a journal alone.
	"past events": func(t *testing.T, w *world) bool {
		return implements[dockpod.EventSource](t, w) && !w.isPodman(t)
	},
	// The engine measures a container's files.
	"sizes": implements[dockpod.ContainerSizer],
	// The engine sees the files of this machine.
	"local files": localFiles,
	// The process of an exec can be killed: by the engine, or by root on its
	// host.
	"killing execs": func(t *testing.T, w *world) bool {
		return implements[dockpod.ExecKiller](t, w) || isHost(t, w)
	},
	// A pod's localhost can be reached: likewise.
	"pods' localhost": func(t *testing.T, w *world) bool {
		return implements[dockpod.PodDialer](t, w) || isHost(t, w)
	},
}

func implements[I any](_ *testing.T, w *world) bool {
	_, ok := w.docker.(I)
	return ok
}

func localFiles(_ *testing.T, w *world) bool {
	remote, ok := w.docker.(interface{ DaemonHost() string })
	return !ok || strings.HasPrefix(remote.DaemonHost(), "unix://")
}

// isHost tells whether this is root on the engine's host.
func isHost(t *testing.T, w *world) bool {
	_, remote := w.docker.(interface{ DaemonHost() string })
	return remote && localFiles(t, w) && os.Geteuid() == 0 && runtime.GOOS == "linux"
}

func notPodman(t *testing.T, w *world) bool { return !w.isPodman(t) }

func (w *world) isPodman(t *testing.T) bool {
	t.Helper()
	v, err := w.rt.Version(t.Context())
	must(t, err)
	_, ok := v.Components["Podman Engine"]
	return ok
}

func (w *world) features(t *testing.T) dockpod.Features {
	t.Helper()
	return w.info(t).Features
}

func (w *world) info(t *testing.T) dockpod.Info {
	t.Helper()
	info, err := w.rt.Info(t.Context())
	must(t, err)
	return info
}
