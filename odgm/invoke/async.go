package invoke

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

// AsyncShard is what asynchronous calls need of a shard.
type AsyncShard interface {
	Shard
	Invocation(ctx context.Context, id string) (*record.Invocation, error)
	PendingInvocations(ctx context.Context, after string, limit int) ([]*record.Invocation, error)
}

var _ AsyncShard = (*shard.Shard)(nil)

// Defaults of AsyncConfig.
const (
	DefaultWorkers = 16
	DefaultQueue   = 1024
)

// AsyncConfig is what the asynchronous calls of one shard are run with.
type AsyncConfig struct {
	Executor  *Executor
	Shard     AsyncShard
	Class     string
	Partition uint32
	// Method gives the binding of a method or stateless function; fault NoFunction when the class has none of that name.
	Method func(name string) (call.Method, error)
	// Admit, if set, is asked before each call is run, with the caller that was kept; an error ends the call as failed.
	Admit func(c *call.Call) error
	// Wait, if set, is asked before each call is run; it returns when calls may run, or with an error when ctx has ended.
	Wait func(ctx context.Context) error
	// Workers is the most calls that run at the same time; 0 means DefaultWorkers.
	Workers int
	// Queue is the most calls that are known in memory; the others wait on disk. 0 means DefaultQueue.
	Queue int
}

// Async keeps and runs the asynchronous calls of one shard. Those on the same object run one after the other, in the order in which they came as
// long as the queue in memory holds them.
type Async struct {
	cfg    AsyncConfig
	log    *slog.Logger
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	queue   queue
	workers int
	loading bool
	more    bool // there may be pending calls on disk that are not in the queue
	closed  bool
	running map[string]context.CancelCauseFunc // by invocation id
	awaited map[string][]chan struct{}         // by invocation id; closed when it has ended
}

// NewAsync begins to run what is pending. The caller ends it with Close.
func NewAsync(cfg AsyncConfig) *Async {
	if cfg.Workers <= 0 {
		cfg.Workers = DefaultWorkers
	}
	if cfg.Queue <= 0 {
		cfg.Queue = DefaultQueue
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &Async{
		cfg: cfg, log: cfg.Executor.cfg.Logger, ctx: ctx, cancel: cancel, more: true,
		running: map[string]context.CancelCauseFunc{}, awaited: map[string][]chan struct{}{},
	}
	a.queue.init(cfg.Queue)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.schedule()
	return a
}

// Close stops the running calls, which stay pending and run again when the shard is opened next, and waits until they have stopped.
func (a *Async) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.cancel()
	a.wg.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gauge(-a.queue.size())
	a.queue.init(0)
}

// Submit keeps the call on disk and has it run. Its id is c.Invocation if the caller gives one, else it is made of c.IdempotencyKey if there is
// one; submitting the same request with the same id again gives the invocation as it is, another request is refused.
func (a *Async) Submit(ctx context.Context, c call.Call) (*record.Invocation, error) {
	if _, err := a.cfg.Method(c.Method); err != nil {
		return nil, err
	}
	if err := a.alive(); err != nil {
		return nil, err
	}
	id, err := a.idFor(&c)
	if err != nil {
		return nil, err
	}
	inv := &record.Invocation{
		Id: id, Object: c.Ref.ID, Method: c.Method, Payload: c.Payload, ContentType: c.ContentType, Options: c.Options, Traceparent: traceparent(ctx),
		Depth: c.Depth, Caller: c.Caller, Fingerprint: Fingerprint(c.Method, c.ContentType, c.Payload), Created: a.cfg.Executor.cfg.Now().UnixNano(), State: record.InvocationState_INVOCATION_STATE_PENDING,
	}
	result, err := a.cfg.Shard.Do(ctx, &record.Command{Body: &record.Command_Submit{Submit: &record.Submit{Invocation: inv}}})
	if err != nil {
		return nil, err
	}
	if known := result.Invocation; result.Existed && known != nil {
		if err := sameRequest(known, inv); err != nil {
			return nil, err
		}
		inv = known
	}
	if inv.GetState() == record.InvocationState_INVOCATION_STATE_PENDING {
		a.mu.Lock()
		a.enqueue(a.itemOf(inv))
		a.schedule()
		a.mu.Unlock()
	}
	return inv, nil
}

// idFor gives the id of a new invocation. It begins with the partition, so that the shard is found by the id alone.
func (a *Async) idFor(c *call.Call) (string, error) {
	switch partition := strconv.FormatUint(uint64(a.cfg.Partition), 10); {
	case c.Invocation != "":
		return c.Invocation, CheckInvocationID(c.Invocation)
	case c.IdempotencyKey != "":
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", c.Ref.ID, c.Method, c.IdempotencyKey))
		return partition + ".key-" + hex.EncodeToString(sum[:16]), nil
	default:
		return partition + "." + a.cfg.Executor.cfg.NewID(), nil
	}
}

// MaxInvocationID is the most characters of an invocation id.
const MaxInvocationID = 128

// CheckInvocationID checks an id that a caller gives.
func CheckInvocationID(id string) error {
	ok := id != "" && len(id) <= MaxInvocationID
	for i := range len(id) {
		c := id[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == ':' || c == '-')
	}
	if !ok {
		return fault.New(fault.InvalidArgument, "invocation id %.140q: allowed are 1 to %d characters of A-Z a-z 0-9 . _ : -", id, MaxInvocationID)
	}
	return nil
}

