package oaas_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/runtime/oaas"
)

type counter struct {
	Count int `oaas:"count"`
}

type addInput struct {
	By int `json:"by"`
}

func (c *counter) Add(ctx oaas.Context, in addInput) (int, error) {
	if in.By < 0 {
		return 0, oaas.Errorf(http.StatusUnprocessableEntity, "by is %d; it must not be negative", in.By)
	}
	c.Count += in.By
	if c.Count >= 10 {
		ctx.Emit(oaas.Event{Type: "com.example.full", Subject: ctx.Self().Object, Data: map[string]int{"count": c.Count}})
	}
	return c.Count, nil
}

func (c *counter) Get(oaas.Context, oaas.None) (int, error) { return c.Count, nil }

func (c *counter) Cheat(oaas.Context, oaas.None) (oaas.None, error) {
	c.Count++
	return oaas.None{}, nil
}

func (c *counter) Fail(oaas.Context, oaas.None) (oaas.None, error) {
	c.Count = 99
	return oaas.None{}, fmt.Errorf("disk: %w", io.ErrUnexpectedEOF)
}

func (c *counter) Panic(oaas.Context, oaas.None) (oaas.None, error) {
	panic("boom")
}

func (c *counter) Echo(_ oaas.Context, in oaas.Payload) (oaas.Payload, error) { return in, nil }

func (c *counter) Bytes(_ oaas.Context, in []byte) ([]byte, error) { return append(in, '!'), nil }

func (c *counter) About(ctx oaas.Context, _ oaas.None) (map[string]any, error) {
	deadline, _ := ctx.Deadline()
	return map[string]any{
		"id": ctx.ID(), "self": ctx.Self().String(), "method": ctx.Method(), "exists": ctx.Exists(), "version": ctx.Version(), "caller": ctx.Caller(),
		"attempt": ctx.Attempt(), "depth": ctx.Depth(), "option": ctx.Option("lang"), "trace": ctx.Traceparent(), "deadline": deadline.UnixMilli(),
	}, nil
}

func (c *counter) BadEvent(ctx oaas.Context, _ oaas.None) (oaas.None, error) {
	ctx.Emit(oaas.Event{Type: "com.example.x", Data: func() {}})
	return oaas.None{}, nil
}

func (c *counter) NoType(ctx oaas.Context, _ oaas.None) (oaas.None, error) {
	ctx.Emit(oaas.Event{})
	return oaas.None{}, nil
}

func (c *counter) Bad(oaas.Context, oaas.None) (func(), error) { return func() {}, nil }

func counterClass() oaas.Part {
	return oaas.Class("test.counter",
		oaas.Method("add", (*counter).Add), oaas.ReadOnly("get", (*counter).Get), oaas.ReadOnly("cheat", (*counter).Cheat),
		oaas.Method("fail", (*counter).Fail), oaas.Method("panic", (*counter).Panic), oaas.Method("echo", (*counter).Echo),
		oaas.Method("bytes", (*counter).Bytes), oaas.Method("about", (*counter).About), oaas.Method("bad-event", (*counter).BadEvent),
		oaas.Method("no-type", (*counter).NoType), oaas.Method("bad", (*counter).Bad))
}

func serve(t *testing.T, parts ...oaas.Part) *httptest.Server {
	t.Helper()
	handler, err := oaas.NewHandler(parts...)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.Close()
		handler.Close()
	})
	return server
}

// post sends a call and gives the answer.
func post(t *testing.T, url string, form function.Form, call *function.Call, meta *function.Meta) (int, http.Header, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(function.EncodeCall(form, call)))
	if err != nil {
		t.Fatal(err)
	}
	function.SetHeaders(request.Header, form, call, meta)
	return send(t, request)
}

func send(t *testing.T, request *http.Request) (int, http.Header, []byte) {
	t.Helper()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, body
}

func callOf(method, count, payload string) *function.Call {
	call := &function.Call{Class: "test.counter", Partition: 2, Object: "c1", Method: method, Payload: []byte(payload), Options: map[string]string{"lang": "en"}, Caller: "ann"}
	if count != "" {
		call.Exists, call.Version = true, 7
		call.Entries = []function.Entry{{Key: "count", Value: function.Value{Data: []byte(count), Version: 7}}}
	}
	return call
}

