package io.sentinova.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import io.grpc.Status.Code;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.sentinova.v1.SentimentServiceGrpc;
import io.sentinova.v1.StreamAnalyzeSentimentRequest;
import io.sentinova.v1.StreamAnalyzeSentimentResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

@Timeout(60)
class StreamTest {
    private final BlockingQueue<Call> calls = new LinkedBlockingQueue<>();
    private final List<AutoCloseable> open = new ArrayList<>();
    private volatile Consumer<Call> script = call -> {};

    @AfterEach
    void close() throws Exception {
        for (int index = open.size() - 1; index >= 0; index--) {
            open.get(index).close();
        }
    }

    /** A call as the server sees it. The script is told of each message. */
    private final class Call implements StreamObserver<StreamAnalyzeSentimentRequest> {
        private final ServerCallStreamObserver<StreamAnalyzeSentimentResponse> answers;
        private final List<StreamAnalyzeSentimentRequest> got = new ArrayList<>();
        private final CountDownLatch cancelled = new CountDownLatch(1);
        private boolean halfClosed;

        Call(StreamObserver<StreamAnalyzeSentimentResponse> answers) {
            this.answers = (ServerCallStreamObserver<StreamAnalyzeSentimentResponse>) answers;
            this.answers.setOnCancelHandler(cancelled::countDown);
            calls.add(this);
        }

        synchronized List<String> texts() {
            return got.stream()
                    .filter(StreamAnalyzeSentimentRequest::hasDocument)
                    .map(message -> message.getDocument().getText())
                    .toList();
        }

        synchronized String wireId(int index) {
            return got.get(index + 1).getDocument().getId(); // (the first message is the configuration)
        }

        void answer(String wireId) {
            answers.onNext(StreamAnalyzeSentimentResponse.newBuilder()
                    .setId(wireId)
                    .setResult(FakeServer.RESULT)
                    .build());
        }

        @Override
        public void onNext(StreamAnalyzeSentimentRequest message) {
            synchronized (this) {
                got.add(message);
            }
            script.accept(this);
        }

        @Override
        public void onError(Throwable failure) {
            cancelled.countDown();
        }

        @Override
        public void onCompleted() {
            synchronized (this) {
                halfClosed = true;
            }
            script.accept(this);
        }
    }

    private SentinovaClient client(UnaryOperator<SentinovaClient.Builder> settings) {
        FakeServer server = new FakeServer(new SentimentServiceGrpc.SentimentServiceImplBase() {
            @Override
            public StreamObserver<StreamAnalyzeSentimentRequest> streamAnalyzeSentiment(
                    StreamObserver<StreamAnalyzeSentimentResponse> answers) {
                return new Call(answers);
            }
        });
        open.add(server);
        SentinovaClient client = server.client(settings);
        open.add(client);
        return client;
    }

    private SentinovaClient client() {
        return client(settings -> settings);
    }

    private static List<Document> documents(int count) {
        return IntStream.range(0, count).mapToObj(index -> Document.of("id" + index, "text " + index)).toList();
    }

    private static List<Answer> all(AnswerStream stream) {
        try (stream) {
            List<Answer> answers = new ArrayList<>();
            stream.forEach(answers::add);
            return answers;
        }
    }

    /** Answers all documents at the end, the last one first. */
    private static void answerBackwards(Call call) {
        if (call.halfClosed) {
            for (int index = call.texts().size() - 1; index >= 0; index--) {
                call.answer(call.wireId(index));
            }
            call.answers.onCompleted();
        }
    }

    /** Answers each document as it comes. */
    private static void answerAtOnce(Call call) {
        int count = call.texts().size();
        if (call.halfClosed) {
            call.answers.onCompleted();
        } else if (count > 0) {
            call.answer(call.wireId(count - 1));
        }
    }

    @Test
    void answersComeInTheirOwnOrderAndAreMatched() throws InterruptedException {
        script = StreamTest::answerBackwards;
        List<Answer> answers = all(client().stream(documents(3)));
        assertEquals(List.of("id2", "id1", "id0"), answers.stream().map(Answer::id).toList());
        assertEquals(List.of(2L, 1L, 0L), answers.stream().map(Answer::index).toList());
        Call call = calls.take();
        assertTrue(call.got.get(0).hasConfig());
        assertEquals(List.of("text 0", "text 1", "text 2"), call.texts());
    }

