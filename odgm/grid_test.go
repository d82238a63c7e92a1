package odgm

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/engine/backend"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

// method is what a test's function does with a call.
type method func(r *http.Request, c *function.Call) (*function.Reply, error)

// serve runs functions over HTTP, by name of the method; an error is answered with status 422.
func serve(t testing.TB, methods map[string]method) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		form, ok := function.CallForm(r.Header.Get("Content-Type"))
		if !ok {
			_, _ = w.Write(body) // stateless: an echo
			return
		}
		c, err := function.DecodeCall(form, body, function.Limits{})
		if err != nil {
			t.Errorf("call does not decode: %v", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		reply, err := methods[c.Method](r, c)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		w.Header().Set("Content-Type", form.ReplyType())
		_, _ = w.Write(function.EncodeReply(form, reply))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// bind makes the methods of a class that one function serves.
func bind(url string, names ...string) map[string]call.Method {
	methods := map[string]call.Method{}
	for _, name := range names {
		methods[name] = call.Method{Name: name, Function: "fn", URL: url, Transport: http.DefaultTransport, State: object.Everything}
	}
	return methods
}

func openGrid(t testing.TB, dir string) *Grid {
	t.Helper()
	g, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close(context.Background()) })
	return g
}

func deploy(t testing.TB, g *Grid, classes ...Class) {
	t.Helper()
	for _, c := range classes {
		if err := g.Deploy(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}

// until waits for a condition, with a deadline.
func until(t testing.TB, what string, met func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !met() {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func at(class, id string) Target { return Target{Class: class, Partition: AnyPartition, ID: id} }

func entry(g *Grid, t Target, key string) string {
	e, _, err := g.Entry(context.Background(), t, key)
	if err != nil {
		return string(fault.CodeOf(err))
	}
	return string(e.Data)
}

// add counts up the entry "n".
func add(_ *http.Request, c *function.Call) (*function.Reply, error) {
	n := 0
	if v, ok := c.Entry("n"); ok {
		n, _ = strconv.Atoi(string(v.Data))
	}
	text := []byte(strconv.Itoa(n + 1))
	return &function.Reply{Payload: text, ContentType: "application/json", Set: []function.Entry{{Key: "n", Value: function.Value{Data: text}}}}, nil
}

func TestCallsAreCommittedOnce(t *testing.T) {
	g := openGrid(t, t.TempDir())
	deploy(t, g, Class{Name: "test.counter", Partitions: 4, Engine: backend.Pebble, Methods: bind(serve(t, map[string]method{"add": add}), "add")})
	var wg sync.WaitGroup
	const objects, keys, repeats = 4, 10, 3
	for o := range objects {
		for k := range keys {
			for range repeats {
				wg.Go(func() {
					_, err := g.Invoke(t.Context(), call.Call{Method: "add", IdempotencyKey: fmt.Sprint(k)}, at("test.counter", fmt.Sprintf("o%d", o)))
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
	wg.Wait()
	for o := range objects {
		if n := entry(g, at("test.counter", fmt.Sprintf("O%d", o)), "n"); n != strconv.Itoa(keys) {
			t.Errorf("object %d counted %s, want %d: each key once", o, n, keys)
		}
	}
}

func TestStateOutlivesTheGrid(t *testing.T) {
	dir := t.TempDir()
	spec := Class{Name: "test.counter", Engine: backend.Pebble, Methods: bind(serve(t, map[string]method{"add": add}), "add")}
	for i := range 3 {
		g := openGrid(t, dir)
		deploy(t, g, spec)
		answer, err := g.Invoke(t.Context(), call.Call{Method: "add"}, at("test.counter", "o"))
		if err != nil || string(answer.Payload) != strconv.Itoa(i+1) || answer.Version != uint64(i+1) {
			t.Fatalf("start %d: %+v, %v", i, answer, err)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if g.Ready() == nil {
			t.Fatal("a closed grid says that it is ready")
		}
	}
}

// TestTriggerRunsAnotherFunction has a change of an entry call a method of another class, which fails at first.
func TestTriggerRunsAnotherFunction(t *testing.T) {
	var failures atomic.Int32
	url := serve(t, map[string]method{
		"add": add,
		"record": func(_ *http.Request, c *function.Call) (*function.Reply, error) {
			if failures.Add(1) == 1 {
				return nil, &tooEarly{}
			}
			return &function.Reply{Set: []function.Entry{{Key: "last", Value: function.Value{Data: c.Payload}}}}, nil
		},
	})
	g := openGrid(t, t.TempDir())
	audit := Class{Name: "test.audit", Methods: bind(url, "record")}
	slow := bind(url, "record")["record"]
	slow.Transport = failFirst(t)
	audit.Methods["record"] = slow
	deploy(t, g, audit, Class{Name: "test.counter", Engine: backend.Pebble, Methods: bind(url, "add"), Triggers: []*record.ClassTrigger{{
		Name: "count", On: oprc.EventType_EVENT_TYPE_DATA_CREATE, Entry: "n",
		Target: &record.Target{Class: "test.audit", Method: "record", SameObject: true, ByHash: true},
	}}})
	failures.Store(1)
	if _, err := g.Invoke(t.Context(), call.Call{Method: "add"}, at("test.counter", "o")); err != nil {
		t.Fatal(err)
	}
	until(t, "the trigger has run", func() bool { return entry(g, at("test.audit", "o"), "last") != string(fault.NoObject) })
	var payload struct {
		EventInfo struct {
			Class string `json:"source_cls_id"`
			Key   string `json:"key"`
			Kind  int    `json:"event_type"`
		} `json:"event_info"`
		Original []byte `json:"original_payload"`
	}
	if err := json.Unmarshal([]byte(entry(g, at("test.audit", "o"), "last")), &payload); err != nil {
		t.Fatal(err)
	}
	if payload.EventInfo.Class != "test.counter" || payload.EventInfo.Key != "n" || payload.EventInfo.Kind != 3 || string(payload.Original) != "1" {
		t.Fatalf("payload %+v", payload)
	}
}

type tooEarly struct{}

func (*tooEarly) Error() string { return "not yet" }

// failFirst is a transport whose first request fails as if nobody listened.
func failFirst(t testing.TB) http.RoundTripper {
	var calls atomic.Int32
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if calls.Add(1) == 1 {
			return nil, io.ErrUnexpectedEOF
		}
		return http.DefaultTransport.RoundTrip(r)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (fn roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return fn(r) }

func TestWritesWaitForARunningMethodAndReadsDoNot(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	url := serve(t, map[string]method{"slow": func(_ *http.Request, c *function.Call) (*function.Reply, error) {
		close(started)
		<-release
		return &function.Reply{Set: []function.Entry{{Key: "n", Value: function.Value{Data: []byte("method")}}}}, nil
	}})
	g := openGrid(t, "")
	deploy(t, g, Class{Name: "test.slow", Methods: bind(url, "slow")})
	here := at("test.slow", "o")
	set := func(ctx context.Context, text string) error {
		_, err := g.Write(ctx, here, object.Change{Puts: []object.Entry{{Key: "n", Data: []byte(text)}}}, WriteOptions{})
		return err
	}
	if err := set(t.Context(), "before"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := g.Invoke(t.Context(), call.Call{Method: "slow"}, here); err != nil {
			t.Error(err)
		}
	})
	<-started
	impatient, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := set(impatient, "lost"); fault.CodeOf(err) != fault.DeadlineExceeded {
		t.Errorf("a write beside a method: %v", err)
	}
	if got := entry(g, here, "n"); got != "before" {
		t.Errorf("a read beside a method gives %q", got)
	}
	wg.Go(func() {
		if err := set(t.Context(), "after"); err != nil {
			t.Error(err)
		}
	})
	close(release)
	wg.Wait()
	if got := entry(g, here, "n"); got != "after" {
		t.Errorf("in the end %q, want the write that waited", got)
	}
}

func TestEmittedEventsReachSubscriptions(t *testing.T) {
	url := serve(t, map[string]method{
		"checkout": func(*http.Request, *function.Call) (*function.Reply, error) {
			return &function.Reply{Events: []function.Event{
				{Type: "shop.ordered", Subject: "Order-7", Data: []byte(`{"n":1}`), ContentType: "application/json", Extensions: map[string]string{"room": "r1"}},
				{Type: "nobody.cares"},
			}}, nil
		},
		"ship": func(_ *http.Request, c *function.Call) (*function.Reply, error) {
			return &function.Reply{Set: []function.Entry{{Key: "order", Value: function.Value{Data: c.Payload}}}}, nil
		},
	})
	g := openGrid(t, t.TempDir())
	deploy(t, g, Class{Name: "test.cart", Engine: backend.Bbolt, Methods: bind(url, "checkout")},
		Class{Name: "test.order", Methods: bind(url, "ship"), Subscriptions: []Subscription{{Type: "shop.ordered", Method: "ship"}}},
		Class{Name: "test.room", Methods: bind(url, "ship"), Subscriptions: []Subscription{{Type: "shop.ordered", Method: "ship", ObjectFrom: "room"}}})
	if _, err := g.Invoke(t.Context(), call.Call{Method: "checkout"}, at("test.cart", "c")); err != nil {
		t.Fatal(err)
	}
	for _, where := range []Target{at("test.order", "order-7"), at("test.room", "r1")} {
		until(t, "the event has arrived at "+where.Class, func() bool { return entry(g, where, "order") == `{"n":1}` })
	}
	until(t, "the outbox is empty", func() bool {
		stats, err := g.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		waiting := uint64(0)
		for _, s := range stats {
			waiting += s.Outbox + s.DeadLetters
		}
		return waiting == 0
	})
}

// TestHeldEventsFindLaterSubscribers emits an event before its subscriber is deployed, as when a platform starts again.
func TestHeldEventsFindLaterSubscribers(t *testing.T) {
	url := serve(t, map[string]method{
		"emit": func(*http.Request, *function.Call) (*function.Reply, error) {
			return &function.Reply{Events: []function.Event{{Type: "late", Subject: "o"}}}, nil
		},
		"add": add,
	})
	g := openGrid(t, "")
	release := g.Hold()
	deploy(t, g, Class{Name: "test.early", Methods: bind(url, "emit")})
	if _, err := g.Invoke(t.Context(), call.Call{Method: "emit"}, at("test.early", "o")); err != nil {
		t.Fatal(err)
	}
	inv, err := g.InvokeAsync(t.Context(), call.Call{Method: "emit"}, at("test.early", "o"))
	if err != nil {
		t.Fatal(err)
	}
	deploy(t, g, Class{Name: "test.late", Methods: bind(url, "add"), Subscriptions: []Subscription{{Type: "late", Method: "add"}}})
	release()
	if done, err := g.Invocation(t.Context(), "test.early", 0, inv.GetId(), true); err != nil || shard.StateName(done.GetState()) != "succeeded" {
		t.Fatal(done, err)
	}
	until(t, "the events have found their subscriber", func() bool { return entry(g, at("test.late", "o"), "n") == "2" })
}

func TestMadeUpCursors(t *testing.T) {
	g := openGrid(t, "")
	deploy(t, g, Class{Name: "test.c", Partitions: 2})
	if _, err := g.Write(t.Context(), at("test.c", "o"), object.Change{}, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, cursor := range []string{"\x00\x00\x00", "\xff", "A", "\x00\x02a", "a b"} {
		page := object.Page{Cursor: []byte(cursor)}
		if _, _, err := g.ListObjects(t.Context(), "test.c", 0, page); fault.CodeOf(err) != fault.InvalidArgument {
			t.Errorf("objects of a partition from %q: %v", cursor, err)
		}
		if _, _, err := g.ListObjects(t.Context(), "test.c", AnyPartition, page); fault.CodeOf(err) != fault.InvalidArgument {
			t.Errorf("objects from %q: %v", cursor, err)
		}
		if _, _, _, err := g.ListEntries(t.Context(), at("test.c", "o"), page); fault.CodeOf(err) != fault.InvalidArgument {
			t.Errorf("entries from %q: %v", cursor, err)
		}
	}
}

func TestDispatch(t *testing.T) {
	g := openGrid(t, "")
	deploy(t, g, Class{Name: "test.counter", Methods: bind(serve(t, map[string]method{"add": add}), "add"),
		Subscriptions: []Subscription{{Type: "tick", Source: "/clock", Method: "add", Object: "main"}}})
	ev := event.New()
	ev.SetID("1")
	ev.SetType("tick")
	ev.SetSource("/clock")
	for range 3 {
		if _, err := g.Dispatch(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	if n := entry(g, at("test.counter", "main"), "n"); n != "1" {
		t.Errorf("the same event three times counted %s, want 1", n)
	}
	ev.SetSource("/other")
	if _, err := g.Dispatch(t.Context(), ev); fault.CodeOf(err) != fault.NoSubscription {
		t.Errorf("an event from elsewhere: %v", err)
	}
}

func TestUselessDeliveriesGoToTheDeadLetters(t *testing.T) {
	var heal atomic.Bool
	url := serve(t, map[string]method{"strict": func(_ *http.Request, c *function.Call) (*function.Reply, error) {
		if !heal.Load() {
			return nil, &tooEarly{}
		}
		return &function.Reply{Set: []function.Entry{{Key: "ok", Value: function.Value{Data: []byte("1")}}}}, nil
	}})
	g := openGrid(t, "")
	deploy(t, g, Class{Name: "test.strict", Methods: bind(url, "strict"), Triggers: []*record.ClassTrigger{{
		Name: "t", On: oprc.EventType_EVENT_TYPE_DATA_CREATE, Entry: "x", Target: &record.Target{Class: "test.strict", Object: "other", Method: "strict", ByHash: true},
	}}})
	if _, err := g.Write(t.Context(), at("test.strict", "o"), object.Change{Puts: []object.Entry{{Key: "x"}}}, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	var dead []*record.Event
	until(t, "there is a dead letter", func() bool {
		dead, _ = g.DeadLetters(t.Context(), "test.strict", AnyPartition, 0, 10)
		return len(dead) == 1
	})
	if dead[0].GetAttempts() != 1 || dead[0].GetReason() == "" {
		t.Errorf("dead letter %v; want 1 attempt and a reason, as the function refused it for good", dead[0])
	}
	heal.Store(true)
	if n, err := g.Replay(t.Context(), "test.strict", 0, []uint64{dead[0].GetSeq()}, false, false); n != 1 || err != nil {
		t.Fatalf("replayed %d, %v", n, err)
	}
	until(t, "the replayed event has arrived", func() bool { return entry(g, at("test.strict", "other"), "ok") == "1" })
}

func TestAsynchronousCallOutlivesTheGrid(t *testing.T) {
	dir := t.TempDir()
	var blocked atomic.Bool
	blocked.Store(true)
	url := serve(t, map[string]method{"add": func(r *http.Request, c *function.Call) (*function.Reply, error) {
		if blocked.Load() {
			<-r.Context().Done()
		}
		return add(r, c)
	}})
	spec := Class{Name: "test.counter", Partitions: 3, Engine: backend.Pebble, Methods: bind(url, "add")}
	g := openGrid(t, dir)
	deploy(t, g, spec)
	inv, err := g.InvokeAsync(t.Context(), call.Call{Method: "add"}, at("test.counter", "o"))
	if err != nil || shard.StateName(inv.GetState()) != "pending" {
		t.Fatal(inv, err)
	}
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	blocked.Store(false)
	g = openGrid(t, dir)
	deploy(t, g, spec)
	done, err := g.Invocation(t.Context(), "test.counter", AnyPartition, inv.GetId(), true)
	if err != nil || shard.StateName(done.GetState()) != "succeeded" || string(done.GetOutcome().GetPayload()) != "1" {
		t.Fatal(done, err)
	}
	if _, err := g.Cancel(t.Context(), "test.counter", AnyPartition, inv.GetId()); err != nil {
		t.Fatal(err)
	}
	if n := entry(g, at("test.counter", "o"), "n"); n != "1" {
		t.Errorf("counted %s, want 1", n)
	}
}

func TestPartitions(t *testing.T) {
	for id, want := range map[string]uint32{"a": 12, "b": 5, "sensor-1": 9, "0": 15} {
		if got := PartitionOf(id, 16); got != want {
			t.Errorf("partition of %q among 16 is %d, want %d: it must never change", id, got, want)
		}
	}
	g := openGrid(t, "")
	deploy(t, g, Class{Name: "test.many", Partitions: 5})
	for i := range 40 {
		where := Target{Class: "test.many", Partition: AnyPartition, ID: fmt.Sprintf("O%02d", i)}
		if i%10 == 9 {
			where.Partition = i % 5
		}
		if _, err := g.Write(t.Context(), where, object.Change{}, WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	page := object.Page{Limit: 7}
	for {
		metas, next, err := g.ListObjects(t.Context(), "test.many", AnyPartition, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range metas {
			if seen[m.ID] {
				t.Errorf("%s is listed twice", m.ID)
			}
			seen[m.ID] = true
		}
		if next == nil {
			break
		}
		page.Cursor = next
	}
	if len(seen) != 40 {
		t.Errorf("listed %d, want 40", len(seen))
	}
}

func TestDeployChanges(t *testing.T) {
	dir := t.TempDir()
	g := openGrid(t, dir)
	spec := Class{Name: "test.c", Partitions: 2, Engine: backend.Bbolt}
	deploy(t, g, spec)
	if _, err := g.Write(t.Context(), at("test.c", "o"), object.Change{Puts: []object.Entry{{Key: "x", Data: []byte("1")}}}, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []Class{{Name: "test.c", Partitions: 3, Engine: backend.Bbolt}, {Name: "test.c", Partitions: 2, Engine: backend.Pebble}, {Name: "../x"}, {Name: ""},
		{Name: "test.d", Partitions: 70000}, {Name: "test.d", Engine: "redis"}} {
		if err := g.Deploy(t.Context(), bad); fault.CodeOf(err) != fault.InvalidArgument {
			t.Errorf("deploy of %+v: %v", bad, err)
		}
	}
	if err := g.Undeploy(t.Context(), "test.c", false); err != nil {
		t.Fatal(err)
	}
	if got := entry(g, at("test.c", "o"), "x"); got != string(fault.NoClass) {
		t.Errorf("an undeployed class answers %q", got)
	}
	if err := g.Deploy(t.Context(), Class{Name: "test.c", Engine: backend.Bbolt}); fault.CodeOf(err) != fault.InvalidArgument {
		t.Errorf("another number of partitions over old data: %v", err)
	}
	deploy(t, g, spec)
	if got := entry(g, at("test.c", "o"), "x"); got != "1" {
		t.Errorf("deployed again it has %q, want the data it had", got)
	}
	if err := g.Undeploy(t.Context(), "test.c", true); err != nil {
		t.Fatal(err)
	}
	deploy(t, g, Class{Name: "test.c", Partitions: 3, Engine: backend.Pebble})
	if got := entry(g, at("test.c", "o"), "x"); got != string(fault.NoObject) {
		t.Errorf("after a purge it has %q", got)
	}
}

func TestBadTargets(t *testing.T) {
	g := openGrid(t, "")
	deploy(t, g, Class{Name: "test.c", Partitions: 2, Methods: bind("http://127.0.0.1:1", "m")})
	for _, c := range []struct {
		t    Target
		want fault.Code
	}{
		{at("test.none", "o"), fault.NoClass},
		{at("test.c", ""), fault.InvalidObjectID},
		{at("test.c", "a b"), fault.InvalidObjectID},
		{Target{Class: "test.c", Partition: 2, ID: "o"}, fault.NoPartition},
		{Target{Class: "test.c", Partition: -7, ID: "o"}, fault.NoPartition},
		{at("test.c", "o"), fault.NoObject},
	} {
		if _, _, err := g.Get(t.Context(), c.t, object.Everything); fault.CodeOf(err) != c.want {
			t.Errorf("get %+v: %v, want %s", c.t, err, c.want)
		}
	}
	for _, c := range []struct {
		change object.Change
		want   fault.Code
	}{
		{object.Change{Puts: []object.Entry{{Key: ""}}}, fault.InvalidArgument},
		{object.Change{Puts: []object.Entry{{Key: "a b"}}}, fault.InvalidArgument},
		{object.Change{Puts: []object.Entry{{Key: "a"}, {Key: "A"}}}, fault.InvalidArgument},
		{object.Change{Puts: []object.Entry{{Key: "a"}}, Deletes: []string{"A"}}, fault.InvalidArgument},
		{object.Change{Deletes: []string{"ü"}}, fault.InvalidArgument},
		{object.Change{Expect: object.Expect{Present: true}}, fault.NoObject},
	} {
		if _, err := g.Write(t.Context(), at("test.c", "o"), c.change, WriteOptions{}); fault.CodeOf(err) != c.want {
			t.Errorf("write %+v: %v, want %s", c.change, err, c.want)
		}
	}
	if _, err := g.Invoke(t.Context(), call.Call{Method: "none"}, at("test.c", "o")); fault.CodeOf(err) != fault.NoFunction {
		t.Errorf("unknown method: %v", err)
	}
	if _, err := g.Invoke(t.Context(), call.Call{Method: "m"}, Target{Class: "test.c"}); fault.CodeOf(err) != fault.InvalidArgument {
		t.Errorf("method without object: %v", err)
	}
	if stats, err := g.Stats(t.Context()); err != nil || stats[0].Objects+stats[1].Objects != 0 {
		t.Errorf("bad requests left something: %+v, %v", stats, err)
	}
}
