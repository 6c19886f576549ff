package io.sentinova.client;

import java.util.Optional;

/** The answer for one document of a batch or a stream: its sentiment, or the error of this document alone. */
public final class Answer {
    private final long index;
    private final String id;
    private final Sentiment sentiment;
    private final SentinovaException error;

    private Answer(long index, String id, Sentiment sentiment, SentinovaException error) {
        this.index = index;
        this.id = id;
        this.sentiment = sentiment;
        this.error = error;
    }

    static Answer of(long index, String id, Outcome outcome) {
        return new Answer(index, id, outcome.sentiment(), outcome.error());
    }

    /**
     * Gives the position of the document in the input.
     *
     * @return the position, from 0
     */
    public long index() {
        return index;
    }

    /**
     * Gives the caller's name for the document.
     *
     * @return the name; the index as text where the caller gave none
     */
    public String id() {
        return id;
    }

    /**
     * Tells whether the document was analyzed.
     *
     * @return true where there is a sentiment, false where there is an error
     */
    public boolean isSuccess() {
        return error == null;
    }

    /**
     * Gives the sentiment.
     *
     * @return the sentiment; empty where there is an error
     */
    public Optional<Sentiment> sentiment() {
        return Optional.ofNullable(sentiment);
    }

    /**
     * Gives the error.
     *
     * @return why the document was not analyzed; empty where it was
     */
    public Optional<SentinovaException> error() {
        return Optional.ofNullable(error);
    }

    /**
     * Gives the sentiment, or throws the error in its place.
     *
     * @return the sentiment
     * @throws SentinovaException where the document was not analyzed
     */
    public Sentiment orElseThrow() {
        if (error != null) {
            throw error;
        }
        return sentiment;
    }

    @Override
    public String toString() {
        return "Answer[index=" + index + ", id=" + id + ", " + (error == null ? sentiment : error) + "]";
    }
}
