package oaas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
)

const (
	jsonType  = "application/json"
	bytesType = "application/octet-stream"
)

// typed runs fn with its input decoded and its output encoded.
func typed[In, Out any](payload Payload, fn func(In) (Out, error)) (Payload, error) {
	var in In
	if err := payload.decode(&in); err != nil {
		return Payload{}, Errorf(http.StatusBadRequest, "the payload does not fit: %v", err)
	}
	out, err := fn(in)
	if err != nil {
		return Payload{}, err
	}
	payload, err = encodePayload(out)
	if err != nil {
		return Payload{}, fmt.Errorf("encode the result: %w", err)
	}
	return payload, nil
}

// decode fills what into points to.
func (p Payload) decode(into any) error {
	switch into := into.(type) {
	case *None:
		return nil
	case *Payload:
		*into = p
		return nil
	case *[]byte:
		*into = p.Data
		return nil
	}
	if len(p.Data) == 0 {
		return nil
	}
	return json.Unmarshal(p.Data, into)
}

// encodePayload gives the payload of an input or output; nothing for nil.
func encodePayload(v any) (Payload, error) {
	switch v := v.(type) {
	case nil, None:
		return Payload{}, nil
	case Payload:
		return v, nil
	case []byte:
		return Payload{Data: v, ContentType: bytesType}, nil
	}
	data, err := encodeJSON(v)
	return Payload{Data: data, ContentType: jsonType}, err
}

// encoder writes JSON as people read it: <, > and & stay as they are.
type encoder struct {
	buffer bytes.Buffer
	json   *json.Encoder
}

// encoders are used again, because most values are small.
var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.json = json.NewEncoder(&e.buffer)
	e.json.SetEscapeHTML(false)
	return e
}}

// maxKept bounds the memory that an encoder keeps for its next use.
const maxKept = 64 << 10

func encodeJSON(v any) ([]byte, error) {
	e := encoders.Get().(*encoder)
	e.buffer.Reset()
	if err := e.json.Encode(v); err != nil {
		return nil, err // the encoder goes with it: it may have stopped anywhere
	}
	text := bytes.Clone(bytes.TrimSuffix(e.buffer.Bytes(), []byte("\n")))
	if e.buffer.Cap() <= maxKept {
		encoders.Put(e)
	}
	return text, nil
}
