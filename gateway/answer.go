package gateway

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
)

// Values of Content-Type, shared by all answers; their capacity is their length, so that nobody can append to them.
var (
	contentJSON     = []string{typeJSON}
	contentProtobuf = []string{typeProtobuf}
	contentOctets   = []string{typeOctets}
	contentText     = []string{typeText}
	contentProblem  = []string{typeProblem}
)

// buffers are reused for answers that are encoded here.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxPooled is the longest buffer that is kept for reuse.
const maxPooled = 64 << 10

// encode answers 200 with what write appends to a reused buffer.
func (x *exchange) encode(contentType []string, write func([]byte) []byte) {
	buf := buffers.Get().(*[]byte)
	body := write((*buf)[:0])
	x.send(http.StatusOK, contentType, body)
	if cap(body) <= maxPooled {
		*buf = body
	}
	buffers.Put(buf)
}

// send writes the answer. The body is not kept.
func (x *exchange) send(status int, contentType []string, body []byte) {
	h := x.w.Header()
	if contentType != nil {
		h["Content-Type"] = contentType
	}
	const counted = 2 << 10 // the server counts shorter ones itself
	if len(body) > counted {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	x.w.WriteHeader(status)
	if len(body) > 0 {
		_, _ = x.w.Write(body) // fails only when the client has gone, and then nobody is left to tell
	}
}

// sendJSON answers with a document that is not on a hot path.
func (x *exchange) sendJSON(status int, document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	x.send(status, contentJSON, text)
	return nil
}

// setVersion sets ETag, and the same version as header Oaas-Object-Version.
func (x *exchange) setVersion(version uint64) {
	var digits [22]byte
	tag := append(digits[:0], '"')
	tag = strconv.AppendUint(tag, version, 10)
	text := string(append(tag, '"'))
	values := [2]string{text, text[1 : len(text)-1]}
	h := x.w.Header()
	h["Etag"] = values[0:1:1]
	h["Oaas-Object-Version"] = values[1:2:2]
}

// fail answers with a fault.
func (x *exchange) fail(err error) {
	fe := fault.From(err)
	status := fe.HTTPStatus()
	if x.conditional {
		switch fe.Code { // RFC 9110: a precondition of the headers that does not hold
		case fault.VersionMismatch, fault.AlreadyExists, fault.NoObject:
			status = http.StatusPreconditionFailed
		}
	}
	switch fe.Code {
	case fault.InvalidObjectID:
		x.g.metrics.idRejected.Inc()
	case fault.FunctionError:
		if x.g.cfg.FunctionErrorsOK {
			x.failOK(fe)
			return
		}
	case fault.Internal:
		x.g.log.Error("request failed", "method", x.r.Method, "path", x.r.URL.Path, "error", err)
	}
	x.writeFault(fe, status)
}

// failOK answers 200 with what a function said of its failure, for clients that rely on it.
func (x *exchange) failOK(fe *fault.Error) {
	x.w.Header()["Oaas-Error"] = []string{string(fe.Code)}
	contentType := contentOctets
	if fe.ContentType != "" {
		contentType = []string{fe.ContentType}
	}
	body := fe.Body
	if len(body) == 0 {
		body = []byte(fe.Message)
	}
	x.send(http.StatusOK, contentType, body)
}

// writeFault answers with a fault: in the form of OaaS-RS, as RFC 9457 problem if the client asks for that, or with what a function said.
func (x *exchange) writeFault(fe *fault.Error, status int) {
	if status < http.StatusBadRequest { // a code of a newer release, from a stored failure
		status = http.StatusInternalServerError
	}
	h := x.w.Header()
	h["Oaas-Error"] = []string{string(fe.Code)}
	if retry := retryAfter(fe); retry != "" {
		h["Retry-After"] = []string{retry}
	}
	switch {
	case fe.Code == fault.FunctionError && len(fe.Body) > 0:
		contentType := contentOctets
		if fe.ContentType != "" {
			contentType = []string{fe.ContentType}
		}
		x.send(status, contentType, fe.Body)
	case x.accepts(typeProblem):
		x.send(status, contentProblem, appendProblem(nil, fe, status))
	default:
		x.send(status, contentJSON, appendFault(nil, fe))
	}
}

func retryAfter(fe *fault.Error) string {
	switch {
	case fe.RetryAfter > 0:
		return strconv.FormatInt(int64((fe.RetryAfter+time.Second-1)/time.Second), 10)
	case fe.Code == fault.Busy, fe.Code == fault.Unavailable:
		return "1"
	}
	return ""
}

func appendFault(dst []byte, fe *fault.Error) []byte {
	dst = append(dst, `{"error":{"code":`...)
	dst = oprc.AppendString(dst, string(fe.Code))
	dst = append(dst, `,"message":`...)
	dst = oprc.AppendString(dst, fe.Message)
	return append(dst, "}}"...)
}

// appendProblem appends the form of RFC 9457; its type is about:blank, so its title is that of the status.
func appendProblem(dst []byte, fe *fault.Error, status int) []byte {
	dst = append(dst, `{"type":"about:blank","title":`...)
	dst = oprc.AppendString(dst, http.StatusText(status))
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, `,"detail":`...)
	dst = oprc.AppendString(dst, fe.Message)
	dst = append(dst, `,"code":`...)
	dst = oprc.AppendString(dst, string(fe.Code))
	return append(dst, '}')
}

func encodeCursor(dst, cursor []byte) []byte { return base64.RawURLEncoding.AppendEncode(dst, cursor) }

// decodeCursor reads the cursor of a listing; a failure names the first character that does not belong there.
func decodeCursor(text string) ([]byte, error) {
	cursor, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		return cursor, nil
	}
	for i := range len(text) {
		c := text[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return nil, fault.New(fault.InvalidArgument, "invalid cursor encoding: Invalid symbol %d, offset %d.", c, i)
		}
	}
	return nil, fault.New(fault.InvalidArgument, "invalid cursor encoding: Invalid input length or padding.")
}
