package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/stream"
)

const classPath = "/api/class/example.record"

// dial opens a socket, which is dropped when the test ends.
func (r *rig) dial(path string) *websocket.Conn {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, r.base+path, &websocket.DialOptions{HTTPClient: r.client})
	if err != nil {
		r.t.Fatalf("%s: %v (%v)", path, err, res)
	}
	conn.SetReadLimit(-1)
	r.t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// receive wants these messages; "…" at the end of one stands for anything.
func receive(t *testing.T, conn *websocket.Conn, want ...string) {
	t.Helper()
	for _, w := range want {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		kind, message, err := conn.Read(ctx)
		cancel()
		if err != nil || kind != websocket.MessageText || !like(string(message), w) {
			t.Fatalf("got  %s %v\nwant %s", message, err, w)
		}
	}
}

func like(got, want string) bool {
	if prefix, ok := strings.CutSuffix(want, "…"); ok {
		return strings.HasPrefix(got, prefix)
	}
	return got == want
}

// closes wants the socket to be closed with that code.
func closes(t *testing.T, conn *websocket.Conn, want websocket.StatusCode) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		_, _, err := conn.Read(ctx)
		var ended websocket.CloseError
		switch {
		case err == nil:
			continue
		case !errors.As(err, &ended) || ended.Code != want:
			t.Fatalf("ended with %v, want code %d", err, want)
		}
		return ended.Reason
	}
}

func (r *rig) set(object, key, value string) {
	r.t.Helper()
	r.must(http.StatusOK, http.MethodPut, record0+"/objects/"+object+"/entries/"+key, value, "Content-Type: application/octet-stream")
}

// message is what the plain form says of one entry of partition 0.
func message(object string, version int, key, action string) string {
	return fmt.Sprintf(`{"object_id":%q,"cls_id":"example.record","partition_id":0,"version":%d,"source":"local","changes":[{"key":%q,"action":%q}]}`,
		object, version, key, action)
}

func TestSocketsWatch(t *testing.T) {
	r := newRig(t, rigOptions{})
	object, other := r.dial(record0+"/objects/A/ws"), r.dial(record0+"/objects/b/ws")
	shard, class := r.dial(record0+"/ws"), r.dial(classPath+"/ws")
	filtered := r.dial(classPath + "/_/ws?entry=X&action=update&action=delete")
	extended := r.dial(record0 + "/ws?form=extended&from=earliest")
	ends := r.dial(record0 + "/objects/a/ws?form=extended&method=st*")
	r.set("a", "x", "1")
	r.set("a", "x", "2")
	r.set("b", "y", "3")
	r.must(http.StatusOK, http.MethodPost, record0+"/objects/a/invokes/store", "v")
	r.must(http.StatusNoContent, http.MethodDelete, record0+"/objects/b", "")
	all := []string{
		message("a", 1, "x", "create"), message("a", 2, "x", "update"), message("b", 1, "y", "create"),
		message("a", 3, "stored", "create"), message("b", 2, "y", "delete"),
	}
	receive(t, object, all[0], all[1], all[3])
	receive(t, other, all[2], all[4])
	receive(t, shard, all...)
	receive(t, class, all...)
	receive(t, filtered, all[1])
	receive(t, extended, all[0][:len(all[0])-1]+`,"seq":1,"time":"20…`)
	receive(t, ends, `{"object_id":"a","cls_id":"example.record","partition_id":0,"version":3,"source":"local","changes":[],"seq":4,"time":"20…`)
	resumed := r.dial(record0 + "/ws?after=3")
	receive(t, resumed, all[3], all[4])
	if n := testutil.ToFloat64(r.gateway.streams.opened); n != 8 {
		t.Errorf("%v streams are open", n)
	}
	// What clients send is ignored.
	for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
		if err := object.Write(t.Context(), kind, []byte("{{{ \xff garbage")); err != nil {
			t.Fatal(err)
		}
	}
	r.set("a", "x", "4")
	receive(t, object, message("a", 4, "x", "update"))
	if err := object.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Errorf("close: %v", err)
	}
	until(t, "the stream has ended", func() bool { return testutil.ToFloat64(r.gateway.streams.opened) == 7 })
}

