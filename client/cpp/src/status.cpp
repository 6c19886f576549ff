#include "status.h"

#include <utility>

#include "google/rpc/error_details.pb.h"

namespace sentinova::internal {
namespace {

StatusCode code_from(int number) {
  const bool known = 0 <= number && number <= static_cast<int>(StatusCode::unauthenticated);
  return known ? static_cast<StatusCode>(number) : StatusCode::unknown;
}

void add_detail(const google::protobuf::Any& detail, ErrorDetails& details) {
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad;
  google::rpc::RetryInfo retry;
  if (detail.UnpackTo(&info)) {
    details.reason = info.reason();
    details.domain = info.domain();
    details.metadata = {info.metadata().begin(), info.metadata().end()};
  } else if (detail.UnpackTo(&bad)) {
    for (const auto& each : bad.field_violations()) {
      details.field_violations.push_back({each.field(), each.description(), each.reason()});
    }
  } else if (detail.UnpackTo(&retry)) {
    const auto& delay = retry.retry_delay();
    details.retry_after = std::chrono::seconds{delay.seconds()} + std::chrono::nanoseconds{delay.nanos()};
  }
}

ErrorDetails details_of(const google::rpc::Status& status) {
  ErrorDetails details;
  for (const auto& detail : status.details()) add_detail(detail, details);
  return details;
}

}  // namespace

Error error_from(const google::rpc::Status& status) {
  return {code_from(status.code()), status.message(), details_of(status)};
}

Error error_from(const grpc::Status& status) {
  google::rpc::Status detailed;
  ErrorDetails details;
  if (!status.error_details().empty() && detailed.ParseFromString(status.error_details())) {
    details = details_of(detailed);
  }
  const std::string& message = status.error_message();
  return {code_from(status.error_code()), message.empty() ? "the server gave no reason" : message, std::move(details)};
}

bool means_away(const Error& error) noexcept {
  return error.code() == StatusCode::unavailable || error.code() == StatusCode::cancelled;
}

}  // namespace sentinova::internal
