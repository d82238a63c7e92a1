// Package oaas is the Go SDK: write a class as a struct and its methods as methods, and serve it.
//
//	type Counter struct {
//		Count int `oaas:"count"`
//	}
//
//	func (c *Counter) Add(ctx oaas.Context, in AddInput) (int, error) {
//		c.Count += in.By
//		return c.Count, nil
//	}
//
//	func main() {
//		oaas.Serve(oaas.Class("counter.counter", oaas.Method("add", (*Counter).Add)))
//	}
//
// Guarantee: a method gets the state that its object has, and what it leaves in the struct is what the platform commits: only the entries
// that changed go back, all of them at once, or none if the method fails. A panic fails the call that it happened in, never the process.
// The package needs nothing but the standard library.
//
// # State
//
// A field with the tag `oaas:"count"` is the entry "count". The value is JSON text; with `oaas:"photo,raw"` a []byte or string is stored as
// it is. A map with string keys and the tag `oaas:"item:*"` has all entries whose key begins with "item:", by the rest of their key. Fields
// without a tag are no state and are zero at the start of every call.
//
// An entry that is absent leaves its field at the zero value, and a field that is still zero leaves its entry absent. Setting a pointer,
// slice, map or interface to nil deletes its entry; so does the zero value of a field with `oaas:"note,omitzero"`; and so does removing a
// key from a prefix map. Any other zero value is a value: a count that goes back to 0 is stored as 0.
//
// # Input and output
//
// Input and output are JSON of any Go type; [None] for nothing, []byte or [Payload] for bytes as they are, [Change] for what a trigger
// sends. An empty payload gives a zero input.
package oaas

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/hpcclab/oaas-go/api/function"
)

// None is the input of methods that take nothing, and the output of those that give nothing.
type None = struct{}

// Payload is an input or output that is handed on as it is.
type Payload struct {
	Data        []byte
	ContentType string
}

// Part is something that a function serves: a class, a stateless function, or a plain HTTP handler.
type Part struct{ add func(*Handler) error }

// method runs a method of a class on the call that came in.
type method struct {
	readonly bool
	run      func(Context, *function.Call) (*function.Reply, error)
	// warm, if set, fills the caches that the first call would fill; it runs nothing of the user's.
	warm func()
}

// Binding is a method of the class whose objects are T.
type Binding[T any] struct {
	name     string
	readonly bool
	run      func(self *T, ctx Context, payload Payload) (Payload, error)
	warm     func()
}

// Method binds the method of T to a name. It runs alone on its object, and what it changes is committed.
func Method[T, In, Out any](name string, fn func(*T, Context, In) (Out, error)) Binding[T] {
	return Binding[T]{name: name, run: func(self *T, ctx Context, payload Payload) (Payload, error) {
		return typed(payload, func(in In) (Out, error) { return fn(self, ctx, in) })
	}, warm: warmCodecs[In, Out]}
}

// warmCodecs makes encoding/json learn the types of an input and an output.
func warmCodecs[In, Out any]() {
	var in In
	var out Out
	_ = Payload{Data: []byte("{}")}.decode(&in) // whether {} fits does not matter
	_, _ = encodePayload(out)
}

// ReadOnly binds a method that changes nothing, so that it may run beside others. The package file must say readonly as well. If the
// method changes something after all, the call fails.
func ReadOnly[T, In, Out any](name string, fn func(*T, Context, In) (Out, error)) Binding[T] {
	b := Method(name, fn)
	b.readonly = true
	return b
}

// Class serves the methods of a class, whose name is <package>.<class>. Serving one class in several parts is allowed.
func Class[T any](name string, bindings ...Binding[T]) Part {
	return Part{func(h *Handler) error {
		p, err := planOf[T]()
		if err != nil {
			return fmt.Errorf("class %s: %w", name, err)
		}
		for _, b := range bindings {
			if err := h.addMethod(name, b.name, method{b.readonly, p.bind(b.readonly, b.runAny), func() { b.warm(); p.warm() }}); err != nil {
				return err
			}
		}
		return nil
	}}
}

// runAny is run for callers that do not know T.
func (b Binding[T]) runAny(self any, ctx Context, payload Payload) (Payload, error) {
	return b.run(self.(*T), ctx, payload)
}

// Raw serves a method that takes the call and gives the reply as they are on the wire, for state that no struct describes.
func Raw(class, name string, fn func(Context, *function.Call) (*function.Reply, error)) Part {
	return Part{func(h *Handler) error { return h.addMethod(class, name, method{run: fn}) }}
}

// Stateless serves a function of a class that has no object.
func Stateless[In, Out any](class, name string, fn func(Context, In) (Out, error)) Part {
	return Part{func(h *Handler) error {
		run := func(ctx Context, payload Payload) (Payload, error) {
			return typed(payload, func(in In) (Out, error) { return fn(ctx, in) })
		}
		return h.addStateless(class, name, h.statelessHandler(class, name, run))
	}}
}

// HTTP serves everything that is not a call of a method or stateless function served by another part.
func HTTP(handler http.Handler) Part {
	return Part{func(h *Handler) error {
		if h.fallback != nil {
			return fmt.Errorf("there is more than one HTTP handler")
		}
		h.fallback = handler
		return nil
	}}
}

func (h *Handler) addMethod(class, name string, m method) error {
	if err := checkNames(class, name); err != nil {
		return err
	}
	if h.methods[class] == nil {
		h.methods[class] = map[string]method{}
	}
	if _, twice := h.methods[class][name]; twice {
		return fmt.Errorf("class %s: method %q is given twice", class, name)
	}
	h.methods[class][name] = m
	return nil
}

func (h *Handler) addStateless(class, name string, handler http.Handler) error {
	if err := checkNames(class, name); err != nil {
		return err
	}
	key := class + "/" + name
	if _, twice := h.stateless[key]; twice {
		return fmt.Errorf("class %s: stateless function %q is given twice", class, name)
	}
	h.stateless[key] = handler
	return nil
}

func checkNames(class, name string) error {
	pkg, key, dotted := strings.Cut(class, ".")
	if !dotted || pkg == "" || key == "" {
		return fmt.Errorf("class %q: the name must be <package>.<class>", class)
	}
	if name == "" {
		return fmt.Errorf("class %s: the name of a method is empty", class)
	}
	return nil
}

// names lists what is served, for errors.
func names[V any](m map[string]V) string {
	if len(m) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}
