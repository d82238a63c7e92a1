package rpc

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/engine/backend"
)

// refused is a bad request: its status, the reason in its details, and the field that is to blame, if it is one.
type refused struct {
	name    string
	call    func(ctx context.Context, r *rig) error
	code    codes.Code
	message string
	reason  string
	field   string
}

// identity names an object in a bad way, for every rpc that takes one.
type identity struct {
	name, class string
	partition   int32
	id          *string
	number      *uint64
	code        codes.Code
	message     string
	reason      string
	field       string
}

var long = strings.Repeat("x", 161)

var identities = []identity{
	{"no id", class, 0, nil, nil, codes.InvalidArgument, "object_id required", "INVALID_OBJECT_ID", "object_id"},
	{"empty id", class, 0, new(""), nil, codes.InvalidArgument, "object_id required", "INVALID_OBJECT_ID", "object_id"},
	{"long id", class, 0, &long, nil, codes.InvalidArgument, "invalid identity: exceeds maximum length 160 (got 161)", "INVALID_OBJECT_ID", "object_id"},
	{"bad id", class, 0, new("a/b"), nil, codes.InvalidArgument, `invalid identity: invalid characters present in "a/b": allowed are a-z 0-9 . _ : -`, "INVALID_OBJECT_ID", "object_id"},
	{"bad id of no class", "example.none", 0, new("é"), nil, codes.InvalidArgument, `invalid identity: invalid characters present in "é": allowed are a-z 0-9 . _ : -`, "INVALID_OBJECT_ID", "object_id"},
	{"no class", "example.none", 0, new("o"), nil, codes.NotFound, `not found shard: class "example.none" is not deployed; deployed are: example.record`, "NO_CLASS", ""},
	{"empty class", "", 0, new("o"), new(uint64(1)), codes.NotFound, `not found shard: class "" is not deployed; deployed are: example.record`, "NO_CLASS", ""},
	{"no partition", class, 2, new("o"), nil, codes.NotFound, "not found shard: class example.record has no partition 2: it has 2, numbered from 0", "NO_PARTITION", ""},
	{"beyond any partition", class, 1 << 16, nil, new(uint64(1)), codes.NotFound, "not found shard: class example.record has no partition 65536: partitions are numbered from 0 to at most 65535", "NO_PARTITION", "partition_id"},
}

// withIdentity makes the rows of all rpcs for a bad identity.
func withIdentity(i identity) []refused {
	row := func(rpc string, call func(ctx context.Context, r *rig) error) refused {
		return refused{rpc + "/" + i.name, call, i.code, i.message, i.reason, i.field}
	}
	object := &oprc.ObjData{Entries: map[string]*oprc.ValData{"k": {}}}
	single := &oprc.SingleObjectRequest{ClsId: i.class, PartitionId: uint32(i.partition), ObjectId: i.id, NumericObjectId: i.number}
	key := &oprc.SingleKeyRequest{ClsId: i.class, PartitionId: uint32(i.partition), ObjectId: i.id, NumericObjectId: i.number, Key: new("k")}
	set := &oprc.SetObjectRequest{ClsId: i.class, PartitionId: i.partition, ObjectId: i.id, NumericObjectId: i.number, Object: object}
	rows := []refused{
		row("Get", func(ctx context.Context, r *rig) error { _, err := r.data.Get(ctx, single); return err }),
		row("Delete", func(ctx context.Context, r *rig) error { _, err := r.data.Delete(ctx, single); return err }),
		row("Set", func(ctx context.Context, r *rig) error { _, err := r.data.Set(ctx, set); return err }),
		row("Merge", func(ctx context.Context, r *rig) error { _, err := r.data.Merge(ctx, set); return err }),
		row("GetValue", func(ctx context.Context, r *rig) error { _, err := r.data.GetValue(ctx, key); return err }),
		row("DeleteValue", func(ctx context.Context, r *rig) error { _, err := r.data.DeleteValue(ctx, key); return err }),
		row("SetValue", func(ctx context.Context, r *rig) error {
			_, err := r.data.SetValue(ctx, &oprc.SetKeyRequest{
				ClsId: i.class, PartitionId: i.partition, ObjectId: i.id, NumericObjectId: i.number, Key: new("k"), Value: &oprc.ValData{},
			})
			return err
		}),
		row("InvokeObj", func(ctx context.Context, r *rig) error {
			_, err := r.fn.InvokeObj(ctx, &oprc.ObjectInvocationRequest{
				ClsId: i.class, PartitionId: uint32(i.partition), ObjectId: i.id, NumericObjectId: i.number, FnId: "store",
			})
			return err
		}),
	}
	if i.number != nil { // the older generation has no such rpcs
		return rows
	}
	return append(rows,
		row("BatchSetValues", func(ctx context.Context, r *rig) error {
			_, err := r.data.BatchSetValues(ctx, &oprc.BatchSetValuesRequest{
				ClsId: i.class, PartitionId: uint32(i.partition), ObjectId: i.id, Values: object.Entries, DeleteKeys: []string{"old"},
			})
			return err
		}),
		row("BatchSetValues of nothing", func(ctx context.Context, r *rig) error {
			_, err := r.data.BatchSetValues(ctx, &oprc.BatchSetValuesRequest{ClsId: i.class, PartitionId: uint32(i.partition), ObjectId: i.id})
			return err
		}),
		row("ListValues", func(ctx context.Context, r *rig) error {
			_, err := collect(r.data.ListValues(ctx, &oprc.ListValuesRequest{ClsId: i.class, PartitionId: uint32(i.partition), ObjectId: i.id}))
			return err
		}),
	)
}

