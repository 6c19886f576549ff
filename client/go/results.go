package sentinova

// What the server answers, as plain values. This file knows the shape of answers, and must not know protobuf.

import "time"

// A Result is the sentiment of one text.
type Result struct {
	// Label is the class with the highest score, as the model names it.
	Label string
	// Score is the score of Label, from 0 to 1.
	Score float32
	// Scores has every class of the model, in the model's order. They sum to 1.
	Scores []ClassScore
	// Model is the name of the model that answered.
	Model string
	// Version is the version of the model that answered.
	Version int64
	// TokenCount is the number of tokens that the model read, special tokens included.
	TokenCount int
	// Truncated tells whether the text was longer than the model reads, and its end was left out.
	Truncated bool
	// Timings tell where the time went.
	Timings Timings
}

// A ClassScore is a class of the model with its probability.
type ClassScore struct {
	// Label is the name of the class.
	Label string
	// Score is its probability, from 0 to 1.
	Score float32
}

// Timings tell where the time of one text went, as the server measured it.
type Timings struct {
	// Tokenization is the time of turning the text into token ids.
	Tokenization time.Duration
	// Queue is the wait for a free place in a batch.
	Queue time.Duration
	// Inference is the time of the model on the batch that held the text.
	Inference time.Duration
}

// An Outcome is what became of one text of a batch: exactly one of its fields is set.
type Outcome struct {
	// Result is the sentiment.
	Result *Result
	// Err says why there is none: an [*Error]. It concerns this text alone.
	Err error
}

// A Document is a text of a stream.
type Document struct {
	// ID is the caller's name for the document, given back with its answer. Empty: its position in the input, from 0.
	ID string
	// Text is the text, as plain Unicode.
	Text string
}

// An Answer is what became of one document of a stream. Either Result or Err is set.
type Answer struct {
	// Index is the position of the document in the input, from 0.
	Index int
	// ID is the caller's name for the document.
	ID string
	// Outcome holds the sentiment, or why there is none.
	Outcome
}
