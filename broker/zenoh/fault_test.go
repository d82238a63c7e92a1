package zenoh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/internal/zproxy"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// impatient makes clients connect again soon.
func impatient(endpoint string) Config {
	c := Config{Mode: Client, Connect: ConnectConfig{Endpoints: []string{endpoint}}}
	c.Connect.Retry = transport.Backoff{Initial: time.Millisecond, Max: 20 * time.Millisecond}
	return c
}

// TestRow12Reconnect has the router killed and come back at the same port.
func TestRow12Reconnect(t *testing.T) {
	r := openRouter(t, "tcp/127.0.0.1:0")
	p := must(zproxy.Listen(r.Locators()[0]))(t)
	t.Cleanup(func() { _ = p.Close() })
	s, other := openSession(t, impatient(p.Endpoint())), openSession(t, impatient(p.Endpoint()))
	ctx := t.Context()
	events := must(s.DeclareTransportEventsListener(nil, nil))(t)
	sub := must(s.DeclareSubscriber(ctx, MustKeyExpr("data/*"), nil, nil))(t)
	must(s.DeclareQueryable(ctx, MustKeyExpr("ask"), Closure[*Query]{Call: func(q *Query) { _ = q.Reply(ctx, q.KeyExpr(), []byte("x"), nil) }}, nil))(t)
	must(s.Liveliness().DeclareToken(ctx, MustKeyExpr("alive/s")))(t)
	pub := must(other.DeclarePublisher(ctx, MustKeyExpr("data/a"), &PublisherOptions{CongestionControl: CongestionControlBlock}))(t)
	never := must(other.DeclareQueryable(ctx, MustKeyExpr("never"), nil, nil))(t)
	alive := must(other.Liveliness().DeclareToken(ctx, MustKeyExpr("alive/other")))(t)
	settle(t, other)
	watch := must(s.Liveliness().DeclareSubscriber(ctx, MustKeyExpr("alive/*"), nil, nil))(t)
	settle(t, s)
	pending := must(s.Get(ctx, MustKeyExpr("never"), "", nil, nil))(t)
	next(t, never.Handler())

	p.Refuse(true)
	p.Cut()
	if _, err := textsOf(t, pending); !errors.Is(err, ErrSessionLost) {
		t.Errorf("the get ended with %v", err)
	}
	if e := next(t, events.Handler()); e.Kind != SampleKindDelete || e.Err == nil || e.FailedGets != 1 {
		t.Errorf("got %+v", e)
	}
	eventually(t, "both are alone", func() bool { return len(s.RoutersZID())+len(other.RoutersZID()) == 0 })
	if err := s.Put(ctx, MustKeyExpr("x"), nil, nil); !errors.Is(err, ErrNotConnected) {
		t.Errorf("got %v", err)
	}
	if err := alive.Undeclare(ctx); err != nil {
		t.Fatal(err)
	}
	must(other.Liveliness().DeclareToken(ctx, MustKeyExpr("alive/new")))(t)
	waits := make(chan error, 1)
	go func() { waits <- pub.Put(ctx, []byte("waited"), nil) }()

	closeRouter(t, r)
	openRouter(t, r.Locators()...)
	p.Refuse(false)
	up := next(t, events.Handler())
	if up.Kind != SampleKindPut || up.Since.IsZero() || !up.Since.Before(up.Time) || up.Unpublished != 1 {
		t.Errorf("got %+v", up)
	}
	if err := next(t, waits); err != nil {
		t.Errorf("got %v", err)
	}
	changes := []string{}
	for range 2 {
		got := next(t, watch.Handler())
		changes = append(changes, got.Kind().String()+" "+got.KeyExpr().String())
	}
	slices.Sort(changes)
	if want := []string{"DELETE alive/other", "PUT alive/new"}; !slices.Equal(changes, want) {
		t.Errorf("got %q, want %q", changes, want)
	}
	eventually(t, "the publisher has somebody", func() bool { return pub.MatchingStatus().Matching })
	if err := pub.Put(ctx, []byte("again"), nil); err != nil {
		t.Fatal(err)
	}
	for next(t, sub.Handler()).Payload().String() != "again" {
	}
	if got, err := textsOf(t, must(other.Get(ctx, MustKeyExpr("ask"), "", nil, nil))(t)); !slices.Equal(got, []string{"ask=x"}) || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	select {
	case got := <-watch.Handler():
		t.Errorf("got %s %s as well", got.Kind(), got.KeyExpr())
	default:
	}
}

