package io.sentinova.client;

import com.google.protobuf.Duration;
import io.grpc.Status;
import io.sentinova.v1.ClassScore;
import io.sentinova.v1.Document;
import io.sentinova.v1.DocumentResult;
import io.sentinova.v1.SentimentResult;
import io.sentinova.v1.StreamAnalyzeSentimentResponse;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Conversion between the client's plain values and the messages of the sentiment service.
 *
 * <p>Knows both shapes, and nothing else: no channels, no threads, no clocks.
 */
final class Conversion {
    private Conversion() {}

    /**
     * Makes a document.
     *
     * @throws SentinovaException where the text holds an unpaired surrogate, which protobuf would change without a word
     */
    static Document document(String id, String text) {
        for (int index = 0; index < text.length(); index++) {
            char unit = text.charAt(index);
            if (!Character.isSurrogate(unit)) {
                continue;
            }
            boolean pair = index + 1 < text.length() && Character.isSurrogatePair(unit, text.charAt(index + 1));
            if (!pair) {
                throw notUnicode(index, unit);
            }
            index++;
        }
        return Document.newBuilder().setId(id).setText(text).build();
    }

    static Sentiment sentiment(SentimentResult result) {
        Map<String, Float> scores = new LinkedHashMap<>();
        for (ClassScore each : result.getScoresList()) {
            scores.put(each.getLabel(), each.getScore());
        }
        return new Sentiment(
                result.getLabel(),
                result.getScore(),
                scores,
                result.getModel().getName(),
                result.getModel().getVersion(),
                result.getTokenCount(),
                result.getTruncated(),
                new Timings(
                        duration(result.getTimings().getTokenization()),
                        duration(result.getTimings().getQueue()),
                        duration(result.getTimings().getInference())));
    }

    static Outcome outcome(DocumentResult answer) {
        return switch (answer.getOutcomeCase()) {
            case RESULT -> Outcome.of(sentiment(answer.getResult()));
            case ERROR -> Outcome.of(Failures.of(answer.getError()));
            case OUTCOME_NOT_SET -> Outcome.of(emptyAnswer());
        };
    }

    static Outcome outcome(StreamAnalyzeSentimentResponse answer) {
        return switch (answer.getOutcomeCase()) {
            case RESULT -> Outcome.of(sentiment(answer.getResult()));
            case ERROR -> Outcome.of(Failures.of(answer.getError()));
            case OUTCOME_NOT_SET -> Outcome.of(emptyAnswer());
        };
    }

    static SentinovaException unexpectedAnswer(String description) {
        return SentinovaException.builder(Status.Code.INTERNAL, description)
                .reason(Reason.UNEXPECTED_ANSWER)
                .build();
    }

    private static SentinovaException emptyAnswer() {
        return unexpectedAnswer("the server's answer holds neither a result nor an error");
    }

    private static SentinovaException notUnicode(int index, char unit) {
        String description = String.format(
                "the text is not valid Unicode: at %d stands the unpaired surrogate U+%04X", index, (int) unit);
        return SentinovaException.builder(Status.Code.INVALID_ARGUMENT, description)
                .reason(Reason.TEXT_NOT_UNICODE)
                .build();
    }

    private static java.time.Duration duration(Duration message) {
        return java.time.Duration.ofSeconds(message.getSeconds(), message.getNanos());
    }
}
