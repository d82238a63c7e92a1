package endpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/broker/keys"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/message"
)

// text reads a message from its text form.
func text[M proto.Message](t testing.TB, m M, s string) M {
	t.Helper()
	if err := prototext.Unmarshal([]byte(s), m); err != nil {
		t.Fatal(err)
	}
	return m
}

func data(t testing.TB, s string) *oprc.ObjData { return text(t, &oprc.ObjData{}, s) }
func batch(t testing.TB, s string) *oprc.BatchSetValuesRequest {
	return text(t, &oprc.BatchSetValuesRequest{}, s)
}
func method(t testing.TB, s string) *oprc.ObjectInvocationRequest {
	return text(t, &oprc.ObjectInvocationRequest{}, s)
}

// Every operation that clients of OaaS-RS know, its answers and its errors, one after the other on the same objects.
func TestOperations(t *testing.T) {
	r := newRig(t, Config{Version: "test"})
	raw := func(s string) *zenoh.GetOptions { return &zenoh.GetOptions{Payload: zenoh.ZBytes(s)} }
	for _, c := range []struct {
		key     string
		m       proto.Message
		o       *zenoh.GetOptions
		want    proto.Message
		failure string
	}{
		{key: "objects/a", failure: "object not found"},
		{key: "objects/a/set", m: data(t, `metadata { cls_id: "x" } entries { key: "K" value { data: "1" } }`), want: &oprc.EmptyResponse{}},
		{key: "objects/a", want: data(t, `metadata { cls_id: "example.record" object_id: "a" } entries { key: "k" value { data: "1" } }`)},
		{key: "objects/A", want: data(t, `metadata { cls_id: "example.record" object_id: "a" } entries { key: "k" value { data: "1" } }`)},
		{key: "objects?oid_str=a", want: data(t, `metadata { cls_id: "example.record" object_id: "a" } entries { key: "k" value { data: "1" } }`)},
		{key: "objects", failure: "invalid object id"},
		{key: "objects/*", failure: "invalid object id"},
		{key: "objects/a$*/set", m: data(t, ``), failure: "invalid object id"},
		{key: "objects/ä/set", m: data(t, ``), failure: "invalid object id"},
		{key: "objects/a/set", failure: "payload is required"},
		{key: "objects/a/set", o: raw("\xff"), failure: "failed to decode payload"},
		{key: "objects/a/set", m: data(t, `entries { key: "k" value { type: 7 } }`), failure: `upsert failed: entry "k": there is no value type 7; allowed are 0 (byte) and 1 (CRDT map)`},
		{key: "objects/a", o: raw("x"), failure: "a read has no payload; to write the object, ask its key with /set behind it"},

		// The older generation: numbers as ids and keys. 007 is 7.
		{key: "objects/007/set", m: data(t, `numeric_entries { key: 0 value { data: "zero" } }`), want: &oprc.EmptyResponse{}},
		{key: "objects/7/set", m: data(t, `entries { key: "1" value { data: "one" } }`), want: &oprc.EmptyResponse{}},
		{key: "objects/7", want: data(t, `metadata { cls_id: "example.record" object_id: "7" numeric_object_id: 7 }
			entries { key: "0" value { data: "zero" } } entries { key: "1" value { data: "one" } }
			numeric_entries { key: 0 value { data: "zero" } } numeric_entries { key: 1 value { data: "one" } }`)},
		{key: "objects?oid=7", want: data(t, `metadata { cls_id: "example.record" object_id: "7" numeric_object_id: 7 }
			entries { key: "0" value { data: "zero" } } entries { key: "1" value { data: "one" } }
			numeric_entries { key: 0 value { data: "zero" } } numeric_entries { key: 1 value { data: "one" } }`)},

		{key: "objects/a/entries/K", want: text(t, &oprc.ValueResponse{}, `value { data: "1" } object_version: 1 key: "k"`)},
		{key: "objects/007/entries/0", want: text(t, &oprc.ValueResponse{}, `value { data: "zero" } object_version: 2 key: "0"`)},
		{key: "objects/a/entries/none", failure: "entry not found"},
		{key: "objects/none/entries/k", failure: "entry not found"},
		{key: "objects/a/entries/ä", failure: `invalid entry key 'ä': entry key "ä" contains invalid characters: allowed are a-z 0-9 . _ : -`},

		{key: "objects/a/batch-set", failure: "payload is required"},
		{key: "objects/a/batch-set", o: raw("\x0a"), failure: "failed to decode batch request: "},
		{key: "objects/a/batch-set", m: batch(t, `values { key: "ä" value {} }`), failure: "invalid entry key 'ä': "},
		{key: "objects/a/batch-set", m: batch(t, `delete_keys: "ä"`), failure: "invalid delete key 'ä': "},
		{key: "objects/a/batch-set", m: batch(t, `values { key: "x" value {} } expected_object_version: 9`), failure: "version mismatch: expected 9, got 1"},
		{key: "objects/a/batch-set", m: batch(t, `expected_object_version: 9`), want: &oprc.EmptyResponse{}},
		{key: "objects/a/batch-set", m: batch(t, `values { key: "x" value { data: "2" } } delete_keys: "k" expected_object_version: 1`), want: &oprc.EmptyResponse{}},
		{key: "objects/a", want: data(t, `metadata { cls_id: "example.record" object_id: "a" } entries { key: "x" value { data: "2" } }`)},
		{key: "objects/none/batch-set", m: batch(t, `values { key: "x" value {} } expected_object_version: 9`), failure: "version mismatch: expected 9, got 0"},

		{key: "objects/list-objects", o: raw("\x0a"), failure: "failed to decode list request: "},
		{key: "objects/list-objects", m: &oprc.ListObjectsRequest{ObjectIdPrefix: new("ä")}, failure: "list_objects failed: "},
		{key: "objects/list-objects", m: &oprc.ListObjectsRequest{ObjectIdPrefix: new("7")}, want: text(t, &oprc.ObjectMetaEnvelope{}, `object_id: "7" version: 2 entry_count: 2`)},

		{key: "invokes/echo", m: text(t, &oprc.InvocationRequest{}, `payload: "hi" options { key: "content-type" value: "text/plain" }`), want: text(t, &oprc.InvocationResponse{}, `payload: "hi" headers { key: "content-type" value: "text/plain" }`)},
		{key: "objects/a/invokes/append", m: method(t, `payload: "1" fn_id: "append" cls_id: "example.record" object_id: "a"`), want: text(t, &oprc.InvocationResponse{}, `payload: "1"`)},
		{key: "objects/7/invokes/append", m: method(t, `payload: "1" numeric_object_id: 7`), want: text(t, &oprc.InvocationResponse{}, `payload: "1"`)},
		{key: "objects/a/invokes/append", m: method(t, `object_id: "b"`), want: text(t, &oprc.InvocationResponse{}, `status: INVALID_REQUEST payload: "the message names the object \"b\", its key the object \"a\": they must be the same"`)},
		{key: "objects/a/invokes/append", want: text(t, &oprc.InvocationResponse{}, `status: INVALID_REQUEST payload: "Payload must not be empty"`)},
		{key: "objects/a/invokes/mecho", o: raw(""), want: &oprc.InvocationResponse{}},
		{key: "objects/a/invokes/teapot", m: method(t, ``), want: text(t, &oprc.InvocationResponse{}, `status: APP_ERROR payload: "short and stout" headers { key: "content-type" value: "text/plain; charset=utf-8" }`)},
		{key: "results/echo/async/none", failure: `no invocation "none"`},
		{key: "objects/a/results/append/async/none?wait=x", failure: `parameter wait: "x" is no duration such as 5s`},
	} {
		t.Run(c.key, func(t *testing.T) {
			got := r.one(c.key, c.m, c.o)
			if c.want == nil {
				if !strings.HasPrefix(got.failure, c.failure) || got.failure == "" {
					t.Errorf("got %q, %q; want %q", got.payload, got.failure, c.failure)
				}
				if got.encoding != (zenoh.Encoding{}) {
					t.Errorf("an error in words has the encoding %s", got.encoding)
				}
				return
			}
			answer := c.want.ProtoReflect().New().Interface()
			if err := proto.Unmarshal(got.payload, answer); err != nil || got.failure != "" || !proto.Equal(answer, c.want) {
				t.Errorf("got %v, %q, %v; want %v", answer, got.failure, err, c.want)
			}
			if key, _, _ := strings.Cut(c.key, "?"); got.key != "oprc/example.record/0/"+key || got.attachment != nil {
				t.Errorf("key %s, attachment %q", got.key, got.attachment)
			}
		})
	}
	for _, key := range []string{"invokes/append", "objects/a/invokes/echo", "invokes/none", "objects/a/none", "events/a", "invokes/echo/async/x"} {
		if got := r.ask(key, method(t, ``), nil); len(got) != 0 {
			t.Errorf("%s has an answer: %v", key, got)
		}
	}
}

