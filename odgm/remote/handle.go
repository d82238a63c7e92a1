package remote

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/remote/message"
)

// answer answers a query. What may wait runs on a goroutine of its own.
func (s *Server) answer(q *zenoh.Query) {
	req := &message.Request{}
	if err := proto.Unmarshal(q.Payload(), req); err != nil {
		s.reply(q, &message.Response{Failure: failureOf(fault.Wrap(fault.DecodeError, err, "request to a grid"))})
		return
	}
	if !waits(req) {
		s.reply(q, s.handle(traced(s.ctx, req), req))
		return
	}
	if err := s.begin(); err != nil {
		s.reply(q, &message.Response{Failure: failureOf(err)})
		return
	}
	q.Hold()
	go func() { // Close waits for it
		defer s.running.Done()
		defer func() { <-s.room }()
		defer q.Drop()
		s.reply(q, s.run(req))
	}()
}

// begin has a request counted among those that run.
func (s *Server) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fault.New(fault.Unavailable, "the grid is stopping")
	}
	select {
	case s.room <- struct{}{}:
		s.running.Add(1)
		return nil
	default:
		return &fault.Error{
			Code: fault.Busy, Message: fmt.Sprintf("%d calls and writes run in this process, which is the limit", cap(s.room)), RetryAfter: time.Second,
		}
	}
}

// waits tells whether a request may have to wait for others, or for a function.
func waits(r *message.Request) bool {
	return r.Write != nil || r.Invoke != nil || r.Invocation != nil || r.Dispatch != nil || r.Replay != nil || r.Stats
}

// run handles a request that ends when its time is over, or when it is cancelled.
func (s *Server) run(req *message.Request) *message.Response {
	ctx, cancel := context.WithCancel(s.ctx)
	if req.GetTimeout() > 0 {
		ctx, cancel = context.WithTimeout(s.ctx, time.Duration(req.GetTimeout()))
	}
	defer cancel()
	if number := req.GetNumber(); number != 0 {
		if !s.requests.add(number, cancel) {
			cancel()
		}
		defer s.requests.remove(number)
	}
	return s.handle(traced(ctx, req), req)
}

// traced continues the trace of a request.
func traced(ctx context.Context, req *message.Request) context.Context {
	if req.GetTraceparent() == "" {
		return ctx
	}
	carrier := propagation.MapCarrier{"traceparent": req.GetTraceparent(), "tracestate": req.GetTracestate()}
	return propagation.TraceContext{}.Extract(ctx, carrier)
}

func (s *Server) reply(q *zenoh.Query, res *message.Response) {
	payload, err := proto.Marshal(res)
	if err == nil {
		err = q.Reply(s.ctx, q.KeyExpr(), payload, nil)
	}
	if err != nil {
		s.log.Debug("reply", "key", q.KeyExpr().String(), "error", err) // who asked is gone
	}
}

// handle has the grid do what a request asks for. A panic is one answer and one log record.
func (s *Server) handle(ctx context.Context, req *message.Request) (res *message.Response) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in a request to the grid", "panic", p, "stack", string(debug.Stack()))
			res = &message.Response{Failure: failureOf(fault.New(fault.Internal, "internal error"))}
		}
	}()
	res = &message.Response{}
	if err := s.do(ctx, req, res); err != nil {
		res.Failure = failureOf(err) // beside what the grid gives with it
	}
	return res
}

func (s *Server) do(ctx context.Context, req *message.Request, res *message.Response) (err error) {
	t := odgm.Target{Class: req.GetClass(), Partition: int(req.GetPartition()), ID: req.GetObject()}
	switch {
	case req.Get != nil:
		obj, _, err := s.grid.Get(ctx, t, selector(req.Get))
		res.Object = &message.Object{Meta: metaOf(&obj.Meta), Triggers: obj.Triggers, Entries: entriesOf(obj.State)}
		return err
	case req.Entry != nil:
		e, m, err := s.grid.Entry(ctx, t, req.GetEntry())
		res.Object = &message.Object{Meta: metaOf(&m), Entries: entriesOf([]object.Entry{e})}
		return err
	case req.Write != nil:
		return s.write(ctx, t, req.Write, res)
	case req.ListObjects != nil:
		metas, next, err := s.grid.ListObjects(ctx, t.Class, t.Partition, page(req.ListObjects))
		res.Objects = &message.Objects{Next: next}
		for i := range metas {
			res.Objects.Metas = append(res.Objects.Metas, metaOf(&metas[i]))
		}
		return err
	case req.ListEntries != nil:
		list, m, next, err := s.grid.ListEntries(ctx, t, page(req.ListEntries))
		res.Object = &message.Object{Meta: metaOf(&m), Entries: entriesOf(list), Next: next}
		return err
	case req.Invoke != nil:
		return s.invoke(ctx, t, req.Invoke, res)
	case req.Invocation != nil:
		i := req.Invocation
		if i.GetCancel() {
			res.Invocation, err = s.grid.Cancel(ctx, t.Class, t.Partition, i.GetId())
		} else {
			res.Invocation, err = s.grid.Invocation(ctx, t.Class, t.Partition, i.GetId(), i.GetWait())
		}
		return err
	default:
		return s.doMore(ctx, t, req, res)
	}
}

