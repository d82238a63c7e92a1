package dev

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// streamed deploys a class, and gives what changes an object of it.
func streamed(t *testing.T) (r *rig, change func()) {
	r = open(t, t.TempDir())
	r.mustPost("/packages", `{"name":"p",`+cartClass+`,"functions":[{"key":"fn","url":"http://127.0.0.1:1"}]}`)
	r.mustPost("/deployments", `{"key":"d","package_name":"p","class_key":"cart"}`)
	return r, func() {
		t.Helper()
		if status, text := r.request("PUT", "/api/class/p.cart/0/objects/x/entries/k", "v", nil); status != http.StatusOK {
			t.Errorf("write: %d %s", status, text)
		}
	}
}

// A WebSocket goes through the Package Manager's proxy, by either path; a page of another origin is refused there too.
func TestSocketThroughProxy(t *testing.T) {
	r, change := streamed(t)
	for _, prefix := range []string{"", "/api/gateway", "/api/gateway/env/local-dev"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		conn, _, err := websocket.Dial(ctx, r.url+prefix+"/api/class/p.cart/0/objects/x/ws", nil)
		if err != nil {
			t.Fatalf("%s: %v", prefix, err)
		}
		change()
		kind, message, err := conn.Read(ctx)
		if err != nil || kind != websocket.MessageText || !strings.Contains(string(message), `"object_id":"x"`) {
			t.Errorf("%s: %s, %v", prefix, message, err)
		}
		if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Errorf("%s: close: %v", prefix, err)
		}
		_, resp, err := websocket.Dial(ctx, r.url+prefix+"/api/class/none/0/ws", nil)
		if err == nil || resp == nil || resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: an unknown class: %v, %v", prefix, resp, err)
		}
		cancel()
	}
}

// Server-sent events come over HTTP/1.1 and over HTTP/2, also through the proxy, as they happen; and many streams share one connection of HTTP/2.
func TestServerSentEventsOverHTTP2(t *testing.T) {
	r, change := streamed(t)
	one := &http.Transport{}
	two := &http.Transport{Protocols: new(http.Protocols)}
	two.Protocols.SetUnencryptedHTTP2(true)
	defer one.CloseIdleConnections()
	defer two.CloseIdleConnections()
	watch := func(transport *http.Transport, major int, prefix string) *bufio.Scanner {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+prefix+"/api/class/p.cart/0/objects/x/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.StatusCode != http.StatusOK || resp.ProtoMajor != major || resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%s over HTTP/%d: %d, HTTP/%d, %v", prefix, major, resp.StatusCode, resp.ProtoMajor, resp.Header)
		}
		return bufio.NewScanner(resp.Body)
	}
	var streams []*bufio.Scanner
	for _, prefix := range []string{"", "/api/gateway"} {
		streams = append(streams, watch(one, 1, prefix))
		for range 3 {
			streams = append(streams, watch(two, 2, prefix))
		}
	}
	for range 2 {
		change()
		for i, s := range streams {
			for s.Scan() && !strings.HasPrefix(s.Text(), "data:") {
			}
			if !strings.Contains(s.Text(), `"object_id":"x"`) {
				t.Errorf("stream %d: %q, %v", i, s.Text(), s.Err())
			}
		}
	}
}
