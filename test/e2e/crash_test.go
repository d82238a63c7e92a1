package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crashRounds is how often the platform is killed while clients are at work.
const crashRounds = 8

// TestKill kills the platform with kill -9 at random moments while clients write, call, call asynchronously, and changes fire triggers and
// events. Clients repeat what got no answer. In the end every number must be right.
func TestKill(t *testing.T) {
	for i, engine := range []string{"pebble", "bbolt"} {
		t.Run(engine, func(t *testing.T) {
			p := startPlatform(t)
			p.deploy("crash", countingPackage("crash", engine, `FUNCTION_LEAVES_CHILD: "1"`))
			w := &workload{platform: p, class: "crash.counter"}
			random := rand.New(rand.NewPCG(uint64(i), 2026))
			w.begin()
			for range crashRounds {
				before := w.acknowledged.Load()
				p.until("work goes on", func() bool { return w.acknowledged.Load() > before+50 })
				time.Sleep(time.Duration(random.IntN(250)) * time.Millisecond) // the random moment
				family := descendants(p.pid())
				p.kill()
				noneLeft(p, family)
				p.start()
			}
			before := w.acknowledged.Load()
			p.until("work goes on after the last restart", func() bool { return w.acknowledged.Load() > before+50 })
			w.end()
			w.check()
		})
	}
}

// workload is a set of clients that each know what must have happened.
type workload struct {
	*platform
	class        string
	acknowledged atomic.Int64
	stopped      atomic.Bool
	clients      sync.WaitGroup

	mu      sync.Mutex
	calls   map[string]int    // idempotent calls and asynchronous ones, by object: each counts once
	writes  map[string]int    // the last acknowledged value, by object
	tried   map[string]int    // the last value that was sent, by object
	batches map[string]int    // as writes, for batches
	results map[string]string // the answer of a call by its key
	pending []string          // locations of asynchronous calls
}

func (w *workload) begin() {
	w.calls, w.writes, w.batches, w.tried = map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	w.results = map[string]string{}
	for n := range 3 {
		w.clients.Go(func() { w.caller(n) })
		w.clients.Go(func() { w.submitter(n) })
		w.clients.Go(func() { w.writer(n) })
		w.clients.Go(func() { w.batcher(n) })
	}
}

// end lets the clients finish what they have begun.
func (w *workload) end() {
	w.stopped.Store(true)
	w.clients.Wait()
}

// insist sends a request until it gets an answer of the 2xx kind: while the platform is down, and starts, there are others.
func (w *workload) insist(method, path string, body []byte, headers ...string) *answer {
	var last any
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		a, err := w.send(method, path, body, headers...)
		if err == nil && a.status < 300 {
			w.acknowledged.Add(1)
			return a
		}
		if err == nil && (a.status < 500 && a.status != http.StatusNotFound && a.status != http.StatusTooManyRequests || a.status == http.StatusInternalServerError) {
			w.t.Errorf("%s %s: %s", method, path, a)
			return nil
		}
		last = err
		if err == nil {
			last = a
		}
	}
	w.t.Errorf("%s %s has no success within %s; the last answer: %v", method, path, patience, last)
	return nil
}

// caller makes calls with idempotency keys, each until it is answered, and then repeats some: the answer must be the same.
func (w *workload) caller(client int) {
	for n := 0; !w.stopped.Load(); n++ {
		object := fmt.Sprintf("called-%d", n%4)
		key := fmt.Sprintf("call-%d-%d", client, n)
		a := w.insist(http.MethodPost, methodPath(w.class, object, "add"), nil, "Idempotency-Key", key)
		if a == nil {
			return
		}
		w.mu.Lock()
		w.calls[object]++
		w.results[object+" "+key] = string(a.body)
		w.mu.Unlock()
	}
}

// submitter makes asynchronous calls, some of them twice.
func (w *workload) submitter(client int) {
	for n := 0; !w.stopped.Load(); n++ {
		object := fmt.Sprintf("later-%d", n%4)
		key := fmt.Sprintf("async-%d-%d", client, n)
		var location string
		for range 1 + n%2 {
			a := w.insist(http.MethodPost, methodPath(w.class, object, "add"), nil, "Idempotency-Key", key, "Prefer", "respond-async")
			if a == nil {
				return
			}
			if location != "" && location != a.header.Get("Location") {
				w.t.Errorf("asynchronous call %s has two locations: %s and %s", key, location, a.header.Get("Location"))
			}
			location = a.header.Get("Location")
		}
		w.mu.Lock()
		w.calls[object]++
		w.pending = append(w.pending, location)
		w.mu.Unlock()
		time.Sleep(2 * time.Millisecond)
	}
}

