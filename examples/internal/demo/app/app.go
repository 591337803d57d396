// Package app is the program that runs in the examples' containers. It is
// written against a [World], so that it is the same in a container of a real
// engine and as a function on the fake.
package app

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"
)

// World is all that the program sees of where it runs.
type World struct {
	Args   []string        // without the program's own name
	Stop   context.Context // ends when the program is told to stop
	Stdout io.Writer
	Stderr io.Writer
	Listen func(port int) (net.Listener, error) // on localhost
	Dial   func(port int) (net.Conn, error)     // on localhost
}

const usage = `usage:
  app serve PORT            on localhost, greet whoever writes a line with a name
  app ask PORT NAME TIMES   ask such a server
  app exit CODE [AFTER]     end, after a while if that is given: 2s
  app wait                  do nothing until told to stop
`

// Main runs the program and returns its exit code.
func Main(w World) int {
	args := append(slices.Clone(w.Args), "", "", "", "")
	var err error
	switch args[0] {
	case "serve":
		err = serve(w, args[1])
	case "ask":
		err = ask(w, args[1], args[2], args[3])
	case "exit":
		return exit(w, args[1], args[2])
	case "wait":
		fmt.Fprintln(w.Stdout, "waiting")
		<-w.Stop.Done()
		fmt.Fprintln(w.Stdout, "told to stop")
	default:
		fmt.Fprint(w.Stderr, usage)
		return 2
	}
	if err != nil {
		fmt.Fprintln(w.Stderr, "error:", err)
		return 1
	}
	return 0
}

// serve answers until it is told to stop.
func serve(w World, port string) error {
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	l, err := w.Listen(n)
	if err != nil {
		return err
	}
	defer context.AfterFunc(w.Stop, func() { l.Close() })()
	fmt.Fprintf(w.Stdout, "listening on localhost:%d\n", n)
	for visitor := 1; ; visitor++ {
		c, err := l.Accept()
		if w.Stop.Err() != nil {
			fmt.Fprintln(w.Stdout, "told to stop")
			return nil
		}
		if err != nil {
			return err
		}
		if name, err := line(c); err == nil {
			fmt.Fprintf(w.Stdout, "%s said hello\n", name)
			fmt.Fprintf(c, "hello %s, you are visitor %d\n", name, visitor)
		}
		c.Close()
	}
}

// ask greets a server some times.
func ask(w World, port, name, times string) error {
	p, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(times)
	if err != nil {
		return err
	}
	for range n {
		c, err := dial(w, p)
		if err != nil {
			return err
		}
		fmt.Fprintln(c, name)
		answer, err := line(c)
		c.Close()
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		fmt.Fprintf(w.Stdout, "the server says: %s\n", answer)
	}
	return nil
}

// dial tries for ten seconds: the containers of a pod start in no order.
func dial(w World, port int) (net.Conn, error) {
	const every = 50 * time.Millisecond
	for try := 1; ; try++ {
		c, err := w.Dial(port)
		if err == nil || try == int(10*time.Second/every) {
			return c, err
		}
		if !pause(w, every) {
			return nil, err
		}
	}
}

// exit ends with a code, and with a word about it where that is not zero.
func exit(w World, code, after string) int {
	n, err := strconv.Atoi(code)
	if err != nil {
		fmt.Fprintln(w.Stderr, "error: exit code:", err)
		return 2
	}
	if d, err := time.ParseDuration(after); err == nil {
		pause(w, d)
	}
	if n != 0 {
		fmt.Fprintf(w.Stderr, "something is wrong: code %d\n", n)
	}
	return n
}

// pause waits and reports whether the program may go on.
func pause(w World, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-w.Stop.Done():
		return false
	}
}

// line reads one line, without its end.
func line(r io.Reader) (string, error) {
	s := bufio.NewScanner(r)
	if !s.Scan() {
		if s.Err() != nil {
			return "", s.Err()
		}
		return "", io.ErrUnexpectedEOF
	}
	return s.Text(), nil
}
