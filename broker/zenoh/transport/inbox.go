package transport

import (
	"io"
	"os"
	"sync"
	"time"
)

// pipe carries batches, with room for a prefix in front, from one goroutine to another, and their memory back.
type pipe struct {
	batches chan []byte
	spare   chan []byte
	once    sync.Once
	closed  chan struct{}
}

func newPipe(depth, spare int) *pipe {
	return &pipe{batches: make(chan []byte, depth), spare: make(chan []byte, spare), closed: make(chan struct{})}
}

// close ends writing at once, and reading after what was written.
func (p *pipe) close() { p.once.Do(func() { close(p.closed) }) }

// memory gives that of a batch which was read, or nil.
func (p *pipe) memory() []byte {
	select {
	case b := <-p.spare:
		return b
	default:
		return nil
	}
}

// inbox is the end of a pipe that is read.
type inbox struct {
	*pipe
	reading []byte // the batch that was read last
	timer   *time.Timer
	until   time.Time // when the timer ends
}

// ReadBatch gives the next batch, without the room in front.
func (in *inbox) ReadBatch(deadline time.Time) ([]byte, error) {
	if in.reading != nil {
		select {
		case in.spare <- in.reading:
		default:
		}
		in.reading = nil
	}
	select {
	case b := <-in.batches:
		return in.take(b), nil
	default:
	}
	select {
	case b := <-in.batches:
		return in.take(b), nil
	case <-in.closed:
	case <-in.expires(deadline):
		return nil, os.ErrDeadlineExceeded
	}
	select {
	case b := <-in.batches:
		return in.take(b), nil
	default:
		return nil, io.EOF
	}
}

func (in *inbox) take(b []byte) []byte {
	in.reading = b
	return b[prefix:]
}

// expires gives a channel that gets something at the deadline.
func (in *inbox) expires(deadline time.Time) <-chan time.Time {
	switch {
	case deadline.IsZero():
		return nil
	case in.timer == nil:
		in.timer = time.NewTimer(time.Until(deadline))
	case !deadline.Equal(in.until):
		in.timer.Reset(time.Until(deadline))
	}
	in.until = deadline
	return in.timer.C
}
