// Package lean is the docker client with decoders of its own for the two
// answers that an engine is asked for most: a list of containers and the
// inspection of one. They take a fraction of the client's time and
// allocations; the bench module measures it.
//
// Everything else is the client's: requests, connections, errors. An answer of
// a shape that the decoders do not know is given to encoding/json and the
// client's own structs, as the client does.
package lean

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// Client is a docker client. In a list's entries Command, HostConfig,
// ImageManifestDescriptor, Mounts and NetworkSettings are left out, in an
// inspection GraphDriver.
//
// A summary's strings share one piece of memory, as an inspection's do:
// keeping one keeps all of them, some kilobytes, and never those of other
// containers. Those of an [Entry] are parts of the whole answer.
type Client struct {
	*client.Client
	listSize atomic.Int64 // of the last list's body
}

// Wrap returns a Client that sends its requests through c, which from then on
// is part of it.
func Wrap(c *client.Client) *Client {
	h := c.HTTPClient()
	h.Transport = transport{h.Transport}
	_ = client.WithHTTPClient(h)(c) // fails for no client
	return &Client{Client: c}
}

// ContainerList is the client's, with the entries' rarer fields left out.
func (c *Client) ContainerList(ctx context.Context, options container.ListOptions) ([]container.Summary, error) {
	decode := func(k *keeper) ([]container.Summary, error) {
		b := k.body.Bytes()
		if list, ok := decodeList(b); ok {
			return list, nil
		}
		return theClientsWay[[]container.Summary](bytes.NewReader(b))
	}
	return answer(ctx, &c.listSize, decode, func(ctx context.Context) ([]container.Summary, error) {
		return c.Client.ContainerList(ctx, options)
	})
}

// Entry is a list's entry as it stands in the answer, for a caller who copies
// what he keeps: a map of labels, of which he may want few, costs more than
// all the rest. Keeping one of its strings keeps the whole answer, megabytes
// perhaps.
type Entry struct {
	container.Summary // without Labels
	Labels            []Label
}

// Label is one of a container's labels. No key comes twice.
type Label struct{ Key, Value string }

// Entries is ContainerList in another form.
func (c *Client) Entries(ctx context.Context, options container.ListOptions) ([]Entry, error) {
	decode := func(k *keeper) ([]Entry, error) {
		s := k.give()
		if entries, ok := decodeEntries(s); ok {
			return entries, nil
		}
		list, err := theClientsWay[[]container.Summary](strings.NewReader(s))
		return EntriesOf(list), err
	}
	return answer(ctx, &c.listSize, decode, func(ctx context.Context) ([]Entry, error) {
		list, err := c.Client.ContainerList(ctx, options)
		return EntriesOf(list), err
	})
}

// EntriesOf turns a list into entries.
func EntriesOf(list []container.Summary) []Entry {
	if list == nil {
		return nil
	}
	entries := make([]Entry, len(list))
	for i, s := range list {
		e := &entries[i]
		e.Summary = s
		e.Summary.Labels = nil
		e.Labels = make([]Label, 0, len(s.Labels))
		for k, v := range s.Labels {
			e.Labels = append(e.Labels, Label{k, v})
		}
	}
	return entries
}

// ContainerInspect is the client's, without GraphDriver.
func (c *Client) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	decode := func(k *keeper) (container.InspectResponse, error) {
		b := k.body.Bytes()
		if c, ok := decodeInspect(b); ok {
			return c, nil
		}
		return theClientsWay[container.InspectResponse](bytes.NewReader(b))
	}
	return answer(ctx, nil, decode, func(ctx context.Context) (container.InspectResponse, error) {
		return c.Client.ContainerInspect(ctx, id)
	})
}

// answer makes a request by the client, and decodes what the transport kept
// back of its answer.
//
// size is that of the last such answer, so that a new buffer need not grow;
// nil: not known.
func answer[T any](ctx context.Context, size *atomic.Int64, decode func(*keeper) (T, error), request func(context.Context) (T, error)) (T, error) {
	k := kept.Get().(*keeper)
	defer k.free()
	if size != nil {
		k.body.Grow(int(size.Load()) + bytes.MinRead)
	}
	v, err := request(context.WithValue(ctx, keeperKey{}, k))
	if err != nil || !k.filled {
		return v, err
	}
	if size != nil {
		size.Store(int64(k.body.Len()))
	}
	return decode(k)
}

