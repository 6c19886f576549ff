package sentinova

import (
	"context"
	"errors"
	"net"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/sentinova/sentinova/client/go/sentinova/v1"
)

func TestAnalyzeGivesEveryFieldOfTheResult(t *testing.T) {
	server := &fake{analyze: func(
		_ context.Context, request *pb.AnalyzeSentimentRequest,
	) (*pb.AnalyzeSentimentResponse, error) {
		result := positive()
		result.Truncated = request.GetDocument().GetText() == "Superb."
		return &pb.AnalyzeSentimentResponse{Result: result}, nil
	}}
	got, err := server.serve(t).Analyze(within(t), "Superb.")
	if err != nil {
		t.Fatal(err)
	}
	want := &Result{
		Label:      "positive",
		Score:      0.9,
		Scores:     []ClassScore{{"negative", 0.1}, {"positive", 0.9}},
		Model:      "sentiment_en",
		Version:    2,
		TokenCount: 7,
		Truncated:  true,
		Timings:    Timings{time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestOptionsReachTheServer(t *testing.T) {
	tests := []struct {
		name    string
		options []AnalyzeOption
		want    *pb.AnalysisConfig
	}{
		{"none", nil, &pb.AnalysisConfig{}},
		{
			"all with a version",
			[]AnalyzeOption{
				WithModel("m"), WithVersion(3), WithTruncation(), WithPriority(2), WithRoutingKey("user-7"),
			},
			&pb.AnalysisConfig{
				Model:          "m",
				VersionChoice:  &pb.AnalysisConfig_Version{Version: 3},
				LongTextPolicy: pb.LongTextPolicy_LONG_TEXT_POLICY_TRUNCATE,
				Priority:       2,
				RoutingKey:     "user-7",
			},
		},
		{
			"a label",
			[]AnalyzeOption{WithVersionLabel("canary")},
			&pb.AnalysisConfig{VersionChoice: &pb.AnalysisConfig_Label{Label: "canary"}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got *pb.AnalysisConfig
			server := &fake{analyze: func(
				_ context.Context, request *pb.AnalyzeSentimentRequest,
			) (*pb.AnalyzeSentimentResponse, error) {
				got = request.GetConfig()
				return &pb.AnalyzeSentimentResponse{Result: positive()}, nil
			}}
			if _, err := server.serve(t).Analyze(within(t), "text", test.options...); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(got, test.want) {
				t.Errorf("the server got %v, want %v", got, test.want)
			}
		})
	}
}

func TestWhatCannotBeAskedIsNotSent(t *testing.T) {
	client := (&fake{}).serve(t) // any call would be UNIMPLEMENTED
	tests := []struct {
		name    string
		text    string
		options []AnalyzeOption
		reason  Reason
	}{
		{"version and label", "text", []AnalyzeOption{WithVersion(1), WithVersionLabel("x")}, ErrInvalidField},
		{"label and version", "text", []AnalyzeOption{WithVersionLabel("x"), WithVersion(1)}, ErrInvalidField},
		{"bytes as model", "text", []AnalyzeOption{WithModel("\xff")}, ErrInvalidField},
		{"bytes as text", "a\xffb", nil, ErrTextNotUnicode},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := client.Analyze(within(t), test.text, test.options...)
			if !errors.Is(err, test.reason) || status.Code(err) != codes.InvalidArgument {
				t.Errorf("got %v, want %s", err, test.reason)
			}
		})
	}
}

func TestDeadlines(t *testing.T) {
	tests := []struct {
		name     string
		options  []Option
		own      time.Duration // of the caller's context; 0: none
		least    time.Duration
		most     time.Duration
		deadline bool
	}{
		{"default", nil, 0, 20 * time.Second, DefaultTimeout, true},
		{"the client's", []Option{WithTimeout(time.Hour)}, 0, 50 * time.Minute, time.Hour, true},
		{"the caller's, longer", nil, time.Hour, 50 * time.Minute, time.Hour, true},
		{"the caller's, shorter", []Option{WithTimeout(time.Hour)}, time.Minute, time.Second, time.Minute, true},
		{"none", []Option{WithTimeout(0)}, 0, 0, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var left time.Duration
			var has bool
			server := &fake{get: func(ctx context.Context, _ *pb.GetModelRequest) (*pb.GetModelResponse, error) {
				var deadline time.Time
				deadline, has = ctx.Deadline()
				left = time.Until(deadline)
				return &pb.GetModelResponse{}, nil
			}}
			ctx := context.Background()
			if test.own > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, test.own)
				defer cancel()
			}
			if _, err := server.serve(t, test.options...).GetModel(ctx, "m"); err != nil {
				t.Fatal(err)
			}
			if has != test.deadline || has && (left < test.least || left > test.most) {
				t.Errorf("deadline: %v, in %v; want %v, in %v to %v", has, left, test.deadline, test.least, test.most)
			}
		})
	}
}

