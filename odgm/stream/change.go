package stream

import (
	"strconv"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

// What a change did, as filters and messages say it.
const (
	Created   = "create"
	Updated   = "update"
	Deleted   = "delete"
	Completed = "complete"
	Failed    = "error"
)

var actions = map[oprc.EventType]string{
	oprc.EventType_EVENT_TYPE_DATA_CREATE: Created, oprc.EventType_EVENT_TYPE_DATA_UPDATE: Updated, oprc.EventType_EVENT_TYPE_DATA_DELETE: Deleted,
}

// kinds is actions the other way round.
var kinds = func() map[string]oprc.EventType {
	kinds := make(map[string]oprc.EventType, len(actions))
	for kind, action := range actions {
		kinds[action] = kind
	}
	return kinds
}()

// Change is what one commit did to one object. It is shared by all who watch: nobody may change it.
type Change struct {
	Class     string
	Partition uint32
	// Seq is its number in the partition.
	Seq    uint64
	Object string
	// Version of the object after the change.
	Version uint64
	Time    time.Time
	// Entries are the entries that changed, sorted by key; none for the end of a method that changed nothing.
	Entries []EntryChange
	// Method is set when the change is the end of a method, whether it changed entries or not.
	Method *MethodEnd

	plain, extended encoding
}

// EntryChange is the change of one entry.
type EntryChange struct {
	Key string
	// Action is Created, Updated or Deleted.
	Action string
	// Value is the new value, nil if the class does not include values, or it is deleted.
	Value []byte
}

// MethodEnd is the end of a method.
type MethodEnd struct {
	Name string
	// Action is Completed or Failed.
	Action string
	// Code and Message say why it failed.
	Code, Message string
}

// encoding is made once, by whoever needs it first.
type encoding struct {
	once sync.Once
	text []byte
}

func changesOf(class string, partition uint32, commit shard.Changes) []*Change {
	changes := make([]*Change, len(commit.Changes))
	for i, r := range commit.Changes {
		changes[i] = &Change{
			Class: class, Partition: partition, Seq: commit.First + uint64(i), Object: r.GetObject(), Version: r.GetVersion(),
			Time: time.Unix(0, commit.Time), Entries: entriesOf(r.GetEntries()), Method: endOf(r.GetMethod()),
		}
	}
	return changes
}

// Record gives the change as it is in the log of its partition.
func (c *Change) Record() *record.Change {
	r := &record.Change{Object: c.Object, Version: c.Version, Entries: make([]*record.EntryChange, len(c.Entries))}
	for i := range c.Entries {
		e := &c.Entries[i]
		r.Entries[i] = &record.EntryChange{Key: e.Key, Kind: kinds[e.Action], Value: e.Value}
	}
	if m := c.Method; m != nil {
		r.Method = &record.MethodEnd{Name: m.Name, Code: m.Code, Message: m.Message}
	}
	return r
}

func entriesOf(records []*record.EntryChange) []EntryChange {
	entries := make([]EntryChange, len(records))
	for i, e := range records {
		entries[i] = EntryChange{Key: e.GetKey(), Action: actions[e.GetKind()], Value: e.Value}
	}
	return entries
}

func endOf(r *record.MethodEnd) *MethodEnd {
	switch {
	case r == nil:
		return nil
	case r.GetCode() == "":
		return &MethodEnd{Name: r.GetName(), Action: Completed}
	}
	return &MethodEnd{Name: r.GetName(), Action: Failed, Code: r.GetCode(), Message: r.GetMessage()}
}

// size estimates the bytes that a change takes, with its encodings.
func (c *Change) size() int {
	size := 512 + 4*len(c.Object)
	for i := range c.Entries {
		size += 96 + 3*len(c.Entries[i].Key) + 4*len(c.Entries[i].Value)
	}
	return size
}

// JSON gives the message of OaaS-RS: object_id, cls_id, partition_id, version, source and changes, each with key, action and, if the class
// includes values, value in base64. The end of a method is not in it. It must not be changed.
func (c *Change) JSON() []byte {
	c.plain.once.Do(func() { c.plain.text = append(c.appendJSON(make([]byte, 0, 160+64*len(c.Entries))), '}') })
	return c.plain.text
}

// appendJSON appends the message of OaaS-RS without the last brace.
func (c *Change) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"object_id":`...)
	dst = oprc.AppendString(dst, c.Object)
	dst = append(dst, `,"cls_id":`...)
	dst = oprc.AppendString(dst, c.Class)
	dst = append(dst, `,"partition_id":`...)
	dst = strconv.AppendUint(dst, uint64(c.Partition), 10)
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendUint(dst, c.Version, 10)
	dst = append(dst, `,"source":"local","changes":[`...)
	for i := range c.Entries {
		if i > 0 {
			dst = append(dst, ',')
		}
		e := &c.Entries[i]
		dst = append(dst, `{"key":`...)
		dst = oprc.AppendString(dst, e.Key)
		dst = append(dst, `,"action":"`...)
		dst = append(dst, e.Action...)
		dst = append(dst, '"')
		if e.Value != nil {
			dst = append(dst, `,"value":`...)
			dst = oprc.AppendBytes(dst, e.Value)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// AppendExtended appends the message of JSON with seq, time, method (name, action and, if it failed, code and message) and the position of a
// stream that has just given the change.
func (c *Change) AppendExtended(dst []byte, s *Stream) []byte {
	c.extended.once.Do(func() { c.extended.text = c.appendMore(c.appendJSON(make([]byte, 0, 256+64*len(c.Entries)))) })
	dst = append(dst, c.extended.text...)
	dst = append(dst, `,"position":"`...)
	dst = s.AppendPosition(dst)
	return append(dst, `"}`...)
}

func (c *Change) appendMore(dst []byte) []byte {
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendUint(dst, c.Seq, 10)
	dst = append(dst, `,"time":"`...)
	dst = c.Time.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, '"')
	m := c.Method
	if m == nil {
		return dst
	}
	dst = append(dst, `,"method":{"name":`...)
	dst = oprc.AppendString(dst, m.Name)
	dst = append(dst, `,"action":"`...)
	dst = append(dst, m.Action...)
	dst = append(dst, '"')
	if m.Action == Failed {
		dst = append(dst, `,"code":`...)
		dst = oprc.AppendString(dst, m.Code)
		dst = append(dst, `,"message":`...)
		dst = oprc.AppendString(dst, m.Message)
	}
	return append(dst, '}')
}

// AppendJSON appends the notice of a gap: a message of OaaS-RS with source "gap" and without changes, so that clients which know nothing of gaps can
// read it, with gap (from, and to and missing, or remade) and the position of the stream that has just given it.
func (g *Gap) AppendJSON(dst []byte, s *Stream) []byte {
	dst = append(dst, `{"object_id":"","cls_id":`...)
	dst = oprc.AppendString(dst, g.Class)
	dst = append(dst, `,"partition_id":`...)
	dst = strconv.AppendUint(dst, uint64(g.Partition), 10)
	dst = append(dst, `,"version":0,"source":"gap","changes":[],"gap":{"from":`...)
	dst = strconv.AppendUint(dst, g.From, 10)
	if g.Remade {
		dst = append(dst, `,"remade":true`...)
	} else {
		dst = append(dst, `,"to":`...)
		dst = strconv.AppendUint(dst, g.To, 10)
		dst = append(dst, `,"missing":`...)
		dst = strconv.AppendUint(dst, g.Missing(), 10)
	}
	dst = append(dst, `},"position":"`...)
	dst = s.AppendPosition(dst)
	return append(dst, `"}`...)
}
