package function

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// badReplies are JSON replies that break the contract, with what the error must say.
var badReplies = []struct{ name, body, want string }{
	{"empty", ``, "the JSON ends where '{' is expected"},
	{"only space", " \n", "the JSON ends"},
	{"null", `null`, "byte 0 is 'n' where '{' is expected"},
	{"list", `[]`, "byte 0 is '['"},
	{"half", `{"set":{"a":{"text":"x"}`, "the JSON ends where ',' or '}' is expected"},
	{"half string", `{"set":{"a":{"text":"x`, "set.a: the JSON ends in the middle of a string"},
	{"half escape", `{"content_type":"a\`, "content_type: the JSON ends in the middle of a string"},
	{"two values", `{}{}`, "something after the end"},
	{"trailing comma", `{"delete":["a"],}`, "byte 16 is '}'"},
	{"no comma", `{"delete":["a"]"set":{}}`, "byte 15 is '\"'"},
	{"NUL", "{}\x00", "something after the end"},
	{"unknown field", `{"state":{}}`, "state: is not a known field"},
	{"case of field", `{"Set":{}}`, "Set: is not a known field"},
	{"field twice", `{"set":{},"set":{}}`, "set: is given twice"},
	{"field twice with null", `{"set":null,"set":{}}`, "set: is given twice"},
	{"set is a list", `{"set":[]}`, "set: byte 7 is '['"},
	{"value is text", `{"set":{"a":"b"}}`, "set.a: byte 12"},
	{"value is null", `{"set":{"a":null}}`, "set.a: byte 12 is 'n'"},
	{"value is empty", `{"set":{"a":{}}}`, "set.a: has 0 of text, base64 and json"},
	{"value has two", `{"set":{"a":{"text":"x","base64":"eA=="}}}`, "set.a: has 2 of text, base64 and json"},
	{"value twice", `{"set":{"a":{"text":"x","text":"y"}}}`, "set.a.text: is given twice"},
	{"text is a number", `{"set":{"a":{"text":5}}}`, "set.a: byte 20 is '5'"},
	{"text is null", `{"set":{"a":{"text":null}}}`, "set.a: byte 20 is 'n'"},
	{"version in a reply", `{"set":{"a":{"text":"5","version":1}}}`, "set.a.version: only the platform gives versions"},
	{"unknown type", `{"set":{"a":{"text":"5","type":2}}}`, "set.a.type: 2 is not a type"},
	{"type is text", `{"set":{"a":{"text":"5","type":"1"}}}`, "set.a.type"},
	{"type is a fraction", `{"set":{"a":{"text":"5","type":1.0}}}`, "set.a.type: 1.0 is not a whole number"},
	{"type is negative", `{"set":{"a":{"text":"5","type":-1}}}`, "set.a.type: -1 is not"},
	{"type with leading zero", `{"set":{"a":{"text":"5","type":01}}}`, "set.a.type: 01 is not"},
	{"payload with type", `{"payload":{"text":"5","type":0}}`, "payload.type: is not a known field"},
	{"payload is text", `{"payload":"5"}`, "payload: byte 11"},
	{"json is not JSON", `{"set":{"a":{"json":{"x":nope}}}}`, `set.a: {"x":nope} is not JSON`},
	{"json is bytes", "{\"set\":{\"a\":{\"json\":\x80}}}", "set.a: \uFFFD is not JSON"},
	{"json is missing", `{"set":{"a":{"json":}}}`, "set.a: byte 20 is '}' where"},
	{"json is half", `{"set":{"a":{"json":[1,`, "set.a: the JSON ends"},
	{"json is unbalanced", `{"set":{"a":{"json":[1}}}`, "set.a"},
	{"json has a surrogate", `{"set":{"a":{"json":["\ud800"]}}}`, "is no character"},
	{"base64 without padding", `{"set":{"a":{"base64":"eA"}}}`, `set.a: "eA" is not base64`},
	{"base64 of URLs", `{"set":{"a":{"base64":"-_-_"}}}`, "is not base64"},
	{"base64 with spare bits", `{"set":{"a":{"base64":"eB=="}}}`, "is not base64"},
	{"not UTF-8", "{\"set\":{\"a\":{\"text\":\"\xff\"}}}", "set.a: a string is not UTF-8; send bytes as base64"},
	{"not UTF-8 after an escape", "{\"set\":{\"a\":{\"text\":\"\\n\xff\"}}}", "set.a: a string is not UTF-8"},
	{"raw control character", "{\"set\":{\"a\":{\"text\":\"\n\"}}}", "set.a: byte 21 is the control character 0x0a"},
	{"control after an escape", "{\"set\":{\"a\":{\"text\":\"\\n\n\"}}}", "control character 0x0a"},
	{"lone surrogate", `{"set":{"a":{"text":"\ud83d"}}}`, "set.a: a \\u escape"},
	{"two high surrogates", `{"set":{"a":{"text":"\ud83d\ud83d"}}}`, "is no character"},
	{"surrogate and other", `{"set":{"a":{"text":"\ud83d\ufffd"}}}`, "is no character"},
	{"bad unicode escape", `{"set":{"a":{"text":"\u12x4"}}}`, "is no character"},
	{"short unicode escape", `{"set":{"a":{"text":"\u12`, "is no character"},
	{"unknown escape", `{"set":{"a":{"text":"\x41"}}}`, "begins an escape"},
	{"empty key", `{"set":{"":{"text":"x"}}}`, "the key is empty"},
	{"space in key", `{"set":{"a b":{"text":"x"}}}`, `set.a b: the key "a b" has ' '; letters, digits and . _ : - are allowed`},
	{"other letters in key", `{"set":{"é":{"text":"x"}}}`, `has 'é'`},
	{"slash in deleted key", `{"delete":["ok","a/b"]}`, `delete[1]: the key "a/b" has '/'`},
	{"long key", `{"delete":["` + strings.Repeat("k", 161) + `"]}`, "has 161 characters; at most 160 are allowed"},
	{"key set twice", `{"set":{"a":{"text":"x"},"a":{"text":"y"}}}`, `set.a: the key "a" is given twice`},
	{"key set twice by case", `{"set":{"a":{"text":"x"},"A":{"text":"y"}}}`, `set.A: the key "a" is given twice`},
	{"set and deleted", `{"set":{"a":{"text":"x"}},"delete":["A"]}`, `delete[0]: the key "a" is set or deleted already`},
	{"deleted twice", `{"delete":["a","a"]}`, `delete[1]: the key "a" is set or deleted already`},
	{"deleted is a number", `{"delete":[1]}`, "delete[0]: byte 11"},
	{"deleted is an object", `{"delete":{}}`, "delete: byte 10"},
	{"content type with line break", `{"content_type":"a\r\nSet-Cookie: x"}`, `content_type: "a\r\nSet-Cookie: x" has the control character U+000D`},
	{"long content type", `{"content_type":"` + strings.Repeat("x", 2000) + `"}`, "content_type: has 2000 bytes; at most 1024"},
	{"event without type", `{"events":[{}]}`, "events[0].type: is missing"},
	{"event is text", `{"events":["x"]}`, "events[0]: byte 11"},
	{"event with id", `{"events":[{"type":"t","id":"1"}]}`, "events[0].id: is not a known field"},
	{"event with data as text", `{"events":[{"type":"t","data":"x"}]}`, "events[0].data: byte 30"},
	{"event with line break", `{"events":[{"type":"a\nb"}]}`, "events[0].type: \"a\\nb\" has the control character U+000A"},
	{"extension name", `{"events":[{"type":"t"},{"type":"t","extensions":{"a-b":"c"}}]}`, `events[1].extensions: "a-b" is not a name of an extension`},
	{"extension name upper case", `{"events":[{"type":"t","extensions":{"Tenant":"c"}}]}`, `"Tenant" is not a name`},
	{"empty extension name", `{"events":[{"type":"t","extensions":{"":"c"}}]}`, `"" is not a name`},
	{"long extension name", `{"events":[{"type":"t","extensions":{"abcdefghijklmnopqrstu":"c"}}]}`, "is not a name"},
	{"reserved extension", `{"events":[{"type":"t","extensions":{"source":"c"}}]}`, `"source" is an attribute of CloudEvents itself`},
	{"extension is a number", `{"events":[{"type":"t","extensions":{"n":1}}]}`, "events[0].extensions.n: byte 41"},
	{"extension twice", `{"events":[{"type":"t","extensions":{"n":"1","n":"2"}}]}`, "events[0].extensions.n: is given twice"},
	{"extension with control", `{"events":[{"type":"t","extensions":{"n":"\u0000"}}]}`, "control character U+0000"},
}

func TestBadJSONReplies(t *testing.T) {
	for _, c := range badReplies {
		t.Run(c.name, func(t *testing.T) {
			reply, err := DecodeReply(JSON, []byte(c.body), Limits{})
			wantError(t, reply, err, c.want)
		})
	}
}

func wantError(t *testing.T, got any, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted as %+v", got)
	}
	var typed *Error
	if !errors.As(err, &typed) {
		t.Errorf("%T is not an *Error", err)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not say %q", err, want)
	}
}

func TestBadBinaryReplies(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"half a number", "80", "reply: the body ends in the middle of a number"},
		{"number over 64 bits", "ffffffffffffffffffff7f", "the body ends in the middle of a number, or"},
		{"field number 0", "00", "does not begin a field"},
		{"field number over 29 bits", "f8ffffffff7f", "does not begin a field"},
		{"group", "0b", "payload: has wire type 3; 2 is expected"},
		{"wire type", "08 01", "payload: has wire type 0; 2 is expected"},
		{"length over the end", "0a 05 61", "payload: has 5 bytes by its length, but only 1 follow"},
		{"huge length", "0a ffffffffffffffff7f", "by its length, but only 0 follow"},
		{"unknown field", "3a 00", "reply: field number 7 is not known"},
		{"unknown field in a value", "1a 07 0a0161 1202 2001", "set: field number 4 is not known"},
		{"unknown field in an entry", "1a 05 0a0161 1801", "set: field number 3 is not known"},
		{"content type not UTF-8", "12 01 ff", `content_type: "\xff" is not UTF-8`},
		{"key not UTF-8", "1a 03 0a01ff", "set: \"\\xff\" is not UTF-8"},
		{"key missing", "1a 02 1200", "the key is empty"},
		{"entry set twice", "1a 03 0a0161 1a 03 0a0161", `set.a: the key "a" is given twice`},
		{"set and deleted", "1a 03 0a0161 22 01 41", `delete[0]: the key "a" is set`},
		{"unknown type", "1a 07 0a0161 1202 1002", "set.a.type: 2 is not a type"},
		{"huge type", "1a 0b 0a0161 1206 10ffffffff7f", "is over"},
		{"version", "1a 07 0a0161 1202 1801", "set.a.version: only the platform"},
		{"event without type", "2a 00", "events[0].type: is missing"},
		{"unknown field in an event", "2a 02 3001", "events: field number 6"},
		{"extension twice", "2a 11 0a0174 2a05 0a0161 1200 2a05 0a0161 1200", "events.extensions: the key \"a\" is given twice"},
		{"extension name", "2a 0a 0a0174 2a05 0a0141 1200", `"A" is not a name of an extension`},
		{"nested half", "1a 03 0a0561", "set: has 5 bytes by its length, but only 1 follow"},
	} {
		t.Run(c.name, func(t *testing.T) {
			body, err := hex.DecodeString(strings.ReplaceAll(c.body, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			reply, err := DecodeReply(Binary, body, Limits{})
			wantError(t, reply, err, c.want)
		})
	}
}

func TestBadCalls(t *testing.T) {
	for _, c := range []struct {
		name string
		form Form
		body string
		want string
	}{
		{"partition too large", JSON, `{"partition":4294967296}`, "partition: 4294967296 is not a whole number from 0 to 4294967295"},
		{"partition as text", JSON, `{"partition":"1"}`, "partition"},
		{"version too large", JSON, `{"version":18446744073709551616}`, "from 0 to 18446744073709551615"},
		{"readonly as number", JSON, `{"readonly":1}`, "readonly: 1 is not true or false"},
		{"entry twice", JSON, `{"entries":{"a":{"text":""},"a":{"text":""}}}`, "entries.a: the key is given twice"},
		{"unknown field is no JSON", JSON, `{"new":{"x":}}`, "new"},
		{"option twice", JSON, `{"options":{"a":"","a":""}}`, "options.a: is given twice"},
		{"half", JSON, `{"class":`, "class: the JSON ends"},
		{"entry twice", Binary, "\x52\x03\x0a\x01a\x52\x03\x0a\x01a", "entries.a: the key is given twice"},
		{"readonly over one", Binary, "\x28\x02", "readonly: 2 is over 1"},
		{"partition too large", Binary, "\x10\xff\xff\xff\xff\x7f", "partition: "},
		{"group in an unknown field", Binary, "\x7b", "wire type 3 is not supported"},
		{"half of an unknown number", Binary, "\x79\x00", "the body ends in the middle of a number"},
	} {
		t.Run(c.form.String()+" "+c.name, func(t *testing.T) {
			call, err := DecodeCall(c.form, []byte(c.body), Limits{})
			wantError(t, call, err, c.want)
		})
	}
}

func TestLimits(t *testing.T) {
	many := func(n int) (entries []Entry) {
		for i := range n {
			entries = append(entries, Entry{Key: strings.Repeat("k", i+1)})
		}
		return entries
	}
	for _, c := range []struct {
		name   string
		reply  Reply
		limits Limits
		want   string
	}{
		{"body", Reply{Payload: make([]byte, 20)}, Limits{Body: 10}, "bytes; at most 10 are allowed"},
		{"payload", Reply{Payload: make([]byte, 6)}, Limits{Payload: 5}, "payload: has 6 bytes; at most 5"},
		{"value", Reply{Set: []Entry{{"a", Value{Data: make([]byte, 6)}}}}, Limits{Value: 5}, "set.a: has 6 bytes; at most 5"},
		{"changes", Reply{Set: many(2), Delete: []string{"x"}}, Limits{Changes: 2}, "3 entries are set or deleted; at most 2"},
		{"events", Reply{Events: []Event{{Type: "a"}, {Type: "b"}}}, Limits{Events: 1}, "events: 2 events; at most 1"},
		{"event data", Reply{Events: []Event{{Type: "a", Data: make([]byte, 6)}}}, Limits{Payload: 5}, "events[0].data: has 6 bytes"},
		{"key", Reply{Set: many(4)}, Limits{Key: 3}, "has 4 characters; at most 3"},
		{"extensions", Reply{Events: []Event{{Type: "a", Extensions: manyTexts(65)}}}, Limits{}, "65 extensions; at most 64"},
		{"default changes", Reply{Delete: make([]string, DefaultChanges+1)}, Limits{}, "10001 entries"},
	} {
		for _, form := range forms {
			t.Run(c.name+" "+form.String(), func(t *testing.T) {
				reply, err := DecodeReply(form, EncodeReply(form, &c.reply), c.limits)
				wantError(t, reply, err, c.want)
			})
		}
	}
	if _, err := DecodeCall(JSON, make([]byte, 11), Limits{Body: 10}); err == nil || !strings.Contains(err.Error(), "at most 10") {
		t.Errorf("call over the limit: %v", err)
	}
}

func manyTexts(n int) map[string]string {
	texts := map[string]string{}
	for i := range n {
		texts[strings.Repeat("x", i%20)+string(rune('a'+i%26))] = ""
	}
	return texts
}

// A reply may well be large: repeated keys must be found among many as among few.
func TestManyKeys(t *testing.T) {
	reply := &Reply{}
	for i := range 2000 {
		reply.Delete = append(reply.Delete, "k"+strings.Repeat("0", i%100)+"."+strings.Repeat("1", i/100))
	}
	if err := reply.Check(Limits{}); err != nil {
		t.Fatal(err)
	}
	reply.Delete[1999] = "K."
	if err := reply.Check(Limits{}); err == nil || !strings.HasPrefix(err.Error(), "delete[1999]: ") {
		t.Errorf("a repeated key gives %v", err)
	}
}

func TestDeepJSONIsRefusedWithoutHarm(t *testing.T) {
	deep := `{"payload":{"json":` + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + `}}`
	if _, err := DecodeReply(JSON, []byte(deep), Limits{}); err == nil {
		t.Error("200,000 nested lists are accepted")
	}
}
