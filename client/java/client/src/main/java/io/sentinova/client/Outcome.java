package io.sentinova.client;

/** What became of one document: exactly one of the two is there. */
record Outcome(Sentiment sentiment, SentinovaException error) {

    static Outcome of(Sentiment sentiment) {
        return new Outcome(sentiment, null);
    }

    static Outcome of(SentinovaException error) {
        return new Outcome(null, error);
    }
}
