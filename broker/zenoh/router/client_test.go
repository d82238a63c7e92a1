package router

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// patience is how long a test waits for what must come. What must not come is seen by what comes after it.
const patience = 10 * time.Second

// logged collects what a router logs.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs a router on a port of its own until the test ends.
func start(t testing.TB, config Config) *Router {
	t.Helper()
	if config.Listen == nil {
		config.Listen = []string{"tcp/127.0.0.1:0"}
	}
	r, err := Open(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return r
}

func logTo(l *logged) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// client is a session made by hand: it says what the test tells it, and keeps all that it hears.
type client struct {
	*transport.Transport
	t     testing.TB
	heard chan string
	ended chan error
}

// dial opens a session with a router.
func dial(t testing.TB, r *Router, config transport.Config) *client {
	t.Helper()
	c, err := tryDial(t, r.Locators()[0], config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tryDial(t testing.TB, endpoint string, config transport.Config) (*client, error) {
	tr, err := transport.Dial(context.Background(), endpoint, config)
	if err != nil {
		return nil, err
	}
	c := &client{Transport: tr, t: t, heard: make(chan string, 100_000), ended: make(chan error, 1)}
	var running sync.WaitGroup
	running.Go(func() {
		c.ended <- tr.Serve(context.Background(), func(m wire.Network) error {
			c.heard <- describe(m)
			return nil
		})
	})
	t.Cleanup(func() {
		c.Abort(wire.CloseGeneric)
		running.Wait()
	})
	return c, nil
}

// say sends messages in the way of their own quality of service.
func (c *client) say(list ...wire.Network) {
	c.t.Helper()
	for _, m := range list {
		if err := c.Send(context.Background(), m, transport.Delivery{QoS: qosIn(m)}); err != nil {
			c.t.Fatalf("say %s: %v", describe(m), err)
		}
	}
}

func qosIn(m wire.Network) wire.QoS {
	switch m := m.(type) {
	case *wire.Push:
		return m.QoS
	case *wire.Request:
		return m.QoS
	case *wire.Response:
		return m.QoS
	case *wire.ResponseFinal:
		return m.QoS
	}
	return wire.QoSDeclare
}

// hears expects exactly these messages next.
func (c *client) hears(want ...string) {
	c.t.Helper()
	for _, w := range want {
		select {
		case got := <-c.heard:
			if got != w {
				c.t.Fatalf("heard %q, want %q", got, w)
			}
		case <-time.After(patience):
			c.t.Fatalf("did not hear %q", w)
		}
	}
}

// hearsAll expects these messages next, in any order.
func (c *client) hearsAll(want ...string) {
	c.t.Helper()
	left := map[string]int{}
	for _, w := range want {
		left[w]++
	}
	for range want {
		select {
		case got := <-c.heard:
			if left[got]--; left[got] < 0 {
				c.t.Fatalf("heard %q, want one of %q", got, want)
			}
		case <-time.After(patience):
			c.t.Fatalf("did not hear all of %q", want)
		}
	}
}

// sync waits until the router has done all that the client said, and expects that the client hears nothing of it.
func (c *client) sync() {
	c.t.Helper()
	c.say(&wire.Interest{ID: 9999, Mode: wire.InterestCurrent, Options: wire.InterestKeyExprs, QoS: wire.QoSDeclare})
	c.hears("answer 9999: final")
}

// await waits until the router's statistics are as they should be.
func await(t testing.TB, r *Router, done func(Statistics) bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(r.Statistics()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the router has %+v", r.Statistics())
		}
	}
}

// hangUp ends the session and waits for its end.
func (c *client) hangUp() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = c.Close(ctx) // the router may have been quicker
	c.waitEnd()
}

func (c *client) waitEnd() error {
	c.t.Helper()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(patience):
		c.t.Fatal("the session did not end")
	}
	return nil
}