// A page at a time, in order, until there is no more.
func TestList(t *testing.T) {
	r := newRig(t, Config{})
	for n := range 25 {
		r.one(fmt.Sprintf("objects/o%02d/set", n), data(t, `entries { key: "k" value {} }`), nil)
	}
	var ids []string
	var cursor []byte
	for range 3 {
		rows := r.ask("objects/list-objects", &oprc.ListObjectsRequest{Limit: 10, Cursor: cursor}, nil)
		for _, row := range rows {
			var m oprc.ObjectMetaEnvelope
			if err := proto.Unmarshal(row.payload, &m); err != nil {
				t.Fatal(err)
			}
			ids, cursor = append(ids, m.GetObjectId()), m.GetNextCursor()
		}
	}
	if len(ids) != 25 || !slices.IsSorted(ids) || cursor != nil {
		t.Errorf("got %v, cursor %q", ids, cursor)
	}
	if got := r.ask("objects/list-objects", nil, nil); len(got) != 25 {
		t.Errorf("without a request there are %d rows", len(got))
	}
}

// Who leaves the partition open gets the answer of the one that it is, under its own key.
func TestOpenPartition(t *testing.T) {
	r := newRig(t, Config{})
	id := "some"
	for odgm.PartitionOf(id, 2) != 1 {
		id += "x"
	}
	for _, c := range []struct {
		key, answer string
		m           proto.Message
	}{
		{"oprc/example.record/*/objects/" + id + "/set", "oprc/example.record/1/objects/" + id + "/set", data(t, `entries { key: "k" value {} }`)},
		{"oprc/*/*/objects/" + id, "oprc/example.record/1/objects/" + id, nil},
		{"oprc/example.record/*/invokes/echo", "oprc/example.record/*/invokes/echo", method(t, ``)},
		{"oprc/example.record/9/invokes/echo", "oprc/example.record/9/invokes/echo", method(t, ``)}, // a function belongs to no partition
	} {
		if got := r.askOn(r.client, c.key, c.m, nil); len(got) != 1 || got[0].key != c.answer || got[0].failure != "" {
			t.Errorf("%s has %v", c.key, got)
		}
	}
	for key, failure := range map[string]string{
		"oprc/example.record/2/objects/a": "get failed: class example.record has no partition 2: it has 2, numbered from 0",
		"oprc/example.record/x/objects/a": `class example.record has no partition "x": partitions are numbered from 0`,
	} {
		if got := r.askOn(r.client, key, nil, nil); len(got) != 1 || got[0].failure != failure {
			t.Errorf("%s has %v", key, got)
		}
	}
	if got := r.askOn(r.client, "oprc/**", nil, nil); len(got) != 0 {
		t.Errorf("a look at everything has %v", got)
	}
}

