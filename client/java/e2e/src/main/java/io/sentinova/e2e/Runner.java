package io.sentinova.e2e;

import io.sentinova.client.Answer;
import io.sentinova.client.AnswerStream;
import io.sentinova.client.Document;
import io.sentinova.client.EventKind;
import io.sentinova.client.ModelEvent;
import io.sentinova.client.ModelWatch;
import io.sentinova.client.Sentiment;
import io.sentinova.client.SentinovaClient;
import io.sentinova.client.SentinovaException;
import io.sentinova.client.StreamOptions;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * The runner of the end-to-end tests: makes the calls that it reads from standard input, and writes what came of them.
 *
 * <p>Knows the public client and the contract in {@code tests/e2e/README.md}. Must not judge.
 */
public final class Runner {
    private final Task task;
    private final SentinovaClient client;
    private final Lines lines;

    private Runner(Task task, SentinovaClient client, Lines lines) {
        this.task = task;
        this.client = client;
        this.lines = lines;
    }

    /**
     * Runs one scenario.
     *
     * @param arguments none
     * @throws Exception where the work could not be done at all
     */
    public static void main(String[] arguments) throws Exception {
        Task task = read();
        try (SentinovaClient client = task.client()) {
            new Runner(task, client, new Lines(System.out)).run();
        }
    }

    private static Task read() throws IOException {
        try (InputStreamReader input = new InputStreamReader(System.in, StandardCharsets.UTF_8)) {
            return Task.read(input);
        }
    }

    private void run() throws Exception {
        switch (task.scenario()) {
            case "unary" -> unary();
            case "batch" -> batch();
            case "stream" -> stream();
            case "cancel" -> cancel();
            case "health" -> health();
            case "models" -> client.listModels().forEach(lines::write);
            case "watch" -> watch();
            default -> throw new IllegalArgumentException("no such scenario: " + task.scenario());
        }
    }

    private void unary() throws Exception {
        List<Document> documents = task.documents();
        ExecutorService callers = Executors.newFixedThreadPool(task.number("concurrency", 1));
        try {
            List<Future<?>> calls = new ArrayList<>();
            for (int round = 0; round < task.number("repeat", 1); round++) {
                documents.forEach(document -> calls.add(callers.submit(() -> analyze(document))));
            }
            for (Future<?> call : calls) {
                call.get();
            }
        } finally {
            callers.shutdownNow();
        }
    }

    private void analyze(Document document) {
        try {
            lines.write(document.id(), client.analyze(document.text(), task.options()));
        } catch (SentinovaException error) {
            lines.write(document.id(), error);
        }
    }

    private void batch() {
        List<Document> documents = task.documents();
        try {
            List<Answer> answers = client.analyzeBatch(documents.stream().map(Document::text).toList(), task.options());
            for (Answer answer : answers) {
                lines.write(documents.get((int) answer.index()).id(), answer);
            }
        } catch (SentinovaException error) {
            documents.forEach(document -> lines.write(document.id(), error));
        }
    }

    private void stream() {
        List<Document> documents = task.documents();
        Set<Long> answered = new HashSet<>();
        StreamOptions options = StreamOptions.defaults().analysis(task.options());
        options = task.timeout().map(options::deadline).orElse(options);
        try (AnswerStream answers = client.stream(documents, options)) {
            for (Answer answer : answers) {
                answered.add(answer.index());
                lines.write(answer.id(), answer);
            }
        } catch (SentinovaException error) {
            for (int index = 0; index < documents.size(); index++) {
                if (!answered.contains((long) index)) {
                    lines.write(documents.get(index).id(), error);
                }
            }
        }
    }

    private void cancel() throws InterruptedException, ExecutionException {
        Document document = task.documents().get(0);
        CompletableFuture<Sentiment> call = client.analyzeAsync(document.text(), task.options());
        Thread.sleep(task.cancelAfter().toMillis());
        call.cancel(true);
        try {
            lines.write(document.id(), call.join());
        } catch (CancellationException cancelled) {
            lines.writeCancelled(document.id());
        } catch (CompletionException failed) {
            if (!(failed.getCause() instanceof SentinovaException error)) {
                throw failed;
            }
            lines.write(document.id(), error);
        }
    }

    private void health() {
        List<String> services = new ArrayList<>(List.of(""));
        services.addAll(task.models());
        for (String service : services) {
            lines.write(Map.of("service", service, "status", client.health(service).name()));
        }
    }

    private void watch() {
        int left = task.number("events", 0);
        boolean synced = false;
        try (ModelWatch watch = client.watchModels(task.models().toArray(String[]::new))) {
            for (ModelEvent event : watch) {
                lines.write(event);
                left -= synced ? 1 : 0;
                synced |= event.kind() == EventKind.SYNCED;
                if (synced && left <= 0) {
                    break;
                }
            }
        }
    }
}
