package rpc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	wire "github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/api/oprc"
)

// Calls straight from a client get to the gRPC server's own transport; everything else is answered too.
func TestSplit(t *testing.T) {
	r := newRig(t, rigOptions{split: true})
	r.set("o", "k=1")
	if n := r.native.n.Load(); n != 1 {
		t.Errorf("%d connections are the gRPC server's", n)
	}
	two := new(http.Protocols)
	two.SetUnencryptedHTTP2(true)
	for _, c := range []struct {
		name      string
		transport *http.Transport
		header    http.Header
		want      int
		native    int64
	}{
		{"HTTP/1.1", &http.Transport{}, nil, http.StatusNotFound, 1},
		{"HTTP/2", &http.Transport{Protocols: two}, nil, http.StatusNotFound, 1},
		{"gRPC through a proxy", &http.Transport{Protocols: two}, http.Header{"Content-Type": {"application/grpc"}, "X-Forwarded-For": {"10.0.0.1"}}, http.StatusOK, 1},
		{"gRPC", &http.Transport{Protocols: two}, http.Header{"Content-Type": {"application/grpc+proto"}}, http.StatusOK, 2},
	} {
		for range 3 { // on one connection
			request, err := http.NewRequest(http.MethodPost, "http://"+r.address+"/oprc.DataService/Stats", strings.NewReader("\x00\x00\x00\x00\x00"))
			must(t, 0, err)
			if c.header != nil {
				request.Header = c.header
			}
			response, err := c.transport.RoundTrip(request)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if response.StatusCode != c.want || r.native.n.Load() != c.native {
				t.Errorf("%s: status %d, %d connections are the gRPC server's", c.name, response.StatusCode, r.native.n.Load())
			}
		}
		c.transport.CloseIdleConnections()
	}
}

// A client that sends everything at once, before it has heard of the server, is served; so is one that sends byte by byte.
func TestSplitPacing(t *testing.T) {
	r := newRig(t, rigOptions{split: true})
	for _, pace := range []int{1, 5, 1 << 20} {
		for contentType, native := range map[string]bool{"application/grpc": true, "application/json": false} {
			t.Run(fmt.Sprint(pace, contentType), func(t *testing.T) {
				before := r.native.n.Load()
				conn, err := net.Dial("tcp", r.address)
				must(t, 0, err)
				defer func() { _ = conn.Close() }()
				must(t, 0, conn.SetDeadline(time.Now().Add(20*time.Second)))
				for text := firstRequest(contentType); text != ""; {
					n := min(pace, len(text))
					if _, err := conn.Write([]byte(text[:n])); err != nil {
						t.Fatal(err)
					}
					text = text[n:]
				}
				if status := readStatus(t, conn); native && status != "200" || !native && status != "404" {
					t.Errorf("status %s", status)
				}
				if is := r.native.n.Load() > before; is != native {
					t.Errorf("the gRPC server has the connection: %v", is)
				}
			})
		}
	}
}

// firstRequest gives the bytes of a client that asks for DataService.Stats and does not wait.
func firstRequest(contentType string) string {
	var b strings.Builder
	b.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&b, nil)
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	_ = f.WriteWindowUpdate(0, 1<<20)
	var block []byte
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/oprc.DataService/Stats"}, {":authority", "x"}, {"content-type", contentType}, {"te", "trailers"},
	} {
		block = append(block, 0, byte(len(field[0]))) // a literal without indexing
		block = append(block, field[0]...)
		block = append(append(block, byte(len(field[1]))), field[1]...)
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:20]})
	_ = f.WriteContinuation(1, true, block[20:])
	_ = f.WriteData(1, true, make([]byte, 5))
	return b.String()
}

// readStatus acknowledges settings as clients do, and gives the HTTP status of the answer.
func readStatus(t *testing.T, conn net.Conn) string {
	t.Helper()
	f := http2.NewFramer(conn, bufio.NewReader(conn))
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				must(t, 0, f.WriteSettingsAck())
			}
		case *http2.GoAwayFrame:
			t.Fatalf("the server goes away: %v", frame.ErrCode)
		case *http2.MetaHeadersFrame:
			return frame.PseudoValue("status")
		}
	}
}

