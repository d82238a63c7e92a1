package json5

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]any{
		`{}`: map[string]any{},
		"// c\n{a: 1, /* b */ 'b': [1, 2.5, -3, +4, .5, 5., 1e3, 0x1F,], $c_1: null, \"d e\": true,}": map[string]any{
			"a": 1.0, "b": []any{1.0, 2.5, -3.0, 4.0, .5, 5.0, 1000.0, 31.0}, "$c_1": nil, "d e": true,
		},
		`'a"\n\x41é😀\
b\'\q'`: "a\"\nAé😀b'q",
		"\ufeff[Infinity, -Infinity, false]": []any{math.Inf(1), math.Inf(-1), false},
		"\"tcp/[::]:7447\" // end":           "tcp/[::]:7447",
	} {
		got, err := Parse([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %#v, %v, want %#v", text, got, err, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "line 1, column 1: no value",
		"{\n a 1}":                "line 2, column 4: no colon",
		"{a: 1 b: 2}":             "no comma",
		"{a: 1, a: 2}":            `column 8: "a" twice`,
		"[1 2]":                   "no comma",
		"[1":                      "no comma",
		"{a: 'b":                  "a string without end",
		"'a\nb'":                  "a line that ends",
		"/* a":                    "a comment without end",
		"01":                      "no number",
		"--1":                     "no number",
		"0xg":                     "no number",
		"1 2":                     "something behind",
		`'\u12'`:                  "want 4",
		`'\`:                      "a string without end",
		"maybe":                   "no value",
		"{:1}":                    "no name",
		strings.Repeat("[", 1000): "more than 100",
	} {
		_, err := Parse([]byte(text))
		if _, ok := errors.AsType[*SyntaxError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: got %v, want %s", text, err, want)
		}
	}
}

// FuzzParse checks that all JSON is JSON5 with the same meaning, and that nothing panics.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a": [1, "b\n", null, true, {"c": 1e-3}]}`))
	f.Add([]byte(`{a: 'b', /* c */ d: [0x1f, +.5,],} // e`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := Parse(text)
		var want any
		if json.Unmarshal(text, &want) != nil || !utf8Valid(text) {
			return
		}
		if err != nil && !strings.Contains(err.Error(), "twice") && !strings.Contains(err.Error(), "more than") {
			t.Fatalf("%q: %v", text, err)
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %#v, want %#v", text, got, want)
		}
	})
}

// utf8Valid leaves out what encoding/json replaces in its own way.
func utf8Valid(text []byte) bool {
	return strings.ToValidUTF8(string(text), "") == string(text) && !strings.Contains(strings.ToLower(string(text)), `\ud`)
}
