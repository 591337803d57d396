package dockpod

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"reflect"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/dockpod/dockpod/internal/lean"
)

// execAttach starts an exec and returns its streams.
func (r *Runtime) execAttach(ctx context.Context, execID string, o container.ExecAttachOptions) (types.HijackedResponse, error) {
	return r.upgrade(ctx, "/exec/"+execID+"/start", nil, o, func(ctx context.Context) (types.HijackedResponse, error) {
		return r.docker.ContainerExecAttach(ctx, execID, o)
	})
}

// containerAttach returns the streams of a container.
func (r *Runtime) containerAttach(ctx context.Context, id string, o container.AttachOptions) (types.HijackedResponse, error) {
	query := url.Values{}
	for name, yes := range map[string]bool{"stream": o.Stream, "stdin": o.Stdin, "stdout": o.Stdout, "stderr": o.Stderr, "logs": o.Logs} {
		if yes {
			query.Set(name, "1")
		}
	}
	if o.DetachKeys != "" {
		query.Set("detachKeys", o.DetachKeys)
	}
	return r.upgrade(ctx, "/containers/"+id+"/attach", query, nil, func(ctx context.Context) (types.HijackedResponse, error) {
		return r.docker.ContainerAttach(ctx, id, o)
	})
}

// upgrade asks for a connection that carries streams. The method of
// client.Client for it, which is ask, does not heed its context once it has
// dialled, and keeps what the engine said to itself; so the request to a
// client.Client is made here, over the client's own dialer. Should that be
// refused for want of a header, the client's method is called all the same.
func (r *Runtime) upgrade(ctx context.Context, route string, query url.Values, body any, ask func(context.Context) (types.HijackedResponse, error)) (types.HijackedResponse, error) {
	askClient := func() (types.HijackedResponse, error) {
		return unlessEnded(ctx, func() (types.HijackedResponse, error) { return ask(ctx) }, closeStreams)
	}
	c, ok := r.docker.(*client.Client)
	if wrapped, is := r.docker.(*lean.Client); is {
		c, ok = wrapped.Client, true
	}
	if !ok {
		return askClient()
	}
	h, err := hijack(ctx, c, route, query, body)
	if !errdefs.IsUnauthorized(err) && !errdefs.IsPermissionDenied(err) {
		return h, err
	}
	if h, again := askClient(); again == nil {
		return h, nil
	}
	return types.HijackedResponse{}, err
}

func closeStreams(h types.HijackedResponse) { h.Close() }

// unlessEnded calls f, which may not heed ctx. If ctx ends first, what f
// still returns is dropped.
func unlessEnded[T any](ctx context.Context, f func() (T, error), drop func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case res := <-done:
		return res.value, res.err
	case <-ctx.Done():
	}
	select {
	case res := <-done: // both at once: it was not in vain
		return res.value, res.err
	default:
	}
	go func() {
		if res := <-done; res.err == nil {
			drop(res.value)
		}
	}()
	var none T
	return none, ctx.Err()
}

// maxRefusal bounds what is read of an answer that is no upgrade.
const maxRefusal = 64 << 10

// hijack makes a request of the engine whose connection then carries streams.
func hijack(ctx context.Context, c *client.Client, route string, query url.Values, body any) (h types.HijackedResponse, err error) {
	host, err := client.ParseHostURL(c.DaemonHost())
	if err != nil {
		return h, err
	}
	var text []byte
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return h, err
		}
	}
	version := ""
	if v := c.ClientVersion(); v != "" {
		version = "/v" + strings.TrimPrefix(v, "v")
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+client.DummyHost, bytes.NewReader(text))
	if err != nil {
		return h, err
	}
	req.URL.Path, req.URL.RawQuery = path.Join("/", host.Path, version, route), query.Encode()
	if host.Scheme != "unix" && host.Scheme != "npipe" {
		req.Host = host.Host
	}
	req.Header = headersOf(c)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "tcp")

	conn, err := unlessEnded(ctx, func() (net.Conn, error) { return c.Dialer()(ctx) }, func(c net.Conn) { c.Close() })
	if err != nil {
		if isContextError(err) {
			return h, err
		}
		return h, &classified{ErrUnreachable, bounded(err.Error())}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	h, err = upgradeConn(conn, req)
	if !stop() {
		// The engine may have done it; a stream that is closed is of no use.
		conn.Close()
		return types.HijackedResponse{}, ctx.Err()
	}
	if err != nil {
		conn.Close()
	}
	return h, err
}

