package sentinova

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/sentinova/sentinova/client/go/sentinova/v1"
)

func TestGetModelGivesEveryField(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	server := &fake{get: func(_ context.Context, request *pb.GetModelRequest) (*pb.GetModelResponse, error) {
		return &pb.GetModelResponse{Model: &pb.Model{
			Name: request.GetName(), Backend: "openvino", DefaultVersion: 2, Message: "ill", ShadowVersion: 3,
			Loaded:  true,
			Weights: []*pb.VersionWeight{{VersionChoice: &pb.VersionWeight_Version{Version: 2}, Percent: 100}},
			Versions: []*pb.ModelVersion{{
				Version: 2, State: pb.ModelVersionState_MODEL_VERSION_STATE_AVAILABLE, StateMessage: "well",
				StateTime: timestamppb.New(since),
				Inputs:    []*pb.TensorMetadata{{Name: "ids", Datatype: "INT64", Shape: []int64{-1, -1}}},
				Outputs:   []*pb.TensorMetadata{{Name: "logits", Datatype: "FP32", Shape: []int64{-1, 2}}},
				Labels:    []string{"negative", "positive"}, MaxTokens: 128, Format: "paddle", Precision: "f32",
				MemoryBytes: 7, VersionLabels: []string{"stable"}, Weight: 100,
			}},
		}}, nil
	}}
	got, err := server.serve(t).GetModel(within(t), "sentiment_en")
	if err != nil {
		t.Fatal(err)
	}
	want := &ModelInfo{
		Name: "sentiment_en", Backend: "openvino", DefaultVersion: 2, Message: "ill", ShadowVersion: 3, Loaded: true,
		Weights: map[int64]uint32{2: 100},
		Versions: []VersionInfo{{
			Version: 2, State: StateAvailable, StateMessage: "well", StateTime: since,
			Inputs:  []TensorInfo{{"ids", "INT64", []int64{-1, -1}}},
			Outputs: []TensorInfo{{"logits", "FP32", []int64{-1, 2}}},
			Labels:  []string{"negative", "positive"}, MaxTokens: 128, Format: "paddle", Precision: "f32",
			MemoryBytes: 7, VersionLabels: []string{"stable"}, Weight: 100,
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestListModelsReadsAllPages(t *testing.T) {
	pages := map[string]*pb.ListModelsResponse{
		"":  {Models: []*pb.Model{{Name: "a"}, {Name: "b"}}, NextPageToken: "b"},
		"b": {Models: []*pb.Model{{Name: "c"}}},
	}
	server := &fake{list: func(_ context.Context, request *pb.ListModelsRequest) (*pb.ListModelsResponse, error) {
		return pages[request.GetPageToken()], nil
	}}
	models, err := server.serve(t).ListModels(within(t))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, each := range models {
		names = append(names, each.Name)
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("got %q", names)
	}
}

func TestStatesAndKindsOfANewerServer(t *testing.T) {
	if state := makeState(99); state != StateUnknown {
		t.Errorf("got %q", state)
	}
	if event := makeModelEvent(&pb.WatchModelsResponse{Kind: 99, State: 99}); event.Kind != EventUnknown ||
		event.State != StateUnknown {
		t.Errorf("got %+v", event)
	}
}

func events(kinds ...pb.ModelEventKind) []*pb.WatchModelsResponse {
	var made []*pb.WatchModelsResponse
	for _, kind := range kinds {
		event := &pb.WatchModelsResponse{Kind: kind}
		if kind != pb.ModelEventKind_MODEL_EVENT_KIND_SYNCED {
			event.Model, event.Version = "m", 2
			event.State = pb.ModelVersionState_MODEL_VERSION_STATE_LOADING
		}
		made = append(made, event)
	}
	return made
}

// watching serves watches: each call sends some events, and ends with an error or without one.
func watching(calls *atomic.Int32, ends ...error) *fake {
	return &fake{watch: func(_ *pb.WatchModelsRequest, call pb.ModelService_WatchModelsServer) error {
		number := int(calls.Add(1))
		for _, event := range events(
			pb.ModelEventKind_MODEL_EVENT_KIND_INITIAL,
			pb.ModelEventKind_MODEL_EVENT_KIND_SYNCED,
			pb.ModelEventKind_MODEL_EVENT_KIND_STATE,
		) {
			if err := call.Send(event); err != nil {
				return err
			}
		}
		if number <= len(ends) {
			return ends[number-1]
		}
		<-call.Context().Done()
		return nil
	}}
}

func TestWatchTellsAndBeginsAnew(t *testing.T) {
	var calls atomic.Int32
	ends := []error{nil, status.Error(codes.Unavailable, ""), refusal(codes.Aborted, ErrWatchTooSlow, "", 0).Err()}
	var told []codes.Code
	note := WithOnReconnect(func(err error) { told = append(told, status.Code(err)) })
	client := watching(&calls, ends...).serve(t, note)
	var got []ModelEvent
	for event, err := range client.WatchModels(within(t), "m") {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, event); len(got) == 12 {
			break
		}
	}
	for index, want := range []ModelEvent{
		{Kind: EventInitial, Model: "m", Version: 2, State: StateLoading},
		{Kind: EventSynced},
		{Kind: EventState, Model: "m", Version: 2, State: StateLoading},
	} {
		for round := range 4 {
			if event := got[3*round+index]; event != want {
				t.Errorf("got %+v, want %+v", event, want)
			}
		}
	}
	if want := []codes.Code{codes.OK, codes.Unavailable, codes.Aborted}; !slices.Equal(told, want) {
		t.Errorf("told of %v, want %v", told, want)
	}
}

func TestWatchEnds(t *testing.T) {
	gone := status.Error(codes.Unavailable, "")
	tests := []struct {
		name    string
		end     error
		options []Option
		code    codes.Code
	}{
		{"at an error that stays", status.Error(codes.PermissionDenied, ""), nil, codes.PermissionDenied},
		{"at any error without retries", gone, []Option{WithAttempts(1)}, codes.Unavailable},
		{"with the server without retries", nil, []Option{WithAttempts(1)}, codes.OK},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var calls atomic.Int32
			var failure error
			count := 0
			for _, err := range watching(&calls, test.end).serve(t, test.options...).WatchModels(within(t)) {
				if failure = err; err == nil {
					count++
				}
			}
			if status.Code(failure) != test.code || count != 3 || calls.Load() != 1 {
				t.Errorf("%d events, %d calls, %v", count, calls.Load(), failure)
			}
		})
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	var calls atomic.Int32
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	var failure error
	for event, err := range watching(&calls).serve(t).WatchModels(ctx) {
		if event.Kind == EventState {
			cancel()
		}
		failure = err
	}
	if !errors.Is(failure, context.Canceled) {
		t.Errorf("got %v", failure)
	}
}

func TestWatchIsNotCutOffByTheClientsTimeout(t *testing.T) {
	has := true
	server := &fake{watch: func(_ *pb.WatchModelsRequest, call pb.ModelService_WatchModelsServer) error {
		_, has = call.Context().Deadline()
		return status.Error(codes.PermissionDenied, "")
	}}
	for _, err := range server.serve(t).WatchModels(context.Background()) {
		if status.Code(err) != codes.PermissionDenied {
			t.Errorf("got %v", err)
		}
	}
	if has {
		t.Error("the watch has a deadline")
	}
}

func TestHealth(t *testing.T) {
	statuses := map[string]grpc_health_v1.HealthCheckResponse_ServingStatus{
		"":     grpc_health_v1.HealthCheckResponse_SERVING,
		"cold": grpc_health_v1.HealthCheckResponse_NOT_SERVING,
	}
	client := (&fake{check: func(
		_ context.Context, request *grpc_health_v1.HealthCheckRequest,
	) (*grpc_health_v1.HealthCheckResponse, error) {
		known, ok := statuses[request.GetService()]
		if !ok {
			return nil, status.Error(codes.NotFound, "")
		}
		return &grpc_health_v1.HealthCheckResponse{Status: known}, nil
	}}).serve(t)
	for service, want := range map[string]HealthStatus{
		"": HealthServing, "cold": HealthNotServing, "none": HealthServiceUnknown,
	} {
		if got, err := client.Health(within(t), service); got != want || err != nil {
			t.Errorf("%q: got %s, %v", service, got, err)
		}
	}
}

func TestHealthOfAServerThatIsAwayIsAnErrorAtOnce(t *testing.T) {
	if _, err := newTestClient(t, freeAddress(t)).Health(within(t), ""); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestWaitReady(t *testing.T) {
	var checks atomic.Int32
	server := &fake{check: func(
		context.Context, *grpc_health_v1.HealthCheckRequest,
	) (*grpc_health_v1.HealthCheckResponse, error) {
		switch checks.Add(1) {
		case 1:
			return nil, status.Error(codes.Unavailable, "")
		case 2:
			return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_NOT_SERVING}, nil
		}
		return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
	}}
	if err := server.serve(t).WaitReady(within(t)); err != nil || checks.Load() != 3 {
		t.Errorf("%d checks, %v", checks.Load(), err)
	}
	t.Run("gives up at its deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		err := newTestClient(t, freeAddress(t)).WaitReady(ctx)
		if !errors.Is(err, ErrNotReady) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("gives up at an error that stays", func(t *testing.T) {
		if err := (&fake{}).serve(t).WaitReady(within(t)); status.Code(err) != codes.Unimplemented {
			t.Errorf("got %v", err)
		}
	})
}