func TestMetadataGoesWithEveryCallOnce(t *testing.T) {
	var got []string
	server := &fake{list: func(ctx context.Context, _ *pb.ListModelsRequest) (*pb.ListModelsResponse, error) {
		got = sent(ctx, "authorization")
		return &pb.ListModelsResponse{}, nil
	}}
	client := server.serve(t, WithMetadata("authorization", "Bearer x"), WithMetadata("other", "y"))
	if _, err := client.ListModels(within(t)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, []string{"Bearer x"}) {
		t.Errorf("the server got %q", got)
	}
}

func TestBatchGivesEachTextItsOutcome(t *testing.T) {
	server := &fake{batch: func(
		_ context.Context, request *pb.BatchAnalyzeSentimentRequest,
	) (*pb.BatchAnalyzeSentimentResponse, error) {
		response := &pb.BatchAnalyzeSentimentResponse{}
		for _, document := range request.GetDocuments() {
			answer := &pb.DocumentResult{Id: document.GetId()}
			switch document.GetText() {
			case "":
				refused := refusal(codes.InvalidArgument, ErrTextEmpty, "documents[1].text", 0)
				answer.Outcome = &pb.DocumentResult_Error{Error: refused.Proto()}
			case "nothing":
			default:
				answer.Outcome = &pb.DocumentResult_Result{Result: positive()}
			}
			response.Results = append(response.Results, answer)
		}
		return response, nil
	}}
	got, err := server.serve(t).AnalyzeBatch(within(t), []string{"Superb.", "", "\xff", "nothing", "Fine."})
	if err != nil {
		t.Fatal(err)
	}
	reasons := []Reason{"", ErrTextEmpty, ErrTextNotUnicode, ErrUnexpectedAnswer, ""}
	if len(got) != len(reasons) {
		t.Fatalf("got %d outcomes", len(got))
	}
	for index, reason := range reasons {
		switch {
		case reason == "" && (got[index].Err != nil || got[index].Result.Label != "positive"):
			t.Errorf("outcome %d is %+v, want a result", index, got[index])
		case reason != "" && (got[index].Result != nil || !errors.Is(got[index].Err, reason)):
			t.Errorf("outcome %d is %+v, want %s", index, got[index], reason)
		}
	}
}

func TestBatchOfNothingMakesNoCall(t *testing.T) {
	client := (&fake{}).serve(t) // any call would be UNIMPLEMENTED
	got, err := client.AnalyzeBatch(within(t), nil)
	if err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestBatchWithAnswersMissingFails(t *testing.T) {
	server := &fake{batch: func(
		context.Context, *pb.BatchAnalyzeSentimentRequest,
	) (*pb.BatchAnalyzeSentimentResponse, error) {
		return &pb.BatchAnalyzeSentimentResponse{}, nil
	}}
	if _, err := server.serve(t).AnalyzeBatch(within(t), []string{"a"}); !errors.Is(err, ErrUnexpectedAnswer) {
		t.Errorf("got %v", err)
	}
}

func TestLargeResponsesAreTaken(t *testing.T) {
	server := &fake{get: func(context.Context, *pb.GetModelRequest) (*pb.GetModelResponse, error) {
		return &pb.GetModelResponse{Model: &pb.Model{Message: strings.Repeat("x", 20<<20)}}, nil
	}}
	model, err := server.serve(t).GetModel(within(t), "m")
	if err != nil || len(model.Message) != 20<<20 {
		t.Fatal(err)
	}
	_, err = server.serve(t, WithMaxResponseBytes(1<<20)).GetModel(within(t), "m")
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v, want RESOURCE_EXHAUSTED", err)
	}
}

