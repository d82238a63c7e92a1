package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// knotPackage is a package whose methods call each other, in worker processes.
func knotPackage() string {
	return strings.ReplaceAll(`
name: knot
classes:
  - key: knot
    state_spec: {persistent: true}
    function_bindings:
      - {name: set, function_key: fn}
      - {name: again, function_key: fn}
      - {name: down, function_key: fn}
      - {name: meet, function_key: fn, timeout: 20s}
      - {name: late, function_key: fn, timeout: 400ms}
      - {name: show, function_key: fn}
  - key: counter
    state_spec: {persistent: true}
    options: {mailbox_limit: "8"}
    function_bindings:
      - {name: add, function_key: fn}
      - {name: slow, function_key: fn}
      - {name: peek, function_key: fn, readonly: true}
functions:
  - key: fn
    runtime: command
    command: [WORKER]
    config: {FUNCTION_PACKAGE: knot}
    scaling: {autoscaling.knative.dev/max-scale: "1"}
`, "WORKER", worker)
}

// gate is a server on which methods wait until the test opens it.
type gate struct {
	*httptest.Server
	arrived chan string
	open    chan struct{}
	once    sync.Once
}

func newGate(t *testing.T) *gate {
	g := &gate{arrived: make(chan string, 100), open: make(chan struct{})}
	g.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		g.arrived <- r.URL.RawQuery
		select {
		case <-g.open:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { g.release(); g.Close() })
	return g
}

func (g *gate) release() { g.once.Do(func() { close(g.open) }) }

// wait gives what the next method that has come to the gate says.
func (g *gate) wait(t *testing.T) string {
	t.Helper()
	select {
	case query := <-g.arrived:
		return query
	case <-time.After(patience):
		t.Fatal("no method has come to the gate")
		return ""
	}
}

func TestCallsOfCalls(t *testing.T) {
	p := startPlatform(t)
	p.deploy("knot", knotPackage())
	t.Run("re-entry", func(t *testing.T) { testReentry(p.in(t)) })
	t.Run("conflict", func(t *testing.T) { testConflict(p.in(t)) })
	t.Run("circle", func(t *testing.T) { testCircle(p.in(t)) })
	t.Run("depth", func(t *testing.T) { testDepth(p.in(t)) })
	t.Run("late", func(t *testing.T) { testLate(p.in(t)) })
	t.Run("who waits", func(t *testing.T) { testWhoWaits(p.in(t)) })
	t.Run("mailbox full", func(t *testing.T) { testMailboxFull(p.in(t)) })
}

// A call that comes back runs inside the turn, sees what was committed inside it, and both commit.
func testReentry(p *platform) {
	p.call("knot.knot", "self", "set", "before")
	a := p.call("knot.knot", "self", "again", map[string]string{"Entry": "b"})
	if state := p.object("knot.knot", "self"); a.status != http.StatusOK || state["a"] != `"inner"` || state["b"] != `"saw inner"` {
		p.t.Errorf("%s; the object is %v", a, state)
	}
	if got := p.version("knot.knot", "self"); got != 3 {
		p.t.Errorf("version %d after three commits", got)
	}
}

// When both write the same entry the outer method loses.
func testConflict(p *platform) {
	a := p.call("knot.knot", "clash", "again", map[string]string{"Entry": "a"})
	if a.status != http.StatusConflict || a.code() != "CONFLICT" || !strings.Contains(string(a.body), `a`) {
		p.t.Errorf("%s", a)
	}
	if state := p.object("knot.knot", "clash"); state["a"] != `"inner"` || state["b"] != "" {
		p.t.Errorf("the object is %v", state)
	}
	if after := p.call("knot.knot", "clash", "set", "after"); after.status != http.StatusOK {
		p.t.Errorf("after a conflict: %s", after)
	}
}

// Two methods that call each other's object can never go on: the one that closes the circle is told so, the other one goes on.
func testCircle(p *platform) {
	g := newGate(p.t)
	answers := make(chan *answer, 2)
	for _, pair := range [][2]string{{"left", "right"}, {"right", "left"}} {
		go func() {
			payload := fmt.Sprintf(`{"Gate":%q,"Other":%q}`, g.URL, pair[1])
			a, err := p.send(http.MethodPost, methodPath("knot.knot", pair[0], "meet"), []byte(payload))
			if err != nil {
				a = &answer{body: []byte(err.Error())}
			}
			answers <- a
		}()
	}
	g.wait(p.t)
	g.wait(p.t)
	g.release()
	first, second := <-answers, <-answers
	if first.status == http.StatusOK {
		first, second = second, first
	}
	if first.status != http.StatusLoopDetected || second.status != http.StatusOK {
		p.t.Fatalf("the answers are %s and %s", first, second)
	}
	text := string(first.body)
	if first.code() != "LOOP_DETECTED" || !strings.Contains(text, "left") || !strings.Contains(text, "right") || !strings.Contains(text, "→") {
		p.t.Errorf("%s does not tell the path", first)
	}
}

// A chain may have 16 calls.
func testDepth(p *platform) {
	for _, c := range []struct {
		levels, status int
		objects        []string
	}{{15, 200, []string{"deep"}}, {16, 508, []string{"deep"}}, {15, 200, []string{"deep", "deeper", "deepest"}}, {16, 508, []string{"deep", "deeper", "deepest"}}} {
		a := p.call("knot.knot", "deep", "down", map[string]any{"Levels": c.levels, "Objects": c.objects})
		if a.status != c.status || c.status == 200 && string(a.body) != fmt.Sprint(c.levels) || c.status == 508 && a.code() != "LOOP_DETECTED" {
			p.t.Errorf("%d levels over %d objects: %s", c.levels, len(c.objects), a)
		}
	}
}

