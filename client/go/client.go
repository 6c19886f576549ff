package sentinova

// The client: its connection, and the calls that have one answer.

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"

	pb "github.com/sentinova/sentinova/client/go/sentinova/v1"
)

// A Client is a client of a Sentinova server. Its methods may be called from many goroutines at once.
type Client struct {
	settings  *settings
	conn      *grpc.ClientConn
	sentiment pb.SentimentServiceClient
	models    pb.ModelServiceClient
}

// New makes a client. It connects with the first call.
//
// The address is host:port, [ipv6]:port, unix:/path, dns:///host:port, or another of gRPC's forms. New fails where an
// option makes no sense or a certificate cannot be read.
func New(address string, options ...Option) (*Client, error) {
	if err := checkAddress(address); err != nil {
		return nil, fmt.Errorf("sentinova: %w", err)
	}
	settings, err := newSettings(options)
	if err != nil {
		return nil, fmt.Errorf("sentinova: %w", err)
	}
	conn, err := grpc.NewClient(address, settings.dialOptions()...)
	if err != nil {
		return nil, fmt.Errorf("sentinova: %w", err)
	}
	return &Client{
		settings:  settings,
		conn:      conn,
		sentiment: pb.NewSentimentServiceClient(conn),
		models:    pb.NewModelServiceClient(conn),
	}, nil
}

// Close closes the connection and ends what runs on it.
func (c *Client) Close() error { return c.conn.Close() }

// Conn gives the connection, for use with generated stubs: what the server can do and this package has no method for.
// The timeout and the metadata of the client do not apply to such calls.
func (c *Client) Conn() grpc.ClientConnInterface { return c.conn }

// Analyze tells the sentiment of one text.
func (c *Client) Analyze(ctx context.Context, text string, options ...AnalyzeOption) (*Result, error) {
	config, err := newAnalysisConfig(options)
	if err != nil {
		return nil, err
	}
	document, failure := makeDocument("", text)
	if failure != nil {
		return nil, failure
	}
	request := &pb.AnalyzeSentimentRequest{Document: document, Config: config}
	response, err := call(ctx, c, c.sentiment.AnalyzeSentiment, request)
	if err != nil {
		return nil, err
	}
	return makeResult(response.GetResult()), nil
}

// AnalyzeBatch tells the sentiment of a list of texts in one call, which one version of the model answers. The server
// limits their number, to 1,024 unless it was told otherwise.
//
// It gives an [Outcome] for each text, in order: a bad text fails alone. The error is for the call as a whole.
func (c *Client) AnalyzeBatch(ctx context.Context, texts []string, options ...AnalyzeOption) ([]Outcome, error) {
	config, err := newAnalysisConfig(options)
	if err != nil {
		return nil, err
	}
	request, outcomes := makeBatch(texts, config)
	if len(request.Documents) == 0 {
		return outcomes, nil
	}
	response, err := call(ctx, c, c.sentiment.BatchAnalyzeSentiment, request)
	if err != nil {
		return nil, err
	}
	if err := fillBatch(outcomes, request, response.GetResults()); err != nil {
		return nil, err
	}
	return outcomes, nil
}

// call makes a call that may be made again. gRPC retries it by the service config; where that ends with the server
// saying that it will be back, or with a call that the server cancelled, it is made again here.
func call[Request, Response any](
	ctx context.Context,
	c *Client,
	method func(context.Context, Request, ...grpc.CallOption) (Response, error),
	request Request,
) (Response, error) {
	ctx, cancel := c.begin(ctx)
	defer cancel()
	for pace := c.newPace(); ; {
		response, err := method(ctx, request)
		if err == nil {
			return response, nil
		}
		failure := errorFromRPC(err)
		if !promised(failure) && !c.cancelledByServer(ctx, failure) {
			return response, failure // gRPC itself has retried what is retried
		}
		wait, again := pace.next(failure)
		if !again || endsWithin(ctx, wait) {
			return response, failure
		}
		if !sleep(ctx, wait) {
			return response, errorFromContext(ctx)
		}
	}
}

// begin gives the context of one call: with the client's timeout where it has no deadline, and with its metadata.
func (c *Client) begin(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = c.withMetadata(ctx)
	if _, has := ctx.Deadline(); has || c.settings.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.settings.timeout)
}

// cancelledByServer tells whether nobody here cancelled a call that was cancelled: the server does it with what it has
// not begun when it stops.
func (c *Client) cancelledByServer(ctx context.Context, failure *Error) bool {
	return failure.Code == codes.Canceled && ctx.Err() == nil && c.conn.GetState() != connectivity.Shutdown
}

func (c *Client) withMetadata(ctx context.Context) context.Context {
	if len(c.settings.metadata) == 0 {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, c.settings.metadata...)
}

func (c *Client) newPace() *pace {
	return &pace{attempts: c.settings.attempts, first: c.settings.firstBackoff}
}
