package opackage

import (
	"strings"
	"time"
)

func (v *validator) class(path string, c *Class) {
	v.check(path+".key", checkName(c.Key, false))
	if s := c.StateSpec; s != nil {
		choice(v, path+".state_spec.consistency_model", s.ConsistencyModel, NoConsistency, ReadYourWrite, BoundedStaleness, Strong)
		keys := map[string]string{}
		for i, spec := range s.KeySpecs {
			at := index(path+".state_spec.key_specs", i) + ".name"
			v.check(at, notEmpty(spec.Name))
			v.unique(keys, at, "entry", spec.Name)
		}
	}
	v.options(path+".options", c.Options)
	if c.Sink != "" {
		v.check(path+".sink", checkSink(c.Sink))
	}
	methods, triggers, subscriptions := map[string]string{}, map[string]string{}, map[string]string{}
	for i := range c.Bindings {
		at := index(path+".function_bindings", i)
		v.unique(methods, at+".name", "method", c.Bindings[i].Name)
		v.binding(at, &c.Bindings[i])
	}
	for i := range c.Triggers {
		at := index(path+".triggers", i)
		v.unique(triggers, at+".name", "trigger", c.Triggers[i].Name)
		v.trigger(at, c, &c.Triggers[i])
	}
	for i := range c.Subscriptions {
		s := &c.Subscriptions[i]
		at := index(path+".subscriptions", i)
		v.unique(subscriptions, at, "subscription", strings.Join([]string{s.Type, s.Source, s.Method, s.Object, s.ObjectFrom}, " "))
		v.subscription(at, c, s)
	}
}

func (v *validator) binding(path string, b *Binding) {
	v.check(path+".name", checkName(b.Name, true))
	v.functionKey(path+".function_key", b.FunctionKey)
	choice(v, path+".access_modifier", b.AccessModifier, Public, Internal, Private)
	if b.Stateless && b.Readonly {
		v.fail(path+".readonly", "a stateless method has no object, so it cannot be readonly")
	}
	if b.Stateless && len(b.State) > 0 {
		v.fail(path+".state", "a stateless method has no object, so no state can travel with its calls")
	}
	if f := v.functions[b.FunctionKey]; f != nil && len(b.State) > 0 && f.EffectiveContract() == GRPCContract {
		v.fail(path+".state", "function %s has contract grpc, so it reads state by calls of its own and none travels: leave state out", quote(f.Key))
	}
	selectors := map[string]string{}
	for i, selector := range b.State {
		at := index(path+".state", i)
		v.check(at, checkSelector(selector))
		v.unique(selectors, at, "entry", strings.ToLower(selector))
	}
	if b.Timeout != "" {
		v.check(path+".timeout", checkDuration(b.Timeout, time.Millisecond, maxTimeout))
	}
	if b.Retries > maxRetries {
		v.fail(path+".retries", "is %d, allowed are 0 to %d", b.Retries, maxRetries)
	}
}

func (v *validator) trigger(path string, c *Class, t *Trigger) {
	v.check(path+".name", checkName(t.Name, true))
	events := []TriggerEvent{EntryCreated, EntryUpdated, EntryDeleted, MethodCompleted, MethodFailed}
	if t.On == "" {
		v.fail(path+".on", "must not be empty")
	}
	choice(v, path+".on", t.On, events...)
	if t.Entry != "" {
		v.check(path+".entry", checkSelector(t.Entry))
		if t.On.OfMethod() {
			v.fail(path+".entry", "%s is about methods: it can be narrowed with method, not entry", quote(string(t.On)))
		}
	}
	if t.Method != "" {
		v.methodOf(path+".method", c, t.Method)
		if t.On != "" && !t.On.OfMethod() {
			v.fail(path+".method", "%s is about entries: it can be narrowed with entry, not method", quote(string(t.On)))
		}
	}
	v.condition(path+".condition", t.Condition)
	if t.Target.Sink != "" {
		v.sinkTarget(path+".target", &t.Target)
		return
	}
	v.target(path+".target", c, &t.Target)
	v.loop(path, c, t)
}

func (v *validator) condition(path, expression string) {
	switch {
	case expression == "":
	case len(expression) > maxText:
		v.fail(path, "is %d bytes long, the limit is %d", len(expression), maxText)
	default:
		if err := v.compile(expression); err != nil {
			v.fail(path, "%s", err)
		}
	}
}

