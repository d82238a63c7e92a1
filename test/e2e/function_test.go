package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestFunctionKilled kills function processes while clients call: calls that may be tried again succeed, and each counts once.
func TestFunctionKilled(t *testing.T) {
	p := startPlatform(t)
	p.deploy("hurt", countingPackage("hurt", "pebble"))
	p.must(http.MethodPost, methodPath("hurt.counter", "c0", "add"), nil)
	var stop atomic.Bool
	var calls atomic.Int64
	var clients sync.WaitGroup
	for n := range 4 {
		clients.Go(func() {
			for i := 0; !stop.Load(); i++ {
				path, key := methodPath("hurt.counter", fmt.Sprintf("c%d", n), "add"), fmt.Sprintf("%d-%d", n, i)
				for deadline := time.Now().Add(patience); ; {
					a, err := p.send(http.MethodPost, path, nil, "Idempotency-Key", key)
					if err == nil && a.status == http.StatusOK {
						break
					}
					if err != nil || a.code() != "FUNCTION_UNAVAILABLE" || time.Now().After(deadline) {
						t.Errorf("call %s: %v %v", key, a, err)
						return
					}
				}
				calls.Add(1)
			}
		})
	}
	random := rand.New(rand.NewPCG(3, 2026))
	for range 6 {
		before := calls.Load()
		p.until("calls go on", func() bool { return calls.Load() > before+20 || t.Failed() })
		time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
		for _, member := range descendants(p.pid()) {
			if strings.Contains(describe(member.pid), worker) {
				if process, err := os.FindProcess(member.pid); err == nil {
					_ = process.Kill() // it may have ended meanwhile
				}
			}
		}
	}
	before := calls.Load()
	p.until("calls go on after the last kill", func() bool { return calls.Load() > before+20 || t.Failed() })
	stop.Store(true)
	clients.Wait()
	p.drained()
	changes, effects := -1, -1 // the first call
	for n := range 4 {
		changes += p.number("hurt.counter", fmt.Sprintf("c%d", n), "n")
		effects += p.number("hurt.seen", fmt.Sprintf("c%d", n), "n")
	}
	if int64(changes) != calls.Load() || changes != effects {
		t.Errorf("%d calls were answered, %d counted, %d triggers took effect", calls.Load(), changes, effects)
	}
}

// TestFunctionCrashes has a function that ends in the middle of a call: the caller is told how and with which last words; nothing is changed.
func TestFunctionCrashes(t *testing.T) {
	p := startPlatform(t)
	dir := p.project("frail", `
name: frail
classes:
  - key: thing
    state_spec: {persistent: true}
    function_bindings: [{name: die, function_key: fn}, {name: live, function_key: fn}]
functions:
  - {key: fn, runtime: python, command: [python3, -u, main.py]}
`)
	source := strings.Replace(fmt.Sprintf(reloadSource, 1), `        n = int(`, `        if call["method"] == "die":
            print("these are my last words", flush=True)
            os._exit(3)
        n = int(`, 1)
	if err := os.WriteFile(filepath.Join(dir, "main.py"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	p.oaas("func", "deploy", dir)
	for round := range 3 {
		if a := p.call("frail.thing", "o", "live", nil); a.status != http.StatusOK {
			t.Errorf("round %d: %s", round, a)
		}
		a := p.call("frail.thing", "o", "die", nil)
		if a.status != http.StatusServiceUnavailable || a.code() != "FUNCTION_UNAVAILABLE" {
			t.Errorf("%s", a)
		}
		if text := string(a.body); !strings.Contains(text, "3") || !strings.Contains(text, "last words") {
			t.Errorf("round %d: the caller is told neither the exit code nor the last words: %s", round, a)
		}
	}
	if n := p.number("frail.thing", "o", "n"); n != 3 {
		t.Errorf("counted %d of three calls", n)
	}
	if logs := p.oaas("func", "logs", "frail-fn"); strings.Count(logs, "last words") != 3 {
		t.Errorf("the log has\n%s", logs)
	}
}
