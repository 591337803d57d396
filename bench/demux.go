package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/docker/docker/pkg/stdcopy"

	"github.com/dockpod/dockpod/internal/stdmux"
)

// demuxCase takes apart a stream of an engine's two outputs in frames of 118
// bytes, a log's usual line with its header, beside the docker client's way.
func demuxCase(ctx context.Context, b *bench) error {
	frames := b.count(20_000)
	stream := frameStream(frames)
	way := func(split func(stdout, stderr io.Writer, src io.Reader) (int64, error)) func(context.Context) error {
		return func(context.Context) error {
			var out counted
			_, err := split(&out, &out, bytes.NewReader(stream))
			return out.expect(frames*payload, err)
		}
	}
	r, err := rounds(ctx, b.roundsOr(15), 0,
		variant{"StdCopy", repeat(10)(way(stdcopy.StdCopy))},
		variant{"ours", repeat(10)(way(stdmux.Copy))},
	)
	if err != nil {
		return err
	}
	fmt.Printf("%d frames of %d bytes\n", frames, header+payload)
	r.print()
	b.atLeast("demux", r.ratio("StdCopy", "ours", wall), 40)
	return nil
}

const header, payload = 8, 110

// frameStream makes a stream of frames, one in eleven of standard error.
func frameStream(frames int) []byte {
	one := make([]byte, header+payload)
	binary.BigEndian.PutUint32(one[4:], payload)
	var b []byte
	for i := range frames {
		one[0] = byte(stdcopy.Stdout)
		if i%11 == 0 {
			one[0] = byte(stdcopy.Stderr)
		}
		b = append(b, one...)
	}
	return b
}
