package wasm

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"

	"github.com/hpcclab/oaas-go/api/function"
)

// decoded is the answer of a module.
type decoded struct {
	status int
	header http.Header
	body   []byte
}

// maxHead bounds the headers of an answer.
const maxHead = 64 << 10

// decode reads an answer: lines of headers (a header Status if it is not 200), an empty line, the body. One that begins with { is a reply in JSON without
// headers; no bytes at all are an empty result.
func decode(answer []byte) (*decoded, error) {
	d := &decoded{status: http.StatusOK, header: make(http.Header, 4)}
	switch {
	case len(answer) == 0:
		return d, nil
	case answer[0] == '{':
		d.header["Content-Type"], d.body = []string{function.JSONReplyType}, answer
		return d, nil
	}
	for rest := answer; ; {
		line, more, found := bytes.Cut(rest, []byte{'\n'})
		if !found || len(answer)-len(more) > maxHead {
			return nil, errors.New("it begins neither with { nor with headers and an empty line")
		}
		rest = more
		if line = bytes.TrimSuffix(line, []byte{'\r'}); len(line) == 0 {
			d.body = rest
			return d, nil
		}
		if err := d.set(line); err != nil {
			return nil, err
		}
	}
}

// set takes one line of headers.
func (d *decoded) set(line []byte) error {
	name, value, found := bytes.Cut(line, []byte{':'})
	if !found || len(name) == 0 || !isToken(name) {
		return fmt.Errorf("%.60q is no header; the answer is headers, an empty line and a body, or a reply in JSON", line)
	}
	text := string(bytes.TrimSpace(value))
	for _, c := range text {
		if c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("the value of header %s has control characters", name)
		}
	}
	switch key := textproto.CanonicalMIMEHeaderKey(string(name)); key {
	case "Status":
		status, err := strconv.Atoi(text[:min(len(text), 3)])
		if err != nil || status < 200 || status > 599 {
			return fmt.Errorf("header Status: %.40q is not a status from 200 to 599", text)
		}
		d.status = status
	case "Content-Length", "Transfer-Encoding", "Connection": // the length is what is there
	default:
		d.header[key] = append(d.header[key], text)
	}
	return nil
}

// isToken tells whether a name has only characters that names of headers may have.
func isToken(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c >= 0x7f || bytes.IndexByte([]byte(`"(),/:;<=>?@[\]{}`), c) >= 0 {
			return false
		}
	}
	return true
}
