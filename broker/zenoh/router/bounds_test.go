package router

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

func TestRow11SlowConsumerHarmsOnlyItself(t *testing.T) {
	payload := strings.Repeat("x", 30_000)
	for _, c := range []struct {
		name       string
		policy     SlowPolicy
		congestion wire.CongestionControl
		closed     bool
	}{
		{"may be dropped", BlockSender, wire.Drop, false},
		{"must not be dropped", BlockSender, wire.Block, true},
		{"is dropped all the same", DropMessages, wire.Block, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log logged
			r := start(t, Config{
				Logger: logTo(&log), SlowSessions: c.policy, Transport: transport.Config{QueueSize: 4, BlockTimeout: 200 * time.Millisecond},
			})
			slow, fast, publisher := newStuck(t, r, "s/**"), dial(t, r, transport.Config{}), dial(t, r, transport.Config{})
			fast.say(sub(1, "s/**"))
			await(t, r, func(s Statistics) bool { return s.Sessions == 3 })
			fast.sync()
			m := putOf("s/a", payload)
			m.QoS = wire.QoS{Congestion: c.congestion}
			done := func() bool {
				s := r.Statistics()
				return s.Dropped["congested"] >= 10 || s.Dropped["unresponsive"] > 0
			}
			for n := 0; !done() && n < 20_000; n++ {
				publisher.say(m)
				fast.hears("put s/a (30000 bytes)")
			}
			if !done() {
				t.Fatal("nothing was too much for the slow session")
			}
			if c.closed {
				await(t, r, func(s Statistics) bool { return s.Sessions == 2 })
			}
			publisher.say(m)
			fast.hears("put s/a (30000 bytes)")
			if c.closed {
				await(t, r, func(Statistics) bool { return strings.Contains(log.String(), "session closed") })
			}
			if gone := strings.Contains(log.String(), "unresponsive"); gone != c.closed {
				t.Errorf("slow session closed: %t; log %s", gone, log.String())
			}
			slow()
		})
	}
}

// newStuck opens a session that subscribes to a key and reads nothing from then on, until it is released.
func newStuck(t *testing.T, r *Router, key string) (release func()) {
	t.Helper()
	tr, err := transport.Dial(context.Background(), r.Locators()[0], transport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	resume, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = tr.Serve(context.Background(), func(wire.Network) error {
			<-resume
			return nil
		})
	}()
	if err := tr.Send(context.Background(), sub(1, key), transport.Delivery{QoS: wire.QoSDeclare}); err != nil {
		t.Fatal(err)
	}
	await(t, r, func(s Statistics) bool { return s.Subscribers == 1 })
	return func() {
		close(resume)
		tr.Abort(wire.CloseGeneric)
		<-ended
	}
}

func TestRow17LimitsEndFloods(t *testing.T) {
	limits := Limits{KeyLength: 100, Declarations: 50, Interests: 20, Memory: 1 << 20, Queries: 10}
	long := strings.Repeat("k", 101)
	for _, c := range []struct {
		name  string
		flood func(i uint32) wire.Network
	}{
		{"subscribers", func(i uint32) wire.Network { return sub(i, "k") }},
		{"tokens", func(i uint32) wire.Network { return token(i, fmt.Sprint("k", i)) }},
		{"key expressions", func(i uint32) wire.Network { return declareOf(wire.DeclareKeyExpr, i, fmt.Sprint("k", i)) }},
		{"interests", func(i uint32) wire.Network { return interestIn(i, wire.InterestFuture, wire.InterestTokens, "k") }},
		{"queries", func(i uint32) wire.Network { return get(i, "silent", wire.All) }},
		{"long publication", func(uint32) wire.Network { return putOf(long, "") }},
		{"long query", func(i uint32) wire.Network { return get(i, long, wire.All) }},
		{"long declaration", func(i uint32) wire.Network { return qabl(i, long) }},
		{"long interest", func(i uint32) wire.Network { return interestIn(i, wire.InterestCurrent, wire.InterestTokens, long) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log logged
			r := start(t, Config{Logger: logTo(&log), Limits: limits})
			silent, flood := dial(t, r, transport.Config{}), dial(t, r, transport.Config{})
			silent.say(qabl(1, "silent"))
			silent.sync()
			for i := uint32(1); i < 1000; i++ {
				if err := flood.Send(context.Background(), c.flood(i), transport.Delivery{QoS: wire.QoSDeclare}); err != nil {
					break
				}
			}
			_ = flood.waitEnd() // for the reason that it was told, or because the link broke while it was still talking
			await(t, r, func(s Statistics) bool {
				return s.Sessions == 1 && s.Interests == 0 && s.Pending == 0 && s.Subscribers+s.Tokens == 0
			})
			silent.say(putOf("k", "goes on"))
			await(t, r, func(Statistics) bool { return strings.Contains(log.String(), "session closed") })
			if err := silent.Err(); err != nil {
				t.Errorf("another session ended: %v", err)
			}
			if n := strings.Count(log.String(), "limit exceeded"); n != 1 || !strings.Contains(log.String(), "transport closed: invalid") {
				t.Errorf("log %s", log.String())
			}
		})
	}
}

// places counts those that sessions have, also while they are being opened.
func (r *Router) places() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.admitted)
}

func TestRow17MaxSessions(t *testing.T) {
	r := start(t, Config{Limits: Limits{Sessions: 2}})
	first := dial(t, r, transport.Config{})
	dial(t, r, transport.Config{})
	if _, err := tryDial(t, r.Locators()[0], transport.Config{}); !strings.Contains(fmt.Sprint(err), wire.CloseInvalid.String()) {
		t.Errorf("the third: %v", err)
	}
	first.hangUp()
	await(t, r, func(Statistics) bool { return r.places() == 1 })
	dial(t, r, transport.Config{}).sync()
}

func TestRow17Users(t *testing.T) {
	users := map[string]string{"alice": "secret"}
	r := start(t, Config{Transport: transport.Config{PasswordOf: func(u string) (string, bool) { p, ok := users[u]; return p, ok }}})
	for _, c := range []struct {
		user, password string
		ok             bool
	}{{"alice", "secret", true}, {"alice", "wrong", false}, {"bob", "secret", false}, {"", "", false}} {
		if got, err := tryDial(t, r.Locators()[0], transport.Config{User: c.user, Password: c.password}); (err == nil) != c.ok {
			t.Errorf("%q %q: %v", c.user, c.password, err)
		} else if c.ok {
			got.sync()
		}
	}
}
