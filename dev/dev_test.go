package dev

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hpcclab/oaas-go/cli/client"
	"github.com/hpcclab/oaas-go/dev/control"
)

func TestTemplates(t *testing.T) {
	for _, template := range []string{"go", "python", "node", "go-wasm"} {
		t.Run(template, func(t *testing.T) {
			dir := fromTemplate(t, template)
			r := open(t, t.TempDir())
			last := r.deploy(dir)
			if last.Package != "shop" || strings.Join(last.Classes, " ") != "shop.counter shop.audit" {
				t.Errorf("deployed %+v", last)
			}
			r.mustCall("shop.counter", "a", "add", `{"by":2}`, `{"count":2}`)
			r.mustCall("shop.counter", "a", "get", ``, `{"count":2}`)
			if got := r.entry("shop.counter", "a", "count"); got != "2" {
				t.Errorf("the entry is %q, want 2", got)
			}
			r.eventually("the trigger's effect", func() bool { return r.entry("shop.audit", "a", "changes") == "1" })
			// It is told after the effect, which is what makes it one.
			r.eventually("the trigger is told", func() bool { return r.happened(control.KindTrigger, "oaas.entry.created of shop.counter/a count") })
		})
	}
}

// A saved file is rebuilt and swapped with the state kept; one that does not build leaves what served before.
func TestHotReload(t *testing.T) {
	dir := fromTemplate(t, "python")
	r := open(t, t.TempDir(), dir)
	r.eventually("first deployment", func() bool { return r.happened(control.KindReload, "deployed from") })
	r.mustCall("shop.counter", "a", "add", `{"by":2}`, `{"count":2}`)

	main := filepath.Join(dir, "main.py")
	good, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	write(t, main, string(good)+"\ndef broken(:\n")
	r.eventually("the build error", func() bool { return r.happened(control.KindError, "SyntaxError") })
	r.mustCall("shop.counter", "a", "add", `{"by":1}`, `{"count":3}`)
	if p := projects(t, r); !strings.Contains(p[0].Error, "SyntaxError") {
		t.Errorf("the project does not tell its error: %+v", p[0])
	}

	write(t, main, "import sys\nsys.exit(3)  # it does not start\n"+string(good))
	r.eventually("the start error", func() bool { return r.happened(control.KindError, "exit status 3") })
	r.mustCall("shop.counter", "a", "add", `{"by":1}`, `{"count":4}`)

	write(t, main, string(good))
	edit(t, main, `"by", 1`, `"by", 100`)
	r.awaitStep(100)
	r.mustCall("shop.counter", "a", "get", ``, `{"count":4}`)
	if p := projects(t, r); p[0].Error != "" {
		t.Errorf("the project still tells an error: %s", p[0].Error)
	}

	edit(t, filepath.Join(dir, "oaas-package.yaml"), "function_key: main", "function_kee: main")
	r.eventually("the package error", func() bool { return r.happened(control.KindError, `did you mean "function_key"?`) })
	r.mustCall("shop.counter", "a", "get", ``, `{"count":4}`)
}

// awaitStep waits for the source in which add counts in steps of that size.
func (r *rig) awaitStep(size int) {
	r.t.Helper()
	n := 0
	r.eventually("the new source", func() bool {
		n++
		got, err := r.call("shop.counter", fmt.Sprintf("fresh-%d", n), "add", `{}`)
		return err == nil && got == fmt.Sprintf(`{"count":%d}`, size)
	})
}

