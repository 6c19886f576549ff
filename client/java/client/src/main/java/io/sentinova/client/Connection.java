package io.sentinova.client;

import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * How a server is reached: address, TLS, and gRPC's settings with the retry policy.
 *
 * <p>Knows gRPC's settings. Must not know what is asked of the server.
 */
final class Connection {
    static final String DEFAULT_ADDRESS = "127.0.0.1:8001";
    static final Duration DEFAULT_TIMEOUT = Duration.ofSeconds(30);
    static final int DEFAULT_ATTEMPTS = 20; // with the waits below, some 33 s: as long as the default deadline
    static final int MOST_ATTEMPTS = 100;
    static final int DEFAULT_MESSAGE_BYTES = 64 << 20;

    private static final Pattern HOST_PORT = Pattern.compile("(\\[[^\\]]+\\]|[^:/\\[\\]]+):(\\d{1,5})");
    private static final List<String> SCHEMES = List.of("dns:", "unix:", "ipv4:", "ipv6:", "xds:");

    private Connection() {}

    /**
     * Begins a channel.
     *
     * @param tls how to secure it; null: not at all
     */
    static ManagedChannelBuilder<?> channel(String address, Tls tls) {
        ChannelCredentials credentials = tls == null ? InsecureChannelCredentials.create() : tls.credentials();
        ManagedChannelBuilder<?> builder = Grpc.newChannelBuilder(address, credentials);
        if (tls != null && tls.serverName() != null) {
            builder.overrideAuthority(tls.serverName());
        }
        return builder;
    }

    /**
     * Opens a channel with the settings of this client; it connects on the first call.
     *
     * @param attempts how often a call that may be repeated is tried in all
     * @param messageBytes the largest message to take
     */
    static ManagedChannel open(ManagedChannelBuilder<?> builder, int attempts, int messageBytes) {
        builder.userAgent("sentinova-java/" + version())
                .defaultServiceConfig(serviceConfig(attempts))
                // All addresses of a name in turn.
                .defaultLoadBalancingPolicy("round_robin")
                .disableServiceConfigLookUp()
                .enableRetry()
                .maxRetryAttempts(Math.max(attempts, 2))
                // A request that does not fit the buffer is not retried: room for a batch of long texts.
                .perRpcBufferLimit(4 << 20)
                .maxInboundMessageSize(messageBytes)
                // A dead peer is noticed within 80 s while a call waits for it. Idle channels send no pings. (The
                // server allows one in ten seconds.)
                .keepAliveTime(60, TimeUnit.SECONDS)
                .keepAliveTimeout(20, TimeUnit.SECONDS)
                .keepAliveWithoutCalls(false);
        ManagedChannel channel = builder.build();
        Reconnection.hasten(channel);
        return channel;
    }

    /**
     * Makes gRPC's service config: what may be repeated is retried, with jittered backoff, on UNAVAILABLE, and on
     * CANCELLED, which is what a server that stops makes of calls that it has not looked at yet. (Calls that the caller
     * cancels are not retried, whatever their code.)
     *
     * <p>Format: https://github.com/grpc/grpc-proto/blob/master/grpc/service_config/service_config.proto
     *
     * @param attempts attempts in all; 1 means no retries
     */
    static Map<String, ?> serviceConfig(int attempts) {
        if (attempts == 1) {
            return Map.of();
        }
        Map<String, ?> policy = Map.of(
                "maxAttempts", (double) attempts,
                "initialBackoff", "0.2s",
                "maxBackoff", "2s",
                "backoffMultiplier", 2.0,
                "retryableStatusCodes", List.of("UNAVAILABLE", "CANCELLED"));
        List<Map<String, String>> retried = List.of(
                Map.of("service", "sentinova.v1.SentimentService", "method", "AnalyzeSentiment"),
                Map.of("service", "sentinova.v1.SentimentService", "method", "BatchAnalyzeSentiment"),
                Map.of("service", "sentinova.v1.ModelService", "method", "ListModels"),
                Map.of("service", "sentinova.v1.ModelService", "method", "GetModel"));
        return Map.of("methodConfig", List.of(Map.of("name", retried, "retryPolicy", policy)));
    }

    /**
     * Checks that an address has a form that gRPC takes.
     *
     * @throws IllegalArgumentException where it has not; the message says what to write
     */
    static String checkAddress(String address) {
        if (SCHEMES.stream().anyMatch(address.toLowerCase(Locale.ROOT)::startsWith)) {
            return address;
        }
        if (address.contains("://")) {
            throw new IllegalArgumentException(
                    "'" + address + "' is a URL; a gRPC address is host:port, without the scheme");
        }
        Matcher match = HOST_PORT.matcher(address);
        if (!match.matches() || !isPort(Integer.parseInt(match.group(2)))) {
            throw new IllegalArgumentException(
                    "'" + address + "' is not an address: write host:port, [ipv6]:port or dns:///host:port");
        }
        return address;
    }

    /**
     * Checks a time limit.
     *
     * @throws IllegalArgumentException where it is not above zero
     */
    static Duration checkTimeout(Duration limit) {
        if (limit.isNegative() || limit.isZero()) {
            throw new IllegalArgumentException("a time limit is above zero, not " + limit);
        }
        return limit;
    }

    private static boolean isPort(int number) {
        return number >= 1 && number <= 65_535;
    }

    private static String version() {
        String version = Connection.class.getPackage().getImplementationVersion();
        return version == null ? "development" : version;
    }
}
