package oaas

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// The kinds of changes that triggers tell of.
const (
	MethodCompleted = 1
	MethodFailed    = 2
	EntryCreated    = 3
	EntryUpdated    = 4
	EntryDeleted    = 5
)

// Change is the input of a method that a trigger calls: what happened to which object.
type Change struct {
	Object Ref
	Kind   int
	// Key is the entry that changed, Method the method that ended: one of them is set.
	Key    string
	Method string
	// Value is the new value of the entry, the result of the method, or the text of its failure; nil after a delete.
	Value []byte
	Time  time.Time
	// EventID is the same each time this change is delivered. The platform already drops repeats of triggered calls.
	EventID string
	// Version of the object after the change.
	Version uint64
}

// Decode fills what into points to from the value, which must be JSON.
func (c Change) Decode(into any) error {
	if err := json.Unmarshal(c.Value, into); err != nil {
		return fmt.Errorf("value of %s of %s: %w", c.Key+c.Method, c.Object, err)
	}
	return nil
}

// changeBody is a change on the wire, in the shape of OaaS-RS.
type changeBody struct {
	Info struct {
		Class     string            `json:"source_cls_id"`
		Partition uint32            `json:"source_partition_id"`
		Object    *string           `json:"source_object_id"`
		Kind      int               `json:"event_type"`
		Method    *string           `json:"fn_id"`
		Key       *string           `json:"key"`
		Timestamp uint64            `json:"timestamp"`
		Context   map[string]string `json:"context"`
	} `json:"event_info"`
	Value []byte `json:"original_payload"`
}

// UnmarshalJSON reads the payload that a trigger sends.
func (c *Change) UnmarshalJSON(text []byte) error {
	var body changeBody
	if err := json.Unmarshal(text, &body); err != nil {
		return err
	}
	info := &body.Info
	if info.Class == "" || info.Kind == 0 {
		return fmt.Errorf("this is not what a trigger sends: event_info has no source_cls_id or no event_type")
	}
	*c = Change{
		Object: Ref{Class: info.Class, Object: text0(info.Object), Partition: strconv.FormatUint(uint64(info.Partition), 10)},
		Kind:   info.Kind, Key: text0(info.Key), Method: text0(info.Method), Value: body.Value,
		Time: time.UnixMilli(int64(info.Timestamp)).UTC(), EventID: info.Context["event_id"],
	}
	if version := info.Context["version"]; version != "" {
		var err error
		if c.Version, err = strconv.ParseUint(version, 10, 64); err != nil {
			return fmt.Errorf("event_info.context.version: %w", err)
		}
	}
	return nil
}

// MarshalJSON gives the payload that a trigger would send, for tests.
func (c Change) MarshalJSON() ([]byte, error) {
	var body changeBody
	info := &body.Info
	info.Class, info.Kind, info.Object = c.Object.Class, c.Kind, optional(c.Object.Object)
	if c.Object.Partition != "" {
		partition, err := strconv.ParseUint(c.Object.Partition, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("partition: %w", err)
		}
		info.Partition = uint32(partition)
	}
	info.Key, info.Method = optional(c.Key), optional(c.Method)
	if !c.Time.IsZero() {
		info.Timestamp = uint64(max(c.Time.UnixMilli(), 0))
	}
	info.Context = map[string]string{"event_id": c.EventID, "version": strconv.FormatUint(c.Version, 10)}
	body.Value = c.Value
	return json.Marshal(body)
}

func text0(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
