package io.sentinova.client;

import io.grpc.CallOptions;
import io.grpc.Deadline;
import io.grpc.Status;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.ClientResponseObserver;
import io.sentinova.v1.SentimentServiceGrpc;
import io.sentinova.v1.StreamAnalyzeSentimentRequest;
import io.sentinova.v1.StreamAnalyzeSentimentResponse;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/**
 * Both directions of a stream, over one call or, where the connection breaks, over several: what has no answer by then
 * is sent again by the next call, which is safe, as analyzing a text twice changes nothing.
 *
 * <p>The input is read in a thread of its own, requests are sent by whoever finds the call ready for them, answers are
 * matched in gRPC's threads and taken in the caller's. Everything but the two queues and the places is guarded by this
 * object's lock.
 */
final class Exchange {
    private final Calls calls;
    private final StreamOptions options;
    private final Iterator<Document> documents;
    private final Window window;
    private final Deadline deadline;
    private final CallOptions callOptions;
    private final Semaphore places;
    private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
    private final Deque<StreamAnalyzeSentimentRequest> outbox = new ArrayDeque<>();
    private final Waits waits = new Waits();
    private Attempt current; // null while the next call is waited for
    private boolean inputEnded;
    private Throwable inputFailure;
    private SentinovaException lastBreak;
    private boolean stopped;

    Exchange(Calls calls, StreamOptions options, Iterator<Document> documents, Window window) {
        this.calls = calls;
        this.options = options;
        this.documents = documents;
        this.window = window;
        this.deadline = options.deadline() == null
                ? null
                : Deadline.after(options.deadline().toNanos(), TimeUnit.NANOSECONDS);
        this.callOptions = CallOptions.DEFAULT.withDeadline(deadline);
        this.places = new Semaphore(options.maxInFlight());
    }

    /** What the caller gets to see next: an answer, or, where there is none, the end, with an error or without. */
    private record Event(Answer answer, Throwable error) {}

    /** Opens the first call and begins to read the input. */
    void start() {
        open();
        Thread reader = new Thread(this::readInput, "sentinova-stream");
        reader.setDaemon(true);
        reader.start();
    }

    /**
     * Waits for the next answer, and frees its place.
     *
     * @return the answer; null: that was all
     * @throws SentinovaException where the stream as a whole failed
     * @throws RuntimeException whatever the input threw
     */
    Answer next() {
        Event event = nextEvent();
        if (event.answer != null) {
            places.release();
            return event.answer;
        }
        events.add(event); // the end stays the end
        stop();
        if (event.error instanceof Error error) {
            throw error;
        }
        if (event.error instanceof RuntimeException error) {
            throw error;
        }
        return null;
    }

    /** Gives up what is under way. May be called from any thread, and twice. */
    synchronized void stop() {
        finish(null);
    }

    private Event nextEvent() {
        try {
            Event event = events.poll();
            while (event == null) {
                event = events.poll(patience(), TimeUnit.NANOSECONDS);
            }
            return event;
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            return new Event(
                    null,
                    SentinovaException.builder(Status.Code.CANCELLED, "the thread was interrupted")
                            .cause(interrupted)
                            .build());
        } catch (SentinovaException outOfTime) {
            return new Event(null, outOfTime);
        }
    }

    private synchronized long patience() {
        try {
            long left = window.patience();
            if (deadline == null) {
                return left;
            }
            long stream = deadline.timeRemaining(TimeUnit.NANOSECONDS);
            if (stream <= 0) {
                throw SentinovaException.builder(
                                Status.Code.DEADLINE_EXCEEDED,
                                "the stream took longer than " + options.deadline().toMillis() / 1e3 + " s")
                        .build();
            }
            return Math.min(left, stream);
        } catch (SentinovaException outOfTime) {
            if (lastBreak == null || current != null) {
                throw outOfTime;
            }
            throw SentinovaException.builder(
                            outOfTime.code(),
                            outOfTime.description() + "; the server was away: " + lastBreak.getMessage())
                    .cause(lastBreak)
                    .build();
        }
    }

    private void readInput() {
        Throwable failure = null;
        try {
            while (takePlace() && documents.hasNext()) {
                accept(documents.next());
            }
        } catch (RuntimeException | Error error) { // (the caller's own, thrown again in the caller's thread)
            failure = error;
        }
        endInput(failure);
    }

