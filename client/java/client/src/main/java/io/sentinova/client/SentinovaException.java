package io.sentinova.client;

import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A call, or one document of a call, that failed. {@link #code()} says what kind of failure it is, {@link #reason()}
 * what caused it.
 */
public final class SentinovaException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final Status.Code code;
    private final String description;
    private final String reason;

    @SuppressWarnings("serial") // a copy that can be serialized
    private final Map<String, String> metadata;

    @SuppressWarnings("serial") // a copy that can be serialized
    private final List<FieldViolation> fieldViolations;

    private final Duration retryAfter;

    private SentinovaException(Builder builder) {
        super(messageOf(builder), builder.cause);
        code = builder.code;
        description = builder.description;
        reason = builder.reason;
        metadata = Map.copyOf(builder.metadata);
        fieldViolations = List.copyOf(builder.fieldViolations);
        retryAfter = builder.retryAfter;
    }

    /**
     * Gives the gRPC status code.
     *
     * @return the code, never {@code OK}
     */
    public Status.Code code() {
        return code;
    }

    /**
     * Gives what went wrong, in a sentence, without the code and the reason that {@link #getMessage()} has in front.
     *
     * @return the sentence
     */
    public String description() {
        return description;
    }

    /**
     * Gives the cause.
     *
     * @return the cause; {@link Reason#UNSPECIFIED} where none was given
     */
    public Reason reason() {
        return Reason.of(reason);
    }

    /**
     * Gives the name of the cause as the server gave it, which may be newer than this client.
     *
     * @return the name in UPPER_SNAKE_CASE; empty where none was given
     */
    public String reasonText() {
        return reason;
    }

    /**
     * Gives particulars of the cause.
     *
     * @return names and values, the name of the model that was not found for example
     */
    public Map<String, String> metadata() {
        return metadata;
    }

    /**
     * Gives the field of the request that is at fault, the first one where there are several.
     *
     * @return path of the field in the request message, {@code document.text} for example; empty where none is at fault
     */
    public String field() {
        return fieldViolations.isEmpty() ? "" : fieldViolations.get(0).field();
    }

    /**
     * Gives all fields of the request that are at fault.
     *
     * @return the fields, and what is wrong with each
     */
    public List<FieldViolation> fieldViolations() {
        return fieldViolations;
    }

    /**
     * Gives how long to wait before trying again.
     *
     * @return the time; empty where the server did not say that waiting helps
     */
    public Optional<Duration> retryAfter() {
        return Optional.ofNullable(retryAfter);
    }

    private static String messageOf(Builder builder) {
        String name = builder.reason.isEmpty() ? builder.code.name() : builder.code + " (" + builder.reason + ")";
        return name + ": " + builder.description;
    }

    static Builder builder(Status.Code code, String description) {
        return new Builder(code, description);
    }

    /** What is known of a failure. */
    static final class Builder {
        private final Status.Code code;
        private final String description;
        private String reason = "";
        private Map<String, String> metadata = Map.of();
        private List<FieldViolation> fieldViolations = List.of();
        private Duration retryAfter;
        private Throwable cause;

        private Builder(Status.Code code, String description) {
            this.code = code;
            this.description = description;
        }

        Builder reason(Reason value) {
            return reason(value.name());
        }

        Builder reason(String value) {
            reason = value;
            return this;
        }

        Builder metadata(Map<String, String> value) {
            metadata = value;
            return this;
        }

        Builder fieldViolations(List<FieldViolation> value) {
            fieldViolations = value;
            return this;
        }

        Builder retryAfter(Duration value) {
            retryAfter = value;
            return this;
        }

        Builder cause(Throwable value) {
            cause = value;
            return this;
        }

        SentinovaException build() {
            return new SentinovaException(this);
        }
    }
}
