package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// node listens, dials, and collects its transports.
type node struct {
	Set
	ctx        context.Context // of all that the node does
	cancel     context.CancelFunc
	config     Config
	listener   Listener
	wg         sync.WaitGroup
	transports chan *Transport
}

func newNode(t *testing.T, name string, zid byte) *node {
	t.Helper()
	n := &node{config: Config{ZID: wire.ZID{zid}, WhatAmI: wire.Peer}, transports: make(chan *Transport, 10)}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	var err error
	if n.listener, err = ListenLink(t.Context(), name, LinkConfig{}); err != nil {
		t.Fatal(err)
	}
	n.wg.Go(func() {
		for {
			link, err := n.listener.Accept()
			if err != nil {
				return
			}
			n.wg.Go(func() { n.keep(n.Accept(n.ctx, link, n.config)) })
		}
	})
	return n
}

func (n *node) keep(tr *Transport, err error) {
	if err == nil {
		n.transports <- tr
		_ = tr.Serve(n.ctx, func(wire.Network) error { return nil })
	}
}

func (n *node) dial(other *node) {
	n.wg.Go(func() { n.keep(n.Dial(n.ctx, other.listener.Endpoint(), n.config)) })
}

func (n *node) stop(t *testing.T) {
	t.Helper()
	if err := n.listener.Close(); err != nil {
		t.Error(err)
	}
	n.cancel()
	n.wg.Wait()
	if n.Len() != 0 {
		t.Errorf("%d members are left", n.Len())
	}
}

// Two nodes that dial each other at once end with one transport, and the same one.
func TestSimultaneousConnect(t *testing.T) {
	for round := range 50 {
		synctest.Test(t, func(t *testing.T) {
			a, b := newNode(t, "inproc/set-a", 1), newNode(t, "inproc/set-b", 2)
			for i := range 1 + round%3 { // several dials to the same node are no harm
				if (round+i)%2 == 0 {
					a.dial(b)
					b.dial(a)
				} else {
					b.dial(a)
					a.dial(b)
				}
			}
			time.Sleep(5 * time.Second)
			if len(a.transports) != 1 || len(b.transports) != 1 || a.Len() != 1 || b.Len() != 1 {
				t.Fatalf("%d and %d transports, %d and %d members", len(a.transports), len(b.transports), a.Len(), b.Len())
			}
			ta, tb := <-a.transports, <-b.transports
			if ta.Peer().Local != tb.Peer().Remote || ta.Err() != nil || tb.Err() != nil {
				t.Errorf("different transports: %+v, %v and %+v, %v", ta.Peer(), ta.Err(), tb.Peer(), tb.Err())
			}
			a.stop(t)
			b.stop(t)
		})
	}
}

// handshakeBy dials by hand: it says Init, and Open only when it is told.
func handshakeBy(t *testing.T, to *node, zid byte) (open func(), answer func() wire.Message) {
	t.Helper()
	link, err := DialLink(t.Context(), to.listener.Endpoint(), LinkConfig{})
	if err != nil {
		t.Fatal(err)
	}
	config, err := Config{ZID: wire.ZID{zid}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	h := &handshake{link: link, config: config}
	if err := h.send(&wire.Init{WhatAmI: wire.Peer, ZID: wire.ZID{zid}, Patch: 1}); err != nil {
		t.Fatal(err)
	}
	ack, err := h.receiveInit(true)
	if err != nil {
		t.Fatal(err)
	}
	cookie := append([]byte(nil), ack.Cookie...)
	t.Cleanup(func() { link.Close() })
	return func() {
			if err := h.send(&wire.Open{Lease: time.Minute, Cookie: cookie}); err != nil {
				t.Error(err)
			}
		}, func() wire.Message {
			b, err := link.ReadBatch(time.Now().Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			h.decoder.Reset(b)
			m, err := h.decoder.Next()
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
}

// silent is a node that answers an Init, and an Open when it is told to, or by hanging up.
func silent(t *testing.T, name string, zid byte) (l Listener, answer func(ok bool)) {
	t.Helper()
	l, err := ListenLink(t.Context(), name, LinkConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, func(ok bool) {
		link, err := l.Accept()
		if err != nil {
			return
		}
		config := Config{ZID: wire.ZID{zid}, WhatAmI: wire.Peer, Admit: func(Peer) error {
			time.Sleep(2 * time.Second)
			if !ok {
				return errors.New("no")
			}
			return nil
		}}
		tr, err := Accept(context.Background(), link, config)
		if err == nil {
			_ = tr.Serve(t.Context(), func(wire.Network) error { return nil })
		}
	}
}

func TestHold(t *testing.T) {
	for _, tt := range []struct {
		name     string
		self     byte
		dialGoes bool
		want     string
	}{
		{"dial goes well", 9, true, "max links"},
		{"dial fails", 9, false, "open"},
		{"smaller id", 1, true, "open"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, "inproc/hold", tt.self)
				_, answer := silent(t, "inproc/silent", 5)
				var other sync.WaitGroup
				other.Go(func() { answer(tt.dialGoes) })
				open, next := handshakeBy(t, n, 5)
				n.dial(&node{listener: &inprocListener{name: "silent"}})
				synctest.Wait()
				open()
				got := ""
				switch m := next().(type) {
				case *wire.Close:
					got = m.Reason.String()
					if m.Session {
						t.Error("the whole session was closed")
					}
				case *wire.Open:
					got = "open"
				}
				if got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				n.stop(t)
				other.Wait()
			})
		})
	}
}

func TestSetRefuses(t *testing.T) {
	n := newNode(t, "inproc/refuses", 1)
	defer func() { n.stop(t) }()
	n.Limit = 1
	config := Config{ZID: wire.ZID{7}}
	first, err := Dial(t.Context(), n.listener.Endpoint(), config)
	if err != nil {
		t.Fatal(err)
	}
	e := serve(t, first)
	dialled := func(config Config) error {
		var set Set
		_, err := set.Dial(t.Context(), n.listener.Endpoint(), config)
		return err
	}
	if closed, ok := errors.AsType[*CloseError](dialled(Config{ZID: wire.ZID{8}})); !ok || closed.Reason != wire.CloseMaxSessions {
		t.Errorf("above the limit: %v", closed)
	}
	if err := dialled(config); !errors.Is(err, ErrConnected) {
		t.Errorf("the same id: %v", err)
	}
	if err := dialled(Config{Expect: wire.ZID{2}}); !errors.Is(err, ErrProtocol) {
		t.Errorf("another id than expected: %v", err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
	<-(<-n.transports).Done()
	again, err := Dial(t.Context(), n.listener.Endpoint(), config)
	if err != nil {
		t.Fatal(fmt.Errorf("after the first has ended: %w", err))
	}
	serve(t, again)
}
