package gateway

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm"
)

const typeEvents = "text/event-stream"

// retryHint is what clients are told to wait before they connect again, in milliseconds.
const retryHint = "2000"

// serveEvents streams changes as server-sent events: the messages of the WebSocket routes, with positions as ids, and "gap" and "error" events.
func serveEvents(x *exchange, what func(*exchange) (watch, error)) error {
	if !x.takesEvents() {
		x.writeFault(fault.New(fault.UnsupportedType, "header Accept: this route gives %s alone", typeEvents), http.StatusNotAcceptable)
		return nil
	}
	w, err := what(x)
	if err != nil {
		return err
	}
	w.extended = x.r.URL.Query().Get("form") != "plain"
	if err := plainFits(w); err != nil {
		return err
	}
	if id := x.r.Header.Get("Last-Event-ID"); id != "" {
		w.from = odgm.Position(id) // a client that comes back does so with the URL of its first request
	}
	sub, err := x.subscribe(w)
	if err != nil {
		return err
	}
	h := x.w.Header()
	h["Content-Type"], h["Cache-Control"], h["X-Accel-Buffering"] = []string{typeEvents}, []string{"no-store"}, []string{"no"}
	if x.r.Method == http.MethodHead {
		sub.close("client")
		x.send(http.StatusOK, nil, nil)
		return nil
	}
	x.g.inFlight.Add(-1) // streams have a bound of their own
	defer x.g.inFlight.Add(1)
	e := &eventWriter{sub: sub, w: x.w, out: http.NewResponseController(x.w)}
	sub.close(e.run(x.ctx.Context))
	return nil
}

// takesEvents reports whether the client takes server-sent events; one that does not say takes everything.
func (x *exchange) takesEvents() bool {
	if len(x.r.Header["Accept"]) == 0 {
		return true
	}
	for _, value := range x.r.Header["Accept"] {
		for part := range strings.SplitSeq(value, ",") {
			mediaType, _, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(mediaType)) {
			case typeEvents, "text/*", "*/*":
				return true
			}
		}
	}
	return false
}

// eventWriter writes one stream of server-sent events.
type eventWriter struct {
	sub *subscription
	w   http.ResponseWriter
	out *http.ResponseController
	id  []byte // the last one that was written
}

// run writes until the client goes, the gateway stops or the stream ends, and gives the reason.
func (e *eventWriter) run(ctx context.Context) (reason string) {
	first := append([]byte("retry: "+retryHint+"\n"), e.idLine()...)
	if err := e.write(append(first, '\n')); err != nil {
		return "client"
	}
	ping := &time.Ticker{}
	if every := e.sub.g.cfg.Streams.Ping; every > 0 {
		ping = time.NewTicker(every)
		defer ping.Stop()
	}
	for {
		more, err := e.flush()
		if err != nil {
			return e.end(ctx, err)
		}
		ready := e.sub.Ready()
		if more {
			ready = always
		}
		select {
		case <-ready:
		case <-ping.C:
			err = e.heartbeat()
		case <-ctx.Done():
			return "client"
		case <-e.sub.g.Stopping():
			return "stopping"
		}
		if err != nil {
			return "client"
		}
	}
}

// flush sends what there is.
func (e *eventWriter) flush() (more bool, err error) {
	w := writers.Get().(*bufio.Writer)
	defer writers.Put(w)
	e.deadline()
	w.Reset(e.w)
	count := 0
	more, err = e.sub.send(w, func(w *bufio.Writer, message []byte, gap bool) error {
		count++
		if gap {
			_, _ = w.WriteString("event: gap\n") // a failure stays with the writer
		}
		_, _ = w.Write(e.idLine())
		_, _ = w.WriteString("data: ")
		_, _ = w.Write(message)
		_, err := w.WriteString("\n\n")
		return err
	})
	if flushed := w.Flush(); err == nil {
		err = flushed
	}
	w.Reset(nil)
	if count > 0 && err == nil {
		err = e.out.Flush()
	}
	e.rest()
	return more, err
}

// idLine gives the field with the position of the stream.
func (e *eventWriter) idLine() []byte {
	e.id = append(e.sub.AppendPosition(append(e.id[:0], "id: "...)), '\n')
	return e.id
}

// heartbeat shows that the connection lives; and where the stream is, which may have moved although nothing matched.
func (e *eventWriter) heartbeat() error {
	before := string(e.id)
	if line := e.idLine(); string(line) != before {
		return e.write(append(line, '\n'))
	}
	return e.write([]byte(":\n\n"))
}

func (e *eventWriter) write(text []byte) error {
	e.deadline()
	defer e.rest()
	if _, err := e.w.Write(text); err != nil {
		return err
	}
	return e.out.Flush()
}

// deadline gives the client its time to take what is written next; servers without deadlines do without.
func (e *eventWriter) deadline() {
	_ = e.out.SetWriteDeadline(time.Now().Add(e.sub.g.cfg.Streams.WriteTimeout))
}

// rest lifts the deadline, which on HTTP/2 would end a quiet stream.
func (e *eventWriter) rest() { _ = e.out.SetWriteDeadline(time.Time{}) }

// end tells the client why the stream ends, if it is still there.
func (e *eventWriter) end(ctx context.Context, err error) (reason string) {
	k := e.sub.ending(err)
	if k.reason == "client" || ctx.Err() != nil {
		return "client"
	}
	fe := fault.From(err)
	if k.reason == "slow" {
		fe = fault.New(fault.Busy, "%s", err)
	}
	text := append([]byte("event: error\ndata: "), appendFault(nil, fe)...)
	_ = e.write(append(text, "\n\n"...)) // the client may have gone
	return k.reason
}
