package gateway

import (
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"
)

// difference is an answer that is not that of OaaS-RS, on purpose.
type difference struct {
	status            int
	contentType, body string
	why               string
}

// differences has all of them, by the request line; where the same request is made twice, "#2" names the second time.
var differences = map[string]difference{
	"GET /api/class/example.record/0/objects?prefix=p&limit=1": {
		200, typeJSON, `{"objects":[{"object_id":"p1","version":1,"entry_count":2}],"next_cursor":"cGI"}`,
		"cursors are opaque, and ours are made otherwise",
	},
	"GET /api/class/example.record/0/objects/43 #2": {
		404, typeJSON, `{"error":{"code":"NO_OBJECT","message":"No object exists in example.record with partition 0 and string id 43"}}`,
		"the object was deleted; OaaS-RS cannot delete objects with numeric ids",
	},
	"GET /api/class/example.record/x/objects/o1": {
		400, typeJSON, `{"error":{"code":"INVALID_URL","message":"Invalid URL: Cannot parse ` + "`pid` with value `x` to a `u32`" + `"}}`,
		"every error has the same form; OaaS-RS gives the text alone",
	},
	"GET /api/class/none.such/0/objects/o1": {
		404, typeJSON, `{"error":{"code":"NO_CLASS","message":"class \"none.such\" is not deployed; deployed are: example.record"}}`,
		"the caller named what does not exist, which is no fault of a proxy (502)",
	},
	"PUT /api/class/example.record/0/objects/o2": {
		400, typeJSON, `{"error":{"code":"DECODE_ERROR","message":"missing field ` + "`entries`" + ` at line 1 column 2"}}`,
		"a body that does not decode is the caller's fault, not 502",
	},
	"PUT /api/class/example.record/0/objects/o2 #2": {
		400, typeJSON, `{"error":{"code":"DECODE_ERROR","message":"EOF while parsing a value at line 1 column 11"}}`,
		"a body that does not decode is the caller's fault, not 502",
	},
	"PUT /api/class/example.record/0/objects/o2 #3": {
		415, typeJSON, `{"error":{"code":"UNSUPPORTED_TYPE","message":"unsupported content-type: text/plain; allowed are application/json, ` +
			`application/x-protobuf and application/octet-stream"}}`,
		"an unsupported type has a status of its own, and is not 502",
	},
	"PUT /api/class/example.record/0/objects/o2 #4": {
		400, typeJSON, `{"error":{"code":"DECODE_ERROR","message":"Invalid protobuf: failed to decode Protobuf message: unexpected EOF in the field at byte 0"}}`,
		"one code for all bodies that do not decode, instead of 422 INVALID_PROtobuf",
	},
	"POST /api/class/example.record/0/invokes/nope": {
		404, typeJSON, `{"error":{"code":"NO_FUNCTION","message":"class example.record has no method \"nope\""}}`,
		"the caller named what does not exist, which is no fault of a proxy (502)",
	},
	"GET /api/class/example.record/0/objects?cursor=!!": {
		400, typeJSON, `{"error":{"code":"INVALID_ARGUMENT","message":"invalid cursor encoding: Invalid symbol 33, offset 0."}}`,
		"a broken cursor is the caller's fault, not 502",
	},
}

// sample is one recorded request and its answer.
type sample struct {
	line    string
	headers []string
	body    string
	status  string
	kind    string
	answer  string
}

func readSamples(t *testing.T) []sample {
	t.Helper()
	text, err := os.ReadFile("testdata/samples.txt")
	if err != nil {
		t.Fatal(err)
	}
	var samples []sample
	for _, block := range strings.Split(string(text), "\n----\n")[1:] {
		request, result, _ := strings.Cut(block, "→ ")
		head, body, _ := strings.Cut(request, "\n\n")
		lines := strings.Split(strings.TrimSpace(head), "\n")
		status, answer, _ := strings.Cut(result, "\n")
		code, kind, _ := strings.Cut(status, " ")
		samples = append(samples, sample{
			line: lines[0], headers: lines[1:], body: strings.TrimSuffix(body, "\n"), status: code, kind: kind, answer: strings.TrimSpace(answer),
		})
	}
	return samples
}

// TestSamples repeats what was recorded of OaaS-RS, and compares the answers byte by byte.
func TestSamples(t *testing.T) {
	r := newRig(t, rigOptions{})
	times := map[string]int{}
	used := map[string]bool{}
	for _, s := range readSamples(t) {
		name := s.line
		if times[name]++; times[name] > 1 {
			name += " #" + string(rune('0'+times[name]))
		}
		t.Run(name, func(t *testing.T) {
			body := s.body
			for _, h := range s.headers {
				if h == "content-type: "+typeProtobuf && body != "x" {
					raw, err := hex.DecodeString(body)
					if err != nil {
						t.Fatal(err)
					}
					body = string(raw)
				}
			}
			method, path, _ := strings.Cut(s.line, " ")
			got := r.do(method, path, body, s.headers...)
			if text, ok := strings.CutPrefix(s.answer, "hex "); ok {
				raw, err := hex.DecodeString(text)
				if err != nil {
					t.Fatal(err)
				}
				s.answer = string(raw)
			}
			if d, ok := differences[name]; ok {
				used[name] = true
				if got.status != d.status || got.header.Get("Content-Type") != d.contentType || got.body != d.body {
					t.Errorf("got %d %s\n%s\nwant %d %s\n%s", got.status, got.header.Get("Content-Type"), got.body, d.status, d.contentType, d.body)
				}
				return
			}
			if s.status != strconv.Itoa(got.status) || s.kind != got.header.Get("Content-Type") || s.answer != got.body {
				t.Errorf("got %d %s\n%q\nwant %s %s\n%q", got.status, got.header.Get("Content-Type"), got.body, s.status, s.kind, s.answer)
			}
		})
	}
	for name := range differences {
		if !used[name] {
			t.Errorf("no sample for the difference at %q", name)
		}
	}
}
