package oprc

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// golden is a message of testdata/golden.txt, whose bytes protoc made from .proto files that are independent of ours.
type golden struct {
	generation, message, text string
	bytes                     []byte
}

func goldens(t *testing.T, generation string) []golden {
	t.Helper()
	file, err := os.ReadFile("testdata/golden.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	for line := range strings.Lines(string(file)) {
		parts := strings.Split(strings.TrimSpace(line), "|")
		if strings.HasPrefix(line, "#") || parts[0] != generation {
			continue
		}
		encoded, err := hex.DecodeString(parts[len(parts)-1])
		if err != nil || len(parts) != 4 {
			t.Fatalf("line %q: %d parts, %v", line, len(parts), err)
		}
		all = append(all, golden{parts[0], parts[1], parts[2], encoded})
	}
	if len(all) < 8 {
		t.Fatalf("only %d messages of the %s generation", len(all), generation)
	}
	return all
}

// ours makes an empty message of our generated code.
func ours(t *testing.T, name string) proto.Message {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName("oprc." + name))
	if err != nil {
		t.Fatal(err)
	}
	return kind.New().Interface()
}

// checkKnown fails for fields that our code does not know, at any depth.
func checkKnown(t *testing.T, m protoreflect.Message) {
	t.Helper()
	if unknown := m.GetUnknown(); len(unknown) > 0 {
		t.Errorf("%s has unknown fields %x", m.Descriptor().Name(), unknown)
	}
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.IsMap() && field.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				checkKnown(t, v.Message())
				return true
			})
		case field.IsList() && field.Message() != nil:
			for i := range v.List().Len() {
				checkKnown(t, v.List().Get(i).Message())
			}
		case field.Message() != nil && !field.IsMap():
			checkKnown(t, v.Message())
		}
		return true
	})
}

func TestCurrentGeneration(t *testing.T) {
	for _, g := range goldens(t, "current") {
		t.Run(g.message, func(t *testing.T) {
			got, want := ours(t, g.message), ours(t, g.message)
			if err := proto.Unmarshal(g.bytes, got); err != nil {
				t.Fatal(err)
			}
			checkKnown(t, got.ProtoReflect())
			if err := prototext.Unmarshal([]byte(g.text), want); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(got, want) {
				t.Errorf("bytes read as\n%v\nwant\n%v", got, want)
			}
			encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
			if err != nil || string(encoded) != string(g.bytes) {
				t.Errorf("%v written as\n%x (%v), want\n%x", want, encoded, err, g.bytes)
			}
		})
	}
}

// The older messages have to come back byte by byte, and mean what the current form of the same says.
func TestOlderGeneration(t *testing.T) {
	means := []string{
		`cls_id: "example.record" partition_id: 3 object_id: "42"`,
		`cls_id: "example.record" object_id: "18446744073709551615"`,
		`cls_id: "example.record" partition_id: 1 object_id: "42" key: "4294967295"`,
		`cls_id: "example.record" partition_id: 1 object_id: "42" key: "0"`,
		`cls_id: "example.record" partition_id: 1 object_id: "42" key: "7" value { data: "1" }`,
		`cls_id: "example.record" partition_id: 1 object_id: "42" object { entries { key: "0" value { data: "zero" } }
			entries { key: "7" value { data: "seven" type: VAL_TYPE_CRDT_MAP } } event {
			data_trigger { key: "7" value { on_update { cls_id: "example.log" object_id: "5" fn_id: "add" } } }
			func_trigger { key: "store" value { on_error { object_id: "6" fn_id: "alarm" } } } } }`,
		`obj { metadata { cls_id: "example.record" partition_id: 1 object_id: "42" } entries { key: "0" value { data: "zero" } } }`,
		`partition_id: 1 object_id: "42" cls_id: "example.record" fn_id: "echo" options { key: "accept" value: "*/*" } payload: "hi"`,
		`cls_id: "example.record" partition_id: 1 object_id: "7"`,
		`metadata { object_id: "7" } entries { key: "4294967295" value { data: "last" } }`,
		`func_trigger { key: "store" value { on_complete { object_id: "0" fn_id: "a" } } } data_trigger { key: "0" value { on_delete { object_id: "9" fn_id: "d" } } }`,
		`cls_id: "example.log" partition_id: 2 object_id: "18446744073709551615" fn_id: "add" req_options { key: "x" value: "y" }`,
		`value { data: "\000\377" type: VAL_TYPE_CRDT_MAP }`,
		`source_cls_id: "example.record" source_partition_id: 1 source_object_id: "42" event_type: EVENT_TYPE_FUNC_ERROR fn_id: "store" timestamp: 1750000000000
			context { key: "a" value: "b" }`,
		`event_info { source_object_id: "42" event_type: EVENT_TYPE_FUNC_COMPLETE } original_payload: "p"`,
		`partition_id: 1 cls_id: "example.record" fn_id: "echo" options { key: "accept" value: "*/*" } payload: "hi"`,
		`payload: "out" status: APP_ERROR headers { key: "content-type" value: "text/plain" } invocation_id: "i"`,
		`url: "http://fn:8080" stateless: true standby: true active_group: 1 active_group: 300`,
	}
	for i, g := range goldens(t, "older") {
		t.Run(g.message, func(t *testing.T) {
			got, want := ours(t, g.message), ours(t, g.message)
			if err := proto.Unmarshal(g.bytes, got); err != nil {
				t.Fatal(err)
			}
			checkKnown(t, got.ProtoReflect())
			encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(got)
			if err != nil || string(encoded) != string(g.bytes) {
				t.Errorf("written as\n%x (%v), want\n%x", encoded, err, g.bytes)
			}
			if err := prototext.Unmarshal([]byte(means[i]), want); err != nil {
				t.Fatal(err)
			}
			toText(got)
			if !proto.Equal(got, want) {
				t.Errorf("means\n%v\nwant\n%v", got, want)
			}
		})
	}
}