// Publications change objects, in their order, and calls that nobody waits for have results.
func TestPublications(t *testing.T) {
	r := newRig(t, Config{})
	const n = 50
	for i := range n {
		r.put("objects/7", data(t, fmt.Sprintf(`numeric_entries { key: 3 value { data: "%d" } }`, i)))
		r.put(fmt.Sprintf("objects/log/invokes/append/async/id-%d", i), method(t, fmt.Sprintf(`payload: "%d,"`, i)))
	}
	var want strings.Builder
	for i := range n {
		fmt.Fprintf(&want, "%d,", i)
	}
	var m oprc.InvocationResponse
	last := fmt.Sprintf("objects/log/results/append/async/id-%d", n-1)
	until(t, "the last call has a result", func() bool {
		got := r.one(last+"?wait=10s", nil, nil)
		return got.failure == "" && proto.Unmarshal(got.payload, &m) == nil
	})
	if string(m.GetPayload()) != want.String() || m.GetInvocationId() != fmt.Sprintf("id-%d", n-1) {
		t.Errorf("got %v", &m)
	}
	target := odgm.Target{Class: className, ID: "7"}
	until(t, "the last value is there", func() bool {
		e, meta, _ := r.grid.Entry(t.Context(), target, "3")
		return string(e.Data) == fmt.Sprint(n-1) && meta.Version == n
	})
	r.put("objects/007", nil)
	until(t, "the object is gone", func() bool { return r.one("objects/7", nil, nil).failure == "object not found" })

	r.put("invokes/echo/async/once", text(t, &oprc.InvocationRequest{}, `payload: "hi"`))
	until(t, "the function has run", func() bool { return r.one("results/echo/async/once?wait=10s", nil, nil).failure == "" })
	r.put("objects/log/invokes/teapot/async/bad", method(t, ``))
	until(t, "the failure is there", func() bool {
		got := r.one("objects/log/results/teapot/async/bad?wait=10s", nil, nil)
		return got.failure == "" && proto.Unmarshal(got.payload, &m) == nil
	})
	if m.GetStatus() != oprc.ResponseStatus_APP_ERROR || string(m.GetPayload()) != "short and stout" {
		t.Errorf("got %v", &m)
	}
	r.put("objects/log/invokes/hang/async/slow", method(t, ``))
	until(t, "the call is known", func() bool {
		return strings.HasPrefix(r.one("objects/log/results/hang/async/slow", nil, nil).failure, "call slow has not ended")
	})
	if got := r.one("objects/other/results/hang/async/slow", nil, nil); !strings.Contains(got.failure, "no call slow") {
		t.Errorf("another object has %v", got)
	}
	r.put("objects/a/invokes/none/async/x", method(t, ``))
	r.put("objects/ä", data(t, ``))
	until(t, "what has no effect is logged", func() bool {
		return strings.Count(r.log.String(), "publication without effect") == 2
	})
}

