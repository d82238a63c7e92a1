package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/stream"
)

// closeTimeout is the time for a client to answer that a socket is being closed.
const closeTimeout = time.Second

// serveSocket hands a connection over to a socket of its own, which outlives the exchange: what the server keeps for a request can go.
func serveSocket(x *exchange, what func(*exchange) (watch, error)) error {
	if done := x.refuseUpgrade(); done {
		return nil
	}
	if err := x.checkOrigin(); err != nil {
		return err
	}
	w, err := what(x)
	if err != nil {
		return err
	}
	if err := plainFits(w); err != nil {
		return err
	}
	if x.g.stopping.Err() != nil {
		return fault.New(fault.Unavailable, "the gateway is stopping")
	}
	sub, err := x.subscribe(w)
	if err != nil {
		return err
	}
	x.c.Status(http.StatusSwitchingProtocols)
	x.g.streams.sockets.Add(1) // before the connection is taken from the server, which would no longer wait for it
	conn, rw, _, err := ws.HTTPUpgrader{Timeout: x.g.cfg.Streams.WriteTimeout}.Upgrade(x.r, x.w)
	if err != nil {
		if conn != nil {
			_ = conn.Close() // the upgrader has answered as far as it could
		}
		x.g.streams.sockets.Done()
		sub.close("failed")
		return nil
	}
	early, _ := rw.Reader.Peek(rw.Reader.Buffered()) // what is buffered can be peeked
	k := &socket{
		sub: sub, conn: conn, pings: make(chan []byte, 1), read: make(chan closing, 1), forget: x.g.streams.track(conn),
		from: io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn),
	}
	if len(early) == 0 {
		k.from = conn
	}
	go k.run()
	return nil
}

// refuseUpgrade answers requests that are no valid WebSocket handshakes.
func (x *exchange) refuseUpgrade() (done bool) {
	h, status, why := x.r.Header, http.StatusBadRequest, ""
	switch {
	case x.r.Method != http.MethodGet || !hasToken(h, "Connection", "upgrade") || !hasToken(h, "Upgrade", "websocket") || x.r.ProtoMajor != 1:
		status, why = http.StatusUpgradeRequired, "this route speaks WebSocket over HTTP/1.1; the same stream is served as server-sent events at …/events"
	case h.Get("Sec-WebSocket-Version") != "13":
		status, why = http.StatusUpgradeRequired, "header Sec-WebSocket-Version: only version 13 is spoken"
	case len(h.Get("Sec-WebSocket-Key")) != 24:
		why = "header Sec-WebSocket-Key: not 16 bytes in base64"
	default:
		return false
	}
	if status == http.StatusUpgradeRequired {
		out := x.w.Header()
		out["Upgrade"], out["Connection"], out["Sec-Websocket-Version"] = []string{"websocket"}, []string{"Upgrade"}, []string{"13"}
	}
	x.writeFault(fault.New(fault.InvalidArgument, "%s", why), status)
	return true
}

func hasToken(h http.Header, name, token string) bool {
	for _, value := range h[name] {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// checkOrigin refuses web pages of other origins than those that may use the data routes. Browsers do not do that for sockets.
func (x *exchange) checkOrigin() error {
	origin := x.r.Header["Origin"]
	if len(origin) == 0 {
		return nil
	}
	allowed := x.g.cfg.CORSOrigins
	if slices.Contains(allowed, "*") || slices.Contains(allowed, origin[0]) {
		return nil
	}
	if u, err := url.Parse(origin[0]); err == nil && u.Host == x.r.Host {
		return nil
	}
	return fault.New(fault.Forbidden, "web pages of origin %q may not open sockets here; CORS_ORIGINS says which may", origin[0])
}

// plainFits refuses filters that ask for ends of methods in the form that has none.
func plainFits(w watch) error {
	ends := slices.Contains(w.filter.Actions, stream.Completed) || slices.Contains(w.filter.Actions, stream.Failed)
	if !w.extended && (len(w.filter.Methods) > 0 || ends) {
		return fault.New(fault.InvalidArgument, "the ends of methods are only in the extended form: add form=extended")
	}
	return nil
}

// socket is a WebSocket connection that watches. One goroutine writes, another one reads; the writer owns both.
type socket struct {
	sub    *subscription
	conn   net.Conn
	from   io.Reader // conn, after what came with the handshake
	pings  chan []byte
	read   chan closing // gets how reading ended
	forget func()
}

// closing says how a socket ends. Without a code nothing is said to the client.
type closing struct {
	code   ws.StatusCode
	text   string
	reason string // for the metrics
}

// run serves the socket until its end.
func (k *socket) run() {
	defer k.sub.g.streams.sockets.Done()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.read <- k.readFrames()
	}()
	why := k.writeFrames()
	if why.code != 0 {
		k.sayGoodbye(why, ended)
	} else if tcp, ok := k.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // what the client did not take is not kept for it
	}
	_ = k.conn.Close() // the socket is over either way
	<-ended
	k.forget()
	k.sub.close(why.reason)
}

// sayGoodbye sends a close frame and waits a moment for the client's.
func (k *socket) sayGoodbye(why closing, ended <-chan struct{}) {
	const most = 123
	if len(why.text) > most {
		why.text = strings.ToValidUTF8(why.text[:most], "")
	}
	body := ws.NewCloseFrameBody(why.code, why.text)
	if why.code == ws.StatusNoStatusRcvd {
		body = nil
	}
	overdue := time.AfterFunc(closeTimeout, func() { _ = k.conn.Close() })
	defer overdue.Stop()
	_ = k.conn.SetWriteDeadline(time.Now().Add(closeTimeout)) // that of the last message may be over
	if ws.WriteFrame(k.conn, ws.NewCloseFrame(body)) == nil {
		<-ended
	}
}

