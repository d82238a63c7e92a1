// Package zproxy is a test kit: a proxy for TCP that does to bytes what networks do. It cuts, delays, splits, and leaves connections half open.
//
// What it does may be changed at any time, for the connections that there are and for those to come. Close waits for all of them.
package zproxy

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// Way is what happens to the bytes of one direction. The zero value hands them on as they come.
type Way struct {
	Chunk    int           // bytes written at once; 1 splits everywhere, 0 nowhere
	Delay    time.Duration // before each write
	Stall    bool          // nothing is read, so that whoever sends is held up in the end
	Swallow  bool          // all is read, and nothing is handed on
	CutAfter int           // bytes of a connection, after which it is closed; 0 is never
}

// Proxy hands connections on to one address.
type Proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu       sync.Mutex
	up, down Way
	changed  chan struct{} // closed at each change
	conns    map[*pair]struct{}
	accepted int
	refuse   bool
	closed   bool
}

// pair is a connection and the one that it is handed on to.
type pair struct {
	client, server net.Conn
	over           chan struct{}
	once           sync.Once
}

func (c *pair) close() {
	c.once.Do(func() {
		close(c.over)
		_ = c.client.Close() // it may be closed already
		_ = c.server.Close()
	})
}

// Listen makes a proxy on loopback for a target such as tcp/127.0.0.1:7447.
func Listen(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	p := &Proxy{listener: listener, target: strings.TrimPrefix(target, "tcp/"), changed: make(chan struct{}), conns: map[*pair]struct{}{}}
	p.wg.Go(p.accept)
	return p, nil
}

// Endpoint is where the proxy listens, as tcp/host:port.
func (p *Proxy) Endpoint() string { return "tcp/" + p.listener.Addr().String() }

// Set changes what happens to bytes on their way up, to the target, and down, from it.
func (p *Proxy) Set(up, down Way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up, p.down = up, down
	close(p.changed)
	p.changed = make(chan struct{})
}

// Refuse tells whether new connections are closed at once.
func (p *Proxy) Refuse(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = yes
}

// Accepted gives the number of connections so far, with those that were refused.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Cut closes all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.close()
	}
}

// Close ends it all, and waits for that.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.Cut()
	p.wg.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	p.mu.Lock()
	p.accepted++
	refuse := p.refuse
	p.mu.Unlock()
	if refuse {
		_ = client.Close() // that is the fault
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = client.Close() // as the target did
		return
	}
	c := &pair{client: client, server: server, over: make(chan struct{})}
	if !p.add(c) {
		return
	}
	var ways sync.WaitGroup
	ways.Go(func() { p.pump(c, client, server, func() Way { return p.up }) })
	ways.Go(func() { p.pump(c, server, client, func() Way { return p.down }) })
	ways.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *Proxy) add(c *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

// pump moves the bytes of one direction until the connection is over.
func (p *Proxy) pump(c *pair, from, to net.Conn, which func() Way) {
	defer c.close()
	b := make([]byte, 1<<16)
	for total := 0; ; {
		way, ok := p.wait(c, which)
		if !ok {
			return
		}
		n, err := from.Read(b)
		if way, ok = p.wait(c, which); !ok { // it may have changed meanwhile
			return
		}
		if cut := way.CutAfter; cut > 0 && total+n >= cut {
			_ = p.write(c, to, b[:max(0, cut-total)], way) // it is cut anyway
			return
		}
		total += n
		if werr := p.write(c, to, b[:n], way); err != nil || werr != nil {
			return
		}
	}
}

// wait gives what to do with bytes, once they are not to be held up.
func (p *Proxy) wait(c *pair, which func() Way) (way Way, ok bool) {
	for {
		p.mu.Lock()
		way, changed := which(), p.changed
		p.mu.Unlock()
		if !way.Stall {
			return way, true
		}
		select {
		case <-changed:
		case <-c.over:
			return Way{}, false
		}
	}
}

// write hands bytes on, in the pieces and with the pauses that are wanted.
func (p *Proxy) write(c *pair, to io.Writer, b []byte, way Way) error {
	if way.Swallow {
		return nil
	}
	for len(b) > 0 {
		n := len(b)
		if way.Chunk > 0 {
			n = min(n, way.Chunk)
		}
		if way.Delay > 0 {
			select {
			case <-time.After(way.Delay):
			case <-c.over:
				return net.ErrClosed
			}
		}
		if _, err := to.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
