package rpc

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/message"
)

// first gives the value of a metadata key, or "".
func first(md metadata.MD, key string) string {
	if values := md[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// headerOf gives what came beside a request.
func headerOf(ctx context.Context) message.Header {
	md, _ := metadata.FromIncomingContext(ctx)
	return func(name string) string { return first(md, name) }
}

// onBehalf says on whose behalf the call writes.
func onBehalf(ctx context.Context) (odgm.WriteOptions, error) {
	return message.WriteOptions(headerOf(ctx))
}
