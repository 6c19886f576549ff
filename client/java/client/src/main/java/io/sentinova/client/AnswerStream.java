package io.sentinova.client;

import java.util.Iterator;
import java.util.NoSuchElementException;

/**
 * The answers of a stream, each as soon as it is ready. Answers MAY COME IN ANOTHER ORDER than the documents, unless
 * the {@link StreamOptions#ordered options} say otherwise: match them by {@link Answer#index()} or {@link Answer#id()}.
 *
 * <p>Documents are read only as answers are taken, so memory stays bounded. {@link #close} gives up the rest; use
 * try-with-resources. Can be iterated over once, by one thread; {@code close} may be called from any.
 */
public final class AnswerStream implements Iterable<Answer>, AutoCloseable {
    private final Exchange exchange;
    private boolean begun;

    AnswerStream(Exchange exchange) {
        this.exchange = exchange;
    }

    /**
     * Gives the answers. {@code hasNext} waits for the next one, and throws a {@link SentinovaException} where the
     * stream as a whole failed: the documents not yet answered have no answer. It also throws whatever the source of
     * the documents threw, after the answers for what was read until then.
     *
     * @return the answers
     * @throws IllegalStateException where it is called a second time
     */
    @Override
    public synchronized Iterator<Answer> iterator() {
        if (begun) {
            throw new IllegalStateException("the answers of a stream can be gone through once");
        }
        begun = true;
        return new Answers();
    }

    /** Ends the stream. Documents without an answer stay without one. */
    @Override
    public void close() {
        exchange.stop();
    }

    private final class Answers implements Iterator<Answer> {
        private Answer next;

        @Override
        public boolean hasNext() {
            if (next == null) {
                next = exchange.next();
            }
            return next != null;
        }

        @Override
        public Answer next() {
            if (!hasNext()) {
                throw new NoSuchElementException("the stream has ended");
            }
            Answer answer = next;
            next = null;
            return answer;
        }
    }
}
