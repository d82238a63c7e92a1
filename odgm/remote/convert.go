package remote

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/remote/message"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

func failureOf(err error) *message.Failure {
	if err == nil {
		return nil
	}
	e := fault.From(err)
	return &message.Failure{
		Code: string(e.Code), Message: e.Message, Status: int32(e.Status), Body: e.Body, ContentType: e.ContentType, RetryAfter: int64(e.RetryAfter),
	}
}

// faultOf is failureOf the other way round.
func faultOf(f *message.Failure) error {
	if f == nil {
		return nil
	}
	return &fault.Error{
		Code: fault.Code(f.GetCode()), Message: f.GetMessage(), Status: int(f.GetStatus()), Body: f.GetBody(), ContentType: f.GetContentType(),
		RetryAfter: time.Duration(f.GetRetryAfter()),
	}
}

func selectorOf(s *object.Selector) *message.Selector {
	return &message.Selector{All: s.All, Keys: s.Keys, Prefixes: s.Prefixes}
}

func selector(m *message.Selector) object.Selector {
	return object.Selector{All: m.GetAll(), Keys: m.GetKeys(), Prefixes: m.GetPrefixes()}
}

func entriesOf(list []object.Entry) []*message.Entry {
	all := make([]message.Entry, len(list))
	out := make([]*message.Entry, len(list))
	for i := range list {
		e := &list[i]
		out[i] = &all[i]
		out[i].Key, out[i].Data, out[i].Type, out[i].Version = e.Key, e.Data, e.Type, e.Version
	}
	return out
}

func entries(list []*message.Entry) []object.Entry {
	if len(list) == 0 {
		return nil
	}
	out := make([]object.Entry, len(list))
	for i, e := range list {
		out[i] = object.Entry{Key: e.GetKey(), Data: e.GetData(), Type: e.GetType(), Version: e.GetVersion()}
	}
	return out
}

func metaOf(m *object.Meta) *message.Meta {
	return &message.Meta{Id: m.ID, Version: m.Version, Entries: m.Entries}
}

func meta(m *message.Meta) object.Meta {
	return object.Meta{ID: m.GetId(), Version: m.GetVersion(), Entries: m.GetEntries()}
}

func pageOf(p *object.Page) *message.Page {
	return &message.Page{Prefix: p.Prefix, Limit: int32(p.Rows()), Cursor: p.Cursor}
}

func page(m *message.Page) object.Page {
	return object.Page{Prefix: m.GetPrefix(), Limit: int(m.GetLimit()), Cursor: m.GetCursor()}
}

func headerOf(h http.Header) []*message.Header {
	out := make([]*message.Header, 0, len(h))
	for name, values := range h {
		out = append(out, &message.Header{Name: name, Values: values})
	}
	return out
}

func header(list []*message.Header) http.Header {
	h := make(http.Header, len(list))
	for _, m := range list {
		h[m.GetName()] = m.GetValues()
	}
	return h
}

func answerOf(a *call.Answer) *message.Answer {
	return &message.Answer{
		Payload: a.Payload, ContentType: a.ContentType, Version: a.Version, Replayed: a.Replayed, Status: int32(a.Status), Header: headerOf(a.Header),
	}
}

func answer(m *message.Answer) call.Answer {
	a := call.Answer{
		Payload: m.GetPayload(), ContentType: m.GetContentType(), Version: m.GetVersion(), Replayed: m.GetReplayed(), Status: int(m.GetStatus()),
	}
	if len(m.GetHeader()) > 0 || a.Status != 0 {
		a.Header = header(m.GetHeader())
	}
	return a
}

func commitOf(partition uint32, c *shard.Changes) *message.Commit {
	return &message.Commit{Partition: partition, First: c.First, Time: c.Time, Changes: c.Changes}
}

func commit(m *message.Commit) shard.Changes {
	return shard.Changes{First: m.GetFirst(), Time: m.GetTime(), Changes: m.GetChanges()}
}

