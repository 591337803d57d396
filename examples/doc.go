// Package examples holds programs that use dockpod. Run them from the root of
// the repository:
//
//	go run ./examples/list        what is on the engine
//	go run ./examples/quickstart  a pod, from its making to its end
//	go run ./examples/agent       a node agent for pod manifests
//	go run ./examples/pull REF    a pull, and how each layer comes
//	go run ./examples/logs        the logs of a pod, as they come
//	go run ./examples/exec        a command in a container, with a terminal
//	go run ./examples/top         what each pod uses
//	go run ./examples/watch       a board of pods
//	go run ./examples/harness     a job runner, and how to test it without an engine
//	go run ./examples/pull        an image from a registry, with its progress
//	go run ./examples/logs        the logs of a pod, as they are written
//	go run ./examples/exec        a command in a container, on a terminal or not
//	go run ./examples/top         what each pod uses, kept up to date
//	go run ./examples/watch       what happens to pods
package examples