// badKey is an entry key that is refused.
type badKey struct {
	name          string
	key           *string
	message       string
	wholeTooGiven bool // also where keys come as a map or list
}

var badKeys = []badKey{
	{"no key", nil, "key required", false},
	{"empty key", new(""), "entry key cannot be empty", true},
	{"long key", &long, "entry key length 161 exceeds maximum 160", true},
	{"bad key", new("a b"), `entry key "a b" contains invalid characters: allowed are a-z 0-9 . _ : -`, true},
}

// withKey makes the rows of all rpcs for a bad key.
func withKey(k badKey) []refused {
	row := func(rpc, field string, call func(ctx context.Context, r *rig) error) refused {
		return refused{rpc + "/" + k.name, call, codes.InvalidArgument, k.message, "INVALID_ARGUMENT", field}
	}
	single := &oprc.SingleKeyRequest{ClsId: class, ObjectId: new("o"), Key: k.key}
	rows := []refused{
		row("GetValue", "key", func(ctx context.Context, r *rig) error { _, err := r.data.GetValue(ctx, single); return err }),
		row("DeleteValue", "key", func(ctx context.Context, r *rig) error { _, err := r.data.DeleteValue(ctx, single); return err }),
		row("SetValue", "key", func(ctx context.Context, r *rig) error {
			_, err := r.data.SetValue(ctx, &oprc.SetKeyRequest{ClsId: class, ObjectId: new("o"), Key: k.key, Value: &oprc.ValData{}})
			return err
		}),
	}
	if !k.wholeTooGiven {
		return rows
	}
	values := map[string]*oprc.ValData{"a": {Data: []byte("new")}, *k.key: {}}
	at := `["` + *k.key + `"]`
	set := &oprc.SetObjectRequest{ClsId: class, ObjectId: new("o"), Object: &oprc.ObjData{Entries: values}}
	return append(rows,
		row("Set", "object.entries"+at, func(ctx context.Context, r *rig) error { _, err := r.data.Set(ctx, set); return err }),
		row("Merge", "object.entries"+at, func(ctx context.Context, r *rig) error { _, err := r.data.Merge(ctx, set); return err }),
		row("BatchSetValues", "values"+at, func(ctx context.Context, r *rig) error {
			_, err := r.data.BatchSetValues(ctx, &oprc.BatchSetValuesRequest{ClsId: class, ObjectId: new("o"), Values: values})
			return err
		}),
		row("BatchSetValues deleting", "delete_keys[1]", func(ctx context.Context, r *rig) error {
			_, err := r.data.BatchSetValues(ctx, &oprc.BatchSetValuesRequest{ClsId: class, ObjectId: new("o"), DeleteKeys: []string{"old", *k.key}})
			return err
		}),
	)
}

