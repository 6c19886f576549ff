package sentinova

// The documents of a stream that have no answer yet, and the matching of answers to them. This file knows indices, ids
// and times, and must not know calls. A window is used by two goroutines: one admits documents and sends them, the
// other one takes answers.

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/sentinova/sentinova/client/go/sentinova/v1"
)

type window struct {
	mutex    sync.Mutex
	waiting  map[int]*unanswered
	unsent   []int // of those, in the order in which they are to be sent
	admitted int
	ended    bool          // no document follows
	since    time.Time     // when the wait for the next answer began
	wake     chan struct{} // holds one: there is something new to send, or nothing follows
	ordered  bool
	held     map[int]Answer // answered before a predecessor was
	given    int            // answers given out in order
}

// unanswered is a document that waits for its answer.
type unanswered struct {
	id       string
	document *pb.Document // nil: it is not sent, as its answer is known already
}

func newWindow(ordered bool) *window {
	return &window{
		waiting: map[int]*unanswered{},
		wake:    make(chan struct{}, 1),
		ordered: ordered,
		held:    map[int]Answer{},
		since:   time.Now(),
	}
}

// admit takes in the next document. Where it cannot be sent, it gives the answer that says so.
func (w *window) admit(document Document) (Answer, bool) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	index := w.admitted
	w.admitted++
	id := document.ID
	if id == "" {
		id = strconv.Itoa(index)
	}
	message, failure := makeDocument(strconv.Itoa(index), document.Text)
	if len(w.waiting) == 0 {
		w.since = time.Now()
	}
	w.waiting[index] = &unanswered{id: id, document: message}
	if failure != nil {
		return Answer{Index: index, ID: id, Outcome: Outcome{Err: failure}}, true
	}
	w.unsent = append(w.unsent, index)
	w.rouse()
	return Answer{}, false
}

// endInput notes that no document follows.
func (w *window) endInput() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.ended = true
	w.rouse()
}

// rouse wakes the goroutine that sends.
func (w *window) rouse() {
	select {
	case w.wake <- struct{}{}:
	default: // it has not noticed the last time yet
	}
}

// next gives the next document to send, nil where there is none now, and whether none follows.
func (w *window) next() (document *pb.Document, ended bool) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for len(w.unsent) > 0 {
		index := w.unsent[0]
		w.unsent = w.unsent[1:]
		if entry := w.waiting[index]; entry != nil {
			return entry.document, false
		}
	}
	return nil, w.ended
}

// resend has everything that has no answer sent once more, in the order of the input.
func (w *window) resend() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.unsent = w.unsent[:0]
	for index, entry := range w.waiting {
		if entry.document != nil {
			w.unsent = append(w.unsent, index)
		}
	}
	slices.Sort(w.unsent)
	w.rouse()
}

// receive takes in an answer of the server, and gives those that may be given out now.
func (w *window) receive(response *pb.StreamAnalyzeSentimentResponse) ([]Answer, *Error) {
	index, err := strconv.Atoi(response.GetId())
	if err != nil || strconv.Itoa(index) != response.GetId() {
		index = -1
	}
	w.mutex.Lock()
	entry := w.waiting[index]
	w.mutex.Unlock()
	if entry == nil || entry.document == nil {
		message := fmt.Sprintf("the server answered document %q, which waits for no answer", response.GetId())
		return nil, newError(codes.Internal, ErrUnexpectedAnswer, message)
	}
	return w.settle(Answer{Index: index, ID: entry.id, Outcome: makeOutcome(response)}), nil
}

// settle takes in the answer of a document that waits for one, and gives those that may be given out now.
func (w *window) settle(answer Answer) []Answer {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	delete(w.waiting, answer.Index)
	w.since = time.Now()
	if !w.ordered {
		return []Answer{answer}
	}
	w.held[answer.Index] = answer
	var ready []Answer
	for {
		answer, known := w.held[w.given]
		if !known {
			return ready
		}
		delete(w.held, w.given)
		w.given++
		ready = append(ready, answer)
	}
}

// complete tells whether every document of the input has its answer.
func (w *window) complete() bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.ended && len(w.waiting) == 0
}

// resume notes that answers are waited for again, after the caller was busy with one.
func (w *window) resume() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.since = time.Now()
}

// patience gives how long to wait for the next answer before asking again, and how many documents wait for theirs. Zero
// or less: no answer came for longer than the limit.
func (w *window) patience(limit time.Duration) (left time.Duration, waiting int) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if len(w.waiting) == 0 && !w.ended {
		return limit, 0
	}
	return limit - time.Since(w.since), len(w.waiting)
}