    @Test
    void answersComeInTheOrderOfTheDocumentsWhereThatIsAskedFor() {
        script = StreamTest::answerBackwards;
        StreamOptions options = StreamOptions.defaults().ordered();
        List<Answer> answers = all(client().stream(documents(5), options));
        assertEquals(
                List.of(0L, 1L, 2L, 3L, 4L), answers.stream().map(Answer::index).toList());
    }

    @Test
    void aStreamWithoutDocumentsEnds() {
        script = StreamTest::answerBackwards;
        assertEquals(List.of(), all(client().stream(List.of())));
    }

    @Test
    void documentsAreReadNoFurtherThanAnswersAreTaken() throws InterruptedException {
        script = StreamTest::answerAtOnce;
        AtomicInteger read = new AtomicInteger();
        Semaphore reading = new Semaphore(0);
        Iterable<Document> endless = Stream.generate(() -> {
                    read.incrementAndGet();
                    reading.release();
                    return Document.of("text");
                })
                ::iterator;
        try (AnswerStream stream = client().stream(endless, StreamOptions.defaults().maxInFlight(4))) {
            assertTrue(reading.tryAcquire(4, 30, TimeUnit.SECONDS));
            Iterator<Answer> answers = stream.iterator();
            for (int taken = 1; taken <= 20; taken++) {
                answers.next();
                assertTrue(reading.tryAcquire(30, TimeUnit.SECONDS));
                assertTrue(read.get() <= taken + 4, "read " + read + " with " + taken + " taken");
            }
        }
        assertTrue(calls.take().cancelled.await(30, TimeUnit.SECONDS), "closing did not cancel the call");
    }

    @ParameterizedTest
    @EnumSource(value = Code.class, names = {"UNAVAILABLE", "CANCELLED"})
    void whatHasNoAnswerIsSentAgainWhenTheConnectionBreaks(Code code) throws InterruptedException {
        AtomicInteger broken = new AtomicInteger();
        script = call -> {
            if (broken.get() == 0 && call.texts().size() == 4) {
                broken.incrementAndGet();
                call.answer(call.wireId(1));
                call.answer(call.wireId(3));
                call.answers.onError(code.toStatus().asRuntimeException());
            } else if (broken.get() > 0) {
                answerAtOnce(call);
            }
        };
        List<Answer> answers = all(client().stream(documents(6), StreamOptions.defaults().maxInFlight(4)));
        assertEquals(6, answers.stream().map(Answer::index).distinct().count());
        assertEquals(6, answers.size());
        calls.take();
        Call second = calls.take();
        assertTrue(second.got.get(0).hasConfig());
        assertEquals(List.of("text 0", "text 2", "text 4", "text 5"), second.texts());
    }

    @Test
    void aBreakAfterTheLastAnswerIsNoError() {
        script = call -> {
            if (call.halfClosed) {
                call.answer(call.wireId(0));
                call.answers.onError(Status.UNAVAILABLE.asRuntimeException());
            }
        };
        assertEquals(1, all(client().stream(documents(1))).size());
        assertEquals(1, calls.size());
    }

    @Test
    void otherErrorsEndTheStreamAndSoDoesABreakWithoutRetries() {
        script = call -> call.answers.onError(Status.NOT_FOUND.asRuntimeException());
        assertEquals(Code.NOT_FOUND, failureOf(client().stream(documents(2))).code());
        script = call -> call.answers.onError(Status.UNAVAILABLE.asRuntimeException());
        SentinovaClient impatient = client(settings -> settings.maxAttempts(1));
        assertEquals(Code.UNAVAILABLE, failureOf(impatient.stream(documents(2))).code());
        assertEquals(2, calls.size());
    }

    @Test
    void aServerThatEndsTheStreamTooEarlyIsAnError() {
        script = call -> {
            if (call.halfClosed) {
                call.answer(call.wireId(1));
                call.answers.onCompleted();
            }
        };
        assertEquals(Reason.STREAM_CUT, failureOf(client().stream(documents(2))).reason());
    }

