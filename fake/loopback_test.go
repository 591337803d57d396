package fake

import (
	"errors"
	"syscall"
	"testing"
)

// A dial that has found a listener which is closed then is refused: nobody
// would accept its connection.
func TestDialOfAClosedListener(t *testing.T) {
	for range 100 { // the choice among what is ready is random
		lo := newLoopback()
		l, err := lo.open(80)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		lo.listen[80] = l // as the dial has found it
		if c, err := lo.dial(t.Context(), 80, nil); !errors.Is(err, syscall.ECONNREFUSED) || c != nil {
			t.Fatalf("connection %v, error %v", c, err)
		}
	}
}
