package function

import (
	"net/http"
	"strconv"
	"time"
)

// Names of headers, in the spelling of http.Header.
const (
	HeaderID          = "Ce-Id"          // id of the call; the same at each attempt
	HeaderSource      = "Ce-Source"      // /oaas/<class>/<partition>/<object>
	HeaderSpecVersion = "Ce-Specversion" // 1.0
	HeaderType        = "Ce-Type"        // oaas.method.call
	HeaderSubject     = "Ce-Subject"     // name of the method
	HeaderTime        = "Ce-Time"        // when the call was sent
	HeaderTraceparent = "Traceparent"    // W3C trace context
	HeaderTracestate  = "Tracestate"
	HeaderChain       = "Oaas-Chain"    // opaque; a function passes it on with its own calls, so that they can re-enter
	HeaderDeadline    = "Oaas-Deadline" // after this time the answer is refused
	HeaderAttempt     = "Oaas-Attempt"  // 1 at the first attempt
	HeaderDepth       = "Oaas-Depth"    // triggers that led here; 0 for a call from outside
	HeaderClass       = "Oaas-Class"    // on requests to stateless functions: the class
	HeaderMethod      = "Oaas-Method"   // on requests to stateless functions: the name of the function in its class

	HeaderAcceptPost     = "Accept-Post"     // in answers: content types of calls that the function understands
	HeaderIdempotencyKey = "Idempotency-Key" // on calls to the gateway: a repeated call gives the stored result
	HeaderTimeout        = "Oaas-Timeout"    // on calls to the gateway: how long to wait, such as 1.5s
)

// CallEventType is the CloudEvents type of a call.
const CallEventType = "oaas.method.call"

// timeFormat is RFC 3339 with milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// Meta is what travels with a call in its headers.
type Meta struct {
	ID          string
	Traceparent string
	Tracestate  string
	Chain       string
	Deadline    time.Time // zero if there is none
	Attempt     int       // counted from 1
	Depth       int
}

// Source gives the CloudEvents source of calls on an object.
func Source(class string, partition uint32, object string) string {
	return "/oaas/" + class + "/" + strconv.FormatUint(uint64(partition), 10) + "/" + object
}

// SetHeaders writes the headers of a call: those of a CloudEvent in binary mode, and the platform's own.
func SetHeaders(h http.Header, form Form, c *Call, m *Meta) {
	w := headerWriter{header: h, values: make([]string, 0, mostHeaders)}
	w.set("Content-Type", form.CallType())
	w.set("Accept", JSONReplyType+", "+BinaryReplyType+", */*")
	w.set(HeaderSpecVersion, "1.0")
	w.set(HeaderType, CallEventType)
	w.set(HeaderID, m.ID)
	w.set(HeaderSource, Source(c.Class, c.Partition, c.Object))
	w.set(HeaderSubject, c.Method)
	w.setIf(HeaderTraceparent, m.Traceparent)
	w.setIf(HeaderTracestate, m.Tracestate)
	w.setIf(HeaderChain, m.Chain)
	if !m.Deadline.IsZero() {
		w.set(HeaderDeadline, FormatDeadline(m.Deadline))
	}
	w.set(HeaderAttempt, strconv.Itoa(max(m.Attempt, 1)))
	w.set(HeaderDepth, strconv.Itoa(m.Depth))
}

// mostHeaders is how many headers a call has at most.
const mostHeaders = 13

// headerWriter sets headers whose names have the spelling of http.Header already. The values share memory: every call has a dozen of them.
type headerWriter struct {
	header http.Header
	values []string
}

func (w *headerWriter) set(name, value string) {
	w.values = append(w.values, value)
	n := len(w.values)
	w.header[name] = w.values[n-1 : n : n] // with no room, so that an append by others does not reach the next value
}

func (w *headerWriter) setIf(name, value string) {
	if value != "" {
		w.set(name, value)
	}
}

// FormatDeadline gives the text of the deadline header.
func FormatDeadline(t time.Time) string { return t.UTC().Format(timeFormat) }

// ReadMeta reads the headers of a call. Absent headers leave zero values, except that the first attempt is 1.
func ReadMeta(h http.Header) (Meta, error) {
	m := Meta{
		ID:          h.Get(HeaderID),
		Traceparent: h.Get(HeaderTraceparent),
		Tracestate:  h.Get(HeaderTracestate),
		Chain:       h.Get(HeaderChain),
	}
	if text := h.Get(HeaderDeadline); text != "" {
		deadline, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return Meta{}, invalid(HeaderDeadline, "%q is not a time like 2026-01-31T12:00:00.000Z", clip(text))
		}
		m.Deadline = deadline
	}
	var err error
	if m.Attempt, err = count(h, HeaderAttempt, 1); err != nil {
		return Meta{}, err
	}
	if m.Depth, err = count(h, HeaderDepth, 0); err != nil {
		return Meta{}, err
	}
	return m, nil
}

// count reads a header that holds a number of at least low, which is also its value when absent.
func count(h http.Header, name string, low int) (int, error) {
	text := h.Get(name)
	if text == "" {
		return low, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low {
		return 0, invalid(name, "%q is not a whole number of at least %d", clip(text), low)
	}
	return n, nil
}
