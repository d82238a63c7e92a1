package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/engine/backend"
)

// everywhere runs a test on each way in and on an engine in memory and one on disk.
func everywhere(t *testing.T, test func(*testing.T, *rig)) {
	for _, opt := range []rigOptions{{engine: backend.Memory}, {engine: backend.Pebble}, {http: true}, {split: true}} {
		t.Run(fmt.Sprintf("%s/http=%v/split=%v", opt.engine, opt.http, opt.split), func(t *testing.T) { test(t, newRig(t, opt)) })
	}
}

func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// same compares a message with its text.
func same[M proto.Message](t testing.TB, got M, text string) {
	t.Helper()
	want := got.ProtoReflect().New().Interface()
	if err := prototext.Unmarshal([]byte(text), want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Errorf("got\n  %v\nwant\n  %v", got, want)
	}
}

func TestObjects(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		key := &oprc.SingleObjectRequest{ClsId: class, PartitionId: 1, ObjectId: new("Order-1")}
		_, err := r.data.Set(r.ctx(), &oprc.SetObjectRequest{ClsId: class, PartitionId: 1, ObjectId: new("ORDER-1"), Object: &oprc.ObjData{
			Metadata: &oprc.ObjMeta{ClsId: "ignored", ObjectId: new("ignored")},
			Entries:  map[string]*oprc.ValData{"A": {Data: []byte("1")}, "b": {Data: []byte{0, 255}, Type: oprc.ValType_VAL_TYPE_CRDT_MAP}, "c": {}},
		}})
		must(t, 0, err)
		object := r.get(key)
		same(t, object, `obj { metadata { cls_id: "example.record" partition_id: 1 object_id: "order-1" }
			entries { key: "a" value { data: "1" } } entries { key: "b" value { data: "\000\377" type: VAL_TYPE_CRDT_MAP } } entries { key: "c" value {} } }`)

		// entries that are not named stay, triggers are replaced as a whole
		_, err = r.data.Set(r.ctx(), &oprc.SetObjectRequest{ClsId: class, PartitionId: 1, ObjectId: new("order-1"), Object: &oprc.ObjData{
			Event:   &oprc.ObjectEvent{FuncTrigger: map[string]*oprc.FuncTrigger{"store": {OnError: []*oprc.TriggerTarget{{FnId: "alarm"}}}}},
			Entries: map[string]*oprc.ValData{"d": {Data: []byte("4")}},
		}})
		must(t, 0, err)
		merged, err := r.data.Merge(r.ctx(), &oprc.SetObjectRequest{ClsId: class, PartitionId: 1, ObjectId: new("order-1"), Object: &oprc.ObjData{
			Entries: map[string]*oprc.ValData{"a": {Data: []byte("2")}},
		}})
		must(t, 0, err)
		same(t, merged, `obj { metadata { cls_id: "example.record" partition_id: 1 object_id: "order-1" }
			event { func_trigger { key: "store" value { on_error { fn_id: "alarm" } } } }
			entries { key: "a" value { data: "2" } } entries { key: "b" value { data: "\000\377" type: VAL_TYPE_CRDT_MAP } }
			entries { key: "c" value {} } entries { key: "d" value { data: "4" } } }`)

		for range 2 { // the second time there is none
			_, err = r.data.Delete(r.ctx(), key)
			must(t, 0, err)
			_, err = r.data.Get(r.ctx(), key)
			if st := status.Convert(err); st.Code() != codes.NotFound || st.Message() != "object not found" {
				t.Errorf("deleted object gives %v", st)
			}
		}
		// an empty object is one too
		_, err = r.data.Set(r.ctx(), &oprc.SetObjectRequest{ClsId: class, ObjectId: new("empty"), Object: &oprc.ObjData{}})
		must(t, 0, err)
		object = r.get(&oprc.SingleObjectRequest{ClsId: class, ObjectId: new("empty")})
		same(t, object, `obj { metadata { cls_id: "example.record" object_id: "empty" } }`)
	})
}

// get gives an object that there is.
func (r *rig) get(request *oprc.SingleObjectRequest) *oprc.ObjectResponse {
	r.t.Helper()
	object, err := r.data.Get(r.ctx(), request)
	if err != nil {
		r.t.Fatal(err)
	}
	return object
}

