package topology

import (
	"context"
	"fmt"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh"
)

// AdminSpace is what routers are asked for; those answer whose admin space is on.
const AdminSpace = "@/**"

// The bounds of Read, which are those of OaaS-RS.
const (
	MaxSamples = 2000
	Quiet      = 1200 * time.Millisecond
)

// timeout ends a query whose replies never cease to drip.
const timeout = 10 * time.Second

// Read asks all routers that the session reaches. It ends with the final reply, after MaxSamples, when none came for Quiet, or with ctx; who has
// not answered by then is not in the picture.
func Read(ctx context.Context, s *zenoh.Session) (*Picture, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	o := &zenoh.GetOptions{Target: zenoh.QueryTargetAll, Consolidation: zenoh.ConsolidationNone, Timeout: timeout}
	replies, err := s.Get(ctx, zenoh.MustKeyExpr(AdminSpace), "", nil, o)
	if err != nil {
		return nil, fmt.Errorf("read the admin space: %w", err)
	}
	var b Builder
	err = Collect(ctx, replies, MaxSamples, Quiet, func(sample zenoh.Sample) error {
		b.Add(sample.KeyExpr().String(), sample.Payload().Bytes())
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the admin space: %w", err)
	}
	return b.Picture(), nil
}

// Collect gives each sample until limit of them are there (0 is no limit), none came for quiet, or no more will come. Error replies are left out.
// The caller ends the context of the query afterwards.
func Collect(ctx context.Context, replies <-chan zenoh.Reply, limit int, quiet time.Duration, each func(zenoh.Sample) error) error {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for n := 0; limit <= 0 || n < limit; {
		select {
		case reply, open := <-replies:
			if !open {
				return context.Cause(ctx)
			}
			sample, ok := reply.Ok()
			if !ok {
				continue
			}
			n++
			timer.Reset(quiet)
			if err := each(sample); err != nil {
				return err
			}
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
