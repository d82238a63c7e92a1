package router

import (
	"context"
	"fmt"

	"github.com/hpcclab/oaas-go/broker/zenoh/scouting"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// startScouting answers those who look for a router, until ctx ends.
func (r *Router) startScouting(ctx context.Context) error {
	config := *r.config.Scouting
	config.ZID = r.zid
	responder, err := scouting.Listen(ctx, config)
	if err != nil {
		return fmt.Errorf("scouting: %w", err)
	}
	r.running.Go(func() {
		if err := responder.Serve(ctx, r.hello); err != nil {
			r.log.Warn("scouting ended", "error", err)
		}
	})
	return nil
}

// hello says who the router is and where it can be reached.
func (r *Router) hello() wire.Hello {
	h := wire.Hello{WhatAmI: wire.Router, ZID: r.zid}
	for _, endpoint := range r.Locators() {
		reachable, err := transport.Locators(endpoint)
		if err != nil {
			r.log.Warn("locators", "endpoint", endpoint, "error", err)
		}
		h.Locators = append(h.Locators, reachable...)
	}
	return h
}
