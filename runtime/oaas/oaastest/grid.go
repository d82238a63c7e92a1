// Package oaastest runs classes in a unit test, without the platform.
//
// Guarantee: a call goes the way it goes in production, as an HTTP request in the binary form through the handler that [oaas.Serve] uses,
// and its changes are committed as a whole or not at all. Methods can call and read other objects of the same grid. What the platform adds
// around this (waiting for each other, retries, triggers, durability) is not here: call a trigger's target with an [oaas.Change].
package oaastest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/runtime/oaas"
)

// Grid keeps objects in memory and runs methods on them.
type Grid struct {
	handler *oaas.Handler

	mutex   sync.Mutex
	objects map[oaas.Ref]*object
	events  []function.Event
	results map[string]function.Reply // by idempotency key
	calls   int
}

type object struct {
	version uint64
	entries map[string]function.Value
}

// New makes an empty grid that serves the parts until the test ends. It fails the test if they cannot be served.
func New(t testing.TB, parts ...oaas.Part) *Grid {
	t.Helper()
	handler, err := oaas.NewHandler(parts...)
	if err != nil {
		t.Fatalf("oaastest: %v", err)
	}
	g := &Grid{handler: handler, objects: map[oaas.Ref]*object{}, results: map[string]function.Reply{}}
	gateway := httptest.NewServer(g.gateway())
	handler.SetGateway(gateway.URL)
	t.Cleanup(func() {
		handler.Close()
		gateway.Close()
	})
	return g
}

// Call runs a method on an object. The input is any Go value that encodes to the JSON that the method takes (nil for none, []byte as it is),
// and out points to where the result goes (nil to ignore it). A method that fails gives an [*oaas.Error].
func (g *Grid) Call(ref oaas.Ref, method string, in, out any) error {
	payload, contentType, err := encode(in)
	if err != nil {
		return fmt.Errorf("encode the input of %s: %w", method, err)
	}
	reply, err := g.run(ref, method, payload, contentType, &function.Meta{})
	if err != nil || out == nil {
		return err
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = reply.Payload
		return nil
	}
	if err := json.Unmarshal(reply.Payload, out); err != nil {
		return fmt.Errorf("decode the result of %s: %w", method, err)
	}
	return nil
}

func encode(in any) (payload []byte, contentType string, err error) {
	switch in := in.(type) {
	case nil:
		return nil, "", nil
	case []byte:
		return in, "application/octet-stream", nil
	}
	payload, err = json.Marshal(in)
	return payload, "application/json", err
}

// Entries gives the state of an object as text by key; nil if it does not exist.
func (g *Grid) Entries(ref oaas.Ref) map[string]string {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	o := g.objects[normal(ref)]
	if o == nil {
		return nil
	}
	entries := make(map[string]string, len(o.entries))
	for key, value := range o.entries {
		entries[key] = string(value.Data)
	}
	return entries
}

// Set writes one entry, as a client or a device would, and creates the object if needed.
func (g *Grid) Set(ref oaas.Ref, key, value string) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.commit(ref, &function.Reply{Set: []function.Entry{{Key: key, Value: function.Value{Data: []byte(value)}}}})
}

// Events gives what methods emitted so far.
func (g *Grid) Events() []oaas.Event {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	events := make([]oaas.Event, len(g.events))
	for i, e := range g.events {
		events[i] = oaas.Event{Type: e.Type, Subject: e.Subject, Data: e.Data, ContentType: e.ContentType, Extensions: e.Extensions}
	}
	return events
}

// normal gives the name under which an object is kept: without a partition, because one grid has only one.
func normal(ref oaas.Ref) oaas.Ref {
	return oaas.Ref{Class: ref.Class, Object: strings.ToLower(ref.Object)}
}

// run sends one call to the handler and commits its reply.
func (g *Grid) run(ref oaas.Ref, method string, payload []byte, contentType string, meta *function.Meta) (*function.Reply, error) {
	call := g.callOf(ref, method, payload, contentType, meta)
	request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(function.EncodeCall(function.Binary, call)))
	function.SetHeaders(request.Header, function.Binary, call, meta)
	answer := httptest.NewRecorder()
	g.handler.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		return nil, failure(answer.Code, answer.Body.Bytes())
	}
	reply, err := function.DecodeResponse(answer.Header().Get("Content-Type"), answer.Body.Bytes(), function.Limits{})
	if err != nil {
		return nil, fmt.Errorf("the reply of %s breaks the contract: %w", method, err)
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return reply, g.commit(ref, reply)
}

func (g *Grid) callOf(ref oaas.Ref, method string, payload []byte, contentType string, meta *function.Meta) *function.Call {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.calls++
	meta.ID = "test-" + strconv.Itoa(g.calls)
	ref = normal(ref)
	call := &function.Call{
		Class: ref.Class, Object: ref.Object, Method: method, Payload: payload, ContentType: contentType, Caller: "test",
	}
	if o := g.objects[ref]; o != nil {
		call.Exists, call.Version = true, o.version
		for key, value := range o.entries {
			call.Entries = append(call.Entries, function.Entry{Key: key, Value: value})
		}
		slices.SortFunc(call.Entries, func(a, b function.Entry) int { return strings.Compare(a.Key, b.Key) })
	}
	return call
}

// commit applies a reply. The grid is locked.
func (g *Grid) commit(ref oaas.Ref, reply *function.Reply) error {
	if err := reply.Check(function.Limits{}); err != nil {
		return err
	}
	g.events = append(g.events, reply.Events...)
	if len(reply.Set)+len(reply.Delete) == 0 {
		return nil
	}
	o := g.objects[normal(ref)]
	if o == nil {
		o = &object{entries: map[string]function.Value{}}
		g.objects[normal(ref)] = o
	}
	o.version++
	for _, e := range reply.Set {
		value := e.Value
		value.Version = o.version
		o.entries[e.Key] = value
	}
	for _, key := range reply.Delete {
		delete(o.entries, key)
	}
	return nil
}

func failure(status int, body []byte) error {
	var parsed struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(body, &parsed) != nil || parsed.Error.Message == "" {
		return oaas.Errorf(status, "%s", body)
	}
	return &oaas.Error{Status: status, Code: parsed.Error.Code, Message: parsed.Error.Message}
}

// statusOf tells what the gateway answers for an error.
func statusOf(err error) (int, string) {
	var known *oaas.Error
	if errors.As(err, &known) {
		return known.Status, known.Code
	}
	return http.StatusBadGateway, "BAD_REPLY"
}
