package mesh

import (
	"context"
	"fmt"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh"
)

// Sample is one reply of a query that looks at the network.
type Sample struct {
	Key     string
	Payload []byte
}

// Query gives every reply to a key expression until limit of them are there (0 is no limit), or none came for quiet. Error replies are left out.
func (c *Client) Query(ctx context.Context, key string, limit int, quiet time.Duration, each func(Sample) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	replies, err := c.ask(ctx, key, "", nil)
	if err != nil {
		return err
	}
	return c.collect(ctx, replies, limit, quiet, each)
}

// Alive gives the key of each liveliness token that matches a key expression.
func (c *Client) Alive(ctx context.Context, key string, each func(key string) error) error {
	expr, err := zenoh.NewKeyExpr(key)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	replies, err := c.session.Liveliness().Get(ctx, expr, nil, nil)
	if err != nil {
		return c.failure(ctx, err)
	}
	return c.collect(ctx, replies, 0, forever, func(s Sample) error { return each(s.Key) })
}

func (c *Client) collect(ctx context.Context, replies <-chan zenoh.Reply, limit int, quiet time.Duration, each func(Sample) error) error {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for n := 0; limit <= 0 || n < limit; {
		select {
		case reply, open := <-replies:
			if !open {
				return nil
			}
			sample, ok := reply.Ok()
			if !ok {
				continue
			}
			n++
			timer.Reset(quiet)
			if err := each(Sample{sample.KeyExpr().String(), sample.Payload().Bytes()}); err != nil {
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
