package sentinova

// The stream of documents as its caller sees it, and the makers of its input. What happens meanwhile is in exchange.go.

import (
	"context"
	"errors"
	"iter"
)

// Stream tells the sentiment of documents as they come, in bounded memory, for as long as there are any.
//
//	for answer, err := range client.Stream(ctx, slices.Values(documents)) {
//		if err != nil {
//			return err // the stream failed: documents without an answer have none
//		}
//		if answer.Err != nil {
//			continue // this document failed; the stream goes on
//		}
//		fmt.Println(answer.ID, answer.Result.Label)
//	}
//
// Every document gets exactly one answer. Answers come as soon as they are ready, IN ANY ORDER: match them by Index or
// ID, or ask for [WithOrder]. Where the connection breaks off or the server stops, the stream is opened again, and the
// documents without an answer are sent again (see [WithAttempts]). An error is the last thing that a stream gives.
//
// The documents are read in another goroutine, no more than [WithMaxInFlight] ahead of the answers taken: the caller
// may take answers as slowly as it likes, and the input may wait for answers, with no deadlock. Leaving the loop ends
// the call. It does not wait for an input that is blocked: an input that can block for long should watch ctx itself, as
// [FromChannel] does. [Texts] takes texts alone.
//
// The deadline of ctx is that of the whole stream. Where it has none, the client's timeout is the longest wait for the
// next answer while documents wait for theirs.
func (c *Client) Stream(
	ctx context.Context, documents iter.Seq[Document], options ...StreamOption,
) iter.Seq2[Answer, error] {
	return func(yield func(Answer, error) bool) {
		settings, err := newStreamSettings(options)
		if err != nil {
			yield(Answer{}, err)
			return
		}
		exchange := newExchange(c, settings)
		if _, has := ctx.Deadline(); !has {
			exchange.timeout = c.settings.timeout
		}
		if err := exchange.run(c.withMetadata(ctx), documents, yield); err != nil && !errors.Is(err, errLeft) {
			yield(Answer{}, err)
		}
	}
}

// FromChannel gives the documents of a channel until it is closed or the context ends.
func FromChannel(ctx context.Context, documents <-chan Document) iter.Seq[Document] {
	return func(yield func(Document) bool) {
		for {
			select {
			case document, open := <-documents:
				if !open || !yield(document) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// Texts gives documents of texts, without ids.
func Texts(texts iter.Seq[string]) iter.Seq[Document] {
	return func(yield func(Document) bool) {
		for text := range texts {
			if !yield(Document{Text: text}) {
				return
			}
		}
	}
}
