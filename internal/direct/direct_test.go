package direct

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counted makes a transport to addr that counts its connections.
func counted(t testing.TB, addr string) (*Transport, *atomic.Int32) {
	var dials atomic.Int32
	transport := New(func(ctx context.Context) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}, time.Minute, 100)
	t.Cleanup(transport.CloseIdleConnections)
	return transport, &dials
}

func post(t testing.TB, transport http.RoundTripper, text string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://function/", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp, string(answer), err
}

func echo(t testing.TB) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		w.Header().Set("Host-Was", r.Host)
		_, _ = w.Write(data)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestConnectionIsUsedAgain(t *testing.T) {
	transport, dials := counted(t, echo(t))
	for i := range 50 {
		text := strings.Repeat("x", i*100)
		resp, got, err := post(t, transport, text)
		if err != nil || got != text || resp.Header.Get("Host-Was") != "function" {
			t.Fatalf("request %d: %d bytes, %v", i, len(got), err)
		}
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("%d connections for requests one after the other", n)
	}
}

func TestLargeAndOtherRequests(t *testing.T) {
	transport, _ := counted(t, echo(t))
	large := strings.Repeat("x", 5<<20)
	if _, got, err := post(t, transport, large); err != nil || got != large {
		t.Fatalf("large: %d bytes, %v", len(got), err)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://function/", nil)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func TestManyAtOnce(t *testing.T) {
	transport, _ := counted(t, echo(t))
	var wg sync.WaitGroup
	for c := range 32 {
		wg.Go(func() {
			for i := range 50 {
				text := fmt.Sprintf("%d-%d", c, i)
				if _, got, err := post(t, transport, text); err != nil || got != text {
					t.Errorf("%q gives %q, %v", text, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// script answers each connection with the texts, one for each request, and closes it at the end.
func script(t *testing.T, answers ...string) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			reader := bufio.NewReader(c)
			for _, answer := range answers {
				req, err := http.ReadRequest(reader)
				if err != nil {
					break
				}
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(c, answer)
			}
			_ = c.Close()
		}
	})
	t.Cleanup(func() { _ = listener.Close(); wg.Wait() })
	return listener.Addr().String()
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestClosedConnectionIsNotUsed(t *testing.T) {
	for name, answer := range map[string]string{
		"the server closes":          ok,
		"the server says so":         "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
		"the server says more":       ok + "HTTP/1.1 200 OK\r\n",
		"the end is the answer's":    "HTTP/1.1 200 OK\r\n\r\nok",
		"an interim answer first":    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok,
		"chunks":                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"a server of the old school": "HTTP/1.0 200 OK\r\n\r\nok",
	} {
		t.Run(name, func(t *testing.T) {
			transport, _ := counted(t, script(t, answer))
			for range 3 {
				if _, got, err := post(t, transport, "x"); err != nil || got != "ok" {
					t.Fatalf("got %q, %v", got, err)
				}
				// The server closes after each answer; wait until that has arrived.
				deadline := time.Now().Add(5 * time.Second)
				for c := transport.take(); c != nil; c = transport.take() {
					transport.put(c)
					if !quiet(c) || time.Now().After(deadline) {
						break
					}
				}
			}
		})
	}
}

func TestBadAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing": "", "garbage": "hello\r\n\r\n", "cut short": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", "head cut short": "HTTP/1.1 200 OK\r\nConte",
	} {
		t.Run(name, func(t *testing.T) {
			transport, dials := counted(t, script(t, answer))
			if _, got, err := post(t, transport, "x"); err == nil {
				t.Fatalf("got %q without an error", got)
			}
			if dials.Load() != 1 {
				t.Errorf("the request was sent %d times", dials.Load())
			}
			if c := transport.take(); c != nil {
				t.Error("the connection is kept")
			}
		})
	}
}

func TestContextCutsOff(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	transport, _ := counted(t, listener.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://function/", bytes.NewReader([]byte("x")))
	if _, err := transport.RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("no answer: %v", err)
	}
	if c := transport.take(); c != nil {
		t.Error("the connection is kept")
	}
}

func TestContextCutsOffABody(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		<-release
	}))
	defer server.Close()
	defer close(release)
	transport, _ := counted(t, server.Listener.Addr().String())
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://function/", bytes.NewReader([]byte("x")))
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if got, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %q, %v", got, err)
	}
	_ = resp.Body.Close()
}

func TestRefusedConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	transport, _ := counted(t, listener.Addr().String())
	_, _, err = post(t, transport, "x")
	if op, found := errors.AsType[*net.OpError](err); !found || op.Op != "dial" {
		t.Fatalf("got %v", err)
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	addr := echo(t)
	transport := New(func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", addr) }, 10*time.Millisecond, 10)
	if _, _, err := post(t, transport, "x"); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		transport.mu.Lock()
		left := len(transport.idle)
		transport.mu.Unlock()
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("an idle connection is kept")
		}
		time.Sleep(time.Millisecond)
	}
	transport.CloseIdleConnections()
}

func BenchmarkRoundTrip(b *testing.B) {
	addr := echo(b)
	ours, _ := counted(b, addr)
	std := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}}
	b.Cleanup(std.CloseIdleConnections)
	for name, transport := range map[string]http.RoundTripper{"direct": ours, "http.Transport": std} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := post(b, transport, "hello"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
