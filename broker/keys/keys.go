// Package keys has the key space of the platform on Zenoh, which is that of OaaS-RS: where objects, calls, results and events are.
//
// Guarantee: what [Parse] gives for a key that was made here is what it was made of. A key is only made of parts that cannot mean another key, if
// [Check] has taken them. A number as object id is the same however it is written: 007 is object 7.
//
//	oprc/<class>/<partition>/objects/<id>                            read; put and delete without an answer
//	oprc/<class>/<partition>/objects/<id>/set                        write
//	oprc/<class>/<partition>/objects/<id>/batch-set                  write and delete entries
//	oprc/<class>/<partition>/objects/<id>/entries/<key>              read an entry
//	oprc/<class>/<partition>/objects/list-objects                    list
//	oprc/<class>/<partition>/objects?oid=<id>                        read, as older clients do
//	oprc/<class>/<partition>[/objects/<id>]/invokes/<fn>             call
//	oprc/<class>/<partition>[/objects/<id>]/invokes/<fn>/async/<inv> call without waiting
//	oprc/<class>/<partition>[/objects/<id>]/results/<fn>/async/<inv> its result
//	oprc/<class>/<partition>/events/<id>                             changes
//	oprc/<class>/<partition>/liveliness/<shard>                      tokens
//	oprc/<class>/<partition>/shards/<shard>/capabilities             what a shard can do
package keys

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Root is the first part of all keys.
const Root = "oprc"

// Any as a part of a key means every one.
const Any = "*"

// The parts of keys that are words.
const (
	objects      = "objects"
	set          = "set"
	batchSet     = "batch-set"
	entries      = "entries"
	listObjects  = "list-objects"
	invokes      = "invokes"
	results      = "results"
	async        = "async"
	events       = "events"
	liveliness   = "liveliness"
	shards       = "shards"
	capabilities = "capabilities"
)

// Kind says what a key is for.
type Kind int

// The kinds. Those of calls and results are of a method of an object if the key has one, else of a stateless function of the class.
const (
	Unknown Kind = iota
	Object
	Set
	BatchSet
	Entry
	ListObjects
	Invoke
	InvokeAsync
	Result
	Events
	Liveliness
	Capabilities
	// Objects is the key of all objects of a partition; whoever reads it names one by the parameter oid or oid_str.
	Objects
)

// Key is a key taken apart. Parts may be [Any], and a whole key a key expression with it.
type Key struct {
	Kind             Kind
	Class, Partition string
	// Object is the id, empty for what belongs to none.
	Object string
	// Name is that of the entry, function or shard.
	Name string
	// Invocation is the id of a call without waiting.
	Invocation string
}

// Of gives the place of a partition, to make keys of: set its Kind and parts.
func Of(class string, partition uint32) Key {
	return Key{Class: class, Partition: strconv.FormatUint(uint64(partition), 10)}
}

// In is Of for the partition as text, which may be [Any].
func In(class, partition string) Key { return Key{Class: class, Partition: partition} }

// Get is the key to read an object, and to put or delete it without an answer.
func (k Key) Get(id string) Key { k.Kind, k.Object = Object, id; return k }

// Set is the key to write an object.
func (k Key) Set(id string) Key { k.Kind, k.Object = Set, id; return k }

// BatchSet is the key to write and delete entries of an object.
func (k Key) BatchSet(id string) Key { k.Kind, k.Object = BatchSet, id; return k }

// Entry is the key to read an entry.
func (k Key) Entry(id, entry string) Key { k.Kind, k.Object, k.Name = Entry, id, entry; return k }

// ListObjects is the key to list the objects of the partition.
func (k Key) ListObjects() Key { k.Kind = ListObjects; return k }

// Invoke is the key to call a method of an object, or a function if id is empty.
func (k Key) Invoke(id, fn string) Key { k.Kind, k.Object, k.Name = Invoke, id, fn; return k }

// InvokeAsync is the key to call without waiting.
func (k Key) InvokeAsync(id, fn, invocation string) Key {
	k.Kind, k.Object, k.Name, k.Invocation = InvokeAsync, id, fn, invocation
	return k
}

// Result is the key of the result of a call without waiting.
func (k Key) Result(id, fn, invocation string) Key {
	k.Kind, k.Object, k.Name, k.Invocation = Result, id, fn, invocation
	return k
}

// Events is the key of the changes of an object.
func (k Key) Events(id string) Key { k.Kind, k.Object = Events, id; return k }

