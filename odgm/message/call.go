package message

import (
	"errors"
	"net/http"
	"strconv"

	"google.golang.org/grpc/status"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
)

// Names of what comes beside a message: gRPC has metadata for it, Zenoh an attachment.
const (
	HeaderChain          = "oaas-chain"
	HeaderDepth          = "oaas-depth"
	HeaderIdempotencyKey = "idempotency-key"
)

// Header gives the value of a name beside a message, or "".
type Header func(name string) string

// MaxIdempotencyKey bounds the key, as in the gateway.
const MaxIdempotencyKey = 1024

// OptionContentType is the option that says what the payload is.
const OptionContentType = "content-type"

// WriteOptions says on whose behalf a request writes.
func WriteOptions(h Header) (opt odgm.WriteOptions, err error) {
	if opt.Chain, err = call.Parse(h(HeaderChain)); err != nil {
		return opt, &FieldError{Field: HeaderChain, Fault: fault.From(err)}
	}
	if text := h(HeaderDepth); text != "" {
		depth, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return opt, Invalid(fault.InvalidArgument, HeaderDepth, "metadata %s: %q is not a number of triggers", HeaderDepth, Shortened(text))
		}
		opt.Depth = uint32(depth)
	}
	return opt, nil
}

// Call makes a call of a request and what came beside it.
func Call(h Header, method string, payload []byte, options map[string]string) (call.Call, error) {
	opt, err := WriteOptions(h)
	if err != nil {
		return call.Call{}, err
	}
	c := call.Call{
		Method: method, Payload: payload, Options: options, ContentType: options[OptionContentType],
		Chain: opt.Chain, Depth: opt.Depth, Caller: "external", IdempotencyKey: h(HeaderIdempotencyKey),
	}
	if n := len(c.Chain); n > 0 {
		c.Caller = c.Chain[n-1].Ref.String() + "/" + c.Chain[n-1].Method
	}
	if n := len(c.IdempotencyKey); n > MaxIdempotencyKey {
		return call.Call{}, Invalid(fault.InvalidArgument, HeaderIdempotencyKey, "the idempotency key has %d bytes; allowed are %d", n, MaxIdempotencyKey)
	}
	return c, nil
}

// Response gives the answer of a function. Its own failures are answers too: with a status, and what it said as payload. A failure of the platform is
// an error, and so is a gRPC error that the function answered with.
func Response(answer *call.Answer, err error) (*oprc.InvocationResponse, error) {
	if err == nil {
		response := &oprc.InvocationResponse{Payload: answer.Payload, Headers: headersOf(answer.ContentType)}
		if answer.Replayed {
			if response.Headers == nil {
				response.Headers = map[string]string{}
			}
			response.Headers["oaas-replayed"] = "true"
		}
		return response, nil
	}
	fe := fault.From(err)
	kind, own := failureOf(fe)
	if !own || IsStatus(err) {
		return nil, err
	}
	response := &oprc.InvocationResponse{Payload: fe.Body, Status: kind, Headers: headersOf(fe.ContentType)}
	if len(fe.Body) == 0 {
		response.Payload, response.Headers = []byte(fe.Message), headersOf("text/plain; charset=utf-8")
	}
	return response, nil
}

// IsStatus reports whether a function answered with a gRPC error.
func IsStatus(err error) bool {
	_, is := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err)
	return is
}

// failureOf gives the status of a function's own failure; own is false for those of the platform.
func failureOf(fe *fault.Error) (kind oprc.ResponseStatus, own bool) {
	if fe.Code != fault.FunctionError {
		return 0, false
	}
	switch fe.HTTPStatus() {
	case http.StatusBadRequest:
		return oprc.ResponseStatus_INVALID_REQUEST, true
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return oprc.ResponseStatus_SYSTEM_ERROR, true
	}
	return oprc.ResponseStatus_APP_ERROR, true
}

func headersOf(contentType string) map[string]string {
	if contentType == "" {
		return nil
	}
	return map[string]string{OptionContentType: contentType}
}
