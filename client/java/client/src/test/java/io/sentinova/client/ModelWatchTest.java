package io.sentinova.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import io.grpc.Status.Code;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.sentinova.v1.ModelEventKind;
import io.sentinova.v1.ModelServiceGrpc;
import io.sentinova.v1.WatchModelsRequest;
import io.sentinova.v1.WatchModelsResponse;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class ModelWatchTest {
    private final Deque<Status> ends = new ArrayDeque<>();
    private final List<WatchModelsRequest> requests = new ArrayList<>();
    private final CountDownLatch cancelled = new CountDownLatch(1);
    private final FakeServer server = new FakeServer(new ModelServiceGrpc.ModelServiceImplBase() {
        @Override
        public void watchModels(WatchModelsRequest request, StreamObserver<WatchModelsResponse> observer) {
            requests.add(request);
            ((ServerCallStreamObserver<?>) observer).setOnCancelHandler(cancelled::countDown);
            observer.onNext(WatchModelsResponse.newBuilder()
                    .setKind(ModelEventKind.MODEL_EVENT_KIND_SYNCED)
                    .build());
            if (ends.isEmpty()) {
                return; // stays open
            }
            Status end = ends.poll();
            if (end.isOk()) {
                observer.onCompleted();
            } else {
                observer.onError(end.asRuntimeException());
            }
        }
    });

    @AfterEach
    void close() {
        server.close();
    }

    @Test
    void aWatchOutlastsTheServer() throws InterruptedException {
        ends.addAll(List.of(Status.UNAVAILABLE, Status.OK, Status.ABORTED));
        List<SentinovaException> told = new ArrayList<>();
        try (SentinovaClient client = server.client();
                ModelWatch watch = client.watchModels("a", "b").onInterruption(told::add)) {
            Iterator<ModelEvent> events = watch.iterator();
            for (int call = 0; call < 4; call++) {
                assertEquals(EventKind.SYNCED, events.next().kind());
            }
            end(watch);
            assertFalse(events.hasNext());
            assertTrue(cancelled.await(30, TimeUnit.SECONDS));
        }
        assertEquals(
                List.of(Code.UNAVAILABLE, Code.UNAVAILABLE, Code.ABORTED),
                told.stream().map(SentinovaException::code).toList());
        assertEquals(4, requests.size());
        for (WatchModelsRequest request : requests) {
            assertEquals(List.of("a", "b"), request.getNamesList());
        }
    }

    @Test
    void anErrorThatDoesNotPassIsThrown() {
        ends.add(Status.PERMISSION_DENIED);
        try (SentinovaClient client = server.client();
                ModelWatch watch = client.watchModels()) {
            Iterator<ModelEvent> events = watch.iterator();
            events.next();
            assertEquals(
                    Code.PERMISSION_DENIED,
                    assertThrows(SentinovaException.class, events::hasNext).code());
            assertFalse(events.hasNext());
        }
    }

    @Test
    void withoutRetriesAnInterruptionIsThrown() {
        ends.addAll(List.of(Status.UNAVAILABLE, Status.OK));
        for (int call = 0; call < 2; call++) {
            try (SentinovaClient client = server.client(settings -> settings.maxAttempts(1));
                    ModelWatch watch = client.watchModels()) {
                Iterator<ModelEvent> events = watch.iterator();
                events.next();
                assertEquals(
                        Code.UNAVAILABLE,
                        assertThrows(SentinovaException.class, events::hasNext).code());
            }
        }
    }

    @Test
    void aServerThatStaysAwayIsToldOnce() throws InterruptedException {
        server.close();
        LinkedBlockingQueue<SentinovaException> told = new LinkedBlockingQueue<>();
        try (SentinovaClient client = server.client();
                ModelWatch watch = client.watchModels().onInterruption(told::add)) {
            LinkedBlockingQueue<Boolean> more = new LinkedBlockingQueue<>();
            Thread waiting = new Thread(() -> more.add(watch.iterator().hasNext()));
            waiting.start();
            assertEquals(Code.UNAVAILABLE, told.poll(30, TimeUnit.SECONDS).code());
            Thread.sleep(1000); // (two more attempts)
            end(watch);
            assertFalse(more.poll(30, TimeUnit.SECONDS));
            assertEquals(0, told.size());
        }
    }

    @Test
    void closingTheClientEndsItsWatches() {
        SentinovaClient client = server.client();
        try (ModelWatch watch = client.watchModels()) {
            Iterator<ModelEvent> events = watch.iterator();
            events.next();
            client.close();
            assertEquals(
                    Code.CANCELLED,
                    assertThrows(SentinovaException.class, events::hasNext).code());
        }
    }

    @Test
    void anInterruptEndsTheWatch() {
        try (SentinovaClient client = server.client();
                ModelWatch watch = client.watchModels()) {
            Iterator<ModelEvent> events = watch.iterator();
            events.next();
            Thread.currentThread().interrupt();
            assertEquals(
                    Code.CANCELLED,
                    assertThrows(SentinovaException.class, events::hasNext).code());
            assertTrue(Thread.interrupted());
        }
    }

    /** Closes a watch in the middle of its use. */
    private static void end(ModelWatch watch) {
        watch.close();
    }
}