func TestHalfOpenConnection(t *testing.T) {
	r := openRouter(t, "tcp/127.0.0.1:0")
	p := must(zproxy.Listen(r.Locators()[0]))(t)
	t.Cleanup(func() { _ = p.Close() })
	config := impatient(p.Endpoint())
	config.Transport.Lease = 300 * time.Millisecond
	s := openSession(t, config)
	events := must(s.DeclareTransportEventsListener(nil, nil))(t)
	p.Set(zproxy.Way{Chunk: 3}, zproxy.Way{Chunk: 1})
	settle(t, s)
	p.Cut()
	if e := next(t, events.Handler()); e.Kind != SampleKindDelete {
		t.Errorf("got %+v", e)
	}
	if e := next(t, events.Handler()); e.Kind != SampleKindPut {
		t.Errorf("got %+v", e)
	}
	settle(t, s)
}

// TestSlowSubscriber has a closure that does not return: nothing else waits for it longer than the patience, and what is lost is counted.
func TestSlowSubscriber(t *testing.T) {
	for name, handler := range map[string]func(<-chan struct{}) Handler[Sample]{
		"closure": func(c <-chan struct{}) Handler[Sample] { return Closure[Sample]{Call: func(Sample) { <-c }} },
		"channel": func(<-chan struct{}) Handler[Sample] { return NewFifoChannel[Sample](4) },
	} {
		t.Run(name, func(t *testing.T) {
			config := Config{Mode: Client, Handlers: Handlers{Queue: 4, Patience: 10 * time.Millisecond}}
			s, n := dialNode(t, config, transport.Config{})
			ctx := t.Context()
			release := make(chan struct{})
			slow := must(s.DeclareSubscriber(ctx, MustKeyExpr("k"), handler(release), nil))(t)
			fast := must(s.DeclareSubscriber(ctx, MustKeyExpr("k"), NewFifoChannel[Sample](1000), nil))(t)
			for i := range 500 {
				n.say(push(wire.Key("k"), fmt.Sprint(i)))
			}
			for i := range 500 {
				if got := next(t, fast.Handler()); got.Payload().String() != fmt.Sprint(i) {
					t.Fatalf("got %s, want %d", got.Payload(), i)
				}
			}
			if got := slow.Dropped(); got < 480 || fast.Dropped() > 0 {
				t.Errorf("dropped %d and %d", got, fast.Dropped())
			}
			close(release)
		})
	}
}

func TestRingChannel(t *testing.T) {
	s, n := dialNode(t, client, transport.Config{})
	ring := must(s.DeclareSubscriber(t.Context(), MustKeyExpr("k"), NewRingChannel[Sample](2), nil))(t)
	last := must(s.DeclareSubscriber(t.Context(), MustKeyExpr("k"), NewFifoChannel[Sample](9), nil))(t)
	for i := range 9 {
		n.say(push(wire.Key("k"), fmt.Sprint(i)))
	}
	for range 9 {
		next(t, last.Handler())
	}
	eventually(t, "7 are dropped", func() bool { return ring.Dropped() == 7 })
	if a, b := next(t, ring.Handler()), next(t, ring.Handler()); a.Payload().String() != "7" || b.Payload().String() != "8" {
		t.Errorf("got %s and %s", a.Payload(), b.Payload())
	}
}

// TestSlowReader reads replies only after it had the answer to another get, through the same session.
func TestSlowReader(t *testing.T) {
	s, n := dialNode(t, Config{Mode: Client, Handlers: Handlers{Patience: time.Hour}}, transport.Config{})
	ctx := t.Context()
	many := must(s.Get(ctx, MustKeyExpr("many/*"), "", NewFifoChannel[Reply](1), nil))(t)
	r := hear[*wire.Request](n)
	for i := range 1000 {
		n.say(response(r.ID, fmt.Sprintf("many/%d", i), "x", 0))
	}
	n.say(&wire.ResponseFinal{ID: r.ID})
	one := must(s.Get(ctx, MustKeyExpr("one"), "", nil, nil))(t)
	n.say(&wire.ResponseFinal{ID: hear[*wire.Request](n).ID})
	if _, err := textsOf(t, one); err != nil {
		t.Error(err)
	}
	if got, err := textsOf(t, many); len(got) != 1000 || err != nil {
		t.Errorf("%d replies, %v", len(got), err)
	}
}

