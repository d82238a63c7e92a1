// Package processes tests the platform as a cluster has it: router, grids and gateway as processes of their own, killed and started again.
package processes

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/function"
)

// patience is how long a test waits for something that must happen.
const patience = 30 * time.Second

var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds the processes.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "oaas-processes-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder of temporary files
	bin = dir
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir, "./cmd/oaas-router", "./cmd/oaas-odgm", "./cmd/oaas-gateway")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// process is one that can be killed and started again.
type process struct {
	t    *testing.T
	name string
	args []string
	addr string // of its health
	env  []string
	cmd  *exec.Cmd

	mu  sync.Mutex
	log bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// start starts the process and waits until it is ready.
func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(filepath.Join(bin, p.name), p.args...)
	p.cmd.Env = append(append(os.Environ(), "OPRC_ZENOH_SCOUTING_MULTICAST_ENABLED=false"), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	until(p.t, p.name+" is healthy", func() bool {
		status, _ := try(http.MethodGet, "http://"+p.addr+"/healthz", nil)
		return status == http.StatusOK
	})
}

// kill ends the process at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.cmd = nil
}

// stop ends the process as a user would, and wants it to end well.
func (p *process) stop() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(os.Interrupt)
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("%s ended with %v\n%s", p.name, err, p.said())
	}
	if p.t.Failed() {
		p.t.Logf("%s said\n%s", p.name, p.said())
	}
}

func newProcess(t *testing.T, name, addr string, args ...string) *process {
	p := &process{t: t, name: name, addr: addr, args: args}
	t.Cleanup(p.stop)
	return p
}

// cluster is a router, two grids with a class each, and a gateway.
type cluster struct {
	t                             *testing.T
	router, counters, notes, gate *process
}

const packageFile = `
name: %[1]s
version: "1.0"
classes:
  - key: %[2]s
    state_spec: {persistent: true}
    function_bindings:
      - {name: add, function_key: main, state: [count]}
      - {name: slow, function_key: main}
      - {name: relay, function_key: main}
      - {name: secret, function_key: main, access_modifier: INTERNAL}
functions:
  - {key: main, url: "%[3]s"}
deployments:
  - {key: %[2]s, class_key: %[2]s, odgm: {partition_count: 3}}
`

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t}
	zenoh, gate := free(t), free(t)
	url := functions(t, "http://"+gate)
	connect := []string{"--mode", "client", "--connect", "tcp/" + zenoh}
	metrics := free(t)
	c.router = newProcess(t, "oaas-router", metrics, "--listen", "tcp/"+zenoh, "--metrics", metrics)
	grid := func(pkg, class string) *process {
		file := filepath.Join(t.TempDir(), "oaas-package.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, packageFile, pkg, class, url), 0o600); err != nil {
			t.Fatal(err)
		}
		addr := free(t)
		p := newProcess(t, "oaas-odgm", addr, append(connect, "--listen", addr, "--data-dir", t.TempDir(), "--package", file)...)
		p.env = []string{"ODGM_CHAIN_SECRET=known to both"}
		return p
	}
	c.counters, c.notes = grid("shop", "counter"), grid("shop", "note")
	c.gate = newProcess(t, "oaas-gateway", gate, append(connect, "--listen", gate)...)
	c.gate.env = []string{"OPRC_GW_REQUEST_TIMEOUT_MS=10000"}
	for _, p := range []*process{c.router, c.counters, c.notes, c.gate} {
		p.start()
	}
	until(t, "both classes are known", func() bool {
		_, text := try(http.MethodGet, c.url("/api/class"), nil)
		return strings.Contains(text, "shop.counter") && strings.Contains(text, "shop.note")
	})
	return c
}

func (c *cluster) url(path string) string { return "http://" + c.gate.addr + path }

// object gives the URL of an object.
func (c *cluster) object(class, id string) string {
	return c.url("/api/class/" + class + "/_/objects/" + id)
}

// functions serves what the methods of the tests do. A relay calls a secret method of the object that its payload names, through the gateway.
func functions(t *testing.T, gateway string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		form, _ := function.CallForm(r.Header.Get("Content-Type"))
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		call, err := function.DecodeCall(form, body, function.Limits{})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		reply := &function.Reply{}
		switch call.Method {
		case "add":
			count := 0
			for _, e := range call.Entries {
				count, _ = strconv.Atoi(string(e.Value.Data))
			}
			text := []byte(strconv.Itoa(count + 1))
			reply = &function.Reply{Payload: text, Set: []function.Entry{{Key: "count", Value: function.Value{Data: text}}}}
		case "slow":
			<-r.Context().Done()
			return
		case "relay":
			status, text := try(http.MethodPost, gateway+string(call.Payload), nil, function.HeaderChain, r.Header.Get(function.HeaderChain))
			reply.Payload = fmt.Appendf(nil, "%d %s", status, text)
		case "secret":
			reply.Payload = []byte("told")
		}
		w.Header().Set("Content-Type", form.ReplyType())
		_, _ = w.Write(function.EncodeReply(form, reply))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

var client = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// try sends a request and gives status and body; 0 is no answer. Headers are name, value.
func try(method, url string, body []byte, headers ...string) (int, string) {
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(text)
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}
