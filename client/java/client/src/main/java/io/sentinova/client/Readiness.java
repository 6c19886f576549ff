package io.sentinova.client;

import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/** The checks of a client that waits for its server. */
final class Readiness {
    private static final Duration LONGEST_CHECK = Duration.ofSeconds(5);
    private static final Duration FIRST_PAUSE = Duration.ofMillis(50);
    private static final Duration LONGEST_PAUSE = Duration.ofSeconds(1);

    private Readiness() {}

    /**
     * Checks again and again, with growing pauses.
     *
     * @param check tells whether the server is ready, in no more than the time it is given
     * @throws SentinovaException where the time is up, or the thread was interrupted
     */
    static void await(Predicate<Duration> check, Duration limit) {
        long end = System.nanoTime() + limit.toNanos();
        Duration pause = FIRST_PAUSE;
        Duration left = limit;
        while (!left.isNegative() && !left.isZero()) {
            if (check.test(shorter(left, LONGEST_CHECK))) {
                return;
            }
            sleep(shorter(left, pause));
            pause = shorter(pause.multipliedBy(2), LONGEST_PAUSE);
            left = Duration.ofNanos(end - System.nanoTime());
        }
        throw SentinovaException.builder(
                        Status.Code.DEADLINE_EXCEEDED,
                        "the server was not ready within " + limit.toMillis() / 1e3 + " s")
                .reason(Reason.NOT_READY)
                .build();
    }

    private static void sleep(Duration pause) {
        try {
            TimeUnit.NANOSECONDS.sleep(pause.toNanos());
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw SentinovaException.builder(Status.Code.CANCELLED, "the thread was interrupted")
                    .cause(interrupted)
                    .build();
        }
    }

    private static Duration shorter(Duration one, Duration other) {
        return one.compareTo(other) < 0 ? one : other;
    }
}
