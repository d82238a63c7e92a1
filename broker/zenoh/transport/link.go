package transport

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// prefix is the length before a batch on a stream. Batches are built with room for it in front.
const prefix = 2

// Link carries batches. One goroutine reads and one writes.
type Link interface {
	// ReadBatch gives the next batch, on memory that is good until the next call. It fails at the deadline, if that is not zero.
	ReadBatch(deadline time.Time) ([]byte, error)
	// WriteBatch writes a batch in front of which there are two bytes that the link may fill.
	WriteBatch(b []byte) error
	// Close ends reading and writing. It may be called at any time, and again.
	Close() error
	// RemoteAddr tells where the other side is, for people.
	RemoteAddr() string
}

// streamLink puts the length before each batch.
type streamLink struct {
	conn     net.Conn
	in       *bufio.Reader
	batch    []byte
	deadline time.Time
}

// NewStreamLink makes a link of a connection that carries a stream of bytes: TCP, TLS, Unix, or the end of a net.Pipe.
func NewStreamLink(conn net.Conn) Link {
	return &streamLink{conn: conn, in: bufio.NewReaderSize(conn, 1<<14)}
}

func (l *streamLink) ReadBatch(deadline time.Time) ([]byte, error) {
	if !deadline.Equal(l.deadline) {
		if err := l.conn.SetReadDeadline(deadline); err != nil {
			return nil, fmt.Errorf("set read deadline: %w", err)
		}
		l.deadline = deadline
	}
	for {
		head, err := l.in.Peek(prefix)
		if err != nil {
			return nil, fmt.Errorf("read length of batch: %w", noEOF(len(head) > 0, err))
		}
		n := int(binary.LittleEndian.Uint16(head))
		if _, err := l.in.Discard(prefix); err != nil {
			return nil, fmt.Errorf("read length of batch: %w", err)
		}
		if n == 0 {
			continue
		}
		if cap(l.batch) < n {
			l.batch = make([]byte, n, min(1<<16, max(2*n, 1<<10)))
		}
		l.batch = l.batch[:n]
		if _, err := io.ReadFull(l.in, l.batch); err != nil {
			return nil, fmt.Errorf("read batch: %w", noEOF(true, err))
		}
		return l.batch, nil
	}
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

func (l *streamLink) Close() error {
	if err := l.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close link: %w", err)
	}
	return nil
}

func (l *streamLink) RemoteAddr() string { return l.conn.RemoteAddr().String() }

// DialLink connects to an endpoint such as tcp/localhost:7447 or unixsock-stream//run/zenoh.sock.
func DialLink(ctx context.Context, endpoint string) (Link, error) {
	protocol, address, _ := strings.Cut(endpoint, "/")
	address, _, _ = strings.Cut(address, "#")
	address, _, _ = strings.Cut(address, "?")
	network := map[string]string{"tcp": "tcp", "unixsock-stream": "unix"}[protocol]
	if network == "" {
		return nil, fmt.Errorf("dial %s: %w %q", endpoint, errors.ErrUnsupported, protocol)
	}
	var dialer net.Dialer // sets TCP_NODELAY
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", endpoint, err)
	}
	return NewStreamLink(conn), nil
}