// What a method does after its time is over has no effect: neither its answer nor its calls.
func testLate(p *platform) {
	g, reports := newGate(p.t), newGate(p.t)
	a := p.call("knot.knot", "tardy", "late", map[string]string{"Gate": g.URL, "Report": reports.URL})
	if a.status != http.StatusGatewayTimeout || a.code() != "DEADLINE_EXCEEDED" {
		p.t.Errorf("%s", a)
	}
	g.release()
	if report := reports.wait(p.t); report != "status=409" {
		p.t.Errorf("a call with the chain of a call that is over: %s", report)
	}
	reports.release()
	if after := p.call("knot.knot", "tardy", "set", "on time"); after.status != http.StatusOK {
		p.t.Errorf("%s", after)
	}
	if state := p.object("knot.knot", "tardy"); len(state) != 1 || state["a"] != `"on time"` {
		p.t.Errorf("the object is %v", state)
	}
}

// While a method runs, reads and readonly methods answer from before, and writes and methods wait their turn, in order.
func testWhoWaits(p *platform) {
	p.must(http.MethodPost, methodPath("knot.counter", "busy", "add"), nil)
	g := newGate(p.t)
	slow := p.later(http.MethodPost, methodPath("knot.counter", "busy", "slow"), fmt.Sprintf(`{"gate":%q}`, g.URL))
	g.wait(p.t)
	write := p.later(http.MethodPut, objectPath("knot.counter", "busy")+"/entries/note", "from outside")
	p.until("the write waits", func() bool { return p.metric("oaas_mailbox_waiting") == 1 })
	method := p.later(http.MethodPost, methodPath("knot.counter", "busy", "add"), "")
	p.until("the method waits", func() bool { return p.metric("oaas_mailbox_waiting") == 2 })
	if state := p.object("knot.counter", "busy"); state["n"] != "1" || state["note"] != "" {
		p.t.Errorf("a read beside the method gives %v", state)
	}
	if a := p.call("knot.counter", "busy", "peek", nil); string(a.body) != "1" {
		p.t.Errorf("a readonly method beside it gives %s", a)
	}
	impatient := p.do(http.MethodPost, methodPath("knot.counter", "busy", "add"), nil, "Oaas-Timeout", "200ms")
	if impatient.status != http.StatusGatewayTimeout || impatient.code() != "DEADLINE_EXCEEDED" {
		p.t.Errorf("a call that does not want to wait gets %s", impatient)
	}
	select {
	case a := <-write:
		p.t.Errorf("the write did not wait: %s", a)
	case a := <-method:
		p.t.Errorf("the method did not wait: %s", a)
	default:
	}
	g.release()
	if a := <-slow; string(a.body) != "2" {
		p.t.Errorf("the slow method: %s", a)
	}
	if a := <-write; a.status != http.StatusOK || a.header.Get("Oaas-Object-Version") != "3" {
		p.t.Errorf("the write: %s, version %s", a, a.header.Get("Oaas-Object-Version"))
	}
	if a := <-method; string(a.body) != "3" {
		p.t.Errorf("the method that waited: %s", a)
	}
	if state := p.object("knot.counter", "busy"); state["n"] != "3" || state["note"] != "from outside" {
		p.t.Errorf("in the end the object is %v", state)
	}
}

// later sends a request in the background.
func (p *platform) later(method, path, body string) <-chan *answer {
	done := make(chan *answer, 1)
	go func() {
		a, err := p.send(method, path, []byte(body))
		if err != nil {
			a = &answer{body: []byte(err.Error())}
		}
		done <- a
	}()
	return done
}

// A full mailbox says so and when to come again; afterwards everything goes on.
func testMailboxFull(p *platform) {
	g := newGate(p.t)
	slow := p.later(http.MethodPost, methodPath("knot.counter", "full", "slow"), fmt.Sprintf(`{"gate":%q}`, g.URL))
	g.wait(p.t)
	var waiting []<-chan *answer
	for range 8 {
		waiting = append(waiting, p.later(http.MethodPost, methodPath("knot.counter", "full", "add"), ""))
	}
	p.until("eight calls wait", func() bool { return p.metric("oaas_mailbox_waiting") == 8 })
	for _, a := range []*answer{
		p.do(http.MethodPost, methodPath("knot.counter", "full", "add"), nil),
		p.do(http.MethodPut, objectPath("knot.counter", "full")+"/entries/x", []byte("1")),
		p.do(http.MethodDelete, objectPath("knot.counter", "full"), nil),
	} {
		if a.status != http.StatusTooManyRequests || a.code() != "BUSY" || a.header.Get("Retry-After") == "" {
			p.t.Errorf("%s, Retry-After %q", a, a.header.Get("Retry-After"))
		}
	}
	if a := p.call("knot.counter", "other", "add", nil); a.status != http.StatusOK {
		p.t.Errorf("another object: %s", a)
	}
	later := p.must(http.MethodPost, methodPath("knot.counter", "full", "add"), nil, "Prefer", "respond-async")
	g.release()
	for _, done := range append(waiting, slow) {
		if a := <-done; a.status != http.StatusOK {
			p.t.Errorf("a call that waited: %s", a)
		}
	}
	var inv struct{ Status string }
	a := p.must(http.MethodGet, later.header.Get("Location")+"?wait=20s", nil)
	if err := json.Unmarshal(a.body, &inv); err != nil || inv.Status != "succeeded" {
		p.t.Errorf("the asynchronous call to a full mailbox: %s", a)
	}
	if n := p.number("knot.counter", "full", "n"); n != 10 {
		p.t.Errorf("counted %d of 10 calls", n)
	}
}
