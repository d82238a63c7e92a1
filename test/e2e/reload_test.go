package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const reloadSource = `
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
RELEASE = "%d"

class Function(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        n = int(call["entries"].get("n", {"text": "0"})["text"]) + 1
        body = json.dumps({"payload": {"text": RELEASE}, "content_type": "text/plain", "set": {"n": {"json": n}}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.oaas.reply+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 128

Server((os.environ.get("OAAS_HOST", ""), int(os.environ["PORT"])), Function).serve_forever()
`

// TestReloadUnderLoad saves the source again and again while clients call: no call fails, none is lost or counted twice, the newest release
// takes over, and one that does not build does not.
func TestReloadUnderLoad(t *testing.T) {
	p := startPlatform(t)
	dir := p.project("reload", `
name: reload
classes:
  - key: counter
    state_spec: {persistent: true}
    function_bindings: [{name: add, function_key: fn}]
functions:
  - {key: fn, runtime: python, provision_config: {max_scale: 2}}
`)
	source := filepath.Join(dir, "main.py")
	save := func(text string) {
		t.Helper()
		if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	save(fmt.Sprintf(reloadSource, 0))
	p.oaas("func", "deploy", dir)
	var newest, calls, failed atomic.Int64
	var stop atomic.Bool
	var load sync.WaitGroup
	for n := range 4 {
		load.Go(func() {
			for !stop.Load() {
				a, err := p.send(http.MethodPost, methodPath("reload.counter", fmt.Sprintf("c%d", n), "add"), nil)
				if err != nil || a.status != http.StatusOK {
					failed.Add(1)
					t.Errorf("a call during a reload: %v %v", a, err)
					return
				}
				var release int64
				if _, err := fmt.Sscan(string(a.body), &release); err != nil {
					t.Errorf("%s: %v", a, err)
					return
				}
				calls.Add(1)
				newest.Store(max(newest.Load(), release)) // only grows in the end; a race costs one more look
			}
		})
	}
	const releases = 5
	for release := int64(1); release <= releases && failed.Load() == 0; release++ {
		if release%2 == 0 { // an editor saves twice
			save(fmt.Sprintf(reloadSource, 1000)[:200])
		}
		save(fmt.Sprintf(reloadSource, release))
		p.until(fmt.Sprintf("release %d serves", release), func() bool { return newest.Load() >= release || failed.Load() > 0 })
	}
	save("def broken(:\n")
	p.until("the build error is shown", func() bool { return strings.Contains(p.oaas("func", "list")+p.output.String(), "SyntaxError") })
	before := calls.Load()
	p.until("the old release goes on", func() bool { return calls.Load() > before+20 || failed.Load() > 0 })
	stop.Store(true)
	load.Wait()
	if a := p.must(http.MethodPost, methodPath("reload.counter", "c0", "add"), nil); string(a.body) != fmt.Sprint(releases) {
		t.Errorf("after a build error release %s serves", a)
	}
	total := int64(-1) // the last call
	for n := range 4 {
		total += int64(p.number("reload.counter", fmt.Sprintf("c%d", n), "n"))
	}
	if total != calls.Load() {
		t.Errorf("%d calls were answered, %d counted", calls.Load(), total)
	}
	save(fmt.Sprintf(reloadSource, releases+1))
	p.until("the repaired source serves", func() bool {
		return string(p.must(http.MethodPost, methodPath("reload.counter", "c9", "add"), nil).body) == fmt.Sprint(releases+1)
	})
}
