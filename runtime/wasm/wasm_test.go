package wasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logs keeps what functions write.
type logs struct {
	mu    sync.Mutex
	lines []string
}

func (l *logs) add(_, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

func newHost(t testing.TB) (*Host, *logs) {
	t.Helper()
	l := &logs{}
	h, err := New(Config{OnLog: l.add})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h, l
}

func mustDeploy(t testing.TB, h *Host, spec Spec) *Function {
	t.Helper()
	f, err := h.Deploy(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// send makes a request of the platform, and gives status and body of the answer.
func send(ctx context.Context, f *Function, body string, headers ...string) (int, string, error) {
	req := &http.Request{
		Method: http.MethodPost, Header: http.Header{"Content-Type": {function.JSONCallType}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := f.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

func TestRefusedModules(t *testing.T) {
	h, _ := newHost(t)
	empty := guestModule{funcs: map[string][]byte{exportInitialize: nil}}
	for name, tc := range map[string]struct {
		code []byte
		want string
	}{
		"nothing":             {nil, "no WebAssembly module"},
		"text":                {[]byte("(module)"), "no WebAssembly module"},
		"component":           {slices.Concat(magic, component, []byte{1, 2, 3}), "component (WASI preview 2)"},
		"another version":     {slices.Concat(magic, []byte{2, 0, 0, 0}), "version 02000000"},
		"cut short":           {reactor(answerAt(0, 0)).bytes()[:60], "compile the module"},
		"only a header":       {slices.Concat(magic, plain), "exports neither _start"},
		"nothing to call":     {empty.bytes(), "exports neither _start (a command) nor oaas_buffer and oaas_call"},
		"unknown module":      {command([][]byte{importFunc("env", "log", typeNothing)}).bytes(), `imports the function log of "env"`},
		"unknown function":    {command([][]byte{wasi("sock_dial", typeNothing)}).bytes(), `imports the function sock_dial of "wasi_snapshot_preview1"`},
		"more than it may":    {guestModule{pages: 99, funcs: map[string][]byte{exportCommand: nil}}.bytes(), "compile the module"},
		"does not type check": {command(nil, []byte{0x6a}).bytes(), "compile the module"},
		"start traps":         {withStart(trap).bytes(), "start the module"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Deploy(t.Context(), Spec{Name: "fn", Module: tc.code, Memory: 64 * pageSize})
			if fault.CodeOf(err) != fault.InvalidArgument || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "function fn") {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if _, found := h.Function("fn"); found {
				t.Error("a function without a module")
			}
		})
	}
	if _, err := h.Deploy(t.Context(), Spec{Name: "fn", Module: make([]byte, MaxModule+1)}); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("a long module: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := h.Deploy(ctx, Spec{Name: "fn", Module: withStart(endless).bytes()}); fault.CodeOf(err) != fault.DeadlineExceeded {
		t.Errorf("a start without end: %v", err)
	}
}

// A memory of 4 GiB has a size that 32 bits cannot say, so such an instance could not be put back.
func TestMemoryIsLessThanAllThereIs(t *testing.T) {
	h, _ := newHost(t)
	whole := reactor(answerAt(0, 0))
	whole.pages = 1 << 16
	if _, err := h.Deploy(t.Context(), Spec{Name: "fn", Module: whole.bytes(), Memory: 4 << 30}); fault.CodeOf(err) != fault.InvalidArgument {
		t.Errorf("got %v", err)
	}
	mustDeploy(t, h, Spec{Name: "fn", Module: reactor(answerAt(0, 0)).bytes(), Memory: 8 << 30})
}

func withStart(code []byte) guestModule {
	g := reactor(answerAt(2000, uint32(len(counting))))
	g.funcs[exportStart] = code
	return g
}

// No call sees what a former one left in memory or in a global, whatever way the instance is made.
func TestNothingLeaksBetweenCalls(t *testing.T) {
	answer := answerAt(2000, uint32(len(counting)))
	startBumps := withStart(bump)
	startBumps.funcs[exportCall] = slices.Concat(bump, answer)
	grows := slices.Concat([]byte{0x41, 1, 0x40, 0, 0x1a}, bump, answer)
	for name, tc := range map[string]struct {
		module guestModule
		fresh  bool
		want   string
	}{
		"image":            {reactor(bump, answer), false, "11"},
		"image of a start": {startBumps, false, "22"},
		"memory grows":     {reactor(grows), false, "11"},
		"tables change":    {reactor(tableSet, bump, answer), true, "11"},
		"command":          {command([][]byte{wasi("fd_write", typeRead)}, bump, writeOut), true, "11"},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := newHost(t)
			f := mustDeploy(t, h, Spec{Name: "fn", Module: tc.module.bytes(), Concurrency: 3})
			if f.Status().Fresh != tc.fresh {
				t.Errorf("fresh instances: %v", f.Status().Fresh)
			}
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for range 60 {
						_, got, err := send(t.Context(), f, "{}")
						if want := strings.Replace(counting, "00", tc.want, 1); err != nil || got != want {
							t.Errorf("answered %s, %v; want %s", got, err, want)
						}
					}
				})
			}
			wg.Wait()
			if s := f.Status(); s.InFlight != 0 || s.Instances > 3 {
				t.Errorf("status %+v", s)
			}
		})
	}
}

