package io.sentinova.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.protobuf.Timestamp;
import io.grpc.Status.Code;
import io.sentinova.v1.DocumentResult;
import io.sentinova.v1.Model;
import io.sentinova.v1.ModelEventKind;
import io.sentinova.v1.ModelVersion;
import io.sentinova.v1.ModelVersionState;
import io.sentinova.v1.TensorMetadata;
import io.sentinova.v1.VersionWeight;
import io.sentinova.v1.WatchModelsResponse;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ConversionTest {

    @ParameterizedTest
    @ValueSource(strings = {"", "plain", "\ud83c\udfac", "a\ud83c\udfacb\ud83c\udfac", "\u0000\uffff"})
    void textsThatAreUnicode(String text) {
        assertEquals(text, Conversion.document("7", text).getText());
        assertEquals("7", Conversion.document("7", text).getId());
    }

    @Test
    void unpairedSurrogatesAreRefused() {
        for (String text : List.of("\ud800", "a\udfac", "\ud83cx", "\udfac\ud83c", "ok\ud83c\udfac\ud800")) {
            SentinovaException error = assertThrows(SentinovaException.class, () -> Conversion.document("", text));
            assertEquals(Code.INVALID_ARGUMENT, error.code());
            assertEquals(Reason.TEXT_NOT_UNICODE, error.reason());
        }
    }

    @Test
    void aSentimentKeepsTheOrderOfItsScores() {
        Sentiment sentiment = Conversion.sentiment(FakeServer.RESULT);
        assertEquals("positive", sentiment.label());
        assertEquals(0.75f, sentiment.score());
        assertEquals(List.of("positive", "negative"), List.copyOf(sentiment.scores().keySet()));
        assertEquals(0.25f, sentiment.scores().get("negative"));
        assertEquals("sentiment_en", sentiment.model());
        assertEquals(2, sentiment.version());
        assertEquals(7, sentiment.tokenCount());
        assertEquals(new Timings(Duration.ZERO, Duration.ZERO, Duration.ZERO), sentiment.timings());
        assertThrows(UnsupportedOperationException.class, () -> sentiment.scores().clear());
    }

    @Test
    void anAnswerWithoutOutcomeIsAnError() {
        Outcome outcome = Conversion.outcome(DocumentResult.getDefaultInstance());
        assertEquals(Reason.UNEXPECTED_ANSWER, outcome.error().reason());
    }

    @Test
    void aModel() {
        ModelVersion version = ModelVersion.newBuilder()
                .setVersion(3)
                .setState(ModelVersionState.MODEL_VERSION_STATE_AVAILABLE)
                .setStateTime(Timestamp.newBuilder().setSeconds(60))
                .addInputs(TensorMetadata.newBuilder().setName("ids").setDatatype("INT64").addShape(-1).addShape(8))
                .addLabels("negative")
                .setMaxTokens(128)
                .addVersionLabels("stable")
                .setWeight(90)
                .build();
        ModelInfo model = ModelConversion.model(Model.newBuilder()
                .setName("m")
                .setDefaultVersion(3)
                .addVersions(version)
                .addVersions(ModelVersion.newBuilder().setVersion(4).setStateValue(99))
                .addWeights(VersionWeight.newBuilder().setVersion(3).setPercent(90))
                .addComparisons(io.sentinova.v1.Comparison.newBuilder().setVersion(4).setLive(true))
                .setLoaded(true)
                .build());
        VersionInfo known = model.versions().get(0);
        assertEquals(VersionState.AVAILABLE, known.state());
        assertEquals(Optional.of(Instant.ofEpochSecond(60)), known.stateTime());
        assertEquals(List.of(new TensorInfo("ids", "INT64", List.of(-1L, 8L))), known.inputs());
        assertEquals(List.of("negative"), known.labels());
        assertEquals(List.of("stable"), known.versionLabels());
        assertEquals(VersionState.UNKNOWN, model.versions().get(1).state());
        assertEquals(Optional.empty(), model.versions().get(1).stateTime());
        assertEquals(Map.of(3L, 90), model.weights());
        assertEquals(4, model.comparisons().get(0).version());
    }

    @Test
    void eventsOfAllKinds() {
        for (ModelEventKind kind : ModelEventKind.values()) {
            if (kind == ModelEventKind.UNRECOGNIZED) {
                continue;
            }
            EventKind expected = kind == ModelEventKind.MODEL_EVENT_KIND_UNSPECIFIED
                    ? EventKind.UNKNOWN
                    : EventKind.valueOf(kind.name().replace("MODEL_EVENT_KIND_", ""));
            ModelEvent event = ModelConversion.event(WatchModelsResponse.newBuilder()
                    .setKind(kind)
                    .setModel("m")
                    .setVersion(1)
                    .setState(ModelVersionState.MODEL_VERSION_STATE_FAILED)
                    .setMessage("why")
                    .setDefaultVersion(2)
                    .build());
            assertEquals(
                    new ModelEvent(expected, "m", 1, VersionState.FAILED, "why", Optional.empty(), 2), event);
        }
    }
}
