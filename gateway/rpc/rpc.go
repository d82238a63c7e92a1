// Package rpc is the platform's gRPC entrance: oprc.DataService and oprc.OprcFunction of OaaS-RS, health and reflection.
//
// Guarantee: every call gets exactly one status, within its deadline; a failure has a stable reason in its details, and changes nothing; messages
// and calls in flight are bounded; a panic in a handler is one INTERNAL and one log record. Messages of both generations are understood (see
// api/oprc), and answered in kind.
//
// The package holds no state of its own: it translates, and the Grid does the work.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// Grid is what the services ask of the object data grid. Errors are faults.
type Grid interface {
	Get(ctx context.Context, t odgm.Target, sel object.Selector) (object.Object, object.Ref, error)
	Entry(ctx context.Context, t odgm.Target, key string) (object.Entry, object.Meta, error)
	Write(ctx context.Context, t odgm.Target, change object.Change, opt odgm.WriteOptions) (odgm.Written, error)
	Delete(ctx context.Context, t odgm.Target, expect object.Expect, opt odgm.WriteOptions) (odgm.Written, error)
	ListObjects(ctx context.Context, class string, partition int, page object.Page) ([]object.Meta, []byte, error)
	ListEntries(ctx context.Context, t odgm.Target, page object.Page) ([]object.Entry, object.Meta, []byte, error)
	Stats(ctx context.Context) ([]odgm.ShardStats, error)
	Invoke(ctx context.Context, c call.Call, t odgm.Target) (call.Answer, error)
	// Ready gives nil while the grid serves.
	Ready() error
}

var _ Grid = (*odgm.Grid)(nil)

// Config says what a server bounds. The zero value has the defaults.
type Config struct {
	// MaxMessageBytes bounds the messages of clients; 0 means 4 MiB, as in OaaS-RS. Answers are not bounded.
	MaxMessageBytes int
	// MaxHeaderBytes bounds the metadata of a call where the server has its own connections; 0 means 64 KiB.
	MaxHeaderBytes uint32
	// MaxInFlight bounds the calls that are answered at the same time; the next gets RESOURCE_EXHAUSTED. 0 means 4096.
	MaxInFlight int
	// Timeout is the time for a call whose client sets none; 0 means 5 minutes.
	Timeout time.Duration
	// Stopping, if given, is closed when the server is about to stop: health then says NOT_SERVING.
	Stopping <-chan struct{}

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Defaults of Config.
const (
	DefaultMaxMessageBytes = 4 << 20
	DefaultMaxHeaderBytes  = 64 << 10
	DefaultMaxInFlight     = 4096
	DefaultTimeout         = 5 * time.Minute
)

// NewServer makes a server with all services of the package. It answers on listeners of its own (Serve), or on those of an HTTP server: see
// Handler. It fails for a configuration that is not valid, and if the registerer has such metrics already.
func NewServer(grid Grid, cfg Config) (*grpc.Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("gRPC server: %w", err)
	}
	g, err := newGuard(&cfg)
	if err != nil {
		return nil, fmt.Errorf("gRPC server: %w", err)
	}
	s := grpc.NewServer(
		grpc.MaxRecvMsgSize(cfg.MaxMessageBytes),
		grpc.MaxHeaderListSize(cfg.MaxHeaderBytes),
		grpc.MaxConcurrentStreams(uint32(min(int64(cfg.MaxInFlight), math.MaxUint32))), // counts calls whose message has not come yet, too
		grpc.ChainUnaryInterceptor(g.unary),
		grpc.ChainStreamInterceptor(g.stream),
		grpc.InTapHandle(g.tap),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
	)
	oprc.RegisterDataServiceServer(s, &data{grid: grid})
	oprc.RegisterOprcFunctionServer(s, &function{grid: grid})
	healthpb.RegisterHealthServer(s, &health{grid: grid, stopping: cfg.Stopping})
	reflection.Register(s) // v1 and v1alpha
	return s, nil
}

// complete fills in the defaults and checks the rest.
func (c *Config) complete() error {
	if c.MaxMessageBytes == 0 {
		c.MaxMessageBytes = DefaultMaxMessageBytes
	}
	if c.MaxHeaderBytes == 0 {
		c.MaxHeaderBytes = DefaultMaxHeaderBytes
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = DefaultMaxInFlight
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	var errs []error
	if c.MaxMessageBytes < 0 {
		errs = append(errs, fmt.Errorf("max message of %d bytes: must be positive", c.MaxMessageBytes))
	}
	if c.MaxInFlight < 0 {
		errs = append(errs, fmt.Errorf("max calls in flight %d: must be positive", c.MaxInFlight))
	}
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("timeout %s: must be positive", c.Timeout))
	}
	return errors.Join(errs...)
}
