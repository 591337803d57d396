package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"sync/atomic"
)

// counter stands before an engine and counts the requests.
type counter struct {
	sock     string
	requests atomic.Int64
	server   *http.Server
}

func countRequests(engine string) (*counter, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	c := &counter{sock: filepath.Join(dir, "s")}
	l, err := net.Listen("unix", c.sock)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	proxy := &httputil.ReverseProxy{
		Director:      func(r *http.Request) { r.URL.Scheme, r.URL.Host = "http", "engine" },
		FlushInterval: -1, // events are passed on at once
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", engine)
		}},
	}
	c.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.requests.Add(1)
		proxy.ServeHTTP(w, r)
	})}
	go c.server.Serve(l)
	return c, nil
}

func (c *counter) end() {
	_ = c.server.Close()
	_ = os.RemoveAll(filepath.Dir(c.sock))
}
