package io.sentinova.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.grpc.Status.Code;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class WaitsTest {
    private static SentinovaException failure(Duration asked) {
        return SentinovaException.builder(Code.UNAVAILABLE, "away").retryAfter(asked).build();
    }

    @Test
    void waitsDoubleUpToALimitAndBeginAnew() {
        Waits waits = new Waits();
        for (long expected : new long[] {250, 500, 1000, 2000, 4000, 5000, 5000}) {
            assertEquals(Duration.ofMillis(expected), waits.next(failure(null)));
        }
        waits.reset();
        assertEquals(Duration.ofMillis(250), waits.next(failure(null)));
    }

    @Test
    void theServersWishIsHeededWithinTheLimit() {
        Waits waits = new Waits();
        assertEquals(Duration.ofSeconds(1), waits.next(failure(Duration.ofSeconds(1))));
        assertEquals(Duration.ofMillis(500), waits.next(failure(Duration.ofMillis(10))));
        assertEquals(Duration.ofSeconds(5), waits.next(failure(Duration.ofSeconds(60))));
    }
}
