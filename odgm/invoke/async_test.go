package invoke

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/record"
)

const (
	pending   = record.InvocationState_INVOCATION_STATE_PENDING
	succeeded = record.InvocationState_INVOCATION_STATE_SUCCEEDED
	failed    = record.InvocationState_INVOCATION_STATE_FAILED
	cancelled = record.InvocationState_INVOCATION_STATE_CANCELLED
)

func (w *world) async(options ...func(*AsyncConfig)) *Async {
	cfg := AsyncConfig{Executor: w.executor, Shard: w.shard, Class: class, Method: w.method}
	for _, o := range options {
		o(&cfg)
	}
	a := NewAsync(cfg)
	w.t.Cleanup(a.Close)
	return a
}

func workers(n int) func(*AsyncConfig) { return func(c *AsyncConfig) { c.Workers = n } }
func queued(n int) func(*AsyncConfig)  { return func(c *AsyncConfig) { c.Queue = n } }

func named(id string) func(*call.Call) { return func(c *call.Call) { c.Invocation = id } }

func submit(t *testing.T, a *Async, id, method string, options ...func(*call.Call)) *record.Invocation {
	t.Helper()
	c := call.Call{Ref: ref(id), Method: method}
	for _, o := range options {
		o(&c)
	}
	inv, err := a.Submit(t.Context(), c)
	if err != nil {
		t.Fatalf("submit: %v", err)
	}
	return inv
}

func await(t *testing.T, a *Async, id string, want record.InvocationState) *record.Invocation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	inv, err := a.Await(ctx, id)
	if err != nil {
		t.Fatalf("await %s: %v", id, err)
	}
	if inv.GetState() != want {
		t.Fatalf("invocation %s: %v, want %v", id, inv, want)
	}
	return inv
}

func TestAsyncCall(t *testing.T) {
	w := newWorld(t)
	var got *request
	w.reply("add", func(r *request) *function.Reply {
		got = r
		reply := add(r)
		reply.Events = []function.Event{{Type: "added"}}
		return reply
	})
	a := w.async()
	inv := submit(t, a, "x", "add", payload("p"), func(c *call.Call) { c.Depth, c.Caller = 2, "external" })
	if inv.GetState() != pending || !strings.HasPrefix(inv.GetId(), "0.") || len(inv.GetId()) != 28 || inv.GetId() != strings.ToLower(inv.GetId()) {
		t.Errorf("submitted %v", inv)
	}
	end := await(t, a, inv.GetId(), succeeded)
	if string(end.GetOutcome().GetPayload()) != "1" || end.GetOutcome().GetVersion() != 1 || end.GetFinished() == 0 {
		t.Errorf("ended %v", end)
	}
	w.wantState("x", "n", "1")
	if got.meta.ID != inv.GetId() || string(got.Payload) != "p" || got.ContentType != "text/plain" || got.meta.Depth != 2 || got.Caller != "external" {
		t.Errorf("the function got %+v %+v", got.Call, got.meta)
	}
	if ev := w.events(); len(ev) != 1 || ev[0].GetId() != inv.GetId()+"/1" {
		t.Errorf("events %v", ev)
	}
	await(t, a, inv.GetId(), succeeded) // again
	_, err := a.Await(t.Context(), "0.unknown")
	wantCode(t, err, fault.NoInvocation)
	eventually(t, "the gauge falls", func() bool { return w.metric("oaas_invocations_pending", class) == 0 })
}

func TestAsyncReadonlyAndStateless(t *testing.T) {
	w := newWorld(t)
	w.reply("get", func(*request) *function.Reply { return &function.Reply{Payload: []byte("got")} }, readonly)
	w.on("plain", answer(200, "text/plain", "hello"), stateless)
	w.on("broken", answer(500, "text/plain", "boom"), stateless)
	a := w.async()
	end := await(t, a, submit(t, a, "x", "get").GetId(), succeeded)
	if string(end.GetOutcome().GetPayload()) != "got" || w.state("x") != nil {
		t.Errorf("ended %v", end)
	}
	end = await(t, a, submit(t, a, "", "plain").GetId(), succeeded)
	if string(end.GetOutcome().GetPayload()) != "hello" || end.GetOutcome().GetContentType() != "text/plain" {
		t.Errorf("ended %v", end)
	}
	await(t, a, submit(t, a, "", "broken").GetId(), failed)
}

func TestAsyncFailure(t *testing.T) {
	w := newWorld(t)
	w.on("fail", answer(422, "application/json", `{"no":1}`))
	w.configure(&record.ClassConfig{Triggers: []*record.ClassTrigger{{
		Name: "sorry", On: oprc.EventType_EVENT_TYPE_FUNC_ERROR, Target: &record.Target{Sink: "http://sink/"},
	}}})
	a := w.async()
	f := await(t, a, submit(t, a, "x", "fail").GetId(), failed).GetOutcome().GetFailure()
	if f.GetCode() != "FUNCTION_ERROR" || f.GetStatus() != 422 || string(f.GetBody()) != `{"no":1}` || f.GetContentType() != "application/json" ||
		!strings.Contains(f.GetMessage(), "422") {
		t.Errorf("failure %v", f)
	}
	if n := len(w.events()); n != 1 {
		t.Errorf("%d events, want the failure once", n)
	}
	_, err := a.Submit(t.Context(), call.Call{Ref: ref("x"), Method: "none"})
	wantCode(t, err, fault.NoFunction)
}

