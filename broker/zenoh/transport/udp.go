package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	udpMTU    = 65487   // what the native implementation takes for the largest datagram
	udpBuffer = 1 << 21 // of sockets, as far as the system allows: a datagram that finds no room is lost
	udpDepth  = 256     // datagrams of a peer that wait to be read: about what a socket keeps of small ones
	udpHalf   = 2       // the same, before its transport is open
)

// udpLink is a link of a socket of its own: a batch is a datagram.
type udpLink struct {
	conn     *net.UDPConn
	info     LinkInfo
	batch    []byte
	deadline time.Time
}

func dialUDP(ctx context.Context, e Endpoint, _ LinkConfig) (Link, error) {
	if err := e.onlyConfig("bind"); err != nil {
		return nil, err
	}
	var dialer net.Dialer
	if bind := e.Config["bind"]; bind != "" {
		local, err := net.ResolveUDPAddr("udp", bind)
		if err != nil {
			return nil, fmt.Errorf("%w %q: bind: %w", ErrEndpoint, e, err)
		}
		dialer.LocalAddr = local
	}
	c, err := dialer.DialContext(ctx, "udp", e.Address)
	if err != nil {
		return nil, err
	}
	conn := c.(*net.UDPConn)
	enlarge(conn)
	info := LinkInfo{Protocol: "udp", Local: "udp/" + conn.LocalAddr().String(), Remote: "udp/" + conn.RemoteAddr().String(), MTU: udpMTU}
	return &udpLink{conn: conn, info: info, batch: make([]byte, 1<<16)}, nil
}

// enlarge asks for large buffers; smaller ones work as well.
func enlarge(conn *net.UDPConn) {
	_ = conn.SetReadBuffer(udpBuffer)
	_ = conn.SetWriteBuffer(udpBuffer)
}

func (l *udpLink) Info() LinkInfo { return l.info }

func (l *udpLink) ReadBatch(deadline time.Time) ([]byte, error) {
	if !deadline.Equal(l.deadline) {
		if err := l.conn.SetReadDeadline(deadline); err != nil {
			return nil, fmt.Errorf("set read deadline: %w", err)
		}
		l.deadline = deadline
	}
	for {
		n, err := l.conn.Read(l.batch)
		if err != nil {
			return nil, fmt.Errorf("read batch: %w", err)
		}
		if n > 0 {
			return l.batch[:n], nil
		}
	}
}

func (l *udpLink) WriteBatch(b []byte) error {
	if _, err := l.conn.Write(b[prefix:]); err != nil {
		return fmt.Errorf("write batch: %w", err)
	}
	return nil
}

func (l *udpLink) Close() error {
	if err := l.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close link: %w", err)
	}
	return nil
}

// udpListener has one socket for all its links, and hands datagrams to them by where they come from.
type udpListener struct {
	conn   *net.UDPConn
	socket shared
	limit  int // of links that are not open
	fresh  chan *udpPeer
	reader sync.WaitGroup
	closed chan struct{} // no new links

	mu    sync.Mutex
	peers map[netip.AddrPort]*udpPeer
	half  int // those that are not open
	over  bool
}

func listenUDP(ctx context.Context, e Endpoint, c LinkConfig) (Listener, error) {
	if err := e.onlyConfig(); err != nil {
		return nil, err
	}
	var config net.ListenConfig
	conn, err := config.ListenPacket(ctx, "udp", e.Address)
	if err != nil {
		return nil, err
	}
	limit := orDefault(c.HalfOpen, defaultHalfOpen)
	l := &udpListener{conn: conn.(*net.UDPConn), limit: limit, fresh: make(chan *udpPeer, limit), closed: make(chan struct{}), peers: map[netip.AddrPort]*udpPeer{}}
	l.socket.end = func() error {
		err := l.conn.Close()
		l.reader.Wait()
		return err
	}
	enlarge(l.conn)
	l.reader.Go(l.read)
	return l, nil
}