    private boolean takePlace() {
        places.acquireUninterruptibly();
        synchronized (this) {
            return !stopped;
        }
    }

    private synchronized void accept(Document document) {
        Window.Admission admission = window.admit(document);
        if (admission.error() != null) {
            handOut(window.settle(admission.index(), Outcome.of(admission.error())));
        } else {
            outbox.add(admission.message());
            send();
        }
    }

    private synchronized void endInput(Throwable failure) {
        inputEnded = true;
        inputFailure = failure;
        window.endInput();
        if (current == null && window.isComplete()) {
            finish(null);
        }
        send();
    }

    /** Sends what the call takes without filling up memory. */
    private void send() {
        if (current == null || !current.opened) {
            return;
        }
        while (!outbox.isEmpty() && current.requests.isReady()) {
            current.requests.onNext(outbox.poll());
        }
        if (inputEnded && outbox.isEmpty() && !current.halfClosed) {
            current.halfClosed = true;
            current.requests.onCompleted();
        }
    }

    private synchronized void open() {
        if (stopped) {
            return;
        }
        current = new Attempt();
        ClientCalls.asyncBidiStreamingCall(
                calls.begin(SentimentServiceGrpc.getStreamAnalyzeSentimentMethod(), callOptions), current);
        current.requests.onNext(StreamAnalyzeSentimentRequest.newBuilder()
                .setConfig(options.analysis().config())
                .build());
        current.opened = true;
        send();
    }

    private void openAgain() {
        try {
            open();
        } catch (IllegalStateException closed) {
            synchronized (this) {
                finish(calls.failure(closed));
            }
        }
    }

    private void handOut(List<Answer> answers) {
        for (Answer answer : answers) {
            events.add(new Event(answer, null));
        }
    }

    private void broken(SentinovaException failure) {
        current = null;
        if (!calls.isInterruption(failure)) {
            finish(failure);
        } else if (window.isComplete()) {
            finish(null);
        } else {
            lastBreak = failure;
            outbox.clear();
            outbox.addAll(window.unansweredMessages());
            long wait = waits.next(failure).toNanos();
            CompletableFuture.delayedExecutor(wait, TimeUnit.NANOSECONDS).execute(this::openAgain);
        }
    }

    private void finish(Throwable error) {
        if (stopped) {
            return;
        }
        stopped = true;
        events.add(new Event(null, inputFailure != null ? inputFailure : error));
        outbox.clear();
        places.release(); // (lets go the thread that reads the input)
        if (current != null) {
            current.requests.cancel("the stream was closed", null);
            current = null;
        }
    }

    /** One call. What it still says after its connection broke is not listened to. */
    private final class Attempt
            implements ClientResponseObserver<StreamAnalyzeSentimentRequest, StreamAnalyzeSentimentResponse> {
        private ClientCallStreamObserver<StreamAnalyzeSentimentRequest> requests;
        private boolean opened; // the configuration has been sent
        private boolean halfClosed;

        @Override
        public void beforeStart(ClientCallStreamObserver<StreamAnalyzeSentimentRequest> stream) {
            requests = stream;
            requests.setOnReadyHandler(this::onReady);
        }

        private void onReady() {
            synchronized (Exchange.this) {
                if (current == this) {
                    send();
                }
            }
        }

        @Override
        public void onNext(StreamAnalyzeSentimentResponse response) {
            synchronized (Exchange.this) {
                if (current != this) {
                    return;
                }
                waits.reset();
                try {
                    handOut(window.settle(response.getId(), Conversion.outcome(response)));
                } catch (SentinovaException unexpected) {
                    finish(unexpected);
                }
            }
        }

        @Override
        public void onError(Throwable failure) {
            synchronized (Exchange.this) {
                if (current == this) {
                    broken(calls.failure(failure));
                }
            }
        }

        @Override
        public void onCompleted() {
            synchronized (Exchange.this) {
                if (current != this) {
                    return;
                }
                current = null;
                finish(window.isComplete() ? null : streamCut());
            }
        }

        private SentinovaException streamCut() {
            return SentinovaException.builder(
                            Status.Code.INTERNAL, "the server ended the stream with documents unanswered")
                    .reason(Reason.STREAM_CUT)
                    .build();
        }
    }
}
