package remote

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/remote/message"
	"github.com/hpcclab/oaas-go/odgm/shard"
	"github.com/hpcclab/oaas-go/odgm/stream"
)

// beat is how often a watcher asks how far the logs are: that renews the pump's lease, and shows what was lost at the end.
const beat = time.Second

// watcher brings the changes of a class to the streams of this process: one subscription for all of them. What is lost on the way, streams read
// from the logs.
type watcher struct {
	c          *Client
	class      string
	hub        *stream.Hub
	logs       []stream.Log
	subscriber *zenoh.Subscriber
	stop       context.CancelFunc
	users      int // who is about to subscribe; guarded by the client's lock

	mu    sync.Mutex // before the lock of the hub
	parts []part
}

// part is what a watcher knows of a partition.
type part struct {
	span shard.Span
	// taken is the number of the last change that the hub has, or knows to be missing; seen is how far the log was a beat ago.
	taken, seen uint64
}

// watchable gives a class whose changes are kept.
func (c *Client) watchable(name string) (*served, error) {
	s := c.table.Load().classes[name]
	if s == nil {
		return nil, fault.New(fault.Unavailable, "class %s is no longer served here", name)
	}
	_, err := s.spec.Watched(odgm.StreamFilter{Class: name})
	return s, err
}

// Subscribe begins a stream of the changes of a class after a position; see odgm.Grid.Subscribe. A stream lives on while its grid is gone for a
// moment.
func (c *Client) Subscribe(ctx context.Context, filter odgm.StreamFilter, from odgm.Position) (*odgm.Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.From(err)
	}
	s, err := c.served(filter.Class)
	if err != nil {
		return nil, err
	}
	if filter, err = s.spec.Watched(filter); err != nil {
		return nil, err
	}
	w, err := c.watcher(ctx, s)
	if err != nil {
		return nil, err
	}
	defer w.release()
	if err := w.ask(ctx); err != nil {
		return nil, err
	}
	return w.hub.Subscribe(w.logs, filter, from)
}

// watcher gives that of a class, to be released, and makes it if there is none.
func (c *Client) watcher(ctx context.Context, s *served) (*watcher, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := s.spec.Name
	if w := c.watchers[name]; w != nil && len(w.parts) == s.spec.Partitions {
		w.users++
		return w, nil
	}
	if c.closed {
		return nil, fault.New(fault.Unavailable, "the platform is stopping")
	}
	w := &watcher{c: c, class: name, hub: stream.NewHub(name), users: 1, parts: make([]part, s.spec.Partitions)}
	for number := range w.parts {
		w.logs = append(w.logs, &log{w, number})
	}
	key, err := changesKey(name)
	if err != nil {
		return nil, err
	}
	w.subscriber, err = c.session.DeclareSubscriber(ctx, key, zenoh.Closure[zenoh.Sample]{Call: w.sample}, nil)
	if err != nil {
		return nil, unavailable("watch class %s: %v", name, err)
	}
	running, stop := context.WithCancel(c.ctx)
	w.stop = stop
	c.watchers[name] = w
	c.work.Go(func() { w.run(running) })
	return w, nil
}

// end ends a watcher and its streams. It is called with the client's lock held or not.
func (w *watcher) end(err error) {
	w.hub.Close(err)
	w.stop()
}

// run keeps the changes coming until ctx ends, or nobody watches any more.
func (w *watcher) run(ctx context.Context) {
	defer w.subscriber.Drop()
	defer w.stop()
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	quiet := 0
	var failing time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if quiet++; w.hub.Streams() > 0 {
			quiet = 0
		}
		if quiet > 5 && w.leave() {
			return
		}
		err := w.beat(ctx)
		switch {
		case err == nil:
			failing = time.Time{}
		case failing.IsZero():
			failing = time.Now()
		case time.Since(failing) > w.c.grace && ctx.Err() == nil:
			w.forget()
			w.end(err)
		}
	}
}

// release says that who got the watcher has a stream, or none.
func (w *watcher) release() {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.users--
}

// leave takes the watcher out if nobody uses it.
func (w *watcher) leave() bool {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	if w.users > 0 || w.hub.Streams() > 0 {
		return false
	}
	if w.c.watchers[w.class] == w {
		delete(w.c.watchers, w.class)
	}
	return true
}

