package sentinova

// The options of a single call: which model answers, and how. This file must not make a call.

import (
	"unicode/utf8"

	"google.golang.org/grpc/codes"

	pb "github.com/sentinova/sentinova/client/go/sentinova/v1"
)

// DefaultMaxInFlight is the number of documents of a stream that are under way at once, unless [WithMaxInFlight] says
// otherwise.
const DefaultMaxInFlight = 256

// An AnalyzeOption says which model answers, and how. It is also a [StreamOption].
type AnalyzeOption interface {
	StreamOption
	applyAnalyze(*pb.AnalysisConfig) error
}

// A StreamOption sets how a stream works. Every [AnalyzeOption] is one.
type StreamOption interface {
	applyStream(*streamSettings) error
}

type streamSettings struct {
	config      *pb.AnalysisConfig
	ordered     bool
	maxInFlight int
}

type analyzeOption func(*pb.AnalysisConfig) error

func (set analyzeOption) applyAnalyze(config *pb.AnalysisConfig) error { return set(config) }

func (set analyzeOption) applyStream(settings *streamSettings) error { return set(settings.config) }

type streamOption func(*streamSettings) error

func (set streamOption) applyStream(settings *streamSettings) error { return set(settings) }

// WithModel names the model that is to answer. Without it, the server's default model does.
func WithModel(name string) AnalyzeOption {
	return analyzeOption(func(config *pb.AnalysisConfig) error {
		config.Model = name
		return checkUnicode("config.model", name)
	})
}

// WithVersion asks for a version of the model, 1 or more. Without it or [WithVersionLabel], the model's traffic weights
// choose, and where it has none, the highest available version answers.
func WithVersion(number int64) AnalyzeOption {
	return analyzeOption(func(config *pb.AnalysisConfig) error {
		if _, both := config.VersionChoice.(*pb.AnalysisConfig_Label); both {
			return versionAndLabel()
		}
		config.VersionChoice = &pb.AnalysisConfig_Version{Version: number}
		return nil
	})
}

// WithVersionLabel asks for the version that has a label: "stable", "canary".
func WithVersionLabel(label string) AnalyzeOption {
	return analyzeOption(func(config *pb.AnalysisConfig) error {
		if _, both := config.VersionChoice.(*pb.AnalysisConfig_Version); both {
			return versionAndLabel()
		}
		config.VersionChoice = &pb.AnalysisConfig_Label{Label: label}
		return checkUnicode("config.label", label)
	})
}

// WithTruncation has the model read the first tokens of a text that is too long for it; [Result.Truncated] tells.
// Without it, such a text is an error ([ErrTextTooLong]).
func WithTruncation() AnalyzeOption {
	return analyzeOption(func(config *pb.AnalysisConfig) error {
		config.LongTextPolicy = pb.LongTextPolicy_LONG_TEXT_POLICY_TRUNCATE
		return nil
	})
}

// WithPriority gives the texts a level, 1 the highest. 0 is the model's default level, the only one where it has none.
func WithPriority(level uint32) AnalyzeOption {
	return analyzeOption(func(config *pb.AnalysisConfig) error {
		config.Priority = level
		return nil
	})
}

// WithRoutingKey has the model's traffic weights choose the same version for the same key, the id of a user say. A key
// has at most 256 bytes.
func WithRoutingKey(key string) AnalyzeOption {
	return analyzeOption(func(config *pb.AnalysisConfig) error {
		config.RoutingKey = key
		return checkUnicode("config.routing_key", key)
	})
}

// WithOrder has a stream give its answers in the order of the input: those that come early are held back.
func WithOrder() StreamOption {
	return streamOption(func(settings *streamSettings) error {
		settings.ordered = true
		return nil
	})
}

// WithMaxInFlight sets how many documents of a stream are read from its input and not yet given back as answers, at
// most.
func WithMaxInFlight(count int) StreamOption {
	return streamOption(func(settings *streamSettings) error {
		if count < 1 {
			return newError(codes.InvalidArgument, ErrInvalidField, "WithMaxInFlight: it must be 1 or more")
		}
		settings.maxInFlight = count
		return nil
	})
}

func checkUnicode(field, text string) error {
	if utf8.ValidString(text) {
		return nil
	}
	failure := newError(codes.InvalidArgument, ErrInvalidField, field+" is not valid UTF-8")
	failure.Field = field
	return failure
}

func versionAndLabel() error {
	return newError(codes.InvalidArgument, ErrInvalidField, "give the version or its label, not both")
}

func newAnalysisConfig(options []AnalyzeOption) (*pb.AnalysisConfig, error) {
	config := &pb.AnalysisConfig{}
	for _, option := range options {
		if err := option.applyAnalyze(config); err != nil {
			return nil, err
		}
	}
	return config, nil
}

func newStreamSettings(options []StreamOption) (*streamSettings, error) {
	settings := &streamSettings{config: &pb.AnalysisConfig{}, maxInFlight: DefaultMaxInFlight}
	for _, option := range options {
		if err := option.applyStream(settings); err != nil {
			return nil, err
		}
	}
	return settings, nil
}
