package sentinova

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/sentinova/sentinova/client/go/sentinova/v1"
)

type streamServer = pb.SentimentService_StreamAnalyzeSentimentServer

// answer says which text was read: it stands as the label.
func answer(document *pb.Document) *pb.StreamAnalyzeSentimentResponse {
	result := positive()
	result.Label = document.GetText()
	return &pb.StreamAnalyzeSentimentResponse{
		Id: document.GetId(), Outcome: &pb.StreamAnalyzeSentimentResponse_Result{Result: result},
	}
}

// read gives the next document of a stream, or nil at its end. The configuration is passed over.
func read(call streamServer) (*pb.Document, error) {
	for {
		request, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil || request.GetDocument() != nil {
			return request.GetDocument(), err
		}
	}
}

// echo answers each document as it comes.
func echo(call streamServer) error {
	for {
		document, err := read(call)
		if document == nil {
			return err
		}
		if err := call.Send(answer(document)); err != nil {
			return err
		}
	}
}

// numbered gives so many documents, the text of each its number.
func numbered(count int) iter.Seq[Document] {
	return func(yield func(Document) bool) {
		for index := range count {
			if !yield(Document{ID: fmt.Sprintf("doc-%d", index), Text: strconv.Itoa(index)}) {
				return
			}
		}
	}
}