// sameRequest refuses an id that is in use for another request.
func sameRequest(known, inv *record.Invocation) error {
	if known.GetObject() != inv.GetObject() || known.GetFingerprint() != inv.GetFingerprint() {
		return fault.New(fault.IdempotencyMismatch,
			"invocation %q was submitted before with another request; use a new id for a new request", known.GetId())
	}
	return nil
}

// Await returns the invocation when it has ended.
func (a *Async) Await(ctx context.Context, id string) (*record.Invocation, error) {
	ended := make(chan struct{})
	a.mu.Lock()
	a.awaited[id] = append(a.awaited[id], ended)
	a.mu.Unlock()
	defer a.forget(id, ended)
	// The look comes after the registration, so an end in between is not missed.
	inv, err := a.cfg.Shard.Invocation(ctx, id)
	if err != nil {
		return nil, err
	}
	if inv.GetState() != record.InvocationState_INVOCATION_STATE_PENDING {
		return inv, nil
	}
	select {
	case <-ended:
		return a.cfg.Shard.Invocation(ctx, id)
	case <-a.ctx.Done():
		return nil, a.alive()
	case <-ctx.Done():
		return nil, fault.Wrap(fault.CodeOf(ctx.Err()), context.Cause(ctx), "wait for the end of invocation %s", id)
	}
}

func (a *Async) forget(id string, ended chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var left []chan struct{}
	for _, ch := range a.awaited[id] {
		if ch != ended {
			left = append(left, ch)
		}
	}
	if len(left) == 0 {
		delete(a.awaited, id)
	} else {
		a.awaited[id] = left
	}
}

// Cancel ends a pending or running invocation without effect, and gives it as it is then. One that has ended before stays as it is.
func (a *Async) Cancel(ctx context.Context, id string) (*record.Invocation, error) {
	result, err := a.cfg.Shard.Do(ctx, &record.Command{Body: &record.Command_Cancel{Cancel: &record.Cancel{Invocation: id}}})
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if stop := a.running[id]; stop != nil {
		stop(fault.New(fault.Cancelled, "invocation %s was cancelled", id))
	}
	a.wake(id)
	return result.Invocation, nil
}

// wake tells those who await the end of an invocation. The lock is held.
func (a *Async) wake(id string) {
	for _, ch := range a.awaited[id] {
		close(ch)
	}
	delete(a.awaited, id)
}

// alive refuses work when the shard is being closed.
func (a *Async) alive() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return fault.New(fault.Unavailable, "shard %s/%d is stopping", a.cfg.Class, a.cfg.Partition)
	}
	return nil
}

// perform runs one invocation until it has ended, or until the shard is closed.
func (a *Async) perform(it item) {
	ctx, stop := context.WithCancelCause(a.ctx)
	defer stop(nil)
	a.mu.Lock()
	a.running[it.id] = stop
	a.mu.Unlock()
	for try := 2; !a.tryOnce(ctx, it.id); try++ {
		timer := time.NewTimer(a.cfg.Executor.cfg.Backoff(try))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		if a.ctx.Err() != nil {
			break
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.running, it.id)
	if a.ctx.Err() == nil {
		a.wake(it.id)
	}
}

// tryOnce gives true when there is nothing left to do for the invocation now: it has ended, or the shard is being closed.
func (a *Async) tryOnce(ctx context.Context, id string) bool {
	if a.cfg.Wait != nil && a.cfg.Wait(ctx) != nil {
		return true // cancelled, which is recorded; or to be run by the next process
	}
	inv, err := a.cfg.Shard.Invocation(context.WithoutCancel(ctx), id)
	if err != nil {
		if fault.CodeOf(err) != fault.NoInvocation {
			a.log.Warn("read invocation", "invocation", id, "err", err)
		}
		return true
	}
	if inv.GetState() != record.InvocationState_INVOCATION_STATE_PENDING {
		return true
	}
	c := call.Call{
		ID: id, Ref: object.Ref{Class: a.cfg.Class, Partition: a.cfg.Partition, ID: inv.GetObject()}, Method: inv.GetMethod(),
		Payload: inv.GetPayload(), ContentType: inv.GetContentType(), Options: inv.GetOptions(), Invocation: id,
		Depth: inv.GetDepth(), Caller: inv.GetCaller(),
	}
	ctx = withTraceparent(ctx, inv.GetTraceparent())
	m, err := a.cfg.Method(c.Method)
	if err == nil && a.cfg.Admit != nil {
		err = a.cfg.Admit(&c)
	}
	if err == nil {
		_, err = a.cfg.Executor.Invoke(ctx, a.cfg.Shard, m, c)
	}
	if err == nil || ctx.Err() != nil {
		return true // it is done; or cancelled, which is recorded; or to be run again by the next process
	}
	failure := fault.From(err)
	if failure.Code == fault.Busy || failure.Code == fault.Unavailable {
		return false
	}
	if _, err := a.cfg.Shard.Do(ctx, failedCommand(ctx, &c, failure)); err != nil && ctx.Err() == nil {
		a.log.Warn("the end of an invocation could not be recorded; it runs again after a restart",
			"invocation", id, "failure", failure.Message, "err", err)
	}
	return true
}
