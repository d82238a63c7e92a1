package rpc

import (
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// maxSniffed bounds what is read of a connection before it is handed on: the headers of its first request, and what the client may send with
// them before it hears of us.
const maxSniffed = 1 << 20

// sniff reads as much of a connection as it takes to tell whom it is for, and gives what the server has to read in its place. It fails only for
// connections that cannot be used.
//
// Some clients send nothing before they have the server's settings, so these are sent here, empty, and the server sends its own later, as a
// server may at any time. The client acknowledges both; the first acknowledgement is taken out, since a server closes connections that
// acknowledge too much.
func sniff(conn net.Conn) (read []byte, isGRPC bool, err error) {
	if err := conn.SetReadDeadline(time.Now().Add(firstBytesTimeout)); err != nil {
		return nil, false, err
	}
	read, speaks2, err := readPreface(conn)
	if err != nil || !speaks2 {
		return read, false, err
	}
	if err := conn.SetDeadline(time.Now().Add(firstRequestTimeout)); err != nil {
		return nil, false, err
	}
	s := &sniffer{conn: conn, read: read}
	err = s.frames()
	if s.gone != nil && !errors.Is(s.gone, os.ErrDeadlineExceeded) {
		return nil, false, s.gone
	}
	if s.ack >= 0 {
		s.read = slices.Delete(s.read, s.ack, s.ack+frameHeader)
	}
	return s.read, err == nil && s.grpc, nil
}

// readPreface reads until it knows whether the client speaks HTTP/2 from the beginning.
func readPreface(conn net.Conn) (read []byte, speaks2 bool, err error) {
	buf := make([]byte, len(http2.ClientPreface))
	for len(read) < len(buf) {
		n, err := conn.Read(buf[len(read):])
		read = buf[:len(read)+n]
		if n > 0 && !strings.HasPrefix(http2.ClientPreface, string(read)) {
			return read, false, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
	return read, true, nil
}

// frameHeader is the length of a frame without payload.
const frameHeader = 9

// sniffer reads the first frames of a connection.
type sniffer struct {
	conn net.Conn
	read []byte
	// ack is where the acknowledgement of our settings is in read, or -1.
	ack int
	// grpc is true when the first request is a gRPC call straight from its client.
	grpc bool
	// gone is the failure of the connection itself.
	gone error
}

var errSniffedEnough = errors.New("the first request is too long")

// Read reads from the connection and keeps what it gives.
func (s *sniffer) Read(p []byte) (int, error) {
	if len(s.read)+len(p) > maxSniffed {
		return 0, errSniffedEnough
	}
	n, err := s.conn.Read(p)
	s.read = append(s.read, p[:n]...)
	if err != nil {
		s.gone = err
	}
	return n, err
}

// frames reads until both the first request and the acknowledgement of our settings are there. It fails for what is not HTTP/2; the HTTP server then
// answers that.
func (s *sniffer) frames() error {
	s.ack = -1
	framer := http2.NewFramer(s.conn, s)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	framer.MaxHeaderListSize = DefaultMaxHeaderBytes
	if err := framer.WriteSettings(); err != nil {
		s.gone = err
		return err
	}
	requested := false
	for !requested || s.ack < 0 {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if f.IsAck() && s.ack < 0 {
				s.ack = len(s.read) - frameHeader
			}
		case *http2.MetaHeadersFrame:
			if !requested {
				requested, s.grpc = true, directCall(f)
			}
		}
	}
	return nil
}

// proxyHeaders are those by which a proxy can be told from a client.
var proxyHeaders = []string{"via", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "x-envoy-attempt-count"}

// directCall reports whether a request is a gRPC call that came through no proxy.
func directCall(f *http2.MetaHeadersFrame) bool {
	call := false
	for _, field := range f.RegularFields() {
		switch {
		case field.Name == "content-type":
			call = isCallType(field.Value)
		case slices.Contains(proxyHeaders, field.Name):
			return false
		}
	}
	return call
}
