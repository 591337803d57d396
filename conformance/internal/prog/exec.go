package prog

import (
	"fmt"
	"io"
	"time"
)

// execMain runs the commands that are made for execs:
//
//	zeros N      writes N bytes
//	size W H     waits until its terminal has that size, and says "ok"
//	spawn        starts "sleep" as a child with the same streams and waits for it
//	echo PORT    sends back what one connection brings, until its end, then "bye"
//	pipe PORT    connects its standard streams to a port
func execMain(w World, arg func(int) string) (exitCode int, ok bool) {
	switch arg(0) {
	case "zeros":
		buf := make([]byte, 32<<10)
		for left := atoi(arg(1)); left > 0; {
			n, err := w.Stdout.Write(buf[:min(left, len(buf))])
			if err != nil {
				return code(w, err), true
			}
			left -= n
		}
		return 0, true
	case "size":
		for {
			width, height := w.Size()
			if fmt.Sprint(width, height) == arg(1)+" "+arg(2) {
				fmt.Fprintln(w.Stdout, "ok")
				return 0, true
			}
			select {
			case <-w.Done:
				return 137, true
			case <-time.After(5 * time.Millisecond):
			}
		}
	case "spawn":
		wait, err := w.Spawn("sleep")
		if err != nil {
			return code(w, err), true
		}
		return wait(), true
	case "echo":
		l, err := w.Listen(arg(1))
		if err != nil {
			return code(w, err), true
		}
		defer l.Close()
		fmt.Fprintln(w.Stdout, "up")
		c, err := l.Accept()
		if err != nil {
			return code(w, err), true
		}
		defer c.Close()
		if _, err := io.Copy(c, c); err != nil {
			return code(w, err), true
		}
		_, err = io.WriteString(c, "bye")
		return code(w, err), true
	case "pipe":
		c, err := w.Dial(arg(1))
		if err != nil {
			return code(w, err), true
		}
		defer c.Close()
		go func() {
			_, _ = io.Copy(c, w.Stdin) // the other way shows what went wrong
			if half, ok := c.(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
		}()
		_, err = io.Copy(w.Stdout, c)
		return code(w, err), true
	}
	return 0, false
}
