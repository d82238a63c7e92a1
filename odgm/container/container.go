// Package container is the exchange with function containers of OaaS-RS (contract 2): servers of the gRPC service oprc.OprcFunction that get and
// change state by data calls of their own.
//
// Guarantee: [Encode] and [Decode] know everything of the exchange and nothing of connections: a call is one HTTP/2 request, which goes wherever a
// method's http.RoundTripper sends it, so that containers scale, queue and start as all functions do. What a container answers reaches the caller with
// the right fault, its payload untouched.
//
// No state travels with such a call and none comes back. So the mailbox must not hold the object for its method: the container's own writes would
// wait for the call that makes them. See DESIGN.md.
package container

import (
	"context"
	"encoding/binary"
	"maps"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/call"
)

// DefaultTimeout is the time for a method that does not say.
const DefaultTimeout = 300 * time.Second

// Prefix is what stands before a message: a byte that says whether it is compressed, and the length.
const Prefix = 5

// Encode gives the request for a call: a method of the call's object, or a stateless function if it has none. Ctx gives deadline and trace.
func Encode(ctx context.Context, c *call.Call) (path string, header http.Header, body []byte, err error) {
	trace := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, trace)
	var message proto.Message
	if c.Ref.ID == "" {
		path = oprc.OprcFunction_InvokeFn_FullMethodName
		message = &oprc.InvocationRequest{
			PartitionId: c.Ref.Partition, ClsId: c.Ref.Class, FnId: c.Method, Options: optionsOf(c, trace), Payload: c.Payload,
		}
	} else {
		path = oprc.OprcFunction_InvokeObj_FullMethodName
		message = &oprc.ObjectInvocationRequest{
			PartitionId: c.Ref.Partition, ClsId: c.Ref.Class, FnId: c.Method, Options: optionsOf(c, trace), Payload: c.Payload,
			ObjectId: &c.Ref.ID, NumericObjectId: oprc.NumericID(c.Ref.ID),
		}
	}
	size := proto.Size(message)
	body, err = proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(make([]byte, Prefix, Prefix+size), message)
	if err != nil {
		return "", nil, nil, fault.Wrap(fault.InvalidArgument, err, "method %s: the call cannot be told to a function container", c.Method)
	}
	binary.BigEndian.PutUint32(body[1:], uint32(len(body)-Prefix))
	return path, headerOf(ctx, c, trace), body, nil
}

// headerOf gives the headers that gRPC wants, the trace, and what a container hands on with calls that it makes itself.
func headerOf(ctx context.Context, c *call.Call, trace propagation.MapCarrier) http.Header {
	h := make(http.Header, 10)
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{value}
		}
	}
	set("Content-Type", "application/grpc")
	set("Te", "trailers")
	set("User-Agent", "oaas")
	if deadline, ok := ctx.Deadline(); ok {
		set("Grpc-Timeout", timeoutText(time.Until(deadline)))
	}
	set("Traceparent", trace["traceparent"])
	set("Tracestate", trace["tracestate"])
	set("Oaas-Chain", c.Chain.String())
	if c.Depth > 0 {
		set("Oaas-Depth", strconv.FormatUint(uint64(c.Depth), 10))
	}
	set("Idempotency-Key", c.IdempotencyKey)
	return h
}

// timeoutText gives a time as gRPC writes it: at most eight digits and a unit.
func timeoutText(d time.Duration) string {
	const most = 99_999_999
	if ms := max((d+time.Millisecond-1)/time.Millisecond, 1); ms <= most { // rounded up: who asks gives up first
		return strconv.FormatInt(int64(ms), 10) + "m"
	}
	return strconv.FormatInt(min(int64(d/time.Second), most), 10) + "S"
}

// Options that the platform adds to those of the call.
const (
	optionContentType = "content-type"
	optionTraceparent = "traceparent"
)

// optionsOf gives the options of the request: those of the call, the type of the payload, and the trace, where the SDKs look for it.
func optionsOf(c *call.Call, trace propagation.MapCarrier) map[string]string {
	options := make(map[string]string, len(c.Options)+2)
	if c.ContentType != "" {
		options[optionContentType] = c.ContentType
	}
	maps.Copy(options, c.Options)
	if parent := trace["traceparent"]; parent != "" {
		options[optionTraceparent] = parent
	}
	return options
}
