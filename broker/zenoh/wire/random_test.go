package wire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// generator makes random messages, of which each field is absent about half of the time.
type generator struct{ *rand.Rand }

func (g generator) coin() bool { return g.IntN(2) == 0 }

func (g generator) blob(most int) []byte {
	if g.coin() {
		return nil
	}
	b := make([]byte, g.IntN(most+1))
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

// text is blob of characters, and never empty but not nil.
func (g generator) text(most int) []byte {
	if g.coin() {
		return nil
	}
	return []byte(strings.Repeat("aé/", 1+g.IntN(most)))
}

// number is often at a border.
func (g generator) number(limit uint64) uint64 {
	v := g.Uint64() >> g.IntN(64)
	if g.IntN(8) == 0 {
		v = limit
	}
	return v & limit
}

func (g generator) u32() uint32 { return uint32(g.number(1<<32 - 1)) }
func (g generator) u16() uint16 { return uint16(g.number(1<<16 - 1)) }

func (g generator) zid() ZID {
	var id ZID
	for i := range 1 + g.IntN(16) {
		id[i] = byte(g.Uint32())
	}
	id[0] |= 1
	return id
}

func (g generator) role() WhatAmI { return 1 << g.IntN(3) }
func (g generator) key() WireExpr {
	return WireExpr{Scope: g.u16(), Mapping: Mapping(g.IntN(2)), Suffix: g.text(40)}
}
func (g generator) maybeNode() (n uint16) { return g.u16() * uint16(g.IntN(2)) }

func (g generator) qos() QoS {
	return QoS{Priority: PriorityOf(g.Uint64()), Congestion: CongestionControl(g.IntN(3)), Express: g.coin()}
}

func (g generator) stamp() Timestamp {
	if g.coin() {
		return Timestamp{}
	}
	return Timestamp{Time: g.number(1<<64 - 1), ID: g.zid()}
}

func (g generator) encoding() Encoding { return Encoding{ID: g.u32() >> 1, Schema: g.text(60)} }

func (g generator) entity() EntityID {
	if g.coin() {
		return EntityID{}
	}
	return EntityID{ZID: g.zid(), EID: g.u32()}
}

func (g generator) source() SourceInfo {
	if id := g.entity(); !id.ZID.IsZero() {
		return SourceInfo{ID: id, SN: g.u32()}
	}
	return SourceInfo{}
}

// extra makes extensions that nobody knows.
func (g generator) extra() (list []Extension) {
	for range g.IntN(3) {
		switch g.IntN(3) {
		case 0:
			list = append(list, Extension{ID: 0x0e})
		case 1:
			list = append(list, Extension{ID: 0x2d, Value: g.number(1<<64 - 1)})
		case 2:
			list = append(list, Extension{ID: 0x4c, Body: append([]byte{}, g.blob(10)...)})
		}
	}
	return list
}

func (g generator) data() Data {
	d := Data{Delete: g.IntN(4) == 0, Timestamp: g.stamp(), Source: g.source(), Attachment: g.blob(300), Extra: g.extra()}
	if !d.Delete {
		d.Encoding, d.Payload = g.encoding(), append([]byte{}, g.blob(300)...)
	}
	return d
}

func (g generator) sizes() (Sizes, bool) {
	if g.coin() {
		return DefaultSizes, g.coin()
	}
	return Sizes{Resolution: Resolution(g.IntN(16)), BatchSize: g.u16()/2 + 1}, true
}

func (g generator) lease() time.Duration { return time.Duration(g.IntN(100_000)) * time.Millisecond }

func (g generator) network() Message {
	switch g.IntN(7) {
	case 0:
		return &Push{Key: g.key(), QoS: g.qos(), Timestamp: g.stamp(), NodeID: g.maybeNode(), Data: g.data()}
	case 1:
		m := &Request{ID: g.u32(), Key: g.key(), QoS: g.qos(), Timestamp: g.stamp(), Target: Target(g.IntN(3)), Budget: g.u32(),
			Timeout: g.lease(), NodeID: g.maybeNode(), Query: Query{Consolidation: Consolidation(g.IntN(4)), Parameters: g.text(50),
				Source: g.source(), Payload: g.blob(300), Attachment: g.blob(300), Extra: g.extra()}}
		if m.Query.Payload != nil {
			m.Query.Encoding = g.encoding()
		}
		return m
	case 2:
		m := &Response{ID: g.u32(), Key: g.key(), QoS: g.qos(), Timestamp: g.stamp(), Responder: g.entity(), IsErr: g.coin()}
		if m.IsErr {
			m.Err = ReplyErr{Encoding: g.encoding(), Source: g.source(), Payload: append([]byte{}, g.blob(300)...), Extra: g.extra()}
		} else {
			m.Reply = Reply{Consolidation: Consolidation(g.IntN(4)), Extra: g.extra(), Data: g.data()}
		}
		return m
	case 3:
		return &ResponseFinal{ID: g.u32(), QoS: g.qos(), Timestamp: g.stamp()}
	case 4:
		return g.declare()
	case 5:
		m := &Interest{ID: g.u32(), Mode: InterestMode(g.IntN(4)), QoS: g.qos(), Timestamp: g.stamp(), NodeID: g.maybeNode()}
		if m.Mode != InterestFinal {
			m.Options = InterestOptions(g.Uint32()) & interestChosen
			if m.Restricted = g.coin(); m.Restricted {
				m.Key = g.key()
			}
		}
		return m
	}
	m := &OAM{ID: g.u16(), QoS: g.qos(), Timestamp: g.stamp(), HasValue: g.IntN(3) == 0}
	if m.HasValue {
		m.Value = g.number(1<<64 - 1)
	} else {
		m.Body = g.blob(100)
	}
	return m
}

func (g generator) declare() *Declare {
	kinds := []DeclareKind{0, 1, 2, 3, 4, 5, 6, 7, DeclareFinal}
	m := &Declare{Kind: kinds[g.IntN(len(kinds))], Answer: g.coin(), QoS: g.qos(), Timestamp: g.stamp(), NodeID: g.maybeNode()}
	if m.Answer {
		m.InterestID = g.u32()
	}
	switch {
	case m.Kind == DeclareKeyExpr:
		m.ID, m.Key = uint32(g.u16()), g.key()
		m.Key.Mapping = Sender
	case m.Kind == UndeclareKeyExpr:
		m.ID = uint32(g.u16())
	case m.Kind == DeclareFinal:
	default:
		m.ID = g.u32()
		if m.WithKey = m.Kind.undeclares() && g.coin(); m.WithKey || !m.Kind.undeclares() {
			m.Key = g.key()
		}
		if m.Kind == DeclareQueryable {
			m.Queryable = QueryableInfo{Complete: g.coin(), Distance: g.u16()}
		}
	}
	return m
}

func (g generator) transport() Message {
	switch g.IntN(8) {
	case 0:
		m := &Init{Ack: g.coin(), WhatAmI: g.role(), ZID: g.zid(), QoS: g.coin(), QoSLink: g.u64(), Shm: g.blob(20), Auth: g.blob(50),
			MultiLink: g.blob(80), LowLatency: g.coin(), Compression: g.coin(), Patch: g.u64(), Region: g.text(10)}
		m.Sizes, m.AlwaysSizes = g.sizes()
		if m.Ack {
			m.Cookie = append([]byte{}, g.blob(100)...)
		}
		return m
	case 1:
		m := &Open{Ack: g.coin(), Lease: g.lease(), InitialSN: g.u32(), QoS: g.coin(), Shm: g.u64(), Auth: g.blob(50), LowLatency: g.coin(),
			Compression: g.coin(), Bound: g.u64()}
		if !m.Ack {
			m.Cookie, m.MultiLink = append([]byte{}, g.blob(100)...), g.blob(50)
		} else if g.coin() {
			m.MultiLink = []byte{}
		}
		return m
	case 2:
		return &Close{Session: g.coin(), Reason: CloseReason(g.IntN(256))}
	case 3:
		return &KeepAlive{}
	case 4:
		return &Frame{Reliable: g.coin(), SN: g.u32(), Priority: PriorityOf(g.Uint64())}
	case 5:
		m := &Join{WhatAmI: g.role(), ZID: g.zid(), Lease: g.lease(), ReliableSN: g.u32(), BestEffortSN: g.u32(), Patch: g.u64()}
		m.Sizes, m.AlwaysSizes = g.sizes()
		if g.coin() {
			m.Lanes = new([8]LaneSN)
			for i := range m.Lanes {
				m.Lanes[i] = LaneSN{g.u32(), g.u32()}
			}
		}
		return m
	case 6:
		m := &TransportOAM{ID: g.u16(), Priority: PriorityOf(g.Uint64()), HasValue: g.coin()}
		if m.HasValue {
			m.Value = g.number(1<<64 - 1)
		} else {
			m.Body = g.blob(100)
		}
		return m
	}
	return &Fragment{Reliable: g.coin(), More: g.coin(), SN: g.u32(), Priority: PriorityOf(g.Uint64()), First: g.coin(), Drop: g.coin(),
		Payload: append([]byte{}, g.blob(100)...)}
}

func (g generator) u64() uint64 { return g.number(1<<64-1) * uint64(g.IntN(2)) }

func TestRoundTrip(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(5, 6))}
	var d Decoder // one for all, so that nothing of a message may stay behind for the next
	for range 50_000 {
		want := g.transport()
		if g.coin() {
			want = g.network()
		}
		b, err := want.AppendBinary([]byte("before"))
		if err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		b = b[len("before"):]
		if d.Reset(b); isNetwork(want) {
			d.ResetNetwork(b)
		}
		got, err := d.Next()
		if err != nil || d.More() {
			t.Fatalf("%+v\n%x: %v, more %v", want, b, err, d.More())
		}
		if g, w := show(got), show(want); g != w {
			t.Fatalf("%x\n got %s\nwant %s", b, g, w)
		}
		if again, err := got.AppendBinary(nil); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%s\n got %x, %v\nwant %x", show(got), again, err, b)
		}
	}
}

