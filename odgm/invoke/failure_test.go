package invoke

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// rawAnswer answers with bytes instead of HTTP, and closes the connection.
func rawAnswer(text string) func(http.ResponseWriter, *request) {
	return func(rw http.ResponseWriter, r *request) {
		conn, _, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = conn.Write([]byte(text))
		_ = conn.Close()
	}
}

func answer(status int, contentType, body string) func(http.ResponseWriter, *request) {
	return func(rw http.ResponseWriter, r *request) {
		rw.Header().Set("Content-Type", contentType)
		rw.WriteHeader(status)
		_, _ = rw.Write([]byte(body))
	}
}

func TestBadRepliesChangeNothing(t *testing.T) {
	forever := func(rw http.ResponseWriter, r *request) { <-r.http.Context().Done() }
	trickle := func(rw http.ResponseWriter, r *request) {
		rw.Header().Set("Content-Type", function.JSONReplyType)
		_, _ = rw.Write([]byte(`{"set":`))
		rw.(http.Flusher).Flush()
		<-r.http.Context().Done()
	}
	reply := func(body string) func(http.ResponseWriter, *request) {
		return answer(200, function.JSONReplyType, body)
	}
	good := `{"set":{"n":{"text":"9"}}}`
	tests := map[string]struct {
		handler func(http.ResponseWriter, *request)
		code    fault.Code
		names   string // must be in the message
		options []func(*call.Method)
	}{
		"fails":                {answer(500, "text/plain", "boom\nsecond line"), fault.FunctionError, "500 Internal Server Error: boom", nil},
		"fails with a reply":   {answer(400, function.JSONReplyType, good), fault.FunctionError, "400", nil},
		"redirects":            {answer(302, "text/plain", ""), fault.FunctionError, "302", nil},
		"garbage":              {reply("}{"), fault.BadReply, "reply", nil},
		"garbage, binary":      {answer(200, function.BinaryReplyType, "\xff\xff\xff"), fault.BadReply, "reply", nil},
		"empty reply":          {reply(""), fault.BadReply, "reply", nil},
		"half a document":      {reply(good[:len(good)-3]), fault.BadReply, "reply", nil},
		"unknown field":        {reply(`{"sett":{}}`), fault.BadReply, "sett", nil},
		"wrong type":           {reply(`{"set":[]}`), fault.BadReply, "set", nil},
		"wrong key":            {reply(`{"set":{"a/b":{"text":"9"}}}`), fault.BadReply, "a/b", nil},
		"empty key":            {reply(`{"delete":[""]}`), fault.BadReply, "delete", nil},
		"long key":             {reply(`{"delete":["` + strings.Repeat("k", 161) + `"]}`), fault.BadReply, "160", nil},
		"set and delete":       {reply(`{"set":{"n":{"text":"9"}},"delete":["N"]}`), fault.BadReply, `"n"`, nil},
		"event without type":   {reply(`{"events":[{"subject":"s"}]}`), fault.BadReply, "events[0]", nil},
		"too much":             {answer(200, "text/plain", strings.Repeat("x", 1<<20+1)), fault.BadReply, "1048576", nil},
		"too much, chunked":    {flood, fault.BadReply, "1048576", nil},
		"half":                 {rawAnswer("HTTP/1.1 200 OK\r\nContent-Type: " + function.JSONReplyType + "\r\nContent-Length: 100\r\n\r\n" + good), fault.BadReply, "cut short", nil},
		"half, chunked":        {rawAnswer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), fault.BadReply, "cut short", nil},
		"not HTTP":             {rawAnswer("+PONG\r\n"), fault.BadReply, "not an HTTP answer", nil},
		"not at all":           {rawAnswer(""), fault.FunctionUnavailable, "without an answer", nil},
		"too late":             {forever, fault.DeadlineExceeded, "in time", []func(*call.Method){within(20 * time.Millisecond)}},
		"too late, begun":      {trickle, fault.DeadlineExceeded, "in time", []func(*call.Method){within(50 * time.Millisecond)}},
		"nobody listens":       {nil, fault.FunctionUnavailable, "no answer", []func(*call.Method){func(m *call.Method) { m.URL = closedPort(t) }}},
		"no URL":               {nil, fault.FunctionUnavailable, "URL", []func(*call.Method){func(m *call.Method) { m.URL = "" }}},
		"readonly sets":        {reply(good), fault.BadReply, "readonly", []func(*call.Method){readonly}},
		"readonly emits":       {reply(`{"events":[{"type":"t"}]}`), fault.BadReply, "readonly", []func(*call.Method){readonly}},
		"readonly deletes":     {reply(`{"delete":["n"]}`), fault.BadReply, "readonly", []func(*call.Method){readonly}},
		"runner cannot start":  {nil, fault.FunctionUnavailable, "last words", []func(*call.Method){func(m *call.Method) { m.Transport = brokenRunner{} }}},
		"fails and is cut off": {rawAnswer("HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nboom"), fault.FunctionError, "boom", nil},
	}
	w := newWorld(t)
	w.reply("add", add)
	w.mustInvoke("x", "add")
	w.configure(&record.ClassConfig{Triggers: []*record.ClassTrigger{{
		Name: "sorry", On: oprc.EventType_EVENT_TYPE_FUNC_ERROR, Target: &record.Target{Sink: "http://sink/"},
	}}})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := len(w.events())
			w.on("bad", test.handler, test.options...)
			_, err := w.invoke(t.Context(), "x", "bad", key("k"))
			failure := wantCode(t, err, test.code)
			if !strings.Contains(failure.Message, test.names) {
				t.Errorf("the message does not say %q: %v", test.names, failure)
			}
			w.wantState("x", "n", "1")
			stored, err := w.shard.StoredResult(t.Context(), "x", "bad", "key:k")
			if err != nil || stored != nil {
				t.Errorf("a result was stored: %v %v", stored, err)
			}
			events := w.events()
			if len(events) != before+1 {
				t.Fatalf("%d events were fired, want the failure", len(events)-before)
			}
			if last := events[len(events)-1]; last.GetMethod() != "bad" || last.GetKind() != oprc.EventType_EVENT_TYPE_FUNC_ERROR || string(last.GetData()) != failure.Message {
				t.Errorf("event %v", last)
			}
			w.mustInvoke("x", "add") // the turn is free again
			if err := w.write(t.Context(), "", "x", "n", "1"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// flood answers with more than is allowed and does not say how much.
func flood(rw http.ResponseWriter, r *request) {
	for range 2048 {
		if _, err := rw.Write(bytes.Repeat([]byte("x"), 1024)); err != nil {
			return
		}
	}
}

type brokenRunner struct{}

func (brokenRunner) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, fault.New(fault.FunctionUnavailable, "cart-fn exits at once; its last words: no such file")
}

