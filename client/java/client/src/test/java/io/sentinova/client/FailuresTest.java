package io.sentinova.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RequestInfo;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class FailuresTest {
    private static final ErrorInfo INFO = ErrorInfo.newBuilder()
            .setReason("QUEUE_FULL")
            .setDomain("sentinova")
            .putMetadata("model", "m")
            .build();
    private static final RetryInfo RETRY = RetryInfo.newBuilder()
            .setRetryDelay(com.google.protobuf.Duration.newBuilder().setSeconds(1).setNanos(500_000_000))
            .build();
    private static final BadRequest BAD = BadRequest.newBuilder()
            .addFieldViolations(BadRequest.FieldViolation.newBuilder()
                    .setField("documents[1].text")
                    .setDescription("bad"))
            .addFieldViolations(BadRequest.FieldViolation.newBuilder().setField("config.model"))
            .build();

    private static Status status(Code code, Message... details) {
        Status.Builder status = Status.newBuilder().setCode(code.value()).setMessage("told");
        for (Message detail : details) {
            status.addDetails(Any.pack(detail));
        }
        return status.build();
    }

    private static void check(SentinovaException error) {
        assertEquals(Code.RESOURCE_EXHAUSTED, error.code());
        assertEquals(Reason.QUEUE_FULL, error.reason());
        assertEquals("QUEUE_FULL", error.reasonText());
        assertEquals(Map.of("model", "m"), error.metadata());
        assertEquals(Optional.of(Duration.ofMillis(1500)), error.retryAfter());
        assertEquals("documents[1].text", error.field());
        assertEquals(
                List.of(new FieldViolation("documents[1].text", "bad", ""), new FieldViolation("config.model", "", "")),
                error.fieldViolations());
        assertEquals("told", error.description());
        assertEquals("RESOURCE_EXHAUSTED (QUEUE_FULL): told", error.getMessage());
    }

    @Test
    void theDetailsOfADocument() {
        check(Failures.of(status(
                Code.RESOURCE_EXHAUSTED, INFO, BAD, RequestInfo.newBuilder().setRequestId("r").build(), RETRY)));
    }

    @Test
    void theDetailsOfACall() {
        StatusRuntimeException failure =
                StatusProto.toStatusRuntimeException(status(Code.RESOURCE_EXHAUSTED, INFO, BAD, RETRY));
        SentinovaException error = Failures.of(failure);
        check(error);
        assertSame(failure, error.getCause());
    }

    @Test
    void aFailureWithoutDetails() {
        SentinovaException error = Failures.of(
                io.grpc.Status.UNAVAILABLE.withDescription("io exception").asRuntimeException());
        assertEquals(Code.UNAVAILABLE, error.code());
        assertEquals(Reason.UNSPECIFIED, error.reason());
        assertEquals("", error.reasonText());
        assertEquals("", error.field());
        assertEquals(Optional.empty(), error.retryAfter());
        assertEquals("UNAVAILABLE: io exception", error.getMessage());
    }

    @Test
    void aReasonThatIsNewerThanTheClient() {
        ErrorInfo info = ErrorInfo.newBuilder().setReason("MOON_TOO_FULL").build();
        SentinovaException error = Failures.of(status(Code.INTERNAL, info));
        assertEquals(Reason.UNKNOWN, error.reason());
        assertEquals("MOON_TOO_FULL", error.reasonText());
    }

    @Test
    void aDamagedDetailDoesNotHideTheFailure() {
        Any damaged = Any.pack(BAD).toBuilder().setValue(ByteString.copyFromUtf8("\u00ff\u00ff")).build();
        SentinovaException error = Failures.of(
                status(Code.INVALID_ARGUMENT, INFO).toBuilder().addDetails(0, damaged).build());
        assertEquals(Code.INVALID_ARGUMENT, error.code());
        assertEquals(Reason.QUEUE_FULL, error.reason());
        assertEquals(List.of(), error.fieldViolations());
    }

    @Test
    void codesThatAreNoneOfAFailure() {
        assertEquals(Code.UNKNOWN, Failures.of(status(Code.OK)).code());
        assertEquals(
                Code.UNKNOWN, Failures.of(Status.newBuilder().setCode(99).build()).code());
    }

    @Test
    void everyReasonIsFoundByItsName() {
        for (Reason reason : Reason.values()) {
            assertEquals(reason == Reason.UNSPECIFIED ? Reason.UNKNOWN : reason, Reason.of(reason.name()));
        }
        assertEquals(Reason.UNSPECIFIED, Reason.of(""));
    }

    @Test
    void anExceptionCanBeSerialized() throws Exception {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            out.writeObject(Failures.of(status(Code.RESOURCE_EXHAUSTED, INFO, BAD, RETRY)));
        }
        try (ObjectInputStream in = new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
            check((SentinovaException) in.readObject());
        }
    }

    @Test
    void aCallThatNeverReachedTheServerSaysWhy() {
        String told = "CallOptions deadline exceeded after 2.9s. Name resolution delay 0.0 seconds. [closed=[], "
                + "open=[[wait_for_ready, Last Pick Failure=Status{code=UNAVAILABLE, description=io exception, "
                + "cause=a.b.AnnotatedConnectException: Connection refused: /127.0.0.1:1\n"
                + "Caused by: java.net.ConnectException: Connection refused\n\tat a.b.C.d(E.java:1)\n}, waiting]]]";
        SentinovaException error = Failures.of(
                io.grpc.Status.DEADLINE_EXCEEDED.withDescription(told).asRuntimeException());
        assertEquals(
                "the server could not be reached before the deadline: io exception: Connection refused: /127.0.0.1:1",
                error.description());
        assertNotNull(error.getCause());
    }

    @Test
    void aCallThatWasNotAnsweredInTimeSaysSo() {
        String told = "CallOptions deadline exceeded after 2.9s. Name resolution delay 0.0 seconds. [remote_addr=a:1]";
        SentinovaException error = Failures.of(
                io.grpc.Status.DEADLINE_EXCEEDED.withDescription(told).asRuntimeException());
        assertEquals("no answer came before the deadline", error.description());
    }

    @Test
    void theCausesOfABrokenConnectionAreTold() {
        Exception cause = new IllegalStateException("handshake", new IllegalStateException("no path to a certificate"));
        SentinovaException error = Failures.of(io.grpc.Status.UNAVAILABLE
                .withDescription("io exception\nChannel Pipeline: [x]")
                .withCause(cause)
                .asRuntimeException());
        assertEquals("io exception: handshake: no path to a certificate", error.description());
        assertTrue(error.getMessage().startsWith("UNAVAILABLE: "));
    }
}
