package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/record"
)

const (
	structured = "Content-Type: application/cloudevents+json"
	batch      = "Content-Type: application/cloudevents-batch+json"
)

// counting are methods that count how often they ran: total counts the calls of "add", which adds its payload's length to entry "n".
func counting(ran *atomic.Int64) map[string]method {
	return map[string]method{
		"add": func(_ *http.Request, c *function.Call) (*function.Reply, error) {
			ran.Add(1)
			n := 0
			if e, ok := c.Entry("n"); ok {
				_, _ = fmt.Sscan(string(e.Data), &n)
			}
			text := fmt.Append(nil, n+len(c.Payload))
			return &function.Reply{Payload: text, ContentType: "text/plain", Set: []function.Entry{{Key: "n", Value: function.Value{Data: text}}}}, nil
		},
		"show": func(_ *http.Request, c *function.Call) (*function.Reply, error) {
			return &function.Reply{Payload: fmt.Appendf(nil, "%s %s", c.ContentType, c.Payload)}, nil
		},
		"teapot": recordMethods["teapot"],
	}
}

func TestMethodsChangeTheirObject(t *testing.T) {
	var ran atomic.Int64
	r := newRig(t, rigOptions{methods: counting(&ran)})
	path := record0 + "/objects/c1/invokes/add"
	got := r.must(http.StatusOK, http.MethodPost, path, "12345", "Content-Type: text/plain")
	if got.body != "5" || got.header.Get("Content-Type") != "text/plain" || got.header.Get("Oaas-Object-Version") != "1" || got.header.Get("Etag") != "" {
		t.Errorf("got %q %v", got.body, got.header)
	}
	for _, replayed := range []string{"", "true"} {
		got = r.must(http.StatusOK, http.MethodPost, path, "12", "Idempotency-Key: k1")
		if got.body != "7" || got.header.Get("Oaas-Replayed") != replayed {
			t.Errorf("got %q %v, want replayed %q", got.body, got.header, replayed)
		}
	}
	if got := r.do(http.MethodPost, path, "other", "Idempotency-Key: k1"); got.status != 422 || got.code() != "IDEMPOTENCY_MISMATCH" {
		t.Errorf("same key, other payload: %d %s", got.status, got.body)
	}
	if n := ran.Load(); n != 2 {
		t.Errorf("the method ran %d times, want 2", n)
	}
	got = r.do(http.MethodPost, record0+"/objects/c1/invokes/teapot", "")
	if got.status != http.StatusTeapot || got.body != "short and stout" || got.header.Get("Content-Type") != "text/x-refusal" || got.code() != "FUNCTION_ERROR" {
		t.Errorf("refusal: %d %q %v", got.status, got.body, got.header)
	}
}

// With the switch on, what a function says of its failure comes with 200, as from OaaS-RS; everything else stays an error.
func TestFunctionErrorsOK(t *testing.T) {
	var ran atomic.Int64
	refuse := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no tea", http.StatusTeapot) }
	r := newRig(t, rigOptions{methods: counting(&ran), stateless: refuse, cfg: func(c *Config) { c.FunctionErrorsOK = true }})
	for path, want := range map[string]string{record0 + "/objects/c1/invokes/teapot": "short and stout", record0 + "/invokes/echo": "no tea\n"} {
		got := r.must(http.StatusOK, http.MethodPost, path, "")
		if got.body != want || got.code() != "FUNCTION_ERROR" {
			t.Errorf("%s: got %q %v", path, got.body, got.header)
		}
	}
	if got := r.do(http.MethodPost, record0+"/objects/c1/invokes/nobody", ""); got.status != http.StatusNotFound {
		t.Errorf("unknown method: %d %s", got.status, got.body)
	}
}

