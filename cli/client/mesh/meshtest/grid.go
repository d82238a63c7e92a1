// Package meshtest is a small data grid on a Zenoh network, for tests of its clients.
//
// Guarantee: it declares the keys of a data grid of OaaS-RS, takes its messages, and answers with its messages and words. It keeps objects in
// memory, of any class and partition; its function is echo, as a function and as a method.
package meshtest

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/broker/zenoh/router"
)

type grid struct {
	t       *testing.T
	mu      sync.Mutex
	objects map[string]*stored // by key, such as oprc/shop.cart/0/objects/a1
	results map[string][]byte  // by the key of the result
}

type stored struct {
	version uint64
	entries map[string]*oprc.ValData
}

// Serve runs a router and a grid until the test ends, and gives the endpoint of the router.
func Serve(t *testing.T) string {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	r, err := router.Open(t.Context(), router.Config{Listen: []string{"tcp/127.0.0.1:0"}, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, r) })
	endpoint := r.Locators()[0]
	s, err := zenoh.Open(t.Context(), zenoh.Config{
		Mode: zenoh.Client, Logger: logger, Connect: zenoh.ConnectConfig{Endpoints: []string{endpoint}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, s) })
	g := &grid{t: t, objects: map[string]*stored{}, results: map[string][]byte{}}
	g.declare(s)
	g.known(s, endpoint)
	return endpoint
}

// known waits until the router knows what was declared: it is told in order, so it knows all once somebody else finds the last.
func (g *grid) known(s *zenoh.Session, endpoint string) {
	key := zenoh.MustKeyExpr("meshtest/ready")
	ready := zenoh.Closure[*zenoh.Query]{Call: func(q *zenoh.Query) { g.check(q.Reply(q.Context(), q.KeyExpr(), nil, nil)) }}
	_, err := s.DeclareQueryable(g.t.Context(), key, ready, nil)
	g.must(err)
	other, err := zenoh.Open(g.t.Context(), zenoh.Config{
		Mode: zenoh.Client, Logger: slog.New(slog.DiscardHandler), Connect: zenoh.ConnectConfig{Endpoints: []string{endpoint}},
	})
	g.must(err)
	defer closed(g.t, other)
	for deadline := time.Now().Add(20 * time.Second); ; {
		replies, err := other.Get(g.t.Context(), key, "", nil, nil)
		g.must(err)
		answered := false
		for reply := range replies {
			answered = answered || reply.Err() == nil
		}
		switch {
		case answered:
			return
		case time.Now().After(deadline):
			g.t.Fatal("the router does not know the grid after 20 s")
		}
	}
}

func closed(t *testing.T, c interface{ Close(context.Context) error }) {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
}

func (g *grid) declare(s *zenoh.Session) {
	for key, answer := range map[string]func(key string, payload []byte) ([]proto.Message, string){
		"oprc/*/*/objects/*": g.get, "oprc/*/*/objects/*/entries/*": g.entry, "oprc/*/*/objects/*/set": g.set,
		"oprc/*/*/objects/*/batch-set": g.batch, "oprc/*/*/objects/list-objects": g.list,
		"oprc/*/*/invokes/*": g.invoke, "oprc/*/*/objects/*/invokes/*": g.invoke,
		"oprc/*/*/results/*/async/*": g.result, "oprc/*/*/objects/*/results/*/async/*": g.result,
	} {
		call := func(q *zenoh.Query) {
			at, payload := q.KeyExpr().String(), q.Payload()
			if last := at[strings.LastIndexByte(at, '/')+1:]; last == "list-objects" && key == "oprc/*/*/objects/*" {
				return // is the queryable's for lists
			}
			messages, refusal := answer(at, payload)
			if refusal != "" {
				g.check(q.ReplyErr(q.Context(), zenoh.ZBytes(refusal), nil))
			}
			for _, m := range messages {
				text, err := proto.Marshal(m)
				g.check(err)
				g.check(q.Reply(q.Context(), q.KeyExpr(), text, nil))
			}
		}
		_, err := s.DeclareQueryable(g.t.Context(), zenoh.MustKeyExpr(key), zenoh.Closure[*zenoh.Query]{Call: call}, nil)
		g.must(err)
	}
	caps := zenoh.Closure[*zenoh.Query]{Call: func(q *zenoh.Query) {
		g.check(q.Reply(q.Context(), q.KeyExpr(), zenoh.ZBytes(`{"class":"shop.cart","shard_id":1,"features":{"granular_storage":true}}`), nil))
	}}
	_, err := s.DeclareQueryable(g.t.Context(), zenoh.MustKeyExpr("oprc/**/shards/**/capabilities"), caps, nil)
	g.must(err)
	_, err = s.Liveliness().DeclareToken(g.t.Context(), zenoh.MustKeyExpr("oprc/shop.cart/0/liveliness/1"))
	g.must(err)
	for _, key := range []string{"oprc/*/*/objects/*", "oprc/*/*/invokes/*/async/*", "oprc/*/*/objects/*/invokes/*/async/*"} {
		_, err = s.DeclareSubscriber(g.t.Context(), zenoh.MustKeyExpr(key), zenoh.Closure[zenoh.Sample]{Call: g.published}, nil)
		g.must(err)
	}
}

