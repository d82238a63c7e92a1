package dev

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/cli/client"
	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/runtime/runner"
	"github.com/hpcclab/oaas-go/templates"
)

// platformVariable makes the test program a platform over the data folder that is its value, so that a test can kill it.
const platformVariable = "OAAS_DEV_TEST_DATA"

func TestMain(m *testing.M) {
	runner.MaybeRunGuard()
	if os.Getenv(containerVariable) != "" {
		serveContainer()
		return
	}
	if dir := os.Getenv(platformVariable); dir != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		err := Run(ctx, Config{
			Listen: "127.0.0.1:0", Zenoh: "127.0.0.1:0", DataDir: dir, ScaleToZeroGrace: time.Minute,
			OnReady: func(s control.Status) { fmt.Println(s.Address) },
		})
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // libraries start some in their init
}

// patience is how long a test waits for something that must happen.
const patience = 60 * time.Second

// rig is a running platform with a client of it.
type rig struct {
	t      *testing.T
	data   string
	url    string
	client *client.Client
	stop   func()
}

// open runs a platform in this process until the test ends.
func open(t *testing.T, data string, projects ...string) *rig {
	t.Helper()
	return openWith(t, Config{DataDir: data, Projects: projects})
}

func openWith(t *testing.T, cfg Config) *rig {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan control.Status, 1), make(chan error, 1)
	cfg.Listen, cfg.Zenoh, cfg.ScaleToZeroGrace, cfg.OnReady = "127.0.0.1:0", "127.0.0.1:0", time.Minute, func(s control.Status) { ready <- s }
	go func() { done <- Run(ctx, cfg) }()
	r := &rig{t: t, data: cfg.DataDir}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if r.client != nil {
			r.client.Close()
		}
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	select {
	case s := <-ready:
		r.connect(s.Address)
	case err := <-done:
		cancel()
		t.Fatalf("run: %v", err)
	}
	t.Cleanup(r.stop)
	return r
}

func (r *rig) connect(url string) {
	r.t.Helper()
	var err error
	r.url = url
	if r.client, err = client.New(url); err != nil {
		r.t.Fatal(err)
	}
}

// fork runs a platform in a process of its own, which kill ends the hard way.
func fork(t *testing.T, data string) (r *rig, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), platformVariable+"="+data)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // ended already, perhaps
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	var address string
	if _, err := fmt.Fscanln(out, &address); err != nil {
		kill()
		t.Fatalf("the platform did not start: %v\n%s", err, errs.String())
	}
	r = &rig{t: t, data: data}
	r.connect(address)
	t.Cleanup(r.client.Close)
	return r, kill
}

// fromTemplate makes a project from a template.
func fromTemplate(t *testing.T, template string) string {
	t.Helper()
	tool := map[string]string{"go": "go", "python": "python3", "node": "node"}[template]
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("%s is not installed", tool)
	}
	dir := filepath.Join(t.TempDir(), "shop")
	if _, err := templates.Write(dir, template, "shop"); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (r *rig) deploy(dir string) *control.Progress {
	r.t.Helper()
	last, err := r.client.Deploy(r.t.Context(), dir, func(control.Progress) {})
	if err != nil {
		r.t.Fatalf("deploy %s: %v", dir, err)
	}
	return last
}

// call calls a method and gives its payload.
func (r *rig) call(class, object, method, payload string) (string, error) {
	answer, err := r.client.Invoke(r.t.Context(), client.Call{
		Ref: client.Ref{Class: class, ID: object}, Method: method, Payload: []byte(payload), ContentType: "application/json",
	})
	if err != nil {
		return "", err
	}
	return string(answer.Payload), nil
}

func (r *rig) mustCall(class, object, method, payload, want string) {
	r.t.Helper()
	got, err := r.call(class, object, method, payload)
	if err != nil || got != want {
		r.t.Fatalf("%s of %s/%s: got %q, %v; want %q", method, class, object, got, err, want)
	}
}

// entry gives an entry of an object, "" if it is not there.
func (r *rig) entry(class, object, key string) string {
	data, err := r.client.Entry(r.t.Context(), client.Ref{Class: class, ID: object}, key)
	if err != nil && !client.IsNotFound(err) {
		r.t.Fatal(err)
	}
	return string(data)
}

// eventually waits until something is so.
func (r *rig) eventually(what string, is func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for !is() {
		if time.Now().After(deadline) {
			past := r.past()
			r.t.Fatalf("%s: not within %s; what happened:\n%s", what, patience, past)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// past gives what happened, for the message of a test that failed.
func (r *rig) past() string {
	var b strings.Builder
	err := r.client.Activity(r.t.Context(), false, func(a control.Activity) error {
		fmt.Fprintln(&b, a.Kind, describe(a))
		return nil
	})
	if err != nil {
		fmt.Fprintln(&b, err)
	}
	return b.String()
}

// happened reports whether an activity of a kind has the text.
func (r *rig) happened(kind, text string) bool {
	found := false
	err := r.client.Activity(r.t.Context(), false, func(a control.Activity) error {
		found = found || a.Kind == kind && strings.Contains(a.Message, text)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// edit replaces text in a file, as an editor does: it writes another file and renames it.
func edit(t *testing.T, path, from, to string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), from) {
		t.Fatalf("%s has no %q", path, from)
	}
	write(t, path+"~", strings.ReplaceAll(string(text), from, to))
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}

// request sends a control request as it is and gives status and body.
func (r *rig) request(method, path, body string, header map[string]string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for k, v := range header {
		if k == "Host" {
			req.Host = v
		}
		req.Header.Set(k, v)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("decode %s: %v", text, err)
	}
	return v
}

// failure gives the failure that the platform answered with.
func failure(t *testing.T, err error) *client.Failure {
	t.Helper()
	f, ok := errors.AsType[*client.Failure](err)
	if !ok {
		t.Fatalf("got %v, want a refusal of the platform", err)
	}
	return f
}

// gone reports whether a process has ended.
func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
