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
	// One value at a time: most requests have none of those asked for, and all of them together would be copied.
	return func(name string) string {
		if values := metadata.ValueFromIncomingContext(ctx, name); len(values) > 0 {
			return values[0]
		}
		return ""
	}
}

// onBehalf says on whose behalf the call writes.
func onBehalf(ctx context.Context) (odgm.WriteOptions, error) {
	return message.WriteOptions(headerOf(ctx))
}
