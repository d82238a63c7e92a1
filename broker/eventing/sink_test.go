package eventing

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sample() event.Event {
	e := event.New()
	e.SetID("e1")
	e.SetType("com.example.paid")
	e.SetSource("/oaas/shop.cart/0/c1")
	e.SetSubject("50% \"off\" für\nalle")
	e.SetExtension("region", "eu")
	e.SetExtension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if err := e.SetData("application/json", []byte(`{"a":1}`)); err != nil {
		panic(err)
	}
	return e
}

func newTestSink(t *testing.T, cfg SinkConfig) *Sink {
	t.Helper()
	s, err := NewSink(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// TestSend sends an event to a real server that reads it with Receive, over one connection.
func TestSend(t *testing.T) {
	var connections atomic.Int32
	received := make(chan event.Event, 10)
	headers := make(chan http.Header, 10)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		events, err := Receive(r, Limits{})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		received <- events[0]
		headers <- r.Header
		w.WriteHeader(http.StatusAccepted)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	s := newTestSink(t, SinkConfig{Overrides: `{"extensions": {"region": "us", "tier": "gold"}}`})
	sent := sample()
	for range 5 {
		if err := s.Send(t.Context(), server.URL, sent); err != nil {
			t.Fatal(err)
		}
		got, header := <-received, <-headers
		if got.ID() != "e1" || got.Subject() != sent.Subject() || string(got.Data()) != `{"a":1}` || got.DataContentType() != "application/json" {
			t.Errorf("received %v", got)
		}
		if got.Extensions()["region"] != "us" || got.Extensions()["tier"] != "gold" {
			t.Errorf("extensions %v: the overrides are missing", got.Extensions())
		}
		if want := "50%25%20%22off%22%20f%C3%BCr%0Aalle"; header.Get("Ce-Subject") != want {
			t.Errorf("subject was sent as %q, want %q", header.Get("Ce-Subject"), want)
		}
		if header.Get("Traceparent") == "" || header.Get("Content-Length") != "7" {
			t.Errorf("header %v", header)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for 5 events, want 1", n)
	}
	if sent.Extensions()["region"] != "eu" {
		t.Error("Send changed the caller's event")
	}
}

// TestStatuses has the rule of Knative for each status.
func TestStatuses(t *testing.T) {
	retried := map[int]bool{404: true, 408: true, 409: true, 425: true, 429: true, 500: true, 501: true, 502: true, 503: true, 504: true, 599: true}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := 0
		for _, c := range r.URL.Path[1:] {
			status = 10*status + int(c-'0')
		}
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		if status >= 400 {
			io.WriteString(w, "  because\xff\n")
		}
	}))
	defer server.Close()
	s := newTestSink(t, SinkConfig{})
	for _, status := range []int{200, 202, 204, 299, 300, 301, 302, 303, 304, 307, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 425, 429, 451, 500, 501, 502, 503, 504, 599} {
		err := s.Send(t.Context(), server.URL+"/"+itoa(status), sample())
		if status < 300 {
			if err != nil {
				t.Errorf("status %d: %v", status, err)
			}
			continue
		}
		failed, ok := errors.AsType[*SendError](err)
		if !ok || failed.Status != status || failed.Final() == retried[status] {
			t.Errorf("status %d: %#v", status, err)
			continue
		}
		wait := time.Duration(0)
		if status == 429 || status == 503 {
			wait = 7 * time.Second
		}
		if failed.RetryAfter() != wait {
			t.Errorf("status %d: retry after %v, want %v", status, failed.RetryAfter(), wait)
		}
		if status >= 400 && !strings.HasSuffix(err.Error(), "status "+itoa(status)+": because") {
			t.Errorf("status %d: error %q", status, err)
		}
	}
}

func itoa(n int) string {
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "12": 12 * time.Second, "-1": 0, "soon": 0, "99999999999999999999": 0,
		"Wed, 01 May 2024 12:00:30 GMT": 30 * time.Second, "Wed, 01 May 2024 11:00:00 GMT": 0,
	} {
		r := &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {text}}}
		if got := retryAfter(r, now); got != want {
			t.Errorf("Retry-After %q: %v, want %v", text, got, want)
		}
	}
}

