package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestSameKeyAtOnce sends one call many times at once: it counts once, and everybody gets the same answer.
func TestSameKeyAtOnce(t *testing.T) {
	p := startPlatform(t)
	p.deploy("once", countingPackage("once", "pebble"))
	for round := range 10 {
		key := fmt.Sprintf("key-%d", round)
		var clients sync.WaitGroup
		for n := range 24 {
			clients.Go(func() {
				headers := []string{"Idempotency-Key", key}
				if n%8 == 7 { // the same as an event, whose source and id are the key
					headers = []string{"Ce-Specversion", "1.0", "Ce-Id", key, "Ce-Source", "/me", "Ce-Type", "t"}
				}
				a, err := p.send(http.MethodPost, methodPath("once.counter", "c1", "add"), nil, headers...)
				if err != nil || a.status != http.StatusOK {
					t.Errorf("%v %v", a, err)
				}
			})
		}
		clients.Wait()
	}
	if n := p.number("once.counter", "c1", "n"); n != 20 {
		t.Errorf("20 calls, each sent many times, counted %d times", n)
	}
	p.drained()
	if n := p.number("once.seen", "c1", "n"); n != 20 {
		t.Errorf("20 changes fired %d triggers", n)
	}
}

// TestSecondInterrupt has a method that never ends: the first interrupt waits for it, the second ends the platform at once. Functions go with it, and
// what was acknowledged is there afterwards.
func TestSecondInterrupt(t *testing.T) {
	p := startPlatform(t)
	p.deploy("stop", countingPackage("stop", "bbolt"))
	p.must(http.MethodPost, methodPath("stop.counter", "c1", "add"), nil)
	g := newGate(t)
	p.later(http.MethodPost, methodPath("stop.counter", "c1", "slow"), fmt.Sprintf(`{"gate":%q}`, g.URL))
	g.wait(t)
	ended := p.interrupt()
	p.until("the platform is stopping", func() bool {
		a, err := p.send(http.MethodGet, "/readyz", nil)
		return err != nil || a.status == http.StatusServiceUnavailable
	})
	select {
	case code := <-ended:
		t.Fatalf("the first interrupt did not wait for the method: exit code %d", code)
	default:
	}
	if err := syscall.Kill(p.pid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := <-ended; code != -1 || p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Errorf("exit code %d, %v; want the end by the second interrupt", code, p.cmd.ProcessState)
	}
	p.until("its functions have ended", func() bool { return len(running(p, nil)) == 0 })
	g.release()
	p.start()
	if n := p.number("stop.counter", "c1", "n"); n != 1 {
		t.Errorf("counted %d, want the 1 that was acknowledged", n)
	}
}

// TestStop interrupts the platform while a method runs, others wait, and asynchronous calls are pending: what has begun ends well, and what is
// kept is there after the restart.
func TestStop(t *testing.T) {
	p := startPlatform(t)
	p.deploy("stop", countingPackage("stop", "bbolt"))
	g := newGate(t)
	slow := p.later(http.MethodPost, methodPath("stop.counter", "c1", "slow"), fmt.Sprintf(`{"gate":%q}`, g.URL))
	g.wait(t)
	waiting := p.later(http.MethodPost, methodPath("stop.counter", "c1", "add"), "")
	p.until("the second call waits", func() bool { return p.metric("oaas_mailbox_waiting") == 1 })
	async := p.must(http.MethodPost, methodPath("stop.counter", "c1", "add"), nil, "Prefer", "respond-async").header.Get("Location")
	ended := p.interrupt()
	p.until("the platform takes no new connections, or says that it stops", func() bool {
		a, err := p.send(http.MethodGet, "/readyz", nil)
		return err != nil || a.status == http.StatusServiceUnavailable
	})
	g.release()
	if a := <-slow; a.status != http.StatusOK || string(a.body) != "1" {
		t.Errorf("the call that ran: %s", a)
	}
	if a := <-waiting; a.status != http.StatusOK {
		t.Errorf("the call that waited: %s", a)
	}
	if code := <-ended; code != 0 && code != 130 {
		t.Errorf("exit code %d", code)
	}
	if left := running(p, nil); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	p.start()
	var inv struct{ Status string }
	a := p.must(http.MethodGet, async+"?wait=20s", nil)
	if err := json.Unmarshal(a.body, &inv); err != nil || inv.Status != "succeeded" {
		t.Errorf("the asynchronous call: %s", a)
	}
	if n := p.number("stop.counter", "c1", "n"); n != 3 {
		t.Errorf("counted %d of three calls", n)
	}
}