// Liveliness is the key of the token of a shard.
func (k Key) Liveliness(shard string) Key { k.Kind, k.Name = Liveliness, shard; return k }

// Capabilities is the key to ask what a shard can do.
func (k Key) Capabilities(shard string) Key { k.Kind, k.Name = Capabilities, shard; return k }

// String gives the key as text.
func (k Key) String() string {
	parts := append(make([]string, 0, 9), Root, k.Class, k.Partition)
	below := func(more ...string) []string {
		if k.Object != "" {
			parts = append(parts, objects, k.Object)
		}
		return append(parts, more...)
	}
	switch k.Kind {
	case Object:
		parts = below()
	case Set:
		parts = below(set)
	case BatchSet:
		parts = below(batchSet)
	case Entry:
		parts = below(entries, k.Name)
	case Objects:
		parts = append(parts, objects)
	case ListObjects:
		parts = append(parts, objects, listObjects)
	case Invoke:
		parts = below(invokes, k.Name)
	case InvokeAsync:
		parts = below(invokes, k.Name, async, k.Invocation)
	case Result:
		parts = below(results, k.Name, async, k.Invocation)
	case Events:
		parts = append(parts, events, k.Object)
	case Liveliness:
		parts = append(parts, liveliness, k.Name)
	case Capabilities:
		parts = append(parts, shards, k.Name, capabilities)
	}
	return strings.Join(parts, "/")
}

// Parse takes a key apart. Its Kind is Unknown if it is none of the key space, or one whose parts cannot be told apart because of wildcards.
// Object ids that are numbers are canonical then.
func Parse(key string) Key {
	parts := strings.Split(key, "/")
	if len(parts) < 4 || parts[0] != Root || slices.ContainsFunc(parts, func(p string) bool { return p == "" || p == "**" }) {
		return Key{}
	}
	k, rest := In(parts[1], parts[2]), parts[3:]
	if rest[0] == objects && len(rest) > 1 {
		return k.parseObject(rest[1:])
	}
	switch {
	case len(rest) == 1 && rest[0] == objects:
		k.Kind = Objects
		return k
	case len(rest) == 2 && rest[0] == events:
		return k.Events(CanonicalID(rest[1]))
	case len(rest) == 2 && rest[0] == liveliness:
		return k.Liveliness(rest[1])
	case len(rest) == 3 && rest[0] == shards && rest[2] == capabilities:
		return k.Capabilities(rest[1])
	}
	return k.parseCall("", rest)
}

// parseObject takes the rest of a key apart that is below the objects.
func (k Key) parseObject(rest []string) Key {
	if len(rest) == 1 && rest[0] == listObjects {
		return k.ListObjects()
	}
	id := CanonicalID(rest[0])
	switch {
	case len(rest) == 1:
		return k.Get(id)
	case len(rest) == 2 && rest[1] == set:
		return k.Set(id)
	case len(rest) == 2 && rest[1] == batchSet:
		return k.BatchSet(id)
	case len(rest) == 3 && rest[1] == entries:
		return k.Entry(id, rest[2])
	}
	return k.parseCall(id, rest[1:])
}

// parseCall takes the rest of a key apart that is about a call.
func (k Key) parseCall(id string, rest []string) Key {
	switch {
	case len(rest) == 2 && rest[0] == invokes:
		return k.Invoke(id, rest[1])
	case len(rest) == 4 && rest[0] == invokes && rest[2] == async:
		return k.InvokeAsync(id, rest[1], rest[3])
	case len(rest) == 4 && rest[0] == results && rest[2] == async:
		return k.Result(id, rest[1], rest[3])
	}
	return Key{}
}

// CanonicalID gives the id of an object as it is kept: the decimal text of a number below 2^64 without leading zeros, anything else as it is.
func CanonicalID(id string) string {
	if len(id) < 2 || id[0] != '0' {
		return id
	}
	if n, err := strconv.ParseUint(id, 10, 64); err == nil {
		return strconv.FormatUint(n, 10)
	}
	return id
}

// IsWild reports whether a part stands for more than one.
func IsWild(part string) bool { return strings.ContainsAny(part, "*$") }

// Check refuses a name that would not be one part of a key.
func Check(what, name string) error {
	if name == "" || strings.ContainsAny(name, "/*$?#") {
		return fmt.Errorf("%s %q cannot be part of a Zenoh key", what, name)
	}
	return nil
}
