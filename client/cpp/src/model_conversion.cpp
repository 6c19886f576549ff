#include "model_conversion.h"

#include <optional>

namespace sentinova::internal {
namespace {

std::optional<std::int64_t> unless_zero(std::int64_t version) {
  return version == 0 ? std::nullopt : std::optional{version};
}

template <class Message>
std::optional<Time> time_from(bool told, const Message& message) {
  if (!told) return std::nullopt;
  const auto since = std::chrono::seconds{message.seconds()} + std::chrono::nanoseconds{message.nanos()};
  return Time{std::chrono::duration_cast<Time::duration>(since)};
}

VersionState state_from(v1::ModelVersionState state) {
  switch (state) {
    case v1::MODEL_VERSION_STATE_UNSPECIFIED: return VersionState::unspecified;
    case v1::MODEL_VERSION_STATE_LOADING: return VersionState::loading;
    case v1::MODEL_VERSION_STATE_AVAILABLE: return VersionState::available;
    case v1::MODEL_VERSION_STATE_UNLOADING: return VersionState::unloading;
    case v1::MODEL_VERSION_STATE_END: return VersionState::end;
    case v1::MODEL_VERSION_STATE_FAILED: return VersionState::failed;
    default: return VersionState::unknown;
  }
}

EventKind kind_from(v1::ModelEventKind kind) {
  switch (kind) {
    case v1::MODEL_EVENT_KIND_INITIAL: return EventKind::initial;
    case v1::MODEL_EVENT_KIND_SYNCED: return EventKind::synced;
    case v1::MODEL_EVENT_KIND_STATE: return EventKind::state;
    case v1::MODEL_EVENT_KIND_TRAFFIC: return EventKind::traffic;
    case v1::MODEL_EVENT_KIND_ROLLBACK: return EventKind::rollback;
    case v1::MODEL_EVENT_KIND_WARNING: return EventKind::warning;
    default: return EventKind::unknown;
  }
}

TensorInfo tensor_from(const v1::TensorMetadata& message) {
  return {message.name(), message.datatype(), {message.shape().begin(), message.shape().end()}};
}

VersionInfo version_from(const v1::ModelVersion& message) {
  VersionInfo version;
  version.version = message.version();
  version.state = state_from(message.state());
  version.state_message = message.state_message();
  version.state_time = time_from(message.has_state_time(), message.state_time());
  for (const auto& each : message.inputs()) version.inputs.push_back(tensor_from(each));
  for (const auto& each : message.outputs()) version.outputs.push_back(tensor_from(each));
  version.labels = {message.labels().begin(), message.labels().end()};
  version.max_tokens = message.max_tokens();
  version.format = message.format();
  version.precision = message.precision();
  version.memory_bytes = message.memory_bytes();
  version.version_labels = {message.version_labels().begin(), message.version_labels().end()};
  version.weight = message.weight();
  return version;
}

Comparison comparison_from(const v1::Comparison& message) {
  Comparison comparison;
  comparison.version = message.version();
  comparison.baseline = message.baseline();
  comparison.documents = message.documents();
  comparison.agreed = message.agreed();
  comparison.mean_distance = message.mean_distance();
  comparison.max_distance = message.max_distance();
  comparison.latency_ratio = message.latency_ratio();
  comparison.dropped = message.dropped();
  comparison.failed = message.failed();
  comparison.live = message.live();
  return comparison;
}

}  // namespace

ModelInfo model_from(const v1::Model& message) {
  ModelInfo model;
  model.name = message.name();
  model.backend = message.backend();
  model.default_version = unless_zero(message.default_version());
  for (const auto& each : message.versions()) model.versions.push_back(version_from(each));
  model.message = message.message();
  for (const auto& each : message.weights()) model.weights.push_back({each.version(), each.percent()});
  model.shadow_version = unless_zero(message.shadow_version());
  for (const auto& each : message.comparisons()) model.comparisons.push_back(comparison_from(each));
  model.loaded = message.loaded();
  return model;
}

ModelEvent event_from(const v1::WatchModelsResponse& message) {
  ModelEvent event;
  event.kind = kind_from(message.kind());
  event.model = message.model();
  event.version = unless_zero(message.version());
  event.state = state_from(message.state());
  event.message = message.message();
  event.time = time_from(message.has_time(), message.time());
  event.default_version = unless_zero(message.default_version());
  return event;
}

}  // namespace sentinova::internal
