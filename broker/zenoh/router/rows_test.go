package router

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// The tests TestRow… are the rows of the router's checklist in the specification of the protocol (11.3), by number; interop_test.go has those that
// need the native implementation.

func TestRow01HandshakeEchoesOnlyWhatIsKnown(t *testing.T) {
	r := start(t, Config{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.Locators()[0], "tcp/"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	link := transport.NewStreamLink(conn)
	// QoS, Shm, LowLatency, Compression, an unknown one, and patch 9.
	syn := []byte{0, 0, 0x81, 0x09, 0x32, 1, 2, 3, 4, 0x81, 0xc2, 1, 7, 0x85, 0x86, 0xac, 5, 0x27, 9}
	if err := link.WriteBatch(syn); err != nil {
		t.Fatal(err)
	}
	b, err := link.ReadBatch(time.Now().Add(patience))
	if err != nil {
		t.Fatal(err)
	}
	id := r.ZID().Bytes()
	want := append([]byte{0xa1, 0x09, byte(len(id)-1) << 4}, id...)
	if !bytes.HasPrefix(b, want) || !bytes.HasSuffix(b, []byte{0x81, 0x27, 0x01}) {
		t.Errorf("InitAck % x, want % x, a cookie, QoS and patch 1", b, want)
	}
}

func TestRow02OneCopyPerFaceNoEcho(t *testing.T) {
	r := start(t, Config{})
	a, b, c := dial(t, r, transport.Config{}), dial(t, r, transport.Config{}), dial(t, r, transport.Config{})
	a.say(sub(1, "demo/**"))
	a.sync()
	b.say(sub(1, "demo/*"), sub(2, "demo/a"), sub(3, "**"), sub(4, "demo/a"))
	b.sync()
	c.say(sub(1, "other/**"))
	c.sync()
	a.say(putOf("demo/a", "one"), putOf("demo/b/c", "two"), putOf("other/x", "three"), putOf("demo/a", "four"))
	a.sync()
	b.hears("put demo/a one", "put demo/b/c two", "put other/x three", "put demo/a four")
	c.hears("put other/x three")
	b.say(undeclare(wire.UndeclareSubscriber, 3), undeclare(wire.UndeclareSubscriber, 2))
	b.sync()
	a.say(putOf("demo/b/c", "five"), putOf("demo/a", "six"), &wire.Push{Key: wire.Key("demo/*"), QoS: wire.QoSDeclare, Data: wire.Data{Delete: true}})
	b.hears("put demo/a six", "del demo/*")
	a.say(putOf("demo//a", "bad"), &wire.Push{Key: wire.WireExpr{Scope: 7}, QoS: wire.QoSDeclare}, putOf("demo/z", "after"))
	b.hears("put demo/z after")
}

func TestRow02KeysByNumber(t *testing.T) {
	r := start(t, Config{})
	a, b := dial(t, r, transport.Config{}), dial(t, r, transport.Config{})
	b.say(declareOf(wire.DeclareKeyExpr, 1, "demo"), &wire.Declare{
		Kind: wire.DeclareSubscriber, ID: 1, Key: wire.WireExpr{Scope: 1, Suffix: []byte("/**")}, QoS: wire.QoSDeclare,
	})
	b.sync()
	a.say(declareOf(wire.DeclareKeyExpr, 5, "demo/a"), declareOf(wire.DeclareKeyExpr, 5, "other")) // the second has no effect
	numbered := func(suffix, payload string) *wire.Push {
		m := putOf(suffix, payload)
		m.Key.Scope = 5
		return m
	}
	a.say(numbered("", "one"), numbered("bc", "two"), numbered("/d", "three"), undeclare(wire.UndeclareKeyExpr, 5), numbered("", "lost"), putOf("demo/e", "four"))
	b.hears("put demo/a one", "put demo/abc two", "put demo/a/d three", "put demo/e four")
}

func TestRow03WriteSideFilter(t *testing.T) {
	r := start(t, Config{})
	publisher, subscriber := dial(t, r, transport.Config{NoQoS: true}), dial(t, r, transport.Config{})
	aggregate := wire.InterestSubscribers | wire.InterestKeyExprs | wire.InterestAggregate
	publisher.say(declareOf(wire.DeclareKeyExpr, 1, "demo"))
	publisher.say(&wire.Interest{
		ID: 7, Mode: wire.InterestCurrentFuture, Options: aggregate, Restricted: true, Key: wire.WireExpr{Scope: 1, Suffix: []byte("/a")},
	})
	publisher.hears("answer 7: final")
	subscriber.say(sub(1, "demo/**"))
	publisher.hears("sub 1 demo/a")
	subscriber.say(sub(2, "demo/a"), sub(3, "*/a"), undeclare(wire.UndeclareSubscriber, 1), undeclare(wire.UndeclareSubscriber, 2))
	subscriber.sync()
	publisher.sync() // heard nothing of all that
	subscriber.say(undeclare(wire.UndeclareSubscriber, 3))
	publisher.hears("no sub 1")
	subscriber.say(sub(4, "**"))
	publisher.hears("sub 2 demo/a")
	publisher.say(interestIn(8, wire.InterestCurrentFuture, aggregate, "demo/a")) // a second publisher
	publisher.hears("answer 8: sub 2 demo/a", "answer 8: final")
	publisher.say(&wire.Interest{ID: 7, Mode: wire.InterestFinal})
	publisher.sync()
	subscriber.hangUp()
	publisher.hears("no sub 2")
}

func TestRow04QueryTargets(t *testing.T) {
	r := start(t, Config{})
	asker, one, two := dial(t, r, transport.Config{}), dial(t, r, transport.Config{}), dial(t, r, transport.Config{})
	asker.say(get(1, "q/a", wire.BestMatching), get(2, "q//", wire.All), &wire.Request{ID: 3, Key: wire.WireExpr{Scope: 9}, QoS: wire.QoSDeclare})
	asker.hears("final 1", "final 2", "final 3")
	asker.say(complete(1, "q/**"), get(4, "q/a", wire.All)) // its own queryable is not asked
	asker.hears("final 4")
	one.say(qabl(1, "q/*"), qabl(2, "q/a"), complete(3, "q/b"))
	one.sync()
	asker.say(get(5, "q/a", wire.BestMatching)) // nobody is complete: all; one request though two match
	one.hears("request 1 q/a")
	one.say(declareOf(wire.DeclareKeyExpr, 1, "q"))
	scoped := replyOf(1, "/a", "x")
	scoped.Key.Scope = 1
	one.say(scoped, &wire.Response{ID: 1, QoS: wire.QoSDeclare, IsErr: true, Err: wire.ReplyErr{Payload: []byte("oops")}}, final(1), final(1))
	asker.hears("reply 5 q/a x", "error 5  oops", "final 5")
	two.say(complete(1, "q/**"))
	two.sync()
	asker.say(get(6, "q/a", wire.BestMatching), get(7, "q/a", wire.AllComplete), get(8, "q/a", wire.All), get(9, "q/*", wire.BestMatching))
	two.hears("request 1 q/a", "request 2 q/a", "request 3 q/a", "request 4 q/*")
	one.hears("request 2 q/a")
	two.say(replyOf(3, "q/a", "y"), final(1), final(2), final(3), final(4))
	asker.hears("reply 8 q/a y", "final 6", "final 7", "final 9")
	one.say(replyOf(2, "q/a", "z"), final(2))
	asker.hears("reply 8 q/a z", "final 8")
	two.say(&wire.Declare{Kind: wire.DeclareQueryable, ID: 1, Key: wire.Key("q/**"), QoS: wire.QoSDeclare}) // complete no more
	two.sync()
	asker.say(get(10, "q/a", wire.AllComplete))
	asker.hears("final 10")
}

func TestRow04NearestIsAsked(t *testing.T) {
	r := start(t, Config{})
	asker, far, near := dial(t, r, transport.Config{}), dial(t, r, transport.Config{}), dial(t, r, transport.Config{})
	for distance, c := range map[uint16]*client{5: far, 2: near} {
		m := complete(1, "q/**")
		m.Queryable.Distance = distance
		c.say(m)
		c.sync()
	}
	asker.say(get(1, "q/a", wire.BestMatching))
	near.hears("request 1 q/a")
	far.sync()
}

func TestRow05QueriesEnd(t *testing.T) {
	r := start(t, Config{})
	asker, one, two := dial(t, r, transport.Config{}), dial(t, r, transport.Config{}), dial(t, r, transport.Config{})
	for _, c := range []*client{one, two} {
		c.say(qabl(1, "q/**"))
		c.sync()
	}
	asker.say(get(1, "q/a", wire.All))
	one.hears("request 1 q/a")
	two.hears("request 1 q/a")
	two.say(final(1))
	two.sync()
	one.hangUp() // in the middle
	asker.hears("final 1")

	slow := get(2, "q/a", wire.All)
	slow.Timeout = 20 * time.Millisecond
	asker.say(slow)
	two.hears("request 2 q/a")
	asker.hears("error 2  Timeout", "final 2")
	two.say(replyOf(2, "q/a", "late"), final(2))
	two.sync()
	asker.sync()

	asker.say(get(3, "q/a", wire.All))
	two.hears("request 3 q/a")
	asker.hangUp()
	await(t, r, func(s Statistics) bool { return s.Sessions == 1 })
	two.say(replyOf(3, "q/a", "nobody"), final(3))
	two.sync()
	if s := r.Statistics(); s.Pending != 0 || s.Dropped["late"] != 2 || s.Timeouts != 1 {
		t.Errorf("got %+v", s)
	}
}

func TestRow06EndOfSessionRetractsOnce(t *testing.T) {
	r := start(t, Config{})
	watcher, a := dial(t, r, transport.Config{}), dial(t, r, transport.Config{})
	watcher.say(interestIn(1, wire.InterestCurrentFuture, wire.InterestSubscribers|wire.InterestQueryables|wire.InterestTokens, ""))
	watcher.hears("answer 1: final")
	a.say(sub(1, "a"), sub(2, "a"), complete(1, "a"), qabl(2, "a"), token(1, "a"), token(2, "b"))
	watcher.hears("sub 1 a", "qabl 2 a complete", "token 3 a", "token 4 b")
	a.say(undeclare(wire.UndeclareQueryable, 1), undeclare(wire.UndeclareSubscriber, 1), undeclare(wire.UndeclareSubscriber, 77))
	watcher.hears("qabl 2 a")
	a.hangUp()
	watcher.hearsAll("no sub 1", "no qabl 2", "no token 3", "no token 4")
	watcher.sync()
	if s := r.Statistics(); s.Subscribers+s.Queryables+s.Tokens != 0 || s.Sessions != 1 {
		t.Errorf("got %+v", s)
	}
}

func TestRow07InterestMatrix(t *testing.T) {
	kindNames := [kinds]string{"sub", "qabl", "token"}
	for k := range kinds {
		for mode := wire.InterestCurrent; mode <= wire.InterestCurrentFuture; mode++ {
			for _, restricted := range []bool{false, true} {
				for _, aggregate := range []bool{false, true} {
					name := fmt.Sprintf("%s mode=%d restricted=%t aggregate=%t", kindNames[k], mode, restricted, aggregate)
					t.Run(name, func(t *testing.T) { interestCase(t, k, kindNames[k], mode, restricted, aggregate) })
				}
			}
		}
	}
}

func interestCase(t *testing.T, k kind, name string, mode wire.InterestMode, restricted, aggregate bool) {
	r := start(t, Config{})
	asker, other := dial(t, r, transport.Config{NoQoS: true}), dial(t, r, transport.Config{})
	asker.say(declareOf(declares[k], 1, "x/mine")) // never told
	asker.sync()
	for i, key := range []string{"x/a", "x/b", "x/a", "y"} {
		other.say(declareOf(declares[k], uint32(i+1), key))
	}
	other.sync()
	key, opts := "", options[k]
	if restricted {
		key = "x/*"
	}
	if aggregate {
		opts |= wire.InterestAggregate
	}
	asker.say(interestIn(5, mode, opts, key))
	combined := restricted && aggregate

	var current []string
	switch {
	case combined:
		current = []string{"x/*"}
	case restricted:
		current = []string{"x/a", "x/b"}
	default:
		current = []string{"x/a", "x/b", "y"}
	}
	ids := map[string]string{}
	if mode != wire.InterestFuture {
		for range current {
			text := <-asker.heard
			var id int
			var got string
			if _, err := fmt.Sscanf(text, "answer 5: "+name+" %d %s", &id, &got); err != nil || id == 0 || !slices.Contains(current, got) {
				t.Fatalf("heard %q, want one of %q", text, current)
			}
			for _, other := range ids {
				if other == fmt.Sprint(id) {
					t.Errorf("id %d twice", id)
				}
			}
			ids[got] = fmt.Sprint(id)
		}
		if len(ids) != len(current) {
			t.Errorf("heard of %v, want %q", ids, current)
		}
		asker.hears("answer 5: final")
	}
	asker.sync()

	other.say(declareOf(declares[k], 10, "x/new"), declareOf(declares[k], 11, "x/new"), undeclare(undeclares[k], 1), undeclare(undeclares[k], 11))
	other.say(undeclare(undeclares[k], 10), undeclare(undeclares[k], 3))
	other.sync()
	switch {
	case mode == wire.InterestCurrent, combined: // x/b is still there
	case mode == wire.InterestFuture: // what it was never told of is not taken back
		heard := <-asker.heard
		id := strings.Fields(heard)[1]
		if heard != name+" "+id+" x/new" {
			t.Fatalf("heard %q", heard)
		}
		asker.hears("no " + name + " " + id)
	default:
		next := fmt.Sprint(len(current) + 1)
		asker.hears(name+" "+next+" x/new", "no "+name+" "+next, "no "+name+" "+ids["x/a"])
	}
	asker.sync()
	if combined && mode != wire.InterestCurrent {
		other.say(undeclare(undeclares[k], 2))
		if mode == wire.InterestCurrentFuture {
			asker.hears("no " + name + " " + ids["x/*"])
		}
		other.say(declareOf(declares[k], 20, "x/c"))
		heard := <-asker.heard
		if !strings.HasPrefix(heard, name+" ") || !strings.HasSuffix(heard, " x/*") {
			t.Fatalf("heard %q", heard)
		}
	}
	asker.say(&wire.Interest{ID: 5, Mode: wire.InterestFinal})
	asker.sync()
	other.say(declareOf(declares[k], 30, "x/late"))
	other.hangUp()
	asker.sync() // nothing after the end of the interest
}

func TestRow08Tokens(t *testing.T) {
	r := start(t, Config{})
	a, b, pico := dial(t, r, transport.Config{}), dial(t, r, transport.Config{}), dial(t, r, transport.Config{NoQoS: true})
	a.say(token(1, "group/a"), token(2, "group/b"))
	a.sync()
	pico.say(interestIn(1, wire.InterestCurrent, wire.InterestTokens, "group/**"))
	var heard [2]string
	for i := range heard { // different ids, in either order
		heard[i] = <-pico.heard
	}
	slices.Sort(heard[:])
	for i, id := range []string{"1", "2"} {
		if !strings.HasPrefix(heard[i], "answer 1: token "+id+" group/") {
			t.Errorf("heard %q", heard)
		}
	}
	pico.hears("answer 1: final")
	for _, c := range []*client{b, pico} {
		c.say(interestIn(2, wire.InterestFuture, wire.InterestTokens, "group/**"), token(9, "group/own"))
		c.sync()
	}
	a.say(undeclare(wire.UndeclareToken, 1))
	end := <-b.heard
	if strings.HasSuffix(end, " group/own") { // that of pico
		end = <-b.heard
	}
	if !strings.HasPrefix(end, "no token ") || !strings.HasSuffix(end, " group/a") {
		t.Errorf("heard %q, want the end of a token of before, with its key", end)
	}
	pico.sync() // would close its session on that
}

func TestRow09SameKeyOfTwo(t *testing.T) {
	for k := range kinds {
		r := start(t, Config{})
		a, b := dial(t, r, transport.Config{}), dial(t, r, transport.Config{})
		b.say(interestIn(1, wire.InterestFuture, options[k], "k"))
		b.sync()
		a.say(declareOf(declares[k], 1, "k"))
		name := [kinds]string{"sub", "qabl", "token"}[k]
		b.hears(name + " 1 k")
		b.say(declareOf(declares[k], 1, "k"))
		b.sync()
		a.say(undeclare(undeclares[k], 1))
		b.hears("no " + name + " 1")
		b.say(undeclare(undeclares[k], 1))
		b.sync()
	}
}

func TestRow10Timestamps(t *testing.T) {
	r := start(t, Config{})
	stamps := make(chan wire.Data, 10)
	sink, err := transport.Dial(context.Background(), r.Locators()[0], transport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = sink.Serve(context.Background(), func(m wire.Network) error {
			if p, ok := m.(*wire.Push); ok {
				d := p.Data
				d.Payload, d.Extra, d.Attachment = bytes.Clone(d.Payload), slices.Clone(d.Extra), bytes.Clone(d.Attachment)
				stamps <- d
			}
			return nil
		})
	}()
	defer func() { sink.Abort(wire.CloseGeneric); <-ended }()
	if err := sink.Send(context.Background(), sub(1, "**"), transport.Delivery{QoS: wire.QoSDeclare}); err != nil {
		t.Fatal(err)
	}
	await(t, r, func(s Statistics) bool { return s.Subscribers == 1 })
	a := dial(t, r, transport.Config{})
	mine := wire.NewZID()
	at := func(d time.Duration) wire.Timestamp {
		return wire.Timestamp{Time: wire.NTP64(time.Now().Add(d)), ID: mine}
	}
	old, ahead, far := at(-time.Hour), at(300*time.Millisecond), at(time.Minute)
	for _, stamp := range []wire.Timestamp{{}, old, ahead, far, {}} {
		for _, del := range []bool{false, true} {
			m := putOf("k", "payload")
			m.Data.Timestamp, m.Data.Delete, m.Data.Attachment = stamp, del, []byte("att")
			m.Data.Extra = []wire.Extension{{ID: 0x2d, Value: 5}}
			if del {
				m.Data.Payload = nil
			}
			a.say(m)
		}
	}
	var last wire.Timestamp
	for i, want := range []wire.Timestamp{{}, {}, old, old, ahead, ahead, {}, {}, {}, {}} {
		d := <-stamps
		switch {
		case !want.IsZero() && d.Timestamp != want:
			t.Errorf("%d: stamp %v, want %v", i, d.Timestamp, want)
		case want.IsZero() && (d.Timestamp.ID != r.ZID() || d.Timestamp.Compare(last) <= 0):
			t.Errorf("%d: stamp %v of %v, want one of the router after %v", i, d.Timestamp.When(), d.Timestamp.ID, last.When())
		}
		if want != old {
			last = d.Timestamp
		}
		if string(d.Attachment) != "att" || len(d.Extra) != 1 || !d.Delete && string(d.Payload) != "payload" {
			t.Errorf("%d: got %+v", i, d)
		}
	}
}

func TestRow12LeaseExpiresAndTheClientComesBack(t *testing.T) {
	var log logged
	r := start(t, Config{Logger: logTo(&log)})
	watcher := dial(t, r, transport.Config{})
	watcher.say(interestIn(1, wire.InterestFuture, wire.InterestTokens, ""))
	watcher.sync()
	link, err := transport.DialLink(context.Background(), r.Locators()[0], transport.LinkConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	zid := wire.NewZID()
	frozen, err := transport.Open(context.Background(), link, transport.Config{ZID: zid, Lease: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_ = frozen // it never runs: says nothing, reads nothing, and its connection stays
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		back, err := tryDial(t, r.Locators()[0], transport.Config{ZID: zid})
		if err == nil {
			back.sync()
			break
		}
		var closed *transport.CloseError
		if !errors.As(err, &closed) || closed.Reason != wire.CloseMaxLinks {
			t.Fatalf("while the old session lives: %v", err)
		}
		if time.Now().After(deadline) {
			t.Fatal("the old session does not expire")
		}
	}
	await(t, r, func(Statistics) bool { return strings.Contains(log.String(), "lease expired") })
}

func TestRow13BadPeers(t *testing.T) {
	var log logged
	r := start(t, Config{Logger: logTo(&log)})
	good := dial(t, r, transport.Config{})
	reasonFor := func(config transport.Config) wire.CloseReason {
		t.Helper()
		_, err := tryDial(t, r.Locators()[0], config)
		var closed *transport.CloseError
		if !errors.As(err, &closed) {
			t.Fatalf("got %v, want to be refused", err)
		}
		return closed.Reason
	}
	zid := wire.NewZID()
	twin := dial(t, r, transport.Config{ZID: zid})
	if got := reasonFor(transport.Config{ZID: zid}); got != wire.CloseMaxLinks {
		t.Errorf("same id: %v", got)
	}
	if got := reasonFor(transport.Config{ZID: zid, WhatAmI: wire.Peer}); got != wire.CloseInvalid {
		t.Errorf("same id, other role: %v", got)
	}
	if got := reasonFor(transport.Config{ZID: r.ZID()}); got != wire.CloseConnectionToSelf {
		t.Errorf("own id: %v", got)
	}
	if got := reasonFor(transport.Config{WhatAmI: wire.Router}); got != wire.CloseUnsupported {
		t.Errorf("router: %v", got)
	}
	twin.hangUp()
	await(t, r, func(Statistics) bool { return r.places() == 1 })
	back := dial(t, r, transport.Config{ZID: zid})
	back.sync()

	conn, err := net.Dial("tcp", strings.TrimPrefix(r.Locators()[0], "tcp/"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	link := transport.NewStreamLink(conn)
	tr, err := transport.Open(context.Background(), link, transport.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := link.WriteBatch([]byte{0, 0, 0xff, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	if err := tr.Serve(context.Background(), func(wire.Network) error { return nil }); !strings.Contains(err.Error(), wire.CloseInvalid.String()) {
		t.Errorf("after garbage: %v", err)
	}
	good.sync()
	await(t, r, func(Statistics) bool { return strings.Count(log.String(), "session closed") == 2 })
	if n := strings.Count(log.String(), "level=WARN msg=\"session closed\""); n != 1 {
		t.Errorf("%d warnings, want one: %s", n, log.String())
	}
}

func TestRow14FragmentsBetweenSizes(t *testing.T) {
	r := start(t, Config{})
	large, small := dial(t, r, transport.Config{}), dial(t, r, transport.Config{BatchSize: 2048})
	for _, c := range []*client{large, small} {
		c.say(sub(1, "**"))
		c.sync()
	}
	for _, size := range []int{100, 3000, 65_500, 70_000, 1_000_000} {
		m := putOf("k", strings.Repeat("x", size))
		large.say(m, putOf("k", "after"))
		small.hears(fmt.Sprintf("put k (%d bytes)", size), "put k after")
		small.say(m, putOf("k", "after"))
		large.hears(fmt.Sprintf("put k (%d bytes)", size), "put k after")
	}
	// Queries and replies take the same way.
	small.say(qabl(1, "q"))
	small.sync()
	query := get(1, "q", wire.All)
	query.Query.Payload = make([]byte, 200_000)
	large.say(query)
	small.hears("request 1 q")
	small.say(replyOf(1, "q", strings.Repeat("y", 200_000)), final(1))
	large.hears("reply 1 q (200000 bytes)", "final 1")
}

func TestRow15NodeIDStaysAndExtensionsGoOn(t *testing.T) {
	r := start(t, Config{})
	a, b := dial(t, r, transport.Config{}), dial(t, r, transport.Config{})
	b.say(sub(1, "**"), qabl(1, "**"))
	b.sync()
	m := putOf("k", "x")
	m.NodeID = 3
	q := get(1, "k", wire.All)
	q.NodeID = 3
	a.say(m, q, &wire.Declare{Kind: wire.DeclareSubscriber, ID: 1, Key: wire.Key("n"), NodeID: 3, QoS: wire.QoSDeclare})
	b.hears("put k x", "request 1 k") // describe shows a node id
}
