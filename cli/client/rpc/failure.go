package rpc

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/cli/client"
)

// httpStatuses are what gRPC's codes are in the errors of package client.
var httpStatuses = map[codes.Code]int{
	codes.InvalidArgument: http.StatusBadRequest, codes.NotFound: http.StatusNotFound, codes.AlreadyExists: http.StatusConflict,
	codes.PermissionDenied: http.StatusForbidden, codes.ResourceExhausted: http.StatusTooManyRequests, codes.Aborted: http.StatusConflict,
	codes.FailedPrecondition: http.StatusConflict, codes.DeadlineExceeded: http.StatusGatewayTimeout, codes.Unavailable: http.StatusServiceUnavailable,
	codes.Unimplemented: http.StatusNotImplemented,
}

// failure gives an error of gRPC as package client has it.
func (c *Client) failure(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	st := status.Convert(err)
	f := &client.Failure{Status: http.StatusInternalServerError, Message: st.Message(), Cause: err}
	if s, known := httpStatuses[st.Code()]; known {
		f.Status = s
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == "oaas" {
			f.Code = info.GetReason()
			if detail := info.GetMetadata()["detail"]; detail != "" {
				f.Message = detail
			}
		}
	}
	switch {
	case f.Code == "" && st.Code() == codes.Unavailable:
		return &client.Unreachable{URL: c.url, Cause: errors.New(trimmed(st.Message()))}
	case f.Code == "" && st.Code() == codes.Unimplemented:
		f.Code, f.Message = string(codes.Unimplemented.String()), f.Message+" (is this a gRPC server of OaaS?)"
	case f.Code == "" && st.Code() == codes.NotFound && st.Message() == "object not found":
		f.Code = string(fault.NoObject)
	}
	return f
}