// Both forms do the same. The replies are shown in the JSON form.
func TestCalls(t *testing.T) {
	server := serve(t, counterClass())
	for _, c := range []struct{ name, method, count, payload, want string }{
		{"new object", "add", "", `{"by":2}`, `{"payload":{"text":"2"},"content_type":"application/json","set":{"count":{"text":"2"}}}`},
		{"old object", "add", "5", `{"by":1}`, `{"payload":{"text":"6"},"content_type":"application/json","set":{"count":{"text":"6"}}}`},
		{"nothing changed", "add", "5", ``, `{"payload":{"text":"5"},"content_type":"application/json"}`},
		{"event", "add", "5", `{"by":5}`, `{"payload":{"text":"10"},"content_type":"application/json","set":{"count":{"text":"10"}},` +
			`"events":[{"type":"com.example.full","subject":"c1","content_type":"application/json","data":{"text":"{\"count\":10}"}}]}`},
		{"readonly", "get", "5", ``, `{"payload":{"text":"5"},"content_type":"application/json"}`},
		{"payload as it is", "echo", "", "\xff", `{"payload":{"base64":"/w=="}}`},
		{"bytes", "bytes", "", "a", `{"payload":{"text":"a!"},"content_type":"application/octet-stream"}`},
	} {
		for _, form := range []function.Form{function.JSON, function.Binary} {
			t.Run(c.name+" "+form.String(), func(t *testing.T) {
				status, header, body := post(t, server.URL, form, callOf(c.method, c.count, c.payload), &function.Meta{ID: "1"})
				if status != http.StatusOK || header.Get("Content-Type") != form.ReplyType() || header.Get("Accept-Post") != function.BinaryCallType {
					t.Fatalf("%d %v %s", status, header, body)
				}
				reply, err := function.DecodeReply(form, body, function.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				if got := string(function.EncodeReply(function.JSON, reply)); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
			})
		}
	}
}

func TestFailures(t *testing.T) {
	server := serve(t, counterClass())
	readonly := callOf("add", "5", `{"by":1}`)
	readonly.Readonly = true
	class := callOf("add", "", "")
	class.Class = "test.other"
	for _, c := range []struct {
		name   string
		call   *function.Call
		status int
		want   string
	}{
		{"own error", callOf("add", "", `{"by":-1}`), 422, `{"error":{"code":"UNPROCESSABLE_ENTITY","message":"by is -1; it must not be negative"}}`},
		{"plain error", callOf("fail", "", ""), 500, `{"error":{"code":"INTERNAL_SERVER_ERROR","message":"disk: unexpected EOF"}}`},
		{"panic", callOf("panic", "", ""), 500, `{"error":{"code":"PANIC","message":"panic of test.counter panicked: boom"}}`},
		{"payload is no JSON", callOf("add", "", `by=1`), 400, `the payload does not fit: invalid character 'b'`},
		{"payload of another type", callOf("add", "", `{"by":"1"}`), 400, `the payload does not fit: `},
		{"two values", callOf("add", "", `{}{}`), 400, `the payload does not fit: `},
		{"state does not fit", callOf("add", `"five"`, ``), 500, `entry \"count\" does not fit field Count (int): `},
		{"unknown method", callOf("sub", "", ``), 404, `class test.counter has no method \"sub\" here; it has about, add, `},
		{"unknown class", class, 404, `this function does not serve class \"test.other\"; it serves test.counter`},
		{"readonly that changes", callOf("cheat", "5", ``), 500, `the method is readonly but changed the entry \"count\"`},
		{"readonly by the package", readonly, 500, `the method is readonly but changed the entry \"count\"`},
		{"event that cannot be encoded", callOf("bad-event", "", ``), 500, `emit com.example.x: encode the data: `},
		{"event without type", callOf("no-type", "", ``), 500, `events[0].type: is missing`},
		{"result that cannot be encoded", callOf("bad", "", ``), 500, `encode the result: `},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, header, body := post(t, server.URL, function.Binary, c.call, &function.Meta{ID: "1"})
			if status != c.status || !strings.Contains(string(body), c.want) || header.Get("Content-Type") != "application/json" {
				t.Errorf("%d %v %s\nwant %d %s", status, header, body, c.status, c.want)
			}
			if !json.Valid(body) {
				t.Errorf("%s is not JSON", body)
			}
		})
	}
}

