package invoke

import (
	"context"
	"net/http"
	"strings"

	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/odgm/call"
)

// stateless hands the caller's request to a function that has no object, and its answer back.
func (r *running) stateless(ctx context.Context) (call.Answer, error) {
	got, err := retry(ctx, r, r.handOn)
	if err != nil {
		return call.Answer{}, err
	}
	answer := call.Answer{Payload: got.body, ContentType: got.contentType(), Status: got.status, Header: withoutHops(got.header)}
	reply := &function.Reply{Payload: answer.Payload, ContentType: answer.ContentType}
	if r.shard != nil && r.worthCommit(reply, "") {
		if _, err := r.shard.Do(ctx, r.writeCommand(ctx, reply, "", 0)); err != nil {
			return call.Answer{}, err
		}
	}
	return answer, nil
}

func (r *running) handOn(ctx context.Context, attempt int) (*answered, error) {
	p, err := r.peers.of(r.call.Ref.Class, r.method.Function, r.method.URL)
	if err != nil {
		return nil, err
	}
	got, err := r.limited(ctx, func(ctx context.Context) (*answered, error) {
		return r.post(ctx, p.url, r.statelessHeader(ctx, attempt), r.call.Payload)
	})
	if err == nil && got.failed() {
		return nil, r.functionError(got)
	}
	return got, err
}

// statelessHeader gives the headers of the caller's request, with those that the platform adds. A call that came without one is a CloudEvent.
func (r *running) statelessHeader(ctx context.Context, attempt int) http.Header {
	c := &r.call
	own := make(http.Header, callHeaders)
	meta := r.meta(ctx, attempt)
	function.SetHeaders(own, function.JSON, &function.Call{Class: c.Ref.Class, Partition: c.Ref.Partition, Method: c.Method}, &meta)
	var header http.Header
	if c.Request == nil {
		header = own
		header.Del("Accept")
		if accept := c.Options["accept"]; accept != "" {
			header.Set("Accept", accept)
		}
	} else {
		header = withoutHops(c.Request.Header)
		for _, name := range []string{
			function.HeaderTraceparent, function.HeaderTracestate, function.HeaderChain, function.HeaderDeadline, function.HeaderAttempt, function.HeaderDepth,
		} {
			header.Del(name) // the caller's must not pass for ours
			if value := own.Get(name); value != "" {
				header.Set(name, value)
			}
		}
	}
	switch {
	case c.ContentType != "":
		header.Set("Content-Type", c.ContentType)
	case c.Request == nil:
		header.Del("Content-Type") // that of a call, which this is not
	}
	header.Set(function.HeaderClass, c.Ref.Class)
	header.Set(function.HeaderMethod, c.Method)
	return header
}

// hops are the headers that mean one connection only.
var hops = []string{
	"Connection", "Content-Length", "Expect", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

// withoutHops gives a copy of the headers that may be handed on. The length is that of the body that is sent.
func withoutHops(h http.Header) http.Header {
	out := h.Clone()
	if out == nil {
		return http.Header{}
	}
	for _, line := range h.Values("Connection") {
		for name := range strings.SplitSeq(line, ",") {
			out.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hops {
		out.Del(name)
	}
	return out
}
