package zenoh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// The rows of the checklist with the native implementation as router, and a native client behind it.

func nativeStar(t *testing.T) (endpoint string, router, python *native) {
	endpoint = freeEndpoint(t)
	router = startNative(t, "router", []string{endpoint}, nil)
	return endpoint, router, startNative(t, "client", nil, []string{endpoint})
}

func TestInteropRow03And08(t *testing.T) {
	endpoint, _, python := nativeStar(t)
	s, other := openClient(t, endpoint), openClient(t, endpoint)
	ctx := t.Context()
	sub := must(s.DeclareSubscriber(ctx, MustKeyExpr("to/go/**"), nil, nil))(t)
	settle(t, s)
	python.do(t, "put", "key", "to/go/a", "text", "hi", "encoding", "application/json;v1", "attachment", "at", "priority", "INTERACTIVE_HIGH", "stamp", true)
	got := next(t, sub.Handler())
	if got.Payload().String() != "hi" || got.Encoding() != EncodingApplicationJSON.WithSchema("v1") || got.Attachment().String() != "at" ||
		got.Priority() != PriorityInteractiveHigh || got.CongestionControl() != CongestionControlBlock || got.Timestamp().IsZero() {
		t.Errorf("got %+v", got)
	}
	python.do(t, "delete", "key", "to/go/a")
	if got := next(t, sub.Handler()); got.Kind() != SampleKindDelete {
		t.Errorf("got %+v", got)
	}
	python.do(t, "subscribe", "id", "s", "key", "to/python/**")
	if err := s.Delete(ctx, MustKeyExpr("to/python/x"), nil); err != nil {
		t.Fatal(err)
	}
	python.expect(t, "sample", map[string]any{"kind": "DELETE", "key": "to/python/x"})
	large := make([]byte, 16<<20)
	sum := 0
	for i := range large {
		large[i] = byte(i % 251)
		sum += i % 251
	}
	if err := other.Put(ctx, MustKeyExpr("to/python/large"), large, &PutOptions{CongestionControl: CongestionControlBlock}); err != nil {
		t.Fatal(err)
	}
	python.expect(t, "sample", map[string]any{"size": float64(len(large)), "sum": float64(sum)})
	python.do(t, "put", "key", "to/go/large", "size", len(large))
	if got := next(t, sub.Handler()); !bytes.Equal(got.Payload(), large) {
		t.Errorf("got %d bytes", got.Payload().Len())
	}
}

func TestInteropRow04ThousandSubscribers(t *testing.T) {
	endpoint, _, python := nativeStar(t)
	s := openClient(t, endpoint)
	var count atomic.Int64
	for i := range 1000 {
		key := MustKeyExpr(fmt.Sprintf("many/%d/**", i%100))
		must(s.DeclareSubscriber(t.Context(), key, Closure[Sample]{Call: func(Sample) { count.Add(1) }}, nil))(t)
	}
	settle(t, s)
	for i := range 100 {
		python.do(t, "put", "key", fmt.Sprintf("many/%d/a", i), "text", "x")
	}
	eventually(t, "each has one", func() bool { return count.Load() == 1000 })
}

func TestInteropRow06And07(t *testing.T) {
	endpoint, _, python := nativeStar(t)
	s := openClient(t, endpoint)
	ctx := t.Context()
	python.do(t, "queryable", "id", "1", "key", "ask/python/1", "texts", []string{"old", "new"}, "stamp", true)
	python.do(t, "queryable", "id", "2", "key", "ask/python/2", "texts", []string{}, "error", "oops")
	python.do(t, "queryable", "id", "3", "key", "ask/slow", "pause", 2)
	settle(t, s)
	for mode, want := range map[ConsolidationMode][]string{
		ConsolidationLatest: {"ask/python/1=new"}, ConsolidationNone: {"ask/python/1=old", "ask/python/1=new"}, ConsolidationMonotonic: {"ask/python/1=old", "ask/python/1=new"},
	} {
		got, err := textsOf(t, must(s.Get(ctx, MustKeyExpr("ask/python/*"), "a=1;b", nil, &GetOptions{
			Consolidation: mode, Target: QueryTargetAll, Payload: []byte("body"), Encoding: EncodingTextPlain, Attachment: []byte("at"),
		}))(t))
		if e, ok := errors.AsType[*ReplyError](err); !slices.Equal(got, want) || !ok || e.Payload().String() != "oops" {
			t.Errorf("mode %d: got %q, %v", mode, got, err)
		}
		python.expect(t, "query", map[string]any{"text": "body", "parameters": "a=1;b", "encoding": "text/plain", "attachment": "at"})
	}
	_, err := textsOf(t, must(s.Get(ctx, MustKeyExpr("ask/slow"), "", nil, &GetOptions{Timeout: 200 * time.Millisecond}))(t))
	if !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v", err)
	}
	if got, err := textsOf(t, must(s.Get(ctx, MustKeyExpr("ask/nobody"), "", nil, nil))(t)); len(got) > 0 || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	must(s.DeclareQueryable(ctx, MustKeyExpr("ask/go/**"), Closure[*Query]{Call: func(q *Query) {
		_ = q.Reply(ctx, MustKeyExpr("ask/go/a"), []byte("1"), nil)
		_ = q.Reply(ctx, MustKeyExpr("ask/go/b"), bytes.Repeat([]byte("2"), 200_000), nil)
		_ = q.ReplyErr(ctx, []byte("and an error"), nil)
	}}, &QueryableOptions{Complete: true}))(t)
	settle(t, s)
	for _, target := range []string{"BEST_MATCHING", "ALL", "ALL_COMPLETE"} {
		python.start(t, "get", "key", "ask/go/*", "target", target)
		list := python.expect(t, "replies", nil)["replies"].([]any)
		text := fmt.Sprint(list)
		if len(list) != 3 || !bytes.Contains([]byte(text), []byte("and an error")) || !bytes.Contains([]byte(text), []byte("size:200000")) {
			t.Errorf("%s: got %s", target, text)
		}
	}
}