func TestValuesAreIncludedWhenTheClassSaysSo(t *testing.T) {
	r := newRig(t, rigOptions{class: func(c *odgm.Class) { c.Changes.Values = true }})
	conn := r.dial(record0 + "/ws")
	r.set("a", "x", "hello")
	receive(t, conn, strings.Replace(message("a", 1, "x", "create"), `"create"`, `"create","value":"aGVsbG8="`, 1))
}

const handshake = "Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Version: 13|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="

// badStreams are requests for streams that are refused.
var badStreams = []struct {
	path, headers string
	status        int
	code, says    string
}{
	{classPath + "/ws", "", 426, "INVALID_ARGUMENT", "speaks WebSocket"},
	{classPath + "/ws", "Connection: Upgrade|Upgrade: h2c", 426, "INVALID_ARGUMENT", "speaks WebSocket"},
	{classPath + "/ws", strings.Replace(handshake, "13", "8", 1), 426, "INVALID_ARGUMENT", "only version 13"},
	{classPath + "/ws", strings.Replace(handshake, "dGhl", "", 1), 400, "INVALID_ARGUMENT", "Sec-WebSocket-Key"},
	{classPath + "/ws", handshake + "|Origin: https://evil.example", 403, "FORBIDDEN", "evil.example"},
	{"/api/class/no.such/ws", handshake, 404, "NO_CLASS", "no.such"},
	{"/api/class/example.off/ws", handshake, 409, "CONFLICT", "event_retention"},
	{classPath + "/9/ws", handshake, 404, "NO_PARTITION", "partition 9"},
	{classPath + "/x/ws", handshake, 400, "INVALID_URL", "`x`"},
	{classPath + "/_/objects/bad%20id/ws", handshake, 400, "INVALID_OBJECT_ID", "invalid characters"},
	{classPath + "/ws?action=created", handshake, 400, "INVALID_ARGUMENT", "create, update"},
	{classPath + "/ws?entry=a*b", handshake, 400, "INVALID_ARGUMENT", "a*b"},
	{classPath + "/ws?method=f", handshake, 400, "INVALID_ARGUMENT", "form=extended"},
	{classPath + "/ws?form=xml", handshake, 400, "INVALID_ARGUMENT", "xml"},
	{classPath + "/ws?from=yesterday", handshake, 400, "INVALID_ARGUMENT", "yesterday"},
	{classPath + "/ws?after=3", handshake, 400, "INVALID_ARGUMENT", "name the partition"},
	{classPath + "/0/ws?after=-3", handshake, 400, "INVALID_ARGUMENT", "-3"},
	{classPath + "/0/ws?after=3&from=now", handshake, 400, "INVALID_ARGUMENT", "not both"},
	{classPath + "/0/ws?from=1:.4", handshake, 400, "INVALID_ARGUMENT", "partition 0"},
	{classPath + "/events", "Accept: application/json", 406, "UNSUPPORTED_TYPE", "text/event-stream"},
	{classPath + "/events", "Last-Event-ID: nonsense", 400, "INVALID_ARGUMENT", "nonsense"},
	{classPath + "/9/events", "", 404, "NO_PARTITION", "partition 9"},
	{classPath + "/0/events?after=-3", "", 400, "INVALID_ARGUMENT", "-3"},
	{classPath + "/0/objects/bad%20id/events", "", 400, "INVALID_OBJECT_ID", "invalid characters"},
	{classPath + "/events?form=plain&action=error", "", 400, "INVALID_ARGUMENT", "form=extended"},
}

