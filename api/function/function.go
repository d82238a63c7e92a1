// Package function is the exchange between the platform and a function ("contract 1"): the state of an object travels with the call, and
// the answer brings the result, the changes and the events. docs/function-contract.md is its specification for every language.
//
// Guarantee: it needs nothing but the standard library, because it travels inside the SDK that user functions are built with offline; its
// decoders never panic, and what they let through keeps every rule of the contract; an error names the field and the value.
package function

// Type says what the bytes of an entry are.
type Type uint32

// The types of entries.
const (
	Bytes   Type = 0 // any bytes
	CRDTMap Type = 1 // an encoded map that merges with concurrent changes
)

// Value is the content of an entry.
type Value struct {
	Data []byte
	Type Type
	// Version of the object at the write that made this value. It is part of calls only; in a reply it must be 0.
	Version uint64
}

// Entry is one named value of an object's state.
type Entry struct {
	Key string
	Value
}

// Call asks a function to run a method on an object. Id, deadline, trace and chain travel in the headers: see [Meta].
type Call struct {
	Class     string
	Partition uint32
	Object    string
	Method    string
	// Readonly methods run beside others on a snapshot; their reply must not change anything.
	Readonly bool
	// Version of the object, 0 if it does not exist.
	Version uint64
	Exists  bool
	// Payload is what the caller sent; empty if nothing.
	Payload     []byte
	ContentType string
	// Entries are those that the method declares and that exist, ascending by key.
	Entries []Entry
	Options map[string]string
	// Caller names who called; empty if unknown.
	Caller string
}

// Entry gives the value of an entry that travelled with the call.
func (c *Call) Entry(key string) (Value, bool) {
	low, high := 0, len(c.Entries)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if c.Entries[middle].Key < key {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low < len(c.Entries) && c.Entries[low].Key == key {
		return c.Entries[low].Value, true
	}
	return Value{}, false
}

// Reply is the answer of a method that succeeded. All of it is committed at once, or nothing.
type Reply struct {
	// Payload is the result that the caller gets; empty if none.
	Payload []byte
	// ContentType of the payload; empty means application/octet-stream.
	ContentType string
	// Set are the entries to write, Delete the keys to remove; other entries stay as they are.
	Set    []Entry
	Delete []string
	// Events leave the object with the commit, in this order.
	Events []Event
}

// Changes tells whether the reply asks for anything beyond handing on its result; a readonly method must not.
func (r *Reply) Changes() bool { return len(r.Set)+len(r.Delete)+len(r.Events) > 0 }

// Event is a CloudEvent to emit. The platform adds id, source and time.
type Event struct {
	Type    string
	Subject string
	// ContentType of the data; empty means application/octet-stream, or none without data.
	ContentType string
	Data        []byte
	// Extensions are CloudEvents extension attributes.
	Extensions map[string]string
}
