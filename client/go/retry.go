package sentinova

// The pace of what is tried again: after which failures, how often, and after how long a wait. This file knows errors
// and waits, and must not know what is tried. gRPC's own retries of single calls are in connection.go.

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
)

const (
	longestBackoff = 2 * time.Second
	longHeld       = 5 * time.Second

	firstWatchWait   = 250 * time.Millisecond
	longestWatchWait = 5 * time.Second
)

// promised tells whether the server itself says that it will be back: it is loading the model, or stopping.
func promised(failure *Error) bool {
	return failure.Code == codes.Unavailable && failure.RetryAfter > 0
}

// A pace counts the attempts at one thing.
type pace struct {
	attempts int // in all
	first    time.Duration
	failed   int // attempts that failed since something last went well
}

// reset notes that something went well.
func (p *pace) reset() { p.failed = 0 }

// held notes for how long an attempt went on before it failed. After a while it counts as having gone well: a stream
// without documents may be cut off now and then.
func (p *pace) held(duration time.Duration) {
	if duration > longHeld {
		p.reset()
	}
}

// next gives the wait before the next attempt, or false where there is to be none. A server that says that it will be
// back is asked for as long as there is time.
func (p *pace) next(failure *Error) (time.Duration, bool) {
	p.failed++
	if p.attempts <= 1 || p.failed >= p.attempts && !promised(failure) {
		return 0, false
	}
	if promised(failure) {
		return failure.RetryAfter + time.Duration(rand.Float64()*float64(failure.RetryAfter)/4), true
	}
	return jittered(doubled(p.first, p.failed, longestBackoff)), true
}

// doubled gives the wait after so many failures: each twice as long as the one before.
func doubled(first time.Duration, failures int, longest time.Duration) time.Duration {
	wait := first
	for range failures - 1 {
		if wait >= longest {
			break
		}
		wait *= 2
	}
	return min(wait, longest)
}

// jittered gives a wait by up to a fifth longer or shorter, so that clients do not come back all at once.
func jittered(wait time.Duration) time.Duration {
	return time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64()))
}

// sleep waits, and tells whether the context is still alive.
func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// endsWithin tells whether the deadline passes before a wait is over.
func endsWithin(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) <= wait
}
