package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// end is one side of an open transport whose messages are collected.
type end struct {
	*Transport
	got   chan string   // payloads of pushes
	final chan struct{} // answers to interests that ended
	over  chan error    // what Serve returned
}

func serve(t *testing.T, tr *Transport) *end {
	e := &end{Transport: tr, got: make(chan string, 1<<16), final: make(chan struct{}, 10), over: make(chan error, 1)}
	var wg sync.WaitGroup
	wg.Go(func() {
		e.over <- tr.Serve(context.Background(), func(m wire.Network) error {
			switch m := m.(type) {
			case *wire.Push:
				e.got <- string(m.Data.Payload)
			case *wire.Declare:
				if m.Kind == wire.DeclareFinal {
					e.final <- struct{}{}
				}
			}
			return nil
		})
	})
	t.Cleanup(func() {
		tr.Abort(wire.CloseGeneric)
		wg.Wait()
	})
	return e
}

func (e *end) next(t *testing.T) string {
	t.Helper()
	select {
	case s := <-e.got:
		return s
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		return ""
	}
}

func (e *end) waitFinal(t *testing.T) {
	t.Helper()
	select {
	case <-e.final:
	case <-time.After(20 * time.Second):
		t.Fatal("no answer to the interest")
	}
}

func (e *end) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-e.over:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the transport goes on")
		return nil
	}
}

// sockets gives both ends of a TCP connection.
func sockets(t *testing.T) (dialled, accepted net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if dialled, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if accepted, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close(); accepted.Close() })
	return dialled, accepted
}

// handshakes opens a transport from both sides and gives the errors of both.
func handshakes(t *testing.T, client, router Config) (c, r *Transport, errC, errR error) {
	t.Helper()
	dialled, accepted := sockets(t)
	router.WhatAmI = wire.Router
	var wg sync.WaitGroup
	wg.Go(func() { r, errR = Accept(t.Context(), NewStreamLink(accepted), router) })
	c, errC = Open(t.Context(), NewStreamLink(dialled), client)
	wg.Wait()
	return c, r, errC, errR
}

func pair(t *testing.T, client, router Config) (c, r *end) {
	t.Helper()
	ct, rt, errC, errR := handshakes(t, client, router)
	if errC != nil || errR != nil {
		t.Fatalf("open: %v, accept: %v", errC, errR)
	}
	return serve(t, ct), serve(t, rt)
}

func put(payload string) *wire.Push {
	return &wire.Push{Key: wire.Key("demo/a"), Data: wire.Data{Payload: []byte(payload)}}
}

var reliably = Delivery{QoS: wire.QoS{Congestion: wire.Block}}

func TestOrder(t *testing.T) {
	for _, tt := range []struct {
		name           string
		client, router Config
	}{
		{"defaults", Config{}, Config{}},
		{"no QoS", Config{NoQoS: true}, Config{}},
		{"small batches", Config{}, Config{BatchSize: 100}},
		{"numbers of 7 bits", Config{Resolution: 0x08}, Config{}},
		{"short queue", Config{QueueSize: 1}, Config{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, r := pair(t, tt.client, tt.router)
			const n = 2000
			go func() {
				for i := range n {
					if err := c.Send(t.Context(), put(fmt.Sprint(i, strings.Repeat("x", i%300))), reliably); err != nil {
						t.Errorf("message %d: %v", i, err)
						return
					}
				}
			}()
			for i := range n {
				if got, want := r.next(t), fmt.Sprint(i, strings.Repeat("x", i%300)); got != want {
					t.Fatalf("message %d: got %.20q", i, got)
				}
			}
		})
	}
}

func TestLargeMessages(t *testing.T) {
	for _, config := range []Config{{}, {BatchSize: 2048}} {
		c, r := pair(t, config, Config{})
		const n = 4
		var wg sync.WaitGroup
		for i := range n { // from several senders, between small ones
			wg.Go(func() {
				for _, s := range []string{strings.Repeat(fmt.Sprint(i), 1_000_000), "small"} {
					if err := c.Send(t.Context(), put(s), reliably); err != nil {
						t.Error(err)
					}
				}
			})
		}
		seen := map[string]int{}
		for range 2 * n {
			s := r.next(t)
			if s != "small" && (len(s) != 1_000_000 || strings.Trim(s, s[:1]) != "") {
				t.Fatalf("got %d bytes that were not sent", len(s))
			}
			seen[s]++
		}
		if wg.Wait(); len(seen) != n+1 || seen["small"] != n {
			t.Errorf("got %d different messages", len(seen))
		}
	}
}