// toText brings a message to the current form, as servers do field by field.
func toText(m proto.Message) {
	id := func(text **string, number **uint64) bool {
		got, older := ObjectID(*text, *number)
		*text, *number = &got, nil
		return older
	}
	key := func(text **string, number **uint32, older bool) {
		got := EntryKey(*text, *number, older)
		*text, *number = &got, nil
	}
	switch m := m.(type) {
	case *SingleObjectRequest:
		id(&m.ObjectId, &m.NumericObjectId)
	case *SingleKeyRequest:
		key(&m.Key, &m.NumericKey, id(&m.ObjectId, &m.NumericObjectId))
	case *SetKeyRequest:
		key(&m.Key, &m.NumericKey, id(&m.ObjectId, &m.NumericObjectId))
	case *SetObjectRequest:
		id(&m.ObjectId, &m.NumericObjectId)
		m.Object.ToText()
	case *ObjectInvocationRequest:
		id(&m.ObjectId, &m.NumericObjectId)
	case *ObjectResponse:
		m.Obj.ToText()
	case *ObjData:
		m.ToText()
	case *ObjectEvent:
		m.ToText()
	case *ObjMeta:
		id(&m.ObjectId, &m.NumericObjectId)
	case *TriggerTarget:
		id(&m.ObjectId, &m.NumericObjectId)
	case *EventInfo:
		id(&m.SourceObjectId, &m.NumericSourceObjectId)
	case *TriggerPayload:
		toText(m.EventInfo)
	}
}

// The key of an event is the one field whose number both generations use: the older form is kept as it is, and does not pass for the other.
func TestOlderEventKey(t *testing.T) {
	encoded := []byte{1<<3 | 2, 1, 'c', 6 << 3, 7} // source_cls_id: "c" key: 7
	info := &EventInfo{}
	if err := proto.Unmarshal(encoded, info); err != nil || info.Key != nil || info.GetSourceClsId() != "c" {
		t.Fatalf("read as %v, %v", info, err)
	}
	if again, err := proto.Marshal(info); err != nil || string(again) != string(encoded) {
		t.Errorf("written as %x, %v", again, err)
	}
}

// older makes an empty message of the older generation's own .proto file.
func older(t *testing.T, name protoreflect.Name) *dynamicpb.Message {
	t.Helper()
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{ImportPaths: []string{"testdata"}}}
	files, err := compiler.Compile(t.Context(), "older.proto")
	if err != nil {
		t.Fatal(err)
	}
	return dynamicpb.NewMessage(files[0].Messages().ByName(name))
}