func TestEntries(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		get := func(key string) *oprc.ValueResponse {
			t.Helper()
			v, err := r.data.GetValue(r.ctx(), &oprc.SingleKeyRequest{ClsId: class, ObjectId: new("o"), Key: &key})
			return must(t, v, err)
		}
		same(t, get("n"), `key: "n"`)
		for i := range 2 {
			_, err := r.data.SetValue(r.ctx(), &oprc.SetKeyRequest{ClsId: class, ObjectId: new("O"), Key: new("N"), Value: &oprc.ValData{Data: fmt.Append(nil, i)}})
			must(t, 0, err)
		}
		same(t, get("N"), `value { data: "1" } object_version: 2 key: "n"`)
		same(t, get("other"), `object_version: 2 key: "other"`)
		for range 2 { // the second time there is none, and the version stays
			_, err := r.data.DeleteValue(r.ctx(), &oprc.SingleKeyRequest{ClsId: class, ObjectId: new("o"), Key: new("n")})
			must(t, 0, err)
			same(t, get("n"), `object_version: 3 key: "n"`)
		}
		_, err := r.data.DeleteValue(r.ctx(), &oprc.SingleKeyRequest{ClsId: class, ObjectId: new("none"), Key: new("n")})
		must(t, 0, err)
		if dump := r.dump(); strings.Contains(dump, "none") {
			t.Errorf("deleting an entry of no object made one: %s", dump)
		}
	})
}

func TestBatch(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		batch := func(expect *uint64, deletes []string, sets ...string) error {
			values := map[string]*oprc.ValData{}
			for _, key := range sets {
				values[key] = &oprc.ValData{Data: []byte(key)}
			}
			_, err := r.data.BatchSetValues(r.ctx(), &oprc.BatchSetValuesRequest{
				ClsId: class, ObjectId: new("o"), Values: values, DeleteKeys: deletes, ExpectedObjectVersion: expect,
			})
			return err
		}
		must(t, 0, batch(new(uint64(0)), nil, "a", "B"))
		must(t, 0, batch(new(uint64(1)), []string{"a", "A", "none"}, "c"))
		for range 2 {
			st := status.Convert(batch(new(uint64(1)), []string{"b"}, "a", "d"))
			if st.Code() != codes.Aborted || st.Message() != "Version mismatch: expected 1, got 2" {
				t.Errorf("wrong version gives %v", st)
			}
		}
		must(t, 0, batch(new(uint64(77)), nil))          // nothing to do, nothing to compare
		must(t, 0, batch(nil, []string{"X"}, "x", "y"))  // set and deleted is gone
		must(t, 0, batch(nil, []string{"none", "none"})) // no change
		if got, want := r.dump(), `example.record/0/o v3 b="B"/0 c="c"/0 y="y"/0 <nil>`+"\n"; got != want {
			t.Errorf("got %swant %s", got, want)
		}
	})
}

// collect reads a stream to its end.
func collect[M any](s grpc.ServerStreamingClient[M], err error) ([]*M, error) {
	if err != nil {
		return nil, err
	}
	var all []*M
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, m)
	}
}

func TestLists(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		var want []string
		for i := range 130 {
			id := fmt.Sprintf("n%03d", i)
			r.set(id, "k=1", "long.key=2")
			want = append(want, id)
		}
		r.set("other", "k=1")
		var got []string
		var cursor []byte
		pages := 0
		for pages = 1; ; pages++ {
			rows, err := collect(r.data.ListObjects(r.ctx(), &oprc.ListObjectsRequest{ClsId: class, ObjectIdPrefix: new("N"), Limit: 50, Cursor: cursor}))
			must(t, 0, err)
			for i, row := range rows {
				got = append(got, row.GetObjectId())
				if row.GetVersion() != 1 || row.GetEntryCount() != 2 || (row.NextCursor != nil) != (i == 49) {
					t.Errorf("row %d is %v", i, row)
				}
			}
			if cursor = rows[len(rows)-1].GetNextCursor(); cursor == nil {
				break
			}
		}
		if !slices.Equal(got, want) || pages != 3 {
			t.Errorf("%d pages with %v", pages, got)
		}
		rows, err := collect(r.data.ListObjects(r.ctx(), &oprc.ListObjectsRequest{ClsId: class}))
		if must(t, 0, err); len(rows) != 100 {
			t.Errorf("no limit gives %d", len(rows))
		}
		for cursor, code := range map[string]codes.Code{
			"zzz": codes.OK, "\xff": codes.InvalidArgument, "\x00": codes.InvalidArgument, strings.Repeat("x", 5000): codes.InvalidArgument,
		} {
			_, err := collect(r.data.ListObjects(r.ctx(), &oprc.ListObjectsRequest{ClsId: class, Cursor: []byte(cursor), ObjectIdPrefix: new("n")}))
			if status.Code(err) != code {
				t.Errorf("objects from cursor %.9q: %v, want %v", cursor, err, code)
			}
			_, err = collect(r.data.ListValues(r.ctx(), &oprc.ListValuesRequest{ClsId: class, ObjectId: new("other"), Cursor: []byte(cursor)}))
			if status.Code(err) != code {
				t.Errorf("entries from cursor %.9q: %v, want %v", cursor, err, code)
			}
		}
		testListValues(t, r)
	})
}

