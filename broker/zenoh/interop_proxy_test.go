package zenoh

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/internal/zproxy"
)

// TestInteropProxy has a session on a native router, with a network between that splits, delays, cuts, and keeps quiet.
func TestInteropProxy(t *testing.T) {
	endpoint := freeEndpoint(t)
	python := startNative(t, "router", []string{endpoint}, nil)
	python.do(t, "subscribe", "id", "s", "key", "to/python/*")
	python.do(t, "queryable", "id", "q", "key", "ask/python", "texts", []string{"yes"})
	p := must(zproxy.Listen(endpoint))(t)
	t.Cleanup(func() { _ = p.Close() })
	ctx := t.Context()
	config := impatient(p.Endpoint())
	s := openSession(t, config)
	sub := must(s.DeclareSubscriber(ctx, MustKeyExpr("to/go/*"), nil, nil))(t)
	settle(t, s)
	exchange := func(size int) {
		t.Helper()
		payload := make([]byte, size)
		if err := s.Put(ctx, MustKeyExpr("to/python/a"), payload, &PutOptions{CongestionControl: CongestionControlBlock}); err != nil {
			t.Fatal(err)
		}
		python.expect(t, "sample", map[string]any{"size": float64(size), "sum": 0.0})
		python.do(t, "put", "key", "to/go/a", "size", size)
		if got := next(t, sub.Handler()); got.Payload().Len() != size {
			t.Errorf("got %d bytes, want %d", got.Payload().Len(), size)
		}
		if got, err := textsOf(t, must(s.Get(ctx, MustKeyExpr("ask/python"), "", nil, nil))(t)); !slices.Equal(got, []string{"ask/python=yes"}) || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
	for i, way := range []zproxy.Way{{}, {Chunk: 1}, {Chunk: 700, Delay: time.Millisecond}} {
		p.Set(way, way)
		exchange(100 + i)
		exchange(70_000 + i)
	}
	p.Set(zproxy.Way{}, zproxy.Way{})
	config.Transport.Lease = 1500 * time.Millisecond // only now: a batch that comes byte by byte takes long
	brief := openSession(t, config)
	events := must(brief.DeclareTransportEventsListener(nil, nil))(t)
	settle(t, brief)
	silence := zproxy.Way{Swallow: true}
	for i, ways := range [][2]zproxy.Way{{silence, {}}, {{}, silence}, {silence, silence}} {
		t.Run(fmt.Sprintf("silence %d", i), func(t *testing.T) {
			slow := fmt.Sprint("ask/slow/", i) // each is asked once: it does not answer
			python.do(t, "queryable", "id", slow, "key", slow, "pause", 60)
			pending := must(brief.Get(ctx, MustKeyExpr(slow), "", nil, &GetOptions{Timeout: time.Minute}))(t)
			python.expect(t, "query", map[string]any{"key": slow})
			p.Set(ways[0], ways[1])
			if _, err := textsOf(t, pending); !errors.Is(err, ErrSessionLost) {
				t.Errorf("the get ended with %v", err)
			}
			for e := next(t, events.Handler()); e.Kind != SampleKindDelete || e.FailedGets != 1; e = next(t, events.Handler()) {
			}
			p.Refuse(true) // so that no connection of before is there when bytes flow again
			p.Cut()
			p.Set(zproxy.Way{}, zproxy.Way{})
			p.Refuse(false)
			eventually(t, "it works again", func() bool {
				replies, err := brief.Get(ctx, MustKeyExpr("ask/python"), "", nil, &GetOptions{Timeout: 2 * time.Second})
				if err != nil {
					return false
				}
				got, err := textsOf(t, replies)
				return err == nil && slices.Equal(got, []string{"ask/python=yes"})
			})
		})
	}
}
