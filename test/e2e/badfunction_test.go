package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// newBadFunction is a function whose payload says how it misbehaves: "raw STATUS TYPE", a line break and a body, or a name of misbehave.
func newBadFunction(t *testing.T) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Payload struct {
				Text   string
				Base64 []byte
			}
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the platform has given up
		}
		text := string(body)
		if json.Unmarshal(body, &call) == nil { // else it is stateless, and gets the payload itself
			text = call.Payload.Text + string(call.Payload.Base64)
		}
		misbehave(w, r, text)
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server
}

const replyType = "application/vnd.oaas.reply+json"

func misbehave(w http.ResponseWriter, r *http.Request, how string) {
	switch head, body, _ := strings.Cut(how, "\n"); {
	case strings.HasPrefix(head, "raw "):
		var status int
		var contentType string
		if _, err := fmt.Sscanf(head, "raw %d %s", &status, &contentType); err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // the platform may have gone
	case head == "nothing":
		panic(http.ErrAbortHandler)
	case head == "half":
		w.Header().Set("Content-Type", replyType)
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"set":{"a":{"text":"half"}`)
		http.NewResponseController(w).Flush() //nolint:errcheck // the connection is cut anyway
		panic(http.ErrAbortHandler)
	case head == "half, chunked":
		w.Header().Set("Content-Type", replyType)
		_, _ = io.WriteString(w, `{"set":{"a":{"text":"half"}}}`)
		http.NewResponseController(w).Flush() //nolint:errcheck // the connection is cut anyway
		panic(http.ErrAbortHandler)
	case head == "garbage":
		garble(w)
	case head == "too much":
		w.Header().Set("Content-Type", replyType)
		_, _ = io.WriteString(w, `{"set":{"a":{"text":"`)
		chunk := strings.Repeat("x", 1<<20)
		for range 18 {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, `"}}}`)
	case head == "endless":
		w.Header().Set("Content-Type", replyType)
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat(" ", 1<<20)); err != nil {
				return
			}
		}
	case head == "late":
		select {
		case <-r.Context().Done():
		case <-time.After(patience):
		}
		w.Header().Set("Content-Type", replyType)
		_, _ = io.WriteString(w, `{"set":{"a":{"text":"late"}}}`)
	case head == "slow":
		w.Header().Set("Content-Type", replyType)
		for i := 0; r.Context().Err() == nil && i < 1000; i++ {
			_, _ = io.WriteString(w, " ")
			http.NewResponseController(w).Flush() //nolint:errcheck // the loop ends with the request
			time.Sleep(10 * time.Millisecond)
		}
	default:
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, how)
	}
}

// garble answers with what is not HTTP.
func garble(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(connection, "\x00\x01 this is not HTTP\r\n\r\n")
	connection.Close()
}

// TestBadFunctions calls methods of functions that answer garbage, half, too much, too late, or not at all.
func TestBadFunctions(t *testing.T) {
	p := startPlatform(t)
	function := newBadFunction(t)
	p.deploy("bad", badPackage(function.URL))
	p.must(http.MethodPut, objectPath("bad.thing", "kept")+"/entries/a", []byte("1"))
	before := p.dump("bad.thing")
	reply := func(body string) string { return "raw 200 " + replyType + "\n" + body }
	big := strings.Builder{}
	for i := range 10001 {
		fmt.Fprintf(&big, `,"k%d":{"text":""}`, i)
	}
	for _, c := range []struct {
		method, payload string
		status          int
		code            string
	}{
		{"echo", "nothing", 503, "FUNCTION_UNAVAILABLE"},
		{"echo", "garbage", 503, "FUNCTION_UNAVAILABLE"},
		{"echo", "half", 502, "BAD_REPLY"},
		{"echo", "half, chunked", 502, "BAD_REPLY"},
		{"echo", "too much", 502, "BAD_REPLY"},
		{"echo", "endless", 502, "BAD_REPLY"},
		{"hurried", "late", 504, "DEADLINE_EXCEEDED"},
		{"hurried", "slow", 504, "DEADLINE_EXCEEDED"},
		{"plain", "nothing", 503, "FUNCTION_UNAVAILABLE"},
		{"plain", "garbage", 503, "FUNCTION_UNAVAILABLE"},
		{"plain", "half", 502, "BAD_REPLY"},
		{"plain", "too much", 502, "BAD_REPLY"},
		{"echo", reply(""), 502, "BAD_REPLY"},
		{"echo", reply("garbage"), 502, "BAD_REPLY"},
		{"echo", reply(`[]`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"a":{"text":"x"}}}{}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"sets":{"a":{"text":"x"}}}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"a":{"text":"x"},"A":{"text":"y"}}}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"a":{"text":"x"}},"delete":["a"]}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"a":{"text":"x"}},"set":{}}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"a":{"text":"x","base64":""}}}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"a":{}}}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"a":{"text":"\ud800"}}}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"a":{"base64":"MQ"}}}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"a":{"text":"x","version":1}}}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"a b":{"text":"x"}}}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"":{"text":"x"}}}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"a":{"text":"x"}},"events":[{}]}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"a":{"text":"x"}},"events":[{"type":"t","extensions":{"id":"1"}}]}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"a":{"text":"x"}},"events":[{"type":"t","extensions":{"A b":"1"}}]}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"a":{"text":"x"}},"payload":"x"}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"a":{"text":"x"}` + big.String() + `}}`), 502, "BAD_REPLY"},
		{"echo", reply(`{"set":{"a":{"json":` + strings.Repeat("[", 20000) + `}}}`), 502, "BAD_REPLY"},
		{"echo", "raw 200 application/vnd.oaas.reply\n\xff\xff", 502, "BAD_REPLY"},
		{"look", reply(`{"set":{"a":{"text":"x"}}}`), 502, "BAD_REPLY"},
		{"look", reply(`{"events":[{"type":"t"}]}`), 502, "BAD_REPLY"},
		{"echo", "raw 418 text/x-teapot\nno coffee", 418, ""},
		{"echo", "raw 500 " + replyType + "\n" + `{"set":{"a":{"text":"x"}}}`, 500, ""},
		{"echo", "raw 302 text/plain\nelsewhere", 502, ""},
	} {
		a := p.do(http.MethodPost, methodPath("bad.thing", "kept", c.method), []byte(c.payload), "Content-Type", "text/plain", "Idempotency-Key", "same")
		if a.status != c.status || a.code() != c.code {
			t.Errorf("%s %.100q: %s\n  want %d %s", c.method, c.payload, a, c.status, c.code)
		}
		if c.status == 418 && (a.header.Get("Content-Type") != "text/x-teapot" || string(a.body) != "no coffee" || a.header.Get("Oaas-Error") != "FUNCTION_ERROR") {
			t.Errorf("a function's failure arrives as %s, %v", a, a.header)
		}
	}
	if after := p.dump("bad.thing"); after != before {
		t.Errorf("the store has changed; before:\n%s\nafter:\n%s", before, after)
	}
	if a := p.call("bad.thing", "kept", "echo", "fine"); a.status != http.StatusOK {
		t.Errorf("after all that: %s", a)
	}
	function.CloseClientConnections()
	function.Close()
	if a := p.call("bad.thing", "kept", "echo", "gone"); a.status != 503 || a.code() != "FUNCTION_UNAVAILABLE" || strings.Contains(string(a.body), "panic") {
		t.Errorf("a function that is not there: %s", a)
	}
}
