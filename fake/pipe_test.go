package fake

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestConn(t *testing.T) {
	read := func(c net.Conn) (string, error) {
		b := make([]byte, 100)
		n, err := c.Read(b)
		return string(b[:n]), err
	}
	synctest.Test(t, func(t *testing.T) {
		a, b := newConn("test")
		if _, err := a.Write([]byte("one")); err != nil {
			t.Fatal(err)
		}
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if s, err := read(b); s != "one" || err != nil {
			t.Errorf("read %q, %v", s, err)
		}
		if _, err := read(b); err != io.EOF {
			t.Errorf("after the half-close: %v", err)
		}
		if _, err := a.Write([]byte("x")); err == nil {
			t.Error("a write after the half-close")
		}
		if _, err := b.Write([]byte("two")); err != nil {
			t.Errorf("the other direction: %v", err)
		}
		if s, err := read(a); s != "two" || err != nil {
			t.Errorf("read %q, %v", s, err)
		}

		// A read that waits hears of a deadline that comes nearer, and of
		// one that is gone.
		begin := time.Now()
		if err := a.SetDeadline(begin.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Second)
			_ = a.SetReadDeadline(time.Now().Add(-time.Hour))
		}()
		if _, err := read(a); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if err := a.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		begin = time.Now()
		if _, err := read(a); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if err := a.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Hour)
			_, _ = b.Write([]byte("late"))
		}()
		if s, err := read(a); s != "late" || err != nil {
			t.Errorf("without a deadline: %q, %v", s, err)
		}
		if err := b.SetWriteDeadline(time.Now().Add(-1)); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a write past its deadline: %v", err)
		}

		c, d := newConn("test")
		c.Close()
		c.Close()
		if _, err := read(c); err == nil || err == io.EOF {
			t.Errorf("read from what is closed: %v", err)
		}
		if _, err := read(d); err != io.EOF {
			t.Errorf("read after the other side closed: %v", err)
		}
		if _, err := d.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write after the other side closed: %v", err)
		}
		if c.LocalAddr().String() != "test" || c.RemoteAddr().Network() != "fake" {
			t.Errorf("addresses %v and %v", c.LocalAddr(), c.RemoteAddr())
		}
	})
}
