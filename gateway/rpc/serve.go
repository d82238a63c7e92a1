package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
)

// Serve serves gRPC and HTTP on one listener. ServeHTTP is what the HTTP server does with its share; Handler finds the gRPC calls in it. When it
// has returned, and its requests with it, gRPC calls have the drain time to finish, and are cut off then.
func Serve(l net.Listener, s *grpc.Server, serveHTTP func(net.Listener) error, drain time.Duration) error {
	split := NewSplit(l)
	served := make(chan error, 1)
	go func() { served <- s.Serve(split.GRPC()) }()
	errs := []error{serveHTTP(split.HTTP())}
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	errs = append(errs, Stop(ctx, s), split.Close())
	if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, grpc.ErrServerStopped) {
		errs = append(errs, fmt.Errorf("serve gRPC on %s: %w", l.Addr(), err))
	}
	return errors.Join(errs...)
}

// Stop ends a server: calls that have begun finish until ctx ends, and are cut off then.
func Stop(ctx context.Context, s *grpc.Server) error {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		s.GracefulStop()
	}()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
	}
	s.Stop()
	<-drained
	return fmt.Errorf("drain: gRPC calls cut off: %w", context.Cause(ctx))
}
