package invoke

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// add is a counter: it adds one to the entry n.
func add(r *request) *function.Reply {
	n := 0
	if v, ok := r.Entry("n"); ok {
		n, _ = strconv.Atoi(string(v.Data))
	}
	text := strconv.Itoa(n + 1)
	return &function.Reply{Payload: []byte(text), ContentType: "text/plain", Set: []function.Entry{set("n", text)}}
}

func TestCallCommitsTheReply(t *testing.T) {
	w := newWorld(t)
	var got *request
	w.reply("add", func(r *request) *function.Reply {
		got = r
		reply := add(r)
		reply.Delete = []string{"old"}
		reply.Events = []function.Event{{Type: "added", Subject: "s", Data: []byte("1"), ContentType: "text/plain", Extensions: map[string]string{"a": "b"}}}
		return reply
	})
	if err := w.write(t.Context(), "", "x", "old", "o"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	answer, err := w.invoke(ctx, "x", "add", payload("p"), func(c *call.Call) {
		c.ID, c.Depth, c.Caller, c.Options = "call-1", 3, "external", map[string]string{"accept": "*/*"}
	})
	if err != nil {
		t.Fatal(err)
	}
	if string(answer.Payload) != "1" || answer.ContentType != "text/plain" || answer.Version != 2 || answer.Replayed {
		t.Errorf("answer %+v", answer)
	}
	w.wantState("x", "n", "1")
	if got.Class != class || got.Object != "x" || !got.Exists || got.Version != 1 || string(got.Payload) != "p" || got.ContentType != "text/plain" ||
		got.Caller != "external" || got.Options["accept"] != "*/*" || len(got.Entries) != 1 || got.Entries[0].Version != 1 {
		t.Errorf("the function got %+v", got.Call)
	}
	h := got.http.Header
	for name, want := range map[string]string{
		"Ce-Id": "call-1", "Ce-Type": "oaas.method.call", "Ce-Subject": "add", "Ce-Specversion": "1.0", "Ce-Source": "/oaas/shop.cart/0/x",
		"Oaas-Attempt": "1", "Oaas-Depth": "3", "Content-Type": function.JSONCallType,
	} {
		if h.Get(name) != want {
			t.Errorf("header %s is %q, want %q", name, h.Get(name), want)
		}
	}
	if left := time.Until(got.meta.Deadline); got.http.Method != "POST" || got.http.URL.Path != "/" || left > 5*time.Second {
		t.Errorf("%s %s, deadline %v", got.http.Method, got.http.URL, got.meta.Deadline)
	}
	chain, err := call.Parse(got.meta.Chain)
	if err != nil || len(chain) != 1 || chain[0].Ref != ref("x") || chain[0].Method != "add" {
		t.Errorf("chain %q: %v", got.meta.Chain, err)
	}
	events := w.events()
	if len(events) != 1 || events[0].GetId() != "call-1/1" || events[0].GetType() != "added" || events[0].GetSubject() != "s" ||
		string(events[0].GetData()) != "1" || events[0].GetExtensions()["a"] != "b" || events[0].GetDepth() != 4 {
		t.Errorf("events %v", events)
	}
	if n := w.metric("oaas_calls_total", class, "add", "OK"); n != 1 {
		t.Errorf("counted %v calls", n)
	}
	if w.metric("oaas_call_seconds", class) != 1 || w.metric("oaas_function_seconds", class) != 1 {
		t.Error("times were not measured")
	}
}

func TestNewObjectIsMadeWhenSomethingIsPut(t *testing.T) {
	w := newWorld(t)
	var seen []string
	w.reply("look", func(r *request) *function.Reply {
		seen = append(seen, fmt.Sprint(r.Exists, r.Version, len(r.Entries)))
		return &function.Reply{Delete: []string{"nothing"}}
	})
	w.reply("add", add)
	if v := w.mustInvoke("x", "look").Version; v != 0 || w.state("x") != nil {
		t.Errorf("version %d, state %v", v, w.state("x"))
	}
	if v := w.mustInvoke("x", "add").Version; v != 1 {
		t.Errorf("version %d", v)
	}
	w.mustInvoke("x", "look")
	if strings.Join(seen, "; ") != "false 0 0; true 1 1" {
		t.Errorf("seen %v", seen)
	}
}

func TestOnlyDeclaredEntriesTravel(t *testing.T) {
	w := newWorld(t)
	for _, k := range []string{"a", "b1", "b2", "c"} {
		if err := w.write(t.Context(), "", "x", k, k); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	w.reply("look", func(r *request) *function.Reply {
		for _, e := range r.Entries {
			keys = append(keys, e.Key)
		}
		return &function.Reply{}
	}, func(m *call.Method) { m.State = object.Selector{Keys: []string{"c"}, Prefixes: []string{"b"}} })
	w.mustInvoke("x", "look")
	if strings.Join(keys, " ") != "b1 b2 c" {
		t.Errorf("got %v", keys)
	}
}

func TestPlainAnswerIsTheResult(t *testing.T) {
	w := newWorld(t)
	w.on("hello", func(rw http.ResponseWriter, r *request) {
		rw.Header().Set("Content-Type", "text/plain")
		rw.WriteHeader(http.StatusCreated)
		_, _ = rw.Write([]byte("hello"))
	})
	w.on("nothing", func(rw http.ResponseWriter, r *request) { rw.WriteHeader(http.StatusNoContent) })
	if a := w.mustInvoke("x", "hello"); string(a.Payload) != "hello" || a.ContentType != "text/plain" {
		t.Errorf("answer %+v", a)
	}
	if a := w.mustInvoke("x", "nothing"); len(a.Payload) != 0 {
		t.Errorf("answer %+v", a)
	}
}

func TestRetries(t *testing.T) {
	flaky := func(failures int32, fail func(http.ResponseWriter, *request)) (func(http.ResponseWriter, *request), *[]*request) {
		var n atomic.Int32
		var seen []*request
		return func(rw http.ResponseWriter, r *request) {
			seen = append(seen, r)
			if n.Add(1) <= failures {
				fail(rw, r)
				return
			}
			send(rw, add(r))
		}, &seen
	}
	tests := map[string]struct {
		fail     func(http.ResponseWriter, *request)
		failures int32
		retries  int
		attempts int
		code     fault.Code
	}{
		"passes":           {answer(503, "", ""), 2, 2, 3, ""},
		"bad gateway":      {answer(502, "", ""), 1, 1, 2, ""},
		"gateway timeout":  {answer(504, "", ""), 1, 1, 2, ""},
		"no connection":    {rawAnswer(""), 1, 3, 2, ""},
		"too often":        {answer(503, "", ""), 3, 2, 3, fault.FunctionError},
		"without retries":  {answer(503, "", ""), 1, 0, 1, fault.FunctionError},
		"its own failure":  {answer(500, "", ""), 1, 5, 1, fault.FunctionError},
		"a bad reply":      {answer(200, function.JSONReplyType, "x"), 1, 5, 1, fault.BadReply},
		"too many at once": {answer(429, "", ""), 1, 5, 1, fault.FunctionError},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			handler, seen := flaky(test.failures, test.fail)
			w.on("add", handler, retries(test.retries))
			_, err := w.invoke(t.Context(), "x", "add")
			if test.code == "" && err != nil {
				t.Fatal(err)
			}
			if test.code != "" {
				wantCode(t, err, test.code)
			} else {
				w.wantState("x", "n", "1")
			}
			if len(*seen) != test.attempts {
				t.Fatalf("%d attempts, want %d", len(*seen), test.attempts)
			}
			chains := map[string]bool{}
			for i, r := range *seen {
				if r.meta.Attempt != i+1 || r.meta.ID != (*seen)[0].meta.ID {
					t.Errorf("attempt %d has number %d and id %s", i+1, r.meta.Attempt, r.meta.ID)
				}
				chains[r.meta.Chain] = true
			}
			if len(chains) != test.attempts {
				t.Error("attempts share a chain: a call of a former one would pass for one of the next")
			}
		})
	}
}

