package sentinova

// The reading of google.rpc.Status: from what travels on the wire to an [Error]. This file knows the error details of
// the API, and must not know calls.

import (
	"context"
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// errorFromRPC makes the error of a failed call. The error that gRPC gave stays reachable by Unwrap.
func errorFromRPC(err error) *Error {
	known, ok := status.FromError(err)
	if !ok {
		known = status.FromContextError(err)
	}
	failure := errorFromStatus(known.Proto())
	failure.cause = err
	return failure
}

// errorFromContext makes the error of a call whose context has ended.
func errorFromContext(ctx context.Context) *Error {
	failure := newError(codes.Canceled, "", "the call was cancelled")
	failure.cause = ctx.Err()
	if errors.Is(failure.cause, context.DeadlineExceeded) {
		failure.Code, failure.Message = codes.DeadlineExceeded, "the answer did not come in time"
	}
	return failure
}

// newError makes an error that this package itself found.
func newError(code codes.Code, reason Reason, message string) *Error {
	return &Error{Code: code, Reason: reason, Message: message, Metadata: map[string]string{}}
}

// errorFromStatus makes the error that a status describes. Details that are damaged or of unknown kinds are passed
// over.
func errorFromStatus(message *spb.Status) *Error {
	failure := newError(codes.Code(message.GetCode()), "", message.GetMessage())
	failure.cause = status.ErrorProto(message)
	for _, detail := range message.GetDetails() {
		failure.read(detail)
	}
	return failure
}

// read takes over what one detail says.
func (e *Error) read(detail *anypb.Any) {
	message, err := detail.UnmarshalNew()
	if err != nil {
		return // it must not hide the failure itself
	}
	switch known := message.(type) {
	case *errdetails.ErrorInfo:
		e.Reason = Reason(known.GetReason())
		for key, value := range known.GetMetadata() {
			e.Metadata[key] = value
		}
	case *errdetails.BadRequest:
		if violations := known.GetFieldViolations(); len(violations) > 0 {
			e.Field = violations[0].GetField()
		}
	case *errdetails.RetryInfo:
		e.RetryAfter = known.GetRetryDelay().AsDuration()
	case *errdetails.RequestInfo:
		e.RequestID = known.GetRequestId()
	}
}
