package rpc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	wire "github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/engine/backend"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/remote/remotetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(remotetest.BothWays{M: m}) }

const class = "example.record"

// method is what a function of the tests does with a call.
type method func(r *http.Request, c *wire.Call) (*wire.Reply, error)

// refusal is a function's own failure.
type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return r.text }

// recordMethods are those of the class of the tests.
var recordMethods = map[string]method{
	"mecho": func(_ *http.Request, c *wire.Call) (*wire.Reply, error) {
		return &wire.Reply{Payload: c.Payload, ContentType: c.ContentType}, nil
	},
	"store": func(_ *http.Request, c *wire.Call) (*wire.Reply, error) {
		return &wire.Reply{Payload: c.Payload, Set: []wire.Entry{{Key: "stored", Value: wire.Value{Data: c.Payload}}}}, nil
	},
	"teapot": func(*http.Request, *wire.Call) (*wire.Reply, error) {
		return nil, refusal{http.StatusTeapot, "short and stout"}
	},
	"invalid": func(*http.Request, *wire.Call) (*wire.Reply, error) {
		return nil, refusal{http.StatusBadRequest, "not so"}
	},
	"broken": func(*http.Request, *wire.Call) (*wire.Reply, error) {
		return nil, refusal{http.StatusBadGateway, "downstream"}
	},
	"hang": func(r *http.Request, _ *wire.Call) (*wire.Reply, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	},
	"trace": func(r *http.Request, c *wire.Call) (*wire.Reply, error) {
		return &wire.Reply{Payload: []byte(r.Header.Get("Traceparent") + " " + c.Caller + " " + r.Header.Get(wire.HeaderChain))}, nil
	},
}

// functions serves the methods, and echoes calls without an object.
func functions(t testing.TB, methods map[string]method) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if r.Header.Get(wire.HeaderMethod) != "" {
			w.Header()["Content-Type"] = r.Header["Content-Type"]
			_, _ = w.Write(body)
			return
		}
		form, _ := wire.CallForm(r.Header.Get("Content-Type"))
		c, err := wire.DecodeCall(form, body, wire.Limits{})
		if err != nil {
			t.Errorf("call does not decode: %v", err)
			return
		}
		reply, err := methods[c.Method](r, c)
		if refused, ok := err.(refusal); ok {
			w.Header().Set("Content-Type", "text/x-refusal")
			w.WriteHeader(refused.status)
			_, _ = io.WriteString(w, refused.text)
			return
		}
		if err != nil {
			return
		}
		w.Header().Set("Content-Type", form.ReplyType())
		_, _ = w.Write(wire.EncodeReply(form, reply))
	}))
	t.Cleanup(func() {
		server.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return server.URL
}

// rigOptions change what a rig is made of.
type rigOptions struct {
	engine  string // backend.Memory if empty
	http    bool   // on an HTTP server, by Handler
	split   bool   // on a listener that both servers share
	cfg     Config
	methods map[string]method
	wrap    func(Grid) Grid
}

// rig is a gRPC server in front of a real grid with the class example.record of two partitions, on a socket.
type rig struct {
	t       testing.TB
	grid    *odgm.Grid
	server  *grpc.Server
	address string
	native  *counting // with rigOptions.split
	log     *syncBuffer
	conn    *grpc.ClientConn
	data    oprc.DataServiceClient
	fn      oprc.OprcFunctionClient
}

func newRig(t testing.TB, opt rigOptions) *rig {
	t.Helper()
	r := &rig{t: t, log: &syncBuffer{}}
	r.openGrid(opt)
	grid := Grid(r.grid)
	if remotetest.Remotely() {
		grid = remotetest.Link(t, r.grid)
	}
	if opt.wrap != nil {
		grid = opt.wrap(grid)
	}
	if opt.cfg.Logger == nil {
		opt.cfg.Logger = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	var err error
	if r.server, err = NewServer(grid, opt.cfg); err != nil {
		t.Fatal(err)
	}
	r.serve(opt)
	r.conn = dial(t, r.address)
	r.data, r.fn = oprc.NewDataServiceClient(r.conn), oprc.NewOprcFunctionClient(r.conn)
	return r
}

func (r *rig) openGrid(opt rigOptions) {
	cfg := odgm.Config{}
	if opt.engine == "" {
		opt.engine = backend.Memory
	}
	if opt.engine != backend.Memory {
		cfg.Dir = r.t.TempDir()
	}
	var err error
	if r.grid, err = odgm.Open(cfg); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := r.grid.Close(context.Background()); err != nil {
			r.t.Error(err)
		}
	})
	methods := recordMethods
	if opt.methods != nil {
		methods = opt.methods
	}
	url := functions(r.t, methods)
	spec := odgm.Class{Name: class, Package: "example", Partitions: 2, Engine: opt.engine, Methods: map[string]call.Method{
		"echo": {Name: "echo", Function: "fn", Stateless: true, URL: url, Transport: http.DefaultTransport},
	}}
	for name := range methods {
		spec.Methods[name] = call.Method{Name: name, Function: "fn", URL: url, Transport: http.DefaultTransport, State: object.Everything}
	}
	if err := r.grid.Deploy(context.Background(), spec); err != nil {
		r.t.Fatal(err)
	}
}

