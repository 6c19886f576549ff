package sentinova

// The errors of this package: what a caller can find out about a failure. This file must not know how they travel:
// status.go reads them.

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A Reason says why something failed, for programs. It is itself an error, to be compared with by [errors.Is]:
//
//	errors.Is(err, sentinova.ErrModelNotFound)
type Reason string

// Error gives the reason as the API spells it.
func (r Reason) Error() string { return string(r) }

// The reasons that the server gives. A newer server may give others.
const (
	// ErrTextEmpty: the text holds nothing but white space and control characters.
	ErrTextEmpty Reason = "TEXT_EMPTY"
	// ErrTextTooLong: the text has more bytes than the server takes, or more tokens than the model reads.
	ErrTextTooLong Reason = "TEXT_TOO_LONG"
	// ErrInvalidField: a field of the request is wrong; [Error.Field] names it.
	ErrInvalidField Reason = "INVALID_FIELD"
	// ErrModelNotFound: there is no such model, or it is not loaded.
	ErrModelNotFound Reason = "MODEL_NOT_FOUND"
	// ErrVersionNotFound: the model has no such version, or it is not loaded.
	ErrVersionNotFound Reason = "VERSION_NOT_FOUND"
	// ErrLabelNotFound: no version of the model has this label.
	ErrLabelNotFound Reason = "LABEL_NOT_FOUND"
	// ErrModelFailed: the version could not be loaded; [Client.GetModel] tells why.
	ErrModelFailed Reason = "MODEL_FAILED"
	// ErrModelControlDisabled: the server's control mode does not allow the call.
	ErrModelControlDisabled Reason = "MODEL_CONTROL_DISABLED"
	// ErrVersionNotAvailable: the version takes no requests, so it gets no label, no weight and is no shadow.
	ErrVersionNotAvailable Reason = "VERSION_NOT_AVAILABLE"
	// ErrLastVersion: the only available version is not unloaded by its number.
	ErrLastVersion Reason = "LAST_VERSION"
	// ErrNoPreviousVersion: there is no version to go back to.
	ErrNoPreviousVersion Reason = "NO_PREVIOUS_VERSION"
	// ErrMemoryBudget: loading would take more memory than the server may use.
	ErrMemoryBudget Reason = "MEMORY_BUDGET"
	// ErrWatchTooSlow: events were taken so slowly that the server cut the watch off.
	ErrWatchTooSlow Reason = "WATCH_TOO_SLOW"
	// ErrModelLoading: the version is being loaded; soon it answers.
	ErrModelLoading Reason = "MODEL_LOADING"
	// ErrServerDraining: the server is stopping.
	ErrServerDraining Reason = "SERVER_DRAINING"
	// ErrQueueFull: as many documents wait as may; [Error.RetryAfter] says how long to wait.
	ErrQueueFull Reason = "QUEUE_FULL"
	// ErrDeadlineExceeded: the deadline passed. By [errors.Is] it is also every other error of that status code.
	ErrDeadlineExceeded Reason = "DEADLINE_EXCEEDED"
	// ErrInferenceFailed: the model failed on the text.
	ErrInferenceFailed Reason = "INFERENCE_FAILED"
	// ErrInternal: the server failed; its log has the cause under [Error.RequestID].
	ErrInternal Reason = "INTERNAL"
)

// The reasons that this package gives.
const (
	// ErrTextNotUnicode: the text is not valid UTF-8, and was not sent.
	ErrTextNotUnicode Reason = "TEXT_NOT_UNICODE"
	// ErrUnexpectedAnswer: the server answered against the rules of the API.
	ErrUnexpectedAnswer Reason = "UNEXPECTED_ANSWER"
	// ErrStreamCut: the server ended a stream with documents unanswered.
	ErrStreamCut Reason = "STREAM_CUT"
	// ErrNotReady: the server was not ready in time.
	ErrNotReady Reason = "NOT_READY"
)

// An Error is a call, or one document of a call, that failed. Get at it with [errors.As]:
//
//	var failure *sentinova.Error
//	if errors.As(err, &failure) && failure.Code == codes.Unavailable { … }
//
// [errors.Is] tells its reason, and whether it is [context.Canceled] or [context.DeadlineExceeded].
type Error struct {
	// Code is the gRPC status code.
	Code codes.Code
	// Reason is the cause. Empty where none was given.
	Reason Reason
	// Field is the path of the request's field at fault, "document.text" for example. Empty where none is.
	Field string
	// Message says what went wrong, in a sentence.
	Message string
	// Metadata has particulars of the reason, the name of the model for example. Never nil.
	Metadata map[string]string
	// RetryAfter is how long to wait before trying again. Zero where the server did not say that waiting helps.
	RetryAfter time.Duration
	// RequestID is the name that the server's log has for the call. Empty where the server told none.
	RequestID string

	cause error
}

// Error describes the failure in a line: "INVALID_ARGUMENT (TEXT_EMPTY): …".
func (e *Error) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("%s: %s", e.CodeName(), e.Message)
	}
	return fmt.Sprintf("%s (%s): %s", e.CodeName(), e.Reason, e.Message)
}

// CodeName gives the status code as gRPC's documents spell it: "INVALID_ARGUMENT".
func (e *Error) CodeName() string { return code.Code(e.Code).String() }

// Unwrap gives the error that this one was made of, where there is one.
func (e *Error) Unwrap() error { return e.cause }

// Is tells whether the error has the given [Reason], or is the given error of the context package.
func (e *Error) Is(target error) bool {
	switch target {
	case context.Canceled:
		return e.Code == codes.Canceled
	case context.DeadlineExceeded, ErrDeadlineExceeded:
		return e.Code == codes.DeadlineExceeded
	}
	reason, ok := target.(Reason)
	return ok && reason == e.Reason
}

// GRPCStatus gives the failure to the status package of gRPC, so that status.Code and status.FromError work.
func (e *Error) GRPCStatus() *status.Status {
	if known, ok := status.FromError(e.cause); ok && e.cause != nil {
		return known
	}
	return status.New(e.Code, e.Message)
}
