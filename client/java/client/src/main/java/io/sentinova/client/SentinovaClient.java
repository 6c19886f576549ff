package io.sentinova.client;

import io.grpc.CallOptions;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.Status;
import io.sentinova.v1.AnalyzeSentimentRequest;
import io.sentinova.v1.AnalyzeSentimentResponse;
import io.sentinova.v1.BatchAnalyzeSentimentRequest;
import io.sentinova.v1.BatchAnalyzeSentimentResponse;
import io.sentinova.v1.GetModelRequest;
import io.sentinova.v1.ListModelsRequest;
import io.sentinova.v1.ListModelsResponse;
import io.sentinova.v1.ModelServiceGrpc;
import io.sentinova.v1.SentimentServiceGrpc;
import io.sentinova.v1.WatchModelsRequest;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;

/**
 * A client of a Sentinova server. Safe to share between threads; connects on the first call, and again by itself.
 *
 * <pre>{@code
 * try (SentinovaClient client = SentinovaClient.builder().address("127.0.0.1:8001").build()) {
 *     Sentiment sentiment = client.analyze("A quiet, lovely film.");
 *     System.out.println(sentiment.label() + " " + sentiment.score());
 * }
 * }</pre>
 *
 * <p>Every method throws a {@link SentinovaException} where its call failed, and an {@link IllegalStateException} where
 * the client is closed. None changes anything on the server, so calls wait for a server that cannot be reached, and are
 * tried again while it is UNAVAILABLE (health checks are not), until their deadline. An interrupt of the calling thread
 * cancels its call: the exception's code is then CANCELLED, and the thread stays interrupted.
 */
public final class SentinovaClient implements AutoCloseable {
    private final Calls calls;
    private final Duration timeout;

    SentinovaClient(Calls calls, Duration timeout) {
        this.calls = calls;
        this.timeout = timeout;
    }

    /**
     * Begins to build a client.
     *
     * @return a builder with every setting at its default
     */
    public static Builder builder() {
        return new Builder();
    }

    /**
     * Analyzes one text, by the server's default model.
     *
     * @param text the text, as plain Unicode
     * @return its sentiment
     * @throws SentinovaException where it was not analyzed
     */
    public Sentiment analyze(String text) {
        return analyze(text, AnalyzeOptions.defaults());
    }

    /**
     * Analyzes one text.
     *
     * @param text the text, as plain Unicode
     * @param options which model answers, and how
     * @return its sentiment
     * @throws SentinovaException where it was not analyzed
     */
    public Sentiment analyze(String text, AnalyzeOptions options) {
        return Conversion.sentiment(calls.call(
                        SentimentServiceGrpc.getAnalyzeSentimentMethod(), patient(options), request(text, options))
                .getResult());
    }

    /**
     * Analyzes one text without waiting for the answer, by the server's default model.
     *
     * @param text the text, as plain Unicode
     * @return its sentiment, to come; see {@link #analyzeAsync(String, AnalyzeOptions)}
     */
    public CompletableFuture<Sentiment> analyzeAsync(String text) {
        return analyzeAsync(text, AnalyzeOptions.defaults());
    }

    /**
     * Analyzes one text without waiting for the answer.
     *
     * @param text the text, as plain Unicode
     * @param options which model answers, and how
     * @return its sentiment, to come, or a {@link SentinovaException}. Cancelling this future, not one derived from it,
     *     cancels the call
     */
    public CompletableFuture<Sentiment> analyzeAsync(String text, AnalyzeOptions options) {
        try {
            return calls.start(
                    SentimentServiceGrpc.getAnalyzeSentimentMethod(),
                    patient(options),
                    request(text, options),
                    (AnalyzeSentimentResponse response) -> Conversion.sentiment(response.getResult()));
        } catch (SentinovaException notUnicode) {
            return CompletableFuture.failedFuture(notUnicode);
        }
    }

    /**
     * Analyzes a list of texts in one call, by the server's default model.
     *
     * @param texts the texts; the server limits their number (1,024 unless set otherwise)
     * @return the answer for each text, in order: a bad one fails alone
     * @throws SentinovaException where the call as a whole failed
     */
    public List<Answer> analyzeBatch(List<String> texts) {
        return analyzeBatch(texts, AnalyzeOptions.defaults());
    }

    /**
     * Analyzes a list of texts in one call, which one version answers.
     *
     * @param texts the texts; the server limits their number (1,024 unless set otherwise)
     * @param options which model answers, and how
     * @return the answer for each text, in order: a bad one fails alone
     * @throws SentinovaException where the call as a whole failed
     */
    public List<Answer> analyzeBatch(List<String> texts, AnalyzeOptions options) {
        Batch batch = Batch.of(texts, options.config());
        BatchAnalyzeSentimentRequest request = batch.request();
        return batch.answers(
                request.getDocumentsCount() == 0
                        ? BatchAnalyzeSentimentResponse.getDefaultInstance()
                        : calls.call(SentimentServiceGrpc.getBatchAnalyzeSentimentMethod(), patient(options), request));
    }

