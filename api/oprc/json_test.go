package oprc

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
)

func text(s string) *string { return &s }

var full = &ObjData{
	Metadata: &ObjMeta{ClsId: "a.B", PartitionId: 4294967295, ObjectId: text("o1")},
	Event: &ObjectEvent{
		FuncTrigger: map[string]*FuncTrigger{"f": {OnComplete: []*TriggerTarget{{ClsId: "c", PartitionId: 7, FnId: "g", ReqOptions: map[string]string{"k": "v", "a": ""}}}}},
		DataTrigger: map[string]*DataTrigger{"1": {OnUpdate: []*TriggerTarget{
			{ClsId: "c", FnId: "g", ObjectId: text("o"), ReqOptions: map[string]string{}}, {ClsId: "d", FnId: "h", ReqOptions: map[string]string{}},
		}}},
	},
	Entries: map[string]*ValData{"b": {Data: []byte("hello"), Type: 1}, "a": {Data: []byte{}}, "é\"\\\n\x01": {Data: []byte{0, 255}, Type: -2147483648}},
}

const fullText = `{"metadata":{"cls_id":"a.B","partition_id":4294967295,"object_id":"o1"},"event":{"func_trigger":{"f":{"on_complete":[` +
	`{"cls_id":"c","partition_id":7,"object_id":null,"fn_id":"g","req_options":{"a":"","k":"v"}}],"on_error":[]}},"data_trigger":{"1":{"on_create":[],` +
	`"on_update":[{"cls_id":"c","partition_id":0,"object_id":"o","fn_id":"g","req_options":{}},` +
	`{"cls_id":"d","partition_id":0,"object_id":null,"fn_id":"h","req_options":{}}],"on_delete":[]}}},"entries":{"a":{"data":"","type":0},` +
	`"b":{"data":"aGVsbG8=","type":1},"é\"\\\n\u0001":{"data":"AP8=","type":-2147483648}}}`