// TestCancel cancels asynchronous calls: one that waits, one that runs, and one that has ended.
func TestCancel(t *testing.T) {
	p := startPlatform(t)
	p.deploy("cancel", countingPackage("cancel", "pebble"))
	g := newGate(t)
	submit := func(method, payload string) string {
		t.Helper()
		a := p.must(http.MethodPost, methodPath("cancel.counter", "c1", method), []byte(payload), "Prefer", "respond-async")
		return a.header.Get("Location")
	}
	ended := submit("add", "")
	p.must(http.MethodGet, ended+"?wait=20s", nil)
	runs := submit("slow", fmt.Sprintf(`{"gate":%q}`, g.URL))
	g.wait(t)
	waits := submit("add", "")
	for _, c := range []struct{ location, want string }{{waits, "cancelled"}, {runs, "cancelled"}, {ended, "succeeded"}} {
		for range 2 { // again is no news
			var inv struct{ Status string }
			a := p.must(http.MethodDelete, c.location, nil)
			if err := json.Unmarshal(a.body, &inv); err != nil || inv.Status != c.want {
				t.Errorf("cancel: %s, want %s", a, c.want)
			}
		}
	}
	if a := p.must(http.MethodPost, methodPath("cancel.counter", "c1", "add"), nil); string(a.body) != "2" {
		t.Errorf("after two calls were cancelled, the second counts %s", a)
	}
	g.release()
	p.kill()
	p.start()
	if a := p.do(http.MethodGet, runs+"?raw=true", nil); a.status != http.StatusConflict || a.code() != "CANCELLED" {
		t.Errorf("the cancelled call after a restart: %s", a)
	}
	if n := p.number("cancel.counter", "c1", "n"); n != 2 {
		t.Errorf("counted %d of two calls that were not cancelled", n)
	}
}

// TestTriggerCycle has a trigger whose effect fires it again: it stops at the limit, with a dead letter and an event that tells of it.
func TestTriggerCycle(t *testing.T) {
	s := newSink(t)
	p := newPlatform(t)
	p.env = []string{"K_SINK=" + s.URL}
	p.start()
	function := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Entries map[string]struct{ Text string }
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", replyType)
		fmt.Fprintf(w, `{"set":{"n":{"text":"%sx"}}}`, call.Entries["n"].Text)
	}))
	t.Cleanup(function.Close)
	p.deploy("cycle", stubPackage("cycle", function.URL,
		"triggers: [{name: again, on: entry.updated, entry: n, target: {class: thing, method: grow}}]", "{name: grow, function_key: fn}"))
	p.must(http.MethodPut, objectPath("cycle.thing", "o")+"/entries/n", []byte("x"))
	p.must(http.MethodPut, objectPath("cycle.thing", "o")+"/entries/n", []byte("x")) // the update that sets it off
	p.until("the chain has ended", func() bool { return len(p.letters("cycle.thing")) > 0 })
	p.drained()
	if state := p.object("cycle.thing", "o"); len(state["n"]) != 11 {
		t.Errorf("the chain ran %d times, not 10", len(state["n"])-1)
	}
	dead := p.letters("cycle.thing")
	if len(dead) != 1 || dead[0].Object != "o" || !strings.Contains(dead[0].Reason, "10") {
		t.Errorf("dead letters: %+v", dead)
	}
	p.until("the error event has come", func() bool { return len(s.got(http.StatusAccepted)) == 1 })
	if e := s.got(http.StatusAccepted)[0]; e.header.Get("Ce-Type") != "oaas.trigger.error" {
		t.Errorf("the event is %v %s", e.header, e.body)
	}
}

// TestDeleteAndMakeAgain deletes an object: its triggers fire, its version goes on, and what was deleted stays so after kill -9.
func TestDeleteAndMakeAgain(t *testing.T) {
	for _, engine := range []string{"pebble", "bbolt"} {
		p := startPlatform(t)
		p.deploy("again", strings.ReplaceAll(countingPackage("again", engine), "on: entry.created, entry: w", "on: entry.deleted, entry: w"))
		entry := objectPath("again.counter", "1042") + "/entries/w"
		for range 3 {
			p.must(http.MethodPut, entry, []byte("x"))
		}
		if a := p.must(http.MethodDelete, objectPath("again.counter", "1042"), nil); a.header.Get("Oaas-Existed") != "true" {
			t.Errorf("%s: delete of a numeric id: %v", engine, a.header)
		}
		p.kill()
		p.start()
		if state := p.object("again.counter", "1042"); state != nil {
			t.Errorf("%s: deleted, but after kill -9 there is %v", engine, state)
		}
		if a := p.do(http.MethodPut, entry, []byte("y"), "If-Match", `"3"`); a.status != http.StatusPreconditionFailed {
			t.Errorf("%s: a write that expects the deleted object: %s", engine, a)
		}
		p.must(http.MethodPut, entry, []byte("new"))
		if v := p.version("again.counter", "1042"); v <= 3 {
			t.Errorf("%s: made again, it has version %d", engine, v)
		}
		p.drained()
		p.until("the triggers on two updates and a delete took effect", func() bool { return p.number("again.seen", "1042", "n") == 3 })
	}
}

// TestKillWhileDeploying kills the platform while a project is deployed again and again: what was deployed is there afterwards, and serves.
func TestKillWhileDeploying(t *testing.T) {
	p := startPlatform(t)
	project := countingPackage("swap", "pebble")
	p.deploy("swap", project)
	p.must(http.MethodPost, methodPath("swap.counter", "c", "add"), nil)
	for round := range 5 {
		dir := p.project("swap", project+fmt.Sprintf("# release %d\n", round))
		deploying := make(chan struct{})
		go func() {
			defer close(deploying)
			_, _, _ = p.tryOaas("func", "deploy", dir) // it is killed on the way
		}()
		time.Sleep(time.Duration(round*25) * time.Millisecond)
		p.kill()
		<-deploying
		p.start()
		if a := p.must(http.MethodPost, methodPath("swap.counter", "c", "add"), nil, "Idempotency-Key", fmt.Sprint(round)); string(a.body) != fmt.Sprint(round+2) {
			t.Errorf("round %d: %s", round, a)
		}
	}
}