func TestBadRequests(t *testing.T) {
	server := serve(t, counterClass())
	for _, c := range []struct {
		name, verb, contentType, header, value, body string
		status                                       int
		want                                         string
	}{
		{"get", "GET", "", "", "", "", 415, "takes POST of application/vnd.oaas.call+json"},
		{"plain JSON", "POST", "application/json", "", "", "{}", 415, "call its methods through the platform"},
		{"put", "PUT", function.JSONCallType, "", "", "{}", 415, ""},
		{"half a call", "POST", function.JSONCallType, "", "", `{"class":`, 400, "the call cannot be read: class: the JSON ends"},
		{"binary in JSON", "POST", function.JSONCallType, "", "", "\x0a\x01x", 400, "the call cannot be read"},
		{"bad deadline", "POST", function.JSONCallType, "Oaas-Deadline", "soon", `{}`, 400, `Oaas-Deadline: \"soon\" is not a time`},
		{"bad attempt", "POST", function.JSONCallType, "Oaas-Attempt", "x", `{}`, 400, `Oaas-Attempt`},
	} {
		t.Run(c.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), c.verb, server.URL, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", c.contentType)
			if c.header != "" {
				request.Header.Set(c.header, c.value)
			}
			status, _, body := send(t, request)
			if status != c.status || !strings.Contains(string(body), c.want) {
				t.Errorf("%d %s\nwant %d %s", status, body, c.status, c.want)
			}
		})
	}
}

func TestContext(t *testing.T) {
	server := serve(t, counterClass())
	deadline := time.Now().Add(time.Minute).Truncate(time.Millisecond)
	meta := &function.Meta{ID: "call-1", Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Attempt: 2, Depth: 3, Deadline: deadline}
	_, _, body := post(t, server.URL, function.JSON, callOf("about", "5", ""), meta)
	reply, err := function.DecodeReply(function.JSON, body, function.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"attempt":2,"caller":"ann","deadline":%d,"depth":3,"exists":true,"id":"call-1","method":"about","option":"en",`+
		`"self":"test.counter/2/c1","trace":"%s","version":7}`, deadline.UnixMilli(), meta.Traceparent)
	if string(reply.Payload) != want {
		t.Errorf("got  %s\nwant %s", reply.Payload, want)
	}
}

func TestDeadlineEndsTheContext(t *testing.T) {
	wait := oaas.Raw("test.slow", "wait", func(ctx oaas.Context, _ *function.Call) (*function.Reply, error) {
		<-ctx.Done()
		return nil, oaas.Errorf(http.StatusGatewayTimeout, "%v", ctx.Err())
	})
	server := serve(t, wait)
	status, _, body := post(t, server.URL, function.JSON, &function.Call{Class: "test.slow", Method: "wait"}, &function.Meta{Deadline: time.Now()})
	if status != http.StatusGatewayTimeout {
		t.Errorf("%d %s", status, body)
	}
}

func TestRaw(t *testing.T) {
	server := serve(t, counterClass(),
		oaas.Raw("test.counter", "rename", func(_ oaas.Context, call *function.Call) (*function.Reply, error) {
			value, _ := call.Entry("count")
			return &function.Reply{Set: []function.Entry{{Key: "N", Value: value}}, Delete: []string{"count"}}, nil
		}),
		oaas.Raw("test.counter", "nothing", func(oaas.Context, *function.Call) (*function.Reply, error) { return nil, nil }))
	call := callOf("rename", "5", "")
	call.Entries[0].Version = 0
	_, _, body := post(t, server.URL, function.JSON, call, &function.Meta{})
	if got, want := string(body), `{"set":{"n":{"text":"5"}},"delete":["count"]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, _, body = post(t, server.URL, function.JSON, callOf("nothing", "5", ""), &function.Meta{}); string(body) != "{}" {
		t.Errorf("nothing gives %s", body)
	}
}

func TestStateless(t *testing.T) {
	upper := oaas.Stateless("test.text", "upper", func(_ oaas.Context, in string) (string, error) { return strings.ToUpper(in), nil })
	emit := oaas.Stateless("test.text", "emit", func(ctx oaas.Context, _ oaas.None) (oaas.None, error) {
		ctx.Emit(oaas.Event{Type: "com.example.x"})
		return oaas.None{}, nil
	})
	get := func(url, class, method, body string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		if method != "" {
			request.Header.Set(function.HeaderClass, class)
			request.Header.Set(function.HeaderMethod, method)
		}
		status, _, answer := send(t, request)
		return status, string(answer)
	}
	one, two := serve(t, upper), serve(t, upper, emit)
	both := serve(t, upper, oaas.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "fallback") })))
	for _, c := range []struct {
		name, url, class, method, body string
		status                         int
		want                           string
	}{
		{"named", one.URL, "test.text", "upper", `"a"`, 200, `"A"`},
		{"the only one", one.URL, "", "", `"a"`, 200, `"A"`},
		{"bad input", one.URL, "", "", `a`, 400, "the payload does not fit"},
		{"unknown", one.URL, "test.text", "lower", `"a"`, 404, `no stateless function \"test.text/lower\" here; there is test.text/upper`},
		{"one of two", two.URL, "test.text", "upper", `"a"`, 200, `"A"`},
		{"which of two", two.URL, "", "", `"a"`, 404, "there is no stateless function"},
		{"event", two.URL, "test.text", "emit", ``, 500, "a stateless function cannot emit events"},
		{"named beside a fallback", both.URL, "test.text", "upper", `"a"`, 200, `"A"`},
		{"fallback", both.URL, "", "", `"a"`, 200, "fallback"},
	} {
		if status, body := get(c.url, c.class, c.method, c.body); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s, want %d %s", c.name, status, body, c.status, c.want)
		}
	}
}

