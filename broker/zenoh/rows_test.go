package zenoh

// The tests of this file are the rows of the checklist for clients in the specification of the protocol, 11.2, by number. Rows that are those of
// the transport have their tests there (1, 8 to 11, 16 to 18), except for what a session makes of them.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

func TestRow01Refused(t *testing.T) {
	l := must(transport.ListenLink(t.Context(), "inproc/"+t.Name(), transport.LinkConfig{}))(t)
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		link, err := l.Accept()
		if err == nil {
			_, _ = transport.Accept(context.Background(), link, transport.Config{
				WhatAmI: Router, Admit: func(transport.Peer) error { return &transport.CloseError{Reason: wire.CloseMaxSessions} },
			})
		}
	}()
	_, err := Open(t.Context(), Config{Mode: Client, Connect: ConnectConfig{Endpoints: []string{l.Endpoint()}}})
	if e, ok := errors.AsType[*transport.CloseError](err); !ok || e.Reason != wire.CloseMaxSessions {
		t.Errorf("got %v", err)
	}
	<-done
	if _, err := Open(t.Context(), Config{Mode: Client, Connect: ConnectConfig{Endpoints: []string{"inproc/nobody"}}}); err == nil {
		t.Error("connected to nobody")
	}
}

func TestRow02Leases(t *testing.T) {
	config := Config{Mode: Client}
	config.Transport.Lease = 200 * time.Millisecond
	s, n := dialNode(t, config, transport.Config{Lease: 200 * time.Millisecond})
	events := must(s.DeclareTransportEventsListener(nil, &TransportEventsListenerOptions{History: true}))(t)
	if e := next(t, events.Handler()); e.Kind != SampleKindPut || e.ZID != n.tr.Peer().ZID && e.WhatAmI != Router {
		t.Errorf("got %+v", e)
	}
	select {
	case e := <-events.Handler():
		t.Fatalf("an idle session got %+v", e)
	case <-time.After(4 * config.Transport.Lease):
	}
	n.tr.Abort(wire.CloseExpired)
	e := next(t, events.Handler())
	if closed, ok := errors.AsType[*transport.CloseError](e.Err); e.Kind != SampleKindDelete || !ok || closed.Reason != wire.CloseExpired {
		t.Errorf("got %+v", e)
	}
}

func TestRow03Put(t *testing.T) {
	s := star(t, 2)
	ctx := t.Context()
	sub := must(s[1].DeclareSubscriber(ctx, MustKeyExpr("a/*"), nil, nil))(t)
	settle(t, s[1])
	stamp := s[0].NewTimestamp()
	source := SourceInfo{ID: EntityGlobalID{ZID: s[0].ZID(), EID: 7}, SN: 9}
	if err := s[0].Put(ctx, MustKeyExpr("a/b"), []byte("v"), &PutOptions{
		Encoding: EncodingApplicationJSON.WithSchema("s"), Attachment: []byte("at"), Timestamp: stamp, SourceInfo: source,
		Priority: PriorityInteractiveHigh, CongestionControl: CongestionControlBlock, Express: true,
	}); err != nil {
		t.Fatal(err)
	}
	got := next(t, sub.Handler())
	if got.KeyExpr() != MustKeyExpr("a/b") || got.Kind() != SampleKindPut || got.Payload().String() != "v" ||
		got.Encoding().String() != "application/json;s" || got.Attachment().String() != "at" || got.Timestamp() != stamp ||
		got.SourceInfo() != source || got.Priority() != PriorityInteractiveHigh || !got.Express() || got.CongestionControl() != CongestionControlBlock {
		t.Errorf("got %+v", got)
	}
	if err := s[0].Delete(ctx, MustKeyExpr("a/b"), &DeleteOptions{Attachment: []byte("gone"), Reliability: ReliabilityBestEffort}); err != nil {
		t.Fatal(err)
	}
	got = next(t, sub.Handler())
	if got.Kind() != SampleKindDelete || got.Payload() != nil || got.Attachment().String() != "gone" || got.Timestamp().IsZero() {
		t.Errorf("got %+v", got)
	}
}

