package io.sentinova.client;

import io.sentinova.v1.AnalysisConfig;
import io.sentinova.v1.BatchAnalyzeSentimentRequest;
import io.sentinova.v1.BatchAnalyzeSentimentResponse;
import io.sentinova.v1.DocumentResult;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

/**
 * A list of texts that goes to the server in one call. A text that cannot be sent is left out of the request, and its
 * error is its answer.
 *
 * <p>Knows messages and their order. Must not know calls.
 */
final class Batch {
    private final BatchAnalyzeSentimentRequest request;
    private final List<Outcome> known; // null where the server is to answer

    private Batch(BatchAnalyzeSentimentRequest request, List<Outcome> known) {
        this.request = request;
        this.known = known;
    }

    static Batch of(List<String> texts, AnalysisConfig config) {
        BatchAnalyzeSentimentRequest.Builder request = BatchAnalyzeSentimentRequest.newBuilder().setConfig(config);
        List<Outcome> known = new ArrayList<>(texts.size());
        for (String text : texts) {
            try {
                request.addDocuments(Conversion.document(Integer.toString(known.size()), text));
                known.add(null);
            } catch (SentinovaException error) {
                known.add(Outcome.of(error));
            }
        }
        return new Batch(request.build(), known);
    }

    BatchAnalyzeSentimentRequest request() {
        return request;
    }

    /**
     * Puts the answers where they belong.
     *
     * @throws SentinovaException where the server gave another number of answers than there are documents
     */
    List<Answer> answers(BatchAnalyzeSentimentResponse response) {
        if (response.getResultsCount() != request.getDocumentsCount()) {
            throw Conversion.unexpectedAnswer("the server gave " + response.getResultsCount() + " answers for "
                    + request.getDocumentsCount() + " documents");
        }
        Iterator<DocumentResult> results = response.getResultsList().iterator();
        List<Answer> answers = new ArrayList<>(known.size());
        for (Outcome outcome : known) {
            int index = answers.size();
            answers.add(Answer.of(
                    index,
                    Integer.toString(index),
                    outcome == null ? Conversion.outcome(results.next()) : outcome));
        }
        return List.copyOf(answers);
    }
}
