package mesh

import (
	"context"
	"fmt"
	"time"

	"github.com/hpcclab/oaas-go/broker/topology"
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
	return collect(ctx, replies, limit, quiet, each)
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
	return collect(ctx, replies, 0, forever, func(s Sample) error { return each(s.Key) })
}

func collect(ctx context.Context, replies <-chan zenoh.Reply, limit int, quiet time.Duration, each func(Sample) error) error {
	return topology.Collect(ctx, replies, limit, quiet, func(s zenoh.Sample) error {
		return each(Sample{s.KeyExpr().String(), s.Payload().Bytes()})
	})
}
