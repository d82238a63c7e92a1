package gateway

import (
	"net/http"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/broker/eventing"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
)

// invokeMethod calls a method of the path's object.
func invokeMethod(x *exchange) error {
	t, err := x.target()
	if err != nil {
		return err
	}
	return x.invoke(t)
}

// invokeFunction calls a stateless function of a class. Such a function belongs to no partition, so that part of the path means nothing, as in
// OaaS-RS.
func invokeFunction(x *exchange) error {
	return x.invoke(odgm.Target{Class: x.param("cls")})
}

func (x *exchange) invoke(t odgm.Target) error {
	c, err := x.call(t)
	if err != nil {
		return err
	}
	if x.prefersAsync() {
		return x.submit(c, t)
	}
	answer, err := x.g.grid.Invoke(&x.ctx, c, t)
	if err != nil {
		return err
	}
	x.sendAnswer(&answer)
	return nil
}

// call makes a call of the request.
func (x *exchange) call(t odgm.Target) (call.Call, error) {
	opt, err := x.writeOptions()
	if err != nil {
		return call.Call{}, err
	}
	c := call.Call{
		Method: x.param("func"), ContentType: x.header("Content-Type"), Request: x.r,
		Chain: opt.Chain, Depth: opt.Depth, Caller: "external",
	}
	if n := len(c.Chain); n > 0 {
		c.Caller = c.Chain[n-1].Ref.String() + "/" + c.Chain[n-1].Method
	}
	if err := x.setPayload(&c, t); err != nil {
		return call.Call{}, err
	}
	if key := x.header(function.HeaderIdempotencyKey); key != "" {
		c.IdempotencyKey = key
	}
	if len(c.IdempotencyKey) > maxIdempotencyKey {
		return call.Call{}, fault.New(fault.InvalidArgument, "the idempotency key has %d bytes; allowed are %d", len(c.IdempotencyKey), maxIdempotencyKey)
	}
	c.Options = x.options(&c)
	return c, nil
}

// maxIdempotencyKey bounds the key, whether it comes as a header or is made of an event's source and id.
const maxIdempotencyKey = 1024

// options gives the invocation options that OaaS-RS makes of the headers.
func (x *exchange) options(c *call.Call) map[string]string {
	accept := x.header("Accept")
	if accept == "" && c.ContentType == "" {
		return nil
	}
	options := make(map[string]string, 2)
	if accept != "" {
		options["accept"] = accept
	}
	if c.ContentType != "" {
		options["content-type"] = c.ContentType
	}
	return options
}

// setPayload makes the payload of the body. If the request is a CloudEvent its source and id become the idempotency key, and a method gets the
// event's data; a stateless function gets the request as it came.
func (x *exchange) setPayload(c *call.Call, t odgm.Target) error {
	structured := strings.HasPrefix(x.mediaType(), cloudevents.ApplicationCloudEventsJSON[:len("application/cloudevents")])
	if !structured && x.header(function.HeaderSpecVersion) == "" {
		body, err := x.body()
		c.Payload = body
		return err
	}
	if t.ID == "" || x.isStateless(t.Class, c.Method) {
		body, err := x.body()
		c.Payload = body
		return err
	}
	event, err := x.oneEvent()
	if err != nil {
		return err
	}
	c.Payload, c.ContentType = event.Data(), event.DataContentType()
	c.IdempotencyKey = eventing.IdempotencyKey(event.Source(), event.ID())
	return nil
}

func (x *exchange) isStateless(class, method string) bool {
	spec, err := x.g.grid.Class(class)
	return err == nil && spec.Methods[method].Stateless // an unknown class is told of by the call
}

// oneEvent reads the body as one CloudEvent.
func (x *exchange) oneEvent() (cloudevents.Event, error) {
	events, err := x.events()
	switch {
	case err != nil:
		return cloudevents.Event{}, err
	case len(events) != 1:
		return cloudevents.Event{}, fault.New(fault.InvalidArgument, "a call takes one event, not a batch of %d; post batches to /events", len(events))
	}
	return events[0], nil
}

// prefersAsync reports whether the client asks to be answered before the call has run (RFC 7240).
func (x *exchange) prefersAsync() bool {
	for _, value := range x.r.Header["Prefer"] {
		for preference := range strings.SplitSeq(value, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			if strings.EqualFold(strings.TrimSpace(preference), "respond-async") {
				return true
			}
		}
	}
	return false
}

// sendAnswer hands on what a method or function answered.
func (x *exchange) sendAnswer(answer *call.Answer) {
	h := x.w.Header()
	status := http.StatusOK
	if answer.Status != 0 {
		status = answer.Status
		if status >= http.StatusBadRequest && x.g.cfg.FunctionErrorsOK {
			status, h["Oaas-Error"] = http.StatusOK, []string{string(fault.FunctionError)}
		}
		for name, values := range answer.Header {
			if !ownHeaders[name] {
				h[name] = values
			}
		}
	} else {
		x.setVersion(answer.Version)
		delete(h, "Etag") // that of the object, and not of this result
	}
	if answer.Replayed {
		h["Oaas-Replayed"] = []string{"true"}
	}
	contentType := h["Content-Type"]
	switch {
	case answer.ContentType != "":
		contentType = []string{answer.ContentType}
	case contentType == nil && x.accepts(typeJSON):
		contentType = contentJSON
	case contentType == nil:
		contentType = contentOctets
	}
	x.send(status, contentType, answer.Payload)
}

// ownHeaders of an answer are the server's, and never those of a function: they are about one connection.
var ownHeaders = map[string]bool{
	"Connection": true, "Content-Length": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Connection": true, "Te": true,
	"Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Oaas-Error": true,
}