    /**
     * Analyzes documents as they come, by the server's default model.
     *
     * @param documents the documents; may be endless. Gone through once, in a thread of its own
     * @return the answers, as they get ready; to be closed
     */
    public AnswerStream stream(Iterable<Document> documents) {
        return stream(documents, StreamOptions.defaults());
    }

    /**
     * Analyzes documents as they come. The documents are read no further than {@link StreamOptions#maxInFlight} ahead
     * of the answers taken. Where the connection breaks, those without an answer are sent again over the next one, for
     * as long as the wait for an answer is not longer than the timeout.
     *
     * <p>The lines of a file, for example: {@code client.stream(lines.map(Document::of)::iterator)}.
     *
     * @param documents the documents; may be endless. Gone through once, in a thread of its own
     * @param options how the stream goes
     * @return the answers, as they get ready; to be closed
     */
    public AnswerStream stream(Iterable<Document> documents, StreamOptions options) {
        Window window = new Window(System::nanoTime, options.analysis().timeoutOr(timeout), options.isOrdered());
        Exchange exchange = new Exchange(calls, options, documents.iterator(), window);
        exchange.start();
        return new AnswerStream(exchange);
    }

    /**
     * Lists the models of the server.
     *
     * @return the models, ordered by name
     * @throws SentinovaException where the call failed
     */
    public List<ModelInfo> listModels() {
        CallOptions options = calls.patient(timeout);
        List<ModelInfo> models = new ArrayList<>();
        String page = "";
        do {
            ListModelsRequest request = ListModelsRequest.newBuilder().setPageToken(page).build();
            ListModelsResponse response = calls.call(ModelServiceGrpc.getListModelsMethod(), options, request);
            response.getModelsList().forEach(model -> models.add(ModelConversion.model(model)));
            page = response.getNextPageToken();
        } while (!page.isEmpty());
        return List.copyOf(models);
    }

    /**
     * Gets one model.
     *
     * @param name name of the model
     * @return the model
     * @throws SentinovaException where the call failed; {@link Reason#MODEL_NOT_FOUND} where there is none of that name
     */
    public ModelInfo getModel(String name) {
        GetModelRequest request = GetModelRequest.newBuilder().setName(name).build();
        return ModelConversion.model(
                calls.call(ModelServiceGrpc.getGetModelMethod(), calls.patient(timeout), request).getModel());
    }

    /**
     * Watches models. The watch has no deadline, and outlasts restarts of the server.
     *
     * @param names names of the models, whether there are such models yet or not; none: all
     * @return the events, as they come; to be closed
     */
    public ModelWatch watchModels(String... names) {
        return new ModelWatch(
                calls, WatchModelsRequest.newBuilder().addAllNames(List.of(names)).build());
    }

    /**
     * Asks for the health of the server as a whole.
     *
     * @return whether it takes requests
     * @throws SentinovaException where the call failed
     */
    public HealthStatus health() {
        return health("");
    }

    /**
     * Asks for the health of one model.
     *
     * @param service name of the model; empty: the server as a whole
     * @return whether it takes requests; {@link HealthStatus#SERVICE_UNKNOWN} where the server knows no such model
     * @throws SentinovaException where the call failed
     */
    public HealthStatus health(String service) {
        return health(service, calls.patient(timeout));
    }

    /**
     * Asks the server whether it takes requests, without waiting for one that cannot be reached.
     *
     * @return true where it does; false where it does not, or cannot be reached
     * @throws SentinovaException where the call failed in another way
     */
    public boolean isReady() {
        return isReady(timeout);
    }

    /**
     * Waits until the server takes requests.
     *
     * @param limit the longest wait
     * @throws SentinovaException where the server was not ready in that time ({@link Reason#NOT_READY}), or the thread
     *     was interrupted
     */
    public void awaitReady(Duration limit) {
        Readiness.await(this::isReady, Connection.checkTimeout(limit));
    }

    /** Closes the connection and cancels what runs on it. May be called twice. */
    @Override
    public void close() {
        calls.close();
    }

    private boolean isReady(Duration limit) {
        try {
            return health("", calls.impatient(limit)) == HealthStatus.SERVING;
        } catch (SentinovaException error) {
            if (error.code() == Status.Code.UNAVAILABLE || error.code() == Status.Code.DEADLINE_EXCEEDED) {
                return false;
            }
            throw error;
        }
    }

