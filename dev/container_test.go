package dev

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hpcclab/oaas-go/api/oprc"
)

// containerVariable makes the test program a function container of OaaS-RS, as the platform runs one.
const containerVariable = "OAAS_DEV_TEST_CONTAINER"

// tally is a function container whose state is the platform's, which it reaches by gRPC.
type tally struct {
	oprc.UnimplementedOprcFunctionServer
	data oprc.DataServiceClient
}

// serveContainer serves on HTTP_PORT until it is told to end.
func serveContainer() {
	conn, err := grpc.NewClient(strings.TrimPrefix(os.Getenv("OAAS_URL"), "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("HTTP_PORT"))
	if err != nil {
		panic(err)
	}
	s := grpc.NewServer()
	oprc.RegisterOprcFunctionServer(s, &tally{data: oprc.NewDataServiceClient(conn)})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, s.GracefulStop)
	_ = s.Serve(l)
}

// InvokeFn answers with its environment.
func (c *tally) InvokeFn(_ context.Context, r *oprc.InvocationRequest) (*oprc.InvocationResponse, error) {
	return &oprc.InvocationResponse{Payload: []byte(os.Getenv(string(r.GetPayload())))}, nil
}

// InvokeObj does the methods.
func (c *tally) InvokeObj(ctx context.Context, r *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
	switch r.GetFnId() {
	case "add":
		return c.add(ctx, r)
	case "fail":
		n, _ := strconv.Atoi(string(r.GetPayload()))
		return &oprc.InvocationResponse{Status: oprc.ResponseStatus(n), Payload: []byte("said no")}, nil
	case "refuse":
		return nil, status.Error(codes.FailedPrecondition, "not like this")
	case "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	case "crash":
		os.Exit(3)
	case "options":
		md, _ := metadata.FromIncomingContext(ctx)
		return &oprc.InvocationResponse{Payload: fmt.Append(nil, r.GetOptions()["traceparent"], " ", md["traceparent"], md["oaas-chain"])}, nil
	}
	return nil, status.Error(codes.Unimplemented, r.GetFnId())
}

// add raises the entry n by one, with two data calls as the SDK of OaaS-RS makes them, and names the object by its number.
func (c *tally) add(ctx context.Context, r *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
	id := r.GetNumericObjectId()
	got, err := c.data.Get(ctx, &oprc.SingleObjectRequest{ClsId: r.GetClsId(), PartitionId: r.GetPartitionId(), NumericObjectId: &id})
	if err != nil && status.Code(err) != codes.NotFound {
		return nil, err
	}
	n, _ := strconv.Atoi(string(got.GetObj().GetNumericEntries()[0].GetData()))
	text := []byte(strconv.Itoa(n + 1))
	_, err = c.data.SetValue(ctx, &oprc.SetKeyRequest{
		ClsId: r.GetClsId(), PartitionId: int32(r.GetPartitionId()), NumericObjectId: &id, NumericKey: new(uint32(0)), Value: &oprc.ValData{Data: text},
	})
	return &oprc.InvocationResponse{Payload: text, Headers: map[string]string{"Content-Type": "application/json"}}, err
}

// containerProject makes a project of which the test program is the container, or whose container is at the URL.
func containerProject(t *testing.T, url string) string {
	t.Helper()
	how := "url: " + url
	if url == "" {
		how = fmt.Sprintf("runtime: command\n    contract: grpc\n    command: [%q]\n    config: {%s: \"1\", HTTP_PORT: \"8080\"}", os.Args[0], containerVariable)
	}
	bindings := []string{"- {name: env, function_key: fn, stateless: true}"}
	for _, name := range []string{"add", "fail", "refuse", "crash", "options"} {
		bindings = append(bindings, fmt.Sprintf("- {name: %s, function_key: fn}", name))
	}
	bindings = append(bindings, "- {name: hang, function_key: fn, timeout: 100ms}")
	dir := t.TempDir()
	file := fmt.Sprintf(`name: old
classes:
  - key: tally
    state_spec: {persistent: true}
    function_bindings:
      %s
    triggers:
      - {name: done, on: method.completed, method: options, target: {object: "77", method: add}}
      - {name: failed, on: method.failed, method: fail, target: {object: "88", method: add}}
functions:
  - key: fn
    %s
`, strings.Join(bindings, "\n      "), how)
	if err := os.WriteFile(filepath.Join(dir, "oaas-package.yaml"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A function container of OaaS-RS runs as a process of the platform, changes state by its own calls, and is called over REST and gRPC.
func TestContainer(t *testing.T) {
	r := open(t, t.TempDir())
	r.deploy(containerProject(t, ""))
	for n := 1; n <= 3; n++ {
		r.mustCall("old.tally", "42", "add", "", strconv.Itoa(n))
	}
	if got := r.entry("old.tally", "42", "0"); got != "3" {
		t.Errorf("the entry is %q", got)
	}
	checkContainer(t, r)
	checkContainerEnv(t, r)
	// It is started again after a crash, and the platform serves it again after a restart.
	if _, err := r.call("old.tally", "42", "crash", ""); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a crash gives %v", err)
	}
	r.mustCall("old.tally", "42", "add", "", "4")
	r.stop()
	again := open(t, r.data)
	again.mustCall("old.tally", "42", "add", "", "5")
}

// checkContainer checks what every container gets, wherever it runs.
func checkContainer(t *testing.T, r *rig) {
	t.Helper()
	fn := oprc.NewOprcFunctionClient(r.dialGRPC())
	invoke := func(ctx context.Context, method, payload string) (*oprc.InvocationResponse, error) {
		return fn.InvokeObj(ctx, &oprc.ObjectInvocationRequest{ClsId: "old.tally", FnId: method, ObjectId: new("7"), Payload: []byte(payload)})
	}
	// What it answered with is passed on.
	for payload, want := range map[string]string{"1": "400 said no", "2": "500 said no", "3": "502 said no"} {
		response, err := invoke(t.Context(), "fail", payload)
		if err != nil || strconv.Itoa(int(response.GetStatus())) != payload || string(response.GetPayload()) != "said no" {
			t.Errorf("status %s over gRPC gives %v, %v", payload, response, err)
		}
		code, body := r.request(http.MethodPost, "/api/class/old.tally/0/objects/7/invokes/fail", payload, nil)
		if got := fmt.Sprint(code, " ", body); got != want {
			t.Errorf("status %s over REST gives %s", payload, got)
		}
	}
	if _, err := invoke(t.Context(), "refuse", ""); status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != "not like this" {
		t.Errorf("a gRPC error becomes %v", err)
	}
	if _, err := invoke(t.Context(), "hang", ""); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a method that hangs gives %v", err)
	}
	// A result under a key is stored, also if two calls with it come together.
	ctx := metadata.AppendToOutgoingContext(t.Context(), "idempotency-key", "k1")
	var together sync.WaitGroup
	for range 4 {
		together.Go(func() {
			if response, err := invoke(ctx, "add", ""); err != nil || string(response.GetPayload()) != "1" {
				t.Errorf("the call with a key gives %v, %v", response, err)
			}
		})
	}
	together.Wait()
	ctx = metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	response, err := invoke(ctx, "options", "")
	if got := string(response.GetPayload()); err != nil || strings.Count(got, "0123456789abcdef0123456789abcdef") != 2 || !strings.Contains(got, "options") {
		t.Errorf("trace and chain: %s, %v", got, err)
	}
	r.eventually("the triggers on the ends of methods have run", func() bool {
		return r.entry("old.tally", "77", "0") == "1" && r.entry("old.tally", "88", "0") == "6"
	})
	// Asynchronous calls keep their result.
	code, body := r.request(http.MethodPost, "/api/class/old.tally/0/objects/9/invokes/add", "", map[string]string{"Prefer": "respond-async", "Idempotency-Key": "a"})
	if code != http.StatusAccepted {
		t.Fatalf("asynchronous call: %d %s", code, body)
	}
	r.eventually("the asynchronous call has run", func() bool { return r.entry("old.tally", "9", "0") == "1" })
}

func checkContainerEnv(t *testing.T, r *rig) {
	t.Helper()
	for name, want := range map[string]string{"K_SERVICE": "old-fn", "OAAS_URL": r.url, "OPRC_ZENOH_MODE": "client"} {
		if got, err := r.call("old.tally", "", "env", name); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	port, err := r.call("old.tally", "", "env", "PORT")
	if http, _ := r.call("old.tally", "", "env", "HTTP_PORT"); err != nil || port == "" || http != port {
		t.Errorf("PORT is %q, HTTP_PORT %q, %v", port, http, err)
	}
}

// A container that somebody else runs is called at its URL.
func TestContainerElsewhere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, t.TempDir())
	s := grpc.NewServer()
	oprc.RegisterOprcFunctionServer(s, &tally{data: oprc.NewDataServiceClient(r.dialGRPC())})
	var running sync.WaitGroup
	running.Go(func() { _ = s.Serve(l) })
	defer running.Wait()
	defer s.Stop()
	r.deploy(containerProject(t, "grpc://"+l.Addr().String()))
	checkContainer(t, r)
	s.Stop()
	_, err = r.call("old.tally", "7", "add", "")
	if f := failure(t, err); f.Code != "FUNCTION_UNAVAILABLE" {
		t.Errorf("with nobody there: %v", f)
	}
}

// Containers find the platform's Zenoh endpoint where the SDK of OaaS-RS looks for it.
func TestContainerFindsZenoh(t *testing.T) {
	p := &platform{zenoh: "tcp/127.0.0.1:7447"}
	if got, want := p.containerEnv(), map[string]string{"OPRC_ZENOH_MODE": "client", "OPRC_ZENOH_PEERS": p.zenoh}; !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// A container in Python that speaks the older generation of messages, as the released SDK does, is declared as OaaS-RS declares it.
func TestOlderContainer(t *testing.T) {
	python := os.Getenv("OAAS_TEST_PYTHON") // one that has grpcio
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import grpc").Run(); err != nil {
		t.Skipf("%s has no grpcio: %v", python, err)
	}
	program, err := filepath.Abs("testdata/older/container.py")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "oaas-package.yaml"), fmt.Sprintf(`name: py
classes:
  - key: tally
    function_bindings:
      - {name: add, function_key: fn, access_modifier: PUBLIC, immutable: false, parameters: []}
      - {name: fail, function_key: fn}
      - {name: echo, function_key: fn, stateless: true}
functions:
  - {key: fn, function_type: CUSTOM, provision_config: {need_http2: true}, command: [%q, %q]}
`, python, program))
	r := open(t, t.TempDir())
	r.deploy(dir)
	r.mustCall("py.tally", "7", "add", "2", "2")
	r.mustCall("py.tally", "7", "add", "3", "5")
	if got := r.entry("py.tally", "7", "1"); got != "5" {
		t.Errorf("the entry is %q", got)
	}
	r.mustCall("py.tally", "", "echo", "hello", "hello")
	_, err = r.call("py.tally", "7", "fail", "")
	if f := failure(t, err); f.Status != http.StatusInternalServerError {
		t.Errorf("its failure is %+v", f)
	}
}