func isNetwork(m Message) bool { _, ok := m.(Network); return ok }

// TestRelay hands on bodies as they were, beneath another key.
func TestRelay(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(7, 8))}
	var in, out Decoder
	for range 5_000 {
		b, err := g.network().AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		in.ResetNetwork(b)
		m, err := in.Next()
		if err != nil {
			t.Fatal(err)
		}
		want, key := show(m), g.key()
		var relayed Message
		switch m := m.(type) {
		case *Push:
			relayed = &Push{Key: key, QoS: m.QoS, Timestamp: m.Timestamp, NodeID: m.NodeID, Data: Data{Raw: m.Data.Encoded()}}
			m.Key = key
			want = show(m)
		case *Request:
			c := *m
			c.Query = Query{Raw: m.Query.Encoded()}
			relayed = &c
		case *Response:
			c := *m
			c.Reply, c.Err, c.Raw = Reply{}, ReplyErr{}, m.Encoded()
			relayed = &c
		default:
			continue
		}
		b, err = relayed.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		out.ResetNetwork(b)
		if got, err := out.Next(); err != nil || show(got) != want {
			t.Fatalf("got %s, %v\nwant %s", show(got), err, want)
		}
	}
}

// show gives the exported fields of a message, with the difference between absent and empty byte strings, but not between lists.
func show(m any) string {
	var out strings.Builder
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch {
		case v.Kind() == reflect.Pointer && !v.IsNil():
			walk(v.Elem())
		case v.Kind() == reflect.Struct:
			for field, value := range v.Fields() {
				if field.IsExported() {
					out.WriteString(field.Name + ":")
					walk(value)
				}
			}
		case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
			fmt.Fprintf(&out, "%v %x ", v.IsNil(), v.Bytes())
		case v.Kind() == reflect.Slice:
			fmt.Fprintf(&out, "%d[", v.Len())
			for i := range v.Len() {
				walk(v.Index(i))
			}
			out.WriteString("] ")
		default:
			fmt.Fprintf(&out, "%v ", v.Interface())
		}
	}
	walk(reflect.ValueOf(m))
	return reflect.TypeOf(m).String() + " " + out.String()
}

// count adds the names of the types of the messages of a batch.
func count(t testing.TB, b []byte, seen map[string]int) {
	t.Helper()
	var d Decoder
	for d.Reset(b); d.More(); {
		m, err := d.Next()
		if err != nil {
			return // told by who decodes in earnest
		}
		seen[reflect.TypeOf(m).Elem().Name()]++
	}
}
