// Package logline reads and writes lines of container logs in the two formats
// that stand on a node: the engine's json-file and CRI's text.
package logline

// Stream is one of a process's two outputs.
type Stream uint8

// The streams, numbered as the engine's frames number them.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// String returns CRI's word, which is the engine's too.
func (s Stream) String() string {
	if s == Stderr {
		return "stderr"
	}
	return "stdout"
}
