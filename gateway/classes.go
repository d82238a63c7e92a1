package gateway

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/hpcclab/oaas-go/broker/event"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// classDocument is a deployed class as the gateway tells of it.
type classDocument struct {
	Name          string                 `json:"name"`
	Package       string                 `json:"package"`
	Partitions    int                    `json:"partitions"`
	Engine        string                 `json:"engine"`
	Methods       []methodDocument       `json:"methods"`
	Subscriptions []subscriptionDocument `json:"subscriptions"`
	Triggers      int                    `json:"triggers"`
}

type methodDocument struct {
	Name      string `json:"name"`
	Function  string `json:"function"`
	Stateless bool   `json:"stateless"`
	ReadOnly  bool   `json:"readonly"`
	Access    string `json:"access"`
	Timeout   string `json:"timeout,omitempty"`
	Retries   int    `json:"retries"`
}

type subscriptionDocument struct {
	Type       string `json:"type"`
	Source     string `json:"source,omitempty"`
	Method     string `json:"method"`
	Object     string `json:"object,omitempty"`
	ObjectFrom string `json:"object_from,omitempty"`
}

// listClasses gives the deployed classes, sorted by name.
func listClasses(x *exchange) error {
	classes := x.g.grid.Classes()
	documents := make([]classDocument, 0, len(classes))
	for i := range classes {
		documents = append(documents, describeClass(&classes[i]))
	}
	return x.sendJSON(http.StatusOK, map[string]any{"classes": documents})
}

func describeClass(c *odgm.Class) classDocument {
	d := classDocument{
		Name: c.Name, Package: c.Package, Partitions: c.Partitions, Engine: c.Engine, Triggers: len(c.Triggers),
		Methods: []methodDocument{}, Subscriptions: []subscriptionDocument{},
	}
	for _, name := range slices.Sorted(maps.Keys(c.Methods)) {
		m := c.Methods[name]
		method := methodDocument{Name: name, Function: m.Function, Stateless: m.Stateless, ReadOnly: m.ReadOnly, Access: "PUBLIC", Retries: m.Retries}
		if access := c.Access[name]; access != "" {
			method.Access = access
		}
		if m.Timeout > 0 {
			method.Timeout = m.Timeout.String()
		}
		d.Methods = append(d.Methods, method)
	}
	for _, s := range c.Subscriptions {
		d.Subscriptions = append(d.Subscriptions, subscriptionDocument(s))
	}
	return d
}

// triggerDocument is a trigger that a class declares.
type triggerDocument struct {
	Name      string         `json:"name"`
	On        string         `json:"on"`
	Entry     string         `json:"entry,omitempty"`
	Method    string         `json:"method,omitempty"`
	Condition string         `json:"condition,omitempty"`
	Target    targetDocument `json:"target"`
}

// targetDocument is where an event goes: a method, or a sink.
type targetDocument struct {
	Class     string            `json:"class,omitempty"`
	Partition *uint32           `json:"partition,omitempty"`
	Object    string            `json:"object,omitempty"`
	Method    string            `json:"method,omitempty"`
	Options   map[string]string `json:"options,omitempty"`
	Sink      string            `json:"sink,omitempty"`
}

// listTriggers gives the triggers that a class declares.
func listTriggers(x *exchange) error {
	class, err := x.g.grid.Class(x.param("cls"))
	if err != nil {
		return err
	}
	documents := make([]triggerDocument, 0, len(class.Triggers))
	for _, t := range class.Triggers {
		documents = append(documents, triggerDocument{
			Name: t.GetName(), On: event.TypeOf(int32(t.GetOn())), Entry: t.GetEntry(), Method: t.GetMethod(), Condition: t.GetCondition(),
			Target: describeTarget(t.GetTarget()),
		})
	}
	return x.sendJSON(http.StatusOK, map[string]any{"triggers": documents})
}

// describeTarget leaves the partition out where the hash of the object's id gives it.
func describeTarget(t *record.Target) targetDocument {
	d := targetDocument{Class: t.GetClass(), Object: t.GetObject(), Method: t.GetMethod(), Options: t.GetOptions(), Sink: t.GetSink()}
	if d.Sink == "" && !t.GetByHash() {
		partition := t.GetPartition()
		d.Partition = &partition
	}
	return d
}

// letterDocument is an event that was given up.
type letterDocument struct {
	Seq         uint64         `json:"seq"`
	ID          string         `json:"id"`
	Type        string         `json:"type"`
	Class       string         `json:"class"`
	Partition   uint32         `json:"partition"`
	Object      string         `json:"object"`
	Version     uint64         `json:"version"`
	Key         string         `json:"key,omitempty"`
	Method      string         `json:"method,omitempty"`
	Data        []byte         `json:"data"`
	ContentType string         `json:"content_type,omitempty"`
	Time        string         `json:"time"`
	Depth       uint32         `json:"depth"`
	Target      targetDocument `json:"target"`
	Reason      string         `json:"reason"`
	Died        string         `json:"dead_time"`
	Attempts    uint32         `json:"attempts"`
}

func describeLetter(e *record.Event) letterDocument {
	kind := e.GetType()
	if kind == "" {
		kind = event.TypeOf(int32(e.GetKind()))
	}
	return letterDocument{
		Seq: e.GetSeq(), ID: e.GetId(), Type: kind, Class: e.GetClass(), Partition: e.GetPartition(), Object: e.GetObject(), Version: e.GetVersion(),
		Key: e.GetKey(), Method: e.GetMethod(), Data: e.GetData(), ContentType: e.GetContentType(), Time: timeText(e.GetTime()), Depth: e.GetDepth(),
		Target: describeTarget(e.GetTarget()), Reason: e.GetReason(), Died: timeText(e.GetDeadTime()), Attempts: e.GetAttempts(),
	}
}

func timeText(nanoseconds int64) string {
	return time.Unix(0, nanoseconds).UTC().Format(time.RFC3339Nano)
}
