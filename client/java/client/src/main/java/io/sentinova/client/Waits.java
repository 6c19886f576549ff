package io.sentinova.client;

import java.time.Duration;

/** The waits before an exchange that broke is begun again: each twice as long as the one before, up to a limit. */
final class Waits {
    private static final Duration FIRST = Duration.ofMillis(250);
    private static final Duration LONGEST = Duration.ofSeconds(5);

    private Duration next = FIRST;

    /** Begins anew: the exchange works. */
    void reset() {
        next = FIRST;
    }

    /** Gives the next wait: not less than what the server asked for, and not more than the limit. */
    Duration next(SentinovaException failure) {
        Duration asked = failure.retryAfter().orElse(Duration.ZERO);
        Duration wait = asked.compareTo(next) > 0 ? asked : next;
        next = shorter(next.multipliedBy(2));
        return shorter(wait);
    }

    private static Duration shorter(Duration wait) {
        return wait.compareTo(LONGEST) < 0 ? wait : LONGEST;
    }
}
