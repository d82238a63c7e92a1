package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// Transport is an open transport. Send may be called by many goroutines at once. Serve must be called once, or Close if it never is.
type Transport struct {
	link   Link
	config Config
	peer   Peer
	qos    bool
	patch  uint64
	mask   uint32
	limit  int // bytes of a batch, with the prefix
	lease  time.Duration
	in     receiver
	onEnd  func() // nil, or told of the end, with the lock held
	after  func() // nil, or called after each batch

	wake chan struct{} // to the writer: there is something to do
	done chan struct{} // closed at the end

	mu      sync.Mutex
	lanes   [8]lane  // what is to be sent, by priority
	free    [][]byte // buffers of batches
	err     error    // why it ended, from the moment that done is closed
	killer  *time.Timer
	closing bool // Close was called: write what is queued, and a Close
}

func newTransport(h *handshake, sn uint32, theirs *wire.Open) *Transport {
	t := &Transport{
		link: h.link, config: h.config, peer: h.peer, qos: h.qos, patch: h.patch, mask: h.sizes.Resolution.Mask(),
		limit: int(h.sizes.BatchSize), lease: theirs.Lease, wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	for i := range t.lanes {
		t.lanes[i] = lane{priority: wire.PriorityOf(uint64(i)), sn: [2]uint32{sn, sn}}
	}
	t.in.init(t, theirs.InitialSN)
	if link, ok := h.link.(interface{ opened() }); ok {
		link.opened()
	}
	return t
}

// Peer tells who is on the other side.
func (t *Transport) Peer() Peer { return t.peer }

// QoS tells whether both sides have a lane for each priority.
func (t *Transport) QoS() bool { return t.qos }

// BestEffort tells a handler whether the message that it has came in a lane that may lose messages. It is for the handler's goroutine only.
func (t *Transport) BestEffort() bool { return t.in.lossy }

// Done is closed when the transport has ended.
func (t *Transport) Done() <-chan struct{} { return t.done }

// Err tells why the transport ended, or nil while it has not. After a Close of this side it is ErrClosed.
func (t *Transport) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// Serve runs the transport until it ends and tells why: ErrClosed after Close, a *CloseError when the other side closed it, the error of ctx,
// of the link, of the protocol, or of the handler. Both sides then know, and the link is closed.
//
// The handler gets one message after another; each is good until the handler returns, as are its byte strings. Nothing is read meanwhile, so two
// sides whose handlers wait in Send may wait for each other: handlers use Delivery.NoWait, or leave what may wait to others.
func (t *Transport) Serve(ctx context.Context, handler func(wire.Network) error) error {
	var writer sync.WaitGroup
	writer.Go(t.write)
	stop := context.AfterFunc(ctx, func() { t.end(context.Cause(ctx)) })
	expiry := t.watchCertificate()
	t.end(t.read(handler))
	expiry.Stop()
	stop()
	writer.Wait()
	t.killer.Stop() // the link is closed
	return t.Err()
}

// watchCertificate ends the transport when the certificate of the peer ends, if that is wanted.
func (t *Transport) watchCertificate() *time.Timer {
	end := t.peer.CertEnd
	if end.IsZero() || !t.config.Link.CloseOnExpiration {
		return time.NewTimer(0)
	}
	return time.AfterFunc(time.Until(end), func() {
		t.end(fmt.Errorf("%w of %q: ended at %s", ErrCertificate, t.peer.CertName, end.UTC().Format(time.RFC3339)))
	})
}

// AfterBatch makes Serve call a function, in the handler's goroutine, when the messages of a batch were handed on. It must be called before Serve.
func (t *Transport) AfterBatch(f func()) { t.after = f }

// Close ends the transport after all that was sent so far is written, or when ctx ends. It waits for that, so Serve must be running in another
// goroutine; if it never was, only the link is closed.
func (t *Transport) Close(ctx context.Context) error {
	t.mu.Lock()
	t.closing = true
	t.mu.Unlock()
	t.notify()
	select {
	case <-t.done:
	case <-ctx.Done():
		t.end(ErrClosed)
	}
	if err := t.Err(); !errors.Is(err, ErrClosed) {
		return fmt.Errorf("close transport: %w", err)
	}
	return nil
}

// Abort ends the transport at once, and tells the other side that reason if the link takes it.
func (t *Transport) Abort(reason wire.CloseReason) { t.end(&CloseError{Reason: reason}) }

// goodbyeTime is how long the end of a transport waits for a link that takes nothing.
const goodbyeTime = 250 * time.Millisecond

// end keeps the first error as the reason of the end and wakes up everybody. The writer says goodbye, if it can in time.
func (t *Transport) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLocked(err)
}

func (t *Transport) endLocked(err error) {
	if t.err == nil {
		t.err = err
		t.killer = time.AfterFunc(goodbyeTime, func() { _ = t.link.Close() })
		if t.onEnd != nil {
			t.onEnd()
		}
		close(t.done)
	}
}

func (t *Transport) notify() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// write is the only goroutine that writes to the link. It ends with the transport, and closes the link.
func (t *Transport) write() {
	pause := t.config.Lease / time.Duration(t.config.KeepAlives)
	silent := time.NewTimer(pause)
	defer silent.Stop()
	var list [gather][]byte
	for {
		n, from, last := t.next(&list)
		switch {
		case n > 0:
			if err := t.handOver(list[:n]); err != nil {
				t.end(linkError{err})
			}
			t.written(list[:n], from)
			clear(list[:n]) // an idle transport gives its memory back
			silent.Reset(pause)
		case last:
			t.end(ErrClosed)
		}
		select {
		case <-t.done:
			t.goodbye()
			return
		default:
		}
		if n > 0 {
			continue
		}
		select {
		case <-t.wake:
		case <-t.done:
		case <-silent.C:
			t.rest()
			if err := t.say(&wire.KeepAlive{}); err != nil {
				t.end(linkError{err})
			}
			silent.Reset(pause)
		}
	}
}

// gather is how many batches of a lane are written at once: the piece of a large message that did not fit goes with the rest.
const gather = 4

// handOver writes batches, and leaves memory for others in their place, or nil: links within the process keep that of a batch until it was read.
func (t *Transport) handOver(list [][]byte) (err error) {
	if link, ok := t.link.(interface{ writeBatches([][]byte) error }); ok {
		return link.writeBatches(list)
	}
	local, _ := t.link.(*inprocLink)
	for i, b := range list {
		if local != nil {
			list[i], err = local.exchange(b)
		} else {
			err = t.link.WriteBatch(b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rest gives back the buffers that a transport which is idle does not need.
func (t *Transport) rest() {
	if link, ok := t.link.(*inprocLink); ok {
		link.rest()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free = nil
}

// say writes one message in a batch of its own.
func (t *Transport) say(m wire.Message) error {
	b, err := m.AppendBinary(make([]byte, prefix, 16))
	if err != nil {
		return err
	}
	return t.link.WriteBatch(b)
}

// goodbye tells the other side the reason, if the end is not its own doing, and closes the link.
func (t *Transport) goodbye() {
	var link linkError
	if err := t.Err(); !errors.As(err, &link) {
		_ = t.say(&wire.Close{Session: true, Reason: reasonOf(err)}) // a courtesy
	}
	_ = t.link.Close() // the reason of the end is known
}

// linkError is for what leaves nobody to say goodbye to: the link failed, or the other side closed the transport.
type linkError struct{ error }

func (e linkError) Unwrap() error { return e.error }