    private HealthStatus health(String service, CallOptions options) {
        try {
            return HealthMethod.status(calls.call(HealthMethod.CHECK, options, HealthMethod.request(service)));
        } catch (SentinovaException error) {
            if (error.code() == Status.Code.NOT_FOUND) {
                return HealthStatus.SERVICE_UNKNOWN;
            }
            throw error;
        }
    }

    private CallOptions patient(AnalyzeOptions options) {
        return calls.patient(options.timeoutOr(timeout));
    }

    private static AnalyzeSentimentRequest request(String text, AnalyzeOptions options) {
        return AnalyzeSentimentRequest.newBuilder()
                .setDocument(Conversion.document("", text))
                .setConfig(options.config())
                .build();
    }

    /** The settings of a client to be. */
    public static final class Builder {
        private final Metadata headers = new Metadata();
        private String address = Connection.DEFAULT_ADDRESS;
        private Tls tls;
        private Duration timeout = Connection.DEFAULT_TIMEOUT;
        private int attempts = Connection.DEFAULT_ATTEMPTS;
        private boolean waitForReady = true;
        private int messageBytes = Connection.DEFAULT_MESSAGE_BYTES;

        private Builder() {}

        /**
         * Says where the server is.
         *
         * @param value {@code host:port}, {@code [ipv6]:port} or {@code dns:///host:port}; 127.0.0.1:8001 unless set
         * @return this builder
         * @throws IllegalArgumentException where it is no address
         */
        public Builder address(String value) {
            address = Connection.checkAddress(value);
            return this;
        }

        /**
         * Secures the connection.
         *
         * @param value how; not secured unless set
         * @return this builder
         */
        public Builder tls(Tls value) {
            tls = Objects.requireNonNull(value, "value");
            return this;
        }

        /**
         * Sets the deadline of calls that choose none. For a stream it is the longest wait for the next answer.
         *
         * @param value the deadline; 30 seconds unless set
         * @return this builder
         * @throws IllegalArgumentException where it is not above zero
         */
        public Builder timeout(Duration value) {
            timeout = Connection.checkTimeout(value);
            return this;
        }

        /**
         * Lets calls that choose no deadline have none.
         *
         * @return this builder
         */
        public Builder withoutTimeout() {
            timeout = null;
            return this;
        }

        /**
         * Sets how often a call is tried in all, within its deadline, while the server is UNAVAILABLE. The waits
         * between grow from about 0.2 to about 2 seconds; with 20 attempts, as unless set, that goes on for some 33
         * seconds.
         *
         * @param value attempts, from 1 to 100; 1: calls are not repeated, streams and watches not begun again
         * @return this builder
         * @throws IllegalArgumentException where it is not from 1 to 100
         */
        public Builder maxAttempts(int value) {
            if (value < 1 || value > Connection.MOST_ATTEMPTS) {
                throw new IllegalArgumentException(
                        "attempts must be from 1 to " + Connection.MOST_ATTEMPTS + ", not " + value);
            }
            attempts = value;
            return this;
        }

        /**
         * Sets whether a call waits for a server that cannot be reached, until its deadline. Otherwise each attempt
         * fails at once.
         *
         * @param value whether it waits; it does unless set
         * @return this builder
         */
        public Builder waitForReady(boolean value) {
            waitForReady = value;
            return this;
        }

        /**
         * Sets the largest message to take from the server, which sends none above its {@code --max-message-bytes}.
         *
         * @param value bytes; 64 MiB unless set
         * @return this builder
         * @throws IllegalArgumentException where it is below 1
         */
        public Builder maxMessageBytes(int value) {
            if (value < 1) {
                throw new IllegalArgumentException("a message has at least one byte, not " + value);
            }
            messageBytes = value;
            return this;
        }

        /**
         * Sends a header with every call.
         *
         * @param name its name, {@code authorization} for example
         * @param value its value
         * @return this builder
         * @throws IllegalArgumentException where gRPC takes no such name
         */
        public Builder header(String name, String value) {
            headers.put(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), value);
            return this;
        }

        /**
         * Makes the client. It connects on its first call.
         *
         * @return the client; to be closed
         * @throws UncheckedIOException where a certificate file cannot be read
         * @throws IllegalArgumentException where a certificate file is none
         */
        public SentinovaClient build() {
            return build(Connection.channel(address, tls));
        }

        SentinovaClient build(ManagedChannelBuilder<?> begun) {
            ManagedChannel channel = Connection.open(begun, attempts, messageBytes);
            return new SentinovaClient(new Calls(channel, headers, attempts > 1, waitForReady), timeout);
        }
    }
}
