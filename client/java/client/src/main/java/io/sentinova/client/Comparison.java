package io.sentinova.client;

/**
 * How the answers of a version compare with those that were given for the same documents. A document's distance is the
 * largest difference of a class's probability.
 *
 * @param version the version whose answers are compared
 * @param baseline the version that they are compared with
 * @param documents documents compared
 * @param agreed those that both gave the same label
 * @param meanDistance mean of the distances, from 0 to 1
 * @param maxDistance largest of the distances, from 0 to 1
 * @param latencyRatio time of {@code version} in the model for a token, over that of {@code baseline}; 0 until there
 *     are documents
 * @param dropped documents not compared, as there was no time for it beside the live ones
 * @param failed documents that one of the two failed on
 * @param live whether {@code version} gives answers to clients (a canary) or to nobody (a shadow)
 */
public record Comparison(
        long version,
        long baseline,
        long documents,
        long agreed,
        double meanDistance,
        double maxDistance,
        double latencyRatio,
        long dropped,
        long failed,
        boolean live) {}
