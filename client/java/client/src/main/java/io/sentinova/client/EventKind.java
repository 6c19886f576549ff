package io.sentinova.client;

/** What a {@link ModelEvent} tells. */
public enum EventKind {
    /** A kind that this client is too old to know. */
    UNKNOWN,
    /** How things were when the watch began. */
    INITIAL,
    /** All that was so has been told; changes follow. */
    SYNCED,
    /** A version entered a state. */
    STATE,
    /** Labels, weights or the shadow of a model changed. */
    TRAFFIC,
    /** A version was taken out of service. */
    ROLLBACK,
    /** A changed version could not be loaded and serves on as it was, or a model as a whole is ill. */
    WARNING
}