func TestRow04Subscribe(t *testing.T) {
	s, n := dialNode(t, client, transport.Config{})
	ctx := t.Context()
	subs := map[string]*Subscriber{}
	for _, key := range []string{"**", "a/*", "a/b$*", "a/bc", "a/@v", "c"} {
		subs[key] = must(s.DeclareSubscriber(ctx, MustKeyExpr(key), nil, nil))(t)
		if d := hear[*wire.Declare](n); d.Kind != wire.DeclareSubscriber || string(d.Key.Suffix) != key || d.QoS != wire.QoSDeclare {
			t.Errorf("%s: heard %+v", key, d)
		}
	}
	expect := func(payload string, keys ...string) {
		t.Helper()
		for key, sub := range subs {
			switch {
			case !slices.Contains(keys, key):
				if len(sub.Handler()) > 0 {
					t.Errorf("%s got %+v", key, <-sub.Handler())
				}
			default:
				if got := next(t, sub.Handler()); got.Payload().String() != payload {
					t.Errorf("%s got %s", key, got.Payload())
				}
			}
		}
	}
	n.say(push(wire.Key("a/bc"), "1"))
	expect("1", "**", "a/*", "a/b$*", "a/bc")
	n.say(push(wire.Key("a/@v"), "2"))
	expect("2", "a/@v")
	if err := subs["a/bc"].Undeclare(ctx); err != nil {
		t.Fatal(err)
	}
	if d := hear[*wire.Declare](n); d.Kind != wire.UndeclareSubscriber {
		t.Errorf("heard %+v", d)
	}
	if err := subs["a/bc"].Undeclare(ctx); err != nil {
		t.Errorf("again: %v", err)
	}
	delete(subs, "a/bc")
	n.say(push(wire.Key("a/bc"), "3"))
	expect("3", "**", "a/*", "a/b$*")
	n.say(push(wire.Key("a//no key"), "4"), push(wire.Key("c"), "5")) // what is malformed is skipped
	expect("5", "**", "c")
}

func TestRow05Mapping(t *testing.T) {
	s, n := dialNode(t, client, transport.Config{})
	ctx := t.Context()
	sub := must(s.DeclareSubscriber(ctx, MustKeyExpr("demo/**"), nil, nil))(t)
	if _, err := s.DeclareKeyExpr(ctx, MustKeyExpr("demo/x")); err != nil {
		t.Fatal(err)
	}
	var ours *wire.Declare
	for ours = hear[*wire.Declare](n); ours.Kind != wire.DeclareKeyExpr; ours = hear[*wire.Declare](n) {
	}
	if err := s.Put(ctx, MustKeyExpr("demo/x"), []byte("out"), nil); err != nil {
		t.Fatal(err)
	}
	if m := hear[*wire.Push](n); m.Key.Scope != uint16(ours.ID) || m.Key.Mapping != wire.Sender || len(m.Key.Suffix) > 0 {
		t.Errorf("heard %+v", m.Key)
	}
	if got := next(t, sub.Handler()); got.Payload().String() != "out" {
		t.Errorf("got %+v", got)
	}
	mine := func(suffix string) wire.WireExpr {
		return wire.WireExpr{Scope: uint16(ours.ID), Mapping: wire.Receiver, Suffix: []byte(suffix)}
	}
	theirs := func(id uint16, suffix string) wire.WireExpr { return wire.WireExpr{Scope: id, Suffix: []byte(suffix)} }
	n.say(
		push(mine("/a"), "1"), push(mine(""), "2"), push(theirs(9, "/no"), "unknown"),
		declare(wire.DeclareKeyExpr, 7, "demo/y"), push(theirs(7, "z/a"), "3"), push(theirs(7, ""), "4"), push(theirs(7, ""), "5"),
		declare(wire.UndeclareKeyExpr, 7, ""), push(theirs(7, ""), "gone"), push(mine("/b"), "6"), push(wire.Key("demo"), "7"),
		declare(wire.DeclareKeyExpr, 7, "demo/w"), push(theirs(7, ""), "8"),
	)
	for _, want := range []string{"demo/x/a=1", "demo/x=2", "demo/yz/a=3", "demo/y=4", "demo/y=5", "demo/x/b=6", "demo=7", "demo/w=8"} {
		if got := next(t, sub.Handler()); got.KeyExpr().String()+"="+got.Payload().String() != want {
			t.Errorf("got %s=%s, want %s", got.KeyExpr(), got.Payload(), want)
		}
	}
	if err := s.UndeclareKeyExpr(ctx, MustKeyExpr("demo/x")); err != nil {
		t.Fatal(err)
	}
	if d := hear[*wire.Declare](n); d.Kind != wire.UndeclareKeyExpr || d.ID != ours.ID {
		t.Errorf("heard %+v", d)
	}
	n.say(push(mine("/late"), "9")) // it was on its way
	if got := next(t, sub.Handler()); got.KeyExpr().String() != "demo/x/late" {
		t.Errorf("got %s", got.KeyExpr())
	}
	if err := s.UndeclareKeyExpr(ctx, MustKeyExpr("demo/x")); !errors.Is(err, ErrUndeclared) {
		t.Errorf("got %v", err)
	}
}

