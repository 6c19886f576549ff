package io.sentinova.client;

import java.io.Serializable;

/**
 * A field of the request that the server refused.
 *
 * @param field path of the field in the request message, {@code documents[2].text} for example
 * @param description what is wrong with it
 * @param reason the fault in UPPER_SNAKE_CASE, where the server gave one
 */
public record FieldViolation(String field, String description, String reason) implements Serializable {}
