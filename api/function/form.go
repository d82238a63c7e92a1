package function

import (
	"net/http"
	"strings"
)

// Content types of the exchange.
const (
	JSONCallType    = "application/vnd.oaas.call+json"
	JSONReplyType   = "application/vnd.oaas.reply+json"
	BinaryCallType  = "application/vnd.oaas.call"
	BinaryReplyType = "application/vnd.oaas.reply"
)

// Form is one of the two encodings of calls and replies.
type Form int

// The forms: one for people, one for SDKs (protobuf, see exchange.proto).
const (
	JSON Form = iota
	Binary
)

// CallType gives the content type of calls in this form.
func (f Form) CallType() string {
	if f == Binary {
		return BinaryCallType
	}
	return JSONCallType
}

// ReplyType gives the content type of replies in this form.
func (f Form) ReplyType() string {
	if f == Binary {
		return BinaryReplyType
	}
	return JSONReplyType
}

// String names the form for logs and tests.
func (f Form) String() string {
	if f == Binary {
		return "binary"
	}
	return "json"
}

// CallForm gives the form of a request with this Content-Type header; ok is false when the request is not a call.
func CallForm(contentType string) (form Form, ok bool) {
	return formOf(contentType, JSONCallType, BinaryCallType)
}

// ReplyForm gives the form of an answer with this Content-Type header; ok is false when its body is a plain result.
func ReplyForm(contentType string) (form Form, ok bool) {
	return formOf(contentType, JSONReplyType, BinaryReplyType)
}

func formOf(contentType, jsonType, binaryType string) (Form, bool) {
	mediaType := mediaType(contentType)
	switch {
	case strings.EqualFold(mediaType, jsonType):
		return JSON, true
	case strings.EqualFold(mediaType, binaryType):
		return Binary, true
	}
	return JSON, false
}

// mediaType cuts the parameters off a Content-Type header.
func mediaType(contentType string) string {
	if i := strings.IndexByte(contentType, ';'); i >= 0 {
		contentType = contentType[:i]
	}
	return strings.TrimSpace(contentType)
}

// AcceptsBinary tells whether the headers of a function's answer say that it understands calls in the binary form.
func AcceptsBinary(h http.Header) bool {
	for _, line := range h.Values(HeaderAcceptPost) {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(mediaType(part), BinaryCallType) {
				return true
			}
		}
	}
	return false
}

// EncodeCall gives the body of a call.
func EncodeCall(f Form, c *Call) []byte {
	if f == Binary {
		return appendBinaryCall(make([]byte, 0, sizeOfCall(c)), c)
	}
	return appendJSONCall(make([]byte, 0, jsonCallHint(c)), c)
}

// DecodeCall reads the body of a call. Fields that this release does not know are skipped: the platform may be newer than the function.
// The call keeps parts of body, which must not be changed afterwards.
func DecodeCall(f Form, body []byte, limits Limits) (*Call, error) {
	if err := limits.checkBody(body); err != nil {
		return nil, err
	}
	if f == Binary {
		return decodeBinaryCall(body)
	}
	return decodeJSONCall(body)
}

// EncodeReply gives the body of a reply. It does not judge the reply: see [Reply.Check].
func EncodeReply(f Form, r *Reply) []byte {
	if f == Binary {
		return appendBinaryReply(make([]byte, 0, sizeOfReply(r)), r)
	}
	return appendJSONReply(make([]byte, 0, jsonReplyHint(r)), r)
}

// DecodeReply reads and checks the body of a reply. Unlike in calls, an unknown field is an error: a change that the platform does not
// understand must not get lost. The reply keeps parts of body, which must not be changed afterwards.
func DecodeReply(f Form, body []byte, limits Limits) (*Reply, error) {
	if err := limits.checkBody(body); err != nil {
		return nil, err
	}
	decode := decodeJSONReply
	if f == Binary {
		decode = decodeBinaryReply
	}
	r, err := decode(body)
	if err != nil {
		return nil, err
	}
	if err := r.Check(limits); err != nil {
		return nil, err
	}
	return r, nil
}

// DecodeResponse reads what a function answered with a 2xx status: a reply by its content type, else a plain result that changes nothing.
func DecodeResponse(contentType string, body []byte, limits Limits) (*Reply, error) {
	if form, ok := ReplyForm(contentType); ok {
		return DecodeReply(form, body, limits)
	}
	if err := limits.checkBody(body); err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return &Reply{}, nil
	}
	r := &Reply{Payload: body, ContentType: contentType}
	if err := r.Check(limits); err != nil {
		return nil, err
	}
	return r, nil
}
