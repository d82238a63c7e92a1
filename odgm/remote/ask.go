package remote

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/odgm/remote/message"
)

const (
	// noDeadline is how long a request whose context has no deadline may take.
	noDeadline = time.Hour
	// lateness is how long after the end of a context the grid's own words for it are waited for.
	lateness = 250 * time.Millisecond
	// retryAfter is what callers are told who find nobody.
	retryAfter = time.Second
)

func unavailable(format string, args ...any) error {
	return &fault.Error{Code: fault.Unavailable, Message: fmt.Sprintf(format, args...), RetryAfter: retryAfter}
}

// ask sends a request about a class to the grid that serves it, and gives what it answered.
func (c *Client) ask(ctx context.Context, s *served, partition uint32, req *message.Request) (*message.Response, error) {
	req.Class = s.spec.Name
	if s.node == "" {
		return nil, unavailable("class %s is served by nobody now: the connection to its grid was lost", s.spec.Name)
	}
	key, err := s.key(partition)
	if err != nil {
		return nil, err
	}
	res, err := c.query(ctx, key, s.node, req)
	if lost, ok := errors.AsType[*lostError](err); ok {
		return nil, unavailable("class %s: %s", s.spec.Name, lost.why)
	}
	return res, err
}

// lostError is for a request that nobody has answered.
type lostError struct{ why string }

func (e *lostError) Error() string { return e.why }

// key gives the key of a partition. One that is not there is asked of the first, which has the words for it.
func (s *served) key(partition uint32) (zenoh.KeyExpr, error) {
	if int(partition) >= len(s.keys) {
		partition = 0
	}
	if key := s.keys[partition].Load(); key != nil {
		return *key, nil
	}
	key, err := partitionKey(s.spec.Name, partition)
	if err == nil {
		s.keys[partition].Store(&key)
	}
	return key, err
}

// query sends a request, to be cancelled at a node unless that is "".
func (c *Client) query(ctx context.Context, key zenoh.KeyExpr, node string, req *message.Request) (*message.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.From(err)
	}
	if len(c.session.Transports()) == 0 {
		return nil, &lostError{"no connection to the Zenoh network"}
	}
	timeout := noDeadline
	if at, limited := ctx.Deadline(); limited {
		timeout = max(time.Until(at), time.Millisecond)
		req.Timeout = int64(timeout)
	}
	cancels := node != "" && waits(req)
	if cancels {
		req.Number = c.number.Add(1)
	}
	setTrace(ctx, req)
	payload, err := proto.Marshal(req)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "encode request to the grid")
	}
	// The query's end is not that of ctx: a channel with room for all that can come may be left, and costs less than a context.
	replies, err := c.session.Get(context.Background(), key, "", zenoh.NewFifoChannel[zenoh.Reply](2), &zenoh.GetOptions{
		Payload: payload, Consolidation: zenoh.ConsolidationNone, Timeout: timeout + lateness,
	})
	if err != nil {
		return nil, outcome(err)
	}
	if !cancels {
		r, replied := <-replies
		return response(r, replied)
	}
	return c.await(ctx, replies, node, req.Number)
}

// await waits for the reply to a request that may take long. The grid is told when nobody waits for it any more.
func (c *Client) await(ctx context.Context, replies <-chan zenoh.Reply, node string, number uint64) (*message.Response, error) {
	select {
	case r, replied := <-replies:
		return response(r, replied)
	case <-ctx.Done():
	case <-c.ctx.Done():
		return nil, fault.New(fault.Unavailable, "the platform is stopping")
	}
	late := errors.Is(ctx.Err(), context.DeadlineExceeded) // the grid's own deadline is the same
	if !late {
		c.cancel(node, number)
	}
	timer := time.NewTimer(lateness)
	defer timer.Stop()
	select {
	case r, replied := <-replies:
		return response(r, replied)
	case <-timer.C:
	}
	if late {
		c.cancel(node, number)
	}
	return nil, fault.From(ctx.Err())
}

// cancel tells a node that nobody waits for a request any more.
func (c *Client) cancel(node string, number uint64) {
	key, err := cancelKey(node)
	if err == nil {
		text := binary.BigEndian.AppendUint64(nil, number)
		err = c.session.Put(c.ctx, key, text, &zenoh.PutOptions{CongestionControl: zenoh.CongestionControlBlock})
	}
	if err != nil {
		c.log.Debug("cancel a request", "node", node, "error", err) // its deadline ends it
	}
}

// response gives what a reply says. No reply means that who was asked is gone.
func response(r zenoh.Reply, replied bool) (*message.Response, error) {
	if !replied {
		return nil, &lostError{"its grid has gone while it was asked; whether the request was done is not known"}
	}
	if err := r.Err(); err != nil {
		return nil, outcome(err)
	}
	res := &message.Response{}
	if err := proto.Unmarshal(r.Sample().Payload(), res); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "decode the grid's answer")
	}
	return res, faultOf(res.GetFailure())
}

// outcome says what an error of Zenoh means to the caller.
func outcome(err error) error {
	_, sent := errors.AsType[*zenoh.ReplyError](err)
	switch {
	case errors.Is(err, zenoh.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.DeadlineExceeded, "the grid has not answered in time")
	case errors.Is(err, zenoh.ErrSessionLost), errors.Is(err, zenoh.ErrNotConnected), errors.Is(err, zenoh.ErrSessionClosed):
		return &lostError{"the connection to its grid was lost; whether the request was done is not known"}
	case sent && !errors.Is(err, zenoh.ErrOverflow):
		return &fault.Error{Code: fault.Busy, Message: "the grid has not taken the request: " + err.Error(), RetryAfter: retryAfter}
	}
	return &lostError{err.Error()}
}

// setTrace has the grid continue the caller's trace.
func setTrace(ctx context.Context, req *message.Request) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	req.Traceparent, req.Tracestate = carrier["traceparent"], carrier["tracestate"]
}
