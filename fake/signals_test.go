package fake

import "testing"

func TestSignals(t *testing.T) {
	for text, want := range map[string]int{
		"SIGTERM": 15, "term": 15, "15": 15, "SigHup": 1, "KILL": 9, "SIGRTMIN": 34, "RTMIN+3": 37, "SIGRTMAX": 64, "RTMAX-1": 63, "99": 99,
	} {
		if got, err := signalNumber(text); err != nil || got != want {
			t.Errorf("signalNumber(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "SIG", "NOPE", "RTMIN+99", "RTMIN-1", "RTMAX+1", "15x"} {
		if got, err := signalNumber(text); err == nil {
			t.Errorf("signalNumber(%q) = %d, want an error", text, got)
		}
	}
	for n := 1; n <= 64; n++ {
		if n == 32 || n == 33 { // the C library's own
			continue
		}
		if got, err := signalNumber(signalName(n)); err != nil || got != n {
			t.Errorf("signal %d is called %q, which is %d, %v", n, signalName(n), got, err)
		}
	}
}
