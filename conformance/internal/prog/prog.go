// Package prog is the program that the suite's containers run. On an engine of
// the real world it is compiled and put into an image; the fake calls it.
package prog

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Path is where the program stands in the image.
const Path = "/prog"

// World is what a process sees of its container.
type World struct {
	Args     []string // without the program's own name
	Env      []string
	Dir      string
	Hostname string
	Stdin    io.Reader
	Stdout   io.Writer
	Stderr   io.Writer
	Signals  <-chan string // "SIGTERM"
	Done     <-chan struct{}
	Listen   func(port string) (net.Listener, error) // on the loopback
	Dial     func(port string) (net.Conn, error)
	Look     func(questions []string) *Report                   // nil: it is no process
	Use      func(anon, file int64) (release func(), err error) // takes bytes of memory and of page cache
	Size     func() (width, height uint)                        // of the terminal
	Spawn    func(args ...string) (wait func() int, err error)  // this program again
}

// Main runs one command and returns the exit code:
//
//	exit CODE          ends with CODE
//	print TEXT [CODE]  writes TEXT and a newline
//	eprint TEXT        the same to standard error
//	lines N            prints "line 1" to "line N", each tenth to standard error
//	tick US            prints "line 1" and so on, one each US microseconds, until SIGTERM
//	env                prints the environment, a variable a line
//	args A…            prints its arguments, one a line
//	dir                prints the working directory
//	hostname           prints the host's name
//	cat                copies standard input
//	sleep              writes "up", waits for SIGTERM, ends with 0
//	linger             the same, but takes half a second to end
//	stubborn           writes "up", reports each signal, ends never
//	serve PORT TEXT    answers each connection with TEXT, until SIGTERM
//	ask PORT           prints what the server there answers
//	report QUESTION…   prints a [Report] as JSON; the questions are those of [Look]
//	hold QUESTION…     the same, and anew at each SIGHUP, until SIGTERM
//	use ANON FILE      takes so many MiB of memory and of page cache, writes "up", ends on SIGTERM
//
// and those of log.
func Main(w World) int {
	arg := func(i int) string {
		if i < len(w.Args) {
			return w.Args[i]
		}
		return ""
	}
	switch arg(0) {
	case "exit":
		return atoi(arg(1))
	case "print":
		fmt.Fprintln(w.Stdout, arg(1))
		return atoi(arg(2))
	case "eprint":
		fmt.Fprintln(w.Stderr, arg(1))
		return 0
	case "lines":
		for i := 1; i <= atoi(arg(1)); i++ {
			to := w.Stdout
			if i%10 == 0 {
				to = w.Stderr
			}
			fmt.Fprintln(to, "line", i)
		}
		return 0
	case "tick":
		t := time.NewTicker(time.Duration(atoi(arg(1))) * time.Microsecond)
		defer t.Stop()
		for i := 1; ; i++ {
			select {
			case <-w.Signals:
				return 0
			case <-w.Done:
				return 137
			case <-t.C:
				fmt.Fprintln(w.Stdout, "line", i)
			}
		}
	case "env":
		fmt.Fprintln(w.Stdout, strings.Join(w.Env, "\n"))
		return 0
	case "args":
		fmt.Fprintln(w.Stdout, strings.Join(w.Args[1:], "\n"))
		return 0
	case "dir":
		fmt.Fprintln(w.Stdout, w.Dir)
		return 0
	case "hostname":
		fmt.Fprintln(w.Stdout, w.Hostname)
		return 0
	case "cat":
		_, err := io.Copy(w.Stdout, w.Stdin)
		return code(w, err)
	case "report", "hold":
		if w.Look == nil {
			fmt.Fprintln(w.Stderr, "there is no process to report on")
			return 70
		}
		for {
			err := json.NewEncoder(w.Stdout).Encode(w.Look(w.Args[1:]))
			if err != nil || arg(0) == "report" {
				return code(w, err)
			}
			select {
			case s := <-w.Signals:
				if s != "SIGHUP" {
					return 0
				}
			case <-w.Done:
				return 137
			}
		}
	case "sleep", "linger":
		fmt.Fprintln(w.Stdout, "up")
		for {
			select {
			case s := <-w.Signals:
				if s != "SIGTERM" && s != "SIGINT" {
					continue
				}
				if arg(0) == "linger" {
					time.Sleep(500 * time.Millisecond)
				}
				return 0
			case <-w.Done:
				return 137
			}
		}
	case "stubborn":
		fmt.Fprintln(w.Stdout, "up")
		for {
			select {
			case s := <-w.Signals:
				fmt.Fprintln(w.Stdout, "got", s)
			case <-w.Done:
				return 137
			}
		}
	case "serve":
		l, err := w.Listen(arg(1))
		if err != nil {
			return code(w, err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprintln(c, arg(2))
				c.Close()
			}
		}()
		fmt.Fprintln(w.Stdout, "up")
		select {
		case <-w.Signals:
		case <-w.Done:
		}
		l.Close()
		return 0
	case "use":
		release, err := w.Use(int64(atoi(arg(1)))<<20, int64(atoi(arg(2)))<<20)
		if err != nil {
			return code(w, err)
		}
		fmt.Fprintln(w.Stdout, "up")
		select {
		case <-w.Signals:
		case <-w.Done:
		}
		release()
		return 0
	case "ask":
		c, err := w.Dial(arg(1))
		if err != nil {
			return code(w, err)
		}
		defer c.Close()
		line, err := bufio.NewReader(c).ReadString('\n')
		fmt.Fprint(w.Stdout, line)
		return code(w, err)
	}
	for _, more := range []func(World, func(int) string) (int, bool){execMain, log} {
		if code, ok := more(w, arg); ok {
			return code
		}
	}
	fmt.Fprintf(w.Stderr, "no command %q\n", arg(0))
	return 64
}

func code(w World, err error) int {
	if err != nil {
		fmt.Fprintln(w.Stderr, err)
		return 1
	}
	return 0
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