// What is attached gives traces, idempotency and who calls; the answer has the version then, and an error its code.
func TestAttachments(t *testing.T) {
	r := newRig(t, Config{})
	const trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
	with := func(m map[string]string) *zenoh.GetOptions {
		return &zenoh.GetOptions{Attachment: keys.EncodeAttachment(m)}
	}
	var m oprc.InvocationResponse
	for range 2 {
		got := r.one("objects/a/invokes/append", method(t, `payload: "x"`), with(map[string]string{keys.IdempotencyKey: "k"}))
		if err := proto.Unmarshal(got.payload, &m); err != nil || string(m.GetPayload()) != "x" {
			t.Errorf("got %v, %v", &m, got)
		}
	}
	if m.GetHeaders()["oaas-replayed"] != "true" {
		t.Errorf("ran twice: %v", &m)
	}
	for name, got := range map[string]answer{
		"attachment": r.one("objects/a/invokes/trace", method(t, ``), with(map[string]string{keys.Traceparent: trace})),
		"options":    r.one("objects/a/invokes/trace", method(t, `options { key: "traceparent" value: "`+trace+`" }`), nil),
	} {
		if err := proto.Unmarshal(got.payload, &m); err != nil || !strings.HasPrefix(string(m.GetPayload()), "00-0123456789abcdef0123456789abcdef-") {
			t.Errorf("trace by %s: %v", name, &m)
		}
	}
	got := r.one("objects/a/set", data(t, `entries { key: "k" value {} }`), with(map[string]string{"any": "thing"}))
	if known, err := keys.DecodeAttachment(got.attachment); err != nil || known[keys.Version] != "2" {
		t.Errorf("attached %v, %v", known, err)
	}
	if got := r.one("objects/none", nil, with(map[string]string{"any": "thing"})); got.encoding.Schema() != "NO_OBJECT" {
		t.Errorf("encoding %s", got.encoding)
	}
	if got := r.one("objects/a", nil, &zenoh.GetOptions{Attachment: zenoh.ZBytes("somebody else's")}); got.failure != "" || got.attachment != nil {
		t.Errorf("got %v", got)
	}
	for _, chain := range []string{"nonsense", strings.Repeat("x/0/y/z;", 3)} {
		if got := r.one("objects/a/set", data(t, ``), with(map[string]string{keys.Chain: chain})); got.failure == "" {
			t.Errorf("chain %q is taken", chain)
		}
	}
}

