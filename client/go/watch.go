package sentinova

// The watch of models: what is so, and then every change, over one call after the other where one ends.

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/sentinova/sentinova/client/go/sentinova/v1"
)

// An EventKind says what a [ModelEvent] tells.
type EventKind string

// The kinds of events.
const (
	// EventUnknown: a kind that this package is too old to know.
	EventUnknown EventKind = "UNKNOWN"
	// EventInitial: how things were when the watch began.
	EventInitial EventKind = "INITIAL"
	// EventSynced: all that was so has been told; changes follow.
	EventSynced EventKind = "SYNCED"
	// EventState: a version entered a state.
	EventState EventKind = "STATE"
	// EventTraffic: labels, weights or the shadow of a model changed.
	EventTraffic EventKind = "TRAFFIC"
	// EventRollback: a version was taken out of service.
	EventRollback EventKind = "ROLLBACK"
	// EventWarning: a changed version could not be loaded and serves on as it was, or a model as a whole is ill.
	EventWarning EventKind = "WARNING"
)

// A ModelEvent is what a watch of models tells.
type ModelEvent struct {
	// Kind is what this tells.
	Kind EventKind
	// Model is the name of the model. Empty for EventSynced.
	Model string
	// Version is the number of the version. 0: the model as a whole.
	Version int64
	// State is the state that the version is in. Empty where there is no version.
	State VersionState
	// Message says why, where there is something to say.
	Message string
	// Time is when it came to be. Zero where the server does not tell.
	Time time.Time
	// DefaultVersion is the version that answers by default after this. 0: none does.
	DefaultVersion int64
}

// WatchModels tells what is so, and then every change as it comes, until ctx ends or the caller leaves the loop.
// Without names it tells of all models.
//
//	for event, err := range client.WatchModels(ctx) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(event.Model, event.Version, event.State)
//	}
//
// First come events of the kind [EventInitial], one for each version, or for a model without any; then one
// [EventSynced]; then the changes. Where the server goes away or stops, the watch begins anew once it is back, and
// tells again how things are: what changed in between is in its EventInitial events. An error is the last thing that
// it gives; where ctx was cancelled, it is [context.Canceled] by [errors.Is].
func (c *Client) WatchModels(ctx context.Context, names ...string) iter.Seq2[ModelEvent, error] {
	return func(yield func(ModelEvent, error) bool) {
		pause := firstWatchWait
		for {
			told, err := c.watchOnce(ctx, names, yield)
			if errors.Is(err, errLeft) {
				return
			}
			if told {
				pause = firstWatchWait
			}
			wait, again := c.watchAgain(ctx, err, pause)
			if !again {
				if err != nil {
					yield(ModelEvent{}, err)
				}
				return
			}
			c.settings.onReconnect(err)
			if !sleep(ctx, wait) {
				yield(ModelEvent{}, errorFromContext(ctx))
				return
			}
			pause = min(2*pause, longestWatchWait)
		}
	}
}

// watchOnce makes one call, and gives its events to the caller. It tells whether there were any, and how the call
// ended: nil where the server ended it as it stopped, errLeft where the caller has left.
func (c *Client) watchOnce(
	ctx context.Context, names []string, yield func(ModelEvent, error) bool,
) (told bool, err error) {
	ctx, cancel := context.WithCancel(c.withMetadata(ctx))
	defer cancel()
	watch, err := c.models.WatchModels(ctx, &pb.WatchModelsRequest{Names: names})
	for err == nil {
		var event *pb.WatchModelsResponse
		if event, err = watch.Recv(); err != nil {
			break
		}
		told = true
		if !yield(makeModelEvent(event), nil) {
			return told, errLeft
		}
	}
	if errors.Is(err, io.EOF) {
		return told, nil
	}
	return told, errorFromRPC(err)
}

// watchAgain tells whether a watch that ended this way is to begin anew, and after which wait.
func (c *Client) watchAgain(ctx context.Context, err error, pause time.Duration) (time.Duration, bool) {
	if c.settings.attempts == 1 {
		return 0, false
	}
	var failure *Error
	if !errors.As(err, &failure) {
		return jittered(pause), true
	}
	switch {
	case failure.Code == codes.Unavailable, failure.Code == codes.Aborted, c.cancelledByServer(ctx, failure):
		return min(max(jittered(pause), failure.RetryAfter), longestWatchWait), true
	}
	return 0, false
}

func makeModelEvent(message *pb.WatchModelsResponse) ModelEvent {
	event := ModelEvent{
		Kind:           EventUnknown,
		Model:          message.GetModel(),
		Version:        message.GetVersion(),
		Message:        message.GetMessage(),
		Time:           makeTime(message.GetTime()),
		DefaultVersion: message.GetDefaultVersion(),
	}
	name, known := pb.ModelEventKind_name[int32(message.GetKind())]
	if known && message.GetKind() != pb.ModelEventKind_MODEL_EVENT_KIND_UNSPECIFIED {
		event.Kind = EventKind(strings.TrimPrefix(name, "MODEL_EVENT_KIND_"))
	}
	if message.GetState() != pb.ModelVersionState_MODEL_VERSION_STATE_UNSPECIFIED {
		event.State = makeState(message.GetState())
	}
	return event
}
