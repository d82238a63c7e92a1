package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hpcclab/oaas-go/api/fault"
)

func TestEnvironment(t *testing.T) {
	t.Setenv("SECRET_OF_THE_DEVELOPER", "1")
	r := newRunner(t, Config{})
	f := deploy(t, r, role("shop-fn", "serve", "GREETING", "hello"))
	var env []string
	if err := json.Unmarshal([]byte(mustCall(t, f, "/env")), &env); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"K_SERVICE=shop-fn", "K_CONFIGURATION=shop-fn", "K_REVISION=shop-fn-00001", "GREETING=hello", "PATH=" + os.Getenv("PATH")} {
		if !slices.Contains(env, want) {
			t.Errorf("no %s in %q", want, env)
		}
	}
	for _, v := range env {
		if strings.HasPrefix(v, "SECRET_") {
			t.Errorf("%s leaked", v)
		}
	}
	if host := mustCall(t, f, "/host"); host != "somewhere.invalid" {
		t.Errorf("host %q", host)
	}
}

func TestRelativeProgram(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(dir, "fn")); err != nil {
		t.Fatal(err)
	}
	r := newRunner(t, Config{})
	s := role("f", "serve")
	s.Dir, s.Command = dir, []string{"./fn"}
	mustCall(t, deploy(t, r, s), "/pid")
}

func TestScaleToZeroAndBack(t *testing.T) {
	var rec recorder
	reg := prometheus.NewRegistry()
	r := newRunner(t, Config{Clock: newFastClock(10), ScaleToZeroGrace: time.Second, OnEvent: rec.add, Registerer: reg})
	s := role("f", "serve")
	s.Scaling = map[string]string{"autoscaling.knative.dev/window": "6s"}
	f := deploy(t, r, s)
	first := mustCall(t, f, "/pid")
	for cold := 1; cold <= 2; cold++ {
		eventually(t, "scaled to zero", func() bool { s := f.Status(); return s.State == "scaled to zero" && len(s.PIDs) == 0 })
		if got := len(rec.of(EventScaledToZero)); got != cold {
			t.Errorf("%d events tell of zero, want %d", got, cold)
		}
		if again := mustCall(t, f, "/pid"); again == first {
			t.Errorf("process %s was not ended", again)
		}
		if got := metric(t, reg, "oaas_function_cold_starts_total"); got != float64(cold) {
			t.Errorf("%v cold starts, want %d", got, cold)
		}
	}
	eventually(t, "events of two cold starts", func() bool {
		cold := slices.DeleteFunc(rec.of(EventReady), func(e Event) bool { return !e.Cold })
		return len(cold) == 2 && cold[0].Took > 0
	})
	if len(rec.of(EventCrashed)) > 0 {
		t.Errorf("crashes: %+v", rec.of(EventCrashed))
	}
}

// metric sums a metric over its labels.
func metric(t *testing.T, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// hold starts requests that last until the file is made, and gives what to wait on for their results.
func hold(t *testing.T, f *Function, n int) (open func(), results chan error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "go")
	results = make(chan error, n)
	for range n {
		go func() {
			_, err := call(t.Context(), f, "/hold?file="+file, nil)
			results <- err
		}()
	}
	return sync.OnceFunc(func() {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Error(err)
		}
	}), results
}

