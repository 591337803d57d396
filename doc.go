// Package dockpod manages the containers of pods on a Docker engine the way a
// kubelet does, from any Go program.
//
// # Pods, sandboxes, containers, attempts
//
// A pod is a name, a namespace and a UID that a caller groups containers by.
// The engine knows nothing of pods. Each has a sandbox: a container that does
// nothing and holds the namespaces which the pod's containers share, so that
// they talk over localhost and outlive each other. An attempt counts how often
// the same container, or the sandbox, was made anew. Containers are not
// restarted in place: the old attempt keeps its exit code and log until
// somebody removes it.
//
// A [Runtime] holds no state. What it has to know later stands in the names
// and labels of its containers, so that an agent which was killed at any
// moment finds its pods again with [Runtime.ListSandboxes] and
// [Runtime.ListContainers], and [SandboxStatus].Config is the configuration
// to go on with. What it remembers are answers of the engine: images for some
// seconds, and for a rate of CPU the last reading of each container.
//
// # Names
//
// The name of a container has six parts, or seven after a conflict with a name
// that the engine holds for nothing:
//
//	name      = prefix "_" container "_" pod "_" namespace "_" uid "_" attempt [ "_" suffix ]
//	prefix    = "k8s" | owner
//	container = "POD" for the sandbox
//	attempt   = decimal, 32 bits
//	suffix    = 8 lower-case hexadecimal digits
//
// No part contains "_". The kubelet's dockershim and cri-dockerd write the
// same, and [ParseName] reads theirs. [LegacyName] reads what came before
// them.
//
// # Labels
//
// A caller's labels are the engine's labels; annotations stand among them
// under the prefix "annotation.". dockpod adds, and hides again on the way out:
//
//	io.kubernetes.docker.type        "container" or "podsandbox"
//	io.kubernetes.sandbox.id         the sandbox of a container
//	io.kubernetes.container.logpath  where its log is linked or written
//	io.dockpod.owner, .type          instead of the first, with an owner
//	io.dockpod.image                 the reference asked for: containers are created by image ID
//	io.dockpod.image-id              that ID, which a container made from a commit of this one does not have
//	io.dockpod.spec                  a digest of the request, to know one's own half-made container
//	io.dockpod.added                 which of the pod's labels below nobody gave
//	io.dockpod.from-image            which labels are the image's
//	io.dockpod.attempt, .log-directory, .sandbox, .schema
//
// and the pod's own io.kubernetes.pod.name, .namespace, .uid and
// io.kubernetes.container.name. By default a Runtime shares the kubelet's
// format and sees the containers of a kubelet on the same engine.
// [WithOwner] gives it a world of its own.
//
// # Errors
//
// Every method fails with an [*Error], which says what was done to what. The
// class is that of github.com/containerd/errdefs (errdefs.IsNotFound and so
// on); the sentinels of this package, [ErrSandboxGone] for example, say what
// no class can. [FieldError] names a field that was refused before the engine
// was asked. An error holds no credential, and no value of an environment
// variable that has 4 bytes or more.
//
// Limits that the engine's kernel lacks are refused as well; [WithWarnings]
// receives what else an engine says.
//
// A container's log is read by [Runtime.ContainerLogs], line by line by
// [Runtime.LogLines]. At its log path stands a link to the engine's file or,
// with [WithLogFiles], a file in CRI's format; [ErrLogFile] tells that it
// cannot be written, and the container lives on.
//
// An exec is a process beside a container's first. Its exit code is data;
// [ErrCannotRun] means that it never ran, [*ExecAbortedError] that the call
// ended first.
//
// # Watching
//
// [Runtime.Watch] yields what happens, and goes on through an engine's
// restart; its errors are news, not the end. [Runtime.Mirror] answers reads
// from memory, and [Mirror.Freshness] says how far to believe it.
//
// # Time
//
// The caller's context rules every call. On top, each operation has a bound,
// [DefaultRequestTimeout] unless [WithRequestTimeout] changes it, and fails
// with [ErrTimeout] when it passes. The zero [time.Time] means that something
// has not happened.
//
// # Testing
//
// Package dockpod/fake is an engine in memory for tests of an agent, and
// package dockpod/conformance the suite that holds it to what real engines do.
package dockpod
