package prog

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// log runs the commands that write logs:
//
//	write TEXT            writes TEXT, which has Go's escapes
//	both N                writes N lines, "out 1", "err 2", "out 3", by turns to
//	                      the two outputs, so far apart that an engine keeps
//	                      their order unless it is very busy
//	count N RATE WIDTH    writes N numbered lines, RATE a second, filled up to
//	                      WIDTH bytes
//	long N                writes a line of N bytes, and "end"
func log(w World, arg func(int) string) (code int, ok bool) {
	switch arg(0) {
	case "write":
		text, err := strconv.Unquote(`"` + arg(1) + `"`)
		if err != nil {
			fmt.Fprintln(w.Stderr, err)
			return 1, true
		}
		_, _ = io.WriteString(w.Stdout, text)
	case "both":
		for i := range atoi(arg(1)) {
			if i%2 == 0 {
				fmt.Fprintln(w.Stdout, "out", i+1)
			} else {
				fmt.Fprintln(w.Stderr, "err", i+1)
			}
			time.Sleep(20 * time.Millisecond)
		}
	case "count":
		begun, rate := time.Now(), atoi(arg(2))
		for i := range atoi(arg(1)) {
			if ahead := time.Duration(i)*time.Second/time.Duration(rate) - time.Since(begun); ahead > 5*time.Millisecond {
				time.Sleep(ahead)
			}
			line := fmt.Sprintf("line %d ", i)
			fmt.Fprintln(w.Stdout, line+strings.Repeat(".", max(0, atoi(arg(3))-len(line))))
		}
	case "long":
		fmt.Fprintln(w.Stdout, strings.Repeat("x", atoi(arg(1))))
		fmt.Fprintln(w.Stdout, "end")
	default:
		return 0, false
	}
	return 0, true
}
