package eventing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
)

const (
	jsonType  = "application/cloudevents+json"
	batchType = "application/cloudevents-batch+json"
)

// request makes a request with headers given as "name: value".
func request(body string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header[http.CanonicalHeaderKey(name)] = append(r.Header[http.CanonicalHeaderKey(name)], value)
	}
	return r
}

var minimal = []string{"ce-specversion: 1.0", "ce-id: 1", "ce-source: /s", "ce-type: t"}

func TestReceiveBinary(t *testing.T) {
	r := request("hi", append(minimal, "Content-Type: text/plain", "ce-subject: 50%25 f%C3%BCr 100% %zz", "ce-time: 2024-05-01T12:00:00.5+02:00",
		"ce-dataschema: http://schema/x", "ce-region: \"eu\"", "Traceparent: ignored")...)
	events, err := Receive(r, Limits{})
	if err != nil || len(events) != 1 {
		t.Fatalf("%v, %v", events, err)
	}
	e := events[0]
	if e.ID() != "1" || e.Source() != "/s" || e.Type() != "t" || e.Subject() != "50% für 100% %zz" || e.DataContentType() != "text/plain" ||
		string(e.Data()) != "hi" || e.DataSchema() != "http://schema/x" || !e.Time().Equal(time.Date(2024, 5, 1, 10, 0, 0, 5e8, time.UTC)) {
		t.Errorf("event %v", e)
	}
	if len(e.Extensions()) != 1 || e.Extensions()["region"] != "eu" {
		t.Errorf("extensions %v", e.Extensions())
	}
}

