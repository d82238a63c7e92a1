package invoke

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/condition"
	"github.com/hpcclab/oaas-go/odgm/engine/memory"
	"github.com/hpcclab/oaas-go/odgm/mailbox"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const class = "shop.cart"

// patience bounds what a test waits for; it is never reached when all is well.
const patience = 20 * time.Second

// request is a call as it came to a function over HTTP.
type request struct {
	*function.Call
	meta function.Meta
	http *http.Request
	body []byte
}

// world is a shard, an executor and a server whose handlers are the functions.
type world struct {
	t         *testing.T
	shard     *shard.Shard
	boxes     *mailbox.Boxes
	executor  *Executor
	server    *httptest.Server
	transport *http.Transport
	registry  *prometheus.Registry

	mu       sync.Mutex
	handlers map[string]func(http.ResponseWriter, *request)
	calls    map[string]int
	methods  map[string]call.Method
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, registry: prometheus.NewRegistry(), handlers: map[string]func(http.ResponseWriter, *request){}, calls: map[string]int{},
		methods: map[string]call.Method{},
	}
	sh, err := shard.Open(shard.Config{Class: class, Engine: memory.New(), Conditions: condition.NewCache(16)})
	if err != nil {
		t.Fatal(err)
	}
	w.shard = sh
	w.boxes = mailbox.New(mailbox.Config{Registerer: w.registry})
	w.executor = w.newExecutor()
	w.transport = &http.Transport{}
	w.server = httptest.NewServer(http.HandlerFunc(w.serve))
	w.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(func() {
		w.server.CloseClientConnections()
		w.server.Close()
		w.transport.CloseIdleConnections()
		if err := sh.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) newExecutor() *Executor {
	return New(Config{
		Boxes: w.boxes, Registerer: w.registry, MaxReply: 1 << 20, Backoff: func(int) time.Duration { return time.Millisecond },
	})
}

// serve decodes the call and hands it to the method's handler.
func (w *world) serve(rw http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	r := &request{http: req, body: body, Call: &function.Call{Method: req.Header.Get(function.HeaderMethod)}}
	if form, ok := function.CallForm(req.Header.Get("Content-Type")); ok {
		if r.Call, err = function.DecodeCall(form, body, function.Limits{}); err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
	}
	if r.meta, err = function.ReadMeta(req.Header); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	handler := w.handlers[r.Method]
	w.calls[r.Method]++
	w.mu.Unlock()
	if handler == nil {
		http.NotFound(rw, req)
		return
	}
	handler(rw, r)
}

// on binds a method to a handler; the options change the binding.
func (w *world) on(name string, handler func(http.ResponseWriter, *request), options ...func(*call.Method)) {
	m := call.Method{
		Name: name, Function: "cart-fn", State: object.Everything, Timeout: patience, URL: w.server.URL, Transport: w.transport,
	}
	for _, o := range options {
		o(&m)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handlers[name], w.methods[name] = handler, m
}

// reply binds a method to a function that gives a reply.
func (w *world) reply(name string, fn func(*request) *function.Reply, options ...func(*call.Method)) {
	w.on(name, func(rw http.ResponseWriter, r *request) { send(rw, fn(r)) }, options...)
}

func send(rw http.ResponseWriter, r *function.Reply) {
	rw.Header().Set("Content-Type", function.JSONReplyType)
	_, _ = rw.Write(function.EncodeReply(function.JSON, r))
}

func readonly(m *call.Method)  { m.ReadOnly = true }
func stateless(m *call.Method) { m.Stateless = true }
func retries(n int) func(*call.Method) {
	return func(m *call.Method) { m.Retries = n }
}
func within(d time.Duration) func(*call.Method) {
	return func(m *call.Method) { m.Timeout = d }
}

func set(key, value string) function.Entry {
	return function.Entry{Key: key, Value: function.Value{Data: []byte(value)}}
}

func (w *world) method(name string) (call.Method, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m, ok := w.methods[name]
	if !ok {
		return call.Method{}, fault.New(fault.NoFunction, "class %s has no method %q", class, name)
	}
	return m, nil
}

func (w *world) called(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[name]
}

func ref(id string) object.Ref { return object.Ref{Class: class, ID: id} }

// invoke calls a method on an object.
func (w *world) invoke(ctx context.Context, id, name string, options ...func(*call.Call)) (call.Answer, error) {
	m, err := w.method(name)
	if err != nil {
		return call.Answer{}, err
	}
	c := call.Call{Ref: ref(id), Method: name}
	for _, o := range options {
		o(&c)
	}
	return w.executor.Invoke(ctx, w.shard, m, c)
}

func (w *world) mustInvoke(id, name string, options ...func(*call.Call)) call.Answer {
	w.t.Helper()
	answer, err := w.invoke(w.t.Context(), id, name, options...)
	if err != nil {
		w.t.Fatalf("%s on %s: %v", name, id, err)
	}
	return answer
}

func payload(text string) func(*call.Call) {
	return func(c *call.Call) { c.Payload, c.ContentType = []byte(text), "text/plain" }
}
func key(k string) func(*call.Call) { return func(c *call.Call) { c.IdempotencyKey = k } }

// behalf makes the call one that a running function makes.
func behalf(r *request) func(*call.Call) {
	return func(c *call.Call) {
		chain, err := call.Parse(r.meta.Chain)
		if err != nil {
			panic(err)
		}
		c.Chain = chain
	}
}

// write changes an object from outside, or on behalf of a running function, as endpoints do.
func (w *world) write(ctx context.Context, chainText, id, key, value string) error {
	chain, err := call.Parse(chainText)
	if err != nil {
		return err
	}
	turn, err := w.boxes.Write(ctx, ref(id), chain)
	if err != nil {
		return err
	}
	defer turn.Done()
	_, err = w.shard.Do(ctx, &record.Command{Body: &record.Command_Write{Write: &record.Write{
		Object: id, Puts: []*record.Put{{Key: key, Data: []byte(value)}},
	}}})
	if err == nil {
		turn.Wrote([]string{key}, false)
	}
	return err
}

// remove deletes an object on behalf of a running function.
func (w *world) remove(ctx context.Context, chainText, id string) error {
	chain, err := call.Parse(chainText)
	if err != nil {
		return err
	}
	turn, err := w.boxes.Write(ctx, ref(id), chain)
	if err != nil {
		return err
	}
	defer turn.Done()
	_, err = w.shard.Do(ctx, &record.Command{Body: &record.Command_Write{Write: &record.Write{Object: id, DeleteObject: true}}})
	if err == nil {
		turn.Wrote(nil, true)
	}
	return err
}

func (w *world) configure(config *record.ClassConfig) {
	w.t.Helper()
	if _, err := w.shard.Do(w.t.Context(), &record.Command{Body: &record.Command_Configure{Configure: config}}); err != nil {
		w.t.Fatal(err)
	}
}

// state gives the entries of an object as text; nil when there is no object.
func (w *world) state(id string) map[string]string {
	w.t.Helper()
	obj, err := w.shard.Object(w.t.Context(), id, object.Everything)
	if fault.CodeOf(err) == fault.NoObject {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	state := map[string]string{}
	for _, e := range obj.State {
		state[e.Key] = string(e.Data)
	}
	return state
}

func (w *world) wantState(id string, want ...string) {
	w.t.Helper()
	got := w.state(id)
	for i := 0; i < len(want); i += 2 {
		if got[want[i]] != want[i+1] {
			w.t.Fatalf("object %s is %v, want %v", id, got, want)
		}
	}
	if len(got) != len(want)/2 {
		w.t.Fatalf("object %s is %v, want %v", id, got, want)
	}
}

// events gives what is in the outbox.
func (w *world) events() []*record.Event {
	w.t.Helper()
	groups, err := w.shard.OutboxGroups(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var all []*record.Event
	for _, group := range groups {
		events, err := w.shard.Outbox(w.t.Context(), group, 0, 1000)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, events...)
	}
	return all
}

// metric gives the value of a counter or gauge whose labels have these values.
func (w *world) metric(name string, values ...string) float64 {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if labelled(m, values) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

func labelled(m *dto.Metric, values []string) bool {
	for _, v := range values {
		found := false
		for _, l := range m.GetLabel() {
			found = found || l.GetValue() == v
		}
		if !found {
			return false
		}
	}
	return true
}

func wantCode(t *testing.T, err error, code fault.Code) *fault.Error {
	t.Helper()
	if fault.CodeOf(err) != code {
		t.Fatalf("got %v (%s), want code %s", err, fault.CodeOf(err), code)
	}
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e
	}
	t.Fatalf("%v is not a fault", err)
	return nil
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

// gate lets a handler wait until the test opens it.
type gate chan struct{}

func (g gate) wait(r *request) {
	select {
	case <-g:
	case <-r.http.Context().Done():
	case <-time.After(patience):
	}
}