// writeOut writes the counting answer to standard output: an iovec at 3000.
var writeOut = slices.Concat(
	[]byte{0x41, 0xb8, 0x17, 0x41, 0xd0, 0x0f, 0x36, 2, 0},                      // [3000] = 2000
	[]byte{0x41, 0xbc, 0x17, 0x41, byte(len(counting)), 0x36, 2, 0},             // [3004] = length
	[]byte{0x41, 1, 0x41, 0xb8, 0x17, 0x41, 1, 0x41, 0xc0, 0x17, 0x10, 0, 0x1a}, // fd_write(1, 3000, 1, 3008)
)

func TestModulesThatFail(t *testing.T) {
	exit := func(code byte) guestModule {
		return command([][]byte{wasi("proc_exit", typeExit)}, []byte{0x41, code, 0x10, 0})
	}
	say := func(answer string) guestModule {
		g := reactor(answerAt(2000, uint32(len(answer))))
		g.data = answer
		return g
	}
	recursive := command(nil, []byte{0x10, 0})
	floods := command([][]byte{wasi("fd_write", typeRead)}, []byte{0x03, 0x40}, writeOut, []byte{0x0c, 0, 0x0b})
	grow := reactor([]byte{0x03, 0x40, 0x41, 1, 0x40, 0, 0x41, 0x7f, 0x47, 0x0d, 0, 0x0b}, trap) // until it fails
	badBuffer := reactor(answerAt(0, 0))
	badBuffer.funcs[exportBuffer] = []byte{0x41, 0x7f} // address 0xffffffff
	for name, tc := range map[string]struct {
		module guestModule
		code   fault.Code // or
		status int
		want   string
	}{
		"traps":                    {reactor(trap), "", 500, "trapped: wasm error: unreachable"},
		"command traps":            {command(nil, trap), "", 500, "trapped: wasm error: unreachable"},
		"recursion without end":    {recursive, "", 500, "stack overflow"},
		"takes all memory":         {grow, "", 500, "unreachable"},
		"exit 3":                   {exit(3), "", 500, "exit code 3"},
		"exit 0":                   {exit(0), "", 200, ""},
		"says nothing":             {command(nil), "", 200, ""},
		"loops":                    {reactor(endless, answerAt(0, 0)), fault.DeadlineExceeded, 0, ""},
		"command loops":            {command(nil, endless), fault.DeadlineExceeded, 0, ""},
		"floods standard output":   {floods, fault.BadReply, 0, "standard output is longer"},
		"buffer is elsewhere":      {badBuffer, fault.BadReply, 0, "gave the address 4294967295"},
		"answer is elsewhere":      {reactor(answerAt(1<<31, 10)), fault.BadReply, 0, "10 bytes at address 2147483648"},
		"answer leaves the memory": {reactor(answerAt(65530, 10)), fault.BadReply, 0, "not in its memory"},
		"answer too long":          {reactor(answerAt(0, maxAnswer+1)), fault.BadReply, 0, "16777217 bytes is longer"},
		"no answer":                {say("hello"), fault.BadReply, 0, "neither with { nor with headers"},
		"bad header":               {say("hello\n\n"), fault.BadReply, 0, `"hello" is no header`},
		"bad status":               {say("Status: 42\n\n"), fault.BadReply, 0, "Status"},
		"bad name":                 {say("a b: c\n\n"), fault.BadReply, 0, "no header"},
		"control characters":       {say("A: b\x01\n\n"), fault.BadReply, 0, "control characters"},
		"failure of its own":       {say("Status: 409\r\nContent-Type: text/plain\r\n\r\nno"), "", 409, "no"},
		"plain result":             {say("Content-Type: text/plain\n\nyes"), "", 200, "yes"},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := newHost(t)
			f := mustDeploy(t, h, Spec{Name: "fn", Module: tc.module.bytes(), Memory: 16 * pageSize})
			ctx, cancel := context.WithCancel(t.Context())
			if tc.code == fault.DeadlineExceeded {
				ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
			}
			defer cancel()
			for range 2 { // the second is answered as the first was
				status, body, err := send(ctx, f, `{}`)
				if codeOrNone(err) != tc.code || status != tc.status {
					t.Fatalf("status %d %q, %v; want %d %s", status, body, err, tc.status, tc.code)
				}
				if err != nil {
					body = err.Error()
				}
				if !strings.Contains(body, tc.want) {
					t.Errorf("answered %q, want %q", body, tc.want)
				}
			}
		})
	}
}

func codeOrNone(err error) fault.Code {
	if err == nil {
		return ""
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.DeadlineExceeded
	}
	return fault.CodeOf(err)
}

