package sentinova

// Conversion between the plain values of this package and the messages of the sentiment service. This file knows both
// shapes, and nothing else.

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	pb "github.com/sentinova/sentinova/client/go/sentinova/v1"
)

// makeDocument makes the message of a text, or the error that says why the text cannot be sent.
func makeDocument(id, text string) (*pb.Document, *Error) {
	if !utf8.ValidString(text) {
		failure := newError(codes.InvalidArgument, ErrTextNotUnicode, "the text is not valid UTF-8, and was not sent")
		failure.Field = "document.text"
		return nil, failure
	}
	return &pb.Document{Id: id, Text: text}, nil
}

// makeBatch makes the request for a list of texts, and the list of outcomes to fill in. A text that cannot be sent is
// left out of the request, and its error stands in the list already.
func makeBatch(texts []string, config *pb.AnalysisConfig) (*pb.BatchAnalyzeSentimentRequest, []Outcome) {
	request := &pb.BatchAnalyzeSentimentRequest{Config: config}
	outcomes := make([]Outcome, len(texts))
	for index, text := range texts {
		document, failure := makeDocument(strconv.Itoa(index), text)
		if failure != nil {
			outcomes[index].Err = failure
			continue
		}
		request.Documents = append(request.Documents, document)
	}
	return request, outcomes
}

// fillBatch puts the answers, which come in the order of the request, into the open places of outcomes.
func fillBatch(outcomes []Outcome, request *pb.BatchAnalyzeSentimentRequest, answers []*pb.DocumentResult) error {
	if len(answers) != len(request.GetDocuments()) {
		message := fmt.Sprintf("the server gave %d answers for %d documents", len(answers), len(request.GetDocuments()))
		return newError(codes.Internal, ErrUnexpectedAnswer, message)
	}
	for index := range outcomes {
		if outcomes[index].Err == nil {
			outcomes[index] = makeOutcome(answers[0])
			answers = answers[1:]
		}
	}
	return nil
}

// answered is what the answers of batches and of streams have in common.
type answered interface {
	GetResult() *pb.SentimentResult
	GetError() *spb.Status
}

func makeOutcome(answer answered) Outcome {
	switch {
	case answer.GetResult() != nil:
		return Outcome{Result: makeResult(answer.GetResult())}
	case answer.GetError() != nil:
		return Outcome{Err: errorFromStatus(answer.GetError())}
	}
	message := "the server's answer holds neither a result nor an error"
	return Outcome{Err: newError(codes.Internal, ErrUnexpectedAnswer, message)}
}

func makeResult(message *pb.SentimentResult) *Result {
	scores := make([]ClassScore, len(message.GetScores()))
	for index, each := range message.GetScores() {
		scores[index] = ClassScore{Label: each.GetLabel(), Score: each.GetScore()}
	}
	return &Result{
		Label:      message.GetLabel(),
		Score:      message.GetScore(),
		Scores:     scores,
		Model:      message.GetModel().GetName(),
		Version:    message.GetModel().GetVersion(),
		TokenCount: int(message.GetTokenCount()),
		Truncated:  message.GetTruncated(),
		Timings: Timings{
			Tokenization: message.GetTimings().GetTokenization().AsDuration(),
			Queue:        message.GetTimings().GetQueue().AsDuration(),
			Inference:    message.GetTimings().GetInference().AsDuration(),
		},
	}
}
