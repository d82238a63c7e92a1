package gateway

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// Media types that the routes take and give.
const (
	typeJSON     = "application/json"
	typeProtobuf = "application/x-protobuf"
	typeOctets   = "application/octet-stream"
	typeProblem  = "application/problem+json"
	typeText     = "text/plain; charset=utf-8"
)

// param gives a part of the path, decoded.
func (x *exchange) param(name string) string {
	text := x.c.Param(name)
	if x.r.URL.RawPath == "" {
		return text // the server has decoded the whole path
	}
	if decoded, err := url.PathUnescape(text); err == nil {
		return decoded
	}
	return text
}

// partition gives the path's partition: a number, or "_" for the one that the object's id gives.
func (x *exchange) partition() (int, error) {
	text := x.param("pid")
	if text == "_" {
		return odgm.AnyPartition, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fault.New(fault.InvalidURL, "Invalid URL: Cannot parse `pid` with value `%s` to a `u32`", text)
	}
	return int(n), nil
}

// target gives the path's object.
func (x *exchange) target() (odgm.Target, error) {
	x.g.metrics.idAttempts.Inc()
	partition, err := x.partition()
	if err != nil {
		return odgm.Target{}, err
	}
	return odgm.Target{Class: x.param("cls"), Partition: partition, ID: x.param("oid")}, nil
}

// header gives a header by its canonical name, as http.Header.Get does but without making the name canonical.
func (x *exchange) header(name string) string {
	if values := x.r.Header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// accepts reports whether the client's Accept has the media type.
func (x *exchange) accepts(mediaType string) bool {
	for _, value := range x.r.Header["Accept"] {
		if strings.Contains(value, mediaType) {
			return true
		}
	}
	return false
}

// mediaType gives the type of the body without parameters, in lower case; "" if there is none.
func (x *exchange) mediaType() string {
	mediaType, _, _ := strings.Cut(x.header("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(mediaType))
}

// body reads the whole body, at most as long as allowed.
func (x *exchange) body() ([]byte, error) {
	if x.r.ContentLength == 0 || x.r.Body == nil || x.r.Body == http.NoBody {
		return nil, nil
	}
	limit := x.g.cfg.MaxPayloadBytes
	if x.r.ContentLength > limit {
		return nil, x.tooLarge()
	}
	body, err := readAll(x.r.Body, x.r.ContentLength, limit)
	switch {
	case err != nil:
		return nil, bodyError(err)
	case int64(len(body)) > limit:
		return nil, x.tooLarge()
	}
	x.bodyArrived()
	return body, nil
}

// tooLarge closes the connection after the answer, rather than read the rest.
func (x *exchange) tooLarge() error {
	x.w.Header()["Connection"] = []string{"close"}
	return fault.New(fault.TooLarge, "the body is longer than %d bytes, which is the limit", x.g.cfg.MaxPayloadBytes)
}

// limitReading gives the client until the request's deadline to send its body. The server reads the rest of a body that the handler left, so
// that holds also for requests that are refused. Servers that know no such deadline, as in tests, do without.
func (x *exchange) limitReading() {
	if x.r.ContentLength != 0 {
		_ = http.NewResponseController(x.w).SetReadDeadline(x.ctx.at)
	}
}

// bodyArrived lifts what limitReading set: from now on reading only notices that the client has gone.
func (x *exchange) bodyArrived() {
	_ = http.NewResponseController(x.w).SetReadDeadline(time.Time{})
}

// bodyError says what a failure to read a body means.
func bodyError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fault.New(fault.DeadlineExceeded, "the body did not arrive in time")
	case fault.CodeOf(err) != fault.Internal:
		return err
	}
	return fault.Wrap(fault.DecodeError, err, "read the body")
}

// readAll reads a body of the announced length (-1 if unknown), or one byte more than limit. Memory for a long one is taken as it arrives.
func readAll(from io.Reader, announced, limit int64) ([]byte, error) {
	const trusted = 64 << 10
	size := min(announced, trusted)
	if announced < 0 {
		size = 512
	}
	from = io.LimitReader(from, limit+1)
	buf := make([]byte, 0, size+1) // one more, to see the end without growing
	for {
		n, err := from.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
	}
}

// writeOptions says on whose behalf the request writes.
func (x *exchange) writeOptions() (odgm.WriteOptions, error) {
	chain, err := call.Parse(x.header("Oaas-Chain"))
	if err != nil {
		return odgm.WriteOptions{}, err
	}
	depth, err := x.depth()
	return odgm.WriteOptions{Chain: chain, Depth: depth}, err
}

// depth gives the number of triggers that led to the request.
func (x *exchange) depth() (uint32, error) {
	text := x.header("Oaas-Depth")
	if text == "" {
		return 0, nil
	}
	depth, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fault.New(fault.InvalidArgument, "header Oaas-Depth: %q is not a number of triggers", text)
	}
	return uint32(depth), nil
}

// expect reads If-Match and If-None-Match as the condition of a compare-and-swap.
func (x *exchange) expect() (object.Expect, error) {
	var e object.Expect
	if text := x.header("If-Match"); text != "" {
		e.Present, x.conditional = true, true
		if text != "*" {
			version, err := parseETag(text)
			if err != nil {
				return e, fault.New(fault.InvalidArgument, "header If-Match: %s is neither * nor one version in quotes, such as \"3\"", text)
			}
			e.Version = &version
		}
	}
	if text := x.header("If-None-Match"); text != "" {
		if text != "*" {
			return e, fault.New(fault.InvalidArgument, "header If-None-Match: %s is not *, which is all that a write can have there", text)
		}
		if e.Present {
			return e, fault.New(fault.InvalidArgument, "headers If-Match and If-None-Match cannot both be true")
		}
		e.Absent, x.conditional = true, true
	}
	return e, nil
}

// parseETag reads a version in quotes; without quotes is taken as well.
func parseETag(text string) (uint64, error) {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, `"`); ok {
		text = strings.TrimSuffix(inner, `"`)
	}
	return strconv.ParseUint(text, 10, 64)
}

// unchanged reports whether the client has this version already and asked not to get it again.
func (x *exchange) unchanged(version uint64) bool {
	text := x.header("If-None-Match")
	if text == "" {
		return false
	}
	for tag := range strings.SplitSeq(text, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if have, err := parseETag(tag); tag == "*" || err == nil && have == version {
			return true
		}
	}
	return false
}

// page reads the parameters of a listing.
func (x *exchange) page() (object.Page, error) {
	query := x.r.URL.Query()
	page := object.Page{Prefix: query.Get("prefix")}
	limit, err := queryLimit(query)
	if err != nil {
		return page, err
	}
	page.Limit = limit
	if text := query.Get("cursor"); text != "" {
		if page.Cursor, err = decodeCursor(text); err != nil {
			return page, err
		}
	}
	return page, nil
}

// maxRows caps the parameter limit of listings, as OaaS-RS does.
const maxRows = 1000

func queryLimit(query url.Values) (int, error) {
	text := query.Get("limit")
	if text == "" {
		return object.DefaultLimit, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fault.New(fault.InvalidArgument, "parameter limit: %q is not a number of rows", text)
	}
	if n == 0 {
		return object.DefaultLimit, nil
	}
	return int(min(n, maxRows)), nil
}