    @Test
    void anAnswerForNoDocumentEndsTheStream() throws InterruptedException {
        script = call -> {
            if (call.halfClosed) {
                call.answer("77");
            }
        };
        assertEquals(
                Reason.UNEXPECTED_ANSWER, failureOf(client().stream(documents(2))).reason());
        assertTrue(calls.take().cancelled.await(30, TimeUnit.SECONDS));
    }

    @Test
    void aTextThatCannotBeSentFailsAlone() {
        script = StreamTest::answerBackwards;
        List<Answer> answers = all(client().stream(List.of(Document.of("a", "\ud800"), Document.of("b", "text"))));
        assertEquals(
                List.of("a", "b"), answers.stream().map(Answer::id).sorted().toList());
        for (Answer answer : answers) {
            assertEquals(answer.id().equals("b"), answer.isSuccess());
        }
    }

    @Test
    void whatTheSourceOfTheDocumentsThrowsComesAfterTheAnswers() {
        script = StreamTest::answerBackwards;
        RuntimeException cause = new IllegalStateException("the disk is gone");
        Iterable<Document> failing = Stream.of(0, 1, 2)
                        .map(index -> {
                            if (index == 2) {
                                throw cause;
                            }
                            return Document.of("text");
                        })
                ::iterator;
        List<Answer> answers = new ArrayList<>();
        try (AnswerStream stream = client().stream(failing)) {
            assertSame(cause, assertThrows(RuntimeException.class, () -> stream.forEach(answers::add)));
        }
        assertEquals(2, answers.size());
    }

    @Test
    void aServerThatDoesNotAnswerIsGivenUp() {
        StreamOptions limited =
                StreamOptions.defaults().analysis(AnalyzeOptions.defaults().timeout(Duration.ofMillis(100)));
        assertEquals(
                Code.DEADLINE_EXCEEDED,
                failureOf(client().stream(documents(2), limited)).code());
        StreamOptions whole = StreamOptions.defaults().deadline(Duration.ofMillis(100));
        assertEquals(
                Code.DEADLINE_EXCEEDED, failureOf(client().stream(documents(2), whole)).code());
    }

    @Test
    void aServerThatStaysAwayIsGivenUpAndTheReasonIsTold() {
        script = call -> call.answers.onError(Status.UNAVAILABLE.withDescription("gone fishing").asRuntimeException());
        SentinovaClient client = client(settings -> settings.timeout(Duration.ofMillis(200)));
        SentinovaException error = failureOf(client.stream(documents(2)));
        assertEquals(Code.DEADLINE_EXCEEDED, error.code());
        assertTrue(error.description().contains("gone fishing"), error.description());
    }

    @Test
    void closingWakesTheOneWhoWaits() throws InterruptedException {
        AnswerStream stream = client().stream(documents(1));
        LinkedBlockingQueue<Boolean> more = new LinkedBlockingQueue<>();
        Thread waiting = new Thread(() -> more.add(stream.iterator().hasNext()));
        waiting.start();
        Call call = calls.take();
        stream.close();
        assertFalse(more.poll(30, TimeUnit.SECONDS));
        assertTrue(call.cancelled.await(30, TimeUnit.SECONDS));
    }

    @Test
    void closingTheClientEndsItsStreams() throws InterruptedException {
        SentinovaClient client = client();
        AnswerStream stream = client.stream(documents(1));
        calls.take();
        client.close();
        assertEquals(Code.CANCELLED, failureOf(stream).code());
    }

    @Test
    void answersAreGoneThroughOnce() {
        script = StreamTest::answerBackwards;
        try (AnswerStream stream = client().stream(documents(1))) {
            Iterator<Answer> answers = stream.iterator();
            answers.next();
            assertFalse(answers.hasNext());
            assertFalse(answers.hasNext());
            assertThrows(IllegalStateException.class, stream::iterator);
        }
    }

    private static SentinovaException failureOf(AnswerStream stream) {
        return assertThrows(SentinovaException.class, () -> all(stream));
    }
}
