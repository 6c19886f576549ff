package io.sentinova.example;

import io.sentinova.client.Answer;
import io.sentinova.client.SentinovaClient;
import io.sentinova.client.SentinovaException;
import java.util.List;

/** Analyzes the texts of its command line, and prints a line for each. */
public final class Analyze {
    private Analyze() {}

    /**
     * Runs the example. The server is at {@code SENTINOVA_ADDRESS}, or at 127.0.0.1:8001.
     *
     * @param texts the texts to analyze
     */
    public static void main(String[] texts) {
        String address = System.getenv().getOrDefault("SENTINOVA_ADDRESS", "127.0.0.1:8001");
        if (texts.length == 0) {
            System.err.println("usage: java -jar analyze.jar TEXT...");
            System.exit(2);
        }
        try (SentinovaClient client = SentinovaClient.builder().address(address).build()) {
            for (Answer answer : client.analyzeBatch(List.of(texts))) {
                String told = answer.sentiment()
                        .map(sentiment -> String.format("%-9s %.4f", sentiment.label(), sentiment.score()))
                        .orElseGet(() -> answer.error().orElseThrow().getMessage());
                System.out.println(told + "  " + texts[(int) answer.index()]);
            }
        } catch (SentinovaException error) {
            System.err.println(error.getMessage());
            System.exit(1);
        }
    }
}
