// Package event says how changes of objects and outcomes of methods look as CloudEvents, and as payloads of triggered methods.
//
// Guarantee: the same change always gives the same CloudEvent, with the id that it was committed with, so receivers can drop repeats by
// source and id. Attributes of this platform cannot be forged by the method that emits an event.
package event

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/hpcclab/oaas-go/api/oprc"
)

// Types of the events that the platform makes itself.
const (
	TypeEntryCreated    = "oaas.entry.created"
	TypeEntryUpdated    = "oaas.entry.updated"
	TypeEntryDeleted    = "oaas.entry.deleted"
	TypeMethodCompleted = "oaas.method.completed"
	TypeMethodFailed    = "oaas.method.failed"
	// TypeTriggerError tells of an event that could not be fired; its subject is the id of that event, its data the reason.
	TypeTriggerError = "oaas.trigger.error"
)

// Extension attributes that the platform adds to each of its events. An integer attribute of CloudEvents has 32 bits, so the version, which
// has 64, is a string of decimal digits.
const (
	AttrClass     = "oaasclass"
	AttrPartition = "oaaspartition"
	AttrObject    = "oaasobject"
	AttrVersion   = "oaasversion"
	AttrDepth     = "oaasdepth"
	AttrKey       = "oaaskey"
	AttrMethod    = "oaasmethod"
	// AttrTraceparent is the attribute of the CloudEvents extension for distributed tracing.
	AttrTraceparent = "traceparent"
)

// kinds has the types by event type of OaaS-RS.
var kinds = map[oprc.EventType]string{
	oprc.EventType_EVENT_TYPE_FUNC_COMPLETE: TypeMethodCompleted,
	oprc.EventType_EVENT_TYPE_FUNC_ERROR:    TypeMethodFailed,
	oprc.EventType_EVENT_TYPE_DATA_CREATE:   TypeEntryCreated,
	oprc.EventType_EVENT_TYPE_DATA_UPDATE:   TypeEntryUpdated,
	oprc.EventType_EVENT_TYPE_DATA_DELETE:   TypeEntryDeleted,
}

// TypeOf gives the CloudEvents type of an event type of OaaS-RS, or "" for one that is unknown.
func TypeOf(kind int32) string { return kinds[oprc.EventType(kind)] }

// Change is what happened to an object: an entry changed, a method ended, or a method emitted an event of its own.
type Change struct {
	// ID is the id of the event, the same at each delivery.
	ID string
	// Type is the CloudEvents type; empty means that of Kind.
	Type string
	// Kind is the event type of OaaS-RS; 0 for emitted events.
	Kind      int32
	Class     string
	Partition uint32
	// Object is empty for a stateless function.
	Object string
	// Version is that of the object after the change.
	Version uint64
	// Key is the entry that changed, Method the method that ended.
	Key    string
	Method string
	// Data is the new value of the entry, the result of the method, the text of its error, or the data of an emitted event.
	Data        []byte
	ContentType string
	Time        time.Time
	// Depth counts the triggers that led here; 1 for a change made from outside.
	Depth       uint32
	Traceparent string
	// Subject and Extensions are those of an emitted event.
	Subject    string
	Extensions map[string]string
}

// Source gives the CloudEvents source of the events of an object: /oaas/<class>/<partition>/<object>, without the last part for a
// stateless function.
func Source(class string, partition uint32, object string) string {
	source := "/oaas/" + url.PathEscape(class) + "/" + strconv.FormatUint(uint64(partition), 10)
	if object != "" {
		source += "/" + url.PathEscape(object)
	}
	return source
}

