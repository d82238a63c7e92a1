package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/runtime/oaas"
)

// reference is the program under the name of OaaS-RS's command line, with a home of its own.
type reference struct {
	t         *testing.T
	home, bin string
}

func newReference(t *testing.T, name string) *reference {
	t.Helper()
	o := &reference{t: t, home: t.TempDir()}
	o.bin = filepath.Join(o.home, name)
	if err := os.Symlink(binary, o.bin); err != nil {
		t.Fatal(err)
	}
	return o
}

// command prepares a command in the home folder. The settings of whoever runs the tests do not count.
func (o *reference) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, o.bin, args...)
	cmd.Dir = o.home
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "OAAS_") && !strings.HasPrefix(kv, "OPRC_") && !strings.HasPrefix(kv, "HOME=") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "HOME="+o.home)
	return cmd
}

// run runs a command to its end.
func (o *reference) run(stdin string, args ...string) (out, errs string, code int) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	cmd := o.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		o.t.Fatalf("%v: %v", args, err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// the package of the recorded answers, with its functions in this process.
const recordPackage = `
name: example
version: "1.0.0"
classes:
  - key: record
    function_bindings:
      - {name: echo, function_key: fn, stateless: true}
      - {name: mecho, function_key: fn}
      - {name: no, function_key: fn}
functions:
  - {key: fn, url: "FUNCTION"}
deployments:
  - {key: rec, class_key: record, odgm: {partition_count: 2}}
`

type record struct{}

func (*record) Echo(_ oaas.Context, in oaas.Payload) (oaas.Payload, error) { return in, nil }

func (*record) No(oaas.Context, oaas.None) (oaas.None, error) {
	return oaas.None{}, oaas.Errorf(400, "not like this")
}

func echo(_ oaas.Context, in oaas.Payload) (oaas.Payload, error) { return in, nil }

func recordFunction(t *testing.T) string {
	t.Helper()
	handler, err := oaas.NewHandler(
		oaas.Class("example.record", oaas.Method("mecho", (*record).Echo), oaas.Method("no", (*record).No)), oaas.Stateless("example.record", "echo", echo),
	)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(handler)
	t.Cleanup(func() { s.Close(); handler.Close() })
	return s.URL
}

// TestReferenceCommands runs the recorded invocations of OaaS-RS's command line, as a process of that name, and compares what scripts see: stdout
// and the exit code as they were recorded, and a part of stderr. G stands for -g and the address.
func TestReferenceCommands(t *testing.T) {
	for _, name := range []string{"oprc-cli", "ocli"} {
		t.Run(name, func(t *testing.T) { referenceCommands(t, newReference(t, name)) })
	}
}

func referenceCommands(t *testing.T, o *reference) {
	p := startPlatform(t)
	files := map[string]string{
		"pkg.yaml": strings.ReplaceAll(recordPackage, "FUNCTION", recordFunction(t)), "pay": "hi", "bad.yaml": "name: x\nclasses: [\n",
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(o.home, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	url := p.url("")
	for _, c := range []struct {
		line, out, err string
		code           int
	}{
		{"context set local --pm URL --gateway URL --cls example.record",
			"ctx:'local' updated successfully\nConfiguration:\n  pmUrl: 'URL'\n  gatewayUrl: 'URL'\n  defaultClass: 'example.record'\n", "", 0},
		{"context select local", "Switched to context 'local'\n", "", 0},
		{"ctx s --zenoh-peer tcp/127.0.0.1:1", "…", "", 0},
		{"package apply pkg.yaml", "Applying package: example v1.0.0\nCreated package 'example'.\nPackage 'example' applied successfully\n", "", 0},
		{"package apply pkg.yaml", "Applying package: example v1.0.0\n",
			"Package command failed: Package 'example' already exists (use --overwrite to replace)\n", 1},
		{"pkg a pkg.yaml --overwrite", "Applying package: example v1.0.0\nUpdated package 'example'.\nPackage 'example' applied successfully\n", "", 0},
		{"p c pkg.yaml -O -d", "…", "", 0},
		{"class list", "…[\n  {\n    \"description\": null,\n    \"function_bindings\": [", "", 0},
		{"cls l example", "…\"key\": \"example.record\"", "", 0},
		{"function list example", "…\"function_type\": \"CUSTOM\",\n    \"key\": \"fn\"", "", 0},
		{"deploy list", "…\"key\": \"rec\"", "", 0},
		{"de l rec", "…\"package_name\": \"example\"", "", 0},
		{"deploy list nope", "", "Deploy command failed: API error: 404 - {\"error\":\"Deployment not found: nope\"}\n", 1},
		{"environments list", "…\"cluster_name\": ", "", 0},
		{"envs list", "…\"status\": \"Healthy\"", "", 0},
		{"class-runtimes list", "…\"class_key\": \"example.record\"", "", 0},
		{"object set G 0 c2 -b a=1", "DEBUG: entries to set: [\"a\"]\n", "", 0},
		{"object get G 0 c2", "{\n  meta: {cls_id:\"example.record\", partition_id:\"0\", object_id:\"c2\"},\n  a: 1\n}\n", "", 0},
		{"object get G 0 c2 -k a", "1", "", 0},
		{"object get G 0 none", "", "…", 1},
		{"object set G 0 c1 -b a=hello -s b=world", "…DEBUG: entries to set: ", "", 0},
		{"object list G 0 -f c", "c1  v1  entries=2\nc2  v1  entries=1\n--- 2 object(s) ---\n", "", 0},
		{"object list G 0 -f c --json", `{
  "count": 2,
  "next_cursor": null,
  "objects": [
    {
      "entry_count": 2,
      "object_id": "c1",
      "version": 1
    },
    {
      "entry_count": 1,
      "object_id": "c2",
      "version": 1
    }
  ]
}
`, "", 0},
		{"object list G 0 -n 1", "…Next cursor: ", "", 0},
		{"object get G 1 7 -c example.record", "", "…", 1},
		{"invoke G 0 echo -p pay", "hi\n", "", 0},
		{"invoke G 0 mecho -o c1 -p pay", "hi\n", "", 0},
		{"invoke G 0 mecho -o c1 -p - --print-all", "…status: Okay\nheaders: ", "", 0},
		{"invoke G 0 no -o c1", "…not like this", "", 0},
		{"capabilities G --json", "…\"string_ids\": true", "", 0},
		{"object get", "", "…PARTITION is missing", 2},
		{"object get 0 c1 -z tcp/127.0.0.1:1", "", "…no platform answers at tcp/127.0.0.1:1", 1},
		{"object get 0 c1", "", "…no platform answers at tcp/127.0.0.1:1", 1},
		{"liveliness -z tcp/127.0.0.1:1", "", "…no platform answers", 1},
		{"package apply bad.yaml", "", "…bad.yaml:", 1},
		{"package apply none.yaml", "", "…none.yaml", 1},
		{"frobnicate", "", "…no command", 2},
		{"deploy delete rec", "…", "", 0},
		{"package delete pkg.yaml", "Deleting package: example\nPackage 'example' deleted successfully\n", "", 0},
		{"package delete pkg.yaml", "…Deleting package: example\n", "…Package command failed: API error: 404 - ", 1},
	} {
		args := strings.Fields(strings.NewReplacer("URL", url, " G ", " -g "+url+" ").Replace(c.line + " "))
		out, errs, code := o.run("hi", args...)
		if code != c.code || !matches(out, strings.ReplaceAll(c.out, "URL", url)) || !matches(errs, c.err) {
			t.Errorf("%s: exit code %d, want %d\nstdout %q\nwant   %q\nstderr %q\nwant   %q", c.line, code, c.code, out, c.out, errs, c.err)
		}
	}
}

// matches reports whether a text is what is wanted, or has it in it where that begins with "…".
func matches(got, want string) bool {
	if part, inside := strings.CutPrefix(want, "…"); inside {
		return strings.Contains(got, part)
	}
	return got == want
}

// Processes that change the configuration at once lose no change.
func TestConcurrentContexts(t *testing.T) {
	o := newReference(t, "oprc-cli")
	const processes = 12
	var all sync.WaitGroup
	for i := range processes {
		all.Go(func() {
			if out, errs, code := o.run("", "context", "set", fmt.Sprint("c", i), "--pm", "http://x"); code != 0 {
				t.Errorf("exit code %d: %s%s", code, out, errs)
			}
		})
	}
	all.Wait()
	out, _, _ := o.run("", "context", "get")
	var c struct{ Contexts map[string]any }
	if err := json.Unmarshal([]byte(out), &c); err != nil || len(c.Contexts) != processes+1 {
		t.Errorf("%d contexts, %v:\n%s", len(c.Contexts), err, out)
	}
}

// What is watched is shown at once, and goes on until it is interrupted.
func TestWatchIsInterrupted(t *testing.T) {
	p := startPlatform(t)
	o := newReference(t, "oaas")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := o.command(ctx, "environments", "list", "--watch", "-o", "json", "--url", p.url(""))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !json.Valid([]byte(line)) {
		t.Errorf("%q, %v", line, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it says so by its exit code
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d", code)
	}
}

// The development server of OaaS-RS: the Package Manager on the port, and the gateway on the next one.
func TestDevServe(t *testing.T) {
	o := newReference(t, "oprc-cli")
	text := strings.ReplaceAll(recordPackage, "FUNCTION", recordFunction(t))
	if err := os.WriteFile(filepath.Join(o.home, "oaas-package.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	port := freePair(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := o.command(ctx, "dev", "serve", "-p", fmt.Sprint(port))
	output := &buffer{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gateway := fmt.Sprintf("http://127.0.0.1:%d", port+1)
	deadline := time.Now().Add(patience)
	for {
		out, errs, code := o.run("hi", "invoke", "-g", gateway, "0", "mecho", "-o", "a", "-c", "example.record", "-p", "-")
		if code == 0 && out == "hi\n" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the method is not there: %s%s\n%s", out, errs, output)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("%v\n%s", err, output)
	}
	for _, args := range [][]string{{"dev", "serve", "-c", "none.yaml"}, {"dev", "serve", "-c", o.bin}} {
		if _, errs, code := o.run("", args...); code != 1 || !strings.Contains(errs, "hint:") {
			t.Errorf("%v: exit code %d, %s", args, code, errs)
		}
	}
}

// freePair gives a port that is free, as is the next one.
func freePair(t *testing.T) int {
	t.Helper()
	for range 100 {
		var port int
		if _, err := fmt.Sscanf(freeAddress(t), "127.0.0.1:%d", &port); err != nil {
			t.Fatal(err)
		}
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no two free ports")
	return 0
}
