package router

import "context"

type admin struct{}

func (r *Router) startAdmin(ctx context.Context) {}
