package mesh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/broker/keys"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/broker/zenoh/router"
	"github.com/hpcclab/oaas-go/cli/client"
	"github.com/hpcclab/oaas-go/cli/client/mesh/meshtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, endpoint string) *Client {
	t.Helper()
	c, err := Open(t.Context(), []string{endpoint}, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// code gives the code of a failure, "" if it is none.
func code(err error) string {
	f, ok := errors.AsType[*client.Failure](err)
	if !ok {
		return ""
	}
	return f.Code
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

func TestObjects(t *testing.T) {
	c := open(t, meshtest.Serve(t))
	ctx, ref := t.Context(), client.Ref{Class: "shop.cart", Partition: "0", ID: "A1"}
	if _, err := c.Object(ctx, ref); code(err) != "NO_OBJECT" {
		t.Errorf("an object that is not there: %v", err)
	}
	set := map[string]client.Value{"a": {Data: []byte("1")}, "b": {Data: []byte{0, 255}}}
	if _, err := c.Write(ctx, ref, client.Change{Set: set}); err != nil {
		t.Fatal(err)
	}
	o, err := c.Object(ctx, ref)
	if err != nil || o.ID != "a1" || string(o.Entries["a"].Data) != "1" || string(o.Entries["b"].Data) != "\x00\xff" {
		t.Errorf("got %+v, %v", o, err)
	}
	if data, err := c.Entry(ctx, ref, "a"); err != nil || string(data) != "1" {
		t.Errorf("entry: %q, %v", data, err)
	}
	if _, err := c.Entry(ctx, ref, "z"); code(err) != "NO_ENTRY" {
		t.Errorf("an entry that is not there: %v", err)
	}
	one, two := uint64(1), uint64(9)
	if _, err := c.Write(ctx, ref, client.Change{Delete: []string{"b"}, ExpectedVersion: &two}); code(err) != "VERSION_MISMATCH" {
		t.Errorf("another version: %v", err)
	}
	if _, err := c.Write(ctx, ref, client.Change{Delete: []string{"b"}, ExpectedVersion: &one}); err != nil {
		t.Error(err)
	}
	rows, _, next, err := c.Entries(ctx, ref, client.Page{Limit: 1})
	if err != nil || len(rows) != 1 || rows[0].Key != "a" || next != "" {
		t.Errorf("entries: %+v, %q, %v", rows, next, err)
	}
	list, next, err := c.Objects(ctx, "shop.cart", "0", client.Page{Prefix: "a", Limit: 10})
	if err != nil || len(list) != 1 || list[0] != (client.ObjectRow{ID: "a1", Version: 2, Entries: 1}) || next != "" {
		t.Errorf("objects: %+v, %q, %v", list, next, err)
	}
	if err := c.Delete(ctx, ref, nil); err != nil {
		t.Fatal(err)
	}
	until(t, "the object is gone", func() bool {
		_, err := c.Object(ctx, ref)
		return code(err) == "NO_OBJECT"
	})
}

func TestEntriesArePaged(t *testing.T) {
	c := open(t, meshtest.Serve(t))
	ref, set := client.Ref{Class: "shop.cart", Partition: "0", ID: "x"}, map[string]client.Value{}
	for i := range 7 {
		set[fmt.Sprintf("k%d", i)] = client.Value{}
	}
	set["other"] = client.Value{}
	if _, err := c.Write(t.Context(), ref, client.Change{Set: set}); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for page := (client.Page{Prefix: "k", Limit: 3}); ; {
		rows, _, next, err := c.Entries(t.Context(), ref, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			keys = append(keys, r.Key)
		}
		if page.Cursor = next; next == "" {
			break
		}
	}
	if want := []string{"k0", "k1", "k2", "k3", "k4", "k5", "k6"}; !slices.Equal(keys, want) {
		t.Errorf("got %v", keys)
	}
}

func TestCalls(t *testing.T) {
	c := open(t, meshtest.Serve(t))
	for _, id := range []string{"", "o1"} {
		call := client.Call{Ref: client.Ref{Class: "shop.cart", Partition: "0", ID: id}, Method: "echo", Payload: []byte("hi")}
		answer, err := c.Invoke(t.Context(), call)
		if err != nil || string(answer.Payload) != "hi" {
			t.Errorf("object %q: %+v, %v", id, answer, err)
		}
		if _, err := c.Result(t.Context(), call, "nothing", 0); code(err) != "NO_INVOCATION" {
			t.Errorf("a result that nobody has: %v", err)
		}
		inv, err := c.InvokeAsync(t.Context(), call)
		if err != nil || !regexp.MustCompile(`^[A-Za-z0-9_-]{21}$`).MatchString(inv) {
			t.Fatalf("id %q, %v", inv, err)
		}
		until(t, "the result is there", func() bool {
			result, err := c.Result(t.Context(), call, inv, 0)
			return err == nil && string(result.Result.Payload) == "hi" && result.Status == "succeeded"
		})
		call.Method = "fail"
		_, err = c.Invoke(t.Context(), call)
		if f, ok := errors.AsType[*client.Failure](err); !ok || f.Code != "FUNCTION_ERROR" || string(f.Body) != "no" {
			t.Errorf("a function that says no: %v", err)
		}
	}
}

// A result is waited for by the data grid, and by asking again where the call is not there yet. One that runs, was cancelled or is nowhere is told.
func TestResultIsWaitedFor(t *testing.T) {
	r, err := router.Open(t.Context(), router.Config{Listen: []string{"tcp/127.0.0.1:0"}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()) })
	c := open(t, r.Locators()[0])
	var asked atomic.Int32
	answer := func(q *zenoh.Query) {
		wait, _ := q.Parameters().Get("wait")
		refuse := func(text string, code fault.Code) {
			q.ReplyErr(q.Context(), zenoh.ZBytes(text), &zenoh.ReplyErrOptions{Encoding: zenoh.EncodingZenohString.WithSchema(string(code))})
		}
		switch id := keys.Parse(q.KeyExpr().String()).Invocation; {
		case id == "slow" && wait == "", id == "endless":
			refuse("call "+id+" has not ended; ask again", fault.Unavailable)
		case id == "cancelled":
			refuse("call cancelled was cancelled", fault.Cancelled)
		case id == "nowhere", id == "late" && asked.Add(1) < 3:
			refuse("no call "+id, fault.NoInvocation)
		default:
			q.Reply(q.Context(), q.KeyExpr(), nil, nil) // an empty InvocationResponse
		}
	}
	key := zenoh.MustKeyExpr(keys.In(keys.Any, keys.Any).Result(keys.Any, keys.Any, keys.Any).String())
	if _, err := c.session.DeclareQueryable(t.Context(), key, zenoh.Closure[*zenoh.Query]{Call: answer}, nil); err != nil {
		t.Fatal(err)
	}
	call := client.Call{Ref: client.Ref{Class: "shop.cart", Partition: "0", ID: "o1"}, Method: "m"}
	for _, row := range []struct {
		id, status, code string
		wait             time.Duration
	}{
		{"slow", "pending", "", 0}, {"slow", "succeeded", "", time.Minute}, {"endless", "pending", "", time.Millisecond}, {"cancelled", "cancelled", "", time.Minute},
		{"nowhere", "", "NO_INVOCATION", 0}, {"nowhere", "", "NO_INVOCATION", time.Millisecond}, {"late", "succeeded", "", time.Minute},
	} {
		inv, err := c.Result(t.Context(), call, row.id, row.wait)
		if code(err) != row.code || err == nil && inv.Status != row.status {
			t.Errorf("%s, waiting %s: %+v, %v", row.id, row.wait, inv, err)
		}
	}
}

func TestLooks(t *testing.T) {
	c := open(t, meshtest.Serve(t))
	var alive []string
	if err := c.Alive(t.Context(), "oprc/**", func(key string) error { alive = append(alive, key); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(alive, []string{"oprc/shop.cart/0/liveliness/1"}) {
		t.Errorf("alive: %v", alive)
	}
	var got []Sample
	keep := func(s Sample) error { got = append(got, s); return nil }
	if err := c.Query(t.Context(), "oprc/shop.cart/0/shards/1/capabilities", 1, time.Second, keep); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	stop := errors.New("enough")
	if err := c.Query(t.Context(), "oprc/shop.cart/0/shards/1/capabilities", 0, time.Second, func(Sample) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

// Names that would make another key are refused before anything is sent.
func TestRefused(t *testing.T) {
	c := open(t, meshtest.Serve(t))
	good := client.Ref{Class: "shop.cart", Partition: "0", ID: "a"}
	for name, ref := range map[string]client.Ref{
		"partition by hash": {Class: "a.b", Partition: "_", ID: "a"}, "partition": {Class: "a.b", Partition: "x", ID: "a"},
		"negative": {Class: "a.b", Partition: "-1", ID: "a"}, "class": {Class: "a/b", Partition: "0", ID: "a"}, "wild class": {Class: "*", Partition: "0", ID: "a"},
		"no class": {Partition: "0", ID: "a"}, "id": {Class: "a.b", Partition: "0", ID: "a/b"}, "wild id": {Class: "a.b", Partition: "0", ID: "**"},
	} {
		if _, err := c.Object(t.Context(), ref); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	for _, method := range []string{"", "a/b", "*", "a#b"} {
		if _, err := c.Invoke(t.Context(), client.Call{Ref: good, Method: method}); err == nil {
			t.Errorf("method %q was taken", method)
		}
		if _, err := c.Entry(t.Context(), good, method); err == nil {
			t.Errorf("entry %q was taken", method)
		}
	}
	if err := c.Delete(t.Context(), good, new(uint64)); err == nil {
		t.Error("a deletion with a version was taken")
	}
}

func TestNobodyAnswers(t *testing.T) {
	c := open(t, meshtest.Serve(t))
	call := client.Call{Ref: client.Ref{Class: "a.b", Partition: "0"}, Method: "m"}
	c2 := &Client{c.session, c.endpoints}
	err := c2.getSelector(t.Context(), "nobody/here", "", nil, nil)
	if code(err) != "UNAVAILABLE" || !strings.Contains(err.Error(), "nobody answers for nobody/here") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if _, err := c.Invoke(ctx, call); !errors.Is(err, why) {
		t.Errorf("got %v, want the cause of the context", err)
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	for _, endpoint := range []string{"tcp/" + address, "http://" + address} {
		_, err := Open(t.Context(), []string{endpoint}, false)
		u, ok := errors.AsType[*client.Unreachable](err)
		if !ok || u.URL != "tcp/"+address {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	for _, endpoint := range []string{"nonsense", "carrier/pigeon", "tcp/"} {
		if _, err := Open(t.Context(), []string{endpoint}, false); err == nil || !strings.Contains(err.Error(), endpoint) {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}