// Methods that are not public, and those that are switched off, are so on Zenoh as well.
func TestAccess(t *testing.T) {
	r := newRig(t, Config{})
	spec := r.spec()
	spec.Access, spec.Disabled = map[string]string{"mecho": odgm.Private}, map[string]bool{"append": true}
	r.deploy(spec)
	for fn, want := range map[string]string{"mecho": "is PRIVATE", "append": "is switched off"} {
		var m oprc.InvocationResponse
		got := r.one("objects/a/invokes/"+fn, method(t, ``), nil)
		if err := proto.Unmarshal(got.payload, &m); err != nil || m.GetStatus() != oprc.ResponseStatus_SYSTEM_ERROR || !strings.Contains(string(m.GetPayload()), want) {
			t.Errorf("%s: got %v", fn, &m)
		}
	}
	r.put("objects/a/invokes/mecho/async/x", method(t, ``))
	until(t, "the refusal is logged", func() bool { return strings.Contains(r.log.String(), "is PRIVATE") })
}

// Changes are published if the class says so, to those that it says.
func TestEvents(t *testing.T) {
	r := newRig(t, Config{})
	seen, err := r.client.DeclareSubscriber(t.Context(), zenoh.MustKeyExpr("oprc/*/*/events/**"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	write := func(value string) {
		r.one("objects/a/set", data(t, `entries { key: "k" value { data: "`+value+`" } }`), nil)
	}
	write("unseen")
	spec := r.spec()
	spec.Publish, spec.Changes.Values = odgm.Publication{On: new(true)}, true
	r.deploy(spec)
	until(t, "the endpoint knows of the subscriber", func() bool {
		write("v")
		select {
		case s := <-seen.Handler():
			var m struct {
				Object  string `json:"object_id"`
				Class   string `json:"cls_id"`
				Source  string
				Version uint64
				Changes []struct{ Key, Action, Value string }
			}
			if err := json.Unmarshal(s.Payload(), &m); err != nil {
				t.Fatal(err)
			}
			if s.KeyExpr().String() != "oprc/example.record/0/events/a" || m.Object != "a" || m.Class != className || m.Source != "local" ||
				len(m.Changes) != 1 || m.Changes[0].Key != "k" || m.Changes[0].Action != "update" || m.Changes[0].Value != "dg==" {
				t.Errorf("%s: %s", s.KeyExpr(), s.Payload())
			}
			return true
		case <-time.After(50 * time.Millisecond):
			return false
		}
	})
	spec.Publish.Locality = "session_local"
	r.deploy(spec)
	write("local")
	spec.Publish = odgm.Publication{}
	r.deploy(spec) // waits for the end of publishing
	write("off")
	for range 3 { // what was written before may still come
		r.one("objects/a", nil, nil)
	}
	for len(seen.Handler()) > 0 {
		if s := <-seen.Handler(); bytes.Contains(s.Payload(), []byte("bG9jYWw=")) || bytes.Contains(s.Payload(), []byte("b2Zm")) {
			t.Errorf("seen %s", s.Payload())
		}
	}
}

// Capabilities are those of each shard that is asked for; tokens are there as long as the class is.
func TestCapabilities(t *testing.T) {
	r := newRig(t, Config{Version: "v1"})
	shard := fmt.Sprint(message.ShardID(className, 1))
	want := `{"class":"example.record","partition":1,"shard_id":` + shard + `,"event_pipeline_v2":true,"storage_backend":"memory","odgm_version":"v1",` +
		`"features":{"granular_storage":true,"bridge_mode":true,"wasm_runtime":false}}`
	for key, wants := range map[string][]string{
		"oprc/example.record/1/shards/" + shard + "/capabilities": {want},
		"oprc/*/1/shards/*/capabilities":                          {want},
		"oprc/*/*/shards/" + shard + "/capabilities":              {want},
		"oprc/example.record/0/shards/7/capabilities":             {`{"error":"not_found"}`},
		"oprc/none/0/shards/7/capabilities":                       {`{"error":"not_found"}`},
		"oprc/none/*/shards/*/capabilities":                       nil,
		"oprc/example.record/x/shards/7/capabilities":             {`{"error":"bad_request"}`},
		"oprc/example.record/0/shards/x/capabilities":             {`{"error":"bad_request"}`},
		"oprc/**/shards/**/capabilities":                          nil,
	} {
		got := r.askOn(r.client, key, nil, nil)
		if len(got) != len(wants) || len(wants) == 1 && string(got[0].payload) != wants[0] {
			t.Errorf("%s has %v", key, got)
		}
	}
	if got := r.askOn(r.client, "oprc/*/*/shards/*/capabilities", nil, nil); len(got) != 2 || got[0].key == got[1].key {
		t.Errorf("all have %v", got)
	}
	tokens := func() (n int) {
		replies, err := r.client.Liveliness().Get(t.Context(), zenoh.MustKeyExpr("oprc/**"), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for reply := range replies {
			if keys.Parse(reply.Sample().KeyExpr().String()).Kind == keys.Liveliness {
				n++
			}
		}
		return n
	}
	if got := tokens(); got != 2 {
		t.Errorf("there are %d tokens", got)
	}
	if err := r.grid.Undeploy(t.Context(), className, false); err != nil {
		t.Fatal(err)
	}
	until(t, "the tokens are gone", func() bool { return tokens() == 0 })
}

// Declarations follow deployments, also while clients ask: what they get is an answer, an error, or nobody there.
func TestDeployments(t *testing.T) {
	r := newRig(t, Config{})
	var clients sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r.ask("objects/a/set", data(t, `entries { key: "k" value {} }`), nil)
				r.ask("objects/a/invokes/mecho", method(t, ``), nil)
			}
		})
	}
	for range 20 {
		if err := r.grid.Undeploy(t.Context(), className, false); err != nil {
			t.Error(err)
		}
		r.deploy(r.spec())
	}
	close(stop)
	clients.Wait()
	if got := r.one("objects/a/set", data(t, ``), nil); got.failure != "" {
		t.Errorf("at the end: %v", got)
	}
	spec := r.spec()
	delete(spec.Methods, "mecho")
	r.deploy(spec)
	until(t, "the method is gone", func() bool { return len(r.ask("objects/a/invokes/mecho", method(t, ``), nil)) == 0 })
}

