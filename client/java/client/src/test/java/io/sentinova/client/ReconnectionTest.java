package io.sentinova.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class ReconnectionTest {
    private final FakeChannel channel = new FakeChannel();

    @Test
    void aChannelThatLostItsServerIsToldToConnectUntilItIsThere() throws InterruptedException {
        Reconnection.hasten(channel);
        channel.enter(ConnectivityState.TRANSIENT_FAILURE);
        assertNotNull(channel.attempts.poll(20, TimeUnit.SECONDS));
        assertNotNull(channel.attempts.poll(20, TimeUnit.SECONDS));
        channel.enter(ConnectivityState.CONNECTING);
        channel.enter(ConnectivityState.READY);
        channel.attempts.clear();
        channel.enter(ConnectivityState.TRANSIENT_FAILURE);
        assertNotNull(channel.attempts.poll(20, TimeUnit.SECONDS));
        channel.enter(ConnectivityState.SHUTDOWN);
        assertNull(channel.listener, "a channel that was shut down is not looked after");
    }

    @Test
    void aChannelThatIsIdleIsLeftAlone() {
        Reconnection.hasten(channel);
        channel.enter(ConnectivityState.CONNECTING);
        channel.enter(ConnectivityState.READY);
        channel.enter(ConnectivityState.IDLE);
        assertEquals(0, channel.attempts.size());
    }

    /** A channel in whatever state a test says. */
    private static final class FakeChannel extends ManagedChannel {
        private final LinkedBlockingQueue<Boolean> attempts = new LinkedBlockingQueue<>();
        private volatile ConnectivityState state = ConnectivityState.IDLE;
        private volatile Runnable listener;

        void enter(ConnectivityState next) {
            state = next;
            Runnable told = listener;
            listener = null;
            told.run();
        }

        @Override
        public ConnectivityState getState(boolean connect) {
            return state;
        }

        @Override
        public void notifyWhenStateChanged(ConnectivityState source, Runnable callback) {
            listener = callback;
        }

        @Override
        public void resetConnectBackoff() {
            attempts.add(true);
        }

        @Override
        public ManagedChannel shutdown() {
            return this;
        }

        @Override
        public boolean isShutdown() {
            return false;
        }

        @Override
        public boolean isTerminated() {
            return false;
        }

        @Override
        public ManagedChannel shutdownNow() {
            return this;
        }

        @Override
        public boolean awaitTermination(long timeout, TimeUnit unit) {
            return true;
        }

        @Override
        public <Q, R> ClientCall<Q, R> newCall(MethodDescriptor<Q, R> method, CallOptions options) {
            throw new UnsupportedOperationException();
        }

        @Override
        public String authority() {
            return "fake";
        }
    }
}
