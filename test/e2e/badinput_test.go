package e2e

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// badMethods are the methods of the stub of badFunction; each answers in its own wrong way.
var badMethods = []string{
	"{name: echo, function_key: fn}",
	"{name: look, function_key: fn, readonly: true}",
	"{name: plain, function_key: fn, stateless: true}",
	"{name: hurried, function_key: fn, timeout: 200ms}",
}

func badPackage(url string) string {
	return stubPackage("bad", url, "sink: default", badMethods...) +
		"deployments:\n  - {key: bad, package_name: bad, class_key: thing, odgm: {partition_count: 2}}\n"
}

const (
	asJSON  = "application/json"
	asProto = "application/x-protobuf"
)

// badRequest is a request and what it gets.
type badRequest struct {
	what    string
	method  string
	path    string
	body    string
	headers []string
	status  int
	code    string // "" where the answer has none
}

// TestBadInput sends everything that is wrong through the front door. Each request gets the documented error, and the store stays as it is.
func TestBadInput(t *testing.T) {
	p := startPlatform(t)
	function := newBadFunction(t)
	p.deploy("bad", badPackage(function.URL))
	p.must(http.MethodPut, objectPath("bad.thing", "kept"), []byte(`{"entries":{"a":{"data":"MQ==","type":0},"b":{"data":"/w==","type":0}},
		"event":{"func_trigger":{},"data_trigger":{"a":{"on_create":[],"on_update":[],"on_delete":[{"cls_id":"bad.thing","partition_id":0,"fn_id":"echo","object_id":"x","req_options":{}}]}}}}`),
		"Content-Type", asJSON)
	p.must(http.MethodPut, objectPath("bad.thing", "kept")+"/entries/c", []byte("3"))
	p.must(http.MethodPut, objectPath("bad.thing", "kept")+"/entries/map?type=1", []byte("\x85\x6f\x4a\x83"))
	p.must(http.MethodPost, methodPath("bad.thing", "kept", "echo"), []byte("first"), "Idempotency-Key", "used")
	before := p.dump("bad.thing")
	for _, c := range badRequests() {
		a := p.do(c.method, c.path, []byte(c.body), c.headers...)
		if a.status != c.status || a.code() != c.code {
			t.Errorf("%s: %s %.120s\n  gets %s\n  want %d %s", c.what, c.method, c.path, a, c.status, c.code)
		}
		if got := a.header.Get("Oaas-Error"); c.code != "" && got != c.code && !strings.HasPrefix(c.path, "/api/v1/") {
			t.Errorf("%s: header Oaas-Error is %q", c.what, got)
		}
	}
	if after := p.dump("bad.thing"); after != before {
		t.Errorf("the store has changed; before:\n%s\nafter:\n%s", before, after)
	}
	if problem := p.do(http.MethodGet, objectPath("bad.thing", "nobody"), nil, "Accept", "application/problem+json"); problem.status != 404 ||
		problem.header.Get("Content-Type") != "application/problem+json" || !bytes.Contains(problem.body, []byte(`"code":"NO_OBJECT"`)) {
		t.Errorf("as a problem: %s", problem)
	}
}