func TestNoRetryAfterTheDeadline(t *testing.T) {
	w := newWorld(t)
	w.executor.cfg.Backoff = func(int) time.Duration { return time.Hour }
	w.on("fail", answer(503, "", ""), retries(3))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := w.invoke(ctx, "x", "fail")
	wantCode(t, err, fault.DeadlineExceeded)
	if !strings.Contains(err.Error(), "503") {
		t.Errorf("the reason is lost: %v", err)
	}
}

func TestSecondAttemptSeesWhatTheFirstHasDone(t *testing.T) {
	w := newWorld(t)
	w.on("twice", func(rw http.ResponseWriter, r *request) {
		if r.meta.Attempt == 1 {
			if err := w.write(t.Context(), r.meta.Chain, "x", "n", "41"); err != nil {
				t.Error(err)
			}
			rw.WriteHeader(503)
			return
		}
		send(rw, add(r)) // writes n, which it has seen: no conflict
	}, retries(1))
	w.mustInvoke("x", "twice")
	w.wantState("x", "n", "42")
}

func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t)
	w.reply("add", add)
	w.reply("more", add)
	first := w.mustInvoke("x", "add", key("k"), payload("p"))
	again := w.mustInvoke("x", "add", key("k"), payload("p"))
	if first.Replayed || !again.Replayed || string(again.Payload) != "1" || again.ContentType != "text/plain" || again.Version != first.Version {
		t.Errorf("first %+v, again %+v", first, again)
	}
	_, err := w.invoke(t.Context(), "x", "add", key("k"), payload("q"))
	e := wantCode(t, err, fault.IdempotencyMismatch)
	if !strings.Contains(e.Message, `"k"`) {
		t.Errorf("the key is not named: %v", e)
	}
	w.wantState("x", "n", "1")
	w.mustInvoke("x", "more", key("k"), payload("q")) // a key is good for one method
	w.mustInvoke("y", "add", key("k"), payload("q"))  // and one object
	w.wantState("x", "n", "2")
	if w.called("add") != 2 {
		t.Errorf("the function was called %d times", w.called("add"))
	}
}