// A function is replaced again and again while it is called: every call is answered, by one version or another.
func TestReplaceWhileCalled(t *testing.T) {
	h, _ := newHost(t)
	version := func(n int) []byte {
		answer := fmt.Sprintf(`{"payload":{"text":"%02d"}}`, n)
		g := reactor(answerAt(2000, uint32(len(answer))))
		g.data = answer
		return g.bytes()
	}
	f := mustDeploy(t, h, Spec{Name: "fn", Module: version(0), Concurrency: 4})
	var stop atomic.Bool
	var calls atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				if status, body, err := send(t.Context(), f, "{}"); err != nil || status != 200 || !strings.HasPrefix(body, `{"payload"`) {
					t.Errorf("status %d %s, %v", status, body, err)
				}
				calls.Add(1)
			}
		})
	}
	for n := range 30 {
		mustDeploy(t, h, Spec{Name: "fn", Module: version(n + 1), Concurrency: 4})
		if _, err := h.Deploy(t.Context(), Spec{Name: "fn", Module: []byte("bad")}); err == nil {
			t.Error("a bad module was deployed")
		}
		if _, body, err := send(t.Context(), f, "{}"); err != nil || !strings.Contains(body, fmt.Sprintf("%02d", n+1)) {
			t.Errorf("after version %d: %s, %v", n+1, body, err)
		}
	}
	stop.Store(true)
	wg.Wait()
	if calls.Load() == 0 {
		t.Error("nothing was called")
	}
}

func TestTakenAway(t *testing.T) {
	h, _ := newHost(t)
	f := mustDeploy(t, h, Spec{Name: "fn", Module: reactor(endless, answerAt(0, 0)).bytes()})
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, _, err := send(t.Context(), f, "{}"); fault.CodeOf(err) != fault.FunctionUnavailable {
			t.Errorf("a call that was cut off: %v", err)
		}
	})
	for f.Status().InFlight == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := h.Remove(ctx, "fn"); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if _, _, err := send(t.Context(), f, "{}"); fault.CodeOf(err) != fault.FunctionUnavailable {
		t.Errorf("after it was taken away: %v", err)
	}
	if err := h.Remove(t.Context(), "fn"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("taken away twice: %v", err)
	}
}

// A module that was loading while its function was taken away, or the host closed, does not stay behind.
func TestTakenAwayWhileLoading(t *testing.T) {
	code := reactor(answerAt(0, 0)).bytes()
	for name, end := range map[string]func(h *Host) error{
		"removed": func(h *Host) error { return h.Remove(t.Context(), "fn") },
		"closed":  func(h *Host) error { return h.Close(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := newHost(t)
			f := mustDeploy(t, h, Spec{Name: "fn", Module: code})
			loaded, err := load(t.Context(), h, Spec{Name: "fn", Module: code, Memory: DefaultMemory, Concurrency: 1})
			if err != nil {
				t.Fatal(err)
			}
			if err := end(h); err != nil {
				t.Fatal(err)
			}
			if err := f.replace(loaded); fault.CodeOf(err) != fault.FunctionUnavailable {
				t.Errorf("got %v", err)
			}
			if loaded.running.Err() == nil {
				t.Error("the module was not closed")
			}
			if _, _, err := send(t.Context(), f, "{}"); fault.CodeOf(err) != fault.FunctionUnavailable {
				t.Errorf("a call gave %v", err)
			}
		})
	}
}

// What was replaced is forgotten once it is closed, however often a function is deployed.
func TestReplacedIsForgotten(t *testing.T) {
	h, _ := newHost(t)
	var f *Function
	for range 20 {
		f = mustDeploy(t, h, Spec{Name: "fn", Module: reactor(answerAt(0, 0)).bytes()})
		f.mu.Lock()
		retired := slices.Clone(f.retired)
		f.mu.Unlock()
		if len(retired) > 1 {
			t.Fatalf("%d modules are kept", len(retired))
		}
		for _, m := range retired {
			if err := m.wait(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

// One more than may run waits, until its time is up.
func TestConcurrencyIsBounded(t *testing.T) {
	h, _ := newHost(t)
	f := mustDeploy(t, h, Spec{Name: "fn", Module: reactor(endless, answerAt(0, 0)).bytes(), Concurrency: 2})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { _, _, _ = send(ctx, f, "{}") })
	}
	for f.Status().InFlight < 2 {
		time.Sleep(time.Millisecond)
	}
	short, done := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer done()
	if _, _, err := send(short, f, "{}"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call beyond the bound: %v", err)
	}
	if n := f.Status().InFlight; n != 2 {
		t.Errorf("%d run at the same time", n)
	}
	cancel()
	wg.Wait()
}

func FuzzWithGlobals(f *testing.F) {
	f.Add(reactor(bump, answerAt(2000, 10)).bytes())
	f.Add(command([][]byte{wasi("fd_write", typeRead)}, writeOut, tableSet).bytes())
	f.Fuzz(func(t *testing.T, code []byte) {
		if checkKind(code) != nil {
			return
		}
		changed, globals, restorable := withGlobals(code)
		if !restorable && !bytes.Equal(changed, code) && len(globals) == 0 {
			t.Error("a module was changed for nothing")
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "{}", "Status: 200\n\nx", "A: b\r\n\r\n", "\n", ":\n\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		d, err := decode(answer)
		if err == nil && (d.status < 200 || d.status > 599 || len(d.body) > len(answer)) {
			t.Errorf("%q: %+v", answer, d)
		}
	})
}