// doMore does what is asked for less often.
func (s *Server) doMore(ctx context.Context, t odgm.Target, req *message.Request, res *message.Response) (err error) {
	switch {
	case req.Dispatch != nil:
		return s.dispatch(ctx, req.Dispatch, res)
	case req.DeadLetters != nil:
		res.Letters, err = s.grid.DeadLetters(ctx, t.Class, t.Partition, req.DeadLetters.GetAfter(), int(req.DeadLetters.GetLimit()))
		return err
	case req.Replay != nil:
		r := req.Replay
		n, err := s.grid.Replay(ctx, t.Class, t.Partition, r.GetSeqs(), r.GetAll(), r.GetDrop())
		res.Replayed = int64(n)
		return err
	case req.ReadLog != nil:
		return s.readLog(ctx, t, req.ReadLog, res)
	case req.Watch:
		res.Spans, err = s.watch(t.Class)
		return err
	case req.Classes:
		res.Classes = &message.Classes{}
		for _, spec := range s.specs() {
			res.Classes.Classes = append(res.Classes.Classes, classOf(spec))
		}
		return nil
	case req.Stats:
		stats, err := s.grid.Stats(ctx)
		for _, p := range stats {
			res.Shards = append(res.Shards, &message.Shard{
				Class: p.Class, Partition: p.Partition, Objects: p.Objects, Outbox: p.Outbox, DeadLetters: p.DeadLetters, Bytes: p.Bytes,
			})
		}
		return err
	}
	return fault.New(fault.InvalidArgument, "the request asks for nothing that this grid knows: is its client of a newer release?")
}

func (s *Server) write(ctx context.Context, t odgm.Target, w *message.Write, res *message.Response) error {
	chain, err := call.Parse(w.GetChain())
	if err != nil {
		return err
	}
	opt := odgm.WriteOptions{Chain: chain, Depth: w.GetDepth()}
	var done odgm.Written
	if w.GetDeleteObject() {
		done, err = s.grid.Delete(ctx, t, expect(w.GetExpect()), opt)
	} else {
		done, err = s.grid.Write(ctx, t, changeOf(w), opt)
	}
	res.Written = &message.Written{Version: done.Version, Created: done.Created, Existed: done.Existed, Deleted: int64(done.Deleted)}
	return err
}

func (s *Server) invoke(ctx context.Context, t odgm.Target, m *message.Invoke, res *message.Response) error {
	chain, err := call.Parse(m.GetChain())
	if err != nil {
		return err
	}
	c := call.Call{
		ID: m.GetId(), Method: m.GetMethod(), Payload: m.GetPayload(), ContentType: m.GetContentType(), Options: m.GetOptions(),
		IdempotencyKey: m.GetIdempotencyKey(), Chain: chain, Depth: m.GetDepth(),
	}
	if m.GetHttp() {
		c.Request = &http.Request{Header: header(m.GetHeader())}
	}
	if m.GetAsync() {
		res.Invocation, err = s.grid.InvokeAsync(ctx, c, t)
		return err
	}
	got, err := s.grid.Invoke(ctx, c, t)
	if err == nil {
		res.Answer = answerOf(&got)
	}
	return err
}

func (s *Server) dispatch(ctx context.Context, m *message.Dispatch, res *message.Response) error {
	ev, err := event(m)
	if err != nil {
		return err
	}
	done, err := s.grid.Dispatch(ctx, ev)
	res.Dispatched = &message.Dispatched{}
	for _, c := range done.Calls {
		res.Dispatched.Calls = append(res.Dispatched.Calls, &message.DispatchedCall{
			Class: c.Class, Object: c.Object, Method: c.Method, Failure: failureOf(c.Err),
		})
	}
	return err
}

func (s *Server) readLog(ctx context.Context, t odgm.Target, m *message.ReadLog, res *message.Response) error {
	log, err := s.grid.ChangeLog(t.Class, t.Partition)
	if err != nil {
		return err
	}
	commits, err := log.Changes(ctx, m.GetAfter(), int(m.GetLimit()))
	res.Changes = &message.Changes{}
	for i := range commits {
		res.Changes.Commits = append(res.Changes.Commits, commitOf(uint32(t.Partition), &commits[i]))
	}
	return err
}
