package eventing

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/hpcclab/oaas-go/api/fault"
	changes "github.com/hpcclab/oaas-go/broker/event"
)

// Limits bound what Receive takes. Zero values mean the defaults.
type Limits struct {
	// MaxBytes is the longest body; 4 MiB.
	MaxBytes int64
	// MaxEvents is the longest batch; 1000.
	MaxEvents int
}

// Receive reads the events of a request in binary, structured or batched mode. It gives all of them or an error; a batch may be empty.
func Receive(r *http.Request, limits Limits) ([]event.Event, error) {
	if limits.MaxBytes <= 0 {
		limits.MaxBytes = 4 << 20
	}
	if limits.MaxEvents <= 0 {
		limits.MaxEvents = 1000
	}
	mode, err := modeOf(r.Header)
	if err != nil {
		return nil, err
	}
	body, err := readBody(r, limits.MaxBytes)
	if err != nil {
		return nil, err
	}
	switch mode {
	case batched:
		return readBatch(body, limits.MaxEvents)
	case structured:
		e, err := readJSON(body)
		if err != nil {
			return nil, err
		}
		return []event.Event{e}, nil
	default:
		e, err := readBinary(r.Context(), r.Header, body)
		if err != nil {
			return nil, err
		}
		return []event.Event{e}, nil
	}
}

type mode int

const (
	binary mode = iota
	structured
	batched
)

// modeOf finds the mode of a request by its content type, as the HTTP binding says.
func modeOf(header http.Header) (mode, error) {
	if encoding := header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return 0, fault.New(fault.UnsupportedType, "content encoding %q is not supported; send the body as it is", encoding)
	}
	contentType := header.Get("Content-Type")
	mediaType, params, err := mime.ParseMediaType(contentType)
	if contentType != "" && err != nil {
		return 0, fault.New(fault.DecodeError, "content type %q is malformed: %v", contentType, err)
	}
	if !strings.HasPrefix(mediaType, "application/cloudevents") {
		if len(header.Values(headerPrefix+"Specversion")) == 0 {
			return 0, fault.New(fault.DecodeError, "not a CloudEvent: neither is there a header ce-specversion nor is the content type "+
				"application/cloudevents+json or application/cloudevents-batch+json (it is %q)", contentType)
		}
		return binary, nil
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return 0, fault.New(fault.UnsupportedType, "charset %q is not supported; use UTF-8", charset)
	}
	switch mediaType {
	case event.ApplicationCloudEventsJSON:
		return structured, nil
	case event.ApplicationCloudEventsBatchJSON:
		return batched, nil
	}
	return 0, fault.New(fault.UnsupportedType, "content type %q is not supported; use application/cloudevents+json, "+
		"application/cloudevents-batch+json, or the headers of binary mode", contentType)
}

func readBody(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, fault.New(fault.TooLarge, "the body has %d bytes, at most %d are allowed", r.ContentLength, limit)
	}
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, fault.New(fault.TooLarge, "the body has more than the %d bytes that are allowed", tooLarge.Limit)
	}
	if err != nil {
		return nil, fault.Wrap(fault.DecodeError, err, "read body")
	}
	if int64(len(body)) > limit {
		return nil, fault.New(fault.TooLarge, "the body has more than the %d bytes that are allowed", limit)
	}
	return body, nil
}

// readBinary reads an event whose attributes are headers. The library takes the first of several values of a header, does not decode values,
// and cannot bear a header without a name after the prefix, so the headers are checked and decoded before it gets them.
func readBinary(ctx context.Context, header http.Header, body []byte) (event.Event, error) {
	decoded := http.Header{}
	if contentType := header.Get("Content-Type"); contentType != "" {
		decoded.Set("Content-Type", contentType)
	}
	for name, values := range header {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if !strings.HasPrefix(name, headerPrefix) {
			continue
		}
		if err := decodeAttribute(decoded, strings.ToLower(name[len(headerPrefix):]), values); err != nil {
			return event.Event{}, err
		}
	}
	if version := decoded.Get(headerPrefix + "Specversion"); version != event.CloudEventsVersionV1 {
		return event.Event{}, wrongVersion(version)
	}
	if err := checkRequired(func(name string) string { return decoded.Get(headerPrefix + name) }); err != nil {
		return event.Event{}, err
	}
	message := cehttp.NewMessage(decoded, io.NopCloser(bytes.NewReader(body)))
	e, err := binding.ToEvent(ctx, message)
	if err != nil {
		return event.Event{}, fault.New(fault.DecodeError, "event %s: %s", decoded.Get("Ce-Id"), changes.Describe(err))
	}
	return *e, validate(e)
}

// own are the attributes of CloudEvents itself that are headers with the prefix; the type of the data has a header of its own.
var own = []string{"specversion", "id", "source", "type", "subject", "time", "dataschema"}

func decodeAttribute(decoded http.Header, name string, values []string) error {
	switch {
	case !slices.Contains(own, name) && !changes.ValidName(name):
		return fault.New(fault.DecodeError, "header ce-%s: the name of an attribute is made of a-z and 0-9, and its data are the body", name)
	case len(values) != 1 || decoded.Values(headerPrefix+name) != nil:
		return fault.New(fault.DecodeError, "header ce-%s: given %d times, an attribute has one value", name, max(len(values), 2))
	}
	value, ok := decodeValue(values[0])
	if !ok {
		return fault.New(fault.DecodeError, "header ce-%s: the value is not UTF-8", name)
	}
	decoded.Set(headerPrefix+name, value)
	return nil
}

// checkRequired names the first required attribute that is missing.
func checkRequired(get func(name string) string) error {
	for _, name := range []string{"id", "source", "type"} {
		if strings.TrimSpace(get(name)) == "" {
			return fault.New(fault.DecodeError, "not a CloudEvent: attribute %s is missing or empty", name)
		}
	}
	return nil
}

func wrongVersion(version string) error {
	if version == "" {
		return fault.New(fault.DecodeError, "not a CloudEvent: attribute specversion is missing; it is 1.0")
	}
	return fault.New(fault.DecodeError, "attribute specversion: version %q of CloudEvents is not supported; use 1.0", version)
}

func validate(e *event.Event) error {
	if err := e.Validate(); err != nil {
		return fault.New(fault.DecodeError, "event %s: %s", e.ID(), changes.Describe(err))
	}
	return nil
}