func TestConcurrentDuplicatesRunOnce(t *testing.T) {
	w := newWorld(t)
	w.reply("add", add)
	var wg sync.WaitGroup
	var fresh atomic.Int32
	for range 16 {
		wg.Go(func() {
			a, err := w.invoke(t.Context(), "x", "add", key("k"))
			if err != nil || string(a.Payload) != "1" {
				t.Errorf("got %+v, %v", a, err)
			}
			if !a.Replayed {
				fresh.Add(1)
			}
		})
	}
	wg.Wait()
	if fresh.Load() != 1 || w.called("add") != 1 {
		t.Errorf("%d answers are fresh, the function ran %d times", fresh.Load(), w.called("add"))
	}
}

func TestNoUpdateIsLost(t *testing.T) {
	w := newWorld(t)
	w.reply("add", add)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				if _, err := w.invoke(t.Context(), "x", "add"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	w.wantState("x", "n", "100")
}

func TestReadonlyRunsBesideAMethod(t *testing.T) {
	w := newWorld(t)
	if err := w.write(t.Context(), "", "x", "n", "1"); err != nil {
		t.Fatal(err)
	}
	open := make(gate)
	started := make(chan struct{})
	w.on("slow", func(rw http.ResponseWriter, r *request) {
		close(started)
		open.wait(r)
		send(rw, add(r))
	})
	w.reply("get", func(r *request) *function.Reply {
		v, _ := r.Entry("n")
		return &function.Reply{Payload: v.Data}
	}, readonly)
	done := make(chan error, 1)
	go func() {
		_, err := w.invoke(t.Context(), "x", "slow")
		done <- err
	}()
	<-started
	if a := w.mustInvoke("x", "get"); string(a.Payload) != "1" || a.Version != 1 {
		t.Errorf("answer %+v", a)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	wantCode(t, w.write(ctx, "", "x", "n", "5"), fault.DeadlineExceeded) // a write from outside waits
	close(open)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if a := w.mustInvoke("x", "get"); string(a.Payload) != "2" || a.Version != 2 {
		t.Errorf("answer %+v", a)
	}
}

func TestBinaryFormIsUsedWhenTheFunctionSaysSo(t *testing.T) {
	w := newWorld(t)
	speaks := true
	var types []string
	w.on("add", func(rw http.ResponseWriter, r *request) {
		types = append(types, r.http.Header.Get("Content-Type"))
		form, _ := function.CallForm(r.http.Header.Get("Content-Type"))
		if form == function.Binary && !speaks {
			rw.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		if speaks {
			rw.Header().Set(function.HeaderAcceptPost, function.BinaryCallType)
		}
		rw.Header().Set("Content-Type", form.ReplyType())
		_, _ = rw.Write(function.EncodeReply(form, add(r)))
	})
	for i := range 5 {
		speaks = i < 3
		w.mustInvoke("x", "add")
	}
	j, b := function.JSONCallType, function.BinaryCallType
	if want := []string{j, b, b, b, j, j}; strings.Join(types, " ") != strings.Join(want, " ") {
		t.Errorf("forms %v, want %v", types, want)
	}
	w.wantState("x", "n", "5")
}