// TestInteropRow06SessionLost has the process of a queryable killed in the middle of a query.
func TestInteropRow06SessionLost(t *testing.T) {
	endpoint, _, python := nativeStar(t)
	s := openClient(t, endpoint)
	python.do(t, "queryable", "id", "1", "key", "ask", "pause", 60)
	settle(t, s)
	replies := must(s.Get(t.Context(), MustKeyExpr("ask"), "", nil, &GetOptions{Timeout: time.Minute}))(t)
	python.expect(t, "query", nil)
	python.end()
	if got, _ := textsOf(t, replies); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

// TestInteropRow12 has the native router killed and started again.
func TestInteropRow12(t *testing.T) {
	endpoint := freeEndpoint(t)
	python := startNative(t, "router", []string{endpoint}, nil)
	s, other := openSession(t, impatient(endpoint)), openSession(t, impatient(endpoint))
	ctx := t.Context()
	sub := must(s.DeclareSubscriber(ctx, MustKeyExpr("data/*"), nil, nil))(t)
	watch := must(s.Liveliness().DeclareSubscriber(ctx, MustKeyExpr("alive/*"), nil, &LivelinessSubscriberOptions{History: true}))(t)
	python.do(t, "token", "id", "t", "key", "alive/python")
	must(other.Liveliness().DeclareToken(ctx, MustKeyExpr("alive/other")))(t)
	for range 2 {
		next(t, watch.Handler())
	}
	pub := must(other.DeclarePublisher(ctx, MustKeyExpr("data/a"), &PublisherOptions{CongestionControl: CongestionControlBlock}))(t)
	events := must(s.DeclareTransportEventsListener(nil, nil))(t)
	python.end()
	if e := next(t, events.Handler()); e.Kind != SampleKindDelete {
		t.Errorf("got %+v", e)
	}
	python = startNative(t, "router", []string{endpoint}, nil)
	python.do(t, "subscribe", "id", "s", "key", "data/*")
	if e := next(t, events.Handler()); e.Kind != SampleKindPut || e.Since.IsZero() {
		t.Errorf("got %+v", e)
	}
	eventually(t, "the other one is back", func() bool { return len(other.RoutersZID()) == 1 })
	settle(t, s)
	settle(t, other)
	if err := pub.Put(ctx, []byte("again"), nil); err != nil {
		t.Fatal(err)
	}
	if got := next(t, sub.Handler()); got.Payload().String() != "again" {
		t.Errorf("got %s", got.Payload())
	}
	python.expect(t, "sample", map[string]any{"text": "again", "key": "data/a"})
	seen := map[string]SampleKind{}
	for len(seen) == 0 || seen["alive/python"] != SampleKindDelete {
		got := next(t, watch.Handler())
		seen[got.KeyExpr().String()] = got.Kind()
	}
	if kind, told := seen["alive/other"]; told && kind == SampleKindDelete { // it may have been away for a moment, but is back
		if got := next(t, watch.Handler()); got.Kind() != SampleKindPut {
			t.Errorf("got %s %s", got.Kind(), got.KeyExpr())
		}
	}
}

func TestInteropRow13(t *testing.T) {
	endpoint, _, python := nativeStar(t)
	s := openClient(t, endpoint)
	ctx := t.Context()
	python.do(t, "token", "id", "old", "key", "g/old")
	own := must(s.Liveliness().DeclareToken(ctx, MustKeyExpr("g/own")))(t)
	settle(t, s)
	var watchers []*LivelinessSubscriber
	for _, history := range []bool{true, false} {
		w := must(s.Liveliness().DeclareSubscriber(ctx, MustKeyExpr("g/**"), nil, &LivelinessSubscriberOptions{History: history}))(t)
		watchers = append(watchers, w)
	}
	python.do(t, "watch", "id", "w", "key", "g/**", "history", true)
	python.expect(t, "token", map[string]any{"key": "g/own", "kind": "PUT"})
	settle(t, s)
	python.do(t, "token", "id", "new", "key", "g/new")
	for range 2 {
		got, err := textsOf(t, must(s.Liveliness().Get(ctx, MustKeyExpr("g/*"), nil, nil))(t))
		slices.Sort(got)
		if !slices.Equal(got, []string{"g/new=", "g/old=", "g/own="}) || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
	python.do(t, "undeclare", "id", "new")
	python.do(t, "undeclare", "id", "old")
	if err := own.Undeclare(ctx); err != nil {
		t.Fatal(err)
	}
	python.expect(t, "token", map[string]any{"key": "g/own", "kind": "DELETE"})
	settle(t, s)
	for i, want := range [][]string{
		{"DELETE g/new", "DELETE g/old", "DELETE g/own", "PUT g/new", "PUT g/old", "PUT g/own"},
		{"DELETE g/new", "DELETE g/old", "DELETE g/own", "PUT g/new"},
	} {
		var got []string
		for range want {
			sample := next(t, watchers[i].Handler())
			got = append(got, sample.Kind().String()+" "+sample.KeyExpr().String())
		}
		slices.Sort(got)
		if !slices.Equal(got, want) || len(watchers[i].Handler()) > 0 {
			t.Errorf("watcher %d got %q, want %q", i, got, want)
		}
	}
}

func TestInteropRow14(t *testing.T) {
	endpoint, _, python := nativeStar(t)
	s := openClient(t, endpoint)
	ctx := t.Context()
	pub := must(s.DeclarePublisher(ctx, MustKeyExpr("m/a"), nil))(t)
	querier := must(s.DeclareQuerier(ctx, MustKeyExpr("q/*"), nil))(t)
	publishes, asks := must(pub.DeclareMatchingListener(nil))(t), must(querier.DeclareMatchingListener(nil))(t)
	for range 2 {
		python.do(t, "subscribe", "id", "s", "key", "m/*")
		python.do(t, "queryable", "id", "q", "key", "q/a", "texts", []string{"x"})
		if !next(t, publishes.Handler()).Matching || !next(t, asks.Handler()).Matching {
			t.Error("nobody is there")
		}
		if err := pub.Put(ctx, []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
		python.expect(t, "sample", map[string]any{"key": "m/a", "text": "x"})
		if got, err := textsOf(t, must(querier.Get(ctx, "", nil, nil))(t)); !slices.Equal(got, []string{"q/a=x"}) || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		python.do(t, "undeclare", "id", "s")
		python.do(t, "undeclare", "id", "q")
		if next(t, publishes.Handler()).Matching || next(t, asks.Handler()).Matching {
			t.Error("somebody is there")
		}
	}
	python.do(t, "publisher", "id", "p", "key", "m/b")
	python.do(t, "querier", "id", "g", "key", "q/b")
	for range 2 {
		sub := must(s.DeclareSubscriber(ctx, MustKeyExpr("m/**"), nil, nil))(t)
		python.expect(t, "matching", map[string]any{"id": "p", "matching": true})
		python.do(t, "publish", "id", "p", "text", "y")
		if got := next(t, sub.Handler()); got.Payload().String() != "y" || got.KeyExpr().String() != "m/b" {
			t.Errorf("got %+v", got)
		}
		sub.Drop()
		python.expect(t, "matching", map[string]any{"id": "p", "matching": false})
		q := must(s.DeclareQueryable(ctx, MustKeyExpr("q/b"), nil, nil))(t)
		python.expect(t, "matching", map[string]any{"id": "g", "matching": true})
		q.Drop()
		python.expect(t, "matching", map[string]any{"id": "g", "matching": false})
	}
}

// TestInteropRow16 has a native router that wants user and password.
func TestInteropRow16(t *testing.T) {
	endpoint := freeEndpoint(t)
	passwords := writeFile(t, "alice:secret\n")
	startNative(t, "router", []string{endpoint}, nil, "transport/auth/usrpwd/dictionary_file="+fmt.Sprintf("%q", passwords),
		`transport/auth/usrpwd/user="router"`, `transport/auth/usrpwd/password="pwd"`)
	open := func(user, password string) error {
		s, err := Open(t.Context(), Config{Mode: Client, User: user, Password: password, Connect: ConnectConfig{Endpoints: []string{endpoint}}})
		if err == nil {
			err = s.Close(context.Background())
		}
		return err
	}
	if err := open("alice", "secret"); err != nil {
		t.Error(err)
	}
	if open("alice", "wrong") == nil || open("", "") == nil {
		t.Error("anybody may connect")
	}
}
