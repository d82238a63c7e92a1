package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// sink is a CloudEvents sink that answers as the test wants.
type sink struct {
	*httptest.Server
	mu       sync.Mutex
	refuse   int // how many to refuse next
	status   int // with which status; 0: accept
	received []received
}

type received struct {
	header http.Header
	body   string
	status int
}

func newSink(t *testing.T) *sink {
	s := &sink{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read event: %v", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		status := http.StatusAccepted
		if s.refuse > 0 {
			s.refuse--
			status = s.status
		}
		s.received = append(s.received, received{r.Header.Clone(), string(body), status})
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *sink) refuseNext(n, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse, s.status = n, status
}

// got gives what came so far, by what was answered.
func (s *sink) got(status int) []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []received
	for _, r := range s.received {
		if r.status == status {
			found = append(found, r)
		}
	}
	return found
}

// TestSink has the platform send what a class emits to K_SINK: with the right attributes, in order, again after a 503, and to the dead-letter
// list what is refused for good, from where the command line replays and drops it.
func TestSink(t *testing.T) {
	s := newSink(t)
	p := newPlatform(t)
	p.env = []string{"K_SINK=" + s.URL, `K_CE_OVERRIDES={"extensions":{"tenant":"e2e"}}`}
	p.start()
	p.deploy("emit", countingPackage("emit", "pebble"))
	for range 3 {
		p.must(http.MethodPost, methodPath("emit.counter", "c1", "add"), nil)
	}
	p.until("three events have come", func() bool { return len(s.got(http.StatusAccepted)) == 3 })
	ids := map[string]bool{}
	for i, r := range s.got(http.StatusAccepted) {
		for name, want := range map[string]string{
			"Ce-Specversion": "1.0", "Ce-Type": "e2e.added", "Ce-Subject": "c1", "Ce-Tenant": "e2e", "Content-Type": "application/json",
		} {
			if got := r.header.Get(name); got != want {
				t.Errorf("event %d: %s is %q, not %q", i, name, got, want)
			}
		}
		if !regexp.MustCompile(`^/oaas/emit\.counter/[0-2]/c1$`).MatchString(r.header.Get("Ce-Source")) {
			t.Errorf("event %d has source %q", i, r.header.Get("Ce-Source"))
		}
		if _, err := time.Parse(time.RFC3339, r.header.Get("Ce-Time")); err != nil {
			t.Errorf("event %d: %v", i, err)
		}
		if r.body != fmt.Sprint(i+1) {
			t.Errorf("event %d has data %s", i, r.body)
		}
		ids[r.header.Get("Ce-Id")] = true
	}
	if len(ids) != 3 {
		t.Errorf("three events have the ids %v", ids)
	}

	s.refuseNext(2, http.StatusServiceUnavailable)
	p.must(http.MethodPost, methodPath("emit.counter", "c1", "add"), nil)
	p.must(http.MethodPost, methodPath("emit.counter", "c1", "add"), nil)
	p.until("five events have come", func() bool { return len(s.got(http.StatusAccepted)) == 5 })
	if again := s.got(http.StatusServiceUnavailable); len(again) != 2 || again[0].header.Get("Ce-Id") != again[1].header.Get("Ce-Id") || again[0].body != "4" {
		t.Errorf("refused were %v", again)
	}
	if done := s.got(http.StatusAccepted); done[3].body != "4" || done[4].body != "5" {
		t.Errorf("after a failure the order is %s, %s", done[3].body, done[4].body)
	}
	testDeadLetters(p, s)
}

// letter is a dead letter as the command line gives it.
type letter struct {
	Seq       uint64 `json:"seq"`
	Partition int    `json:"partition"`
	Type      string `json:"type"`
	Object    string `json:"object"`
	Reason    string `json:"reason"`
	Attempts  int    `json:"attempts"`
}

func (p *platform) letters(class string) []letter {
	p.t.Helper()
	var document struct {
		Letters []letter `json:"dead_letters"`
	}
	if err := json.Unmarshal([]byte(p.oaas("trigger", "dead", class, "-o", "json")), &document); err != nil {
		p.t.Fatal(err)
	}
	return document.Letters
}

