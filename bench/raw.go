package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
)

// rawConn is the floor: one connection that is kept, requests of ready bytes,
// bodies that are read and dropped.
type rawConn struct {
	net.Conn
	r *bufio.Reader
}

func dialRaw(sock string) (*rawConn, error) {
	c, err := net.Dial("unix", sock)
	if err != nil {
		return nil, err
	}
	return &rawConn{c, bufio.NewReaderSize(c, 64<<10)}, nil
}

// do sends a request and returns the status and the body.
func (c *rawConn) do(method, path, body string) (int, []byte, error) {
	req := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body)
	if _, err := io.WriteString(c, req); err != nil {
		return 0, nil, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, b, err
}

func (c *rawConn) get(path string) ([]byte, error) {
	status, b, err := c.do("GET", path, "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET %s: %d %s", path, status, b)
	}
	return b, err
}
