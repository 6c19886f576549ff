package io.sentinova.client;

/** Why a call, or one document of a call, failed: the cause behind the status code. */
public enum Reason {
    /** No cause was given. */
    UNSPECIFIED,
    /** A cause that this client is too old to know; {@link SentinovaException#reasonText()} has its name. */
    UNKNOWN,

    /** No text, or only white space and control characters. */
    TEXT_EMPTY,
    /** More bytes than the server takes, or more tokens than the model reads and no truncation asked for. */
    TEXT_TOO_LONG,
    /** A field with a wrong value. */
    INVALID_FIELD,
    /** There is no such model, or it is not loaded. */
    MODEL_NOT_FOUND,
    /** The model has no such version. */
    VERSION_NOT_FOUND,
    /** The model has no such label. */
    LABEL_NOT_FOUND,
    /** The version could not be loaded. */
    MODEL_FAILED,
    /** The server's control mode does not allow the call. */
    MODEL_CONTROL_DISABLED,
    /** A label, a weight or a shadow for a version that takes no requests. */
    VERSION_NOT_AVAILABLE,
    /** The only available version is not unloaded by its number. */
    LAST_VERSION,
    /** There is no version to go back to. */
    NO_PREVIOUS_VERSION,
    /** Loading would take more memory than the server may. */
    MEMORY_BUDGET,
    /** Thousands of changes waited for a watch that did not read them. */
    WATCH_TOO_SLOW,
    /** The model is still being loaded: try again. */
    MODEL_LOADING,
    /** The server is stopping: try another one. */
    SERVER_DRAINING,
    /** As many documents wait as may: try again later. */
    QUEUE_FULL,
    /** The deadline, or the queue's time limit, passed while the document waited. */
    DEADLINE_EXCEEDED,
    /** The model failed on the document. */
    INFERENCE_FAILED,
    /** The server failed; its log has the cause. */
    INTERNAL,

    /** Found by the client: the text holds an unpaired surrogate, which no Unicode encoding can carry. */
    TEXT_NOT_UNICODE,
    /** Found by the client: the server answered what was not asked, or with nothing. */
    UNEXPECTED_ANSWER,
    /** Found by the client: the server ended a stream with documents unanswered. */
    STREAM_CUT,
    /** Found by the client: the server was not ready in time. */
    NOT_READY;

    /** Finds the reason of a name; the two that stand for no name of their own cannot be named. */
    static Reason of(String name) {
        if (name.isEmpty()) {
            return UNSPECIFIED;
        }
        for (Reason reason : values()) {
            if (reason.name().equals(name) && reason != UNSPECIFIED) {
                return reason;
            }
        }
        return UNKNOWN;
    }
}
