package zenoh

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"
)

// native is a session of the native implementation, in a process of Python. The tests with it run when OAAS_INTEROP is 1; OAAS_INTEROP_PYTHON
// names a Python that has the package eclipse-zenoh 1.10, or else python3 must.
type native struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out chan map[string]any
	end func()

	kept []map[string]any // what it said and nobody expected yet
}

func startNative(t *testing.T, mode string, listen, connect []string, settings ...string) *native {
	t.Helper()
	if os.Getenv("OAAS_INTEROP") != "1" {
		t.Skip("OAAS_INTEROP is not 1")
	}
	python := os.Getenv("OAAS_INTEROP_PYTHON")
	if python == "" {
		python = "python3"
	}
	text := func(list []string) string {
		b, err := json.Marshal(append([]string{}, list...))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	cmd := exec.Command(python, append([]string{"testdata/interop.py", mode, text(listen), text(connect)}, settings...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := &native{cmd: cmd, in: in, out: make(chan map[string]any, 1000)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var m map[string]any
			if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
				t.Errorf("python said %q", lines.Text())
			}
			n.out <- m
		}
	})
	n.end = sync.OnceFunc(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		wg.Wait()
		_ = cmd.Wait()
	})
	t.Cleanup(n.end)
	n.expect(t, "open", nil)
	return n
}

// do tells the session what to do, and waits until it has.
func (n *native) do(t *testing.T, what string, pairs ...any) {
	t.Helper()
	n.start(t, what, pairs...)
	n.expect(t, "did", map[string]any{"do": what})
}

func (n *native) start(t *testing.T, what string, pairs ...any) {
	t.Helper()
	m := map[string]any{"do": what}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.in.Write(append(b, '\n')); err != nil {
		t.Fatal(err)
	}
}

// expect waits until the session says that, and gives all of it. Other things that it says are kept for later.
func (n *native) expect(t *testing.T, what string, want map[string]any) map[string]any {
	t.Helper()
	is := func(got map[string]any) bool {
		ok := got["what"] == what
		for k, v := range want {
			ok = ok && fmt.Sprint(got[k]) == fmt.Sprint(v)
		}
		return ok
	}
	if i := slices.IndexFunc(n.kept, is); i >= 0 {
		got := n.kept[i]
		n.kept = slices.Delete(n.kept, i, i+1)
		return got
	}
	for deadline := time.After(patience); ; {
		select {
		case got := <-n.out:
			if is(got) {
				return got
			}
			n.kept = append(n.kept, got)
		case <-deadline:
			t.Fatalf("python did not say %s %v, but %v", what, want, n.kept)
		}
	}
}

// freeEndpoint gives a port of loopback that nobody listened on a moment ago.
func freeEndpoint(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "tcp/" + l.Addr().String()
}

