package io.sentinova.client;

import io.grpc.Status;
import io.sentinova.v1.StreamAnalyzeSentimentRequest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.LongSupplier;

/**
 * The documents of a stream that have no answer yet, and the matching of answers to them. On the wire a document's id
 * is its index, so that it is unique.
 *
 * <p>Knows indices, ids and times. Must not know threads or calls: whoever uses it brings a clock, and a lock.
 */
final class Window {
    private final LongSupplier clock;
    private final Duration timeout;
    private final boolean ordered;
    private final Map<Long, Entry> waiting = new LinkedHashMap<>(); // by index, the oldest first
    private final Map<Long, Answer> held = new HashMap<>(); // answered before a predecessor was
    private long admitted;
    private long handedOut;
    private long lastAnswer;
    private boolean inputEnded;

    /**
     * Makes an empty window.
     *
     * @param clock gives nanoseconds, from any start, never running backwards
     * @param timeout the longest wait for the next answer while documents wait for theirs; null: no limit
     * @param ordered whether answers are handed out in the order of the documents
     */
    Window(LongSupplier clock, Duration timeout, boolean ordered) {
        this.clock = clock;
        this.timeout = timeout;
        this.ordered = ordered;
        this.lastAnswer = clock.getAsLong();
    }

    /** A document without an answer; the message is null where it cannot be sent. */
    private record Entry(String id, long since, StreamAnalyzeSentimentRequest message) {}

    /** A document that was taken in: what to send for it, or why it cannot be sent; the other is null. */
    record Admission(long index, StreamAnalyzeSentimentRequest message, SentinovaException error) {}

    /** Takes in the next document. One that cannot be sent waits for its answer like the others. */
    Admission admit(Document document) {
        long index = admitted++;
        String id = document.id().isEmpty() ? Long.toString(index) : document.id();
        StreamAnalyzeSentimentRequest message = null;
        SentinovaException error = null;
        try {
            message = StreamAnalyzeSentimentRequest.newBuilder()
                    .setDocument(Conversion.document(Long.toString(index), document.text()))
                    .build();
        } catch (SentinovaException refused) {
            error = refused;
        }
        waiting.put(index, new Entry(id, clock.getAsLong(), message));
        return new Admission(index, message, error);
    }

    /** Notes that no document follows. */
    void endInput() {
        inputEnded = true;
    }

    /** Tells whether every document of the input has its answer. */
    boolean isComplete() {
        return inputEnded && waiting.isEmpty();
    }

    /** Gives what to send again after the connection broke, the oldest first. */
    List<StreamAnalyzeSentimentRequest> unansweredMessages() {
        List<StreamAnalyzeSentimentRequest> messages = new ArrayList<>();
        for (Entry entry : waiting.values()) {
            if (entry.message != null) {
                messages.add(entry.message);
            }
        }
        return messages;
    }

    /**
     * Takes in an answer.
     *
     * @param wireId the id that came with it
     * @return the answers that may be handed out now
     * @throws SentinovaException where no document waits for it
     */
    List<Answer> settle(String wireId, Outcome outcome) {
        return settle(indexOf(wireId), outcome);
    }

    /** As above, for a document that is known by its index. */
    List<Answer> settle(long index, Outcome outcome) {
        Entry entry = waiting.remove(index);
        if (entry == null) {
            throw Conversion.unexpectedAnswer("the server answered a document that waits for no answer");
        }
        lastAnswer = clock.getAsLong();
        Answer answer = Answer.of(index, entry.id, outcome);
        if (!ordered) {
            return List.of(answer);
        }
        held.put(index, answer);
        List<Answer> ready = new ArrayList<>();
        while (held.containsKey(handedOut)) {
            ready.add(held.remove(handedOut++));
        }
        return ready;
    }

    /**
     * Gives how many nanoseconds to wait for the next answer before asking again.
     *
     * @throws SentinovaException where documents wait, and no answer has come for longer than the time limit
     */
    long patience() {
        if (timeout == null) {
            return Long.MAX_VALUE;
        }
        if (waiting.isEmpty()) {
            return timeout.toNanos();
        }
        long oldest = waiting.values().iterator().next().since;
        long since = oldest - lastAnswer > 0 ? oldest : lastAnswer;
        long left = since + timeout.toNanos() - clock.getAsLong();
        if (left <= 0) {
            throw SentinovaException.builder(
                            Status.Code.DEADLINE_EXCEEDED,
                            "no answer came for " + timeout.toMillis() / 1e3 + " s; documents that wait for one: "
                                    + waiting.size())
                    .build();
        }
        return left;
    }

    private static long indexOf(String wireId) {
        try {
            return Long.parseLong(wireId);
        } catch (NumberFormatException notOurs) {
            return -1;
        }
    }
}