func (g *grid) must(err error) {
	if err != nil {
		g.t.Fatal(err)
	}
}

// check wants no error, but those of answers to a test that has ended before they came.
func (g *grid) check(err error) {
	if err != nil && !errors.Is(err, zenoh.ErrNotConnected) {
		g.t.Error(err)
	}
}

// objectKey gives the key of the object in a key.
func objectKey(key string) string {
	parts := strings.Split(key, "/")
	return strings.Join(parts[:5], "/")
}

func (g *grid) get(key string, _ []byte) ([]proto.Message, string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.objects[key]
	if o == nil {
		return nil, "object not found"
	}
	id := key[strings.LastIndexByte(key, '/')+1:]
	return []proto.Message{&oprc.ObjData{Metadata: &oprc.ObjMeta{ObjectId: &id}, Entries: maps.Clone(o.entries)}}, ""
}

func (g *grid) entry(key string, _ []byte) ([]proto.Message, string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if o := g.objects[objectKey(key)]; o != nil {
		if v := o.entries[key[strings.LastIndexByte(key, '/')+1:]]; v != nil {
			return []proto.Message{&oprc.ValueResponse{Value: v, ObjectVersion: &o.version}}, ""
		}
	}
	return nil, "entry not found"
}

func (g *grid) set(key string, payload []byte) ([]proto.Message, string) {
	var m oprc.ObjData
	if err := proto.Unmarshal(payload, &m); err != nil {
		return nil, "failed to decode payload"
	}
	return g.change(objectKey(key), m.GetEntries(), nil, nil)
}

func (g *grid) batch(key string, payload []byte) ([]proto.Message, string) {
	var m oprc.BatchSetValuesRequest
	if err := proto.Unmarshal(payload, &m); err != nil {
		return nil, "failed to decode batch request: " + err.Error()
	}
	return g.change(objectKey(key), m.GetValues(), m.GetDeleteKeys(), m.ExpectedObjectVersion)
}

func (g *grid) change(key string, set map[string]*oprc.ValData, del []string, expected *uint64) ([]proto.Message, string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.objects[key]
	if o == nil {
		o = &stored{entries: map[string]*oprc.ValData{}}
	}
	if expected != nil && *expected != o.version {
		return nil, "version mismatch: expected another one"
	}
	maps.Copy(o.entries, set)
	for _, k := range del {
		delete(o.entries, k)
	}
	o.version++
	g.objects[key] = o
	return []proto.Message{&oprc.EmptyResponse{}}, ""
}

func (g *grid) list(key string, payload []byte) ([]proto.Message, string) {
	var m oprc.ListObjectsRequest
	if err := proto.Unmarshal(payload, &m); err != nil {
		return nil, "failed to decode list request: " + err.Error()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var rows []proto.Message
	for _, at := range slices.Sorted(maps.Keys(g.objects)) {
		id, here := strings.CutPrefix(at, strings.TrimSuffix(key, "list-objects"))
		if here && strings.HasPrefix(id, m.GetObjectIdPrefix()) && len(rows) < int(m.GetLimit()) {
			o := g.objects[at]
			rows = append(rows, &oprc.ObjectMetaEnvelope{ObjectId: id, Version: o.version, EntryCount: uint64(len(o.entries))})
		}
	}
	return rows, ""
}

// invoke echoes; the function fail says no.
func (g *grid) invoke(key string, payload []byte) ([]proto.Message, string) {
	var m oprc.ObjectInvocationRequest // has the fields of a function's call too
	g.check(proto.Unmarshal(payload, &m))
	answer := &oprc.InvocationResponse{Payload: m.GetPayload()}
	if strings.HasSuffix(key, "/fail") {
		answer = &oprc.InvocationResponse{Payload: []byte("no"), Status: oprc.ResponseStatus_APP_ERROR}
	}
	return []proto.Message{answer}, ""
}

func (g *grid) result(key string, _ []byte) ([]proto.Message, string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	payload, done := g.results[key]
	if !done {
		return nil, "no such result"
	}
	return []proto.Message{&oprc.InvocationResponse{Payload: payload}}, ""
}

// published takes deletions, and asynchronous calls.
func (g *grid) published(s zenoh.Sample) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := s.KeyExpr().String()
	if s.Kind() == zenoh.SampleKindDelete {
		delete(g.objects, key)
		return
	}
	if strings.Contains(key, "/async/") {
		var m oprc.ObjectInvocationRequest
		g.check(proto.Unmarshal(s.Payload(), &m))
		g.results[strings.Replace(key, "/invokes/", "/results/", 1)] = m.GetPayload()
	}
}
