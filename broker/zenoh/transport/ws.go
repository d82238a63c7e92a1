package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// defaultHalfOpen is that of LinkConfig.HalfOpen.
const defaultHalfOpen = 100

// wsLink has a batch in each binary message of a WebSocket. It answers pings, which the protocol of WebSocket asks for, and sends none, as the
// native implementation takes them for errors.
type wsLink struct {
	conn     *websocket.Conn
	info     LinkInfo
	batch    []byte
	deadline time.Time
	ctx      context.Context // until the deadline
	cancel   context.CancelFunc
}

func newWSLink(conn *websocket.Conn, local, remote string) *wsLink {
	conn.SetReadLimit(wire.MaxBatchSize)
	info := LinkInfo{Protocol: "ws", Local: "ws/" + local, Remote: "ws/" + remote}
	return &wsLink{conn: conn, info: info, batch: make([]byte, 0, 1<<10), ctx: context.Background(), cancel: func() {}}
}

func dialWS(ctx context.Context, e Endpoint, _ LinkConfig) (Link, error) {
	plain, err := dialConn(ctx, e)
	if err != nil {
		return nil, err
	}
	// The client uses the connection that is there, and no proxy.
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return plain, nil }}}
	conn, _, err := websocket.Dial(ctx, "ws://"+e.Address+"/", &websocket.DialOptions{HTTPClient: client, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		_ = plain.Close() // the WebSocket is what failed
		return nil, err
	}
	return newWSLink(conn, plain.LocalAddr().String(), plain.RemoteAddr().String()), nil
}

func (l *wsLink) Info() LinkInfo { return l.info }

func (l *wsLink) ReadBatch(deadline time.Time) ([]byte, error) {
	if !deadline.Equal(l.deadline) {
		l.cancel()
		l.ctx, l.cancel = context.WithDeadline(context.Background(), deadline)
		l.deadline = deadline
	}
	b, err := l.read()
	if err != nil {
		expired := errors.Is(l.ctx.Err(), context.DeadlineExceeded)
		l.cancel()
		if expired {
			err = os.ErrDeadlineExceeded
		}
		return nil, fmt.Errorf("read batch: %w", err)
	}
	return b, nil
}

// read gives the next message that is not empty.
func (l *wsLink) read() ([]byte, error) {
	for {
		kind, r, err := l.conn.Reader(l.ctx)
		switch {
		case websocket.CloseStatus(err) != -1:
			return nil, fmt.Errorf("%w: %w", io.EOF, err)
		case err != nil:
			return nil, err
		case kind != websocket.MessageBinary:
			return nil, fmt.Errorf("%w: WebSocket message that is not binary", ErrProtocol)
		}
		if err := l.fill(r); err != nil {
			return nil, err
		}
		if len(l.batch) > 0 {
			return l.batch, nil
		}
	}
}

// fill reads a message, whose size the connection limits, into memory that grows with it.
func (l *wsLink) fill(r io.Reader) error {
	for b := l.batch[:0]; ; {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			l.batch = b
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (l *wsLink) WriteBatch(b []byte) error {
	if err := l.conn.Write(context.Background(), websocket.MessageBinary, b[prefix:]); err != nil { // Close ends it
		return fmt.Errorf("write batch: %w", err)
	}
	return nil
}

// Close closes the connection without the messages of WebSocket for that, as the transport has said all.
func (l *wsLink) Close() error {
	_ = l.conn.CloseNow() // fails when it is closed already
	return nil
}

// wsListener is an HTTP server whose requests become links.
type wsListener struct {
	listener net.Listener
	server   http.Server
	serving  sync.WaitGroup
	links    chan *wsLink
	closed   chan struct{}

	mu   sync.Mutex // over putting links in, and the end of that
	over bool
}

func listenWS(ctx context.Context, e Endpoint, c LinkConfig) (Listener, error) {
	listener, err := listenConn(ctx, e)
	if err != nil {
		return nil, err
	}
	l := &wsListener{listener: listener, links: make(chan *wsLink, orDefault(c.HalfOpen, defaultHalfOpen)), closed: make(chan struct{})}
	l.server = http.Server{Handler: l, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	l.serving.Go(func() { _ = l.server.Serve(listener) }) // ends with Close
	return l, nil
}

// ServeHTTP makes a link of a request.
func (l *wsListener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(l.links) == cap(l.links) {
		http.Error(w, "too many links wait to be accepted", http.StatusServiceUnavailable)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return // the client was told
	}
	if link := newWSLink(conn, l.listener.Addr().String(), r.RemoteAddr); !l.put(link) {
		_ = link.Close()
	}
}

// put leaves a link for Accept, if there is room.
func (l *wsListener) put(link *wsLink) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	select {
	case l.links <- link:
		return true
	default:
		return false
	}
}

func (l *wsListener) Accept() (Link, error) {
	select {
	case link := <-l.links:
		return link, nil
	case <-l.closed:
		return nil, fmt.Errorf("accept on %s: %w", l.Endpoint(), net.ErrClosed)
	}
}

func (l *wsListener) Endpoint() string { return "ws/" + l.listener.Addr().String() }

// Close ends links that nobody accepted.
func (l *wsListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return nil
	}
	l.over = true
	close(l.closed)
	err := l.server.Close()
	l.serving.Wait()
	for len(l.links) > 0 {
		_ = (<-l.links).Close()
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close listener on %s: %w", l.Endpoint(), err)
	}
	return nil
}
