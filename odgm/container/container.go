// Package container calls the function containers of OaaS-RS (contract 2): servers of the gRPC service oprc.OprcFunction that get and change state by
// data calls of their own.
//
// Guarantee: a call is sent once; it ends within its deadline; what the container answers reaches the caller with the right fault, its payload
// untouched; connections are shared by all calls to one address, and come back by themselves after a restart of the container.
//
// No state travels with such a call and none comes back. So the mailbox must not hold the object for its method: the container's own writes would
// wait for the call that makes them.
package container

import (
	"context"
	"errors"
	"math"
	"net"
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/call"
)

// Scheme is that of the URLs of function containers: grpc://host:port, with port 80 if there is none.
const Scheme = "grpc"

// Defaults of Config.
const (
	DefaultTimeout  = 300 * time.Second
	DefaultMaxReply = 16 << 20
)

// Config says how containers are called. The zero value has the defaults.
type Config struct {
	// Timeout is the time for a call whose context has no deadline.
	Timeout time.Duration
	// MaxReply bounds a container's answer in bytes.
	MaxReply int
}

// Pool has the connections to containers. Its methods may be called from many goroutines.
type Pool struct {
	cfg Config

	mu     sync.RWMutex
	conns  map[string]*grpc.ClientConn // by URL; nil when closed
	closed bool
}

// New makes a pool without connections.
func New(cfg Config) *Pool {
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.MaxReply <= 0 {
		cfg.MaxReply = DefaultMaxReply
	}
	return &Pool{cfg: cfg, conns: map[string]*grpc.ClientConn{}}
}

// Serves reports whether a function's URL is that of a container.
func Serves(address string) bool {
	const prefix = Scheme + "://"
	return len(address) > len(prefix) && address[:len(prefix)] == prefix
}

// Close cuts off the calls that run, and closes the connections.
func (p *Pool) Close() error {
	p.mu.Lock()
	conns := p.conns
	p.conns, p.closed = nil, true
	p.mu.Unlock()
	var errs []error
	for _, conn := range conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}

// Invoke calls the container at that URL: a method of the call's object, or a stateless function if the call has none. Errors are faults; those
// that the container answered with have its payload as their body, and wrap the gRPC status if it was one.
func (p *Pool) Invoke(ctx context.Context, address string, c *call.Call) (call.Answer, error) {
	conn, err := p.conn(address)
	if err != nil {
		return call.Answer{}, err
	}
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.cfg.Timeout)
		defer cancel()
	}
	client := oprc.NewOprcFunctionClient(conn)
	out := outgoing(ctx, c)
	var response *oprc.InvocationResponse
	if c.Ref.ID == "" {
		response, err = client.InvokeFn(out, &oprc.InvocationRequest{
			PartitionId: c.Ref.Partition, ClsId: c.Ref.Class, FnId: c.Method, Options: optionsOf(c), Payload: c.Payload,
		})
	} else {
		response, err = client.InvokeObj(out, &oprc.ObjectInvocationRequest{
			PartitionId: c.Ref.Partition, ClsId: c.Ref.Class, FnId: c.Method, Options: optionsOf(c), Payload: c.Payload,
			ObjectId: &c.Ref.ID, NumericObjectId: oprc.NumericID(c.Ref.ID),
		})
	}
	if err != nil {
		return call.Answer{}, failure(ctx, address, c, err)
	}
	return answer(address, c, response)
}

// conn gives the connection to an address, which is made when the first call needs it.
func (p *Pool) conn(address string) (*grpc.ClientConn, error) {
	p.mu.RLock()
	conn := p.conns[address]
	p.mu.RUnlock()
	if conn != nil {
		return conn, nil
	}
	host, err := hostOf(address)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fault.New(fault.Unavailable, "the platform is stopping")
	}
	if conn = p.conns[address]; conn != nil {
		return conn, nil
	}
	conn, err = grpc.NewClient("dns:///"+host, p.options()...)
	if err != nil {
		return nil, fault.Wrap(fault.FunctionUnavailable, err, "function container %s", address)
	}
	p.conns[address] = conn
	return conn, nil
}

func (p *Pool) options() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(), // containers are neighbours, and never behind a web proxy
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
		grpc.WithDisableServiceConfig(), // nobody but us says how often a call is sent
		grpc.WithDisableRetry(),
		// A container that has come back is found soon.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(p.cfg.MaxReply), grpc.MaxCallSendMsgSize(math.MaxInt32)),
	}
}

// hostOf gives host:port of a container's URL.
func hostOf(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != Scheme || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
		return "", fault.New(fault.FunctionUnavailable, "function container has no usable URL: %q is not like grpc://host:port", address)
	}
	if u.Port() == "" {
		return net.JoinHostPort(u.Hostname(), "80"), nil
	}
	return u.Host, nil
}
