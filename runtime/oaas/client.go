package oaas

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/hpcclab/oaas-go/api/function"
)

// URLVariable names the environment variable with the address of the gateway.
const URLVariable = "OAAS_URL"

// maxAnswer bounds what is read of an answer of the gateway.
const maxAnswer = function.DefaultBody

// Ref names an object; without an object it names a class, whose stateless functions can be called.
type Ref struct {
	Class  string
	Object string
	// Partition is a number; empty means by hash of the object id, which is where objects are unless somebody chose otherwise.
	Partition string
}

// Object gives the name of an object.
func Object(class, object string) Ref { return Ref{Class: class, Object: object} }

// String gives class/partition/object.
func (r Ref) String() string { return r.Class + "/" + r.partition() + "/" + r.Object }

func (r Ref) partition() string {
	if r.Partition == "" {
		return "_"
	}
	return r.Partition
}

// path gives the address of the object below that of the gateway.
func (r Ref) path() string {
	path := "/api/class/" + url.PathEscape(r.Class) + "/" + url.PathEscape(r.partition())
	if r.Object != "" {
		path += "/objects/" + url.PathEscape(r.Object)
	}
	return path
}

// Call runs a method of another object, or of the own one, and waits for its result. It is part of the chain of this call, so a chain that
// comes back to its object re-enters instead of waiting for itself. When the platform repeats this call, the same calls repeat safely: each
// has an idempotency key made of the id of this call, the method, and how often it was called before.
//
// The input is as that of methods (nil for none), and out points to where the result goes (nil to ignore it). An answer that is no success
// is an [*Error]. What the other object committed stays committed even if this call fails later.
func (c Context) Call(ref Ref, method string, in, out any) error {
	payload, err := encodePayload(in)
	if err != nil {
		return fmt.Errorf("call %s of %s: encode the input: %w", method, ref, err)
	}
	request, err := c.request(http.MethodPost, ref.path()+"/invokes/"+url.PathEscape(method), payload.Data)
	if err != nil {
		return fmt.Errorf("call %s of %s: %w", method, ref, err)
	}
	setIf(request.Header, "Content-Type", payload.ContentType)
	setIf(request.Header, function.HeaderIdempotencyKey, c.run.nextKey(ref, method))
	answer, err := c.run.handler.do(request)
	if err != nil {
		return fmt.Errorf("call %s of %s: %w", method, ref, err)
	}
	if out == nil {
		return nil
	}
	if err := answer.decode(out); err != nil {
		return fmt.Errorf("call %s of %s: the result does not fit: %w", method, ref, err)
	}
	return nil
}

// nextKey gives the idempotency key of the next call of a method; none if this call has no id.
func (r *running) nextKey(ref Ref, method string) string {
	if r.meta.ID == "" {
		return ""
	}
	target := ref.String() + "/" + method
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.calls == nil {
		r.calls = map[string]int{}
	}
	r.calls[target]++
	// Counting per target keeps keys the same when a method makes calls of several targets at once, in any order.
	sum := sha256.Sum256([]byte(target))
	return r.meta.ID + "." + hex.EncodeToString(sum[:8]) + "." + strconv.Itoa(r.calls[target])
}

// Read fills the struct that state points to with the entries of an object, by the same tags as those of a class. It sees the last committed
// state. An object that does not exist is an [*Error] with status 404.
func (c Context) Read(ref Ref, state any) error {
	pointer := reflect.ValueOf(state)
	if pointer.Kind() != reflect.Pointer || pointer.IsNil() {
		return fmt.Errorf("read %s: state is a %T; it must point to a struct", ref, state)
	}
	p, err := planFor(pointer.Type().Elem())
	if err != nil {
		return fmt.Errorf("read %s: %w", ref, err)
	}
	request, err := c.request(http.MethodGet, ref.path(), nil)
	if err != nil {
		return fmt.Errorf("read %s: %w", ref, err)
	}
	request.Header.Set("Accept", jsonType)
	answer, err := c.run.handler.do(request)
	if err != nil {
		return fmt.Errorf("read %s: %w", ref, err)
	}
	var object struct {
		Entries map[string]struct {
			Data []byte `json:"data"`
		} `json:"entries"`
	}
	if err := json.Unmarshal(answer.Data, &object); err != nil {
		return fmt.Errorf("read %s: %w", ref, err)
	}
	entries := make([]function.Entry, 0, len(object.Entries))
	for key, value := range object.Entries {
		entries = append(entries, function.Entry{Key: key, Value: function.Value{Data: value.Data}})
	}
	if err := p.load(pointer.Elem(), entries); err != nil {
		return fmt.Errorf("read %s: %w", ref, err)
	}
	return nil
}

// request makes a request to the gateway on behalf of this call.
func (c Context) request(verb, path string, body []byte) (*http.Request, error) {
	if c.run.handler.gateway == "" {
		return nil, fmt.Errorf("the address of the gateway is not known: %s is not set", URLVariable)
	}
	request, err := http.NewRequestWithContext(c, verb, c.run.handler.gateway+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	h, meta := request.Header, &c.run.meta
	setIf(h, function.HeaderChain, meta.Chain)
	setIf(h, function.HeaderTraceparent, meta.Traceparent)
	setIf(h, function.HeaderTracestate, meta.Tracestate)
	if meta.Depth > 0 {
		h.Set(function.HeaderDepth, strconv.Itoa(meta.Depth))
	}
	if deadline, ok := c.Deadline(); ok {
		h.Set(function.HeaderTimeout, max(time.Until(deadline).Truncate(time.Millisecond), time.Millisecond).String())
	}
	return request, nil
}

func setIf(h http.Header, name, value string) {
	if value != "" {
		h.Set(name, value)
	}
}

// do sends a request and reads the whole answer.
func (h *Handler) do(request *http.Request) (Payload, error) {
	response, err := h.client.Do(request)
	if err != nil {
		if ended := context.Cause(request.Context()); ended != nil {
			return Payload{}, Errorf(http.StatusGatewayTimeout, "no answer in time: %v", ended)
		}
		return Payload{}, Errorf(http.StatusServiceUnavailable, "%v", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return Payload{}, Errorf(http.StatusBadGateway, "read the answer: %v", err)
	case len(body) > maxAnswer:
		return Payload{}, Errorf(http.StatusBadGateway, "the answer has more than %d bytes", maxAnswer)
	case response.StatusCode < 200 || response.StatusCode > 299:
		return Payload{}, readError(response.StatusCode, body)
	}
	return Payload{Data: body, ContentType: response.Header.Get("Content-Type")}, nil
}
