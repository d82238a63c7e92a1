package function

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestJSONFormIsCompactAndInOrder(t *testing.T) {
	call := smallCall()
	call.Entries = append(call.Entries, Entry{"zip", Value{Data: []byte{0xff, 0}, Type: CRDTMap, Version: 1}})
	want := `{"class":"shop.cart","partition":0,"object":"c1","method":"add","readonly":false,"version":3,"exists":true,` +
		`"payload":{"text":"{\"item\":\"apple\",\"amount\":2}"},"content_type":"application/json",` +
		`"entries":{"item:apple":{"text":"5","version":2},"total":{"text":"12","version":3},"zip":{"base64":"/wA=","type":1,"version":1}},` +
		`"options":{"accept":"application/json"},"caller":"external"}`
	if got := string(EncodeCall(JSON, call)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := string(EncodeCall(JSON, &Call{})),
		`{"class":"","partition":0,"object":"","method":"","readonly":false,"version":0,"exists":false,"entries":{}}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	reply := &Reply{
		Payload: []byte("é\x01\n"), ContentType: "text/plain", Set: []Entry{{"count", Value{Data: []byte("6")}}}, Delete: []string{"x", "y"},
		Events: []Event{{"com.example.added", "c1", "application/json", []byte(`{}`), map[string]string{"b": "2", "a": "1"}}, {Type: "t"}},
	}
	want = `{"payload":{"text":"é\u0001\n"},"content_type":"text/plain","set":{"count":{"text":"6"}},"delete":["x","y"],"events":[` +
		`{"type":"com.example.added","subject":"c1","content_type":"application/json","data":{"text":"{}"},"extensions":{"a":"1","b":"2"}},{"type":"t"}]}`
	if got := string(EncodeReply(JSON, reply)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(EncodeReply(JSON, &Reply{})); got != "{}" {
		t.Errorf("an empty reply is %s", got)
	}
}

func TestLenientWhereTheContractIs(t *testing.T) {
	reply, err := DecodeReply(JSON, []byte("{ \"payload\": null,\t\"set\": { \"N\" : { \"json\" : { \"b\" : [ 1, null ], \"a\":\"\\u00e9\" } } },\r\n"+
		`"events":[{"type":"t","data":{"json":null},"subject":null}], "delete":[]}`), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if e := reply.Set[0]; e.Key != "n" || string(e.Data) != `{"b":[1,null],"a":"\u00e9"}` {
		t.Errorf("set %q to %q", e.Key, e.Data)
	}
	if e := reply.Events[0]; string(e.Data) != "null" || e.ContentType != "application/json" {
		t.Errorf("event %+v", e)
	}
	reply, err = DecodeReply(JSON, []byte(`{"payload":{"json": 5},"content_type":"text/plain","set":{"a":{"base64":""},"b":{"text":"\ud83d\ude00\/\b\f\r\t\\\""}}}`), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if string(reply.Payload) != "5" || reply.ContentType != "text/plain" || string(reply.Set[1].Data) != "😀/\b\f\r\t\\\"" {
		t.Errorf("%+v", reply)
	}
	// A newer platform may add fields to calls.
	call, err := DecodeCall(JSON, []byte(`{"new":[{"x":["]}",1.5e3]}],"class":"a.b","entries":{"z":{"text":"1","new":true},"a":{"json":1}}}`), Limits{})
	if err != nil || call.Class != "a.b" || call.Entries[0].Key != "a" {
		t.Errorf("%+v, %v", call, err)
	}
	call, err = DecodeCall(Binary, []byte("\x7a\x01x\x78\x05\x79\x00\x00\x00\x00\x00\x00\x00\x00\x7d\x00\x00\x00\x00\x0a\x03a.b"), Limits{})
	if err != nil || call.Class != "a.b" {
		t.Errorf("%+v, %v", call, err)
	}
}

func TestContentTypes(t *testing.T) {
	for _, c := range []struct {
		contentType string
		call, reply bool
		form        Form
	}{
		{"application/vnd.oaas.call+json", true, false, JSON},
		{"Application/Vnd.OaaS.Call+JSON; charset=utf-8", true, false, JSON},
		{" application/vnd.oaas.call ;v=1", true, false, Binary},
		{"application/vnd.oaas.reply+json", false, true, JSON},
		{"application/vnd.oaas.reply", false, true, Binary},
		{"application/json", false, false, JSON},
		{"application/vnd.oaas.replyx", false, false, JSON},
		{"", false, false, JSON},
	} {
		form, ok := CallForm(c.contentType)
		if ok != c.call || ok && form != c.form {
			t.Errorf("%q as call: %v, %v", c.contentType, form, ok)
		}
		form, ok = ReplyForm(c.contentType)
		if ok != c.reply || ok && form != c.form {
			t.Errorf("%q as reply: %v, %v", c.contentType, form, ok)
		}
	}
	for _, form := range forms {
		if got, ok := CallForm(form.CallType()); !ok || got != form {
			t.Errorf("call type of %v", form)
		}
		if got, ok := ReplyForm(form.ReplyType()); !ok || got != form {
			t.Errorf("reply type of %v", form)
		}
	}
}

func TestAcceptsBinary(t *testing.T) {
	for value, want := range map[string]bool{
		"": false, "application/vnd.oaas.call": true, "Application/vnd.oaas.call;v=1": true, "application/vnd.oaas.call+json": false,
		"application/vnd.oaas.call+json, application/vnd.oaas.call": true, "*/*": false,
	} {
		if got := AcceptsBinary(http.Header{"Accept-Post": {"text/plain", value}}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

func TestDecodeResponse(t *testing.T) {
	for _, c := range []struct {
		contentType, body, payload, payloadType string
		sets                                    int
	}{
		{"application/vnd.oaas.reply+json", `{"set":{"a":{"text":"1"}}}`, "", "", 1},
		{"application/json", `{"set":{"a":{"text":"1"}}}`, `{"set":{"a":{"text":"1"}}}`, "application/json", 0},
		{"text/plain; charset=utf-8", "hello", "hello", "text/plain; charset=utf-8", 0},
		{"", "hello", "hello", "", 0},
		{"text/plain", "", "", "", 0},
	} {
		r, err := DecodeResponse(c.contentType, []byte(c.body), Limits{})
		if err != nil {
			t.Errorf("%q: %v", c.contentType, err)
			continue
		}
		if string(r.Payload) != c.payload || r.ContentType != c.payloadType || len(r.Set) != c.sets {
			t.Errorf("%q %q: %+v", c.contentType, c.body, r)
		}
	}
	if _, err := DecodeResponse("text/plain", make([]byte, 5), Limits{Body: 4}); err == nil {
		t.Error("a plain result over the limit is accepted")
	}
	if _, err := DecodeResponse("text/plain", make([]byte, 5), Limits{Payload: 4}); err == nil {
		t.Error("a plain result over the limit of payloads is accepted")
	}
	if _, err := DecodeResponse("text/plain\x00", []byte("x"), Limits{}); err == nil {
		t.Error("a content type with control characters is accepted")
	}
	if _, err := DecodeResponse("application/vnd.oaas.reply", []byte("\x80"), Limits{}); err == nil {
		t.Error("a broken reply is accepted")
	}
}

func TestHeaders(t *testing.T) {
	deadline := time.Date(2026, 1, 31, 12, 0, 0, 123_456_789, time.FixedZone("", 3600))
	meta := Meta{
		ID: "01J9", Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Tracestate: "a=b", Chain: "x", Deadline: deadline,
		Attempt: 2, Depth: 3,
	}
	h := http.Header{}
	SetHeaders(h, Binary, smallCall(), &meta)
	for name, want := range map[string]string{
		"ce-specversion": "1.0", "ce-id": "01J9", "ce-source": "/oaas/shop.cart/0/c1", "ce-type": "oaas.method.call", "ce-subject": "add",
		"content-type": "application/vnd.oaas.call", "oaas-deadline": "2026-01-31T11:00:00.123Z", "oaas-attempt": "2", "oaas-depth": "3",
		"oaas-chain": "x", "traceparent": meta.Traceparent, "tracestate": "a=b",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	got, err := ReadMeta(h)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Deadline.Equal(deadline.Truncate(time.Millisecond)) {
		t.Errorf("deadline %v", got.Deadline)
	}
	got.Deadline = meta.Deadline
	if got != meta {
		t.Errorf("got %+v, want %+v", got, meta)
	}
	if empty, err := ReadMeta(http.Header{}); err != nil || empty != (Meta{Attempt: 1}) {
		t.Errorf("without headers: %+v, %v", empty, err)
	}
}

func TestBadHeaders(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{HeaderDeadline, "tomorrow", `Oaas-Deadline: "tomorrow" is not a time`},
		{HeaderDeadline, strings.Repeat("9", 500), "…"},
		{HeaderAttempt, "0", `Oaas-Attempt: "0" is not a whole number of at least 1`},
		{HeaderAttempt, "two", `"two"`},
		{HeaderDepth, "-1", `Oaas-Depth: "-1"`},
		{HeaderDepth, "99999999999999999999", "is not a whole number"},
	} {
		h := http.Header{}
		h.Set(c.name, c.value)
		meta, err := ReadMeta(h)
		wantError(t, meta, err, c.want)
	}
}
