package endpoint

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	wire "github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/broker/zenoh/router"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const className = "example.record"

// failed is a function's own failure.
type failed struct {
	status int
	text   string
}

func (f failed) Error() string { return f.text }

// methods are those of the class of the tests, beside a stateless echo.
var methods = map[string]func(r *http.Request, c *wire.Call) (*wire.Reply, error){
	"mecho": func(_ *http.Request, c *wire.Call) (*wire.Reply, error) {
		return &wire.Reply{Payload: c.Payload, ContentType: c.ContentType}, nil
	},
	"append": func(_ *http.Request, c *wire.Call) (*wire.Reply, error) {
		old, _ := c.Entry("log")
		all := append(old.Data, c.Payload...)
		return &wire.Reply{Payload: all, Set: []wire.Entry{{Key: "log", Value: wire.Value{Data: all}}}}, nil
	},
	"teapot": func(*http.Request, *wire.Call) (*wire.Reply, error) {
		return nil, failed{http.StatusTeapot, "short and stout"}
	},
	"trace": func(r *http.Request, c *wire.Call) (*wire.Reply, error) {
		return &wire.Reply{Payload: []byte(r.Header.Get("Traceparent") + " " + c.Caller)}, nil
	},
	"hang": func(r *http.Request, _ *wire.Call) (*wire.Reply, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	},
}

func functionServer(t testing.TB) string {
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
		if f, ok := err.(failed); ok {
			w.WriteHeader(f.status)
			_, _ = io.WriteString(w, f.text)
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

// rig is an endpoint of a grid on a router, and a client on the same.
type rig struct {
	t        testing.TB
	grid     *odgm.Grid
	endpoint *Endpoint
	address  string // of the router, for clients that are processes
	client   *zenoh.Session
	log      *logged
	url      string
}

// logged keeps what is logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	r := &rig{t: t, log: &logged{}, url: functionServer(t)}
	cfg.Logger = slog.New(slog.NewTextHandler(r.log, nil))
	ctx := t.Context()
	local := "inproc/" + strings.ReplaceAll(t.Name(), "/", "-")
	hub, err := router.Open(ctx, router.Config{Listen: []string{"tcp/127.0.0.1:0", local}})
	if err != nil {
		t.Fatal(err)
	}
	r.cleanup(hub.Close)
	r.address = hub.Locators()[0]
	if r.grid, err = odgm.Open(odgm.Config{}); err != nil {
		t.Fatal(err)
	}
	r.cleanup(r.grid.Close)
	session := r.session(local)
	if r.endpoint, err = Open(ctx, session, r.grid, cfg); err != nil {
		t.Fatal(err)
	}
	r.cleanup(r.endpoint.Close)
	r.deploy(r.spec())
	r.client = r.session(r.address)
	return r
}

func (r *rig) cleanup(closing func(context.Context) error) {
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := closing(ctx); err != nil {
			r.t.Error(err)
		}
	})
}

func (r *rig) session(address string) *zenoh.Session {
	r.t.Helper()
	config := zenoh.NewConfigDefault()
	config.Mode, config.Connect.Endpoints, config.Scouting.Multicast.Disabled = zenoh.Client, []string{address}, true
	s, err := zenoh.Open(r.t.Context(), config)
	if err != nil {
		r.t.Fatal(err)
	}
	r.cleanup(s.Close)
	return s
}

// spec is the class of the tests, of two partitions.
func (r *rig) spec() odgm.Class {
	spec := odgm.Class{Name: className, Package: "example", Partitions: 2, Methods: map[string]call.Method{
		"echo": {Name: "echo", Function: "fn", Stateless: true, URL: r.url, Transport: http.DefaultTransport},
	}}
	for name := range methods {
		spec.Methods[name] = call.Method{Name: name, Function: "fn", URL: r.url, Transport: http.DefaultTransport, State: object.Everything, Timeout: time.Minute}
	}
	return spec
}

func (r *rig) deploy(spec odgm.Class) {
	r.t.Helper()
	if err := r.grid.Deploy(r.t.Context(), spec); err != nil {
		r.t.Fatal(err)
	}
}

// answer is a reply: bytes or an error.
type answer struct {
	key, failure string
	payload      []byte
	attachment   []byte
	encoding     zenoh.Encoding
}

// ask gives all answers to a query below oprc/example.record/0/.
func (r *rig) ask(key string, m proto.Message, o *zenoh.GetOptions) []answer {
	r.t.Helper()
	return r.askOn(r.client, "oprc/"+className+"/0/"+key, m, o)
}

func (r *rig) askOn(s *zenoh.Session, selector string, m proto.Message, o *zenoh.GetOptions) []answer {
	r.t.Helper()
	key, parameters, err := zenoh.ParseSelector(selector)
	if err != nil {
		r.t.Error(err)
		return nil
	}
	if o == nil {
		o = &zenoh.GetOptions{}
	}
	o.Consolidation = zenoh.ConsolidationNone
	if m != nil {
		if o.Payload, err = (proto.MarshalOptions{}).MarshalAppend([]byte{}, m); err != nil {
			r.t.Error(err)
		}
	}
	replies, err := s.Get(r.t.Context(), key, parameters, nil, o)
	if err != nil {
		r.t.Error(err)
		return nil
	}
	var list []answer
	for reply := range replies {
		if e, ok := reply.Err().(*zenoh.ReplyError); ok {
			list = append(list, answer{failure: string(e.Payload()), encoding: e.Encoding()})
			continue
		}
		sample := reply.Sample()
		list = append(list, answer{key: sample.KeyExpr().String(), payload: sample.Payload(), attachment: sample.Attachment()})
	}
	return list
}

// one is ask for a query that has one answer.
func (r *rig) one(key string, m proto.Message, o *zenoh.GetOptions) answer {
	r.t.Helper()
	list := r.ask(key, m, o)
	if len(list) != 1 {
		r.t.Errorf("%s has %d answers: %v", key, len(list), list)
		return answer{}
	}
	return list[0]
}

// put publishes below oprc/example.record/0/; nil deletes.
func (r *rig) put(key string, m proto.Message) {
	r.t.Helper()
	k := zenoh.MustKeyExpr("oprc/" + className + "/0/" + key)
	if m == nil {
		if err := r.client.Delete(r.t.Context(), k, &zenoh.DeleteOptions{CongestionControl: zenoh.CongestionControlBlock}); err != nil {
			r.t.Error(err)
		}
		return
	}
	b, err := proto.Marshal(m)
	if err == nil {
		err = r.client.Put(r.t.Context(), k, b, &zenoh.PutOptions{CongestionControl: zenoh.CongestionControlBlock})
	}
	if err != nil {
		r.t.Error(err)
	}
}

// until waits for a condition, with a deadline.
func until(t testing.TB, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !met(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}