func TestGetOverflow(t *testing.T) {
	config := Config{Mode: Client, Handlers: Handlers{Queue: 1, Patience: time.Millisecond}}
	s, n := dialNode(t, config, transport.Config{})
	replies := must(s.Get(t.Context(), MustKeyExpr("*"), "", NewFifoChannel[Reply](1), &GetOptions{Consolidation: ConsolidationNone}))(t)
	r := hear[*wire.Request](n)
	for range 1000 {
		n.say(response(r.ID, "k", "x", 0))
	}
	n.say(&wire.ResponseFinal{ID: r.ID})
	eventually(t, "the get has ended", func() bool { return s.queries.find(r.ID) == nil })
	if got, err := textsOf(t, replies); len(got) < 1 || !errors.Is(err, ErrOverflow) {
		t.Errorf("%d replies, %v", len(got), err)
	}
}

func TestOverloadedQueryable(t *testing.T) {
	config := Config{Mode: Client, Handlers: Handlers{Queue: 2, Patience: time.Millisecond}}
	s, n := dialNode(t, config, transport.Config{})
	release := make(chan struct{})
	var calls atomic.Int32
	must(s.DeclareQueryable(t.Context(), MustKeyExpr("k"), Closure[*Query]{Call: func(*Query) { calls.Add(1); <-release }}, &QueryableOptions{Concurrency: 3}))(t)
	for i := range uint32(20) {
		n.say(&wire.Request{ID: i, Key: wire.Key("k")})
	}
	for range 14 {
		if m := hear[*wire.Response](n); !m.IsErr {
			t.Errorf("heard %+v", m)
		}
		hear[*wire.ResponseFinal](n)
	}
	close(release)
	eventually(t, "several run at once", func() bool { return calls.Load() >= 3 })
}

// TestFloods has a node declare more than a session takes.
func TestFloods(t *testing.T) {
	s, n := dialNode(t, client, transport.Config{})
	events := must(s.DeclareTransportEventsListener(nil, nil))(t)
	key := strings.Repeat("x", 60_000)
	for i := range uint32(maxTheirBytes/60_000 + 2) {
		if n.tr.Send(t.Context(), declare(wire.DeclareKeyExpr, i+1, key), transport.Delivery{QoS: wire.QoSRequest}) != nil {
			break
		}
	}
	if e := next(t, events.Handler()); !errors.Is(e.Err, ErrTooMany) {
		t.Errorf("got %+v", e)
	}
}

