package dockpod

import "testing"

// A port is told from one whose digits begin with its own.
func TestPortInText(t *testing.T) {
	ports := []PortMapping{{ContainerPort: 1}, {ContainerPort: 2, HostPort: 80}, {ContainerPort: 3, HostPort: 8080}}
	for text, want := range map[string]int32{
		"listen tcp4 0.0.0.0:8080: bind: address already in use": 8080,
		"listen tcp4 0.0.0.0:80: bind: address already in use":   80,
		"Bind for 0.0.0.0:8080 failed":                           8080,
		"ends in :80":                                            80,
		"names no port":                                          80, // the first that is published
	} {
		if got := portInText(ports, text).HostPort; got != want {
			t.Errorf("%q: port %d, want %d", text, got, want)
		}
	}
}
