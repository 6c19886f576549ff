package io.sentinova.client;

import com.google.protobuf.Timestamp;
import io.sentinova.v1.Model;
import io.sentinova.v1.ModelEventKind;
import io.sentinova.v1.ModelVersion;
import io.sentinova.v1.ModelVersionState;
import io.sentinova.v1.TensorMetadata;
import io.sentinova.v1.VersionWeight;
import io.sentinova.v1.WatchModelsResponse;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * Conversion of the messages of the model service to the client's plain values.
 *
 * <p>Knows both shapes, and nothing else: no channels, no threads, no clocks.
 */
final class ModelConversion {
    private ModelConversion() {}

    static ModelInfo model(Model model) {
        Map<Long, Integer> weights = model.getWeightsList().stream()
                .collect(Collectors.toMap(VersionWeight::getVersion, VersionWeight::getPercent, (one, other) -> other));
        return new ModelInfo(
                model.getName(),
                model.getBackend(),
                model.getDefaultVersion(),
                model.getVersionsList().stream().map(ModelConversion::version).toList(),
                model.getMessage(),
                weights,
                model.getShadowVersion(),
                model.getComparisonsList().stream().map(ModelConversion::comparison).toList(),
                model.getLoaded());
    }

    static ModelEvent event(WatchModelsResponse event) {
        return new ModelEvent(
                kind(event.getKind()),
                event.getModel(),
                event.getVersion(),
                state(event.getState()),
                event.getMessage(),
                event.hasTime() ? Optional.of(instant(event.getTime())) : Optional.empty(),
                event.getDefaultVersion());
    }

    private static VersionInfo version(ModelVersion version) {
        return new VersionInfo(
                version.getVersion(),
                state(version.getState()),
                version.getStateMessage(),
                version.hasStateTime() ? Optional.of(instant(version.getStateTime())) : Optional.empty(),
                tensors(version.getInputsList()),
                tensors(version.getOutputsList()),
                version.getLabelsList(),
                version.getMaxTokens(),
                version.getFormat(),
                version.getPrecision(),
                version.getMemoryBytes(),
                version.getVersionLabelsList(),
                version.getWeight());
    }

    private static Comparison comparison(io.sentinova.v1.Comparison comparison) {
        return new Comparison(
                comparison.getVersion(),
                comparison.getBaseline(),
                comparison.getDocuments(),
                comparison.getAgreed(),
                comparison.getMeanDistance(),
                comparison.getMaxDistance(),
                comparison.getLatencyRatio(),
                comparison.getDropped(),
                comparison.getFailed(),
                comparison.getLive());
    }

    private static List<TensorInfo> tensors(List<TensorMetadata> tensors) {
        return tensors.stream()
                .map(each -> new TensorInfo(each.getName(), each.getDatatype(), each.getShapeList()))
                .toList();
    }

    private static VersionState state(ModelVersionState state) {
        return switch (state) {
            case MODEL_VERSION_STATE_UNSPECIFIED -> VersionState.UNSPECIFIED;
            case MODEL_VERSION_STATE_LOADING -> VersionState.LOADING;
            case MODEL_VERSION_STATE_AVAILABLE -> VersionState.AVAILABLE;
            case MODEL_VERSION_STATE_UNLOADING -> VersionState.UNLOADING;
            case MODEL_VERSION_STATE_END -> VersionState.END;
            case MODEL_VERSION_STATE_FAILED -> VersionState.FAILED;
            case UNRECOGNIZED -> VersionState.UNKNOWN;
        };
    }

    private static EventKind kind(ModelEventKind kind) {
        return switch (kind) {
            case MODEL_EVENT_KIND_INITIAL -> EventKind.INITIAL;
            case MODEL_EVENT_KIND_SYNCED -> EventKind.SYNCED;
            case MODEL_EVENT_KIND_STATE -> EventKind.STATE;
            case MODEL_EVENT_KIND_TRAFFIC -> EventKind.TRAFFIC;
            case MODEL_EVENT_KIND_ROLLBACK -> EventKind.ROLLBACK;
            case MODEL_EVENT_KIND_WARNING -> EventKind.WARNING;
            case MODEL_EVENT_KIND_UNSPECIFIED, UNRECOGNIZED -> EventKind.UNKNOWN;
        };
    }

    private static Instant instant(Timestamp time) {
        return Instant.ofEpochSecond(time.getSeconds(), time.getNanos());
    }
}
