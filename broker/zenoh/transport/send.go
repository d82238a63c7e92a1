package transport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// lane is the queue of one priority. Each of its batches has one frame, as some implementations read nothing behind a frame.
type lane struct {
	priority wire.Priority
	sn       [2]uint32 // next, best effort and reliable
	full     [][]byte  // batches that wait for the writer
	open     []byte    // the batch that is being filled, or nil
	reliable bool      // of the open batch
	writing  int       // batches that the writer holds
	head     []byte    // memory for what stands before the payload of a message in fragments

	busy    bool          // somebody sends fragments, which nothing may come between
	blocked bool          // a message with BlockFirst waits
	changed chan struct{} // closed when somebody who waits should look again; nil when nobody waits
}

// signal wakes up those who wait for the lane.
func (l *lane) signal() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Delivery says how a message is sent.
type Delivery struct {
	QoS        wire.QoS
	BestEffort bool
	// NoWait makes Send fail with ErrCongested at once when there is no room. Fragments of a message for which there is room to begin with are
	// queued all at once.
	NoWait bool
}

// Send queues a message. While there is no room, one that may be dropped waits for Config.DropAfter and then is, with ErrCongested; one that
// must not be waits for room, until ctx ends, or until Config.BlockTimeout ends the transport with ErrUnresponsive. The message may be used
// again when Send has returned.
func (t *Transport) Send(ctx context.Context, m wire.Network, how Delivery) error {
	index := how.QoS.Priority.Index()
	if !t.qos {
		index = wire.PriorityData.Index()
	}
	l := &t.lanes[index]
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.busy || len(l.full)+l.writing >= t.config.QueueSize || t.err != nil || t.closing {
		if err := t.waitForRoom(ctx, l, how); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	if err := t.append(ctx, l, m, how); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// waitForRoom is called with the lock held, and so are those below. It gives the lock away while it waits.
func (t *Transport) waitForRoom(ctx context.Context, l *lane, how Delivery) error {
	policy := how.QoS.Congestion
	if how.NoWait && t.err == nil && !t.closing {
		return ErrCongested
	}
	if policy == wire.BlockFirst {
		if l.blocked {
			return ErrCongested
		}
		l.blocked = true
		defer func() { l.blocked = false }()
	}
	patience := t.config.BlockTimeout
	if policy == wire.Drop {
		patience = t.config.DropAfter
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		switch {
		case t.err != nil:
			return fmt.Errorf("%w: %w", ErrClosed, t.err)
		case t.closing:
			return ErrClosed
		case !l.busy && len(l.full)+l.writing < t.config.QueueSize:
			return nil
		}
		if err := t.waitForChange(ctx, l, timer); err != nil {
			return t.giveUp(err, policy)
		}
	}
}

// errPatience is for a wait that was too long.
var errPatience = errors.New("waited too long")

// giveUp drops a message that may be dropped. If the peer takes nothing of what must not be, it ends the transport.
func (t *Transport) giveUp(err error, policy wire.CongestionControl) error {
	switch {
	case !errors.Is(err, errPatience):
		return err
	case policy == wire.Drop:
		return ErrCongested
	}
	t.endLocked(ErrUnresponsive)
	return ErrUnresponsive
}

func (t *Transport) waitForChange(ctx context.Context, l *lane, timer *time.Timer) error {
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	changed := l.changed
	t.mu.Unlock()
	defer t.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-t.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return errPatience
	}
}

// append puts a message into the open batch, or into the next one, or into fragments.
func (t *Transport) append(ctx context.Context, l *lane, m wire.Network, how Delivery) error {
	reliable := !how.BestEffort
	if l.open != nil && (l.reliable != reliable || len(l.open)+payloadOf(m) > t.limit) {
		t.shut(l)
	}
	if large, ok := m.(splitter); ok && payloadOf(m) > t.limit {
		head, tail, err := large.AppendHead(l.head[:0])
		if err != nil {
			return err
		}
		l.head = head // nobody else uses it while the lane is busy
		return t.fragment(ctx, l, head, tail, how)
	}
	fresh := l.open == nil
	if fresh {
		t.begin(l, reliable)
	}
	start := len(l.open)
	b, err := m.AppendBinary(l.open)
	switch {
	case err != nil:
		t.undo(l, fresh)
		return err
	case len(b) <= t.limit:
		l.open = b
		t.notify()
		return nil
	case fresh:
		message := b[start:]
		if &b[0] == &l.open[0] { // it ran into the spare bytes of a buffer that goes back
			message = slices.Clone(message)
		}
		t.undo(l, true)
		return t.fragment(ctx, l, message, nil, how)
	}
	message := b[start:] // good until the batch is written, which needs the lock
	t.shut(l)
	t.begin(l, reliable)
	if len(l.open)+len(message) <= t.limit {
		l.open = append(l.open, message...)
		t.notify()
		return nil
	}
	t.undo(l, true)
	return t.fragment(ctx, l, slices.Clone(message), nil, how)
}

// splitter is a message that can be encoded without copying the bulk of it.
type splitter interface {
	AppendHead(b []byte) (head, tail []byte, err error)
}

// payloadOf gives the bytes that a message has at least, as far as that is quickly known.
func payloadOf(m wire.Network) int {
	switch m := m.(type) {
	case *wire.Push:
		if m.Data.Raw == nil {
			return len(m.Data.Payload)
		}
		return len(m.Data.Raw)
	case *wire.Response:
		if m.Raw == nil {
			return len(m.Reply.Data.Payload)
		}
		return len(m.Raw)
	case *wire.Request:
		return len(m.Query.Raw)
	}
	return 0
}

// buffer gives an empty batch. It has spare bytes, so that the message that is too much for it does not make it move.
func (t *Transport) buffer() []byte {
	if n := len(t.free); n > 0 {
		b := t.free[n-1]
		t.free = t.free[:n-1]
		return b[:prefix]
	}
	return make([]byte, prefix, t.limit+min(4096, t.limit/2))
}

// begin opens a batch with the header of a frame.
func (t *Transport) begin(l *lane, reliable bool) {
	frame := wire.Frame{Reliable: reliable, SN: t.takeSN(l, reliable), Priority: l.priority}
	b, _ := frame.AppendBinary(t.buffer()) // has no field that can be wrong
	l.open, l.reliable = b, reliable
}

// undo takes back a batch that nothing was put into.
func (t *Transport) undo(l *lane, fresh bool) {
	if !fresh {
		return
	}
	i := lanesOf(l.reliable)
	l.sn[i] = (l.sn[i] - 1) & t.mask
	t.free = append(t.free, l.open)
	l.open = nil
}

// shut gives the open batch to the writer.
func (t *Transport) shut(l *lane) {
	l.full = append(l.full, l.open)
	l.open = nil
	t.notify()
}

func lanesOf(reliable bool) int {
	if reliable {
		return 1
	}
	return 0
}

func (t *Transport) takeSN(l *lane, reliable bool) uint32 {
	i := lanesOf(reliable)
	sn := l.sn[i]
	l.sn[i] = (sn + 1) & t.mask
	return sn
}

// fragment cuts a message, of which head and tail are the two parts, into pieces with consecutive numbers. Others wait meanwhile, as each
// piece waits for room, as long as it takes for a message that must not be dropped: half a message is of no use.
func (t *Transport) fragment(ctx context.Context, l *lane, head, tail []byte, how Delivery) error {
	reliable := !how.BestEffort
	l.busy = true
	defer func() {
		l.busy = false
		l.signal()
	}()
	for first := true; first || len(head)+len(tail) > 0; first = false {
		if !how.NoWait {
			if err := t.waitForPiece(ctx, l, how.QoS.Congestion); err != nil {
				t.dropFragments(l, first, reliable)
				return err
			}
		}
		f := wire.Fragment{Reliable: reliable, More: true, SN: t.takeSN(l, reliable), Priority: l.priority, First: first && t.patch > 0}
		b, _ := f.AppendBinary(t.buffer()) // has no field that can be wrong
		b, head = fill(b, head, t.limit)
		b, tail = fill(b, tail, t.limit)
		if len(head)+len(tail) == 0 {
			b[prefix] &^= fragmentMore
		}
		l.full = append(l.full, b)
		t.notify()
	}
	return nil
}

// fill appends what there is room for up to a limit, and gives what is left over.
func fill(b, from []byte, limit int) (filled, left []byte) {
	n := min(limit-len(b), len(from))
	return append(b, from[:n]...), from[n:]
}

// fragmentMore is the bit in the header of a fragment that says that another follows.
const fragmentMore = 0x40

// dropPieces is how many times as long as a message that may be dropped each of its fragments waits.
const dropPieces = 50

// waitForPiece waits for room for a fragment.
func (t *Transport) waitForPiece(ctx context.Context, l *lane, policy wire.CongestionControl) error {
	patience := t.config.BlockTimeout
	if policy == wire.Drop {
		patience = dropPieces * t.config.DropAfter
	}
	var timer *time.Timer
	for t.err == nil && len(l.full)+l.writing >= t.config.QueueSize {
		if timer == nil {
			timer = time.NewTimer(patience)
			defer timer.Stop()
		}
		if err := t.waitForChange(ctx, l, timer); err != nil {
			return t.giveUp(err, policy)
		}
	}
	if t.err != nil {
		return fmt.Errorf("%w: %w", ErrClosed, t.err)
	}
	return nil
}

// dropFragments tells the other side that the message, of which it has pieces, will not be whole. It is one small batch above the queue's size.
func (t *Transport) dropFragments(l *lane, none, reliable bool) {
	if none || t.patch == 0 || t.err != nil {
		return
	}
	f := wire.Fragment{Reliable: reliable, SN: t.takeSN(l, reliable), Priority: l.priority, Drop: true}
	b, _ := f.AppendBinary(t.buffer())
	l.full = append(l.full, b)
	t.notify()
}

// next gives the writer the most urgent batches of one lane, or none; last tells that there will be none.
func (t *Transport) next(list *[gather][]byte) (n int, l *lane, last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return 0, nil, false
	}
	for i := range t.lanes {
		l := &t.lanes[i]
		if len(l.full) == 0 && l.open != nil {
			l.full, l.open = append(l.full, l.open), nil
		}
		if len(l.full) > 0 {
			n := copy(list[:], l.full)
			l.full = slices.Delete(l.full, 0, n)
			l.writing += n
			return n, l, false
		}
		if l.busy {
			last = true // as yet
		}
	}
	return 0, nil, t.closing && !last
}

// written takes buffers back, unless there are as many as the queue of a lane can use.
func (t *Transport) written(list [][]byte, l *lane) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.writing -= len(list)
	for _, b := range list {
		if b != nil && len(t.free) < t.config.QueueSize+2 {
			t.free = append(t.free, b)
		}
	}
	l.signal()
}