func TestBadParts(t *testing.T) {
	add := oaas.Method("add", (*counter).Add)
	type bad struct {
		A int `oaas:"A"`
	}
	plain := oaas.HTTP(http.NotFoundHandler())
	nothing := func(oaas.Context, oaas.None) (oaas.None, error) { return oaas.None{}, nil }
	for want, parts := range map[string][]oaas.Part{
		"there is nothing to serve":             {},
		`must be <package>.<class>`:             {oaas.Class("counter", add)},
		`"add" is given twice`:                  {oaas.Class("a.b", add, add)},
		`the name of a method is empty`:         {oaas.Class("a.b", oaas.Method("", (*counter).Add))},
		`class a.b: field A: tag "A": keys are`: {oaas.Class[bad]("a.b")},
		`"x" is given twice`:                    {oaas.Stateless("a.b", "x", nothing), oaas.Stateless("a.b", "x", nothing)},
		`more than one HTTP handler`:            {plain, plain},
	} {
		if _, err := oaas.NewHandler(parts...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

func BenchmarkHandler(b *testing.B) {
	handler, err := oaas.NewHandler(counterClass())
	if err != nil {
		b.Fatal(err)
	}
	call := callOf("add", "5", `{"by":1}`)
	for _, form := range []function.Form{function.JSON, function.Binary} {
		b.Run(form.String(), func(b *testing.B) {
			body, header := function.EncodeCall(form, call), http.Header{}
			function.SetHeaders(header, form, call, &function.Meta{ID: "1", Deadline: time.Now().Add(time.Hour)})
			b.ReportAllocs()
			for b.Loop() {
				request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
				request.Header = header
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, request)
				if answer.Code != http.StatusOK {
					b.Fatal(answer.Body)
				}
			}
		})
	}
}

// Whatever comes in, the answer is one of the contract.
func FuzzServeHTTP(f *testing.F) {
	handler, err := oaas.NewHandler(counterClass())
	if err != nil {
		f.Fatal(err)
	}
	call := callOf("add", "5", `{"by":1}`)
	f.Add(false, function.EncodeCall(function.JSON, call))
	f.Add(true, function.EncodeCall(function.Binary, call))
	f.Add(false, []byte(`{"class":"test.counter","method":"add","entries":{"count":{"text":"1e400"}}}`))
	f.Fuzz(func(t *testing.T, binary bool, body []byte) {
		form := function.JSON
		if binary {
			form = function.Binary
		}
		request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		request.Header.Set("Content-Type", form.CallType())
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if answer.Code != http.StatusOK {
			if !json.Valid(answer.Body.Bytes()) {
				t.Errorf("%d with %q", answer.Code, answer.Body)
			}
			return
		}
		if _, err := function.DecodeReply(form, answer.Body.Bytes(), function.Limits{}); err != nil {
			t.Errorf("%v in the reply %q", err, answer.Body)
		}
	})
}
