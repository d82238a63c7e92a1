// Package fault is the one error type that crosses the platform's borders.
//
// Guarantee: every error that a caller of the platform can cause, or can do something about, is an [*Error] with a stable [Code];
// one table says which HTTP and gRPC status a code has, so that all endpoints answer alike.
package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Code names a kind of failure. The text is part of the public interface: it stands in the body of every error answer.
type Code string

// The codes, with the cases in which they are given.
const (
	InvalidArgument     Code = "INVALID_ARGUMENT"     // a field has a value that is not allowed
	InvalidObjectID     Code = "INVALID_OBJECT_ID"    // an object id breaks the rules of object.NormalizeID
	InvalidURL          Code = "INVALID_URL"          // a path segment does not parse
	DecodeError         Code = "DECODE_ERROR"         // a body is not what its content type says
	UnsupportedType     Code = "UNSUPPORTED_TYPE"     // a content type that the endpoint does not take
	TooLarge            Code = "TOO_LARGE"            // a body, header or value over a limit
	Forbidden           Code = "FORBIDDEN"            // the caller may not do this
	FunctionDisabled    Code = "FUNCTION_DISABLED"    // the deployment has switched the method off
	NoClass             Code = "NO_CLASS"             // no such class is deployed
	NoPartition         Code = "NO_PARTITION"         // the class has fewer partitions
	NoObject            Code = "NO_OBJECT"            // no such object
	NoEntry             Code = "NO_ENTRY"             // the object has no such entry
	NoFunction          Code = "NO_FUNCTION"          // the class has no such method
	NoInvocation        Code = "NO_INVOCATION"        // unknown or expired invocation id
	NoSubscription      Code = "NO_SUBSCRIPTION"      // no class subscribes to this type of event
	NotFound            Code = "NOT_FOUND"            // something else that is not there
	AlreadyExists       Code = "ALREADY_EXISTS"       // created before
	VersionMismatch     Code = "VERSION_MISMATCH"     // compare-and-swap found another version
	Conflict            Code = "CONFLICT"             // the change collides with another one; nothing was changed
	StaleCall           Code = "STALE_CALL"           // the call that this one claims to come from has ended
	IdempotencyMismatch Code = "IDEMPOTENCY_MISMATCH" // the key was used before with another request
	Busy                Code = "BUSY"                 // a bounded queue is full; see RetryAfter
	FunctionError       Code = "FUNCTION_ERROR"       // the function answered with a failure of its own; see Status
	BadReply            Code = "BAD_REPLY"            // the function's answer breaks the contract
	FunctionUnavailable Code = "FUNCTION_UNAVAILABLE" // the function cannot be reached or does not start
	DeadlineExceeded    Code = "DEADLINE_EXCEEDED"    // no result in time
	LoopDetected        Code = "LOOP_DETECTED"        // a call chain or trigger chain that cannot go on
	Cancelled           Code = "CANCELLED"            // the caller gave up, or an invocation was cancelled
	Unavailable         Code = "UNAVAILABLE"          // the platform cannot serve now (starting, stopping, no leader)
	Internal            Code = "INTERNAL"             // a fault of the platform itself
)

// GRPC status codes, as in google.golang.org/grpc/codes, so that this package needs no gRPC.
const (
	grpcCancelled          = 1
	grpcInvalidArgument    = 3
	grpcDeadlineExceeded   = 4
	grpcNotFound           = 5
	grpcAlreadyExists      = 6
	grpcPermissionDenied   = 7
	grpcResourceExhausted  = 8
	grpcFailedPrecondition = 9
	grpcAborted            = 10
	grpcInternal           = 13
	grpcUnavailable        = 14
)

