package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// reconnectDelay is the pause before a stream that was cut off is asked for again.
const reconnectDelay = 500 * time.Millisecond

// Watch says which changes to give.
type Watch struct {
	Class string
	// Partition and Object narrow it; empty for all.
	Partition, Object string
	// From is a position of an earlier event, "earliest", or "now" (or empty).
	From string
	// Entries and Methods are names, or prefixes that end with '*'; Actions are create, update, delete, complete and error.
	Entries, Actions, Methods []string
}

// Event is one change, or the notice that some are missing (Source is "gap").
type Event struct {
	Object    string `json:"object_id"`
	Class     string `json:"cls_id"`
	Partition uint32 `json:"partition_id"`
	Version   uint64 `json:"version"`
	Source    string `json:"source"`
	Changes   []struct {
		Key    string  `json:"key"`
		Action string  `json:"action"`
		Value  *[]byte `json:"value"`
	} `json:"changes"`
	Method *struct{ Name, Action, Code, Message string } `json:"method"`
	Gap    *struct {
		From    uint64 `json:"from"`
		Missing uint64 `json:"missing"`
		Remade  bool   `json:"remade"`
	} `json:"gap"`
	Time     time.Time `json:"time"`
	Position string    `json:"position"`
	// Raw is the event as it came.
	Raw json.RawMessage `json:"-"`
}

// Events gives changes until the context ends or each fails. When the connection is lost it goes on where it was.
func (c *Client) Events(ctx context.Context, w Watch, each func(*Event) error) error {
	r := request{method: http.MethodGet, path: w.path(), query: url.Values{"entry": w.Entries, "action": w.Actions, "method": w.Methods}}
	if w.From != "" {
		r.query.Set("from", w.From)
	}
	at := ""
	for {
		r.header = map[string]string{"Accept": "text/event-stream", "Last-Event-ID": at}
		err := c.events(ctx, r, &at, each)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if at == "" || !passes(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(reconnectDelay):
		}
	}
}

// passes tells whether a stream that ended so is worth asking for again.
func passes(err error) bool {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Status == http.StatusServiceUnavailable
	}
	_, lost := errors.AsType[*cutOff](err)
	_, gone := errors.AsType[*Unreachable](err)
	return lost || gone
}

func (w *Watch) path() string {
	segments := []string{"api", "class", w.Class}
	if w.Partition == "" && w.Object != "" {
		w.Partition = AnyPartition
	}
	if w.Partition != "" {
		segments = append(segments, w.Partition)
	}
	if w.Object != "" {
		segments = append(segments, "objects", w.Object)
	}
	return path(append(segments, "events")...)
}

// cutOff is the end of a stream that nobody asked for.
type cutOff struct{ cause error }

func (c *cutOff) Error() string { return fmt.Sprintf("the stream was cut off: %v", c.cause) }

// events reads one connection of server-sent events; at is the position that it has come to.
func (c *Client) events(ctx context.Context, r request, at *string, each func(*Event) error) error {
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxAnswer)
	kind, data, id := "", "", ""
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), ":")
		text = strings.TrimPrefix(text, " ")
		switch {
		case lines.Text() == "":
			if err := dispatch(kind, data, each); err != nil {
				return err
			}
			if id != "" {
				*at = id
			}
			kind, data = "", ""
		case name == "event":
			kind = text
		case name == "data":
			data = text
		case name == "id":
			id = text
		}
	}
	return &cutOff{lines.Err()}
}

// dispatch hands on one event.
func dispatch(kind, data string, each func(*Event) error) error {
	if data == "" {
		return nil
	}
	if kind == "error" {
		var shape struct {
			Error struct{ Code, Message string } `json:"error"`
		}
		if err := json.Unmarshal([]byte(data), &shape); err != nil {
			return fmt.Errorf("read the end of the stream: %w", err)
		}
		f := &Failure{Status: http.StatusInternalServerError, Code: shape.Error.Code, Message: shape.Error.Message}
		if f.Code == "UNAVAILABLE" {
			f.Status = http.StatusServiceUnavailable
		}
		return f
	}
	ev := &Event{Raw: json.RawMessage(data)}
	if err := json.Unmarshal(ev.Raw, ev); err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	return each(ev)
}
