package container

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/call"
)

// Response is what a container sent back: all of it.
type Response struct {
	Status          int // of HTTP
	Header, Trailer http.Header
	Body            []byte
}

// Decode gives the answer in a response. Errors are faults whose message begins with who, and those that the container answered with have its
// payload as their body; they wrap the gRPC status if it was one.
func Decode(who string, r *Response) (call.Answer, error) {
	if r.Status != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		return call.Answer{}, fault.New(fault.BadReply, "%s: not a gRPC answer: status %d, type %q; a function with contract grpc serves oprc.OprcFunction",
			who, r.Status, r.Header.Get("Content-Type"))
	}
	st, ok := statusOf(r)
	if !ok {
		return call.Answer{}, fault.New(fault.BadReply, "%s: the answer has no usable grpc-status", who)
	}
	if st.Code() != codes.OK {
		return call.Answer{}, failure(who, st)
	}
	message, why := unframe(r)
	response := &oprc.InvocationResponse{}
	if why == "" {
		if err := proto.Unmarshal(message, response); err != nil {
			why = err.Error()
		}
	}
	if why != "" {
		return call.Answer{}, fault.New(fault.BadReply, "%s: bad answer: %s", who, why)
	}
	return answer(who, response)
}

// unframe gives the one message of a response, or says why there is none.
func unframe(r *Response) (message []byte, why string) {
	if len(r.Body) < Prefix {
		return nil, "it has no message"
	}
	if r.Body[0] != 0 {
		return nil, "its message is compressed, which was not offered"
	}
	if n := binary.BigEndian.Uint32(r.Body[1:]); uint64(n) != uint64(len(r.Body)-Prefix) {
		return nil, "it is not one message of " + strconv.FormatUint(uint64(n), 10) + " bytes"
	}
	return r.Body[Prefix:], ""
}

// answer gives what the container answered.
func answer(who string, r *oprc.InvocationResponse) (call.Answer, error) {
	contentType := headerValue(r.GetHeaders(), optionContentType)
	httpStatus := 0
	switch r.GetStatus() {
	case oprc.ResponseStatus_OKAY:
		return call.Answer{Payload: r.GetPayload(), ContentType: contentType}, nil
	case oprc.ResponseStatus_INVALID_REQUEST:
		httpStatus = http.StatusBadRequest
	case oprc.ResponseStatus_APP_ERROR:
		httpStatus = http.StatusInternalServerError
	case oprc.ResponseStatus_SYSTEM_ERROR:
		httpStatus = http.StatusBadGateway
	default:
		return call.Answer{}, fault.New(fault.BadReply, "%s: answered with status %d; allowed are 0 to 3", who, r.GetStatus())
	}
	e := fault.New(fault.FunctionError, "%s: answered %s", who, r.GetStatus())
	if text := firstLine(r.GetPayload()); text != "" {
		e.Message += ": " + text
	}
	e.Status, e.Body, e.ContentType = httpStatus, r.GetPayload(), contentType
	return call.Answer{}, e
}

// headerValue gives a header whatever the case of its name; containers write it as they like.
func headerValue(headers map[string]string, name string) string {
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

// statusOf gives the gRPC status, which stands in the trailers, or in the headers of an answer that has nothing else.
func statusOf(r *Response) (*status.Status, bool) {
	h := r.Trailer
	if h.Get("Grpc-Status") == "" {
		h = r.Header
	}
	code, err := strconv.ParseUint(h.Get("Grpc-Status"), 10, 31)
	if err != nil {
		return nil, false
	}
	// It is percent-encoded; a + stands for itself. What is not is shown as it came.
	text, err := url.PathUnescape(h.Get("Grpc-Message"))
	if err != nil {
		text = h.Get("Grpc-Message")
	}
	p := &spb.Status{}
	if raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(h.Get("Grpc-Status-Details-Bin"), "=")); err != nil || proto.Unmarshal(raw, p) != nil {
		p = &spb.Status{}
	}
	p.Code, p.Message = int32(code), strings.ToValidUTF8(text, "\uFFFD")
	return status.FromProto(p), true
}

// failure gives the fault of a call that was answered with a gRPC error.
func failure(who string, st *status.Status) error {
	switch st.Code() {
	case codes.DeadlineExceeded:
		return fault.New(fault.DeadlineExceeded, "%s: no answer in time: %s", who, st.Message())
	case codes.Unavailable:
		return fault.New(fault.FunctionUnavailable, "%s: no answer: %s", who, st.Message())
	}
	e := fault.Wrap(fault.FunctionError, st.Err(), "%s", who)
	e.Status, e.Body, e.ContentType = httpStatus(st.Code()), []byte(st.Message()), "text/plain; charset=utf-8"
	return e
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
