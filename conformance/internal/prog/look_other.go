//go:build !linux

package prog

// Look reports nothing: there is no /proc.
func Look([]string) *Report { return nil }

// LookAt reports nothing, either.
func LookAt(string) *Report { return nil }
