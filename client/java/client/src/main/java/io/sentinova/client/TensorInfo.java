package io.sentinova.client;

import java.util.List;

/**
 * An input or output of a model.
 *
 * @param name name of the tensor in the model file
 * @param datatype element type in KServe v2 words: "INT64", "FP32", ...
 * @param shape size of each dimension; -1 stands for any size
 */
public record TensorInfo(String name, String datatype, List<Long> shape) {

    /** Keeps a copy of the shape. */
    public TensorInfo {
        shape = List.copyOf(shape);
    }
}
