package container

import (
	"context"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/call"
)

// optionContentType names the type of a payload, in options and in the headers of an answer.
const optionContentType = "content-type"

// optionsOf gives the options of the request: those of the call, and the type of the payload.
func optionsOf(c *call.Call) map[string]string {
	if c.ContentType == "" || c.Options[optionContentType] != "" {
		return c.Options
	}
	options := make(map[string]string, len(c.Options)+1)
	maps.Copy(options, c.Options)
	options[optionContentType] = c.ContentType
	return options
}

// outgoing adds the metadata: the trace, and what a container hands on with calls that it makes itself.
func outgoing(ctx context.Context, c *call.Call) context.Context {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	if chain := c.Chain.String(); chain != "" {
		carrier["oaas-chain"] = chain
	}
	if c.Depth > 0 {
		carrier["oaas-depth"] = strconv.FormatUint(uint64(c.Depth), 10)
	}
	if c.IdempotencyKey != "" {
		carrier["idempotency-key"] = c.IdempotencyKey
	}
	if len(carrier) == 0 {
		return ctx
	}
	return metadata.NewOutgoingContext(ctx, metadata.New(carrier))
}

// answer gives what the container answered.
func answer(address string, c *call.Call, r *oprc.InvocationResponse) (call.Answer, error) {
	contentType := header(r.GetHeaders(), optionContentType)
	said := func(code fault.Code, status int) error {
		e := fault.New(code, "function container %s, method %s: answered %s", address, c.Method, r.GetStatus())
		if text := firstLine(r.GetPayload()); text != "" {
			e.Message += ": " + text
		}
		e.Status, e.Body, e.ContentType = status, r.GetPayload(), contentType
		return e
	}
	switch r.GetStatus() {
	case oprc.ResponseStatus_OKAY:
		return call.Answer{Payload: r.GetPayload(), ContentType: contentType}, nil
	case oprc.ResponseStatus_INVALID_REQUEST:
		return call.Answer{}, said(fault.InvalidArgument, http.StatusBadRequest)
	case oprc.ResponseStatus_APP_ERROR:
		return call.Answer{}, said(fault.FunctionError, http.StatusInternalServerError)
	case oprc.ResponseStatus_SYSTEM_ERROR:
		return call.Answer{}, said(fault.FunctionError, http.StatusBadGateway)
	}
	return call.Answer{}, fault.New(fault.BadReply, "function container %s, method %s: answered with status %d; allowed are 0 to 3",
		address, c.Method, r.GetStatus())
}

// header gives a header whatever the case of its name; containers write it as they like.
func header(headers map[string]string, name string) string {
	if value, found := headers[name]; found {
		return value
	}
	for key, value := range headers {
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}

// firstLine gives the beginning of a payload's text, for messages.
func firstLine(payload []byte) string {
	const most = 200
	line, _, _ := strings.Cut(strings.TrimSpace(string(payload[:min(len(payload), most)])), "\n")
	return strings.ToValidUTF8(line, "")
}

// failure gives the fault of a call that was answered with a gRPC error, or not at all.
func failure(ctx context.Context, address string, c *call.Call, err error) error {
	st := status.Convert(err)
	switch {
	case fault.CodeOf(ctx.Err()) == fault.Cancelled:
		return fault.Wrap(fault.Cancelled, context.Cause(ctx), "function container %s, method %s: the call was given up", address, c.Method)
	case ctx.Err() != nil, st.Code() == codes.DeadlineExceeded: // gRPC may notice before the context does
		return fault.New(fault.DeadlineExceeded, "function container %s, method %s: no answer in time", address, c.Method)
	case st.Code() == codes.Unavailable:
		return fault.New(fault.FunctionUnavailable, "function container %s, method %s: no answer: %s", address, c.Method, st.Message())
	case brokenReply(st):
		return fault.New(fault.BadReply, "function container %s, method %s: %s", address, c.Method, st.Message())
	}
	e := fault.Wrap(fault.FunctionError, err, "function container %s, method %s", address, c.Method)
	e.Status, e.Body, e.ContentType = httpStatus(st.Code()), []byte(st.Message()), "text/plain; charset=utf-8"
	return e
}

// brokenReply reports whether the status is that of the library for an answer that it cannot use, and not one of the container.
func brokenReply(st *status.Status) bool {
	text := st.Message()
	return st.Code() == codes.ResourceExhausted && strings.Contains(text, "received message larger than max") ||
		st.Code() == codes.ResourceExhausted && strings.Contains(text, "message after decompression larger than max") ||
		st.Code() == codes.Internal && strings.Contains(text, "failed to unmarshal the received message")
}

// httpStatus gives the HTTP status nearest to a gRPC one.
func httpStatus(code codes.Code) int {
	switch code {
	case codes.InvalidArgument, codes.OutOfRange, codes.FailedPrecondition:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.NotFound:
		return http.StatusNotFound
	case codes.AlreadyExists, codes.Aborted:
		return http.StatusConflict
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unimplemented:
		return http.StatusNotImplemented
	}
	return http.StatusBadGateway
}