func TestScaleUpUnderLoad(t *testing.T) {
	reg := prometheus.NewRegistry()
	r := newRunner(t, Config{Clock: newFastClock(10), Registerer: reg})
	s := role("f", "serve")
	s.Concurrency, s.MaxScale = 1, 3
	f := deploy(t, r, s)
	open, results := hold(t, f, 4)
	defer open()
	eventually(t, "three instances with a request each", func() bool {
		s := f.Status()
		return s.Ready == 3 && s.Desired == 3 && s.InFlight == 3 && s.Queued == 1 && len(s.PIDs) == 3
	})
	for name, want := range map[string]float64{"oaas_function_instances": 3, "oaas_function_queue_depth": 1, "oaas_function_in_flight": 3} {
		if got := metric(t, reg, name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	open()
	for range 4 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestActivationScale(t *testing.T) {
	r := newRunner(t, Config{})
	s := role("f", "serve")
	s.Scaling = map[string]string{"autoscaling.knative.dev/activation-scale": "2"}
	f := deploy(t, r, s)
	toZero(t, f)
	mustCall(t, f, "/pid")
	eventually(t, "two instances", func() bool { return f.Status().Ready == 2 })
}

// toZero scales a function to zero at once.
func toZero(t testing.TB, f *Function) {
	t.Helper()
	f.mu.Lock()
	f.current.desired = 0
	f.current.poke()
	f.mu.Unlock()
	eventually(t, "no process", func() bool { return len(f.Status().PIDs) == 0 })
}

func TestConcurrencyLimit(t *testing.T) {
	r := newRunner(t, Config{})
	s := role("f", "serve")
	s.Concurrency, s.MaxScale = 3, 1
	f := deploy(t, r, s)
	open, results := hold(t, f, 12)
	defer open()
	eventually(t, "three in flight, nine waiting", func() bool { s := f.Status(); return s.InFlight == 3 && s.Queued == 9 })
	open()
	for range 12 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if peak := mustCall(t, f, "/peak"); peak > "3" {
		t.Errorf("%s requests at a time", peak)
	}
}

func TestQueueFull(t *testing.T) {
	r := newRunner(t, Config{QueueDepth: 2})
	s := role("f", "serve")
	s.Concurrency, s.MaxScale = 1, 1
	f := deploy(t, r, s)
	open, results := hold(t, f, 3)
	defer open()
	eventually(t, "a full queue", func() bool { return f.Status().Queued == 2 })
	_, err := call(t.Context(), f, "/pid", strings.NewReader("x"))
	if e := fault.From(err); e == nil || e.Code != fault.Busy || e.RetryAfter <= 0 {
		t.Errorf("%+v", err)
	}
	open()
	for range 3 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestLeavingTheQueue(t *testing.T) {
	r := newRunner(t, Config{})
	s := role("f", "serve")
	s.Concurrency, s.MaxScale = 1, 1
	f := deploy(t, r, s)
	open, results := hold(t, f, 1)
	defer open()
	eventually(t, "one in flight", func() bool { return f.Status().InFlight == 1 })

	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	go func() {
		_, err := call(ctx, f, "/pid", nil)
		waiting <- err
	}()
	eventually(t, "one waiting", func() bool { return f.Status().Queued == 1 })
	cancel()
	if err := <-waiting; fault.CodeOf(err) != fault.Cancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	late, cancelLate := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancelLate()
	if _, err := call(late, f, "/pid", nil); fault.CodeOf(err) != fault.DeadlineExceeded || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("late: %v", err)
	}
	if n := f.Status().Queued; n != 0 {
		t.Errorf("%d in the queue", n)
	}
	open()
	if err := <-results; err != nil {
		t.Error(err)
	}
	mustCall(t, f, "/pid")
}

func TestCancelInFlight(t *testing.T) {
	r := newRunner(t, Config{})
	s := role("f", "serve")
	s.Concurrency, s.MaxScale = 1, 1
	f := deploy(t, r, s)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := call(ctx, f, "/hold?file=/never", nil)
		result <- err
	}()
	eventually(t, "one in flight", func() bool { return f.Status().InFlight == 1 })
	cancel()
	if err := <-result; fault.CodeOf(err) != fault.Cancelled {
		t.Error(err)
	}
	mustCall(t, f, "/pid") // its place is free
}

func TestSwapUnderLoad(t *testing.T) {
	var rec recorder
	r := newRunner(t, Config{OnEvent: rec.add})
	s := role("f", "serve")
	s.Concurrency, s.MinScale = 4, 2
	f := deploy(t, r, s)
	var calls atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for ctx.Err() == nil {
				if _, err := call(t.Context(), f, "/echo", strings.NewReader("x")); err != nil {
					t.Errorf("a request failed: %v", err)
					return
				}
				calls.Add(1)
			}
		})
	}
	for n := 2; n <= 4; n++ {
		before := calls.Load()
		eventually(t, "calls", func() bool { return calls.Load() > before+50 || t.Failed() })
		deploy(t, r, s)
		want := fmt.Sprintf("f-%05d", n)
		if got := mustCall(t, f, "/revision"); got != want || f.Revision() != want {
			t.Errorf("revision %s, Function says %s, want %s", got, f.Revision(), want)
		}
	}
	stop()
	clients.Wait()
	eventually(t, "old revisions drained", func() bool { return len(rec.of(EventDrained)) == 3 && len(f.Status().PIDs) == 2 })
	if crashed := rec.of(EventCrashed); len(crashed) > 0 {
		t.Errorf("%+v", crashed)
	}
}

