package io.sentinova.client;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The sentiment of one document.
 *
 * @param label the class with the highest score, as the model names it
 * @param score the score of {@code label}, from 0 to 1
 * @param scores every class with its score, in the model's order; they sum to 1
 * @param model name of the model that answered
 * @param version version of the model that answered
 * @param tokenCount number of tokens that the model read, special tokens included
 * @param truncated whether the text was longer than the model reads and its end was left out
 * @param timings where the time went
 */
public record Sentiment(
        String label,
        float score,
        Map<String, Float> scores,
        String model,
        long version,
        int tokenCount,
        boolean truncated,
        Timings timings) {

    /** Keeps a copy of the scores, in their order. */
    public Sentiment {
        scores = Collections.unmodifiableMap(new LinkedHashMap<>(scores));
    }
}
