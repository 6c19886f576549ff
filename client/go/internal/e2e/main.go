// Command e2e is the runner of the end-to-end tests: it reads what to do as one JSON object from its input, does it
// with the client's public interface, and writes what came of it, a JSON object a line. tests/e2e/README.md is its
// contract.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	sentinova "github.com/sentinova/sentinova/client/go"
)

// A task is what the runner reads.
type task struct {
	Scenario    string     `json:"scenario"`
	Address     string     `json:"address"`
	TLS         *tlsFiles  `json:"tls"`
	Timeout     *float64   `json:"timeout_seconds"`
	Documents   []document `json:"documents"`
	Config      config     `json:"config"`
	Concurrency int        `json:"concurrency"`
	Repeat      int        `json:"repeat"`
	CancelAfter float64    `json:"cancel_after_seconds"`
	Events      int        `json:"events"`
}

type tlsFiles struct {
	CAFile     string `json:"ca_file"`
	CertFile   string `json:"cert_file"`
	KeyFile    string `json:"key_file"`
	ServerName string `json:"server_name"`
}

type document struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

type config struct {
	Model      string `json:"model"`
	Version    *int64 `json:"version"`
	Label      string `json:"label"`
	RoutingKey string `json:"routing_key"`
	LongText   string `json:"long_text"`
	Priority   uint32 `json:"priority"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
}

func run(input io.Reader, output io.Writer) error {
	var read task
	if err := json.NewDecoder(input).Decode(&read); err != nil {
		return fmt.Errorf("the input: %w", err)
	}
	client, err := connect(read)
	if err != nil {
		return err
	}
	defer client.Close()
	scenarios := map[string]func(*runner) error{
		"unary":  (*runner).unary,
		"batch":  (*runner).batch,
		"stream": (*runner).stream,
		"cancel": (*runner).cancel,
		"health": (*runner).health,
		"models": (*runner).models,
		"watch":  (*runner).watch,
	}
	scenario, known := scenarios[read.Scenario]
	if !known {
		return fmt.Errorf("there is no scenario %q", read.Scenario)
	}
	runner := &runner{task: read, client: client, lines: newLines(output)}
	if err := scenario(runner); err != nil {
		return err
	}
	return runner.lines.failure()
}

func connect(read task) (*sentinova.Client, error) {
	var options []sentinova.Option
	if read.TLS != nil {
		options = append(options, sentinova.WithTLS(sentinova.TLS(*read.TLS)))
	}
	return sentinova.New(read.Address, options...)
}

// deadline gives the context of a call: with the task's deadline, or with none, so that the client's default counts.
func (t task) deadline() (context.Context, context.CancelFunc) {
	if t.Timeout == nil {
		return context.WithCancel(context.Background())
	}
	return context.WithTimeout(context.Background(), time.Duration(*t.Timeout*float64(time.Second)))
}

// options gives what the task's config asks for.
func (c config) options() []sentinova.AnalyzeOption {
	options := []sentinova.AnalyzeOption{
		sentinova.WithModel(c.Model), sentinova.WithRoutingKey(c.RoutingKey), sentinova.WithPriority(c.Priority),
	}
	if c.Version != nil {
		options = append(options, sentinova.WithVersion(*c.Version))
	}
	if c.Label != "" {
		options = append(options, sentinova.WithVersionLabel(c.Label))
	}
	if c.LongText == "truncate" {
		options = append(options, sentinova.WithTruncation())
	}
	return options
}
