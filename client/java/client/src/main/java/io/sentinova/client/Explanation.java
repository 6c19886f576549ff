package io.sentinova.client;

import io.grpc.Status;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A sentence for a failure that has no details of the server's. gRPC tells some of them with its own inner state, or
 * with whole stack traces; those stay in the cause of the exception.
 *
 * <p>Knows gRPC's wordings, and tells what it does not know as it is. Must not decide anything by them.
 */
final class Explanation {
    private static final String OUT_OF_TIME = "deadline exceeded after ";
    // What a call says that has waited for a connection all the time.
    private static final Pattern LAST_FAILURE =
            Pattern.compile("Last Pick Failure=Status\\{code=\\w+, description=([^\\n]+?)(?=, cause=|\\n)");
    private static final Pattern CAUSE = Pattern.compile("(?:, cause=|\\nCaused by: )[\\w.$]+: ([^\\n]+)");

    private Explanation() {}

    static String of(Status status) {
        String told = status.getDescription() == null ? "no reason was given" : status.getDescription();
        if (status.getCode() == Status.Code.DEADLINE_EXCEEDED && told.contains(OUT_OF_TIME)) {
            Matcher failure = LAST_FAILURE.matcher(told);
            return failure.find()
                    ? "the server could not be reached before the deadline: " + join(failure.group(1), causesIn(told))
                    : "no answer came before the deadline";
        }
        return join(told.lines().findFirst().orElse(""), causesOf(status));
    }

    private static List<String> causesIn(String told) {
        return CAUSE.matcher(told).results().map(found -> found.group(1)).toList();
    }

    private static List<String> causesOf(Status status) {
        List<String> causes = new ArrayList<>();
        Throwable cause = status.getCause();
        while (cause != null && causes.size() < 8) { // (a chain of causes may be a ring)
            causes.add(String.valueOf(cause.getMessage()).lines().findFirst().orElse(""));
            cause = cause.getCause();
        }
        return causes;
    }

    private static String join(String first, List<String> causes) {
        StringBuilder all = new StringBuilder(first);
        for (String cause : causes) {
            if (!cause.equals("null") && all.indexOf(cause) < 0) {
                all.append(": ").append(cause);
            }
        }
        return all.toString();
    }
}