// others are bad requests of one rpc each.
var others = []refused{
	{"Get/no object", func(ctx context.Context, r *rig) error {
		_, err := r.data.Get(ctx, &oprc.SingleObjectRequest{ClsId: class, ObjectId: new("none")})
		return err
	}, codes.NotFound, "object not found", "NO_OBJECT", ""},
	{"Set/nothing", func(ctx context.Context, r *rig) error {
		_, err := r.data.Set(ctx, &oprc.SetObjectRequest{ClsId: class, ObjectId: new("o")})
		return err
	}, codes.InvalidArgument, "object must not be none", "INVALID_ARGUMENT", "object"},
	{"Merge/nothing", func(ctx context.Context, r *rig) error {
		_, err := r.data.Merge(ctx, &oprc.SetObjectRequest{ClsId: class, ObjectId: new("o")})
		return err
	}, codes.InvalidArgument, "object must not be none", "INVALID_ARGUMENT", "object"},
	{"SetValue/nothing", func(ctx context.Context, r *rig) error {
		_, err := r.data.SetValue(ctx, &oprc.SetKeyRequest{ClsId: class, ObjectId: new("o"), Key: new("k")})
		return err
	}, codes.InvalidArgument, "object must not be none", "INVALID_ARGUMENT", "value"},
	{"SetValue/unknown type", func(ctx context.Context, r *rig) error {
		_, err := r.data.SetValue(ctx, &oprc.SetKeyRequest{ClsId: class, ObjectId: new("o"), Key: new("k"), Value: &oprc.ValData{Type: 9}})
		return err
	}, codes.InvalidArgument, `entry "k": there is no value type 9; allowed are 0 (byte) and 1 (CRDT map)`, "INVALID_ARGUMENT", "value.type"},
	{"Set/unknown type", func(ctx context.Context, r *rig) error {
		_, err := r.data.Set(ctx, &oprc.SetObjectRequest{ClsId: class, ObjectId: new("o"), Object: &oprc.ObjData{
			NumericEntries: map[uint32]*oprc.ValData{3: {Type: -1}},
		}})
		return err
	}, codes.InvalidArgument, `entry "3": there is no value type -1; allowed are 0 (byte) and 1 (CRDT map)`, "INVALID_ARGUMENT", `object.entries["3"].type`},
	{"Set/key twice", func(ctx context.Context, r *rig) error {
		_, err := r.data.Set(ctx, &oprc.SetObjectRequest{ClsId: class, ObjectId: new("o"), Object: &oprc.ObjData{Entries: map[string]*oprc.ValData{"a": {}, "A": {}}}})
		return err
	}, codes.InvalidArgument, `entry key "a" is named twice in one write of object example.record/0/o`, "INVALID_ARGUMENT", ""},
	{"Merge/CRDT documents", func(ctx context.Context, r *rig) error {
		_, err := r.data.Merge(ctx, &oprc.SetObjectRequest{ClsId: class, ObjectId: new("o"), Object: &oprc.ObjData{
			Entries: map[string]*oprc.ValData{"a": {Data: []byte("new")}, "crdt": {Data: []byte("new"), Type: oprc.ValType_VAL_TYPE_CRDT_MAP}},
		}})
		return err
	}, codes.InvalidArgument, `merge: entry "crdt" of object o is a CRDT document, and documents cannot be merged here; merge it in the client and set it with the expected version`,
		"INVALID_ARGUMENT", ""},
	{"BatchSetValues/wrong version", func(ctx context.Context, r *rig) error {
		_, err := r.data.BatchSetValues(ctx, &oprc.BatchSetValuesRequest{
			ClsId: class, ObjectId: new("o"), DeleteKeys: []string{"old"}, Values: map[string]*oprc.ValData{"a": {}}, ExpectedObjectVersion: new(uint64(9)),
		})
		return err
	}, codes.Aborted, "Version mismatch: expected 9, got 1", "VERSION_MISMATCH", ""},
	{"ListObjects/prefix", func(ctx context.Context, r *rig) error {
		_, err := collect(r.data.ListObjects(ctx, &oprc.ListObjectsRequest{ClsId: class, ObjectIdPrefix: new("a/")}))
		return err
	}, codes.InvalidArgument, `prefix "a/": allowed are at most 160 characters of a-z 0-9 . _ : -`, "INVALID_ARGUMENT", "object_id_prefix"},
	{"ListObjects/partition", func(ctx context.Context, r *rig) error {
		_, err := collect(r.data.ListObjects(ctx, &oprc.ListObjectsRequest{ClsId: class, PartitionId: 1<<32 - 1}))
		return err
	}, codes.NotFound, "not found shard: class example.record has no partition 4294967295: partitions are numbered from 0 to at most 65535", "NO_PARTITION", "partition_id"},
	{"ListObjects/class", func(ctx context.Context, r *rig) error {
		_, err := collect(r.data.ListObjects(ctx, &oprc.ListObjectsRequest{ClsId: "none"}))
		return err
	}, codes.NotFound, `not found shard: class "none" is not deployed; deployed are: example.record`, "NO_CLASS", ""},
	{"ListValues/prefix", func(ctx context.Context, r *rig) error {
		_, err := collect(r.data.ListValues(ctx, &oprc.ListValuesRequest{ClsId: class, ObjectId: new("o"), KeyPrefix: &long}))
		return err
	}, codes.InvalidArgument, `prefix "` + long + `": allowed are at most 160 characters of a-z 0-9 . _ : -`, "INVALID_ARGUMENT", "key_prefix"},
	{"Set/negative partition", func(ctx context.Context, r *rig) error {
		_, err := r.data.Set(ctx, &oprc.SetObjectRequest{ClsId: class, PartitionId: -1, ObjectId: new("o"), Object: &oprc.ObjData{}})
		return err
	}, codes.NotFound, "not found shard: class example.record has no partition -1: partitions are numbered from 0 to at most 65535", "NO_PARTITION", "partition_id"},
	{"InvokeObj/no method", func(ctx context.Context, r *rig) error {
		_, err := r.fn.InvokeObj(ctx, &oprc.ObjectInvocationRequest{ClsId: class, ObjectId: new("o"), FnId: "none"})
		return err
	}, codes.NotFound, `class example.record has no method "none"`, "NO_FUNCTION", ""},
	{"InvokeFn/no class", func(ctx context.Context, r *rig) error {
		_, err := r.fn.InvokeFn(ctx, &oprc.InvocationRequest{ClsId: "none", FnId: "echo"})
		return err
	}, codes.NotFound, `not found shard: class "none" is not deployed; deployed are: example.record`, "NO_CLASS", ""},
	{"InvokeFn/no function", func(ctx context.Context, r *rig) error {
		_, err := r.fn.InvokeFn(ctx, &oprc.InvocationRequest{ClsId: class})
		return err
	}, codes.NotFound, `class example.record has no method ""`, "NO_FUNCTION", ""},
	{"InvokeFn/a method of objects", func(ctx context.Context, r *rig) error {
		_, err := r.fn.InvokeFn(ctx, &oprc.InvocationRequest{ClsId: class, FnId: "store"})
		return err
	}, codes.InvalidArgument, "store of class example.record is a method of objects: name the object, as in /api/class/example.record/_/objects/{id}/invokes/store", "INVALID_ARGUMENT", ""},
	{"Set/chain", func(ctx context.Context, r *rig) error {
		_, err := r.data.Set(metadata.AppendToOutgoingContext(ctx, "oaas-chain", "x"), &oprc.SetObjectRequest{ClsId: class, ObjectId: new("o"), Object: &oprc.ObjData{}})
		return err
	}, codes.InvalidArgument, `call chain: "x" is not class/partition/object/method@call`, "INVALID_ARGUMENT", "oaas-chain"},
	{"Delete/stale chain", func(ctx context.Context, r *rig) error {
		_, err := r.data.Delete(metadata.AppendToOutgoingContext(ctx, "oaas-chain", "example.record/0/o/store@ended"), &oprc.SingleObjectRequest{ClsId: class, ObjectId: new("o")})
		return err
	}, codes.FailedPrecondition, "", "STALE_CALL", ""},
	{"InvokeObj/depth", func(ctx context.Context, r *rig) error {
		_, err := r.fn.InvokeObj(metadata.AppendToOutgoingContext(ctx, "oaas-depth", "-1"), &oprc.ObjectInvocationRequest{ClsId: class, ObjectId: new("o"), FnId: "store"})
		return err
	}, codes.InvalidArgument, `metadata oaas-depth: "-1" is not a number of triggers`, "INVALID_ARGUMENT", "oaas-depth"},
	{"InvokeObj/key", func(ctx context.Context, r *rig) error {
		ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", strings.Repeat("k", 1025))
		_, err := r.fn.InvokeObj(ctx, &oprc.ObjectInvocationRequest{ClsId: class, ObjectId: new("o"), FnId: "store"})
		return err
	}, codes.InvalidArgument, "the idempotency key has 1025 bytes; allowed are 1024", "INVALID_ARGUMENT", "idempotency-key"},
}