func TestMethodsTakeCloudEvents(t *testing.T) {
	var ran atomic.Int64
	r := newRig(t, rigOptions{methods: counting(&ran)})
	add, show := record0+"/objects/c1/invokes/add", record0+"/objects/c1/invokes/show"
	event := []string{"Ce-Specversion: 1.0", "Ce-Id: e1", "Ce-Source: /shop", "Ce-Type: t", "Content-Type: text/plain"}
	for _, want := range []string{"3", "3"} {
		if got := r.must(http.StatusOK, http.MethodPost, add, "abc", event...); got.body != want {
			t.Errorf("binary event: %q", got.body)
		}
	}
	// The same event in structured mode is the same call.
	same := `{"specversion":"1.0","id":"e1","source":"/shop","type":"t","datacontenttype":"text/plain","data":"abc"}`
	if got := r.must(http.StatusOK, http.MethodPost, add, same, structured); got.body != "3" || got.header.Get("Oaas-Replayed") != "true" {
		t.Errorf("structured event: %q %v", got.body, got.header)
	}
	// A key of the client's own goes before that of the event.
	if got := r.must(http.StatusOK, http.MethodPost, add, "abc", append(event, "Idempotency-Key: mine")...); got.body != "6" {
		t.Errorf("own key: %q", got.body)
	}
	for data, want := range map[string]string{
		`"datacontenttype":"application/json","data":{"a":1}`: `application/json {"a":1}`,
		`"data":[1]`: `application/json [1]`,
		`"datacontenttype":"text/plain","data":"t"`:                    `text/plain t`,
		`"datacontenttype":"application/x","data_base64":"` + "AQI=\"": "application/x \x01\x02",
	} {
		got := r.must(http.StatusOK, http.MethodPost, show, `{"specversion":"1.0","id":"`+fmt.Sprint(len(data))+`","source":"/s","type":"t",`+data+`}`, structured)
		if got.body != want {
			t.Errorf("data %s: got %q, want %q", data, got.body, want)
		}
	}
}

func TestFunctionsGetTheRequestAsItIs(t *testing.T) {
	r := newRig(t, rigOptions{stateless: func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		w.Header().Set("Content-Type", "text/x-seen")
		w.Header().Set("X-Own", "yes")
		w.Header().Set("Keep-Alive", "timeout=1")
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, "%s %s %s %s %s", q.Header.Get("Ce-Id"), q.Header.Get("X-Mine"), q.Header.Get("Content-Type"), q.Header.Get(function.HeaderMethod), body)
	}})
	for _, pid := range []string{"0", "1", "77", "x", "_"} { // belongs to no partition
		got := r.must(http.StatusCreated, http.MethodPost, "/api/class/example.record/"+pid+"/invokes/echo", "data",
			"Ce-Specversion: 1.0", "Ce-Id: e7", "Ce-Source: /s", "Ce-Type: t", "X-Mine: m", "Content-Type: text/y")
		if got.body != "e7 m text/y echo data" || got.header.Get("Content-Type") != "text/x-seen" || got.header.Get("X-Own") != "yes" || got.header.Get("Keep-Alive") != "" {
			t.Errorf("got %q %v", got.body, got.header)
		}
	}
	envelope := `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`
	for _, path := range []string{record0 + "/invokes/echo", record0 + "/objects/o/invokes/echo"} {
		if got := r.must(http.StatusCreated, http.MethodPost, path, envelope, structured); !strings.HasSuffix(got.body, envelope) {
			t.Errorf("the envelope was opened: %q", got.body)
		}
	}
}

func TestAsynchronousCalls(t *testing.T) {
	var ran atomic.Int64
	methods := counting(&ran)
	release := make(chan struct{})
	methods["slow"] = func(q *http.Request, _ *function.Call) (*function.Reply, error) {
		select {
		case <-release:
		case <-q.Context().Done():
		}
		return &function.Reply{Payload: []byte("late")}, nil
	}
	r := newRig(t, rigOptions{methods: methods})
	t.Cleanup(func() { close(release) })
	submit := func(path, body string) (location string) {
		got := r.must(http.StatusAccepted, http.MethodPost, path, body, "Prefer: return=minimal, Respond-Async; wait=1")
		var document struct {
			ID       string `json:"invocation_id"`
			Status   string
			Location string
		}
		if err := json.Unmarshal([]byte(got.body), &document); err != nil {
			t.Fatal(err)
		}
		if document.Status != "pending" || document.ID == "" || document.Location != got.header.Get("Location") || got.header.Get("Preference-Applied") != "respond-async" {
			t.Errorf("accepted: %s %v", got.body, got.header)
		}
		return document.Location
	}
	result := func(location string) (res struct {
		ID, Object, Method, Status string
		Created, Finished          *string
		Result                     *struct {
			Payload     []byte
			ContentType string `json:"content_type"`
		}
		Error *struct {
			Code, Message string
			Status        int
		}
	}) {
		got := r.must(http.StatusOK, http.MethodGet, location, "")
		if err := json.Unmarshal([]byte(got.body), &res); err != nil {
			t.Fatal(err)
		}
		return res
	}

	location := submit("/api/class/example.record/_/objects/a1/invokes/add", "1234")
	got := result(location + "?wait=20s")
	if got.Status != "succeeded" || got.Object != "a1" || got.Method != "add" || got.Result == nil || string(got.Result.Payload) != "4" ||
		got.Result.ContentType != "text/plain" || got.Created == nil || got.Finished == nil || got.Error != nil {
		t.Errorf("result: %+v", got)
	}
	raw := r.must(http.StatusOK, http.MethodGet, location+"?raw=true", "")
	if raw.body != "4" || raw.header.Get("Content-Type") != "text/plain" || raw.header.Get("Oaas-Object-Version") != "1" {
		t.Errorf("raw result: %q %v", raw.body, raw.header)
	}

	location = submit(record0+"/objects/a1/invokes/teapot", "")
	got = result(location + "?wait=20s")
	if got.Status != "failed" || got.Error == nil || got.Error.Code != "FUNCTION_ERROR" || got.Error.Status != http.StatusTeapot || got.Result != nil {
		t.Errorf("failed result: %+v", got)
	}
	raw = r.must(http.StatusTeapot, http.MethodGet, location+"?raw=1", "")
	if raw.body != "short and stout" || raw.code() != "FUNCTION_ERROR" {
		t.Errorf("raw failure: %q %v", raw.body, raw.header)
	}

	location = submit(record0+"/invokes/echo", "hello")
	if got := result(location + "?wait=20s"); got.Status != "succeeded" || got.Object != "" || string(got.Result.Payload) != "hello" {
		t.Errorf("stateless: %+v", got)
	}

	location = submit(record0+"/objects/a2/invokes/slow", "")
	if got := result(location + "?wait=1ms"); got.Status != "pending" || got.Finished != nil || got.Result != nil || got.Error != nil {
		t.Errorf("pending: %+v", got)
	}
	r.must(http.StatusAccepted, http.MethodGet, location+"?raw=true", "")
	if got := r.must(http.StatusOK, http.MethodDelete, location, ""); !strings.Contains(got.body, `"status":"cancelled"`) {
		t.Errorf("cancelled: %s", got.body)
	}
	if got := r.do(http.MethodGet, location+"?raw=true", ""); got.status != http.StatusConflict || got.code() != "CANCELLED" {
		t.Errorf("raw result of a cancelled call: %d %s", got.status, got.body)
	}
}