func TestMethodThatIsGoneEndsTheInvocation(t *testing.T) {
	w := newWorld(t)
	w.reply("add", add)
	submitPending(t, w, "0.1", "x", "gone")
	a := w.async()
	if f := await(t, a, "0.1", failed).GetOutcome().GetFailure(); f.GetCode() != string(fault.NoFunction) {
		t.Errorf("failure %v", f)
	}
}

// submitPending leaves an invocation on disk as a process that has died would.
func submitPending(t *testing.T, w *world, id, object, method string) {
	t.Helper()
	_, err := w.shard.Do(t.Context(), &record.Command{Body: &record.Command_Submit{Submit: &record.Submit{Invocation: &record.Invocation{
		Id: id, Object: object, Method: method,
	}}}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	begun := make(chan struct{}, 1)
	ended := make(chan struct{})
	w.on("slow", func(rw http.ResponseWriter, r *request) {
		begun <- struct{}{}
		<-r.http.Context().Done()
		close(ended)
	})
	w.reply("add", add)
	w.configure(&record.ClassConfig{Triggers: []*record.ClassTrigger{{
		Name: "sorry", On: oprc.EventType_EVENT_TYPE_FUNC_ERROR, Target: &record.Target{Sink: "http://sink/"},
	}}})
	a := w.async()
	runs := submit(t, a, "x", "slow")
	<-begun
	waits := submit(t, a, "x", "add")
	for _, inv := range []*record.Invocation{waits, runs} {
		got, err := a.Cancel(t.Context(), inv.GetId())
		if err != nil || got.GetState() != cancelled {
			t.Fatalf("cancel: %v %v", got, err)
		}
		await(t, a, inv.GetId(), cancelled)
	}
	<-ended // the function's request was cut off
	done := submit(t, a, "x", "add")
	await(t, a, done.GetId(), succeeded)
	if got, err := a.Cancel(t.Context(), done.GetId()); err != nil || got.GetState() != succeeded {
		t.Errorf("cancel of an ended one: %v %v", got, err)
	}
	_, err := a.Cancel(t.Context(), "0.unknown")
	wantCode(t, err, fault.NoInvocation)
	w.wantState("x", "n", "1")
	if n := len(w.events()); n != 0 {
		t.Errorf("%d events: a cancelled call is no failure", n)
	}
}

func TestLateCommitOfACancelledCall(t *testing.T) {
	w := newWorld(t)
	w.on("add", func(rw http.ResponseWriter, r *request) {
		// The record ends, but the running call does not hear of it: as if the cancellation came between answer and commit.
		_, err := w.shard.Do(t.Context(), &record.Command{Body: &record.Command_Cancel{Cancel: &record.Cancel{Invocation: r.meta.ID}}})
		if err != nil {
			t.Error(err)
		}
		send(rw, add(r))
	})
	a := w.async()
	inv := submit(t, a, "x", "add")
	await(t, a, inv.GetId(), cancelled)
	eventually(t, "the call ends", func() bool { return w.metric("oaas_calls_total", "add", "CANCELLED") == 1 })
	if w.state("x") != nil {
		t.Errorf("state %v", w.state("x"))
	}
}

func TestRestartRunsWhatIsPending(t *testing.T) {
	w := newWorld(t)
	begun := make(chan struct{}, 8)
	var mu sync.Mutex
	stuck := true
	w.on("add", func(rw http.ResponseWriter, r *request) {
		mu.Lock()
		wait := stuck
		mu.Unlock()
		if wait {
			begun <- struct{}{}
			<-r.http.Context().Done()
			return
		}
		send(rw, add(r))
	})
	a := w.async()
	first, second := submit(t, a, "x", "add"), submit(t, a, "x", "add")
	<-begun
	waiting := make(chan error, 1)
	go func() {
		_, err := a.Await(t.Context(), first.GetId())
		waiting <- err
	}()
	a.Close()
	wantCode(t, <-waiting, fault.Unavailable)
	_, err := a.Submit(t.Context(), call.Call{Ref: ref("x"), Method: "add"})
	wantCode(t, err, fault.Unavailable)
	for _, inv := range []*record.Invocation{first, second} {
		if now, err := w.shard.Invocation(t.Context(), inv.GetId()); err != nil || now.GetState() != pending {
			t.Fatalf("after the stop: %v %v", now, err)
		}
	}
	mu.Lock()
	stuck = false
	mu.Unlock()
	b := w.async()
	await(t, b, first.GetId(), succeeded)
	await(t, b, second.GetId(), succeeded)
	w.wantState("x", "n", "2")
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	w.on("slow", func(rw http.ResponseWriter, r *request) { <-r.http.Context().Done() })
	a := w.async()
	inv := submit(t, a, "x", "slow")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := a.Await(ctx, inv.GetId())
	wantCode(t, err, fault.DeadlineExceeded)
	if len(a.awaited) != 0 {
		t.Error("somebody is still awaited for")
	}
}