func (l *udpListener) Endpoint() string { return "udp/" + l.conn.LocalAddr().String() }

func (l *udpListener) Accept() (Link, error) {
	select {
	case <-l.closed:
	case p := <-l.fresh:
		return p, nil
	}
	return nil, fmt.Errorf("accept on %s: %w", l.Endpoint(), net.ErrClosed)
}

// Close ends links that nobody accepted.
func (l *udpListener) Close() error {
	l.mu.Lock()
	over := l.over
	l.over = true
	l.mu.Unlock()
	if over {
		return nil
	}
	close(l.closed)
	for len(l.fresh) > 0 {
		_ = (<-l.fresh).Close() // the socket is still there
	}
	if err := l.socket.close(); err != nil {
		return fmt.Errorf("close listener on %s: %w", l.Endpoint(), err)
	}
	return nil
}

// read hands datagrams on until the socket is closed.
func (l *udpListener) read() {
	b := make([]byte, 1<<16)
	for {
		n, from, err := l.conn.ReadFromUDPAddrPort(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil || n == 0: // what the system says of a datagram that was sent to nobody is no error of the others
			continue
		}
		if p := l.peerAt(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), b[:n]); p != nil {
			p.deliver(b[:n])
		}
	}
}

// peerAt gives the link to an address. A new one begins with what can be an Init, if there are not too many that did not get further.
func (l *udpListener) peerAt(from netip.AddrPort, b []byte) *udpPeer {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peers[from]
	if p != nil || b[0]&0x3f != idInitSyn || l.half >= l.limit || l.over {
		return p
	}
	info := LinkInfo{Protocol: "udp", Local: l.Endpoint(), Remote: "udp/" + from.String(), MTU: udpMTU}
	p = &udpPeer{inbox: inbox{pipe: newPipe(udpDepth, udpHalf)}, listener: l, to: from, info: info, depth: udpHalf}
	select {
	case l.fresh <- p:
	default: // closed links that nobody accepted are still in there
		return nil
	}
	l.peers[from] = p
	l.half++
	l.socket.hold()
	return p
}

// idInitSyn is the header of an Init that is no answer, without its other flags.
const idInitSyn = 0x01

// udpPeer is a link of a listener.
type udpPeer struct {
	inbox
	listener *udpListener
	to       netip.AddrPort
	info     LinkInfo
	depth    int // of the inbox; under the lock of the listener
}

func (p *udpPeer) Info() LinkInfo { return p.info }

// deliver copies a datagram into the inbox, or loses it if that is full.
func (p *udpPeer) deliver(b []byte) {
	p.listener.mu.Lock()
	depth := p.depth
	p.listener.mu.Unlock()
	if len(p.batches) < depth { // nobody else puts anything in
		p.batches <- append(append(p.memory()[:0], 0, 0), b...)
	}
}

// opened gives a link whose peer has proved to be where it says more room.
func (p *udpPeer) opened() {
	p.listener.mu.Lock()
	defer p.listener.mu.Unlock()
	if p.depth == udpHalf {
		p.depth = udpDepth
		p.listener.half--
	}
}

func (p *udpPeer) WriteBatch(b []byte) error {
	select {
	case <-p.closed:
		return fmt.Errorf("write batch: %w", net.ErrClosed)
	default:
	}
	if _, err := p.listener.conn.WriteToUDPAddrPort(b[prefix:], p.to); err != nil {
		return fmt.Errorf("write batch: %w", err)
	}
	return nil
}

func (p *udpPeer) Close() error {
	p.inbox.close()
	if !p.listener.forget(p) {
		return nil
	}
	if err := p.listener.socket.release(); err != nil {
		return fmt.Errorf("close link: %w", err)
	}
	return nil
}

// forget tells whether the peer was known until now.
func (l *udpListener) forget(p *udpPeer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peers[p.to] != p {
		return false
	}
	delete(l.peers, p.to)
	if p.depth == udpHalf {
		l.half--
	}
	return true
}
