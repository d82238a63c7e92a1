package templates

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/runtime/oaas"
	"github.com/hpcclab/oaas-go/runtime/oaas/oaastest"
)

// languages says how to test a project and how to start it, as the platform does.
var languages = map[string]struct{ test, build, start []string }{
	"go":      {[]string{"go", "test", "./..."}, []string{"go", "build", "-o", "function", "."}, []string{"./function"}},
	"go-wasm": {[]string{"go", "test", "./..."}, []string{"env", "GOOS=wasip1", "GOARCH=wasm", "go", "build", "-buildmode=c-shared", "-o", "function.wasm", "."}, nil},
	"python":  {[]string{"python3", "-m", "unittest"}, nil, []string{"python3", "-u", "main.py"}},
	"node":    {[]string{"node", "--test"}, nil, []string{"node", "main.js"}},
}

// TestProjects: the projects do the same, and pass their own tests.
func TestProjects(t *testing.T) {
	for _, template := range Names() {
		t.Run(template, func(t *testing.T) {
			l := languages[template]
			if template == "python-oaas-sdk" {
				sdk := os.Getenv("OAAS_INTEROP_PYTHON")
				if sdk == "" {
					t.Skip("needs OAAS_INTEROP_PYTHON, a Python with oaas-sdk2-py; run make interop")
				}
				l.test = []string{sdk, "-m", "unittest"} // it is a function container; package dev runs it as the platform does
			}
			if _, err := exec.LookPath(l.test[0]); err != nil {
				t.Skipf("%s is not installed", l.test[0])
			}
			dir := filepath.Join(t.TempDir(), "hello")
			if _, err := Write(dir, template, "hello"); err != nil {
				t.Fatal(err)
			}
			runIn(t, dir, l.test...)
			if l.build != nil {
				runIn(t, dir, l.build...)
			}
			if l.start == nil {
				return // it is no process; package dev runs it as the platform does
			}
			p := oaastest.Start(t, dir, l.start...)
			exchange(t, p)
			if err := p.Stop(); err != nil { // with a connection kept alive
				t.Errorf("after SIGTERM: %v\n%s", err, p.Output())
			}
		})
	}
}

// exchange plays calls on a counter and its audit and checks what goes back.
func exchange(t *testing.T, p *oaastest.Process) {
	t.Helper()
	change := fmt.Sprintf(`{"event_info":{"source_cls_id":"hello.counter","source_partition_id":0,"source_object_id":"c1","event_type":4,"fn_id":null,`+
		`"key":"count","timestamp":1700000000000,"context":{"event_id":"e1","version":"2","depth":"1"}},"original_payload":%q}`,
		base64.StdEncoding.EncodeToString([]byte("6")))
	for _, c := range []struct {
		name, method, payload string
		state                 map[string]string
		result                string
		set                   string
	}{
		{"new", "counter.add", `{"by":2}`, nil, `{"count":2}`, "count=2"},
		{"old", "counter.add", `{"by":2}`, map[string]string{"count": "3"}, `{"count":5}`, "count=5"},
		{"by one", "counter.add", ``, map[string]string{"count": "3"}, `{"count":4}`, "count=4"},
		{"read", "counter.get", ``, map[string]string{"count": "3"}, `{"count":3}`, ""},
		{"read nothing", "counter.get", ``, nil, `{"count":0}`, ""},
		{"first change", "audit.record", change, nil, "", "changes=1 last=6"},
		{"another change", "audit.record", change, map[string]string{"changes": "1", "last": "6"}, "", "changes=2"},
	} {
		reply, err := p.Send(callOf("hello."+c.method, c.payload, c.state), &function.Meta{ID: "1"})
		if err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, p.Output())
			continue
		}
		var set []string
		for _, e := range reply.Set {
			set = append(set, e.Key+"="+string(e.Data))
		}
		if got := strings.ReplaceAll(string(reply.Payload), " ", ""); got != c.result && !(c.result == "" && got == "null") {
			t.Errorf("%s: result %s, want %s", c.name, got, c.result)
		}
		if got := strings.Join(set, " "); got != c.set || len(reply.Delete)+len(reply.Events) > 0 {
			t.Errorf("%s: sets %q, want %q", c.name, got, c.set)
		}
	}
	for _, c := range []struct {
		method, payload string
		status          int
	}{
		{"hello.counter.add", `{"by":-1}`, http.StatusConflict},
		{"hello.counter.sub", ``, http.StatusNotFound},
		{"hello.audit.record", `{}`, http.StatusBadRequest},
	} {
		_, err := p.Send(callOf(c.method, c.payload, nil), &function.Meta{ID: "1"})
		if oaas.StatusOf(err) != c.status || strings.HasPrefix(err.Error(), "{") {
			t.Errorf("%s %s: %v, want status %d", c.method, c.payload, err, c.status)
		}
	}
}

func callOf(name, payload string, state map[string]string) *function.Call {
	dot := strings.LastIndexByte(name, '.')
	call := &function.Call{Class: name[:dot], Object: "c1", Method: name[dot+1:], Payload: []byte(payload), Exists: state != nil}
	for _, key := range []string{"changes", "count", "last"} {
		if value, ok := state[key]; ok {
			call.Entries = append(call.Entries, function.Entry{Key: key, Value: function.Value{Data: []byte(value), Version: 1}})
		}
	}
	return call
}
