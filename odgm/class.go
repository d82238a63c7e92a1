package odgm

import (
	"hash/fnv"
	"time"

	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// Class is what the grid has to know of a class to hold its objects and run its methods.
type Class struct {
	// Name is "<package>.<class>", as in paths.
	Name    string
	Package string
	// Partitions is 1 to 65535; 0 means 1. It cannot change while the class has data.
	Partitions int
	// Engine is a kind of odgm/engine/backend; it cannot change while the class has data.
	Engine        string
	Methods       map[string]call.Method
	Triggers      []*record.ClassTrigger
	Subscriptions []Subscription
	// Sink is where emitted events go; empty means the default sink.
	Sink string
	// MailboxLimit is how many may wait for one object; 0 means the default.
	MailboxLimit int
	// ResultTTL is how long results of calls are kept; 0 means the default.
	ResultTTL time.Duration
	// Access has the access modifier, Internal or Private, of methods that are not public.
	Access map[string]string
	// Disabled are methods that nobody may call for now.
	Disabled map[string]bool
}

// Subscription says which CloudEvents call which method on which object.
type Subscription struct {
	Type string
	// Source, if given, must be equal to that of the event.
	Source string
	Method string
	// Object is the id to call; if it is empty, ObjectFrom names where it comes from: "subject" (or empty) or an extension attribute.
	Object     string
	ObjectFrom string
}

// AnyPartition as the partition of a Target means the one that the hash of the object id gives; it is "_" in paths.
const AnyPartition = -1

// PartitionOf gives the partition of an object among n: the 64-bit FNV-1a hash of its normalised id, modulo n. It never changes.
func PartitionOf(id string, n int) uint32 {
	if n <= 1 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(id))
	return uint32(h.Sum64() % uint64(n))
}

// Target is an object as a client names it: the partition may be AnyPartition, the id is not yet normalised. For stateless functions the id is
// empty.
type Target struct {
	Class     string
	Partition int
	ID        string
}

// config gives the part of the class that its shards keep.
func (c *Class) config() *record.ClassConfig {
	return &record.ClassConfig{Triggers: c.Triggers, Sink: c.Sink, ResultTtl: int64(c.ResultTTL)}
}
