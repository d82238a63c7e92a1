package rpc

import (
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/message"
)

// Domain is that of the ErrorInfo in the details of a failure; its reason is the fault's code, and its metadata "detail" has the full text where
// the message is a fixed one of OaaS-RS.
const Domain = "oaas"

// toStatus gives what the client is told of a failure. What is a gRPC status already, as from a function that answered with one, is kept.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	fe := fault.From(err)
	if given, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); ok && (fe.Code == fault.FunctionError || fe.Code == fault.Internal) {
		return given.GRPCStatus().Err()
	}
	st := status.New(codes.Code(fe.GRPCStatus()), textOf(fe))
	if st.Code() == codes.OK { // a code of a newer release, from a stored failure
		st = status.New(codes.Internal, textOf(fe))
	}
	if detailed, err := st.WithDetails(details(err, fe)...); err == nil {
		st = detailed // else without: it fails only for messages that cannot be encoded
	}
	return st.Err()
}

// textOf gives the text of OaaS-RS where clients may know it.
func textOf(fe *fault.Error) string {
	switch fe.Code {
	case fault.NoObject:
		return "object not found"
	case fault.NoClass, fault.NoPartition:
		return "not found shard: " + fe.Message
	}
	return fe.Message
}

// details says what a program wants to know of a failure.
func details(err error, fe *fault.Error) []protoadapt.MessageV1 {
	info := &errdetails.ErrorInfo{Reason: string(fe.Code), Domain: Domain}
	if textOf(fe) != fe.Message {
		info.Metadata = map[string]string{"detail": fe.Message}
	}
	all := []protoadapt.MessageV1{info}
	if bad, ok := errors.AsType[*message.FieldError](err); ok {
		all = append(all, &errdetails.BadRequest{
			FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: bad.Field, Description: fe.Message, Reason: string(fe.Code)}},
		})
	}
	if delay := retryDelay(fe); delay > 0 {
		all = append(all, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	return all
}

func retryDelay(fe *fault.Error) time.Duration {
	if fe.RetryAfter > 0 {
		return fe.RetryAfter
	}
	if fe.Code == fault.Busy || fe.Code == fault.Unavailable {
		return time.Second
	}
	return 0
}
