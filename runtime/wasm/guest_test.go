package wasm

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
)

// build compiles the guest of the tests.
func build(t testing.TB, flags ...string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-o", file}, flags...), "./testdata/guest")...)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the guest: %v\n%s", err, out)
	}
	code, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// callOf gives a call of a method, in a form.
func callOf(form function.Form, method, payload string) string {
	return string(function.EncodeCall(form, &function.Call{
		Class: "test.guest", Object: "a", Method: method, Payload: []byte(payload), ContentType: "application/json",
		Entries: []function.Entry{{Key: "n", Value: function.Value{Data: []byte("5"), Version: 1}}},
	}))
}

// TestGoGuest runs a program with the SDK, built as a reactor and as a command.
func TestGoGuest(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a Go program")
	}
	for kind, code := range map[string][]byte{"reactor": build(t, "-buildmode=c-shared"), "command": build(t)} {
		t.Run(kind, func(t *testing.T) {
			h, log := newHost(t)
			f := mustDeploy(t, h, Spec{Name: "fn", Module: code, Env: map[string]string{"GREETING": "hello"}, Memory: 256 << 20})
			if fresh := kind == "command"; f.Status().Fresh != fresh {
				t.Errorf("fresh instances: %v", f.Status().Fresh)
			}
			for _, form := range []function.Form{function.JSON, function.Binary} {
				status, body, err := send(t.Context(), f, callOf(form, "add", "3"), "Content-Type", form.CallType(), function.HeaderID, "1")
				if err != nil || status != 200 {
					t.Fatalf("%v: status %d %s, %v", form, status, body, err)
				}
				reply, err := function.DecodeReply(form, []byte(body), function.Limits{})
				if err != nil || string(reply.Payload) != "8" || len(reply.Set) != 1 || string(reply.Set[0].Data) != "8" {
					t.Errorf("%v: %+v, %v", form, reply, err)
				}
			}
			do := func(what string) (int, string, error) {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				if what == "loop" || what == "sleep" {
					ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
				}
				defer cancel()
				return send(ctx, f, callOf(function.JSON, "do", `"`+what+`"`))
			}
			for what, want := range map[string]string{
				"exit": "500 function fn: the module ended with exit code 3: good bye", "panic": "at the disco", "file": "done? ", "write": "", "network": "",
				"environment": "GREETING=hello", "log": "done", "call": "has no network",
			} {
				status, body, err := do(what)
				got := fmt.Sprint(status, " ", body)
				switch {
				case err != nil:
					t.Errorf("%s: %v", what, err)
				case what == "file" || what == "write" || what == "network":
					if status != 200 || strings.Contains(body, "nil") {
						t.Errorf("%s: %s", what, got)
					}
				case !strings.Contains(got, want):
					t.Errorf("%s: %s, want %s", what, got, want)
				case what == "environment" && strings.Contains(body, "PATH"):
					t.Errorf("the environment of the platform: %s", body)
				}
			}
			if text := log.String(); !strings.Contains(text, "half a line") || !strings.HasPrefix(text, "a line\n") && !strings.Contains(text, "\na line\n") {
				t.Errorf("log:\n%s", text)
			}
			for what, want := range map[string]fault.Code{"loop": fault.DeadlineExceeded, "sleep": fault.DeadlineExceeded, "huge": fault.BadReply} {
				if status, body, err := do(what); codeOrNone(err) != want {
					t.Errorf("%s: %d %.100s, %v", what, status, body, err)
				}
			}
			if status, body, err := do("memory"); err != nil || status != 500 || !strings.Contains(body, "out of memory") {
				t.Errorf("memory: %d %s, %v", status, body, err)
			}
			random := map[string]bool{}
			for range 5 {
				_, body, err := send(t.Context(), f, callOf(function.JSON, "count", ""))
				if err != nil || !strings.Contains(body, `{"text":"1"}`) {
					t.Errorf("a variable outlived its call: %s, %v", body, err)
				}
				if _, body, err = send(t.Context(), f, callOf(function.JSON, "random", "")); err != nil || random[body] {
					t.Errorf("not random: %s, %v", body, err)
				}
				random[body] = true
			}
			status, body, err := send(t.Context(), f, `"abc"`, "Content-Type", "application/json", function.HeaderClass, "test.guest", function.HeaderMethod, "upper")
			var upper string
			if err != nil || status != 200 || json.Unmarshal([]byte(body), &upper) != nil || upper != "ABC" {
				t.Errorf("a stateless function: %d %s, %v", status, body, err)
			}
		})
	}
}

// BenchmarkCall measures one call of a method with state: in an instance that is put back to the image, and in a fresh one.
func BenchmarkCall(b *testing.B) {
	small := reactor(bump, answerAt(2000, uint32(len(counting)))).bytes()
	smallFresh := reactor(tableSet, bump, answerAt(2000, uint32(len(counting)))).bytes()
	for name, code := range map[string][]byte{
		"go/image": build(b, "-buildmode=c-shared", "-ldflags=-s -w"), "go/fresh": build(b, "-ldflags=-s -w"), "small/image": small, "small/fresh": smallFresh,
	} {
		b.Run(name, func(b *testing.B) {
			h, _ := newHost(b)
			f := mustDeploy(b, h, Spec{Name: "fn", Module: code})
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			call := callOf(function.Binary, "add", "3")
			b.ReportAllocs()
			for b.Loop() {
				if status, body, err := send(ctx, f, call, "Content-Type", function.BinaryCallType); err != nil || status != 200 {
					b.Fatal(status, body, err)
				}
			}
		})
	}
}