func TestStreamsRefused(t *testing.T) {
	r := newRig(t, rigOptions{cfg: func(c *Config) { c.CORSOrigins = []string{"https://ok.example"} }})
	r.add(odgm.Class{Name: "example.off", Changes: odgm.Retention{Off: true}})
	for _, tc := range badStreams {
		var headers []string
		if tc.headers != "" {
			headers = strings.Split(tc.headers, "|")
		}
		got := r.do(http.MethodGet, tc.path, "", headers...)
		if got.status != tc.status || got.code() != tc.code || !strings.Contains(got.body, tc.says) {
			t.Errorf("%s %s: %d %s %s", tc.path, tc.headers, got.status, got.code(), got.body)
		}
	}
	if n := testutil.ToFloat64(r.gateway.streams.opened); n != 0 || len(r.gateway.streams.classes) != 0 {
		t.Errorf("%v streams are open", n)
	}
	for _, path := range []string{classPath + "/events", record0 + "/objects/a/events"} {
		if got := r.do(http.MethodHead, path, ""); got.status != 200 || got.header.Get("Content-Type") != typeEvents {
			t.Errorf("HEAD %s: %d %v", path, got.status, got.header)
		}
	}
	if got := r.do(http.MethodPost, classPath+"/0/ws", ""); got.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", got.status)
	}
	withOrigin := r.upgrade(classPath+"/ws", "Origin: https://ok.example")
	withOrigin.Close()
}

func TestSocketsCanBeOff(t *testing.T) {
	r := newRig(t, rigOptions{cfg: func(c *Config) { c.Streams.WebSocket = false }})
	if got := r.do(http.MethodGet, classPath+"/0/ws", "", strings.Split(handshake, "|")...); got.status != 404 || got.body != "NOT FOUND" {
		t.Errorf("%d %s", got.status, got.body)
	}
	r.must(http.StatusOK, http.MethodHead, classPath+"/events", "")
}

func TestStreamLimits(t *testing.T) {
	r := newRig(t, rigOptions{cfg: func(c *Config) { c.Streams.Max, c.Streams.MaxClass = 3, 2 }})
	r.add(odgm.Class{Name: "example.other"})
	first := r.dial(classPath + "/ws")
	r.dial(classPath + "/ws")
	refused := func(path, says string) {
		t.Helper()
		got := r.do(http.MethodGet, path, "", strings.Split(handshake, "|")...)
		if got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, says) || got.header.Get("Retry-After") == "" {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	refused(classPath+"/ws", "2 streams of class example.record")
	r.dial("/api/class/example.other/ws")
	refused("/api/class/example.other/ws", "3 streams are open")
	refused("/api/class/example.other/events", "3 streams are open")
	_ = first.CloseNow()
	until(t, "one has ended", func() bool { return testutil.ToFloat64(r.gateway.streams.opened) == 2 })
	r.dial(classPath + "/ws")
}

// upgrade makes a handshake on a connection that the test then reads and writes by itself.
func (r *rig) upgrade(path string, headers ...string) net.Conn {
	r.t.Helper()
	conn, err := upgrade(strings.TrimPrefix(r.base, "http://"), path, headers...)
	if err != nil {
		r.t.Fatal(err)
	}
	return conn
}

func upgrade(address, path string, headers ...string) (net.Conn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	lines := append(strings.Split(handshake, "|"), headers...)
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", path, strings.Join(lines, "\r\n")); err != nil {
		return nil, err
	}
	answer := make([]byte, 1024)
	n := 0
	for !strings.HasSuffix(string(answer[:n]), "\r\n\r\n") {
		m, err := conn.Read(answer[n:])
		if err != nil {
			return nil, fmt.Errorf("handshake: %w after %s", err, answer[:n])
		}
		n += m
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.1 101 ") {
		return nil, fmt.Errorf("handshake: %s", answer[:n])
	}
	return conn, nil
}

func (r *rig) ends(reason string) float64 {
	return testutil.ToFloat64(r.gateway.streams.ended.WithLabelValues(reason))
}

