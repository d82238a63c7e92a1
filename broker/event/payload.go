package event

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/hpcclab/oaas-go/api/oprc"
)

// TriggerPayload is the JSON payload of a method that is called by a trigger, in the shape of OaaS-RS.
type TriggerPayload struct {
	EventInfo EventInfo `json:"event_info"`
	// OriginalPayload is the result of the method, the text of its error, or the new value of the entry (OaaS-RS sends null for the last
	// two); null after a delete. Base64 in JSON.
	OriginalPayload []byte `json:"original_payload"`
}

// EventInfo says what happened, and to which object.
type EventInfo struct {
	Class     string  `json:"source_cls_id"`
	Partition uint32  `json:"source_partition_id"`
	Object    *string `json:"source_object_id"`
	// Type is the event type of OaaS-RS as a number.
	Type int32 `json:"event_type"`
	// Function and Key: one of them is set, the other null.
	Function *string `json:"fn_id"`
	Key      *string `json:"key"`
	// Timestamp is in milliseconds since 1970.
	Timestamp uint64 `json:"timestamp"`
	// Context has event_id, version and depth; it is empty in OaaS-RS.
	Context map[string]string `json:"context"`
}

// Names in the context of an EventInfo.
const (
	ContextEventID = "event_id"
	ContextVersion = "version"
	ContextDepth   = "depth"
)

// TriggerPayload gives the change as the payload of a triggered method.
func (c *Change) TriggerPayload() TriggerPayload {
	p := TriggerPayload{
		EventInfo: EventInfo{
			Class: c.Class, Partition: c.Partition, Object: optional(c.Object), Type: c.Kind, Function: optional(c.Method), Key: optional(c.Key),
			Context: map[string]string{
				ContextEventID: c.ID,
				ContextVersion: strconv.FormatUint(c.Version, 10),
				ContextDepth:   strconv.FormatUint(uint64(c.Depth), 10),
			},
		},
		OriginalPayload: c.Data,
	}
	if !c.Time.IsZero() {
		p.EventInfo.Timestamp = uint64(max(c.Time.UnixMilli(), 0))
	}
	switch {
	case c.Kind == int32(oprc.EventType_EVENT_TYPE_DATA_DELETE):
		p.OriginalPayload = nil
	case p.OriginalPayload == nil:
		p.OriginalPayload = []byte{} // an empty value is not the same as none
	}
	return p
}

// JSON gives the payload as it is sent.
func (p TriggerPayload) JSON() ([]byte, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode trigger payload: %w", err)
	}
	return text, nil
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