func classOf(c *odgm.Class) *message.Class {
	m := &message.Class{
		Name: c.Name, Package: c.Package, Partitions: int32(c.Partitions), Engine: c.Engine, Triggers: c.Triggers, Sink: c.Sink,
		MailboxLimit: int32(c.MailboxLimit), ResultTtl: int64(c.ResultTTL), Access: c.Access,
		Changes: &message.Retention{
			Off: c.Changes.Off, Age: int64(c.Changes.Age), Records: c.Changes.Records, Bytes: c.Changes.Bytes, Values: c.Changes.Values,
			Outcomes: c.Changes.Outcomes,
		},
	}
	for name, disabled := range c.Disabled {
		if disabled {
			m.Disabled = append(m.Disabled, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Methods)) {
		b := c.Methods[name]
		m.Methods = append(m.Methods, &message.Method{
			Name: name, Function: b.Function, Stateless: b.Stateless, Container: b.Container, ReadOnly: b.ReadOnly, State: selectorOf(&b.State),
			Timeout: int64(b.Timeout), Retries: int32(b.Retries),
		})
	}
	for _, s := range c.Subscriptions {
		m.Subscriptions = append(m.Subscriptions, &message.Subscription{
			Type: s.Type, Source: s.Source, Method: s.Method, Object: s.Object, ObjectFrom: s.ObjectFrom,
		})
	}
	return m
}

// class gives what a node says of a class. Where its functions are only the node knows.
func class(m *message.Class) odgm.Class {
	r := m.GetChanges()
	c := odgm.Class{
		Name: m.GetName(), Package: m.GetPackage(), Partitions: max(int(m.GetPartitions()), 1), Engine: m.GetEngine(), Triggers: m.GetTriggers(),
		Sink: m.GetSink(), MailboxLimit: int(m.GetMailboxLimit()), ResultTTL: time.Duration(m.GetResultTtl()), Access: m.GetAccess(),
		Changes: odgm.Retention{
			Off: r.GetOff(), Age: time.Duration(r.GetAge()), Records: r.GetRecords(), Bytes: r.GetBytes(), Values: r.GetValues(), Outcomes: r.GetOutcomes(),
		},
		Methods: make(map[string]call.Method, len(m.GetMethods())), Disabled: make(map[string]bool, len(m.GetDisabled())),
	}
	for _, name := range m.GetDisabled() {
		c.Disabled[name] = true
	}
	for _, b := range m.GetMethods() {
		c.Methods[b.GetName()] = call.Method{
			Name: b.GetName(), Function: b.GetFunction(), Stateless: b.GetStateless(), Container: b.GetContainer(), ReadOnly: b.GetReadOnly(),
			State: selector(b.GetState()), Timeout: time.Duration(b.GetTimeout()), Retries: int(b.GetRetries()),
		}
	}
	for _, s := range m.GetSubscriptions() {
		c.Subscriptions = append(c.Subscriptions, odgm.Subscription{
			Type: s.GetType(), Source: s.GetSource(), Method: s.GetMethod(), Object: s.GetObject(), ObjectFrom: s.GetObjectFrom(),
		})
	}
	return c
}

// changeOf gives the change that a request asks for.
func changeOf(w *message.Write) object.Change {
	return object.Change{
		Puts: entries(w.GetPuts()), Deletes: w.GetDeletes(), Triggers: w.GetTriggers(), Expect: expect(w.GetExpect()), Merge: w.GetMerge(),
		NoCreate: w.GetNoCreate(),
	}
}

func expectOf(e *object.Expect) *record.Expect {
	return &record.Expect{Version: e.Version, Absent: e.Absent, Present: e.Present}
}

func expect(m *record.Expect) object.Expect {
	if m == nil {
		return object.Expect{}
	}
	return object.Expect{Version: m.Version, Absent: m.GetAbsent(), Present: m.GetPresent()}
}