// repliesOf are replies on n keys, once at each time; those of the newer time have the number of the key.
func repliesOf(id uint32, n int, times ...uint64) (list []wire.Network) {
	for _, at := range times {
		for i := range n {
			value := "old"
			if at == slices.Max(times) {
				value = fmt.Sprint(i)
			}
			list = append(list, response(id, fmt.Sprintf("k/%02d", i), value, at))
		}
	}
	return list
}

// newestOf are the newest of those.
func newestOf(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("k/%02d=%d", i, i))
	}
	return list
}

func TestRow06Get(t *testing.T) {
	old, newer := uint64(1)<<32, uint64(2)<<32
	errReply := func(id uint32) *wire.Response {
		return &wire.Response{ID: id, IsErr: true, Err: wire.ReplyErr{Encoding: EncodingZenohString.wire(), Payload: []byte("oops")}}
	}
	for name, c := range map[string]struct {
		parameters Parameters
		o          GetOptions
		replies    func(id uint32) []wire.Network
		want       []string
		err        string
	}{
		"none":      {replies: func(uint32) []wire.Network { return nil }},
		"one":       {replies: func(id uint32) []wire.Network { return []wire.Network{response(id, "k/a", "1", 0)} }, want: []string{"k/a=1"}},
		"error":     {replies: func(id uint32) []wire.Network { return []wire.Network{errReply(id)} }, err: "get: error reply: oops"},
		"wild key":  {replies: func(id uint32) []wire.Network { return []wire.Network{response(id, "k/*", "1", 0)} }, want: []string{"k/*=1"}},
		"other key": {replies: func(id uint32) []wire.Network { return []wire.Network{response(id, "x", "1", 0)} }},
		"_anyke":    {parameters: "a;_anyke", replies: func(id uint32) []wire.Network { return []wire.Network{response(id, "x", "1", 0)} }, want: []string{"x=1"}},
		"latest": {replies: func(id uint32) []wire.Network {
			return []wire.Network{response(id, "k/a", "1", newer), response(id, "k/a", "old", old), response(id, "k/a", "same", newer), response(id, "k/a", "none", 0), response(id, "k/b", "2", 0), response(id, "k/b", "3", 0)}
		}, want: []string{"k/a=same", "k/b=3"}},
		"latest of many": {replies: func(id uint32) []wire.Network { return repliesOf(id, 30, old, newer) }, want: newestOf(30)},
		"monotonic of many": {o: GetOptions{Consolidation: ConsolidationMonotonic}, replies: func(id uint32) []wire.Network {
			return repliesOf(id, 30, newer, old)
		}, want: newestOf(30)},
		"monotonic": {o: GetOptions{Consolidation: ConsolidationMonotonic}, replies: func(id uint32) []wire.Network {
			return []wire.Network{response(id, "k/a", "1", old), response(id, "k/a", "same", old), response(id, "k/a", "2", newer), response(id, "k/a", "old", old), response(id, "k/b", "3", 0), response(id, "k/b", "4", 0)}
		}, want: []string{"k/a=1", "k/a=2", "k/b=3"}},
		"all": {o: GetOptions{Consolidation: ConsolidationNone}, replies: func(id uint32) []wire.Network {
			return []wire.Network{response(id, "k/a", "1", newer), response(id, "k/a", "2", old)}
		}, want: []string{"k/a=1", "k/a=2"}},
		"auto with time": {parameters: "_time=[..]", replies: func(id uint32) []wire.Network {
			return []wire.Network{response(id, "k/a", "1", newer), response(id, "k/a", "2", old)}
		}, want: []string{"k/a=1", "k/a=2"}},
		"router's timeout": {replies: func(id uint32) []wire.Network {
			m := errReply(id)
			m.Err.Payload, m.Responder = []byte("Timeout"), EntityGlobalID{ZID: ZID{1}}
			return []wire.Network{m}
		}, err: "get: timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			s, n := dialNode(t, client, transport.Config{})
			replies := must(s.Get(t.Context(), MustKeyExpr("k/**"), c.parameters, nil, &c.o))(t)
			r := hear[*wire.Request](n)
			if r.QoS != wire.QoSRequest || r.Timeout != 10*time.Second || Parameters(r.Query.Parameters) != c.parameters {
				t.Errorf("heard %+v", r)
			}
			n.say(c.replies(r.ID)...)
			n.say(&wire.ResponseFinal{ID: r.ID}, response(r.ID, "k/a", "late", 0))
			got, err := textsOf(t, replies)
			slices.Sort(got)
			if !slices.Equal(got, c.want) || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestRow06Timeout(t *testing.T) {
	s, n := dialNode(t, client, transport.Config{})
	replies := must(s.Get(t.Context(), MustKeyExpr("k"), "", nil, &GetOptions{Timeout: 50 * time.Millisecond}))(t)
	n.say(response(hear[*wire.Request](n).ID, "k", "kept", 0))
	got, err := textsOf(t, replies)
	if e, ok := errors.AsType[*ReplyError](err); !errors.Is(err, ErrTimeout) || !ok || e.Payload().String() != "Timeout" || e.Encoding() != EncodingZenohString {
		t.Errorf("got %v", err)
	}
	if !slices.Equal(got, []string{"k=kept"}) {
		t.Errorf("got %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	replies = must(s.Get(ctx, MustKeyExpr("k"), "", nil, nil))(t)
	cancel()
	if _, err = textsOf(t, replies); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	hear[*wire.Request](n)
	replies = must(s.Get(ctx, MustKeyExpr("k"), "", nil, nil))(t)
	if r := hear[*wire.Request](n); r.Timeout > 20*time.Millisecond {
		t.Errorf("heard %v", r.Timeout)
	}
	if _, err = textsOf(t, replies); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v", err)
	}
}

func TestRow07Queryable(t *testing.T) {
	s, n := dialNode(t, client, transport.Config{})
	ctx := t.Context()
	answer := func(texts ...string) Closure[*Query] {
		return Closure[*Query]{Call: func(q *Query) {
			for _, text := range texts {
				if err := q.Reply(ctx, MustKeyExpr("k/a"), []byte(text), &ReplyOptions{Encoding: EncodingTextPlain, Attachment: q.Attachment()}); err != nil {
					t.Error(err)
				}
			}
			if err := q.Reply(ctx, MustKeyExpr("other"), nil, nil); !errors.Is(err, ErrKeyMismatch) {
				t.Errorf("got %v", err)
			}
			if q.Payload() != nil && (q.Payload().String() != "body" || q.Encoding() != EncodingApplicationJSON || q.Parameters() != "a=1") {
				t.Errorf("got %s %s %s", q.Payload(), q.Encoding(), q.Parameters())
			}
		}}
	}
	must(s.DeclareQueryable(ctx, MustKeyExpr("k/a"), answer("1", "2"), nil))(t)
	hear[*wire.Declare](n)
	complete := must(s.DeclareQueryable(ctx, MustKeyExpr("k/**"), answer("3"), &QueryableOptions{Complete: true}))(t)
	if d := hear[*wire.Declare](n); d.Kind != wire.DeclareQueryable || !d.Queryable.Complete || d.ID != complete.ID().EID {
		t.Errorf("heard %+v", d)
	}
	ask := func(id uint32, key string, target QueryTarget) (replies int) {
		t.Helper()
		n.say(&wire.Request{ID: id, Key: wire.Key(key), QoS: wire.QoSRequest, Target: target, Query: wire.Query{
			Parameters: []byte("a=1"), Payload: []byte("body"), Encoding: EncodingApplicationJSON.wire(), Attachment: []byte("at"),
		}})
		for {
			switch m := (<-n.got).(type) {
			case *wire.Response:
				replies++
				if m.ID != id || m.QoS != wire.QoSRequest || m.Responder.ZID != s.ZID() || m.IsErr {
					t.Errorf("heard %+v", m)
				}
			case *wire.ResponseFinal:
				if m.ID != id || m.QoS != wire.QoSRequest {
					t.Errorf("heard %+v", m)
				}
				return replies
			}
		}
	}
	for _, c := range []struct {
		key    string
		target QueryTarget
		want   int
	}{{"k/a", QueryTargetAll, 3}, {"k/a", QueryTargetAllComplete, 1}, {"k/a", QueryTargetBestMatching, 1}, {"x", QueryTargetAll, 0}, {"k//a", QueryTargetAll, 0}} {
		if got := ask(77, c.key, c.target); got != c.want {
			t.Errorf("%s to %d: %d replies, want %d", c.key, c.target, got, c.want)
		}
	}
	n.say(&wire.Request{ID: 78, Key: wire.WireExpr{Scope: 99}, QoS: wire.QoSRequest})
	if m := hear[*wire.ResponseFinal](n); m.ID != 78 {
		t.Errorf("heard %+v", m)
	}
	if err := complete.Undeclare(ctx); err != nil {
		t.Fatal(err)
	}
	if d := hear[*wire.Declare](n); d.Kind != wire.UndeclareQueryable || !d.WithKey {
		t.Errorf("heard %+v", d)
	}
}

func TestRow07QueriesThatLast(t *testing.T) {
	s, n := dialNode(t, client, transport.Config{})
	ctx := t.Context()
	held := make(chan *Query, 1)
	must(s.DeclareQueryable(ctx, MustKeyExpr("held"), Closure[*Query]{Call: func(q *Query) { q.Hold(); held <- q }}, nil))(t)
	byChannel := must(s.DeclareQueryable(ctx, MustKeyExpr("channel"), nil, nil))(t)
	for key, c := range map[string]<-chan *Query{"held": held, "channel": byChannel.Handler()} {
		n.say(&wire.Request{ID: 5, Key: wire.Key(key), Timeout: time.Minute})
		q := next(t, c)
		if err := q.ReplyErr(ctx, []byte("no"), nil); err != nil {
			t.Fatal(err)
		}
		if m := hear[*wire.Response](n); !m.IsErr {
			t.Errorf("heard %+v", m)
		}
		if err := q.ReplyDelete(ctx, q.KeyExpr(), nil); err != nil {
			t.Fatal(err)
		}
		if m := hear[*wire.Response](n); !m.Reply.Data.Delete {
			t.Errorf("heard %+v", m)
		}
		if q.Context().Err() != nil {
			t.Error("the query has ended")
		}
		q.Drop()
		q.Drop()
		if m := hear[*wire.ResponseFinal](n); m.ID != 5 {
			t.Errorf("heard %+v", m)
		}
		if err := q.Reply(ctx, q.KeyExpr(), nil, nil); !errors.Is(err, ErrQueryEnded) || q.Context().Err() == nil {
			t.Errorf("got %v", err)
		}
	}
}

func TestRow08Large(t *testing.T) {
	for name, transports := range map[string]transport.Config{"normal": {}, "small batches": {BatchSize: 2048}} { // and row 9
		t.Run(name, func(t *testing.T) {
			r := openRouter(t, "tcp/127.0.0.1:0")
			open := func() *Session {
				return openSession(t, Config{Mode: Client, Connect: ConnectConfig{Endpoints: r.Locators()}, Transport: transports})
			}
			one, two := open(), open()
			ctx := t.Context()
			sub := must(two.DeclareSubscriber(ctx, MustKeyExpr("large/*"), nil, nil))(t)
			settle(t, two)
			large := bytes.Repeat([]byte("0123456789"), 500_000)
			for _, n := range []int{3, 200_000, 0, len(large), 7} {
				if err := one.Put(ctx, MustKeyExpr("large/a"), large[:n], &PutOptions{CongestionControl: CongestionControlBlock}); err != nil {
					t.Fatal(err)
				}
			}
			for _, n := range []int{3, 200_000, 0, len(large), 7} {
				if got := next(t, sub.Handler()); !bytes.Equal(got.Payload(), large[:n]) {
					t.Fatalf("got %d bytes, want %d", got.Payload().Len(), n)
				}
			}
			must(two.DeclareQueryable(ctx, MustKeyExpr("echo"), Closure[*Query]{Call: func(q *Query) { _ = q.Reply(ctx, q.KeyExpr(), q.Payload(), nil) }}, nil))(t)
			settle(t, two)
			if got := next(t, must(one.Get(ctx, MustKeyExpr("echo"), "", nil, &GetOptions{Payload: large}))(t)); !bytes.Equal(got.Sample().Payload(), large) {
				t.Errorf("got %d bytes", got.Sample().Payload().Len())
			}
		})
	}
}

func TestRow13Liveliness(t *testing.T) {
	for _, history := range []bool{false, true} {
		t.Run(fmt.Sprint("history=", history), func(t *testing.T) {
			s, n := dialNode(t, client, transport.Config{})
			ctx := t.Context()
			sub := must(s.Liveliness().DeclareSubscriber(ctx, MustKeyExpr("g/**"), nil, &LivelinessSubscriberOptions{History: history}))(t)
			i := hear[*wire.Interest](n)
			if i.Mode != wire.InterestCurrentFuture || i.Options != wire.InterestTokens || !i.Restricted || string(i.Key.Suffix) != "g/**" {
				t.Errorf("heard %+v", i)
			}
			gone := declare(wire.UndeclareToken, 99, "g/gone")
			n.say(
				answering(i.ID, declare(wire.DeclareToken, 7, "g/old")), answering(i.ID, &wire.Declare{Kind: wire.DeclareFinal}),
				declare(wire.DeclareToken, 8, "g/new"), declare(wire.DeclareToken, 8, "g/new"), declare(wire.UndeclareToken, 8, ""),
				declare(wire.UndeclareToken, 7, ""), gone, declare(wire.DeclareToken, 9, "g/last"), declare(wire.UndeclareToken, 0, "g/last"),
			)
			want := []string{"PUT g/old", "PUT g/new", "DELETE g/new", "DELETE g/old", "DELETE g/gone", "PUT g/last", "DELETE g/last"}
			if !history {
				want = want[1:]
			}
			for _, want := range want {
				if got := next(t, sub.Handler()); got.Kind().String()+" "+got.KeyExpr().String() != want {
					t.Errorf("got %s %s, want %s", got.Kind(), got.KeyExpr(), want)
				}
			}
			if err := sub.Undeclare(ctx); err != nil {
				t.Fatal(err)
			}
			if f := hear[*wire.Interest](n); f.Mode != wire.InterestFinal || f.ID != i.ID {
				t.Errorf("heard %+v", f)
			}
		})
	}
}

func TestRow13LivelinessGet(t *testing.T) {
	s, n := dialNode(t, client, transport.Config{})
	ctx := t.Context()
	must(s.Liveliness().DeclareToken(ctx, MustKeyExpr("g/own")))(t)
	replies := must(s.Liveliness().Get(ctx, MustKeyExpr("g/*"), nil, nil))(t)
	i := hear[*wire.Interest](n)
	if i.Mode != wire.InterestCurrent || i.Options != wire.InterestTokens {
		t.Errorf("heard %+v", i)
	}
	token := func(key string) wire.Network { return answering(i.ID, declare(wire.DeclareToken, 0, key)) }
	n.say(token("g/a"), token("g/own"), token("g/b"), answering(i.ID, &wire.Declare{Kind: wire.DeclareFinal}))
	got, err := textsOf(t, replies)
	slices.Sort(got)
	if !slices.Equal(got, []string{"g/a=", "g/b=", "g/own="}) || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	replies = must(s.Liveliness().Get(ctx, MustKeyExpr("g/*"), nil, &LivelinessGetOptions{Timeout: 20 * time.Millisecond}))(t)
	if got, err := textsOf(t, replies); !errors.Is(err, ErrTimeout) || !slices.Equal(got, []string{"g/own="}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRow14Matching(t *testing.T) {
	s, n := dialNode(t, client, transport.Config{})
	ctx := t.Context()
	pub := must(s.DeclarePublisher(ctx, MustKeyExpr("k/a"), nil))(t)
	i := hear[*wire.Interest](n)
	if i.Mode != wire.InterestCurrentFuture || i.Options != wire.InterestSubscribers|wire.InterestAggregate || string(i.Key.Suffix) != "k/a" {
		t.Errorf("heard %+v", i)
	}
	listener := must(pub.DeclareMatchingListener(nil))(t)
	sent := func(payload string, want bool) {
		t.Helper()
		for _, p := range []string{payload, ""} { // what is put into the session without a publisher is always sent
			var err error
			if p != "" {
				err = pub.Put(ctx, []byte(p), nil)
			} else {
				err = s.Put(ctx, MustKeyExpr("end"), nil, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		m := hear[*wire.Push](n)
		if got := string(m.Data.Payload) == payload; got != want {
			t.Errorf("%s: sent is %v", payload, got)
		} else if got {
			hear[*wire.Push](n)
		}
	}
	sent("not answered", true)
	n.say(answering(i.ID, &wire.Declare{Kind: wire.DeclareFinal}))
	eventually(t, "the answer is there", func() bool {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return len((*s.faces.Load())[0].finals) == 1
	})
	sent("nobody", false)
	for range 2 {
		n.say(declare(wire.DeclareSubscriber, 3, "k/a"))
		if m := next(t, listener.Handler()); !m.Matching || !pub.MatchingStatus().Matching {
			t.Error("does not match")
		}
		sent("somebody", true)
		n.say(declare(wire.UndeclareSubscriber, 3, ""))
		if m := next(t, listener.Handler()); m.Matching || pub.MatchingStatus().Matching {
			t.Error("matches")
		}
		sent("nobody", false)
	}
	own := must(s.DeclareSubscriber(ctx, MustKeyExpr("k/*"), nil, &SubscriberOptions{AllowedOrigin: LocalitySessionLocal}))(t)
	if m := next(t, listener.Handler()); !m.Matching {
		t.Error("does not match the own one")
	}
	sent("own", false)
	if got := next(t, own.Handler()); got.Payload().String() != "own" {
		t.Errorf("got %+v", got)
	}
	if err := pub.Undeclare(ctx); err != nil {
		t.Fatal(err)
	}
	if f := hear[*wire.Interest](n); f.Mode != wire.InterestFinal || f.ID != i.ID {
		t.Errorf("heard %+v", f)
	}
	if err := pub.Put(ctx, nil, nil); !errors.Is(err, ErrUndeclared) {
		t.Errorf("got %v", err)
	}
	if _, more := <-listener.Handler(); more {
		t.Error("the listener goes on")
	}
}

func TestRow14Querier(t *testing.T) {
	s, n := dialNode(t, client, transport.Config{})
	ctx := t.Context()
	any := must(s.DeclareQuerier(ctx, MustKeyExpr("k/a"), nil))(t)
	complete := must(s.DeclareQuerier(ctx, MustKeyExpr("k/a"), &QuerierOptions{Target: QueryTargetAllComplete}))(t)
	for range 2 {
		n.say(answering(hear[*wire.Interest](n).ID, &wire.Declare{Kind: wire.DeclareFinal}))
	}
	l := must(any.DeclareMatchingListener(nil))(t)
	n.say(declare(wire.DeclareQueryable, 3, "k/a"))
	if !next(t, l.Handler()).Matching || complete.MatchingStatus().Matching {
		t.Error("an incomplete one")
	}
	d := declare(wire.DeclareQueryable, 3, "k/a")
	d.Queryable.Complete = true
	n.say(d)
	eventually(t, "it is complete", func() bool { return complete.MatchingStatus().Matching })
	replies := must(any.Get(ctx, "p=1", nil, nil))(t)
	r := hear[*wire.Request](n)
	n.say(response(r.ID, "k/a", "1", 0), &wire.ResponseFinal{ID: r.ID})
	if got, err := textsOf(t, replies); !slices.Equal(got, []string{"k/a=1"}) || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	n.say(declare(wire.UndeclareQueryable, 3, ""))
	if next(t, l.Handler()).Matching {
		t.Error("nobody is there")
	}
	if got, err := textsOf(t, must(any.Get(ctx, "", nil, nil))(t)); len(got) > 0 || err != nil { // ends at once
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRow15Local(t *testing.T) {
	s := star(t, 2)
	ctx := t.Context()
	count := func(origin Locality) *Subscriber {
		return must(s[0].DeclareSubscriber(ctx, MustKeyExpr("k/**"), nil, &SubscriberOptions{AllowedOrigin: origin}))(t)
	}
	any, local, remote := count(LocalityAny), count(LocalitySessionLocal), count(LocalityRemote)
	other := must(s[1].DeclareSubscriber(ctx, MustKeyExpr("k/*"), nil, nil))(t)
	settle(t, s[0])
	settle(t, s[1])
	for _, destination := range []Locality{LocalityAny, LocalitySessionLocal, LocalityRemote} {
		if err := s[0].Put(ctx, MustKeyExpr("k/a"), fmt.Append(nil, destination), &PutOptions{AllowedDestination: destination}); err != nil {
			t.Fatal(err)
		}
	}
	if got := []string{next(t, other.Handler()).Payload().String(), next(t, other.Handler()).Payload().String()}; !slices.Equal(got, []string{"0", "2"}) {
		t.Errorf("other got %s", got)
	}
	if err := s[1].Put(ctx, MustKeyExpr("k/a"), []byte("other"), nil); err != nil {
		t.Fatal(err)
	}
	all := func(sub *Subscriber, last string) (list []string) {
		for len(list) == 0 || list[len(list)-1] != last {
			list = append(list, next(t, sub.Handler()).Payload().String())
		}
		return list
	}
	for name, c := range map[string][2]string{
		"any":    {strings.Join(all(any, "other"), " "), "0 1 other"},
		"local":  {strings.Join(all(local, "1"), " "), "0 1"},
		"remote": {strings.Join(all(remote, "other"), " "), "other"},
		"other":  {strings.Join(all(other, "other"), " "), "other"},
	} {
		if c[0] != c[1] {
			t.Errorf("%s got %s, want %s", name, c[0], c[1])
		}
	}
	answer := Closure[*Query]{Call: func(q *Query) {
		_ = q.Reply(ctx, q.KeyExpr(), []byte("x"), nil)
		_ = q.ReplyErr(ctx, []byte("e"), nil)
	}}
	must(s[0].DeclareQueryable(ctx, MustKeyExpr("q"), answer, nil))(t)
	settle(t, s[0])
	for destination, want := range map[Locality]int{LocalityAny: 2, LocalitySessionLocal: 2, LocalityRemote: 0} {
		n := 0
		for range must(s[0].Get(ctx, MustKeyExpr("q"), "", nil, &GetOptions{Consolidation: ConsolidationNone, AllowedDestination: destination}))(t) {
			n++
		}
		if n != want {
			t.Errorf("destination %d: %d replies, want %d", destination, n, want)
		}
	}
}