// writer counts up an entry of an object that is its own, and reads it back.
func (w *workload) writer(client int) {
	object := fmt.Sprintf("written-%d", client)
	path := objectPath(w.class, object) + "/entries/w"
	for n := 1; !w.stopped.Load(); n++ {
		w.mu.Lock()
		w.tried[object] = n
		w.mu.Unlock()
		if w.insist(http.MethodPut, path, []byte(strconv.Itoa(n))) == nil {
			return
		}
		w.mu.Lock()
		w.writes[object] = n
		w.mu.Unlock()
		if a, err := w.send(http.MethodGet, path, nil); err == nil && a.status == http.StatusOK && string(a.body) != strconv.Itoa(n) {
			w.t.Errorf("%s/w is %s right after %d was acknowledged", object, a.body, n)
		}
	}
}

// batcher writes the same number to four entries at once, and deletes and makes a fifth in turn.
func (w *workload) batcher(client int) {
	object := fmt.Sprintf("batched-%d", client)
	path := objectPath(w.class, object)
	if w.insist(http.MethodPut, path, []byte(`{"entries":{}}`), "Content-Type", "application/json") == nil {
		return
	}
	for n := 1; !w.stopped.Load(); n++ {
		value := map[string]any{"data": base64.StdEncoding.EncodeToString(strconv.AppendInt(nil, int64(n), 10)), "type": 0}
		set := map[string]any{"p": value, "q": value, "r": value, "s": value}
		var remove []string
		if n%2 == 0 {
			remove = []string{"odd"}
		} else {
			set["odd"] = value
		}
		body, err := json.Marshal(map[string]any{"set": set, "delete": remove})
		if err != nil {
			w.t.Error(err)
			return
		}
		if w.insist(http.MethodPatch, path, body, "Content-Type", "application/json") == nil {
			return
		}
		w.mu.Lock()
		w.batches[object] = n
		w.mu.Unlock()
	}
}

// check compares what is stored with what the clients know.
func (w *workload) check() {
	w.t.Helper()
	if w.t.Failed() {
		return
	}
	for _, location := range w.pending {
		w.finished(location)
	}
	w.drained()
	for object, want := range w.calls {
		if got := w.number(w.class, object, "n"); got != want {
			w.t.Errorf("%s counted %d calls, %d were made", object, got, want)
		}
		if got := w.number("crash.seen", object, "n"); got != want {
			w.t.Errorf("%s changed %d times, its trigger took effect %d times", object, want, got)
		}
		if got := w.number("crash.log", object, "events"); got != want {
			w.t.Errorf("%s emitted %d events, %d took effect", object, want, got)
		}
	}
	for object, last := range w.writes {
		if got := w.number(w.class, object, "w"); got != last {
			w.t.Errorf("%s/w is %d, the last acknowledged write was %d", object, got, last)
		}
		if commits, seen := w.version(w.class, object), w.number("crash.seen", object, "n"); seen != commits {
			w.t.Errorf("%s has %d commits, its trigger took effect %d times", object, commits, seen)
		}
	}
	for object, last := range w.batches {
		w.whole(object, last)
	}
	w.replayed()
	if letters := w.must(http.MethodGet, "/api/class/"+w.class+"/_/dead-letters", nil); string(letters.body) != `{"dead_letters":[]}` {
		w.t.Errorf("dead letters: %s", letters)
	}
	w.t.Logf("%d requests were acknowledged; %d calls and %d asynchronous ones", w.acknowledged.Load(), len(w.results), len(w.pending))
}

// finished waits for the end of an asynchronous call, which must be a success.
func (w *workload) finished(location string) {
	w.t.Helper()
	var inv struct{ Status string }
	a := w.must(http.MethodGet, location+"?wait=20s", nil)
	if err := json.Unmarshal(a.body, &inv); err != nil || inv.Status != "succeeded" {
		w.t.Errorf("%s: %s", location, a)
	}
}

// whole wants all entries of a batch to be of the same one, and that to be the last.
func (w *workload) whole(object string, last int) {
	w.t.Helper()
	state, want := w.object(w.class, object), strconv.Itoa(last)
	for _, key := range []string{"p", "q", "r", "s"} {
		if state[key] != want {
			w.t.Errorf("%s is %v, the last acknowledged batch was %d", object, state, last)
			return
		}
	}
	if odd, found := state["odd"]; found != (last%2 == 1) || found && odd != want {
		w.t.Errorf("%s has odd=%q after batch %d", object, odd, last)
	}
}

// replayed repeats calls of before the crashes: the answers must be those of then, and nothing be counted.
func (w *workload) replayed() {
	w.t.Helper()
	left := 40
	for name, want := range w.results {
		if left--; left == 0 {
			break
		}
		var object, key string
		if _, err := fmt.Sscan(name, &object, &key); err != nil {
			w.t.Fatal(err)
		}
		a := w.must(http.MethodPost, methodPath(w.class, object, "add"), nil, "Idempotency-Key", key)
		if string(a.body) != want || a.header.Get("Oaas-Replayed") != "true" {
			w.t.Errorf("call %s of %s, repeated, gives %s (replayed %q); the first answer was %s", key, object, a, a.header.Get("Oaas-Replayed"), want)
		}
	}
	for object, want := range w.calls {
		if got := w.number(w.class, object, "n"); got != want {
			w.t.Errorf("%s counts %d after calls were repeated, %d before", object, got, want)
		}
	}
}
