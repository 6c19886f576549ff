package io.sentinova.client;

import java.time.Instant;
import java.util.List;
import java.util.Optional;

/**
 * One version of a model.
 *
 * @param version number of the version, 1 or more
 * @param state where the version is in its life
 * @param stateMessage why it is in this state, where there is something to say
 * @param stateTime when it entered this state; empty where the server does not tell
 * @param inputs inputs of the model file; empty until it has been read
 * @param outputs outputs of the model file; empty until it has been read
 * @param labels names of the classes, in the order of the model's output
 * @param maxTokens the most tokens that it reads of one text, special tokens included
 * @param format format of the model files: "paddle" or "openvino"
 * @param precision what it computes in: "f32", "bf16" or "int8"; empty until it has been compiled
 * @param memoryBytes bytes that its weights take up in memory; 0 until it has been compiled
 * @param versionLabels the labels that name this version, in alphabetic order
 * @param weight percent of the requests without a version that go to it; 0 where the model has no weights
 */
public record VersionInfo(
        long version,
        VersionState state,
        String stateMessage,
        Optional<Instant> stateTime,
        List<TensorInfo> inputs,
        List<TensorInfo> outputs,
        List<String> labels,
        int maxTokens,
        String format,
        String precision,
        long memoryBytes,
        List<String> versionLabels,
        int weight) {

    /** Keeps copies of the lists. */
    public VersionInfo {
        inputs = List.copyOf(inputs);
        outputs = List.copyOf(outputs);
        labels = List.copyOf(labels);
        versionLabels = List.copyOf(versionLabels);
    }
}
