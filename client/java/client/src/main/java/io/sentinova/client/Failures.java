package io.sentinova.client;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.util.List;

/**
 * Reading of {@code google.rpc.Status}: from what travels on the wire to the exception of this client.
 *
 * <p>Knows the error details of the API (ErrorInfo, BadRequest, RetryInfo). Must not know calls.
 */
final class Failures {
    private Failures() {}

    /** Makes the exception of a failed call, with or without details. */
    static SentinovaException of(Throwable failure) {
        com.google.rpc.Status status = statusOf(failure);
        if (status != null) {
            return builder(status).cause(failure).build();
        }
        Status plain = Status.fromThrowable(failure);
        return SentinovaException.builder(plain.getCode(), Explanation.of(plain)).cause(failure).build();
    }

    /** Makes the exception that a status describes. Details of unknown kinds are passed over. */
    static SentinovaException of(com.google.rpc.Status status) {
        return builder(status).build();
    }

    private static com.google.rpc.Status statusOf(Throwable failure) {
        try {
            com.google.rpc.Status status = StatusProto.fromThrowable(failure);
            return status == null || status.getDetailsCount() == 0 ? null : status;
        } catch (RuntimeException damaged) {
            return null; // damaged details from a stranger must not hide the failure itself
        }
    }

    private static SentinovaException.Builder builder(com.google.rpc.Status status) {
        Status.Code code = Status.fromCodeValue(status.getCode()).getCode();
        SentinovaException.Builder builder = SentinovaException.builder(
                code == Status.Code.OK ? Status.Code.UNKNOWN : code, status.getMessage());
        for (Any detail : status.getDetailsList()) {
            try {
                read(detail, builder);
            } catch (InvalidProtocolBufferException damaged) {
                continue; // a damaged detail must not hide the failure itself
            }
        }
        return builder;
    }

    private static void read(Any detail, SentinovaException.Builder builder) throws InvalidProtocolBufferException {
        if (detail.is(ErrorInfo.class)) {
            ErrorInfo info = detail.unpack(ErrorInfo.class);
            builder.reason(info.getReason()).metadata(info.getMetadataMap());
        } else if (detail.is(BadRequest.class)) {
            List<BadRequest.FieldViolation> violations = detail.unpack(BadRequest.class).getFieldViolationsList();
            builder.fieldViolations(violations.stream()
                    .map(each -> new FieldViolation(each.getField(), each.getDescription(), each.getReason()))
                    .toList());
        } else if (detail.is(RetryInfo.class)) {
            Duration delay = detail.unpack(RetryInfo.class).getRetryDelay();
            builder.retryAfter(java.time.Duration.ofSeconds(delay.getSeconds(), delay.getNanos()));
        }
    }
}
