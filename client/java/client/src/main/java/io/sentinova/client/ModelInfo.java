package io.sentinova.client;

import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * A model of the server's repository.
 *
 * @param name name of the model
 * @param backend the backend that runs it: "openvino"
 * @param defaultVersion the version that answers where a request names none; 0: no version is available
 * @param versions the versions that the version policy chose, in ascending order
 * @param message what is wrong with the model as a whole, where something is
 * @param weights percent of the requests without a version, by version in ascending order; empty: the default version
 *     gets all
 * @param shadowVersion the version that computes unseen what others answer; 0: there is none
 * @param comparisons comparisons of the shadow, or of canaries, with what was answered
 * @param loaded whether the model is loaded, or to be loaded; false: it waits to be loaded by a call
 */
public record ModelInfo(
        String name,
        String backend,
        long defaultVersion,
        List<VersionInfo> versions,
        String message,
        Map<Long, Integer> weights,
        long shadowVersion,
        List<Comparison> comparisons,
        boolean loaded) {

    /** Keeps copies of the collections. */
    public ModelInfo {
        SortedMap<Long, Integer> ascending = new TreeMap<>(weights);
        versions = List.copyOf(versions);
        weights = Collections.unmodifiableSortedMap(ascending);
        comparisons = List.copyOf(comparisons);
    }
}
