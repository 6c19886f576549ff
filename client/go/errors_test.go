package sentinova

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	pb "github.com/sentinova/sentinova/client/go/sentinova/v1"
)

func TestErrorHoldsWhatTheServerTold(t *testing.T) {
	server := &fake{get: func(context.Context, *pb.GetModelRequest) (*pb.GetModelResponse, error) {
		return nil, refusal(codes.ResourceExhausted, ErrQueueFull, "name", 1500*time.Millisecond).Err()
	}}
	_, err := server.serve(t).GetModel(within(t), "m")
	var failure *Error
	if !errors.As(fmt.Errorf("wrapped: %w", err), &failure) {
		t.Fatalf("got %T", err)
	}
	got := *failure
	got.cause = nil
	want := Error{
		Code:       codes.ResourceExhausted,
		Reason:     ErrQueueFull,
		Field:      "name",
		Message:    "it is wrong",
		Metadata:   map[string]string{"model": "sentiment_en"},
		RetryAfter: 1500 * time.Millisecond,
		RequestID:  "abc",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if text := err.Error(); text != "RESOURCE_EXHAUSTED (QUEUE_FULL): it is wrong" {
		t.Errorf("it reads %q", text)
	}
	if len(status.Convert(err).Details()) != 4 {
		t.Error("gRPC's own view of the error has lost its details")
	}
	if errors.Unwrap(err) == nil {
		t.Error("what gRPC gave is lost")
	}
}

func TestErrorsCompare(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		target error
		want   bool
	}{
		{"its reason", newError(codes.NotFound, ErrModelNotFound, ""), ErrModelNotFound, true},
		{"another reason", newError(codes.NotFound, ErrModelNotFound, ""), ErrVersionNotFound, false},
		{"no reason", newError(codes.NotFound, "", ""), ErrModelNotFound, false},
		{"a deadline", newError(codes.DeadlineExceeded, "", ""), context.DeadlineExceeded, true},
		{"a deadline by its reason", newError(codes.DeadlineExceeded, "", ""), ErrDeadlineExceeded, true},
		{"cancelled", newError(codes.Canceled, "", ""), context.Canceled, true},
		{"not cancelled", newError(codes.Unavailable, "", ""), context.Canceled, false},
	}
	for _, test := range tests {
		if got := errors.Is(test.err, test.target); got != test.want {
			t.Errorf("%s: errors.Is gives %v", test.name, got)
		}
	}
}

func TestDamagedDetailsDoNotHideTheFailure(t *testing.T) {
	message := refusal(codes.NotFound, ErrModelNotFound, "", 0).Proto()
	damaged := &anypb.Any{TypeUrl: "type.googleapis.com/google.rpc.BadRequest", Value: []byte{0xff}}
	unknown := &anypb.Any{TypeUrl: "type.googleapis.com/nobody.knows.This"}
	message.Details = append([]*anypb.Any{damaged, unknown}, message.Details...)
	if failure := errorFromStatus(message); failure.Reason != ErrModelNotFound || failure.Code != codes.NotFound {
		t.Errorf("got %v", failure)
	}
}