// What is written in both forms is read by both generations, and each sees all that it can.
func TestBothFormsSideBySide(t *testing.T) {
	object := &ObjData{}
	if err := prototext.Unmarshal([]byte(`metadata { cls_id: "example.record" partition_id: 1 object_id: "42" }
		entries { key: "0" value { data: "zero" } } entries { key: "007" value { data: "text" } } entries { key: "name" value { data: "n" } }
		event { data_trigger { key: "3" value { on_create { fn_id: "c" object_id: "9" } on_delete { fn_id: "d" object_id: "x" } } }
			data_trigger { key: "4294967296" value { } } }`), object); err != nil {
		t.Fatal(err)
	}
	before := proto.CloneOf(object)
	both := object.WithNumbers()
	if !proto.Equal(object, before) {
		t.Errorf("the object was changed to %v", object)
	}
	encoded, err := proto.Marshal(both)
	if err != nil {
		t.Fatal(err)
	}
	seen := older(t, "ObjData")
	want := seen.New().Interface()
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(encoded, seen); err != nil {
		t.Fatal(err)
	}
	if err := prototext.Unmarshal([]byte(`metadata { cls_id: "example.record" partition_id: 1 object_id: 42 }
		entries { key: 0 value { data: "zero" } }
		event { data_trigger { key: 3 value { on_create { fn_id: "c" object_id: 9 } on_delete { fn_id: "d" } } } }`), want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(seen, want) {
		t.Errorf("the older generation sees\n%v\nwant\n%v", seen, want)
	}
	both.ToText()
	if !proto.Equal(both, before) {
		t.Errorf("the current generation sees\n%v\nwant\n%v", both, before)
	}
}

func TestTextCountsBeforeNumbers(t *testing.T) {
	d := &ObjData{
		Metadata:       &ObjMeta{ObjectId: new("a"), NumericObjectId: new(uint64(5))},
		Entries:        map[string]*ValData{"1": {Data: []byte("text")}},
		NumericEntries: map[uint32]*ValData{1: {Data: []byte("number")}, 2: {Data: []byte("number")}},
	}
	d.ToText()
	if id := d.GetMetadata().GetObjectId(); id != "a" || d.GetMetadata().NumericObjectId != nil {
		t.Errorf("id is %q", id)
	}
	if got := string(d.Entries["1"].Data) + string(d.Entries["2"].Data); got != "textnumber" || d.NumericEntries != nil {
		t.Errorf("entries are %v", d)
	}
	for _, c := range []struct {
		text   *string
		number *uint64
		id     string
		older  bool
	}{
		{nil, nil, "", false}, {new(""), nil, "", false}, {new(""), new(uint64(0)), "0", true}, {new("x"), new(uint64(1)), "x", true}, {new("x"), nil, "x", false},
	} {
		if id, older := ObjectID(c.text, c.number); id != c.id || older != c.older {
			t.Errorf("%v gives %q, %v", c, id, older)
		}
	}
	for _, c := range []struct {
		text   *string
		number *uint32
		older  bool
		want   string
	}{
		{nil, nil, false, ""}, {nil, nil, true, "0"}, {new(""), nil, true, ""}, {nil, new(uint32(0)), false, "0"}, {new("k"), new(uint32(1)), true, "k"},
	} {
		if key := EntryKey(c.text, c.number, c.older); key != c.want {
			t.Errorf("%v gives %q", c, key)
		}
	}
}

func TestNumber(t *testing.T) {
	for text, want := range map[string]bool{
		"0": true, "42": true, "4294967295": true, "4294967296": false, "": false, "00": false, "01": false, "+1": false, "-1": false, "1_0": false, "a": false, " 1": false,
	} {
		if _, ok := Number(text, 32); ok != want {
			t.Errorf("%q is a number: %v", text, ok)
		}
	}
	if n := NumericID("18446744073709551615"); n == nil || *n != 1<<64-1 {
		t.Errorf("greatest id gives %v", n)
	}
	if n := NumericID("18446744073709551616"); n != nil {
		t.Errorf("too great an id gives %v", *n)
	}
}

// Nothing that is not given must make either form fail.
func TestNothingToTranslate(t *testing.T) {
	var none *ObjData
	none.ToText()
	(&ObjData{Event: &ObjectEvent{DataTrigger: map[string]*DataTrigger{"a": nil}, FuncTrigger: map[string]*FuncTrigger{"f": {OnError: []*TriggerTarget{nil}}}}}).ToText()
	if both := none.WithNumbers(); both.Metadata != nil || both.Event != nil || both.Entries != nil || both.NumericEntries != nil {
		t.Errorf("nothing gives %v", both)
	}
}
