package shard

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/broker/event"
	"github.com/hpcclab/oaas-go/odgm/condition"
	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// DefaultSink is the sink of events whose class names none.
const DefaultSink = "default"

// DefaultMaxDepth is the longest chain of triggers.
const DefaultMaxDepth = 10

// Group gives the outbox group of a target. Events of one group are delivered independently of those of all other groups.
func Group(t *record.Target) string {
	if t.GetSink() != "" {
		return "sink " + t.GetSink()
	}
	return "method " + t.GetClass() + "/" + t.GetMethod()
}

// firing collects the events of one command and writes them into the outbox.
type firing struct {
	machine     *Machine
	tx          engine.Tx
	time        int64
	object      string
	version     uint64
	depth       uint32
	traceparent string
	triggers    *oprc.ObjectEvent

	counters *record.Counters // nil until the first event
	fired    int
}

func (m *Machine) firing(tx engine.Tx, now int64, id string, version uint64, depth uint32, traceparent string, triggers *oprc.ObjectEvent) *firing {
	return &firing{machine: m, tx: tx, time: now, object: id, version: version, depth: depth, traceparent: traceparent, triggers: triggers}
}

// watchesEntries reports whether a change of an entry can fire anything at all.
func (f *firing) watchesEntries() bool {
	return len(f.triggers.GetDataTrigger()) > 0 || len(f.machine.config.GetTriggers()) > 0
}

// entryChanged fires the triggers of one entry.
func (f *firing) entryChanged(c *change) error {
	kind := oprc.EventType_EVENT_TYPE_DATA_UPDATE
	targets := f.triggers.GetDataTrigger()[c.key].GetOnUpdate()
	switch {
	case !c.has:
		kind = oprc.EventType_EVENT_TYPE_DATA_DELETE
		targets = f.triggers.GetDataTrigger()[c.key].GetOnDelete()
	case !c.had:
		kind = oprc.EventType_EVENT_TYPE_DATA_CREATE
		targets = f.triggers.GetDataTrigger()[c.key].GetOnCreate()
	}
	base := func() *record.Event {
		return &record.Event{Kind: kind, Type: event.TypeOf(int32(kind)), Key: c.key, Data: c.newData(), ContentType: "application/octet-stream"}
	}
	if err := f.fireTargets(targets, base); err != nil {
		return err
	}
	for _, t := range f.machine.config.GetTriggers() {
		if t.GetOn() != kind || !matches(t.GetEntry(), c.key) {
			continue
		}
		in := condition.Input{Old: c.oldData(), New: c.newData(), HasOld: c.had, HasNew: c.has, Key: c.key, Object: f.object, Version: f.version}
		if err := f.fireClassTrigger(t, in, base()); err != nil {
			return err
		}
	}
	return nil
}

// methodEnded fires the triggers on the end of a method.
func (f *firing) methodEnded(kind oprc.EventType, method string, data []byte, contentType string) error {
	targets := f.triggers.GetFuncTrigger()[method].GetOnComplete()
	if kind == oprc.EventType_EVENT_TYPE_FUNC_ERROR {
		targets = f.triggers.GetFuncTrigger()[method].GetOnError()
	}
	base := func() *record.Event {
		return &record.Event{Kind: kind, Type: event.TypeOf(int32(kind)), Method: method, Data: data, ContentType: contentType}
	}
	if err := f.fireTargets(targets, base); err != nil {
		return err
	}
	for _, t := range f.machine.config.GetTriggers() {
		if t.GetOn() != kind || (t.GetMethod() != "" && t.GetMethod() != method) {
			continue
		}
		in := condition.Input{New: data, HasNew: true, Method: method, Object: f.object, Version: f.version}
		if err := f.fireClassTrigger(t, in, base()); err != nil {
			return err
		}
	}
	return nil
}

// emitted puts an event that a method asked for on its way to the sink of the class.
func (f *firing) emitted(emit *record.Emit) error {
	sink := f.machine.config.GetSink()
	if sink == "" {
		sink = DefaultSink
	}
	return f.put(&record.Event{
		Id: emit.GetId(), Type: emit.GetType(), Subject: emit.GetSubject(), Data: emit.GetData(), ContentType: emit.GetContentType(),
		Extensions: emit.GetExtensions(), Target: &record.Target{Sink: sink},
	})
}