func badRequests() []badRequest {
	const class = "/api/class/bad.thing"
	kept, long := objectPath("bad.thing", "kept"), strings.Repeat("x", 161)
	invokes, put := kept+"/invokes/echo", []string{"Content-Type", asJSON}
	tooBig := strings.Repeat("x", 4<<20+1)
	all := []badRequest{
		{"no such path", "GET", "/nowhere", "", nil, 404, ""},
		{"no such method on a path", "POST", kept, "", nil, 405, ""},
		{"get of a call", "GET", invokes, "", nil, 405, ""},
		{"an unheard-of method", "BREW", kept, "", nil, 405, ""},

		{"timeout without unit", "GET", kept, "", []string{"Oaas-Timeout", "5"}, 400, "INVALID_ARGUMENT"},
		{"negative timeout", "GET", kept, "", []string{"Oaas-Timeout", "-5s"}, 400, "INVALID_ARGUMENT"},
		{"chain that is none", "POST", invokes, "", []string{"Oaas-Chain", "garbage"}, 400, "INVALID_ARGUMENT"},
		{"chain of a call that never was", "POST", invokes, "", []string{"Oaas-Chain", "bad.thing/0/kept/echo@forged"}, 409, "STALE_CALL"},
		{"forged chain on a write", "PUT", kept + "/entries/a", "x", []string{"Oaas-Chain", "bad.thing/0/kept/echo@forged"}, 409, "STALE_CALL"},
		{"long chain", "POST", invokes, "", []string{"Oaas-Chain", strings.Repeat("a/0/b/c@d,", 16) + "a/0/b/c@d"}, 508, "LOOP_DETECTED"},
		{"depth that is no number", "POST", invokes, "", []string{"Oaas-Depth", "deep"}, 400, "INVALID_ARGUMENT"},
		{"negative depth", "POST", invokes, "", []string{"Oaas-Depth", "-1"}, 400, "INVALID_ARGUMENT"},
		{"long idempotency key", "POST", invokes, "", []string{"Idempotency-Key", strings.Repeat("k", 1025)}, 400, "INVALID_ARGUMENT"},
		{"key used for another payload", "POST", invokes, "second", []string{"Idempotency-Key", "used"}, 422, "IDEMPOTENCY_MISMATCH"},

		{"unknown method", "POST", kept + "/invokes/nothing", "", nil, 404, "NO_FUNCTION"},
		{"method without object", "POST", class + "/_/invokes/echo", "", nil, 400, "INVALID_ARGUMENT"},
		{"unknown function", "POST", class + "/_/invokes/nothing", "", nil, 404, "NO_FUNCTION"},
		{"body over the limit", "POST", invokes, tooBig, nil, 413, "TOO_LARGE"},
		{"call that is a broken event", "POST", invokes, "{", []string{"Content-Type", "application/cloudevents+json"}, 400, "DECODE_ERROR"},
		{"call that is an event without id", "POST", invokes, "", []string{"Ce-Specversion", "1.0", "Ce-Type", "x", "Ce-Source", "/x"}, 400, "DECODE_ERROR"},

		{"json without entries", "PUT", kept, `{}`, put, 400, "DECODE_ERROR"},
		{"json of the wrong type", "PUT", kept, `[]`, put, 400, "DECODE_ERROR"},
		{"half a json", "PUT", kept, `{"entries":{"a":{"data":"MQ==","ty`, put, 400, "DECODE_ERROR"},
		{"more after the json", "PUT", kept, `{"entries":{}}x`, put, 400, "DECODE_ERROR"},
		{"data that is no base64", "PUT", kept, `{"entries":{"a":{"data":"!","type":0}}}`, put, 400, "DECODE_ERROR"},
		{"data without padding", "PUT", kept, `{"entries":{"a":{"data":"MQ","type":0}}}`, put, 400, "DECODE_ERROR"},
		{"data missing", "PUT", kept, `{"entries":{"a":{"type":0}}}`, put, 400, "DECODE_ERROR"},
		{"unknown value type", "PUT", kept, `{"entries":{"a":{"data":"MQ==","type":7}}}`, put, 400, "INVALID_ARGUMENT"},
		{"one good key and one bad", "PUT", kept, `{"entries":{"new":{"data":"MQ==","type":0},"b d":{"data":"MQ==","type":0}}}`, put, 400, "INVALID_ARGUMENT"},
		{"a key twice, by case", "PUT", kept, `{"entries":{"new":{"data":"MQ==","type":0},"NEW":{"data":"Mg==","type":0}}}`, put, 400, "INVALID_ARGUMENT"},
		{"not UTF-8", "PUT", kept, "{\"entries\":{\"\xff\":{\"data\":\"MQ==\",\"type\":0}}}", put, 400, "DECODE_ERROR"},
		{"deep json", "PUT", kept, strings.Repeat("[", 100000), put, 400, "DECODE_ERROR"},
		{"broken protobuf", "PUT", kept, "\xff\xff\xff", []string{"Content-Type", asProto}, 400, "DECODE_ERROR"},
		{"protobuf by default", "PUT", kept, `{"entries":{}}`, nil, 400, "DECODE_ERROR"},
		{"other content type", "PUT", kept, "x", []string{"Content-Type", "text/plain"}, 415, "UNSUPPORTED_TYPE"},
		{"object over the limit", "PUT", kept, tooBig, put, 413, "TOO_LARGE"},
		{"stale version", "PUT", kept, `{"entries":{}}`, append([]string{"If-Match", `"1"`}, put...), 412, "VERSION_MISMATCH"},
		{"must be absent", "PUT", kept, `{"entries":{}}`, append([]string{"If-None-Match", "*"}, put...), 412, "VERSION_MISMATCH"},
		{"must be present", "PUT", objectPath("bad.thing", "absent"), `{"entries":{}}`, append([]string{"If-Match", "*"}, put...), 412, "NO_OBJECT"},
		{"If-Match that is none", "PUT", kept, `{"entries":{}}`, append([]string{"If-Match", "new"}, put...), 400, "INVALID_ARGUMENT"},
		{"If-None-Match with a version", "PUT", kept, `{"entries":{}}`, append([]string{"If-None-Match", `"1"`}, put...), 400, "INVALID_ARGUMENT"},
		{"trigger on itself without method", "PUT", kept,
			`{"entries":{},"event":{"func_trigger":{},"data_trigger":{"a":{"on_create":[{"cls_id":"x"}],"on_update":[],"on_delete":[]}}}}`, put, 400, "DECODE_ERROR"},

		{"batch with an unknown field", "PATCH", kept, `{"sets":{}}`, put, 400, "DECODE_ERROR"},
		{"batch of the wrong type", "PATCH", kept, `{"delete":"a"}`, put, 400, "DECODE_ERROR"},
		{"batch with a stale version", "PATCH", kept, `{"delete":["a"],"expected_version":1}`, put, 409, "VERSION_MISMATCH"},
		{"batch with two versions", "PATCH", kept, `{"delete":["a"],"expected_version":1}`, append([]string{"If-Match", `"2"`}, put...), 400, "INVALID_ARGUMENT"},
		{"batch with a version that is none", "PATCH", kept, `{"delete":["a"],"expected_version":-1}`, put, 400, "DECODE_ERROR"},
		{"batch with a bad key", "PATCH", kept, `{"set":{"new":{"data":"MQ==","type":0}},"delete":["/"]}`, put, 400, "INVALID_ARGUMENT"},

		{"merge of another map", "POST", kept + "/merge", `{"entries":{"map":{"data":"MQ==","type":1}}}`, put, 400, "INVALID_ARGUMENT"},
		{"merge of nothing", "POST", kept + "/merge", ``, put, 400, "DECODE_ERROR"},

		{"delete with a stale version", "DELETE", kept, "", []string{"If-Match", `"1"`}, 412, "VERSION_MISMATCH"},
		{"entry with a stale version", "PUT", kept + "/entries/a", "x", []string{"If-Match", `"1"`}, 412, "VERSION_MISMATCH"},
		{"entry delete with a stale version", "DELETE", kept + "/entries/a", "", []string{"If-Match", `"1"`}, 412, "VERSION_MISMATCH"},
		{"entry of an unknown type", "PUT", kept + "/entries/a?type=2", "x", nil, 400, "INVALID_ARGUMENT"},
		{"entry over the limit", "PUT", kept + "/entries/a", tooBig, nil, 413, "TOO_LARGE"},
		{"bad key", "PUT", kept + "/entries/a%20b", "x", nil, 400, "INVALID_ARGUMENT"},
		{"long key", "PUT", kept + "/entries/" + long, "x", nil, 400, "INVALID_ARGUMENT"},
		{"bad key, read", "GET", kept + "/entries/%ff", "", nil, 400, "INVALID_ARGUMENT"},
		{"no entry", "GET", kept + "/entries/zzz", "", nil, 404, "NO_ENTRY"},
		{"no object", "GET", objectPath("bad.thing", "nobody"), "", nil, 404, "NO_OBJECT"},

		{"limit that is no number", "GET", class + "/_/objects?limit=many", "", nil, 400, "INVALID_ARGUMENT"},
		{"negative limit", "GET", class + "/_/objects?limit=-1", "", nil, 400, "INVALID_ARGUMENT"},
		{"cursor that is no base64", "GET", class + "/_/objects?cursor=!!", "", nil, 400, "INVALID_ARGUMENT"},
		{"made-up cursor", "GET", class + "/_/objects?cursor=AAAA", "", nil, 400, "INVALID_ARGUMENT"},
		{"made-up cursor of entries", "GET", kept + "/entries?cursor=_____w", "", nil, 400, "INVALID_ARGUMENT"},

		{"unknown result", "GET", class + "/0/results/0.nothing", "", nil, 404, "NO_INVOCATION"},
		{"cancel of an unknown call", "DELETE", class + "/0/results/0.nothing", "", nil, 404, "NO_INVOCATION"},
		{"result without partition", "GET", class + "/_/results/nothing", "", nil, 400, "INVALID_ARGUMENT"},
		{"wait that is no time", "GET", class + "/0/results/0.nothing?wait=long", "", nil, 400, "INVALID_ARGUMENT"},
		{"raw that is no truth", "GET", class + "/0/results/0.nothing?raw=perhaps", "", nil, 400, "INVALID_ARGUMENT"},

		{"replay of nothing", "POST", class + "/0/dead-letters/replay", `{}`, put, 400, "INVALID_ARGUMENT"},
		{"replay of an unknown field", "POST", class + "/0/dead-letters/replay", `{"every":true}`, put, 400, "DECODE_ERROR"},
		{"replay of both", "POST", class + "/0/dead-letters/replay", `{"all":true,"seqs":[1]}`, put, 400, "INVALID_ARGUMENT"},
		{"drop as text", "POST", class + "/0/dead-letters/drop", `{"all":true}`, []string{"Content-Type", "text/plain"}, 415, "UNSUPPORTED_TYPE"},
		{"numbers without a partition", "POST", class + "/_/dead-letters/drop", `{"seqs":[1]}`, put, 400, "INVALID_ARGUMENT"},
		{"after that is no number", "GET", class + "/0/dead-letters?after=x", "", nil, 400, "INVALID_ARGUMENT"},

		{"project without folder", "POST", "/api/v1/projects", `{"dir":"here"}`, put, 400, "INVALID_ARGUMENT"},
		{"project as text", "POST", "/api/v1/projects", `{}`, []string{"Content-Type", "text/plain"}, 415, "UNSUPPORTED_TYPE"},
		{"project from a web page", "POST", "/api/v1/projects", `{"dir":"/"}`, append([]string{"Origin", "http://evil.example"}, put...), 403, "FORBIDDEN"},
		{"logs of nobody", "GET", "/api/v1/local/functions/nobody/logs", "", nil, 404, "NOT_FOUND"},
		{"delete of nobody", "DELETE", "/api/v1/projects/nobody", "", nil, 404, "NOT_FOUND"},
	}
	return append(all, badPaths(long)...)
}

