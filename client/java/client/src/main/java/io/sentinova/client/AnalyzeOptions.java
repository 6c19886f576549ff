package io.sentinova.client;

import io.sentinova.v1.AnalysisConfig;
import io.sentinova.v1.LongTextPolicy;
import java.time.Duration;
import java.util.Objects;

/**
 * Which model answers, and how. Immutable: each method gives new options.
 *
 * <pre>{@code AnalyzeOptions.defaults().model("sentiment_en").versionLabel("canary").longText(LongText.TRUNCATE)}</pre>
 */
public final class AnalyzeOptions {
    private static final AnalyzeOptions DEFAULTS = new AnalyzeOptions(AnalysisConfig.getDefaultInstance(), null);

    private final AnalysisConfig config;
    private final Duration timeout;

    private AnalyzeOptions(AnalysisConfig config, Duration timeout) {
        this.config = config;
        this.timeout = timeout;
    }

    /**
     * Gives the options of a call without any.
     *
     * @return the server's default model, in the version that it chooses; texts that are too long are errors
     */
    public static AnalyzeOptions defaults() {
        return DEFAULTS;
    }

    /**
     * Chooses the model.
     *
     * @param name name of the model; empty: the server's default
     * @return the options with it
     */
    public AnalyzeOptions model(String name) {
        return with(config.toBuilder().setModel(name));
    }

    /**
     * Chooses the version by its number, in place of its label. Where neither is chosen, the model's weights choose, or
     * the highest available version answers.
     *
     * @param number number of the version
     * @return the options with it
     */
    public AnalyzeOptions version(long number) {
        return with(config.toBuilder().setVersion(number));
    }

    /**
     * Chooses the version by its label, in place of its number.
     *
     * @param label label of the version: "stable", "canary", ...
     * @return the options with it
     */
    public AnalyzeOptions versionLabel(String label) {
        return with(config.toBuilder().setLabel(label));
    }

    /**
     * Chooses what happens to a text of more tokens than the model reads.
     *
     * @param policy refuse it, or cut it
     * @return the options with it
     */
    public AnalyzeOptions longText(LongText policy) {
        Objects.requireNonNull(policy, "policy");
        return with(config.toBuilder()
                .setLongTextPolicy(
                        policy == LongText.TRUNCATE
                                ? LongTextPolicy.LONG_TEXT_POLICY_TRUNCATE
                                : LongTextPolicy.LONG_TEXT_POLICY_ERROR));
    }

    /**
     * Chooses the level of priority.
     *
     * @param level 1 is the highest; 0: the model's default. Models without levels take only 0
     * @return the options with it
     * @throws IllegalArgumentException where the level is negative
     */
    public AnalyzeOptions priority(int level) {
        if (level < 0) {
            throw new IllegalArgumentException("a level of priority is 0 or more, not " + level);
        }
        return with(config.toBuilder().setPriority(level));
    }

    /**
     * Has the model's weights choose the same version for the same key.
     *
     * @param key an id of a user or a session, say, of at most 256 bytes; empty: each choice is made for itself
     * @return the options with it
     */
    public AnalyzeOptions routingKey(String key) {
        return with(config.toBuilder().setRoutingKey(key));
    }

    /**
     * Chooses the deadline of the call. For a stream it is the longest wait for the next answer.
     *
     * @param limit the deadline, in place of the client's
     * @return the options with it
     * @throws IllegalArgumentException where it is not above zero
     */
    public AnalyzeOptions timeout(Duration limit) {
        return new AnalyzeOptions(config, Connection.checkTimeout(limit));
    }

    AnalysisConfig config() {
        return config;
    }

    /** Gives the call's own deadline, or the client's; null: none. */
    Duration timeoutOr(Duration clients) {
        return timeout == null ? clients : timeout;
    }

    private AnalyzeOptions with(AnalysisConfig.Builder changed) {
        return new AnalyzeOptions(changed.build(), timeout);
    }
}
