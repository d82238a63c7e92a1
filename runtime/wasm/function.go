package wasm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/hpcclab/oaas-go/api/fault"
)

// Function is a deployed function: the way to the module that serves it now.
type Function struct {
	name string

	mu      sync.Mutex
	current *module // nil before the first module, and once the function was taken away
	retired []*module
	gone    bool // taken away: no module serves it any more
}

var _ http.RoundTripper = (*Function)(nil)

// Status is how a function stands.
type Status struct {
	// Hash is the SHA-256 of the module, in hexadecimal.
	Hash string
	// Instances counts those that are ready or run, InFlight the calls.
	Instances, InFlight int
	// Fresh is true when each call gets an instance of its own, which costs the module's start.
	Fresh bool
}

// Status tells how the function stands.
func (f *Function) Status() Status {
	f.mu.Lock()
	m := f.current
	f.mu.Unlock()
	if m == nil {
		return Status{}
	}
	return m.status()
}

// RoundTrip answers a request of the platform with what the module answers. A module that fails (by a trap, its exit code, or its answer) gives status 500
// with the reason; an answer that cannot be read, or is too long, is a BadReply fault.
func (f *Function) RoundTrip(req *http.Request) (*http.Response, error) {
	message, err := encode(req)
	if err != nil {
		return nil, err
	}
	m, err := f.begin()
	if err != nil {
		return nil, err
	}
	defer f.end(m)
	answer, err := m.call(req.Context(), message)
	if failed, ok := errors.AsType[*failure](err); ok {
		return response(req, &decoded{status: http.StatusInternalServerError, header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, body: []byte(failed.text)}), nil
	}
	if err != nil {
		return nil, err
	}
	out, err := decode(answer)
	if err != nil {
		return nil, fault.New(fault.BadReply, "function %s: bad reply: %v; nothing was changed", f.name, err)
	}
	return response(req, out), nil
}

// begin gives the module that serves now, which stays until end.
func (f *Function) begin() (*module, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == nil {
		return nil, f.away()
	}
	f.current.users.Add(1)
	return f.current, nil
}

func (f *Function) end(m *module) { m.users.Done() }

// replace has a module serve, and the one that did before, if any, closed by the last of its calls. Once the function was taken away, it closes the
// module instead.
func (f *Function) replace(m *module) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return errors.Join(f.away(), m.close())
	}
	f.retired = slices.DeleteFunc(f.retired, (*module).isClosed)
	if f.current != nil {
		f.current.retire()
		f.retired = append(f.retired, f.current)
	}
	f.current = m
	return nil
}

func (f *Function) away() error {
	return fault.New(fault.FunctionUnavailable, "function %s was taken away", f.name)
}

// close ends the function, and waits for the modules that served it.
func (f *Function) close(ctx context.Context) error {
	f.mu.Lock()
	all := f.retired
	if f.current != nil {
		all = append(all, f.current)
	}
	f.current, f.retired, f.gone = nil, nil, true
	f.mu.Unlock()
	var errs []error
	for _, m := range all {
		m.retire()
		errs = append(errs, m.wait(ctx))
	}
	return errors.Join(errs...)
}

// encode gives a call as a module reads it: lines of headers, an empty line, the body.
func encode(req *http.Request) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(1024 + int(max(req.ContentLength, 0)))
	for name, values := range req.Header {
		for _, value := range values {
			out.WriteString(name)
			out.WriteString(": ")
			out.WriteString(oneLine(value))
			out.WriteByte('\n')
		}
	}
	out.WriteByte('\n')
	if req.Body != nil {
		defer req.Body.Close()
		if _, err := out.ReadFrom(req.Body); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// oneLine keeps a value from ending its line.
func oneLine(value string) string {
	if strings.ContainsAny(value, "\r\n") {
		return strings.NewReplacer("\r", " ", "\n", " ").Replace(value)
	}
	return value
}

func response(req *http.Request, d *decoded) *http.Response {
	return &http.Response{
		StatusCode: d.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: d.header, Request: req,
		ContentLength: int64(len(d.body)), Body: io.NopCloser(bytes.NewReader(d.body)),
	}
}