func TestEventsGoToSubscriptions(t *testing.T) {
	var ran atomic.Int64
	r := newRig(t, rigOptions{methods: counting(&ran), class: func(c *odgm.Class) {
		c.Subscriptions = []odgm.Subscription{
			{Type: "order", Method: "add", ObjectFrom: "subject"},
			{Type: "fail", Method: "teapot", Object: "main"},
		}
	}})
	event := func(id, kind, subject string) string {
		return `{"specversion":"1.0","id":"` + id + `","source":"/s","type":"` + kind + `","subject":"` + subject + `","datacontenttype":"text/plain","data":"abc"}`
	}
	n := func(id, want string) {
		t.Helper()
		got := r.must(http.StatusOK, http.MethodGet, "/api/class/example.record/_/objects/"+id+"/entries/n", "")
		if got.body != want {
			t.Errorf("object %s counts %s, want %s", id, got.body, want)
		}
	}
	accepted := func(path, body, calls string, headers ...string) {
		t.Helper()
		got := r.must(http.StatusAccepted, http.MethodPost, path, body, headers...)
		if got.body != "" || got.header.Get("Oaas-Calls") != calls {
			t.Errorf("got %q %v", got.body, got.header)
		}
	}
	accepted("/", "abc", "1", "Ce-Specversion: 1.0", "Ce-Id: 1", "Ce-Source: /s", "Ce-Type: order", "Ce-Subject: o1", "Content-Type: text/plain")
	accepted("/events", event("1", "order", "o1"), "1", structured) // the same again
	n("o1", "3")
	accepted("/events", "["+event("2", "order", "o1")+","+event("3", "order", "o2")+","+event("4", "nobody", "x")+"]", "2", batch)
	n("o1", "6")
	n("o2", "3")
	accepted("/events", "[]", "0", batch)
	got := r.do(http.MethodPost, "/events", "["+event("5", "fail", "")+","+event("6", "order", "o2")+"]", batch)
	if got.status != http.StatusTeapot || got.code() != "FUNCTION_ERROR" {
		t.Errorf("failing batch: %d %s", got.status, got.body)
	}
	n("o2", "6") // the others were tried
	if got := r.do(http.MethodPost, "/events", event("7", "order", ""), structured); got.status != http.StatusBadRequest {
		t.Errorf("event without subject: %d %s", got.status, got.body)
	}
}

