package io.sentinova.client;

import java.time.Duration;
import java.util.Objects;

/** How a stream goes. Immutable: each method gives new options. */
public final class StreamOptions {
    /** The most unanswered documents of a stream that chooses no other number. */
    public static final int DEFAULT_MAX_IN_FLIGHT = 256;

    private static final StreamOptions DEFAULTS =
            new StreamOptions(AnalyzeOptions.defaults(), DEFAULT_MAX_IN_FLIGHT, false, null);

    private final AnalyzeOptions analysis;
    private final int maxInFlight;
    private final boolean ordered;
    private final Duration deadline;

    private StreamOptions(AnalyzeOptions analysis, int maxInFlight, boolean ordered, Duration deadline) {
        this.analysis = analysis;
        this.maxInFlight = maxInFlight;
        this.ordered = ordered;
        this.deadline = deadline;
    }

    /**
     * Gives the options of a stream without any.
     *
     * @return answers as they get ready, at most 256 documents in flight, no end in time
     */
    public static StreamOptions defaults() {
        return DEFAULTS;
    }

    /**
     * Chooses which model answers, and how. A {@link AnalyzeOptions#timeout timeout} there is the longest wait for the
     * next answer while documents wait for theirs.
     *
     * @param options for all documents of the stream
     * @return the options with it
     */
    public StreamOptions analysis(AnalyzeOptions options) {
        return new StreamOptions(Objects.requireNonNull(options, "options"), maxInFlight, ordered, deadline);
    }

    /**
     * Limits the documents that were read and not yet handed out as answers. Each is kept in memory until then.
     *
     * @param count the most documents
     * @return the options with it
     * @throws IllegalArgumentException where it is below 1
     */
    public StreamOptions maxInFlight(int count) {
        if (count < 1) {
            throw new IllegalArgumentException("at least one document must be in flight, not " + count);
        }
        return new StreamOptions(analysis, count, ordered, deadline);
    }

    /**
     * Has the answers come in the order of the documents: those that are ready early are held back.
     *
     * @return the options with it
     */
    public StreamOptions ordered() {
        return new StreamOptions(analysis, maxInFlight, true, deadline);
    }

    /**
     * Limits the time of the whole stream.
     *
     * @param limit from the begin of the stream to its last answer
     * @return the options with it
     * @throws IllegalArgumentException where it is not above zero
     */
    public StreamOptions deadline(Duration limit) {
        return new StreamOptions(analysis, maxInFlight, ordered, Connection.checkTimeout(limit));
    }

    AnalyzeOptions analysis() {
        return analysis;
    }

    int maxInFlight() {
        return maxInFlight;
    }

    boolean isOrdered() {
        return ordered;
    }

    /** Gives the limit of the whole stream; null: none. */
    Duration deadline() {
        return deadline;
    }
}
