package transport

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// Bounds of links within the process.
const (
	inprocDepth   = 4   // batches on their way, in each direction
	inprocSpare   = 16  // batches that were read, whose memory waits for the sender
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
	there, back := newPipe(inprocDepth, inprocSpare), newPipe(inprocDepth, inprocSpare)
	select {
	case l.dialled <- &inprocLink{inbox: inbox{pipe: there}, out: back, info: LinkInfo{Protocol: "inproc", Local: l.Endpoint(), Remote: here}}:
		return &inprocLink{inbox: inbox{pipe: back}, out: there, info: LinkInfo{Protocol: "inproc", Local: here, Remote: l.Endpoint()}}, nil
	default:
		return nil, fmt.Errorf("%d links wait to be accepted: %w", inprocBacklog, syscall.ECONNREFUSED)
	}
}

// inprocLink hands batches to another goroutine of the process.
type inprocLink struct {
	inbox
	out  *pipe
	info LinkInfo
}

func (l *inprocLink) Info() LinkInfo { return l.info }

// Close lets the other side read what was written.
func (l *inprocLink) Close() error {
	l.inbox.close()
	l.out.close()
	return nil
}

func (l *inprocLink) WriteBatch(b []byte) error {
	_, err := l.exchange(append([]byte(nil), b...))
	return err
}

// rest gives back memory that nobody needs while the link is idle.
func (l *inprocLink) rest() {
	for l.out.memory() != nil {
	}
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
	return l.out.memory(), nil
}
