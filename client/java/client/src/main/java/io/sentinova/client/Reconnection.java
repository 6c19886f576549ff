package io.sentinova.client;

import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * Has a channel that lost its server connect again soon after the server is back. gRPC's own waits between attempts
 * grow to two minutes, and Java has no setting for them.
 *
 * <p>Knows the states of a channel. Must not know calls.
 */
final class Reconnection {
    private static final Duration FIRST_WAIT = Duration.ofMillis(200);
    private static final Duration LONGEST_WAIT = Duration.ofSeconds(5);

    private final ManagedChannel channel;
    private Duration wait = FIRST_WAIT;
    private boolean waiting;

    private Reconnection(ManagedChannel channel) {
        this.channel = channel;
    }

    /** Looks after a channel until it is shut down. */
    static void hasten(ManagedChannel channel) {
        new Reconnection(channel).follow();
    }

    private synchronized void follow() {
        ConnectivityState state = channel.getState(false);
        if (state == ConnectivityState.SHUTDOWN) {
            return;
        }
        if (state == ConnectivityState.READY) {
            wait = FIRST_WAIT;
        }
        if (state == ConnectivityState.TRANSIENT_FAILURE) {
            connectLater();
        }
        channel.notifyWhenStateChanged(state, this::follow);
    }

    private void connectLater() {
        if (waiting) {
            return;
        }
        waiting = true;
        CompletableFuture.delayedExecutor(wait.toMillis(), TimeUnit.MILLISECONDS).execute(this::connect);
        wait = wait.multipliedBy(2).compareTo(LONGEST_WAIT) < 0 ? wait.multipliedBy(2) : LONGEST_WAIT;
    }

    private synchronized void connect() {
        waiting = false;
        if (channel.getState(false) == ConnectivityState.TRANSIENT_FAILURE) {
            channel.resetConnectBackoff();
            connectLater(); // (the state may stay TRANSIENT_FAILURE until the connection stands)
        }
    }
}
