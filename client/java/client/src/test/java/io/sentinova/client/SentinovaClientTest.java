package io.sentinova.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Int32Value;
import com.google.protobuf.StringValue;
import io.grpc.BindableService;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerInterceptors;
import io.grpc.Status;
import io.grpc.Status.Code;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.sentinova.v1.AnalysisConfig;
import io.sentinova.v1.AnalyzeSentimentRequest;
import io.sentinova.v1.AnalyzeSentimentResponse;
import io.sentinova.v1.BatchAnalyzeSentimentRequest;
import io.sentinova.v1.BatchAnalyzeSentimentResponse;
import io.sentinova.v1.Document;
import io.sentinova.v1.DocumentResult;
import io.sentinova.v1.GetModelRequest;
import io.sentinova.v1.GetModelResponse;
import io.sentinova.v1.ListModelsRequest;
import io.sentinova.v1.ListModelsResponse;
import io.sentinova.v1.LongTextPolicy;
import io.sentinova.v1.Model;
import io.sentinova.v1.ModelServiceGrpc;
import io.sentinova.v1.SentimentServiceGrpc;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class SentinovaClientTest {
    private static final AnalyzeSentimentResponse ANSWER =
            AnalyzeSentimentResponse.newBuilder().setResult(FakeServer.RESULT).build();

    /** A service that answers one document at a time as a test says. */
    private static BindableService analyzing(
            BiConsumer<AnalyzeSentimentRequest, StreamObserver<AnalyzeSentimentResponse>> answer) {
        return new SentimentServiceGrpc.SentimentServiceImplBase() {
            @Override
            public void analyzeSentiment(
                    AnalyzeSentimentRequest request, StreamObserver<AnalyzeSentimentResponse> observer) {
                answer.accept(request, observer);
            }
        };
    }

    private static <T> void reply(StreamObserver<T> observer, T response) {
        observer.onNext(response);
        observer.onCompleted();
    }

    @Test
    void aTextGoesOutWithItsOptionsAndItsSentimentComesBack() {
        AtomicReference<AnalyzeSentimentRequest> got = new AtomicReference<>();
        AnalyzeOptions options = AnalyzeOptions.defaults()
                .model("m")
                .version(3)
                .versionLabel("canary") // (takes the number's place)
                .longText(LongText.TRUNCATE)
                .priority(2)
                .routingKey("user");
        try (FakeServer server = new FakeServer(analyzing((request, observer) -> {
                    got.set(request);
                    reply(observer, ANSWER);
                }));
                SentinovaClient client = server.client()) {
            assertEquals("positive", client.analyze("text", options).label());
            assertEquals("positive", client.analyzeAsync("text", options).join().label());
        }
        AnalysisConfig config = AnalysisConfig.newBuilder()
                .setModel("m")
                .setLabel("canary")
                .setLongTextPolicy(LongTextPolicy.LONG_TEXT_POLICY_TRUNCATE)
                .setPriority(2)
                .setRoutingKey("user")
                .build();
        assertEquals(
                AnalyzeSentimentRequest.newBuilder()
                        .setDocument(Document.newBuilder().setText("text"))
                        .setConfig(config)
                        .build(),
                got.get());
    }

    @Test
    void aServerThatIsAwayForAMomentIsAskedAgain() {
        AtomicInteger attempts = new AtomicInteger();
        try (FakeServer server = new FakeServer(analyzing((request, observer) -> {
                    if (attempts.incrementAndGet() < 3) {
                        observer.onError(Status.UNAVAILABLE.asRuntimeException());
                    } else {
                        reply(observer, ANSWER);
                    }
                }));
                SentinovaClient client = server.client()) {
            assertEquals("positive", client.analyze("text").label());
        }
        assertEquals(3, attempts.get());
    }

    @Test
    void aCallThatAStoppingServerCancelledIsAskedAgain() {
        AtomicInteger attempts = new AtomicInteger();
        try (FakeServer server = new FakeServer(analyzing((request, observer) -> {
                    if (attempts.incrementAndGet() == 1) {
                        observer.onError(Status.CANCELLED.asRuntimeException());
                    } else {
                        reply(observer, ANSWER);
                    }
                }));
                SentinovaClient client = server.client()) {
            assertEquals("positive", client.analyze("text").label());
        }
        assertEquals(2, attempts.get());
    }

    @Test
    void attemptsHaveAnEndAndOtherErrorsAreNotRepeated() {
        AtomicInteger attempts = new AtomicInteger();
        AtomicReference<Status> status = new AtomicReference<>(Status.UNAVAILABLE);
        try (FakeServer server = new FakeServer(analyzing((request, observer) -> {
                    attempts.incrementAndGet();
                    observer.onError(status.get().asRuntimeException());
                }));
                SentinovaClient client = server.client(settings -> settings.maxAttempts(2));
                SentinovaClient impatient = server.client(settings -> settings.maxAttempts(1))) {
            assertEquals(Code.UNAVAILABLE, failureOf(() -> client.analyze("text")).code());
            assertEquals(2, attempts.getAndSet(0));
            assertEquals(Code.UNAVAILABLE, failureOf(() -> impatient.analyze("text")).code());
            assertEquals(1, attempts.getAndSet(0));
            status.set(Status.RESOURCE_EXHAUSTED);
            assertEquals(Code.RESOURCE_EXHAUSTED, failureOf(() -> client.analyze("text")).code());
            assertEquals(1, attempts.get());
        }
    }

    @Test
    void aDeadlineEndsTheWait() {
        try (FakeServer server = new FakeServer(analyzing((request, observer) -> {}));
                SentinovaClient client = server.client(settings -> settings.timeout(Duration.ofMillis(100)))) {
            assertEquals(Code.DEADLINE_EXCEEDED, failureOf(() -> client.analyze("text")).code());
            AnalyzeOptions options = AnalyzeOptions.defaults().timeout(Duration.ofMillis(50));
            assertEquals(
                    Code.DEADLINE_EXCEEDED, failureOf(() -> client.analyze("text", options)).code());
        }
    }

    @Test
    void cancellingTheFutureCancelsTheCall() throws Exception {
        CountDownLatch begun = new CountDownLatch(1);
        CountDownLatch cancelled = new CountDownLatch(1);
        AtomicInteger attempts = new AtomicInteger();
        try (FakeServer server = new FakeServer(analyzing((request, observer) -> {
                    attempts.incrementAndGet();
                    ((ServerCallStreamObserver<?>) observer).setOnCancelHandler(cancelled::countDown);
                    begun.countDown();
                }));
                SentinovaClient client = server.client(SentinovaClient.Builder::withoutTimeout)) {
            CompletableFuture<Sentiment> call = client.analyzeAsync("text");
            assertTrue(begun.await(30, TimeUnit.SECONDS));
            assertTrue(call.cancel(true));
            assertThrows(CancellationException.class, call::join);
            assertTrue(cancelled.await(30, TimeUnit.SECONDS), "the server was not told");
            assertTrue(call.isCancelled());
            Thread.sleep(1000); // (longer than the wait before another attempt)
            assertEquals(1, attempts.get());
        }
    }

    @Test
    void anInterruptCancelsTheCallAndStays() throws Exception {
        CountDownLatch begun = new CountDownLatch(1);
        CompletableFuture<Code> code = new CompletableFuture<>();
        CompletableFuture<Boolean> interrupted = new CompletableFuture<>();
        try (FakeServer server = new FakeServer(analyzing((request, observer) -> begun.countDown()));
                SentinovaClient client = server.client()) {
            Thread caller = new Thread(() -> {
                code.complete(failureOf(() -> client.analyze("text")).code());
                interrupted.complete(Thread.currentThread().isInterrupted());
            });
            caller.start();
            assertTrue(begun.await(30, TimeUnit.SECONDS));
            caller.interrupt();
            assertEquals(Code.CANCELLED, code.get(30, TimeUnit.SECONDS));
            assertTrue(interrupted.get(30, TimeUnit.SECONDS));
        }
    }

    @Test
    void anErrorOfAnAsynchronousCallIsTheFuturesError() {
        try (FakeServer server = new FakeServer(
                        analyzing((request, observer) -> observer.onError(Status.NOT_FOUND.asRuntimeException())));
                SentinovaClient client = server.client()) {
            CompletionException error =
                    assertThrows(CompletionException.class, () -> client.analyzeAsync("text").join());
            assertEquals(
                    Code.NOT_FOUND,
                    assertInstanceOf(SentinovaException.class, error.getCause()).code());
            error = assertThrows(
                    CompletionException.class, () -> client.analyzeAsync("\ud800").join());
            assertEquals(
                    Reason.TEXT_NOT_UNICODE,
                    assertInstanceOf(SentinovaException.class, error.getCause()).reason());
        }
    }

    @Test
    void badDocumentsOfABatchFailAlone() {
        AtomicReference<BatchAnalyzeSentimentRequest> got = new AtomicReference<>();
        try (FakeServer server = new FakeServer(new SentimentServiceGrpc.SentimentServiceImplBase() {
                    @Override
                    public void batchAnalyzeSentiment(
                            BatchAnalyzeSentimentRequest request,
                            StreamObserver<BatchAnalyzeSentimentResponse> observer) {
                        got.set(request);
                        BatchAnalyzeSentimentResponse.Builder response = BatchAnalyzeSentimentResponse.newBuilder();
                        for (Document document : request.getDocumentsList()) {
                            DocumentResult.Builder result = response.addResultsBuilder();
                            if (document.getText().isEmpty()) {
                                result.getErrorBuilder().setCode(Code.INVALID_ARGUMENT.value());
                            } else {
                                result.setResult(FakeServer.RESULT);
                            }
                        }
                        reply(observer, response.build());
                    }
                });
                SentinovaClient client = server.client()) {
            List<Answer> answers = client.analyzeBatch(List.of("a", "\ud800", "", "b"));
            assertEquals(3, got.get().getDocumentsCount());
            assertEquals(List.of(0L, 1L, 2L, 3L), answers.stream().map(Answer::index).toList());
            assertEquals(
                    List.of(true, false, false, true),
                    answers.stream().map(Answer::isSuccess).toList());
            assertEquals("positive", answers.get(3).orElseThrow().label());
            assertEquals(Reason.TEXT_NOT_UNICODE, answers.get(1).error().orElseThrow().reason());
            assertEquals(Code.INVALID_ARGUMENT, answers.get(2).error().orElseThrow().code());
            got.set(null);
            assertEquals(List.of(), client.analyzeBatch(List.of()));
            assertFalse(client.analyzeBatch(List.of("\ud800")).get(0).isSuccess());
            assertEquals(null, got.get());
        }
    }

    @Test
    void aBatchWithAnswersTooFewIsAnError() {
        try (FakeServer server = new FakeServer(new SentimentServiceGrpc.SentimentServiceImplBase() {
                    @Override
                    public void batchAnalyzeSentiment(
                            BatchAnalyzeSentimentRequest request,
                            StreamObserver<BatchAnalyzeSentimentResponse> observer) {
                        reply(observer, BatchAnalyzeSentimentResponse.getDefaultInstance());
                    }
                });
                SentinovaClient client = server.client()) {
            assertEquals(
                    Reason.UNEXPECTED_ANSWER,
                    failureOf(() -> client.analyzeBatch(List.of("a"))).reason());
        }
    }

    @Test
    void allPagesOfTheModelsAreListed() {
        try (FakeServer server = new FakeServer(new ModelServiceGrpc.ModelServiceImplBase() {
                    @Override
                    public void listModels(ListModelsRequest request, StreamObserver<ListModelsResponse> observer) {
                        boolean first = request.getPageToken().isEmpty();
                        reply(
                                observer,
                                ListModelsResponse.newBuilder()
                                        .addModels(Model.newBuilder().setName(first ? "a" : "b"))
                                        .setNextPageToken(first ? "more" : "")
                                        .build());
                    }

                    @Override
                    public void getModel(GetModelRequest request, StreamObserver<GetModelResponse> observer) {
                        reply(
                                observer,
                                GetModelResponse.newBuilder()
                                        .setModel(Model.newBuilder().setName(request.getName()))
                                        .build());
                    }
                });
                SentinovaClient client = server.client()) {
            assertEquals(
                    List.of("a", "b"),
                    client.listModels().stream().map(ModelInfo::name).toList());
            assertEquals("c", client.getModel("c").name());
        }
    }

    @Test
    void healthIsToldAndAwaited() {
        AtomicInteger checks = new AtomicInteger();
        BindableService health = FakeServer.health((StringValue request, StreamObserver<Int32Value> observer) -> {
            switch (request.getValue()) {
                case "" -> reply(observer, Int32Value.of(checks.incrementAndGet() < 3 ? 2 : 1));
                case "strange" -> reply(observer, Int32Value.of(77));
                case "broken" -> observer.onError(Status.PERMISSION_DENIED.asRuntimeException());
                default -> observer.onError(Status.NOT_FOUND.asRuntimeException());
            }
        });
        try (FakeServer server = new FakeServer(health);
                SentinovaClient client = server.client()) {
            assertEquals(HealthStatus.NOT_SERVING, client.health());
            assertFalse(client.isReady());
            client.awaitReady(Duration.ofSeconds(30));
            assertTrue(client.isReady());
            assertEquals(HealthStatus.SERVICE_UNKNOWN, client.health("model"));
            assertEquals(HealthStatus.UNKNOWN, client.health("strange"));
            assertEquals(Code.PERMISSION_DENIED, failureOf(() -> client.health("broken")).code());
            checks.set(-1_000_000);
            assertEquals(
                    Reason.NOT_READY,
                    failureOf(() -> client.awaitReady(Duration.ofMillis(200))).reason());
        }
    }

    @Test
    void aServerThatIsNotThereIsNotReady() {
        FakeServer server = new FakeServer();
        server.close();
        try (SentinovaClient client = server.client(settings -> settings.timeout(Duration.ofSeconds(30)))) {
            assertFalse(client.isReady());
        }
    }

    @Test
    void aCallWaitsForAServerThatIsNotThereUnlessToldOtherwise() {
        FakeServer server = new FakeServer();
        server.close();
        try (SentinovaClient patient = server.client(settings -> settings.timeout(Duration.ofMillis(300)));
                SentinovaClient impatient = server.client(settings -> settings.waitForReady(false).maxAttempts(1))) {
            assertEquals(Code.DEADLINE_EXCEEDED, failureOf(() -> patient.analyze("text")).code());
            assertEquals(Code.UNAVAILABLE, failureOf(() -> impatient.analyze("text")).code());
        }
    }

    @Test
    void headersGoWithEveryCall() {
        Metadata.Key<String> key = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
        AtomicReference<String> got = new AtomicReference<>();
        ServerInterceptor interceptor = new ServerInterceptor() {
            @Override
            public <Q, R> ServerCall.Listener<Q> interceptCall(
                    ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
                got.set(headers.get(key));
                return Contexts.interceptCall(Context.current(), call, headers, next);
            }
        };
        BindableService service = analyzing((request, observer) -> reply(observer, ANSWER));
        try (FakeServer server = new FakeServer(() -> ServerInterceptors.intercept(service, interceptor));
                SentinovaClient client = server.client(settings -> settings.header("authorization", "Bearer x"))) {
            client.analyze("text");
            assertEquals("Bearer x", got.get());
        }
    }

    @Test
    void aClosedClientSaysSo() throws Exception {
        CountDownLatch begun = new CountDownLatch(1);
        try (FakeServer server = new FakeServer(analyzing((request, observer) -> begun.countDown()))) {
            SentinovaClient client = server.client();
            CompletableFuture<Sentiment> call = client.analyzeAsync("text");
            assertTrue(begun.await(30, TimeUnit.SECONDS));
            client.close();
            client.close();
            CompletionException error = assertThrows(CompletionException.class, call::join);
            SentinovaException failure = assertInstanceOf(SentinovaException.class, error.getCause());
            assertEquals(Code.CANCELLED, failure.code());
            assertEquals("the client was closed", failure.description());
            assertThrows(IllegalStateException.class, () -> client.analyze("text"));
            assertThrows(IllegalStateException.class, () -> client.stream(List.of()));
            assertThrows(IllegalStateException.class, client::watchModels);
        }
    }

    private static SentinovaException failureOf(Runnable call) {
        return assertThrows(SentinovaException.class, call::run);
    }
}