// serve listens until the test ends.
func (r *rig) serve(opt rigOptions) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.address = l.Addr().String()
	var running sync.WaitGroup
	server := &http.Server{Protocols: new(http.Protocols), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), Handler: Handler(r.server, opt.cfg.Timeout, http.NotFoundHandler())}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	if opt.split {
		split := NewSplit(l)
		r.native = &counting{Listener: split.GRPC()}
		running.Go(func() { _ = r.server.Serve(r.native) })
		running.Go(func() { _ = server.Serve(split.HTTP()) })
		r.t.Cleanup(func() {
			_ = split.Close()
			_ = server.Close()
			r.server.Stop()
			running.Wait()
		})
		return
	}
	if opt.http {
		running.Go(func() { _ = server.Serve(l) })
		r.t.Cleanup(func() {
			_ = server.Close()
			r.server.Stop()
			running.Wait()
		})
		return
	}
	running.Go(func() { _ = r.server.Serve(l) })
	r.t.Cleanup(func() {
		r.server.Stop()
		running.Wait()
	})
}

// counting counts the connections that are accepted.
type counting struct {
	net.Listener
	n atomic.Int64
}

// Accept counts.
func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

func dial(t testing.TB, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ctx gives a context that ends before the test's own deadline would.
func (r *rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	r.t.Cleanup(cancel)
	return ctx
}

// set writes entries given as key=value.
func (r *rig) set(id string, entries ...string) {
	r.t.Helper()
	object := &oprc.ObjData{Entries: map[string]*oprc.ValData{}}
	for _, entry := range entries {
		key, value, _ := strings.Cut(entry, "=")
		object.Entries[key] = &oprc.ValData{Data: []byte(value)}
	}
	if _, err := r.data.Set(r.ctx(), &oprc.SetObjectRequest{ClsId: class, ObjectId: &id, Object: object}); err != nil {
		r.t.Fatal(err)
	}
}

// dump gives everything that the grid holds, to see whether it has changed.
func (r *rig) dump() string {
	r.t.Helper()
	var b strings.Builder
	for partition := range 2 {
		metas, _, err := r.grid.ListObjects(context.Background(), class, partition, object.Page{Limit: object.MaxLimit})
		if err != nil {
			r.t.Fatal(err)
		}
		for _, meta := range metas {
			obj, ref, err := r.grid.Get(context.Background(), odgm.Target{Class: class, Partition: partition, ID: meta.ID}, object.Everything)
			if err != nil {
				r.t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s v%d", ref, obj.Version)
			for _, e := range obj.State {
				fmt.Fprintf(&b, " %s=%q/%d", e.Key, e.Data, e.Type)
			}
			fmt.Fprintf(&b, " %v\n", obj.Triggers)
		}
	}
	return b.String()
}

// syncBuffer is a log that many goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends to the log.
func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// String gives what was logged.
func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
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
