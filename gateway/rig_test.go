package gateway

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/internal/openapi"
	"github.com/hpcclab/oaas-go/internal/openapi/conform"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(crowdVariable); text != "" {
		if err := crowd(text); err != nil {
			fmt.Fprintln(os.Stderr, "clients:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(runner{m})
}

// runner makes sure that the tests together had every answer of success that is documented.
type runner struct{ *testing.M }

func (r runner) Run() int {
	code := r.M.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" {
		stream := func(answer string) bool { return strings.HasSuffix(answer, "_events 200") } // those are read by clients of their own
		if unseen := slices.DeleteFunc(documented().Unseen(), stream); len(unseen) > 0 {
			fmt.Println("no test has had these documented answers:", unseen)
			code = 1
		}
	}
	return code
}

// method is what a function of the tests does with a call.
type method func(r *http.Request, c *function.Call) (*function.Reply, error)

// refusal is a function's own failure.
type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return r.text }

// functions serves the methods, and the handler for calls without an object.
func functions(t testing.TB, stateless http.HandlerFunc, methods map[string]method) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		form, ok := function.CallForm(r.Header.Get("Content-Type"))
		if !ok || r.Header.Get(function.HeaderMethod) != "" {
			stateless(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		c, err := function.DecodeCall(form, body, function.Limits{})
		if err != nil {
			t.Errorf("call does not decode: %v", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		reply, err := methods[c.Method](r, c)
		if refused, ok := err.(refusal); ok {
			w.Header().Set("Content-Type", "text/x-refusal")
			w.WriteHeader(refused.status)
			_, _ = io.WriteString(w, refused.text)
			return
		}
		w.Header().Set("Content-Type", form.ReplyType())
		_, _ = w.Write(function.EncodeReply(form, reply))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// echoStateless answers with the body and its content type, and nothing where there is none.
func echoStateless(w http.ResponseWriter, r *http.Request) {
	w.Header()["Content-Type"] = r.Header["Content-Type"]
	_, _ = io.Copy(w, r.Body)
}

// recordMethods are those of the class example.record of the tests.
var recordMethods = map[string]method{
	"mecho": func(_ *http.Request, c *function.Call) (*function.Reply, error) {
		return &function.Reply{Payload: c.Payload}, nil
	},
	"store": func(_ *http.Request, c *function.Call) (*function.Reply, error) {
		return &function.Reply{
			Payload: c.Payload, ContentType: "text/plain",
			Set: []function.Entry{{Key: "stored", Value: function.Value{Data: c.Payload}}},
		}, nil
	},
	"teapot": func(*http.Request, *function.Call) (*function.Reply, error) {
		return nil, refusal{http.StatusTeapot, "short and stout"}
	},
}

// rig is a gateway in front of a real grid with the class example.record, served on a socket.
type rig struct {
	t        testing.TB
	grid     *odgm.Grid
	gateway  *Gateway
	registry *prometheus.Registry
	log      *bytes.Buffer
	base     string
	client   *http.Client
	stop     context.CancelFunc
	served   chan error
}

// rigOptions change what a rig is made of.
type rigOptions struct {
	cfg       func(*Config)
	wrap      func(*odgm.Grid) Grid
	stateless http.HandlerFunc
	methods   map[string]method
	class     func(*odgm.Class)
	mount     func(gin.IRouter)
}

func newRig(t testing.TB, opt rigOptions) *rig {
	t.Helper()
	r := &rig{t: t, registry: prometheus.NewRegistry(), log: &bytes.Buffer{}, served: make(chan error, 1)}
	var err error
	if r.grid, err = odgm.Open(odgm.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.grid.Close(context.Background()) })
	if opt.stateless == nil {
		opt.stateless = echoStateless
	}
	methods := recordMethods
	if opt.methods != nil {
		methods = opt.methods
	}
	r.deploy(functions(t, opt.stateless, methods), methods, opt.class)
	cfg := DefaultConfig()
	cfg.DrainTimeout = 20 * time.Second
	if opt.cfg != nil {
		opt.cfg(&cfg)
	}
	grid := Grid(r.grid)
	if opt.wrap != nil {
		grid = opt.wrap(r.grid)
	}
	logger := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if r.gateway, err = New(grid, cfg, Options{Logger: logger, Registry: r.registry, Mount: opt.mount}); err != nil {
		t.Fatal(err)
	}
	r.listen()
	return r
}

func (r *rig) deploy(url string, methods map[string]method, change func(*odgm.Class)) {
	class := odgm.Class{Name: "example.record", Package: "example", Partitions: 2, Methods: map[string]call.Method{
		"echo": {Name: "echo", Function: "fn", Stateless: true, URL: url, Transport: http.DefaultTransport},
	}}
	for name := range methods {
		class.Methods[name] = call.Method{Name: name, Function: "fn", URL: url, Transport: http.DefaultTransport, State: object.Everything}
	}
	if change != nil {
		change(&class)
	}
	if err := r.grid.Deploy(r.t.Context(), class); err != nil {
		r.t.Fatal(err)
	}
}

// listen serves the gateway until the test ends.
func (r *rig) listen() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.base = "http://" + l.Addr().String()
	r.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.served <- r.gateway.Serve(ctx, l)
	}()
	r.t.Cleanup(func() {
		stop()
		r.client.CloseIdleConnections()
		<-done
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) code() string { return a.header.Get("Oaas-Error") }

// do sends a request; headers are given as "Name: value".
func (r *rig) do(method, path, body string, headers ...string) answer {
	r.t.Helper()
	a, err := r.try(method, path, strings.NewReader(body), headers...)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func (r *rig) try(method, path string, body io.Reader, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, r.base+path, body)
	if err != nil {
		return answer{}, err
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if strings.EqualFold(name, "Host") {
			req.Host = value
		} else {
			req.Header.Add(name, value)
		}
	}
	res, err := r.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && method != http.MethodHead {
		if err := documented().Check(method, req.URL.EscapedPath(), res.StatusCode, res.Header.Get("Content-Type"), text); err != nil {
			r.t.Errorf("the answer is not as documented: %v", err)
		}
	}
	return answer{res.StatusCode, res.Header, string(text)}, err
}

// documented checks answers against the document of the gateway's operations.
var documented = sync.OnceValue(func() *conform.Checker {
	s := openapi.NewSchemas()
	text, err := openapi.Document(openapi.Info{}, s, Operations(s))
	if err != nil {
		panic(err)
	}
	checker, err := conform.New(text)
	if err != nil {
		panic(err)
	}
	return checker
})

// must sends a request that has to succeed with that status.
func (r *rig) must(status int, method, path, body string, headers ...string) answer {
	r.t.Helper()
	a := r.do(method, path, body, headers...)
	if a.status != status {
		r.t.Fatalf("%s %s: status %d, want %d\n%s", method, path, a.status, status, a.body)
	}
	return a
}

// dump gives everything that the grid holds, to see whether it has changed.
func (r *rig) dump() string {
	r.t.Helper()
	var b strings.Builder
	for _, class := range r.grid.Classes() {
		for partition := range class.Partitions {
			metas, _, err := r.grid.ListObjects(r.t.Context(), class.Name, partition, object.Page{Limit: object.MaxLimit})
			if err != nil {
				r.t.Fatal(err)
			}
			for _, meta := range metas {
				obj, ref, err := r.grid.Get(r.t.Context(), odgm.Target{Class: class.Name, Partition: partition, ID: meta.ID}, object.Everything)
				if err != nil {
					r.t.Fatal(err)
				}
				fmt.Fprintf(&b, "%s v%d %s\n", ref, obj.Version, appendObjectJSON(nil, ref, &obj))
			}
		}
	}
	return b.String()
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

const jsonBody, acceptJSON = "Content-Type: application/json", "Accept: application/json"