// TestRedirects: a redirect that keeps the method is followed with the data, a loop ends.
func TestRedirects(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/here", http.StatusPermanentRedirect)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusTemporaryRedirect)
		default:
			if events, err := Receive(r, Limits{}); err != nil || string(events[0].Data()) != `{"a":1}` {
				w.WriteHeader(http.StatusBadRequest)
			}
		}
	}))
	defer server.Close()
	s := newTestSink(t, SinkConfig{})
	if err := s.Send(t.Context(), server.URL+"/moved", sample()); err != nil {
		t.Error(err)
	}
	if err := s.Send(t.Context(), server.URL+"/loop", sample()); err == nil {
		t.Error("a loop of redirects was accepted")
	}
}

// TestLongReply: an endless answer is not read to its end.
func TestLongReply(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	s := newTestSink(t, SinkConfig{MaxReply: 1000})
	err := s.Send(t.Context(), server.URL, sample())
	if failed, ok := errors.AsType[*SendError](err); !ok || failed.Status != 400 || len(failed.Text) > 1000 {
		t.Errorf("error %v", err)
	}
}

func TestNoAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // so that the server notices when the client goes
		<-r.Context().Done()
	}))
	url := server.URL
	s := newTestSink(t, SinkConfig{Timeout: 100 * time.Millisecond})
	if err := s.Send(t.Context(), url, sample()); !retryable(err) {
		t.Errorf("a sink that does not answer: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.Send(ctx, url, sample()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended context: %v", err)
	}
	server.Close()
	if err := s.Send(t.Context(), url, sample()); !retryable(err) {
		t.Errorf("a sink that is gone: %v", err)
	}
}

func retryable(err error) bool {
	failed, ok := errors.AsType[*SendError](err)
	return ok && failed.Status == 0 && !failed.Final()
}

func TestBadSends(t *testing.T) {
	s := newTestSink(t, SinkConfig{})
	for _, url := range []string{"", "sink", "ftp://host/", "http://", "http://user:secret@\x7f", "http://a b/"} {
		err := s.Send(t.Context(), url, sample())
		if failed, ok := errors.AsType[*SendError](err); !ok || !failed.Final() || strings.Contains(err.Error(), "secret") {
			t.Errorf("URL %q: %v", url, err)
		}
	}
	for name, e := range map[string]event.Event{"no id": func() event.Event { e := sample(); e.SetID(""); return e }(), "zero": {}} {
		err := s.Send(t.Context(), "http://127.0.0.1:1", e)
		if failed, ok := errors.AsType[*SendError](err); !ok || !failed.Final() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadOverrides(t *testing.T) {
	for _, text := range []string{`{`, `[]`, `{"extensions": []}`, `{"extensions": {"a-b": "x"}}`, `{"extensions": {"id": "x"}}`, `{"extensions": {"a": 1}}`, `{} {}`} {
		if _, err := NewSink(SinkConfig{Overrides: text}); err == nil || !strings.Contains(err.Error(), "K_CE_OVERRIDES") {
			t.Errorf("overrides %s: %v", text, err)
		}
	}
	for _, text := range []string{``, ` `, `{}`, `{"extensions": null}`, `{"extensions": {}, "later": 1}`} {
		if _, err := NewSink(SinkConfig{Overrides: text}); err != nil {
			t.Errorf("overrides %s: %v", text, err)
		}
	}
}

func TestIdempotencyKey(t *testing.T) {
	keys := map[string]string{}
	long := strings.Repeat("x", 300)
	for _, c := range [][2]string{{"/a", "b"}, {"/a:b", ""}, {"/a", "b:"}, {"", "/a:b"}, {long, "1"}, {long, "2"}} {
		key := IdempotencyKey(c[0], c[1])
		if other, taken := keys[key]; taken || len(key) > 200 || key != IdempotencyKey(c[0], c[1]) {
			t.Errorf("key of %v is %q, as of %s", c, key, other)
		}
		keys[key] = c[0] + " " + c[1]
	}
}
