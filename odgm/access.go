package odgm

import (
	"strings"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/call"
)

// Access modifiers of methods in Class.Access. A method that is not there is public: everybody may call it.
const (
	// Internal methods may be called by methods of the same package, and by triggers and subscriptions that its classes declare.
	Internal = "INTERNAL"
	// Private methods may be called by methods of the same class, and by triggers and subscriptions that it declares.
	Private = "PRIVATE"
)

// external is the caller of a call from outside.
const external = "external"

// origin is who makes a call.
type origin struct {
	// caller is what the method is told, as in call.Call.Caller.
	caller string
	// class is the class whose method, trigger or subscription makes the call; empty for everybody else.
	class string
}

// String says who calls, for the message of a refusal.
func (o *origin) String() string {
	switch {
	case o.class == "" && o.caller == "trigger":
		return "a trigger of an object, which counts as outside because it was written like any entry"
	case o.class == "":
		return "outside, as the call has no Oaas-Chain that proves which method makes it"
	case strings.Contains(o.caller, "/"):
		return o.caller
	}
	return "a " + o.caller + " of class " + o.class
}

// originOf gives the origin of an asynchronous call from the caller that was kept with it.
func originOf(caller string) *origin {
	class, _, method := strings.Cut(caller, "/")
	if !method {
		class = ""
	}
	return &origin{caller: caller, class: class}
}

// admit decides who may call what: here, for every way in. It fills in who calls, which is nothing that a caller can claim: the call chain proves
// it, or the platform makes the call itself (from is not nil then).
func (g *Grid) admit(cls *Class, c *call.Call, from *origin) error {
	if from == nil {
		from = &origin{caller: external}
		hop, proven, err := g.executor.Caller(c.Chain)
		if err != nil {
			return err
		}
		if proven {
			from = originOf(hop.Ref.String() + "/" + hop.Method)
		}
	}
	c.Caller = from.caller
	return cls.allows(c.Method, from)
}

// allows refuses callers that a method is not for, and methods that are switched off.
func (cls *Class) allows(method string, from *origin) error {
	circle := ""
	switch access := cls.Access[method]; {
	case access == "":
	case access == Internal && from.class != "" && packageOf(from.class) == packageOf(cls.Name):
	case access == Private && from.class == cls.Name:
	case access == Internal:
		circle = "package " + packageOf(cls.Name)
	default:
		circle = "class " + cls.Name
	}
	if circle != "" {
		return fault.New(fault.Forbidden, "method %s of class %s is %s: only methods, triggers and subscriptions of %s may call it. The caller is %s; "+
			"call a public method of the class instead, or change access_modifier in the package file", method, cls.Name, cls.Access[method], circle, from)
	}
	if cls.Disabled[method] {
		return fault.New(fault.FunctionDisabled, "method %s of class %s is switched off by odgm.invocations.disabled_fn of its deployment; take it out there to have it back",
			method, cls.Name)
	}
	return nil
}

// packageOf gives the package of a class name, which is all before its last dot.
func packageOf(class string) string { return class[:max(strings.LastIndexByte(class, '.'), 0)] }

// admitTriggers refuses triggers of an object that could never call their method, so that who writes them learns it. Delivery decides again: classes may
// be deployed or changed in between.
func (g *Grid) admitTriggers(ev *oprc.ObjectEvent) error {
	var lists [][]*oprc.TriggerTarget
	for _, t := range ev.GetFuncTrigger() {
		lists = append(lists, t.GetOnComplete(), t.GetOnError())
	}
	for _, t := range ev.GetDataTrigger() {
		lists = append(lists, t.GetOnCreate(), t.GetOnUpdate(), t.GetOnDelete())
	}
	for _, list := range lists {
		for _, target := range list {
			cls, err := g.class(target.GetClsId())
			if err != nil {
				continue // perhaps it is deployed by the time the trigger fires
			}
			if err := cls.spec.Load().allows(target.GetFnId(), &origin{caller: "trigger"}); fault.CodeOf(err) == fault.Forbidden {
				return err
			}
		}
	}
	return nil
}
