package zenoh

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/router"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// openRouter opens a router on those endpoints, by default one in this process.
func openRouter(t *testing.T, listen ...string) *router.Router {
	t.Helper()
	if listen == nil {
		listen = []string{"inproc/" + t.Name()}
	}
	r, err := router.Open(t.Context(), router.Config{Listen: listen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRouter(t, r) })
	return r
}

func closeRouter(t *testing.T, r *router.Router) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
}

// star gives clients of a router of their own.
func star(t *testing.T, n int) []*Session {
	t.Helper()
	r := openRouter(t)
	list := make([]*Session, n)
	for i := range list {
		list[i] = openClient(t, r.Locators()[0])
	}
	return list
}

// node is a node that says exactly what a test wants, and keeps what it hears.
type node struct {
	t   *testing.T
	tr  *transport.Transport
	got chan wire.Network // copies, without lists
}

// dialNode has a session of a client, or a peer, connected to a node that answers nothing by itself.
func dialNode(t *testing.T, config Config, theirs transport.Config) (*Session, *node) {
	t.Helper()
	l, err := transport.ListenLink(t.Context(), "inproc/"+t.Name(), transport.LinkConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	n := &node{t: t, got: make(chan wire.Network, 1<<14)}
	if theirs.WhatAmI == 0 {
		theirs.WhatAmI = Router
	}
	var running sync.WaitGroup
	opened := make(chan error, 1)
	running.Go(func() {
		link, err := l.Accept()
		if err == nil {
			n.tr, err = transport.Accept(t.Context(), link, theirs)
		}
		if opened <- err; err == nil {
			_ = n.tr.Serve(context.Background(), func(m wire.Network) error { n.got <- copyOf(m); return nil }) // ends with the session
		}
	})
	config.Connect.Endpoints = []string{l.Endpoint()}
	s := openSession(t, config)
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.tr.Abort(wire.CloseGeneric)
		running.Wait()
	})
	return s, n
}

func copyOf(m wire.Network) wire.Network {
	key := func(w wire.WireExpr) wire.WireExpr {
		w.Suffix = slices.Clone(w.Suffix)
		return w
	}
	switch m := m.(type) {
	case *wire.Push:
		c := *m
		c.Key, c.Data.Payload = key(m.Key), slices.Clone(m.Data.Payload)
		return &c
	case *wire.Declare:
		c := *m
		c.Key = key(m.Key)
		return &c
	case *wire.Interest:
		c := *m
		c.Key = key(m.Key)
		return &c
	case *wire.Request:
		c := *m
		c.Key, c.Query.Parameters = key(m.Key), slices.Clone(m.Query.Parameters)
		return &c
	case *wire.Response:
		c := *m
		c.Key, c.Reply.Data.Payload = key(m.Key), slices.Clone(m.Reply.Data.Payload)
		return &c
	case *wire.ResponseFinal:
		c := *m
		return &c
	}
	return m
}

// say sends messages to the session.
func (n *node) say(list ...wire.Network) {
	n.t.Helper()
	for _, m := range list {
		if err := n.tr.Send(n.t.Context(), m, transport.Delivery{QoS: wire.QoSRequest}); err != nil {
			n.t.Fatal(err)
		}
	}
}

// hear gives the next message of a kind. Others are forgotten.
func hear[M wire.Network](n *node) M {
	n.t.Helper()
	for end := time.After(patience); ; {
		select {
		case m := <-n.got:
			if m, ok := m.(M); ok {
				return m
			}
		case <-end:
			n.t.Fatalf("no %T came", *new(M))
		}
	}
}

func push(key wire.WireExpr, payload string) *wire.Push {
	return &wire.Push{Key: key, Data: wire.Data{Payload: []byte(payload)}}
}

func declare(kind wire.DeclareKind, id uint32, key string) *wire.Declare {
	return &wire.Declare{Kind: kind, ID: id, Key: wire.Key(key)}
}

// answering makes a declaration the answer to an interest.
func answering(id uint32, d *wire.Declare) *wire.Declare {
	d.Answer, d.InterestID = true, id
	return d
}

func response(id uint32, key, payload string, stamp uint64) *wire.Response {
	m := &wire.Response{ID: id, Key: wire.Key(key), Reply: wire.Reply{Data: wire.Data{Payload: []byte(payload)}}}
	if stamp > 0 {
		m.Reply.Data.Timestamp = Timestamp{Time: stamp, ID: ZID{1}}
	}
	return m
}

var client = Config{Mode: Client}

// texts gives the payloads of all replies, and the errors in place of some.
func textsOf(t *testing.T, replies <-chan Reply) (texts []string, failed error) {
	t.Helper()
	for end := time.After(patience); ; {
		select {
		case r, more := <-replies:
			switch {
			case !more:
				return texts, failed
			case r.Err() != nil:
				failed = errors.Join(failed, r.Err())
			default:
				texts = append(texts, r.Sample().KeyExpr().String()+"="+r.Sample().Payload().String())
			}
		case <-end:
			t.Fatal("the get does not end")
		}
	}
}
