// Command analyze tells the sentiment of the texts that it is given, or of the lines of its input.
//
//	go run ./examples/analyze "A quiet, lovely film." "Two hours I will not get back."
//	go run ./examples/analyze -model sentiment_en < reviews.txt
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"os/signal"
	"slices"
	"time"

	sentinova "github.com/sentinova/sentinova/client/go"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "analyze:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, input io.Reader, output io.Writer) error {
	flags := flag.NewFlagSet("analyze", flag.ContinueOnError)
	address := flags.String("address", sentinova.DefaultAddress, "where the server is: `host:port`")
	model := flags.String("model", "", "`name` of the model; empty: the server's default")
	ca := flags.String("tls-ca", "", "use TLS, and trust the certificates in this PEM `file`")
	timeout := flags.Duration("timeout", 10*time.Second, "the longest wait for an answer")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	options := []sentinova.Option{sentinova.WithTimeout(*timeout)}
	if *ca != "" {
		options = append(options, sentinova.WithTLS(sentinova.TLS{CAFile: *ca}))
	}
	client, err := sentinova.New(*address, options...)
	if err != nil {
		return err
	}
	defer client.Close()

	texts := slices.Values(flags.Args())
	var readError error
	if flags.NArg() == 0 {
		texts = lines(input, &readError)
	}
	stream := client.Stream(ctx, sentinova.Texts(texts), sentinova.WithModel(*model), sentinova.WithOrder())
	for answer, err := range stream {
		if err != nil {
			return err
		}
		if answer.Err != nil {
			fmt.Fprintf(output, "%s\t%v\n", answer.ID, answer.Err)
			continue
		}
		fmt.Fprintf(output, "%s\t%s\t%.4f\n", answer.ID, answer.Result.Label, answer.Result.Score)
	}
	return readError
}

// lines gives the lines of a file; failure is set, once all are given, where reading failed.
func lines(file io.Reader, failure *error) iter.Seq[string] {
	return func(yield func(string) bool) {
		scanner := bufio.NewScanner(file)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			if !yield(scanner.Text()) {
				return
			}
		}
		*failure = scanner.Err()
	}
}
