package zproxy

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo gives a connection through a proxy to a server that says what it hears.
func echo(t *testing.T) (*Proxy, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(conn, conn)
			conn.Close()
		}
	}()
	p, err := Listen("tcp/" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(); l.Close(); <-done })
	return p, dial(t, p)
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// say sends text and gives what comes back within the time.
func say(t *testing.T, conn net.Conn, text string, within time.Duration) (string, error) {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(text))
	n, err := io.ReadFull(conn, b)
	return string(b[:n]), err
}

func TestWays(t *testing.T) {
	for _, tt := range []struct {
		name     string
		up, down Way
		want     string
		err      error
	}{
		{"as they come", Way{}, Way{}, "hello", nil},
		{"byte by byte", Way{Chunk: 1}, Way{Chunk: 2, Delay: time.Millisecond}, "hello", nil},
		{"cut on the way up", Way{CutAfter: 5}, Way{Delay: time.Hour}, "", io.EOF},
		{"cut on the way down", Way{}, Way{CutAfter: 3}, "hel", io.ErrUnexpectedEOF},
		{"swallowed", Way{Swallow: true}, Way{}, "", os.ErrDeadlineExceeded},
		{"stalled", Way{}, Way{Stall: true}, "", os.ErrDeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, conn := echo(t)
			p.Set(tt.up, tt.down)
			within := 20 * time.Second
			if errors.Is(tt.err, os.ErrDeadlineExceeded) {
				within = 50 * time.Millisecond
			}
			got, err := say(t, conn, "hello", within)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v", got, err)
			}
			if !tt.down.Stall {
				return
			}
			p.Set(Way{}, Way{})
			if got, err := say(t, conn, "hello", 20*time.Second); got != "hello" || err != nil {
				t.Errorf("after the stall: %q, %v", got, err)
			}
		})
	}
}

func TestCutAndRefuse(t *testing.T) {
	p, conn := echo(t)
	if _, err := say(t, conn, "x", 20*time.Second); err != nil {
		t.Fatal(err)
	}
	p.Refuse(true)
	p.Cut()
	for _, conn := range []net.Conn{conn, dial(t, p)} {
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	}
	if p.Accepted() != 2 {
		t.Errorf("%d connections", p.Accepted())
	}
}
