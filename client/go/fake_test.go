package sentinova

// A server made of functions, in memory, for the tests of this package.

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/sentinova/sentinova/client/go/sentinova/v1"
)

// patient bounds what a test waits for; no test expects it to pass.
const patient = 20 * time.Second

// fake answers calls by its functions. Those that a test leaves nil are UNIMPLEMENTED.
type fake struct {
	pb.UnimplementedSentimentServiceServer
	pb.UnimplementedModelServiceServer
	grpc_health_v1.UnimplementedHealthServer

	analyze  func(context.Context, *pb.AnalyzeSentimentRequest) (*pb.AnalyzeSentimentResponse, error)
	batch    func(context.Context, *pb.BatchAnalyzeSentimentRequest) (*pb.BatchAnalyzeSentimentResponse, error)
	stream   func(pb.SentimentService_StreamAnalyzeSentimentServer) error
	list     func(context.Context, *pb.ListModelsRequest) (*pb.ListModelsResponse, error)
	get      func(context.Context, *pb.GetModelRequest) (*pb.GetModelResponse, error)
	watch    func(*pb.WatchModelsRequest, pb.ModelService_WatchModelsServer) error
	rollback func(context.Context, *pb.RollbackModelRequest) (*pb.RollbackModelResponse, error)
	check    func(context.Context, *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error)
}

func unary[Q, A any](ctx context.Context, function func(context.Context, Q) (A, error), request Q) (A, error) {
	if function == nil {
		var none A
		return none, status.Error(codes.Unimplemented, "the test does not expect this call")
	}
	return function(ctx, request)
}

func (f *fake) AnalyzeSentiment(
	ctx context.Context, request *pb.AnalyzeSentimentRequest,
) (*pb.AnalyzeSentimentResponse, error) {
	return unary(ctx, f.analyze, request)
}

func (f *fake) BatchAnalyzeSentiment(
	ctx context.Context, request *pb.BatchAnalyzeSentimentRequest,
) (*pb.BatchAnalyzeSentimentResponse, error) {
	return unary(ctx, f.batch, request)
}

func (f *fake) StreamAnalyzeSentiment(call pb.SentimentService_StreamAnalyzeSentimentServer) error {
	return f.stream(call)
}

func (f *fake) ListModels(ctx context.Context, request *pb.ListModelsRequest) (*pb.ListModelsResponse, error) {
	return unary(ctx, f.list, request)
}

func (f *fake) GetModel(ctx context.Context, request *pb.GetModelRequest) (*pb.GetModelResponse, error) {
	return unary(ctx, f.get, request)
}

func (f *fake) WatchModels(request *pb.WatchModelsRequest, call pb.ModelService_WatchModelsServer) error {
	return f.watch(request, call)
}

func (f *fake) RollbackModel(
	ctx context.Context, request *pb.RollbackModelRequest,
) (*pb.RollbackModelResponse, error) {
	return unary(ctx, f.rollback, request)
}

func (f *fake) Check(
	ctx context.Context, request *grpc_health_v1.HealthCheckRequest,
) (*grpc_health_v1.HealthCheckResponse, error) {
	return unary(ctx, f.check, request)
}

func (f *fake) server(options ...grpc.ServerOption) *grpc.Server {
	server := grpc.NewServer(options...)
	pb.RegisterSentimentServiceServer(server, f)
	pb.RegisterModelServiceServer(server, f)
	grpc_health_v1.RegisterHealthServer(server, f)
	return server
}

// serve runs the fake in memory for as long as the test runs, and gives a client of it. Its retries do not wait long.
func (f *fake) serve(t *testing.T, options ...Option) *Client {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := f.server()
	go server.Serve(listener) //nolint:errcheck // it ends with the test
	t.Cleanup(server.Stop)
	dial := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return listener.DialContext(ctx)
	})
	return newTestClient(t, "passthrough:///memory", append([]Option{WithDialOptions(dial)}, options...)...)
}

// serveAt runs the fake at a loopback address until it is told to stop.
func (f *fake) serveAt(t *testing.T, address string, options ...grpc.ServerOption) (string, *grpc.Server) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := f.server(options...)
	go server.Serve(listener) //nolint:errcheck // it ends with the test
	t.Cleanup(server.Stop)
	return listener.Addr().String(), server
}

func newTestClient(t *testing.T, address string, options ...Option) *Client {
	t.Helper()
	client, err := New(address, append([]Option{withFirstBackoff(5 * time.Millisecond)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func withFirstBackoff(wait time.Duration) Option {
	return func(s *settings) error {
		s.firstBackoff = wait
		return nil
	}
}

// within gives a context that bounds a test.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	t.Cleanup(cancel)
	return ctx
}

// positive is the answer that says "positive".
func positive() *pb.SentimentResult {
	return &pb.SentimentResult{
		Label: "positive",
		Score: 0.9,
		Scores: []*pb.ClassScore{
			{Label: "negative", Score: 0.1},
			{Label: "positive", Score: 0.9},
		},
		Model:      &pb.ModelRef{Name: "sentiment_en", Version: 2},
		TokenCount: 7,
		Timings: &pb.Timings{
			Tokenization: durationpb.New(time.Millisecond),
			Queue:        durationpb.New(2 * time.Millisecond),
			Inference:    durationpb.New(3 * time.Millisecond),
		},
	}
}

// refusal makes an error as the server does.
func refusal(code codes.Code, reason Reason, field string, retryAfter time.Duration) *status.Status {
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{
		Reason: string(reason), Domain: "sentinova", Metadata: map[string]string{"model": "sentiment_en"},
	}}
	if field != "" {
		violation := &errdetails.BadRequest_FieldViolation{Field: field, Description: "it is wrong"}
		details = append(details, &errdetails.BadRequest{
			FieldViolations: []*errdetails.BadRequest_FieldViolation{violation},
		})
	}
	if retryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)})
	}
	details = append(details, &errdetails.RequestInfo{RequestId: "abc"})
	made, err := status.New(code, "it is wrong").WithDetails(details...)
	if err != nil {
		panic(err)
	}
	return made
}

func sent(ctx context.Context, key string) []string {
	received, _ := metadata.FromIncomingContext(ctx)
	return received.Get(key)
}
