package sentinova

import (
	"context"
	"net"
	"strings"

	"google.golang.org/grpc/codes"

	pb "github.com/sentinova/sentinova/client/go/sentinova/v1"
)

// ServeExamples serves a model that finds "lovely" and "superb" positive, at a loopback address, for the examples.
func ServeExamples() (address string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := exampleFake().server()
	go server.Serve(listener) //nolint:errcheck // it ends with the tests
	return listener.Addr().String(), server.Stop, nil
}

func exampleFake() *fake {
	analyze := func(document *pb.Document) (*pb.SentimentResult, error) {
		text := strings.ToLower(document.GetText())
		if text == "" {
			return nil, refusal(codes.InvalidArgument, ErrTextEmpty, "document.text", 0).Err()
		}
		result := positive()
		if !strings.Contains(text, "lovely") && !strings.Contains(text, "superb") {
			result.Label = "negative"
		}
		return result, nil
	}
	return &fake{
		analyze: func(_ context.Context, request *pb.AnalyzeSentimentRequest) (*pb.AnalyzeSentimentResponse, error) {
			result, err := analyze(request.GetDocument())
			return &pb.AnalyzeSentimentResponse{Result: result}, err
		},
		batch: func(
			_ context.Context, request *pb.BatchAnalyzeSentimentRequest,
		) (*pb.BatchAnalyzeSentimentResponse, error) {
			response := &pb.BatchAnalyzeSentimentResponse{}
			for _, document := range request.GetDocuments() {
				answer := &pb.DocumentResult{Id: document.GetId()}
				if result, err := analyze(document); err == nil {
					answer.Outcome = &pb.DocumentResult_Result{Result: result}
				} else {
					refused := refusal(codes.InvalidArgument, ErrTextEmpty, "documents[1].text", 0)
					answer.Outcome = &pb.DocumentResult_Error{Error: refused.Proto()}
				}
				response.Results = append(response.Results, answer)
			}
			return response, nil
		},
		stream: func(call streamServer) error {
			for {
				document, err := read(call)
				if document == nil {
					return err
				}
				response := answer(document)
				if result, err := analyze(document); err == nil {
					response.Outcome = &pb.StreamAnalyzeSentimentResponse_Result{Result: result}
				}
				if err := call.Send(response); err != nil {
					return err
				}
			}
		},
		watch: func(_ *pb.WatchModelsRequest, call pb.ModelService_WatchModelsServer) error {
			for _, event := range events(
				pb.ModelEventKind_MODEL_EVENT_KIND_INITIAL, pb.ModelEventKind_MODEL_EVENT_KIND_SYNCED,
			) {
				if err := call.Send(event); err != nil {
					return err
				}
			}
			<-call.Context().Done()
			return nil
		},
	}
}
