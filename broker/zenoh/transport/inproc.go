package transport

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of links within the process.
const (
	inprocDepth   = 4   // batches on their way, in each direction
	inprocBacklog = 128 // links that wait to be accepted
)

// names has the listeners of this process by name, as ports have those of a machine.
var names = struct {
	sync.Mutex
	listeners map[string]*inprocListener
}{listeners: map[string]*inprocListener{}}

// inprocListener is a name within the process.
type inprocListener struct {
	name    string
	dialled chan *inprocLink
	dialler atomic.Uint64
	once    sync.Once
	closed  chan struct{}
}

func listenInproc(_ context.Context, e Endpoint, _ LinkConfig) (Listener, error) {
	if err := e.onlyConfig(); err != nil {
		return nil, err
	}
	names.Lock()
	defer names.Unlock()
	if names.listeners[e.Address] != nil {
		return nil, fmt.Errorf("name %q: %w", e.Address, syscall.EADDRINUSE)
	}
	l := &inprocListener{name: e.Address, dialled: make(chan *inprocLink, inprocBacklog), closed: make(chan struct{})}
	names.listeners[e.Address] = l
	return l, nil
}

func (l *inprocListener) Accept() (Link, error) {
	select {
	case link := <-l.dialled:
		return link, nil
	case <-l.closed:
		return nil, fmt.Errorf("accept on %s: %w", l.Endpoint(), net.ErrClosed)
	}
}

// Close gives the name away. Links that nobody accepted end.
func (l *inprocListener) Close() error {
	l.once.Do(func() {
		names.Lock()
		delete(names.listeners, l.name)
		close(l.closed) // from here on nobody puts anything into dialled
		names.Unlock()
		for {
			select {
			case link := <-l.dialled:
				_ = link.Close() // never fails
			default:
				return
			}
		}
	})
	return nil
}

func (l *inprocListener) Endpoint() string { return "inproc/" + l.name }

func dialInproc(_ context.Context, e Endpoint, _ LinkConfig) (Link, error) {
	if err := e.onlyConfig(); err != nil {
		return nil, err
	}
	names.Lock()
	defer names.Unlock()
	l := names.listeners[e.Address]
	if l == nil {
		return nil, fmt.Errorf("nobody listens in this process: %w", syscall.ECONNREFUSED)
	}
	here := fmt.Sprintf("inproc/%s/%d", l.name, l.dialler.Add(1))
	there, back := newPipe(), newPipe()
	select {
	case l.dialled <- &inprocLink{in: there, out: back, info: LinkInfo{Protocol: "inproc", Local: l.Endpoint(), Remote: here}}:
		return &inprocLink{in: back, out: there, info: LinkInfo{Protocol: "inproc", Local: here, Remote: l.Endpoint()}}, nil
	default:
		return nil, fmt.Errorf("%d links wait to be accepted: %w", inprocBacklog, syscall.ECONNREFUSED)
	}
}

// pipe carries batches one way, and their memory back.
type pipe struct {
	batches chan []byte
	spare   chan []byte
	once    sync.Once
	closed  chan struct{}
}

func newPipe() *pipe {
	return &pipe{batches: make(chan []byte, inprocDepth), spare: make(chan []byte, inprocDepth), closed: make(chan struct{})}
}

func (p *pipe) close() { p.once.Do(func() { close(p.closed) }) }

// inprocLink hands batches to another goroutine of the process.
type inprocLink struct {
	in, out *pipe
	info    LinkInfo
	reading []byte // the batch that was read last
	timer   *time.Timer
	until   time.Time // when the timer ends
}

func (l *inprocLink) Info() LinkInfo { return l.info }

// Close lets the other side read what was written.
func (l *inprocLink) Close() error {
	l.in.close()
	l.out.close()
	return nil
}

func (l *inprocLink) ReadBatch(deadline time.Time) ([]byte, error) {
	if l.reading != nil {
		select {
		case l.in.spare <- l.reading:
		default:
		}
		l.reading = nil
	}
	select {
	case b := <-l.in.batches:
		return l.take(b), nil
	default:
	}
	select {
	case b := <-l.in.batches:
		return l.take(b), nil
	case <-l.in.closed:
	case <-l.expires(deadline):
		return nil, fmt.Errorf("read batch from %s: %w", l.info.Remote, os.ErrDeadlineExceeded)
	}
	select {
	case b := <-l.in.batches:
		return l.take(b), nil
	default:
		return nil, fmt.Errorf("read batch from %s: %w", l.info.Remote, io.EOF)
	}
}

func (l *inprocLink) take(b []byte) []byte {
	l.reading = b
	return b[prefix:]
}

// expires gives a channel that gets something at the deadline.
func (l *inprocLink) expires(deadline time.Time) <-chan time.Time {
	switch {
	case deadline.IsZero():
		return nil
	case l.timer == nil:
		l.timer = time.NewTimer(time.Until(deadline))
	case !deadline.Equal(l.until):
		l.timer.Reset(time.Until(deadline))
	}
	l.until = deadline
	return l.timer.C
}

func (l *inprocLink) WriteBatch(b []byte) error {
	_, err := l.exchange(append([]byte(nil), b...))
	return err
}

// exchange hands over a batch with its memory, and gives the memory of a batch that was read, or nil.
func (l *inprocLink) exchange(b []byte) (spare []byte, err error) {
	select {
	case <-l.out.closed:
		return nil, fmt.Errorf("write batch to %s: %w", l.info.Remote, net.ErrClosed)
	default:
	}
	select {
	case l.out.batches <- b:
	case <-l.out.closed:
		return nil, fmt.Errorf("write batch to %s: %w", l.info.Remote, net.ErrClosed)
	}
	select {
	case spare = <-l.out.spare:
	default:
	}
	return spare, nil
}
