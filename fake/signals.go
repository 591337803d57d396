package fake

import (
	"strconv"
	"strings"
)

// signals are Linux's, by name without SIG.
var signals = map[string]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "IOT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10, "SEGV": 11,
	"USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "STKFLT": 16, "CHLD": 17, "CLD": 17, "CONT": 18, "STOP": 19, "TSTP": 20,
	"TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26, "PROF": 27, "WINCH": 28, "IO": 29, "POLL": 29,
	"PWR": 30, "SYS": 31,
}

const (
	sigINT  = 2
	sigKILL = 9
	sigTERM = 15
	rtMin   = 34 // the first real-time signal that programs have
	rtMax   = 64
)

// signalNumber reads "SIGTERM", "term" or "15". The error is the engine's.
func signalNumber(s string) (int, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n == 0 {
			return 0, Invalid("Invalid signal: %s", s)
		}
		return n, nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n, ok := signals[name]; ok {
		return n, nil
	}
	if rest, ok := strings.CutPrefix(name, "RTMIN"); ok {
		n, err := strconv.Atoi(strings.TrimPrefix(rest, "+"))
		if rest == "" || err == nil && n > 0 && n <= 15 {
			return rtMin + n, nil
		}
	}
	if rest, ok := strings.CutPrefix(name, "RTMAX"); ok {
		n, err := strconv.Atoi(rest)
		if rest == "" || err == nil && n < 0 && n >= -14 {
			return rtMax + n, nil
		}
	}
	return 0, Invalid("Invalid signal: %s", s)
}

// signalName is the usual name of a signal, with SIG.
func signalName(n int) string {
	names := [...]string{
		1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 5: "TRAP", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL", 10: "USR1", 11: "SEGV", 12: "USR2",
		13: "PIPE", 14: "ALRM", 15: "TERM", 16: "STKFLT", 17: "CHLD", 18: "CONT", 19: "STOP", 20: "TSTP", 21: "TTIN", 22: "TTOU",
		23: "URG", 24: "XCPU", 25: "XFSZ", 26: "VTALRM", 27: "PROF", 28: "WINCH", 29: "IO", 30: "PWR", 31: "SYS",
	}
	if n > 0 && n < len(names) {
		return "SIG" + names[n]
	}
	switch {
	case n == rtMin:
		return "SIGRTMIN"
	case n > rtMin && n <= rtMin+15:
		return "SIGRTMIN+" + strconv.Itoa(n-rtMin)
	case n == rtMax:
		return "SIGRTMAX"
	case n > rtMin && n < rtMax:
		return "SIGRTMAX" + strconv.Itoa(n-rtMax)
	}
	return strconv.Itoa(n)
}

// ignoredByDefault are signals that do nothing to a program without a handler.
func ignoredByDefault(n int) bool {
	switch n {
	case 17, 18, 19, 20, 21, 22, 23, 28:
		return true
	}
	return false
}
