package rpc

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// played is a connection whose client has sent all that it ever will.
type played struct {
	net.Conn
	in   *bytes.Reader
	out  bytes.Buffer
	step int
}

// Read gives a few bytes.
func (p *played) Read(b []byte) (int, error) {
	if len(b) > p.step {
		b = b[:p.step]
	}
	return p.in.Read(b)
}

// Write keeps what the server sends.
func (p *played) Write(b []byte) (int, error) { return p.out.Write(b) }

// SetDeadline does nothing.
func (p *played) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (p *played) SetReadDeadline(time.Time) error { return nil }

// FuzzSniff sends anything as the beginning of a connection: what the server reads in its place is what the client has sent, but for one
// acknowledgement of settings.
func FuzzSniff(f *testing.F) {
	ack := "\x00\x00\x00\x04\x01\x00\x00\x00\x00"
	for _, text := range []string{
		"", "GET / HTTP/1.1\r\n\r\n", http2.ClientPreface, firstRequest("application/grpc") + ack, firstRequest("application/json") + ack,
		http2.ClientPreface + ack + firstRequest("application/grpc")[len(http2.ClientPreface):], http2.ClientPreface + ack + ack,
		firstRequest("application/grpc") + ack + "rest",
	} {
		f.Add([]byte(text), uint8(3))
		f.Add([]byte(text), uint8(255))
	}
	f.Fuzz(func(t *testing.T, sent []byte, step uint8) {
		conn := &played{in: bytes.NewReader(sent), step: max(int(step), 1)}
		read, isGRPC, err := sniff(conn)
		if err != nil {
			return
		}
		rest, _ := io.ReadAll(conn.in)
		got := append(bytes.Clone(read), rest...)
		if bytes.Equal(got, sent) && !isGRPC {
			return
		}
		at := bytes.Index(sent, []byte(ack))
		for ; at >= 0; at++ { // one of them is missing
			if without := append(bytes.Clone(sent[:at]), sent[at+len(ack):]...); bytes.Equal(got, without) {
				return
			}
			next := bytes.Index(sent[at+1:], []byte(ack))
			if next < 0 {
				break
			}
			at += next
		}
		t.Errorf("sent %q, the server reads %q", sent, got)
	})
}