// headersOf returns the headers that a client adds to each request, which may
// be what a proxy before the engine asks for. The client has no method to tell
// them; without its field of this name there are none.
func headersOf(c *client.Client) http.Header {
	h := http.Header{"User-Agent": {"dockpod"}}
	field := reflect.ValueOf(c).Elem().FieldByName("customHTTPHeaders")
	if field.Kind() != reflect.Map || field.Type() != reflect.TypeFor[map[string]string]() {
		return h
	}
	for i := field.MapRange(); i.Next(); {
		h.Set(i.Key().String(), i.Value().String())
	}
	return h
}

// upgradeConn sends a request and reads the answer to it, which leaves the
// connection to the streams.
func upgradeConn(conn net.Conn, req *http.Request) (h types.HijackedResponse, err error) {
	if err := req.Write(conn); err != nil {
		return h, err
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, req)
	if err != nil {
		var broken net.Error
		if !errors.As(err, &broken) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			err = &classified{ErrBadAnswer, bounded(err.Error())} // it does not speak HTTP
		}
		return h, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		said, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		if err != nil {
			return h, err
		}
		return h, refusal(resp.StatusCode, resp.Header.Get("Content-Type"), said)
	}
	h = types.NewHijackedResponse(conn, resp.Header.Get("Content-Type"))
	h.Reader = in // it may hold the first bytes of the stream
	return h, nil
}

// refusal is the error that the client makes of such an answer to any other
// request.
func refusal(status int, contentType string, body []byte) error {
	if status < 400 {
		return &classified{ErrBadAnswer, fmt.Sprintf("the engine answered with status %d in place of a stream", status)}
	}
	text := strings.TrimSpace(string(body))
	if contentType == "application/json" && len(body) < maxRefusal {
		var answer types.ErrorResponse
		if err := json.Unmarshal(body, &answer); err != nil {
			return fmt.Errorf("read an answer of status %d: %w", status, err)
		}
		text = strings.TrimSpace(answer.Message)
	}
	if text == "" {
		text = fmt.Sprintf("status %d without a message", status)
	}
	return &refusalError{classOfStatus(status), "Error response from daemon: " + text}
}

// refusalError is an engine's answer as the client returns it: for classify.
type refusalError struct {
	class error
	text  string
}

func (e *refusalError) Error() string { return e.text }
func (e *refusalError) Unwrap() error { return e.class }

// classOfStatus is the class that the client's error has for a status.
func classOfStatus(status int) error {
	switch status {
	case http.StatusBadRequest:
		return errdefs.ErrInvalidArgument
	case http.StatusUnauthorized:
		return errdefs.ErrUnauthenticated
	case http.StatusForbidden:
		return errdefs.ErrPermissionDenied
	case http.StatusNotFound:
		return errdefs.ErrNotFound
	case http.StatusConflict:
		return errdefs.ErrConflict
	case http.StatusNotImplemented:
		return errdefs.ErrNotImplemented
	case http.StatusServiceUnavailable:
		return errdefs.ErrUnavailable
	case http.StatusInternalServerError:
		return errdefs.ErrInternal
	}
	return errdefs.ErrUnknown
}

// upgradeStatus reads the status from the only thing that the client's own
// method tells of a refused upgrade; 0 if there is none.
func upgradeStatus(err error) int {
	const words = "unable to upgrade to tcp, received "
	var status int
	if i := strings.Index(err.Error(), words); i >= 0 {
		_, _ = fmt.Sscanf(err.Error()[i+len(words):], "%d", &status)
	}
	return status
}
