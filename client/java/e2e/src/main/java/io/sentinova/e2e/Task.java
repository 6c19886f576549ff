package io.sentinova.e2e;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.sentinova.client.AnalyzeOptions;
import io.sentinova.client.Document;
import io.sentinova.client.LongText;
import io.sentinova.client.SentinovaClient;
import io.sentinova.client.Tls;
import java.io.Reader;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** What the tests ask for: the keys of the JSON object on standard input, as the client's own values. */
final class Task {
    private final JsonObject keys;

    private Task(JsonObject keys) {
        this.keys = keys;
    }

    static Task read(Reader input) {
        return new Task(JsonParser.parseReader(input).getAsJsonObject());
    }

    String scenario() {
        return keys.get("scenario").getAsString();
    }

    /** Builds the client that the task describes. */
    SentinovaClient client() {
        SentinovaClient.Builder builder =
                SentinovaClient.builder().address(keys.get("address").getAsString());
        object("tls").ifPresent(tls -> builder.tls(tls(tls)));
        timeout().ifPresent(builder::timeout);
        return builder.build();
    }

    Optional<Duration> timeout() {
        return value(keys, "timeout_seconds").map(seconds -> duration(seconds.getAsDouble()));
    }

    List<Document> documents() {
        List<Document> documents = new ArrayList<>();
        for (JsonElement each : value(keys, "documents").map(JsonElement::getAsJsonArray).orElseGet(JsonArray::new)) {
            JsonObject document = each.getAsJsonObject();
            documents.add(Document.of(
                    document.get("id").getAsString(), document.get("text").getAsString()));
        }
        return documents;
    }

    AnalyzeOptions options() {
        AnalyzeOptions options = AnalyzeOptions.defaults();
        JsonObject config = object("config").orElseGet(JsonObject::new);
        options = value(config, "model").map(JsonElement::getAsString).map(options::model).orElse(options);
        options = value(config, "version").map(JsonElement::getAsLong).map(options::version).orElse(options);
        options = value(config, "label").map(JsonElement::getAsString).map(options::versionLabel).orElse(options);
        options = value(config, "routing_key").map(JsonElement::getAsString).map(options::routingKey).orElse(options);
        options = value(config, "priority").map(JsonElement::getAsInt).map(options::priority).orElse(options);
        return value(config, "long_text")
                .map(policy -> LongText.valueOf(policy.getAsString().toUpperCase(java.util.Locale.ROOT)))
                .map(options::longText)
                .orElse(options);
    }

    /** Gives the models that `config.model` names: one, a list of them, or none. */
    List<String> models() {
        JsonElement model = object("config").flatMap(config -> value(config, "model")).orElseGet(JsonArray::new);
        if (!model.isJsonArray()) {
            return List.of(model.getAsString());
        }
        return model.getAsJsonArray().asList().stream().map(JsonElement::getAsString).toList();
    }

    int number(String key, int missing) {
        return value(keys, key).map(JsonElement::getAsInt).orElse(missing);
    }

    Duration cancelAfter() {
        return duration(keys.get("cancel_after_seconds").getAsDouble());
    }

    private Optional<JsonObject> object(String key) {
        return value(keys, key).map(JsonElement::getAsJsonObject);
    }

    private static Optional<JsonElement> value(JsonObject object, String key) {
        return Optional.ofNullable(object.get(key)).filter(value -> !value.isJsonNull());
    }

    private static Tls tls(JsonObject files) {
        Tls tls = Tls.trusting(Path.of(files.get("ca_file").getAsString()));
        Optional<Path> certificate = value(files, "cert_file").map(JsonElement::getAsString).map(Path::of);
        if (certificate.isPresent()) {
            tls = tls.certificate(certificate.get(), Path.of(files.get("key_file").getAsString()));
        }
        return value(files, "server_name").map(JsonElement::getAsString).map(tls::serverName).orElse(tls);
    }

    private static Duration duration(double seconds) {
        return Duration.ofNanos(Math.round(seconds * 1e9));
    }
}
