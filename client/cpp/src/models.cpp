#include "sentinova/models.h"

namespace sentinova {

std::string_view name_of(VersionState state) noexcept {
  switch (state) {
    case VersionState::unspecified: return "UNSPECIFIED";
    case VersionState::loading: return "LOADING";
    case VersionState::available: return "AVAILABLE";
    case VersionState::unloading: return "UNLOADING";
    case VersionState::end: return "END";
    case VersionState::failed: return "FAILED";
    case VersionState::unknown: break;
  }
  return "UNKNOWN";
}

std::string_view name_of(EventKind kind) noexcept {
  switch (kind) {
    case EventKind::initial: return "INITIAL";
    case EventKind::synced: return "SYNCED";
    case EventKind::state: return "STATE";
    case EventKind::traffic: return "TRAFFIC";
    case EventKind::rollback: return "ROLLBACK";
    case EventKind::warning: return "WARNING";
    case EventKind::unknown: break;
  }
  return "UNKNOWN";
}

std::string_view name_of(ServingStatus status) noexcept {
  switch (status) {
    case ServingStatus::serving: return "SERVING";
    case ServingStatus::not_serving: return "NOT_SERVING";
    case ServingStatus::service_unknown: return "SERVICE_UNKNOWN";
    case ServingStatus::unknown: break;
  }
  return "UNKNOWN";
}

}  // namespace sentinova