func (f *firing) fireTargets(targets []*oprc.TriggerTarget, base func() *record.Event) error {
	for _, t := range targets {
		ev := base()
		ev.ObjectTrigger = true
		ev.Target = &record.Target{
			Class: t.GetClsId(), Partition: t.GetPartitionId(), Object: t.GetObjectId(), Method: t.GetFnId(), Options: t.GetReqOptions(),
		}
		if err := f.put(ev); err != nil {
			return err
		}
	}
	return nil
}

func (f *firing) fireClassTrigger(t *record.ClassTrigger, in condition.Input, ev *record.Event) error {
	ev.Target = resolve(t.GetTarget(), f.object)
	if t.GetCondition() == "" {
		return f.put(ev)
	}
	cond, err := f.machine.conditions.Get(t.GetCondition())
	met := false
	if err == nil {
		met, err = cond.Eval(in)
	}
	if err != nil {
		return f.bury(ev, fmt.Sprintf("condition of trigger %s: %v", t.GetName(), err))
	}
	if !met {
		return nil
	}
	return f.put(ev)
}

// resolve fills in the object that changed where the trigger leaves the object open.
func resolve(t *record.Target, id string) *record.Target {
	if !t.GetSameObject() {
		return t
	}
	return &record.Target{Class: t.GetClass(), Partition: t.GetPartition(), Object: id, Method: t.GetMethod(), Options: t.GetOptions(), ByHash: t.GetByHash()}
}

// put writes an event into the outbox, unless the chain of triggers has become too long.
func (f *firing) put(ev *record.Event) error {
	limit := f.machine.config.GetMaxDepth()
	if limit == 0 {
		limit = DefaultMaxDepth
	}
	if f.depth >= limit {
		return f.bury(ev, fmt.Sprintf("chain of triggers is longer than %d: is there a loop?", limit))
	}
	if err := f.stamp(ev); err != nil {
		return err
	}
	f.machine.metrics.emitted(ev)
	return f.enqueue(ev)
}

// enqueue writes a stamped event into the outbox.
func (f *firing) enqueue(ev *record.Event) error {
	group := Group(ev.GetTarget())
	f.counters.Outbox++
	f.fired++
	f.machine.groups[group] = struct{}{}
	return store(f.tx, outboxKey(group, ev.GetSeq()), ev)
}

// bury puts an event that cannot be delivered straight into the dead-letter list, and sends an error event to the default sink.
func (f *firing) bury(ev *record.Event, reason string) error {
	if err := f.stamp(ev); err != nil {
		return err
	}
	f.machine.metrics.buried()
	ev.Reason, ev.DeadTime = reason, f.time
	f.counters.DeadLetters++
	if err := store(f.tx, deadKey(ev.GetSeq()), ev); err != nil {
		return err
	}
	notice := &record.Event{
		Kind: ev.GetKind(), Type: event.TypeTriggerError, Key: ev.GetKey(), Method: ev.GetMethod(), Subject: ev.GetId(), Data: []byte(reason),
		ContentType: "text/plain; charset=utf-8", Target: &record.Target{Sink: DefaultSink},
	}
	if err := f.stamp(notice); err != nil {
		return err
	}
	return f.enqueue(notice)
}

// stamp gives the event its number, its id and its origin. The id has the time of the command in it, so it stays unique when a class is
// removed and made again.
func (f *firing) stamp(ev *record.Event) error {
	if f.counters == nil {
		f.counters = &record.Counters{}
		if _, err := load(f.tx, countersKey, f.counters); err != nil {
			return err
		}
	}
	f.counters.Seq++
	ev.Seq = f.counters.GetSeq()
	if ev.Id == "" {
		ev.Id = strconv.FormatInt(f.time, 36) + "-" + strconv.FormatUint(ev.GetSeq(), 36)
	}
	ev.Class, ev.Partition, ev.Object, ev.Version = f.machine.class, f.machine.partition, f.object, f.version
	ev.Time, ev.Depth, ev.Traceparent = f.time, f.depth+1, f.traceparent
	return nil
}

// finish writes the counters back when events were fired.
func (f *firing) finish() error {
	if f.counters == nil {
		return nil
	}
	return store(f.tx, countersKey, f.counters)
}

// matches reports whether an entry key fits the pattern of a trigger: empty for all, exact, or a prefix ending in '*'.
func matches(pattern, key string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(key, prefix)
	}
	return pattern == "" || pattern == key
}
