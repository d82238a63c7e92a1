package opackage

// Binding makes a function a method of a class.
type Binding struct {
	// Name is the method's name in routes.
	Name           string         `json:"name" key:"required"`
	FunctionKey    string         `json:"function_key" key:"required"`
	AccessModifier AccessModifier `json:"access_modifier"`
	// Stateless methods are called without an object.
	Stateless  bool     `json:"stateless"`
	Parameters []string `json:"parameters"`

	// Readonly methods run beside other calls on a snapshot and may change nothing. Immutable is the OaaS SDK's word for it;
	// ask [Binding.IsReadonly].
	Readonly  bool `json:"readonly,omitempty"`
	Immutable bool `json:"immutable,omitempty"`
	// State selects the entries that travel with a call: exact keys, prefixes ending in '*', "*" for all. Nil is all, empty is none.
	State []string `json:"state,omitzero"`
	// Timeout is a duration as in time.ParseDuration; "" is [DefaultTimeout].
	Timeout string `json:"timeout,omitempty"`
	// Retries is the number of further attempts after a failure that may pass.
	Retries uint32 `json:"retries,omitempty"`
}

// AccessModifier says who may call a method; "" means Public.
type AccessModifier string

// The access modifiers.
const (
	Public   AccessModifier = "PUBLIC"
	Internal AccessModifier = "INTERNAL"
	Private  AccessModifier = "PRIVATE"
)

// Trigger fires a target when something happens to any object of the class.
type Trigger struct {
	Name string       `json:"name" key:"required"`
	On   TriggerEvent `json:"on" key:"required"`
	// Entry narrows entry events to one key, or to a prefix ending in '*'; "" is every entry.
	Entry string `json:"entry,omitempty"`
	// Method narrows method events to one method; "" is every method.
	Method string `json:"method,omitempty"`
	// Condition is a CEL expression over old, new, key, object, version and method; "" always holds.
	Condition string `json:"condition,omitempty"`
	Target    Target `json:"target" key:"required"`
}

// TriggerEvent is what a trigger waits for.
type TriggerEvent string

// The events that triggers wait for.
const (
	EntryCreated    TriggerEvent = "entry.created"
	EntryUpdated    TriggerEvent = "entry.updated"
	EntryDeleted    TriggerEvent = "entry.deleted"
	MethodCompleted TriggerEvent = "method.completed"
	MethodFailed    TriggerEvent = "method.failed"
)

// OfMethod tells events of methods from events of entries.
func (e TriggerEvent) OfMethod() bool { return e == MethodCompleted || e == MethodFailed }

// Target is what a trigger calls: a method of an object, or a sink of CloudEvents.
type Target struct {
	// Class is "package.class", or the name of a class of the own package; "" is the class of the trigger.
	Class string `json:"class,omitempty"`
	// Object is the id to call; "" is that of the object that fired.
	Object string `json:"object,omitempty"`
	// Partition is nil when the hash of the object's id decides.
	Partition *uint16           `json:"partition,omitempty"`
	Method    string            `json:"method,omitempty"`
	Options   map[string]string `json:"options,omitempty"`
	// Sink is an http(s) URL or [DefaultSink], and excludes all the others.
	Sink string `json:"sink,omitempty"`
}

// Subscription has incoming CloudEvents of a type call a method.
type Subscription struct {
	Type string `json:"type" key:"required"`
	// Source narrows to events of exactly this source; "" is any.
	Source string `json:"source,omitempty"`
	Method string `json:"method" key:"required"`
	// ObjectFrom names where the object's id stands: "subject", the default, or an extension attribute.
	ObjectFrom string `json:"object_from,omitempty"`
	// Object is the id to call always, instead of ObjectFrom.
	Object string `json:"object,omitempty"`
}