func projects(t *testing.T, r *rig) []control.Project {
	t.Helper()
	list, err := r.client.Projects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// After kill -9 classes, functions and state are back at once, and nothing that was started before is left.
func TestKilledPlatformComesBack(t *testing.T) {
	dir, data := fromTemplate(t, "python"), t.TempDir()
	r, kill := fork(t, data)
	r.deploy(dir)
	r.mustCall("shop.counter", "a", "add", `{"by":2}`, `{"count":2}`)
	kill()

	r, kill = fork(t, data)
	if got := r.entry("shop.counter", "a", "count"); got != "2" {
		t.Fatalf("after the kill the entry is %q, want 2", got)
	}
	r.mustCall("shop.counter", "a", "add", `{"by":3}`, `{"count":5}`)
	list, err := r.client.Functions(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "shop-main" {
		t.Fatalf("functions: %+v, %v", list, err)
	}
	kill()

	// The source has changed, and the builds are gone: it is built again.
	edit(t, filepath.Join(dir, "main.py"), `"by", 1`, `"by", 10`)
	if err := os.RemoveAll(filepath.Join(data, "builds")); err != nil {
		t.Fatal(err)
	}
	r, _ = fork(t, data)
	r.awaitStep(10)
	r.mustCall("shop.counter", "a", "get", ``, `{"count":5}`)
}

func TestStoppedPlatformLeavesNothingRunning(t *testing.T) {
	dir, data := fromTemplate(t, "python"), t.TempDir()
	r := open(t, data)
	r.deploy(dir)
	pid := 0
	err := r.client.Activity(t.Context(), false, func(a control.Activity) error {
		if _, after, found := strings.Cut(a.Message, "(process "); found {
			for _, digit := range strings.TrimSuffix(after, ")") {
				pid = pid*10 + int(digit-'0')
			}
		}
		return nil
	})
	if err != nil || pid == 0 {
		t.Fatalf("no process was told: %v\n%s", err, r.past())
	}
	r.stop()
	if !gone(pid) {
		t.Errorf("process %d of the function still runs", pid)
	}
	again := open(t, data)
	again.mustCall("shop.counter", "a", "add", `{"by":1}`, `{"count":1}`)
}

func TestTwoDeploymentsAtOnce(t *testing.T) {
	dir := fromTemplate(t, "python")
	r := open(t, t.TempDir())
	var both sync.WaitGroup
	for range 3 {
		both.Go(func() {
			if _, err := r.client.Deploy(t.Context(), dir, func(control.Progress) {}); err != nil {
				t.Errorf("deploy: %v", err)
			}
		})
	}
	both.Wait()
	if list := projects(t, r); len(list) != 1 {
		t.Errorf("%d projects, want 1", len(list))
	}
	r.mustCall("shop.counter", "a", "add", `{"by":1}`, `{"count":1}`)
}

func TestDelete(t *testing.T) {
	dir := fromTemplate(t, "python")
	r := open(t, t.TempDir())
	r.deploy(dir)
	r.mustCall("shop.counter", "a", "add", `{"by":2}`, `{"count":2}`)
	if err := r.client.DeleteProject(t.Context(), "shop", false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.call("shop.counter", "a", "get", ""); failure(t, err).Code != "NO_CLASS" {
		t.Errorf("call of a deleted class: %v", err)
	}
	if list := projects(t, r); len(list) != 0 {
		t.Errorf("projects after delete: %+v", list)
	}
	if err := r.client.DeleteProject(t.Context(), "shop", false); failure(t, err).Status != http.StatusNotFound {
		t.Errorf("second delete: %v", err)
	}
	r.deploy(dir)
	r.mustCall("shop.counter", "a", "get", "", `{"count":2}`)
	if err := r.client.DeleteProject(t.Context(), "shop", true); err != nil {
		t.Fatal(err)
	}
	r.deploy(dir)
	r.mustCall("shop.counter", "a", "get", "", `{"count":0}`)
}

// What is no longer in the package goes, with its objects kept; what is new comes.
func TestChangedPackage(t *testing.T) {
	function := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("hello " + r.Header.Get("Oaas-Method")))
	}))
	defer function.Close()
	dir := t.TempDir()
	pkg := func(class, method string) {
		write(t, filepath.Join(dir, "oaas-package.yaml"), `
name: shop
classes:
  - key: `+class+`
    function_bindings: [{name: `+method+`, function_key: fn, stateless: true}]
functions:
  - {key: fn, url: "`+function.URL+`"}
`)
	}
	r := open(t, t.TempDir())
	pkg("one", "greet")
	r.deploy(dir)
	r.mustCall("shop.one", "", "greet", "", "hello greet")
	pkg("two", "leave")
	r.deploy(dir)
	r.mustCall("shop.two", "", "leave", "", "hello leave")
	if _, err := r.call("shop.one", "", "greet", ""); failure(t, err).Code != "NO_CLASS" {
		t.Errorf("a class that is no longer in the package: %v", err)
	}
	list, err := r.client.Functions(t.Context())
	if err != nil || len(list) != 1 || list[0].State != stateExternal || list[0].URL != function.URL {
		t.Errorf("functions: %+v, %v", list, err)
	}
	function.Close()
	if _, err := r.call("shop.two", "", "leave", ""); failure(t, err).Code != "FUNCTION_UNAVAILABLE" {
		t.Errorf("a function that is gone: %v", err)
	}
}

