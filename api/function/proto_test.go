package function

import (
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// schema compiles exchange.proto, which other languages generate their code from.
func schema(t testing.TB) protoreflect.MessageDescriptors {
	t.Helper()
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{}}
	files, err := compiler.Compile(t.Context(), "exchange.proto")
	if err != nil {
		t.Fatal(err)
	}
	return files[0].Messages()
}

// The codec of this package and the protobuf library must understand each other, in both directions.
func TestBinaryIsProtobuf(t *testing.T) {
	messages := schema(t)
	r := newRandom(5)
	for range 300 {
		call := r.call()
		body := reencode(t, messages.ByName("Call"), EncodeCall(Binary, call))
		got, err := DecodeCall(Binary, body, Limits{})
		if err != nil || !same(call, got) {
			t.Fatalf("call through protobuf: %v\n sent %+v\n  got %+v", err, call, got)
		}
		reply := r.reply()
		body = reencode(t, messages.ByName("Reply"), EncodeReply(Binary, reply))
		back, err := DecodeReply(Binary, body, Limits{})
		if err != nil {
			t.Fatalf("reply through protobuf: %v\n sent %+v", err, reply)
		}
		if sortEntries(back.Set) != nil || !same(reply, back) {
			t.Fatalf("reply through protobuf:\n sent %+v\n  got %+v", reply, back)
		}
	}
}

// reencode reads a body with the protobuf library, insists that it knows every field, and writes it again.
func reencode(t *testing.T, kind protoreflect.MessageDescriptor, body []byte) []byte {
	t.Helper()
	message := dynamicpb.NewMessage(kind)
	if err := proto.Unmarshal(body, message); err != nil {
		t.Fatalf("%s: %v", kind.Name(), err)
	}
	noUnknown(t, message)
	again, err := proto.Marshal(message)
	if err != nil {
		t.Fatalf("%s: %v", kind.Name(), err)
	}
	return again
}

func noUnknown(t *testing.T, message protoreflect.Message) {
	t.Helper()
	if unknown := message.GetUnknown(); len(unknown) > 0 {
		t.Fatalf("%s has unknown fields: %x", message.Descriptor().Name(), unknown)
	}
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap() && field.MapValue().Message() != nil:
			value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				noUnknown(t, v.Message())
				return true
			})
		case field.IsList() && field.Message() != nil:
			for i := range value.List().Len() {
				noUnknown(t, value.List().Get(i).Message())
			}
		}
		return true
	})
}

// The library also has names for what the fields mean; a swapped number would go unnoticed by re-encoding.
func TestProtobufFieldNames(t *testing.T) {
	messages := schema(t)
	message := dynamicpb.NewMessage(messages.ByName("Call"))
	if err := proto.Unmarshal(EncodeCall(Binary, smallCall()), message); err != nil {
		t.Fatal(err)
	}
	get := func(name protoreflect.Name) protoreflect.Value {
		return message.Get(message.Descriptor().Fields().ByName(name))
	}
	for name, want := range map[protoreflect.Name]any{
		"class": "shop.cart", "partition": uint32(0), "object": "c1", "method": "add", "readonly": false, "version": uint64(3), "exists": true,
		"content_type": "application/json", "caller": "external",
	} {
		if got := get(name).Interface(); got != want {
			t.Errorf("%s is %v, not %v", name, got, want)
		}
	}
	entry := get("entries").Map().Get(protoreflect.ValueOfString("total").MapKey()).Message()
	if version := entry.Get(entry.Descriptor().Fields().ByName("version")).Uint(); version != 3 {
		t.Errorf("version of total is %d", version)
	}
	if got := get("options").Map().Get(protoreflect.ValueOfString("accept").MapKey()).String(); got != "application/json" {
		t.Errorf("option accept is %q", got)
	}
}