func (v *validator) sinkTarget(path string, t *Target) {
	v.check(path+".sink", checkSink(t.Sink))
	for _, other := range []struct {
		key   string
		given bool
	}{
		{"class", t.Class != ""}, {"object", t.Object != ""}, {"partition", t.Partition != nil}, {"method", t.Method != ""},
		{"options", len(t.Options) > 0},
	} {
		if other.given {
			v.fail(path+"."+other.key, "a target is either a sink or a method: %s does not go with sink", other.key)
		}
	}
}

func (v *validator) target(path string, c *Class, t *Target) {
	if t.Method == "" {
		v.fail(path, "names neither a method nor a sink")
	}
	if t.Object != "" {
		v.check(path+".object", checkKey(t.Object))
	}
	class := v.targetClass(path+".class", c, t.Class)
	switch {
	case t.Method == "":
	case class == nil:
		v.check(path+".method", checkName(t.Method, true))
	default:
		v.methodOf(path+".method", class, t.Method)
		if b := v.methods[class][t.Method]; b != nil && b.AccessModifier == Private && class != c {
			v.fail(path+".method", "%s of class %s is PRIVATE: only triggers of that class may call it; make it INTERNAL", quote(t.Method), quote(class.Key))
		}
	}
	if class != nil && t.Partition != nil {
		v.targetPartition(path+".partition", class, *t.Partition)
	}
}

// targetClass gives the class of this package that a target names, or nil when it is another package's or does not exist.
func (v *validator) targetClass(path string, own *Class, name string) *Class {
	key := name
	if name == "" {
		return own
	}
	if strings.Contains(name, ".") {
		pkg, class, ok := SplitClassName(name)
		if !ok {
			v.fail(path, "%s is not the name of a class: write package.class, or the key of a class of this package", quote(name))
			return nil
		}
		if pkg != v.p.Name {
			v.check(path, checkName(name, true))
			return nil
		}
		key = class
	}
	class := v.classes[key]
	if class == nil {
		v.noClass(path, key)
	}
	return class
}

func (v *validator) noClass(path, key string) {
	v.unknown(path, key, names(v.p.Classes, func(c *Class) string { return c.Key }), "the package has no class %s", quote(key))
}

// targetPartition refuses a partition that no deployment of the class has.
func (v *validator) targetPartition(path string, class *Class, partition uint16) {
	if most := v.partitions[class.Key]; most > 0 && uint32(partition) >= most {
		v.fail(path, "is %d, but %s has the partitions 0 to %d", partition, v.p.ClassName(class.Key), most-1)
	}
}

// loop refuses a method whose completion calls itself whatever happens. Longer chains, and those over entries, may end by what the
// methods do; the platform stops them by their depth.
func (v *validator) loop(path string, c *Class, t *Trigger) {
	if t.On != MethodCompleted || t.Condition != "" || t.Method != "" && t.Method != t.Target.Method {
		return
	}
	if v.p.EffectiveTarget(c, t).Class != v.p.ClassName(c.Key) {
		return
	}
	if method := v.methods[c][t.Target.Method]; method != nil && !method.Stateless {
		v.fail(path, "%s calls itself whenever it completes, for ever; add a condition or another target", quote(t.Target.Method))
	}
}

func (v *validator) subscription(path string, c *Class, s *Subscription) {
	switch {
	case s.Type == "":
		v.fail(path+".type", "must not be empty")
	case len(s.Type) > maxText:
		v.fail(path+".type", "is %d bytes long, the limit is %d", len(s.Type), maxText)
	}
	if len(s.Source) > maxText {
		v.fail(path+".source", "is %d bytes long, the limit is %d", len(s.Source), maxText)
	}
	v.methodOf(path+".method", c, s.Method)
	if s.Object != "" {
		v.check(path+".object", checkKey(s.Object))
	}
	if s.ObjectFrom != "" && s.ObjectFrom != subjectAttribute {
		v.check(path+".object_from", checkAttribute(s.ObjectFrom))
	}
	if s.Object != "" && s.ObjectFrom != "" {
		v.fail(path+".object_from", "object and object_from exclude each other")
	}
}