// A change that cannot be made (the number of partitions of a class with data) is refused as a whole.
func TestRefusedChangeLeavesWhatWas(t *testing.T) {
	dir := fromTemplate(t, "python")
	r := open(t, t.TempDir())
	r.deploy(dir)
	r.mustCall("shop.counter", "a", "add", `{"by":2}`, `{"count":2}`)
	r.client.Close()
	file := filepath.Join(dir, "oaas-package.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(text)+`
deployments:
  - {key: audit, package_name: shop, class_key: audit}
  - {key: counter, package_name: shop, class_key: counter, odgm: {partition_count: 3}}
`)
	_, err = r.client.Deploy(t.Context(), dir, func(control.Progress) {})
	if f := failure(t, err); !strings.Contains(f.Message, "3 partitions") {
		t.Errorf("refused with %v", f)
	}
	r.mustCall("shop.counter", "a", "add", `{"by":2}`, `{"count":4}`)
	r.eventually("the trigger's effect", func() bool { return r.entry("shop.audit", "a", "changes") == "2" })
}

func TestOneProcessPerDataFolder(t *testing.T) {
	data := t.TempDir()
	open(t, data)
	err := Run(t.Context(), Config{Listen: "127.0.0.1:0", DataDir: data})
	if err == nil || !strings.Contains(err.Error(), "in use by another oaas dev (process ") {
		t.Errorf("a second platform over the same data: %v", err)
	}
}

func TestRunRefuses(t *testing.T) {
	busy := httptest.NewServer(http.NotFoundHandler())
	defer busy.Close()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	broken := t.TempDir()
	write(t, filepath.Join(broken, projectsName), "{")
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"address in use":    {Config{Listen: strings.TrimPrefix(busy.URL, "http://")}, "address already in use"},
		"no address":        {Config{Listen: "here"}, "missing port"},
		"data is a file":    {Config{DataDir: file}, "data folder"},
		"no project":        {Config{Projects: []string{t.TempDir()}}, "has no oaas-package.yaml"},
		"broken list":       {Config{DataDir: broken}, projectsName},
		"negative duration": {Config{ScaleToZeroGrace: -1}, "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.cfg.Listen == "" {
				c.cfg.Listen = "127.0.0.1:0"
			}
			if c.cfg.DataDir == "" {
				c.cfg.DataDir = t.TempDir()
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c.cfg.OnReady = func(control.Status) { cancel() }
			if err := Run(ctx, c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// oneClass has a function do something.
const oneClass = "classes: [{key: c, function_bindings: [{name: m, function_key: fn}]}]\n"

func TestDeployRefuses(t *testing.T) {
	r := open(t, t.TempDir())
	for name, c := range map[string]struct{ pkg, want string }{
		"no package":   {"", "is no project"},
		"not yaml":     {"name: [", "oaas-package.yaml"},
		"unknown key":  {"name: shop\nclases: []\n", `did you mean "classes"?`},
		"no source":    {"name: shop\n" + oneClass + "functions: [{key: fn, source: nowhere}]\n", "nowhere"},
		"image only":   {"name: shop\n" + oneClass + "functions: [{key: fn, provision_config: {container_image: x}}]\n", "only a container image"},
		"bad scaling":  {"name: shop\nfunctions: [{key: fn, command: [sh], runtime: command, scaling: {autoscaling.knative.dev/windw: 6s}}]\n", "windw"},
		"reserved env": {"name: shop\n" + oneClass + "functions: [{key: fn, command: [sh], runtime: command, config: {PORT: \"1\"}}]\n", "PORT"},
		"no program":   {"name: shop\n" + oneClass + "functions: [{key: fn, command: [no-such-program], runtime: command}]\n", "no-such-program"},
		"bad condition": {`
name: shop
classes:
  - key: a
    function_bindings: [{name: m, function_key: fn}]
    triggers: [{name: t, on: entry.created, condition: "old +", target: {method: m}}]
functions: [{key: fn, url: "http://127.0.0.1:1"}]
`, "triggers[0].condition"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if c.pkg != "" {
				write(t, filepath.Join(dir, "oaas-package.yaml"), c.pkg)
			}
			_, err := r.client.Deploy(t.Context(), dir, func(control.Progress) {})
			if f := failure(t, err); !strings.Contains(f.Message, c.want) {
				t.Errorf("refused with %q, want %q", f.Message, c.want)
			}
			if list := projects(t, r); len(list) != 0 {
				t.Errorf("something is deployed: %+v", list)
			}
			if list := r.url; list == "" {
				t.Error("the platform is gone")
			}
		})
	}
}

// Package a-b with function c and package a with function b-c would have the same name.
func TestFunctionNamesAreOwned(t *testing.T) {
	r := open(t, t.TempDir())
	dirs := map[string]string{"a-b": "c", "a": "b-c"}
	folders := map[string]string{}
	for name, key := range dirs {
		folders[name] = t.TempDir()
		write(t, filepath.Join(folders[name], "oaas-package.yaml"), "name: "+name+"\n"+strings.ReplaceAll(oneClass, "fn", key)+"functions: [{key: "+key+", url: \"http://127.0.0.1:1\"}]\n")
	}
	r.deploy(folders["a"])
	_, err := r.client.Deploy(t.Context(), folders["a-b"], func(control.Progress) {})
	if f := failure(t, err); f.Code != "ALREADY_EXISTS" {
		t.Errorf("the same name twice: %v", f)
	}
	if err := r.client.DeleteProject(t.Context(), "a", false); err != nil {
		t.Fatal(err)
	}
	r.deploy(folders["a-b"])
}

func TestLogs(t *testing.T) {
	dir := fromTemplate(t, "python")
	edit(t, filepath.Join(dir, "main.py"), "import", "print('a line of mine', flush=True)\nimport")
	r := open(t, t.TempDir())
	r.deploy(dir)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := r.client.Logs(ctx, "shop-main", true, 10, func(l control.LogLine) error {
		if l.Text == "a line of mine" && l.Function == "shop-main" && l.Stream == "stdout" {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("follow ended with %v", err)
	}
	err = r.client.Logs(t.Context(), "nobody", false, 10, func(control.LogLine) error { return nil })
	if failure(t, err).Status != http.StatusNotFound {
		t.Errorf("logs of nobody: %v", err)
	}
	var unreachable *client.Unreachable
	r.stop()
	if err := r.client.Logs(t.Context(), "shop-main", false, 10, nil); !errors.As(err, &unreachable) {
		t.Errorf("logs of a platform that is gone: %v", err)
	}
}
