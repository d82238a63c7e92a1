package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSockets talks to the gateway below HTTP: garbage, half requests, header bombs, slow clients. The platform answers or hangs up, serves
// others meanwhile, and stores nothing.
func TestSockets(t *testing.T) {
	p := newPlatform(t)
	p.env = []string{"READ_HEADER_TIMEOUT_MS=700", "REQUEST_TIMEOUT_MS=1500", "MAX_HEADER_BYTES=16384"}
	p.start()
	function := newBadFunction(t)
	p.deploy("bad", badPackage(function.URL))
	entry := objectPath("bad.thing", "kept") + "/entries/a"
	p.must(http.MethodPut, entry, []byte("1"))
	before := p.dump("bad.thing")
	put := func(headers, body string) string {
		return "PUT " + entry + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n" + body
	}
	for _, c := range []struct {
		what, text string
		close      bool     // the client sends no more after it
		want       []string // the first line of the answer has one of these; "" is none
	}{
		{"garbage", "\x00\x01\x02\xff\r\n\r\n", false, []string{"400"}},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("a", 512), false, []string{"400", "431", ""}},
		{"not HTTP", "HELO there\r\n\r\n", false, []string{"400"}},
		{"a version that is none", "GET / HTTP/9.9\r\nHost: x\r\n\r\n", false, []string{"400", "505"}},
		{"no host", "GET /healthz HTTP/1.1\r\n\r\n", false, []string{"400"}},
		{"two lengths", put("Content-Length: 1\r\nContent-Length: 2\r\n", "xx"), false, []string{"400"}},
		{"length and chunks", put("If-Match: \"9\"\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\n\r\n"), false, []string{"400", "412"}},
		{"negative length", put("Content-Length: -1\r\n", ""), false, []string{"400"}},
		{"length that is none", put("Content-Length: many\r\n", ""), false, []string{"400"}},
		{"unknown transfer encoding", put("Transfer-Encoding: magic\r\n", "x"), false, []string{"400", "501"}},
		{"chunk that is none", put("Transfer-Encoding: chunked\r\n", "zz\r\n"), false, []string{"400"}},
		{"endless chunks", put("Transfer-Encoding: chunked\r\n", strings.Repeat("10000\r\n"+strings.Repeat("x", 65536)+"\r\n", 66)), false, []string{"413"}},
		{"blank in a header's name", put("Bad Header: x\r\n", ""), false, []string{"400"}},
		{"line break in a path", "GET /a\nb HTTP/1.1\r\nHost: x\r\n\r\n", false, []string{"400"}},
		{"long path", "GET /" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", false, []string{"431", "414"}},
		{"header bomb", "GET /healthz HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Bomb: "+strings.Repeat("b", 100)+"\r\n", 400) + "\r\n", false, []string{"431"}},
		{"half a request line", "GET /heal", true, []string{"", "400"}},
		{"half the headers", "GET /healthz HTTP/1.1\r\nHo", true, []string{"", "400"}},
		{"half a body, then gone", put("Content-Length: 10\r\n", "12345"), true, []string{"", "400"}},
		{"half chunks, then gone", put("Transfer-Encoding: chunked\r\n", "5\r\n12345\r\n"), true, []string{"", "400"}},
		{"headers that never end", "GET /healthz HTTP/1.1\r\nHost: x\r\n", false, []string{"", "400", "408"}},
		{"a body that never ends", put("Content-Length: 10\r\n", "12345"), false, []string{"504", "408"}},
		{"nothing", "", true, []string{""}},
	} {
		if got := p.talk(c.text, c.close); !fits(got, c.want) {
			t.Errorf("%s: the answer begins with %q, want one of %q", c.what, got, c.want)
		}
		if a := p.do(http.MethodGet, "/healthz", nil); a.status != http.StatusOK {
			t.Errorf("after %s: %s", c.what, a)
		}
	}
	if after := p.dump("bad.thing"); after != before {
		t.Errorf("the store has changed; before:\n%s\nafter:\n%s", before, after)
	}
	testHangUp(p)
}

func fits(line string, want []string) bool {
	for _, w := range want {
		if w == "" && line == "" || w != "" && strings.HasPrefix(line, "HTTP/1.") && strings.Contains(line, " "+w+" ") {
			return true
		}
	}
	return false
}

// talk sends text over a connection of its own and gives the first line of the answer; "" when the platform hangs up without one.
func (p *platform) talk(text string, closeWrite bool) string {
	p.t.Helper()
	connection, err := net.DialTimeout("tcp", p.addr, patience)
	if err != nil {
		p.t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	_, _ = io.WriteString(connection, text) // the platform may have hung up in the middle, and said why
	if closeWrite {
		_ = connection.(*net.TCPConn).CloseWrite() // likewise
	}
	line, err := bufio.NewReader(connection).ReadString('\n')
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		p.t.Errorf("the platform neither answers nor hangs up on %.60q", text)
	}
	return strings.TrimSpace(line)
}

// A client that goes away in the middle of a call ends it: nothing is left waiting.
func testHangUp(p *platform) {
	connection, err := net.DialTimeout("tcp", p.addr, patience)
	if err != nil {
		p.t.Fatal(err)
	}
	fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: x\r\nOaas-Timeout: 60s\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nlate",
		methodPath("bad.thing", "held", "echo"))
	p.until("the call runs", func() bool {
		return p.metric("http_active_connections") > 1 // this one is the other
	})
	connection.Close()
	if a := p.do(http.MethodPut, objectPath("bad.thing", "held")+"/entries/a", []byte("1"), "Oaas-Timeout", "20s"); a.status != http.StatusOK {
		p.t.Errorf("after a client has gone, a write gets %s", a)
	}
}
