package sentinova

// The exchange of documents for answers: the ones go out while the others come in, over one call after the other where
// one breaks off. This file knows goroutines and calls; which document waits for an answer, the window knows.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/sentinova/sentinova/client/go/sentinova/v1"
)

// errLeft: the caller has left the loop, and wants to hear no more.
var errLeft = errors.New("the caller has left")

// An exchange is one stream as its caller sees it, over as many calls as it takes.
type exchange struct {
	client  *Client
	config  *pb.AnalysisConfig
	window  *window
	places  chan struct{} // holds one for each document that is read and not given back
	refused chan Answer   // of documents that are not sent; has room for all that are under way
	timeout time.Duration // 0: the context's deadline alone
	pace    *pace
	yield   func(Answer, error) bool
}

// event is what a call tells: an answer, or its end.
type event struct {
	response *pb.StreamAnalyzeSentimentResponse // nil: the end
	err      error                              // io.EOF: the server ended the call without an error
}

func newExchange(client *Client, settings *streamSettings) *exchange {
	return &exchange{
		client:  client,
		config:  settings.config,
		window:  newWindow(settings.ordered),
		places:  make(chan struct{}, settings.maxInFlight),
		refused: make(chan Answer, settings.maxInFlight),
		pace:    client.newPace(),
	}
}

// run exchanges documents for answers until all have theirs.
func (e *exchange) run(ctx context.Context, documents iter.Seq[Document], yield func(Answer, error) bool) error {
	callers := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.yield = yield
	go func() {
		// An input that stops with the caller's context has been cut off; it has not come to its end.
		if e.feed(ctx, documents) && callers.Err() == nil {
			e.window.endInput()
		}
	}()
	for {
		began := time.Now()
		err := e.converse(ctx)
		if err == nil || e.window.complete() && !errors.Is(err, errLeft) {
			return nil // how the call ended does not matter any more where all is answered
		}
		failure, ours := err.(*Error)
		if !ours || !e.repeats(ctx, failure) {
			return err
		}
		e.pace.held(time.Since(began))
		wait, again := e.pace.next(failure)
		if !again || endsWithin(ctx, wait) {
			return failure
		}
		e.client.settings.onReconnect(failure)
		if err := e.await(ctx, nil, wait); err != nil {
			return err
		}
		e.window.resend()
	}
}

// repeats tells whether a call that ended this way is worth another one.
func (e *exchange) repeats(ctx context.Context, failure *Error) bool {
	return failure.Code == codes.Unavailable || e.client.cancelledByServer(ctx, failure)
}

// feed reads the documents, each once there is a place for it. It tells whether it has read them all.
func (e *exchange) feed(ctx context.Context, documents iter.Seq[Document]) bool {
	if !e.take(ctx) {
		return false
	}
	for document := range documents {
		if answer, refused := e.window.admit(document); refused {
			e.refused <- answer
		}
		if !e.take(ctx) {
			return false
		}
	}
	return true
}

