package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const watchedPackage = `
name: watched
classes:
  - key: thing
    state_spec: {persistent: true}
    options: {storage_backend: ENGINE, ws_event_include_values: "true"}
deployments:
  - {key: watched-thing, package_name: watched, class_key: thing, odgm: {partition_count: 3}}
`

// TestWatchingThroughKill kills the platform with kill -9 while clients write, and one watches with `oaas events`. The watcher must see every
// acknowledged write once, and each partition's changes in order and without gaps.
func TestWatchingThroughKill(t *testing.T) {
	for i, engine := range []string{"pebble", "bbolt"} {
		t.Run(engine, func(t *testing.T) {
			p := startPlatform(t)
			p.deploy("watched", strings.Replace(watchedPackage, "ENGINE", engine, 1))
			random := rand.New(rand.NewPCG(uint64(i), 2026))
			w := watchEvents(p, "watched.thing")
			acknowledged := make([]map[string]bool, 4)
			var stopped atomic.Bool
			var writers sync.WaitGroup
			for n := range acknowledged {
				acknowledged[n] = map[string]bool{}
				writers.Go(func() {
					for k := 0; !stopped.Load(); k++ {
						object, value := fmt.Sprintf("o%d-%d", n, k%5), fmt.Sprintf("%d-%d", n, k)
						a, err := p.send(http.MethodPut, objectPath("watched.thing", object)+"/entries/x", []byte(value))
						if err == nil && a.status < 300 {
							acknowledged[n][value] = true
						} else {
							time.Sleep(5 * time.Millisecond)
						}
					}
				})
			}
			for range 3 {
				before := w.count.Load()
				p.until("changes are seen", func() bool { return w.count.Load() > before+100 })
				time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond) // the random moment
				p.kill()
				p.start()
			}
			before := w.count.Load()
			p.until("changes are seen after the last restart", func() bool { return w.count.Load() > before+100 })
			stopped.Store(true)
			writers.Wait()
			p.until("all acknowledged writes are seen", func() bool { return w.missing(acknowledged) == 0 })
			w.stop()
			for _, values := range acknowledged {
				for value := range values {
					if w.seen[value] != 1 {
						t.Errorf("the write of %s was acknowledged, and seen %d times", value, w.seen[value])
					}
				}
			}
			t.Logf("%d changes were seen", w.count.Load())
		})
	}
}

// watcher is an `oaas events` of a class.
type watcher struct {
	p     *platform
	cmd   *exec.Cmd
	errs  buffer
	count atomic.Int64
	ended chan struct{}

	mu   sync.Mutex
	seen map[string]int // values, how often
}

func watchEvents(p *platform, class string) *watcher {
	p.t.Helper()
	w := &watcher{p: p, seen: map[string]int{}, ended: make(chan struct{})}
	w.cmd = exec.Command(binary, "events", class, "--from", "earliest", "-o", "json")
	w.cmd.Env = append(os.Environ(), "OAAS_URL="+p.url(""), "HOME="+p.dir)
	w.cmd.Stderr = &w.errs
	out, err := w.cmd.StdoutPipe()
	if err == nil {
		err = w.cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(w.ended)
		last := map[int]int{}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var ev struct {
				Source    string
				Partition int `json:"partition_id"`
				Seq       int
				Changes   []struct{ Value []byte }
			}
			if err := json.Unmarshal(lines.Bytes(), &ev); err != nil || ev.Source != "local" || ev.Seq != last[ev.Partition]+1 {
				p.t.Errorf("after %d: %s %v", last[ev.Partition], lines.Text(), err)
				return
			}
			last[ev.Partition] = ev.Seq
			w.mu.Lock()
			w.seen[string(ev.Changes[0].Value)]++
			w.mu.Unlock()
			w.count.Add(1)
		}
	}()
	p.t.Cleanup(w.stop)
	return w
}

// missing counts the values that were not seen yet.
func (w *watcher) missing(all []map[string]bool) (count int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, values := range all {
		for value := range values {
			if w.seen[value] == 0 {
				count++
			}
		}
	}
	return count
}

// stop ends the watcher.
func (w *watcher) stop() {
	_ = w.cmd.Process.Kill() // it may have ended
	<-w.ended
	_ = w.cmd.Wait() // it was killed, and says so
}