func TestBadFrames(t *testing.T) {
	r := newRig(t, rigOptions{cfg: func(c *Config) { c.Streams.ReadLimit = 1000 }})
	for _, tc := range []struct {
		name, bytes string
		code        int
	}{
		{"not masked", "\x81\x01a", 1002},
		{"reserved bits", "\xf1\x81\x00\x00\x00\x00a", 1002},
		{"unknown opcode", "\x83\x80\x00\x00\x00\x00", 1002},
		{"ping in parts", "\x09\x80\x00\x00\x00\x00", 1002},
		{"long ping", "\x89\xfe\x00\x7e\x00\x00\x00\x00", 1002},
		{"rest without beginning", "\x80\x80\x00\x00\x00\x00", 1002},
		{"too long", "\x81\xfe\x03\xe9\x00\x00\x00\x00", 1009},
		{"endless", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1009},
		{"negative length", "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1002},
		{"text of HTTP", "GET / HTTP/1.1\r\n\r\n", 1002},
		{"close with a code that does not exist", "\x88\x82\x00\x00\x00\x00\x00\x01", 1002},
		{"close", "\x88\x82\x00\x00\x00\x00\x03\xe8", 1000},
		{"ignored, in parts, then close", "\x01\x81\x00\x00\x00\x00a\x80\x81\x00\x00\x00\x00b\x88\x82\x00\x00\x00\x00\x03\xe9", 1001},
	} {
		conn := r.upgrade(record0 + "/ws")
		if _, err := io.WriteString(conn, tc.bytes); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		got := make([]byte, 4)
		if _, err := io.ReadFull(conn, got); err != nil || got[0] != 0x88 || int(got[2])<<8|int(got[3]) != tc.code {
			t.Errorf("%s: answered %x %v, want a close frame with %d", tc.name, got, err, tc.code)
		}
		conn.Close()
	}
	until(t, "all have ended", func() bool { return testutil.ToFloat64(r.gateway.streams.opened) == 0 })
	if r.ends("protocol") != 11 || r.ends("client") != 2 {
		t.Errorf("protocol %v, client %v", r.ends("protocol"), r.ends("client"))
	}
}

// TestGoodbyeAfterSilence closes sockets on which nothing was sent for longer than a client has to take a message.
func TestGoodbyeAfterSilence(t *testing.T) {
	r := newRig(t, rigOptions{cfg: func(c *Config) { c.Streams.WriteTimeout = time.Millisecond }})
	conn := r.dial(record0 + "/ws")
	time.Sleep(20 * time.Millisecond) // the silence itself
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("the socket gave no close frame: %v", err)
	}
}

func TestPings(t *testing.T) {
	r := newRig(t, rigOptions{cfg: func(c *Config) { c.Streams.Ping = 50 * time.Millisecond }})
	alive := r.dial(record0 + "/ws")
	reading := alive.CloseRead(context.Background()) // answers pings
	dead := r.upgrade(record0 + "/ws")               // does not
	defer dead.Close()
	ping := make([]byte, 2)
	if _, err := io.ReadFull(dead, ping); err != nil || ping[0] != 0x89 || ping[1] != 0 {
		t.Errorf("got %x %v, want a ping", ping, err)
	}
	until(t, "the dead peer is noticed", func() bool { return r.ends("dead") == 1 })
	if err := alive.Ping(t.Context()); err != nil || reading.Err() != nil {
		t.Errorf("the live one: %v, %v", err, reading.Err())
	}
}