// forget has the next one who subscribes make another watcher.
func (w *watcher) forget() {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	if w.c.watchers[w.class] == w {
		delete(w.c.watchers, w.class)
	}
}

// beat asks how far the logs are. What they had a beat ago and the hub has not got by now was lost.
func (w *watcher) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, learnTime)
	defer cancel()
	if err := w.ask(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	lost := false
	for i := range w.parts {
		p := &w.parts[i]
		if p.seen > p.taken {
			p.taken, lost = p.seen, true
		}
		p.seen = p.span.Last
	}
	if lost {
		w.hub.Skip()
	}
	return nil
}

// ask has the grid publish, and learns how far the logs are.
func (w *watcher) ask(ctx context.Context) error {
	s, err := w.c.served(w.class)
	if err != nil {
		return err
	}
	res, err := w.c.ask(ctx, s, 0, &message.Request{Watch: true})
	if err != nil {
		return err
	}
	spans := res.GetSpans()
	if len(spans) != len(w.parts) {
		return fault.New(fault.Internal, "the grid has told of %d partitions of class %s, which has %d", len(spans), w.class, len(w.parts))
	}
	if w.learn(spans) {
		return nil
	}
	err = unavailable("the changes of class %s were made anew: subscribe again", w.class)
	w.forget()
	w.end(err)
	return err
}

// learn takes note of how far the logs are. It gives false when one was made anew, whose numbers mean something else now.
func (w *watcher) learn(spans []*message.Span) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, m := range spans {
		now := shard.Span{Epoch: m.GetEpoch(), First: m.GetFirst(), Last: m.GetLast()}
		p := &w.parts[i]
		switch {
		case p.span.First == 0: // the first time
			p.taken = now.Last
		case p.span.Epoch != 0 && p.span.Epoch != now.Epoch:
			return false
		}
		now.Last = max(now.Last, p.span.Last)
		p.span = now
	}
	return true
}

// sample takes changes that the grid has published. Where some are missing before them, streams read from the logs.
func (w *watcher) sample(sample zenoh.Sample) {
	batch := &message.Changes{}
	if err := proto.Unmarshal(sample.Payload(), batch); err != nil {
		w.c.log.Warn("changes do not decode", "class", w.class, "error", err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	lost := false
	for _, m := range batch.GetCommits() {
		if int(m.GetPartition()) >= len(w.parts) {
			continue
		}
		p := &w.parts[m.GetPartition()]
		last := m.GetFirst() + uint64(len(m.GetChanges())) - 1
		if p.span.First == 0 || last <= p.taken {
			continue // its log is not known yet, or it came before
		}
		missing := m.GetFirst() > p.taken+1
		p.span.Last, p.taken = max(p.span.Last, last), last
		if missing {
			lost = true
			continue
		}
		w.hub.Append(m.GetPartition(), commit(m))
	}
	if lost {
		w.hub.Skip()
	}
}

// log is the change log of a partition, which is in another process.
type log struct {
	w      *watcher
	number int
}

var _ stream.Log = (*log)(nil)

// Span says what the log has, as far as it is known: all that the hub was given is in it.
func (l *log) Span() shard.Span {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.parts[l.number].span
}

// Changes reads from the log. A grid that is gone is waited for, as long as the client's grace.
func (l *log) Changes(ctx context.Context, seq uint64, limit int) ([]shard.Changes, error) {
	begun := time.Now()
	for {
		commits, err := l.read(ctx, seq, limit)
		if err == nil || fault.CodeOf(err) != fault.Unavailable || time.Since(begun) > l.w.c.grace || ctx.Err() != nil || l.w.c.ctx.Err() != nil {
			return commits, err
		}
		l.w.c.pause(200 * time.Millisecond)
	}
}

func (l *log) read(ctx context.Context, seq uint64, limit int) ([]shard.Changes, error) {
	ctx, cancel := context.WithTimeout(ctx, learnTime)
	defer cancel()
	res, err := l.w.c.askPart(ctx, l.w.class, l.number, &message.Request{ReadLog: &message.ReadLog{After: seq, Limit: int32(limit)}})
	if err != nil {
		return nil, err
	}
	commits := make([]shard.Changes, len(res.GetChanges().GetCommits()))
	for i, m := range res.GetChanges().GetCommits() {
		commits[i] = commit(m)
	}
	return commits, nil
}
