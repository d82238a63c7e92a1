// Package stream hands the changes of a class to those who watch: live from memory, and from the change logs of its shards for who comes later.
//
// Guarantee: a stream gives every change that matches its filter once, those of one partition in the order of their numbers. Where it cannot, as
// changes were removed or the reader was too slow, it says which ones are missing before it goes on. It goes on after any position that a stream
// of the same class gave, also of an earlier process. Memory for a stream does not grow with what its reader has not read. See ../DESIGN.md,
// section 10.
package stream

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

// Log is the change log of a partition.
type Log interface {
	// Span says which changes it has.
	Span() shard.Span
	// Changes gives commits with changes of numbers above seq, in order, some of them at a time.
	Changes(ctx context.Context, seq uint64, limit int) ([]shard.Changes, error)
}

// ErrSlow ends a stream whose reader is too slow, if its filter says Disconnect.
var ErrSlow = errors.New("the reader is too slow: changes come faster than it takes them")

// Gap says that changes are missing between the one before and the next one. The stream goes on after it. Which of the missing ones would have
// matched the filter is not known.
type Gap struct {
	Class     string
	Partition uint32
	// From and To are the first and the last number that is missing.
	From, To uint64
	// Remade is true when the changes that the position counted are no longer there as the log was made anew. How many are missing is not known
	// then; From is what the position asked for, and To the last one before those that are kept now.
	Remade bool
}

// Missing gives the number of missing changes, 0 if that is not known.
func (g *Gap) Missing() uint64 {
	if g.Remade {
		return 0
	}
	return g.To - g.From + 1
}

// Error says what is missing.
func (g *Gap) Error() string {
	if g.Remade {
		return fmt.Sprintf("the changes of %s/%d were made anew: those from %d on, as they were, are lost; going on with %d", g.Class, g.Partition, g.From, g.To+1)
	}
	return fmt.Sprintf("changes %d to %d of %s/%d are missing: they are no longer kept", g.From, g.To, g.Class, g.Partition)
}

const (
	// batch is how many changes a stream takes from the ring at a time.
	batch = 32
	// readLimit is how many changes a stream reads from a log at a time, or somewhat more.
	readLimit = 256
)

// Stream is one reader's view of the changes of a class. It is for one goroutine at a time, but for Close.
type Stream struct {
	hub     *Hub
	logs    []Log // by partition
	filter  Filter
	cursors []cursor // of the partitions that it watches: all in order, or one

	gaps   []*Gap
	read   []*Change      // from a log, to be handed out
	live   [batch]*Change // from the ring, to be handed out from next to taken
	next   int
	taken  int
	at     uint64          // index in the ring of what comes after live
	behind int             // the cursors from here on may have changes in their logs that the ring has not
	ready  <-chan struct{} // closed when there may be more
	left   atomic.Bool     // set when closed
}

// cursor is how far a stream is in one partition.
type cursor struct {
	partition uint32
	epoch     int64
	seq       uint64 // handed out
	target    uint64 // up to here it reads the log
}