func TestJSONForm(t *testing.T) {
	for _, c := range []struct {
		data *ObjData
		text string
	}{
		{full, fullText},
		{&ObjData{}, `{"metadata":null,"event":null,"entries":{}}`},
		{&ObjData{Metadata: &ObjMeta{}, Event: &ObjectEvent{}},
			`{"metadata":{"cls_id":"","partition_id":0,"object_id":null},"event":{"func_trigger":{},"data_trigger":{}},"entries":{}}`},
		{nil, "null"},
	} {
		if got := string(c.data.AppendJSON(nil)); got != c.text {
			t.Errorf("got  %s\nwant %s", got, c.text)
		}
		if c.data == nil {
			continue
		}
		back, err := DecodeObjData([]byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(back, c.data) {
			t.Errorf("got  %v\nwant %v", back, c.data)
		}
	}
	nils := (&ObjectEvent{FuncTrigger: map[string]*FuncTrigger{"f": nil}, DataTrigger: map[string]*DataTrigger{"d": {OnCreate: []*TriggerTarget{nil}}}}).AppendJSON(nil)
	if !json.Valid((&ObjData{Entries: map[string]*ValData{"a": nil}}).AppendJSON(nil)) || !json.Valid(nils) {
		t.Error("absent messages make no JSON")
	}
}

func TestStandardLibraryUsesTheForm(t *testing.T) {
	encoded, err := json.Marshal(map[string]any{"obj": full})
	if err != nil {
		t.Fatal(err)
	}
	var back struct{ Obj *ObjData }
	if err := json.Unmarshal(encoded, &back); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(back.Obj, full) {
		t.Errorf("got %v", back.Obj)
	}
	if err := json.Unmarshal([]byte(`{"obj":{}}`), &back); fault.CodeOf(err) != fault.DecodeError {
		t.Errorf("got %v", err)
	}
}

func TestJSONThatIsTaken(t *testing.T) {
	for in, want := range map[string]*ObjData{
		" \t\r\n{ \"entries\" : { } } ": {},
		`{"entries":{},"metadata":null,"event":null,"x":[1,{"y":[true,false,null,-0.5e+3,"\u00e9"]}],"z":{}}`: {},
		`{"entries":{"\u0061\ud83d\ude00\/\b\f\r\t":{"type":-0,"more":1,"data":"\u0065A=="}}}`:                {Entries: map[string]*ValData{"a😀/\b\f\r\t": {Data: []byte("x")}}},
		`{"entries":{"a":{"data":"","type":1},"a":{"data":"eA==","type":0}}}`:                                 {Entries: map[string]*ValData{"a": {Data: []byte("x")}}},
	} {
		got, err := DecodeObjData([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if !proto.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", in, got, want)
		}
	}
}

func TestJSONThatIsRefused(t *testing.T) {
	entry := func(value string) string { return `{"entries":{"a":` + value + `}}` }
	for in, want := range map[string]string{
		``:                                     "EOF while parsing a value at line 1 column 0",
		`{`:                                    "EOF while parsing an object at line 1 column 1",
		`{"entries"`:                           "EOF while parsing an object at line 1 column 10",
		`{"entries":`:                          "EOF while parsing a value at line 1 column 11",
		`{"ent`:                                "EOF while parsing a string at line 1 column 5",
		`{}`:                                   "missing field `entries` at line 1 column 2",
		"{\n\"entries\": {},\n}":               "trailing comma at line 3 column 1",
		`{"entries":{} "x":1}`:                 "expected `,` or `}` at line 1 column 15",
		`{"entries" {}}`:                       "expected `:` at line 1 column 12",
		`{entries:{}}`:                         "key must be a string at line 1 column 2",
		`{,}`:                                  "key must be a string at line 1 column 2",
		`{"entries":{}}{}`:                     "trailing characters at line 1 column 15",
		`{"entries":{}}` + "\x00":              "trailing characters at line 1 column 15",
		"\ufeff{\"entries\":{}}":               "expected value at line 1 column 1",
		`nul`:                                  "invalid type: null, expected struct ObjData at line 1 column 1",
		`{"x":nul}`:                            "expected ident at line 1 column 9",
		`{"x":nu`:                              "EOF while parsing a value at line 1 column 7",
		`{"x":01}`:                             "invalid number at line 1 column 7",
		`{"x":-}`:                              "invalid number at line 1 column 7",
		`{"x":1.}`:                             "invalid number at line 1 column 8",
		`{"x":1e}`:                             "invalid number at line 1 column 8",
		`{"x":+1}`:                             "expected value at line 1 column 6",
		`{"x":[1,]}`:                           "trailing comma at line 1 column 9",
		`{"x":[1 2]}`:                          "expected `,` or `]` at line 1 column 9",
		`{"x":"\x"}`:                           "invalid escape at line 1 column 8",
		`{"x":"\u12"}`:                         "invalid escape at line 1 column 12",
		`{"x":"\u1`:                            "EOF while parsing a string at line 1 column 9",
		`{"x":"\`:                              "EOF while parsing a string at line 1 column 7",
		`{"x":"\ud800\u0041"}`:                 "lone leading surrogate in hex escape at line 1 column 18",
		"{\"x\":\"a\nb\"}":                     "control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0",
		"{\"x\":\"\\n\tb\"}":                   "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 9",
		"{\"x\":\"\\n\xff\"}":                  "invalid unicode code point at line 1 column 10",
		`{"event":null,"event":null}`:          "duplicate field `event` at line 1 column 22",
		entry(`null`):                          "invalid type: null, expected struct ValData at line 1 column 17",
		entry(`{"data":"","type":null}`):       "invalid type: null, expected i32",
		entry(`{"data":"","type":2147483648}`): "invalid value: integer 2147483648, expected i32",
		entry(`{"data":"","type":1e0}`):        "invalid type: floating point, expected i32",
		entry(`{"data":"*","type":0}`):         "invalid base64",
		`{"entries":{},"metadata":{"partition_id":1}}`:                                                              "missing field `cls_id`",
		`{"entries":{},"metadata":{"partition_id":4294967296}}`:                                                     "invalid value: integer 4294967296, expected u32",
		`{"entries":{},"event":{"func_trigger":{"f":{"on_complete":{}}}}}`:                                          "invalid type: map, expected a sequence",
		`{"entries":{},"event":{"func_trigger":{"f":{"on_complete":[]}}}}`:                                          "missing field `on_error`",
		`{"entries":{},"event":{"data_trigger":{"f":{"on_create":[]}}}}`:                                            "missing field `on_update`",
		`{"entries":{},"event":{"data_trigger":{"f":{"on_create":[{"cls_id":"c","partition_id":0,"fn_id":"f"}]}}}}`: "missing field `req_options`",
		`{"entries":{},"event":{"data_trigger":{"f":{"on_create":[{"req_options":{"a":1}}]}}}}`:                     "invalid type: number, expected a string",
	} {
		_, err := DecodeObjData([]byte(in))
		if fault.CodeOf(err) != fault.DecodeError || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q:\ngot  %v\nwant %s", in, err, want)
		}
	}
}

func TestBatchForm(t *testing.T) {
	version := uint64(18446744073709551615)
	for in, want := range map[string]*Batch{
		`{}`: {},
		`{"set":null,"delete":null,"expected_version":null}`: {},
		`{"set":{"a":{"data":"eA==","type":0}},"delete":["b","c"],"expected_version":18446744073709551615}`: {
			Set: map[string]*ValData{"a": {Data: []byte("x")}}, Delete: []string{"b", "c"}, ExpectedVersion: &version},
	} {
		got, err := DecodeBatch([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if len(got.Set) != len(want.Set) || !proto.Equal(got.Set["a"], want.Set["a"]) || !reflect.DeepEqual(got.Delete, want.Delete) || !reflect.DeepEqual(got.ExpectedVersion, want.ExpectedVersion) {
			t.Errorf("%s: got %+v", in, got)
		}
	}
	for _, in := range []string{``, `[]`, `{"puts":{}}`, `{"set":{},"set":{}}`, `{"delete":"a"}`, `{"expected_version":18446744073709551616}`, `{} {}`} {
		if _, err := DecodeBatch([]byte(in)); fault.CodeOf(err) != fault.DecodeError {
			t.Errorf("%s: %v", in, err)
		}
	}
	if _, err := DecodeObjectEvent([]byte(`{"func_trigger":{},"data_trigger":{}}`)); err != nil {
		t.Error(err)
	}
	if _, err := DecodeObjectEvent([]byte(`null`)); fault.CodeOf(err) != fault.DecodeError {
		t.Errorf("got %v", err)
	}
}

func TestEncodingNeedsNoMemory(t *testing.T) {
	value, buf := &ValData{Data: bytes.Repeat([]byte("x"), 100)}, make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { buf = value.AppendJSON(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzDecodeObjData checks that nothing panics, that what is taken is JSON, and that its form reads back to the same.
func FuzzDecodeObjData(f *testing.F) {
	for _, seed := range []string{
		fullText, `{}`, `{"entries":{}}`, `{"entries":{"\ud83d\ude00":{"data":"eA==","type":1}}}`, `{"x":[[[]]],"entries":{}}`, `{"x":-1.5e-3}`, "\xff", `{"a`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		x, err := DecodeObjData(in)
		if err != nil {
			if fault.CodeOf(err) != fault.DecodeError {
				t.Fatalf("error %v", err)
			}
			return
		}
		if !json.Valid(in) {
			t.Fatalf("%q was taken and is no JSON", in)
		}
		form := x.AppendJSON(nil)
		back, err := DecodeObjData(form)
		if err != nil || !proto.Equal(x, back) {
			t.Fatalf("%s does not read back: %v", form, err)
		}
	})
}

func FuzzDecodeBatch(f *testing.F) {
	f.Add([]byte(`{"set":{"a":{"data":"eA==","type":0}},"delete":["b"],"expected_version":1}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := DecodeBatch(in); err == nil && !json.Valid(in) {
			t.Fatalf("%q was taken and is no JSON", in)
		}
	})
}

// FuzzAppendString compares with the standard library's reading.
func FuzzAppendString(f *testing.F) {
	f.Add("a\"\\\x00\x1f\u2028é😀\xff\xc3")
	f.Fuzz(func(t *testing.T, in string) {
		var out string
		if err := json.Unmarshal(AppendString(nil, in), &out); err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(in, "\uFFFD"); strings.ReplaceAll(out, "\uFFFD", "") != strings.ReplaceAll(want, "\uFFFD", "") {
			t.Fatalf("%q became %q", in, out)
		}
	})
}
