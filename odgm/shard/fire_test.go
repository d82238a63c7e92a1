package shard

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/engine/backend"
	"github.com/hpcclab/oaas-go/odgm/record"
)

func configure(t *testing.T, s *Shard, config *record.ClassConfig) {
	t.Helper()
	must(t, s, &record.Command{Body: &record.Command_Configure{Configure: config}})
}

// outboxOf gives what waits in the outbox, as lines "type key/method data → target".
func outboxOf(t *testing.T, s *Shard) []string {
	t.Helper()
	groups, err := s.OutboxGroups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var events []*record.Event
	for _, g := range groups {
		more, err := s.Outbox(t.Context(), g, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range more {
			if Group(ev.GetTarget()) != g {
				t.Fatalf("event of %q is in group %q", Group(ev.GetTarget()), g)
			}
		}
		events = append(events, more...)
	}
	return lines(events)
}

func deadOf(t *testing.T, s *Shard) []string {
	t.Helper()
	events, err := s.DeadLetters(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return lines(events)
}

func lines(events []*record.Event) []string {
	slices.SortFunc(events, func(a, b *record.Event) int { return int(a.GetSeq()) - int(b.GetSeq()) })
	var out []string
	for _, ev := range events {
		target := ev.GetTarget().GetSink()
		if target == "" {
			target = fmt.Sprintf("%s/%s/%s", ev.GetTarget().GetClass(), ev.GetTarget().GetObject(), ev.GetTarget().GetMethod())
		}
		out = append(out, fmt.Sprintf("%s %s%s %s -> %s", ev.GetType(), ev.GetKey(), ev.GetMethod(), ev.GetData(), target))
	}
	return out
}

func expectLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func target(id, method string) *oprc.TriggerTarget {
	return &oprc.TriggerTarget{ClsId: "test.log", ObjectId: &id, FnId: method}
}

func TestObjectTriggers(t *testing.T) {
	s := open(t, backend.Memory)
	cmd := put("a", "x", "1", "y", "1")
	cmd.GetWrite().Triggers = &oprc.ObjectEvent{
		DataTrigger: map[string]*oprc.DataTrigger{"x": {
			OnCreate: []*oprc.TriggerTarget{target("l", "created")}, OnUpdate: []*oprc.TriggerTarget{target("l", "updated"), target("m", "updated")},
			OnDelete: []*oprc.TriggerTarget{target("l", "deleted")},
		}},
		FuncTrigger: map[string]*oprc.FuncTrigger{"f": {
			OnComplete: []*oprc.TriggerTarget{target("l", "done")}, OnError: []*oprc.TriggerTarget{target("l", "failed")},
		}},
	}
	if r := must(t, s, cmd); r.Events != 1 {
		t.Fatalf("fired %d, want 1", r.Events)
	}
	must(t, s, put("a", "x", "2"))
	must(t, s, write(&record.Write{Object: "a", Deletes: []string{"x"}}))
	must(t, s, put("a", "x", "3"))
	must(t, s, write(&record.Write{Object: "a", Completion: &record.Completion{Method: "f", Payload: []byte("ok")}}))
	for _, end := range []oprc.EventType{oprc.EventType_EVENT_TYPE_FUNC_COMPLETE, oprc.EventType_EVENT_TYPE_FUNC_ERROR} {
		if !s.Wants("a", "f", end) || s.Wants("a", "g", end) || s.Wants("b", "f", end) {
			t.Fatalf("%s of f of a alone is wanted", end)
		}
	}
	must(t, s, &record.Command{Body: &record.Command_Failed{Failed: &record.Failed{Object: "a", Method: "f", Failure: &record.Failure{Message: "no"}}}})
	must(t, s, remove("a"))
	expectLines(t, "outbox", outboxOf(t, s),
		"oaas.entry.created x 1 -> test.log/l/created",
		"oaas.entry.updated x 2 -> test.log/l/updated",
		"oaas.entry.updated x 2 -> test.log/m/updated",
		"oaas.entry.deleted x  -> test.log/l/deleted",
		"oaas.entry.created x 3 -> test.log/l/created",
		"oaas.method.completed f ok -> test.log/l/done",
		"oaas.method.failed f no -> test.log/l/failed",
		"oaas.entry.deleted x  -> test.log/l/deleted",
	)
	must(t, s, put("a", "x", "4"))
	if n := len(outboxOf(t, s)); n != 8 {
		t.Fatalf("an object made again has the triggers of the deleted one: %d events", n)
	}
}

func TestClassTriggers(t *testing.T) {
	s := open(t, backend.Memory)
	self := &record.Target{Class: "test.record", Method: "check", SameObject: true}
	configure(t, s, &record.ClassConfig{Sink: "http://sink.example", Triggers: []*record.ClassTrigger{
		{Name: "low", On: oprc.EventType_EVENT_TYPE_DATA_UPDATE, Entry: "stock", Condition: "new < 5 && old >= 5", Target: self},
		{Name: "items", On: oprc.EventType_EVENT_TYPE_DATA_CREATE, Entry: "item:*", Target: &record.Target{Sink: "default"}},
		{Name: "done", On: oprc.EventType_EVENT_TYPE_FUNC_COMPLETE, Target: self},
	}})
	must(t, s, put("a", "stock", "9"))
	must(t, s, put("a", "stock", "7"))
	must(t, s, put("a", "stock", "3", "item:1", "x", "other", "y"))
	must(t, s, put("a", "stock", "2"))
	must(t, s, write(&record.Write{Object: "a", Puts: []*record.Put{{Key: "stock", Data: []byte("8")}}, Completion: &record.Completion{Method: "refill"},
		Emits: []*record.Emit{{Id: "e1", Type: "com.example.refilled", Data: []byte("8")}}}))
	expectLines(t, "outbox", outboxOf(t, s),
		"oaas.entry.created item:1 x -> default",
		"oaas.entry.updated stock 3 -> test.record/a/check",
		"oaas.method.completed refill  -> test.record/a/check",
		"com.example.refilled  8 -> http://sink.example",
	)
	expectLines(t, "dead letters", deadOf(t, s))
}

func TestConditionThatFailsIsReported(t *testing.T) {
	s := open(t, backend.Memory)
	configure(t, s, &record.ClassConfig{Triggers: []*record.ClassTrigger{{
		Name: "bad", On: oprc.EventType_EVENT_TYPE_DATA_CREATE, Condition: "new.price > 3", Target: &record.Target{Class: "c", Method: "m"},
	}}})
	must(t, s, put("a", "x", "no object"))
	expectLines(t, "dead letters", deadOf(t, s), "oaas.entry.created x no object -> c//m")
	events, err := s.DeadLetters(t.Context(), 0, 1)
	if err != nil || !strings.HasPrefix(events[0].GetReason(), "condition of trigger bad: ") {
		t.Fatalf("reason %q, %v", events[0].GetReason(), err)
	}
	if out := outboxOf(t, s); len(out) != 1 || !strings.HasPrefix(out[0], "oaas.trigger.error x condition of trigger bad") {
		t.Fatalf("outbox %q, want one error event", out)
	}
}

func TestDepthLimit(t *testing.T) {
	s := open(t, backend.Memory)
	configure(t, s, &record.ClassConfig{Triggers: []*record.ClassTrigger{{
		Name: "loop", On: oprc.EventType_EVENT_TYPE_DATA_CREATE, Target: &record.Target{Class: "c", Method: "m"},
	}}})
	for depth := range uint32(11) {
		cmd := put(fmt.Sprintf("a%d", depth), "x", "1")
		cmd.GetWrite().Depth = depth
		must(t, s, cmd)
	}
	stats, err := s.Stats(t.Context())
	if err != nil || stats.Outbox != 11 || stats.DeadLetters != 1 {
		t.Fatalf("%+v, %v; want 10 events and an error event in the outbox, and one dead letter", stats, err)
	}
}

// TestEventsAreWrittenOnlyWithTheirChange has a refused write fire nothing.
func TestEventsAreWrittenOnlyWithTheirChange(t *testing.T) {
	s := open(t, backend.Memory)
	configure(t, s, &record.ClassConfig{Triggers: []*record.ClassTrigger{{
		Name: "any", On: oprc.EventType_EVENT_TYPE_DATA_CREATE, Target: &record.Target{Class: "c", Method: "m"},
	}}})
	cmd := put("a", "x", "1")
	cmd.GetWrite().Expect = &record.Expect{Present: true}
	refused(t, s, cmd, fault.NoObject)
	expectLines(t, "outbox", outboxOf(t, s))
}

func TestAckBuryReplayDrop(t *testing.T) {
	s := open(t, backend.Pebble)
	configure(t, s, &record.ClassConfig{Triggers: []*record.ClassTrigger{{
		Name: "any", On: oprc.EventType_EVENT_TYPE_DATA_CREATE, Target: &record.Target{Class: "c", Method: "m", SameObject: true},
	}}})
	for i := range 4 {
		must(t, s, put(fmt.Sprintf("o%d", i), "x", fmt.Sprint(i)))
	}
	group := "method c/m"
	events, err := s.Outbox(t.Context(), group, 0, 10)
	if err != nil || len(events) != 4 {
		t.Fatalf("%v, %v", events, err)
	}
	ref := func(i int) *record.EventRef { return &record.EventRef{Group: group, Seq: events[i].GetSeq()} }
	ack := &record.Command{Body: &record.Command_Ack{Ack: &record.Ack{Events: []*record.EventRef{ref(0), ref(0)}}}}
	must(t, s, ack)
	must(t, s, ack)
	for _, i := range []int{1, 2} {
		must(t, s, &record.Command{Body: &record.Command_Bury{Bury: &record.Bury{Event: ref(i), Reason: "gone", Attempts: 3}}})
	}
	expectLines(t, "dead letters", deadOf(t, s), "oaas.entry.created x 1 -> c/o1/m", "oaas.entry.created x 2 -> c/o2/m")
	if _, err := s.Replay(t.Context(), []uint64{events[1].GetSeq(), 999}, false, false); fault.CodeOf(err) != fault.NotFound {
		t.Fatalf("replay of an unknown one: %v", err)
	}
	if n, err := s.Replay(t.Context(), []uint64{events[1].GetSeq()}, false, false); n != 1 || err != nil {
		t.Fatalf("replayed %d, %v", n, err)
	}
	again, err := s.Outbox(t.Context(), group, events[3].GetSeq(), 10)
	if err != nil || len(again) != 1 || again[0].GetId() != events[1].GetId() || again[0].GetReason() != "" {
		t.Fatalf("replayed event %v, %v; want the old id at the end", again, err)
	}
	if n, err := s.Replay(t.Context(), nil, true, true); n != 1 || err != nil {
		t.Fatalf("dropped %d, %v", n, err)
	}
	stats, err := s.Stats(t.Context())
	if err != nil || stats.Outbox != 2 || stats.DeadLetters != 0 {
		t.Fatalf("%+v, %v; want 2 in the outbox, none dead", stats, err)
	}
}

func TestInvocations(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	s := open(t, backend.Pebble, func(c *Config) { c.Now = func() time.Time { return now } })
	submit := func(id string) Result {
		inv := &record.Invocation{Id: id, Object: "a", Method: "f", Payload: []byte("in"), Created: now.UnixNano()}
		return must(t, s, &record.Command{Body: &record.Command_Submit{Submit: &record.Submit{Invocation: inv}}})
	}
	complete := func(id string) *record.Command {
		return write(&record.Write{Object: "a", Puts: []*record.Put{{Key: "by", Data: []byte(id)}},
			Completion: &record.Completion{Method: "f", Invocation: id, IdempotencyKey: "inv:" + id, Payload: []byte("out")}})
	}
	cancel := func(id string) *record.Command {
		return &record.Command{Body: &record.Command_Cancel{Cancel: &record.Cancel{Invocation: id}}}
	}
	for _, id := range []string{"0.1", "0.2", "0.3"} {
		submit(id)
	}
	if r := submit("0.1"); !r.Existed {
		t.Fatalf("submitted twice: %+v", r)
	}
	must(t, s, complete("0.1"))
	if r := must(t, s, cancel("0.2")); StateName(r.Invocation.GetState()) != "cancelled" {
		t.Fatalf("cancelled: %v", r.Invocation)
	}
	if r := must(t, s, cancel("0.1")); StateName(r.Invocation.GetState()) != "succeeded" {
		t.Fatalf("cancel of a finished one: %v", r.Invocation)
	}
	refused(t, s, cancel("0.9"), fault.NoInvocation)
	refused(t, s, complete("0.2"), fault.Cancelled)
	if got := value(t, s, "a", "by"); got != "0.1" {
		t.Fatalf("the late answer of a cancelled call was written: %q", got)
	}
	must(t, s, &record.Command{Body: &record.Command_Failed{Failed: &record.Failed{Object: "a", Method: "f", Invocation: "0.3",
		Failure: &record.Failure{Code: "FUNCTION_ERROR", Message: "no"}}}})
	inv, err := s.Invocation(t.Context(), "0.3")
	if err != nil || StateName(inv.GetState()) != "failed" || inv.GetOutcome().GetFailure().GetMessage() != "no" || inv.GetPayload() != nil {
		t.Fatalf("%v, %v", inv, err)
	}
	pending, err := s.PendingInvocations(t.Context(), "", 10)
	if err != nil || len(pending) != 0 {
		t.Fatalf("%v pending, %v", pending, err)
	}
	stored, err := s.StoredResult(t.Context(), "a", "f", "inv:0.1")
	if err != nil || string(stored.GetOutcome().GetPayload()) != "out" {
		t.Fatalf("stored %v, %v", stored, err)
	}
	now = now.Add(DefaultResultTTL)
	if stored, err := s.StoredResult(t.Context(), "a", "f", "inv:0.1"); stored != nil || err != nil {
		t.Fatalf("expired result %v, %v", stored, err)
	}
	if n, err := s.Sweep(t.Context()); n != 4 || err != nil {
		t.Fatalf("swept %d, %v; want 3 invocations and a result", n, err)
	}
	if _, err := s.Invocation(t.Context(), "0.1"); fault.CodeOf(err) != fault.NoInvocation {
		t.Fatalf("expired invocation: %v", err)
	}
}

func TestPendingInvocationsPage(t *testing.T) {
	s := open(t, backend.Memory)
	for i := range 5 {
		inv := &record.Invocation{Id: fmt.Sprintf("0.%d", i), Method: "f"}
		must(t, s, &record.Command{Body: &record.Command_Submit{Submit: &record.Submit{Invocation: inv}}})
	}
	first, err := s.PendingInvocations(t.Context(), "", 3)
	if err != nil || len(first) != 3 {
		t.Fatal(first, err)
	}
	rest, err := s.PendingInvocations(t.Context(), first[2].GetId(), 3)
	if err != nil || len(rest) != 2 || rest[0].GetId() != "0.3" {
		t.Fatal(rest, err)
	}
}
