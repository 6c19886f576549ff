package io.sentinova.client;

import java.util.Objects;

/**
 * A text of a stream, with the caller's name for it.
 *
 * @param id the caller's name, given back with the answer; it may be any text and need not be unique. Empty: the
 *     document's position in the stream.
 * @param text the text, as plain Unicode
 */
public record Document(String id, String text) {

    /** Checks that both are there. */
    public Document {
        Objects.requireNonNull(id, "id");
        Objects.requireNonNull(text, "text");
    }

    /**
     * Makes a document without a name.
     *
     * @param text the text, as plain Unicode
     * @return the document
     */
    public static Document of(String text) {
        return new Document("", text);
    }

    /**
     * Makes a document with a name.
     *
     * @param id the caller's name for it
     * @param text the text, as plain Unicode
     * @return the document
     */
    public static Document of(String id, String text) {
        return new Document(id, text);
    }
}
