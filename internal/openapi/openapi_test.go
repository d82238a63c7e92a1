package openapi

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

type color string

type inner struct {
	Name  string `json:"name" key:"required"`
	Color color  `json:"color"`
}

type sample struct {
	Inner   *inner           `json:"inner"`
	List    []inner          `json:"list"`
	Map     map[string]uint8 `json:"map,omitempty"`
	At      time.Time        `json:"at,omitzero"`
	Bytes   []byte           `json:"bytes"`
	Any     any              `json:"any"`
	Hidden  string           `json:"-"`
	private string
}

func schemaText(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestSchemas(t *testing.T) {
	s := NewSchemas()
	Enum(s, color("red"), color("blue"))
	if got := schemaText(t, Of[[]sample](s)); got != `{"items":{"$ref":"#/components/schemas/Sample"},"type":"array"}` {
		t.Errorf("reference: %s", got)
	}
	want := `{"Inner":{"properties":{"color":{"enum":["red","blue"],"type":"string"},"name":{"type":"string"}},"required":["name","color"],"type":"object"},` +
		`"Sample":{"properties":{"any":{},"at":{"format":"date-time","type":"string"},"bytes":{"contentEncoding":"base64","type":"string"},` +
		`"inner":{"anyOf":[{"$ref":"#/components/schemas/Inner"},{"type":"null"}]},"list":{"items":{"$ref":"#/components/schemas/Inner"},"type":"array"},` +
		`"map":{"additionalProperties":{"maximum":255,"minimum":0,"type":"integer"},"type":"object"}},"required":["inner","list","bytes","any"],"type":"object"}}`
	if got := schemaText(t, s.defined); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	want = `{"properties":{"color":{"anyOf":[{"enum":["red","blue"],"type":"string"},{"type":"null"}]},"name":{"type":"string"}},"required":["name"],"type":"object"}`
	if got := schemaText(t, Relaxed[inner](s)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	_ = sample{}.private
}

func TestDocument(t *testing.T) {
	one := Operation{Method: "GET", Path: "/a/:b/*c", Summary: "x", Answers: []Answer{Answers(200, JSON(nil))}, Params: []Param{Query("q", "", Schema{})}}
	text, err := Document(Info{Title: "t", Version: "1"}, NewSchemas(), []Operation{one})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"/a/{b}/{c}"`, `"get_a__b__c"`, `"openapi": "3.1.0"`, `"name": "c"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document has no %s:\n%s", want, text)
		}
	}
	for want, list := range map[string][]Operation{"is there twice": {one, one}, "has no answer": {{Method: "GET", Path: "/"}}} {
		if _, err := Document(Info{}, NewSchemas(), list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