func testListValues(t *testing.T, r *rig) {
	r.set("o", "b=2", "aa=1", "c=3", "n.long=5", "n=4", "other=6")
	list := func(prefix string, limit uint32, cursor []byte) []*oprc.ValueEnvelope {
		t.Helper()
		rows, err := collect(r.data.ListValues(r.ctx(), &oprc.ListValuesRequest{ClsId: class, ObjectId: new("o"), KeyPrefix: &prefix, Limit: limit, Cursor: cursor}))
		return must(t, rows, err)
	}
	rows := list("", 2, nil)
	if len(rows) != 2 {
		t.Fatalf("got %v", rows)
	}
	same(t, rows[0], `key: "aa" value { data: "1" } version: 1`)
	rows[1].NextCursor = nil
	same(t, rows[1], `key: "b" value { data: "2" } version: 1`)
	rows = list("", 2, list("", 2, nil)[1].GetNextCursor())
	if rows[0].GetKey() != "c" || rows[1].GetKey() != "n" {
		t.Errorf("second page is %v", rows)
	}
	// a prefix finds keys of every length
	if rows = list("N", 0, nil); len(rows) != 2 || rows[1].GetKey() != "n.long" || rows[1].NextCursor != nil {
		t.Errorf("prefix gives %v", rows)
	}
	rows, err := collect(r.data.ListValues(r.ctx(), &oprc.ListValuesRequest{ClsId: class, ObjectId: new("none")}))
	if err != nil || len(rows) != 0 {
		t.Errorf("unknown object gives %v, %v", rows, err)
	}
}

func TestStatsAndCapabilities(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.set("a", "k=1")
	r.set("b", "k=1")
	_, err := r.data.Delete(r.ctx(), &oprc.SingleObjectRequest{ClsId: class, ObjectId: new("b")})
	must(t, 0, err)
	stats, err := r.data.Stats(r.ctx(), &oprc.StatsRequest{})
	must(t, 0, err)
	same(t, stats, `shards { collection: "example.record" shard_id: 16960536729498181731 count: 1 }
		shards { collection: "example.record" partition_id: 1 shard_id: 16960535629986553520 }`)
	able, err := r.data.Capabilities(r.ctx(), &oprc.CapabilitiesRequest{})
	must(t, 0, err)
	same(t, able, `string_ids: true string_entry_keys: true granular_entry_storage: true event_pipeline_v2: true`)
}

