package runner

import (
	"bufio"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// closeCounter is a body that counts its closes.
type closeCounter struct {
	io.Reader
	closed atomic.Int64
}

func (c *closeCounter) Close() error {
	c.closed.Add(1)
	return nil
}

func TestHugeBodies(t *testing.T) {
	r := newRunner(t, Config{})
	f := deploy(t, r, role("f", "serve"))
	const size = 64 << 20
	sent := sha256.New()
	body := &closeCounter{Reader: io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), size), sent)}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://f/echo", body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := f.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer discard(resp.Body)
	if n := f.Status().InFlight; n != 1 {
		t.Errorf("%d in flight while the body comes", n)
	}
	got := sha256.New()
	n, err := io.Copy(got, resp.Body)
	if err != nil || n != size || string(got.Sum(nil)) != string(sent.Sum(nil)) {
		t.Errorf("%d bytes, %v", n, err)
	}
	eventually(t, "the place is given back and the body closed", func() bool { return f.Status().InFlight == 0 && body.closed.Load() > 0 })
}

// Functions that want HTTP/2 get it, on a port that they find as HTTP_PORT too; trailers come through, and the queue is the same.
func TestHTTP2(t *testing.T) {
	r := newRunner(t, Config{})
	spec := role("f", "serve", "HTTP_PORT", "8080")
	spec.HTTP2, spec.Concurrency, spec.MaxScale = true, 1, 1
	f := deploy(t, r, spec)
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://f/trailer", strings.NewReader("x"))
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := f.RoundTrip(req)
			if err != nil {
				t.Error(err)
				return
			}
			text, err := io.ReadAll(resp.Body)
			words := strings.Fields(string(text))
			if err != nil || len(words) != 3 || words[0] != "HTTP/2.0" || words[1] != words[2] || resp.Trailer.Get("Grpc-Status") != "0" {
				t.Errorf("got %s, %v, %v", text, resp.Trailer, err)
			}
			discard(resp.Body)
		})
	}
	running.Wait()
	if n := f.Status().InFlight; n != 0 {
		t.Errorf("%d in flight", n)
	}
	resp, err := f.RoundTrip(mustRequest(t, "http://f/peak"))
	if err != nil {
		t.Fatal(err)
	}
	defer discard(resp.Body)
	if peak, _ := io.ReadAll(resp.Body); string(peak) != "1" {
		t.Errorf("%s requests at the same time", peak)
	}
}

func mustRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestUpgrade(t *testing.T) {
	r := newRunner(t, Config{})
	f := deploy(t, r, role("f", "serve"))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://f/upgrade", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "shout")
	resp, err := f.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	stream, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%T %s", resp.Body, resp.Status)
	}
	if _, err := io.WriteString(stream, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stream).ReadString('\n'); err != nil || line != "HELLO\n" {
		t.Errorf("%q %v", line, err)
	}
	if n := f.Status().InFlight; n != 1 {
		t.Errorf("%d in flight", n)
	}
	discard(stream)
	if n := f.Status().InFlight; n != 0 {
		t.Errorf("%d in flight after the close", n)
	}
}

// TestRefusedIsRetried has one of two instances refuse connections, as one does that is about to end: no request may fail for that, not even
// one with a body.
func TestRefusedIsRetried(t *testing.T) {
	r := newRunner(t, Config{})
	s := role("f", "serve")
	s.MinScale = 2
	f := deploy(t, r, s)
	eventually(t, "two instances", func() bool { return f.Status().Ready == 2 })
	mustCall(t, f, "/deaf")
	f.mu.Lock()
	for _, i := range f.current.live {
		i.transport.CloseIdleConnections()
	}
	f.mu.Unlock()
	for n := range 20 {
		if n%2 == 0 { // a body that can be had again
			if text, err := call(t.Context(), f, "/echo", strings.NewReader("hello")); err != nil || text != "hello" {
				t.Errorf("%q %v", text, err)
			}
			continue
		}
		body := &closeCounter{Reader: strings.NewReader("hello")}
		if text, err := call(t.Context(), f, "/echo", body); err != nil || text != "hello" {
			t.Errorf("%q %v", text, err)
		}
		eventually(t, "body closed", func() bool { return body.closed.Load() > 0 })
	}
}

func TestOnceBody(t *testing.T) {
	newBody := func() (*onceBody, *closeCounter) {
		c := &closeCounter{Reader: strings.NewReader("hello")}
		return newOnceBody(&http.Request{Body: c}), c
	}
	b, c := newBody()
	discard(b) // an attempt that found no connection
	if c.closed.Load() != 0 || !b.fresh() {
		t.Error("not ready for another attempt")
	}
	if text, err := io.ReadAll(b); err != nil || string(text) != "hello" {
		t.Errorf("%q %v", text, err)
	}
	if b.fresh() {
		t.Error("fresh after it was read")
	}
	discard(b)
	b.settle()
	if n := c.closed.Load(); n != 1 {
		t.Errorf("closed %d times", n)
	}

	b, _ = newBody()
	discard(b)
	if _, err := b.Read(make([]byte, 1)); err == nil {
		t.Error("read after close")
	}
	b, c = newBody()
	discard(b)
	b.settle() // answered without being read
	if n := c.closed.Load(); n != 1 {
		t.Errorf("closed %d times", n)
	}
	b, c = newBody()
	abandonBody(nil, b)
	abandonBody(nil, b)
	if n := c.closed.Load(); n != 1 {
		t.Errorf("closed %d times", n)
	}
	if newOnceBody(&http.Request{}) != nil || newOnceBody(&http.Request{Body: http.NoBody}) != nil {
		t.Error("a body for none")
	}
}
