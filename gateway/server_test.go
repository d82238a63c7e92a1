package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/object"
)

func TestBodyLimit(t *testing.T) {
	r := newRig(t, rigOptions{cfg: func(c *Config) { c.MaxPayloadBytes = 1000 }})
	r.must(http.StatusOK, http.MethodPut, entryPath, strings.Repeat("x", 1000))
	before := r.dump()
	unknown := func() io.Reader {
		return io.MultiReader(strings.NewReader(strings.Repeat("x", 600)), strings.NewReader(strings.Repeat("x", 600)))
	}
	for _, path := range []string{entryPath, putPath, record0 + "/objects/o/merge", record0 + "/objects/o/invokes/store", "/events", record0 + "/dead-letters/drop"} {
		method := http.MethodPost
		switch path {
		case entryPath, putPath:
			method = http.MethodPut
		}
		header := jsonBody
		if path == "/events" {
			header = structured
		}
		for name, body := range map[string]io.Reader{"announced": strings.NewReader(strings.Repeat("x", 1001)), "chunked": unknown()} {
			got, err := r.try(method, path, body, header)
			if err != nil {
				t.Fatal(err)
			}
			if got.status != http.StatusRequestEntityTooLarge || got.code() != "TOO_LARGE" {
				t.Errorf("%s %s, %s: %d %s", method, path, name, got.status, got.body)
			}
		}
	}
	if r.dump() != before {
		t.Error("the store has changed")
	}
}

