package sentinova

// Whether the server takes requests.

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// A HealthStatus is what a server says of its health.
type HealthStatus string

// The statuses of health.
const (
	// HealthUnknown: the server does not know.
	HealthUnknown HealthStatus = "UNKNOWN"
	// HealthServing: requests are taken.
	HealthServing HealthStatus = "SERVING"
	// HealthNotServing: requests are not taken: models are being loaded, or the server is stopping.
	HealthNotServing HealthStatus = "NOT_SERVING"
	// HealthServiceUnknown: there is no such service or model.
	HealthServiceUnknown HealthStatus = "SERVICE_UNKNOWN"
)

const (
	// A server that WaitReady waits for without a deadline gets this long.
	readyTimeout = 60 * time.Second

	longestCheck      = 5 * time.Second
	firstCheckPause   = 50 * time.Millisecond
	longestCheckPause = time.Second
)

// Health asks whether requests are taken: by the server as a whole (service ""), or by the model of that name. A server
// that cannot be reached is not waited for: that is an error.
func (c *Client) Health(ctx context.Context, service string) (HealthStatus, error) {
	if err := checkUnicode("service", service); err != nil {
		return HealthUnknown, err
	}
	ctx, cancel := c.begin(ctx)
	defer cancel()
	request := &grpc_health_v1.HealthCheckRequest{Service: service}
	response, err := grpc_health_v1.NewHealthClient(c.conn).Check(ctx, request)
	if err == nil {
		return HealthStatus(response.GetStatus().String()), nil
	}
	failure := errorFromRPC(err)
	if failure.Code == codes.NotFound {
		return HealthServiceUnknown, nil
	}
	return HealthUnknown, failure
}

// WaitReady waits until the server takes requests: until the deadline of ctx, or for a minute where it has none. The
// error is then [ErrNotReady].
func (c *Client) WaitReady(ctx context.Context) error {
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, readyTimeout)
		defer cancel()
	}
	for pause := firstCheckPause; ; pause = min(2*pause, longestCheckPause) {
		status, err := c.checkBriefly(ctx)
		if status == HealthServing {
			return nil
		}
		if ctx.Err() == nil && !passes(err) {
			return err
		}
		if !sleep(ctx, pause) {
			failure := errorFromContext(ctx)
			if failure.Code == codes.DeadlineExceeded {
				failure.Reason, failure.Message = ErrNotReady, "the server was not ready in time"
				failure.cause = errors.Join(failure.cause, err)
			}
			return failure
		}
	}
}

func (c *Client) checkBriefly(ctx context.Context) (HealthStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, longestCheck)
	defer cancel()
	return c.Health(ctx, "")
}

// passes tells whether a health check failed in a way that means "not ready": the server is away, or slow.
func passes(err error) bool {
	var failure *Error
	if !errors.As(err, &failure) {
		return true
	}
	return failure.Code == codes.Unavailable || failure.Code == codes.DeadlineExceeded
}