// badPaths are wrong classes, partitions and ids on every route that has them.
func badPaths(long string) []badRequest {
	var all []badRequest
	object := `{"entries":{}}`
	for _, r := range []struct{ method, tail, body string }{
		{"GET", "", ""}, {"PUT", "", object}, {"PATCH", "", `{"set":{}}`}, {"DELETE", "", ""}, {"POST", "/merge", object}, {"POST", "/invokes/echo", ""},
		{"GET", "/entries", ""}, {"GET", "/entries/a", ""}, {"PUT", "/entries/a", "x"}, {"DELETE", "/entries/a", ""}, {"HEAD", "", ""},
	} {
		for _, where := range []struct {
			path, code string
			status     int
		}{
			{"/api/class/no.class/_/objects/kept", "NO_CLASS", 404},
			{"/api/class/bad.thing/2/objects/kept", "NO_PARTITION", 404},
			{"/api/class/bad.thing/4294967295/objects/kept", "NO_PARTITION", 404},
			{"/api/class/bad.thing/-1/objects/kept", "INVALID_URL", 400},
			{"/api/class/bad.thing/x/objects/kept", "INVALID_URL", 400},
			{"/api/class/bad.thing/99999999999/objects/kept", "INVALID_URL", 400},
			{"/api/class/bad.thing/_/objects/a%20b", "INVALID_OBJECT_ID", 400},
			{"/api/class/bad.thing/_/objects/%2e%2e%2fkept", "INVALID_OBJECT_ID", 400},
			{"/api/class/bad.thing/_/objects/%ff%fe", "INVALID_OBJECT_ID", 400},
			{"/api/class/bad.thing/_/objects/%00", "INVALID_OBJECT_ID", 400},
			{"/api/class/bad.thing/_/objects/" + long, "INVALID_OBJECT_ID", 400},
		} {
			code := where.code
			if r.method == "HEAD" {
				code = "" // there is no body
			}
			all = append(all, badRequest{"bad path", r.method, where.path + r.tail, r.body, []string{"Content-Type", asJSON}, where.status, code})
		}
	}
	for _, tail := range []string{"/objects", "/results/0.x", "/dead-letters"} {
		all = append(all,
			badRequest{"bad path", "GET", "/api/class/no.class/0" + tail, "", nil, 404, "NO_CLASS"},
			badRequest{"bad path", "GET", "/api/class/bad.thing/2" + tail, "", nil, 404, "NO_PARTITION"},
			badRequest{"bad path", "GET", "/api/class/bad.thing/x" + tail, "", nil, 400, "INVALID_URL"})
	}
	return append(all, badRequest{"triggers of no class", "GET", "/api/class/no.class/triggers", "", nil, 404, "NO_CLASS"},
		badRequest{"function of no class", "POST", "/api/class/no.class/_/invokes/f", "", nil, 404, "NO_CLASS"})
}
