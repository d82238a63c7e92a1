package stream

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

const (
	// ringChanges and ringBytes bound what is kept in memory of a class while it is watched. Who falls further behind reads the log.
	ringChanges = 4096
	ringBytes   = 8 << 20

	// pace is the time that waking one stream may take of a processor: all are woken at most once in their number times that, so that many
	// streams take more changes at a time instead of all the time there is. maxPace bounds the delay.
	pace    = 10 * time.Microsecond
	maxPace = 100 * time.Millisecond
)

// Hub brings the changes of all partitions of a class to the streams that watch it. It costs nothing while nobody does.
type Hub struct {
	class   string
	streams atomic.Int64

	mu    sync.RWMutex
	ring  []*Change // of all partitions, in the order in which they came; that of each partition is by number
	base  uint64    // index of ring[0], which goes up for ever
	hole  uint64    // base after the last Skip: who is before it missed something, but was not too slow
	bytes int
	wake  chan struct{} // closed and replaced when streams are woken
	woken time.Time
	timer *time.Timer // set while streams are to be woken later
	ended error
}

// NewHub makes the hub of a class.
func NewHub(class string) *Hub { return &Hub{class: class, wake: make(chan struct{})} }

// Append takes what a commit of a partition changed. The commit must be in the partition's log.
func (h *Hub) Append(partition uint32, commit shard.Changes) {
	if h.streams.Load() == 0 {
		return // whoever subscribes from here on finds it in the log
	}
	changes := changesOf(h.class, partition, commit)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range changes {
		h.bytes += c.size()
	}
	h.ring = append(h.ring, changes...)
	h.trim()
	h.notify()
}

// Skip says that changes were not appended which are in the logs. All streams read them there.
func (h *Hub) Skip() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.base += uint64(len(h.ring)) + 1
	h.hole = h.base
	h.ring, h.bytes = nil, 0
	h.notify()
}

// trim drops the oldest changes beyond the bounds. The newest stays whatever its size.
func (h *Hub) trim() {
	drop := 0
	for drop < len(h.ring)-1 && (len(h.ring)-drop > ringChanges || h.bytes > ringBytes) {
		h.bytes -= h.ring[drop].size()
		drop++
	}
	h.base += uint64(drop)
	clear(h.ring[:drop])
	h.ring = h.ring[drop:]
}

// notify wakes all streams now, or when it is time again.
func (h *Hub) notify() {
	if h.timer != nil {
		return
	}
	wait := min(time.Duration(h.streams.Load())*pace, maxPace) - time.Since(h.woken)
	if wait > 0 {
		h.timer = time.AfterFunc(wait, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.wakeAll()
		})
		return
	}
	h.wakeAll()
}

func (h *Hub) wakeAll() {
	close(h.wake)
	h.wake, h.woken, h.timer = make(chan struct{}), time.Now(), nil
}

// take gives a stream the next changes; overrun is true when some of them are no longer in the ring, and slow if that is for its own fault.
func (h *Hub) take(s *Stream) (n int, overrun, slow bool, err error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	s.ready = h.wake
	if h.ended != nil {
		return 0, false, false, h.ended
	}
	if s.at < h.base {
		return 0, true, s.at >= h.hole, nil
	}
	n = copy(s.live[:], h.ring[s.at-h.base:])
	s.at += uint64(n)
	return n, false, false, nil
}

// end gives the index of the next change that comes.
func (h *Hub) end() uint64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.base + uint64(len(h.ring))
}

func (h *Hub) err() error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.ended
}

// Close ends all streams, with that error.
func (h *Hub) Close(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended != nil {
		return
	}
	h.ended, h.ring = err, nil
	if h.timer != nil {
		h.timer.Stop()
	}
	h.wakeAll()
}

// Subscribe begins a stream after a position, over the logs of the class's partitions in their order. The filter's partition is one of them, or Any.
// The stream must be closed.
func (h *Hub) Subscribe(logs []Log, filter Filter, from Position) (*Stream, error) {
	if err := filter.check(); err != nil {
		return nil, err
	}
	s := &Stream{hub: h, logs: logs, filter: filter}
	if filter.Partition == Any {
		s.cursors = make([]cursor, len(logs))
		for i := range s.cursors {
			s.cursors[i].partition = uint32(i)
		}
	} else if filter.Partition < 0 || filter.Partition >= len(logs) {
		return nil, fault.New(fault.NoPartition, "class %s has no partition %d: it has %d, numbered from 0", h.class, filter.Partition, len(logs))
	} else {
		s.cursors = []cursor{{partition: uint32(filter.Partition)}}
	}
	// Changes that are not in the ring from here on are in the logs.
	h.streams.Add(1)
	s.at = h.end()
	if err := s.start(from); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// leave takes a stream out; without any the ring is empty.
func (h *Hub) leave(s *Stream) {
	if s.left.Swap(true) || h.streams.Add(-1) > 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams.Load() == 0 {
		h.base += uint64(len(h.ring))
		h.ring, h.bytes = nil, 0
	}
}

// Streams gives the number of streams that are open.
func (h *Hub) Streams() int { return int(h.streams.Load()) }