// raw sends bytes on a connection of its own, and gives the answer to them.
func (r *rig) raw(t *testing.T, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func TestBodyIsRefusedBeforeItArrives(t *testing.T) {
	r := newRig(t, rigOptions{})
	res := r.raw(t, "PUT "+entryPath+" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
	if res.StatusCode != http.StatusRequestEntityTooLarge || !res.Close {
		t.Errorf("status %d, close %v", res.StatusCode, res.Close)
	}
}

func TestBodyThatDoesNotArrive(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, path := range []string{entryPath, "/events"} {
		method, headers := "PUT", ""
		if path == "/events" {
			method, headers = "POST", structured+"\r\n"
		}
		res := r.raw(t, method+" "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nOaas-Timeout: 50ms\r\n"+headers+"\r\nhalf")
		if res.StatusCode != http.StatusGatewayTimeout || res.Header.Get("Oaas-Error") != "DEADLINE_EXCEEDED" {
			t.Errorf("%s: status %d %v", path, res.StatusCode, res.Header)
		}
	}
	// A request that is refused without reading its body does not wait for it for ever either.
	res := r.raw(t, "PUT "+putPath+" HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nOaas-Timeout: 50ms\r\nContent-Type: text/plain\r\n\r\nhalf")
	if res.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("status %d", res.StatusCode)
	}
	if r.dump() != "" {
		t.Error("half a body was stored")
	}
}

func TestHeaderLimit(t *testing.T) {
	r := newRig(t, rigOptions{cfg: func(c *Config) { c.MaxHeaderBytes = 2048 }})
	got := r.do(http.MethodGet, "/healthz", "", "X-Long: "+strings.Repeat("x", 16<<10))
	if got.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", got.status)
	}
	r.must(http.StatusOK, http.MethodGet, "/healthz", "")
}

// faultyGrid is a grid in which reading does what a test says.
type faultyGrid struct {
	*odgm.Grid
	get   func(ctx context.Context) error
	ready error
}

func (f *faultyGrid) Get(ctx context.Context, t odgm.Target, sel object.Selector) (object.Object, object.Ref, error) {
	if f.get != nil {
		if err := f.get(ctx); err != nil {
			return object.Object{}, object.Ref{}, err
		}
	}
	return f.Grid.Get(ctx, t, sel)
}

func (f *faultyGrid) Ready() error { return f.ready }

func TestRequestsInFlightAreBounded(t *testing.T) {
	faulty := &faultyGrid{}
	entered, release := make(chan struct{}), make(chan struct{})
	faulty.get = func(context.Context) error {
		entered <- struct{}{}
		<-release
		return nil
	}
	r := newRig(t, rigOptions{
		cfg:  func(c *Config) { c.MaxInFlight = 1 },
		wrap: func(g *odgm.Grid) Grid { faulty.Grid = g; return faulty },
	})
	done := make(chan answer, 1)
	go func() {
		got, _ := r.try(http.MethodGet, putPath, http.NoBody)
		done <- got
	}()
	<-entered
	got := r.do(http.MethodGet, entryPath, "")
	if got.status != http.StatusTooManyRequests || got.code() != "BUSY" || got.header.Get("Retry-After") != "1" {
		t.Errorf("over the limit: %d %s %v", got.status, got.body, got.header)
	}
	r.must(http.StatusOK, http.MethodGet, "/health", "")
	r.must(http.StatusOK, http.MethodGet, "/metrics", "")
	close(release)
	if got := <-done; got.status != http.StatusNotFound {
		t.Errorf("the one in flight: %d %s", got.status, got.body)
	}
	if got := r.do(http.MethodGet, entryPath, ""); got.status != http.StatusNotFound {
		t.Errorf("afterwards: %d", got.status)
	}
}

func TestTimeouts(t *testing.T) {
	faulty := &faultyGrid{get: func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	r := newRig(t, rigOptions{
		cfg:  func(c *Config) { c.RequestTimeout, c.MaxTimeout = 10*time.Millisecond, 20*time.Millisecond },
		wrap: func(g *odgm.Grid) Grid { faulty.Grid = g; return faulty },
	})
	for _, header := range []string{"X: x", "Oaas-Timeout: 1ms", "Oaas-Timeout: 1h"} {
		got := r.do(http.MethodGet, putPath, "", header)
		if got.status != http.StatusGatewayTimeout || got.code() != "DEADLINE_EXCEEDED" {
			t.Errorf("with %s: %d %s", header, got.status, got.body)
		}
	}
}

func TestFaultsOfThePlatform(t *testing.T) {
	faulty := &faultyGrid{}
	r := newRig(t, rigOptions{wrap: func(g *odgm.Grid) Grid { faulty.Grid = g; return faulty }})
	busy := fault.New(fault.Busy, "full")
	busy.RetryAfter = 1500 * time.Millisecond
	for _, c := range []struct {
		err    error
		status int
		code   string
		retry  string
	}{
		{busy, 429, "BUSY", "2"},
		{fault.New(fault.Unavailable, "no leader"), 503, "UNAVAILABLE", "1"},
		{fmt.Errorf("disk: %w", io.ErrUnexpectedEOF), 500, "INTERNAL", ""},
		{fault.New("OF_THE_FUTURE", "?"), 500, "OF_THE_FUTURE", ""},
	} {
		faulty.get = func(context.Context) error { return c.err }
		got := r.do(http.MethodGet, putPath, "")
		if got.status != c.status || got.code() != c.code || got.header.Get("Retry-After") != c.retry {
			t.Errorf("%v: %d %s %v", c.err, got.status, got.body, got.header)
		}
	}
	if log := r.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "disk: unexpected EOF") {
		t.Errorf("log: %s", log)
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	faulty := &faultyGrid{get: func(context.Context) error { panic("broken on purpose") }}
	r := newRig(t, rigOptions{
		wrap: func(g *odgm.Grid) Grid { faulty.Grid = g; return faulty },
		mount: func(m gin.IRouter) {
			m.GET("/half", func(c *gin.Context) {
				c.Header("Content-Length", "10")
				_, _ = c.Writer.WriteString("half")
				c.Writer.Flush()
				panic("half way")
			})
		},
	})
	got := r.do(http.MethodGet, putPath, "")
	if got.status != http.StatusInternalServerError || got.code() != "INTERNAL" || strings.Contains(got.body, "broken") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if log := r.log.String(); strings.Count(log, "broken on purpose") != 1 || !strings.Contains(log, "server_test.go") {
		t.Errorf("log: %s", log)
	}
	if got, err := r.try(http.MethodGet, "/half", http.NoBody); err == nil {
		t.Errorf("half an answer passed for a whole one: %v", got)
	}
	r.must(http.StatusOK, http.MethodGet, "/healthz", "")
	if text := r.must(http.StatusOK, http.MethodGet, "/metrics", "").body; !strings.Contains(text, `http_active_connections{http_method="GET",http_route="/half"} 0`) {
		t.Errorf("metrics: %s", text)
	}
}

func TestHTTP2WithoutTLS(t *testing.T) {
	r := newRig(t, rigOptions{})
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	r.client = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	r.must(http.StatusOK, http.MethodPut, entryPath, "over h2c")
	if got := r.must(http.StatusOK, http.MethodGet, entryPath, ""); got.body != "over h2c" {
		t.Errorf("got %q", got.body)
	}
}

func TestWebPagesOfOtherOrigins(t *testing.T) {
	r := newRig(t, rigOptions{})
	got := r.do(http.MethodOptions, putPath, "", "Origin: https://a.example", "Access-Control-Request-Method: PUT")
	for _, name := range []string{"Origin", "Methods", "Headers"} {
		if value := got.header.Get("Access-Control-Allow-" + name); value != "*" {
			t.Errorf("Access-Control-Allow-%s: %q", name, value)
		}
	}
	if got = r.do(http.MethodGet, putPath, "", "Origin: https://a.example"); got.header.Get("Access-Control-Allow-Origin") != "*" || got.status != 404 {
		t.Errorf("errors are readable too: %d %v", got.status, got.header)
	}
	for _, path := range []string{"/healthz", "/metrics"} {
		if got = r.do(http.MethodGet, path, "", "Origin: https://a.example"); got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", path, got.header)
		}
	}
	some := newRig(t, rigOptions{cfg: func(c *Config) { c.CORSOrigins = []string{"https://a.example"} }})
	for origin, want := range map[string]string{"https://a.example": "https://a.example", "https://b.example": ""} {
		got = some.do(http.MethodOptions, putPath, "", "Origin: "+origin)
		if got.header.Get("Access-Control-Allow-Origin") != want || (got.header.Get("Access-Control-Allow-Methods") == "") != (want == "") {
			t.Errorf("%s: %v", origin, got.header)
		}
	}
	none := newRig(t, rigOptions{cfg: func(c *Config) { c.CORSOrigins = nil }})
	if got = none.do(http.MethodOptions, putPath, "", "Origin: https://a.example"); got.status != 405 || got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("without CORS: %d %v", got.status, got.header)
	}
}

