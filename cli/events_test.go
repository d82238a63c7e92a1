package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestEvents(t *testing.T) {
	url, _ := platform(t)
	env := []string{"OAAS_URL=" + url}
	for _, args := range [][]string{{"set", "shop.cart", "alice", "total=1", "note=x"}, {"set", "shop.cart", "alice", "total=2"}, {"delete", "shop.cart", "alice"}} {
		if o := command(t, "", env, append([]string{"object"}, args...)...); o.code != 0 {
			t.Fatalf("%+v", o)
		}
	}
	o := command(t, "", env, "events", "shop.cart", "alice", "--from", "earliest", "--limit", "3")
	var told []string
	for _, line := range strings.Split(strings.TrimSpace(o.out), "\n") {
		_, text, _ := strings.Cut(line, " ") // without the time
		told = append(told, text)
	}
	if want := "alice v1 +note +total|alice v2 ~total|alice v3 -note -total"; o.code != 0 || strings.Join(told, "|") != want {
		t.Errorf("%+v\nwant %s", o, want)
	}
	o = command(t, "", env, "events", "shop.cart", "--from", "earliest", "--entry", "n*", "--limit", "1", "-o", "json")
	var first struct {
		Position string `json:"position"`
		Changes  []any  `json:"changes"`
	}
	if err := json.Unmarshal([]byte(o.out), &first); err != nil || o.code != 0 || len(first.Changes) != 1 {
		t.Fatalf("%v %+v", err, o)
	}
	if o = command(t, "", env, "events", "shop.cart", "--from", first.Position, "--limit", "1"); !strings.Contains(o.out, "v2 ~total") {
		t.Errorf("from %s: %+v", first.Position, o)
	}
	for _, bad := range [][]string{{"no.such"}, {"shop.cart", "--from", "x"}, {"shop.cart", "--action", "made"}, {"shop.cart", "-p", "7"}} {
		if o := command(t, "", env, append([]string{"events"}, bad...)...); o.code != 1 || o.err == "" || o.out != "" {
			t.Errorf("%v: %+v", bad, o)
		}
	}
}

// TestEventsGoOn cuts the connection: the command comes back with the position that it had, and tells what it missed.
func TestEventsGoOn(t *testing.T) {
	var asked []string
	change := func(n int) string {
		return fmt.Sprintf("id: p%d\ndata: {\"object_id\":\"a\",\"version\":%d,\"changes\":[{\"key\":\"x\",\"action\":\"update\",\"value\":\"aGk=\"}]}\n\n", n, n)
	}
	answers := []string{
		"retry: 1\nid: p0\n\n" + change(1) + "id: p2\ndata: {\"cut", ":\n\n" + change(2),
		"event: gap\nid: p8\ndata: {\"source\":\"gap\",\"partition_id\":3,\"gap\":{\"from\":3,\"missing\":6}}\n\n" + change(9),
		"event: error\ndata: {\"error\":{\"code\":\"INTERNAL\",\"message\":\"over\"}}\n\n",
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String()+" "+r.Header.Get("Last-Event-ID"))
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(answers[len(asked)-1]))
	}))
	defer server.Close()
	o := command(t, "", []string{"OAAS_URL=" + server.URL}, "events", "c", "A b", "--method", "f")
	path := "/api/class/c/_/objects/A%20b/events?method=f "
	if want := path + "|" + path + "p1|" + path + "p2|" + path + "p9"; strings.Join(asked, "|") != want {
		t.Errorf("asked %q\nwant  %q", strings.Join(asked, "|"), want)
	}
	if o.code != 1 || strings.Count(o.out, "~x=hi") != 3 || !strings.Contains(o.err, "6 changes of partition 3 are missing") || !strings.Contains(o.err, "over") {
		t.Errorf("%+v", o)
	}
}
