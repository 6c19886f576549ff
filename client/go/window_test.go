package sentinova

import (
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/sentinova/sentinova/client/go/sentinova/v1"
)

// unsent takes what a window has to send.
func unsent(w *window) []string {
	var ids []string
	for {
		document, _ := w.next()
		if document == nil {
			return ids
		}
		ids = append(ids, document.GetId())
	}
}

func TestWindowSendsAgainWhatHasNoAnswer(t *testing.T) {
	w := newWindow(false)
	for _, text := range []string{"0", "1", "\xff", "3", "4"} {
		w.admit(Document{Text: text})
	}
	if got := unsent(w); !slices.Equal(got, []string{"0", "1", "3", "4"}) {
		t.Errorf("it sends %q", got)
	}
	if _, failure := w.receive(answer(&pb.Document{Id: "1"})); failure != nil {
		t.Fatal(failure)
	}
	w.admit(Document{Text: "5"})
	w.resend()
	if got := unsent(w); !slices.Equal(got, []string{"0", "3", "4", "5"}) {
		t.Errorf("it sends %q again", got)
	}
}

func TestWindowKnowsWhichAnswersItWaitsFor(t *testing.T) {
	w := newWindow(false)
	w.admit(Document{Text: "a"})
	w.admit(Document{Text: "\xff"})
	for _, id := range []string{"", "1", "2", "-1", "00", "+0", " 0", "0x0"} {
		if _, failure := w.receive(answer(&pb.Document{Id: id})); !errors.Is(failure, ErrUnexpectedAnswer) {
			t.Errorf("it takes an answer for %q", id)
		}
	}
	if answers, failure := w.receive(answer(&pb.Document{Id: "0"})); failure != nil || len(answers) != 1 {
		t.Errorf("got %v, %v", answers, failure)
	}
	if _, failure := w.receive(answer(&pb.Document{Id: "0"})); !errors.Is(failure, ErrUnexpectedAnswer) {
		t.Error("it takes a second answer")
	}
}

func TestPace(t *testing.T) {
	gone := newError(codes.Unavailable, "", "")
	pace := &pace{attempts: 3, first: time.Second}
	for _, most := range []time.Duration{1200 * time.Millisecond, 2400 * time.Millisecond} {
		if wait, again := pace.next(gone); !again || wait > most || wait < most*2/3 {
			t.Errorf("waits %v, %v; want up to %v", wait, again, most)
		}
	}
	if _, again := pace.next(gone); again {
		t.Error("it goes on after the last attempt")
	}
	pace.held(longHeld / 2)
	if _, again := pace.next(gone); again {
		t.Error("a short call counts as one that went well")
	}
	loading := newError(codes.Unavailable, ErrModelLoading, "")
	loading.RetryAfter = time.Second
	if wait, again := pace.next(loading); !again || wait < time.Second {
		t.Errorf("a server that will be back is asked again: %v, after %v", again, wait)
	}
	pace.held(2 * longHeld)
	if _, again := pace.next(gone); !again {
		t.Error("a long call does not count as one that went well")
	}
}
