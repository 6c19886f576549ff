package io.sentinova.e2e;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import io.sentinova.client.Answer;
import io.sentinova.client.ModelEvent;
import io.sentinova.client.ModelInfo;
import io.sentinova.client.Sentiment;
import io.sentinova.client.SentinovaException;
import io.sentinova.client.VersionInfo;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What the runner writes: a JSON object a line, each there as soon as it is written. */
final class Lines {
    private final Gson gson = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();
    private final PrintStream out;

    Lines(PrintStream out) {
        this.out = new PrintStream(out, true, StandardCharsets.UTF_8);
    }

    synchronized void write(Map<String, ?> line) {
        out.println(gson.toJson(line));
    }

    void write(String id, Answer answer) {
        answer.sentiment().ifPresent(sentiment -> write(id, sentiment));
        answer.error().ifPresent(error -> write(id, error));
    }

    void write(String id, Sentiment sentiment) {
        Map<String, Object> line = begin(id, "result");
        Map<String, Double> scores = new LinkedHashMap<>();
        sentiment.scores().forEach((label, score) -> scores.put(label, exact(score)));
        line.put("label", sentiment.label());
        line.put("score", exact(sentiment.score()));
        line.put("scores", scores);
        line.put("model", sentiment.model());
        line.put("version", sentiment.version());
        line.put("token_count", sentiment.tokenCount());
        line.put("truncated", sentiment.truncated());
        write(line);
    }

    void write(String id, SentinovaException error) {
        Map<String, Object> line = begin(id, "error");
        line.put("code", error.code().name());
        line.put("reason", error.reasonText());
        line.put("field", error.field());
        line.put("message", error.description());
        line.put("metadata", error.metadata());
        line.put("retry_after_seconds", error.retryAfter().map(Lines::seconds).orElse(null));
        write(line);
    }

    /** A call that the caller gave up has no error of the server's: Java says so by an exception of its own. */
    void writeCancelled(String id) {
        Map<String, Object> line = begin(id, "error");
        line.put("code", "CANCELLED");
        line.put("reason", "");
        line.put("field", "");
        line.put("message", "the future was cancelled");
        line.put("metadata", Map.of());
        line.put("retry_after_seconds", null);
        write(line);
    }

    void write(ModelInfo model) {
        List<Map<String, Object>> versions = new ArrayList<>();
        for (VersionInfo version : model.versions()) {
            versions.add(Map.of(
                    "version", version.version(),
                    "state", version.state().name(),
                    "labels", version.labels()));
        }
        write(Map.of("model", model.name(), "default_version", model.defaultVersion(), "versions", versions));
    }

    void write(ModelEvent event) {
        write(Map.of(
                "kind", event.kind().name(),
                "model", event.model(),
                "version", event.version(),
                "state", event.state().name()));
    }

    private static Map<String, Object> begin(String id, String outcome) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("id", id);
        line.put("outcome", outcome);
        return line;
    }

    /** Widens a score without loss; Gson writes a double so that it reads back as the same. */
    private static double exact(float score) {
        return score;
    }

    private static double seconds(Duration time) {
        return time.toNanos() / 1e9;
    }
}