// A client whose request is refused before it has sent it all gets the answer.
func TestSplitRefusesEarly(t *testing.T) {
	r := newRig(t, rigOptions{split: true})
	request, err := http.NewRequest(http.MethodGet, "http://"+r.address+"/", nil)
	must(t, 0, err)
	request.Header.Set("X-Long", strings.Repeat("x", 4<<20))
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	must(t, 0, err)
	_ = response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", response.StatusCode)
	}
}

// What is no request, or not the beginning of one, is closed or answered as the HTTP server does it, and harms nobody.
func TestSplitGarbage(t *testing.T) {
	r := newRig(t, rigOptions{split: true})
	for _, text := range []string{
		"", "P", "PRI * HTTP/2.0", http2.ClientPreface, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "\x16\x03\x01", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		http2.ClientPreface + strings.Repeat("\xff", 100), http2.ClientPreface + "\x00\x00\x00\x01\x05\x00\x00\x00\x01",
		firstRequest("application/grpc")[:80], http2.ClientPreface + "\x00\x00\x04\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff",
	} {
		conn, err := net.Dial("tcp", r.address)
		must(t, 0, err)
		_, _ = io.WriteString(conn, text)
		_ = conn.(*net.TCPConn).CloseWrite()
		must(t, 0, conn.SetDeadline(time.Now().Add(20*time.Second)))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
			t.Errorf("%.30q is not answered", text)
		}
		_ = conn.Close()
	}
	r.set("o", "k=1")
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// Closing cuts off connections that nobody has taken yet.
func TestSplitClose(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, 0, err)
	s := NewSplit(l)
	var conns []net.Conn
	for _, text := range []string{"", http2.ClientPreface, "GET / HTTP/1.1\r\n\r\n"} {
		conn, err := net.Dial("tcp", l.Addr().String())
		must(t, 0, err)
		_, _ = io.WriteString(conn, text)
		conns = append(conns, conn)
	}
	var running sync.WaitGroup
	running.Go(func() {
		if _, err := s.GRPC().Accept(); err == nil {
			t.Error("a connection for gRPC")
		}
	})
	must(t, 0, s.HTTP().Close())
	must(t, 0, s.Close())
	running.Wait()
	if _, err := s.HTTP().Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed listener gives %v", err)
	}
	for _, conn := range conns {
		must(t, 0, conn.SetDeadline(time.Now().Add(20*time.Second)))
		if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
			t.Error("a connection is still open")
		}
		_ = conn.Close()
	}
}

// Stop lets calls finish that have begun, and cuts off what takes too long.
func TestStop(t *testing.T) {
	for _, slow := range []bool{false, true} {
		begun, release := make(chan struct{}), make(chan struct{})
		r := newRig(t, rigOptions{methods: map[string]method{"wait": func(req *http.Request, c *wire.Call) (*wire.Reply, error) {
			close(begun)
			select {
			case <-release:
			case <-req.Context().Done():
			}
			return &wire.Reply{Payload: []byte("done")}, nil
		}}})
		var running sync.WaitGroup
		var outcome error
		running.Go(func() {
			_, outcome = r.fn.InvokeObj(r.ctx(), &oprc.ObjectInvocationRequest{ClsId: class, ObjectId: new("o"), FnId: "wait"})
		})
		<-begun
		ctx, cancel := context.WithCancel(context.Background())
		var stopped error
		running.Go(func() { stopped = Stop(ctx, r.server) })
		if slow {
			cancel()
		} else {
			until(t, "new calls are refused", func() bool {
				conn, err := grpc.NewClient("passthrough:///"+r.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
				must(t, 0, err)
				defer func() { _ = conn.Close() }()
				_, err = oprc.NewDataServiceClient(conn).Stats(r.ctx(), &oprc.StatsRequest{})
				return status.Code(err) == codes.Unavailable
			})
			close(release)
		}
		running.Wait()
		cancel()
		if (outcome != nil) != slow || (stopped != nil) != slow {
			t.Errorf("slow %v: the call gives %v, stopping gives %v", slow, outcome, stopped)
		}
	}
}