// TestClientThatNeverReads is cut off, and costs no memory until then, while others get everything.
func TestClientThatNeverReads(t *testing.T) {
	r := newRig(t, rigOptions{
		cfg:   func(c *Config) { c.Streams.WriteTimeout = 3 * time.Second },
		class: func(c *odgm.Class) { c.Changes.Values = true },
	})
	stuck := r.upgrade(record0 + "/ws")
	defer stuck.Close()
	_ = stuck.(*net.TCPConn).SetReadBuffer(4 << 10)
	reader := r.dial(record0 + "/ws")
	big := strings.Repeat("v", 1<<20)
	for i := range 40 {
		r.set("a", "x", big)
		receive(t, reader, fmt.Sprintf(`{"object_id":"a","cls_id":"example.record","partition_id":0,"version":%d,…`, i+1))
	}
	until(t, "the stuck one is cut off", func() bool { return r.ends("slow") == 1 })
	r.set("a", "y", "still")
	receive(t, reader, `{"object_id":"a","cls_id":"example.record","partition_id":0,"version":41,…`)
}

func TestSlowClientIsDisconnected(t *testing.T) {
	r := newRig(t, rigOptions{
		cfg:   func(c *Config) { c.Streams.Slow = stream.Disconnect },
		class: func(c *odgm.Class) { c.Changes.Values = true },
	})
	conn := r.dial(record0 + "/ws")
	big := strings.Repeat("v", 1<<20)
	for range 40 { // more than the ring and the sockets' buffers take
		r.set("a", "x", big)
	}
	if reason := closes(t, conn, websocket.StatusTryAgainLater); !strings.HasPrefix(reason, "slow consumer") {
		t.Errorf("reason %q", reason)
	}
}

func TestStreamsEndWithTheirClass(t *testing.T) {
	r := newRig(t, rigOptions{})
	conn, events := r.dial(record0+"/ws"), r.events(record0+"/events", "")
	if err := r.grid.Undeploy(t.Context(), "example.record", true); err != nil {
		t.Fatal(err)
	}
	if reason := closes(t, conn, websocket.StatusGoingAway); !strings.Contains(reason, "example.record") {
		t.Errorf("reason %q", reason)
	}
	events.expect(`event: error|data: {"error":{"code":"UNAVAILABLE",…`)
}

func TestStreamsEndWithTheGateway(t *testing.T) {
	r := newRig(t, rigOptions{})
	conn, events := r.dial(record0+"/ws"), r.events(record0+"/events", "")
	r.stop()
	closes(t, conn, websocket.StatusGoingAway)
	if err := <-r.served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := events.Reader.ReadByte(); err != io.EOF {
		t.Errorf("the event stream: %v", err)
	}
	if r.ends("stopping") != 2 {
		t.Errorf("stopping: %v", r.ends("stopping"))
	}
}

// eventStream is a client of server-sent events.
type eventStream struct {
	t *testing.T
	*bufio.Reader
	lastID string
	close  func()
}

// events opens a stream of server-sent events, and reads its first block.
func (r *rig) events(path, lastID string) *eventStream {
	t := r.t.(*testing.T)
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", typeEvents)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != typeEvents {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	e := &eventStream{t: t, Reader: bufio.NewReader(res.Body), close: cancel}
	if first := e.block(); !strings.HasPrefix(first, "retry: 2000|") {
		t.Fatalf("begins with %q", first)
	}
	return e
}

// block gives the next block of lines, without its id.
func (e *eventStream) block() string {
	e.t.Helper()
	var lines []string
	for {
		line, err := e.ReadString('\n')
		if err != nil {
			e.t.Fatalf("the stream ended: %v after %q", err, lines)
		}
		line = strings.TrimSuffix(line, "\n")
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			e.lastID = id
			line = "id"
		}
		if line == "" {
			return strings.Join(lines, "|")
		}
		lines = append(lines, line)
	}
}

func (e *eventStream) expect(want ...string) {
	e.t.Helper()
	for _, w := range want {
		if got := e.block(); !like(got, w) {
			e.t.Fatalf("got  %s\nwant %s", got, w)
		}
	}
}

