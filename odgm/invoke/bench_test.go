package invoke

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/condition"
	"github.com/hpcclab/oaas-go/odgm/engine/memory"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

// bench measures what the platform itself adds to a call: memory engine, and a function that answers at once.
func bench(b *testing.B, m call.Method, reply *function.Reply) {
	sh, err := shard.Open(shard.Config{Class: class, Engine: memory.New(), Conditions: condition.NewCache(16)})
	if err != nil {
		b.Fatal(err)
	}
	defer sh.Close()
	x := New(Config{})
	m.Name, m.URL, m.State = "m", "http://fn/", object.Everything
	m.Transport = canned{200, function.JSONReplyType, function.EncodeReply(function.JSON, reply)}
	b.ReportAllocs()
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		id := strconv.FormatInt(n.Add(1), 10)
		for pb.Next() {
			if _, err := x.Invoke(b.Context(), sh, m, call.Call{Ref: ref(id), Method: "m", Payload: []byte(`{"by":1}`)}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkInvoke(b *testing.B) {
	bench(b, call.Method{}, &function.Reply{Payload: []byte("1"), Set: []function.Entry{set("n", "1")}})
}

func BenchmarkInvokeReadonly(b *testing.B) {
	bench(b, call.Method{ReadOnly: true}, &function.Reply{Payload: []byte("1")})
}

func BenchmarkInvokeStateless(b *testing.B) {
	bench(b, call.Method{Stateless: true}, &function.Reply{Payload: []byte("1")})
}

func BenchmarkNewID(b *testing.B) {
	for b.Loop() {
		_ = NewID()
	}
}
