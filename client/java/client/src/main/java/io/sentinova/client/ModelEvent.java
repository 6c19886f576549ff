package io.sentinova.client;

import java.time.Instant;
import java.util.Optional;

/**
 * What a watch of models tells.
 *
 * @param kind what this tells
 * @param model name of the model; empty for {@link EventKind#SYNCED}
 * @param version number of the version; 0: the model as a whole
 * @param state the state that the version is in
 * @param message why, in words, where there is something to say
 * @param time when it came to be; empty where the server does not tell
 * @param defaultVersion the version that answers by default after this; 0: none does
 */
public record ModelEvent(
        EventKind kind,
        String model,
        long version,
        VersionState state,
        String message,
        Optional<Instant> time,
        long defaultVersion) {}