func TestServerSentEvents(t *testing.T) {
	r := newRig(t, rigOptions{cfg: func(c *Config) { c.Streams.Ping = 50 * time.Millisecond }})
	all, one := r.events(classPath+"/events", ""), r.events(record0+"/objects/b/events?form=plain", "")
	quiet := one.lastID
	r.set("a", "x", "1")
	all.expect(`id|data: {"object_id":"a","cls_id":"example.record","partition_id":0,"version":1,"source":"local","changes":[{"key":"x","action":"create"}],"seq":1,…`)
	one.expect("id") // a heartbeat that knows of the change, which does not match
	one.expect(":")
	if one.lastID != all.lastID || one.lastID == quiet {
		t.Errorf("the quiet stream is at %s, the other one at %s", one.lastID, all.lastID)
	}
	all.close()
	r.set("b", "y", "2")
	one.expect("id|data: " + message("b", 1, "y", "create"))
	again := r.events(classPath+"/events?from=earliest", all.lastID)
	again.expect(`id|data: {"object_id":"b",…`)
	remade := r.events(record0+"/events", "0:zz.7")
	remade.expect(`event: gap|id|data: {"object_id":"","cls_id":"example.record","partition_id":0,"version":0,"source":"gap","changes":[],"gap":{"from":8,"remade":true},…`,
		`id|data: {"object_id":"a",…`, `id|data: {"object_id":"b",…`)
	late := r.dial(record0 + "/ws?from=0:zz.7")
	receive(t, late, `{"object_id":"","cls_id":"example.record","partition_id":0,"version":0,"source":"gap",…`, message("a", 1, "x", "create"))
}

// TestTenThousandSockets are opened by another process, as one may have too few files for both ends, get a change, and are closed again, without
// anything being left behind.
func TestTenThousandSockets(t *testing.T) {
	const sockets = 10_000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < sockets+500 {
		t.Skipf("needs %d open files, allowed are %d", sockets+500, limit.Cur)
	}
	if testing.Short() {
		t.Skip("opens 10,000 sockets")
	}
	r := newRig(t, rigOptions{})
	crowd := exec.CommandContext(t.Context(), os.Args[0])
	crowd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", crowdVariable, sockets, strings.TrimPrefix(r.base, "http://")))
	crowd.Stderr = os.Stderr
	out, err := crowd.StdoutPipe()
	if err == nil {
		err = crowd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "open" {
		t.Fatalf("the clients say %q", lines.Text())
	}
	if n := testutil.ToFloat64(r.gateway.streams.opened); n != sockets {
		t.Errorf("%v streams are open", n)
	}
	r.set("a", "x", "1")
	if !lines.Scan() || lines.Text() != "received" {
		t.Errorf("the clients say %q", lines.Text())
	}
	if err := crowd.Wait(); err != nil {
		t.Error(err)
	}
	until(t, "all have ended", func() bool { return testutil.ToFloat64(r.gateway.streams.opened) == 0 })
	if len(r.gateway.streams.conns) != 0 || len(r.gateway.streams.classes) != 0 {
		t.Error("sockets are remembered that have ended")
	}
}

// crowdVariable has number and address when this program is to be the clients of TestTenThousandSockets.
const crowdVariable = "OAAS_TEST_CROWD"

// crowd opens the sockets, and reads a message from each.
func crowd(text string) error {
	var sockets int
	var address string
	if _, err := fmt.Sscan(text, &sockets, &address); err != nil {
		return err
	}
	conns := make([]net.Conn, sockets)
	for i := range conns {
		var err error
		if conns[i], err = upgrade(address, record0+"/ws"); err != nil {
			return fmt.Errorf("socket %d: %w", i, err)
		}
	}
	fmt.Println("open")
	want := message("a", 1, "x", "create")
	frame := make([]byte, len(want)+4)
	for i, conn := range conns {
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadFull(conn, frame); err != nil || string(frame[4:]) != want {
			return fmt.Errorf("socket %d got %q, %w", i, frame, err)
		}
	}
	fmt.Println("received")
	return nil
}
