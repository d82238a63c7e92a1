package zenoh

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// openPeer opens a peer without multicast that listens on loopback and connects to others.
func openPeer(t *testing.T, connect ...string) *Session {
	t.Helper()
	return openSession(t, peerConfig([]string{"tcp/127.0.0.1:0"}, connect))
}

func peerConfig(listen, connect []string) Config {
	return Config{
		Mode: Peer, Listen: ListenConfig{Endpoints: listen},
		Connect:  ConnectConfig{Endpoints: connect},
		Scouting: ScoutingConfig{Delay: patience, Multicast: MulticastConfig{Disabled: true}},
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it is not so that %s", what)
		}
	}
}

func TestPeers(t *testing.T) {
	for _, listen := range []string{"tcp/127.0.0.1:0", "inproc/" + t.Name(), "udp/127.0.0.1:0", "ws/127.0.0.1:0", "unixsock-stream/" + t.TempDir() + "/s"} {
		t.Run(listen[:3], func(t *testing.T) {
			one := openSession(t, peerConfig([]string{listen}, nil))
			two := openSession(t, peerConfig([]string{}, one.Locators()))
			exchange(t, one, two)
			exchange(t, two, one)
		})
	}
}

// exchange has b publish to a, ask a, and see a's token.
func exchange(t *testing.T, a, b *Session) {
	t.Helper()
	ctx := t.Context()
	sub := must(a.DeclareSubscriber(ctx, MustKeyExpr("data/*"), nil, nil))(t)
	qabl := must(a.DeclareQueryable(ctx, MustKeyExpr("ask/**"), Closure[*Query]{Call: func(q *Query) {
		if err := q.Reply(ctx, MustKeyExpr("ask/a"), append(q.Payload().Clone(), '!'), nil); err != nil {
			t.Error(err)
		}
	}}, &QueryableOptions{Complete: true}))(t)
	watch := must(b.Liveliness().DeclareSubscriber(ctx, MustKeyExpr("alive/*"), nil, &LivelinessSubscriberOptions{History: true}))(t)
	token := must(a.Liveliness().DeclareToken(ctx, MustKeyExpr("alive/a")))(t)
	if s := next(t, watch.Handler()); s.KeyExpr().String() != "alive/a" || s.Kind() != SampleKindPut {
		t.Errorf("got %s %s", s.Kind(), s.KeyExpr())
	}
	// What comes before in the lane of declarations is known by now.
	pub := must(b.DeclarePublisher(ctx, MustKeyExpr("data/b"), &PublisherOptions{CongestionControl: CongestionControlBlock}))(t)
	for i := range 100 {
		if err := pub.Put(ctx, fmt.Append(nil, i), nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		if s := next(t, sub.Handler()); s.Payload().String() != fmt.Sprint(i) || s.KeyExpr() != pub.KeyExpr() {
			t.Fatalf("got %s on %s, want %d", s.Payload(), s.KeyExpr(), i)
		}
	}
	eventually(t, "somebody matches", func() bool { return pub.MatchingStatus().Matching })
	r := next(t, must(b.Get(ctx, MustKeyExpr("ask/a"), "", nil, &GetOptions{Payload: []byte("x")}))(t))
	if r.Err() != nil || r.Sample().Payload().String() != "x!" || r.ReplierID() != qabl.ID() {
		t.Errorf("got %+v", r)
	}
	if err := token.Undeclare(ctx); err != nil {
		t.Error(err)
	}
	if s := next(t, watch.Handler()); s.KeyExpr().String() != "alive/a" || s.Kind() != SampleKindDelete {
		t.Errorf("got %s %s", s.Kind(), s.KeyExpr())
	}
	sub.Drop()
	qabl.Drop()
	watch.Drop()
	eventually(t, "nobody matches", func() bool { return !pub.MatchingStatus().Matching })
	pub.Drop()
}

func TestPeersGossip(t *testing.T) {
	one := openPeer(t)
	two, three := openPeer(t, one.Locators()...), openPeer(t, one.Locators()...)
	eventually(t, "all are connected", func() bool {
		return len(one.PeersZID()) == 2 && slices.Contains(two.PeersZID(), three.ZID()) && slices.Contains(three.PeersZID(), two.ZID())
	})
	exchange(t, two, three)
}

func TestPeersMulticast(t *testing.T) {
	config := peerConfig([]string{"tcp/127.0.0.1:0"}, nil)
	config.Scouting.Multicast = MulticastConfig{Address: "224.0.0.225:17447"}
	one := openSession(t, Config{
		Listen: config.Listen, Scouting: ScoutingConfig{Delay: time.Nanosecond, Multicast: config.Scouting.Multicast},
	})
	two := openSession(t, config)
	eventually(t, "they are connected", func() bool { return slices.Contains(one.PeersZID(), two.ZID()) })
	exchange(t, one, two)
}

func TestPeerReconnects(t *testing.T) {
	one := openPeer(t)
	two := openPeer(t, one.Locators()...)
	watch := must(two.Liveliness().DeclareSubscriber(t.Context(), MustKeyExpr("here/*"), nil, &LivelinessSubscriberOptions{History: true}))(t)
	must(one.Liveliness().DeclareToken(t.Context(), MustKeyExpr("here/one")))(t)
	next(t, watch.Handler())
	(*one.faces.Load())[0].t.Abort(0)
	if s := next(t, watch.Handler()); s.Kind() != SampleKindDelete {
		t.Errorf("got %s of %s", s.Kind(), s.KeyExpr())
	}
	if s := next(t, watch.Handler()); s.Kind() != SampleKindPut {
		t.Errorf("got %s of %s", s.Kind(), s.KeyExpr())
	}
	exchange(t, one, two)
}

// TestPeerWithClient has a client of a peer, which is told of what the peer declares and no more.
func TestPeerWithClient(t *testing.T) {
	peer := openPeer(t)
	client := openClient(t, peer.Locators()[0])
	exchange(t, peer, client)
	exchange(t, client, peer)
	other := openClient(t, peer.Locators()[0])
	ctx := t.Context()
	pub := must(client.DeclarePublisher(ctx, MustKeyExpr("x/a"), nil))(t)
	listener := must(pub.DeclareMatchingListener(nil))(t)
	must(other.DeclareSubscriber(ctx, MustKeyExpr("x/*"), nil, nil))(t)
	settle(t, other)
	settle(t, client)
	if pub.MatchingStatus().Matching {
		t.Error("the peer routes")
	}
	for range 2 {
		one, two := must(peer.DeclareSubscriber(ctx, MustKeyExpr("x/*"), nil, nil))(t), must(peer.DeclareSubscriber(ctx, MustKeyExpr("x/**"), nil, nil))(t)
		if !next(t, listener.Handler()).Matching {
			t.Error("nobody is there")
		}
		if err := pub.Put(ctx, []byte("1"), nil); err != nil {
			t.Fatal(err)
		}
		next(t, one.Handler())
		next(t, two.Handler())
		one.Drop()
		settle(t, client)
		if !pub.MatchingStatus().Matching {
			t.Error("the second one is there")
		}
		two.Drop()
		if next(t, listener.Handler()).Matching {
			t.Error("somebody is there")
		}
	}
	must(peer.Liveliness().DeclareToken(ctx, MustKeyExpr("t/a")))(t)
	gone := must(peer.Liveliness().DeclareToken(ctx, MustKeyExpr("t/gone")))(t)
	if got, err := textsOf(t, must(client.Liveliness().Get(ctx, MustKeyExpr("t/*"), nil, nil))(t)); len(got) != 2 || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	watch := must(client.Liveliness().DeclareSubscriber(ctx, MustKeyExpr("t/*"), nil, nil))(t)
	settle(t, client)
	gone.Drop()
	if s := next(t, watch.Handler()); s.Kind() != SampleKindDelete || s.KeyExpr() != gone.KeyExpr() {
		t.Errorf("got %s %s", s.Kind(), s.KeyExpr())
	}
}