// describe makes text of a message. Numbers that the router chooses are left out where the key says as much.
func describe(m wire.Network) string {
	switch m := m.(type) {
	case *wire.Push:
		if m.NodeID != 0 {
			return "a node id"
		}
		return strings.TrimSpace(fmt.Sprintf("%s %s%s", dataName(&m.Data), keyText(&m.Key), payloadText(m.Data.Payload)))
	case *wire.Request:
		if m.NodeID != 0 {
			return "a node id"
		}
		return strings.TrimSpace(fmt.Sprintf("request %d %s%s", m.ID, keyText(&m.Key), payloadText(m.Query.Parameters)))
	case *wire.Response:
		if m.IsErr {
			return fmt.Sprintf("error %d %s%s", m.ID, keyText(&m.Key), payloadText(m.Err.Payload))
		}
		return fmt.Sprintf("reply %d %s%s", m.ID, keyText(&m.Key), payloadText(m.Reply.Data.Payload))
	case *wire.ResponseFinal:
		return fmt.Sprintf("final %d", m.ID)
	case *wire.Interest:
		return fmt.Sprintf("interest %d %s", m.ID, keyText(&m.Key))
	case *wire.Declare:
		answer := ""
		if m.Answer {
			answer = fmt.Sprintf("answer %d: ", m.InterestID)
		}
		return answer + declareText(m)
	}
	return fmt.Sprintf("%T", m)
}

func dataName(d *wire.Data) string {
	if d.Delete {
		return "del"
	}
	return "put"
}

func payloadText(p []byte) string {
	if len(p) > 40 {
		return fmt.Sprintf(" (%d bytes)", len(p))
	}
	return " " + string(p)
}

func keyText(w *wire.WireExpr) string {
	if w.Scope != 0 {
		return fmt.Sprintf("%d+%s", w.Scope, w.Suffix)
	}
	return string(w.Suffix)
}

func declareText(m *wire.Declare) string {
	info := ""
	if m.Queryable.Complete {
		info = " complete"
	}
	switch m.Kind {
	case wire.DeclareFinal:
		return "final"
	case wire.DeclareSubscriber, wire.DeclareQueryable, wire.DeclareToken:
		return fmt.Sprintf("%s %d %s%s", [...]string{"sub", "qabl", "token"}[(m.Kind-2)/2], m.ID, keyText(&m.Key), info)
	case wire.UndeclareSubscriber, wire.UndeclareQueryable, wire.UndeclareToken:
		key := ""
		if len(m.Key.Suffix) > 0 {
			key = " " + keyText(&m.Key)
		}
		return fmt.Sprintf("no %s %d%s", [...]string{"sub", "qabl", "token"}[(m.Kind-3)/2], m.ID, key)
	}
	return fmt.Sprintf("declare kind %d", m.Kind)
}

// Messages of clients.

func sub(id uint32, key string) *wire.Declare   { return declareOf(wire.DeclareSubscriber, id, key) }
func qabl(id uint32, key string) *wire.Declare  { return declareOf(wire.DeclareQueryable, id, key) }
func token(id uint32, key string) *wire.Declare { return declareOf(wire.DeclareToken, id, key) }

func complete(id uint32, key string) *wire.Declare {
	m := qabl(id, key)
	m.Queryable.Complete = true
	return m
}

func declareOf(k wire.DeclareKind, id uint32, key string) *wire.Declare {
	return &wire.Declare{Kind: k, ID: id, Key: wire.Key(key), QoS: wire.QoSDeclare}
}

func undeclare(k wire.DeclareKind, id uint32) *wire.Declare {
	return &wire.Declare{Kind: k, ID: id, QoS: wire.QoSDeclare}
}

func putOf(key, payload string) *wire.Push {
	return &wire.Push{Key: wire.Key(key), QoS: wire.QoSDeclare, Data: wire.Data{Payload: []byte(payload)}}
}

func get(id uint32, key string, target wire.Target) *wire.Request {
	return &wire.Request{ID: id, Key: wire.Key(key), QoS: wire.QoSDeclare, Target: target}
}

func replyOf(id uint32, key, payload string) *wire.Response {
	return &wire.Response{ID: id, Key: wire.Key(key), QoS: wire.QoSDeclare, Reply: wire.Reply{Data: wire.Data{Payload: []byte(payload)}}}
}

func final(id uint32) *wire.ResponseFinal { return &wire.ResponseFinal{ID: id, QoS: wire.QoSDeclare} }

func interestIn(id uint32, mode wire.InterestMode, options wire.InterestOptions, key string) *wire.Interest {
	return &wire.Interest{ID: id, Mode: mode, Options: options, Restricted: key != "", Key: wire.Key(key), QoS: wire.QoSDeclare}
}