// Numbers and their decimal texts name the same objects and entries, and a client of the older generation finds what it knows.
func TestOlderClients(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		ctx := r.ctx()
		_, err := r.data.Set(ctx, &oprc.SetObjectRequest{ClsId: class, NumericObjectId: new(uint64(42)), Object: &oprc.ObjData{
			NumericEntries: map[uint32]*oprc.ValData{0: {Data: []byte("zero")}, 7: {Data: []byte("seven")}},
			Event: &oprc.ObjectEvent{NumericDataTrigger: map[uint32]*oprc.DataTrigger{9: {OnCreate: []*oprc.TriggerTarget{
				{ClsId: class, FnId: "mecho", NumericObjectId: new(uint64(5))},
			}}}},
		}})
		must(t, 0, err)
		_, err = r.data.SetValue(ctx, &oprc.SetKeyRequest{ClsId: class, NumericObjectId: new(uint64(42)), NumericKey: new(uint32(7)), Value: &oprc.ValData{Data: []byte("VII")}})
		must(t, 0, err)
		current := `metadata { cls_id: "example.record" object_id: "42" numeric_object_id: 42 }
			event { data_trigger { key: "9" value { on_create { cls_id: "example.record" fn_id: "mecho" object_id: "5" %s } } } %s }
			entries { key: "0" value { data: "zero" } } entries { key: "7" value { data: "VII" } }`
		got := r.get(&oprc.SingleObjectRequest{ClsId: class, ObjectId: new("42")})
		same(t, got, "obj {"+fmt.Sprintf(current, "", "")+"}")

		// clients that speak in numbers are answered in both forms
		got = r.get(&oprc.SingleObjectRequest{ClsId: class, NumericObjectId: new(uint64(42))})
		same(t, got, "obj {"+fmt.Sprintf(current, "numeric_object_id: 5",
			`numeric_data_trigger { key: 9 value { on_create { cls_id: "example.record" fn_id: "mecho" object_id: "5" numeric_object_id: 5 } } }`)+
			`numeric_entries { key: 0 value { data: "zero" } } numeric_entries { key: 7 value { data: "VII" } } }`)

		value, err := r.data.GetValue(ctx, &oprc.SingleKeyRequest{ClsId: class, NumericObjectId: new(uint64(42))}) // the key 0 is not written
		must(t, 0, err)
		same(t, value, `value { data: "zero" } object_version: 2 key: "0"`)
		_, err = r.data.DeleteValue(ctx, &oprc.SingleKeyRequest{ClsId: class, NumericObjectId: new(uint64(42)), NumericKey: new(uint32(0))})
		must(t, 0, err)
		merged, err := r.data.Merge(ctx, &oprc.SetObjectRequest{ClsId: class, NumericObjectId: new(uint64(42)), Object: &oprc.ObjData{
			NumericEntries: map[uint32]*oprc.ValData{8: {Data: []byte("eight")}}, Entries: map[string]*oprc.ValData{"name": {Data: []byte("n")}},
		}})
		must(t, 0, err)
		if obj := merged.GetObj(); len(obj.GetEntries()) != 3 || len(obj.GetNumericEntries()) != 2 || string(obj.GetNumericEntries()[8].GetData()) != "eight" {
			t.Errorf("merged is %v", obj)
		}
		answer, err := r.fn.InvokeObj(ctx, &oprc.ObjectInvocationRequest{ClsId: class, FnId: "store", NumericObjectId: new(uint64(42)), Payload: []byte("p")})
		must(t, 0, err)
		same(t, answer, `payload: "p"`)
		if dump := r.dump(); !strings.Contains(dump, `example.record/0/42 v5 7="VII"/0 8="eight"/0 name="n"/0 stored="p"/0`) {
			t.Errorf("stored are %s", dump)
		}
		_, err = r.data.Delete(ctx, &oprc.SingleObjectRequest{ClsId: class, NumericObjectId: new(uint64(42))})
		must(t, 0, err)
		if dump := r.dump(); dump != "" {
			t.Errorf("left is %s", dump)
		}
	})
}

// Fields of a newer generation do no harm, and those of triggers are kept.
func TestUnknownFields(t *testing.T) {
	r := newRig(t, rigOptions{})
	unknown := []byte{0xfa, 0x3f, 3, 'n', 'e', 'w'} // field 1023
	event := &oprc.ObjectEvent{DataTrigger: map[string]*oprc.DataTrigger{"k": {}}}
	event.ProtoReflect().SetUnknown(unknown)
	request := &oprc.SetObjectRequest{ClsId: class, ObjectId: new("o"), Object: &oprc.ObjData{Event: event}}
	request.ProtoReflect().SetUnknown(unknown)
	request.Object.ProtoReflect().SetUnknown(unknown)
	_, err := r.data.Set(r.ctx(), request)
	must(t, 0, err)
	got := r.get(&oprc.SingleObjectRequest{ClsId: class, ObjectId: new("o")})
	if kept := got.GetObj().GetEvent().ProtoReflect().GetUnknown(); string(kept) != string(unknown) {
		t.Errorf("kept is %x", kept)
	}
}

// Many clients on few objects: every compare-and-swap that was answered with OK has counted once.
func TestConcurrentBatches(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		const clients, each = 8, 10
		var running sync.WaitGroup
		for range clients {
			running.Go(func() {
				for range each {
					increment(t, r)
				}
			})
		}
		running.Wait()
		v, err := r.data.GetValue(context.Background(), &oprc.SingleKeyRequest{ClsId: class, ObjectId: new("counter"), Key: new("n")})
		must(t, 0, err)
		if len(v.GetValue().GetData()) != clients*each || v.GetObjectVersion() != clients*each {
			t.Errorf("counted %d in %d versions", len(v.GetValue().GetData()), v.GetObjectVersion())
		}
	})
}

// increment adds a byte to an entry by compare-and-swap.
func increment(t *testing.T, r *rig) {
	for {
		v, err := r.data.GetValue(context.Background(), &oprc.SingleKeyRequest{ClsId: class, ObjectId: new("counter"), Key: new("n")})
		if err != nil {
			t.Error(err)
			return
		}
		_, err = r.data.BatchSetValues(context.Background(), &oprc.BatchSetValuesRequest{
			ClsId: class, ObjectId: new("counter"), ExpectedObjectVersion: new(v.GetObjectVersion()),
			Values: map[string]*oprc.ValData{"n": {Data: append(v.GetValue().GetData(), 'x')}},
		})
		switch status.Code(err) {
		case codes.OK:
			return
		case codes.Aborted:
		default:
			t.Error(err)
			return
		}
	}
}
