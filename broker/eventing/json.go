package eventing

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/hpcclab/oaas-go/api/fault"
	changes "github.com/hpcclab/oaas-go/broker/event"
)

// This file reads the JSON form. The library's own reader panics on some malformed input (a data_base64 that is a short number), takes an
// attribute given twice, and does not bound a batch; so the members are read here, and the library's setters make the event.

// readBatch reads an array of events. The limit counts before anything is converted.
func readBatch(body []byte, limit int) ([]event.Event, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if open, err := decoder.Token(); err != nil || open != json.Delim('[') {
		return nil, malformed(err, "a batch is a JSON array of events")
	}
	var texts []json.RawMessage
	for decoder.More() {
		if len(texts) == limit {
			return nil, fault.New(fault.TooLarge, "the batch has more than the %d events that are allowed", limit)
		}
		var text json.RawMessage
		if err := decoder.Decode(&text); err != nil {
			return nil, malformed(err, "event %d of the batch", len(texts))
		}
		texts = append(texts, text)
	}
	if err := endOf(decoder); err != nil {
		return nil, err
	}
	events := make([]event.Event, 0, len(texts))
	for i, text := range texts {
		e, err := readJSON(text)
		if err != nil {
			return nil, fault.Wrap(fault.CodeOf(err), err, "event %d of the batch", i)
		}
		events = append(events, e)
	}
	return events, nil
}

// readJSON reads one event.
func readJSON(text []byte) (event.Event, error) {
	members, err := membersOf(text)
	if err != nil {
		return event.Event{}, err
	}
	attributes, err := attributesOf(members)
	if err != nil {
		return event.Event{}, err
	}
	stringOf := func(name string) string {
		value, _ := attributes[name].(string)
		return value
	}
	if version := stringOf("specversion"); version != event.CloudEventsVersionV1 {
		return event.Event{}, wrongVersion(version)
	}
	if err := checkRequired(stringOf); err != nil {
		return event.Event{}, err
	}
	e := event.New()
	for name, value := range attributes {
		if err := setAttribute(&e, name, value); err != nil {
			return event.Event{}, fault.New(fault.DecodeError, "event %s: attribute %s: %v", stringOf("id"), name, err)
		}
	}
	if err := setData(&e, members); err != nil {
		return event.Event{}, err
	}
	return e, validate(&e)
}

// membersOf splits an object into its members; a member that is given twice, and anything after the object, is an error.
func membersOf(text []byte) (map[string]json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, malformed(err, "an event is a JSON object")
	}
	members := map[string]json.RawMessage{}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, malformed(err, "read name of attribute")
		}
		name, _ := key.(string)
		if _, twice := members[name]; twice {
			return nil, fault.New(fault.DecodeError, "attribute %s is given twice", name)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, malformed(err, "attribute %s", name)
		}
		members[name] = value
	}
	return members, endOf(decoder)
}

// endOf reads the closing bracket and checks that nothing follows.
func endOf(decoder *json.Decoder) error {
	if _, err := decoder.Token(); err != nil {
		return malformed(err, "read end")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.DecodeError, "malformed JSON: text follows the event")
	}
	return nil
}

func malformed(err error, format string, args ...any) error {
	switch {
	case err == nil:
		return fault.New(fault.DecodeError, format, args...)
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return fault.Wrap(fault.DecodeError, fault.Wrap(fault.DecodeError, err, format, args...), "malformed JSON")
}

// attributesOf gives the members that are attributes: strings, booleans and integers of 32 bits. Null means that there is none.
func attributesOf(members map[string]json.RawMessage) (map[string]any, error) {
	attributes := make(map[string]any, len(members))
	for name, text := range members {
		if name == "data" || name == "data_base64" || string(text) == "null" {
			continue
		}
		var value any
		var number int32
		err := json.Unmarshal(text, &value)
		switch value.(type) {
		case float64:
			err = json.Unmarshal(text, &number)
			value = number
		case string, bool:
		default:
			err = errors.New("an object or an array")
		}
		if err != nil {
			return nil, fault.New(fault.DecodeError, "attribute %s: a value is a string, a boolean or an integer of 32 bits", name)
		}
		attributes[name] = value
	}
	return attributes, nil
}

// setAttribute sets one attribute; those of CloudEvents itself are strings.
func setAttribute(e *event.Event, name string, value any) error {
	if changes.ValidName(name) {
		return e.Context.SetExtension(name, value)
	}
	text, ok := value.(string)
	if !ok {
		return errors.New("the value is not a string")
	}
	switch name {
	case "specversion":
		return nil
	case "id":
		return e.Context.SetID(text)
	case "type":
		return e.Context.SetType(text)
	case "source":
		return e.Context.SetSource(text)
	case "subject":
		return e.Context.SetSubject(text)
	case "dataschema":
		return e.Context.SetDataSchema(text)
	case "datacontenttype":
		return e.Context.SetDataContentType(text)
	case "time":
		return setTime(e, text)
	}
	return errors.New("a name is made of a-z and 0-9")
}

// setData takes data or data_base64. Data is a JSON value when the content type is JSON or not given, else it is a string.
func setData(e *event.Event, members map[string]json.RawMessage) error {
	data, encoded := present(members["data"]), present(members["data_base64"])
	switch {
	case data != nil && encoded != nil:
		return fault.New(fault.DecodeError, "event %s: data and data_base64 are given both", e.ID())
	case encoded != nil:
		var text string
		if err := json.Unmarshal(encoded, &text); err != nil {
			return fault.New(fault.DecodeError, "event %s: data_base64 is not a string", e.ID())
		}
		bytes, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return fault.Wrap(fault.DecodeError, err, "event %s: data_base64", e.ID())
		}
		e.DataEncoded, e.DataBase64 = bytes, true
	case data != nil:
		return setJSONData(e, data)
	}
	return nil
}

func setJSONData(e *event.Event, data json.RawMessage) error {
	if e.DataContentType() == "" {
		e.SetDataContentType(event.ApplicationJSON)
	}
	mediaType, _, err := mime.ParseMediaType(e.DataContentType())
	if err != nil {
		return fault.Wrap(fault.DecodeError, err, "event %s: attribute datacontenttype", e.ID())
	}
	if changes.IsJSON(mediaType) {
		e.DataEncoded = bytes.Clone(data)
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fault.New(fault.DecodeError, "event %s: data of content type %s is not a string; use data_base64 for bytes", e.ID(), mediaType)
	}
	e.DataEncoded = []byte(text)
	return nil
}

// present gives nil for a member that is missing or null.
func present(text json.RawMessage) json.RawMessage {
	if strings.TrimSpace(string(text)) == "null" {
		return nil
	}
	return text
}

func setTime(e *event.Event, text string) error {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return errors.New("not a time of RFC 3339, such as 2006-01-02T15:04:05Z")
	}
	return e.Context.SetTime(at)
}
