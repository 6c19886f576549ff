package io.sentinova.client;

/** Where a model version is in its life: LOADING, AVAILABLE, UNLOADING, END; or LOADING, FAILED. */
public enum VersionState {
    /** There is no version to have a state. */
    UNSPECIFIED,
    /** A state that this client is too old to know. */
    UNKNOWN,
    /** Being read, compiled, checked and warmed up. Takes no requests. */
    LOADING,
    /** Takes requests. */
    AVAILABLE,
    /** Takes no new requests; finishes those it has. */
    UNLOADING,
    /** Gone from memory. */
    END,
    /** Could not be loaded. Takes no requests. */
    FAILED
}
