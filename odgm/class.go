package odgm

import (
	"cmp"
	"hash/fnv"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
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
	// Changes says how changes are kept for those who watch.
	Changes Retention
	// Publish says whether changes are published on Zenoh.
	Publish Publication
	// Access has the access modifier, Internal or Private, of methods that are not public.
	Access map[string]string
	// Disabled are methods that nobody may call for now.
	Disabled map[string]bool
}

// Retention says which changes a partition of a class keeps: the newest, within all of the bounds. The zero value has the defaults.
type Retention struct {
	// Off keeps none, so that the class cannot be watched.
	Off bool
	// Age, Records and Bytes are the bounds; 0 means 1 h, 100,000 and 32 MiB.
	Age            time.Duration
	Records, Bytes uint64
	// Values puts the new values of entries into the changes.
	Values bool
	// Outcomes makes the end of every method of an object a change; else only the ends that are committed anyway are: of methods that changed
	// something, had an idempotency key, were asynchronous, or fire a trigger.
	Outcomes bool
}

// Bounds of the changes that are kept, when a class does not say.
const (
	DefaultChangeAge     = time.Hour
	DefaultChangeRecords = 100_000
	DefaultChangeBytes   = 32 << 20
)

// config gives what the shards keep of it, nil for none.
func (r Retention) config() *record.ChangeRetention {
	if r.Off {
		return nil
	}
	return &record.ChangeRetention{
		Age: int64(cmp.Or(r.Age, DefaultChangeAge)), Records: cmp.Or(r.Records, DefaultChangeRecords), Bytes: cmp.Or(r.Bytes, DefaultChangeBytes),
		Values: r.Values, Outcomes: r.Outcomes,
	}
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

// Locate gives the identity of an object of the class that a client names.
func (c *Class) Locate(t Target) (object.Ref, error) {
	id, err := object.NormalizeID(t.ID)
	if err != nil {
		return object.Ref{}, err
	}
	number := t.Partition
	if number == AnyPartition {
		number = int(PartitionOf(id, c.Partitions))
	}
	return object.Ref{Class: t.Class, Partition: uint32(max(number, 0)), ID: id}, c.CheckPartition(number)
}

// CheckPartition refuses a number that no partition of the class has.
func (c *Class) CheckPartition(number int) error {
	if number < 0 || number >= c.Partitions {
		return fault.New(fault.NoPartition, "class %s has no partition %d: it has %d, numbered from 0", c.Name, number, c.Partitions)
	}
	return nil
}

// config gives the part of the class that its shards keep.
func (c *Class) config() *record.ClassConfig {
	return &record.ClassConfig{Triggers: c.Triggers, Sink: c.Sink, ResultTtl: int64(c.ResultTTL), Changes: c.Changes.config()}
}