func TestReceiveStructured(t *testing.T) {
	for name, c := range map[string]struct{ body, contentType, data string }{
		"JSON, no type":   {`{"data": {"a" : [1]}, "specversion":"1.0","id":"1","source":"/s","type":"t"}`, "application/json", `{"a" : [1]}`},
		"JSON type":       {`{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/json","data":"x"}`, "text/json", `"x"`},
		"text":            {`{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/plain","data":"\u00e9\n"}`, "text/plain", "é\n"},
		"bytes":           {`{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"image/png","data_base64":"\/w=="}`, "image/png", "\xff"},
		"no data":         {`{"specversion":"1.0","id":"1","source":"/s","type":"t"}`, "", ""},
		"null attributes": {` {"specversion":"1.0","id":"1","source":"/s","type":"t","subject":null,"time":null,"ext":null,"data":null} `, "", ""},
	} {
		events, err := Receive(request(c.body, "Content-Type: "+jsonType+"; charset=UTF-8"), Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		e := events[0]
		if e.ID() != "1" || e.DataContentType() != c.contentType || string(e.Data()) != c.data || e.Subject() != "" || len(e.Extensions()) != 0 {
			t.Errorf("%s: %v", name, e)
		}
	}
	body := `{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"s","time":"2024-05-01T12:00:00Z","a":"x","b":true,"c":-7}`
	events, err := Receive(request(body, "Content-Type: "+jsonType), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if ext := events[0].Extensions(); ext["a"] != "x" || ext["b"] != true || ext["c"] != int32(-7) || events[0].Subject() != "s" {
		t.Errorf("event %v", events[0])
	}
}

func TestReceiveBatch(t *testing.T) {
	one := `{"specversion":"1.0","id":"%d","source":"/s","type":"t"}`
	var texts []string
	for i := range 5 {
		texts = append(texts, fmt.Sprintf(one, i))
	}
	batch := "[" + strings.Join(texts, ",") + "]"
	events, err := Receive(request(batch, "Content-Type: "+batchType), Limits{MaxEvents: 5})
	if err != nil || len(events) != 5 || events[4].ID() != "4" {
		t.Errorf("%v, %v", events, err)
	}
	if events, err := Receive(request("[]", "Content-Type: "+batchType), Limits{}); err != nil || len(events) != 0 {
		t.Errorf("empty batch: %v, %v", events, err)
	}
	if _, err := Receive(request(batch, "Content-Type: "+batchType), Limits{MaxEvents: 4}); fault.CodeOf(err) != fault.TooLarge {
		t.Errorf("batch over the limit: %v", err)
	}
	bad := "[" + texts[0] + `,{"specversion":"1.0","id":"7","type":"t"}]`
	events, err = Receive(request(bad, "Content-Type: "+batchType), Limits{})
	if fault.CodeOf(err) != fault.DecodeError || !strings.Contains(err.Error(), "event 1 of the batch") || !strings.Contains(err.Error(), "source") || events != nil {
		t.Errorf("batch with a bad event: %v, %v", events, err)
	}
}

// without gives the minimal headers without one, and with others.
func without(name string, others ...string) []string {
	for _, h := range minimal {
		if !strings.HasPrefix(h, name+":") {
			others = append(others, h)
		}
	}
	return others
}

// eventJSON gives an event in JSON with further members.
func eventJSON(members string) string {
	return `{"specversion":"1.0","id":"1","source":"/s","type":"t"` + members + `}`
}

// TestBadRequests is the table of bad inputs: the text must be in the message.
func TestBadRequests(t *testing.T) {
	structured := "Content-Type: " + jsonType
	for name, c := range map[string]struct {
		body    string
		headers []string
		code    fault.Code
		text    string
	}{
		"nothing":                  {"", nil, fault.DecodeError, "ce-specversion"},
		"plain JSON":               {"{}", []string{"Content-Type: application/json"}, fault.DecodeError, "application/cloudevents+json"},
		"malformed content type":   {"", without("", "Content-Type: a b"), fault.DecodeError, "content type"},
		"gzip":                     {"", without("", "Content-Encoding: gzip"), fault.UnsupportedType, "gzip"},
		"Avro":                     {"", []string{"Content-Type: application/cloudevents+avro"}, fault.UnsupportedType, "avro"},
		"charset":                  {"", []string{structured + "; charset=latin1"}, fault.UnsupportedType, "latin1"},
		"too large":                {strings.Repeat("x", 101), minimal, fault.TooLarge, "100"},
		"no version":               {"", without("ce-specversion", "ce-specversion: "), fault.DecodeError, "specversion is missing"},
		"version 0.3":              {"", without("ce-specversion", "ce-specversion: 0.3"), fault.DecodeError, `"0.3"`},
		"version 2":                {"", without("ce-specversion", "ce-specversion: 2.0"), fault.DecodeError, `"2.0"`},
		"no id":                    {"", without("ce-id"), fault.DecodeError, "attribute id"},
		"blank id":                 {"", without("ce-id", "ce-id: %20"), fault.DecodeError, "attribute id"},
		"no source":                {"", without("ce-source"), fault.DecodeError, "attribute source"},
		"no type":                  {"", without("ce-type"), fault.DecodeError, "attribute type"},
		"source is no URI":         {"", without("ce-source", "ce-source: http://a b"), fault.DecodeError, "1"},
		"time":                     {"", without("", "ce-time: yesterday"), fault.DecodeError, "1"},
		"id twice":                 {"", without("", "ce-id: 2"), fault.DecodeError, "ce-id"},
		"no name":                  {"", without("", "ce-: x"), fault.DecodeError, "ce-"},
		"name with dash":           {"", without("", "ce-my-attr: x"), fault.DecodeError, "ce-my-attr"},
		"data as header":           {"", without("", "ce-data: x"), fault.DecodeError, "ce-data"},
		"content type as header":   {"", without("", "ce-datacontenttype: x/y"), fault.DecodeError, "ce-datacontenttype"},
		"not UTF-8":                {"", without("", "ce-subject: \xff"), fault.DecodeError, "UTF-8"},
		"not UTF-8, encoded":       {"", without("", "ce-subject: %FF"), fault.DecodeError, "UTF-8"},
		"JSON empty":               {"", []string{structured}, fault.DecodeError, "JSON"},
		"JSON cut off":             {eventJSON("")[:20], []string{structured}, fault.DecodeError, "JSON"},
		"JSON array":               {"[]", []string{structured}, fault.DecodeError, "object"},
		"JSON null":                {"null", []string{structured}, fault.DecodeError, "object"},
		"JSON and more":            {eventJSON("") + "x", []string{structured}, fault.DecodeError, "follows"},
		"JSON syntax":              {`{"id" "1"}`, []string{structured}, fault.DecodeError, "JSON"},
		"JSON twice":               {eventJSON(`,"id":"2"`), []string{structured}, fault.DecodeError, "attribute id"},
		"JSON no version":          {`{"id":"1","source":"/s","type":"t"}`, []string{structured}, fault.DecodeError, "specversion"},
		"JSON version 0.3":         {`{"specversion":"0.3","id":"1","source":"/s","type":"t"}`, []string{structured}, fault.DecodeError, `"0.3"`},
		"JSON version number":      {`{"specversion":1,"id":"1","source":"/s","type":"t"}`, []string{structured}, fault.DecodeError, "specversion"},
		"JSON id number":           {`{"specversion":"1.0","id":1,"source":"/s","type":"t"}`, []string{structured}, fault.DecodeError, "attribute id"},
		"JSON id null":             {`{"specversion":"1.0","id":null,"source":"/s","type":"t"}`, []string{structured}, fault.DecodeError, "attribute id"},
		"JSON source":              {`{"specversion":"1.0","id":"1","source":"%zz","type":"t"}`, []string{structured}, fault.DecodeError, "attribute source"},
		"JSON time":                {eventJSON(`,"time":"noon"`), []string{structured}, fault.DecodeError, "attribute time"},
		"JSON subject number":      {eventJSON(`,"subject":5`), []string{structured}, fault.DecodeError, "attribute subject"},
		"JSON object attribute":    {eventJSON(`,"x":{}`), []string{structured}, fault.DecodeError, "attribute x"},
		"JSON fraction":            {eventJSON(`,"x":1.5`), []string{structured}, fault.DecodeError, "attribute x"},
		"JSON 64 bits":             {eventJSON(`,"x":3000000000`), []string{structured}, fault.DecodeError, "attribute x"},
		"JSON huge number":         {eventJSON(`,"x":1e999`), []string{structured}, fault.DecodeError, "attribute x"},
		"JSON upper case":          {eventJSON(`,"X":"1"`), []string{structured}, fault.DecodeError, "attribute X"},
		"JSON empty name":          {eventJSON(`,"":"1"`), []string{structured}, fault.DecodeError, "a name"},
		"JSON content type":        {eventJSON(`,"datacontenttype":"a b","data":1`), []string{structured}, fault.DecodeError, "datacontenttype"},
		"JSON content type, none":  {eventJSON(`,"datacontenttype":"a b"`), []string{structured}, fault.DecodeError, "datacontenttype"},
		"JSON data for text":       {eventJSON(`,"datacontenttype":"text/plain","data":{}`), []string{structured}, fault.DecodeError, "data_base64"},
		"JSON both data":           {eventJSON(`,"data":1,"data_base64":""`), []string{structured}, fault.DecodeError, "both"},
		"JSON short number":        {`{"data_base64":1,"specversion":"1.0","id":"1","source":"/s","type":"t"}`, []string{structured}, fault.DecodeError, "data_base64"},
		"JSON base64":              {eventJSON(`,"data_base64":"=="`), []string{structured}, fault.DecodeError, "data_base64"},
		"batch is object":          {eventJSON(""), []string{"Content-Type: " + batchType}, fault.DecodeError, "array"},
		"batch of numbers":         {"[1]", []string{"Content-Type: " + batchType}, fault.DecodeError, "event 0"},
		"batch cut off":            {"[" + eventJSON(""), []string{"Content-Type: " + batchType}, fault.DecodeError, "JSON"},
		"batch and more":           {"[]]", []string{"Content-Type: " + batchType}, fault.DecodeError, "follows"},
		"batch with missing comma": {"[{} {}]", []string{"Content-Type: " + batchType}, fault.DecodeError, "JSON"},
	} {
		events, err := Receive(request(c.body, c.headers...), Limits{MaxBytes: 100})
		if fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "\n") || events != nil {
			t.Errorf("%s: %v, %s: %v; want %s with %q", name, events, fault.CodeOf(err), err, c.code, c.text)
		}
	}
}

// TestUnknownLength: the limit holds for a body that does not say its length, and for one that another limit cuts off.
func TestUnknownLength(t *testing.T) {
	r := request("", minimal...)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(make([]byte, 101))), -1
	if _, err := Receive(r, Limits{MaxBytes: 100}); fault.CodeOf(err) != fault.TooLarge {
		t.Errorf("101 bytes: %v", err)
	}
	r = request(strings.Repeat("x", 50), minimal...)
	r.Body = http.MaxBytesReader(httptest.NewRecorder(), r.Body, 10)
	if _, err := Receive(r, Limits{}); fault.CodeOf(err) != fault.TooLarge {
		t.Errorf("outer limit: %v", err)
	}
	r = request("", minimal...)
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("x"), &failing{}))
	if _, err := Receive(r, Limits{}); fault.CodeOf(err) != fault.DecodeError {
		t.Errorf("connection lost: %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// FuzzReceive: whatever comes, there are valid events or a fault, and events that were received can be sent and received again.
func FuzzReceive(f *testing.F) {
	f.Add(uint8(0), "1.0", "1", "/s", "t", "subject", "x", []byte("data"))
	f.Add(uint8(1), "", "", "", "", "", "", []byte(eventJSON(`,"data_base64":"eA==","time":"2024-05-01T12:00:00Z","a":1`)))
	f.Add(uint8(1), "", "", "", "", "", "", []byte(`{"data_base64":1,"specversion":"1.0","datacontenttype":"a/b","id":"1","source":"/s","type":"t"}`))
	f.Add(uint8(2), "", "", "", "", "", "", []byte("["+eventJSON(`,"data":{"a":null}`)+","+eventJSON(`,"datacontenttype":"text/plain","data":"x"`)+"]"))
	f.Add(uint8(0), "1.0", "%20", "http://[::1", "\xff", "", "", []byte(nil))
	f.Fuzz(func(t *testing.T, mode uint8, version, id, source, kind, name, value string, body []byte) {
		r := request(string(body))
		switch mode % 3 {
		case 0:
			for header, value := range map[string]string{"Ce-Specversion": version, "Ce-Id": id, "Ce-Source": source, "Ce-Type": kind, "Ce-" + name: value} {
				r.Header[http.CanonicalHeaderKey(header)] = []string{value}
			}
		case 1:
			r.Header.Set("Content-Type", jsonType)
		case 2:
			r.Header.Set("Content-Type", batchType)
		}
		events, err := Receive(r, Limits{MaxEvents: 10})
		if err != nil {
			if code := fault.CodeOf(err); code == fault.Internal || code == "" {
				t.Errorf("code %q: %v", code, err)
			}
			return
		}
		for _, e := range events {
			if err := e.Validate(); err != nil {
				t.Errorf("invalid event: %v", err)
			}
			sink, err := NewSink(SinkConfig{})
			if err != nil {
				t.Fatal(err)
			}
			again, err := sink.request(t.Context(), "http://sink", e)
			if err != nil {
				t.Errorf("encode %v: %v", e, err)
				continue
			}
			if again.Body == nil {
				again.Body = http.NoBody
			}
			back, err := Receive(again, Limits{})
			if err != nil || back[0].ID() != e.ID() || back[0].Subject() != e.Subject() || back[0].Type() != e.Type() || !bytes.Equal(back[0].Data(), e.Data()) {
				t.Errorf("sent %v, received %v, %v", e, back, err)
			}
			if _, err := json.Marshal(e); err != nil && e.Data() == nil {
				t.Errorf("JSON of %v: %v", e, err)
			}
		}
	})
}