// Every bad request gets its status and changes nothing.
func TestRefused(t *testing.T) {
	rows := others
	for _, i := range identities {
		rows = append(rows, withIdentity(i)...)
	}
	for _, k := range badKeys {
		rows = append(rows, withKey(k)...)
	}
	for _, engine := range []string{backend.Memory, backend.Pebble} {
		t.Run(engine, func(t *testing.T) {
			r := newRig(t, rigOptions{engine: engine})
			_, err := r.data.Set(r.ctx(), &oprc.SetObjectRequest{ClsId: class, ObjectId: new("o"), Object: &oprc.ObjData{
				Entries: map[string]*oprc.ValData{"old": {Data: []byte("1")}, "crdt": {Data: []byte("doc"), Type: oprc.ValType_VAL_TYPE_CRDT_MAP}},
			}})
			must(t, 0, err)
			before := r.dump()
			for _, row := range rows {
				t.Run(row.name, func(t *testing.T) {
					row.check(t, row.call(r.ctx(), r))
					if after := r.dump(); after != before {
						t.Errorf("changed\n%sto\n%s", before, after)
					}
				})
			}
			if log := r.log.String(); log != "" {
				t.Errorf("logged:\n%s", log)
			}
		})
	}
}

// Every rpc has a row among the bad requests, but those whose requests are empty.
func TestEveryRPCHasBadInput(t *testing.T) {
	asked := map[string]bool{"Stats": true, "Capabilities": true}
	rows := slices.Concat(others, withIdentity(identities[0]), withKey(badKeys[0]))
	for _, row := range rows {
		rpc, _, _ := strings.Cut(row.name, "/")
		asked[rpc] = true
	}
	for service, info := range newRig(t, rigOptions{}).server.GetServiceInfo() {
		for _, method := range info.Methods {
			if own("/"+service) && !asked[method.Name] {
				t.Errorf("%s.%s has no bad request", service, method.Name)
			}
		}
	}
}

func (row *refused) check(t *testing.T, err error) {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != row.code || st.Message() != row.message && row.message != "" {
		t.Errorf("got  %s %q\nwant %s %q", st.Code(), st.Message(), row.code, row.message)
	}
	reason, field := detailsOf(st)
	if reason != row.reason || field != row.field {
		t.Errorf("details have reason %q and field %q; want %q and %q", reason, field, row.reason, row.field)
	}
}

func detailsOf(st *status.Status) (reason, field string) {
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
		case *errdetails.BadRequest:
			field = d.GetFieldViolations()[0].GetField()
		}
	}
	return reason, field
}
