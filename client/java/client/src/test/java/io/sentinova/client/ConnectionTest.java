package io.sentinova.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ConnectionTest {

    @ParameterizedTest
    @ValueSource(strings = {"127.0.0.1:8001", "localhost:1", "[::1]:65535", "dns:///a.example:1", "unix:/tmp/socket"})
    void addressesThatGrpcTakes(String address) {
        assertEquals(address, Connection.checkAddress(address));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "localhost", "localhost:0", "a.b:65536", "::1:8001", "http://localhost:80", "a:b"})
    void addressesThatItDoesNot(String address) {
        assertThrows(IllegalArgumentException.class, () -> Connection.checkAddress(address));
    }

    @Test
    void aUrlIsToldToBeOne() {
        Exception error =
                assertThrows(IllegalArgumentException.class, () -> Connection.checkAddress("https://localhost:8001"));
        assertTrue(error.getMessage().contains("without the scheme"), error.getMessage());
    }

    @Test
    void onlyWhatMayBeRepeatedIsRetried() {
        String config = Connection.serviceConfig(4).toString();
        for (String method : new String[] {"AnalyzeSentiment", "BatchAnalyzeSentiment", "ListModels", "GetModel"}) {
            assertTrue(config.contains("method=" + method + "}") || config.contains("method=" + method + ","), method);
        }
        for (String method : new String[] {"StreamAnalyzeSentiment", "WatchModels", "RollbackModel", "LoadModel"}) {
            assertFalse(config.contains(method), method);
        }
        assertTrue(config.contains("maxAttempts=4.0"), config);
        assertTrue(config.contains("retryableStatusCodes=[UNAVAILABLE, CANCELLED]"), config);
    }

    @Test
    void oneAttemptIsNoRetry() {
        assertEquals(Map.of(), Connection.serviceConfig(1));
    }

    @Test
    void settingsThatMakeNoSenseAreRefused() {
        SentinovaClient.Builder builder = SentinovaClient.builder();
        assertThrows(IllegalArgumentException.class, () -> builder.maxAttempts(0));
        assertThrows(IllegalArgumentException.class, () -> builder.maxAttempts(101));
        assertThrows(IllegalArgumentException.class, () -> builder.timeout(Duration.ZERO));
        assertThrows(IllegalArgumentException.class, () -> builder.timeout(Duration.ofSeconds(-1)));
        assertThrows(IllegalArgumentException.class, () -> builder.maxMessageBytes(0));
        assertThrows(IllegalArgumentException.class, () -> AnalyzeOptions.defaults().priority(-1));
        assertThrows(IllegalArgumentException.class, () -> StreamOptions.defaults().maxInFlight(0));
    }
}
