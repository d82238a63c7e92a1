package invoke

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/condition"
	"github.com/hpcclab/oaas-go/odgm/engine/memory"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

// instant is a shard that does nothing, so that what remains of a call is the work of this package and of the mailbox.
type instant struct{}

var _ Shard = instant{}

func (instant) Do(context.Context, *record.Command) (shard.Result, error) {
	return shard.Result{Version: 2}, nil
}

func (instant) Object(_ context.Context, id string, _ object.Selector) (object.Object, error) {
	return object.Object{Meta: object.Meta{ID: id, Version: 1}, State: oneEntry}, nil
}

func (instant) StoredResult(context.Context, string, string, string) (*record.StoredResult, error) {
	return nil, nil
}

func (instant) Wants(string, string, oprc.EventType) bool { return false }

var oneEntry = []object.Entry{{Key: "n", Data: []byte("1"), Version: 1}}

// bench measures what the platform itself adds to a call: tracing is off, and the function answers at once.
func bench(b *testing.B, sh Shard, form function.Form, m call.Method, reply *function.Reply) {
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(noop.NewTracerProvider())
	defer otel.SetTracerProvider(before)
	x := New(Config{})
	m.Name, m.URL, m.State = "m", "http://fn/", object.Everything
	m.Transport = canned{200, form.ReplyType(), function.EncodeReply(form, reply)}
	b.ReportAllocs()
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		id := strconv.FormatInt(n.Add(1), 10)
		c := call.Call{ID: NewID(), Ref: ref(id), Method: "m", Payload: []byte(`{"by":1}`)}
		for pb.Next() {
			if _, err := x.Invoke(b.Context(), sh, m, c); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func inMemory(b *testing.B) Shard {
	sh, err := shard.Open(shard.Config{Class: class, Engine: memory.New(), Conditions: condition.NewCache(16)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := sh.Close(); err != nil {
			b.Error(err)
		}
	})
	return sh
}

func BenchmarkInvoke(b *testing.B) {
	reply := &function.Reply{Payload: []byte("1"), Set: []function.Entry{set("n", "1")}}
	b.Run("json", func(b *testing.B) { bench(b, inMemory(b), function.JSON, call.Method{}, reply) })
	b.Run("binary", func(b *testing.B) { bench(b, inMemory(b), function.Binary, call.Method{}, reply) })
	b.Run("alone", func(b *testing.B) { bench(b, instant{}, function.Binary, call.Method{}, reply) })
}

func BenchmarkInvokeReadonly(b *testing.B) {
	bench(b, inMemory(b), function.JSON, call.Method{ReadOnly: true}, &function.Reply{Payload: []byte("1")})
}

func BenchmarkInvokeStateless(b *testing.B) {
	bench(b, inMemory(b), function.JSON, call.Method{Stateless: true}, &function.Reply{Payload: []byte("1")})
}

func BenchmarkNewID(b *testing.B) {
	for b.Loop() {
		_ = NewID()
	}
}
