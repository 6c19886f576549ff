package sentinova_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"testing"

	sentinova "github.com/sentinova/sentinova/client/go"
)

// address is where the examples find a server.
var address string

func TestMain(m *testing.M) {
	at, stop, err := sentinova.ServeExamples()
	if err != nil {
		log.Fatal(err)
	}
	address = at
	code := m.Run()
	stop()
	os.Exit(code)
}

func ExampleClient_Analyze() {
	client, err := sentinova.New(address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	result, err := client.Analyze(context.Background(), "A quiet, lovely film.")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Label, result.Score, "by version", result.Version)

	_, err = client.Analyze(context.Background(), "")
	fmt.Println(errors.Is(err, sentinova.ErrTextEmpty))
	// Output:
	// positive 0.9 by version 2
	// true
}

func ExampleClient_AnalyzeBatch() {
	client, err := sentinova.New(address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	texts := []string{"Superb.", "", "Two hours I will not get back."}
	outcomes, err := client.AnalyzeBatch(context.Background(), texts, sentinova.WithModel("sentiment_en"))
	if err != nil {
		log.Fatal(err) // the call as a whole failed
	}
	for _, outcome := range outcomes {
		if outcome.Err != nil {
			fmt.Println("error:", outcome.Err) // this text alone failed
			continue
		}
		fmt.Println(outcome.Result.Label)
	}
	// Output:
	// positive
	// error: INVALID_ARGUMENT (TEXT_EMPTY): it is wrong
	// negative
}

func ExampleClient_Stream() {
	client, err := sentinova.New(address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	documents := []sentinova.Document{
		{ID: "first", Text: "Superb."},
		{ID: "second", Text: "Two hours I will not get back."},
	}
	for answer, err := range client.Stream(context.Background(), slices.Values(documents), sentinova.WithOrder()) {
		if err != nil {
			log.Fatal(err)
		}
		if answer.Err != nil {
			fmt.Println(answer.ID, "failed:", answer.Err)
			continue
		}
		fmt.Println(answer.ID, answer.Result.Label)
	}
	// Output:
	// first positive
	// second negative
}

func ExampleClient_WatchModels() {
	client, err := sentinova.New(address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	for event, err := range client.WatchModels(context.Background(), "m") {
		if err != nil {
			log.Fatal(err)
		}
		if event.Kind == sentinova.EventSynced {
			break
		}
		fmt.Println(event.Model, event.Version, event.State)
	}
	// Output:
	// m 2 LOADING
}

func ExampleError() {
	client, err := sentinova.New(address)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	_, err = client.Analyze(context.Background(), "")
	var failure *sentinova.Error
	if errors.As(err, &failure) {
		fmt.Println(failure.Code, failure.Reason, failure.Field, failure.RetryAfter)
	}
	// Output:
	// InvalidArgument TEXT_EMPTY document.text 0s
}