func TestInteropNativeRouter(t *testing.T) {
	endpoint := freeEndpoint(t)
	python := startNative(t, "router", []string{endpoint}, nil)
	one, two := openClient(t, endpoint), openClient(t, endpoint)
	ctx := t.Context()

	sub := must(two.DeclareSubscriber(ctx, MustKeyExpr("to/go/**"), NewFifoChannel[Sample](10), nil))(t)
	python.do(t, "subscribe", "id", "s", "key", "to/python/**")
	settle(t, two)
	if err := one.Put(ctx, MustKeyExpr("to/go/a"), []byte("hi"), &PutOptions{Encoding: EncodingTextPlain, Attachment: []byte("at")}); err != nil {
		t.Fatal(err)
	}
	if got := next(t, sub.Handler()); got.Payload().String() != "hi" || got.Encoding() != EncodingTextPlain || got.Attachment().String() != "at" {
		t.Errorf("got %+v", got)
	}
	if err := one.Put(ctx, MustKeyExpr("to/python/a"), []byte("hi"), &PutOptions{Encoding: EncodingTextPlain, Attachment: []byte("at"), Priority: PriorityDataHigh, CongestionControl: CongestionControlBlock, Express: true}); err != nil {
		t.Fatal(err)
	}
	python.expect(t, "sample", map[string]any{
		"key": "to/python/a", "text": "hi", "encoding": "text/plain", "attachment": "at", "priority": "DATA_HIGH", "congestion": "BLOCK", "express": true,
	})

	must(two.DeclareQueryable(ctx, MustKeyExpr("ask/go"), Closure[*Query]{Call: func(q *Query) {
		_ = q.Reply(ctx, MustKeyExpr("ask/go"), []byte("answer to "+q.Payload().String()), nil)
	}}, nil))(t)
	python.do(t, "queryable", "id", "q", "key", "ask/python", "texts", []string{"yes"})
	settle(t, two)
	replies := must(one.Get(ctx, MustKeyExpr("ask/*"), "a=1", nil, &GetOptions{Target: QueryTargetAll, Payload: []byte("x")}))(t)
	got := map[string]string{}
	for r := range replies {
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
		got[r.Sample().KeyExpr().String()] = r.Sample().Payload().String()
	}
	if got["ask/go"] != "answer to x" || got["ask/python"] != "yes" {
		t.Errorf("got %v", got)
	}
	python.start(t, "get", "key", "ask/go")
	python.expect(t, "replies", nil)

	watch := must(one.Liveliness().DeclareSubscriber(ctx, MustKeyExpr("alive/**"), NewFifoChannel[Sample](10), &LivelinessSubscriberOptions{History: true}))(t)
	token := must(two.Liveliness().DeclareToken(ctx, MustKeyExpr("alive/two")))(t)
	if s := next(t, watch.Handler()); s.KeyExpr().String() != "alive/two" || s.Kind() != SampleKindPut {
		t.Errorf("got %+v", s)
	}
	python.do(t, "token", "id", "t", "key", "alive/python")
	if s := next(t, watch.Handler()); s.KeyExpr().String() != "alive/python" || s.Kind() != SampleKindPut {
		t.Errorf("got %+v", s)
	}
	tokens := must(one.Liveliness().Get(ctx, MustKeyExpr("alive/**"), nil, nil))(t)
	n := 0
	for r := range tokens {
		if r.Err() != nil {
			t.Error(r.Err())
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d tokens", n)
	}
	if err := token.Undeclare(ctx); err != nil {
		t.Fatal(err)
	}
	if s := next(t, watch.Handler()); s.KeyExpr().String() != "alive/two" || s.Kind() != SampleKindDelete {
		t.Errorf("got %+v", s)
	}
}

// TestInteropNativePeer has a native peer that dials, and one that is dialled.
func TestInteropNativePeer(t *testing.T) {
	t.Run("dials", func(t *testing.T) {
		s := openPeer(t)
		withNativePeer(t, s, startNative(t, "peer", nil, s.Locators()))
	})
	t.Run("client dials", func(t *testing.T) {
		s := openPeer(t)
		withNativePeer(t, s, startNative(t, "client", nil, s.Locators()))
	})
	t.Run("dialled", func(t *testing.T) {
		endpoint := freeEndpoint(t)
		python := startNative(t, "peer", []string{endpoint}, nil)
		withNativePeer(t, openPeer(t, endpoint), python)
	})
	t.Run("both", func(t *testing.T) {
		ours, theirs := freeEndpoint(t), freeEndpoint(t)
		s := openSession(t, func() Config {
			c := peerConfig([]string{ours}, []string{theirs})
			c.Scouting.Delay = time.Nanosecond
			return c
		}())
		withNativePeer(t, s, startNative(t, "peer", []string{theirs}, []string{ours}))
	})
}

func withNativePeer(t *testing.T, s *Session, python *native) {
	t.Helper()
	ctx := t.Context()
	eventually(t, "they are connected", func() bool { return len(s.Transports()) == 1 })
	watch := must(s.Liveliness().DeclareSubscriber(ctx, MustKeyExpr("alive/*"), nil, nil))(t)
	sub := must(s.DeclareSubscriber(ctx, MustKeyExpr("to/go/*"), nil, nil))(t)
	must(s.DeclareQueryable(ctx, MustKeyExpr("ask/go"), Closure[*Query]{Call: func(q *Query) {
		if err := q.Reply(ctx, q.KeyExpr(), []byte("from go"), nil); err != nil {
			t.Error(err)
		}
	}}, nil))(t)
	pub := must(s.DeclarePublisher(ctx, MustKeyExpr("to/python/a"), &PublisherOptions{CongestionControl: CongestionControlBlock}))(t)
	python.do(t, "subscribe", "id", "s", "key", "to/python/*")
	python.do(t, "queryable", "id", "q", "key", "ask/python", "texts", []string{"from python"})
	python.do(t, "token", "id", "t", "key", "alive/python")
	if got := next(t, watch.Handler()); got.Kind() != SampleKindPut {
		t.Errorf("got %s", got.Kind())
	}
	if !pub.MatchingStatus().Matching {
		t.Error("python does not match")
	}
	for _, text := range []string{"one", "two"} {
		if err := pub.Put(ctx, []byte(text), nil); err != nil {
			t.Fatal(err)
		}
		python.expect(t, "sample", map[string]any{"text": text, "key": "to/python/a"})
	}
	python.do(t, "put", "key", "to/go/a", "size", 200_000)
	if got := next(t, sub.Handler()); got.Payload().Len() != 200_000 {
		t.Errorf("got %d bytes", got.Payload().Len())
	}
	if r := next(t, must(s.Get(ctx, MustKeyExpr("ask/python"), "", nil, nil))(t)); r.Sample().Payload().String() != "from python" {
		t.Errorf("got %+v", r)
	}
	python.start(t, "get", "key", "ask/go")
	if got := python.expect(t, "replies", nil)["replies"]; fmt.Sprint(got) != "[map[key:ask/go size:7 text:from go]]" {
		t.Errorf("got %v", got)
	}
	python.do(t, "undeclare", "id", "t")
	if got := next(t, watch.Handler()); got.Kind() != SampleKindDelete {
		t.Errorf("got %s", got.Kind())
	}
	python.do(t, "undeclare", "id", "s")
	eventually(t, "nobody matches", func() bool { return !pub.MatchingStatus().Matching })
}
