package io.sentinova.client;

/** What the server does with a text that has more tokens than the model reads. */
public enum LongText {
    /** The text is refused: {@link Reason#TEXT_TOO_LONG}. */
    ERROR,
    /** The first tokens that fit are read, the rest is left out, and {@link Sentiment#truncated()} is true. */
    TRUNCATE
}
