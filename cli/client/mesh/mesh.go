// Package mesh reaches the data plane over Zenoh, with the keys and payloads of OaaS-RS, and the calls and errors of package client.
//
// Guarantee: it needs nothing of the other side that OaaS-RS's object data grid does not have, and sends what its clients send. An error reply is
// a *client.Failure, an endpoint that cannot be connected to a *client.Unreachable, and every call ends with its context. Keys are only made of ids,
// classes and names that cannot mean another key.
package mesh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/broker/keys"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/cli/client"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// Times.
const (
	// forever is for gets whose end is that of their context.
	forever = 24 * time.Hour
	// closeTime bounds how long closing waits for what was published to be written.
	closeTime = 5 * time.Second
)

// Client is a Zenoh session. It is safe for use by many goroutines.
type Client struct {
	session   *zenoh.Session
	endpoints string
}

// Open connects to one of the endpoints, such as tcp/127.0.0.1:7447, or as a peer to all of them. A URL http://HOST:PORT, as OaaS-RS's command
// line writes it into its configuration, means tcp/HOST:PORT.
func Open(ctx context.Context, endpoints []string, peer bool) (*Client, error) {
	config := zenoh.NewConfigDefault()
	config.Mode, config.Logger = zenoh.Client, slog.New(slog.DiscardHandler)
	config.Scouting.Multicast.Disabled = true
	if peer {
		config.Mode = zenoh.Peer
	}
	for _, e := range endpoints {
		if rest, is := strings.CutPrefix(e, "http://"); is {
			e = "tcp/" + strings.TrimSuffix(rest, "/")
		}
		config.Connect.Endpoints = append(config.Connect.Endpoints, e)
	}
	names := strings.Join(config.Connect.Endpoints, ",")
	session, err := zenoh.Open(ctx, config)
	switch {
	case err == nil:
		return &Client{session, names}, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, zenoh.ErrInvalidConfig):
		return nil, fmt.Errorf("%s: %w", names, err)
	}
	return nil, &client.Unreachable{URL: names, Cause: err}
}

// URL gives the endpoints.
func (c *Client) URL() string { return c.endpoints }

// Close ends the session after what was published is written.
func (c *Client) Close() {
	ctx, stop := context.WithTimeout(context.Background(), closeTime)
	defer stop()
	c.session.Close(ctx) //nolint:errcheck // nothing else can be done about it
}

// at is a place in the key space.
type at struct {
	ref       client.Ref
	partition uint32
	keys.Key  // of the partition
}

// place checks the parts of keys.
func place(r client.Ref) (at, error) {
	p, err := strconv.ParseUint(r.Partition, 10, 32)
	if err != nil {
		return at{}, fmt.Errorf("%q is no partition: over Zenoh nobody finds it by the object's id; name its number", r.Partition)
	}
	if err := keys.Check("class", r.Class); err != nil {
		return at{}, err
	}
	if r.ID != "" {
		if r.ID, err = object.NormalizeID(r.ID); err != nil {
			return at{}, err
		}
	}
	return at{r, uint32(p), keys.Of(r.Class, uint32(p))}, nil
}

// noReply is the error for a query that nobody answers.
func noReply(key string) error {
	return &client.Failure{
		Status: http.StatusServiceUnavailable, Code: string(fault.Unavailable), Message: fmt.Sprintf("nobody answers for %s", key),
	}
}

// get asks, and gives the first answer; the session ends the query behind it.
func (c *Client) get(ctx context.Context, k keys.Key, payload proto.Message, answer proto.Message) error {
	return c.getSelector(ctx, k.String(), "", payload, answer)
}

// getSelector is get with parameters.
func (c *Client) getSelector(ctx context.Context, key string, parameters zenoh.Parameters, payload proto.Message, answer proto.Message) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	replies, err := c.ask(ctx, key, parameters, payload)
	if err != nil {
		return err
	}
	reply, open := <-replies
	if !open {
		return noReply(key)
	}
	data, err := c.read(ctx, key, reply)
	if err != nil || answer == nil {
		return err
	}
	if err := proto.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("read the answer for %s: %w", key, err)
	}
	return nil
}

// ask sends a query as the clients of OaaS-RS do.
func (c *Client) ask(ctx context.Context, key string, parameters zenoh.Parameters, payload proto.Message) (<-chan zenoh.Reply, error) {
	expr, err := zenoh.NewKeyExpr(key)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	o := &zenoh.GetOptions{Consolidation: zenoh.ConsolidationNone, Timeout: forever}
	if payload != nil {
		if o.Payload, err = proto.Marshal(payload); err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		if o.Payload == nil {
			o.Payload = zenoh.ZBytes{}
		}
	}
	replies, err := c.session.Get(ctx, expr, parameters, nil, o)
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	return replies, nil
}

// read gives the payload of a reply, or its error.
func (c *Client) read(ctx context.Context, key string, reply zenoh.Reply) ([]byte, error) {
	if err := reply.Err(); err != nil {
		return nil, c.replyError(ctx, key, err)
	}
	return reply.Sample().Payload().Bytes(), nil
}

// said are the words of error replies that mean one of the platform's codes.
var said = []struct {
	text   string
	code   fault.Code
	status int
}{
	{"object not found", fault.NoObject, http.StatusNotFound}, {"entry not found", fault.NoEntry, http.StatusNotFound},
	{"invalid object id", fault.InvalidObjectID, http.StatusBadRequest}, {"version mismatch", fault.VersionMismatch, http.StatusConflict},
	{"invalid", fault.InvalidArgument, http.StatusBadRequest}, {"failed to decode", fault.DecodeError, http.StatusBadRequest},
	{"not leader", fault.Unavailable, http.StatusServiceUnavailable},
}

// replyError tells an answer that says no from a query that did not end well.
func (c *Client) replyError(ctx context.Context, key string, err error) error {
	reply, ok := errors.AsType[*zenoh.ReplyError](err)
	if !ok || reply.Unwrap() != nil {
		return c.failure(ctx, err)
	}
	f := &client.Failure{Status: http.StatusBadGateway, Message: reply.Payload().String(), Cause: err}
	if code := fault.Code(reply.Encoding().Schema()); code != "" { // our data grids tell it, those of OaaS-RS do not
		f.Code, f.Status = string(code), fault.New(code, "").HTTPStatus()
		return f
	}
	for _, s := range said {
		if strings.HasPrefix(strings.ToLower(f.Message), s.text) {
			f.Code, f.Status = string(s.code), s.status
			break
		}
	}
	if f.Message == "" {
		f.Message = "an error without words came back for " + key
	}
	return f
}

func (c *Client) failure(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, zenoh.ErrNotConnected), errors.Is(err, zenoh.ErrSessionLost):
		return &client.Unreachable{URL: c.endpoints, Cause: err}
	}
	return fmt.Errorf("over Zenoh at %s: %w", c.endpoints, err)
}