func TestClassesTriggersAndDeadLetters(t *testing.T) {
	var ran atomic.Int64
	r := newRig(t, rigOptions{methods: counting(&ran), class: func(c *odgm.Class) {
		c.Access = map[string]string{"show": "INTERNAL"}
		c.Subscriptions = []odgm.Subscription{{Type: "order", Method: "add", ObjectFrom: "subject"}}
		c.Triggers = []*record.ClassTrigger{{
			Name: "wrong", On: oprc.EventType_EVENT_TYPE_DATA_CREATE, Entry: "a",
			Target: &record.Target{Class: "example.record", Method: "teapot", ByHash: true},
		}, {
			Name: "out", On: oprc.EventType_EVENT_TYPE_FUNC_ERROR, Method: "show", Condition: "true", Target: &record.Target{Sink: "default"},
		}}
	}})
	classes := r.must(http.StatusOK, http.MethodGet, "/api/class", "").body
	want := `{"classes":[{"name":"example.record","package":"example","partitions":2,"engine":"memory","methods":[` +
		`{"name":"add","function":"fn","stateless":false,"readonly":false,"access":"PUBLIC","retries":0},` +
		`{"name":"echo","function":"fn","stateless":true,"readonly":false,"access":"PUBLIC","retries":0},` +
		`{"name":"show","function":"fn","stateless":false,"readonly":false,"access":"INTERNAL","retries":0},` +
		`{"name":"teapot","function":"fn","stateless":false,"readonly":false,"access":"PUBLIC","retries":0}],` +
		`"subscriptions":[{"type":"order","method":"add","object_from":"subject"}],"triggers":2}]}`
	if classes != want {
		t.Errorf("classes: %s\nwant %s", classes, want)
	}
	triggers := r.must(http.StatusOK, http.MethodGet, "/api/class/example.record/triggers", "").body
	want = `{"triggers":[{"name":"wrong","on":"oaas.entry.created","entry":"a","target":{"class":"example.record","method":"teapot"}},` +
		`{"name":"out","on":"oaas.method.failed","method":"show","condition":"true","target":{"sink":"default"}}]}`
	if triggers != want {
		t.Errorf("triggers: %s\nwant %s", triggers, want)
	}

	r.must(http.StatusOK, http.MethodPut, record0+"/objects/o1/entries/a", "x")
	r.must(http.StatusOK, http.MethodPut, record0+"/objects/o2/entries/a", "y")
	var listed struct {
		Letters []letterDocument `json:"dead_letters"`
	}
	letters := func(query string) []letterDocument {
		listed.Letters = nil
		got := r.must(http.StatusOK, http.MethodGet, "/api/class/example.record/_/dead-letters"+query, "")
		if err := json.Unmarshal([]byte(got.body), &listed); err != nil {
			t.Fatal(err)
		}
		return listed.Letters
	}
	until(t, "both events are given up", func() bool { return len(letters("")) == 2 })
	first := letters("?limit=1")[0]
	if first.Type != "oaas.entry.created" || first.Object == "" || first.Key != "a" || first.Target.Method != "teapot" || first.Reason == "" || first.Attempts == 0 || len(first.Data) != 1 {
		t.Errorf("letter: %+v", first)
	}
	if rest := letters(fmt.Sprintf("?after=%d", first.Seq)); len(rest) != 1 || rest[0].Seq == first.Seq {
		t.Errorf("letters after %d: %+v", first.Seq, rest)
	}
	count := func(path, body, want string) {
		t.Helper()
		if got := r.must(http.StatusOK, http.MethodPost, path, body, jsonBody); got.body != `{"count":`+want+`}` {
			t.Errorf("%s %s: %s", path, body, got.body)
		}
	}
	count(record0+"/dead-letters/drop", fmt.Sprintf(`{"seqs":[%d]}`, first.Seq), "1")
	count("/api/class/example.record/_/dead-letters/replay", `{"all":true}`, "1")
	until(t, "the replayed event is given up again", func() bool { return len(letters("")) == 1 })
	count("/api/class/example.record/_/dead-letters/drop", `{"all":true}`, "1")
	if left := letters(""); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}

func TestChainsAreHandedOn(t *testing.T) {
	var inner atomic.Value
	var r *rig
	methods := map[string]method{
		"outer": func(q *http.Request, _ *function.Call) (*function.Reply, error) {
			got, err := r.try(http.MethodPost, record0+"/objects/o/invokes/inner", strings.NewReader("x"),
				"Oaas-Chain: "+q.Header.Get(function.HeaderChain), "Oaas-Timeout: 20s")
			if err != nil {
				return nil, refusal{500, err.Error()}
			}
			inner.Store(fmt.Sprintf("%d %s", got.status, got.body))
			return &function.Reply{}, nil
		},
		"inner": func(*http.Request, *function.Call) (*function.Reply, error) {
			return &function.Reply{Payload: []byte("re-entered")}, nil
		},
	}
	r = newRig(t, rigOptions{methods: methods})
	r.must(http.StatusOK, http.MethodPost, record0+"/objects/o/invokes/outer", "")
	if got := inner.Load(); got != "200 re-entered" {
		t.Errorf("the inner call: %v", got)
	}
}