// CloudEvent gives the change as a CloudEvent. It fails for attributes that CloudEvents does not allow, which only emitted events can have.
func (c *Change) CloudEvent() (*cloudevents.Event, error) {
	kind := c.Type
	if kind == "" {
		kind = TypeOf(c.Kind)
	}
	e := cloudevents.New()
	e.SetID(c.ID)
	e.SetType(kind)
	e.SetSource(Source(c.Class, c.Partition, c.Object))
	if subject := c.subject(); subject != "" {
		e.SetSubject(subject)
	}
	if !c.Time.IsZero() {
		e.SetTime(c.Time.UTC())
	}
	if err := c.setExtensions(&e); err != nil {
		return nil, err
	}
	c.setData(&e)
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("event %s of type %q: %s", c.ID, kind, Describe(err))
	}
	return &e, nil
}

// subject gives the subject of the event, by which subscriptions can filter: what changed within the object.
func (c *Change) subject() string {
	switch {
	case c.Subject != "":
		return c.Subject
	case c.Key != "":
		return c.Key
	}
	return c.Method
}

// setExtensions sets the attributes of the emitted event first, so that none of them hides one of the platform.
func (c *Change) setExtensions(e *cloudevents.Event) error {
	for name, value := range c.Extensions {
		if !ValidName(name) {
			return fmt.Errorf("event %s: extension attribute %q: a name is made of a-z and 0-9, and is no attribute of CloudEvents itself", c.ID, name)
		}
		e.SetExtension(name, value)
	}
	own := []struct {
		name  string
		value any
		isSet bool
	}{
		{AttrClass, c.Class, true},
		{AttrPartition, int32(c.Partition), true},
		{AttrVersion, strconv.FormatUint(c.Version, 10), true},
		{AttrDepth, int32(min(c.Depth, 1<<31-1)), true},
		{AttrObject, c.Object, c.Object != ""},
		{AttrKey, c.Key, c.Key != ""},
		{AttrMethod, c.Method, c.Method != ""},
	}
	for _, attr := range own {
		if attr.isSet {
			e.SetExtension(attr.name, attr.value)
		} else {
			e.SetExtension(attr.name, nil)
		}
	}
	if c.Traceparent != "" {
		e.SetExtension(AttrTraceparent, c.Traceparent)
	}
	return nil
}

// setData attaches the data. JSON and text stay readable in the structured form, everything else is base64 there.
func (c *Change) setData(e *cloudevents.Event) {
	if len(c.Data) == 0 {
		return
	}
	contentType := c.ContentType
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	e.SetDataContentType(contentType)
	e.DataEncoded = c.Data
	e.DataBase64 = !readable(contentType, c.Data)
}

func readable(contentType string, data []byte) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		return false
	case strings.HasSuffix(mediaType, "+json"):
		return false // the library would write it as a string, which is another JSON value
	case IsJSON(mediaType):
		return json.Valid(data)
	}
	return strings.HasPrefix(mediaType, "text/") && utf8.Valid(data)
}

// IsJSON reports whether data of that media type (without parameters) is JSON.
func IsJSON(mediaType string) bool {
	return mediaType == "application/json" || mediaType == "text/json" || strings.HasSuffix(mediaType, "+json")
}

// reserved are the attributes of CloudEvents itself, and the members of its JSON form.
var reserved = []string{"id", "source", "type", "specversion", "datacontenttype", "dataschema", "subject", "time", "data"}

// ValidName reports whether name can be an extension attribute: lower-case letters and digits, and not one of the attributes of CloudEvents.
func ValidName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && !slices.Contains(reserved, name)
}

// Depth gives the number of triggers that led to an event which this platform made, and 0 for any other event.
func Depth(e cloudevents.Event) uint32 {
	switch depth := e.Extensions()[AttrDepth].(type) {
	case int32:
		return uint32(max(depth, 0))
	case string:
		n, err := strconv.ParseUint(depth, 10, 31)
		if err != nil {
			return 0
		}
		return uint32(n)
	}
	return 0
}

// Describe gives an error of the CloudEvents library as one line, with the attributes in order.
func Describe(err error) string {
	invalid, ok := err.(cloudevents.ValidationError)
	if !ok {
		return err.Error()
	}
	lines := make([]string, 0, len(invalid))
	for name, why := range invalid {
		lines = append(lines, fmt.Sprintf("attribute %s: %v", name, why))
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}