func TestSwapMovesTheQueue(t *testing.T) {
	r := newRunner(t, Config{})
	s := role("f", "serve")
	s.Concurrency, s.MaxScale = 1, 1
	f := deploy(t, r, s)
	open, results := hold(t, f, 1)
	defer open()
	eventually(t, "one in flight", func() bool { return f.Status().InFlight == 1 })
	waiting := make(chan string, 1)
	go func() {
		text, err := call(t.Context(), f, "/revision", nil)
		waiting <- fmt.Sprint(text, err)
	}()
	eventually(t, "one waiting", func() bool { return f.Status().Queued == 1 })
	s.Revision = "f-blue"
	deploy(t, r, s)
	if got := <-waiting; got != "f-blue<nil>" {
		t.Error(got)
	}
	open()
	if err := <-results; err != nil {
		t.Errorf("the request on the old revision: %v", err)
	}
}

func TestFailingRevisionChangesNothing(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "marker")
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRunner(t, Config{})
	f := deploy(t, r, role("f", "serve"))
	pid := mustCall(t, f, "/pid")
	_, err := r.Deploy(t.Context(), role("f", "moody", "MARKER", marker))
	if fault.CodeOf(err) != fault.FunctionUnavailable {
		t.Fatal(err)
	}
	for _, part := range []string{"f-00002", "exit status 3", "the moon is wrong", "panic: no luck today"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %q", err, part)
		}
	}
	if _, err := r.Deploy(t.Context(), Spec{Name: "f", Command: []string{"/no/such/program"}}); fault.CodeOf(err) != fault.FunctionUnavailable ||
		!strings.Contains(err.Error(), "/no/such/program") {
		t.Error(err)
	}
	if again := mustCall(t, f, "/pid"); again != pid || f.Revision() != "f-00001" {
		t.Errorf("process %s of %s, before %s", again, f.Revision(), pid)
	}
	if s := f.Status(); s.State != "ready" || s.LastError != nil || len(s.PIDs) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestFirstRevisionFails(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "marker")
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRunner(t, Config{})
	if _, err := r.Deploy(t.Context(), role("f", "moody", "MARKER", marker)); err == nil {
		t.Fatal("it started")
	}
	f, ok := r.Function("f")
	if !ok {
		t.Fatal("unknown")
	}
	_, err := call(t.Context(), f, "/pid", nil)
	if fault.CodeOf(err) != fault.FunctionUnavailable || !strings.Contains(err.Error(), "no luck today") {
		t.Error(err)
	}
	if s := f.Status(); s.State != "failed: exit status 3" || s.LastError == nil {
		t.Errorf("%+v", s)
	}
	if err := os.Remove(marker); err != nil {
		t.Fatal(err)
	}
	mustCall(t, deploy(t, r, role("f", "moody", "MARKER", marker)), "/pid")
	if s := f.Status(); s.State != "ready" || s.LastError != nil {
		t.Errorf("%+v", s)
	}
}

func TestNeverListens(t *testing.T) {
	r := newRunner(t, Config{})
	s := role("f", "mute")
	s.StartTimeout = 300 * time.Millisecond
	_, err := r.Deploy(t.Context(), s)
	if fault.CodeOf(err) != fault.FunctionUnavailable || !strings.Contains(err.Error(), "did not listen on PORT") ||
		!strings.Contains(err.Error(), "nothing to say") {
		t.Error(err)
	}
}

