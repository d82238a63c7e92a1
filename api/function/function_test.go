package function

import (
	"bytes"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

var forms = []Form{JSON, Binary}

// smallCall is a call as most are: a counter and a short payload.
func smallCall() *Call {
	return &Call{
		Class: "shop.cart", Object: "c1", Method: "add", Version: 3, Exists: true,
		Payload: []byte(`{"item":"apple","amount":2}`), ContentType: "application/json",
		Entries: []Entry{{"item:apple", Value{Data: []byte(`5`), Version: 2}}, {"total", Value{Data: []byte(`12`), Version: 3}}},
		Options: map[string]string{"accept": "application/json"}, Caller: "external",
	}
}

func smallReply() *Reply {
	return &Reply{
		Payload: []byte(`{"total":14}`), ContentType: "application/json",
		Set: []Entry{{"item:apple", Value{Data: []byte(`7`)}}, {"total", Value{Data: []byte(`14`)}}},
	}
}

// random makes calls and replies that use every field, with bytes and text of all kinds.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 1))} }

func (r random) bytes() []byte {
	if r.IntN(5) == 0 {
		return nil
	}
	b := make([]byte, 1+r.IntN(40))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	if r.IntN(2) == 0 {
		return []byte(r.text())
	}
	return b
}

var alphabet = []rune("abcXYZ019 \"\\/\n\t\x00\x1f{}[]:,éß→😀\u2028\uFFFD")

func (r random) text() string {
	var b strings.Builder
	for range r.IntN(20) {
		b.WriteRune(alphabet[r.IntN(len(alphabet))])
	}
	return b.String()
}

func (r random) key() string {
	const chars = "abcdefghijklmnopqrstuvwxyz0123456789._:-"
	b := make([]byte, 1+r.IntN(12))
	for i := range b {
		b[i] = chars[r.IntN(len(chars))]
	}
	return string(b)
}

func (r random) texts() map[string]string {
	n := r.IntN(4)
	if n == 0 {
		return nil
	}
	texts := make(map[string]string)
	for range n {
		texts[r.text()] = r.text()
	}
	return texts
}

func (r random) entries(versions bool) (entries []Entry) {
	seen := map[string]bool{}
	for range r.IntN(12) {
		e := Entry{Key: r.key(), Value: Value{Data: r.bytes(), Type: Type(r.IntN(2))}}
		if versions {
			e.Version = r.Uint64() >> r.IntN(64)
		}
		if !seen[e.Key] {
			entries = append(entries, e)
		}
		seen[e.Key] = true
	}
	if sortEntries(entries) != nil {
		panic("repeated keys")
	}
	return entries
}

func (r random) call() *Call {
	return &Call{
		Class: r.text(), Partition: r.Uint32() >> r.IntN(32), Object: r.text(), Method: r.text(), Readonly: r.IntN(2) == 0,
		Version: r.Uint64() >> r.IntN(64), Exists: r.IntN(2) == 0, Payload: r.bytes(), ContentType: r.text(),
		Entries: r.entries(true), Options: r.texts(), Caller: r.text(),
	}
}

func (r random) reply() *Reply {
	reply := &Reply{Payload: r.bytes(), ContentType: "text/plain", Set: r.entries(false)}
	for range r.IntN(3) {
		reply.Delete = append(reply.Delete, "not."+r.key()+strings.Repeat("x", 20+len(reply.Delete)))
	}
	for range r.IntN(3) {
		reply.Events = append(reply.Events, Event{
			Type: "com.example." + r.key(), Subject: "/é/" + r.key(), ContentType: "application/json", Data: r.bytes(),
			Extensions: map[string]string{"tenant": r.key(), "x9": ""},
		})
	}
	return reply
}

// same compares after making nil of what is empty: the wire does not tell them apart.
func same(a, b any) bool { return reflect.DeepEqual(tidy(a), tidy(b)) }

func tidy(v any) any {
	clean := func(entries []Entry) (out []Entry) {
		for _, e := range entries {
			e.Data = bytes.Clone(append([]byte{}, e.Data...))
			out = append(out, e)
		}
		return out
	}
	texts := func(m map[string]string) map[string]string {
		if len(m) == 0 {
			return nil
		}
		return m
	}
	switch v := v.(type) {
	case *Call:
		c := *v
		c.Payload = append([]byte{}, c.Payload...)
		c.Entries, c.Options = clean(c.Entries), texts(c.Options)
		return c
	case *Reply:
		r := *v
		r.Payload = append([]byte{}, r.Payload...)
		r.Set = clean(r.Set)
		r.Delete = append([]string{}, r.Delete...)
		var events []Event
		for _, e := range r.Events {
			e.Data, e.Extensions = append([]byte{}, e.Data...), texts(e.Extensions)
			events = append(events, e)
		}
		r.Events = events
		return r
	}
	return v
}

func TestCallRoundTrip(t *testing.T) {
	for _, form := range forms {
		r := newRandom(1)
		for i := range 500 {
			call := r.call()
			body := EncodeCall(form, call)
			got, err := DecodeCall(form, body, Limits{})
			if err != nil {
				t.Fatalf("%v call %d: %v\n%q", form, i, err, body)
			}
			if !same(call, got) {
				t.Fatalf("%v call %d:\n sent %+v\n  got %+v", form, i, call, got)
			}
		}
	}
}

func TestReplyRoundTrip(t *testing.T) {
	for _, form := range forms {
		r := newRandom(2)
		for i := range 500 {
			reply := r.reply()
			body := EncodeReply(form, reply)
			got, err := DecodeReply(form, body, Limits{})
			if err != nil {
				t.Fatalf("%v reply %d: %v\n%q", form, i, err, body)
			}
			if !same(reply, got) {
				t.Fatalf("%v reply %d:\n sent %+v\n  got %+v", form, i, reply, got)
			}
		}
	}
}

// A codec must not lose or invent a change because the body was cut off, or a bit of it flipped.
func TestDamagedBodies(t *testing.T) {
	r := newRandom(3)
	for _, form := range forms {
		for range 50 {
			body := EncodeReply(form, r.reply())
			for cut := range body {
				if got, err := DecodeReply(form, body[:cut], Limits{}); err == nil {
					if form == JSON {
						t.Fatalf("%q cut at %d gave %+v", body, cut, got)
					}
				}
			}
			for range 20 {
				damaged := bytes.Clone(body)
				damaged[r.IntN(len(damaged))] ^= 1 << r.IntN(8)
				if got, err := DecodeReply(form, damaged, Limits{}); err == nil && got.Check(Limits{}) != nil {
					t.Fatalf("%q gave a reply that breaks the rules: %+v", damaged, got)
				}
			}
		}
	}
}

func TestEncodeInvalidText(t *testing.T) {
	for _, form := range forms {
		call := &Call{Class: "a\xffb", Options: map[string]string{"k\xff": "v"}, Entries: []Entry{{Key: "e\xff", Value: Value{Data: []byte{0xff}}}}}
		got, err := DecodeCall(form, EncodeCall(form, call), Limits{})
		if err != nil {
			t.Fatalf("%v: %v", form, err)
		}
		if got.Class != "a\uFFFDb" || got.Options["k\uFFFD"] != "v" || got.Entries[0].Key != "e\uFFFD" || got.Entries[0].Data[0] != 0xff {
			t.Errorf("%v: %+v", form, got)
		}
	}
}

func TestCallEntry(t *testing.T) {
	call := &Call{}
	for _, key := range []string{"a", "c", "e", "g"} {
		call.Entries = append(call.Entries, Entry{Key: key, Value: Value{Data: []byte(key)}})
	}
	for _, key := range []string{"", "a", "b", "c", "d", "e", "f", "g", "h"} {
		v, found := call.Entry(key)
		if want := key != "" && strings.Contains("aceg", key); found != want || found && string(v.Data) != key {
			t.Errorf("entry %q: %q, %v", key, v.Data, found)
		}
	}
}

func TestReplyChanges(t *testing.T) {
	for _, r := range []Reply{{Set: make([]Entry, 1)}, {Delete: []string{"a"}}, {Events: make([]Event, 1)}} {
		if !r.Changes() {
			t.Errorf("%+v changes nothing", r)
		}
	}
	if (&Reply{Payload: []byte("x")}).Changes() {
		t.Error("a result alone is no change")
	}
}

// Small exchanges are the hot path of every method call: few allocations, in the form that SDKs use.
func TestBinaryAllocations(t *testing.T) {
	call, reply := smallCall(), smallReply()
	callBody, replyBody := EncodeCall(Binary, call), EncodeReply(Binary, reply)
	for _, c := range []struct {
		name string
		most float64
		run  func()
	}{
		{"encode call", 2, func() { EncodeCall(Binary, call) }},
		{"decode call", 7, func() { mustDecode(DecodeCall(Binary, callBody, Limits{})) }},
		{"encode reply", 1, func() { EncodeReply(Binary, reply) }},
		{"decode reply", 6, func() { mustDecode(DecodeReply(Binary, replyBody, Limits{})) }},
	} {
		if got := testing.AllocsPerRun(100, c.run); got > c.most {
			t.Errorf("%s: %v allocations, at most %v are meant", c.name, got, c.most)
		}
	}
}

func mustDecode[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestSizeIsExact(t *testing.T) {
	r := newRandom(4)
	for range 300 {
		reply := r.reply()
		if body := EncodeReply(Binary, reply); len(body) != sizeOfReply(reply) {
			t.Fatalf("%+v takes %d bytes, not %d", reply, len(body), sizeOfReply(reply))
		}
		call := r.call()
		if body := EncodeCall(Binary, call); len(body) > sizeOfCall(call) {
			t.Fatalf("%+v takes %d bytes, more than %d", call, len(body), sizeOfCall(call))
		}
	}
	for _, v := range []uint64{0, 1, 127, 128, 1<<14 - 1, 1 << 14, math.MaxUint64} {
		if got := len(appendNumber(nil, 1, v)); got != sizeOfNumber(v) {
			t.Errorf("%d takes %d bytes, not %d", v, got, sizeOfNumber(v))
		}
	}
}

func BenchmarkCodec(b *testing.B) {
	call, reply := smallCall(), smallReply()
	for _, form := range forms {
		callBody, replyBody := EncodeCall(form, call), EncodeReply(form, reply)
		for _, c := range []struct {
			name string
			run  func()
		}{
			{"EncodeCall", func() { EncodeCall(form, call) }},
			{"DecodeCall", func() { mustDecode(DecodeCall(form, callBody, Limits{})) }},
			{"EncodeReply", func() { EncodeReply(form, reply) }},
			{"DecodeReply", func() { mustDecode(DecodeReply(form, replyBody, Limits{})) }},
		} {
			b.Run(c.name+"/"+form.String(), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					c.run()
				}
			})
		}
	}
}