// A pipe in memory is a link as well.
func TestPipe(t *testing.T) {
	client, router := pipes(t)
	if err := client.Send(t.Context(), put("x"), reliably); err != nil {
		t.Fatal(err)
	}
	if got := router.next(t); got != "x" {
		t.Errorf("got %q", got)
	}
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPrioritiesAndReliabilities(t *testing.T) {
	c, r := pair(t, Config{}, Config{})
	if !c.QoS() || !r.QoS() || !r.Peer().QoS || r.Peer().WhatAmI != wire.Client || c.Peer().WhatAmI != wire.Router {
		t.Errorf("got %+v and %+v", c.Peer(), r.Peer())
	}
	want := map[string]bool{}
	for i := range 8 {
		for _, bestEffort := range []bool{false, true} {
			s := fmt.Sprint(i, bestEffort, strings.Repeat("x", 70_000*(i%2)))
			want[s] = true
			how := Delivery{QoS: wire.QoS{Priority: wire.PriorityOf(uint64(i)), Congestion: wire.Block}, BestEffort: bestEffort}
			if err := c.Send(t.Context(), put(s), how); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range len(want) {
		s := r.next(t)
		if !want[s] {
			t.Fatalf("got %.20q twice or unsent", s)
		}
		delete(want, s)
	}
}

func TestClose(t *testing.T) {
	c, r := pair(t, Config{}, Config{})
	for range 100 {
		if err := c.Send(t.Context(), put("last words"), reliably); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := c.wait(t); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want %v", err, ErrClosed)
	}
	closed, ok := errors.AsType[*CloseError](r.wait(t))
	if !ok || closed.Reason != wire.CloseGeneric {
		t.Errorf("the other side got %v", r.Err())
	}
	if len(r.got) != 100 {
		t.Errorf("%d of 100 messages came before the end", len(r.got))
	}
	if err := c.Send(t.Context(), put("more"), reliably); !errors.Is(err, ErrClosed) {
		t.Errorf("send after close: %v", err)
	}
}

func TestAbortTellsTheReason(t *testing.T) {
	c, r := pair(t, Config{}, Config{})
	r.Abort(wire.CloseMaxLinks)
	if closed, ok := errors.AsType[*CloseError](c.wait(t)); !ok || closed.Reason != wire.CloseMaxLinks {
		t.Errorf("got %v", c.Err())
	}
}

// An idle transport lives as long as both sides do, by a clock that only runs while all wait.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := pipes(t)
		select {
		case <-c.Done():
			t.Errorf("client: %v", c.Err())
		case <-r.Done():
			t.Errorf("router: %v", r.Err())
		case <-time.After(time.Hour):
		}
	})
}

// pipes opens a transport through memory.
func pipes(t *testing.T) (client, router *end) {
	t.Helper()
	here, there := net.Pipe()
	var r *Transport
	var errR error
	var wg sync.WaitGroup
	wg.Go(func() { r, errR = Accept(t.Context(), NewStreamLink(there), Config{WhatAmI: wire.Router}) })
	c, err := Open(t.Context(), NewStreamLink(here), Config{})
	if wg.Wait(); err != nil || errR != nil {
		t.Fatal(err, errR)
	}
	return serve(t, c), serve(t, r)
}

// raw opens a transport to a router and gives the connection to a test that misbehaves on it.
func raw(t *testing.T, lease time.Duration, router Config) (link Link, r *end) {
	t.Helper()
	dialled, accepted := sockets(t)
	router.WhatAmI = wire.Router
	var tr *Transport
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		if tr, err = Accept(t.Context(), NewStreamLink(accepted), router); err != nil {
			t.Error(err)
		}
	})
	link = NewStreamLink(dialled)
	_, err := Open(t.Context(), link, Config{Lease: lease}) // nobody serves it
	if wg.Wait(); err != nil || tr == nil {
		t.Fatal(err)
	}
	return link, serve(t, tr)
}