// writeFrames sends changes, pings and pongs until the socket has to end.
func (k *socket) writeFrames() closing {
	ping := &time.Ticker{}
	if every := k.sub.g.cfg.Streams.Ping; every > 0 {
		ping = time.NewTicker(every)
		defer ping.Stop()
	}
	for {
		more, err := k.flush()
		if err != nil {
			return k.sub.ending(err)
		}
		ready := k.sub.Ready()
		if more {
			ready = always
		}
		select {
		case <-ready:
		case payload := <-k.pings:
			err = k.writeControl(ws.NewPongFrame(payload))
		case <-ping.C:
			err = k.writeControl(ws.NewPingFrame(nil))
		case why := <-k.read:
			return why
		case <-k.sub.g.Stopping():
			return closing{ws.StatusGoingAway, "the platform is stopping", "stopping"}
		}
		if err != nil {
			return k.sub.ending(err)
		}
	}
}

// always is closed.
var always = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// flush sends what there is, several messages at a time.
func (k *socket) flush() (more bool, err error) {
	w := writers.Get().(*bufio.Writer)
	defer writers.Put(w)
	_ = k.conn.SetWriteDeadline(time.Now().Add(k.sub.g.cfg.Streams.WriteTimeout)) // fails only on a closed connection, and then writing fails too
	w.Reset(k.conn)
	more, err = k.sub.send(w, func(w *bufio.Writer, message []byte, _ bool) error {
		if err := ws.WriteHeader(w, ws.Header{Fin: true, OpCode: ws.OpText, Length: int64(len(message))}); err != nil {
			return err
		}
		_, err := w.Write(message)
		return err
	})
	flushed := w.Flush()
	w.Reset(nil)
	return more, errors.Join(err, flushed)
}

func (k *socket) writeControl(f ws.Frame) error {
	_ = k.conn.SetWriteDeadline(time.Now().Add(k.sub.g.cfg.Streams.WriteTimeout))
	return ws.WriteFrame(k.conn, f)
}

// ending says what a failure to go on means for the client.
func (s *subscription) ending(err error) closing {
	var fe *fault.Error
	var netErr net.Error
	switch {
	case s.g.stopping.Err() != nil:
		return closing{ws.StatusGoingAway, "the platform is stopping", "stopping"}
	case errors.Is(err, stream.ErrSlow):
		return closing{statusTryAgainLater, "slow consumer: " + err.Error(), "slow"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return closing{reason: "slow"}
	case errors.As(err, &netErr), errors.Is(err, net.ErrClosed):
		return closing{reason: "client"}
	case errors.As(err, &fe) && fe.Code == fault.Unavailable:
		return closing{ws.StatusGoingAway, fe.Message, "stopping"}
	}
	return closing{ws.StatusInternalServerError, err.Error(), "failed"}
}

// statusTryAgainLater is code 1013 of the IANA registry of close codes.
const statusTryAgainLater ws.StatusCode = 1013

// readFrames reads what the client sends: pings are answered, data is ignored. It ends with the connection, or when the client closes, breaks the
// protocol, or is dead.
func (k *socket) readFrames() closing {
	state := ws.StateServerSide
	buffer := make([]byte, ws.MaxHeaderSize)
	for {
		if every := k.sub.g.cfg.Streams.Ping; every > 0 && k.sub.g.stopping.Err() == nil {
			_ = k.conn.SetReadDeadline(time.Now().Add(2 * every))
		}
		h, err := ws.ReadHeaderBuffer(k.from, buffer)
		if err == nil {
			err = ws.CheckHeader(h, state)
		}
		if err != nil {
			return readFailure(err)
		}
		switch limit := k.sub.g.cfg.Streams.ReadLimit; {
		case h.Length > limit:
			return closing{ws.StatusMessageTooBig, "frames of clients are ignored, and may not be that long", "protocol"}
		case h.OpCode.IsControl():
			if why := k.control(h); why.reason != "" {
				return why
			}
			continue
		}
		if _, err := io.CopyN(io.Discard, k.from, h.Length); err != nil {
			return readFailure(err)
		}
		if state = state.Clear(ws.StateFragmented); !h.Fin {
			state = state.Set(ws.StateFragmented)
		}
	}
}

func readFailure(err error) closing {
	var broken ws.ProtocolError
	switch {
	case errors.As(err, &broken), errors.Is(err, ws.ErrHeaderLengthMSB), errors.Is(err, ws.ErrHeaderLengthUnexpected):
		return closing{ws.StatusProtocolError, err.Error(), "protocol"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return closing{reason: "dead"}
	}
	return closing{reason: "client"}
}

// control takes a control frame; an empty reason means that the socket goes on.
func (k *socket) control(h ws.Header) closing {
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(k.from, payload); err != nil {
		return readFailure(err)
	}
	ws.Cipher(payload, h.Mask, 0)
	switch h.OpCode {
	case ws.OpPing:
		select {
		case <-k.pings: // only the newest one has to be answered
		default:
		}
		k.pings <- payload
	case ws.OpClose:
		code, text := ws.ParseCloseFrameData(payload)
		if len(payload) == 0 {
			return closing{ws.StatusNoStatusRcvd, "", "client"}
		}
		if err := ws.CheckCloseFrameData(code, text); err != nil {
			return closing{ws.StatusProtocolError, err.Error(), "protocol"}
		}
		return closing{code, "", "client"}
	}
	return closing{}
}