// collect takes all of a stream.
func collect(stream iter.Seq2[Answer, error]) ([]Answer, error) {
	var answers []Answer
	for answer, err := range stream {
		if err != nil {
			return answers, err
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

// checkAnswers checks that each of so many numbered documents has one answer, its own.
func checkAnswers(t *testing.T, answers []Answer, count int) {
	t.Helper()
	seen := map[int]bool{}
	for _, each := range answers {
		number := strconv.Itoa(each.Index)
		switch {
		case each.Err != nil:
			t.Errorf("document %s: %v", number, each.Err)
		case each.Result.Label != number || each.ID != "doc-"+number:
			t.Errorf("document %s has the answer of %s, and the id %s", number, each.Result.Label, each.ID)
		case seen[each.Index]:
			t.Errorf("document %s has two answers", number)
		}
		seen[each.Index] = true
	}
	if len(seen) != count {
		t.Errorf("%d of %d documents have answers", len(seen), count)
	}
}

func TestStreamMatchesAnswersInAnyOrder(t *testing.T) {
	backwards := func(call streamServer) error {
		var documents []*pb.Document
		for {
			document, err := read(call)
			if err != nil {
				return err
			}
			if document == nil || len(documents) == 9 {
				for _, each := range slices.Backward(documents) {
					if err := call.Send(answer(each)); err != nil {
						return err
					}
				}
				documents = nil
			}
			if document == nil {
				return nil
			}
			documents = append(documents, document)
		}
	}
	client := (&fake{stream: backwards}).serve(t)
	answers, err := collect(client.Stream(within(t), numbered(100)))
	if err != nil {
		t.Fatal(err)
	}
	checkAnswers(t, answers, 100)
	if answers[0].Index == 0 {
		t.Error("the first answer was held back")
	}
	answers, err = collect(client.Stream(within(t), numbered(100), WithOrder(), WithMaxInFlight(10)))
	if err != nil {
		t.Fatal(err)
	}
	checkAnswers(t, answers, 100)
	if !slices.IsSortedFunc(answers, func(a, b Answer) int { return a.Index - b.Index }) {
		t.Error("the answers are out of order")
	}
}

func TestStreamSendsItsConfigurationFirst(t *testing.T) {
	var first *pb.StreamAnalyzeSentimentRequest
	var key []string
	server := &fake{stream: func(call streamServer) error {
		key = sent(call.Context(), "key")
		first, _ = call.Recv()
		return echo(call)
	}}
	client := server.serve(t, WithMetadata("key", "value"))
	if _, err := collect(client.Stream(within(t), numbered(1), WithModel("m"), WithPriority(3))); err != nil {
		t.Fatal(err)
	}
	if first.GetConfig().GetModel() != "m" || first.GetConfig().GetPriority() != 3 {
		t.Errorf("the first message is %v", first)
	}
	if !reflect.DeepEqual(key, []string{"value"}) {
		t.Errorf("the metadata is %q", key)
	}
}

func TestStreamWithoutDocumentsEnds(t *testing.T) {
	answers, err := collect((&fake{stream: echo}).serve(t).Stream(within(t), numbered(0)))
	if err != nil || len(answers) != 0 {
		t.Errorf("got %v, %v", answers, err)
	}
}

func TestStreamGoesOnAfterABadDocument(t *testing.T) {
	server := &fake{stream: func(call streamServer) error {
		for {
			document, err := read(call)
			if document == nil {
				return err
			}
			response := answer(document)
			if document.GetText() == "" {
				refused := refusal(codes.InvalidArgument, ErrTextEmpty, "document.text", 0)
				response.Outcome = &pb.StreamAnalyzeSentimentResponse_Error{Error: refused.Proto()}
			}
			if err := call.Send(response); err != nil {
				return err
			}
		}
	}}
	texts := slices.Values([]string{"a", "", "\xff", "b", "\xff"})
	answers, err := collect(server.serve(t).Stream(within(t), Texts(texts), WithOrder()))
	if err != nil || len(answers) != 5 {
		t.Fatalf("got %v, %v", answers, err)
	}
	for index, want := range []error{nil, ErrTextEmpty, ErrTextNotUnicode, nil, ErrTextNotUnicode} {
		if got := answers[index]; !errors.Is(got.Err, want) || got.ID != strconv.Itoa(index) {
			t.Errorf("answer %d is %+v, want %v", index, got, want)
		}
	}
}

func TestStreamThatIsOverKeepsWhatWasNotSent(t *testing.T) {
	// While the caller is busy with the first answer, the call ends, and the others have theirs without it.
	texts := slices.Values([]string{"a", "\xff", "\xff", "\xff", "\xff", "\xff", "\xff", "\xff", "\xff"})
	count := 0
	for answer, err := range (&fake{stream: echo}).serve(t).Stream(within(t), Texts(texts)) {
		if err != nil {
			t.Fatal(err)
		}
		count++
		if answer.Err == nil || count == 1 {
			time.Sleep(100 * time.Millisecond)
		}
	}
	if count != 9 {
		t.Errorf("%d answers", count)
	}
}

func TestStreamOfDocumentsThatAreNotSent(t *testing.T) {
	texts := slices.Values([]string{"\xff", "\xff", "\xff"})
	stream := (&fake{stream: echo}).serve(t).Stream(within(t), Texts(texts), WithMaxInFlight(1))
	if answers, err := collect(stream); err != nil || len(answers) != 3 {
		t.Errorf("got %v, %v", answers, err)
	}
}

func TestStreamReadsNoFurtherThanItMay(t *testing.T) {
	const most = 7
	full := make(chan struct{})
	server := &fake{stream: func(call streamServer) error {
		var documents []*pb.Document
		for range most {
			document, err := read(call)
			if err != nil {
				return err
			}
			documents = append(documents, document)
		}
		<-full
		for _, each := range documents {
			if err := call.Send(answer(each)); err != nil {
				return err
			}
		}
		return echo(call)
	}}
	var inFlight, highest atomic.Int32
	var filling sync.Once
	documents := func(yield func(Document) bool) {
		for document := range numbered(50) {
			now := inFlight.Add(1)
			highest.Store(max(highest.Load(), now))
			if now == most { // and now it has time to read too far
				filling.Do(func() { time.AfterFunc(50*time.Millisecond, func() { close(full) }) })
			}
			if !yield(document) {
				return
			}
		}
	}
	var answers []Answer
	for answer, err := range server.serve(t).Stream(within(t), documents, WithMaxInFlight(most)) {
		if err != nil {
			t.Fatal(err)
		}
		inFlight.Add(-1)
		answers = append(answers, answer)
	}
	checkAnswers(t, answers, 50)
	// The place of an answer is free just before the answer is taken.
	if highest.Load() < most || highest.Load() > most+1 {
		t.Errorf("%d documents were under way, want %d", highest.Load(), most)
	}
}

func TestStreamInputMayWaitForAnswers(t *testing.T) {
	next := make(chan Document, 1)
	next <- Document{Text: "0"}
	ctx := within(t)
	count := 0
	for answer, err := range (&fake{stream: echo}).serve(t).Stream(ctx, FromChannel(ctx, next)) {
		if err != nil {
			t.Fatal(err)
		}
		if count++; count == 20 {
			close(next)
			continue
		}
		next <- Document{Text: answer.Result.Label + "0"}
	}
	if count != 20 {
		t.Errorf("%d answers", count)
	}
}

func TestStreamMayBeLeftAtAnyTime(t *testing.T) {
	left := make(chan error, 1)
	server := &fake{stream: func(call streamServer) error {
		_ = echo(call)
		<-call.Context().Done()
		left <- call.Context().Err()
		return nil
	}}
	client := server.serve(t)
	before := runtime.NumGoroutine()
	endless := func(yield func(Document) bool) {
		for yield(Document{Text: "again"}) {
		}
	}
	count := 0
	for _, err := range client.Stream(within(t), endless) {
		if err != nil {
			t.Fatal(err)
		}
		if count++; count == 300 {
			break
		}
	}
	select {
	case <-left:
	case <-time.After(patient):
		t.Fatal("the server was not told")
	}
	checkGoroutines(t, before)
}

// checkGoroutines checks that no more goroutines run than before, or soon do not. A connection has some of its own.
func checkGoroutines(t *testing.T, before int) {
	t.Helper()
	const ofConnection = 12
	for deadline := time.Now().Add(patient); runtime.NumGoroutine() > before+ofConnection; {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			t.Fatalf("%d goroutines are left over:\n%s", runtime.NumGoroutine()-before, stacks)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestStreamsLeaveNoGoroutinesBehind(t *testing.T) {
	client := (&fake{stream: echo}).serve(t)
	before := runtime.NumGoroutine()
	for range 50 {
		for range client.Stream(within(t), numbered(20)) {
			break
		}
		if _, err := collect(client.Stream(within(t), numbered(3))); err != nil {
			t.Fatal(err)
		}
	}
	checkGoroutines(t, before)
}

func TestStreamIsOpenedAgainAndNothingIsLost(t *testing.T) {
	var calls, reconnects atomic.Int32
	server := &fake{stream: func(call streamServer) error {
		number := calls.Add(1)
		for count := 0; ; count++ {
			document, err := read(call)
			if document == nil {
				return err
			}
			if number < 4 && count == 25 { // it has been read, and gets no answer
				return status.Error(codes.Unavailable, "gone")
			}
			if count%3 == 0 && number < 4 {
				continue
			}
			if err := call.Send(answer(document)); err != nil {
				return err
			}
		}
	}}
	client := server.serve(t, WithOnReconnect(func(err error) {
		if status.Code(err) != codes.Unavailable {
			t.Errorf("told of %v", err)
		}
		reconnects.Add(1)
	}))
	answers, err := collect(client.Stream(within(t), numbered(200), WithMaxInFlight(40)))
	if err != nil {
		t.Fatal(err)
	}
	checkAnswers(t, answers, 200)
	if calls.Load() != 4 || reconnects.Load() != 3 {
		t.Errorf("%d calls, told of %d", calls.Load(), reconnects.Load())
	}
}

func TestStreamThatGetsOnMayBreakOffForEver(t *testing.T) {
	var calls atomic.Int32
	server := &fake{stream: func(call streamServer) error {
		calls.Add(1)
		document, err := read(call)
		if document == nil {
			return err
		}
		if err := call.Send(answer(document)); err != nil {
			return err
		}
		return status.Error(codes.Unavailable, "gone")
	}}
	answers, err := collect(server.serve(t).Stream(within(t), numbered(20)))
	if err != nil {
		t.Fatal(err)
	}
	checkAnswers(t, answers, 20)
	if calls.Load() < 20 {
		t.Errorf("%d calls", calls.Load())
	}
}

func TestStreamSurvivesARestartOfTheServer(t *testing.T) {
	var restarting sync.Once
	restart := make(chan struct{})
	slow := &fake{stream: func(call streamServer) error {
		for count := 0; ; count++ {
			document, err := read(call)
			if document == nil {
				return err
			}
			if count == 30 {
				restarting.Do(func() { close(restart) })
			}
			if rand.IntN(4) == 0 {
				time.Sleep(time.Millisecond)
			}
			if err := call.Send(answer(document)); err != nil {
				return err
			}
		}
	}}
	address, first := slow.serveAt(t, "127.0.0.1:0")
	go func() {
		<-restart
		first.Stop()
		slow.serveAt(t, address)
	}()
	answers, err := collect(newTestClient(t, address).Stream(within(t), numbered(500)))
	if err != nil {
		t.Fatal(err)
	}
	checkAnswers(t, answers, 500)
}

func TestStreamGivesUp(t *testing.T) {
	away := func(streamServer) error { return status.Error(codes.Unavailable, "gone") }
	tests := []struct {
		name    string
		stream  func(streamServer) error
		options []Option
		calls   int32
		code    codes.Code
		reason  error
	}{
		{"after five attempts", away, nil, 5, codes.Unavailable, nil},
		{"at once without retries", away, []Option{WithAttempts(1)}, 1, codes.Unavailable, nil},
		{
			"at an error that stays",
			func(streamServer) error { return refusal(codes.NotFound, ErrModelNotFound, "", 0).Err() },
			nil, 1, codes.NotFound, ErrModelNotFound,
		},
		{"at an early end", func(streamServer) error { return nil }, nil, 1, codes.Internal, ErrStreamCut},
		{
			"at the answer of another",
			func(call streamServer) error { return call.Send(answer(&pb.Document{Id: "99"})) },
			nil, 1, codes.Internal, ErrUnexpectedAnswer,
		},
		{
			"at an answer without an id",
			func(call streamServer) error { return call.Send(answer(&pb.Document{})) },
			nil, 1, codes.Internal, ErrUnexpectedAnswer,
		},
		{
			"where no answer comes",
			func(call streamServer) error {
				<-call.Context().Done()
				return nil
			},
			[]Option{WithTimeout(100 * time.Millisecond)}, 1, codes.DeadlineExceeded, context.DeadlineExceeded,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var calls atomic.Int32
			server := &fake{stream: func(call streamServer) error {
				calls.Add(1)
				return test.stream(call)
			}}
			answers, err := collect(server.serve(t, test.options...).Stream(context.Background(), numbered(3)))
			if len(answers) != 0 || status.Code(err) != test.code || calls.Load() != test.calls {
				t.Errorf("%d answers, %d calls, %v", len(answers), calls.Load(), err)
			}
			if test.reason != nil && !errors.Is(err, test.reason) {
				t.Errorf("got %v, want %v", err, test.reason)
			}
		})
	}
}

func TestStreamWaitsForALoadingServer(t *testing.T) {
	var calls atomic.Int32
	server := &fake{stream: func(call streamServer) error {
		if calls.Add(1) <= 12 {
			return refusal(codes.Unavailable, ErrModelLoading, "", time.Millisecond).Err()
		}
		return echo(call)
	}}
	answers, err := collect(server.serve(t).Stream(within(t), numbered(10)))
	if err != nil {
		t.Fatal(err)
	}
	checkAnswers(t, answers, 10)
}

func TestStreamEndsWithItsContext(t *testing.T) {
	stuck := &fake{stream: func(call streamServer) error {
		<-call.Context().Done()
		return status.FromContextError(call.Context().Err()).Err()
	}}
	client := stuck.serve(t)
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(within(t))
		time.AfterFunc(50*time.Millisecond, cancel)
		if _, err := collect(client.Stream(ctx, numbered(3))); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("past its deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if _, err := collect(client.Stream(ctx, numbered(3))); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("while its input is blocked", func(t *testing.T) {
		ctx, cancel := context.WithCancel(within(t))
		time.AfterFunc(50*time.Millisecond, cancel)
		if _, err := collect(client.Stream(ctx, FromChannel(ctx, nil))); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestStreamTellsWhyThereIsNoConnection(t *testing.T) {
	client := newTestClient(t, freeAddress(t), WithTimeout(300*time.Millisecond))
	_, patience := collect(client.Stream(context.Background(), numbered(1)))
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, deadline := collect(client.Stream(ctx, numbered(1)))
	for _, err := range []error{patience, deadline} {
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("got %v", err)
		}
	}
}

func TestSlowCallerIsNoTimeout(t *testing.T) {
	client := (&fake{stream: echo}).serve(t, WithTimeout(200*time.Millisecond))
	var answers []Answer
	for answer, err := range client.Stream(context.Background(), numbered(5)) {
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(250 * time.Millisecond)
		answers = append(answers, answer)
	}
	checkAnswers(t, answers, 5)
}

func TestOptionsOfAStreamAreChecked(t *testing.T) {
	client := (&fake{}).serve(t)
	for _, options := range [][]StreamOption{{WithMaxInFlight(0)}, {WithVersion(1), WithVersionLabel("x")}} {
		if _, err := collect(client.Stream(within(t), numbered(1), options...)); !errors.Is(err, ErrInvalidField) {
			t.Errorf("got %v", err)
		}
	}
}

func TestStreamTakesLongTexts(t *testing.T) {
	// More than HTTP/2's windows hold: the server reads only as its answers are taken.
	text := strings.Repeat("long ", 20_000)
	documents := func(yield func(string) bool) {
		for range 40 {
			if !yield(text) {
				return
			}
		}
	}
	answers, err := collect((&fake{stream: echo}).serve(t).Stream(within(t), Texts(documents)))
	if err != nil || len(answers) != 40 {
		t.Errorf("%d answers, %v", len(answers), err)
	}
}
