package gateway

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace/noop"
)

// bare is what the gateway is compared with: a gin handler that answers a constant of the same length.
func bare(body []byte) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.Any("/api/class/:cls/:pid/objects/:oid/entries/:key", func(c *gin.Context) { c.Data(http.StatusOK, typeOctets, body) })
	e.Any("/api/class/:cls/:pid/objects/:oid", func(c *gin.Context) { c.Data(http.StatusOK, typeOctets, body) })
	return e
}

const (
	benchObject = "/api/class/example.record/0/objects/o1"
	benchEntry  = benchObject + "/entries/a"
)

var benchBody = bytes.Repeat([]byte("x"), 1024)

// request is what a benchmark sends over and over.
type request struct {
	name, method, path string
	header             http.Header
	body               []byte
}

var benchRequests = []request{
	{name: "entry", method: http.MethodGet, path: benchEntry},
	{name: "object", method: http.MethodGet, path: benchObject},
	{name: "object-json", method: http.MethodGet, path: benchObject, header: http.Header{"Accept": {typeJSON}}},
	{name: "set", method: http.MethodPut, path: benchEntry, body: benchBody},
}

// benchGateway makes a gateway as it is while tracing is off.
func benchGateway(b *testing.B) *rig {
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(noop.NewTracerProvider())
	b.Cleanup(func() { otel.SetTracerProvider(before) })
	r := newRig(b, rigOptions{})
	r.must(http.StatusOK, http.MethodPut, benchEntry, string(benchBody))
	return r
}

// BenchmarkHandler measures the handlers alone, without sockets.
func BenchmarkHandler(b *testing.B) {
	run := func(b *testing.B, h http.Handler, q request) {
		b.ReportAllocs()
		w := &discard{header: http.Header{}}
		req := httptest.NewRequest(q.method, q.path, nil)
		req.Header = q.header
		for b.Loop() {
			clear(w.header)
			if q.body != nil {
				req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(q.body)), int64(len(q.body))
			}
			h.ServeHTTP(w, req)
		}
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
	constant, r := bare(benchBody), benchGateway(b)
	for _, q := range benchRequests {
		b.Run(q.name+"/bare", func(b *testing.B) { run(b, constant, q) })
		b.Run(q.name+"/gateway", func(b *testing.B) { run(b, r.gateway.Handler(), q) })
	}
}

// discard is a response that goes nowhere.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkSocket measures requests over connections that are kept open, as many at a time as -cpu says.
func BenchmarkSocket(b *testing.B) {
	constant := httptest.NewServer(bare(benchBody))
	defer constant.Close()
	r := benchGateway(b)
	for _, q := range benchRequests {
		b.Run(q.name+"/bare", func(b *testing.B) { benchSocket(b, constant.Listener.Addr().String(), q) })
		b.Run(q.name+"/gateway", func(b *testing.B) { benchSocket(b, strings.TrimPrefix(r.base, "http://"), q) })
	}
}

// benchSocket speaks HTTP by hand, as a client library would cost more than what is measured.
func benchSocket(b *testing.B, addr string, q request) {
	var wire bytes.Buffer
	req, err := http.NewRequest(q.method, "http://"+addr+q.path, bytes.NewReader(q.body))
	if err != nil {
		b.Fatal(err)
	}
	if q.header != nil {
		req.Header = q.header
	}
	if err := req.Write(&wire); err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		buf := make([]byte, 16<<10)
		for pb.Next() {
			if _, err := conn.Write(wire.Bytes()); err != nil {
				b.Error(err)
				return
			}
			if err := readAnswer(conn, buf); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// readAnswer reads one answer, which has a Content-Length.
func readAnswer(conn net.Conn, buf []byte) error {
	have := 0
	for {
		n, err := conn.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
		end := bytes.Index(buf[:have], []byte("\r\n\r\n"))
		if end < 0 {
			continue
		}
		length := 0
		if at := bytes.Index(buf[:end], []byte("Content-Length: ")); at >= 0 {
			for _, c := range buf[at+len("Content-Length: ") : end] {
				if c < '0' || c > '9' {
					break
				}
				length = length*10 + int(c-'0')
			}
		}
		if have >= end+4+length {
			return nil
		}
	}
}
