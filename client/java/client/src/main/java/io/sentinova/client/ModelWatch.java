package io.sentinova.client;

import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import io.sentinova.v1.ModelServiceGrpc;
import io.sentinova.v1.WatchModelsRequest;
import io.sentinova.v1.WatchModelsResponse;
import java.time.Duration;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * What is so with the models of a server, then {@link EventKind#SYNCED}, and then every change as it comes, without
 * end.
 *
 * <p>Where the server stops or goes away, another watch takes its place once it is back, and tells anew how things are:
 * what changed in between is in its {@link EventKind#INITIAL} events. {@link #close} ends it; use try-with-resources.
 * Can be iterated over once, by one thread; {@code close} may be called from any.
 */
public final class ModelWatch implements Iterable<ModelEvent>, AutoCloseable {
    private final Calls calls;
    private final WatchModelsRequest request;
    private final Waits waits = new Waits();
    private volatile Consumer<SentinovaException> listener = interruption -> {};
    private String told = ""; // the interruption that the listener knows of
    private Watching current;
    private boolean begun;
    private boolean closed;

    ModelWatch(Calls calls, WatchModelsRequest request) {
        this.calls = calls;
        this.request = request;
        this.current = new Watching();
    }

    /**
     * Has somebody told of interruptions: that the server went away, or stopped. It is told of each kind once until
     * events come again, in the thread that iterates. Without retries an interruption is thrown instead.
     *
     * @param listener is given why the watch was interrupted
     * @return this watch
     */
    public ModelWatch onInterruption(Consumer<SentinovaException> listener) {
        this.listener = Objects.requireNonNull(listener, "listener");
        return this;
    }

    /**
     * Gives the events. {@code hasNext} waits for the next one, gives false once the watch is closed, and throws a
     * {@link SentinovaException} where the watch ended with an error that will not pass by itself.
     *
     * @return the events
     * @throws IllegalStateException where it is called a second time
     */
    @Override
    public synchronized Iterator<ModelEvent> iterator() {
        if (begun) {
            throw new IllegalStateException("the events of a watch can be gone through once");
        }
        begun = true;
        return new Events();
    }

    /** Ends the watch. */
    @Override
    public synchronized void close() {
        closed = true;
        notifyAll();
        current.cancel();
    }

    /** Waits for the next event; null: the watch was closed. */
    private ModelEvent next() throws InterruptedException {
        while (true) {
            Message message = watching().take();
            if (isClosed()) {
                return null;
            }
            if (message.response != null) {
                waits.reset();
                told = "";
                return ModelConversion.event(message.response);
            }
            SentinovaException interruption = interruptionOf(message.end);
            tell(interruption);
            if (!pause(waits.next(interruption))) {
                return null;
            }
            begin();
        }
    }

    private SentinovaException interruptionOf(Status end) {
        SentinovaException error = end.isOk()
                ? SentinovaException.builder(Status.Code.UNAVAILABLE, "the server ended the watch").build()
                : calls.failure(end.asRuntimeException());
        boolean tooSlow = error.code() == Status.Code.ABORTED && calls.isRetrying();
        if (!tooSlow && !calls.isInterruption(error)) {
            close();
            throw error;
        }
        return error;
    }

    private void tell(SentinovaException interruption) {
        String kind = interruption.code() + interruption.reasonText();
        if (!kind.equals(told)) {
            told = kind;
            listener.accept(interruption);
        }
    }

    private synchronized boolean pause(Duration wait) throws InterruptedException {
        long end = System.nanoTime() + wait.toNanos();
        long left = wait.toNanos();
        while (!closed && left > 0) {
            TimeUnit.NANOSECONDS.timedWait(this, left);
            left = end - System.nanoTime();
        }
        return !closed;
    }

    private synchronized void begin() {
        if (closed) {
            return;
        }
        try {
            current = new Watching();
        } catch (IllegalStateException clientClosed) {
            throw calls.failure(clientClosed);
        }
    }

    private synchronized Watching watching() {
        return current;
    }

    private synchronized boolean isClosed() {
        return closed;
    }

    /** A message of the server, or the end of the call. */
    private record Message(WatchModelsResponse response, Status end) {}

    /** One call. The server is asked for an event only when one is taken, so that a slow reader holds it back. */
    private final class Watching extends ClientCall.Listener<WatchModelsResponse> {
        private final BlockingQueue<Message> messages = new LinkedBlockingQueue<>();
        private final ClientCall<WatchModelsRequest, WatchModelsResponse> call;

        Watching() {
            call = calls.begin(ModelServiceGrpc.getWatchModelsMethod(), calls.impatient(null));
            call.start(this, new Metadata());
            call.sendMessage(request);
            call.halfClose();
        }

        Message take() throws InterruptedException {
            call.request(1);
            return messages.take();
        }

        void cancel() {
            call.cancel("the watch was closed", null);
        }

        @Override
        public void onMessage(WatchModelsResponse response) {
            messages.add(new Message(response, null));
        }

        @Override
        public void onClose(Status status, Metadata trailers) {
            messages.add(new Message(null, status));
        }
    }

    private final class Events implements Iterator<ModelEvent> {
        private ModelEvent next;

        @Override
        public boolean hasNext() {
            if (next == null && !isClosed()) {
                try {
                    next = ModelWatch.this.next();
                } catch (InterruptedException interrupted) {
                    Thread.currentThread().interrupt();
                    close();
                    throw SentinovaException.builder(Status.Code.CANCELLED, "the thread was interrupted")
                            .cause(interrupted)
                            .build();
                }
            }
            return next != null;
        }

        @Override
        public ModelEvent next() {
            if (!hasNext()) {
                throw new NoSuchElementException("the watch was closed");
            }
            ModelEvent event = next;
            next = null;
            return event;
        }
    }
}
