// Package fake is a Docker engine in memory, for tests of programs that use
// dockpod. [Docker] has all the methods a Runtime asks of an engine, and its
// behaviour, its error classes and its words are those of Docker 20.10,
// compared call by call with a real one.
//
//	func TestAgentReplacesContainer(t *testing.T) {
//		engine := &fake.Docker{}
//		defer engine.Close()
//		engine.AddImage("registry.test/app:1")
//		agent := NewAgent(dockpod.New(engine, dockpod.WithOwner("agent")))
//
//		agent.Sync(t.Context())
//		engine.OOMKill(agent.ContainerID("app"))
//		agent.Sync(t.Context())
//
//		if got := agent.Attempt("app"); got != 1 {
//			t.Errorf("attempt after an OOM kill = %d, want 1", got)
//		}
//	}
//
// Three kinds of things make a test: the interface that the program under test
// calls; the verbs of the world, which make happen what happens to an engine
// ([Docker.AddImage], [Docker.Exit], [Docker.OOMKill], [Docker.SetUsage] …);
// and faults, which make calls fail, hang, or succeed without an answer
// ([Docker.Before], [Docker.After]). Verbs panic if they name a container that
// is not there: then the test is wrong.
//
// # Programs
//
// What a container runs is a Go function that [Docker.HandleFunc] registers for
// a path. It has arguments, an environment, standard streams, signals, and the
// localhost that the containers of a pod share, so that two of them can talk.
// An exec runs the same functions; on a terminal it is told its size. A
// container whose command has no function runs until it is stopped or ended by
// a verb, and costs no goroutine.
//
// # Files
//
// An image that was loaded from an archive knows the names and modes of its
// files: a command that is in none of them, and has no function, is missing
// (exit code 127), one without execute permission is refused (126), and users
// are looked up in its /etc/passwd. In an image of AddImage anything is there.
//
// # Time
//
// Timers are those of package time: in a testing/synctest bubble a grace
// period of ten seconds costs nothing. An engine belongs to the bubble it is
// first used in, and goroutines of running programs have to end with it: close
// the engine.
//
// # Endpoints
//
// Importing the package registers the scheme "fake" with dockpod.Connect:
// "fake://" is a new engine each time, "fake://name" is the one that [Named]
// returns for the name.
//
// # What it does not do
//
//   - Committing, building, copying files.
//   - Restart policies are kept and shown, not followed; health checks come out
//     by [Docker.SetHealth] alone; limits are checked and shown, not enforced.
//   - Users, capabilities and security options are checked as Docker checks
//     them, and shown; a process is held to none of them.
//   - Networks are addresses and ports on paper. Only the localhost of a pod
//     carries bytes. An address to publish at that the host does not have is
//     accepted.
//   - Volumes are names; mounts carry no files into a [Process].
//   - Only the log of json-file has a bound; its files are compressed at once.
//     Drivers that send logs elsewhere keep them here.
//   - A process writes at its own pace and is never out of order: Docker 20.10
//     may lose the last unfinished line of a followed log, and may swap lines of
//     the two streams.
//   - Platforms other than linux: it claims to be linux/amd64.
package fake