func testDeadLetters(p *platform, s *sink) {
	s.refuseNext(4, http.StatusBadRequest)
	for range 4 {
		p.must(http.MethodPost, methodPath("emit.counter", "c2", "add"), nil)
	}
	p.until("four events are dead", func() bool { return len(p.letters("emit.counter")) == 4 })
	p.kill() // they are kept
	p.start()
	dead := p.letters("emit.counter")
	if len(dead) != 4 {
		p.t.Fatalf("after kill -9 there are %d dead letters", len(dead))
	}
	if first := dead[0]; first.Type != "e2e.added" || first.Object != "c2" || first.Attempts != 1 || !strings.Contains(first.Reason, "400") {
		p.t.Errorf("%+v", first)
	}
	if table := p.oaas("trigger", "dead", "emit.counter"); !strings.Contains(table, "REASON") || !strings.Contains(table, "e2e.added") {
		p.t.Errorf("trigger dead prints\n%s", table)
	}
	before, partition := len(s.got(http.StatusAccepted)), fmt.Sprint(dead[0].Partition)
	p.oaas("trigger", "replay", "emit.counter", fmt.Sprint(dead[1].Seq), "-p", partition)
	p.until("the replayed event has come", func() bool { return len(s.got(http.StatusAccepted)) == before+1 })
	if last := s.got(http.StatusAccepted)[before]; last.body != "2" || last.header.Get("Ce-Id") != s.got(http.StatusBadRequest)[1].header.Get("Ce-Id") {
		p.t.Errorf("replayed was %s %v", last.body, last.header)
	}
	p.oaas("trigger", "drop", "emit.counter", fmt.Sprint(dead[0].Seq), "-p", partition)
	if left := p.letters("emit.counter"); len(left) != 2 {
		p.t.Errorf("after replay of one and drop of another there are %+v", left)
	}
	if _, errs, err := p.tryOaas("trigger", "drop", "emit.counter"); err == nil || !strings.Contains(errs, "--all") {
		p.t.Errorf("drop without numbers: %v %s", err, errs)
	}
	p.oaas("trigger", "replay", "emit.counter", "--all")
	p.until("all are replayed", func() bool { return len(s.got(http.StatusAccepted)) == before+3 })
	if left := p.letters("emit.counter"); len(left) != 0 {
		p.t.Errorf("left are %+v", left)
	}
}

// TestEventsFromOutside posts CloudEvents in all modes; those that come twice count once.
func TestEventsFromOutside(t *testing.T) {
	p := startPlatform(t)
	p.deploy("in", countingPackage("in", "bbolt"))
	structured := func(id, subject string) string {
		return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/me","type":"e2e.added","subject":%q,"data":{"a":1}}`, id, subject)
	}
	binary := func(id string) []string {
		return []string{"Ce-Specversion", "1.0", "Ce-Id", id, "Ce-Source", "/me", "Ce-Type", "e2e.added", "Ce-Subject", "s1", "Content-Type", "application/json"}
	}
	const one, many = "application/cloudevents+json", "application/cloudevents-batch+json"
	for _, c := range []struct {
		what    string
		path    string
		body    string
		headers []string
		status  int
		events  int // of s1, after it
	}{
		{"binary", "/events", `{"a":1}`, binary("1"), 202, 1},
		{"binary, again", "/", `{"a":1}`, binary("1"), 202, 1},
		{"structured", "/events", structured("2", "s1"), []string{"Content-Type", one}, 202, 2},
		{"structured, again", "/events", structured("2", "s1"), []string{"Content-Type", one + "; charset=utf-8"}, 202, 2},
		{"binary, what came structured", "/events", `{"a":1}`, binary("2"), 202, 2},
		{"batch", "/events", "[" + structured("3", "s1") + "," + structured("4", "s1") + "," + structured("3", "s1") + "]", []string{"Content-Type", many}, 202, 4},
		{"empty batch", "/events", "[]", []string{"Content-Type", many}, 202, 4},
		{"batch with a wrong one", "/events", "[" + structured("5", "s1") + `,{"id":"6"}]`, []string{"Content-Type", many}, 400, 4},
		{"batch with one for nobody", "/events", "[" + structured("7", "not an id!") + "," + structured("8", "s1") + "]", []string{"Content-Type", many}, 400, 5},
		{"other payload for the same id", "/events", `{"a":2}`, binary("1"), 422, 5},
		{"no subject", "/events", `{"specversion":"1.0","id":"9","source":"/me","type":"e2e.added"}`, []string{"Content-Type", one}, 400, 5},
		{"nobody subscribes", "/events", `{"specversion":"1.0","id":"9","source":"/me","type":"e2e.other","subject":"s1"}`, []string{"Content-Type", one}, 404, 5},
		{"an old version", "/events", `{"specversion":"0.3","id":"9","source":"/me","type":"e2e.added","subject":"s1"}`, []string{"Content-Type", one}, 400, 5},
		{"no event", "/events", `{}`, []string{"Content-Type", "application/json"}, 400, 5},
		{"garbage", "/events", `{`, []string{"Content-Type", one}, 400, 5},
		{"not UTF-8", "/events", "\xff\xfe", []string{"Content-Type", one}, 400, 5},
	} {
		a := p.do(http.MethodPost, c.path, []byte(c.body), c.headers...)
		if a.status != c.status {
			t.Errorf("%s: %s, want %d", c.what, a, c.status)
		}
		if got := p.number("in.log", "s1", "events"); got != c.events {
			t.Errorf("%s: %d events took effect, want %d", c.what, got, c.events)
		}
	}
}
