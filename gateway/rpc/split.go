package rpc

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Split shares a listener between a gRPC server, which serves its connections more than twice as fast as an HTTP server can for it, and an HTTP
// server. A connection goes to the one that its first request is for, and stays there. What is neither plainly HTTP/1 nor plainly gRPC straight
// from a client goes to the HTTP server, where Handler still finds gRPC calls: a proxy may send calls and other requests over one connection.
type Split struct {
	l          net.Listener
	grpc, http *branch
	closing    context.Context
	close      context.CancelFunc
	running    sync.WaitGroup
	once       sync.Once
	closed     error
}

// Times for the first bytes of a connection, which is closed without them, and for the first request of one that speaks HTTP/2, which is the
// HTTP server's without it: that closes idle connections as it is told to.
const (
	firstBytesTimeout   = 10 * time.Second
	firstRequestTimeout = time.Minute
)

// NewSplit starts taking the connections of l. Close ends it; so does closing one of its listeners.
func NewSplit(l net.Listener) *Split {
	s := &Split{l: l}
	s.closing, s.close = context.WithCancel(context.Background())
	s.grpc, s.http = &branch{split: s, conns: make(chan net.Conn)}, &branch{split: s, conns: make(chan net.Conn)}
	s.running.Go(s.accept)
	return s
}

// GRPC gives the listener for the gRPC server.
func (s *Split) GRPC() net.Listener { return s.grpc }

// HTTP gives the listener for the HTTP server.
func (s *Split) HTTP() net.Listener { return s.http }

// Close closes the listener, and the connections that no server has taken yet.
func (s *Split) Close() error {
	err := s.stop()
	s.running.Wait()
	return err
}

func (s *Split) stop() error {
	s.once.Do(func() {
		s.close()
		s.closed = s.l.Close()
	})
	return s.closed
}

// accept takes connections until the listener is closed or fails for good.
func (s *Split) accept() {
	defer s.close()
	for {
		conn, err := s.l.Accept()
		if err == nil {
			s.running.Go(func() { s.route(conn) })
			continue
		}
		if s.closing.Err() == nil && temporary(err) && s.pause() {
			continue
		}
		s.grpc.fail(err)
		s.http.fail(err)
		return
	}
}

// temporary reports whether accepting may succeed later, as when the process has no file descriptors left.
func temporary(err error) bool {
	passing, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && passing.Temporary()
}

// pause waits a little; it gives false when the split is being closed.
func (s *Split) pause() bool {
	timer := time.NewTimer(10 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closing.Done():
		return false
	}
}

// route hands a connection to its server.
func (s *Split) route(conn net.Conn) {
	unwatch := context.AfterFunc(s.closing, func() { _ = conn.Close() })
	read, isGRPC, err := sniff(conn)
	unwatch()
	if err != nil || conn.SetDeadline(time.Time{}) != nil {
		_ = conn.Close() // the client has gone or says nothing, and there is nobody to tell
		return
	}
	to := s.http
	if isGRPC {
		to = s.grpc
	}
	select {
	case to.conns <- &resumed{Conn: conn, read: read}:
	case <-s.closing.Done():
		_ = conn.Close()
	}
}

// branch is the listener of one of the servers.
type branch struct {
	split *Split
	conns chan net.Conn

	mu     sync.Mutex
	failed error
}

// Accept gives the next connection for the server.
func (b *branch) Accept() (net.Conn, error) {
	select {
	case conn := <-b.conns:
		return conn, nil
	case <-b.split.closing.Done():
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.failed != nil {
			return nil, b.failed
		}
		return nil, net.ErrClosed
	}
}

func (b *branch) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = err
}

// Close closes the listener of both servers.
func (b *branch) Close() error { return b.split.stop() }

// Addr gives the address of the listener.
func (b *branch) Addr() net.Addr { return b.split.l.Addr() }

// resumed is a connection of which something has been read already.
type resumed struct {
	net.Conn
	read []byte
}

// Read gives first what was read already.
func (r *resumed) Read(p []byte) (int, error) {
	if len(r.read) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.read)
	if r.read = r.read[n:]; len(r.read) == 0 {
		r.read = nil
	}
	return n, nil
}

// CloseWrite ends what is sent, as the HTTP server does before it closes on a client that still sends, so that the client gets its answer.
func (r *resumed) CloseWrite() error {
	if conn, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return conn.CloseWrite()
	}
	return nil
}