func TestMountedRoutes(t *testing.T) {
	r := newRig(t, rigOptions{mount: func(m gin.IRouter) {
		m.POST("/api/v1/things/:name", func(c *gin.Context) { c.String(http.StatusCreated, c.Param("name")) })
		m.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "console") })
	}})
	got := r.must(http.StatusCreated, http.MethodPost, "/api/v1/things/a", "", "Origin: https://a.example")
	if got.body != "a" || got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("got %q %v", got.body, got.header)
	}
	r.must(http.StatusOK, http.MethodGet, "/", "")
	text := r.must(http.StatusOK, http.MethodGet, "/metrics", "").body
	if want := `http_requests_total{http_method="POST",http_route="/api/v1/things/{name}"} 1`; !strings.Contains(text, want) {
		t.Errorf("metrics lack %s", want)
	}
}

func TestFront(t *testing.T) {
	g, err := New(&faultyGrid{}, DefaultConfig(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	g.Front(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/front" {
				w.WriteHeader(http.StatusAccepted)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	for path, want := range map[string]int{"/front": http.StatusAccepted, "/healthz": http.StatusOK} {
		w := httptest.NewRecorder()
		if g.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil)); w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestMetrics(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.must(http.StatusOK, http.MethodPut, entryPath, "x")
	for i := range 3 {
		r.must(http.StatusNotFound, http.MethodGet, record0+"/objects/none"+strconv.Itoa(i), "")
	}
	r.must(http.StatusBadRequest, http.MethodGet, record0+"/objects/a%20b", "")
	r.must(http.StatusNotFound, "BREW", "/nope", "")
	text := r.must(http.StatusOK, http.MethodGet, "/metrics", "").body
	const route = `http_method="GET",http_route="/api/class/{cls}/{pid}/objects/{oid}"`
	for _, want := range []string{
		`http_requests_total{` + route + `} 4`,
		`http_errors_total{` + route + `,http_status_code="404"} 3`,
		`http_errors_total{` + route + `,http_status_code="400"} 1`,
		`http_request_duration_seconds_count{` + route + `,http_status_code="404"} 3`,
		`http_active_connections{` + route + `} 0`,
		`http_active_connections{http_method="GET",http_route="/metrics"} 1`,
		`http_requests_total{http_method="(none)",http_route="(none)"} 1`,
		`gateway_string_id_attempt_total 5`,
		`gateway_string_id_rejected_total 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(text, "none1") {
		t.Error("an object id is a label")
	}
	if _, err := New(r.grid, DefaultConfig(), Options{Registry: r.registry}); err == nil {
		t.Error("a second gateway on the same registry was made")
	}
}
