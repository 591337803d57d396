package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/cri-client/pkg/logs"

	"github.com/dockpod/dockpod"
	"github.com/dockpod/dockpod/internal/logline"
)

const (
	plainLine = "2026-01-02 03:04:05.123 INFO [nio-8080-exec-7] c.e.web.OrderController: order 4711 accepted for 42 in 12.4 ms"
	jsonLine  = `{"level":"info","ts":"2026-01-02T03:04:05.123Z","caller":"web/order.go:211","msg":"accepted","order":4711}`
)

// logfileCase reads a json-file log without an engine, beside the kubelet's
// reader: the lines of a program that logs text, and of one that logs JSON,
// whose quotes are escaped.
func logfileCase(ctx context.Context, b *bench) error {
	if err := b.readLogs(ctx, "logfile", plainLine, 20, 0.15); err != nil {
		return err
	}
	return b.readLogs(ctx, "logfile-json", jsonLine, 5, 0)
}

// readLogs holds our reader's speed to a multiple of the kubelet's, and to a
// share of what reading the bytes alone takes; zero: none.
func (b *bench) readLogs(ctx context.Context, name, text string, want, share float64) (err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path, lines := filepath.Join(dir, "log"), b.count(400_000)
	if _, err := writeLog(path, text, lines); err != nil {
		return err
	}
	size := lines * len(text+"\n")
	const kubelet, ours, limit = "kubelet (cri-client)", "ours", "limit (1 MiB blocks)"
	r, err := rounds(ctx, b.roundsOr(5), 0,
		variant{kubelet, func(ctx context.Context) error {
			var out counted
			err := logs.ReadLogs(ctx, nil, path, "", logs.NewLogOptions(&corev1.PodLogOptions{}, time.Now()), nil, &out, &out)
			return out.expect(size, err)
		}},
		variant{ours, func(ctx context.Context) error {
			var out counted
			err := dockpod.ReadLogFile(ctx, path, dockpod.LogOptions{Stdout: &out, Stderr: &out})
			return out.expect(size, err)
		}},
		variant{limit, func(context.Context) error { return readRaw(path) }},
	)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d lines of %d bytes\n", name, lines, len(text))
	r.print()
	b.atLeast(name, r.ratio(kubelet, ours, wall), want)
	if share > 0 {
		b.atLeast(name+"-of-limit", r.ratio(limit, ours, wall), share)
	}
	return nil
}

// writeLog makes a json-file log with lines of one text, a millisecond apart,
// one in eleven on stderr. It returns the time of the first.
func writeLog(path, text string, lines int) (first time.Time, err error) {
	f, err := os.Create(path)
	if err != nil {
		return first, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	first = time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC)
	var line []byte
	for i := range lines {
		at := first.Add(time.Duration(i) * time.Millisecond)
		rec := logline.Record{Stream: logline.Stdout, Text: []byte(text), Stamp: at.AppendFormat(nil, time.RFC3339Nano)}
		if i%11 == 0 {
			rec.Stream = logline.Stderr
		}
		line = logline.AppendJSON(line[:0], &rec)
		w.Write(line) // Flush returns the first error
	}
	return first, w.Flush()
}

// readRaw reads a file in large blocks: what no reader of logs can beat.
func readRaw(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 1<<20); err == nil; {
		_, err = f.Read(block)
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// counted is a writer that counts bytes.
type counted int

func (n *counted) Write(p []byte) (int, error) {
	*n += counted(len(p))
	return len(p), nil
}

func (n *counted) expect(want int, err error) error {
	if err == nil && int(*n) != want {
		err = fmt.Errorf("%d bytes; want %d", *n, want)
	}
	return err
}