// statuses is the table from codes to HTTP and gRPC status codes.
var statuses = map[Code]struct{ http, grpc int }{
	InvalidArgument:     {http.StatusBadRequest, grpcInvalidArgument},
	InvalidObjectID:     {http.StatusBadRequest, grpcInvalidArgument},
	InvalidURL:          {http.StatusBadRequest, grpcInvalidArgument},
	DecodeError:         {http.StatusBadRequest, grpcInvalidArgument},
	UnsupportedType:     {http.StatusUnsupportedMediaType, grpcInvalidArgument},
	TooLarge:            {http.StatusRequestEntityTooLarge, grpcResourceExhausted},
	Forbidden:           {http.StatusForbidden, grpcPermissionDenied},
	FunctionDisabled:    {http.StatusForbidden, grpcFailedPrecondition},
	NoClass:             {http.StatusNotFound, grpcNotFound},
	NoPartition:         {http.StatusNotFound, grpcNotFound},
	NoObject:            {http.StatusNotFound, grpcNotFound},
	NoEntry:             {http.StatusNotFound, grpcNotFound},
	NoFunction:          {http.StatusNotFound, grpcNotFound},
	NoInvocation:        {http.StatusNotFound, grpcNotFound},
	NoSubscription:      {http.StatusNotFound, grpcNotFound},
	NotFound:            {http.StatusNotFound, grpcNotFound},
	AlreadyExists:       {http.StatusConflict, grpcAlreadyExists},
	VersionMismatch:     {http.StatusConflict, grpcAborted},
	Conflict:            {http.StatusConflict, grpcAborted},
	StaleCall:           {http.StatusConflict, grpcFailedPrecondition},
	IdempotencyMismatch: {http.StatusUnprocessableEntity, grpcFailedPrecondition},
	Busy:                {http.StatusTooManyRequests, grpcResourceExhausted},
	FunctionError:       {http.StatusBadGateway, grpcAborted},
	BadReply:            {http.StatusBadGateway, grpcInternal},
	FunctionUnavailable: {http.StatusServiceUnavailable, grpcUnavailable},
	DeadlineExceeded:    {http.StatusGatewayTimeout, grpcDeadlineExceeded},
	LoopDetected:        {http.StatusLoopDetected, grpcFailedPrecondition},
	Cancelled:           {http.StatusConflict, grpcCancelled},
	Unavailable:         {http.StatusServiceUnavailable, grpcUnavailable},
	Internal:            {http.StatusInternalServerError, grpcInternal},
}

// Error is a failure with a stable code and a message that names the thing, the value and what to do.
type Error struct {
	Code    Code
	Message string

	// Status is the HTTP status that a function answered with, for FunctionError; 0 otherwise.
	Status int
	// Body and ContentType are the function's answer to hand on to the caller, for FunctionError.
	Body        []byte
	ContentType string
	// RetryAfter says when a retry may succeed, for Busy and Unavailable; 0 if unknown.
	RetryAfter time.Duration

	cause error
}

// New makes an error with a formatted message.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an error whose message ends with that of its cause, which errors.Is and errors.As still find.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...) + ": " + cause.Error(), cause: cause}
}

// Error gives the message alone; the code is for programs.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// HTTPStatus gives the HTTP status of the answer: the function's own for FunctionError, else that of the table.
func (e *Error) HTTPStatus() int {
	if e.Code == FunctionError && e.Status >= 400 && e.Status <= 599 {
		return e.Status
	}
	return statuses[e.Code].http
}

// GRPCStatus gives the gRPC status code of the table.
func (e *Error) GRPCStatus() int { return statuses[e.Code].grpc }

// From gives the Error in err's chain. Expired and cancelled contexts get their codes; anything else is Internal. It gives nil for nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Wrap(DeadlineExceeded, err, "deadline")
	case errors.Is(err, context.Canceled):
		return Wrap(Cancelled, err, "cancelled")
	}
	return &Error{Code: Internal, Message: err.Error(), cause: err}
}

// CodeOf gives the code of err, or "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return From(err).Code
}

// Codes lists every code of the table, in no order; tests use it to check that documents and endpoints know them all.
func Codes() []Code {
	codes := make([]Code, 0, len(statuses))
	for c := range statuses {
		codes = append(codes, c)
	}
	return codes
}