// closedPort gives the URL of a port where nobody listens.
func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func TestFailureKeepsStatusAndText(t *testing.T) {
	w := newWorld(t)
	w.on("fail", answer(422, "application/problem+json", `{"title":"no"}`))
	_, err := w.invoke(t.Context(), "x", "fail")
	e := wantCode(t, err, fault.FunctionError)
	if e.Status != 422 || e.HTTPStatus() != 422 || string(e.Body) != `{"title":"no"}` || e.ContentType != "application/problem+json" {
		t.Errorf("got %+v", e)
	}
	if len(w.events()) != 0 {
		t.Error("an event that nobody waits for")
	}
	if w.metric("oaas_calls_total", "fail", "FUNCTION_ERROR") != 1 {
		t.Error("not counted")
	}
}

func TestCallerGivesUp(t *testing.T) {
	w := newWorld(t)
	started := make(chan struct{})
	w.on("slow", func(rw http.ResponseWriter, r *request) { close(started); <-r.http.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-started; cancel() }()
	_, err := w.invoke(ctx, "x", "slow")
	wantCode(t, err, fault.Cancelled)

	started = make(chan struct{})
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = w.invoke(ctx, "x", "slow")
	wantCode(t, err, fault.DeadlineExceeded)
}

func TestWhatAnEndedCallStillDoesIsRefused(t *testing.T) {
	w := newWorld(t)
	result := make(chan error, 2)
	w.on("slow", func(rw http.ResponseWriter, r *request) {
		<-r.http.Context().Done() // the platform has cut the connection
		eventually(t, "the turn ends", func() bool {
			turn, err := w.boxes.Write(t.Context(), ref("other"), mustParse(r.meta.Chain))
			if err == nil {
				turn.Done()
			}
			return err != nil
		})
		result <- w.write(t.Context(), r.meta.Chain, "x", "late", "1")
		_, err := w.invoke(t.Context(), "y", "add", behalf(r))
		result <- err
	}, within(20*time.Millisecond))
	w.reply("add", add)
	_, err := w.invoke(t.Context(), "x", "slow")
	wantCode(t, err, fault.DeadlineExceeded)
	wantCode(t, <-result, fault.StaleCall)
	wantCode(t, <-result, fault.StaleCall)
	if w.state("x") != nil || w.state("y") != nil {
		t.Error("a late call has changed something")
	}
}

func mustParse(text string) call.Chain {
	chain, err := call.Parse(text)
	if err != nil {
		panic(err)
	}
	return chain
}

func TestShardFailureIsNoFunctionFailure(t *testing.T) {
	w := newWorld(t)
	w.reply("add", add)
	m, _ := w.method("add")
	_, err := w.executor.Invoke(t.Context(), failingShard{w.shard}, m, call.Call{Ref: ref("x"), Method: "add"})
	wantCode(t, err, fault.Internal)
	w.mustInvoke("x", "add")
}

// failingShard cannot be read.
type failingShard struct{ Shard }

func (failingShard) Object(context.Context, string, object.Selector) (object.Object, error) {
	return object.Object{}, errors.New("disk is gone")
}

// canned answers every request with the same bytes.
type canned struct {
	status      int
	contentType string
	body        []byte
}

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: c.status, Header: http.Header{"Content-Type": {c.contentType}}, ContentLength: int64(len(c.body)),
		Body: readCloser{bytes.NewReader(c.body)},
	}, nil
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// FuzzReply has a function answer anything: what is refused changes nothing, and what is committed is what the reply says.
func FuzzReply(f *testing.F) {
	f.Add(200, function.JSONReplyType, []byte(`{"payload":{"text":"a"},"set":{"n":{"text":"9"}},"delete":["m"],"events":[{"type":"t"}]}`))
	f.Add(200, function.JSONReplyType, []byte(`{"set":{"n":`))
	f.Add(200, function.BinaryReplyType, function.EncodeReply(function.Binary, &function.Reply{Set: []function.Entry{set("n", "9")}}))
	f.Add(200, "text/plain", []byte("hello"))
	f.Add(500, "text/plain", []byte("boom"))
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		w := newWorld(t)
		if err := w.write(t.Context(), "", "x", "m", "1"); err != nil {
			t.Fatal(err)
		}
		m := call.Method{Name: "m", URL: "http://fn/", Transport: canned{status, contentType, body}, State: object.Everything}
		_, err := w.executor.Invoke(t.Context(), w.shard, m, call.Call{Ref: ref("x"), Method: "m"})
		if err != nil {
			if code := fault.CodeOf(err); code != fault.BadReply && code != fault.FunctionError {
				t.Errorf("code %s: %v", code, err)
			}
			w.wantState("x", "m", "1")
		}
	})
}
