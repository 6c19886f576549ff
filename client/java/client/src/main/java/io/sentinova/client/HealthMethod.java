package io.sentinova.client;

import com.google.protobuf.Int32Value;
import com.google.protobuf.StringValue;
import io.grpc.MethodDescriptor;
import io.grpc.protobuf.ProtoUtils;

/**
 * The method {@code Check} of {@code grpc.health.v1.Health}.
 *
 * <p>HealthCheckRequest {string service = 1} and HealthCheckResponse {enum status = 1} have the wire format of two
 * well-known wrappers, which spares the client a dependency.
 */
final class HealthMethod {
    static final MethodDescriptor<StringValue, Int32Value> CHECK = MethodDescriptor
            .<StringValue, Int32Value>newBuilder()
            .setType(MethodDescriptor.MethodType.UNARY)
            .setFullMethodName(MethodDescriptor.generateFullMethodName("grpc.health.v1.Health", "Check"))
            .setRequestMarshaller(ProtoUtils.marshaller(StringValue.getDefaultInstance()))
            .setResponseMarshaller(ProtoUtils.marshaller(Int32Value.getDefaultInstance()))
            .build();

    private HealthMethod() {}

    static StringValue request(String service) {
        return StringValue.of(service);
    }

    static HealthStatus status(Int32Value response) {
        return switch (response.getValue()) {
            case 1 -> HealthStatus.SERVING;
            case 2 -> HealthStatus.NOT_SERVING;
            case 3 -> HealthStatus.SERVICE_UNKNOWN;
            default -> HealthStatus.UNKNOWN;
        };
    }
}
