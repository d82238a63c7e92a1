package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm"
)

const objects = "/api/class/example.record/0/objects"

func protoOf(t *testing.T, m proto.Message) string {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestObjectsInProtobuf(t *testing.T) {
	r := newRig(t, rigOptions{})
	object := "o2"
	in := &oprc.ObjData{
		Metadata: &oprc.ObjMeta{ClsId: "ignored", PartitionId: 9, ObjectId: &object},
		Event: &oprc.ObjectEvent{FuncTrigger: map[string]*oprc.FuncTrigger{
			"mecho": {OnError: []*oprc.TriggerTarget{{ClsId: "example.record", PartitionId: 1, FnId: "echo", ReqOptions: map[string]string{"a": "b"}, ObjectId: &object}}},
		}},
		Entries: map[string]*oprc.ValData{"a": {Data: []byte{0, 255}}, "m": {Data: []byte("map"), Type: oprc.ValType_VAL_TYPE_CRDT_MAP}, "empty": {}},
	}
	for _, contentType := range []string{typeProtobuf, typeOctets, ""} {
		path := objects + "/proto"
		headers := []string{}
		if contentType != "" {
			headers = append(headers, "Content-Type: "+contentType)
		}
		r.must(http.StatusOK, http.MethodPut, path, protoOf(t, in), headers...)
		got := r.must(http.StatusOK, http.MethodGet, path, "")
		if ct := got.header.Get("Content-Type"); ct != typeProtobuf {
			t.Errorf("content type %q", ct)
		}
		out := &oprc.ObjData{}
		if err := proto.Unmarshal([]byte(got.body), out); err != nil {
			t.Fatal(err)
		}
		want := proto.CloneOf(in)
		id := "proto"
		want.Metadata = &oprc.ObjMeta{ClsId: "example.record", ObjectId: &id}
		if !proto.Equal(out, want) {
			t.Errorf("with type %q: got %v, want %v", contentType, out, want)
		}
	}
	partition1 := "/api/class/example.record/1/objects/p"
	r.must(http.StatusOK, http.MethodPut, partition1, `{"entries":{}}`, jsonBody)
	out := &oprc.ObjData{}
	if err := proto.Unmarshal([]byte(r.must(http.StatusOK, http.MethodGet, partition1, "").body), out); err != nil {
		t.Fatal(err)
	}
	if out.GetMetadata().GetPartitionId() != 1 || len(out.GetEntries()) != 0 {
		t.Errorf("got %v", out)
	}
}

func TestMergedAndBatchedWrites(t *testing.T) {
	r := newRig(t, rigOptions{})
	path := objects + "/o"
	r.must(http.StatusOK, http.MethodPut, path, `{"entries":{"a":{"data":"MQ==","type":0},"b":{"data":"Mg==","type":0}}}`, jsonBody)
	merged := r.must(http.StatusOK, http.MethodPost, path+"/merge", `{"entries":{"c":{"data":"Mw==","type":0}}}`, jsonBody, acceptJSON)
	for _, key := range []string{`"a":`, `"b":`, `"c":`} {
		if !strings.Contains(merged.body, key) {
			t.Errorf("merged object lacks %s: %s", key, merged.body)
		}
	}
	if tag := merged.header.Get("Etag"); tag != `"2"` {
		t.Errorf("ETag %s", tag)
	}
	batch := r.must(http.StatusOK, http.MethodPatch, path,
		`{"set":{"a":{"data":"OQ==","type":0}},"delete":["b"],"expected_version":2}`, jsonBody)
	if batch.body != `{"version":3}` || batch.header.Get("Oaas-Object-Version") != "3" {
		t.Errorf("batch: %s %v", batch.body, batch.header)
	}
	request := &oprc.BatchSetValuesRequest{Values: map[string]*oprc.ValData{"z": {Data: []byte("z")}}, DeleteKeys: []string{"c"}, ExpectedObjectVersion: new(uint64(3))}
	batch = r.must(http.StatusOK, http.MethodPatch, path, protoOf(t, request), "Content-Type: "+typeProtobuf)
	if batch.body != `{"version":4}` {
		t.Errorf("batch in protobuf: %s", batch.body)
	}
	got := r.must(http.StatusOK, http.MethodGet, path, "", acceptJSON)
	if !strings.HasSuffix(got.body, `"entries":{"a":{"data":"OQ==","type":0},"z":{"data":"eg==","type":0}}}`) {
		t.Errorf("object: %s", got.body)
	}
}

func TestPreconditions(t *testing.T) {
	r := newRig(t, rigOptions{})
	path := objects + "/cas"
	const body = `{"entries":{"a":{"data":"MQ==","type":0}}}`
	steps := []struct {
		method, path, body string
		header             string
		status             int
		code, tag          string
	}{
		{http.MethodPut, path, body, "If-Match: *", 412, "NO_OBJECT", ""},
		{http.MethodPut, path, body, `If-Match: "0"`, 412, "NO_OBJECT", ""},
		{http.MethodPut, path, body, "If-None-Match: *", 200, "", `"1"`},
		{http.MethodPut, path, body, "If-None-Match: *", 412, "VERSION_MISMATCH", ""},
		{http.MethodPut, path, body, `If-Match: "1"`, 200, "", `"2"`},
		{http.MethodPut, path, body, `If-Match: "1"`, 412, "VERSION_MISMATCH", ""},
		{http.MethodPatch, path, `{"set":{"b":{"data":"","type":0}},"expected_version":1}`, "X: x", 409, "VERSION_MISMATCH", ""},
		{http.MethodPatch, path, `{"set":{"b":{"data":"","type":0}}}`, `If-Match: "2"`, 200, "", `"3"`},
		{http.MethodPatch, path, `{"set":{"b":{"data":"","type":0}}}`, `If-Match: "2"`, 412, "VERSION_MISMATCH", ""},
		{http.MethodPut, path + "/entries/e", "raw", `If-Match: "3"`, 200, "", `"4"`},
		{http.MethodPut, path + "/entries/e", "raw", `If-Match: "3"`, 412, "VERSION_MISMATCH", ""},
		{http.MethodDelete, path + "/entries/e", "", `If-Match: "3"`, 412, "VERSION_MISMATCH", ""},
		{http.MethodDelete, path + "/entries/e", "", `If-Match: "4"`, 204, "", `"5"`},
		{http.MethodGet, path, "", `If-None-Match: "5"`, 304, "", `"5"`},
		{http.MethodGet, path, "", `If-None-Match: "4", W/"3"`, 200, "", `"5"`},
		{http.MethodGet, path + "/entries/a", "", `If-None-Match: "4", "5"`, 304, "", `"5"`},
		{http.MethodDelete, path, "", `If-Match: "4"`, 412, "VERSION_MISMATCH", ""},
		{http.MethodDelete, path, "", `If-Match: "5"`, 204, "", ""},
		{http.MethodDelete, path, "", `If-Match: *`, 412, "NO_OBJECT", ""},
		{http.MethodDelete, path, "", "X: x", 204, "", ""},
	}
	for i, s := range steps {
		before := r.dump()
		got := r.do(s.method, s.path, s.body, s.header, jsonBody)
		if got.status != s.status || got.code() != s.code || got.header.Get("Etag") != s.tag {
			t.Errorf("step %d, %s %s with %s: got %d %s %s %s, want %d %s %s", i, s.method, s.path, s.header,
				got.status, got.code(), got.header.Get("Etag"), got.body, s.status, s.code, s.tag)
		}
		if s.code != "" && r.dump() != before {
			t.Errorf("step %d changed the store", i)
		}
	}
}

func TestDeletingTellsWhatWasThere(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, id := range []string{"43", "text"} {
		path := objects + "/" + id
		r.must(http.StatusOK, http.MethodPut, path+"/entries/a", "x")
		for _, existed := range []string{"true", "false"} {
			if got := r.must(http.StatusNoContent, http.MethodDelete, path+"/entries/a", ""); got.header.Get("Oaas-Existed") != existed {
				t.Errorf("entry of %s: %v, want existed %s", id, got.header, existed)
			}
		}
		for _, existed := range []string{"true", "false"} {
			if got := r.must(http.StatusNoContent, http.MethodDelete, path, ""); got.header.Get("Oaas-Existed") != existed {
				t.Errorf("object %s: %v, want existed %s", id, got.header, existed)
			}
		}
		if got := r.must(http.StatusNoContent, http.MethodDelete, path+"/entries/a", ""); got.header.Get("Oaas-Existed") != "false" {
			t.Errorf("entry of the deleted %s: %v", id, got.header)
		}
		r.must(http.StatusNotFound, http.MethodGet, path, "")
	}
}

func TestEntries(t *testing.T) {
	r := newRig(t, rigOptions{})
	path := objects + "/o/entries"
	r.must(http.StatusOK, http.MethodPut, path+"/k.1", "\x00raw\xff", "Content-Type: image/png")
	r.must(http.StatusOK, http.MethodPut, path+"/k.2?type=1", "map")
	r.must(http.StatusOK, http.MethodPut, path+"/other", "")
	got := r.must(http.StatusOK, http.MethodGet, path+"/K.1", "", "Accept: */*")
	if got.body != "\x00raw\xff" || got.header.Get("Content-Type") != typeOctets || got.header.Get("Oaas-Entry-Version") != "1" || got.header.Get("Etag") != `"3"` {
		t.Errorf("raw entry: %q %v", got.body, got.header)
	}
	got = r.must(http.StatusOK, http.MethodGet, path+"/k.2", "", acceptJSON)
	if got.body != `{"key":"k.2","data":"bWFw","type":1,"version":2,"object_version":3}` {
		t.Errorf("entry as JSON: %s", got.body)
	}
	value := &oprc.ValueResponse{}
	got = r.must(http.StatusOK, http.MethodGet, path+"/k.2", "", "Accept: "+typeProtobuf)
	if err := proto.Unmarshal([]byte(got.body), value); err != nil {
		t.Fatal(err)
	}
	if string(value.GetValue().GetData()) != "map" || value.GetObjectVersion() != 3 || value.GetKey() != "k.2" || value.GetValue().GetType() != 1 {
		t.Errorf("entry as protobuf: %v", value)
	}
	page := r.must(http.StatusOK, http.MethodGet, path+"?prefix=k.&limit=1", "")
	var listed struct {
		Entries []struct {
			Key     string
			Data    []byte
			Type    int
			Version uint64
		}
		Version uint64
		Next    string `json:"next_cursor"`
	}
	if err := json.Unmarshal([]byte(page.body), &listed); err != nil {
		t.Fatal(err)
	}
	if len(listed.Entries) != 1 || listed.Entries[0].Key != "k.1" || string(listed.Entries[0].Data) != "\x00raw\xff" || listed.Version != 3 || listed.Next == "" {
		t.Errorf("first page: %s", page.body)
	}
	page = r.must(http.StatusOK, http.MethodGet, path+"?prefix=k.&cursor="+listed.Next, "")
	if page.body != `{"entries":[{"key":"k.2","data":"bWFw","type":1,"version":2}],"version":3}` {
		t.Errorf("second page: %s", page.body)
	}
}

func TestListingPagesThroughEverything(t *testing.T) {
	r := newRig(t, rigOptions{})
	want := map[string]bool{}
	for i := range 25 {
		id := "o" + string(rune('a'+i))
		want[id] = true
		r.must(http.StatusOK, http.MethodPut, "/api/class/example.record/_/objects/"+id, `{"entries":{}}`, jsonBody)
	}
	got := map[string]bool{}
	for cursor, pages := "", 0; ; pages++ {
		page := r.must(http.StatusOK, http.MethodGet, "/api/class/example.record/_/objects?limit=7&cursor="+cursor, "")
		var listed struct {
			Objects []struct {
				ID string `json:"object_id"`
			}
			Next string `json:"next_cursor"`
		}
		if err := json.Unmarshal([]byte(page.body), &listed); err != nil {
			t.Fatal(err)
		}
		for _, o := range listed.Objects {
			if got[o.ID] {
				t.Errorf("%s is listed twice", o.ID)
			}
			got[o.ID] = true
		}
		if cursor = listed.Next; cursor == "" {
			break
		}
		if pages > 25 {
			t.Fatal("the listing does not end")
		}
	}
	if len(got) != len(want) {
		t.Errorf("listed %d objects of %d", len(got), len(want))
	}
}

func TestPathsOfObjects(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.must(http.StatusOK, http.MethodPut, objects+"/A%3ab%2Dc", `{"entries":{}}`, jsonBody)
	r.must(http.StatusOK, http.MethodGet, objects+"/a:b-c", "", acceptJSON)
	for _, id := range []string{"a%2Fb", "a%20b", "%C3%A9", "a+b", strings.Repeat("x", 161), "a%00b", "%FF"} {
		if got := r.do(http.MethodGet, objects+"/"+id, ""); got.status != 400 || got.code() != "INVALID_OBJECT_ID" {
			t.Errorf("id %q: %d %s", id, got.status, got.body)
		}
	}
	any := "/api/class/example.record/_/objects/somewhere"
	put := r.must(http.StatusOK, http.MethodPut, any, `{"entries":{}}`, jsonBody)
	partition := put.header.Get("Oaas-Partition")
	if want := odgm.PartitionOf("somewhere", 2); partition != string('0'+rune(want)) {
		t.Errorf("partition %q, want %d", partition, want)
	}
	r.must(http.StatusOK, http.MethodGet, "/api/class/example.record/"+partition+"/objects/SomeWhere", "")
	head := r.must(http.StatusOK, http.MethodHead, any, "")
	if head.body != "" || head.header.Get("Etag") != `"0"` || head.header.Get("Content-Type") == "" {
		t.Errorf("HEAD: %q %v", head.body, head.header)
	}
	if got := r.do(http.MethodHead, any+"x", ""); got.status != 404 || got.code() != "NO_OBJECT" {
		t.Errorf("HEAD of nothing: %d %v", got.status, got.header)
	}
}
