package dev

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/templates"
)

// TestInteropSDK runs a class written with the released Python SDK of OaaS-RS: called over REST, gRPC and Zenoh it keeps its state, merges what it
// writes, deletes by number, raises errors and sets triggers.
func TestInteropSDK(t *testing.T) {
	python := os.Getenv("OAAS_INTEROP_PYTHON")
	if os.Getenv("OAAS_INTEROP") != "1" || python == "" {
		t.Skip("OAAS_INTEROP is not 1, or OAAS_INTEROP_PYTHON does not name a Python with oaas-sdk2-py")
	}
	dir := filepath.Join(t.TempDir(), "hello")
	if _, err := templates.Write(dir, "python-oaas-sdk", "hello"); err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(dir, "oaas-package.yaml"), "contract: grpc ", "command: ['"+python+"', -u, main.py]\n    contract: grpc ") // it is installed there
	edit(t, filepath.Join(dir, "oaas-package.yaml"), "{name: get, ", "{name: watch, function_key: main}\n      - {name: get, ")
	edit(t, filepath.Join(dir, "main.py"), "    @oaas.function()", `    @oaas.method()
    async def watch(self) -> str:
        from oprc_py import DataTriggerType
        self.trigger(0, Counter.load(9).fired, DataTriggerType.OnUpdate)
        self.last = "watching"
        await self.commit_async()
        return "ok"

    @oaas.method()
    async def fired(self):
        self.last = "fired"
        await self.commit_async()

    @oaas.function()`)
	edit(t, filepath.Join(dir, "oaas-package.yaml"), "{name: get, ", "{name: fired, function_key: main}\n      - {name: get, ")
	r := open(t, t.TempDir())
	r.deploy(dir)
	r.mustCall("hello.counter", "7", "add", "2", "2")
	r.mustCall("hello.counter", "7", "add", "3", "5")
	r.mustCall("hello.counter", "7", "note", `"x"`, "x") // writes one entry only
	r.mustCall("hello.counter", "7", "get", "", "5")
	if count, last := r.entry("hello.counter", "7", "0"), r.entry("hello.counter", "7", "1"); count != "5" || !strings.Contains(last, "x") {
		t.Errorf("entries %q and %q", count, last)
	}
	if got, err := r.call("hello.counter", "", "greet", `"you"`); err != nil || got != "Hello you" {
		t.Errorf("greeted %q, %v", got, err)
	}
	_, err := r.call("hello.counter", "7", "add", "-1")
	if f := failure(t, err); f.Code != "FUNCTION_ERROR" || !strings.Contains(string(f.Body), "a counter counts up") {
		t.Errorf("its failure is %+v", f)
	}
	response, err := oprc.NewOprcFunctionClient(r.dialGRPC()).InvokeObj(t.Context(), &oprc.ObjectInvocationRequest{
		ClsId: "hello.counter", FnId: "add", NumericObjectId: new(uint64(7)), Payload: []byte("1"),
	})
	if err != nil || string(response.GetPayload()) != "6" {
		t.Errorf("over gRPC: %v, %v", response, err)
	}
	_, body := r.request("GET", control.StatusPath, "", nil)
	s := zenohClient(t, decode[control.Status](t, body).Zenoh)
	request, err := proto.Marshal(&oprc.ObjectInvocationRequest{Payload: []byte("1")})
	if err != nil {
		t.Fatal(err)
	}
	replies, err := s.Get(t.Context(), zenoh.MustKeyExpr("oprc/hello.counter/0/objects/007/invokes/add"), "", nil,
		&zenoh.GetOptions{Payload: request, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for reply := range replies {
		var m oprc.InvocationResponse
		if err := proto.Unmarshal(reply.Sample().Payload(), &m); err != nil || string(m.GetPayload()) != "7" {
			t.Errorf("over Zenoh: %v, %v, %v", &m, err, reply.Err())
		}
	}
	r.mustCall("hello.counter", "7", "watch", "", "ok")
	r.mustCall("hello.counter", "7", "add", "1", "8")
	r.eventually("the trigger has run", func() bool { return strings.Contains(r.entry("hello.counter", "9", "1"), "fired") })
	if _, err := r.call("hello.counter", "7", "remove", ""); err != nil {
		t.Fatal(err)
	}
	r.eventually("the object is deleted", func() bool { return r.entry("hello.counter", "7", "0") == "" })
	r.mustCall("hello.counter", "7", "add", "4", "4") // begins anew
	r.stop()
	again := open(t, r.data)
	again.mustCall("hello.counter", "7", "get", "", "4")
}
