package gateway

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hpcclab/oaas-go/api/oprc"
)

// bad is a request that has to be refused and must change nothing.
type bad struct {
	name, method, path, body string
	headers                  []string
	status                   int
	code                     string
	message                  string // part of the message
}

const (
	record0   = "/api/class/example.record/0"
	putPath   = record0 + "/objects/o"
	entryPath = putPath + "/entries/a"
	protoBody = "Content-Type: application/x-protobuf"
)

var long = strings.Repeat("k", 161)

// badObjects are bodies that no route for objects takes.
var badObjects = []bad{
	{name: "empty", body: ``, status: 400, code: "DECODE_ERROR", message: "EOF while parsing a value at line 1 column 0"},
	{name: "blank", body: " \n ", status: 400, code: "DECODE_ERROR", message: "EOF while parsing a value at line 2 column 1"},
	{name: "no entries", body: `{"metadata":null}`, status: 400, code: "DECODE_ERROR", message: "missing field `entries` at line 1 column 17"},
	{name: "null entries", body: `{"entries":null}`, status: 400, code: "DECODE_ERROR", message: "invalid type: null, expected a map"},
	{name: "entries a list", body: `{"entries":[]}`, status: 400, code: "DECODE_ERROR", message: "invalid type: sequence, expected a map"},
	{name: "a list", body: `[]`, status: 400, code: "DECODE_ERROR", message: "invalid type: sequence, expected struct ObjData"},
	{name: "a string", body: `"x"`, status: 400, code: "DECODE_ERROR", message: "invalid type: string, expected struct ObjData"},
	{name: "cut short", body: `{"entries":{"a":{"data":"eA==","type":0}`, status: 400, code: "DECODE_ERROR", message: "EOF while parsing an object"},
	{name: "trailing", body: `{"entries":{}} x`, status: 400, code: "DECODE_ERROR", message: "trailing characters at line 1 column 16"},
	{name: "no data", body: `{"entries":{"a":{"type":0}}}`, status: 400, code: "DECODE_ERROR", message: "missing field `data`"},
	{name: "no type", body: `{"entries":{"a":{"data":""}}}`, status: 400, code: "DECODE_ERROR", message: "missing field `type`"},
	{name: "data a number", body: `{"entries":{"a":{"data":1,"type":0}}}`, status: 400, code: "DECODE_ERROR", message: "invalid type: number"},
	{name: "base64 without padding", body: `{"entries":{"a":{"data":"eA","type":0}}}`, status: 400, code: "DECODE_ERROR", message: "invalid base64"},
	{name: "base64 of URLs", body: `{"entries":{"a":{"data":"_-8=","type":0}}}`, status: 400, code: "DECODE_ERROR", message: "invalid base64"},
	{name: "base64 with a break", body: `{"entries":{"a":{"data":"eA\n==","type":0}}}`, status: 400, code: "DECODE_ERROR", message: "line break"},
	{name: "base64 with stray bits", body: `{"entries":{"a":{"data":"eB==","type":0}}}`, status: 400, code: "DECODE_ERROR", message: "invalid base64"},
	{name: "type a word", body: `{"entries":{"a":{"data":"","type":"BYTE"}}}`, status: 400, code: "DECODE_ERROR", message: "expected i32"},
	{name: "type a fraction", body: `{"entries":{"a":{"data":"","type":0.0}}}`, status: 400, code: "DECODE_ERROR", message: "floating point"},
	{name: "type too big", body: `{"entries":{"a":{"data":"","type":4294967296}}}`, status: 400, code: "DECODE_ERROR", message: "integer 4294967296"},
	{name: "type unknown", body: `{"entries":{"a":{"data":"","type":7}}}`, status: 400, code: "INVALID_ARGUMENT", message: "no value type 7"},
	{name: "same field twice", body: `{"entries":{},"entries":{}}`, status: 400, code: "DECODE_ERROR", message: "duplicate field `entries`"},
	{name: "key empty", body: `{"entries":{"":{"data":"","type":0}}}`, status: 400, code: "INVALID_ARGUMENT", message: "entry key cannot be empty"},
	{name: "key too long", body: `{"entries":{"` + long + `":{"data":"","type":0}}}`, status: 400, code: "INVALID_ARGUMENT", message: "length 161"},
	{name: "key with a blank", body: `{"entries":{"a b":{"data":"","type":0}}}`, status: 400, code: "INVALID_ARGUMENT", message: "invalid characters"},
	{name: "key twice after folding", body: `{"entries":{"A":{"data":"","type":0},"a":{"data":"","type":0}}}`, status: 400, code: "INVALID_ARGUMENT", message: "named twice"},
	{name: "one of two is bad", body: `{"entries":{"fine":{"data":"eA==","type":0},"é":{"data":"","type":0}}}`, status: 400, code: "INVALID_ARGUMENT"},
	{name: "not UTF-8", body: "{\"entries\":{\"\xff\":{\"data\":\"\",\"type\":0}}}", status: 400, code: "DECODE_ERROR", message: "unicode"},
	{name: "half a surrogate", body: `{"entries":{"\ud800":{"data":"","type":0}}}`, status: 400, code: "DECODE_ERROR", message: "surrogate"},
	{name: "too deep", body: `{"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `,"entries":{}}`, status: 400, code: "DECODE_ERROR", message: "recursion limit"},
	{name: "broken event", body: `{"entries":{},"event":{"func_trigger":{}}}`, status: 400, code: "DECODE_ERROR", message: "missing field `data_trigger`"},
	{name: "broken target", body: `{"entries":{},"event":{"func_trigger":{"f":{"on_complete":[{"cls_id":"c","partition_id":-1,"fn_id":"f","req_options":{}}],"on_error":[]}},"data_trigger":{}}}`,
		status: 400, code: "DECODE_ERROR", message: "expected u32"},
	{name: "broken metadata", body: `{"entries":{},"metadata":{"cls_id":"c"}}`, status: 400, code: "DECODE_ERROR", message: "missing field `partition_id`"},
	{name: "not what the type says", headers: []string{protoBody}, body: `{"entries":{}}`, status: 400, code: "DECODE_ERROR", message: "Invalid protobuf"},
	{name: "protobuf cut short", headers: []string{protoBody}, body: "\x22\x0c\x0a\x01a", status: 400, code: "DECODE_ERROR", message: "at byte 0"},
	{name: "protobuf of another message", headers: []string{protoBody}, body: "\x22\x01\xff", status: 400, code: "DECODE_ERROR", message: "ObjData"},
	{name: "protobuf with a key that is not UTF-8", headers: []string{protoBody}, body: "\x22\x05\x0a\x01\xff\x12\x00", status: 400, code: "DECODE_ERROR"},
	{name: "protobuf with an unknown type", headers: []string{protoBody}, body: "\x22\x07\x0a\x01a\x12\x02\x10\x05", status: 400, code: "INVALID_ARGUMENT", message: "no value type 5"},
	{name: "other type", headers: []string{"Content-Type: text/plain"}, body: "x", status: 415, code: "UNSUPPORTED_TYPE", message: "text/plain"},
	{name: "form", headers: []string{"Content-Type: application/x-www-form-urlencoded"}, body: "a=b", status: 415, code: "UNSUPPORTED_TYPE"},
}

var badRequests = []bad{
	{name: "get of unknown class", method: "GET", path: "/api/class/none/0/objects/o", status: 404, code: "NO_CLASS"},
	{name: "get of unknown partition", method: "GET", path: "/api/class/example.record/2/objects/o", status: 404, code: "NO_PARTITION"},
	{name: "partition over 16 bits", method: "GET", path: "/api/class/example.record/65536/objects/o", status: 404, code: "NO_PARTITION"},
	{name: "partition over 32 bits", method: "GET", path: "/api/class/example.record/4294967296/objects/o", status: 400, code: "INVALID_URL"},
	{name: "negative partition", method: "GET", path: "/api/class/example.record/-1/objects/o", status: 400, code: "INVALID_URL"},
	{name: "partition a word", method: "PUT", path: "/api/class/example.record/x/objects/o", body: `{"entries":{}}`, status: 400, code: "INVALID_URL"},
	{name: "get of nothing", method: "GET", path: record0 + "/objects/nothing", status: 404, code: "NO_OBJECT",
		message: "No object exists in example.record with partition 0 and string id nothing"},
	{name: "put to unknown class", method: "PUT", path: "/api/class/none/0/objects/o", body: `{"entries":{}}`, headers: []string{jsonBody}, status: 404, code: "NO_CLASS"},
	{name: "put with bad id", method: "PUT", path: record0 + "/objects/a%20b", body: `{"entries":{}}`, headers: []string{jsonBody}, status: 400, code: "INVALID_OBJECT_ID"},
	{name: "delete with bad id", method: "DELETE", path: record0 + "/objects/" + long, status: 400, code: "INVALID_OBJECT_ID", message: "too long"},
	{name: "delete in unknown class", method: "DELETE", path: "/api/class/none/0/objects/o", status: 404, code: "NO_CLASS"},
	{name: "put with bad If-Match", method: "PUT", path: putPath, body: `{"entries":{}}`, headers: []string{jsonBody, "If-Match: W/\"1\""}, status: 400, code: "INVALID_ARGUMENT"},
	{name: "put with two versions", method: "PUT", path: putPath, body: `{"entries":{}}`, headers: []string{jsonBody, `If-Match: "1", "2"`}, status: 400, code: "INVALID_ARGUMENT"},
	{name: "put with If-None-Match of a version", method: "PUT", path: putPath, body: `{"entries":{}}`, headers: []string{jsonBody, `If-None-Match: "1"`}, status: 400, code: "INVALID_ARGUMENT"},
	{name: "put with both", method: "PUT", path: putPath, body: `{"entries":{}}`, headers: []string{jsonBody, `If-None-Match: *`, "If-Match: *"}, status: 400, code: "INVALID_ARGUMENT"},
	{name: "put with stale version", method: "PUT", path: putPath, body: `{"entries":{}}`, headers: []string{jsonBody, `If-Match: "7"`}, status: 412, code: "VERSION_MISMATCH"},
	{name: "put of a broken chain", method: "PUT", path: putPath, body: `{"entries":{}}`, headers: []string{jsonBody, "Oaas-Chain: x"}, status: 400, code: "INVALID_ARGUMENT"},
	{name: "put of a chain that has ended", method: "PUT", path: putPath, body: `{"entries":{}}`, headers: []string{jsonBody, "Oaas-Chain: example.record/0/o/store@gone"}, status: 409, code: "STALE_CALL"},
	{name: "put of a chain too long", method: "PUT", path: putPath, body: `{"entries":{}}`, headers: []string{jsonBody, "Oaas-Chain: " + strings.Repeat("a/0/b/c@d,", 16) + "a/0/b/c@d"}, status: 508, code: "LOOP_DETECTED"},
	{name: "put of a bad depth", method: "PUT", path: putPath, body: `{"entries":{}}`, headers: []string{jsonBody, "Oaas-Depth: -1"}, status: 400, code: "INVALID_ARGUMENT"},
	{name: "bad timeout", method: "GET", path: putPath, headers: []string{"Oaas-Timeout: 5"}, status: 400, code: "INVALID_ARGUMENT", message: "not a duration"},
	{name: "no time", method: "GET", path: putPath, headers: []string{"Oaas-Timeout: -5s"}, status: 400, code: "INVALID_ARGUMENT"},

	{name: "patch with unknown field", method: "PATCH", path: putPath, body: `{"deletes":["a"]}`, headers: []string{jsonBody}, status: 400, code: "DECODE_ERROR", message: "unknown field `deletes`"},
	{name: "patch with negative version", method: "PATCH", path: putPath, body: `{"expected_version":-1}`, headers: []string{jsonBody}, status: 400, code: "DECODE_ERROR", message: "expected u64"},
	{name: "patch of keys that are numbers", method: "PATCH", path: putPath, body: `{"delete":[1]}`, headers: []string{jsonBody}, status: 400, code: "DECODE_ERROR", message: "expected a string"},
	{name: "patch that sets and deletes a key", method: "PATCH", path: putPath, body: `{"set":{"a":{"data":"","type":0}},"delete":["A"]}`, headers: []string{jsonBody}, status: 400, code: "INVALID_ARGUMENT", message: "named twice"},
	{name: "patch with stale version", method: "PATCH", path: putPath, body: `{"set":{"a":{"data":"","type":0}},"expected_version":9}`, headers: []string{jsonBody}, status: 409, code: "VERSION_MISMATCH"},
	{name: "patch with two versions", method: "PATCH", path: putPath, body: `{"expected_version":9}`, headers: []string{jsonBody, `If-Match: "1"`}, status: 400, code: "INVALID_ARGUMENT"},
	{name: "patch with broken protobuf", method: "PATCH", path: putPath, body: "\x2a\x05", headers: []string{protoBody}, status: 400, code: "DECODE_ERROR"},
	{name: "patch as text", method: "PATCH", path: putPath, body: "x", headers: []string{"Content-Type: text/plain"}, status: 415, code: "UNSUPPORTED_TYPE"},

	{name: "entry of nothing", method: "GET", path: record0 + "/objects/nothing/entries/a", status: 404, code: "NO_OBJECT"},
	{name: "unknown entry", method: "GET", path: putPath + "/entries/none", status: 404, code: "NO_ENTRY"},
	{name: "entry with bad key", method: "GET", path: putPath + "/entries/a%20b", status: 400, code: "INVALID_ARGUMENT"},
	{name: "put of entry with long key", method: "PUT", path: putPath + "/entries/" + long, body: "x", status: 400, code: "INVALID_ARGUMENT"},
	{name: "put of entry with slash", method: "PUT", path: putPath + "/entries/a%2Fb", body: "x", status: 400, code: "INVALID_ARGUMENT"},
	{name: "put of entry of unknown type", method: "PUT", path: entryPath + "?type=2", body: "x", status: 400, code: "INVALID_ARGUMENT"},
	{name: "put of entry with stale version", method: "PUT", path: entryPath, body: "x", headers: []string{`If-Match: "9"`}, status: 412, code: "VERSION_MISMATCH"},
	{name: "delete of entry with bad key", method: "DELETE", path: putPath + "/entries/%00", status: 400, code: "INVALID_ARGUMENT"},
	{name: "entries of nothing", method: "GET", path: record0 + "/objects/nothing/entries", status: 404, code: "NO_OBJECT"},
	{name: "entries by bad prefix", method: "GET", path: putPath + "/entries?prefix=a%20", status: 400, code: "INVALID_ARGUMENT"},
	{name: "objects by bad prefix", method: "GET", path: record0 + "/objects?prefix=%C3%A9", status: 400, code: "INVALID_ARGUMENT"},
	{name: "objects with bad limit", method: "GET", path: record0 + "/objects?limit=many", status: 400, code: "INVALID_ARGUMENT"},
	{name: "objects with negative limit", method: "GET", path: record0 + "/objects?limit=-1", status: 400, code: "INVALID_ARGUMENT"},
	{name: "objects with half a cursor", method: "GET", path: record0 + "/objects?cursor=A", status: 400, code: "INVALID_ARGUMENT"},
	{name: "objects of unknown class", method: "GET", path: "/api/class/none/0/objects", status: 404, code: "NO_CLASS"},
	{name: "objects of unknown partition", method: "GET", path: "/api/class/example.record/9/objects", status: 404, code: "NO_PARTITION"},

	{name: "unknown function", method: "POST", path: record0 + "/invokes/nope", status: 404, code: "NO_FUNCTION"},
	{name: "function of unknown class", method: "POST", path: "/api/class/none/0/invokes/echo", status: 404, code: "NO_CLASS"},
	{name: "method without object", method: "POST", path: record0 + "/invokes/store", body: "x", status: 400, code: "INVALID_ARGUMENT", message: "name the object"},
	{name: "unknown method", method: "POST", path: putPath + "/invokes/nope", status: 404, code: "NO_FUNCTION"},
	{name: "method of bad object", method: "POST", path: record0 + "/objects/a%20b/invokes/store", status: 400, code: "INVALID_OBJECT_ID"},
	{name: "method in unknown partition", method: "POST", path: "/api/class/example.record/7/objects/o/invokes/store", status: 404, code: "NO_PARTITION"},
	{name: "method with long key", method: "POST", path: putPath + "/invokes/store", headers: []string{"Idempotency-Key: " + strings.Repeat("k", 1025)}, status: 400, code: "INVALID_ARGUMENT"},
	{name: "method with broken event", method: "POST", path: putPath + "/invokes/store", headers: []string{"Ce-Specversion: 1.0", "Ce-Id: 1", "Ce-Type: t"}, status: 400, code: "DECODE_ERROR", message: "source"},
	{name: "method with event of the future", method: "POST", path: putPath + "/invokes/store", headers: []string{"Ce-Specversion: 9.0", "Ce-Id: 1", "Ce-Type: t", "Ce-Source: /s"}, status: 400, code: "DECODE_ERROR"},
	{name: "method with broken structured event", method: "POST", path: putPath + "/invokes/store", body: `{"id":`, headers: []string{"Content-Type: application/cloudevents+json"}, status: 400, code: "DECODE_ERROR"},
	{name: "method with batch", method: "POST", path: putPath + "/invokes/store", body: `[]`, headers: []string{"Content-Type: application/cloudevents-batch+json"}, status: 400, code: "INVALID_ARGUMENT"},
	{name: "method that refuses", method: "POST", path: putPath + "/invokes/teapot", status: 418, code: "FUNCTION_ERROR"},

	{name: "unknown result", method: "GET", path: record0 + "/results/0.none", status: 404, code: "NO_INVOCATION"},
	{name: "result without partition", method: "GET", path: "/api/class/example.record/_/results/none", status: 400, code: "INVALID_ARGUMENT"},
	{name: "result with bad wait", method: "GET", path: record0 + "/results/x?wait=long", status: 400, code: "INVALID_ARGUMENT"},
	{name: "result with bad raw", method: "GET", path: record0 + "/results/x?raw=maybe", status: 400, code: "INVALID_ARGUMENT"},
	{name: "cancel of unknown result", method: "DELETE", path: record0 + "/results/none", status: 404, code: "NO_INVOCATION"},
	{name: "triggers of unknown class", method: "GET", path: "/api/class/none/triggers", status: 404, code: "NO_CLASS"},
	{name: "letters after a word", method: "GET", path: record0 + "/dead-letters?after=x", status: 400, code: "INVALID_ARGUMENT"},
	{name: "letters of unknown class", method: "GET", path: "/api/class/none/_/dead-letters", status: 404, code: "NO_CLASS"},
	{name: "replay of nothing", method: "POST", path: record0 + "/dead-letters/replay", body: `{}`, headers: []string{jsonBody}, status: 400, code: "INVALID_ARGUMENT"},
	{name: "replay of both", method: "POST", path: record0 + "/dead-letters/replay", body: `{"all":true,"seqs":[1]}`, headers: []string{jsonBody}, status: 400, code: "INVALID_ARGUMENT"},
	{name: "replay of unknown", method: "POST", path: record0 + "/dead-letters/replay", body: `{"seqs":[77]}`, headers: []string{jsonBody}, status: 404, code: "NOT_FOUND"},
	{name: "replay somewhere", method: "POST", path: "/api/class/example.record/_/dead-letters/replay", body: `{"seqs":[1]}`, headers: []string{jsonBody}, status: 400, code: "INVALID_ARGUMENT"},
	{name: "replay with unknown field", method: "POST", path: record0 + "/dead-letters/replay", body: `{"seq":[1]}`, headers: []string{jsonBody}, status: 400, code: "DECODE_ERROR"},
	{name: "replay of words", method: "POST", path: record0 + "/dead-letters/drop", body: `{"seqs":["1"]}`, headers: []string{jsonBody}, status: 400, code: "DECODE_ERROR"},
	{name: "replay without body", method: "POST", path: record0 + "/dead-letters/drop", headers: []string{jsonBody}, status: 400, code: "DECODE_ERROR", message: "empty"},
	{name: "replay with trailer", method: "POST", path: record0 + "/dead-letters/drop", body: `{"all":true} x`, headers: []string{jsonBody}, status: 400, code: "DECODE_ERROR"},
	{name: "replay as text", method: "POST", path: record0 + "/dead-letters/drop", body: `{"all":true}`, headers: []string{"Content-Type: text/plain"}, status: 415, code: "UNSUPPORTED_TYPE"},

	{name: "no event", method: "POST", path: "/events", body: "x", status: 400, code: "DECODE_ERROR"},
	{name: "event that nobody wants", method: "POST", path: "/", headers: []string{"Ce-Specversion: 1.0", "Ce-Id: 1", "Ce-Type: t", "Ce-Source: /s"}, status: 404, code: "NO_SUBSCRIPTION"},
	{name: "batch with a broken event", method: "POST", path: "/events", body: `[{"specversion":"1.0"}]`, headers: []string{"Content-Type: application/cloudevents-batch+json"}, status: 400, code: "DECODE_ERROR"},
}

func TestBadInput(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.must(http.StatusOK, http.MethodPut, putPath, `{"entries":{"a":{"data":"eA==","type":0},"b":{"data":"eQ==","type":1}}}`, jsonBody)
	before := r.dump()
	all := badRequests
	for _, b := range badObjects {
		if b.headers == nil {
			b.headers = []string{jsonBody}
		}
		b.method, b.path = http.MethodPut, putPath
		all = append(all, b)
		b.method, b.path = http.MethodPost, putPath+"/merge"
		b.name += " in a merge"
		all = append(all, b)
	}
	for _, b := range all {
		t.Run(b.name, func(t *testing.T) {
			got := r.do(b.method, b.path, b.body, b.headers...)
			if got.status != b.status || got.code() != b.code {
				t.Errorf("%s %s: got %d %s, want %d %s\n%s", b.method, b.path, got.status, got.code(), b.status, b.code, got.body)
			}
			if b.code != "FUNCTION_ERROR" {
				checkErrorBody(t, got, b.message)
			}
			if after := r.dump(); after != before {
				t.Fatalf("the store has changed:\n%s\nwas\n%s", after, before)
			}
		})
	}
	if r.log.Len() > 0 {
		t.Errorf("a caller's mistake was logged: %s", r.log)
	}
}

// harmless are routes with nothing that a caller could do wrong, and that cannot fail but as all routes can.
var harmless = map[string]bool{
	"GET /api/class": true, "GET /health": true, "GET /healthz": true, "GET /readyz": true, "GET /metrics": true,
}

// Every route has a row among the bad requests: a new one needs some, or a place among the harmless.
func TestEveryRouteHasBadInput(t *testing.T) {
	r := newRig(t, rigOptions{})
	asked := map[string]bool{http.MethodPut + " " + putPath: true, http.MethodPost + " " + putPath + "/merge": true} // badObjects
	for _, b := range badRequests {
		asked[b.method+" "+b.path] = true
	}
	for _, b := range badStreams {
		asked[http.MethodGet+" "+b.path] = true
	}
	part := regexp.MustCompile(`:\w+`)
	for _, route := range r.gateway.Routes() {
		if route.Method == http.MethodHead || route.Method == http.MethodOptions { // those come with others
			continue
		}
		pattern := regexp.MustCompile("^" + route.Method + " " + part.ReplaceAllString(route.Path, "[^/?]+") + `(\?.*)?$`)
		found := harmless[route.Method+" "+route.Path]
		for request := range asked {
			found = found || pattern.MatchString(request)
		}
		if !found {
			t.Errorf("%s %s has no bad request", route.Method, route.Path)
		}
	}
}

func checkErrorBody(t *testing.T, got answer, message string) {
	t.Helper()
	var document struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(got.body), &document); err != nil {
		t.Fatalf("%v in %q", err, got.body)
	}
	if document.Error.Code != got.code() || document.Error.Message == "" || !strings.Contains(document.Error.Message, message) {
		t.Errorf("error %+v, want code %s and a message with %q", document.Error, got.code(), message)
	}
	if got.header.Get("Content-Type") != typeJSON {
		t.Errorf("content type %s", got.header.Get("Content-Type"))
	}
}

func TestErrorsAsProblems(t *testing.T) {
	r := newRig(t, rigOptions{})
	got := r.must(http.StatusNotFound, http.MethodGet, record0+"/objects/none", "", "Accept: application/problem+json, */*")
	want := `{"type":"about:blank","title":"Not Found","status":404,` +
		`"detail":"No object exists in example.record with partition 0 and string id none","code":"NO_OBJECT"}`
	if got.body != want || got.header.Get("Content-Type") != typeProblem {
		t.Errorf("got %s %s", got.header.Get("Content-Type"), got.body)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, path := range []string{"/nope", "/api", "/api/class/a/0/objects/o/x", "/api/class/example.record/0/objects/", "/api/v1/classes"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete, "BREW"} {
			got := r.do(method, path, "")
			if got.status != http.StatusNotFound || got.body != "NOT FOUND" || got.header.Get("Content-Type") != typeText {
				t.Errorf("%s %s: %d %q", method, path, got.status, got.body)
			}
		}
	}
	for path, want := range map[string]string{
		"/healthz": "GET HEAD", putPath: "DELETE GET HEAD OPTIONS PATCH PUT", entryPath: "DELETE GET HEAD OPTIONS PUT", "/events": "OPTIONS POST",
	} {
		got := r.do("BREW", path, "")
		allow := strings.Split(got.header.Get("Allow"), ", ")
		for _, method := range strings.Fields(want) {
			if !strings.Contains(got.header.Get("Allow"), method) {
				t.Errorf("%s: Allow %q lacks %s", path, allow, method)
			}
		}
		if got.status != http.StatusMethodNotAllowed || got.body != "" || len(allow) != len(strings.Fields(want)) {
			t.Errorf("%s: %d %q %q", path, got.status, allow, got.body)
		}
	}
}

func FuzzObjectBody(f *testing.F) {
	for _, b := range badObjects {
		f.Add([]byte(b.body), len(b.headers) == 0)
	}
	f.Add([]byte(`{"entries":{"a":{"data":"eA==","type":0}},"event":{"func_trigger":{},"data_trigger":{}}}`), true)
	f.Add(protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), []byte("\x0a\x01a\x12\x07\x0a\x05hello")), false)
	r := newRig(f, rigOptions{})
	f.Fuzz(func(t *testing.T, body []byte, isJSON bool) {
		header := protoBody
		if isJSON {
			header = jsonBody
		}
		id := "fuzz"
		got, err := r.try(http.MethodPut, record0+"/objects/"+id, strings.NewReader(string(body)), header)
		if err != nil {
			t.Fatal(err)
		}
		switch got.status {
		case http.StatusBadRequest:
			checkErrorBody(t, got, "")
		case http.StatusOK:
			read, err := r.try(http.MethodGet, record0+"/objects/"+id, http.NoBody, acceptJSON)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := oprc.DecodeObjData([]byte(read.body)); err != nil {
				t.Errorf("what is read does not decode: %v", err)
			}
		default:
			t.Errorf("status %d: %s", got.status, got.body)
		}
	})
}

func FuzzBatchBody(f *testing.F) {
	f.Add([]byte(`{"set":{"a":{"data":"eA==","type":0}},"delete":["b"],"expected_version":1}`), true)
	f.Add([]byte("\x2a\x05\x0a\x01a\x12\x00\x32\x01b\x38\x01"), false)
	f.Add([]byte(`{"delete":null,"set":null,"expected_version":18446744073709551615}`), true)
	r := newRig(f, rigOptions{})
	f.Fuzz(func(t *testing.T, body []byte, isJSON bool) {
		header := protoBody
		if isJSON {
			header = jsonBody
		}
		got, err := r.try(http.MethodPatch, putPath, strings.NewReader(string(body)), header)
		if err != nil {
			t.Fatal(err)
		}
		if got.status != 200 && got.status != 400 && got.status != 409 {
			t.Errorf("status %d: %s", got.status, got.body)
		}
	})
}