func TestLeaseExpires(t *testing.T) {
	link, r := raw(t, 100*time.Millisecond, Config{})
	if err := r.wait(t); !errors.Is(err, ErrExpired) {
		t.Errorf("got %v, want %v", err, ErrExpired)
	}
	wantClose(t, link, wire.CloseExpired)
}

// wantClose reads until the other side says why it closes.
func wantClose(t *testing.T, link Link, reason wire.CloseReason) {
	t.Helper()
	for {
		b, err := link.ReadBatch(time.Now().Add(20 * time.Second))
		if err != nil {
			t.Fatalf("no close: %v", err)
		}
		if len(b) == 2 && b[0]&^0x20 == 0x03 {
			if b[1] != byte(reason) {
				t.Errorf("got reason %d, want %v", b[1], reason)
			}
			return
		}
	}
}

func TestBadBatches(t *testing.T) {
	for _, bad := range [][]byte{
		{0xff}, {0x25}, {0x1d, 0}, {0x25, 1, 0x1d, 0, 0x01, 0xff}, {0x01, 9, 0, 1}, bytes.Repeat([]byte{0x81}, 100),
		{0x25, 0xff, 0xff, 0xff, 0xff, 0x0f}, // a number above the resolution
	} {
		link, r := raw(t, time.Minute, Config{})
		if err := link.WriteBatch(append(make([]byte, prefix), bad...)); err != nil {
			t.Fatal(err)
		}
		if err := r.wait(t); !errors.Is(err, ErrProtocol) {
			t.Errorf("%x: got %v, want %v", bad, err, ErrProtocol)
		}
		wantClose(t, link, wire.CloseInvalid)
	}
}

func TestUnresponsivePeer(t *testing.T) {
	link, r := raw(t, time.Minute, Config{BlockTimeout: 50 * time.Millisecond, QueueSize: 2})
	_ = link // nobody reads from it
	var err error
	for err == nil {
		err = r.Send(t.Context(), put(strings.Repeat("x", 1<<20)), reliably)
	}
	if !errors.Is(err, ErrUnresponsive) {
		t.Errorf("send: %v", err)
	}
	if err := r.wait(t); !errors.Is(err, ErrUnresponsive) {
		t.Errorf("serve: %v", err)
	}
}

func TestCongestion(t *testing.T) {
	_, r := raw(t, time.Minute, Config{QueueSize: 2})
	var err error
	for err == nil {
		err = r.Send(t.Context(), put(strings.Repeat("x", 50_000)), Delivery{})
	}
	if !errors.Is(err, ErrCongested) || r.Err() != nil {
		t.Errorf("send: %v, transport: %v", err, r.Err())
	}
	for err = nil; err == nil; { // in fragments, of which some get through
		err = r.Send(t.Context(), put(strings.Repeat("x", 1<<20)), Delivery{})
	}
	if !errors.Is(err, ErrCongested) || r.Err() != nil {
		t.Errorf("send in fragments: %v, transport: %v", err, r.Err())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	atOnce := Delivery{QoS: reliably.QoS, NoWait: true}
	if err := r.Send(t.Context(), put("x"), atOnce); err != nil && !errors.Is(err, ErrCongested) {
		t.Errorf("send that does not wait: %v", err)
	}
	for err = nil; err == nil; { // until what the sockets buffer is full for good
		err = r.Send(ctx, put(strings.Repeat("x", 50_000)), reliably)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("send with a context that ends: %v", err)
	}
}

func TestHandlerEndsTheTransport(t *testing.T) {
	ct, rt, errC, errR := handshakes(t, Config{}, Config{})
	if errC != nil || errR != nil {
		t.Fatal(errC, errR)
	}
	c := serve(t, ct)
	if err := c.Send(t.Context(), put("x"), reliably); err != nil {
		t.Fatal(err)
	}
	want := errors.New("enough")
	if err := rt.Serve(t.Context(), func(wire.Network) error { return want }); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}

func TestContextEndsTheTransport(t *testing.T) {
	_, rt, errC, errR := handshakes(t, Config{}, Config{})
	if errC != nil || errR != nil {
		t.Fatal(errC, errR)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := rt.Serve(ctx, func(wire.Network) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