// take waits for a place, and tells whether the stream goes on.
func (e *exchange) take(ctx context.Context) bool {
	select {
	case e.places <- struct{}{}:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// converse makes one call, and gives out what it answers. It returns once nothing of the call runs any more.
func (e *exchange) converse(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	events := make(chan event)
	var talking sync.WaitGroup
	var unopened error
	talking.Add(1)
	go func() {
		defer talking.Done()
		unopened = e.talk(ctx, events)
	}()
	defer func() {
		cancel()
		talking.Wait()
		var failure *Error
		if unopened != nil && errors.As(err, &failure) && failure.Code == codes.DeadlineExceeded {
			failure.Message += ": " + status.Convert(unopened).Message() // why there is no connection
		}
	}()
	return e.await(ctx, events, 0)
}

// await gives out what comes: until the call that sends the events ends, or, where it is nil, for so long.
func (e *exchange) await(ctx context.Context, events <-chan event, wait time.Duration) error {
	var over <-chan time.Time
	if events == nil {
		over = time.After(wait)
	}
	for {
		alarm, err := e.alarm()
		if err != nil {
			return err
		}
		select {
		case answer := <-e.refused:
			err = e.giveOut(e.window.settle(answer))
		case each := <-events:
			if each.response == nil {
				return e.end(each.err)
			}
			err = e.receive(each.response)
		case <-over:
			return nil
		case <-alarm:
		case <-ctx.Done():
			return errorFromContext(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// alarm gives what rings when it is time to look at the clock again, or an error where no answer came for too long.
func (e *exchange) alarm() (<-chan time.Time, error) {
	if e.timeout == 0 {
		return nil, nil
	}
	left, waiting := e.window.patience(e.timeout)
	if left <= 0 {
		message := fmt.Sprintf("no answer came for %v while %d documents waited for theirs", e.timeout, waiting)
		return nil, newError(codes.DeadlineExceeded, "", message)
	}
	return time.After(left), nil
}

// end takes in how a call ended: nil where all is answered.
func (e *exchange) end(err error) error {
	for len(e.refused) > 0 {
		if err := e.giveOut(e.window.settle(<-e.refused)); err != nil {
			return err
		}
	}
	switch {
	case !errors.Is(err, io.EOF):
		return errorFromRPC(err)
	case !e.window.complete():
		return newError(codes.Internal, ErrStreamCut, "the server ended the stream with documents unanswered")
	}
	return nil
}

func (e *exchange) receive(response *pb.StreamAnalyzeSentimentResponse) error {
	answers, failure := e.window.receive(response)
	if failure != nil {
		return failure
	}
	e.pace.reset()
	return e.giveOut(answers)
}

// giveOut gives answers to the caller, and frees the place of each.
func (e *exchange) giveOut(answers []Answer) error {
	for _, answer := range answers {
		<-e.places
		if !e.yield(answer, nil) {
			return errLeft
		}
	}
	e.window.resume() // what the caller took its time for is no fault of the server
	return nil
}

// talk makes a call, and tells what comes of it. It returns when the call has ended or the context has, with the error
// of a call that could not even be opened.
func (e *exchange) talk(ctx context.Context, events chan<- event) (unopened error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call, err := e.client.sentiment.StreamAnalyzeSentiment(ctx)
	if err != nil {
		tell(ctx, events, event{err: err})
		return err
	}
	var sending sync.WaitGroup
	sending.Add(1)
	go func() {
		defer sending.Done()
		e.send(ctx, call)
	}()
	defer sending.Wait()
	defer cancel() // before the wait: where the call has ended, there is nothing to send
	for {
		response, err := call.Recv()
		if err != nil {
			tell(ctx, events, event{err: err})
			return nil
		}
		if !tell(ctx, events, event{response: response}) {
			return nil
		}
	}
}

// tell hands over an event, and tells whether it was taken before the context ended.
func tell(ctx context.Context, events chan<- event, told event) bool {
	select {
	case events <- told:
		return true
	case <-ctx.Done():
		return false
	}
}

// send sends the configuration, and then documents until none follows. Where sending fails, the call has ended, and
// its receiving side tells why.
func (e *exchange) send(ctx context.Context, call pb.SentimentService_StreamAnalyzeSentimentClient) {
	request := &pb.StreamAnalyzeSentimentRequest{
		Content: &pb.StreamAnalyzeSentimentRequest_Config{Config: e.config},
	}
	for call.Send(request) == nil {
		document, ended := e.window.next()
		for document == nil && !ended {
			select {
			case <-e.window.wake:
				document, ended = e.window.next()
			case <-ctx.Done():
				return
			}
		}
		if document == nil {
			_ = call.CloseSend()
			return
		}
		request = &pb.StreamAnalyzeSentimentRequest{
			Content: &pb.StreamAnalyzeSentimentRequest_Document{Document: document},
		}
	}
}
