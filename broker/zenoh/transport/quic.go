package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

// quicALPN is the name of the protocol within QUIC that all versions of the native implementation know.
const quicALPN = "hq-29"

// quicConfig keeps connections alive whatever the lease is, and takes the one stream that there is.
func quicConfig() *quic.Config {
	return &quic.Config{KeepAlivePeriod: 10 * time.Second, MaxIncomingStreams: 1, MaxIncomingUniStreams: -1}
}

var _ net.Conn = (*quicConn)(nil)

// quicConn is the stream of a QUIC connection, as a net.Conn. That of one that was accepted is known with its first bytes.
type quicConn struct {
	*quic.Conn
	stream atomic.Pointer[quic.Stream]
	once   sync.Once
}

func (c *quicConn) Read(b []byte) (int, error) {
	stream := c.stream.Load()
	if stream == nil {
		var err error
		if stream, err = c.AcceptStream(c.Context()); err != nil {
			return 0, err
		}
		c.stream.Store(stream)
	}
	return stream.Read(b)
}

func (c *quicConn) Write(b []byte) (int, error) {
	if stream := c.stream.Load(); stream != nil {
		return stream.Write(b)
	}
	return 0, errors.New("no stream yet") // it is the other side's to begin
}

// Close gives the other side a moment to read what was written, as QUIC forgets that when a connection is closed.
func (c *quicConn) Close() error {
	var err error
	c.once.Do(func() {
		if stream := c.stream.Load(); stream != nil {
			stream.CancelRead(0)
			if stream.Close() == nil {
				select {
				case <-c.Context().Done():
				case <-time.After(goodbyeTime):
				}
			}
		}
		err = c.CloseWithError(0, "")
	})
	return err
}

func (c *quicConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *quicConn) SetReadDeadline(t time.Time) error {
	if stream := c.stream.Load(); stream != nil {
		return stream.SetReadDeadline(t)
	}
	return nil // before the stream there is the time for the handshake, which closes the connection
}

func (c *quicConn) SetWriteDeadline(t time.Time) error {
	if stream := c.stream.Load(); stream != nil {
		return stream.SetWriteDeadline(t)
	}
	return nil
}

// quicLink is a stream within QUIC.
type quicLink struct {
	*streamLink
	conn *quicConn
}

func newQUICLink(conn *quic.Conn, stream *quic.Stream) *quicLink {
	c := &quicConn{Conn: conn}
	c.stream.Store(stream)
	return &quicLink{streamLink: newStreamLink(c, "quic"), conn: c}
}

func (l *quicLink) Info() LinkInfo {
	return withCertificates(l.info, l.conn.ConnectionState().TLS.PeerCertificates)
}

func (l *quicLink) ReadBatch(deadline time.Time) ([]byte, error) {
	b, err := l.streamLink.ReadBatch(deadline)
	if err != nil {
		return nil, certificateError(err)
	}
	return b, nil
}

func dialQUIC(ctx context.Context, e Endpoint, c LinkConfig) (Link, error) {
	if err := e.onlyConfig(); err != nil {
		return nil, err
	}
	config, err := dialTLSConfig(e, c)
	if err != nil {
		return nil, err
	}
	config.NextProtos = []string{quicALPN}
	conn, err := quic.DialAddr(ctx, e.Address, config, quicConfig())
	if err != nil {
		return nil, certificateError(err)
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		_ = conn.CloseWithError(0, "") // the stream is what failed
		return nil, certificateError(err)
	}
	return newQUICLink(conn, stream), nil
}

// quicListener has one socket for all its links.
type quicListener struct {
	socket    net.PacketConn
	transport *quic.Transport
	listener  *quic.Listener
	ctx       context.Context // until Close
	cancel    context.CancelFunc
}

func listenQUIC(ctx context.Context, e Endpoint, c LinkConfig) (Listener, error) {
	if err := e.onlyConfig(); err != nil {
		return nil, err
	}
	config, err := listenTLSConfig("quic", c)
	if err != nil {
		return nil, err
	}
	config.NextProtos = []string{quicALPN}
	var sockets net.ListenConfig
	socket, err := sockets.ListenPacket(ctx, "udp", e.Address)
	if err != nil {
		return nil, err
	}
	transport := &quic.Transport{Conn: socket}
	listener, err := transport.Listen(config, quicConfig())
	if err != nil {
		_ = socket.Close() // it was good for nothing
		return nil, err
	}
	l := &quicListener{socket: socket, transport: transport, listener: listener}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l, nil
}

func (l *quicListener) Accept() (Link, error) {
	conn, err := l.listener.Accept(l.ctx)
	if l.ctx.Err() != nil {
		if err == nil {
			_ = conn.CloseWithError(0, "") // too late
		}
		return nil, fmt.Errorf("accept on %s: %w", l.Endpoint(), net.ErrClosed)
	}
	if err != nil {
		return nil, fmt.Errorf("accept on %s: %w", l.Endpoint(), err)
	}
	return newQUICLink(conn, nil), nil
}

func (l *quicListener) Endpoint() string { return "quic/" + l.socket.LocalAddr().String() }

// Close ends the links as well, which have no socket from then on.
func (l *quicListener) Close() error {
	l.cancel()
	err := l.transport.Close()
	if closed := l.socket.Close(); closed != nil && !errors.Is(closed, net.ErrClosed) {
		err = errors.Join(err, closed)
	}
	if err != nil {
		return fmt.Errorf("close listener on %s: %w", l.Endpoint(), err)
	}
	return nil
}

// quicCertificateError tells whether the other side refused the certificate of this one, which QUIC says in its own way (RFC 9001, 4.8).
func quicCertificateError(err error) bool {
	remote, ok := errors.AsType[*quic.TransportError](err)
	if !ok || !remote.Remote || !remote.ErrorCode.IsCryptoError() {
		return false
	}
	alert := uint8(remote.ErrorCode)
	return alert >= 42 && alert <= 48 || alert == 116 // the alerts of TLS about certificates (RFC 8446, 6)
}
