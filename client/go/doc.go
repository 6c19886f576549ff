// Package sentinova is the Go client of Sentinova, a gRPC model server for text classification.
//
//	client, err := sentinova.New("127.0.0.1:8001")
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	result, err := client.Analyze(ctx, "A quiet, lovely film.")
//	if err != nil {
//		return err
//	}
//	fmt.Println(result.Label, result.Score)
//
// A [Client] is made once and shared: its methods may be called from many goroutines at once.
//
// # Deadlines
//
// A call whose context has no deadline gets the client's timeout, 30 s unless [WithTimeout] says otherwise. In
// [Client.Stream] the timeout is the longest wait for the next answer while documents wait for theirs. A watch has
// none.
//
// # Retries
//
// A server that cannot be reached is waited for until the deadline, and a call that the server did not answer because
// it is UNAVAILABLE is made up to five times in all, with growing, jittered waits. Where the server itself says that
// waiting helps, as it is loading the model or stopping, it is asked until the deadline. A stream that breaks off is
// opened again, and the documents that have no answer yet are sent again. [WithAttempts] changes this. No other error
// is retried: a full queue ([ErrQueueFull]) is the caller's to wait out.
//
// # Errors
//
// Everything that the server refuses is an [*Error], which holds the gRPC status code, a [Reason], and what else the
// server told. Each reason is an error to compare with:
//
//	if errors.Is(err, sentinova.ErrQueueFull) {
//		// wait and try again
//	}
//
// One bad text of a batch or a stream fails alone: its error stands in its place, and is no error of the call.
//
// # What this package leaves out
//
// Loading, unloading and the control of traffic: [Client.Conn] gives the connection for use with the generated stubs in
// the package sentinovav1.
package sentinova
