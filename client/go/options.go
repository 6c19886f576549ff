package sentinova

// The options of a client. This file must not make a connection.

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
)

const (
	// DefaultAddress is where a server listens unless it was told otherwise.
	DefaultAddress = "127.0.0.1:8001"
	// DefaultTimeout is the deadline of calls whose context has none, unless [WithTimeout] says otherwise.
	DefaultTimeout = 30 * time.Second
	// MaxAttempts is how often a call is made in all while the server is UNAVAILABLE, unless [WithAttempts] says
	// otherwise. gRPC itself allows no more.
	MaxAttempts = 5
	// DefaultMaxResponseBytes is the size of the largest response taken, unless [WithMaxResponseBytes] says otherwise.
	DefaultMaxResponseBytes = 64 << 20

	defaultFirstBackoff = 200 * time.Millisecond
)

// An Option is a setting of a [Client].
type Option func(*settings) error

type settings struct {
	tls              *tls.Config // nil: no TLS
	timeout          time.Duration
	attempts         int
	firstBackoff     time.Duration // mean wait before the second attempt
	maxResponseBytes int
	metadata         []string // keys and values in turn
	onReconnect      func(error)
	dial             []grpc.DialOption
}

// WithTLS secures the connection. The zero [TLS] trusts what the operating system trusts.
func WithTLS(security TLS) Option {
	return func(s *settings) (err error) {
		s.tls, err = security.config()
		return err
	}
}

// WithTLSConfig secures the connection with settings of the caller's own, for certificates that are not in files.
func WithTLSConfig(config *tls.Config) Option {
	return func(s *settings) error {
		if config == nil {
			return errors.New("WithTLSConfig needs a configuration; WithTLS(TLS{}) has one")
		}
		s.tls = config
		return nil
	}
}

// WithTimeout sets the deadline of calls whose context has none; for a stream, the longest wait for the next answer
// while documents wait for theirs. 0: no limit.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) error {
		if timeout < 0 {
			return fmt.Errorf("a timeout is not negative: %v is", timeout)
		}
		s.timeout = timeout
		return nil
	}
}

// WithAttempts sets how often a call is made in all while the server is UNAVAILABLE, from 1 to [MaxAttempts]. 1 turns
// everything off that waits for a server: calls, streams and watches then fail at once where it cannot be reached.
func WithAttempts(attempts int) Option {
	return func(s *settings) error {
		if attempts < 1 || attempts > MaxAttempts {
			return fmt.Errorf("attempts are from 1 to %d: %d are not", MaxAttempts, attempts)
		}
		s.attempts = attempts
		return nil
	}
}

// WithMetadata sends keys and values with every call: WithMetadata("authorization", "Bearer …"). It may be given more
// than once.
func WithMetadata(keysAndValues ...string) Option {
	return func(s *settings) error {
		if len(keysAndValues)%2 != 0 {
			return errors.New("WithMetadata takes keys and values in turn: the last key has no value")
		}
		for index := 0; index < len(keysAndValues); index += 2 {
			if key := keysAndValues[index]; key == "" || key != strings.ToLower(key) {
				return fmt.Errorf("metadata keys are lower case: %q is not", key)
			}
		}
		s.metadata = append(s.metadata, keysAndValues...)
		return nil
	}
}

// WithMaxResponseBytes sets the size of the largest response taken, in bytes.
func WithMaxResponseBytes(size int) Option {
	return func(s *settings) error {
		if size < 1 {
			return fmt.Errorf("the largest response has 1 byte or more, not %d", size)
		}
		s.maxResponseBytes = size
		return nil
	}
}

// WithOnReconnect sets a function that is told why a stream or a watch ended each time before it is opened again. A
// server that ended a watch as it stopped gives nil.
func WithOnReconnect(told func(error)) Option {
	return func(s *settings) error {
		s.onReconnect = told
		return nil
	}
}

// WithDialOptions hands settings to gRPC itself: interceptors, statistics, credentials for each call. They win over
// those of this package.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) error {
		s.dial = append(s.dial, options...)
		return nil
	}
}

func newSettings(options []Option) (*settings, error) {
	made := &settings{
		timeout:          DefaultTimeout,
		attempts:         MaxAttempts,
		firstBackoff:     defaultFirstBackoff,
		maxResponseBytes: DefaultMaxResponseBytes,
		onReconnect:      func(error) {},
	}
	for _, option := range options {
		if err := option(made); err != nil {
			return nil, err
		}
	}
	if made.onReconnect == nil {
		made.onReconnect = func(error) {}
	}
	return made, nil
}