// theClientsWay decodes as the docker client does.
func theClientsWay[T any](r io.Reader) (v T, err error) {
	err = json.NewDecoder(r).Decode(&v)
	return v, err
}

// keeper is where the transport puts an answer's body. It stands for that body
// then, as a null.
type keeper struct {
	body   bytes.Buffer
	filled bool
	null   strings.Reader
	io.Closer
}

func (k *keeper) Read(p []byte) (int, error) { return k.null.Read(p) }

// give returns the body, which from then on is the caller's.
func (k *keeper) give() string {
	b := k.body.Bytes()
	if len(b) <= maxCopied {
		return string(b)
	}
	k.body = bytes.Buffer{}
	return unsafe.String(unsafe.SliceData(b), len(b))
}

type keeperKey struct{}

var kept = sync.Pool{New: func() any { return new(keeper) }}

// maxKept is the largest buffer that is kept for the next answer: that of a
// list of some 2,000 containers.
const maxKept = 4 << 20

// maxCopied is the longest answer that is copied for a caller who keeps it. A
// longer one is left to him with its buffer.
const maxCopied = 64 << 10

func (k *keeper) free() {
	if k.body.Cap() > maxKept {
		return
	}
	k.body.Reset()
	k.filled, k.Closer = false, nil
	kept.Put(k)
}

// transport takes the body of a good answer away from the client, if the
// request's context has a keeper for it, and leaves it a null. An error on the
// way is left to the client too.
type transport struct{ http.RoundTripper }

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	k, ok := req.Context().Value(keeperKey{}).(*keeper)
	if err != nil || !ok || resp.StatusCode != http.StatusOK || resp.Body == nil || !isAnswer(req) {
		return resp, err
	}
	_, err = k.body.ReadFrom(resp.Body)
	if err != nil {
		// What came before the failure is not looked at: the client could
		// take a list that was cut behind its end for a whole one.
		resp.Body = body{failing{err}, resp.Body}
		return resp, nil
	}
	k.filled, k.Closer = true, resp.Body
	k.null.Reset("null")
	resp.Body = k
	return resp, nil
}

// isAnswer tells the request itself from the ping before it, by which the
// client negotiates the API version.
func isAnswer(req *http.Request) bool { return strings.HasSuffix(req.URL.Path, "/json") }

type body struct {
	io.Reader
	io.Closer
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// nextEntry is what stands between two entries of a list. It cannot stand in a
// string, whose quotes are escaped.
var nextEntry = []byte(`},{"Id":`)

// decodeList reads a list of objects with an Id. Behind its end there may be
// anything, as for the client.
func decodeList(b []byte) ([]container.Summary, bool) {
	i := space(b, 0)
	if i == len(b) || b[i] != '[' {
		return nil, false
	}
	i = space(b, i+1)
	l := make([]container.Summary, 0, bytes.Count(b, nextEntry)+1)
	if i < len(b) && b[i] == ']' {
		return l, true
	}
	for {
		// One string for each entry, so that none keeps the whole answer.
		n := bytes.Index(b[i:], nextEntry)
		last := n < 0
		if last {
			n = len(b) - i - 1
		}
		d := decoder{s: string(b[i : i+n+1])}
		l = append(l, container.Summary{})
		object(&d, summaryFields, &l[len(l)-1])
		switch {
		case last:
			return l, d.takes(']') && !d.odd
		case d.odd || d.i < len(d.s):
			return nil, false
		}
		i += n + len("},")
	}
}

// decodeEntries reads a list whose entries are parts of s. A label that comes
// twice is odd.
func decodeEntries(s string) ([]Entry, bool) {
	d := decoder{s: s}
	if !d.takes('[') {
		return nil, false
	}
	n := bytes.Count(d.bytes(), nextEntry) + 1
	d.room = min(n, 32)
	l := make([]Entry, 0, n)
	for first := true; d.more(&first, ']'); {
		l = append(l, Entry{})
		object(&d, entryFields, &l[len(l)-1])
	}
	return l, !d.odd
}

// decodeInspect reads an inspection.
func decodeInspect(b []byte) (container.InspectResponse, bool) {
	var v struct { // both escape: one allocation
		decoder
		info container.InspectResponse
	}
	v.s, v.room = string(b), 16
	object(&v.decoder, inspectFields, &v.info)
	if v.odd {
		return container.InspectResponse{}, false
	}
	return v.info, true
}