func TestUnavailableIsRetriedAndNothingElse(t *testing.T) {
	tests := []struct {
		name     string
		failures []*status.Status // of the first attempts
		options  []Option
		calls    int32
		code     codes.Code
	}{
		{"away once", []*status.Status{status.New(codes.Unavailable, "")}, nil, 2, codes.OK},
		{"away for ever", repeated(status.New(codes.Unavailable, ""), 99), nil, 5, codes.Unavailable},
		{
			"loading for longer than gRPC tries",
			repeated(refusal(codes.Unavailable, ErrModelLoading, "", time.Millisecond), 40), nil, 41, codes.OK,
		},
		{"cancelled by the server", repeated(status.New(codes.Canceled, ""), 1), nil, 2, codes.OK},
		{"cancelled for ever", repeated(status.New(codes.Canceled, ""), 99), nil, 5, codes.Canceled},
		{"no retries", repeated(status.New(codes.Unavailable, ""), 1), []Option{WithAttempts(1)}, 1, codes.Unavailable},
		{"bad", repeated(refusal(codes.InvalidArgument, ErrTextEmpty, "", 0), 1), nil, 1, codes.InvalidArgument},
		{
			"full", repeated(refusal(codes.ResourceExhausted, ErrQueueFull, "", time.Millisecond), 1), nil, 1,
			codes.ResourceExhausted,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var calls atomic.Int32
			server := &fake{analyze: func(
				context.Context, *pb.AnalyzeSentimentRequest,
			) (*pb.AnalyzeSentimentResponse, error) {
				if call := int(calls.Add(1)); call <= len(test.failures) {
					return nil, test.failures[call-1].Err()
				}
				return &pb.AnalyzeSentimentResponse{Result: positive()}, nil
			}}
			_, err := server.serve(t, test.options...).Analyze(within(t), "text")
			if status.Code(err) != test.code || calls.Load() != test.calls {
				t.Errorf("%d calls, ended with %v; want %d, %v", calls.Load(), err, test.calls, test.code)
			}
		})
	}
}

func repeated(failure *status.Status, times int) []*status.Status {
	failures := make([]*status.Status, times)
	for index := range failures {
		failures[index] = failure
	}
	return failures
}

func TestWhatMayNotBeRepeatedIsNotRetried(t *testing.T) {
	var calls atomic.Int32
	server := &fake{rollback: func(context.Context, *pb.RollbackModelRequest) (*pb.RollbackModelResponse, error) {
		calls.Add(1)
		return nil, status.Error(codes.Unavailable, "")
	}}
	models := pb.NewModelServiceClient(server.serve(t).Conn())
	if _, err := models.RollbackModel(within(t), &pb.RollbackModelRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	if calls.Load() != 1 {
		t.Errorf("%d calls", calls.Load())
	}
}

func TestServerThatIsNotThereYetIsWaitedFor(t *testing.T) {
	address := freeAddress(t)
	client := newTestClient(t, address)
	answered := make(chan error, 1)
	go func() {
		_, err := client.Analyze(within(t), "text")
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("ended with %v though there was no server", err)
	case <-time.After(100 * time.Millisecond):
	}
	server := &fake{analyze: func(
		context.Context, *pb.AnalyzeSentimentRequest,
	) (*pb.AnalyzeSentimentResponse, error) {
		return &pb.AnalyzeSentimentResponse{Result: positive()}, nil
	}}
	server.serveAt(t, address)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestServerThatIsNotThere(t *testing.T) {
	address := freeAddress(t)
	t.Run("is unavailable at once without retries", func(t *testing.T) {
		_, err := newTestClient(t, address, WithAttempts(1)).Analyze(within(t), "text")
		if status.Code(err) != codes.Unavailable {
			t.Errorf("got %v", err)
		}
	})
	t.Run("is waited for until the deadline", func(t *testing.T) {
		_, err := newTestClient(t, address, WithTimeout(200*time.Millisecond)).Analyze(context.Background(), "text")
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// freeAddress gives a loopback address where nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestCancelledCallEndsAtOnce(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	server := &fake{analyze: func(
		ctx context.Context, _ *pb.AnalyzeSentimentRequest,
	) (*pb.AnalyzeSentimentResponse, error) {
		close(begun)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	}}
	client := server.serve(t)
	ctx, cancel := context.WithCancel(within(t))
	go func() {
		<-begun
		cancel()
	}()
	_, err := client.Analyze(ctx, "text")
	if !errors.Is(err, context.Canceled) || status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	select {
	case <-ended:
	case <-time.After(patient):
		t.Error("the server was not told")
	}
}

func TestClosedClientFailsWithoutRetries(t *testing.T) {
	client := (&fake{}).serve(t, WithOnReconnect(func(err error) { t.Errorf("opened again after %v", err) }))
	client.Close()
	if _, err := client.Analyze(within(t), "text"); status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	if _, err := collect(client.Stream(within(t), numbered(1))); status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	for _, err := range client.WatchModels(within(t)) {
		if status.Code(err) != codes.Canceled {
			t.Errorf("got %v", err)
		}
	}
}
