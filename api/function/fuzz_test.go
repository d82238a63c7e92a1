package function

import (
	"net/http"
	"testing"
	"unicode/utf8"
)

// What a decoder accepts must keep the rules, and must survive being encoded again in both forms.

func FuzzDecodeReply(f *testing.F) {
	for _, c := range badReplies {
		f.Add(false, []byte(c.body))
	}
	r := newRandom(6)
	for range 20 {
		reply := r.reply()
		f.Add(false, EncodeReply(JSON, reply))
		f.Add(true, EncodeReply(Binary, reply))
	}
	f.Fuzz(func(t *testing.T, binary bool, body []byte) {
		form := JSON
		if binary {
			form = Binary
		}
		reply, err := DecodeReply(form, body, Limits{})
		if err != nil {
			if !utf8.ValidString(err.Error()) {
				t.Errorf("error is not text: %q", err)
			}
			return
		}
		for _, again := range forms {
			got, err := DecodeReply(again, EncodeReply(again, reply), Limits{})
			if err != nil {
				t.Fatalf("%v: %v after encoding %+v", again, err, reply)
			}
			if !same(reply, got) {
				t.Fatalf("%v: %+v became %+v", again, reply, got)
			}
		}
	})
}

func FuzzDecodeCall(f *testing.F) {
	f.Add(false, []byte(`{"new":[{"x":["]}",1.5e3]}],"class":"a.b","entries":{"z":{"text":"1","new":true},"a":{"json":1}}}`))
	r := newRandom(7)
	for range 20 {
		call := r.call()
		f.Add(false, EncodeCall(JSON, call))
		f.Add(true, EncodeCall(Binary, call))
	}
	f.Fuzz(func(t *testing.T, binary bool, body []byte) {
		form := JSON
		if binary {
			form = Binary
		}
		call, err := DecodeCall(form, body, Limits{})
		if err != nil {
			return
		}
		for _, again := range forms {
			got, err := DecodeCall(again, EncodeCall(again, call), Limits{})
			if err != nil {
				t.Fatalf("%v: %v after encoding %+v", again, err, call)
			}
			if !same(call, got) {
				t.Fatalf("%v: %+v became %+v", again, call, got)
			}
		}
	})
}

func FuzzReadMeta(f *testing.F) {
	f.Add("2026-01-31T12:00:00.000Z", "1", "0")
	f.Add("2026-02-31T12:00:00Z", "-1", "9999999999999999999")
	f.Fuzz(func(t *testing.T, deadline, attempt, depth string) {
		h := http.Header{}
		h.Set(HeaderDeadline, deadline)
		h.Set(HeaderAttempt, attempt)
		h.Set(HeaderDepth, depth)
		meta, err := ReadMeta(h)
		if err == nil && (meta.Attempt < 1 || meta.Depth < 0) {
			t.Errorf("accepted as %+v", meta)
		}
	})
}
