package functions

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/odgm/condition"
	"github.com/hpcclab/oaas-go/runtime/oaas"
	"github.com/hpcclab/oaas-go/runtime/oaas/oaastest"
)

func TestPackageFiles(t *testing.T) {
	files, err := filepath.Glob("*/oaas-package.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pkg, err := opackage.ParseYAML(text, opackage.InFile(file))
		if err == nil {
			err = pkg.Validate(opackage.WithCondition(condition.Check))
		}
		if err != nil {
			t.Error(err)
		}
		readme, err := os.ReadFile(filepath.Join(filepath.Dir(file), "README.md"))
		if err != nil || !strings.Contains(string(readme), "oaas dev functions/"+filepath.Dir(file)) {
			t.Errorf("%s: the README does not say how to run it: %v", file, err)
		}
	}
}

// Methods that are written from the page of the contract alone.
func TestFunctionsWithoutSDK(t *testing.T) {
	shell := filepath.Join(t.TempDir(), "shell-counter")
	for _, c := range []struct {
		dir          string
		needs        string
		build, start []string
	}{
		{"python-counter", "python3", nil, []string{"python3", "-u", "counter.py"}},
		{"shell-counter", "sh", []string{"go", "build", "-o", shell, "."}, []string{shell}},
	} {
		t.Run(c.dir, func(t *testing.T) {
			if _, err := exec.LookPath(c.needs); err != nil {
				t.Skipf("%s is not installed", c.needs)
			}
			if c.build != nil {
				cmd := exec.Command(c.build[0], c.build[1:]...)
				cmd.Dir = c.dir
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v: %v\n%s", c.build, err, out)
				}
			}
			count(t, oaastest.Start(t, c.dir, c.start...))
		})
	}
}

// count plays calls on a counter.
func count(t *testing.T, p *oaastest.Process) {
	t.Helper()
	for _, c := range []struct {
		name, method, before, payload string
		status                        int
		result, after                 string
	}{
		{"new", "add", "", `{"by":2}`, 200, `{"count":2}`, "2"},
		{"spaces", "add", "3", ` { "by": 2 } `, 200, `{"count":5}`, "5"},
		{"down", "add", "3", `{"by":-3}`, 200, `{"count":0}`, "0"},
		{"by one", "add", "3", ``, 200, `{"count":4}`, "4"},
		{"get", "get", "3", ``, 200, `{"count":3}`, ""},
		{"get nothing", "get", "", ``, 200, `{"count":0}`, ""},
		{"unknown", "sub", "3", ``, http.StatusNotFound, "", ""},
		{"not JSON", "add", "3", `by=1`, http.StatusBadRequest, "", ""},
		{"another type", "add", "3", `{"by":"x"}`, http.StatusBadRequest, "", ""},
		{"bytes", "add", "3", "\xff", http.StatusBadRequest, "", ""},
	} {
		call := &function.Call{Class: "any.counter", Object: "c1", Method: c.method, Payload: []byte(c.payload), ContentType: "application/json"}
		if c.before != "" {
			call.Exists, call.Version = true, 7
			call.Entries = []function.Entry{{Key: "count", Value: function.Value{Data: []byte(c.before), Version: 7}}}
		}
		reply, err := p.Send(call, &function.Meta{ID: "1"})
		if oaas.StatusOf(err) != c.status {
			t.Errorf("%s: %v, want status %d\n%s", c.name, err, c.status, p.Output())
		}
		if err != nil || c.status != http.StatusOK {
			continue
		}
		after := ""
		if len(reply.Set) == 1 && reply.Set[0].Key == "count" {
			after = string(reply.Set[0].Data)
		}
		if got := string(reply.Payload); got != c.result || after != c.after {
			t.Errorf("%s: result %s, count %q, want %s, %q", c.name, got, after, c.result, c.after)
		}
	}
}