func TestDeployGivenUp(t *testing.T) {
	r := newRunner(t, Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.Deploy(ctx, role("f", "mute")); fault.CodeOf(err) != fault.DeadlineExceeded {
		t.Error(err)
	}
	if s := r.Status()[0]; len(s.PIDs) > 0 {
		t.Errorf("%+v", s)
	}
}

func TestCrashLoop(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "marker")
	var rec recorder
	reg := prometheus.NewRegistry()
	r := newRunner(t, Config{OnEvent: rec.add, Registerer: reg})
	f := deploy(t, r, role("f", "moody", "MARKER", marker))
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := call(t.Context(), f, "/exit", nil)
	if fault.CodeOf(err) != fault.FunctionUnavailable {
		t.Errorf("the request that crashed it: %v", err)
	}
	for _, part := range []string{"exit status 7", "about to exit"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %q", err, part)
		}
	}
	_, err = call(t.Context(), f, "/pid", nil)
	if fault.CodeOf(err) != fault.FunctionUnavailable || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("a request in the loop: %v", err)
	}
	eventually(t, "a crash loop in the status", func() bool {
		s := f.Status()
		return strings.HasPrefix(s.State, "crash loop: exit status 3; next start in") && s.Restarts >= 2 && slices.Contains(s.LastError.Lines, "the moon is wrong")
	})
	if err := os.Remove(marker); err != nil {
		t.Fatal(err)
	}
	eventually(t, "recovery", func() bool { return f.Status().State == "ready" })
	mustCall(t, f, "/pid")
	if crashed := rec.of(EventCrashed); len(crashed) < 3 || crashed[0].Failure.Reason != "exit status 7" {
		t.Errorf("%+v", crashed)
	}
	if n := metric(t, reg, "oaas_function_restarts_total"); n != float64(f.Status().Restarts) {
		t.Errorf("%v restarts counted, status %d", n, f.Status().Restarts)
	}
}

func TestRemoveDrains(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "marker")
	r := newRunner(t, Config{})
	f := deploy(t, r, role("f", "polite", "MARKER", marker))
	open, results := hold(t, f, 2)
	defer open()
	eventually(t, "two in flight", func() bool { return f.Status().InFlight == 2 })
	removed := make(chan error, 1)
	go func() { removed <- r.Remove(t.Context(), "f") }()
	eventually(t, "new requests are refused", func() bool {
		_, err := call(t.Context(), f, "/pid", nil)
		return fault.CodeOf(err) == fault.Unavailable
	})
	open()
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if err := <-removed; err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(marker); err != nil || string(text) != "term" {
		t.Errorf("no SIGTERM: %q %v", text, err)
	}
	if _, ok := r.Function("f"); ok {
		t.Error("still there")
	}
	if err := r.Remove(t.Context(), "f"); fault.CodeOf(err) != fault.NotFound {
		t.Error(err)
	}
	if got := mustCall(t, deploy(t, r, role("f", "serve")), "/revision"); got != "f-00002" {
		t.Errorf("revision %s", got)
	}
}

func TestStubbornIsKilled(t *testing.T) {
	r := newRunner(t, Config{StopTimeout: 50 * time.Millisecond, DrainTimeout: 50 * time.Millisecond})
	f := deploy(t, r, role("f", "stubborn"))
	_, results := hold(t, f, 1)
	eventually(t, "one in flight", func() bool { return f.Status().InFlight == 1 })
	if err := r.Remove(t.Context(), "f"); err != nil {
		t.Error(err)
	}
	if err := <-results; fault.CodeOf(err) != fault.FunctionUnavailable {
		t.Errorf("the request: %v", err)
	}
}

func TestClose(t *testing.T) {
	r := newRunner(t, Config{})
	f := deploy(t, r, role("f", "stubborn"))
	pid, err := strconv.Atoi(mustCall(t, f, "/pid"))
	if err != nil {
		t.Fatal(err)
	}
	starting := make(chan error, 1)
	go func() {
		_, err := r.Deploy(t.Context(), role("g", "mute"))
		starting <- err
	}()
	eventually(t, "g starts", func() bool { s := r.Status(); return len(s) == 2 && len(s[1].PIDs) == 1 })
	_, results := hold(t, f, 1)
	eventually(t, "one in flight", func() bool { return f.Status().InFlight == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var closers sync.WaitGroup
	for range 3 {
		closers.Go(func() { _ = r.Close(ctx) })
	}
	closers.Wait()
	if alive(pid) {
		t.Error("the process is there")
	}
	if err := <-results; err == nil {
		t.Error("the request that hangs was answered")
	}
	if err := <-starting; fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("deploy under way: %v", err)
	}
	if _, err := r.Deploy(t.Context(), role("f", "serve")); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("deploy: %v", err)
	}
	if _, err := call(t.Context(), f, "/pid", nil); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("request: %v", err)
	}
}
