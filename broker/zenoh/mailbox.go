package zenoh

import (
	"sync"
	"sync/atomic"
	"time"
)

// mailbox is the queue in front of a closure. Its workers take what is queued all at once, so a busy one costs a lock a batch.
type mailbox[T any] struct {
	call    func(T)
	weigh   func(*T) int
	discard func(*T)
	limits  Handlers
	memory  *sync.Pool // of *[]T, for queues; mailboxes that are idle have none; may be nil

	stopped atomic.Bool // what is queued is not handed out any more

	mu      sync.Mutex
	queue   []T
	bytes   int
	wake    sync.Cond     // there is something for workers
	room    chan struct{} // closed when there is room for those who wait; nil when nobody does
	closed  bool
	lagging bool
	lost    uint64
}

func newMailbox[T any](call func(T), limits Handlers, o sinkOptions[T]) *mailbox[T] {
	m := &mailbox[T]{call: call, weigh: o.weigh, discard: o.discard, limits: limits, memory: o.memory}
	m.wake.L = &m.mu
	if m.weigh == nil {
		m.weigh = func(*T) int { return 0 }
	}
	if m.discard == nil {
		m.discard = func(*T) {}
	}
	return m
}

func (m *mailbox[T]) push(v *T) bool {
	ok := m.pushMore(v)
	m.flush()
	return ok
}

// flush wakes up a worker for what was pushed.
func (m *mailbox[T]) flush() { m.wake.Signal() }

func (m *mailbox[T]) pushMore(v *T) bool {
	n := m.weigh(v)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || !m.hasRoom(n) && !m.waitForRoom(n) {
		m.lost++
		return false
	}
	m.append(v, n)
	return true
}

// append is called with the lock held, as are those below.
func (m *mailbox[T]) append(v *T, n int) {
	if len(m.queue) == cap(m.queue) && len(m.queue) <= kept {
		m.queue = append(m.fresh(), m.queue...)
	}
	m.queue = append(m.queue, *v)
	m.bytes += n
}

func (m *mailbox[T]) end(last *T) {
	m.mu.Lock()
	if !m.closed {
		m.append(last, 0)
	}
	m.mu.Unlock()
	m.close(false)
}

// hasRoom tells whether n more bytes fit. Something always fits into an empty queue.
func (m *mailbox[T]) hasRoom(n int) bool {
	if m.lagging && (len(m.queue) > m.limits.Queue/2 || m.bytes > m.limits.Bytes/2) {
		return false
	}
	m.lagging = false
	return len(m.queue) == 0 || len(m.queue) < m.limits.Queue && m.bytes+n <= m.limits.Bytes
}

// waitForRoom waits once for the patience of the session; after that, nothing waits until the queue is half empty.
func (m *mailbox[T]) waitForRoom(n int) bool {
	if m.lagging {
		return false
	}
	m.flush()
	timer := time.NewTimer(m.limits.Patience)
	defer timer.Stop()
	for late := false; !late && !m.lagging; {
		room := wait(&m.room)
		m.mu.Unlock()
		select {
		case <-room:
		case <-timer.C:
			late = true
		}
		m.mu.Lock()
		switch {
		case m.closed:
			return false
		case m.hasRoom(n):
			return true
		}
	}
	m.lagging = true
	return false
}

// fresh gives memory for a queue.
func (m *mailbox[T]) fresh() []T {
	if m.memory == nil {
		return nil
	}
	if used, ok := m.memory.Get().(*[]T); ok {
		return (*used)[:0]
	}
	return nil
}

// work calls the closure until the mailbox is closed and empty. Several workers take one value at a time.
func (m *mailbox[T]) work(single bool) {
	var batch []T
	for {
		batch = m.take(single, batch)
		if len(batch) == 0 {
			return
		}
		for i := range batch {
			if m.stopped.Load() {
				m.discard(&batch[i])
				continue
			}
			m.call(batch[i])
		}
		clear(batch)
	}
}

// take gives what is queued, or nothing at the end. A single worker gives the memory of the batch before, which is the queue's next one; with
// several it is a part of what others work on.
func (m *mailbox[T]) take(single bool, before []T) []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	if single {
		before = nil
	}
	for len(m.queue) == 0 {
		m.rest(before, m.queue)
		before = nil
		if m.closed {
			return nil
		}
		m.wake.Wait()
	}
	signal(&m.room)
	batch := m.queue
	if !single || len(batch) == 1 {
		m.queue, m.bytes = before[:0], 0
		return batch
	}
	m.queue = batch[1:]
	m.bytes -= m.weigh(&batch[0])
	return batch[:1:1]
}

// kept is the largest queue whose memory a mailbox keeps while it is idle.
const kept = 2

// rest gives the memory of empty queues back, or keeps it for the next one if it is small.
func (m *mailbox[T]) rest(queues ...[]T) {
	m.queue = nil
	for _, q := range queues {
		switch {
		case cap(q) > kept && m.memory != nil:
			used := q // so that q itself need not be on the heap
			m.memory.Put(&used)
		case cap(q) > 0 && cap(q) <= kept:
			m.queue = q[:0]
		}
	}
}

func (m *mailbox[T]) close(discard bool) {
	if discard {
		m.stopped.Store(true)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.wake.Broadcast()
	signal(&m.room)
}

func (m *mailbox[T]) dropped() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost
}

// wait gives a channel that signal closes.
func wait(c *chan struct{}) <-chan struct{} {
	if *c == nil {
		*c = make(chan struct{})
	}
	return *c
}

// signal wakes up all who wait.
func signal(c *chan struct{}) {
	if *c != nil {
		close(*c)
		*c = nil
	}
}
