package dev

import (
	"net/http"
	"strconv"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/container"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// Translate makes of the classes of a package what the grid deploys. Transport gives where the calls of a function go, by its key.
func Translate(p *opackage.Package, transport func(key string) (http.RoundTripper, string)) ([]odgm.Class, error) {
	var classes []odgm.Class
	for _, d := range p.EffectiveDeployments() {
		c, err := translateClass(p, &d, transport)
		if err != nil {
			return nil, err
		}
		classes = append(classes, c)
	}
	return classes, nil
}

func translateClass(p *opackage.Package, d *opackage.Deployment, transport func(string) (http.RoundTripper, string)) (odgm.Class, error) {
	c := p.Class(d.ClassKey)
	settings := p.EffectiveSettings(c, d)
	class := odgm.Class{
		Name: p.ClassName(c.Key), Package: p.Name, Partitions: int(*d.Odgm.PartitionCount), Engine: string(settings.Engine),
		Sink: c.Sink, MailboxLimit: settings.MailboxLimit, ResultTTL: settings.ResultTTL,
		Changes: odgm.Retention{
			Off: settings.Events.Off, Age: settings.Events.Retention, Records: settings.Events.Records, Bytes: settings.Events.Bytes,
			Values: settings.Events.Values, Outcomes: settings.Events.Outcomes,
		},
		Publish: odgm.Publication{On: settings.Events.Publish, Locality: settings.Events.Locality},
		Methods: map[string]call.Method{}, Access: map[string]string{},
	}
	if c.Sink == opackage.DefaultSink {
		class.Sink = ""
	}
	for i := range c.Bindings {
		b := &c.Bindings[i]
		m, err := translateMethod(p, b)
		if err != nil {
			return odgm.Class{}, err
		}
		m.Transport, m.URL = transport(b.FunctionKey)
		class.Methods[b.Name] = m
		if access := b.EffectiveAccess(); access != opackage.Public {
			class.Access[b.Name] = string(access)
		}
	}
	if in := d.Odgm.Invocations; in != nil {
		class.Disabled = map[string]bool{}
		for _, name := range in.Disabled {
			class.Disabled[name] = true
		}
	}
	for i := range c.Triggers {
		class.Triggers = append(class.Triggers, translateTrigger(p, c, &c.Triggers[i]))
	}
	for i := range c.Subscriptions {
		s := &c.Subscriptions[i]
		class.Subscriptions = append(class.Subscriptions, odgm.Subscription{
			Type: s.Type, Source: s.Source, Method: s.Method, Object: s.Object, ObjectFrom: s.EffectiveObjectFrom(),
		})
	}
	return class, nil
}

func translateMethod(p *opackage.Package, b *opackage.Binding) (call.Method, error) {
	state, err := object.ParseSelector(b.EffectiveState())
	if err != nil {
		return call.Method{}, fault.Wrap(fault.InvalidArgument, err, "method %s", b.Name)
	}
	m := call.Method{
		Name: b.Name, Function: p.Name + "-" + b.FunctionKey, Stateless: b.Stateless, ReadOnly: b.IsReadonly(), State: state,
		Timeout: b.EffectiveTimeout(), Retries: int(b.Retries),
	}
	if f := p.Function(b.FunctionKey); f != nil && f.EffectiveContract() == opackage.GRPCContract {
		m.Container = true
		if b.Timeout == "" {
			m.Timeout = container.DefaultTimeout
		}
	}
	return m, nil
}

// eventTypes has the grid's name of what a trigger waits for.
var eventTypes = map[opackage.TriggerEvent]oprc.EventType{
	opackage.EntryCreated:    oprc.EventType_EVENT_TYPE_DATA_CREATE,
	opackage.EntryUpdated:    oprc.EventType_EVENT_TYPE_DATA_UPDATE,
	opackage.EntryDeleted:    oprc.EventType_EVENT_TYPE_DATA_DELETE,
	opackage.MethodCompleted: oprc.EventType_EVENT_TYPE_FUNC_COMPLETE,
	opackage.MethodFailed:    oprc.EventType_EVENT_TYPE_FUNC_ERROR,
}

func translateTrigger(p *opackage.Package, c *opackage.Class, t *opackage.Trigger) *record.ClassTrigger {
	target := p.EffectiveTarget(c, t)
	to := &record.Target{
		Class: target.Class, Object: target.Object, Method: target.Method, Options: target.Options, Sink: target.Sink,
		ByHash: target.Partition == nil && target.Sink == "", SameObject: target.Object == "" && target.Sink == "",
	}
	if target.Partition != nil {
		to.Partition = uint32(*target.Partition)
	}
	return &record.ClassTrigger{
		Name: t.Name, On: eventTypes[t.On], Entry: t.Entry, Method: t.Method, Condition: t.Condition, Target: to,
	}
}

// targetText says where a trigger goes, for people.
func targetText(p *opackage.Package, c *opackage.Class, t *opackage.Trigger) string {
	target := p.EffectiveTarget(c, t)
	if target.Sink != "" {
		return target.Sink
	}
	object := target.Object
	if object == "" {
		object = "(same object)"
	}
	text := target.Class + "/" + object + "/" + target.Method
	if target.Partition != nil {
		text += " in partition " + strconv.Itoa(int(*target.Partition))
	}
	return text
}
