package pm

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
)

// Prefix is the beginning of the paths of all routes.
const Prefix = "/api/v1"

// Routes mounts the Package Manager's routes. Each GET route answers HEAD too.
func (m *Manager) Routes(r gin.IRouter) {
	for _, rt := range routes {
		handler := func(c *gin.Context) {
			x := &exchange{m: m, c: c}
			if err := rt.serve(x); err != nil {
				x.fail(err)
			}
		}
		r.Handle(rt.method, rt.path, handler)
		if rt.method == http.MethodGet {
			r.Handle(http.MethodHead, rt.path, handler)
		}
	}
}

// route is one method on one path.
type route struct {
	method, path string
	serve        func(*exchange) error
}

// exchange is one request and its answer.
type exchange struct {
	m *Manager
	c *gin.Context
}

// param gives a part of the path, decoded.
func (x *exchange) param(name string) string {
	text := x.c.Param(name)
	if x.c.Request.URL.RawPath == "" {
		return text // the server has decoded the whole path
	}
	if decoded, err := url.PathUnescape(text); err == nil {
		return decoded
	}
	return text
}

func (x *exchange) query(name string) string { return x.c.Query(name) }

// flag reads a parameter that is true or false; nil if it is not there.
func (x *exchange) flag(name string) (*bool, error) {
	text, given := x.c.GetQuery(name)
	if !given {
		return nil, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "parameter %s: %q is neither true nor false", name, text)
	}
	return &value, nil
}

// number reads a parameter that is a number from 0 up; missing if it is not there.
func (x *exchange) number(name string, missing int) (int, error) {
	text, given := x.c.GetQuery(name)
	if !given {
		return missing, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, fault.New(fault.InvalidArgument, "parameter %s: %q is not a whole number from 0 to 2147483647", name, text)
	}
	return int(n), nil
}

// sendPage answers with the part of a list that limit and offset ask for.
func sendPage[T any](x *exchange, list []T) error {
	offset, err := x.number("offset", 0)
	if err != nil {
		return err
	}
	limit, err := x.number("limit", len(list))
	if err != nil {
		return err
	}
	list = list[min(offset, len(list)):]
	return x.send(http.StatusOK, orEmpty(list[:min(limit, len(list))]))
}

// send answers with a document. Characters that HTML knows are left as they are, as in OaaS-RS.
func (x *exchange) send(status int, document any) error {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		return err
	}
	x.c.Data(status, "application/json", bytes.TrimRight(out.Bytes(), "\n"))
	return nil
}

// body reads the whole body, at most so many bytes.
func (x *exchange) body(limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(x.c.Request.Body, limit+1))
	switch {
	case err != nil:
		return nil, fault.Wrap(fault.DecodeError, err, "read the body")
	case int64(len(text)) > limit:
		x.c.Header("Connection", "close") // rather than read the rest
		return nil, fault.New(fault.TooLarge, "the body is longer than %d bytes, which is the limit", limit)
	}
	return text, nil
}

// document reads a body in JSON.
func (x *exchange) document() ([]byte, error) {
	mediaType, _, err := mime.ParseMediaType(x.c.GetHeader("Content-Type"))
	if err != nil || mediaType != "application/json" && !strings.HasSuffix(mediaType, "+json") {
		return nil, fault.New(fault.UnsupportedType, "Expected request with `Content-Type: application/json`")
	}
	text, err := x.body(opackage.MaxSize)
	if err != nil {
		return nil, err
	}
	return text, nil
}

// read parses a body that is a document. What is no JSON is a decode error; JSON of another shape is not.
func read[T any](x *exchange, parse func([]byte, ...opackage.ParseOption) (*T, error)) (*T, error) {
	text, err := x.document()
	if err != nil {
		return nil, err
	}
	value, err := parse(text, opackage.IgnoreUnknown())
	if err != nil && json.Valid(text) && fault.CodeOf(err) == fault.InvalidArgument {
		return nil, &shapeError{err}
	}
	return value, err
}

// shapeError is that of a body which is JSON, but not of the shape that is wanted.
type shapeError struct{ error }

func (e *shapeError) Unwrap() error { return e.error }

// failure is the body of an error, as OaaS-RS's Package Manager has it; documents that are not valid have all their problems listed as well.
type failure struct {
	Error    string             `json:"error"`
	Problems []opackage.Problem `json:"problems,omitempty"`
}

// fail answers with an error.
func (x *exchange) fail(err error) {
	f := fault.From(err)
	status := f.HTTPStatus()
	body := failure{Error: f.Message}
	if problems, ok := errors.AsType[opackage.ValidationErrors](err); ok && f.Code == fault.InvalidArgument {
		body.Problems = problems
	}
	if _, ok := errors.AsType[*shapeError](err); ok {
		status = http.StatusUnprocessableEntity
	}
	if f.Code == fault.Internal {
		x.m.log.Error("request failed", "method", x.c.Request.Method, "path", x.c.Request.URL.Path, "error", err)
	}
	x.c.Header("Oaas-Error", string(f.Code))
	if err := x.send(status, body); err != nil {
		x.m.log.Error("answer with an error", "error", err)
	}
}
