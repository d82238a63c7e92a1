package invoke

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// plain calls a stateless function with the caller's request.
func (w *world) plain(t *testing.T, name string, body string, header http.Header) (call.Answer, error) {
	t.Helper()
	m, err := w.method(name)
	if err != nil {
		t.Fatal(err)
	}
	c := call.Call{Ref: object.Ref{Class: class}, Method: name, Payload: []byte(body)}
	if header != nil {
		c.Request = &http.Request{Method: http.MethodPut, Header: header}
		c.ContentType = header.Get("Content-Type")
	}
	return w.executor.Invoke(t.Context(), nil, m, c)
}

func TestStatelessGetsTheRequestAsItIs(t *testing.T) {
	w := newWorld(t)
	var got *request
	w.on("echo", func(rw http.ResponseWriter, r *request) {
		got = r
		rw.Header().Set("Content-Type", "text/x-echo")
		rw.Header().Set("Ce-Type", "answer")
		rw.Header().Set("Keep-Alive", "timeout=5")
		rw.WriteHeader(http.StatusAccepted)
		_, _ = rw.Write(r.body)
	}, stateless)
	a, err := w.plain(t, "echo", "body", http.Header{
		"Content-Type": {"text/plain"}, "Ce-Id": {"their-id"}, "Ce-Type": {"theirs"}, "Ce-Source": {"/them"}, "Ce-Specversion": {"1.0"}, "X-Own": {"1", "2"},
		"Connection": {"close, X-Hop"}, "X-Hop": {"1"}, "Te": {"trailers"}, "Content-Length": {"999"}, "Oaas-Chain": {"forged"}, "Oaas-Depth": {"99"},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := got.http.Header
	for name, want := range map[string]string{
		"Content-Type": "text/plain", "Ce-Id": "their-id", "Ce-Type": "theirs", "Ce-Source": "/them", "Ce-Subject": "", "X-Hop": "", "Te": "",
		"Oaas-Depth": "0", "Oaas-Class": class, "Oaas-Method": "echo",
	} {
		if h.Get(name) != want {
			t.Errorf("header %s is %q, want %q", name, h.Get(name), want)
		}
	}
	if strings.Join(h.Values("X-Own"), " ") != "1 2" || string(got.body) != "body" || got.http.Method != http.MethodPost || got.http.URL.Path != "/" {
		t.Errorf("got %s %s %v %q", got.http.Method, got.http.URL, h, got.body)
	}
	if chain := mustParse(got.meta.Chain); len(chain) != 1 || chain[0].Ref.ID != "" || chain[0].Method != "echo" {
		t.Errorf("chain %v", chain)
	}
	if a.Status != http.StatusAccepted || string(a.Payload) != "body" || a.ContentType != "text/x-echo" || a.Header.Get("Ce-Type") != "answer" ||
		a.Header.Get("Keep-Alive") != "" || a.Header.Get("Content-Length") != "" {
		t.Errorf("answer %+v", a)
	}
}

func TestStatelessWithoutRequestIsACloudEvent(t *testing.T) {
	w := newWorld(t)
	var got *request
	w.on("echo", func(rw http.ResponseWriter, r *request) { got = r }, stateless)
	if _, err := w.plain(t, "echo", "", nil); err != nil {
		t.Fatal(err)
	}
	h := got.http.Header
	if h.Get("Ce-Type") != "oaas.method.call" || h.Get("Ce-Id") == "" || h.Get("Ce-Subject") != "echo" || h.Get("Content-Type") != "" || h.Get("Accept") != "" {
		t.Errorf("headers %v", h)
	}
}

func TestStatelessFailures(t *testing.T) {
	w := newWorld(t)
	w.on("fail", answer(418, "text/plain", "teapot"), stateless)
	_, err := w.plain(t, "fail", "", nil)
	if e := wantCode(t, err, fault.FunctionError); e.Status != 418 || string(e.Body) != "teapot" || e.ContentType != "text/plain" {
		t.Errorf("got %+v", e)
	}
	w.on("half", rawAnswer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), stateless)
	_, err = w.plain(t, "half", "", nil)
	wantCode(t, err, fault.BadReply)
	w.on("gone", nil, stateless, func(m *call.Method) { m.URL = closedPort(t) })
	_, err = w.plain(t, "gone", "", nil)
	wantCode(t, err, fault.FunctionUnavailable)
	n := 0
	w.on("flaky", func(rw http.ResponseWriter, r *request) {
		if n++; n == 1 {
			rw.WriteHeader(503)
		}
	}, stateless, retries(1))
	if _, err := w.plain(t, "flaky", "", nil); err != nil {
		t.Error(err)
	}
}

func TestStatelessMayCallOnBehalfOfItself(t *testing.T) {
	w := newWorld(t)
	w.reply("add", add)
	var late string
	w.on("fan", func(rw http.ResponseWriter, r *request) {
		late = r.meta.Chain
		w.mustInvoke("x", "add", behalf(r))
		w.mustInvoke("y", "add", behalf(r))
	}, stateless)
	if _, err := w.plain(t, "fan", "", nil); err != nil {
		t.Fatal(err)
	}
	w.wantState("x", "n", "1")
	w.wantState("y", "n", "1")
	wantCode(t, w.write(t.Context(), late, "x", "n", "9"), fault.StaleCall)
}