// TestClose ends a session with everything in use, twice at once, and its publications arrive.
func TestClose(t *testing.T) {
	r := openRouter(t)
	s, other := openClient(t, r.Locators()[0]), openClient(t, r.Locators()[0])
	ctx := t.Context()
	heard := must(other.DeclareSubscriber(ctx, MustKeyExpr("last"), NewFifoChannel[Sample](1000), nil))(t)
	must(other.DeclareQueryable(ctx, MustKeyExpr("never"), nil, nil))(t)
	settle(t, other)
	dropped := make(chan struct{}, 4)
	drop := func() { dropped <- struct{}{} }
	must(s.DeclareSubscriber(ctx, MustKeyExpr("**"), Closure[Sample]{Call: func(Sample) {}, Drop: drop}, nil))(t)
	channel := must(s.DeclareSubscriber(ctx, MustKeyExpr("x"), nil, nil))(t)
	must(s.DeclareQueryable(ctx, MustKeyExpr("q"), Closure[*Query]{Call: func(*Query) {}, Drop: drop}, nil))(t)
	must(s.Liveliness().DeclareSubscriber(ctx, MustKeyExpr("**"), Closure[Sample]{Call: func(Sample) {}, Drop: drop}, nil))(t)
	pub := must(s.DeclarePublisher(ctx, MustKeyExpr("last"), &PublisherOptions{CongestionControl: CongestionControlBlock}))(t)
	must(pub.DeclareMatchingListener(Closure[MatchingStatus]{Call: func(MatchingStatus) {}, Drop: drop}))(t)
	replies := must(s.Get(ctx, MustKeyExpr("never"), "", nil, nil))(t)
	for range 500 {
		if err := pub.Put(ctx, []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
	}
	var closing sync.WaitGroup
	for range 2 {
		closing.Go(func() {
			if err := s.Close(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	closing.Wait()
	for range 500 {
		next(t, heard.Handler())
	}
	for range 4 {
		next(t, dropped)
	}
	if _, err := textsOf(t, replies); !errors.Is(err, ErrSessionClosed) {
		t.Errorf("the get ended with %v", err)
	}
	if _, more := <-channel.Handler(); more {
		t.Error("the channel is open")
	}
	if err := s.Close(ctx); err != nil || !s.IsClosed() {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"put": s.Put(ctx, MustKeyExpr("x"), nil, nil), "publisher": pub.Put(ctx, nil, nil), "undeclare": channel.Undeclare(ctx),
	} {
		if (what == "undeclare") != (err == nil) || err != nil && !errors.Is(err, ErrSessionClosed) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if _, err := s.Get(ctx, MustKeyExpr("x"), "", nil, nil); !errors.Is(err, ErrSessionClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := s.DeclareSubscriber(ctx, MustKeyExpr("x"), nil, nil); !errors.Is(err, ErrSessionClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := s.DeclareSubscriber(ctx, KeyExpr{}, nil, nil); err == nil {
		t.Error("a subscriber without key")
	}
}

// TestChurn has many goroutines declare, undeclare, publish and ask while the connection is cut again and again.
func TestChurn(t *testing.T) {
	r := openRouter(t, "tcp/127.0.0.1:0")
	p := must(zproxy.Listen(r.Locators()[0]))(t)
	t.Cleanup(func() { _ = p.Close() })
	s := openSession(t, impatient(p.Endpoint()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var work sync.WaitGroup
	for i := range 4 {
		work.Go(func() {
			key := MustKeyExpr(fmt.Sprintf("churn/%d", i))
			for ctx.Err() == nil {
				sub, err1 := s.DeclareSubscriber(ctx, MustKeyExpr("churn/*"), Closure[Sample]{Call: func(Sample) {}}, nil)
				pub, err2 := s.DeclarePublisher(ctx, key, &PublisherOptions{CongestionControl: CongestionControlBlock})
				q, err3 := s.DeclareQueryable(ctx, key, Closure[*Query]{Call: func(q *Query) { _ = q.Reply(ctx, key, nil, nil) }}, nil)
				token, err4 := s.Liveliness().DeclareToken(ctx, key)
				if errors.Join(err1, err2, err3, err4) == nil {
					_ = pub.Put(ctx, []byte("x"), nil)
					if replies, err := s.Get(ctx, MustKeyExpr("churn/*"), "", nil, nil); err == nil {
						for range replies {
						}
					}
				}
				for _, e := range []interface{ Drop() }{sub, pub, q, token} {
					if e != nil && !isNil(e) {
						e.Drop()
					}
				}
			}
		})
	}
	for ctx.Err() == nil {
		p.Cut()
		time.Sleep(20 * time.Millisecond)
	}
	work.Wait()
	settled := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		replies, err := s.Liveliness().Get(ctx, MustKeyExpr("churn/**"), nil, nil)
		if err != nil {
			return false
		}
		got, err := textsOf(t, replies)
		return len(got) == 0 && err == nil
	}
	eventually(t, "nothing is left", settled)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if n := len(s.subscribers.byID) + len(s.queryables.byID) + len(s.tokens.byID) + len(s.matchers.byID) + len(s.keys.byKey) + len(s.alive); n != 0 {
		t.Errorf("%d things are left: alive %v", n, s.alive)
	}
}

func isNil(e any) bool {
	switch e := e.(type) {
	case *Subscriber:
		return e == nil
	case *Publisher:
		return e == nil
	case *Queryable:
		return e == nil
	case *LivelinessToken:
		return e == nil
	}
	return false
}

func TestHLC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewHLC(ZID{1})
		last := c.NewTimestamp()
		if time.Since(last.When()).Abs() > time.Microsecond || last.ID != (ZID{1}) {
			t.Errorf("got %v, it is %v", last.When(), time.Now())
		}
		for range 100 { // the clock of the system stands still
			now := c.NewTimestamp()
			if now.Compare(last) <= 0 {
				t.Fatalf("%v after %v", now, last)
			}
			last = now
		}
		ahead := Timestamp{Time: wire.NTP64(time.Now().Add(400 * time.Millisecond)), ID: ZID{2}}
		if err := c.Update(ahead); err != nil || c.NewTimestamp().Compare(ahead) <= 0 {
			t.Errorf("got %v", err)
		}
		far := Timestamp{Time: wire.NTP64(time.Now().Add(time.Second)), ID: ZID{2}}
		if err := c.Update(far); !errors.Is(err, ErrDrift) || c.NewTimestamp().Compare(far) > 0 {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Second)
		if got := c.NewTimestamp(); got.Time&hlcCounter != 0 || got.Compare(far) < 0 && got.When().Sub(far.When()).Abs() > time.Microsecond {
			t.Errorf("got %v", got)
		}
	})
}