// 64 callers and large objects at once, through few places: all wait, and all get theirs.
func TestManyAndLarge(t *testing.T) {
	r := newRig(t, Config{MaxRequests: 2, MaxCalls: 4})
	large := make([]byte, 16<<20)
	for i := range large {
		large[i] = byte(i * 7)
	}
	var clients sync.WaitGroup
	for n := range 64 {
		clients.Go(func() {
			id := fmt.Sprintf("objects/o%d", n)
			payload := []byte(id)
			if n%32 == 0 {
				payload = large
			}
			o := func() *zenoh.GetOptions { return &zenoh.GetOptions{Timeout: time.Minute} }
			m := &oprc.ObjData{Entries: map[string]*oprc.ValData{"k": {Data: payload}}}
			if got := r.one(id+"/set", m, o()); got.failure != "" {
				t.Errorf("set: %s", got.failure)
			}
			var object oprc.ObjData
			if got := r.one(id, nil, o()); proto.Unmarshal(got.payload, &object) != nil || !bytes.Equal(object.GetEntries()["k"].GetData(), payload) {
				t.Errorf("%s is %d bytes, %s", id, len(got.payload), got.failure)
			}
			var answer oprc.InvocationResponse
			got := r.one(id+"/invokes/mecho", &oprc.ObjectInvocationRequest{Payload: payload[:min(len(payload), 1<<20)]}, o())
			if proto.Unmarshal(got.payload, &answer) != nil || len(answer.GetPayload()) != min(len(payload), 1<<20) {
				t.Errorf("call on %s: %v, %s", id, answer.GetStatus(), answer.GetPayload()[:min(len(answer.GetPayload()), 200)])
			}
		})
	}
	clients.Wait()
}

// A query whose client has given up does not keep a method running, and closing cuts off what does not end.
func TestEnds(t *testing.T) {
	r := newRig(t, Config{MaxCalls: 1})
	for range 3 {
		r.ask("objects/a/invokes/hang", method(t, ``), &zenoh.GetOptions{Timeout: 50 * time.Millisecond})
	}
	if got := r.one("objects/a/invokes/mecho", method(t, `payload: "x"`), nil); len(got.payload) == 0 {
		t.Errorf("the place is still taken: %v", got)
	}
	asked := make(chan []answer)
	go func() {
		asked <- r.ask("objects/b/invokes/hang", method(t, ``), &zenoh.GetOptions{Timeout: time.Minute})
	}()
	until(t, "the call runs", func() bool { return len(r.endpoint.calls) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.endpoint.Close(ctx); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("closed with %v", err)
	}
	if got := <-asked; len(got) > 1 {
		t.Errorf("got %v", got)
	}
	if err := r.endpoint.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestBadConfig(t *testing.T) {
	for _, cfg := range []Config{{MaxCalls: -1}, {Locality: "moon"}} {
		if _, err := Open(t.Context(), nil, nil, cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}
