package io.sentinova.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/**
 * Calls on an open channel, with deadlines and with failures as {@link SentinovaException}.
 *
 * <p>Knows gRPC's calls. Must not know what is asked of the server.
 */
final class Calls implements AutoCloseable {
    private static final Duration CLOSING = Duration.ofSeconds(5);

    private final ManagedChannel channel;
    private final Channel withHeaders;
    private final boolean retrying;
    private final boolean waiting;
    private volatile boolean closed;

    /**
     * Takes charge of a channel.
     *
     * @param headers sent with every call
     * @param retrying whether what broke is begun again
     * @param waiting whether calls that may be repeated wait for a server that cannot be reached
     */
    Calls(ManagedChannel channel, Metadata headers, boolean retrying, boolean waiting) {
        this.channel = channel;
        this.withHeaders = ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(headers));
        this.retrying = retrying;
        this.waiting = waiting;
    }

    /** Tells whether what broke may be begun again, by this client's settings and by how it broke. */
    boolean isInterruption(SentinovaException failure) {
        return retrying
                && !closed
                // A call that this client did not cancel was cancelled by a server that stops.
                && (failure.code() == Status.Code.UNAVAILABLE || failure.code() == Status.Code.CANCELLED);
    }

    boolean isRetrying() {
        return retrying;
    }

    /** Gives options for a call that fails at once where the server cannot be reached. */
    CallOptions impatient(Duration timeout) {
        return timeout == null
                ? CallOptions.DEFAULT
                : CallOptions.DEFAULT.withDeadlineAfter(timeout.toNanos(), TimeUnit.NANOSECONDS);
    }

    /** Gives options for a call that may be repeated: it waits for the server until its deadline. */
    CallOptions patient(Duration timeout) {
        return waiting ? impatient(timeout).withWaitForReady() : impatient(timeout);
    }

    /**
     * Makes a call and waits for its response.
     *
     * @throws SentinovaException where it failed; CANCELLED where the thread was interrupted
     */
    <Q, R> R call(MethodDescriptor<Q, R> method, CallOptions options, Q request) {
        checkOpen();
        try {
            return ClientCalls.blockingUnaryCall(withHeaders, method, options, request);
        } catch (StatusRuntimeException failure) {
            throw failure(failure);
        }
    }

    /** Makes a call; cancelling the future cancels the call. */
    <Q, R, T> CompletableFuture<T> start(
            MethodDescriptor<Q, R> method, CallOptions options, Q request, Function<R, T> convert) {
        ClientCall<Q, R> call = begin(method, options);
        PendingCall<T> future = new PendingCall<>(call);
        ClientCalls.asyncUnaryCall(call, request, new Completion<>(future, convert));
        return future;
    }

    /** Begins a call of any kind. */
    <Q, R> ClientCall<Q, R> begin(MethodDescriptor<Q, R> method, CallOptions options) {
        checkOpen();
        return withHeaders.newCall(method, options);
    }

    /** Makes the exception of a failed call. */
    SentinovaException failure(Throwable failure) {
        if (closed) {
            return SentinovaException.builder(Status.Code.CANCELLED, "the client was closed")
                    .cause(failure)
                    .build();
        }
        return Failures.of(failure);
    }

    @Override
    public void close() {
        closed = true;
        channel.shutdownNow();
        try {
            channel.awaitTermination(CLOSING.toNanos(), TimeUnit.NANOSECONDS);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void checkOpen() {
        if (closed) {
            throw new IllegalStateException("the client is closed");
        }
    }

    /** A future that takes its call along when it is cancelled. */
    private static final class PendingCall<T> extends CompletableFuture<T> {
        private final ClientCall<?, ?> call;

        PendingCall(ClientCall<?, ?> call) {
            this.call = call;
        }

        @Override
        public boolean cancel(boolean mayInterruptIfRunning) {
            boolean cancelled = super.cancel(mayInterruptIfRunning);
            if (cancelled) {
                call.cancel("cancelled by the caller", null);
            }
            return cancelled;
        }
    }

    private final class Completion<R, T> implements StreamObserver<R> {
        private final CompletableFuture<T> future;
        private final Function<R, T> convert;

        Completion(CompletableFuture<T> future, Function<R, T> convert) {
            this.future = future;
            this.convert = convert;
        }

        @Override
        public void onNext(R response) {
            try {
                future.complete(convert.apply(response));
            } catch (SentinovaException error) {
                future.completeExceptionally(error);
            }
        }

        @Override
        public void onError(Throwable failure) {
            future.completeExceptionally(failure(failure));
        }

        @Override
        public void onCompleted() {
            // (the response has come before)
        }
    }
}