// Next gives the next change, and waits for it. A *[Gap] as error is a notice, after which the stream goes on; any other error ends it: ErrSlow,
// that of ctx, or a *fault.Error that says why the stream cannot go on.
func (s *Stream) Next(ctx context.Context) (*Change, error) {
	for {
		c, err := s.TryNext(ctx)
		if c != nil || err != nil {
			return c, err
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// TryNext is Next without waiting: it gives nil if there is nothing now. It may read from the log.
func (s *Stream) TryNext(ctx context.Context) (*Change, error) {
	for {
		if len(s.gaps) > 0 {
			gap := s.gaps[0]
			s.gaps = s.gaps[1:]
			s.cursor(gap.Partition).seq = gap.To
			return nil, gap
		}
		if c := s.pop(); c != nil {
			return c, nil
		}
		if more, err := s.fill(ctx); err != nil || !more {
			return nil, err
		}
	}
}

// Ready gives a channel that is closed when there may be more than the last TryNext, which gave nil, has seen.
func (s *Stream) Ready() <-chan struct{} { return s.ready }

// pop gives the next change that was taken already and matches, or nil.
func (s *Stream) pop() *Change {
	for {
		var c *Change
		switch {
		case len(s.read) > 0:
			c, s.read = s.read[0], s.read[1:]
		case s.next < s.taken:
			c, s.live[s.next] = s.live[s.next], nil
			s.next++
		default:
			s.read = nil
			return nil
		}
		at := s.cursor(c.Partition)
		if at == nil || c.Seq <= at.seq {
			continue
		}
		if at.epoch == 0 {
			at.epoch = s.logs[c.Partition].Span().Epoch
		}
		at.seq = c.Seq
		if c = s.filter.narrow(c); c != nil {
			return c
		}
	}
}

// cursor gives the cursor of a partition, nil if the stream does not watch it.
func (s *Stream) cursor(partition uint32) *cursor {
	if s.filter.Partition == Any {
		return &s.cursors[partition]
	}
	if s.cursors[0].partition == partition {
		return &s.cursors[0]
	}
	return nil
}

// fill takes more changes: from the logs until the ring takes over, then from the ring.
func (s *Stream) fill(ctx context.Context) (more bool, err error) {
	for ; s.behind < len(s.cursors); s.behind++ {
		if at := &s.cursors[s.behind]; at.seq < at.target {
			return true, s.readLog(ctx, at)
		}
	}
	s.next = 0
	n, overrun, slow, err := s.hub.take(s)
	s.taken = n
	if err != nil || !overrun {
		return n > 0, err
	}
	if slow && s.filter.Slow == Disconnect {
		return false, ErrSlow
	}
	s.join()
	if slow && s.filter.Slow == Drop {
		for i := range s.cursors {
			if at := &s.cursors[i]; at.seq < at.target {
				s.gaps = append(s.gaps, s.gap(at, at.target, false))
			}
		}
	}
	return true, nil
}

// readLog takes changes after the cursor from the log, and notices when some are missing there.
func (s *Stream) readLog(ctx context.Context, at *cursor) error {
	commits, err := s.logs[at.partition].Changes(ctx, at.seq, readLimit)
	if err != nil {
		if ended := s.hub.err(); ended != nil {
			return ended
		}
		return err
	}
	if len(commits) == 0 {
		s.gaps = append(s.gaps, s.gap(at, at.target, false))
		return nil
	}
	if first := commits[0].First; first > at.seq+1 {
		s.gaps = append(s.gaps, s.gap(at, first-1, false))
	}
	for _, commit := range commits {
		s.read = append(s.read, changesOf(s.hub.class, at.partition, commit)...)
	}
	return nil
}

func (s *Stream) gap(at *cursor, to uint64, remade bool) *Gap {
	return &Gap{Class: s.hub.class, Partition: at.partition, From: at.seq + 1, To: to, Remade: remade}
}

// join makes the stream go on at the end of the ring, with what comes before it read from the logs. Everything that the ring does not give from
// here on is in the logs already.
func (s *Stream) join() {
	s.at = s.hub.end()
	for i := range s.cursors {
		s.cursors[i].target = s.logs[s.cursors[i].partition].Span().Last
	}
	s.behind = 0
}

// start sets the cursors to a position.
func (s *Stream) start(from Position) error {
	points, err := from.parse()
	if err != nil {
		return err
	}
	for i := range s.cursors {
		at := &s.cursors[i]
		span := s.logs[at.partition].Span()
		at.epoch, at.target = span.Epoch, span.Last
		switch {
		case from == Now:
			at.seq = span.Last
		case from == Earliest:
			at.seq = span.First - 1
		default:
			p, given := points[at.partition]
			if !given && s.filter.Partition != Any {
				return fault.New(fault.InvalidArgument, "position %q says nothing of partition %d", from, at.partition)
			}
			s.resume(at, p, span)
		}
		delete(points, at.partition)
	}
	for partition := range points {
		if int(partition) >= len(s.logs) {
			return fault.New(fault.InvalidArgument, "position %q names partition %d, but class %s has the partitions 0 to %d",
				from, partition, s.hub.class, len(s.logs)-1)
		}
	}
	return nil
}

// resume sets a cursor to a point, and notes what is missing from there.
func (s *Stream) resume(at *cursor, p point, span shard.Span) {
	at.seq = p.seq
	switch {
	case p.epoch != 0 && p.epoch != span.Epoch || p.seq > span.Last:
		s.gaps = append(s.gaps, s.gap(at, span.First-1, true))
	case p.seq+1 < span.First:
		s.gaps = append(s.gaps, s.gap(at, span.First-1, false))
	}
}

// Position gives the token from which another stream goes on after what this one has given so far.
func (s *Stream) Position() Position { return Position(s.AppendPosition(nil)) }

// AppendPosition appends the text of Position to dst.
func (s *Stream) AppendPosition(dst []byte) []byte {
	start := len(dst)
	for i := range s.cursors {
		if at := &s.cursors[i]; at.seq > 0 {
			dst = appendPoint(dst, len(dst) > start, at.partition, point{at.epoch, at.seq})
		}
	}
	if len(dst) == start {
		dst = appendPoint(dst, false, s.cursors[0].partition, point{})
	}
	return dst
}

// Close ends the stream; Next must not be called afterwards.
func (s *Stream) Close() { s.hub.leave(s) }
