package io.sentinova.client;

import java.time.Duration;

/**
 * Where the time of one document went, as the server measured it. All zero where the answer came from the server's
 * cache.
 *
 * @param tokenization turning the text into token ids
 * @param queue waiting for a free place in a batch
 * @param inference running the model on the batch that held the document
 */
public record Timings(Duration tokenization, Duration queue, Duration inference) {}
