package main

import (
	"encoding/json"
	"errors"
	"io"
	"sync"

	sentinova "github.com/sentinova/sentinova/client/go"
)

type resultLine struct {
	ID         string             `json:"id"`
	Outcome    string             `json:"outcome"`
	Label      string             `json:"label"`
	Score      float32            `json:"score"`
	Scores     map[string]float32 `json:"scores"`
	Model      string             `json:"model"`
	Version    int64              `json:"version"`
	TokenCount int                `json:"token_count"`
	Truncated  bool               `json:"truncated"`
}

type errorLine struct {
	ID         string            `json:"id"`
	Outcome    string            `json:"outcome"`
	Code       string            `json:"code"`
	Reason     string            `json:"reason"`
	Field      string            `json:"field"`
	Message    string            `json:"message"`
	Metadata   map[string]string `json:"metadata"`
	RetryAfter *float64          `json:"retry_after_seconds"`
}

type healthLine struct {
	Service string `json:"service"`
	Status  string `json:"status"`
}

type modelLine struct {
	Model          string        `json:"model"`
	DefaultVersion int64         `json:"default_version"`
	Versions       []versionLine `json:"versions"`
}

type versionLine struct {
	Version int64    `json:"version"`
	State   string   `json:"state"`
	Labels  []string `json:"labels"`
}

type eventLine struct {
	Kind    string `json:"kind"`
	Model   string `json:"model"`
	Version int64  `json:"version"`
	State   string `json:"state"`
}

// lines writes JSON objects, each at once, from any goroutine.
type lines struct {
	mutex   sync.Mutex
	encoder *json.Encoder
	err     error
}

func newLines(output io.Writer) *lines {
	encoder := json.NewEncoder(output)
	encoder.SetEscapeHTML(false)
	return &lines{encoder: encoder}
}

func (l *lines) write(line any) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err := l.encoder.Encode(line); err != nil && l.err == nil {
		l.err = err
	}
}

// failure gives the first error of writing.
func (l *lines) failure() error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.err
}

// outcome writes what became of a document.
func (l *lines) outcome(id string, result *sentinova.Result, err error) {
	if err != nil {
		l.write(makeErrorLine(id, err))
		return
	}
	scores := map[string]float32{}
	for _, each := range result.Scores {
		scores[each.Label] = each.Score
	}
	l.write(resultLine{
		ID:         id,
		Outcome:    "result",
		Label:      result.Label,
		Score:      result.Score,
		Scores:     scores,
		Model:      result.Model,
		Version:    result.Version,
		TokenCount: result.TokenCount,
		Truncated:  result.Truncated,
	})
}

func makeErrorLine(id string, err error) errorLine {
	line := errorLine{ID: id, Outcome: "error", Code: "UNKNOWN", Message: err.Error(), Metadata: map[string]string{}}
	var failure *sentinova.Error
	if !errors.As(err, &failure) {
		return line
	}
	line.Code, line.Reason, line.Field = failure.CodeName(), string(failure.Reason), failure.Field
	line.Message, line.Metadata = failure.Message, failure.Metadata
	if failure.RetryAfter > 0 {
		seconds := failure.RetryAfter.Seconds()
		line.RetryAfter = &seconds
	}
	return line
}
