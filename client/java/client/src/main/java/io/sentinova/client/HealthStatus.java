package io.sentinova.client;

/** What {@code grpc.health.v1.Health} says of the server, or of one of its models. */
public enum HealthStatus {
    /** The server does not say, or says something that this client is too old to know. */
    UNKNOWN,
    /** Takes requests. */
    SERVING,
    /** Takes none: still loading, or stopping. */
    NOT_SERVING,
    /** The server knows nothing of that name. */
    SERVICE_UNKNOWN
}
