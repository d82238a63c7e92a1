package invoke

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/record"
)

func TestGivenID(t *testing.T) {
	w := newWorld(t)
	open := make(gate)
	w.on("add", func(rw http.ResponseWriter, r *request) { open.wait(r); send(rw, add(r)) })
	w.reply("other", add)
	a := w.async()
	first := submit(t, a, "x", "add", named("My:job_1.a-b"), payload("p"))
	if first.GetId() != "My:job_1.a-b" {
		t.Fatalf("id %s", first.GetId())
	}
	same := call.Call{Ref: ref("x"), Method: "add", Invocation: "My:job_1.a-b", Payload: []byte("p"), ContentType: "text/plain"}
	others := map[string]func(*call.Call){
		"payload": func(c *call.Call) { c.Payload = []byte("q") },
		"type":    func(c *call.Call) { c.ContentType = "text/html" },
		"object":  func(c *call.Call) { c.Ref.ID = "y" },
		"method":  func(c *call.Call) { c.Method = "other" },
	}
	for _, state := range []record.InvocationState{pending, succeeded} {
		inv, err := a.Submit(t.Context(), same)
		if err != nil || inv.GetState() != state {
			t.Fatalf("again: %v, %v", inv, err)
		}
		for name, change := range others {
			c := same
			change(&c)
			if _, err := a.Submit(t.Context(), c); fault.CodeOf(err) != fault.IdempotencyMismatch {
				t.Errorf("%s, another %s: %v", state, name, err)
			}
		}
		if state == pending {
			close(open)
			await(t, a, first.GetId(), succeeded)
		}
	}
	w.wantState("x", "n", "1")
	for _, id := range []string{"a/b", "a b", "ä", strings.Repeat("a", 129), "a\n", "a\x00"} {
		_, err := a.Submit(t.Context(), call.Call{Ref: ref("x"), Method: "add", Invocation: id})
		wantCode(t, err, fault.InvalidArgument)
	}
	submit(t, a, "x", "add", named(strings.Repeat("a", 128)))
}

func TestIdempotencyKeyOfASubmission(t *testing.T) {
	w := newWorld(t)
	w.reply("add", add)
	a := w.async()
	one := submit(t, a, "x", "add", key("k/1"), payload("p"))
	await(t, a, one.GetId(), succeeded)
	if again := submit(t, a, "x", "add", key("k/1"), payload("p")); again.GetId() != one.GetId() {
		t.Errorf("another invocation: %s and %s", one.GetId(), again.GetId())
	}
	_, err := a.Submit(t.Context(), call.Call{Ref: ref("x"), Method: "add", IdempotencyKey: "k/1", Payload: []byte("q")})
	wantCode(t, err, fault.IdempotencyMismatch)
	other := submit(t, a, "y", "add", key("k/1"), payload("p"))
	await(t, a, other.GetId(), succeeded)
	if err := CheckInvocationID(one.GetId()); err != nil || other.GetId() == one.GetId() {
		t.Errorf("ids %s %s: %v", one.GetId(), other.GetId(), err)
	}
	w.wantState("x", "n", "1")
}

func TestMoreThanTheQueueHolds(t *testing.T) {
	w := newWorld(t)
	w.reply("add", add)
	const all = 100
	for i := range all / 2 {
		submitPending(t, w, fmt.Sprintf("0.%03d", i), fmt.Sprint(i%7), "add")
	}
	a := w.async(workers(3), queued(4))
	var wg sync.WaitGroup
	for i := range all / 2 {
		wg.Go(func() { submit(t, a, fmt.Sprint(i%7), "add", named(fmt.Sprintf("given-%03d", i))) })
	}
	wg.Wait()
	for i := range all / 2 {
		await(t, a, fmt.Sprintf("0.%03d", i), succeeded)
		await(t, a, fmt.Sprintf("given-%03d", i), succeeded)
	}
	if w.called("add") != all {
		t.Errorf("%d calls, want %d", w.called("add"), all)
	}
}

func TestCallsOnOneObjectComeInOrderAndLetOthersPass(t *testing.T) {
	w := newWorld(t)
	open := make(gate)
	var mu sync.Mutex
	var order []string
	w.on("note", func(rw http.ResponseWriter, r *request) {
		if string(r.Payload) == "0" {
			open.wait(r)
		}
		mu.Lock()
		order = append(order, string(r.Payload))
		mu.Unlock()
		send(rw, &function.Reply{})
	})
	w.reply("add", add)
	a := w.async(workers(2))
	var want []string
	var last *record.Invocation
	for i := range 10 {
		want = append(want, fmt.Sprint(i))
		last = submit(t, a, "busy", "note", payload(fmt.Sprint(i)))
	}
	await(t, a, submit(t, a, "free", "add").GetId(), succeeded)
	close(open)
	await(t, a, last.GetId(), succeeded)
	if !slices.Equal(order, want) {
		t.Errorf("order %v", order)
	}
}

func TestBusyObjectIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.reply("add", add)
	// Others fill the mailbox of the object.
	held, err := w.boxes.Run(t.Context(), ref("x"), "m", "holder", nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			turn, err := w.boxes.Write(t.Context(), ref("x"), nil)
			if err != nil {
				t.Error(err)
				return
			}
			turn.Done()
		})
	}
	eventually(t, "the mailbox is full", func() bool { return w.metric("oaas_mailbox_waiting") == 64 })
	a := w.async()
	inv := submit(t, a, "x", "add")
	eventually(t, "the call is refused", func() bool { return w.metric("oaas_calls_total", "add", "BUSY") > 0 })
	held.Done()
	await(t, a, inv.GetId(), succeeded)
	wg.Wait()
}

func TestQueueSkipsBusyObjects(t *testing.T) {
	var q queue
	q.init(4)
	for _, it := range []item{{"1", "a"}, {"2", "a"}, {"3", "b"}, {"4", ""}} {
		if added, full := q.add(it); !added || full {
			t.Fatal("no room")
		}
	}
	if added, full := q.add(item{"5", "c"}); added || !full {
		t.Error("more than its limit")
	}
	if added, full := q.add(item{"1", "a"}); added || full {
		t.Error("twice the same")
	}
	var taken []string
	for {
		it, ok := q.take()
		if !ok {
			break
		}
		taken = append(taken, it.id)
	}
	if strings.Join(taken, " ") != "1 3 4" {
		t.Errorf("taken %v", taken)
	}
	q.done(item{"1", "a"})
	if it, ok := q.take(); !ok || it.id != "2" || q.size() != 3 {
		t.Errorf("then %v, size %d", it, q.size())
	}
}
