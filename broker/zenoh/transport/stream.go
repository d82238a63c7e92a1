package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Sizes of the memory that a stream is read into: batches are used where they are, and one read may bring many.
const (
	minRead = 1 << 12 // of an idle link
	maxRead = 1 << 17 // of a busy one
	calm    = 8       // reads in a row that the small memory had been enough for, after which that is all there is
)

// streamLink puts the length before each batch.
type streamLink struct {
	conn     net.Conn
	info     LinkInfo
	deadline time.Time
	in       []byte
	from, to int // what was read and not handed on yet, in the memory
	small    int // reads in a row that minRead had been enough for
	out      net.Buffers
	left     net.Buffers // of out, while that is written
}

// NewStreamLink makes a link of a connection that carries a stream of bytes, such as the end of a net.Pipe.
func NewStreamLink(conn net.Conn) Link {
	return newStreamLink(conn, networkProtocols[conn.LocalAddr().Network()])
}

func newStreamLink(conn net.Conn, protocol string) *streamLink {
	info := LinkInfo{Protocol: protocol, Local: protocol + "/" + conn.LocalAddr().String(), Remote: protocol + "/" + conn.RemoteAddr().String()}
	return &streamLink{conn: conn, info: info}
}

func (l *streamLink) ReadBatch(deadline time.Time) ([]byte, error) {
	if !deadline.Equal(l.deadline) {
		if err := l.conn.SetReadDeadline(deadline); err != nil {
			return nil, fmt.Errorf("set read deadline: %w", err)
		}
		l.deadline = deadline
	}
	for {
		need := prefix
		if l.to-l.from >= prefix {
			need += int(binary.LittleEndian.Uint16(l.in[l.from:]))
		}
		if l.to-l.from < need {
			if err := l.read(need); err != nil {
				return nil, fmt.Errorf("read batch: %w", noEOF(l.to > l.from, err))
			}
			continue
		}
		b := l.in[l.from+prefix : l.from+need]
		l.from += need
		if len(b) > 0 { // an empty batch has nothing to say
			return b, nil
		}
	}
}

// read reads what there is, into memory with room for that many bytes behind what is there.
func (l *streamLink) read(need int) error {
	l.makeRoom(need)
	n, err := l.conn.Read(l.in[l.to:])
	l.to += n
	if l.small++; n >= minRead {
		l.small = 0
	}
	if n > 0 {
		return nil
	}
	return err
}

// makeRoom moves what is there to the front, or into memory of another size: of twice the size when all of it was needed, of the smallest when
// little was for a while.
func (l *streamLink) makeRoom(need int) {
	size := len(l.in)
	switch {
	case need > size, l.to == size && size < maxRead:
		size = max(minRead, need, min(2*size, maxRead))
	case l.small >= calm && size > minRead && need <= minRead:
		size = minRead
	case l.from == l.to:
		l.from, l.to = 0, 0
		return
	case l.from+need <= size && l.to < size:
		return
	}
	into := l.in
	if size != len(l.in) {
		into = make([]byte, size)
	}
	l.to = copy(into, l.in[l.from:l.to])
	l.in, l.from = into, 0
}

// noEOF makes the end of the stream in the middle of a batch another error than the end between two.
func noEOF(inside bool, err error) error {
	if inside && errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (l *streamLink) WriteBatch(b []byte) error {
	binary.LittleEndian.PutUint16(b, uint16(len(b)-prefix))
	if _, err := l.conn.Write(b); err != nil {
		return fmt.Errorf("write batch: %w", err)
	}
	return nil
}

// writeBatches writes several at once.
func (l *streamLink) writeBatches(list [][]byte) error {
	if len(list) == 1 {
		return l.WriteBatch(list[0])
	}
	l.out = append(l.out[:0], list...)
	for _, b := range l.out {
		binary.LittleEndian.PutUint16(b, uint16(len(b)-prefix))
	}
	l.left = l.out
	if _, err := l.left.WriteTo(l.conn); err != nil {
		return fmt.Errorf("write batches: %w", err)
	}
	return nil
}

func (l *streamLink) Close() error {
	if err := l.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close link: %w", err)
	}
	return nil
}

func (l *streamLink) Info() LinkInfo { return l.info }

// networkProtocols names the protocols of networks of package net.
var networkProtocols = map[string]string{"tcp": "tcp", "unix": "unixsock-stream", "pipe": "pipe"}

// networkOf gives the network of package net of a protocol.
func networkOf(protocol string) string {
	if protocol == "unixsock-stream" {
		return "unix"
	}
	return "tcp"
}

func dialStream(ctx context.Context, e Endpoint, _ LinkConfig) (Link, error) {
	conn, err := dialConn(ctx, e)
	if err != nil {
		return nil, err
	}
	return newStreamLink(conn, e.Protocol), nil
}

// dialConn connects to an endpoint of tcp or anything on it, from the address in its configuration bind, if there is one.
func dialConn(ctx context.Context, e Endpoint) (net.Conn, error) {
	if err := e.onlyConfig("bind"); err != nil {
		return nil, err
	}
	var dialer net.Dialer // sets TCP_NODELAY
	if bind := e.Config["bind"]; bind != "" {
		local, err := net.ResolveTCPAddr("tcp", bind)
		if err != nil {
			return nil, fmt.Errorf("%w %q: bind: %w", ErrEndpoint, e, err)
		}
		dialer.LocalAddr = local
	}
	return dialer.DialContext(ctx, networkOf(e.Protocol), e.Address)
}

// streamListener accepts connections that carry streams.
type streamListener struct {
	net.Listener
	protocol string
}

func listenStream(ctx context.Context, e Endpoint, _ LinkConfig) (Listener, error) {
	l, err := listenConn(ctx, e)
	if err != nil {
		return nil, err
	}
	return &streamListener{Listener: l, protocol: e.Protocol}, nil
}

// listenConn listens for tcp or anything on it, or on a Unix socket.
func listenConn(ctx context.Context, e Endpoint) (net.Listener, error) {
	if err := e.onlyConfig(); err != nil {
		return nil, err
	}
	var config net.ListenConfig
	network := networkOf(e.Protocol)
	l, err := config.Listen(ctx, network, e.Address)
	if network == "unix" && errors.Is(err, syscall.EADDRINUSE) && abandoned(e.Address) {
		if err := os.Remove(e.Address); err != nil {
			return nil, fmt.Errorf("remove the socket that a process left behind: %w", err)
		}
		return config.Listen(ctx, network, e.Address)
	}
	return l, err
}

// abandoned tells whether a path is a socket that nobody listens on.
func abandoned(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return false
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close() // it was only a question
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

func (l *streamListener) Accept() (Link, error) {
	conn, err := l.accept()
	if err != nil {
		return nil, err
	}
	return newStreamLink(conn, l.protocol), nil
}

func (l *streamListener) accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, fmt.Errorf("accept on %s: %w", l.Endpoint(), err)
	}
	return conn, nil
}

func (l *streamListener) Endpoint() string { return l.protocol + "/" + l.Addr().String() }

func (l *streamListener) Close() error {
	if err := l.Listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close listener on %s: %w", l.Endpoint(), err)
	}
	return nil
}
